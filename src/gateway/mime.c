/*
 * mime.c
 *		A letter as a mail server takes it: RFC 5322, 2045 to 2047.
 *
 * What comes from clients and host tables stands in headers and bodies only
 * after it was encoded for its place: a control character in a header is a
 * space, a line never grows longer than it may, and no text can hold the
 * boundary, since "=_" never survives its encoding.
 */
#include "postgres.h"

#include "common/base64.h"
#include "gateway/mime.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "message/escape.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define LINE_MAX_COLUMNS 76
#define WORD_BYTES_MAX 45		/* base64 of it, with =?UTF-8?B? and ?=, is 72 columns */
#define PLAIN_WORD_MAX 60
#define LINK_BYTES_MAX 900		/* what no line can be folded within: RFC 5322 allows 998 */

typedef enum BodyEncoding
{
	BODY_7BIT,
	BODY_QUOTED_PRINTABLE,
	BODY_BASE64,
} BodyEncoding;

static char *to_utf8(const char *text);
static bool is_plain(const char *text, int word_max);
static char *without_controls(const char *text);
static void append_base64(StringInfo out, const char *bytes, int length);
static int	character_boundary(const char *text, int length, int most);
static void append_encoded_words(StringInfo out, const char *text, int column);
static void append_folded(StringInfo out, const char *text, int column);
static void append_header(StringInfo out, const char *name, const char *value);
static void append_address_header(StringInfo out, const char *name, const char *written);
static char *with_crlf(const char *text);
static BodyEncoding choose_encoding(const char *text);
static void append_quoted_printable(StringInfo out, const char *text);
static void append_part(StringInfo out, const char *type, const char *text);
static void append_date(StringInfo out, TimestampTz at);

static char *
to_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

bool
mfi_mime_is_address(const char *address)
{
	const char *at = strchr(address, '@');

	if (at == NULL || at == address || at[1] == '\0' || strchr(at + 1, '@') != NULL || strlen(address) > 254 || at - address > 64)
		return false;
	for (const char *c = address; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || (unsigned char) *c >= 0x7f || strchr("<>(),;:\\\"[]", *c) != NULL)
			return false;
	return at[1] != '.' && at[1] != '-';
}

char *
mfi_mime_address(const char *written, const char *what)
{
	const char *open = strrchr(written, '<');
	const char *start = open != NULL ? open + 1 : written;
	char	   *address = pnstrdup(start, open != NULL ? strcspn(start, ">") : strlen(start));

	if (!mfi_mime_is_address(address))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of the letter is not an e-mail address", what),
				 errhint("Write it as name@domain or Name <name@domain>.")));
	return address;
}

/*
 * is_plain tells whether a header can hold the text as it is.
 */
static bool
is_plain(const char *text, int word_max)
{
	int			word = 0;

	if (strstr(text, "=?") != NULL)
		return false;
	for (; *text != '\0'; text++)
	{
		if ((unsigned char) *text < ' ' || (unsigned char) *text >= 0x7f)
			return false;
		word = *text == ' ' ? 0 : word + 1;
		if (word > word_max)
			return false;
	}
	return true;
}

/*
 * without_controls makes every run of control characters a space.
 */
static char *
without_controls(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *text != '\0'; text++)
	{
		bool		is_control = (unsigned char) *text < ' ' || *text == 0x7f;

		if (!is_control)
			appendStringInfoChar(&out, *text);
		else if (out.len > 0 && out.data[out.len - 1] != ' ')
			appendStringInfoChar(&out, ' ');
	}
	while (out.len > 0 && out.data[out.len - 1] == ' ')
		out.data[--out.len] = '\0';
	return out.data;
}

static void
append_base64(StringInfo out, const char *bytes, int length)
{
	int			written;

	enlargeStringInfo(out, pg_b64_enc_len(length) + 1);
	written = pg_b64_encode(bytes, length, out->data + out->len, out->maxlen - out->len - 1);
	if (written < 0)
		elog(ERROR, "could not encode a letter");
	out->len += written;
	out->data[out->len] = '\0';
}

/*
 * character_boundary is the largest length up to most that splits no character.
 */
static int
character_boundary(const char *text, int length, int most)
{
	int			end = Min(length, most);

	while (end > 0 && end < length && ((unsigned char) text[end] & 0xc0) == 0x80)
		end--;
	return end > 0 ? end : Min(length, most);
}

/*
 * append_encoded_words writes RFC 2047 words, one a line; column is where the
 * first line stands.
 */
static void
append_encoded_words(StringInfo out, const char *text, int column)
{
	int			left = strlen(text);
	bool		is_first = true;

	while (left > 0)
	{
		int			room = is_first ? Max(3, (LINE_MAX_COLUMNS - 12 - column) / 4 * 3) : WORD_BYTES_MAX;
		int			length = character_boundary(text, left, Max(4, Min(room, WORD_BYTES_MAX)));

		appendStringInfoString(out, is_first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
		append_base64(out, text, length);
		appendStringInfoString(out, "?=");
		text += length;
		left -= length;
		is_first = false;
	}
}

/*
 * append_folded breaks plain text before words that would make a line too long.
 */
static void
append_folded(StringInfo out, const char *text, int column)
{
	while (*text != '\0')
	{
		int			spaces = strspn(text, " ");
		int			length = spaces + strcspn(text + spaces, " ");

		if (spaces > 0 && text[spaces] != '\0' && column + length > LINE_MAX_COLUMNS && column > 1)
		{
			appendStringInfoString(out, "\r\n");
			column = 0;
		}
		appendBinaryStringInfo(out, text, length);
		column += length;
		text += length;
	}
}

static void
append_header(StringInfo out, const char *name, const char *value)
{
	char	   *text = without_controls(to_utf8(value));

	appendStringInfo(out, "%s: ", name);
	/* The addresses of List-Unsubscribe must stay what they are. */
	if (is_plain(text, strcmp(name, "Subject") == 0 ? PLAIN_WORD_MAX : LINK_BYTES_MAX))
		append_folded(out, text, strlen(name) + 2);
	else
		append_encoded_words(out, text, strlen(name) + 2);
	appendStringInfoString(out, "\r\n");
}

/*
 * append_address_header writes Name <address>, the name quoted or encoded.
 */
static void
append_address_header(StringInfo out, const char *name, const char *written)
{
	char	   *address = mfi_mime_address(written, name);
	const char *open = strrchr(written, '<');
	char	   *display = open != NULL ? without_controls(to_utf8(pnstrdup(written, open - written))) : pstrdup("");
	int			length = strlen(display);

	if (length >= 2 && display[0] == '"' && display[length - 1] == '"')
	{
		display[length - 1] = '\0';
		display++;
	}
	appendStringInfo(out, "%s: ", name);
	if (display[0] == '\0')
		appendStringInfo(out, "%s\r\n", address);
	else
	{
		if (is_plain(display, PLAIN_WORD_MAX) && strlen(display) <= PLAIN_WORD_MAX)
		{
			appendStringInfoChar(out, '"');
			for (const char *c = display; *c != '\0'; c++)
			{
				if (*c == '"' || *c == '\\')
					appendStringInfoChar(out, '\\');
				appendStringInfoChar(out, *c);
			}
			appendStringInfoChar(out, '"');
		}
		else
			append_encoded_words(out, display, strlen(name) + 2);
		appendStringInfo(out, "\r\n <%s>\r\n", address);
	}
}

/*
 * with_crlf ends every line, the last one too, with CRLF, and leaves control
 * characters other than tabs out.
 */
static char *
with_crlf(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *text != '\0'; text++)
	{
		if (*text == '\r' || *text == '\n')
		{
			if (*text == '\r' && text[1] == '\n')
				text++;
			appendStringInfoString(&out, "\r\n");
		}
		else if (*text == '\t' || ((unsigned char) *text >= ' ' && *text != 0x7f))
			appendStringInfoChar(&out, *text);
	}
	if (out.len < 2 || out.data[out.len - 1] != '\n')
		appendStringInfoString(&out, "\r\n");
	return out.data;
}

static BodyEncoding
choose_encoding(const char *text)
{
	int			column = 0;
	int			longest = 0;
	int			length = 0;
	int			wide = 0;

	for (const char *c = text; *c != '\0'; c++, length++)
	{
		column = *c == '\n' ? 0 : column + 1;
		longest = Max(longest, column);
		wide += (unsigned char) *c >= 0x7f;
	}
	if (wide == 0 && longest <= LINE_MAX_COLUMNS + 1 && strstr(text, "=_") == NULL && strstr(text, "\nFrom ") == NULL &&
		strstr(text, " \r") == NULL && strstr(text, "\t\r") == NULL && strncmp(text, "From ", 5) != 0)
		return BODY_7BIT;
	return wide * 3 > length ? BODY_BASE64 : BODY_QUOTED_PRINTABLE;
}

static void
append_quoted_printable(StringInfo out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	int			column = 0;

	for (const char *c = text; *c != '\0'; c++)
	{
		unsigned char byte = *c;
		bool		is_last = c[1] == '\r' || c[1] == '\0';
		bool		is_plain_byte = (byte > ' ' && byte < 0x7f && byte != '=') || ((byte == ' ' || byte == '\t') && !is_last);

		if (byte == '\r')
		{
			appendStringInfoString(out, "\r\n");
			column = 0;
			c++;
			continue;
		}
		/* Programs that store mail in one file mark its lines so. */
		if (column == 0 && (byte == '.' || (byte == 'F' && strncmp(c, "From ", 5) == 0)))
			is_plain_byte = false;
		if (column + (is_plain_byte ? 1 : 3) > LINE_MAX_COLUMNS - 1)
		{
			appendStringInfoString(out, "=\r\n");
			column = 0;
			if (byte == '.')
				is_plain_byte = false;
		}
		if (is_plain_byte)
			appendStringInfoChar(out, byte);
		else
		{
			appendStringInfoChar(out, '=');
			appendStringInfoChar(out, digits[byte >> 4]);
			appendStringInfoChar(out, digits[byte & 15]);
		}
		column += is_plain_byte ? 1 : 3;
	}
}

static void
append_part(StringInfo out, const char *type, const char *text)
{
	static const char *const names[] = {"7bit", "quoted-printable", "base64"};
	char	   *lines = with_crlf(to_utf8(text));
	BodyEncoding encoding = choose_encoding(lines);
	int			left = strlen(lines);

	appendStringInfo(out, "Content-Type: %s; charset=UTF-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", type, names[encoding]);
	if (encoding == BODY_7BIT)
		appendStringInfoString(out, lines);
	else if (encoding == BODY_QUOTED_PRINTABLE)
		append_quoted_printable(out, lines);
	else
		for (const char *from = lines; left > 0; from += 57, left -= 57)
		{
			append_base64(out, from, Min(left, 57));
			appendStringInfoString(out, "\r\n");
		}
}

/*
 * Hidden text stands where mail programs look for the line that they show
 * beside the subject.
 */
char *
mfi_mime_with_preheader(const char *html, const char *preheader)
{
	StringInfoData out;
	const char *body = NULL;
	size_t		before = 0;

	for (const char *c = html; *c != '\0' && body == NULL; c++)
		if (pg_strncasecmp(c, "<body", 5) == 0 && strchr(c, '>') != NULL)
			body = strchr(c, '>') + 1;
	if (body != NULL)
		before = body - html;
	initStringInfo(&out);
	appendBinaryStringInfo(&out, html, before);
	appendStringInfoString(&out, "<div style=\"display:none;max-height:0;overflow:hidden\">");
	mfi_escape_append(&out, preheader, strlen(preheader), MFI_ESCAPE_XML);
	appendStringInfoString(&out, "</div>");
	appendStringInfoString(&out, html + before);
	return out.data;
}

static void
append_date(StringInfo out, TimestampTz at)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct pg_tm when;
	fsec_t		fraction;

	/* Without a zone it is broken down as UTC. */
	if (timestamp2tm(at, NULL, &when, &fraction, NULL, NULL) != 0)
		elog(ERROR, "could not write the date of a letter");
	appendStringInfo(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n",
					 days[j2day(date2j(when.tm_year, when.tm_mon, when.tm_mday))], when.tm_mday, months[when.tm_mon - 1],
					 when.tm_year, when.tm_hour, when.tm_min, when.tm_sec);
}

char *
mfi_mime_write(const MfiLetter *letter, int *length)
{
	StringInfoData out;
	char	   *from = mfi_mime_address(letter->from, "From");
	const char *html = letter->html != NULL && letter->html[0] != '\0' ? letter->html : NULL;
	ListCell   *cell;

	initStringInfo(&out);
	append_date(&out, letter->date);
	append_address_header(&out, "From", letter->from);
	append_address_header(&out, "To", letter->to);
	if (letter->reply_to != NULL && letter->reply_to[0] != '\0')
		append_address_header(&out, "Reply-To", letter->reply_to);
	append_header(&out, "Subject", letter->subject != NULL ? letter->subject : "");
	appendStringInfo(&out, "Message-ID: <%s%s>\r\n", letter->reference, strchr(from, '@'));
	foreach(cell, letter->headers)
	{
		char	   *header = lfirst(cell);
		char	   *colon = strchr(header, ':');

		append_header(&out, pnstrdup(header, colon - header), colon + 1 + strspn(colon + 1, " "));
	}
	if (letter->locale != NULL && letter->locale[0] != '\0' && strspn(letter->locale, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == strlen(letter->locale))
		append_header(&out, "Content-Language", letter->locale);
	appendStringInfoString(&out, "MIME-Version: 1.0\r\n");
	if (html == NULL)
		append_part(&out, "text/plain", letter->text != NULL ? letter->text : "");
	else
	{
		if (letter->preheader != NULL && letter->preheader[0] != '\0')
			html = mfi_mime_with_preheader(html, letter->preheader);
		appendStringInfo(&out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n--=_%s\r\n", letter->reference, letter->reference);
		append_part(&out, "text/plain", letter->text != NULL ? letter->text : "");
		appendStringInfo(&out, "\r\n--=_%s\r\n", letter->reference);
		append_part(&out, "text/html", html);
		appendStringInfo(&out, "\r\n--=_%s--\r\n", letter->reference);
	}
	*length = out.len;
	return out.data;
}
