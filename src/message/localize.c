/*
 * localize.c
 *		The money and dates of a context, written for another locale.
 *
 * A context is made for a client, before it is known which text the client
 * gets: its <field>_text values are in the client's language. Where there is
 * no text in that language and another one steps in, a French sentence must
 * not hold an English date. Moments (payment.paid_at) stay as they are: their
 * date depends on the client's zone, which was settled when they were written.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "fmgr.h"
#include "message/format.h"
#include "message/localize.h"
#include "utils/builtins.h"
#include "utils/date.h"

#define TEXT_SUFFIX "_text"
#define TEXT_SUFFIX_LENGTH ((int) sizeof(TEXT_SUFFIX) - 1)
#define DATE_LENGTH 10			/* 2026-02-05 */

/* The currency that the context's amounts are in, as _context chooses it. */
static char *
find_currency(Jsonb *context)
{
	char	   *currency = mfi_jsonb_find_string(mfi_jsonb_find_object(&context->root, "loan"), "currency");

	return currency != NULL ? currency : mfi_jsonb_find_string(mfi_jsonb_find_object(&context->root, "institution"), "currency");
}

/* Writes the value that a text stands for; false where the text shall stay. */
static bool
write_text(JsonbContainer *object, const JsonbValue *key, const char *currency, const char *locale,
		   StringInfo out)
{
	JsonbValue	value;
	int			base_length = key->val.string.len - TEXT_SUFFIX_LENGTH;

	if (base_length <= 0 ||
		memcmp(key->val.string.val + base_length, TEXT_SUFFIX, TEXT_SUFFIX_LENGTH) != 0 ||
		!mfi_jsonb_find(object, key->val.string.val, base_length, &value))
		return false;
	if (value.type == jbvNumeric)
	{
		mfi_format_money(out, value.val.numeric, currency, locale);
		return true;
	}
	if (value.type == jbvString && value.val.string.len == DATE_LENGTH)
	{
		char	   *date = pnstrdup(value.val.string.val, DATE_LENGTH);

		mfi_format_date(out, DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(date))), locale);
		return true;
	}
	return false;
}

/* An event's properties are what somebody sent: no name in them means anything to us. */
static bool
is_own_object(const JsonbValue *key)
{
	return key->val.string.len != 5 || memcmp(key->val.string.val, "event", 5) != 0;
}

/* Copies the context with the texts of its own objects written anew. */
static Jsonb *
rewrite(Jsonb *context, const char *locale)
{
	JsonbParseState *state = NULL;
	JsonbIterator *iterator = JsonbIteratorInit(&context->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	member;
	JsonbValue *result = NULL;
	JsonbContainer *object = NULL;	/* at depth 2: the object we are in */
	char	   *currency = find_currency(context);
	int			depth = 0;
	bool		has_new = false;	/* the value that follows, if it is one, is to be replaced by */
	StringInfoData text;

	initStringInfo(&text);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		else if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		else if (token == WJB_KEY && depth == 1)
		{
			/* Plurals are those of the language that is spoken now. */
			has_new = value.val.string.len == 6 && memcmp(value.val.string.val, "locale", 6) == 0;
			resetStringInfo(&text);
			appendStringInfoString(&text, locale);
			object = is_own_object(&value) && mfi_jsonb_find(&context->root, value.val.string.val, value.val.string.len, &member)
				? mfi_jsonb_object(&member) : NULL;
		}
		else if (token == WJB_KEY && depth == 2 && object != NULL)
		{
			resetStringInfo(&text);
			has_new = write_text(object, &value, currency, locale, &text);
		}
		else if (token == WJB_VALUE && has_new && value.type == jbvString)
		{
			value.val.string.val = pnstrdup(text.data, text.len);
			value.val.string.len = text.len;
		}
		if (token != WJB_KEY)
			has_new = false;
		result = pushJsonbValue(&state, token,
								token < WJB_BEGIN_ARRAY || (token == WJB_BEGIN_ARRAY && value.val.array.rawScalar) ? &value : NULL);
	}
	return JsonbValueToJsonb(result);
}

static bool
is_same_language(const char *one, const char *other)
{
	size_t		length = strcspn(one, "-");

	return length == strcspn(other, "-") && strncmp(one, other, length) == 0;
}

Jsonb *
mfi_localize_context(Jsonb *context, const char *locale)
{
	char	   *written;

	if (!JB_ROOT_IS_OBJECT(context) || strcmp(locale, "*") == 0)
		return context;
	written = mfi_jsonb_find_string(&context->root, "locale");
	if (written == NULL || is_same_language(written, locale))
		return context;
	return rewrite(context, locale);
}
