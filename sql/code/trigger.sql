-- What starts a workflow beside the dates of the books: events, and moments that come by themselves.

-- A moment and a span after it (or before: a negative one). A day has 24 hours here, whatever the session's zone.
CREATE FUNCTION mfiauto._later(at timestamptz, span interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT (_later.at AT TIME ZONE 'UTC' + _later.span) AT TIME ZONE 'UTC' $$;

-- Lets pairs into a version at its first step, now, by the rules of re-entry: the first of several for one pair. contexts is what templates
-- and conditions read ({"event": {...}}); hops, event_ids, is_patient: see _admit_all(). Returns how many entered, and who is left.
CREATE FUNCTION mfiauto._let_in(workflow_id integer, version integer, client_ids bigint[], subject_ids bigint[], contexts jsonb[],
                                loan_ids bigint[] DEFAULT NULL, hops integer[] DEFAULT NULL, entry_key text DEFAULT NULL, event_ids bigint[] DEFAULT NULL,
                                is_patient boolean DEFAULT false, OUT entered bigint, OUT left_client_ids bigint[], OUT left_subject_ids bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  salt text;
  runs mfiauto._run[];
  run_hops integer[];
  run_event_ids bigint[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _let_in.workflow_id AND w.version = _let_in.version;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT array_agg(ROW(r.client_id, NULL, r.subject_id, r.loan_id, NULL, 1, clock, r.arm, r.context, r.zone, r.country, NULL, NULL,
                       CASE WHEN r.is_zone_invalid THEN 'the client''s time zone is not known: the institution''s is used' END)::mfiauto._run ORDER BY r.ord),
         array_agg(coalesce(r.hops, 0) ORDER BY r.ord), array_agg(r.event_id ORDER BY r.ord)
    INTO runs, run_hops, run_event_ids
    FROM (SELECT DISTINCT ON (k.client_id, k.subject_id) k.*,
                 coalesce(k.told_loan_id, s.loan_id, CASE WHEN v.subject = 'loan' THEN k.subject_id END) AS loan_id,
                 mfiauto._arm(salt, CASE WHEN c.holdout_allowed THEN v.holdout ELSE 0 END,
                              CASE WHEN s.role IS NOT NULL AND s.client_id IS NULL AND s.loan_id IS NOT NULL THEN 'loan ' || s.loan_id
                                   ELSE 'client ' || k.client_id END) AS arm
            FROM ROWS FROM (unnest(_let_in.client_ids, _let_in.subject_ids), unnest(_let_in.contexts), unnest(_let_in.loan_ids),
                            unnest(_let_in.hops), unnest(_let_in.event_ids), mfiauto._client_zones(_let_in.client_ids)) WITH ORDINALITY
                 AS k(client_id, subject_id, context, told_loan_id, hops, event_id, zoned_client_id, zone, country, is_zone_invalid, ord)
            JOIN mfiauto.message_class c ON c.class = v.class
            LEFT JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.role = v.subject AND s.subject_id = k.subject_id OFFSET 0) s ON true
           WHERE k.subject_id IS NOT NULL
             -- OFFSET 0: looked up by the index, row by row. As a join it is quadratic in a long pass, whose own rows no statistics tell of.
             AND NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                              WHERE e.client_id = k.client_id AND e.workflow_id = v.workflow_id AND e.subject = v.subject AND e.subject_id = k.subject_id
                                AND (e.ended_at IS NULL OR v.reentry = 'never' OR (v.reentry = 'interval' AND e.entered_at > clock - v.reentry_after)) OFFSET 0)
           ORDER BY k.client_id, k.subject_id, k.ord) r;
  SELECT a.* INTO entered, left_client_ids, left_subject_ids
    FROM mfiauto._admit_all(v.workflow_id, v.version, coalesce(runs, '{}'), run_hops, _let_in.entry_key, run_event_ids, _let_in.is_patient) a;
END $$;

CREATE FUNCTION mfiauto._enter_now(workflow_id integer, version integer, client_ids bigint[], subject_ids bigint[], contexts jsonb[],
                                   loan_ids bigint[] DEFAULT NULL, hops integer[] DEFAULT NULL, entry_key text DEFAULT NULL,
                                   event_ids bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE sql AS $$
  SELECT l.entered FROM mfiauto._let_in($1, $2, $3, $4, $5, $6, $7, $8, $9) l
$$;

-- Events of the batch that are the trigger of an active workflow. Properties that it does not ask for are left out here.
CREATE FUNCTION mfiauto._trigger_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT f.workflow_id, f.version, NULL::integer, array_agg(f.client_id ORDER BY f.event_id), array_agg(f.event_id ORDER BY f.event_id),
         array_agg(f.subject_id ORDER BY f.event_id)
    FROM (SELECT v.workflow_id, v.version, b.client_id, b.event_id, b.subject_id,
                 (row_number() OVER (PARTITION BY v.workflow_id ORDER BY b.event_id) - 1) / batch_size AS chunk
            FROM mfiauto.batch_event b
            JOIN mfiauto.workflow_version v ON b.name = ANY (v.trigger_events) AND v.trigger_kind <> 'inactive'
            JOIN mfiauto.workflow_head h ON h.workflow_id = v.workflow_id AND h.live_version = v.version AND h.state = 'active'
           WHERE v.trigger_filters IS NULL
              OR EXISTS (SELECT FROM mfiauto.event_log l
                          WHERE l.client_id = b.client_id AND l.event_id = b.event_id AND l.properties @> ANY (v.trigger_filters) OFFSET 0)) f
   GROUP BY f.workflow_id, f.version, f.chunk
   ORDER BY f.workflow_id, f.chunk
$$;

-- What the run of an event is about: nothing (null) if the event does not tell it.
CREATE FUNCTION mfiauto._event_subject(subject text, client_id bigint, event_subject text, event_subject_id bigint, event_loan_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN subject = 'client' THEN client_id WHEN event_subject = subject THEN event_subject_id WHEN subject = 'loan' THEN event_loan_id END
$$;

-- The events that make a count full: with each, trigger_count of its kind (for one pair) lie within trigger_within. Looked for around the
-- given events, on both sides of each, as an event may become known late.
CREATE FUNCTION mfiauto._full_counts(workflow_id integer, version integer, client_ids bigint[], event_ids bigint[])
RETURNS TABLE (client_id bigint, event_id bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  near_client_ids bigint[];
  near_ids bigint[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _full_counts.workflow_id AND w.version = _full_counts.version;
  SELECT array_agg(n.client_id ORDER BY n.client_id, n.event_id), array_agg(n.event_id ORDER BY n.client_id, n.event_id)
    INTO near_client_ids, near_ids
    FROM (SELECT DISTINCT k.client_id, f.event_id
            FROM unnest(_full_counts.client_ids, _full_counts.event_ids) AS k(client_id, event_id)
            JOIN LATERAL (SELECT l.occurred_at FROM mfiauto.event_log l WHERE l.client_id = k.client_id AND l.event_id = k.event_id OFFSET 0) e ON true
            JOIN LATERAL (SELECT l.event_id FROM mfiauto.event_log l
                           WHERE l.client_id = k.client_id AND l.name = ANY (v.trigger_events)
                             AND (v.trigger_filters IS NULL OR l.properties @> ANY (v.trigger_filters))
                             AND l.occurred_at BETWEEN mfiauto._later(e.occurred_at, - v.trigger_within) AND mfiauto._later(e.occurred_at, v.trigger_within)
                          OFFSET 0) f ON true) n;
  RETURN QUERY
    WITH counted AS MATERIALIZED (
      SELECT n.client_id, n.event_id, l.occurred_at,
             mfiauto._event_subject(v.subject, n.client_id, l.subject, l.subject_id, l.loan_id) AS subject_id
        FROM ROWS FROM (unnest(near_client_ids, near_ids), mfiauto._verdicts(v.owner, v.trigger_sql, near_client_ids, near_ids, true))
             AS n(client_id, event_id, verdict)
        JOIN LATERAL (SELECT * FROM mfiauto.event_log l WHERE l.client_id = n.client_id AND l.event_id = n.event_id OFFSET 0) l ON true
       WHERE n.verdict
    ),
    filled AS (
      SELECT c.*, lag(c.occurred_at, v.trigger_count - 1) OVER (PARTITION BY c.client_id, c.subject_id ORDER BY c.occurred_at, c.event_id) AS first_at
        FROM counted c WHERE c.subject_id IS NOT NULL
    )
    SELECT DISTINCT f.client_id, f.event_id
      FROM filled f
      JOIN counted c ON c.client_id = f.client_id AND c.subject_id = f.subject_id AND (c.occurred_at, c.event_id) <= (f.occurred_at, f.event_id)
                    AND c.occurred_at >= mfiauto._later(f.occurred_at, - v.trigger_within)
     WHERE f.first_at >= mfiauto._later(f.occurred_at, - v.trigger_within)
       AND c.event_id IN (SELECT unnest(_full_counts.event_ids));
END $$;

-- Enters the clients of events whose condition holds, by the rules of re-entry, at the first step, now.
CREATE FUNCTION mfiauto._trigger(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                 OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  e record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trigger.workflow_id AND w.version = _trigger.version;
  IF v.trigger_count IS NULL THEN
    SELECT array_agg(k.client_id ORDER BY k.event_id) AS client_ids, array_agg(k.event_id ORDER BY k.event_id) AS event_ids
      INTO e
      FROM ROWS FROM (unnest(_trigger.client_ids, _trigger.ids), mfiauto._verdicts(v.owner, v.trigger_sql, _trigger.client_ids, _trigger.ids, true))
           AS k(client_id, event_id, verdict)
     WHERE k.verdict;
  ELSE
    SELECT array_agg(k.client_id ORDER BY k.event_id) AS client_ids, array_agg(k.event_id ORDER BY k.event_id) AS event_ids
      INTO e
      FROM mfiauto._full_counts(v.workflow_id, v.version, _trigger.client_ids, _trigger.ids) k;
  END IF;
  IF e.event_ids IS NULL THEN
    RETURN;
  END IF;
  SELECT mfiauto._enter_now(v.workflow_id, v.version, array_agg(k.client_id ORDER BY k.event_id),
                            array_agg(mfiauto._event_subject(v.subject, k.client_id, l.subject, l.subject_id, l.loan_id) ORDER BY k.event_id),
                            array_agg(jsonb_build_object('event', l.properties) ORDER BY k.event_id), array_agg(l.loan_id ORDER BY k.event_id),
                            array_agg(l.hops ORDER BY k.event_id), NULL, array_agg(k.event_id ORDER BY k.event_id))
    INTO entered
    FROM unnest(e.client_ids, e.event_ids) AS k(client_id, event_id)
    JOIN LATERAL (SELECT * FROM mfiauto.event_log l WHERE l.client_id = k.client_id AND l.event_id = k.event_id OFFSET 0) l ON true;
END $$;
