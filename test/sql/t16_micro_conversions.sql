-- T16: events that match (name, properties, count in a window); a replay of the event log gives the same enrollments as the live run.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0') FROM generate_series(1, 60) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 60) g;
-- The workflows of both runs.
CREATE FUNCTION pg_temp.define() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._set_clock('2026-03-01 00:00+00'), mfiauto.run_engine();
  PERFORM mfiauto.create_workflow('article', '{"trigger": {"event": "Article Read", "if": "event.properties ->> ''topic'' = ''savings'' AND (event.properties ->> ''depth'')::numeric >= 0.5"},
    "steps": [{"wait": "3 days"}]}');
  PERFORM mfiauto.create_workflow('either', '{"trigger": {"event": ["Budget Alert Set", "Savings Goal Created"]}, "reentry": "10 days", "steps": [{"wait": "2 days"}]}');
  PERFORM mfiauto.create_workflow('third', '{"trigger": {"event": "Transaction History Viewed", "if": "(event.properties ->> ''pages'')::integer > 1", "count": 3, "within": "7 days"},
    "steps": [{"wait": "1 day"}]}');
  PERFORM mfiauto.create_workflow('again', '{"trigger": {"event": ["Support Contacted", "Article Read"], "count": 4, "within": "5 days"}, "reentry": "always", "steps": [{"wait": "12 hours"}]}');
  PERFORM mfiauto.create_workflow('loan', '{"trigger": {"event": "Payment Link Opened", "count": 2, "within": "36 hours"}, "for_each": "loan", "steps": [{"wait": "1 day"}]}');
  PERFORM mfiauto.activate_workflow(n) FROM unnest('{article,either,third,again,loan}'::text[]) n;
END $$;
CREATE FUNCTION public.dice(topic text, n bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(topic || '/' || n), 1, 8))::bit(32)::bigint / 4294967296.0::double precision $$;
-- What happened, and when it became known: some of it hours late.
CREATE TABLE public.told AS
SELECT g AS n, (1 + public.dice('who', g) * 59)::bigint AS client_id,
       (ARRAY['Article Read', 'Budget Alert Set', 'Savings Goal Created', 'Transaction History Viewed', 'Support Contacted', 'Payment Link Opened'])[1 + (public.dice('what', g) * 5.99)::integer % 6] AS name,
       jsonb_build_object('topic', CASE WHEN public.dice('topic', g) < 0.5 THEN 'savings' ELSE 'loans' END, 'depth', round(public.dice('depth', g)::numeric, 2), 'pages', (public.dice('pages', g) * 4)::integer) AS properties,
       timestamptz '2026-03-01 06:00+00' + g * interval '19 minutes' - CASE WHEN public.dice('late', g) < 0.1 THEN public.dice('by', g) * interval '40 hours' ELSE interval '0' END AS occurred_at,
       timestamptz '2026-03-01 06:00+00' + g * interval '19 minutes' AS known_at
  FROM generate_series(1, 1130) g;
-- One run of it: events are told as they become known, in order, and the engine passes every so many hours.
CREATE PROCEDURE public.run(hours integer) LANGUAGE plpgsql AS $$
DECLARE pass timestamptz;
BEGIN
  FOR pass IN SELECT generate_series(timestamptz '2026-03-01 06:00+00', '2026-03-16 06:00', make_interval(hours => hours)) LOOP
    PERFORM mfiauto._set_clock(pass);
    PERFORM mfiauto.track(t.name, t.client_id, t.properties || jsonb_build_object('n', t.n), t.occurred_at,
                          CASE t.name WHEN 'Payment Link Opened' THEN 'loan' END, CASE t.name WHEN 'Payment Link Opened' THEN 100 + t.client_id END)
       FROM (SELECT * FROM public.told t WHERE t.known_at > pass - make_interval(hours => hours) AND t.known_at <= pass ORDER BY t.n) t;
    COMMIT;
    PERFORM mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;

-- The live run, a pass every six hours.
SELECT pg_temp.define();
CALL public.run(6);
CREATE TABLE public.live AS
  SELECT h.name, e.client_id, e.subject, e.subject_id, e.loan_id, e.entered_at, e.ended_at, e.context
    FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id);
SELECT name, count(*) > 10 AS is_many, count(*) > count(DISTINCT client_id) AS some_again FROM public.live GROUP BY 1 ORDER BY 1;

-- An independent look at it: when was each condition first met, with what was known at each pass?
CREATE TABLE public.pass AS SELECT generate_series(timestamptz '2026-03-01 06:00+00', '2026-03-16 06:00', '6 hours') AS at;
CREATE TABLE public.expected AS
SELECT 'article' AS name, t.client_id, min(p.at) AS at FROM public.told t JOIN public.pass p ON p.at >= t.known_at
 WHERE t.name = 'Article Read' AND t.properties ->> 'topic' = 'savings' AND (t.properties ->> 'depth')::numeric >= 0.5 GROUP BY 2
UNION ALL
SELECT 'third', a.client_id, min(p.at)
  FROM public.told a JOIN public.told b ON b.client_id = a.client_id AND b.n <> a.n JOIN public.told c ON c.client_id = a.client_id AND c.n NOT IN (a.n, b.n)
  JOIN public.pass p ON p.at >= greatest(a.known_at, b.known_at, c.known_at)
 WHERE a.name = 'Transaction History Viewed' AND b.name = a.name AND c.name = a.name
   AND (a.properties ->> 'pages')::integer > 1 AND (b.properties ->> 'pages')::integer > 1 AND (c.properties ->> 'pages')::integer > 1
   AND a.occurred_at <= b.occurred_at AND b.occurred_at <= c.occurred_at AND c.occurred_at - a.occurred_at <= interval '168 hours' GROUP BY 2
UNION ALL
SELECT 'loan', a.client_id, min(p.at)
  FROM public.told a JOIN public.told b ON b.client_id = a.client_id AND b.n <> a.n JOIN public.pass p ON p.at >= greatest(a.known_at, b.known_at)
 WHERE a.name = 'Payment Link Opened' AND b.name = a.name AND a.occurred_at <= b.occurred_at AND b.occurred_at - a.occurred_at <= interval '36 hours' GROUP BY 2;
SELECT e.name, count(*) > 10 AS is_many FROM public.expected e GROUP BY 1 ORDER BY 1;
SELECT * FROM (SELECT name, client_id, at FROM public.expected EXCEPT SELECT name, client_id, entered_at FROM public.live) missing ORDER BY 1, 2;
SELECT * FROM (SELECT name, client_id, entered_at FROM public.live WHERE name IN ('article', 'third', 'loan') EXCEPT SELECT name, client_id, at FROM public.expected) surplus ORDER BY 1, 2;
SELECT count(*) AS wrong_subjects FROM public.live WHERE name = 'loan' AND (subject <> 'loan' OR subject_id <> 100 + client_id OR loan_id <> subject_id);
-- A run of "either" begins at least ten days after the last one began; of "again", when the last one has ended.
SELECT count(*) AS too_early FROM public.live a JOIN public.live b ON b.name = a.name AND b.client_id = a.client_id AND b.entered_at > a.entered_at
 WHERE (a.name = 'either' AND b.entered_at < a.entered_at + interval '10 days') OR b.entered_at < a.ended_at;

-- Replayed into a fresh installation: the same.
\set ECHO none
SELECT mfiauto.uninstall('yes, delete everything');
DROP SCHEMA bank CASCADE;
DROP FUNCTION pg_temp.at;
SELECT mfiauto.install();
\i test/lib/trigger_books.sql
\set ECHO all
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0') FROM generate_series(1, 60) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 60) g;
SELECT pg_temp.define();
CALL public.run(6);
CREATE TABLE public.again AS
  SELECT h.name, e.client_id, e.subject, e.subject_id, e.loan_id, e.entered_at, e.ended_at, e.context
    FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id);
SELECT count(*) AS enrollments, count(*) = (SELECT count(*) FROM public.live) AS as_many FROM public.again;
SELECT count(*) AS differences FROM ((TABLE public.live EXCEPT ALL TABLE public.again) UNION ALL (TABLE public.again EXCEPT ALL TABLE public.live)) d;
