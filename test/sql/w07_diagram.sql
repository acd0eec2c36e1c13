-- W7, a workflow as a diagram: what it gives is read by Graphviz and by a strict reader of Mermaid's language; the counts on the edges sum to the runs.
-- packages: graphviz
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
RESET client_min_messages;
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); PERFORM mfiauto.run_engine(); END $$;

-- Mermaid, line by line: what a line may be, and nothing else. Inside quotes only what no part of Mermaid takes for its own.
CREATE FUNCTION pg_temp.check_mermaid(diagram text) RETURNS TABLE (nodes bigint, edges bigint, complaint text)
LANGUAGE sql AS $$
  WITH line AS (
    SELECT ord, l, l ~ ('^  (start|done|elsewhere|s[0-9]+|exit_[0-9]+)(\(\["T"\]\)|\{"T"\}|\("T"\)|\["T"\])$'::text) AS is_node,
           l ~ '^  (start|done|elsewhere|s[0-9]+|exit_[0-9]+) (-->|-\.->)\|"T"\| (done|elsewhere|s[0-9]+|exit_[0-9]+)$' AS is_edge,
           (regexp_match(l, '^  ([a-z0-9_]+)[[({]'))[1] AS node, regexp_match(l, '^  ([a-z0-9_]+) -.*\| ([a-z0-9_]+)$') AS ends
      FROM regexp_split_to_table(regexp_replace(diagram, '"([^"#<>&%{}$`*\\;|\n]|#[0-9]+;|<br/>)+"', '"T"', 'g'), '\n') WITH ORDINALITY AS u(l, ord)
  )
  SELECT count(*) FILTER (WHERE is_node), count(*) FILTER (WHERE is_edge),
         (SELECT min(format('line %s: %s', x.ord, x.l)) FROM line x
           WHERE NOT CASE x.ord WHEN 1 THEN x.l ~ '^%% ' WHEN 2 THEN x.l = 'flowchart TD' ELSE x.is_node OR x.is_edge END
              OR (x.is_edge AND NOT (x.ends[1] IN (SELECT n.node FROM line n WHERE n.is_node) AND x.ends[2] IN (SELECT n.node FROM line n WHERE n.is_node)))
              OR (x.is_node AND x.node IN (SELECT n.node FROM line n WHERE n.is_node AND n.ord <> x.ord)))
    FROM line $$;

-- Graphviz draws it (it stops the test if it cannot) and says what it saw.
CREATE FUNCTION pg_temp.check_dot(name text, version integer DEFAULT NULL) RETURNS TABLE (nodes bigint, edges bigint, labels text[])
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($q$COPY (SELECT l FROM regexp_split_to_table(mfiauto.workflow_diagram(%L, format => 'dot', version => %L), E'\n') l)
                      TO PROGRAM 'dot -Tplain >w07_diagram.plain' (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')$q$, name, version);
  RETURN QUERY SELECT count(*) FILTER (WHERE l ~ '^node '), count(*) FILTER (WHERE l ~ '^edge '),
                      array_agg(regexp_replace(l, '^node (s[0-9]+) \S+ \S+ \S+ \S+ (.*) (solid|rounded) (box|diamond|oval) .*$', '\1 \2') ORDER BY l COLLATE "C") FILTER (WHERE l ~ '^node s[0-9]')
                 FROM regexp_split_to_table(pg_read_file('w07_diagram.plain'), '\n') l;
END $$;

-- Each workflow's counts, from the diagram's edges and from the runs themselves: what came into a node left it or is there.
CREATE FUNCTION pg_temp.disagreements() RETURNS TABLE (workflow text, version integer, what text)
LANGUAGE sql AS $$
  WITH edge AS MATERIALIZED (
    SELECT h.name, v.workflow_id, v.version, e.* FROM mfiauto.workflow_version v JOIN mfiauto.workflow_head h USING (workflow_id)
     CROSS JOIN LATERAL mfiauto._diagram_edges(v.workflow_id, v.version, mfiauto._run_places(v.workflow_id, v.version)) AS e(kind, from_no, to_no, label, reason, runs)
  ),
  entered AS (
    -- The log says at which step each run came in; nothing of it is used by the diagram.
    SELECT d.workflow_id, d.version, d.step_no, count(*) AS runs FROM mfiauto.decision_log d WHERE d.decision = 'entered' GROUP BY 1, 2, 3
  )
  SELECT coalesce(e.name, h.name), coalesce(e.version, n.version), format('entries at step %s: %s, in the log %s', coalesce(e.to_no, n.step_no), e.runs, n.runs)
    FROM (SELECT * FROM edge WHERE kind = 'entry' AND runs <> 0) e
    FULL JOIN entered n ON n.workflow_id = e.workflow_id AND n.version = e.version AND n.step_no = e.to_no
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = n.workflow_id
   WHERE e.runs IS DISTINCT FROM n.runs
  UNION ALL
  SELECT e.name, e.version, format('edges leave %s runs at the end, completed %s', sum(e.runs) FILTER (WHERE e.to_no = 0) - coalesce(sum(e.runs) FILTER (WHERE e.from_no = 0), 0), c.completed)
    FROM edge e JOIN LATERAL (SELECT count(*) AS completed FROM mfiauto.enrollment_state s
                               WHERE s.workflow_id = e.workflow_id AND s.version = e.version AND s.state = 'completed') c ON true
   GROUP BY e.name, e.version, c.completed
  HAVING coalesce(sum(e.runs) FILTER (WHERE e.to_no = 0), 0) - coalesce(sum(e.runs) FILTER (WHERE e.from_no = 0), 0) <> c.completed
  UNION ALL
  SELECT e.name, e.version, format('%s came and stayed, of %s runs', sum(CASE WHEN e.kind = 'entry' OR e.from_no = -1 THEN e.runs WHEN e.to_no = -1 THEN - e.runs END), c.runs)
    FROM edge e JOIN LATERAL (SELECT count(*) AS runs FROM mfiauto.enrollment_state s WHERE s.workflow_id = e.workflow_id AND s.version = e.version) c ON true
   GROUP BY e.name, e.version, c.runs HAVING sum(CASE WHEN e.kind = 'entry' OR e.from_no = -1 THEN e.runs WHEN e.to_no = -1 THEN - e.runs END) <> c.runs
  UNION ALL
  SELECT e.name, e.version, format('"%s" at step %s was taken %s times, the log says %s', e.label, e.from_no, e.runs, c.taken)
    FROM edge e
    JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = e.version AND s.step_no = e.from_no AND s.kind = 'if'
    JOIN LATERAL (SELECT count(*) AS taken FROM mfiauto.decision_log d WHERE d.workflow_id = e.workflow_id AND d.version = e.version AND d.step_no = e.from_no
                     AND d.decision = 'branched' AND (d.reason = 'then') = (e.label = 'yes')) c ON true
   WHERE e.kind = 'step' AND e.runs <> c.taken
  UNION ALL
  SELECT e.name, e.version, format('edge %s to %s has %s runs', e.from_no, e.to_no, e.runs) FROM edge e WHERE e.runs < 0 $$;

-- 40 clients, a loan each. Half of the installments are due soon, some are paid late, some early, some move, some go and come back.
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE g % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'high' END FROM generate_series(1, 40) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 40) g;
SELECT mfiauto.create_workflow('rappel "d''été" [1] {é} 日本 <b> & `x` 50% #1', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 20,
  "enter_if": "loan.status = ''active''",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "steps": [
    {"at": "-3 days 09:00", "send": "before", "channels": ["sms"]},
    {"at":  "0 days 09:00", "send": "today", "channels": ["sms", "voice"]},
    {"at": "+3 days 09:00", "if": "client.literacy = ''low''", "then": [{"if": "client.name LIKE ''%9''", "then": [{"end": true}]}, {"send": "late_low", "channels": ["voice"]}],
     "else": [{"send": "late", "channels": ["sms"]}]},
    {"at": "+5 days 09:00", "task": "Visit \"{{client.name}}\" [now]; say `hello`|\\ %% 100% {a}", "assign": "officer", "due": "2 days"}
  ]}') > 0 AS created;
SELECT mfiauto.create_workflow('welcome', '{
  "trigger": {"event": "Client Activated"}, "reentry": "always", "exit_if": "client.name = ''Gone''",
  "steps": [{"send": "welcome"}, {"wait": "2 days"},
            {"if": "1 / (client.client_id - 3) > 100", "then": [{"end": true}], "else": [{"send": "thanks"}]}]}') > 0 AS created;
-- Before anybody came.
SELECT mfiauto.workflow_diagram('welcome');
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.activate_workflow(name) FROM mfiauto.workflow ORDER BY name;
INSERT INTO bank.installment SELECT 1000 + g, 100 + g, 1, date '2026-01-05' + g % 10 FROM generate_series(1, 40) g;
SELECT pg_temp.at('2026-01-05 08:30+00');
SELECT mfiauto.track('Client Activated', client_id => g) IS NOT NULL AS tracked FROM generate_series(1, 6) g;
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-01-05 09:00+00', '2026-01-08 09:00+00', '1 day') d;
SELECT * FROM pg_temp.disagreements();
-- Paid, moved to later (and beyond the last step, and back before the first), gone, come back, taken back, sold to another client.
UPDATE bank.installment SET paid = due WHERE id % 5 = 0;
UPDATE bank.installment SET due_date = due_date + 4 WHERE id % 5 = 1;
UPDATE bank.installment SET due_date = '2025-01-01' WHERE id IN (1012, 1022);
DELETE FROM bank.installment WHERE id % 10 = 3;
UPDATE bank.loan SET client_id = 40 WHERE id = 107;
UPDATE bank.client SET name = 'Gone' WHERE id = 6;
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-01-09 09:00+00', '2026-01-10 09:00+00', '1 day') d;
SELECT * FROM pg_temp.disagreements();
UPDATE bank.installment SET paid = 0 WHERE id % 10 = 0;
UPDATE bank.installment SET due_date = '2026-01-20' WHERE id = 1012;
INSERT INTO bank.installment SELECT 1000 + g, 100 + g, 1, date '2026-01-05' + g % 10 FROM generate_series(3, 40, 10) g;
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-01-11 09:00+00', '2026-01-14 09:00+00', '1 day') d;
SELECT * FROM pg_temp.disagreements();
SELECT mfiauto.workflow_diagram('welcome');
SELECT e.kind, e.from_no, e.to_no, e.label, e.reason, e.runs
  FROM mfiauto.workflow_head h CROSS JOIN LATERAL mfiauto._diagram_edges(h.workflow_id, 1, mfiauto._run_places(h.workflow_id, 1)) AS e(kind, from_no, to_no, label, reason, runs)
 WHERE h.name LIKE 'rappel%' ORDER BY 1, 2 NULLS FIRST, 3, 5;
SELECT mfiauto.unpark('welcome') AS unparked;
SELECT mfiauto.archive_workflow('welcome');
SELECT * FROM pg_temp.disagreements();
SELECT e.state, e.reason, e.step, count(*) FROM mfiauto.enrollment e WHERE e.workflow = 'welcome' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Ways of every kind, round and round, and over to another version.
SELECT mfiauto.create_workflow('tour', '{"trigger": {"event": "Session Started"}, "reentry": "always", "steps": [
  {"wait_for": {"event": "Session Ended"}, "timeout": "2 days", "then": [{"send": "thanks"}], "timeout_steps": [{"wait": "1 day"}]},
  {"split": {"short": 50, "long": 50}, "steps": {"short": [{"send": "before"}], "long": [{"wait": "1 day"}, {"send": "late"}]}},
  {"switch": [{"if": "client.client_id < 10", "then": [{"send": "today"}]}, {"if": "client.client_id < 20", "then": [{"end": true}]}], "else": []},
  {"repeat": [{"wait": "1 day"}, {"send": "welcome"}], "at_most": 4, "until": "client.client_id % 4 = 0"}]}') > 0 AS created;
UPDATE mfiauto.workflow_head SET salt = name;
SELECT mfiauto.activate_workflow('tour');
SELECT count(mfiauto.track('Session Started', client_id => g)) FROM generate_series(1, 30) g;
SELECT pg_temp.at('2026-01-15 09:00+00');
SELECT count(mfiauto.track('Session Ended', client_id => g)) FROM generate_series(1, 30, 3) g;
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-01-15 10:00+00', '2026-01-18 10:00+00', '12 hours') d;
SELECT * FROM pg_temp.disagreements();
SELECT mfiauto.create_workflow('tour', (w.definition #- '{steps,2}')::json) > 0 AS changed FROM mfiauto.workflow w WHERE w.name = 'tour';
SELECT mfiauto.activate_workflow('tour', running => 'move');
SELECT pg_temp.at(d) FROM generate_series(timestamptz '2026-01-19 10:00+00', '2026-01-20 10:00+00', '12 hours') d;
SELECT * FROM pg_temp.disagreements();
SELECT mfiauto.workflow_diagram('tour', version => 1);
SELECT mfiauto.workflow_diagram('tour');

-- Every kind of step and trigger, in words of their own, as the compiler may write them.
INSERT INTO mfiauto.workflow_head (name, salt, created_at) SELECT 'trigger ' || k, 's', mfiauto.now() FROM unnest('{event,segment,status,inactive,schedule,yearly,trait,manual}'::text[]) k;
INSERT INTO mfiauto.workflow_version (workflow_id, version, definition, source, owner, subject, class, created_at, trigger_kind, trigger_events, trigger_filters, trigger_condition,
                                      trigger_count, trigger_within, trigger_after, trigger_cron, trigger_segment, trigger_column, trigger_at, trigger_trait, trigger_limit, trigger_rearm)
SELECT h.workflow_id, 1, '{}', '{}', current_user, 'client', 'marketing', mfiauto.now(), t.* FROM mfiauto.workflow_head h JOIN (VALUES
  ('event', '{"Say \"so\"",B}'::text[], NULL::jsonb[], 'event.occurred_at > ''2026-01-01''', 3, interval '7 days', NULL::interval, NULL, NULL, NULL, NULL::time, NULL, NULL::numeric, NULL::numeric),
  ('segment', '{Segment Left}', '{"{\"segment\": \"vip\"}"}', NULL, NULL, NULL, NULL, NULL, 'vip', NULL, NULL, NULL, NULL, NULL),
  ('status', '{Loan Status Changed}', '{"{\"from\": \"active\", \"to\": \"closed\"}"}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('inactive', '{Session Started}', NULL, NULL, NULL, NULL, '1 mon', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('schedule', NULL, NULL, NULL, NULL, NULL, NULL, '0 9 1 * *', 'vip', NULL, NULL, NULL, NULL, NULL),
  ('yearly', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'client.birth_date', '09:00', NULL, NULL, NULL),
  ('trait', '{Threshold Crossed}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'days_past_due', 30, 10),
  ('manual', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS t(k, e, f, c, n, w, a, cron, s, col, at, tr, l, r) ON h.name = 'trigger ' || t.k;
INSERT INTO mfiauto.workflow_step
SELECT (jsonb_populate_record(NULL::mfiauto.workflow_step, s || jsonb_build_object('workflow_id', h.workflow_id, 'version', 1, 'path', 'steps[' || (s ->> 'step_no') || ']', 'since_entry', false))).*
  FROM mfiauto.workflow_head h CROSS JOIN (VALUES
  (jsonb '{"step_no": 1, "kind": "wait_for", "events": ["Loan Approved"], "timeout": "10 days", "then_no": 2, "else_no": 3}'),
  ('{"step_no": 2, "kind": "split", "branch_names": ["short", "lang \"é\""], "branch_nos": [3, 4], "branch_weights": [50, 50.0]}'),
  ('{"step_no": 3, "kind": "switch", "branch_sql": ["a", "b"], "branch_nos": [4, 5], "else_no": 6}'),
  ('{"step_no": 4, "kind": "repeat", "at_most": 5, "condition": "client.status = ''x''", "then_no": 5, "else_no": 6}'),
  ('{"step_no": 5, "kind": "wait", "wait": "1 day", "wait_most": "1 mon 4 hours", "wait_weekday": 1, "wait_time": "09:00", "wait_working_days": 2, "next_no": 4}'),
  ('{"step_no": 6, "kind": "set", "traits": {"b": true}, "trait_sql": {"a": "1"}, "next_no": 7}'),
  ('{"step_no": 7, "kind": "add_to", "segment": "vip", "next_no": 8}'),
  ('{"step_no": 8, "kind": "remove_from", "segment": "vip", "next_no": 9}'),
  ('{"step_no": 9, "kind": "task", "task_title": "Visit", "branch_names": ["visited", "not_found"], "branch_nos": [10, null], "else_no": 11}'),
  ('{"step_no": 10, "kind": "emit", "event_name": "Done \\ \"so\"", "next_no": 11}'),
  ('{"step_no": 11, "kind": "enroll", "target_workflow": "welcome", "next_no": 12}'),
  ('{"step_no": 12, "kind": "exit", "target_workflow": "welcome", "next_no": 13}'),
  ('{"step_no": 13, "kind": "send", "template": "offer", "channels": ["webhook"], "next_no": 14}'),
  ('{"step_no": 14, "kind": "end"}')) AS t(s) WHERE h.name = 'trigger event';
SELECT mfiauto.workflow_diagram('trigger event');
SELECT h.name, mfiauto._trigger_text(v.workflow_id, v.version) FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v USING (workflow_id) ORDER BY 1;
INSERT INTO mfiauto.workflow_step (workflow_id, version, step_no, path, kind)
SELECT h.workflow_id, 1, 1, 'steps[0]', 'end' FROM mfiauto.workflow_head h WHERE h.name LIKE 'trigger%' AND h.name <> 'trigger event';

-- All of them can be read, in both languages, with the same nodes and edges.
SELECT left(h.name, 14) AS name, m.nodes, m.edges, m.complaint, m.nodes = d.nodes AND m.edges = d.edges AS agree
  FROM mfiauto.workflow_head h CROSS JOIN LATERAL pg_temp.check_mermaid(mfiauto.workflow_diagram(h.name)) m CROSS JOIN LATERAL pg_temp.check_dot(h.name) d ORDER BY 1;
SELECT unnest(d.labels) FROM mfiauto.workflow_head h CROSS JOIN LATERAL pg_temp.check_dot(h.name) d WHERE h.name LIKE 'rappel%';
-- The reader is strict: it would see a quote, a bracket or an arrow too many.
SELECT (pg_temp.check_mermaid(E'%% x\nflowchart TD\n' || l)).complaint FROM unnest(ARRAY['  s1["a"b"]', '  s1["a" --> s2', '  s1["a"]]', '  s1["a"] --> s1', '  s1["<i>"]',
  '  s1["a"]' || E'\n  s1 -->|"1"| s2', '  s1["a"]' || E'\n  s1("b")', '  s1["%%{init}"]']) l;

-- A version of its own; the newest where none is live; what there is not.
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"event": "Client Activated"}, "steps": [{"send": "thanks"}]}');
SELECT split_part(mfiauto.workflow_diagram('welcome', version => v), E'\n', 1) FROM unnest('{1,2,null}'::integer[]) v;
SELECT split_part(mfiauto.workflow_diagram('trigger event'), E'\n', 1);
SELECT mfiauto.workflow_diagram('welcome', version => 3);
SELECT mfiauto.workflow_diagram('welkome');
SELECT mfiauto.workflow_diagram(NULL);
SELECT mfiauto.workflow_diagram('welcome', 'svg');
SELECT mfiauto.workflow_diagram('welcome', NULL);
