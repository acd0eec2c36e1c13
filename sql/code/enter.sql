-- Entering a workflow: who comes up in the calendar of anchor dates, who is let in, and where each one starts.
--
-- What the engine runs is made of pairs: _NAME_work() lists who is concerned, a row a version (and step), in chunks of
-- the batch size; _NAME() treats one such row, set by set, and may be called again with a part of it when it failed.

-- One run on its way through a statement. outcome: what becomes of the step, named as in mfiauto.message_reason.
CREATE TYPE mfiauto._run AS (
  client_id bigint,
  enrollment_id bigint,
  subject_id bigint,
  loan_id bigint,
  anchor_on date,
  step_no integer,
  due_at timestamptz,
  arm text,
  context jsonb,
  zone text,
  country text,
  verdict boolean,
  expires_at timestamptz,
  outcome text
);

-- Days that a barred moment may be moved back, so days that the calendar is planned ahead of the first step.
CREATE FUNCTION mfiauto._planning_lead() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 9';

-- Steps that a run can start at: those of the outer list that have a moment of their own.
CREATE FUNCTION mfiauto._timed_steps(workflow_id integer, version integer)
RETURNS TABLE (step_no integer, at_offset integer, at_time time, class text)
LANGUAGE sql STABLE AS $$
  SELECT s.step_no, s.at_offset, s.at_time, coalesce(s.class, v.class)
    FROM mfiauto.workflow_step s
    JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version
   WHERE s.workflow_id = _timed_steps.workflow_id AND s.version = _timed_steps.version
     AND s.at_offset IS NOT NULL AND s.path ~ '^steps\[[0-9]+\]$'
$$;

-- Whether a client answers today for a loan that has no client of its own; guarantors are not reminded. For one pair: sets join.
CREATE FUNCTION mfiauto._is_member(loan_id bigint, client_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.party_state p
                  WHERE p.client_id = $2 AND p.loan_id = $1 AND p.role <> 'guarantor'
                    AND coalesce(p.since <= mfiauto._today(), true) AND coalesce(p.until >= mfiauto._today(), true))
$$;

-- A condition's verdict for each pair, in their order; without a condition the given one. ROWS FROM sets it beside the pairs: a join,
-- once the planner takes it for small, becomes a loop over all verdicts for each pair.
CREATE FUNCTION mfiauto._verdicts(owner text, query text, client_ids bigint[], subject_ids bigint[], otherwise boolean)
RETURNS SETOF boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF query IS NULL THEN
    RETURN QUERY SELECT otherwise FROM generate_series(1, cardinality(client_ids)) n;
  ELSIF cardinality(client_ids) > 0 THEN
    RETURN QUERY SELECT e.verdict FROM mfiauto._evaluate(owner, query, client_ids, subject_ids, mfiauto.now()) e;
  END IF;
END $$;

-- An expression's value for each pair, as text, in their order.
CREATE FUNCTION mfiauto._values(owner text, query text, client_ids bigint[], subject_ids bigint[])
RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF cardinality(client_ids) > 0 THEN
    RETURN QUERY SELECT e.value FROM mfiauto._evaluate_text(owner, query, client_ids, subject_ids, mfiauto.now()) e;
  END IF;
END $$;

-- In which arm of a workflow a unit is: the same for ever, for all its installments.
CREATE FUNCTION mfiauto._arm(salt text, holdout numeric, unit text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN holdout > 0
               AND ('x' || left(encode(sha256(convert_to(salt || ' ' || unit, 'UTF8')), 'hex'), 6))::bit(24)::integer % 10000 < holdout * 100
              THEN 'holdout' ELSE 'treated' END
$$;

-- Where each run starts or goes on: its first step whose moment is not past, at the run's due_at if it has one, else now. No row: none is left.
CREATE FUNCTION mfiauto._first_steps(workflow_id integer, version integer, runs mfiauto._run[])
RETURNS TABLE (client_id bigint, subject_id bigint, step_no integer, due_at timestamptz)
LANGUAGE sql STABLE AS $$
  WITH run AS MATERIALIZED (SELECT r.*, coalesce(r.due_at, mfiauto.now()) AS since FROM unnest(runs) r),
  moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(
      SELECT DISTINCT ROW(d.anchor_on + t.at_offset + t.at_time, d.zone, d.country, t.class, t.at_offset, d.since)::mfiauto._moment_key
        FROM (SELECT DISTINCT r.anchor_on, r.zone, r.country, r.since FROM run r) d,
             mfiauto._timed_steps(_first_steps.workflow_id, _first_steps.version) t)) m
  )
  SELECT DISTINCT ON (r.client_id, r.subject_id) r.client_id, r.subject_id, t.step_no, coalesce(m.at, m.wanted AT TIME ZONE m.zone)
    FROM run r
    CROSS JOIN mfiauto._timed_steps(_first_steps.workflow_id, _first_steps.version) t
    JOIN moment m ON m.wanted = r.anchor_on + t.at_offset + t.at_time AND m.zone = r.zone AND m.country = r.country
                 AND m.class = t.class AND m.day_offset = t.at_offset AND m.reference = r.since
   WHERE coalesce(m.at, m.wanted AT TIME ZONE m.zone) >= r.since
   ORDER BY r.client_id, r.subject_id, t.step_no
$$;

-- Ledger rows of messages that are not made: each run's step, its outcome the reason. One a repetition, whatever happens later.
CREATE FUNCTION mfiauto._record_unsent(workflow_id integer, version integer, runs mfiauto._run[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  -- Where the steps of a call differ, they are anchored ones, which stand in no loop.
  repetitions text[] := mfiauto._repetitions(runs, (SELECT s.loop_no FROM mfiauto.workflow_step s
                                                     WHERE s.workflow_id = _record_unsent.workflow_id AND s.version = _record_unsent.version
                                                       AND s.step_no = (runs[1]).step_no));
BEGIN
  IF cardinality(runs) = 0 THEN
    RETURN;
  END IF;
  WITH key AS (
    INSERT INTO mfiauto.message_key (client_id, enrollment_id, version, step_no, repetition, channel, message_id)
    SELECT r.client_id, r.enrollment_id, _record_unsent.version, r.step_no, r.repetition, '', nextval('mfiauto.message_id_seq')
      FROM (SELECT u.* FROM ROWS FROM (unnest(runs), unnest(repetitions))
                              AS u(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome,
                                   repetition)) r
    ON CONFLICT DO NOTHING
    RETURNING client_id, enrollment_id, step_no, repetition, message_id
  )
  INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, finished_at, enrollment_id, subject, subject_id, loan_id,
                                      workflow_id, version, step_no, state, reason, class, repetition)
  SELECT r.client_id, k.message_id, mfiauto.now(), r.due_at, r.expires_at, mfiauto.now(), r.enrollment_id, v.subject, r.subject_id, r.loan_id,
         v.workflow_id, v.version, r.step_no,
         CASE WHEN r.outcome = 'holdout' THEN 'holdout' WHEN r.outcome IN ('expired', 'barred') THEN 'expired' ELSE 'skipped' END,
         r.outcome, coalesce(s.class, v.class), k.repetition
    FROM unnest(runs) r
    JOIN key k ON k.client_id = r.client_id AND k.enrollment_id = r.enrollment_id AND k.step_no = r.step_no
    JOIN mfiauto.workflow_version v ON v.workflow_id = _record_unsent.workflow_id AND v.version = _record_unsent.version
    JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = r.step_no;
END $$;

-- Which of the runs' steps went out before for another date that is no more than resend_if_moved days away.
CREATE FUNCTION mfiauto._already_sent(workflow_id integer, version integer, runs mfiauto._run[])
RETURNS TABLE (client_id bigint, enrollment_id bigint, step_no integer)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT r.client_id, r.enrollment_id, r.step_no
    FROM unnest(runs) r
    JOIN mfiauto.workflow_version v ON v.workflow_id = _already_sent.workflow_id AND v.version = _already_sent.version
    JOIN mfiauto.message_key k ON k.client_id = r.client_id AND k.enrollment_id = r.enrollment_id AND k.version = v.version AND k.step_no = r.step_no
                              AND k.repetition <> r.anchor_on::text AND k.repetition <> ''
    JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = k.client_id AND m.message_id = k.message_id OFFSET 0) m ON true
   WHERE m.state NOT IN ('skipped', 'canceled', 'suppressed', 'expired')
     AND abs(r.anchor_on - k.repetition::date) <= v.resend_if_moved
$$;

-- Notes the sends of the outer list that lie before the step a run starts at.
CREATE FUNCTION mfiauto._record_past(workflow_id integer, version integer, runs mfiauto._run[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  past mfiauto._run[] := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, s.step_no,
               (r.anchor_on + s.at_offset + s.at_time) AT TIME ZONE r.zone, r.arm, NULL, r.zone, r.country, NULL, NULL, 'past')::mfiauto._run
      FROM unnest(runs) r
      JOIN mfiauto.workflow_step s ON s.workflow_id = _record_past.workflow_id AND s.version = _record_past.version
       AND s.kind = 'send' AND s.at_offset IS NOT NULL AND s.path ~ '^steps\[[0-9]+\]$' AND s.step_no < r.step_no);
BEGIN
  IF cardinality(past) = 0 THEN
    RETURN;
  END IF;
  PERFORM mfiauto._record_unsent(workflow_id, version, ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, r.step_no, r.due_at, r.arm, NULL, r.zone, r.country, NULL, NULL,
               CASE WHEN a.client_id IS NULL THEN 'past' ELSE 'already_sent' END)::mfiauto._run
      FROM unnest(past) r
      LEFT JOIN mfiauto._already_sent(_record_past.workflow_id, _record_past.version, past) a
        ON a.client_id = r.client_id AND a.enrollment_id = r.enrollment_id AND a.step_no = r.step_no));
END $$;

-- Who comes up: subjects of active anchored workflows whose date has come within the horizon since the last planning, and
-- those inside it that the books touched. A subject without a client of its own stands for each member of its loan.
CREATE FUNCTION mfiauto._enter_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  today date := mfiauto._today();
  has_touched boolean := EXISTS (SELECT FROM mfiauto.batch_touched t WHERE t.role <> 'message');
  planned integer[];
BEGIN
  -- What happens while a workflow is paused is made up for when it goes on.
  UPDATE mfiauto.workflow_head h SET planned_through = NULL WHERE h.state = 'paused' AND h.planned_through IS NOT NULL;
  planned := ARRAY(
    SELECT h.workflow_id FROM mfiauto.workflow_head h
      JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
     WHERE h.state = 'active' AND v.anchor_column IS NOT NULL
       AND (has_touched OR h.planned_through IS NULL
            OR h.planned_through < today + mfiauto._planning_lead() - (SELECT min(t.at_offset) FROM mfiauto._timed_steps(v.workflow_id, v.version) t)));
  IF cardinality(planned) = 0 THEN
    RETURN;
  END IF;
  RETURN QUERY
    WITH head AS MATERIALIZED (
      SELECT v.workflow_id, v.version, v.subject, v.anchor_column, mfiauto._is_kept_date(v.subject, v.anchor_column) AS is_kept, today + mfiauto._planning_lead() - t.earliest AS through_on,
             today - mfiauto._planning_lead() - t.latest AS since_on, h.planned_through
        FROM mfiauto.workflow_head h
        JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
        CROSS JOIN LATERAL (SELECT min(t.at_offset) AS earliest, max(t.at_offset) AS latest FROM mfiauto._timed_steps(v.workflow_id, v.version) t) t
       WHERE h.workflow_id = ANY (planned)
    ),
    -- Looked up from the touched to their subjects, never the other way: a load may touch a million.
    touched AS (
      SELECT s.* FROM (SELECT DISTINCT t.role, t.subject_id FROM mfiauto.batch_touched t WHERE has_touched AND t.role <> 'message') t
        JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.role = t.role AND s.subject_id = t.subject_id OFFSET 0) s ON true
      UNION ALL
      SELECT s.* FROM (SELECT DISTINCT t.loan_id FROM mfiauto.batch_touched t WHERE has_touched AND t.role IN ('loan', 'loan_party')) t
        JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.loan_id = t.loan_id OFFSET 0) s ON true
      UNION ALL
      SELECT s.* FROM (SELECT DISTINCT t.client_id FROM mfiauto.batch_touched t WHERE has_touched AND t.role = 'client') t
        JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.client_id = t.client_id OFFSET 0) s ON true
    ),
    up AS MATERIALIZED (
      SELECT h.workflow_id, h.version, s.client_id, s.subject_id, s.loan_id, s.on_date
        FROM head h
        JOIN mfiauto.subject_state s ON s.role = h.subject AND s.on_date BETWEEN greatest(h.since_on, h.planned_through + 1) AND h.through_on
       WHERE h.is_kept
      UNION
      SELECT h.workflow_id, h.version, a.client_id, a.subject_id, a.loan_id, a.on_date
        FROM head h
        JOIN LATERAL (SELECT * FROM mfiauto.anchor_date a
                       WHERE a.role = h.subject AND a.column_name = h.anchor_column AND a.on_date BETWEEN greatest(h.since_on, h.planned_through + 1) AND h.through_on
                      OFFSET 0) a ON true
       WHERE NOT h.is_kept
      UNION
      SELECT h.workflow_id, h.version, a.client_id, a.subject_id, a.loan_id, a.on_date
        FROM (SELECT s.role, s.subject_id FROM touched s
              UNION SELECT t.role, t.subject_id FROM mfiauto.batch_touched t WHERE has_touched AND t.role <> 'message') s
        JOIN head h ON h.subject = s.role AND NOT h.is_kept
        JOIN LATERAL (SELECT * FROM mfiauto.anchor_date a WHERE a.role = h.subject AND a.column_name = h.anchor_column AND a.subject_id = s.subject_id OFFSET 0) a
          ON a.on_date BETWEEN h.since_on AND h.through_on
      UNION
      SELECT h.workflow_id, h.version, s.client_id, s.subject_id, s.loan_id, s.on_date
        FROM touched s
        JOIN head h ON h.is_kept AND h.subject = s.role AND s.on_date BETWEEN h.since_on AND h.through_on
    ),
    concerned AS (
      SELECT u.workflow_id, u.version, u.client_id, u.subject_id, u.on_date FROM up u WHERE u.client_id IS NOT NULL
      UNION
      SELECT u.workflow_id, u.version, p.client_id, u.subject_id, u.on_date
        FROM up u
        JOIN mfiauto.party_state p ON p.loan_id = u.loan_id AND coalesce(p.since <= today, true) AND coalesce(p.until >= today, true) AND p.role <> 'guarantor'
       WHERE u.client_id IS NULL
    ),
    fresh AS (
      SELECT c.*, (row_number() OVER (PARTITION BY c.workflow_id ORDER BY c.on_date, c.subject_id, c.client_id) - 1) / batch_size AS chunk
        FROM concerned c
        JOIN head h ON h.workflow_id = c.workflow_id
       WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                          WHERE e.client_id = c.client_id AND e.workflow_id = c.workflow_id AND e.subject = h.subject AND e.subject_id = c.subject_id OFFSET 0)
    )
    SELECT f.workflow_id, f.version, NULL::integer, array_agg(f.client_id ORDER BY f.on_date, f.subject_id, f.client_id),
           array_agg(f.subject_id ORDER BY f.on_date, f.subject_id, f.client_id), array_agg(f.subject_id ORDER BY f.on_date, f.subject_id, f.client_id)
      FROM fresh f
     GROUP BY f.workflow_id, f.version, f.chunk
     ORDER BY f.workflow_id, f.version, f.chunk;
  UPDATE mfiauto.workflow_head h
     SET planned_through = today + mfiauto._planning_lead() - (SELECT min(t.at_offset) FROM mfiauto._timed_steps(h.workflow_id, h.live_version) t)
   WHERE h.workflow_id = ANY (planned);
END $$;

-- Takes in the runs that the conditions let in; the others are refused, with the reason. Runs come with their step and time.
-- event_ids: the event that brought each of them in. hops: over how many workflows a chain of emit and enroll has brought each of them here. entry_key: of
-- enroll(), of a single run. is_patient: who is beyond the day's quota is not refused but returned, to come up again.
CREATE FUNCTION mfiauto._admit_all(workflow_id integer, version integer, runs mfiauto._run[], hops integer[], entry_key text, event_ids bigint[], is_patient boolean,
                                   OUT entered bigint, OUT left_client_ids bigint[], OUT left_subject_ids bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  quota bigint;
  taken_in mfiauto._run[];
  first_excluded date;
  client_ids bigint[] := ARRAY(SELECT r.client_id FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality);
  subject_ids bigint[] := ARRAY(SELECT r.subject_id FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality);
BEGIN
  entered := 0;
  IF cardinality(runs) = 0 THEN
    RETURN;
  END IF;
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _admit_all.workflow_id AND w.version = _admit_all.version;
  quota := mfiauto._entry_quota(v.workflow_id);
  WITH judged AS MATERIALIZED (
    SELECT r.*, row_number() OVER (PARTITION BY r.is_in ORDER BY r.ord) AS place
      FROM (SELECT u.*, coalesce(u.enter_verdict, false) AND u.exit_verdict IS NOT TRUE AND coalesce(u.hops, 0) <= 10 AND NOT u.is_erased AS is_in
              FROM ROWS FROM (unnest(runs), unnest(_admit_all.hops, _admit_all.event_ids),
                              mfiauto._verdicts(v.owner, v.enter_sql, client_ids, subject_ids, true),
                              mfiauto._verdicts(v.owner, v.exit_sql, client_ids, subject_ids, false),
                              unnest(ARRAY(SELECT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = u.client_id) FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality))) WITH ORDINALITY
                   AS u(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome,
                        hops, entry_event_id, enter_verdict, exit_verdict, is_erased, ord)) r
  ),
  taken AS (
    INSERT INTO mfiauto.enrollment_state (client_id, workflow_id, version, subject, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, hops, entry_key,
                                          entry_event_id, entered_at)
    SELECT j.client_id, v.workflow_id, v.version, v.subject, j.subject_id, j.loan_id, j.anchor_on, j.step_no, j.due_at, j.arm, j.context, coalesce(j.hops, 0),
           _admit_all.entry_key, j.entry_event_id, clock
      FROM judged j WHERE j.is_in AND (quota IS NULL OR j.place <= quota)
    ON CONFLICT DO NOTHING
    RETURNING client_id, subject_id, enrollment_id
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, detail, decided_at)
    SELECT t.client_id, v.workflow_id, v.version, t.enrollment_id, v.subject, t.subject_id, j.step_no, 'entered', j.outcome, clock
      FROM taken t JOIN judged j ON j.client_id = t.client_id AND j.subject_id = t.subject_id
  ),
  refused AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, subject, subject_id, decision, reason, decided_at)
    SELECT j.client_id, v.workflow_id, v.version, v.subject, j.subject_id, 'refused', j.reason, clock
      FROM (SELECT j.*, CASE WHEN j.is_in THEN 'max_per_day' WHEN j.is_erased THEN 'erased' WHEN j.hops > 10 THEN 'loop' WHEN j.enter_verdict IS NULL THEN 'enter_unknown' WHEN NOT j.enter_verdict THEN 'enter_if'
                             ELSE 'exit_if' END AS reason
              FROM judged j WHERE NOT j.is_in OR (j.place > quota AND v.anchor_column IS NULL AND NOT is_patient)) j
     WHERE NOT EXISTS (SELECT FROM mfiauto.decision_log d
                        WHERE d.client_id = j.client_id AND d.workflow_id = v.workflow_id AND d.subject_id = j.subject_id
                          AND d.decision = 'refused' AND d.reason = j.reason OFFSET 0)
  )
  SELECT ARRAY(SELECT ROW(t.client_id, t.enrollment_id, t.subject_id, j.loan_id, j.anchor_on, j.step_no, j.due_at, j.arm, NULL, j.zone, j.country,
                          NULL, NULL, NULL)::mfiauto._run
                 FROM taken t JOIN judged j ON j.client_id = t.client_id AND j.subject_id = t.subject_id),
         (SELECT min(j.anchor_on) FROM judged j WHERE j.is_in AND j.place > quota),
         ARRAY(SELECT j.client_id FROM judged j WHERE is_patient AND j.is_in AND j.place > quota ORDER BY j.ord),
         ARRAY(SELECT j.subject_id FROM judged j WHERE is_patient AND j.is_in AND j.place > quota ORDER BY j.ord)
    INTO taken_in, first_excluded, left_client_ids, left_subject_ids;
  -- Those beyond the day's quota come up again tomorrow; an event does not, so it was refused.
  UPDATE mfiauto.workflow_head h SET planned_through = least(h.planned_through, first_excluded - 1)
   WHERE h.workflow_id = v.workflow_id AND first_excluded IS NOT NULL;
  IF v.anchor_column IS NOT NULL THEN
    PERFORM mfiauto._record_past(v.workflow_id, v.version, taken_in);
  END IF;
  entered := cardinality(taken_in);
END $$;

CREATE FUNCTION mfiauto._admit(workflow_id integer, version integer, runs mfiauto._run[], hops integer[] DEFAULT NULL, entry_key text DEFAULT NULL,
                              event_ids bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql AS $$
  SELECT a.entered FROM mfiauto._admit_all($1, $2, $3, $4, $5, $6, false) a
$$;

-- Enters those who came up and still have a step ahead.
CREATE FUNCTION mfiauto._enter(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                               OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  salt text;
  runs mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _enter.workflow_id AND w.version = _enter.version;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  runs := ARRAY(
    SELECT ROW(z.client_id, NULL, z.subject_id, coalesce(s.loan_id, CASE WHEN v.subject = 'loan' THEN s.subject_id END), s.on_date, NULL, NULL,
               mfiauto._arm(salt, CASE WHEN c.holdout_allowed THEN v.holdout ELSE 0 END,
                            CASE WHEN s.client_id IS NULL THEN 'loan ' || s.loan_id ELSE 'client ' || s.client_id END),
               NULL, z.zone, z.country, NULL, NULL,
               CASE WHEN z.is_zone_invalid THEN 'the client''s time zone is not known: the institution''s is used' END)::mfiauto._run
      FROM ROWS FROM (unnest(_enter.client_ids, _enter.subject_ids), mfiauto._client_zones(_enter.client_ids))
           AS z(client_id, subject_id, zoned_client_id, zone, country, is_zone_invalid)
      JOIN LATERAL (SELECT * FROM mfiauto._dated(v.subject, v.anchor_column, z.subject_id) OFFSET 0) s ON s.on_date IS NOT NULL
      JOIN mfiauto.message_class c ON c.class = v.class);
  entered := mfiauto._admit(v.workflow_id, v.version, ARRAY(
    SELECT ROW(r.client_id, NULL, r.subject_id, r.loan_id, r.anchor_on, f.step_no, f.due_at, r.arm, NULL, r.zone, r.country, NULL, NULL, r.outcome)::mfiauto._run
      FROM unnest(runs) r
      JOIN mfiauto._first_steps(v.workflow_id, v.version, runs) f ON f.client_id = r.client_id AND f.subject_id = r.subject_id
     ORDER BY r.anchor_on, r.subject_id, r.client_id));
END $$;
