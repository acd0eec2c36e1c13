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
      WHEN 'queued' THEN 'to be sent ' || mfiauto._moment_text(due_at) || coalesce(', deferred: ' || mfiauto._reason_text(reason), '')
      WHEN 'claimed' THEN 'is being sent by ' || gateway
      WHEN 'held' THEN 'held: ' || mfiauto._reason_text(reason)
      WHEN 'submitted' THEN 'accepted by ' || coalesce(gateway, 'the gateway')
      WHEN 'sent' THEN 'sent by ' || coalesce(gateway, 'the gateway') || CASE WHEN parts > 1 THEN format(' in %s parts', parts) ELSE '' END
      WHEN 'delivered' THEN 'delivered by ' || coalesce(gateway, 'the gateway') || coalesce(', sent ' || mfiauto._moment_text(sent_at), '')
      WHEN 'undelivered' THEN 'sent but not delivered: ' || coalesce(mfiauto._reason_text(reason), 'the provider gave no reason')
      WHEN 'unknown' THEN 'may have been sent: ' || mfiauto._reason_text(coalesce(reason, 'outcome_unknown'))
      ELSE 'not sent (' || state || '): ' || coalesce(mfiauto._reason_text(reason), 'no reason was recorded') END)
$$;

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
    IF EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.client_id = _explain_absence.client_id AND e.workflow_id = head.workflow_id) THEN
      RETURN;
    END IF;
    RETURN QUERY
      SELECT NULL::text, NULL::bigint,
             CASE WHEN count(*) = 0 THEN format('not entered: no event "%s" of this client since the workflow was activated', array_to_string(v.trigger_events, '" or "'))
                  WHEN v.trigger_condition IS NOT NULL THEN format('not entered: the trigger''s condition was not true for "%s": %s', array_to_string(v.trigger_events, '" or "'), v.trigger_condition)
                  ELSE format('not entered: "%s" happened and the engine has not come to it, or refused it above', array_to_string(v.trigger_events, '" or "')) END
        FROM mfiauto.event_log l
       WHERE l.client_id = _explain_absence.client_id AND l.name = ANY (v.trigger_events) AND l.received_at >= head.activated_at;
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
         concat_ws(' ', CASE WHEN c.granted THEN 'opted in to' ELSE 'opted out of' END, coalesce(c.channel, 'every channel'),
                   'for ' || c.purpose, '(' || c.reason || ')')
    FROM mfiauto.consent c WHERE c.client_id = _client_lines.client_id
  UNION ALL
  SELECT d.decided_at, 3, d.decision_id, d.decision, s.path, d.subject, d.subject_id,
         mfiauto._decision_text(d.decision, d.reason, d.detail)
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
SELECT mfiauto._open_door('mfiauto._explain_client(bigint, text)', '{admin,author}',
  'Tells a client''s story in order: what happened, what was decided, what was sent and why something was not. With a workflow: only that one, and why the client''s other subjects did not enter it.');
