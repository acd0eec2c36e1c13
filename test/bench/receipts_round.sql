-- One round: a bare UPDATE, then webhooks of 1,000 and of 100 receipts for as many messages.
SET client_min_messages = error;
SELECT bench.make_sent(:rows) AS first \gset
VACUUM ANALYZE mfiauto.message_ledger, mfiauto.provider_key, bench.bare;
CHECKPOINT;
SELECT clock_timestamp() AS t \gset
UPDATE mfiauto.message_ledger SET state = 'delivered', finished_at = now() WHERE message_id BETWEEN :first AND :first + :rows - 1;
SELECT 'bare ' || round(extract(epoch FROM clock_timestamp() - :'t'), 4);
SELECT bench.make_sent(:rows) AS first \gset
VACUUM ANALYZE mfiauto.message_ledger, mfiauto.provider_key;
CHECKPOINT;
SELECT clock_timestamp() AS t \gset
SELECT bench.receive_arrays(:first, :rows, 1000) \g /dev/null
SELECT 'array_1000 ' || round(extract(epoch FROM clock_timestamp() - :'t'), 4);
SELECT bench.make_sent(:rows) AS first \gset
VACUUM ANALYZE mfiauto.message_ledger, mfiauto.provider_key;
CHECKPOINT;
SELECT clock_timestamp() AS t \gset
SELECT bench.receive_arrays(:first, :rows, 100) \g /dev/null
SELECT 'array_100 ' || round(extract(epoch FROM clock_timestamp() - :'t'), 4);
SELECT 'delivered ' || count(*) FROM mfiauto.message_ledger WHERE message_id >= :first AND state = 'delivered';
