/*
 * delivery.c
 *		The pump: claim, send, record, all at once and none waiting for another.
 *
 * A message is claimed and recorded in short transactions; while it travels
 * there is none, no snapshot and no lock. Gateways share nothing but the
 * worker, so a slow one keeps only its own connections busy.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/query.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define RECORD_AT_COUNT 500
#define RECORD_AFTER_MS 50
#define STALE_MS 2000			/* claimed and not started within: claim anew */
#define TROUBLE_PAUSE_MS 1000
#define TOKEN_MARGIN_S 60
#define IDLE_MS 1000

MfiMachine	mfi_machine = {0};

static void start_ready(int64 now_ms);
static bool start_item(MfiItem *item, int64 now_ms);
static void keep_here(MfiItem *item, int64 now_ms);
static void fail_item(MfiItem *item, MfiVerdict verdict, const char *error, int64 now_ms);
static bool needs_token(MfiItem *item, int64 now_ms);
static void fetch_token(MfiLane *lane, int64 now_ms);
static void finish_token(MfiItem *item, const MfiAnswer *answer, int64 now_ms);
static void collect(int64 now_ms);
static void drop_in_flight(int64 now_ms);
static bool has_stale(MfiLane *lane, int64 now_ms);
static void note_throughput(MfiLane *lane, int64 now_ms);
static void set_limits(const MfiGateway *gateway, MfiHttpLimits *limits);
static void build(MfiItem *item, const char *token, MfiRequest *request);
static bool is_drained(void);
static void wait_a_little(void);

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
mfi_item_free(MfiItem *item)
{
	mfi_gateway_release(item->gateway);
	MemoryContextDelete(item->context);
}

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
	ErrorData  *error;

	MemoryContextSwitchTo(mfi_machine.pump_context);
	error = CopyErrorData();
	FlushErrorState();
	mfi_query_abort();
	MemoryContextSwitchTo(mfi_machine.pump_context);
	mfi_machine.trouble_until_ms = mfi_rate_now_ms() + TROUBLE_PAUSE_MS;
	if (strncmp(mfi_machine.trouble, error->message, sizeof(mfi_machine.trouble) - 1) != 0)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("delivery was interrupted while %s: %s", what, error->message),
				 error->context != NULL ? errcontext("%s", error->context) : 0));
	strlcpy(mfi_machine.trouble, error->message, sizeof(mfi_machine.trouble));
	FreeErrorData(error);
}

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
	mfi_http_start(mfi_guc_connections);
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
 * mfi_item_finish decides what becomes of an item and puts it among those to
 * be recorded.
 */
void
mfi_item_finish(MfiItem *item, int64 now_ms)
{
	if (item->test != NULL)
	{
		strlcpy(item->test->verdict, mfi_verdict_name(item->outcome.verdict), sizeof(item->test->verdict));
		strlcpy(item->test->provider_id, item->outcome.provider_id, sizeof(item->test->provider_id));
		strlcpy(item->test->error, item->outcome.error, sizeof(item->test->error));
		item->test->status = item->outcome.status;
		item->test->duration_ms = (int) (now_ms - item->since_ms);
		mfi_item_free(item);
		return;
	}
	mfi_record_decide(item, now_ms);
	dlist_push_tail(&mfi_machine.finished, &item->node);
	if (mfi_machine.finished_count++ == 0)
		mfi_machine.finished_since_ms = now_ms;
}

static void
fail_item(MfiItem *item, MfiVerdict verdict, const char *error, int64 now_ms)
{
	memset(&item->outcome, 0, sizeof(MfiOutcome));
	item->outcome.verdict = verdict;
	item->outcome.retry_after_s = -1;
	strlcpy(item->outcome.error, error, sizeof(item->outcome.error));
	mfi_item_finish(item, now_ms);
}

static void
keep_here(MfiItem *item, int64 now_ms)
{
	memset(&item->outcome, 0, sizeof(MfiOutcome));
	item->outcome.verdict = MFI_VERDICT_SENT;
	item->is_kept = true;
	mfi_item_finish(item, now_ms);
}

static void
set_limits(const MfiGateway *gateway, MfiHttpLimits *limits)
{
	limits->timeout_ms = gateway->timeout_ms;
	limits->connect_timeout_ms = gateway->connect_timeout_ms;
	limits->answer_bytes_max = gateway->answer_bytes_max;
	limits->is_http2 = gateway->is_http2;
	limits->is_loopback_only = mfi_clock_is_set();
	limits->id_header = gateway->id_header;
	limits->retry_after_header = gateway->retry_after_header;
}

static void
note_throughput(MfiLane *lane, int64 now_ms)
{
	int64		elapsed_ms = now_ms - lane->throughput_at_ms;

	lane->finished_since++;
	if (elapsed_ms < 500)
		return;
	if (elapsed_ms < 5000)
		lane->throughput = (lane->throughput + lane->finished_since * 1000.0 / elapsed_ms) / 2;
	lane->throughput_at_ms = now_ms;
	lane->finished_since = 0;
}

static bool
needs_token(MfiItem *item, int64 now_ms)
{
	return item->gateway->auth_kind == MFI_AUTH_OAUTH2 && !item->is_token &&
		(item->lane->token == NULL || now_ms >= item->lane->token_until_ms);
}

/*
 * fetch_token asks for a token; one request at a time for a gateway.
 */
static void
fetch_token(MfiLane *lane, int64 now_ms)
{
	MfiItem    *item;

	if (lane->is_fetching_token)
		return;
	item = mfi_item_new(lane);
	item->is_token = true;
	item->since_ms = now_ms;
	lane->is_fetching_token = true;
	(void) start_item(item, now_ms);
}

static void
finish_token(MfiItem *item, const MfiAnswer *answer, int64 now_ms)
{
	MfiLane    *lane = item->lane;
	char	   *token;
	double		lifetime_s;

	lane->is_fetching_token = false;
	if (mfi_gateway_read_token(answer, &token, &lifetime_s, &item->outcome))
	{
		if (lane->token != NULL)
			pfree(lane->token);
		lane->token = MemoryContextStrdup(mfi_machine.context, token);
		lane->token_until_ms = now_ms + (int64) (Max(lifetime_s - TOKEN_MARGIN_S, lifetime_s / 2) * 1000);
	}
	else
	{
		strlcpy(lane->last_error, item->outcome.error, sizeof(lane->last_error));
		lane->is_dirty = true;
		if (item->outcome.verdict == MFI_VERDICT_CONFIG_BROKEN)
			lane->rate.circuit = MFI_CIRCUIT_STOPPED;
		else
			mfi_rate_throttle(&lane->rate, now_ms, 5);
	}
	mfi_item_free(item);
}

static void
build(MfiItem *item, const char *token, MfiRequest *request)
{
	if (item->is_token)
		mfi_gateway_build_token_request(item->gateway, request);
	else
		mfi_gateway_build_request(item->gateway, &item->envelope, token, request);
}

/*
 * start_item sends an item's request. What cannot be sent is finished with the
 * reason; false if every connection is in use and the item stays the caller's.
 */
static bool
start_item(MfiItem *item, int64 now_ms)
{
	MemoryContext outer = MemoryContextSwitchTo(item->context);
	MfiRequest	request;
	MfiHttpLimits limits;
	const char *refusal = NULL;
	char	   *problem = NULL;

	set_limits(item->gateway, &limits);
	PG_TRY();
	{
		build(item, item->lane->token, &request);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(item->context);
		error = CopyErrorData();
		FlushErrorState();
		problem = error->message;
	}
	PG_END_TRY();
	if (problem == NULL)
		item->exchange = mfi_http_send(&request, &limits, item, &refusal);
	MemoryContextSwitchTo(outer);
	if (item->exchange != NULL)
	{
		item->started_at = GetCurrentTimestamp();
		item->lane->in_flight++;
		mfi_machine.in_flight++;
		return true;
	}
	if (item->is_token)
	{
		MfiAnswer	answer = {.transport = MFI_TRANSPORT_REFUSED, .error = problem != NULL ? problem : refusal};

		finish_token(item, &answer, now_ms);
		return true;
	}
	item->started_at = GetCurrentTimestamp();
	fail_item(item, problem != NULL ? MFI_VERDICT_PERMANENT : MFI_VERDICT_CONFIG_BROKEN,
			  problem != NULL ? problem : refusal, now_ms);
	return true;
}

/*
 * has_stale tells whether what a lane has at hand was claimed too long ago to
 * be sent without being looked at again.
 */
static bool
has_stale(MfiLane *lane, int64 now_ms)
{
	MfiItem    *first;

	if (dlist_is_empty(&lane->ready))
		return false;
	first = dlist_head_element(MfiItem, node, &lane->ready);
	return now_ms - first->since_ms > STALE_MS;
}

static void
start_ready(int64 now_ms)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		bool		is_usable = lane->gateway != NULL && mfi_machine.may_send;

		while (!dlist_is_empty(&lane->ready))
		{
			MfiItem    *item = dlist_head_element(MfiItem, node, &lane->ready);
			bool		is_stale = has_stale(lane, now_ms) && !item->is_repeated;

			if (!is_stale && is_usable && mfi_lane_keeps_here(lane))
			{
				dlist_delete(&item->node);
				lane->ready_count--;
				keep_here(item, now_ms);
				continue;
			}
			if (is_stale || !is_usable || lane->gateway != item->gateway || !mfi_rate_is_available(&lane->rate, now_ms))
			{
				/* Back to the queue: what was true at its claim may not be so any more. */
				dlist_delete(&item->node);
				lane->ready_count--;
				item->action = MFI_ACTION_REQUEUE;
				item->counts = false;
				item->is_pinned = item->gateway->is_idempotent && item->attempts > 1;
				dlist_push_tail(&mfi_machine.finished, &item->node);
				if (mfi_machine.finished_count++ == 0)
					mfi_machine.finished_since_ms = now_ms;
				continue;
			}
			if (lane->in_flight >= lane->gateway->concurrency || mfi_machine.in_flight >= mfi_guc_connections)
				break;
			if (needs_token(item, now_ms))
			{
				fetch_token(lane, now_ms);
				break;
			}
			if (!mfi_rate_take(&lane->rate, now_ms))
				break;
			dlist_delete(&item->node);
			lane->ready_count--;
			(void) start_item(item, now_ms);
		}
	}
}

/*
 * collect takes in what was answered.
 */
static void
collect(int64 now_ms)
{
	MfiExchange *exchange;
	MfiAnswer	answer;
	void	   *owner;

	while ((exchange = mfi_http_next_finished(&owner, &answer)) != NULL)
	{
		MfiItem    *item = owner;
		MfiLane    *lane = item->lane;

		lane->in_flight--;
		mfi_machine.in_flight--;
		item->exchange = NULL;
		if (item->is_token)
			finish_token(item, &answer, now_ms);
		else
		{
			mfi_gateway_judge(item->gateway, &answer, &item->outcome);
			note_throughput(lane, now_ms);
			if (item->outcome.verdict == MFI_VERDICT_UNAUTHORIZED && !item->is_repeated && item->test == NULL)
			{
				lane->token_until_ms = 0;
				item->is_repeated = true;
				dlist_push_head(&lane->ready, &item->node);
				lane->ready_count++;
			}
			else
				mfi_item_finish(item, now_ms);
		}
		mfi_http_release(exchange);
	}
}

void
mfi_delivery_pump(void)
{
	MemoryContext outer = MemoryContextSwitchTo(mfi_machine.pump_context);
	int64		now_ms = mfi_rate_now_ms();

	mfi_http_step();
	collect(now_ms);
	mfi_lane_look(now_ms);
	start_ready(now_ms);
	mfi_claim_due(now_ms);
	start_ready(now_ms);
	mfi_http_step();
	collect(now_ms);
	if (mfi_machine.finished_count > 0 && now_ms >= mfi_machine.trouble_until_ms &&
		(mfi_machine.finished_count >= RECORD_AT_COUNT || mfi_machine.in_flight == 0 ||
		 now_ms - mfi_machine.finished_since_ms >= RECORD_AFTER_MS))
	{
		mfi_record_finished();
		if (now_ms >= mfi_machine.trouble_until_ms)
			mfi_machine.trouble[0] = '\0';
	}
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

		if (lane->ready_count > 0 && lane->gateway != NULL && lane->in_flight < lane->gateway->concurrency &&
			mfi_machine.in_flight < mfi_guc_connections && ready_at_ms >= 0 && !lane->is_fetching_token)
			wait_ms = Min(wait_ms, Max(0, ready_at_ms - now_ms));
	}
	*timeout_ms = (long) Min(wait_ms, IDLE_MS);
	return descriptor;
}

/*
 * drop_in_flight gives up what is on its way: what cannot have been written
 * goes back, of the rest nobody knows.
 */
static void
drop_in_flight(int64 now_ms)
{
	void	   *owner;
	MfiExchange *exchange;

	for (exchange = mfi_http_next_in_flight(&owner); exchange != NULL; exchange = mfi_http_next_in_flight(&owner))
	{
		MfiItem    *item = owner;

		item->lane->in_flight--;
		mfi_machine.in_flight--;
		if (item->is_token)
			mfi_item_free(item);
		else if (mfi_http_is_written(exchange))
			fail_item(item, MFI_VERDICT_UNKNOWN, "the server was shut down before the answer came", now_ms);
		else
		{
			item->started_at = 0;
			item->action = MFI_ACTION_REQUEUE;
			item->counts = false;
			item->is_pinned = item->gateway->is_idempotent && item->attempts > 1;
			dlist_push_tail(&mfi_machine.finished, &item->node);
			mfi_machine.finished_count++;
		}
		mfi_http_drop(exchange);
	}
}

void
mfi_delivery_finish(void)
{
	int64		now_ms = mfi_rate_now_ms();

	if (!mfi_machine.is_running)
		return;
	MemoryContextSwitchTo(mfi_machine.pump_context);
	mfi_http_step();
	collect(now_ms);
	drop_in_flight(now_ms);
	mfi_record_release_ready();
	if (mfi_machine.finished_count > 0)
		mfi_record_finished();
	mfi_http_stop();
	mfi_machine.is_running = false;
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(mfi_machine.context);
}

/*
 * is_drained: nothing on its way, and the last claims found nothing more.
 */
static bool
is_drained(void)
{
	int64		now_ms = mfi_rate_now_ms();
	ListCell   *cell;

	if (mfi_machine.in_flight > 0 || mfi_machine.finished_count > 0)
		return mfi_machine.trouble[0] != '\0' && mfi_machine.in_flight == 0;
	if (mfi_machine.trouble[0] != '\0')
		return true;
	if (!mfi_machine.may_send)
		return true;
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (!mfi_lane_is_available(lane, now_ms))
			continue;
		if (lane->ready_count > 0 || lane->claim_at_ms <= now_ms)
			return false;
	}
	return true;
}

static void
wait_a_little(void)
{
	long		timeout_ms;
	int			descriptor = mfi_delivery_poll(&timeout_ms);

	(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 descriptor, timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
mfi_delivery_drain(MfiDeliveryCounts *counts)
{
	mfi_delivery_begin();
	for (;;)
	{
		mfi_delivery_pump();
		if (is_drained())
			break;
		wait_a_little();
	}
	*counts = mfi_machine.counts;
	if (mfi_machine.trouble[0] != '\0')
	{
		char	   *trouble = pstrdup(mfi_machine.trouble);

		mfi_delivery_finish();
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("delivery failed: %s", trouble)));
	}
	mfi_delivery_finish();
}

void
mfi_delivery_test(const char *gateway, const char *to, const char *body, MfiDeliveryTest *result)
{
	MfiLane    *lane;
	MfiItem    *item;
	int64		now_ms;

	memset(result, 0, sizeof(MfiDeliveryTest));
	mfi_delivery_begin();
	now_ms = mfi_rate_now_ms();
	mfi_machine.sweep_at_ms = now_ms + 3600000;
	mfi_lane_look(now_ms);
	lane = mfi_lane_find(gateway);
	strlcpy(result->verdict, "refused", sizeof(result->verdict));
	if (mfi_machine.trouble[0] != '\0')
		strlcpy(result->error, mfi_machine.trouble, sizeof(result->error));
	else if (!mfi_machine.may_send)
		strlcpy(result->error, "delivery is off, held or not armed here; see mfiauto.status", sizeof(result->error));
	else if (lane == NULL || lane->gateway == NULL)
		strlcpy(result->error, lane != NULL && lane->problem != NULL ? lane->problem : "the gateway is not enabled", sizeof(result->error));
	else if (lane->is_held)
		strlcpy(result->error, "under a clock only loopback and sandbox gateways are used", sizeof(result->error));
	else
	{
		result->verdict[0] = '\0';
		item = mfi_item_new(lane);
		item->test = result;
		item->envelope.to = MemoryContextStrdup(item->context, to);
		item->envelope.text = MemoryContextStrdup(item->context, body);
		MemoryContextSwitchTo(item->context);
		item->envelope.key = DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
		MemoryContextSwitchTo(mfi_machine.pump_context);
		item->since_ms = now_ms;
		if (mfi_lane_keeps_here(lane))
			keep_here(item, now_ms);
		else if (needs_token(item, now_ms))
			fetch_token(lane, now_ms);
		while (result->verdict[0] == '\0')
		{
			if (item->exchange == NULL && !lane->is_fetching_token)
			{
				if (needs_token(item, mfi_rate_now_ms()))
					fail_item(item, MFI_VERDICT_CONFIG_BROKEN, lane->last_error, mfi_rate_now_ms());
				else
					(void) start_item(item, mfi_rate_now_ms());
				continue;
			}
			wait_a_little();
			mfi_http_step();
			collect(mfi_rate_now_ms());
		}
	}
	mfi_delivery_finish();
}
