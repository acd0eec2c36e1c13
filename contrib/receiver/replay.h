/*
 * replay.h
 *		Says what waits on disk to the database, when that is back.
 */
#ifndef RECEIVER_REPLAY_H
#define RECEIVER_REPLAY_H

extern void replay_start(void);
extern void replay_stop(void);

#endif							/* RECEIVER_REPLAY_H */
