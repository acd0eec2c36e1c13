/*
 * words.c
 *		Lists of words that a reader knows, each ended by NULL.
 */
#include "postgres.h"

#include "base/words.h"
#include "lib/stringinfo.h"

bool
mfi_words_have(const char *const *words, const char *word)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

char *
mfi_words_join(const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	return list.data;
}
