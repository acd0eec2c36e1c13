/*
 * mail_sql.c
 *		A letter that came back or in, for SQL.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "receive/mail.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mfiauto_parse_mail);

static void put(Datum *values, bool *nulls, int column, const char *text);

/* Bytes of headers may be of any encoding; the parser's own text is UTF-8. */
static void
put(Datum *values, bool *nulls, int column, const char *text)
{
	char	   *clean = pstrdup(text);
	char	   *converted;

	for (char *c = clean; *c != '\0'; c++)
		if ((unsigned char) *c >= 0x80 && !pg_verify_mbstr(PG_UTF8, clean, strlen(clean), true))
			*c = '?';
	converted = pg_any_to_server(clean, strlen(clean), PG_UTF8);
	nulls[column] = converted[0] == '\0';
	values[column] = CStringGetTextDatum(converted);
}

/*
 * SQL: mfiauto._parse_mail(raw)
 */
Datum
mfiauto_parse_mail(PG_FUNCTION_ARGS)
{
	bytea	   *raw = PG_GETARG_BYTEA_PP(0);
	MfiMail    *mail = palloc(sizeof(MfiMail));
	TupleDesc	descriptor;
	Datum		values[10];
	bool		nulls[10] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	mfi_mail_parse(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), mail);
	put(values, nulls, 0, mfi_mail_kind_name(mail->kind));
	put(values, nulls, 1, mail->reference);
	values[2] = BoolGetDatum(mail->is_unsubscribe);
	put(values, nulls, 3, mail->status);
	put(values, nulls, 4, mail->diagnostic);
	put(values, nulls, 5, mail->from);
	put(values, nulls, 6, mail->to);
	put(values, nulls, 7, mail->message_id);
	put(values, nulls, 8, mail->subject);
	put(values, nulls, 9, mail->text);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
