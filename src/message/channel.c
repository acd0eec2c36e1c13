/*
 * channel.c
 *		What the channels take: addresses, titles, lengths.
 *
 * An address is checked before a message is queued, so that a wrong one is a
 * reason in the ledger and not a provider's refusal that costs money. The
 * check of e-mail is narrow on purpose: the rare address that it refuses is
 * one that most mail servers refuse too, and nothing that could end a header
 * line passes.
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "funcapi.h"
#include "message/channel.h"
#include "message/phone.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#define EMAIL_BYTES_MAX 254
#define EMAIL_LOCAL_BYTES_MAX 64
#define DOMAIN_LABEL_BYTES_MAX 63
#define TOKEN_BYTES_MAX 4096

static const MfiChannel channels[] = {
	{"sms", MFI_ADDRESS_MOBILE, false, false, 1600},
	{"email", MFI_ADDRESS_EMAIL, true, true, 500000},
	{"voice", MFI_ADDRESS_PHONE, false, false, 4000},
	{"push", MFI_ADDRESS_TOKEN, true, false, 2000},
	{"whatsapp", MFI_ADDRESS_MOBILE, false, false, 4096},
	{"telegram", MFI_ADDRESS_TOKEN, false, false, 4096},
	{"messenger", MFI_ADDRESS_TOKEN, false, false, 2000},
	{"inapp", MFI_ADDRESS_TOKEN, true, false, 20000},
	{"webhook", MFI_ADDRESS_TOKEN, true, false, 100000},
};

PG_FUNCTION_INFO_V1(mfiauto_list_channels);
PG_FUNCTION_INFO_V1(mfiauto_read_address);

const MfiChannel *
mfi_channel_find(const char *name, int length)
{
	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		if ((int) strlen(channels[i].name) == length && memcmp(channels[i].name, name, length) == 0)
			return &channels[i];
	}
	return NULL;
}

static inline bool
is_ascii_alnum(char c)
{
	return isascii((unsigned char) c) && isalnum((unsigned char) c);
}

/* Whether a text has a dot at an end, or two in a row. */
static bool
has_stray_dot(const char *text, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (text[i] == '.' && (i == 0 || i == length - 1 || text[i - 1] == '.'))
			return true;
	}
	return length == 0;
}

static bool
is_domain(const char *text, int length)
{
	int			label_start = 0;
	int			label_count = 0;
	bool		has_letter = false;

	for (int i = 0; i <= length; i++)
	{
		if (i < length && text[i] != '.')
		{
			if (!is_ascii_alnum(text[i]) && text[i] != '-')
				return false;
			has_letter = has_letter || isalpha((unsigned char) text[i]);
			continue;
		}
		if (i == label_start || i - label_start > DOMAIN_LABEL_BYTES_MAX ||
			text[label_start] == '-' || text[i - 1] == '-')
			return false;
		label_count++;
		if (i == length)
			return label_count >= 2 && has_letter && i - label_start >= 2;
		has_letter = false;		/* only the last label must have one */
		label_start = i + 1;
	}
	return false;
}

static MfiAddressState
read_email(const char *text, int length, StringInfo out)
{
	const char *at = memchr(text, '@', length);
	int			local_length = (at != NULL) ? (int) (at - text) : 0;

	if (at == NULL || length > EMAIL_BYTES_MAX || local_length > EMAIL_LOCAL_BYTES_MAX ||
		has_stray_dot(text, local_length) || !is_domain(at + 1, length - local_length - 1))
		return MFI_ADDRESS_INVALID;
	for (int i = 0; i < local_length; i++)
	{
		if (!is_ascii_alnum(text[i]) && (text[i] == '\0' || strchr("!#$%&'*+-/=?^_{|}~.", text[i]) == NULL))
			return MFI_ADDRESS_INVALID;
	}
	/* One person's address however it was typed: mail servers do not tell case apart. */
	for (int i = 0; i < length; i++)
		appendStringInfoChar(out, (char) pg_ascii_tolower((unsigned char) text[i]));
	return MFI_ADDRESS_USABLE;
}

static MfiAddressState
read_token(const char *text, int length, StringInfo out)
{
	if (length > TOKEN_BYTES_MAX)
		return MFI_ADDRESS_INVALID;
	for (int i = 0; i < length; i++)
	{
		if ((unsigned char) text[i] <= ' ' || (unsigned char) text[i] >= 0x7F)
			return MFI_ADDRESS_INVALID;
	}
	appendBinaryStringInfo(out, text, length);
	return MFI_ADDRESS_USABLE;
}

static MfiAddressState
read_phone(const char *text, int length, const char *country, bool needs_mobile, StringInfo out)
{
	char		e164[MFI_PHONE_SIZE];
	MfiPhoneKind kind;
	MfiPhoneProblem problem = mfi_phone_normalize(text, length, country, e164, &kind);

	if (problem == MFI_PHONE_EMPTY)
		return MFI_ADDRESS_MISSING;
	if (problem != MFI_PHONE_OK || (needs_mobile && kind == MFI_PHONE_LANDLINE))
		return MFI_ADDRESS_INVALID;
	appendStringInfoString(out, e164);
	return MFI_ADDRESS_USABLE;
}

MfiAddressState
mfi_channel_read_address(const MfiChannel *channel, const char *text, int length,
						 const char *country, StringInfo out)
{
	while (length > 0 && (text[0] == ' ' || text[0] == '\t'))
		text++, length--;
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (length == 0)
		return MFI_ADDRESS_MISSING;
	switch (channel->address_kind)
	{
		case MFI_ADDRESS_EMAIL:
			return read_email(text, length, out);
		case MFI_ADDRESS_TOKEN:
			return read_token(text, length, out);
		default:
			return read_phone(text, length, country,
							  channel->address_kind == MFI_ADDRESS_MOBILE, out);
	}
}

/*
 * SQL: mfiauto._channel() RETURNS TABLE (channel text, address_kind text,
 * has_title boolean, has_html boolean, characters_max integer)
 */
Datum
mfiauto_list_channels(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"mobile", "phone", "email", "token"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false, false, false, false, false};

		values[0] = CStringGetTextDatum(channels[i].name);
		values[1] = CStringGetTextDatum(kinds[channels[i].address_kind]);
		values[2] = BoolGetDatum(channels[i].has_title);
		values[3] = BoolGetDatum(channels[i].has_html);
		values[4] = Int32GetDatum(channels[i].text_characters_max);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * SQL: mfiauto._read_address(channel text, address text, country text) RETURNS
 * text: the address in its one form, null if it cannot be used.
 */
Datum
mfiauto_read_address(PG_FUNCTION_ARGS)
{
	const MfiChannel *channel;
	StringInfoData out;
	text	   *name;
	text	   *address;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	name = PG_GETARG_TEXT_PP(0);
	address = PG_GETARG_TEXT_PP(1);
	channel = mfi_channel_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	initStringInfo(&out);
	if (channel == NULL ||
		mfi_channel_read_address(channel, VARDATA_ANY(address), VARSIZE_ANY_EXHDR(address),
								 PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
								 &out) != MFI_ADDRESS_USABLE)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
