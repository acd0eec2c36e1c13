/*
 * owner.c
 *		Running with the rights of another role.
 *
 * The extension's functions belong to the superuser who created it, its tables
 * to the installation's owner, who need not be one. A SECURITY DEFINER function
 * would run as the superuser; so the public functions are doors: they take on
 * the installation owner's rights and call the private function of the same
 * name. Users' conditions run with their workflow owner's rights, restricted,
 * read-only and under a time limit.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "base/guc.h"
#include "base/limit.h"
#include "base/owner.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

typedef struct Door
{
	FmgrInfo	target;
} Door;

PG_FUNCTION_INFO_V1(mfiauto_door);
PG_FUNCTION_INFO_V1(mfiauto_caller);
PG_FUNCTION_INFO_V1(mfiauto_evaluate);
PG_FUNCTION_INFO_V1(mfiauto_evaluate_text);

static Oid	installation_relation(void);
static void set_caller(Oid caller);
static void find_door_target(FunctionCallInfo fcinfo, Door *door);
static void run_expression(const char *role, const char *query, Datum *values);
static Datum evaluate(FunctionCallInfo fcinfo);

static Oid
installation_relation(void)
{
	Oid			schema = get_namespace_oid("mfiauto", true);

	return OidIsValid(schema) ? get_relname_relid("installation", schema) : InvalidOid;
}

bool
mfi_owner_is_installed(void)
{
	return OidIsValid(installation_relation());
}

int
mfi_owner_schema_version(void)
{
	Oid			relation_oid = installation_relation();
	Relation	relation;
	TableScanDesc scan;
	TupleTableSlot *slot;
	int			version = 0;

	if (!OidIsValid(relation_oid))
		return 0;
	relation = table_open(relation_oid, AccessShareLock);
	slot = table_slot_create(relation, NULL);
	scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	if (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		is_null;
		AttrNumber	column = get_attnum(relation_oid, "schema_version");

		if (column != InvalidAttrNumber)
			version = DatumGetInt32(slot_getattr(slot, column, &is_null));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, AccessShareLock);
	return version;
}

Oid
mfi_owner_installation(void)
{
	Oid			relation = installation_relation();
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("mfiauto is not installed in this database"),
				 errdetail("The extension's code is here, its tables are not."),
				 errhint("Run SELECT mfiauto.install();")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
mfi_owner_rights(Oid role)
{
	return (superuser_arg(role) || role < FirstNormalObjectId) && !superuser() ? GetUserId() : role;
}

void
mfi_owner_enter(MfiOwnerScope *scope, Oid role, bool is_restricted)
{
	int			context;

	GetUserIdAndSecContext(&scope->saved_user, &scope->saved_context);
	context = scope->saved_context | SECURITY_LOCAL_USERID_CHANGE;
	if (is_restricted)
		context |= SECURITY_RESTRICTED_OPERATION;
	SetUserIdAndSecContext(role, context);
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/* Stored conditions are written for it. */
	(void) set_config_option("standard_conforming_strings", "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("row_security", "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/* Many short statements over few rows: compiling them costs far more than it saves. */
	(void) set_config_option("jit", "off",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * set_caller says who calls doors from here on, until the scope that was
 * entered last is left or an error undoes it; InvalidOid: the current role.
 */
static void
set_caller(Oid caller)
{
	char		number[16];

	if ((Oid) mfi_guc_caller == caller)
		return;
	snprintf(number, sizeof(number), "%d", (int) caller);
	(void) set_config_option("mfiauto.caller", number,
							 PGC_INTERNAL, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
mfi_owner_enter_author(MfiOwnerScope *scope, Oid role)
{
	mfi_owner_enter(scope, role, true);
	/* SPI's read_only looks at the query alone, not at what its functions call. */
	(void) set_config_option("transaction_read_only", "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_caller(InvalidOid);
}

void
mfi_owner_leave(MfiOwnerScope *scope)
{
	/* As an abort would: what users wrote may have set something for the session, too. */
	AtEOXact_GUC(false, scope->guc_level);
	SetUserIdAndSecContext(scope->saved_user, scope->saved_context);
}

/*
 * find_door_target looks up the private function "_name" with the arguments of
 * the door "name" that is being called.
 */
static void
find_door_target(FunctionCallInfo fcinfo, Door *door)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Form_pg_proc proc;
	char	   *name;
	Oid			target;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	name = psprintf("_%s", NameStr(proc->proname));
	target = LookupFuncName(list_make2(makeString(pstrdup("mfiauto")), makeString(name)),
							proc->pronargs, proc->proargtypes.values, false);
	ReleaseSysCache(tuple);
	fmgr_info_cxt(target, &door->target, fcinfo->flinfo->fn_mcxt);
	fmgr_info_set_expr(fcinfo->flinfo->fn_expr, &door->target);
}

/*
 * SQL: every public function that needs the installation owner's rights. The
 * caller needs EXECUTE on the door alone.
 */
Datum
mfiauto_door(PG_FUNCTION_ARGS)
{
	Door	   *door = fcinfo->flinfo->fn_extra;
	FmgrInfo   *own = fcinfo->flinfo;
	Oid			caller = mfi_owner_caller();
	Oid			owner = mfi_owner_installation();
	int			version = mfi_owner_schema_version();
	MfiOwnerScope scope;
	Datum		result;

	if (version != MFI_SCHEMA_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of mfiauto have version %d, its code needs %d",
						version, MFI_SCHEMA_VERSION),
				 errhint("Run SELECT mfiauto.migrate();")));
	if (door == NULL)
	{
		door = MemoryContextAllocZero(own->fn_mcxt, sizeof(Door));
		find_door_target(fcinfo, door);
		own->fn_extra = door;
	}
	PG_TRY();
	{
		mfi_owner_enter(&scope, owner, false);
		set_caller(caller);
		fcinfo->flinfo = &door->target;
		result = FunctionCallInvoke(fcinfo);
		mfi_owner_leave(&scope);
	}
	PG_FINALLY();
	{
		fcinfo->flinfo = own;
	}
	PG_END_TRY();
	return result;
}

Oid
mfi_owner_caller(void)
{
	return OidIsValid((Oid) mfi_guc_caller) ? (Oid) mfi_guc_caller : GetUserId();
}

/* SQL: mfiauto._caller(): who called the door, else the current role. */
Datum
mfiauto_caller(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(GetUserNameFromId(mfi_owner_caller(), false)));
}

/*
 * run_expression runs a compiled query with a role's rights, restricted,
 * read-only, within mfiauto.condition_timeout. Its rows are SPI's.
 */
static void
run_expression(const char *role, const char *query, Datum *values)
{
	Oid			types[3] = {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID};
	MfiOwnerScope scope;
	MfiLimit	limit;

	mfi_owner_enter_author(&scope, mfi_owner_rights(get_role_oid(role, false)));
	mfi_limit_begin(&limit, "condition", "mfiauto.condition_timeout", mfi_guc_condition_timeout_ms);
	PG_TRY();
	{
		int			code = SPI_execute_with_args(query, 3, types, values, NULL, true, 0);

		if (code != SPI_OK_SELECT)
			elog(ERROR, "condition query did not select: %s", SPI_result_code_string(code));
	}
	PG_CATCH();
	{
		mfi_limit_fail(&limit);
		PG_RE_THROW();
	}
	PG_END_TRY();
	mfi_limit_end(&limit);
	mfi_owner_leave(&scope);
}

/*
 * evaluate gives one row a pair, in their order, whatever rows the query has:
 * (ord, what its second column says), null where it has none.
 */
static Datum
evaluate(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *role = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum		arguments[3] = {PG_GETARG_DATUM(2), PG_GETARG_DATUM(3), PG_GETARG_DATUM(4)};
	int			pair_count = ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(2)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(2)));
	uint64	   *row_of = palloc0((pair_count + 1) * sizeof(uint64));

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run_expression(role, query, arguments);
	if (SPI_tuptable->tupdesc->natts != 2 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != INT4OID ||
		getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 2)) != TupleDescAttr(result->setDesc, 1)->atttypid)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored query is not that of a compiled condition"),
				 errhint("Create the workflow again.")));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		is_null;
		int			ord = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &is_null));

		/* A subject that stands twice in the books counts once, as it came first. */
		if (!is_null && ord >= 1 && ord <= pair_count && row_of[ord - 1] == 0)
			row_of[ord - 1] = row + 1;
	}
	for (int pair = 0; pair < pair_count; pair++)
	{
		Datum		values[2] = {Int32GetDatum(pair + 1), (Datum) 0};
		bool		nulls[2] = {false, true};

		if (row_of[pair] > 0)
			values[1] = SPI_getbinval(SPI_tuptable->vals[row_of[pair] - 1], SPI_tuptable->tupdesc, 2, &nulls[1]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * SQL: mfiauto._evaluate(role text, query text, client_ids bigint[],
 * subject_ids bigint[], at timestamptz) RETURNS TABLE (ord integer, verdict
 * boolean): runs a compiled condition query. For the engine and the claim,
 * which may not know each other; the query comes from workflow_version or
 * workflow_step.
 */
Datum
mfiauto_evaluate(PG_FUNCTION_ARGS)
{
	return evaluate(fcinfo);
}

/*
 * SQL: mfiauto._evaluate_text(…) RETURNS TABLE (ord integer, value text): the
 * same for an expression that gives a value.
 */
Datum
mfiauto_evaluate_text(PG_FUNCTION_ARGS)
{
	return evaluate(fcinfo);
}

/*
 * mfi_owner_pin_reading; see owner.h.
 */
void
mfi_owner_pin_reading(void)
{
	static const char *const pinned[][2] = {{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"}};

	for (size_t i = 0; i < lengthof(pinned); i++)
		(void) set_config_option(pinned[i][0], pinned[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}
