-- W3: branches (if, switch with its default, split by weight); a condition that raises for one client in 10,000 parks that one alone, and nothing is sent to it.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset null -
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
CREATE VIEW public.way AS
  SELECT e.workflow, e.client_id, e.state, e.arm,
         (SELECT string_agg(concat_ws(' ', s.path, d.decision, d.reason), ', ' ORDER BY d.decision_id) FROM mfiauto.decision_log d JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no)
           WHERE d.client_id = e.client_id AND d.enrollment_id = e.enrollment_id AND d.decision IN ('branched', 'switch', 'split')) AS ways,
         (SELECT string_agg(s.path || ' ' || m.state, ', ' ORDER BY m.message_id) FROM mfiauto.message_ledger m JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no)
           WHERE m.client_id = e.client_id AND m.enrollment_id = e.enrollment_id) AS messages
    FROM mfiauto.enrollment e;

-- Branch by branch. Null is not true: it goes on to the next case, and to the default in the end. What is inside a branch stays inside; all come back together.
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', (ARRAY['low', 'middle', 'high', NULL, 'none'])[g] FROM generate_series(1, 5) g;
SELECT mfiauto.create_workflow('ways', '{"trigger": {"event": "Began"}, "class": "transactional", "steps": [
  {"if": "client.literacy = ''low''", "then": [{"send": "late_low"}], "else": [{"if": "client.literacy <> ''none''", "then": [{"send": "late"}]}]},
  {"switch": [{"if": "client.literacy = ''low''", "then": [{"send": "before"}, {"wait": "1 hour"}]},
              {"if": "client.literacy IN (''low'', ''middle'')", "then": []},
              {"if": "client.literacy = ''high''", "then": [{"send": "today"}, {"end": true}]}], "else": [{"send": "thanks"}]},
  {"send": "welcome"}]}') AS version;
SELECT mfiauto._set_clock('2026-03-02 08:00+00');
SELECT mfiauto.activate_workflow('ways');
SELECT * FROM pg_temp.at('2026-03-02 08:00+00');
SELECT count(mfiauto.track('Began', c)) FROM generate_series(1, 5) c;
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');
SELECT * FROM public.way ORDER BY client_id;
SELECT * FROM pg_temp.at('2026-03-02 10:00+00');
SELECT w.messages FROM public.way w WHERE w.client_id = 1;
SELECT x.detail FROM mfiauto.explain_client(3, 'ways') x WHERE x.what IN ('branched', 'switch') ORDER BY x.at, x.step;

-- In an anchored workflow the branches have moments; the preview goes the ways that the engine will go.
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 5) g;
INSERT INTO bank.installment SELECT 200 + g, 100 + g, 1, '2026-03-20' FROM generate_series(1, 5) g;
SELECT mfiauto.create_workflow('dated', '{"for_each": "installment", "anchor": "due_date", "class": "transactional", "steps": [
  {"at": "-3 days 09:00", "switch": [{"if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}]}, {"if": "client.literacy IS NULL", "then": []}], "else": [{"send": "before", "channels": ["sms"]}]},
  {"at": "-1 day 09:00", "split": {"a": 1, "b": 1}, "steps": {"a": [{"send": "today", "channels": ["sms"]}], "b": [{"at": "0 days 09:00", "send": "late", "channels": ["sms"]}]}}]}') AS version;
UPDATE mfiauto.workflow_head SET salt = 'salt' WHERE name = 'dated';
SELECT mfiauto._set_clock('2026-03-10 08:00+00');
SELECT sum(events) AS events FROM mfiauto.run_engine();
CREATE TEMP TABLE foreseen AS SELECT p.step, p.channel, p.on_date, p.messages FROM mfiauto.preview_activation('dated') p WHERE p.step NOT LIKE 'enter now%';
SELECT mfiauto.activate_workflow('dated');
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-03-10 09:00+00', '2026-03-20 09:00+00', '1 day') d, LATERAL pg_temp.at(d) a;
SELECT w.* FROM public.way w WHERE w.workflow = 'dated' ORDER BY w.client_id;
SELECT f.step, f.channel, f.on_date, f.messages, (SELECT count(*) FROM mfiauto.message m WHERE m.workflow = 'dated' AND m.step = f.step AND m.channel = f.channel AND m.due_at::date = f.on_date) AS sent
  FROM foreseen f ORDER BY 1, 2, 3;

-- A split: shares by weight, whatever their sum; the same client the same arm for ever; not the same in another workflow or place; arms are listed by name, however they are written.
SELECT mfiauto.create_workflow(n, '{"trigger": {"event": "Drawn"}, "reentry": "always", "holdout": 20, "steps": [
  {"split": {"long": 3, "short": 6, "none": 1}, "steps": {"short": [], "none": [{"end": true}], "long": [{"send": "thanks"}]}},
  {"split": {"short": 50, "long": 50}, "steps": {"short": [], "long": []}}]}') AS version FROM unnest('{one,two}'::text[]) n;
UPDATE mfiauto.workflow_head SET salt = 'salt ' || name WHERE name IN ('one', 'two');
SELECT mfiauto.activate_workflow(n) FROM unnest('{one,two}'::text[]) n;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217' || lpad((70000000 + g)::text, 8, '0'), 'Africa/Dakar', 'low' FROM generate_series(1001, 2000) g;
SELECT count(mfiauto.track('Drawn', c)) FROM generate_series(1001, 2000) c;
SELECT * FROM pg_temp.at('2026-04-01 09:00+00');
SELECT count(mfiauto.track('Drawn', c)) FROM generate_series(1001, 2000) c;
SELECT * FROM pg_temp.at('2026-04-02 09:00+00');
CREATE TEMP TABLE drawn AS SELECT h.name AS workflow, d.client_id, s.path, d.reason AS arm, e.arm = 'holdout' AS is_held, count(*) AS times FROM mfiauto.decision_log d JOIN mfiauto.workflow_head h USING (workflow_id)
  JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no) JOIN mfiauto.enrollment_state e USING (client_id, enrollment_id) WHERE d.decision = 'split' AND h.name IN ('one', 'two') GROUP BY 1, 2, 3, 4, 5;
SELECT d.workflow, d.path, d.arm, abs(sum(d.times) / 2 - CASE d.arm || d.path WHEN 'longsteps[0]' THEN 300 WHEN 'nonesteps[0]' THEN 100 WHEN 'shortsteps[0]' THEN 600 ELSE 450 END) < 50 AS as_weighed,
       sum(d.times) FILTER (WHERE d.is_held) BETWEEN sum(d.times) * 0.12 AND sum(d.times) * 0.28 AS held_out_alike
  FROM drawn d GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) FILTER (WHERE d.times <> 2) AS changed, count(DISTINCT (d.workflow, d.client_id, d.path)) = count(*) AS one_arm_each FROM drawn d;
-- The four draws have nothing to do with one another: among those whom one of them sends one way, the others divide as they do among all.
SELECT a.path AS of, b.workflow, b.path, abs(avg((b.arm = 'short')::integer) - max(c.share)) < 0.06 AS independent
  FROM drawn a JOIN drawn b ON b.client_id = a.client_id AND (b.workflow, b.path) <> (a.workflow, a.path)
  JOIN (SELECT d.workflow, d.path, avg((d.arm = 'short')::integer) AS share FROM drawn d GROUP BY 1, 2) c ON c.workflow = b.workflow AND c.path = b.path
 WHERE a.workflow = 'one' AND a.arm = 'short' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT m.state, count(*) = (SELECT 2 * count(*) FROM drawn d WHERE d.workflow = 'one' AND d.arm = 'long' AND d.path = 'steps[0]' AND d.is_held = (m.state = 'holdout')) AS as_drawn
  FROM mfiauto.message m WHERE m.workflow = 'one' GROUP BY 1 ORDER BY 1;

-- One in ten thousand, in a case of a switch; the others go on in the same pass.
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217' || lpad((71000000 + g)::text, 8, '0'), 'Africa/Dakar', CASE g WHEN 17777 THEN '0' ELSE (g % 7 + 1)::text END FROM generate_series(10001, 20000) g;
SELECT mfiauto.create_workflow('fails', '{"trigger": {"event": "Divided"}, "class": "transactional", "steps": [
  {"switch": [{"if": "client.literacy = ''none''", "then": [{"send": "late"}]}, {"if": "10 / client.literacy::integer = 3", "then": [{"send": "today"}]}], "else": []},
  {"if": "client.client_id % 100 = 77", "then": [{"send": "welcome"}]}]}') AS version;
SELECT mfiauto.activate_workflow('fails');
INSERT INTO mfiauto.event_log (client_id, name, occurred_at, received_at) SELECT c, 'Divided', '2026-04-03 09:00+00', '2026-04-03 09:00+00' FROM generate_series(10001, 20000) c;
SELECT count(mfiauto._journal_append(0, 'e', l.event_id, l.client_id)) FROM mfiauto.event_log l WHERE l.name = 'Divided';
SELECT * FROM pg_temp.at('2026-04-03 09:00+00');
SELECT e.state, e.step, e.reason, count(*) FROM mfiauto.enrollment e WHERE e.workflow = 'fails' GROUP BY 1, 2, 3 ORDER BY 1;
SELECT count(*) AS sent, count(*) FILTER (WHERE m.client_id = 17777) AS to_the_failing FROM mfiauto.message m WHERE m.workflow = 'fails';
SELECT (SELECT count(*) FILTER (WHERE g % 7 + 1 = 3) + count(*) FILTER (WHERE g % 100 = 77 AND g <> 17777) FROM generate_series(10001, 20000) g WHERE g <> 17777) AS oracle;
UPDATE bank.client SET literacy = '3' WHERE id = 17777;
SELECT mfiauto.unpark('fails');
SELECT * FROM pg_temp.at('2026-04-03 09:10+00');
SELECT w.client_id, w.state, w.ways, w.messages FROM public.way w WHERE w.client_id = 17777;
