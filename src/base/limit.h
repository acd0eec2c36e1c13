/*
 * limit.h
 *		A time limit on what users wrote.
 */
#ifndef MFI_BASE_LIMIT_H
#define MFI_BASE_LIMIT_H

#include "datatype/timestamp.h"

typedef struct MfiLimit
{
	const char *what;	 /* for the message: "condition" */
	const char *setting; /* whose value the limit is */
	int ms;
	bool is_armed;
	TimestampTz until;
	MemoryContext context;
} MfiLimit;

/*
 * Begin before the user's query, end after it. Where it fails, call
 * mfi_limit_fail inside PG_CATCH and re-throw: what our own timer canceled
 * becomes an error of the query (54000), which callers may catch.
 */
extern void mfi_limit_begin(MfiLimit *limit, const char *what, const char *setting, int ms);
extern void mfi_limit_end(MfiLimit *limit);
extern void mfi_limit_fail(MfiLimit *limit);

#endif /* MFI_BASE_LIMIT_H */
