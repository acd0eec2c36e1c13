/*
 * definition.c
 *		The language of workflow definitions: keys, types, order.
 *
 * Nothing here looks at the database. A definition that passes is complete in
 * itself: every key is known, every value of its type, the moments of a list
 * are in order, and every step can be reached. What the finished product will
 * know and this version does not is told from what nobody knows (0A000), so
 * that nothing accepted is ever ignored.
 */
#include "postgres.h"

#include <limits.h>

#include "base/json.h"
#include "catalog/pg_type.h"
#include "engine/definition.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define STEP_DEPTH_MAX 16
#define STEPS_MAX 1000
#define ANCHOR_DAYS_MAX 3660
#define NAME_BYTES_MAX 200
#define CONDITION_BYTES_MAX 10000
#define DEFINITION_BYTES_MAX (1024 * 1024)
#define KEYS(...) ((const char *const[]) {__VA_ARGS__, NULL})

/* What a list of steps has come to while it is read. */
typedef struct Place
{
	MfiDefinition *definition;
	MfiMoment	latest;			/* no later step may have an earlier moment */
	int			depth;
} Place;

static const char *const channel_names[] = {"sms", "email", "voice", "push", "whatsapp", "telegram",
	"messenger", "inapp", "webhook", NULL};
/* In the order of MfiStepKind, with the keys that each kind may have. */
static const char *const kind_names[] = {"send", "wait", "if", "task", "end", NULL};
static const char *const *const step_keys[] = {
	KEYS("at", "send", "channels", "expires", "class"),
	KEYS("wait"),
	KEYS("at", "if", "then", "else"),
	KEYS("at", "task", "assign", "due"),
	KEYS("end")};
static const char *const later_kinds[] = {"wait_for", "split", "set", "emit", "add_to", "remove_from",
	"webhook", "enroll", "exit", NULL};
static const char *const later_triggers[] = {"segment", "inactive", "schedule", "yearly", NULL};

static void read_entry(MfiDefinition *definition, json_t *root);
static void read_trigger(MfiDefinition *definition, json_t *root);
static void read_goal(MfiDefinition *definition, json_t *root);
static void read_reentry(MfiDefinition *definition, json_t *root);
static void read_limits(MfiDefinition *definition, json_t *root);
static List *read_steps(Place *place, json_t *list, const char *path);
static MfiStep *read_step(Place *place, json_t *object, const char *path);

void
mfi_definition_refuse(const char *workflow, const char *path, int sqlstate, const char *expected,
					  const char *found, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("cannot use %s of workflow \"%s\"", path, workflow),
			 errdetail("Expected %s; found %s.", expected, found),
			 errhint("%s", hint)));
}

static void pg_attribute_noreturn()
refuse(const MfiDefinition *definition, const char *path, const char *expected, json_t *found,
	   const char *hint)
{
	mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE, expected,
						  mfi_json_describe(found), hint);
}

static void pg_attribute_noreturn()
refuse_later(const MfiDefinition *definition, const char *path, const char *noun, const char *name,
			 const char *available)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s \"%s\" at %s of workflow \"%s\" is not available yet", noun, name, path,
					definition->name),
			 errdetail("Available are: %s.", available),
			 errhint("Use one of these; nothing of the definition was stored.")));
}

static bool
is_among(const char *word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static char *
join(const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&list, "%s%s", i == 0 ? "" : ", ", words[i]);
	return list.data;
}

/*
 * below names a key of the object at a path; the definition itself has none.
 */
static char *
below(const char *path, const char *key)
{
	return path[0] == '\0' ? pstrdup(key) : psprintf("%s.%s", path, key);
}

/*
 * nearest_word finds what a misspelled key was probably meant to be.
 */
static const char *
nearest_word(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	int			distance_max = 2;

	if (strlen(word) > 64)
		return NULL;
	for (; *words != NULL; words++)
	{
		int			distance = varstr_levenshtein_less_equal(word, strlen(word), *words, strlen(*words),
															 1, 1, 1, distance_max, true);

		if (distance <= distance_max)
		{
			nearest = *words;
			distance_max = distance - 1;
		}
		if (distance_max < 0)
			break;
	}
	return nearest;
}

/*
 * check_keys refuses keys that nobody reads.
 */
static void
check_keys(const MfiDefinition *definition, json_t *object, const char *path,
		   const char *const *known)
{
	const char *key;
	json_t	   *value;

	json_object_foreach(object, key, value)
	{
		const char *near;

		if (is_among(key, known))
			continue;
		near = nearest_word(key, known);
		mfi_definition_refuse(definition->name, below(path, mfi_json_key(key)),
							  ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("one of the keys %s", join(known)),
							  psprintf("the key \"%s\"", mfi_json_key(key)),
							  near ? psprintf("Perhaps you meant \"%s\".", near) : "Remove the key.");
	}
}

/*
 * read_text reads a non-empty string; NULL if the key is missing and may be.
 */
static char *
read_text(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
		  bool is_required, const char *expected, const char *hint)
{
	json_t	   *value = json_object_get(object, key);
	char	   *text;

	if (value == NULL && !is_required)
		return NULL;
	if (!json_is_string(value))
		refuse(definition, below(path, key), expected, value, hint);
	text = mfi_json_text(value);
	if (text[strspn(text, " \t\r\n")] == '\0')
		refuse(definition, below(path, key), expected, value, hint);
	return text;
}

static char *
read_condition(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
			   bool is_required)
{
	char	   *condition = read_text(definition, object, path, key, is_required, "a SQL condition",
									  "Write a boolean expression, for example \"loan.status = 'active'\".");

	if (condition != NULL && strlen(condition) > CONDITION_BYTES_MAX)
		mfi_definition_refuse(definition->name, below(path, key), ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d bytes of SQL", CONDITION_BYTES_MAX),
							  psprintf("%zu", strlen(condition)),
							  "Put it into a function of your own that is immutable or stable.");
	return condition;
}

static char *
read_name(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
		  bool is_required, const char *expected, const char *hint)
{
	char	   *name = read_text(definition, object, path, key, is_required, expected, hint);

	if (name != NULL && strlen(name) > NAME_BYTES_MAX)
		refuse(definition, below(path, key), psprintf("at most %d bytes", NAME_BYTES_MAX),
			   json_object_get(object, key), "Choose a shorter name.");
	return name;
}

/*
 * is_duration tells whether a text is an interval longer than nothing.
 */
static bool
is_duration(const char *text)
{
	char		work[256];
	char	   *field[MAXDATEFIELDS];
	int			type[MAXDATEFIELDS];
	int			field_count;
	int			kind;
	struct pg_itm_in parsed;
	Interval	duration;
	Interval	nothing = {0};

	if (ParseDateTime(text, work, sizeof(work), field, type, MAXDATEFIELDS, &field_count) != 0 ||
		DecodeInterval(field, type, field_count, INTERVAL_FULL_RANGE, &kind, &parsed) != 0)
	{
		if (DecodeISO8601Interval(pstrdup(text), &kind, &parsed) != 0)
			return false;
	}
	if (kind != DTK_DELTA || itmin2interval(&parsed, &duration) != 0)
		return false;
	return DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(&duration),
											IntervalPGetDatum(&nothing)));
}

static char *
read_duration(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
			  bool is_required)
{
	static const char expected[] = "an interval longer than zero";
	static const char hint[] = "Write it as \"2 days\" or \"36 hours\".";
	char	   *text = read_text(definition, object, path, key, is_required, expected, hint);

	if (text != NULL && !is_duration(text))
		refuse(definition, below(path, key), expected, json_object_get(object, key), hint);
	return text;
}

static bool
read_flag(const MfiDefinition *definition, json_t *object, const char *path, const char *key)
{
	json_t	   *value = json_object_get(object, key);

	if (value != NULL && !json_is_boolean(value))
		refuse(definition, below(path, key), "true or false", value, "Write it without quotes.");
	return json_is_true(value);
}

static int
read_whole_number(const MfiDefinition *definition, json_t *object, const char *key, int smallest,
				  int largest, int otherwise)
{
	json_t	   *value = json_object_get(object, key);

	if (value == NULL)
		return otherwise;
	if (!json_is_integer(value) || json_integer_value(value) < smallest ||
		json_integer_value(value) > largest)
		refuse(definition, key, psprintf("a whole number from %d to %d", smallest, largest), value,
			   "Write it without quotes.");
	return (int) json_integer_value(value);
}

MfiDefinition *
mfi_definition_read(const char *workflow, const char *text)
{
	MfiDefinition *definition = palloc0(sizeof(MfiDefinition));
	json_t	   *root;
	Place		place = {.definition = definition,.latest = {.days = INT_MIN}};

	definition->name = workflow;
	if (strlen(text) > DEFINITION_BYTES_MAX)
		mfi_definition_refuse(workflow, "the definition", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d bytes", DEFINITION_BYTES_MAX),
							  psprintf("%zu", strlen(text)), "Split the workflow in two.");
	root = mfi_json_parse(text, "workflow definition");
	if (!json_is_object(root))
		refuse(definition, "the definition", "an object", root,
			   "Write {\"trigger\": {…}, \"steps\": […]} or {\"for_each\": …, \"anchor\": …, \"steps\": […]}.");
	check_keys(definition, root, "",
			   KEYS("for_each", "anchor", "trigger", "class", "enter_if", "exit_if", "reentry", "goal",
					"exit_on_goal", "holdout", "resend_if_moved", "max_per_day", "steps"));
	read_entry(definition, root);
	definition->class = read_name(definition, root, "", "class", false, "a message class",
								  "mfiauto.message_class lists the classes.");
	definition->enter_if = read_condition(definition, root, "", "enter_if", false);
	definition->exit_if = read_condition(definition, root, "", "exit_if", false);
	read_reentry(definition, root);
	read_goal(definition, root);
	read_limits(definition, root);
	definition->steps = read_steps(&place, json_object_get(root, "steps"), "steps");
	return definition;
}

/*
 * read_entry reads what makes a client enter: the anchor's date or an event.
 */
static void
read_entry(MfiDefinition *definition, json_t *root)
{
	bool		has_anchor = json_object_get(root, "anchor") != NULL;
	bool		has_trigger = json_object_get(root, "trigger") != NULL;

	if (has_anchor == has_trigger)
		mfi_definition_refuse(definition->name, has_anchor ? "anchor" : "trigger",
							  ERRCODE_INVALID_PARAMETER_VALUE,
							  "either \"for_each\" with \"anchor\", or \"trigger\"",
							  has_anchor ? "both" : "neither",
							  "Say once what makes a client enter, for example \"for_each\": \"installment\", \"anchor\": \"due_date\".");
	if (has_trigger)
		read_trigger(definition, root);
	definition->anchor = read_name(definition, root, "", "anchor", false,
								   "the name of a date column",
								   "Name a date of the subject, for example \"due_date\" of installment.");
	if (has_anchor || json_object_get(root, "for_each") != NULL)
		definition->subject = read_name(definition, root, "", "for_each", true,
										"the name of a canonical role",
										"Name the role that is followed one by one, for example \"installment\".");
}

static void
read_trigger(MfiDefinition *definition, json_t *root)
{
	json_t	   *trigger = json_object_get(root, "trigger");
	const char *key;
	json_t	   *value;

	if (!json_is_object(trigger))
		refuse(definition, "trigger", "an object", trigger, "Write {\"event\": \"Loan Applied\"}.");
	json_object_foreach(trigger, key, value)
	{
		if (is_among(key, later_triggers))
			refuse_later(definition, psprintf("trigger.%s", key), "trigger", key,
						 "{\"event\": …, \"if\": …}, and \"for_each\" with \"anchor\"");
	}
	check_keys(definition, trigger, "trigger", KEYS("event", "if"));
	definition->trigger_event = read_name(definition, trigger, "trigger", "event", true,
										  "the name of an event",
										  "Standard events are named as \"Loan Applied\"; others come from watch() and track().");
	definition->trigger_condition = read_condition(definition, trigger, "trigger", "if", false);
}

static void
read_reentry(MfiDefinition *definition, json_t *root)
{
	static const char expected[] = "\"never\", \"always\" or an interval";
	static const char hint[] = "An interval says how long after the end of a run another may begin: \"90 days\".";
	char	   *reentry = read_text(definition, root, "", "reentry", false, expected, hint);

	definition->reentry = reentry == NULL ? "never" : reentry;
	if (strcmp(definition->reentry, "never") == 0 || strcmp(definition->reentry, "always") == 0)
		return;
	if (!is_duration(reentry))
		refuse(definition, "reentry", expected, json_object_get(root, "reentry"), hint);
	definition->reentry = "interval";
	definition->reentry_after = reentry;
}

static void
read_goal(MfiDefinition *definition, json_t *root)
{
	json_t	   *goal = json_object_get(root, "goal");

	definition->exit_on_goal = read_flag(definition, root, "", "exit_on_goal");
	if (goal == NULL)
	{
		if (definition->exit_on_goal)
			refuse(definition, "exit_on_goal", "a workflow with a \"goal\"",
				   json_object_get(root, "exit_on_goal"), "Add the goal or leave \"exit_on_goal\" out.");
		return;
	}
	if (!json_is_object(goal))
		refuse(definition, "goal", "an object", goal,
			   "Write {\"event\": \"Payment Received\", \"within\": \"3 days\"}.");
	check_keys(definition, goal, "goal", KEYS("event", "within"));
	definition->goal_event = read_name(definition, goal, "goal", "event", true, "the name of an event",
									   "Write {\"event\": \"Payment Received\", \"within\": \"3 days\"}.");
	definition->goal_within = read_duration(definition, goal, "goal", "within", true);
}

static void
read_limits(MfiDefinition *definition, json_t *root)
{
	json_t	   *holdout = json_object_get(root, "holdout");

	definition->holdout = "0";
	if (holdout != NULL)
	{
		if (!json_is_number(holdout) || json_number_value(holdout) < 0 || json_number_value(holdout) >= 100)
			refuse(definition, "holdout", "a number from 0 to less than 100", holdout,
				   "It is the percentage of clients who are not written to, for comparison.");
		definition->holdout = psprintf("%.10g", json_number_value(holdout));
	}
	if (definition->anchor == NULL && json_object_get(root, "resend_if_moved") != NULL)
		refuse(definition, "resend_if_moved", "an anchored workflow",
			   json_object_get(root, "resend_if_moved"),
			   "It says by how many days an anchor must move for a step to be sent again.");
	definition->resend_if_moved = read_whole_number(definition, root, "resend_if_moved", 0, ANCHOR_DAYS_MAX, 3);
	definition->max_per_day = read_whole_number(definition, root, "max_per_day", 1, INT_MAX, 0);
}

/*
 * ends_always tells whether no client comes out of the end of a list.
 */
static bool
ends_always(List *steps)
{
	MfiStep    *last = steps == NIL ? NULL : llast(steps);

	if (last == NULL)
		return false;
	return last->kind == MFI_STEP_END ||
		(last->kind == MFI_STEP_IF && ends_always(last->then_steps) && ends_always(last->else_steps));
}

static List *
read_steps(Place *place, json_t *list, const char *path)
{
	MfiDefinition *definition = place->definition;
	List	   *steps = NIL;

	check_stack_depth();
	if (!json_is_array(list) || json_array_size(list) == 0)
		refuse(definition, path, "a list of at least one step", list,
			   "Write [{\"send\": \"a_template\"}].");
	if (++place->depth > STEP_DEPTH_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d lists of steps inside one another", STEP_DEPTH_MAX),
							  "one more", "Split the workflow in two.");
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		char	   *step_path = psprintf("%s[%zu]", path, i);

		if (ends_always(steps))
			refuse(definition, step_path, "nothing after the end", json_array_get(list, i),
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
	int			sign = 1;
	int			part[3] = {0, 0, 0};
	int			digits = 0;
	long		days = 0;

	text += strspn(text, " ");
	if (*text == '+' || *text == '-')
		sign = *text++ == '-' ? -1 : 1;
	for (; isdigit((unsigned char) *text) && digits < 6; digits++)
		days = days * 10 + (*text++ - '0');
	if (digits == 0 || days > ANCHOR_DAYS_MAX || *text != ' ')
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
	json_t	   *value = json_object_get(object, "at");
	const char *path = below(step->path, "at");

	if (value == NULL)
	{
		if (definition->anchor != NULL && place->latest.time == NULL)
			refuse(definition, path, "a moment for the first step of an anchored workflow", value,
				   "Write \"at\": \"-7 days 09:00\".");
		return;
	}
	if (definition->anchor == NULL)
		refuse(definition, path, "no \"at\" in a workflow that an event triggers", value,
			   "Use {\"wait\": \"2 days\"} before the step, or give the workflow \"for_each\" and \"anchor\".");
	if (!json_is_string(value) || !parse_moment(mfi_json_text(value), &step->at))
		refuse(definition, path, "days from the anchor and a local time", value,
			   psprintf("Write it as \"-7 days 09:00\" or \"+1 day 17:30\", at most %d days away.",
						ANCHOR_DAYS_MAX));
	if (place->latest.time != NULL && is_before(&step->at, &place->latest))
		refuse(definition, path,
			   psprintf("a moment not before \"%+d days %s\" of an earlier step", place->latest.days,
						place->latest.time), value,
			   "Put the steps in the order of their moments.");
	place->latest = step->at;
}

static List *
read_channels(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	json_t	   *list = json_object_get(object, "channels");
	const char *path = below(step->path, "channels");
	List	   *channels = NIL;

	if (list == NULL)
		return NIL;
	if (!json_is_array(list) || json_array_size(list) == 0)
		refuse(definition, path, "a list of at least one channel", list,
			   "Write [\"sms\", \"voice\"]: the next is tried where the first cannot be used.");
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		json_t	   *item = json_array_get(list, i);
		char	   *item_path = psprintf("%s[%zu]", path, i);
		ListCell   *cell;

		if (!json_is_string(item) || !is_among(mfi_json_text(item), channel_names))
			refuse(definition, item_path, psprintf("one of %s", join(channel_names)), item,
				   "Name a channel as templates and gateways do.");
		foreach(cell, channels)
			if (strcmp(lfirst(cell), mfi_json_text(item)) == 0)
				refuse(definition, item_path, "each channel once", item, "Remove the second one.");
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
	static const char hint[] = "A step is, for example, {\"send\": \"a_template\"} or {\"wait\": \"2 days\"}.";
	const char *key;
	json_t	   *value;
	const char *near = NULL;
	int			found = -1;

	if (!json_is_object(object))
		refuse(definition, path, "a step, an object", object, hint);
	json_object_foreach(object, key, value)
	{
		if (is_among(key, later_kinds))
			refuse_later(definition, path, "step kind", key, join(kind_names));
		if (near == NULL)
			near = nearest_word(key, kind_names);
	}
	for (int kind = 0; kind_names[kind] != NULL; kind++)
	{
		if (json_object_get(object, kind_names[kind]) == NULL)
			continue;
		if (found >= 0)
			mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
								  psprintf("one of the keys %s", join(kind_names)),
								  psprintf("both \"%s\" and \"%s\"", kind_names[found], kind_names[kind]),
								  "Make two steps of it.");
		found = kind;
	}
	if (found < 0)
		mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("one of the keys %s", join(kind_names)), "none of them",
							  near ? psprintf("Perhaps you meant \"%s\".", near) : hint);
	return (MfiStepKind) found;
}

static void
read_send(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	step->template = read_name(definition, object, step->path, "send", true, "the name of a template",
							   "mfiauto.template lists the templates.");
	step->channels = read_channels(definition, step, object);
	step->expires = read_duration(definition, object, step->path, "expires", false);
	step->class = read_name(definition, object, step->path, "class", false, "a message class",
							"mfiauto.message_class lists the classes.");
}

static void
read_wait(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	if (definition->anchor != NULL)
		refuse(definition, below(step->path, "wait"), "no \"wait\" in an anchored workflow",
			   json_object_get(object, "wait"), "Give the next step its own \"at\".");
	step->wait = read_duration(definition, object, step->path, "wait", true);
}

static void
read_if(Place *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	MfiMoment	before = place->latest;
	MfiMoment	after_then;

	step->condition = read_condition(definition, object, step->path, "if", true);
	step->then_steps = read_steps(place, json_object_get(object, "then"), below(step->path, "then"));
	after_then = place->latest;
	place->latest = before;
	if (json_object_get(object, "else") != NULL)
		step->else_steps = read_steps(place, json_object_get(object, "else"), below(step->path, "else"));
	if (is_before(&place->latest, &after_then))
		place->latest = after_then;
}

static void
read_task(MfiDefinition *definition, MfiStep *step, json_t *object)
{
	step->task_title = read_text(definition, object, step->path, "task", true, "the title of a task",
								 "Write what is to be done: \"Visit {{client.name}}\".");
	step->assignee = read_name(definition, object, step->path, "assign", false, "who is to do it",
							   "Write \"officer\" for the client's own officer, or a name.");
	step->due_after = read_duration(definition, object, step->path, "due", false);
}

static MfiStep *
read_step(Place *place, json_t *object, const char *path)
{
	MfiDefinition *definition = place->definition;
	MfiStep    *step = palloc0(sizeof(MfiStep));

	step->path = path;
	step->kind = find_kind(definition, object, path);
	step->number = ++definition->step_count;
	if (step->number > STEPS_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d steps", STEPS_MAX), "one more",
							  "Split the workflow in two.");
	check_keys(definition, object, path, step_keys[step->kind]);
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
				refuse(definition, below(path, "end"), "true", json_object_get(object, "end"),
					   "Write {\"end\": true}.");
			break;
	}
	return step;
}
