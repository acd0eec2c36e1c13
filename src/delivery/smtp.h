/*
 * smtp.h
 *		A letter handed to a mail server: the exchange in SMTP's terms.
 */
#ifndef MFI_DELIVERY_SMTP_H
#define MFI_DELIVERY_SMTP_H

#include "delivery/exchange.h"

#define MFI_SMTP_REPLY_BYTES_MAX 4096

/* Sets what differs from letter to letter. */
extern bool mfi_smtp_set(MfiExchange *exchange, const MfiRequest *request);
extern void mfi_smtp_forget(MfiExchange *exchange);
/* libcurl: one line that the server said. */
extern void mfi_smtp_note_line(MfiExchange *exchange, const char *data, size_t length);
/* Whether the server may have the whole letter. */
extern bool mfi_smtp_is_written(const MfiExchange *exchange);
extern MfiTransport mfi_smtp_judge(const MfiExchange *exchange);
extern const char *mfi_smtp_error(const MfiExchange *exchange);

#endif							/* MFI_DELIVERY_SMTP_H */
