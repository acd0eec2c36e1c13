/*
 * local.c
 *		Which queries can be asked about some clients alone.
 *
 * The engine knows for which clients something changed. Only if a client's
 * membership depends on nothing but his own rows may it look at those clients
 * and leave the others. That is decided here, from the parse tree, and rather
 * no than yes: a segment that is not understood is refreshed in full.
 *
 * A query is understood level by level. Every relation in FROM must be one
 * whose changes the engine follows (tracked[]), and all of them must be joined
 * on client_id, so that the rows that meet are one client's: they are put into
 * classes by the equalities that every row passes. What belongs to a loan may
 * also be joined on loan_id to the loan or to loan_party, which say whose it
 * is. A level is either about one client a row, with client_id among what it
 * gives (then it may not count rows or limit them over several clients), or
 * tied to the client of the query around it, as EXISTS (… WHERE e.client_id =
 * c.client_id); then it may do what it likes.
 *
 * What was understood is also made narrow: to each level the clients of $1 are
 * added wherever a relation's client_id is known to be the client's.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "segment/segment.h"
#include "segment/tie.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* pg_operator's int8 = int8 */
#define INT8_EQUAL 410

/* What a level gives: by number of its columns. */
typedef struct Outcome
{
	bool is_tied;	   /* to the client of a query around it, or about nobody */
	bool is_constant;  /* reads no relation */
	Bitmapset *keys;   /* columns that are the client */
	Bitmapset *solids; /* those of them that are never null */
} Outcome;

typedef struct KnownCte
{
	CommonTableExpr *cte;
	Outcome outcome;
} KnownCte;

static bool look_at_level(Query *query, MfiLevel *outer, MfiShared *shared, Outcome *outcome);
static bool look_at_expression(Node *node, MfiLevel *level);

/* ---- The entries of FROM ---- */

static bool
take_outcome(MfiLevel *level, int entry, const Outcome *outcome)
{
	level->keys[entry] = outcome->keys;
	level->solids[entry] = outcome->solids;
	if (outcome->is_constant)
		level->free = bms_add_member(level->free, entry);
	else if (outcome->is_tied)
		mfi_tie_join(level, entry, 0);
	return true;
}

static bool
look_at_cte(MfiLevel *level, int entry, const RangeTblEntry *reference)
{
	MfiLevel *home = level;
	ListCell *cell;
	KnownCte *known;

	for (Index up = reference->ctelevelsup; up > 0; up--)
		home = home->outer;
	foreach (cell, level->shared->ctes)
	{
		known = lfirst(cell);
		if (list_member_ptr(home->query->cteList, known->cte) &&
			strcmp(known->cte->ctename, reference->ctename) == 0)
			return take_outcome(level, entry, &known->outcome);
	}
	known = palloc0(sizeof(KnownCte));
	foreach (cell, home->query->cteList)
		if (strcmp(lfirst_node(CommonTableExpr, cell)->ctename, reference->ctename) == 0)
			known->cte = lfirst(cell);
	if (known->cte == NULL || known->cte->cterecursive)
		return mfi_tie_refuse(level->shared, "it is recursive");
	if (!look_at_level(castNode(Query, known->cte->ctequery), home, level->shared, &known->outcome))
		return false;
	level->shared->ctes = lappend(level->shared->ctes, known);
	return take_outcome(level, entry, &known->outcome);
}

static bool
look_at_entry(MfiLevel *level, int entry)
{
	RangeTblEntry *source = rt_fetch(entry, level->query->rtable);
	Outcome outcome = { 0 };

	switch (source->rtekind)
	{
		case RTE_RELATION:
			level->relations[entry] = mfi_tie_find_tracked(source->relid);
			if (level->relations[entry] == NULL || source->tablesample != NULL)
				return mfi_tie_refuse(level->shared,
									  psprintf("it reads %s.%s, whose changes are not followed",
											   get_namespace_name(get_rel_namespace(source->relid)),
											   get_rel_name(source->relid)));
			return true;
		case RTE_SUBQUERY:
			/* A lateral one is looked at when it is known what it may be tied to. */
			if (source->lateral)
				level->free = bms_add_member(level->free, entry);
			else if (!look_at_level(source->subquery, level, level->shared, &outcome))
				return false;
			else
				return take_outcome(level, entry, &outcome);
			return true;
		case RTE_CTE:
			return look_at_cte(level, entry, source);
		case RTE_JOIN:
		case RTE_FUNCTION:
		case RTE_VALUES:
		case RTE_TABLEFUNC:
		case RTE_RESULT:
			level->free = bms_add_member(level->free, entry);
			return true;
		default:
			return mfi_tie_refuse(level->shared, "it reads something that is no relation");
	}
}

/* ---- Expressions ---- */

static bool
is_followed_function(Oid function, void *level)
{
	static const char *const others[] = { "current_setting", "obj_description", "col_description",
										  "shobj_description", "format_type" };
	static const char *const families[] = { "pg_",		 "has_",	   "to_reg",   "reg",
											"inet_",	 "query_to",   "table_to", "cursor_to",
											"schema_to", "database_to" };
	const char *name = get_func_name(function);
	bool is_ours = get_func_namespace(function) == get_namespace_oid("mfiauto", false) &&
				   (strcmp(name, "now") == 0 || strcmp(name, "today") == 0);
	bool reads = function >= FirstUnpinnedObjectId;

	if (func_volatile(function) == PROVOLATILE_IMMUTABLE || is_ours)
		return false;
	for (size_t i = 0; i < lengthof(others) && !reads; i++)
		reads = strcmp(name, others[i]) == 0;
	for (size_t i = 0; i < lengthof(families) && !reads; i++)
		reads = strncmp(name, families[i], strlen(families[i])) == 0;
	if (reads)
		(void) mfi_tie_refuse(((MfiLevel *) level)->shared,
							  psprintf("it calls %s(), which may read anything", name));
	return reads;
}

/*
 * conjuncts_of lists what every row of a level passes.
 */
static List *
conjuncts_of(Node *condition, List *conjuncts)
{
	ListCell *cell;

	if (condition == NULL || !is_andclause(condition))
		return condition == NULL ? conjuncts : lappend(conjuncts, condition);
	foreach (cell, ((BoolExpr *) condition)->args)
		conjuncts = conjuncts_of(lfirst(cell), conjuncts);
	return conjuncts;
}

static bool
look_at_sub_select(SubLink *link, MfiLevel *level)
{
	Outcome outcome = { 0 };
	int entry;

	if (!look_at_level(castNode(Query, link->subselect), level, level->shared, &outcome))
		return false;
	if (outcome.is_tied)
		return true;
	/* client_id IN (SELECT client_id …); a null in there would make NOT IN true for nobody. */
	if (link->subLinkType == ANY_SUBLINK && IsA(link->testexpr, OpExpr) &&
		mfi_tie_is_equality((OpExpr *) link->testexpr) &&
		mfi_tie_key(linitial(((OpExpr *) link->testexpr)->args), level, &entry) == KEY_CLIENT &&
		(entry == 0 || mfi_tie_is_member(level, entry)) && bms_is_member(1, outcome.keys) &&
		(bms_is_member(1, outcome.solids) || list_member_ptr(level->conjuncts, link)))
		return true;
	return mfi_tie_refuse(level->shared, "it holds a sub-select that is not tied to client_id");
}

/*
 * look_at_expression goes through the expressions of a level; true: stop.
 */
static bool
look_at_expression(Node *node, MfiLevel *level)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_followed_function, level))
		return true;
	if (IsA(node, SubLink))
		return !look_at_sub_select((SubLink *) node, level) ||
			   look_at_expression(((SubLink *) node)->testexpr, level);
	return expression_tree_walker(node, look_at_expression, level);
}

/* ---- Making it narrow ---- */

static Node *
one_of_clients(Oid relation, int entry)
{
	ScalarArrayOpExpr *condition = makeNode(ScalarArrayOpExpr);
	Param *clients = makeNode(Param);

	clients->paramkind = PARAM_EXTERN;
	clients->paramid = 1;
	clients->paramtype = INT8ARRAYOID;
	clients->paramtypmod = -1;
	clients->location = -1;
	condition->opno = INT8_EQUAL;
	condition->opfuncid = F_INT8EQ;
	condition->useOr = true;
	condition->args = list_make2(
		makeVar(entry, get_attnum(relation, "client_id"), INT8OID, -1, InvalidOid, 0), clients);
	condition->location = -1;
	return (Node *) condition;
}

/*
 * narrow adds the clients to the condition that decides which rows of an entry
 * there are: WHERE, or ON of the outer join that may leave them out.
 */
static void
narrow(MfiLevel *level, Node *node, Node **condition)
{
	ListCell *cell;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		int entry = ((RangeTblRef *) node)->rtindex;

		if (level->relations[entry] != NULL && mfi_tie_is_member(level, entry))
			*condition = make_and_qual(
				*condition, one_of_clients(rt_fetch(entry, level->query->rtable)->relid, entry));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		narrow(level, join->larg, join->jointype == JOIN_RIGHT ? &join->quals : condition);
		narrow(level, join->rarg, join->jointype == JOIN_LEFT ? &join->quals : condition);
	}
	else
		foreach (cell, ((FromExpr *) node)->fromlist)
			narrow(level, lfirst(cell), &((FromExpr *) node)->quals);
}

/* ---- Levels ---- */

static MfiLevel *
make_level(Query *query, MfiLevel *outer, MfiShared *shared)
{
	MfiLevel *level = palloc0(sizeof(MfiLevel));

	level->shared = shared;
	level->query = query;
	level->outer = outer;
	level->count = list_length(query->rtable);
	level->relations = palloc0(sizeof(MfiTracked *) * (level->count + 1));
	level->keys = palloc0(sizeof(Bitmapset *) * (level->count + 1));
	level->solids = palloc0(sizeof(Bitmapset *) * (level->count + 1));
	level->client = palloc(sizeof(int) * (level->count + 1));
	level->loan = palloc(sizeof(int) * (level->count + 1));
	level->any = palloc(sizeof(int) * (level->count + 1));
	for (int entry = 0; entry <= level->count; entry++)
		level->client[entry] = level->loan[entry] = level->any[entry] = entry;
	return level;
}

static void
find_keys(MfiLevel *level, Outcome *outcome)
{
	ListCell *cell;

	foreach (cell, level->query->targetList)
	{
		TargetEntry *target = lfirst(cell);
		AttrNumber column;
		int entry;
		int number = target->resno;

		if (target->resjunk || mfi_tie_key((Node *) target->expr, level, &entry) != KEY_CLIENT ||
			entry == 0 || !mfi_tie_is_member(level, entry))
			continue;
		outcome->keys = bms_add_member(outcome->keys, number);
		(void) mfi_tie_resolve((Node *) target->expr, level, &entry, &column);
		if (!bms_is_member(entry, level->outered) &&
			(level->relations[entry] != NULL ? level->relations[entry]->is_solid
											 : bms_is_member(column, level->solids[entry])))
			outcome->solids = bms_add_member(outcome->solids, number);
	}
}

/*
 * is_about_one tells that a level which is about many clients treats each
 * alone.
 */
static bool
is_about_one(const Query *query, const Outcome *outcome, MfiShared *shared)
{
	if (query->limitCount != NULL || query->limitOffset != NULL)
		return mfi_tie_refuse(shared, "it limits the number of rows");
	if (query->hasWindowFuncs)
		return mfi_tie_refuse(shared, "it holds a window function");
	if (query->hasDistinctOn || query->hasTargetSRFs)
		return mfi_tie_refuse(shared, query->hasDistinctOn
										  ? "it holds DISTINCT ON"
										  : "it selects a function that returns a set");
	if (outcome->keys == NULL)
		return mfi_tie_refuse(shared, query->hasAggs ? "it aggregates over several clients"
													 : "it does not tell whose its rows are");
	return true;
}

static bool
look_at_set_operation(Query *query, MfiLevel *level, Outcome *outcome)
{
	bool is_first = true;

	outcome->is_tied = true;
	for (int entry = 1; entry <= level->count; entry++)
	{
		Outcome leg = { 0 };

		if (!look_at_level(castNode(Query, rt_fetch(entry, query->rtable)->subquery), level,
						   level->shared, &leg))
			return false;
		if (leg.is_constant)
			return mfi_tie_refuse(level->shared, "part of it reads nothing");
		outcome->is_tied &= leg.is_tied;
		outcome->keys = is_first ? leg.keys : bms_intersect(outcome->keys, leg.keys);
		outcome->solids = is_first ? leg.solids : bms_intersect(outcome->solids, leg.solids);
		is_first = false;
	}
	return outcome->is_tied || is_about_one(query, outcome, level->shared);
}

static bool
look_at_lateral(MfiLevel *level)
{
	for (int entry = 1; entry <= level->count; entry++)
	{
		RangeTblEntry *source = rt_fetch(entry, level->query->rtable);
		Outcome outcome = { 0 };

		if (source->rtekind != RTE_SUBQUERY || !source->lateral)
			continue;
		if (!look_at_level(source->subquery, level, level->shared, &outcome))
			return false;
		if (!outcome.is_tied)
			return mfi_tie_refuse(level->shared,
								  "it holds a lateral sub-select that is not tied to client_id");
	}
	return true;
}

static bool
look_at_level(Query *query, MfiLevel *outer, MfiShared *shared, Outcome *outcome)
{
	MfiLevel *level = make_level(query, outer, shared);
	Bitmapset *entries = NULL;

	check_stack_depth();
	if (query->groupingSets != NIL || query->hasRecursive)
		return mfi_tie_refuse(shared,
							  query->hasRecursive ? "it is recursive" : "it holds grouping sets");
	if (query->setOperations != NULL)
		return look_at_set_operation(query, level, outcome);
	for (int entry = 1; entry <= level->count; entry++)
		if (!look_at_entry(level, entry))
			return false;
	level->conjuncts = conjuncts_of(query->jointree->quals, NIL);
	if (!mfi_tie_from(level, (Node *) query->jointree, &entries) || !mfi_tie_choose_class(level))
		return false;
	outcome->is_constant = bms_num_members(level->free) == level->count;
	outcome->is_tied = outcome->is_constant || mfi_tie_is_member(level, 0);
	find_keys(level, outcome);
	if (!outcome->is_tied && !is_about_one(query, outcome, shared))
		return false;
	if (query_tree_walker(query, look_at_expression, level,
						  QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES |
							  QTW_IGNORE_JOINALIASES) ||
		!look_at_lateral(level))
		return false;
	/* With a lateral sub-select or one in an expression it is no constant. */
	outcome->is_constant &= !query->hasSubLinks;
	narrow(level, (Node *) query->jointree, &query->jointree->quals);
	return true;
}

const char *
mfi_local_restrict(Query *query)
{
	MfiShared shared = { 0 };
	Outcome outcome = { 0 };

	if (!look_at_level(query, NULL, &shared, &outcome))
		return shared.reason;
	return bms_is_member(1, outcome.keys) ? NULL : "it does not tell whose its rows are";
}
