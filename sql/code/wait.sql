-- Steps at which a run stands still: each is a function of _run_step().

-- A duration after a moment: its days in local time, its hours as hours, so that a change of the clocks moves neither.
CREATE FUNCTION mfiauto._wait_until(since timestamptz, wait interval, zone text) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  -- Without days the local time is not gone through: an hour that comes twice in autumn would be taken for the second.
  SELECT CASE WHEN extract(day FROM wait) = 0 AND extract(month FROM wait) = 0 AND extract(year FROM wait) = 0 THEN since
              ELSE ((since AT TIME ZONE zone)
                    + make_interval(months => (extract(year FROM wait) * 12 + extract(month FROM wait))::integer, days => extract(day FROM wait)::integer)) AT TIME ZONE zone END
         + make_interval(secs => (extract(hour FROM wait) * 3600 + extract(minute FROM wait) * 60 + extract(second FROM wait))::double precision)
$$;

-- A number from 0 to less than 1 that stands for a text, the same for ever.
CREATE FUNCTION mfiauto._fraction(words text) RETURNS double precision
LANGUAGE sql STABLE AS $$
  SELECT ('x' || left(encode(sha256(convert_to(words, 'UTF8')), 'hex'), 12))::bit(48)::bigint / 281474976710656.0
$$;

-- For each moment the same time of day, count working days later: weekdays of the policy of its country and class, less holidays.
CREATE FUNCTION mfiauto._working_days_later(moments timestamp[], countries text[], class text, count integer) RETURNS SETOF timestamp
LANGUAGE sql STABLE ROWS 100 AS $$
  WITH asked AS MATERIALIZED (
    SELECT DISTINCT u.moment::date AS day, u.country FROM unnest(moments, countries) AS u(moment, country)
  ),
  found AS MATERIALIZED (
    SELECT a.day, a.country,
           -- A year of holidays and Sundays holds more than count working days; should a policy leave none, days are counted.
           coalesce((SELECT d.day FROM (SELECT w.day, row_number() OVER (ORDER BY w.day) AS place
                                          FROM (SELECT a.day + n AS day FROM generate_series(1, _working_days_later.count * 7 + 31) n) w
                                         WHERE extract(isodow FROM w.day)::integer = ANY (p.weekdays)
                                           AND NOT (p.skips_holidays AND EXISTS (SELECT FROM mfiauto.holiday h WHERE h.country IN (a.country, '*') AND h.on_date = w.day))) d
                      WHERE d.place = _working_days_later.count), a.day + _working_days_later.count) AS later
      FROM asked a
      LEFT JOIN LATERAL mfiauto._policy_for(a.country, _working_days_later.class) p ON true
  )
  SELECT f.later + u.moment::time
    FROM unnest(moments, countries) WITH ORDINALITY AS u(moment, country, ord)
    JOIN found f ON f.day = u.moment::date AND f.country = u.country
   ORDER BY u.ord
$$;

-- For each moment the first one at or (is_after) after it that has a local time of day, and a weekday if one is given. A time that the
-- clocks leap over is as far behind the leap; of one that comes twice the second is meant, as AT TIME ZONE has it.
CREATE FUNCTION mfiauto._next_times(since timestamptz[], zones text[], at_time time, weekday integer, is_after boolean) RETURNS SETOF timestamptz
LANGUAGE sql STABLE ROWS 100 AS $$
  SELECT (SELECT min(m.at)
            FROM (SELECT (d.day + _next_times.at_time) AT TIME ZONE u.zone AS at, d.day
                    FROM (SELECT (u.moment AT TIME ZONE u.zone)::date + n AS day FROM generate_series(0, 8) n) d) m
           WHERE (m.at > u.moment OR (m.at = u.moment AND NOT _next_times.is_after))
             AND (_next_times.weekday IS NULL OR extract(isodow FROM m.day) = _next_times.weekday))
    FROM unnest(_next_times.since, zones) WITH ORDINALITY AS u(moment, zone, ord)
   ORDER BY u.ord
$$;

-- The same for one.
CREATE FUNCTION mfiauto._next_time(since timestamptz, zone text, at_time time, weekday integer, is_after boolean) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT n FROM mfiauto._next_times(ARRAY[since], ARRAY[zone], at_time, weekday, is_after) n
$$;

-- When a wait is over, for each run, in their order. Nothing here depends on when the engine asks: the time counts from the moment
-- since (waiting began), or from the date; a random time is drawn by the run's number. is_known: there is such a date.
CREATE FUNCTION mfiauto._wait_moments(workflow_id integer, version integer, step_no integer, runs mfiauto._run[], since timestamptz[])
RETURNS TABLE (at timestamptz, is_known boolean)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  salt text;
  zones text[] := ARRAY(SELECT r.zone FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality);
  moments timestamptz[] := since;
  dates timestamptz[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _wait_moments.workflow_id AND w.version = _wait_moments.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _wait_moments.step_no;
  IF s.wait_sql IS NOT NULL THEN
    dates := ARRAY(
      SELECT CASE s.wait_type WHEN 'timestamptz' THEN r.value::timestamptz ELSE r.value::timestamp AT TIME ZONE r.zone END
        FROM ROWS FROM (mfiauto._values(v.owner, s.wait_sql, ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                        ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality)),
                        unnest(zones)) WITH ORDINALITY AS r(value, zone, ord)
       ORDER BY r.ord);
    moments := ARRAY(SELECT coalesce(d.at, d.since) FROM unnest(dates, since) WITH ORDINALITY AS d(at, since, ord) ORDER BY d.ord);
  END IF;
  IF s.wait IS NOT NULL THEN
    salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
    moments := ARRAY(
      SELECT w.least_at + CASE WHEN s.wait_most IS NULL THEN interval '0'
                               ELSE make_interval(secs => floor(extract(epoch FROM mfiauto._wait_until(r.at, s.wait_most, r.zone) - w.least_at)
                                 * mfiauto._fraction(concat_ws(' ', salt, s.path, r.enrollment_id, e.loops ->> s.loop_no::text)))) END
        FROM ROWS FROM (unnest(moments), unnest(zones), unnest(ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality)),
                        unnest(ARRAY(SELECT u.enrollment_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality)))
             WITH ORDINALITY AS r(at, zone, client_id, enrollment_id, ord)
        LEFT JOIN LATERAL (SELECT e.loops FROM mfiauto.enrollment_state e
                            WHERE s.wait_most IS NOT NULL AND s.loop_no IS NOT NULL AND e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
        CROSS JOIN LATERAL (SELECT mfiauto._wait_until(r.at, s.wait, r.zone) AS least_at OFFSET 0) w
       ORDER BY r.ord);
  END IF;
  IF s.wait_working_days IS NOT NULL THEN
    moments := ARRAY(
      SELECT (CASE WHEN s.wait_time IS NULL THEN w.moment ELSE w.moment::date + s.wait_time END) AT TIME ZONE w.zone
        FROM ROWS FROM (mfiauto._working_days_later(
                          ARRAY(SELECT m.at AT TIME ZONE m.zone FROM unnest(moments, zones) WITH ORDINALITY AS m(at, zone, ord) ORDER BY m.ord),
                          ARRAY(SELECT r.country FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality), coalesce(s.class, v.class), s.wait_working_days),
                        unnest(zones)) WITH ORDINALITY AS w(moment, zone, ord)
       ORDER BY w.ord);
  ELSIF s.wait_time IS NOT NULL THEN
    moments := ARRAY(SELECT t.at FROM mfiauto._next_times(moments, zones, s.wait_time, s.wait_weekday, s.wait IS NULL AND s.wait_sql IS NULL)
                                   WITH ORDINALITY AS t(at, ord) ORDER BY t.ord);
  END IF;
  RETURN QUERY
    SELECT CASE WHEN s.wait_sql IS NULL OR d.at IS NOT NULL THEN greatest(d.moment, d.since) ELSE d.since END, s.wait_sql IS NULL OR d.at IS NOT NULL
      FROM unnest(moments, since, dates) WITH ORDINALITY AS d(moment, since, at, ord) ORDER BY d.ord;
END $$;

-- Waits: the next step is due when the time is over. What hangs on nothing but the clock is known at once, and the run goes on to the
-- next step, to be run then. Where the books or a holiday may still move it, the run stays here and is asked again, at the moment itself
-- and (_wake_waiting) when the books touch it. A repeat of this function, after a crash, finds the same moments.
CREATE FUNCTION mfiauto._run_wait(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  s mfiauto.workflow_step;
  since timestamptz[];
  done mfiauto._run[];
BEGIN
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w
   WHERE w.workflow_id = _run_wait.workflow_id AND w.version = _run_wait.version AND w.step_no = _run_wait.step_no;
  since := ARRAY(
    SELECT coalesce(e.waiting_since, r.due_at)
      FROM unnest(runs) WITH ORDINALITY r
      LEFT JOIN LATERAL (SELECT e.waiting_since FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
     ORDER BY r.ordinality);
  IF s.wait_sql IS NULL AND s.wait_working_days IS NULL THEN
    RETURN ARRAY(
      SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, s.next_no, r.at, r.arm, NULL, r.zone, r.country, NULL, NULL, r.outcome)::mfiauto._run
        FROM ROWS FROM (unnest(runs),
                        mfiauto._wait_moments(s.workflow_id, s.version, s.step_no, runs, since)) WITH ORDINALITY
             AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, at, is_known, ord)
       ORDER BY r.ord);
  END IF;
  WITH judged AS MATERIALIZED (
    SELECT r.*
      FROM ROWS FROM (unnest(runs), unnest(since), mfiauto._wait_moments(s.workflow_id, s.version, s.step_no, runs, since)) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, since,
                at, is_known, ord)
  ),
  waiting AS (
    UPDATE mfiauto.enrollment_state e
       SET waiting_since = j.since, wait_until = j.at, due_at = j.at
      FROM judged j
     WHERE j.at > clock AND e.client_id = j.client_id AND e.enrollment_id = j.enrollment_id
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
    SELECT j.client_id, v.workflow_id, v.version, j.enrollment_id, v.subject, j.subject_id, s.step_no, 'waited', 'no_date', clock
      FROM judged j JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version
     WHERE NOT j.is_known
  )
  -- A date that was moved into the past lets the run go when that is known.
  SELECT ARRAY(SELECT ROW(j.client_id, j.enrollment_id, j.subject_id, j.loan_id, j.anchor_on, s.next_no, greatest(j.at, j.due_at), j.arm, NULL, j.zone, j.country, NULL, NULL,
                          j.outcome)::mfiauto._run
                 FROM judged j WHERE j.at <= clock ORDER BY j.ord) INTO done;
  RETURN done;
END $$;

-- The first of each run's awaited events that the condition lets count: came (was received) since waiting or the run began, happened before the
-- time-out, is of the run's own loan and subject where both name one (a client's run is about any of his loans), and is not the event that brought the run in. Of very many, the last thousand.
CREATE FUNCTION mfiauto._awaited_events(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[])
RETURNS TABLE (client_id bigint, enrollment_id bigint, name text, received_at timestamptz)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  clients bigint[];
  runs bigint[];
  subjects bigint[];
  events bigint[];
  names text[];
  times timestamptz[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _awaited_events.workflow_id AND w.version = _awaited_events.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _awaited_events.step_no;
  IF s.events IS NULL THEN
    RETURN;
  END IF;
  SELECT array_agg(c.client_id ORDER BY c.enrollment_id, c.received_at, c.event_id), array_agg(c.enrollment_id ORDER BY c.enrollment_id, c.received_at, c.event_id),
         array_agg(c.subject_id ORDER BY c.enrollment_id, c.received_at, c.event_id), array_agg(c.event_id ORDER BY c.enrollment_id, c.received_at, c.event_id),
         array_agg(c.name ORDER BY c.enrollment_id, c.received_at, c.event_id), array_agg(c.received_at ORDER BY c.enrollment_id, c.received_at, c.event_id)
    INTO clients, runs, subjects, events, names, times
    FROM (SELECT e.client_id, e.enrollment_id, e.subject_id, l.event_id, l.name, l.received_at
            FROM unnest(_awaited_events.client_ids, _awaited_events.ids) AS k(client_id, enrollment_id)
            JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = k.client_id AND e.enrollment_id = k.enrollment_id OFFSET 0) e ON true
            LEFT JOIN LATERAL (SELECT b.received_at FROM mfiauto.event_log b
                                WHERE s.since_entry AND b.client_id = e.client_id AND b.event_id = e.entry_event_id LIMIT 1) b ON true
            JOIN LATERAL (SELECT * FROM mfiauto.event_log l
                           WHERE l.client_id = k.client_id AND l.received_at >= CASE WHEN s.since_entry THEN coalesce(b.received_at, e.entered_at) ELSE e.waiting_since END
                             AND l.name = ANY (s.events) AND l.occurred_at < e.wait_until
                             AND l.event_id IS DISTINCT FROM e.entry_event_id
                             AND (l.subject IS DISTINCT FROM e.subject OR l.subject_id = e.subject_id)
                             AND (l.loan_id IS NULL OR e.loan_id IS NULL OR l.loan_id = e.loan_id OR v.subject = 'client')
                           ORDER BY l.received_at DESC, l.event_id DESC LIMIT 1000) l ON true) c;
  RETURN QUERY
    SELECT DISTINCT ON (u.run) u.client, u.run, u.event_name, u.at
      FROM ROWS FROM (unnest(clients, runs, names, times), mfiauto._verdicts(v.owner, s.condition_sql, clients, subjects || events, true)) WITH ORDINALITY
           AS u(client, run, event_name, at, verdict, ord)
     WHERE u.verdict
     ORDER BY u.run, u.ord;
END $$;

-- Waits for an event or until a condition is true; where the time-out comes first, goes the other way. Which of the two came first is told by
-- when things happened, not by when the engine looked: an event that happened before the time-out and is known now wins, also if both are
-- found in one batch. A run that goes on waiting is left with the time at which it is due next: its time-out, or when the condition is
-- asked again. A repeat of this function, after a crash, finds the same.
CREATE FUNCTION mfiauto._run_wait_for(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  client_ids bigint[] := ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality);
  ids bigint[] := ARRAY(SELECT u.enrollment_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality);
  done mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_wait_for.workflow_id AND w.version = _run_wait_for.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_wait_for.step_no;
  -- Those who come.
  UPDATE mfiauto.enrollment_state e
     SET waiting_since = r.due_at, wait_until = mfiauto._wait_until(r.due_at, s.timeout, r.zone)
    FROM unnest(runs) r
   WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id AND e.waiting_since IS NULL;
  WITH judged AS MATERIALIZED (
    SELECT r.*, e.wait_until, f.name,
           CASE WHEN f.name IS NOT NULL THEN 'came' WHEN r.is_true THEN 'true' WHEN e.wait_until <= clock THEN 'timed_out' END AS way,
           -- From when what follows counts: never before the run came here.
           CASE WHEN f.name IS NOT NULL THEN greatest(f.received_at, e.waiting_since) WHEN r.is_true THEN clock ELSE e.wait_until END AS way_at
      FROM ROWS FROM (unnest(runs), mfiauto._verdicts(v.owner, CASE WHEN s.events IS NULL THEN s.condition_sql END, client_ids,
                                                      ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality), NULL)) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, is_true, ord)
      JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
      LEFT JOIN mfiauto._awaited_events(v.workflow_id, v.version, s.step_no, client_ids, ids) f ON f.client_id = r.client_id AND f.enrollment_id = r.enrollment_id
  ),
  waiting AS (
    UPDATE mfiauto.enrollment_state e
       SET due_at = least(j.wait_until, clock + s.check_every)
      FROM judged j
     WHERE j.way IS NULL AND e.client_id = j.client_id AND e.enrollment_id = j.enrollment_id
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
    SELECT j.client_id, v.workflow_id, v.version, j.enrollment_id, v.subject, j.subject_id, s.step_no, 'waited', j.way, j.name, clock
      FROM judged j WHERE j.way IS NOT NULL
  )
  SELECT ARRAY(SELECT ROW(j.client_id, j.enrollment_id, j.subject_id, j.loan_id, j.anchor_on, CASE j.way WHEN 'timed_out' THEN s.else_no ELSE s.then_no END, j.way_at,
                          j.arm, NULL, j.zone, j.country, NULL, NULL, j.outcome)::mfiauto._run
                 FROM judged j WHERE j.way IS NOT NULL ORDER BY j.ord) INTO done;
  RETURN done;
END $$;

-- Has the engine look at once at the runs that wait for what the batch has brought: an event that a wait_for names, or a change in the
-- books of a client whose run waits for a condition or a date. Whether it is what they wait for, the step itself says.
CREATE FUNCTION mfiauto._wake_waiting() RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  woken bigint;
  more bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.batch_event) AND NOT EXISTS (SELECT FROM mfiauto.batch_touched t WHERE t.role <> 'message') THEN
    RETURN 0;
  END IF;
  IF NOT EXISTS (SELECT FROM mfiauto.workflow_step s WHERE s.kind = 'wait_for' OR s.wait_sql IS NOT NULL OR (s.kind = 'task' AND s.timeout IS NOT NULL)) THEN
    RETURN 0;
  END IF;
  WITH hit AS MATERIALIZED (
    SELECT DISTINCT b.client_id, s.workflow_id, s.version, s.step_no
      FROM mfiauto.workflow_step s, unnest(s.events) AS n(name)
      JOIN mfiauto.batch_event b ON b.name = n.name
     WHERE s.kind = 'wait_for'
    UNION
    SELECT b.client_id, s.workflow_id, s.version, s.step_no
      FROM mfiauto.batch_event b
      JOIN mfiauto.workflow_step s ON s.kind = 'task' AND s.timeout IS NOT NULL
     WHERE b.name = 'Task Completed'
  )
  UPDATE mfiauto.enrollment_state e
     SET due_at = clock
    FROM hit h
    JOIN LATERAL (SELECT o.client_id, o.enrollment_id FROM mfiauto.enrollment_state o
                   WHERE o.client_id = h.client_id AND o.workflow_id = h.workflow_id AND o.version = h.version AND o.step_no = h.step_no
                     AND o.due_at > clock OFFSET 0) o ON true
   WHERE e.client_id = o.client_id AND e.enrollment_id = o.enrollment_id;
  GET DIAGNOSTICS woken = ROW_COUNT;
  IF EXISTS (SELECT FROM mfiauto.workflow_step s WHERE s.wait_sql IS NOT NULL OR s.check_every IS NOT NULL) THEN
    UPDATE mfiauto.enrollment_state e
       SET due_at = clock
      FROM (SELECT DISTINCT t.client_id FROM mfiauto.batch_touched t WHERE t.role <> 'message') h
      JOIN LATERAL (SELECT o.client_id, o.enrollment_id FROM mfiauto.enrollment_state o
                      JOIN mfiauto.workflow_step s ON s.workflow_id = o.workflow_id AND s.version = o.version AND s.step_no = o.step_no
                     WHERE o.client_id = h.client_id AND o.due_at > clock AND o.waiting_since IS NOT NULL
                       AND (s.wait_sql IS NOT NULL OR s.check_every IS NOT NULL) OFFSET 0) o ON true
     WHERE e.client_id = o.client_id AND e.enrollment_id = o.enrollment_id;
    GET DIAGNOSTICS more = ROW_COUNT;
  END IF;
  RETURN woken + more;
END $$;
