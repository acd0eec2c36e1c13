/*
 * form.c
 *		Forms and queries as providers send them: name=value&name=value.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(mfiauto_read_form);

static int	hex_value(char c);
static void push_decoded(JsonbParseState **state, JsonbIteratorToken token, const char *text, int length);

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * push_decoded undoes the percent-encoding; bytes that are no text in the
 * server's encoding, and NUL, become question marks.
 */
static void
push_decoded(JsonbParseState **state, JsonbIteratorToken token, const char *text, int length)
{
	char	   *decoded = palloc(length + 1);
	int			used = 0;
	JsonbValue	value;

	for (int i = 0; i < length; i++)
	{
		if (text[i] == '+')
			decoded[used++] = ' ';
		else if (text[i] == '%' && i + 2 < length && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0)
		{
			decoded[used++] = (char) (hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		}
		else
			decoded[used++] = text[i];
	}
	decoded[used] = '\0';
	if (memchr(decoded, '\0', used) != NULL || !pg_verify_mbstr(GetDatabaseEncoding(), decoded, used, true))
		for (int i = 0; i < used; i++)
			if (decoded[i] == '\0' || IS_HIGHBIT_SET(decoded[i]))
				decoded[i] = '?';
	value.type = jbvString;
	value.val.string.val = decoded;
	value.val.string.len = used;
	pushJsonbValue(state, token, &value);
}

/*
 * SQL: mfiauto._read_form(text) RETURNS jsonb
 */
Datum
mfiauto_read_form(PG_FUNCTION_ARGS)
{
	char	   *form = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *at = form + (*form == '?');
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (*at != '\0')
	{
		int			length = strcspn(at, "&");
		int			name_length = Min((int) strcspn(at, "="), length);

		if (name_length > 0)
		{
			push_decoded(&state, WJB_KEY, at, name_length);
			push_decoded(&state, WJB_VALUE, at + name_length + (name_length < length), length - name_length - (name_length < length));
		}
		at += length + (at[length] == '&');
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
