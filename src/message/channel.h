/*
 * channel.h
 *		What the channels take: addresses, titles, lengths.
 */
#ifndef MFI_MESSAGE_CHANNEL_H
#define MFI_MESSAGE_CHANNEL_H

#include "lib/stringinfo.h"

typedef enum MfiAddressKind
{
	MFI_ADDRESS_MOBILE,			/* a telephone that is no landline */
	MFI_ADDRESS_PHONE,
	MFI_ADDRESS_EMAIL,
	MFI_ADDRESS_TOKEN			/* a provider's own name for somebody */
} MfiAddressKind;

typedef enum MfiAddressState
{
	MFI_ADDRESS_USABLE,
	MFI_ADDRESS_MISSING,
	MFI_ADDRESS_INVALID
} MfiAddressState;

typedef struct MfiChannel
{
	const char *name;
	MfiAddressKind address_kind;
	bool		has_title;
	bool		has_html;
	int			text_characters_max;	/* of the body that leaves */
} MfiChannel;

#define MFI_SMS_PARTS_MAX 10
#define MFI_TITLE_CHARACTERS_MAX 255

/* The channel of a name, NULL if there is none. */
extern const MfiChannel *mfi_channel_find(const char *name, int length);

/*
 * Reads an address as records give it: `out` gets the one form in which it is
 * compared, suppressed and sent to. country: ISO 3166 of numbers without one.
 */
extern MfiAddressState mfi_channel_read_address(const MfiChannel *channel, const char *text, int length,
												const char *country, StringInfo out);

#endif							/* MFI_MESSAGE_CHANNEL_H */
