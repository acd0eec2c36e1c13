/*
 * raw_multi.c
 *		The raw limit that delivery is measured against: a bare libcurl multi
 *		loop, one thread, reused handles, keep-alive, HTTP/1.1, that posts the
 *		same requests and keeps no record of them.
 *
 * Usage: raw_multi URL REQUESTS CONNECTIONS
 * Prints: seconds <elapsed> cpu <process seconds> failed <count>
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

typedef struct Slot
{
	CURL	   *easy;
	char		body[256];
} Slot;

static size_t
discard(char *data, size_t size, size_t count, void *context)
{
	(void) data;
	(void) context;
	return size * count;
}

static double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static void
start(CURLM *multi, Slot *slot, long number)
{
	snprintf(slot->body, sizeof(slot->body),
			 "{\"to\":\"+22177%07ld\",\"text\":\"Bonjour, votre echeance de 12 500 FCFA est le 5 janvier 2026.\"}",
			 number);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
	curl_multi_add_handle(multi, slot->easy);
}

int
main(int argc, char **argv)
{
	const char *url = argc > 3 ? argv[1] : NULL;
	long		total = argc > 3 ? atol(argv[2]) : 0;
	long		connections = argc > 3 ? atol(argv[3]) : 0;
	long		started = 0;
	long		done = 0;
	long		failed = 0;
	CURLM	   *multi;
	Slot	   *slots;
	struct curl_slist *headers = NULL;
	struct rusage usage;
	double		began;

	if (url == NULL || total < 1 || connections < 1)
	{
		fprintf(stderr, "usage: raw_multi URL REQUESTS CONNECTIONS\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections + 8);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Authorization: Bearer 0123456789abcdef0123456789abcdef");
	headers = curl_slist_append(headers, "Expect:");
	slots = calloc((size_t) connections, sizeof(Slot));
	began = now();
	for (long i = 0; i < connections; i++)
	{
		slots[i].easy = curl_easy_init();
		curl_easy_setopt(slots[i].easy, CURLOPT_URL, url);
		curl_easy_setopt(slots[i].easy, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(slots[i].easy, CURLOPT_WRITEFUNCTION, discard);
		curl_easy_setopt(slots[i].easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(slots[i].easy, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(slots[i].easy, CURLOPT_PRIVATE, &slots[i]);
		if (started < total)
			start(multi, &slots[i], started++);
	}
	while (done < total)
	{
		int			running;
		int			left;
		CURLMsg    *message;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
		{
			Slot	   *slot;
			long		status = 0;

			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &slot);
			curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
			if (message->data.result != CURLE_OK || status != 200)
				failed++;
			done++;
			curl_multi_remove_handle(multi, slot->easy);
			if (started < total)
				start(multi, slot, started++);
		}
		if (done < total)
			curl_multi_poll(multi, NULL, 0, 100, NULL);
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("seconds %.3f cpu %.3f failed %ld\n", now() - began,
		   usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		   failed);
	return failed > 0;
}
