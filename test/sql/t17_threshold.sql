-- T17: a trait crosses a limit: one enrollment, however often it goes to and fro, until it has been on the far side of the other limit.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
SELECT count(mfiauto.create_template('late', channel => 'sms', body => 'Hello {{client.name}}')) AS templates;
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+2217700000' || lpad(g::text, 2, '0') FROM generate_series(1, 9) g;
INSERT INTO bank.loan (id, client_id) SELECT g, g FROM generate_series(1, 9) g;
-- Client g fell into arrears on 1 February, the ninth on 1 January.
INSERT INTO bank.installment (id, loan_id, due_date, due) SELECT g, g, CASE g WHEN 9 THEN date '2026-01-01' ELSE date '2026-02-01' END, 1000 FROM generate_series(1, 9) g;
SELECT pg_temp.pass('2026-02-10 08:00+00');
SELECT mfiauto.create_workflow('late', '{"trigger": {"trait": "days_past_due", "rises_to": 30, "until_below": 10}, "class": "collection", "reentry": "always", "steps": [{"send": "late"}]}') AS version;
SELECT mfiauto.create_trait('temper', 'SELECT p.client_id, (p.traits ->> ''mood'')::numeric AS value FROM mfiauto.client_profile p');
SELECT mfiauto.create_workflow('low', '{"trigger": {"trait": "temper", "falls_to": 0.5, "until_above": 0.8}, "class": "collection", "reentry": "always", "steps": [{"send": "late"}]}') AS version;
SELECT mfiauto.activate_workflow('late'), mfiauto.activate_workflow('low');
CREATE FUNCTION pg_temp.told(workflow text) RETURNS TABLE (client_id bigint, told text, entered bigint) LANGUAGE sql AS $$
  SELECT c.id, (SELECT string_agg(format('%s at %s', e.properties ->> 'value', to_char(e.occurred_at, 'MM-DD')), ', ' ORDER BY e.occurred_at) FROM mfiauto.event e
                 WHERE e.client_id = c.id AND e.name = 'Threshold Crossed' AND e.properties ->> 'workflow' = workflow),
         (SELECT count(*) FROM mfiauto.enrollment n WHERE n.client_id = c.id AND n.workflow = told.workflow)
    FROM bank.client c WHERE EXISTS (SELECT FROM mfiauto.event e WHERE e.client_id = c.id AND e.name = 'Threshold Crossed' AND e.properties ->> 'workflow' = workflow) ORDER BY 1 $$;
-- The ninth is beyond the limit already: he is noted, not told.
SELECT pg_temp.pass('2026-02-10 09:00+00');
SELECT * FROM pg_temp.told('late');
SELECT s.client_id, s.is_beyond FROM mfiauto.threshold_state s JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'late' AND s.is_beyond ORDER BY 1;
-- By the clock alone: 30 days late on 3 March; two have paid before.
UPDATE bank.installment SET paid = due WHERE id IN (7, 8);
SELECT pg_temp.pass('2026-03-02 20:00+00');
SELECT * FROM pg_temp.told('late');
SELECT pg_temp.pass('2026-03-03 08:00+00');
SELECT pg_temp.pass('2026-03-03 08:01+00');
SELECT * FROM pg_temp.told('late');
SELECT pg_temp.pass('2026-03-05 08:00+00');
-- Client 1 goes to and fro around the limit and stays above 10: not told again. Client 2 pays all and is late again: told again.
CREATE FUNCTION pg_temp.lateness(client integer, days integer, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE bank.installment SET due_date = at::date - days WHERE id = client;
END $$;
SELECT pg_temp.lateness(1, 20, '2026-03-06');
UPDATE bank.installment SET paid = due WHERE id = 2;
SELECT pg_temp.pass('2026-03-06 08:00+00');
SELECT pg_temp.lateness(1, 40, '2026-03-07'), pg_temp.lateness(2, 35, '2026-03-07');
UPDATE bank.installment SET paid = 0 WHERE id = 2;
SELECT pg_temp.pass('2026-03-07 08:00+00');
SELECT pg_temp.lateness(1, 10, '2026-03-08');
SELECT pg_temp.pass('2026-03-08 08:00+00');
SELECT pg_temp.lateness(1, 31, '2026-03-09');
SELECT pg_temp.pass('2026-03-09 08:00+00');
SELECT pg_temp.pass('2026-03-09 08:01+00');
SELECT * FROM pg_temp.told('late') WHERE client_id <= 3;
-- Below 10, and over 30 again: now he is.
SELECT pg_temp.lateness(1, 9, '2026-03-10');
SELECT pg_temp.pass('2026-03-10 08:00+00');
SELECT pg_temp.lateness(1, 31, '2026-03-11');
SELECT pg_temp.pass('2026-03-11 08:00+00');
SELECT pg_temp.pass('2026-03-11 08:01+00');
SELECT * FROM pg_temp.told('late') WHERE client_id <= 3;
-- A newcomer who comes in beyond the limit crossed it.
INSERT INTO bank.client (id, name, phone) VALUES (20, 'New', '+221770000020');
INSERT INTO bank.loan (id, client_id) VALUES (20, 20);
INSERT INTO bank.installment (id, loan_id, due_date, due) VALUES (20, 20, '2026-01-01', 1000);
SELECT pg_temp.pass('2026-03-12 08:00+00');
SELECT pg_temp.pass('2026-03-12 08:01+00');
SELECT * FROM pg_temp.told('late') WHERE client_id = 20;
-- Falling: a trait that is told; a random walk against a step-by-step account of it.
SELECT setseed(0.17);
CREATE TABLE public.walk AS SELECT d AS day, c AS client_id, round((0.65 + 0.25 * sin(d * c * 0.7) + random() * 0.2 - 0.1)::numeric, 2) AS mood FROM generate_series(1, 25) d, generate_series(1, 6) c;
CREATE PROCEDURE public.walk_on() LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1..25 LOOP
    PERFORM mfiauto._set_clock(timestamptz '2026-04-01 08:00+00' + n * interval '1 day');
    PERFORM mfiauto.identify(w.client_id, jsonb_build_object('mood', w.mood)) FROM public.walk w WHERE w.day = n;
    COMMIT;
    PERFORM * FROM mfiauto.run_engine();
    COMMIT;
    -- What a pass tells is consumed by the next one.
    PERFORM * FROM mfiauto.run_engine();
    COMMIT;
  END LOOP;
END $$;
CALL public.walk_on();
CREATE FUNCTION pg_temp.account(client bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record; is_out boolean := false; told text[] := '{}';
BEGIN
  FOR w IN SELECT * FROM public.walk k WHERE k.client_id = client ORDER BY k.day LOOP
    IF NOT is_out AND w.mood <= 0.5 THEN
      is_out := true;
      told := told || format('%s at %s', w.mood, to_char(timestamp '2026-04-01' + w.day * interval '1 day', 'MM-DD'));
    ELSIF is_out AND w.mood > 0.8 THEN
      is_out := false;
    END IF;
  END LOOP;
  RETURN nullif(array_to_string(told, ', '), '');
END $$;
SELECT count(*) AS clients, count(*) FILTER (WHERE t.told IS DISTINCT FROM pg_temp.account(c.id)) AS wrong, sum(t.entered) = sum(cardinality(string_to_array(t.told, ', '))) AS entered_each_time,
       sum(t.entered) > 6 AS some, sum(t.entered) < (SELECT count(*) FROM public.walk w WHERE w.mood <= 0.5) AS fewer_than_low_days
  FROM bank.client c LEFT JOIN pg_temp.told('low') t ON t.client_id = c.id WHERE c.id <= 6;
-- An archived workflow watches nobody.
SELECT mfiauto.archive_workflow('low'), mfiauto.archive_workflow('late');
SELECT pg_temp.pass('2026-05-01 08:00+00');
SELECT count(*) FROM mfiauto.threshold_state;
