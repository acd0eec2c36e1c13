/*
 * limit.c
 *		A time limit on what users wrote.
 *
 * Inside a worker nothing arms the statement timer; in a session whose own
 * statement_timeout is running, that one stays.
 */
#include "postgres.h"

#include "base/limit.h"
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

void
mfi_limit_begin(MfiLimit *limit, const char *what, const char *setting, int ms)
{
	limit->what = what;
	limit->setting = setting;
	limit->ms = ms;
	limit->context = CurrentMemoryContext;
	limit->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	limit->is_armed = !get_timeout_active(STATEMENT_TIMEOUT);
	if (limit->is_armed)
		enable_timeout_after(STATEMENT_TIMEOUT, ms);
}

void
mfi_limit_end(MfiLimit *limit)
{
	if (limit->is_armed)
		disable_timeout(STATEMENT_TIMEOUT, false);
}

void
mfi_limit_fail(MfiLimit *limit)
{
	ErrorData *error;
	MemoryContext pending;

	if (!limit->is_armed)
		return;
	disable_timeout(STATEMENT_TIMEOUT, false);
	pending = MemoryContextSwitchTo(limit->context);
	error = CopyErrorData();
	MemoryContextSwitchTo(pending);
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && GetCurrentTimestamp() >= limit->until)
	{
		FlushErrorState();
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%s took longer than %s, %d ms", limit->what, limit->setting,
							   limit->ms),
						errhint("Simplify it, or raise the limit.")));
	}
	FreeErrorData(error);
}
