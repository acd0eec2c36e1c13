/*
 * roster.h
 *		Which worker runs in which database, in shared memory: written by the
 *		launcher and the workers, read by status and by whoever must have them
 *		gone.
 */
#ifndef MFI_WORKER_ROSTER_H
#define MFI_WORKER_ROSTER_H

#include "datatype/timestamp.h"

typedef enum MfiWorkerKind
{
	MFI_WORKER_SCOUT,
	MFI_WORKER_ENGINE,
	MFI_WORKER_DELIVERY,
} MfiWorkerKind;

/* What a scout or a worker found in its database, or how it ended. */
typedef enum MfiFinding
{
	MFI_FINDING_NONE,			/* ended without a word: an error, a signal */
	MFI_FINDING_READY,
	MFI_FINDING_ABSENT,			/* no extension */
	MFI_FINDING_NOT_INSTALLED,
	MFI_FINDING_OTHER_VERSION,
	MFI_FINDING_OFF,			/* mfiauto.workers is off */
	MFI_FINDING_LOOK_AGAIN,		/* something changed: left so that it is looked at anew */
} MfiFinding;

typedef enum MfiRosterState
{
	MFI_ROSTER_FREE,
	MFI_ROSTER_STARTING,
	MFI_ROSTER_RUNNING,
	MFI_ROSTER_ENDED,
} MfiRosterState;

typedef struct MfiRosterEntry
{
	MfiRosterState state;
	MfiWorkerKind kind;
	Oid			database;
	pid_t		pid;
	MfiFinding	finding;
	bool		is_asked_to_look;
	TimestampTz since;
} MfiRosterEntry;

extern void mfi_roster_define(void);

/* A finding in plain words. */
extern const char *mfi_roster_finding_text(MfiFinding finding);

/* For the launcher: a place for a worker to be; -1 when the database is kept clear or nothing is free. */
extern int	mfi_roster_reserve(Oid database, MfiWorkerKind kind);
extern void mfi_roster_free(int index);
extern MfiRosterEntry mfi_roster_read(int index);
extern int	mfi_roster_size(void);

/* For a worker: takes its reserved place until it ends; false: the place was taken back meanwhile. */
extern bool mfi_roster_enter(int index, Oid database, MfiWorkerKind kind);
extern void mfi_roster_report(MfiFinding finding);
extern bool mfi_roster_is_asked_to_look(void);

/*
 * For sessions. keep_clear stops the workers of a database, waits until they
 * are gone, and keeps new ones from it until this session lets it go or ends.
 */
extern void mfi_roster_keep_clear(Oid database);
extern void mfi_roster_let_go(Oid database);
extern bool mfi_roster_is_kept_clear(Oid database);

/* Asks, at commit, that a database be looked at anew: its extension or settings changed. */
extern void mfi_roster_look_at_commit(Oid database);

/* For the launcher: the next database to look at anew; false: none. InvalidOid: all. */
extern bool mfi_roster_next_look(Oid *database);

/* Whether a worker could not be started for want of max_worker_processes. */
extern void mfi_roster_set_exhausted(bool is_exhausted);
extern bool mfi_roster_is_exhausted(void);

/* Sends SIGTERM to every worker, of all databases. */
extern void mfi_roster_stop_all(void);

#endif							/* MFI_WORKER_ROSTER_H */
