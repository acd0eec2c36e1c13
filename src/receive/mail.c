/*
 * mail.c
 *		Reading a letter that came back or in: delivery status (RFC 3464), abuse
 *		reports (RFC 5965), automatic answers, and what people write.
 *
 * The bytes come from anybody. Nothing here trusts them, allocates, or looks at
 * one more often than the nesting of parts allows; what is not understood is a
 * message of nobody.
 */
#include "postgres.h"

#include <ctype.h>

#include "receive/mail.h"
#include "receive/mail_text.h"

#define BYTES_MAX 1048576
#define DEPTH_MAX 5
#define PARTS_MAX 50
#define FIELDS_MAX 500

/* What is gathered on the way through the parts. */
typedef struct Reading
{
	MfiMail    *mail;
	MfiMailSpan whole;
	int			part_count;
	bool		has_status;
	bool		has_feedback;
	bool		is_not_spam;
	bool		has_text;
	char		action[16];
	char		original_reference[60];
	char		scratch[MFI_MAIL_TEXT_BYTES_MAX];
} Reading;

static bool find_reference(MfiMailSpan span, char *reference, bool *is_unsubscribe);
static bool find_in_header(MfiMailSpan headers, const char *name, char *reference, bool *is_unsubscribe);
static void read_delivery_status(Reading *reading, MfiMailSpan body);
static void read_feedback(Reading *reading, MfiMailSpan body);
static void read_original(Reading *reading, MfiMailSpan part);
static MfiMailSpan decoded(Reading *reading, MfiMailSpan headers, MfiMailSpan body);
static void read_text(Reading *reading, MfiMailSpan headers, MfiMailSpan body, bool is_html, const char *charset);
static void read_entity(Reading *reading, MfiMailSpan entity, int depth);
static void read_multipart(Reading *reading, MfiMailSpan body, const char *boundary, int depth);
static bool header_has(MfiMailSpan headers, const char *name, const char *part);
static bool is_automatic(MfiMailSpan headers);
static bool is_from_machine(MfiMailSpan headers);
static void find_status(MfiMailSpan text, MfiMail *mail);
static void find_recipient_reference(Reading *reading, MfiMailSpan headers);
static void classify(Reading *reading, MfiMailSpan headers);

const char *
mfi_mail_kind_name(MfiMailKind kind)
{
	static const char *const names[] = {"message", "bounce", "delay", "delivered", "complaint", "automatic"};

	return names[kind];
}

/*
 * find_reference looks for message_id-uuid, which is in our return paths and
 * Message-IDs.
 */
static bool
find_reference(MfiMailSpan span, char *reference, bool *is_unsubscribe)
{
	const char *dash;

	for (const char *c = span.start; (dash = memchr(c, '-', span.end - c)) != NULL; c = dash + 1)
	{
		const char *first = dash;
		int			matched = 1;

		while (first > span.start && dash - first < 19 && isdigit((unsigned char) first[-1]))
			first--;
		if (first == dash || dash - first > 18 || span.end - dash < 37 ||
			(first > span.start && isalnum((unsigned char) first[-1])))
			continue;
		while (matched < 37 &&
			   (matched == 9 || matched == 14 || matched == 19 || matched == 24 ? dash[matched] == '-' : isxdigit((unsigned char) dash[matched])))
			matched++;
		if (matched < 37 || (span.end - dash > 37 && isalnum((unsigned char) dash[37])))
			continue;
		for (int i = 0; i < dash + 37 - first; i++)
			reference[i] = tolower((unsigned char) first[i]);
		reference[dash + 37 - first] = '\0';
		if (is_unsubscribe != NULL)
			*is_unsubscribe = first - span.start >= 12 && strncasecmp(first - 12, "unsubscribe+", 12) == 0;
		return true;
	}
	return false;
}

static bool
find_in_header(MfiMailSpan headers, const char *name, char *reference, bool *is_unsubscribe)
{
	MfiMailSpan rest = headers;
	MfiMailSpan value;

	for (int i = 0; i < FIELDS_MAX && mfi_mail_next_header(&rest, name, &value); i++)
		if (find_reference(value, reference, is_unsubscribe))
			return true;
	return false;
}

/*
 * read_delivery_status reads groups of fields, one a recipient after the first;
 * a failed one says more than the others.
 */
static void
read_delivery_status(Reading *reading, MfiMailSpan body)
{
	MfiMail    *mail = reading->mail;

	reading->has_status = true;
	(void) find_in_header(body, "Original-Envelope-Id", reading->original_reference, NULL);
	while (body.start < body.end)
	{
		MfiMailSpan group;
		char		action[16];
		char		status[12];
		char		diagnostic[80];

		mfi_mail_cut_block(&body, &group);
		mfi_mail_header(group, "Action", action, sizeof(action));
		mfi_mail_header(group, "Status", status, sizeof(status));
		status[strspn(status, "0123456789.")] = '\0';
		if (action[0] == '\0' && status[0] == '\0')
			continue;
		if (reading->action[0] != '\0' && strcasecmp(action, "failed") != 0)
			continue;
		strlcpy(reading->action, action[0] != '\0' ? action : "unknown", sizeof(reading->action));
		strlcpy(mail->status, status, sizeof(mail->status));
		mfi_mail_header(group, "Diagnostic-Code", diagnostic, sizeof(diagnostic));
		if (strncasecmp(diagnostic, "smtp;", 5) == 0)
		{
			MfiMail		found = {0};
			const char *code = diagnostic + 5 + strspn(diagnostic + 5, " ");

			if (strspn(code, "0123456789") == 3)
				strlcpy(mail->diagnostic, code, 4);
			find_status(mfi_mail_span(code), &found);
			if (found.status[0] != '\0' && (status[0] == '\0' || strcmp(status + 1, ".0.0") == 0))
				strlcpy(mail->status, found.status, sizeof(mail->status));
		}
		if (strcasecmp(reading->action, "failed") == 0)
			break;
	}
}

static void
read_feedback(Reading *reading, MfiMailSpan body)
{
	char		type[24];

	reading->has_feedback = true;
	mfi_mail_header(body, "Feedback-Type", type, sizeof(type));
	reading->is_not_spam = strcasecmp(type, "not-spam") == 0;
	if (reading->original_reference[0] == '\0')
		(void) find_in_header(body, "Original-Mail-From", reading->original_reference, NULL);
}

/*
 * read_original looks into our own letter, or its headers, where a report
 * brings it back.
 */
static void
read_original(Reading *reading, MfiMailSpan part)
{
	MfiMailSpan headers;

	mfi_mail_cut_block(&part, &headers);
	if (reading->original_reference[0] == '\0' &&
		!find_in_header(headers, "Message-ID", reading->original_reference, NULL))
		(void) find_reference(headers, reading->original_reference, NULL);
}

/* A report is short: what of it fits the scratch is enough. */
static MfiMailSpan
decoded(Reading *reading, MfiMailSpan headers, MfiMailSpan body)
{
	char		encoding[24];

	mfi_mail_header(headers, "Content-Transfer-Encoding", encoding, sizeof(encoding));
	mfi_mail_decode(body, encoding, reading->scratch, sizeof(reading->scratch));
	return mfi_mail_span(reading->scratch);
}

static void
read_text(Reading *reading, MfiMailSpan headers, MfiMailSpan body, bool is_html, const char *charset)
{
	MfiMail    *mail = reading->mail;
	char		encoding[24];

	/* Plain text is better than what is left of HTML. */
	if (mail->text[0] != '\0' && (is_html || reading->has_text))
		return;
	mfi_mail_header(headers, "Content-Transfer-Encoding", encoding, sizeof(encoding));
	mfi_mail_decode(body, encoding, reading->scratch, sizeof(reading->scratch));
	mfi_mail_to_utf8(reading->scratch, charset, mail->text, sizeof(mail->text));
	if (is_html)
		mfi_mail_strip_html(mail->text);
	mfi_mail_strip_quoted(mail->text);
	reading->has_text = !is_html;
}

static void
read_multipart(Reading *reading, MfiMailSpan body, const char *boundary, int depth)
{
	MfiMailSpan part;

	while (reading->part_count < PARTS_MAX && mfi_mail_next_part(&body, boundary, &part))
	{
		reading->part_count++;
		read_entity(reading, part, depth + 1);
	}
}

static void
read_entity(Reading *reading, MfiMailSpan entity, int depth)
{
	MfiMailSpan headers;
	char		type[80];
	char		boundary[80];
	char		charset[40];

	mfi_mail_cut_block(&entity, &headers);
	mfi_mail_content_type(headers, type, sizeof(type), boundary, sizeof(boundary), charset, sizeof(charset));
	if (strncmp(type, "multipart/", 10) == 0)
	{
		if (depth < DEPTH_MAX && boundary[0] != '\0')
			read_multipart(reading, entity, boundary, depth);
	}
	else if (strcmp(type, "message/delivery-status") == 0 || strcmp(type, "message/global-delivery-status") == 0)
		read_delivery_status(reading, decoded(reading, headers, entity));
	else if (strcmp(type, "message/feedback-report") == 0)
		read_feedback(reading, decoded(reading, headers, entity));
	else if (strcmp(type, "message/rfc822") == 0 || strcmp(type, "text/rfc822-headers") == 0 || strcmp(type, "message/global") == 0 ||
			 strcmp(type, "message/global-headers") == 0)
		read_original(reading, entity);
	else if (type[0] == '\0' || strcmp(type, "text/plain") == 0 || strcmp(type, "text/html") == 0)
		read_text(reading, headers, entity, strcmp(type, "text/html") == 0, charset);
}

static bool
header_has(MfiMailSpan headers, const char *name, const char *part)
{
	char		value[200];

	mfi_mail_header(headers, name, value, sizeof(value));
	return strcasestr(value, part) != NULL;
}

static bool
is_automatic(MfiMailSpan headers)
{
	char		value[40];

	mfi_mail_header(headers, "Auto-Submitted", value, sizeof(value));
	if (value[0] != '\0' && strncasecmp(value, "no", 2) != 0)
		return true;
	mfi_mail_header(headers, "Precedence", value, sizeof(value));
	if (strcasecmp(value, "bulk") == 0 || strcasecmp(value, "junk") == 0 || strcasecmp(value, "list") == 0 || strcasecmp(value, "auto_reply") == 0)
		return true;
	return mfi_mail_has_header(headers, "X-Autoreply") || mfi_mail_has_header(headers, "X-Autorespond") ||
		mfi_mail_has_header(headers, "List-Id");
}

static bool
is_from_machine(MfiMailSpan headers)
{
	char		value[20];

	mfi_mail_header(headers, "Return-Path", value, sizeof(value));
	return strcmp(value, "<>") == 0 || header_has(headers, "From", "mailer-daemon") || header_has(headers, "From", "postmaster@");
}

/*
 * find_status looks for an enhanced status code in free text.
 */
static void
find_status(MfiMailSpan text, MfiMail *mail)
{
	for (const char *c = text.start; c + 4 < text.end; c++)
	{
		int			length = 2;

		if ((c[0] != '4' && c[0] != '5') || c[1] != '.' || !isdigit((unsigned char) c[2]) ||
			(c > text.start && (isalnum((unsigned char) c[-1]) || c[-1] == '.')))
			continue;
		while (length < 5 && c + length < text.end && isdigit((unsigned char) c[length]))
			length++;
		if (c + length + 1 >= text.end || c[length] != '.' || !isdigit((unsigned char) c[length + 1]))
			continue;
		length++;
		while (length < 9 && c + length < text.end && isdigit((unsigned char) c[length]))
			length++;
		if (c + length < text.end && (isalnum((unsigned char) c[length]) || (c[length] == '.' && c + length + 1 < text.end && isdigit((unsigned char) c[length + 1]))))
			continue;
		memcpy(mail->status, c, length);
		mail->status[length] = '\0';
		return;
	}
}

static void
find_recipient_reference(Reading *reading, MfiMailSpan headers)
{
	static const char *const names[] = {"X-Original-To", "Delivered-To", "Envelope-To", "X-Envelope-To", "To", NULL};
	MfiMail    *mail = reading->mail;

	for (int i = 0; names[i] != NULL; i++)
		if (find_in_header(headers, names[i], mail->reference, &mail->is_unsubscribe))
			return;
	if (reading->original_reference[0] != '\0')
		strlcpy(mail->reference, reading->original_reference, sizeof(mail->reference));
	else if (!find_in_header(headers, "In-Reply-To", mail->reference, NULL) &&
			 !find_in_header(headers, "References", mail->reference, NULL) && mail->kind != MFI_MAIL_MESSAGE)
		(void) find_reference(reading->whole, mail->reference, NULL);
}

static void
classify(Reading *reading, MfiMailSpan headers)
{
	MfiMail    *mail = reading->mail;

	if (reading->has_status)
	{
		char		class = mail->status[0];

		if (strcasecmp(reading->action, "delayed") == 0)
			mail->kind = MFI_MAIL_DELAY;
		else if (strcasecmp(reading->action, "failed") == 0 || class == '5')
			mail->kind = MFI_MAIL_BOUNCE;
		else
			mail->kind = class == '4' ? MFI_MAIL_DELAY : class == '2' ? MFI_MAIL_DELIVERED : MFI_MAIL_AUTOMATIC;
	}
	else if (reading->has_feedback)
		mail->kind = reading->is_not_spam ? MFI_MAIL_AUTOMATIC : MFI_MAIL_COMPLAINT;
	else if (is_from_machine(headers) && !mfi_mail_has_header(headers, "X-Autoreply"))
	{
		/* A notice in no standard form: its text must say that it is final. */
		find_status(mfi_mail_span(mail->text), mail);
		mail->kind = mail->status[0] == '5' ? MFI_MAIL_BOUNCE : mail->status[0] == '4' ? MFI_MAIL_DELAY : MFI_MAIL_AUTOMATIC;
	}
	else if (is_automatic(headers))
		mail->kind = MFI_MAIL_AUTOMATIC;
}

void
mfi_mail_parse(const char *data, size_t length, MfiMail *mail)
{
	Reading		reading;
	MfiMailSpan headers;
	MfiMailSpan rest;
	char		raw[500];

	memset(mail, 0, sizeof(MfiMail));
	memset(&reading, 0, sizeof(reading));
	reading.mail = mail;
	reading.whole.start = data;
	reading.whole.end = data + Min(length, BYTES_MAX);
	/* A mailbox file's first line is none of the letter's. */
	if (length > 5 && strncmp(data, "From ", 5) == 0 && memchr(data, '\n', length) != NULL)
		reading.whole.start = Min((const char *) memchr(data, '\n', length) + 1, reading.whole.end);
	rest = reading.whole;
	mfi_mail_cut_block(&rest, &headers);
	read_entity(&reading, reading.whole, 0);
	mfi_mail_address(headers, "From", mail->from, sizeof(mail->from));
	mfi_mail_address(headers, "X-Original-To", mail->to, sizeof(mail->to));
	if (mail->to[0] == '\0')
		mfi_mail_address(headers, "Delivered-To", mail->to, sizeof(mail->to));
	if (mail->to[0] == '\0')
		mfi_mail_address(headers, "To", mail->to, sizeof(mail->to));
	mfi_mail_header(headers, "Message-ID", mail->message_id, sizeof(mail->message_id));
	mfi_mail_header(headers, "Subject", raw, sizeof(raw));
	mfi_mail_decode_words(raw, mail->subject, sizeof(mail->subject));
	classify(&reading, headers);
	find_recipient_reference(&reading, headers);
}
