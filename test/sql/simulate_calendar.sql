-- simulate_calendar: yearly dates, silences, schedules of a segment and dates of other roles, lived through by the engine and simulated afterwards: the same.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-02-20 06:00+00');
\i test/lib/engine_books.sql
\o /dev/null
ALTER TABLE bank.client ADD born date, ADD joined date;
SELECT mfiauto.unbind('client');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "time_zone": "tz", "birth_date": "born", "joined_on": "joined"}');
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low', 7, date '1988-02-21' + g, date '2026-02-10' + g FROM generate_series(1, 9) g;
SELECT mfiauto.create_segment('odd', clients => '{1,3,5,7,9}');
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('birthday', '{"trigger": {"yearly": "client.birth_date", "at": "09:00", "minimum_years": 18}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}]}');
SELECT mfiauto.create_workflow('silent', '{"trigger": {"inactive": "Session Started", "for": "12 days"}, "class": "transactional", "reentry": "always", "steps": [{"send": "today", "channels": ["sms"]}]}');
SELECT mfiauto.create_workflow('mondays', '{"trigger": {"schedule": "0 9 * * mon", "segment": "odd"}, "class": "transactional", "steps": [{"send": "thanks", "channels": ["sms"]}]}');
SELECT mfiauto.create_workflow('joined', '{"for_each": "client", "anchor": "joined_on", "class": "transactional", "steps": [{"at": "+14 days 09:00", "send": "late", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow(w) FROM unnest('{birthday,silent,mondays,joined}'::text[]) w;
SELECT format('SELECT mfiauto._set_clock(%L)', d::date || ' 09:00+00'), format('SELECT mfiauto.track(''Session Started'', g) FROM generate_series(1, 9, 2) g WHERE %L = ''2026-02-26''', d::date),
       'SELECT * FROM mfiauto.run_engine()', 'SELECT d.sent FROM mfiauto.run_delivery() d WHERE EXISTS (SELECT FROM mfiauto.outbox)'
  FROM generate_series(date '2026-02-20', '2026-03-12', '1 day') d \gexec
\o
SELECT mfiauto._set_clock('2026-03-13 00:00+00');
CREATE TEMP TABLE real AS SELECT m.workflow, m.client_id, m.step, m.sent_at::date AS day FROM mfiauto.message m WHERE m.sent_at IS NOT NULL;
CREATE TEMP TABLE told AS
  SELECT w.name AS workflow, s.client_id, s.step, s.due_at::date AS day FROM unnest('{birthday,silent,mondays,joined}'::text[]) AS w(name), mfiauto.simulate_workflow(w.name, '2026-02-20', '2026-03-12') s WHERE s.outcome = 'sent';
SELECT workflow, count(*) FROM real GROUP BY workflow ORDER BY workflow;
SELECT 'engine' AS only_in, x.* FROM (TABLE real EXCEPT ALL TABLE told) x
UNION ALL
SELECT 'simulation', x.* FROM (TABLE told EXCEPT ALL TABLE real) x ORDER BY 1, 2, 3, 4, 5;
