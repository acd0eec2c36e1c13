/*
 * format.c
 *		Money, dates and times as people of a locale write them.
 *
 * A message is written in its reader's language, not in the server's: lc_time
 * and lc_monetary have no part in it, nor has any locale of the machine. The
 * results are meant for SMS, so that signs are chosen from GSM 03.38 where
 * usage leaves a choice: a plain space between thousands, FCFA, EUR.
 *
 * A locale such as fr-SN is looked up as fr-SN, then as fr, then the default
 * is taken. Language and region may be joined by "-" or "_"; case, codeset
 * and modifier do not matter.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/formatting.h"

#include "message/format.h"

typedef enum DateOrder
{
	DATE_DIGITS,	  /* 05/01/2026 */
	DATE_FRENCH,	  /* 5 janvier 2026, 1er janvier 2026 */
	DATE_DAY_FIRST,	  /* 5 January 2026 */
	DATE_MONTH_FIRST, /* January 5, 2026 */
	DATE_IBERIAN	  /* 5 de enero de 2026 */
} DateOrder;

typedef enum TimeStyle
{
	TIME_24,	 /* 09:30 */
	TIME_FRENCH, /* 9h30 */
	TIME_12		 /* 9:30 AM */
} TimeStyle;

typedef struct Locale
{
	const char *tag; /* lower case */
	char group;
	char decimal;
	bool is_symbol_first;
	bool is_grouped_by_lakh; /* 12,34,567 */
	DateOrder date_order;
	TimeStyle time_style;
	const char *const *months;
} Locale;

static const char *const months_fr[] = { "janvier",	  "février", "mars",	 "avril",
										 "mai",		  "juin",	 "juillet",	 "août",
										 "septembre", "octobre", "novembre", "décembre" };
static const char *const months_en[] = { "January",	  "February", "March",	  "April",
										 "May",		  "June",	  "July",	  "August",
										 "September", "October",  "November", "December" };
static const char *const months_pt[] = { "janeiro",	 "fevereiro", "março",	  "abril",
										 "maio",	 "junho",	  "julho",	  "agosto",
										 "setembro", "outubro",	  "novembro", "dezembro" };
static const char *const months_es[] = { "enero",	   "febrero", "marzo",	   "abril",
										 "mayo",	   "junio",	  "julio",	   "agosto",
										 "septiembre", "octubre", "noviembre", "diciembre" };
static const char *const months_sw[] = { "Januari",	 "Februari", "Machi",	"Aprili",
										 "Mei",		 "Juni",	 "Julai",	"Agosti",
										 "Septemba", "Oktoba",	 "Novemba", "Desemba" };

static const Locale default_locale = { "", ' ', ',', false, false, DATE_DIGITS, TIME_24, NULL };

/* clang-format off */
static const Locale locales[] = {
	{"fr", ' ', ',', false, false, DATE_FRENCH, TIME_FRENCH, months_fr},

	{"en", ',', '.', true, false, DATE_DAY_FIRST, TIME_24, months_en},
	{"en-us", ',', '.', true, false, DATE_MONTH_FIRST, TIME_12, months_en},
	{"en-in", ',', '.', true, true, DATE_DAY_FIRST, TIME_24, months_en},
	{"en-pk", ',', '.', true, true, DATE_DAY_FIRST, TIME_24, months_en},
	{"en-bd", ',', '.', true, true, DATE_DAY_FIRST, TIME_24, months_en},
	{"en-np", ',', '.', true, true, DATE_DAY_FIRST, TIME_24, months_en},

	{"pt", '.', ',', false, false, DATE_IBERIAN, TIME_24, months_pt},
	{"pt-br", '.', ',', true, false, DATE_IBERIAN, TIME_24, months_pt},

	/* Spanish: Mexico, Central America and Peru count with commas. */
	{"es", '.', ',', false, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-mx", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-gt", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-hn", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-ni", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-sv", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-do", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-pe", ',', '.', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-bo", '.', ',', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-co", '.', ',', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-ec", '.', ',', true, false, DATE_IBERIAN, TIME_24, months_es},
	{"es-py", '.', ',', true, false, DATE_IBERIAN, TIME_24, months_es},

	{"sw", ',', '.', true, false, DATE_DAY_FIRST, TIME_24, months_sw},

	/* Languages whose countries count as in English, dates in digits. */
	{"am", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"ha", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"ig", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"lg", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"ny", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"om", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"yo", ',', '.', true, false, DATE_DIGITS, TIME_24, NULL},
	{"bn", ',', '.', true, true, DATE_DIGITS, TIME_24, NULL},
	{"hi", ',', '.', true, true, DATE_DIGITS, TIME_24, NULL},
	{"ne", ',', '.', true, true, DATE_DIGITS, TIME_24, NULL},
	{"ur", ',', '.', true, true, DATE_DIGITS, TIME_24, NULL},
};
/* clang-format on */

typedef struct Currency
{
	const char *code; /* ISO 4217 */
	int minor_digits;
	const char *symbol; /* NULL: the code itself is written */
} Currency;

/* Currencies that differ from "two digits, written as their code". */
/* clang-format off */
static const Currency currencies[] = {
	{"BHD", 3, NULL},
	{"BIF", 0, NULL},
	{"BOB", 2, "Bs"},
	{"BRL", 2, "R$"},
	{"CDF", 2, "FC"},
	{"CLP", 0, NULL},
	{"DJF", 0, NULL},
	{"DZD", 2, "DA"},
	{"GNF", 0, NULL},
	{"GTQ", 2, "Q"},
	{"IDR", 2, "Rp"},
	{"INR", 2, "Rs"},
	{"IQD", 3, NULL},
	{"ISK", 0, NULL},
	{"JOD", 3, NULL},
	{"JPY", 0, NULL},
	{"KMF", 0, NULL},
	{"KRW", 0, NULL},
	{"KWD", 3, NULL},
	{"LKR", 2, "Rs"},
	{"LYD", 3, NULL},
	{"MAD", 2, "DH"},
	{"MGA", 2, "Ar"},
	{"NPR", 2, "Rs"},
	{"OMR", 3, NULL},
	{"PEN", 2, "S/"},
	{"PKR", 2, "Rs"},
	{"PYG", 0, NULL},
	{"RWF", 0, NULL},
	{"TND", 3, "DT"},
	{"UGX", 0, NULL},
	{"UYI", 0, NULL},
	{"VND", 0, NULL},
	{"VUV", 0, NULL},
	{"XAF", 0, "FCFA"},
	{"XOF", 0, "FCFA"},
	{"XPF", 0, "FCFP"},
};
/* clang-format on */

/* The locale's row: the longest known beginning of its tag. */
static const Locale *
find_locale(const char *locale)
{
	char tag[16];
	int length = 0;

	for (; locale != NULL && length < (int) sizeof(tag) - 1; length++)
	{
		char c = locale[length];

		if (c == '\0' || c == '.' || c == '@')
			break;
		tag[length] = (c == '_') ? '-' : (char) pg_tolower((unsigned char) c);
	}
	while (length > 0)
	{
		tag[length] = '\0';
		for (int i = 0; i < (int) lengthof(locales); i++)
		{
			if (strcmp(locales[i].tag, tag) == 0)
				return &locales[i];
		}
		while (length > 0 && tag[--length] != '-')
			;
	}
	return &default_locale;
}

static Currency
find_currency(const char *code)
{
	Currency other = { code != NULL ? code : "", 2, NULL };

	for (int i = 0; i < (int) lengthof(currencies); i++)
	{
		if (pg_strcasecmp(currencies[i].code, other.code) == 0)
			return currencies[i];
	}
	if (other.code[0] != '\0')
		other.code = asc_toupper(other.code, strlen(other.code));
	return other;
}

/* Appends whole digits with the locale's sign between the groups. */
static void
append_grouped(StringInfo out, const char *digits, int count, const Locale *locale)
{
	for (int i = 0; i < count; i++)
	{
		int left = count - i; /* digits from here to the end */
		bool is_border =
			locale->is_grouped_by_lakh ? (left == 3 || (left > 3 && left % 2 == 1)) : left % 3 == 0;

		if (i > 0 && is_border)
			appendStringInfoChar(out, locale->group);
		appendStringInfoChar(out, digits[i]);
	}
}

/*
 * mfi_format_money appends an amount with its currency. It is rounded to the
 * minor unit of the currency; a fraction of zero is not written. `currency`
 * may be NULL: the number alone.
 */
void
mfi_format_money(StringInfo out, Numeric amount, const char *currency, const char *locale_tag)
{
	const Locale *locale = find_locale(locale_tag);
	Currency known = find_currency(currency);
	const char *symbol = known.symbol != NULL ? known.symbol : known.code;
	Datum rounded;
	char *number;
	char *point;
	int whole_length;

	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("amount is not a finite number")));
	rounded = DirectFunctionCall2(numeric_round, NumericGetDatum(amount),
								  Int32GetDatum(known.minor_digits));
	number = DatumGetCString(DirectFunctionCall1(numeric_out, rounded));

	if (number[0] == '-')
	{
		appendStringInfoChar(out, '-');
		number++;
	}
	if (locale->is_symbol_first && symbol[0] != '\0')
		appendStringInfo(out, "%s ", symbol);
	point = strchr(number, '.');
	whole_length = point != NULL ? (int) (point - number) : (int) strlen(number);
	append_grouped(out, number, whole_length, locale);
	if (point != NULL && strspn(point + 1, "0") < strlen(point + 1))
		appendStringInfo(out, "%c%s", locale->decimal, point + 1);
	if (!locale->is_symbol_first && symbol[0] != '\0')
		appendStringInfo(out, " %s", symbol);
}

/*
 * mfi_format_date appends a date. Infinite dates and those before Christ are
 * an error: no message means them.
 */
void
mfi_format_date(StringInfo out, DateADT date, const char *locale_tag)
{
	const Locale *locale = find_locale(locale_tag);
	const char *month_name;
	int year = 0;
	int month = 1;
	int day = 1;

	if (!DATE_NOT_FINITE(date))
		j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (year <= 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("date cannot be written in words"),
						errdetail("It is infinite or before the year 1.")));
	month_name = locale->months != NULL ? locale->months[month - 1] : "";
	month_name = pg_any_to_server(month_name, (int) strlen(month_name), PG_UTF8);
	switch (locale->date_order)
	{
		case DATE_DIGITS:
			appendStringInfo(out, "%02d/%02d/%04d", day, month, year);
			break;
		case DATE_FRENCH:
			appendStringInfo(out, "%d%s %s %d", day, day == 1 ? "er" : "", month_name, year);
			break;
		case DATE_DAY_FIRST:
			appendStringInfo(out, "%d %s %d", day, month_name, year);
			break;
		case DATE_MONTH_FIRST:
			appendStringInfo(out, "%s %d, %d", month_name, day, year);
			break;
		case DATE_IBERIAN:
			appendStringInfo(out, "%d de %s de %d", day, month_name, year);
			break;
	}
}

/*
 * mfi_format_time appends a time of day, to the minute.
 */
void
mfi_format_time(StringInfo out, TimeADT time, const char *locale_tag)
{
	const Locale *locale = find_locale(locale_tag);
	int hour = (int) (time / USECS_PER_HOUR);
	int minute = (int) (time % USECS_PER_HOUR / USECS_PER_MINUTE);

	switch (locale->time_style)
	{
		case TIME_24:
			appendStringInfo(out, "%02d:%02d", hour, minute);
			break;
		case TIME_FRENCH:
			appendStringInfo(out, "%dh%02d", hour, minute);
			break;
		case TIME_12:
			appendStringInfo(out, "%d:%02d %s", hour % 12 == 0 ? 12 : hour % 12, minute,
							 hour % 24 < 12 ? "AM" : "PM");
			break;
	}
}
