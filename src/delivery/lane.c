/*
 * lane.c
 *		Gateways at work: loaded from their rows, told apart by what they may do
 *		now.
 *
 * Once a second the machine looks whether it may send at all and whether a
 * gateway was changed. What it finds holds until the next look; what must hold
 * at the very claim (holds of delivery) the claim asks again.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/jsonb.h"
#include "base/secret.h"
#include "catalog/pg_type.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define WINDOW_FIRST 16
#define LOOK_EVERY_MS 1000
#define SWEEP_EVERY_MS 30000

static void look_at_permission(void);
static void load_lanes(int64 now_ms);
static MfiGateway *compile(HeapTuple tuple, TupleDesc descriptor, Jsonb *settings, Jsonb *secrets, char **problem);
static void load_lane(HeapTuple tuple, TupleDesc descriptor, int64 now_ms);
static void set_gateway(MfiLane *lane, MfiGateway *gateway, const char *problem);
static const char *find_missing_secret(const MfiGateway *gateway);
static void load_circuit(MfiLane *lane, HeapTuple tuple, TupleDesc descriptor, int64 now_ms);
static void load_holds(void);
static void match_receipts(void);
static void sweep(void);

MfiLane *
mfi_lane_find(const char *name)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
		if (strcmp(((MfiLane *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	return NULL;
}

bool
mfi_lane_keeps_here(const MfiLane *lane)
{
	return lane->gateway->is_sandbox || lane->gateway->is_sql || mfi_machine.is_dry_run;
}

/*
 * mfi_lane_width is how many requests a lane may have in flight. It begins with
 * few and grows with each answer: a gateway that takes everything and answers
 * nothing holds few of the connections that all lanes share.
 */
int
mfi_lane_width(const MfiLane *lane)
{
	return Min(lane->gateway->concurrency, Max(lane->window, WINDOW_FIRST));
}

bool
mfi_lane_has_room(const MfiLane *lane)
{
	return lane->in_flight < mfi_lane_width(lane) && mfi_machine.in_flight < Min(mfi_guc_connections, mfi_machine.exchanges_max);
}

void
mfi_lane_note_answer(MfiLane *lane, bool is_answered)
{
	lane->window = is_answered ? Min(Max(lane->window, WINDOW_FIRST) + 1, mfi_guc_connections) : lane->window / 2;
}

bool
mfi_lane_is_available(MfiLane *lane, int64 now_ms)
{
	return mfi_lane_may_send(lane) && !lane->is_held && !lane->is_held_by_operator && mfi_rate_is_available(&lane->rate, now_ms);
}

/*
 * mfi_lane_has_other: one that is held, stopped or out of money is none. Who
 * waited for it would wait for a person.
 */
bool
mfi_lane_has_other(const MfiItem *item, int64 now_ms, bool is_now)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);
		char	   *listed;

		if (lane->gateway == NULL || lane == item->lane || strcmp(lane->gateway->channel, item->gateway->channel) != 0)
			continue;
		if (lane->is_held || lane->is_held_by_operator || lane->is_over_budget || lane->rate.circuit == MFI_CIRCUIT_STOPPED ||
			(is_now && !mfi_lane_is_available(lane, now_ms)))
			continue;
		listed = psprintf(",%s,", item->tried != NULL ? item->tried : "");
		if (strstr(listed, psprintf(",%s,", lane->name)) == NULL)
			return true;
	}
	return false;
}

void
mfi_lane_forget_cursors(MfiLane *lane)
{
	if (lane->cursors != NULL)
		pfree(lane->cursors);
	lane->cursors = NULL;
}

void
mfi_lane_mark_strays(const char *channel)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (lane->gateway != NULL && strcmp(lane->gateway->channel, channel) == 0)
		{
			lane->has_strays = true;
			lane->claim_at_ms = 0;
			mfi_lane_forget_cursors(lane);
		}
	}
}

/*
 * mfi_lane_may_send tells whether messages may leave by a lane here. Tables are
 * for the armed server alone, under a clock too: a program that sends reads them.
 */
bool
mfi_lane_may_send(const MfiLane *lane)
{
	return mfi_machine.may_send && lane->gateway != NULL &&
		(!lane->gateway->is_sql || mfi_machine.is_armed || mfi_machine.is_dry_run);
}

/*
 * look_at_permission asks the arming guard. Under a clock nothing leaves the
 * machine, so the guard has nothing to guard, except tables.
 */
static void
look_at_permission(void)
{
	mfi_machine.is_dry_run = mfi_guc_delivery == MFI_DELIVERY_DRY_RUN;
	mfi_machine.is_armed = false;
	mfi_machine.may_send = false;
	if (mfi_guc_delivery == MFI_DELIVERY_OFF)
		return;
	if (SPI_execute("SELECT mfiauto._site_refusal() IS NULL", false, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not ask whether delivery is armed");
	mfi_machine.is_armed = strcmp(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), "t") == 0;
	mfi_machine.may_send = mfi_machine.is_armed || mfi_clock_is_set();
}

static const char *
find_missing_secret(const MfiGateway *gateway)
{
	ListCell   *cell;

	foreach(cell, gateway->secret_names)
	{
		JsonbValue	value;

		if (!mfi_jsonb_find(&gateway->secrets->root, lfirst(cell), strlen(lfirst(cell)), &value))
			return lfirst(cell);
	}
	return NULL;
}

static void
set_gateway(MfiLane *lane, MfiGateway *gateway, const char *problem)
{
	if (lane->gateway != NULL)
		mfi_gateway_release(lane->gateway);
	lane->gateway = gateway;
	if (lane->problem != NULL)
		pfree(lane->problem);
	lane->problem = problem != NULL ? MemoryContextStrdup(mfi_machine.context, problem) : NULL;
	/* A token stays good when something else was changed. */
	if (gateway != NULL && gateway->origin != lane->token_origin)
	{
		if (lane->token != NULL)
			pfree(lane->token);
		lane->token = NULL;
		lane->token_until_ms = 0;
		lane->token_origin = gateway->origin;
	}
	lane->claim_at_ms = 0;
	mfi_lane_forget_cursors(lane);
	lane->has_strays = true;
	lane->has_due = true;		/* to be found out */
	if (gateway != NULL)
	{
		char	   *url = mfi_gateway_base_url(gateway);

		mfi_rate_configure(&lane->rate, gateway->rate_per_second, gateway->breaker_failures);
		lane->is_held = mfi_clock_is_set() && !gateway->is_sandbox && !gateway->is_sql && (url == NULL || !mfi_http_is_loopback(url));
	}
}

/*
 * load_circuit takes over what the last worker, or an operator, left.
 */
static void
load_circuit(MfiLane *lane, HeapTuple tuple, TupleDesc descriptor, int64 now_ms)
{
	char	   *circuit = SPI_getvalue(tuple, descriptor, 6);
	char	   *open_for = SPI_getvalue(tuple, descriptor, 7);
	char	   *throttled_for = SPI_getvalue(tuple, descriptor, 8);

	lane->rate.throttled_until_ms = throttled_for != NULL ? now_ms + (int64) (atof(throttled_for) * 1000) : 0;
	lane->rate.circuit = MFI_CIRCUIT_CLOSED;
	if (circuit != NULL && strcmp(circuit, "stopped") == 0)
		lane->rate.circuit = MFI_CIRCUIT_STOPPED;
	else if (circuit != NULL && strcmp(circuit, "closed") != 0)
	{
		lane->rate.circuit = MFI_CIRCUIT_OPEN;
		lane->rate.open_until_ms = now_ms + (open_for != NULL ? (int64) (atof(open_for) * 1000) : 0);
	}
	else
	{
		lane->rate.failures = 0;
		lane->rate.openings = 0;
	}
	lane->rate.is_probing = false;
}

/*
 * compile reads a row's definition; one that is not valid (from an older
 * version, or edited by hand) stops its own gateway alone.
 */
static MfiGateway *
compile(HeapTuple tuple, TupleDesc descriptor, Jsonb *settings, Jsonb *secrets, char **problem)
{
	MemoryContext outer = CurrentMemoryContext;
	MfiGateway *gateway = NULL;

	PG_TRY();
	{
		gateway = mfi_gateway_compile(SPI_getvalue(tuple, descriptor, 1), SPI_getvalue(tuple, descriptor, 2),
									  pg_strtoint32(SPI_getvalue(tuple, descriptor, 3)), SPI_getvalue(tuple, descriptor, 4),
									  settings, secrets, mfi_machine.context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(outer);
		error = CopyErrorData();
		FlushErrorState();
		*problem = psprintf("%s: %s", error->message, error->detail != NULL ? error->detail : "");
	}
	PG_END_TRY();
	return gateway;
}

static void
load_lane(HeapTuple tuple, TupleDesc descriptor, int64 now_ms)
{
	char	   *name = SPI_getvalue(tuple, descriptor, 1);
	MfiLane    *lane = mfi_lane_find(name);
	MfiGateway *gateway = NULL;
	char	   *problem = NULL;
	Jsonb	   *settings;
	Jsonb	   *secrets;

	if (lane == NULL)
	{
		MemoryContext outer = MemoryContextSwitchTo(mfi_machine.context);

		lane = palloc0(sizeof(MfiLane));
		strlcpy(lane->name, name, sizeof(lane->name));
		dlist_init(&lane->ready);
		mfi_machine.lanes = lappend(mfi_machine.lanes, lane);
		MemoryContextSwitchTo(outer);
	}
	strlcpy(lane->version, SPI_getvalue(tuple, descriptor, 9), sizeof(lane->version));
	settings = mfi_jsonb_read(SPI_getvalue(tuple, descriptor, 5));
	secrets = mfi_secret_load(name, &problem);
	if (problem == NULL)
	{
		gateway = compile(tuple, descriptor, settings, secrets, &problem);
		if (gateway != NULL && find_missing_secret(gateway) != NULL)
		{
			problem = psprintf("secret \"%s\" is not set", find_missing_secret(gateway));
			mfi_gateway_release(gateway);
			gateway = NULL;
		}
	}
	set_gateway(lane, gateway, problem);
	load_circuit(lane, tuple, descriptor, now_ms);
	if (problem != NULL)
	{
		strlcpy(lane->last_error, problem, sizeof(lane->last_error));
		lane->rate.circuit = MFI_CIRCUIT_STOPPED;
		lane->is_dirty = true;
	}
}

static void
load_lanes(int64 now_ms)
{
	SPITupleTable *rows;
	uint64		row_count;
	ListCell   *cell;

	if (SPI_execute("SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(g.ctid::text || g.xmin::text, ',' ORDER BY g.gateway), '')) FROM mfiauto.gateway_config g",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look at the gateways");
	if (strcmp(mfi_machine.fingerprint, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)) == 0)
		return;
	/* What waited for a gateway may have nothing to wait for any more. */
	if (mfi_machine.fingerprint[0] != '\0')
		mfi_machine.sweep_at_ms = now_ms;
	strlcpy(mfi_machine.fingerprint, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), sizeof(mfi_machine.fingerprint));
	foreach(cell, mfi_machine.lanes)
		set_gateway(lfirst(cell), NULL, NULL);
	if (SPI_execute("SELECT g.gateway, g.channel, g.priority, g.definition, g.settings, s.circuit,"
					" EXTRACT(epoch FROM s.open_until - pg_catalog.clock_timestamp()),"
					" EXTRACT(epoch FROM s.throttled_until - pg_catalog.clock_timestamp()), g.ctid::text || g.xmin::text"
					" FROM mfiauto.gateway_config g LEFT JOIN mfiauto.gateway_state s ON s.gateway = g.gateway"
					" WHERE g.is_enabled ORDER BY g.priority, g.gateway", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the gateways");
	rows = SPI_tuptable;
	row_count = SPI_processed;
	for (uint64 row = 0; row < row_count; row++)
		load_lane(rows->vals[row], rows->tupdesc, now_ms);
}

/*
 * load_holds notes which gateways an operator holds, so that others of their
 * channel take over.
 */
static void
load_holds(void)
{
	ListCell   *cell;

	foreach(cell, mfi_machine.lanes)
		((MfiLane *) lfirst(cell))->is_held_by_operator = false;
	if (SPI_execute("SELECT d.target FROM mfiauto.delivery_hold d WHERE d.scope = 'gateway'", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the holds");
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		MfiLane    *lane = mfi_lane_find(SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1));

		if (lane != NULL)
			lane->is_held_by_operator = true;
	}
}

/*
 * match_receipts looks after receipts that came before our own record of what
 * they are about did.
 */
static void
match_receipts(void)
{
	if (SPI_execute("SELECT mfiauto._match_receipts() WHERE EXISTS (SELECT FROM mfiauto.waiting_receipt w WHERE w.look_at <= mfiauto.now())", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not match receipts");
}

/*
 * sweep gives back what a dead worker held and ends what cannot leave. Before
 * its first claim nothing is this worker's, whatever the number of its process
 * says; from then on what is leased to it is in its hands, however long it
 * takes to be recorded.
 */
static void
sweep(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(mfi_machine.has_swept ? MyProcPid : 0)};

	if (SPI_execute_with_args("SELECT mfiauto._recover_leases($1)", 1, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for abandoned leases");
	if (SPI_execute("SELECT mfiauto._forget_webhooks()", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not forget old webhooks");
	if (SPI_execute("SELECT s.expired, s.failed FROM mfiauto._sweep_outbox() s", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not sweep the queue");
	mfi_machine.counts.suppressed += atoll(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	mfi_machine.counts.failed += atoll(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
}

void
mfi_lane_look(int64 now_ms, void (*beside) (int64 now_ms))
{
	if (now_ms < mfi_machine.look_at_ms || now_ms < mfi_machine.trouble_until_ms)
		return;
	PG_TRY();
	{
		mfi_machine_begin("looking at the gateways");
		look_at_permission();
		load_lanes(now_ms);
		load_holds();
		match_receipts();
		if (mfi_machine.may_send && now_ms >= mfi_machine.sweep_at_ms)
		{
			sweep();
			mfi_machine.sweep_at_ms = now_ms + SWEEP_EVERY_MS;
		}
		if (beside != NULL)
			beside(now_ms);
		mfi_machine_commit();
		mfi_machine.has_swept |= mfi_machine.may_send;
		mfi_machine.look_at_ms = now_ms + LOOK_EVERY_MS;
	}
	PG_CATCH();
	{
		mfi_machine.fingerprint[0] = '\0';
		mfi_machine_failed("looking at the gateways");
	}
	PG_END_TRY();
}
