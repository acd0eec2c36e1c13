/*
 * definition.h
 *		A workflow's definition, read from JSON into structs that the rest of
 *		the compiler checks against the installation and writes as a program.
 *
 * definition.c and step.c know the language: keys, types, order, what comes later.
 * program.c knows the installation: templates, classes, bindings, conditions.
 */
#ifndef MFI_ENGINE_DEFINITION_H
#define MFI_ENGINE_DEFINITION_H

#include "base/json.h"
#include "nodes/pg_list.h"

typedef enum MfiStepKind
{
	MFI_STEP_SEND,
	MFI_STEP_WAIT,
	MFI_STEP_IF,
	MFI_STEP_TASK,
	MFI_STEP_END
} MfiStepKind;

/* A day relative to the anchor and a local time of day. */
typedef struct MfiMoment
{
	int days;
	int second;		  /* of the day */
	const char *time; /* HH:MM:SS; NULL: no moment of its own */
} MfiMoment;

/* One step; texts are NULL where the definition has none. */
typedef struct MfiStep
{
	int number; /* from 1, in order of the text */
	MfiStepKind kind;
	const char *path;
	MfiMoment at;
	const char *wait;
	const char *template;
	List *channels; /* of char * */
	const char *class;
	const char *expires;
	const char *condition;
	List *then_steps; /* of MfiStep * */
	List *else_steps;
	const char *task_title;
	const char *assignee;
	const char *due_after;
} MfiStep;

typedef struct MfiDefinition
{
	const char *name;	 /* of the workflow, for messages */
	const char *subject; /* for_each, or what the event is about */
	const char *anchor;	 /* column of the subject; NULL: triggered by an event */
	const char *trigger_event;
	const char *trigger_condition;
	const char *class;
	const char *enter_if;
	const char *exit_if;
	const char *reentry; /* never, always, interval */
	const char *reentry_after;
	const char *goal_event;
	const char *goal_within;
	bool exit_on_goal;
	const char *holdout; /* percent, as text */
	int resend_if_moved;
	int max_per_day; /* 0: no limit */
	List *steps;
	int step_count;
} MfiDefinition;

/* How far from its anchor a step may be, in days. */
#define MFI_ANCHOR_DAYS_MAX 3660

/* Reads the list under "steps". */
extern List *mfi_step_read_all(MfiDefinition *definition, json_t *list);

/* Reads and checks the language; every error names the JSON path. */
extern MfiDefinition *mfi_definition_read(const char *workflow, const char *text);

/*
 * Refuses a place of the definition: what was expected there, what was found
 * (already described), what to do.
 */
extern void mfi_definition_refuse(const char *workflow, const char *path, int sqlstate,
								  const char *expected, const char *found, const char *hint)
	pg_attribute_noreturn();

#endif /* MFI_ENGINE_DEFINITION_H */
