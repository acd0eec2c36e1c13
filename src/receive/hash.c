/*
 * hash.c
 *		Digests, keyed digests and their encodings; comparisons that take the
 *		same time wherever the values differ.
 */
#include "postgres.h"

#include "receive/hash.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "common/base64.h"

static const EVP_MD *digest_of(const char *algorithm);

static const EVP_MD *
digest_of(const char *algorithm)
{
	const EVP_MD *digest = EVP_get_digestbyname(algorithm);

	if (digest == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("the library of this server has no digest \"%s\"", algorithm)));
	return digest;
}

void
mfi_hash_data(const char *algorithm, const void *data, size_t length, MfiHash *hash)
{
	if (EVP_Digest(data, length, hash->bytes, &hash->length, digest_of(algorithm), NULL) != 1)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a digest")));
}

void
mfi_hash_hmac(const char *algorithm, const void *key, size_t key_length, const void *data, size_t length, MfiHash *hash)
{
	if (HMAC(digest_of(algorithm), key, (int) key_length, data, length, hash->bytes, &hash->length) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a keyed digest")));
}

char *
mfi_hash_to_hex(const MfiHash *hash)
{
	char	   *hex = palloc(hash->length * 2 + 1);

	for (unsigned int i = 0; i < hash->length; i++)
		snprintf(hex + i * 2, 3, "%02x", hash->bytes[i]);
	return hex;
}

bool
mfi_hash_is_hex(const MfiHash *hash, const char *text)
{
	char	   *expected = mfi_hash_to_hex(hash);
	char	   *given = pstrdup(text);

	for (char *c = given; *c != '\0'; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	return strlen(given) == strlen(expected) && CRYPTO_memcmp(expected, given, strlen(expected)) == 0;
}

bool
mfi_hash_is_base64(const MfiHash *hash, const char *text)
{
	int			length;
	char	   *given = mfi_hash_decode_base64(text, strlen(text), &length);

	return given != NULL && length == (int) hash->length && CRYPTO_memcmp(hash->bytes, given, length) == 0;
}

bool
mfi_hash_same_text(const char *one, const char *other)
{
	MfiHash		first;
	MfiHash		second;

	mfi_hash_data("sha256", one, strlen(one), &first);
	mfi_hash_data("sha256", other, strlen(other), &second);
	return CRYPTO_memcmp(first.bytes, second.bytes, first.length) == 0;
}

char *
mfi_hash_decode_base64(const char *text, size_t text_length, int *length)
{
	char	   *standard = palloc(text_length + 4);
	char	   *decoded = palloc(pg_b64_dec_len(text_length + 4) + 1);
	int			used = 0;

	for (size_t i = 0; i < text_length; i++)
		standard[used++] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (used > 0 && standard[used - 1] == '=')
		used--;
	while (used % 4 != 0)
		standard[used++] = '=';
	*length = pg_b64_decode(standard, used, decoded, pg_b64_dec_len(text_length + 4));
	if (*length < 0)
		return NULL;
	decoded[*length] = '\0';
	return decoded;
}
