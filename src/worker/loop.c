/*
 * loop.c
 *		Waiting, signals and reloads of the launcher and the workers.
 *
 * Every loop comes by here, so every loop reaches CHECK_FOR_INTERRUPTS: a worker
 * that did not would make DROP DATABASE of any database hang on the
 * process-signal barrier.
 */
#include "postgres.h"

#include <signal.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/loop.h"

#define BACKOFF_MAX_MS 60000

/* Whether the process just waits, with nothing in hand. */
static volatile sig_atomic_t is_waiting = false;

/*
 * stop_soon is SIGTERM for a worker that runs statements: one that waits ends
 * by its loop, one that works has its statement canceled.
 */
static void
stop_soon(SIGNAL_ARGS)
{
	if (is_waiting)
		SignalHandlerForShutdownRequest(postgres_signal_arg);
	else
		die(postgres_signal_arg);
}

void
mfi_loop_handle_signals(bool is_prompt)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, is_prompt ? stop_soon : SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
}

bool
mfi_loop_turn(bool *is_reloaded)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	*is_reloaded = ConfigReloadPending;
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return !ShutdownRequestPending;
}

void
mfi_loop_wait(long timeout_ms)
{
	is_waiting = true;
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0),
					 timeout_ms, PG_WAIT_EXTENSION);
	is_waiting = false;
	CHECK_FOR_INTERRUPTS();
}

void
mfi_loop_rest(long duration_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), duration_ms);
	bool		is_woken = false;

	is_waiting = true;
	while (!ShutdownRequestPending && GetCurrentTimestamp() < until)
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until) + 1;

		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  left_ms, PG_WAIT_EXTENSION) & WL_LATCH_SET)
		{
			is_woken = true;
			ResetLatch(MyLatch);
		}
		CHECK_FOR_INTERRUPTS();
	}
	is_waiting = false;
	if (is_woken)
		SetLatch(MyLatch);
}

bool
mfi_loop_wait_readable(long timeout_ms, int descriptor)
{
	int			events = WaitLatchOrSocket(MyLatch,
										   WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH
										   | (timeout_ms >= 0 ? WL_TIMEOUT : 0),
										   descriptor, timeout_ms, PG_WAIT_EXTENSION);

	CHECK_FOR_INTERRUPTS();
	return (events & WL_LATCH_SET) != 0;
}

long
mfi_loop_backoff_ms(int failure_count)
{
	long		delay_ms = 1000;

	for (int i = 1; i < failure_count && delay_ms < BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	return Min(delay_ms, BACKOFF_MAX_MS);
}
