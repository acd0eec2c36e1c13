/*
 * file.h
 *		Small files that an administrator keeps beside the server.
 */
#ifndef MFI_BASE_FILE_H
#define MFI_BASE_FILE_H

/*
 * The first bytes_max bytes of a file without what stands at their end of the
 * trimmed characters, palloc'd and ended by a NUL; NULL, with errno, if it
 * cannot be opened.
 */
extern char *mfi_file_read(const char *path, size_t bytes_max, const char *trimmed);

#endif							/* MFI_BASE_FILE_H */
