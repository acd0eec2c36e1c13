-- Entries that nothing but time brings: inactivity, schedules, yearly dates, and the members that a segment has at activation.
--
-- Who comes in when stands in entry_state, found by an index on the moment: a pass costs what is due, whatever the number of clients. It is
-- kept in step with the books as the engine consumes them (_plan_batch), and made anew when a workflow is activated (_prepare_triggers).

-- How late the latest moment of a schedule or a yearly date may be made up for after down-time.
CREATE FUNCTION mfiauto._calendar_grace() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '24 hours' $$;

-- The day of a date in a year: a 29 February in other years is what leap_day says.
CREATE FUNCTION mfiauto._anniversary(on_date date, year integer, leap_day text) RETURNS date
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN extract(month FROM on_date) = 2 AND extract(day FROM on_date) = 29
                   AND NOT (year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0))
              THEN make_date(year, split_part(leap_day, '-', 1)::integer, split_part(leap_day, '-', 2)::integer)
              ELSE make_date(year, extract(month FROM on_date)::integer, extract(day FROM on_date)::integer) END
$$;

-- The first anniversary, from the given number of years on, that is not before a moment.
CREATE FUNCTION mfiauto._next_anniversary(on_date date, at time, leap_day text, minimum_years integer, zone text, earliest timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT min(m.at)
    FROM generate_series(greatest(extract(year FROM earliest AT TIME ZONE zone)::integer - 1, extract(year FROM on_date)::integer + greatest(minimum_years, 1)),
                         greatest(extract(year FROM earliest AT TIME ZONE zone)::integer + 1, extract(year FROM on_date)::integer + greatest(minimum_years, 1))) y
    CROSS JOIN LATERAL (SELECT (mfiauto._anniversary(on_date, y, leap_day) + _next_anniversary.at) AT TIME ZONE zone AS at) m
   WHERE m.at >= earliest AND isfinite(on_date)
$$;

-- Plans the yearly dates of some clients (null: of all) for a workflow. A date that came less than half a year ago does not come again,
-- though the books may have corrected it since.
CREATE FUNCTION mfiauto._plan_yearly(workflow_id integer, version integer, client_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  activated timestamptz;
  pair_clients bigint[];
  pair_subjects bigint[];
  pair_dates date[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _plan_yearly.workflow_id AND w.version = _plan_yearly.version;
  activated := (SELECT h.activated_at FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT coalesce(array_agg(p.client_id ORDER BY p.client_id, p.subject_id), '{}'), coalesce(array_agg(p.subject_id ORDER BY p.client_id, p.subject_id), '{}'),
         coalesce(array_agg(p.on_date ORDER BY p.client_id, p.subject_id), '{}')
    INTO pair_clients, pair_subjects, pair_dates
    FROM (SELECT a.client_id, a.subject_id, a.on_date
            FROM mfiauto.anchor_date a
           WHERE a.role = v.subject AND a.column_name = split_part(v.trigger_column, '.', 2) AND a.client_id IS NOT NULL
             AND (_plan_yearly.client_ids IS NULL OR a.client_id = ANY (_plan_yearly.client_ids))
          UNION
          SELECT p.client_id, a.subject_id, a.on_date
            FROM mfiauto.party_state p
            JOIN mfiauto.anchor_date a ON a.loan_id = p.loan_id AND a.role = v.subject AND a.column_name = split_part(v.trigger_column, '.', 2) AND a.client_id IS NULL
           WHERE p.role <> 'guarantor' AND (_plan_yearly.client_ids IS NULL OR p.client_id = ANY (_plan_yearly.client_ids))) p;
  DELETE FROM mfiauto.entry_state s
   WHERE s.workflow_id = v.workflow_id AND (_plan_yearly.client_ids IS NULL OR s.client_id = ANY (_plan_yearly.client_ids))
     AND NOT EXISTS (SELECT FROM unnest(pair_clients, pair_subjects) AS k(client_id, subject_id) WHERE k.client_id = s.client_id AND k.subject_id = s.subject_id);
  INSERT INTO mfiauto.entry_state AS s (client_id, workflow_id, subject_id, base_at, due_at)
  SELECT k.client_id, v.workflow_id, k.subject_id, o.base_at,
         mfiauto._next_anniversary(k.on_date, v.trigger_at, v.trigger_leap_day, v.trigger_minimum_years, k.zone,
                                   greatest(o.base_at + interval '180 days', clock - mfiauto._calendar_grace(), activated))
    FROM ROWS FROM (unnest(pair_clients, pair_subjects, pair_dates), mfiauto._client_zones(pair_clients))
         AS k(client_id, subject_id, on_date, zoned_client_id, zone, country, is_zone_invalid)
    LEFT JOIN LATERAL (SELECT * FROM mfiauto.entry_state e
                        WHERE e.client_id = k.client_id AND e.workflow_id = v.workflow_id AND e.subject_id = k.subject_id OFFSET 0) o ON true
  ON CONFLICT ON CONSTRAINT entry_state_pkey DO UPDATE SET due_at = excluded.due_at WHERE s.due_at IS DISTINCT FROM excluded.due_at;
  RETURN cardinality(pair_clients);
END $$;

-- Plans the inactivity of some clients (null: of all): counted from the last event of the set or the start of the day on which the client
-- joined, whichever is later, else from the activation. Who was let in once is so again only after a new event.
CREATE FUNCTION mfiauto._plan_inactive(workflow_id integer, version integer, client_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  activated timestamptz;
  known_ids bigint[];
  joined date[];
  planned bigint;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _plan_inactive.workflow_id AND w.version = _plan_inactive.version;
  activated := (SELECT h.activated_at FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  DELETE FROM mfiauto.entry_state s
   WHERE s.workflow_id = v.workflow_id AND (_plan_inactive.client_ids IS NULL OR s.client_id = ANY (_plan_inactive.client_ids))
     AND NOT EXISTS (SELECT FROM mfiauto.subject_state c WHERE c.role = 'client' AND c.subject_id = s.client_id);
  SELECT coalesce(array_agg(c.client_id ORDER BY c.client_id), '{}'), coalesce(array_agg(c.joined_on ORDER BY c.client_id), '{}') INTO known_ids, joined
    FROM (SELECT DISTINCT ON (x.client_id) x.client_id, x.joined_on
            FROM mfiauto.client x
            JOIN mfiauto.subject_state s ON s.role = 'client' AND s.subject_id = x.client_id
           WHERE _plan_inactive.client_ids IS NULL OR x.client_id = ANY (_plan_inactive.client_ids)
           ORDER BY x.client_id, x.joined_on) c;
  INSERT INTO mfiauto.entry_state AS s (client_id, workflow_id, subject_id, base_at, due_at)
  SELECT b.client_id, v.workflow_id, b.client_id, b.base_at,
         CASE WHEN o.due_at IS NOT NULL THEN mfiauto._later(b.base_at, v.trigger_after)
              -- He was let in, or was beyond the limit from the beginning: only a new event counts.
              WHEN o.client_id IS NOT NULL AND coalesce(b.last_at <= o.base_at, true)
                   AND NOT (v.trigger_existing AND _plan_inactive.client_ids IS NULL
                            AND NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                                             WHERE e.client_id = b.client_id AND e.workflow_id = v.workflow_id AND e.entered_at >= b.base_at OFFSET 0)) THEN NULL
              WHEN v.trigger_existing OR mfiauto._later(b.base_at, v.trigger_after) > activated THEN mfiauto._later(b.base_at, v.trigger_after) END
    FROM (SELECT k.client_id, e.last_at, greatest(e.last_at, CASE WHEN isfinite(k.joined_on) THEN k.joined_on::timestamp AT TIME ZONE k.zone END) AS known_at
            FROM ROWS FROM (unnest(known_ids, joined), mfiauto._client_zones(known_ids)) AS k(client_id, joined_on, zoned_client_id, zone, country, is_zone_invalid)
            LEFT JOIN LATERAL (SELECT max(l.occurred_at) AS last_at FROM mfiauto.event_log l
                                WHERE l.client_id = k.client_id AND l.name = ANY (v.trigger_events)) e ON true) d
    LEFT JOIN LATERAL (SELECT * FROM mfiauto.entry_state e WHERE e.client_id = d.client_id AND e.workflow_id = v.workflow_id AND e.subject_id = d.client_id OFFSET 0) o ON true
    CROSS JOIN LATERAL (SELECT d.client_id, d.last_at, coalesce(d.known_at, o.base_at, activated) AS base_at) b
  ON CONFLICT ON CONSTRAINT entry_state_pkey DO UPDATE SET base_at = excluded.base_at, due_at = excluded.due_at
   WHERE (s.base_at, s.due_at) IS DISTINCT FROM (excluded.base_at, excluded.due_at);
  GET DIAGNOSTICS planned = ROW_COUNT;
  RETURN planned;
END $$;

-- Sets a schedule on its next moment, in the zones that have none yet.
CREATE FUNCTION mfiauto._plan_schedule(workflow_id integer, version integer, client_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.schedule_state (workflow_id, zone, next_at)
  SELECT v.workflow_id, z.zone, n.at
    FROM mfiauto.workflow_version v
    CROSS JOIN mfiauto.institution i
    CROSS JOIN LATERAL (SELECT i.time_zone AS zone WHERE v.trigger_zone = 'institution'
                        UNION
                        SELECT c.zone FROM mfiauto._client_zones(coalesce(_plan_schedule.client_ids, ARRAY(SELECT s.subject_id FROM mfiauto.subject_state s WHERE s.role = 'client'))) c
                         WHERE v.trigger_zone = 'client') z
    CROSS JOIN LATERAL (SELECT mfiauto._next_occurrence(v.trigger_cron, z.zone, mfiauto.now()) AS at) n
   WHERE v.workflow_id = _plan_schedule.workflow_id AND v.version = _plan_schedule.version AND n.at IS NOT NULL
     AND NOT EXISTS (SELECT FROM mfiauto.schedule_state s WHERE s.workflow_id = v.workflow_id AND s.zone = z.zone)
$$;

-- The members of a segment as its last refresh left them.
CREATE FUNCTION mfiauto._present_members(segment text) RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
  SELECT m.client_id FROM mfiauto.segment_definition d JOIN mfiauto.segment_membership m ON m.segment_id = d.segment_id AND m.until IS NULL
   WHERE d.name = _present_members.segment
$$;

-- Makes one workflow's calendar. Returns how many rows were planned.
CREATE FUNCTION mfiauto._prepare_trigger(workflow_id integer, version integer) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  planned bigint := 0;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _prepare_trigger.workflow_id AND w.version = _prepare_trigger.version;
  IF v.trigger_kind = 'inactive' THEN
    RETURN mfiauto._plan_inactive(v.workflow_id, v.version, NULL);
  ELSIF v.trigger_kind = 'yearly' THEN
    PERFORM mfiauto._fill_dates(v.subject, split_part(v.trigger_column, '.', 2));
    RETURN mfiauto._plan_yearly(v.workflow_id, v.version, NULL);
  ELSIF v.trigger_kind = 'schedule' THEN
    DELETE FROM mfiauto.schedule_state s WHERE s.workflow_id = v.workflow_id;
    PERFORM mfiauto._plan_schedule(v.workflow_id, v.version, NULL);
  ELSIF v.trigger_kind = 'segment' THEN
    -- Who has been through, or is in it, is not brought in again by an activation.
    INSERT INTO mfiauto.entry_state (client_id, workflow_id, subject_id, base_at, due_at)
    SELECT m, v.workflow_id, m, mfiauto.now(), mfiauto.now() FROM mfiauto._present_members(v.trigger_segment) m
     WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.client_id = m AND e.workflow_id = v.workflow_id OFFSET 0)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS planned = ROW_COUNT;
  ELSE
    RETURN mfiauto._fill_dates(v.subject, v.anchor_column);
  END IF;
  RETURN planned;
END $$;

-- Makes the calendar of workflows that were activated since. One that cannot be made (the bank broke a binding) is tried again a minute later.
CREATE FUNCTION mfiauto._prepare_triggers() RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  work record;
  planned bigint;
  is_ready boolean;
  code text;
BEGIN
  FOR work IN
    SELECT h.name, h.activated_at, v.workflow_id, v.version, v.trigger_kind,
           (o.trigger_kind, o.trigger_events, o.trigger_column, o.trigger_cron, o.trigger_segment, o.trigger_zone)
             IS DISTINCT FROM (v.trigger_kind, v.trigger_events, v.trigger_column, v.trigger_cron, v.trigger_segment, v.trigger_zone) AS is_other
      FROM mfiauto.workflow_head h
      JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
      LEFT JOIN mfiauto.trigger_state s ON s.workflow_id = h.workflow_id
      LEFT JOIN mfiauto.workflow_version o ON o.workflow_id = s.workflow_id AND o.version = s.version
     WHERE h.state = 'active'
       AND (v.trigger_kind IN ('inactive', 'schedule', 'yearly') OR (v.trigger_kind = 'segment' AND v.trigger_existing)
            OR (v.trigger_kind = 'anchor' AND NOT mfiauto._is_kept_date(v.subject, v.anchor_column)))
       AND (s.workflow_id IS NULL OR (s.version, s.activated_at) IS DISTINCT FROM (v.version, h.activated_at)
            OR (NOT s.is_ready AND s.tried_at NOT BETWEEN clock - interval '1 minute' AND clock))
     ORDER BY h.workflow_id
  LOOP
    IF work.is_other THEN
      DELETE FROM mfiauto.entry_state e WHERE e.workflow_id = work.workflow_id;
      DELETE FROM mfiauto.schedule_state e WHERE e.workflow_id = work.workflow_id;
    END IF;
    BEGIN
      planned := mfiauto._prepare_trigger(work.workflow_id, work.version);
      is_ready := true;
    EXCEPTION WHEN others THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
      IF NOT mfiauto._is_query_error(code) THEN
        RAISE;
      END IF;
      is_ready := false;
      PERFORM mfiauto._park('engine calendar', work.name, NULL, NULL, NULL, SQLSTATE, 'calendar_failed', SQLERRM);
    END;
    INSERT INTO mfiauto.trigger_state AS s (workflow_id, version, trigger_kind, activated_at, is_ready, tried_at)
    VALUES (work.workflow_id, work.version, work.trigger_kind, work.activated_at, is_ready, clock)
    ON CONFLICT ON CONSTRAINT trigger_state_pkey DO UPDATE
       SET version = excluded.version, trigger_kind = excluded.trigger_kind, activated_at = excluded.activated_at, is_ready = excluded.is_ready, tried_at = excluded.tried_at;
    INSERT INTO mfiauto.job_progress AS p (job, target, phase, done_count, total_count, started_at, updated_at)
    VALUES ('activation', work.name, CASE WHEN is_ready THEN 'done' ELSE 'failed' END, coalesce(planned, 0), planned, clock, clock)
    ON CONFLICT ON CONSTRAINT job_progress_pkey DO UPDATE
       SET phase = excluded.phase, done_count = excluded.done_count, total_count = excluded.total_count, started_at = excluded.started_at, updated_at = excluded.updated_at;
  END LOOP;
END $$;

-- Brings the calendar in step with the batch: whom it touched, and what happened. Called when a batch has been consumed.
CREATE FUNCTION mfiauto._plan_batch() RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  work record;
  concerned bigint[];
  code text;
BEGIN
  FOR work IN
    SELECT v.* FROM mfiauto.trigger_state s
      JOIN mfiauto.workflow_head h ON h.workflow_id = s.workflow_id AND h.state IN ('active', 'paused') AND h.live_version = s.version
      JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version
     WHERE s.is_ready AND (v.trigger_kind IN ('inactive', 'yearly') OR (v.trigger_kind = 'schedule' AND v.trigger_zone = 'client'))
     ORDER BY s.workflow_id
  LOOP
    concerned := ARRAY(
      SELECT t.client_id FROM mfiauto.batch_touched t
       WHERE t.role = 'client' OR (work.trigger_kind = 'yearly' AND (t.role = work.subject OR (t.role IN ('loan', 'loan_party') AND work.subject IN ('installment', 'payment', 'loan'))))
      UNION
      SELECT b.client_id FROM mfiauto.batch_event b WHERE work.trigger_kind = 'inactive' AND b.name = ANY (work.trigger_events));
    CONTINUE WHEN cardinality(concerned) = 0;
    BEGIN
      CASE work.trigger_kind
        WHEN 'inactive' THEN PERFORM mfiauto._plan_inactive(work.workflow_id, work.version, concerned);
        WHEN 'yearly' THEN PERFORM mfiauto._plan_yearly(work.workflow_id, work.version, concerned);
        ELSE PERFORM mfiauto._plan_schedule(work.workflow_id, work.version, concerned);
      END CASE;
    EXCEPTION WHEN others THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
      IF NOT mfiauto._is_query_error(code) THEN
        RAISE;
      END IF;
      -- Made anew as a whole, as soon as it can be.
      UPDATE mfiauto.trigger_state s SET is_ready = false, tried_at = mfiauto.now() WHERE s.workflow_id = work.workflow_id;
    END;
  END LOOP;
END $$;

-- Occurrences of schedules that have come: their members come in. After down-time only the latest, and not if it is too old.
CREATE FUNCTION mfiauto._occur() RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  work record;
  latest timestamptz;
BEGIN
  FOR work IN
    SELECT s.workflow_id, s.zone, s.next_at, v.version, v.trigger_cron, v.trigger_zone, v.trigger_segment
      FROM mfiauto.schedule_state s
      JOIN mfiauto.workflow_head h ON h.workflow_id = s.workflow_id AND h.state = 'active'
      JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version AND v.trigger_kind = 'schedule'
     WHERE s.next_at <= clock
     ORDER BY s.workflow_id, s.zone
  LOOP
    latest := greatest((SELECT max(o) FROM mfiauto._occurrences(work.trigger_cron, work.zone, greatest(work.next_at, clock - mfiauto._calendar_grace()), clock) o),
                       CASE WHEN work.next_at >= clock - mfiauto._calendar_grace() THEN work.next_at END);
    IF latest IS NOT NULL THEN
      INSERT INTO mfiauto.entry_state (client_id, workflow_id, subject_id, base_at, due_at)
      SELECT m.client_id, work.workflow_id, m.client_id, latest, latest
        FROM (SELECT c.* FROM mfiauto._client_zones(ARRAY(SELECT p FROM mfiauto._present_members(work.trigger_segment) p)) c) m
       WHERE work.trigger_zone = 'institution' OR m.zone = work.zone
      ON CONFLICT ON CONSTRAINT entry_state_pkey DO UPDATE SET base_at = excluded.base_at, due_at = excluded.due_at;
    END IF;
    UPDATE mfiauto.schedule_state s SET next_at = mfiauto._next_occurrence(work.trigger_cron, work.zone, clock)
     WHERE s.workflow_id = work.workflow_id AND s.zone = work.zone;
  END LOOP;
END $$;

-- How many more a workflow takes in today; null: any number.
CREATE FUNCTION mfiauto._entry_quota(workflow_id integer) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT greatest(0, h.max_per_day - (SELECT count(*) FROM mfiauto.enrollment_state e
                                       WHERE e.workflow_id = h.workflow_id
                                         AND e.entered_at >= mfiauto._today()::timestamp AT TIME ZONE (SELECT i.time_zone FROM mfiauto.institution i)))
    FROM mfiauto.workflow_head h WHERE h.workflow_id = _entry_quota.workflow_id AND h.max_per_day IS NOT NULL
$$;

-- Whose moment has come.
CREATE FUNCTION mfiauto._calendar_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._prepare_triggers();
  PERFORM mfiauto._occur();
  RETURN QUERY
    SELECT f.workflow_id, f.version, NULL::integer, array_agg(f.client_id ORDER BY f.place), array_agg(f.subject_id ORDER BY f.place), array_agg(f.subject_id ORDER BY f.place)
      FROM (SELECT w.workflow_id, w.version, s.client_id, s.subject_id, row_number() OVER p AS place, (row_number() OVER p - 1) / batch_size AS chunk
              FROM (SELECT h.workflow_id, t.version FROM mfiauto.trigger_state t
                      JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id AND h.live_version = t.version AND h.state = 'active'
                     WHERE t.is_ready AND t.trigger_kind <> 'anchor'
                       AND EXISTS (SELECT FROM mfiauto.entry_state e WHERE e.workflow_id = h.workflow_id AND e.due_at <= mfiauto.now())
                       AND (h.max_per_day IS NULL OR mfiauto._entry_quota(h.workflow_id) > 0)) w
              CROSS JOIN LATERAL (SELECT * FROM mfiauto.entry_state e WHERE e.workflow_id = w.workflow_id AND e.due_at <= mfiauto.now() OFFSET 0) s
            WINDOW p AS (PARTITION BY w.workflow_id ORDER BY s.due_at, s.client_id, s.subject_id)) f
     GROUP BY f.workflow_id, f.version, f.chunk
     ORDER BY f.workflow_id, f.chunk;
END $$;

-- What is set on its next moment when the present one has been dealt with: a yearly date comes again, inactivity only after a new event.
CREATE FUNCTION mfiauto._settle_entries(workflow_id integer, version integer, client_ids bigint[], subject_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _settle_entries.workflow_id AND w.version = _settle_entries.version;
  IF v.trigger_kind IN ('schedule', 'segment') THEN
    DELETE FROM mfiauto.entry_state s USING unnest(client_ids, subject_ids) AS k(client_id, subject_id)
     WHERE s.client_id = k.client_id AND s.workflow_id = v.workflow_id AND s.subject_id = k.subject_id;
    RETURN;
  END IF;
  UPDATE mfiauto.entry_state s SET due_at = NULL, base_at = CASE v.trigger_kind WHEN 'yearly' THEN s.due_at ELSE s.base_at END
    FROM unnest(client_ids, subject_ids) AS k(client_id, subject_id)
   WHERE s.client_id = k.client_id AND s.workflow_id = v.workflow_id AND s.subject_id = k.subject_id;
  IF v.trigger_kind = 'yearly' AND cardinality(client_ids) > 0 THEN
    PERFORM mfiauto._plan_yearly(v.workflow_id, v.version, ARRAY(SELECT DISTINCT c FROM unnest(client_ids) c));
  END IF;
END $$;

-- Lets in those whose moment has come, and whom it still concerns. Who is beyond the day's quota comes up again tomorrow.
CREATE FUNCTION mfiauto._calendar(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                  OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  up record;
  let record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _calendar.workflow_id AND w.version = _calendar.version;
  IF mfiauto._entry_quota(v.workflow_id) = 0 THEN
    RETURN;
  END IF;
  SELECT array_agg(k.client_id ORDER BY k.ord) AS client_ids, array_agg(k.subject_id ORDER BY k.ord) AS subject_ids,
         array_agg(jsonb_build_object('event', CASE v.trigger_kind
           WHEN 'inactive' THEN jsonb_build_object('since', s.base_at)
           WHEN 'yearly' THEN jsonb_build_object('date', a.on_date, 'years', extract(year FROM s.due_at AT TIME ZONE k.zone) - extract(year FROM a.on_date))
           WHEN 'schedule' THEN jsonb_build_object('segment', v.trigger_segment, 'occurrence', s.due_at)
           ELSE jsonb_build_object('segment', v.trigger_segment) END) ORDER BY k.ord) AS contexts
    INTO up
    FROM ROWS FROM (unnest(_calendar.client_ids, _calendar.subject_ids), mfiauto._client_zones(_calendar.client_ids)) WITH ORDINALITY
         AS k(client_id, subject_id, zoned_client_id, zone, country, is_zone_invalid, ord)
    JOIN LATERAL (SELECT * FROM mfiauto.entry_state s WHERE s.client_id = k.client_id AND s.workflow_id = v.workflow_id AND s.subject_id = k.subject_id OFFSET 0) s ON true
    LEFT JOIN LATERAL (SELECT * FROM mfiauto.anchor_date a WHERE v.trigger_kind = 'yearly' AND a.role = v.subject
                          AND a.column_name = split_part(v.trigger_column, '.', 2) AND a.subject_id = k.subject_id OFFSET 0) a ON true
   WHERE CASE v.trigger_kind
           WHEN 'inactive' THEN EXISTS (SELECT FROM mfiauto.subject_state c WHERE c.role = 'client' AND c.subject_id = k.client_id)
           WHEN 'yearly' THEN s.due_at >= clock - mfiauto._calendar_grace()
                AND (a.client_id = k.client_id OR (a.client_id IS NULL AND mfiauto._is_member(a.loan_id, k.client_id)))
           ELSE k.client_id IN (SELECT m FROM mfiauto._present_members(v.trigger_segment) m) END;
  SELECT * INTO let FROM mfiauto._let_in(v.workflow_id, v.version, coalesce(up.client_ids, '{}'), coalesce(up.subject_ids, '{}'), coalesce(up.contexts, '{}'),
                                         is_patient => true);
  entered := let.entered;
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, subject, subject_id, decision, reason, detail, decided_at)
  SELECT s.client_id, v.workflow_id, v.version, v.subject, s.subject_id, 'refused', 'moment_missed', mfiauto._moment_text(s.due_at), clock
    FROM unnest(_calendar.client_ids, _calendar.subject_ids) AS k(client_id, subject_id)
    JOIN LATERAL (SELECT * FROM mfiauto.entry_state s WHERE s.client_id = k.client_id AND s.workflow_id = v.workflow_id AND s.subject_id = k.subject_id OFFSET 0) s ON true
   WHERE v.trigger_kind = 'yearly' AND s.due_at < clock - mfiauto._calendar_grace();
  PERFORM mfiauto._settle_entries(v.workflow_id, v.version, array_agg(k.client_id), array_agg(k.subject_id))
     FROM unnest(_calendar.client_ids, _calendar.subject_ids) AS k(client_id, subject_id)
    WHERE NOT EXISTS (SELECT FROM unnest(let.left_client_ids, let.left_subject_ids) AS l(client_id, subject_id)
                       WHERE l.client_id = k.client_id AND l.subject_id = k.subject_id)
   HAVING count(*) > 0;
END $$;
