/*
 * phone.c
 *		Telephone numbers as people write them -> E.164, or a reason why not.
 *
 * A number that is wrong by one digit is another person's telephone, and the
 * message tells that person about somebody's loan. So nothing is guessed: a
 * text is either read in the one way that the country's numbering plan
 * allows, or refused with a code that an officer can act on.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "message/phone.h"
#include "message/phone_plan.h"

#define DIGITS_MAX 40 /* more than two numbers have */
#define MARKS_MAX 40

/* A text reduced to what matters. */
typedef struct Dialed
{
	char digits[DIGITS_MAX + 1];
	int digit_count;
	bool is_international; /* began with +; 00 is seen later */
	int marks[MARKS_MAX];  /* digits that stood before each separator */
	int mark_count;
} Dialed;

typedef struct Verdict
{
	MfiPhoneProblem problem;
	MfiPhoneKind kind;
} Verdict;

/*
 * Puts one character into the reduced text. Spreadsheets and contact lists
 * bring no-break spaces, long dashes and marks of writing direction; Arabic
 * keyboards bring their own digits.
 */
static MfiPhoneProblem
take_character(Dialed *dialed, pg_wchar c)
{
	if (c >= 0x0660 && c <= 0x0669)
		c = '0' + (c - 0x0660);
	else if (c >= 0x06F0 && c <= 0x06F9)
		c = '0' + (c - 0x06F0);
	if (c >= '0' && c <= '9')
	{
		if (dialed->digit_count == DIGITS_MAX)
			return MFI_PHONE_TOO_LONG;
		dialed->digits[dialed->digit_count++] = (char) c;
		return MFI_PHONE_OK;
	}
	switch (c)
	{
		case '+':
			if (dialed->digit_count > 0)
				return MFI_PHONE_SEVERAL_NUMBERS;
			if (dialed->is_international)
				return MFI_PHONE_LETTERS;
			dialed->is_international = true;
			return MFI_PHONE_OK;
		case ',':
		case ';':
		case '|':
		case '&':
		case '\n':
		case '\r':
			/* Only a list has these between digits: the next digit tells. */
		case ' ':
		case '\t':
		case '.':
		case '-':
		case '/':
		case '(':
		case ')':
		case 0x00A0: /* no-break space */
		case 0x2007: /* figure space */
		case 0x2009: /* thin space */
		case 0x202F: /* narrow no-break space */
		case 0x2010: /* hyphens and dashes */
		case 0x2011:
		case 0x2012:
		case 0x2013:
		case 0x2014:
		case 0x2212: /* minus */
			if (dialed->digit_count > 0 && dialed->mark_count < MARKS_MAX)
				dialed->marks[dialed->mark_count++] = dialed->digit_count;
			return MFI_PHONE_OK;
		case 0x200B: /* zero width, and marks of writing direction */
		case 0x200E:
		case 0x200F:
		case 0x202A:
		case 0x202B:
		case 0x202C:
		case 0x202D:
		case 0x202E:
		case 0x2066:
		case 0x2067:
		case 0x2068:
		case 0x2069:
		case 0xFEFF:
			return MFI_PHONE_OK;
		default:
			return MFI_PHONE_LETTERS;
	}
}

static inline bool
is_list_sign(char c)
{
	return c == ',' || c == ';' || c == '|' || c == '&' || c == '\n' || c == '\r';
}

/* Reduces a text in UTF-8 to digits; a problem that shows at once is returned. */
static MfiPhoneProblem
reduce(const char *text, int length, Dialed *dialed)
{
	MfiPhoneProblem problem = MFI_PHONE_OK;
	bool after_list_sign = false;
	int byte_count;

	memset(dialed, 0, sizeof(Dialed));
	for (int i = 0; i < length; i += byte_count)
	{
		int digits_before = dialed->digit_count;
		pg_wchar c = (unsigned char) text[i];
		MfiPhoneProblem found;

		byte_count = 1;
		if (c >= 0x80)
		{
			byte_count = Min(pg_utf_mblen((const unsigned char *) text + i), length - i);
			c = utf8_to_unicode((const unsigned char *) text + i);
		}
		found = take_character(dialed, c);
		/* Letters weigh most: "77 123 45 67 or 78 ..." is a remark, not a list. */
		if (found == MFI_PHONE_LETTERS)
			return found;
		if (found == MFI_PHONE_OK && after_list_sign && dialed->digit_count > digits_before)
			found = MFI_PHONE_SEVERAL_NUMBERS;
		if (problem == MFI_PHONE_OK)
			problem = found;
		if (dialed->digit_count > 0 && is_list_sign(text[i]))
			after_list_sign = true;
	}
	if (dialed->digit_count == 0)
		return MFI_PHONE_EMPTY;
	return problem;
}

/* Whether a number begins as the pattern of a plan says. */
static bool
begins_as(const char *digits, const char *pattern, int pattern_length)
{
	const char *end = pattern + pattern_length;

	for (; pattern < end; digits++)
	{
		bool is_in = false;

		if (*digits == '\0')
			return false;
		if (*pattern != '[')
		{
			if (*pattern++ != *digits)
				return false;
			continue;
		}
		for (pattern++; *pattern != ']'; pattern++)
		{
			char low = *pattern;

			if (pattern[1] == '-')
				pattern += 2;
			is_in = is_in || (*digits >= low && *digits <= *pattern);
		}
		pattern++;
		if (!is_in)
			return false;
	}
	return true;
}

/* Whether one of the beginnings of a rule fits; a rule without any always does. */
static bool
rule_fits(const char *beginnings, const char *digits)
{
	bool has_any = false;

	while (*beginnings != '\0' && *beginnings != ';')
	{
		int length;

		beginnings += strspn(beginnings, " ");
		length = (int) strcspn(beginnings, " ;");
		if (length == 0)
			break;
		has_any = true;
		if (begins_as(digits, beginnings, length))
			return true;
		beginnings += length;
	}
	return !has_any;
}

/* Judges a national number, without trunk prefix, by its country's plan. */
static Verdict
judge_national(const PhonePlan *plan, const char *digits)
{
	Verdict verdict = { MFI_PHONE_NOT_A_NATIONAL_NUMBER, MFI_PHONE_UNKNOWN };
	const char *rule = plan->rules;
	int count = (int) strlen(digits);
	int shortest = MFI_PHONE_DIGITS_MAX;
	int longest = 0;

	while (rule != NULL)
	{
		char letter = *rule;
		char *rest;
		int length_min = (int) strtol(rule + 1, &rest, 10);
		int length_max = length_min;

		if (*rest == '-')
			length_max = (int) strtol(rest + 1, &rest, 10);
		if (count >= length_min && count <= length_max && rule_fits(rest, digits))
		{
			verdict.problem = (letter == 'o') ? MFI_PHONE_OBSOLETE_NUMBERING : MFI_PHONE_OK;
			verdict.kind = (letter == 'm')	 ? MFI_PHONE_MOBILE
						   : (letter == 'l') ? MFI_PHONE_LANDLINE
											 : MFI_PHONE_UNKNOWN;
			return verdict;
		}
		if (letter != 'o')
		{
			shortest = Min(shortest, length_min);
			longest = Max(longest, length_max);
		}
		rule = strchr(rest, ';');
		if (rule != NULL)
			rule += 1 + strspn(rule + 1, " ");
	}
	if (count < shortest)
		verdict.problem = MFI_PHONE_TOO_SHORT;
	if (count > longest)
		verdict.problem = MFI_PHONE_TOO_LONG;
	return verdict;
}

static const PhonePlan *
plan_of_country(const char *country)
{
	for (int i = 0; country != NULL && i < (int) lengthof(phone_plans); i++)
	{
		if (pg_strcasecmp(phone_plans[i].country, country) == 0)
			return &phone_plans[i];
	}
	return NULL;
}

/* The plan whose calling code the digits begin with; no code begins another. */
static const PhonePlan *
plan_of_calling_code(const char *digits)
{
	for (int i = 0; i < (int) lengthof(phone_plans); i++)
	{
		const char *code = phone_plans[i].calling_code;

		if (strncmp(digits, code, strlen(code)) == 0)
			return &phone_plans[i];
	}
	return NULL;
}

static const char *
after_trunk(const PhonePlan *plan, const char *digits)
{
	size_t length = strlen(plan->trunk);

	return (length > 0 && strncmp(digits, plan->trunk, length) == 0) ? digits + length : NULL;
}

static void
write_e164(char *e164, const char *calling_code, const char *national)
{
	snprintf(e164, MFI_PHONE_SIZE, "+%s%s", calling_code, national);
}

/*
 * Judges the digits after + or 00. "+33 (0)6 ..." writes the trunk prefix as
 * well; it is left out where no national number begins with it.
 */
static Verdict
judge_international(const char *digits, char *e164)
{
	const PhonePlan *plan = plan_of_calling_code(digits);
	int count = (int) strlen(digits);
	Verdict verdict = { MFI_PHONE_OK, MFI_PHONE_UNKNOWN };
	const char *national;
	const char *without_trunk;

	if (plan == NULL)
	{
		if (count < 8)
			verdict.problem = MFI_PHONE_TOO_SHORT;
		else if (count > MFI_PHONE_DIGITS_MAX)
			verdict.problem = MFI_PHONE_TOO_LONG;
		else if (digits[0] == '0')
			verdict.problem = MFI_PHONE_NOT_A_NATIONAL_NUMBER;
		else
			write_e164(e164, "", digits);
		return verdict;
	}
	national = digits + strlen(plan->calling_code);
	without_trunk = after_trunk(plan, national);
	if (without_trunk != NULL)
		national = without_trunk;
	verdict = judge_national(plan, national);
	if (verdict.problem == MFI_PHONE_OK)
		write_e164(e164, plan->calling_code, national);
	return verdict;
}

/*
 * Judges the digits of a number written without + or 00. A calling code
 * without its plus ("221771234567") is taken when the whole cannot be a
 * national number, and refused when both readings are possible.
 */
static Verdict
judge_dialed_at_home(const PhonePlan *plan, const char *digits, char *e164)
{
	const char *national = after_trunk(plan, digits);
	size_t code_length = strlen(plan->calling_code);
	Verdict verdict;
	Verdict with_code;

	if (national == NULL)
		national = digits;
	verdict = judge_national(plan, national);
	if (national == digits && strncmp(digits, plan->calling_code, code_length) == 0)
	{
		with_code = judge_national(plan, digits + code_length);
		if (with_code.problem == MFI_PHONE_OK && verdict.problem == MFI_PHONE_OK)
		{
			verdict.problem = MFI_PHONE_NOT_A_NATIONAL_NUMBER;
			return verdict;
		}
		if (with_code.problem == MFI_PHONE_OK)
		{
			verdict = with_code;
			national = digits + code_length;
		}
	}
	if (verdict.problem == MFI_PHONE_OK)
		write_e164(e164, plan->calling_code, national);
	return verdict;
}

static Verdict
judge(const char *digits, bool is_international, const PhonePlan *home, char *e164)
{
	Verdict verdict = { MFI_PHONE_UNKNOWN_COUNTRY, MFI_PHONE_UNKNOWN };

	if (!is_international && strncmp(digits, "00", 2) == 0)
		return judge_international(digits + 2, e164);
	if (is_international)
		return judge_international(digits, e164);
	if (home != NULL)
		return judge_dialed_at_home(home, digits, e164);
	return verdict;
}

/*
 * Whether a number that is too long is two: some separator has a whole number
 * before it.
 */
static bool
holds_several(const Dialed *dialed, const PhonePlan *home)
{
	char first[DIGITS_MAX + 1];
	char e164[MFI_PHONE_SIZE];

	for (int i = 0; i < dialed->mark_count; i++)
	{
		int count = dialed->marks[i];

		if (count == dialed->digit_count)
			continue;
		memcpy(first, dialed->digits, count);
		first[count] = '\0';
		if (judge(first, dialed->is_international, home, e164).problem == MFI_PHONE_OK)
			return true;
	}
	return false;
}

/*
 * mfi_phone_normalize reads a telephone number written by hand, of `country`
 * (ISO 3166 alpha-2, or NULL) unless it says otherwise itself. On MFI_PHONE_OK
 * `e164` holds it with its plus; else `e164` is empty. The text is in the
 * server's encoding.
 */
MfiPhoneProblem
mfi_phone_normalize(const char *text, int length, const char *country, char e164[MFI_PHONE_SIZE],
					MfiPhoneKind *kind)
{
	const PhonePlan *home = plan_of_country(country);
	const char *utf8;
	Dialed dialed;
	Verdict verdict = { MFI_PHONE_OK, MFI_PHONE_UNKNOWN };

	e164[0] = '\0';
	utf8 = pg_server_to_any(text, length, PG_UTF8);
	verdict.problem = reduce(utf8, utf8 == text ? length : (int) strlen(utf8), &dialed);
	if (verdict.problem == MFI_PHONE_OK)
		verdict = judge(dialed.digits, dialed.is_international, home, e164);
	if (verdict.problem == MFI_PHONE_TOO_LONG && holds_several(&dialed, home))
		verdict.problem = MFI_PHONE_SEVERAL_NUMBERS;
	if (verdict.problem != MFI_PHONE_OK)
		e164[0] = '\0';
	*kind = (verdict.problem == MFI_PHONE_OK) ? verdict.kind : MFI_PHONE_UNKNOWN;
	return verdict.problem;
}

const char *
mfi_phone_kind_name(MfiPhoneKind kind)
{
	static const char *const names[] = { "unknown", "mobile", "landline" };

	return names[kind];
}

/*
 * mfi_phone_problem_name gives the code of a problem, NULL for none.
 */
const char *
mfi_phone_problem_name(MfiPhoneProblem problem)
{
	static const char *const names[] = { NULL,
										 "empty",
										 "letters",
										 "several_numbers",
										 "too_short",
										 "too_long",
										 "not_a_national_number",
										 "obsolete_numbering",
										 "unknown_country" };

	return names[problem];
}
