/*
 * launcher.h
 *		The static worker that keeps an engine and a delivery worker running in
 *		each database that has mfiauto.
 */
#ifndef MFI_WORKER_LAUNCHER_H
#define MFI_WORKER_LAUNCHER_H

/* Registers the launcher, and the hook on commands that concern the workers. */
extern void mfi_launcher_define(void);

/* The hook itself: worker/lifecycle.c. */
extern void mfi_lifecycle_define(void);

#endif							/* MFI_WORKER_LAUNCHER_H */
