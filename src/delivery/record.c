/*
 * record.c
 *		What becomes of a message that came back, and writing it down.
 *
 * One transaction for a whole batch. Nothing that a provider answered can make
 * it fail; if it fails all the same, the messages are recorded one by one, so
 * that a single one cannot keep the others from being known as sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define FAILED_IN_ROW_MAX 3		/* of outcomes recorded one by one */

/* Columns of a batch, as arrays to be. */
typedef struct Column
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
} Column;

typedef struct Batch
{
	Column	   *columns;
	int			column_count;
	int			row_count;
	int			capacity;
} Batch;

static void settle(MfiItem *item, const char *state, const char *reason);
static void requeue(MfiItem *item, double delay_s, const char *reason);
static void decide_retry(MfiItem *item, int64 now_ms);
static void decide_unknown(MfiItem *item, int64 now_ms);
static Batch *batch_new(int capacity, const Oid *types, int column_count);
static void batch_add(Batch *batch, const MfiItem *item);
static void batch_set(Batch *batch, int column, Datum value);
static void batch_set_text(Batch *batch, int column, const char *text);
static void batch_run(Batch *batch, const char *query, const char *gateway);
static Datum text_or_null(const char *text, bool *is_null);
static void record_settled(List *items, MfiLane *lane);
static void record_requeued(List *items, MfiLane *lane);
static void record_attempts(List *items, MfiLane *lane);
static void record_extras(List *items, MfiLane *lane);
static bool save_lane(MfiLane *lane, int64 now_ms);
static void decide_handed_over(List *items, MfiLane *lane, int64 now_ms);
static void record_items(List *items);
static bool try_record(List *items);

static void
settle(MfiItem *item, const char *state, const char *reason)
{
	item->action = MFI_ACTION_SETTLE;
	item->state = state;
	item->reason = reason;
}

static void
requeue(MfiItem *item, double delay_s, const char *reason)
{
	item->action = MFI_ACTION_REQUEUE;
	item->delay_s = delay_s;
	item->reason = reason;
	item->counts = true;
	item->lane->retried++;
	mfi_machine.counts.retrying++;
}

/*
 * decide_retry: surely not accepted. The next gateway at once, where there is
 * one; else later, as often as the gateway allows.
 */
static void
decide_retry(MfiItem *item, int64 now_ms)
{
	mfi_rate_failed(&item->lane->rate, now_ms);
	if (mfi_lane_has_other(item, now_ms, true) && !item->gateway->is_idempotent)
	{
		requeue(item, 0, NULL);
		item->is_tried = true;
	}
	else if (item->attempts >= item->gateway->attempts_max)
		settle(item, "failed", "retries_exhausted");
	else
		requeue(item, item->outcome.retry_after_s > 0 ? item->outcome.retry_after_s : mfi_rate_backoff_s(item->attempts), NULL);
}

/*
 * decide_unknown: it may have been accepted. Sent again only to a gateway that
 * knows it by its key, or where the class prefers twice to never.
 */
static void
decide_unknown(MfiItem *item, int64 now_ms)
{
	mfi_rate_failed(&item->lane->rate, now_ms);
	if ((item->gateway->is_idempotent || item->may_resend) && item->attempts < item->gateway->attempts_max)
	{
		requeue(item, mfi_rate_backoff_s(item->attempts), "outcome_unknown");
		item->is_pinned = item->gateway->is_idempotent;
	}
	else
		settle(item, "unknown", "outcome_unknown");
}

/*
 * mfi_record_decide turns an outcome into what is to be done.
 */
void
mfi_record_decide(MfiItem *item, int64 now_ms)
{
	MfiLane    *lane = item->lane;
	const MfiOutcome *outcome = &item->outcome;

	lane->is_dirty = true;
	if (outcome->verdict != MFI_VERDICT_SENT)
		strlcpy(lane->last_error, outcome->error, sizeof(lane->last_error));
	switch (outcome->verdict)
	{
		case MFI_VERDICT_SENT:
			mfi_rate_succeeded(&lane->rate);
			settle(item, "sent", NULL);
			break;
		case MFI_VERDICT_RETRY:
			decide_retry(item, now_ms);
			break;
		case MFI_VERDICT_THROTTLE:
			mfi_rate_throttle(&lane->rate, now_ms, outcome->retry_after_s >= 0 ? outcome->retry_after_s
							  : item->gateway->retry_after_default_s);
			requeue(item, outcome->retry_after_s >= 0 ? outcome->retry_after_s : item->gateway->retry_after_default_s, NULL);
			item->counts = false;
			break;
		case MFI_VERDICT_PERMANENT:
			mfi_rate_succeeded(&lane->rate);
			if (mfi_lane_has_other(item, now_ms, false))
			{
				requeue(item, 0, NULL);
				item->is_tried = true;
			}
			else
				settle(item, "failed", "gateway_rejected");
			break;
		case MFI_VERDICT_RECIPIENT_DEAD:
			mfi_rate_succeeded(&lane->rate);
			settle(item, "failed", "recipient_rejected");
			break;
		case MFI_VERDICT_OPTED_OUT:
			mfi_rate_succeeded(&lane->rate);
			settle(item, "failed", "recipient_opted_out");
			break;
		case MFI_VERDICT_CONFIG_BROKEN:
		case MFI_VERDICT_UNAUTHORIZED:
			/* What the gateway's former settings were refused for says nothing against those of now. */
			if (item->gateway == lane->gateway)
				lane->rate.circuit = MFI_CIRCUIT_STOPPED;
			requeue(item, 0, "gateway_stopped");
			item->counts = false;
			break;
		case MFI_VERDICT_UNKNOWN:
			decide_unknown(item, now_ms);
			break;
	}
	if (item->action != MFI_ACTION_SETTLE)
		return;
	if (strcmp(item->state, "sent") == 0)
	{
		lane->sent++;
		mfi_machine.counts.sent++;
	}
	else
	{
		if (strcmp(item->state, "unknown") == 0)
			lane->unknown++;
		else
			lane->failed++;
		mfi_machine.counts.failed++;
	}
}

static Batch *
batch_new(int capacity, const Oid *types, int column_count)
{
	Batch	   *batch = palloc0(sizeof(Batch));

	batch->capacity = capacity;
	batch->column_count = column_count;
	batch->columns = palloc0(sizeof(Column) * column_count);
	for (int i = 0; i < column_count; i++)
	{
		batch->columns[i].type = types[i];
		batch->columns[i].values = palloc0(sizeof(Datum) * capacity);
		batch->columns[i].nulls = palloc0(sizeof(bool) * capacity);
	}
	return batch;
}

static Datum
text_or_null(const char *text, bool *is_null)
{
	*is_null = text == NULL || text[0] == '\0';
	return *is_null ? (Datum) 0 : CStringGetTextDatum(text);
}

/*
 * batch_set sets a column of the row that was added last.
 */
static void
batch_set(Batch *batch, int column, Datum value)
{
	batch->columns[column].values[batch->row_count - 1] = value;
}

/* An empty text is none. */
static void
batch_set_text(Batch *batch, int column, const char *text)
{
	bool		is_null;
	Datum		value = text_or_null(text, &is_null);

	batch->columns[column].nulls[batch->row_count - 1] = is_null;
	batch_set(batch, column, value);
}

/*
 * batch_add adds a row; the first two columns are the message's key.
 */
static void
batch_add(Batch *batch, const MfiItem *item)
{
	batch->row_count++;
	batch_set(batch, 0, Int64GetDatum(item->envelope.client_id));
	batch_set(batch, 1, Int64GetDatum(item->envelope.message_id));
}

/*
 * batch_run calls query with the gateway as $1 and the columns, as arrays, as
 * $2 and on.
 */
static void
batch_run(Batch *batch, const char *query, const char *gateway)
{
	Oid			types[10];
	Datum		values[10];
	int			length = batch->row_count;
	int			lower_bound = 1;

	if (length == 0)
		return;
	types[0] = TEXTOID;
	values[0] = CStringGetTextDatum(gateway);
	for (int i = 0; i < batch->column_count; i++)
	{
		Column	   *column = &batch->columns[i];
		int16		size;
		bool		is_by_value;
		char		alignment;

		get_typlenbyvalalign(column->type, &size, &is_by_value, &alignment);
		types[i + 1] = get_array_type(column->type);
		values[i + 1] = PointerGetDatum(construct_md_array(column->values, column->nulls, 1, &length, &lower_bound,
														   column->type, size, is_by_value, alignment));
	}
	if (SPI_execute_with_args(query, batch->column_count + 1, types, values, NULL, false, 0) < 0)
		elog(ERROR, "could not record outcomes");
}

static void
record_settled(List *items, MfiLane *lane)
{
	static const Oid types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Batch	   *batch = batch_new(list_length(items), types, lengthof(types));
	ListCell   *cell;

	foreach(cell, items)
	{
		MfiItem    *item = lfirst(cell);

		if (item->lane != lane || item->action != MFI_ACTION_SETTLE)
			continue;
		batch_add(batch, item);
		batch_set(batch, 2, CStringGetTextDatum(item->state));
		batch_set_text(batch, 3, item->reason);
		batch_set(batch, 4, CStringGetTextDatum(lane->name));
		batch_set_text(batch, 5, item->outcome.provider_id);
	}
	batch_run(batch, "SELECT pg_catalog.count(*) FROM mfiauto._settle_messages($2, $3, $4, $5, $6, $7) WHERE $1 IS NOT NULL", lane->name);
}

static void
record_requeued(List *items, MfiLane *lane)
{
	static const Oid types[] = {INT8OID, INT8OID, FLOAT8OID, BOOLOID, BOOLOID, BOOLOID, TEXTOID};
	Batch	   *batch = batch_new(list_length(items), types, lengthof(types));
	ListCell   *cell;

	foreach(cell, items)
	{
		MfiItem    *item = lfirst(cell);

		if (item->lane != lane || item->action != MFI_ACTION_REQUEUE)
			continue;
		batch_add(batch, item);
		batch_set(batch, 2, Float8GetDatum(item->delay_s));
		batch_set(batch, 3, BoolGetDatum(item->is_pinned));
		batch_set(batch, 4, BoolGetDatum(item->is_tried));
		batch_set(batch, 5, BoolGetDatum(item->counts));
		batch_set_text(batch, 6, item->reason);
	}
	batch_run(batch, "SELECT mfiauto._requeue_messages($2, $3, $4, $5, $6, $7, $8) WHERE $1 IS NOT NULL", lane->name);
}

/*
 * record_attempts writes down each attempt that did not simply succeed, before
 * the queue's row, which has its number, goes away.
 */
static void
record_attempts(List *items, MfiLane *lane)
{
	static const Oid types[] = {INT8OID, INT8OID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID};
	Batch	   *batch = batch_new(list_length(items), types, lengthof(types));
	ListCell   *cell;

	foreach(cell, items)
	{
		MfiItem    *item = lfirst(cell);

		if (item->lane != lane || item->started_at == 0 || item->outcome.verdict == MFI_VERDICT_SENT)
			continue;
		batch_add(batch, item);
		batch_set(batch, 2, CStringGetTextDatum(mfi_verdict_name(item->outcome.verdict)));
		batch_set(batch, 3, Int32GetDatum(item->outcome.status));
		batch_set(batch, 4, CStringGetTextDatum(item->outcome.error));
		batch_set(batch, 5, TimestampTzGetDatum(item->started_at));
	}
	batch_run(batch, "SELECT mfiauto._record_attempts($2, $3, $1, $4, $5, $6, $7)", lane->name);
}

/*
 * record_extras keeps what stays here, and opt-outs that the provider knows of.
 */
static void
record_extras(List *items, MfiLane *lane)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Batch	   *shown = batch_new(list_length(items), types, lengthof(types));
	Batch	   *kept = batch_new(list_length(items), types, lengthof(types));
	Batch	   *opted_out = batch_new(list_length(items), types, lengthof(types));
	ListCell   *cell;

	foreach(cell, items)
	{
		MfiItem    *item = lfirst(cell);
		Batch	   *batch = NULL;

		if (item->lane != lane || item->action != MFI_ACTION_SETTLE)
			continue;
		if (item->is_kept)
			batch = item->is_shown ? shown : kept;
		else if (item->outcome.verdict == MFI_VERDICT_OPTED_OUT)
			batch = opted_out;
		else
			continue;
		batch_add(batch, item);
	}
	batch_run(shown, "SELECT mfiauto._keep_in_inbox($2, $3, $1)", lane->name);
	batch_run(kept, "SELECT mfiauto._keep_in_sandbox($2, $3, $1)", lane->name);
	batch_run(opted_out, "SELECT mfiauto._record_provider_opt_outs($2, $3) WHERE $1 IS NOT NULL", lane->name);
}

/* False: not now, somebody is changing the gateway. */
static bool
save_lane(MfiLane *lane, int64 now_ms)
{
	Oid			types[12] = {TEXTOID, TEXTOID, FLOAT8OID, FLOAT8OID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[12] = {0};
	char		nulls[12];
	bool		is_null;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(lane->name);
	values[1] = CStringGetTextDatum(mfi_rate_circuit_name(lane->rate.circuit));
	values[2] = Float8GetDatum((lane->rate.open_until_ms - now_ms) / 1000.0);
	nulls[2] = lane->rate.circuit == MFI_CIRCUIT_OPEN ? ' ' : 'n';
	values[3] = Float8GetDatum((lane->rate.throttled_until_ms - now_ms) / 1000.0);
	nulls[3] = lane->rate.throttled_until_ms > now_ms ? ' ' : 'n';
	values[4] = Int32GetDatum(lane->rate.failures);
	values[5] = text_or_null(lane->rate.circuit == MFI_CIRCUIT_STOPPED ? lane->last_error : NULL, &is_null);
	nulls[5] = is_null ? 'n' : ' ';
	values[6] = Int64GetDatum(lane->sent);
	values[7] = Int64GetDatum(lane->failed);
	values[8] = Int64GetDatum(lane->retried);
	values[9] = Int64GetDatum(lane->unknown);
	values[10] = text_or_null(lane->last_error, &is_null);
	nulls[10] = is_null ? 'n' : ' ';
	values[11] = CStringGetTextDatum(lane->version);
	if (SPI_execute_with_args("SELECT mfiauto._save_gateway_state($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
							  12, types, values, nulls, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not save the state of a gateway");
	return strcmp(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), "t") == 0;
}

/*
 * decide_handed_over: what becomes of messages that left by tables is known only
 * now that they were handed over.
 */
static void
decide_handed_over(List *items, MfiLane *lane, int64 now_ms)
{
	ListCell   *cell;

	foreach(cell, items)
	{
		MfiItem    *item = lfirst(cell);

		if (item->lane == lane && item->is_handed_over)
			mfi_record_decide(item, now_ms);
	}
}

static void
record_items(List *items)
{
	int64		now_ms = mfi_rate_now_ms();
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		mfi_handover_run(items, lane);
		decide_handed_over(items, lane, now_ms);
		record_attempts(items, lane);
		record_extras(items, lane);
		record_settled(items, lane);
		record_requeued(items, lane);
		lane->is_saved = lane->is_dirty && save_lane(lane, now_ms);
	}
}

/*
 * try_record records a batch in one transaction; false if that failed.
 */
static bool
try_record(List *items)
{
	bool		is_recorded = false;

	PG_TRY();
	{
		mfi_machine_begin("recording outcomes");
		record_items(items);
		mfi_machine_commit();
		is_recorded = true;
	}
	PG_CATCH();
	{
		mfi_machine_failed("recording outcomes");
	}
	PG_END_TRY();
	if (is_recorded)
	{
		ListCell   *cell;

		foreach(cell, mfi_machine.lanes)
		{
			MfiLane    *lane = lfirst(cell);

			if (!lane->is_saved)
				continue;
			lane->sent = lane->failed = lane->retried = lane->unknown = 0;
			lane->last_error[0] = lane->rate.circuit == MFI_CIRCUIT_STOPPED ? lane->last_error[0] : '\0';
			lane->is_dirty = false;
		}
	}
	return is_recorded;
}

/*
 * mfi_record_finished records what came back. What cannot be recorded stays
 * and is tried again after a pause, behind the others: it must not be forgotten
 * that it was sent. When not one after the other can be, it is not for what
 * they say, and the rest is left to the next time.
 */
void
mfi_record_finished(void)
{
	List	   *items = NIL;
	List	   *failed = NIL;
	ListCell   *cell;
	int			failed_in_row = 0;
	dlist_mutable_iter iter;
	bool		is_recorded;

	dlist_foreach_modify(iter, &mfi_machine.finished)
		items = lappend(items, dlist_container(MfiItem, node, iter.cur));
	is_recorded = try_record(items);
	if (!is_recorded && list_length(items) == 1)
		failed_in_row = FAILED_IN_ROW_MAX;
	dlist_foreach_modify(iter, &mfi_machine.finished)
	{
		MfiItem    *item = dlist_container(MfiItem, node, iter.cur);

		if (!is_recorded)
		{
			if (failed_in_row >= FAILED_IN_ROW_MAX)
				break;
			if (!try_record(list_make1(item)))
			{
				failed = lappend(failed, item);
				failed_in_row++;
				continue;
			}
			failed_in_row = 0;
		}
		/* Only now is it in the queue again, for whom it may concern. */
		if (item->action == MFI_ACTION_REQUEUE && item->delay_s <= 0)
			mfi_lane_mark_strays(item->gateway->channel);
		dlist_delete(&item->node);
		mfi_machine.finished_count--;
		mfi_item_free(item);
	}
	foreach(cell, failed)
	{
		dlist_delete(&((MfiItem *) lfirst(cell))->node);
		dlist_push_tail(&mfi_machine.finished, &((MfiItem *) lfirst(cell))->node);
	}
	mfi_machine.unrecorded_count = mfi_machine.finished_count;
	mfi_machine.finished_since_ms = mfi_machine.finished_count > 0 ? mfi_rate_now_ms() : 0;
}

/*
 * mfi_record_put_back gives an item that was claimed and did not leave back to
 * the queue: what was true at its claim may not be so any more.
 */
void
mfi_record_put_back(MfiItem *item)
{
	item->started_at = 0;
	item->action = MFI_ACTION_REQUEUE;
	item->delay_s = 0;
	item->counts = false;
	item->is_pinned = item->gateway->is_idempotent && item->attempts > 1;
	dlist_push_tail(&mfi_machine.finished, &item->node);
	if (mfi_machine.finished_count++ == 0)
		mfi_machine.finished_since_ms = mfi_rate_now_ms();
}

/*
 * mfi_record_release_ready gives back what was claimed and not started.
 */
void
mfi_record_release_ready(void)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		dlist_mutable_iter iter;

		dlist_foreach_modify(iter, &lane->ready)
		{
			MfiItem    *item = dlist_container(MfiItem, node, iter.cur);

			mfi_item_leave_ready(item);
			mfi_record_put_back(item);
		}
	}
}
