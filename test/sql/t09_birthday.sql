-- T9: births on each day of a leap year, a simulated year and more, three zones, two of which move their clocks: one message for each client and year, 29 February as ruled.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
CREATE PROCEDURE public.pass(first_at timestamptz, last_at timestamptz, every interval) LANGUAGE plpgsql AS $$
DECLARE at timestamptz;
BEGIN
  FOR at IN SELECT generate_series(first_at, last_at, every) LOOP
    PERFORM mfiauto._set_clock(at), mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;
-- 366 days, in years from 1950 to 2012: the youngest come of age while we look, or after it. Some have no date, one was born at no time.
INSERT INTO bank.client (id, name, phone, tz, birth_date)
SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), (ARRAY['Africa/Casablanca', 'Europe/Paris', 'America/New_York', 'Mars/Olympus'])[1 + g % 4],
       CASE WHEN extract(month FROM d) = 2 AND extract(day FROM d) = 29 THEN d ELSE (d - make_interval(years => g * 7 % 50 - 12))::date END
  FROM generate_series(1, 366) g, LATERAL (SELECT date '2000-01-01' + (g - 1) AS d) b;
INSERT INTO bank.client (id, birth_date) VALUES (400, NULL), (401, 'infinity');
SELECT mfiauto._set_clock('2027-01-20 06:30+00');
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('birthday', '{"trigger": {"yearly": "client.birth_date", "at": "09:00", "minimum_years": 18}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('first_of_march', '{"trigger": {"yearly": "client.birth_date", "at": "00:30", "leap_day": "03-01"}, "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.activate_workflow('birthday'), mfiauto.activate_workflow('first_of_march');
CALL public.pass('2027-01-20 07:30+00', '2027-03-03 07:30+00', '1 day');
SELECT mfiauto.pause_workflow('first_of_march');
CALL public.pass('2027-03-04 07:30+00', '2028-02-26 07:30+00', '1 day');
SELECT mfiauto.resume_workflow('first_of_march');
CALL public.pass('2028-02-27 07:30+00', '2028-03-03 07:30+00', '1 day');
SELECT phase, done_count FROM mfiauto.job_progress WHERE job = 'activation' ORDER BY target;

CREATE TABLE public.expected AS
SELECT w.name, c.id AS client_id, y - extract(year FROM c.birth_date) AS years, p.at
  FROM (VALUES ('birthday', time '09:00', 18, 28, 2), ('first_of_march', '00:30', 1, 1, 3)) AS w(name, clock, minimum, leap_day, leap_month)
  CROSS JOIN bank.client c
  CROSS JOIN generate_series(2027, 2028) y
  CROSS JOIN LATERAL (SELECT CASE WHEN to_char(c.birth_date, 'MM-DD') = '02-29' AND y <> 2028 THEN make_date(y, w.leap_month, w.leap_day)
                                  ELSE to_date(y || to_char(c.birth_date, 'MM-DD'), 'YYYYMM-DD') END AS day) d
  CROSS JOIN LATERAL (SELECT (d.day + w.clock) AT TIME ZONE CASE c.tz WHEN 'Mars/Olympus' THEN 'Africa/Dakar' ELSE c.tz END AS due) t
  CROSS JOIN LATERAL (SELECT min(g.at) AS at FROM generate_series(timestamptz '2027-01-20 07:30+00', '2028-03-03 07:30+00', '1 day') AS g(at) WHERE g.at >= t.due) p
 WHERE isfinite(c.birth_date) AND y - extract(year FROM c.birth_date) >= w.minimum AND t.due >= '2027-01-20 06:30+00' AND p.at IS NOT NULL
   AND (w.name = 'birthday' OR t.due <= '2027-03-03 07:30+00' OR t.due >= '2028-02-26 07:30+00');
CREATE TABLE public.happened AS
SELECT h.name, e.client_id, (e.context #>> '{event,years}')::numeric AS years, e.entered_at AS at FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id);
SELECT name, count(*) AS expected, count(DISTINCT client_id) AS clients FROM public.expected GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM (TABLE public.expected EXCEPT ALL TABLE public.happened) m) AS missing, (SELECT count(*) FROM (TABLE public.happened EXCEPT ALL TABLE public.expected) s) AS surplus;
SELECT h.name, h.years, h.at FROM public.happened h JOIN bank.client c ON c.id = h.client_id WHERE to_char(c.birth_date, 'MM-DD') = '02-29' ORDER BY 1, 3;
SELECT count(*) AS messages, count(DISTINCT (m.client_id, extract(year FROM m.due_at))) AS once FROM mfiauto.message m;

-- A date that is put right moves; one that came less than half a year ago does not come again. A client who is gone has no birthday.
SELECT count(*) FROM mfiauto.entry_state WHERE due_at <= mfiauto.now();
INSERT INTO bank.client (id, name, phone, birth_date) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), '1980-03-10' FROM generate_series(501, 504) g;
CALL public.pass('2028-03-04 07:30+00', '2028-03-05 07:30+00', '1 day');
UPDATE bank.client SET birth_date = '1980-03-12' WHERE id = 501;
UPDATE bank.client SET tz = 'Pacific/Auckland' WHERE id = 502;
DELETE FROM bank.client WHERE id = 503;
CALL public.pass('2028-03-09 20:30+00', '2028-03-10 20:30+00', '12 hours');
UPDATE bank.client SET birth_date = '1980-03-20' WHERE id = 504;
CALL public.pass('2028-03-11 20:30+00', '2028-03-25 20:30+00', '12 hours');
SELECT e.client_id, e.entered_at, e.context FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'birthday' AND e.client_id > 500 ORDER BY 1;

-- After down-time a birthday is made up for within 24 hours; later ones are told as missed, and come again the year after.
INSERT INTO bank.client (id, name, phone, birth_date) VALUES (601, 'Early', '+221770000601', '1980-04-01'), (602, 'Late', '+221770000602', '1980-04-03');
CALL public.pass('2028-03-31 07:30+00', '2028-03-31 07:30+00', '1 day');
CALL public.pass('2028-04-03 20:00+00', '2028-04-03 20:00+00', '1 day');
SELECT client_id, what, detail FROM (SELECT 601 AS client_id, * FROM mfiauto.explain_client(601, 'birthday') UNION ALL SELECT 602, * FROM mfiauto.explain_client(602, 'birthday')) x WHERE what IN ('entered', 'refused') ORDER BY 1, 2;
SELECT s.client_id, s.due_at FROM mfiauto.entry_state s JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'birthday' AND s.client_id > 600 ORDER BY 1;

-- While it is paused nobody comes in; an approval's anniversary follows the loan, for each member of a group.
SELECT mfiauto.pause_workflow('birthday');
SELECT mfiauto.create_workflow('anniversary', '{"trigger": {"yearly": "loan.approved_on", "at": "10:00"}, "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.activate_workflow('anniversary');
INSERT INTO bank.loan (id, client_id, approved_on) VALUES (11, 601, '2026-04-10'), (12, NULL, '2026-04-11'), (13, 601, '2028-04-10'), (14, 602, NULL);
INSERT INTO bank.member (loan_id, client_id, role, until) VALUES (12, 601, 'borrower', NULL), (12, 602, 'borrower', NULL), (12, 1, 'guarantor', NULL), (12, 2, 'borrower', '2028-04-05');
UPDATE bank.client SET birth_date = '1980-04-12' WHERE id = 602;
CALL public.pass('2028-04-04 20:00+00', '2028-04-14 20:00+00', '1 day');
SELECT e.client_id, e.subject, e.subject_id, e.loan_id, e.entered_at, e.context FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'anniversary' ORDER BY 3, 1;
SELECT mfiauto.resume_workflow('birthday');
CALL public.pass('2028-04-14 21:00+00', '2028-04-14 21:00+00', '1 day');
SELECT d.client_id, d.decision, d.reason, d.detail FROM mfiauto.decision_log d JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'birthday' AND d.client_id = 602 ORDER BY d.decided_at;
