/*
 * address.c
 *		Which network addresses a gateway may be at.
 *
 * A gateway's URL is data. Without this check whoever may write it could make
 * the database server call the services beside it: metadata of a cloud host,
 * an administration port on loopback. The check is made on the address that is
 * connected to, after name resolution, so a name cannot lie.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "delivery/address.h"

typedef struct Network
{
	uint32		address;
	int			bits;
} Network;

/* Not on the public Internet: IANA's special-purpose registry, and multicast. */
static const Network special_networks[] = {
	{0x00000000, 8}, {0x0A000000, 8}, {0x64400000, 10}, {0x7F000000, 8},
	{0xA9FE0000, 16}, {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24},
	{0xC0A80000, 16}, {0xC6120000, 15}, {0xC6336400, 24}, {0xCB007100, 24},
	{0xE0000000, 3},
};

static bool is_public_v4(uint32 address);
static bool embedded_v4(const struct in6_addr *address, uint32 *v4);
static bool is_special_v6(const uint8 *bytes);

static bool
is_public_v4(uint32 address)
{
	for (int i = 0; i < (int) lengthof(special_networks); i++)
		if ((address >> (32 - special_networks[i].bits)) ==
			(special_networks[i].address >> (32 - special_networks[i].bits)))
			return false;
	return true;
}

/*
 * embedded_v4 finds the IPv4 address inside mapped, compatible, NAT64 and 6to4
 * addresses.
 */
static bool
embedded_v4(const struct in6_addr *address, uint32 *v4)
{
	static const uint8 nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8 zeros[12] = {0};
	const uint8 *bytes = address->s6_addr;
	int			at = 12;

	if (bytes[0] == 0x20 && bytes[1] == 0x02)
		at = 2;
	else if (!IN6_IS_ADDR_V4MAPPED(address) && memcmp(bytes, nat64, 12) != 0 && memcmp(bytes, zeros, 12) != 0)
		return false;
	*v4 = ((uint32) bytes[at] << 24) | ((uint32) bytes[at + 1] << 16) | ((uint32) bytes[at + 2] << 8) | bytes[at + 3];
	return true;
}

/*
 * is_special_v6: within 2000::/3, what IANA keeps for protocols (2001::/23,
 * Teredo's tunnels to any IPv4 address among them) and for documentation.
 */
static bool
is_special_v6(const uint8 *bytes)
{
	if (bytes[0] == 0x20 && bytes[1] == 0x01)
		return bytes[2] < 0x02 || (bytes[2] == 0x0d && bytes[3] == 0xb8);
	return bytes[0] == 0x3f && bytes[1] == 0xff && bytes[2] < 0x10;
}

bool
mfi_address_is_public(const struct sockaddr *address)
{
	uint32		v4;

	if (address->sa_family == AF_INET)
		return is_public_v4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
	{
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *) address)->sin6_addr;

		if (embedded_v4(v6, &v4))
			return is_public_v4(v4);
		return (v6->s6_addr[0] & 0xe0) == 0x20 && !is_special_v6(v6->s6_addr);	/* global unicast, 2000::/3 */
	}
	return false;
}

bool
mfi_address_is_loopback(const struct sockaddr *address)
{
	uint32		v4;

	if (address->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24) == 127;
	if (address->sa_family == AF_INET6)
	{
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *) address)->sin6_addr;

		return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && embedded_v4(v6, &v4) && (v4 >> 24) == 127);
	}
	return false;
}

bool
mfi_address_is_loopback_name(const char *host)
{
	struct in_addr v4;

	if (pg_strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

bool
mfi_address_is_listed(const char *list, const char *host, const char *port)
{
	size_t		host_length = strlen(host);

	while (list != NULL && *list != '\0')
	{
		size_t		length;

		list += strspn(list, ", \t");
		length = strcspn(list, ", \t");
		if (length >= host_length && pg_strncasecmp(list, host, host_length) == 0 &&
			(length == host_length ||
			 (list[host_length] == ':' && length == host_length + 1 + strlen(port) &&
			  strncmp(list + host_length + 1, port, strlen(port)) == 0)))
			return true;
		list += length;
	}
	return false;
}
