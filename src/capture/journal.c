/*
 * journal.c
 *		Appending to the journal, inside the transaction of whoever writes.
 *
 * A row goes straight into the heap of the current segment: no SPI, no SQL, no
 * privilege check, no index, no trigger. So the writer needs no right on
 * mfiauto's tables, gains none, and pays about a microsecond. The row lives and
 * dies with the transaction, its savepoints and its PREPARE, because it is an
 * ordinary row.
 *
 * Which segment is current is read once a transaction, with SnapshotSelf: it
 * takes no snapshot and, under SERIALIZABLE, no predicate lock. A reading that
 * falls between the two halves of a rotation finds nothing and takes segment 1;
 * the engine reads every segment, so any of them is right.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/wake.h"
#include "capture/journal.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define JOURNAL_COLUMNS 7

static const struct
{
	const char *name;
	Oid			type;
}			journal_columns[JOURNAL_COLUMNS] = {
	{"xid", XID8OID},
	{"written_at", TIMESTAMPTZOID},
	{"key1", INT8OID},
	{"key2", INT8OID},
	{"source_id", INT4OID},
	{"operation", CHAROID},
	{"extra", TEXTARRAYOID},
};

/* The segment of the transaction cached_lxid; InvalidOid: none here. */
static LocalTransactionId cached_lxid = InvalidLocalTransactionId;
static Oid	cached_segment = InvalidOid;
static bool is_listening = false;

/* Made once a backend: the row to be written. */
static TupleTableSlot *journal_slot = NULL;

PG_FUNCTION_INFO_V1(mfiauto_append_journal);

static void forget_segment(Datum arg, Oid relation_oid);
static Oid	find_segment(void);
static int	read_current_segment(Oid control_oid);
static bool has_journal_shape(Relation relation);
static TupleTableSlot *row_slot(void);

/* A relation changed: what was found may be stale, also that nothing was. */
static void
forget_segment(Datum arg, Oid relation_oid)
{
	if (!OidIsValid(relation_oid) || !OidIsValid(cached_segment) ||
		relation_oid == cached_segment)
		cached_lxid = InvalidLocalTransactionId;
}

/*
 * find_segment returns the relation that this transaction appends to, or
 * InvalidOid when there is none.
 */
static Oid
find_segment(void)
{
	char		name[NAMEDATALEN];
	Oid			schema;
	Oid			control_oid;

	if (MyProc->lxid == cached_lxid)
		return cached_segment;
	if (!is_listening)
	{
		CacheRegisterRelcacheCallback(forget_segment, (Datum) 0);
		is_listening = true;
	}
	cached_lxid = MyProc->lxid;
	cached_segment = InvalidOid;
	schema = get_namespace_oid("mfiauto", true);
	if (!OidIsValid(schema))
		return InvalidOid;
	control_oid = get_relname_relid("journal_control", schema);
	if (!OidIsValid(control_oid))
		return InvalidOid;
	snprintf(name, sizeof(name), "journal_%d", read_current_segment(control_oid));
	cached_segment = get_relname_relid(name, schema);
	/* Reading the control row may have told us of changes to relations. */
	cached_lxid = MyProc->lxid;
	return cached_segment;
}

/* read_current_segment returns journal_control's segment, 1 if in doubt. */
static int
read_current_segment(Oid control_oid)
{
	Relation	control = try_table_open(control_oid, AccessShareLock);
	int			segment = 1;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (control == NULL)
		return segment;
	if (control->rd_rel->relkind == RELKIND_RELATION &&
		RelationGetNumberOfAttributes(control) >= 1 &&
		TupleDescAttr(RelationGetDescr(control), 0)->atttypid == INT2OID)
	{
		slot = table_slot_create(control, NULL);
		scan = table_beginscan(control, SnapshotSelf, 0, NULL);
		if (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			bool		is_null;
			Datum		value = slot_getattr(slot, 1, &is_null);

			if (!is_null)
				segment = DatumGetInt16(value);
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(control, AccessShareLock);
	return segment;
}

/* has_journal_shape tells a segment from anything else of that name. */
static bool
has_journal_shape(Relation relation)
{
	TupleDesc	description = RelationGetDescr(relation);

	if (relation->rd_rel->relkind != RELKIND_RELATION ||
		description->natts != JOURNAL_COLUMNS)
		return false;
	for (int i = 0; i < JOURNAL_COLUMNS; i++)
	{
		Form_pg_attribute column = TupleDescAttr(description, i);

		if (column->attisdropped || column->atttypid != journal_columns[i].type)
			return false;
	}
	return true;
}

static TupleTableSlot *
row_slot(void)
{
	MemoryContext old_context;
	TupleDesc	description;

	if (journal_slot != NULL)
	{
		ExecClearTuple(journal_slot);
		return journal_slot;
	}
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	description = CreateTemplateTupleDesc(JOURNAL_COLUMNS);
	for (int i = 0; i < JOURNAL_COLUMNS; i++)
		TupleDescInitEntry(description, i + 1, journal_columns[i].name,
						   journal_columns[i].type, -1, 0);
	journal_slot = MakeSingleTupleTableSlot(description, &TTSOpsVirtual);
	MemoryContextSwitchTo(old_context);
	return journal_slot;
}

void
mfi_journal_append(const MfiJournalRow *row)
{
	Oid			segment_oid = find_segment();
	Relation	segment;
	TupleTableSlot *slot;
	Datum	   *values;
	bool	   *nulls;

	if (!OidIsValid(segment_oid))
		return;
	segment = try_table_open(segment_oid, RowExclusiveLock);
	if (segment == NULL)
		return;
	if (!has_journal_shape(segment))
	{
		table_close(segment, NoLock);
		return;
	}
	slot = row_slot();
	values = slot->tts_values;
	nulls = slot->tts_isnull;
	values[0] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[1] = TimestampTzGetDatum(mfi_clock_now());
	values[2] = Int64GetDatum(row->key[0]);
	values[3] = Int64GetDatum(row->key[1]);
	values[4] = Int32GetDatum(row->source_id);
	values[5] = CharGetDatum(row->operation);
	values[6] = row->extra_datum;
	memset(nulls, false, sizeof(bool) * JOURNAL_COLUMNS);
	nulls[2] = !row->has_key[0];
	nulls[3] = !row->has_key[1];
	nulls[6] = row->extra_datum == (Datum) 0;
	ExecStoreVirtualTuple(slot);
	table_tuple_insert(segment, slot, GetCurrentCommandId(true), 0, NULL);
	ExecClearTuple(slot);
	/* The lock stays until the transaction ends: it keeps the segment from being truncated. */
	table_close(segment, NoLock);
	/* That a profile may differ is no reason to hurry. */
	if (row->operation != 'p')
		mfi_wake_at_commit(MFI_WAKE_ENGINE);
}

/*
 * SQL: mfiauto._journal_append(source_id integer, operation "char", key1
 * bigint, key2 bigint): for writers that are not triggers.
 */
Datum
mfiauto_append_journal(PG_FUNCTION_ARGS)
{
	MfiJournalRow row = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and operation of a journal row must not be null")));
	row.source_id = PG_GETARG_INT32(0);
	row.operation = PG_GETARG_CHAR(1);
	for (int i = 0; i < 2; i++)
	{
		row.has_key[i] = !PG_ARGISNULL(i + 2);
		if (row.has_key[i])
			row.key[i] = PG_GETARG_INT64(i + 2);
	}
	mfi_journal_append(&row);
	PG_RETURN_VOID();
}
