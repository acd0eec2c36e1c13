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
	MFI_WAKE_TARGETS
} MfiWakeTarget;

/*
 * Asks that a worker of this database be woken once this transaction commits.
 * Cheap enough for a row trigger; does nothing without the preload. Never raises.
 */
extern void mfi_wake_at_commit(MfiWakeTarget target);

#endif							/* MFI_BASE_WAKE_H */
