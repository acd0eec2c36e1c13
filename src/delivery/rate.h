/*
 * rate.h
 *		How fast, and whether at all, a gateway may be used now: token bucket,
 *		pauses that the provider asked for, circuit breaker. Real time,
 *		whatever the clock says.
 */
#ifndef MFI_DELIVERY_RATE_H
#define MFI_DELIVERY_RATE_H

typedef enum MfiCircuit
{
	MFI_CIRCUIT_CLOSED,
	MFI_CIRCUIT_OPEN,
	MFI_CIRCUIT_HALF_OPEN,		/* one request may probe */
	MFI_CIRCUIT_STOPPED,		/* somebody has to act */
} MfiCircuit;

typedef struct MfiRate
{
	double		per_second;		/* 0: no limit */
	double		tokens;
	int64		refilled_at_ms;
	MfiCircuit	circuit;
	int			failures;		/* in a row */
	int			openings;		/* in a row: each pause is longer */
	int			failures_max;
	bool		is_probing;
	int64		open_until_ms;
	int64		throttled_until_ms;
} MfiRate;

/* Milliseconds of a clock that only goes forward. */
extern int64 mfi_rate_now_ms(void);
/* Takes limits over; what was learned stays. */
extern void mfi_rate_configure(MfiRate *rate, double per_second, int failures_max);
/* Whether one request may start now; takes its token. */
extern bool mfi_rate_take(MfiRate *rate, int64 now_ms);
/* What was let through says nothing of the circuit: the next one may probe. */
extern void mfi_rate_leave_probe(MfiRate *rate);
/* Whether anything may be claimed for the gateway. */
extern bool mfi_rate_is_available(MfiRate *rate, int64 now_ms);
/* Requests that may start within the given time. */
extern int	mfi_rate_allowance(const MfiRate *rate, int64 now_ms, int within_ms, int most);
/* When waiting is over; -1 if it is not waiting for time. */
extern int64 mfi_rate_ready_at_ms(const MfiRate *rate, int64 now_ms);
/* What the answers say: they close, open or stop the circuit, or ask for a pause of so many seconds. */
extern void mfi_rate_succeeded(MfiRate *rate);
extern void mfi_rate_failed(MfiRate *rate, int64 now_ms);
extern void mfi_rate_throttle(MfiRate *rate, int64 now_ms, double seconds);
extern const char *mfi_rate_circuit_name(MfiCircuit circuit);
/* Exponential backoff with full jitter, in seconds, for the given attempt (from 1). */
extern double mfi_rate_backoff_s(int attempt);

#endif							/* MFI_DELIVERY_RATE_H */
