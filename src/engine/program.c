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
#include "engine/definition.h"
#include "engine/expression.h"
#include "engine/program.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"

/* What standard events are about. */
static const char *const standard_events[][2] = { { "Client Created", "client" },
												  { "Client Activated", "client" },
												  { "Client Closed", "client" },
												  { "Loan Applied", "loan" },
												  { "Loan Approved", "loan" },
												  { "Loan Rejected", "loan" },
												  { "Loan Disbursed", "loan" },
												  { "Loan Closed", "loan" },
												  { "Loan Written Off", "loan" },
												  { "Installment Scheduled", "installment" },
												  { "Installment Rescheduled", "installment" },
												  { "Payment Received", "payment" },
												  { "Payment Reversed", "payment" },
												  { "Holding Opened", "holding" },
												  { "Holding Closed", "holding" },
												  { "Lead Created", "client" },
												  { "Message Received", "client" },
												  { NULL, NULL } };

/* Dates of the canonical roles; those with true can be an anchor in this version. */
static const struct
{
	const char *role;
	const char *column;
	bool is_supported;
} anchors[] = { { "installment", "due_date", true },
				{ "loan", "maturity_on", true },
				{ "installment", "paid_on", false },
				{ "loan", "applied_on", false },
				{ "loan", "approved_on", false },
				{ "loan", "disbursed_on", false },
				{ "loan", "closed_on", false },
				{ "loan", "written_off_on", false },
				{ "client", "birth_date", false },
				{ "client", "joined_on", false },
				{ "application", "started_at", false },
				{ "application", "submitted_at", false },
				{ "application", "decided_at", false },
				{ "payment", "paid_at", false },
				{ "holding", "opened_on", false },
				{ "holding", "closed_on", false },
				{ NULL, NULL, false } };

static const char *const subject_roles[] = { "client",	"application", "loan", "installment",
											 "payment", "holding",	   NULL };

static const char *const kind_words[] = { "send", "wait", "if", "task", "end" };

PG_FUNCTION_INFO_V1(mfiauto_compile_workflow);

static void check_anchor(const MfiDefinition *definition);
static void check_trigger(MfiDefinition *definition);
static void check_class(const MfiDefinition *definition, const char *path, const char *class);
static void check_steps(const MfiDefinition *definition, List *steps);
static void write_version(StringInfo out, const MfiDefinition *definition, Oid owner);
static void write_steps(StringInfo out, const MfiDefinition *definition, Oid owner, List *steps,
						int after);

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
		check_class(definition, "class", definition->class);
	if (definition->anchor != NULL)
		check_anchor(definition);
	else
		check_trigger(definition);
	check_steps(definition, definition->steps);
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"version\": ");
	write_version(&out, definition, owner);
	appendStringInfoString(&out, ", \"steps\": [");
	write_steps(&out, definition, owner, definition->steps, 0);
	appendStringInfoString(&out, "]}");
	return out.data;
}

/*
 * exists runs a query over one or two texts and tells whether it has a row.
 */
static bool
exists(const char *query, Datum one, Oid type_of_two, Datum two)
{
	Oid types[2] = { TEXTOID, type_of_two };
	Datum values[2] = { one, two };

	if (SPI_execute_with_args(query, OidIsValid(type_of_two) ? 2 : 1, types, values, NULL, true,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up what a workflow names");
	return SPI_processed > 0;
}

static char *
quoted(const char *word)
{
	return psprintf("\"%s\"", word);
}

static void
check_class(const MfiDefinition *definition, const char *path, const char *class)
{
	if (!exists("SELECT FROM mfiauto.message_class c WHERE c.class = $1",
				CStringGetTextDatum(class), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, path, ERRCODE_UNDEFINED_OBJECT, "a message class",
							  quoted(class), "mfiauto.message_class lists the classes.");
	if (strcmp(path, "class") == 0 && strtod(definition->holdout, NULL) > 0 &&
		!exists("SELECT FROM mfiauto.message_class c WHERE c.class = $1 AND c.holdout_allowed",
				CStringGetTextDatum(class), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, "holdout", ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("no holdout in class %s, which is exempt", quoted(class)),
							  psprintf("%g percent", strtod(definition->holdout, NULL)),
							  "Leave \"holdout\" out, or choose another class.");
}

static bool
is_subject_role(const char *role)
{
	for (int i = 0; subject_roles[i] != NULL; i++)
		if (strcmp(subject_roles[i], role) == 0)
			return true;
	return false;
}

static void
require_subject_role(const MfiDefinition *definition)
{
	if (!is_subject_role(definition->subject))
		mfi_definition_refuse(definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
							  "one of client, application, loan, installment, payment, holding",
							  quoted(definition->subject),
							  "Name the canonical role whose rows are followed one by one.");
}

static void
check_anchor(const MfiDefinition *definition)
{
	MfiConditionScope scope = { .workflow = definition->name,
								.path = "anchor",
								.subject = definition->subject };

	require_subject_role(definition);
	for (int i = 0; anchors[i].role != NULL; i++)
	{
		if (strcmp(anchors[i].role, definition->subject) != 0 ||
			strcmp(anchors[i].column, definition->anchor) != 0)
			continue;
		if (!anchors[i].is_supported)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("anchor \"%s.%s\" of workflow \"%s\" is not available yet",
								   definition->subject, definition->anchor, definition->name),
							errdetail("Available are: installment.due_date, loan.maturity_on."),
							errhint("Use one of these; nothing of the definition was stored.")));
		mfi_expression_require_column(&scope, definition->subject, definition->anchor);
		return;
	}
	mfi_definition_refuse(definition->name, "anchor", ERRCODE_UNDEFINED_COLUMN,
						  psprintf("a date column of %s", definition->subject),
						  quoted(definition->anchor),
						  "Anchors are due_date of installment and maturity_on of loan.");
}

/*
 * natural_subject tells what a standard event is about; NULL: not a standard
 * event.
 */
static const char *
natural_subject(const char *event)
{
	for (int i = 0; standard_events[i][0] != NULL; i++)
		if (strcmp(standard_events[i][0], event) == 0)
			return standard_events[i][1];
	return NULL;
}

/*
 * watched_subject tells what a watched event is about: a canonical role, or the
 * name of the table that watch() looks at; NULL if it names no subject.
 */
static const char *
watched_subject(const char *event)
{
	if (!exists("SELECT s.subject FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = $1 "
				"ORDER BY s.source_id",
				CStringGetTextDatum(event), InvalidOid, (Datum) 0))
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * note_unknown_event warns of events that nothing makes yet: track() may, but
 * most likely the name is misspelled.
 */
static void
note_unknown_event(const MfiDefinition *definition, const char *path, const char *event)
{
	if (event != NULL && natural_subject(event) == NULL &&
		!exists("SELECT FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = $1",
				CStringGetTextDatum(event), InvalidOid, (Datum) 0))
		ereport(NOTICE,
				(errmsg("event \"%s\" at %s of workflow \"%s\" is neither standard nor watched",
						event, path, definition->name),
				 errhint("It must come from mfiauto.track(), under exactly this name.")));
}

/*
 * check_trigger settles what a run of an event-triggered workflow is about.
 */
static void
check_trigger(MfiDefinition *definition)
{
	const char *natural = natural_subject(definition->trigger_event);

	note_unknown_event(definition, "trigger.event", definition->trigger_event);
	if (natural == NULL)
		natural = watched_subject(definition->trigger_event);
	if (definition->subject == NULL)
		definition->subject = natural ? natural : "client";
	if (natural != NULL && strcmp(definition->subject, natural) == 0)
		return;
	require_subject_role(definition);
	if (natural == NULL || strcmp(definition->subject, "client") == 0)
		return;
	if (strcmp(definition->subject, "loan") == 0 &&
		(strcmp(natural, "installment") == 0 || strcmp(natural, "payment") == 0))
		return;
	mfi_definition_refuse(definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
						  psprintf("what the event \"%s\" is about, %s, or its client",
								   definition->trigger_event, natural),
						  quoted(definition->subject), "Leave \"for_each\" out.");
}

/*
 * check_template requires a live variant of the template on one of the step's
 * channels.
 */
static void
check_template(const MfiDefinition *definition, const MfiStep *step)
{
	Datum name = CStringGetTextDatum(step->template);
	StringInfoData list;
	ListCell *cell;

	if (!exists("SELECT FROM mfiauto.template_version t WHERE t.name = $1 AND t.is_live", name,
				InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, psprintf("%s.send", step->path),
							  ERRCODE_UNDEFINED_OBJECT, "the name of a template",
							  quoted(step->template),
							  psprintf("Make it first: SELECT mfiauto.create_template('%s', "
									   "channel => 'sms', body => '…').",
									   step->template));
	if (step->channels == NIL)
		return;
	initStringInfo(&list);
	foreach (cell, step->channels)
		appendStringInfo(&list, "%s%s", list.len == 0 ? "" : ",", (char *) lfirst(cell));
	if (!exists("SELECT FROM mfiauto.template_version t WHERE t.name = $1 AND t.is_live AND "
				"t.channel = ANY (pg_catalog.string_to_array($2, ','))",
				name, TEXTOID, CStringGetTextDatum(list.data)))
		mfi_definition_refuse(
			definition->name, psprintf("%s.channels", step->path), ERRCODE_UNDEFINED_OBJECT,
			psprintf("a channel on which template \"%s\" has a text", step->template), list.data,
			psprintf(
				"Make one: SELECT mfiauto.create_template('%s', channel => '%s', body => '…').",
				step->template, (char *) linitial(step->channels)));
}

static void
check_steps(const MfiDefinition *definition, List *steps)
{
	ListCell *cell;

	foreach (cell, steps)
	{
		MfiStep *step = lfirst(cell);

		if (step->template != NULL)
			check_template(definition, step);
		if (step->class != NULL)
			check_class(definition, psprintf("%s.class", step->path), step->class);
		check_steps(definition, step->then_steps);
		check_steps(definition, step->else_steps);
	}
}

/*
 * write_member adds "key": "text" to an object that is being written, unless
 * the text is NULL.
 */
static void
write_member(StringInfo out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": ");
	escape_json(out, text);
}

static void
write_number(StringInfo out, const char *key, int number)
{
	if (number != 0)
		write_member(out, key, psprintf("%d", number));
}

static char *
compile_condition(const MfiDefinition *definition, Oid owner, const char *path,
				  const char *condition, bool is_trigger)
{
	MfiConditionScope scope = { .workflow = definition->name,
								.path = path,
								.subject = definition->subject,
								.owner = owner,
								.is_trigger = is_trigger };

	return condition == NULL ? NULL : mfi_expression_compile(&scope, condition);
}

static void
write_version(StringInfo out, const MfiDefinition *definition, Oid owner)
{
	note_unknown_event(definition, "goal.event", definition->goal_event);
	appendStringInfoChar(out, '{');
	write_member(out, "owner", GetUserNameFromId(owner, false));
	write_member(out, "subject", definition->subject);
	write_member(out, "anchor_column", definition->anchor);
	write_member(out, "trigger_event", definition->trigger_event);
	write_member(out, "trigger_condition", definition->trigger_condition);
	write_member(
		out, "trigger_sql",
		compile_condition(definition, owner, "trigger.if", definition->trigger_condition, true));
	write_member(out, "class", definition->class);
	write_member(out, "enter_if", definition->enter_if);
	write_member(out, "enter_sql",
				 compile_condition(definition, owner, "enter_if", definition->enter_if, false));
	write_member(out, "exit_if", definition->exit_if);
	write_member(out, "exit_sql",
				 compile_condition(definition, owner, "exit_if", definition->exit_if, false));
	write_member(out, "reentry", definition->reentry);
	write_member(out, "reentry_after", definition->reentry_after);
	write_member(out, "goal_event", definition->goal_event);
	write_member(out, "goal_within", definition->goal_within);
	write_member(out, "exit_on_goal", definition->exit_on_goal ? "true" : "false");
	write_member(out, "holdout", definition->holdout);
	write_member(out, "resend_if_moved", psprintf("%d", definition->resend_if_moved));
	write_number(out, "max_per_day", definition->max_per_day);
	appendStringInfoChar(out, '}');
}

static int
first_number(List *steps, int otherwise)
{
	return steps == NIL ? otherwise : ((MfiStep *) linitial(steps))->number;
}

static void
write_channels(StringInfo out, List *channels)
{
	ListCell *cell;

	if (channels == NIL)
		return;
	appendStringInfoString(out, ", \"channels\": [");
	foreach (cell, channels)
	{
		if (cell != list_head(channels))
			appendStringInfoChar(out, ',');
		escape_json(out, lfirst(cell));
	}
	appendStringInfoChar(out, ']');
}

/*
 * write_steps writes a list and the lists inside it; after is the number of
 * the step that follows the list, 0 the end.
 */
static void
write_steps(StringInfo out, const MfiDefinition *definition, Oid owner, List *steps, int after)
{
	for (int i = 0; i < list_length(steps); i++)
	{
		MfiStep *step = list_nth(steps, i);
		int next =
			i + 1 < list_length(steps) ? ((MfiStep *) list_nth(steps, i + 1))->number : after;

		if (step->number > 1)
			appendStringInfoString(out, ", ");
		appendStringInfoChar(out, '{');
		write_number(out, "step_no", step->number);
		write_member(out, "path", step->path);
		write_member(out, "kind", kind_words[step->kind]);
		write_number(out, "next_no", step->kind == MFI_STEP_END ? 0 : next);
		if (step->kind == MFI_STEP_IF)
		{
			write_number(out, "then_no", first_number(step->then_steps, next));
			write_number(out, "else_no", first_number(step->else_steps, next));
		}
		if (step->at.time != NULL)
		{
			write_member(out, "at_offset", psprintf("%d", step->at.days));
			write_member(out, "at_time", step->at.time);
		}
		write_member(out, "wait", step->wait);
		write_member(out, "template", step->template);
		write_channels(out, step->channels);
		write_member(out, "class", step->class);
		write_member(out, "expires", step->expires);
		write_member(out, "condition", step->condition);
		write_member(out, "condition_sql",
					 compile_condition(definition, owner, psprintf("%s.if", step->path),
									   step->condition, false));
		write_member(out, "task_title", step->task_title);
		write_member(out, "assignee", step->assignee);
		write_member(out, "due_after", step->due_after);
		appendStringInfoChar(out, '}');
		write_steps(out, definition, owner, step->then_steps, next);
		write_steps(out, definition, owner, step->else_steps, next);
	}
}
