/*
 * queue.c
 *		The queue on disk.
 *
 * A file is written under another name, synced, renamed, and its directory
 * synced, before queue_put() returns: what a file of the queue's own name has
 * was whole when it got it. Names are numbers, in the order of arrival.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "queue.h"

#define MAGIC "mfiauto-receiver 1"
#define NAME_LENGTH 16
#define FILE_BYTES_MAX (64 * 1024 * 1024)

typedef struct Entry
{
	uint64_t number;
	long long bytes;
} Entry;

static int directory = -1;
static int aside = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_filled;

/* What waits: a ring of count entries from head on. */
static Entry *entries;
static size_t head;
static size_t entry_count;
static size_t entry_size;
static uint64_t next_number;
static QueueState state;
static long long reserved_bytes;

static Entry *
entry_at(size_t index)
{
	return &entries[(head + index) % entry_size];
}

static void
add_entry(uint64_t number, long long bytes)
{
	if (entry_count == entry_size)
	{
		size_t size = entry_size == 0 ? 1024 : entry_size * 2;
		Entry *grown = allocate(size * sizeof(Entry));

		for (size_t i = 0; i < entry_count; i++)
			grown[i] = *entry_at(i);
		free(entries);
		entries = grown;
		entry_size = size;
		head = 0;
	}
	entry_count++;
	*entry_at(entry_count - 1) = (Entry) {number, bytes};
	state.count++;
	state.bytes += bytes;
}

static int
compare_entries(const void *left, const void *right)
{
	uint64_t a = ((const Entry *) left)->number;
	uint64_t b = ((const Entry *) right)->number;

	return a < b ? -1 : a > b;
}

static bool
is_name(const char *name)
{
	return strlen(name) == NAME_LENGTH && strspn(name, "0123456789abcdef") == NAME_LENGTH;
}

static void
scan_aside(void)
{
	DIR *listing = fdopendir(openat(directory, "aside", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *item;
	struct stat facts;

	state.aside_count = 0;
	state.aside_bytes = 0;
	while (listing != NULL && (item = readdir(listing)) != NULL)
		if (item->d_name[0] != '.' && fstatat(aside, item->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode))
		{
			state.aside_count++;
			state.aside_bytes += facts.st_size;
		}
	if (listing != NULL)
		closedir(listing);
}

/* Names of files that were set aside, or were here yesterday, never come again. */
static uint64_t
first_number(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * scan reads both directories; at the start, what was never finished (and so
 * never answered) is thrown away.
 */
static void
scan(bool is_start)
{
	DIR *listing;
	struct dirent *item;
	struct stat facts;

	listing = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (listing == NULL)
	{
		log_line("error: the queue cannot be read: %s", strerror(errno));
		return;
	}
	head = entry_count = 0;
	state.count = 0;
	state.bytes = 0;
	while ((item = readdir(listing)) != NULL)
	{
		if (is_start && strncmp(item->d_name, "new-", 4) == 0)
			unlinkat(directory, item->d_name, 0);
		else if (is_name(item->d_name) && fstatat(directory, item->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode))
		{
			uint64_t number = strtoull(item->d_name, NULL, 16);

			add_entry(number, facts.st_size);
			if (number >= next_number)
				next_number = number + 1;
		}
	}
	closedir(listing);
	if (entry_count > 0)
		qsort(entries, entry_count, sizeof(Entry), compare_entries);
	scan_aside();
}

/* A directory that is new is there after a power cut only if the one that it is in was synced. */
static void
sync_parent(int child)
{
	int parent = openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* One that we may not read was made by others, and long ago. */
	if (parent >= 0)
	{
		fsync(parent);
		close(parent);
	}
}

void
queue_setup(void)
{
	pthread_condattr_t attributes;
	struct stat facts;
	int lock_file;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&is_filled, &attributes);
	if (settings.queue_dir[0] == '\0' || settings.queue_limit_mb == 0)
	{
		log_line("warning: there is no queue_dir: requests are refused while the database is away");
		return;
	}
	if (mkdir(settings.queue_dir, 0700) != 0 && errno != EEXIST)
		fail("fatal: directory %s cannot be made: %s", settings.queue_dir, strerror(errno));
	directory = open(settings.queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		fail("fatal: directory %s cannot be opened: %s", settings.queue_dir, strerror(errno));
	if (fstat(directory, &facts) != 0 || (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		fail("fatal: directory %s may be written by others, who could say anything in it", settings.queue_dir);
	lock_file = openat(directory, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock_file < 0 || flock(lock_file, LOCK_EX | LOCK_NB) != 0)
		fail("fatal: the queue in %s is another receiver's, or may not be written", settings.queue_dir);
	if (mkdirat(directory, "aside", 0700) != 0 && errno != EEXIST)
		fail("fatal: directory %s/aside cannot be made: %s", settings.queue_dir, strerror(errno));
	aside = openat(directory, "aside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (aside < 0)
		fail("fatal: directory %s/aside cannot be opened: %s", settings.queue_dir, strerror(errno));
	sync_parent(directory);
	sync_parent(aside);
	next_number = first_number();
	scan(true);
	if (state.count > 0 || state.aside_count > 0)
		log_line("the queue holds %ld requests, and %ld that were set aside", state.count, state.aside_count);
}

void
queue_scan(void)
{
	if (directory < 0)
		return;
	pthread_mutex_lock(&lock);
	scan(false);
	pthread_cond_signal(&is_filled);
	pthread_mutex_unlock(&lock);
}

QueueState
queue_state(void)
{
	QueueState copy;

	pthread_mutex_lock(&lock);
	copy = state;
	pthread_mutex_unlock(&lock);
	return copy;
}

static uint64_t
checksum(const void *data, size_t length)
{
	const unsigned char *at = data;
	uint64_t sum = 0xCBF29CE484222325u;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ at[i]) * 0x100000001B3u;
	return sum;
}

/*
 * pack: a first line with the checksum of the rest; the rest is fields, each
 * its length, a line break, and its bytes.
 */
static void
pack(const Request *request, Text *file)
{
	const char *fields[] = {request->method, request->path, request->query, request->headers, request->remote, request->received_at, request->id};
	Text rest = {0};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		text_print(&rest, "%zu\n", strlen(fields[i]));
		text_append(&rest, fields[i], strlen(fields[i]));
	}
	text_print(&rest, "%zu\n", request->body.length);
	text_append(&rest, request->body.data, request->body.length);
	text_print(file, MAGIC " %016" PRIx64 "\n", checksum(rest.data, rest.length));
	text_append(file, rest.data, rest.length);
	free(rest.data);
}

static bool
write_file(const char *name, const Text *file)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;
	bool is_well = fd >= 0;

	while (is_well && done < file->length)
	{
		ssize_t count = write(fd, file->data + done, file->length - done);

		if (count > 0)
			done += count;
		else if (count == 0 || errno != EINTR)
			is_well = false;
	}
	is_well = is_well && fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		is_well = false;
	return is_well;
}

/*
 * publish gives a file its name and its place in the queue.
 */
static bool
publish(const char *new_name, uint64_t number, long long bytes)
{
	char name[NAME_LENGTH + 1];
	bool is_well;

	snprintf(name, sizeof(name), "%016" PRIx64, number);
	pthread_mutex_lock(&lock);
	is_well = renameat(directory, new_name, directory, name) == 0;
	if (is_well)
		add_entry(number, bytes);
	pthread_cond_signal(&is_filled);
	pthread_mutex_unlock(&lock);
	return is_well && fsync(directory) == 0;
}

Queued
queue_put(const Request *request)
{
	Text file = {0};
	char new_name[32];
	uint64_t number;
	bool is_well;

	if (directory < 0)
		return QUEUE_FULL;
	pack(request, &file);
	pthread_mutex_lock(&lock);
	if (state.bytes + reserved_bytes + (long long) file.length > settings.queue_limit_mb * 1024LL * 1024)
	{
		pthread_mutex_unlock(&lock);
		free(file.data);
		return QUEUE_FULL;
	}
	reserved_bytes += file.length;
	number = next_number++;
	pthread_mutex_unlock(&lock);
	snprintf(new_name, sizeof(new_name), "new-%016" PRIx64, number);
	is_well = write_file(new_name, &file) && publish(new_name, number, file.length);
	if (!is_well)
	{
		log_line("error: a request could not be written to the queue: %s", strerror(errno));
		unlinkat(directory, new_name, 0);
	}
	pthread_mutex_lock(&lock);
	reserved_bytes -= file.length;
	pthread_mutex_unlock(&lock);
	free(file.data);
	return is_well ? QUEUED : QUEUE_BROKEN;
}

bool
queue_wait(int timeout_ms, char **name)
{
	struct timespec until;
	bool is_there;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&lock);
	if (entry_count == 0)
		pthread_cond_timedwait(&is_filled, &lock, &until);
	is_there = entry_count > 0;
	if (is_there)
	{
		*name = allocate(NAME_LENGTH + 1);
		snprintf(*name, NAME_LENGTH + 1, "%016" PRIx64, entry_at(0)->number);
	}
	pthread_mutex_unlock(&lock);
	return is_there;
}

void
queue_wake(void)
{
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&is_filled);
	pthread_mutex_unlock(&lock);
}

static bool
read_whole(const char *name, Text *file)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char block[65536];
	ssize_t count = -1;

	while (fd >= 0 && file->length <= FILE_BYTES_MAX && (count = read(fd, block, sizeof(block))) > 0)
		text_append(file, block, count);
	if (fd >= 0)
		close(fd);
	return count == 0;
}

/*
 * take_field takes a length and so many bytes from a place in a file.
 */
static bool
take_field(const Text *file, size_t *place, const char **field, size_t *length)
{
	char *end;

	if (*place >= file->length || file->data[*place] < '0' || file->data[*place] > '9')
		return false;
	*length = strtoull(file->data + *place, &end, 10);
	if (*end != '\n')
		return false;
	*field = end + 1;
	*place = *field - file->data;
	if (*length > file->length - *place)
		return false;
	*place += *length;
	return true;
}

static bool
unpack(const Text *file, Request *request)
{
	size_t place = strlen(MAGIC) + 18;
	uint64_t sum;
	const char *field;
	size_t length;
	char *fields[7] = {NULL};
	bool is_well = file->length > place && strncmp(file->data, MAGIC " ", strlen(MAGIC) + 1) == 0 && file->data[place - 1] == '\n';

	if (!is_well)
		return false;
	sum = strtoull(file->data + strlen(MAGIC) + 1, NULL, 16);
	is_well = sum == checksum(file->data + place, file->length - place);
	for (int i = 0; is_well && i < 7; i++)
	{
		is_well = take_field(file, &place, &field, &length);
		if (is_well)
		{
			fields[i] = allocate(length + 1);
			memcpy(fields[i], field, length);
		}
	}
	is_well = is_well && take_field(file, &place, &field, &length) && place == file->length;
	request->method = fields[0];
	request->path = fields[1];
	request->query = fields[2];
	request->headers = fields[3];
	request->remote = fields[4];
	if (is_well)
	{
		snprintf(request->received_at, sizeof(request->received_at), "%s", fields[5]);
		snprintf(request->id, sizeof(request->id), "%s", fields[6]);
		text_append(&request->body, field, length);
	}
	free(fields[5]);
	free(fields[6]);
	return is_well;
}

bool
queue_read(const char *name, Request *request)
{
	Text file = {0};
	bool is_well = read_whole(name, &file) && unpack(&file, request);

	free(file.data);
	return is_well;
}

/*
 * forget takes an entry out and gives its size. It is the first, unless an
 * operator put an older one back meanwhile.
 */
static long long
forget(const char *name)
{
	uint64_t number = strtoull(name, NULL, 16);
	long long bytes;
	size_t place = 0;

	while (place < entry_count && entry_at(place)->number != number)
		place++;
	if (place == entry_count)
		return 0;
	bytes = entry_at(place)->bytes;
	for (; place > 0; place--)
		*entry_at(place) = *entry_at(place - 1);
	state.count--;
	state.bytes -= bytes;
	head = (head + 1) % entry_size;
	entry_count--;
	return bytes;
}

void
queue_remove(const char *name)
{
	pthread_mutex_lock(&lock);
	if (unlinkat(directory, name, 0) != 0 && errno != ENOENT)
		log_line("error: request %s cannot be taken from the queue: %s", name, strerror(errno));
	forget(name);
	pthread_mutex_unlock(&lock);
}

void
queue_set_aside(const char *name, const char *reason, bool is_refused)
{
	char aside_name[64];
	long long bytes;

	snprintf(aside_name, sizeof(aside_name), "%s-%s", name, reason);
	pthread_mutex_lock(&lock);
	if (is_refused && state.aside_bytes > settings.queue_limit_mb * 1024LL * 1024)
	{
		log_line("error: request %s was thrown away (%s): too much was set aside", name, reason);
		unlinkat(directory, name, 0);
		forget(name);
		pthread_mutex_unlock(&lock);
		return;
	}
	bytes = forget(name);
	if (renameat(directory, name, aside, aside_name) == 0)
	{
		log_line("error: request %s was set aside (%s)", name, reason);
		fsync(aside);
		state.aside_bytes += bytes;
		state.aside_count++;
	}
	else
		log_line("error: request %s could not be set aside: %s", name, strerror(errno));
	pthread_mutex_unlock(&lock);
}
