/*
 * signature.c
 *		Whether a webhook is the provider's: which method, which secrets, and
 *		how old a signature may be.
 */
#include "postgres.h"

#include "receive/signature.h"

#include "base/jsonb.h"
#include "base/secret.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "gateway/reader.h"
#include "receive/hash.h"
#include "receive/time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define TOLERANCE_S 300

PG_FUNCTION_INFO_V1(mfiauto_check_webhook);

static const struct
{
	const char *name;
	MfiSignatureCheck check;
}			methods[] = {
	{"twilio", mfi_signature_twilio}, {"meta", mfi_signature_meta}, {"slack", mfi_signature_slack},
	{"telegram", mfi_signature_telegram}, {"sendgrid", mfi_signature_sendgrid}, {"mailgun", mfi_signature_mailgun},
	{"vonage_jwt", mfi_signature_vonage_jwt}, {"vonage_sms", mfi_signature_vonage_sms},
	{"messagebird_jwt", mfi_signature_messagebird_jwt}, {"bird", mfi_signature_bird}, {"standard", mfi_signature_standard},
	{"sns", mfi_signature_sns}, {"hmac", mfi_signature_hmac}, {"token", mfi_signature_token}, {"basic", mfi_signature_basic},
	{"bearer", mfi_signature_bearer},
};

static bool find_secret(Jsonb *secrets, const char *name, MfiSecret *secret);
static bool is_fresh(json_t *rule, const MfiProof *proof, int64 now_s);
static const char *judge(const MfiWebhook *webhook, json_t *rule, Jsonb *secrets, MfiProof *proof);
static void read_request(FunctionCallInfo fcinfo, MfiWebhook *webhook);

char *
mfi_signature_address(const MfiWebhook *webhook)
{
	if (webhook->url == NULL)
		return NULL;
	return psprintf("%s%s%s", webhook->url, webhook->query[0] != '\0' ? "?" : "", webhook->query);
}

int64
mfi_signature_time(const char *text)
{
	TimestampTz at;

	if (text == NULL || !mfi_time_read(text, &at))
		return 0;
	return at / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
}

static bool
find_secret(Jsonb *secrets, const char *name, MfiSecret *secret)
{
	secret->value = mfi_jsonb_find_string(&secrets->root, name);
	secret->length = secret->value != NULL ? strlen(secret->value) : 0;
	return secret->value != NULL;
}

/*
 * is_fresh: a time that was signed may not be far from now, in the past or in
 * the future; a token that says when it ends may not have ended.
 */
static bool
is_fresh(json_t *rule, const MfiProof *proof, int64 now_s)
{
	json_t	   *member = json_object_get(rule, "tolerance");
	int64		tolerance_s = json_is_number(member) ? (int64) json_number_value(member) : TOLERANCE_S;

	if (proof->expires_at != 0 && now_s > proof->expires_at + tolerance_s)
		return false;
	return proof->signed_at == 0 || (now_s - proof->signed_at <= tolerance_s && proof->signed_at - now_s <= tolerance_s);
}

static const char *
judge(const MfiWebhook *webhook, json_t *rule, Jsonb *secrets, MfiProof *proof)
{
	const char *method = mfi_json_string(rule, "method");
	const char *name = mfi_json_string(rule, "secret");
	MfiSignatureCheck check = NULL;
	MfiSecret	candidates[2];
	int			count = 0;

	if (method == NULL || strcmp(method, "none") == 0)
		return "good";
	for (int i = 0; i < (int) lengthof(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			check = methods[i].check;
	if (check == NULL || name == NULL)
		return "bad";
	count += find_secret(secrets, name, &candidates[count]);
	count += find_secret(secrets, psprintf("%s_previous", name), &candidates[count]);
	if (count == 0)
		return "unset";
	for (int i = 0; i < count; i++)
	{
		memset(proof, 0, sizeof(MfiProof));
		if (check(webhook, rule, &candidates[i], proof))
			return is_fresh(rule, proof, webhook->now_s) ? "good" : "late";
	}
	return "bad";
}

/*
 * read_request takes the arguments of _check_webhook(); of them only our own
 * address may be null.
 */
static void
read_request(FunctionCallInfo fcinfo, MfiWebhook *webhook)
{
	bytea	   *body;
	char	   *query;

	for (int i = 0; i < PG_NARGS(); i++)
		if (i != 3 && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a webhook is checked by its method, query, headers, body and time: none may be null")));
	body = PG_GETARG_BYTEA_PP(6);
	query = text_to_cstring(PG_GETARG_TEXT_PP(4));
	*webhook = (MfiWebhook) {
		.method = text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.url = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)),
		.query = query + (*query == '?'),
		.headers = PG_GETARG_JSONB_P(5),
		.body = VARDATA_ANY(body),
		.body_length = VARSIZE_ANY_EXHDR(body),
		.now_s = PG_GETARG_TIMESTAMPTZ(7) / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY,
	};
}

/*
 * SQL: mfiauto._check_webhook(gateway, rule, method, url, query, headers, body, at, OUT verdict, OUT nonce)
 *
 * verdict: good, bad, late (good, but of another time), unset (no secret to
 * check with). nonce: what the delivery is remembered by.
 */
Datum
mfiauto_check_webhook(PG_FUNCTION_ARGS)
{
	MfiWebhook	webhook;
	json_t	   *rule;
	MfiProof	proof = {0};
	TupleDesc	descriptor;
	Datum		values[2];
	bool		nulls[2] = {false, true};
	char	   *problem = NULL;
	char	   *nonce = NULL;
	const char *verdict;
	MemoryContext outer = CurrentMemoryContext;

	read_request(fcinfo, &webhook);
	rule = mfi_json_parse_utf8(text_to_cstring(PG_GETARG_TEXT_PP(1)), "signature");
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	verdict = judge(&webhook, rule, mfi_secret_load(text_to_cstring(PG_GETARG_TEXT_PP(0)), &problem), &proof);
	if (proof.nonce != NULL)
		nonce = MemoryContextStrdup(outer, proof.nonce);
	SPI_finish();
	values[0] = CStringGetTextDatum(verdict);
	if (nonce != NULL && strcmp(verdict, "good") == 0)
	{
		values[1] = CStringGetTextDatum(nonce);
		nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
