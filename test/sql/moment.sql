-- When a client may be contacted: the rows of "When, exactly" that are about moments alone.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
INSERT INTO mfiauto.holiday VALUES ('*', '2026-05-01', 'Labour Day'), ('SN', '2026-04-03', 'Friday'), ('SN', '2026-04-04', 'Independence Day'),
  ('SN', '2026-04-06', 'Easter Monday');
INSERT INTO mfiauto.policy (country, class, break_weekday, break_from, break_until) VALUES ('ML', 'collection', 5, '12:30', '15:00');
CREATE FUNCTION pg_temp.ask(wanted text, day_offset integer, reference text, zone text DEFAULT 'Africa/Dakar', country text DEFAULT 'SN', class text DEFAULT 'collection')
RETURNS text LANGUAGE sql AS $$
  SELECT format('%s %s', m.outcome, to_char(m.at AT TIME ZONE zone, 'Dy YYYY-MM-DD HH24:MI') || ' ' || to_char(m.at AT TIME ZONE 'UTC', '(HH24:MI "UTC")'))
    FROM mfiauto._contact_moment(wanted::timestamp, zone, country, class, day_offset, reference::timestamptz) m $$;

-- Local time, with the changes of the clocks: 02:30 does not exist on 29 March in Paris, and exists twice on 25 October.
SELECT pg_temp.ask('2026-03-27 09:00', -3, '2026-01-01', 'Europe/Paris') AS before_the_change,
       pg_temp.ask('2026-03-30 09:00', -3, '2026-01-01', 'Europe/Paris') AS after_the_change;
SELECT pg_temp.ask('2026-03-29 02:30', 1, '2026-01-01', 'Europe/Paris', class => 'security') AS gap,
       pg_temp.ask('2026-10-25 02:30', 1, '2026-01-01', 'Europe/Paris', class => 'security') AS overlap;
SELECT pg_temp.ask('2026-01-05 09:00', 0, '2026-01-01', 'Asia/Kathmandu') AS quarter_hour, pg_temp.ask('2026-01-05 09:00', 0, '2026-01-01', 'Pacific/Apia') AS day_before;

-- A barred day, offset before, on and after the date. Sunday 2026-01-04.
SELECT pg_temp.ask('2026-01-04 09:00', -3, '2026-01-01') AS earlier,
       pg_temp.ask('2026-01-04 09:00', -3, '2026-01-03 09:00+00') AS earlier_just_now,
       pg_temp.ask('2026-01-04 09:00', -3, '2026-01-03 09:00:01+00') AS earlier_is_past;
SELECT pg_temp.ask('2026-01-04 09:00', 0, '2026-01-01') AS on_the_day, pg_temp.ask('2026-01-04 09:00', 3, '2026-01-01') AS after;
-- Four barred days in a row, 3 to 6 April: Friday and Saturday, Sunday, Monday.
SELECT pg_temp.ask('2026-04-05 09:00', -1, '2026-03-01') AS earlier, pg_temp.ask('2026-04-04 09:00', 1, '2026-03-01') AS later,
       pg_temp.ask('2026-04-04 09:00', 1, '2026-03-01', 'Africa/Bamako', 'ML') AS elsewhere;

-- A barred time of an allowed day.
SELECT pg_temp.ask('2026-01-05 06:00', -3, '2026-01-01') AS morning_before, pg_temp.ask('2026-01-05 06:00', 0, '2026-01-01') AS morning_on,
       pg_temp.ask('2026-01-05 06:00', 3, '2026-01-01') AS morning_after;
SELECT pg_temp.ask('2026-01-05 21:00', -3, '2026-01-01') AS evening_before, pg_temp.ask('2026-01-05 21:00', 0, '2026-01-01') AS evening_on,
       pg_temp.ask('2026-01-05 21:00', 0, '2026-01-05 18:30+00') AS evening_on_too_late, pg_temp.ask('2026-01-05 21:00', 3, '2026-01-01') AS evening_after;
-- Friday prayer, by a policy of the country: 2026-01-09.
SELECT pg_temp.ask('2026-01-09 13:00', -3, '2026-01-01', 'Africa/Bamako', 'ML') AS prayer_before, pg_temp.ask('2026-01-09 13:00', 0, '2026-01-01', 'Africa/Bamako', 'ML') AS prayer_on,
       pg_temp.ask('2026-01-09 13:00', 3, '2026-01-01', 'Africa/Bamako', 'ML') AS prayer_after, pg_temp.ask('2026-01-09 13:00', 0, '2026-01-01') AS elsewhere;
-- The edges of the contact hours belong to them, and do not.
SELECT pg_temp.ask('2026-01-05 08:00', 0, '2026-01-01') AS first, pg_temp.ask('2026-01-05 18:59:59', 0, '2026-01-01') AS last, pg_temp.ask('2026-01-05 19:00', 3, '2026-01-01') AS past_the_last;

-- Classes that do not honor contact hours are never moved; nowhere to go is barred.
SELECT pg_temp.ask('2026-01-04 03:00', 0, '2026-01-01', class => 'transactional') AS transactional, pg_temp.ask('2026-05-01 03:00', 0, '2026-01-01', class => 'security') AS security,
       pg_temp.ask('2026-05-01 10:00', 0, '2026-01-01', class => 'legal') AS legal;
INSERT INTO mfiauto.holiday SELECT 'GN', d, 'closed' FROM generate_series(date '2026-06-01', '2026-07-20', '1 day') d;
SELECT pg_temp.ask('2026-06-10 09:00', -1, '2026-01-01', country => 'GN') AS closed_before, pg_temp.ask('2026-06-10 09:00', 1, '2026-01-01', country => 'GN') AS closed_after;

-- Deferral: the moment itself, else the next allowed one.
SELECT mfiauto._next_allowed('2026-01-05 10:00+00', 'Africa/Dakar', 'SN', 'collection') AS itself,
       mfiauto._next_allowed('2026-01-05 19:30+00', 'Africa/Dakar', 'SN', 'collection') AS evening,
       mfiauto._next_allowed('2026-01-04 10:00+00', 'Africa/Dakar', 'SN', 'collection') AS sunday,
       mfiauto._next_allowed('2026-06-10 09:00+00', 'Africa/Conakry', 'GN', 'collection') AS closed;

-- Waiting: days are local days, hours are hours.
SELECT mfiauto._wait_until('2026-03-28 09:00+01', '1 day', 'Europe/Paris') AT TIME ZONE 'Europe/Paris' AS one_day,
       mfiauto._wait_until('2026-03-28 09:00+01', '24 hours', 'Europe/Paris') AT TIME ZONE 'Europe/Paris' AS a_day_of_hours,
       mfiauto._wait_until('2026-01-31 09:00+00', '1 month 2 hours', 'UTC') AT TIME ZONE 'UTC' AS a_month;
