/*
 * tie.c
 *		What ties the relations of a query together.
 *
 * Entries of FROM are put into classes by the equalities that hold for every
 * row. All in one class: the rows that meet are one client's.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "segment/tie.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

static const MfiTracked tracked[] = {
	{ "client", true, false, false },		{ "client_profile", true, false, false },
	{ "application", false, false, false }, { "loan", false, true, true },
	{ "installment", false, true, false },	{ "payment", false, true, false },
	{ "loan_party", false, true, true },	{ "holding", false, false, false },
	{ "event", true, false, false },		{ "event_log", true, false, false },
	{ "consent", true, false, false },		{ "client_trait", true, false, false },
	{ "identity", true, false, false },
};
static const MfiTracked segment_view = { "segment", true, false, false };

bool
mfi_tie_refuse(MfiShared *shared, const char *reason)
{
	if (shared->reason == NULL)
		shared->reason = reason;
	return false;
}

bool
mfi_tie_is_segment(Oid relation)
{
	Oid schema = get_namespace_oid("mfiauto_segment", true);

	return OidIsValid(schema) && get_rel_namespace(relation) == schema;
}

/* ---- Classes ---- */

static int
class_of(const int *classes, int entry)
{
	while (classes[entry] != entry)
		entry = classes[entry];
	return entry;
}

static void
unite(int *classes, int left, int right)
{
	classes[class_of(classes, left)] = class_of(classes, right);
}

void
mfi_tie_join(MfiLevel *level, int left, int right)
{
	unite(level->client, left, right);
	unite(level->any, left, right);
}

bool
mfi_tie_is_member(const MfiLevel *level, int entry)
{
	return class_of(level->client, entry) == class_of(level->client, level->member);
}

/*
 * is_attached tells an entry whose loan is one that the clients of a class
 * answer for.
 */
static bool
is_attached(const MfiLevel *level, int entry, int member)
{
	int loan = class_of(level->loan, entry);
	int client = class_of(level->client, member);

	for (int other = 0; other <= level->count; other++)
		if (class_of(level->loan, other) == loan && class_of(level->client, other) == client &&
			(other == 0 || (level->relations[other] != NULL && level->relations[other]->is_owner)))
			return true;
	return false;
}

/* ---- Keys ---- */

const MfiTracked *
mfi_tie_find_tracked(Oid relation)
{
	const char *name = get_rel_name(relation);

	if (mfi_tie_is_segment(relation))
		return &segment_view;
	if (get_rel_namespace(relation) != get_namespace_oid("mfiauto", false))
		return NULL;
	for (size_t i = 0; i < lengthof(tracked); i++)
		if (strcmp(tracked[i].name, name) == 0 &&
			get_atttype(relation, get_attnum(relation, "client_id")) == INT8OID)
			return &tracked[i];
	return NULL;
}

/*
 * strip_casts looks through casts between whole numbers: they stay the client's.
 */
static Node *
strip_casts(Node *node)
{
	while (node != NULL)
	{
		FuncExpr *call = (FuncExpr *) node;

		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, FuncExpr) &&
				 (call->funcid == F_INT4_INT8 || call->funcid == F_INT8_INT4))
			node = linitial(call->args);
		else
			break;
	}
	return node;
}

/*
 * resolve finds the entry and column that a Var stands for, in the level that
 * it belongs to; joins give way to what they join.
 */
MfiLevel *
mfi_tie_resolve(Node *node, MfiLevel *level, int *entry, AttrNumber *column)
{
	Var *var;

	node = strip_casts(node);
	if (node == NULL || !IsA(node, Var))
		return NULL;
	var = (Var *) node;
	for (Index up = var->varlevelsup; up > 0 && level != NULL; up--)
		level = level->outer;
	if (level == NULL || var->varattno <= 0)
		return NULL;
	if (rt_fetch(var->varno, level->query->rtable)->rtekind == RTE_JOIN)
	{
		RangeTblEntry *join = rt_fetch(var->varno, level->query->rtable);

		return mfi_tie_resolve(list_nth(join->joinaliasvars, var->varattno - 1), level, entry,
							   column);
	}
	*entry = var->varno;
	*column = var->varattno;
	return level;
}

static KeyKind
kind_of_column(const MfiLevel *level, int entry, AttrNumber column)
{
	RangeTblEntry *source = rt_fetch(entry, level->query->rtable);
	const char *name;

	if (source->rtekind != RTE_RELATION)
		return bms_is_member(column, level->keys[entry]) ? KEY_CLIENT : KEY_NONE;
	if (level->relations[entry] == NULL)
		return KEY_NONE;
	name = get_attname(source->relid, column, false);
	if (strcmp(name, "client_id") == 0)
		return KEY_CLIENT;
	return level->relations[entry]->has_loan && strcmp(name, "loan_id") == 0 ? KEY_LOAN : KEY_NONE;
}

/*
 * key_of tells whether an expression is a client's or a loan's number, and of
 * which entry; 0: that of the client whom the queries around are about.
 */
KeyKind
mfi_tie_key(Node *node, MfiLevel *level, int *entry)
{
	AttrNumber column;
	MfiLevel *home = mfi_tie_resolve(node, level, entry, &column);
	KeyKind kind = home == NULL ? KEY_NONE : kind_of_column(home, *entry, column);

	if (home == level || kind == KEY_NONE)
		return kind;
	if (kind == KEY_CLIENT ? !mfi_tie_is_member(home, *entry)
						   : !is_attached(home, *entry, home->member))
		return KEY_NONE;
	*entry = 0;
	return kind;
}

bool
mfi_tie_is_equality(const OpExpr *operation)
{
	return list_length(operation->args) == 2 &&
		   op_mergejoinable(operation->opno, exprType(linitial(operation->args)));
}

/* ---- What ties the entries together ---- */

/*
 * tie notes the equalities that hold for every row which passes a condition.
 * Those of an outer join bind only the side that it may leave out (nullable),
 * once: its other side's rows are there whatever the condition says.
 */
static bool
tie(MfiLevel *level, Node *condition, const Bitmapset *nullable)
{
	ListCell *cell;
	KeyKind kind;
	int left;
	int right;

	if (condition == NULL)
		return false;
	if (is_andclause(condition))
	{
		foreach (cell, ((BoolExpr *) condition)->args)
			if (tie(level, lfirst(cell), nullable))
				return true;
		return false;
	}
	if (!IsA(condition, OpExpr) || !mfi_tie_is_equality((OpExpr *) condition))
		return false;
	kind = mfi_tie_key(linitial(((OpExpr *) condition)->args), level, &left);
	if (kind == KEY_NONE ||
		kind != mfi_tie_key(lsecond(((OpExpr *) condition)->args), level, &right) ||
		(nullable != NULL && bms_is_member(left, nullable) == bms_is_member(right, nullable)))
		return false;
	unite(kind == KEY_CLIENT ? level->client : level->loan, left, right);
	unite(level->any, left, right);
	return nullable != NULL;
}

static bool
are_connected(const MfiLevel *level, const Bitmapset *entries)
{
	int class = -1;
	int entry = -1;

	while ((entry = bms_next_member(entries, entry)) >= 0)
	{
		if (bms_is_member(entry, level->free))
			continue;
		if (class >= 0 && class_of(level->any, entry) != class)
			return false;
		class = class_of(level->any, entry);
	}
	return true;
}

static bool
tie_join(MfiLevel *level, JoinExpr *join, Bitmapset **entries)
{
	Bitmapset *left = NULL;
	Bitmapset *right = NULL;
	Bitmapset *nullable;

	if (join->alias != NULL)
		return mfi_tie_refuse(level->shared, "it gives a join a name of its own");
	if (!mfi_tie_from(level, join->larg, &left) || !mfi_tie_from(level, join->rarg, &right))
		return false;
	*entries = bms_union(left, right);
	if (join->jointype == JOIN_INNER)
	{
		(void) tie(level, join->quals, NULL);
		return true;
	}
	if (join->jointype != JOIN_LEFT && join->jointype != JOIN_RIGHT)
		return mfi_tie_refuse(level->shared, "it holds a full join");
	nullable = join->jointype == JOIN_LEFT ? right : left;
	level->outered = bms_add_members(level->outered, nullable);
	if (!are_connected(level, left) || !are_connected(level, right) ||
		(!tie(level, join->quals, nullable) && !bms_is_subset(nullable, level->free)))
		return mfi_tie_refuse(level->shared, "it holds an outer join that is not on client_id");
	return true;
}

bool
mfi_tie_from(MfiLevel *level, Node *node, Bitmapset **entries)
{
	ListCell *cell;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
		*entries = bms_make_singleton(((RangeTblRef *) node)->rtindex);
	else if (IsA(node, JoinExpr))
		return tie_join(level, (JoinExpr *) node, entries);
	else
	{
		foreach (cell, ((FromExpr *) node)->fromlist)
		{
			Bitmapset *inside = NULL;

			if (!mfi_tie_from(level, lfirst(cell), &inside))
				return false;
			*entries = bms_join(*entries, inside);
		}
		(void) tie(level, ((FromExpr *) node)->quals, NULL);
	}
	return true;
}

/*
 * choose_class finds the class that every entry is in or attached to.
 */
bool
mfi_tie_choose_class(MfiLevel *level)
{
	for (level->member = 0; level->member <= level->count; level->member++)
	{
		bool fits = !bms_is_member(level->member, level->free);

		CHECK_FOR_INTERRUPTS();
		for (int entry = 1; fits && entry <= level->count; entry++)
			fits = bms_is_member(entry, level->free) || mfi_tie_is_member(level, entry) ||
				   is_attached(level, entry, level->member);
		if (fits)
			return true;
	}
	return mfi_tie_refuse(level->shared, "what it reads is not joined on client_id throughout");
}
