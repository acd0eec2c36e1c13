/*
 * engine.c
 *		The driver of a pass.
 *
 * Work is done by set-based statements, one a concern and step, whatever the
 * number of enrollments. Users' conditions and templates can fail for a single
 * client; so each chunk runs in a subtransaction, and one that fails is halved
 * until the failing enrollment is alone. That one is parked with its error, the
 * others go on. A cancel, a shutdown, a deadlock or a full disk is not a
 * client's failure and ends the pass.
 *
 * Runs in the engine worker, each batch in a transaction of its own, and in the
 * foreground by run_engine(), all in the caller's. An advisory lock lets one
 * pass run at a time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/guc.h"
#include "base/owner.h"
#include "base/wake.h"
#include "catalog/pg_type.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define PASS_MEMORY_KB (32 * 1024)

/* Clients followed at once: some tenths of a second, for which due reminders may wait. */
#define FOLLOW_BATCH_SIZE 2000

/* Who is concerned: parallel arrays of one (workflow, version, step). */
typedef struct Chunk
{
	Datum		workflow_id;
	Datum		version;
	Datum		step_no;
	bool		has_step;
	Datum	   *client_ids;
	Datum	   *ids;
	Datum	   *subject_ids;
	int			count;
} Chunk;

/* Statements executed by the last pass, counted by the executor's hook. */
static int64 statement_count = 0;
static ExecutorStart_hook_type previous_executor_start = NULL;

PG_FUNCTION_INFO_V1(mfiauto_run_engine);
PG_FUNCTION_INFO_V1(mfiauto_run_engine_batch);
PG_FUNCTION_INFO_V1(mfiauto_count_engine_statements);

static void set_planner(void);
static void run_batch(MfiEngineCounts *counts);
static int64 select_number(const char *query);
static List *list_chunks(const MfiConcern *concern);
static Datum *read_array(HeapTuple row, TupleDesc shape, int column, int *count);
static void treat(const MfiConcern *concern, const Chunk *chunk, MfiEngineCounts *counts);
static void treat_alone(const MfiConcern *concern, const Chunk *chunk, MfiEngineCounts *counts);
static Datum id_array(Datum *ids, int count);
static bool is_clients_failure(int sqlerrcode);
static bool is_everybodys_failure(int sqlerrcode);
static void park(const MfiConcern *concern, const Chunk *chunk, const ErrorData *error);
static void count_statement(QueryDesc *query, int flags);
static void describe_concern(void *argument);

/*
 * mfi_engine_pass does one batch; see engine.h.
 */
bool
mfi_engine_pass(MfiEngineCounts *counts)
{
	MfiEngineCounts before = *counts;
	MfiOwnerScope scope;
	ExecutorStart_hook_type saved_hook = ExecutorStart_hook;

	mfi_owner_enter(&scope, mfi_owner_installation(), false);
	set_planner();
	previous_executor_start = saved_hook;
	ExecutorStart_hook = count_statement;
	PG_TRY();
	{
		run_batch(counts);
	}
	PG_FINALLY();
	{
		ExecutorStart_hook = saved_hook;
	}
	PG_END_TRY();
	mfi_owner_leave(&scope);
	if (counts->messages > before.messages)
		mfi_wake_at_commit(MFI_WAKE_DELIVERY);
	return memcmp(counts, &before, sizeof(before)) != 0;
}

/*
 * set_planner sets, until the pass ends, what suits few statements over many
 * rows: compiling one that runs once costs more than it saves, and a batch of
 * messages should stay in memory. A batch looks up some thousand rows by their
 * keys in tables of any size, most of them in memory: with the default cost of
 * a random page the planner would read a whole loan book for each batch.
 */
static void
set_planner(void)
{
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("random_page_cost", "1.1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (work_mem < PASS_MEMORY_KB)
		(void) set_config_option("work_mem", "32MB", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * run_batch consumes what the journal has and then goes through the concerns
 * once. When nothing was to do, it looks after what follows from the books.
 */
static void
run_batch(MfiEngineCounts *counts)
{
	const MfiConcern *concern;
	MfiEngineCounts before = *counts;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('mfiauto engine'))", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "engine could not take its lock");
	counts->events += select_number("SELECT mfiauto._consume_journal()");
	if (SPI_execute("SELECT mfiauto._revisit_held()", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "engine could not look at what is held");
	(void) select_number("SELECT mfiauto._withdraw_fallbacks()");
	(void) select_number("SELECT mfiauto._wake_waiting()");
	for (concern = mfi_plan_concerns; concern->name != NULL; concern++)
	{
		List	   *chunks = list_chunks(concern);
		ListCell   *cell;

		foreach(cell, chunks)
			treat(concern, lfirst(cell), counts);
		/* Ends by the books come before ends by goals. */
		if (concern == mfi_plan_concerns)
			counts->exited += select_number("SELECT mfiauto._reach_goals()");
	}
	if (memcmp(counts, &before, sizeof(before)) == 0)
		counts->followed += select_number("SELECT mfiauto._follow_clients(" CppAsString2(FOLLOW_BATCH_SIZE) ")");
	SPI_finish();
}

/*
 * select_number runs a query that returns one bigint.
 */
static int64
select_number(const char *query)
{
	bool		is_null;
	Datum		number;

	if (SPI_execute(query, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "engine statement returned no row: %s", query);
	number = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	return is_null ? 0 : DatumGetInt64(number);
}

/*
 * list_chunks reads who is concerned, in SPI's procedure memory.
 */
static List *
list_chunks(const MfiConcern *concern)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(mfi_guc_batch_size)};
	List	   *chunks = NIL;
	SPITupleTable *table;
	uint64		row;

	if (SPI_execute_with_args(concern->list, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "engine could not list concern %s", concern->name);
	table = SPI_tuptable;
	for (row = 0; row < SPI_processed; row++)
	{
		Chunk	   *chunk = palloc0(sizeof(Chunk));
		HeapTuple	tuple = table->vals[row];
		bool		is_null;

		chunk->workflow_id = SPI_getbinval(tuple, table->tupdesc, 1, &is_null);
		chunk->version = SPI_getbinval(tuple, table->tupdesc, 2, &is_null);
		chunk->step_no = SPI_getbinval(tuple, table->tupdesc, 3, &is_null);
		chunk->has_step = !is_null;
		chunk->client_ids = read_array(tuple, table->tupdesc, 4, &chunk->count);
		chunk->ids = read_array(tuple, table->tupdesc, 5, &chunk->count);
		chunk->subject_ids = read_array(tuple, table->tupdesc, 6, &chunk->count);
		chunks = lappend(chunks, chunk);
	}
	SPI_freetuptable(table);
	return chunks;
}

/*
 * read_array reads a bigint[] without nulls, except that a missing subject is 0.
 */
static Datum *
read_array(HeapTuple row, TupleDesc shape, int column, int *count)
{
	bool		is_null;
	Datum		array = SPI_getbinval(row, shape, column, &is_null);
	Datum	   *elements;
	bool	   *nulls;

	if (is_null)
		elog(ERROR, "engine list has no ids");
	deconstruct_array(DatumGetArrayTypePCopy(array), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, &nulls, count);
	for (int i = 0; i < *count; i++)
		if (nulls[i])
			elements[i] = Int64GetDatum(0);
	return elements;
}

static Datum
id_array(Datum *ids, int count)
{
	return PointerGetDatum(construct_array(ids, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * treat treats a chunk in a subtransaction. What fails is halved, what fails
 * alone is parked.
 */
static void
treat(const MfiConcern *concern, const Chunk *chunk, MfiEngineCounts *counts)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	MfiEngineCounts saved = *counts;
	ErrorData  *volatile error = NULL;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		treat_alone(concern, chunk, counts);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = resources;
	if (error == NULL)
		return;

	*counts = saved;
	if (!is_clients_failure(error->sqlerrcode))
		ReThrowError(error);
	if (chunk->count > 1 && !is_everybodys_failure(error->sqlerrcode))
	{
		Chunk		first = *chunk;
		Chunk		second = *chunk;

		first.count = chunk->count / 2;
		second.count = chunk->count - first.count;
		second.client_ids += first.count;
		second.ids += first.count;
		second.subject_ids += first.count;
		FreeErrorData(error);
		treat(concern, &first, counts);
		treat(concern, &second, counts);
	}
	else if (concern->parks)
	{
		park(concern, chunk, error);
		counts->parked += chunk->count;
	}
}

/*
 * treat_alone runs a concern's statement for a chunk and adds up what came of
 * it.
 */
static void
treat_alone(const MfiConcern *concern, const Chunk *chunk, MfiEngineCounts *counts)
{
	Oid			types[6] = {INT4OID, INT4OID, INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	Datum		values[6] = {chunk->workflow_id, chunk->version, chunk->step_no,
		id_array(chunk->client_ids, chunk->count), id_array(chunk->ids, chunk->count),
	id_array(chunk->subject_ids, chunk->count)};
	int64	   *sums[4] = {&counts->entered, &counts->advanced, &counts->exited, &counts->messages};
	ErrorContextCallback context = {.callback = describe_concern,.arg = (void *) concern};

	context.previous = error_context_stack;
	error_context_stack = &context;
	if (SPI_execute_with_args(concern->treat, 6, types, values, chunk->has_step ? "      " : "  n   ",
							  false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "engine statement of concern %s returned no row", concern->name);
	for (int i = 0; i < 4; i++)
	{
		bool		is_null;
		Datum		number = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &is_null);

		if (!is_null)
			*sums[i] += DatumGetInt64(number);
	}
	SPI_freetuptable(SPI_tuptable);
	for (int i = 3; i < 6; i++)
		pfree(DatumGetPointer(values[i]));
	error_context_stack = context.previous;
}

/*
 * is_clients_failure tells an error that the data of one client, a condition or
 * a template can cause from one that would befall anything just now.
 */
static bool
is_clients_failure(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:	/* deadlock, serialization */
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION: /* cancel, shutdown */
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_CONNECTION_EXCEPTION:
			return false;
		default:
			return sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION;
	}
}

/*
 * is_everybodys_failure tells an error that halving would find again in each
 * half: a column that the host dropped, a right that the owner lost.
 */
static bool
is_everybodys_failure(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
}

/*
 * park sets aside the enrollments of a chunk: one, or all for the same reason.
 */
static void
park(const MfiConcern *concern, const Chunk *chunk, const ErrorData *error)
{
	Oid			types[9] = {TEXTOID, INT4OID, INT4OID, INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID};
	Datum		values[9] = {CStringGetTextDatum(concern->name), chunk->workflow_id, chunk->version,
		chunk->step_no, id_array(chunk->client_ids, chunk->count), id_array(chunk->ids, chunk->count),
		id_array(chunk->subject_ids, chunk->count),
	CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)), CStringGetTextDatum(error->message)};

	if (SPI_execute_with_args("SELECT mfiauto._park_runs($1, $2, $3, $4, $5, $6, $7, $8, $9)", 9, types, values,
							  chunk->has_step ? NULL : "   n     ", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "engine could not park");
}

static void
describe_concern(void *argument)
{
	const MfiConcern *concern = argument;

	errcontext("while the engine treats its concern \"%s\"", concern->name);
}

static void
count_statement(QueryDesc *query, int flags)
{
	statement_count++;
	if (previous_executor_start)
		previous_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/*
 * SQL: mfiauto._run_engine(): batches until one does nothing.
 */
Datum
mfiauto_run_engine(PG_FUNCTION_ARGS)
{
	MfiEngineCounts counts = {0};
	TupleDesc	shape;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	statement_count = 0;
	while (mfi_engine_pass(&counts))
		CHECK_FOR_INTERRUPTS();
	values[0] = Int64GetDatum(counts.events);
	values[1] = Int64GetDatum(counts.entered);
	values[2] = Int64GetDatum(counts.advanced);
	values[3] = Int64GetDatum(counts.exited);
	values[4] = Int64GetDatum(counts.messages);
	values[5] = Int64GetDatum(counts.parked);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls));
}

/*
 * SQL: mfiauto._run_engine_batch(): one batch, as the worker does one in a
 * transaction; whether anything was done. For the bench.
 */
Datum
mfiauto_run_engine_batch(PG_FUNCTION_ARGS)
{
	MfiEngineCounts counts = {0};

	PG_RETURN_BOOL(mfi_engine_pass(&counts));
}

/* SQL: mfiauto._engine_statements() */
Datum
mfiauto_count_engine_statements(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(statement_count);
}
