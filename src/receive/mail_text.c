/*
 * mail_text.c
 *		The pieces of a letter: headers, parts, encodings.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "receive/mail_text.h"

#define FIELDS_MAX 500

static const char *line_end(const char *line, const char *end);
static int	hex_value(char c);
static int	base64_value(char c);
static int	decode_quoted_printable(const char *from, const char *end, bool is_word, char *target, int size);
static int	decode_base64(const char *from, const char *end, char *target, int size);
static void copy_parameter(const char *value, const char *name, char *target, int size);
static char entity(const char *text, int *length);
static bool starts_line(const char *line, const char *start);

MfiMailSpan
mfi_mail_span(const char *text)
{
	MfiMailSpan span = {text, text + strlen(text)};

	return span;
}

/* Where the next line begins. */
static const char *
line_end(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', end - line);

	return newline != NULL ? newline + 1 : end;
}

void
mfi_mail_cut_block(MfiMailSpan *rest, MfiMailSpan *block)
{
	const char *line = rest->start;

	block->start = rest->start;
	while (line < rest->end)
	{
		const char *next = line_end(line, rest->end);

		if (*line == '\n' || (*line == '\r' && next - line == 2))
		{
			block->end = line;
			rest->start = next;
			return;
		}
		line = next;
	}
	block->end = rest->end;
	rest->start = rest->end;
}

bool
mfi_mail_next_header(MfiMailSpan *rest, const char *name, MfiMailSpan *value)
{
	size_t		length = strlen(name);
	const char *line = rest->start;

	while (line < rest->end)
	{
		const char *next = line_end(line, rest->end);
		bool		fits = (size_t) (next - line) > length && line[length] == ':' && strncasecmp(line, name, length) == 0;
		const char *first = line + length + 1;

		/* Folded lines belong to it. */
		while (next < rest->end && (*next == ' ' || *next == '\t'))
			next = line_end(next, rest->end);
		if (fits)
		{
			while (first < next && isspace((unsigned char) *first))
				first++;
			value->start = first;
			value->end = next;
			while (value->end > first && isspace((unsigned char) value->end[-1]))
				value->end--;
			rest->start = next;
			return true;
		}
		line = next;
	}
	rest->start = rest->end;
	return false;
}

bool
mfi_mail_has_header(MfiMailSpan headers, const char *name)
{
	MfiMailSpan value;

	return mfi_mail_next_header(&headers, name, &value);
}

void
mfi_mail_header(MfiMailSpan headers, const char *name, char *value, int size)
{
	MfiMailSpan found;
	int			used = 0;

	value[0] = '\0';
	if (!mfi_mail_next_header(&headers, name, &found))
		return;
	for (const char *c = found.start; c < found.end && used + 1 < size; c++)
	{
		bool		is_control = (unsigned char) *c < ' ' || *c == 0x7f;

		if (is_control && used > 0 && value[used - 1] == ' ')
			continue;
		value[used++] = is_control ? ' ' : *c;
	}
	value[used] = '\0';
}

void
mfi_mail_address(MfiMailSpan headers, const char *name, char *address, int size)
{
	char		value[600];
	char	   *start;
	char	   *end;
	int			used = 0;

	mfi_mail_header(headers, name, value, sizeof(value));
	start = strrchr(value, '<');
	start = start != NULL ? start + 1 : value + strspn(value, " \"");
	end = start + strcspn(start, ">, \";");
	for (const char *c = start; c < end && used + 1 < size; c++)
	{
		if ((unsigned char) *c >= 0x7f)
		{
			used = 0;
			break;
		}
		address[used++] = tolower((unsigned char) *c);
	}
	address[used] = '\0';
	if (strchr(address, '@') == NULL)
		address[0] = '\0';
}

/*
 * copy_parameter finds ; name=value or name="value" behind a type.
 */
static void
copy_parameter(const char *value, const char *name, char *target, int size)
{
	size_t		length = strlen(name);
	int			used = 0;

	target[0] = '\0';
	for (const char *c = strchr(value, ';'); c != NULL; c = strchr(c, ';'))
	{
		c++;
		c += strspn(c, " \t");
		if (strncasecmp(c, name, length) != 0)
			continue;
		c += length;
		/* RFC 2231 writes name*= and name*0=. */
		if (*c == '*')
			c += strspn(c, "*0");
		if (*c != '=')
			continue;
		c++;
		if (*c == '"')
			for (c++; *c != '\0' && *c != '"' && used + 1 < size; c++)
			{
				if (*c == '\\' && c[1] != '\0')
					c++;
				target[used++] = *c;
			}
		else
			for (; *c != '\0' && *c != ';' && !isspace((unsigned char) *c) && used + 1 < size; c++)
				target[used++] = *c;
		target[used] = '\0';
		return;
	}
}

void
mfi_mail_content_type(MfiMailSpan headers, char *type, int type_size, char *boundary, int boundary_size, char *charset, int charset_size)
{
	char		value[500];
	int			used = 0;

	mfi_mail_header(headers, "Content-Type", value, sizeof(value));
	while (value[used] != '\0' && value[used] != ';' && value[used] != ' ' && used + 1 < type_size)
	{
		type[used] = tolower((unsigned char) value[used]);
		used++;
	}
	type[used] = '\0';
	copy_parameter(value, "boundary", boundary, boundary_size);
	copy_parameter(value, "charset", charset, charset_size);
}

static bool
starts_line(const char *line, const char *start)
{
	return line == start || line[-1] == '\n';
}

bool
mfi_mail_next_part(MfiMailSpan *rest, const char *boundary, MfiMailSpan *part)
{
	char		delimiter[90];
	size_t		length = snprintf(delimiter, sizeof(delimiter), "--%s", boundary);
	const char *found = NULL;

	/* Behind the next delimiter it begins, before the one after that it ends. */
	for (int round = 0; round < 2; round++)
	{
		const char *from = round == 0 ? rest->start : part->start;

		found = from;
		while ((found = memmem(found, rest->end - found, delimiter, length)) != NULL && !starts_line(found, rest->start))
			found += length;
		if (round == 0)
		{
			if (found == NULL || (rest->end - found >= (ptrdiff_t) length + 2 && found[length] == '-' && found[length + 1] == '-'))
				return false;
			part->start = line_end(found, rest->end);
		}
	}
	part->end = found != NULL ? found : rest->end;
	rest->start = part->end;
	return true;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
decode_quoted_printable(const char *from, const char *end, bool is_word, char *target, int size)
{
	int			used = 0;

	while (from < end && used + 1 < size)
	{
		if (*from == '=' && end - from >= 3 && hex_value(from[1]) >= 0 && hex_value(from[2]) >= 0)
		{
			target[used++] = (char) (hex_value(from[1]) * 16 + hex_value(from[2]));
			from += 3;
		}
		else if (*from == '=' && end - from >= 2 && (from[1] == '\n' || (from[1] == '\r' && end - from >= 3 && from[2] == '\n')))
			from += from[1] == '\n' ? 2 : 3;
		else
		{
			target[used++] = is_word && *from == '_' ? ' ' : *from;
			from++;
		}
	}
	return used;
}

static int
decode_base64(const char *from, const char *end, char *target, int size)
{
	uint32		bits = 0;
	int			count = 0;
	int			used = 0;

	for (; from < end && used + 1 < size && *from != '='; from++)
	{
		int			value = base64_value(*from);

		if (value < 0)
			continue;
		bits = (bits << 6 | value) & 0xffffff;
		count += 6;
		if (count >= 8)
		{
			count -= 8;
			target[used++] = (char) (bits >> count & 0xff);
		}
	}
	return used;
}

void
mfi_mail_decode(MfiMailSpan body, const char *encoding, char *target, int size)
{
	int			used;
	int			kept = 0;

	if (strcasecmp(encoding, "quoted-printable") == 0)
		used = decode_quoted_printable(body.start, body.end, false, target, size);
	else if (strcasecmp(encoding, "base64") == 0)
		used = decode_base64(body.start, body.end, target, size);
	else
	{
		used = Min(body.end - body.start, size - 1);
		memcpy(target, body.start, used);
	}
	for (int i = 0; i < used; i++)
		if (target[i] != '\0' && target[i] != '\r')
			target[kept++] = target[i];
	target[kept] = '\0';
}

/*
 * mfi_mail_to_utf8 knows UTF-8 and what is, or nearly is, Latin-1; control
 * characters and what is invalid become spaces and question marks.
 */
void
mfi_mail_to_utf8(const char *text, const char *charset, char *target, int size)
{
	bool		is_latin = strncasecmp(charset, "iso-8859-1", 10) == 0 || strcasecmp(charset, "windows-1252") == 0 || strcasecmp(charset, "latin1") == 0;
	int			used = 0;

	while (*text != '\0')
	{
		unsigned char byte = *text;
		int			length = byte < 0x80 || is_latin ? 1 : pg_utf_mblen((const unsigned char *) text);

		if (used + 4 >= size)
			break;
		if (byte < 0x80)
			target[used++] = byte == '\n' || byte == '\t' || (byte >= ' ' && byte != 0x7f) ? byte : ' ';
		else if (is_latin && (byte >= 0xa0 || byte == 0x92))
		{
			/* Windows-1252 has the apostrophe of "j’ai" there. */
			pg_wchar	c = byte == 0x92 ? 0x2019 : byte;

			unicode_to_utf8(c, (unsigned char *) target + used);
			used += pg_utf_mblen((unsigned char *) target + used);
		}
		else if (!is_latin && (int) strnlen(text, length) == length && length > 1 && pg_utf8_islegal((const unsigned char *) text, length))
		{
			memcpy(target + used, text, length);
			used += length;
		}
		else
		{
			target[used++] = '?';
			length = 1;
		}
		text += length;
	}
	target[used] = '\0';
}

void
mfi_mail_decode_words(const char *text, char *target, int size)
{
	int			used = 0;
	bool		was_word = false;

	target[0] = '\0';
	while (*text != '\0' && used + 5 < size)
	{
		const char *charset = strncmp(text, "=?", 2) == 0 ? text + 2 : NULL;
		const char *encoding = charset != NULL ? strchr(charset, '?') : NULL;
		const char *data = encoding != NULL && encoding[1] != '\0' && encoding[2] == '?' ? encoding + 3 : NULL;
		const char *end = data != NULL ? strstr(data, "?=") : NULL;
		char		name[20] = "";
		char		raw[400];
		int			length;

		if (end == NULL)
		{
			char		one[8];
			int			bytes = (unsigned char) *text < 0x80 ? 1 : pg_utf_mblen((const unsigned char *) text);

			bytes = Min(bytes, (int) strnlen(text, bytes));
			memcpy(one, text, bytes);
			one[bytes] = '\0';
			mfi_mail_to_utf8(one, "utf-8", target + used, size - used);
			used += strlen(target + used);
			text += bytes;
			was_word = was_word && one[0] == ' ';
			continue;
		}
		/* Spaces between two words are none of the text. */
		while (was_word && used > 0 && target[used - 1] == ' ')
			used--;
		memcpy(name, charset, Min((size_t) (encoding - charset), sizeof(name) - 1));
		length = encoding[1] == 'B' || encoding[1] == 'b' ? decode_base64(data, end, raw, sizeof(raw))
			: decode_quoted_printable(data, end, true, raw, sizeof(raw));
		for (int i = 0; i < length; i++)
			if (raw[i] == '\0' || raw[i] == '\n')
				raw[i] = ' ';
		raw[length] = '\0';
		mfi_mail_to_utf8(raw, name, target + used, size - used);
		used += strlen(target + used);
		text = end + 2;
		was_word = true;
	}
	target[used] = '\0';
}

/* The character that an entity stands for, and its length; zero: none that matters. */
static char
entity(const char *text, int *length)
{
	static const struct
	{
		const char *text;
		char		character;
	}			entities[] = {{"&nbsp;", ' '}, {"&#160;", ' '}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};

	for (int i = 0; i < (int) lengthof(entities); i++)
		if (strncasecmp(text, entities[i].text, strlen(entities[i].text)) == 0)
		{
			*length = strlen(entities[i].text);
			return entities[i].character;
		}
	return '\0';
}

/*
 * mfi_mail_strip_html leaves the text between tags; <br>, </p> and </div> end
 * lines, what stands in <style> and <script> is no text.
 */
void
mfi_mail_strip_html(char *text)
{
	char	   *target = text;
	const char *skip_to = NULL;

	for (const char *c = text; *c != '\0'; c++)
	{
		const char *end;

		if (*c != '<')
		{
			int			length = 0;
			char		character = *c == '&' ? entity(c, &length) : '\0';

			if (skip_to == NULL)
				*target++ = character != '\0' ? character : *c == '\n' ? ' ' : *c;
			if (character != '\0')
				c += length - 1;
			continue;
		}
		if (skip_to == NULL && (strncasecmp(c, "<style", 6) == 0 || strncasecmp(c, "<script", 7) == 0))
			skip_to = c[2] == 't' || c[2] == 'T' ? "</style" : "</script";
		else if (skip_to != NULL && strncasecmp(c, skip_to, strlen(skip_to)) == 0)
			skip_to = NULL;
		else if (skip_to == NULL && (strncasecmp(c, "<br", 3) == 0 || strncasecmp(c, "</p", 3) == 0 || strncasecmp(c, "</div", 5) == 0))
			*target++ = '\n';
		end = strchr(c, '>');
		if (end == NULL)
			break;
		c = end;
	}
	*target = '\0';
}

void
mfi_mail_strip_quoted(char *text)
{
	char	   *line = text;
	char	   *last = text;

	while (*line != '\0')
	{
		size_t		length = strcspn(line, "\n");
		bool		ends_words = length >= 3 && line[length - 1] == ':' &&
			(memmem(line, length, " wrote:", 7) != NULL || memmem(line, length, "crit :", 6) != NULL || memmem(line, length, "crit\302\240:", 7) != NULL);

		if (*line == '>' || ends_words || strncmp(line, "-----", 5) == 0 || strncmp(line, "_____", 5) == 0 ||
			(length <= 3 && strncmp(line, "-- ", length) == 0 && length >= 2))
			break;
		line += length;
		if (*line != '\0')
			line++;
		last = line;
	}
	while (last > text && isspace((unsigned char) last[-1]))
		last--;
	*last = '\0';
	line = text + strspn(text, " \t\n");
	memmove(text, line, strlen(line) + 1);
}
