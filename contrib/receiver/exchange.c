/*
 * exchange.c
 *		Headers in, headers out, and the answers that need no database.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exchange.h"

#define HEADER_COUNT_MAX 100

/* What serve() may say; everything else is ours. */
static const char *const allowed[] = {
	"content-type", "content-language", "location", "cache-control", "retry-after", "www-authenticate", "allow", "vary", "link",
	"content-security-policy", "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
	"access-control-max-age", NULL
};

typedef struct Own
{
	const char *name;
	const char *value;
} Own;

/* Said with every answer, unless serve() says it otherwise. */
static const Own own[] = {
	{"x-content-type-options", "nosniff"},
	{"referrer-policy", "no-referrer"},
	{"x-robots-tag", "noindex, nofollow"},
	{"x-frame-options", "DENY"},
	{"cache-control", "no-store"},
	{"content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
	{NULL, NULL}
};

static const char away_page[] =
	"<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>503</title>"
	"<p>Please try again in a minute.<p lang=\"fr\">Veuillez r\xC3\xA9" "essayer dans une minute.</html>\n";

static const char noted_page[] =
	"<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>OK</title>"
	"<p>Your request has been received.<p lang=\"fr\">Votre demande a \xC3\xA9t\xC3\xA9 re\xC3\xA7ue.</html>\n";

static void
set_answer(Exchange *exchange, int status, const char *headers, const char *body)
{
	answer_clear(&exchange->answer);
	exchange->answer.status = status;
	exchange->answer.headers = copy_text(headers);
	exchange->answer.body = copy_text(body);
	exchange->answer.body_length = strlen(body);
}

void
exchange_say(Exchange *exchange, int status)
{
	const char *path = exchange->request.path;

	if (status == 200 && strncmp(path, "/v1/", 4) == 0)
		set_answer(exchange, status, "content-type:application/json\naccess-control-allow-origin:*", "{\"success\": true}");
	else if (status == 200 && strncmp(path, "/u/", 3) == 0)
		set_answer(exchange, status, "content-type:text/html; charset=utf-8", noted_page);
	else if (status == 200)
		set_answer(exchange, status, "content-type:text/plain", "");
	else if (status == 503 && exchange->request.method != NULL && strcmp(exchange->request.method, "GET") == 0)
		set_answer(exchange, status, "content-type:text/html; charset=utf-8\nretry-after:60", away_page);
	else if (status == 503)
		set_answer(exchange, status, "retry-after:60", "");
	else if (status == 429)
		set_answer(exchange, status, "retry-after:1", "");
	else if (status == 405)
		set_answer(exchange, status, "allow:GET, HEAD, POST, OPTIONS", "");
	else
		set_answer(exchange, status, "", "");
}

static bool
is_allowed(const char *name)
{
	for (int i = 0; allowed[i] != NULL; i++)
		if (strcmp(allowed[i], name) == 0)
			return true;
	return false;
}

static bool
is_printable(const char *value)
{
	for (; *value != '\0'; value++)
		if ((unsigned char) *value < ' ' || *value == 127)
			return false;
	return true;
}

/*
 * add_headers adds the lines "name:value" of an answer that the list allows.
 */
static void
add_headers(struct MHD_Response *response, const char *lines)
{
	char *copy = copy_text(lines == NULL ? "" : lines);
	char *state = NULL;

	for (char *line = strtok_r(copy, "\n", &state); line != NULL; line = strtok_r(NULL, "\n", &state))
	{
		char *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		if (is_allowed(line) && is_printable(colon + 1))
			MHD_add_response_header(response, line, colon + 1);
	}
	free(copy);
}

enum MHD_Result
exchange_respond(Exchange *exchange, bool is_last)
{
	Answer *answer = &exchange->answer;
	bool is_bare = answer->status == 204 || answer->status == 304;
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(is_bare ? 0 : answer->body_length, answer->body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return MHD_NO;
	answer->body = NULL;
	add_headers(response, answer->headers);
	for (const Own *header = own; header->name != NULL; header++)
		if (MHD_get_response_header(response, header->name) == NULL)
			MHD_add_response_header(response, header->name, header->value);
	if (is_last)
		MHD_add_response_header(response, "connection", "close");
	result = MHD_queue_response(exchange->connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

typedef struct Header
{
	char *name;
	Text value;
} Header;

typedef struct Headers
{
	Header headers[HEADER_COUNT_MAX];
	size_t count;
	size_t seen_count;
} Headers;

static enum MHD_Result
collect_header(void *target, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Headers *all = target;
	size_t place = 0;

	(void) kind;
	all->seen_count++;
	/* These are ours to say. */
	if (strncasecmp(name, "mfiauto-", 8) == 0)
		return MHD_YES;
	if (value == NULL)
		value = "";
	while (place < all->count && strcasecmp(all->headers[place].name, name) != 0)
		place++;
	if (place == HEADER_COUNT_MAX)
		return MHD_YES;
	if (place < all->count)
		text_append(&all->headers[place].value, ", ", 2);
	else
	{
		all->headers[place].name = copy_text(name);
		for (char *at = all->headers[place].name; *at != '\0'; at++)
			*at = tolower((unsigned char) *at);
		all->count++;
	}
	text_append(&all->headers[place].value, value, strlen(value));
	return MHD_YES;
}

static const char *
find_header(const Headers *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->headers[i].name, name) == 0)
			return all->headers[i].value.data;
	return NULL;
}

/*
 * is_framed_twice: whoever stands before us may have chosen the other length, and
 * take what we read as a second request for part of the first.
 */
static bool
is_framed_twice(const Headers *all)
{
	const char *length = find_header(all, "content-length");
	const char *encoding = find_header(all, "transfer-encoding");

	if (encoding != NULL)
		return length != NULL || strcasecmp(encoding, "chunked") != 0;
	return length != NULL && strchr(length, ',') != NULL;
}

void
exchange_read_headers(Exchange *exchange)
{
	Headers *all = allocate(sizeof(Headers));
	bool is_twice;
	Text json = {0};

	MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, collect_header, all);
	exchange->header_count = all->seen_count;
	is_twice = is_framed_twice(all);
	text_print(&json, "{\"mfiauto-received-at\": \"%s\", \"mfiauto-request-id\": \"%s\"", exchange->request.received_at, exchange->request.id);
	for (size_t i = 0; i < all->count; i++)
	{
		text_append(&json, ", ", 2);
		text_append_json(&json, all->headers[i].name);
		text_append(&json, ": ", 2);
		text_append_json(&json, all->headers[i].value.data);
		free(all->headers[i].name);
		free(all->headers[i].value.data);
	}
	text_append(&json, "}", 1);
	exchange->request.headers = json.data;
	free(all);
	if (exchange->header_count > HEADER_COUNT_MAX)
		exchange->refusal = 431;
	else if (is_twice)
		exchange->refusal = 400;
}

/*
 * exchange_log: providers' servers by their address; of people no more than
 * that somebody came.
 */
void
exchange_log(const Exchange *exchange)
{
	const Request *request = &exchange->request;
	char place[128];
	bool is_provider;

	if (request->method == NULL || request->path == NULL)
		return;
	request_place(request, place, sizeof(place));
	is_provider = strncmp(place, "/w/", 3) == 0 || strncmp(place, "/v/", 3) == 0;
	log_line("%.10s %s %d %lld ms%s%s%s", request->method, place, exchange->answer.status, (long long) (clock_ms() - exchange->began_at_ms),
			 exchange->is_queued ? " queued" : "", is_provider && request->remote != NULL ? " from " : "",
			 is_provider && request->remote != NULL ? request->remote : "");
}
