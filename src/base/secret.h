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

#endif							/* MFI_BASE_SECRET_H */
