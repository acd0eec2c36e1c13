/*
 * request.h
 *		What request.c and auth.c share of a request being built.
 */
#ifndef MFI_GATEWAY_REQUEST_H
#define MFI_GATEWAY_REQUEST_H

#include "gateway/gateway.h"
#include "gateway/sign.h"
#include "lib/stringinfo.h"

/* Adds a header; 22023 if the value holds a line break or another control character. */
extern void mfi_request_add_header(MfiRequest *request, const char *name, const char *value);

/*
 * Appends name=value for a query (first '?', or '&' if the URL has one already)
 * or a form (first 0).
 */
extern void mfi_request_append_parameter(StringInfo out, const char *name, const char *value, char first, bool *is_first);

/* Appends a parameter to what carries parameters: the form if the body is one, else the query. */
extern void mfi_request_add_parameter(MfiRequest *request, bool is_form, const char *name, const char *value);

/* auth.c: says who we are; pairs are all of the request's parameters so far. */
extern void mfi_auth_apply(const MfiGateway *gateway, List *pairs, const char *token, MfiRequest *request);

#endif							/* MFI_GATEWAY_REQUEST_H */
