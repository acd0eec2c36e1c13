/*
 * clock.c
 *		Business time.
 *
 * Tests, demos and rehearsals play months in seconds: under a clock set with
 * set_clock(), due dates, expiries, caps, quiet hours and KPIs follow that
 * clock, while leases, rates, time-outs and token lifetimes stay on real time.
 * The clock belongs to the session. It starts no worker and no other session
 * sees it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

static TimestampTz session_clock = 0;

PG_FUNCTION_INFO_V1(mfiauto_now);
PG_FUNCTION_INFO_V1(mfiauto_set_clock);

/*
 * mfi_clock_now returns the session's clock, else the transaction's start.
 */
TimestampTz
mfi_clock_now(void)
{
	return session_clock != 0 ? session_clock : GetCurrentTransactionStartTimestamp();
}

bool
mfi_clock_is_set(void)
{
	return session_clock != 0;
}

/*
 * mfi_clock_set gives this process a clock; 0 takes it away.
 */
void
mfi_clock_set(TimestampTz at)
{
	session_clock = at;
}

/* SQL: mfiauto.now() */
Datum
mfiauto_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(mfi_clock_now());
}

/*
 * SQL: mfiauto._set_clock(timestamptz), superusers only; null: real time.
 */
Datum
mfiauto_set_clock(PG_FUNCTION_ARGS)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to set the clock")));
	if (PG_ARGISNULL(0))
		mfi_clock_set(0);
	else
	{
		TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);

		if (TIMESTAMP_NOT_FINITE(at))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("clock must be a finite time")));
		mfi_clock_set(at);
	}
	PG_RETURN_VOID();
}
