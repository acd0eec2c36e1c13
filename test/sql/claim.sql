-- Truth at the last moment: what happened between the making of a message and its claim.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/workflow_books.sql
INSERT INTO bank.client SELECT i, 'Client ' || i, 'high', '+2217700000' || lpad(i::text, 2, '0') FROM generate_series(4, 10) i;
INSERT INTO bank.loan SELECT 10 + i, i, 'active', '2026-06-30' FROM generate_series(4, 10) i;
INSERT INTO bank.installment SELECT 200 + i, 10 + i, '2026-01-10', 5000 FROM generate_series(4, 10) i;
SELECT mfiauto.create_template('due_soon', channel => 'sms', class => 'collection', body => 'Bonjour {{client.name}}, {{installment.balance}} le {{installment.due_date}}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"cost_per_part": 12}');
SELECT mfiauto.create_workflow('due', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection",
  "enter_if": "loan.status = ''active''",
  "exit_if": "installment.amount_paid >= installment.amount_due OR client.literacy = ''none'' OR 1 / (installment.amount_due - 13) < 0",
  "steps": [{"at": "-3 days 09:00", "send": "due_soon"}]}');
SELECT mfiauto.activate_workflow('due');
SELECT entered, messages FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-07 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, state, body FROM mfiauto.message WHERE state = 'queued' ORDER BY client_id;

-- Meanwhile at the bank, with no pass of the engine since.
UPDATE bank.installment SET paid = due WHERE id = 101;
UPDATE bank.installment SET paid = 1500 WHERE id = 204;
UPDATE bank.client SET name = 'Awa "la 5e" & Cie', phone = '+221770000055' WHERE id = 5;
UPDATE bank.client SET literacy = NULL WHERE id = 6;
UPDATE bank.installment SET due = NULL WHERE id = 210;
UPDATE bank.installment SET due = 13 WHERE id = 207;
UPDATE bank.client SET phone = NULL WHERE id = 8;
DELETE FROM bank.installment WHERE id = 209;
SELECT claimed, sent, failed, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason, to_address, body, cost FROM mfiauto.message WHERE created_at = '2026-01-07 09:00+00' ORDER BY client_id;
SELECT client_id, to_address, body FROM mfiauto.sandbox_message ORDER BY client_id;

-- What was not known is looked at again once it may be.
UPDATE bank.client SET literacy = 'low' WHERE id = 6;
UPDATE bank.installment SET due = 6000 WHERE id = 210;
SELECT mfiauto.set_clock('2026-01-07 09:30+00');
SELECT claimed, sent, failed, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason, body FROM mfiauto.message WHERE client_id IN (6, 10) AND created_at = '2026-01-07 09:00+00' ORDER BY client_id;

-- A client whose data cannot be read stops nobody else.
INSERT INTO bank.installment SELECT 400 + i, 10 + i, '2026-01-11', 7000 FROM generate_series(4, 7) i;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT mfiauto.set_clock('2026-01-08 09:00+00');
SELECT messages FROM mfiauto.run_engine();
CREATE FUNCTION public.moody(id bigint, name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN id = 5 THEN (1 / (id - 5))::text ELSE name END $$;
ALTER TABLE bank.client RENAME TO client_data;
CREATE VIEW bank.client AS SELECT id, public.moody(id, name) AS name, literacy, phone FROM bank.client_data;
SELECT claimed, sent, failed, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message WHERE created_at = '2026-01-08 09:00+00' ORDER BY client_id;
DROP VIEW bank.client;
ALTER TABLE bank.client_data RENAME TO client;

-- A workflow that is held, paused, archived; a client who left.
INSERT INTO bank.installment SELECT 300 + i, 10 + i, '2026-01-12', 7000 FROM generate_series(4, 6) i;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT mfiauto.set_clock('2026-01-09 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto.hold_delivery('a word with the branch first', workflow => 'due');
SELECT claimed, sent, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message WHERE created_at = '2026-01-09 09:00+00' ORDER BY client_id;
SELECT * FROM mfiauto.release_delivery(workflow => 'due');
SELECT mfiauto.pause_workflow('due');
SELECT claimed, sent, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason, due_at FROM mfiauto.message WHERE created_at = '2026-01-09 09:00+00' ORDER BY client_id;
SELECT mfiauto.resume_workflow('due');
SELECT mfiauto.set_clock('2026-01-09 09:05+00');
SELECT claimed, sent, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message WHERE created_at = '2026-01-09 09:00+00' ORDER BY client_id;
