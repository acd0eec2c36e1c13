/*
 * signature_public.c
 *		Signatures that are checked with the provider's public key. The key, or
 *		the certificate, is a secret that the operator set: nothing that comes
 *		in says where to fetch one.
 */
#include "postgres.h"

#include "receive/signature.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "receive/hash.h"

static EVP_PKEY *read_key(const MfiSecret *secret);
static bool verify(EVP_PKEY *key, const char *algorithm, const char *signature, const void *data, size_t length);

/*
 * read_key reads a certificate or a public key in PEM, or a public key as
 * base64 of its DER form. The caller frees it; NULL if it is none of these.
 */
static EVP_PKEY *
read_key(const MfiSecret *secret)
{
	BIO		   *text;
	EVP_PKEY   *key = NULL;
	X509	   *certificate;
	char	   *der;
	int			length;

	if (strstr(secret->value, "-----BEGIN") == NULL)
	{
		const unsigned char *at;

		der = mfi_hash_decode_base64(secret->value, secret->length, &length);
		at = (const unsigned char *) der;
		return der != NULL ? d2i_PUBKEY(NULL, &at, length) : NULL;
	}
	text = BIO_new_mem_buf(secret->value, secret->length);
	if (text == NULL)
		return NULL;
	certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
	if (certificate != NULL)
	{
		key = X509_get_pubkey(certificate);
		X509_free(certificate);
	}
	else if (BIO_reset(text) == 1)
		key = PEM_read_bio_PUBKEY(text, NULL, NULL, NULL);
	BIO_free(text);
	return key;
}

/*
 * verify takes the key over. Nothing in here raises, so nothing leaks.
 */
static bool
verify(EVP_PKEY *key, const char *algorithm, const char *signature, const void *data, size_t length)
{
	int			signature_length;
	char	   *bytes = mfi_hash_decode_base64(signature, strlen(signature), &signature_length);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		is_good;

	is_good = bytes != NULL && context != NULL &&
		EVP_DigestVerifyInit(context, NULL, EVP_get_digestbyname(algorithm), NULL, key) == 1 &&
		EVP_DigestVerify(context, (unsigned char *) bytes, signature_length, data, length) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return is_good;
}

bool
mfi_signature_sendgrid(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *signature = mfi_webhook_header(webhook, "X-Twilio-Email-Event-Webhook-Signature");
	char	   *timestamp = mfi_webhook_header(webhook, "X-Twilio-Email-Event-Webhook-Timestamp");
	StringInfoData data;
	EVP_PKEY   *key;

	if (signature == NULL || timestamp == NULL || (proof->signed_at = mfi_signature_time(timestamp)) == 0)
		return false;
	initStringInfo(&data);
	appendStringInfoString(&data, timestamp);
	appendBinaryStringInfo(&data, webhook->body, webhook->body_length);
	key = read_key(secret);
	if (key == NULL || EVP_PKEY_base_id(key) != EVP_PKEY_EC)
	{
		EVP_PKEY_free(key);
		ERR_clear_error();
		return false;
	}
	return verify(key, "sha256", signature, data.data, data.len);
}

/*
 * Amazon SNS signs some members of the envelope, in this order, each as a line
 * with its name and a line with its value. Any customer of Amazon can have
 * messages signed: the topic must be ours.
 */
bool
mfi_signature_sns(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	static const char *const of_message[] = {"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", NULL};
	static const char *const of_subscription[] = {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type", NULL};
	json_t	   *envelope = mfi_webhook_parse_json(webhook->body, webhook->body_length);
	const char *type = mfi_json_string(envelope, "Type");
	const char *topic = mfi_json_string(envelope, "TopicArn");
	const char *version = mfi_json_string(envelope, "SignatureVersion");
	const char *signature = mfi_json_string(envelope, "Signature");
	const char *timestamp = mfi_json_string(envelope, "Timestamp");
	const char *wanted = mfi_json_string(rule, "topic");
	const char *const *names;
	StringInfoData data;
	EVP_PKEY   *key;

	if (type == NULL || topic == NULL || version == NULL || signature == NULL || timestamp == NULL || wanted == NULL ||
		strcmp(topic, wanted) != 0 || (strcmp(version, "1") != 0 && strcmp(version, "2") != 0))
		return false;
	initStringInfo(&data);
	names = strcmp(type, "Notification") == 0 ? of_message : of_subscription;
	for (int i = 0; names[i] != NULL; i++)
	{
		const char *value = mfi_json_string(envelope, names[i]);

		if (value != NULL)
			appendStringInfo(&data, "%s\n%s\n", names[i], value);
		else if (strcmp(names[i], "Subject") != 0)
			return false;
	}
	proof->signed_at = mfi_signature_time(timestamp);
	proof->nonce = pstrdup(mfi_json_string(envelope, "MessageId"));
	key = read_key(secret);
	if (key == NULL || EVP_PKEY_base_id(key) != EVP_PKEY_RSA || proof->signed_at == 0)
	{
		EVP_PKEY_free(key);
		ERR_clear_error();
		return false;
	}
	return verify(key, strcmp(version, "1") == 0 ? "sha1" : "sha256", signature, data.data, data.len);
}
