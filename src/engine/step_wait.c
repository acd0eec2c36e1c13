/*
 * step_wait.c
 *		The steps at which a run stands still.
 */
#include "postgres.h"

#include "engine/reading.h"
#include "engine/step.h"

void
mfi_step_read_wait(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;

	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, "wait"),
						   "no \"wait\" in an anchored workflow", json_object_get(object, "wait"),
						   "Give the next step its own \"at\".");
	step->wait = mfi_reading_duration(definition, object, step->path, "wait", true);
}
