/*
 * jansson_pg.h
 *		Jansson beside PostgreSQL's own functions of the same names.
 *
 * Both have a json_object and a json_typeof; in files that include this, the
 * names are jansson's. Included before any other header but postgres.h.
 */
#ifndef MFI_GATEWAY_JANSSON_PG_H
#define MFI_GATEWAY_JANSSON_PG_H

#define json_object pg_json_object
#define json_typeof pg_json_typeof
#include "utils/builtins.h"
#undef json_object
#undef json_typeof

#include <jansson.h>
/* An empty object is json_pack("{}"): json_object() would be the server's. */

#endif							/* MFI_GATEWAY_JANSSON_PG_H */
