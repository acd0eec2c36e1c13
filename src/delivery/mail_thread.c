/*
 * mail_thread.c
 *		Letters, each in a thread of its own while it is on its way.
 *
 * libcurl waits for the server's word after a letter's last byte inside one
 * call, up to the time-out: among the requests of the others it would hold all
 * of them up. A thread runs libcurl and the callbacks of http.c and smtp.c
 * alone, which copy into malloc'd buffers and know nothing of PostgreSQL; it
 * starts with all signals blocked, and tells by a pipe that it is done.
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "delivery/exchange.h"
#include "delivery/mail_thread.h"

#define STACK_BYTES (512 * 1024)

static int pipe_ends[2] = { -1, -1 };
static volatile bool is_ending = false; /* all give up, within a second */

static void *run(void *arg);
static int on_progress(void *arg, curl_off_t total_in, curl_off_t in, curl_off_t total_out, curl_off_t out);

/* The thread. */
static void *
run(void *arg)
{
	MfiExchange *exchange = arg;

	exchange->result = curl_easy_perform(exchange->easy);
	while (write(pipe_ends[1], &exchange, sizeof(exchange)) < 0 && errno == EINTR)
		continue;
	return NULL;
}

/* libcurl: it is called at least once a second, also while it waits. */
static int
on_progress(void *arg, curl_off_t total_in, curl_off_t in, curl_off_t total_out, curl_off_t out)
{
	return is_ending ? 1 : 0;
}

/*
 * mfi_mail_thread_open makes the pipe; its readable end, -1 if there is none.
 */
int
mfi_mail_thread_open(void)
{
	is_ending = false;
	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		pipe_ends[0] = pipe_ends[1] = -1;
	else
		(void) fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
	return pipe_ends[0];
}

/* After the last letter's thread was joined. */
void
mfi_mail_thread_close(void)
{
	for (int i = 0; i < 2; i++)
	{
		if (pipe_ends[i] >= 0)
			close(pipe_ends[i]);
		pipe_ends[i] = -1;
	}
}

/*
 * mfi_mail_thread_start sends a letter that is set up; with signals blocked.
 */
bool
mfi_mail_thread_start(MfiExchange *exchange)
{
	pthread_attr_t attributes;
	bool is_started;

	curl_easy_setopt(exchange->easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(exchange->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	if (pthread_attr_init(&attributes) != 0)
		return false;
	is_started = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
				 pthread_create(&exchange->thread, &attributes, run, exchange) == 0;
	pthread_attr_destroy(&attributes);
	return is_started;
}

/*
 * mfi_mail_thread_next is a letter that is done, its thread gone; NULL if there
 * is none.
 */
MfiExchange *
mfi_mail_thread_next(void)
{
	MfiExchange *exchange;

	if (pipe_ends[0] < 0 || read(pipe_ends[0], &exchange, sizeof(exchange)) != sizeof(exchange))
		return NULL;
	pthread_join(exchange->thread, NULL);
	return exchange;
}

/*
 * mfi_mail_thread_end waits for a letter to end: all that are on their way give
 * up within a second, so that whoever ends one after the other waits once. Its
 * outcome is then known as far as it went.
 */
void
mfi_mail_thread_end(MfiExchange *exchange)
{
	is_ending = true;
	pthread_join(exchange->thread, NULL);
}

/* Forgets what the threads told that were ended. */
void
mfi_mail_thread_forget(void)
{
	MfiExchange *told;

	while (pipe_ends[0] >= 0 && read(pipe_ends[0], &told, sizeof(told)) == sizeof(told))
		continue;
	is_ending = false;
}
