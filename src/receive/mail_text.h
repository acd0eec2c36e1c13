/*
 * mail_text.h
 *		The pieces of a letter: headers, parts, encodings. Looks at bytes and
 *		writes into buffers of the caller; nothing raises or allocates.
 */
#ifndef MFI_RECEIVE_MAIL_TEXT_H
#define MFI_RECEIVE_MAIL_TEXT_H

typedef struct MfiMailSpan
{
	const char *start;
	const char *end;
} MfiMailSpan;

/*
 * A span is borrowed bytes from start up to end. Sizes are those of the buffers,
 * in bytes, with room for the zero byte that each ends with.
 */
extern MfiMailSpan mfi_mail_span(const char *text);
/* Cuts what stands before the next empty line off; rest begins behind it. */
extern void mfi_mail_cut_block(MfiMailSpan *rest, MfiMailSpan *block);
/* The next header of that name; rest begins behind it. */
extern bool mfi_mail_next_header(MfiMailSpan *rest, const char *name, MfiMailSpan *value);
extern bool mfi_mail_has_header(MfiMailSpan headers, const char *name);
/* The first header of that name, unfolded, as far as it fits; empty if there is none. */
extern void mfi_mail_header(MfiMailSpan headers, const char *name, char *value, int size);
/* The address in it, in lower case. */
extern void mfi_mail_address(MfiMailSpan headers, const char *name, char *address, int size);
/* Type in lower case; empty texts where nothing is said. */
extern void mfi_mail_content_type(MfiMailSpan headers, char *type, int type_size, char *boundary, int boundary_size,
								  char *charset, int charset_size);
/* The next part of a multipart body. */
extern bool mfi_mail_next_part(MfiMailSpan *rest, const char *boundary, MfiMailSpan *part);
/* quoted-printable and base64; anything else is copied. Ends with a zero byte, has none before it. */
extern void mfi_mail_decode(MfiMailSpan body, const char *encoding, char *target, int size);
/* Latin-1 and its kin by the charset, all else as UTF-8; what is invalid becomes question marks. */
extern void mfi_mail_to_utf8(const char *text, const char *charset, char *target, int size);
/* RFC 2047 words. */
extern void mfi_mail_decode_words(const char *text, char *target, int size);
/* In place: the text that a reader of the page would see. */
extern void mfi_mail_strip_html(char *text);
/* In place: leaves what stands before the letter that is answered to, and before a signature. */
extern void mfi_mail_strip_quoted(char *text);

#endif							/* MFI_RECEIVE_MAIL_TEXT_H */
