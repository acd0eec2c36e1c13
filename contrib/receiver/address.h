/*
 * address.h
 *		Who asks: addresses, proxies, and how often each may ask.
 */
#ifndef RECEIVER_ADDRESS_H
#define RECEIVER_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* An IPv6 address; IPv4 ones are mapped. */
typedef struct in6_addr Address;

extern void address_setup(void);
extern bool address_is_proxied(void);
extern Address address_of(const struct sockaddr *peer);
extern char *address_text(const Address *address);

/* The client behind our own proxies: the last of the addresses that they name which is none of theirs. */
extern Address address_of_client(Address peer, const char *forwarded_for);

/* Whether somebody may ask now; if not, *wait_s says for how long not. */
extern bool rate_allows(const Address *address, int *wait_s);

#endif							/* RECEIVER_ADDRESS_H */
