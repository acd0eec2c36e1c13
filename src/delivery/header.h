/*
 * header.h
 *		Reading one line of an answer's head.
 */
#ifndef MFI_DELIVERY_HEADER_H
#define MFI_DELIVERY_HEADER_H

#define MFI_HEADER_BYTES_MAX 300

/* Copies the value into target (of MFI_HEADER_BYTES_MAX) if the line's header is called name. */
extern bool mfi_header_keep(char *target, const char *name, const char *data, size_t length);

#endif							/* MFI_DELIVERY_HEADER_H */
