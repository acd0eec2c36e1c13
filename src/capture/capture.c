/*
 * capture.c
 *		The row trigger on the host's tables: one narrow journal row a change
 *		that matters.
 *
 * It runs inside the loan's own transaction, so it must be cheap and must not
 * fail: no SQL, no expression, no privilege check, no lock that could wait. It
 * names its columns in the trigger's arguments, not in the trigger's
 * definition, so that the host stays free to drop or retype them; a column
 * that is gone is skipped and the engine reports it.
 *
 * The arguments: the source's number, then one word an item:
 *		key1:COLUMN, key2:COLUMN	whole numbers that the journal row carries
 *		extra:COLUMN				any other column it carries, as text
 *		watch:COLUMN				an UPDATE is journaled only if one of these
 *									or of the carried ones changed
 *		any							... or if any column at all changed
 *		always						every UPDATE is journaled, once, NEW only
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "capture/journal.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct CarriedColumn
{
	AttrNumber	number;			/* InvalidAttrNumber: the host dropped it */
	int8		key;			/* 0 or 1: which key; -1: an element of extra */
	Oid			type;
	bool		has_output;
	FmgrInfo	output;
} CarriedColumn;

/* A trigger's arguments, resolved against its relation's columns as they are now. */
typedef struct CaptureTrigger
{
	Oid			trigger_oid;	/* hash key */
	Oid			relation_oid;
	bool		is_valid;
	MemoryContext context;
	int32		source_id;		/* 0: the arguments make no sense */
	bool		is_always;
	int			carried_count;
	int			extra_count;
	CarriedColumn *carried;
	int			compared_count;
	AttrNumber *compared;
} CaptureTrigger;

static HTAB *capture_triggers = NULL;

PG_FUNCTION_INFO_V1(mfiauto_capture);

static CaptureTrigger *find_trigger(TriggerData *data);
static void resolve_arguments(CaptureTrigger *entry, TriggerData *data);
static AttrNumber find_column(TupleDesc description, const char *name);
static void add_carried(CaptureTrigger *entry, TupleDesc description, const char *name, int key);
static void invalidate_triggers(Datum arg, Oid relation_oid);
static bool has_column_changed(TupleTableSlot *old_row, TupleTableSlot *new_row, AttrNumber number);
static bool has_carried_changed(CaptureTrigger *entry, TupleTableSlot *old_row, TupleTableSlot *new_row);
static bool has_compared_changed(CaptureTrigger *entry, TupleTableSlot *old_row, TupleTableSlot *new_row);
static void append_row(CaptureTrigger *entry, char operation, TupleTableSlot *row);
static char *column_text(CarriedColumn *column, Datum value);

/*
 * SQL: mfiauto.capture(): AFTER ROW of INSERT, UPDATE, DELETE and AFTER
 * STATEMENT of TRUNCATE.
 */
Datum
mfiauto_capture(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	CaptureTrigger *entry;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("capture was not called as a trigger"),
				 errhint("It is the trigger function of mfiauto.bind() and mfiauto.watch().")));
	if (!TRIGGER_FIRED_AFTER(data->tg_event) ||
		TRIGGER_FIRED_FOR_ROW(data->tg_event) == TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("capture must be fired after each row, or after a TRUNCATE statement")));

	entry = find_trigger(data);
	if (entry->source_id <= 0)
		return PointerGetDatum(NULL);

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		append_row(entry, 'i', data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		append_row(entry, 'd', data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		append_row(entry, 't', NULL);
	else if (entry->is_always)
		append_row(entry, 'u', data->tg_newslot);
	else if (has_carried_changed(entry, data->tg_trigslot, data->tg_newslot))
	{
		append_row(entry, 'd', data->tg_trigslot);
		append_row(entry, 'u', data->tg_newslot);
	}
	else if (has_compared_changed(entry, data->tg_trigslot, data->tg_newslot))
		append_row(entry, 'u', data->tg_newslot);
	return PointerGetDatum(NULL);
}

/* find_trigger returns the trigger's resolved arguments, kept until its relation changes. */
static CaptureTrigger *
find_trigger(TriggerData *data)
{
	CaptureTrigger *entry;
	bool		is_found;

	if (capture_triggers == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(CaptureTrigger);
		control.hcxt = CacheMemoryContext;
		capture_triggers = hash_create("mfiauto capture triggers", 16, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(invalidate_triggers, (Datum) 0);
	}
	entry = hash_search(capture_triggers, &data->tg_trigger->tgoid, HASH_ENTER, &is_found);
	if (!is_found)
	{
		entry->is_valid = false;
		entry->context = NULL;
	}
	if (!entry->is_valid || entry->relation_oid != RelationGetRelid(data->tg_relation))
		resolve_arguments(entry, data);
	return entry;
}

static void
invalidate_triggers(Datum arg, Oid relation_oid)
{
	HASH_SEQ_STATUS status;
	CaptureTrigger *entry;

	hash_seq_init(&status, capture_triggers);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relation_oid) || entry->relation_oid == relation_oid)
			entry->is_valid = false;
}

/*
 * resolve_arguments reads the trigger's arguments against the relation's
 * columns. What it does not understand it leaves out: a host's write must not
 * fail for it.
 */
static void
resolve_arguments(CaptureTrigger *entry, TriggerData *data)
{
	Trigger    *trigger = data->tg_trigger;
	TupleDesc	description = RelationGetDescr(data->tg_relation);
	MemoryContext old_context;
	int			argument_count = trigger->tgnargs;
	bool		is_any = false;

	if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = NULL;
	entry->is_valid = false;
	entry->relation_oid = RelationGetRelid(data->tg_relation);
	entry->source_id = argument_count > 0 ? strtol(trigger->tgargs[0], NULL, 10) : 0;
	entry->is_always = false;
	entry->carried_count = entry->extra_count = entry->compared_count = 0;
	entry->context = AllocSetContextCreate(CacheMemoryContext, "mfiauto capture trigger",
										   ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(entry->context);
	entry->carried = palloc0(sizeof(CarriedColumn) * Max(argument_count, 1));
	entry->compared = palloc0(sizeof(AttrNumber) * (argument_count + description->natts));
	/* Valid from here: an invalidation while the types are looked up must not be lost. */
	entry->is_valid = true;
	for (int i = 1; i < argument_count; i++)
	{
		const char *argument = trigger->tgargs[i];

		if (strncmp(argument, "key1:", 5) == 0)
			add_carried(entry, description, argument + 5, 0);
		else if (strncmp(argument, "key2:", 5) == 0)
			add_carried(entry, description, argument + 5, 1);
		else if (strncmp(argument, "extra:", 6) == 0)
			add_carried(entry, description, argument + 6, -1);
		else if (strncmp(argument, "watch:", 6) == 0)
		{
			AttrNumber	number = find_column(description, argument + 6);

			if (number != InvalidAttrNumber)
				entry->compared[entry->compared_count++] = number;
		}
		else if (strcmp(argument, "any") == 0)
			is_any = true;
		else if (strcmp(argument, "always") == 0)
			entry->is_always = true;
	}
	if (is_any)
	{
		entry->compared_count = 0;
		for (int i = 0; i < description->natts; i++)
			if (!TupleDescAttr(description, i)->attisdropped)
				entry->compared[entry->compared_count++] = i + 1;
	}
	MemoryContextSwitchTo(old_context);
}

static AttrNumber
find_column(TupleDesc description, const char *name)
{
	for (int i = 0; i < description->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(description, i);

		if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0)
			return i + 1;
	}
	return InvalidAttrNumber;
}

/* add_carried notes one column of the journal row; one that is gone stays as a NULL. */
static void
add_carried(CaptureTrigger *entry, TupleDesc description, const char *name, int key)
{
	CarriedColumn *column = &entry->carried[entry->carried_count++];

	column->number = find_column(description, name);
	column->key = key;
	if (key < 0)
		entry->extra_count++;
	if (column->number == InvalidAttrNumber)
		return;
	column->type = getBaseType(TupleDescAttr(description, column->number - 1)->atttypid);
	if (key < 0)
	{
		Oid			function;
		bool		is_varlena;

		getTypeOutputInfo(column->type, &function, &is_varlena);
		fmgr_info_cxt(function, &column->output, entry->context);
		column->has_output = true;
	}
	else if (column->type != INT2OID && column->type != INT4OID && column->type != INT8OID)
		column->number = InvalidAttrNumber;
}

/*
 * has_column_changed compares byte by byte; a toasted value that both rows
 * point to is not fetched.
 */
static bool
has_column_changed(TupleTableSlot *old_row, TupleTableSlot *new_row, AttrNumber number)
{
	Form_pg_attribute column = TupleDescAttr(old_row->tts_tupleDescriptor, number - 1);
	bool		is_old_null;
	bool		is_new_null;
	Datum		old_value = slot_getattr(old_row, number, &is_old_null);
	Datum		new_value = slot_getattr(new_row, number, &is_new_null);

	if (is_old_null || is_new_null)
		return is_old_null != is_new_null;
	if (column->attlen == -1)
	{
		Pointer		old_bytes = DatumGetPointer(old_value);
		Pointer		new_bytes = DatumGetPointer(new_value);
		Size		byte_count = VARSIZE_ANY(old_bytes);

		if (byte_count == VARSIZE_ANY(new_bytes) && memcmp(old_bytes, new_bytes, byte_count) == 0)
			return false;
	}
	return !datum_image_eq(old_value, new_value, column->attbyval, column->attlen);
}

static bool
has_carried_changed(CaptureTrigger *entry, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	for (int i = 0; i < entry->carried_count; i++)
		if (entry->carried[i].number != InvalidAttrNumber &&
			has_column_changed(old_row, new_row, entry->carried[i].number))
			return true;
	return false;
}

static bool
has_compared_changed(CaptureTrigger *entry, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	for (int i = 0; i < entry->compared_count; i++)
		if (has_column_changed(old_row, new_row, entry->compared[i]))
			return true;
	return false;
}

/* append_row journals the columns that the source carries; row is NULL for TRUNCATE. */
static void
append_row(CaptureTrigger *entry, char operation, TupleTableSlot *row)
{
	MfiJournalRow journal_row = {0};
	Datum	   *extra = NULL;
	bool	   *extra_nulls = NULL;
	int			extra_count = 0;

	journal_row.source_id = entry->source_id;
	journal_row.operation = operation;
	if (row != NULL && entry->extra_count > 0)
	{
		extra = palloc(sizeof(Datum) * entry->extra_count);
		extra_nulls = palloc(sizeof(bool) * entry->extra_count);
	}
	for (int i = 0; row != NULL && i < entry->carried_count; i++)
	{
		CarriedColumn *column = &entry->carried[i];
		bool		is_null = true;
		Datum		value = (Datum) 0;

		if (column->number != InvalidAttrNumber)
			value = slot_getattr(row, column->number, &is_null);
		if (column->key < 0)
		{
			extra_nulls[extra_count] = is_null;
			extra[extra_count++] = is_null ? (Datum) 0 :
				CStringGetTextDatum(column_text(column, value));
		}
		else if (!is_null)
		{
			journal_row.has_key[column->key] = true;
			journal_row.key[column->key] =
				column->type == INT2OID ? DatumGetInt16(value) :
				column->type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
		}
	}
	if (extra_count > 0)
	{
		int			dimension = extra_count;
		int			lower_bound = 1;

		journal_row.extra_datum =
			PointerGetDatum(construct_md_array(extra, extra_nulls, 1, &dimension, &lower_bound,
											   TEXTOID, -1, false, TYPALIGN_INT));
	}
	mfi_journal_append(&journal_row);
}

/*
 * column_text writes a value so that its meaning does not depend on the
 * writer's settings (DateStyle, extra_float_digits).
 */
static char *
column_text(CarriedColumn *column, Datum value)
{
	char		buffer[MAXDATELEN + 1];

	switch (column->type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			JsonEncodeDateTime(buffer, value, column->type, NULL);
			return pstrdup(buffer);
		case FLOAT4OID:
			return float_to_shortest_decimal(DatumGetFloat4(value));
		case FLOAT8OID:
			return double_to_shortest_decimal(DatumGetFloat8(value));
		default:
			return OutputFunctionCall(&column->output, value);
	}
}
