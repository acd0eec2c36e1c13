/*
 * program_step.c
 *		The steps of a program: what they name is looked up, and each is written
 *		as a row of workflow_step.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/entry.h"
#include "engine/lookup.h"
#include "engine/program.h"
#include "engine/writing.h"
#include "utils/builtins.h"

/* In the order of MfiStepKind. */
static const char *const kind_words[] = { "send",  "wait",	 "wait_for", "if",	   "switch",
										  "split", "repeat", "set",		 "add_to", "remove_from",
										  "task",  "emit",	 "enroll",	 "exit",   "end" };

/* What is written of the steps of a version, and where. */
typedef struct Writer
{
	StringInfo out;
	const MfiDefinition *definition;
	Oid owner;
} Writer;

/*
 * check_template requires a live variant of the template on one of the step's
 * channels.
 */
static void
check_template(const MfiDefinition *definition, const MfiStep *step)
{
	Datum name = CStringGetTextDatum(step->template);
	const char *word = step->is_webhook ? "webhook" : "send";
	StringInfoData list;
	ListCell *cell;

	if (!mfi_lookup_exists("SELECT FROM mfiauto.template_version t WHERE t.name = $1 AND t.is_live",
						   name, InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, psprintf("%s.%s", step->path, word),
							  ERRCODE_UNDEFINED_OBJECT, "the name of a template",
							  mfi_lookup_quoted(step->template),
							  psprintf("Make it first: SELECT mfiauto.create_template('%s', "
									   "channel => '%s', body => '…').",
									   step->template, step->is_webhook ? "webhook" : "sms"));
	if (step->channels == NIL)
		return;
	initStringInfo(&list);
	foreach (cell, step->channels)
		appendStringInfo(&list, "%s%s", list.len == 0 ? "" : ",", (char *) lfirst(cell));
	if (!mfi_lookup_exists(
			"SELECT FROM mfiauto.template_version t WHERE t.name = $1 AND t.is_live AND "
			"t.channel = ANY (pg_catalog.string_to_array($2, ','))",
			name, TEXTOID, CStringGetTextDatum(list.data)))
		mfi_definition_refuse(
			definition->name, psprintf("%s.%s", step->path, step->is_webhook ? word : "channels"),
			ERRCODE_UNDEFINED_OBJECT,
			psprintf("a channel on which template \"%s\" has a text", step->template), list.data,
			psprintf(
				"Make one: SELECT mfiauto.create_template('%s', channel => '%s', body => '…').",
				step->template, (char *) linitial(step->channels)));
}

void
mfi_program_check_steps(const MfiDefinition *definition, List *steps)
{
	ListCell *cell;

	foreach (cell, steps)
	{
		MfiStep *step = lfirst(cell);
		ListCell *branch;

		if (step->template != NULL)
			check_template(definition, step);
		if (step->class != NULL)
			mfi_lookup_check_class(definition, psprintf("%s.class", step->path), step->class);
		mfi_program_check_action(definition, step);
		mfi_program_check_steps(definition, step->then_steps);
		mfi_program_check_steps(definition, step->else_steps);
		foreach (branch, step->branches)
			mfi_program_check_steps(definition, ((MfiBranch *) lfirst(branch))->steps);
	}
}

static int
first_number(List *steps, int otherwise)
{
	return steps == NIL ? otherwise : ((MfiStep *) linitial(steps))->number;
}

static void
write_send(const Writer *writer, const MfiStep *step)
{
	mfi_writing_member(writer->out, "template", step->template);
	mfi_writing_words(writer->out, "channels", step->channels);
	mfi_writing_member(writer->out, "fallback_after", step->fallback_after);
	mfi_writing_member(writer->out, "class", step->class);
	mfi_writing_member(writer->out, "expires", step->expires);
}

static void
write_wait(const Writer *writer, const MfiStep *step)
{
	const char *type = NULL;
	char *query = mfi_writing_moment(writer->definition, writer->owner,
									 psprintf("%s.wait.date", step->path), step->wait_date, &type);

	mfi_writing_member(writer->out, "wait", step->wait);
	mfi_writing_member(writer->out, "wait_most", step->wait_most);
	mfi_writing_member(writer->out, "wait_time", step->wait_time);
	mfi_writing_number(writer->out, "wait_weekday", step->wait_weekday);
	mfi_writing_number(writer->out, "wait_working_days", step->wait_working_days);
	mfi_writing_member(writer->out, "wait_sql", query);
	mfi_writing_member(writer->out, "wait_type", type);
}

static void
write_wait_for(const Writer *writer, const MfiStep *step, int next)
{
	char *path = psprintf("%s.wait_for.%s", step->path, step->events == NIL ? "sql" : "if");
	ListCell *cell;

	foreach (cell, step->events)
		mfi_entry_note_unknown_event(writer->definition, psprintf("%s.wait_for.event", step->path),
									 lfirst(cell));
	mfi_writing_number(writer->out, "then_no", first_number(step->then_steps, next));
	mfi_writing_number(writer->out, "else_no", first_number(step->else_steps, next));
	mfi_writing_words(writer->out, "events", step->events);
	mfi_writing_member(writer->out, "timeout", step->timeout);
	mfi_writing_member(writer->out, "check_every", step->check_every);
	mfi_writing_member(writer->out, "condition", step->condition);
	mfi_writing_member(
		writer->out, "condition_sql",
		step->events != NIL
			? mfi_writing_awaited(writer->definition, writer->owner, path, step->condition)
			: mfi_writing_condition(writer->definition, writer->owner, path, step->condition,
									false));
}

static void
write_repeat(const Writer *writer, const MfiStep *step, int next)
{
	mfi_writing_number(writer->out, "then_no", first_number(step->then_steps, next));
	mfi_writing_number(writer->out, "else_no", next);
	mfi_writing_number(writer->out, "at_most", step->at_most);
	mfi_writing_member(writer->out, "condition", step->condition);
	mfi_writing_member(writer->out, "condition_sql",
					   mfi_writing_condition(writer->definition, writer->owner,
											 psprintf("%s.until", step->path), step->condition,
											 false));
}

/*
 * write_branches writes the parallel arrays of a step with named or
 * conditional ways on.
 */
static void
write_branches(const Writer *writer, const MfiStep *step, int next)
{
	List *names = NIL;
	List *numbers = NIL;
	List *weights = NIL;
	List *queries = NIL;
	ListCell *cell;

	foreach (cell, step->branches)
	{
		MfiBranch *branch = lfirst(cell);
		int number = first_number(branch->steps, next);

		numbers = lappend(numbers, number == 0 ? NULL : psprintf("%d", number));
		if (branch->name != NULL)
			names = lappend(names, unconstify(char *, branch->name));
		if (branch->weight != NULL)
			weights = lappend(weights, unconstify(char *, branch->weight));
		if (branch->condition != NULL)
			queries = lappend(queries, mfi_writing_condition(writer->definition, writer->owner,
															 psprintf("%s.if", branch->path),
															 branch->condition, false));
	}
	mfi_writing_words(writer->out, "branch_names", names);
	mfi_writing_words(writer->out, "branch_nos", numbers);
	mfi_writing_words(writer->out, "branch_weights", weights);
	mfi_writing_words(writer->out, "branch_sql", queries);
	if (step->kind != MFI_STEP_SPLIT)
		mfi_writing_number(writer->out, "else_no", first_number(step->else_steps, next));
}

static void
write_if(const Writer *writer, const MfiStep *step, int next)
{
	mfi_writing_number(writer->out, "then_no", first_number(step->then_steps, next));
	mfi_writing_number(writer->out, "else_no", first_number(step->else_steps, next));
	mfi_writing_member(writer->out, "condition", step->condition);
	mfi_writing_member(writer->out, "condition_sql",
					   mfi_writing_condition(writer->definition, writer->owner,
											 psprintf("%s.if", step->path), step->condition,
											 false));
}

/*
 * write_step writes one row; next is the step that follows, 0 the end.
 */
static void
write_step(const Writer *writer, const MfiStep *step, int next)
{
	StringInfo out = writer->out;

	if (step->number > 1)
		appendStringInfoString(out, ", ");
	appendStringInfoChar(out, '{');
	mfi_writing_number(out, "step_no", step->number);
	mfi_writing_member(out, "path", step->path);
	mfi_writing_member(out, "kind", kind_words[step->kind]);
	mfi_writing_number(out, "next_no", step->kind == MFI_STEP_END ? 0 : next);
	if (step->at.time != NULL)
	{
		mfi_writing_member(out, "at_offset", psprintf("%d", step->at.days));
		mfi_writing_member(out, "at_time", step->at.time);
	}
	mfi_writing_json(out, "since_entry", step->since_entry ? "true" : "false");
	mfi_writing_number(out, "loop_no", step->loop_no);
	switch (step->kind)
	{
		case MFI_STEP_SEND:
			write_send(writer, step);
			break;
		case MFI_STEP_WAIT:
			write_wait(writer, step);
			break;
		case MFI_STEP_IF:
			write_if(writer, step, next);
			break;
		case MFI_STEP_WAIT_FOR:
			write_wait_for(writer, step, next);
			break;
		case MFI_STEP_SWITCH:
		case MFI_STEP_SPLIT:
			write_branches(writer, step, next);
			break;
		case MFI_STEP_REPEAT:
			write_repeat(writer, step, next);
			break;
		case MFI_STEP_TASK:
			if (step->branches != NIL)
			{
				write_branches(writer, step, next);
				mfi_writing_member(out, "timeout", step->timeout);
			}
			mfi_program_write_action(out, writer->definition, writer->owner, step);
			break;
		case MFI_STEP_SET:
		case MFI_STEP_ADD_TO:
		case MFI_STEP_REMOVE_FROM:
		case MFI_STEP_EMIT:
		case MFI_STEP_ENROLL:
		case MFI_STEP_EXIT:
			mfi_program_write_action(out, writer->definition, writer->owner, step);
			break;
		case MFI_STEP_END:
			break;
	}
	appendStringInfoChar(out, '}');
}

/*
 * mfi_program_write_steps writes a list and the lists inside it; after is the number of
 * the step that follows the list, 0 the end.
 */
void
mfi_program_write_steps(StringInfo out, const MfiDefinition *definition, Oid owner, List *steps,
						int after)
{
	Writer writer = { .out = out, .definition = definition, .owner = owner };

	for (int i = 0; i < list_length(steps); i++)
	{
		MfiStep *step = list_nth(steps, i);
		int next =
			i + 1 < list_length(steps) ? ((MfiStep *) list_nth(steps, i + 1))->number : after;
		int inner = step->kind == MFI_STEP_REPEAT ? step->number : next;
		ListCell *cell;

		write_step(&writer, step, next);
		mfi_program_write_steps(out, definition, owner, step->then_steps, inner);
		mfi_program_write_steps(out, definition, owner, step->else_steps, next);
		foreach (cell, step->branches)
			mfi_program_write_steps(out, definition, owner, ((MfiBranch *) lfirst(cell))->steps,
									next);
	}
}
