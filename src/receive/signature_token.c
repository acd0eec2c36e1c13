/*
 * signature_token.c
 *		Shared secrets that come along as they are, and JSON web tokens (HS256)
 *		that carry the body's digest.
 */
#include "postgres.h"

#include "receive/signature.h"

#include "receive/hash.h"

static char *after_scheme(const MfiWebhook *webhook, const char *scheme);
static json_t *read_jwt(const char *token, const MfiSecret *secret, MfiProof *proof);
static bool has_hash(json_t *claims, const char *name, const void *data, size_t length);

bool
mfi_signature_telegram(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *given = mfi_webhook_header(webhook, "X-Telegram-Bot-Api-Secret-Token");

	return given != NULL && mfi_hash_same_text(given, secret->value);
}

bool
mfi_signature_token(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	const char *header = mfi_json_string(rule, "header");
	const char *prefix = mfi_json_string(rule, "prefix");
	char	   *given = header != NULL ? mfi_webhook_header(webhook, header)
		: mfi_webhook_parameter(webhook, mfi_json_string(rule, "parameter"));

	if (given == NULL || (prefix != NULL && strncmp(given, prefix, strlen(prefix)) != 0))
		return false;
	return mfi_hash_same_text(given + (prefix != NULL ? strlen(prefix) : 0), secret->value);
}

/*
 * after_scheme is what follows the scheme in the Authorization header.
 */
static char *
after_scheme(const MfiWebhook *webhook, const char *scheme)
{
	char	   *given = mfi_webhook_header(webhook, "Authorization");
	size_t		length = strlen(scheme);

	if (given == NULL || pg_strncasecmp(given, scheme, length) != 0 || given[length] != ' ')
		return NULL;
	return given + length + strspn(given + length, " ");
}

bool
mfi_signature_basic(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	const char *user = mfi_json_string(rule, "user");
	char	   *given = after_scheme(webhook, "Basic");
	int			length;
	char	   *decoded = given != NULL ? mfi_hash_decode_base64(given, strlen(given), &length) : NULL;
	char	   *colon = decoded != NULL ? strchr(decoded, ':') : NULL;

	if (colon == NULL)
		return false;
	*colon = '\0';
	return mfi_hash_same_text(colon + 1, secret->value) & (user == NULL || mfi_hash_same_text(decoded, user));
}

bool
mfi_signature_bearer(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *given = after_scheme(webhook, "Bearer");

	return given != NULL && mfi_hash_same_text(given, secret->value);
}

/*
 * read_jwt gives the claims of a token that is signed with the secret by
 * HS256 and nothing else; NULL if it is not.
 */
static json_t *
read_jwt(const char *token, const MfiSecret *secret, MfiProof *proof)
{
	const char *first = strchr(token, '.');
	const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
	MfiHash		hash;
	char	   *decoded;
	int			length;
	json_t	   *claims;
	const char *algorithm;
	json_t	   *header;

	if (second == NULL || strchr(second + 1, '.') != NULL)
		return NULL;
	mfi_hash_hmac("sha256", secret->value, secret->length, token, second - token, &hash);
	if (!mfi_hash_is_base64(&hash, second + 1))
		return NULL;
	decoded = mfi_hash_decode_base64(token, first - token, &length);
	header = decoded != NULL ? mfi_webhook_parse_json(decoded, length) : NULL;
	algorithm = mfi_json_string(header, "alg");
	if (algorithm == NULL || strcmp(algorithm, "HS256") != 0)
		return NULL;
	decoded = mfi_hash_decode_base64(first + 1, second - first - 1, &length);
	claims = decoded != NULL ? mfi_webhook_parse_json(decoded, length) : NULL;
	if (!json_is_object(claims))
		return NULL;
	proof->signed_at = (int64) json_number_value(json_object_get(claims, "iat"));
	if (proof->signed_at == 0)
		proof->signed_at = (int64) json_number_value(json_object_get(claims, "nbf"));
	proof->expires_at = (int64) json_number_value(json_object_get(claims, "exp"));
	if (json_is_string(json_object_get(claims, "jti")))
		proof->nonce = pstrdup(mfi_json_string(claims, "jti"));
	return proof->signed_at > 0 || proof->expires_at > 0 ? claims : NULL;
}

static bool
has_hash(json_t *claims, const char *name, const void *data, size_t length)
{
	const char *given = mfi_json_string(claims, name);
	MfiHash		hash;

	mfi_hash_data("sha256", data, length, &hash);
	return given != NULL && mfi_hash_is_hex(&hash, given);
}

bool
mfi_signature_vonage_jwt(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *token = after_scheme(webhook, "Bearer");
	json_t	   *claims = token != NULL ? read_jwt(token, secret, proof) : NULL;

	return claims != NULL &&
		(webhook->body_length == 0 || has_hash(claims, "payload_hash", webhook->body, webhook->body_length));
}

bool
mfi_signature_messagebird_jwt(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *token = mfi_webhook_header(webhook, "MessageBird-Signature-JWT");
	char	   *address = mfi_signature_address(webhook);
	json_t	   *claims = token != NULL && address != NULL ? read_jwt(token, secret, proof) : NULL;

	return claims != NULL && has_hash(claims, "url_hash", address, strlen(address)) &&
		(webhook->body_length == 0 || has_hash(claims, "payload_hash", webhook->body, webhook->body_length));
}
