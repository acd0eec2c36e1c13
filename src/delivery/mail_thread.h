/*
 * mail_thread.h
 *		Letters, each in a thread of its own while it is on its way.
 */
#ifndef MFI_DELIVERY_MAIL_THREAD_H
#define MFI_DELIVERY_MAIL_THREAD_H

#include "delivery/exchange.h"

/* All are called by the main thread; none raises. */

/* A descriptor that is readable when a letter is done; -1 if there is none. Closed after the last letter's end. */
extern int mfi_mail_thread_open(void);
extern void mfi_mail_thread_close(void);
/* With signals blocked: sends a letter that is set up. From now on the exchange is the thread's; false if there is no thread to be had. */
extern bool mfi_mail_thread_start(MfiExchange *exchange);
/* A letter that is done, and ours again; NULL if there is none. */
extern MfiExchange *mfi_mail_thread_next(void);
/* For a stop: makes a letter end within a second, and waits for it; then forget what the ended ones told. */
extern void mfi_mail_thread_end(MfiExchange *exchange);
extern void mfi_mail_thread_forget(void);

#endif /* MFI_DELIVERY_MAIL_THREAD_H */
