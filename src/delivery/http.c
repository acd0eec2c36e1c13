/*
 * http.c
 *		Many HTTP requests at once, in one thread; and letters, each in a thread
 *		of its own (see mail_thread.c and smtp.c).
 *
 * A libcurl multi handle whose sockets are mirrored in one epoll descriptor,
 * so that a worker can wait for all of them and its latch together. libcurl is
 * C code that knows nothing of longjmp: the callbacks here only copy into
 * malloc'd, capped buffers. Its resolver starts threads, which inherit the
 * signal mask: signals are blocked around every call that may start one.
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/guc.h"
#include "delivery/address.h"
#include "delivery/exchange.h"
#include "delivery/header.h"
#include "delivery/http.h"
#include "delivery/mail_thread.h"
#include "delivery/smtp.h"
#include "delivery/rate.h"
#include "storage/ipc.h"

#define IDLE_CONNECTION_S_MAX 4		/* servers close idle connections; be first */
#define ROUNDS_MAX 8				/* of one step, so that results are not kept waiting */
#define EVENTS_PER_ROUND 64
#define DESCRIPTORS_LEFT_FOR_SERVER 200

static CURLM *multi = NULL;
static int	epoll_descriptor = -1;
static int	mail_descriptor = -1;	/* letters that are done */
static int64 timer_at_ms = -1;
static int64 deadline_at_ms = -1;	/* of the first whose time is over */
static MfiExchange *exchanges = NULL;
static int	exchange_count = 0;
static MfiExchange *free_list = NULL;
static MfiExchange *finished_first = NULL;
static MfiExchange *finished_last = NULL;

static void block_signals(sigset_t *saved);
static void restore_signals(const sigset_t *saved);
static int	on_socket(CURL *easy, curl_socket_t socket_descriptor, int what, void *unused, void *known);
static int	on_timer(CURLM *handle, long timeout_ms, void *unused);
static size_t on_body(char *data, size_t size, size_t count, void *arg);
static size_t on_header(char *data, size_t size, size_t count, void *arg);
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
static int	on_start(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port);
static bool prepare_easy(MfiExchange *exchange, bool is_mail);
static bool set_limits(MfiExchange *exchange, const MfiHttpLimits *limits);
static MfiExchange **find_free(bool is_mail);
static void stop_at_exit(int code, Datum arg);
static void push_finished(MfiExchange *exchange);
static void collect_finished(void);
static void end_late(int64 now_ms);

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* libcurl: watch, or stop watching, a socket. */
static int
on_socket(CURL *easy, curl_socket_t socket_descriptor, int what, void *unused, void *known)
{
	struct epoll_event event = {0};

	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(epoll_descriptor, EPOLL_CTL_DEL, socket_descriptor, NULL);
		return 0;
	}
	event.data.fd = socket_descriptor;
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(epoll_descriptor, EPOLL_CTL_MOD, socket_descriptor, &event) < 0)
		(void) epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, socket_descriptor, &event);
	return 0;
}

/* libcurl: call me back then. */
static int
on_timer(CURLM *handle, long timeout_ms, void *unused)
{
	timer_at_ms = timeout_ms < 0 ? -1 : mfi_rate_now_ms() + timeout_ms;
	return 0;
}

/* libcurl: bytes of the answer's body. */
static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	MfiExchange *exchange = arg;
	size_t		length = size * count;
	size_t		room = exchange->body_bytes_max - exchange->body_length;
	size_t		kept = Min(length, room);

	if (exchange->body_length + (int) kept + 1 > exchange->body_capacity)
	{
		int			capacity = Max(1024, Min(2 * (exchange->body_length + (int) kept + 1), exchange->body_bytes_max + 1));
		char	   *body = realloc(exchange->body, capacity);

		if (body == NULL)
			return 0;
		exchange->body = body;
		exchange->body_capacity = capacity;
	}
	memcpy(exchange->body + exchange->body_length, data, kept);
	exchange->body_length += kept;
	exchange->body[exchange->body_length] = '\0';
	exchange->is_truncated |= kept < length;
	return kept < length ? 0 : length;
}

/* libcurl: one header line. */
static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	MfiExchange *exchange = arg;
	size_t		length = size * count;

	if (exchange->is_mail)
	{
		mfi_smtp_note_line(exchange, data, length);
		return length;
	}
	/* An empty line is the end, also of a "continue" that another head follows. */
	exchange->has_head = length > 0 && (data[0] == '\r' || data[0] == '\n');
	if (!mfi_header_keep(exchange->id_value, exchange->id_header, data, length))
		(void) mfi_header_keep(exchange->retry_after_value, exchange->retry_after_header, data, length);
	return length;
}

/* libcurl: open a socket to this address, or do not. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	MfiExchange *exchange = arg;
	bool		is_allowed = exchange->is_loopback_only
		? mfi_address_is_loopback(&address->addr)
		: exchange->may_be_private || mfi_address_is_public(&address->addr);

	if (!is_allowed)
	{
		exchange->is_address_refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/*
 * libcurl: about to write the request. On a kept connection that died it would
 * write it a second time by itself, although the first may have been accepted:
 * that is ours to decide.
 */
static int
on_start(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
	MfiExchange *exchange = arg;

	return ++exchange->start_count > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* A process that ends by an error: exit() may not take the libraries from under threads that are still at work. */
static void
stop_at_exit(int code, Datum arg)
{
	if (multi != NULL)
		mfi_http_stop();
}

int
mfi_http_start(int exchanges_max)
{
	static bool is_library_ready = false;
	struct rlimit limit;
	struct epoll_event event = {.events = EPOLLIN};
	sigset_t	saved;

	if (multi != NULL)
		return exchange_count;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t) exchanges_max + DESCRIPTORS_LEFT_FOR_SERVER > limit.rlim_cur)
		exchanges_max = Max(1, (int) limit.rlim_cur - DESCRIPTORS_LEFT_FOR_SERVER);
	block_signals(&saved);
	if (!is_library_ready && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
	{
		is_library_ready = true;
		before_shmem_exit(stop_at_exit, (Datum) 0);
	}
	multi = is_library_ready ? curl_multi_init() : NULL;
	restore_signals(&saved);
	epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	exchanges = calloc(exchanges_max, sizeof(MfiExchange));
	mail_descriptor = mfi_mail_thread_open();
	event.data.fd = mail_descriptor;
	if (multi == NULL || epoll_descriptor < 0 || exchanges == NULL || mail_descriptor < 0 ||
		epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, mail_descriptor, &event) < 0)
	{
		mfi_http_stop();
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not start the HTTP library")));
	}
	exchange_count = exchanges_max;
	for (int i = exchanges_max - 1; i >= 0; i--)
	{
		exchanges[i].next = free_list;
		free_list = &exchanges[i];
	}
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) exchanges_max + 8);
	timer_at_ms = deadline_at_ms = -1;
	return exchange_count;
}

void
mfi_http_stop(void)
{
	sigset_t	saved;

	block_signals(&saved);
	for (int i = 0; i < exchange_count; i++)
	{
		MfiExchange *exchange = &exchanges[i];

		if (exchange->easy == NULL)
			continue;
		if (exchange->is_in_flight && exchange->is_mail)
			mfi_mail_thread_end(exchange);
		else if (exchange->is_in_flight)
			curl_multi_remove_handle(multi, exchange->easy);
		curl_easy_cleanup(exchange->easy);
		curl_slist_free_all(exchange->headers);
		free(exchange->body);
		mfi_smtp_forget(exchange);
	}
	if (multi != NULL)
		curl_multi_cleanup(multi);
	restore_signals(&saved);
	mfi_mail_thread_close();
	if (epoll_descriptor >= 0)
		close(epoll_descriptor);
	free(exchanges);
	multi = NULL;
	exchanges = NULL;
	exchange_count = 0;
	epoll_descriptor = mail_descriptor = -1;
	free_list = finished_first = finished_last = NULL;
	timer_at_ms = deadline_at_ms = -1;
}

/*
 * prepare_easy sets what is the same for every request, or every letter. A
 * handle that served the other kind forgets all that it was told.
 */
static bool
prepare_easy(MfiExchange *exchange, bool is_mail)
{
	CURL	   *easy = exchange->easy;
	bool		is_good;

	if (easy != NULL && exchange->is_mail == is_mail)
		return true;
	if (easy != NULL)
		curl_easy_reset(easy);
	else if ((easy = curl_easy_init()) == NULL)
		return false;
	exchange->easy = easy;
	exchange->is_mail = is_mail;
	is_good = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_mail ? "smtp,smtps" : "http,https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERAGENT, "mfiauto/" MFI_VERSION) == CURLE_OK;
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A name that is being looked up is left to its thread when time is over: the others need not wait for it. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) IDLE_CONNECTION_S_MAX);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 300L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_start);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	if (mfi_guc_ca_file != NULL && mfi_guc_ca_file[0] != '\0')
		is_good &= curl_easy_setopt(easy, CURLOPT_CAINFO, mfi_guc_ca_file) == CURLE_OK;
	return is_good;
}

/*
 * set_limits: libcurl would count the time in which nobody asked it to read. A
 * letter's thread reads all the time; of the others we watch the time, and only
 * what has not come when all was read is late.
 */
static bool
set_limits(MfiExchange *exchange, const MfiHttpLimits *limits)
{
	exchange->deadline_ms = mfi_rate_now_ms() + limits->timeout_ms;
	return curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, exchange->is_mail ? (long) limits->timeout_ms : 0L) == CURLE_OK &&
		curl_easy_setopt(exchange->easy, CURLOPT_CONNECTTIMEOUT_MS,
						 (long) Min(limits->connect_timeout_ms, limits->timeout_ms)) == CURLE_OK;
}

/*
 * find_free is the place in the list of a free exchange, best one that last did
 * the same: a handle that carried letters keeps its server's connection and its
 * own descriptors, of which there are then as many as letters at once.
 */
static MfiExchange **
find_free(bool is_mail)
{
	MfiExchange **best = NULL;

	for (MfiExchange **place = &free_list; *place != NULL; place = &(*place)->next)
	{
		if ((*place)->easy != NULL && (*place)->is_mail == is_mail)
			return place;
		if (best == NULL || ((*best)->easy != NULL && (*place)->easy == NULL))
			best = place;
	}
	return best;
}

MfiExchange *
mfi_http_send(const MfiRequest *request, const MfiHttpLimits *limits, void *owner, const char **refusal,
			  bool *is_passing)
{
	MfiExchange **place = find_free(request->is_mail);
	MfiExchange *exchange;
	sigset_t	saved;
	bool		is_added;

	*refusal = NULL;
	*is_passing = true;
	if (place == NULL)
	{
		*refusal = "every connection is in use";
		return NULL;
	}
	exchange = *place;
	exchange->body_length = 0;
	exchange->body_bytes_max = limits->answer_bytes_max;
	exchange->is_truncated = false;
	exchange->id_value[0] = exchange->retry_after_value[0] = '\0';
	strlcpy(exchange->id_header, limits->id_header != NULL ? limits->id_header : "", sizeof(exchange->id_header));
	strlcpy(exchange->retry_after_header, limits->retry_after_header != NULL ? limits->retry_after_header : "",
			sizeof(exchange->retry_after_header));
	exchange->start_count = 0;
	exchange->reply_code = 0;
	exchange->is_reply_whole = true;
	exchange->is_address_refused = false;
	exchange->is_loopback_only = limits->is_loopback_only;
	exchange->owner = owner;
	if ((*refusal = mfi_exchange_check_url(exchange, request)) != NULL)
	{
		*is_passing = false;
		return NULL;
	}
	block_signals(&saved);
	is_added = prepare_easy(exchange, request->is_mail) &&
		(request->is_mail ? mfi_smtp_set(exchange, request) : mfi_exchange_set_request(exchange, request, limits)) &&
		set_limits(exchange, limits) &&
		(request->is_mail ? mfi_mail_thread_start(exchange) : curl_multi_add_handle(multi, exchange->easy) == CURLM_OK);
	restore_signals(&saved);
	if (!is_added)
	{
		*refusal = "the request could not be set up";
		return NULL;
	}
	*place = exchange->next;
	exchange->next = NULL;
	exchange->is_in_flight = true;
	if (!exchange->is_mail && (deadline_at_ms < 0 || exchange->deadline_ms < deadline_at_ms))
		deadline_at_ms = exchange->deadline_ms;
	return exchange;
}

static void
push_finished(MfiExchange *exchange)
{
	exchange->is_in_flight = false;
	exchange->next = NULL;
	if (finished_last != NULL)
		finished_last->next = exchange;
	else
		finished_first = exchange;
	finished_last = exchange;
}

static void
collect_finished(void)
{
	MfiExchange *letter;
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		MfiExchange *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
		exchange->result = message->data.result;
		curl_multi_remove_handle(multi, exchange->easy);
		push_finished(exchange);
	}
	while ((letter = mfi_mail_thread_next()) != NULL)
		push_finished(letter);
}

/* Ends what has not been answered in time; when all that came was read. */
static void
end_late(int64 now_ms)
{
	deadline_at_ms = -1;
	for (int i = 0; i < exchange_count; i++)
	{
		MfiExchange *exchange = &exchanges[i];

		if (!exchange->is_in_flight || exchange->is_mail)
			continue;
		if (exchange->deadline_ms <= now_ms)
		{
			curl_multi_remove_handle(multi, exchange->easy);
			exchange->result = CURLE_OPERATION_TIMEDOUT;
			push_finished(exchange);
		}
		else if (deadline_at_ms < 0 || exchange->deadline_ms < deadline_at_ms)
			deadline_at_ms = exchange->deadline_ms;
	}
}

void
mfi_http_step(void)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	bool		is_idle = false;
	sigset_t	saved;
	int			running;

	block_signals(&saved);
	for (int round = 0; round < ROUNDS_MAX && !is_idle; round++)
	{
		int			count = epoll_wait(epoll_descriptor, events, EVENTS_PER_ROUND, 0);

		is_idle = count <= 0 || (count == 1 && events[0].data.fd == mail_descriptor);
		for (int i = 0; i < count; i++)
			if (events[i].data.fd != mail_descriptor)
				curl_multi_socket_action(multi, events[i].data.fd,
									 (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
									 (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
									 (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
									 &running);
		if (timer_at_ms >= 0 && timer_at_ms <= mfi_rate_now_ms())
		{
			timer_at_ms = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
			is_idle = false;
		}
	}
	collect_finished();
	if (is_idle && deadline_at_ms >= 0 && deadline_at_ms <= mfi_rate_now_ms())
		end_late(mfi_rate_now_ms());
	restore_signals(&saved);
}

bool
mfi_http_is_written(MfiExchange *exchange)
{
	long		request_bytes = 0;

	Assert(!exchange->is_mail);
	curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
	return request_bytes > 0 || exchange->start_count > 0;
}

MfiExchange *
mfi_http_next_finished(void **owner, MfiAnswer *answer)
{
	MfiExchange *exchange = finished_first;
	long		status = 0;

	if (exchange == NULL)
		return NULL;
	finished_first = exchange->next;
	if (finished_first == NULL)
		finished_last = NULL;
	exchange->next = NULL;
	*owner = exchange->owner;
	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	answer->transport = mfi_exchange_judge(exchange);
	answer->status = exchange->is_mail ? exchange->reply_code : (int) status;
	answer->body = exchange->body != NULL && exchange->body_length > 0 ? exchange->body : "";
	answer->body_length = exchange->body_length;
	answer->is_truncated = exchange->is_truncated;
	answer->id_header = exchange->id_value[0] != '\0' ? exchange->id_value : NULL;
	answer->retry_after = exchange->retry_after_value[0] != '\0' ? exchange->retry_after_value : NULL;
	answer->retry_after_at = answer->retry_after != NULL ? curl_getdate(answer->retry_after, NULL) : -1;
	answer->error = mfi_exchange_error(exchange);
	return exchange;
}

void
mfi_http_release(MfiExchange *exchange)
{
	exchange->owner = NULL;
	exchange->next = free_list;
	free_list = exchange;
}

MfiExchange *
mfi_http_next_in_flight(void **owner)
{
	for (int i = 0; i < exchange_count; i++)
		if (exchanges[i].is_in_flight)
		{
			*owner = exchanges[i].owner;
			return &exchanges[i];
		}
	return NULL;
}

void
mfi_http_drop(MfiExchange *exchange)
{
	sigset_t	saved;

	block_signals(&saved);
	curl_multi_remove_handle(multi, exchange->easy);
	restore_signals(&saved);
	exchange->is_in_flight = false;
	mfi_http_release(exchange);
}

void
mfi_http_end_mail(void)
{
	for (int i = 0; i < exchange_count; i++)
		if (exchanges[i].is_in_flight && exchanges[i].is_mail)
		{
			mfi_mail_thread_end(&exchanges[i]);
			push_finished(&exchanges[i]);
		}
	mfi_mail_thread_forget();
}

int
mfi_http_poll(long *timeout_ms)
{
	int64		at_ms = timer_at_ms < 0 || (deadline_at_ms >= 0 && deadline_at_ms < timer_at_ms) ? deadline_at_ms : timer_at_ms;

	*timeout_ms = at_ms < 0 ? -1 : Max(0, at_ms - mfi_rate_now_ms());
	if (finished_first != NULL)
		*timeout_ms = 0;
	return epoll_descriptor;
}
