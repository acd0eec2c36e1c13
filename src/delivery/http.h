/*
 * http.h
 *		Many HTTP requests at once, in one thread; the only user of libcurl.
 *
 * Pumped: the caller waits on the descriptor and the deadline that
 * mfi_http_poll() gives and then calls mfi_http_step(). Nothing here raises
 * while libcurl is on the stack.
 */
#ifndef MFI_DELIVERY_HTTP_H
#define MFI_DELIVERY_HTTP_H

#include <time.h>

#include "gateway/gateway.h"

typedef struct MfiExchange MfiExchange;

typedef struct MfiHttpLimits
{
	int			timeout_ms;
	int			connect_timeout_ms;
	int			answer_bytes_max;
	bool		is_http2;
	bool		is_loopback_only;	/* under a clock nothing leaves the machine */
	const char *id_header;
	const char *retry_after_header;
} MfiHttpLimits;

/* Starts libcurl in this process, for at most so many exchanges at once; how many there may be. */
extern int	mfi_http_start(int exchanges_max);
/* Drops whatever is in flight. */
extern void mfi_http_stop(void);

/*
 * Sends a request; owner comes back with the answer. NULL and *refusal (static
 * text) if it may not be sent at all, or, is_passing, not just now.
 */
extern MfiExchange *mfi_http_send(const MfiRequest *request, const MfiHttpLimits *limits, void *owner,
								  const char **refusal, bool *is_passing);
extern void mfi_http_step(void);
/* The next finished exchange's owner and answer, NULL if none; release it when the answer was read. */
extern MfiExchange *mfi_http_next_finished(void **owner, MfiAnswer *answer);
extern void mfi_http_release(MfiExchange *exchange);
/* Whether any byte of the request can have left; for what is dropped in flight: never a letter, those were ended before. */
extern bool mfi_http_is_written(MfiExchange *exchange);

/* For a stop: each exchange still in flight, to be dropped; NULL when there is none. */
extern MfiExchange *mfi_http_next_in_flight(void **owner);
extern void mfi_http_drop(MfiExchange *exchange);
/* For a stop: letters on their way end now, and are then among the finished, as far as they went. */
extern void mfi_http_end_mail(void);

/* What to wait on: a descriptor that becomes readable, and milliseconds (-1: no deadline). */
extern int	mfi_http_poll(long *timeout_ms);

/* Whether a URL's host is loopback by its literal, or is named in mfiauto.private_hosts. */
extern bool mfi_http_is_loopback(const char *url);

#endif							/* MFI_DELIVERY_HTTP_H */
