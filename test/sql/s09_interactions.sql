-- S9: interactions of 30 and 90 days, sliding: equal to a plain count on every simulated day.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id) SELECT g FROM generate_series(1, 30) g;
SELECT mfiauto.set_interaction('Newsletter Sent', false);
SELECT setseed(0.9);
CREATE TABLE public.plan AS
SELECT g AS id, 1 + floor(random() * 30)::bigint AS client_id, (ARRAY['Session Started', 'Article Read', 'Newsletter Sent', 'Support Contacted'])[1 + floor(random() * 4)::integer] AS name,
       timestamptz '2026-01-01' + random() * interval '150 days' AS at, random() * interval '20 days' * (random() < 0.2)::integer AS delay
  FROM generate_series(1, 600) g;
CREATE TABLE public.seen (day date, client_id bigint, in_30d integer, in_90d integer, last_at timestamptz, naive_30d integer, naive_90d integer, naive_last timestamptz);
-- A day: what happened since the last one is told (some of it late), the engine runs.
CREATE PROCEDURE public.live() LANGUAGE plpgsql AS $$
DECLARE
  day date; previous timestamptz := '2025-12-31'; moment timestamptz;
BEGIN
  FOR day IN SELECT d::date FROM generate_series(date '2026-01-01', date '2026-08-30', '1 day') d WHERE d < '2026-06-01' AND extract(day FROM d)::integer % 2 = 0 OR extract(day FROM d)::integer % 5 = 0 LOOP
    moment := day + time '06:00' AT TIME ZONE 'UTC';
    PERFORM mfiauto._set_clock(moment);
    PERFORM mfiauto.track(p.name, p.client_id, occurred_at => p.at) FROM public.plan p WHERE p.at + p.delay > previous AND p.at + p.delay <= moment ORDER BY p.id;
    COMMIT;
    PERFORM * FROM mfiauto.run_engine();
    INSERT INTO public.seen
    SELECT day, c.id, p.interactions_30d, p.interactions_90d, p.last_interaction_at,
           count(e.at) FILTER (WHERE e.at > moment - interval '30 days'), count(e.at) FILTER (WHERE e.at > moment - interval '90 days'), max(e.at)
      FROM bank.client c JOIN mfiauto.client_profile p ON p.client_id = c.id
      LEFT JOIN public.plan e ON e.client_id = c.id AND e.name <> 'Newsletter Sent' AND e.at + e.delay <= moment
     GROUP BY c.id, p.interactions_30d, p.interactions_90d, p.last_interaction_at;
    COMMIT;
    previous := moment;
  END LOOP;
END $$;
CALL public.live();
SELECT count(*) FILTER (WHERE in_30d <> naive_30d OR in_90d <> naive_90d OR last_at IS DISTINCT FROM naive_last) AS wrong, count(*) > 2500 AS many, max(in_30d) > 3 AS some, min(in_30d) FILTER (WHERE day > '2026-07-10') AS at_the_end,
       sum(in_90d) FILTER (WHERE day = '2026-08-30') AS in_the_end FROM public.seen;
-- What a workflow emitted, and what befell him, is no interaction of the client's; the list can be changed.
SELECT mfiauto.track('Session Started', 1), mfiauto.track('Loan Approved', 1) IS NOT NULL AS told \g /dev/null
SELECT pg_temp.pass('2026-09-01 08:00+00');
SELECT p.interactions_30d FROM mfiauto.client_profile p WHERE p.client_id = 1;
SELECT mfiauto.set_interaction('Loan Approved', true);
SELECT pg_temp.pass('2026-09-01 09:00+00');
SELECT p.interactions_30d FROM mfiauto.client_profile p WHERE p.client_id = 1;
SELECT mfiauto.set_interaction('Loan Approved', NULL);
SELECT pg_temp.drift();
