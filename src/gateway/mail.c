/*
 * mail.c
 *		Gateways of transport smtp: the request is a letter, the answer a mail
 *		server's last word.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/jsonb.h"
#include "gateway/mail.h"
#include "gateway/mime.h"
#include "gateway/reader.h"
#include "utils/builtins.h"

static MfiSlot *read_slot(json_t *request, const char *name, bool is_required, MfiScopeOfTags scope, MfiEscape escape);
static char *render(const MfiSlot *slot, Jsonb *context);
static void add_headers(const MfiGateway *gateway, const MfiEnvelope *envelope, Jsonb *context, MfiLetter *letter);

static MfiSlot *
read_slot(json_t *request, const char *name, bool is_required, MfiScopeOfTags scope, MfiEscape escape)
{
	const char *text = mfi_reader_string(request, "request", name, is_required);

	return text != NULL ? mfi_slot_parse(text, mfi_reader_path("request", name), escape, scope) : NULL;
}

void
mfi_mail_read_definition(MfiGateway *gateway, json_t *request)
{
	static const char *const names[] = {"url", "helo", "tls", "from", "reply_to", "return_path", "unsubscribe", "headers", NULL};
	const char *url = mfi_reader_string(request, "request", "url", true);
	const char *tls = mfi_reader_string(request, "request", "tls", false);
	json_t	   *headers = mfi_reader_object(request, "request", "headers");
	const char *name;
	json_t	   *value;

	mfi_reader_check_members(request, "request", names);
	if (strcmp(gateway->channel, "email") != 0)
		mfi_reader_fail("transport", "smtp is for channel email", NULL);
	gateway->method = pstrdup("MAIL");
	mfi_definition_check_url(url, "request.url", true);
	gateway->url = mfi_slot_parse(url, "request.url", MFI_ESCAPE_URL, MFI_TAGS_SETTINGS);
	gateway->mail_helo = read_slot(request, "helo", false, MFI_TAGS_SETTINGS, MFI_ESCAPE_URL);
	gateway->mail_from = read_slot(request, "from", true, MFI_TAGS_MESSAGE, MFI_ESCAPE_NONE);
	gateway->mail_reply_to = read_slot(request, "reply_to", false, MFI_TAGS_MESSAGE, MFI_ESCAPE_NONE);
	gateway->mail_return_path = read_slot(request, "return_path", false, MFI_TAGS_MESSAGE, MFI_ESCAPE_NONE);
	gateway->mail_unsubscribe = read_slot(request, "unsubscribe", false, MFI_TAGS_MESSAGE, MFI_ESCAPE_NONE);
	gateway->mail_tls = mfi_slot_parse(tls != NULL ? tls : "required", "request.tls", MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	json_object_foreach(headers, name, value)
		if (!mfi_mail_may_set(name))
			mfi_reader_fail(mfi_reader_path("request.headers", name), "this header is not the definition's to set", NULL);
	if (headers != NULL)
		gateway->headers = mfi_definition_read_fields(headers, "request.headers", true);
	if (gateway->code_paths == NIL)
		gateway->code_paths = list_make1(pstrdup(""));	/* enhanced status codes stand in the reply itself */
}

/*
 * mfi_mail_settle is for what settings decide: whether letters may travel in
 * the clear.
 */
void
mfi_mail_settle(MfiGateway *gateway, Jsonb *context)
{
	char	   *tls = mfi_slot_render(gateway->mail_tls, context);

	if (strcmp(tls, "required") != 0 && strcmp(tls, "none") != 0)
		mfi_reader_fail("request.tls", "expected \"required\" or \"none\"",
						"\"none\" is only for a mail server of your own that mfiauto.private_hosts lists.");
	gateway->is_unencrypted = strcmp(tls, "none") == 0;
	if (gateway->sender != NULL)
		(void) mfi_mime_address(gateway->sender, "sender");
	mfi_slot_settle(gateway->mail_helo, context);
	mfi_slot_settle(gateway->mail_from, context);
	mfi_slot_settle(gateway->mail_reply_to, context);
	mfi_slot_settle(gateway->mail_return_path, context);
	mfi_slot_settle(gateway->mail_unsubscribe, context);
}

static char *
render(const MfiSlot *slot, Jsonb *context)
{
	char	   *text = slot != NULL ? mfi_slot_render(slot, context) : NULL;

	return text != NULL && text[0] != '\0' ? text : NULL;
}

/*
 * add_headers adds the definition's headers, those of the message's options,
 * and the pair of RFC 8058 where the message has an unsubscribe link.
 */
static void
add_headers(const MfiGateway *gateway, const MfiEnvelope *envelope, Jsonb *context, MfiLetter *letter)
{
	char	   *address = render(gateway->mail_unsubscribe, context);
	JsonbContainer *own = mfi_jsonb_find_object(mfi_jsonb_root(envelope->options), "headers");
	ListCell   *cell;

	foreach(cell, gateway->headers)
	{
		MfiField   *field = lfirst(cell);
		char	   *value = mfi_slot_render(field->slot, context);

		if (value[0] != '\0')
			letter->headers = lappend(letter->headers, psprintf("%s: %s", field->name, value));
	}
	if (own != NULL)
	{
		JsonbIterator *iterator = JsonbIteratorInit(own);
		JsonbIteratorToken token;
		JsonbValue	value;
		char	   *name = NULL;

		while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				name = pnstrdup(value.val.string.val, value.val.string.len);
			else if (token == WJB_VALUE && value.type == jbvString && mfi_mail_may_set(name))
				letter->headers = lappend(letter->headers, psprintf("%s: %.*s", name, value.val.string.len, value.val.string.val));
		}
	}
	if (envelope->unsubscribe_url == NULL || envelope->unsubscribe_url[0] == '\0')
		return;
	letter->headers = lappend(letter->headers, address != NULL
							  ? psprintf("List-Unsubscribe: <%s>, <mailto:%s?subject=unsubscribe>", envelope->unsubscribe_url, address)
							  : psprintf("List-Unsubscribe: <%s>", envelope->unsubscribe_url));
	letter->headers = lappend(letter->headers, pstrdup("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
}

/*
 * mfi_mail_may_set: what a letter says of itself, and how one unsubscribes, is
 * nobody's to add a second time.
 */
bool
mfi_mail_may_set(const char *name)
{
	static const char *const ours[] = {"From", "To", "Cc", "Bcc", "Sender", "Subject", "Date", "Message-ID", "Reply-To", "Return-Path",
		"MIME-Version", "List-Unsubscribe", "List-Unsubscribe-Post", "DKIM-Signature", "Received", NULL};

	if (name == NULL || name[0] == '\0' || pg_strncasecmp(name, "Content-", 8) == 0 ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != strlen(name))
		return false;
	for (int i = 0; ours[i] != NULL; i++)
		if (pg_strcasecmp(name, ours[i]) == 0)
			return false;
	return true;
}

void
mfi_mail_build_request(const MfiGateway *gateway, const MfiEnvelope *envelope, Jsonb *context, MfiRequest *request)
{
	MfiLetter	letter = {0};
	JsonbContainer *options = mfi_jsonb_root(envelope->options);
	char	   *reply_to;
	char	   *helo = render(gateway->mail_helo, context);
	char	   *return_path = render(gateway->mail_return_path, context);
	char	   *url;
	char	   *host;

	letter.from = mfi_slot_render(gateway->mail_from, context);
	letter.reply_to = render(gateway->mail_reply_to, context);
	letter.to = envelope->to;
	letter.subject = envelope->title;
	letter.text = envelope->text;
	letter.html = envelope->html;
	letter.locale = envelope->locale;
	letter.reference = psprintf(INT64_FORMAT "-%s", envelope->message_id, envelope->key);
	letter.date = mfi_clock_now();
	letter.preheader = mfi_jsonb_find_string(options, "preheader");
	reply_to = mfi_jsonb_find_string(options, "reply_to");
	if (reply_to != NULL)
		letter.reply_to = reply_to;
	add_headers(gateway, envelope, context, &letter);
	request->is_mail = true;
	request->is_unencrypted = gateway->is_unencrypted;
	request->mail_to = mfi_mime_address(envelope->to, "To");
	request->mail_from = return_path != NULL ? mfi_mime_address(return_path, "return path") : mfi_mime_address(letter.from, "From");
	/* libcurl greets with what stands behind the host. */
	url = mfi_slot_render(gateway->url, context);
	host = strstr(url, "://");
	request->url = host != NULL && strchr(host + 3, '/') != NULL ? url
		: psprintf("%s/%s", url, helo != NULL ? helo : strchr(mfi_mime_address(letter.from, "From"), '@') + 1);
	request->body = mfi_mime_write(&letter, &request->body_length);
	request->headers = list_make2(psprintf("MAIL FROM: <%s>", request->mail_from), psprintf("RCPT TO: <%s>", request->mail_to));
}

/*
 * mfi_mail_code looks behind each line's status: "550 5.1.1 …".
 */
char *
mfi_mail_code(const MfiAnswer *answer)
{
	const char *line = answer->body;
	const char *end = answer->body + answer->body_length;

	while (line != NULL && end - line > 8)
	{
		const char *c = line + 4;
		const char *start = c;
		int			dots = 0;

		while (c < end && c - start < 12 && (isdigit((unsigned char) *c) || (*c == '.' && c > start && isdigit((unsigned char) c[-1]))))
			dots += *c++ == '.';
		if (dots == 2 && c[-1] != '.' && (start[0] == '2' || start[0] == '4' || start[0] == '5') && start[1] == '.')
			return pnstrdup(start, c - start);
		line = memchr(line, '\n', end - line);
		if (line != NULL)
			line++;
	}
	return NULL;
}

/*
 * mfi_mail_verdict: 4xx is for later, 5xx for good; the enhanced code tells a
 * dead address from a server that dislikes us.
 */
MfiVerdict
mfi_mail_verdict(int status, const char *code)
{
	static const char *const dead[] = {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", NULL};
	static const char *const ours[] = {"5.1.7", "5.1.8", "5.7.8", "5.7.9", "5.7.11", "5.7.12", "5.7.14", NULL};

	if (status == 421 || status == 454)
		return MFI_VERDICT_THROTTLE;
	if (status >= 400 && status < 500)
		return MFI_VERDICT_RETRY;
	if (status == 530 || status == 534 || status == 535 || status == 538)
		return MFI_VERDICT_CONFIG_BROKEN;
	for (int i = 0; code != NULL && dead[i] != NULL; i++)
		if (strcmp(code, dead[i]) == 0)
			return MFI_VERDICT_RECIPIENT_DEAD;
	for (int i = 0; code != NULL && ours[i] != NULL; i++)
		if (strcmp(code, ours[i]) == 0)
			return MFI_VERDICT_CONFIG_BROKEN;
	return status >= 500 ? MFI_VERDICT_PERMANENT : MFI_VERDICT_UNKNOWN;
}
