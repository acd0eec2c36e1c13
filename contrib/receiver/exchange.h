/*
 * exchange.h
 *		One request and its answer, from the first line to the last byte.
 */
#ifndef RECEIVER_EXCHANGE_H
#define RECEIVER_EXCHANGE_H

#include <microhttpd.h>

#include "address.h"
#include "base.h"

typedef enum Stage
{
	STAGE_BEGUN,				/* the first line is there */
	STAGE_READING,				/* the body comes */
	STAGE_WAITING,				/* the database is asked; the connection is suspended */
	STAGE_DONE					/* there is an answer */
} Stage;

typedef struct Exchange
{
	Request request;
	Answer answer;
	Address client;
	struct MHD_Connection *connection;
	Stage stage;
	int refusal;				/* a status that is decided, but not said before the body has come */
	bool is_queued;
	int64_t began_at_ms;
	int64_t submitted_at_ms;
	size_t header_count;
	size_t discarded_bytes;
	size_t held_bytes;			/* that count against memory_limit */
	struct Exchange *next;
} Exchange;

/* An answer of our own. */
extern void exchange_say(Exchange *exchange, int status);

/* Puts the answer on its way. */
extern enum MHD_Result exchange_respond(Exchange *exchange, bool is_last);

/* The name and value of each header as they came, and what we say ourselves, as JSON. */
extern void exchange_read_headers(Exchange *exchange);

extern void exchange_log(const Exchange *exchange);

#endif							/* RECEIVER_EXCHANGE_H */
