-- Retention: what is over goes, by class and month by month; nothing that is younger is touched.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2025-10-15 09:00+00');
SELECT mfiauto._ensure_partitions(m) > 0 AS made FROM generate_series(timestamptz '2025-10-15', '2026-07-15', '3 months') m;
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, state, class, channel, to_address, body, provider_id)
SELECT n % 7, n, d.at, d.at, 'sent', (ARRAY['security', 'collection', 'marketing'])[1 + n % 3], 'sms', '+221770000001', 'Bonjour', 'p' || n
  FROM (SELECT row_number() OVER ()::integer AS n, at FROM generate_series(timestamptz '2025-10-01 00:30+00', '2026-06-30', '11 hours') AS at) d;
UPDATE mfiauto.message_ledger SET state = 'queued' WHERE message_id = 3;
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at) SELECT client_id, message_id, created_at, 'sms', 3, due_at FROM mfiauto.message_ledger WHERE message_id = 3;
INSERT INTO mfiauto.event_log (client_id, name, occurred_at, received_at) SELECT 1, 'Page Viewed', m.created_at, m.created_at FROM mfiauto.message_ledger m;
INSERT INTO mfiauto.attempt (client_id, message_id, gateway, attempt_no, started_at, outcome) SELECT 1, m.message_id, 'g', 1, m.created_at, 'retry' FROM mfiauto.message_ledger m;
INSERT INTO mfiauto.inbound_log (client_id, gateway, channel, kind, from_address, body, digest, received_at) SELECT 1, 'g', 'sms', 'message', '+221770000001', 'Oui', 'd', m.created_at FROM mfiauto.message_ledger m;
INSERT INTO mfiauto.inbox (client_id, message_id, gateway, body, kept_at) SELECT 1, m.message_id, 'g', 'x', m.created_at FROM mfiauto.message_ledger m;
CREATE TABLE all_messages AS SELECT * FROM mfiauto.message_ledger;
CREATE TABLE all_events AS SELECT * FROM mfiauto.event_log;

SELECT mfiauto.set_retention('everything', '1 year');
SELECT mfiauto.set_retention('event', '10 days');
SELECT mfiauto.set_retention('event', '1 year', 'marketing');
SELECT mfiauto.set_retention('body', NULL);
-- No term: nothing goes.
SELECT mfiauto._set_clock('2026-07-01 02:00+00');
SELECT * FROM mfiauto.apply_retention();
SELECT mfiauto.set_retention('body', '6 months'), mfiauto.set_retention('body', '30 days', 'security'), mfiauto.set_retention('address', '8 months'),
       mfiauto.set_retention('event', '5 months'), mfiauto.set_retention('attempt', '4 months'), mfiauto.set_retention('inbound', '3 months'), mfiauto.set_retention('inbox', '1 month');
-- In batches: so many rows a call and no more, until there is nothing left to do.
DO $$
DECLARE done bigint; calls integer := 0;
BEGIN
  LOOP
    SELECT sum(r.rows) FILTER (WHERE NOT r.dropped) INTO done FROM mfiauto.apply_retention(50) r;
    calls := calls + 1;
    IF done > 50 THEN RAISE 'too many at once: %', done; END IF;
    EXIT WHEN done IS NULL OR calls > 100;
  END LOOP;
  RAISE WARNING 'several calls: %', calls > 8;
END $$;
SELECT * FROM mfiauto.apply_retention();
-- Counted by hand: what had to go is gone, what is younger is as it was, and nothing else of any message changed.
SELECT count(*) FILTER (WHERE a.created_at < mfiauto.now() - k.body AND m.body IS NOT NULL AND m.message_id <> 3) AS body_left, count(*) FILTER (WHERE a.created_at >= mfiauto.now() - k.body AND m.body IS DISTINCT FROM a.body) AS body_lost,
       count(*) FILTER (WHERE a.created_at < mfiauto.now() - interval '8 months' AND num_nonnulls(m.to_address, m.provider_id) > 0 AND m.message_id <> 3) AS address_left,
       count(*) FILTER (WHERE a.created_at >= mfiauto.now() - interval '8 months' AND (m.to_address, m.provider_id) IS DISTINCT FROM (a.to_address, a.provider_id)) AS address_lost,
       count(*) FILTER (WHERE to_jsonb(m) - '{body,to_address,provider_id}'::text[] <> to_jsonb(a) - '{body,to_address,provider_id}'::text[]) AS changed,
       count(*) = (SELECT count(*) FROM all_messages) AS all_there, count(*) FILTER (WHERE m.body IS NULL) > 100 AS many_gone, count(*) FILTER (WHERE m.body IS NOT NULL) > 100 AS many_kept
  FROM all_messages a JOIN mfiauto.message_ledger m USING (client_id, created_at, message_id)
 CROSS JOIN LATERAL (SELECT CASE a.class WHEN 'security' THEN interval '30 days' ELSE '6 months' END AS body) k;
SELECT body IS NOT NULL AS still_waits FROM mfiauto.message_ledger WHERE message_id = 3;
SELECT count(*) FILTER (WHERE e.received_at < mfiauto.now() - interval '5 months') AS over, count(*) = (SELECT count(*) FROM all_events WHERE received_at >= mfiauto.now() - interval '5 months') AS younger_all_there FROM mfiauto.event_log e;
SELECT min(started_at) >= mfiauto.now() - interval '4 months' AS attempts, (SELECT min(received_at) >= mfiauto.now() - interval '3 months' FROM mfiauto.inbound_log) AS inbound,
       (SELECT min(kept_at) >= mfiauto.now() - interval '1 month' FROM mfiauto.inbox) AS inbox, (SELECT count(*) > 50 FROM mfiauto.inbox) AS some_left FROM mfiauto.attempt;
-- Months that were over went as a whole; those of the ledger stay.
SELECT c.relname FROM pg_class c WHERE c.relname ~ '^(event_log|attempt|inbound_log|message_ledger)_2' AND c.relkind = 'r' AND right(c.relname, 6) < '202604' ORDER BY 1;
SELECT kind, name, content FROM mfiauto.change_log WHERE kind = 'retention' ORDER BY change_id;
-- Another term is looked at anew; none keeps for ever.
SELECT mfiauto.set_retention('body', '5 months');
SELECT partition, rows > 0 AS some FROM mfiauto.apply_retention() WHERE what = 'body' ORDER BY 1;
SELECT mfiauto.drop_retention('body'), mfiauto.drop_retention('body', 'security');
SELECT mfiauto.drop_retention('body');
SELECT mfiauto._set_clock('2026-09-01 02:00+00');
SELECT count(*) FROM mfiauto.apply_retention() WHERE what = 'body';
