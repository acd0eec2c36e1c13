/*
 * definition.h
 *		A workflow's definition, read from JSON into structs that the rest of
 *		the compiler checks against the installation and writes as a program.
 *
 * definition.c, trigger.c and step.c know the language: keys, types, order, what comes later.
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
	MFI_STEP_WAIT_FOR,
	MFI_STEP_IF,
	MFI_STEP_SWITCH,
	MFI_STEP_SPLIT,
	MFI_STEP_REPEAT,
	MFI_STEP_SET,
	MFI_STEP_ADD_TO,
	MFI_STEP_REMOVE_FROM,
	MFI_STEP_TASK,
	MFI_STEP_EMIT,
	MFI_STEP_ENROLL,
	MFI_STEP_EXIT,
	MFI_STEP_END
} MfiStepKind;

/* A day relative to the anchor and a local time of day. */
typedef struct MfiMoment
{
	int days;
	int second;		  /* of the day */
	const char *time; /* HH:MM:SS; NULL: no moment of its own */
} MfiMoment;

/* One of several ways on: of a switch, a split, a task with outcomes. */
typedef struct MfiBranch
{
	const char *name; /* of an arm or an outcome */
	const char *path; /* of its condition */
	const char *condition;
	const char *weight; /* as text */
	List *steps;		/* of MfiStep *; may be empty */
} MfiBranch;

/* A name with its value: a constant, or an expression. */
typedef struct MfiSetting
{
	const char *name;
	const char *path;
	const char *constant; /* JSON */
	const char *sql;
} MfiSetting;

/* One step; texts are NULL where the definition has none. */
typedef struct MfiStep
{
	int number; /* from 1, in order of the text */
	MfiStepKind kind;
	const char *path;
	MfiMoment at;
	const char *wait;
	const char *wait_most; /* with wait: a time drawn between the two */
	const char *wait_time;
	int wait_weekday; /* ISO; 0: any */
	int wait_working_days;
	const char *wait_date; /* expression */
	List *events;		   /* of char *; NIL: the condition is asked for itself */
	bool since_entry;
	const char *check_every;
	const char *timeout;
	int at_most; /* rounds of a repeat */
	int loop_no; /* the innermost repeat that it stands in; 0: none */
	const char *fallback_after;
	const char *template;
	List *channels; /* of char * */
	const char *class;
	const char *expires;
	const char *condition;
	List *then_steps; /* of MfiStep * */
	List *else_steps;
	List *branches; /* of MfiBranch * */
	const char *task_title;
	const char *assignee;
	const char *due_after;
	List *settings; /* of MfiSetting *: what set, emit and enroll carry */
	const char *segment;
	const char *event_name;
	const char *target; /* name of another workflow */
	bool is_webhook;
} MfiStep;

/*
 * What makes a client enter; kind is the key that tells it, and workflow_version.trigger_kind.
 * Texts are NULL and lists NIL where the kind has none.
 */
typedef struct MfiTrigger
{
	const char *kind;
	List *events;	 /* of char * */
	List *filters;	 /* of char *, JSON objects; NIL: any event counts */
	List *status_to; /* of char * */
	const char *condition;
	int count; /* of events within a time; 0: each counts */
	const char *within;
	const char *after; /* inactive: for how long */
	const char *cron;
	const char *zone;
	const char *segment;
	const char *role;	/* of a status or a yearly date */
	const char *column; /* role.column */
	const char *at;
	int minimum_years;
	const char *leap_day;
	const char *trait;
	const char *limit;
	const char *rearm;
	bool existing;
} MfiTrigger;

typedef struct MfiDefinition
{
	const char *name;	 /* of the workflow, for messages */
	const char *subject; /* for_each, or what the event is about */
	const char *anchor;	 /* column of the subject; NULL: there is a trigger */
	MfiTrigger *trigger; /* NULL: anchored */
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

/*
 * The lists of steps that a client may be sent into from a step, empty ones
 * too; NIL if there is only the step that follows. Those of a repeat are not
 * ways on: its list comes back.
 */
extern List *mfi_step_ways(const MfiStep *step);

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
