-- Lists that are repeated: rounds, the budget, "until", one inside another; what each round sends and asks for is its own; exits, goals, holdout, pauses and parked errors hold in every round.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset null -
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
CREATE VIEW public.run AS
  SELECT e.workflow, e.client_id, e.state, e.reason, e.step, to_char(e.due_at, 'MM-DD HH24:MI') AS due,
         (SELECT string_agg(concat_ws(' ', to_char(m.due_at, 'MM-DD'), concat(s.template, m.repetition), nullif(m.state, 'queued')), ', ' ORDER BY m.due_at, m.message_id)
            FROM mfiauto.message_ledger m JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no) WHERE m.client_id = e.client_id AND m.enrollment_id = e.enrollment_id) AS messages,
         (SELECT string_agg(d.reason || coalesce(' ' || d.detail, ''), ', ' ORDER BY d.decision_id) FROM mfiauto.decision_log d
           WHERE d.client_id = e.client_id AND d.enrollment_id = e.enrollment_id AND d.decision = 'repeated') AS rounds
    FROM mfiauto.enrollment e;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE WHEN g = 4 THEN 'done' ELSE 'low' END FROM generate_series(1, 40) g;

-- A message and a task a week, four rounds at most, until the client has done it; after it, thanks.
SELECT mfiauto.create_workflow('weekly', '{"trigger": {"event": "Began"}, "exit_if": "client.literacy = ''left''", "goal": {"event": "Done", "within": "3 days"}, "exit_on_goal": true, "holdout": 30, "reentry": "always", "steps": [
  {"send": "welcome", "channels": ["sms"]},
  {"repeat": [{"send": "late", "channels": ["sms"]}, {"task": "Call {{client.name}}", "due": "1 day"}, {"wait": "7 days"}], "at_most": 4, "until": "client.literacy = ''done''"},
  {"send": "thanks", "channels": ["sms"]}]}') AS version;
UPDATE mfiauto.workflow_head SET salt = 'salt';
SELECT mfiauto._set_clock('2026-03-02 08:00+00');
SELECT mfiauto.activate_workflow('weekly');
SELECT sum(events) AS events FROM pg_temp.at('2026-03-02 08:00+00');
SELECT count(mfiauto.track('Began', c)) FROM generate_series(1, 7) c;
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');
SELECT * FROM pg_temp.at('2026-03-09 09:00+00');
UPDATE bank.client SET literacy = 'done' WHERE id = 1;
UPDATE bank.client SET literacy = 'left' WHERE id = 2;
SELECT mfiauto.track('Done', 5, '{}', '2026-03-10 09:00+00') > 0 AS told;
SELECT * FROM pg_temp.at('2026-03-10 09:00+00');
SELECT mfiauto.pause_workflow('weekly');
SELECT * FROM pg_temp.at('2026-03-17 09:00+00');
SELECT mfiauto.resume_workflow('weekly');
SELECT * FROM pg_temp.at('2026-03-18 09:00+00');
SELECT * FROM pg_temp.at('2026-04-20 09:00+00');
SELECT r.client_id, r.state, r.reason, r.step, r.messages, r.rounds FROM public.run r ORDER BY 1;
SELECT t.client_id, string_agg(concat_ws(' ', to_char(t.due_at, 'MM-DD'), t.state, nullif(t.repetition, '')), ', ' ORDER BY t.due_at) AS tasks FROM mfiauto.task t GROUP BY 1 ORDER BY 1;
SELECT g.client_id, s.template, g.repetition FROM mfiauto.goal_hit g JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no) ORDER BY 1, 2, 3;
-- The second time is another run, with rounds of its own.
SELECT mfiauto.track('Began', 3) > 0 AS again;
SELECT * FROM pg_temp.at('2026-04-21 09:00+00');
SELECT r.messages, r.rounds FROM public.run r WHERE r.client_id = 3 AND r.state = 'active';

-- One inside another: no two rounds are taken for one. The inner one waits for something that comes in one of its rounds.
SELECT mfiauto.create_workflow('nested', '{"trigger": {"event": "Nested"}, "class": "transactional", "steps": [
  {"repeat": [{"send": "before"},
              {"repeat": [{"send": "today"}, {"wait_for": {"event": "Clicked"}, "timeout": "1 day", "then": [{"send": "thanks"}]}], "at_most": 2, "until": "client.literacy = ''high''"},
              {"wait": {"for": "1 day", "until": "monday 08:00"}}, {"send": "late"}], "at_most": 3}]}') AS version;
SELECT mfiauto.activate_workflow('nested');
SELECT mfiauto._set_clock('2026-05-04 09:00+00');
SELECT count(mfiauto.track('Nested', c)) FROM generate_series(11, 12) c;
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-05-04 09:00+00', '2026-05-12 09:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
SELECT mfiauto.track('Clicked', 11) > 0 AS clicked;
UPDATE bank.client SET literacy = 'high' WHERE id = 12;
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-05-12 10:00+00', '2026-06-12 10:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
SELECT r.client_id, r.state, r.messages FROM public.run r WHERE r.workflow = 'nested' ORDER BY 1;
SELECT r.client_id, r.rounds FROM public.run r WHERE r.workflow = 'nested' ORDER BY 1;
SELECT count(*) AS keys, count(DISTINCT (k.client_id, k.enrollment_id, k.step_no, k.repetition, k.channel)) AS different FROM mfiauto.message_key k;

-- The engine was away for three weeks: the rounds that should have been follow one another at their own times; what is too late to be said expires.
SELECT mfiauto.create_workflow('away', '{"trigger": {"event": "Away"}, "class": "transactional", "steps": [{"repeat": [{"send": "late"}, {"wait": "7 days"}], "at_most": 5}]}') AS version;
SELECT mfiauto.activate_workflow('away');
SELECT mfiauto.track('Away', 21) > 0 AS told;
SELECT * FROM pg_temp.at('2026-06-13 09:00+00');
SELECT * FROM pg_temp.at('2026-07-04 10:00+00');
SELECT r.state, r.due, r.messages FROM public.run r WHERE r.workflow = 'away';

-- A condition that fails in the third round parks the run there; it goes on in that round.
SELECT mfiauto.create_workflow('fails', '{"trigger": {"event": "Fails"}, "class": "transactional", "steps": [{"repeat": [{"send": "late"}, {"wait": "1 day"}], "at_most": 5, "until": "1 / (client.officer_id - 5) > 5"}]}') AS version;
SELECT mfiauto.activate_workflow('fails');
SELECT count(mfiauto.track('Fails', c)) FROM generate_series(31, 32) c;
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-07-06 09:00+00', '2026-07-07 09:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
UPDATE bank.client SET officer_id = 5 WHERE id = 31;
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-07-08 09:00+00', '2026-07-09 09:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
SELECT r.client_id, r.state, r.reason, r.rounds FROM public.run r WHERE r.workflow = 'fails' ORDER BY 1;
UPDATE bank.client SET officer_id = 7 WHERE id = 31;
SELECT mfiauto.unpark('fails');
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-07-09 10:00+00', '2026-07-15 10:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
SELECT r.client_id, r.state, r.rounds, r.messages FROM public.run r WHERE r.workflow = 'fails' ORDER BY 1;
