/*
 * step_action.c
 *		The steps that do something other than send.
 */
#include "postgres.h"

#include "engine/reading.h"
#include "engine/step.h"

#define SETTINGS_MAX 50
#define OUTCOMES_MAX 20
#define NAME_BYTES_MAX 200

static void read_outcomes(MfiPlace *place, MfiStep *step, json_t *object);

/*
 * read_settings reads names with their values, constants or {"sql": expression}.
 */
static List *
read_settings(MfiDefinition *definition, json_t *object, const char *path, const char *hint)
{
	List *settings = NIL;
	const char *key;
	json_t *value;

	if (!json_is_object(object) || json_object_size(object) == 0)
		mfi_reading_refuse(definition, path, "an object of at least one name with its value",
						   object, hint);
	if (json_object_size(object) > SETTINGS_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d names", SETTINGS_MAX), "more",
							  "Make two steps of it.");
	json_object_foreach(object, key, value)
	{
		MfiSetting *setting = palloc0(sizeof(MfiSetting));

		setting->name = mfi_json_key(key);
		if (setting->name[0] == '\0' || strlen(setting->name) > NAME_BYTES_MAX)
			mfi_reading_refuse(definition, path, psprintf("names of 1 to %d bytes", NAME_BYTES_MAX),
							   object, hint);
		setting->path = mfi_reading_below(path, setting->name);
		if (json_is_object(value) && json_object_get(value, "sql") != NULL)
		{
			mfi_reading_check_keys(definition, value, setting->path, MFI_WORDS("sql"));
			(void) mfi_reading_text(definition, value, setting->path, "sql", true,
									"a SQL expression",
									"Write what gives the value: \"loan.product\".");
			setting->sql = mfi_reading_condition(definition, value, setting->path, "sql", true);
		}
		else
			setting->constant = mfi_json_write(value);
		settings = lappend(settings, setting);
	}
	return settings;
}

void
mfi_step_read_set(MfiPlace *place, MfiStep *step, json_t *object)
{
	step->settings = read_settings(
		place->definition, json_object_get(object, "set"), mfi_reading_below(step->path, "set"),
		"Write {\"set\": {\"onboarded\": true, \"score\": {\"sql\": \"…\"}}}.");
}

static char *
read_segment(MfiPlace *place, MfiStep *step, json_t *object, const char *key)
{
	return mfi_reading_name(place->definition, object, step->path, key, true,
							"the name of a segment", "mfiauto.segment lists the segments.");
}

void
mfi_step_read_add_to(MfiPlace *place, MfiStep *step, json_t *object)
{
	step->segment = read_segment(place, step, object, "add_to");
}

void
mfi_step_read_remove_from(MfiPlace *place, MfiStep *step, json_t *object)
{
	step->segment = read_segment(place, step, object, "remove_from");
}

void
mfi_step_read_task(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;

	step->task_title =
		mfi_reading_text(definition, object, step->path, "task", true, "the title of a task",
						 "Write what is to be done: \"Visit {{client.name}}\".");
	step->assignee =
		mfi_reading_name(definition, object, step->path, "assign", false, "who is to do it",
						 "Write \"officer\" for the client's own officer, or a name.");
	step->due_after = mfi_reading_duration(definition, object, step->path, "due", false);
	if (json_object_get(object, "outcomes") != NULL)
		read_outcomes(place, step, object);
	else if (json_object_get(object, "timeout") != NULL ||
			 json_object_get(object, "timeout_steps") != NULL)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, "outcomes"),
						   "the outcomes that the run waits for", NULL,
						   "Write \"outcomes\": {\"visited\": [], \"not_found\": [{\"send\": "
						   "\"a_template\"}]}, or leave the timeout out: then nothing waits.");
}

/*
 * read_outcomes reads what may come of a task that the run waits for, and where
 * each leads.
 */
static void
read_outcomes(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *outcomes = json_object_get(object, "outcomes");
	const char *path = mfi_reading_below(step->path, "outcomes");
	const char *key;
	json_t *list;

	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, path, "no \"outcomes\" in an anchored workflow", outcomes,
						   "Its moments do not wait for anybody. Have it {\"enroll\": …} into a "
						   "workflow that gives the task.");
	if (!json_is_object(outcomes) || json_object_size(outcomes) == 0)
		mfi_reading_refuse(definition, path, "an object of at least one outcome", outcomes,
						   "Write {\"visited\": [], \"not_found\": [{\"send\": \"a_template\"}]}.");
	if (json_object_size(outcomes) > OUTCOMES_MAX)
		mfi_definition_refuse(definition->name, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d outcomes", OUTCOMES_MAX), "more",
							  "Put those together that lead to the same.");
	json_object_foreach(outcomes, key, list)
	{
		MfiBranch *branch = palloc0(sizeof(MfiBranch));

		branch->name = mfi_json_key(key);
		branch->path = mfi_reading_below(path, branch->name);
		if (branch->name[0] == '\0' || strlen(branch->name) > NAME_BYTES_MAX)
			mfi_reading_refuse(definition, path, psprintf("names of 1 to %d bytes", NAME_BYTES_MAX),
							   outcomes, "Name what may come of the task: \"visited\".");
		branch->steps = mfi_step_read_way(place, list, branch->path, true);
		step->branches = lappend(step->branches, branch);
	}
	step->timeout = mfi_reading_duration(definition, object, step->path, "timeout", true);
	step->else_steps = mfi_step_read_way(place, json_object_get(object, "timeout_steps"),
										 mfi_reading_below(step->path, "timeout_steps"), true);
}

void
mfi_step_read_webhook(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;

	step->template =
		mfi_reading_name(definition, object, step->path, "webhook", true, "the name of a template",
						 "mfiauto.template lists the templates.");
	step->channels = list_make1(pstrdup("webhook"));
	step->is_webhook = true;
	step->expires = mfi_reading_duration(definition, object, step->path, "expires", false);
	step->class = mfi_reading_name(definition, object, step->path, "class", false,
								   "a message class", "mfiauto.message_class lists the classes.");
}

void
mfi_step_read_emit(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *properties = json_object_get(object, "properties");

	step->event_name =
		mfi_reading_name(definition, object, step->path, "emit", true, "the name of an event",
						 "Name it as Object Action: \"Onboarding Completed\".");
	if (properties != NULL)
		step->settings =
			read_settings(definition, properties, mfi_reading_below(step->path, "properties"),
						  "Write {\"lessons\": 3, \"product\": {\"sql\": \"loan.product\"}}.");
}

/*
 * read_target reads the name of another workflow.
 */
static const char *
read_target(MfiDefinition *definition, MfiStep *step, json_t *object, const char *key,
			const char *hint)
{
	const char *target =
		mfi_reading_name(definition, object, step->path, key, true, "the name of a workflow",
						 "mfiauto.workflow lists the workflows.");

	if (strcmp(target, definition->name) == 0)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, key), "another workflow",
						   json_object_get(object, key), hint);
	return target;
}

void
mfi_step_read_enroll(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *context = json_object_get(object, "context");

	step->target = read_target(definition, step, object, "enroll",
							   "Who is in a workflow cannot enter it again; {\"repeat\": […]} "
							   "goes through steps several times.");
	if (context != NULL)
		step->settings =
			read_settings(definition, context, mfi_reading_below(step->path, "context"),
						  "Write {\"lessons\": 3, \"product\": {\"sql\": \"loan.product\"}}.");
}

void
mfi_step_read_exit(MfiPlace *place, MfiStep *step, json_t *object)
{
	step->target = read_target(place->definition, step, object, "exit",
							   "Write {\"end\": true} to end the run itself.");
}
