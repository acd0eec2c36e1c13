/*
 * plan.h
 *		What a pass consists of: concerns, each two statements.
 */
#ifndef MFI_ENGINE_PLAN_H
#define MFI_ENGINE_PLAN_H

typedef struct MfiConcern
{
	const char *name;

	/* Lists who is concerned, in chunks of at most $1: workflow, version, step, clients, ids, subjects. */
	const char *list;

	/* Treats such a chunk ($1 to $6); returns what became of it: entered, advanced, exited, messages. */
	const char *treat;

	/* Whether one that fails alone is set aside; else it stays as it is until the next pass. */
	bool		parks;
} MfiConcern;

/* In the order in which a pass takes them; the last has a NULL name. */
extern const MfiConcern mfi_plan_concerns[];

#endif							/* MFI_ENGINE_PLAN_H */
