/*
 * header.c
 *		Reading one line of an answer's head, from inside libcurl: nothing here
 *		raises or allocates.
 */
#include "postgres.h"

#include "delivery/header.h"

/*
 * mfi_header_keep copies the value of the header called name; false if the line
 * is another one.
 */
bool
mfi_header_keep(char *target, const char *name, const char *data, size_t length)
{
	size_t		name_length = strlen(name);
	size_t		used;

	if (name_length == 0 || length <= name_length || data[name_length] != ':' ||
		pg_strncasecmp(data, name, name_length) != 0)
		return false;
	data += name_length + 1;
	length -= name_length + 1;
	while (length > 0 && (*data == ' ' || *data == '\t'))
	{
		data++;
		length--;
	}
	while (length > 0 && (unsigned char) data[length - 1] <= ' ')
		length--;
	used = Min(length, MFI_HEADER_BYTES_MAX - 1);
	memcpy(target, data, used);
	target[used] = '\0';
	/* A value with a zero byte or a bare carriage return in it is none. */
	if (strlen(target) != used || strpbrk(target, "\r\n") != NULL)
		target[0] = '\0';
	return true;
}
