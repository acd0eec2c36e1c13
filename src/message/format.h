/*
 * format.h
 *		Money, dates and times as people of a locale write them.
 */
#ifndef MFI_MESSAGE_FORMAT_H
#define MFI_MESSAGE_FORMAT_H

#include "lib/stringinfo.h"
#include "utils/date.h"
#include "utils/numeric.h"

extern void mfi_format_money(StringInfo out, Numeric amount, const char *currency,
							 const char *locale);
extern void mfi_format_date(StringInfo out, DateADT date, const char *locale);
extern void mfi_format_time(StringInfo out, TimeADT time, const char *locale);

#endif /* MFI_MESSAGE_FORMAT_H */
