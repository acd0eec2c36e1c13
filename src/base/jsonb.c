/*
 * jsonb.c
 *		Members of jsonb objects: found by name, written one by one.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

Jsonb *
mfi_jsonb_read(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

bool
mfi_jsonb_find(JsonbContainer *object, const char *name, int length, JsonbValue *member)
{
	return object != NULL && JsonContainerIsObject(object) &&
		getKeyJsonValueFromContainer(object, name, length, member) != NULL;
}

bool
mfi_jsonb_find_any_case(JsonbContainer *object, const char *name, JsonbValue *member)
{
	int			length = strlen(name);
	JsonbIterator *iterator;
	JsonbIteratorToken token;

	if (object == NULL || !JsonContainerIsObject(object))
		return false;
	iterator = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&iterator, member, true)) != WJB_DONE)
		if (token == WJB_KEY && member->val.string.len == length &&
			pg_strncasecmp(member->val.string.val, name, length) == 0)
			return JsonbIteratorNext(&iterator, member, true) == WJB_VALUE;
	return false;
}

JsonbContainer *
mfi_jsonb_find_object(JsonbContainer *object, const char *name)
{
	JsonbValue	member;

	return mfi_jsonb_find(object, name, strlen(name), &member) ? mfi_jsonb_object(&member) : NULL;
}

char *
mfi_jsonb_find_string(JsonbContainer *object, const char *name)
{
	JsonbValue	member;

	if (!mfi_jsonb_find(object, name, strlen(name), &member) || member.type != jbvString || member.val.string.len == 0)
		return NULL;
	return pnstrdup(member.val.string.val, member.val.string.len);
}

void
mfi_jsonb_push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

void
mfi_jsonb_push_text(JsonbParseState **state, const char *name, const char *text, int length)
{
	JsonbValue	value;

	mfi_jsonb_push_key(state, name);
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = length;
	pushJsonbValue(state, WJB_VALUE, &value);
}

void
mfi_jsonb_push_number(JsonbParseState **state, const char *name, int64 number)
{
	JsonbValue	value;

	mfi_jsonb_push_key(state, name);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}
