/*
 * clock.h
 *		Business time: the transaction's own, or the one that set_clock() gave
 *		this session.
 */
#ifndef MFI_BASE_CLOCK_H
#define MFI_BASE_CLOCK_H

#include "datatype/timestamp.h"

/* Now, for everything that due dates, expiries, caps and KPIs compare with. */
extern TimestampTz mfi_clock_now(void);

/* Whether this session runs under a clock, and giving it one (0: real time). */
extern bool mfi_clock_is_set(void);
extern void mfi_clock_set(TimestampTz at);

#endif							/* MFI_BASE_CLOCK_H */
