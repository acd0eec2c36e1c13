-- W9: a simulation changes nothing (checksums of every table and every sequence), and every way through the workflow is taken at least once or listed.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-01-01 06:00+00');
\i test/lib/engine_books.sql
RESET client_min_messages;
\o /dev/null
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_template('reminder_before', channel => 'sms', body => '{{client.name}}: {{installment.balance_text}}, {{installment.due_date_text}}');
\o
-- Clients are low and high in literacy; every second one pays on the day before.
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE WHEN g % 2 = 0 THEN 'low' ELSE 'high' END FROM generate_series(1, 8) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 8) g;
INSERT INTO bank.installment SELECT 100 * g + m, 10 + g, m, date '2026-01-14' + m * 28, 1000, 0 FROM generate_series(1, 8) g, generate_series(0, 2) m;
SELECT events FROM mfiauto.run_engine();
SELECT mfiauto._set_clock('2026-04-30 06:00+00');
INSERT INTO bank.payment SELECT i.id, i.loan_id, i.due_date - 1 + time '10:00', 1000 FROM bank.installment i WHERE i.loan_id % 4 = 0;
UPDATE bank.installment SET paid = 1000 WHERE loan_id % 4 = 0;
SELECT events FROM mfiauto.run_engine();
-- Everything that there is, host and installation: rows of every table, last value of every sequence.
CREATE FUNCTION pg_temp.checksums() RETURNS TABLE (name text, value text) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  FOR r IN SELECT c.oid::regclass::text AS name, c.relkind FROM pg_class c WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'bank'::regnamespace, 'mfiauto_segment'::regnamespace) AND c.relkind IN ('r', 'S') LOOP
    name := r.name;
    IF r.relkind = 'S' THEN
      EXECUTE format('SELECT last_value || '' '' || is_called FROM %s', r.name) INTO value;
    ELSE
      EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(t.ctid::text || t.xmin::text || t::text, 0)), 0) FROM %s t', r.name) INTO value;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.checksums();
SELECT count(*) > 60 AS many FROM before;

-- In one transaction with the definition; nothing of either is left.
BEGIN;
SELECT mfiauto.create_workflow('repayment_reminder', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection",
  "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "steps": [
    {"at": "-7 days 09:00", "send": "reminder_before", "channels": ["sms"]},
    {"at":  "0 days 09:00", "send": "today", "channels": ["sms"]},
    {"at": "+3 days 09:00", "if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
    {"at": "+5 days 09:00", "if": "installment.amount_due > 5000", "then": [{"send": "late", "channels": ["voice"]}]},
    {"at": "+6 days 09:00", "task": "Visit {{client.name}}: {{installment.balance_text}}", "assign": "officer"}
  ]}') AS version;
CREATE TEMP TABLE checked AS SELECT * FROM pg_temp.checksums();
CREATE TEMP TABLE told AS SELECT * FROM mfiauto.simulate_workflow('repayment_reminder', from_date => '2026-01-01', to_date => '2026-03-31');
SELECT * FROM mfiauto.simulate_coverage('repayment_reminder', from_date => '2026-01-01', to_date => '2026-03-31');
SELECT count(*) AS changed FROM (TABLE checked EXCEPT SELECT * FROM pg_temp.checksums()) x;
SELECT due_at, step, channel, outcome, parts, cost, currency, approximate, note FROM told WHERE client_id = 2 AND subject_id = 200;
SELECT due_at, step, outcome, approximate FROM told WHERE client_id = 4 AND subject_id = 400;
SELECT outcome, channel, count(*), sum(cost) AS cost, count(*) FILTER (WHERE approximate) AS approximate FROM told GROUP BY outcome, channel ORDER BY outcome, channel;
ROLLBACK;
-- The number that create_workflow() drew is gone, as PostgreSQL has it.
SELECT x.name AS changed FROM (TABLE before EXCEPT SELECT * FROM pg_temp.checksums()) x ORDER BY 1;
SELECT mfiauto.now() AS clock_as_it_was;

-- A read-only transaction will do; and an error leaves the clock where it was.
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "1000 / (installment.installment_id - 200) < 0",
  "steps": [{"at": "0 days 09:00", "send": "today", "channels": ["sms"]}]}') AS version;
BEGIN READ ONLY;
SELECT outcome, count(*) FROM mfiauto.simulate_workflow('w', '2026-01-01', '2026-01-31') GROUP BY outcome ORDER BY outcome;
COMMIT;
SELECT mfiauto.now() AS clock_as_it_was;
SELECT mfiauto._move_clock('2000-01-01'), mfiauto.now() AS clock_as_it_was;

-- No lock of the engine is taken or waited for.
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('mfiauto engine')) IS NOT NULL AS held;
SELECT count(*) > 0 AS told FROM mfiauto.simulate_workflow('w', '2026-01-01', '2026-01-31');
COMMIT;

-- What cannot be simulated.
SELECT * FROM mfiauto.simulate_workflow('w', '2026-02-01', '2026-01-31');
SELECT * FROM mfiauto.simulate_workflow('w', '2026-01-01', '2028-06-01');
SELECT * FROM mfiauto.simulate_workflow('nobody', '2026-01-01', '2026-01-31');
SELECT * FROM mfiauto.simulate_workflow('w', NULL, '2026-01-31');
SELECT * FROM mfiauto.simulate_workflow('w', '2026-01-01', 'infinity');
SELECT * FROM mfiauto.simulate_workflow('w', '2026-01-01', '2026-01-31', payments => 'perhaps');
\o /dev/null
SET client_min_messages = error;
SELECT mfiauto.unbind('installment');
RESET client_min_messages;
\o
SELECT * FROM mfiauto.simulate_workflow('w', '2026-01-01', '2026-01-31');
