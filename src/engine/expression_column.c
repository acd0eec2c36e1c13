/*
 * expression_column.c
 *		Columns that an expression names: whether their role's binding has a
 *		value for them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "engine/expression.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/*
 * SQL: is the column mapped; no row: the role is not bound.
 */
static const char mapped_query[] =
	"SELECT b.columns ? $2"
	"    OR ($2 = 'client_id' AND ($1 = 'installment' OR b.columns ? 'client_key'))"
	"    OR ($2 = 'balance' AND $1 = 'installment' AND b.columns ? 'amount_due')"
	"  FROM mfiauto.binding_config b WHERE b.role = $1";

void
mfi_expression_require_column(const MfiConditionScope *scope, const char *role, const char *column)
{
	Oid view = get_relname_relid(role, get_namespace_oid("mfiauto", false));
	Oid types[2] = { TEXTOID, TEXTOID };
	Datum values[2] = { CStringGetTextDatum(role), CStringGetTextDatum(column) };
	bool is_null;

	if (SPI_execute_with_args(mapped_query, 2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the bindings");
	if (SPI_processed == 0 || !OidIsValid(view))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" is not bound", role),
						errdetail("\"%s\" of workflow \"%s\" uses %s.%s.", scope->path,
								  scope->workflow, role, column),
						errhint("Bind it first: SELECT mfiauto.bind('%s', …).", role)));
	if (get_attnum(view, column) == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column %s.%s does not exist", role, column),
						errhint("The columns of mfiauto.%s are the canonical ones; others belong "
								"in traits or in a canonical column's expression.",
								role)));
	if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column %s.%s is not mapped", role, column),
				 errdetail(
					 "The binding of \"%s\" has no expression for it, so it would always be null.",
					 role),
				 errhint("Map it with mfiauto.bind('%s', …) first.", role)));
}
