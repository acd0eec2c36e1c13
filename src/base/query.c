/*
 * query.c
 *		A worker's transaction around SPI.
 *
 * A worker connects without a role, that is as the bootstrap superuser: the
 * installation's owner need not be allowed to log in. So each transaction takes
 * on the owner's rights first thing, restricted, so that nothing of the owner's
 * (a deferred trigger, a held cursor) is left to run at the commit, when the
 * rights are the superuser's again. And it holds the extension: DROP EXTENSION
 * waits for at most one pass, and a pass never runs beside it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/owner.h"
#include "base/query.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static MfiOwnerScope scope;

static void
hold_extension(void)
{
	Oid			extension = get_extension_oid("mfiauto", true);

	if (OidIsValid(extension))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		if (get_extension_oid("mfiauto", true) == extension)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("extension \"mfiauto\" is not in this database any more")));
}

void
mfi_query_settle_session(void)
{
	/* What left the house must be on disk. */
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		SetConfigOption("synchronous_commit", "on", PGC_USERSET, PGC_S_OVERRIDE);
	/* Small sets, many statements: compiling them costs far more than it saves. */
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
}

void
mfi_query_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (activity != NULL)
		pgstat_report_activity(STATE_RUNNING, activity);
	hold_extension();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	mfi_owner_enter(&scope, mfi_owner_installation(), true);
}

void
mfi_query_renew_snapshot(void)
{
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
mfi_query_commit(void)
{
	mfi_owner_leave(&scope);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

ErrorData *
mfi_query_fail(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(context);
	return error;
}
