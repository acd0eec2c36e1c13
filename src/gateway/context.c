/*
 * context.c
 *		What the templates of a gateway know: its settings and secrets, and what
 *		belongs to a message.
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

static void add_text(JsonbParseState **state, const char *name, const char *text, int length);
static void add_jsonb(JsonbParseState **state, const char *name, Jsonb *value);
static void add_optional(JsonbParseState **state, const char *name, const char *text);
static void add_number(JsonbParseState **state, const char *name, int64 number);
static void add_language(JsonbParseState **state, const MfiEnvelope *envelope);
static int64 find_lifetime(const MfiGateway *gateway, const MfiEnvelope *envelope);
static void add_sender(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope);
static void add_circumstances(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope);
static char *utf16_hex(const char *text);
static char *gsm_hex(const char *text);

static void
add_text(JsonbParseState **state, const char *name, const char *text, int length)
{
	JsonbValue	key;
	JsonbValue	value;

	if (text == NULL)
		return;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = length;
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
add_jsonb(JsonbParseState **state, const char *name, Jsonb *jsonb)
{
	JsonbValue	key;
	JsonbValue	value;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	value.type = jbvBinary;
	value.val.binary.data = &jsonb->root;
	value.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &value);
}

Jsonb *
mfi_gateway_fixed_context(const MfiGateway *gateway)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	add_jsonb(&state, "settings", gateway->settings);
	add_jsonb(&state, "secret", gateway->secrets);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * utf16_hex is the text as hexadecimal UTF-16BE, which some gateways take
 * where their own text parameter is GSM 03.38.
 */
static char *
utf16_hex(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*text != '\0')
	{
		int			length = pg_utf_mblen((const unsigned char *) text);
		pg_wchar	c = utf8_to_unicode((const unsigned char *) text);

		if (c < 0x10000)
			appendStringInfo(&out, "%04X", c);
		else
			appendStringInfo(&out, "%04X%04X", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
		text += length;
	}
	return out.data;
}

/*
 * gsm_hex is the text as hexadecimal GSM 03.38, a byte a septet.
 */
static char *
gsm_hex(const char *text)
{
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData out;

	initStringInfo(&out);
	mfi_sms_append_gsm_hex(&out, utf8, strlen(utf8));
	return out.data;
}

static void
add_optional(JsonbParseState **state, const char *name, const char *text)
{
	if (text != NULL)
		add_text(state, name, text, strlen(text));
}

static void
add_number(JsonbParseState **state, const char *name, int64 number)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &value);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * The language that a text is in, without its country: what the options say
 * that a voice speaks, else the locale's.
 */
static void
add_language(JsonbParseState **state, const MfiEnvelope *envelope)
{
	const char *locale = envelope->locale;
	int			length;
	JsonbValue	key;
	JsonbValue *spoken = NULL;

	key.type = jbvString;
	key.val.string.val = "say_language";
	key.val.string.len = strlen("say_language");
	if (envelope->options != NULL)
		spoken = findJsonbValueFromContainer(&envelope->options->root, JB_FOBJECT, &key);
	if (spoken != NULL && spoken->type == jbvString)
		locale = pnstrdup(spoken->val.string.val, spoken->val.string.len);
	if (locale == NULL || locale[0] == '*')
		return;
	length = strcspn(locale, "-_");
	add_text(state, "language", pnstrdup(locale, length), length);
}

/*
 * Who a message says that it comes from: its text's word, else the gateway's.
 */
static void
add_sender(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope)
{
	JsonbValue	key;
	JsonbValue *value = NULL;

	key.type = jbvString;
	key.val.string.val = "sender";
	key.val.string.len = strlen("sender");
	if (envelope->options != NULL)
		value = findJsonbValueFromContainer(&envelope->options->root, JB_FOBJECT, &key);
	if (value != NULL && value->type == jbvString && value->val.string.len > 0)
		add_text(state, "sender", value->val.string.val, value->val.string.len);
	else
		add_optional(state, "sender", gateway->sender);
}

/*
 * How long the provider may try: as long as the message lives, or less if its
 * text says so, within what the provider takes; 0: for ever.
 */
static int64
find_lifetime(const MfiGateway *gateway, const MfiEnvelope *envelope)
{
	static const char *const names[] = {"ttl", "validity"};
	int64		lifetime_s = envelope->expires_in_s;
	JsonbValue	key;

	for (int i = 0; envelope->options != NULL && i < (int) lengthof(names); i++)
	{
		JsonbValue *value;
		int64		seconds;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, names[i]);
		key.val.string.len = strlen(names[i]);
		value = findJsonbValueFromContainer(&envelope->options->root, JB_FOBJECT, &key);
		if (value == NULL || value->type != jbvNumeric)
			continue;
		seconds = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
		if (seconds > 0 && (lifetime_s <= 0 || seconds < lifetime_s))
			lifetime_s = seconds;
	}
	return lifetime_s <= 0 ? 0 : Max(Min(lifetime_s, gateway->expires_in_most_s), gateway->expires_in_least_s);
}

/* Where the message comes from, and how long it may take. */
static void
add_circumstances(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope)
{
	int64		lifetime_s = find_lifetime(gateway, envelope);

	if (envelope->options != NULL)
		add_jsonb(state, "options", envelope->options);
	add_language(state, envelope);
	add_optional(state, "unsubscribe_url", envelope->unsubscribe_url);
	add_optional(state, "class", envelope->class);
	add_optional(state, "country", envelope->country);
	add_optional(state, "workflow", envelope->workflow);
	add_optional(state, "step", envelope->step);
	if (lifetime_s == 0)
		return;
	add_number(state, "expires_in", lifetime_s);
	add_number(state, "expires_in_minutes", Max(lifetime_s / 60, 1));
	add_number(state, "expires_in_ms", lifetime_s * 1000);
	add_number(state, "expires_at_unix", timestamptz_to_time_t(mfi_clock_now()) + lifetime_s);
}

Jsonb *
mfi_gateway_message_context(const MfiGateway *gateway, const MfiEnvelope *envelope, const char *receipt_url)
{
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	value;
	char		number[32];
	char		reference[80];
	const char *to = envelope->to != NULL ? envelope->to : "";
	const char *text = envelope->text != NULL ? envelope->text : "";

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	add_text(&state, "to", to, strlen(to));
	add_text(&state, "to_digits", to + (*to == '+'), strlen(to) - (*to == '+'));
	add_text(&state, "text", text, strlen(text));
	add_optional(&state, "title", envelope->title);
	add_optional(&state, "html", envelope->html);
	add_optional(&state, "locale", envelope->locale);
	add_circumstances(&state, gateway, envelope);
	add_text(&state, "key", envelope->key, strlen(envelope->key));
	snprintf(number, sizeof(number), INT64_FORMAT, envelope->message_id);
	add_text(&state, "message_id", pstrdup(number), strlen(number));
	snprintf(reference, sizeof(reference), INT64_FORMAT "-%s", envelope->message_id, envelope->key);
	add_text(&state, "reference", pstrdup(reference), strlen(reference));
	snprintf(number, sizeof(number), INT64_FORMAT, envelope->client_id);
	add_text(&state, "client_id", pstrdup(number), strlen(number));
	if (gateway->needs_text_hex)
	{
		char	   *hex = utf16_hex(text);

		add_text(&state, "text_hex", hex, strlen(hex));
		if (!envelope->is_ucs2)
		{
			hex = gsm_hex(text);
			add_text(&state, "text_gsm_hex", hex, strlen(hex));
		}
	}
	add_sender(&state, gateway, envelope);
	if (receipt_url != NULL)
		add_text(&state, "receipt_url", receipt_url, strlen(receipt_url));
	key.type = jbvString;
	key.val.string.val = "ucs2";
	key.val.string.len = strlen("ucs2");
	pushJsonbValue(&state, WJB_KEY, &key);
	value.type = jbvBool;
	value.val.boolean = envelope->is_ucs2;
	pushJsonbValue(&state, WJB_VALUE, &value);
	add_jsonb(&state, "settings", gateway->settings);
	add_jsonb(&state, "secret", gateway->secrets);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * mfi_gateway_base_url is the address up to the path, as far as it is known
 * without a message; NULL for the sandbox.
 */
char *
mfi_gateway_base_url(const MfiGateway *gateway)
{
	char	   *url;
	char	   *host;

	if (gateway->url == NULL)
		return NULL;
	url = mfi_slot_render(gateway->url, mfi_gateway_fixed_context(gateway));
	host = strstr(url, "://");
	if (host == NULL)
		return pstrdup(url);
	return pnstrdup(url, host + 3 - url + strcspn(host + 3, "/?#"));
}
