/*
 * trigger.c
 *		The triggers of a workflow definition.
 *
 * Each kind is told by its key. What the installation must have for it (events,
 * columns, segments) is looked up later, by entry.c. Several kinds come to the same: an event
 * of a list whose properties contain one of a list of filters.
 */
#include "postgres.h"

#include <limits.h>

#include "base/json.h"
#include "engine/reading.h"
#include "engine/trigger.h"
#include "lib/stringinfo.h"
#include "utils/json.h"

#define TRIGGER_WORDS_MAX 100
#define COUNT_MAX 10000
#define YEARS_MAX 150

static const char place[] = "trigger";
static const char event_hint[] =
	"Standard events are named as \"Loan Applied\"; others come from watch() and track().";

typedef void (*ReadKind)(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);

static void read_event(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_status(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_schedule(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_segment(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_trait(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_inactive(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_yearly(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);
static void read_manual(MfiDefinition *definition, MfiTrigger *trigger, json_t *object);

/* Kinds by their key. schedule comes before segment, which it has as well. */
static const struct
{
	const char *key;
	ReadKind read;
} kinds[] = { { "event", read_event },	   { "status", read_status }, { "schedule", read_schedule },
			  { "segment", read_segment }, { "trait", read_trait },	  { "inactive", read_inactive },
			  { "yearly", read_yearly },   { "manual", read_manual } };

static const char *const kind_keys[] = { "event",	 "status", "schedule", "segment", "trait",
										 "inactive", "yearly", "manual",   NULL };

void
mfi_trigger_read(MfiDefinition *definition, json_t *object)
{
	MfiTrigger *trigger = palloc0(sizeof(MfiTrigger));

	if (!json_is_object(object))
		mfi_reading_refuse(definition, place, "an object", object,
						   "Write {\"event\": \"Loan Applied\"}.");
	definition->trigger = trigger;
	for (size_t i = 0; i < lengthof(kinds); i++)
	{
		if (json_object_get(object, kinds[i].key) == NULL)
			continue;
		trigger->kind = kinds[i].key;
		kinds[i].read(definition, trigger, object);
		return;
	}
	mfi_reading_check_keys(definition, object, place, kind_keys);
	mfi_definition_refuse(definition->name, place, ERRCODE_INVALID_PARAMETER_VALUE,
						  psprintf("one of the keys %s", mfi_words_join(kind_keys)),
						  "none of them", "Write {\"event\": \"Loan Applied\"}.");
}

/*
 * read_words reads one text or a list of different ones.
 */
static List *
read_words(const MfiDefinition *definition, json_t *object, const char *key, bool is_required,
		   const char *expected, const char *hint)
{
	json_t *value = json_object_get(object, key);
	List *words = NIL;
	json_t *element;
	size_t index;

	if (value == NULL && !is_required)
		return NIL;
	if (!json_is_array(value))
		return list_make1(mfi_reading_name(definition, object, place, key, true, expected, hint));
	if (json_array_size(value) < 1 || json_array_size(value) > TRIGGER_WORDS_MAX)
		mfi_definition_refuse(definition->name, mfi_reading_below(place, key),
							  ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("%s, or 1 to %d of them", expected, TRIGGER_WORDS_MAX),
							  psprintf("a list of %zu", json_array_size(value)), hint);
	json_array_foreach(value, index, element)
	{
		char *path = psprintf("%s.%s[%zu]", place, key, index);
		ListCell *cell;
		char *word;

		if (!json_is_string(element) || json_string_length(element) == 0 ||
			json_string_length(element) > 200)
			mfi_reading_refuse(definition, path, expected, element, hint);
		word = mfi_json_text(element);
		foreach (cell, words)
			if (strcmp(lfirst(cell), word) == 0)
				mfi_reading_refuse(definition, path, "each of them once", element,
								   "Remove the repetition.");
		words = lappend(words, word);
	}
	return words;
}

static int
read_whole_number(const MfiDefinition *definition, json_t *object, const char *key, int smallest,
				  int largest, int otherwise)
{
	json_t *value = json_object_get(object, key);

	if (value == NULL)
		return otherwise;
	if (!json_is_integer(value) || json_integer_value(value) < smallest ||
		json_integer_value(value) > largest)
		mfi_reading_refuse(definition, mfi_reading_below(place, key),
						   psprintf("a whole number from %d to %d", smallest, largest), value,
						   "Write it without quotes.");
	return (int) json_integer_value(value);
}

/*
 * read_choice reads one of a few words; the first is taken where the key is missing.
 */
static const char *
read_choice(const MfiDefinition *definition, json_t *object, const char *key,
			const char *const *words)
{
	json_t *value = json_object_get(object, key);

	if (value == NULL)
		return words[0];
	if (!json_is_string(value) || !mfi_words_have(words, json_string_value(value)))
		mfi_reading_refuse(definition, mfi_reading_below(place, key),
						   psprintf("one of %s", mfi_words_join(words)), value,
						   psprintf("Leave it out for \"%s\".", words[0]));
	return mfi_json_text(value);
}

/*
 * filter_of writes a JSON object of one or two members; NULL leaves a member out.
 */
static char *
filter_of(const char *key1, const char *value1, const char *key2, const char *value2)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (value1 != NULL)
	{
		escape_json(&out, key1);
		appendStringInfoString(&out, ": ");
		escape_json(&out, value1);
	}
	if (value2 != NULL)
	{
		appendStringInfoString(&out, value1 == NULL ? "" : ", ");
		escape_json(&out, key2);
		appendStringInfoString(&out, ": ");
		escape_json(&out, value2);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

static void
read_event(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	bool has_count = json_object_get(object, "count") != NULL;
	bool has_within = json_object_get(object, "within") != NULL;

	mfi_reading_check_keys(definition, object, place, MFI_WORDS("event", "if", "count", "within"));
	trigger->events =
		read_words(definition, object, "event", true, "the name of an event", event_hint);
	trigger->condition = mfi_reading_condition(definition, object, place, "if", false);
	if (has_count != has_within)
		mfi_definition_refuse(
			definition->name, psprintf("%s.%s", place, has_count ? "count" : "within"),
			ERRCODE_INVALID_PARAMETER_VALUE, "both \"count\" and \"within\", or neither",
			"one of them",
			"Write \"count\": 3, \"within\": \"7 days\" for the third within a week.");
	trigger->count = read_whole_number(definition, object, "count", 2, COUNT_MAX, 0);
	trigger->within = mfi_reading_duration(definition, object, place, "within", false);
}

/*
 * status_events lists what tells of a status: its changes and, where it may come from
 * nothing, the event of a new row, which has the status among its properties.
 */
static List *
status_events(const char *role, bool from_nothing)
{
	static const char *const made[][2] = { { "client", "Client Created" },
										   { "loan", "Loan Applied" },
										   { "holding", "Holding Opened" } };
	List *events = list_make1(psprintf("%c%s Status Changed", pg_toupper(role[0]), role + 1));

	for (size_t i = 0; from_nothing && i < lengthof(made); i++)
		if (strcmp(made[i][0], role) == 0)
			events = lappend(events, pstrdup(made[i][1]));
	return events;
}

/*
 * read_status makes filters of all pairs of from and to.
 */
static void
read_status(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	static const char expected[] = "a status";
	static const char hint[] = "Name it as the canonical view has it, for example \"approved\".";
	static const char one_of[] = "one of application, loan, client, holding";
	static const char example[] = "Write {\"status\": \"application\", \"to\": \"approved\"}.";
	static const char *const roles[] = { "application", "loan", "client", "holding", NULL };
	List *from;
	List *to;
	ListCell *from_cell;
	ListCell *to_cell;
	const char *to_key;

	mfi_reading_check_keys(definition, object, place, MFI_WORDS("status", "from", "to", "if"));
	trigger->role = mfi_reading_name(definition, object, place, "status", true, one_of, example);
	if (!mfi_words_have(roles, trigger->role))
		mfi_reading_refuse(definition, "trigger.status", one_of, json_object_get(object, "status"),
						   example);
	trigger->condition = mfi_reading_condition(definition, object, place, "if", false);
	from = read_words(definition, object, "from", false, expected, hint);
	to = read_words(definition, object, "to", false, expected, hint);
	if (from == NIL && to == NIL)
		mfi_definition_refuse(definition->name, place, ERRCODE_INVALID_PARAMETER_VALUE,
							  "\"from\", \"to\" or both", "neither", example);
	trigger->status_to = to;
	trigger->events = status_events(trigger->role, from == NIL);
	to_key = from == NIL ? "status" : "to";
	if (from == NIL)
		from = list_make1(NULL);
	if (to == NIL)
		to = list_make1(NULL);
	foreach (from_cell, from)
		foreach (to_cell, to)
		{
			if (lfirst(from_cell) != NULL && lfirst(to_cell) != NULL &&
				strcmp(lfirst(from_cell), lfirst(to_cell)) == 0)
				mfi_definition_refuse(definition->name, "trigger.to",
									  ERRCODE_INVALID_PARAMETER_VALUE,
									  "another status than \"from\"",
									  psprintf("\"%s\" in both", (char *) lfirst(to_cell)),
									  "A status changes from one to another.");
			trigger->filters = lappend(
				trigger->filters, filter_of("from", lfirst(from_cell), to_key, lfirst(to_cell)));
		}
}

static void
read_segment(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	mfi_reading_check_keys(definition, object, place, MFI_WORDS("segment", "on", "existing"));
	trigger->segment =
		mfi_reading_name(definition, object, place, "segment", true, "the name of a segment",
						 "mfiauto.segment lists the segments.");
	trigger->existing = mfi_reading_flag(definition, object, place, "existing");
	trigger->events = list_make1(
		strcmp(read_choice(definition, object, "on", MFI_WORDS("enter", "leave")), "enter") == 0
			? "Segment Entered"
			: "Segment Left");
	if (trigger->existing && strcmp(linitial(trigger->events), "Segment Left") == 0)
		mfi_reading_refuse(definition, "trigger.existing", "\"on\": \"enter\"",
						   json_object_get(object, "existing"),
						   "Those who are in it already have not left it.");
	trigger->filters = list_make1(filter_of("segment", trigger->segment, NULL, NULL));
}

static const char *
read_number(const MfiDefinition *definition, json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_number(value))
		mfi_reading_refuse(definition, mfi_reading_below(place, key), "a number", value,
						   "Write it without quotes.");
	return psprintf("%.15g", json_number_value(value));
}

/*
 * read_trait reads a limit and, beyond it, the one that must be passed back before it counts again.
 */
static void
read_trait(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	bool rises = json_object_get(object, "rises_to") != NULL;
	bool falls = json_object_get(object, "falls_to") != NULL;
	const char *limit_key = falls ? "falls_to" : "rises_to";
	const char *rearm_key = falls ? "until_above" : "until_below";
	double limit;
	double rearm;

	if (rises == falls)
		mfi_definition_refuse(
			definition->name, place, ERRCODE_INVALID_PARAMETER_VALUE,
			"either \"rises_to\" or \"falls_to\"", rises ? "both" : "neither",
			"Write {\"trait\": \"days_past_due\", \"rises_to\": 30, \"until_below\": 10}.");
	mfi_reading_check_keys(definition, object, place, MFI_WORDS("trait", limit_key, rearm_key));
	trigger->trait =
		mfi_reading_name(definition, object, place, "trait", true, "the name of a trait",
						 "A column of mfiauto.client_profile, or a trait of create_trait().");
	trigger->limit = read_number(definition, object, limit_key);
	trigger->rearm = read_number(definition, object, rearm_key);
	limit = strtod(trigger->limit, NULL);
	rearm = strtod(trigger->rearm, NULL);
	if (rises ? rearm >= limit : rearm <= limit)
		mfi_definition_refuse(
			definition->name, mfi_reading_below(place, rearm_key), ERRCODE_INVALID_PARAMETER_VALUE,
			psprintf("a number %s than \"%s\", %s", rises ? "less" : "greater", limit_key,
					 trigger->limit),
			trigger->rearm,
			"The gap keeps a value that goes to and fro around the limit from counting twice.");
	trigger->events = list_make1("Threshold Crossed");
	trigger->filters = list_make1(filter_of("workflow", definition->name, "trait", trigger->trait));
}

static void
read_inactive(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	mfi_reading_check_keys(definition, object, place, MFI_WORDS("inactive", "for", "existing"));
	trigger->events =
		read_words(definition, object, "inactive", true, "the name of an event", event_hint);
	trigger->after = mfi_reading_duration(definition, object, place, "for", true);
	trigger->existing = mfi_reading_flag(definition, object, place, "existing");
}

static void
read_schedule(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	mfi_reading_check_keys(definition, object, place, MFI_WORDS("schedule", "segment", "zone"));
	trigger->cron = mfi_reading_text(definition, object, place, "schedule", true,
									 "five fields of cron: minute, hour, day, month, weekday",
									 "\"0 9 1 * *\" is the first of each month at nine.");
	trigger->segment =
		mfi_reading_name(definition, object, place, "segment", true, "the name of a segment",
						 "It says who comes in each time; mfiauto.segment lists the segments.");
	trigger->zone = read_choice(definition, object, "zone", MFI_WORDS("institution", "client"));
}

/*
 * is_time tells HH:MM or HH:MM:SS.
 */
static bool
is_time(const char *text)
{
	int hour = 0;
	int minute = 0;
	int second = 0;
	int used = 0;

	if (strlen(text) == 5)
		(void) sscanf(text, "%2d:%2d%n", &hour, &minute, &used);
	else if (strlen(text) == 8)
		(void) sscanf(text, "%2d:%2d:%2d%n", &hour, &minute, &second, &used);
	return used == (int) strlen(text) && strspn(text, "0123456789:") == strlen(text) && used > 0 &&
		   hour < 24 && minute < 60 && second < 60;
}

static void
read_yearly(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	static const char expected[] = "a date column of a role";
	static const char hint[] = "Write it as \"client.birth_date\".";
	static const char *const days[] = { "02-28", "03-01", NULL };
	char *dot;

	mfi_reading_check_keys(definition, object, place,
						   MFI_WORDS("yearly", "at", "minimum_years", "leap_day"));
	trigger->column = mfi_reading_name(definition, object, place, "yearly", true, expected, hint);
	dot = strchr(trigger->column, '.');
	if (dot == NULL || dot == trigger->column || dot[1] == '\0' || strchr(dot + 1, '.') != NULL)
		mfi_reading_refuse(definition, "trigger.yearly", expected,
						   json_object_get(object, "yearly"), hint);
	trigger->role = pnstrdup(trigger->column, dot - trigger->column);
	trigger->at = mfi_reading_text(definition, object, place, "at", true,
								   "a local time, HH:MM or HH:MM:SS", "Write it as \"09:00\".");
	if (!is_time(trigger->at))
		mfi_reading_refuse(definition, "trigger.at", "a local time, HH:MM or HH:MM:SS",
						   json_object_get(object, "at"), "Write it as \"09:00\".");
	trigger->minimum_years =
		read_whole_number(definition, object, "minimum_years", 0, YEARS_MAX, 0);
	trigger->leap_day = read_choice(definition, object, "leap_day", days);
	trigger->zone = "client";
}

static void
read_manual(MfiDefinition *definition, MfiTrigger *trigger, json_t *object)
{
	mfi_reading_check_keys(definition, object, place, MFI_WORDS("manual"));
	if (!json_is_true(json_object_get(object, "manual")))
		mfi_reading_refuse(definition, "trigger.manual", "true", json_object_get(object, "manual"),
						   "Write {\"manual\": true}: only enroll() starts such a workflow.");
}
