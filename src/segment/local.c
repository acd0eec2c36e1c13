/*
 * local.c
 *		Which clients can be looked at alone.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "segment/segment.h"
#include "utils/lsyscache.h"

bool
mfi_local_is_segment(Oid relation)
{
	Oid schema = get_namespace_oid("mfiauto_segment", true);

	return OidIsValid(schema) && get_rel_namespace(relation) == schema;
}

const char *
mfi_local_restrict(Query *query)
{
	return "it is evaluated for all clients";
}
