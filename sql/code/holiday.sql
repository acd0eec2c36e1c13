-- Holidays: days on which nothing that honors contact hours is sent. What was planned for one is planned anew at once.

-- Plans anew what a day decides that has become a holiday (is_gone: is none any more): runs that wait for a step at a time of their anchor,
-- runs that count working days, and messages in the queue. Returns how many got another moment. What has no allowed moment left keeps
-- its own, to be noted as barred then.
CREATE FUNCTION mfiauto._replan_holiday(day date, country text, is_gone boolean) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  moved bigint;
  more bigint;
BEGIN
  IF _replan_holiday.day < (clock AT TIME ZONE 'UTC')::date - 1 THEN
    RETURN 0;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('mfiauto engine'));
  -- A new holiday moves what stands on it. One that is gone may take back what it moved: up to a week before, a month after.
  WITH waiting AS MATERIALIZED (
    SELECT e.client_id, e.enrollment_id, e.due_at, e.anchor_on + s.at_offset + s.at_time AS wanted, s.at_offset, coalesce(s.class, v.class) AS class
      FROM mfiauto.enrollment_state e
      JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = e.version AND s.step_no = e.step_no
      JOIN mfiauto.workflow_version v ON v.workflow_id = e.workflow_id AND v.version = e.version
     WHERE e.due_at > clock AND e.due_at >= (_replan_holiday.day - CASE WHEN is_gone THEN 9 ELSE 2 END)::timestamp AT TIME ZONE 'UTC'
       AND e.due_at < (_replan_holiday.day + CASE WHEN is_gone THEN 35 ELSE 3 END)::timestamp AT TIME ZONE 'UTC'
       AND v.anchor_column IS NOT NULL AND s.at_offset IS NOT NULL AND e.waiting_since IS NULL
  ), placed AS MATERIALIZED (
    SELECT w.*, z.zone, z.country
      FROM waiting w
      JOIN mfiauto._client_zones(ARRAY(SELECT DISTINCT w.client_id FROM waiting w)) z ON z.client_id = w.client_id
     WHERE _replan_holiday.country IN ('*', z.country) AND (is_gone OR (w.due_at AT TIME ZONE z.zone)::date = _replan_holiday.day)
  ), moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(SELECT DISTINCT ROW(p.wanted, p.zone, p.country, p.class, p.at_offset, clock)::mfiauto._moment_key FROM placed p)) m
  )
  UPDATE mfiauto.enrollment_state e
     SET due_at = coalesce(m.at, m.wanted AT TIME ZONE m.zone)
    FROM placed p
    JOIN moment m ON m.wanted = p.wanted AND m.zone = p.zone AND m.country = p.country AND m.class = p.class AND m.day_offset = p.at_offset
   WHERE e.client_id = p.client_id AND e.enrollment_id = p.enrollment_id AND e.due_at = p.due_at AND coalesce(m.at, m.wanted AT TIME ZONE m.zone) <> p.due_at;
  GET DIAGNOSTICS moved = ROW_COUNT;
  -- Who counts working days is asked again in the next pass.
  UPDATE mfiauto.enrollment_state e
     SET due_at = clock
    FROM (SELECT w.client_id, w.enrollment_id
            FROM (SELECT e.client_id, e.enrollment_id
                    FROM mfiauto.enrollment_state e
                    JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = e.version AND s.step_no = e.step_no
                   WHERE e.due_at > clock AND e.due_at >= (_replan_holiday.day - 1)::timestamp AT TIME ZONE 'UTC' AND e.waiting_since IS NOT NULL
                     AND e.waiting_since < (_replan_holiday.day + 2)::timestamp AT TIME ZONE 'UTC' AND s.wait_working_days IS NOT NULL) w) w
   WHERE e.client_id = w.client_id AND e.enrollment_id = w.enrollment_id;
  GET DIAGNOSTICS more = ROW_COUNT;
  moved := moved + more;
  WITH queued AS MATERIALIZED (
    SELECT o.client_id, o.message_id, o.due_at, o.expires_at, m.class
      FROM mfiauto.outbox o
      JOIN mfiauto.message_ledger m ON m.client_id = o.client_id AND m.created_at = o.created_at AND m.message_id = o.message_id
      JOIN mfiauto.message_class k ON k.class = m.class AND k.honors_contact_hours
     WHERE o.due_at > clock AND o.lease_until IS NULL AND NOT o.is_held
       AND CASE WHEN is_gone THEN o.reason IN ('barred_hours', 'capped') AND o.due_at >= _replan_holiday.day::timestamp AT TIME ZONE 'UTC'
                ELSE o.due_at >= ((_replan_holiday.day - 1)::timestamp AT TIME ZONE 'UTC') AND o.due_at < ((_replan_holiday.day + 2)::timestamp AT TIME ZONE 'UTC') END
       FOR UPDATE OF o SKIP LOCKED
  ), placed AS MATERIALIZED (
    SELECT q.*, z.zone, z.country,
           CASE WHEN is_gone THEN greatest(clock, _replan_holiday.day::timestamp AT TIME ZONE z.zone) ELSE q.due_at END AS earliest
      FROM queued q
      JOIN mfiauto._client_zones(ARRAY(SELECT DISTINCT q.client_id FROM queued q)) z ON z.client_id = q.client_id
     WHERE _replan_holiday.country IN ('*', z.country) AND (is_gone OR (q.due_at AT TIME ZONE z.zone)::date = _replan_holiday.day)
  ), allowed AS MATERIALIZED (
    SELECT k.*, mfiauto._next_allowed(k.earliest, k.zone, k.country, k.class) AS at FROM (SELECT DISTINCT p.earliest, p.zone, p.country, p.class FROM placed p) k
  )
  UPDATE mfiauto.outbox o
     SET due_at = a.at, reason = coalesce(o.reason, 'barred_hours')
    FROM placed p
    JOIN allowed a ON a.earliest = p.earliest AND a.zone = p.zone AND a.country = p.country AND a.class = p.class
   WHERE o.client_id = p.client_id AND o.message_id = p.message_id AND (p.expires_at IS NULL OR a.at < p.expires_at)
     AND CASE WHEN is_gone THEN a.at < p.due_at ELSE a.at > p.due_at END;
  GET DIAGNOSTICS more = ROW_COUNT;
  IF moved + more > 0 THEN
    PERFORM mfiauto._wake_delivery();
  END IF;
  RETURN moved + more;
END $$;

CREATE FUNCTION mfiauto._set_holiday(on_date date, name text, country text DEFAULT '*') RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  is_known boolean := EXISTS (SELECT FROM mfiauto.holiday h WHERE h.on_date = _set_holiday.on_date AND h.country = _set_holiday.country);
BEGIN
  PERFORM mfiauto._check_policy_country(country);
  IF on_date IS NULL OR NOT isfinite(on_date) OR name IS NULL OR btrim(name) = '' THEN
    RAISE EXCEPTION 'a holiday needs a date and a name' USING ERRCODE = '22023';
  END IF;
  INSERT INTO mfiauto.holiday (country, on_date, name) VALUES (country, on_date, name)
  ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
  PERFORM mfiauto._note_change('holiday', country || ' ' || on_date, jsonb_build_object('name', name));
  RETURN CASE WHEN is_known THEN 0 ELSE mfiauto._replan_holiday(on_date, country, false) END;
END $$;
SELECT mfiauto._open_door('mfiauto._set_holiday(date, text, text)', '{admin}',
  'Enters a day on which no class that honors contact hours is sent, in a country or (*) everywhere. What waits for that day, in workflows and in the queue, is planned '
  'anew at once; returns how much that was.');

CREATE FUNCTION mfiauto._drop_holiday(on_date date, country text DEFAULT '*') RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.holiday h WHERE h.on_date = _drop_holiday.on_date AND h.country = _drop_holiday.country;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'holiday % of country "%" does not exist', on_date, country USING ERRCODE = '42704',
      HINT = 'See SELECT country, on_date, name FROM mfiauto.holiday;';
  END IF;
  PERFORM mfiauto._note_change('holiday', country || ' ' || on_date, NULL);
  RETURN mfiauto._replan_holiday(on_date, country, true);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_holiday(date, text)', '{admin}',
  'Takes a holiday away. What had been moved away from it goes back, as far as its time has not come; returns how much that was.');
