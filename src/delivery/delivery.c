/*
 * delivery.c
 *		The pump: claim, send, record, all at once and none waiting for another.
 *
 * A message is claimed and recorded in short transactions; while it travels
 * there is none, no snapshot and no lock. Gateways share nothing but the
 * worker, so a slow one keeps only its own connections busy.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/query.h"
#include "delivery/machine.h"
#include "utils/memutils.h"

#define RECORD_AT_COUNT 500
#define RECORD_AFTER_MS 50
#define IDLE_MS 1000
#define TROUBLE_FORGOTTEN_MS 5000	/* what fails is tried again every second */

static void look_beside(int64 now_ms);
static bool has_unsaved(void);
static bool is_quiet(void);

const char *
mfi_delivery_trouble(void)
{
	return mfi_machine.trouble[0] != '\0' ? mfi_machine.trouble : NULL;
}

void
mfi_delivery_begin(void)
{
	memset(&mfi_machine, 0, sizeof(mfi_machine));
	mfi_machine.context = AllocSetContextCreate(TopMemoryContext, "mfiauto delivery", ALLOCSET_DEFAULT_SIZES);
	mfi_machine.pump_context = AllocSetContextCreate(mfi_machine.context, "mfiauto delivery pump", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&mfi_machine.finished);
	dlist_init(&mfi_machine.fetched);
	mfi_machine.exchanges_max = mfi_http_start(mfi_guc_connections);
	mfi_machine.is_running = true;
}

void
mfi_delivery_wake(void)
{
	ListCell   *cell;

	mfi_machine.look_at_ms = 0;
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		lane->claim_at_ms = 0;
		mfi_lane_forget_cursors(lane);
	}
}

/*
 * is_quiet tells that nothing travels and nothing is about to: a fast gateway
 * answers a whole round at once, and its next round is worth waiting for.
 */
static bool
is_quiet(void)
{
	ListCell   *cell;

	if (mfi_machine.in_flight > 0)
		return false;
	foreach(cell, mfi_machine.lanes)
	{
		if (((MfiLane *) lfirst(cell))->ready_count > 0)
			return false;
	}
	return true;
}

/* Whether a gateway's state changed without a message being there to record. */
static bool
has_unsaved(void)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
		if (((MfiLane *) lfirst(cell))->is_dirty)
			return true;
	return false;
}

/* What else is looked at where the gateways are. */
static void
look_beside(int64 now_ms)
{
	mfi_fetch_look();
	mfi_handover_poll(now_ms);
}

void
mfi_delivery_pump(void)
{
	MemoryContext outer = MemoryContextSwitchTo(mfi_machine.pump_context);
	int64		now_ms = mfi_rate_now_ms();

	mfi_http_step();
	mfi_send_collect(now_ms);
	mfi_lane_look(now_ms, look_beside);
	mfi_send_ready(now_ms);
	mfi_claim_due(now_ms);
	mfi_send_ready(now_ms);
	mfi_fetch_start(now_ms);
	mfi_http_step();
	mfi_send_collect(now_ms);
	if ((mfi_machine.finished_count > 0 || has_unsaved()) && now_ms >= mfi_machine.trouble_until_ms &&
		(mfi_machine.finished_count >= RECORD_AT_COUNT || is_quiet() ||
		 now_ms - mfi_machine.finished_since_ms >= RECORD_AFTER_MS))
	{
		mfi_record_finished();
		if (now_ms >= mfi_machine.trouble_until_ms)
			mfi_machine.trouble[0] = '\0';
	}
	if (mfi_machine.finished_count == 0 && now_ms >= mfi_machine.trouble_until_ms + TROUBLE_FORGOTTEN_MS)
		mfi_machine.trouble[0] = '\0';
	mfi_fetch_record(now_ms);
	MemoryContextSwitchTo(outer);
	MemoryContextReset(mfi_machine.pump_context);
}

int
mfi_delivery_poll(long *timeout_ms)
{
	int64		now_ms = mfi_rate_now_ms();
	long		http_ms;
	int			descriptor = mfi_http_poll(&http_ms);
	int64		wait_ms = Max(0, Max(mfi_machine.look_at_ms, mfi_machine.trouble_until_ms) - now_ms);
	ListCell   *cell;

	if (http_ms >= 0)
		wait_ms = Min(wait_ms, http_ms);
	if (mfi_machine.finished_count > 0)
		wait_ms = Min(wait_ms, Max(0, Max(mfi_machine.finished_since_ms + RECORD_AFTER_MS, mfi_machine.trouble_until_ms) - now_ms));
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		int64		ready_at_ms = mfi_rate_ready_at_ms(&lane->rate, now_ms);

		if (lane->ready_count > 0 && lane->gateway != NULL && mfi_lane_has_room(lane) && ready_at_ms >= 0 && !lane->is_fetching_token)
			wait_ms = Min(wait_ms, Max(0, ready_at_ms - now_ms));
	}
	if (mfi_claim_is_wanted(now_ms))
		wait_ms = 0;
	*timeout_ms = (long) Min(wait_ms, IDLE_MS);
	return descriptor;
}

void
mfi_delivery_finish(void)
{
	int64		now_ms = mfi_rate_now_ms();

	if (!mfi_machine.is_running)
		return;
	MemoryContextSwitchTo(mfi_machine.pump_context);
	mfi_http_step();
	mfi_send_collect(now_ms);
	mfi_send_drop(now_ms);
	/* The last try: whoever told it may not tell it again. */
	mfi_machine.trouble_until_ms = 0;
	mfi_fetch_record(now_ms);
	mfi_record_release_ready();
	if (mfi_machine.finished_count > 0 || has_unsaved())
		mfi_record_finished();
	mfi_http_stop();
	mfi_machine.is_running = false;
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(mfi_machine.context);
}

