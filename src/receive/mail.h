/*
 * mail.h
 *		Reading a letter that came back or in.
 */
#ifndef MFI_RECEIVE_MAIL_H
#define MFI_RECEIVE_MAIL_H

#define MFI_MAIL_TEXT_BYTES_MAX 8192

typedef enum MfiMailKind
{
	MFI_MAIL_MESSAGE,			/* somebody wrote to us */
	MFI_MAIL_BOUNCE,			/* a letter of ours was not delivered */
	MFI_MAIL_DELAY,				/* its server goes on trying */
	MFI_MAIL_DELIVERED,			/* it was, says its server */
	MFI_MAIL_COMPLAINT,			/* its reader called it spam */
	MFI_MAIL_AUTOMATIC,			/* a machine answers, or a list */
} MfiMailKind;

typedef struct MfiMail
{
	MfiMailKind kind;
	char		reference[60];	/* of our letter, message_id-key; empty: none found */
	bool		is_unsubscribe; /* sent to the address that takes opt-outs */
	char		status[12];		/* RFC 3463, as 5.1.1 */
	char		diagnostic[4];	/* the SMTP status that was the reason */
	char		from[255];
	char		to[255];
	char		message_id[255];
	char		subject[500];	/* these two in UTF-8 */
	char		text[MFI_MAIL_TEXT_BYTES_MAX];	/* what was written, without what it answers to */
} MfiMail;

/* Reads any bytes whatever; never raises, allocates nothing. */
extern void mfi_mail_parse(const char *data, size_t length, MfiMail *mail);
extern const char *mfi_mail_kind_name(MfiMailKind kind);

#endif							/* MFI_RECEIVE_MAIL_H */
