/*
 * form.c
 *		Forms and queries as providers send them: name=value&name=value.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "fmgr.h"
#include "gateway/form.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mfiauto_read_form);

static int	hex_value(char c);
static char *decode(const char *text, int length, int *decoded_length);

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * decode undoes the percent-encoding.
 */
static char *
decode(const char *text, int length, int *decoded_length)
{
	char	   *decoded = palloc(length + 1);
	int			used = 0;

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
	*decoded_length = used;
	return decoded;
}

List *
mfi_form_read(const char *text, int length)
{
	const char *end = text + length;
	const char *at = text + (length > 0 && *text == '?');
	List	   *parameters = NIL;

	while (at < end)
	{
		const char *stop = memchr(at, '&', end - at);
		const char *equals;

		if (stop == NULL)
			stop = end;
		equals = memchr(at, '=', stop - at);
		if (equals == NULL)
			equals = stop;
		if (equals > at)
		{
			MfiParameter *parameter = palloc(sizeof(MfiParameter));
			const char *value = equals < stop ? equals + 1 : stop;

			parameter->name = decode(at, equals - at, &parameter->name_length);
			parameter->value = decode(value, stop - value, &parameter->value_length);
			parameters = lappend(parameters, parameter);
		}
		at = stop + 1;
	}
	return parameters;
}

void
mfi_form_make_text(char *text, int length)
{
	if (memchr(text, '\0', length) == NULL && pg_verify_mbstr(GetDatabaseEncoding(), text, length, true))
		return;
	for (int i = 0; i < length; i++)
		if (text[i] == '\0' || IS_HIGHBIT_SET(text[i]))
			text[i] = '?';
}

/*
 * SQL: mfiauto._read_form(text) RETURNS jsonb
 */
Datum
mfiauto_read_form(PG_FUNCTION_ARGS)
{
	text	   *form = PG_GETARG_TEXT_PP(0);
	JsonbParseState *state = NULL;
	ListCell   *cell;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, mfi_form_read(VARDATA_ANY(form), VARSIZE_ANY_EXHDR(form)))
	{
		MfiParameter *parameter = lfirst(cell);

		mfi_form_make_text(parameter->name, parameter->name_length);
		mfi_form_make_text(parameter->value, parameter->value_length);
		mfi_jsonb_push_text(&state, parameter->name, parameter->value, parameter->value_length);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
