/*
 * lifecycle.c
 *		What commands of the users mean for the workers.
 *
 * A worker's connection would make DROP DATABASE, ALTER DATABASE ... RENAME and
 * the use as a template fail with "is being accessed by other users". So the
 * workers leave before such a command runs and come back after it, by
 * themselves. Creating, updating and dropping the extension, and the settings
 * of a database, are looked at when they commit.
 */
#include "postgres.h"

#include "base/wake.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "worker/launcher.h"
#include "worker/roster.h"

PG_FUNCTION_INFO_V1(mfiauto_announce_change);

static ProcessUtility_hook_type previous_utility_hook = NULL;

/*
 * owned_database resolves a database that the caller may alter; InvalidOid when
 * there is none, or when it is not the caller's: then the command itself fails,
 * and nobody's workers were stopped for it.
 */
static Oid
owned_database(const char *name)
{
	Oid			database = get_database_oid(name, true);

	if (!OidIsValid(database) || !pg_database_ownercheck(database, GetUserId()))
		return InvalidOid;
	return database;
}

/*
 * template_database is the database that CREATE DATABASE is about to copy.
 */
static Oid
template_database(CreatedbStmt *statement)
{
	ListCell   *cell;

	if (!have_createdb_privilege())
		return InvalidOid;
	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return owned_database(defGetString(option));
	}
	return InvalidOid;
}

/*
 * database_to_clear says which database the workers must leave for a command.
 */
static Oid
database_to_clear(Node *command)
{
	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			return owned_database(((DropdbStmt *) command)->dbname);
		case T_CreatedbStmt:
			return template_database((CreatedbStmt *) command);
		case T_AlterDatabaseStmt:
			return owned_database(((AlterDatabaseStmt *) command)->dbname);
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				return owned_database(((RenameStmt *) command)->subname);
			return InvalidOid;
		default:
			return InvalidOid;
	}
}

/*
 * drops_extension tells DROP EXTENSION mfiauto, also by its schema.
 */
static bool
drops_extension(DropStmt *statement)
{
	ListCell   *cell;

	if (statement->removeType != OBJECT_EXTENSION && statement->removeType != OBJECT_SCHEMA)
		return false;
	foreach(cell, statement->objects)
		if (IsA(lfirst(cell), String) && strcmp(strVal(lfirst(cell)), "mfiauto") == 0)
			return true;
	return false;
}

/*
 * look_after asks, at commit, for a look at what the command changed.
 */
static void
look_after(Node *command)
{
	switch (nodeTag(command))
	{
		case T_CreateExtensionStmt:
			if (strcmp(((CreateExtensionStmt *) command)->extname, "mfiauto") == 0)
				mfi_roster_look_at_commit(MyDatabaseId);
			break;
		case T_AlterExtensionStmt:
			if (strcmp(((AlterExtensionStmt *) command)->extname, "mfiauto") == 0)
				mfi_roster_look_at_commit(MyDatabaseId);
			break;
		case T_DropStmt:
			if (drops_extension((DropStmt *) command))
				mfi_roster_look_at_commit(MyDatabaseId);
			break;
		case T_AlterDatabaseSetStmt:
			mfi_roster_look_at_commit(get_database_oid(((AlterDatabaseSetStmt *) command)->dbname, true));
			break;
		case T_CreatedbStmt:
		case T_DropdbStmt:
			mfi_wake_at_commit(MFI_WAKE_LAUNCHER);
			break;
		default:
			break;
	}
}

static void
run_command(PlannedStmt *planned, const char *query, bool is_tree_read_only,
			ProcessUtilityContext context, ParamListInfo parameters,
			QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (previous_utility_hook)
		previous_utility_hook(planned, query, is_tree_read_only, context, parameters,
							  environment, receiver, completion);
	else
		standard_ProcessUtility(planned, query, is_tree_read_only, context, parameters,
								environment, receiver, completion);
}

static void
watch_command(PlannedStmt *planned, const char *query, bool is_tree_read_only,
			  ProcessUtilityContext context, ParamListInfo parameters,
			  QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	Node	   *command = planned->utilityStmt;
	Oid			cleared = database_to_clear(command);
	/* What ends transactions may free its own tree: read before, not after. */
	bool		is_transaction = IsA(command, TransactionStmt);
	bool		is_commit_prepared = is_transaction
		&& ((TransactionStmt *) command)->kind == TRANS_STMT_COMMIT_PREPARED;
	bool		is_looked_after = !is_transaction && !IsA(command, CallStmt) && !IsA(command, DoStmt);

	if (OidIsValid(cleared))
		mfi_roster_keep_clear(cleared);
	PG_TRY();
	{
		run_command(planned, query, is_tree_read_only, context, parameters,
					environment, receiver, completion);
	}
	PG_FINALLY();
	{
		if (OidIsValid(cleared))
			mfi_roster_let_go(cleared);
	}
	PG_END_TRY();
	if (is_commit_prepared)
		mfi_wake_now(MyDatabaseId, MFI_WAKE_ENGINE);
	if (is_looked_after)
		look_after(command);
}

void
mfi_lifecycle_define(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_command;
}

/*
 * SQL: mfiauto._announce_change(): for install(), migrate() and uninstall().
 */
Datum
mfiauto_announce_change(PG_FUNCTION_ARGS)
{
	mfi_roster_look_at_commit(MyDatabaseId);
	PG_RETURN_VOID();
}
