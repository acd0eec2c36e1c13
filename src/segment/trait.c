/*
 * trait.c
 *		Running the query of a computed trait.
 *
 * As that of a segment: with the rights of the role that wrote it, restricted,
 * read-only and within a time limit. It gives client_id and value; what is
 * wrong with its rows is found out by whoever takes them.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/limit.h"
#include "base/owner.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/params.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mfiauto_select_values);

/*
 * run_query puts the rows into the result's tuplestore.
 */
static void
run_query(ReturnSetInfo *result, const char *query, Datum client_ids, bool is_all)
{
	SPIExecuteOptions options = { .read_only = true };

	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, result->setResult,
									result->econtext->ecxt_per_query_memory, false, NULL, NULL);
	if (!is_all)
	{
		options.params = makeParamList(1);
		options.params->params[0].value = client_ids;
		options.params->params[0].isnull = false;
		options.params->params[0].ptype = INT8ARRAYOID;
		options.params->params[0].pflags = PARAM_FLAG_CONST;
	}
	if (SPI_execute_extended(query, &options) != SPI_OK_SELECT)
		elog(ERROR, "query of a trait did not select");
}

/*
 * SQL: mfiauto._select_values(role text, query text, client_ids bigint[])
 * RETURNS TABLE (client_id bigint, value jsonb): the rows that a stored query
 * gives; of those in client_ids, which is the query's $1, or where that is null
 * of all.
 */
Datum
mfiauto_select_values(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool is_all = PG_ARGISNULL(2);
	char *query;
	Oid rights;
	MfiOwnerScope scope;
	MfiLimit limit;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("role and query must not be null")));
	rights = mfi_owner_rights(get_role_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)), false));
	query = psprintf("SELECT q.client_id::bigint, pg_catalog.to_jsonb(q.value) FROM (%s) q",
					 text_to_cstring(PG_GETARG_TEXT_PP(1)));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	mfi_owner_enter_author(&scope, rights);
	if (is_all)
		mfi_limit_begin(&limit, "query of a trait", "mfiauto.segment_timeout",
						mfi_guc_segment_timeout_ms);
	else
		mfi_limit_begin(&limit, "query of a trait for a batch of clients",
						"mfiauto.condition_timeout", mfi_guc_condition_timeout_ms);
	PG_TRY();
	{
		run_query(result, query, is_all ? (Datum) 0 : PG_GETARG_DATUM(2), is_all);
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
	return (Datum) 0;
}
