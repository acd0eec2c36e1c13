/*
 * time.h
 *		Times as providers write them.
 */
#ifndef MFI_RECEIVE_TIME_H
#define MFI_RECEIVE_TIME_H

#include "datatype/timestamp.h"

/*
 * Seconds or milliseconds since 1970 (with or without a fraction), or a date
 * with a time: ISO 8601, RFC 2822. Without a zone it is UTC. False if it is
 * none of these; never raises.
 */
extern bool mfi_time_read(const char *text, TimestampTz *at);

#endif							/* MFI_RECEIVE_TIME_H */
