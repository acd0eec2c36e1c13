/*
 * jwt.h
 *		Tokens that we sign ourselves: JSON Web Tokens in compact form.
 *
 * A definition says which claims; strings in it may name settings and secrets,
 * and "$now", "$now+3600" and "$uuid" are filled in when a token is made.
 */
#ifndef MFI_GATEWAY_JWT_H
#define MFI_GATEWAY_JWT_H

#include "base/json.h"
#include "gateway/shape.h"

typedef enum MfiJwtAlgorithm
{
	MFI_JWT_RS256,
	MFI_JWT_ES256,
	MFI_JWT_HS256,
} MfiJwtAlgorithm;

typedef struct MfiJwt
{
	MfiJwtAlgorithm algorithm;
	MfiSlot    *key;
	List	   *header;			/* of MfiClaim */
	List	   *claims;
	int			lifetime_s;		/* how long one is used, shorter than it is valid */
} MfiJwt;

/* Reads algorithm, key, header, claims and lifetime; faults are refused with their place. */
extern MfiJwt *mfi_jwt_read(json_t *json, const char *path);
extern const char *mfi_jwt_algorithm_name(const MfiJwt *jwt);

/* A token as of now_s (Unix time), palloc'd; 22023 if the key is not one for the algorithm. */
extern char *mfi_jwt_make(const MfiJwt *jwt, Jsonb *context, int64 now_s);

#endif							/* MFI_GATEWAY_JWT_H */
