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
	"options", "language", "unsubscribe_url", "class", "country", "expires_in", "expires_at_unix", "workflow", "step",
};

static void check_raw_tags(const char *text, const char *path);
static void check_names(const MfiTemplate *template, const char *path, MfiScopeOfTags scope,
						bool *is_constant);
static bool starts_with(const char *text, const char *prefix);
static void find_bare_name(MfiSlot *slot, const char *text);
static char *parse_value_path(json_t *json, const char *path);
static JsonbValue *find_value(Jsonb *context, const char *path);
static void append_value(JsonbValue *value, StringInfo out);
static bool append_bare(const MfiSlot *slot, Jsonb *context, StringInfo out);
static bool is_absent(const MfiShape *member, Jsonb *context);

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
		is_known |= scope == MFI_TAGS_MESSAGE && starts_with(name, "options.");
		/* Inside a section over a list of options, its element. */
		is_known |= scope == MFI_TAGS_MESSAGE && strcmp(name, ".") == 0;
		if (!is_known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("gateway definition is not valid"),
					 errdetail("%s: there is no value called \"%s\" here.", path, name),
					 scope == MFI_TAGS_MESSAGE
					 ? errhint("Templates may use to, to_digits, text, text_hex, title, html, locale, sender, message_id, client_id, key, reference, receipt_url, ucs2, language, unsubscribe_url, class, country, expires_in, expires_at_unix, workflow, step, options.*, settings.* and secret.*.")
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

/*
 * parse_value_path reads {"$json": "options.parameters"}: only what a
 * template's author gave, and settings, are inserted as JSON.
 */
static char *
parse_value_path(json_t *json, const char *path)
{
	json_t	   *name = json_object_get(json, "$json");
	const char *text = json_is_string(name) ? json_string_value(name) : "";

	if (json_object_size(json) != 1 ||
		(strcmp(text, "options") != 0 && !starts_with(text, "options.") && !starts_with(text, "settings.")))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gateway definition is not valid"),
				 errdetail("%s: \"$json\" stands alone and names options or a setting.", path),
				 errhint("For instance: {\"$json\": \"options.parameters\"}.")));
	return pstrdup(text);
}

MfiShape *
mfi_shape_parse(json_t *json, const char *path)
{
	MfiShape   *shape = palloc0(sizeof(MfiShape));

	if (json_object_get(json, "$json") != NULL)
	{
		shape->kind = MFI_SHAPE_VALUE;
		shape->literal = parse_value_path(json, path);
	}
	else if (json_is_object(json))
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
 * find_value follows a path of names, as "options.parameters"; NULL if it
 * leads nowhere.
 */
static JsonbValue *
find_value(Jsonb *context, const char *path)
{
	JsonbContainer *holder = &context->root;
	JsonbValue	key;
	JsonbValue *value = NULL;

	for (const char *name = path; name != NULL; name = strchr(name, '.'))
	{
		name += (*name == '.');
		if (holder == NULL || !JsonContainerIsObject(holder))
			return NULL;
		key.type = jbvString;
		key.val.string.val = unconstify(char *, name);
		key.val.string.len = strcspn(name, ".");
		value = findJsonbValueFromContainer(holder, JB_FOBJECT, &key);
		if (value == NULL || value->type == jbvNull)
			return NULL;
		holder = value->type == jbvBinary ? value->val.binary.data : NULL;
	}
	return value;
}

/* Any value as the JSON that it is. */
static void
append_value(JsonbValue *value, StringInfo out)
{
	char	   *text;

	switch (value->type)
	{
		case jbvBinary:
			text = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
			appendStringInfoString(out, text);
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
			break;
		case jbvString:
			appendStringInfoChar(out, '"');
			mfi_escape_append(out, value->val.string.val, value->val.string.len, MFI_ESCAPE_JSON);
			appendStringInfoChar(out, '"');
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

/*
 * append_bare inserts a setting or an option that is a number or a boolean as
 * such; false if the value is anything else.
 */
static bool
append_bare(const MfiSlot *slot, Jsonb *context, StringInfo out)
{
	JsonbValue *value;

	if (!slot->is_bare || (!starts_with(slot->bare_name, "settings.") && !starts_with(slot->bare_name, "options.")))
		return false;
	value = find_value(context, slot->bare_name);
	if (value == NULL || (value->type != jbvNumeric && value->type != jbvBool))
		return false;
	append_value(value, out);
	return true;
}

/* Whether a member says nothing, and is left out. */
static bool
is_absent(const MfiShape *member, Jsonb *context)
{
	if (member->kind == MFI_SHAPE_VALUE)
		return find_value(context, member->literal) == NULL;
	return member->kind == MFI_SHAPE_SLOT && member->slot->has_tags &&
		mfi_slot_render(member->slot, context)[0] == '\0';
}

void
mfi_shape_append(const MfiShape *shape, Jsonb *context, StringInfo out)
{
	ListCell   *cell;
	bool		is_first = true;
	JsonbValue *value;
	char	   *text;

	switch (shape->kind)
	{
		case MFI_SHAPE_LITERAL:
			appendStringInfoString(out, shape->literal);
			break;
		case MFI_SHAPE_VALUE:
			value = find_value(context, shape->literal);
			if (value == NULL)
				appendStringInfoString(out, "null");
			else
				append_value(value, out);
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

				if (is_absent(member, context))
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
