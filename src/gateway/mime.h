/*
 * mime.h
 *		A letter as a mail server takes it.
 */
#ifndef MFI_GATEWAY_MIME_H
#define MFI_GATEWAY_MIME_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct MfiLetter
{
	const char *from;			/* address, or Name <address> */
	const char *reply_to;		/* the same; NULL: none */
	const char *to;				/* an address */
	const char *subject;
	const char *text;
	const char *html;			/* NULL: none */
	const char *preheader;		/* what mail programs show beside the subject; NULL: none */
	const char *locale;
	const char *reference;		/* Message-ID and boundary are made of it */
	TimestampTz date;
	List	   *headers;		/* of char *, "Name: value" */
} MfiLetter;

/* Writes the letter, in UTF-8 and CRLF lines; nothing in it can leave its place. Ends with CRLF. palloc'd, length in bytes; 22023 if an address is none. */
extern char *mfi_mime_write(const MfiLetter *letter, int *length);
/* The HTML of a letter with a preheader in it; palloc'd. */
extern char *mfi_mime_with_preheader(const char *html, const char *preheader);
/* The bare address of one that may have a name before it; palloc'd, 22023 (naming what it is) if there is none. */
extern char *mfi_mime_address(const char *written, const char *what);
/* Whether a letter can be sent to it. */
extern bool mfi_mime_is_address(const char *address);

#endif							/* MFI_GATEWAY_MIME_H */
