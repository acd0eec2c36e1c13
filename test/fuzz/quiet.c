/*
 * quiet.c
 *		Preloaded beside the sanitizers: messages stay untranslated. Under their
 *		run-time glibc's own reader of translations waits for itself for ever.
 */
extern char *bindtextdomain(const char *domain, const char *directory);
extern char *textdomain(const char *domain);

char *
bindtextdomain(const char *domain, const char *directory)
{
	return (char *) directory;
}

char *
textdomain(const char *domain)
{
	return (char *) domain;
}
