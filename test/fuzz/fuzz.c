/*
 * fuzz.c
 *		libFuzzer inside a real backend: a single-user server loads this library
 *		and calls fuzz(harness, arguments), which returns never.
 *
 * So nothing is imitated: palloc, errors, JSON and encodings are the server's
 * own. An error that a user may see is a good answer to a bad input; an
 * internal one (XX000) is a finding, as is all that the sanitizers find.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "fuzz.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(fuzz);

extern int	LLVMFuzzerRunDriver(int *count, char ***arguments, int (*run) (const uint8 *data, size_t size));

static const FuzzHarness *harness;
static MemoryContext context;

void
fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "==FINDING== %s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

bool
fuzz_is_text(const char *data, int length)
{
	return memchr(data, '\0', length) == NULL && pg_verify_mbstr(PG_UTF8, data, length, true);
}

static void
make_text(FuzzPart *part)
{
	for (int i = 0; i < part->length;)
	{
		int			length = part->data[i] == '\0' ? -1 : pg_encoding_verifymbchar(PG_UTF8, part->data + i, part->length - i);

		if (length < 1)
			part->data[i] = '?';
		i += Max(length, 1);
	}
}

static void
split(const char *data, size_t size, FuzzPart *parts)
{
	const char *rest = data;
	const char *end = data + size;

	for (int i = 0; i < FUZZ_PARTS_MAX; i++)
	{
		const char *stop = i + 1 < harness->parts && end - rest >= 4 ? memmem(rest, end - rest, "\n%%\n", 4) : NULL;
		int			length = (stop != NULL ? stop : end) - rest;

		parts[i].data = palloc(length + 1);
		memcpy(parts[i].data, rest, length);
		parts[i].data[length] = '\0';
		parts[i].length = length;
		if (!harness->is_binary)
			make_text(&parts[i]);
		rest = stop != NULL ? stop + 4 : end;
	}
}

Jsonb *
fuzz_object(const FuzzPart *part)
{
	MemoryContext outer = CurrentMemoryContext;
	Jsonb	   *json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(part->data)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(outer);
		FlushErrorState();
	}
	PG_END_TRY();
	if (json == NULL || !JB_ROOT_IS_OBJECT(json))
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	return json;
}

/* Calls a function of ours as SQL would; name is that of the SQL function, which tells its result's type. */
Datum
fuzz_call(PGFunction function, const char *name, int count, Datum *arguments)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo	info = {0};
	ReturnSetInfo result = {.type = T_ReturnSetInfo, .allowedModes = SFRM_Materialize, .returnMode = SFRM_ValuePerCall};
	ExprContext *expression = CreateStandaloneExprContext();

	info.fn_addr = function;
	info.fn_oid = DatumGetObjectId(DirectFunctionCall1(regprocin, CStringGetDatum(name)));
	info.fn_nargs = count;
	info.fn_mcxt = CurrentMemoryContext;
	result.econtext = expression;
	expression->ecxt_per_query_memory = CurrentMemoryContext;
	InitFunctionCallInfoData(*call, &info, count, InvalidOid, NULL, (Node *) &result);
	for (int i = 0; i < count; i++)
		call->args[i] = (NullableDatum) {arguments[i], false};
	return function(call);
}

static int
run_one(const uint8 *data, size_t size)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	ResourceOwner owner = CurrentResourceOwner;
	FuzzPart	parts[FUZZ_PARTS_MAX];

	split((const char *) data, size, parts);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		harness->run(parts);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR || error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			fuzz_fail(error->message, error->filename, error->lineno);
	}
	PG_END_TRY();
	CurrentResourceOwner = owner;
	MemoryContextReset(context);
	MemoryContextSwitchTo(outer);
	return 0;
}

/* SQL: fuzz(harness text, arguments text[]): what libFuzzer's own program would be given. */
Datum
fuzz(PG_FUNCTION_ARGS)
{
	const FuzzHarness *const lists[] = {fuzz_message, fuzz_gateway, fuzz_receive};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum	   *texts;
	int			count;
	char	  **arguments;

	for (int i = 0; i < (int) lengthof(lists); i++)
		for (const FuzzHarness *one = lists[i]; one->name != NULL; one++)
			if (strcmp(one->name, name) == 0)
				harness = one;
	if (harness == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("harness \"%s\" does not exist", name)));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), 25, -1, false, 'i', &texts, NULL, &count);
	arguments = palloc0(sizeof(char *) * (count + 2));
	arguments[0] = name;
	for (int i = 0; i < count; i++)
		arguments[i + 1] = TextDatumGetCString(texts[i]);
	count++;
	context = mfi_fuzz_context_create(TopMemoryContext, "fuzz", 0, 0, 0);
	fflush(stdout);
	_exit(LLVMFuzzerRunDriver(&count, &arguments, run_one));
}
