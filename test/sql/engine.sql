-- The engine, case by case: DESIGN's table "When, exactly", one deterministic case a row, and the mechanics around it.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
RESET client_min_messages;
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
-- What became of each step, of one installment or all: local time, step, state, reason.
CREATE FUNCTION pg_temp.story(installment bigint) RETURNS TABLE (client bigint, due text, step text, outcome text, until text)
LANGUAGE sql AS $$
  SELECT m.client_id, to_char(m.due_at, 'Dy MM-DD HH24:MI'), m.step, concat_ws(': ', m.state, m.reason), to_char(m.expires_at, 'MM-DD HH24:MI')
    FROM mfiauto.message m WHERE m.subject_id = installment ORDER BY m.client_id, m.due_at, m.step, m.created_at, m.message_id $$;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE WHEN g % 2 = 0 THEN 'low' ELSE 'high' END FROM generate_series(1, 12) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 12) g;
SELECT mfiauto.create_workflow('reminder', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection",
  "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "goal": {"event": "Payment Received", "within": "3 days"},
  "steps": [
    {"at": "-7 days 09:00", "send": "before", "channels": ["sms"]},
    {"at": "-3 days 09:00", "send": "before", "channels": ["sms"]},
    {"at":  "0 days 09:00", "send": "today", "channels": ["sms", "voice"]},
    {"at": "+3 days 09:00", "if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
    {"at": "+5 days 09:00", "task": "Visit {{client.name}}: {{installment.balance_text}}", "assign": "officer"}
  ]}') > 0 AS created;
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.activate_workflow('reminder') AS version;

-- A run from beginning to end: due on Wednesday 2026-01-21.
INSERT INTO bank.installment VALUES (101, 11, 1, '2026-01-21'), (102, 12, 1, '2026-01-21');
SELECT * FROM pg_temp.at('2026-01-05 08:00+00');
SELECT * FROM pg_temp.at('2026-01-14 08:59+00');
SELECT * FROM pg_temp.at('2026-01-14 09:00+00');
SELECT * FROM pg_temp.at('2026-01-14 09:00+00');
SELECT * FROM pg_temp.at('2026-01-18 12:00+00');
SELECT * FROM pg_temp.at('2026-01-21 09:00+00');
SELECT * FROM pg_temp.at('2026-01-24 09:00+00');
SELECT * FROM pg_temp.at('2026-01-26 09:00+00');
SELECT * FROM pg_temp.story(101) UNION ALL SELECT * FROM pg_temp.story(102);
SELECT e.client_id, e.state, e.reason, e.step, e.ended_at FROM mfiauto.enrollment e ORDER BY 1;
SELECT t.client_id, t.title, t.assignee, t.state, t.repetition FROM mfiauto.task t ORDER BY 1;
SELECT d.client_id, d.decision, d.reason, d.step_no, d.decided_at FROM mfiauto.decision_log d ORDER BY d.client_id, d.decided_at, d.decision_id;

-- Local time: 09:00 is each client's own, across a change of the clocks (29 March in Paris); an invalid zone is the institution's.
UPDATE bank.client SET tz = CASE id WHEN 1 THEN 'Europe/Paris' WHEN 2 THEN 'Europe/Pari' WHEN 3 THEN NULL WHEN 4 THEN 'America/Port-au-Prince' END WHERE id <= 4;
INSERT INTO bank.installment SELECT 110 + g, 10 + g, 2, '2026-04-01' FROM generate_series(1, 4) g;
SELECT * FROM pg_temp.at('2026-03-20 08:00+00');
SELECT e.client_id, e.due_at FROM mfiauto.enrollment e WHERE e.subject_id BETWEEN 111 AND 114 ORDER BY 1;
SELECT * FROM pg_temp.at('2026-03-25 13:00+00');
SELECT e.client_id, e.due_at FROM mfiauto.enrollment e WHERE e.subject_id BETWEEN 111 AND 114 ORDER BY 1;
SELECT d.client_id, d.detail FROM mfiauto.decision_log d WHERE d.detail IS NOT NULL;
UPDATE bank.client SET tz = 'Africa/Dakar';

-- Past on entry: a schedule that comes late sends nothing for what has passed.
INSERT INTO bank.installment VALUES (121, 11, 3, '2026-04-10'), (122, 11, 4, '2026-04-04');
SELECT * FROM pg_temp.at('2026-04-08 08:00+00');
SELECT * FROM pg_temp.story(121) UNION ALL SELECT * FROM pg_temp.story(122);

-- Down-time: the engine was away for a week; only the latest missed step counts, and only before its end.
INSERT INTO bank.installment VALUES (131, 11, 5, '2026-05-12'), (132, 12, 5, '2026-05-15'), (133, 13, 5, '2026-05-11');
SELECT * FROM pg_temp.at('2026-05-04 08:00+00');
SELECT * FROM pg_temp.at('2026-05-12 15:00+00');
SELECT * FROM pg_temp.story(131) UNION ALL SELECT * FROM pg_temp.story(132) UNION ALL SELECT * FROM pg_temp.story(133);
UPDATE bank.installment SET paid = due;
SELECT * FROM pg_temp.at('2026-05-12 16:00+00');

-- Barred: a holiday on the day before, on the day and after it. 2026-06-17 is a Wednesday.
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-06-17', 'a holiday');
INSERT INTO bank.installment VALUES (141, 11, 6, '2026-06-20'), (142, 12, 6, '2026-06-17'), (143, 13, 6, '2026-06-14'), (144, 14, 6, '2026-06-24');
SELECT * FROM pg_temp.at('2026-06-06 08:00+00');
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-06-06 09:00+00', '2026-06-24 09:00+00', '1 day') d;
SELECT * FROM pg_temp.story(141) UNION ALL SELECT * FROM pg_temp.story(142) UNION ALL SELECT * FROM pg_temp.story(143) UNION ALL SELECT * FROM pg_temp.story(144);
-- A holiday declared on the eve moves what was planned.
UPDATE bank.installment SET paid = due;
INSERT INTO bank.installment VALUES (145, 15, 6, '2026-07-11');
SELECT * FROM pg_temp.at('2026-07-01 08:00+00');
SELECT e.due_at FROM mfiauto.enrollment e WHERE e.subject_id = 145;
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-07-04', 'declared');
SELECT * FROM pg_temp.at('2026-07-04 09:00+00');
SELECT e.due_at FROM mfiauto.enrollment e WHERE e.subject_id = 145;
SELECT * FROM pg_temp.at('2026-07-06 09:00+00');
SELECT * FROM pg_temp.story(145);
DELETE FROM mfiauto.holiday;
UPDATE bank.installment SET paid = due;

-- Moved dates: by two days (already sent), by ten (sent again), back again; what is queued is canceled.
INSERT INTO bank.installment VALUES (151, 11, 7, '2026-08-12'), (152, 12, 7, '2026-08-12'), (153, 13, 7, '2026-08-12'), (154, 14, 7, '2026-08-12');
SELECT * FROM pg_temp.at('2026-08-05 09:00+00');
-- As if delivered, all but the last.
DELETE FROM mfiauto.outbox o USING mfiauto.message_ledger m WHERE m.message_id = o.message_id AND m.subject_id <> 154;
UPDATE mfiauto.message_ledger m SET state = 'delivered' WHERE m.subject_id BETWEEN 151 AND 153;
UPDATE bank.installment SET due_date = '2026-08-14' WHERE id = 151;
UPDATE bank.installment SET due_date = '2026-08-22' WHERE id IN (152, 153, 154);
SELECT * FROM pg_temp.at('2026-08-05 10:00+00');
UPDATE bank.installment SET due_date = '2026-08-12' WHERE id = 153;
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-08-06 09:00+00', '2026-08-15 09:00+00', '1 day') d;
SELECT * FROM pg_temp.story(151) UNION ALL SELECT * FROM pg_temp.story(152) UNION ALL SELECT * FROM pg_temp.story(153) UNION ALL SELECT * FROM pg_temp.story(154);
-- Moved after it was over: it begins again.
UPDATE bank.installment SET due_date = '2026-09-23' WHERE id = 153;
SELECT pg_temp.at(d) FROM unnest('{2026-08-17 09:00+00,2026-08-20 09:00+00,2026-09-16 09:00+00}'::timestamptz[]) d;
SELECT * FROM pg_temp.story(153);
UPDATE bank.installment SET paid = due;

-- Payment and reversal: it ends, what is queued is canceled; it opens again at the step ahead, nothing is sent twice.
INSERT INTO bank.installment VALUES (161, 11, 8, '2026-10-14');
SELECT * FROM pg_temp.at('2026-10-07 09:00+00');
UPDATE bank.installment SET paid = due WHERE id = 161;
INSERT INTO bank.payment VALUES (1, 11, '2026-10-07 10:00+00', 1000);
SELECT * FROM pg_temp.at('2026-10-07 12:00+00');
SELECT e.state, e.reason, e.due_at FROM mfiauto.enrollment e WHERE e.subject_id = 161;
SELECT pg_temp.at('2026-10-10 09:00+00');
UPDATE bank.installment SET paid = 0 WHERE id = 161;
UPDATE bank.payment SET reversed = true WHERE id = 1;
SELECT * FROM pg_temp.at('2026-10-12 12:00+00');
SELECT e.state, e.reason, e.step, e.due_at FROM mfiauto.enrollment e WHERE e.subject_id = 161;
SELECT pg_temp.at('2026-10-14 09:00+00');
SELECT * FROM pg_temp.story(161);
SELECT g.step_no, g.repetition, g.reached_at FROM mfiauto.goal_hit g ORDER BY 1, 2;
-- Gone from the books, and back.
DELETE FROM bank.installment WHERE id = 161;
SELECT * FROM pg_temp.at('2026-10-14 10:00+00');
SELECT e.state, e.reason FROM mfiauto.enrollment e WHERE e.subject_id = 161;
INSERT INTO bank.installment VALUES (161, 11, 8, '2026-10-14');
SELECT * FROM pg_temp.at('2026-10-14 11:00+00');
SELECT e.state, e.step FROM mfiauto.enrollment e WHERE e.subject_id = 161;
UPDATE bank.installment SET paid = due;

-- A group loan: each member, not the guarantor; who leaves the group exits.
INSERT INTO bank.loan VALUES (50, NULL, 'active', 8);
INSERT INTO bank.member VALUES (50, 1, 'borrower'), (50, 2, 'borrower'), (50, 3, 'guarantor');
INSERT INTO bank.installment VALUES (171, 50, 1, '2026-11-11');
SELECT * FROM pg_temp.at('2026-11-04 09:00+00');
UPDATE bank.member SET until = '2026-11-04' WHERE client_id = 2;
SELECT pg_temp.at(d) FROM unnest('{2026-11-05 09:00+00,2026-11-08 09:00+00}'::timestamptz[]) d;
DELETE FROM bank.member WHERE client_id = 2;
SELECT * FROM pg_temp.at('2026-11-08 10:00+00');
SELECT e.client_id, e.state, e.reason FROM mfiauto.enrollment e WHERE e.subject_id = 171 ORDER BY 1;
SELECT * FROM pg_temp.story(171);

-- Holdout: an arm for ever, by client (a group loan: by loan); the same waits, nothing sent; classes that are exempt are sent.
SELECT mfiauto._arm('salt', 30, 'client 1') = mfiauto._arm('salt', 30, 'client 1') AS stable,
       count(*) FILTER (WHERE mfiauto._arm('salt', 30, 'client ' || g) = 'holdout') BETWEEN 250 AND 350 AS about_a_third,
       count(*) FILTER (WHERE mfiauto._arm('other', 30, 'client ' || g) IS DISTINCT FROM mfiauto._arm('salt', 30, 'client ' || g)) > 300 AS by_workflow
  FROM generate_series(1, 1000) g;
SELECT mfiauto.archive_workflow('reminder') IS NOT NULL AS archived;
SELECT mfiauto.create_workflow('mixed', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 50,
  "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-2 days 09:00", "send": "before", "channels": ["sms"]},
            {"at": "-1 day 09:00", "send": "today", "channels": ["sms"], "class": "transactional"},
            {"at": "0 days 09:00", "task": "Call {{client.name}}", "due": "2 days"}]}') > 0 AS created;
UPDATE mfiauto.workflow_head SET salt = 'fixed' WHERE name = 'mixed';
SELECT mfiauto._set_clock('2026-12-01 08:00+00');
SELECT mfiauto.activate_workflow('mixed') AS version;
INSERT INTO bank.installment SELECT 180 + g, 10 + g, 9, '2026-12-10' FROM generate_series(1, 6) g;
SELECT pg_temp.at(d) FROM unnest('{2026-12-01 09:00+00,2026-12-08 09:00+00,2026-12-09 09:00+00,2026-12-10 09:00+00}'::timestamptz[]) d;
SELECT e.client_id, e.arm, mfiauto._arm('fixed', 50, 'client ' || e.client_id) = e.arm AS as_computed,
       (SELECT string_agg(m.step || ' ' || m.state, ', ' ORDER BY m.step) FROM mfiauto.message m WHERE m.enrollment_id = e.enrollment_id) AS messages, t.state AS task, t.due_at
  FROM mfiauto.enrollment e JOIN mfiauto.task t ON t.enrollment_id = e.enrollment_id WHERE e.workflow = 'mixed' ORDER BY 1;
SELECT mfiauto.archive_workflow('mixed') IS NOT NULL AS archived;

-- Events: the trigger, its condition, re-entry, waits; the class's own time to live.
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received", "if": "event.properties ->> ''amount'' <> ''1''"}, "for_each": "loan", "class": "transactional",
  "reentry": "3 days", "steps": [{"send": "thanks", "channels": ["sms"]}, {"wait": "2 days"}, {"send": "welcome", "channels": ["sms"], "expires": "1 hour"}]}') > 0 AS created;
SELECT mfiauto.activate_workflow('thanks') AS version;
SELECT * FROM pg_temp.at('2026-12-20 09:00+00');
INSERT INTO bank.payment VALUES (11, 11, '2026-12-20 10:00+00', 500), (12, 12, '2026-12-20 10:00+00', 1), (13, 13, '2026-12-20 10:00+00', 500), (14, 13, '2026-12-20 10:00+00', 700);
SELECT * FROM pg_temp.at('2026-12-20 10:00+00');
INSERT INTO bank.payment VALUES (15, 11, '2026-12-21 10:00+00', 500);
SELECT * FROM pg_temp.at('2026-12-21 10:00+00');
SELECT * FROM pg_temp.at('2026-12-22 10:00+00');
INSERT INTO bank.payment VALUES (16, 11, '2026-12-24 10:00+00', 500);
SELECT * FROM pg_temp.at('2026-12-24 10:00+00');
SELECT * FROM pg_temp.at('2026-12-26 11:00+00');
SELECT m.client_id, m.subject, m.subject_id, m.step, concat_ws(': ', m.state, m.reason) AS outcome, m.due_at, m.expires_at FROM mfiauto.message m WHERE m.workflow = 'thanks' ORDER BY m.client_id, m.due_at, m.message_id;
SELECT mfiauto.archive_workflow('thanks') IS NOT NULL AS archived;

-- One client's division by zero parks that one; the others go on. Repaired, it goes on where it stood.
SELECT mfiauto.create_workflow('shaky', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "exit_if": "1000 / installment.amount_due < 0",
  "steps": [{"at": "-2 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "+1 day 09:00", "send": "late", "channels": ["sms"]}]}') > 0 AS created;
SELECT mfiauto._set_clock('2027-01-04 08:00+00');
SELECT mfiauto.activate_workflow('shaky') AS version;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217701' || lpad(g::text, 5, '0'), NULL, 'high' FROM generate_series(1001, 1100) g;
INSERT INTO bank.loan (id, client_id) SELECT g, g FROM generate_series(1001, 1100) g;
INSERT INTO bank.installment (id, loan_id, due_date, due) SELECT g, g, '2027-01-15', 1000 FROM generate_series(1001, 1100) g;
SELECT * FROM pg_temp.at('2027-01-05 08:00+00');
UPDATE bank.installment SET due = 0 WHERE id = 1042;
ALTER TABLE bank.installment DISABLE TRIGGER ALL;
UPDATE bank.installment SET due = 0 WHERE id IN (1007, 1077);
ALTER TABLE bank.installment ENABLE TRIGGER ALL;
SELECT * FROM pg_temp.at('2027-01-06 08:00+00');
SELECT * FROM pg_temp.at('2027-01-13 09:00+00');
SELECT e.client_id, e.state, e.reason, e.step FROM mfiauto.enrollment e WHERE e.workflow = 'shaky' AND e.state <> 'active' ORDER BY 1;
SELECT count(*) FROM mfiauto.message m WHERE m.workflow = 'shaky' AND m.state = 'queued';
UPDATE bank.installment SET due = 1000 WHERE due = 0;
SELECT mfiauto.unpark('shaky');
SELECT * FROM pg_temp.at('2027-01-13 10:00+00');
-- At the door: what fails on entry is a parked fact, and comes up again.
INSERT INTO bank.installment (id, loan_id, due_date, due) SELECT g + 200, g, '2027-02-10', CASE g WHEN 1010 THEN 0 ELSE 1000 END FROM generate_series(1001, 1020) g;
SELECT * FROM pg_temp.at('2027-02-01 08:00+00');
SELECT p.stage, p.source, p.subject, p.subject_id, p.client_id, p.sqlstate, p.reason, p.detail FROM mfiauto.parked_fact p;
UPDATE bank.installment SET due = 1000 WHERE due = 0;
SELECT mfiauto.unpark('shaky');
SELECT * FROM pg_temp.at('2027-02-01 09:00+00');
SELECT mfiauto.unpark('nothing');
-- A column that the bank drops is everybody's failure: parked together, without halving.
ALTER TABLE bank.installment RENAME COLUMN due TO due_renamed;
SELECT * FROM pg_temp.at('2027-02-08 09:00+00');
SELECT left(e.reason, 60) AS reason, count(*) FROM mfiauto.enrollment e WHERE e.workflow = 'shaky' AND e.state = 'error' GROUP BY 1;
ALTER TABLE bank.installment RENAME COLUMN due_renamed TO due;
SELECT mfiauto.unpark('shaky');
SELECT * FROM pg_temp.at('2027-02-08 09:10+00');
SELECT mfiauto.cancel_messages('shaky');
SELECT m.state, m.reason, count(*) FROM mfiauto.message m WHERE m.workflow = 'shaky' GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE bank.installment SET paid = due;
SELECT mfiauto.archive_workflow('shaky') IS NOT NULL AS archived;

-- An exit condition without an answer holds the message until there is one.
SELECT mfiauto.create_workflow('doubt', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-2 days 09:00", "send": "before", "channels": ["sms"]}]}') > 0 AS created;
SELECT mfiauto._set_clock('2027-03-01 08:00+00');
SELECT mfiauto.activate_workflow('doubt') AS version;
INSERT INTO bank.installment (id, loan_id, due_date, due) SELECT 190 + g, 10 + g, '2027-03-11', NULL FROM generate_series(1, 4) g;
SELECT * FROM pg_temp.at('2027-03-09 09:00+00');
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.workflow = 'doubt' ORDER BY 1;
UPDATE bank.installment SET due = CASE id WHEN 191 THEN 1000 WHEN 192 THEN 0 END WHERE id IN (191, 192);
SELECT * FROM pg_temp.at('2027-03-09 10:00+00');
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.workflow = 'doubt' ORDER BY 1;
SELECT * FROM pg_temp.at('2027-03-10 10:00+00');
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.workflow = 'doubt' ORDER BY 1;
SELECT mfiauto.archive_workflow('doubt') IS NOT NULL AS archived;

-- A paused workflow plans nothing and its clock runs on; what came up meanwhile enters when it goes on. max_per_day.
SELECT mfiauto.create_workflow('paused', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-5 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "-2 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "+1 day 09:00", "send": "late", "channels": ["sms"]}]}') > 0 AS created;
SELECT mfiauto._set_clock('2027-04-01 08:00+00');
SELECT mfiauto.activate_workflow('paused') AS version;
INSERT INTO bank.installment (id, loan_id, due_date) SELECT 2000 + g, 10 + g, '2027-04-16' FROM generate_series(1, 2) g;
SELECT * FROM pg_temp.at('2027-04-02 08:00+00');
SELECT mfiauto.pause_workflow('paused');
INSERT INTO bank.installment (id, loan_id, due_date) SELECT 2000 + g, 10 + g, '2027-04-17' FROM generate_series(3, 4) g;
SELECT * FROM pg_temp.at('2027-04-12 09:00+00');
UPDATE bank.installment SET paid = due WHERE id = 2001;
SELECT * FROM pg_temp.at('2027-04-14 10:00+00');
SELECT mfiauto.resume_workflow('paused');
SELECT * FROM pg_temp.at('2027-04-14 11:00+00');
SELECT m.subject_id, m.step, concat_ws(': ', m.state, m.reason) AS outcome FROM mfiauto.message m WHERE m.workflow = 'paused' ORDER BY 1, 2;
UPDATE mfiauto.workflow_head SET max_per_day = 3 WHERE name = 'paused';
INSERT INTO bank.installment (id, loan_id, due_date) SELECT 2100 + g, 10 + g, date '2027-05-10' + g FROM generate_series(1, 8) g;
SELECT pg_temp.at(d) FROM unnest('{2027-05-03 08:00+00,2027-05-03 12:00+00,2027-05-04 08:00+00,2027-05-05 08:00+00,2027-05-06 08:00+00}'::timestamptz[]) d;
SELECT e.entered_at::date, array_agg(e.subject_id ORDER BY e.subject_id) FROM mfiauto.enrollment e WHERE e.subject_id > 2100 GROUP BY 1 ORDER BY 1;

-- The next channel: what delivery gave up on one channel is said on the next, once, within its time.
UPDATE bank.installment SET paid = due;
SELECT mfiauto.create_workflow('channels', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-2 days 09:00", "send": "before", "channels": ["sms", "voice"]}]}') > 0 AS created;
SELECT mfiauto._set_clock('2027-06-01 08:00+00');
SET client_min_messages = error;
SELECT mfiauto.archive_workflow('paused') IS NOT NULL AS archived, mfiauto.activate_workflow('channels') AS version;
INSERT INTO bank.installment (id, loan_id, due_date) SELECT 2200 + g, 10 + g, '2027-06-10' FROM generate_series(1, 3) g;
SELECT * FROM pg_temp.at('2027-06-08 09:00+00');
CREATE FUNCTION pg_temp.give_up() RETURNS void LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM mfiauto.outbox RETURNING *),
  failed AS (UPDATE mfiauto.message_ledger m SET state = 'failed', reason = 'gateway_rejected' FROM gone g WHERE m.client_id = g.client_id AND m.message_id = g.message_id RETURNING m.*)
  SELECT mfiauto._journal_append(0, 'm', f.message_id, f.client_id) FROM failed f ORDER BY f.message_id $$;
SELECT pg_temp.give_up();
UPDATE bank.installment SET paid = due WHERE id = 2202;
SELECT * FROM pg_temp.at('2027-06-08 10:00+00');
SELECT * FROM pg_temp.at('2027-06-08 10:00+00');
SELECT m.client_id, m.channel, concat_ws(': ', m.state, m.reason) AS outcome, m.due_at, m.expires_at FROM mfiauto.message m WHERE m.workflow = 'channels' ORDER BY m.client_id, m.message_id;
-- No further channel, and no time left.
SELECT pg_temp.give_up();
SELECT * FROM pg_temp.at('2027-06-09 10:00+00');

-- A goal that ends the run; and one of another loan that does not count.
SELECT mfiauto.create_workflow('goal', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "goal": {"event": "Payment Received", "within": "2 days"}, "exit_on_goal": true,
  "steps": [{"at": "-5 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "0 days 09:00", "send": "today", "channels": ["sms"]}]}') > 0 AS created;
SELECT mfiauto.activate_workflow('goal') AS version;
INSERT INTO bank.loan (id, client_id) VALUES (91, 1);
INSERT INTO bank.installment (id, loan_id, due_date) VALUES (2301, 11, '2027-07-10'), (2302, 12, '2027-07-10'), (2303, 91, '2027-07-10');
SELECT pg_temp.at(d) FROM unnest('{2027-07-01 09:00+00,2027-07-05 09:00+00}'::timestamptz[]) d;
INSERT INTO bank.payment VALUES (31, 11, '2027-07-06 10:00+00', 10), (32, 12, '2027-07-08 10:00+00', 10), (33, 91, '2027-07-05 08:00+00', 10);
SELECT * FROM pg_temp.at('2027-07-08 12:00+00');
SELECT e.subject_id, e.state, e.reason, g.step_no, g.reached_at FROM mfiauto.enrollment e LEFT JOIN mfiauto.goal_hit g ON g.enrollment_id = e.enrollment_id WHERE e.workflow = 'goal' ORDER BY 1;

-- A word that is missing holds the message; when the books have it, it goes on, to be composed anew at the claim.
UPDATE bank.client SET name = NULL WHERE id = 5;
INSERT INTO bank.installment (id, loan_id, due_date) VALUES (2401, 15, '2027-08-12'), (2402, 16, '2027-08-12');
SELECT pg_temp.at(d) FROM unnest('{2027-08-01 09:00+00,2027-08-07 09:00+00}'::timestamptz[]) d;
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.subject_id IN (2401, 2402) ORDER BY 1;
UPDATE bank.client SET name = 'Ebou' WHERE id = 5;
SELECT * FROM pg_temp.at('2027-08-07 10:00+00');
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.subject_id IN (2401, 2402) ORDER BY 1;

-- Bad input.
SELECT mfiauto.unpark(NULL);
SELECT mfiauto.cancel_messages('nothing');
SELECT mfiauto.cancel_messages('goal');
