/*
 * form.h
 *		Forms and queries as providers send them: name=value&name=value.
 */
#ifndef MFI_GATEWAY_FORM_H
#define MFI_GATEWAY_FORM_H

#include "nodes/pg_list.h"

/* Decoded bytes as they came, each ended by a NUL that does not count. */
typedef struct MfiParameter
{
	char	   *name;
	int			name_length;
	char	   *value;
	int			value_length;
} MfiParameter;

/* List of MfiParameter, in their order; a leading '?' is none of it. */
extern List *mfi_form_read(const char *text, int length);

/* Decoded bytes as text of the server's encoding: what is none becomes question marks. In place. */
extern void mfi_form_make_text(char *text, int length);

#endif							/* MFI_GATEWAY_FORM_H */
