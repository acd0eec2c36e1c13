/*
 * variant.c
 *		The live texts of a template: one per channel and locale.
 *
 * The engine composes ten thousand messages in one query from a handful of
 * templates. They are read and parsed once a query: a call site keeps them for
 * as long as it runs under one snapshot, which is exactly as long as they
 * cannot change under it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "message/variant.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

struct MfiVariantCache
{
	MemoryContext parent;
	MemoryContext context;		/* all below; deleted when the snapshot changes */
	HTAB	   *sets;
	MfiHome		home;

	/* What tells one snapshot from another in this transaction. */
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	CommandId	curcid;
};

static const char variant_query[] =
	"SELECT v.template_id, v.channel, v.locale, v.class, v.alphabet, v.subject, v.body, v.html,"
	"       b.parts, h.parts, pg_catalog.concat_ws(', ', b.missing, h.missing), v.options"
	"  FROM mfiauto.template_version v"
	" CROSS JOIN LATERAL mfiauto._template_parts(ARRAY[v.subject, v.body], v.channel, v.locale, false) b"
	" CROSS JOIN LATERAL mfiauto._template_parts(ARRAY[v.html], v.channel, v.locale, true) h"
	" WHERE v.name = $1 AND v.is_live"
	" ORDER BY (SELECT pg_catalog.min(o.template_id) FROM mfiauto.template_version o"
	"            WHERE o.name = v.name AND o.channel = v.channel), v.channel, v.template_id";

static const char home_query[] = "SELECT i.country, i.locale FROM mfiauto.institution i";

static SPIPlanPtr variant_plan = NULL;
static SPIPlanPtr home_plan = NULL;

static void
execute(SPIPlanPtr *plan, const char *query, int argument_count, Datum argument)
{
	Oid			type = TEXTOID;
	int			code;

	if (*plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(query, argument_count, &type);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare \"%s\"", query);
		*plan = prepared;
	}
	code = SPI_execute_plan(*plan, &argument, NULL, true, 0);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "query of templates did not select: %s", SPI_result_code_string(code));
}

static void
load_home(MfiVariantCache *cache)
{
	char	   *locale;

	SPI_connect();
	execute(&home_plan, home_query, 0, (Datum) 0);
	if (SPI_processed == 1)
	{
		strlcpy(cache->home.country, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
				sizeof(cache->home.country));
		locale = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
		if (!mfi_place_normalize_locale(locale, (int) strlen(locale), cache->home.locale))
			cache->home.locale[0] = '\0';
	}
	SPI_finish();
}

static bool
is_current(const MfiVariantCache *cache, Snapshot snapshot)
{
	return cache->context != NULL && cache->xmin == snapshot->xmin && cache->xmax == snapshot->xmax &&
		cache->xcnt == snapshot->xcnt && cache->curcid == snapshot->curcid;
}

MfiVariantCache *
mfi_variant_open_cache(MfiVariantCache *cache, MemoryContext parent)
{
	Snapshot	snapshot = GetActiveSnapshot();
	HASHCTL		control = {0};

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(parent, sizeof(MfiVariantCache));
		cache->parent = parent;
	}
	if (is_current(cache, snapshot))
		return cache;
	if (cache->context != NULL)
		MemoryContextDelete(cache->context);
	cache->context = NULL;
	memset(&cache->home, 0, sizeof(MfiHome));
	load_home(cache);
	cache->context = AllocSetContextCreate(cache->parent, "mfiauto template variants",
										   ALLOCSET_DEFAULT_SIZES);
	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(MfiVariantSet);
	control.hcxt = cache->context;
	cache->sets = hash_create("mfiauto template variants", 16, &control,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	cache->xmin = snapshot->xmin;
	cache->xmax = snapshot->xmax;
	cache->xcnt = snapshot->xcnt;
	cache->curcid = snapshot->curcid;
	return cache;
}

const MfiHome *
mfi_variant_home(MfiVariantCache *cache)
{
	return &cache->home;
}

static MfiTemplate *
parse_column(HeapTuple row, TupleDesc columns, int column, MemoryContext context)
{
	char	   *text = SPI_getvalue(row, columns, column);

	return text != NULL ? mfi_mustache_parse(text, (int) strlen(text), context) : NULL;
}

static Jsonb *
copy_jsonb(HeapTuple row, TupleDesc columns, int column, MemoryContext context)
{
	bool		is_null;
	Datum		value = SPI_getbinval(row, columns, column, &is_null);
	Jsonb	   *jsonb;
	Jsonb	   *copy;

	if (is_null)
		return NULL;
	jsonb = DatumGetJsonbP(value);
	copy = MemoryContextAlloc(context, VARSIZE(jsonb));
	memcpy(copy, jsonb, VARSIZE(jsonb));
	return copy;
}

static MfiAlphabet
alphabet_from_name(const char *name)
{
	if (strcmp(name, "ucs2") == 0)
		return MFI_ALPHABET_UCS2;
	return strcmp(name, "refuse") == 0 ? MFI_ALPHABET_REFUSE : MFI_ALPHABET_TRANSLITERATE;
}

static void
read_variant(HeapTuple row, TupleDesc columns, MfiVariant *variant, MemoryContext context)
{
	bool		is_null;
	char	   *channel = SPI_getvalue(row, columns, 2);
	char	   *class = SPI_getvalue(row, columns, 4);

	variant->template_id = DatumGetInt64(SPI_getbinval(row, columns, 1, &is_null));
	variant->channel = mfi_channel_find(channel, (int) strlen(channel));
	if (variant->channel == NULL)
		elog(ERROR, "channel \"%s\" of a template does not exist", channel);
	variant->locale = MemoryContextStrdup(context, SPI_getvalue(row, columns, 3));
	variant->class = class != NULL ? MemoryContextStrdup(context, class) : NULL;
	variant->alphabet = alphabet_from_name(SPI_getvalue(row, columns, 5));
	variant->title = parse_column(row, columns, 6, context);
	variant->body = parse_column(row, columns, 7, context);
	variant->html = parse_column(row, columns, 8, context);
	variant->partials = copy_jsonb(row, columns, 9, context);
	variant->html_partials = copy_jsonb(row, columns, 10, context);
	variant->missing_partials = MemoryContextStrdup(context, SPI_getvalue(row, columns, 11));
	variant->options = mfi_option_parse(copy_jsonb(row, columns, 12, context), context);
}

/*
 * mfi_variant_load gives the live variants of a template; of a name that has
 * none, an empty set.
 */
const MfiVariantSet *
mfi_variant_load(MfiVariantCache *cache, text *name)
{
	char		key[NAMEDATALEN] = {0};
	bool		is_known;
	MfiVariantSet *set;
	MfiVariant *variants = NULL;
	int			variant_count;

	if (VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
		memcpy(key, "", 1);		/* no template has such a name: the empty set */
	else
		memcpy(key, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	set = hash_search(cache->sets, key, HASH_FIND, NULL);
	if (set != NULL)
		return set;

	SPI_connect();
	execute(&variant_plan, variant_query, 1, CStringGetTextDatum(key));
	variant_count = (int) SPI_processed;
	if (variant_count > 0)
		variants = MemoryContextAllocZero(cache->context, sizeof(MfiVariant) * variant_count);
	for (int i = 0; i < variant_count; i++)
		read_variant(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &variants[i], cache->context);
	SPI_finish();
	set = hash_search(cache->sets, key, HASH_ENTER, &is_known);
	set->variants = variants;
	set->variant_count = variant_count;
	return set;
}

static const MfiVariant *
find_exact(const MfiVariantSet *set, const MfiChannel *channel, const char *locale)
{
	for (int i = 0; i < set->variant_count; i++)
	{
		if (set->variants[i].channel == channel && strcmp(set->variants[i].locale, locale) == 0)
			return &set->variants[i];
	}
	return NULL;
}

/* fr-SN, then fr. */
static const MfiVariant *
find_by_beginning(const MfiVariantSet *set, const MfiChannel *channel, const char *locale)
{
	char		tag[MFI_LOCALE_SIZE];
	const MfiVariant *found = NULL;
	char	   *dash = tag;

	strlcpy(tag, locale, sizeof(tag));
	while (tag[0] != '\0' && found == NULL && dash != NULL)
	{
		found = find_exact(set, channel, tag);
		dash = strrchr(tag, '-');
		if (dash != NULL)
			*dash = '\0';
	}
	return found;
}

/*
 * mfi_variant_choose goes from the client's locale to its language, to the
 * default, to the institution's locale and language.
 */
const MfiVariant *
mfi_variant_choose(const MfiVariantSet *set, const MfiChannel *channel, const char *locale,
				   const MfiHome *home)
{
	const MfiVariant *found = NULL;

	if (locale != NULL)
		found = find_by_beginning(set, channel, locale);
	if (found == NULL)
		found = find_exact(set, channel, "*");
	if (found == NULL)
		found = find_by_beginning(set, channel, home->locale);
	return found;
}
