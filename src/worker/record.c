/*
 * record.c
 *		What a worker leaves in mfiauto.worker_state: heartbeats and errors.
 *
 * Both must never end the worker, and neither may tell what is somebody's
 * (base/plain.h); DETAIL is left out.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/plain.h"
#include "base/query.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "worker/worker.h"

static const char start_query[] =
"INSERT INTO mfiauto.worker_state AS w (worker, pid, started_at, heartbeat_at)"
" VALUES ($1, $2, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp())"
" ON CONFLICT (worker) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at,"
" heartbeat_at = excluded.heartbeat_at";
static const char heartbeat_query[] =
"UPDATE mfiauto.worker_state SET pid = $2, heartbeat_at = pg_catalog.clock_timestamp() WHERE worker = $1";
static const char error_query[] =
"INSERT INTO mfiauto.worker_state AS w (worker, pid, last_error, last_error_at)"
" VALUES ($1, $2, $3, pg_catalog.clock_timestamp())"
" ON CONFLICT (worker) DO UPDATE SET last_error = excluded.last_error, last_error_at = excluded.last_error_at";

/*
 * try_record runs one of the queries above; an error is only logged.
 */
static void
try_record(const char *query, const char *worker, const char *message)
{
	MemoryContext saved = CurrentMemoryContext;
	Oid			types[3] = {TEXTOID, INT4OID, TEXTOID};
	Datum		values[3];
	int			value_count = message == NULL ? 2 : 3;

	PG_TRY();
	{
		mfi_query_begin(NULL);
		values[0] = CStringGetTextDatum(worker);
		values[1] = Int32GetDatum(MyProcPid);
		values[2] = message == NULL ? (Datum) 0 : CStringGetTextDatum(message);
		(void) SPI_execute_with_args(query, value_count, types, values, NULL, false, 0);
		mfi_query_commit();
	}
	PG_CATCH();
	{
		ErrorData  *error = mfi_query_fail(saved);

		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("mfiauto could not record the state of its %s worker: %s",
						worker, mfi_plain_message(error))));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(saved);
}

void
mfi_record_heartbeat(const char *worker, bool is_start)
{
	try_record(is_start ? start_query : heartbeat_query, worker, NULL);
}

void
mfi_record_error(const char *worker, ErrorData *error)
{
	char	   *message = psprintf("%s (%s)", mfi_plain_message(error),
								   unpack_sql_state(error->sqlerrcode));

	try_record(error_query, worker, message);
}

/*
 * read_text runs a query that gives one text; the result lives in the given
 * context. Null also after an error, which is only logged.
 */
static char *
read_text(const char *query, MemoryContext context)
{
	MemoryContext saved = CurrentMemoryContext;
	char	   *volatile result = NULL;

	PG_TRY();
	{
		mfi_query_begin(NULL);
		if (SPI_execute(query, false, 1) == SPI_OK_SELECT && SPI_processed == 1)
		{
			char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

			result = value == NULL ? NULL : MemoryContextStrdup(context, value);
		}
		mfi_query_commit();
	}
	PG_CATCH();
	{
		ErrorData  *error = mfi_query_fail(saved);

		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("mfiauto could not look whether it may send: %s", mfi_plain_message(error))));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(saved);
	return result;
}

void
mfi_record_stale_hold(void)
{
	char	   *reason = read_text("SELECT mfiauto._hold_stale_delivery()", CurrentMemoryContext);

	if (reason != NULL)
		ereport(LOG,
				(errmsg("mfiauto holds delivery: %s", reason),
				 errhint("Look at the queue, then run mfiauto.release_delivery().")));
}

/*
 * is_changed compares with what was kept, and keeps the new text.
 */
static bool
is_changed(char **kept, const char *text)
{
	if (*kept == NULL ? text == NULL : text != NULL && strcmp(*kept, text) == 0)
		return false;
	if (*kept != NULL)
		pfree(*kept);
	*kept = text == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, text);
	return true;
}

void
mfi_record_delivery(const char *trouble)
{
	static char *kept_refusal = NULL;
	static bool is_first = true;
	char	   *refusal = read_text("SELECT mfiauto._delivery_refusal()", CurrentMemoryContext);

	if (is_changed(&kept_refusal, refusal) || is_first)
	{
		is_first = false;
		if (refusal != NULL)
			ereport(LOG, (errmsg("mfiauto sends nothing: %s", refusal)));
		else
			ereport(LOG, (errmsg("mfiauto may send")));
	}
	/* As long as it lasts, that it does is news. */
	if (trouble != NULL)
		try_record(error_query, "delivery", trouble);
}
