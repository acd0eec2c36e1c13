/*
 * server.c
 *		The HTTP side: one thread of libmicrohttpd reads and writes all
 *		connections. A request that is whole is handed to the pool, its connection
 *		suspended until the answer is there; so nobody waits for somebody else's
 *		database.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"
#include "pool.h"
#include "server.h"

#define HEADER_BYTES_MAX 65536
#define PATH_BYTES_MAX 2048
#define QUERY_BYTES_MAX 16384
#define NO_DEADLINE INT64_MAX

/* A connection, as we watch it. */
typedef struct Peer
{
	int fd;
	int64_t deadline_ms;
	struct Peer *previous;
	struct Peer *next;
} Peer;

static struct MHD_Daemon *daemon_handle;
static Peer *peers;
static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long active_count;
static atomic_llong held_bytes;
static atomic_bool is_stopping;

static void
watch_connection(void *unused, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code)
{
	Peer *peer = *context;

	(void) unused;
	pthread_mutex_lock(&peers_lock);
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
	{
		peer = allocate(sizeof(Peer));
		peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		peer->deadline_ms = clock_ms() + settings.request_timeout_s * 1000LL;
		peer->next = peers;
		if (peers != NULL)
			peers->previous = peer;
		peers = peer;
		*context = peer;
	}
	else if (peer != NULL)
	{
		if (peer->previous != NULL)
			peer->previous->next = peer->next;
		else
			peers = peer->next;
		if (peer->next != NULL)
			peer->next->previous = peer->previous;
		free(peer);
		*context = NULL;
	}
	pthread_mutex_unlock(&peers_lock);
}

static void
set_deadline(struct MHD_Connection *connection, int64_t deadline_ms)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (info == NULL || info->socket_context == NULL)
		return;
	pthread_mutex_lock(&peers_lock);
	((Peer *) info->socket_context)->deadline_ms = deadline_ms;
	pthread_mutex_unlock(&peers_lock);
}

/*
 * server_sweep: libmicrohttpd's own time-out begins anew with every byte. A
 * socket that is shut down is closed by the thread it belongs to.
 */
void
server_sweep(void)
{
	int64_t now_ms = clock_ms();

	pthread_mutex_lock(&peers_lock);
	for (Peer *peer = peers; peer != NULL; peer = peer->next)
		if (peer->deadline_ms < now_ms)
		{
			shutdown(peer->fd, SHUT_RDWR);
			peer->deadline_ms = NO_DEADLINE;
		}
	pthread_mutex_unlock(&peers_lock);
}

static void
stamp(Request *request)
{
	struct timespec now;
	struct tm parts;
	size_t length;
	unsigned char bytes[16];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	length = strftime(request->received_at, sizeof(request->received_at), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(request->received_at + length, sizeof(request->received_at) - length, ".%03dZ", (int) (now.tv_nsec / 1000000));
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		fail("fatal: no random numbers");
	bytes[6] = (bytes[6] & 0x0F) | 0x40;
	bytes[8] = (bytes[8] & 0x3F) | 0x80;
	snprintf(request->id, sizeof(request->id), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
			 bytes[5], bytes[6], bytes[7], bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]);
}

/*
 * begin is called with the first line, whose target is still as it came.
 */
static void *
begin(void *unused, const char *target, struct MHD_Connection *connection)
{
	Exchange *exchange = allocate(sizeof(Exchange));
	const char *question = strchr(target, '?');
	size_t path_length = question == NULL ? strlen(target) : (size_t) (question - target);

	(void) unused;
	active_count++;
	exchange->connection = connection;
	exchange->began_at_ms = clock_ms();
	exchange->request.path = allocate(path_length + 1);
	memcpy(exchange->request.path, target, path_length);
	exchange->request.query = copy_text(question == NULL ? "" : question + 1);
	return exchange;
}

static void
end(void *unused, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
	Exchange *exchange = *context;

	(void) unused;
	(void) code;
	if (exchange == NULL)
		return;
	*context = NULL;
	if (exchange->stage == STAGE_DONE)
		exchange_log(exchange);
	set_deadline(connection, clock_ms() + settings.request_timeout_s * 1000LL);
	held_bytes -= exchange->held_bytes;
	request_clear(&exchange->request);
	answer_clear(&exchange->answer);
	free(exchange);
	active_count--;
}

static size_t
body_limit(const Exchange *exchange)
{
	return 1024 * (size_t) (strncmp(exchange->request.path, "/v1/", 4) == 0 ? settings.tracking_body_limit_kb : settings.body_limit_kb);
}

static bool
is_clean(const char *text)
{
	for (const char *at = text; *at != '\0'; at++)
		if ((unsigned char) *at < ' ' || *at == 127)
			return false;
	return text_is_utf8(text);
}

/*
 * hold counts what a request takes in memory; false if that is too much for all
 * together.
 */
static bool
hold(Exchange *exchange, size_t length)
{
	if (held_bytes + (long long) length > settings.memory_limit_mb * 1024LL * 1024)
		return false;
	held_bytes += length;
	exchange->held_bytes += length;
	return true;
}

/*
 * look decides, when the headers are there, whether the body is wanted; 0 or
 * the status that refuses it.
 */
static int
look(Exchange *exchange, const char *method)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS", NULL};
	Request *request = &exchange->request;
	const char *length = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Content-Length");
	int wait_s;
	int i = 0;

	while (methods[i] != NULL && strcmp(methods[i], method) != 0)
		i++;
	if (methods[i] == NULL)
		return 405;
	request->method = copy_text(method);
	if (!rate_allows(&exchange->client, &wait_s))
		return 429;
	if (strlen(request->path) > PATH_BYTES_MAX || strlen(request->query) > QUERY_BYTES_MAX)
		return 414;
	if (request->path[0] != '/' || !is_clean(request->path) || !is_clean(request->query))
		return 400;
	if (length != NULL && strtoull(length, NULL, 10) > body_limit(exchange))
		return 413;
	stamp(request);
	exchange_read_headers(exchange);
	if (exchange->refusal == 0 && !hold(exchange, strlen(request->headers)))
		return 503;
	return exchange->refusal;
}

static enum MHD_Result
respond(Exchange *exchange)
{
	exchange->stage = STAGE_DONE;
	set_deadline(exchange->connection, clock_ms() + settings.request_timeout_s * 1000LL);
	return exchange_respond(exchange, is_stopping);
}

/*
 * collect_forwarded: some proxies add a header of their own behind the one that
 * came; all of them are one list.
 */
static enum MHD_Result
collect_forwarded(void *target, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Text *list = target;

	(void) kind;
	if (strcasecmp(name, "X-Forwarded-For") != 0 || value == NULL)
		return MHD_YES;
	if (list->length > 0)
		text_append(list, ", ", 2);
	text_append(list, value, strlen(value));
	return MHD_YES;
}

static enum MHD_Result
start_reading(Exchange *exchange, const char *method)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	Text forwarded = {0};
	int status;

	MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, collect_forwarded, &forwarded);
	exchange->client = address_of_client(address_of(info->client_addr), forwarded.data);
	free(forwarded.data);
	exchange->request.remote = address_text(&exchange->client);
	exchange->stage = STAGE_READING;
	status = look(exchange, method);
	if (status == 0)
		return MHD_YES;
	exchange_say(exchange, status);
	return respond(exchange);
}

/*
 * read_body takes what came of the body. What is too much is thrown away, but
 * not for long.
 */
static enum MHD_Result
read_body(Exchange *exchange, const char *data, size_t length)
{
	Text *body = &exchange->request.body;

	if (exchange->refusal == 0 && body->length + length > body_limit(exchange))
		exchange->refusal = 413;
	else if (exchange->refusal == 0 && !hold(exchange, length))
		exchange->refusal = 503;
	if (exchange->refusal != 0)
	{
		exchange->discarded_bytes += length;
		return exchange->discarded_bytes > 4 * body_limit(exchange) ? MHD_NO : MHD_YES;
	}
	text_append(body, data, length);
	return MHD_YES;
}

static enum MHD_Result
hand_over(Exchange *exchange)
{
	if (exchange->refusal != 0)
		exchange_say(exchange, exchange->refusal);
	else
	{
		exchange->stage = STAGE_WAITING;
		set_deadline(exchange->connection, NO_DEADLINE);
		MHD_suspend_connection(exchange->connection);
		if (pool_submit(exchange))
			return MHD_YES;
		MHD_resume_connection(exchange->connection);
		exchange_say(exchange, 503);
		exchange->stage = STAGE_DONE;
		return MHD_YES;
	}
	return respond(exchange);
}

/* Called by a worker. */
static void
resume(Exchange *exchange)
{
	exchange->stage = STAGE_DONE;
	MHD_resume_connection(exchange->connection);
}

static enum MHD_Result
handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method, const char *version, const char *data, size_t *data_length, void **context)
{
	Exchange *exchange = *context;

	(void) unused;
	(void) connection;
	(void) url;
	(void) version;
	switch (exchange->stage)
	{
		case STAGE_BEGUN:
			return start_reading(exchange, method);
		case STAGE_READING:
			if (*data_length > 0)
			{
				size_t length = *data_length;

				*data_length = 0;
				return read_body(exchange, data, length);
			}
			return hand_over(exchange);
		case STAGE_DONE:
			*data_length = 0;
			return respond(exchange);
		case STAGE_WAITING:
			break;
	}
	return MHD_YES;
}

static void
announce(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];

	if (getsockname(fd, (struct sockaddr *) &address, &size) == 0 &&
		getnameinfo((struct sockaddr *) &address, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		log_line("listening on %s port %s", host, port);
}

/*
 * open_socket listens where the settings say, or takes the socket of systemd.
 */
static int
open_socket(void)
{
	const char *pid = getenv("LISTEN_PID");
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char *host = copy_text(settings.listen);
	char *colon = strrchr(host, ':');
	char *name = host;
	int on = 1;
	int fd;

	if (pid != NULL && atol(pid) == (long) getpid() && getenv("LISTEN_FDS") != NULL)
	{
		free(host);
		return 3;
	}
	if (colon == NULL)
		fail("fatal: listen must be address:port");
	*colon = '\0';
	if (name[0] == '[' && colon > host && colon[-1] == ']')
	{
		colon[-1] = '\0';
		name++;
	}
	if (getaddrinfo(name, colon + 1, &hints, &found) != 0)
		fail("fatal: listen: %s is not an address and port", settings.listen);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, settings.backlog) != 0)
		fail("fatal: cannot listen on %s: %s", settings.listen, strerror(errno));
	freeaddrinfo(found);
	free(host);
	return fd;
}

void
server_start(void)
{
	struct rlimit files;
	int fd = open_socket();

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		if (files.rlim_cur < (rlim_t) settings.connections + settings.workers + 64)
			fail("fatal: %d connections need more open files than the limit of %llu", settings.connections, (unsigned long long) files.rlim_cur);
	}
	pool_start(resume);
	daemon_handle = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL,
									 MHD_OPTION_LISTEN_SOCKET, fd,
									 MHD_OPTION_CONNECTION_LIMIT, (unsigned) settings.connections,
									 MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) (address_is_proxied() ? 0 : settings.connections_per_address),
									 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) HEADER_BYTES_MAX,
									 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) settings.request_timeout_s,
									 MHD_OPTION_STRICT_FOR_CLIENT, 1,
									 MHD_OPTION_NOTIFY_CONNECTION, watch_connection, NULL,
									 MHD_OPTION_URI_LOG_CALLBACK, begin, NULL,
									 MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
									 MHD_OPTION_END);
	if (daemon_handle == NULL)
		fail("fatal: the HTTP server did not start");
	announce(fd);
}

void
server_stop(void)
{
	int64_t until_ms = clock_ms() + settings.stop_timeout_s * 1000LL;
	struct timespec moment = {.tv_nsec = 20 * 1000000L};
	int fd;

	is_stopping = true;
	fd = MHD_quiesce_daemon(daemon_handle);
	if (fd >= 0)
		close(fd);
	while (active_count > 0 && clock_ms() < until_ms)
	{
		server_sweep();
		nanosleep(&moment, NULL);
	}
	/* The workers finish what they have; nothing may be suspended when the server ends. */
	pool_stop();
	MHD_stop_daemon(daemon_handle);
}
