/*
 * reader.h
 *		Reading a JSON definition with errors that name the place.
 */
#ifndef MFI_GATEWAY_READER_H
#define MFI_GATEWAY_READER_H

#include "base/json.h"
#include "nodes/pg_list.h"

/* Strings and nodes that are returned are borrowed from the document, unless it says palloc'd; faults are 22023 by mfi_reader_fail(). */

/* 22023 with DETAIL "path: found."; hint may be NULL. */
extern void mfi_reader_fail(const char *path, const char *found, const char *hint) pg_attribute_noreturn();

/* path.name, or name where path is ""; palloc'd. */
extern char *mfi_reader_path(const char *path, const char *name);
/* Refuses members that are not listed (a list ended by NULL). */
extern void mfi_reader_check_members(json_t *object, const char *path, const char *const *names);
/*
 * Each returns NULL or the default (absent) when the member is absent or null;
 * a required string may be neither, nor empty. A number is between least and
 * most.
 */
extern json_t *mfi_reader_object(json_t *object, const char *path, const char *name);
extern json_t *mfi_reader_array(json_t *object, const char *path, const char *name);
extern const char *mfi_reader_string(json_t *object, const char *path, const char *name, bool is_required);
extern bool mfi_reader_boolean(json_t *object, const char *path, const char *name, bool absent);
extern double mfi_reader_number(json_t *object, const char *path, const char *name,
								double absent, double least, double most);
/* Texts of a member that is a string or number, or an array of them: List of char *, palloc'd. */
extern List *mfi_reader_texts(json_t *object, const char *path, const char *name);

/* The value at a path such as messages[0].message-id; NULL if there is none. */
extern json_t *mfi_reader_walk(json_t *json, const char *path);
/* A scalar's text, palloc'd; NULL for objects, arrays and null. */
extern char *mfi_reader_scalar(json_t *json);

#endif							/* MFI_GATEWAY_READER_H */
