/*
 * entry.c
 *		What makes a client enter a workflow, checked against the installation:
 *		the anchor's column, the event and what it is about.
 */
#include "postgres.h"

#include "base/words.h"
#include "engine/entry.h"
#include "engine/expression.h"
#include "engine/lookup.h"
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
												  { "Client Status Changed", "client" },
												  { "Application Status Changed", "application" },
												  { "Loan Status Changed", "loan" },
												  { "Holding Status Changed", "holding" },
												  { "Segment Entered", "client" },
												  { "Segment Left", "client" },
												  { "Threshold Crossed", "client" },
												  { NULL, NULL } };

static const char *const subject_roles[] = { "client",	"application", "loan", "installment",
											 "payment", "holding",	   NULL };

bool
mfi_entry_is_role(const char *name)
{
	return mfi_words_have(subject_roles, name);
}

static void
require_subject_role(const MfiDefinition *definition)
{
	if (!mfi_entry_is_role(definition->subject))
		mfi_definition_refuse(
			definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
			"one of client, application, loan, installment, payment, holding, or a "
			"watched table",
			mfi_lookup_quoted(definition->subject),
			"Name the canonical role whose rows are followed one by one.");
}

/*
 * is_date_column tells a column of a canonical view that is a date or a moment.
 */
static bool
is_date_column(const char *role, const char *column)
{
	return mfi_lookup_exists(
		"SELECT FROM pg_catalog.pg_attribute a"
		" WHERE a.attrelid = pg_catalog.to_regclass('mfiauto.' || pg_catalog.quote_ident($1))"
		"   AND a.attname = $2 AND NOT a.attisdropped"
		"   AND a.atttypid IN ('pg_catalog.date'::pg_catalog.regtype, "
		"'pg_catalog.timestamptz'::pg_catalog.regtype)",
		CStringGetTextDatum(role), TEXTOID, CStringGetTextDatum(column));
}

/*
 * require_date refuses what is not a mapped date column of a role.
 */
static void
require_date(const MfiDefinition *definition, const char *path, const char *role,
			 const char *column, const char *hint)
{
	MfiConditionScope scope = { .workflow = definition->name, .path = path, .subject = role };

	mfi_expression_require_column(&scope, role, column);
	if (!is_date_column(role, column))
		mfi_definition_refuse(definition->name, path, ERRCODE_DATATYPE_MISMATCH,
							  psprintf("a date column of %s", role),
							  psprintf("\"%s\", which is none", column), hint);
}

/*
 * mfi_entry_check_anchor looks for the date: a column of a canonical role, or a
 * property of the events of a watched table.
 */
void
mfi_entry_check_anchor(const MfiDefinition *definition)
{
	static const char hint[] = "For example due_date of installment, maturity_on of loan, "
							   "birth_date of client.";

	if (mfi_entry_is_role(definition->subject))
	{
		require_date(definition, "anchor", definition->subject, definition->anchor, hint);
		return;
	}
	if (!mfi_lookup_exists("SELECT FROM mfiauto.source s WHERE s.kind = 'watch' AND s.subject = $1",
						   CStringGetTextDatum(definition->subject), InvalidOid, (Datum) 0))
		require_subject_role(definition);
	if (!mfi_lookup_exists("SELECT FROM mfiauto.source s"
						   " WHERE s.kind = 'watch' AND s.subject = $1 AND s.properties ? $2",
						   CStringGetTextDatum(definition->subject), TEXTOID,
						   CStringGetTextDatum(definition->anchor)))
		mfi_definition_refuse(
			definition->name, "anchor", ERRCODE_UNDEFINED_COLUMN,
			psprintf("a date among the properties of the events of %s", definition->subject),
			mfi_lookup_quoted(definition->anchor),
			"Name it in watch(…, properties => '{\"expires_on\": \"expires_on\"}').");
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
	if (!mfi_lookup_exists(
			"SELECT s.subject FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = $1 "
			"ORDER BY s.source_id",
			CStringGetTextDatum(event), InvalidOid, (Datum) 0))
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * mfi_entry_note_unknown_event warns of events that nothing here tells of: track() may,
 * but most likely the name is misspelled.
 */
void
mfi_entry_note_unknown_event(const MfiDefinition *definition, const char *path, const char *event)
{
	if (event != NULL && natural_subject(event) == NULL &&
		!mfi_lookup_exists("SELECT WHERE mfiauto._is_event_told($1)", CStringGetTextDatum(event),
						   InvalidOid, (Datum) 0))
		ereport(NOTICE,
				(errmsg("event \"%s\" at %s of workflow \"%s\" is neither standard nor watched",
						event, path, definition->name),
				 errhint("It must come from mfiauto.track(), under exactly this name.")));
}

/*
 * require_kin refuses a subject that an event does not tell. Payments and
 * installments tell their loan.
 */
static void
require_kin(const MfiDefinition *definition, const char *event, const char *natural)
{
	if (natural == NULL || strcmp(definition->subject, natural) == 0 ||
		strcmp(definition->subject, "client") == 0)
		return;
	if (strcmp(definition->subject, "loan") == 0 &&
		(strcmp(natural, "installment") == 0 || strcmp(natural, "payment") == 0))
		return;
	mfi_definition_refuse(
		definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
		psprintf("what the event \"%s\" is about, %s, or its client", event, natural),
		mfi_lookup_quoted(definition->subject), "Leave \"for_each\" out.");
}

/*
 * check_events settles what a run is about: what all events are about, else the client.
 */
static void
check_events(MfiDefinition *definition, const char *path)
{
	const char *common = NULL;
	bool is_known = true;
	ListCell *cell;
	List *naturals = NIL;

	foreach (cell, definition->trigger->events)
	{
		const char *natural = natural_subject(lfirst(cell));

		mfi_entry_note_unknown_event(definition, path, lfirst(cell));
		if (natural == NULL)
			natural = watched_subject(lfirst(cell));
		naturals = lappend(naturals, unconstify(char *, natural));
		if (natural == NULL || (common != NULL && strcmp(common, natural) != 0))
			is_known = false;
		common = natural;
	}
	if (definition->subject == NULL)
		definition->subject = is_known ? common : "client";
	if (!is_known || strcmp(definition->subject, common) != 0)
		require_subject_role(definition);
	foreach (cell, definition->trigger->events)
		require_kin(definition, lfirst(cell), list_nth(naturals, foreach_current_index(cell)));
}

/*
 * require_client: some kinds know of nothing but clients.
 */
static void
require_client(MfiDefinition *definition)
{
	if (definition->subject != NULL && strcmp(definition->subject, "client") != 0)
		mfi_definition_refuse(definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("\"client\" with \"%s\"", definition->trigger->kind),
							  mfi_lookup_quoted(definition->subject), "Leave \"for_each\" out.");
	definition->subject = "client";
}

static void
check_status(MfiDefinition *definition)
{
	const MfiTrigger *trigger = definition->trigger;
	MfiConditionScope scope = { .workflow = definition->name,
								.path = "trigger.status",
								.subject = trigger->role };
	bool is_closing =
		strcmp(trigger->role, "holding") == 0 && list_length(trigger->status_to) == 1 &&
		linitial(trigger->status_to) != NULL && strcmp(linitial(trigger->status_to), "closed") == 0;

	mfi_expression_require_column(&scope, trigger->role, is_closing ? "closed_on" : "status");
	check_events(definition, "trigger.status");
}

static void
require_segment(const MfiDefinition *definition)
{
	const char *segment = definition->trigger->segment;

	if (!mfi_lookup_exists("SELECT WHERE pg_catalog.to_regclass($1) IS NOT NULL",
						   CStringGetTextDatum("mfiauto.segment"), InvalidOid, (Datum) 0) ||
		!mfi_lookup_exists("SELECT FROM mfiauto.segment s WHERE s.name = $1",
						   CStringGetTextDatum(segment), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, "trigger.segment", ERRCODE_UNDEFINED_OBJECT,
							  "the name of a segment", mfi_lookup_quoted(segment),
							  "Make it first with mfiauto.create_segment(); mfiauto.segment lists "
							  "them.");
}

static void
require_trait(const MfiDefinition *definition)
{
	const char *trait = definition->trigger->trait;

	if (mfi_lookup_exists(
			"SELECT FROM pg_catalog.pg_attribute a"
			" WHERE a.attrelid = pg_catalog.to_regclass('mfiauto.client_profile')"
			"   AND a.attname = $1 AND NOT a.attisdropped AND a.atttypid::pg_catalog.regtype IN "
			"('int2', 'int4', 'int8', 'numeric', 'float4', 'float8')",
			CStringGetTextDatum(trait), InvalidOid, (Datum) 0))
		return;
	if (!mfi_lookup_exists("SELECT WHERE pg_catalog.to_regclass($1) IS NOT NULL",
						   CStringGetTextDatum("mfiauto.trait"), InvalidOid, (Datum) 0) ||
		!mfi_lookup_exists("SELECT FROM mfiauto.trait t WHERE t.name = $1",
						   CStringGetTextDatum(trait), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, "trigger.trait", ERRCODE_UNDEFINED_OBJECT,
							  "a number among the columns of mfiauto.client_profile, or a trait",
							  mfi_lookup_quoted(trait),
							  "Make it first with mfiauto.create_trait().");
}

static void
require_cron(const MfiDefinition *definition)
{
	Oid types[1] = { TEXTOID };
	Datum values[1] = { CStringGetTextDatum(definition->trigger->cron) };
	char *problem;

	if (SPI_execute_with_args("SELECT mfiauto._cron_problem($1)", 1, types, values, NULL, true,
							  1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read a schedule");
	problem = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (problem != NULL)
		mfi_definition_refuse(
			definition->name, "trigger.schedule", ERRCODE_INVALID_PARAMETER_VALUE,
			"five fields of cron: minute, hour, day of the month, month, day of the week", problem,
			"Numbers, three-letter names of months and weekdays, lists (1,15), ranges (mon-fri), "
			"steps of a range (*/15).");
}

static void
check_yearly(MfiDefinition *definition)
{
	const MfiTrigger *trigger = definition->trigger;
	const char *column = trigger->column + strlen(trigger->role) + 1;

	if (!mfi_entry_is_role(trigger->role))
		mfi_definition_refuse(
			definition->name, "trigger.yearly", ERRCODE_INVALID_PARAMETER_VALUE,
			"a column of client, application, loan, installment, payment or holding",
			mfi_lookup_quoted(trigger->column), "Write it as \"client.birth_date\".");
	if (definition->subject != NULL && strcmp(definition->subject, trigger->role) != 0)
		mfi_definition_refuse(definition->name, "for_each", ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("\"%s\", whose date it is", trigger->role),
							  mfi_lookup_quoted(definition->subject), "Leave \"for_each\" out.");
	definition->subject = trigger->role;
	require_date(definition, "trigger.yearly", trigger->role, column,
				 "For example client.birth_date or loan.disbursed_on.");
}

/*
 * mfi_entry_check_trigger settles what a run of a triggered workflow is about,
 * and that what starts it exists.
 */
void
mfi_entry_check_trigger(MfiDefinition *definition)
{
	const char *kind = definition->trigger->kind;

	if (strcmp(kind, "event") == 0)
		check_events(definition, "trigger.event");
	else if (strcmp(kind, "status") == 0)
		check_status(definition);
	else if (strcmp(kind, "segment") == 0)
	{
		require_client(definition);
		require_segment(definition);
	}
	else if (strcmp(kind, "trait") == 0)
	{
		require_client(definition);
		require_trait(definition);
	}
	else if (strcmp(kind, "manual") == 0)
	{
		if (definition->subject == NULL)
			definition->subject = "client";
		require_subject_role(definition);
	}
	else if (strcmp(kind, "inactive") == 0)
	{
		require_client(definition);
		check_events(definition, "trigger.inactive");
	}
	else if (strcmp(kind, "schedule") == 0)
	{
		require_client(definition);
		require_cron(definition);
		require_segment(definition);
	}
	else
		check_yearly(definition);
}
