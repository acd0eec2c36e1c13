/*
 * sms.h
 *		What a text costs as an SMS, and how to make it cost less.
 *
 * Texts are UTF-8 here, whatever the server's encoding.
 */
#ifndef MFI_MESSAGE_SMS_H
#define MFI_MESSAGE_SMS_H

#include "lib/stringinfo.h"

typedef enum MfiSmsEncoding
{
	MFI_SMS_GSM7, /* units are septets */
	MFI_SMS_UCS2  /* units are UTF-16 code units */
} MfiSmsEncoding;

typedef struct MfiSmsSize
{
	MfiSmsEncoding encoding;
	int unit_count;
	int part_count; /* 0 for an empty text */
} MfiSmsSize;

extern void mfi_sms_measure(const char *utf8, int length, MfiSmsSize *out);
extern void mfi_sms_widen(const char *utf8, int length, MfiSmsSize *size);
extern int mfi_sms_part_length(const char *utf8, int length, const MfiSmsSize *size);
extern void mfi_sms_append_outside(StringInfo out, const char *utf8, int length);
extern void mfi_sms_transliterate(StringInfo out, const char *utf8, int length);
extern void mfi_sms_append_gsm_hex(StringInfo out, const char *utf8, int length);

#endif /* MFI_MESSAGE_SMS_H */
