/*
 * writing.h
 *		The members of the JSON that a program is handed over in: rows of
 *		workflow_version and workflow_step, by the names of their columns.
 */
#ifndef MFI_ENGINE_WRITING_H
#define MFI_ENGINE_WRITING_H

#include "engine/definition.h"
#include "lib/stringinfo.h"

/* Each adds "key": value to the object being written; nothing for NULL, 0, NIL. */
extern void mfi_writing_member(StringInfo out, const char *key, const char *text);
extern void mfi_writing_number(StringInfo out, const char *key, int number);

/* A list of texts; NULL in it is null. */
extern void mfi_writing_words(StringInfo out, const char *key, List *words);

/* Text that is JSON already. */
extern void mfi_writing_json(StringInfo out, const char *key, const char *json);

/* The query of a condition that stands at a path; NULL for NULL. Needs SPI. */
extern char *mfi_writing_condition(const MfiDefinition *definition, Oid owner, const char *path,
								   const char *condition, bool is_trigger);

/* The same for a condition over a run and an event that it waits for. */
extern char *mfi_writing_awaited(const MfiDefinition *definition, Oid owner, const char *path,
								 const char *condition);

/* The query of an expression that gives a moment, and its type. */
extern char *mfi_writing_moment(const MfiDefinition *definition, Oid owner, const char *path,
								const char *expression, const char **type);

/* The query of an expression that gives a value, as JSON. */
extern char *mfi_writing_value(const MfiDefinition *definition, Oid owner, const char *path,
							   const char *expression);

#endif /* MFI_ENGINE_WRITING_H */
