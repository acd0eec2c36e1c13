/*
 * status.c
 *		What mfiauto.status can only learn from the server itself.
 *
 * pg_stat_activity hides other roles' processes from the installation's owner;
 * these functions tell him of mfiauto's own, and of the oldest transaction,
 * without whose it is or what it runs.
 */
#include "postgres.h"

#include "access/transam.h"
#include "base/wake.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/roster.h"

PG_FUNCTION_INFO_V1(mfiauto_is_preloaded);
PG_FUNCTION_INFO_V1(mfiauto_check_preload);
PG_FUNCTION_INFO_V1(mfiauto_list_workers);
PG_FUNCTION_INFO_V1(mfiauto_find_worker_trouble);
PG_FUNCTION_INFO_V1(mfiauto_oldest_transaction);

/* SQL: mfiauto._is_preloaded() */
Datum
mfiauto_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mfi_wake_is_preloaded());
}

/* SQL: mfiauto._check_preload(): the first thing that CREATE EXTENSION does. */
Datum
mfiauto_check_preload(PG_FUNCTION_ARGS)
{
	if (!mfi_wake_is_preloaded() && !IsBinaryUpgrade)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("mfiauto is not preloaded"),
				 errdetail("Its workers are started by the server, and only a preloaded library can register them."),
				 errhint("Add it to the configuration, shared_preload_libraries = 'pg_cron,mfiauto', and restart the server.")));
	PG_RETURN_VOID();
}

/* SQL: mfiauto._list_workers(): (worker, pid, since) of this database. */
Datum
mfiauto_list_workers(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"scout", "engine", "delivery"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < mfi_roster_size(); i++)
	{
		MfiRosterEntry entry = mfi_roster_read(i);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		if (entry.state != MFI_ROSTER_RUNNING || entry.database != MyDatabaseId)
			continue;
		values[0] = CStringGetTextDatum(names[entry.kind]);
		values[1] = Int32GetDatum((int32) entry.pid);
		values[2] = TimestampTzGetDatum(entry.since);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* SQL: mfiauto._find_worker_trouble(): why no worker can run on this server; null: nothing in the way. */
Datum
mfiauto_find_worker_trouble(PG_FUNCTION_ARGS)
{
	const char *trouble = NULL;

	if (!mfi_wake_is_preloaded())
		trouble = "mfiauto is not in shared_preload_libraries";
	else if (!mfi_wake_is_awaited(MFI_WAKE_LAUNCHER))
		trouble = "the launcher is not running";
	else if (mfi_roster_is_exhausted())
		trouble = "no background worker slot is free: raise max_worker_processes";
	if (trouble == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(trouble));
}

/*
 * SQL: mfiauto._oldest_transaction(): since when the oldest transaction that
 * has written, or a prepared one beside it in SQL, is open; null: none.
 */
Datum
mfiauto_oldest_transaction(PG_FUNCTION_ARGS)
{
	TimestampTz oldest = 0;
	int			backend_count = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= backend_count; i++)
	{
		LocalPgBackendStatus *local = pgstat_fetch_stat_local_beentry(i);

		if (local == NULL || !TransactionIdIsValid(local->backend_xid)
			|| local->backendStatus.st_xact_start_timestamp == 0)
			continue;
		if (oldest == 0 || local->backendStatus.st_xact_start_timestamp < oldest)
			oldest = local->backendStatus.st_xact_start_timestamp;
	}
	if (oldest == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(oldest);
}
