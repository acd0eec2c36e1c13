/*
 * reading.c
 *		Values of a workflow definition, one at a time.
 *
 * Each function takes a key from a JSON object, checks its type and returns it,
 * or refuses it with the path, what was expected, what was found and what to do.
 */
#include "postgres.h"

#include "base/json.h"
#include "engine/reading.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define NAME_BYTES_MAX 200
#define CONDITION_BYTES_MAX 10000

void
mfi_definition_refuse(const char *workflow, const char *path, int sqlstate, const char *expected,
					  const char *found, const char *hint)
{
	ereport(ERROR, (errcode(sqlstate), errmsg("cannot use %s of workflow \"%s\"", path, workflow),
					errdetail("Expected %s; found %s.", expected, found), errhint("%s", hint)));
}

void
pg_attribute_noreturn() mfi_reading_refuse(const MfiDefinition *definition, const char *path,
										   const char *expected, json_t *found, const char *hint)
{
	mfi_definition_refuse(definition->name, path, ERRCODE_INVALID_PARAMETER_VALUE, expected,
						  mfi_json_describe(found), hint);
}

/*
 * mfi_reading_below names a key of the object at a path; the definition itself has none.
 */
char *
mfi_reading_below(const char *path, const char *key)
{
	return path[0] == '\0' ? pstrdup(key) : psprintf("%s.%s", path, key);
}

/*
 * mfi_reading_nearest finds what a misspelled key was probably meant to be.
 */
const char *
mfi_reading_nearest(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	int distance_max = 2;

	if (strlen(word) > 64)
		return NULL;
	for (; *words != NULL; words++)
	{
		int distance = varstr_levenshtein_less_equal(word, strlen(word), *words, strlen(*words), 1,
													 1, 1, distance_max, true);

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
 * mfi_reading_check_keys refuses keys that nobody reads.
 */
void
mfi_reading_check_keys(const MfiDefinition *definition, json_t *object, const char *path,
					   const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		const char *near;

		if (mfi_words_have(known, key))
			continue;
		near = mfi_reading_nearest(key, known);
		mfi_definition_refuse(definition->name, mfi_reading_below(path, mfi_json_key(key)),
							  ERRCODE_INVALID_PARAMETER_VALUE,
							  psprintf("one of the keys %s", mfi_words_join(known)),
							  psprintf("the key \"%s\"", mfi_json_key(key)),
							  near ? psprintf("Perhaps you meant \"%s\".", near)
								   : "Remove the key.");
	}
}

/*
 * mfi_reading_text reads a non-empty string; NULL if the key is missing and may be.
 */
char *
mfi_reading_text(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
				 bool is_required, const char *expected, const char *hint)
{
	json_t *value = json_object_get(object, key);
	char *text;

	if (value == NULL && !is_required)
		return NULL;
	if (!json_is_string(value))
		mfi_reading_refuse(definition, mfi_reading_below(path, key), expected, value, hint);
	text = mfi_json_text(value);
	if (text[strspn(text, " \t\r\n")] == '\0')
		mfi_reading_refuse(definition, mfi_reading_below(path, key), expected, value, hint);
	return text;
}

char *
mfi_reading_condition(const MfiDefinition *definition, json_t *object, const char *path,
					  const char *key, bool is_required)
{
	char *condition =
		mfi_reading_text(definition, object, path, key, is_required, "a SQL condition",
						 "Write a boolean expression, for example \"loan.status = 'active'\".");

	if (condition != NULL && strlen(condition) > CONDITION_BYTES_MAX)
		mfi_definition_refuse(definition->name, mfi_reading_below(path, key),
							  ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							  psprintf("at most %d bytes of SQL", CONDITION_BYTES_MAX),
							  psprintf("%zu", strlen(condition)),
							  "Put it into a function of your own that is immutable or stable.");
	return condition;
}

char *
mfi_reading_name(const MfiDefinition *definition, json_t *object, const char *path, const char *key,
				 bool is_required, const char *expected, const char *hint)
{
	char *name = mfi_reading_text(definition, object, path, key, is_required, expected, hint);

	if (name != NULL && strlen(name) > NAME_BYTES_MAX)
		mfi_reading_refuse(definition, mfi_reading_below(path, key),
						   psprintf("at most %d bytes", NAME_BYTES_MAX),
						   json_object_get(object, key), "Choose a shorter name.");
	return name;
}

/*
 * parse_duration reads an interval, whatever the session's IntervalStyle.
 */
static bool
parse_duration(const char *text, Interval *duration)
{
	char work[256];
	char *field[MAXDATEFIELDS];
	int type[MAXDATEFIELDS];
	int field_count;
	int kind;
	struct pg_itm_in parsed;

	if (ParseDateTime(text, work, sizeof(work), field, type, MAXDATEFIELDS, &field_count) != 0 ||
		DecodeInterval(field, type, field_count, INTERVAL_FULL_RANGE, &kind, &parsed) != 0)
	{
		if (DecodeISO8601Interval(pstrdup(text), &kind, &parsed) != 0)
			return false;
	}
	return kind == DTK_DELTA && itmin2interval(&parsed, duration) == 0;
}

/*
 * mfi_reading_is_duration tells whether a text is an interval longer than nothing.
 */
bool
mfi_reading_is_duration(const char *text)
{
	Interval duration;
	Interval nothing = { 0 };

	return parse_duration(text, &duration) &&
		   DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(&duration),
											IntervalPGetDatum(&nothing)));
}

bool
mfi_reading_is_shorter(const char *one, const char *other)
{
	Interval first;
	Interval second;

	return parse_duration(one, &first) && parse_duration(other, &second) &&
		   DatumGetBool(DirectFunctionCall2(interval_lt, IntervalPGetDatum(&first),
											IntervalPGetDatum(&second)));
}

char *
mfi_reading_duration(const MfiDefinition *definition, json_t *object, const char *path,
					 const char *key, bool is_required)
{
	static const char expected[] = "an interval longer than zero";
	static const char hint[] = "Write it as \"2 days\" or \"36 hours\".";
	char *text = mfi_reading_text(definition, object, path, key, is_required, expected, hint);

	if (text != NULL && !mfi_reading_is_duration(text))
		mfi_reading_refuse(definition, mfi_reading_below(path, key), expected,
						   json_object_get(object, key), hint);
	return text;
}

bool
mfi_reading_flag(const MfiDefinition *definition, json_t *object, const char *path, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (value != NULL && !json_is_boolean(value))
		mfi_reading_refuse(definition, mfi_reading_below(path, key), "true or false", value,
						   "Write it without quotes.");
	return json_is_true(value);
}

int
mfi_reading_whole_number(const MfiDefinition *definition, json_t *object, const char *key,
						 int smallest, int largest, int otherwise)
{
	json_t *value = json_object_get(object, key);

	if (value == NULL)
		return otherwise;
	if (!json_is_integer(value) || json_integer_value(value) < smallest ||
		json_integer_value(value) > largest)
		mfi_reading_refuse(definition, key,
						   psprintf("a whole number from %d to %d", smallest, largest), value,
						   "Write it without quotes.");
	return (int) json_integer_value(value);
}
