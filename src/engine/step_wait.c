/*
 * step_wait.c
 *		The steps at which a run stands still.
 */
#include "postgres.h"

#include "engine/reading.h"
#include "engine/step.h"

#define WORKING_DAYS_MAX 250

static const char *const weekdays[] = { "monday", "tuesday",  "wednesday", "thursday",
										"friday", "saturday", "sunday",	   NULL };

static void
refuse_anchored(const MfiDefinition *definition, const MfiStep *step, json_t *object,
				const char *key)
{
	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, key),
						   psprintf("no \"%s\" in an anchored workflow", key),
						   json_object_get(object, key), "Give the next step its own \"at\".");
}

/*
 * read_until reads "[weekday ]HH:MM[:SS]".
 */
static void
read_until(const MfiDefinition *definition, MfiStep *step, json_t *object, const char *path)
{
	char *text = mfi_reading_text(definition, object, path, "until", false, "a local time",
								  "Write \"09:00\" or \"monday 09:00\".");
	const char *time;
	int part[3] = { 0 };
	int length = 0;

	if (text == NULL)
		return;
	time = text + strspn(text, " ");
	for (int day = 0; weekdays[day] != NULL && step->wait_weekday == 0; day++)
		if (pg_strncasecmp(time, weekdays[day], strlen(weekdays[day])) == 0)
			step->wait_weekday = day + 1;
	if (step->wait_weekday > 0)
	{
		time += strlen(weekdays[step->wait_weekday - 1]);
		if (*time != ' ')
			time = "";
		time += strspn(time, " ");
	}
	if (isdigit((unsigned char) time[0]) &&
		((sscanf(time, "%2d:%2d:%2d%n", &part[0], &part[1], &part[2], &length) == 3 &&
		  length == 8) ||
		 (part[2] = 0, length = 0,
		  sscanf(time, "%2d:%2d%n", &part[0], &part[1], &length) == 2 && length == 5)) &&
		time[length + strspn(time + length, " ")] == '\0' && part[0] >= 0 && part[0] < 24 &&
		part[1] >= 0 && part[1] < 60 && part[2] >= 0 && part[2] < 60)
		step->wait_time = psprintf("%02d:%02d:%02d", part[0], part[1], part[2]);
	else
		mfi_reading_refuse(
			definition, mfi_reading_below(path, "until"), "a local time, with or without a weekday",
			json_object_get(object, "until"), "Write \"09:00\" or \"monday 09:00\".");
	if (step->wait_weekday > 0 && step->wait_working_days > 0)
		mfi_reading_refuse(definition, mfi_reading_below(path, "until"),
						   "a time without a weekday beside \"working_days\"",
						   json_object_get(object, "until"),
						   "Working days say which day it is; leave the weekday out.");
}

static void
read_between(const MfiDefinition *definition, MfiStep *step, json_t *object, const char *path)
{
	json_t *list = json_object_get(object, "between");
	const char *between_path = mfi_reading_below(path, "between");
	json_t *least;
	json_t *most;

	if (list == NULL)
		return;
	if (step->wait != NULL)
		mfi_reading_refuse(definition, between_path, "either \"for\" or \"between\"", list,
						   "Leave one of them out.");
	least = json_array_get(list, 0);
	most = json_array_get(list, 1);
	if (!json_is_array(list) || json_array_size(list) != 2 || !json_is_string(least) ||
		!json_is_string(most) || !mfi_reading_is_duration(mfi_json_text(least)) ||
		!mfi_reading_is_duration(mfi_json_text(most)) ||
		!mfi_reading_is_shorter(mfi_json_text(least), mfi_json_text(most)))
		mfi_reading_refuse(definition, between_path, "two intervals, the shorter first", list,
						   "Write [\"1 hour\", \"4 hours\"].");
	step->wait = mfi_json_text(least);
	step->wait_most = mfi_json_text(most);
}

void
mfi_step_read_wait(MfiPlace *place, MfiStep *step, json_t *object)
{
	const MfiDefinition *definition = place->definition;
	json_t *wait = json_object_get(object, "wait");
	const char *path = mfi_reading_below(step->path, "wait");
	json_t *days;

	refuse_anchored(definition, step, object, "wait");
	if (!json_is_object(wait))
	{
		step->wait = mfi_reading_duration(definition, object, step->path, "wait", true);
		return;
	}
	mfi_reading_check_keys(definition, wait, path,
						   MFI_WORDS("for", "between", "until", "working_days", "date"));
	if (json_object_size(wait) == 0)
		mfi_reading_refuse(definition, path, "how long to wait", wait,
						   "Write {\"for\": \"2 days\", \"until\": \"09:00\"}.");
	step->wait = mfi_reading_duration(definition, wait, path, "for", false);
	read_between(definition, step, wait, path);
	days = json_object_get(wait, "working_days");
	if (days != NULL && (!json_is_integer(days) || json_integer_value(days) < 1 ||
						 json_integer_value(days) > WORKING_DAYS_MAX))
		mfi_reading_refuse(definition, mfi_reading_below(path, "working_days"),
						   psprintf("a whole number from 1 to %d", WORKING_DAYS_MAX), days,
						   "1 is the next working day.");
	step->wait_working_days = days == NULL ? 0 : (int) json_integer_value(days);
	read_until(definition, step, wait, path);
	if (mfi_reading_text(definition, wait, path, "date", false, "a SQL expression that gives a date",
						 "Write \"loan.maturity_on - 7\".") != NULL)
		step->wait_date = mfi_reading_condition(definition, wait, path, "date", true);
}

static List *
read_events(const MfiDefinition *definition, json_t *object, const char *path)
{
	json_t *value = json_object_get(object, "event");
	const char *event_path = mfi_reading_below(path, "event");
	List *events = NIL;

	if (!json_is_array(value))
		return list_make1(mfi_reading_name(definition, object, path, "event", true,
										   "the name of an event, or a list of names",
										   "Write \"Payment Received\"."));
	if (json_array_size(value) == 0)
		mfi_reading_refuse(definition, event_path, "the name of an event, or a list of names",
						   value, "Write [\"Link Clicked\", \"Message Received\"].");
	for (size_t i = 0; i < json_array_size(value); i++)
	{
		json_t *item = json_array_get(value, i);
		ListCell *cell;

		if (!json_is_string(item) || json_string_length(item) == 0 ||
			json_string_length(item) > 200)
			mfi_reading_refuse(definition, psprintf("%s[%zu]", event_path, i),
							   "the name of an event", item, "Write \"Payment Received\".");
		foreach (cell, events)
			if (strcmp(lfirst(cell), mfi_json_text(item)) == 0)
				mfi_reading_refuse(definition, psprintf("%s[%zu]", event_path, i),
								   "each event once", item, "Remove the second one.");
		events = lappend(events, mfi_json_text(item));
	}
	return events;
}

/*
 * read_awaited reads what a wait_for waits for.
 */
static void
read_awaited(const MfiDefinition *definition, MfiStep *step, json_t *awaited, const char *path)
{
	bool is_event = json_object_get(awaited, "event") != NULL;
	json_t *since = json_object_get(awaited, "since");

	if (!json_is_object(awaited) || is_event == (json_object_get(awaited, "sql") != NULL))
		mfi_reading_refuse(definition, path, "either an \"event\" or \"sql\"", awaited,
						   "Write {\"event\": \"Payment Received\"} or {\"sql\": "
						   "\"client.status = 'active'\"}.");
	if (!is_event)
	{
		mfi_reading_check_keys(definition, awaited, path, MFI_WORDS("sql", "check_every"));
		step->condition = mfi_reading_condition(definition, awaited, path, "sql", true);
		step->check_every = mfi_reading_duration(definition, awaited, path, "check_every", false);
		if (step->check_every == NULL)
			step->check_every = "1 hour";
		else if (mfi_reading_is_shorter(step->check_every, "1 minute"))
			mfi_reading_refuse(definition, mfi_reading_below(path, "check_every"),
							   "an interval of at least 1 minute",
							   json_object_get(awaited, "check_every"),
							   "A change in the books is seen at once; this is for what time "
							   "alone changes.");
		return;
	}
	mfi_reading_check_keys(definition, awaited, path, MFI_WORDS("event", "if", "since"));
	step->events = read_events(definition, awaited, path);
	step->condition = mfi_reading_condition(definition, awaited, path, "if", false);
	if (since != NULL && (!json_is_string(since) ||
						  !mfi_words_have(MFI_WORDS("now", "entry"), mfi_json_text(since))))
		mfi_reading_refuse(definition, mfi_reading_below(path, "since"), "\"now\" or \"entry\"",
						   since, "\"entry\" counts what came since the client entered.");
	step->since_entry = since != NULL && strcmp(mfi_json_text(since), "entry") == 0;
}

void
mfi_step_read_wait_for(MfiPlace *place, MfiStep *step, json_t *object)
{
	const MfiDefinition *definition = place->definition;

	refuse_anchored(definition, step, object, "wait_for");
	read_awaited(definition, step, json_object_get(object, "wait_for"),
				 mfi_reading_below(step->path, "wait_for"));
	step->timeout = mfi_reading_duration(definition, object, step->path, "timeout", true);
	step->then_steps = mfi_step_read_way(place, json_object_get(object, "then"),
										 mfi_reading_below(step->path, "then"), true);
	step->else_steps = mfi_step_read_way(place, json_object_get(object, "timeout_steps"),
										 mfi_reading_below(step->path, "timeout_steps"), true);
}
