/*
 * worker.c
 *		The scout, the engine worker and the delivery worker: wait, work, report.
 *
 * Each serves one database. It leaves, saying why, when there is nothing for it
 * to do there (no extension, no tables, other tables than this library knows,
 * mfiauto.workers = off); the launcher sends a scout when that may have changed.
 * An error in a pass is reported, kept in worker_state, and tried again later.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/guc.h"
#include "base/owner.h"
#include "base/plain.h"
#include "base/query.h"
#include "base/wake.h"
#include "commands/extension.h"
#include "delivery/delivery.h"
#include "engine/engine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/loop.h"
#include "worker/worker.h"

#define HEARTBEAT_MS 10000
#define DELIVERY_LOCK_TIMEOUT "2s"
#define REST_MS_MIN 5
#define REST_MS_MAX 100
#define ROTATE_MS 10000
#define PARTITION_MS (60 * 60 * 1000)

/* One worker's standing: when it must next do what. */
typedef struct Duty
{
	const char *worker;
	int			failure_count;
	TimestampTz heartbeat_at;
} Duty;

typedef struct EngineDuty
{
	Duty		duty;
	TimestampTz rotated_at;
	TimestampTz partitions_at;
} EngineDuty;

PGDLLEXPORT void mfi_worker_scout_main(Datum place);
PGDLLEXPORT void mfi_worker_engine_main(Datum place);
PGDLLEXPORT void mfi_worker_delivery_main(Datum place);

void
mfi_worker_start(Datum place, MfiWorkerKind kind)
{
	Oid			database;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	mfi_loop_handle_signals(kind != MFI_WORKER_DELIVERY);
	if (mfi_wake_is_preloaded() && !mfi_roster_enter(DatumGetInt32(place), database, kind))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	mfi_query_settle_session();
	/* While it waits for a lock, it takes no answers in, of any gateway: rather it tries again. */
	if (kind == MFI_WORKER_DELIVERY)
		SetConfigOption("lock_timeout", DELIVERY_LOCK_TIMEOUT, PGC_USERSET, PGC_S_OVERRIDE);
}

MfiFinding
mfi_worker_look(void)
{
	MfiFinding	finding = MFI_FINDING_READY;

	if (!mfi_guc_workers)
		return MFI_FINDING_OFF;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!OidIsValid(get_extension_oid("mfiauto", true)))
		finding = MFI_FINDING_ABSENT;
	else if (!mfi_owner_is_installed())
		finding = MFI_FINDING_NOT_INSTALLED;
	else if (mfi_owner_schema_version() != MFI_SCHEMA_VERSION)
		finding = MFI_FINDING_OTHER_VERSION;
	PopActiveSnapshot();
	CommitTransactionCommand();
	return finding;
}

void
mfi_worker_scout_main(Datum place)
{
	mfi_worker_start(place, MFI_WORKER_SCOUT);
	mfi_roster_report(mfi_worker_look());
	proc_exit(0);
}

/*
 * leave says why there is nothing more to do here; the caller then ends.
 */
static bool
leave(MfiFinding finding)
{
	mfi_roster_report(finding);
	ereport(LOG,
			(errmsg("%s stops: %s", MyBgworkerEntry->bgw_name, mfi_roster_finding_text(finding))));
	return false;
}

/*
 * begin_turn is the start of every turn: false when asked to stop, or when
 * there is nothing to do in this database any more.
 */
static bool
begin_turn(Duty *duty)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_reloaded;

	if (!mfi_loop_turn(&is_reloaded))
		return false;
	if (mfi_roster_is_asked_to_look())
		return leave(MFI_FINDING_LOOK_AGAIN);
	if (is_reloaded || duty->failure_count > 0
		|| TimestampDifferenceExceeds(duty->heartbeat_at, now, HEARTBEAT_MS))
	{
		MfiFinding	finding = mfi_worker_look();

		if (finding != MFI_FINDING_READY)
			return leave(finding);
	}
	if (TimestampDifferenceExceeds(duty->heartbeat_at, now, HEARTBEAT_MS))
	{
		mfi_record_heartbeat(duty->worker, duty->heartbeat_at == 0);
		duty->heartbeat_at = now;
	}
	return true;
}

/*
 * note_failure takes the error that was just caught, rolls back and says so;
 * the first of a row and then each that comes after a longer pause.
 */
static void
note_failure(Duty *duty, MemoryContext context)
{
	ErrorData  *error = mfi_query_fail(context);

	duty->failure_count++;
	/* The extension went while the pass waited for it: the next turn says so and leaves. */
	if (mfi_worker_look() != MFI_FINDING_READY)
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("mfiauto %s worker tries again in %ld s: %s", duty->worker,
					mfi_loop_backoff_ms(duty->failure_count) / 1000, mfi_plain_message(error)),
			 errhidestmt(true), errhidecontext(true)));
	mfi_record_error(duty->worker, error);
	FreeErrorData(error);
}

/*
 * run_query runs one statement of upkeep in a transaction of its own.
 */
static void
run_query(const char *activity, const char *query)
{
	mfi_query_begin(activity);
	if (SPI_execute(query, false, 0) < 0)
		elog(ERROR, "could not run: %s", query);
	mfi_query_commit();
}

/*
 * keep_house does what is due now and then: journal segments, partitions.
 */
static void
keep_house(EngineDuty *duty)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(duty->partitions_at, now, PARTITION_MS))
	{
		duty->partitions_at = now;
		run_query("mfiauto partitions", "SELECT mfiauto._ensure_partitions()");
	}
	if (TimestampDifferenceExceeds(duty->rotated_at, now, ROTATE_MS))
	{
		duty->rotated_at = now;
		run_query("mfiauto journal rotation", "SELECT mfiauto._rotate_journal()");
	}
}

/*
 * engine_pass runs one batch; returns whether more may be due at once.
 */
static bool
engine_pass(TimestampTz *next_due_at)
{
	MfiEngineCounts counts = {0};
	bool		is_null = true;
	bool		is_busy;

	mfi_query_begin("mfiauto engine pass");
	is_busy = mfi_engine_pass(&counts);
	*next_due_at = DT_NOEND;
	if (SPI_execute("SELECT pg_catalog.min(due_at) FROM mfiauto.enrollment_state WHERE due_at IS NOT NULL",
					false, 1) == SPI_OK_SELECT && SPI_processed == 1)
	{
		Datum		due = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);

		if (!is_null)
			*next_due_at = DatumGetTimestampTz(due);
	}
	mfi_query_commit();
	return is_busy;
}

/*
 * engine_sleep_ms says how long nothing is due, at most the interval.
 */
static long
engine_sleep_ms(TimestampTz next_due_at)
{
	TimestampTz now = GetCurrentTimestamp();

	/* What is due already and was left (a paused workflow) waits for the interval. */
	if (next_due_at == DT_NOEND || next_due_at <= now)
		return mfi_guc_engine_interval_ms;
	return Min(TimestampDifferenceMilliseconds(now, next_due_at) + 1, mfi_guc_engine_interval_ms);
}

/*
 * rest_after keeps a storm of commits from keeping a core busy: a pass is
 * followed by a rest of half its length.
 */
static void
rest_after(TimestampTz started_at)
{
	long		took_ms = TimestampDifferenceMilliseconds(started_at, GetCurrentTimestamp());

	mfi_loop_rest(Max(REST_MS_MIN, Min(took_ms / 2, REST_MS_MAX)));
}

void
mfi_worker_engine_main(Datum place)
{
	EngineDuty	engine = {{"engine", 0, 0}, 0, 0};
	Duty	   *duty = &engine.duty;
	MemoryContext context;

	mfi_worker_start(place, MFI_WORKER_ENGINE);
	context = AllocSetContextCreate(TopMemoryContext, "mfiauto engine", ALLOCSET_DEFAULT_SIZES);
	mfi_wake_attach(MyDatabaseId, MFI_WAKE_ENGINE);
	while (begin_turn(duty))
	{
		TimestampTz next_due_at = DT_NOEND;
		TimestampTz started_at = GetCurrentTimestamp();
		volatile bool is_busy = false;

		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			is_busy = engine_pass(&next_due_at);
			keep_house(&engine);
			duty->failure_count = 0;
		}
		PG_CATCH();
		{
			note_failure(duty, context);
		}
		PG_END_TRY();
		MemoryContextReset(context);
		if (duty->failure_count > 0)
		{
			mfi_loop_rest(mfi_loop_backoff_ms(duty->failure_count));
			continue;
		}
		rest_after(started_at);
		if (!is_busy)
			mfi_loop_wait(engine_sleep_ms(next_due_at));
	}
	proc_exit(0);
}

/*
 * deliver does one turn of delivery: waits for its descriptor, its deadline or
 * a wake-up, and lets it do what can be done.
 */
static void
deliver(void)
{
	long		timeout_ms = -1;
	int			descriptor = mfi_delivery_poll(&timeout_ms);

	if (timeout_ms < 0 || timeout_ms > HEARTBEAT_MS)
		timeout_ms = HEARTBEAT_MS;
	if (mfi_loop_wait_readable(timeout_ms, descriptor))
		mfi_delivery_wake();
	mfi_delivery_pump();
}

/*
 * report_delivery keeps what an operator should know beside the heartbeat:
 * once in the log and in mfiauto.status as long as it holds.
 */
static void
report_delivery(TimestampTz *reported_at)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(*reported_at, now, HEARTBEAT_MS))
		return;
	*reported_at = now;
	mfi_record_delivery(mfi_delivery_trouble());
}

void
mfi_worker_delivery_main(Datum place)
{
	Duty		duty = {"delivery", 0, 0};
	TimestampTz reported_at = 0;
	MemoryContext context;

	mfi_worker_start(place, MFI_WORKER_DELIVERY);
	context = AllocSetContextCreate(TopMemoryContext, "mfiauto delivery", ALLOCSET_DEFAULT_SIZES);
	mfi_wake_attach(MyDatabaseId, MFI_WAKE_DELIVERY);
	mfi_record_stale_hold();
	mfi_delivery_begin();
	while (begin_turn(&duty))
	{
		MemoryContextSwitchTo(context);
		report_delivery(&reported_at);
		deliver();
		MemoryContextReset(context);
	}
	mfi_delivery_finish();
	proc_exit(0);
}
