-- C7, staff tasks: the agent sees the client's last 10 micro-interactions, his loans and what was sent, if the client is his.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
INSERT INTO bank.client (id, name, phone, tz, officer_id) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 6 + g FROM generate_series(1, 2) g;
INSERT INTO bank.loan (id, client_id, officer_id) SELECT 10 + g, g, 6 + g FROM generate_series(1, 2) g;
INSERT INTO bank.installment (id, loan_id, number, due_date, due, paid) SELECT 100 + 10 * n + g, 10 + g, n, '2025-12-21'::date + 31 * n, 1000, 0 FROM generate_series(1, 2) g, generate_series(0, 2) n;
SELECT mfiauto.create_template('call', 'Bonjour {{client.name}}', 'voice', class => 'collection', options => '{"digits": {"1": "Promised To Pay"}}');
SELECT mfiauto.create_template('sms', 'Payez {{client.name}}', class => 'collection');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox'), mfiauto.create_gateway('calls', 'voice', 'sandbox');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [
  {"at": "-4 days 09:00", "send": "sms"}, {"at": "0 days 09:00", "send": "call"}, {"at": "+1 day 09:00", "task": "Visit {{client.name}}", "assign": "officer"}]}') > 0;
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.arm_delivery() <> '' AS armed;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set VERBOSITY default
SELECT mfiauto.set_clock('2026-01-10 09:00+00');
SELECT entered > 0 AS entered FROM mfiauto.run_engine();
-- What happens with the clients, an hour apart.
CREATE FUNCTION pg_temp.message(client bigint, channel text) RETURNS bigint LANGUAGE sql AS $$
  SELECT max(m.message_id) FROM mfiauto.message_ledger m WHERE m.client_id = client AND m.channel = message.channel $$;
SELECT mfiauto.set_clock('2026-01-17 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto.set_clock('2026-01-19 10:00+00');
SELECT mfiauto.track('Session Started', 1) > 0, mfiauto._note_interaction(1, pg_temp.message(1, 'sms'), 'clicked', '{"link": "pay"}'),
       mfiauto._note_interaction(1, pg_temp.message(1, 'sms'), 'clicked', '{"link": "pay"}', is_bot => true);
SELECT mfiauto.set_clock('2026-01-19 11:00+00');
SELECT mfiauto._take_inbound('box', 'sms', 'message', '+221770000001', '+221338000000', 'Je passe demain', 'IN1', NULL, NULL) > 0,
       mfiauto._take_inbound('calls', 'voice', 'missed_call', '+221770000001', '+221338000000', NULL, 'IN2', NULL, NULL) > 0;
INSERT INTO bank.payment VALUES (1, 11, '2026-01-20 10:00+00', 400);
UPDATE bank.installment SET paid = 400 WHERE id = 101;
SELECT mfiauto.set_clock('2026-01-21 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto.set_clock('2026-01-21 10:00+00');
SELECT mfiauto._note_interaction(1, pg_temp.message(1, 'voice'), 'answered'), mfiauto._note_interaction(1, pg_temp.message(1, 'voice'), 'pressed', '{"digits": "1"}'),
       mfiauto._note_interaction(1, pg_temp.message(1, 'voice'), 'heard', '{"seconds": 12}');
SELECT mfiauto.set_clock('2026-01-22 09:00+00');
SELECT count(*) FROM (SELECT * FROM mfiauto.run_engine()) x;
SELECT client_id, title, assignee FROM mfiauto.task ORDER BY client_id;
CREATE FUNCTION pg_temp.task(client bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT min(t.task_id) FROM mfiauto.task t WHERE t.client_id = client $$;
SELECT part, to_char(at, 'MM-DD HH24:MI') AS at, kind, line, subject, subject_id FROM mfiauto.task_context(pg_temp.task(1));
-- Ten, the newest, whatever came before.
SELECT count(mfiauto.track('Session Started', 1, occurred_at => '2026-01-01'::timestamptz + n * interval '1 minute')) FROM generate_series(1, 20) n;
SELECT count(*) FILTER (WHERE part = 'interaction') AS interactions, count(*) FILTER (WHERE part = 'interaction' AND at < '2026-01-10') AS old FROM mfiauto.task_context(pg_temp.task(1));
SELECT count(mfiauto.track('Page Viewed', 1, occurred_at => '2026-01-22 08:00+00'::timestamptz + n * interval '1 minute')) FROM generate_series(1, 12) n;
SELECT DISTINCT line, count(*) OVER () FROM mfiauto.task_context(pg_temp.task(1)) WHERE part = 'interaction';
SELECT mfiauto.task_context(0);
SELECT mfiauto.task_context(NULL);
-- Officer 7 sees the task of his client; officer 8's does not exist.
CREATE ROLE regress_c07_officer; CREATE ROLE regress_c07_analyst;
SELECT mfiauto.grant_access('regress_c07_officer', 'officer', 7), mfiauto.grant_access('regress_c07_analyst', 'analyst');
SELECT pg_temp.task(1) AS mine, pg_temp.task(2) AS theirs \gset
SET ROLE regress_c07_officer;
SELECT count(*) > 10 AS sees FROM mfiauto.task_context(:mine);
SELECT mfiauto.task_context(:theirs) IS NULL AS sees;
SET ROLE regress_c07_analyst;
SELECT count(*) FROM mfiauto.task_context(:mine);
RESET ROLE;
SELECT mfiauto.revoke_access('regress_c07_officer', 'officer'), mfiauto.revoke_access('regress_c07_analyst', 'analyst');
DROP ROLE regress_c07_officer; DROP ROLE regress_c07_analyst;
