-- W6: wait until an event or a condition, with both edges; an event that came before the wait but after entry counts when asked; which came first is told by when it happened.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset null -
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
-- An event told of at a moment, without the engine looking.
CREATE FUNCTION pg_temp.tell(at timestamptz, name text, client bigint, properties jsonb DEFAULT '{}', subject text DEFAULT NULL, subject_id bigint DEFAULT NULL, occurred timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(at); PERFORM mfiauto.track(tell.name, client, tell.properties, occurred, tell.subject, tell.subject_id); END $$;
-- How each run stands: where, until when, what was decided at its waits, what it was sent when.
CREATE FUNCTION pg_temp.runs(name text) RETURNS TABLE (client bigint, state text, step text, due text, ways text, sent text) LANGUAGE sql AS $$
  SELECT e.client_id, e.state, e.step, to_char(e.due_at, 'MM-DD HH24:MI'),
         (SELECT string_agg(concat_ws(' ', to_char(d.decided_at, 'MM-DD HH24:MI'), d.reason, d.detail), ', ' ORDER BY d.decided_at, d.decision_id) FROM mfiauto.decision_log d
           WHERE d.client_id = e.client_id AND d.enrollment_id = e.enrollment_id AND d.decision = 'waited'),
         (SELECT string_agg(concat_ws(' ', l.template, to_char(m.due_at, 'MM-DD HH24:MI')), ', ' ORDER BY m.due_at, m.message_id) FROM mfiauto.message_ledger m
            JOIN mfiauto.workflow_step l USING (workflow_id, version, step_no) WHERE m.client_id = e.client_id AND m.enrollment_id = e.enrollment_id)
    FROM mfiauto.enrollment e WHERE e.workflow = name ORDER BY e.client_id, e.enrollment_id $$;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low' FROM generate_series(1, 30) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 30) g;
INSERT INTO bank.loan (id, client_id) SELECT 200 + g, g FROM generate_series(1, 30) g;

-- Both edges. The wait begins an hour after entry and lasts three days.
SELECT mfiauto.create_workflow('now', '{"trigger": {"event": "Began"}, "class": "transactional", "steps": [{"wait": "1 hour"},
  {"wait_for": {"event": ["Clicked", "Called"], "if": "(event.properties ->> ''n'')::integer > 1 AND client.literacy = ''low''"}, "timeout": "3 days",
   "then": [{"wait": "2 hours"}, {"send": "thanks"}], "timeout_steps": [{"send": "late"}]}]}') AS version;
SELECT mfiauto.create_workflow('entry', '{"trigger": {"event": "Began"}, "class": "transactional", "steps": [{"wait": "1 hour"},
  {"wait_for": {"event": ["Clicked", "Began"], "since": "entry"}, "timeout": "3 days", "then": [{"send": "thanks"}]}, {"send": "welcome"}]}') AS version;
SELECT mfiauto._set_clock('2026-03-02 08:00+00');
SELECT mfiauto.activate_workflow('now'), mfiauto.activate_workflow('entry');
SELECT * FROM pg_temp.at('2026-03-02 08:00+00');
SELECT pg_temp.tell('2026-03-02 08:59+00', 'Clicked', 6, '{"n": 9}'); -- before the entry
SELECT pg_temp.tell('2026-03-02 09:00+00', 'Began', c) FROM generate_series(1, 8) c;
-- Told before the engine came to the trigger; and by the same clock as the entry.
SELECT pg_temp.tell('2026-03-02 09:02+00', 'Clicked', 5, '{"n": 2}');
SELECT * FROM pg_temp.at('2026-03-02 09:05+00');
SELECT pg_temp.tell('2026-03-02 09:30+00', 'Clicked', 4, '{"n": 2}'); -- between entry and wait
SELECT * FROM pg_temp.at('2026-03-02 10:10+00');
SELECT * FROM pg_temp.runs('now');
SELECT * FROM pg_temp.runs('entry');
SELECT pg_temp.tell('2026-03-03 12:00+00', 'Clicked', 1, '{"n": 2}');
SELECT pg_temp.tell('2026-03-03 12:01+00', 'Called', 2, '{"n": 1}'); -- the condition is false
SELECT pg_temp.tell('2026-03-03 12:02+00', 'Called', 3, '{"n": 7}');
SELECT pg_temp.tell('2026-03-03 12:03+00', 'Closed', 4, '{"n": 7}'); -- not awaited
SELECT * FROM pg_temp.at('2026-03-03 12:30+00');
SELECT pg_temp.tell('2026-03-03 13:00+00', 'Clicked', 2, '{"n": 3}');
SELECT * FROM pg_temp.at('2026-03-03 15:00+00');
SELECT * FROM pg_temp.runs('now');
-- Race: the engine was away when the time was over (03-05 10:05) and looks later. What happened before wins, what happened after does not; also where it was told late.
SELECT pg_temp.tell('2026-03-05 10:04:59+00', 'Clicked', 5, '{"n": 2}');
SELECT pg_temp.tell('2026-03-05 10:05+00', 'Clicked', 6, '{"n": 2}');
SELECT pg_temp.tell('2026-03-05 11:00+00', 'Clicked', 7, '{"n": 2}', occurred => '2026-03-05 10:00+00');
SELECT * FROM pg_temp.at('2026-03-05 12:00+00');
SELECT * FROM pg_temp.at('2026-03-05 12:30+00');
SELECT * FROM pg_temp.runs('now');
SELECT * FROM pg_temp.runs('entry');
-- Nothing is left that waits; a later event changes nothing.
SELECT pg_temp.tell('2026-03-06 11:00+00', 'Clicked', c, '{"n": 5}') FROM generate_series(1, 8) c;
SELECT * FROM pg_temp.at('2026-03-06 12:00+00');

-- A run about a loan waits for that loan's events; an event of the client's that names no loan counts. The condition sees the run's own loan.
SELECT mfiauto.create_workflow('loan', '{"trigger": {"event": "Offered"}, "for_each": "loan", "class": "transactional", "steps": [
  {"wait_for": {"event": "Signed", "if": "loan.loan_id < 300"}, "timeout": "3 days", "then": [{"send": "thanks"}]}]}') AS version;
SELECT mfiauto.activate_workflow('loan');
SELECT pg_temp.tell('2026-03-10 09:00+00', 'Offered', c, '{}', 'loan', 100 + c) FROM generate_series(11, 14) c;
SELECT * FROM pg_temp.at('2026-03-10 09:00+00');
SELECT pg_temp.tell('2026-03-10 10:00+00', 'Signed', 11, '{}', 'loan', 111), pg_temp.tell('2026-03-10 10:00+00', 'Signed', 12, '{}', 'loan', 212), pg_temp.tell('2026-03-10 10:00+00', 'Signed', 13);
SELECT * FROM pg_temp.at('2026-03-10 10:00+00');
SELECT * FROM pg_temp.runs('loan');

-- A condition: asked when it begins, when the books touch the client, and every two hours; else the time-out.
SELECT mfiauto.create_workflow('sql', '{"trigger": {"event": "Asked"}, "class": "transactional", "exit_if": "client.literacy = ''left''", "steps": [
  {"wait_for": {"sql": "client.literacy = ''high'' OR (client.client_id = 23 AND mfiauto.now() >= ''2026-03-12 13:30+00'')", "check_every": "2 hours"}, "timeout": "2 days", "then": [{"send": "thanks"}], "timeout_steps": [{"send": "late"}]}]}') AS version;
SELECT mfiauto.activate_workflow('sql');
UPDATE bank.client SET literacy = 'high' WHERE id = 21;
SELECT * FROM pg_temp.at('2026-03-12 08:00+00');
SELECT pg_temp.tell('2026-03-12 09:00+00', 'Asked', c) FROM generate_series(21, 25) c;
SELECT * FROM pg_temp.at('2026-03-12 09:00+00');
SELECT * FROM pg_temp.runs('sql');
UPDATE bank.client SET literacy = 'high' WHERE id = 22;
UPDATE bank.client SET literacy = 'left' WHERE id = 25;
SELECT * FROM pg_temp.at('2026-03-12 09:10+00');
SELECT * FROM pg_temp.at('2026-03-12 11:00+00');
SELECT * FROM pg_temp.at('2026-03-12 13:00+00');
SELECT * FROM pg_temp.at('2026-03-12 15:00+00');
SELECT * FROM pg_temp.at('2026-03-14 09:00+00');
SELECT * FROM pg_temp.runs('sql');

-- Paused: nothing is decided; what happened meanwhile counts when it goes on, and so does the time.
SELECT pg_temp.tell('2026-03-16 09:00+00', 'Began', c) FROM generate_series(15, 17) c;
SELECT * FROM pg_temp.at('2026-03-16 10:00+00');
SELECT mfiauto.pause_workflow('now');
SELECT pg_temp.tell('2026-03-17 09:00+00', 'Clicked', 15, '{"n": 2}');
SELECT * FROM pg_temp.at('2026-03-17 09:00+00');
SELECT pg_temp.tell('2026-03-21 09:00+00', 'Clicked', 16, '{"n": 2}');
SELECT * FROM pg_temp.at('2026-03-21 09:00+00');
SELECT mfiauto.resume_workflow('now');
SELECT * FROM pg_temp.at('2026-03-21 09:10+00');
SELECT * FROM pg_temp.runs('now') WHERE client >= 15;

-- A condition that fails for one client parks that one; tried again, what came meanwhile is found.
SELECT pg_temp.tell('2026-03-23 09:00+00', 'Began', c) FROM generate_series(18, 20) c;
SELECT * FROM pg_temp.at('2026-03-23 10:00+00');
SELECT pg_temp.tell('2026-03-23 10:30+00', 'Clicked', 18, '{"n": "many"}'), pg_temp.tell('2026-03-23 10:30+00', 'Clicked', 19, '{"n": 2}');
SELECT * FROM pg_temp.at('2026-03-23 10:30+00');
SELECT e.client_id, e.state, e.reason FROM mfiauto.enrollment e WHERE e.workflow = 'now' AND e.client_id >= 18 ORDER BY 1;
UPDATE mfiauto.event_log SET properties = '{"n": 3}' WHERE client_id = 18 AND properties ->> 'n' = 'many';
SELECT mfiauto.unpark('now');
SELECT * FROM pg_temp.at('2026-03-23 11:00+00');
SELECT * FROM pg_temp.runs('now') WHERE client >= 18;
SELECT x.at, x.step, x.detail FROM mfiauto.explain_client(18, 'now') x WHERE x.what IN ('waited', 'error', 'unparked', 'decision') ORDER BY 1;
