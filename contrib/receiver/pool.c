/*
 * pool.c
 *		Workers, each with a connection of its own.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"
#include "pool.h"
#include "queue.h"

#define WAITING_MAX 1000

static pthread_t *threads;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_filled = PTHREAD_COND_INITIALIZER;
static Exchange *first;
static Exchange **last = &first;
static int waiting_count;
static bool is_stopping;
static void (*tell)(Exchange *exchange);

/*
 * keep answers a request that the database did not see: it is on disk, or its
 * sender keeps it.
 */
static void
keep(Exchange *exchange)
{
	if (request_may_wait(&exchange->request) && queue_put(&exchange->request) == QUEUED)
	{
		exchange->is_queued = true;
		exchange_say(exchange, 200);
	}
	else
		exchange_say(exchange, 503);
}

/*
 * tell_health: well is who can answer everybody. What waits is no harm yet.
 */
static void
tell_health(Exchange *exchange, bool is_well)
{
	QueueState state = queue_state();
	Text body = {0};

	text_print(&body, "{\"status\": \"%s\", \"database\": %s, \"queued\": %ld, \"queued_bytes\": %lld, \"set_aside\": %ld}\n",
			   is_well ? "ok" : "error", is_well ? "true" : "false", state.count, state.bytes, state.aside_count);
	exchange_say(exchange, is_well ? 200 : 503);
	free(exchange->answer.headers);
	free(exchange->answer.body);
	exchange->answer.headers = copy_text("content-type:application/json");
	exchange->answer.body = body.data;
	exchange->answer.body_length = body.length;
}

static void
work(Exchange *exchange, Database *database)
{
	bool is_late = clock_ms() - exchange->submitted_at_ms > settings.database_timeout_s * 1000LL;
	Outcome outcome;

	if (strcmp(exchange->request.path, "/health") == 0)
	{
		tell_health(exchange, !is_late && database_is_well(database));
		return;
	}
	outcome = is_late ? OUTCOME_AWAY : database_serve(database, &exchange->request, &exchange->answer);
	if (outcome == OUTCOME_AWAY)
		keep(exchange);
	else if (outcome == OUTCOME_FAILED)
	{
		log_line("error: the database refused request %s: SQLSTATE %s", exchange->request.id, database->sqlstate);
		exchange_say(exchange, 500);
	}
}

static void *
run_worker(void *unused)
{
	Database database = {0};

	(void) unused;
	for (;;)
	{
		Exchange *exchange;

		pthread_mutex_lock(&lock);
		while (first == NULL && !is_stopping)
			pthread_cond_wait(&is_filled, &lock);
		exchange = first;
		if (exchange != NULL)
		{
			first = exchange->next;
			if (first == NULL)
				last = &first;
			waiting_count--;
		}
		pthread_mutex_unlock(&lock);
		if (exchange == NULL)
			break;
		work(exchange, &database);
		tell(exchange);
	}
	database_close(&database);
	return NULL;
}

void
pool_start(void (*done)(Exchange *exchange))
{
	tell = done;
	threads = allocate(settings.workers * sizeof(pthread_t));
	for (int i = 0; i < settings.workers; i++)
		if (pthread_create(&threads[i], NULL, run_worker, NULL) != 0)
			fail("fatal: no thread");
}

bool
pool_submit(Exchange *exchange)
{
	bool is_taken;

	pthread_mutex_lock(&lock);
	is_taken = !is_stopping && waiting_count < WAITING_MAX;
	if (is_taken)
	{
		exchange->next = NULL;
		exchange->submitted_at_ms = clock_ms();
		*last = exchange;
		last = &exchange->next;
		waiting_count++;
		pthread_cond_signal(&is_filled);
	}
	pthread_mutex_unlock(&lock);
	return is_taken;
}

void
pool_stop(void)
{
	pthread_mutex_lock(&lock);
	is_stopping = true;
	pthread_cond_broadcast(&is_filled);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < settings.workers; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}
