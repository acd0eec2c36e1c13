/*
 * tie.h
 *		The levels of a query, and what ties the relations of one together.
 */
#ifndef MFI_SEGMENT_TIE_H
#define MFI_SEGMENT_TIE_H

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

typedef struct MfiTracked
{
	const char *name;
	bool is_solid; /* client_id is never null */
	bool has_loan; /* loan_id may join it to its loan */
	bool is_owner; /* its client answers for its loan */
} MfiTracked;

typedef enum KeyKind
{
	KEY_NONE,
	KEY_CLIENT,
	KEY_LOAN
} KeyKind;

typedef struct MfiShared
{
	const char *reason;
	List *ctes;
} MfiShared;

/*
 * A query being looked at. Entries of the range table are put into classes;
 * entry 0 stands for the client of the queries around.
 */
typedef struct MfiLevel
{
	MfiShared *shared;
	Query *query;
	struct MfiLevel *outer;
	int count;
	const MfiTracked **relations; /* by entry; NULL: no relation */
	Bitmapset **keys;			  /* of subqueries: columns that are the client */
	Bitmapset **solids;
	Bitmapset *free;	/* entries that need no tie */
	Bitmapset *outered; /* entries that an outer join may leave out */
	int *client;		/* classes by client_id */
	int *loan;			/* classes by loan_id */
	int *any;			/* by either */
	int member;			/* an entry of the class that the level is about */
	List *conjuncts;	/* sub-selects that every row passes */
} MfiLevel;

/* False, and why: the first reason stays. */
extern bool mfi_tie_refuse(MfiShared *shared, const char *reason);

/* What is followed of a relation; NULL: it is not. */
extern const MfiTracked *mfi_tie_find_tracked(Oid relation);

/* Whether a relation is a segment's view. */
extern bool mfi_tie_is_segment(Oid relation);

/* Puts two entries into one class by client. */
extern void mfi_tie_join(MfiLevel *level, int left, int right);

/* Whether an entry is in the class that its level is about. */
extern bool mfi_tie_is_member(const MfiLevel *level, int entry);

/* The entry and column that an expression stands for, in the level it belongs to; NULL: none. */
extern MfiLevel *mfi_tie_resolve(Node *node, MfiLevel *level, int *entry, AttrNumber *column);

/*
 * Whether an expression is a client's or a loan's number, and of which entry;
 * 0: that of the client whom the queries around are about.
 */
extern KeyKind mfi_tie_key(Node *node, MfiLevel *level, int *entry);
extern bool mfi_tie_is_equality(const OpExpr *operation);

/* Ties together what a FROM clause (or a part of it) joins, and lists its entries. */
extern bool mfi_tie_from(MfiLevel *level, Node *node, Bitmapset **entries);

/* Finds the class that every entry is in or attached to. */
extern bool mfi_tie_choose_class(MfiLevel *level);

#endif /* MFI_SEGMENT_TIE_H */
