/*
 * engine.h
 *		A pass of the engine: the journal consumed, runs entered, ended, moved
 *		and advanced, their messages made.
 */
#ifndef MFI_ENGINE_ENGINE_H
#define MFI_ENGINE_ENGINE_H

typedef struct MfiEngineCounts
{
	int64		events;
	int64		entered;
	int64		advanced;
	int64		exited;
	int64		messages;
	int64		parked;
	int64		followed;		/* clients whose profile and segments were brought up to date */
} MfiEngineCounts;

/*
 * Does one batch inside the caller's transaction, with the rights of the
 * installation's owner, and adds to counts. Returns whether anything was done,
 * so that more may be due: the worker commits and calls again.
 */
extern bool mfi_engine_pass(MfiEngineCounts *counts);

#endif							/* MFI_ENGINE_ENGINE_H */
