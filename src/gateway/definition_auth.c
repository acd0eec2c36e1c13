/*
 * definition_auth.c
 *		The part of a gateway's definition that says who we are.
 */
#include "postgres.h"

#include "gateway/jansson_pg.h"
#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/reader.h"

static void read_oauth2(MfiGateway *gateway, json_t *auth);
static void read_sigv4(MfiGateway *gateway, json_t *auth);

static void
read_oauth2(MfiGateway *gateway, json_t *auth)
{
	static const char *const names[] = {"kind", "token_url", "client_id", "client_secret", "scope", "client_auth", NULL};
	const char *place = mfi_reader_string(auth, "auth", "client_auth", false);
	const char *scope = mfi_reader_string(auth, "auth", "scope", false);
	const char *url = mfi_reader_string(auth, "auth", "token_url", true);

	mfi_reader_check_members(auth, "auth", names);
	mfi_definition_check_url(url, "auth.token_url", false);
	gateway->auth_kind = MFI_AUTH_OAUTH2;
	gateway->token_url = mfi_slot_parse(url, "auth.token_url", MFI_ESCAPE_URL, MFI_TAGS_SETTINGS);
	gateway->auth_user = mfi_slot_parse(mfi_reader_string(auth, "auth", "client_id", true), "auth.client_id",
										MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	gateway->auth_secret = mfi_slot_parse(mfi_reader_string(auth, "auth", "client_secret", true), "auth.client_secret",
										  MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	if (scope != NULL)
		gateway->token_scope = mfi_slot_parse(scope, "auth.scope", MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	if (place != NULL && strcmp(place, "basic") != 0 && strcmp(place, "form") != 0)
		mfi_reader_fail("auth.client_auth", "expected \"basic\" or \"form\"", NULL);
	gateway->is_token_auth_in_form = place != NULL && strcmp(place, "form") == 0;
}

static void
read_sigv4(MfiGateway *gateway, json_t *auth)
{
	static const char *const names[] = {"kind", "scope", "access_key", "secret_key", NULL};

	mfi_reader_check_members(auth, "auth", names);
	gateway->auth_kind = MFI_AUTH_SIGV4;
	gateway->auth_name = mfi_slot_parse(mfi_reader_string(auth, "auth", "scope", true), "auth.scope",
										MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	gateway->auth_user = mfi_slot_parse(mfi_reader_string(auth, "auth", "access_key", true), "auth.access_key",
										MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	gateway->auth_secret = mfi_slot_parse(mfi_reader_string(auth, "auth", "secret_key", true), "auth.secret_key",
										  MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
}

void
mfi_definition_read_auth(MfiGateway *gateway, json_t *auth)
{
	static const char *const basic_names[] = {"kind", "user", "password", NULL};
	static const char *const bearer_names[] = {"kind", "token", NULL};
	static const char *const named_names[] = {"kind", "name", "value", NULL};
	const char *kind = mfi_reader_string(auth, "auth", "kind", true);

	if (strcmp(kind, "none") == 0)
		gateway->auth_kind = MFI_AUTH_NONE;
	else if (strcmp(kind, "basic") == 0)
	{
		mfi_reader_check_members(auth, "auth", basic_names);
		gateway->auth_kind = MFI_AUTH_BASIC;
		gateway->auth_user = mfi_slot_parse(mfi_reader_string(auth, "auth", "user", true), "auth.user",
											MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
		gateway->auth_secret = mfi_slot_parse(mfi_reader_string(auth, "auth", "password", true), "auth.password",
											  MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	}
	else if (strcmp(kind, "bearer") == 0)
	{
		mfi_reader_check_members(auth, "auth", bearer_names);
		gateway->auth_kind = MFI_AUTH_BEARER;
		gateway->auth_secret = mfi_slot_parse(mfi_reader_string(auth, "auth", "token", true), "auth.token",
											  MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	}
	else if (strcmp(kind, "header") == 0 || strcmp(kind, "query") == 0)
	{
		const char *name = mfi_reader_string(auth, "auth", "name", true);

		mfi_reader_check_members(auth, "auth", named_names);
		gateway->auth_kind = strcmp(kind, "header") == 0 ? MFI_AUTH_HEADER : MFI_AUTH_QUERY;
		if (gateway->auth_kind == MFI_AUTH_HEADER)
			mfi_definition_check_header(name, "auth.name");
		gateway->auth_name = mfi_slot_parse(name, "auth.name", MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
		gateway->auth_secret = mfi_slot_parse(mfi_reader_string(auth, "auth", "value", true), "auth.value",
											  MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	}
	else if (strcmp(kind, "oauth2") == 0)
		read_oauth2(gateway, auth);
	else if (strcmp(kind, "sigv4") == 0)
		read_sigv4(gateway, auth);
	else if (strcmp(kind, "jwt") == 0 || strcmp(kind, "signed") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("authentication kind \"%s\" is not supported yet", kind),
				 errdetail("auth.kind: \"%s\".", kind)));
	else
		mfi_reader_fail("auth.kind", psprintf("there is no authentication kind \"%s\"", kind),
						"Known kinds: none, basic, bearer, header, query, oauth2, sigv4.");
}
