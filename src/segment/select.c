/*
 * select.c
 *		Running the query of a segment.
 *
 * With the rights of the role that wrote it, restricted, read-only and within
 * a time limit. The clients are collected in an array, sorted: what is done
 * with them is one set-based statement. A query that gives a client twice, or
 * none at all for a row, is wrong; one that runs away is found out long before
 * it has filled the memory, whenever the array must grow.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/limit.h"
#include "base/owner.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FIRST_CAPACITY 1024
/* What an array of bigint can hold. */
#define CAPACITY_MAX (64 * 1024 * 1024)
#define ROWS_BETWEEN_LOOKS 65536
#define SECONDS_BETWEEN_NOTICES 5

typedef struct Collector
{
	DestReceiver receiver;
	const char *segment;
	Oid type;
	int64 *ids;
	int count;
	int capacity;
	TimestampTz told_at;
} Collector;

PG_FUNCTION_INFO_V1(mfiauto_select_members);

static int
compare_ids(const void *left, const void *right)
{
	int64 a = *(const int64 *) left;
	int64 b = *(const int64 *) right;

	return a < b ? -1 : a > b;
}

static void
sort_ids(Collector *collector)
{
	qsort(collector->ids, collector->count, sizeof(int64), compare_ids);
	for (int i = 1; i < collector->count; i++)
		if (collector->ids[i] == collector->ids[i - 1])
			ereport(
				ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("query of segment \"%s\" gives a client twice", collector->segment),
				 errdetail("Client " INT64_FORMAT " is there more than once.", collector->ids[i]),
				 errhint("Use EXISTS or IN instead of a join, or SELECT DISTINCT.")));
}

static void
grow(Collector *collector)
{
	sort_ids(collector);
	if (collector->capacity >= CAPACITY_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("segment \"%s\" has more than %d clients", collector->segment,
							   CAPACITY_MAX)));
	collector->capacity *= 2;
	collector->ids = repalloc_huge(collector->ids, sizeof(int64) * collector->capacity);
}

/*
 * tell_progress says, in a long run, how far it is.
 */
static void
tell_progress(Collector *collector)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(collector->told_at, now, SECONDS_BETWEEN_NOTICES * 1000))
		return;
	collector->told_at = now;
	ereport(NOTICE,
			(errmsg("segment \"%s\": %d clients so far", collector->segment, collector->count)));
}

static void
start_collecting(DestReceiver *self, int operation, TupleDesc shape)
{
	Collector *collector = (Collector *) self;

	if (shape->natts != 1)
		elog(ERROR, "query of a segment has %d columns", shape->natts);
	collector->type = getBaseType(TupleDescAttr(shape, 0)->atttypid);
	/* What it reads may have been made anew since it was checked. */
	if (collector->type != INT8OID && collector->type != INT4OID && collector->type != INT2OID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("client_id of segment \"%s\" is of type %s, not bigint",
							   collector->segment,
							   format_type_be(TupleDescAttr(shape, 0)->atttypid)),
						errhint("Cast it, or find the number in mfiauto.identity.")));
}

static bool
collect(TupleTableSlot *row, DestReceiver *self)
{
	Collector *collector = (Collector *) self;
	bool is_null;
	Datum value = slot_getattr(row, 1, &is_null);

	if (is_null)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("query of segment \"%s\" gives a row without client_id",
							   collector->segment),
						errhint("Leave those rows out: WHERE client_id IS NOT NULL.")));
	if (collector->count == collector->capacity)
		grow(collector);
	collector->ids[collector->count++] = collector->type == INT8OID	  ? DatumGetInt64(value)
										 : collector->type == INT4OID ? DatumGetInt32(value)
																	  : DatumGetInt16(value);
	if (collector->count % ROWS_BETWEEN_LOOKS == 0)
		tell_progress(collector);
	return true;
}

static void
do_nothing(DestReceiver *self)
{
}

/*
 * run_query runs it for the clients given, or for all.
 */
static void
run_query(Collector *collector, const char *query, ArrayType *client_ids)
{
	SPIExecuteOptions options = { .read_only = true, .dest = &collector->receiver };

	if (client_ids != NULL)
	{
		options.params = makeParamList(1);
		options.params->params[0].value = PointerGetDatum(client_ids);
		options.params->params[0].ptype = INT8ARRAYOID;
		options.params->params[0].isnull = false;
		options.params->params[0].pflags = PARAM_FLAG_CONST;
	}
	if (SPI_execute_extended(query, &options) != SPI_OK_SELECT)
		elog(ERROR, "query of segment \"%s\" did not select", collector->segment);
}

static ArrayType *
make_array(const Collector *collector)
{
	Size size = ARR_OVERHEAD_NONULLS(1) + sizeof(int64) * (Size) collector->count;
	ArrayType *array;

	if (collector->count == 0)
		return construct_empty_array(INT8OID);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = collector->count;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), collector->ids, sizeof(int64) * (Size) collector->count);
	return array;
}

/*
 * required_text: the clients alone may be null, so the function is not strict.
 */
static char *
required_text(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("segment, role, query and zone must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/*
 * SQL: mfiauto._select_members(segment text, role text, query text, client_ids
 * bigint[], zone text) RETURNS bigint[]: the clients that a stored query gives,
 * sorted; of those in client_ids, which is the query's $1, or where that is
 * null of all. Days begin as in the zone, whoever asks.
 */
Datum
mfiauto_select_members(PG_FUNCTION_ARGS)
{
	char *role = required_text(fcinfo, 1);
	char *query = required_text(fcinfo, 2);
	char *zone = required_text(fcinfo, 4);
	ArrayType *client_ids = PG_ARGISNULL(3) ? NULL : PG_GETARG_ARRAYTYPE_P(3);
	Collector collector = { .receiver = { .receiveSlot = collect,
										  .rStartup = start_collecting,
										  .rShutdown = do_nothing,
										  .rDestroy = do_nothing,
										  .mydest = DestTuplestore },
							.segment = required_text(fcinfo, 0),
							.capacity = FIRST_CAPACITY,
							.told_at = GetCurrentTimestamp() };
	Oid rights = mfi_owner_rights(get_role_oid(role, false));
	MfiOwnerScope scope;
	MfiLimit limit;

	collector.ids = palloc(sizeof(int64) * FIRST_CAPACITY);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	mfi_owner_enter_author(&scope, rights);
	(void) set_config_option("TimeZone", zone, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	if (client_ids == NULL)
		mfi_limit_begin(&limit, "query of a segment", "mfiauto.segment_timeout",
						mfi_guc_segment_timeout_ms);
	else
		mfi_limit_begin(&limit, "query of a segment for a batch of clients",
						"mfiauto.condition_timeout", mfi_guc_condition_timeout_ms);
	PG_TRY();
	{
		run_query(&collector, query, client_ids);
	}
	PG_CATCH();
	{
		mfi_limit_fail(&limit);
		PG_RE_THROW();
	}
	PG_END_TRY();
	mfi_limit_end(&limit);
	mfi_owner_leave(&scope);
	SPI_finish();
	sort_ids(&collector);
	PG_RETURN_ARRAYTYPE_P(make_array(&collector));
}
