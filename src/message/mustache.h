/*
 * mustache.h
 *		Templates by the Mustache specification: read once, rendered often.
 *
 * A template belongs to the memory context it was parsed in and is never
 * changed by rendering.
 */
#ifndef MFI_MESSAGE_MUSTACHE_H
#define MFI_MESSAGE_MUSTACHE_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/palloc.h"

#include "message/escape.h"

#define MFI_TEMPLATE_BYTES_MAX (1024 * 1024) /* of a template, and of what it renders to */
#define MFI_TEMPLATE_SECTION_DEPTH_MAX 100
#define MFI_TEMPLATE_PARTIAL_DEPTH_MAX 100
#define MFI_TEMPLATE_STEPS_MAX 1000000					  /* tags and texts rendered in one call */
#define MFI_TEMPLATE_PARTIAL_BYTES_MAX (16 * 1024 * 1024) /* of partials read in one call */

typedef struct MfiTemplate MfiTemplate;

/* Names of variable tags that found nothing or null; each once, in order. */
typedef struct MfiMissing
{
	List *names; /* of char *, in the context that rendered */
} MfiMissing;

extern MfiTemplate *mfi_mustache_parse(const char *text, int length, MemoryContext context);
extern List *mfi_mustache_variables(const MfiTemplate *template);
extern List *mfi_mustache_partials(const MfiTemplate *template);
extern void mfi_mustache_render(const MfiTemplate *template, Jsonb *context, Jsonb *partials,
								MfiEscape escape, StringInfo out, MfiMissing *missing);

#endif /* MFI_MESSAGE_MUSTACHE_H */
