/*
 * sms.c
 *		What a text costs as an SMS, and how to make it cost less.
 *
 * Networks bill by the part. A text of the GSM 03.38 alphabet has 160 septets
 * in one part and 153 in each of several; one character outside of it turns
 * the whole text into UTF-16, with 70 and 67 units. In French, "prêt" is
 * outside and "échéance" is not: one circumflex can triple a campaign's price,
 * and gateways that do not switch send a question mark in its place.
 */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "message/sms.h"

#define GSM7_SINGLE_MAX 160
#define GSM7_PART_MAX 153
#define UCS2_SINGLE_MAX 70
#define UCS2_PART_MAX 67

#define REPLACEMENT_CHARACTER 0xFFFD

/*
 * The next character of a text; `length` must be positive. Bytes that are no
 * UTF-8 count as one replacement character each.
 */
static inline pg_wchar
next_character(const char *utf8, int length, int *byte_count)
{
	const unsigned char *bytes = (const unsigned char *) utf8;
	int expected;

	if (bytes[0] < 0x80)
	{
		*byte_count = 1;
		return bytes[0];
	}
	expected = pg_utf_mblen(bytes);
	if (expected > length || !pg_utf8_islegal(bytes, expected))
	{
		*byte_count = 1;
		return REPLACEMENT_CHARACTER;
	}
	*byte_count = expected;
	return utf8_to_unicode(bytes);
}

/*
 * Septets that an ASCII character takes in GSM 03.38: 1 in the basic table,
 * 2 in the extension, 0 outside. The basic table has no back-tick.
 */
static const uint8 ascii_septets[128] = {
	/* clang-format off */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 0, /* line feed, form feed, carriage return */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* space to slash */
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 0 to ? */
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* @ to O */
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 1, /* P to Z, [ \ ] ^ in the extension, _ */
	0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* back-tick, a to o */
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, /* p to z, { | } ~ in the extension */
	/* clang-format on */
};

/*
 * Septets of a character beyond ASCII. The basic table has no lower-case c
 * with cedilla, and Greek only in capitals that differ from Latin ones.
 */
static int
wide_septets(pg_wchar c)
{
	switch (c)
	{
		case 0x00A1: /* inverted exclamation mark */
		case 0x00A3: /* pound */
		case 0x00A4: /* currency sign */
		case 0x00A5: /* yen */
		case 0x00A7: /* section sign */
		case 0x00BF: /* inverted question mark */
		case 0x00C4: /* A diaeresis */
		case 0x00C5: /* A ring */
		case 0x00C6: /* AE */
		case 0x00C7: /* C cedilla */
		case 0x00C9: /* E acute */
		case 0x00D1: /* N tilde */
		case 0x00D6: /* O diaeresis */
		case 0x00D8: /* O stroke */
		case 0x00DC: /* U diaeresis */
		case 0x00DF: /* sharp s */
		case 0x00E0: /* a grave */
		case 0x00E4: /* a diaeresis */
		case 0x00E5: /* a ring */
		case 0x00E6: /* ae */
		case 0x00E8: /* e grave */
		case 0x00E9: /* e acute */
		case 0x00EC: /* i grave */
		case 0x00F1: /* n tilde */
		case 0x00F2: /* o grave */
		case 0x00F6: /* o diaeresis */
		case 0x00F8: /* o stroke */
		case 0x00F9: /* u grave */
		case 0x00FC: /* u diaeresis */
		case 0x0393: /* Gamma */
		case 0x0394: /* Delta */
		case 0x0398: /* Theta */
		case 0x039B: /* Lambda */
		case 0x039E: /* Xi */
		case 0x03A0: /* Pi */
		case 0x03A3: /* Sigma */
		case 0x03A6: /* Phi */
		case 0x03A8: /* Psi */
		case 0x03A9: /* Omega */
			return 1;
		case 0x20AC: /* euro */
			return 2;
		default:
			return 0;
	}
}

static inline int
septets(pg_wchar c)
{
	return c < 0x80 ? ascii_septets[c] : wide_septets(c);
}

static inline int
utf16_units(pg_wchar c)
{
	return c > 0xFFFF ? 2 : 1;
}

static bool
is_gsm7(const char *utf8, int length)
{
	int byte_count;

	for (int i = 0; i < length; i += byte_count)
	{
		if (septets(next_character(utf8 + i, length - i, &byte_count)) == 0)
			return false;
	}
	return true;
}

/*
 * mfi_sms_measure tells how a text travels and in how many parts. A character
 * of two units is never split over two parts, so that a part may end one unit
 * early.
 */
void
mfi_sms_measure(const char *utf8, int length, MfiSmsSize *out)
{
	bool gsm7 = is_gsm7(utf8, length);
	int single_max = gsm7 ? GSM7_SINGLE_MAX : UCS2_SINGLE_MAX;
	int part_max = gsm7 ? GSM7_PART_MAX : UCS2_PART_MAX;
	int in_part = 0;
	int byte_count;

	out->encoding = gsm7 ? MFI_SMS_GSM7 : MFI_SMS_UCS2;
	out->unit_count = 0;
	out->part_count = (length > 0) ? 1 : 0;
	for (int i = 0; i < length; i += byte_count)
	{
		pg_wchar c = next_character(utf8 + i, length - i, &byte_count);
		int units = gsm7 ? septets(c) : utf16_units(c);

		out->unit_count += units;
		if (in_part + units > part_max)
		{
			out->part_count++;
			in_part = 0;
		}
		in_part += units;
	}
	if (out->unit_count <= single_max && out->part_count > 1)
		out->part_count = 1;
}

/*
 * mfi_sms_widen makes the size that of a text of the 7-bit alphabet which
 * travels as UCS-2 all the same.
 */
void
mfi_sms_widen(const char *utf8, int length, MfiSmsSize *size)
{
	int byte_count;

	/* All its characters have one unit each. */
	size->unit_count = 0;
	for (int i = 0; i < length; i += byte_count)
	{
		(void) next_character(utf8 + i, length - i, &byte_count);
		size->unit_count++;
	}
	size->encoding = MFI_SMS_UCS2;
	if (size->unit_count > UCS2_SINGLE_MAX)
		size->part_count = (size->unit_count + UCS2_PART_MAX - 1) / UCS2_PART_MAX;
	else
		size->part_count = length > 0 ? 1 : 0;
}

/*
 * mfi_sms_part_length is how many bytes of (the rest of) a text go into its
 * next part. size is that of the whole text.
 */
int
mfi_sms_part_length(const char *utf8, int length, const MfiSmsSize *size)
{
	bool gsm7 = size->encoding == MFI_SMS_GSM7;
	int part_max = gsm7 ? GSM7_PART_MAX : UCS2_PART_MAX;
	int in_part = 0;
	int byte_count;

	if (size->part_count <= 1)
		return length;
	for (int i = 0; i < length; i += byte_count)
	{
		pg_wchar c = next_character(utf8 + i, length - i, &byte_count);
		int units = gsm7 ? septets(c) : utf16_units(c);

		if (in_part + units > part_max)
			return i;
		in_part += units;
	}
	return length;
}

/*
 * mfi_sms_append_outside appends the characters of a text that GSM 03.38 does
 * not have, each once, in the order of the text.
 */
void
mfi_sms_append_outside(StringInfo out, const char *utf8, int length)
{
	int start = out->len;
	int byte_count;

	for (int i = 0; i < length; i += byte_count)
	{
		bool is_known = false;

		CHECK_FOR_INTERRUPTS();
		if (septets(next_character(utf8 + i, length - i, &byte_count)) > 0)
			continue;
		for (int j = start; j < out->len && !is_known;
			 j += pg_utf_mblen((unsigned char *) out->data + j))
			is_known =
				j + byte_count <= out->len && memcmp(out->data + j, utf8 + i, byte_count) == 0;
		if (!is_known)
			appendBinaryStringInfo(out, utf8 + i, byte_count);
	}
}

typedef struct Substitute
{
	pg_wchar character;
	const char *instead;
} Substitute;

/*
 * What French, Spanish and Portuguese readers accept in an SMS, ordered by
 * code point. Letters that are letters of their own in African languages
 * (open e and o, eng, hooked consonants, dotted vowels) change the word and
 * are left alone, as is every other script.
 */
/* clang-format off */
static const Substitute substitutes[] = {
	{0x0009, " "},				/* tab */
	{0x0060, "'"},				/* back-tick */
	{0x00A0, " "},				/* no-break space */
	{0x00A8, "\""},				/* diaeresis */
	{0x00AA, "a"},				/* feminine ordinal */
	{0x00AB, "\""},				/* left guillemet */
	{0x00AD, ""},				/* soft hyphen */
	{0x00B0, "o"},				/* degree */
	{0x00B4, "'"},				/* acute accent */
	{0x00B7, "."},				/* middle dot */
	{0x00BA, "o"},				/* masculine ordinal */
	{0x00BB, "\""},				/* right guillemet */
	{0x00C0, "A"},
	{0x00C1, "A"},
	{0x00C2, "A"},
	{0x00C3, "A"},
	{0x00C8, "E"},
	{0x00CA, "E"},
	{0x00CB, "E"},
	{0x00CC, "I"},
	{0x00CD, "I"},
	{0x00CE, "I"},
	{0x00CF, "I"},
	{0x00D2, "O"},
	{0x00D3, "O"},
	{0x00D4, "O"},
	{0x00D5, "O"},
	{0x00D7, "x"},				/* multiplication */
	{0x00D9, "U"},
	{0x00DA, "U"},
	{0x00DB, "U"},
	{0x00DD, "Y"},
	{0x00E1, "a"},
	{0x00E2, "a"},
	{0x00E3, "a"},
	{0x00E7, "c"},
	{0x00EA, "e"},
	{0x00EB, "e"},
	{0x00ED, "i"},
	{0x00EE, "i"},
	{0x00EF, "i"},
	{0x00F3, "o"},
	{0x00F4, "o"},
	{0x00F5, "o"},
	{0x00FA, "u"},
	{0x00FB, "u"},
	{0x00FD, "y"},
	{0x00FF, "y"},
	{0x0152, "OE"},
	{0x0153, "oe"},
	{0x0178, "Y"},
	{0x2002, " "},				/* en space */
	{0x2003, " "},				/* em space */
	{0x2007, " "},				/* figure space */
	{0x2009, " "},				/* thin space */
	{0x200A, " "},				/* hair space */
	{0x200B, ""},				/* zero-width space */
	{0x2010, "-"},				/* hyphen */
	{0x2011, "-"},				/* no-break hyphen */
	{0x2012, "-"},				/* figure dash */
	{0x2013, "-"},				/* en dash */
	{0x2014, "-"},				/* em dash */
	{0x2015, "-"},				/* bar */
	{0x2018, "'"},
	{0x2019, "'"},
	{0x201A, "'"},
	{0x201C, "\""},
	{0x201D, "\""},
	{0x201E, "\""},
	{0x2022, "-"},				/* bullet */
	{0x2026, "..."},
	{0x202F, " "},				/* narrow no-break space */
	{0x2032, "'"},				/* prime */
	{0x2033, "\""},				/* double prime */
	{0x2039, "'"},
	{0x203A, "'"},
	{0x2060, ""},				/* word joiner */
	{0x2212, "-"},				/* minus */
	{0xFEFF, ""},				/* byte order mark */
};
/* clang-format on */

static const char *
substitute(pg_wchar c)
{
	int low = 0;
	int high = (int) lengthof(substitutes) - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (substitutes[middle].character == c)
			return substitutes[middle].instead;
		if (substitutes[middle].character < c)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

/*
 * Composes letters that were typed as a base and a combining accent, as some
 * telephones and exports write them: only the composed ones are in the tables.
 * Returns the text itself where there is nothing to compose.
 */
static const char *
composed(const char *utf8, int *length)
{
	pg_wchar *characters;
	pg_wchar *normal;
	bool has_combining = false;
	int count = 0;
	int byte_count;
	StringInfoData text;

	for (int i = 0; i < *length && !has_combining; i += byte_count)
	{
		pg_wchar c = next_character(utf8 + i, *length - i, &byte_count);

		has_combining = (c >= 0x0300 && c <= 0x036F);
	}
	if (!has_combining)
		return utf8;
	characters = palloc(sizeof(pg_wchar) * (*length + 1));
	for (int i = 0; i < *length; i += byte_count)
		characters[count++] = next_character(utf8 + i, *length - i, &byte_count);
	characters[count] = 0;
	normal = unicode_normalize(UNICODE_NFC, characters);
	initStringInfo(&text);
	for (pg_wchar *c = normal; *c != 0; c++)
	{
		unsigned char bytes[MAX_MULTIBYTE_CHAR_LEN + 1];

		unicode_to_utf8(*c, bytes);
		appendBinaryStringInfo(&text, (char *) bytes, pg_utf_mblen(bytes));
	}
	pfree(characters);
	pfree(normal);
	*length = text.len;
	return text.data;
}

/*
 * mfi_sms_transliterate appends a text with the characters outside GSM 03.38
 * replaced by what readers accept for them. What has no such replacement
 * stays, and the text then travels as UCS-2.
 */
void
mfi_sms_transliterate(StringInfo out, const char *utf8, int length)
{
	const char *text = composed(utf8, &length);
	int copied = 0; /* bytes of the text that are in `out` */
	int byte_count;

	for (int i = 0; i < length; i += byte_count)
	{
		pg_wchar c = next_character(text + i, length - i, &byte_count);
		const char *instead = septets(c) > 0 ? NULL : substitute(c);

		if (instead == NULL)
			continue;
		appendBinaryStringInfo(out, text + copied, i - copied);
		appendStringInfoString(out, instead);
		copied = i + byte_count;
	}
	appendBinaryStringInfo(out, text + copied, length - copied);
	if (text != utf8)
		pfree(unconstify(char *, text));
}

/*
 * The place of a character in the basic table of GSM 03.38, or, with 0x1B00
 * added, in the extension; -1 where it has none.
 */
static int
gsm_place(pg_wchar c)
{
	static const pg_wchar low[32] = {
		0x0040, 0x00A3, 0x0024, 0x00A5, 0x00E8, 0x00E9, 0x00F9, 0x00EC, 0x00F2, 0x00C7, 0x000A,
		0x00D8, 0x00F8, 0x000D, 0x00C5, 0x00E5, 0x0394, 0x005F, 0x03A6, 0x0393, 0x039B, 0x03A9,
		0x03A0, 0x03A8, 0x03A3, 0x0398, 0x039E, 0,		0x00C6, 0x00E6, 0x00DF, 0x00C9,
	};
	static const struct
	{
		pg_wchar character;
		int place;
	} others[] = {
		{ 0x00A4, 0x24 },	{ 0x00A1, 0x40 },	{ 0x00C4, 0x5B },	{ 0x00D6, 0x5C },	{ 0x00D1, 0x5D },
		{ 0x00DC, 0x5E },	{ 0x00A7, 0x5F },	{ 0x00BF, 0x60 },	{ 0x00E4, 0x7B },	{ 0x00F6, 0x7C },
		{ 0x00F1, 0x7D },	{ 0x00FC, 0x7E },	{ 0x00E0, 0x7F },	{ 0x000C, 0x1B0A }, { '^', 0x1B14 },
		{ '{', 0x1B28 },	{ '}', 0x1B29 },	{ '\\', 0x1B2F },	{ '[', 0x1B3C },	{ '~', 0x1B3D },
		{ ']', 0x1B3E },	{ '|', 0x1B40 },	{ 0x20AC, 0x1B65 },
	};

	for (int i = 0; i < (int) lengthof(low); i++)
	{
		if (low[i] == c && c != 0)
			return i;
	}
	for (int i = 0; i < (int) lengthof(others); i++)
	{
		if (others[i].character == c)
			return others[i].place;
	}
	return septets(c) == 1 && c < 0x80 ? (int) c : -1;
}

/*
 * Appends the text in GSM 03.38 as hexadecimal digits, a byte a septet; what
 * the alphabet does not have becomes a question mark.
 */
void
mfi_sms_append_gsm_hex(StringInfo out, const char *utf8, int length)
{
	while (length > 0)
	{
		int byte_count;
		int place = gsm_place(next_character(utf8, length, &byte_count));

		appendStringInfo(out, place > 0xFF ? "%04X" : "%02X", place < 0 ? '?' : place);
		utf8 += byte_count;
		length -= byte_count;
	}
}
