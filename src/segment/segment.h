/*
 * segment.h
 *		What a segment's query is made of, and whether it can be asked for some
 *		clients alone.
 */
#ifndef MFI_SEGMENT_SEGMENT_H
#define MFI_SEGMENT_SEGMENT_H

#include "nodes/parsenodes.h"

/*
 * Adds to every level of an analyzed query that it is about the clients of $1
 * (bigint[]), in place, and returns NULL; or returns why that cannot be done:
 * whether a client is a member then depends on more than his own rows. The
 * query may be half changed in that case.
 */
extern const char *mfi_local_restrict(Query *query);

#endif /* MFI_SEGMENT_SEGMENT_H */
