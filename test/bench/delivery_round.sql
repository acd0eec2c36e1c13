-- As many due messages as requests; what run_delivery() takes to have them all delivered and recorded, durably.
SET client_min_messages = error;
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, class, channel, state, to_address, body, parts, encoding)
SELECT n, nextval('mfiauto.message_id_seq'), now(), now(), 'transactional', 'sms', 'queued', '+22177' || lpad(n::text, 7, '0'),
       'Bonjour, votre echeance de 12 500 FCFA est le 5 janvier 2026.', 1, 'gsm7'
  FROM generate_series(1, :rows) n;
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at)
SELECT client_id, message_id, created_at, channel, 1, due_at FROM mfiauto.message_ledger WHERE state = 'queued';
VACUUM ANALYZE mfiauto.outbox;
CHECKPOINT;
SELECT clock_timestamp() AS t \gset
SELECT sent AS sent FROM mfiauto.run_delivery() \gset
SELECT 'seconds ' || round(extract(epoch FROM clock_timestamp() - :'t'), 3);
SELECT 'sent ' || :sent;
SELECT 'seconds_of_sent ' || round(extract(epoch FROM max(sent_at) - :'t'), 3) FROM mfiauto.message_ledger WHERE state = 'sent' AND created_at >= :'t'::timestamptz - interval '1 minute' AND sent_at >= :'t';
