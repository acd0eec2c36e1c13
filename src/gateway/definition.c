/*
 * definition.c
 *		A gateway's definition: checked and compiled.
 *
 * A definition is data that an administrator wrote. Whatever is accepted here
 * works; what is not known is refused with its place, never ignored. The
 * language is described in doc/gateways.md, member by member.
 */
#include "postgres.h"

#include "base/json.h"
#include "base/jsonb.h"
#include "base/words.h"
#include "common/hashfn.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/mail.h"
#include "gateway/reader.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define YEAR_S	31536000		/* no text, and no message, is longer on its way */

static const char *const common_settings[] = {
	"sender", "rate_per_second", "concurrency", "timeout", "connect_timeout", "attempts",
	"cost_per_part", "currency", "budget_per_day", "budget_per_month", "receipt_url", "public_url", "breaker_failures", NULL
};

static void read_request(MfiGateway *gateway, json_t *request);
static void read_body(MfiGateway *gateway, json_t *body, const char *path);
static void read_limits(MfiGateway *gateway, json_t *limits, json_t *settings);
static void check_cost(json_t *settings);
static json_t *check_settings(json_t *declared, json_t *given);
static void settle(MfiGateway *gateway);
static bool is_mail(json_t *root);
static void check_base_url(const MfiGateway *gateway);
static char *poll_definition(json_t *root);
static MfiGateway *compile_poll(const MfiGateway *gateway, json_t *root, Jsonb *settings);
static const char *text_of(Jsonb *jsonb);
static uint64 origin_of(const char *definition, const MfiGateway *gateway);

static const char *
text_of(Jsonb *jsonb)
{
	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static void
read_body(MfiGateway *gateway, json_t *body, const char *path)
{
	static const char *const names[] = {"kind", "fields", "json", "template", "escape", "content_type", NULL};
	const char *kind = mfi_reader_string(body, path, "kind", true);
	json_t	   *json;

	mfi_reader_check_members(body, path, names);
	gateway->content_type = mfi_definition_copy(mfi_reader_string(body, path, "content_type", false));
	if (gateway->content_type != NULL && strpbrk(gateway->content_type, "\r\n") != NULL)
		mfi_reader_fail(mfi_reader_path(path, "content_type"), "a line break cannot stand in a header", NULL);
	if (strcmp(kind, "none") == 0 || strcmp(kind, "query") == 0)
		gateway->body_kind = MFI_BODY_NONE;
	else if (strcmp(kind, "form") == 0 || strcmp(kind, "multipart") == 0)
	{
		json_t	   *fields = mfi_reader_object(body, path, "fields");

		gateway->body_kind = strcmp(kind, "form") == 0 ? MFI_BODY_FORM : MFI_BODY_MULTIPART;
		if (fields == NULL)
			mfi_reader_fail(mfi_reader_path(path, "fields"), "expected an object, found nothing", NULL);
		gateway->body_fields = mfi_definition_read_fields(fields, mfi_reader_path(path, "fields"), false);
		if (gateway->body_kind == MFI_BODY_FORM && gateway->content_type == NULL)
			gateway->content_type = pstrdup("application/x-www-form-urlencoded");
	}
	else if (strcmp(kind, "json") == 0)
	{
		json = json_object_get(body, "json");
		if (!json_is_object(json) && !json_is_array(json))
			mfi_reader_fail(mfi_reader_path(path, "json"), "expected an object or an array", NULL);
		gateway->body_kind = MFI_BODY_JSON;
		gateway->body_shape = mfi_shape_parse(json, mfi_reader_path(path, "json"));
		if (gateway->content_type == NULL)
			gateway->content_type = pstrdup("application/json");
	}
	else if (strcmp(kind, "xml") == 0 || strcmp(kind, "raw") == 0)
	{
		const char *escape = mfi_reader_string(body, path, "escape", false);
		bool		is_xml = strcmp(kind, "xml") == 0;

		gateway->body_kind = MFI_BODY_TEXT;
		gateway->body_text = mfi_slot_parse(mfi_reader_string(body, path, "template", true),
											mfi_reader_path(path, "template"),
											is_xml ? MFI_ESCAPE_XML
											: escape != NULL ? mfi_escape_from_name(escape) : MFI_ESCAPE_NONE,
											MFI_TAGS_MESSAGE);
		if (gateway->content_type == NULL)
			gateway->content_type = pstrdup(is_xml ? "text/xml; charset=UTF-8" : "text/plain; charset=UTF-8");
	}
	else
		mfi_reader_fail(mfi_reader_path(path, "kind"), psprintf("there is no body kind \"%s\"", kind),
						"Known kinds: none, query, form, json, xml, multipart, raw.");
}

static void
read_request(MfiGateway *gateway, json_t *request)
{
	static const char *const names[] = {"method", "url", "headers", "query", "body", NULL};
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", NULL};
	const char *method = mfi_reader_string(request, "request", "method", false);
	const char *url = mfi_reader_string(request, "request", "url", true);
	json_t	   *body = mfi_reader_object(request, "request", "body");
	json_t	   *fields;

	mfi_reader_check_members(request, "request", names);
	gateway->method = pstrdup(method != NULL ? method : body != NULL ? "POST" : "GET");
	if (!mfi_words_have(methods, gateway->method))
		mfi_reader_fail("request.method", psprintf("there is no method \"%s\"", gateway->method),
						psprintf("Known methods: %s.", mfi_words_join(methods)));
	mfi_definition_check_url(url, "request.url", false);
	gateway->url = mfi_slot_parse(url, "request.url", MFI_ESCAPE_URL, MFI_TAGS_MESSAGE);
	if ((fields = mfi_reader_object(request, "request", "headers")) != NULL)
		gateway->headers = mfi_definition_read_fields(fields, "request.headers", true);
	if ((fields = mfi_reader_object(request, "request", "query")) != NULL)
		gateway->query = mfi_definition_read_fields(fields, "request.query", false);
	if (body != NULL)
		read_body(gateway, body, "request.body");
	if (gateway->body_kind != MFI_BODY_NONE && strcmp(gateway->method, "GET") == 0)
		mfi_reader_fail("request.method", "a GET request has no body", NULL);
}

/*
 * read_limits takes each limit from the settings, else from the definition.
 */
static void
read_limits(MfiGateway *gateway, json_t *limits, json_t *settings)
{
	static const char *const names[] = {"rate_per_second", "concurrency", "timeout", "connect_timeout",
		"attempts", "response_bytes", "breaker_failures", "expires_in_least", "expires_in_most", NULL};
	struct
	{
		const char *name;
		double		value;
		double		least;
		double		most;
	}			table[] = {
		{"rate_per_second", 0, 0, 100000}, {"concurrency", 16, 1, 1000}, {"timeout", 20, 0.1, 600},
		{"connect_timeout", 5, 0.1, 120}, {"attempts", 5, 1, 100}, {"breaker_failures", 10, 1, 100000},
	};

	if (limits != NULL)
		mfi_reader_check_members(limits, "limits", names);
	for (int i = 0; i < (int) lengthof(table); i++)
	{
		if (limits != NULL)
			table[i].value = mfi_reader_number(limits, "limits", table[i].name, table[i].value, table[i].least, table[i].most);
		table[i].value = mfi_reader_number(settings, "settings", table[i].name, table[i].value, table[i].least, table[i].most);
	}
	gateway->rate_per_second = table[0].value;
	gateway->concurrency = (int) table[1].value;
	gateway->timeout_ms = (int) (table[2].value * 1000);
	gateway->connect_timeout_ms = (int) (table[3].value * 1000);
	gateway->attempts_max = (int) table[4].value;
	gateway->breaker_failures = (int) table[5].value;
	gateway->answer_bytes_max = limits != NULL
		? (int) mfi_reader_number(limits, "limits", "response_bytes", 65536, 256, 1048576) : 65536;
	gateway->expires_in_least_s = limits != NULL ? (int64) mfi_reader_number(limits, "limits", "expires_in_least", 1, 1, YEAR_S) : 1;
	gateway->expires_in_most_s = limits != NULL ? (int64) mfi_reader_number(limits, "limits", "expires_in_most", YEAR_S, 1, YEAR_S) : YEAR_S;
	check_cost(settings);
}

/*
 * check_cost: what is held against a budget needs a price.
 */
static void
check_cost(json_t *settings)
{
	static const char *const budgets[] = {"budget_per_day", "budget_per_month"};
	double		price = mfi_reader_number(settings, "settings", "cost_per_part", 0, 0, 1e9);

	for (int i = 0; i < (int) lengthof(budgets); i++)
	{
		if (json_object_get(settings, budgets[i]) == NULL)
			continue;
		(void) mfi_reader_number(settings, "settings", budgets[i], 0, 0, 1e15);
		if (price <= 0)
			mfi_reader_fail(mfi_reader_path("settings", budgets[i]), "a budget needs the setting cost_per_part",
							"Say what a message part costs, in the gateway's currency.");
	}
}

/*
 * check_settings refuses settings that the definition does not declare and
 * returns them with the declared defaults filled in.
 */
static json_t *
check_settings(json_t *declared, json_t *given)
{
	static const char *const names[] = {"required", "default", "about", NULL};
	const char *name;
	json_t	   *member;
	json_t	   *filled = mfi_json_keep(json_deep_copy(given));

	json_object_foreach(given, name, member)
	{
		if (json_object_get(declared, name) == NULL && !mfi_words_have(common_settings, name))
			mfi_reader_fail(mfi_reader_path("settings", name), "the gateway has no such setting",
							"The view mfiauto.gateway_preset lists the settings of each preset; a definition declares its own in \"settings\".");
		if (json_is_string(member) && strpbrk(json_string_value(member), "\r\n") != NULL)
			mfi_reader_fail(mfi_reader_path("settings", name), "a setting cannot hold a line break", NULL);
	}
	json_object_foreach(declared, name, member)
	{
		char	   *path = mfi_reader_path("definition.settings", name);
		json_t	   *absent;

		if (!json_is_object(member))
			mfi_reader_fail(path, "expected an object", NULL);
		mfi_reader_check_members(member, path, names);
		if (json_object_get(filled, name) != NULL && !json_is_null(json_object_get(filled, name)))
			continue;
		if (mfi_reader_boolean(member, path, "required", false))
			mfi_reader_fail(mfi_reader_path("settings", name), "this setting is needed",
							mfi_reader_string(member, path, "about", false));
		absent = json_object_get(member, "default");
		if (absent != NULL)
			json_object_set(filled, name, absent);
	}
	return filled;
}

/*
 * settle renders what settings and secrets alone decide.
 */
static void
settle(MfiGateway *gateway)
{
	Jsonb	   *context = mfi_gateway_fixed_context(gateway);
	List	   *lists[3] = {gateway->headers, gateway->query, gateway->body_fields};
	ListCell   *cell;

	mfi_slot_settle(gateway->url, context);
	for (int i = 0; i < (int) lengthof(lists); i++)
		foreach(cell, lists[i])
			mfi_slot_settle(((MfiField *) lfirst(cell))->slot, context);
	mfi_shape_settle(gateway->body_shape, context);
	mfi_slot_settle(gateway->body_text, context);
	mfi_slot_settle(gateway->receipt_url, context);
	if (gateway->is_mail)
		mfi_mail_settle(gateway, context);
	if (gateway->auth_kind == MFI_AUTH_SIGV4)
		gateway->sigv4_scope = mfi_slot_render(gateway->auth_name, context);
	if (gateway->sign_method_slot != NULL)
		mfi_definition_settle_signed(gateway, context);
}

static bool
is_mail(json_t *root)
{
	const char *transport = mfi_reader_string(root, "", "transport", false);

	if (transport != NULL && strcmp(transport, "http") != 0 && strcmp(transport, "smtp") != 0)
		mfi_reader_fail("transport", psprintf("there is no transport \"%s\"", transport), "Known transports: http, smtp.");
	return transport != NULL && strcmp(transport, "smtp") == 0;
}

/*
 * check_base_url looks at the address once settings have their say in it.
 */
static void
check_base_url(const MfiGateway *gateway)
{
	char	   *url = mfi_gateway_base_url(gateway);

	if (url != NULL && !mfi_definition_is_scheme(url, gateway->is_mail))
		mfi_reader_fail("request.url", gateway->is_mail ? "only smtp and smtps are known" : "only http and https are known",
						gateway->is_mail ? "The address may come from a setting: write it with smtp://."
						: "The address may come from a setting: write it with https://.");
}

static uint64
origin_of(const char *definition, const MfiGateway *gateway)
{
	char	   *all = psprintf("%s\n%s\n%s", definition, text_of(gateway->settings), text_of(gateway->secrets));

	return hash_bytes_extended((const unsigned char *) all, strlen(all), 0);
}

/*
 * poll_definition is the definition with the poll's request in place of the
 * message's, and without what only messages need.
 */
static char *
poll_definition(json_t *root)
{
	static const char *const others[] = {"sandbox", "transport", "sql", "inbox", "voice", "response", "idempotent", "idempotency_header", "receipt", "inbound",
		"signature", "answer", "challenge", "poll", NULL};
	json_t	   *copy = json_copy(root);
	char	   *text;

	for (int i = 0; others[i] != NULL; i++)
		json_object_del(copy, others[i]);
	json_object_set(copy, "request", json_object_get(json_object_get(root, "poll"), "request"));
	text = mfi_json_write(copy);
	json_decref(copy);
	return text;
}

/*
 * compile_poll makes a gateway of the same settings and secrets whose request
 * is the poll's; it lives and ends with the one that it belongs to.
 */
static MfiGateway *
compile_poll(const MfiGateway *gateway, json_t *root, Jsonb *settings)
{
	MemoryContext outer = CurrentMemoryContext;
	json_t	   *cursor = json_object_get(json_object_get(root, "poll"), "cursor");
	const char *parameter = mfi_json_string(cursor, "parameter");
	MfiGateway *poll = NULL;

	PG_TRY();
	{
		poll = mfi_gateway_compile(gateway->name, gateway->channel, 0, poll_definition(root), settings, gateway->secrets, gateway->context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(outer);
		error = CopyErrorData();
		FlushErrorState();
		if (error->detail != NULL)
			error->detail = psprintf("poll.%s", error->detail);
		ThrowErrorData(error);
	}
	PG_END_TRY();
	poll->answer_bytes_max = MFI_GATEWAY_POLL_BYTES_MAX;
	if (parameter != NULL)
	{
		MfiField   *field;

		MemoryContextSwitchTo(poll->context);
		field = palloc0(sizeof(MfiField));
		field->name = pstrdup(parameter);
		field->slot = mfi_slot_parse("{{text}}", "poll.cursor", MFI_ESCAPE_NONE, MFI_TAGS_MESSAGE);
		poll->query = lappend(poll->query, field);
		MemoryContextSwitchTo(outer);
	}
	return poll;
}

void
mfi_gateway_retain(MfiGateway *gateway)
{
	gateway->reference_count++;
}

void
mfi_gateway_release(MfiGateway *gateway)
{
	if (--gateway->reference_count == 0)
		MemoryContextDelete(gateway->context);
}

MfiGateway *
mfi_gateway_compile(const char *name, const char *channel, int priority, const char *definition,
					Jsonb *settings, Jsonb *secrets, MemoryContext parent)
{
	static const char *const names[] = {"sandbox", "about", "transport", "sql", "inbox", "voice", "request", "auth", "response", "idempotent", "idempotency_header",
		"receipt", "inbound", "signature", "answer", "challenge", "poll", "http_version", "limits", "settings", "secrets", NULL};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mfiauto gateway", ALLOCSET_SMALL_SIZES);
	MemoryContext reading = AllocSetContextCreate(CurrentMemoryContext, "mfiauto definition", ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(reading);
	json_t	   *root = mfi_json_parse_utf8(definition, "gateway definition");
	json_t	   *given = mfi_json_parse_utf8(text_of(settings), "settings");
	json_t	   *filled;
	json_t	   *member;
	const char *version;
	const char *url;
	MfiGateway *gateway;

	if (!json_is_object(root))
		mfi_reader_fail("definition", "expected an object", NULL);
	if (!json_is_object(given))
		mfi_reader_fail("settings", "expected an object", NULL);
	mfi_reader_check_members(root, "", names);
	filled = check_settings(mfi_reader_object(root, "", "settings"), given);

	MemoryContextSwitchTo(context);
	gateway = palloc0(sizeof(MfiGateway));
	gateway->context = context;
	gateway->reference_count = 1;
	gateway->name = pstrdup(name);
	gateway->channel = pstrdup(channel);
	gateway->priority = priority;
	gateway->settings = mfi_jsonb_read(mfi_json_write(filled));
	gateway->secrets = secrets != NULL ? (Jsonb *) pg_detoast_datum_copy((struct varlena *) secrets)
		: mfi_jsonb_read("{}");
	gateway->is_sandbox = mfi_reader_boolean(root, "", "sandbox", false);
	gateway->is_inbox = mfi_reader_boolean(root, "", "inbox", false);
	if (gateway->is_inbox && (!gateway->is_sandbox || strcmp(channel, "inapp") != 0))
		mfi_reader_fail("inbox", "only in-app messages that stay here are kept for the app", "Write \"sandbox\": true beside it, for channel inapp.");
	gateway->retry_after_header = pstrdup("Retry-After");
	gateway->retry_after_default_s = 5;
	read_limits(gateway, mfi_reader_object(root, "", "limits"), filled);
	gateway->is_idempotent = mfi_reader_boolean(root, "", "idempotent", false);
	gateway->idempotency_header = mfi_definition_copy(mfi_reader_string(root, "", "idempotency_header", false));
	if (gateway->idempotency_header != NULL)
		mfi_definition_check_header(gateway->idempotency_header, "idempotency_header");
	gateway->is_mail = is_mail(root);
	if ((member = mfi_reader_object(root, "", "sql")) != NULL)
		mfi_definition_read_sql(gateway, member);
	if ((member = mfi_reader_object(root, "", "request")) != NULL)
		(gateway->is_mail ? mfi_mail_read_definition : read_request) (gateway, member);
	else if (!gateway->is_sandbox && !gateway->is_sql)
		mfi_reader_fail("request", "expected an object, found nothing", NULL);
	if ((member = mfi_reader_object(root, "", "auth")) != NULL)
		mfi_definition_read_auth(gateway, member);
	if (gateway->is_mail && gateway->auth_kind != MFI_AUTH_NONE && gateway->auth_kind != MFI_AUTH_BASIC)
		mfi_reader_fail("auth.kind", "a mail server knows users and passwords only", "Kinds for transport smtp: none, basic.");
	if ((member = mfi_reader_object(root, "", "response")) != NULL)
		mfi_definition_read_response(gateway, member);
	mfi_definition_check_receiving(root);
	if ((member = mfi_reader_array(root, "", "secrets")) != NULL)
		gateway->secret_names = mfi_reader_texts(root, "", "secrets");
	version = mfi_reader_string(root, "", "http_version", false);
	if (version != NULL && strcmp(version, "1.1") != 0 && strcmp(version, "2") != 0)
		mfi_reader_fail("http_version", "expected \"1.1\" or \"2\"", NULL);
	gateway->is_http2 = version != NULL && strcmp(version, "2") == 0;
	gateway->sender = mfi_definition_copy(mfi_reader_string(filled, "settings", "sender", false));
	gateway->needs_text_hex = strstr(definition, "text_hex") != NULL || strstr(definition, "text_gsm_hex") != NULL;
	url = mfi_reader_string(filled, "settings", "receipt_url", false);
	if (url != NULL)
		gateway->receipt_url = mfi_slot_parse(url, "settings.receipt_url", MFI_ESCAPE_URL, MFI_TAGS_MESSAGE);
	settle(gateway);
	check_base_url(gateway);
	gateway->origin = origin_of(definition, gateway);
	if (json_is_object(json_object_get(root, "poll")))
		gateway->poll = compile_poll(gateway, root, settings);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(reading);
	MemoryContextSetParent(context, parent);
	return gateway;
}
