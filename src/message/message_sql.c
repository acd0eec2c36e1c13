/*
 * message_sql.c
 *		The SQL functions of this folder: arguments in, results out.
 *
 * None of them touches a table. What they do stands in mustache.c, sms.c,
 * phone.c and format.c.
 */
#include "postgres.h"

#include "fmgr.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "message/format.h"
#include "message/mustache.h"
#include "message/phone.h"
#include "message/sms.h"

PG_FUNCTION_INFO_V1(mfiauto_render);
PG_FUNCTION_INFO_V1(mfiauto_render_strict);
PG_FUNCTION_INFO_V1(mfiauto_template_names);
PG_FUNCTION_INFO_V1(mfiauto_template_partials);
PG_FUNCTION_INFO_V1(mfiauto_measure_sms);
PG_FUNCTION_INFO_V1(mfiauto_split_sms);
PG_FUNCTION_INFO_V1(mfiauto_transliterate_sms);
PG_FUNCTION_INFO_V1(mfiauto_normalize_phone);
PG_FUNCTION_INFO_V1(mfiauto_format_money);
PG_FUNCTION_INFO_V1(mfiauto_format_date);
PG_FUNCTION_INFO_V1(mfiauto_format_time);

#define TEMPLATE_CACHE_SIZE 8

/*
 * Templates that this call site has read. A campaign's set has one template,
 * or a few by locale: rows take turns, so that a handful is kept.
 */
typedef struct TemplateCache
{
	struct
	{
		MemoryContext context; /* NULL while the place is free */
		char *text;
		int length;
		MfiTemplate *template;
	} entries[TEMPLATE_CACHE_SIZE];
	int next; /* the place to be used again first */
} TemplateCache;

static MfiTemplate *
cached_template(FunctionCallInfo fcinfo, text *source)
{
	TemplateCache *cache = fcinfo->flinfo->fn_extra;
	const char *text = VARDATA_ANY(source);
	int length = VARSIZE_ANY_EXHDR(source);
	MemoryContext context;
	MfiTemplate *template;
	int place;

	if (cache == NULL)
		fcinfo->flinfo->fn_extra = cache =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(TemplateCache));
	for (int i = 0; i < TEMPLATE_CACHE_SIZE; i++)
	{
		if (cache->entries[i].context != NULL && cache->entries[i].length == length &&
			memcmp(cache->entries[i].text, text, length) == 0)
			return cache->entries[i].template;
	}

	/* Read under the caller's context first: an error then leaves nothing behind. */
	context = AllocSetContextCreate(CurrentMemoryContext, "mfiauto template", ALLOCSET_SMALL_SIZES);
	template = mfi_mustache_parse(text, length, context);
	place = cache->next;
	cache->next = (place + 1) % TEMPLATE_CACHE_SIZE;
	if (cache->entries[place].context != NULL)
		MemoryContextDelete(cache->entries[place].context);
	MemoryContextSetParent(context, fcinfo->flinfo->fn_mcxt);
	cache->entries[place].text = MemoryContextAlloc(context, length + 1);
	memcpy(cache->entries[place].text, text, length);
	cache->entries[place].length = length;
	cache->entries[place].template = template;
	cache->entries[place].context = context;
	return template;
}

/*
 * mfiauto.render(template text, context jsonb, partials jsonb, escape text)
 */
Datum
mfiauto_render(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	MfiTemplate *template;
	Jsonb *partials = NULL;
	MfiEscape escape = MFI_ESCAPE_HTML;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(2))
	{
		partials = PG_GETARG_JSONB_P(2);
		if (!JB_ROOT_IS_OBJECT(partials))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("partials must be a JSON object"),
							errhint("Give the text of each partial under its name.")));
	}
	if (!PG_ARGISNULL(3))
		escape = mfi_escape_from_name(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	template = cached_template(fcinfo, PG_GETARG_TEXT_PP(0));
	initStringInfo(&out);
	mfi_mustache_render(template, PG_GETARG_JSONB_P(1), partials, escape, &out, NULL);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

static Datum
text_array(List *names)
{
	Datum *values = palloc(sizeof(Datum) * (list_length(names) + 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, names)
		values[count++] = CStringGetTextDatum((const char *) lfirst(cell));
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static TupleDesc
result_row(FunctionCallInfo fcinfo)
{
	TupleDesc row;

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function must be declared to return a row");
	return BlessTupleDesc(row);
}

/*
 * mfiauto._render_strict(template text, context jsonb, escape text, OUT body text, OUT missing text[])
 */
Datum
mfiauto_render_strict(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	MfiMissing missing = { NIL };
	MfiEscape escape = mfi_escape_from_name(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	MfiTemplate *template = cached_template(fcinfo, PG_GETARG_TEXT_PP(0));
	Datum values[2];
	bool nulls[2] = { false, false };

	initStringInfo(&out);
	mfi_mustache_render(template, PG_GETARG_JSONB_P(1), NULL, escape, &out, &missing);
	values[0] = PointerGetDatum(cstring_to_text_with_len(out.data, out.len));
	values[1] = text_array(missing.names);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row(fcinfo), values, nulls)));
}

static MfiTemplate *
parse(text *source)
{
	return mfi_mustache_parse(VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source), CurrentMemoryContext);
}

/*
 * mfiauto._template_names(template text)
 */
Datum
mfiauto_template_names(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(text_array(mfi_mustache_variables(parse(PG_GETARG_TEXT_PP(0)))));
}

/*
 * mfiauto._template_partials(template text)
 */
Datum
mfiauto_template_partials(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(text_array(mfi_mustache_partials(parse(PG_GETARG_TEXT_PP(0)))));
}

static void
check_utf8(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SMS texts need a database whose encoding is UTF8"),
				 errdetail("The encoding of this database is %s.", GetDatabaseEncodingName())));
}

static Datum
text_of(const StringInfoData *string)
{
	return PointerGetDatum(cstring_to_text_with_len(string->data, string->len));
}

/*
 * mfiauto.sms_parts(body text, OUT encoding text, OUT units integer, OUT parts integer, OUT outside text)
 */
Datum
mfiauto_measure_sms(PG_FUNCTION_ARGS)
{
	text *body = PG_GETARG_TEXT_PP(0);
	MfiSmsSize size;
	StringInfoData outside;
	Datum values[4];
	bool nulls[4] = { false, false, false, false };

	check_utf8();
	mfi_sms_measure(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), &size);
	initStringInfo(&outside);
	if (size.encoding != MFI_SMS_GSM7)
		mfi_sms_append_outside(&outside, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	values[0] = CStringGetTextDatum(size.encoding == MFI_SMS_GSM7 ? "gsm7" : "ucs2");
	values[1] = Int32GetDatum(size.unit_count);
	values[2] = Int32GetDatum(size.part_count);
	values[3] = text_of(&outside);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row(fcinfo), values, nulls)));
}

/*
 * mfiauto._split_sms(body text, is_ucs2 boolean) RETURNS SETOF text: the texts of its parts, in their order. is_ucs2: it
 * travels in 16 bits although it need not.
 */
Datum
mfiauto_split_sms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	text *body = PG_GETARG_TEXT_PP(0);
	const char *rest = VARDATA_ANY(body);
	int length = VARSIZE_ANY_EXHDR(body);
	MfiSmsSize size;

	check_utf8();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	mfi_sms_measure(rest, length, &size);
	if (PG_GETARG_BOOL(1) && size.encoding == MFI_SMS_GSM7)
		mfi_sms_widen(rest, length, &size);
	while (length > 0)
	{
		int part = mfi_sms_part_length(rest, length, &size);
		Datum value = PointerGetDatum(cstring_to_text_with_len(rest, part));
		bool is_null = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
		rest += part;
		length -= part;
	}
	return (Datum) 0;
}

/*
 * mfiauto.sms_transliterate(body text)
 */
Datum
mfiauto_transliterate_sms(PG_FUNCTION_ARGS)
{
	text *body = PG_GETARG_TEXT_PP(0);
	StringInfoData out;

	check_utf8();
	initStringInfo(&out);
	mfi_sms_transliterate(&out, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	PG_RETURN_DATUM(text_of(&out));
}

/*
 * mfiauto.normalize_phone(phone text, country text, OUT e164 text, OUT kind text, OUT problem text)
 */
Datum
mfiauto_normalize_phone(PG_FUNCTION_ARGS)
{
	text *phone = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
	char *country = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	char e164[MFI_PHONE_SIZE];
	MfiPhoneKind kind;
	MfiPhoneProblem problem =
		mfi_phone_normalize(VARDATA_ANY(phone), VARSIZE_ANY_EXHDR(phone), country, e164, &kind);
	bool is_usable = problem == MFI_PHONE_OK;
	Datum values[3];
	bool nulls[3] = { !is_usable, !is_usable, is_usable };

	values[0] = CStringGetTextDatum(e164);
	values[1] = CStringGetTextDatum(mfi_phone_kind_name(kind));
	values[2] = is_usable ? (Datum) 0 : CStringGetTextDatum(mfi_phone_problem_name(problem));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row(fcinfo), values, nulls)));
}

static char *
string_or_null(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * mfiauto.money_text(amount numeric, currency text, locale text)
 */
Datum
mfiauto_format_money(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	initStringInfo(&out);
	mfi_format_money(&out, PG_GETARG_NUMERIC(0), string_or_null(fcinfo, 1),
					 string_or_null(fcinfo, 2));
	PG_RETURN_DATUM(text_of(&out));
}

/*
 * mfiauto.date_text(d date, locale text)
 */
Datum
mfiauto_format_date(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	initStringInfo(&out);
	mfi_format_date(&out, PG_GETARG_DATEADT(0), string_or_null(fcinfo, 1));
	PG_RETURN_DATUM(text_of(&out));
}

/*
 * mfiauto.time_text(t time, locale text)
 */
Datum
mfiauto_format_time(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	initStringInfo(&out);
	mfi_format_time(&out, PG_GETARG_TIMEADT(0), string_or_null(fcinfo, 1));
	PG_RETURN_DATUM(text_of(&out));
}
