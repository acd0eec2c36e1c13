/*
 * exchange.h
 *		One request on its way, as the files that know libcurl see it: http.c,
 *		and beside it exchange.c and smtp.c.
 */
#ifndef MFI_DELIVERY_EXCHANGE_H
#define MFI_DELIVERY_EXCHANGE_H

#include <curl/curl.h>
#include <pthread.h>

#include "delivery/header.h"
#include "delivery/http.h"

struct MfiExchange
{
	CURL	   *easy;
	MfiExchange *next;			/* free or finished list */
	void	   *owner;
	bool		is_in_flight;
	int64		deadline_ms;	/* when its time is over */
	struct curl_slist *headers;
	char	   *body;			/* of the answer, malloc'd */
	int			body_length;
	int			body_capacity;
	int			body_bytes_max;
	bool		has_head;		/* the last line of the answer's head came */
	bool		is_truncated;
	char		id_header[64];
	char		id_value[MFI_HEADER_BYTES_MAX];
	char		retry_after_header[64];
	char		retry_after_value[MFI_HEADER_BYTES_MAX];
	int			start_count;	/* times that libcurl was about to write the request */
	bool		may_be_private;
	bool		is_loopback_only;
	bool		is_address_refused;
	CURLcode	result;
	char		error[160];		/* in the words of mfi_exchange_error, where they are no constant */

	/* of mail */
	bool		is_mail;
	pthread_t	thread;			/* while it is in flight */
	struct curl_slist *recipients;
	char	   *letter;			/* malloc'd */
	size_t		letter_length;
	size_t		letter_sent;
	int			reply_code;		/* the server's last word; its lines are the answer's body */
	bool		is_reply_whole;
};

/* Looks at scheme and host; why the request is refused (static text), or NULL. */
extern const char *mfi_exchange_check_url(MfiExchange *exchange, const MfiRequest *request);
/* Sets what differs from request to request. */
extern bool mfi_exchange_set_request(MfiExchange *exchange, const MfiRequest *request, const MfiHttpLimits *limits);
/* What is known of how it went, when it is over. */
extern MfiTransport mfi_exchange_judge(const MfiExchange *exchange);
/* The same in words, which name nobody; they last as long as the exchange. */
extern const char *mfi_exchange_error(MfiExchange *exchange);

#endif							/* MFI_DELIVERY_EXCHANGE_H */
