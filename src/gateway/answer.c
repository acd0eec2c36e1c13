/*
 * answer.c
 *		An answer becomes an outcome.
 *
 * The body is bytes from outside: it may be truncated, binary, invalid in the
 * server's encoding, or 10 MB of spaces. Nothing here raises because of it,
 * and nothing of it but the provider's code and id is kept.
 */
#include "postgres.h"

#include <math.h>

#include "base/json.h"
#include "catalog/pg_collation.h"
#include "gateway/gateway.h"
#include "gateway/mail.h"
#include "gateway/reader.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static bool status_fits(List *ranges, int status);
static bool text_fits(List *texts, const char *text);
static json_t *parse_body(const MfiAnswer *answer);
static char *match_regex(const char *pattern, const MfiAnswer *answer);
static MfiVerdict default_verdict(int status);
static MfiVerdict classify(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body, const char *code);
static void keep_text(char *target, int size, const char *text);
static void find_id(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body, MfiOutcome *outcome);
static double find_retry_after(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body);
static char *find_code(const MfiGateway *gateway, json_t *body);
static bool is_token(const char *text);
static double read_pause(const char *text, time_t date);
static void judge(const MfiGateway *gateway, const MfiAnswer *answer, MfiOutcome *outcome);

const char *
mfi_verdict_name(MfiVerdict verdict)
{
	switch (verdict)
	{
		case MFI_VERDICT_SENT:
			return "sent";
		case MFI_VERDICT_RETRY:
			return "retry";
		case MFI_VERDICT_THROTTLE:
			return "throttle";
		case MFI_VERDICT_PERMANENT:
			return "permanent";
		case MFI_VERDICT_RECIPIENT_DEAD:
			return "recipient_dead";
		case MFI_VERDICT_OPTED_OUT:
			return "opted_out";
		case MFI_VERDICT_CONFIG_BROKEN:
			return "config_broken";
		case MFI_VERDICT_UNAUTHORIZED:
			return "unauthorized";
		case MFI_VERDICT_UNKNOWN:
			return "unknown";
	}
	return "unknown";
}

static bool
status_fits(List *ranges, int status)
{
	ListCell   *cell;

	foreach(cell, ranges)
	{
		List	   *range = lfirst(cell);

		if (status >= linitial_int(range) && status <= lsecond_int(range))
			return true;
	}
	return false;
}

static bool
text_fits(List *texts, const char *text)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

static json_t *
parse_body(const MfiAnswer *answer)
{
	if (answer->is_truncated || answer->body_length == 0)
		return NULL;
	return json_loadb(answer->body, answer->body_length, 0, NULL);
}

/*
 * match_regex returns what the pattern's first parentheses (else the whole)
 * caught, NULL if nothing or if the body is no text of the server's encoding.
 */
static char *
match_regex(const char *pattern, const MfiAnswer *answer)
{
	Datum		found;
	text	   *body;
	LOCAL_FCINFO(fcinfo, 2);

	if (memchr(answer->body, '\0', answer->body_length) != NULL ||
		!pg_verify_mbstr(GetDatabaseEncoding(), answer->body, answer->body_length, true))
		return NULL;
	body = cstring_to_text_with_len(answer->body, answer->body_length);
	InitFunctionCallInfoData(*fcinfo, NULL, 2, C_COLLATION_OID, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(body);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(cstring_to_text(pattern));
	fcinfo->args[1].isnull = false;
	found = textregexsubstr(fcinfo);
	return fcinfo->isnull ? NULL : text_to_cstring(DatumGetTextPP(found));
}

/*
 * default_verdict is for statuses that the definition says nothing of. After
 * 500, 502 and 504 nobody knows whether the message was accepted.
 */
static MfiVerdict
default_verdict(int status)
{
	if (status >= 200 && status < 300)
		return MFI_VERDICT_PERMANENT;
	switch (status)
	{
		case 429:
			return MFI_VERDICT_THROTTLE;
		case 408:
		case 425:
		case 503:
			return MFI_VERDICT_RETRY;
		case 401:
		case 402:
		case 403:
		case 407:
			return MFI_VERDICT_CONFIG_BROKEN;
		default:
			break;
	}
	if (status >= 300 && status < 400)
		return MFI_VERDICT_CONFIG_BROKEN;	/* we follow no redirect */
	return status >= 400 && status < 500 ? MFI_VERDICT_PERMANENT : MFI_VERDICT_UNKNOWN;
}

static MfiVerdict
classify(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body, const char *code)
{
	bool		is_good = gateway->success_statuses != NIL
		? status_fits(gateway->success_statuses, answer->status)
		: answer->status >= 200 && answer->status < 300;
	ListCell   *cell;

	if (answer->status == 401 && mfi_gateway_needs_token(gateway))
		return MFI_VERDICT_UNAUTHORIZED;
	if (is_good && gateway->success_path == NULL && gateway->success_regex == NULL)
		return MFI_VERDICT_SENT;
	if (is_good && gateway->success_path != NULL)
	{
		json_t	   *value = body != NULL ? mfi_reader_walk(body, gateway->success_path) : NULL;
		char	   *text = value != NULL ? mfi_reader_scalar(value) : NULL;

		if (text != NULL && text_fits(gateway->success_values, text))
			return MFI_VERDICT_SENT;
		/* Accepted or not? A good status with a body that does not say so. */
		if (text == NULL && code == NULL)
			return MFI_VERDICT_UNKNOWN;
	}
	if (is_good && gateway->success_regex != NULL)
	{
		if (match_regex(gateway->success_regex, answer) != NULL)
			return MFI_VERDICT_SENT;
		if (answer->is_truncated || answer->body_length == 0)
			return MFI_VERDICT_UNKNOWN;
	}
	foreach(cell, gateway->error_rules)
	{
		MfiErrorRule *rule = lfirst(cell);

		if ((rule->statuses == NIL || status_fits(rule->statuses, answer->status)) &&
			(rule->codes == NIL || (code != NULL && text_fits(rule->codes, code))))
			return rule->verdict;
	}
	return gateway->is_mail ? mfi_mail_verdict(answer->status, code) : default_verdict(answer->status);
}

/*
 * keep_text copies what fits, without control characters and without breaking
 * a character; invalid bytes become question marks.
 */
static void
keep_text(char *target, int size, const char *text)
{
	int			used = 0;

	while (*text != '\0')
	{
		int			length = pg_mblen(text);

		if ((int) strnlen(text, length) < length ||
			!pg_verify_mbstr(GetDatabaseEncoding(), text, length, true))
			length = 1;
		if (used + length >= size)
			break;
		if (length == 1 && ((unsigned char) *text < ' ' || (unsigned char) *text >= 0x7f))
			target[used++] = '?';
		else
		{
			memcpy(target + used, text, length);
			used += length;
		}
		text += length;
	}
	target[used] = '\0';
}

static void
find_id(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body, MfiOutcome *outcome)
{
	const char *path = gateway->id_path != NULL ? gateway->id_path : gateway->id_segment_path;
	const char *id = NULL;

	if (gateway->id_header != NULL)
		id = answer->id_header;
	else if (gateway->id_regex != NULL)
		id = match_regex(gateway->id_regex, answer);
	else if (path != NULL && body != NULL)
	{
		json_t	   *value = mfi_reader_walk(body, path);

		id = value != NULL ? mfi_reader_scalar(value) : NULL;
		if (id != NULL && gateway->id_segment_path != NULL && strrchr(id, '/') != NULL)
			id = strrchr(id, '/') + 1;
	}
	if (id != NULL)
		keep_text(outcome->provider_id, sizeof(outcome->provider_id), id);
}

/*
 * read_pause reads seconds or an HTTP date; at most a day.
 */
static double
read_pause(const char *text, time_t date)
{
	double		seconds;
	char	   *end;

	if (text == NULL)
		return -1;
	seconds = strtod(text, &end);
	if (end == text || *end != '\0')
		seconds = date < 0 ? -1 : Max(0, difftime(date, time(NULL)));
	return seconds < 0 || isnan(seconds) ? -1 : Min(seconds, 86400.0);
}

static double
find_retry_after(const MfiGateway *gateway, const MfiAnswer *answer, json_t *body)
{
	char	   *text = NULL;

	if (gateway->retry_after_path != NULL && body != NULL)
	{
		json_t	   *value = mfi_reader_walk(body, gateway->retry_after_path);

		text = value != NULL ? mfi_reader_scalar(value) : NULL;
	}
	return read_pause(text != NULL ? text : answer->retry_after, answer->retry_after_at);
}

static char *
find_code(const MfiGateway *gateway, json_t *body)
{
	ListCell   *cell;

	if (body == NULL)
		return NULL;
	foreach(cell, gateway->code_paths)
	{
		json_t	   *value = mfi_reader_walk(body, lfirst(cell));
		char	   *code = value != NULL ? mfi_reader_scalar(value) : NULL;

		if (code != NULL)
			return code;
	}
	return NULL;
}

static void
judge(const MfiGateway *gateway, const MfiAnswer *answer, MfiOutcome *outcome)
{
	json_t	   *body = gateway->is_mail ? NULL : parse_body(answer);
	char	   *code = gateway->is_mail ? mfi_mail_code(answer) : find_code(gateway, body);

	outcome->verdict = classify(gateway, answer, body, code);
	if (outcome->verdict == MFI_VERDICT_SENT)
		find_id(gateway, answer, body, outcome);
	else
	{
		char		safe_code[64] = "";

		outcome->retry_after_s = find_retry_after(gateway, answer, body);
		if (code != NULL)
			keep_text(safe_code, sizeof(safe_code), code);
		snprintf(outcome->error, sizeof(outcome->error), "%s %d%s%s%s", gateway->is_mail ? "SMTP" : "HTTP", answer->status,
				 safe_code[0] != '\0' ? ", code " : "", safe_code,
				 answer->is_truncated ? ", answer too long" : "");
	}
	json_decref(body);
}

void
mfi_gateway_judge(const MfiGateway *gateway, const MfiAnswer *answer, MfiOutcome *outcome)
{
	MemoryContext judging;
	MemoryContext outer;

	memset(outcome, 0, sizeof(MfiOutcome));
	outcome->status = answer->status;
	outcome->retry_after_s = -1;
	if (answer->transport != MFI_TRANSPORT_ANSWERED)
	{
		outcome->verdict = answer->transport == MFI_TRANSPORT_NOT_WRITTEN ? MFI_VERDICT_RETRY
			: answer->transport == MFI_TRANSPORT_REFUSED ? MFI_VERDICT_CONFIG_BROKEN : MFI_VERDICT_UNKNOWN;
		keep_text(outcome->error, sizeof(outcome->error), answer->error != NULL ? answer->error : "");
		return;
	}
	judging = AllocSetContextCreate(CurrentMemoryContext, "mfiauto answer", ALLOCSET_SMALL_SIZES);
	outer = MemoryContextSwitchTo(judging);
	PG_TRY();
	{
		judge(gateway, answer, outcome);
	}
	PG_CATCH();
	{
		/* A pattern that gave up, or no memory: the answer stays unread. */
		FlushErrorState();
		outcome->verdict = MFI_VERDICT_UNKNOWN;
		snprintf(outcome->error, sizeof(outcome->error), "HTTP %d, answer could not be read", answer->status);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(judging);
}

/*
 * is_token tells whether a text can stand in a header.
 */
static bool
is_token(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	return text[0] != '\0';
}

bool
mfi_gateway_read_token(const MfiAnswer *answer, char **token, double *lifetime_s, MfiOutcome *outcome)
{
	json_t	   *body = answer->transport == MFI_TRANSPORT_ANSWERED && answer->status == 200 ? parse_body(answer) : NULL;
	json_t	   *text = body != NULL ? json_object_get(body, "access_token") : NULL;
	json_t	   *lifetime = body != NULL ? json_object_get(body, "expires_in") : NULL;
	bool		is_found = text != NULL && json_is_string(text) && is_token(json_string_value(text));

	memset(outcome, 0, sizeof(MfiOutcome));
	outcome->status = answer->status;
	outcome->retry_after_s = read_pause(answer->retry_after, answer->retry_after_at);
	if (is_found)
	{
		char	   *lifetime_text = lifetime != NULL ? mfi_reader_scalar(lifetime) : NULL;

		*token = pstrdup(json_string_value(text));
		*lifetime_s = lifetime_text != NULL ? strtod(lifetime_text, NULL) : 300;
	}
	else if (answer->transport == MFI_TRANSPORT_ANSWERED)
	{
		outcome->verdict = (answer->status >= 400 && answer->status < 500 && answer->status != 429) || answer->status < 400
			? MFI_VERDICT_CONFIG_BROKEN : MFI_VERDICT_RETRY;
		snprintf(outcome->error, sizeof(outcome->error), "token request: HTTP %d%s", answer->status,
				 answer->status == 200 ? ", without a token" : "");
	}
	else
	{
		outcome->verdict = answer->transport == MFI_TRANSPORT_REFUSED ? MFI_VERDICT_CONFIG_BROKEN : MFI_VERDICT_RETRY;
		snprintf(outcome->error, sizeof(outcome->error), "token request: %s", answer->error != NULL ? answer->error : "");
	}
	json_decref(body);
	return is_found;
}
