/*
 * token.c
 *		The word in a link that names a message and what is asked of it.
 *
 * 39 bits of message, 16 of target, and 64 of HMAC-SHA256 over both: 119 bits,
 * which are 20 letters and digits. Nothing has to be stored for each link of
 * each message, and a link costs an SMS as little as it can. No "_" or "-":
 * chat clients read the one as italics, and leave the other out of a link that
 * it ends. Pure functions; link.c has the keys.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "message/token.h"

#define TAG_BYTES 8
#define MESSAGE_BYTES 8
#define TARGET_BYTES 2
#define MARKER_SIZE ((int) sizeof(MFI_TOKEN_MARKER) - 1)
#define MARKER_DIGITS (MFI_TOKEN_SIZE - MARKER_SIZE)

typedef unsigned __int128 Number;

static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* sign gives the tag of a token under a key. */
static uint64
sign(const MfiToken *token, const char *key, int key_length)
{
	/* The head keeps this from being a signature of anything else under the same key. */
	unsigned char message[4 + MESSAGE_BYTES + TARGET_BYTES] = { 'l', 'i', 'n', 'k' };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int digest_length = 0;
	uint64 tag = 0;

	for (int i = 0; i < MESSAGE_BYTES; i++)
		message[4 + i] = (unsigned char) (token->message_id >> (8 * (MESSAGE_BYTES - 1 - i)));
	for (int i = 0; i < TARGET_BYTES; i++)
		message[4 + MESSAGE_BYTES + i] =
			(unsigned char) (token->target >> (8 * (TARGET_BYTES - 1 - i)));
	if (HMAC(EVP_sha256(), key, key_length, message, sizeof(message), digest, &digest_length) ==
			NULL ||
		digest_length < TAG_BYTES)
		elog(ERROR, "could not compute HMAC-SHA256");
	for (int i = 0; i < TAG_BYTES; i++)
		tag = tag << 8 | digest[i];
	return tag;
}

void
mfi_token_write(char *out, const MfiToken *token, const char *key, int key_length)
{
	Number number;

	Assert(token->message_id >= 0 && token->message_id <= MFI_TOKEN_MESSAGE_MAX);
	Assert(token->target >= 0 && token->target <= MFI_TOKEN_TARGET_MAX);
	number = ((Number) token->message_id << 16 | (Number) token->target) << 64 |
			 sign(token, key, key_length);
	for (int i = MFI_TOKEN_SIZE - 1; i >= 0; i--)
	{
		out[i] = letters[(int) (number % 62)];
		number /= 62;
	}
	out[MFI_TOKEN_SIZE] = '\0';
}

/* The value of a letter or digit, -1 for anything else. */
static int
value_of(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	if (letter >= 'A' && letter <= 'Z')
		return letter - 'A' + 10;
	if (letter >= 'a' && letter <= 'z')
		return letter - 'a' + 36;
	return -1;
}

bool
mfi_token_read(const char *text, int length, char *const *keys, const int *key_lengths,
			   int key_count, MfiToken *token)
{
	Number number = 0;
	uint64 tag;
	int match_count = 0;

	if (length != MFI_TOKEN_SIZE)
		return false;
	for (int i = 0; i < length; i++)
	{
		int value = value_of(text[i]);

		if (value < 0)
			return false;
		number = number * 62 + (Number) value;
	}
	if (number >> 119 != 0)
		return false;
	tag = (uint64) number;
	token->target = (int) (number >> 64 & MFI_TOKEN_TARGET_MAX);
	token->message_id = (int64) (number >> 80);
	/* All keys, whichever fits. */
	for (int i = 0; i < key_count; i++)
	{
		uint64 expected = sign(token, keys[i], key_lengths[i]);

		match_count += CRYPTO_memcmp(&expected, &tag, sizeof(tag)) == 0;
	}
	return match_count > 0;
}

void
mfi_token_mark(char *out, int target)
{
	snprintf(out, MFI_TOKEN_SIZE + 1, "%s%0*d", MFI_TOKEN_MARKER, MARKER_DIGITS, target);
}

int
mfi_token_find_marker(const char *text, int length, int offset, int *target)
{
	while (offset + MFI_TOKEN_SIZE <= length)
	{
		const char *found = memmem(text + offset, length - offset, MFI_TOKEN_MARKER, MARKER_SIZE);
		int digit_count = 0;

		if (found == NULL || found + MFI_TOKEN_SIZE > text + length)
			return -1;
		*target = 0;
		while (digit_count < MARKER_DIGITS && found[MARKER_SIZE + digit_count] >= '0' &&
			   found[MARKER_SIZE + digit_count] <= '9')
			*target = *target * 10 + (found[MARKER_SIZE + digit_count++] - '0');
		if (digit_count == MARKER_DIGITS && *target <= MFI_TOKEN_TARGET_MAX)
			return (int) (found - text);
		offset = (int) (found - text) + 1;
	}
	return -1;
}
