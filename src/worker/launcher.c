/*
 * launcher.c
 *		Keeps the workers of every database running.
 *
 * One static worker without a database. It reads pg_database; all else, also
 * whether a database has the extension and wants workers, only a process
 * connected there can see. So it sends a scout first, one at a time, and starts
 * an engine and a delivery worker where the scout says that all is ready. It
 * wakes when a worker ends, when a command concerned the workers (lifecycle.c),
 * and once a minute. The postmaster starts it when recovery is finished, so a
 * standby has no workers and a promoted one gets them without a restart.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/guc.h"
#include "base/query.h"
#include "base/wake.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/launcher.h"
#include "worker/loop.h"
#include "worker/roster.h"

#define LAUNCHER_INTERVAL_MS (60 * 1000L)
#define LOOK_AGAIN_MS (10 * 60 * 1000)
#define LOOK_AGAIN_SOON_MS (10 * 1000)
#define STEADY_MS (60 * 1000)
#define KIND_COUNT 3

/* One worker of one database. */
typedef struct Child
{
	int			place;			/* in the roster; -1: none */
	BackgroundWorkerHandle *handle;
	int			failure_count;
	TimestampTz not_before;
} Child;

typedef struct Database
{
	Oid			oid;
	NameData	name;
	bool		is_listed;
	bool		is_known;		/* finding is what the last scout said */
	MfiFinding	finding;
	TimestampTz looked_at;
	Child		children[KIND_COUNT];
} Database;

static const char *const kind_names[KIND_COUNT] = {"scout", "engine", "delivery"};
static const char *const kind_functions[KIND_COUNT] =
{
	"mfi_worker_scout_main", "mfi_worker_engine_main", "mfi_worker_delivery_main"
};

static List *databases = NIL;
static bool is_exhausted = false;

PGDLLEXPORT void mfi_launcher_main(Datum arg);

void
mfi_launcher_define(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "mfiauto", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "mfi_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "mfiauto launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "mfiauto launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
	mfi_lifecycle_define();
}

static Database *
find_database(Oid oid)
{
	ListCell   *cell;

	foreach(cell, databases)
	{
		Database   *database = lfirst(cell);

		if (database->oid == oid)
			return database;
	}
	return NULL;
}

/*
 * note_database remembers a row of pg_database. Templates are never connected
 * to: a connection would stand in the way of their use.
 */
static void
note_database(Form_pg_database row)
{
	Database   *database = find_database(row->oid);

	if (row->datistemplate || !row->datallowconn || row->datconnlimit == DATCONNLIMIT_INVALID_DB)
		return;
	if (database == NULL)
	{
		MemoryContext saved = MemoryContextSwitchTo(TopMemoryContext);

		database = palloc0(sizeof(Database));
		database->oid = row->oid;
		for (int kind = 0; kind < KIND_COUNT; kind++)
			database->children[kind].place = -1;
		databases = lappend(databases, database);
		MemoryContextSwitchTo(saved);
	}
	namestrcpy(&database->name, NameStr(row->datname));
	database->is_listed = true;
}

static void
list_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	ListCell   *cell;

	foreach(cell, databases)
		((Database *) lfirst(cell))->is_listed = false;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
		note_database((Form_pg_database) GETSTRUCT(tuple));
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * collect frees the place of a child that has ended, and learns from how.
 */
static void
collect(Database *database, int kind)
{
	Child	   *child = &database->children[kind];
	MfiRosterEntry entry;
	pid_t		pid;
	bool		is_gone;

	if (child->place < 0)
		return;
	entry = mfi_roster_read(child->place);
	is_gone = entry.state == MFI_ROSTER_ENDED
		|| GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED;
	if (!is_gone)
		return;
	/* The process may have left its place just after we read it. */
	entry = mfi_roster_read(child->place);
	mfi_roster_free(child->place);
	pfree(child->handle);
	child->place = -1;
	child->handle = NULL;
	switch (entry.finding)
	{
		case MFI_FINDING_NONE:
			if (TimestampDifferenceExceeds(entry.since, GetCurrentTimestamp(), STEADY_MS))
				child->failure_count = 0;
			child->failure_count++;
			child->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															mfi_loop_backoff_ms(child->failure_count));
			break;
		case MFI_FINDING_LOOK_AGAIN:
			database->is_known = false;
			break;
		default:
			child->failure_count = 0;
			database->is_known = true;
			database->finding = entry.finding;
			database->looked_at = GetCurrentTimestamp();
			break;
	}
}

/*
 * start starts a worker of the given kind; false: no process to be had.
 */
static bool
start(Database *database, int kind)
{
	Child	   *child = &database->children[kind];
	BackgroundWorker worker;
	MemoryContext saved;
	bool		is_started;

	child->place = mfi_roster_reserve(database->oid, (MfiWorkerKind) kind);
	if (child->place < 0)
		return mfi_roster_is_kept_clear(database->oid);
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "mfiauto", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, kind_functions[kind], BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "mfiauto %s: %s", kind_names[kind], NameStr(database->name));
	strlcpy(worker.bgw_type, worker.bgw_name, BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(child->place);
	memcpy(worker.bgw_extra, &database->oid, sizeof(Oid));
	worker.bgw_notify_pid = MyProcPid;
	saved = MemoryContextSwitchTo(TopMemoryContext);
	is_started = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(saved);
	if (!is_started)
	{
		mfi_roster_free(child->place);
		child->place = -1;
		child->handle = NULL;
	}
	return is_started;
}

/*
 * look_again_ms says how long a scout's word holds. The tables of a dump that is
 * being restored come after the extension, without install().
 */
static int
look_again_ms(MfiFinding finding)
{
	bool		is_soon = finding == MFI_FINDING_NOT_INSTALLED || finding == MFI_FINDING_OTHER_VERSION;

	return is_soon ? LOOK_AGAIN_SOON_MS : LOOK_AGAIN_MS;
}

/*
 * start_due starts what the database lacks; false: no process to be had.
 */
static bool
start_due(Database *database)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_running = false;

	for (int kind = 0; kind < KIND_COUNT; kind++)
		is_running = is_running || database->children[kind].place >= 0;
	if (database->is_known && database->finding != MFI_FINDING_READY && !is_running
		&& TimestampDifferenceExceeds(database->looked_at, now, look_again_ms(database->finding)))
		database->is_known = false;
	if (!database->is_known)
	{
		/* While workers run there, they see for themselves what changed. */
		if (is_running || database->children[MFI_WORKER_SCOUT].not_before > now)
			return true;
		return start(database, MFI_WORKER_SCOUT);
	}
	if (database->finding != MFI_FINDING_READY)
		return true;
	for (int kind = MFI_WORKER_ENGINE; kind <= MFI_WORKER_DELIVERY; kind++)
	{
		Child	   *child = &database->children[kind];

		if (child->place < 0 && child->not_before <= now && !start(database, kind))
			return false;
	}
	return true;
}

static bool
is_scouting(void)
{
	ListCell   *cell;

	foreach(cell, databases)
		if (((Database *) lfirst(cell))->children[MFI_WORKER_SCOUT].place >= 0)
			return true;
	return false;
}

static void
note_exhaustion(bool is_now_exhausted)
{
	if (is_now_exhausted && !is_exhausted)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("mfiauto could not start a worker: no background worker slot is free"),
				 errhint("Raise max_worker_processes: mfiauto needs one for its launcher, two for each database that has it, and one to look around.")));
	if (is_now_exhausted != is_exhausted)
		mfi_roster_set_exhausted(is_now_exhausted);
	is_exhausted = is_now_exhausted;
}

/*
 * forget_dropped drops the memory of databases that are gone.
 */
static void
forget_dropped(void)
{
	ListCell   *cell;

	foreach(cell, databases)
	{
		Database   *database = lfirst(cell);
		bool		has_child = false;

		for (int kind = 0; kind < KIND_COUNT; kind++)
			has_child = has_child || database->children[kind].place >= 0;
		if (database->is_listed || has_child)
			continue;
		databases = foreach_delete_current(databases, cell);
		pfree(database);
	}
}

/*
 * serve_looks marks what was asked to be looked at anew.
 */
static void
serve_looks(bool is_reloaded)
{
	Oid			asked;
	ListCell   *cell;

	while (mfi_roster_next_look(&asked))
		foreach(cell, databases)
		{
			Database   *database = lfirst(cell);

			if (asked == InvalidOid || database->oid == asked)
				database->is_known = false;
		}
	if (!is_reloaded)
		return;
	foreach(cell, databases)
		if (((Database *) lfirst(cell))->finding == MFI_FINDING_OFF)
			((Database *) lfirst(cell))->is_known = false;
}

static void
run_pass(bool is_reloaded)
{
	ListCell   *cell;
	bool		has_room = true;

	list_databases();
	foreach(cell, databases)
		for (int kind = 0; kind < KIND_COUNT; kind++)
			collect(lfirst(cell), kind);
	serve_looks(is_reloaded);
	foreach(cell, databases)
	{
		Database   *database = lfirst(cell);

		if (!database->is_listed || (!database->is_known && is_scouting()))
			continue;
		has_room = start_due(database) && has_room;
	}
	note_exhaustion(!has_room);
	forget_dropped();
}

/*
 * sleep_ms says how long nothing need be done: until a failed worker may be
 * tried again, at most a minute.
 */
static long
sleep_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		result = is_exhausted ? 10 * 1000L : LAUNCHER_INTERVAL_MS;
	ListCell   *cell;

	foreach(cell, databases)
	{
		Database   *database = lfirst(cell);

		if (database->finding != MFI_FINDING_READY)
			result = Min(result, look_again_ms(database->finding));
		for (int kind = 0; kind < KIND_COUNT; kind++)
			if (database->children[kind].place < 0 && database->children[kind].not_before > now)
				result = Min(result, TimestampDifferenceMilliseconds(now, database->children[kind].not_before) + 1);
	}
	return result;
}

static void
stop_children(int code, Datum arg)
{
	mfi_roster_stop_all();
}

/*
 * clear_leftovers stops workers of a launcher before this one, and waits until
 * they are gone: they have no handle here.
 */
static void
clear_leftovers(void)
{
	bool		is_reloaded;
	bool		is_clear = false;

	while (!is_clear && mfi_loop_turn(&is_reloaded))
	{
		mfi_roster_stop_all();
		is_clear = true;
		for (int i = 0; i < mfi_roster_size(); i++)
		{
			MfiRosterEntry entry = mfi_roster_read(i);

			if (entry.state == MFI_ROSTER_RUNNING)
				is_clear = false;
			else if (entry.state != MFI_ROSTER_FREE)
				mfi_roster_free(i);
		}
		if (!is_clear)
			mfi_loop_wait(100);
	}
}

/*
 * try_pass runs one pass; an error is a WARNING with backoff, never the end.
 */
static void
try_pass(bool is_reloaded, int *failure_count)
{
	MemoryContext saved = CurrentMemoryContext;

	PG_TRY();
	{
		run_pass(is_reloaded);
		*failure_count = 0;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(saved);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		(*failure_count)++;
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("mfiauto launcher tries again in %ld s: %s",
						mfi_loop_backoff_ms(*failure_count) / 1000, error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
}

void
mfi_launcher_main(Datum arg)
{
	MemoryContext context;
	int			failure_count = 0;
	bool		is_reloaded;

	mfi_loop_handle_signals(true);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	context = AllocSetContextCreate(TopMemoryContext, "mfiauto launcher", ALLOCSET_DEFAULT_SIZES);
	before_shmem_exit(stop_children, (Datum) 0);
	mfi_wake_attach(InvalidOid, MFI_WAKE_LAUNCHER);
	clear_leftovers();
	while (mfi_loop_turn(&is_reloaded))
	{
		MemoryContextSwitchTo(context);
		try_pass(is_reloaded, &failure_count);
		MemoryContextReset(context);
		mfi_loop_wait(failure_count > 0 ? mfi_loop_backoff_ms(failure_count) : sleep_ms());
	}
	/* Not 0: whoever ended it, the postmaster is to start it again. */
	proc_exit(1);
}
