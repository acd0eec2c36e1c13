/*
 * entry.c
 *		What makes a client enter a workflow, checked against the installation:
 *		the anchor's column, the event and what it is about.
 */
#include "postgres.h"

#include "engine/entry.h"
#include "engine/expression.h"
#include "engine/program.h"
#include "executor/spi.h"
#include "utils/builtins.h"

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
							  mfi_program_quoted(definition->subject),
							  "Name the canonical role whose rows are followed one by one.");
}

void
mfi_entry_check_anchor(const MfiDefinition *definition)
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
						  mfi_program_quoted(definition->anchor),
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
	if (!mfi_program_exists(
			"SELECT s.subject FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = $1 "
			"ORDER BY s.source_id",
			CStringGetTextDatum(event), InvalidOid, (Datum) 0))
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * mfi_entry_note_unknown_event warns of events that nothing makes yet: track() may, but
 * most likely the name is misspelled.
 */
void
mfi_entry_note_unknown_event(const MfiDefinition *definition, const char *path, const char *event)
{
	if (event != NULL && natural_subject(event) == NULL &&
		!mfi_program_exists("SELECT FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = $1",
							CStringGetTextDatum(event), InvalidOid, (Datum) 0))
		ereport(NOTICE,
				(errmsg("event \"%s\" at %s of workflow \"%s\" is neither standard nor watched",
						event, path, definition->name),
				 errhint("It must come from mfiauto.track(), under exactly this name.")));
}

/*
 * mfi_entry_check_trigger settles what a run of an event-triggered workflow is about.
 */
void
mfi_entry_check_trigger(MfiDefinition *definition)
{
	const char *natural = natural_subject(definition->trigger_event);

	mfi_entry_note_unknown_event(definition, "trigger.event", definition->trigger_event);
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
						  mfi_program_quoted(definition->subject), "Leave \"for_each\" out.");
}
