/*
 * site.c
 *		Where this server is: what arm_delivery() remembers and compares.
 *
 * A copied data directory, a restored dump, a TEMPLATE copy and a point-in-time
 * restore all hold the messages of real clients, and must not send them. What
 * tells them apart is the system identifier, the database, the timeline with
 * the reason why it began, and the node: the machine and the data directory.
 * An identical clone of the machine has the same of all these; for that there
 * is the age of the heartbeat, and mfiauto.site_file outside the image.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/guc.h"
#include "commands/dbcommands.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define NODE_BYTES 16
#define SITE_BYTES_MAX 4096
#define TEXT_BYTES_MAX 256
#define WHITE_SPACE " \r\n"

PG_FUNCTION_INFO_V1(mfiauto_read_site);
PG_FUNCTION_INFO_V1(mfiauto_this_node);
PG_FUNCTION_INFO_V1(mfiauto_timeline_break);
PG_FUNCTION_INFO_V1(mfiauto_has_clock);

/*
 * machine_name is the machine's id where the system keeps one, else its host
 * name.
 */
static char *
machine_name(void)
{
	char	   *id = mfi_file_read("/etc/machine-id", TEXT_BYTES_MAX, WHITE_SPACE);
	char		host[TEXT_BYTES_MAX];

	if (id == NULL || id[0] == '\0')
		id = mfi_file_read("/var/lib/dbus/machine-id", TEXT_BYTES_MAX, WHITE_SPACE);
	if (id != NULL && id[0] != '\0')
		return id;
	if (gethostname(host, sizeof(host)) != 0)
		return pstrdup("");
	host[sizeof(host) - 1] = '\0';
	return pstrdup(host);
}

/*
 * this_node is a hash of machine and data directory: 32 hexadecimal digits.
 */
static char *
this_node(void)
{
	char	   *place = psprintf("%s\n%s", machine_name(), DataDir);
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *node = palloc(NODE_BYTES * 2 + 1);

	if (hash == NULL || pg_cryptohash_init(hash) < 0
		|| pg_cryptohash_update(hash, (uint8 *) place, strlen(place)) < 0
		|| pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute the node's hash");
	pg_cryptohash_free(hash);
	for (int i = 0; i < NODE_BYTES; i++)
		snprintf(node + i * 2, 3, "%02x", digest[i]);
	return node;
}

/* SQL: mfiauto.this_node(); also on a standby, whose node is to be allowed. */
Datum
mfiauto_this_node(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(this_node()));
}

/*
 * SQL: mfiauto._read_site(OUT system_identifier, database_name, database_oid,
 * timeline, node, site). site is null without mfiauto.site_file, and '' when
 * that file cannot be read.
 */
Datum
mfiauto_read_site(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	Datum		values[6];
	bool		nulls[6] = {false};
	char	   *site = NULL;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errhint("A standby sends nothing; ask on the primary, or after promotion.")));
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (mfi_guc_site_file != NULL && mfi_guc_site_file[0] != '\0')
	{
		site = mfi_file_read(mfi_guc_site_file, SITE_BYTES_MAX, WHITE_SPACE);
		if (site == NULL)
			site = pstrdup("");
		else if (!pg_verifymbstr(site, (int) strlen(site), true))
			site = pstrdup("");
	}
	values[0] = DirectFunctionCall3(numeric_in,
									CStringGetDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier())),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	values[1] = CStringGetTextDatum(get_database_name(MyDatabaseId));
	values[2] = Int64GetDatum((int64) MyDatabaseId);
	values[3] = Int64GetDatum((int64) GetWALInsertionTimeLine());
	values[4] = CStringGetTextDatum(this_node());
	values[5] = site == NULL ? (Datum) 0 : CStringGetTextDatum(site);
	nulls[5] = site == NULL;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * SQL: mfiauto._timeline_break(since bigint, now bigint): why the server is no
 * plain continuation of timeline "since". Null when it is: the same timeline,
 * or promotions only. A point-in-time restore names its target in the history.
 */
Datum
mfiauto_timeline_break(PG_FUNCTION_ARGS)
{
	TimeLineID	since = (TimeLineID) PG_GETARG_INT64(0);
	TimeLineID	current = (TimeLineID) PG_GETARG_INT64(1);
	char		path[MAXPGPATH];
	char		line[MAXPGPATH];
	FILE	   *file;
	text	   *reason = NULL;
	bool		is_descendant = false;

	if (since == current)
		PG_RETURN_NULL();
	TLHistoryFilePath(path, current);
	file = AllocateFile(path, "r");
	if (file == NULL)
		PG_RETURN_TEXT_P(cstring_to_text("its history file is missing"));
	while (fgets(line, sizeof(line), file) != NULL && reason == NULL)
	{
		TimeLineID	parent;
		uint32		high;
		uint32		low;
		int			consumed = 0;

		if (sscanf(line, "%u\t%X/%X%n", &parent, &high, &low, &consumed) != 3 || parent < since)
			continue;
		is_descendant = is_descendant || parent == since;
		line[strcspn(line, "\r\n")] = '\0';
		if (strstr(line + consumed, "no recovery target specified") == NULL)
			reason = cstring_to_text(line + consumed + strspn(line + consumed, " \t"));
	}
	FreeFile(file);
	if (reason == NULL && !is_descendant)
		reason = cstring_to_text("it does not descend from the timeline that was armed");
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(reason);
}

/* SQL: mfiauto._has_clock(): whether set_clock() gave this session a clock. */
Datum
mfiauto_has_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mfi_clock_is_set());
}
