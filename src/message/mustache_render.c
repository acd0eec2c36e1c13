/*
 * mustache_render.c
 *		Renders a parsed Mustache template from a jsonb value.
 *
 * The context is walked as PostgreSQL stores it: a lookup is a binary search
 * in the object, and nothing is converted to another tree. Numbers and
 * booleans print as JSON writes them.
 *
 * A section is skipped where its value is missing, null, false, an empty
 * list, an empty text or the number zero: in a reminder, a name that is
 * not known and an amount that is zero are both "nothing to say".
 *
 * Beside a number stands whether it asks for the plural, as <name>_plural, in
 * the language that the context says it is in: {{n}} jour{{#n_plural}}s{{/n_plural}}.
 *
 * Templates come from people and may call themselves through partials, so
 * depth, steps, output and the bytes of partials are all bounded.
 */
#include "postgres.h"

#include "base/jsonb.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "message/mustache_node.h"

#define PLURAL_SUFFIX "_plural"

/* The context stack: one value per open section, the innermost first. */
typedef struct Frame
{
	JsonbValue value;
	const struct Frame *outer;
} Frame;

/* A partial that this call has read already, with its indentation. */
typedef struct ReadPartial
{
	Slice name;
	Slice indent;
	const MfiTemplate *template;
	struct ReadPartial *next;
} ReadPartial;

typedef struct Render
{
	StringInfo out;
	int out_start;
	Jsonb *partials;
	MfiEscape escape;
	MfiMissing *missing;
	const char *locale; /* the context's; NULL: it says none, and nothing has a plural */
	int step_count;
	int partial_depth;
	int partial_bytes;
	MemoryContext partial_context;
	ReadPartial *read_partials;
} Render;

static void render_range(Render *render, const MfiTemplate *template, int from, int to,
						 const Frame *frame);

static void
limit_error(const char *message, int limit)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg_internal(message, limit),
			 errhint("Look for a partial that includes itself, or for a list that is too long.")));
}

static void
check_output(const Render *render, int more)
{
	if (more > MFI_TEMPLATE_BYTES_MAX ||
		render->out->len - render->out_start + more > MFI_TEMPLATE_BYTES_MAX)
		limit_error("template renders to more than %d bytes", MFI_TEMPLATE_BYTES_MAX);
}

static inline bool
is_list(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

static inline bool
get_key(const JsonbValue *object, Slice key, JsonbValue *result)
{
	return mfi_jsonb_find(mfi_jsonb_object(object), key.text, key.length, result);
}

/* One is singular everywhere; in French and Portuguese, so is what is less than two. */
static bool
is_plural(Numeric number, const char *locale)
{
	bool is_below_two = strncmp(locale, "fr", 2) == 0 || strncmp(locale, "pt", 2) == 0;
	Datum size = DirectFunctionCall1(numeric_abs, NumericGetDatum(number));
	Datum limit = NumericGetDatum(int64_to_numeric(is_below_two ? 2 : 1));

	return DatumGetBool(DirectFunctionCall2(is_below_two ? numeric_ge : numeric_ne, size, limit));
}

/*
 * A key of an object: as it stands there, else whether the number that it is
 * the plural of is one.
 */
static bool
get_member(const Render *render, const JsonbValue *object, Slice key, JsonbValue *result)
{
	Slice number = { key.text, key.length - (int) strlen(PLURAL_SUFFIX) };

	if (get_key(object, key, result))
		return true;
	if (render->locale == NULL || number.length <= 0 ||
		memcmp(key.text + number.length, PLURAL_SUFFIX, strlen(PLURAL_SUFFIX)) != 0 ||
		!get_key(object, number, result) || result->type != jbvNumeric)
		return false;
	result->val.boolean = is_plural(result->val.numeric, render->locale);
	result->type = jbvBool;
	return true;
}

/*
 * Resolves a node's name: the first key in the innermost frame that has it,
 * the others only inside of what was found.
 */
static bool
look_up(const Render *render, const TemplateNode *node, const Frame *frame, JsonbValue *result)
{
	JsonbValue outer;

	if (node->key_count == 0)
	{
		*result = frame->value;
		return true;
	}
	while (frame != NULL && !get_member(render, &frame->value, node->keys[0], result))
		frame = frame->outer;
	if (frame == NULL)
		return false;
	for (int i = 1; i < node->key_count; i++)
	{
		outer = *result;
		if (!get_member(render, &outer, node->keys[i], result))
			return false;
	}
	return true;
}

static bool
is_truthy(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return false;
		case jbvBool:
			return value->val.boolean;
		case jbvString:
			return value->val.string.len > 0;
		case jbvNumeric:
			return !DatumGetBool(DirectFunctionCall2(numeric_eq,
													 NumericGetDatum(value->val.numeric),
													 NumericGetDatum(int64_to_numeric(0))));
		default:
			return !is_list(value) || JsonContainerSize(value->val.binary.data) > 0;
	}
}

static void
note_missing(const Render *render, const TemplateNode *node)
{
	ListCell *cell;

	if (render->missing == NULL)
		return;
	foreach (cell, render->missing->names)
	{
		const char *name = lfirst(cell);

		if (strncmp(name, node->slice.text, node->slice.length) == 0 &&
			name[node->slice.length] == '\0')
			return;
	}
	render->missing->names =
		lappend(render->missing->names, pnstrdup(node->slice.text, node->slice.length));
}

static bool
is_blank(const char *text, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (text[i] != ' ' && (text[i] < '\t' || text[i] > '\r'))
			return false;
	}
	return true;
}

static void
render_variable(Render *render, const TemplateNode *node, const Frame *frame)
{
	MfiEscape escape = node->is_raw ? MFI_ESCAPE_NONE : render->escape;
	JsonbValue value;
	char *text;

	if (!look_up(render, node, frame, &value) || value.type == jbvNull)
	{
		note_missing(render, node);
		return;
	}
	switch (value.type)
	{
		case jbvString:
			/* An empty text says as little as no value: for whoever asks, it is a hole. */
			if (is_blank(value.val.string.val, value.val.string.len))
				note_missing(render, node);
			check_output(render, value.val.string.len);
			mfi_escape_append(render->out, value.val.string.val, value.val.string.len, escape);
			break;
		case jbvNumeric:
			text = DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
			appendStringInfoString(render->out, text);
			pfree(text);
			break;
		case jbvBool:
			appendStringInfoString(render->out, value.val.boolean ? "true" : "false");
			break;
		default:
			check_output(render, value.val.binary.len);
			text = JsonbToCString(NULL, value.val.binary.data, value.val.binary.len);
			mfi_escape_append(render->out, text, (int) strlen(text), escape);
			pfree(text);
			break;
	}
	check_output(render, 0);
}

static void
render_section(Render *render, const MfiTemplate *template, int index, const Frame *frame)
{
	const TemplateNode *node = &template->nodes[index];
	Frame inner = { .outer = frame };
	JsonbContainer *list;

	if (!look_up(render, node, frame, &inner.value) || !is_truthy(&inner.value))
		return;
	if (!is_list(&inner.value))
	{
		render_range(render, template, index + 1, node->next, &inner);
		return;
	}
	list = inner.value.val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(list, i);

		inner.value = *element;
		pfree(element);
		render_range(render, template, index + 1, node->next, &inner);
		/* An empty section costs nothing but time: it counts all the same. */
		if (++render->step_count > MFI_TEMPLATE_STEPS_MAX)
			limit_error("template needs more than %d steps to render", MFI_TEMPLATE_STEPS_MAX);
	}
}

static void
render_inverted(Render *render, const MfiTemplate *template, int index, const Frame *frame)
{
	const TemplateNode *node = &template->nodes[index];
	JsonbValue value;

	if (!look_up(render, node, frame, &value) || !is_truthy(&value))
		render_range(render, template, index + 1, node->next, frame);
}

/* Puts the indentation of a partial's tag before each line of the partial. */
static void
append_indented(const Render *render, StringInfo to, const char *text, int length, Slice indent)
{
	const char *end = text + length;

	while (text < end)
	{
		const char *line_end = memchr(text, '\n', end - text);
		int line_length = (int) ((line_end != NULL ? line_end + 1 : end) - text);

		appendBinaryStringInfo(to, indent.text, indent.length);
		appendBinaryStringInfo(to, text, line_length);
		text += line_length;
		if (to->len > MFI_TEMPLATE_PARTIAL_BYTES_MAX - render->partial_bytes)
			limit_error("template reads more than %d bytes of partials",
						MFI_TEMPLATE_PARTIAL_BYTES_MAX);
	}
}

/* Reads the partial of a node, once per call; NULL where there is none. */
static const MfiTemplate *
find_partial(Render *render, const TemplateNode *node)
{
	JsonbValue partials = { .type = jbvBinary };
	JsonbValue text;
	ReadPartial *partial;
	MemoryContext old_context;
	StringInfoData indented;

	for (partial = render->read_partials; partial != NULL; partial = partial->next)
	{
		if (partial->name.length == node->slice.length &&
			partial->indent.length == node->indent.length &&
			memcmp(partial->name.text, node->slice.text, node->slice.length) == 0 &&
			(node->indent.length == 0 ||
			 memcmp(partial->indent.text, node->indent.text, node->indent.length) == 0))
			return partial->template;
	}
	partials.val.binary.data = &render->partials->root;
	if (!get_key(&partials, node->slice, &text) || text.type != jbvString)
		return NULL;
	if (render->partial_context == NULL)
		render->partial_context =
			AllocSetContextCreate(CurrentMemoryContext, "mfiauto partials", ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(render->partial_context);
	initStringInfo(&indented);
	append_indented(render, &indented, text.val.string.val, text.val.string.len, node->indent);
	render->partial_bytes += indented.len;
	partial = palloc(sizeof(ReadPartial));
	partial->name = node->slice;
	partial->indent = node->indent;
	partial->template = mfi_mustache_parse(indented.data, indented.len, render->partial_context);
	partial->next = render->read_partials;
	render->read_partials = partial;
	MemoryContextSwitchTo(old_context);
	pfree(indented.data);
	return partial->template;
}

static void
render_partial(Render *render, const TemplateNode *node, const Frame *frame)
{
	const MfiTemplate *partial;

	if (render->partials == NULL)
		return;
	if (render->partial_depth == MFI_TEMPLATE_PARTIAL_DEPTH_MAX)
		limit_error("template nests partials more than %d deep", MFI_TEMPLATE_PARTIAL_DEPTH_MAX);
	partial = find_partial(render, node);
	if (partial == NULL)
		return;
	render->partial_depth++;
	render_range(render, partial, 0, partial->node_count, frame);
	render->partial_depth--;
}

static void
render_range(Render *render, const MfiTemplate *template, int from, int to, const Frame *frame)
{
	check_stack_depth();
	for (int i = from; i < to;)
	{
		const TemplateNode *node = &template->nodes[i];

		if (++render->step_count > MFI_TEMPLATE_STEPS_MAX)
			limit_error("template needs more than %d steps to render", MFI_TEMPLATE_STEPS_MAX);
		CHECK_FOR_INTERRUPTS();
		switch (node->kind)
		{
			case NODE_TEXT:
				check_output(render, node->slice.length);
				appendBinaryStringInfo(render->out, node->slice.text, node->slice.length);
				break;
			case NODE_VARIABLE:
				render_variable(render, node, frame);
				break;
			case NODE_SECTION:
				render_section(render, template, i, frame);
				break;
			case NODE_INVERTED:
				render_inverted(render, template, i, frame);
				break;
			case NODE_PARTIAL:
				render_partial(render, node, frame);
				break;
		}
		i = (node->next > i) ? node->next : i + 1;
	}
}

/*
 * mfi_mustache_render appends the rendered template to `out`. `partials`
 * (an object of name -> text) and `missing` may be NULL; `missing` collects
 * the names of variable tags that resolved to nothing or to null.
 */
void
mfi_mustache_render(const MfiTemplate *template, Jsonb *context, Jsonb *partials, MfiEscape escape,
					StringInfo out, MfiMissing *missing)
{
	Render render = { .out = out,
					  .out_start = out->len,
					  .partials = partials,
					  .escape = escape,
					  .missing = missing };
	Frame frame = { .outer = NULL };

	if (!JsonbExtractScalar(&context->root, &frame.value))
	{
		frame.value.type = jbvBinary;
		frame.value.val.binary.data = &context->root;
		frame.value.val.binary.len = VARSIZE(context) - VARHDRSZ;
	}
	render.locale = mfi_jsonb_find_string(mfi_jsonb_object(&frame.value), "locale");
	render_range(&render, template, 0, template->node_count, &frame);
	if (render.partial_context != NULL)
		MemoryContextDelete(render.partial_context);
}
