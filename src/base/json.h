/*
 * json.h
 *		Reading JSON documents that people write: definitions of workflows and
 *		gateways.
 *
 * A document belongs to the memory context that was current when it was
 * parsed or kept: it is released with it, also after an error. Nodes are
 * borrowed.
 */
#ifndef MFI_BASE_JSON_H
#define MFI_BASE_JSON_H

/*
 * The server exports functions of its own under the names json_object and
 * json_typeof: its header comes first, and jansson's maker of empty objects,
 * which nobody here needs, is declared under another name.
 */
#include "utils/builtins.h"

#define json_object jansson_json_object
#include <jansson.h>
#undef json_object

/*
 * Parses text in the server's encoding. Duplicate keys, trailing text and what
 * is not JSON raise 22P02 with line and column; noun names the document in the
 * message ("workflow definition").
 */
extern json_t *mfi_json_parse(const char *text, const char *noun);

/* The same for a text whose strings are used as they stand: only UTF-8 is taken, whatever the server's encoding. */
extern json_t *mfi_json_parse_utf8(const char *text, const char *noun);

/* Ties a document that jansson made to the current memory context; what could not be made (NULL) stays NULL. */
extern json_t *mfi_json_keep(json_t *document);

/* A node as the compact JSON that it was, in the server's encoding, palloc'd. */
extern char *mfi_json_write(const json_t *node);

/* A member that is a string, borrowed and in UTF-8; NULL if there is none, or object is no object. */
static inline const char *
mfi_json_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* A string node's text in the server's encoding, palloc'd. */
extern char *mfi_json_text(const json_t *string);

/* A key in the server's encoding. */
extern char *mfi_json_key(const char *key);

/* What a node is, for a DETAIL: the string "abc", the number 5, an empty list, nothing. */
extern char *mfi_json_describe(const json_t *node);

#endif /* MFI_BASE_JSON_H */
