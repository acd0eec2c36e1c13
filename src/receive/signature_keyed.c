/*
 * signature_keyed.c
 *		Signatures that are digests with a shared key.
 */
#include "postgres.h"

#include "receive/signature.h"

#include "gateway/form.h"
#include "gateway/reader.h"
#include "receive/hash.h"

static int	compare_parameters(const ListCell *one, const ListCell *other);
static void append_sorted(StringInfo out, List *parameters);
static char *other_port(const char *address);
static bool fits_twilio(const char *address, List *parameters, const MfiSecret *secret, const char *signature);
static bool has_body_hash(const MfiWebhook *webhook);
static int	compare_names(const void *one, const void *other);
static char *fill(const MfiWebhook *webhook, const char *data, const char *timestamp, const char *id, size_t *length);

static int
compare_parameters(const ListCell *one, const ListCell *other)
{
	const MfiParameter *first = lfirst(one);
	const MfiParameter *second = lfirst(other);
	int			order = memcmp(first->name, second->name, Min(first->name_length, second->name_length));

	if (order == 0)
		order = first->name_length - second->name_length;
	if (order == 0)
		order = memcmp(first->value, second->value, Min(first->value_length, second->value_length));
	return order != 0 ? order : first->value_length - second->value_length;
}

/*
 * append_sorted appends names and values by name, without anything between
 * them; of pairs that are the same, one.
 */
static void
append_sorted(StringInfo out, List *parameters)
{
	const MfiParameter *last = NULL;
	ListCell   *cell;

	list_sort(parameters, compare_parameters);
	foreach(cell, parameters)
	{
		MfiParameter *parameter = lfirst(cell);

		if (last != NULL && last->name_length == parameter->name_length && last->value_length == parameter->value_length &&
			memcmp(last->name, parameter->name, last->name_length) == 0 && memcmp(last->value, parameter->value, last->value_length) == 0)
			continue;
		appendBinaryStringInfo(out, parameter->name, parameter->name_length);
		appendBinaryStringInfo(out, parameter->value, parameter->value_length);
		last = parameter;
	}
}

/*
 * other_port is the address with the scheme's own port written out, or left
 * out if it was: Twilio signs either.
 */
static char *
other_port(const char *address)
{
	const char *host = strstr(address, "://");
	const char *end;
	const char *port;
	bool		is_secure = strncmp(address, "https", 5) == 0;

	if (host == NULL)
		return NULL;
	host += 3;
	end = host + strcspn(host, "/?");
	port = memchr(host, ':', end - host);
	return psprintf("%.*s%s%s", (int) ((port != NULL ? port : end) - address), address,
					port != NULL ? "" : is_secure ? ":443" : ":80", end);
}

static bool
fits_twilio(const char *address, List *parameters, const MfiSecret *secret, const char *signature)
{
	StringInfoData data;
	MfiHash		hash;

	if (address == NULL)
		return false;
	initStringInfo(&data);
	appendStringInfoString(&data, address);
	append_sorted(&data, parameters);
	mfi_hash_hmac("sha1", secret->value, secret->length, data.data, data.len, &hash);
	return mfi_hash_is_base64(&hash, signature);
}

/*
 * has_body_hash tells whether the query's bodySHA256 is the body's.
 */
static bool
has_body_hash(const MfiWebhook *webhook)
{
	ListCell   *cell;
	MfiHash		hash;

	mfi_hash_data("sha256", webhook->body, webhook->body_length, &hash);
	foreach(cell, mfi_form_read(webhook->query, strlen(webhook->query)))
	{
		MfiParameter *parameter = lfirst(cell);

		if (strcmp(parameter->name, "bodySHA256") == 0)
			return mfi_hash_is_hex(&hash, parameter->value);
	}
	return false;
}

bool
mfi_signature_twilio(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *signature = mfi_webhook_header(webhook, "X-Twilio-Signature");
	char	   *address = mfi_signature_address(webhook);
	List	   *parameters = NIL;

	if (signature == NULL || address == NULL)
		return false;
	if (mfi_webhook_is_form(webhook))
		parameters = mfi_form_read(webhook->body, webhook->body_length);
	else if (webhook->body_length > 0 && !has_body_hash(webhook))
		return false;
	return fits_twilio(address, parameters, secret, signature) ||
		fits_twilio(other_port(address), parameters, secret, signature);
}

bool
mfi_signature_meta(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *signature = mfi_webhook_header(webhook, "X-Hub-Signature-256");
	MfiHash		hash;

	if (signature == NULL || strncmp(signature, "sha256=", 7) != 0)
		return false;
	mfi_hash_hmac("sha256", secret->value, secret->length, webhook->body, webhook->body_length, &hash);
	return mfi_hash_is_hex(&hash, signature + 7);
}

bool
mfi_signature_slack(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *signature = mfi_webhook_header(webhook, "X-Slack-Signature");
	char	   *timestamp = mfi_webhook_header(webhook, "X-Slack-Request-Timestamp");
	StringInfoData data;
	MfiHash		hash;

	if (signature == NULL || timestamp == NULL || strncmp(signature, "v0=", 3) != 0)
		return false;
	initStringInfo(&data);
	appendStringInfo(&data, "v0:%s:", timestamp);
	appendBinaryStringInfo(&data, webhook->body, webhook->body_length);
	mfi_hash_hmac("sha256", secret->value, secret->length, data.data, data.len, &hash);
	proof->signed_at = mfi_signature_time(timestamp);
	return proof->signed_at != 0 && mfi_hash_is_hex(&hash, signature + 3);
}

/*
 * Mailgun signs a time and a token that it gives out once, not the body: the
 * token must be remembered.
 */
bool
mfi_signature_mailgun(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	json_t	   *given = mfi_webhook_is_form(webhook) ? mfi_webhook_parse_parameters(webhook)
		: mfi_webhook_parse_json(webhook->body, webhook->body_length);
	const char *timestamp;
	const char *token;
	const char *signature;
	char	   *data;
	MfiHash		hash;

	if (json_is_object(json_object_get(given, "signature")))
		given = json_object_get(given, "signature");
	timestamp = mfi_json_string(given, "timestamp");
	token = mfi_json_string(given, "token");
	signature = mfi_json_string(given, "signature");
	if (timestamp == NULL || token == NULL || token[0] == '\0' || signature == NULL)
		return false;
	data = psprintf("%s%s", timestamp, token);
	mfi_hash_hmac("sha256", secret->value, secret->length, data, strlen(data), &hash);
	proof->signed_at = mfi_signature_time(timestamp);
	proof->nonce = pstrdup(token);
	return proof->signed_at != 0 && mfi_hash_is_hex(&hash, signature);
}

static int
compare_names(const void *one, const void *other)
{
	return strcmp(*(char *const *) one, *(char *const *) other);
}

bool
mfi_signature_vonage_sms(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	json_t	   *parameters = mfi_webhook_parse_parameters(webhook);
	const char *algorithm = mfi_json_string(rule, "algorithm");
	const char *signature = mfi_json_string(parameters, "sig");
	json_t	   *timestamp = json_object_get(parameters, "timestamp");
	const char **names = palloc(sizeof(char *) * (json_object_size(parameters) + 1));
	int			count = 0;
	const char *name;
	json_t	   *value;
	StringInfoData data;
	MfiHash		hash;

	if (signature == NULL || timestamp == NULL)
		return false;
	json_object_foreach(parameters, name, value)
	{
		/* Values have these taken out; a name that held one could stand for two parameters. */
		if (strpbrk(name, "&=") != NULL)
			return false;
		if (strcmp(name, "sig") != 0)
			names[count++] = name;
	}
	qsort(names, count, sizeof(char *), compare_names);
	initStringInfo(&data);
	for (int i = 0; i < count; i++)
	{
		char	   *text = mfi_reader_scalar(json_object_get(parameters, names[i]));

		if (text == NULL)
			return false;
		for (char *c = text; *c != '\0'; c++)
			if (*c == '&' || *c == '=')
				*c = '_';
		appendStringInfo(&data, "&%s=%s", names[i], text);
	}
	proof->signed_at = mfi_signature_time(mfi_reader_scalar(timestamp));
	if (proof->signed_at == 0)
		return false;
	if (algorithm == NULL || strcmp(algorithm, "md5") == 0)
	{
		appendBinaryStringInfo(&data, secret->value, secret->length);
		mfi_hash_data("md5", data.data, data.len, &hash);
	}
	else
		mfi_hash_hmac(algorithm + strlen("hmac-"), secret->value, secret->length, data.data, data.len, &hash);
	return mfi_hash_is_hex(&hash, signature);
}

bool
mfi_signature_bird(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	char	   *signature = mfi_webhook_header(webhook, "MessageBird-Signature");
	char	   *timestamp = mfi_webhook_header(webhook, "MessageBird-Request-Timestamp");
	char	   *address = mfi_signature_address(webhook);
	StringInfoData data;
	MfiHash		hash;

	if (signature == NULL || timestamp == NULL || address == NULL)
		return false;
	mfi_hash_data("sha256", webhook->body, webhook->body_length, &hash);
	initStringInfo(&data);
	appendStringInfo(&data, "%s\n%s\n", timestamp, address);
	appendBinaryStringInfo(&data, (char *) hash.bytes, hash.length);
	mfi_hash_hmac("sha256", secret->value, secret->length, data.data, data.len, &hash);
	proof->signed_at = mfi_signature_time(timestamp);
	return proof->signed_at != 0 && mfi_hash_is_base64(&hash, signature);
}

/*
 * Standard Webhooks: several signatures may stand there, while a key is changed.
 */
bool
mfi_signature_standard(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	static const char *const prefixes[] = {"webhook", "svix"};
	bool		is_good = false;

	for (int i = 0; i < (int) lengthof(prefixes) && !is_good; i++)
	{
		char	   *id = mfi_webhook_header(webhook, psprintf("%s-id", prefixes[i]));
		char	   *timestamp = mfi_webhook_header(webhook, psprintf("%s-timestamp", prefixes[i]));
		char	   *signature = mfi_webhook_header(webhook, psprintf("%s-signature", prefixes[i]));
		const char *written = strncmp(secret->value, "whsec_", 6) == 0 ? secret->value + 6 : secret->value;
		StringInfoData data;
		MfiHash		hash;
		int			key_length;
		char	   *key = mfi_hash_decode_base64(written, strlen(written), &key_length);

		if (id == NULL || timestamp == NULL || signature == NULL || key == NULL)
			continue;
		initStringInfo(&data);
		appendStringInfo(&data, "%s.%s.", id, timestamp);
		appendBinaryStringInfo(&data, webhook->body, webhook->body_length);
		mfi_hash_hmac("sha256", key, key_length, data.data, data.len, &hash);
		for (char *at = signature; *at != '\0';)
		{
			size_t		length = strcspn(at, " ");

			if (strncmp(at, "v1,", 3) == 0)
				is_good |= mfi_hash_is_base64(&hash, pnstrdup(at + 3, length - 3));
			at += length + (at[length] == ' ');
		}
		proof->signed_at = mfi_signature_time(timestamp);
		proof->nonce = id;
		is_good &= proof->signed_at != 0;
	}
	return is_good;
}

/*
 * fill puts in what a rule's data names: what was signed, NULL if any of it did
 * not come. It may hold NULs.
 */
static char *
fill(const MfiWebhook *webhook, const char *data, const char *timestamp, const char *id, size_t *length)
{
	char	   *address = mfi_signature_address(webhook);
	StringInfoData out;

	initStringInfo(&out);
	while (*data != '\0')
	{
		static const char *const names[] = {"{body}", "{timestamp}", "{id}", "{url}", "{method}"};
		const char *values[] = {NULL, timestamp, id, address, webhook->method};
		int			found = -1;

		for (int i = 0; i < (int) lengthof(names); i++)
			if (strncmp(data, names[i], strlen(names[i])) == 0)
				found = i;
		if (found == 0)
			appendBinaryStringInfo(&out, webhook->body, webhook->body_length);
		else if (found > 0 && values[found] == NULL)
			return NULL;
		else if (found > 0)
			appendStringInfoString(&out, values[found]);
		else
			appendStringInfoChar(&out, *data);
		data += found >= 0 ? (int) strlen(names[found]) : 1;
	}
	*length = out.len;
	return out.data;
}

/*
 * Any other digest with a key: over the body, or what "data" says.
 */
bool
mfi_signature_hmac(const MfiWebhook *webhook, json_t *rule, const MfiSecret *secret, MfiProof *proof)
{
	const char *algorithm = mfi_json_string(rule, "algorithm");
	const char *encoding = mfi_json_string(rule, "encoding");
	const char *prefix = mfi_json_string(rule, "prefix");
	const char *data = mfi_json_string(rule, "data");
	const char *timestamp_header = mfi_json_string(rule, "timestamp");
	const char *id_header = mfi_json_string(rule, "id");
	char	   *signature = mfi_webhook_header(webhook, mfi_json_string(rule, "header"));
	char	   *timestamp = timestamp_header != NULL ? mfi_webhook_header(webhook, timestamp_header) : NULL;
	char	   *id = id_header != NULL ? mfi_webhook_header(webhook, id_header) : NULL;
	char	   *text;
	size_t		length;
	MfiHash		hash;

	if (signature == NULL || (prefix != NULL && strncmp(signature, prefix, strlen(prefix)) != 0))
		return false;
	if (prefix != NULL)
		signature += strlen(prefix);
	text = fill(webhook, data != NULL ? data : "{body}", timestamp, id, &length);
	if (text == NULL)
		return false;
	mfi_hash_hmac(algorithm != NULL ? algorithm + strlen("hmac-") : "sha256", secret->value, secret->length, text, length, &hash);
	if (timestamp != NULL && strstr(data != NULL ? data : "", "{timestamp}") != NULL &&
		(proof->signed_at = mfi_signature_time(timestamp)) == 0)
		return false;
	if (id != NULL && strstr(data != NULL ? data : "", "{id}") != NULL)
		proof->nonce = id;
	return encoding != NULL && strcmp(encoding, "base64") == 0 ? mfi_hash_is_base64(&hash, signature) : mfi_hash_is_hex(&hash, signature);
}
