/*
 * words.h
 *		Lists of words that a reader knows, each ended by NULL.
 */
#ifndef MFI_BASE_WORDS_H
#define MFI_BASE_WORDS_H

#define MFI_WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Whether the word is on the list, in the same case. */
extern bool mfi_words_have(const char *const *words, const char *word);

/* The list as "one, other, third", palloc'd, for a message. */
extern char *mfi_words_join(const char *const *words);

#endif							/* MFI_BASE_WORDS_H */
