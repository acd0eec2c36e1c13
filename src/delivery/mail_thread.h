/*
 * mail_thread.h
 *		Letters, each in a thread of its own while it is on its way.
 */
#ifndef MFI_DELIVERY_MAIL_THREAD_H
#define MFI_DELIVERY_MAIL_THREAD_H

#include "delivery/exchange.h"

extern int mfi_mail_thread_open(void);
extern void mfi_mail_thread_close(void);
extern bool mfi_mail_thread_start(MfiExchange *exchange);
extern MfiExchange *mfi_mail_thread_next(void);
extern void mfi_mail_thread_end(MfiExchange *exchange);
extern void mfi_mail_thread_forget(void);

#endif /* MFI_DELIVERY_MAIL_THREAD_H */
