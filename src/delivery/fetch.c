/*
 * fetch.c
 *		Providers that are asked instead of telling: when it is time, the lane
 *		asks, within its rate, and what it answers is read as a webhook is.
 *
 * A provider may tell each thing once. So what was fetched is kept until it is
 * recorded, and a question is asked only if there is nothing in its way.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "catalog/pg_type.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define AGAIN_MS 60000			/* after what could not be recorded */
#define NO_KEY "00000000-0000-0000-0000-000000000000"

static bool has_polls(void);
static bool may_poll(MfiLane *lane, int64 now_ms);
static void take_answer(MfiItem *item, const MfiAnswer *answer);
static void record_one(MfiItem *item);

static bool
has_polls(void)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (lane->gateway != NULL && lane->gateway->poll != NULL)
			return true;
	}
	return false;
}

/*
 * mfi_fetch_look notes which gateways are to be asked. In a transaction.
 */
void
mfi_fetch_look(void)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
		((MfiLane *) lfirst(cell))->is_poll_due = false;
	if (!mfi_machine.may_send || !has_polls())
		return;
	if (SPI_execute("SELECT p.gateway, p.cursor FROM mfiauto._due_polls() p", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look which gateways are to be asked");
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		MfiLane    *lane = mfi_lane_find(SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1));
		char	   *cursor = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2);

		if (lane == NULL || lane->is_polling)
			continue;
		lane->is_poll_due = true;
		if (lane->poll_cursor != NULL)
			pfree(lane->poll_cursor);
		lane->poll_cursor = cursor != NULL ? MemoryContextStrdup(mfi_machine.context, cursor) : NULL;
	}
}

static bool
may_poll(MfiLane *lane, int64 now_ms)
{
	return lane->is_poll_due && !lane->is_polling && lane->gateway != NULL && lane->gateway->poll != NULL &&
		mfi_machine.may_send && !mfi_machine.is_dry_run && now_ms >= lane->poll_not_before_ms &&
		now_ms >= mfi_machine.trouble_until_ms && mfi_lane_is_available(lane, now_ms);
}

void
mfi_fetch_start(int64 now_ms)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		MfiItem    *item;

		if (!may_poll(lane, now_ms) || lane->is_fetching_token ||
			!mfi_lane_has_room(lane))
			continue;
		if (mfi_send_needs_token(lane, now_ms))
		{
			mfi_send_token_request(lane, now_ms);
			continue;
		}
		item = mfi_item_new(lane);
		item->take_answer = take_answer;
		item->since_ms = now_ms;
		item->envelope.to = "-";
		item->envelope.key = NO_KEY;
		item->envelope.text = lane->poll_cursor != NULL ? MemoryContextStrdup(item->context, lane->poll_cursor) : "";
		if (!mfi_rate_take(&lane->rate, now_ms))
		{
			mfi_item_free(item);
			continue;
		}
		/* Whether messages are taken again only a message can tell. */
		mfi_rate_leave_probe(&lane->rate);
		lane->is_poll_due = false;
		lane->is_polling = true;
		mfi_send_item(item, now_ms);
	}
}

/*
 * take_answer keeps the answer until it is recorded, or why there is none.
 */
static void
take_answer(MfiItem *item, const MfiAnswer *answer)
{
	item->poll_status = answer->status;
	if (answer->transport != MFI_TRANSPORT_ANSWERED)
		item->poll_error = MemoryContextStrdup(item->context, answer->error != NULL ? answer->error : "no answer");
	else if (answer->is_truncated)
		item->poll_error = "the answer is longer than 1 MB";
	else if (answer->status < 200 || answer->status > 299)
	{
		item->poll_error = MemoryContextStrdup(item->context, psprintf("HTTP %d", answer->status));
		if (answer->status == 401)
			item->lane->token_until_ms = 0;
	}
	else
	{
		item->poll_length = answer->body_length;
		item->poll_body = MemoryContextAlloc(item->context, answer->body_length + 1);
		memcpy(item->poll_body, answer->body, answer->body_length);
	}
	dlist_push_tail(&mfi_machine.fetched, &item->node);
}

static void
record_one(MfiItem *item)
{
	Oid			types[4] = {TEXTOID, INT4OID, BYTEAOID, TEXTOID};
	Datum		values[4] = {CStringGetTextDatum(item->lane->name), Int32GetDatum(item->poll_status)};
	char		nulls[4] = {' ', ' ', 'n', 'n'};

	if (item->poll_error == NULL)
	{
		values[2] = PointerGetDatum(cstring_to_text_with_len(item->poll_body, item->poll_length));
		nulls[2] = ' ';
	}
	else
	{
		values[3] = CStringGetTextDatum(item->poll_error);
		nulls[3] = ' ';
	}
	if (SPI_execute_with_args("SELECT mfiauto._take_poll($1, $2, $3, $4)", 4, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not take in what was fetched");
}

/*
 * mfi_fetch_record reads what was fetched, each in a transaction of its own.
 * What cannot be recorded now is kept and tried again.
 */
void
mfi_fetch_record(int64 now_ms)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &mfi_machine.fetched)
	{
		MfiItem    *item = dlist_container(MfiItem, node, iter.cur);
		volatile bool is_recorded = false;

		if (now_ms < mfi_machine.trouble_until_ms)
			return;
		PG_TRY();
		{
			mfi_machine_begin("taking in what was fetched");
			record_one(item);
			mfi_machine_commit();
			is_recorded = true;
		}
		PG_CATCH();
		{
			mfi_machine_failed("taking in what was fetched");
		}
		PG_END_TRY();
		if (!is_recorded && now_ms - item->since_ms < AGAIN_MS)
			return;
		item->lane->is_polling = false;
		item->lane->poll_not_before_ms = is_recorded ? 0 : now_ms + AGAIN_MS;
		dlist_delete(&item->node);
		mfi_item_free(item);
	}
}

/*
 * mfi_fetch_is_idle: nobody is to be asked, and no answer is to be recorded.
 */
bool
mfi_fetch_is_idle(int64 now_ms)
{
	ListCell   *cell;

	if (!dlist_is_empty(&mfi_machine.fetched))
		return false;
	foreach(cell, mfi_machine.lanes)
		if (((MfiLane *) lfirst(cell))->is_polling || may_poll(lfirst(cell), now_ms))
			return false;
	return true;
}
