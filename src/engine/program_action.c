/*
 * program_action.c
 *		The steps of a program that do something other than send: what they name
 *		is looked up, and what they carry is written.
 */
#include "postgres.h"

#include "engine/lookup.h"
#include "engine/program.h"
#include "engine/writing.h"
#include "executor/spi.h"
#include "utils/builtins.h"

static void
check_segment(const MfiDefinition *definition, const MfiStep *step)
{
	const char *path =
		psprintf("%s.%s", step->path, step->kind == MFI_STEP_ADD_TO ? "add_to" : "remove_from");
	Datum name = CStringGetTextDatum(step->segment);

	if (!mfi_lookup_exists("SELECT FROM mfiauto.segment_definition s WHERE s.name = $1", name,
						   InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, path, ERRCODE_UNDEFINED_OBJECT,
							  "the name of a segment", mfi_lookup_quoted(step->segment),
							  psprintf("Make it first: SELECT mfiauto.create_segment('%s', "
									   "clients => '{}').",
									   step->segment));
	if (!mfi_lookup_exists(
			"SELECT FROM mfiauto.segment_definition s WHERE s.name = $1 AND s.query IS NULL", name,
			InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
							  "a segment that is a list",
							  psprintf("\"%s\", which is made by its query", step->segment),
							  "Only lists are added to and removed from; set a trait that the "
							  "segment's query asks for.");
}

/*
 * check_target requires that another workflow exists and, if it is to be
 * entered, that a run of this one knows whom that is about.
 */
static void
check_target(const MfiDefinition *definition, const MfiStep *step)
{
	const char *path =
		psprintf("%s.%s", step->path, step->kind == MFI_STEP_ENROLL ? "enroll" : "exit");
	const char *subject;

	if (!mfi_lookup_exists(
			"SELECT v.subject FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON "
			"v.workflow_id = h.workflow_id WHERE h.name = $1 ORDER BY v.version = h.live_version "
			"DESC NULLS LAST, v.version DESC",
			CStringGetTextDatum(step->target), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, path, ERRCODE_UNDEFINED_OBJECT,
							  "the name of a workflow", mfi_lookup_quoted(step->target),
							  "Create that workflow first; mfiauto.workflow lists them.");
	if (step->kind == MFI_STEP_EXIT)
		return;
	subject = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (strcmp(subject, "client") == 0 || strcmp(subject, definition->subject) == 0)
		return;
	if (strcmp(subject, "loan") == 0 && (strcmp(definition->subject, "installment") == 0 ||
										 strcmp(definition->subject, "payment") == 0))
		return;
	mfi_definition_refuse(
		definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
		psprintf("a workflow about the %s or its client", definition->subject),
		psprintf("\"%s\", which is about each %s", step->target, subject),
		"A run can hand over what it is about: the same subject, its loan, or its client.");
}

void
mfi_program_check_action(const MfiDefinition *definition, const MfiStep *step)
{
	if (step->segment != NULL)
		check_segment(definition, step);
	if (step->target != NULL)
		check_target(definition, step);
}

/*
 * write_settings writes names with their constants under one key, and those
 * with expressions under trait_sql, as the queries that give their values.
 */
static void
write_settings(StringInfo out, const MfiDefinition *definition, Oid owner, const MfiStep *step,
			   const char *key)
{
	StringInfoData constants;
	StringInfoData queries;
	ListCell *cell;

	if (step->settings == NIL)
		return;
	initStringInfo(&constants);
	appendStringInfoChar(&constants, '{');
	initStringInfo(&queries);
	appendStringInfoChar(&queries, '{');
	foreach (cell, step->settings)
	{
		MfiSetting *setting = lfirst(cell);

		if (setting->sql == NULL)
			mfi_writing_json(&constants, setting->name, setting->constant);
		else
			mfi_writing_member(&queries, setting->name,
							   mfi_writing_value(definition, owner,
												 psprintf("%s.sql", setting->path), setting->sql));
	}
	appendStringInfoChar(&constants, '}');
	appendStringInfoChar(&queries, '}');
	mfi_writing_json(out, key, constants.data);
	if (queries.len > 2)
		mfi_writing_json(out, "trait_sql", queries.data);
}

void
mfi_program_write_action(StringInfo out, const MfiDefinition *definition, Oid owner,
						 const MfiStep *step)
{
	mfi_writing_member(out, "task_title", step->task_title);
	mfi_writing_member(out, "assignee", step->assignee);
	mfi_writing_member(out, "due_after", step->due_after);
	mfi_writing_member(out, "segment", step->segment);
	mfi_writing_member(out, "event_name", step->event_name);
	mfi_writing_member(out, "target_workflow", step->target);
	write_settings(out, definition, owner, step,
				   step->kind == MFI_STEP_SET ? "traits" : "event_properties");
}
