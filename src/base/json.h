/*
 * json.h
 *		Reading JSON documents that people write: definitions of workflows and
 *		gateways.
 *
 * A document belongs to the memory context that was current when it was
 * parsed: it is released with it, also after an error. Nodes are borrowed.
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

/* A string node's text in the server's encoding, palloc'd. */
extern char *mfi_json_text(const json_t *string);

/* A key in the server's encoding. */
extern char *mfi_json_key(const char *key);

/* What a node is, for a DETAIL: the string "abc", the number 5, an empty list, nothing. */
extern char *mfi_json_describe(const json_t *node);

#endif /* MFI_BASE_JSON_H */
