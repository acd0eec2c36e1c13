/*
 * roster.c
 *		Which worker runs in which database.
 *
 * A connected worker stands in the way of DROP DATABASE, of a rename and of use
 * as a template, and a process that is just being started does too. So every
 * worker has its place in this table from before it is started until it is
 * gone, and a database can be kept clear: no new place is given in it. One
 * lock guards the whole; it is taken a few times a minute.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "base/shared.h"
#include "base/wake.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/roster.h"

#define LOCK_NAME "mfiauto_roster"
#define CLEAR_COUNT_MAX 64
#define LOOK_COUNT_MAX 64
#define CLEAR_WAIT_MAX_MS 60000
#define CLEAR_POLL_MS 20

typedef struct KeptClear
{
	Oid			database;
	pid_t		session;
} KeptClear;

typedef struct Roster
{
	LWLock	   *lock;
	bool		is_exhausted;
	int			look_count;
	Oid			look[LOOK_COUNT_MAX];
	KeptClear	clear[CLEAR_COUNT_MAX];
	int			entry_count;
	MfiRosterEntry entries[FLEXIBLE_ARRAY_MEMBER];
} Roster;

static Roster *roster = NULL;
static int	own_index = -1;

/* Databases that this transaction wants looked at; more than fit: all of them. */
static Oid	pending_look[8];
static int	pending_look_count = 0;

static Size
roster_size(void)
{
	return add_size(offsetof(Roster, entries),
					mul_size(sizeof(MfiRosterEntry), (Size) max_worker_processes));
}

static void
fill_roster(void *memory)
{
	Roster	   *fresh = memory;

	memset(fresh, 0, roster_size());
	fresh->lock = &GetNamedLWLockTranche(LOCK_NAME)->lock;
	fresh->entry_count = max_worker_processes;
}

void
mfi_roster_define(void)
{
	static const MfiShared shared = {
		.name = "mfiauto roster", .tranche = LOCK_NAME, .size = roster_size, .fill = fill_roster, .memory = (void **) &roster
	};

	mfi_shared_define(&shared);
}

const char *
mfi_roster_finding_text(MfiFinding finding)
{
	switch (finding)
	{
		case MFI_FINDING_NONE:
			return "ended without a word";
		case MFI_FINDING_READY:
			return "ready";
		case MFI_FINDING_ABSENT:
			return "the extension is not in this database";
		case MFI_FINDING_NOT_INSTALLED:
			return "mfiauto.install() has not run in this database";
		case MFI_FINDING_OTHER_VERSION:
			return "the tables have another version than the code, run mfiauto.migrate()";
		case MFI_FINDING_OFF:
			return "mfiauto.workers is off";
		case MFI_FINDING_LOOK_AGAIN:
			return "settings or the extension changed";
	}
	return "";
}

static bool
is_kept_clear(Oid database)
{
	for (int i = 0; i < CLEAR_COUNT_MAX; i++)
		if (roster->clear[i].database == database)
			return true;
	return false;
}

bool
mfi_roster_is_kept_clear(Oid database)
{
	bool		result;

	LWLockAcquire(roster->lock, LW_SHARED);
	result = is_kept_clear(database);
	LWLockRelease(roster->lock);
	return result;
}

int
mfi_roster_reserve(Oid database, MfiWorkerKind kind)
{
	int			index = -1;

	if (roster == NULL)
		return -1;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < roster->entry_count && index < 0 && !is_kept_clear(database); i++)
	{
		MfiRosterEntry *entry = &roster->entries[i];

		if (entry->state != MFI_ROSTER_FREE)
			continue;
		memset(entry, 0, sizeof(*entry));
		entry->state = MFI_ROSTER_STARTING;
		entry->kind = kind;
		entry->database = database;
		entry->since = GetCurrentTimestamp();
		index = i;
	}
	LWLockRelease(roster->lock);
	return index;
}

void
mfi_roster_free(int index)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->entries[index].state = MFI_ROSTER_FREE;
	roster->entries[index].database = InvalidOid;
	LWLockRelease(roster->lock);
}

MfiRosterEntry
mfi_roster_read(int index)
{
	MfiRosterEntry entry;

	LWLockAcquire(roster->lock, LW_SHARED);
	entry = roster->entries[index];
	LWLockRelease(roster->lock);
	return entry;
}

int
mfi_roster_size(void)
{
	return roster == NULL ? 0 : roster->entry_count;
}

/*
 * leave gives the place up when the process ends, for the launcher to collect.
 */
static void
leave(int code, Datum arg)
{
	MfiRosterEntry *entry;

	if (own_index < 0)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	entry = &roster->entries[own_index];
	entry->pid = 0;
	entry->state = MFI_ROSTER_ENDED;
	LWLockRelease(roster->lock);
	own_index = -1;
	mfi_wake_now(InvalidOid, MFI_WAKE_LAUNCHER);
}

bool
mfi_roster_enter(int index, Oid database, MfiWorkerKind kind)
{
	MfiRosterEntry *entry;
	bool		is_reserved;
	bool		is_mine;

	if (roster == NULL || index < 0 || index >= roster->entry_count)
		return false;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	entry = &roster->entries[index];
	is_reserved = entry->state == MFI_ROSTER_STARTING && entry->database == database && entry->kind == kind;
	is_mine = is_reserved && !is_kept_clear(database);
	if (is_mine)
	{
		entry->state = MFI_ROSTER_RUNNING;
		entry->pid = MyProcPid;
		entry->since = GetCurrentTimestamp();
	}
	else if (is_reserved)
		entry->state = MFI_ROSTER_ENDED;
	LWLockRelease(roster->lock);
	if (is_mine)
	{
		own_index = index;
		on_shmem_exit(leave, (Datum) 0);
	}
	return is_mine;
}

void
mfi_roster_report(MfiFinding finding)
{
	if (own_index < 0)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->entries[own_index].finding = finding;
	LWLockRelease(roster->lock);
}

bool
mfi_roster_is_asked_to_look(void)
{
	bool		is_asked;

	if (own_index < 0)
		return false;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	is_asked = roster->entries[own_index].is_asked_to_look;
	roster->entries[own_index].is_asked_to_look = false;
	LWLockRelease(roster->lock);
	return is_asked;
}

static void
let_go_of(Oid database, pid_t session)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < CLEAR_COUNT_MAX; i++)
	{
		KeptClear  *kept = &roster->clear[i];

		if (kept->session == session && (database == InvalidOid || kept->database == database))
		{
			kept->database = InvalidOid;
			kept->session = 0;
		}
	}
	LWLockRelease(roster->lock);
	mfi_wake_now(InvalidOid, MFI_WAKE_LAUNCHER);
}

static void
let_all_go(int code, Datum arg)
{
	let_go_of(InvalidOid, MyProcPid);
}

/*
 * mark_clear notes that this session wants the database clear.
 */
static void
mark_clear(Oid database)
{
	static bool has_exit_callback = false;
	bool		is_marked = false;

	if (!has_exit_callback)
	{
		before_shmem_exit(let_all_go, (Datum) 0);
		has_exit_callback = true;
	}
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < CLEAR_COUNT_MAX && !is_marked; i++)
	{
		KeptClear  *kept = &roster->clear[i];

		if (kept->database != InvalidOid)
			continue;
		kept->database = database;
		kept->session = MyProcPid;
		is_marked = true;
	}
	LWLockRelease(roster->lock);
}

/*
 * stop_workers signals the workers of a database (InvalidOid: of all); returns
 * how many are still there.
 */
static int
stop_workers(Oid database)
{
	int			present = 0;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < roster->entry_count; i++)
	{
		MfiRosterEntry *entry = &roster->entries[i];

		if (database != InvalidOid && entry->database != database)
			continue;
		if (entry->state == MFI_ROSTER_RUNNING)
		{
			/* Sent away on purpose: the launcher need not wait before it looks again. */
			if (database != InvalidOid)
				entry->finding = MFI_FINDING_LOOK_AGAIN;
			if (entry->pid != MyProcPid)
				(void) kill(entry->pid, SIGTERM);
			present++;
		}
		else if (entry->state == MFI_ROSTER_STARTING)
			present++;
	}
	LWLockRelease(roster->lock);
	return present;
}

void
mfi_roster_keep_clear(Oid database)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CLEAR_WAIT_MAX_MS);

	if (roster == NULL)
		return;
	mark_clear(database);
	while (stop_workers(database) > 0 && GetCurrentTimestamp() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 CLEAR_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
mfi_roster_let_go(Oid database)
{
	if (roster != NULL)
		let_go_of(database, MyProcPid);
}

static void
ask_to_look(Oid database)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	if (database == InvalidOid || roster->look_count == LOOK_COUNT_MAX)
	{
		roster->look_count = 1;
		roster->look[0] = InvalidOid;
	}
	else
		roster->look[roster->look_count++] = database;
	for (int i = 0; i < roster->entry_count; i++)
		if (roster->entries[i].state != MFI_ROSTER_FREE
			&& (database == InvalidOid || roster->entries[i].database == database))
			roster->entries[i].is_asked_to_look = true;
	LWLockRelease(roster->lock);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (pending_look_count == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			for (int i = 0; i < pending_look_count; i++)
			{
				ask_to_look(pending_look[i]);
				mfi_wake_now(pending_look[i], MFI_WAKE_ENGINE);
				mfi_wake_now(pending_look[i], MFI_WAKE_DELIVERY);
			}
			pending_look_count = 0;
			mfi_wake_now(InvalidOid, MFI_WAKE_LAUNCHER);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending_look_count = 0;
			break;
		default:
			break;
	}
}

void
mfi_roster_look_at_commit(Oid database)
{
	static bool has_callback = false;

	if (roster == NULL)
		return;
	if (!has_callback)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		has_callback = true;
	}
	if (pending_look_count == lengthof(pending_look))
	{
		pending_look[0] = InvalidOid;
		pending_look_count = 1;
	}
	else
		pending_look[pending_look_count++] = database;
}

bool
mfi_roster_next_look(Oid *database)
{
	bool		is_any;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	is_any = roster->look_count > 0;
	if (is_any)
		*database = roster->look[--roster->look_count];
	LWLockRelease(roster->lock);
	return is_any;
}

void
mfi_roster_set_exhausted(bool is_exhausted)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->is_exhausted = is_exhausted;
	LWLockRelease(roster->lock);
}

bool
mfi_roster_is_exhausted(void)
{
	bool		is_exhausted;

	if (roster == NULL)
		return false;
	LWLockAcquire(roster->lock, LW_SHARED);
	is_exhausted = roster->is_exhausted;
	LWLockRelease(roster->lock);
	return is_exhausted;
}

void
mfi_roster_stop_all(void)
{
	(void) stop_workers(InvalidOid);
}
