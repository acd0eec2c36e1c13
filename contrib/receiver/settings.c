/*
 * settings.c
 *		Settings: the command line weighs more than the environment
 *		(MFIAUTO_RECEIVER_NAME), that more than the file.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

Settings settings;

typedef struct Setting
{
	const char *name;
	char **text;
	int *number;
	int minimum;
	int maximum;
	const char *initial;
	const char *about;
} Setting;

static const Setting known[] = {
	{"listen", &settings.listen, NULL, 0, 0, "127.0.0.1:8088", "address and port; [::]:8088 for every address"},
	{"database", &settings.database, NULL, 0, 0, "", "connection string of libpq, for example service=mfiauto; PG* variables count too"},
	{"password_file", &settings.password_file, NULL, 0, 0, "", "file that holds the password; default: credential \"password\" of systemd"},
	{"queue_dir", &settings.queue_dir, NULL, 0, 0, "", "where requests wait while the database is away; default: queue in systemd's state directory"},
	{"trusted_proxies", &settings.trusted_proxies, NULL, 0, 0, "", "networks whose X-Forwarded-For is believed, separated by commas"},
	{"log_file", &settings.log_file, NULL, 0, 0, "", "log file; default: standard error"},
	{"workers", NULL, &settings.workers, 1, 64, "4", "connections to the database"},
	{"queue_limit_mb", NULL, &settings.queue_limit_mb, 0, 1000000, "256", "most that waits on disk"},
	{"body_limit_kb", NULL, &settings.body_limit_kb, 1, 10240, "256", "largest body"},
	{"tracking_body_limit_kb", NULL, &settings.tracking_body_limit_kb, 1, 10240, "500", "largest body of the tracking API"},
	{"memory_limit_mb", NULL, &settings.memory_limit_mb, 1, 65536, "128", "most that headers and bodies take in memory at a time"},
	{"request_timeout", NULL, &settings.request_timeout_s, 1, 3600, "30", "seconds that a request may take to arrive, and an idle connection stays"},
	{"database_timeout", NULL, &settings.database_timeout_s, 1, 600, "8", "seconds that the database may take"},
	{"stop_timeout", NULL, &settings.stop_timeout_s, 1, 600, "20", "seconds that requests under way have when the receiver stops"},
	{"connections", NULL, &settings.connections, 4, 100000, "1000", "most connections"},
	{"connections_per_address", NULL, &settings.connections_per_address, 0, 100000, "64", "most connections of one address, 0: no limit; proxies that are trusted have none"},
	{"backlog", NULL, &settings.backlog, 1, 65535, "1024", "connections that wait to be accepted"},
	{"rate", NULL, &settings.rate, 0, 1000000, "500", "requests a second of everybody, 0: no limit"},
	{"burst", NULL, &settings.burst, 1, 10000000, "2000", "requests of everybody at once"},
	{"rate_per_address", NULL, &settings.rate_per_address, 0, 1000000, "50", "requests a second of one address, 0: no limit"},
	{"burst_per_address", NULL, &settings.burst_per_address, 1, 10000000, "200", "requests of one address at once"},
	{NULL, NULL, NULL, 0, 0, NULL, NULL}
};

static const Setting *
find_setting(const char *name)
{
	for (const Setting *setting = known; setting->name != NULL; setting++)
		if (strcmp(setting->name, name) == 0)
			return setting;
	return NULL;
}

static void
set(const Setting *setting, const char *value, const char *place)
{
	if (setting->text != NULL)
	{
		free(*setting->text);
		*setting->text = copy_text(value);
	}
	else
	{
		char *end;
		long number;

		errno = 0;
		number = strtol(value, &end, 10);
		if (errno != 0 || end == value || *end != '\0' || number < setting->minimum || number > setting->maximum)
			fail("fatal: %s (%s) must be a whole number from %d to %d", setting->name, place, setting->minimum, setting->maximum);
		*setting->number = number;
	}
}

static char *
trim(char *text)
{
	char *end;

	while (isspace((unsigned char) *text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	return text;
}

static void
read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	int line_number = 0;

	if (file == NULL)
		fail("fatal: configuration file %s cannot be opened: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char *content = trim(line);
		char *equals = strchr(content, '=');
		const Setting *setting;

		line_number++;
		if (*content == '\0' || *content == '#')
			continue;
		if (equals == NULL)
			fail("fatal: configuration file %s, line %d: not \"name = value\"", path, line_number);
		*equals = '\0';
		setting = find_setting(trim(content));
		if (setting == NULL)
			fail("fatal: configuration file %s, line %d: there is no setting of this name", path, line_number);
		set(setting, trim(equals + 1), path);
	}
	fclose(file);
}

static void
read_environment(void)
{
	for (const Setting *setting = known; setting->name != NULL; setting++)
	{
		char name[128];
		const char *value;

		snprintf(name, sizeof(name), "MFIAUTO_RECEIVER_%s", setting->name);
		for (char *at = name; *at != '\0'; at++)
			*at = toupper((unsigned char) *at);
		value = getenv(name);
		if (value != NULL)
			set(setting, value, name);
	}
}

static void
print_help(void)
{
	printf("mfiauto-receiver: the web front of mfiauto. Webhooks, links, unsubscription and the tracking API go to mfiauto.serve().\n\n"
		   "  --config=FILE   lines \"name = value\"\n");
	for (const Setting *setting = known; setting->name != NULL; setting++)
		printf("  --%s=%s\n        %s\n", setting->name, setting->initial, setting->about);
	printf("\nEach setting is also an environment variable MFIAUTO_RECEIVER_NAME.\n"
		   "SIGTERM ends it when what was accepted is done; SIGHUP reopens log and connections, and looks at the queue again.\n");
}

/*
 * read_arguments reads --name=value. The first pass looks for the file alone.
 */
static const char *
read_arguments(int argc, char **argv, bool is_first)
{
	const char *file = getenv("MFIAUTO_RECEIVER_CONFIG");

	for (int i = 1; i < argc; i++)
	{
		const char *equals = strchr(argv[i], '=');
		char name[64];
		const Setting *setting;

		if (strcmp(argv[i], "--help") == 0)
		{
			print_help();
			exit(0);
		}
		if (strncmp(argv[i], "--", 2) != 0 || equals == NULL || (size_t) (equals - argv[i]) >= sizeof(name))
			fail("fatal: argument %d is not --name=value; see --help", i);
		snprintf(name, sizeof(name), "%.*s", (int) (equals - argv[i] - 2), argv[i] + 2);
		if (strcmp(name, "config") == 0)
		{
			file = equals + 1;
			continue;
		}
		setting = find_setting(name);
		if (setting == NULL)
			fail("fatal: there is no setting \"%s\"; see --help", name);
		if (is_first)
			continue;
		/* Everybody on the machine reads command lines. */
		if (strcmp(name, "database") == 0 && (strstr(equals, "password") != NULL || (strstr(equals, "://") != NULL && strchr(equals, '@') != NULL)))
			fail("fatal: a password has no place on the command line: use password_file, a service file or ~/.pgpass");
		set(setting, equals + 1, "command line");
	}
	return file;
}

/* Where systemd puts what it was asked for. */
static void
use_systemd(void)
{
	const char *state = getenv("STATE_DIRECTORY");
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	Text path = {0};

	if (settings.queue_dir[0] == '\0' && state != NULL)
	{
		text_print(&path, "%.*s/queue", (int) strcspn(state, ":"), state);
		set(find_setting("queue_dir"), path.data, "STATE_DIRECTORY");
	}
	if (settings.password_file[0] == '\0' && credentials != NULL)
	{
		FILE *file;

		path.length = 0;
		text_print(&path, "%s/password", credentials);
		file = fopen(path.data, "re");
		if (file != NULL)
		{
			fclose(file);
			set(find_setting("password_file"), path.data, "CREDENTIALS_DIRECTORY");
		}
	}
	free(path.data);
}

void
settings_read(int argc, char **argv)
{
	const char *file;

	for (const Setting *setting = known; setting->name != NULL; setting++)
		set(setting, setting->initial, "default");
	file = read_arguments(argc, argv, true);
	if (file != NULL)
		read_file(file);
	read_environment();
	read_arguments(argc, argv, false);
	use_systemd();
}
