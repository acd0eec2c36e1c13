/*
 * writing.c
 *		The members of the JSON that a program is handed over in, one at a time.
 */
#include "postgres.h"

#include "engine/expression.h"
#include "engine/writing.h"
#include "utils/json.h"

/*
 * mfi_writing_member adds "key": "text" to an object that is being written, unless
 * the text is NULL.
 */
void
mfi_writing_member(StringInfo out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": ");
	escape_json(out, text);
}

void
mfi_writing_number(StringInfo out, const char *key, int number)
{
	if (number != 0)
		mfi_writing_member(out, key, psprintf("%d", number));
}

void
mfi_writing_words(StringInfo out, const char *key, List *words)
{
	ListCell *cell;

	if (words == NIL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": [");
	foreach (cell, words)
	{
		if (cell != list_head(words))
			appendStringInfoChar(out, ',');
		if (lfirst(cell) == NULL)
			appendStringInfoString(out, "null");
		else
			escape_json(out, lfirst(cell));
	}
	appendStringInfoChar(out, ']');
}

void
mfi_writing_json(StringInfo out, const char *key, const char *json)
{
	if (json == NULL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfo(out, ": %s", json);
}

static MfiConditionScope
scope_of(const MfiDefinition *definition, Oid owner, const char *path)
{
	return (MfiConditionScope){
		.workflow = definition->name, .path = path, .subject = definition->subject, .owner = owner
	};
}

char *
mfi_writing_condition(const MfiDefinition *definition, Oid owner, const char *path,
					  const char *condition, bool is_trigger)
{
	MfiConditionScope scope = scope_of(definition, owner, path);

	scope.is_trigger = is_trigger;
	return condition == NULL ? NULL : mfi_expression_compile(&scope, condition);
}

char *
mfi_writing_awaited(const MfiDefinition *definition, Oid owner, const char *path,
					const char *condition)
{
	MfiConditionScope scope = scope_of(definition, owner, path);

	scope.is_awaited = true;
	return condition == NULL ? NULL : mfi_expression_compile(&scope, condition);
}

char *
mfi_writing_moment(const MfiDefinition *definition, Oid owner, const char *path,
				   const char *expression, const char **type)
{
	MfiConditionScope scope = scope_of(definition, owner, path);

	if (expression == NULL)
		return NULL;
	return mfi_expression_compile_value(&scope, expression, MFI_VALUE_MOMENT, type);
}

char *
mfi_writing_value(const MfiDefinition *definition, Oid owner, const char *path,
				  const char *expression)
{
	MfiConditionScope scope = scope_of(definition, owner, path);

	return mfi_expression_compile_value(&scope, expression, MFI_VALUE_JSON, NULL);
}
