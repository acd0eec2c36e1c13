/*
 * main.c
 *		mfiauto-receiver: the web front of mfiauto. It takes requests, asks
 *		mfiauto.serve() what to say, and keeps what the database could not take.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "base.h"
#include "database.h"
#include "queue.h"
#include "replay.h"
#include "server.h"

/*
 * tell_systemd says how far we are, if somebody wants to know.
 */
static void
tell_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length;
	int fd;

	if (path == NULL || (length = strlen(path)) == 0 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address, offsetof(struct sockaddr_un, sun_path) + length) < 0)
		log_line("warning: systemd could not be told");
	close(fd);
}

int
main(int argc, char **argv)
{
	sigset_t signals;
	struct timespec moment = {.tv_nsec = 500 * 1000000L};
	int signal_number = 0;

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	/* Before any thread: they all inherit that these are the main thread's. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	settings_read(argc, argv);
	log_open();
	address_setup();
	database_setup();
	queue_setup();
	replay_start();
	server_start();
	tell_systemd("READY=1");
	while (signal_number != SIGTERM && signal_number != SIGINT)
	{
		signal_number = sigtimedwait(&signals, NULL, &moment);
		if (signal_number == SIGHUP)
		{
			log_open();
			database_reopen();
			queue_scan();
			log_line("reopened");
		}
		server_sweep();
	}
	log_line("stopping");
	tell_systemd("STOPPING=1");
	server_stop();
	replay_stop();
	log_line("stopped");
	return 0;
}
