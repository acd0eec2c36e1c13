/*
 * webhook.c
 *		A request of a provider as it came in: bytes, and where they came to.
 *
 * Nothing here trusts what it reads: a body may be any bytes.
 */
#include "postgres.h"

#include "receive/webhook.h"

#include "base/jsonb.h"
#include "gateway/form.h"
#include "gateway/reader.h"

static void add_parameters(json_t *object, const char *text, int length);
static bool has_content_type(const MfiWebhook *webhook, const char *part);

char *
mfi_webhook_header(const MfiWebhook *webhook, const char *name)
{
	JsonbValue	value;

	if (!mfi_jsonb_find_any_case(&webhook->headers->root, name, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static bool
has_content_type(const MfiWebhook *webhook, const char *part)
{
	char	   *type = mfi_webhook_header(webhook, "content-type");

	if (type == NULL)
		return false;
	for (char *c = type; *c != '\0'; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	type[strcspn(type, ";")] = '\0';
	return strstr(type, part) != NULL;
}

bool
mfi_webhook_is_form(const MfiWebhook *webhook)
{
	return has_content_type(webhook, "application/x-www-form-urlencoded");
}

bool
mfi_webhook_is_json(const MfiWebhook *webhook)
{
	return has_content_type(webhook, "json");
}

json_t *
mfi_webhook_parse_json(const char *text, int length)
{
	if (length == 0)
		return NULL;
	return mfi_json_keep(json_loadb(text, length, JSON_DECODE_ANY, NULL));
}

static void
add_parameters(json_t *object, const char *text, int length)
{
	ListCell   *cell;

	foreach(cell, mfi_form_read(text, length))
	{
		MfiParameter *parameter = lfirst(cell);

		mfi_form_make_text(parameter->name, parameter->name_length);
		mfi_form_make_text(parameter->value, parameter->value_length);
		json_object_set_new(object, parameter->name, json_stringn(parameter->value, parameter->value_length));
	}
}

json_t *
mfi_webhook_parse_parameters(const MfiWebhook *webhook)
{
	json_t	   *object = mfi_json_keep(json_pack("{}"));
	json_t	   *body;

	add_parameters(object, webhook->query, strlen(webhook->query));
	if (!mfi_webhook_is_json(webhook))
	{
		add_parameters(object, webhook->body, webhook->body_length);
		return object;
	}
	/* Some providers send as JSON, by a setting of the account, what others of their customers get as a form. */
	body = mfi_webhook_parse_json(webhook->body, webhook->body_length);
	if (!json_is_object(body))
		return webhook->body_length == 0 ? object : NULL;
	json_object_update(object, body);
	return object;
}

/*
 * A parameter of the address, whatever the body is, else of the body.
 */
char *
mfi_webhook_parameter(const MfiWebhook *webhook, const char *name)
{
	json_t	   *parameters = mfi_json_keep(json_pack("{}"));
	json_t	   *member;

	add_parameters(parameters, webhook->query, strlen(webhook->query));
	if (json_object_get(parameters, name) == NULL)
		parameters = mfi_webhook_parse_parameters(webhook);
	if (parameters == NULL || (json_object_size(parameters) == 0 && webhook->body_length > 0))
		parameters = mfi_webhook_parse_json(webhook->body, webhook->body_length);
	member = json_object_get(parameters, name);
	return member != NULL ? mfi_reader_scalar(member) : NULL;
}
