/*
 * moment.c
 *		Whether a text names a time zone.
 *
 * The books' time zones are free text. AT TIME ZONE raises on one that is not
 * known, and takes POSIX rules such as "XYZ5" in the opposite sign to what
 * most people mean; asking the view pg_timezone_names reads every zone file.
 * So a name counts when the server's zone data have it and it is an IANA one.
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mfiauto_is_time_zone);

/*
 * has_iana_form tells an IANA name from a POSIX rule: rules need a digit, and
 * the only IANA names with digits are Etc/GMT+n and a few of American history.
 */
static bool
has_iana_form(const char *name)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"};

	if (strncmp(name, "Etc/", 4) == 0)
		return true;
	for (size_t i = 0; i < lengthof(with_digits); i++)
		if (strcmp(name, with_digits[i]) == 0)
			return true;
	for (const char *c = name; *c != '\0'; c++)
		if (isdigit((unsigned char) *c) || *c == ',')
			return false;
	return *name != '\0';
}

/* SQL: mfiauto._is_time_zone(text) */
Datum
mfiauto_is_time_zone(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(strlen(name) <= TZ_STRLEN_MAX && has_iana_form(name) && pg_tzset(name) != NULL);
}
