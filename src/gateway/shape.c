/*
 * shape.c
 *		Templates that know the place they are inserted into.
 *
 * A gateway's request is written once by an administrator and filled for every
 * message with text that came from clients and host tables. So the escape is
 * the place's, never the author's choice, and a value cannot leave its place.
 */
#include "postgres.h"

#include "base/json.h"
#include "base/jsonb.h"
#include "base/words.h"
#include "gateway/shape.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

static const char *const message_names[] = {
	"to", "to_digits", "text", "text_hex", "text_gsm_hex", "title", "html", "locale", "sender",
	"message_id", "client_id", "key", "reference", "receipt_url", "ucs2",
	"options", "language", "unsubscribe_url", "class", "country", "expires_in", "expires_in_minutes", "expires_in_ms", "expires_at_unix", "workflow", "step", NULL
};

static void check_raw_tags(const char *text, const char *path);
static void check_names(const MfiTemplate *template, const char *path, MfiScopeOfTags scope,
						bool *is_constant);
static bool starts_with(const char *text, const char *prefix);
static void find_bare_name(MfiSlot *slot, const char *text);
static char *parse_value_path(json_t *json, const char *sign, int members_max, const char *path);
static void parse_each(MfiShape *shape, json_t *json, const char *path);
static void parse_if(MfiShape *shape, json_t *json, const char *path);
static bool find_value(Jsonb *context, const char *path, JsonbValue *value);
static void append_value(JsonbValue *value, StringInfo out);
static bool is_true(Jsonb *context, const char *path);
static const MfiShape *branch_of(const MfiShape *shape, Jsonb *context);
static Jsonb *with_item(Jsonb *context, JsonbValue *item, int number);
static void append_each(const MfiShape *shape, Jsonb *context, StringInfo out);
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
		is_known |= scope == MFI_TAGS_MESSAGE && (mfi_words_have(message_names, name) || starts_with(name, "options."));
		/* Inside a section over a list of options, its element; inside "$each" too, and its number. */
		is_known |= scope == MFI_TAGS_MESSAGE &&
			(strcmp(name, ".") == 0 || strcmp(name, "item") == 0 || starts_with(name, "item.") || strcmp(name, "number") == 0);
		if (!is_known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("gateway definition is not valid"),
					 errdetail("%s: there is no value called \"%s\" here.", path, name),
					 scope == MFI_TAGS_MESSAGE
					 ? errhint("Templates may use to, to_digits, text, text_hex, text_gsm_hex, title, html, locale, sender, message_id, client_id, key, reference, receipt_url, ucs2, language, unsubscribe_url, class, country, expires_in, expires_in_minutes, expires_in_ms, expires_at_unix, workflow, step, options.*, settings.* and secret.*.")
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

	if (slot != NULL && slot->document != NULL)
		mfi_shape_settle(slot->document, context);
	if (slot == NULL || slot->template == NULL || slot->is_bare)
		return;
	check_names(slot->template, "", MFI_TAGS_MESSAGE, &is_constant);
	if (is_constant && mfi_mustache_variables(slot->template) != NIL)
		slot->fixed = mfi_slot_render(slot, context);
}

void
mfi_slot_append(const MfiSlot *slot, Jsonb *context, StringInfo out)
{
	if (slot->document != NULL)
	{
		if (!is_absent(slot->document, context))
			mfi_shape_append(slot->document, context, out);
	}
	else if (slot->fixed != NULL)
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
 * parse_value_path reads {"$json": "options.parameters"}, and of lists and
 * conditions the name: only what a template's author gave, and settings.
 */
static char *
parse_value_path(json_t *json, const char *sign, int members_max, const char *path)
{
	json_t	   *name = json_object_get(json, sign);
	const char *text = json_is_string(name) ? json_string_value(name) : "";

	if ((int) json_object_size(json) > members_max ||
		(strcmp(text, "options") != 0 && !starts_with(text, "options.") && !starts_with(text, "settings.") &&
		 !(strcmp(sign, "$json") != 0 && starts_with(text, "item.")) &&
		 !(strcmp(sign, "$if") == 0 && (strcmp(text, "html") == 0 || strcmp(text, "unsubscribe_url") == 0))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gateway definition is not valid"),
				 errdetail("%s: \"%s\" stands alone and names options or a setting.", path, sign),
				 errhint("For instance: {\"%s\": \"options.parameters\"%s}.", sign,
						 strcmp(sign, "$each") == 0 ? ", \"$as\": \"{{item}}\"" : strcmp(sign, "$if") == 0 ? ", \"$then\": \"yes\"" : "")));
	return pstrdup(text);
}

/* {"$each": list, "$as": what each element becomes, "$key": the name of its member, for an object}. */
static void
parse_each(MfiShape *shape, json_t *json, const char *path)
{
	json_t	   *item = json_object_get(json, "$as");
	json_t	   *key = json_object_get(json, "$key");

	shape->kind = MFI_SHAPE_EACH;
	shape->literal = parse_value_path(json, "$each", 2 + (key != NULL), path);
	if (item == NULL || (key != NULL && !json_is_string(key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gateway definition is not valid"),
				 errdetail("%s: \"$each\" needs \"$as\", and \"$key\" is a text.", path),
				 errhint("For instance: {\"$each\": \"options.parameters\", \"$as\": \"{{item}}\"}.")));
	shape->members = list_make1(mfi_shape_parse(item, psprintf("%s.$as", path)));
	if (key != NULL)
		shape->slot = mfi_slot_parse(json_string_value(key), psprintf("%s.$key", path), MFI_ESCAPE_NONE, MFI_TAGS_MESSAGE);
}

/* {"$if": option, "$then": shape, "$else": shape}; what is not given is left out. */
static void
parse_if(MfiShape *shape, json_t *json, const char *path)
{
	json_t	   *then = json_object_get(json, "$then");
	json_t	   *otherwise = json_object_get(json, "$else");

	shape->kind = MFI_SHAPE_IF;
	shape->literal = parse_value_path(json, "$if", 1 + (then != NULL) + (otherwise != NULL), path);
	shape->members = list_make2(then == NULL ? NULL : mfi_shape_parse(then, psprintf("%s.$then", path)),
								otherwise == NULL ? NULL : mfi_shape_parse(otherwise, psprintf("%s.$else", path)));
}

MfiSlot *
mfi_slot_parse_document(json_t *json, const char *path)
{
	MfiSlot    *slot = palloc0(sizeof(MfiSlot));

	slot->has_tags = true;
	slot->document = mfi_shape_parse(json, path);
	return slot;
}

MfiShape *
mfi_shape_parse(json_t *json, const char *path)
{
	MfiShape   *shape = palloc0(sizeof(MfiShape));

	if (json_object_get(json, "$json") != NULL)
	{
		shape->kind = MFI_SHAPE_VALUE;
		shape->literal = parse_value_path(json, "$json", 1, path);
	}
	else if (json_object_get(json, "$each") != NULL)
		parse_each(shape, json, path);
	else if (json_object_get(json, "$if") != NULL)
		parse_if(shape, json, path);
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
		shape->kind = MFI_SHAPE_LITERAL;
		shape->literal = mfi_json_write(json);
	}
	return shape;
}

void
mfi_shape_settle(MfiShape *shape, Jsonb *context)
{
	ListCell   *cell;

	if (shape == NULL)
		return;
	if (shape->slot != NULL)
		mfi_slot_settle(shape->slot, context);
	foreach(cell, shape->members)
		mfi_shape_settle(lfirst(cell), context);
}

/*
 * find_value follows a path of names, as "options.parameters"; false if it
 * leads nowhere, or to null.
 */
static bool
find_value(Jsonb *context, const char *path, JsonbValue *value)
{
	JsonbContainer *holder = &context->root;

	for (const char *name = path; name != NULL; name = strchr(name, '.'))
	{
		name += (*name == '.');
		if (!mfi_jsonb_find(holder, name, strcspn(name, "."), value) || value->type == jbvNull)
			return false;
		holder = mfi_jsonb_object(value);
	}
	return true;
}

/* Whether a condition holds: there is a value, and it is neither empty nor false. */
static bool
is_true(Jsonb *context, const char *path)
{
	JsonbValue	value;

	if (!find_value(context, path, &value))
		return false;
	switch (value.type)
	{
		case jbvBool:
			return value.val.boolean;
		case jbvString:
			return value.val.string.len > 0;
		case jbvBinary:
			return JsonContainerSize(value.val.binary.data) > 0;
		default:
			return true;
	}
}

/* What a message is told of, with the element of a list as "item" and its number. */
static Jsonb *
with_item(Jsonb *context, JsonbValue *item, int number)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	mfi_jsonb_push_key(&state, "item");
	pushJsonbValue(&state, WJB_VALUE, item);
	mfi_jsonb_push_number(&state, "number", number);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(context),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

/* A JSON string of a text. */
static void
append_quoted(StringInfo out, const char *text, int length)
{
	appendStringInfoChar(out, '"');
	mfi_escape_append(out, text, length, MFI_ESCAPE_JSON);
	appendStringInfoChar(out, '"');
}

static void
append_each(const MfiShape *shape, Jsonb *context, StringInfo out)
{
	JsonbValue	list;
	int			count = find_value(context, shape->literal, &list) && list.type == jbvBinary && JsonContainerIsArray(list.val.binary.data)
		? (int) JsonContainerSize(list.val.binary.data) : 0;

	appendStringInfoChar(out, shape->slot != NULL ? '{' : '[');
	for (int i = 0; i < count; i++)
	{
		Jsonb	   *inner = with_item(context, getIthJsonbValueFromContainer(list.val.binary.data, i), i + 1);

		if (i > 0)
			appendStringInfoChar(out, ',');
		if (shape->slot != NULL)
		{
			char	   *name = mfi_slot_render(shape->slot, inner);

			append_quoted(out, name, strlen(name));
			appendStringInfoChar(out, ':');
		}
		mfi_shape_append(linitial(shape->members), inner, out);
	}
	appendStringInfoChar(out, shape->slot != NULL ? '}' : ']');
}

/* The branch of a condition that holds; NULL: nothing is written. */
static const MfiShape *
branch_of(const MfiShape *shape, Jsonb *context)
{
	return is_true(context, shape->literal) ? linitial(shape->members) : lsecond(shape->members);
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
			append_quoted(out, value->val.string.val, value->val.string.len);
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

/*
 * append_bare inserts a setting, an option or an expiry that is a number or a boolean as
 * such; false if the value is anything else.
 */
static bool
append_bare(const MfiSlot *slot, Jsonb *context, StringInfo out)
{
	JsonbValue	value;

	if (!slot->is_bare || (!starts_with(slot->bare_name, "settings.") && !starts_with(slot->bare_name, "options.") &&
						   !starts_with(slot->bare_name, "expires_") && strcmp(slot->bare_name, "ucs2") != 0))
		return false;
	if (!find_value(context, slot->bare_name, &value) || (value.type != jbvNumeric && value.type != jbvBool))
		return false;
	append_value(&value, out);
	return true;
}

/* Whether a member says nothing, and is left out: so is an object or a list of which nothing is left. */
static bool
is_absent(const MfiShape *member, Jsonb *context)
{
	ListCell   *cell;
	JsonbValue	value;

	if ((member->kind == MFI_SHAPE_OBJECT || member->kind == MFI_SHAPE_ARRAY) && member->members != NIL)
	{
		foreach(cell, member->members)
			if (!is_absent(lfirst(cell), context))
				return false;
		return true;
	}
	if (member->kind == MFI_SHAPE_VALUE)
		return !find_value(context, member->literal, &value);
	if (member->kind == MFI_SHAPE_EACH)
		return !is_true(context, member->literal);
	if (member->kind == MFI_SHAPE_IF)
	{
		const MfiShape *branch = branch_of(member, context);

		return branch == NULL || is_absent(branch, context);
	}
	return member->kind == MFI_SHAPE_SLOT && member->slot->has_tags &&
		mfi_slot_render(member->slot, context)[0] == '\0';
}

void
mfi_shape_append(const MfiShape *shape, Jsonb *context, StringInfo out)
{
	ListCell   *cell;
	bool		is_first = true;
	JsonbValue	value;
	char	   *text;

	switch (shape->kind)
	{
		case MFI_SHAPE_LITERAL:
			appendStringInfoString(out, shape->literal);
			break;
		case MFI_SHAPE_VALUE:
			if (find_value(context, shape->literal, &value))
				append_value(&value, out);
			else
				appendStringInfoString(out, "null");
			break;
		case MFI_SHAPE_EACH:
			append_each(shape, context, out);
			break;
		case MFI_SHAPE_IF:
			if (branch_of(shape, context) == NULL)
				appendStringInfoString(out, "null");
			else
				mfi_shape_append(branch_of(shape, context), context, out);
			break;
		case MFI_SHAPE_SLOT:
			if (append_bare(shape->slot, context, out))
				break;
			text = mfi_slot_render(shape->slot, context);
			append_quoted(out, text, strlen(text));
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
					append_quoted(out, member->name, strlen(member->name));
					appendStringInfoChar(out, ':');
				}
				mfi_shape_append(member, context, out);
			}
			appendStringInfoChar(out, shape->kind == MFI_SHAPE_OBJECT ? '}' : ']');
			break;
	}
}
