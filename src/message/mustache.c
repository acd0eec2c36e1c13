/*
 * mustache.c
 *		Reads a Mustache template into an array of nodes.
 *
 * A campaign renders one template for thousands of people, so that reading
 * and rendering are two things: this file reads, mustache_render.c renders.
 * It follows the Mustache specification: variables, sections, inverted
 * sections, comments, partials, set delimiters, and the rule that a tag alone
 * in its line takes the line with it. Names are never looked up here.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "message/mustache_node.h"

typedef struct Parser
{
	MfiTemplate *template;
	const char *text;
	const char *end;
	const char *at; /* first byte that no node has */
	Slice open;		/* the delimiters in force */
	Slice close;
	int section_depth;
	int sections[MFI_TEMPLATE_SECTION_DEPTH_MAX];			  /* open ones, as node indexes */
	const char *section_tags[MFI_TEMPLATE_SECTION_DEPTH_MAX]; /* where they open */
} Parser;

/* One tag as found: delimiters, sigil and space taken off. */
typedef struct Tag
{
	const char *start;
	const char *after;
	char sigil; /* 0 for a plain variable */
	Slice body;
	bool is_standalone;
	const char *line_start; /* if it stands alone: its line, with line end */
	const char *line_after;
} Tag;

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static Slice
slice_between(const char *from, const char *to)
{
	Slice slice = { from, (int) (to - from) };

	return slice;
}

static Slice
slice_trimmed(const char *from, const char *to)
{
	while (from < to && is_space(*from))
		from++;
	while (to > from && is_space(to[-1]))
		to--;
	return slice_between(from, to);
}

static bool
slice_equal(Slice a, Slice b)
{
	return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* Finds needle between from and end, or NULL. */
static const char *
find(const char *from, const char *end, Slice needle)
{
	while (end - from >= needle.length)
	{
		from = memchr(from, needle.text[0], (end - from) - needle.length + 1);
		if (from == NULL)
			return NULL;
		if (memcmp(from, needle.text, needle.length) == 0)
			return from;
		from++;
	}
	return NULL;
}

/*
 * Raises a syntax error about the tag at a place of the template. `message`
 * holds one %s for what is quoted.
 */
static void
tag_error(const Parser *parser, const char *at, const char *message, Slice quoted, const char *hint)
{
	int line = 1;
	const char *line_start = parser->text;
	char *name = pnstrdup(quoted.text, pg_mbcliplen(quoted.text, quoted.length, 64));

	for (const char *c = parser->text; c < at; c++)
	{
		if (*c == '\n')
		{
			line++;
			line_start = c + 1;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg_internal(message, name),
					errdetail("The tag stands at line %d, column %d of the template.", line,
							  pg_mbstrlen_with_len(line_start, (int) (at - line_start)) + 1),
					errhint("%s", hint)));
}

static TemplateNode *
add_node(Parser *parser, NodeKind kind, Slice slice)
{
	MfiTemplate *template = parser->template;
	TemplateNode *node;

	if (template->node_count == template->node_capacity)
	{
		template->node_capacity *= 2;
		template->nodes = repalloc(template->nodes, sizeof(TemplateNode) * template->node_capacity);
	}
	node = &template->nodes[template->node_count++];
	memset(node, 0, sizeof(TemplateNode));
	node->kind = kind;
	node->slice = slice;
	return node;
}

static void
add_text(Parser *parser, const char *from, const char *to)
{
	if (to > from)
		add_node(parser, NODE_TEXT, slice_between(from, to));
}

static void
check_name(const Parser *parser, const Tag *tag)
{
	if (tag->body.length == 0)
		tag_error(parser, tag->start, "template tag has no name%s", tag->body,
				  "Write a name between the delimiters.");
}

/* Splits a dotted name into its keys; "." is the implicit iterator. */
static void
split_name(const Parser *parser, const Tag *tag, TemplateNode *node)
{
	const char *part = tag->body.text;
	const char *end = part + tag->body.length;
	int key_count = 1;

	check_name(parser, tag);
	if (tag->body.length == 1 && part[0] == '.')
		return;
	for (const char *c = part; c < end; c++)
		key_count += (*c == '.');
	node->keys = palloc(sizeof(Slice) * key_count);
	for (const char *c = part; c <= end; c++)
	{
		if (c < end && *c != '.')
			continue;
		if (c == part)
			tag_error(parser, tag->start, "template name \"%s\" has an empty part", tag->body,
					  "Write dotted names as in client.name.");
		node->keys[node->key_count++] = slice_between(part, c);
		part = c + 1;
	}
}

static void
open_section(Parser *parser, const Tag *tag)
{
	TemplateNode *node;

	if (parser->section_depth == MFI_TEMPLATE_SECTION_DEPTH_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("template nests sections more than %d deep",
							   MFI_TEMPLATE_SECTION_DEPTH_MAX)));
	node = add_node(parser, tag->sigil == '#' ? NODE_SECTION : NODE_INVERTED, tag->body);
	split_name(parser, tag, node);
	parser->sections[parser->section_depth] = parser->template->node_count - 1;
	parser->section_tags[parser->section_depth] = tag->start;
	parser->section_depth++;
}

static void
close_section(Parser *parser, const Tag *tag)
{
	TemplateNode *node;

	if (parser->section_depth == 0)
		tag_error(parser, tag->start, "template closes section \"%s\" that is not open", tag->body,
				  "Open the section before, or take the tag away.");
	parser->section_depth--;
	node = &parser->template->nodes[parser->sections[parser->section_depth]];
	if (!slice_equal(node->slice, tag->body))
		tag_error(parser, tag->start, "template closes section \"%s\" where another one is open",
				  tag->body, "Close sections in the reverse order of their opening.");
	node->next = parser->template->node_count;
}

/* Takes "{{=<% %>=}}": two delimiters, without space or "=" in them. */
static void
set_delimiters(Parser *parser, const Tag *tag)
{
	const char *end = tag->body.text + tag->body.length;
	const char *space = tag->body.text;
	const char *second;

	while (space < end && !is_space(*space))
		space++;
	second = space;
	while (second < end && is_space(*second))
		second++;
	if (second == end || memchr(tag->body.text, '=', tag->body.length) != NULL)
		tag_error(parser, tag->start, "template sets delimiters that cannot be read: \"%s\"",
				  tag->body, "Write two delimiters with a space between, as in {{=<% %>=}}.");
	for (const char *c = second; c < end; c++)
	{
		if (is_space(*c))
			tag_error(parser, tag->start, "template sets delimiters that cannot be read: \"%s\"",
					  tag->body, "Write two delimiters with a space between, as in {{=<% %>=}}.");
	}
	parser->open = slice_between(tag->body.text, space);
	parser->close = slice_between(second, end);
}

/* Finds out whether a tag that renders nothing itself has its line for itself. */
static void
see_whether_standalone(const Parser *parser, Tag *tag)
{
	const char *from = tag->start;
	const char *to = tag->after;

	while (from > parser->text && is_blank(from[-1]))
		from--;
	if (from > parser->text && from[-1] != '\n')
		return;
	while (to < parser->end && is_blank(*to))
		to++;
	if (to < parser->end && *to == '\r' && to + 1 < parser->end && to[1] == '\n')
		to++;
	if (to < parser->end && *to != '\n')
		return;
	tag->is_standalone = true;
	tag->line_start = from;
	tag->line_after = (to < parser->end) ? to + 1 : to;
}

/* Reads the tag whose opening delimiter stands at `start`. */
static Tag
read_tag(const Parser *parser, const char *start)
{
	Tag tag = { .start = start };
	const char *body = start + parser->open.length;
	const char *body_end;
	Slice close = parser->close;

	while (body < parser->end && is_space(*body))
		body++;
	if (body < parser->end && *body != '\0' && strchr("#^/>!={&", *body) != NULL)
		tag.sigil = *body++;
	/* {{{name}}} and {{=<% %>=}} close with a sign of their own before the delimiter. */
	if (tag.sigil == '{' || tag.sigil == '=')
	{
		close.text = psprintf("%c%.*s", tag.sigil == '{' ? '}' : '=', close.length, close.text);
		close.length++;
	}
	body_end = find(body, parser->end, close);
	if (body_end == NULL)
		tag_error(parser, start, "template tag is not closed%s", slice_between(start, start),
				  "Write the closing delimiter, }} unless the template sets another.");
	tag.after = body_end + close.length;
	tag.body = slice_trimmed(body, body_end);
	if (tag.sigil != '\0' && strchr("#^/>!=", tag.sigil) != NULL)
		see_whether_standalone(parser, &tag);
	return tag;
}

static void
take_tag(Parser *parser, const char *start)
{
	Tag tag = read_tag(parser, start);
	TemplateNode *node;

	add_text(parser, parser->at, tag.is_standalone ? tag.line_start : tag.start);
	parser->at = tag.is_standalone ? tag.line_after : tag.after;
	switch (tag.sigil)
	{
		case '!':
			break;
		case '#':
		case '^':
			open_section(parser, &tag);
			break;
		case '/':
			close_section(parser, &tag);
			break;
		case '=':
			set_delimiters(parser, &tag);
			break;
		case '>':
			check_name(parser, &tag);
			node = add_node(parser, NODE_PARTIAL, tag.body);
			if (tag.is_standalone)
				node->indent = slice_between(tag.line_start, tag.start);
			break;
		default:
			node = add_node(parser, NODE_VARIABLE, tag.body);
			node->is_raw = (tag.sigil == '{' || tag.sigil == '&');
			split_name(parser, &tag, node);
			break;
	}
}

/*
 * mfi_mustache_parse reads a template into `context`. What cannot be read is
 * a syntax error that names the line and column.
 */
MfiTemplate *
mfi_mustache_parse(const char *text, int length, MemoryContext context)
{
	MemoryContext old_context;
	Parser parser = { 0 };
	const char *tag;

	if (length > MFI_TEMPLATE_BYTES_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("template is longer than %d bytes", MFI_TEMPLATE_BYTES_MAX)));
	old_context = MemoryContextSwitchTo(context);
	parser.template = palloc0(sizeof(MfiTemplate));
	parser.template->node_capacity = 16;
	parser.template->nodes = palloc(sizeof(TemplateNode) * parser.template->node_capacity);
	parser.text = parser.at = pnstrdup(text, length);
	parser.end = parser.text + length;
	parser.open = (Slice){ "{{", 2 };
	parser.close = (Slice){ "}}", 2 };

	while ((tag = find(parser.at, parser.end, parser.open)) != NULL)
		take_tag(&parser, tag);
	add_text(&parser, parser.at, parser.end);
	if (parser.section_depth > 0)
	{
		int open = parser.section_depth - 1;

		tag_error(&parser, parser.section_tags[open], "template section \"%s\" is not closed",
				  parser.template->nodes[parser.sections[open]].slice,
				  "Close it with a tag of the same name that begins with /.");
	}
	MemoryContextSwitchTo(old_context);
	return parser.template;
}

/* Adds a name to a list that holds each once. */
static List *
add_name(List *names, Slice name)
{
	ListCell *cell;

	foreach (cell, names)
	{
		const char *known = lfirst(cell);

		if (strncmp(known, name.text, name.length) == 0 && known[name.length] == '\0')
			return names;
	}
	return lappend(names, pnstrdup(name.text, name.length));
}

/*
 * mfi_mustache_variables lists the names that the template's variables and
 * sections use, each once, in order; the implicit iterator and partials are
 * left out. The strings are the caller's.
 */
List *
mfi_mustache_variables(const MfiTemplate *template)
{
	List *names = NIL;

	for (int i = 0; i < template->node_count; i++)
	{
		const TemplateNode *node = &template->nodes[i];

		CHECK_FOR_INTERRUPTS();
		if (node->kind != NODE_TEXT && node->kind != NODE_PARTIAL && node->key_count > 0)
			names = add_name(names, node->slice);
	}
	return names;
}

/*
 * mfi_mustache_partials lists the names of the partials that the template
 * itself includes, each once, in order. The strings are the caller's.
 */
List *
mfi_mustache_partials(const MfiTemplate *template)
{
	List *names = NIL;

	for (int i = 0; i < template->node_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (template->nodes[i].kind == NODE_PARTIAL)
			names = add_name(names, template->nodes[i].slice);
	}
	return names;
}
