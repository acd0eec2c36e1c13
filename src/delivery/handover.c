/*
 * handover.c
 *		Messages for gateways that are tables of this database.
 *
 * They are handed over in the transaction that records their outcome, so that
 * both are true or neither: here nothing is ever unknown.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "delivery/machine.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define POLL_EVERY_MS 3000

static MfiItem *find_item(List *items, int64 message_id);
static void take_result(MfiItem *item, HeapTuple row, TupleDesc descriptor);

static MfiItem *
find_item(List *items, int64 message_id)
{
	ListCell *cell;

	foreach (cell, items)
	{
		MfiItem *item = lfirst(cell);

		if (item->envelope.message_id == message_id)
			return item;
	}
	return NULL;
}

/*
 * take_result notes the number that the other side gave, or why it did not take
 * the message.
 */
static void
take_result(MfiItem *item, HeapTuple row, TupleDesc descriptor)
{
	char *provider_id = SPI_getvalue(row, descriptor, 2);
	char *problem = SPI_getvalue(row, descriptor, 3);
	char *is_broken = SPI_getvalue(row, descriptor, 4);

	item->outcome.verdict = MFI_VERDICT_SENT;
	if (provider_id != NULL)
		strlcpy(item->outcome.provider_id, provider_id, sizeof(item->outcome.provider_id));
	if (problem == NULL)
		return;
	item->outcome.verdict = is_broken != NULL && is_broken[0] == 't' ? MFI_VERDICT_CONFIG_BROKEN : MFI_VERDICT_RETRY;
	item->outcome.retry_after_s = -1;
	strlcpy(item->outcome.error, problem, sizeof(item->outcome.error));
}

/*
 * mfi_handover_run hands those of items that leave by lane's tables over, in
 * the caller's transaction, and notes the outcome of each.
 */
void
mfi_handover_run(List *items, MfiLane *lane)
{
	Oid types[2] = { TEXTOID, INT8ARRAYOID };
	Datum values[2];
	Datum *message_ids = palloc(sizeof(Datum) * Max(list_length(items), 1));
	List *handed = NIL;
	SPITupleTable *rows;
	ListCell *cell;

	foreach (cell, items)
	{
		MfiItem *item = lfirst(cell);

		if (item->lane != lane || !item->is_handed_over)
			continue;
		message_ids[list_length(handed)] = Int64GetDatum(item->envelope.message_id);
		handed = lappend(handed, item);
	}
	if (handed == NIL)
		return;
	values[0] = CStringGetTextDatum(lane->name);
	values[1] = PointerGetDatum(
		construct_array(message_ids, list_length(handed), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	if (SPI_execute_with_args(
			"SELECT h.message_id, h.provider_id, h.problem, h.is_broken FROM mfiauto._hand_over($1, $2) h",
			2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not hand messages over");
	rows = SPI_tuptable;
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		bool is_null;
		int64 message_id = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &is_null));
		MfiItem *item = find_item(handed, message_id);

		if (item != NULL)
			take_result(item, rows->vals[i], rows->tupdesc);
	}
}

/*
 * mfi_handover_poll reads what lies in gateways' tables for us, in the caller's
 * transaction, if it is time and there are any.
 */
void
mfi_handover_poll(int64 now_ms)
{
	ListCell *cell;

	if (!mfi_machine.may_send || !mfi_machine.is_armed || now_ms < mfi_machine.poll_tables_at_ms)
		return;
	mfi_machine.poll_tables_at_ms = now_ms + POLL_EVERY_MS;
	foreach (cell, mfi_machine.lanes)
	{
		MfiLane *lane = lfirst(cell);

		if (lane->gateway == NULL || !lane->gateway->is_sql)
			continue;
		if (SPI_execute("SELECT mfiauto._poll_tables()", false, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not read the tables of gateways");
		return;
	}
}
