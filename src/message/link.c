/*
 * link.c
 *		Tokens in texts: put in when a message has its number, read when
 *		somebody follows a link.
 *
 * A text is composed before its message has a number. Until then each link
 * ends in a marker of the token's length, so that the text is measured as it
 * will leave. The keys stand in the secret table, where no dump and no role
 * finds them; the newest signs, all of them are accepted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/secret.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "message/token.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define KEYS_MAX 8
#define SECRET_OWNER "_link" /* no gateway's name begins with "_" */

PG_FUNCTION_INFO_V1(mfiauto_sign_links);
PG_FUNCTION_INFO_V1(mfiauto_write_link_token);
PG_FUNCTION_INFO_V1(mfiauto_read_link_token);
PG_FUNCTION_INFO_V1(mfiauto_mark_link);
PG_FUNCTION_INFO_V1(mfiauto_has_link_marker);
PG_FUNCTION_INFO_V1(mfiauto_add_link_key);

/*
 * The keys as the secret table had them, for one subtransaction: one look
 * serves a batch, and what is rolled back is not remembered.
 */
static struct
{
	MemoryContext context;
	LocalTransactionId transaction;
	SubTransactionId subtransaction;
	bool can_sign; /* the newest is among them */
	int count;
	char *keys[KEYS_MAX]; /* the newest first */
	int lengths[KEYS_MAX];
} cache;

static void
forget_keys(void)
{
	if (cache.context != NULL)
	{
		for (int i = 0; i < cache.count; i++)
			explicit_bzero(cache.keys[i], cache.lengths[i]);
		MemoryContextReset(cache.context);
	}
	cache.transaction = InvalidLocalTransactionId;
	cache.count = 0;
}

/* Keeps what a secret's name and value are; names are key_1, key_2, …, the highest is the newest. */
static void
keep_key(const JsonbValue *name, const JsonbValue *value, int *numbers)
{
	char digits[16] = "";
	int number;
	int place = 0;

	if (name->val.string.len <= 4 || name->val.string.len >= 4 + (int) sizeof(digits))
		return;
	memcpy(digits, name->val.string.val + 4, name->val.string.len - 4);
	number = pg_strtoint32(digits);
	while (place < cache.count && numbers[place] > number)
		place++;
	if (place >= KEYS_MAX)
		return;
	if (cache.count == KEYS_MAX)
		cache.count--;
	memmove(&cache.keys[place + 1], &cache.keys[place], sizeof(char *) * (cache.count - place));
	memmove(&cache.lengths[place + 1], &cache.lengths[place], sizeof(int) * (cache.count - place));
	memmove(&numbers[place + 1], &numbers[place], sizeof(int) * (cache.count - place));
	cache.keys[place] = MemoryContextStrdup(
		cache.context, pnstrdup(value->val.string.val, value->val.string.len));
	cache.lengths[place] = value->val.string.len;
	numbers[place] = number;
	cache.count++;
}

/*
 * Sees to it that the cache holds the keys. Where there is none yet, one is
 * made, unless may_make is false or nothing may be written here.
 */
static void
load_keys(bool may_make)
{
	char *problem = NULL;
	int numbers[KEYS_MAX + 1];
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue name;
	JsonbValue value;
	Jsonb *secrets;

	if (cache.transaction == MyProc->lxid && cache.transaction != InvalidLocalTransactionId &&
		cache.subtransaction == GetCurrentSubTransactionId())
		return;
	if (cache.context == NULL)
		cache.context =
			AllocSetContextCreate(TopMemoryContext, "mfiauto link keys", ALLOCSET_SMALL_SIZES);
	forget_keys();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	secrets = mfi_secret_load(SECRET_OWNER, &problem);
	if (JB_ROOT_COUNT(secrets) == 0 && problem == NULL && may_make && !XactReadOnly)
	{
		mfi_secret_add_key(SECRET_OWNER, NULL, NULL, KEYS_MAX, true);
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		secrets = mfi_secret_load(SECRET_OWNER, &problem);
		PopActiveSnapshot();
	}
	iterator = JsonbIteratorInit(&secrets->root);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		keep_key(&name, &value, numbers);
	}
	/* An old key does not take the place of one that cannot be read. */
	cache.can_sign = cache.count > 0 && problem == NULL;
	if (problem != NULL)
		ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						  errmsg("links cannot be signed: %s", problem),
						  errhint("Make the file readable to the server, or run mfiauto.rotate_link_key().")));
	SPI_finish();
	cache.transaction = MyProc->lxid;
	cache.subtransaction = GetCurrentSubTransactionId();
}

static void
check_message(int64 message_id)
{
	if (message_id < 0 || message_id > MFI_TOKEN_MESSAGE_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("message " INT64_FORMAT " has a number too large for a link", message_id)));
}

/*
 * SQL: mfiauto._sign_links(message_id bigint, content text): the text with
 * its markers replaced. Without a key they stay.
 */
Datum
mfiauto_sign_links(PG_FUNCTION_ARGS)
{
	text *content = PG_GETARG_TEXT_PP(1);
	int length = VARSIZE_ANY_EXHDR(content);
	MfiToken token = { .message_id = PG_GETARG_INT64(0) };
	int place = mfi_token_find_marker(VARDATA_ANY(content), length, 0, &token.target);
	text *result;

	if (place < 0)
		PG_RETURN_TEXT_P(content);
	check_message(token.message_id);
	load_keys(true);
	if (!cache.can_sign)
		PG_RETURN_TEXT_P(content);
	result = cstring_to_text_with_len(VARDATA_ANY(content), length);
	while (place >= 0)
	{
		char word[MFI_TOKEN_SIZE + 1];

		mfi_token_write(word, &token, cache.keys[0], cache.lengths[0]);
		memcpy(VARDATA(result) + place, word, MFI_TOKEN_SIZE);
		place = mfi_token_find_marker(VARDATA(result), length, place + MFI_TOKEN_SIZE, &token.target);
	}
	PG_RETURN_TEXT_P(result);
}

/* SQL: mfiauto._has_link_marker(content text) */
Datum
mfiauto_has_link_marker(PG_FUNCTION_ARGS)
{
	text *content = PG_GETARG_TEXT_PP(0);
	int target;

	PG_RETURN_BOOL(mfi_token_find_marker(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content), 0, &target) >= 0);
}

static void
check_target(int target)
{
	if (target < 0 || target > MFI_TOKEN_TARGET_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of a link must be between 0 and %d", MFI_TOKEN_TARGET_MAX)));
}

/* SQL: mfiauto._link_marker(target integer) */
Datum
mfiauto_mark_link(PG_FUNCTION_ARGS)
{
	char word[MFI_TOKEN_SIZE + 1];

	check_target(PG_GETARG_INT32(0));
	mfi_token_mark(word, PG_GETARG_INT32(0));
	PG_RETURN_TEXT_P(cstring_to_text(word));
}

/* SQL: mfiauto._link_token(message_id bigint, target integer): null while there is no key. */
Datum
mfiauto_write_link_token(PG_FUNCTION_ARGS)
{
	MfiToken token = { .message_id = PG_GETARG_INT64(0), .target = PG_GETARG_INT32(1) };
	char word[MFI_TOKEN_SIZE + 1];

	check_message(token.message_id);
	check_target(token.target);
	load_keys(true);
	if (!cache.can_sign)
		PG_RETURN_NULL();
	mfi_token_write(word, &token, cache.keys[0], cache.lengths[0]);
	PG_RETURN_TEXT_P(cstring_to_text(word));
}

/* SQL: mfiauto._read_link_token(token text, OUT message_id bigint, OUT target integer): nulls for what we did not sign. */
Datum
mfiauto_read_link_token(PG_FUNCTION_ARGS)
{
	text *word = PG_GETARG_TEXT_PP(0);
	MfiToken token = { .message_id = 0 };
	TupleDesc row;
	Datum values[2];
	bool nulls[2];
	bool is_ours;

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function must be declared to return a row");
	load_keys(false);
	is_ours = mfi_token_read(VARDATA_ANY(word), VARSIZE_ANY_EXHDR(word), cache.keys, cache.lengths,
							 cache.count, &token);
	values[0] = Int64GetDatum(token.message_id);
	values[1] = Int32GetDatum(token.target);
	nulls[0] = nulls[1] = !is_ours;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/*
 * SQL: mfiauto._add_link_key(value text, file text, keep boolean): a new key,
 * random where neither value nor file is given; keep: the others are still
 * accepted.
 */
Datum
mfiauto_add_link_key(PG_FUNCTION_ARGS)
{
	char *value = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *file = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	/* First of all: what others see of this session must not show the key. */
	pgstat_report_activity(STATE_RUNNING, "SELECT mfiauto.set_link_key(...)");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	mfi_secret_add_key(SECRET_OWNER, value, file, PG_GETARG_BOOL(2) ? KEYS_MAX : 1, false);
	SPI_finish();
	forget_keys();
	PG_RETURN_VOID();
}
