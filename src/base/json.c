/*
 * json.c
 *		Reading JSON documents that people write.
 *
 * The server's own json and jsonb types keep the last of two equal keys without
 * a word and know no positions after they are stored; a definition with a key
 * written twice is a mistake that its author wants to hear of. So definitions
 * arrive as json (text) and are read by jansson. Its memory is malloc's: a
 * document is tied to a memory context before it is used, so that no error can
 * leak it.
 */
#include "postgres.h"

#include "base/json.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#define DESCRIBED_BYTES_MAX 60

static void
release_document(void *document)
{
	json_decref((json_t *) document);
}

json_t *
mfi_json_keep(json_t *document)
{
	MemoryContextCallback *callback;

	if (document == NULL)
		return NULL;
	callback = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(MemoryContextCallback), MCXT_ALLOC_NO_OOM);
	if (callback == NULL)
	{
		json_decref(document);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	callback->func = release_document;
	callback->arg = document;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return document;
}

json_t *
mfi_json_parse_utf8(const char *text, const char *noun)
{
	json_error_t error;
	json_t *document = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (document == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("%s is not valid JSON", noun),
				 json_error_code(&error) == json_error_null_character ?
				 errdetail("Line %d, column %d: \\u0000 cannot be part of a text.", error.line, error.column) :
				 errdetail("Line %d, column %d: %s.", error.line, error.column,
						   pg_any_to_server(error.text, strlen(error.text), PG_UTF8))));
	return mfi_json_keep(document);
}

json_t *
mfi_json_parse(const char *text, const char *noun)
{
	return mfi_json_parse_utf8(pg_server_to_any(text, strlen(text), PG_UTF8), noun);
}

char *
mfi_json_write(const json_t *node)
{
	/* All the digits that are sure to come back: 0.1 stays 0.1. */
	char *utf8 = json_dumps(node, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
	char *text;

	if (utf8 == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	text = mfi_json_key(utf8);
	free(utf8);
	return text;
}

char *
mfi_json_key(const char *key)
{
	char *text = pg_any_to_server(key, strlen(key), PG_UTF8);

	return text == key ? pstrdup(key) : text;
}

char *
mfi_json_text(const json_t *string)
{
	return mfi_json_key(json_string_value(string));
}

/*
 * shorten cuts a text for a message at a character's boundary.
 */
static char *
shorten(char *text)
{
	int length = strlen(text);

	if (length <= DESCRIBED_BYTES_MAX)
		return text;
	length = pg_mbcliplen(text, length, DESCRIBED_BYTES_MAX);
	return psprintf("%.*s...", length, text);
}

char *
mfi_json_describe(const json_t *node)
{
	if (node == NULL)
		return "nothing";
	switch (json_typeof(node))
	{
		case JSON_OBJECT:
			return json_object_size(node) == 0 ? "an empty object" : "an object";
		case JSON_ARRAY:
			return json_array_size(node) == 0 ? "an empty list" : "a list";
		case JSON_STRING:
			return psprintf("the string \"%s\"", shorten(mfi_json_text(node)));
		case JSON_INTEGER:
			return psprintf("the number " INT64_FORMAT, (int64) json_integer_value(node));
		case JSON_REAL:
			return psprintf("the number %g", json_real_value(node));
		case JSON_TRUE:
			return "true";
		case JSON_FALSE:
			return "false";
		case JSON_NULL:
			return "null";
	}
	return "something else";
}
