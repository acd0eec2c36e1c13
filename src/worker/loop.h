/*
 * loop.h
 *		The one place where workers wait, and the turn that every loop begins
 *		with.
 */
#ifndef MFI_WORKER_LOOP_H
#define MFI_WORKER_LOOP_H

/* Signal handlers of a worker; is_prompt: SIGTERM also cancels a running statement, else it is for the loop alone. */
extern void mfi_loop_handle_signals(bool is_prompt);

/*
 * Begins a turn: forgets the wake-up (so look for work after it, never before),
 * serves interrupts, reloads the configuration. False: asked to stop.
 */
extern bool mfi_loop_turn(bool *is_reloaded);

/* Waits for a wake-up or the time-out (-1: for ever). */
extern void mfi_loop_wait(long timeout_ms);

/* Waits also until a descriptor can be read; returns whether it was a wake-up. */
extern bool mfi_loop_wait_readable(long timeout_ms, int descriptor);

/* Rests: a wake-up meanwhile is kept for the next wait, a request to stop ends it. */
extern void mfi_loop_rest(long duration_ms);

/* Delay after so many failures in a row: 1 s, doubled each time, at most a minute. */
extern long mfi_loop_backoff_ms(int failure_count);

#endif							/* MFI_WORKER_LOOP_H */
