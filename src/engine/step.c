/*
 * step.c
 *		The steps of a workflow definition.
 *
 * Steps stand in lists; an "if" holds two more. The moments of a list are in
 * order, also across its branches, and no step stands where nobody comes.
 */
#include "postgres.h"

#include <limits.h>

#include "base/json.h"
#include "engine/definition.h"
#include "engine/reading.h"
#include "miscadmin.h"

#define STEP_DEPTH_MAX 16
#define STEPS_MAX 1000

/* What a list of steps has come to while it is read. */
typedef struct Place
{
	MfiDefinition *definition;
	MfiMoment latest; /* no later step may have an earlier moment */
	int depth;
} Place;

static const char *const channel_names[] = { "sms",		 "email",	 "voice",	  "push",
											 "whatsapp", "telegram", "messenger", "inapp",
											 "webhook",	 NULL };
/* In the order of MfiStepKind, with the keys that each kind may have. */
static const char *const kind_names[] = { "send", "wait", "if", "task", "end", NULL };
static const char *const *const step_keys[] = {
	MFI_WORDS("at", "send", "channels", "expires", "class"), MFI_WORDS("wait"),
	MFI_WORDS("at", "if", "then", "else"), MFI_WORDS("at", "task", "assign", "due"),
	MFI_WORDS("end")
};
static const char *const later_kinds[] = { "wait_for",	  "split",	 "set",	   "emit", "add_to",
										   "remove_from", "webhook", "enroll", "exit", NULL };

static List *read_steps(Place *place, json_t *list, const char *path);
static MfiStep *read_step(Place *place, json_t *object, const char *path);

List *
mfi_step_read_all(MfiDefinition *definition, json_t *list)
{
	Place place = { .definition = definition, .latest = { .days = INT_MIN } };

	return read_steps(&place, list, "steps");
}

/*
 * ends_always tells whether no client comes out of the end of a list.
 */
static bool
ends_always(List *steps)
{
	MfiStep *last = steps == NIL ? NULL : llast(steps);

	if (last == NULL)
		return false;
	return last->kind == MFI_STEP_END ||
		   (last->kind == MFI_STEP_IF && ends_always(last->then_steps) &&
			ends_always(last->else_steps));
}

static List *
read_steps(Place *place, json_t *list, const char *path)
{
	MfiDefinition *definition = place->definition;
	List *steps = NIL;

	check_stack_depth();
	if (!json_is_array(list) || json_array_size(list) == 0)
		mfi_reading_refuse(definition, path, "a list of at least one step", list,
						   "Write [{\"send\": \"a_template\"}].");
	if (++place->depth > STEP_DEPTH_MAX)
		mfi_definition_refuse(
			definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			psprintf("at most %d lists of steps inside one another", STEP_DEPTH_MAX), "one more",
			"Split the workflow in two.");
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		char *step_path = psprintf("%s[%zu]", path, i);

		if (ends_always(steps))
			mfi_reading_refuse(
				definition, step_path, "nothing after the end", json_array_get(list, i),
				"No client can reach this step; remove it or the \"end\" before it.");
		steps = lappend(steps, read_step(place, json_array_get(list, i), step_path));
	}
	place->depth--;
	return steps;
}

/*
 * parse_moment reads "[sign]days day|days HH:MM[:SS]".
 */
static bool
parse_moment(const char *text, MfiMoment *moment)
{
	int sign = 1;
	int part[3] = { 0, 0, 0 };
	int digits = 0;
	long days = 0;

	text += strspn(text, " ");
	if (*text == '+' || *text == '-')
		sign = *text++ == '-' ? -1 : 1;
	for (; isdigit((unsigned char) *text) && digits < 6; digits++)
		days = days * 10 + (*text++ - '0');
	if (digits == 0 || days > MFI_ANCHOR_DAYS_MAX || *text != ' ')
		return false;
	text += strspn(text, " ");
	if (strncmp(text, "day", 3) != 0)
		return false;
	text += text[3] == 's' ? 4 : 3;
	if (*text != ' ')
		return false;
	text += strspn(text, " ");
	for (int i = 0; i < 3; i++)
	{
		if (!isdigit((unsigned char) text[0]) || !isdigit((unsigned char) text[1]))
			return false;
		part[i] = (text[0] - '0') * 10 + text[1] - '0';
		text += 2;
		if (*text != ':' || i == 2)
		{
			if (i == 0)
				return false;
			break;
		}
		text++;
	}
	text += strspn(text, " ");
	if (*text != '\0' || part[0] > 23 || part[1] > 59 || part[2] > 59)
		return false;
	moment->days = sign * (int) days;
	moment->second = part[0] * 3600 + part[1] * 60 + part[2];
	moment->time = psprintf("%02d:%02d:%02d", part[0], part[1], part[2]);
	return true;
}

static bool
is_before(const MfiMoment *one, const MfiMoment *other)
{
	return one->days < other->days || (one->days == other->days && one->second < other->second);
}

/*
 * read_moment reads a step's "at" and keeps the moments of its list in order.
 */
static void
read_moment(Place *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *value = json_object_get(object, "at");
	const char *path = mfi_reading_below(step->path, "at");

	if (value == NULL)
	{
		if (definition->anchor != NULL && place->latest.time == NULL)
			mfi_reading_refuse(definition, path,
							   "a moment for the first step of an anchored workflow", value,
							   "Write \"at\": \"-7 days 09:00\".");
		return;
	}
	if (definition->anchor == NULL)
		mfi_reading_refuse(definition, path, "no \"at\" in a workflow that an event triggers",
						   value,
						   "Use {\"wait\": \"2 days\"} before the step, or give the workflow "
						   "\"for_each\" and \"anchor\".");
	if (!json_is_string(value) || !parse_moment(mfi_json_text(value), &step->at))
		mfi_reading_refuse(
			definition, path, "days from the anchor and a local time", value,
			psprintf("Write it as \"-7 days 09:00\" or \"+1 day 17:30\", at most %d days away.",
					 MFI_ANCHOR_DAYS_MAX));
	if (place->latest.time != NULL && is_before(&step->at, &place->latest))
		mfi_reading_refuse(definition, path,
						   psprintf("a moment not before \"%+d days %s\" of an earlier step",
									place->latest.days, place->latest.time),
						   value, "Put the steps in the order of their moments.");
	place->latest = step->at;
}

static List *
read_channels(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	json_t *list = json_object_get(object, "channels");
	const char *path = mfi_reading_below(step->path, "channels");
	List *channels = NIL;

	if (list == NULL)
		return NIL;
	if (!json_is_array(list) || json_array_size(list) == 0)
		mfi_reading_refuse(
			definition, path, "a list of at least one channel", list,
			"Write [\"sms\", \"voice\"]: the next is tried where the first cannot be used.");
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		json_t *item = json_array_get(list, i);
		char *item_path = psprintf("%s[%zu]", path, i);
		ListCell *cell;

		if (!json_is_string(item) || !mfi_reading_is_among(mfi_json_text(item), channel_names))
			mfi_reading_refuse(definition, item_path,
							   psprintf("one of %s", mfi_reading_join(channel_names)), item,
							   "Name a channel as templates and gateways do.");
		foreach (cell, channels)
			if (strcmp(lfirst(cell), mfi_json_text(item)) == 0)
				mfi_reading_refuse(definition, item_path, "each channel once", item,
								   "Remove the second one.");
		channels = lappend(channels, mfi_json_text(item));
	}
	return channels;
}

/*
 * find_kind tells a step's kind: the one kind key that it has.
 */
static MfiStepKind
find_kind(MfiDefinition *definition, json_t *object, const char *path)
{
	static const char hint[] =
		"A step is, for example, {\"send\": \"a_template\"} or {\"wait\": \"2 days\"}.";
	const char *key;
	json_t *value;
	const char *near = NULL;
	int found = -1;

	if (!json_is_object(object))
		mfi_reading_refuse(definition, path, "a step, an object", object, hint);
	json_object_foreach(object, key, value)
	{
		if (mfi_reading_is_among(key, later_kinds))
			mfi_reading_refuse_later(definition, path, "step kind", key,
									 mfi_reading_join(kind_names));
		if (near == NULL)
			near = mfi_reading_nearest(key, kind_names);
	}
	for (int kind = 0; kind_names[kind] != NULL; kind++)
	{
		if (json_object_get(object, kind_names[kind]) == NULL)
			continue;
		if (found >= 0)
			mfi_definition_refuse(
				definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
				psprintf("one of the keys %s", mfi_reading_join(kind_names)),
				psprintf("both \"%s\" and \"%s\"", kind_names[found], kind_names[kind]),
				"Make two steps of it.");
		found = kind;
	}
	if (found < 0)
		mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("one of the keys %s", mfi_reading_join(kind_names)),
							  "none of them",
							  near ? psprintf("Perhaps you meant \"%s\".", near) : hint);
	return (MfiStepKind) found;
}

static void
read_send(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	step->template =
		mfi_reading_name(definition, object, step->path, "send", true, "the name of a template",
						 "mfiauto.template lists the templates.");
	step->channels = read_channels(definition, step, object);
	step->expires = mfi_reading_duration(definition, object, step->path, "expires", false);
	step->class = mfi_reading_name(definition, object, step->path, "class", false,
								   "a message class", "mfiauto.message_class lists the classes.");
}

static void
read_wait(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, "wait"),
						   "no \"wait\" in an anchored workflow", json_object_get(object, "wait"),
						   "Give the next step its own \"at\".");
	step->wait = mfi_reading_duration(definition, object, step->path, "wait", true);
}

static void
read_if(Place *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	MfiMoment before = place->latest;
	MfiMoment after_then;

	step->condition = mfi_reading_condition(definition, object, step->path, "if", true);
	step->then_steps =
		read_steps(place, json_object_get(object, "then"), mfi_reading_below(step->path, "then"));
	after_then = place->latest;
	place->latest = before;
	if (json_object_get(object, "else") != NULL)
		step->else_steps = read_steps(place, json_object_get(object, "else"),
									  mfi_reading_below(step->path, "else"));
	if (is_before(&place->latest, &after_then))
		place->latest = after_then;
}

static void
read_task(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	step->task_title =
		mfi_reading_text(definition, object, step->path, "task", true, "the title of a task",
						 "Write what is to be done: \"Visit {{client.name}}\".");
	step->assignee =
		mfi_reading_name(definition, object, step->path, "assign", false, "who is to do it",
						 "Write \"officer\" for the client's own officer, or a name.");
	step->due_after = mfi_reading_duration(definition, object, step->path, "due", false);
}

static MfiStep *
read_step(Place *place, json_t *object, const char *path)
{
	MfiDefinition *definition = place->definition;
	MfiStep *step = palloc0(sizeof(MfiStep));

	step->path = path;
	step->kind = find_kind(definition, object, path);
	step->number = ++definition->step_count;
	if (step->number > STEPS_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d steps", STEPS_MAX), "one more",
							  "Split the workflow in two.");
	mfi_reading_check_keys(definition, object, path, step_keys[step->kind]);
	if (step->kind != MFI_STEP_WAIT && step->kind != MFI_STEP_END)
		read_moment(place, step, object);
	switch (step->kind)
	{
		case MFI_STEP_SEND:
			read_send(definition, step, object);
			break;
		case MFI_STEP_WAIT:
			read_wait(definition, step, object);
			break;
		case MFI_STEP_IF:
			read_if(place, step, object);
			break;
		case MFI_STEP_TASK:
			read_task(definition, step, object);
			break;
		case MFI_STEP_END:
			if (!json_is_true(json_object_get(object, "end")))
				mfi_reading_refuse(definition, mfi_reading_below(path, "end"), "true",
								   json_object_get(object, "end"), "Write {\"end\": true}.");
			break;
	}
	return step;
}
