/*
 * secret.h
 *		Values that only the library may read.
 */
#ifndef MFI_BASE_SECRET_H
#define MFI_BASE_SECRET_H

#include "utils/jsonb.h"

/*
 * A gateway's secrets as an object, files and environment read now. Needs a
 * transaction with SPI. *problem tells, without any value, what could not be
 * read; NULL if all is well.
 */
extern Jsonb *mfi_secret_load(const char *gateway, char **problem);

/*
 * Adds a signing key under key_1, key_2, …: a value, a file of the server, or
 * with neither 32 random bytes; of all of them the newest "keep" stay. is_first:
 * none is added where there is one. Needs SPI; checks that the caller may read
 * a file.
 */
extern void mfi_secret_add_key(const char *owner, char *value, const char *file, int keep, bool is_first);

#endif							/* MFI_BASE_SECRET_H */
