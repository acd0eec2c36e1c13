/*
 * request.c
 *		A message becomes a request.
 *
 * Every value is escaped for its place; what cannot stand in its place (a line
 * break in a header, no receiver) is refused for this message alone.
 */
#include "postgres.h"

#include "base/clock.h"
#include "common/base64.h"
#include "gateway/definition.h"
#include "gateway/mail.h"
#include "gateway/request.h"
#include "mb/pg_wchar.h"
#include "message/sms.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static List *append_fields(StringInfo out, List *fields, Jsonb *context, char first, bool *is_first);
static void build_multipart(const MfiGateway *gateway, Jsonb *context, const char *key, MfiRequest *request);
static List *build_body(const MfiGateway *gateway, Jsonb *context, const char *key, MfiRequest *request);

/*
 * append_fields appends the fields that have a value, and returns them as pairs.
 */
static List *
append_fields(StringInfo out, List *fields, Jsonb *context, char first, bool *is_first)
{
	ListCell   *cell;
	List	   *pairs = NIL;

	foreach(cell, fields)
	{
		MfiField   *field = lfirst(cell);
		MfiPair    *pair = palloc(sizeof(MfiPair));

		pair->name = field->name;
		pair->value = mfi_slot_render(field->slot, context);
		if (pair->value[0] == '\0' && field->slot->has_tags)
			continue;
		mfi_request_append_parameter(out, pair->name, pair->value, first, is_first);
		pairs = lappend(pairs, pair);
	}
	return pairs;
}

static void
build_multipart(const MfiGateway *gateway, Jsonb *context, const char *key, MfiRequest *request)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, gateway->body_fields)
	{
		MfiField   *field = lfirst(cell);
		char	   *value = mfi_slot_render(field->slot, context);

		if (value[0] == '\0' && field->slot->has_tags)
			continue;
		/* The boundary holds a random uuid, so no value can contain it but by having been told. */
		if (strstr(value, key) != NULL && strstr(value, "mfiauto-") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value for field \"%s\" holds the boundary of its body", field->name)));
		appendStringInfo(&out, "--mfiauto-%s\r\nContent-Disposition: form-data; name=\"", key);
		mfi_escape_append(&out, field->name, strlen(field->name), MFI_ESCAPE_URL);
		appendStringInfo(&out, "\"\r\n\r\n%s\r\n", value);
	}
	appendStringInfo(&out, "--mfiauto-%s--\r\n", key);
	request->body = out.data;
	request->body_length = out.len;
	mfi_request_add_header(request, "Content-Type", psprintf("multipart/form-data; boundary=mfiauto-%s", key));
}

/*
 * build_body returns the parameters of a form.
 */
static List *
build_body(const MfiGateway *gateway, Jsonb *context, const char *key, MfiRequest *request)
{
	StringInfoData out;
	List	   *pairs = NIL;
	bool		is_first = true;

	if (gateway->body_kind == MFI_BODY_MULTIPART)
	{
		build_multipart(gateway, context, key, request);
		return NIL;
	}
	initStringInfo(&out);
	switch (gateway->body_kind)
	{
		case MFI_BODY_FORM:
			pairs = append_fields(&out, gateway->body_fields, context, '\0', &is_first);
			break;
		case MFI_BODY_JSON:
			mfi_shape_append(gateway->body_shape, context, &out);
			break;
		case MFI_BODY_TEXT:
			mfi_slot_append(gateway->body_text, context, &out);
			break;
		default:
			if (strcmp(gateway->method, "GET") == 0)
				return NIL;
			break;
	}
	request->body = out.data;
	request->body_length = out.len;
	if (gateway->content_type != NULL)
		mfi_request_add_header(request, "Content-Type", gateway->content_type);
	return pairs;
}

void
mfi_gateway_build_request(const MfiGateway *gateway, const MfiEnvelope *envelope,
						  const char *token, MfiRequest *request)
{
	Jsonb	   *context = mfi_gateway_message_context(gateway, envelope, NULL);
	StringInfoData url;
	ListCell   *cell;
	List	   *pairs;
	bool		is_first = true;

	memset(request, 0, sizeof(MfiRequest));
	if (envelope->to == NULL || envelope->to[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("message has no address")));
	if (gateway->receipt_url != NULL)
		context = mfi_gateway_message_context(gateway, envelope, mfi_slot_render(gateway->receipt_url, context));
	request->method = gateway->method;
	if (gateway->is_mail)
	{
		mfi_mail_build_request(gateway, envelope, context, request);
		mfi_auth_apply(gateway, NIL, token, request);
		return;
	}
	initStringInfo(&url);
	mfi_slot_append(gateway->url, context, &url);
	pairs = append_fields(&url, gateway->query, context, strchr(url.data, '?') != NULL ? '&' : '?', &is_first);
	request->url = url.data;
	foreach(cell, gateway->headers)
	{
		MfiField   *field = lfirst(cell);
		char	   *value = mfi_slot_render(field->slot, context);

		if (value[0] != '\0' || !field->slot->has_tags)
			mfi_request_add_header(request, field->name, value);
	}
	if (gateway->idempotency_header != NULL)
		mfi_request_add_header(request, gateway->idempotency_header, envelope->key);
	pairs = list_concat(pairs, build_body(gateway, context, envelope->key, request));
	mfi_auth_apply(gateway, pairs, token, request);
}
