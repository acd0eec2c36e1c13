-- C13: an audit by brute force of a quarter with random workflows: no window over a cap, no send in quiet hours, and every deferral says when it may leave.
SET client_min_messages = error;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar');
-- What is allowed: of each class, and of all together.
SELECT mfiauto.set_policy(cap_count => 3, cap_days => 2, min_gap => '3 hours');
SELECT mfiauto.set_policy(class => 'marketing', cap_count => 2, cap_days => 7, barred_in_arrears => false);
SELECT mfiauto.set_policy(class => 'education', cap_count => 1, cap_days => 3);
SELECT mfiauto.set_policy(class => 'collection', cap_count => 2, cap_days => 1, min_gap => '8 hours', contact_from => '08:30', contact_until => '18:00');
SELECT mfiauto.set_policy('KE', 'marketing', cap_count => 1, cap_days => 2, contact_from => '10:00', contact_until => '17:30', weekdays => '{1,2,3,4,5}',
                          break_weekday => 5, break_from => '12:30', break_until => '15:00');
SELECT mfiauto._set_clock('2026-01-01 00:00+00');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), (ARRAY['Africa/Dakar', 'Europe/Paris', 'Africa/Nairobi'])[1 + g % 3], 'high' FROM generate_series(0, 11) g;
SELECT count(mfiauto.identify(g, '{"country": "KE"}')) FROM generate_series(0, 11) g WHERE g % 4 = 3;
SELECT count(mfiauto.opt_in(g)) FROM generate_series(0, 11) g;
SELECT count(mfiauto.create_gateway(c || '_box', c, 'sandbox')) FROM unnest('{sms,voice}'::text[]) c;
-- Workflows drawn by lot: one to three messages of a class, on a channel, some time apart, entered by an event as often as it comes.
DO $$
DECLARE
  name text;
BEGIN
  PERFORM setseed(0.13);
  FOR n IN 1..5 LOOP
    name := 'w' || n;
    PERFORM mfiauto.create_workflow(name, json_build_object('trigger', json_build_object('event', 'E' || n), 'reentry', 'always',
      'class', (ARRAY['collection', 'education', 'marketing', 'marketing', 'transactional'])[n],
      'steps', (SELECT json_agg(s.step) FROM (SELECT CASE WHEN i % 2 = 1 THEN json_build_object('send', 'before', 'channels', ARRAY[(ARRAY['sms', 'voice'])[1 + floor(random() * 2)::integer]])
                                                          ELSE json_build_object('wait', floor(random() * 60) || ' hours') END AS step
                                                FROM generate_series(1, 1 + 2 * floor(random() * 3)::integer) i) s)));
    PERFORM mfiauto.activate_workflow(name);
  END LOOP;
END $$;
CREATE TABLE deferred (message_id bigint, client_id bigint, class text, reason text, at timestamptz, until timestamptz, had timestamptz[], had_classes text[]);

-- One claim, and what it put off: until when, and what each client had had by then, sent or on its way.
CREATE FUNCTION claim(gateway text, channel text, most integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  before jsonb := (SELECT coalesce(jsonb_object_agg(o.message_id, o.due_at), '{}') FROM mfiauto.outbox o);
BEGIN
  PERFORM count(*) FROM mfiauto._claim_messages(gateway, channel, '{}', most, pg_backend_pid(), 60, '{}');
  INSERT INTO deferred
  SELECT o.message_id, o.client_id, m.class, o.reason, mfiauto.now(), o.due_at, h.at, h.classes
    FROM mfiauto.outbox o JOIN mfiauto.message_ledger m USING (client_id, message_id)
    LEFT JOIN LATERAL (SELECT array_agg(coalesce(l.sent_at, u.noted_at, mfiauto.now())) AS at, array_agg(l.class) AS classes
                         FROM mfiauto.message_ledger l LEFT JOIN mfiauto.outbox p USING (client_id, message_id) LEFT JOIN mfiauto.unknown_message u USING (client_id, message_id)
                        WHERE l.client_id = o.client_id AND l.class <> 'transactional' AND (l.sent_at IS NOT NULL OR u.noted_at IS NOT NULL OR p.lease_until IS NOT NULL)) h ON true
   WHERE o.lease_until IS NULL AND o.due_at <> (before ->> o.message_id::text)::timestamptz;
END $$;

-- The quarter, at irregular hours of day and night: things happen, the engine passes, both channels claim, and one again while those are on
-- their way; then all is recorded.
DO $$
DECLARE
  t timestamptz := '2026-01-01 06:00+00';
BEGIN
  PERFORM setseed(0.31);
  WHILE t < '2026-04-01' LOOP
    PERFORM mfiauto._set_clock(t);
    IF random() < 0.5 THEN PERFORM mfiauto.track('E' || 1 + floor(random() * 5)::integer, g % 12) FROM generate_series(0, 35) g WHERE random() < 0.8; END IF;
    IF random() < 0.1 THEN PERFORM mfiauto.set_holiday((t + interval '1 day')::date, 'a day', (ARRAY['*', 'SN', 'KE'])[1 + floor(random() * 3)::integer]); END IF;
    COMMIT;
    IF random() < 0.4 THEN PERFORM mfiauto.run_engine(); END IF;
    PERFORM claim('sms_box', 'sms', 3);
    PERFORM claim('voice_box', 'voice', 50);
    PERFORM claim('sms_box', 'sms', 50);
    PERFORM mfiauto._settle_messages(array_agg(o.client_id), array_agg(o.message_id), array_agg(CASE WHEN random() < 0.05 THEN 'unknown' ELSE 'sent' END), array_agg(NULL::text))
       FROM mfiauto.outbox o WHERE o.lease_until IS NOT NULL HAVING count(*) > 0;
    PERFORM mfiauto._sweep_outbox();
    COMMIT;
    -- Now and then exactly when something may leave again, else some hours on.
    t := least(t + random() * interval '72 hours', CASE WHEN random() < 0.6 THEN (SELECT min(o.due_at) FROM mfiauto.outbox o WHERE o.due_at > t) END);
  END LOOP;
END $$;
SELECT count(*) FILTER (WHERE state = 'sent') > 200 AS many_sent, count(*) FILTER (WHERE state = 'unknown') > 5 AS some_unknown, count(*) FILTER (WHERE reason = 'capped') > 20 AS some_expired FROM mfiauto.message;
SELECT reason, count(*) > 50 AS many FROM deferred GROUP BY 1 ORDER BY 1;

-- The rules once more, written down by hand.
CREATE VIEW person AS SELECT c.id AS client_id, c.tz, CASE WHEN c.id % 4 = 3 THEN 'KE' ELSE 'SN' END AS country FROM bank.client c;
CREATE FUNCTION open_at(t timestamptz, tz text, country text, class text) RETURNS boolean LANGUAGE sql AS $$
  SELECT class = 'transactional'
      OR CASE WHEN country = 'KE' AND class = 'marketing'
              THEN l::time >= '10:00' AND l::time < '17:30' AND extract(isodow FROM l) <= 5 AND NOT (extract(isodow FROM l) = 5 AND l::time >= '12:30' AND l::time < '15:00')
              WHEN class = 'collection' THEN l::time >= '08:30' AND l::time < '18:00' AND extract(isodow FROM l) <= 6
              ELSE l::time >= '08:00' AND l::time < '19:00' AND extract(isodow FROM l) <= 6 END
         AND NOT EXISTS (SELECT FROM mfiauto.holiday h WHERE h.on_date = l::date AND h.country IN ('*', open_at.country))
    FROM (SELECT t AT TIME ZONE tz AS l) x $$;
CREATE FUNCTION too_many(t timestamptz, country text, class text, had timestamptz[], had_classes text[]) RETURNS boolean LANGUAGE sql AS $$
  SELECT class <> 'transactional' AND
         (count(*) FILTER (WHERE h.at > t - interval '48 hours') >= 3
          OR count(*) FILTER (WHERE h.at > t - interval '3 hours') >= 1
          OR class = 'education' AND count(*) FILTER (WHERE h.c = 'education' AND h.at > t - interval '72 hours') >= 1
          OR class = 'collection' AND count(*) FILTER (WHERE h.c = 'collection' AND h.at > t - interval '24 hours') >= 2
          OR class = 'collection' AND count(*) FILTER (WHERE h.c = 'collection' AND h.at > t - interval '8 hours') >= 1
          OR class = 'marketing' AND country = 'SN' AND count(*) FILTER (WHERE h.c = 'marketing' AND h.at > t - interval '168 hours') >= 2
          OR class = 'marketing' AND country = 'KE' AND count(*) FILTER (WHERE h.c = 'marketing' AND h.at > t - interval '48 hours') >= 1)
    FROM unnest(had, had_classes) AS h(at, c) $$;
CREATE TABLE had AS
  SELECT l.client_id, l.message_id, l.class, coalesce(l.sent_at, u.noted_at) AS at, p.tz, p.country
    FROM mfiauto.message_ledger l LEFT JOIN mfiauto.unknown_message u USING (client_id, message_id) JOIN person p USING (client_id) WHERE l.sent_at IS NOT NULL OR u.noted_at IS NOT NULL;

-- No window over a cap: each message against all that the client had before it, and against those of the same moment with a lower number.
SELECT count(*) FILTER (WHERE too_many(a.at, a.country, a.class, b.ats, b.classes)) AS over_a_cap, count(*) > 200 AS of_many
  FROM had a LEFT JOIN LATERAL (SELECT array_agg(b.at) AS ats, array_agg(b.class) AS classes FROM had b
                                 WHERE b.client_id = a.client_id AND b.class <> 'transactional' AND b.message_id <> a.message_id AND (b.at < a.at OR b.at = a.at AND b.message_id < a.message_id)) b ON true;
-- None in quiet hours, on a barred day, in a weekly pause.
SELECT count(*) FILTER (WHERE NOT open_at(a.at, a.tz, a.country, a.class)) AS in_quiet_hours, count(*) FILTER (WHERE NOT open_at(a.at, a.tz, 'SN', 'collection')) > 20 AS night_has_been_there FROM had a;
-- Every deferral tells a moment ahead that is open and within the caps as they stood; a second before it, it was not so. (From a day that is
-- closed as a whole one goes over to the same time of the next that is open. Days that became holidays since were moved.)
SELECT d.reason, count(*) > 20 AS many, count(*) FILTER (WHERE d.until IS NULL OR d.until <= d.at) AS not_ahead, count(*) FILTER (WHERE NOT open_at(d.until, p.tz, p.country, d.class)) AS not_open,
       count(*) FILTER (WHERE d.reason = 'capped' AND too_many(d.until, p.country, d.class, e.had, e.had_classes)) AS still_capped,
       count(*) FILTER (WHERE open_at(d.until - interval '1 second', p.tz, p.country, d.class)
                          AND (d.reason <> 'capped' OR NOT too_many(d.until - interval '1 second', p.country, d.class, d.had, d.had_classes))
                          AND open_at((((d.until AT TIME ZONE p.tz)::date - 1) + time '11:00') AT TIME ZONE p.tz, p.tz, p.country, d.class)) AS could_have_been_sooner
  FROM deferred d JOIN person p USING (client_id)
  -- What the same claim let go after it was not yet known.
  LEFT JOIN LATERAL (SELECT array_agg(h.at) AS had, array_agg(h.c) AS had_classes FROM unnest(d.had, d.had_classes) AS h(at, c) WHERE h.at < d.at) e ON true
 WHERE NOT EXISTS (SELECT FROM mfiauto.change_log h WHERE h.kind = 'holiday' AND h.changed_at > d.at AND h.changed_at <= d.until) GROUP BY 1 ORDER BY 1;
