/*
 * oneshot.c
 *		Delivery in the foreground: run_delivery() and test_gateway().
 *
 * A function cannot commit, and what leaves must be recorded at once; so both
 * start a background worker of their own, with the caller's clock and
 * settings, and wait for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/jsonb.h"
#include "base/query.h"
#include "base/wake.h"
#include "delivery/address.h"
#include "delivery/delivery.h"
#include "gateway/gateway.h"
#include "delivery/machine.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define SETTING_BYTES_MAX 2048
#define ADDRESS_BYTES_MAX 512
#define BODY_BYTES_MAX 16384
#define SHORT_PAUSE_MS 10000

static const char *const passed_settings[] = {
	"mfiauto.delivery", "mfiauto.private_hosts", "mfiauto.only_recipients", "mfiauto.connections",
	"mfiauto.condition_timeout",
};

/* What the caller and its worker share. */
typedef struct Errand
{
	Oid			database;
	bool		has_clock;
	TimestampTz clock;
	bool		is_test;
	char		settings[lengthof(passed_settings)][SETTING_BYTES_MAX];
	char		gateway[NAMEDATALEN];
	char		to_address[ADDRESS_BYTES_MAX];
	char		body[BODY_BYTES_MAX];

	bool		is_done;
	char		error[512];
	MfiDeliveryCounts counts;
	MfiDeliveryTest test;
} Errand;

PGDLLEXPORT void mfi_delivery_oneshot_main(Datum handle);

PG_FUNCTION_INFO_V1(mfiauto_run_delivery);
PG_FUNCTION_INFO_V1(mfiauto_test_gateway);
PG_FUNCTION_INFO_V1(mfiauto_check_gateway);
PG_FUNCTION_INFO_V1(mfiauto_wake_delivery);

static dsm_segment *errand_new(void);
static void errand_run(dsm_segment *segment);
static bool is_drained(void);
static void wait_a_little(void);
static void copy_text(char *target, size_t size, text *source, const char *what);

static dsm_segment *
errand_new(void)
{
	dsm_segment *segment = dsm_create(sizeof(Errand), 0);
	Errand	   *errand = dsm_segment_address(segment);

	memset(errand, 0, sizeof(Errand));
	errand->database = MyDatabaseId;
	errand->has_clock = mfi_clock_is_set();
	errand->clock = mfi_clock_now();
	for (int i = 0; i < (int) lengthof(passed_settings); i++)
	{
		const char *value = GetConfigOption(passed_settings[i], true, false);

		if (value != NULL && strlen(value) >= SETTING_BYTES_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("value of setting \"%s\" is too long", passed_settings[i])));
		strlcpy(errand->settings[i], value != NULL ? value : "", SETTING_BYTES_MAX);
	}
	return segment;
}

/*
 * errand_run starts the worker and waits until it is gone; a canceled caller
 * takes it along.
 */
static void
errand_run(dsm_segment *segment)
{
	Errand	   *errand = dsm_segment_address(segment);
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	pid_t		pid;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "mfiauto", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "mfi_delivery_oneshot_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "mfiauto delivery pass", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "mfiauto delivery pass", BGW_MAXLEN);
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a background worker for delivery"),
				 errhint("Raise max_worker_processes, or wait until other workers are done.")));
	PG_TRY();
	{
		if (WaitForBackgroundWorkerStartup(handle, &pid) == BGWH_POSTMASTER_DIED ||
			WaitForBackgroundWorkerShutdown(handle) == BGWH_POSTMASTER_DIED)
			ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the server is gone")));
	}
	PG_CATCH();
	{
		TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!errand->is_done)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the background worker for delivery ended early"),
				 errand->error[0] != '\0' ? errdetail("%s", errand->error) : errhint("The server's log says why.")));
}

/*
 * is_drained: nothing on its way, and the last claims found nothing more. A
 * short pause that a gateway asked for is waited out.
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
	if (!mfi_fetch_is_idle(now_ms))
		return false;
	foreach(cell, mfi_machine.lanes)
	{
		MfiLane    *lane = lfirst(cell);

		if (lane->gateway != NULL && !lane->is_held && lane->has_due && lane->rate.circuit == MFI_CIRCUIT_CLOSED &&
			lane->rate.throttled_until_ms > now_ms && lane->rate.throttled_until_ms - now_ms < SHORT_PAUSE_MS)
			return false;
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
	mfi_lane_look(now_ms, NULL);
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
			mfi_send_keep(item, now_ms);
		else if (mfi_send_needs_token(lane, now_ms))
			mfi_send_token_request(lane, now_ms);
		while (result->verdict[0] == '\0')
		{
			if (item->exchange == NULL && !lane->is_fetching_token)
			{
				if (mfi_send_needs_token(lane, mfi_rate_now_ms()))
					mfi_send_fail(item, MFI_VERDICT_CONFIG_BROKEN, lane->last_error, mfi_rate_now_ms());
				else
					mfi_send_item(item, mfi_rate_now_ms());
				continue;
			}
			wait_a_little();
			mfi_http_step();
			mfi_send_collect(mfi_rate_now_ms());
		}
	}
	mfi_delivery_finish();
}

/*
 * The worker's side.
 */
void
mfi_delivery_oneshot_main(Datum handle)
{
	dsm_segment *segment;
	Errand	   *errand;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	segment = dsm_attach(DatumGetUInt32(handle));
	if (segment == NULL)
		return;					/* the caller is gone */
	dsm_pin_mapping(segment);
	errand = dsm_segment_address(segment);
	BackgroundWorkerInitializeConnectionByOid(errand->database, InvalidOid, 0);
	mfi_query_settle_session();
	for (int i = 0; i < (int) lengthof(passed_settings); i++)
		SetConfigOption(passed_settings[i], errand->settings[i], PGC_SUSET, PGC_S_SESSION);
	if (errand->has_clock)
		mfi_clock_set(errand->clock);
	PG_TRY();
	{
		if (errand->is_test)
			mfi_delivery_test(errand->gateway, errand->to_address, errand->body, &errand->test);
		else
			mfi_delivery_drain(&errand->counts);
		errand->is_done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		strlcpy(errand->error, error->message, sizeof(errand->error));
		PG_RE_THROW();
	}
	PG_END_TRY();
	proc_exit(0);
}

/*
 * SQL: mfiauto._run_delivery()
 */
Datum
mfiauto_run_delivery(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	dsm_segment *segment;
	MfiDeliveryCounts counts;
	Datum		values[6];
	bool		nulls[6] = {false};

	PreventInTransactionBlock(true, "mfiauto.run_delivery()");
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	segment = errand_new();
	errand_run(segment);
	counts = ((Errand *) dsm_segment_address(segment))->counts;
	dsm_detach(segment);
	values[0] = Int64GetDatum(counts.claimed);
	values[1] = Int64GetDatum(counts.sent);
	values[2] = Int64GetDatum(counts.retrying);
	values[3] = Int64GetDatum(counts.failed);
	values[4] = Int64GetDatum(counts.suppressed);
	values[5] = Int64GetDatum(counts.deferred);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

static void
copy_text(char *target, size_t size, text *source, const char *what)
{
	if (VARSIZE_ANY_EXHDR(source) == 0 || VARSIZE_ANY_EXHDR(source) >= size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have between 1 and %zu bytes", what, size - 1)));
	text_to_cstring_buffer(source, target, size);
}

/*
 * SQL: mfiauto._test_gateway(gateway, to_address, body)
 */
Datum
mfiauto_test_gateway(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	dsm_segment *segment;
	Errand	   *errand;
	Datum		values[5];
	bool		nulls[5] = {false};

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("gateway, to_address and body must not be null")));
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	segment = errand_new();
	errand = dsm_segment_address(segment);
	errand->is_test = true;
	copy_text(errand->gateway, sizeof(errand->gateway), PG_GETARG_TEXT_PP(0), "gateway");
	copy_text(errand->to_address, sizeof(errand->to_address), PG_GETARG_TEXT_PP(1), "to_address");
	copy_text(errand->body, sizeof(errand->body), PG_GETARG_TEXT_PP(2), "body");
	if (mfi_guc_only_recipients != NULL && mfi_guc_only_recipients[0] != '\0' &&
		!mfi_address_is_listed(mfi_guc_only_recipients, errand->to_address, ""))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("mfiauto.only_recipients does not list this address")));
	errand_run(segment);
	values[0] = CStringGetTextDatum(errand->test.verdict);
	values[1] = Int32GetDatum(errand->test.status);
	nulls[1] = errand->test.status == 0;
	values[2] = CStringGetTextDatum(errand->test.provider_id);
	nulls[2] = errand->test.provider_id[0] == '\0';
	values[3] = Int32GetDatum(errand->test.duration_ms);
	values[4] = CStringGetTextDatum(errand->test.error);
	nulls[4] = errand->test.error[0] == '\0';
	dsm_detach(segment);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * SQL: mfiauto._check_gateway(name, channel, definition, settings)
 */
Datum
mfiauto_check_gateway(PG_FUNCTION_ARGS)
{
	Jsonb	   *settings = mfi_jsonb_read(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	MfiGateway *gateway = mfi_gateway_compile(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)), 0,
											  text_to_cstring(PG_GETARG_TEXT_PP(2)), settings, NULL, CurrentMemoryContext);

	mfi_gateway_release(gateway);
	PG_RETURN_VOID();
}

/* SQL: mfiauto._wake_delivery(): when this transaction commits. */
Datum
mfiauto_wake_delivery(PG_FUNCTION_ARGS)
{
	mfi_wake_at_commit(MFI_WAKE_DELIVERY);
	PG_RETURN_VOID();
}
