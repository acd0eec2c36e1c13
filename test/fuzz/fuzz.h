/*
 * fuzz.h
 *		What the harnesses share: the parts of an input, and memory that is watched.
 */
#ifndef MFI_FUZZ_H
#define MFI_FUZZ_H

#include "utils/jsonb.h"
#include "utils/palloc.h"

/* An input is parts, each ended by a line "%%"; a part that is not there is empty. */
#define FUZZ_PARTS_MAX 6

typedef struct FuzzPart
{
	char	   *data;			/* ended by a NUL that does not count, right before the end of its memory */
	int			length;
} FuzzPart;

typedef struct FuzzHarness
{
	const char *name;
	int			parts;
	bool		is_binary;		/* else each part is made what a text of the server can be */
	void		(*run) (FuzzPart *parts);
} FuzzHarness;

extern const FuzzHarness fuzz_message[];	/* each list ends with a NULL name */
extern const FuzzHarness fuzz_gateway[];
extern const FuzzHarness fuzz_receive[];

/* Stops the run: what must hold did not. */
#define FUZZ_CHECK(condition) do { if (!(condition)) fuzz_fail(#condition, __FILE__, __LINE__); } while (0)
extern void fuzz_fail(const char *condition, const char *file, int line) pg_attribute_noreturn();

/* The part as JSON; an empty object if it is none. */
extern Jsonb *fuzz_object(const FuzzPart *part);
extern bool fuzz_is_text(const char *data, int length);
extern Datum fuzz_call(PGFunction function, const char *name, int count, Datum *arguments);

extern MemoryContext mfi_fuzz_context_create(MemoryContext parent, const char *name, Size least, Size first, Size most);

#endif							/* MFI_FUZZ_H */
