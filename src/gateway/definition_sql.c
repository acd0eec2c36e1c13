/*
 * definition_sql.c
 *		The part of a gateway's definition that hands messages to a program by
 *		tables of this database, in place of a request.
 *
 * The statements themselves run in SQL (handover.sql); here they are only
 * looked at. Settings are the only tags that they may hold, and stand there as
 * identifiers.
 */
#include "postgres.h"

#include "gateway/definition.h"
#include "gateway/reader.h"

static void check_statement(json_t *sql, const char *member, bool is_needed);

static void
check_statement(json_t *sql, const char *member, bool is_needed)
{
	json_t *given = json_object_get(sql, member);
	StringInfoData statement;
	size_t i;
	json_t *line;

	initStringInfo(&statement);
	if (json_is_array(given))
	{
		(void) mfi_reader_texts(sql, "sql", member);
		json_array_foreach(given, i, line)
			appendStringInfo(&statement, "%s\n", json_string_value(line));
	}
	else if (given != NULL || is_needed)
		appendStringInfoString(&statement, mfi_reader_string(sql, "sql", member, true));
	if (statement.len > 0)
		(void) mfi_slot_parse(statement.data, psprintf("sql.%s", member), MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
}

void
mfi_definition_read_sql(MfiGateway *gateway, json_t *sql)
{
	static const char *const names[] = { "hand_over", "receipts", "inbound", NULL };

	mfi_reader_check_members(sql, "sql", names);
	check_statement(sql, "hand_over", true);
	check_statement(sql, "receipts", false);
	check_statement(sql, "inbound", false);
	gateway->is_sql = true;
}
