/*
 * context.c
 *		What the templates of a gateway know: its settings and secrets, and what
 *		belongs to a message.
 */
#include "postgres.h"
#include "base/clock.h"
#include "base/jsonb.h"
#include "common/base64.h"
#include "gateway/definition.h"
#include "gateway/mail.h"
#include "gateway/mime.h"
#include "gateway/request.h"
#include "mb/pg_wchar.h"
#include "message/sms.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static void add_text(JsonbParseState **state, const char *name, const char *text);
static void add_jsonb(JsonbParseState **state, const char *name, Jsonb *value);
static void add_boolean(JsonbParseState **state, const char *name, bool is_true);
static void add_language(JsonbParseState **state, const MfiEnvelope *envelope);
static int64 find_lifetime(const MfiGateway *gateway, const MfiEnvelope *envelope);
static void add_html(JsonbParseState **state, const MfiEnvelope *envelope);
static void add_sender(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope);
static void add_circumstances(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope);
static char *utf16_hex(const char *text);
static char *gsm_hex(const char *text);

static void
add_text(JsonbParseState **state, const char *name, const char *text)
{
	if (text != NULL)
		mfi_jsonb_push_text(state, name, text, strlen(text));
}

static void
add_jsonb(JsonbParseState **state, const char *name, Jsonb *jsonb)
{
	JsonbValue	value;

	mfi_jsonb_push_key(state, name);
	value.type = jbvBinary;
	value.val.binary.data = &jsonb->root;
	value.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
add_boolean(JsonbParseState **state, const char *name, bool is_true)
{
	JsonbValue	value;

	mfi_jsonb_push_key(state, name);
	value.type = jbvBool;
	value.val.boolean = is_true;
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

/*
 * The language that a text is in, without its country: what the options say
 * that a voice speaks, else the locale's.
 */
static void
add_language(JsonbParseState **state, const MfiEnvelope *envelope)
{
	const char *spoken = mfi_jsonb_find_string(mfi_jsonb_root(envelope->options), "say_language");
	const char *locale = spoken != NULL ? spoken : envelope->locale;

	if (locale != NULL && locale[0] != '*')
		mfi_jsonb_push_text(state, "language", locale, strcspn(locale, "-_"));
}

/*
 * A letter's HTML with what is shown beside its subject: providers take no
 * preheader of their own.
 */
static void
add_html(JsonbParseState **state, const MfiEnvelope *envelope)
{
	char	   *preheader = mfi_jsonb_find_string(mfi_jsonb_root(envelope->options), "preheader");

	add_text(state, "html", envelope->html != NULL && preheader != NULL ? mfi_mime_with_preheader(envelope->html, preheader) : envelope->html);
}

/*
 * Who a message says that it comes from: its text's word, else the gateway's.
 */
static void
add_sender(JsonbParseState **state, const MfiGateway *gateway, const MfiEnvelope *envelope)
{
	const char *own = mfi_jsonb_find_string(mfi_jsonb_root(envelope->options), "sender");

	add_text(state, "sender", own != NULL ? own : gateway->sender);
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

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		JsonbValue	value;
		int64		seconds;

		if (!mfi_jsonb_find(mfi_jsonb_root(envelope->options), names[i], strlen(names[i]), &value) || value.type != jbvNumeric)
			continue;
		seconds = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
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
	add_text(state, "unsubscribe_url", envelope->unsubscribe_url);
	add_text(state, "class", envelope->class);
	add_text(state, "country", envelope->country);
	add_text(state, "workflow", envelope->workflow);
	add_text(state, "step", envelope->step);
	if (lifetime_s == 0)
		return;
	mfi_jsonb_push_number(state, "expires_in", lifetime_s);
	mfi_jsonb_push_number(state, "expires_in_minutes", Max(lifetime_s / 60, 1));
	mfi_jsonb_push_number(state, "expires_in_ms", lifetime_s * 1000);
	mfi_jsonb_push_number(state, "expires_at_unix", timestamptz_to_time_t(mfi_clock_now()) + lifetime_s);
}

Jsonb *
mfi_gateway_message_context(const MfiGateway *gateway, const MfiEnvelope *envelope, const char *receipt_url)
{
	JsonbParseState *state = NULL;
	const char *to = envelope->to != NULL ? envelope->to : "";
	const char *text = envelope->text != NULL ? envelope->text : "";

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	add_text(&state, "to", to);
	add_text(&state, "to_digits", to + (*to == '+'));
	add_text(&state, "text", text);
	add_text(&state, "title", envelope->title);
	add_html(&state, envelope);
	add_text(&state, "locale", envelope->locale);
	add_circumstances(&state, gateway, envelope);
	add_text(&state, "key", envelope->key);
	add_text(&state, "message_id", psprintf(INT64_FORMAT, envelope->message_id));
	add_text(&state, "reference", psprintf(INT64_FORMAT "-%s", envelope->message_id, envelope->key));
	add_text(&state, "client_id", psprintf(INT64_FORMAT, envelope->client_id));
	if (gateway->needs_text_hex)
	{
		add_text(&state, "text_hex", utf16_hex(text));
		if (!envelope->is_ucs2)
			add_text(&state, "text_gsm_hex", gsm_hex(text));
	}
	add_sender(&state, gateway, envelope);
	add_text(&state, "receipt_url", receipt_url);
	add_boolean(&state, "ucs2", envelope->is_ucs2);
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
