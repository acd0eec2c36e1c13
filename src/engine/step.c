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
#include "engine/step.h"
#include "miscadmin.h"

#define STEP_DEPTH_MAX 16
#define STEPS_MAX 1000

/* The words that make a step of their kind, with the keys that it may have. */
typedef struct StepWord
{
	const char *word;
	MfiStepKind kind;
	const char *const *keys;
	MfiStepReader read;
} StepWord;

static List *read_steps(MfiPlace *place, json_t *list, const char *path);
static MfiStep *read_step(MfiPlace *place, json_t *object, const char *path);
static void read_send(MfiPlace *place, MfiStep *step, json_t *object);
static void read_end(MfiPlace *place, MfiStep *step, json_t *object);

static const StepWord step_words[] = {
	{ "send", MFI_STEP_SEND,
	  MFI_WORDS("at", "send", "channels", "fallback_after", "expires", "class"), read_send },
	{ "wait", MFI_STEP_WAIT, MFI_WORDS("wait"), mfi_step_read_wait },
	{ "wait_for", MFI_STEP_WAIT_FOR, MFI_WORDS("wait_for", "timeout", "then", "timeout_steps"),
	  mfi_step_read_wait_for },
	{ "if", MFI_STEP_IF, MFI_WORDS("at", "if", "then", "else"), mfi_step_read_if },
	{ "switch", MFI_STEP_SWITCH, MFI_WORDS("at", "switch", "else"), mfi_step_read_switch },
	{ "split", MFI_STEP_SPLIT, MFI_WORDS("at", "split", "steps"), mfi_step_read_split },
	{ "repeat", MFI_STEP_REPEAT, MFI_WORDS("repeat", "at_most", "until"), mfi_step_read_repeat },
	{ "set", MFI_STEP_SET, MFI_WORDS("at", "set"), mfi_step_read_set },
	{ "add_to", MFI_STEP_ADD_TO, MFI_WORDS("at", "add_to"), mfi_step_read_add_to },
	{ "remove_from", MFI_STEP_REMOVE_FROM, MFI_WORDS("at", "remove_from"),
	  mfi_step_read_remove_from },
	{ "task", MFI_STEP_TASK,
	  MFI_WORDS("at", "task", "assign", "due", "outcomes", "timeout", "timeout_steps"),
	  mfi_step_read_task },
	{ "webhook", MFI_STEP_SEND, MFI_WORDS("at", "webhook", "expires", "class"),
	  mfi_step_read_webhook },
	{ "emit", MFI_STEP_EMIT, MFI_WORDS("at", "emit", "properties"), mfi_step_read_emit },
	{ "enroll", MFI_STEP_ENROLL, MFI_WORDS("at", "enroll", "context"), mfi_step_read_enroll },
	{ "exit", MFI_STEP_EXIT, MFI_WORDS("at", "exit"), mfi_step_read_exit },
	{ "end", MFI_STEP_END, MFI_WORDS("end"), read_end },
};

static const char *const channel_names[] = { "sms",		 "email",	 "voice",	  "push",
											 "whatsapp", "telegram", "messenger", "inapp",
											 "webhook",	 NULL };

List *
mfi_step_read_all(MfiDefinition *definition, json_t *list)
{
	MfiPlace place = { .definition = definition, .latest = { .days = INT_MIN } };

	return read_steps(&place, list, "steps");
}

List *
mfi_step_ways(const MfiStep *step)
{
	List *ways = NIL;
	ListCell *cell;

	if (step->kind == MFI_STEP_REPEAT)
		return NIL;
	foreach (cell, step->branches)
		ways = lappend(ways, ((MfiBranch *) lfirst(cell))->steps);
	if (step->kind == MFI_STEP_IF || step->kind == MFI_STEP_WAIT_FOR)
		ways = lappend(ways, step->then_steps);
	if (ways != NIL && step->kind != MFI_STEP_SPLIT)
		ways = lappend(ways, step->else_steps);
	return ways;
}

bool
mfi_step_ends_always(List *steps)
{
	MfiStep *last = steps == NIL ? NULL : llast(steps);
	List *ways;
	ListCell *cell;

	if (last == NULL)
		return false;
	if (last->kind == MFI_STEP_END)
		return true;
	ways = mfi_step_ways(last);
	foreach (cell, ways)
		if (!mfi_step_ends_always(lfirst(cell)))
			return false;
	return ways != NIL;
}

static List *
read_steps(MfiPlace *place, json_t *list, const char *path)
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

		if (mfi_step_ends_always(steps))
			mfi_reading_refuse(
				definition, step_path, "nothing after the end", json_array_get(list, i),
				"No client can reach this step; remove it or the \"end\" before it.");
		steps = lappend(steps, read_step(place, json_array_get(list, i), step_path));
	}
	place->depth--;
	return steps;
}

static bool
is_before(const MfiMoment *one, const MfiMoment *other)
{
	return one->days < other->days || (one->days == other->days && one->second < other->second);
}

List *
mfi_step_read_way(MfiPlace *place, json_t *list, const char *path, bool may_be_empty)
{
	MfiMoment furthest = place->latest;
	MfiMoment fork = place->fork;
	List *steps;

	if (may_be_empty && (list == NULL || (json_is_array(list) && json_array_size(list) == 0)))
		return NIL;
	place->latest = place->fork;
	steps = read_steps(place, list, path);
	place->fork = fork;
	if (is_before(&place->latest, &furthest))
		place->latest = furthest;
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

/*
 * read_moment reads a step's "at" and keeps the moments of its list in order.
 */
static void
read_moment(MfiPlace *place, MfiStep *step, json_t *object)
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

		if (!json_is_string(item) || !mfi_words_have(channel_names, mfi_json_text(item)))
			mfi_reading_refuse(definition, item_path,
							   psprintf("one of %s", mfi_words_join(channel_names)), item,
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
 * all_words lists the words that make a step.
 */
static const char *const *
all_words(void)
{
	const char **words = palloc0((lengthof(step_words) + 1) * sizeof(char *));

	for (size_t i = 0; i < lengthof(step_words); i++)
		words[i] = step_words[i].word;
	return words;
}

/*
 * find_word tells what makes a step of its kind: the one such key that it has.
 */
static const StepWord *
find_word(MfiDefinition *definition, json_t *object, const char *path)
{
	static const char hint[] =
		"A step is, for example, {\"send\": \"a_template\"} or {\"wait\": \"2 days\"}.";
	const char *const *words = all_words();
	const char *key;
	json_t *value;
	const char *near = NULL;
	const StepWord *found = NULL;

	if (!json_is_object(object))
		mfi_reading_refuse(definition, path, "a step, an object", object, hint);
	json_object_foreach(object, key, value)
	{
		if (near == NULL)
			near = mfi_reading_nearest(key, words);
	}
	for (size_t i = 0; i < lengthof(step_words); i++)
	{
		if (json_object_get(object, step_words[i].word) == NULL)
			continue;
		if (found != NULL)
			mfi_definition_refuse(
				definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
				psprintf("one of the keys %s", mfi_words_join(words)),
				psprintf("both \"%s\" and \"%s\"", found->word, step_words[i].word),
				"Make two steps of it.");
		found = &step_words[i];
	}
	if (found == NULL)
		mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("one of the keys %s", mfi_words_join(words)),
							  "none of them",
							  near ? psprintf("Perhaps you meant \"%s\".", near) : hint);
	return found;
}

static void
read_send(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;

	step->template =
		mfi_reading_name(definition, object, step->path, "send", true, "the name of a template",
						 "mfiauto.template lists the templates.");
	step->channels = read_channels(definition, step, object);
	step->fallback_after =
		mfi_reading_duration(definition, object, step->path, "fallback_after", false);
	if (step->fallback_after != NULL && list_length(step->channels) < 2)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, "channels"),
						   "at least two channels beside \"fallback_after\"",
						   json_object_get(object, "channels"),
						   "Name the channel to fall back to: [\"sms\", \"voice\"].");
	step->expires = mfi_reading_duration(definition, object, step->path, "expires", false);
	step->class = mfi_reading_name(definition, object, step->path, "class", false,
								   "a message class", "mfiauto.message_class lists the classes.");
}

static void
read_end(MfiPlace *place, MfiStep *step, json_t *object)
{
	if (!json_is_true(json_object_get(object, "end")))
		mfi_reading_refuse(place->definition, mfi_reading_below(step->path, "end"), "true",
						   json_object_get(object, "end"), "Write {\"end\": true}.");
}

static MfiStep *
read_step(MfiPlace *place, json_t *object, const char *path)
{
	MfiDefinition *definition = place->definition;
	MfiStep *step = palloc0(sizeof(MfiStep));
	const StepWord *word = find_word(definition, object, path);

	step->path = path;
	step->kind = word->kind;
	step->number = ++definition->step_count;
	step->loop_no = place->loop_no;
	if (step->number > STEPS_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d steps", STEPS_MAX), "one more",
							  "Split the workflow in two.");
	mfi_reading_check_keys(definition, object, path, word->keys);
	if (mfi_words_have(word->keys, "at"))
		read_moment(place, step, object);
	place->fork = place->latest;
	word->read(place, step, object);
	return step;
}
