/*
 * option.c
 *		What a text says to its channel beside its words: a JSON document whose
 *		strings are templates.
 *
 * The document is read once with the template. A string that begins an
 * address is one: what is put into it is escaped as a part of an address, so
 * that a name cannot lead anywhere else.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "lib/stringinfo.h"
#include "message/option.h"
#include "miscadmin.h"
#include "utils/builtins.h"

typedef enum OptionKind
{
	OPTION_LITERAL,				/* a number, a boolean, null */
	OPTION_TEXT,
	OPTION_OBJECT,
	OPTION_ARRAY
} OptionKind;

struct MfiOption
{
	OptionKind	kind;
	char	   *name;			/* of an object's member */
	JsonbValue	literal;
	MfiTemplate *text;
	bool		is_address;
	List	   *members;		/* of MfiOption */
};

static MfiOption *parse_container(JsonbContainer *container);
static MfiOption *parse_value(JsonbValue *value);
static JsonbValue *push_option(const MfiOption *option, JsonbParseState **state, JsonbIteratorToken token,
							   Jsonb *context, MfiMissing *missing);
static const MfiOption *find_recording(const MfiOption *recordings, const char *locale);

static MfiOption *
parse_value(JsonbValue *value)
{
	MfiOption  *option;

	if (value->type == jbvBinary)
		return parse_container(value->val.binary.data);
	option = palloc0(sizeof(MfiOption));
	if (value->type != jbvString)
	{
		option->kind = OPTION_LITERAL;
		option->literal = *value;
		if (value->type == jbvNumeric)
			option->literal.val.numeric = DatumGetNumericCopy(NumericGetDatum(value->val.numeric));
		return option;
	}
	option->kind = OPTION_TEXT;
	option->text = mfi_mustache_parse(value->val.string.val, value->val.string.len, CurrentMemoryContext);
	option->is_address = value->val.string.len > 8 &&
		(strncmp(value->val.string.val, "https://", 8) == 0 || strncmp(value->val.string.val, "http://", 7) == 0);
	return option;
}

static MfiOption *
parse_container(JsonbContainer *container)
{
	MfiOption  *option = palloc0(sizeof(MfiOption));
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;

	check_stack_depth();
	option->kind = JsonContainerIsObject(container) ? OPTION_OBJECT : OPTION_ARRAY;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		MfiOption  *member;

		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE || token == WJB_ELEM)
		{
			member = parse_value(&value);
			member->name = name;
			option->members = lappend(option->members, member);
			name = NULL;
		}
	}
	return option;
}

MfiOption *
mfi_option_parse(Jsonb *options, MemoryContext context)
{
	MemoryContext saved;
	MfiOption  *option;

	if (options == NULL || !JsonContainerIsObject(&options->root))
		return NULL;
	saved = MemoryContextSwitchTo(context);
	option = parse_container(&options->root);
	MemoryContextSwitchTo(saved);
	return option;
}

/* token: what the value is to the container around it. */
static JsonbValue *
push_option(const MfiOption *option, JsonbParseState **state, JsonbIteratorToken token,
			Jsonb *context, MfiMissing *missing)
{
	bool		is_object = option->kind == OPTION_OBJECT;
	JsonbValue	value = option->literal;
	StringInfoData text;
	ListCell   *cell;

	if (option->kind == OPTION_LITERAL)
		return pushJsonbValue(state, token, &value);
	if (option->kind == OPTION_TEXT)
	{
		initStringInfo(&text);
		mfi_mustache_render(option->text, context, NULL,
							option->is_address ? MFI_ESCAPE_URL : MFI_ESCAPE_NONE, &text, missing);
		value.type = jbvString;
		value.val.string.val = text.data;
		value.val.string.len = text.len;
		return pushJsonbValue(state, token, &value);
	}
	pushJsonbValue(state, is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	foreach(cell, option->members)
	{
		const MfiOption *member = lfirst(cell);

		if (is_object)
			mfi_jsonb_push_key(state, member->name);
		push_option(member, state, is_object ? WJB_VALUE : WJB_ELEM, context, missing);
	}
	return pushJsonbValue(state, is_object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
}

/* The recording of a locale or of its language; NULL if there is none. */
static const MfiOption *
find_recording(const MfiOption *recordings, const char *locale)
{
	char		tag[MFI_LOCALE_SIZE];
	char		known[MFI_LOCALE_SIZE];
	char	   *dash = tag;
	ListCell   *cell;

	strlcpy(tag, locale, sizeof(tag));
	while (tag[0] != '\0' && dash != NULL)
	{
		foreach(cell, recordings->members)
		{
			const MfiOption *member = lfirst(cell);

			if (strcmp(member->name, tag) == 0 ||
				(mfi_place_normalize_locale(member->name, strlen(member->name), known) && strcmp(known, tag) == 0))
				return member;
		}
		dash = strrchr(tag, '-');
		if (dash != NULL)
			*dash = '\0';
	}
	return NULL;
}

Jsonb *
mfi_option_render(const MfiOption *option, Jsonb *context, const char *locale, const char *home_locale,
				  MfiMissing *missing)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, option->members)
	{
		const MfiOption *member = lfirst(cell);
		const MfiOption *chosen = member;

		if (strcmp(member->name, "audio") == 0 && member->kind == OPTION_OBJECT)
		{
			chosen = locale == NULL ? NULL : find_recording(member, locale);
			if (chosen == NULL)
				chosen = find_recording(member, "*");
			if (chosen == NULL)
				chosen = find_recording(member, home_locale);
			if (chosen == NULL)
				continue;
		}
		mfi_jsonb_push_key(&state, member->name);
		push_option(chosen, &state, WJB_VALUE, context, missing);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
