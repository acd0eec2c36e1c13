/*
 * phone_plan.h
 *		National numbering plans, as far as they tell mobiles from landlines.
 *
 * A plan is a list of rules with ";" between, the first that fits wins:
 * a letter, the length of the national number (a range where it varies), and
 * the beginnings that it applies to. In a beginning [..] is one digit of a
 * set; a rule without any applies to every number of its length.
 *		m mobile, l landline, u valid but not told apart,
 *		o a form from before a change of plan: refused, since only the
 *		  operator's own table could convert it.
 * The trunk prefix is what is dialed inside the country before the national
 * number and never after +. Where the leading 0 is part of the number (CI,
 * BJ, CG, IT) the trunk prefix is empty.
 */
#ifndef MFI_MESSAGE_PHONE_PLAN_H
#define MFI_MESSAGE_PHONE_PLAN_H

typedef struct PhonePlan
{
	char country[3]; /* ISO 3166 */
	const char *calling_code;
	const char *trunk;
	const char *rules;
} PhonePlan;

/* clang-format off */
static const PhonePlan phone_plans[] = {
	/* West Africa */
	{"SN", "221", "", "m9 7[05678] 710 721 790; l9 3[03]"},
	{"CI", "225", "", "m10 0[157]; l10 2[157]; o8"},
	{"BF", "226", "", "m8 0[1-7] 5 6 7; l8 2"},
	{"ML", "223", "", "m8 5[0-3] 6 7 8[2-59] 9; l8 2 4"},
	{"BJ", "229", "", "m10 01[4-69]; l10 012; o8 [2-9]"},
	{"TG", "228", "", "m8 7 9; l8 2"},
	{"NE", "227", "", "m8 7 8 9 23; l8 20"},
	{"GN", "224", "", "m9 6; l8 3; u9 722; o8 6"},
	{"GW", "245", "", "m9 9; l9 44; o7 [3-9]"},
	{"GM", "220", "", "m7 [23679] 4[015] 5[0-489]; l7 4[2346] 5[567] 8"},
	{"MR", "222", "", "l8 25 35 45; m8 2 3 4"},
	{"GH", "233", "0", "m9 2[03-9] 5[0345679]; l9 3[0-9]"},
	{"NG", "234", "0", "m10 7[01] 8[01] 9[01]; l10 20; o7-8 [1-6]"},
	{"CV", "238", "", "m7 [59]; l7 2"},
	{"SL", "232", "0", "m8 25 3[0-5] 44 5 6 7 8 9; l8 22"},
	{"LR", "231", "0", "m9 5 77 88; l8 2; u7 [45]"},

	/* Central and East Africa */
	{"CM", "237", "", "m9 6[24-9] 24[23]; l9 222 233; o8 [2379]"},
	{"TD", "235", "", "m8 [679]; l8 2"},
	{"GA", "241", "0", "m8 6[0-256] 7[4-7]; l8 11; o7 [1-7]"},
	{"CG", "242", "", "m9 0[4-6]; l9 22"},
	{"CD", "243", "0", "m9 8[0-59] 9[017-9]; l7 [1-6]; l9 12"},
	{"RW", "250", "0", "m9 7[2389]; l9 2"},
	{"BI", "257", "", "m8 29 [67][125-9]; l8 22"},
	{"KE", "254", "0", "m9 7 1[0-3]; l7-9 [2456]"},
	{"UG", "256", "0", "m9 7; l9 [234]"},
	{"TZ", "255", "0", "m9 6 7; l9 2"},
	{"ET", "251", "0", "m9 9 7; l9 11 22 25 33 34 46 47 57 58"},

	/* Southern Africa and the islands */
	{"MW", "265", "0", "m9 31 77 8[89] 9[89] 111; l9 21 22; l7 1"},
	{"ZM", "260", "0", "m9 5[5-8] 7[5-9] 9[5-8]; l9 21"},
	{"MZ", "258", "", "m9 8[2-7]; l8 2"},
	{"MG", "261", "0", "m9 3[2-478]; l9 20"},
	{"ZA", "27", "0", "m9 [678]; l9 [1-5]"},

	/* North Africa */
	{"MA", "212", "0", "m9 6 7; l9 5; u9 8"},
	{"TN", "216", "", "m8 [2459]; l8 [378]"},
	{"DZ", "213", "0", "m9 [567]; l8 [1-4]; u9 9"},
	{"EG", "20", "0", "m10 1[0125]; l8-9 [2-9] 13"},

	/* Asia; Indian area codes that overlap with mobiles are left undecided */
	{"IN", "91", "0", "u10 79[26] 80[2-4]; m10 [6-9]; l10 [1-5]"},
	{"BD", "880", "0", "m10 1[3-9]; l6-10 [2-9]"},
	{"PK", "92", "0", "m10 3; l8-10 2 [4-9]"},
	{"LK", "94", "0", "m9 7[0-24-8]; l9 [1-689]"},
	{"NP", "977", "0", "m10 9[678]; l8 [1-8] 9"},
	{"PH", "63", "0", "m10 9 81[37] 89[5-8]; l8-9 [2-8]"},
	{"ID", "62", "0", "m9-12 8; l7-10 [2-79]"},
	{"VN", "84", "0", "m9 [35789]; l10 2; o10 1"},
	{"KH", "855", "0", "m8-9 1 3[18] 6[016-9] 7[0136-9] 8 9; l8-9 [2-7][2-6]"},
	{"MM", "95", "0", "m8-10 9; l6-9 [1-8]"},

	/* Europe */
	{"FR", "33", "0", "m9 [67]; l9 [1-59]; u9 8"},
	{"BE", "32", "0", "m9 4[5-9]; l8 1[0-69] [23][2-8] 4[23] 5 6[013-57-9] 71 80 8[1-79] 9[2-4]"},
	{"ES", "34", "", "u9 70 80 90; m9 6 7[1-9]; l9 8 9"},
	{"PT", "351", "", "m9 9[1236]; l9 2 3; u9 7 8"},
	{"IT", "39", "", "m9-10 3; l6-11 0"},
	{"DE", "49", "0", "m10-11 1[567]; l5-11 [2-9]"},
	{"GB", "44", "0", "u10 70 76; m10 7; l9-10 1; l10 2 3; u10 5 8 9; u9 8"},
	{"NL", "31", "0", "m9 6; l9 [1-57] 85 88; u9 8 9"},
	{"CH", "41", "0", "m9 7[4-9]; l9 [2-6] 71 81 91; u9 8 9"},

	/* North America: one plan, in which mobiles look like landlines */
	{"US", "1", "1", "u10 [2-9][0-9][0-9][2-9]"},
	{"CA", "1", "1", "u10 [2-9][0-9][0-9][2-9]"},
	{"PR", "1", "1", "u10 [2-9][0-9][0-9][2-9]"},

	/* Latin America and the Caribbean */
	{"MX", "52", "", "u10 [2-9]; o11 1; o12 01; o13 04[45]"},
	{"GT", "502", "", "m8 [345]; l8 [267]"},
	{"HN", "504", "", "m8 [3789]; l8 2"},
	{"NI", "505", "", "m8 [578]; l8 2"},
	{"PE", "51", "0", "m9 9; l8 1 [4-8]"},
	{"BO", "591", "0", "m8 [67]; l8 [2-4]"},
	{"EC", "593", "0", "m9 9; l8 [2-7]"},
	{"CO", "57", "", "m10 3; l10 60; o7-8 [1-8]"},
	{"BR", "55", "0", "m11 [1-9][1-9]9; l10 [1-9][1-9][2-5]; o10 [1-9][1-9][6-9]"},
	{"PY", "595", "0", "m9 9; l7-9 [2-8]"},
	{"HT", "509", "", "m8 [345]; l8 2"},
};
/* clang-format on */

#endif /* MFI_MESSAGE_PHONE_PLAN_H */
