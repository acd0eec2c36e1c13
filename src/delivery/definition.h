/*
 * definition.h
 *		What definition.c and gateway.c share of a gateway being made.
 */
#ifndef MFI_DELIVERY_DEFINITION_H
#define MFI_DELIVERY_DEFINITION_H

#include "delivery/gateway.h"

/* {"settings": …, "secret": …}: what templates know before there is a message. */
extern Jsonb *mfi_gateway_fixed_context(const MfiGateway *gateway);

#endif							/* MFI_DELIVERY_DEFINITION_H */
