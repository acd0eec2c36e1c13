/*
 * time.c
 *		Times as providers write them.
 */
#include "postgres.h"

#include "receive/time.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define MILLISECONDS_FROM 100000000000.0	/* 1973 in milliseconds, the year 5138 in seconds */

static bool read_number(const char *text, TimestampTz *at);

static bool
read_number(const char *text, TimestampTz *at)
{
	double		seconds;
	char	   *end;

	if (strspn(text, "0123456789.") != strlen(text) || strlen(text) < 9 || strlen(text) > 20)
		return false;
	seconds = strtod(text, &end);
	if (*end != '\0')
		return false;
	if (seconds >= MILLISECONDS_FROM)
		seconds /= 1000;
	if (seconds >= MILLISECONDS_FROM)
		return false;
	*at = (TimestampTz) (seconds * USECS_PER_SEC) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return true;
}

bool
mfi_time_read(const char *text, TimestampTz *at)
{
	char		buffer[MAXDATELEN + MAXDATEFIELDS];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			count;
	int			type;
	int			zone = 0;
	int			order = DateOrder;
	pg_tz	   *outer_zone = session_timezone;
	struct pg_tm tm;
	fsec_t		fraction;
	bool		is_read;

	if (read_number(text, at))
		return true;
	if (strlen(text) > MAXDATELEN || strpbrk(text, "0123456789") == NULL || strchr(text, ':') == NULL)
		return false;
	if (ParseDateTime(text, buffer, sizeof(buffer), fields, types, MAXDATEFIELDS, &count) != 0)
		return false;
	DateOrder = DATEORDER_YMD;
	session_timezone = pg_tzset("GMT");
	is_read = session_timezone != NULL &&
		DecodeDateTime(fields, types, count, &type, &tm, &fraction, &zone) == 0 && type == DTK_DATE;
	session_timezone = outer_zone;
	DateOrder = order;
	return is_read && tm2timestamp(&tm, fraction, &zone, at) == 0 && IS_VALID_TIMESTAMP(*at);
}
