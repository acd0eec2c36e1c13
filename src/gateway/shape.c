/*
 * shape.c
 *		Templates that know the place they are inserted into.
 *
 * A gateway's request is written once by an administrator and filled for every
 * message with text that came from clients and host tables. So the escape is
 * the place's, never the author's choice, and a value cannot leave its place.
 */
#include "postgres.h"

#include "gateway/jansson_pg.h"

#include "gateway/shape.h"
#include "utils/builtins.h"

static const char *const message_names[] = {
	"to", "to_digits", "text", "text_hex", "title", "html", "locale", "sender",
	"message_id", "client_id", "key", "reference", "receipt_url", "ucs2",
};

static void check_raw_tags(const char *text, const char *path);
static void check_names(const MfiTemplate *template, const char *path, MfiScopeOfTags scope,
						bool *is_constant);
static bool starts_with(const char *text, const char *prefix);
static void find_bare_name(MfiSlot *slot, const char *text);
static bool append_bare(const MfiSlot *slot, Jsonb *context, StringInfo out);

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/*
 * check_raw_tags refuses tags that would switch the place's escape off; a
 * setting may be inserted as it is, since an administrator wrote it.
 */
static void
check_raw_tags(const char *text, const char *path)
{
	const char *tag;

	for (tag = strstr(text, "{{"); tag != NULL; tag = strstr(tag + 2, "{{"))
	{
		const char *name = tag + 2;

		if (*name == '=' || *name == '>')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("gateway definition is not valid"),
					 errdetail("%s: partials and changed delimiters are not allowed here.", path)));
		if (*name != '{' && *name != '&')
			continue;
		name++;
		while (*name == ' ')
			name++;
		if (!starts_with(name, "settings."))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("gateway definition is not valid"),
					 errdetail("%s: a raw tag may only insert a setting.", path),
					 errhint("Write {{name}}: each value is escaped for its place.")));
		tag = name;
	}
}

static void
check_names(const MfiTemplate *template, const char *path, MfiScopeOfTags scope, bool *is_constant)
{
	ListCell   *cell;

	*is_constant = true;
	foreach(cell, mfi_mustache_variables(template))
	{
		const char *name = lfirst(cell);
		bool		is_known = false;

		if (starts_with(name, "settings.") || starts_with(name, "secret."))
			continue;
		*is_constant = false;
		for (int i = 0; i < (int) lengthof(message_names) && scope == MFI_TAGS_MESSAGE; i++)
			is_known |= strcmp(name, message_names[i]) == 0;
		if (!is_known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("gateway definition is not valid"),
					 errdetail("%s: there is no value called \"%s\" here.", path, name),
					 scope == MFI_TAGS_MESSAGE
					 ? errhint("Templates may use to, to_digits, text, text_hex, title, html, locale, sender, message_id, client_id, key, reference, receipt_url, ucs2, settings.* and secret.*.")
					 : errhint("Only settings.* and secret.* are known here.")));
	}
}

/*
 * find_bare_name notes the name when the text is one tag and nothing else, so
 * that JSON can keep the value's own type.
 */
static void
find_bare_name(MfiSlot *slot, const char *text)
{
	int			length = strlen(text);
	const char *start = text + 2;
	const char *end = text + length - 2;

	if (length < 5 || !starts_with(text, "{{") || strcmp(end, "}}") != 0 ||
		strstr(start, "{{") != NULL || strchr("{&#^!", *start) != NULL)
		return;
	while (start < end && *start == ' ')
		start++;
	while (end > start && end[-1] == ' ')
		end--;
	slot->is_bare = true;
	slot->bare_name = pnstrdup(start, end - start);
}

MfiSlot *
mfi_slot_parse(const char *text, const char *path, MfiEscape escape, MfiScopeOfTags scope)
{
	MfiSlot    *slot = palloc0(sizeof(MfiSlot));
	bool		is_constant;

	slot->escape = escape;
	slot->has_tags = strstr(text, "{{") != NULL;
	if (!slot->has_tags)
	{
		slot->fixed = pstrdup(text);
		return slot;
	}
	check_raw_tags(text, path);
	slot->template = mfi_mustache_parse(text, strlen(text), CurrentMemoryContext);
	check_names(slot->template, path, scope, &is_constant);
	find_bare_name(slot, text);
	return slot;
}

void
mfi_slot_settle(MfiSlot *slot, Jsonb *context)
{
	bool		is_constant;

	if (slot == NULL || slot->template == NULL || slot->is_bare)
		return;
	check_names(slot->template, "", MFI_TAGS_MESSAGE, &is_constant);
	if (is_constant && mfi_mustache_variables(slot->template) != NIL)
		slot->fixed = mfi_slot_render(slot, context);
}

void
mfi_slot_append(const MfiSlot *slot, Jsonb *context, StringInfo out)
{
	if (slot->fixed != NULL)
		appendStringInfoString(out, slot->fixed);
	else
		mfi_mustache_render(slot->template, context, NULL, slot->escape, out, NULL);
}

char *
mfi_slot_render(const MfiSlot *slot, Jsonb *context)
{
	StringInfoData out;

	if (slot->fixed != NULL)
		return slot->fixed;
	initStringInfo(&out);
	mfi_slot_append(slot, context, &out);
	return out.data;
}

MfiShape *
mfi_shape_parse(json_t *json, const char *path)
{
	MfiShape   *shape = palloc0(sizeof(MfiShape));

	if (json_is_object(json))
	{
		const char *name;
		json_t	   *member;

		shape->kind = MFI_SHAPE_OBJECT;
		json_object_foreach(json, name, member)
		{
			MfiShape   *child = mfi_shape_parse(member, psprintf("%s.%s", path, name));

			child->name = pstrdup(name);
			shape->members = lappend(shape->members, child);
		}
	}
	else if (json_is_array(json))
	{
		size_t		index;
		json_t	   *element;

		shape->kind = MFI_SHAPE_ARRAY;
		json_array_foreach(json, index, element)
			shape->members = lappend(shape->members,
									 mfi_shape_parse(element, psprintf("%s[%zu]", path, index)));
	}
	else if (json_is_string(json))
	{
		shape->kind = MFI_SHAPE_SLOT;
		shape->slot = mfi_slot_parse(json_string_value(json), path, MFI_ESCAPE_NONE, MFI_TAGS_MESSAGE);
	}
	else
	{
		char	   *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);

		if (text == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		shape->kind = MFI_SHAPE_LITERAL;
		shape->literal = pstrdup(text);
		free(text);
	}
	return shape;
}

void
mfi_shape_settle(MfiShape *shape, Jsonb *context)
{
	ListCell   *cell;

	if (shape == NULL)
		return;
	if (shape->kind == MFI_SHAPE_SLOT)
		mfi_slot_settle(shape->slot, context);
	foreach(cell, shape->members)
		mfi_shape_settle(lfirst(cell), context);
}

/*
 * append_bare inserts a setting that is a number or a boolean as such; false
 * if the value is anything else.
 */
static bool
append_bare(const MfiSlot *slot, Jsonb *context, StringInfo out)
{
	JsonbValue	key;
	JsonbValue *settings;
	JsonbValue *value;

	if (!slot->is_bare || !starts_with(slot->bare_name, "settings."))
		return false;
	key.type = jbvString;
	key.val.string.val = "settings";
	key.val.string.len = strlen("settings");
	settings = findJsonbValueFromContainer(&context->root, JB_FOBJECT, &key);
	if (settings == NULL || settings->type != jbvBinary)
		return false;
	key.val.string.val = slot->bare_name + strlen("settings.");
	key.val.string.len = strlen(key.val.string.val);
	value = findJsonbValueFromContainer(settings->val.binary.data, JB_FOBJECT, &key);
	if (value == NULL || (value->type != jbvNumeric && value->type != jbvBool))
		return false;
	if (value->type == jbvBool)
		appendStringInfoString(out, value->val.boolean ? "true" : "false");
	else
		appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out,
																		NumericGetDatum(value->val.numeric))));
	return true;
}

void
mfi_shape_append(const MfiShape *shape, Jsonb *context, StringInfo out)
{
	ListCell   *cell;
	bool		is_first = true;
	char	   *text;

	switch (shape->kind)
	{
		case MFI_SHAPE_LITERAL:
			appendStringInfoString(out, shape->literal);
			break;
		case MFI_SHAPE_SLOT:
			if (append_bare(shape->slot, context, out))
				break;
			text = mfi_slot_render(shape->slot, context);
			appendStringInfoChar(out, '"');
			mfi_escape_append(out, text, strlen(text), MFI_ESCAPE_JSON);
			appendStringInfoChar(out, '"');
			break;
		case MFI_SHAPE_OBJECT:
		case MFI_SHAPE_ARRAY:
			appendStringInfoChar(out, shape->kind == MFI_SHAPE_OBJECT ? '{' : '[');
			foreach(cell, shape->members)
			{
				MfiShape   *member = lfirst(cell);

				if (member->kind == MFI_SHAPE_SLOT && member->slot->has_tags &&
					mfi_slot_render(member->slot, context)[0] == '\0')
					continue;
				if (!is_first)
					appendStringInfoChar(out, ',');
				is_first = false;
				if (member->name != NULL)
				{
					appendStringInfoChar(out, '"');
					mfi_escape_append(out, member->name, strlen(member->name), MFI_ESCAPE_JSON);
					appendStringInfoString(out, "\":");
				}
				mfi_shape_append(member, context, out);
			}
			appendStringInfoChar(out, shape->kind == MFI_SHAPE_OBJECT ? '}' : ']');
			break;
	}
}
