/*
 * auth.c
 *		Saying who we are: with each request, and to those who give tokens.
 */
#include "postgres.h"

#include "base/clock.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/jwt.h"
#include "gateway/request.h"
#include "utils/timestamp.h"

#define JWT_BEARER_GRANT "urn:ietf:params:oauth:grant-type:jwt-bearer"

static int64 unix_now(void);
static void add_signature(const MfiGateway *gateway, Jsonb *context, List *pairs, MfiRequest *request);

const char *
mfi_gateway_auth_name(const MfiGateway *gateway)
{
	switch (gateway->auth_kind)
	{
		case MFI_AUTH_NONE:
			return "none";
		case MFI_AUTH_BASIC:
			return "basic";
		case MFI_AUTH_BEARER:
			return "bearer";
		case MFI_AUTH_HEADER:
			return "header";
		case MFI_AUTH_QUERY:
			return "query";
		case MFI_AUTH_OAUTH2:
			return gateway->jwt != NULL ? "oauth2 jwt_bearer" : "oauth2 client_credentials";
		case MFI_AUTH_JWT:
			return psprintf("jwt %s", mfi_jwt_algorithm_name(gateway->jwt));
		case MFI_AUTH_SIGNED:
			return psprintf("signed %s", gateway->sign_method);
		case MFI_AUTH_SIGV4:
			return psprintf("sigv4 %s", gateway->sigv4_scope);
	}
	return "none";
}

bool
mfi_gateway_needs_token(const MfiGateway *gateway)
{
	return gateway->auth_kind == MFI_AUTH_OAUTH2 || gateway->auth_kind == MFI_AUTH_JWT;
}

static int64
unix_now(void)
{
	return (int64) timestamptz_to_time_t(mfi_clock_now());
}

/*
 * mfi_gateway_make_token signs a token of our own; false if the gateway's come
 * from somebody else.
 */
bool
mfi_gateway_make_token(const MfiGateway *gateway, char **token, double *lifetime_s)
{
	if (gateway->auth_kind != MFI_AUTH_JWT)
		return false;
	*token = mfi_jwt_make(gateway->jwt, mfi_gateway_fixed_context(gateway), unix_now());
	*lifetime_s = gateway->jwt->lifetime_s;
	return true;
}

/*
 * add_signature adds the time, so that a request cannot be used again much
 * later, and the digest of all parameters.
 */
static void
add_signature(const MfiGateway *gateway, Jsonb *context, List *pairs, MfiRequest *request)
{
	bool		is_form = gateway->body_kind == MFI_BODY_FORM;
	const char *signature;

	if (gateway->sign_timestamp != NULL)
	{
		MfiPair    *pair = palloc(sizeof(MfiPair));

		pair->name = gateway->sign_timestamp;
		pair->value = psprintf(INT64_FORMAT, unix_now());
		pairs = lappend(list_copy(pairs), pair);
		mfi_request_add_parameter(request, is_form, pair->name, pair->value);
	}
	signature = gateway->is_masked ? MFI_GATEWAY_MASK
		: mfi_sign_pairs(gateway->sign_method, mfi_slot_render(gateway->auth_secret, context), pairs);
	mfi_request_add_parameter(request, is_form, mfi_slot_render(gateway->auth_name, context), signature);
}

void
mfi_auth_apply(const MfiGateway *gateway, List *pairs, const char *token, MfiRequest *request)
{
	Jsonb	   *context = mfi_gateway_fixed_context(gateway);

	switch (gateway->auth_kind)
	{
		case MFI_AUTH_NONE:
			break;
		case MFI_AUTH_BASIC:
		case MFI_AUTH_SIGV4:
			request->user = mfi_slot_render(gateway->auth_user, context);
			request->password = mfi_slot_render(gateway->auth_secret, context);
			request->sigv4_scope = gateway->sigv4_scope;
			break;
		case MFI_AUTH_BEARER:
			mfi_request_add_header(request, "Authorization",
								   psprintf("Bearer %s", mfi_slot_render(gateway->auth_secret, context)));
			break;
		case MFI_AUTH_OAUTH2:
		case MFI_AUTH_JWT:
			mfi_request_add_header(request, "Authorization", psprintf("Bearer %s", token != NULL ? token : ""));
			break;
		case MFI_AUTH_HEADER:
			if (mfi_slot_render(gateway->auth_secret, context)[0] != '\0')
				mfi_request_add_header(request, mfi_slot_render(gateway->auth_name, context),
									   mfi_slot_render(gateway->auth_secret, context));
			break;
		case MFI_AUTH_QUERY:
			mfi_request_add_parameter(request, false, mfi_slot_render(gateway->auth_name, context),
									  mfi_slot_render(gateway->auth_secret, context));
			break;
		case MFI_AUTH_SIGNED:
			add_signature(gateway, context, pairs, request);
			break;
	}
}

void
mfi_gateway_build_token_request(const MfiGateway *gateway, MfiRequest *request)
{
	Jsonb	   *context = mfi_gateway_fixed_context(gateway);
	StringInfoData body;
	bool		is_first = true;

	memset(request, 0, sizeof(MfiRequest));
	request->method = "POST";
	request->url = mfi_slot_render(gateway->token_url, context);
	initStringInfo(&body);
	if (gateway->jwt != NULL)
	{
		mfi_request_append_parameter(&body, "grant_type", JWT_BEARER_GRANT, '\0', &is_first);
		mfi_request_append_parameter(&body, "assertion", gateway->is_masked ? MFI_GATEWAY_MASK
									 : mfi_jwt_make(gateway->jwt, context, unix_now()), '\0', &is_first);
	}
	else
		mfi_request_append_parameter(&body, "grant_type", "client_credentials", '\0', &is_first);
	if (gateway->token_scope != NULL)
		mfi_request_append_parameter(&body, "scope", mfi_slot_render(gateway->token_scope, context), '\0', &is_first);
	if (gateway->auth_user != NULL && gateway->is_token_auth_in_form)
	{
		mfi_request_append_parameter(&body, "client_id", mfi_slot_render(gateway->auth_user, context), '\0', &is_first);
		mfi_request_append_parameter(&body, "client_secret", mfi_slot_render(gateway->auth_secret, context), '\0', &is_first);
	}
	else if (gateway->auth_user != NULL)
	{
		request->user = mfi_slot_render(gateway->auth_user, context);
		request->password = mfi_slot_render(gateway->auth_secret, context);
	}
	request->body = body.data;
	request->body_length = body.len;
	mfi_request_add_header(request, "Content-Type", "application/x-www-form-urlencoded");
	mfi_request_add_header(request, "Accept", "application/json");
}
