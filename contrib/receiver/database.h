/*
 * database.h
 *		One connection that asks mfiauto.serve(); each thread has its own.
 */
#ifndef RECEIVER_DATABASE_H
#define RECEIVER_DATABASE_H

#include <libpq-fe.h>

#include "base.h"

typedef enum Outcome
{
	OUTCOME_ANSWERED,			/* there is an answer, of whatever status */
	OUTCOME_AWAY,				/* not there, or not fit to answer anybody; later, then */
	OUTCOME_FAILED				/* it refused this request with an error */
} Outcome;

typedef struct Database
{
	PGconn *connection;
	unsigned generation;
	char sqlstate[6];
	bool is_lost;				/* the last request ended its connection: the server may have died of it */
} Database;

extern void database_setup(void);

/* Asks; *answer is the caller's to clear if there is one. Safe to call again with the same request. */
extern Outcome database_serve(Database *database, const Request *request, Answer *answer);

/* Whether serve() answers at all. */
extern bool database_is_well(Database *database);

extern void database_close(Database *database);

/* Every thread connects anew before its next request. */
extern void database_reopen(void);

#endif							/* RECEIVER_DATABASE_H */
