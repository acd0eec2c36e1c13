-- T10: no event of a set in 30 days: equals a brute-force NOT EXISTS at every simulated day; an event one second before the limit cancels; only a new one arms again.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
CREATE FUNCTION public.dice(topic text, n bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(topic || '/' || n), 1, 8))::bit(32)::bigint / 4294967296.0::double precision $$;
-- 120 clients in two zones that move their clocks; some joined long ago, some join while we look, of some nobody knows since when.
INSERT INTO bank.client (id, name, phone, tz, joined_on)
SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), (ARRAY['Africa/Casablanca', 'Europe/Paris'])[1 + g % 2],
       CASE WHEN g % 10 = 0 THEN NULL ELSE date '2026-02-01' - 60 + (public.dice('joined', g) * 120)::integer END
  FROM generate_series(1, 120) g;
CREATE TABLE public.told AS
SELECT g AS n, (1 + public.dice('who', g) * 99)::bigint AS client_id, CASE WHEN public.dice('what', g) < 0.2 THEN 'Article Read' WHEN public.dice('what', g) < 0.6 THEN 'Session Started' ELSE 'Payment Made' END AS name,
       timestamptz '2026-01-20 00:00+00' + public.dice('when', g) * interval '100 days' AS at
  FROM generate_series(1, 420) g;
-- The second before the limit, the limit itself, and the second after it.
INSERT INTO public.told SELECT 1000 + g, 101 + g, 'Session Started', '2026-02-10 12:00+00' FROM generate_series(1, 3) g;
INSERT INTO public.told SELECT 2000 + g, 101 + g, 'Session Started', timestamptz '2026-03-12 12:00+00' + (g - 2) * interval '1 second' FROM generate_series(1, 3) g;
UPDATE bank.client SET joined_on = '2025-01-01' WHERE id BETWEEN 101 AND 104;
CREATE TABLE public.pass AS SELECT row_number() OVER (ORDER BY at) AS no, at FROM generate_series(timestamptz '2026-02-01 12:00+00', '2026-05-10', '1 day') AS g(at);
CREATE PROCEDURE public.run(first_no bigint, last_no bigint) LANGUAGE plpgsql AS $$
DECLARE p record;
BEGIN
  FOR p IN SELECT q.at, lag(q.at, 1, '-infinity') OVER (ORDER BY q.no) AS before, q.no FROM public.pass q ORDER BY q.no LOOP
    CONTINUE WHEN p.no NOT BETWEEN first_no AND last_no;
    PERFORM mfiauto._set_clock(p.at);
    PERFORM mfiauto.track(t.name, t.client_id, '{}', t.at) FROM (SELECT * FROM public.told t WHERE t.at > p.before AND t.at <= p.at ORDER BY t.at, t.n) t;
    COMMIT;
    PERFORM mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;
CALL public.run(1, 1);
SELECT mfiauto.create_workflow('dormant', '{"trigger": {"inactive": ["Session Started", "Payment Made"], "for": "30 days"}, "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.create_workflow('existing', '{"trigger": {"inactive": ["Session Started", "Payment Made"], "for": "30 days", "existing": true}, "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.create_workflow('once', '{"trigger": {"inactive": ["Session Started", "Payment Made"], "for": "30 days"}, "reentry": "never", "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.activate_workflow('dormant'), mfiauto.activate_workflow('existing', max_per_day => 7), mfiauto.activate_workflow('once');
CALL public.run(2, 99);

-- Who has been let in since his last sign of life, at each pass, and who has given none for 30 days (of 24 hours) since he joined, or since the activation if nobody knows.
CREATE TABLE public.base AS
SELECT p.no, p.at, c.id AS client_id, coalesce(greatest(max(t.at), c.joined_on::timestamp AT TIME ZONE c.tz), '2026-02-01 12:00+00') AS at_base
  FROM public.pass p CROSS JOIN bank.client c LEFT JOIN public.told t ON t.client_id = c.id AND t.name <> 'Article Read' AND t.at <= p.at GROUP BY p.no, p.at, c.id;
CREATE TABLE public.run_of AS SELECT h.name, e.client_id, e.entered_at FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id);
CREATE TABLE public.dormant AS
SELECT b.no, b.client_id FROM public.base b
 WHERE NOT EXISTS (SELECT FROM public.told t WHERE t.client_id = b.client_id AND t.name <> 'Article Read' AND t.at > b.at - interval '720 hours' AND t.at <= b.at)
   AND b.at_base + interval '720 hours' <= b.at AND b.at_base + interval '720 hours' > '2026-02-01 12:00+00';
CREATE TABLE public.let_in AS SELECT b.no, b.client_id FROM public.base b WHERE EXISTS (SELECT FROM public.run_of r WHERE r.name = 'dormant' AND r.client_id = b.client_id AND r.entered_at <= b.at AND r.entered_at >= b.at_base);
SELECT (SELECT count(*) > 500 FROM public.dormant) AS is_much, (SELECT count(*) FROM (TABLE public.dormant EXCEPT TABLE public.let_in) m) AS missing, (SELECT count(*) FROM (TABLE public.let_in EXCEPT TABLE public.dormant) s) AS surplus;
-- Once between two signs of life; on the very day.
SELECT count(*) AS runs, count(DISTINCT r.client_id) < count(*) AS some_again,
       count(*) FILTER (WHERE r.entered_at = (SELECT min(d.at) FROM public.base d JOIN public.dormant x USING (no, client_id) WHERE d.client_id = r.client_id AND d.at_base = b.at_base)) AS on_the_day
  FROM public.run_of r JOIN public.base b ON b.client_id = r.client_id AND b.at = r.entered_at WHERE r.name = 'dormant';
SELECT client_id, count(*) FILTER (WHERE entered_at BETWEEN '2026-03-12' AND '2026-03-13') AS entered FROM public.run_of WHERE name = 'dormant' AND client_id BETWEEN 102 AND 104 GROUP BY 1 ORDER BY 1;
SELECT count(*) AS runs, count(DISTINCT client_id) AS clients FROM public.run_of WHERE name = 'once';

-- Who was beyond the limit at activation comes in where it was asked for, seven a day, and nobody is lost.
SELECT entered_at::date AS on_date, count(*) FROM public.run_of WHERE name = 'existing' GROUP BY 1 ORDER BY 1 LIMIT 4;
SELECT max(n) AS most_a_day FROM (SELECT count(*) AS n FROM public.run_of WHERE name = 'existing' GROUP BY entered_at::date) d;
SELECT count(*) AS never_came FROM (SELECT DISTINCT b.client_id FROM public.base b WHERE b.no < 80 AND b.at_base + interval '720 hours' <= b.at
   AND NOT EXISTS (SELECT FROM public.told t WHERE t.client_id = b.client_id AND t.name <> 'Article Read' AND t.at > b.at_base)) d
 WHERE NOT EXISTS (SELECT FROM public.run_of r WHERE r.name = 'existing' AND r.client_id = d.client_id);

-- Activated again it lets nobody in a second time. After down-time, who is active again does not come in; the others do.
SELECT mfiauto.activate_workflow('dormant'), mfiauto.archive_workflow('once'), mfiauto.archive_workflow('existing');
SELECT entered FROM pg_temp.at('2026-05-10 13:00+00');
SELECT mfiauto._set_clock('2026-05-11 12:00+00');
SELECT mfiauto.track('Session Started', c) > 0 AS told FROM generate_series(1, 2) c;
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto._set_clock('2026-06-15 12:00+00');
SELECT mfiauto.track('Payment Made', 1, '{}', '2026-06-14 12:00+00') > 0 AS told;
SELECT count(*) AS before FROM mfiauto.enrollment WHERE client_id IN (1, 2) \gset
SELECT entered > 0 AS others FROM mfiauto.run_engine();
SELECT client_id FROM mfiauto.enrollment WHERE client_id IN (1, 2) AND entered_at = '2026-06-15 12:00+00';
-- A client who is gone is not inactive, one who comes is so in time; a condition that fails for one parks that one.
DELETE FROM bank.client WHERE id = 1;
INSERT INTO bank.client (id, name, joined_on) VALUES (201, 'New', '2026-06-20'), (202, 'Zero', '2026-06-20');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('dormant', '{"trigger": {"inactive": ["Session Started", "Payment Made"], "for": "30 days"}, "enter_if": "10 / (client.client_id - 202) IS NOT NULL", "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.activate_workflow('dormant');
SELECT entered, parked FROM pg_temp.at('2026-07-20 12:00+00');
SELECT client_id, state FROM mfiauto.enrollment WHERE client_id IN (1, 201, 202) AND entered_at >= '2026-07-01' ORDER BY 1;
SELECT stage, client_id, sqlstate FROM mfiauto.parked_fact;
SELECT entered, parked FROM pg_temp.at('2026-07-21 12:00+00');
SELECT mfiauto.unpark('dormant');
SELECT entered, parked FROM pg_temp.at('2026-07-21 12:00+00');
SELECT what, detail FROM mfiauto.explain_client(202, 'dormant');
