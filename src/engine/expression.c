/*
 * expression.c
 *		SQL conditions of workflows.
 *
 * A condition is one boolean expression over the canonical names that can be
 * reached from the workflow's subject (installment, its loan, its client). It
 * is parsed alone, so that nothing in it can reach outside its place; then
 * analyzed inside the complete query, as its owner and with the search path of
 * the engine; then the query is written back from its parse tree. The stored
 * text therefore means the same whatever the settings of the session that reads
 * it later. The query is run once over no rows: privileges and what the planner
 * folds (a division by zero, a cast that cannot be) show now, not at night.
 *
 * Sub-selects, aggregates, window and set-returning functions are refused: a
 * condition looks at one subject, and the engine asks it for thousands at once.
 * VOLATILE functions are refused because a condition is asked three times for
 * one message and must answer alike.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/owner.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "engine/entry.h"
#include "engine/expression.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

typedef struct Condition
{
	const MfiConditionScope *scope;
	const char *text;
	const char *noun; /* what messages call it */
	int offset;		  /* characters before the text in what is being parsed; -1: another text */
	int at;			  /* byte where an error without a position stands; -1: none */
	bool uses_client;
	bool uses_subject;
	bool uses_loan;
	bool uses_event;
} Condition;

static Node *parse_alone(Condition *condition);
static bool check_raw_node(Node *node, Condition *condition);
static void check_column(Condition *condition, ColumnRef *column);
static char *write_query(Condition *condition, const char *prefix, const char *suffix);
static Query *analyze_query(Condition *condition, MfiValueKind kind, const char **type);
static Query *wrap_value(Condition *condition, MfiValueKind kind, const char *type);
static bool check_analyzed_node(Node *node, Condition *condition);
static void run_over_nothing(const char *query);
static int place_error(Condition *condition, int location);
static void add_context(void *arg);

#define QUERY_PREFIX "SELECT k.ord::pg_catalog.int4 AS ord, (\n"
#define QUERY_SUFFIX "\n) AS verdict"

char *
mfi_expression_compile(const MfiConditionScope *scope, const char *text)
{
	return mfi_expression_compile_value(scope, text, MFI_VALUE_CONDITION, NULL);
}

char *
mfi_expression_compile_value(const MfiConditionScope *scope, const char *text, MfiValueKind kind,
							 const char **type)
{
	Condition condition = { .scope = scope,
							.text = text,
							.noun = kind == MFI_VALUE_CONDITION ? "condition" : "expression",
							.at = -1 };
	const char *found_type;
	ErrorContextCallback context = { .previous = error_context_stack,
									 .callback = add_context,
									 .arg = &condition };
	int settings = NewGUCNestLevel();
	MfiOwnerScope owner;
	Query *query;
	char *stored;

	error_context_stack = &context;
	mfi_owner_pin_reading();
	(void) check_raw_node(parse_alone(&condition), &condition);
	/* As _evaluate() will run it: never with more rights than the installation's owner has. */
	mfi_owner_enter_author(&owner, mfi_owner_rights(scope->owner));
	query = analyze_query(&condition, kind, &found_type);
	if (kind != MFI_VALUE_CONDITION)
		query = wrap_value(&condition, kind, found_type);
	if (type != NULL)
		*type = found_type;
	stored = pg_get_querydef(query, false);
	run_over_nothing(stored);
	mfi_owner_leave(&owner);
	AtEOXact_GUC(false, settings);
	error_context_stack = context.previous;
	return stored;
}

/*
 * parse_alone returns the raw expression of a text that is exactly one.
 */
static Node *
parse_alone(Condition *condition)
{
	List *statements = raw_parser(condition->text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
	ResTarget *target;

	if (list_length(select->targetList) != 1 || select->distinctClause != NIL ||
		select->fromClause != NIL || select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL || select->sortClause != NIL ||
		select->limitCount != NULL || select->limitOffset != NULL || select->lockingClause != NIL ||
		select->op != SETOP_NONE)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("%s is not exactly one SQL expression", condition->noun),
						errhint("Write what could stand after WHERE, without further clauses.")));
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("%s is not exactly one SQL expression", condition->noun),
						errdetail("\"%s\" was read as a column alias.", target->name),
						errhint("Look for an operator that is missing before it.")));
	return target->val;
}

/*
 * is_aggregate tells a name under which there are aggregates alone. Found
 * before the analysis, which would speak of GROUP BY.
 */
static bool
is_aggregate(List *name)
{
	FuncCandidateList candidate = FuncnameGetCandidates(name, -1, NIL, false, false, false, true);

	if (candidate == NULL)
		return false;
	for (; candidate != NULL; candidate = candidate->next)
		if (get_func_prokind(candidate->oid) != PROKIND_AGGREGATE)
			return false;
	return true;
}

/*
 * check_raw_node refuses what no condition may hold and notes the canonical
 * names that it uses.
 */
static bool
check_raw_node(Node *node, Condition *condition)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s holds a sub-select", condition->noun),
				 errhint("Map what it looks for as a column of a canonical role, for example in "
						 "client.traits."),
				 place_error(condition, ((SubLink *) node)->location)));
	if (IsA(node, ParamRef))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("%s holds a parameter, $%d", condition->noun, ((ParamRef *) node)->number),
				 errhint("Conditions take no parameters; mfiauto.now() is the present time."),
				 place_error(condition, ((ParamRef *) node)->location)));
	if (IsA(node, FuncCall) && ((FuncCall *) node)->over == NULL &&
		is_aggregate(((FuncCall *) node)->funcname))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("%s holds an aggregate", condition->noun),
						errhint("A condition looks at one subject at a time."),
						place_error(condition, ((FuncCall *) node)->location)));
	if (IsA(node, ColumnRef))
	{
		check_column(condition, (ColumnRef *) node);
		return false;
	}
	return raw_expression_tree_walker(node, check_raw_node, condition);
}

/*
 * has_subject_row tells subjects that are rows of a canonical role. Those of
 * watched tables are numbers alone.
 */
static bool
has_subject_row(const MfiConditionScope *scope)
{
	return strcmp(scope->subject, "client") != 0 && mfi_entry_is_role(scope->subject);
}

static bool
sees_event(const MfiConditionScope *scope)
{
	return scope->is_trigger || scope->is_awaited;
}

/*
 * reachable_roles lists what a condition of this scope may name.
 */
static const char *
reachable_roles(const MfiConditionScope *scope)
{
	bool has_loan =
		strcmp(scope->subject, "installment") == 0 || strcmp(scope->subject, "payment") == 0;
	char *list = "client";

	if (has_loan)
		list = psprintf("%s, loan, client", scope->subject);
	else if (has_subject_row(scope))
		list = psprintf("%s, client", scope->subject);
	return sees_event(scope) ? psprintf("event, %s", list) : list;
}

/*
 * note_role remembers that a canonical name is used; false if it cannot be
 * reached.
 */
static bool
note_role(Condition *condition, const char *role)
{
	const char *subject = condition->scope->subject;

	if (strcmp(role, "client") == 0)
		condition->uses_client = true;
	else if (strcmp(role, "event") == 0 && sees_event(condition->scope))
		condition->uses_event = true;
	else if (strcmp(role, subject) == 0 && has_subject_row(condition->scope))
		condition->uses_subject = true;
	else if (strcmp(role, "loan") == 0 &&
			 (strcmp(subject, "installment") == 0 || strcmp(subject, "payment") == 0))
		condition->uses_loan = true;
	else
		return false;
	return true;
}

static void
check_column(Condition *condition, ColumnRef *reference)
{
	Node *first = linitial(reference->fields);
	Node *second = list_length(reference->fields) > 1 ? lsecond(reference->fields) : NULL;
	char *role = IsA(first, String) ? strVal(first) : "*";

	if (second == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" does not say what it belongs to", role),
			 errhint("Write it with its role in front, as in %s.%s; reachable here: %s.",
					 has_subject_row(condition->scope) ? condition->scope->subject : "client",
					 strcmp(role, "*") == 0 ? "status" : role, reachable_roles(condition->scope)),
			 place_error(condition, reference->location)));
	if (!note_role(condition, role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("\"%s\" cannot be used in this %s", role, condition->noun),
				 errdetail("Reachable here: %s.", reachable_roles(condition->scope)),
				 strcmp(role, "event") == 0
					 ? errhint("The event is known to \"if\" of a trigger and of a wait_for alone.")
					 : errhint("A condition sees the workflow's subject, its loan and its client."),
				 place_error(condition, reference->location)));
	if (!IsA(second, String) || list_length(reference->fields) > 2)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("%s uses whole rows of \"%s\"", condition->noun, role),
						errhint("Name the columns."), place_error(condition, reference->location)));
	if (strcmp(role, "event") != 0)
	{
		condition->at = reference->location;
		mfi_expression_require_column(condition->scope, role, strVal(second));
		condition->at = -1;
	}
}

/*
 * event_subject writes what an event's subject of a role is: of an event about
 * something else, the loan that it belongs to.
 */
static char *
event_subject(const char *subject)
{
	return psprintf("CASE WHEN event.subject = '%s' THEN event.subject_id%s END", subject,
					strcmp(subject, "loan") == 0 ? " ELSE event.loan_id" : "");
}

/*
 * write_query puts the condition into its query. Joins are made only to what
 * the condition uses; a client is the enrolled one, not the loan's (a group
 * loan has none).
 */
static char *
write_query(Condition *condition, const char *prefix, const char *suffix)
{
	const MfiConditionScope *scope = condition->scope;
	const char *subject = scope->subject;
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfo(&query,
					 "%s%s%s FROM ROWS FROM (pg_catalog.unnest($1), %s) WITH ORDINALITY AS "
					 "k(client_id, %s, ord)",
					 prefix, condition->text, suffix,
					 scope->is_awaited ? "pg_catalog.unnest($2[:pg_catalog.cardinality($1)]), "
										 "pg_catalog.unnest($2[pg_catalog.cardinality($1) + 1:])"
									   : "pg_catalog.unnest($2)",
					 scope->is_awaited ? "subject_id, event_id" : "subject_id");
	if (sees_event(scope))
		appendStringInfo(&query,
						 " LEFT JOIN mfiauto.event AS event ON event.client_id = k.client_id"
						 " AND event.event_id = k.%s",
						 scope->is_awaited ? "event_id" : "subject_id");
	if (condition->uses_subject || condition->uses_loan)
		appendStringInfo(&query, " LEFT JOIN mfiauto.%s AS %s ON %s.%s_id = %s", subject, subject,
						 subject, subject,
						 scope->is_trigger ? event_subject(subject) : "k.subject_id");
	if (condition->uses_loan)
		appendStringInfo(&query, " LEFT JOIN mfiauto.loan AS loan ON loan.loan_id = %s.loan_id",
						 subject);
	if (condition->uses_client)
		appendStringInfoString(
			&query, " LEFT JOIN mfiauto.client AS client ON client.client_id = k.client_id");
	return query.data;
}

/*
 * check_type refuses a value of another type than is wanted and returns the
 * type's name.
 */
static const char *
check_type(Oid type, MfiValueKind kind)
{
	Oid base = getBaseType(type);

	if (kind == MFI_VALUE_CONDITION && base != BOOLOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("condition is of type %s, not boolean", format_type_be(type)),
						errhint("Compare it with something.")));
	if (kind == MFI_VALUE_MOMENT)
	{
		if (base == DATEOID)
			return "date";
		if (base == TIMESTAMPOID)
			return "timestamp";
		if (base == TIMESTAMPTZOID)
			return "timestamptz";
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("expression is of type %s, not a date or a time", format_type_be(type)),
				 errhint("Write an expression of type date, timestamp or timestamptz.")));
	}
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("expression is of type %s, which cannot be stored", format_type_be(type)),
				 errhint("Write one value, or jsonb_build_object(…).")));
	return format_type_be_qualified(type);
}

/*
 * analyze_query resolves the names of the whole query and checks the
 * condition's meaning.
 */
static Query *
analyze_query(Condition *condition, MfiValueKind kind, const char **type)
{
	Oid types[3] = { INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID };
	char *text = write_query(condition, QUERY_PREFIX, QUERY_SUFFIX);
	RawStmt *statement = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
	Query *query;
	Node *verdict;

	condition->offset = strlen(QUERY_PREFIX);
	query = parse_analyze_fixedparams(statement, text, types, 3, NULL);
	verdict = (Node *) lsecond_node(TargetEntry, query->targetList)->expr;
	if (query->hasWindowFuncs || query->hasTargetSRFs)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						query->hasWindowFuncs
							? errmsg("%s holds a window function", condition->noun)
							: errmsg("%s holds a function that returns a set", condition->noun),
						errhint("A condition looks at one subject at a time.")));
	*type = check_type(exprType(verdict), kind);
	(void) check_analyzed_node(verdict, condition);
	condition->offset = -1;
	return query;
}

/*
 * wrap_value resolves the query again so that it gives the value, which was
 * found good, as a text that no setting changes: a moment as ISO 8601 has it.
 */
static Query *
wrap_value(Condition *condition, MfiValueKind kind, const char *type)
{
	Oid types[3] = { INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID };
	char *text = write_query(
		condition, "SELECT k.ord::pg_catalog.int4 AS ord, pg_catalog.to_jsonb((\n",
		psprintf("\n)::%s)%s AS value", type,
				 kind == MFI_VALUE_JSON ? "::pg_catalog.text" : " OPERATOR(pg_catalog.#>>) '{}'"));

	return parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT)),
									 text, types, 3, NULL);
}

static bool
is_volatile(Oid function, void *found)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) found = function;
	return true;
}

/*
 * reads_wall_clock tells the server's own clock functions, which do not follow
 * set_clock().
 */
static bool
reads_wall_clock(Node *node)
{
	if (IsA(node, FuncExpr))
	{
		Oid function = ((FuncExpr *) node)->funcid;

		return function == F_NOW || function == F_TRANSACTION_TIMESTAMP ||
			   function == F_STATEMENT_TIMESTAMP;
	}
	return IsA(node, SQLValueFunction) && ((SQLValueFunction *) node)->op <= SVFOP_LOCALTIMESTAMP_N;
}

/*
 * is_frozen_moment tells a constant that was written as 'today' or 'now': it
 * would stay at the day on which the definition was made.
 */
static bool
is_frozen_moment(Node *node, const Condition *condition)
{
	static const char *const words[] = { "now", "today", "tomorrow", "yesterday" };
	Const *constant = (Const *) node;
	const char *word;
	int inside;

	if (!IsA(node, Const) ||
		(constant->consttype != DATEOID && constant->consttype != TIMESTAMPOID &&
		 constant->consttype != TIMESTAMPTZOID))
		return false;
	inside = constant->location - condition->offset;
	if (constant->location < 0 || inside < 0 || inside >= (int) strlen(condition->text))
		return false;
	word = condition->text + inside;
	word += strcspn(word, "'");
	word += strspn(word, "' \t\r\n");
	for (size_t i = 0; i < lengthof(words); i++)
		if (pg_strncasecmp(word, words[i], strlen(words[i])) == 0 &&
			!isalnum((unsigned char) word[strlen(words[i])]))
			return true;
	return false;
}

static bool
check_analyzed_node(Node *node, Condition *condition)
{
	Oid function = InvalidOid;

	if (node == NULL)
		return false;
	if (is_frozen_moment(node, condition))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s holds a moment that would never move", condition->noun),
				 errdetail("The word stands for the time at which the definition is created."),
				 errhint("Use mfiauto.today() or mfiauto.now()."),
				 place_error(condition, ((Const *) node)->location)));
	if (check_functions_in_node(node, is_volatile, &function))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("%s calls a volatile function, %s", condition->noun,
					format_procedure(function)),
			 errhint(
				 "Use functions that are immutable or stable; mfiauto.now() is the present time."),
			 place_error(condition, exprLocation(node))));
	if (IsA(node, NextValueExpr))
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("%s draws from a sequence", condition->noun)));
	if (reads_wall_clock(node))
		ereport(WARNING,
				(errmsg("%s at %s of workflow \"%s\" reads the server's clock", condition->noun,
						condition->scope->path, condition->scope->workflow),
				 errhint("Use mfiauto.now() or mfiauto.today(), which follow set_clock().")));
	return expression_tree_walker(node, check_analyzed_node, condition);
}

/*
 * run_over_nothing evaluates the query for no client at all: plans it, folds
 * its constants and checks privileges.
 */
static void
run_over_nothing(const char *query)
{
	Oid types[3] = { INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID };
	Datum nobody = PointerGetDatum(construct_empty_array(INT8OID));
	Datum values[3] = { nobody, nobody, TimestampTzGetDatum(mfi_clock_now()) };

	if (SPI_execute_with_args(query, 3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "condition query did not select");
}

/*
 * place_error gives the error being made its position, from a byte in what is
 * being parsed.
 */
static int
place_error(Condition *condition, int location)
{
	int inside = location - condition->offset;

	if (location < 0 || inside < 0)
		return 0;
	return errposition(condition->offset + 1 + pg_mbstrlen_with_len(condition->text, inside));
}

/*
 * add_context says where in the definition an error arose, and moves its
 * position from the query's text to the condition's.
 */
static void
add_context(void *arg)
{
	Condition *condition = arg;
	int position;

	if (geterrposition() <= 0 && condition->at >= 0)
		place_error(condition, condition->at);
	position = geterrposition() - condition->offset;
	if (geterrposition() > 0)
	{
		errposition(0);
		if (condition->offset >= 0 && position > 0 && position <= (int) strlen(condition->text) + 1)
		{
			internalerrposition(position);
			internalerrquery(condition->text);
		}
	}
	if (geterrcode() == ERRCODE_UNDEFINED_FUNCTION)
		errhint("Unqualified functions and operators are looked up in pg_catalog alone: write your "
				"own with their schema, or add a cast.");
	errcontext("%s at %s of workflow \"%s\": %s", condition->noun, condition->scope->path,
			   condition->scope->workflow, condition->text);
}
