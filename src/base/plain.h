/*
 * plain.h
 *		An error told without what may be somebody's data.
 */
#ifndef MFI_BASE_PLAIN_H
#define MFI_BASE_PLAIN_H

/*
 * The message for logs and views, allocated in the current context. Errors
 * about values quote them, so what stands in quotes goes; what somebody's own
 * code raises may say anything, so only its SQLSTATE is told; of the others
 * long numbers and addresses go.
 */
extern char *mfi_plain_message(const ErrorData *error);

#endif							/* MFI_BASE_PLAIN_H */
