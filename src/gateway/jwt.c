/*
 * jwt.c
 *		Tokens that we sign ourselves: JSON Web Tokens in compact form.
 *
 * What OpenSSL allocates is not PostgreSQL's: no function here raises while it
 * holds any of it. Nothing of a key ever stands in a message.
 */
#include "postgres.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/json.h"
#include "common/base64.h"
#include "fmgr.h"
#include "gateway/jwt.h"
#include "gateway/reader.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define RSA_BITS_MIN 2048
#define HMAC_KEY_BYTES_MIN 32
#define P256_NUMBER_BYTES 32
#define SIGNATURE_BYTES_MAX 1024
#define LIFETIME_S_MIN 60
#define LIFETIME_S_MAX 86400
#define LIFETIME_S_DEFAULT 3000

typedef enum ClaimKind
{
	CLAIM_TEXT,
	CLAIM_TIME,					/* $now and an offset */
	CLAIM_UUID,
	CLAIM_LITERAL,
} ClaimKind;

typedef struct MfiClaim
{
	char	   *name;
	ClaimKind	kind;
	MfiSlot    *slot;
	int			offset_s;
	char	   *literal;
} MfiClaim;

PG_FUNCTION_INFO_V1(mfiauto_sign_jwt);

static const char *const algorithm_names[] = {"RS256", "ES256", "HS256"};

static bool find_algorithm(const char *name, MfiJwtAlgorithm *algorithm);
static void read_time(MfiClaim *claim, const char *text, const char *path);
static List *read_claims(json_t *object, const char *path);
static void append_base64url(StringInfo out, const void *bytes, int length);
static void append_claims(StringInfo out, List *claims, Jsonb *context, int64 now_s);
static int	no_passphrase(char *buffer, int size, int is_writing, void *unused);
static EVP_PKEY *read_private_key(const char *pem);
static bool fits(EVP_PKEY *key, MfiJwtAlgorithm algorithm);
static int	join_numbers(const unsigned char *der, int length, unsigned char *joined);
static int	sign_with_key(EVP_PKEY *key, MfiJwtAlgorithm algorithm, const char *input, int length, unsigned char *signature);
static int	sign(MfiJwtAlgorithm algorithm, const char *key, int key_length, const char *input, int length, unsigned char *signature);
static void refuse_key(MfiJwtAlgorithm algorithm) pg_attribute_noreturn();

static bool
find_algorithm(const char *name, MfiJwtAlgorithm *algorithm)
{
	for (int i = 0; i < (int) lengthof(algorithm_names); i++)
		if (strcmp(algorithm_names[i], name) == 0)
		{
			*algorithm = (MfiJwtAlgorithm) i;
			return true;
		}
	return false;
}

const char *
mfi_jwt_algorithm_name(const MfiJwt *jwt)
{
	return algorithm_names[jwt->algorithm];
}

/*
 * read_time reads $now, $now+3600 or $now-60.
 */
static void
read_time(MfiClaim *claim, const char *text, const char *path)
{
	const char *rest = text + strlen("$now");
	char	   *end = NULL;
	long		offset = 0;

	if (*rest != '\0')
	{
		if ((*rest == '+' || *rest == '-') && rest[1] >= '0' && rest[1] <= '9')
			offset = strtol(rest, &end, 10);
		if (end == NULL || *end != '\0' || offset > LIFETIME_S_MAX || offset < -LIFETIME_S_MAX)
			mfi_reader_fail(path, "expected $now, or $now+ and seconds, at most a day", NULL);
	}
	claim->kind = CLAIM_TIME;
	claim->offset_s = (int) offset;
}

static List *
read_claims(json_t *object, const char *path)
{
	const char *name;
	json_t	   *member;
	List	   *claims = NIL;

	json_object_foreach(object, name, member)
	{
		char	   *place = mfi_reader_path(path, name);
		MfiClaim   *claim = palloc0(sizeof(MfiClaim));
		const char *text = json_string_value(member);

		claim->name = pstrdup(name);
		if (text == NULL)
		{
			claim->kind = CLAIM_LITERAL;
			claim->literal = mfi_json_write(member);
		}
		else if (strcmp(text, "$uuid") == 0)
			claim->kind = CLAIM_UUID;
		else if (strncmp(text, "$now", strlen("$now")) == 0)
			read_time(claim, text, place);
		else if (text[0] == '$')
			mfi_reader_fail(place, "there is no such value", "Known values: $now, $now+3600, $uuid.");
		else
			claim->slot = mfi_slot_parse(text, place, MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
		claims = lappend(claims, claim);
	}
	return claims;
}

MfiJwt *
mfi_jwt_read(json_t *json, const char *path)
{
	static const char *const names[] = {"kind", "algorithm", "key", "header", "claims", "lifetime", NULL};
	MfiJwt	   *jwt = palloc0(sizeof(MfiJwt));
	const char *algorithm = mfi_reader_string(json, path, "algorithm", true);
	const char *key = mfi_reader_string(json, path, "key", true);
	json_t	   *header = mfi_reader_object(json, path, "header");
	json_t	   *claims = mfi_reader_object(json, path, "claims");
	ListCell   *cell;
	int			valid_s = LIFETIME_S_MAX;

	mfi_reader_check_members(json, path, names);
	if (!find_algorithm(algorithm, &jwt->algorithm))
		mfi_reader_fail(mfi_reader_path(path, "algorithm"), psprintf("there is no algorithm \"%s\"", algorithm),
						"Known algorithms: RS256, ES256, HS256.");
	if (strstr(key, "secret.") == NULL)
		mfi_reader_fail(mfi_reader_path(path, "key"), "a key is a secret, it does not stand in a definition",
						"Write {{secret.private_key}} and set it with mfiauto.set_secret().");
	jwt->key = mfi_slot_parse(key, mfi_reader_path(path, "key"), MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	if (claims == NULL)
		mfi_reader_fail(mfi_reader_path(path, "claims"), "expected an object, found nothing", NULL);
	if (json_object_get(header, "alg") != NULL)
		mfi_reader_fail(mfi_reader_path(mfi_reader_path(path, "header"), "alg"), "the algorithm stands in algorithm", NULL);
	jwt->header = read_claims(header, mfi_reader_path(path, "header"));
	jwt->claims = read_claims(claims, mfi_reader_path(path, "claims"));
	foreach(cell, jwt->claims)
	{
		MfiClaim   *claim = lfirst(cell);

		if (strcmp(claim->name, "exp") == 0 && claim->kind == CLAIM_TIME)
			valid_s = claim->offset_s;
	}
	if (valid_s <= LIFETIME_S_MIN)
		mfi_reader_fail(mfi_reader_path(mfi_reader_path(path, "claims"), "exp"), "a token must be valid for more than a minute", NULL);
	jwt->lifetime_s = (int) mfi_reader_number(json, path, "lifetime", Min(LIFETIME_S_DEFAULT, valid_s * 9 / 10), LIFETIME_S_MIN / 2, LIFETIME_S_MAX);
	if (jwt->lifetime_s >= valid_s)
		mfi_reader_fail(mfi_reader_path(path, "lifetime"), "a token must not be used for as long as it is valid, or longer", NULL);
	return jwt;
}

/*
 * append_base64url appends without padding, by RFC 4648, section 5.
 */
static void
append_base64url(StringInfo out, const void *bytes, int length)
{
	int			start = out->len;
	int			used;

	enlargeStringInfo(out, pg_b64_enc_len(length) + 1);
	used = pg_b64_encode(bytes, length, out->data + out->len, pg_b64_enc_len(length));
	if (used < 0)
		elog(ERROR, "could not encode a token");
	out->len += used;
	while (out->len > start && out->data[out->len - 1] == '=')
		out->len--;
	for (int i = start; i < out->len; i++)
		if (out->data[i] == '+')
			out->data[i] = '-';
		else if (out->data[i] == '/')
			out->data[i] = '_';
	out->data[out->len] = '\0';
}

/*
 * append_claims appends the members of an object, without its braces; a claim
 * whose template renders to nothing is left out.
 */
static void
append_claims(StringInfo out, List *claims, Jsonb *context, int64 now_s)
{
	ListCell   *cell;
	bool		is_first = out->data[out->len - 1] == '{';

	foreach(cell, claims)
	{
		MfiClaim   *claim = lfirst(cell);
		char	   *text = NULL;

		if (claim->kind == CLAIM_TEXT)
			text = mfi_slot_render(claim->slot, context);
		else if (claim->kind == CLAIM_UUID)
			text = DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
		if (text != NULL && text[0] == '\0')
			continue;
		appendStringInfoString(out, is_first ? "\"" : ",\"");
		is_first = false;
		mfi_escape_append(out, claim->name, strlen(claim->name), MFI_ESCAPE_JSON);
		appendStringInfoString(out, "\":");
		if (claim->kind == CLAIM_TIME)
			appendStringInfo(out, INT64_FORMAT, now_s + claim->offset_s);
		else if (claim->kind == CLAIM_LITERAL)
			appendStringInfoString(out, claim->literal);
		else
		{
			appendStringInfoChar(out, '"');
			mfi_escape_append(out, text, strlen(text), MFI_ESCAPE_JSON);
			appendStringInfoChar(out, '"');
		}
	}
}

/* OpenSSL: a key that needs a passphrase cannot be used; nobody is at the terminal. */
static int
no_passphrase(char *buffer, int size, int is_writing, void *unused)
{
	return 0;
}

/*
 * read_private_key reads PEM; in JSON files of providers its lines are divided
 * by a backslash and an n.
 */
static EVP_PKEY *
read_private_key(const char *pem)
{
	char	   *copy = palloc(strlen(pem) + 1);
	char	   *end = copy;
	BIO		   *input;
	EVP_PKEY   *key;

	for (const char *c = pem; *c != '\0'; c++)
		if (c[0] == '\\' && c[1] == 'n')
		{
			*end++ = '\n';
			c++;
		}
		else
			*end++ = *c;
	*end = '\0';
	input = BIO_new_mem_buf(copy, -1);
	if (input == NULL)
		return NULL;
	key = PEM_read_bio_PrivateKey(input, NULL, no_passphrase, NULL);
	BIO_free(input);
	ERR_clear_error();
	OPENSSL_cleanse(copy, end - copy);
	return key;
}

static bool
fits(EVP_PKEY *key, MfiJwtAlgorithm algorithm)
{
	char		group[64] = "";
	size_t		length = 0;

	if (algorithm == MFI_JWT_RS256)
		return EVP_PKEY_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) >= RSA_BITS_MIN;
	return EVP_PKEY_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof(group), &length) == 1 &&
		(strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

/*
 * join_numbers turns OpenSSL's form of an ECDSA signature into that of RFC
 * 7518: two numbers of fixed length. Returns the length, 0 if it could not.
 */
static int
join_numbers(const unsigned char *der, int length, unsigned char *joined)
{
	ECDSA_SIG  *pair = d2i_ECDSA_SIG(NULL, &der, length);
	bool		is_good;

	if (pair == NULL)
		return 0;
	is_good = BN_bn2binpad(ECDSA_SIG_get0_r(pair), joined, P256_NUMBER_BYTES) == P256_NUMBER_BYTES &&
		BN_bn2binpad(ECDSA_SIG_get0_s(pair), joined + P256_NUMBER_BYTES, P256_NUMBER_BYTES) == P256_NUMBER_BYTES;
	ECDSA_SIG_free(pair);
	return is_good ? 2 * P256_NUMBER_BYTES : 0;
}

static int
sign_with_key(EVP_PKEY *key, MfiJwtAlgorithm algorithm, const char *input, int length, unsigned char *signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char raw[SIGNATURE_BYTES_MAX];
	size_t		raw_length = sizeof(raw);
	bool		is_good;

	if (context == NULL)
		return 0;
	is_good = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(context, raw, &raw_length, (const unsigned char *) input, length) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	if (!is_good)
		return 0;
	if (algorithm == MFI_JWT_ES256)
		return join_numbers(raw, (int) raw_length, signature);
	memcpy(signature, raw, raw_length);
	return (int) raw_length;
}

/*
 * sign fills signature (SIGNATURE_BYTES_MAX) and returns its length, 0 if the
 * key is none for the algorithm.
 */
static int
sign(MfiJwtAlgorithm algorithm, const char *key, int key_length, const char *input, int length, unsigned char *signature)
{
	unsigned int used = 0;
	EVP_PKEY   *private_key;

	if (algorithm == MFI_JWT_HS256)
	{
		if (key_length < HMAC_KEY_BYTES_MIN ||
			HMAC(EVP_sha256(), key, key_length, (const unsigned char *) input, length, signature, &used) == NULL)
			return 0;
		return (int) used;
	}
	private_key = read_private_key(key);
	if (private_key == NULL)
		return 0;
	used = fits(private_key, algorithm) ? sign_with_key(private_key, algorithm, input, length, signature) : 0;
	EVP_PKEY_free(private_key);
	return (int) used;
}

static void
refuse_key(MfiJwtAlgorithm algorithm)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the signing key is not one for %s", algorithm_names[algorithm]),
			 algorithm == MFI_JWT_RS256
			 ? errhint("RS256 needs an RSA private key of at least %d bits, in PEM, without a passphrase.", RSA_BITS_MIN)
			 : algorithm == MFI_JWT_ES256
			 ? errhint("ES256 needs a private key on the curve P-256, in PEM, without a passphrase.")
			 : errhint("HS256 needs a secret of at least %d bytes.", HMAC_KEY_BYTES_MIN)));
}

char *
mfi_jwt_make(const MfiJwt *jwt, Jsonb *context, int64 now_s)
{
	char	   *key = mfi_slot_render(jwt->key, context);
	unsigned char signature[SIGNATURE_BYTES_MAX];
	StringInfoData part;
	StringInfoData token;
	int			length;

	initStringInfo(&token);
	initStringInfo(&part);
	appendStringInfo(&part, "{\"alg\":\"%s\",\"typ\":\"JWT\"", algorithm_names[jwt->algorithm]);
	append_claims(&part, jwt->header, context, now_s);
	appendStringInfoChar(&part, '}');
	append_base64url(&token, part.data, part.len);
	appendStringInfoChar(&token, '.');
	resetStringInfo(&part);
	appendStringInfoChar(&part, '{');
	append_claims(&part, jwt->claims, context, now_s);
	appendStringInfoChar(&part, '}');
	append_base64url(&token, part.data, part.len);
	length = sign(jwt->algorithm, key, strlen(key), token.data, token.len, signature);
	if (length == 0)
		refuse_key(jwt->algorithm);
	appendStringInfoChar(&token, '.');
	append_base64url(&token, signature, length);
	return token.data;
}

/*
 * SQL: mfiauto._sign_jwt(algorithm text, key bytea, input text): the signature
 * of what stands before a token's second dot.
 */
Datum
mfiauto_sign_jwt(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *key = PG_GETARG_BYTEA_PP(1);
	char	   *input = text_to_cstring(PG_GETARG_TEXT_PP(2));
	unsigned char signature[SIGNATURE_BYTES_MAX];
	MfiJwtAlgorithm algorithm;
	StringInfoData out;
	int			length;

	if (!find_algorithm(name, &algorithm))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no algorithm \"%s\"", name)));
	length = sign(algorithm, pnstrdup(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)), VARSIZE_ANY_EXHDR(key), input, strlen(input), signature);
	if (length == 0)
		refuse_key(algorithm);
	initStringInfo(&out);
	append_base64url(&out, signature, length);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
