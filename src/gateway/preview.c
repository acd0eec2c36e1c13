/*
 * preview.c
 *		A gateway without a network: the request that a message would become,
 *		and what an answer would mean.
 *
 * Whoever declares a provider sees here what would leave, before anything
 * does; the tests hold every preset against its contract this way.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/jsonb.h"
#include "base/words.h"
#include "catalog/pg_collation.h"
#include "common/base64.h"
#include "funcapi.h"
#include "gateway/gateway.h"
#include "message/sms.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#define NO_KEY "00000000-0000-0000-0000-000000000000"

PG_FUNCTION_INFO_V1(mfiauto_build_request);
PG_FUNCTION_INFO_V1(mfiauto_judge_answer);

static char *text_of(JsonbValue *value);
static char *text_at(Jsonb *object, const char *name);
static int64 number_at(Jsonb *object, const char *name);
static Jsonb *object_at(Jsonb *object, const char *name);
static void check_members(Jsonb *object, const char *what, const char *const *names);
static void read_message(Jsonb *message, MfiEnvelope *envelope);
static char *unmask(const char *masked);
static char *basic_header(const MfiRequest *request);
static Jsonb *headers_of(const MfiGateway *gateway, const MfiRequest *request);
static char *header_at(Jsonb *headers, const char *name);
static time_t http_date(const char *text);
static MfiTransport transport_of(const char *name);

/*
 * text_of is a value's text: a string's, else the JSON itself; NULL for null.
 */
static char *
text_of(JsonbValue *value)
{
	if (value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	return JsonbToCString(NULL, &JsonbValueToJsonb(value)->root, 0);
}

static char *
text_at(Jsonb *object, const char *name)
{
	JsonbValue	value;

	return mfi_jsonb_find(&object->root, name, strlen(name), &value) ? text_of(&value) : NULL;
}

static int64
number_at(Jsonb *object, const char *name)
{
	char	   *text = text_at(object, name);

	return text == NULL ? 0 : DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
}

/* A member that is an object; NULL if it is anything else. */
static Jsonb *
object_at(Jsonb *object, const char *name)
{
	JsonbValue	value;

	if (!mfi_jsonb_find(&object->root, name, strlen(name), &value) || mfi_jsonb_object(&value) == NULL)
		return NULL;
	return JsonbValueToJsonb(&value);
}

static void
check_members(Jsonb *object, const char *what, const char *const *names)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be a JSON object", what)));
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !mfi_words_have(names, pnstrdup(value.val.string.val, value.val.string.len)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s has no member \"%.*s\"", what, Min(value.val.string.len, 60), value.val.string.val),
					 errhint("Known members: %s.", mfi_words_join(names))));
	}
}

/*
 * read_message fills an envelope from the members of the same names.
 */
static void
read_message(Jsonb *message, MfiEnvelope *envelope)
{
	static const char *const names[] = {"to", "title", "text", "html", "locale", "key", "message_id", "client_id",
		"options", "unsubscribe_url", "class", "country", "workflow", "step", "expires_in", NULL};
	MfiSmsSize	size;
	char	   *utf8;

	check_members(message, "message", names);
	memset(envelope, 0, sizeof(MfiEnvelope));
	envelope->to = text_at(message, "to");
	envelope->title = text_at(message, "title");
	envelope->text = text_at(message, "text");
	envelope->html = text_at(message, "html");
	envelope->locale = text_at(message, "locale");
	envelope->key = text_at(message, "key");
	if (envelope->key == NULL)
		envelope->key = NO_KEY;
	envelope->message_id = number_at(message, "message_id");
	envelope->client_id = number_at(message, "client_id");
	envelope->options = object_at(message, "options");
	envelope->unsubscribe_url = text_at(message, "unsubscribe_url");
	envelope->class = text_at(message, "class");
	envelope->country = text_at(message, "country");
	envelope->workflow = text_at(message, "workflow");
	envelope->step = text_at(message, "step");
	envelope->expires_in_s = number_at(message, "expires_in");
	if (envelope->text != NULL)
	{
		utf8 = pg_server_to_any(envelope->text, strlen(envelope->text), PG_UTF8);
		mfi_sms_measure(utf8, strlen(utf8), &size);
		envelope->is_ucs2 = size.encoding == MFI_SMS_UCS2;
	}
}

/*
 * unmask makes what a form or a URL did to the mask readable again.
 */
static char *
unmask(const char *masked)
{
	Datum		readable;

	if (masked == NULL)
		return NULL;
	readable = DirectFunctionCall3Coll(replace_text, C_COLLATION_OID, CStringGetTextDatum(masked),
									   CStringGetTextDatum("%2A%2A%2A"), CStringGetTextDatum(MFI_GATEWAY_MASK));
	return text_to_cstring(DatumGetTextPP(readable));
}

static char *
basic_header(const MfiRequest *request)
{
	char	   *pair = psprintf("%s:%s", request->user, request->password != NULL ? request->password : "");
	int			size = pg_b64_enc_len(strlen(pair)) + 1;
	char	   *encoded = palloc0(size);

	if (pg_b64_encode(pair, strlen(pair), encoded, size - 1) < 0)
		elog(ERROR, "could not encode the credentials");
	return encoded;
}

/*
 * headers_of has what the request carries and what the HTTP library would add
 * for basic authentication.
 */
static Jsonb *
headers_of(const MfiGateway *gateway, const MfiRequest *request)
{
	JsonbParseState *state = NULL;
	List	   *headers = list_copy(request->headers);
	ListCell   *cell;

	if (request->user != NULL && request->sigv4_scope == NULL)
		headers = lappend(headers, psprintf("Authorization: Basic %s",
											gateway->is_masked ? MFI_GATEWAY_MASK : basic_header(request)));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, headers)
	{
		char	   *header = lfirst(cell);
		char	   *colon = strchr(header, ':');

		mfi_jsonb_push_text(&state, pnstrdup(header, colon - header), colon + 2, strlen(colon + 2));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * SQL: mfiauto._build_request(channel, definition, settings, secrets, message, is_masked, is_token)
 */
Datum
mfiauto_build_request(PG_FUNCTION_ARGS)
{
	Jsonb	   *settings = mfi_jsonb_read(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	bool		is_masked = PG_GETARG_BOOL(5);
	MfiGateway *gateway;
	MfiEnvelope envelope;
	MfiRequest	request;
	char	   *token;
	double		lifetime_s;
	TupleDesc	descriptor;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	gateway = mfi_gateway_compile("preview", text_to_cstring(PG_GETARG_TEXT_PP(0)), 0, text_to_cstring(PG_GETARG_TEXT_PP(1)),
								  settings, PG_GETARG_JSONB_P(3), CurrentMemoryContext);
	gateway->is_masked = is_masked;
	if (gateway->url == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("gateway makes no request: its messages stay in the database")));
	if (PG_GETARG_BOOL(6))
	{
		if (gateway->auth_kind != MFI_AUTH_OAUTH2)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("gateway asks nobody for a token")));
		mfi_gateway_build_token_request(gateway, &request);
	}
	else
	{
		read_message(PG_GETARG_JSONB_P(4), &envelope);
		if (is_masked || !mfi_gateway_make_token(gateway, &token, &lifetime_s))
			token = is_masked ? MFI_GATEWAY_MASK : "TOKEN";
		mfi_gateway_build_request(gateway, &envelope, token, &request);
	}
	values[0] = CStringGetTextDatum(request.method);
	values[1] = CStringGetTextDatum(is_masked ? unmask(request.url) : request.url);
	values[2] = JsonbPGetDatum(headers_of(gateway, &request));
	nulls[3] = request.body == NULL;
	if (request.body != NULL)
		values[3] = CStringGetTextDatum(is_masked ? unmask(request.body) : request.body);
	values[4] = CStringGetTextDatum(mfi_gateway_auth_name(gateway));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * header_at is the value of the header of that name, in any case; NULL where there is none.
 */
static char *
header_at(Jsonb *headers, const char *name)
{
	JsonbValue	value;

	if (name == NULL || !mfi_jsonb_find_any_case(mfi_jsonb_root(headers), name, &value))
		return NULL;
	return text_of(&value);
}

/*
 * http_date reads a date of a header; -1 where it is none.
 */
static time_t
http_date(const char *text)
{
	if (strlen(text) < 20 || strcmp(text + strlen(text) - 3, "GMT") != 0)
		return -1;
	return timestamptz_to_time_t(DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
																		 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

static MfiTransport
transport_of(const char *name)
{
	static const struct
	{
		const char *name;
		MfiTransport transport;
	}			transports[] = {
		{"answered", MFI_TRANSPORT_ANSWERED}, {"not_written", MFI_TRANSPORT_NOT_WRITTEN},
		{"broken", MFI_TRANSPORT_BROKEN}, {"refused", MFI_TRANSPORT_REFUSED},
	};

	if (name == NULL)
		return MFI_TRANSPORT_ANSWERED;
	for (int i = 0; i < (int) lengthof(transports); i++)
		if (strcmp(transports[i].name, name) == 0)
			return transports[i].transport;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("transport \"%s\" does not exist", name),
			 errhint("Use one of answered, not_written, broken, refused.")));
}

/*
 * SQL: mfiauto._judge_answer(channel, definition, settings, answer)
 */
Datum
mfiauto_judge_answer(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"status", "headers", "body", "transport", NULL};
	Jsonb	   *settings = mfi_jsonb_read(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	Jsonb	   *given = PG_GETARG_JSONB_P(3);
	MfiGateway *gateway = mfi_gateway_compile("preview", text_to_cstring(PG_GETARG_TEXT_PP(0)), 0,
											  text_to_cstring(PG_GETARG_TEXT_PP(1)), settings, NULL, CurrentMemoryContext);
	MfiAnswer	answer = {0};
	MfiOutcome	outcome;
	Jsonb	   *headers = NULL;
	char	   *text;
	TupleDesc	descriptor;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_members(given, "answer", names);
	if ((text = text_at(given, "headers")) != NULL)
		headers = mfi_jsonb_read(text);
	answer.transport = transport_of(text_at(given, "transport"));
	answer.status = (int) number_at(given, "status");
	text = text_at(given, "body");
	answer.body = text != NULL ? text : "";
	answer.body_length = strlen(answer.body);
	answer.id_header = header_at(headers, gateway->id_header);
	answer.retry_after = header_at(headers, gateway->retry_after_header);
	answer.retry_after_at = answer.retry_after != NULL ? http_date(answer.retry_after) : -1;
	mfi_gateway_judge(gateway, &answer, &outcome);
	values[0] = CStringGetTextDatum(mfi_verdict_name(outcome.verdict));
	values[1] = CStringGetTextDatum(outcome.provider_id);
	nulls[1] = outcome.provider_id[0] == '\0';
	values[2] = CStringGetTextDatum(outcome.error);
	nulls[2] = outcome.error[0] == '\0';
	values[3] = Float8GetDatum(outcome.retry_after_s);
	nulls[3] = outcome.retry_after_s < 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
