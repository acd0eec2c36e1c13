/*
 * address.c
 *		Addresses and networks; token buckets for each address and for all.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "address.h"
#include "base.h"

#define NETWORK_COUNT_MAX 64
#define BUCKET_COUNT 16384		/* sets of WAYS; the longest unused of a set gives way */
#define WAYS 4

typedef struct Network
{
	Address address;
	int bits;
} Network;

typedef struct Bucket
{
	uint64_t key;
	int64_t filled_at_ms;
	double tokens;
} Bucket;

static Network proxies[NETWORK_COUNT_MAX];
static int proxy_count;
static Bucket buckets[BUCKET_COUNT][WAYS];
static Bucket everybody;
static uint64_t hash_key[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool
parse_address(const char *text, Address *address, bool *is_v4)
{
	struct in_addr v4;

	*is_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (!*is_v4)
		return inet_pton(AF_INET6, text, address) == 1;
	memset(address, 0, sizeof(*address));
	address->s6_addr[10] = address->s6_addr[11] = 0xFF;
	memcpy(address->s6_addr + 12, &v4, 4);
	return true;
}

/*
 * address_setup reads trusted_proxies: addresses and networks, separated by
 * commas.
 */
void
address_setup(void)
{
	char *list = copy_text(settings.trusted_proxies);
	char *state = NULL;

	if (getrandom(hash_key, sizeof(hash_key), 0) != sizeof(hash_key))
		fail("fatal: no random numbers");
	for (char *item = strtok_r(list, ", ", &state); item != NULL; item = strtok_r(NULL, ", ", &state))
	{
		char *slash = strchr(item, '/');
		Network *network = &proxies[proxy_count];
		bool is_v4;
		int bits = -1;

		if (slash != NULL)
		{
			char *end;

			*slash = '\0';
			bits = strtol(slash + 1, &end, 10);
			if (end == slash + 1 || *end != '\0' || bits < 0)
				fail("fatal: trusted_proxies: \"%s\" is not followed by a number of bits", item);
		}
		if (proxy_count == NETWORK_COUNT_MAX || !parse_address(item, &network->address, &is_v4) || bits > (is_v4 ? 32 : 128))
			fail("fatal: trusted_proxies: \"%s\" is not an address or network, or there are more than %d", item, NETWORK_COUNT_MAX);
		network->bits = bits < 0 ? 128 : is_v4 ? bits + 96 : bits;
		proxy_count++;
	}
	free(list);
}

bool
address_is_proxied(void)
{
	return proxy_count > 0;
}

static bool
is_proxy(const Address *address)
{
	for (int i = 0; i < proxy_count; i++)
	{
		int bytes = proxies[i].bits / 8;
		int rest = proxies[i].bits % 8;

		if (memcmp(address->s6_addr, proxies[i].address.s6_addr, bytes) == 0 &&
			(rest == 0 || ((address->s6_addr[bytes] ^ proxies[i].address.s6_addr[bytes]) >> (8 - rest)) == 0))
			return true;
	}
	return false;
}

Address
address_of(const struct sockaddr *peer)
{
	Address address;

	memset(&address, 0, sizeof(address));
	if (peer->sa_family == AF_INET6)
		memcpy(&address, &((const struct sockaddr_in6 *) peer)->sin6_addr, sizeof(address));
	else if (peer->sa_family == AF_INET)
	{
		address.s6_addr[10] = address.s6_addr[11] = 0xFF;
		memcpy(address.s6_addr + 12, &((const struct sockaddr_in *) peer)->sin_addr, 4);
	}
	return address;
}

char *
address_text(const Address *address)
{
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, address->s6_addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	return copy_text(text);
}

Address
address_of_client(Address peer, const char *forwarded_for)
{
	char *list;
	char *comma;

	if (forwarded_for == NULL || !is_proxy(&peer))
		return peer;
	list = copy_text(forwarded_for);
	do
	{
		char *item;
		bool is_v4;
		Address next;

		comma = strrchr(list, ',');
		item = comma == NULL ? list : comma + 1;
		item += strspn(item, " \t");
		item[strcspn(item, " \t")] = '\0';
		if (!parse_address(item, &next, &is_v4))
			break;
		peer = next;
		if (comma != NULL)
			*comma = '\0';
	} while (comma != NULL && is_proxy(&peer));
	free(list);
	return peer;
}

/* A hash that nobody outside can steer, of the network that one subscriber has. */
static uint64_t
bucket_key(const Address *address)
{
	uint64_t halves[2];
	uint64_t hash;

	memcpy(halves, address->s6_addr, sizeof(halves));
	if (!IN6_IS_ADDR_V4MAPPED(address))
		halves[1] = 0;
	hash = (halves[0] ^ hash_key[0]) * 0x9E3779B97F4A7C15u;
	hash = ((hash ^ (hash >> 29)) + halves[1]) * (hash_key[1] | 1);
	hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93u;
	hash ^= hash >> 32;
	return hash == 0 ? 1 : hash;
}

/*
 * take takes a token of a bucket that fills at a rate; false if there is none.
 */
static bool
take(Bucket *bucket, int rate, int burst, int64_t now_ms)
{
	bucket->tokens += (now_ms - bucket->filled_at_ms) * (double) rate / 1000;
	if (bucket->tokens > burst)
		bucket->tokens = burst;
	bucket->filled_at_ms = now_ms;
	if (bucket->tokens < 1)
		return false;
	bucket->tokens -= 1;
	return true;
}

static Bucket *
find_bucket(uint64_t key, int64_t now_ms)
{
	Bucket *set = buckets[key % BUCKET_COUNT];
	Bucket *oldest = set;

	for (int i = 0; i < WAYS; i++)
	{
		if (set[i].key == key)
			return &set[i];
		if (set[i].filled_at_ms < oldest->filled_at_ms)
			oldest = &set[i];
	}
	oldest->key = key;
	oldest->tokens = settings.burst_per_address;
	oldest->filled_at_ms = now_ms;
	return oldest;
}

bool
rate_allows(const Address *address, int *wait_s)
{
	int64_t now_ms = clock_ms();
	bool is_allowed = true;

	pthread_mutex_lock(&lock);
	if (settings.rate_per_address > 0)
		is_allowed = take(find_bucket(bucket_key(address), now_ms), settings.rate_per_address, settings.burst_per_address, now_ms);
	if (is_allowed && settings.rate > 0)
	{
		if (everybody.filled_at_ms == 0)
		{
			everybody.filled_at_ms = now_ms;
			everybody.tokens = settings.burst;
		}
		is_allowed = take(&everybody, settings.rate, settings.burst, now_ms);
	}
	pthread_mutex_unlock(&lock);
	*wait_s = 1;
	return is_allowed;
}
