/*
 * expression.h
 *		SQL conditions of workflows: checked when a definition is created, and
 *		turned into complete set-based queries.
 */
#ifndef MFI_ENGINE_EXPRESSION_H
#define MFI_ENGINE_EXPRESSION_H

/* Where a condition stands and what it may speak of. */
typedef struct MfiConditionScope
{
	const char *workflow; /* for messages */
	const char *path;	  /* place in the definition */
	const char *subject;  /* canonical role of the workflow's subject */
	Oid owner;			  /* role with whose rights it is evaluated */
	bool is_trigger;	  /* over an event: $2 of the query is event ids */
} MfiConditionScope;

/* Whether the binding of a canonical role has a value for the column; 42704, 42703 with a HINT else. */
extern void mfi_expression_require_column(const MfiConditionScope *scope, const char *role,
										  const char *column);

/*
 * Checks one condition and returns the query that evaluates it: $1 bigint[]
 * client ids, $2 bigint[] subject ids (event ids for a trigger), $3 timestamptz
 * now; rows (ord integer, verdict boolean). Needs SPI.
 */
extern char *mfi_expression_compile(const MfiConditionScope *scope, const char *condition);

#endif /* MFI_ENGINE_EXPRESSION_H */
