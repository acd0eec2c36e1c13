/*
 * worker.h
 *		What the worker processes share: their start, what they record, and the
 *		look at their database.
 */
#ifndef MFI_WORKER_WORKER_H
#define MFI_WORKER_WORKER_H

#include "worker/roster.h"

/* Takes the place that the launcher reserved and connects; does not return when the place is gone. */
extern void mfi_worker_start(Datum place, MfiWorkerKind kind);

/* What this database is to mfiauto just now. Opens a transaction of its own. */
extern MfiFinding mfi_worker_look(void);

/* worker/record.c: what mfiauto.worker_state says of this worker. Own transactions; never raise. */
extern void mfi_record_heartbeat(const char *worker, bool is_start);
extern void mfi_record_error(const char *worker, ErrorData *error);

/* Before the first heartbeat: holds delivery when the last one is too old. */
extern void mfi_record_stale_hold(void);

/* Whether this server may send, and what delivery's last trouble was: logged and kept when it changes. */
extern void mfi_record_delivery(const char *trouble);

#endif							/* MFI_WORKER_WORKER_H */
