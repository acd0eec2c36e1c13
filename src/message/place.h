/*
 * place.h
 *		Locales and time zones as records give them -> the one way we write them.
 */
#ifndef MFI_MESSAGE_PLACE_H
#define MFI_MESSAGE_PLACE_H

#define MFI_LOCALE_SIZE 36		/* the longest language tag in use, with the final zero */

extern bool mfi_place_normalize_locale(const char *text, int length, char locale[MFI_LOCALE_SIZE]);
extern bool mfi_place_zone_exists(const char *name);

#endif							/* MFI_MESSAGE_PLACE_H */
