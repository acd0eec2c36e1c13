-- W10 new version without losing people: 300 clients anywhere in a workflow go over to a new version; enrollments neither lost nor doubled, no message twice.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); PERFORM mfiauto.run_engine(); END $$;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE WHEN g % 3 = 0 THEN 'low' ELSE 'high' END FROM generate_series(1, 300) g;
-- The steps as text: the lessons of version 1, and version 2: a lesson in the middle has another text, one is new, one is gone, one wait is longer.
SELECT mfiauto._set_clock('2026-03-02 06:00+00');
SELECT mfiauto.create_workflow('series', '{"trigger": {"event": "Series Started"}, "class": "transactional", "holdout": 0, "steps": [
  {"send": "welcome", "channels": ["sms"]}, {"wait": "1 day"},
  {"if": "client.literacy = ''low''", "then": [{"send": "before", "channels": ["voice"]}, {"wait": "1 day"}, {"send": "today", "channels": ["voice"]}],
                                      "else": [{"send": "before", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "today", "channels": ["sms"]}]},
  {"wait": "1 day"}, {"send": "late", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "late_low", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.activate_workflow('series') AS version;
-- 50 start each day, six days long.
\o /dev/null
SELECT s.text FROM generate_series(0, 5) d CROSS JOIN LATERAL (VALUES
  (1, format('SELECT mfiauto._set_clock(%L)', '2026-03-02 08:00+00'::timestamptz + make_interval(days => d))),
  (2, format('SELECT count(mfiauto.track(''Series Started'', c)) FROM generate_series(%s, %s) c', d * 50 + 1, d * 50 + 50)),
  (3, 'SELECT * FROM mfiauto.run_engine()')) AS s(no, text) ORDER BY d, s.no \gexec
\o
SELECT e.step, count(*) FROM mfiauto.enrollment e GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE before AS SELECT e.enrollment_id, e.client_id, e.step FROM mfiauto.enrollment e;
SELECT mfiauto.create_workflow('series', '{"trigger": {"event": "Series Started"}, "class": "transactional", "steps": [
  {"send": "welcome", "channels": ["sms"]}, {"wait": "1 day"},
  {"if": "client.literacy = ''low''", "then": [{"send": "before", "channels": ["voice"]}, {"wait": "1 day"}, {"send": "today", "channels": ["voice"]}],
                                      "else": [{"send": "before", "channels": ["sms"]}, {"wait": "2 days"}, {"send": "today", "channels": ["sms"], "expires": "2 days"}]},
  {"wait": "1 day"}, {"task": "Call {{client.name}}"}, {"wait": "1 hour"}, {"send": "late", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT p.from_version, p.from_step, p.to_version, p.to_step, p.outcome, p.runs FROM mfiauto.preview_move('series') p;
SELECT mfiauto.activate_workflow('series', running => 'move') AS version;
-- The preview said who would go where.
SELECT e.version, b.step AS from_step, e.step AS to_step, count(*) FROM mfiauto.enrollment e JOIN before b USING (enrollment_id) GROUP BY 1, 2, 3 ORDER BY 2, 1;
\o /dev/null
SELECT s.text FROM generate_series(6, 14) d CROSS JOIN LATERAL (VALUES
  (1, format('SELECT mfiauto._set_clock(%L)', '2026-03-02 10:00+00'::timestamptz + make_interval(days => d))),
  (2, 'SELECT * FROM mfiauto.run_engine()')) AS s(no, text) ORDER BY d, s.no \gexec
\o
-- The same runs as before, each once, all at the end.
SELECT count(*) AS runs, count(DISTINCT e.client_id) AS clients, count(*) FILTER (WHERE e.state = 'completed') AS completed,
       count(*) FILTER (WHERE b.enrollment_id IS NULL) AS new, (SELECT count(*) FROM before) AS before
  FROM mfiauto.enrollment e LEFT JOIN before b USING (enrollment_id);
-- What each must have been told, by where he stood: what lay behind him by version 1, the rest by version 2; the lesson that is gone, who had it behind him or stood at it.
CREATE TEMP TABLE expected AS
  SELECT b.client_id, w.place, w.word, w.channel
    FROM before b
   CROSS JOIN LATERAL (SELECT CASE WHEN b.client_id % 3 = 0 THEN 'voice' ELSE 'sms' END AS channel, coalesce(b.step IN ('steps[6]', 'steps[8]'), true) AS is_late) k
   CROSS JOIN LATERAL (VALUES (1, 'welcome', 'sms', true), (2, 'before', k.channel, true), (3, 'today', k.channel, true), (4, 'late', 'sms', true),
                              (5, 'late_low', 'sms', k.is_late), (6, 'thanks', 'sms', true)) AS w(place, word, channel, is_told)
   WHERE w.is_told;
SELECT count(*) AS told, count(*) FILTER (WHERE x.word IS NULL) AS unexpected, count(*) FILTER (WHERE m.word IS NULL) AS missing
  FROM (SELECT m.client_id, row_number() OVER (PARTITION BY m.client_id ORDER BY m.message_id) AS place, split_part(m.body, ' ', 1) AS word, m.channel FROM mfiauto.message m) m
  FULL JOIN (SELECT x.client_id, row_number() OVER (PARTITION BY x.client_id ORDER BY x.place) AS place, x.word, x.channel FROM expected x) x USING (client_id, place, word, channel);
-- The new task came to those who had not passed its place, once.
SELECT b.step, count(t.task_id) AS tasks, count(DISTINCT b.client_id) AS clients FROM before b LEFT JOIN mfiauto.task t USING (client_id) GROUP BY 1 ORDER BY 1;
