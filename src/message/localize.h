/*
 * localize.h
 *		The money and dates of a context, written for another locale.
 */
#ifndef MFI_MESSAGE_LOCALIZE_H
#define MFI_MESSAGE_LOCALIZE_H

#include "utils/jsonb.h"

/*
 * The context itself if its texts are in the locale's language already; else
 * a copy whose texts are.
 */
extern Jsonb *mfi_localize_context(Jsonb *context, const char *locale);

#endif							/* MFI_MESSAGE_LOCALIZE_H */
