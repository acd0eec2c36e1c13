-- W5: every form of wait, over changes of the clocks and holidays, against brute-force oracles to the second; and moments that move while one waits.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset null -
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low' FROM generate_series(1, 12) g;
INSERT INTO bank.loan (id, client_id, matures_on) SELECT 100 + g, g, '2026-04-10' FROM generate_series(1, 12) g;
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-03-20', 'a'), ('SN', '2026-03-23', 'b'), ('*', '2026-04-06', 'c'), ('FR', '2026-03-30', 'd'), ('FR', '2026-10-26', 'e');
SELECT mfiauto.set_policy(country => 'FR', weekdays => '{1,2,3,4,5}') IS NOT NULL AS set;
SELECT count(mfiauto.create_workflow(name, format('{"trigger": {"event": "Began"}, "for_each": "loan", "class": "transactional", "steps": [{"wait": %s}, {"send": "thanks"}]}', wait)::json)) AS waits
  FROM (VALUES ('w1', '"90 minutes"'), ('w2', '{"for": "1 month 2 days 3 hours"}'), ('w3', '{"until": "09:00"}'), ('w4', '{"until": "02:30"}'), ('w5', '{"until": "sunday 02:30:15"}'),
               ('w6', '{"for": "1 day", "until": "monday 08:00"}'), ('w7', '{"working_days": 1}'), ('w8', '{"working_days": 7, "until": "10:15"}'),
               ('w9', '{"for": "36 hours", "working_days": 2}'), ('w10', '{"between": ["1 hour", "3 days"]}')) AS t(name, wait);

-- Moments of beginning: every 17 hours and some, over both changes of the clocks of 2026 and the holidays; in four zones.
CREATE TEMP TABLE began AS
  SELECT row_number() OVER () AS id, z.zone, z.country, t.at
    FROM (VALUES ('Africa/Dakar', 'SN'), ('Europe/Paris', 'FR'), ('America/Port-au-Prince', 'HT'), ('Asia/Kolkata', 'SN')) AS z(zone, country),
         (SELECT at FROM generate_series(timestamptz '2026-02-27 09:00:00+00', '2026-04-08 00:00+00', '17 hours 13 minutes 7 seconds') at
          UNION ALL SELECT at FROM generate_series(timestamptz '2026-10-20 00:30+00', '2026-11-03 00:00+00', '5 hours 30 minutes') at
          UNION ALL SELECT unnest('{2026-03-29 00:30+00,2026-03-29 01:30:15+00,2026-10-25 00:30+00,2026-10-25 01:30+00,2026-10-25 00:30:15+00,2026-03-16 09:00+00}'::timestamptz[])) t;
CREATE FUNCTION pg_temp.engine(wait text) RETURNS TABLE (id bigint, at timestamptz) LANGUAGE plpgsql AS $$
DECLARE runs mfiauto._run[]; ids bigint[]; since timestamptz[]; version record;
BEGIN
  SELECT h.workflow_id AS w, h.name INTO version FROM mfiauto.workflow_head h WHERE h.name = wait;
  SELECT array_agg(ROW(1, b.id, 101, 101, NULL, 1, b.at, 'treated', NULL, b.zone, b.country, NULL, NULL, 'run')::mfiauto._run ORDER BY b.id), array_agg(b.id ORDER BY b.id), array_agg(b.at ORDER BY b.id)
    INTO runs, ids, since FROM began b;
  RETURN QUERY SELECT m.id, m.at FROM ROWS FROM (unnest(ids), mfiauto._wait_moments(version.w, 1, 1, runs, since)) AS m(id, at, is_known);
END $$;
-- Oracles. A duration: what the server itself adds in a session of that zone.
CREATE FUNCTION pg_temp.plus(at timestamptz, span interval, zone text) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE before text := current_setting('TimeZone'); later timestamptz;
BEGIN
  PERFORM set_config('TimeZone', zone, true); later := at + span; PERFORM set_config('TimeZone', before, true); RETURN later;
END $$;
-- A time of day: going on minute by minute (by the seconds of the wanted one) until the clock on the wall shows it; on a day on which it never does, the wall clock is
-- taken to be so long after midnight; where it shows it twice, the second.
CREATE FUNCTION pg_temp.next(at timestamptz, zone text, wanted time, weekday integer, may_be_now boolean) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE day date := (at AT TIME ZONE zone)::date; found timestamptz; midnight timestamptz;
BEGIN
  LOOP
    midnight := (SELECT min(t) FROM generate_series(day::timestamp AT TIME ZONE 'UTC' - interval '15 hours', day::timestamp AT TIME ZONE 'UTC' + interval '15 hours', '15 minutes') t
                  WHERE (t AT TIME ZONE zone)::date = day);
    found := coalesce((SELECT max(t) FROM generate_series(midnight + (wanted - time '00:00') - interval '2 hours', midnight + (wanted - time '00:00') + interval '2 hours', '1 minute') t
                        WHERE (t AT TIME ZONE zone) = day + wanted), midnight + (wanted - time '00:00'));
    IF (found > at OR (may_be_now AND found = at)) AND (weekday IS NULL OR extract(isodow FROM day) = weekday) THEN
      RETURN found;
    END IF;
    day := day + 1;
  END LOOP;
END $$;
-- Working days, walking from day to day.
CREATE FUNCTION pg_temp.working(at timestamptz, zone text, country text, count integer, wanted time) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE day date := (at AT TIME ZONE zone)::date; seen integer := 0;
BEGIN
  WHILE seen < count LOOP
    day := day + 1;
    seen := seen + (extract(isodow FROM day) < CASE country WHEN 'FR' THEN 6 ELSE 7 END AND NOT EXISTS (SELECT FROM mfiauto.holiday h WHERE h.on_date = day AND (h.country = working.country OR h.country = '*')))::integer;
  END LOOP;
  RETURN (day + coalesce(wanted, (at AT TIME ZONE zone)::time)) AT TIME ZONE zone;
END $$;
CREATE FUNCTION pg_temp.oracle(wait text, b began) RETURNS timestamptz LANGUAGE sql AS $$
  SELECT CASE wait
    WHEN 'w1' THEN b.at + interval '90 minutes'
    WHEN 'w2' THEN pg_temp.plus(b.at, '1 month 2 days 3 hours', b.zone)
    WHEN 'w3' THEN pg_temp.next(b.at, b.zone, '09:00', NULL, false)
    WHEN 'w4' THEN pg_temp.next(b.at, b.zone, '02:30', NULL, false)
    WHEN 'w5' THEN pg_temp.next(b.at, b.zone, '02:30:15', 7, false)
    WHEN 'w6' THEN pg_temp.next(pg_temp.plus(b.at, '1 day', b.zone), b.zone, '08:00', 1, true)
    WHEN 'w7' THEN pg_temp.working(b.at, b.zone, b.country, 1, NULL)
    WHEN 'w8' THEN pg_temp.working(b.at, b.zone, b.country, 7, '10:15')
    WHEN 'w9' THEN pg_temp.working(b.at + interval '36 hours', b.zone, b.country, 2, NULL) END $$;
SELECT w.wait, count(*) > 480 AS many, count(*) FILTER (WHERE e.at IS DISTINCT FROM pg_temp.oracle(w.wait, b)) AS differ, count(*) FILTER (WHERE e.at <= b.at) AS not_later
  FROM unnest('{w1,w2,w3,w4,w5,w6,w7,w8,w9}'::text[]) WITH ORDINALITY AS w(wait, n), LATERAL pg_temp.engine(w.wait) e JOIN began b USING (id) GROUP BY w.wait, w.n ORDER BY w.n;
-- Some of them, to be read: over the changes in Paris, and the holidays of Dakar.
SELECT DISTINCT b.at, b.zone, to_char(b.at AT TIME ZONE b.zone, 'Dy MM-DD HH24:MI') AS began, to_char(d.at AT TIME ZONE b.zone, 'Dy MM-DD HH24:MI') AS until_0230,
       to_char(w.at AT TIME ZONE b.zone, 'Dy MM-DD HH24:MI') AS working_day, to_char(s.at AT TIME ZONE b.zone, 'Dy MM-DD HH24:MI') AS working_day_7
  FROM began b JOIN pg_temp.engine('w4') d USING (id) JOIN pg_temp.engine('w7') w USING (id) JOIN pg_temp.engine('w8') s USING (id)
 WHERE b.zone IN ('Europe/Paris', 'Africa/Dakar') AND b.at IN ('2026-03-29 00:30+00', '2026-10-25 00:30+00', '2026-10-25 01:30+00', '2026-03-16 09:00+00') ORDER BY b.zone, b.at;
-- A random moment: within the window, to the second, spread over it, and the same when asked again.
SELECT count(*) FILTER (WHERE f.at < b.at + interval '1 hour' OR f.at >= pg_temp.plus(b.at, '3 days', b.zone)) AS outside, count(*) FILTER (WHERE f.at <> s.at) AS changed,
       count(*) FILTER (WHERE extract(epoch FROM f.at)::bigint <> extract(epoch FROM f.at)) AS fractions, count(DISTINCT f.at - b.at) > count(*) * 0.99 AS spread,
       abs(avg(extract(epoch FROM f.at - b.at)) - 36.5 * 3600) < 4 * 3600 AS in_the_middle
  FROM began b JOIN pg_temp.engine('w10') f USING (id) JOIN pg_temp.engine('w10') s USING (id);

-- Through the engine. The clock is the bank's; a pass at any time finds the same moments.
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (entered bigint, advanced bigint, messages bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT r.entered, r.advanced, r.messages FROM mfiauto.run_engine() r; END $$;
SELECT mfiauto.create_workflow('d', '{"trigger": {"event": "Began"}, "for_each": "loan", "class": "transactional", "steps": [{"wait": {"date": "loan.maturity_on - 7", "until": "09:00"}}, {"send": "thanks"}]}') AS version;
SELECT mfiauto.create_workflow('x', '{"trigger": {"event": "Began"}, "for_each": "loan", "class": "transactional", "steps": [{"wait": {"date": "loan.maturity_on + time ''08:15''", "for": "2 days"}}, {"send": "late"}]}') AS version;
UPDATE mfiauto.workflow_head SET salt = 'salt';
SELECT mfiauto._set_clock('2026-03-16 08:00+00');
SELECT count(mfiauto.activate_workflow(name)) AS active FROM unnest('{w7,w10,d,x}'::text[]) name;
SELECT * FROM pg_temp.at('2026-03-16 08:00+00');
SELECT count(mfiauto.track('Began', c, '{}', NULL, 'loan', 100 + c)) FROM generate_series(1, 4) c;
UPDATE bank.loan SET matures_on = NULL WHERE id = 104;
SELECT * FROM pg_temp.at('2026-03-16 09:00+00');
CREATE VIEW pg_temp.runs AS SELECT e.workflow, e.client_id, e.state, e.step, to_char(e.due_at, 'MM-DD HH24:MI:SS') AS due FROM mfiauto.enrollment e;
SELECT * FROM pg_temp.runs WHERE workflow <> 'w10' ORDER BY 1, 2;
SELECT d.client_id, d.decision, d.reason, mfiauto._decision_text(d.decision, d.reason, d.detail) FROM mfiauto.decision_log d WHERE d.decision = 'waited' ORDER BY d.decision_id;
-- The random moment of a run is drawn by its number: found again from the entry.
SELECT count(*) AS drawn, count(DISTINCT e.due_at) AS different FROM mfiauto.enrollment e WHERE e.workflow = 'w10';
-- A holiday declared meanwhile moves a working day; the bank moves dates: later, earlier, into the past, and tells one for the first time.
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-03-17', 'declared');
UPDATE bank.loan SET matures_on = '2026-05-10' WHERE id = 101;
UPDATE bank.loan SET matures_on = '2026-03-25' WHERE id = 102;
UPDATE bank.loan SET matures_on = '2026-03-01' WHERE id = 103;
SELECT * FROM pg_temp.at('2026-03-17 08:00+00');
SELECT * FROM pg_temp.runs WHERE workflow <> 'w10' ORDER BY 1, 2;
SELECT * FROM pg_temp.at('2026-03-17 09:00+00');
SELECT * FROM pg_temp.runs WHERE workflow = 'w7' ORDER BY 1, 2;
SELECT * FROM pg_temp.at('2026-03-18 07:59:59+00');
SELECT * FROM pg_temp.at('2026-03-18 09:00+00');
SELECT * FROM pg_temp.at('2026-05-20 09:00+00');
SELECT m.workflow, m.client_id, m.due_at FROM mfiauto.message m WHERE m.workflow <> 'w10' ORDER BY 1, 2;
SELECT count(*) AS sent, count(*) FILTER (WHERE m.due_at < e.entered_at + interval '1 hour' OR m.due_at > e.entered_at + interval '3 days') AS outside
  FROM mfiauto.message m JOIN mfiauto.enrollment e ON e.client_id = m.client_id AND e.workflow = m.workflow WHERE m.workflow = 'w10';
-- A pause that freezes the clock puts the whole wait off: two working days from Thursday instead of Wednesday.
SELECT mfiauto.create_workflow('frozen', '{"trigger": {"event": "Frozen"}, "for_each": "loan", "class": "transactional", "steps": [{"wait": {"working_days": 2}}, {"send": "thanks"}]}') AS version;
SELECT mfiauto.activate_workflow('frozen');
SELECT mfiauto._set_clock('2026-06-03 10:00+00');
SELECT mfiauto.track('Frozen', 5, '{}', NULL, 'loan', 105) > 0 AS told;
SELECT * FROM pg_temp.at('2026-06-03 10:00+00');
SELECT due FROM pg_temp.runs WHERE workflow = 'frozen';
SELECT mfiauto._set_clock('2026-06-03 12:00+00');
SELECT mfiauto.pause_workflow('frozen', clock => 'freeze');
SELECT mfiauto._set_clock('2026-06-04 12:00+00');
SELECT mfiauto.resume_workflow('frozen');
SELECT due FROM pg_temp.runs WHERE workflow = 'frozen';
SELECT * FROM pg_temp.at('2026-06-05 10:00+00');
SELECT * FROM pg_temp.at('2026-06-06 10:00+00');
