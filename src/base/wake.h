/*
 * wake.h
 *		Waking the workers when a transaction that gave them work commits. The
 *		only thing that stages share besides tables.
 */
#ifndef MFI_BASE_WAKE_H
#define MFI_BASE_WAKE_H

typedef enum MfiWakeTarget
{
	MFI_WAKE_ENGINE,
	MFI_WAKE_DELIVERY,
	MFI_WAKE_LAUNCHER,
	MFI_WAKE_TARGETS
} MfiWakeTarget;

/* Whether the library was preloaded, so that there is shared memory and a launcher. */
extern bool mfi_wake_is_preloaded(void);

/* Reserves the shared memory; called once, by _PG_init under the preload. */
extern void mfi_wake_define(void);

/*
 * Asks that a worker of this database be woken once this transaction commits.
 * Cheap enough for a row trigger; does nothing without the preload. Never raises.
 */
extern void mfi_wake_at_commit(MfiWakeTarget target);

/* Wakes the workers of one database at once; the database does not matter for the launcher. */
extern void mfi_wake_now(Oid database, MfiWakeTarget target);

/* This process is from now until its end who is woken for (database, target). */
extern void mfi_wake_attach(Oid database, MfiWakeTarget target);

/* Whether anybody is there to be woken for the target (the launcher), in any database. */
extern bool mfi_wake_is_awaited(MfiWakeTarget target);

#endif							/* MFI_BASE_WAKE_H */
