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
	bool is_awaited;	  /* over a run and an event: $2 is subject ids, then as many event ids */
} MfiConditionScope;

/* What an expression must give. */
typedef enum MfiValueKind
{
	MFI_VALUE_CONDITION, /* boolean */
	MFI_VALUE_MOMENT,	 /* date, timestamp or timestamptz, as text in ISO 8601 */
	MFI_VALUE_JSON		 /* anything, as the text of its to_jsonb() */
} MfiValueKind;

/* Whether the binding of a canonical role has a value for the column; 42704, 42703 with a HINT else. */
extern void mfi_expression_require_column(const MfiConditionScope *scope, const char *role,
										  const char *column);

/*
 * Checks one condition and returns the query that evaluates it: $1 bigint[]
 * client ids, $2 bigint[] subject ids (event ids for a trigger), $3 timestamptz
 * now; rows (ord integer, verdict boolean). Needs SPI.
 */
extern char *mfi_expression_compile(const MfiConditionScope *scope, const char *condition);

/*
 * The same for an expression that gives a value: rows (ord integer, value
 * text), for mfiauto._evaluate_text(). *type (may be NULL) becomes the name of
 * the type that the expression has: of a moment "date", "timestamp" or
 * "timestamptz".
 */
extern char *mfi_expression_compile_value(const MfiConditionScope *scope, const char *text,
										  MfiValueKind kind, const char **type);

#endif /* MFI_ENGINE_EXPRESSION_H */
