/*
 * address.h
 *		Which network addresses a gateway may be at.
 */
#ifndef MFI_DELIVERY_ADDRESS_H
#define MFI_DELIVERY_ADDRESS_H

#include <sys/socket.h>

/* Neither raises nor allocates: called from inside libcurl. */
extern bool mfi_address_is_public(const struct sockaddr *address);
extern bool mfi_address_is_loopback(const struct sockaddr *address);
/* Whether mfiauto.private_hosts lists host or host:port. */
extern bool mfi_address_is_listed(const char *list, const char *host, const char *port);
/* Whether a host as written in a URL is loopback. */
extern bool mfi_address_is_loopback_name(const char *host);

#endif							/* MFI_DELIVERY_ADDRESS_H */
