/*
 * option.h
 *		What a text says to its channel beside its words: a JSON document whose
 *		strings are templates.
 */
#ifndef MFI_MESSAGE_OPTION_H
#define MFI_MESSAGE_OPTION_H

#include "message/mustache.h"
#include "message/place.h"

typedef struct MfiOption MfiOption;

/* Reads the options of a template; NULL of none. */
extern MfiOption *mfi_option_parse(Jsonb *options, MemoryContext context);

/*
 * Renders every string. Where a member "audio" has a recording for each
 * locale, the one that fits the client's locale, the default or the
 * institution's is taken.
 */
extern Jsonb *mfi_option_render(const MfiOption *option, Jsonb *context, const char *locale,
								const char *home_locale, MfiMissing *missing);

#endif							/* MFI_MESSAGE_OPTION_H */
