/*
 * wake.c
 *		Waking the workers at commit.
 *
 * NOTIFY would serialize the host's commits on one lock and could fail them, so
 * each worker publishes its process number in shared memory and whoever gave it
 * work sets its latch after the commit. Nothing here locks or raises: a slot
 * that is read while it changes wakes nobody or somebody in vain, and every
 * worker looks for work by itself at its interval anyway. That interval is also
 * what covers COMMIT PREPARED, which runs in a session that knows nothing of
 * the work, and sessions older than the library.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/shared.h"
#include "base/wake.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"

#define NO_PROCESS PG_UINT32_MAX

/* One row a worker: who waits for work of which database. */
typedef struct WakeSlot
{
	pg_atomic_uint32 taken;
	pg_atomic_uint32 database;
	pg_atomic_uint32 target;
	pg_atomic_uint32 process;
} WakeSlot;

typedef struct WakeBoard
{
	uint32		slot_count;
	WakeSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} WakeBoard;

static WakeBoard *board = NULL;
static WakeSlot *own_slot = NULL;

/* What this transaction asked for: a bit a target. */
static uint32 wanted = 0;
static bool has_callback = false;

static Size
board_size(void)
{
	return add_size(offsetof(WakeBoard, slots),
					mul_size(sizeof(WakeSlot), (Size) max_worker_processes));
}

static void
fill_board(void *memory)
{
	WakeBoard  *fresh = memory;

	fresh->slot_count = (uint32) max_worker_processes;
	for (uint32 i = 0; i < fresh->slot_count; i++)
	{
		pg_atomic_init_u32(&fresh->slots[i].taken, 0);
		pg_atomic_init_u32(&fresh->slots[i].database, InvalidOid);
		pg_atomic_init_u32(&fresh->slots[i].target, MFI_WAKE_TARGETS);
		pg_atomic_init_u32(&fresh->slots[i].process, NO_PROCESS);
	}
}

void
mfi_wake_define(void)
{
	static const MfiShared shared = {
		.name = "mfiauto wake", .size = board_size, .fill = fill_board, .memory = (void **) &board
	};

	mfi_shared_define(&shared);
}

bool
mfi_wake_is_preloaded(void)
{
	return board != NULL;
}

void
mfi_wake_now(Oid database, MfiWakeTarget target)
{
	if (board == NULL)
		return;
	for (uint32 i = 0; i < board->slot_count; i++)
	{
		WakeSlot   *slot = &board->slots[i];
		uint32		process;

		if (pg_atomic_read_u32(&slot->target) != (uint32) target)
			continue;
		if (target != MFI_WAKE_LAUNCHER && pg_atomic_read_u32(&slot->database) != database)
			continue;
		process = pg_atomic_read_u32(&slot->process);
		if (process != NO_PROCESS)
			SetLatch(&ProcGlobal->allProcs[process].procLatch);
	}
}

bool
mfi_wake_is_awaited(MfiWakeTarget target)
{
	if (board == NULL)
		return false;
	for (uint32 i = 0; i < board->slot_count; i++)
		if (pg_atomic_read_u32(&board->slots[i].target) == (uint32) target)
			return true;
	return false;
}

/*
 * at_transaction_end wakes whom the transaction gave work. A subtransaction
 * that was rolled back may have asked too: then somebody is woken in vain.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	uint32		targets = wanted;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wanted = 0;
			for (int target = 0; target < MFI_WAKE_TARGETS; target++)
				if (targets & (1U << target))
					mfi_wake_now(MyDatabaseId, (MfiWakeTarget) target);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wanted = 0;
			break;
		default:
			break;
	}
}

void
mfi_wake_at_commit(MfiWakeTarget target)
{
	if (board == NULL)
		return;
	if (!has_callback)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		has_callback = true;
	}
	wanted |= 1U << target;
}

static void
detach(int code, Datum arg)
{
	if (own_slot == NULL)
		return;
	pg_atomic_write_u32(&own_slot->target, MFI_WAKE_TARGETS);
	pg_atomic_write_u32(&own_slot->process, NO_PROCESS);
	pg_atomic_write_u32(&own_slot->database, InvalidOid);
	pg_atomic_write_u32(&own_slot->taken, 0);
	own_slot = NULL;
}

void
mfi_wake_attach(Oid database, MfiWakeTarget target)
{
	if (board == NULL || own_slot != NULL)
		return;
	for (uint32 i = 0; i < board->slot_count; i++)
	{
		WakeSlot   *slot = &board->slots[i];
		uint32		free_mark = 0;

		if (!pg_atomic_compare_exchange_u32(&slot->taken, &free_mark, 1))
			continue;
		own_slot = slot;
		before_shmem_exit(detach, (Datum) 0);
		pg_atomic_write_u32(&slot->database, database);
		pg_atomic_write_u32(&slot->process, (uint32) MyProc->pgprocno);
		pg_atomic_write_u32(&slot->target, (uint32) target);
		return;
	}
}
