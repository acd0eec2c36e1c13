/*
 * sign.h
 *		Signed parameters: a digest of all of a request's parameters and a
 *		secret travels as one more of them.
 */
#ifndef MFI_GATEWAY_SIGN_H
#define MFI_GATEWAY_SIGN_H

#include "nodes/pg_list.h"

/* A parameter as it is sent, before it is encoded. */
typedef struct MfiPair
{
	const char *name;
	const char *value;
} MfiPair;

/* md5, hmac-md5, hmac-sha1, hmac-sha256, hmac-sha512. */
extern bool mfi_sign_is_method(const char *method);

/*
 * The signature, palloc'd, in lower-case hexadecimal: the pairs in the order of
 * their names as &name=value, with "&" and "=" in values as "_", hashed with
 * the secret behind them (md5) or under the secret as key (hmac-…). pairs is a
 * List of MfiPair. 0A000 if this server's OpenSSL lacks the digest.
 */
extern char *mfi_sign_pairs(const char *method, const char *secret, List *pairs);

#endif							/* MFI_GATEWAY_SIGN_H */
