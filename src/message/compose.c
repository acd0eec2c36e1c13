/*
 * compose.c
 *		One intended message -> channel, address and text, or why there is none.
 *
 * It is called once per row of a set, by the engine when a message is due and
 * by delivery when it is about to leave. A message is never made with a hole:
 * a value that the books do not have holds it, with the name of the value.
 * Nothing here writes.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/jsonb.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "message/channel.h"
#include "message/localize.h"
#include "message/mustache.h"
#include "message/place.h"
#include "message/sms.h"
#include "message/variant.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* The arguments of mfiauto._compose, in order. */
enum
{
	ARG_TEMPLATE,
	ARG_CHANNELS,
	ARG_CLASS,
	ARG_LOCALE,
	ARG_CONTEXT,
	ARG_PHONE,
	ARG_EMAIL,
	ARG_PUSH_TOKEN,
	ARG_COUNTRY,
	ARG_PREVIEW,
	ARG_ADDRESSES
};

/* Its results, in order. */
enum
{
	OUT_TEMPLATE_ID,
	OUT_CHANNEL,
	OUT_NEXT_CHANNELS,
	OUT_CLASS,
	OUT_LOCALE,
	OUT_TO_ADDRESS,
	OUT_TITLE,
	OUT_BODY,
	OUT_HTML,
	OUT_ENCODING,
	OUT_PARTS,
	OUT_STATE,
	OUT_REASON,
	OUT_DETAIL,
	OUT_OPTIONS,
	OUT_COUNT
};

typedef struct CallSite
{
	MfiVariantCache *cache;
	TupleDesc	row;
} CallSite;

typedef struct ComposeRow
{
	Datum		values[OUT_COUNT];
	bool		nulls[OUT_COUNT];
} ComposeRow;

/* What a call works on. */
typedef struct Compose
{
	FunctionCallInfo fcinfo;
	const MfiVariantSet *set;
	const MfiHome *home;
	const char *locale;
	const char *country;
	Jsonb	   *context;
	bool		is_preview;
	ComposeRow	result;
} Compose;

/* The channel that was chosen, and what else could have been. */
typedef struct Choice
{
	const MfiVariant *variant;	/* of the first channel that has one and an address */
	StringInfoData address;
	const MfiVariant *fallback; /* of the first channel that has one at all */
	bool		has_invalid;
	Datum	   *next;			/* channels behind the chosen one that would do */
	int			next_count;
} Choice;

PG_FUNCTION_INFO_V1(mfiauto_compose_message);

static void
set_text(Compose *compose, int column, const char *text)
{
	compose->result.nulls[column] = (text == NULL);
	compose->result.values[column] = (text == NULL) ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
set_string(Compose *compose, int column, const StringInfoData *string)
{
	compose->result.nulls[column] = false;
	compose->result.values[column] =
		PointerGetDatum(cstring_to_text_with_len(string->data, string->len));
}

static void
set_ending(Compose *compose, const char *state, const char *reason)
{
	set_text(compose, OUT_STATE, state);
	set_text(compose, OUT_REASON, reason);
}

static char *
string_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * The address on a channel that has none of its own among the canonical
 * columns: a trait of the channel's name; what stays inside, the client's id.
 */
static char *
address_from_context(const Compose *compose, const char *channel)
{
	bool		is_trait = strcmp(channel, "telegram") == 0 || strcmp(channel, "messenger") == 0;
	const char *name = is_trait ? channel : "client_id";
	JsonbContainer *holder = mfi_jsonb_find_object(&compose->context->root, "client");
	JsonbValue	found;

	if (is_trait)
		holder = mfi_jsonb_find_object(holder, "traits");
	if (!mfi_jsonb_find(holder, name, strlen(name), &found))
		return NULL;
	if (found.type == jbvString)
		return pnstrdup(found.val.string.val, found.val.string.len);
	if (found.type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(found.val.numeric)));
	return NULL;
}

/*
 * The address that a device or a chat provider gave; NULL if there is none.
 */
static char *
given_address(const Compose *compose, const char *channel)
{
	JsonbValue	found;

	if (compose->fcinfo->args[ARG_ADDRESSES].isnull ||
		!mfi_jsonb_find(&DatumGetJsonbP(compose->fcinfo->args[ARG_ADDRESSES].value)->root, channel, strlen(channel), &found) ||
		found.type != jbvString)
		return NULL;
	return pnstrdup(found.val.string.val, found.val.string.len);
}

static MfiAddressState
read_address(const Compose *compose, const MfiChannel *channel, StringInfo out)
{
	int			argument = ARG_PHONE;
	char	   *found = given_address(compose, channel->name);

	if (found != NULL)
	{
		/* It is the provider's own name for him, whatever it looks like. */
		appendStringInfoString(out, found);
		return MFI_ADDRESS_USABLE;
	}

	if (channel->address_kind == MFI_ADDRESS_EMAIL)
		argument = ARG_EMAIL;
	else if (strcmp(channel->name, "push") == 0)
		argument = ARG_PUSH_TOKEN;
	else if (channel->address_kind == MFI_ADDRESS_TOKEN)
	{
		found = address_from_context(compose, channel->name);
		return found == NULL ? MFI_ADDRESS_MISSING :
			mfi_channel_read_address(channel, found, (int) strlen(found), NULL, out);
	}
	if (compose->fcinfo->args[argument].isnull)
		return MFI_ADDRESS_MISSING;
	else
	{
		text	   *given = DatumGetTextPP(compose->fcinfo->args[argument].value);

		return mfi_channel_read_address(channel, VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given),
										compose->country, out);
	}
}

/* Weighs one channel: the first that has a text and an address is chosen. */
static void
consider_channel(const Compose *compose, Choice *choice, const MfiChannel *channel)
{
	const MfiVariant *variant = mfi_variant_choose(compose->set, channel, compose->locale, compose->home);
	StringInfoData address;
	MfiAddressState state;

	if (variant == NULL)
		return;
	initStringInfo(&address);
	state = read_address(compose, channel, &address);
	if (choice->fallback == NULL)
		choice->fallback = variant;
	if (state == MFI_ADDRESS_INVALID)
		choice->has_invalid = true;
	if (state != MFI_ADDRESS_USABLE)
		return;
	if (choice->variant == NULL)
	{
		choice->variant = variant;
		choice->address = address;
	}
	else
		choice->next[choice->next_count++] = CStringGetTextDatum(channel->name);
}

static void
choose_among_all(const Compose *compose, Choice *choice)
{
	const MfiChannel *previous = NULL;

	choice->next = palloc(sizeof(Datum) * (compose->set->variant_count + 1));
	for (int i = 0; i < compose->set->variant_count; i++)
	{
		if (compose->set->variants[i].channel != previous)
			consider_channel(compose, choice, compose->set->variants[i].channel);
		previous = compose->set->variants[i].channel;
	}
}

static void
choose_among(const Compose *compose, ArrayType *wanted, Choice *choice)
{
	Datum	   *names;
	bool	   *nulls;
	int			name_count;

	deconstruct_array(wanted, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &name_count);
	choice->next = palloc(sizeof(Datum) * (name_count + 1));
	for (int i = 0; i < name_count; i++)
	{
		text	   *name = nulls[i] ? NULL : DatumGetTextPP(names[i]);
		const MfiChannel *channel = name == NULL ? NULL :
			mfi_channel_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

		if (channel != NULL)
			consider_channel(compose, choice, channel);
	}
}

/*
 * A title ends up in a header line: a line end in somebody's name must not
 * begin another one.
 */
static void
flatten_title(StringInfo title)
{
	for (int i = 0; i < title->len; i++)
	{
		if ((unsigned char) title->data[i] < ' ' || title->data[i] == 0x7F)
			title->data[i] = ' ';
	}
}

static bool
is_blank(const StringInfoData *text)
{
	for (int i = 0; i < text->len; i++)
	{
		if (!isspace((unsigned char) text->data[i]))
			return false;
	}
	return true;
}

static void
set_missing(Compose *compose, List *names)
{
	StringInfoData detail;
	ListCell   *cell;

	initStringInfo(&detail);
	foreach(cell, names)
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? ", " : "", (const char *) lfirst(cell));
	set_string(compose, OUT_DETAIL, &detail);
	set_ending(compose, "held", "missing_variable");
}

/*
 * Puts an SMS into its template's alphabet and measures it. What stays outside
 * GSM 03.38 after transliteration leaves as it was written: it costs the same.
 */
static void
fit_sms(Compose *compose, MfiAlphabet alphabet, StringInfo body)
{
	MfiSmsSize	size;

	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SMS texts need a database whose encoding is UTF8")));
	mfi_sms_measure(body->data, body->len, &size);
	if (size.encoding != MFI_SMS_GSM7 && alphabet == MFI_ALPHABET_TRANSLITERATE)
	{
		StringInfoData plain;
		MfiSmsSize	plain_size;

		initStringInfo(&plain);
		mfi_sms_transliterate(&plain, body->data, body->len);
		mfi_sms_measure(plain.data, plain.len, &plain_size);
		if (plain_size.encoding == MFI_SMS_GSM7)
		{
			*body = plain;
			size = plain_size;
		}
	}
	set_text(compose, OUT_ENCODING, size.encoding == MFI_SMS_GSM7 ? "gsm7" : "ucs2");
	compose->result.values[OUT_PARTS] = Int16GetDatum((int16) Min(size.part_count, PG_INT16_MAX));
	compose->result.nulls[OUT_PARTS] = false;
	if (size.encoding != MFI_SMS_GSM7 && alphabet == MFI_ALPHABET_REFUSE)
	{
		StringInfoData outside;

		initStringInfo(&outside);
		mfi_sms_append_outside(&outside, body->data, body->len);
		set_string(compose, OUT_DETAIL, &outside);
		set_ending(compose, "held", "encoding");
	}
	else if (size.part_count > MFI_SMS_PARTS_MAX)
		set_ending(compose, "held", "too_long");
}

typedef struct Texts
{
	StringInfoData title;
	StringInfoData body;
	StringInfoData html;
	Jsonb	   *options;
	MfiMissing	missing;
} Texts;

static void
render_all(const Compose *compose, const MfiVariant *variant, Texts *texts)
{
	if (variant->title != NULL)
		mfi_mustache_render(variant->title, compose->context, variant->partials, MFI_ESCAPE_NONE,
							&texts->title, &texts->missing);
	mfi_mustache_render(variant->body, compose->context, variant->partials, MFI_ESCAPE_NONE,
						&texts->body, &texts->missing);
	if (variant->html != NULL)
		mfi_mustache_render(variant->html, compose->context, variant->html_partials, MFI_ESCAPE_HTML,
							&texts->html, &texts->missing);
	if (variant->options != NULL)
		texts->options = mfi_option_render(variant->options, compose->context, compose->locale,
										   compose->home->locale, &texts->missing);
}

/*
 * Renders, or returns false where one client's values make a text beyond the
 * renderer's limits: that message is too long, and the rest of the set goes
 * on. No subtransaction is needed to go on: rendering reads memory and fills
 * memory, it holds nothing else. Every other error stays one.
 */
static bool
render_within_limits(const Compose *compose, const MfiVariant *variant, Texts *texts)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool is_within = true;

	PG_TRY();
	{
		render_all(compose, variant, texts);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		is_within = false;
	}
	PG_END_TRY();
	return is_within;
}

/* Renders title, body and HTML part, and says what is wrong with them. */
static void
render_texts(Compose *compose, const MfiVariant *variant)
{
	Texts		texts = {.missing = {NIL}};

	compose->context = mfi_localize_context(compose->context, variant->locale);
	initStringInfo(&texts.title);
	initStringInfo(&texts.body);
	initStringInfo(&texts.html);
	if (variant->missing_partials[0] != '\0')
		texts.missing.names = list_make1(variant->missing_partials);
	if (!render_within_limits(compose, variant, &texts))
	{
		set_ending(compose, "held", "too_long");
		return;
	}
	flatten_title(&texts.title);

	set_ending(compose, "queued", NULL);
	compose->result.values[OUT_PARTS] = Int16GetDatum(1);
	compose->result.nulls[OUT_PARTS] = false;
	if (strcmp(variant->channel->name, "sms") == 0)
		fit_sms(compose, variant->alphabet, &texts.body);
	else if (pg_mbstrlen_with_len(texts.body.data, texts.body.len) > variant->channel->text_characters_max ||
			 pg_mbstrlen_with_len(texts.html.data, texts.html.len) > variant->channel->text_characters_max)
		set_ending(compose, "held", "too_long");
	if (pg_mbstrlen_with_len(texts.title.data, texts.title.len) > MFI_TITLE_CHARACTERS_MAX)
		set_ending(compose, "held", "too_long");
	if (texts.missing.names != NIL)
		set_missing(compose, texts.missing.names);
	else if (is_blank(&texts.body))
		set_ending(compose, "held", "empty_text");
	if (!compose->result.nulls[OUT_REASON] && !compose->is_preview)
		return;
	if (variant->title != NULL)
		set_string(compose, OUT_TITLE, &texts.title);
	set_string(compose, OUT_BODY, &texts.body);
	if (variant->html != NULL)
		set_string(compose, OUT_HTML, &texts.html);
	if (texts.options != NULL)
	{
		compose->result.values[OUT_OPTIONS] = JsonbPGetDatum(texts.options);
		compose->result.nulls[OUT_OPTIONS] = false;
	}
}

static void
set_variant(Compose *compose, const MfiVariant *variant)
{
	compose->result.values[OUT_TEMPLATE_ID] = Int64GetDatum(variant->template_id);
	compose->result.nulls[OUT_TEMPLATE_ID] = false;
	set_text(compose, OUT_CHANNEL, variant->channel->name);
	set_text(compose, OUT_LOCALE, variant->locale);
	if (variant->class != NULL)
		set_text(compose, OUT_CLASS, variant->class);
}

static void
compose_choice(Compose *compose, Choice *choice)
{
	const MfiVariant *variant = choice->variant != NULL ? choice->variant : choice->fallback;

	if (variant == NULL)
	{
		set_ending(compose, "skipped", "no_template");
		return;
	}
	set_variant(compose, variant);
	if (choice->variant != NULL || compose->is_preview)
		render_texts(compose, variant);
	if (choice->variant != NULL)
		set_string(compose, OUT_TO_ADDRESS, &choice->address);
	else
		set_ending(compose, "skipped", choice->has_invalid ? "invalid_address" : "no_address");
	if (choice->next_count > 0)
	{
		compose->result.values[OUT_NEXT_CHANNELS] =
			PointerGetDatum(construct_array(choice->next, choice->next_count, TEXTOID, -1, false, TYPALIGN_INT));
		compose->result.nulls[OUT_NEXT_CHANNELS] = false;
	}
}

static CallSite *
call_site(FunctionCallInfo fcinfo)
{
	CallSite   *site = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;

	if (site == NULL)
	{
		TupleDesc	row;
		MemoryContext saved;

		if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "function must be declared to return a row");
		site = MemoryContextAllocZero(context, sizeof(CallSite));
		saved = MemoryContextSwitchTo(context);
		site->row = BlessTupleDesc(CreateTupleDescCopy(row));
		MemoryContextSwitchTo(saved);
		fcinfo->flinfo->fn_extra = site;
	}
	site->cache = mfi_variant_open_cache(site->cache, context);
	return site;
}

static void
add_error_context(void *name)
{
	errcontext("while composing template \"%s\"", (const char *) name);
}

/*
 * SQL: mfiauto._compose(template text, channels text[], class text, locale
 * text, context jsonb, phone text, email text, push_token text, country text,
 * preview boolean, addresses jsonb, OUT ...). channels: in order of preference; null: those
 * that the template has. preview: the text is returned even if it would not
 * leave.
 */
Datum
mfiauto_compose_message(PG_FUNCTION_ARGS)
{
	CallSite   *site = call_site(fcinfo);
	Compose		compose = {.fcinfo = fcinfo};
	Choice		choice = {.variant = NULL};
	char		locale[MFI_LOCALE_SIZE];
	ErrorContextCallback context;

	memset(compose.result.nulls, true, sizeof(compose.result.nulls));
	set_text(&compose, OUT_CLASS, PG_ARGISNULL(ARG_CLASS) ? "marketing" : string_argument(fcinfo, ARG_CLASS));
	if (PG_ARGISNULL(ARG_TEMPLATE) || PG_ARGISNULL(ARG_CONTEXT))
	{
		set_ending(&compose, "skipped", "no_template");
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(site->row, compose.result.values, compose.result.nulls)));
	}
	context.callback = add_error_context;
	context.arg = string_argument(fcinfo, ARG_TEMPLATE);
	context.previous = error_context_stack;
	error_context_stack = &context;

	compose.set = mfi_variant_load(site->cache, PG_GETARG_TEXT_PP(ARG_TEMPLATE));
	compose.home = mfi_variant_home(site->cache);
	compose.context = PG_GETARG_JSONB_P(ARG_CONTEXT);
	compose.is_preview = !PG_ARGISNULL(ARG_PREVIEW) && PG_GETARG_BOOL(ARG_PREVIEW);
	compose.country = PG_ARGISNULL(ARG_COUNTRY) ? compose.home->country : string_argument(fcinfo, ARG_COUNTRY);
	if (!PG_ARGISNULL(ARG_LOCALE))
	{
		text	   *given = PG_GETARG_TEXT_PP(ARG_LOCALE);

		if (mfi_place_normalize_locale(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), locale))
			compose.locale = locale;
	}
	if (PG_ARGISNULL(ARG_CHANNELS))
		choose_among_all(&compose, &choice);
	else
		choose_among(&compose, PG_GETARG_ARRAYTYPE_P(ARG_CHANNELS), &choice);
	compose_choice(&compose, &choice);

	error_context_stack = context.previous;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(site->row, compose.result.values, compose.result.nulls)));
}
