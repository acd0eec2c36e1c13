/*
 * definition_auth.c
 *		The part of a gateway's definition that says who we are.
 */
#include "postgres.h"

#include "base/json.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/jwt.h"
#include "gateway/reader.h"
#include "gateway/sign.h"

static MfiSlot *read_slot(json_t *auth, const char *name, bool is_required);
static void read_oauth2(MfiGateway *gateway, json_t *auth);
static void read_signed(MfiGateway *gateway, json_t *auth);
static void read_sigv4(MfiGateway *gateway, json_t *auth);

static MfiSlot *
read_slot(json_t *auth, const char *name, bool is_required)
{
	const char *text = mfi_reader_string(auth, "auth", name, is_required);

	return text != NULL ? mfi_slot_parse(text, mfi_reader_path("auth", name), MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS) : NULL;
}

/*
 * read_oauth2: a token is asked for with an id and a secret, or for a token
 * that we signed ourselves.
 */
static void
read_oauth2(MfiGateway *gateway, json_t *auth)
{
	static const char *const names[] = {"kind", "grant", "token_url", "client_id", "client_secret", "scope", "client_auth", "assertion", NULL};
	const char *place = mfi_reader_string(auth, "auth", "client_auth", false);
	const char *grant = mfi_reader_string(auth, "auth", "grant", false);
	const char *url = mfi_reader_string(auth, "auth", "token_url", true);
	json_t	   *assertion = mfi_reader_object(auth, "auth", "assertion");
	bool		is_jwt_bearer = grant != NULL && strcmp(grant, "jwt_bearer") == 0;

	mfi_reader_check_members(auth, "auth", names);
	mfi_definition_check_url(url, "auth.token_url", false);
	if (grant != NULL && !is_jwt_bearer && strcmp(grant, "client_credentials") != 0)
		mfi_reader_fail("auth.grant", psprintf("there is no grant \"%s\"", grant), "Known grants: client_credentials, jwt_bearer.");
	if (is_jwt_bearer != (assertion != NULL))
		mfi_reader_fail("auth.assertion", is_jwt_bearer ? "expected an object, found nothing" : "it goes with grant jwt_bearer", NULL);
	gateway->auth_kind = MFI_AUTH_OAUTH2;
	gateway->token_url = mfi_slot_parse(url, "auth.token_url", MFI_ESCAPE_URL, MFI_TAGS_SETTINGS);
	gateway->auth_user = read_slot(auth, "client_id", !is_jwt_bearer);
	gateway->auth_secret = read_slot(auth, "client_secret", !is_jwt_bearer);
	if ((gateway->auth_user == NULL) != (gateway->auth_secret == NULL))
		mfi_reader_fail("auth", "client_id and client_secret go together", NULL);
	gateway->token_scope = read_slot(auth, "scope", false);
	if (is_jwt_bearer)
		gateway->jwt = mfi_jwt_read(assertion, "auth.assertion");
	if (place != NULL && strcmp(place, "basic") != 0 && strcmp(place, "form") != 0)
		mfi_reader_fail("auth.client_auth", "expected \"basic\" or \"form\"", NULL);
	gateway->is_token_auth_in_form = place != NULL && strcmp(place, "form") == 0;
}

static void
read_signed(MfiGateway *gateway, json_t *auth)
{
	static const char *const names[] = {"kind", "method", "secret", "parameter", "timestamp_parameter", "style", NULL};
	const char *style = mfi_reader_string(auth, "auth", "style", false);

	mfi_reader_check_members(auth, "auth", names);
	if (style != NULL && strcmp(style, "vonage") != 0)
		mfi_reader_fail("auth.style", psprintf("there is no style \"%s\"", style), "Known styles: vonage.");
	if (gateway->body_kind != MFI_BODY_FORM && gateway->body_kind != MFI_BODY_NONE)
		mfi_reader_fail("auth.kind", "only a form or a query has parameters that can be signed", NULL);
	gateway->auth_kind = MFI_AUTH_SIGNED;
	gateway->sign_method_slot = read_slot(auth, "method", true);
	gateway->auth_secret = read_slot(auth, "secret", true);
	gateway->auth_name = read_slot(auth, "parameter", true);
	gateway->sign_timestamp = mfi_definition_copy(mfi_reader_string(auth, "auth", "timestamp_parameter", false));
}

void
mfi_definition_settle_signed(MfiGateway *gateway, Jsonb *context)
{
	gateway->sign_method = mfi_slot_render(gateway->sign_method_slot, context);
	if (!mfi_sign_is_method(gateway->sign_method))
		mfi_reader_fail("auth.method", psprintf("there is no way to sign called \"%s\"", gateway->sign_method),
						"Known ways: md5, hmac-md5, hmac-sha1, hmac-sha256, hmac-sha512.");
}

static void
read_sigv4(MfiGateway *gateway, json_t *auth)
{
	static const char *const names[] = {"kind", "scope", "access_key", "secret_key", NULL};

	mfi_reader_check_members(auth, "auth", names);
	gateway->auth_kind = MFI_AUTH_SIGV4;
	gateway->auth_name = read_slot(auth, "scope", true);
	gateway->auth_user = read_slot(auth, "access_key", true);
	gateway->auth_secret = read_slot(auth, "secret_key", true);
}

void
mfi_definition_read_auth(MfiGateway *gateway, json_t *auth)
{
	static const char *const none_names[] = {"kind", NULL};
	static const char *const basic_names[] = {"kind", "user", "password", NULL};
	static const char *const bearer_names[] = {"kind", "token", NULL};
	static const char *const named_names[] = {"kind", "name", "value", NULL};
	const char *kind = mfi_reader_string(auth, "auth", "kind", true);

	if (strcmp(kind, "none") == 0)
	{
		mfi_reader_check_members(auth, "auth", none_names);
		gateway->auth_kind = MFI_AUTH_NONE;
	}
	else if (strcmp(kind, "basic") == 0)
	{
		mfi_reader_check_members(auth, "auth", basic_names);
		gateway->auth_kind = MFI_AUTH_BASIC;
		gateway->auth_user = read_slot(auth, "user", true);
		gateway->auth_secret = read_slot(auth, "password", true);
	}
	else if (strcmp(kind, "bearer") == 0)
	{
		mfi_reader_check_members(auth, "auth", bearer_names);
		gateway->auth_kind = MFI_AUTH_BEARER;
		gateway->auth_secret = read_slot(auth, "token", true);
	}
	else if (strcmp(kind, "header") == 0 || strcmp(kind, "query") == 0)
	{
		mfi_reader_check_members(auth, "auth", named_names);
		gateway->auth_kind = strcmp(kind, "header") == 0 ? MFI_AUTH_HEADER : MFI_AUTH_QUERY;
		if (gateway->auth_kind == MFI_AUTH_HEADER)
			mfi_definition_check_header(mfi_reader_string(auth, "auth", "name", true), "auth.name");
		gateway->auth_name = read_slot(auth, "name", true);
		gateway->auth_secret = read_slot(auth, "value", true);
	}
	else if (strcmp(kind, "oauth2") == 0)
		read_oauth2(gateway, auth);
	else if (strcmp(kind, "jwt") == 0)
	{
		gateway->auth_kind = MFI_AUTH_JWT;
		gateway->jwt = mfi_jwt_read(auth, "auth");
	}
	else if (strcmp(kind, "signed") == 0)
		read_signed(gateway, auth);
	else if (strcmp(kind, "sigv4") == 0)
		read_sigv4(gateway, auth);
	else
		mfi_reader_fail("auth.kind", psprintf("there is no authentication kind \"%s\"", kind),
						"Known kinds: none, basic, bearer, header, query, oauth2, jwt, signed, sigv4.");
}
