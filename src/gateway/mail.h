/*
 * mail.h
 *		Gateways of transport smtp: the request is a letter, the answer a mail
 *		server's last word.
 */
#ifndef MFI_GATEWAY_MAIL_H
#define MFI_GATEWAY_MAIL_H

#include "gateway/definition.h"

/* The member "request" of such a gateway, into the current memory context; faults are 22023 with their place. */
extern void mfi_mail_read_definition(MfiGateway *gateway, json_t *request);
/* Whether a definition or a message may set a header of that name. */
extern bool mfi_mail_may_set(const char *name);
/* What settings and secrets alone decide; 22023 if they cannot stand there. */
extern void mfi_mail_settle(MfiGateway *gateway, Jsonb *context);
/* The letter and its envelope, in the current memory context; 22023 if an address is none. */
extern void mfi_mail_build_request(const MfiGateway *gateway, const MfiEnvelope *envelope, Jsonb *context, MfiRequest *request);
/* The enhanced status code (RFC 3463) of a server's reply, as 5.1.1; palloc'd, NULL if it gave none. */
extern char *mfi_mail_code(const MfiAnswer *answer);
/* What a reply means where the definition has no rule for it. */
extern MfiVerdict mfi_mail_verdict(int status, const char *code);

#endif							/* MFI_GATEWAY_MAIL_H */
