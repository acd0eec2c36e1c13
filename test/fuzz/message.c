/*
 * message.c
 *		Harnesses of src/message: templates, SMS, numbers, tokens of links.
 */
#include "postgres.h"

#include "message/channel.h"
#include "message/mustache.h"
#include "message/option.h"
#include "message/phone.h"
#include "message/place.h"
#include "message/sms.h"
#include "message/token.h"

#include "fuzz.h"

/* template, context, partials */
static void
run_mustache(FuzzPart *parts)
{
	Jsonb	   *values = fuzz_object(&parts[1]);
	Jsonb	   *partials = fuzz_object(&parts[2]);
	MfiTemplate *template = mfi_mustache_parse(parts[0].data, parts[0].length, CurrentMemoryContext);
	ListCell   *cell;

	foreach(cell, mfi_mustache_variables(template))
		FUZZ_CHECK(fuzz_is_text(lfirst(cell), strlen(lfirst(cell))));
	foreach(cell, mfi_mustache_partials(template))
		FUZZ_CHECK(fuzz_is_text(lfirst(cell), strlen(lfirst(cell))));
	for (MfiEscape escape = MFI_ESCAPE_HTML; escape <= MFI_ESCAPE_NONE; escape++)
	{
		StringInfoData out;
		MfiMissing	missing = {NIL};

		initStringInfo(&out);
		mfi_mustache_render(template, values, partials, escape, &out, escape == MFI_ESCAPE_NONE ? &missing : NULL);
		FUZZ_CHECK(fuzz_is_text(out.data, out.len));
		FUZZ_CHECK(out.len <= MFI_TEMPLATE_BYTES_MAX);
	}
}

/* text: what is escaped has none of the signs that mean something where it is put */
static void
run_escape(FuzzPart *parts)
{
	static const char *const barred[] = {"<>\"'", "\"\n\r\t\b\f", "&=+ <>\"'%\r\n?#/:;,@$", "<>\"'"};

	for (MfiEscape escape = MFI_ESCAPE_HTML; escape < MFI_ESCAPE_NONE; escape++)
	{
		StringInfoData out;

		initStringInfo(&out);
		mfi_escape_append(&out, parts[0].data, parts[0].length, escape);
		FUZZ_CHECK(fuzz_is_text(out.data, out.len));
		for (int i = 0; i < out.len; i++)
		{
			if (escape == MFI_ESCAPE_URL && out.data[i] == '%')
			{
				FUZZ_CHECK(i + 2 < out.len && isxdigit((unsigned char) out.data[i + 1]) && isxdigit((unsigned char) out.data[i + 2]));
				continue;
			}
			if (escape == MFI_ESCAPE_JSON && out.data[i] == '\\')
			{
				i++;
				continue;
			}
			FUZZ_CHECK(strchr(barred[escape], out.data[i]) == NULL);
		}
	}
}

/* options, context */
static void
run_option(FuzzPart *parts)
{
	MfiOption  *option = mfi_option_parse(fuzz_object(&parts[0]), CurrentMemoryContext);
	MfiMissing	missing = {NIL};

	if (option != NULL)
		mfi_option_render(option, fuzz_object(&parts[1]), "fr-SN", "fr", &missing);
}

/* text */
static void
run_sms(FuzzPart *parts)
{
	const char *text = parts[0].data;
	int			length = parts[0].length;
	MfiSmsSize	size;
	StringInfoData plain;

	for (int is_wide = 0; is_wide < 2; is_wide++)
	{
		int			count = 0;

		mfi_sms_measure(text, length, &size);
		if (is_wide && size.encoding == MFI_SMS_GSM7)
			mfi_sms_widen(text, length, &size);
		for (int place = 0; place < length; count++)
		{
			char	   *rest = pnstrdup(text + place, length - place);
			int			part = mfi_sms_part_length(rest, length - place, &size);

			FUZZ_CHECK(part > 0 && part <= length - place);
			FUZZ_CHECK(fuzz_is_text(rest, part));
			place += part;
		}
		FUZZ_CHECK(count == size.part_count);
	}
	initStringInfo(&plain);
	mfi_sms_append_outside(&plain, text, length);
	FUZZ_CHECK(fuzz_is_text(plain.data, plain.len));
	resetStringInfo(&plain);
	mfi_sms_append_gsm_hex(&plain, text, length);
	resetStringInfo(&plain);
	mfi_sms_transliterate(&plain, text, length);
	FUZZ_CHECK(fuzz_is_text(plain.data, plain.len));
}

/* number or address, country */
static void
run_phone(FuzzPart *parts)
{
	static const char *const channels[] = {"sms", "voice", "email", "push", "whatsapp", "telegram"};
	char		e164[MFI_PHONE_SIZE];
	char		again[MFI_PHONE_SIZE];
	char		locale[MFI_LOCALE_SIZE];
	MfiPhoneKind kind;
	const char *country = parts[1].length > 0 ? parts[1].data : NULL;

	if (mfi_phone_normalize(parts[0].data, parts[0].length, country, e164, &kind) == MFI_PHONE_OK)
	{
		FUZZ_CHECK(e164[0] == '+' && strlen(e164) < MFI_PHONE_SIZE && strspn(e164 + 1, "0123456789") == strlen(e164 + 1));
		FUZZ_CHECK(mfi_phone_normalize(e164, strlen(e164), country, again, &kind) == MFI_PHONE_OK);
		FUZZ_CHECK(strcmp(e164, again) == 0);
	}
	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		StringInfoData out;

		initStringInfo(&out);
		if (mfi_channel_read_address(mfi_channel_find(channels[i], strlen(channels[i])), parts[0].data, parts[0].length, country, &out) == MFI_ADDRESS_USABLE)
			FUZZ_CHECK(fuzz_is_text(out.data, out.len) && strpbrk(out.data, "\r\n") == NULL);
	}
	if (mfi_place_normalize_locale(parts[0].data, parts[0].length, locale))
		FUZZ_CHECK(strlen(locale) < MFI_LOCALE_SIZE);
}

/* token or text with markers, key */
static void
run_token(FuzzPart *parts)
{
	MfiToken	token;
	char		word[MFI_TOKEN_SIZE + 1];
	char	   *keys[2] = {parts[1].data, "another key"};
	int			lengths[2] = {parts[1].length, 11};
	int			target;

	if (mfi_token_read(parts[0].data, parts[0].length, keys, lengths, 2, &token))
	{
		FUZZ_CHECK(token.message_id >= 0 && token.message_id <= MFI_TOKEN_MESSAGE_MAX && token.target >= 0 && token.target <= MFI_TOKEN_TARGET_MAX);
		for (int i = 0; i < 2; i++)
		{
			mfi_token_write(word, &token, keys[i], lengths[i]);
			FUZZ_CHECK(strlen(word) == MFI_TOKEN_SIZE && mfi_token_read(word, MFI_TOKEN_SIZE, keys, lengths, 2, &token));
		}
	}
	for (int place = -1; (place = mfi_token_find_marker(parts[0].data, parts[0].length, place + 1, &target)) >= 0;)
		FUZZ_CHECK(place + MFI_TOKEN_SIZE <= parts[0].length && target >= 0 && target <= MFI_TOKEN_TARGET_MAX);
}

const FuzzHarness fuzz_message[] = {
	{"mustache", 3, false, run_mustache}, {"escape", 1, false, run_escape}, {"option", 2, false, run_option},
	{"sms", 1, false, run_sms}, {"phone", 2, false, run_phone}, {"token", 2, true, run_token}, {NULL},
};
