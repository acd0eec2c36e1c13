/*
 * jsonb.h
 *		Members of jsonb objects: found by name, written one by one.
 *
 * What is found lies in the object that was searched and lives as long as it;
 * texts are copied into the current memory context. A container that is NULL
 * or no object has no members. Looking raises nothing, whatever it meets.
 */
#ifndef MFI_BASE_JSONB_H
#define MFI_BASE_JSONB_H

#include "utils/jsonb.h"

/* A text in the server's encoding as jsonb; raises 22P02 if it is none. */
extern Jsonb *mfi_jsonb_read(const char *text);

/* The container of a jsonb that may be NULL. */
static inline JsonbContainer *
mfi_jsonb_root(Jsonb *jsonb)
{
	return jsonb != NULL ? &jsonb->root : NULL;
}

/* The container of a value that is an object; NULL if it is anything else. */
static inline JsonbContainer *
mfi_jsonb_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) ? value->val.binary.data : NULL;
}

/* Whether there is a member of that name (its bytes need no NUL behind them); a null is one. */
extern bool mfi_jsonb_find(JsonbContainer *object, const char *name, int length, JsonbValue *member);

/* The same for names whose case does not matter, as those of HTTP headers: the first one that is stored. */
extern bool mfi_jsonb_find_any_case(JsonbContainer *object, const char *name, JsonbValue *member);

/* A member that is an object; NULL if there is none. */
extern JsonbContainer *mfi_jsonb_find_object(JsonbContainer *object, const char *name);

/* A member that is a string and not empty, palloc'd; NULL if there is none. */
extern char *mfi_jsonb_find_string(JsonbContainer *object, const char *name);

/*
 * Write into the object that state is building. Names and texts are borrowed
 * until the object is made by JsonbValueToJsonb(); length: of the text, in bytes.
 */
extern void mfi_jsonb_push_key(JsonbParseState **state, const char *name);
extern void mfi_jsonb_push_text(JsonbParseState **state, const char *name, const char *text, int length);
extern void mfi_jsonb_push_number(JsonbParseState **state, const char *name, int64 number);

#endif							/* MFI_BASE_JSONB_H */
