/*
 * secret.c
 *		Values that only the delivery code may read.
 *
 * The table is the extension's, so its owner is the superuser who created the
 * extension and no dump takes its rows. The installation's owner, who runs
 * everything else, cannot read it: the code below takes on the superuser's
 * rights for its own fixed statements alone.
 */
#include "postgres.h"

#include "base/file.h"
#include "base/jsonb.h"
#include "base/owner.h"
#include "base/secret.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#define SECRET_BYTES_MAX 65536
#define KEY_BYTES_MIN 32

PG_FUNCTION_INFO_V1(mfiauto_set_secret);
PG_FUNCTION_INFO_V1(mfiauto_remove_secret);
PG_FUNCTION_INFO_V1(mfiauto_match_secret);

static void run(const char *query, int count, Oid *types, Datum *values, const char *nulls, bool is_read_only);
static void check_source(const char *file, const char *env);
static void check_key(const char *value, const char *file);
static char *read_file(const char *path);
static char *read_source(HeapTuple tuple, TupleDesc descriptor, char **problem);

/*
 * run executes one of this file's statements as the superuser; the caller has
 * connected to SPI.
 */
static void
run(const char *query, int count, Oid *types, Datum *values, const char *nulls, bool is_read_only)
{
	MfiOwnerScope scope;
	int			code;

	mfi_owner_enter(&scope, BOOTSTRAP_SUPERUSERID, false);
	code = SPI_execute_with_args(query, count, types, values, nulls, is_read_only, 0);
	mfi_owner_leave(&scope);
	if (code < 0)
		elog(ERROR, "secret query failed: %s", SPI_result_code_string(code));
}

/*
 * check_source lets nobody read files or variables of the server by way of a
 * gateway who may not read them anyway.
 */
static void
check_source(const char *file, const char *env)
{
	Oid			caller = mfi_owner_caller();

	if (file != NULL && !has_privs_of_role(caller, ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errhidestmt(true),
				 errmsg("permission denied to read a secret from a file of the server"),
				 errhint("Only roles with privileges of the role pg_read_server_files may.")));
	if (env != NULL && !superuser_arg(caller))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to read a secret from the server's environment")));
	if (file != NULL && !is_absolute_path(file))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("path of a secret's file must be absolute")));
}

/*
 * SQL: mfiauto._set_secret(gateway, key, value, file, env)
 */
Datum
mfiauto_set_secret(PG_FUNCTION_ARGS)
{
	Oid			types[5] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Oid			note_types[3] = {TEXTOID, TEXTOID, BOOLOID};
	Datum		values[5];
	Datum		note_values[3];
	char		nulls[5];
	int			source_count = 0;
	char	   *key;
	char	   *used;

	/* First of all: what others see of this session must not show the value. */
	pgstat_report_activity(STATE_RUNNING, "SELECT mfiauto.set_secret(...)");
	for (int i = 0; i < 5; i++)
	{
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		source_count += i >= 2 && !PG_ARGISNULL(i);
	}
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || source_count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("a secret needs a gateway, a key, and one of value, file and env")));
	key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (key[0] == '\0' || strlen(key) > 63 || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("name of a secret is not valid"),
				 errhint("Use lower-case letters, digits and \"_\".")));
	if (!PG_ARGISNULL(2) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) > SECRET_BYTES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errhidestmt(true),
				 errmsg("secret is longer than %d bytes", SECRET_BYTES_MAX)));
	if (!PG_ARGISNULL(2) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("value of a secret is empty"),
				 errhint("mfiauto.drop_secret() takes a secret away.")));
	check_source(PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)),
				 PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	SPI_execute_with_args("SELECT FROM mfiauto.gateway_config g WHERE g.gateway = $1 FOR UPDATE", 1, types, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errhidestmt(true),
				 errmsg("gateway \"%s\" does not exist", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("See SELECT gateway, channel FROM mfiauto.gateway;")));
	run("INSERT INTO mfiauto._secret (gateway, key, value, file, env) VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT ON CONSTRAINT _secret_pkey DO UPDATE SET value = excluded.value, file = excluded.file, env = excluded.env",
		5, types, values, nulls, false);
	note_values[0] = values[0];
	note_values[1] = values[1];
	note_values[2] = BoolGetDatum(true);
	SPI_execute_with_args("SELECT mfiauto._note_secret($1, $2, $3)", 3, note_types, note_values, NULL, false, 0);
	used = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (used != NULL)
		ereport(NOTICE,
				(errhidestmt(true), errmsg("gateway \"%s\" uses no secret \"%s\"", text_to_cstring(PG_GETARG_TEXT_PP(0)), key),
				 errhint("It uses: %s.", used)));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * SQL: mfiauto._remove_secret(gateway, key): a null key means all of them.
 */
Datum
mfiauto_remove_secret(PG_FUNCTION_ARGS)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {0, 0};
	char		nulls[2];
	bool		is_removed;

	for (int i = 0; i < 2; i++)
	{
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		if (!PG_ARGISNULL(i))
			values[i] = PG_GETARG_DATUM(i);
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run("DELETE FROM mfiauto._secret s WHERE s.gateway = $1 AND ($2 IS NULL OR s.key = $2)", 2, types, values, nulls, false);
	is_removed = SPI_processed > 0;
	SPI_finish();
	PG_RETURN_BOOL(is_removed);
}

/*
 * SQL: mfiauto._match_secret(gateway, key, candidate): whether a value that
 * came from outside is the secret; takes the same time wherever they differ.
 * Null if there is no such secret.
 */
Datum
mfiauto_match_secret(PG_FUNCTION_ARGS)
{
	char	   *problem = NULL;
	Jsonb	   *secrets;
	JsonbValue	found;
	text	   *key_text = PG_GETARG_TEXT_PP(1);
	text	   *candidate = PG_GETARG_TEXT_PP(2);
	unsigned char difference;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	secrets = mfi_secret_load(text_to_cstring(PG_GETARG_TEXT_PP(0)), &problem);
	if (!mfi_jsonb_find(&secrets->root, VARDATA_ANY(key_text), VARSIZE_ANY_EXHDR(key_text), &found))
	{
		SPI_finish();
		PG_RETURN_NULL();
	}
	difference = found.val.string.len != (int) VARSIZE_ANY_EXHDR(candidate);
	for (int i = 0; i < (int) VARSIZE_ANY_EXHDR(candidate) && found.val.string.len > 0; i++)
		difference |= VARDATA_ANY(candidate)[i] ^ found.val.string.val[i % found.val.string.len];
	SPI_finish();
	PG_RETURN_BOOL(difference == 0);
}

/* check_key refuses what is no key, without telling it. */
static void
check_key(const char *value, const char *file)
{
	const char *content = file != NULL ? read_file(file) : value;

	if (value != NULL && file != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("a key comes either as a value or in a file")));
	if (file != NULL && content == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not read the key's file: %m"),
				 errhint("The server's operating system user must be able to read it.")));
	if (content != NULL && strlen(content) < KEY_BYTES_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
				 errmsg("key has less than %d bytes", KEY_BYTES_MIN),
				 errhint("Make one with: openssl rand -hex 32")));
}

/* mfi_secret_add_key: see secret.h. */
void
mfi_secret_add_key(const char *owner, char *value, const char *file, int keep, bool is_first)
{
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, BOOLOID};
	Datum		values[4] = {CStringGetTextDatum(owner)};
	char		nulls[4] = {' ', 'n', 'n', ' '};
	char		random[32];
	char		digits[2 * sizeof(random) + 1];

	check_source(file, NULL);
	check_key(value, file);
	if (value == NULL && file == NULL)
	{
		if (!pg_strong_random(random, sizeof(random)))
			elog(ERROR, "could not make random bytes");
		digits[hex_encode(random, sizeof(random), digits)] = '\0';
		value = digits;
	}
	if (value != NULL)
	{
		values[1] = CStringGetTextDatum(value);
		nulls[1] = ' ';
	}
	else
	{
		values[2] = CStringGetTextDatum(file);
		nulls[2] = ' ';
	}
	values[3] = BoolGetDatum(is_first);
	/* Two at a time would take the same number, or both be the first. */
	run("LOCK TABLE mfiauto._secret IN SHARE ROW EXCLUSIVE MODE", 0, NULL, NULL, NULL, false);
	run("INSERT INTO mfiauto._secret (gateway, key, value, file) "
		"SELECT $1, 'key_' || coalesce(max(substr(s.key, 5)::integer), 0) + 1, $2, $3 FROM mfiauto._secret s WHERE s.gateway = $1 "
		"HAVING NOT ($4 AND count(*) > 0)",
		4, types, values, nulls, false);
	types[1] = INT4OID;
	values[1] = Int32GetDatum(keep);
	run("DELETE FROM mfiauto._secret d WHERE d.gateway = $1 AND substr(d.key, 5)::integer <= "
		"(SELECT max(substr(s.key, 5)::integer) - $2 FROM mfiauto._secret s WHERE s.gateway = $1)",
		2, types, values, NULL, false);
}

/* A line's end is not the secret's; a space may be. */
static char *
read_file(const char *path)
{
	return mfi_file_read(path, SECRET_BYTES_MAX, "\r\n");
}

/*
 * read_source gives the value of one row (key, value, file, env), NULL and a
 * problem if it cannot be read now.
 */
static char *
read_source(HeapTuple tuple, TupleDesc descriptor, char **problem)
{
	char	   *key = SPI_getvalue(tuple, descriptor, 1);
	char	   *value = SPI_getvalue(tuple, descriptor, 2);
	char	   *file = SPI_getvalue(tuple, descriptor, 3);
	char	   *env = SPI_getvalue(tuple, descriptor, 4);

	if (value != NULL)
		return value;
	value = file != NULL ? read_file(file) : getenv(env);
	if (value == NULL || !pg_verifymbstr(value, strlen(value), true))
	{
		*problem = psprintf("secret \"%s\" cannot be read from its %s", key, file != NULL ? "file" : "environment variable");
		return NULL;
	}
	return value;
}

Jsonb *
mfi_secret_load(const char *gateway, char **problem)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(gateway)};
	JsonbParseState *state = NULL;

	run("SELECT s.key, s.value, s.file, s.env FROM mfiauto._secret s WHERE s.gateway = $1", 1, types, values, NULL, true);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		char	   *value = read_source(tuple, SPI_tuptable->tupdesc, problem);

		if (value != NULL)
			mfi_jsonb_push_text(&state, SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1), value, strlen(value));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
