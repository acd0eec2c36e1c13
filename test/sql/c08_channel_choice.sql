-- C8, which channel: order of the step x consent x reach x preference x cost; SMS undelivered for 2 hours is said by voice once; delivered late, the fallback is canceled.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 7) g;
UPDATE bank.client SET phone = '+221338000007' WHERE id = 7;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 7) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-21' FROM generate_series(1, 7) g;
SELECT mfiauto.create_template('late', c || ' {{client.name}}', c) FROM unnest('{sms,voice,telegram}'::text[]) c;
SELECT mfiauto.create_gateway('text', 'sms', 'sandbox', settings => '{"cost_per_part": 20}'), mfiauto.create_gateway('calls', 'voice', 'sandbox', settings => '{"cost_per_part": 60}'),
       mfiauto.create_gateway('chat', 'telegram', 'sandbox', settings => '{"cost_per_part": 1}');
SELECT mfiauto.arm_delivery() <> '' AS armed;
RESET client_min_messages;
\set SHOW_CONTEXT never
SELECT mfiauto.set_clock('2026-01-12 08:00+00');
-- 1 is nobody special; 2 prefers Telegram; 3 refused SMS; 4 gets no SMS any more; 5 refused everything; 6 prefers what he refused; 7 has a landline.
SELECT mfiauto.identify(2, '{"preferred_channel": "telegram", "telegram": "tg2"}'), mfiauto.identify(6, '{"preferred_channel": "sms"}'), mfiauto.identify(7, '{"telegram": "tg7"}');
SELECT mfiauto.opt_out(3, 'sms'), mfiauto.opt_out(5), mfiauto.opt_out(6, 'sms');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, finished_at, state, reason, class, channel, to_address)
SELECT 4, mfiauto.now() - n * interval '1 day', mfiauto.now() - n * interval '1 day', mfiauto.now() - n * interval '1 day', 'undelivered', 'receipt_failed', 'collection', 'sms', '+221770000004' FROM generate_series(1, 3) n;
SELECT count(*) AS passes FROM mfiauto.run_engine();
SELECT mfiauto._refresh_profiles('{1,2,3,4,5,6,7}');
SELECT client_id, network_reach, preferred_channel FROM mfiauto.client_profile ORDER BY client_id;

CREATE FUNCTION pg_temp.orders(class text, channels text[]) RETURNS TABLE (client integer, wanted text[]) LANGUAGE sql AS $$
  SELECT o.ord, o.wanted FROM mfiauto._channel_orders('{1,2,3,4,5,6,7}', 'late', class, channels) o $$;
-- The order that was written; refused channels left out (all of them: the first one says why); reach before preference.
SELECT * FROM pg_temp.orders('collection', '{sms,voice,telegram}');
-- A class that asks nobody, one channel, and the template's own.
SELECT DISTINCT wanted FROM pg_temp.orders('transactional', '{sms}');
SELECT client, wanted FROM pg_temp.orders('transactional', '{voice,sms}') WHERE client IN (3, 4, 6);
SELECT client, wanted FROM pg_temp.orders('collection', NULL) WHERE client <= 3;
-- Marketing needs a yes.
SELECT mfiauto.opt_in(1, 'telegram', 'marketing');
SELECT client, wanted FROM pg_temp.orders('marketing', '{sms,voice,telegram}') WHERE client <= 2;
-- The cheapest first, where the policy says so; what has no price comes last.
SELECT mfiauto.set_policy('SN', 'collection', prefers_cheapest => true);
SELECT * FROM pg_temp.orders('collection', '{voice,sms,telegram}');
SELECT mfiauto.alter_gateway('chat', settings => '{"cost_per_part": null}');
SELECT client, wanted FROM pg_temp.orders('collection', '{voice,telegram,sms}') WHERE client = 1;
SELECT mfiauto.set_policy('SN', 'collection', prefers_cheapest => false);

-- Through the engine: an address that cannot be used is passed over too; SMS that is not delivered in 2 hours is said by voice.
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [
  {"at": "-6 days 09:00", "send": "late", "channels": ["sms", "voice", "telegram"], "fallback_after": "2 hours"}]}') > 0;
SELECT mfiauto.activate_workflow('w');
CREATE FUNCTION pg_temp.story() RETURNS TABLE (client bigint, channel text, state text, reason text, next text[]) LANGUAGE sql AS $$
  SELECT m.client_id, m.channel, m.state, m.reason, l.next_channels FROM mfiauto.message m JOIN mfiauto.message_ledger l USING (client_id, message_id) WHERE m.workflow = 'w' ORDER BY 1, m.message_id $$;
SELECT mfiauto.set_clock('2026-01-15 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent, suppressed FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story();
SELECT mfiauto.set_clock('2026-01-15 10:00+00');
SELECT count(*) AS delivered FROM (SELECT array_agg(m.client_id) AS c, array_agg(m.message_id) AS m FROM mfiauto.message_ledger m WHERE m.client_id = 2 AND m.workflow_id IS NOT NULL) q,
  mfiauto._settle_messages(q.c, q.m, '{delivered}', '{null}') s;
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-15 11:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT * FROM pg_temp.story();
-- Once: nothing more is said however long it takes.
SELECT messages FROM mfiauto.run_engine();
-- The SMS of client 1 arrives after all, before the call has left: the call is taken back.
SELECT count(*) AS delivered FROM mfiauto.message_ledger m, mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{delivered}', '{null}') s
 WHERE m.client_id = 1 AND m.channel = 'sms';
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story();
