/*
 * server.h
 *		The HTTP side.
 */
#ifndef RECEIVER_SERVER_H
#define RECEIVER_SERVER_H

extern void server_start(void);

/* Called about twice a second: ends connections whose request takes too long to arrive. */
extern void server_sweep(void);

/* Accepts nobody else, finishes what was accepted, ends. */
extern void server_stop(void);

#endif							/* RECEIVER_SERVER_H */
