/*
 * definition_answer.c
 *		The part of a gateway's definition that reads answers.
 */
#include "postgres.h"

#include "base/json.h"
#include "catalog/pg_collation.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/reader.h"
#include "regex/regex.h"

static List *read_statuses(json_t *object, const char *path, const char *name);
static void check_regex(const char *pattern, const char *path);
static void read_success(MfiGateway *gateway, json_t *success);
static void read_id(MfiGateway *gateway, json_t *id);
static void read_errors(MfiGateway *gateway, json_t *errors);

static void
check_regex(const char *pattern, const char *path)
{
	pg_wchar   *wide = palloc((strlen(pattern) + 1) * sizeof(pg_wchar));
	int			length = pg_mb2wchar_with_len(pattern, wide, strlen(pattern));
	regex_t		regex;

	if (pg_regcomp(&regex, wide, length, REG_ADVANCED, C_COLLATION_OID) != REG_OKAY)
		mfi_reader_fail(path, "this is not a regular expression", NULL);
	pg_regfree(&regex);
}

/*
 * read_statuses reads statuses: 201, "2xx", "500-599", or an array of them.
 */
static List *
read_statuses(json_t *object, const char *path, const char *name)
{
	List	   *ranges = NIL;
	ListCell   *cell;

	foreach(cell, mfi_reader_texts(object, path, name))
	{
		const char *text = lfirst(cell);
		int			from;
		int			to;
		char		rest;

		if (strlen(text) == 3 && text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0)
		{
			from = (text[0] - '0') * 100;
			to = from + 99;
		}
		else if (sscanf(text, "%3d-%3d%c", &from, &to, &rest) != 2)
		{
			if (sscanf(text, "%3d%c", &from, &rest) != 1)
				from = 0;
			to = from;
		}
		if (from < 100 || to > 599 || from > to)
			mfi_reader_fail(mfi_reader_path(path, name), psprintf("\"%s\" is not an HTTP status", text),
							"Write 201, \"2xx\" or \"500-504\", or an array of them.");
		ranges = lappend(ranges, list_make2_int(from, to));
	}
	return ranges;
}

static void
read_success(MfiGateway *gateway, json_t *success)
{
	static const char *const names[] = {"status", "path", "equals", "regex", NULL};

	mfi_reader_check_members(success, "response.success", names);
	gateway->success_statuses = read_statuses(success, "response.success", "status");
	gateway->success_path = mfi_definition_copy(mfi_reader_string(success, "response.success", "path", false));
	gateway->success_values = mfi_reader_texts(success, "response.success", "equals");
	gateway->success_regex = mfi_definition_copy(mfi_reader_string(success, "response.success", "regex", false));
	if (gateway->success_regex != NULL)
		check_regex(gateway->success_regex, "response.success.regex");
	if ((gateway->success_path != NULL) != (gateway->success_values != NIL))
		mfi_reader_fail("response.success", "path and equals go together", NULL);
}

static void
read_id(MfiGateway *gateway, json_t *id)
{
	static const char *const names[] = {"path", "header", "url_segment", "regex", NULL};

	mfi_reader_check_members(id, "response.id", names);
	if (json_object_size(id) != 1)
		mfi_reader_fail("response.id", "expected one of path, header, url_segment, regex", NULL);
	gateway->id_path = mfi_definition_copy(mfi_reader_string(id, "response.id", "path", false));
	gateway->id_header = mfi_definition_copy(mfi_reader_string(id, "response.id", "header", false));
	gateway->id_segment_path = mfi_definition_copy(mfi_reader_string(id, "response.id", "url_segment", false));
	gateway->id_regex = mfi_definition_copy(mfi_reader_string(id, "response.id", "regex", false));
	if (gateway->id_regex != NULL)
		check_regex(gateway->id_regex, "response.id.regex");
}

static void
read_errors(MfiGateway *gateway, json_t *errors)
{
	static const char *const names[] = {"status", "code", "class", NULL};
	json_t	   *element;
	size_t		index;

	json_array_foreach(errors, index, element)
	{
		char	   *path = psprintf("response.errors[%zu]", index);
		MfiErrorRule *rule = palloc0(sizeof(MfiErrorRule));
		const char *class;
		bool		is_known = false;

		if (!json_is_object(element))
			mfi_reader_fail(path, "expected an object", NULL);
		mfi_reader_check_members(element, path, names);
		class = mfi_reader_string(element, path, "class", true);
		for (MfiVerdict verdict = MFI_VERDICT_RETRY; verdict <= MFI_VERDICT_UNKNOWN; verdict++)
			if (strcmp(mfi_verdict_name(verdict), class) == 0)
			{
				rule->verdict = verdict;
				is_known = true;
			}
		if (!is_known)
			mfi_reader_fail(mfi_reader_path(path, "class"), psprintf("there is no class \"%s\"", class),
							"Known classes: retry, throttle, permanent, recipient_dead, opted_out, config_broken, unauthorized, unknown.");
		if (rule->verdict == MFI_VERDICT_UNAUTHORIZED && !mfi_gateway_needs_token(gateway))
			mfi_reader_fail(mfi_reader_path(path, "class"), "the gateway has no token that could be a new one",
							"This class is for the authentication kinds oauth2 and jwt.");
		rule->statuses = read_statuses(element, path, "status");
		rule->codes = mfi_reader_texts(element, path, "code");
		if (rule->statuses == NIL && rule->codes == NIL)
			mfi_reader_fail(path, "expected status, code or both", NULL);
		if (rule->codes != NIL && gateway->code_paths == NIL)
			mfi_reader_fail(mfi_reader_path(path, "code"), "response.code does not say where codes stand", NULL);
		gateway->error_rules = lappend(gateway->error_rules, rule);
	}
}

void
mfi_definition_read_response(MfiGateway *gateway, json_t *response)
{
	static const char *const names[] = {"success", "id", "code", "errors", "retry_after", NULL};
	static const char *const code_names[] = {"path", NULL};
	static const char *const after_names[] = {"header", "path", "default", NULL};
	json_t	   *member;

	mfi_reader_check_members(response, "response", names);
	if ((member = mfi_reader_object(response, "response", "success")) != NULL)
		read_success(gateway, member);
	if ((member = mfi_reader_object(response, "response", "id")) != NULL)
		read_id(gateway, member);
	if ((member = mfi_reader_object(response, "response", "code")) != NULL)
	{
		mfi_reader_check_members(member, "response.code", code_names);
		gateway->code_paths = mfi_reader_texts(member, "response.code", "path");
		if (gateway->code_paths == NIL)
			mfi_reader_fail("response.code.path", "expected a string, found nothing", NULL);
	}
	if ((member = mfi_reader_array(response, "response", "errors")) != NULL)
		read_errors(gateway, member);
	if ((member = mfi_reader_object(response, "response", "retry_after")) != NULL)
	{
		const char *header = mfi_reader_string(member, "response.retry_after", "header", false);

		mfi_reader_check_members(member, "response.retry_after", after_names);
		if (header != NULL)
			gateway->retry_after_header = pstrdup(header);
		gateway->retry_after_path = mfi_definition_copy(mfi_reader_string(member, "response.retry_after", "path", false));
		gateway->retry_after_default_s = mfi_reader_number(member, "response.retry_after", "default", 5, 0, 86400);
	}
}
