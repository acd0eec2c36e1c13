/*
 * machine.c
 *		What the parts of the delivery machine stand on: its one state, its
 *		transactions, and the items that travel through it.
 */
#include "postgres.h"

#include "base/plain.h"
#include "base/query.h"
#include "delivery/machine.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#define TROUBLE_PAUSE_MS 1000

MfiMachine	mfi_machine = {0};

void
mfi_machine_begin(const char *activity)
{
	mfi_query_begin(activity);
}

void
mfi_machine_commit(void)
{
	mfi_query_commit();
	MemoryContextSwitchTo(mfi_machine.pump_context);
}

/*
 * mfi_machine_failed ends a failed transaction: told in the log, tried again
 * after a pause. Must be called from PG_CATCH.
 */
void
mfi_machine_failed(const char *what)
{
	ErrorData  *error = mfi_query_fail(mfi_machine.pump_context);
	char	   *message = mfi_plain_message(error);

	message[pg_mbcliplen(message, strlen(message), sizeof(mfi_machine.trouble) - 1)] = '\0';
	mfi_machine.trouble_until_ms = mfi_rate_now_ms() + TROUBLE_PAUSE_MS;
	if (strcmp(mfi_machine.trouble, message) != 0)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("delivery was interrupted while %s: %s", what, message)));
	strlcpy(mfi_machine.trouble, message, sizeof(mfi_machine.trouble));
	FreeErrorData(error);
}

MfiItem *
mfi_item_new(MfiLane *lane)
{
	MemoryContext context = AllocSetContextCreate(mfi_machine.context, "mfiauto message", ALLOCSET_SMALL_SIZES);
	MfiItem    *item = MemoryContextAllocZero(context, sizeof(MfiItem));

	item->context = context;
	item->lane = lane;
	item->gateway = lane->gateway;
	mfi_gateway_retain(item->gateway);
	return item;
}

void
mfi_item_leave_ready(MfiItem *item)
{
	dlist_delete(&item->node);
	item->lane->ready_count--;
}

void
mfi_item_free(MfiItem *item)
{
	mfi_gateway_release(item->gateway);
	MemoryContextDelete(item->context);
}
