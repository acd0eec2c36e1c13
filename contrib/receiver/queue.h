/*
 * queue.h
 *		Requests that were answered and that the database has not seen: a file
 *		each, on disk before the answer goes out.
 */
#ifndef RECEIVER_QUEUE_H
#define RECEIVER_QUEUE_H

#include "base.h"

typedef enum Queued
{
	QUEUED,
	QUEUE_FULL,
	QUEUE_BROKEN
} Queued;

typedef struct QueueState
{
	long count;
	long long bytes;
	long aside_count;
	long long aside_bytes;
} QueueState;

extern void queue_setup(void);

/* Looks at the directory anew: what somebody put back is in the queue again. */
extern void queue_scan(void);

extern Queued queue_put(const Request *request);
extern QueueState queue_state(void);

/* Waits up to a time for a request; false if there is none. *name is its file's, the caller's to free. */
extern bool queue_wait(int timeout_ms, char **name);
extern void queue_wake(void);

/* Reads a file; false if it is not whole. */
extern bool queue_read(const char *name, Request *request);

extern void queue_remove(const char *name);

/*
 * Takes a request out of the queue without losing it; reason is a word of the
 * file's new name. What was refused, as forgeries are, goes when more than
 * queue_limit_mb was set aside.
 */
extern void queue_set_aside(const char *name, const char *reason, bool is_refused);

#endif							/* RECEIVER_QUEUE_H */
