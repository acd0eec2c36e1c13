/*
 * escape.h
 *		How a value is made safe for the text it is put into.
 */
#ifndef MFI_MESSAGE_ESCAPE_H
#define MFI_MESSAGE_ESCAPE_H

#include "lib/stringinfo.h"

typedef enum MfiEscape
{
	MFI_ESCAPE_HTML, /* text and quoted attributes of HTML */
	MFI_ESCAPE_JSON, /* inside the quotes of a JSON string */
	MFI_ESCAPE_URL,	 /* one component of a URL, form bodies too */
	MFI_ESCAPE_XML,	 /* text and quoted attributes of XML 1.0 */
	MFI_ESCAPE_NONE	 /* plain text */
} MfiEscape;

extern MfiEscape mfi_escape_from_name(const char *name);
extern void mfi_escape_append(StringInfo out, const char *text, int length, MfiEscape escape);

#endif /* MFI_MESSAGE_ESCAPE_H */
