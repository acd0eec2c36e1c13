/*
 * signature.h
 *		Whether a webhook is the provider's: every way in which providers sign.
 *
 * A method looks at the raw bytes and says whether one secret fits; which
 * secrets are tried, and how old a signature may be, is decided in one place.
 */
#ifndef MFI_RECEIVE_SIGNATURE_H
#define MFI_RECEIVE_SIGNATURE_H

#include "receive/webhook.h"

typedef struct MfiSecret
{
	char	   *value;
	int			length;
} MfiSecret;

typedef struct MfiProof
{
	int64		signed_at;		/* seconds since 1970, what was signed as the time; 0: none */
	int64		expires_at;		/* the same, for tokens that say it; 0: none */
	char	   *nonce;			/* what the provider calls this delivery, if it is signed; NULL: nothing */
} MfiProof;

/* Whether the secret fits; rule is the definition's member "signature". Never raises because of what came in. */
typedef bool (*MfiSignatureCheck) (const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);

/* signature_keyed.c: digests with a shared key */
extern bool mfi_signature_twilio(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_meta(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_slack(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_mailgun(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_vonage_sms(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_bird(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_standard(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_hmac(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);

/* signature_token.c: shared secrets, and tokens that are signed */
extern bool mfi_signature_telegram(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_token(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_basic(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_bearer(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_vonage_jwt(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_messagebird_jwt(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);

/* signature_public.c: the provider's public key */
extern bool mfi_signature_sendgrid(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);
extern bool mfi_signature_sns(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof);

/* The address that was called, with its query; NULL if ours is not known. */
extern char *mfi_signature_address(const MfiWebhook *webhook);
/* Seconds since 1970 from digits (milliseconds if there are that many), or from an ISO 8601 time; 0 if it is neither. */
extern int64 mfi_signature_time(const char *text);

#endif							/* MFI_RECEIVE_SIGNATURE_H */
