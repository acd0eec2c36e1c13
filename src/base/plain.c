/*
 * plain.c
 *		An error told without what may be somebody's data.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/plain.h"
#include "lib/stringinfo.h"

#define PLAIN_DIGITS_MAX 6
#define MASK "***"

/*
 * is_personal tells a word that holds a long number or an address.
 */
static bool
is_personal(const char *word, int length)
{
	int			digit_count = 0;

	for (int i = 0; i < length; i++)
	{
		if (word[i] == '@')
			return true;
		if (isdigit((unsigned char) word[i]))
			digit_count++;
	}
	return digit_count > PLAIN_DIGITS_MAX;
}

char *
mfi_plain_message(const ErrorData *error)
{
	StringInfoData plain;
	const char *rest = error->message != NULL ? error->message : "";
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (category == ERRCODE_PLPGSQL_ERROR)
		return psprintf("an error of class %s", unpack_sql_state(error->sqlerrcode));
	initStringInfo(&plain);
	while (*rest != '\0')
	{
		int			length = (int) strcspn(rest, " \"'(),;\t\n");
		const char *last_quote = *rest == '"' && category == ERRCODE_DATA_EXCEPTION ? strrchr(rest, '"') : NULL;

		/* A value may hold quotes of its own: all up to the last one. */
		if (last_quote != NULL && last_quote > rest)
		{
			appendStringInfoString(&plain, "\"" MASK "\"");
			rest = last_quote + 1;
			continue;
		}
		if (is_personal(rest, length))
			appendStringInfoString(&plain, MASK);
		else
			appendBinaryStringInfo(&plain, rest, length);
		rest += length;
		if (*rest != '\0')
			appendStringInfoChar(&plain, *rest++);
	}
	return plain.data;
}
