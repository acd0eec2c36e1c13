/*
 * query.h
 *		A worker's transaction around SPI, in the one right order.
 */
#ifndef MFI_BASE_QUERY_H
#define MFI_BASE_QUERY_H

/* Once in a worker: whatever the database is set to, what it does is whole, on disk, and by the newest snapshot. */
extern void mfi_query_settle_session(void);

/*
 * Opens a transaction with SPI and a snapshot, with the rights of the
 * installation's owner; activity is shown in pg_stat_activity (null: as it was).
 */
extern void mfi_query_begin(const char *activity);

/* A new snapshot inside the same transaction: sees what was committed meanwhile. */
extern void mfi_query_renew_snapshot(void);

/* Commits, reports statistics and goes idle. */
extern void mfi_query_commit(void);

/* In PG_CATCH: rolls back and goes idle; the error in a context that outlives the transaction and is then the current one. */
extern ErrorData *mfi_query_fail(MemoryContext context);

#endif							/* MFI_BASE_QUERY_H */
