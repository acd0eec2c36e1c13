/*
 * base.h
 *		What every part of the receiver stands on: settings, log, texts, and what
 *		a request and its answer are.
 */
#ifndef RECEIVER_BASE_H
#define RECEIVER_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Settings
{
	char *listen;
	char *database;
	char *password_file;
	char *queue_dir;
	char *trusted_proxies;
	char *log_file;
	int workers;
	int queue_limit_mb;
	int body_limit_kb;
	int tracking_body_limit_kb;
	int memory_limit_mb;
	int request_timeout_s;
	int database_timeout_s;
	int stop_timeout_s;
	int connections;
	int connections_per_address;
	int backlog;
	int rate;
	int burst;
	int rate_per_address;
	int burst_per_address;
} Settings;

extern Settings settings;

/* Reads the command line, the environment and the file, in this order of weight; ends the program if something is wrong. */
extern void settings_read(int argc, char **argv);

/* The log: one line a call, to standard error or to the file. */
extern void log_open(void);
extern void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Memory that is not there ends the program: what was answered is on disk or in the database. */
extern void *allocate(size_t size);
extern char *copy_text(const char *text);

/* A text that grows; always ends in a zero byte that its length does not count. */
typedef struct Text
{
	char *data;
	size_t length;
	size_t size;
} Text;

extern void text_append(Text *text, const void *data, size_t length);
extern void text_print(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void text_append_json(Text *text, const char *value);
extern bool text_is_utf8(const char *text);

extern int64_t clock_ms(void);

/* A request as it came. All that is needed to say it to the database again, at any time. */
typedef struct Request
{
	char *method;
	char *path;
	char *query;
	char *headers;				/* a JSON object */
	char *remote;
	char received_at[32];
	char id[37];
	Text body;
} Request;

extern void request_clear(Request *request);

/* Whether the sender may be answered before the database has seen it. */
extern bool request_may_wait(const Request *request);

/* What the log may say of a path: links and unsubscription carry tokens. */
extern void request_place(const Request *request, char *place, size_t size);

typedef struct Answer
{
	int status;
	char *headers;				/* lines "name:value" */
	char *body;
	size_t body_length;
} Answer;

extern void answer_clear(Answer *answer);

#endif							/* RECEIVER_BASE_H */
