-- Simulation, what starts runs beside dates of the books: events that were recorded, and moments that come by themselves.

-- What would have brought clients in between two moments, at which, before any condition is asked. event_id: the event, if one did.
CREATE FUNCTION mfiauto._trial_arrivals(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (client_id bigint, event_id bigint, subject_id bigint, loan_id bigint, at timestamptz, context jsonb, doubt text)
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trial_arrivals.workflow_id AND w.version = _trial_arrivals.version;
  CASE v.trigger_kind
    WHEN 'manual' THEN
      RETURN;
    WHEN 'inactive' THEN
      RETURN QUERY SELECT a.client_id, NULL::bigint, a.client_id, NULL::bigint, a.at, jsonb_build_object('event', jsonb_build_object('since', a.since)), NULL::text
                     FROM mfiauto._trial_silences(v.trigger_events, v.trigger_after, v.trigger_existing, from_at, to_at) a;
    WHEN 'yearly' THEN
      RETURN QUERY SELECT a.* FROM mfiauto._trial_anniversaries(v.workflow_id, v.version, from_at, to_at) a;
    WHEN 'schedule' THEN
      RETURN QUERY
        WITH member AS MATERIALIZED (
          SELECT m.client_id, m.since, coalesce(m.until, 'infinity') AS until
            FROM mfiauto.segment_definition d JOIN mfiauto.segment_membership m ON m.segment_id = d.segment_id WHERE d.name = v.trigger_segment
        ),
        placed AS MATERIALIZED (
          SELECT z.client_id, CASE v.trigger_zone WHEN 'client' THEN z.zone ELSE i.time_zone END AS zone
            FROM mfiauto.institution i CROSS JOIN mfiauto._client_zones(ARRAY(SELECT DISTINCT m.client_id FROM member m)) z
        )
        SELECT m.client_id, NULL::bigint, m.client_id, NULL::bigint, o.at, jsonb_build_object('event', jsonb_build_object('segment', v.trigger_segment, 'occurrence', o.at)), NULL::text
          FROM (SELECT z.zone, u AS at FROM (SELECT DISTINCT p.zone FROM placed p) z CROSS JOIN LATERAL mfiauto._occurrences(v.trigger_cron, z.zone, from_at - interval '1 second', to_at) u) o
          JOIN placed p ON p.zone = o.zone
          JOIN member m ON m.client_id = p.client_id AND m.since <= o.at AND m.until > o.at
         WHERE o.at < to_at;
    ELSE
      RETURN QUERY SELECT a.* FROM mfiauto._trial_events(v.workflow_id, v.version, from_at, to_at) a;
  END CASE;
END $$;

-- Events that were recorded; those that make a count full, where one is asked for; members of a segment at the beginning, where they come in too.
CREATE FUNCTION mfiauto._trial_events(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (client_id bigint, event_id bigint, subject_id bigint, loan_id bigint, at timestamptz, context jsonb, doubt text)
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  k record;
  doubt text;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trial_events.workflow_id AND w.version = _trial_events.version;
  SELECT coalesce(array_agg(l.client_id ORDER BY l.event_id), '{}') AS client_ids, coalesce(array_agg(l.event_id ORDER BY l.event_id), '{}') AS event_ids INTO k
    FROM mfiauto.event_log l
   WHERE l.name = ANY (v.trigger_events) AND l.received_at >= from_at AND l.received_at < to_at AND (v.trigger_filters IS NULL OR l.properties @> ANY (v.trigger_filters));
  IF v.trigger_count IS NOT NULL AND cardinality(k.event_ids) > 0 THEN
    -- What the condition reads beside the events is read as it is today.
    SELECT string_agg(DISTINCT c, ', ') INTO doubt FROM unnest(mfiauto._condition_columns(v.trigger_sql)) c;
    SELECT coalesce(array_agg(f.client_id ORDER BY f.event_id), '{}') AS client_ids, coalesce(array_agg(f.event_id ORDER BY f.event_id), '{}') AS event_ids INTO k
      FROM mfiauto._full_counts(v.workflow_id, v.version, k.client_ids, k.event_ids) f;
  END IF;
  RETURN QUERY
    SELECT l.client_id, l.event_id, u.about, coalesce(l.loan_id, CASE WHEN v.subject = 'loan' THEN u.about END), l.received_at, jsonb_build_object('event', l.properties), doubt
      FROM unnest(k.client_ids, k.event_ids) AS e(client_id, event_id)
      JOIN mfiauto.event_log l ON l.client_id = e.client_id AND l.event_id = e.event_id AND l.received_at >= from_at AND l.received_at < to_at
     CROSS JOIN LATERAL (SELECT mfiauto._event_subject(v.subject, l.client_id, l.subject, l.subject_id, l.loan_id) AS about) u
     WHERE u.about IS NOT NULL;
  IF v.trigger_existing AND v.trigger_segment IS NOT NULL THEN
    RETURN QUERY
      SELECT m.client_id, NULL::bigint, m.client_id, NULL::bigint, from_at, jsonb_build_object('event', jsonb_build_object('segment', v.trigger_segment)), NULL::text
        FROM mfiauto.segment_definition d JOIN mfiauto.segment_membership m ON m.segment_id = d.segment_id
       WHERE d.name = v.trigger_segment AND m.since <= from_at AND coalesce(m.until > from_at, true);
  END IF;
END $$;

-- When clients had been silent for so long: counted from the start of the day on which they joined and from each event of the set; who has
-- neither, from the beginning. Those whose time was over before come in at the beginning, where that is asked for.
CREATE FUNCTION mfiauto._trial_silences(events text[], silence interval, is_existing boolean, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (client_id bigint, at timestamptz, since timestamptz)
LANGUAGE plpgsql STABLE ROWS 1000 SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH known AS MATERIALIZED (SELECT DISTINCT ON (c.client_id) c.client_id, c.joined_on FROM mfiauto.client c ORDER BY c.client_id, c.joined_on),
  placed AS MATERIALIZED (SELECT z.client_id, z.zone FROM mfiauto._client_zones(ARRAY(SELECT k.client_id FROM known k)) z),
  heard AS MATERIALIZED (
    SELECT l.client_id, l.occurred_at AS at FROM mfiauto.event_log l WHERE l.name = ANY (events) AND l.occurred_at < to_at
    UNION ALL
    SELECT k.client_id, k.joined_on::timestamp AT TIME ZONE p.zone FROM known k JOIN placed p ON p.client_id = k.client_id WHERE isfinite(k.joined_on) AND k.joined_on::timestamp AT TIME ZONE p.zone < to_at
  ),
  base AS (
    SELECT h.client_id, h.at, lead(h.at) OVER (PARTITION BY h.client_id ORDER BY h.at) AS next_at FROM heard h
    UNION ALL
    SELECT k.client_id, from_at, NULL FROM known k WHERE k.client_id NOT IN (SELECT h.client_id FROM heard h)
  )
  SELECT b.client_id, greatest(from_at, mfiauto._later(b.at, silence)), b.at
    FROM base b JOIN known k ON k.client_id = b.client_id
   WHERE mfiauto._later(b.at, silence) < to_at AND coalesce(b.next_at > mfiauto._later(b.at, silence), true)
     AND (mfiauto._later(b.at, silence) > from_at OR (is_existing AND coalesce(b.next_at > from_at, true)));
END $$;

-- The yearly dates between two moments.
CREATE FUNCTION mfiauto._trial_anniversaries(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (client_id bigint, event_id bigint, subject_id bigint, loan_id bigint, at timestamptz, context jsonb, doubt text)
LANGUAGE plpgsql STABLE ROWS 1000 SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trial_anniversaries.workflow_id AND w.version = _trial_anniversaries.version;
  RETURN QUERY EXECUTE format($q$
    WITH book AS MATERIALIZED (
      SELECT DISTINCT ON (s.%1$I) s.%1$I AS subject_id, s.client_id, %2$s AS loan_id, (s.%3$I)::date AS on_date FROM mfiauto.%4$I s WHERE isfinite(s.%3$I) ORDER BY s.%1$I
    ),
    pair AS MATERIALIZED (
      SELECT b.client_id, b.subject_id, b.loan_id, b.on_date FROM book b WHERE b.client_id IS NOT NULL
      UNION
      SELECT p.client_id, b.subject_id, b.loan_id, b.on_date FROM book b JOIN mfiauto.party_state p ON p.loan_id = b.loan_id AND p.role <> 'guarantor' WHERE b.client_id IS NULL
    )
    SELECT p.client_id, NULL::bigint, p.subject_id, p.loan_id, m.at,
           jsonb_build_object('event', jsonb_build_object('date', p.on_date, 'years', extract(year FROM m.at AT TIME ZONE z.zone) - extract(year FROM p.on_date))), NULL::text
      FROM pair p
      JOIN mfiauto._client_zones(ARRAY(SELECT DISTINCT p.client_id FROM pair p)) z ON z.client_id = p.client_id
     CROSS JOIN LATERAL generate_series(extract(year FROM $1)::integer - 1, extract(year FROM $2)::integer + 1) y
     CROSS JOIN LATERAL (SELECT (mfiauto._anniversary(p.on_date, y, $4) + $3) AT TIME ZONE z.zone AS at) m
     WHERE m.at >= $1 AND m.at < $2 AND y >= extract(year FROM p.on_date) + greatest($5, 1) $q$,
    mfiauto._id_column(v.subject), CASE WHEN v.subject IN ('loan', 'installment', 'payment') THEN 's.loan_id' ELSE 'NULL::bigint' END, split_part(v.trigger_column, '.', 2), v.subject)
    USING from_at, to_at, v.trigger_at, v.trigger_leap_day, v.trigger_minimum_years;
END $$;
