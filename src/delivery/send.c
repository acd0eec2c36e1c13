/*
 * send.c
 *		Messages on their way: started as rate and connections allow, and taken
 *		in when they were answered.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "delivery/machine.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STALE_MS 2000			/* claimed and not started within: claim anew */
#define TOKEN_MARGIN_S 60
#define TOKEN_PAUSE_S 5
#define SHORTAGE_PAUSE_S 5		/* when this machine has no thread or connection left */

static void set_limits(const MfiGateway *gateway, MfiHttpLimits *limits);
static void note_throughput(MfiLane *lane, int64 now_ms);
static void keep_token(MfiLane *lane, const char *token, double lifetime_s, int64 now_ms);
static bool make_token(MfiLane *lane, int64 now_ms);
static void finish_token(MfiItem *item, const MfiAnswer *answer, int64 now_ms);
static void build(MfiItem *item, const char *token, MfiRequest *request);
static bool has_stale(MfiLane *lane, int64 now_ms);
static void put_back_unsent(MfiLane *lane);

/*
 * finish decides what becomes of an item and puts it among those to
 * be recorded.
 */
static void
finish(MfiItem *item, int64 now_ms)
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
	if (!item->is_handed_over)
		mfi_record_decide(item, now_ms);
	dlist_push_tail(&mfi_machine.finished, &item->node);
	if (mfi_machine.finished_count++ == 0)
		mfi_machine.finished_since_ms = now_ms;
}

void
mfi_send_fail(MfiItem *item, MfiVerdict verdict, const char *error, int64 now_ms)
{
	memset(&item->outcome, 0, sizeof(MfiOutcome));
	item->outcome.verdict = verdict;
	item->outcome.retry_after_s = verdict == MFI_VERDICT_THROTTLE ? SHORTAGE_PAUSE_S : -1;
	strlcpy(item->outcome.error, error, sizeof(item->outcome.error));
	finish(item, now_ms);
}

void
mfi_send_keep(MfiItem *item, int64 now_ms)
{
	memset(&item->outcome, 0, sizeof(MfiOutcome));
	item->outcome.verdict = MFI_VERDICT_SENT;
	item->is_handed_over = item->gateway->is_sql && !mfi_machine.is_dry_run;
	item->is_kept = !item->is_handed_over;
	item->is_shown = item->gateway->is_inbox && !mfi_machine.is_dry_run;
	finish(item, now_ms);
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

bool
mfi_send_needs_token(const MfiLane *lane, int64 now_ms)
{
	return mfi_gateway_needs_token(lane->gateway) && !mfi_lane_keeps_here(lane) &&
		(lane->token == NULL || now_ms >= lane->token_until_ms);
}

static void
keep_token(MfiLane *lane, const char *token, double lifetime_s, int64 now_ms)
{
	if (lane->token != NULL)
		pfree(lane->token);
	lane->token = MemoryContextStrdup(mfi_machine.context, token);
	lane->token_number++;
	lane->token_until_ms = now_ms + (int64) (lifetime_s * 1000);
	lane->claim_at_ms = 0;
}

/*
 * make_token signs a token of our own; false if tokens come from somebody
 * else. A key that cannot sign stops the gateway.
 */
static bool
make_token(MfiLane *lane, int64 now_ms)
{
	MemoryContext outer = CurrentMemoryContext;
	char	   *token;
	double		lifetime_s;
	bool		is_ours = true;

	PG_TRY();
	{
		is_ours = mfi_gateway_make_token(lane->gateway, &token, &lifetime_s);
		if (is_ours)
			keep_token(lane, token, lifetime_s, now_ms);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(outer);
		error = CopyErrorData();
		FlushErrorState();
		strlcpy(lane->last_error, error->message, sizeof(lane->last_error));
		lane->is_dirty = true;
		lane->rate.circuit = MFI_CIRCUIT_STOPPED;
	}
	PG_END_TRY();
	return is_ours;
}

/*
 * mfi_send_token_request asks for a token; one request at a time for a gateway.
 * One of our own is there at once.
 */
void
mfi_send_token_request(MfiLane *lane, int64 now_ms)
{
	MfiItem    *item;

	if (lane->is_fetching_token || make_token(lane, now_ms))
		return;
	item = mfi_item_new(lane);
	item->is_token = true;
	item->since_ms = now_ms;
	lane->is_fetching_token = true;
	mfi_send_item(item, now_ms);
}

static void
finish_token(MfiItem *item, const MfiAnswer *answer, int64 now_ms)
{
	MfiLane    *lane = item->lane;
	char	   *token;
	double		lifetime_s;

	lane->is_fetching_token = false;
	if (item->gateway->origin != lane->token_origin)
	{
		/* The gateway was changed meanwhile: it asks for a token of its own. */
		mfi_item_free(item);
		return;
	}
	if (mfi_gateway_read_token(answer, &token, &lifetime_s, &item->outcome))
		keep_token(lane, token, Max(lifetime_s - TOKEN_MARGIN_S, lifetime_s / 2), now_ms);
	else
	{
		strlcpy(lane->last_error, item->outcome.error, sizeof(lane->last_error));
		lane->is_dirty = true;
		if (item->outcome.verdict == MFI_VERDICT_CONFIG_BROKEN)
			lane->rate.circuit = MFI_CIRCUIT_STOPPED;
		else
			mfi_rate_throttle(&lane->rate, now_ms, item->outcome.retry_after_s >= 0 ? item->outcome.retry_after_s : TOKEN_PAUSE_S);
	}
	mfi_item_free(item);
}

static void
build(MfiItem *item, const char *token, MfiRequest *request)
{
	if (item->is_token)
		mfi_gateway_build_token_request(item->gateway, request);
	else if (item->take_answer != NULL)
		mfi_gateway_build_request(item->gateway->poll, &item->envelope, token, request);
	else
		mfi_gateway_build_request(item->gateway, &item->envelope, token, request);
}

/*
 * mfi_send_item sends an item's request. What cannot be sent is finished with the
 * reason.
 */
void
mfi_send_item(MfiItem *item, int64 now_ms)
{
	MemoryContext outer = MemoryContextSwitchTo(item->context);
	MfiRequest	request;
	MfiHttpLimits limits;
	const char *refusal = NULL;
	char	   *problem = NULL;
	bool		is_passing = false;

	set_limits(item->take_answer != NULL ? item->gateway->poll : item->gateway, &limits);
	item->token_number = item->lane->token_number;
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
		item->exchange = mfi_http_send(&request, &limits, item, &refusal, &is_passing);
	MemoryContextSwitchTo(outer);
	if (item->exchange != NULL)
	{
		item->started_at = GetCurrentTimestamp();
		item->lane->in_flight++;
		mfi_machine.in_flight++;
		return;
	}
	if (item->is_token || item->take_answer != NULL)
	{
		MfiAnswer	answer = {.transport = is_passing ? MFI_TRANSPORT_NOT_WRITTEN : MFI_TRANSPORT_REFUSED, .error = problem != NULL ? problem : refusal};

		if (item->is_token)
			finish_token(item, &answer, now_ms);
		else
			item->take_answer(item, &answer);
		return;
	}
	item->started_at = GetCurrentTimestamp();
	/* What this machine is short of just now is nobody's fault. */
	mfi_send_fail(item, problem != NULL ? MFI_VERDICT_PERMANENT : is_passing ? MFI_VERDICT_THROTTLE : MFI_VERDICT_CONFIG_BROKEN,
			  problem != NULL ? problem : refusal, now_ms);
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

/*
 * put_back_unsent gives back what was never written: nothing is to be claimed
 * while somebody is asked for a token, or its fate would be in doubt if we died.
 */
static void
put_back_unsent(MfiLane *lane)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lane->ready)
	{
		MfiItem    *item = dlist_container(MfiItem, node, iter.cur);

		if (item->is_repeated)
			continue;
		lane->has_due = true;
		mfi_item_leave_ready(item);
		mfi_record_put_back(item);
	}
}

void
mfi_send_ready(int64 now_ms)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		bool		is_usable = mfi_lane_may_send(lane);

		while (!dlist_is_empty(&lane->ready))
		{
			MfiItem    *item = dlist_head_element(MfiItem, node, &lane->ready);
			bool		is_stale = has_stale(lane, now_ms) && !item->is_repeated;

			if (!is_stale && is_usable && mfi_lane_keeps_here(lane))
			{
				mfi_item_leave_ready(item);
				mfi_send_keep(item, now_ms);
				continue;
			}
			if (is_stale || !is_usable || lane->gateway != item->gateway || !mfi_rate_is_available(&lane->rate, now_ms))
			{
				lane->has_due = true;
				mfi_item_leave_ready(item);
				mfi_record_put_back(item);
				continue;
			}
			if (!mfi_lane_has_room(lane))
				break;
			if (mfi_send_needs_token(lane, now_ms))
			{
				mfi_send_token_request(lane, now_ms);
				if (!lane->is_fetching_token)
					continue;
				put_back_unsent(lane);
				break;
			}
			if (!mfi_rate_take(&lane->rate, now_ms))
				break;
			mfi_item_leave_ready(item);
			mfi_send_item(item, now_ms);
		}
	}
}

/*
 * mfi_send_collect takes in what was answered.
 */
void
mfi_send_collect(int64 now_ms)
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
		mfi_lane_note_answer(lane, answer.transport == MFI_TRANSPORT_ANSWERED);
		if (item->is_token)
			finish_token(item, &answer, now_ms);
		else if (item->take_answer != NULL)
			item->take_answer(item, &answer);
		else
		{
			if (answer.transport == MFI_TRANSPORT_ANSWERED)
				lane->answered_at_ms = now_ms;
			mfi_gateway_judge(item->gateway, &answer, &item->outcome);
			note_throughput(lane, now_ms);
			if (item->outcome.verdict == MFI_VERDICT_UNAUTHORIZED && !item->is_repeated && item->test == NULL)
			{
				/* A refusal of the token before this one says nothing against this one. */
				if (item->token_number == lane->token_number)
					lane->token_until_ms = 0;
				item->is_repeated = true;
				mfi_rate_leave_probe(&lane->rate);
				dlist_push_head(&lane->ready, &item->node);
				lane->ready_count++;
			}
			else
				finish(item, now_ms);
		}
		mfi_http_release(exchange);
	}
}

/*
 * mfi_send_drop gives up what is on its way: what cannot have been written
 * goes back, of the rest nobody knows.
 */
void
mfi_send_drop(int64 now_ms)
{
	void	   *owner;
	MfiExchange *exchange;

	mfi_http_end_mail();
	mfi_send_collect(now_ms);
	for (exchange = mfi_http_next_in_flight(&owner); exchange != NULL; exchange = mfi_http_next_in_flight(&owner))
	{
		MfiItem    *item = owner;

		item->lane->in_flight--;
		mfi_machine.in_flight--;
		if (item->is_token || item->take_answer != NULL)
			mfi_item_free(item);
		else if (mfi_http_is_written(exchange))
			mfi_send_fail(item, MFI_VERDICT_UNKNOWN, "the server was shut down before the answer came", now_ms);
		else
			mfi_record_put_back(item);
		mfi_http_drop(exchange);
	}
}
