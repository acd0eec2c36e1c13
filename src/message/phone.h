/*
 * phone.h
 *		Telephone numbers as people write them -> E.164, or a reason why not.
 */
#ifndef MFI_MESSAGE_PHONE_H
#define MFI_MESSAGE_PHONE_H

#define MFI_PHONE_DIGITS_MAX 15						  /* of E.164 */
#define MFI_PHONE_SIZE (1 + MFI_PHONE_DIGITS_MAX + 1) /* with the plus and the final zero */

typedef enum MfiPhoneKind
{
	MFI_PHONE_UNKNOWN, /* valid, and its numbering plan does not tell */
	MFI_PHONE_MOBILE,
	MFI_PHONE_LANDLINE
} MfiPhoneKind;

typedef enum MfiPhoneProblem
{
	MFI_PHONE_OK,
	MFI_PHONE_EMPTY,
	MFI_PHONE_LETTERS, /* letters, or signs that no number has */
	MFI_PHONE_SEVERAL_NUMBERS,
	MFI_PHONE_TOO_SHORT,
	MFI_PHONE_TOO_LONG,
	MFI_PHONE_NOT_A_NATIONAL_NUMBER,
	MFI_PHONE_OBSOLETE_NUMBERING,
	MFI_PHONE_UNKNOWN_COUNTRY
} MfiPhoneProblem;

extern MfiPhoneProblem mfi_phone_normalize(const char *text, int length, const char *country,
										   char e164[MFI_PHONE_SIZE], MfiPhoneKind *kind);
extern const char *mfi_phone_kind_name(MfiPhoneKind kind);
extern const char *mfi_phone_problem_name(MfiPhoneProblem problem);

#endif /* MFI_MESSAGE_PHONE_H */
