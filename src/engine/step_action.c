/*
 * step_action.c
 *		The steps that do something other than send.
 */
#include "postgres.h"

#include "engine/reading.h"
#include "engine/step.h"

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
}
