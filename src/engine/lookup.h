/*
 * lookup.h
 *		What a definition names, looked up in the installation. Needs SPI.
 */
#ifndef MFI_ENGINE_LOOKUP_H
#define MFI_ENGINE_LOOKUP_H

#include "engine/definition.h"

/* Runs a query over one or two values and tells whether it has a row. */
extern bool mfi_lookup_exists(const char *query, Datum one, Oid type_of_two, Datum two);

/* A word in double quotes, for messages. */
extern char *mfi_lookup_quoted(const char *word);

/* Refuses a class that is not there, and a holdout in one that is exempt. */
extern void mfi_lookup_check_class(const MfiDefinition *definition, const char *path,
								   const char *class);

#endif /* MFI_ENGINE_LOOKUP_H */
