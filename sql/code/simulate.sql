-- simulate_workflow(): every message that the newest version of a workflow would have sent between two dates. Nothing is written: the runs
-- live in arrays, and the functions are STABLE, so that PostgreSQL itself refuses a write.

-- Whom the trigger brings in between two moments, as trials at the moment at which they came; _start_trials() asks the conditions of entry.
CREATE FUNCTION mfiauto._trial_entries(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz, assumed bigint[]) RETURNS mfiauto._trial[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  salt text;
  k record;
  is_told boolean;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trial_entries.workflow_id AND w.version = _trial_entries.version;
  IF v.anchor_column IS NOT NULL THEN
    RETURN mfiauto._trial_anchors(v.workflow_id, v.version, from_at, to_at);
  END IF;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT array_agg(a.client_id ORDER BY a.at, a.ordinality) AS client_ids, array_agg(a.event_id ORDER BY a.at, a.ordinality) AS event_ids, array_agg(a.subject_id ORDER BY a.at, a.ordinality) AS subject_ids,
         array_agg(a.loan_id ORDER BY a.at, a.ordinality) AS loan_ids, array_agg(a.at ORDER BY a.at, a.ordinality) AS ats, array_agg(a.context ORDER BY a.at, a.ordinality) AS contexts,
         array_agg(a.doubt ORDER BY a.at, a.ordinality) AS doubts
    INTO k FROM mfiauto._trial_arrivals(v.workflow_id, v.version, from_at, to_at) WITH ORDINALITY a;
  IF k.client_ids IS NULL THEN
    RETURN '{}';
  END IF;
  -- The condition of a count was asked when the events were counted.
  is_told := v.trigger_sql IS NULL OR v.trigger_count IS NOT NULL;
  RETURN ARRAY(
    SELECT ROW(coalesce(z.event_id, - z.ord), z.client_id, z.subject_id, z.loan_id, NULL, 1, z.at, z.at, 'infinity',
               mfiauto._arm(salt, CASE WHEN c.holdout_allowed THEN v.holdout ELSE 0 END, z.unit),
               z.context, z.zone, z.country, NULL, NULL, NULL, NULL, z.read_doubts || CASE WHEN z.doubt IS NULL THEN '{}' ELSE ARRAY[z.doubt] END)::mfiauto._trial
      FROM ROWS FROM (unnest(k.client_ids, k.subject_ids, k.loan_ids, k.ats, k.contexts, k.event_ids, k.doubts), mfiauto._client_zones(k.client_ids),
                      mfiauto._ask_past(v.owner, CASE WHEN NOT is_told THEN v.trigger_sql END, v.subject, k.client_ids, k.subject_ids, k.loan_ids, k.ats, assumed, k.event_ids, true),
                      mfiauto._units(v.subject, k.client_ids, k.subject_ids)) WITH ORDINALITY
           AS z(client_id, subject_id, loan_id, at, context, event_id, doubt, zoned_client_id, zone, country, is_zone_invalid, answer, failed, read_doubts, unit, ord)
      JOIN mfiauto.message_class c ON c.class = v.class
     WHERE is_told OR z.answer = 't'
     ORDER BY z.at, z.ord);
END $$;

-- Frequency caps: the messages of the simulation in order of time, and those of other workflows that left for real. What is too much is
-- put off until one more is allowed, while it is still good. Only clients for whom a limit is reached at all are looked at one by one.
CREATE FUNCTION mfiauto._cap_trials(workflow_id integer, version integer, lines mfiauto._trial_line[], from_at timestamptz, to_at timestamptz, assumed bigint[])
RETURNS mfiauto._trial_line[]
LANGUAGE plpgsql STABLE SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  crowded bigint[];
  person record;
  waiting record;
  queue jsonb;
  times timestamptz[];
  kinds text[];
  free_at timestamptz;
  again timestamptz;
  settled mfiauto._trial_line[] := '{}';
  line mfiauto._trial_line;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _cap_trials.workflow_id AND w.version = _cap_trials.version;
  WITH rule AS MATERIALIZED (
    SELECT d.class, d.country, greatest(make_interval(hours => 24 * greatest(p.cap_days, p.all_days)), p.min_gap, p.all_gap) AS span,
           CASE WHEN num_nonnulls(p.min_gap, p.all_gap) > 0 THEN 1 ELSE least(p.cap_count, p.all_count) END AS least_count
      FROM (SELECT DISTINCT l.class, l.country FROM unnest(lines) l WHERE l.state = 'sent') d
      JOIN mfiauto.message_class c ON c.class = d.class AND c.capped
      CROSS JOIN LATERAL mfiauto._caps_for(d.country, d.class) p
     WHERE num_nonnulls(p.cap_count, p.min_gap, p.all_count, p.all_gap) > 0
  ),
  sent AS MATERIALIZED (
    SELECT l.client_id, l.at, r.span, r.least_count
      FROM unnest(lines) l JOIN rule r ON r.class = l.class AND r.country = l.country WHERE l.state = 'sent'
  ),
  real AS MATERIALIZED (
    SELECT m.client_id, m.sent_at AS at FROM mfiauto.message_ledger m JOIN mfiauto.message_class c ON c.class = m.class AND c.capped
     WHERE m.client_id IN (SELECT s.client_id FROM sent s) AND m.workflow_id IS DISTINCT FROM v.workflow_id AND m.sent_at BETWEEN from_at - interval '1 year' AND to_at
  ),
  every AS (SELECT s.client_id, s.at FROM sent s UNION ALL SELECT r.client_id, r.at FROM real r),
  near AS (
    SELECT e.client_id, e.at, lag(e.at, x.least_count) OVER (PARTITION BY e.client_id ORDER BY e.at) AS before_at, x.span
      FROM every e CROSS JOIN (SELECT min(s.least_count) AS least_count, max(s.span) AS span FROM sent s) x
  )
  SELECT coalesce(array_agg(DISTINCT n.client_id), '{}') INTO crowded FROM near n WHERE n.before_at > n.at - n.span;
  IF cardinality(crowded) = 0 THEN
    RETURN lines;
  END IF;
  FOR person IN
    SELECT l.client_id, jsonb_agg(jsonb_build_object('n', l.ordinality, 'at', l.at) ORDER BY l.at, c.priority, l.ordinality) AS queue,
           ARRAY(SELECT m.sent_at FROM mfiauto.message_ledger m JOIN mfiauto.message_class k ON k.class = m.class AND k.capped
                  WHERE m.client_id = l.client_id AND m.workflow_id IS DISTINCT FROM v.workflow_id AND m.sent_at BETWEEN from_at - interval '1 year' AND to_at
                  ORDER BY m.message_id) AS times,
           ARRAY(SELECT m.class FROM mfiauto.message_ledger m JOIN mfiauto.message_class k ON k.class = m.class AND k.capped
                  WHERE m.client_id = l.client_id AND m.workflow_id IS DISTINCT FROM v.workflow_id AND m.sent_at BETWEEN from_at - interval '1 year' AND to_at
                  ORDER BY m.message_id) AS kinds
      FROM unnest(lines) WITH ORDINALITY l JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
     WHERE l.state = 'sent' AND l.client_id = ANY (crowded) GROUP BY l.client_id
  LOOP
    queue := person.queue;
    times := person.times;
    kinds := person.kinds;
    WHILE jsonb_array_length(queue) > 0 LOOP
      SELECT (q.value ->> 'n')::integer AS n, (q.value ->> 'at')::timestamptz AS at, q.ordinality INTO waiting
        FROM jsonb_array_elements(queue) WITH ORDINALITY q ORDER BY (q.value ->> 'at')::timestamptz, q.ordinality LIMIT 1;
      queue := queue - (waiting.ordinality - 1)::integer;
      line := lines[waiting.n];
      free_at := (SELECT mfiauto._cap_free_at(array_agg(h.at), array_agg(h.class), line.class, p.cap_count, p.cap_days, p.min_gap, p.all_count, p.all_days, p.all_gap)
                    FROM unnest(times, kinds) AS h(at, class), mfiauto._caps_for(line.country, line.class) p WHERE h.at <= waiting.at
                   GROUP BY p.cap_count, p.cap_days, p.min_gap, p.all_count, p.all_days, p.all_gap);
      IF free_at IS NULL OR free_at <= waiting.at THEN
        times := times || waiting.at;
        kinds := kinds || line.class;
        line.at := waiting.at;
      ELSE
        again := mfiauto._next_allowed(free_at, line.zone, line.country, line.class);
        line.reason := 'capped';
        IF again IS NOT NULL AND again < line.expires_at THEN
          lines[waiting.n] := line;
          queue := queue || jsonb_build_object('n', waiting.n, 'at', again);
          CONTINUE;
        END IF;
        line.state := 'expired';
      END IF;
      settled := settled || line;
    END LOOP;
  END LOOP;
  RETURN ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l
                WHERE NOT (l.state = 'sent' AND l.client_id = ANY (crowded) AND l.class IN (SELECT c.class FROM mfiauto.message_class c WHERE c.capped)))
    || mfiauto._recheck_trials(v.owner, v.exit_sql, v.subject, settled, assumed);
END $$;

-- A send that went out for an earlier date of the same run, which was near, is not sent again.
CREATE FUNCTION mfiauto._repeat_trials(resend_if_moved integer, lines mfiauto._trial_line[]) RETURNS mfiauto._trial_line[]
LANGUAGE sql STABLE SET plan_cache_mode = force_custom_plan AS $$
  WITH line AS MATERIALIZED (SELECT u.* FROM unnest(lines) WITH ORDINALITY u),
  repeated AS MATERIALIZED (
    SELECT DISTINCT l.ordinality
      FROM (SELECT x.number FROM line x GROUP BY x.number HAVING min(x.anchor_on) < max(x.anchor_on)) d
      JOIN line l ON l.number = d.number AND (l.state = 'sent' OR l.reason = 'past')
      JOIN line o ON o.number = l.number AND o.step_no = l.step_no AND o.anchor_on <> l.anchor_on AND o.state IN ('sent', 'held', 'holdout') AND o.at < l.at
                 AND abs(o.anchor_on - l.anchor_on) <= resend_if_moved
  )
  SELECT ARRAY(
    SELECT ROW(l.number, l.at, l.client_id, l.subject_id, l.loan_id, l.anchor_on, l.step_no, CASE WHEN r.ordinality IS NULL THEN l.channel END, CASE WHEN r.ordinality IS NULL THEN l.state ELSE 'skipped' END,
               CASE WHEN r.ordinality IS NULL THEN l.reason ELSE 'already_sent' END, CASE WHEN r.ordinality IS NULL THEN l.parts END, l.class, l.address, l.zone, l.country, l.expires_at, l.doubts,
               NULL, NULL)::mfiauto._trial_line
      FROM line l LEFT JOIN repeated r ON r.ordinality = l.ordinality
     ORDER BY l.ordinality)
$$;

-- Who of those who came may come in after a round: not before the run that the pair had in it has ended, and not where re-entry forbids it.
-- As in the engine's pass, ends by the books come before entries, and entries before steps.
CREATE FUNCTION mfiauto._later_trials(reentry text, reentry_after interval, waiting mfiauto._trial[], chosen mfiauto._trial[], lines mfiauto._trial_line[]) RETURNS mfiauto._trial[]
LANGUAGE sql STABLE SET plan_cache_mode = force_custom_plan AS $$
  WITH ended AS MATERIALIZED (
    SELECT l.number, max(l.at) FILTER (WHERE l.state IN ('ended', 'exited', 'error')) AS at, bool_or(l.state = 'ended') AS is_completed, bool_or(l.step_no IS NULL AND (l.state = 'refused' OR l.state = 'error')) AS is_refused FROM unnest(lines) l WHERE l.state <> 'edge' GROUP BY l.number
  )
  SELECT ARRAY(
    SELECT w::mfiauto._trial
      FROM unnest(waiting) w
      JOIN unnest(chosen) c ON c.client_id = w.client_id AND c.subject_id = w.subject_id
      LEFT JOIN ended e ON e.number = c.number
     WHERE w.number <> c.number
       AND (coalesce(e.is_refused, false) OR (_later_trials.reentry <> 'never' AND (w.at > e.at OR (w.at = e.at AND NOT e.is_completed)) AND (_later_trials.reentry = 'always' OR w.at >= c.at + reentry_after))))
$$;

-- Runs the newest version of a workflow over a time: its lines, unordered.
CREATE FUNCTION mfiauto._simulate(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz, payments text) RETURNS mfiauto._trial_line[]
LANGUAGE plpgsql STABLE SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  assumed bigint[] := mfiauto._assumed_payments(payments);
  waiting mfiauto._trial[];
  chosen mfiauto._trial[];
  trials mfiauto._trial[];
  present integer;
  result record;
  started record;
  lines mfiauto._trial_line[] := '{}';
  told_at timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _simulate.workflow_id AND w.version = _simulate.version;
  waiting := mfiauto._trial_entries(v.workflow_id, v.version, from_at, to_at, assumed);
  -- One round for each time that a pair enters: a run must have ended before the next one of the same pair begins.
  WHILE cardinality(waiting) > 0 LOOP
    IF v.anchor_column IS NOT NULL THEN
      chosen := waiting;
      waiting := '{}';
    ELSE
      SELECT array_agg(ROW(d.number, d.client_id, d.subject_id, d.loan_id, d.anchor_on, d.step_no, d.at, d.since, d.until, d.arm, d.context, d.zone, d.country, d.entered_at,
                           d.waiting_since, d.loops, d.unsent, d.doubts)::mfiauto._trial ORDER BY d.at, d.number)
        INTO chosen
        FROM (SELECT DISTINCT ON (w.client_id, w.subject_id) w.* FROM unnest(waiting) w ORDER BY w.client_id, w.subject_id, w.at, w.number) d;
    END IF;
    SELECT * INTO result FROM mfiauto._admit_trials(v.workflow_id, v.version, chosen, to_at, assumed);
    lines := lines || result.lines || CASE WHEN cardinality(result.entered) > 0
      THEN ARRAY[ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'edge', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'entered', cardinality(result.entered))::mfiauto._trial_line] ELSE '{}' END;
    trials := result.entered;
    IF v.anchor_column IS NOT NULL THEN
      SELECT * INTO started FROM mfiauto._start_trials(v.workflow_id, v.version, trials);
      trials := ARRAY(SELECT t::mfiauto._trial FROM unnest(started.started) t WHERE t.at < to_at AND t.at < t.until);
      lines := lines || started.lines;
    END IF;
    WHILE cardinality(trials) > 0 LOOP
      present := (SELECT min(t.step_no) FROM unnest(trials) t);
      SELECT * INTO result FROM mfiauto._run_trials(v.workflow_id, v.version, present, ARRAY(SELECT t::mfiauto._trial FROM unnest(trials) t WHERE t.step_no = present), to_at, assumed);
      trials := ARRAY(SELECT t::mfiauto._trial FROM unnest(trials) t WHERE t.step_no <> present)
             || ARRAY(SELECT t::mfiauto._trial FROM unnest(result.moved) t WHERE t.at < to_at);
      lines := lines || result.lines;
      IF clock_timestamp() > told_at + interval '5 seconds' THEN
        told_at := clock_timestamp();
        RAISE NOTICE 'simulation: % lines so far, % runs on their way', cardinality(lines), cardinality(trials);
      END IF;
    END LOOP;
    waiting := mfiauto._later_trials(v.reentry, v.reentry_after, waiting, chosen, lines);
  END LOOP;
  -- A pair is told a refusal once, as in the engine's log.
  lines := ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l WHERE l.state = 'edge' OR l.state <> 'refused' AND l.at >= from_at AND l.at < to_at)
    || ARRAY(SELECT ROW(l.number, l.at, l.client_id, l.subject_id, l.loan_id, l.anchor_on, NULL, NULL, l.state, l.reason, NULL, NULL, NULL, l.zone, l.country, NULL, l.doubts, NULL, NULL)::mfiauto._trial_line
               FROM (SELECT DISTINCT ON (l.client_id, l.subject_id, l.reason) l.* FROM unnest(lines) l WHERE l.state = 'refused' AND l.at >= from_at AND l.at < to_at
                      ORDER BY l.client_id, l.subject_id, l.reason, l.at) l);
  RETURN ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l WHERE l.state = 'edge')
      || mfiauto._repeat_trials(v.resend_if_moved, mfiauto._cap_trials(v.workflow_id, v.version, ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l WHERE l.state NOT IN ('edge', 'ended')), from_at, to_at, assumed));
END $$;

-- What both doors check before they begin.
CREATE FUNCTION mfiauto._check_simulation(name text, from_date date, to_date date, payments text, OUT workflow_id integer, OUT version integer, OUT from_at timestamptz, OUT to_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  found record;
  v record;
BEGIN
  IF _check_simulation.name IS NULL OR from_date IS NULL OR to_date IS NULL OR payments IS NULL THEN
    RAISE EXCEPTION 'name, from_date, to_date and payments must not be null' USING ERRCODE = '22004';
  ELSIF NOT isfinite(from_date) OR NOT isfinite(to_date) OR from_date > to_date THEN
    RAISE EXCEPTION 'from_date must not be after to_date' USING ERRCODE = '22023', DETAIL = format('They are %s and %s.', from_date, to_date);
  ELSIF to_date - from_date > 731 THEN
    RAISE EXCEPTION 'a simulation spans at most two years' USING ERRCODE = '54000', DETAIL = format('From %s to %s are %s days.', from_date, to_date, to_date - from_date),
      HINT = 'Simulate a part of it.';
  ELSIF payments NOT IN ('none', 'on_time', 'as_history') THEN
    RAISE EXCEPTION 'payments "%" is not known', payments USING ERRCODE = '22023', HINT = 'It is none, on_time or as_history.';
  END IF;
  found := mfiauto._find_workflow(_check_simulation.name);
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = found.head_id AND w.version = found.newest;
  PERFORM mfiauto._check_needs('simulate', _check_simulation.name, v.subject, v.owner);
  IF v.anchor_column IS NOT NULL AND v.subject <> 'client' AND NOT mfiauto._is_row(v.subject) THEN
    RAISE EXCEPTION 'cannot simulate workflow "%": it follows dates of a watched relation', _check_simulation.name
      USING ERRCODE = '0A000', HINT = 'Dates of bound roles can be simulated.';
  END IF;
  IF v.trigger_kind = 'manual' THEN
    RAISE NOTICE 'nobody enters workflow "%" by itself', _check_simulation.name USING HINT = 'Its trigger is manual: only enroll() starts it.';
  END IF;
  IF v.max_per_day IS NOT NULL THEN
    RAISE NOTICE 'max_per_day is left out of the simulation';
  END IF;
  IF mfiauto._has_unseen_writes() THEN
    RAISE NOTICE 'the engine has not looked at all that the bank has written: the simulation is without it'
      USING HINT = 'The engine''s worker looks every second; without workers, SELECT * FROM mfiauto.run_engine().';
  END IF;
  workflow_id := v.workflow_id;
  version := v.version;
  SELECT from_date::timestamp AT TIME ZONE i.time_zone, (to_date + 1)::timestamp AT TIME ZONE i.time_zone INTO from_at, to_at FROM mfiauto.institution i;
END $$;

CREATE FUNCTION mfiauto._simulate_workflow(name text, from_date date, to_date date, payments text DEFAULT 'none')
RETURNS TABLE (due_at timestamptz, client_id bigint, subject text, subject_id bigint, step text, channel text, outcome text, parts integer, cost numeric, currency text,
               approximate boolean, note text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  k record := mfiauto._check_simulation(_simulate_workflow.name, from_date, to_date, payments);
  clock timestamptz := mfiauto.now();
BEGIN
  RETURN QUERY
    SELECT l.at, l.client_id, v.subject, l.subject_id, s.path, l.channel, concat_ws(': ', l.state, CASE WHEN l.state <> 'holdout' AND l.state <> 'sent' THEN l.reason END),
           l.parts, CASE WHEN l.state = 'sent' THEN l.parts * g.cost_per_part END, CASE WHEN l.state = 'sent' THEN g.currency END,
           cardinality(d.doubts) > 0 OR l.at > clock,
           concat_ws('; ', CASE WHEN l.state = 'sent' AND l.reason IS NOT NULL THEN 'put off: ' || l.reason END,
                           CASE WHEN cardinality(d.doubts) > 0 THEN 'not recorded, today''s value: ' || array_to_string(d.doubts, ', ') END,
                           CASE WHEN l.at > clock THEN format('to come, with payments %s', payments) END)
      FROM unnest(mfiauto._simulate(k.workflow_id, k.version, k.from_at, k.to_at, payments)) l
      JOIN mfiauto.workflow_version v ON v.workflow_id = k.workflow_id AND v.version = k.version
      LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = l.step_no
      CROSS JOIN LATERAL (SELECT ARRAY(SELECT DISTINCT u.d FROM unnest(l.doubts) u(d) ORDER BY u.d) AS doubts) d
      LEFT JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(w.settings -> 'cost_per_part') = 'number' THEN (w.settings ->> 'cost_per_part')::numeric END AS cost_per_part,
               coalesce(w.settings ->> 'currency', i.currency) AS currency
          FROM mfiauto.gateway_config w CROSS JOIN mfiauto.institution i
         WHERE w.channel = l.channel AND w.is_enabled ORDER BY w.priority, w.gateway LIMIT 1) g ON true
     WHERE l.state NOT IN ('edge', 'exited')
     ORDER BY l.at, l.client_id, l.subject_id, l.step_no, l.state;
END $$;
SELECT mfiauto._open_door('mfiauto._simulate_workflow(text, date, date, text)', '{admin,author}',
  'Every message, task and refusal that the newest version of a workflow would have made between two dates, had it been live from the first on, with channel, parts and cost. Nothing is sent or changed. '
  'payments: what is assumed of the future (none, on_time, as_history). approximate: something that was not recorded was taken as it is today; note says what.');

CREATE FUNCTION mfiauto._simulate_coverage(name text, from_date date, to_date date, payments text DEFAULT 'none')
RETURNS TABLE (step text, kind text, edge text, runs bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  k record := mfiauto._check_simulation(_simulate_coverage.name, from_date, to_date, payments);
BEGIN
  RETURN QUERY
    WITH taken AS MATERIALIZED (
      SELECT l.step_no, l.edge, sum(l.takers) AS takers
        FROM unnest(mfiauto._simulate(k.workflow_id, k.version, k.from_at, k.to_at, payments)) l WHERE l.state = 'edge' GROUP BY l.step_no, l.edge
    ),
    way AS (
      SELECT NULL::integer AS step_no, NULL::text AS path, 'trigger' AS kind, 'entered' AS edge, 0 AS place
      UNION ALL
      SELECT s.step_no, s.path, s.kind, e.edge, e.place::integer
        FROM mfiauto.workflow_step s
        CROSS JOIN LATERAL unnest(CASE s.kind WHEN 'if' THEN '{then,else}'::text[] WHEN 'repeat' THEN '{again,done}' WHEN 'wait_for' THEN '{then,timeout}'
                                              WHEN 'split' THEN s.branch_names WHEN 'task' THEN CASE WHEN s.branch_names IS NULL THEN '{next}' ELSE s.branch_names || '{timeout}'::text[] END
                                              WHEN 'switch' THEN ARRAY(SELECT 'case ' || n FROM generate_series(1, cardinality(s.branch_nos)) n) || '{else}'::text[]
                                              ELSE '{next}' END) WITH ORDINALITY AS e(edge, place)
       WHERE s.workflow_id = k.workflow_id AND s.version = k.version
    )
    SELECT w.path, w.kind, w.edge, coalesce(t.takers, 0)::bigint
      FROM way w LEFT JOIN taken t ON t.step_no IS NOT DISTINCT FROM w.step_no AND t.edge = w.edge
     ORDER BY w.step_no NULLS FIRST, w.place;
END $$;
SELECT mfiauto._open_door('mfiauto._simulate_coverage(text, date, date, text)', '{admin,author}',
  'Each way that a run can take through the newest version of a workflow, and how many took it in a simulation: 0 is a way that it never tried.');
