-- Steps from which there are several ways on: each is a function of _run_step().

-- Which way each run goes at an "if": then where the condition is true, else where it is false or not known.
CREATE FUNCTION mfiauto._run_if(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  branched mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_if.workflow_id AND w.version = _run_if.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_if.step_no;
  branched := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, CASE WHEN r.branch THEN s.then_no ELSE s.else_no END, r.due_at, r.arm,
               NULL, r.zone, r.country, NULL, NULL, CASE WHEN r.branch THEN 'then' WHEN r.branch IS NULL THEN 'else_unknown' ELSE 'else' END)::mfiauto._run
      FROM ROWS FROM (unnest(runs),
                      mfiauto._verdicts(v.owner, s.condition_sql, ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                        ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality), NULL))
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, branch));
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, branched, 'branched', NULL);
  RETURN branched;
END $$;

-- Which way each run goes at a switch: of the first case that is true. Those whose case is not known go on to the next one, as those where
-- it is false. A case is asked only about those whom none before it took.
CREATE FUNCTION mfiauto._run_switch(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  left_over mfiauto._run[] := runs;
  judged mfiauto._run[];
  branched mfiauto._run[] := '{}';
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_switch.workflow_id AND w.version = _run_switch.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_switch.step_no;
  FOR place IN 1 .. cardinality(s.branch_sql) + 1 LOOP
    EXIT WHEN cardinality(left_over) = 0;
    judged := ARRAY(
      SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on,
                 CASE WHEN place > cardinality(s.branch_sql) THEN s.else_no ELSE s.branch_nos[place] END, r.due_at, r.arm, NULL, r.zone, r.country, r.is_true, NULL,
                 CASE WHEN place > cardinality(s.branch_sql) THEN 'else' ELSE 'case ' || place END)::mfiauto._run
        FROM ROWS FROM (unnest(left_over),
                        mfiauto._verdicts(v.owner, s.branch_sql[place], ARRAY(SELECT u.client_id FROM unnest(left_over) WITH ORDINALITY u ORDER BY u.ordinality),
                                          ARRAY(SELECT u.subject_id FROM unnest(left_over) WITH ORDINALITY u ORDER BY u.ordinality), true)) WITH ORDINALITY
             AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, is_true, ord)
       ORDER BY r.ord);
    branched := branched || ARRAY(SELECT r::mfiauto._run FROM unnest(judged) r WHERE r.verdict);
    left_over := ARRAY(SELECT r::mfiauto._run FROM unnest(judged) r WHERE r.verdict IS NOT TRUE);
  END LOOP;
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, branched, 'switch', NULL);
  RETURN branched;
END $$;

-- What a client's runs are told apart by in experiments, for each pair in their order: the client; the loan, where it has no client of its own.
CREATE FUNCTION mfiauto._units(subject text, client_ids bigint[], subject_ids bigint[]) RETURNS SETOF text
LANGUAGE sql STABLE ROWS 1000 AS $$
  SELECT CASE WHEN s.role IS NOT NULL AND s.client_id IS NULL AND s.loan_id IS NOT NULL THEN 'loan ' || s.loan_id ELSE 'client ' || k.client_id END
    FROM unnest(client_ids, subject_ids) WITH ORDINALITY AS k(client_id, subject_id, ord)
    LEFT JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.role = _units.subject AND s.subject_id = k.subject_id OFFSET 0) s ON true
   ORDER BY k.ord
$$;

-- Where each arm of a split begins, from 0 to 1.
CREATE FUNCTION mfiauto._split_bounds(weights numeric[]) RETURNS double precision[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY(SELECT ((sum(w.weight) OVER (ORDER BY w.ord) - w.weight) / (SELECT sum(a.weight) FROM unnest(weights) AS a(weight)))::double precision
                 FROM unnest(weights) WITH ORDINALITY AS w(weight, ord) ORDER BY w.ord)
$$;

-- In which arm of a split a unit is, by its place among them: the same for ever, for a workflow (its salt) and a place in its text.
-- One expression, so that the planner puts it in the caller's statement.
CREATE FUNCTION mfiauto._split_place(salt text, path text, bounds double precision[], unit text) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT width_bucket(mfiauto._fraction(concat_ws(' ', salt, path, unit)), bounds)
$$;

-- The same by the weights, for one.
CREATE FUNCTION mfiauto._split_arm(salt text, path text, weights numeric[], unit text) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._split_place(salt, path, mfiauto._split_bounds(weights), unit)
$$;

-- Sends each run into its arm.
CREATE FUNCTION mfiauto._run_split(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  salt text;
  bounds double precision[];
  branched mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_split.workflow_id AND w.version = _run_split.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_split.step_no;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  bounds := mfiauto._split_bounds(s.branch_weights);
  branched := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, s.branch_nos[a.place], r.due_at, r.arm, NULL, r.zone, r.country, NULL, NULL,
               s.branch_names[a.place])::mfiauto._run
      FROM ROWS FROM (unnest(runs), mfiauto._units(v.subject, ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                                   ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality))) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, unit, ord)
      CROSS JOIN LATERAL (SELECT mfiauto._split_place(salt, s.path, bounds, r.unit) AS place OFFSET 0) a
     ORDER BY r.ord);
  -- An arm may have any name, also one that _note_action() would take for no reason.
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
  SELECT r.client_id, v.workflow_id, v.version, r.enrollment_id, v.subject, r.subject_id, s.step_no, 'split', r.outcome, mfiauto.now() FROM unnest(branched) r;
  RETURN branched;
END $$;

-- The head of a list that is repeated: on, if its condition is true or the budget of rounds is used; else into the list once more. loops
-- counts the rounds of each head over the whole run, so that no two rounds are ever taken for one; where the present turn began
-- stands beside it ("3.from"), for a repeat inside another.
CREATE FUNCTION mfiauto._run_repeat(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  key text := _run_repeat.step_no::text;
  branched mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_repeat.workflow_id AND w.version = _run_repeat.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_repeat.step_no;
  WITH judged AS MATERIALIZED (
    SELECT r.*, l.rounds,
           CASE WHEN r.is_over THEN 'until' WHEN l.rounds - l.began >= s.at_most THEN 'at_most' ELSE 'again' END AS way
      FROM ROWS FROM (unnest(runs), mfiauto._verdicts(v.owner, s.condition_sql, ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                                      ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality), false)) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, is_over, ord)
      JOIN LATERAL (SELECT coalesce((e.loops ->> key)::integer, 0) AS rounds, coalesce((e.loops ->> (key || '.from'))::integer, 0) AS began
                      FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) l ON true
  ),
  counted AS (
    UPDATE mfiauto.enrollment_state e
       SET loops = coalesce(e.loops, '{}') || CASE j.way WHEN 'again' THEN jsonb_build_object(key, j.rounds + 1) ELSE jsonb_build_object(key || '.from', j.rounds) END
      FROM judged j
     WHERE e.client_id = j.client_id AND e.enrollment_id = j.enrollment_id
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
    SELECT j.client_id, v.workflow_id, v.version, j.enrollment_id, v.subject, j.subject_id, s.step_no, 'repeated', j.way,
           CASE j.way WHEN 'again' THEN (j.rounds + 1)::text END, mfiauto.now()
      FROM judged j
  )
  SELECT ARRAY(SELECT ROW(j.client_id, j.enrollment_id, j.subject_id, j.loan_id, j.anchor_on, CASE j.way WHEN 'again' THEN s.then_no ELSE s.else_no END, j.due_at,
                          j.arm, NULL, j.zone, j.country, NULL, NULL, j.outcome)::mfiauto._run
                 FROM judged j ORDER BY j.ord) INTO branched;
  RETURN branched;
END $$;
