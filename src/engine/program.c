/*
 * program.c
 *		From a workflow's definition to its program.
 *
 * The engine runs any workflow as "for each step that has due enrollments, one
 * set-based statement". For that a version is flat: steps numbered in the order
 * of the text, each with the number of the step that follows it; after a branch
 * comes the step after its "if". Whatever a step names must exist now, so that
 * nothing is found missing at night; the program is returned as JSON and stored
 * by create_workflow().
 */
#include "postgres.h"

#include "base/json.h"
#include "catalog/pg_type.h"
#include "engine/entry.h"
#include "engine/lookup.h"
#include "engine/program.h"
#include "engine/writing.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mfiauto_compile_workflow);

static void write_trigger(StringInfo out, const MfiDefinition *definition, Oid owner);
static void write_version(StringInfo out, const MfiDefinition *definition, Oid owner);

/*
 * SQL: mfiauto._compile_workflow(name text, definition text, role regrole)
 * RETURNS text.
 */
Datum
mfiauto_compile_workflow(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *source = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid owner = get_role_oid(text_to_cstring(PG_GETARG_TEXT_PP(2)), false);
	MemoryContext caller = CurrentMemoryContext;
	MfiDefinition *definition = mfi_definition_read(name, source);
	char *program;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	program = MemoryContextStrdup(caller, mfi_program_compile(definition, owner));
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(program));
}

char *
mfi_program_compile(MfiDefinition *definition, Oid owner)
{
	StringInfoData out;

	if (definition->class == NULL)
		definition->class = "marketing";
	else
		mfi_lookup_check_class(definition, "class", definition->class);
	if (definition->anchor != NULL)
		mfi_entry_check_anchor(definition);
	else
		mfi_entry_check_trigger(definition);
	mfi_program_check_steps(definition, definition->steps);
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"version\": ");
	write_version(&out, definition, owner);
	appendStringInfoString(&out, ", \"steps\": [");
	mfi_program_write_steps(&out, definition, owner, definition->steps, 0);
	appendStringInfoString(&out, "]}");
	return out.data;
}

/*
 * write_filters writes JSON objects as a list.
 */
static void
write_filters(StringInfo out, List *filters)
{
	StringInfoData list;
	ListCell *cell;

	if (filters == NIL)
		return;
	initStringInfo(&list);
	foreach (cell, filters)
		appendStringInfo(&list, "%s%s", cell == list_head(filters) ? "[" : ", ",
						 (char *) lfirst(cell));
	appendStringInfoChar(&list, ']');
	mfi_writing_json(out, "trigger_filters", list.data);
}

static void
write_trigger(StringInfo out, const MfiDefinition *definition, Oid owner)
{
	const MfiTrigger *trigger = definition->trigger;

	mfi_writing_member(out, "trigger_kind", trigger == NULL ? "anchor" : trigger->kind);
	mfi_writing_json(out, "trigger_existing",
					 trigger != NULL && trigger->existing ? "true" : "false");
	if (trigger == NULL)
		return;
	mfi_writing_words(out, "trigger_events", trigger->events);
	write_filters(out, trigger->filters);
	mfi_writing_member(out, "trigger_condition", trigger->condition);
	mfi_writing_member(
		out, "trigger_sql",
		mfi_writing_condition(definition, owner, "trigger.if", trigger->condition, true));
	mfi_writing_number(out, "trigger_count", trigger->count);
	mfi_writing_member(out, "trigger_within", trigger->within);
	mfi_writing_member(out, "trigger_after", trigger->after);
	mfi_writing_member(out, "trigger_cron", trigger->cron);
	mfi_writing_member(out, "trigger_zone", trigger->zone);
	mfi_writing_member(out, "trigger_segment", trigger->segment);
	mfi_writing_member(out, "trigger_column", trigger->column);
	mfi_writing_member(out, "trigger_at", trigger->at);
	mfi_writing_number(out, "trigger_minimum_years", trigger->minimum_years);
	mfi_writing_member(out, "trigger_leap_day", trigger->leap_day);
	mfi_writing_member(out, "trigger_trait", trigger->trait);
	mfi_writing_member(out, "trigger_limit", trigger->limit);
	mfi_writing_member(out, "trigger_rearm", trigger->rearm);
}

static void
write_version(StringInfo out, const MfiDefinition *definition, Oid owner)
{
	mfi_entry_note_unknown_event(definition, "goal.event", definition->goal_event);
	appendStringInfoChar(out, '{');
	mfi_writing_member(out, "owner", GetUserNameFromId(owner, false));
	mfi_writing_member(out, "subject", definition->subject);
	mfi_writing_member(out, "anchor_column", definition->anchor);
	write_trigger(out, definition, owner);
	mfi_writing_member(out, "class", definition->class);
	mfi_writing_member(out, "enter_if", definition->enter_if);
	mfi_writing_member(
		out, "enter_sql",
		mfi_writing_condition(definition, owner, "enter_if", definition->enter_if, false));
	mfi_writing_member(out, "exit_if", definition->exit_if);
	mfi_writing_member(
		out, "exit_sql",
		mfi_writing_condition(definition, owner, "exit_if", definition->exit_if, false));
	mfi_writing_member(out, "reentry", definition->reentry);
	mfi_writing_member(out, "reentry_after", definition->reentry_after);
	mfi_writing_member(out, "goal_event", definition->goal_event);
	mfi_writing_member(out, "goal_within", definition->goal_within);
	mfi_writing_member(out, "exit_on_goal", definition->exit_on_goal ? "true" : "false");
	mfi_writing_member(out, "holdout", definition->holdout);
	mfi_writing_member(out, "resend_if_moved", psprintf("%d", definition->resend_if_moved));
	mfi_writing_number(out, "max_per_day", definition->max_per_day);
	appendStringInfoChar(out, '}');
}
