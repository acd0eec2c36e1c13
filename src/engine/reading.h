/*
 * reading.h
 *		Values of a workflow definition, one at a time: typed, or refused with
 *		their place.
 */
#ifndef MFI_ENGINE_READING_H
#define MFI_ENGINE_READING_H

#include "base/json.h"
#include "base/words.h"
#include "engine/definition.h"

/* Refuses what stands at a path; found is described. */
extern void mfi_reading_refuse(const MfiDefinition *definition, const char *path,
							   const char *expected, json_t *found, const char *hint)
	pg_attribute_noreturn();

extern const char *mfi_reading_nearest(const char *word, const char *const *words);

/* The path of a key of the object at a path; the definition itself has the path "". */
extern char *mfi_reading_below(const char *path, const char *key);

/* Refuses keys that nobody reads. */
extern void mfi_reading_check_keys(const MfiDefinition *definition, json_t *object,
								   const char *path, const char *const *known);

/* Non-empty texts; NULL where the key is missing and may be. */
extern char *mfi_reading_text(const MfiDefinition *definition, json_t *object, const char *path,
							  const char *key, bool is_required, const char *expected,
							  const char *hint);
extern char *mfi_reading_name(const MfiDefinition *definition, json_t *object, const char *path,
							  const char *key, bool is_required, const char *expected,
							  const char *hint);
extern char *mfi_reading_condition(const MfiDefinition *definition, json_t *object,
								   const char *path, const char *key, bool is_required);
extern char *mfi_reading_duration(const MfiDefinition *definition, json_t *object, const char *path,
								  const char *key, bool is_required);

/* Whether a text is an interval longer than nothing. */
extern bool mfi_reading_is_duration(const char *text);

/* Whether one such interval is shorter than another. */
extern bool mfi_reading_is_shorter(const char *one, const char *other);

extern bool mfi_reading_flag(const MfiDefinition *definition, json_t *object, const char *path,
							 const char *key);
extern int mfi_reading_whole_number(const MfiDefinition *definition, json_t *object,
									const char *key, int smallest, int largest, int otherwise);

#endif /* MFI_ENGINE_READING_H */
