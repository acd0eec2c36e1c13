/*
 * database.c
 *		Connections to the database. A host has half of database_timeout to take
 *		one, an answer the whole; and when the database is away nobody waits at
 *		all until it is time for the next try.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"

#define STATEMENT "serve"
#define BACKOFF_MS_MIN 100
#define BACKOFF_MS_MAX 5000

static const char query[] =
	"SELECT s.status, (SELECT pg_catalog.string_agg(pg_catalog.lower(h.key) || ':' || h.value, E'\\n') "
	"FROM pg_catalog.jsonb_each_text(s.headers) h WHERE h.value !~ '[\\r\\n]'), s.body "
	"FROM mfiauto.serve($1, $2, $3, $4, $5, $6) s";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint generation = 1;
static bool is_away;
static int64_t next_try_at_ms;
static int backoff_ms;

void
database_setup(void)
{
	char *problem = NULL;
	PQconninfoOption *options = PQconninfoParse(settings.database, &problem);

	if (options == NULL)
		fail("fatal: database is not a connection string of libpq");
	PQconninfoFree(options);
}

static bool
may_try(void)
{
	bool may;

	pthread_mutex_lock(&lock);
	may = !is_away || clock_ms() >= next_try_at_ms;
	pthread_mutex_unlock(&lock);
	return may;
}

static void
note_away(const char *reason, const char *sqlstate)
{
	bool is_news;

	pthread_mutex_lock(&lock);
	is_news = !is_away;
	is_away = true;
	backoff_ms = backoff_ms == 0 ? BACKOFF_MS_MIN : backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : backoff_ms * 2;
	next_try_at_ms = clock_ms() + backoff_ms / 2 + random() % (backoff_ms / 2 + 1);
	pthread_mutex_unlock(&lock);
	if (is_news)
		log_line("warning: the database is away: %s%s%s", reason, sqlstate[0] != '\0' ? ", SQLSTATE " : "", sqlstate);
}

static void
note_back(void)
{
	bool is_news;

	pthread_mutex_lock(&lock);
	is_news = is_away;
	is_away = false;
	backoff_ms = 0;
	pthread_mutex_unlock(&lock);
	if (is_news)
		log_line("the database is back");
}

void
database_reopen(void)
{
	generation++;
	pthread_mutex_lock(&lock);
	next_try_at_ms = 0;
	pthread_mutex_unlock(&lock);
}

void
database_close(Database *database)
{
	PQfinish(database->connection);
	database->connection = NULL;
}

/*
 * wait_for waits until the connection's socket is ready; false if time is up.
 */
static bool
wait_for(PGconn *connection, short events, int64_t until_ms)
{
	struct pollfd ready = {.fd = PQsocket(connection), .events = events};
	int64_t left_ms;

	while ((left_ms = until_ms - clock_ms()) > 0)
	{
		int count = poll(&ready, 1, (int) left_ms);

		if (count > 0)
			return true;
		if (count < 0 && errno != EINTR)
			return false;
	}
	return false;
}

/*
 * read_password reads the first line of password_file; "" if there is none.
 * It is read for each connection, so that it may change.
 */
static void
read_password(char *password, size_t size)
{
	FILE *file = settings.password_file[0] != '\0' ? fopen(settings.password_file, "re") : NULL;

	password[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(password, size, file) == NULL)
		password[0] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	fclose(file);
}

/*
 * take_result waits for what was sent to be done; NULL if time is up or the
 * connection is lost. The last of several results counts.
 */
static PGresult *
take_result(PGconn *connection, int64_t until_ms)
{
	PGresult *last = NULL;

	for (;;)
	{
		int flushed = PQflush(connection);
		PGresult *result;

		if (flushed < 0)
			break;
		if (flushed > 0 || PQisBusy(connection))
		{
			if (!wait_for(connection, flushed > 0 ? POLLIN | POLLOUT : POLLIN, until_ms) || PQconsumeInput(connection) == 0)
				break;
			continue;
		}
		result = PQgetResult(connection);
		if (result == NULL)
			return last;
		PQclear(last);
		last = result;
	}
	PQclear(last);
	return NULL;
}

static bool
run(PGconn *connection, const char *sql, int64_t until_ms)
{
	PGresult *result = PQsendQuery(connection, sql) ? take_result(connection, until_ms) : NULL;
	bool is_done = PQresultStatus(result) == PGRES_COMMAND_OK;

	PQclear(result);
	return is_done;
}

/*
 * open_connection connects, settles the session, prepares the statement. Of
 * several hosts one that says nothing may not take the time of the next: libpq
 * goes on to it by itself, but only where it does the waiting.
 */
static bool
open_connection(Database *database)
{
	char patience[16];
	const char *names[6] = {"connect_timeout", "dbname", "application_name", "client_encoding", NULL, NULL};
	const char *values[6] = {patience, settings.database, "mfiauto-receiver", "UTF8", NULL, NULL};
	char password[1024];
	char session[256];
	int64_t until_ms;
	PGresult *result = NULL;

	database->is_lost = false;
	snprintf(patience, sizeof(patience), "%d", settings.database_timeout_s > 4 ? settings.database_timeout_s / 2 : 2);
	read_password(password, sizeof(password));
	if (password[0] != '\0')
	{
		names[4] = "password";
		values[4] = password;
	}
	database->generation = generation;
	database->connection = PQconnectdbParams(names, values, 1);
	explicit_bzero(password, sizeof(password));
	database->sqlstate[0] = '\0';
	if (PQstatus(database->connection) != CONNECTION_OK)
		goto failed;
	until_ms = clock_ms() + settings.database_timeout_s * 1000;
	PQsetnonblocking(database->connection, 1);
	snprintf(session, sizeof(session), "SET search_path = pg_catalog; SET synchronous_commit = on; SET jit = off; SET statement_timeout = '%ds'",
			 settings.database_timeout_s > 1 ? settings.database_timeout_s - 1 : 1);
	if (!run(database->connection, session, until_ms) || !PQsendPrepare(database->connection, STATEMENT, query, 0, NULL))
		goto failed;
	result = take_result(database->connection, until_ms);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		const char *code = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);

		snprintf(database->sqlstate, sizeof(database->sqlstate), "%s", code == NULL ? "" : code);
		goto failed;
	}
	PQclear(result);
	return true;

failed:
	PQclear(result);
	database_close(database);
	return false;
}

/*
 * is_away_state: errors that say more of the server, or of what is installed
 * in it, than of this request.
 */
static bool
is_away_state(const char *sqlstate)
{
	static const char *const prefixes[] = {"08", "25006", "3D", "3F", "40", "42501", "42883", "42P01", "53", "55000", "55P03", "57", "58", NULL};

	for (int i = 0; prefixes[i] != NULL; i++)
		if (strncmp(sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static char *
copy_field(const PGresult *result, int column, size_t *length)
{
	char *copy;

	*length = PQgetlength(result, 0, column);
	copy = allocate(*length + 1);
	memcpy(copy, PQgetvalue(result, 0, column), *length);
	return copy;
}

static bool
read_answer(const PGresult *result, Answer *answer)
{
	uint32_t status;
	size_t length;

	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0) || PQgetlength(result, 0, 0) != sizeof(status))
		return false;
	memcpy(&status, PQgetvalue(result, 0, 0), sizeof(status));
	answer->status = (int) ntohl(status);
	answer->headers = copy_field(result, 1, &length);
	answer->body = copy_field(result, 2, &answer->body_length);
	return answer->status >= 200 && answer->status <= 599;
}

/*
 * send_request puts the request on the connection; false if that is lost.
 */
static bool
send_request(PGconn *connection, const Request *request)
{
	const char *values[6] = {request->method, request->path, request->query, request->headers, request->body.data, request->remote};
	int lengths[6] = {0, 0, 0, 0, (int) request->body.length, 0};
	static const int formats[6] = {0, 0, 0, 0, 1, 0};

	if (values[4] == NULL)
		values[4] = "";
	return PQsendQueryPrepared(connection, STATEMENT, 6, values, lengths, formats, 1);
}

/*
 * ask sends the request over a connection that is open. A connection that is
 * lost is closed.
 */
static Outcome
ask(Database *database, const Request *request, Answer *answer)
{
	int64_t until_ms = clock_ms() + settings.database_timeout_s * 1000;
	PGresult *result = NULL;
	Outcome outcome = OUTCOME_AWAY;

	database->sqlstate[0] = '\0';
	if (send_request(database->connection, request))
		result = take_result(database->connection, until_ms);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		outcome = OUTCOME_ANSWERED;
		if (!read_answer(result, answer))
		{
			answer_clear(answer);
			outcome = OUTCOME_FAILED;
		}
	}
	else if (result != NULL)
	{
		const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		snprintf(database->sqlstate, sizeof(database->sqlstate), "%s", code == NULL ? "" : code);
		outcome = code == NULL || is_away_state(code) ? OUTCOME_AWAY : OUTCOME_FAILED;
	}
	database->is_lost = result == NULL && clock_ms() < until_ms;
	if (result == NULL || PQstatus(database->connection) != CONNECTION_OK)
		database_close(database);
	PQclear(result);
	return outcome;
}

Outcome
database_serve(Database *database, const Request *request, Answer *answer)
{
	bool is_new = false;
	Outcome outcome;

	database->is_lost = false;
	if (!may_try())
		return OUTCOME_AWAY;
	if (database->connection != NULL && database->generation != generation)
		database_close(database);
	for (;;)
	{
		if (database->connection == NULL)
		{
			is_new = true;
			if (!open_connection(database))
			{
				note_away("no connection", database->sqlstate);
				return OUTCOME_AWAY;
			}
		}
		outcome = ask(database, request, answer);
		/* A connection that was idle may have been cut long ago. */
		if (outcome != OUTCOME_AWAY || database->connection != NULL || is_new)
			break;
	}
	if (outcome == OUTCOME_AWAY && database->connection == NULL)
		note_away("the connection was lost, or took too long", database->sqlstate);
	else if (outcome != OUTCOME_AWAY)
		note_back();
	return outcome;
}

bool
database_is_well(Database *database)
{
	Request request = {.method = "GET", .path = "/health", .query = "", .headers = "{}"};
	Answer answer = {0};
	bool is_well = database_serve(database, &request, &answer) == OUTCOME_ANSWERED && answer.status == 200;

	answer_clear(&answer);
	return is_well;
}
