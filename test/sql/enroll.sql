-- Entering by hand, what an activation would do, and a client's story.
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
\set ECHO none
SELECT mfiauto.install();
\i test/lib/workflow_books.sql
\set ECHO all
\set SHOW_CONTEXT never
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
SELECT mfiauto._set_clock('2026-01-02 08:00+00');
SELECT mfiauto.create_workflow('reminder', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection",
  "enter_if": "loan.status = ''active''", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [
    {"at": "-7 days 09:00", "send": "reminder_before"},
    {"at": "0 days 09:00", "send": "reminder_today", "channels": ["sms", "voice"]},
    {"at": "+1 day 09:00", "if": "client.literacy = ''low''",
       "then": [{"send": "reminder_late_voice", "channels": ["voice"]}, {"end": true}], "else": [{"send": "reminder_late"}]},
    {"at": "+5 days 09:00", "task": "Visit {{client.name}}", "assign": "officer"}]}');
INSERT INTO mfiauto.gateway_config (gateway, channel, definition, settings, created_at, created_by)
  VALUES ('books', 'sms', '{}', '{"cost_per_part": 12, "currency": "XOF"}', now(), current_user);

-- Nothing is changed by a look. January 11th is a Sunday; client 3 has no telephone, and no active loan.
SELECT * FROM mfiauto.preview_activation('reminder');
SELECT * FROM mfiauto.preview_activation('reminder');
SELECT count(*) FROM mfiauto.enrollment_state;
UPDATE bank.loan SET status = 'active' WHERE id = 13;
SET client_min_messages = notice;
SELECT * FROM mfiauto.preview_activation('reminder') WHERE on_date < '2026-01-05';
SELECT events FROM mfiauto.run_engine();
SELECT clients FROM mfiauto.preview_activation('reminder') LIMIT 1;
SET client_min_messages = error;
UPDATE bank.loan SET status = 'closed' WHERE id = 13;
SELECT mfiauto.create_workflow('half', '{
  "for_each": "installment", "anchor": "due_date", "holdout": 99.99, "max_per_day": 2, "class": "collection",
  "steps": [{"at": "0 days 09:00", "send": "late"}]}');
UPDATE mfiauto.workflow_head SET salt = 'salt' WHERE name = 'half';
SELECT * FROM mfiauto.preview_activation('half');
SELECT mfiauto.create_workflow('hello', '{
  "trigger": {"event": "Loan Applied"}, "reentry": "30 days", "enter_if": "loan.status = ''active''",
  "steps": [{"wait": "1 day"}, {"send": "late"}]}');
SELECT * FROM mfiauto.preview_activation('hello');
SELECT * FROM mfiauto.preview_activation('nothing');

-- By hand: refusals say why.
SELECT mfiauto.enroll('nothing', 1);
SELECT mfiauto.enroll('reminder', 1, 101);
SELECT mfiauto.activate_workflow('reminder'), mfiauto.activate_workflow('hello');
SELECT mfiauto.enroll('reminder', 1);
SELECT mfiauto.enroll('reminder', NULL, 101);
SELECT mfiauto.enroll('reminder', 1, 103);
SELECT mfiauto.enroll('reminder', 1, 999);
SELECT mfiauto.enroll('reminder', 3, 104);
SELECT mfiauto.enroll('reminder', 1, 101, context => '[]');
UPDATE bank.installment SET paid = due WHERE id = 103;
SELECT mfiauto.enroll('reminder', 2, 103);
UPDATE bank.installment SET paid = 0 WHERE id = 103;
SELECT mfiauto.enroll('reminder', 1, 101) AS first \gset
SELECT mfiauto.enroll('reminder', 1, 101) = :first AS is_same;
SELECT mfiauto.enroll('hello', 1, context => '{"greeting": "hello"}') IS NOT NULL AS is_in;
INSERT INTO bank.loan VALUES (14, 2, 'active', '2026-12-31');
SELECT events FROM mfiauto.run_engine();
SELECT mfiauto.enroll('hello', 2);
SELECT mfiauto.enroll('hello', 3);
SELECT mfiauto.enroll('hello', 2, 14) IS NOT NULL AS is_in;
SELECT workflow, client_id, subject, subject_id, loan_id, anchor_on, state, step, due_at, arm FROM mfiauto.enrollment ORDER BY workflow, client_id, subject_id;
SELECT client_id, context FROM mfiauto.enrollment_state WHERE context IS NOT NULL ORDER BY client_id;

-- Running enrollments finish on their version; new ones take the live one.
SELECT mfiauto.create_workflow('hello', '{"trigger": {"event": "Loan Applied"}, "reentry": "30 days", "steps": [{"wait": "1 hour"}, {"send": "late"}]}');
SELECT mfiauto.activate_workflow('hello');
SELECT mfiauto.enroll('hello', 3) IS NOT NULL AS is_in;
SELECT mfiauto._set_clock('2026-01-02 09:30+00');
SELECT entered, advanced, messages FROM mfiauto.run_engine();
SELECT client_id, version, state, step FROM mfiauto.enrollment WHERE workflow = 'hello' ORDER BY client_id;
SELECT mfiauto._set_clock('2026-01-03 09:30+00');
SELECT advanced, messages FROM mfiauto.run_engine();
SELECT client_id, version, state, step FROM mfiauto.enrollment WHERE workflow = 'hello' ORDER BY client_id;
SELECT mfiauto.enroll('hello', 1);
BEGIN;
SELECT mfiauto._set_clock('2026-02-02 09:30+00');
SELECT mfiauto.enroll('hello', 1) IS NOT NULL AS is_in_again;
ROLLBACK;
SELECT mfiauto._set_clock('2026-01-03 09:30+00');

-- Stories.
UPDATE bank.installment SET paid = due WHERE id = 101;
SELECT events, exited FROM mfiauto.run_engine();
SELECT mfiauto.opt_out(client_id => 1, channel => 'sms', reason => 'said so at the branch');
SELECT at, what, step, subject, subject_id, detail FROM mfiauto.explain_client(1, workflow => 'reminder');
SELECT what, step, subject, detail FROM mfiauto.explain_client(2, 'hello');
SELECT what, step, subject, subject_id, detail FROM mfiauto.explain_client(3, 'reminder');
SELECT what, detail FROM mfiauto.explain_client(3, 'half');
SELECT mfiauto.pause_workflow('reminder');
SELECT mfiauto.enroll('reminder', 1, 102);
SELECT what, detail FROM mfiauto.explain_client(3, 'reminder') WHERE what = 'absence';
SELECT mfiauto.resume_workflow('reminder');
SELECT what, detail FROM mfiauto.explain_client(99, 'reminder');
SELECT what, detail FROM mfiauto.explain_client(99);
SELECT what, detail FROM mfiauto.explain_client(1, 'nothing');
SELECT what, detail FROM mfiauto.explain_client(NULL);

-- What delivery and people add to a story.
CREATE TEMP TABLE told AS SELECT m.client_id, m.message_id, m.enrollment_id, h.workflow_id, m.version, m.step_no
  FROM mfiauto.message_ledger m JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'hello' AND m.client_id = 2;
INSERT INTO mfiauto.attempt (client_id, message_id, gateway, attempt_no, started_at, outcome, status, error)
  SELECT client_id, message_id, 'books', 1, '2026-01-03 09:31+00', 'retry', 503, 'come back later' FROM told;
DELETE FROM mfiauto.outbox o USING told t WHERE o.message_id = t.message_id;
UPDATE mfiauto.message_ledger m SET state = 'sent', sent_at = '2026-01-03 09:32+00', gateway = 'books', parts = 2 FROM told t WHERE m.message_id = t.message_id;
INSERT INTO mfiauto.receipt (client_id, gateway, message_id, status, applied, digest, received_at)
  SELECT client_id, 'books', message_id, 'DELIVRD', false, '', '2026-01-03 09:33+00' FROM told;
INSERT INTO mfiauto.task (client_id, workflow_id, version, enrollment_id, step_no, title, assignee, state, created_at, closed_at, outcome)
  SELECT client_id, workflow_id, version, enrollment_id, step_no, 'Call Binta', 'officer 7', 'done', '2026-01-03 09:34+00', '2026-01-04 10:00+00', 'promised to pay' FROM told;
SELECT what, step, detail FROM mfiauto.explain_client(2, 'hello') WHERE at > '2026-01-03 09:30+00';
SELECT state, mfiauto._message_text(state, reason, 'sms', 'books', '2026-01-03 09:00+00', '2026-01-03 09:00+00', 1)
  FROM (VALUES ('claimed', NULL), ('held', 'missing_variable'), ('submitted', NULL), ('delivered', NULL), ('undelivered', 'receipt_failed'), ('unknown', NULL), ('queued', 'capped'),
               ('failed', 'retries_exhausted'), ('holdout', 'holdout'), ('suppressed', 'opted_out'), ('failed', NULL)) AS s(state, reason);
SELECT decision, mfiauto._decision_text(decision, reason, detail)
  FROM (VALUES ('reopened', NULL, '2026-01-10'), ('moved', 'anchor_moved', '2026-01-12'), ('branched', 'then', NULL), ('branched', 'else_unknown', NULL),
               ('skipped', 'expired', NULL), ('error', '22012', 'division by zero'), ('unparked', 'admin', NULL), ('refused', 'enter_unknown', NULL),
               ('exited', 'goal', NULL), ('something new', 'why', 'how')) AS d(decision, reason, detail);

-- Archiving ends what runs and cancels what is queued.
SELECT mfiauto.archive_workflow('reminder');
SELECT client_id, subject_id, state, reason FROM mfiauto.enrollment WHERE workflow = 'reminder' ORDER BY subject_id;
SELECT mfiauto.archive_workflow('hello');
SELECT workflow, client_id, step, state, reason FROM mfiauto.message ORDER BY workflow, client_id, step;
SELECT what, detail FROM mfiauto.explain_client(2, 'reminder') WHERE what IN ('exited', 'absence');

-- A watched table's rows run side by side.
CREATE TABLE bank.goal (id bigint PRIMARY KEY, client_id bigint, target numeric);
SELECT mfiauto.watch('Savings Goal Created', 'bank.goal', 'INSERT', client => 'client_id', subject => 'id', properties => '{"target": "target"}');
SELECT mfiauto.create_workflow('goals', '{
  "trigger": {"event": "Savings Goal Created", "if": "(event.properties ->> ''target'')::numeric > 100 AND client.literacy = ''low''"}, "steps": [{"send": "late"}]}');
SELECT mfiauto.create_workflow('goals', '{"trigger": {"event": "Savings Goal Created"}, "enter_if": "goal.target > 100", "steps": [{"send": "late"}]}');
SELECT mfiauto.activate_workflow('goals');
INSERT INTO bank.goal VALUES (1, 1, 500), (2, 1, 700), (3, 1, 50), (4, 2, 500);
SELECT events, entered FROM mfiauto.run_engine();
SELECT client_id, subject, subject_id, state FROM mfiauto.enrollment WHERE workflow = 'goals' ORDER BY subject_id;
UPDATE bank.client SET name = 'Awa D.' WHERE id = 1;
SELECT exited FROM mfiauto.run_engine();
