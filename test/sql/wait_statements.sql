-- Set-based: the statements that a pass executes do not grow with the runs that wait, branch, go round or fall back.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto.create_workflow('w', '{"trigger": {"event": "Began"}, "class": "transactional", "steps": [
  {"switch": [{"if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}]}, {"if": "client.literacy = ''none''", "then": []}], "else": [{"send": "late", "channels": ["sms"]}]},
  {"split": {"a": 1, "b": 1}, "steps": {"a": [], "b": [{"send": "before", "channels": ["sms", "voice"], "fallback_after": "2 hours"}]}},
  {"wait": {"between": ["1 second", "1 hour"]}}, {"wait": {"working_days": 1, "until": "10:00"}},
  {"repeat": [{"wait_for": {"event": "Clicked", "if": "event.properties ? ''n''", "since": "entry"}, "timeout": "1 day"}, {"wait_for": {"sql": "client.literacy = ''high''"}, "timeout": "1 day"}], "at_most": 2},
  {"wait": {"date": "date ''2026-02-10''", "until": "10:00"}}]}') AS version;
UPDATE mfiauto.workflow_head SET salt = 'salt';
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.activate_workflow('w');
CREATE TABLE public.pass (size text, what text, advanced bigint, messages bigint, statements bigint);
CREATE FUNCTION pg_temp.go(size text, what text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE tally record;
BEGIN
  PERFORM mfiauto._set_clock(at);
  SELECT * INTO tally FROM mfiauto.run_engine();
  INSERT INTO public.pass VALUES (size, what, tally.advanced + tally.entered + tally.exited, tally.messages, mfiauto._engine_statements());
END $$;
-- Runs through two weeks: what is said leaves and is not heard of; a third clicks, a third becomes literate.
CREATE FUNCTION pg_temp.live(size text, since integer, until integer, monday date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217' || lpad((70000000 + g)::text, 8, '0'), 'Africa/Dakar', CASE g % 4 WHEN 0 THEN 'low' WHEN 1 THEN 'none' ELSE 'middle' END FROM generate_series(since, until) g;
  PERFORM mfiauto._set_clock(monday + time '08:00' AT TIME ZONE 'UTC');
  PERFORM mfiauto.run_engine();
END $$;
CREATE FUNCTION pg_temp.enter(since integer, until integer) RETURNS bigint LANGUAGE sql AS $$ SELECT count(mfiauto.track('Began', c)) FROM generate_series(since, until) c $$;
CREATE FUNCTION pg_temp.change(since integer, until integer) RETURNS void LANGUAGE sql AS $$
  SELECT mfiauto.track('Clicked', c, '{"n": 1}') FROM generate_series(since, until) c WHERE c % 3 = 0;
  UPDATE bank.client SET literacy = 'high' WHERE id BETWEEN since AND until AND id % 3 = 1;
  DELETE FROM mfiauto.outbox;
  UPDATE mfiauto.message_ledger SET state = 'sent', sent_at = due_at WHERE client_id BETWEEN since AND until AND state = 'queued';
$$;
SELECT pg_temp.live('few', 1, 24, '2026-01-05');
SELECT pg_temp.enter(1, 24);
SELECT pg_temp.go('few', '1 enter', '2026-01-05 09:00+00');
SELECT pg_temp.go('few', '2 window', '2026-01-05 10:00+00');
SELECT pg_temp.go('few', '3 working day', '2026-01-06 10:00+00');
SELECT pg_temp.change(1, 24);
SELECT pg_temp.go('few', '4 wake, fall back', '2026-01-06 12:00+00');
SELECT pg_temp.go('few', '5 time-out', '2026-01-07 10:00+00');
SELECT pg_temp.go('few', '6 next round', '2026-01-09 12:00+00');
SELECT pg_temp.live('many', 1001, 1900, '2026-01-19');
SELECT pg_temp.enter(1001, 1900);
SELECT pg_temp.go('many', '1 enter', '2026-01-19 09:00+00');
SELECT pg_temp.go('many', '2 window', '2026-01-19 10:00+00');
SELECT pg_temp.go('many', '3 working day', '2026-01-20 10:00+00');
SELECT pg_temp.change(1001, 1900);
SELECT pg_temp.go('many', '4 wake, fall back', '2026-01-20 12:00+00');
SELECT pg_temp.go('many', '5 time-out', '2026-01-21 10:00+00');
SELECT pg_temp.go('many', '6 next round', '2026-01-23 12:00+00');
-- The profiles of those concerned are brought up to date in batches of their own, of some fifty statements: two more may be needed for 900 clients.
SELECT f.what, f.advanced > 0 AS few, m.advanced > 20 * f.advanced AS many, f.messages AS few_messages, m.messages AS many_messages,
       CASE WHEN m.statements <= f.statements + 120 THEN 'same' ELSE format('%s statements became %s', f.statements, m.statements) END AS statements
  FROM public.pass f JOIN public.pass m USING (what) WHERE f.size = 'few' AND m.size = 'many' ORDER BY 1;
SELECT e.state, count(*) FROM mfiauto.enrollment e GROUP BY 1 ORDER BY 1;
