/*
 * reader.h
 *		Reading a JSON definition with errors that name the place.
 */
#ifndef MFI_GATEWAY_READER_H
#define MFI_GATEWAY_READER_H

#include "base/json.h"
#include "nodes/pg_list.h"

/* 22023 with DETAIL "path: found…". */
extern void mfi_reader_fail(const char *path, const char *found, const char *hint) pg_attribute_noreturn();

extern char *mfi_reader_path(const char *path, const char *name);
/* Refuses members that are not listed (a list ended by NULL). */
extern void mfi_reader_check_members(json_t *object, const char *path, const char *const *names);
/* Each returns NULL or the default when the member is absent or null. */
extern json_t *mfi_reader_object(json_t *object, const char *path, const char *name);
extern json_t *mfi_reader_array(json_t *object, const char *path, const char *name);
extern const char *mfi_reader_string(json_t *object, const char *path, const char *name, bool is_required);
extern bool mfi_reader_boolean(json_t *object, const char *path, const char *name, bool absent);
extern double mfi_reader_number(json_t *object, const char *path, const char *name,
								double absent, double least, double most);
/* Texts of a member that is a string or number, or an array of them: List of char *. */
extern List *mfi_reader_texts(json_t *object, const char *path, const char *name);

/* The value at a path such as messages[0].message-id; NULL if there is none. */
extern json_t *mfi_reader_walk(json_t *json, const char *path);
/* A scalar's text, palloc'd; NULL for objects, arrays and null. */
extern char *mfi_reader_scalar(json_t *json);

#endif							/* MFI_GATEWAY_READER_H */
