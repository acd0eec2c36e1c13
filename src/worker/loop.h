/*
 * loop.h
 *		The one place where workers wait, and the turn that every loop begins
 *		with.
 */
#ifndef MFI_WORKER_LOOP_H
#define MFI_WORKER_LOOP_H

#include "storage/latch.h"

typedef struct MfiLoopSocket
{
	pgsocket	socket;
	uint32		events;			/* WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE */
} MfiLoopSocket;

/* Signal handlers of a worker; is_prompt: SIGTERM also cancels a running statement. */
extern void mfi_loop_handle_signals(bool is_prompt);

/*
 * Begins a turn: forgets the wake-up (so look for work after it, never before),
 * serves interrupts, reloads the configuration. False: asked to stop.
 */
extern bool mfi_loop_turn(bool *is_reloaded);

/* Waits for a wake-up or the time-out (-1: for ever). */
extern void mfi_loop_wait(long timeout_ms);

/* Rests: a wake-up meanwhile is kept for the next wait, a request to stop ends it. */
extern void mfi_loop_rest(long duration_ms);

/* Waits also for sockets; returns how many are ready and puts them first in ready[]. */
extern int	mfi_loop_wait_sockets(long timeout_ms, const MfiLoopSocket *sockets, int socket_count,
								  MfiLoopSocket *ready);

/* Delay after so many failures in a row: 1 s, doubled each time, at most a minute. */
extern long mfi_loop_backoff_ms(int failure_count);

#endif							/* MFI_WORKER_LOOP_H */
