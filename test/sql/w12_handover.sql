-- W12 handover: the reminder path ends in 1 task only for those still unpaid at D+3; what the agent says feeds the workflow.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT r.entered, r.advanced, r.exited, r.messages, r.parked FROM mfiauto.run_engine() r; END $$;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 60) g;
INSERT INTO bank.loan (id, client_id, officer_id) SELECT 100 + g, g, g % 3 FROM generate_series(1, 60) g;
-- The path of reminders hands those who are late at D+3 over to a workflow of its own, in which people work.
SELECT mfiauto.create_workflow('collection', '{"trigger": {"manual": true}, "for_each": "installment", "class": "collection", "reentry": "always",
  "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [
    {"task": "Visit {{client.name}}: {{installment.balance_text}}", "assign": "officer", "due": "2 days", "timeout": "5 days",
     "outcomes": {"promised": [{"wait": "3 days"}, {"task": "Call {{client.name}} about the promise", "assign": "call center"}],
                  "not_found": [{"send": "late", "channels": ["sms"]}],
                  "refused": []},
     "timeout_steps": [{"emit": "Visit Missed"}]},
    {"set": {"visited": true}}]}') AS version;
SELECT mfiauto.create_workflow('reminder', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "0 days 09:00", "send": "today", "channels": ["sms"]}, {"at": "+3 days 09:00", "enroll": "collection"}]}') AS version;
SELECT mfiauto.create_workflow('plain', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "+3 days 09:00", "task": "Note {{client.name}}", "assign": "branch"}]}') AS version;
SELECT mfiauto._set_clock('2026-03-09 08:00+00');
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{collection,reminder,plain}'::text[]) w;
INSERT INTO bank.installment (id, loan_id, number, due_date, due) SELECT 1000 + g, 100 + g, 1, '2026-03-10', 5000 FROM generate_series(1, 60) g;
SELECT * FROM pg_temp.at('2026-03-09 09:00+00');
SELECT * FROM pg_temp.at('2026-03-10 09:00+00');
-- Every third pays before D+3, some of them the minute before; every fourth a part.
UPDATE bank.installment SET paid = due WHERE number = 1 AND (id - 1000) % 6 = 0;
UPDATE bank.installment SET paid = 1 WHERE (id - 1000) % 4 = 0 AND (id - 1000) % 3 <> 0;
SELECT * FROM pg_temp.at('2026-03-12 09:00+00');
UPDATE bank.installment SET paid = due WHERE (id - 1000) % 6 = 3;
SELECT * FROM pg_temp.at('2026-03-13 09:00+00');
-- One visit each for exactly those who are not paid up, to the officer of the loan.
SELECT count(*) AS tasks, count(DISTINCT t.client_id) AS clients, count(*) FILTER (WHERE i.paid >= i.due) AS paid, count(*) FILTER (WHERE t.assignee <> 'officer ' || l.officer_id) AS astray
  FROM mfiauto.open_task t JOIN bank.installment i ON i.id = t.subject_id JOIN bank.loan l ON l.id = i.loan_id WHERE t.workflow = 'collection';
SELECT count(*) AS unpaid_without FROM bank.installment i WHERE i.paid < i.due AND NOT EXISTS (SELECT FROM mfiauto.open_task t WHERE t.workflow = 'collection' AND t.subject_id = i.id);
SELECT assignee, due_at, is_overdue, client_id, title, outcomes FROM mfiauto.open_task WHERE workflow = 'collection' ORDER BY client_id LIMIT 3;
-- Again and again: no second one.
SELECT * FROM pg_temp.at('2026-03-13 09:00+00');
SELECT * FROM pg_temp.at('2026-03-14 09:00+00');
SELECT workflow, count(*) FROM mfiauto.open_task GROUP BY 1 ORDER BY 1;

-- What may be said, and what not.
CREATE FUNCTION pg_temp.task_of(client bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT t.task_id FROM mfiauto.open_task t WHERE t.client_id = client AND t.workflow = 'collection' $$;
CREATE FUNCTION pg_temp.refused(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  EXECUTE command;
  RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN NEXT state || ' ' || regexp_replace(message, 'task [0-9]+', 'task N');
  RETURN QUERY SELECT '  ' || l FROM unnest(ARRAY[detail, hint]) l WHERE l <> '';
END $$;
SELECT pg_temp.refused('SELECT mfiauto.close_task(NULL, ''promised'')');
SELECT pg_temp.refused('SELECT mfiauto.close_task(pg_temp.task_of(1))');
SELECT pg_temp.refused('SELECT mfiauto.close_task(pg_temp.task_of(1), repeat(''x'', 300))');
SELECT pg_temp.refused('SELECT mfiauto.close_task(pg_temp.task_of(1), ''promised'', repeat(''x'', 5000))');
SELECT pg_temp.refused('SELECT mfiauto.assign_task(pg_temp.task_of(1), '''')');
SELECT mfiauto.assign_task(pg_temp.task_of(1), 'officer 9');
SELECT mfiauto.close_task(pg_temp.task_of(1), 'promised', 'Will pay on Friday, his number is +221770000001');
SELECT pg_temp.refused('SELECT mfiauto.close_task(t.task_id, ''refused'') FROM mfiauto.task t WHERE t.client_id = 1 AND t.state = ''done''');
SELECT pg_temp.refused('SELECT mfiauto.assign_task(t.task_id, ''officer 1'') FROM mfiauto.task t WHERE t.client_id = 1 AND t.state = ''done''');
SELECT mfiauto.close_task(pg_temp.task_of(2), 'not_found');
SELECT mfiauto.close_task(pg_temp.task_of(4), 'refused');
-- The event tells what came of it, and nothing that the agent wrote.
SELECT * FROM pg_temp.at('2026-03-14 15:00+00');
SELECT e.client_id, e.name, e.subject, e.subject_id, e.properties - 'task_id' AS properties FROM mfiauto.event e WHERE e.name = 'Task Completed' ORDER BY 1;
SELECT t.client_id, t.state, t.outcome, t.assignee, t.note IS NOT NULL AS has_note, t.closed_by = current_user AS by_me, t.closed_at FROM mfiauto.task t WHERE t.state = 'done' ORDER BY 1;
SELECT e.client_id, e.state, e.step, e.due_at FROM mfiauto.enrollment e WHERE e.workflow = 'collection' AND e.client_id IN (1, 2, 4) ORDER BY 1;
SELECT m.client_id, m.step, m.state FROM mfiauto.message m WHERE m.workflow = 'collection' ORDER BY 1;
SELECT c.client_id, c.traits FROM mfiauto.client_trait c ORDER BY 1;
-- Client 5 pays: the agent is not to visit, of either workflow; the run that was through long ago has its task taken back too.
SELECT e.workflow, e.state FROM mfiauto.enrollment e WHERE e.client_id = 5 ORDER BY 1;
UPDATE bank.installment SET paid = due WHERE id = 1005;
SELECT * FROM pg_temp.at('2026-03-14 16:00+00');
SELECT e.workflow, t.state, t.outcome, t.closed_at FROM mfiauto.task t JOIN mfiauto.enrollment e USING (enrollment_id) WHERE t.client_id = 5 ORDER BY 1;
SELECT count(*) AS still_open FROM mfiauto.open_task WHERE client_id = 5;
SELECT l.detail FROM mfiauto.explain_client(5) l WHERE l.what = 'task' ORDER BY 1;
-- After five days without a word the runs go the way of the time-out, once, and the visit is off.
SELECT count(*) AS waiting FROM mfiauto.enrollment WHERE workflow = 'collection' AND step = 'steps[0]';
SELECT * FROM pg_temp.at('2026-03-18 08:59+00');
SELECT * FROM pg_temp.at('2026-03-18 09:00+00');
SELECT t.state, t.outcome, count(*) FROM mfiauto.task t JOIN mfiauto.enrollment e USING (enrollment_id) WHERE e.workflow = 'collection' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS missed, count(DISTINCT e.client_id) AS clients FROM mfiauto.event e WHERE e.name = 'Visit Missed';
SELECT l.what, l.detail FROM mfiauto.explain_client(7, 'collection') l WHERE l.step = 'steps[0]' ORDER BY l.at, l.what;
SELECT assignee, title FROM mfiauto.open_task WHERE workflow = 'collection' ORDER BY 1, 2;
-- A closed task counts when it was closed, however late the engine looks: not as timed out.
INSERT INTO bank.installment (id, loan_id, number, due_date, due) VALUES (2001, 101, 2, '2026-03-20', 5000), (2002, 102, 2, '2026-03-20', 5000);
SELECT * FROM pg_temp.at('2026-03-19 09:00+00');
SELECT * FROM pg_temp.at('2026-03-23 09:00+00');
SELECT mfiauto._set_clock('2026-03-27 09:00+00');
SELECT mfiauto.close_task(o.task_id, 'refused') FROM mfiauto.open_task o WHERE o.subject_id = 2001 AND o.workflow = 'collection';
SELECT * FROM pg_temp.at('2026-04-15 09:00+00');
SELECT e.subject_id, d.decision, d.reason, d.detail FROM mfiauto.decision_log d JOIN mfiauto.enrollment e USING (enrollment_id) WHERE d.decision = 'task' AND e.subject_id > 2000 ORDER BY 1;
-- Archived with a visit open: it is off.
INSERT INTO bank.installment (id, loan_id, number, due_date, due) VALUES (3001, 103, 3, '2026-04-17', 5000);
SELECT * FROM pg_temp.at('2026-04-16 09:00+00');
SELECT * FROM pg_temp.at('2026-04-20 09:00+00');
SELECT count(*) FROM mfiauto.open_task WHERE subject_id = 3001;
SELECT mfiauto.archive_workflow('collection');
SELECT t.state, t.outcome FROM mfiauto.task t JOIN mfiauto.enrollment e USING (enrollment_id) WHERE e.subject_id = 3001 AND e.workflow = 'collection';
