/*
 * mapping.c
 *		What bind() and watch() need from the parser: checking one expression
 *		over a relation's columns, and handling triggers on tables that are not
 *		ours.
 *
 * The text that is stored is what the parser understood, written out again
 * under the pinned search_path, never what the user typed: it means the same
 * for every reader later, and nothing but one expression can hide in it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

PG_FUNCTION_INFO_V1(mfiauto_check_expression);
PG_FUNCTION_INFO_V1(mfiauto_check_syntax);
PG_FUNCTION_INFO_V1(mfiauto_drop_capture);
PG_FUNCTION_INFO_V1(mfiauto_enable_capture);
PG_FUNCTION_INFO_V1(mfiauto_lock_relation);

static Node *parse_single_expression(const char *expression);
static Node *transform_expression(ParseState *state, Node *raw, Oid type);
static Datum mentioned_columns(Relation relation, Node *node);
static Oid	find_capture(Oid relation_oid, const char *name);

/*
 * parse_single_expression parses the text as one expression and nothing else;
 * errors point into it.
 */
static Node *
parse_single_expression(const char *expression)
{
	List	   *parsed = raw_parser(expression, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	ResTarget  *target;

	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL ||
		select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a single SQL expression")));
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL || target->indirection != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a single SQL expression")));
	return target->val;
}

/*
 * transform_expression analyzes it as a CHECK constraint is: no subquery,
 * aggregate, window function or set. type: what it is to become, or
 * InvalidOid.
 */
static Node *
transform_expression(ParseState *state, Node *raw, Oid type)
{
	Node	   *node = transformExpr(state, raw, EXPR_KIND_CHECK_CONSTRAINT);
	Oid			found = exprType(node);

	if (OidIsValid(type))
	{
		Node	   *coerced = coerce_to_target_type(state, node, found, type, -1,
													COERCION_ASSIGNMENT,
													COERCE_IMPLICIT_CAST, -1);

		if (coerced == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("type %s does not fit, %s is needed",
							format_type_be(found), format_type_be(type))));
		node = coerced;
	}
	else if (found == UNKNOWNOID)
		node = coerce_to_target_type(state, node, found, TEXTOID, -1,
									 COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(state, node);
	return node;
}

/* mentioned_columns returns the names of the expression's columns as text[]. */
static Datum
mentioned_columns(Relation relation, Node *node)
{
	TupleDesc	description = RelationGetDescr(relation);
	Bitmapset  *numbers = NULL;
	ArrayBuildState *names = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	int			member = -1;

	pull_varattnos(node, 1, &numbers);
	while ((member = bms_next_member(numbers, member)) >= 0)
	{
		AttrNumber	number = member + FirstLowInvalidHeapAttributeNumber;

		if (number <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("neither a whole row nor a system column can be used")));
		names = accumArrayResult(names,
								 CStringGetTextDatum(NameStr(TupleDescAttr(description, number - 1)->attname)),
								 false, TEXTOID, CurrentMemoryContext);
	}
	return makeArrayResult(names, CurrentMemoryContext);
}

/*
 * SQL: mfiauto._check_expression(relation regclass, expression text, type
 * regtype, OUT canonical text, OUT columns text[], OUT type_name text):
 * canonical names the relation "b".
 */
Datum
mfiauto_check_expression(PG_FUNCTION_ARGS)
{
	Oid			relation_oid;
	char	   *expression;
	Oid			type = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	ParseState *state = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Relation	relation;
	Node	   *node;
	TupleDesc	description;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation and expression must not be null")));
	relation_oid = PG_GETARG_OID(0);
	expression = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	relation = table_open(relation_oid, AccessShareLock);
	state->p_sourcetext = expression;
	item = addRangeTableEntryForRelation(state, relation, AccessShareLock,
										 makeAlias("b", NIL), false, true);
	addNSItemToQuery(state, item, true, true, true);
	node = transform_expression(state, parse_single_expression(expression), type);
	if (contain_volatile_functions(node))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("it calls a VOLATILE function"),
				 errhint("Use only columns and IMMUTABLE or STABLE functions.")));
	values[1] = mentioned_columns(relation, node);
	values[0] = CStringGetTextDatum(deparse_expression(node, deparse_context_for("b", relation_oid),
													   true, false));
	values[2] = CStringGetTextDatum(format_type_be_qualified(exprType(node)));
	table_close(relation, NoLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}

/* SQL: mfiauto._check_syntax(text): 42601 unless it is one expression. */
Datum
mfiauto_check_syntax(PG_FUNCTION_ARGS)
{
	(void) parse_single_expression(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* find_capture returns the relation's trigger of that name if it calls capture(). */
static Oid
find_capture(Oid relation_oid, const char *name)
{
	Oid			trigger_oid = get_trigger_oid(relation_oid, name, true);
	Oid			found = InvalidOid;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(trigger_oid))
		return InvalidOid;
	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger_oid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		char	   *function = get_func_name(trigger->tgfoid);

		if (function != NULL && strcmp(function, "capture") == 0 &&
			get_func_namespace(trigger->tgfoid) == get_namespace_oid("mfiauto", true) &&
			!OidIsValid(trigger->tgparentid))
			found = trigger_oid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/*
 * SQL: mfiauto._drop_capture(relation oid, name text) RETURNS boolean: drops a
 * capture trigger from a table that is not ours: DROP TRIGGER asks for the
 * table's owner, while making it took the TRIGGER privilege alone.
 */
Datum
mfiauto_drop_capture(PG_FUNCTION_ARGS)
{
	Oid			relation_oid = PG_GETARG_OID(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ObjectAddress address;

	if (!OidIsValid(find_capture(relation_oid, name)))
		PG_RETURN_BOOL(false);
	LockRelationOid(relation_oid, AccessExclusiveLock);
	address.classId = TriggerRelationId;
	address.objectId = find_capture(relation_oid, name);
	address.objectSubId = 0;
	if (!OidIsValid(address.objectId))
		PG_RETURN_BOOL(false);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	PG_RETURN_BOOL(true);
}

/*
 * SQL: mfiauto._enable_capture(relation oid, name text): the trigger also fires
 * for rows that replication applies.
 */
Datum
mfiauto_enable_capture(PG_FUNCTION_ARGS)
{
	Oid			relation_oid = PG_GETARG_OID(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	relation;

	if (!OidIsValid(find_capture(relation_oid, name)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("capture trigger \"%s\" does not exist", name)));
	relation = table_open(relation_oid, ShareRowExclusiveLock);
	EnableDisableTrigger(relation, name, TRIGGER_FIRES_ALWAYS, false, ShareRowExclusiveLock);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/*
 * SQL: mfiauto._lock_relation(relation oid, is_exclusive boolean): the lock of
 * CREATE TRIGGER or of DROP TRIGGER, within lock_timeout. LOCK TABLE would ask
 * for the right to write; the callers have checked the right to make triggers.
 */
Datum
mfiauto_lock_relation(PG_FUNCTION_ARGS)
{
	LockRelationOid(PG_GETARG_OID(0),
					PG_GETARG_BOOL(1) ? AccessExclusiveLock : ShareRowExclusiveLock);
	PG_RETURN_VOID();
}
