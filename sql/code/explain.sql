-- explain_client(): what happened to a client, what was decided, and why something was not sent, a line each.

-- A moment as people read it: local to the institution.
CREATE FUNCTION mfiauto._moment_text(at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT to_char(_moment_text.at AT TIME ZONE i.time_zone, 'YYYY-MM-DD HH24:MI') FROM mfiauto.institution i
$$;

-- A reason in words; one that is not on the list stands for itself.
CREATE FUNCTION mfiauto._reason_text(reason text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT r.meaning FROM mfiauto.message_reason r WHERE r.reason = _reason_text.reason), _reason_text.reason)
$$;

-- A decision in the words of mfiauto.decision_reason.
CREATE FUNCTION mfiauto._decision_text(decision text, reason text, detail text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT replace(replace(r.meaning, '{detail}', coalesce(_decision_text.detail, '')), '{reason}', coalesce(_decision_text.reason, ''))
             || CASE WHEN strpos(r.meaning, '{detail}') = 0 THEN coalesce('; ' || _decision_text.detail, '') ELSE '' END
      FROM mfiauto.decision_reason r
     WHERE r.decision = _decision_text.decision AND r.reason IN (coalesce(_decision_text.reason, ''), '*')
     ORDER BY r.reason = '*' LIMIT 1), concat_ws(': ', _decision_text.decision, _decision_text.reason, _decision_text.detail))
$$;

CREATE FUNCTION mfiauto._message_text(state text, reason text, channel text, gateway text, due_at timestamptz, sent_at timestamptz, parts integer)
RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT concat_ws(' ', coalesce(channel, 'message'),
    CASE state
      WHEN 'queued' THEN 'to be sent ' || mfiauto._moment_text(due_at) || coalesce(', waits: ' || mfiauto._reason_text(reason), '')
      WHEN 'claimed' THEN 'is being sent by ' || gateway
      WHEN 'held' THEN 'held: ' || mfiauto._reason_text(reason)
      WHEN 'submitted' THEN 'accepted by ' || coalesce(gateway, 'the gateway')
      WHEN 'sent' THEN 'sent by ' || coalesce(gateway, 'the gateway') || CASE WHEN parts > 1 THEN format(' in %s parts', parts) ELSE '' END
      WHEN 'delivered' THEN 'delivered by ' || coalesce(gateway, 'the gateway') || coalesce(', sent ' || mfiauto._moment_text(sent_at), '')
      WHEN 'undelivered' THEN 'sent but not delivered: ' || coalesce(mfiauto._reason_text(reason), 'the provider gave no reason')
      WHEN 'unknown' THEN 'may have been sent: ' || mfiauto._reason_text(coalesce(reason, 'outcome_unknown'))
      ELSE 'not sent (' || state || '): ' || coalesce(mfiauto._reason_text(reason), 'no reason was recorded') END)
$$;

-- Since when a client is in a segment, or that he is not.
CREATE FUNCTION mfiauto._explain_membership(client_id bigint, segment text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN m.since IS NULL THEN format('has never been in segment "%s"', _explain_membership.segment)
              WHEN m.until IS NULL THEN format('has been in segment "%s" since %s', _explain_membership.segment, mfiauto._moment_text(m.since))
              ELSE format('left segment "%s" %s', _explain_membership.segment, mfiauto._moment_text(m.until)) END
    FROM (SELECT 1) one
    LEFT JOIN (SELECT b.since, b.until FROM mfiauto.segment_membership b JOIN mfiauto.segment_definition d ON d.segment_id = b.segment_id
                WHERE b.client_id = _explain_membership.client_id AND d.name = _explain_membership.segment
                ORDER BY b.since DESC LIMIT 1) m ON true
$$;

-- Which of the trigger's events a client had since the workflow was activated, and why they did not bring him in.
CREATE FUNCTION mfiauto._explain_events(workflow_id integer, version integer, client_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN c.happened = 0 THEN format('no event %s of this client since the workflow was activated', mfiauto._either_text(v.trigger_events))
    WHEN c.fitting = 0 THEN format('%s happened, but none with %s', mfiauto._either_text(v.trigger_events), array_to_string(v.trigger_filters, ' or '))
    WHEN v.trigger_count > 1 THEN format('%s of this client since the workflow was activated: %s; it takes %s within %s for which the condition is true', mfiauto._either_text(v.trigger_events),
                                         c.fitting, v.trigger_count, mfiauto._duration_text(v.trigger_within))
    WHEN v.trigger_condition IS NOT NULL THEN format('the trigger''s condition was not true for %s: %s', mfiauto._either_text(v.trigger_events), v.trigger_condition)
    ELSE format('%s happened and the engine has not come to it, or refused it above', mfiauto._either_text(v.trigger_events)) END
    FROM mfiauto.workflow_version v
    JOIN mfiauto.workflow_head h ON h.workflow_id = v.workflow_id
    CROSS JOIN LATERAL (
      SELECT count(*) AS happened, count(*) FILTER (WHERE v.trigger_filters IS NULL OR l.properties @> ANY (v.trigger_filters)) AS fitting
        FROM mfiauto.event_log l
       WHERE l.client_id = _explain_events.client_id AND l.name = ANY (v.trigger_events) AND l.received_at >= h.activated_at) c
   WHERE v.workflow_id = _explain_events.workflow_id AND v.version = _explain_events.version
$$;

-- When the client's silence will have lasted for as long as the trigger asks, by his last event, else by the day he joined.
CREATE FUNCTION mfiauto._explain_silence(workflow_id integer, version integer, client_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  activated_at timestamptz := (SELECT h.activated_at FROM mfiauto.workflow_head h WHERE h.workflow_id = _explain_silence.workflow_id);
  last_at timestamptz;
  since timestamptz;
  full_at timestamptz;
  told text;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _explain_silence.workflow_id AND w.version = _explain_silence.version;
  SELECT max(l.occurred_at) INTO last_at FROM mfiauto.event_log l WHERE l.client_id = _explain_silence.client_id AND l.name = ANY (v.trigger_events);
  IF last_at IS NULL AND to_regclass('mfiauto.client') IS NOT NULL THEN
    EXECUTE 'SELECT c.joined_on::timestamp AT TIME ZONE z.zone FROM mfiauto.client c, mfiauto._client_zones(ARRAY[$1]) z WHERE c.client_id = $1'
       INTO since USING _explain_silence.client_id;
  END IF;
  since := coalesce(last_at, since, activated_at);
  full_at := mfiauto._later(since, v.trigger_after);
  told := CASE WHEN last_at IS NOT NULL THEN format('the last %s was %s', mfiauto._either_text(v.trigger_events), mfiauto._moment_text(last_at))
               ELSE format('there was no %s yet, counted from %s', mfiauto._either_text(v.trigger_events), mfiauto._moment_text(since)) END;
  RETURN told || CASE
    WHEN full_at > mfiauto.now() THEN format('; enters %s if none comes', mfiauto._moment_text(full_at))
    WHEN full_at < activated_at AND NOT v.trigger_existing THEN format('; %s later the workflow was not active yet: only a new one counts', mfiauto._duration_text(v.trigger_after))
    ELSE format('; since %s the engine has not come to it, or refused it above', mfiauto._moment_text(full_at)) END;
END $$;

-- The next day of the year that the trigger waits for.
CREATE FUNCTION mfiauto._explain_yearly(workflow_id integer, version integer, client_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  day date;
  next_on date;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _explain_yearly.workflow_id AND w.version = _explain_yearly.version;
  EXECUTE format('SELECT min(x.%I)::date FROM mfiauto.%I x WHERE x.client_id = $1', split_part(v.trigger_column, '.', 2), split_part(v.trigger_column, '.', 1))
     INTO day USING _explain_yearly.client_id;
  IF day IS NULL THEN
    RETURN format('it has no %s', v.trigger_column);
  END IF;
  SELECT min(o.on_date) INTO next_on
    FROM generate_series(0, 1) n
    CROSS JOIN LATERAL (SELECT (day + make_interval(years => (extract(year FROM mfiauto._today()) - extract(year FROM day))::integer + n))::date AS plain) p
    CROSS JOIN LATERAL (SELECT CASE WHEN to_char(day, 'MM-DD') = '02-29' AND to_char(p.plain, 'MM-DD') = '02-28' AND v.trigger_leap_day = '03-01'
                                    THEN p.plain + 1 ELSE p.plain END AS on_date) o
   WHERE o.on_date >= mfiauto._today();
  RETURN format('its next day is %s at %s', next_on, to_char(v.trigger_at, 'HH24:MI'))
    || CASE WHEN extract(year FROM next_on) - extract(year FROM day) < v.trigger_minimum_years
            THEN format(', when it will be %s years, of at least %s', extract(year FROM next_on) - extract(year FROM day), v.trigger_minimum_years) ELSE '' END;
END $$;

-- A trait's value beside the limit that it has not crossed.
CREATE FUNCTION mfiauto._explain_trait(workflow_id integer, version integer, client_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  value text;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _explain_trait.workflow_id AND w.version = _explain_trait.version;
  IF to_regclass('mfiauto.client_profile') IS NOT NULL THEN
    EXECUTE 'SELECT coalesce(p.traits ->> $2, to_jsonb(p) ->> $2) FROM mfiauto.client_profile p WHERE p.client_id = $1'
       INTO value USING _explain_trait.client_id, v.trigger_trait;
  END IF;
  RETURN concat(v.trigger_trait, ' is ', coalesce(value, 'not known'), ' now; enters when it ',
                CASE WHEN v.trigger_rearm > v.trigger_limit THEN 'falls to ' ELSE 'rises to ' END, v.trigger_limit,
                CASE WHEN v.trigger_rearm > v.trigger_limit THEN ' after it was above ' ELSE ' after it was below ' END || v.trigger_rearm);
END $$;

-- Why what starts a workflow has not brought a client in.
CREATE FUNCTION mfiauto._explain_trigger(workflow_id integer, version integer, client_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _explain_trigger.workflow_id AND w.version = _explain_trigger.version;
  RETURN CASE v.trigger_kind
    WHEN 'manual' THEN 'only enroll() lets clients in'
    WHEN 'segment' THEN concat_ws(': ', CASE WHEN 'Segment Left' = ANY (v.trigger_events) THEN 'enters when it leaves the segment' ELSE 'enters when it comes into the segment' END,
                                  mfiauto._explain_membership(_explain_trigger.client_id, v.trigger_segment))
    WHEN 'schedule' THEN concat_ws(': ', format('enters at the next "%s"%s', v.trigger_cron, CASE WHEN v.trigger_segment IS NULL THEN '' ELSE ' if it is in the segment then' END),
                                   CASE WHEN v.trigger_segment IS NOT NULL THEN mfiauto._explain_membership(_explain_trigger.client_id, v.trigger_segment) END)
    WHEN 'inactive' THEN mfiauto._explain_silence(v.workflow_id, v.version, _explain_trigger.client_id)
    WHEN 'yearly' THEN mfiauto._explain_yearly(v.workflow_id, v.version, _explain_trigger.client_id)
    WHEN 'trait' THEN mfiauto._explain_trait(v.workflow_id, v.version, _explain_trigger.client_id)
    ELSE mfiauto._explain_events(v.workflow_id, v.version, _explain_trigger.client_id) END;
END $$;

-- Why a client is not in a workflow: one line for the workflow or the client, else one a subject.
CREATE FUNCTION mfiauto._explain_absence(client_id bigint, workflow text)
RETURNS TABLE (subject text, subject_id bigint, detail text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  head record;
  v record;
  about bigint[];
BEGIN
  SELECT h.* INTO STRICT head FROM mfiauto.workflow_head h WHERE h.name = _explain_absence.workflow;
  IF head.state <> 'active' THEN
    RETURN QUERY SELECT NULL::text, NULL::bigint, format('nobody enters: the workflow is %s', head.state);
    RETURN;
  END IF;
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = head.workflow_id AND w.version = head.live_version;
  IF v.anchor_column IS NULL THEN
    RETURN QUERY
      SELECT NULL::text, NULL::bigint, 'not entered: ' || mfiauto._explain_trigger(v.workflow_id, v.version, _explain_absence.client_id)
       WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.client_id = _explain_absence.client_id AND e.workflow_id = head.workflow_id);
    RETURN;
  END IF;
  about := ARRAY(
    SELECT s.subject_id FROM mfiauto.subject_state s
     WHERE s.role = v.subject
       AND (s.client_id = _explain_absence.client_id
            OR (s.client_id IS NULL AND mfiauto._is_member(CASE WHEN s.role = 'loan' THEN s.subject_id ELSE s.loan_id END, _explain_absence.client_id)))
       AND NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                        WHERE e.client_id = _explain_absence.client_id AND e.workflow_id = head.workflow_id AND e.subject = v.subject AND e.subject_id = s.subject_id)
     ORDER BY s.on_date, s.subject_id LIMIT 1000);
  IF cardinality(about) = 0 THEN
    RETURN QUERY SELECT NULL::text, NULL::bigint, format('not entered: the client has no %s', v.subject)
      WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.client_id = _explain_absence.client_id AND e.workflow_id = head.workflow_id);
    RETURN;
  END IF;
  -- Three of a kind are told one by one, the others counted.
  RETURN QUERY
    WITH pair AS (
      SELECT u.* FROM ROWS FROM (unnest(about),
                                 mfiauto._verdicts(v.owner, v.enter_sql, array_fill(_explain_absence.client_id, ARRAY[cardinality(about)]), about, true),
                                 mfiauto._verdicts(v.owner, v.exit_sql, array_fill(_explain_absence.client_id, ARRAY[cardinality(about)]), about, false))
                    AS u(subject_id, enter_verdict, exit_verdict)
    ),
    judged AS (
      SELECT p.subject_id, s.on_date,
             CASE WHEN s.on_date IS NULL THEN 1 WHEN p.enter_verdict IS NULL THEN 2 WHEN NOT p.enter_verdict THEN 3 WHEN p.exit_verdict THEN 4
                  WHEN s.on_date + t.latest < mfiauto._today() THEN 5 ELSE 6 END AS kind
        FROM pair p
        JOIN mfiauto.subject_state s ON s.role = v.subject AND s.subject_id = p.subject_id
        CROSS JOIN (SELECT max(w.at_offset) AS latest FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version) t
    ),
    placed AS (
      SELECT j.*, row_number() OVER (PARTITION BY j.kind ORDER BY abs(j.on_date - mfiauto._today()), j.subject_id) AS place,
             count(*) OVER (PARTITION BY j.kind) AS kind_count
        FROM judged j
    ),
    told AS (
      SELECT p.*, CASE p.kind
               WHEN 1 THEN format('it has no %s', v.anchor_column)
               WHEN 2 THEN format('the entry condition cannot be told (null): %s', v.enter_if)
               WHEN 3 THEN format('the entry condition is not true now: %s', v.enter_if)
               WHEN 4 THEN format('the exit condition is true now: %s', v.exit_if)
               WHEN 5 THEN format('every step lies in the past of its %s', v.anchor_column)
               ELSE format('its %s is still far', v.anchor_column) END AS reason
        FROM placed p WHERE p.place <= 4
    )
    SELECT v.subject, CASE WHEN t.place <= 3 OR t.kind_count = 4 THEN t.subject_id END,
           CASE WHEN t.place <= 3 OR t.kind_count = 4
                THEN format('not entered: %s', t.reason) || CASE WHEN t.kind IN (5, 6) THEN format(' (%s)', t.on_date) ELSE '' END
                ELSE format('%s more %ss not entered: %s', t.kind_count - 3, v.subject, t.reason) END
      FROM told t
     ORDER BY t.kind, t.place;
END $$;

-- All that is known of a client as lines; rank orders what came at the same time, number within it.
CREATE FUNCTION mfiauto._client_lines(client_id bigint, workflow_id integer)
RETURNS TABLE (at timestamptz, rank integer, number bigint, what text, step text, subject text, subject_id bigint, detail text)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT l.occurred_at, 1, l.event_id, 'event', NULL, l.subject, l.subject_id,
         l.name || CASE WHEN l.received_at > l.occurred_at + interval '1 day' THEN ', learned ' || mfiauto._moment_text(l.received_at) ELSE '' END
    FROM mfiauto.event_log l WHERE l.client_id = _client_lines.client_id
  UNION ALL
  SELECT c.given_at, 2, c.consent_id, 'consent', NULL, NULL, NULL,
         concat_ws(' ', CASE WHEN c.is_pending THEN 'asked to opt in to' WHEN c.granted THEN 'opted in to' ELSE 'opted out of' END, coalesce(c.channel, 'every channel'),
                   'for ' || c.purpose, '(' || c.reason || ')')
    FROM mfiauto.consent c WHERE c.client_id = _client_lines.client_id
  UNION ALL
  SELECT d.decided_at, 3, d.decision_id, d.decision, s.path, d.subject, d.subject_id,
         -- What an error said may be of anybody: it is its author's business.
         mfiauto._decision_text(d.decision, d.reason, CASE WHEN d.decision = 'error' AND (SELECT mfiauto._is_restricted()) THEN '…' ELSE d.detail END)
           || CASE WHEN d.decision = 'entered' AND e.arm = 'holdout' THEN ', in the holdout group: nothing is sent, for comparison' ELSE '' END
    FROM mfiauto.decision_log d
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = d.workflow_id AND s.version = d.version AND s.step_no = d.step_no
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = d.client_id AND e.enrollment_id = d.enrollment_id
   WHERE d.client_id = _client_lines.client_id AND d.workflow_id = coalesce(_client_lines.workflow_id, d.workflow_id)
  UNION ALL
  SELECT coalesce(m.sent_at, m.finished_at, m.created_at), 4, m.message_id, 'message', m.step, m.subject, m.subject_id,
         mfiauto._message_text(m.state, m.reason, m.channel, m.gateway, m.due_at, m.sent_at, m.parts)
    FROM mfiauto.message m
    LEFT JOIN mfiauto.workflow_head h ON h.name = m.workflow
   WHERE m.client_id = _client_lines.client_id AND (_client_lines.workflow_id IS NULL OR h.workflow_id = _client_lines.workflow_id)
  UNION ALL
  SELECT a.started_at, 5, a.attempt_id, 'attempt', s.path, m.subject, m.subject_id,
         concat_ws(' ', 'attempt', a.attempt_no, 'by', a.gateway || ':', a.outcome, '(' || a.status || ')', '- ' || a.error)
    FROM mfiauto.attempt a
    JOIN mfiauto.message_ledger m ON m.client_id = a.client_id AND m.message_id = a.message_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
   WHERE a.client_id = _client_lines.client_id AND (_client_lines.workflow_id IS NULL OR m.workflow_id = _client_lines.workflow_id)
  UNION ALL
  SELECT r.received_at, 6, r.receipt_id, 'receipt', s.path, m.subject, m.subject_id,
         concat_ws(' ', r.gateway, 'says:', r.status, CASE WHEN NOT r.applied THEN '(too late to change anything)' END)
    FROM mfiauto.receipt r
    JOIN mfiauto.message_ledger m ON m.client_id = r.client_id AND m.message_id = r.message_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
   WHERE r.client_id = _client_lines.client_id AND (_client_lines.workflow_id IS NULL OR m.workflow_id = _client_lines.workflow_id)
  UNION ALL
  SELECT t.created_at, 7, t.task_id, 'task', s.path, e.subject, e.subject_id,
         concat_ws(' ', CASE t.state WHEN 'holdout' THEN 'not given (holdout):' ELSE 'given' END, 'to ' || t.assignee || ':', t.title,
                   CASE WHEN t.closed_at IS NOT NULL THEN format('- %s %s', t.state, mfiauto._moment_text(t.closed_at)) END, '(' || t.outcome || ')')
    FROM mfiauto.task t
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = t.workflow_id AND s.version = t.version AND s.step_no = t.step_no
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id
   WHERE t.client_id = _client_lines.client_id AND (_client_lines.workflow_id IS NULL OR t.workflow_id = _client_lines.workflow_id)
  UNION ALL
  SELECT g.reached_at, 8, g.event_id, 'goal', s.path, e.subject, e.subject_id, 'reached: ' || v.goal_event || ' came in time after this step'
    FROM mfiauto.goal_hit g
    JOIN mfiauto.enrollment_state e ON e.client_id = g.client_id AND e.enrollment_id = g.enrollment_id
    JOIN mfiauto.workflow_version v ON v.workflow_id = e.workflow_id AND v.version = g.version
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = g.version AND s.step_no = g.step_no
   WHERE g.client_id = _client_lines.client_id AND g.workflow_id = coalesce(_client_lines.workflow_id, g.workflow_id)
  UNION ALL
  SELECT e.ended_at, 9, e.enrollment_id, 'completed', NULL, e.subject, e.subject_id, 'no step is left'
    FROM mfiauto.enrollment_state e
   WHERE e.client_id = _client_lines.client_id AND e.state = 'completed' AND e.workflow_id = coalesce(_client_lines.workflow_id, e.workflow_id)
$$;

CREATE FUNCTION mfiauto._explain_client(client_id bigint, workflow text DEFAULT NULL)
RETURNS TABLE (at timestamptz, what text, step text, subject text, subject_id bigint, detail text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  asked integer;
  is_known boolean := true;
BEGIN
  IF _explain_client.client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  IF _explain_client.workflow IS NOT NULL THEN
    SELECT h.workflow_id INTO asked FROM mfiauto.workflow_head h WHERE h.name = _explain_client.workflow;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'workflow "%" does not exist', _explain_client.workflow
        USING ERRCODE = '42704', HINT = 'mfiauto.workflow lists the workflows.';
    END IF;
  END IF;
  IF NOT mfiauto._may_see(_explain_client.client_id) THEN
    RETURN QUERY SELECT mfiauto.now(), 'absence'::text, NULL::text, 'client'::text, _explain_client.client_id, 'the client is not in the books'::text;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT l.at, l.what, l.step, l.subject, l.subject_id, l.detail
      FROM mfiauto._client_lines(_explain_client.client_id, asked) l
     ORDER BY l.at, l.rank, l.number;
  IF to_regclass('mfiauto.client') IS NOT NULL THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM mfiauto.client c WHERE c.client_id = $1)' INTO is_known USING _explain_client.client_id;
  END IF;
  IF NOT is_known THEN
    RETURN QUERY SELECT mfiauto.now(), 'absence'::text, NULL::text, 'client'::text, _explain_client.client_id, 'the client is not in the books'::text;
  ELSIF asked IS NOT NULL THEN
    RETURN QUERY
      SELECT mfiauto.now(), 'absence'::text, NULL::text, a.subject, a.subject_id, a.detail
        FROM mfiauto._explain_absence(_explain_client.client_id, _explain_client.workflow) a;
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._explain_client(bigint, text)', '{admin,author,officer,branch}',
  'Tells a client''s story in order: what happened, what was decided, what was sent and why something was not. With a workflow: only that one, and why the client''s other subjects did not enter it.');
