/*
 * claim.c
 *		Taking from the queue what the gateways may send in the next moments.
 *
 * One short transaction: rows are locked, then looked at again in statements
 * that see what was committed meanwhile, then leased. No more is taken than
 * will leave within two seconds, so that what was true at the claim is true
 * when it leaves.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "catalog/pg_type.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define AHEAD_MS 2000			/* what is claimed leaves within this time */
#define UNRECORDED_MAX 100		/* more outcomes that cannot be recorded: nothing leaves until they are */
#define BATCH_MAX 1000
#define CURSOR_MS 1000			/* the scan starts anew that often */
#define PAUSE_WHEN_EMPTY_MS 1000
#define STRAYS_EVERY_MS 10000	/* looks for what better gateways have left */

static bool wants_more(MfiLane *lane, int64 now_ms);
static int	find_budget(MfiLane *lane, int64 now_ms);
static Datum find_better(MfiLane *lane, int64 now_ms, int *count);
static void note_seen(MfiLane *lane, int seen, int wanted, bool has_better, int64 now_ms);
static bool is_anything_due(Datum *values);
static void claim_for(MfiLane *lane, int budget, int64 now_ms);
static void take_row(MfiLane *lane, HeapTuple tuple, TupleDesc descriptor, int64 now_ms);
static void take_circumstances(MfiItem *item, HeapTuple tuple, TupleDesc descriptor);
static void mark_leased(MfiLane *lane);
static void ask_for_tokens(List *lanes, int64 now_ms);
static char *copy_column(MemoryContext context, HeapTuple tuple, TupleDesc descriptor, int column);

/*
 * How many a lane should have at hand: what it sends in a second, at least two rounds of its connections. Who has not answered of late
 * gets what can leave at once: of what is claimed and waits nobody would know, if we died, that it never left.
 */
static int
find_budget(MfiLane *lane, int64 now_ms)
{
	int			most = Max(2 * mfi_lane_width(lane), (int) lane->throughput);

	if (now_ms - lane->answered_at_ms > AHEAD_MS)
		most = mfi_lane_width(lane) - lane->in_flight;
	most = Min(most, BATCH_MAX);
	if (mfi_lane_keeps_here(lane))
		most = BATCH_MAX;
	if (most <= 0)
		return 0;
	return mfi_rate_allowance(&lane->rate, now_ms, AHEAD_MS, most) - lane->ready_count;
}

static bool
wants_more(MfiLane *lane, int64 now_ms)
{
	int			budget;

	if (now_ms < lane->claim_at_ms || lane->is_fetching_token || !mfi_lane_is_available(lane, now_ms))
		return false;
	if (lane->rate.circuit == MFI_CIRCUIT_HALF_OPEN && (lane->ready_count > 0 || lane->in_flight > 0))
		return false;
	budget = find_budget(lane, now_ms);
	/* Not for every single one that left: refill when half of it is gone. */
	return budget > 0 && (lane->ready_count == 0 || budget >= lane->ready_count);
}

/*
 * mfi_claim_is_wanted tells whether the queue has more for a gateway that has
 * nothing to wait for: what was claimed was canceled or put off, for instance.
 */
bool
mfi_claim_is_wanted(int64 now_ms)
{
	ListCell   *cell;

	if (now_ms < mfi_machine.trouble_until_ms || mfi_machine.unrecorded_count > UNRECORDED_MAX)
		return false;
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (lane->has_due && wants_more(lane, now_ms))
			return true;
	}
	return false;
}

/*
 * find_better lists the gateways of the channel that go first and work.
 */
static Datum
find_better(MfiLane *lane, int64 now_ms, int *count)
{
	Datum	   *names = palloc(sizeof(Datum) * (list_length(mfi_machine.lanes) + 1));
	ListCell   *cell;

	*count = 0;
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *other = lfirst(cell);

		if (other->gateway != NULL && other->gateway->priority < lane->gateway->priority &&
			!other->is_over_budget && strcmp(other->gateway->channel, lane->gateway->channel) == 0 && mfi_lane_is_available(other, now_ms))
			names[(*count)++] = CStringGetTextDatum(other->name);
	}
	return PointerGetDatum(construct_array(names, *count, TEXTOID, -1, false, TYPALIGN_INT));
}

static char *
copy_column(MemoryContext context, HeapTuple tuple, TupleDesc descriptor, int column)
{
	char	   *text = SPI_getvalue(tuple, descriptor, column);

	return text != NULL ? MemoryContextStrdup(context, text) : NULL;
}

/* What a request may say of the message beside its words. */
static void
take_circumstances(MfiItem *item, HeapTuple tuple, TupleDesc descriptor)
{
	bool		is_null;
	Datum		value = SPI_getbinval(tuple, descriptor, 17, &is_null);

	if (!is_null)
	{
		Jsonb	   *options = DatumGetJsonbP(value);

		item->envelope.options = MemoryContextAlloc(item->context, VARSIZE(options));
		memcpy(item->envelope.options, options, VARSIZE(options));
	}
	item->envelope.unsubscribe_url = copy_column(item->context, tuple, descriptor, 18);
	item->envelope.class = copy_column(item->context, tuple, descriptor, 19);
	item->envelope.country = copy_column(item->context, tuple, descriptor, 20);
	value = SPI_getbinval(tuple, descriptor, 21, &is_null);
	item->envelope.expires_in_s = is_null ? 0 : DatumGetInt64(value);
	item->envelope.workflow = copy_column(item->context, tuple, descriptor, 22);
	item->envelope.step = copy_column(item->context, tuple, descriptor, 23);
}

static void
take_row(MfiLane *lane, HeapTuple tuple, TupleDesc descriptor, int64 now_ms)
{
	MfiItem    *item = mfi_item_new(lane);
	bool		is_null;

	item->envelope.client_id = DatumGetInt64(SPI_getbinval(tuple, descriptor, 1, &is_null));
	item->envelope.message_id = DatumGetInt64(SPI_getbinval(tuple, descriptor, 2, &is_null));
	item->envelope.to = copy_column(item->context, tuple, descriptor, 3);
	item->envelope.title = copy_column(item->context, tuple, descriptor, 4);
	item->envelope.text = copy_column(item->context, tuple, descriptor, 5);
	item->envelope.html = copy_column(item->context, tuple, descriptor, 6);
	item->envelope.locale = copy_column(item->context, tuple, descriptor, 7);
	item->envelope.is_ucs2 = DatumGetBool(SPI_getbinval(tuple, descriptor, 8, &is_null));
	item->envelope.key = copy_column(item->context, tuple, descriptor, 9);
	item->attempts = DatumGetInt32(SPI_getbinval(tuple, descriptor, 10, &is_null));
	item->may_resend = DatumGetBool(SPI_getbinval(tuple, descriptor, 11, &is_null));
	item->tried = copy_column(item->context, tuple, descriptor, 12);
	take_circumstances(item, tuple, descriptor);
	item->since_ms = now_ms;
	dlist_push_tail(&lane->ready, &item->node);
	lane->ready_count++;
}

/* Notes how much of what was wanted the queue had; where it had less, the lane rests for a moment. */
static void
note_seen(MfiLane *lane, int seen, int wanted, bool has_better, int64 now_ms)
{
	lane->has_due = seen >= wanted;
	if (lane->has_due)
		return;
	lane->claim_at_ms = now_ms + PAUSE_WHEN_EMPTY_MS;
	lane->has_strays = lane->has_strays && (seen > 0 || !has_better);
	lane->strays_at_ms = now_ms + STRAYS_EVERY_MS;
}

/*
 * is_anything_due tells whether the queue has something for a lane; values are
 * the first three of a claim. Nothing is claimed by it.
 */
static bool
is_anything_due(Datum *values)
{
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTARRAYOID};
	bool		is_null;

	if (SPI_execute_with_args("SELECT mfiauto._is_due($1, $2, $3)", 3, types, values, NULL, false, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not look at the queue");
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null)) && !is_null;
}

/*
 * claim_for claims for one lane. One that has to ask somebody for a token has
 * it first: what waits for that is not claimed.
 */
static void
claim_for(MfiLane *lane, int budget, int64 now_ms)
{
	Oid			types[7] = {TEXTOID, TEXTOID, TEXTARRAYOID, INT4OID, INT4OID, FLOAT8OID, JSONBOID};
	Datum		values[7];
	int			better_count;
	int			seen = 0;

	if (lane->cursors == NULL || now_ms - lane->cursors_at_ms > CURSOR_MS)
	{
		mfi_lane_forget_cursors(lane);
		lane->cursors_at_ms = now_ms;
	}
	values[0] = CStringGetTextDatum(lane->name);
	values[1] = CStringGetTextDatum(lane->gateway->channel);
	values[2] = find_better(lane, now_ms, &better_count);
	values[3] = Int32GetDatum(budget);
	values[4] = Int32GetDatum(MyProcPid);
	values[5] = Float8GetDatum(lane->gateway->timeout_ms * 2 / 1000.0 + 60);
	values[6] = JsonbPGetDatum(mfi_jsonb_read(lane->cursors != NULL ? lane->cursors : "{}"));
	if (better_count > 0 && !lane->has_strays && now_ms < lane->strays_at_ms)
	{
		lane->claim_at_ms = now_ms + PAUSE_WHEN_EMPTY_MS;
		return;
	}
	if (mfi_send_needs_token(lane, now_ms))
	{
		lane->wants_token = is_anything_due(values);
		note_seen(lane, lane->wants_token ? 1 : 0, 1, better_count > 0, now_ms);
		return;
	}
	if (SPI_execute_with_args("SELECT * FROM mfiauto._claim_messages($1, $2, $3, $4, $5, $6, $7)",
							  7, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not claim messages");
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		bool		is_null;

		if (row > 0)
		{
			take_row(lane, tuple, descriptor, now_ms);
			continue;
		}
		seen = DatumGetInt32(SPI_getbinval(tuple, descriptor, 13, &is_null));
		mfi_machine.counts.suppressed += DatumGetInt32(SPI_getbinval(tuple, descriptor, 14, &is_null));
		mfi_machine.counts.deferred += DatumGetInt32(SPI_getbinval(tuple, descriptor, 15, &is_null));
		mfi_lane_forget_cursors(lane);
		lane->cursors = copy_column(mfi_machine.context, tuple, descriptor, 16);
	}
	/* Others are to look at what its budget has no room for. */
	if (seen < 0 && !lane->is_over_budget)
		mfi_lane_mark_strays(lane->gateway->channel);
	lane->is_over_budget = seen < 0;
	seen = Max(seen, 0);
	mfi_machine.counts.claimed += SPI_processed > 0 ? SPI_processed - 1 : 0;
	note_seen(lane, seen, budget, better_count > 0, now_ms);
}

/* Newly taken items stand at the end. */
static void
mark_leased(MfiLane *lane)
{
	dlist_iter	iter;

	dlist_reverse_foreach(iter, &lane->ready)
	{
		MfiItem    *item = dlist_container(MfiItem, node, iter.cur);

		if (item->is_leased)
			break;
		item->is_leased = true;
	}
}

static void
ask_for_tokens(List *lanes, int64 now_ms)
{
	ListCell   *cell;

	foreach(cell, lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (lane->wants_token)
			mfi_send_token_request(lane, now_ms);
		lane->wants_token = false;
	}
}

void
mfi_claim_due(int64 now_ms)
{
	List	   *wanting = NIL;
	MfiDeliveryCounts counts = mfi_machine.counts;
	ListCell   *cell;

	if (now_ms < mfi_machine.trouble_until_ms || mfi_machine.unrecorded_count > UNRECORDED_MAX)
		return;
	foreach(cell, mfi_machine.lanes)
		if (wants_more(lfirst(cell), now_ms))
			wanting = lappend(wanting, lfirst(cell));
	if (wanting == NIL)
		return;
	PG_TRY();
	{
		mfi_machine_begin("claiming messages");
		foreach(cell, wanting)
			claim_for(lfirst(cell), find_budget(lfirst(cell), now_ms), now_ms);
		mfi_machine_commit();
		foreach(cell, wanting)
			mark_leased(lfirst(cell));
	}
	PG_CATCH();
	{
		/* What was taken is not leased after all. */
		foreach(cell, wanting)
		{
			MfiLane    *lane = lfirst(cell);
			dlist_mutable_iter iter;

			dlist_foreach_modify(iter, &lane->ready)
			{
				MfiItem    *item = dlist_container(MfiItem, node, iter.cur);

				if (item->is_leased)
					continue;
				mfi_item_leave_ready(item);
				mfi_item_free(item);
			}
			lane->wants_token = false;
			lane->claim_at_ms = now_ms + PAUSE_WHEN_EMPTY_MS;
			mfi_lane_forget_cursors(lane);
		}
		mfi_machine.counts = counts;
		mfi_machine_failed("claiming messages");
	}
	PG_END_TRY();
	ask_for_tokens(wanting, now_ms);
	list_free(wanting);
}
