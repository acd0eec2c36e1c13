-- A day that becomes a holiday, or is none any more: what waits for it is planned anew at once, in workflows and in the queue.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto._set_clock('2026-01-05 07:30+00');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), CASE WHEN g % 3 = 0 THEN 'Europe/Paris' ELSE 'Africa/Dakar' END, 'high' FROM generate_series(1, 30) g;
SELECT count(mfiauto.identify(g, '{"country": "CI"}')) FROM generate_series(1, 30) g WHERE g % 2 = 0;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 30) g;
INSERT INTO bank.installment (id, loan_id, number, due_date)
SELECT 1000 * k.k + g, 100 + g, k.k, date '2026-01-05' + k.least + g % 6 FROM generate_series(1, 30) g, (VALUES (1, 9), (2, 2), (3, 1)) AS k(k, least);
SELECT count(mfiauto.create_workflow('w' || k.k, format('{"for_each": "installment", "anchor": "due_date", "class": "collection", "enter_if": "installment.number = %s",
  "steps": [{"at": "%s days 09:00", "send": "before", "channels": ["sms"]}]}', k.k, k.at)::json))
  FROM (VALUES (1, '-7'), (2, '0'), (3, '+3')) AS k(k, at);
SELECT count(mfiauto.activate_workflow('w' || k)) FROM generate_series(1, 3) k;
SELECT entered FROM mfiauto.run_engine();
SELECT workflow, count(*), count(due_at) AS waiting FROM mfiauto.enrollment GROUP BY 1 ORDER BY 1;

-- Every toggle of a day, at random, against a calendar counted day by day: before the date the last allowed day that is still ahead, on
-- the date that day alone, after it the next one.
CREATE FUNCTION is_open(day date, its_country text) RETURNS boolean LANGUAGE sql AS $$
  SELECT extract(isodow FROM day) <> 7 AND NOT EXISTS (SELECT FROM mfiauto.holiday h WHERE h.on_date = day AND h.country IN ('*', its_country)) $$;
CREATE FUNCTION wanted_day(due date, days integer, country text, zone text) RETURNS date LANGUAGE sql AS $$
  SELECT CASE WHEN is_open(due + days, country) THEN due + days
              WHEN days = 0 THEN due
              ELSE coalesce((SELECT max(d)::date FROM generate_series(due + days - 7, due + days, '1 day') d
                              WHERE days < 0 AND is_open(d::date, country) AND (d::date + time '09:00') AT TIME ZONE zone >= '2026-01-05 07:30+00'),
                            (SELECT min(d)::date FROM generate_series(due + days, due + days + 31, '1 day') d WHERE is_open(d::date, country))) END $$;
CREATE VIEW misplaced AS
  SELECT e.workflow, e.client_id FROM mfiauto.enrollment e JOIN bank.client c ON c.id = e.client_id
   CROSS JOIN LATERAL (SELECT CASE e.workflow WHEN 'w1' THEN -7 WHEN 'w2' THEN 0 ELSE 3 END AS days) k
   WHERE e.due_at IS DISTINCT FROM (wanted_day(e.anchor_on, k.days, CASE WHEN e.client_id % 2 = 0 THEN 'CI' ELSE 'SN' END, c.tz) + time '09:00') AT TIME ZONE c.tz;
SELECT count(*) AS misplaced FROM misplaced;
CREATE TABLE toggled (n integer, is_new boolean, told bigint, moved bigint, misplaced bigint);
DO $$
DECLARE
  day date; place text; told bigint; is_new boolean;
BEGIN
  PERFORM setseed(0.3);
  FOR n IN 1..40 LOOP
    CREATE TEMP TABLE before AS SELECT enrollment_id, due_at FROM mfiauto.enrollment;
    day := date '2026-01-05' + floor(random() * 16)::integer;
    place := (ARRAY['*', 'SN', 'CI'])[1 + floor(random() * 3)::integer];
    is_new := NOT EXISTS (SELECT FROM mfiauto.holiday h WHERE h.on_date = day AND h.country = place);
    told := CASE WHEN is_new THEN mfiauto.set_holiday(day, 'a day', place) ELSE mfiauto.drop_holiday(day, place) END;
    INSERT INTO toggled SELECT n, is_new, told, (SELECT count(*) FROM mfiauto.enrollment e JOIN before b USING (enrollment_id) WHERE e.due_at <> b.due_at), (SELECT count(*) FROM misplaced);
    DROP TABLE before;
  END LOOP;
END $$;
SELECT count(*) FILTER (WHERE is_new) > 10 AS set, count(*) FILTER (WHERE NOT is_new) > 5 AS dropped, sum(moved) > 100 AS many_moved, count(*) FILTER (WHERE told <> moved) AS told_wrong,
       sum(misplaced) AS misplaced FROM toggled;
-- Said again it changes nothing; a past day moves nothing.
SELECT mfiauto.set_holiday('2026-01-10', 'one', 'SN') >= 0 AS set, mfiauto.set_holiday('2026-01-10', 'one more', 'SN') AS again, mfiauto.set_holiday('2026-01-01', 'New Year') AS past;
SELECT count(mfiauto.drop_holiday(h.on_date, h.country)) > 5 AS dropped FROM mfiauto.holiday h;
SELECT count(*) AS misplaced FROM misplaced;
SELECT kind, count(*) > 40 AS noted, count(*) FILTER (WHERE content IS NULL) > 5 AS gone FROM mfiauto.change_log WHERE kind = 'holiday' GROUP BY kind;

-- The queue: put off at night to the next morning, which becomes a holiday the evening before, and is none after all.
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, state, class, channel, to_address, body)
SELECT m.client, 900 + m.client, mfiauto.now(), mfiauto.now(), mfiauto.now() + m.lasts, 'queued', m.class, 'sms', '+22177000000' || m.client, 'Bonjour'
  FROM (VALUES (1, interval '4 days', 'collection'), (2, '4 days', 'collection'), (4, '1 day', 'collection'), (5, '4 days', 'transactional')) AS m(client, lasts, class);
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
SELECT m.client_id, m.message_id, m.created_at, m.channel, 3, m.due_at, m.expires_at FROM mfiauto.message_ledger m;
CREATE VIEW queue AS SELECT client_id, state, reason, due_at FROM mfiauto.message WHERE message_id > 900 ORDER BY client_id;
SELECT mfiauto._set_clock('2026-01-05 20:00+00');
SELECT sent, deferred FROM mfiauto.run_delivery();
SELECT * FROM queue;
SELECT mfiauto.set_holiday('2026-01-06', 'announced tonight') > 0 AS moved;
SELECT * FROM queue;
SELECT mfiauto.drop_holiday('2026-01-06') > 0 AS moved;
SELECT * FROM queue;
SELECT mfiauto.set_holiday('2026-01-06', 'in the other country', 'CI') > 0 AS moved;
SELECT * FROM queue;
SELECT mfiauto._set_clock('2026-01-06 08:00+00');
SELECT sent, deferred FROM mfiauto.run_delivery();
SELECT * FROM queue;

-- Working days are counted anew.
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"event": "Lead Created"}, "class": "collection", "steps": [{"wait": {"working_days": 3}}, {"send": "before", "channels": ["sms"]}]}') > 0 AS made;
SELECT mfiauto.activate_workflow('welcome');
SELECT mfiauto.track('Lead Created', 1) > 0 AS told;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT due_at FROM mfiauto.enrollment WHERE workflow = 'welcome';
SELECT mfiauto.set_holiday('2026-01-08', 'a Thursday') > 0 AS moved;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT due_at FROM mfiauto.enrollment WHERE workflow = 'welcome';
SELECT mfiauto.drop_holiday('2026-01-08') > 0 AS moved;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT due_at FROM mfiauto.enrollment WHERE workflow = 'welcome';
