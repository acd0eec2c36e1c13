-- Set-based: the number of statements that a pass executes, nested ones too, does not depend on how many runs are due.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 20,
  "enter_if": "installment.amount_due > 0", "exit_if": "installment.amount_paid >= installment.amount_due", "goal": {"event": "Payment Received", "within": "3 days"},
  "steps": [{"at": "-7 days 09:00", "send": "before", "channels": ["sms"]},
            {"at": "-3 days 09:00", "if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
            {"at": "0 days 09:00", "task": "Visit {{client.name}}"}]}') AS version;
SELECT mfiauto.create_workflow('v', '{"trigger": {"event": "Loan Disbursed"}, "class": "transactional", "steps": [{"wait": "2 hours"}, {"send": "welcome", "channels": ["sms"]},
  {"wait": "1 day"}, {"task": "Call {{client.name}}", "due": "1 day"}]}') AS version;
UPDATE mfiauto.workflow_head SET salt = 'salt';
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.activate_workflow('w'), mfiauto.activate_workflow('v');
CREATE FUNCTION pg_temp.fill(since integer, until integer, due date) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217' || lpad((70000000 + g)::text, 8, '0'), 'Africa/Dakar', CASE WHEN g % 2 = 0 THEN 'low' ELSE 'high' END FROM generate_series(since, until) g;
  INSERT INTO bank.member SELECT g, g FROM generate_series(since, until) g WHERE g % 5 = 0;
  INSERT INTO bank.loan (id, client_id) SELECT g, CASE WHEN g % 5 <> 0 THEN g END FROM generate_series(since, until) g;
  INSERT INTO bank.installment (id, loan_id, number, due_date) SELECT g, g, 1, due FROM generate_series(since, until) g $$;
CREATE TABLE public.pass (size text, what text, advanced bigint, messages bigint, statements bigint);
CREATE FUNCTION pg_temp.go(size text, what text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE tally record;
BEGIN
  PERFORM mfiauto._set_clock(at);
  SELECT * INTO tally FROM mfiauto.run_engine();
  INSERT INTO public.pass VALUES (size, what, tally.advanced + tally.entered + tally.exited, tally.messages, mfiauto._engine_statements());
END $$;
-- Twenty runs, then a thousand, through the same days of two weeks.
SELECT pg_temp.fill(1, 20, '2026-01-21');
SELECT pg_temp.go('few', '1 enter', '2026-01-05 09:00+00'), pg_temp.go('few', '1 wait', '2026-01-05 11:00+00'), pg_temp.go('few', '2 send', '2026-01-14 09:00+00'), pg_temp.go('few', '3 branch', '2026-01-17 09:00+00');
UPDATE bank.installment SET paid = due WHERE id % 4 = 0;
SELECT pg_temp.go('few', '4 exit', '2026-01-19 09:00+00'), pg_temp.go('few', '5 task', '2026-01-21 09:00+00');
SELECT pg_temp.fill(1001, 2000, '2026-02-18');
SELECT pg_temp.go('many', '1 enter', '2026-02-02 09:00+00'), pg_temp.go('many', '1 wait', '2026-02-02 11:00+00'), pg_temp.go('many', '2 send', '2026-02-11 09:00+00'), pg_temp.go('many', '3 branch', '2026-02-14 09:00+00');
UPDATE bank.installment SET paid = due WHERE id % 4 = 0 AND id > 1000;
SELECT pg_temp.go('many', '4 exit', '2026-02-16 09:00+00'), pg_temp.go('many', '5 task', '2026-02-18 09:00+00');
-- A batch of profiles that the clock makes due is at most 100 statements, whoever is in it.
SELECT f.what, f.advanced AS few, m.advanced AS many, f.messages AS few_messages, m.messages AS many_messages,
       CASE WHEN m.statements <= f.statements + 100 THEN 'same' ELSE format('%s statements became %s', f.statements, m.statements) END AS statements
  FROM public.pass f JOIN public.pass m USING (what) WHERE f.size = 'few' AND m.size = 'many' ORDER BY 1;
