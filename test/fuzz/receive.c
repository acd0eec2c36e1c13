/*
 * receive.c
 *		Harnesses of src/receive: webhooks, signatures, letters, times.
 */
#include "postgres.h"

#include "fmgr.h"
#include "gateway/definition.h"
#include "gateway/reader.h"
#include "receive/hash.h"
#include "receive/mail.h"
#include "receive/signature.h"
#include "receive/time.h"
#include "utils/builtins.h"

#include "fuzz.h"

extern Datum mfiauto_read_webhook(PG_FUNCTION_ARGS);
extern Datum mfiauto_parse_mail(PG_FUNCTION_ARGS);

static Datum
text_of(const FuzzPart *part)
{
	return PointerGetDatum(cstring_to_text_with_len(part->data, part->length));
}

static void
check_texts(FuzzPart *parts, int count)
{
	for (int i = 0; i < count; i++)
		if (!fuzz_is_text(parts[i].data, parts[i].length))
			ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE), errmsg("not text")));
}

/* definition, headers, query, body */
static void
run_webhook(FuzzPart *parts)
{
	Datum		arguments[5];

	check_texts(parts, 3);
	mfi_definition_check_receiving(mfi_json_parse_utf8(parts[0].data, "definition"));
	arguments[0] = text_of(&parts[0]);
	arguments[1] = PointerGetDatum(cstring_to_text("POST"));
	arguments[2] = text_of(&parts[2]);
	arguments[3] = JsonbPGetDatum(fuzz_object(&parts[1]));
	arguments[4] = text_of(&parts[3]);
	fuzz_call(mfiauto_read_webhook, "fuzz_read_webhook", 5, arguments);
}

/* signature rule, headers, query, body, secret */
static void
run_signature(FuzzPart *parts)
{
	static const struct
	{
		const char *name;
		MfiSignatureCheck check;
	}			methods[] = {
		{"twilio", mfi_signature_twilio}, {"meta", mfi_signature_meta}, {"slack", mfi_signature_slack}, {"mailgun", mfi_signature_mailgun},
		{"vonage_sms", mfi_signature_vonage_sms}, {"bird", mfi_signature_bird}, {"standard", mfi_signature_standard}, {"hmac", mfi_signature_hmac},
		{"telegram", mfi_signature_telegram}, {"token", mfi_signature_token}, {"basic", mfi_signature_basic}, {"bearer", mfi_signature_bearer},
		{"vonage_jwt", mfi_signature_vonage_jwt}, {"messagebird_jwt", mfi_signature_messagebird_jwt}, {"sendgrid", mfi_signature_sendgrid},
		{"sns", mfi_signature_sns},
	};
	MfiWebhook	webhook = {.method = "POST", .url = "https://mfi.example/w/fuzz", .query = parts[2].data, .body = parts[3].data,
		.body_length = parts[3].length, .now_s = 1767603600};
	MfiSecret	secret = {parts[4].data, parts[4].length};
	json_t	   *rule;

	check_texts(parts, 3);
	check_texts(parts + 4, 1);
	webhook.headers = fuzz_object(&parts[1]);
	mfi_definition_check_receiving(mfi_json_parse_utf8(psprintf("{\"signature\":%s}", parts[0].data), "definition"));
	rule = mfi_json_parse_utf8(parts[0].data, "signature");
	if (secret.length == 0 || !json_is_object(rule))
		return;
	for (int i = 0; i < (int) lengthof(methods); i++)
	{
		MfiProof	proof = {0};

		if (strcmp(methods[i].name, json_string_value(json_object_get(rule, "method"))) != 0)
			continue;
		if (methods[i].check(&webhook, rule, &secret, &proof) && proof.nonce != NULL)
			FUZZ_CHECK(fuzz_is_text(proof.nonce, strlen(proof.nonce)));
	}
}

/* letter */
static void
run_mail(FuzzPart *parts)
{
	MfiMail    *mail = palloc(sizeof(MfiMail));
	char	   *bare = palloc(parts[0].length);
	Datum		arguments[] = {text_of(&parts[0])};

	/* Without the NUL behind it: a letter is bytes and a length. */
	memcpy(bare, parts[0].data, parts[0].length);
	mfi_mail_parse(bare, parts[0].length, mail);
	FUZZ_CHECK(mfi_mail_kind_name(mail->kind) != NULL);
	fuzz_call(mfiauto_parse_mail, "fuzz_parse_mail", 1, arguments);
}

/* time, digest as hex and base64 */
static void
run_time(FuzzPart *parts)
{
	TimestampTz at;
	int			length;
	MfiHash		hash;
	char	   *decoded;

	if (mfi_time_read(parts[0].data, &at))
		FUZZ_CHECK(IS_VALID_TIMESTAMP(at));
	mfi_signature_time(parts[0].data);
	mfi_hash_data("sha256", parts[0].data, parts[0].length, &hash);
	mfi_hash_is_hex(&hash, parts[0].data);
	mfi_hash_is_base64(&hash, parts[0].data);
	decoded = mfi_hash_decode_base64(parts[0].data, parts[0].length, &length);
	if (decoded != NULL)
		FUZZ_CHECK(length >= 0 && length <= parts[0].length);
}

const FuzzHarness fuzz_receive[] = {
	{"webhook", 4, true, run_webhook}, {"signature", 5, true, run_signature}, {"mail", 1, true, run_mail}, {"time", 1, false, run_time}, {NULL},
};
