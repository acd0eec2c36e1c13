/*
 * recipient.c
 *		The addresses that a staging server may write to.
 *
 * mfiauto.only_recipients is for superusers' eyes: it lists people. The claim,
 * which runs as the installation's owner, reads it through here.
 */
#include "postgres.h"

#include "base/guc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

PG_FUNCTION_INFO_V1(mfiauto_only_recipients);

/*
 * SQL: mfiauto._only_recipients() RETURNS text[]: e-mail in lower case, the
 * rest as written; null: everybody.
 */
Datum
mfiauto_only_recipients(PG_FUNCTION_ARGS)
{
	char	   *rest = pstrdup(mfi_guc_only_recipients != NULL ? mfi_guc_only_recipients : "");
	Datum	   *addresses = palloc(sizeof(Datum) * (strlen(rest) / 2 + 1));
	int			address_count = 0;
	char	   *token;

	while ((token = strsep(&rest, ", \t\r\n")) != NULL)
	{
		if (token[0] == '\0')
			continue;
		if (strchr(token, '@') != NULL)
			token = asc_tolower(token, strlen(token));
		addresses[address_count++] = CStringGetTextDatum(token);
	}
	if (address_count == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_array(addresses, address_count, TEXTOID, -1, false, TYPALIGN_INT));
}
