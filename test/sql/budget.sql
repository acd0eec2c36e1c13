-- What a gateway may cost: never exceeded, counted with what is in flight, taken over by the next gateway or waited for, and going on by itself.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto._set_clock('2026-01-29 09:00+00');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"budget_per_day": 100}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"budget_per_day": "much", "cost_per_part": 10}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"budget_per_day": 35, "cost_per_part": 10}');
CREATE SEQUENCE message_no;
CREATE FUNCTION queue(parts integer[], lasts interval DEFAULT '3 days') RETURNS void LANGUAGE sql AS $$
  INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, state, class, channel, to_address, body, parts)
  SELECT u.n, u.n, mfiauto.now(), mfiauto.now(), mfiauto.now() + lasts, 'queued', 'transactional', 'sms', '+22177' || lpad(u.n::text, 7, '0'), 'Bonjour', u.parts
    FROM (SELECT nextval('message_no') AS n, p AS parts FROM unnest(parts) p) u;
  INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
  SELECT m.client_id, m.message_id, m.created_at, m.channel, 1, m.due_at, m.expires_at FROM mfiauto.message_ledger m
   WHERE m.created_at = mfiauto.now() AND NOT EXISTS (SELECT FROM mfiauto.outbox o WHERE o.message_id = m.message_id) AND m.finished_at IS NULL AND m.state = 'queued'
$$;
CREATE VIEW spent AS SELECT gateway, on_day, sum(amount) AS amount, (SELECT sum(m.cost) FROM mfiauto.message m WHERE m.gateway = s.gateway AND m.sent_at::date = s.on_day) AS by_the_ledger
  FROM mfiauto.gateway_spend s GROUP BY gateway, on_day ORDER BY 1, 2;
CREATE VIEW ledger AS SELECT message_id, parts, state, reason, gateway, due_at FROM mfiauto.message ORDER BY 1;

-- 35 is enough for three parts: the message of two parts that comes third does not fit, and the one behind it does not overtake it.
SELECT queue('{1,1,2,1}');
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT * FROM ledger;
SELECT * FROM spent;
SELECT gateway, circuit, because, paused_until FROM mfiauto.gateway_status;
SELECT state, detail FROM mfiauto.status WHERE item = 'gateways';
-- Later the same day what does not fit waits too, with what stands behind it; what cannot wait so long expires, and says why.
SELECT queue('{2,1}', '1 hour');
SELECT mfiauto._set_clock('2026-01-29 09:30+00');
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT state, reason, count(*) FROM ledger GROUP BY 1, 2 ORDER BY 1, 2;
SELECT mfiauto._set_clock('2026-01-29 11:00+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT message_id, state, reason FROM ledger WHERE message_id IN (5, 6) ORDER BY 1;
-- The next day goes on by itself, at midnight where the institution is.
SELECT mfiauto._set_clock('2026-01-29 23:59+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT mfiauto._set_clock('2026-01-30 00:00+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT circuit FROM mfiauto.gateway_status;
SELECT * FROM spent;

-- A budget that is raised lets what waits go at once; one of the month holds until the next.
SELECT queue('{1,1,1}');
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT mfiauto.alter_gateway('box', settings => '{"budget_per_day": 1000, "budget_per_month": 70}');
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT message_id, state, reason, due_at FROM ledger WHERE state = 'queued';
SELECT circuit, paused_until FROM mfiauto.gateway_status;
SELECT mfiauto._set_clock('2026-02-01 00:00+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM spent;

-- Another gateway of the channel takes over, in the same pass.
SELECT mfiauto._set_clock('2026-02-02 09:00+00');
SELECT mfiauto.alter_gateway('box', settings => '{"budget_per_day": 25, "budget_per_month": null}');
SELECT mfiauto.create_gateway('dear', 'sms', 'sandbox', settings => '{"cost_per_part": 30, "budget_per_day": 60}', priority => 200);
SELECT queue('{1,1,1,1,1}');
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT state, reason, gateway, count(*) FROM ledger WHERE due_at >= '2026-02-02' GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT * FROM spent WHERE on_day = '2026-02-02';
SELECT gateway, circuit FROM mfiauto.gateway_status ORDER BY 1;
-- A third one that comes gets what waits for money.
SELECT mfiauto.create_gateway('free', 'sms', 'sandbox', priority => 300);
SELECT claimed, sent, deferred FROM mfiauto.run_delivery();
SELECT message_id, gateway FROM ledger WHERE gateway = 'free';
SELECT mfiauto.drop_gateway('free'), mfiauto.drop_gateway('dear');

-- In flight counts as spent. What comes back to the queue or is refused costs nothing; what may have left does.
SELECT mfiauto._set_clock('2026-02-03 09:00+00');
CREATE FUNCTION claim() RETURNS bigint[] LANGUAGE sql AS $$
  SELECT array_agg(c.message_id ORDER BY c.message_id) FROM mfiauto._claim_messages('box', 'sms', '{}', 10, pg_backend_pid(), 60, '{}') c WHERE c.message_id IS NOT NULL $$;
CREATE FUNCTION spent_today() RETURNS numeric LANGUAGE sql AS $$ SELECT coalesce(sum(amount), 0) FROM mfiauto.gateway_spend WHERE on_day = mfiauto._today() $$;
SELECT queue('{1,1,1,1}');
SELECT cardinality(claim()) AS claimed, spent_today();
SELECT claim() AS nothing_more;
SELECT mfiauto._requeue_messages(array_agg(client_id), array_agg(message_id), array_agg(0::float8), array_agg(false), array_agg(false), array_agg(true), array_agg(NULL::text))
  FROM (SELECT client_id, message_id FROM mfiauto.outbox WHERE lease_until IS NOT NULL ORDER BY message_id LIMIT 1) o;
SELECT spent_today() AS one_came_back;
SELECT mfiauto._forget_over_budget('sms', 'box');
SELECT cardinality(claim()) AS claimed, spent_today();
SELECT s.state FROM (SELECT * FROM mfiauto.outbox WHERE lease_until IS NOT NULL ORDER BY message_id LIMIT 1) o, mfiauto._settle_messages(ARRAY[o.client_id], ARRAY[o.message_id], '{failed}', '{gateway_rejected}') s;
SELECT spent_today() AS one_refused;
SELECT s.state FROM (SELECT * FROM mfiauto.outbox WHERE lease_until IS NOT NULL ORDER BY message_id LIMIT 1) o, mfiauto._settle_messages(ARRAY[o.client_id], ARRAY[o.message_id], '{unknown}', '{outcome_unknown}') s;
SELECT spent_today() AS one_unknown;
-- A worker that is gone: what it had may have left.
SELECT mfiauto._forget_over_budget('sms', 'box');
SELECT cardinality(claim()) AS claimed, spent_today();
UPDATE mfiauto.outbox SET lease_until = '2000-01-01' WHERE lease_until IS NOT NULL;
SELECT mfiauto._recover_leases() AS recovered, spent_today();
-- Every amount that was ever booked belongs to a message that left, or may have.
SELECT (SELECT sum(amount) FROM mfiauto.gateway_spend) = (SELECT sum(cost) FROM mfiauto.message WHERE state IN ('sent', 'unknown')) AS adds_up;
