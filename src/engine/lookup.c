/*
 * lookup.c
 *		What a definition names, looked up in the installation.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/lookup.h"
#include "executor/spi.h"
#include "utils/builtins.h"

/*
 * mfi_lookup_exists runs a query over one or two texts and tells whether it has a row.
 */
bool
mfi_lookup_exists(const char *query, Datum one, Oid type_of_two, Datum two)
{
	Oid types[2] = { TEXTOID, type_of_two };
	Datum values[2] = { one, two };

	if (SPI_execute_with_args(query, OidIsValid(type_of_two) ? 2 : 1, types, values, NULL, true,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up what a workflow names");
	return SPI_processed > 0;
}

char *
mfi_lookup_quoted(const char *word)
{
	return psprintf("\"%s\"", word);
}

void
mfi_lookup_check_class(const MfiDefinition *definition, const char *path, const char *class)
{
	if (!mfi_lookup_exists("SELECT FROM mfiauto.message_class c WHERE c.class = $1",
						   CStringGetTextDatum(class), InvalidOid, (Datum) 0))
		mfi_definition_refuse(definition->name, path, ERRCODE_UNDEFINED_OBJECT, "a message class",
							  mfi_lookup_quoted(class), "mfiauto.message_class lists the classes.");
	if (strcmp(path, "class") == 0 && strtod(definition->holdout, NULL) > 0 &&
		!mfi_lookup_exists(
			"SELECT FROM mfiauto.message_class c WHERE c.class = $1 AND c.holdout_allowed",
			CStringGetTextDatum(class), InvalidOid, (Datum) 0))
		mfi_definition_refuse(
			definition->name, "holdout", ERRCODE_INVALID_PARAMETER_VALUE,
			psprintf("no holdout in class %s, which is exempt", mfi_lookup_quoted(class)),
			psprintf("%g percent", strtod(definition->holdout, NULL)),
			"Leave \"holdout\" out, or choose another class.");
}
