-- What a claim lets pass, what it defers, suppresses and holds; the operator's levers; all through the sandbox, under a clock.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
BEGIN;
SELECT mfiauto.run_delivery();
ROLLBACK;
SELECT * FROM mfiauto.run_delivery();

CREATE FUNCTION pg_temp.intend(client bigint, class text DEFAULT 'transactional', channel text DEFAULT 'sms', due_at timestamptz DEFAULT mfiauto.now(),
  expires_at timestamptz DEFAULT mfiauto.now() + interval '3 days', next_channels text[] DEFAULT NULL, parts smallint DEFAULT 1, workflow_id integer DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
  WITH made AS (
    INSERT INTO mfiauto.message_ledger AS m (client_id, created_at, due_at, expires_at, state, class, channel, to_address, body, parts, next_channels, workflow_id)
    VALUES (client, mfiauto.now(), due_at, expires_at, 'queued', class, channel, '+2217700000' || lpad(client::text, 2, '0'), 'bonjour', parts, next_channels, workflow_id)
    RETURNING *), queued AS (
    INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at, workflow_id)
    SELECT m.client_id, m.message_id, m.created_at, m.channel, c.priority, m.due_at, m.expires_at, m.workflow_id
      FROM made m JOIN mfiauto.message_class c ON c.class = m.class)
  SELECT m.message_id FROM made m
$$;
CREATE VIEW pg_temp.seen AS
  SELECT client_id, class, channel, state, reason, due_at, sent_at, gateway, attempts, cost, currency FROM mfiauto.message ORDER BY client_id, channel;

-- A channel without a gateway waits, unless the step has another channel.
SELECT pg_temp.intend(1) > 0 AS ok;
SELECT pg_temp.intend(2, next_channels => '{voice}') > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM pg_temp.seen;
SELECT operation, key2 AS client_id FROM (TABLE mfiauto.journal_1 UNION ALL TABLE mfiauto.journal_2 UNION ALL TABLE mfiauto.journal_3 UNION ALL TABLE mfiauto.journal_4) j WHERE source_id = 0;

-- Priority between gateways; the price of the one that was used.
SELECT mfiauto.create_gateway('cheap', 'sms', 'sandbox', settings => '{"cost_per_part": 12.5}', priority => 10);
SELECT mfiauto.create_gateway('dear', 'sms', 'sandbox', settings => '{"cost_per_part": 40, "currency": "EUR"}', priority => 20);
SELECT pg_temp.intend(3, parts => 3::smallint) > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SELECT mfiauto.hold_delivery('provider outage', gateway => 'cheap');
SELECT pg_temp.intend(4) > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, state, gateway, cost, currency FROM pg_temp.seen;
SELECT gateway, circuit, because, sent FROM mfiauto.gateway_status ORDER BY gateway;
-- What waits for another gateway is none of the released one's, late or not.
SELECT pg_temp.intend(40, due_at => mfiauto.now() - interval '2 hours') > 0 AS ok;
UPDATE mfiauto.outbox SET gateway = 'dear' WHERE client_id = 40;
SELECT * FROM mfiauto.release_delivery(gateway => 'cheap');
SELECT sent FROM mfiauto.run_delivery();

-- Holds: everything, and what they may be.
SELECT mfiauto.hold_delivery('');
SELECT mfiauto.hold_delivery('x', gateway => 'nobody');
SELECT mfiauto.hold_delivery('x', workflow => 'nobody');
SELECT mfiauto.hold_delivery('x', gateway => 'cheap', workflow => 'nobody');
SELECT mfiauto.hold_delivery('all hands');
SELECT pg_temp.intend(5) > 0 AS ok;
SELECT pg_temp.intend(6, due_at => mfiauto.now() - interval '2 hours') > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SET client_min_messages = notice;
SELECT * FROM mfiauto.release_delivery(stale => 'burn');
SELECT * FROM mfiauto.release_delivery(stale => 'unknown');
SET client_min_messages = warning;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM pg_temp.seen WHERE client_id IN (5, 6);

-- Late and night: what has expired, what may not be sent at this hour.
SELECT pg_temp.intend(7, due_at => '2026-01-05 08:00+00', expires_at => '2026-01-05 08:30+00') > 0 AS ok;
SELECT mfiauto.set_clock('2026-01-05 21:00+00');
SELECT pg_temp.intend(8, class => 'collection', due_at => '2026-01-05 20:00+00') > 0 AS ok;
SELECT pg_temp.intend(9, class => 'collection', due_at => '2026-01-05 20:00+00', expires_at => '2026-01-06 00:00+00') > 0 AS ok;
SELECT pg_temp.intend(10, class => 'security', due_at => '2026-01-05 20:00+00') > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, class, state, reason, due_at FROM pg_temp.seen WHERE client_id BETWEEN 7 AND 10;
SELECT mfiauto.set_clock('2026-01-06 08:00+00');
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, state, sent_at FROM pg_temp.seen WHERE client_id = 8;

-- Who may not be written to.
SELECT mfiauto.opt_out(11, 'sms', reason => 'said so');
SELECT mfiauto.suppress_address('sms', '+221770000012', 'wrong number');
SELECT pg_temp.intend(11, class => 'collection') > 0 AS ok;
SELECT pg_temp.intend(11, class => 'security', channel => 'sms') > 0 AS ok;
SELECT pg_temp.intend(12, class => 'security') > 0 AS ok;
SELECT pg_temp.intend(13, class => 'marketing') > 0 AS ok;
SELECT count(pg_temp.intend(14, class => 'collection')) FROM generate_series(1, 5);
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, class, state, reason, count(*) FROM pg_temp.seen WHERE client_id BETWEEN 11 AND 14 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
SELECT DISTINCT due_at FROM pg_temp.seen WHERE reason = 'capped';
SET mfiauto.only_recipients = '+221770000015';
SELECT pg_temp.intend(15) > 0 AS ok;
SELECT pg_temp.intend(16) > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
RESET mfiauto.only_recipients;
SELECT client_id, state, reason FROM pg_temp.seen WHERE client_id IN (15, 16);

-- An operator's second thoughts.
SELECT mfiauto.retry_message(NULL);
SELECT mfiauto.retry_message(0);
SELECT mfiauto.retry_message(message_id) FROM mfiauto.message WHERE client_id = 3;
SELECT mfiauto.retry_message(message_id) FROM mfiauto.message WHERE client_id = 7;
SELECT mfiauto.resolve_unknown(message_id, 'lost') FROM mfiauto.message WHERE client_id = 6;
SELECT mfiauto.resolve_unknown(message_id, 'sent') FROM mfiauto.message WHERE client_id = 5;
SELECT mfiauto.resolve_unknown(message_id, 'delivered') FROM mfiauto.message WHERE client_id = 6;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM pg_temp.seen WHERE client_id IN (6, 7);

-- Nothing goes from state to state but by the table; dry_run keeps everything; off claims nothing.
SELECT count(*) FROM mfiauto._settle_messages(ARRAY[3::bigint], (SELECT array_agg(message_id) FROM mfiauto.message WHERE client_id = 3), ARRAY['queued'], ARRAY[NULL]);
SELECT from_state, to_state FROM mfiauto.message_transition WHERE from_state IN ('delivered', 'canceled', 'suppressed', 'skipped', 'holdout') OR to_state IN ('skipped', 'holdout') ORDER BY 1, 2;
SELECT mfiauto.create_gateway('far', 'voice', 'webhook', settings => '{"url": "https://voice.example/send"}');
SELECT pg_temp.intend(17, channel => 'voice') > 0 AS ok;
SELECT * FROM mfiauto.run_delivery();
SET mfiauto.delivery = off;
SELECT * FROM mfiauto.run_delivery();
SET mfiauto.delivery = dry_run;
SELECT mfiauto.set_clock(NULL);
SELECT mfiauto.arm_delivery() IS NOT NULL AS armed;
DELETE FROM mfiauto.outbox WHERE channel <> 'voice';
UPDATE mfiauto.outbox SET expires_at = NULL;
UPDATE mfiauto.message_ledger SET expires_at = NULL;
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, gateway, channel, body FROM mfiauto.sandbox_message WHERE gateway = 'far';
RESET mfiauto.delivery;
