/*
 * reader.c
 *		Reading a JSON definition with errors that name the place.
 */
#include "postgres.h"

#include "gateway/reader.h"

#include "base/words.h"

void
mfi_reader_fail(const char *path, const char *found, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("gateway definition is not valid"),
			 errdetail("%s: %s.", path, found),
			 hint != NULL ? errhint("%s", hint) : 0));
}

char *
mfi_reader_path(const char *path, const char *name)
{
	return path[0] == '\0' ? pstrdup(name) : psprintf("%s.%s", path, name);
}

void
mfi_reader_check_members(json_t *object, const char *path, const char *const *names)
{
	const char *name;
	json_t	   *member;

	json_object_foreach(object, name, member)
	{
		if (!mfi_words_have(names, name))
			mfi_reader_fail(mfi_reader_path(path, name), "this member is not known",
							psprintf("Known here: %s.", mfi_words_join(names)));
	}
}

json_t *
mfi_reader_object(json_t *object, const char *path, const char *name)
{
	json_t	   *member = json_object_get(object, name);

	if (member == NULL || json_is_null(member))
		return NULL;
	if (!json_is_object(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected an object", NULL);
	return member;
}

json_t *
mfi_reader_array(json_t *object, const char *path, const char *name)
{
	json_t	   *member = json_object_get(object, name);

	if (member == NULL || json_is_null(member))
		return NULL;
	if (!json_is_array(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected an array", NULL);
	return member;
}

const char *
mfi_reader_string(json_t *object, const char *path, const char *name, bool is_required)
{
	json_t	   *member = json_object_get(object, name);

	if (member == NULL || json_is_null(member))
	{
		if (is_required)
			mfi_reader_fail(mfi_reader_path(path, name), "expected a string, found nothing", NULL);
		return NULL;
	}
	if (!json_is_string(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected a string", NULL);
	if (is_required && json_string_length(member) == 0)
		mfi_reader_fail(mfi_reader_path(path, name), "the string is empty", NULL);
	return json_string_value(member);
}

bool
mfi_reader_boolean(json_t *object, const char *path, const char *name, bool absent)
{
	json_t	   *member = json_object_get(object, name);

	if (member == NULL || json_is_null(member))
		return absent;
	if (!json_is_boolean(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected true or false", NULL);
	return json_is_true(member);
}

double
mfi_reader_number(json_t *object, const char *path, const char *name,
				  double absent, double least, double most)
{
	json_t	   *member = json_object_get(object, name);
	double		value;

	if (member == NULL || json_is_null(member))
		return absent;
	if (!json_is_number(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected a number", NULL);
	value = json_number_value(member);
	if (value < least || value > most)
		mfi_reader_fail(mfi_reader_path(path, name),
						psprintf("%g is not between %g and %g", value, least, most), NULL);
	return value;
}

List *
mfi_reader_texts(json_t *object, const char *path, const char *name)
{
	json_t	   *member = json_object_get(object, name);
	json_t	   *element;
	size_t		index;
	char	   *text;
	List	   *texts = NIL;

	if (member == NULL || json_is_null(member))
		return NIL;
	if ((text = mfi_reader_scalar(member)) != NULL)
		return list_make1(text);
	if (!json_is_array(member))
		mfi_reader_fail(mfi_reader_path(path, name), "expected a value or an array of values", NULL);
	json_array_foreach(member, index, element)
	{
		text = mfi_reader_scalar(element);
		if (text == NULL)
			mfi_reader_fail(psprintf("%s[%zu]", mfi_reader_path(path, name), index),
							"expected a string, a number, true or false", NULL);
		texts = lappend(texts, text);
	}
	return texts;
}

/*
 * mfi_reader_walk follows names between dots and indexes between brackets; a
 * name that holds either cannot be reached, and no provider has one.
 */
json_t *
mfi_reader_walk(json_t *json, const char *path)
{
	const char *at = path;

	while (json != NULL && *at != '\0')
	{
		if (*at == '.')
			at++;
		else if (*at == '[')
		{
			long		index = strtol(at + 1, (char **) &at, 10);

			if (*at == ']')
				at++;
			json = index >= 0 ? json_array_get(json, index) : NULL;
		}
		else
		{
			size_t		length = strcspn(at, ".[");
			char	   *name = pnstrdup(at, length);

			json = json_object_get(json, name);
			pfree(name);
			at += length;
		}
	}
	return json;
}

char *
mfi_reader_scalar(json_t *json)
{
	switch (json_typeof(json))
	{
		case JSON_STRING:
			return pstrdup(json_string_value(json));
		case JSON_INTEGER:
			return psprintf(INT64_FORMAT, (int64) json_integer_value(json));
		case JSON_REAL:
			return psprintf("%.15g", json_real_value(json));
		case JSON_TRUE:
			return pstrdup("true");
		case JSON_FALSE:
			return pstrdup("false");
		default:
			return NULL;
	}
}
