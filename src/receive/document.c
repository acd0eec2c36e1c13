/*
 * document.c
 *		What a webhook says, by the rules of a definition: lists, paths,
 *		conditions.
 */
#include "postgres.h"

#include "receive/document.h"

#include "gateway/reader.h"
#include "mb/pg_wchar.h"

static void walk_list(const MfiDocument *document, json_t *node, json_t *parent, const char *path, List **elements);
static void add_each(const MfiDocument *document, json_t *node, json_t *parent, const char *rest, List **elements);
static json_t *walk(const MfiElement *element, const char *path);
static bool fits_one(const MfiElement *element, json_t *condition);

/*
 * add_each goes on with each element of an array; one object alone is an array
 * of one.
 */
static void
add_each(const MfiDocument *document, json_t *node, json_t *parent, const char *rest, List **elements)
{
	json_t	   *element;
	size_t		index;

	if (json_is_object(node))
		walk_list(document, node, parent, rest, elements);
	json_array_foreach(node, index, element)
		if (!json_is_array(element))
			walk_list(document, element, parent, rest, elements);
}

static void
walk_list(const MfiDocument *document, json_t *node, json_t *parent, const char *path, List **elements)
{
	size_t		length = strcspn(path, ".[");
	json_t	   *next = node;

	/* A path that ends at an array means what is in it. */
	if (*path == '\0' && json_is_array(node))
		add_each(document, node, parent, path, elements);
	else if (*path == '\0')
	{
		MfiElement *element = palloc(sizeof(MfiElement));

		element->document = document;
		element->value = node;
		element->parent = parent;
		if (!json_is_null(node))
			*elements = lappend(*elements, element);
	}
	if (*path == '\0')
		return;
	if (length > 0)
		next = json_object_get(node, pnstrdup(path, length));
	if (next == NULL)
		return;
	path += length;
	if (strncmp(path, "[]", 2) == 0)
		add_each(document, next, node, path + 2 + (path[2] == '.'), elements);
	else
		walk_list(document, next, parent, path + (*path == '.' || *path == '['), elements);
}

List *
mfi_document_list(const MfiDocument *document, const char *path)
{
	List	   *elements = NIL;

	if (path == NULL || path[0] == '\0')
		path = "[]";
	walk_list(document, document->root, document->root, path, &elements);
	return elements;
}

static json_t *
walk(const MfiElement *element, const char *path)
{
	json_t	   *start = element->value;

	if (*path == '@' || *path == '^' || *path == '$' || *path == '?')
	{
		if (*path == '^')
			start = element->parent;
		else if (*path == '$')
			start = element->document->root;
		else if (*path == '?')
			start = element->document->parameters;
		path += 1 + (path[1] == '.');
	}
	return mfi_reader_walk(start, path);
}

char *
mfi_document_text(const MfiElement *element, json_t *path, int bytes_max)
{
	json_t	   *found = NULL;
	json_t	   *alternative;
	char	   *text;
	size_t		index;

	if (json_is_string(path))
		found = walk(element, json_string_value(path));
	json_array_foreach(path, index, alternative)
		if (found == NULL || json_is_null(found))
			found = walk(element, json_string_value(alternative));
	text = found != NULL ? mfi_reader_scalar(found) : NULL;
	if (text == NULL || text[0] == '\0')
		return NULL;
	text = pg_any_to_server(text, strlen(text), PG_UTF8);
	text[pg_mbcliplen(text, strlen(text), bytes_max)] = '\0';
	return text;
}

static bool
fits_one(const MfiElement *element, json_t *condition)
{
	json_t	   *exists = json_object_get(condition, "exists");
	char	   *text = mfi_document_text(element, json_object_get(condition, "path"), 1000);
	ListCell   *cell;

	if (exists != NULL)
	{
		json_t	   *found = walk(element, mfi_json_string(condition, "path"));

		return (found != NULL && !json_is_null(found)) == json_is_true(exists);
	}
	if (text == NULL)
		return false;
	foreach(cell, mfi_reader_texts(condition, "when", "equals"))
		if (pg_strcasecmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/*
 * mfi_document_fits: one condition, or all of an array of them. None fits all.
 */
bool
mfi_document_fits(const MfiElement *element, json_t *conditions)
{
	json_t	   *condition;
	size_t		index;

	if (json_is_object(conditions))
		return fits_one(element, conditions);
	json_array_foreach(conditions, index, condition)
		if (!fits_one(element, condition))
			return false;
	return true;
}
