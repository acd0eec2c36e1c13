/*
 * plan.c
 *		The statements of a pass.
 *
 * All text is static: which workflow, step or client is meant comes in
 * parameters, and users' conditions are run by mfiauto._evaluate() with their
 * owner's rights. The order matters: what the books end or move is settled
 * before anybody enters, and both before anything is sent.
 */
#include "postgres.h"

#include "engine/plan.h"

#define LIST(function) \
	"SELECT w.workflow_id, w.version, w.step_no, w.client_ids, w.ids, w.subject_ids FROM mfiauto." function "($1) w"
#define TREAT(function) \
	"SELECT t.entered, t.advanced, t.exited, t.messages FROM mfiauto." function "($1, $2, $3, $4, $5, $6) t"

const MfiConcern mfi_plan_concerns[] = {
	{"review", LIST("_review_work"), TREAT("_review"), true},
	{"trigger", LIST("_trigger_work"), TREAT("_trigger"), true},
	{"calendar", LIST("_calendar_work"), TREAT("_calendar"), true},
	{"enter", LIST("_enter_work"), TREAT("_enter"), true},
	{"channel", LIST("_channel_work"), TREAT("_next_channel"), true},
	{"fallback", LIST("_fallback_work"), TREAT("_fall_back"), true},
	{"held", LIST("_held_work"), TREAT("_release_held"), false},
	{"step", LIST("_due_work"), TREAT("_run_step"), true},
	{NULL, NULL, NULL, false}
};
