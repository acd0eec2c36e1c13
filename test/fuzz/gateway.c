/*
 * gateway.c
 *		Harnesses of src/gateway and of the readers of src/delivery.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>

#include "delivery/address.h"
#include "delivery/header.h"
#include "gateway/form.h"
#include "gateway/gateway.h"
#include "gateway/jwt.h"
#include "gateway/mime.h"
#include "gateway/reader.h"
#include "gateway/sign.h"

#include "fuzz.h"

static const char *
or_none(const FuzzPart *part)
{
	return part->length > 0 ? part->data : NULL;
}

/* Bytes that would end a line of the request's head. */
static void
check_head(const char *text)
{
	for (const unsigned char *sign = (const unsigned char *) text; *sign != '\0'; sign++)
		FUZZ_CHECK((*sign >= ' ' || *sign == '\t') && *sign != 0x7f);
}

static void
check_request(const MfiRequest *request)
{
	ListCell   *cell;

	if (request->is_mail)
		return;
	check_head(request->method);
	check_head(request->url);
	FUZZ_CHECK(strchr(request->url, ' ') == NULL);
	foreach(cell, request->headers)
	{
		check_head(lfirst(cell));
		FUZZ_CHECK(strchr(lfirst(cell), ':') != NULL);
	}
	FUZZ_CHECK(request->body == NULL || request->body[request->body_length] == '\0');
}

/* definition, settings, secrets, to, text, options; the text is the body of the answer too */
static void
run_gateway(FuzzPart *parts)
{
	static const char *const channels[] = {"sms", "email", "push", "webhook"};
	static const int statuses[] = {200, 202, 400, 401, 429, 503};
	MfiEnvelope envelope = {.client_id = 42, .message_id = 7, .to = parts[3].data, .title = parts[3].data, .text = parts[4].data, .html = parts[4].data,
		.locale = "fr-SN", .key = "11111111-2222-4333-8444-555555555555", .class = "marketing", .country = "SN", .workflow = "w", .step = "s",
		.expires_in_s = 3600, .unsubscribe_url = "https://mfi.example/u/x"};
	MfiGateway *gateway;
	MfiRequest	request = {0};
	char	   *token = "TOKEN";
	double		lifetime_s;

	envelope.options = fuzz_object(&parts[5]);
	gateway = mfi_gateway_compile("fuzz", channels[parts[3].length % lengthof(channels)], 0, parts[0].data, fuzz_object(&parts[1]),
								  fuzz_object(&parts[2]), CurrentMemoryContext);
	for (int i = 0; i < (int) lengthof(statuses); i++)
	{
		MfiAnswer	answer = {.transport = MFI_TRANSPORT_ANSWERED, .status = statuses[i], .body = parts[4].data, .body_length = parts[4].length,
			.id_header = or_none(&parts[3]), .retry_after = or_none(&parts[3]), .retry_after_at = -1};
		MfiOutcome	outcome;

		mfi_gateway_judge(gateway, &answer, &outcome);
		FUZZ_CHECK(fuzz_is_text(outcome.provider_id, strlen(outcome.provider_id)) && fuzz_is_text(outcome.error, strlen(outcome.error)));
		FUZZ_CHECK(!isnan(outcome.retry_after_s));
		mfi_gateway_read_token(&answer, &token, &lifetime_s, &outcome);
	}
	if (gateway->url == NULL)
		return;
	if (gateway->auth_kind == MFI_AUTH_OAUTH2)
	{
		mfi_gateway_build_token_request(gateway, &request);
		check_request(&request);
	}
	if (!mfi_gateway_make_token(gateway, &token, &lifetime_s))
		token = "TOKEN";
	memset(&request, 0, sizeof(request));
	mfi_gateway_build_request(gateway, &envelope, token, &request);
	check_request(&request);
}

/* key (PEM), claims */
static void
run_jwt(FuzzPart *parts)
{
	static const char *const algorithms[] = {"RS256", "ES256", "HS256"};
	MfiJwt	   *jwt;
	json_t	   *rule = mfi_json_parse_utf8(parts[1].data, "claims");

	for (int i = 0; i < (int) lengthof(algorithms); i++)
	{
		Datum		arguments[] = {PointerGetDatum(cstring_to_text(algorithms[i])), PointerGetDatum(cstring_to_text_with_len(parts[0].data, parts[0].length)),
		PointerGetDatum(cstring_to_text_with_len(parts[1].data, parts[1].length))};
		extern Datum mfiauto_sign_jwt(PG_FUNCTION_ARGS);
		MemoryContext outer = CurrentMemoryContext;

		PG_TRY();
		{
			fuzz_call(mfiauto_sign_jwt, "fuzz_sign_jwt", 3, arguments);
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(outer);
			error = CopyErrorData();
			FlushErrorState();
			FUZZ_CHECK(error->sqlerrcode != ERRCODE_INTERNAL_ERROR);
		}
		PG_END_TRY();
	}
	jwt = mfi_jwt_read(rule, "auth");
	FUZZ_CHECK(mfi_jwt_algorithm_name(jwt) != NULL);
}

/* form */
static void
run_form(FuzzPart *parts)
{
	ListCell   *cell;

	foreach(cell, mfi_form_read(parts[0].data, parts[0].length))
	{
		MfiParameter *parameter = lfirst(cell);

		FUZZ_CHECK(parameter->name[parameter->name_length] == '\0' && parameter->value[parameter->value_length] == '\0');
		FUZZ_CHECK(parameter->name_length + parameter->value_length <= parts[0].length);
		mfi_form_make_text(parameter->name, parameter->name_length);
		mfi_form_make_text(parameter->value, parameter->value_length);
		FUZZ_CHECK(fuzz_is_text(parameter->name, parameter->name_length) && fuzz_is_text(parameter->value, parameter->value_length));
	}
}

/* header line, or host; list of hosts, port */
static void
run_header(FuzzPart *parts)
{
	char		kept[MFI_HEADER_BYTES_MAX];
	struct sockaddr_in six_less = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};

	if (mfi_header_keep(kept, "Retry-After", parts[0].data, parts[0].length))
		FUZZ_CHECK(strlen(kept) < MFI_HEADER_BYTES_MAX && strpbrk(kept, "\r\n") == NULL);
	if (!fuzz_is_text(parts[0].data, parts[0].length) || !fuzz_is_text(parts[1].data, parts[1].length) || !fuzz_is_text(parts[2].data, parts[2].length))
		return;
	mfi_address_is_listed(parts[1].data, parts[0].data, parts[2].data);
	mfi_address_is_loopback_name(parts[0].data);
	if (inet_pton(AF_INET, parts[0].data, &six_less.sin_addr) == 1)
		FUZZ_CHECK(!mfi_address_is_loopback((struct sockaddr *) &six_less) || !mfi_address_is_public((struct sockaddr *) &six_less));
	if (inet_pton(AF_INET6, parts[0].data, &six.sin6_addr) == 1)
		FUZZ_CHECK(!mfi_address_is_loopback((struct sockaddr *) &six) || !mfi_address_is_public((struct sockaddr *) &six));
	if (mfi_mime_is_address(parts[0].data))
		FUZZ_CHECK(strpbrk(parts[0].data, "\r\n<> ") == NULL);
	FUZZ_CHECK(mfi_mime_is_address(mfi_mime_address(parts[0].data, "from")));
}

/* subject, text, html, from, preheader, header: no value may begin a line of the head */
static void
run_mime(FuzzPart *parts)
{
	static const char *const names[] = {"Date:", "From:", "To:", "Subject:", "Message-ID:", "MIME-Version:", "Content-", "Reply-To:", "X-One:", "Auto-Submitted:", NULL};
	MfiLetter	letter = {.subject = parts[0].data, .text = parts[1].data, .html = or_none(&parts[2]), .from = parts[3].data, .to = "awa@mail.example",
		.preheader = or_none(&parts[4]), .locale = "fr", .reference = "7-11111111-2222-4333-8444-555555555555", .headers = NIL};
	int			length;
	char	   *raw;
	char	   *line;
	char	   *end;

	raw = mfi_mime_write(&letter, &length);
	FUZZ_CHECK(length >= 2 && memcmp(raw + length - 2, "\r\n", 2) == 0);
	end = strstr(raw, "\r\n\r\n");
	FUZZ_CHECK(end != NULL);
	for (line = raw; line < end; line = strstr(line, "\r\n") + 2)
	{
		bool		is_known = *line == ' ' || *line == '\t';

		for (int i = 0; names[i] != NULL; i++)
			is_known |= strncmp(line, names[i], strlen(names[i])) == 0;
		if (!is_known)
			fprintf(stderr, "line: %.60s\n", line);
		FUZZ_CHECK(is_known);
	}
	for (int i = 0; i < length; i++)
		FUZZ_CHECK((raw[i] != '\n' || (i > 0 && raw[i - 1] == '\r')) && (raw[i] != '\r' || raw[i + 1] == '\n'));
}

const FuzzHarness fuzz_gateway[] = {
	{"gateway", 6, false, run_gateway}, {"jwt", 2, false, run_jwt}, {"form", 1, true, run_form},
	{"header", 3, true, run_header}, {"mime", 5, false, run_mime}, {NULL},
};
