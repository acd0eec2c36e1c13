/*
 * definition_receive.c
 *		The part of a gateway's definition that reads what comes back: how a
 *		webhook is signed, what it says of messages, what people write, what is
 *		answered, and what is fetched where a provider sends nothing.
 *
 * Only checked here: src/receive reads it.
 */
#include "postgres.h"

#include "base/json.h"
#include "base/words.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/reader.h"
#include "gateway/shape.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

static const char *const formats[] = {"json", "form", "query", NULL};
static const char *const matches[] = {"equal", "prefix", "bits", NULL};
static const char *const states[] = {"submitted", "sent", "delivered", "undelivered", "expired", "failed", "ignore", NULL};
static const char *const interactions[] = {"opened", "clicked", "read", "answered", "heard", "pressed", "replied",
	"unsubscribed", "complained", "bounced", NULL};
static const char *const kinds[] = {"message", "missed_call", "call", "button", NULL};

static void check_among(json_t *object, const char *path, const char *name, const char *const *names, const char *what);
static bool check_path(json_t *object, const char *path, const char *name);
static void check_map(json_t *map, const char *path, const char *const *values, const char *what, bool is_bits);
static void check_condition(json_t *condition, const char *path);
static void check_conditions(json_t *rule, const char *path);
static void check_receipt(json_t *rule, const char *path);
static void check_inbound(json_t *rule, const char *path);
static void check_rules(json_t *root, const char *name, const char *place, void (*check) (json_t *rule, const char *path));
static void check_signature(json_t *signature);
static void check_answer(json_t *answer);
static void check_challenge(json_t *challenge);
static void check_tags(json_t *json, const char *path);
static void check_poll(json_t *poll);
static bool read_span(const char *text);

static void
check_among(json_t *object, const char *path, const char *name, const char *const *names, const char *what)
{
	const char *value = mfi_reader_string(object, path, name, false);

	if (value != NULL && !mfi_words_have(names, value))
		mfi_reader_fail(mfi_reader_path(path, name), psprintf("there is no %s \"%s\"", what, value),
						psprintf("Known: %s.", mfi_words_join(names)));
}

/*
 * check_path checks a path or an array of paths, of which the first that leads
 * somewhere counts; false if the member is not there.
 */
static bool
check_path(json_t *object, const char *path, const char *name)
{
	ListCell   *cell;
	List	   *texts = mfi_reader_texts(object, path, name);

	foreach(cell, texts)
		if (((char *) lfirst(cell))[0] == '\0')
			mfi_reader_fail(mfi_reader_path(path, name), "the path is empty", NULL);
	return texts != NIL;
}

static void
check_map(json_t *map, const char *path, const char *const *values, const char *what, bool is_bits)
{
	const char *name;
	json_t	   *value;

	json_object_foreach(map, name, value)
	{
		if (!json_is_string(value) || !mfi_words_have(values, json_string_value(value)))
			mfi_reader_fail(mfi_reader_path(path, name), psprintf("expected %s", what), psprintf("Known: %s.", mfi_words_join(values)));
		if (is_bits && (strlen(name) > 9 || strspn(name, "0123456789") != strlen(name)))
			mfi_reader_fail(mfi_reader_path(path, name), "expected a number of bits", NULL);
	}
}

static void
check_condition(json_t *condition, const char *path)
{
	static const char *const names[] = {"path", "equals", "exists", NULL};

	if (!json_is_object(condition))
		mfi_reader_fail(path, "expected an object", NULL);
	mfi_reader_check_members(condition, path, names);
	(void) mfi_reader_string(condition, path, "path", true);
	(void) mfi_reader_boolean(condition, path, "exists", true);
	if ((mfi_reader_texts(condition, path, "equals") == NIL) == (json_object_get(condition, "exists") == NULL))
		mfi_reader_fail(path, "expected either equals or exists", NULL);
}

static void
check_conditions(json_t *rule, const char *path)
{
	json_t	   *when = json_object_get(rule, "when");
	char	   *place = mfi_reader_path(path, "when");
	json_t	   *element;
	size_t		index;

	if (when == NULL || json_is_null(when))
		return;
	if (!json_is_array(when))
		check_condition(when, place);
	json_array_foreach(when, index, element)
		check_condition(element, psprintf("%s[%zu]", place, index));
}

static void
check_receipt(json_t *rule, const char *path)
{
	static const char *const names[] = {"method", "format", "unwrap", "list", "when", "id", "id_prefix", "reference", "event", "status",
		"match", "states", "state", "interactions", "error", "time", "opted_out_errors", "dead_errors", "seconds", "least_seconds",
		"digits", "url", "bot", NULL};
	static const char *const paths[] = {"error", "event", "time", "seconds", "digits", "url", NULL};
	const char *match = mfi_reader_string(rule, path, "match", false);
	json_t	   *map = mfi_reader_object(rule, path, "states");
	json_t	   *acts = mfi_reader_object(rule, path, "interactions");
	json_t	   *bot = mfi_reader_object(rule, path, "bot");
	bool		has_status;

	mfi_reader_check_members(rule, path, names);
	check_among(rule, path, "format", formats, "format");
	check_among(rule, path, "match", matches, "way to match");
	check_among(rule, path, "state", states, "state");
	(void) mfi_reader_string(rule, path, "method", false);
	(void) mfi_reader_string(rule, path, "unwrap", false);
	(void) mfi_reader_string(rule, path, "list", false);
	check_conditions(rule, path);
	(void) mfi_reader_boolean(rule, path, "id_prefix", false);
	(void) mfi_reader_texts(rule, path, "opted_out_errors");
	(void) mfi_reader_texts(rule, path, "dead_errors");
	(void) mfi_reader_number(rule, path, "least_seconds", 0, 0, 86400);
	for (int i = 0; paths[i] != NULL; i++)
		(void) check_path(rule, path, paths[i]);
	if (!check_path(rule, path, "id") & !check_path(rule, path, "reference"))
		mfi_reader_fail(path, "expected id, reference or both", NULL);
	has_status = check_path(rule, path, "status");
	if (!has_status && json_object_get(rule, "state") == NULL)
		mfi_reader_fail(mfi_reader_path(path, "status"), "expected a path, found nothing", "A state that is always the same stands in \"state\".");
	if (has_status && map == NULL && acts == NULL && json_object_get(rule, "state") == NULL)
		mfi_reader_fail(mfi_reader_path(path, "states"), "expected an object, found nothing", NULL);
	if (map != NULL)
		check_map(map, mfi_reader_path(path, "states"), states, "a state", match != NULL && strcmp(match, "bits") == 0);
	if (acts != NULL)
		check_map(acts, mfi_reader_path(path, "interactions"), interactions, "an interaction", match != NULL && strcmp(match, "bits") == 0);
	if (bot != NULL)
		check_condition(bot, mfi_reader_path(path, "bot"));
}

static void
check_inbound(json_t *rule, const char *path)
{
	static const char *const names[] = {"method", "format", "unwrap", "list", "when", "from", "to", "text", "id", "time", "kind",
		"digits", "profile_name", "detail", "says", "encoding", NULL};
	static const char *const encodings[] = {"utf16be", NULL};
	static const char *const kind_names[] = {"path", "map", NULL};
	static const char *const paths[] = {"to", "text", "id", "time", "digits", "profile_name", NULL};
	json_t	   *kind = json_object_get(rule, "kind");
	json_t	   *detail = mfi_reader_object(rule, path, "detail");
	const char *name;
	json_t	   *value;

	mfi_reader_check_members(rule, path, names);
	check_among(rule, path, "format", formats, "format");
	(void) mfi_reader_string(rule, path, "method", false);
	(void) mfi_reader_string(rule, path, "unwrap", false);
	(void) mfi_reader_string(rule, path, "list", false);
	(void) mfi_reader_string(rule, path, "says", false);
	check_among(rule, path, "encoding", encodings, "encoding");
	check_conditions(rule, path);
	if (!check_path(rule, path, "from"))
		mfi_reader_fail(mfi_reader_path(path, "from"), "expected a path, found nothing", NULL);
	for (int i = 0; paths[i] != NULL; i++)
		(void) check_path(rule, path, paths[i]);
	if (json_is_object(kind))
	{
		char	   *place = mfi_reader_path(path, "kind");

		mfi_reader_check_members(kind, place, kind_names);
		if (!check_path(kind, place, "path"))
			mfi_reader_fail(mfi_reader_path(place, "path"), "expected a path, found nothing", NULL);
		if (mfi_reader_object(kind, place, "map") == NULL)
			mfi_reader_fail(mfi_reader_path(place, "map"), "expected an object, found nothing", NULL);
		check_map(json_object_get(kind, "map"), mfi_reader_path(place, "map"), kinds, "a kind", false);
	}
	else
		check_among(rule, path, "kind", kinds, "kind");
	json_object_foreach(detail, name, value)
		(void) check_path(detail, mfi_reader_path(path, "detail"), name);
}

/*
 * check_rules checks one rule, or an array of them.
 */
static void
check_rules(json_t *root, const char *name, const char *place, void (*check) (json_t *rule, const char *path))
{
	json_t	   *rules = json_object_get(root, name);
	json_t	   *rule;
	size_t		index;

	if (rules == NULL || json_is_null(rules))
		return;
	if (json_is_object(rules))
		check(rules, place);
	else if (!json_is_array(rules) || json_array_size(rules) == 0)
		mfi_reader_fail(place, "expected an object or an array of objects", NULL);
	json_array_foreach(rules, index, rule)
	{
		char	   *path = psprintf("%s[%zu]", place, index);

		if (!json_is_object(rule))
			mfi_reader_fail(path, "expected an object", NULL);
		check(rule, path);
	}
}

static void
check_signature(json_t *signature)
{
	static const char *const names[] = {"method", "secret", "header", "parameter", "user", "tolerance", "algorithm", "encoding",
		"prefix", "data", "timestamp", "id", "topic", NULL};
	static const char *const methods[] = {"twilio", "meta", "slack", "telegram", "sendgrid", "mailgun", "vonage_jwt", "vonage_sms",
		"messagebird_jwt", "bird", "standard", "sns", "hmac", "token", "basic", "bearer", "none", NULL};
	static const char *const algorithms[] = {"md5", "hmac-md5", "hmac-sha1", "hmac-sha256", "hmac-sha512", NULL};
	static const char *const encodings[] = {"hex", "base64", NULL};
	const char *method = mfi_reader_string(signature, "signature", "method", true);
	const char *secret = mfi_reader_string(signature, "signature", "secret", false);
	const char *header = mfi_reader_string(signature, "signature", "header", false);
	const char *parameter = mfi_reader_string(signature, "signature", "parameter", false);
	const char *algorithm = mfi_reader_string(signature, "signature", "algorithm", false);

	mfi_reader_check_members(signature, "signature", names);
	check_among(signature, "signature", "method", methods, "method");
	if (algorithm == NULL || strncmp(algorithm, "settings.", strlen("settings.")) != 0)
		check_among(signature, "signature", "algorithm", algorithms, "algorithm");
	check_among(signature, "signature", "encoding", encodings, "encoding");
	(void) mfi_reader_string(signature, "signature", "user", false);
	(void) mfi_reader_string(signature, "signature", "prefix", false);
	(void) mfi_reader_string(signature, "signature", "data", false);
	(void) mfi_reader_string(signature, "signature", "timestamp", false);
	(void) mfi_reader_string(signature, "signature", "id", false);
	(void) mfi_reader_number(signature, "signature", "tolerance", 300, 1, 604800);
	if (strcmp(method, "none") == 0)
		return;
	if (secret == NULL)
		mfi_reader_fail("signature.secret", "expected a string, found nothing", "It names the secret: see mfiauto.set_secret().");
	if (strlen(secret) > 54 || secret[0] == '\0' || strspn(secret, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(secret))
		mfi_reader_fail("signature.secret", "this is not the name of a secret", "Lower-case letters, digits and \"_\".");
	if (strcmp(method, "token") == 0 && (header == NULL) == (parameter == NULL))
		mfi_reader_fail("signature", "expected either header or parameter", NULL);
	if (strcmp(method, "hmac") == 0 && header == NULL)
		mfi_reader_fail("signature.header", "expected a string, found nothing", NULL);
	if (strcmp(method, "hmac") == 0 && algorithm != NULL && strcmp(algorithm, "md5") == 0)
		mfi_reader_fail("signature.algorithm", "md5 without a key signs nothing", "Known here: hmac-sha1, hmac-sha256, hmac-sha512, hmac-md5.");
	if (strcmp(method, "sns") == 0)
		(void) mfi_reader_string(signature, "signature", "topic", true);
}

static void
check_answer(json_t *answer)
{
	static const char *const names[] = {"status", "content_type", "body", NULL};
	const char *type = mfi_reader_string(answer, "answer", "content_type", false);

	mfi_reader_check_members(answer, "answer", names);
	(void) mfi_reader_number(answer, "answer", "status", 200, 200, 299);
	(void) mfi_reader_string(answer, "answer", "body", false);
	if (type != NULL && strpbrk(type, "\r\n") != NULL)
		mfi_reader_fail("answer.content_type", "a line break cannot stand in a header", NULL);
}

static void
check_challenge(json_t *challenge)
{
	static const char *const names[] = {"parameter", "path", "verify", NULL};
	static const char *const verify_names[] = {"parameter", "secret", NULL};
	const char *parameter = mfi_reader_string(challenge, "challenge", "parameter", false);
	json_t	   *verify = mfi_reader_object(challenge, "challenge", "verify");

	mfi_reader_check_members(challenge, "challenge", names);
	if ((parameter == NULL) == (mfi_reader_string(challenge, "challenge", "path", false) == NULL))
		mfi_reader_fail("challenge", "expected either parameter or path", NULL);
	if (parameter != NULL && verify == NULL)
		mfi_reader_fail("challenge.verify", "expected an object, found nothing", "Whoever asks must know a secret.");
	if (verify == NULL)
		return;
	mfi_reader_check_members(verify, "challenge.verify", verify_names);
	(void) mfi_reader_string(verify, "challenge.verify", "parameter", true);
	(void) mfi_reader_string(verify, "challenge.verify", "secret", true);
}

/*
 * check_tags refuses whatever belongs to a message: there is none.
 */
static void
check_tags(json_t *json, const char *path)
{
	const char *name;
	json_t	   *member;

	if (json_is_string(json))
		(void) mfi_slot_parse(json_string_value(json), path, MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	json_object_foreach(json, name, member)
		check_tags(member, mfi_reader_path(path, name));
}

/*
 * read_span: a number and a unit, of one second to a day.
 */
static bool
read_span(const char *text)
{
	static const struct
	{
		const char *name;
		int			seconds;
	}			units[] = {{"s", 1}, {"seconds", 1}, {"min", 60}, {"minutes", 60}, {"h", 3600}, {"hours", 3600}};
	char	   *unit;
	long		number = strtol(text, &unit, 10);

	while (*unit == ' ')
		unit++;
	for (int i = 0; i < (int) lengthof(units); i++)
		if (strcmp(units[i].name, unit) == 0)
			return number >= 1 && number <= SECS_PER_DAY / units[i].seconds;
	return false;
}

static void
check_poll(json_t *poll)
{
	static const char *const names[] = {"every", "request", "receipt", "inbound", "cursor", NULL};
	static const char *const cursor_names[] = {"parameter", "path", "first", NULL};
	json_t	   *request = mfi_reader_object(poll, "poll", "request");
	json_t	   *cursor = mfi_reader_object(poll, "poll", "cursor");

	mfi_reader_check_members(poll, "poll", names);
	if (!read_span(mfi_reader_string(poll, "poll", "every", true)))
		mfi_reader_fail("poll.every", "this is no time between a second and a day", "Write it as \"60 s\", \"5 min\" or \"2 h\".");
	if (request == NULL)
		mfi_reader_fail("poll.request", "expected an object, found nothing", NULL);
	check_tags(request, "poll.request");
	check_rules(poll, "receipt", "poll.receipt", check_receipt);
	check_rules(poll, "inbound", "poll.inbound", check_inbound);
	if (cursor == NULL)
		return;
	mfi_reader_check_members(cursor, "poll.cursor", cursor_names);
	(void) mfi_reader_string(cursor, "poll.cursor", "parameter", true);
	(void) mfi_reader_string(cursor, "poll.cursor", "first", false);
	(void) DirectFunctionCall1(jsonpath_in, CStringGetDatum(mfi_reader_string(cursor, "poll.cursor", "path", true)));
}

/*
 * mfi_definition_check_receiving checks what receive() and _serve_webhook()
 * will read, see sql/code/webhook.sql.
 */
void
mfi_definition_check_receiving(json_t *root)
{
	json_t	   *member;

	check_rules(root, "receipt", "receipt", check_receipt);
	check_rules(root, "inbound", "inbound", check_inbound);
	if ((member = mfi_reader_object(root, "", "signature")) != NULL)
		check_signature(member);
	else if (json_object_get(root, "voice") != NULL)
		mfi_reader_fail("signature", "expected an object, found nothing",
						"Without it whoever knows the address could hear what is said. {\"method\": \"token\", \"parameter\": \"token\", \"secret\": \"receipt_token\"} "
						"asks for a secret in the URL; {\"method\": \"none\"} says that nothing is checked.");
	if ((member = mfi_reader_object(root, "", "answer")) != NULL)
		check_answer(member);
	if ((member = mfi_reader_object(root, "", "challenge")) != NULL)
		check_challenge(member);
	if ((member = mfi_reader_object(root, "", "poll")) != NULL)
		check_poll(member);
}
