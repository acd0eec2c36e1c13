/*
 * event.c
 *		A webhook becomes rows: what it says of messages, and what people wrote.
 *
 * Each element is the first rule's that fits it. What is not there is null,
 * and what cannot be read at all is one row that says so.
 */
#include "postgres.h"

#include <ctype.h>

#include "receive/document.h"

#include "base/jsonb.h"
#include "fmgr.h"
#include "funcapi.h"
#include "gateway/reader.h"
#include "miscadmin.h"
#include "receive/hash.h"
#include "receive/time.h"
#include "utils/builtins.h"
#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATUS_BYTES_MAX 200
#define ID_BYTES_MAX 250
#define ADDRESS_BYTES_MAX 500
#define TEXT_BYTES_MAX 20000
#define EVENTS_MAX 20000

PG_FUNCTION_INFO_V1(mfiauto_read_webhook);

/* The columns of _read_webhook(). */
enum
{
	COLUMN_PART, COLUMN_PROVIDER_ID, COLUMN_REFERENCE, COLUMN_STATUS, COLUMN_STATE, COLUMN_INTERACTION, COLUMN_ERROR, COLUMN_AT,
	COLUMN_DETAIL, COLUMN_OPTED_OUT, COLUMN_DEAD, COLUMN_IS_BOT, COLUMN_DIGEST, COLUMN_KIND, COLUMN_FROM, COLUMN_TO, COLUMN_BODY,
	COLUMN_COUNT
};

typedef struct Reading
{
	ReturnSetInfo *result;
	const MfiWebhook *webhook;
	json_t	   *documents[2];	/* as JSON, as parameters */
	bool		is_parsed[2];
	json_t	   *query;
	const char *unwrapped_path;	/* the last "unwrap", and what it gave */
	json_t	   *unwrapped;
	HTAB	   *taken;			/* elements that a rule has read */
	int			row_count;
	bool		has_document;
} Reading;

static json_t *find_document(Reading *reading, json_t *rule);
static const char *find_in_map(json_t *map, const char *match, const char *status);
static bool is_listed(json_t *rule, const char *name, const char *text);
static void set_text(Datum *values, bool *nulls, int column, const char *text);
static void set_detail(Datum *values, bool *nulls, json_t *detail);
static void set_digest(Datum *values, bool *nulls, const char *const *parts, int count);
static bool set_time(const MfiElement *element, json_t *rule, Datum *values, bool *nulls, char **text);
static void put_row(Reading *reading, const char *part, Datum *values, bool *nulls);
static bool read_receipt(Reading *reading, const MfiElement *element, json_t *rule);
static bool read_inbound(Reading *reading, const MfiElement *element, json_t *rule);
static void read_rule(Reading *reading, json_t *rule, bool (*read) (Reading *reading, const MfiElement *element, json_t *rule));
static void read_rules(Reading *reading, json_t *rules, bool (*read) (Reading *reading, const MfiElement *element, json_t *rule));

/*
 * find_document is the body as a rule's format and "unwrap" say; NULL if it
 * cannot be read so.
 */
static json_t *
find_document(Reading *reading, json_t *rule)
{
	const char *format = mfi_json_string(rule, "format");
	const char *unwrap = mfi_json_string(rule, "unwrap");
	int			kind = format != NULL && strcmp(format, "json") != 0;
	json_t	   *document;

	if (!reading->is_parsed[kind])
	{
		reading->documents[kind] = kind == 0 ? mfi_webhook_parse_json(reading->webhook->body, reading->webhook->body_length)
			: mfi_webhook_parse_parameters(reading->webhook);
		reading->is_parsed[kind] = true;
	}
	document = reading->documents[kind];
	if (document != NULL && unwrap != NULL)
	{
		json_t	   *wrapped = mfi_reader_walk(document, unwrap);

		/* The same tree for all rules, so that they know what others took. */
		if (reading->unwrapped_path == NULL || strcmp(reading->unwrapped_path, unwrap) != 0)
			reading->unwrapped = json_is_string(wrapped)
				? mfi_webhook_parse_json(json_string_value(wrapped), json_string_length(wrapped)) : document;
		reading->unwrapped_path = unwrap;
		document = reading->unwrapped;
	}
	return json_is_object(document) || json_is_array(document) ? document : NULL;
}

/*
 * find_in_map finds what a status is called by us: by equality, by the longest
 * prefix, or by bits, where the state that says most wins.
 */
static const char *
find_in_map(json_t *map, const char *match, const char *status)
{
	static const char *const ranks[] = {"delivered", "expired", "undelivered", "failed", "sent", "submitted", "ignore", NULL};
	bool		is_bits = match != NULL && strcmp(match, "bits") == 0;
	bool		is_prefix = match != NULL && strcmp(match, "prefix") == 0;
	const char *found = NULL;
	size_t		found_length = 0;
	int			found_rank = lengthof(ranks);
	const char *name;
	json_t	   *value;

	if (is_bits && (strlen(status) > 9 || strspn(status, "0123456789") != strlen(status)))
		return NULL;
	json_object_foreach(map, name, value)
	{
		const char *text = json_string_value(value);

		if (is_bits)
		{
			int			rank = 0;

			if ((strtol(status, NULL, 10) & strtol(name, NULL, 10)) == 0)
				continue;
			while (ranks[rank] != NULL && strcmp(ranks[rank], text) != 0)
				rank++;
			if (rank < found_rank)
				found = text;
			found_rank = Min(rank, found_rank);
		}
		else if (is_prefix ? strncmp(status, name, strlen(name)) == 0 && (found == NULL || strlen(name) > found_length)
				 : pg_strcasecmp(status, name) == 0)
		{
			found = text;
			found_length = strlen(name);
		}
	}
	return found;
}

static bool
is_listed(json_t *rule, const char *name, const char *text)
{
	ListCell   *cell;

	if (text == NULL)
		return false;
	foreach(cell, mfi_reader_texts(rule, "receipt", name))
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_detail(Datum *values, bool *nulls, json_t *detail)
{
	nulls[COLUMN_DETAIL] = json_object_size(detail) == 0;
	if (!nulls[COLUMN_DETAIL])
		values[COLUMN_DETAIL] = JsonbPGetDatum(mfi_jsonb_read(mfi_json_write(detail)));
}

/*
 * set_digest: what the provider repeats has the same one.
 */
static void
set_digest(Datum *values, bool *nulls, const char *const *parts, int count)
{
	StringInfoData data;
	MfiHash		hash;

	initStringInfo(&data);
	for (int i = 0; i < count; i++)
		appendStringInfo(&data, "%s\n", parts[i] != NULL ? parts[i] : "");
	mfi_hash_data("sha256", data.data, data.len, &hash);
	set_text(values, nulls, COLUMN_DIGEST, mfi_hash_to_hex(&hash));
}

static bool
set_time(const MfiElement *element, json_t *rule, Datum *values, bool *nulls, char **text)
{
	TimestampTz at;

	*text = mfi_document_text(element, json_object_get(rule, "time"), 100);
	if (*text == NULL || !mfi_time_read(*text, &at))
		return false;
	values[COLUMN_AT] = TimestampTzGetDatum(at);
	nulls[COLUMN_AT] = false;
	return true;
}

static void
put_row(Reading *reading, const char *part, Datum *values, bool *nulls)
{
	set_text(values, nulls, COLUMN_PART, part);
	tuplestore_putvalues(reading->result->setResult, reading->result->setDesc, values, nulls);
	reading->row_count++;
}

static bool
read_receipt(Reading *reading, const MfiElement *element, json_t *rule)
{
	const char *match = mfi_json_string(rule, "match");
	char	   *id = mfi_document_text(element, json_object_get(rule, "id"), ID_BYTES_MAX);
	char	   *reference = mfi_document_text(element, json_object_get(rule, "reference"), ID_BYTES_MAX);
	char	   *status = mfi_document_text(element, json_object_get(rule, "status"), STATUS_BYTES_MAX);
	char	   *error = mfi_document_text(element, json_object_get(rule, "error"), STATUS_BYTES_MAX);
	char	   *event = mfi_document_text(element, json_object_get(rule, "event"), ID_BYTES_MAX);
	char	   *seconds = mfi_document_text(element, json_object_get(rule, "seconds"), 20);
	char	   *digits = mfi_document_text(element, json_object_get(rule, "digits"), 100);
	char	   *url = mfi_document_text(element, json_object_get(rule, "url"), 2000);
	json_t	   *bot = json_object_get(rule, "bot");
	const char *state = mfi_json_string(rule, "state");
	const char *interaction;
	char	   *time;
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT];
	bool		is_bounce;
	json_t	   *detail;

	if (id == NULL && reference == NULL && status == NULL)
		return false;
	memset(nulls, true, sizeof(nulls));
	if (id != NULL && json_is_true(json_object_get(rule, "id_prefix")))
		id[strcspn(id, ".")] = '\0';
	if (state == NULL && status != NULL)
		state = find_in_map(json_object_get(rule, "states"), match, status);
	interaction = status != NULL ? find_in_map(json_object_get(rule, "interactions"), match, status) : NULL;
	is_bounce = interaction != NULL && strcmp(interaction, "bounced") == 0;
	if (seconds != NULL && (strlen(seconds) > 9 || strspn(seconds, "0123456789.") != strlen(seconds)))
		seconds = NULL;
	/* A call that was hung up at once was no message heard. */
	if (state != NULL && strcmp(state, "delivered") == 0 && json_object_get(rule, "least_seconds") != NULL &&
		atof(seconds != NULL ? seconds : "0") < json_number_value(json_object_get(rule, "least_seconds")))
	{
		state = "undelivered";
		error = error != NULL ? error : "hung up";
	}
	set_text(values, nulls, COLUMN_PROVIDER_ID, id);
	set_text(values, nulls, COLUMN_REFERENCE, reference);
	set_text(values, nulls, COLUMN_STATUS, status);
	set_text(values, nulls, COLUMN_STATE, state == NULL && is_bounce ? "undelivered" : state);
	set_text(values, nulls, COLUMN_INTERACTION, is_bounce ? NULL : interaction);
	set_text(values, nulls, COLUMN_ERROR, error);
	(void) set_time(element, rule, values, nulls, &time);
	detail = mfi_json_keep(json_pack("{}"));
	if (seconds != NULL)
		json_object_set_new(detail, "seconds", strchr(seconds, '.') != NULL ? json_real(atof(seconds)) : json_integer(strtol(seconds, NULL, 10)));
	if (digits != NULL)
		json_object_set_new(detail, "digits", json_string(digits));
	if (url != NULL)
		json_object_set_new(detail, "url", json_string(url));
	set_detail(values, nulls, detail);
	values[COLUMN_OPTED_OUT] = BoolGetDatum(is_listed(rule, "opted_out_errors", error) ||
											(interaction != NULL && strcmp(interaction, "unsubscribed") == 0));
	values[COLUMN_DEAD] = BoolGetDatum(is_listed(rule, "dead_errors", error) || is_bounce);
	values[COLUMN_IS_BOT] = BoolGetDatum(bot != NULL && mfi_document_fits(element, bot));
	nulls[COLUMN_OPTED_OUT] = nulls[COLUMN_DEAD] = nulls[COLUMN_IS_BOT] = false;
	set_digest(values, nulls, (const char *const[]) {id, reference, status, error, event != NULL ? event : time,
													 event != NULL ? NULL : seconds, event != NULL ? NULL : digits,
													 event != NULL ? NULL : url}, 8);
	put_row(reading, "receipt", values, nulls);
	return true;
}

/*
 * The bytes that a text stands for: two hexadecimal digits each, or
 * percent-encoded where it has a percent sign. -1: it is neither.
 */
static int
decode_bytes(const char *text, unsigned char *bytes)
{
	bool		has_percent = strchr(text, '%') != NULL;
	int			count = 0;

	while (*text != '\0')
	{
		if (has_percent && *text != '%')
			bytes[count++] = (unsigned char) *text++;
		else
		{
			text += has_percent;
			if (!isxdigit((unsigned char) text[0]) || !isxdigit((unsigned char) text[1]))
				return -1;
			bytes[count++] = (unsigned char) strtol((char[]) {text[0], text[1], '\0'}, NULL, 16);
			text += 2;
		}
	}
	return count;
}

/*
 * What was written, where a provider hands UTF-16BE on as it came from the
 * network; as it is, if it is nothing of the kind.
 */
static char *
decode_utf16(char *text)
{
	unsigned char *bytes = palloc(strlen(text) + 1);
	int			count = decode_bytes(text, bytes);
	StringInfoData out;

	if (count <= 0 || count % 2 != 0)
		return text;
	initStringInfo(&out);
	for (int i = 0; i < count; i += 2)
	{
		pg_wchar	unit = bytes[i] << 8 | bytes[i + 1];
		pg_wchar	next = i + 3 < count ? bytes[i + 2] << 8 | bytes[i + 3] : 0;
		unsigned char letter[8] = {0};

		if (is_utf16_surrogate_first(unit) && is_utf16_surrogate_second(next))
		{
			unit = surrogate_pair_to_codepoint(unit, next);
			i += 2;
		}
		else if (unit == 0 || is_utf16_surrogate_first(unit) || is_utf16_surrogate_second(unit))
			unit = 0xFFFD;
		unicode_to_utf8(unit, letter);
		appendBinaryStringInfo(&out, (char *) letter, pg_utf_mblen(letter));
	}
	return out.data;
}

/* The text of what came in: what the rule takes it for, else what was written. */
static const char *
read_body(const MfiElement *element, json_t *rule)
{
	const char *says = mfi_json_string(rule, "says");
	char	   *text = says == NULL ? mfi_document_text(element, json_object_get(rule, "text"), TEXT_BYTES_MAX) : NULL;

	if (says != NULL || text == NULL || mfi_json_string(rule, "encoding") == NULL)
		return says != NULL ? says : text;
	return decode_utf16(text);
}

static bool
read_inbound(Reading *reading, const MfiElement *element, json_t *rule)
{
	json_t	   *kind_rule = json_object_get(rule, "kind");
	const char *kind = json_string_value(kind_rule);
	char	   *from = mfi_document_text(element, json_object_get(rule, "from"), ADDRESS_BYTES_MAX);
	char	   *digits = mfi_document_text(element, json_object_get(rule, "digits"), 100);
	char	   *name = mfi_document_text(element, json_object_get(rule, "profile_name"), 200);
	char	   *time;
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT];
	const char *member;
	json_t	   *path;
	json_t	   *detail;

	if (from == NULL)
		return false;
	memset(nulls, true, sizeof(nulls));
	if (json_is_object(kind_rule))
	{
		char	   *text = mfi_document_text(element, json_object_get(kind_rule, "path"), STATUS_BYTES_MAX);

		kind = text != NULL ? find_in_map(json_object_get(kind_rule, "map"), NULL, text) : NULL;
	}
	set_text(values, nulls, COLUMN_KIND, kind != NULL ? kind : "message");
	set_text(values, nulls, COLUMN_FROM, from);
	set_text(values, nulls, COLUMN_TO, mfi_document_text(element, json_object_get(rule, "to"), ADDRESS_BYTES_MAX));
	set_text(values, nulls, COLUMN_BODY, read_body(element, rule));
	set_text(values, nulls, COLUMN_PROVIDER_ID, mfi_document_text(element, json_object_get(rule, "id"), ID_BYTES_MAX));
	(void) set_time(element, rule, values, nulls, &time);
	detail = mfi_json_keep(json_pack("{}"));
	if (digits != NULL)
		json_object_set_new(detail, "digits", json_string(digits));
	if (name != NULL)
		json_object_set_new(detail, "profile_name", json_string(name));
	json_object_foreach(json_object_get(rule, "detail"), member, path)
	{
		char	   *text = mfi_document_text(element, path, 2000);

		if (text != NULL)
			json_object_set_new(detail, member, json_string(text));
	}
	set_detail(values, nulls, detail);
	put_row(reading, "inbound", values, nulls);
	return true;
}

static void
read_rule(Reading *reading, json_t *rule, bool (*read) (Reading *reading, const MfiElement *element, json_t *rule))
{
	MfiDocument document = {.webhook = reading->webhook, .root = find_document(reading, rule), .parameters = reading->query};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "mfiauto event", ALLOCSET_DEFAULT_SIZES);
	ListCell   *cell;

	if (document.root == NULL)
		return;
	reading->has_document = true;
	foreach(cell, mfi_document_list(&document, mfi_json_string(rule, "list")))
	{
		MfiElement *element = lfirst(cell);
		MemoryContext outer = MemoryContextSwitchTo(scratch);
		bool		is_taken = hash_search(reading->taken, &element->value, HASH_FIND, NULL) != NULL;

		CHECK_FOR_INTERRUPTS();
		if (reading->row_count >= EVENTS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("webhook holds more than %d events", EVENTS_MAX)));
		if (!is_taken && mfi_document_fits(element, json_object_get(rule, "when")) && read(reading, element, rule))
			(void) hash_search(reading->taken, &element->value, HASH_ENTER, NULL);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
}

static void
read_rules(Reading *reading, json_t *rules, bool (*read) (Reading *reading, const MfiElement *element, json_t *rule))
{
	HASHCTL		control = {.keysize = sizeof(json_t *), .entrysize = sizeof(json_t *), .hcxt = CurrentMemoryContext};
	json_t	   *rule;
	size_t		index;

	reading->taken = hash_create("mfiauto elements", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (json_is_object(rules))
		read_rule(reading, rules, read);
	json_array_foreach(rules, index, rule)
		read_rule(reading, rule, read);
	hash_destroy(reading->taken);
}

/*
 * SQL: mfiauto._read_webhook(definition, method, query, headers, body)
 */
Datum
mfiauto_read_webhook(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(4);
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(2));
	MfiWebhook	webhook = {
		.method = text_to_cstring(PG_GETARG_TEXT_PP(1)),
		.query = query + (*query == '?'),
		.headers = PG_GETARG_JSONB_P(3),
		.body = VARDATA_ANY(body),
		.body_length = VARSIZE_ANY_EXHDR(body),
	};
	json_t	   *definition = mfi_json_parse_utf8(text_to_cstring(PG_GETARG_TEXT_PP(0)), "gateway definition");
	MfiWebhook	query_alone = webhook;
	Reading		reading = {0};
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT];

	InitMaterializedSRF(fcinfo, 0);
	query_alone.body_length = 0;
	reading.result = (ReturnSetInfo *) fcinfo->resultinfo;
	reading.webhook = &webhook;
	reading.query = mfi_webhook_parse_parameters(&query_alone);
	read_rules(&reading, json_object_get(definition, "receipt"), read_receipt);
	read_rules(&reading, json_object_get(definition, "inbound"), read_inbound);
	if (reading.row_count == 0)
	{
		memset(nulls, true, sizeof(nulls));
		put_row(&reading, reading.has_document ? "nothing" : "unreadable", values, nulls);
	}
	return (Datum) 0;
}
