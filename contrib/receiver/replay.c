/*
 * replay.c
 *		The thread that works the queue off, in order. A request leaves the queue
 *		when the database has answered it with success; one that is refused, that
 *		fails while the database is well, or that the database dies of is set aside
 *		and never lost.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "database.h"
#include "queue.h"
#include "replay.h"

#define ATTEMPTS_MAX 5
#define PAUSE_MS 200

static pthread_t thread;
static atomic_bool is_stopping;

static void
pause_ms(int duration_ms)
{
	struct timespec duration = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000L};

	nanosleep(&duration, NULL);
}

/*
 * replay_one says one request to the database; true if it has left the queue.
 */
static bool
replay_one(Database *database, const char *name, int *attempts)
{
	Request request = {0};
	Answer answer = {0};
	Outcome outcome;
	char reason[16] = "unreadable";
	bool is_gone = false;

	if (!queue_read(name, &request))
		is_gone = true;
	else
	{
		outcome = database_serve(database, &request, &answer);
		if (outcome == OUTCOME_ANSWERED && answer.status < 300)
		{
			char place[128];

			request_place(&request, place, sizeof(place));
			log_line("replayed %s %s %d, request %s", request.method, place, answer.status, name);
			queue_remove(name);
			reason[0] = '\0';
			is_gone = true;
		}
		else if (outcome == OUTCOME_ANSWERED)
		{
			snprintf(reason, sizeof(reason), "%d", answer.status);
			is_gone = answer.status < 500 || ++*attempts >= ATTEMPTS_MAX;
		}
		else
		{
			/* is_well asks the database too. */
			bool is_lost = database->is_lost;

			snprintf(reason, sizeof(reason), "%s", is_lost ? "lost" : database->sqlstate);
			/* An error of a database that answers others is this request's; so is its end, if it ends each time that it is asked. */
			if (is_lost || (reason[0] != '\0' && database_is_well(database)))
				is_gone = ++*attempts >= ATTEMPTS_MAX;
		}
	}
	if (is_gone && reason[0] != '\0')
		queue_set_aside(name, reason, answer.status >= 400 && answer.status < 500);
	request_clear(&request);
	answer_clear(&answer);
	return is_gone;
}

static void *
replay(void *unused)
{
	Database database = {0};
	int attempts = 0;

	(void) unused;
	while (!is_stopping)
	{
		char *name = NULL;

		if (!queue_wait(1000, &name))
			continue;
		if (replay_one(&database, name, &attempts))
			attempts = 0;
		else
			pause_ms(PAUSE_MS);
		free(name);
	}
	database_close(&database);
	return NULL;
}

void
replay_start(void)
{
	if (pthread_create(&thread, NULL, replay, NULL) != 0)
		fail("fatal: no thread");
}

void
replay_stop(void)
{
	is_stopping = true;
	queue_wake();
	pthread_join(thread, NULL);
}
