/*
 * base.c
 *		Log, texts, requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

static int log_fd = STDERR_FILENO;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * log_open opens the file anew, so that it may be moved away; if it cannot be
 * opened, the old one goes on.
 */
void
log_open(void)
{
	int fd;

	if (settings.log_file[0] == '\0')
		return;
	fd = open(settings.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
	{
		log_line("error: log file cannot be opened: %s", strerror(errno));
		return;
	}
	pthread_mutex_lock(&log_lock);
	if (log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = fd;
	pthread_mutex_unlock(&log_lock);
}

static void
write_line(const char *format, va_list arguments)
{
	char line[1024];
	time_t now = time(NULL);
	struct tm parts;
	size_t length;
	int printed;

	gmtime_r(&now, &parts);
	length = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &parts);
	printed = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	if (printed < 0)
		return;
	length += printed;
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) line[i] < ' ' || (unsigned char) line[i] >= 127)
			line[i] = '?';
	line[length++] = '\n';
	pthread_mutex_lock(&log_lock);
	if (write(log_fd, line, length) < 0)
	{
		/* There is nobody to tell. */
	}
	pthread_mutex_unlock(&log_lock);
}

void
log_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
}

void
fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
	_exit(1);
}

void *
allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL)
		fail("fatal: out of memory");
	return memory;
}

char *
copy_text(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(allocate(size), text, size);
}

void
text_append(Text *text, const void *data, size_t length)
{
	if (text->length + length + 1 > text->size)
	{
		size_t size = text->size * 2 > text->length + length + 1 ? text->size * 2 : text->length + length + 1;
		char *grown = realloc(text->data, size);

		if (grown == NULL)
			fail("fatal: out of memory");
		text->data = grown;
		text->size = size;
	}
	if (length > 0)
		memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void
text_print(Text *text, const char *format, ...)
{
	char line[1024];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t) length >= sizeof(line))
		fail("fatal: text is too long");
	text_append(text, line, length);
}

/*
 * sequence_length is that of the UTF-8 sequence at a place, 0 if there is none.
 */
static int
sequence_length(const unsigned char *at)
{
	int length = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;

	for (int i = 1; i < length; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	/* Longer than needed, surrogates, beyond Unicode. */
	if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
		return 0;
	return length;
}

bool
text_is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *) text;

	while (*at != 0)
	{
		int length = sequence_length(at);

		if (length == 0)
			return false;
		at += length;
	}
	return true;
}

/*
 * text_append_json appends a JSON string. What is not UTF-8 is taken for Latin-1,
 * which is what header fields were.
 */
void
text_append_json(Text *text, const char *value)
{
	static const char digits[] = "0123456789abcdef";
	bool is_utf8 = text_is_utf8(value);

	text_append(text, "\"", 1);
	for (const unsigned char *at = (const unsigned char *) value; *at != 0; at++)
	{
		char escaped[] = {'\\', 'u', '0', '0', digits[*at >> 4], digits[*at & 15]};

		if (*at == '"' || *at == '\\')
			text_append(text, (char[]) {'\\', (char) *at}, 2);
		else if (*at < ' ' || *at == 127 || (*at >= 0x80 && !is_utf8))
			text_append(text, escaped, sizeof(escaped));
		else
			text_append(text, at, 1);
	}
	text_append(text, "\"", 1);
}

int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
request_clear(Request *request)
{
	free(request->method);
	free(request->path);
	free(request->query);
	free(request->headers);
	free(request->remote);
	free(request->body.data);
	memset(request, 0, sizeof(*request));
}

/*
 * request_may_wait: webhooks, what apps tell, and the wish to be left alone
 * may be answered from here. Some providers send receipts as GET; their
 * handshakes want an answer now.
 */
bool
request_may_wait(const Request *request)
{
	bool is_webhook = strncmp(request->path, "/w/", 3) == 0;

	if (strcmp(request->method, "POST") == 0)
		return is_webhook || strncmp(request->path, "/v1/", 4) == 0 || strncmp(request->path, "/u/", 3) == 0;
	return is_webhook && strcmp(request->method, "GET") == 0 && request->query[0] != '\0' && strstr(request->query, "challenge") == NULL;
}

void
request_place(const Request *request, char *place, size_t size)
{
	static const char *const plain[] = {"/w/", "/v/", "/v1/", "/health", NULL};
	static const char *const bare[] = {"/l/", "/o/", "/u/", NULL};

	snprintf(place, size, "other");
	for (int i = 0; plain[i] != NULL; i++)
		if (strncmp(request->path, plain[i], strlen(plain[i])) == 0)
			snprintf(place, size, "%.80s", request->path);
	for (int i = 0; bare[i] != NULL; i++)
		if (strncmp(request->path, bare[i], 3) == 0)
			snprintf(place, size, "%s", bare[i]);
}

void
answer_clear(Answer *answer)
{
	free(answer->headers);
	free(answer->body);
	memset(answer, 0, sizeof(*answer));
}
