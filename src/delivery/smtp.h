/*
 * smtp.h
 *		A letter handed to a mail server: the exchange in SMTP's terms.
 */
#ifndef MFI_DELIVERY_SMTP_H
#define MFI_DELIVERY_SMTP_H

#include "delivery/exchange.h"

#define MFI_SMTP_REPLY_BYTES_MAX 4096

/* Sets what differs from letter to letter, and copies the letter; false if there is no memory for it. */
extern bool mfi_smtp_set(MfiExchange *exchange, const MfiRequest *request);
extern void mfi_smtp_forget(MfiExchange *exchange);
/* libcurl: one line that the server said. */
extern void mfi_smtp_note_line(MfiExchange *exchange, const char *data, size_t length);
/* What is known of a letter that libcurl calls failed, and libcurl's word for it (static text). */
extern MfiTransport mfi_smtp_judge(const MfiExchange *exchange);
extern const char *mfi_smtp_error(const MfiExchange *exchange);

#endif							/* MFI_DELIVERY_SMTP_H */
