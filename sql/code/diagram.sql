-- workflow_diagram(): a version of a workflow as a graph, in Mermaid's or Graphviz's language, with how many runs went where.
--
-- Edges come from the program; step_flow says how many runs went over each. How many stand at a step, and how many left there
-- and why, is counted in the runs themselves. Who came in at a step is what is left: who left it or is there, less who came
-- from other steps. So the counts of a node always agree, also when old runs were deleted.

CREATE FUNCTION mfiauto._shortened(words text, most integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(words) > most THEN left(words, most - 1) || '…' ELSE words END
$$;

CREATE FUNCTION mfiauto._either_text(words text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(format('"%s"', w), ' or ' ORDER BY ord) FROM unnest(words) WITH ORDINALITY AS u(w, ord)
$$;

-- An interval as definitions say it: 1 month, 2 days 4 hours.
CREATE FUNCTION mfiauto._duration_text(span interval) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(string_agg(trim_scale(p.amount) || ' ' || p.unit || CASE WHEN p.amount = 1 THEN '' ELSE 's' END, ' ' ORDER BY p.place), '0 seconds')
    FROM (VALUES (1, extract(year FROM span), 'year'), (2, extract(month FROM span), 'month'), (3, extract(day FROM span), 'day'),
                 (4, extract(hour FROM span), 'hour'), (5, extract(minute FROM span), 'minute'), (6, extract(second FROM span), 'second')) AS p(place, amount, unit)
   WHERE p.amount <> 0 AND span IS NOT NULL
  HAVING span IS NOT NULL
$$;

-- What brings clients into a version, in words.
CREATE FUNCTION mfiauto._trigger_text(workflow_id integer, version integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE v.trigger_kind
    WHEN 'anchor' THEN format('each %s by its %s', v.subject, v.anchor_column)
    WHEN 'event' THEN concat_ws(', ', 'event ' || mfiauto._either_text(v.trigger_events),
                                CASE WHEN v.trigger_count > 1 THEN concat('number ', v.trigger_count, ' within ' || mfiauto._duration_text(v.trigger_within)) END)
    WHEN 'status' THEN concat_ws(' ', (SELECT lower(replace(min(e), ' Changed', '')) FROM unnest(v.trigger_events) e WHERE e LIKE '% Status Changed'), 'goes', (
      SELECT string_agg(DISTINCT concat_ws(' ', 'from ' || (f ->> 'from'), 'to ' || coalesce(f ->> 'to', f ->> 'status')), ', ') FROM unnest(v.trigger_filters) f))
    WHEN 'segment' THEN CASE WHEN 'Segment Left' = ANY (v.trigger_events) THEN 'leaves' ELSE 'enters' END || format(' segment "%s"', v.trigger_segment)
    WHEN 'inactive' THEN format('no %s for %s', mfiauto._either_text(v.trigger_events), mfiauto._duration_text(v.trigger_after))
    WHEN 'schedule' THEN concat(format('at "%s"', v.trigger_cron), format(', segment "%s"', v.trigger_segment))
    WHEN 'yearly' THEN format('every year on %s at %s', v.trigger_column, to_char(v.trigger_at, 'HH24:MI'))
    WHEN 'trait' THEN concat_ws(' ', 'trait', v.trigger_trait, CASE WHEN v.trigger_rearm > v.trigger_limit THEN 'falls to' ELSE 'rises to' END, v.trigger_limit)
    WHEN 'manual' THEN 'by enroll() alone'
    ELSE v.trigger_kind END
    FROM mfiauto.workflow_version v WHERE v.workflow_id = _trigger_text.workflow_id AND v.version = _trigger_text.version
$$;

-- What a step does, in words.
CREATE FUNCTION mfiauto._step_text(workflow_id integer, version integer, step_no integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE s.kind
    WHEN 'send' THEN concat('send ', s.template, ' by ' || array_to_string(s.channels, ', '))
    WHEN 'wait' THEN concat_ws(' ', 'wait', mfiauto._duration_text(s.wait), 'to ' || mfiauto._duration_text(s.wait_most),
                               CASE s.wait_working_days WHEN 1 THEN '1 working day' ELSE s.wait_working_days || ' working days' END,
                               CASE WHEN s.wait_sql IS NOT NULL THEN 'for a date' END,
                               CASE WHEN coalesce(s.wait_weekday::text, s.wait_time::text) IS NOT NULL THEN 'until' END,
                               ('{monday,tuesday,wednesday,thursday,friday,saturday,sunday}'::text[])[s.wait_weekday], to_char(s.wait_time, 'HH24:MI'))
    WHEN 'wait_for' THEN concat('wait for ', coalesce(mfiauto._either_text(s.events), 'a condition'), ', at most ' || mfiauto._duration_text(s.timeout))
    WHEN 'if' THEN 'if ' || mfiauto._shortened(s.condition, 60)
    WHEN 'repeat' THEN concat('repeat at most ', s.at_most, ' times', ' until ' || mfiauto._shortened(s.condition, 60))
    WHEN 'set' THEN 'set ' || (SELECT string_agg(k, ', ' ORDER BY k)
                                 FROM (SELECT jsonb_object_keys(s.traits) UNION SELECT jsonb_object_keys(s.trait_sql)) AS n(k))
    WHEN 'add_to' THEN 'add to segment ' || s.segment
    WHEN 'remove_from' THEN 'remove from segment ' || s.segment
    WHEN 'task' THEN concat('task: ', mfiauto._shortened(s.task_title, 60), ', for ' || s.assignee, ', due in ' || mfiauto._duration_text(s.due_after))
    WHEN 'emit' THEN format('emit "%s"', s.event_name)
    WHEN 'enroll' THEN format('enroll in "%s"', s.target_workflow)
    WHEN 'exit' THEN format('exit from "%s"', s.target_workflow)
    ELSE s.kind END
    FROM mfiauto.workflow_step s
   WHERE s.workflow_id = _step_text.workflow_id AND s.version = _step_text.version AND s.step_no = _step_text.step_no
$$;

-- The edges of the program: one a pair of steps, with what leads along it. 0 stands for the end.
CREATE FUNCTION mfiauto._program_edges(workflow_id integer, version integer)
RETURNS TABLE (from_no integer, to_no integer, label text)
LANGUAGE sql STABLE AS $$
  SELECT w.from_no, w.to_no, string_agg(w.label, ' / ' ORDER BY w.place)
    FROM (SELECT s.step_no AS from_no, CASE WHEN s.kind = 'end' THEN 0 ELSE coalesce(e.to_no, 0) END AS to_no, e.label, e.place
            FROM mfiauto.workflow_step s
            CROSS JOIN LATERAL (SELECT s.kind IN ('if', 'wait_for', 'repeat') AS is_fork, s.kind IN ('switch', 'split') OR s.branch_nos IS NOT NULL AS is_switch) k
            CROSS JOIN LATERAL (
              SELECT b.no, coalesce(b.name, 'case ' || b.place) || coalesce(' (' || trim_scale(b.weight) || ' %)', ''), b.place
                FROM ROWS FROM (unnest(s.branch_nos), unnest(s.branch_names), unnest(s.branch_weights)) WITH ORDINALITY AS b(no, name, weight, place)
               WHERE k.is_switch
              UNION ALL SELECT s.then_no, CASE s.kind WHEN 'if' THEN 'yes' WHEN 'wait_for' THEN 'came' ELSE 'again' END, 101 WHERE k.is_fork
              UNION ALL SELECT s.else_no, CASE s.kind WHEN 'if' THEN 'no' WHEN 'repeat' THEN 'done' WHEN 'switch' THEN 'otherwise' ELSE 'timed out' END, 102
                         WHERE k.is_fork OR (k.is_switch AND s.kind <> 'split')
              UNION ALL SELECT s.next_no, NULL, 103 WHERE NOT k.is_fork AND NOT k.is_switch) AS e(to_no, label, place)
           WHERE s.workflow_id = _program_edges.workflow_id AND s.version = _program_edges.version) w
   GROUP BY w.from_no, w.to_no
$$;

-- Where the runs of a version are, and where and why others left it. Completed: at step 0. Counted once for all that is drawn.
CREATE TYPE mfiauto._run_place AS (step_no integer, state text, reason text, run_count bigint);
CREATE FUNCTION mfiauto._run_places(workflow_id integer, version integer) RETURNS mfiauto._run_place[]
LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(p::mfiauto._run_place), '{}') FROM (
  SELECT CASE WHEN e.state = 'completed' THEN 0 ELSE e.step_no END, e.state, CASE WHEN e.state = 'exited' THEN coalesce(e.reason, 'exited') END, count(*)
    FROM mfiauto.enrollment_state e
   WHERE e.workflow_id = _run_places.workflow_id AND e.version = _run_places.version
   GROUP BY 1, 2, 3) AS p(step_no, state, reason, run_count)
$$;

-- All edges, with the runs that went over each. kind: entry, step (of the program), other (past what a step holds), jump (set on another
-- step because a date moved, a run was opened again or came to another version), exit (reason says why).
CREATE FUNCTION mfiauto._diagram_edges(workflow_id integer, version integer, places mfiauto._run_place[])
RETURNS TABLE (kind text, from_no integer, to_no integer, label text, reason text, run_count bigint)
LANGUAGE sql STABLE AS $$
  WITH flow AS MATERIALIZED (
    SELECT f.from_no, f.to_no, f.is_jump, f.run_count FROM mfiauto.step_flow f
     WHERE f.workflow_id = _diagram_edges.workflow_id AND f.version = _diagram_edges.version
  ),
  place AS MATERIALIZED (SELECT p.* FROM unnest(places) p),
  balance AS (
    SELECT b.step_no, sum(b.run_count)::bigint AS run_count
      FROM (SELECT p.step_no, p.run_count FROM place p
            UNION ALL SELECT f.from_no, f.run_count FROM flow f
            UNION ALL SELECT f.to_no, -f.run_count FROM flow f) b
     WHERE b.step_no > 0 GROUP BY b.step_no
  ),
  entry AS (
    SELECT s.step_no, coalesce(b.run_count, 0) AS run_count
      FROM mfiauto.workflow_step s LEFT JOIN balance b ON b.step_no = s.step_no
     WHERE s.workflow_id = _diagram_edges.workflow_id AND s.version = _diagram_edges.version
       AND (s.step_no = 1 OR b.run_count <> 0)
  )
  SELECT 'entry', NULL::integer, e.step_no, NULL::text, NULL::text, e.run_count FROM entry e
   WHERE e.run_count <> 0 OR NOT EXISTS (SELECT FROM entry o WHERE o.run_count <> 0)
  UNION ALL
  SELECT 'step', p.from_no, p.to_no, p.label, NULL, coalesce(f.run_count, 0)
    FROM mfiauto._program_edges(_diagram_edges.workflow_id, _diagram_edges.version) p
    LEFT JOIN flow f ON f.from_no = p.from_no AND f.to_no = p.to_no AND NOT f.is_jump
  UNION ALL
  SELECT CASE WHEN f.is_jump THEN 'jump' ELSE 'other' END, f.from_no, f.to_no,
         CASE WHEN NOT f.is_jump THEN 'left out' WHEN -1 IN (f.from_no, f.to_no) THEN 'other version' ELSE 'planned anew' END,
         NULL, f.run_count
    FROM flow f
   WHERE f.is_jump OR NOT EXISTS (SELECT FROM mfiauto._program_edges(_diagram_edges.workflow_id, _diagram_edges.version) p
                                   WHERE p.from_no = f.from_no AND p.to_no = f.to_no)
  UNION ALL
  SELECT 'exit', p.step_no, NULL, NULL, p.reason, p.run_count FROM place p WHERE p.state = 'exited'
$$;

-- The nodes: start, a step each, done, the reasons of leaving, and another version if runs went there or came from it.
CREATE FUNCTION mfiauto._diagram_nodes(workflow_id integer, version integer, places mfiauto._run_place[])
RETURNS TABLE (place integer, node text, shape text, lines text[])
LANGUAGE sql STABLE AS $$
  SELECT 0, 'start', 'round', ARRAY[mfiauto._trigger_text(v.workflow_id, v.version), mfiauto._shortened('if ' || v.trigger_condition, 60),
                             'entered ' || (SELECT sum(p.run_count) FROM mfiauto._diagram_edges(v.workflow_id, v.version, places) p WHERE p.kind = 'entry')]
    FROM mfiauto.workflow_version v WHERE v.workflow_id = _diagram_nodes.workflow_id AND v.version = _diagram_nodes.version
  UNION ALL
  SELECT s.step_no, 's' || s.step_no,
         CASE WHEN s.kind IN ('if', 'switch', 'split', 'repeat') THEN 'diamond' WHEN s.kind IN ('wait', 'wait_for') THEN 'soft' ELSE 'box' END,
         ARRAY[mfiauto._step_text(s.workflow_id, s.version, s.step_no),
               CASE WHEN s.at_offset > 0 THEN '+' ELSE '' END || s.at_offset || CASE WHEN abs(s.at_offset) = 1 THEN ' day ' ELSE ' days ' END || to_char(s.at_time, 'HH24:MI'),
               'here ' || nullif(h.active, 0), 'parked ' || nullif(h.parked, 0)]
    FROM mfiauto.workflow_step s
    LEFT JOIN (SELECT p.step_no, sum(p.run_count) FILTER (WHERE p.state = 'active') AS active, sum(p.run_count) FILTER (WHERE p.state = 'error') AS parked
                 FROM unnest(places) p GROUP BY p.step_no) h ON h.step_no = s.step_no
   WHERE s.workflow_id = _diagram_nodes.workflow_id AND s.version = _diagram_nodes.version
  UNION ALL
  SELECT 100000, 'done', 'round', ARRAY['completed ' || coalesce(sum(p.run_count), 0)]
    FROM unnest(places) p WHERE p.state = 'completed'
  UNION ALL
  SELECT 100000 + row_number() OVER (ORDER BY p.reason)::integer, 'exit_' || row_number() OVER (ORDER BY p.reason), 'round',
         ARRAY[p.reason, 'exited ' || sum(p.run_count)]
    FROM unnest(places) p WHERE p.state = 'exited' GROUP BY p.reason
  UNION ALL
  SELECT DISTINCT 200000, 'elsewhere', 'round', ARRAY['another version'] FROM mfiauto.step_flow f
   WHERE f.workflow_id = _diagram_nodes.workflow_id AND f.version = _diagram_nodes.version AND -1 IN (f.from_no, f.to_no)
$$;

-- Edges between nodes as they are drawn: dotted where the program does not lead.
CREATE FUNCTION mfiauto._diagram_lines(workflow_id integer, version integer, places mfiauto._run_place[])
RETURNS TABLE (from_node text, to_node text, label text, is_dotted boolean)
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN e.kind = 'entry' OR e.from_no IS NULL THEN 'start' WHEN e.from_no = 0 THEN 'done' WHEN e.from_no = -1 THEN 'elsewhere' ELSE 's' || e.from_no END,
         CASE WHEN e.kind = 'exit' THEN 'exit_' || x.place WHEN e.to_no = 0 THEN 'done' WHEN e.to_no = -1 THEN 'elsewhere' ELSE 's' || e.to_no END,
         concat_ws(': ', e.label, e.run_count), e.kind IN ('other', 'jump', 'exit')
    FROM mfiauto._diagram_edges(_diagram_lines.workflow_id, _diagram_lines.version, places) e
    LEFT JOIN (SELECT p.reason, row_number() OVER (ORDER BY p.reason) AS place
                 FROM unnest(places) p WHERE p.state = 'exited' GROUP BY p.reason) x ON x.reason = e.reason
   ORDER BY e.kind = 'entry' DESC, coalesce(e.from_no, 0), e.kind <> 'step', e.to_no, e.reason
$$;

-- A text for inside the quotes of a label. What either language could take for its own is written as a character's number.
CREATE FUNCTION mfiauto._mermaid_text(words text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(CASE WHEN c ~ '[[:cntrl:]]' THEN ' ' WHEN c ~ '["#<>&%{}$`*\\;|]' THEN '#' || ascii(c) || ';' ELSE c END, '' ORDER BY ord)
    FROM regexp_split_to_table(words, '') WITH ORDINALITY AS u(c, ord)
$$;

CREATE FUNCTION mfiauto._dot_text(words text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT replace(replace(regexp_replace(words, '[[:cntrl:]]', ' ', 'g'), '\', '\\'), '"', '\"')
$$;

CREATE FUNCTION mfiauto._draw_mermaid(workflow_id integer, version integer, title text, places mfiauto._run_place[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT concat_ws(E'\n', '%% ' || mfiauto._mermaid_text(title), 'flowchart TD',
    (SELECT string_agg(format('  %s%s"%s"%s', n.node, CASE n.shape WHEN 'round' THEN '([' WHEN 'diamond' THEN '{' WHEN 'soft' THEN '(' ELSE '[' END,
                              (SELECT string_agg(mfiauto._mermaid_text(l), '<br/>' ORDER BY ord) FROM unnest(n.lines) WITH ORDINALITY AS u(l, ord) WHERE l IS NOT NULL),
                              CASE n.shape WHEN 'round' THEN '])' WHEN 'diamond' THEN '}' WHEN 'soft' THEN ')' ELSE ']' END), E'\n' ORDER BY n.place)
       FROM mfiauto._diagram_nodes(workflow_id, version, places) n),
    (SELECT string_agg(format('  %s %s|"%s"| %s', l.from_node, CASE WHEN l.is_dotted THEN '-.->' ELSE '-->' END, mfiauto._mermaid_text(l.label), l.to_node), E'\n' ORDER BY l.ord)
       FROM mfiauto._diagram_lines(workflow_id, version, places) WITH ORDINALITY AS l(from_node, to_node, label, is_dotted, ord)))
$$;

CREATE FUNCTION mfiauto._draw_dot(workflow_id integer, version integer, title text, places mfiauto._run_place[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT concat_ws(E'\n', format('digraph "%s" {', mfiauto._dot_text(title)), '  node [fontname="sans-serif"];', '  edge [fontname="sans-serif"];',
    (SELECT string_agg(format('  %s [shape=%s,label="%s"];', n.node,
                              CASE n.shape WHEN 'round' THEN 'oval' WHEN 'diamond' THEN 'diamond' WHEN 'soft' THEN 'box,style=rounded' ELSE 'box' END,
                              (SELECT string_agg(mfiauto._dot_text(l), '\n' ORDER BY ord) FROM unnest(n.lines) WITH ORDINALITY AS u(l, ord) WHERE l IS NOT NULL)),
                       E'\n' ORDER BY n.place)
       FROM mfiauto._diagram_nodes(workflow_id, version, places) n),
    (SELECT string_agg(format('  %s -> %s [label="%s"%s];', l.from_node, l.to_node, mfiauto._dot_text(l.label), CASE WHEN l.is_dotted THEN ',style=dotted' ELSE '' END),
                       E'\n' ORDER BY l.ord)
       FROM mfiauto._diagram_lines(workflow_id, version, places) WITH ORDINALITY AS l(from_node, to_node, label, is_dotted, ord)),
    '}')
$$;

CREATE FUNCTION mfiauto._workflow_diagram(name text, format text DEFAULT 'mermaid', version integer DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  drawn record;
  title text;
  places mfiauto._run_place[];
BEGIN
  IF _workflow_diagram.format IS NULL OR _workflow_diagram.format NOT IN ('mermaid', 'dot') THEN
    RAISE EXCEPTION 'a diagram cannot be in format "%"', coalesce(_workflow_diagram.format, 'null')
      USING ERRCODE = '22023', HINT = 'Ask for mermaid (the default) or dot.';
  END IF;
  SELECT v.workflow_id, v.version, h.state, h.live_version INTO drawn
    FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
   WHERE h.workflow_id = mfiauto._workflow_named(_workflow_diagram.name) AND (_workflow_diagram.version IS NULL OR v.version = _workflow_diagram.version)
   ORDER BY v.version = h.live_version DESC NULLS LAST, v.version DESC LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'workflow "%" has no version %', _workflow_diagram.name, _workflow_diagram.version
      USING ERRCODE = '42704', HINT = 'Leave version out for the live one, or the newest if none is live.';
  END IF;
  title := format('%s, version %s, %s', _workflow_diagram.name, drawn.version,
                  CASE WHEN drawn.version = drawn.live_version THEN drawn.state WHEN drawn.version < drawn.live_version THEN 'replaced' ELSE 'draft' END);
  places := mfiauto._run_places(drawn.workflow_id, drawn.version);
  RETURN CASE _workflow_diagram.format WHEN 'dot' THEN mfiauto._draw_dot(drawn.workflow_id, drawn.version, title, places)
                                       ELSE mfiauto._draw_mermaid(drawn.workflow_id, drawn.version, title, places) END;
END $$;
SELECT mfiauto._open_door('mfiauto._workflow_diagram(text, text, integer)', '{admin,author}',
  'A workflow as a diagram, in Mermaid''s language or Graphviz''s (format dot), with how many runs went over each edge and stand at each step; of the live version (else the newest) or the one asked for.');
