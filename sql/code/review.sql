-- What a change in the books means for runs under way: exits, re-openings, moved dates, goals, messages held for want of an answer.

-- Takes messages out of the queue that nobody has claimed, and ends them. A claim that is faster keeps its message: it looks
-- at the exit condition itself. Returns how many were ended.
CREATE FUNCTION mfiauto._cancel_outbox(client_ids bigint[], message_ids bigint[], reason text) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  canceled bigint;
BEGIN
  WITH gone AS (
    DELETE FROM mfiauto.outbox o
     USING unnest(_cancel_outbox.client_ids, _cancel_outbox.message_ids) AS k(client_id, message_id)
     WHERE o.client_id = k.client_id AND o.message_id = k.message_id AND o.lease_until IS NULL
    RETURNING o.client_id, o.message_id, o.created_at
  )
  UPDATE mfiauto.message_ledger m
     SET state = 'canceled', reason = _cancel_outbox.reason, finished_at = mfiauto.now()
    FROM gone g
   WHERE m.client_id = g.client_id AND m.message_id = g.message_id AND m.created_at = g.created_at;
  GET DIAGNOSTICS canceled = ROW_COUNT;
  RETURN canceled;
END $$;

-- Ends runs; what they still have in the queue is canceled for the same reason, which is each run's outcome.
CREATE FUNCTION mfiauto._exit_runs(workflow_id integer, version integer, runs mfiauto._run[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  ended bigint;
  queued record;
BEGIN
  WITH gone AS (
    UPDATE mfiauto.enrollment_state e
       SET state = 'exited', reason = r.outcome, due_at = NULL, ended_at = clock
      FROM unnest(runs) r
     WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id AND e.state IN ('active', 'error')
    RETURNING e.*
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
    SELECT g.client_id, g.workflow_id, g.version, g.enrollment_id, g.subject, g.subject_id, g.step_no, 'exited', g.reason, clock FROM gone g
  )
  SELECT count(*) INTO ended FROM gone;
  PERFORM mfiauto._cancel_tasks(runs);
  FOR queued IN
    SELECT r.outcome AS reason, array_agg(o.client_id) AS client_ids, array_agg(o.message_id) AS message_ids
      FROM unnest(runs) r
      JOIN mfiauto.outbox o ON o.client_id = r.client_id AND o.enrollment_id = r.enrollment_id
     GROUP BY r.outcome
  LOOP
    PERFORM mfiauto._cancel_outbox(queued.client_ids, queued.message_ids, queued.reason);
  END LOOP;
  RETURN ended;
END $$;

-- Sets runs on the step ahead of them, by their date as it is now: re-opens those that had ended, moves the others. outcome
-- says which (reopened, moved). A run that has no step ahead is completed, or stays ended.
CREATE FUNCTION mfiauto._restart_runs(workflow_id integer, version integer, runs mfiauto._run[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  stale record;
  restarted mfiauto._run[];
BEGIN
  -- What was queued for the old date is planned anew, should that date ever come back.
  SELECT array_agg(m.client_id) AS client_ids, array_agg(m.message_id) AS message_ids INTO stale
    FROM unnest(runs) r
    JOIN mfiauto.outbox o ON o.client_id = r.client_id AND o.enrollment_id = r.enrollment_id AND o.lease_until IS NULL
    JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m
                   WHERE m.client_id = o.client_id AND m.message_id = o.message_id AND m.created_at = o.created_at OFFSET 0) m ON true
   WHERE m.repetition <> r.anchor_on::text;
  IF stale.client_ids IS NOT NULL THEN
    PERFORM mfiauto._cancel_outbox(stale.client_ids, stale.message_ids, 'anchor_moved');
    DELETE FROM mfiauto.message_key k
     USING mfiauto.message_ledger m, unnest(stale.client_ids, stale.message_ids) AS u(client_id, message_id)
     WHERE m.client_id = u.client_id AND m.message_id = u.message_id AND m.reason = 'anchor_moved'
       AND k.client_id = m.client_id AND k.enrollment_id = m.enrollment_id AND k.message_id = m.message_id;
  END IF;
  restarted := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, coalesce(f.step_no, 2147483647), f.due_at, r.arm, NULL,
               r.zone, r.country, NULL, NULL, r.outcome)::mfiauto._run
      FROM unnest(runs) r
      LEFT JOIN mfiauto._first_steps(_restart_runs.workflow_id, _restart_runs.version, runs) f
        ON f.client_id = r.client_id AND f.subject_id = r.subject_id
     WHERE f.step_no IS NOT NULL OR r.outcome = 'moved');
  INSERT INTO mfiauto.step_flow AS f (workflow_id, version, from_no, to_no, is_jump, run_count)
  SELECT _restart_runs.workflow_id, _restart_runs.version, coalesce(e.step_no, 0), CASE WHEN r.due_at IS NULL THEN 0 ELSE r.step_no END, true, count(*)
    FROM unnest(restarted) r
    JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
   GROUP BY 3, 4
  ON CONFLICT ON CONSTRAINT step_flow_pkey DO UPDATE SET run_count = f.run_count + excluded.run_count;
  WITH set_on AS (
    UPDATE mfiauto.enrollment_state e
       SET anchor_on = r.anchor_on, step_no = CASE WHEN r.due_at IS NOT NULL THEN r.step_no END, due_at = r.due_at,
           state = CASE WHEN r.due_at IS NOT NULL THEN 'active' ELSE 'completed' END,
           reason = CASE WHEN r.due_at IS NULL THEN 'anchor_moved' END, ended_at = CASE WHEN r.due_at IS NULL THEN clock END
      FROM unnest(restarted) r
     WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id
    RETURNING e.*, r.outcome
  )
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
  SELECT s.client_id, s.workflow_id, s.version, s.enrollment_id, s.subject, s.subject_id, s.step_no, s.outcome,
         CASE s.outcome WHEN 'moved' THEN 'anchor_moved' END, s.anchor_on::text, clock
    FROM set_on s;
  PERFORM mfiauto._record_past(_restart_runs.workflow_id, _restart_runs.version, restarted);
  RETURN cardinality(restarted);
END $$;

-- Runs that the batch touched: those under way, and anchored ones that could be opened again.
CREATE FUNCTION mfiauto._review_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT f.workflow_id, f.version, NULL::integer, array_agg(f.client_id ORDER BY f.enrollment_id), array_agg(f.enrollment_id ORDER BY f.enrollment_id),
         array_agg(f.subject_id ORDER BY f.enrollment_id)
    FROM (SELECT u.*, (row_number() OVER (PARTITION BY u.workflow_id, u.version ORDER BY u.enrollment_id) - 1) / batch_size AS chunk
            FROM (SELECT DISTINCT e.workflow_id, e.version, e.client_id, e.enrollment_id, e.subject_id
                    FROM mfiauto.batch_touched t
                    JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id
                    JOIN mfiauto.workflow_version v ON v.workflow_id = e.workflow_id AND v.version = e.version
                   WHERE t.role <> 'message' AND NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = e.client_id)
                     AND (e.state = 'active'
                          OR (e.state = 'completed' AND EXISTS (SELECT FROM mfiauto.task k WHERE k.client_id = e.client_id AND k.enrollment_id = e.enrollment_id
                                                                   AND k.state = 'open' OFFSET 0))
                          OR (v.anchor_column IS NOT NULL AND (e.state = 'completed' OR e.reason IN ('exit_if', 'subject_gone', 'client_changed'))))
                     AND (t.role = 'client' OR (e.subject = t.role AND e.subject_id = t.subject_id)
                          OR (e.loan_id = t.loan_id AND t.role <> 'installment'))) u) f
   GROUP BY f.workflow_id, f.version, f.chunk
   ORDER BY f.workflow_id, f.version, f.chunk
$$;

-- Holds each run against the books: gone, no longer this client's, ended by its condition, moved, or to be opened again.
CREATE FUNCTION mfiauto._review(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  today date := mfiauto._today();
  v mfiauto.workflow_version;
  runs mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _review.workflow_id AND w.version = _review.version;
  runs := ARRAY(
    SELECT ROW(j.client_id, j.enrollment_id, j.subject_id, j.loan_id, CASE WHEN v.anchor_column IS NOT NULL THEN j.on_date END, NULL, NULL, j.arm, NULL,
               j.zone, j.country, j.verdict, NULL,
               CASE WHEN j.state = 'active' THEN CASE WHEN j.is_gone THEN 'subject_gone' WHEN NOT j.is_own THEN 'client_changed'
                                                      WHEN j.verdict THEN 'exit_if' WHEN j.is_moved THEN 'moved' END
                    -- Of a run that is through, what is still to be done is taken back.
                    WHEN j.state = 'completed' AND (j.is_gone OR NOT j.is_own OR j.verdict)
                    THEN CASE WHEN j.is_gone THEN 'subject_gone' WHEN NOT j.is_own THEN 'client_changed' ELSE 'exit_if' END
                    WHEN j.is_gone OR NOT j.is_own OR j.verdict IS NOT FALSE THEN NULL
                    WHEN j.state = 'exited' OR j.is_moved THEN 'reopened' END)::mfiauto._run
      FROM (SELECT e.*, d.on_date, k.zone, k.country, k.verdict,
                   (mfiauto._is_row(v.subject) AND s.subject_id IS NULL) OR (v.anchor_column IS NOT NULL AND d.on_date IS NULL) AS is_gone,
                   CASE WHEN NOT mfiauto._is_row(v.subject) THEN v.anchor_column IS NULL OR coalesce(d.client_id = e.client_id, true)
                        ELSE coalesce(s.client_id = e.client_id, p.client_id IS NOT NULL) END AS is_own,
                   v.anchor_column IS NOT NULL AND d.on_date <> e.anchor_on AS is_moved
              FROM ROWS FROM (unnest(_review.client_ids, _review.ids), mfiauto._client_zones(_review.client_ids),
                              mfiauto._verdicts(v.owner, v.exit_sql, _review.client_ids, _review.subject_ids, false))
                   AS k(client_id, enrollment_id, zoned_client_id, zone, country, is_zone_invalid, verdict)
              JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = k.client_id AND e.enrollment_id = k.enrollment_id OFFSET 0) e ON true
              LEFT JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.role = v.subject AND s.subject_id = e.subject_id OFFSET 0) s ON true
              LEFT JOIN LATERAL (SELECT * FROM mfiauto._dated(v.subject, v.anchor_column, e.subject_id) OFFSET 0) d ON true
              LEFT JOIN LATERAL (SELECT p.client_id FROM mfiauto.party_state p
                                  WHERE s.client_id IS NULL AND p.client_id = e.client_id AND p.loan_id = coalesce(s.loan_id, s.subject_id)
                                    AND p.role <> 'guarantor'
                                    AND coalesce(p.since <= today, true) AND coalesce(p.until >= today, true) LIMIT 1) p ON true) j);
  exited := mfiauto._exit_runs(v.workflow_id, v.version,
                               ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.outcome IN ('subject_gone', 'client_changed', 'exit_if')));
  runs := ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.outcome IN ('moved', 'reopened'));
  IF cardinality(runs) > 0 THEN
    advanced := mfiauto._restart_runs(v.workflow_id, v.version, runs);
  END IF;
END $$;

-- Goals that the batch's events reached: an event of the same loan (else client) within the goal's time after a step was due.
-- Sent, held out, or canceled because the very event ended the run: both arms are measured by one rule. Returns how many runs ended.
CREATE FUNCTION mfiauto._reach_goals() RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  ended record;
  exited bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.batch_event b JOIN mfiauto.workflow_version v ON v.goal_event = b.name) THEN
    RETURN 0;
  END IF;
  WITH hit AS (
    INSERT INTO mfiauto.goal_hit (client_id, enrollment_id, version, step_no, repetition, workflow_id, event_id, reached_at)
    SELECT DISTINCT ON (m.client_id, m.enrollment_id, m.version, m.step_no, m.repetition)
           m.client_id, m.enrollment_id, m.version, m.step_no, m.repetition, m.workflow_id, b.event_id, b.occurred_at
      FROM mfiauto.batch_event b
      JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = b.client_id OFFSET 0) m ON true
      JOIN mfiauto.workflow_version v ON v.workflow_id = m.workflow_id AND v.version = m.version AND v.goal_event = b.name
     WHERE m.enrollment_id IS NOT NULL
       AND (m.loan_id IS NULL OR b.loan_id IS NULL OR m.loan_id = b.loan_id OR m.subject = 'client')
       AND b.occurred_at BETWEEN m.due_at AND m.due_at + v.goal_within
       AND (m.state NOT IN ('skipped', 'canceled', 'suppressed', 'expired', 'failed') OR (m.state = 'canceled' AND m.reason IN ('exit_if', 'goal')))
     ORDER BY m.client_id, m.enrollment_id, m.version, m.step_no, m.repetition, b.occurred_at, b.event_id
    ON CONFLICT DO NOTHING
    RETURNING client_id, enrollment_id
  )
  SELECT array_agg(DISTINCT ROW(e.client_id, e.enrollment_id, e.subject_id, e.loan_id, e.anchor_on, NULL, NULL, e.arm, NULL, NULL, NULL, NULL, NULL,
                                'goal')::mfiauto._run) AS runs INTO ended
    FROM hit h
    JOIN mfiauto.enrollment_state e ON e.client_id = h.client_id AND e.enrollment_id = h.enrollment_id AND e.state = 'active'
    JOIN mfiauto.workflow_version v ON v.workflow_id = e.workflow_id AND v.version = e.version AND v.exit_on_goal;
  IF ended.runs IS NOT NULL THEN
    exited := mfiauto._exit_runs(NULL, NULL, ended.runs);
  END IF;
  RETURN exited;
END $$;

-- Messages held because the exit condition had no answer.
CREATE FUNCTION mfiauto._held_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT f.workflow_id, f.version, NULL::integer, array_agg(f.client_id ORDER BY f.message_id), array_agg(f.message_id ORDER BY f.message_id),
         array_agg(f.subject_id ORDER BY f.message_id)
    FROM (SELECT o.workflow_id, o.version, o.client_id, o.message_id, e.subject_id,
                 (row_number() OVER (PARTITION BY o.workflow_id, o.version ORDER BY o.message_id) - 1) / batch_size AS chunk
            FROM mfiauto.outbox o
            JOIN mfiauto.enrollment_state e ON e.client_id = o.client_id AND e.enrollment_id = o.enrollment_id
           WHERE o.is_held AND o.reason = 'exit_unknown') f
   GROUP BY f.workflow_id, f.version, f.chunk
   ORDER BY f.workflow_id, f.version, f.chunk
$$;

-- Asks again: no, it goes out; yes, its run ends; else it stays held.
CREATE FUNCTION mfiauto._release_held(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                      OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  runs mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _release_held.workflow_id AND w.version = _release_held.version;
  runs := ARRAY(
    SELECT ROW(e.client_id, e.enrollment_id, e.subject_id, e.loan_id, e.anchor_on, NULL, NULL, e.arm, NULL, NULL, NULL, k.verdict, NULL, 'exit_if')::mfiauto._run
      FROM ROWS FROM (unnest(_release_held.client_ids, _release_held.ids),
                      mfiauto._verdicts(v.owner, v.exit_sql, _release_held.client_ids, _release_held.subject_ids, false))
           AS k(client_id, message_id, verdict)
      JOIN LATERAL (SELECT * FROM mfiauto.outbox o WHERE o.client_id = k.client_id AND o.message_id = k.message_id OFFSET 0) o ON true
      JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = o.client_id AND e.enrollment_id = o.enrollment_id OFFSET 0) e ON true
     WHERE k.verdict IS NOT NULL);
  exited := mfiauto._exit_runs(v.workflow_id, v.version, ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.verdict));
  -- The claim that held it had put it off until it would ask again itself.
  UPDATE mfiauto.outbox o
     SET is_held = false, reason = NULL, due_at = least(o.due_at, mfiauto.now())
    FROM unnest(runs) r
   WHERE NOT r.verdict AND o.client_id = r.client_id AND o.enrollment_id = r.enrollment_id AND o.is_held AND o.reason = 'exit_unknown';
  GET DIAGNOSTICS messages = ROW_COUNT;
END $$;

-- Messages held for want of an answer or of a word. Those whose time is over expire; where the books changed meanwhile, a word may
-- have come: the message is let go, and the claim, which composes it anew, holds it again if it has not.
CREATE FUNCTION mfiauto._revisit_held() RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  WITH gone AS (
    DELETE FROM mfiauto.outbox o
     WHERE o.is_held AND o.lease_until IS NULL AND o.expires_at <= mfiauto.now()
       AND o.reason IN ('exit_unknown', 'missing_variable', 'empty_text', 'encoding', 'too_long')
    RETURNING o.client_id, o.message_id, o.created_at, o.reason
  )
  UPDATE mfiauto.message_ledger m
     SET state = 'expired', reason = g.reason, finished_at = mfiauto.now()
    FROM gone g
   WHERE m.client_id = g.client_id AND m.message_id = g.message_id AND m.created_at = g.created_at;
  UPDATE mfiauto.outbox o
     SET is_held = false, reason = NULL
   WHERE o.is_held AND o.lease_until IS NULL AND o.reason IN ('missing_variable', 'empty_text', 'encoding', 'too_long')
     AND o.client_id IN (SELECT t.client_id FROM mfiauto.batch_touched t WHERE t.role <> 'message');
END $$;
