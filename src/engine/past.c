/*
 * past.c
 *		Compiled conditions, asked about another time than now.
 *
 * A compiled condition is one query over pairs (client, subject). Here it gets
 * two values more for each pair: the moment that is asked about, and what the
 * canonical rows held then where that differs from today. Each canonical row
 * is read as ever, with the rights of the workflow's owner, and overlaid with
 * those values; the session's clock stands at the pair's moment while its
 * verdict is computed, so that mfiauto.now() tells it, however deep it is
 * called. So a whole simulated year is asked in one statement, and the
 * condition is the one that the engine runs.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/owner.h"
#include "catalog/pg_type.h"
#include "engine/entry.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

/* Whether verdicts are being computed: only then does _move_clock() move it. */
static bool is_evaluating = false;

PG_FUNCTION_INFO_V1(mfiauto_evaluate_past);
PG_FUNCTION_INFO_V1(mfiauto_list_condition_columns);
PG_FUNCTION_INFO_V1(mfiauto_move_clock);

static Node *
column(const char *of, const char *name)
{
	ColumnRef *reference = makeNode(ColumnRef);

	reference->fields =
		list_make2(makeString(pstrdup(of)),
				   name == NULL ? (Node *) makeNode(A_Star) : (Node *) makeString(pstrdup(name)));
	reference->location = -1;
	return (Node *) reference;
}

static Node *
constant(const char *text)
{
	A_Const *value = makeNode(A_Const);

	value->val.sval.type = T_String;
	value->val.sval.sval = pstrdup(text);
	value->location = -1;
	return (Node *) value;
}

static Node *
always(void)
{
	TypeCast *truth = makeNode(TypeCast);

	truth->arg = constant("t");
	truth->typeName =
		makeTypeNameFromNameList(list_make2(makeString("pg_catalog"), makeString("bool")));
	truth->location = -1;
	return (Node *) truth;
}

static FuncCall *
call(char *schema, char *name, List *arguments)
{
	return makeFuncCall(list_make2(makeString(schema), makeString(name)), arguments,
						COERCE_EXPLICIT_CALL, -1);
}

static void
refuse_query(void)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("stored query is not that of a compiled condition"),
					errhint("Create the workflow again.")));
}

/*
 * add_moments gives the pairs, k, two columns more: mfi_at and mfi_past.
 */
static void
add_moments(RangeFunction *pairs)
{
	int before_ordinality;

	if (pairs->alias == NULL || pairs->alias->colnames == NIL)
		refuse_query();
	before_ordinality = list_length(pairs->alias->colnames) - 1;
	for (int number = 3; number <= 4; number++)
	{
		ParamRef *parameter = makeNode(ParamRef);

		parameter->number = number;
		parameter->location = -1;
		pairs->functions = lappend(
			pairs->functions, list_make2(call("pg_catalog", "unnest", list_make1(parameter)), NIL));
		pairs->alias->colnames = list_insert_nth(pairs->alias->colnames, before_ordinality++,
												 makeString(number == 3 ? "mfi_at" : "mfi_past"));
	}
}

typedef struct Renaming
{
	const char *from;
	char *to;
} Renaming;

static bool
rename_references(Node *node, Renaming *renaming)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node *first = linitial(((ColumnRef *) node)->fields);

		if (IsA(first, String) && strcmp(strVal(first), renaming->from) == 0)
			linitial(((ColumnRef *) node)->fields) = makeString(renaming->to);
		return false;
	}
	return raw_expression_tree_walker(node, rename_references, renaming);
}

/*
 * overlay reads a canonical row as it was: today's row, joined as before under
 * another name, with the pair's values for its role laid over it.
 */
static Node *
overlay(JoinExpr *join, const char *role)
{
	RangeVar *today = (RangeVar *) join->rarg;
	Renaming renaming = { today->alias ? today->alias->aliasname : today->relname, NULL };
	RangeFunction *then = makeNode(RangeFunction);
	JoinExpr *overlaid = makeNode(JoinExpr);
	Node *values;

	renaming.to = psprintf("%s_today", renaming.from);
	today->alias = makeAlias(renaming.to, NIL);
	(void) rename_references(join->quals, &renaming);
	values = (Node *) makeSimpleA_Expr(AEXPR_OP, "->", column("k", "mfi_past"), constant(role), -1);
	then->lateral = true;
	then->functions = list_make1(list_make2(
		call("pg_catalog", "jsonb_populate_record", list_make2(column(renaming.to, NULL), values)),
		NIL));
	then->alias = makeAlias(renaming.from, NIL);
	overlaid->jointype = JOIN_LEFT;
	overlaid->larg = (Node *) join;
	overlaid->rarg = (Node *) then;
	overlaid->quals = always();
	return (Node *) overlaid;
}

static Node *
rewrite_source(Node *source)
{
	JoinExpr *join = (JoinExpr *) source;
	const char *role;

	check_stack_depth();
	if (IsA(source, RangeFunction))
		add_moments((RangeFunction *) source);
	if (!IsA(source, JoinExpr))
		return source;
	join->larg = rewrite_source(join->larg);
	if (!IsA(join->rarg, RangeVar))
		return source;
	role = ((RangeVar *) join->rarg)->relname;
	return mfi_entry_is_role(role) ? overlay(join, role) : source;
}

/*
 * parse_query believes nothing: the query comes from a table.
 */
static SelectStmt *
parse_query(const char *query)
{
	List *statements = raw_parser(query, RAW_PARSE_DEFAULT);
	SelectStmt *select;

	if (list_length(statements) != 1)
		refuse_query();
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 2 ||
		list_length(select->fromClause) != 1)
		refuse_query();
	return select;
}

/*
 * write_past returns a compiled condition's query with the moment ($3
 * timestamptz[]) and the canonical values of then ($4 jsonb[]) of each pair.
 */
static char *
write_past(const char *query)
{
	Oid types[4] = { INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, JSONBARRAYOID };
	SelectStmt *select = parse_query(query);
	ResTarget *verdict = lsecond_node(ResTarget, select->targetList);
	CaseExpr *timed = makeNode(CaseExpr);
	CaseWhen *moved = makeNode(CaseWhen);
	RawStmt *statement = makeNode(RawStmt);

	linitial(select->fromClause) = rewrite_source(linitial(select->fromClause));
	moved->expr = (Expr *) call("mfiauto", "_move_clock", list_make1(column("k", "mfi_at")));
	moved->result = (Expr *) verdict->val;
	timed->args = list_make1(moved);
	timed->location = moved->location = -1;
	verdict->val = (Node *) timed;
	statement->stmt = (Node *) select;
	return pg_get_querydef(parse_analyze_fixedparams(statement, query, types, 4, NULL), false);
}

/*
 * run_past runs the rewritten query with the rights that the condition is run
 * with. The clock is put back by the caller.
 */
static void
run_past(const char *role, const char *query, Datum *values)
{
	Oid types[4] = { INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, JSONBARRAYOID };
	MfiOwnerScope scope;

	mfi_owner_enter_author(&scope, mfi_owner_rights(get_role_oid(role, false)));
	if (SPI_execute_with_args(write_past(query), 4, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "condition query did not select");
	mfi_owner_leave(&scope);
}

/*
 * SQL: mfiauto._evaluate_past(role text, query text, client_ids bigint[],
 * subject_ids bigint[], ats timestamptz[], pasts jsonb[]) RETURNS TABLE (ord
 * integer, value text): what a compiled condition or expression said of each
 * pair at its moment, one row a pair, in their order.
 */
Datum
mfiauto_evaluate_past(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[4] = { PG_GETARG_DATUM(2), PG_GETARG_DATUM(3), PG_GETARG_DATUM(4),
						PG_GETARG_DATUM(5) };
	ArrayType *pairs = PG_GETARG_ARRAYTYPE_P(2);
	int pair_count = ArrayGetNItems(ARR_NDIM(pairs), ARR_DIMS(pairs));
	char **answers = palloc0((pair_count + 1) * sizeof(char *));
	TimestampTz clock = mfi_clock_is_set() ? mfi_clock_now() : 0;
	bool was_evaluating = is_evaluating;

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PG_TRY();
	{
		is_evaluating = true;
		run_past(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
				 values);
	}
	PG_FINALLY();
	{
		is_evaluating = was_evaluating;
		mfi_clock_set(clock);
	}
	PG_END_TRY();
	/* A subject that stands twice in the books counts once, as it came first. */
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool is_null;
		int ord = DatumGetInt32(
			SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &is_null));

		if (!is_null && ord >= 1 && ord <= pair_count && answers[ord] == NULL)
			answers[ord] = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2);
	}
	for (int pair = 1; pair <= pair_count; pair++)
	{
		Datum row[2] = { Int32GetDatum(pair), (Datum) 0 };
		bool nulls[2] = { false, answers[pair] == NULL };

		if (answers[pair] != NULL)
			row[1] = CStringGetTextDatum(answers[pair]);
		tuplestore_putvalues(result->setResult, result->setDesc, row, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * SQL: mfiauto._move_clock(at timestamptz) RETURNS boolean: for the queries of
 * _evaluate_past() alone. Anywhere else it moves nothing.
 */
Datum
mfiauto_move_clock(PG_FUNCTION_ARGS)
{
	if (is_evaluating && !PG_ARGISNULL(0))
		mfi_clock_set(PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_BOOL(true);
}

static bool
note_column(Node *node, List **names)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		List *fields = ((ColumnRef *) node)->fields;

		if (list_length(fields) == 2 && IsA(linitial(fields), String) &&
			IsA(lsecond(fields), String) && mfi_entry_is_role(strVal(linitial(fields))))
			*names = lappend(*names,
							 psprintf("%s.%s", strVal(linitial(fields)), strVal(lsecond(fields))));
		return false;
	}
	return raw_expression_tree_walker(node, note_column, names);
}

/*
 * SQL: mfiauto._condition_columns(query text) RETURNS text[]: the canonical
 * columns (role.column) that a compiled condition reads.
 */
Datum
mfiauto_list_condition_columns(PG_FUNCTION_ARGS)
{
	SelectStmt *select = parse_query(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	List *names = NIL;
	ListCell *cell;
	Datum *elements;
	int count = 0;

	(void) note_column(lsecond_node(ResTarget, select->targetList)->val, &names);
	elements = palloc((list_length(names) + 1) * sizeof(Datum));
	foreach (cell, names)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}
