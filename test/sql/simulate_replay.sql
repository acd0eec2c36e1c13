-- simulate_replay: what the engine and delivery really did in a quarter, and the simulation of the same quarter afterwards, are the same:
-- client, subject, step, day, channel, outcome. Nothing of it is approximate.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-01-01 06:00+00');
\i test/lib/engine_books.sql
RESET client_min_messages;
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.set_institution(time_zone => 'Africa/Dakar');
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-01-21', 'a holiday'), ('SN', '2026-02-25', 'another');
SELECT mfiauto.set_policy(class => 'collection', cap_count => 1, cap_days => 2);
-- Forty clients in two zones; two loans for some; a group loan; a client without a usable number.
INSERT INTO bank.client SELECT g, 'Client ' || g, CASE WHEN g = 40 THEN 'none' ELSE '+2217700' || lpad(g::text, 5, '0') END,
                               (ARRAY['Africa/Dakar', 'Africa/Lagos'])[g % 2 + 1], 'low' FROM generate_series(1, 40) g;
INSERT INTO bank.loan (id, client_id, status) SELECT 100 + g, g, 'active' FROM generate_series(1, 40) g;
INSERT INTO bank.loan (id, client_id, status) SELECT 200 + g, g, CASE WHEN g % 2 = 0 THEN 'active' ELSE 'approved' END FROM generate_series(1, 8) g;
INSERT INTO bank.loan (id, client_id) VALUES (300, NULL);
INSERT INTO bank.member VALUES (300, 11, 'borrower', NULL, NULL), (300, 12, 'borrower', '2025-01-01', '2026-02-10'), (300, 13, 'guarantor', NULL, NULL);
INSERT INTO bank.installment SELECT l.id * 10 + m, l.id, m, date '2026-01-10' + (l.id % 27)::int + m * 30, 1000, 0 FROM bank.loan l, generate_series(0, 2) m;
SELECT mfiauto.create_workflow('reminder', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 10,
  "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "steps": [
    {"at": "-7 days 09:00", "send": "before", "channels": ["sms"]},
    {"at": "-3 days 09:00", "send": "before", "channels": ["sms"]},
    {"at":  "0 days 09:00", "send": "today", "channels": ["sms"]},
    {"at": "+3 days 09:00", "if": "installment.amount_paid > 0", "then": [{"send": "late_low", "channels": ["sms"]}], "else": [{"send": "late", "channels": ["sms"]}]},
    {"at": "+5 days 09:00", "task": "Visit {{client.name}}: {{installment.balance_text}}", "assign": "officer"}
  ]}') > 0 AS created;
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received"}, "class": "transactional", "reentry": "40 days", "exit_if": "loan.status = ''closed''", "for_each": "loan",
  "steps": [{"wait": "1 day"}, {"wait_for": {"event": "Payment Reversed"}, "timeout": "5 days", "then": [{"send": "late", "channels": ["sms"]}]}, {"split": {"a": 50, "b": 50}, "steps": {"a": [{"wait": {"until": "monday 09:00"}}], "b": []}}, {"if": "mfiauto.now() < ''2026-02-15''", "then": [{"send": "thanks", "channels": ["sms"]}]}]}') > 0 AS created;
UPDATE mfiauto.workflow_head SET salt = 'of the test, ' || name;
SELECT mfiauto.activate_workflow('reminder') AS version, mfiauto.activate_workflow('thanks') AS version;

-- A day of the bank: who pays, in part, late, who is reversed; a schedule that moves; a loan that becomes active, one that closes; an opt-out.
CREATE PROCEDURE pg_temp.bank_day(day date) LANGUAGE plpgsql AS $$
DECLARE i record;
BEGIN
  FOR i IN SELECT n.*, l.client_id FROM bank.installment n JOIN bank.loan l ON l.id = n.loan_id
            WHERE n.paid < n.due AND n.due_date + (n.id * 7 % 16)::int - 8 = day AND n.id % 4 <> 3
              AND NOT EXISTS (SELECT FROM bank.installment e WHERE e.loan_id = n.loan_id AND e.number < n.number AND e.paid < e.due) ORDER BY n.id LOOP
    INSERT INTO bank.payment VALUES (i.id * 10 + 1, i.loan_id, mfiauto.now(), CASE WHEN i.id % 9 = 0 THEN 400 ELSE i.due - i.paid END);
    UPDATE bank.installment SET paid = paid + CASE WHEN i.id % 9 = 0 THEN 400 ELSE i.due - i.paid END WHERE id = i.id;
  END LOOP;
  FOR i IN SELECT p.*, n.id AS installment_id FROM bank.payment p JOIN bank.installment n ON n.id = p.id / 10
            WHERE p.id / 10 % 10 = 0 AND p.paid_at::date + 4 = day AND NOT p.reversed AND p.amount = 1000 AND p.loan_id % 5 = 0 LOOP
    UPDATE bank.payment SET reversed = true WHERE id = i.id;
    UPDATE bank.installment SET paid = paid - i.amount WHERE id = i.installment_id;
  END LOOP;
  IF day = '2026-01-20' THEN
    UPDATE bank.installment SET due_date = due_date + 2 WHERE loan_id = 121 AND number > 0;
    UPDATE bank.installment SET due_date = due_date + 9 WHERE loan_id = 122 AND number >= 0;
    UPDATE bank.loan SET status = 'active' WHERE id = 203;
    PERFORM mfiauto.opt_out(17, 'sms', 'collection');
  ELSIF day = '2026-02-12' THEN
    UPDATE bank.loan SET status = 'closed' WHERE id IN (116, 117);
    PERFORM mfiauto.opt_in(17, 'sms', 'collection');
    PERFORM mfiauto.suppress_address('sms', '+221770000019', 'wrong number');
    INSERT INTO bank.installment VALUES (9001, 105, 3, '2026-02-14', 1000, 0);
  END IF;
END $$;
\o /dev/null
SELECT format('SELECT mfiauto._set_clock(%L)', d::date || ' 09:00+00'), 'SELECT * FROM mfiauto.run_engine()', 'SELECT d.sent FROM mfiauto.run_delivery() d WHERE EXISTS (SELECT FROM mfiauto.outbox)',
       format('SELECT mfiauto._set_clock(%L)', d::date || ' 12:00+00'), format('CALL pg_temp.bank_day(%L)', d::date)
  FROM generate_series(date '2026-01-01', '2026-03-31', '1 day') d \gexec
\o
SELECT mfiauto._set_clock('2026-04-01 06:00+00');
SELECT * FROM mfiauto.run_engine();

-- The ledger, and the tasks that the engine gave; what was told. A message that left has the day on which it left.
CREATE TEMP TABLE real AS
  SELECT m.workflow, m.client_id, m.subject_id, m.step, (coalesce(m.sent_at, m.due_at) AT TIME ZONE 'UTC')::date AS day, CASE WHEN m.sent_at IS NOT NULL THEN m.channel END AS channel,
         CASE WHEN m.sent_at IS NOT NULL THEN 'sent' ELSE concat_ws(': ', m.state, nullif(m.reason, 'holdout')) END AS outcome, CASE WHEN m.sent_at IS NOT NULL THEN m.parts END AS parts
    FROM mfiauto.message m
   UNION ALL
  SELECT h.name, t.client_id, e.subject_id, s.path, (t.created_at AT TIME ZONE 'UTC')::date, NULL, CASE t.state WHEN 'holdout' THEN 'holdout' ELSE 'task' END, NULL
    FROM mfiauto.task t
    JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id
    JOIN mfiauto.workflow_step s ON s.workflow_id = t.workflow_id AND s.version = t.version AND s.step_no = t.step_no
    JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id;
CREATE TEMP TABLE told AS
  SELECT w.name AS workflow, s.client_id, s.subject_id, s.step, (s.due_at AT TIME ZONE 'UTC')::date AS day, CASE WHEN s.outcome = 'sent' THEN s.channel END AS channel, s.outcome,
         CASE WHEN s.outcome = 'sent' THEN s.parts END AS parts, s.approximate
    FROM unnest('{reminder,thanks}'::text[]) AS w(name), mfiauto.simulate_workflow(w.name, '2026-01-01', '2026-03-31') s;
SELECT workflow, outcome, count(*), bool_or(approximate) AS approximate FROM told GROUP BY workflow, outcome ORDER BY workflow, outcome;
SELECT workflow, outcome, count(*) FROM real GROUP BY workflow, outcome ORDER BY workflow, outcome;
ALTER TABLE told DROP COLUMN approximate;
SELECT 'engine' AS only_in, x.* FROM (SELECT * FROM real EXCEPT ALL SELECT * FROM told) x
UNION ALL
SELECT 'simulation', x.* FROM (SELECT * FROM told WHERE outcome !~ '^refused' EXCEPT ALL SELECT * FROM real) x
ORDER BY 1, 2, 3, 4, 5, 6;
-- Who was refused: once a pair and reason, both times.
SELECT count(*) AS refusals, count(*) FILTER (WHERE d.client_id IS NULL OR t.client_id IS NULL) AS different
  FROM (SELECT h.name AS workflow, d.client_id, d.subject_id, 'refused: ' || d.reason AS outcome FROM mfiauto.decision_log d JOIN mfiauto.workflow_head h ON h.workflow_id = d.workflow_id WHERE d.decision = 'refused') d
  FULL JOIN (SELECT * FROM told WHERE outcome ~ '^refused') t USING (workflow, client_id, subject_id, outcome);
