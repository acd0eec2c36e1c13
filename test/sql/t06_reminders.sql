-- T6: reminders around the due date in each client's zone, across moved clocks, Sundays and moving holidays: the set of (installment, offset, local date) equals an independent oracle; paid ones are absent.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
-- (engine_oracle has ten thousand installments, with moves, reversals, group loans and outages.)
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric DEFAULT 1000, paid numeric DEFAULT 0, pays_on date);
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}') IS NOT NULL AS bound;
-- Holidays that move with the moon, and Easter Monday.
SELECT count(mfiauto.set_holiday(d, 'holiday')) FROM unnest('{2026-03-20,2026-04-06,2026-05-01,2026-05-27}'::date[]) d;
INSERT INTO bank.client (id, name, phone, tz) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), (ARRAY['Africa/Casablanca', 'Europe/Paris', 'Africa/Dakar'])[1 + g % 3] FROM generate_series(1, 300) g;
INSERT INTO bank.loan (id, client_id, status) SELECT 1000 + g, g, 'active' FROM generate_series(1, 300) g;
INSERT INTO bank.installment (id, loan_id, due_date, pays_on)
SELECT g, 1001 + g % 300, d.due_date, CASE WHEN g % 3 > 0 THEN d.due_date - 10 + g % 15 END
  FROM generate_series(1, 600) g, LATERAL (SELECT date '2026-02-20' + (g * 37) % 95 AS due_date) d;
SELECT mfiauto._set_clock('2026-02-09 09:05+00');
SELECT mfiauto.create_workflow('reminder', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-7 days 09:00", "send": "hello"}, {"at": "-3 days 09:00", "send": "hello"}, {"at": "0 days 09:00", "send": "hello"}, {"at": "+1 day 09:00", "send": "hello"}, {"at": "+3 days 09:00", "send": "hello"}]}') AS version;
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour {{client.name}}', class => 'collection') AS version;
SELECT mfiauto.activate_workflow('reminder');
-- A pass a day, when it is nine everywhere; who pays on a day does so in the afternoon.
CREATE PROCEDURE public.play() LANGUAGE plpgsql AS $$
DECLARE d date;
BEGIN
  FOR d IN SELECT generate_series(date '2026-02-10', '2026-06-02', '1 day') LOOP
    UPDATE bank.installment SET paid = due WHERE pays_on = d - 1;
    COMMIT;
    PERFORM mfiauto._set_clock(d + timetz '09:05+00'), mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;
CALL public.play();

CREATE FUNCTION public.is_open(d date) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT extract(isodow FROM d) < 7 AND d NOT IN ('2026-03-20', '2026-04-06', '2026-05-01', '2026-05-27') $$;
CREATE TABLE public.expected AS
WITH wanted AS (
  SELECT i.id, i.pays_on, o.days, i.due_date + o.days AS day FROM bank.installment i CROSS JOIN unnest('{-7,-3,0,1,3}'::integer[]) AS o(days)
), moved AS (
  SELECT w.*, CASE WHEN public.is_open(w.day) THEN w.day
                   WHEN w.days < 0 THEN (SELECT max(d::date) FROM generate_series(w.day - 7, w.day, interval '1 day') d WHERE public.is_open(d::date))
                   WHEN w.days > 0 THEN (SELECT min(d::date) FROM generate_series(w.day, w.day + 31, interval '1 day') d WHERE public.is_open(d::date)) END AS sent_on
    FROM wanted w
)
-- Of two that fall on one day the later step is sent.
SELECT m.id, m.days, m.sent_on FROM moved m
 WHERE m.sent_on IS NOT NULL AND m.sent_on >= '2026-02-10' AND (m.pays_on IS NULL OR m.pays_on >= m.sent_on)
   AND NOT EXISTS (SELECT FROM moved l WHERE l.id = m.id AND l.days > m.days AND l.sent_on <= m.sent_on);
CREATE TABLE public.sent AS
SELECT m.subject_id AS id, s.at_offset AS days, (m.due_at AT TIME ZONE c.tz)::date AS sent_on, (m.due_at AT TIME ZONE c.tz)::time AS clock
  FROM mfiauto.message_ledger m JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no) JOIN bank.client c ON c.id = m.client_id
 WHERE m.state = 'queued' OR m.reason = 'expired_in_queue' OR (m.state = 'canceled' AND m.reason = 'exit_if');
SELECT (SELECT count(*) FROM public.expected) AS expected, (SELECT count(*) FROM (TABLE public.expected EXCEPT ALL SELECT id, days, sent_on FROM public.sent) m) AS missing,
       (SELECT count(*) FROM (SELECT id, days, sent_on FROM public.sent EXCEPT ALL TABLE public.expected) s) AS surplus;
SELECT days, count(*) FROM public.expected GROUP BY 1 ORDER BY 1;
SELECT DISTINCT clock FROM public.sent;
SELECT count(*) AS moved FROM public.expected e JOIN bank.installment i USING (id) WHERE e.sent_on <> i.due_date + e.days;
SELECT count(*) AS to_who_had_paid FROM public.sent s JOIN bank.installment i USING (id) WHERE i.pays_on < s.sent_on;
