/*
 * hash.h
 *		Digests, keyed digests and their encodings; comparisons that take the
 *		same time wherever the values differ.
 */
#ifndef MFI_RECEIVE_HASH_H
#define MFI_RECEIVE_HASH_H

#include <openssl/evp.h>

#include "lib/stringinfo.h"

#define MFI_HASH_BYTES_MAX EVP_MAX_MD_SIZE

typedef struct MfiHash
{
	unsigned char bytes[MFI_HASH_BYTES_MAX];
	unsigned int length;
} MfiHash;

/* algorithm: md5, sha1, sha256, sha512; 0A000 if this server's OpenSSL lacks it. Lengths in bytes. */
extern void mfi_hash_data(const char *algorithm, const void *data, size_t length, MfiHash *hash);
extern void mfi_hash_hmac(const char *algorithm, const void *key, size_t key_length,
						  const void *data, size_t length, MfiHash *hash);

/* Whether text is the digest, in either case. */
extern bool mfi_hash_is_hex(const MfiHash *hash, const char *text);
/* alphabet of base64, or the one of URLs; padding may be missing. */
extern bool mfi_hash_is_base64(const MfiHash *hash, const char *text);
/* In lower case, palloc'd. */
extern char *mfi_hash_to_hex(const MfiHash *hash);

/* Whether two texts are the same, of whatever lengths. */
extern bool mfi_hash_same_text(const char *one, const char *other);

/* Decodes either alphabet of base64; NULL if it is none. palloc'd, with a NUL behind that does not count. */
extern char *mfi_hash_decode_base64(const char *text, size_t text_length, int *length);

#endif							/* MFI_RECEIVE_HASH_H */
