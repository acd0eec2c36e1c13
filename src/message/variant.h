/*
 * variant.h
 *		The live texts of a template: one per channel and locale.
 */
#ifndef MFI_MESSAGE_VARIANT_H
#define MFI_MESSAGE_VARIANT_H

#include "fmgr.h"
#include "message/channel.h"
#include "message/mustache.h"
#include "message/option.h"
#include "message/place.h"

typedef enum MfiAlphabet
{
	MFI_ALPHABET_TRANSLITERATE,
	MFI_ALPHABET_UCS2,
	MFI_ALPHABET_REFUSE
} MfiAlphabet;

typedef struct MfiVariant
{
	int64		template_id;
	const MfiChannel *channel;
	char	   *locale;			/* "*": the default */
	char	   *class;			/* NULL: the workflow's */
	MfiAlphabet alphabet;
	MfiTemplate *title;			/* NULL: none */
	MfiTemplate *body;
	MfiTemplate *html;			/* NULL: none */
	MfiOption  *options;		/* NULL: none */
	Jsonb	   *partials;		/* name -> text, of all that title and body include; or NULL */
	Jsonb	   *html_partials;
	char	   *missing_partials;	/* "> footer", or empty */
} MfiVariant;

/* Variants of one name, by channel in the order of the channels' first creation. */
typedef struct MfiVariantSet
{
	char		name[NAMEDATALEN];	/* hash key */
	MfiVariant *variants;
	int			variant_count;
} MfiVariantSet;

/* What the institution stands in with where a client's record is silent. */
typedef struct MfiHome
{
	char		country[3];
	char		locale[MFI_LOCALE_SIZE];
} MfiHome;

typedef struct MfiVariantCache MfiVariantCache;

/*
 * The cache of a call site, as of the active snapshot: sets stay valid until
 * this is called again under another snapshot.
 */
extern MfiVariantCache *mfi_variant_open_cache(MfiVariantCache *cache, MemoryContext parent);
extern const MfiHome *mfi_variant_home(MfiVariantCache *cache);
extern const MfiVariantSet *mfi_variant_load(MfiVariantCache *cache, text *name);

/* The variant of a channel that fits a locale best, NULL if none does. */
extern const MfiVariant *mfi_variant_choose(const MfiVariantSet *set, const MfiChannel *channel,
											const char *locale, const MfiHome *home);

#endif							/* MFI_MESSAGE_VARIANT_H */
