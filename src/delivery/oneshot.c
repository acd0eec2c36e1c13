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
#include "base/wake.h"
#include "delivery/address.h"
#include "delivery/delivery.h"
#include "delivery/gateway.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define SETTING_BYTES_MAX 2048
#define ADDRESS_BYTES_MAX 512
#define BODY_BYTES_MAX 16384

static const char *const passed_settings[] = {
	"mfiauto.delivery", "mfiauto.private_hosts", "mfiauto.only_recipients", "mfiauto.connections",
	"mfiauto.condition_timeout", "synchronous_commit",
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
	Jsonb	   *settings = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(PG_GETARG_TEXT_PP(3)))));
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
