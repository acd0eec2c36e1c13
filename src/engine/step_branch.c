/*
 * step_branch.c
 *		The steps from which there are several ways on: if, switch, split, and
 *		repeat, whose one way comes back.
 */
#include "postgres.h"

#include "engine/reading.h"
#include "engine/step.h"

#define BRANCHES_MAX 100
#define ROUNDS_MAX 1000

void
mfi_step_read_if(MfiPlace *place, MfiStep *step, json_t *object)
{
	step->condition = mfi_reading_condition(place->definition, object, step->path, "if", true);
	step->then_steps = mfi_step_read_way(place, json_object_get(object, "then"),
										 mfi_reading_below(step->path, "then"), false);
	if (json_object_get(object, "else") != NULL)
		step->else_steps = mfi_step_read_way(place, json_object_get(object, "else"),
											 mfi_reading_below(step->path, "else"), false);
}

/*
 * read_named_way reads a way on that must be there, but may be empty.
 */
static List *
read_named_way(MfiPlace *place, json_t *object, const char *path, const char *key)
{
	json_t *list = json_object_get(object, key);

	if (!json_is_array(list))
		mfi_reading_refuse(place->definition, mfi_reading_below(path, key),
						   "a list of steps, which may be empty", list,
						   "Say where these clients go; [] sends them on.");
	return mfi_step_read_way(place, list, mfi_reading_below(path, key), true);
}

void
mfi_step_read_switch(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *list = json_object_get(object, "switch");
	const char *path = mfi_reading_below(step->path, "switch");

	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > BRANCHES_MAX)
		mfi_reading_refuse(definition, path, psprintf("a list of 1 to %d cases", BRANCHES_MAX),
						   list,
						   "Write [{\"if\": \"…\", \"then\": […]}, …]: the first that is true "
						   "is taken.");
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		MfiBranch *branch = palloc0(sizeof(MfiBranch));
		json_t *item = json_array_get(list, i);

		branch->path = psprintf("%s[%zu]", path, i);
		if (!json_is_object(item))
			mfi_reading_refuse(definition, branch->path, "a case, an object", item,
							   "Write {\"if\": \"…\", \"then\": […]}.");
		mfi_reading_check_keys(definition, item, branch->path, MFI_WORDS("if", "then"));
		branch->condition = mfi_reading_condition(definition, item, branch->path, "if", true);
		branch->steps = read_named_way(place, item, branch->path, "then");
		step->branches = lappend(step->branches, branch);
	}
	step->else_steps = read_named_way(place, object, step->path, "else");
}

static int
compare_names(const ListCell *one, const ListCell *other)
{
	return strcmp(((MfiBranch *) lfirst(one))->name, ((MfiBranch *) lfirst(other))->name);
}

/*
 * mfi_step_read_split reads the arms in the order of their names: who is in
 * which must not depend on the order in which they happen to be written.
 */
void
mfi_step_read_split(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *weights = json_object_get(object, "split");
	json_t *lists = json_object_get(object, "steps");
	const char *path = mfi_reading_below(step->path, "split");
	const char *steps_path = mfi_reading_below(step->path, "steps");
	const char *key;
	json_t *value;
	ListCell *cell;

	if (!json_is_object(weights) || json_object_size(weights) < 2 ||
		json_object_size(weights) > BRANCHES_MAX)
		mfi_reading_refuse(definition, path, psprintf("2 to %d arms with weights", BRANCHES_MAX),
						   weights, "Write {\"short\": 50, \"long\": 50}.");
	if (!json_is_object(lists))
		mfi_reading_refuse(definition, steps_path, "the steps of each arm, an object", lists,
						   "Write {\"short\": […], \"long\": […]}.");
	json_object_foreach(weights, key, value)
	{
		MfiBranch *branch = palloc0(sizeof(MfiBranch));

		branch->name = mfi_json_key(key);
		branch->path = mfi_reading_below(path, branch->name);
		if (branch->name[0] == '\0' || strlen(branch->name) > 100)
			mfi_reading_refuse(definition, branch->path, "a name of 1 to 100 bytes", value,
							   "Name the arm as reports shall call it.");
		if (!json_is_number(value) || json_number_value(value) <= 0 ||
			json_number_value(value) > 1000000)
			mfi_reading_refuse(definition, branch->path, "a weight greater than 0", value,
							   "Write 50: what counts is the share in the sum of the weights.");
		branch->weight = psprintf("%.10g", json_number_value(value));
		step->branches = lappend(step->branches, branch);
	}
	list_sort(step->branches, compare_names);
	json_object_foreach(lists, key, value)
	{
		if (json_object_get(weights, key) == NULL)
			mfi_reading_refuse(definition, mfi_reading_below(steps_path, mfi_json_key(key)),
							   "an arm that has a weight", value, "Add it to \"split\".");
	}
	foreach (cell, step->branches)
	{
		MfiBranch *branch = lfirst(cell);

		branch->steps = read_named_way(place, lists, steps_path, branch->name);
	}
}

/*
 * has_waited tells whether every client that comes out of the end of a list
 * has come through a step that waits.
 */
static bool
has_waited(List *steps)
{
	ListCell *cell;

	foreach (cell, steps)
	{
		MfiStep *step = lfirst(cell);
		List *ways = mfi_step_ways(step);
		ListCell *way;
		bool is_waiting = ways != NIL;

		if (step->kind == MFI_STEP_WAIT || step->kind == MFI_STEP_WAIT_FOR ||
			step->kind == MFI_STEP_END)
			return true;
		foreach (way, ways)
			is_waiting = is_waiting && has_waited(lfirst(way));
		if (is_waiting)
			return true;
	}
	return false;
}

void
mfi_step_read_repeat(MfiPlace *place, MfiStep *step, json_t *object)
{
	MfiDefinition *definition = place->definition;
	json_t *list = json_object_get(object, "repeat");
	json_t *at_most = json_object_get(object, "at_most");
	const char *path = mfi_reading_below(step->path, "repeat");

	if (definition->anchor != NULL)
		mfi_reading_refuse(definition, path, "no \"repeat\" in an anchored workflow", list,
						   "Write the steps with their own \"at\", or let one enroll the client "
						   "in another workflow.");
	if (!json_is_integer(at_most) || json_integer_value(at_most) < 1 ||
		json_integer_value(at_most) > ROUNDS_MAX)
		mfi_reading_refuse(definition, mfi_reading_below(step->path, "at_most"),
						   psprintf("a whole number from 1 to %d", ROUNDS_MAX), at_most,
						   "Say how many rounds a client may make at most: \"at_most\": 5.");
	step->at_most = (int) json_integer_value(at_most);
	step->condition = mfi_reading_condition(definition, object, step->path, "until", false);
	place->loop_no = step->number;
	step->then_steps = mfi_step_read_way(place, list, path, false);
	place->loop_no = step->loop_no;
	if (mfi_step_ends_always(step->then_steps))
		mfi_reading_refuse(definition, path, "a list that can come back to its beginning", list,
						   "Every client ends in it; write its steps without \"repeat\".");
	if (!has_waited(step->then_steps))
		mfi_reading_refuse(definition, path, "a \"wait\" or \"wait_for\" on every way through",
						   list, "Without one the rounds would follow one another at once.");
}
