/*
 * place.c
 *		Locales and time zones as records give them -> the one way we write them.
 *
 * Both come from tables that people typed into: "fr_SN.UTF-8", "FR", "Africa/
 * Dakkar". A set of ten thousand clients is checked in one query, so that one
 * wrong zone must cost a look-up, not an error.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "message/place.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#define CLOSE_NAMES_MAX 3
#define NAME_BYTES_MAX 255		/* what the distance of two texts is defined for */
#define WRONG_ZONES_MAX 16		/* kept in mind, so that they are looked for once */
#define ZONE_BYTES_MAX 63

PG_FUNCTION_INFO_V1(mfiauto_normalize_locale);
PG_FUNCTION_INFO_V1(mfiauto_check_zone);
PG_FUNCTION_INFO_V1(mfiauto_find_close_names);

/* Writes one subtag as its kind is written: fr, Latn, SN, 419, valencia. */
static bool
append_subtag(const char *text, int length, bool is_first, char *out)
{
	int			letters = 0;
	bool		is_region;

	for (int i = 0; i < length; i++)
	{
		if (!isascii((unsigned char) text[i]) || !isalnum((unsigned char) text[i]))
			return false;
		letters += isalpha((unsigned char) text[i]) != 0;
		out[i] = (char) pg_tolower((unsigned char) text[i]);
	}
	if (is_first)
		return (length == 2 || length == 3) && letters == length;
	is_region = length == 2 && letters == 2;
	if (is_region || (length == 4 && letters == 4))
		out[0] = (char) pg_toupper((unsigned char) out[0]);
	if (is_region)
		out[1] = (char) pg_toupper((unsigned char) out[1]);
	return is_region || (length == 4 && letters == 4) || (length == 3 && letters == 0) ||
		(length >= 5 && length <= 8);
}

/*
 * mfi_place_normalize_locale writes a locale as a language tag: "fr_sn.utf8"
 * is fr-SN. False if the text is not one.
 */
bool
mfi_place_normalize_locale(const char *text, int length, char locale[MFI_LOCALE_SIZE])
{
	int			start = 0;
	int			end = 0;

	while (end < length && text[end] != '.' && text[end] != '@')
		end++;
	if (end == 0 || end >= MFI_LOCALE_SIZE)
		return false;
	for (int i = 0; i <= end; i++)
	{
		if (i < end && text[i] != '-' && text[i] != '_')
			continue;
		if (i == start || !append_subtag(text + start, i - start, start == 0, locale + start))
			return false;
		locale[i] = (i < end) ? '-' : '\0';
		start = i + 1;
	}
	return true;
}

/*
 * mfi_place_zone_exists tells whether a name is a time zone of the IANA
 * database. Zones made up by rule ("XYZ3") are not: they know no history. The
 * server keeps the zones that it found, and searches a directory each time for
 * one that it does not find: those we keep.
 */
bool
mfi_place_zone_exists(const char *name)
{
	static char wrong_zones[WRONG_ZONES_MAX][ZONE_BYTES_MAX + 1];
	static int	next_wrong = 0;

	if (name[0] == '\0' || strlen(name) > ZONE_BYTES_MAX)
		return false;
	for (int i = 0; i < WRONG_ZONES_MAX; i++)
	{
		if (strcmp(wrong_zones[i], name) == 0)
			return false;
	}
	for (const char *c = name; *c != '\0' && *c != '/'; c++)
	{
		if (!isascii((unsigned char) *c) || (!isalpha((unsigned char) *c) && *c != '_' && *c != '-'))
			return false;
	}
	if (pg_tzset(name) != NULL)
		return true;
	strlcpy(wrong_zones[next_wrong], name, sizeof(wrong_zones[next_wrong]));
	next_wrong = (next_wrong + 1) % WRONG_ZONES_MAX;
	return false;
}

/* SQL: mfiauto._normalize_locale(text) RETURNS text */
Datum
mfiauto_normalize_locale(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	char		locale[MFI_LOCALE_SIZE];

	if (!mfi_place_normalize_locale(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), locale))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(locale));
}

/* SQL: mfiauto._valid_zone(text) RETURNS boolean */
Datum
mfiauto_check_zone(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mfi_place_zone_exists(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * SQL: mfiauto._close_names(name text, names text[]) RETURNS text[]: the names
 * that somebody who typed the first may have meant, closest first.
 */
Datum
mfiauto_find_close_names(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	int			name_length = VARSIZE_ANY_EXHDR(name);
	int			distance_max = Max(2, name_length / 3);
	Datum	   *candidates;
	bool	   *nulls;
	int			candidate_count;
	Datum		found[CLOSE_NAMES_MAX];
	int			found_count = 0;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &candidates, &nulls, &candidate_count);
	for (int distance = 0; distance <= distance_max && name_length <= NAME_BYTES_MAX; distance++)
	{
		for (int i = 0; i < candidate_count && found_count < CLOSE_NAMES_MAX; i++)
		{
			text	   *candidate = nulls[i] ? NULL : DatumGetTextPP(candidates[i]);

			if (candidate == NULL || VARSIZE_ANY_EXHDR(candidate) > NAME_BYTES_MAX)
				continue;
			if (varstr_levenshtein_less_equal(VARDATA_ANY(name), name_length,
											  VARDATA_ANY(candidate), VARSIZE_ANY_EXHDR(candidate),
											  1, 1, 1, distance, true) == distance)
				found[found_count++] = candidates[i];
		}
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(found, found_count, TEXTOID, -1, false, TYPALIGN_INT));
}
