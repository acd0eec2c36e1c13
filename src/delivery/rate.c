/*
 * rate.c
 *		Token bucket, pauses and circuit breaker of one gateway.
 *
 * A provider that is down is asked less and less often, and one that is asked
 * to slow down is believed; a queue that waits costs nothing, a blocked
 * account does.
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "delivery/rate.h"
#include "portability/instr_time.h"

#define PAUSE_S_MIN 1.0			/* who asks to wait for no time, or until a moment that is past */
#define OPEN_MS_MIN 5000
#define OPEN_MS_MAX 300000
#define BACKOFF_S_BASE 10.0
#define BACKOFF_S_MAX 900.0

static void refill(MfiRate *rate, int64 now_ms);
static double bucket_size(const MfiRate *rate);

int64
mfi_rate_now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now) / 1000;
}

/* A bucket holds what flows in a tenth of a second, at least one: no bursts. */
static double
bucket_size(const MfiRate *rate)
{
	return Max(1.0, rate->per_second / 10);
}

static void
refill(MfiRate *rate, int64 now_ms)
{
	rate->tokens = Min(bucket_size(rate), rate->tokens + rate->per_second * (now_ms - rate->refilled_at_ms) / 1000.0);
	rate->refilled_at_ms = now_ms;
}

void
mfi_rate_configure(MfiRate *rate, double per_second, int failures_max)
{
	if (rate->refilled_at_ms == 0)
	{
		rate->refilled_at_ms = mfi_rate_now_ms();
		rate->tokens = 1;
	}
	rate->per_second = per_second;
	rate->failures_max = failures_max;
}

bool
mfi_rate_is_available(MfiRate *rate, int64 now_ms)
{
	if (rate->circuit == MFI_CIRCUIT_OPEN && now_ms >= rate->open_until_ms)
		rate->circuit = MFI_CIRCUIT_HALF_OPEN;
	if (rate->circuit == MFI_CIRCUIT_OPEN || rate->circuit == MFI_CIRCUIT_STOPPED)
		return false;
	return now_ms >= rate->throttled_until_ms;
}

bool
mfi_rate_take(MfiRate *rate, int64 now_ms)
{
	if (!mfi_rate_is_available(rate, now_ms))
		return false;
	if (rate->circuit == MFI_CIRCUIT_HALF_OPEN)
	{
		if (rate->is_probing)
			return false;
		rate->is_probing = true;
	}
	if (rate->per_second <= 0)
		return true;
	refill(rate, now_ms);
	if (rate->tokens < 1)
		return false;
	rate->tokens -= 1;
	return true;
}

void
mfi_rate_leave_probe(MfiRate *rate)
{
	rate->is_probing = false;
}

int
mfi_rate_allowance(const MfiRate *rate, int64 now_ms, int within_ms, int most)
{
	double		allowance;

	if (rate->circuit == MFI_CIRCUIT_HALF_OPEN)
		return Min(1, most);
	if (rate->per_second <= 0)
		return most;
	allowance = rate->tokens + rate->per_second * (now_ms - rate->refilled_at_ms + within_ms) / 1000.0;
	return (int) Max(1, Min(allowance, (double) most));
}

int64
mfi_rate_ready_at_ms(const MfiRate *rate, int64 now_ms)
{
	if (rate->circuit == MFI_CIRCUIT_STOPPED || rate->circuit == MFI_CIRCUIT_HALF_OPEN)
		return -1;
	if (rate->circuit == MFI_CIRCUIT_OPEN)
		return rate->open_until_ms;
	if (now_ms < rate->throttled_until_ms)
		return rate->throttled_until_ms;
	if (rate->per_second > 0 && rate->tokens < 1)
		return rate->refilled_at_ms + (int64) ceil((1 - rate->tokens) * 1000 / rate->per_second);
	return now_ms;
}

void
mfi_rate_succeeded(MfiRate *rate)
{
	rate->failures = 0;
	rate->openings = 0;
	rate->is_probing = false;
	if (rate->circuit != MFI_CIRCUIT_STOPPED)
		rate->circuit = MFI_CIRCUIT_CLOSED;
}

void
mfi_rate_failed(MfiRate *rate, int64 now_ms)
{
	bool		is_probe = rate->circuit == MFI_CIRCUIT_HALF_OPEN;

	rate->failures++;
	rate->is_probing = false;
	if (rate->circuit == MFI_CIRCUIT_STOPPED || (!is_probe && rate->failures < rate->failures_max))
		return;
	if (rate->circuit != MFI_CIRCUIT_OPEN)
	{
		rate->circuit = MFI_CIRCUIT_OPEN;
		rate->open_until_ms = now_ms + Min(OPEN_MS_MAX, OPEN_MS_MIN << Min(rate->openings, 10));
		rate->openings++;
	}
}

void
mfi_rate_throttle(MfiRate *rate, int64 now_ms, double seconds)
{
	rate->is_probing = false;
	rate->throttled_until_ms = Max(rate->throttled_until_ms, now_ms + (int64) (Max(seconds, PAUSE_S_MIN) * 1000));
}

const char *
mfi_rate_circuit_name(MfiCircuit circuit)
{
	switch (circuit)
	{
		case MFI_CIRCUIT_CLOSED:
			return "closed";
		case MFI_CIRCUIT_OPEN:
			return "open";
		case MFI_CIRCUIT_HALF_OPEN:
			return "half_open";
		case MFI_CIRCUIT_STOPPED:
			return "stopped";
	}
	return "closed";
}

double
mfi_rate_backoff_s(int attempt)
{
	double		most = Min(BACKOFF_S_MAX, BACKOFF_S_BASE * (1 << Min(attempt - 1, 10)));

	return 1 + pg_prng_double(&pg_global_prng_state) * (most - 1);
}
