/*
 * pool.h
 *		The threads that ask the database, and decide what is said when it is
 *		away.
 */
#ifndef RECEIVER_POOL_H
#define RECEIVER_POOL_H

#include "exchange.h"

/* done is called by a worker when an exchange has its answer. */
extern void pool_start(void (*done)(Exchange *exchange));

/* False if too many wait already. */
extern bool pool_submit(Exchange *exchange);

extern void pool_stop(void);

#endif							/* RECEIVER_POOL_H */
