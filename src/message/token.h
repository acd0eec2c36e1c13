/*
 * token.h
 *		The word in a link that names a message and what is asked of it.
 */
#ifndef MFI_MESSAGE_TOKEN_H
#define MFI_MESSAGE_TOKEN_H

#include "postgres.h"

#define MFI_TOKEN_SIZE 20 /* characters, always */
#define MFI_TOKEN_MESSAGE_MAX ((INT64CONST(1) << 39) - 1)
#define MFI_TOKEN_TARGET_MAX 65535

/* Stands where the token of a target will stand, until the message has its number. */
#define MFI_TOKEN_MARKER "0PreviewOfALink"

typedef struct MfiToken
{
	int64 message_id;
	int target; /* a link's number, or a page: see sql/schema/link.sql */
} MfiToken;

/* Writes MFI_TOKEN_SIZE characters and a zero byte. The numbers are within bounds. */
extern void mfi_token_write(char *out, const MfiToken *token, const char *key, int key_length);

/*
 * Whether a text is a token under any of the keys. Takes as long for a good
 * one as for a forged one of the same length.
 */
extern bool mfi_token_read(const char *text, int length, char *const *keys, const int *key_lengths,
						   int key_count, MfiToken *token);

/* The marker of a target: MFI_TOKEN_SIZE characters and a zero byte. */
extern void mfi_token_mark(char *out, int target);

/* The next marker in a text from offset on, or -1; *target is whose it is. */
extern int mfi_token_find_marker(const char *text, int length, int offset, int *target);

#endif /* MFI_MESSAGE_TOKEN_H */
