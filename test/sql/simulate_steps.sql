-- simulate_steps: counts of events, lists of branches, rounds and waits for a condition, lived through by the engine and simulated afterwards: the same.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-01-05 06:00+00');
\i test/lib/engine_books.sql
RESET client_min_messages;
\o /dev/null
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low' FROM generate_series(1, 9) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 9) g;
SELECT mfiauto.create_workflow('busy', '{"trigger": {"event": "Session Started", "count": 3, "within": "4 days"}, "class": "transactional", "reentry": "always", "steps": [
  {"switch": [{"if": "client.client_id % 3 = 0", "then": [{"send": "welcome", "channels": ["sms"]}]}, {"if": "client.client_id % 3 = 1", "then": [{"send": "thanks", "channels": ["sms"]}]}], "else": []},
  {"repeat": [{"wait": "1 day"}, {"send": "late", "channels": ["sms"]}], "at_most": 3, "until": "mfiauto.now() >= ''2026-01-16'' AND client.client_id > 4"}]}');
SELECT mfiauto.create_workflow('patient', '{"trigger": {"event": "Session Started", "if": "event.properties ->> ''n'' = ''1''"}, "for_each": "client", "class": "transactional", "steps": [
  {"wait_for": {"sql": "mfiauto.now() >= ''2026-01-10 09:00+00''", "check_every": "1 day"}, "timeout": "4 days", "then": [{"send": "before", "channels": ["sms"]}], "timeout_steps": [{"send": "today", "channels": ["sms"]}]},
  {"wait": {"date": "date ''2026-01-14''", "until": "09:00"}}, {"send": "late_low", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow('busy'), mfiauto.activate_workflow('patient');
-- Who starts how many sessions on which day: client n on every n-th day.
SELECT format('SELECT mfiauto._set_clock(%L)', d::date || ' 09:00+00'),
       format('SELECT mfiauto.track(''Session Started'', g, jsonb_build_object(''n'', %s / g)) FROM generate_series(1, 9) g WHERE %1$s %% g = 0', d::date - date '2026-01-04'),
       'SELECT * FROM mfiauto.run_engine()', 'SELECT d.sent FROM mfiauto.run_delivery() d WHERE EXISTS (SELECT FROM mfiauto.outbox)'
  FROM generate_series(date '2026-01-05', '2026-01-25', '1 day') d \gexec
\o
SELECT mfiauto._set_clock('2026-01-26 00:00+00');
CREATE TEMP TABLE real AS
  SELECT m.workflow, m.client_id, m.step, m.sent_at AS at FROM mfiauto.message m WHERE m.sent_at IS NOT NULL;
CREATE TEMP TABLE told AS
  SELECT w.name AS workflow, s.client_id, s.step, s.due_at FROM unnest('{busy,patient}'::text[]) AS w(name), mfiauto.simulate_workflow(w.name, '2026-01-05', '2026-01-25') s WHERE s.outcome = 'sent';
SELECT workflow, step, count(*) FROM real GROUP BY workflow, step ORDER BY workflow, step;
SELECT 'engine' AS only_in, x.* FROM (TABLE real EXCEPT ALL TABLE told) x
UNION ALL
SELECT 'simulation', x.* FROM (TABLE told EXCEPT ALL TABLE real) x ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM mfiauto.simulate_coverage('busy', '2026-01-05', '2026-01-25');
