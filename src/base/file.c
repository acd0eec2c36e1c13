/*
 * file.c
 *		Small files that an administrator keeps beside the server.
 */
#include "postgres.h"

#include "base/file.h"
#include "storage/fd.h"

char *
mfi_file_read(const char *path, size_t bytes_max, const char *trimmed)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	char	   *content;
	size_t		length;

	if (file == NULL)
		return NULL;
	content = palloc(bytes_max + 1);
	length = fread(content, 1, bytes_max, file);
	FreeFile(file);
	while (length > 0 && content[length - 1] != '\0' && strchr(trimmed, content[length - 1]) != NULL)
		length--;
	content[length] = '\0';
	return content;
}
