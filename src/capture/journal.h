/*
 * journal.h
 *		Appending one narrow row to the journal.
 */
#ifndef MFI_CAPTURE_JOURNAL_H
#define MFI_CAPTURE_JOURNAL_H

/* What a journal row carries; extra_datum is a text[] or 0 for none. */
typedef struct MfiJournalRow
{
	int32		source_id;
	char		operation;
	bool		has_key[2];
	int64		key[2];
	Datum		extra_datum;
} MfiJournalRow;

/*
 * Appends the row to the current segment, as part of the running transaction.
 * Does nothing when mfiauto's tables are not here (any more).
 */
extern void mfi_journal_append(const MfiJournalRow *row);

#endif							/* MFI_CAPTURE_JOURNAL_H */
