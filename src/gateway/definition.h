/*
 * definition.h
 *		What definition.c and gateway.c share of a gateway being made.
 */
#ifndef MFI_GATEWAY_DEFINITION_H
#define MFI_GATEWAY_DEFINITION_H

#include "base/json.h"
#include "gateway/gateway.h"

/* {"settings": …, "secret": …}: what templates know before there is a message. palloc'd. */
extern Jsonb *mfi_gateway_fixed_context(const MfiGateway *gateway);
/* And what belongs to a message; receipt_url: where receipts of it go, NULL: nowhere. palloc'd. */
extern Jsonb *mfi_gateway_message_context(const MfiGateway *gateway, const MfiEnvelope *envelope, const char *receipt_url);

/*
 * The parts of a definition, into the gateway and the current memory context,
 * which must be the gateway's. Each fault is 22023 with its place.
 */
extern void mfi_definition_read_auth(MfiGateway *gateway, json_t *auth);
/* The way to sign may come from a setting, as accounts are set up differently; 22023 if there is no such way. */
extern void mfi_definition_settle_signed(MfiGateway *gateway, Jsonb *context);
extern void mfi_definition_read_response(MfiGateway *gateway, json_t *response);
extern void mfi_definition_check_receiving(json_t *root);
extern void mfi_definition_read_sql(MfiGateway *gateway, json_t *sql);

/* Refuse (22023, path) what is no header's name or not the definition's to set; an address whose scheme or host is not fixed by settings. */
extern void mfi_definition_check_header(const char *name, const char *path);
extern void mfi_definition_check_url(const char *url, const char *path, bool is_mail);
/* Whether a URL begins as one of http(s), or of mail, must. */
extern bool mfi_definition_is_scheme(const char *url, bool is_mail);
/* List of MfiField: the object's members as templates. */
extern List *mfi_definition_read_fields(json_t *object, const char *path, bool is_header);
/* palloc'd; NULL of NULL. */
extern char *mfi_definition_copy(const char *text);

#endif							/* MFI_GATEWAY_DEFINITION_H */
