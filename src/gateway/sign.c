/*
 * sign.c
 *		Signed parameters: a digest of all of a request's parameters and a
 *		secret travels as one more of them.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "fmgr.h"
#include "gateway/sign.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(mfiauto_sign_parameters);

static const struct
{
	const char *name;
	const char *digest;
	bool		is_keyed;
}			methods[] = {
	{"md5", "MD5", false}, {"hmac-md5", "MD5", true}, {"hmac-sha1", "SHA1", true},
	{"hmac-sha256", "SHA256", true}, {"hmac-sha512", "SHA512", true},
};

static int	find_method(const char *method);
static int	compare_names(const ListCell *a, const ListCell *b);
static bool digest(int method, const char *secret, const char *data, int length, unsigned char *out, unsigned int *used);

static int
find_method(const char *method)
{
	for (int i = 0; i < (int) lengthof(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			return i;
	return -1;
}

bool
mfi_sign_is_method(const char *method)
{
	return find_method(method) >= 0;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((const MfiPair *) lfirst(a))->name, ((const MfiPair *) lfirst(b))->name);
}

/*
 * digest raises nothing, since what OpenSSL holds meanwhile is not PostgreSQL's.
 */
static bool
digest(int method, const char *secret, const char *data, int length, unsigned char *out, unsigned int *used)
{
	const EVP_MD *algorithm = EVP_get_digestbyname(methods[method].digest);
	bool		is_good;

	if (algorithm == NULL)
		return false;
	is_good = methods[method].is_keyed
		? HMAC(algorithm, secret, strlen(secret), (const unsigned char *) data, length, out, used) != NULL
		: EVP_Digest(data, length, out, used, algorithm, NULL) == 1;
	ERR_clear_error();
	return is_good;
}

char *
mfi_sign_pairs(const char *method, const char *secret, List *pairs)
{
	List	   *sorted = list_copy(pairs);
	int			index = find_method(method);
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	StringInfoData data;
	StringInfoData hex;
	ListCell   *cell;
	bool		is_good;

	list_sort(sorted, compare_names);
	initStringInfo(&data);
	foreach(cell, sorted)
	{
		MfiPair    *pair = lfirst(cell);

		appendStringInfo(&data, "&%s=", pair->name);
		for (const char *c = pair->value; *c != '\0'; c++)
			appendStringInfoChar(&data, *c == '&' || *c == '=' ? '_' : *c);
	}
	if (!methods[index].is_keyed)
		appendStringInfoString(&data, secret);
	is_good = digest(index, secret, data.data, data.len, raw, &length);
	OPENSSL_cleanse(data.data, data.len);
	if (!is_good)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not sign the parameters: this server's OpenSSL has no %s", methods[index].digest)));
	initStringInfo(&hex);
	for (unsigned int i = 0; i < length; i++)
		appendStringInfo(&hex, "%02x", raw[i]);
	return hex.data;
}

/*
 * SQL: mfiauto._sign_parameters(method text, secret text, parameters jsonb)
 */
Datum
mfiauto_sign_parameters(PG_FUNCTION_ARGS)
{
	char	   *method = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *secret = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *parameters = PG_GETARG_JSONB_P(2);
	JsonbIterator *iterator = JsonbIteratorInit(&parameters->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	MfiPair    *pair = NULL;
	List	   *pairs = NIL;

	if (!mfi_sign_is_method(method))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no way to sign called \"%s\"", method),
				 errhint("Known ways: md5, hmac-md5, hmac-sha1, hmac-sha256, hmac-sha512.")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if ((token == WJB_KEY || token == WJB_VALUE) && value.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("parameters must be an object of strings")));
		if (token == WJB_KEY)
		{
			pair = palloc0(sizeof(MfiPair));
			pair->name = pnstrdup(value.val.string.val, value.val.string.len);
		}
		else if (token == WJB_VALUE && pair != NULL)
		{
			pair->value = pnstrdup(value.val.string.val, value.val.string.len);
			pairs = lappend(pairs, pair);
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text(mfi_sign_pairs(method, secret, pairs)));
}
