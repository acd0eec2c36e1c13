-- T12: a broadcast by a schedule, each occurrence to all members, in the institution's zone and in each client's; a course whose lessons come in order, once, and whose place a pause keeps.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
-- Occurrences against every local minute of 14 months, in a zone that moves its clocks twice a year and one that does so around Ramadan.
CREATE TABLE public.minute AS
SELECT z.zone, m.at AS local, m.at AT TIME ZONE z.zone AS at, extract(minute FROM m.at) AS minute, extract(hour FROM m.at) AS hour, extract(day FROM m.at) AS day, extract(month FROM m.at) AS month, extract(dow FROM m.at) AS dow
  FROM unnest('{Europe/Paris,Africa/Casablanca}'::text[]) AS z(zone), generate_series(timestamp '2026-01-01', '2027-03-01', '1 minute') AS m(at)
 WHERE extract(minute FROM m.at)::integer % 15 = 0;
CREATE TABLE public.wanted AS
SELECT s.cron, m.zone, m.at FROM public.minute m
  JOIN (VALUES ('0 9 1 * *'), ('*/15 2,3 * * *'), ('30 2 * MAR,oct sun'), ('0 8-18/5 13 * fri'), ('45 23 */10 * mon-wed'), ('15 0 29-31 2,12 7'), ('0 12 1 1 *')) AS s(cron)
    ON CASE s.cron WHEN '0 9 1 * *' THEN m.minute = 0 AND m.hour = 9 AND m.day = 1
                   WHEN '*/15 2,3 * * *' THEN m.hour IN (2, 3)
                   WHEN '30 2 * MAR,oct sun' THEN m.minute = 30 AND m.hour = 2 AND m.month IN (3, 10) AND m.dow = 0
                   WHEN '0 8-18/5 13 * fri' THEN m.minute = 0 AND m.hour IN (8, 13, 18) AND (m.day = 13 OR m.dow = 5)
                   WHEN '45 23 */10 * mon-wed' THEN m.minute = 45 AND m.hour = 23 AND m.day IN (1, 11, 21, 31) AND m.dow BETWEEN 1 AND 3
                   WHEN '15 0 29-31 2,12 7' THEN m.minute = 15 AND m.hour = 0 AND m.month IN (2, 12) AND (m.day BETWEEN 29 AND 31 OR m.dow = 0)
                   ELSE m.minute = 0 AND m.hour = 12 AND m.day = 1 AND m.month = 1 END
 GROUP BY 1, 2, 3;
CREATE TABLE public.found AS
SELECT s.cron, s.zone, o AS at FROM (SELECT DISTINCT cron, zone FROM public.wanted) s CROSS JOIN LATERAL mfiauto._occurrences(s.cron, s.zone, '2026-01-02', '2027-02-20') o;
SELECT (SELECT count(*) FROM public.found) AS occurrences,
       (SELECT count(*) FROM (SELECT * FROM public.wanted WHERE at > '2026-01-02' AND at <= '2027-02-20' EXCEPT ALL TABLE public.found) m) AS missing,
       (SELECT count(*) FROM (TABLE public.found EXCEPT ALL SELECT * FROM public.wanted) s) AS surplus;
-- The next one after any moment is the least of those after it.
SELECT count(*) AS asked, count(*) FILTER (WHERE mfiauto._next_occurrence(f.cron, f.zone, f.at) IS DISTINCT FROM f.next_at) AS wrong
  FROM (SELECT f.*, lead(f.at) OVER (PARTITION BY f.cron, f.zone ORDER BY f.at) AS next_at FROM public.found f) f WHERE f.next_at IS NOT NULL AND md5(f.cron || f.zone || f.at) < '1';
SELECT o AT TIME ZONE 'Europe/Paris' AS local, o FROM mfiauto._occurrences('30 2 * * *', 'Europe/Paris', '2026-03-28 12:00+00', '2026-03-30 12:00+00') o
UNION ALL SELECT o AT TIME ZONE 'Europe/Paris', o FROM mfiauto._occurrences('30 2 * * *', 'Europe/Paris', '2026-10-24 12:00+00', '2026-10-26 12:00+00') o ORDER BY 2;
SELECT c, mfiauto._next_occurrence(c, 'UTC', '2026-03-01') FROM unnest('{0 0 29 2 *,0 0 29 2 */6,0 0 31 4 *}'::text[]) c;

-- Members of a list, in four zones, over a quarter: advice on the first of each month and each Friday the institution's nine, and at each client's own eight.
INSERT INTO bank.client (id, name, phone, tz) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), (ARRAY['Africa/Casablanca', 'Europe/Paris', 'America/New_York', NULL])[1 + g % 4] FROM generate_series(1, 12) g;
SELECT mfiauto.create_segment('readers', clients => '{1,2,3,4,5,6}') IS NOT NULL AS made;
SELECT mfiauto._set_clock('2026-03-01 09:30+00');
SELECT mfiauto.create_workflow('advice', '{"trigger": {"schedule": "0 9 1 * fri", "segment": "readers"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('own_time', '{"trigger": {"schedule": "0 8 * * mon", "segment": "readers", "zone": "client"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('advice'), mfiauto.activate_workflow('own_time');
CREATE PROCEDURE public.pass(first_at timestamptz, last_at timestamptz, every interval) LANGUAGE plpgsql AS $$
DECLARE at timestamptz;
BEGIN
  FOR at IN SELECT generate_series(first_at, last_at, every) LOOP
    PERFORM mfiauto._set_clock(at), mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;
CALL public.pass('2026-03-01 09:30+00', '2026-04-04 09:30+00', '10 hours');
CREATE TABLE public.come AS SELECT h.name, e.client_id, (e.context #>> '{event,occurrence}')::timestamptz AS at FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id);
CREATE TABLE public.due AS
SELECT 'advice' AS name, c.id AS client_id, (d + time '09:00') AT TIME ZONE 'Africa/Dakar' AS at FROM generate_series(timestamp '2026-03-01', '2026-04-04', '1 day') d, bank.client c
 WHERE c.id <= 6 AND (extract(dow FROM d) = 5 OR extract(day FROM d) = 1) AND d + time '09:00' > '2026-03-01 09:30' AND d + time '09:00' <= '2026-04-04 09:30'
UNION ALL
SELECT 'own_time', c.id, (d + time '08:00') AT TIME ZONE coalesce(c.tz, 'Africa/Dakar') FROM generate_series(timestamp '2026-03-01', '2026-04-04', '1 day') d, bank.client c WHERE c.id <= 6 AND extract(dow FROM d) = 1;
SELECT count(*) AS entries, (SELECT count(*) FROM (TABLE public.due EXCEPT ALL TABLE public.come) m) AS missing, (SELECT count(*) FROM (TABLE public.come EXCEPT ALL TABLE public.due) s) AS surplus FROM public.come;
-- After down-time only the latest occurrence is made up for, and only within 24 hours. Who left the list meanwhile does not get it, who is new does.
SELECT mfiauto.remove_from_segment('readers', '{1,2}'), mfiauto.add_to_segment('readers', '{11}');
CALL public.pass('2026-04-17 20:00+00', '2026-04-17 20:00+00', '1 day');
SELECT e.client_id, e.context #>> '{event,occurrence}' AS occurrence FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id) WHERE e.entered_at = '2026-04-17 20:00+00' AND h.name = 'advice' ORDER BY 1;
SELECT count(*) AS mondays FROM mfiauto.enrollment WHERE entered_at = '2026-04-17 20:00+00' AND workflow = 'own_time';
CALL public.pass('2026-04-25 20:00+00', '2026-04-25 20:00+00', '1 day');
SELECT count(*) AS too_late FROM mfiauto.enrollment WHERE entered_at = '2026-04-25 20:00+00';
SELECT h.name, s.zone, s.next_at FROM mfiauto.schedule_state s JOIN mfiauto.workflow_head h USING (workflow_id) ORDER BY 1, 2;
-- A client from a new zone is reached at his own eight.
INSERT INTO bank.client (id, name, phone, tz) VALUES (13, 'Far', '+221770000013', 'Pacific/Auckland');
SELECT mfiauto.add_to_segment('readers', '{13}');
CALL public.pass('2026-04-26 10:00+00', '2026-04-26 20:00+00', '10 hours');
SELECT client_id, entered_at FROM mfiauto.enrollment WHERE entered_at >= '2026-04-26';

-- A course: who enters the list starts with the first lesson; no lesson comes twice; a pause keeps everybody's place. Members at activation come in, two a day.
SELECT mfiauto.archive_workflow('advice'), mfiauto.archive_workflow('own_time');
SELECT count(mfiauto.create_template('lesson_' || g, channel => 'sms', body => 'Lecon ' || g || ', {{client.name}}', class => 'transactional')) FROM generate_series(1, 3) g;
SELECT mfiauto.create_workflow('course', '{"trigger": {"segment": "readers", "on": "enter", "existing": true}, "max_per_day": 2, "class": "transactional",
  "steps": [{"send": "lesson_1"}, {"wait": "2 days"}, {"send": "lesson_2"}, {"wait": "2 days"}, {"send": "lesson_3"}]}') AS version;
SELECT mfiauto.create_workflow('farewell', '{"trigger": {"segment": "readers", "on": "leave"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto._set_clock('2026-05-01 09:00+00');
SELECT * FROM mfiauto.preview_activation('course');
SELECT mfiauto.activate_workflow('course'), mfiauto.activate_workflow('farewell');
CALL public.pass('2026-05-01 09:00+00', '2026-05-02 09:00+00', '1 day');
SELECT mfiauto.pause_workflow('course');
CALL public.pass('2026-05-03 09:00+00', '2026-05-05 09:00+00', '1 day');
SELECT mfiauto.resume_workflow('course');
SELECT mfiauto.remove_from_segment('readers', '{5}');
CALL public.pass('2026-05-05 10:00+00', '2026-05-09 10:00+00', '1 day');
SELECT mfiauto.add_to_segment('readers', '{12}');
CALL public.pass('2026-05-10 10:00+00', '2026-05-16 10:00+00', '1 day');
SELECT client_id, array_agg(body ORDER BY created_at) AS lessons, count(*) = count(DISTINCT step) AS none_twice FROM mfiauto.message WHERE workflow = 'course' GROUP BY 1 ORDER BY min(created_at), 1;
SELECT client_id FROM mfiauto.enrollment WHERE workflow = 'farewell';
SELECT max(n) AS most_a_day FROM (SELECT count(*) AS n FROM mfiauto.enrollment WHERE workflow = 'course' GROUP BY entered_at::date) d;
