/*
 * definition.c
 *		The language of workflow definitions: keys, types, order.
 *
 * Nothing here looks at the database. A definition that passes is complete in
 * itself: every key is known, every value of its type, the moments of a list
 * are in order, and every step can be reached. Nothing accepted is ever
 * ignored.
 */
#include "postgres.h"

#include <limits.h>

#include "base/json.h"
#include "engine/definition.h"
#include "engine/reading.h"
#include "engine/trigger.h"

#define DEFINITION_BYTES_MAX (1024 * 1024)

static void read_entry(MfiDefinition *definition, json_t *root);
static void read_goal(MfiDefinition *definition, json_t *root);
static void read_reentry(MfiDefinition *definition, json_t *root);
static void read_limits(MfiDefinition *definition, json_t *root);

MfiDefinition *
mfi_definition_read(const char *workflow, const char *text)
{
	MfiDefinition *definition = palloc0(sizeof(MfiDefinition));
	json_t *root;

	definition->name = workflow;
	if (strlen(text) > DEFINITION_BYTES_MAX)
		mfi_definition_refuse(workflow, "the definition", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d bytes", DEFINITION_BYTES_MAX),
							  psprintf("%zu", strlen(text)), "Split the workflow in two.");
	root = mfi_json_parse(text, "workflow definition");
	if (!json_is_object(root))
		mfi_reading_refuse(definition, "the definition", "an object", root,
						   "Write {\"trigger\": {…}, \"steps\": […]} or {\"for_each\": …, "
						   "\"anchor\": …, \"steps\": […]}.");
	mfi_reading_check_keys(definition, root, "",
						   MFI_WORDS("for_each", "anchor", "trigger", "class", "enter_if",
									 "exit_if", "reentry", "goal", "exit_on_goal", "holdout",
									 "resend_if_moved", "max_per_day", "steps"));
	read_entry(definition, root);
	definition->class = mfi_reading_name(definition, root, "", "class", false, "a message class",
										 "mfiauto.message_class lists the classes.");
	definition->enter_if = mfi_reading_condition(definition, root, "", "enter_if", false);
	definition->exit_if = mfi_reading_condition(definition, root, "", "exit_if", false);
	read_reentry(definition, root);
	read_goal(definition, root);
	read_limits(definition, root);
	definition->steps = mfi_step_read_all(definition, json_object_get(root, "steps"));
	return definition;
}

/*
 * read_entry reads what makes a client enter: the anchor's date or an event.
 */
static void
read_entry(MfiDefinition *definition, json_t *root)
{
	bool has_anchor = json_object_get(root, "anchor") != NULL;
	bool has_trigger = json_object_get(root, "trigger") != NULL;

	if (has_anchor == has_trigger)
		mfi_definition_refuse(
			definition->name, has_anchor ? "anchor" : "trigger", ERRCODE_INVALID_PARAMETER_VALUE,
			"either \"for_each\" with \"anchor\", or \"trigger\"", has_anchor ? "both" : "neither",
			"Say once what makes a client enter, for example \"for_each\": \"installment\", "
			"\"anchor\": \"due_date\".");
	if (has_trigger)
		mfi_trigger_read(definition, json_object_get(root, "trigger"));
	definition->anchor =
		mfi_reading_name(definition, root, "", "anchor", false, "the name of a date column",
						 "Name a date of the subject, for example \"due_date\" of installment.");
	if (has_anchor || json_object_get(root, "for_each") != NULL)
		definition->subject = mfi_reading_name(
			definition, root, "", "for_each", true, "the name of a canonical role",
			"Name the role that is followed one by one, for example \"installment\".");
}

/*
 * default_reentry: what the calendar brings again and again may enter again.
 */
static const char *
default_reentry(const MfiDefinition *definition)
{
	if (definition->trigger != NULL &&
		mfi_words_have(MFI_WORDS("inactive", "schedule", "yearly"), definition->trigger->kind))
		return "always";
	return "never";
}

static void
read_reentry(MfiDefinition *definition, json_t *root)
{
	static const char expected[] = "\"never\", \"always\" or an interval";
	static const char hint[] =
		"An interval says how long after the beginning of a run the next may begin: \"90 days\".";
	char *reentry = mfi_reading_text(definition, root, "", "reentry", false, expected, hint);

	definition->reentry = reentry == NULL ? default_reentry(definition) : reentry;
	if (reentry == NULL || strcmp(reentry, "never") == 0)
		return;
	if (strcmp(reentry, "always") != 0 && !mfi_reading_is_duration(reentry))
		mfi_reading_refuse(definition, "reentry", expected, json_object_get(root, "reentry"), hint);
	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, "reentry", "\"never\" in an anchored workflow",
						   json_object_get(root, "reentry"),
						   "Leave it out: a run around a date is opened again by itself when the "
						   "date moves or the books take back what had ended it.");
	if (strcmp(reentry, "always") == 0)
		return;
	definition->reentry = "interval";
	definition->reentry_after = reentry;
}

static void
read_goal(MfiDefinition *definition, json_t *root)
{
	json_t *goal = json_object_get(root, "goal");

	definition->exit_on_goal = mfi_reading_flag(definition, root, "", "exit_on_goal");
	if (goal == NULL)
	{
		if (definition->exit_on_goal)
			mfi_reading_refuse(definition, "exit_on_goal", "a workflow with a \"goal\"",
							   json_object_get(root, "exit_on_goal"),
							   "Add the goal or leave \"exit_on_goal\" out.");
		return;
	}
	if (!json_is_object(goal))
		mfi_reading_refuse(definition, "goal", "an object", goal,
						   "Write {\"event\": \"Payment Received\", \"within\": \"3 days\"}.");
	mfi_reading_check_keys(definition, goal, "goal", MFI_WORDS("event", "within"));
	definition->goal_event =
		mfi_reading_name(definition, goal, "goal", "event", true, "the name of an event",
						 "Write {\"event\": \"Payment Received\", \"within\": \"3 days\"}.");
	definition->goal_within = mfi_reading_duration(definition, goal, "goal", "within", true);
}

static void
read_limits(MfiDefinition *definition, json_t *root)
{
	json_t *holdout = json_object_get(root, "holdout");

	definition->holdout = "0";
	if (holdout != NULL)
	{
		if (!json_is_number(holdout) || json_number_value(holdout) < 0 ||
			json_number_value(holdout) >= 100)
			mfi_reading_refuse(
				definition, "holdout", "a number from 0 to less than 100", holdout,
				"It is the percentage of clients who are not written to, for comparison.");
		definition->holdout = psprintf("%.10g", json_number_value(holdout));
	}
	if (definition->anchor == NULL && json_object_get(root, "resend_if_moved") != NULL)
		mfi_reading_refuse(
			definition, "resend_if_moved", "an anchored workflow",
			json_object_get(root, "resend_if_moved"),
			"It says by how many days an anchor must move for a step to be sent again.");
	definition->resend_if_moved =
		mfi_reading_whole_number(definition, root, "resend_if_moved", 0, MFI_ANCHOR_DAYS_MAX, 3);
	definition->max_per_day =
		mfi_reading_whole_number(definition, root, "max_per_day", 1, INT_MAX, 0);
}
