-- What the claim refuses for the channel's sake alone goes on by the step's next channel, as it does when it is composed; what is so of the client, his
-- books or the time does not. Whom no channel is open to is asked once.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 14) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 14) g;
INSERT INTO bank.installment SELECT 200 + g, 100 + g, 1, '2026-01-15' FROM generate_series(1, 14) g;
SELECT mfiauto.create_template('due', c || ' {{client.name}}', c) FROM unnest('{sms,voice,telegram}'::text[]) c;
SELECT mfiauto.create_gateway(c || '_box', c, 'sandbox') FROM unnest('{sms,voice,telegram}'::text[]) c;
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-3 days 09:00", "send": "due", "channels": ["sms", "voice", "telegram"]}]}') > 0 AS made;
SELECT mfiauto.set_policy(class => 'collection', contact_from => '08:00', contact_until => '19:00', cap_count => 1, cap_days => 2);
RESET client_min_messages;
SELECT mfiauto.set_clock('2026-01-09 09:00+00');
SELECT count(mfiauto.identify(g, jsonb_build_object('telegram', 'tg' || g))) FROM generate_series(1, 14) g;
SELECT mfiauto.activate_workflow('w');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-12 09:00+00');
SELECT messages FROM mfiauto.run_engine();
CREATE FUNCTION pg_temp.story() RETURNS TABLE (client bigint, messages text) LANGUAGE sql AS $$
  SELECT m.client_id, string_agg(concat_ws(' ', m.channel, m.state, m.reason), ', ' ORDER BY m.message_id) FROM mfiauto.message m GROUP BY 1 ORDER BY 1 $$;
SELECT DISTINCT messages FROM pg_temp.story();

-- Between the making and the claim. Of the channel: 2 his number is barred for SMS; 3 for all that goes by telephone; 4 no SMS any more; 5 neither SMS nor calls; 6 has no telephone.
SELECT mfiauto.suppress_address('sms', '+221770000002', 'wrong number'), mfiauto.suppress_address('phone', '+221770000003', 'complaint');
SELECT mfiauto.opt_out(4, 'sms'), mfiauto.opt_out(5, 'sms'), mfiauto.opt_out(5, 'voice');
UPDATE bank.client SET phone = NULL WHERE id = 6;
-- Of the client: 7 wants nothing at all; 8 is not to be contacted; 9 has paid; 10 was erased; 11 has had enough.
SELECT mfiauto.opt_out(7), mfiauto.identify(8, '{"do_not_contact": true}');
UPDATE bank.installment SET paid = due WHERE id = 209;
SELECT count(*) > 0 AS erased FROM mfiauto.erase_client(10, 'asked to');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel) SELECT 11, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'collection', 'email';
-- 12 has no name for a while, and no telephone when he has one again; 13 is barred on every channel of the step, one after the other.
UPDATE bank.client SET name = NULL WHERE id = 12;
SELECT mfiauto.suppress_address(c, a, 'wrong') FROM (VALUES ('sms', '+221770000013'), ('voice', '+221770000013'), ('telegram', 'tg13')) AS s(c, a);
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story();

-- The engine makes the next ones; so it goes on until there is no channel left.
SELECT messages FROM mfiauto.run_engine();
SELECT * FROM pg_temp.story();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
UPDATE bank.client SET name = 'Awa', phone = NULL WHERE id = 12;
SELECT mfiauto.set_clock('2026-01-12 09:20+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT messages FROM mfiauto.run_engine();
SELECT * FROM pg_temp.story();
SELECT count(*) AS waiting FROM mfiauto.outbox;

-- Both are told.
SELECT client_id, x.detail FROM unnest('{3,7}'::bigint[]) client_id, mfiauto.explain_client(client_id, 'w') x WHERE x.what = 'message' ORDER BY client_id, x.at, x.detail;

-- Quiet hours put off, on the same channel, also whom the channel will be refused to: what is so then counts.
INSERT INTO bank.loan (id, client_id) VALUES (120, 14);
INSERT INTO bank.installment VALUES (220, 120, 1, '2026-01-25');
SELECT mfiauto.set_clock('2026-01-20 09:00+00');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-22 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto.set_policy(class => 'collection', contact_from => '10:00');
SELECT mfiauto.opt_out(14, 'sms');
SELECT claimed, deferred, suppressed FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story() WHERE client = 14;
SELECT mfiauto.set_clock('2026-01-22 10:00+00');
SELECT claimed, deferred, suppressed FROM mfiauto.run_delivery();
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story() WHERE client = 14;
