/*
 * escape.c
 *		How a value is made safe for the text it is put into.
 *
 * A client's name is not ours: it may hold quotes, angle brackets or line
 * ends. Every value that enters a message, a request body or a URL goes
 * through here. Pure functions, run by whoever renders.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "message/escape.h"

/*
 * mfi_escape_from_name gives the mode that a name stands for; another name is
 * an error.
 */
MfiEscape
mfi_escape_from_name(const char *name)
{
	static const struct
	{
		const char *name;
		MfiEscape escape;
	} modes[] = {
		{ "html", MFI_ESCAPE_HTML }, { "json", MFI_ESCAPE_JSON }, { "url", MFI_ESCAPE_URL },
		{ "xml", MFI_ESCAPE_XML },	 { "none", MFI_ESCAPE_NONE },
	};

	for (int i = 0; i < (int) lengthof(modes); i++)
	{
		if (strcmp(modes[i].name, name) == 0)
			return modes[i].escape;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("escape mode \"%s\" does not exist", name),
					errhint("Use one of html, json, url, xml, none.")));
}

/* The replacement of one byte in HTML, or NULL where it stands as it is. */
static const char *
html_entity(unsigned char byte)
{
	switch (byte)
	{
		case '&':
			return "&amp;";
		case '<':
			return "&lt;";
		case '>':
			return "&gt;";
		case '"':
			return "&quot;";
		case '\'':
			return "&#39;";
		default:
			return NULL;
	}
}

/*
 * The replacement of one byte in XML. Control characters cannot be written in
 * XML 1.0 at all, not even as references: they become spaces. A bare carriage
 * return would be read back as a line feed.
 */
static const char *
xml_entity(unsigned char byte)
{
	if (byte == '\'')
		return "&apos;";
	if (byte == '\r')
		return "&#13;";
	if (byte < 0x20 && byte != '\n' && byte != '\t')
		return " ";
	return html_entity(byte);
}

/* The replacement of one byte inside a JSON string. */
static const char *
json_sequence(unsigned char byte, char *buffer, size_t buffer_size)
{
	switch (byte)
	{
		case '"':
			return "\\\"";
		case '\\':
			return "\\\\";
		case '\b':
			return "\\b";
		case '\f':
			return "\\f";
		case '\n':
			return "\\n";
		case '\r':
			return "\\r";
		case '\t':
			return "\\t";
		default:
			if (byte >= 0x20)
				return NULL;
			snprintf(buffer, buffer_size, "\\u%04x", byte);
			return buffer;
	}
}

static inline const char *
replacement(unsigned char byte, MfiEscape escape, char *buffer, size_t buffer_size)
{
	switch (escape)
	{
		case MFI_ESCAPE_HTML:
			return html_entity(byte);
		case MFI_ESCAPE_XML:
			return xml_entity(byte);
		case MFI_ESCAPE_JSON:
			return json_sequence(byte, buffer, buffer_size);
		default:
			return NULL;
	}
}

static void
append_url(StringInfo out, const char *text, int length)
{
	static const char digits[] = "0123456789ABCDEF";
	char *utf8 = pg_server_to_any(text, length, PG_UTF8);
	int utf8_length = (utf8 == text) ? length : (int) strlen(utf8);

	for (int i = 0; i < utf8_length; i++)
	{
		unsigned char byte = (unsigned char) utf8[i];

		if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
			(byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
			byte == '~')
			appendStringInfoChar(out, (char) byte);
		else
		{
			appendStringInfoChar(out, '%');
			appendStringInfoChar(out, digits[byte >> 4]);
			appendStringInfoChar(out, digits[byte & 0x0F]);
		}
	}
	if (utf8 != text)
		pfree(utf8);
}

/* U+FFFE and U+FFFF have no place in XML 1.0 either. */
static bool
is_noncharacter(const char *text, int length)
{
	return length >= 3 && GetDatabaseEncoding() == PG_UTF8 && memcmp(text, "\xEF\xBF", 2) == 0 &&
		   (unsigned char) text[2] >= 0xBE;
}

/*
 * mfi_escape_append appends text of the server's encoding, escaped. Every
 * server encoding keeps bytes below 0x80 for ASCII alone, so that working
 * byte by byte never splits a character.
 */
void
mfi_escape_append(StringInfo out, const char *text, int length, MfiEscape escape)
{
	char buffer[8];
	int plain_from = 0;

	if (escape == MFI_ESCAPE_URL)
	{
		append_url(out, text, length);
		return;
	}
	if (escape == MFI_ESCAPE_NONE)
	{
		appendBinaryStringInfo(out, text, length);
		return;
	}
	for (int i = 0; i < length; i++)
	{
		bool is_unknown = escape == MFI_ESCAPE_XML && is_noncharacter(text + i, length - i);
		const char *instead =
			is_unknown ? " " : replacement((unsigned char) text[i], escape, buffer, sizeof(buffer));

		if (instead == NULL)
			continue;
		appendBinaryStringInfo(out, text + plain_from, i - plain_from);
		appendStringInfoString(out, instead);
		i += is_unknown ? 2 : 0;
		plain_from = i + 1;
	}
	appendBinaryStringInfo(out, text + plain_from, length - plain_from);
}
