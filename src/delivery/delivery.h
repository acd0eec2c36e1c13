/*
 * delivery.h
 *		The delivery machine: claims what may leave, sends it, records what came
 *		of it. Pumped: the caller waits, the machine never does.
 */
#ifndef MFI_DELIVERY_DELIVERY_H
#define MFI_DELIVERY_DELIVERY_H

#include "datatype/timestamp.h"

typedef struct MfiDeliveryCounts
{
	int64		claimed;
	int64		sent;
	int64		retrying;
	int64		failed;			/* unknown outcomes too */
	int64		suppressed;		/* canceled and expired too */
	int64		deferred;
} MfiDeliveryCounts;

/* What test_gateway() tells. */
typedef struct MfiDeliveryTest
{
	char		verdict[32];
	int			status;
	char		provider_id[256];
	char		error[256];
	int			duration_ms;
} MfiDeliveryTest;

/* Starts in this process; needs no transaction. */
extern void mfi_delivery_begin(void);
/* What to wait for: a descriptor that becomes readable, and milliseconds (-1: until woken). */
extern int	mfi_delivery_poll(long *timeout_ms);
/* Does all that can be done now. No transaction may be open; its own errors are logged and retried later. */
extern void mfi_delivery_pump(void);
/* There is new work, or a setting changed. */
extern void mfi_delivery_wake(void);
/* Records what is known, gives back what was not sent, and stops. */
extern void mfi_delivery_finish(void);

/* Runs until nothing is due at the clock; waits by itself. */
extern void mfi_delivery_drain(MfiDeliveryCounts *counts);
/* Sends one text now, unrecorded. */
extern void mfi_delivery_test(const char *gateway, const char *to, const char *body, MfiDeliveryTest *result);

/* What the last failed transaction said, without data; NULL if all is well. For mfiauto.status. */
extern const char *mfi_delivery_trouble(void);

#endif							/* MFI_DELIVERY_DELIVERY_H */
