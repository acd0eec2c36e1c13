/*
 * compile.c
 *		From a query that somebody wrote to a segment's.
 *
 * The text is parsed alone and must be one SELECT that gives one whole number,
 * client_id. It is analyzed as its author with a pinned search path, looked
 * through, and stored as PostgreSQL writes it back from the parse tree: it then
 * means the same whatever the settings of the session that runs it.
 *
 * Volatile functions are refused: nobody could tell why a client is a member.
 * What the query reads is noted column by column, for fair_treatment and for
 * the order of refresh; and whether the clock alone can change its result.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/owner.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "segment/segment.h"
#include "segment/tie.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"

typedef struct Source
{
	const char *kind;	 /* "segment" or "trait" */
	const char *segment; /* its name */
	const char *text;
	List *levels;	  /* the queries that enclose the node being looked at, innermost first */
	List *columns;	  /* "schema.relation.column" */
	List *segments;	  /* names */
	bool gives_value; /* besides client_id, value: a trait */
	bool is_timed;
	bool reads_server_clock;
} Source;

PG_FUNCTION_INFO_V1(mfiauto_compile_segment);
PG_FUNCTION_INFO_V1(mfiauto_compile_trait);

static bool look_at_node(Node *node, Source *source);

static void
refuse_statement(const Source *source)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("query of %s \"%s\" is not exactly one SELECT", source->kind, source->segment),
			 errhint("Write one query that reads and changes nothing, as in SELECT client_id FROM "
					 "mfiauto.client WHERE …")));
}

static Query *
analyze(const Source *source)
{
	List *statements = raw_parser(source->text, RAW_PARSE_DEFAULT);
	RawStmt *statement;
	Query *query;

	if (list_length(statements) != 1)
		refuse_statement(source);
	statement = linitial_node(RawStmt, statements);
	if (!IsA(statement->stmt, SelectStmt))
		refuse_statement(source);
	query = parse_analyze_fixedparams(statement, source->text, NULL, 0, NULL);
	/* SELECT INTO comes out as a utility statement. */
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->hasForUpdate ||
		query->rowMarks != NIL)
		refuse_statement(source);
	return query;
}

/*
 * check_result refuses a query that gives anything but client_id.
 */
static void
check_result(const Source *source, const Query *query)
{
	TargetEntry *only;
	int wanted_count = source->gives_value ? 2 : 1;
	int column_count = 0;
	Oid type;
	ListCell *cell;

	foreach (cell, query->targetList)
		column_count += lfirst_node(TargetEntry, cell)->resjunk ? 0 : 1;
	if (column_count != wanted_count)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("query of %s \"%s\" gives %d columns", source->kind, source->segment,
							   column_count),
						source->gives_value ? errhint("It must give two, client_id and value.")
											: errhint("It must give one, client_id.")));
	only = linitial_node(TargetEntry, query->targetList);
	if (strcmp(only->resname, "client_id") != 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("query of %s \"%s\" gives column \"%s\", not client_id",
							   source->kind, source->segment, only->resname),
						errhint("Call it so: SELECT … AS client_id.")));
	type = getBaseType(exprType((Node *) only->expr));
	if (type != INT8OID && type != INT4OID && type != INT2OID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("client_id of %s \"%s\" is of type %s, not bigint", source->kind,
							   source->segment, format_type_be(exprType((Node *) only->expr))),
						errhint("Cast it, or find the number in mfiauto.identity.")));
	if (source->gives_value &&
		strcmp(lsecond_node(TargetEntry, query->targetList)->resname, "value") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("query of %s \"%s\" gives column \"%s\", not value", source->kind,
						source->segment, lsecond_node(TargetEntry, query->targetList)->resname),
				 errhint("Call it so: SELECT client_id, … AS value.")));
}

static void
note_name(List **names, char *name)
{
	ListCell *cell;

	foreach (cell, *names)
		if (strcmp(lfirst(cell), name) == 0)
			return;
	*names = lappend(*names, name);
}

/*
 * column_name names the table's column that a Var stands for; NULL if it is
 * one of a subquery, whose own columns are looked at in their place.
 */
static char *
column_name(const Var *var, const Source *source)
{
	Query *query = list_nth_node(Query, source->levels, var->varlevelsup);
	RangeTblEntry *entry = rt_fetch(var->varno, query->rtable);

	while (entry->rtekind == RTE_JOIN && var->varattno > 0)
	{
		Node *alias = list_nth(entry->joinaliasvars, var->varattno - 1);

		while (IsA(alias, RelabelType))
			alias = (Node *) ((RelabelType *) alias)->arg;
		if (!IsA(alias, Var))
			return NULL;
		var = (Var *) alias;
		entry = rt_fetch(var->varno, query->rtable);
	}
	if (entry->rtekind != RTE_RELATION)
		return NULL;
	return psprintf("%s.%s.%s", get_namespace_name(get_rel_namespace(entry->relid)),
					get_rel_name(entry->relid),
					var->varattno == 0 ? "*" : get_attname(entry->relid, var->varattno, false));
}

/*
 * look_at_trait notes traits ->> 'key' as a column of its own.
 */
static bool
look_at_trait(const OpExpr *operation, Source *source)
{
	Node *document = linitial(operation->args);
	Const *key;
	char *name;

	if (operation->opfuncid != F_JSONB_OBJECT_FIELD_TEXT &&
		operation->opfuncid != F_JSONB_OBJECT_FIELD)
		return false;
	key = (Const *) lsecond(operation->args);
	if (!IsA(document, Var) || !IsA(key, Const) || key->constisnull)
		return false;
	name = column_name((Var *) document, source);
	if (name == NULL || strlen(name) < 7 || strcmp(name + strlen(name) - 7, ".traits") != 0)
		return false;
	note_name(&source->columns, psprintf("%s.%s", name, TextDatumGetCString(key->constvalue)));
	return true;
}

static void
look_at_relation(const RangeTblEntry *entry, Source *source)
{
	Oid schema = get_rel_namespace(entry->relid);

	if (isAnyTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of %s \"%s\" reads temporary relation \"%s\"", source->kind,
						source->segment, get_rel_name(entry->relid)),
				 errdetail("Nobody but this session sees it."),
				 errhint("Keep what it holds in a table, or give the clients as a list: clients => "
						 "ARRAY(SELECT …).")));
	if (mfi_tie_is_segment(entry->relid))
		note_name(&source->segments, get_rel_name(entry->relid));
}

/*
 * is_frozen_moment tells a constant that was written as 'today' or 'now': it
 * would stay at the day on which the segment was made.
 */
static bool
is_frozen_moment(const Const *constant, const Source *source)
{
	static const char *const words[] = { "now", "today", "tomorrow", "yesterday" };
	const char *word;

	if ((constant->consttype != DATEOID && constant->consttype != TIMESTAMPOID &&
		 constant->consttype != TIMESTAMPTZOID) ||
		constant->location < 0 || constant->location >= (int) strlen(source->text))
		return false;
	word = source->text + constant->location;
	word += strcspn(word, "'");
	word += strspn(word, "' \t\r\n");
	for (size_t i = 0; i < lengthof(words); i++)
		if (pg_strncasecmp(word, words[i], strlen(words[i])) == 0 &&
			!isalnum((unsigned char) word[strlen(words[i])]))
			return true;
	return false;
}

static void
look_at_function(Oid function, Node *node, Source *source)
{
	const char *name = get_func_name(function);

	if (func_volatile(function) == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("query of %s \"%s\" calls a volatile function, %s", source->kind,
						source->segment, format_procedure(function)),
				 errhint("Use functions that are immutable or stable; mfiauto.now() is the "
						 "present time."),
				 exprLocation(node) < 0
					 ? 0
					 : errposition(1 + pg_mbstrlen_with_len(source->text, exprLocation(node)))));
	if (function == F_NOW || function == F_TRANSACTION_TIMESTAMP ||
		function == F_STATEMENT_TIMESTAMP || function == F_AGE_TIMESTAMP ||
		function == F_AGE_TIMESTAMPTZ)
		source->is_timed = source->reads_server_clock = true;
	else if (get_func_namespace(function) == get_namespace_oid("mfiauto", false) &&
			 (strcmp(name, "now") == 0 || strcmp(name, "today") == 0))
		source->is_timed = true;
}

static bool
find_function(Oid function, void *found)
{
	*(List **) found = lappend_oid(*(List **) found, function);
	return false;
}

static void
look_at_functions(Node *node, Source *source)
{
	List *functions = NIL;
	ListCell *cell;

	(void) check_functions_in_node(node, find_function, &functions);
	foreach (cell, functions)
		look_at_function(lfirst_oid(cell), node, source);
	if (IsA(node, SQLValueFunction) && ((SQLValueFunction *) node)->op <= SVFOP_LOCALTIMESTAMP_N)
		source->is_timed = source->reads_server_clock = true;
}

static bool
look_at_query(Query *query, Source *source)
{
	ListCell *cell;

	if (query->hasModifyingCTE || query->rowMarks != NIL)
		refuse_statement(source);
	foreach (cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_RELATION)
			look_at_relation(lfirst_node(RangeTblEntry, cell), source);
	source->levels = lcons(query, source->levels);
	(void) query_tree_walker(query, look_at_node, source, QTW_IGNORE_JOINALIASES);
	source->levels = list_delete_first(source->levels);
	return false;
}

static bool
look_at_node(Node *node, Source *source)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return look_at_query((Query *) node, source);
	if (IsA(node, Var))
	{
		char *name = column_name((Var *) node, source);

		if (name != NULL)
			note_name(&source->columns, name);
		return false;
	}
	if (IsA(node, Const) && is_frozen_moment((Const *) node, source))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("query of %s \"%s\" holds a moment that would never move",
							   source->kind, source->segment),
						errdetail("The word stands for the time at which the segment is created."),
						errhint("Use mfiauto.today() or mfiauto.now().")));
	if (IsA(node, NextValueExpr))
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("query of %s \"%s\" draws from a sequence", source->kind,
							   source->segment)));
	look_at_functions(node, source);
	if (IsA(node, OpExpr) && look_at_trait((OpExpr *) node, source))
		return false;
	return expression_tree_walker(node, look_at_node, source);
}

/*
 * add_context says which query an error is about; its position is one in the
 * query's text.
 */
static void
add_context(void *arg)
{
	const Source *source = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(source->text);
	}
	if (position > 0 && geterrcode() == ERRCODE_SYNTAX_ERROR)
		errhint("It must be one SELECT; write it alone first, and run it.");
	if (geterrcode() == ERRCODE_UNDEFINED_FUNCTION || geterrcode() == ERRCODE_UNDEFINED_TABLE)
		errhint("Names without a schema are looked up in pg_catalog alone; mfiauto has a view for "
				"each role that is bound, mfiauto_segment one for each segment.");
	errcontext("query of %s \"%s\"", source->kind, source->segment);
}

static Datum
name_array(List *names)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell *cell;

	foreach (cell, names)
		state = accumArrayResult(state, CStringGetTextDatum(lfirst(cell)), false, TEXTOID,
								 CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

static Datum
compile(FunctionCallInfo fcinfo, const char *kind, bool gives_value)
{
	Source source = { .kind = kind,
					  .gives_value = gives_value,
					  .segment = text_to_cstring(PG_GETARG_TEXT_PP(0)),
					  .text = text_to_cstring(PG_GETARG_TEXT_PP(2)) };
	ErrorContextCallback context = { .previous = error_context_stack,
									 .callback = add_context,
									 .arg = &source };
	Oid rights = mfi_owner_rights(get_role_oid(text_to_cstring(PG_GETARG_TEXT_PP(1)), false));
	int settings = NewGUCNestLevel();
	MfiOwnerScope owner;
	TupleDesc shape;
	Query *query;
	const char *reason;
	Datum values[6];
	bool nulls[6] = { false };

	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	error_context_stack = &context;
	mfi_owner_pin_reading();
	mfi_owner_enter_author(&owner, rights);
	query = analyze(&source);
	check_result(&source, query);
	(void) look_at_node((Node *) query, &source);
	values[0] = CStringGetTextDatum(pg_get_querydef(query, false));
	reason = mfi_local_restrict(query);
	if (reason == NULL)
		values[1] = CStringGetTextDatum(pg_get_querydef(query, false));
	else
		values[2] = CStringGetTextDatum(reason);
	mfi_owner_leave(&owner);
	AtEOXact_GUC(false, settings);
	error_context_stack = context.previous;
	if (source.reads_server_clock)
		ereport(WARNING, (errmsg("%s \"%s\" reads the server's clock", source.kind, source.segment),
						  errhint("Use mfiauto.now() or mfiauto.today(), which follow "
								  "set_clock().")));
	nulls[1] = reason != NULL;
	nulls[2] = reason == NULL;
	values[3] = BoolGetDatum(source.is_timed);
	values[4] = name_array(source.segments);
	values[5] = name_array(source.columns);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

/*
 * SQL: mfiauto._compile_segment(segment text, role text, query text): the query
 * as it is stored, the same for the clients of $1 alone (null where that
 * cannot be, and why), whether time changes its result, the segments and the
 * columns that it reads.
 */
Datum
mfiauto_compile_segment(PG_FUNCTION_ARGS)
{
	return compile(fcinfo, "segment", false);
}

/* SQL: mfiauto._compile_trait: the same of a query that gives client_id and value. */
Datum
mfiauto_compile_trait(PG_FUNCTION_ARGS)
{
	return compile(fcinfo, "trait", true);
}
