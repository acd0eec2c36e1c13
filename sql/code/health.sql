-- mfiauto.workflow_health: what is stuck, late or failing, workflow by workflow and step by step, and each gateway.
--
-- Made to be read every minute: runs under way and the queue are counted, messages of the past come from the roll-up.

CREATE FUNCTION mfiauto._health_state(severity integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT ('{ok,warning,error}'::text[])[coalesce(severity, 0) + 1] $$;

-- Runs under way by step: ahead of their time, due, parked by an error, and those that nothing will ever wake.
CREATE FUNCTION mfiauto._running_counts()
RETURNS TABLE (workflow_id integer, version integer, step_no integer, waiting bigint, due bigint, oldest_due_at timestamptz, parked bigint, codes text, idle bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.workflow_id, c.version, c.step_no, sum(c.waiting)::bigint, sum(c.due)::bigint, min(c.oldest_due_at), coalesce(sum(c.runs) FILTER (WHERE c.code IS NOT NULL), 0)::bigint,
         string_agg(c.code, ', ' ORDER BY c.code), sum(c.idle)::bigint
    FROM (SELECT e.workflow_id, e.version, e.step_no, CASE WHEN e.state = 'error' THEN coalesce(split_part(e.reason, ':', 1), '') END AS code, count(*) AS runs,
                 count(*) FILTER (WHERE e.state = 'active' AND (e.due_at > n.clock) IS NOT FALSE) AS waiting,
                 count(*) FILTER (WHERE e.due_at <= n.clock) AS due, min(e.due_at) FILTER (WHERE e.due_at <= n.clock) AS oldest_due_at,
                 count(*) FILTER (WHERE e.state = 'active' AND e.due_at IS NULL) AS idle
            FROM mfiauto.enrollment_state e CROSS JOIN (SELECT mfiauto.now() AS clock) n
           WHERE e.ended_at IS NULL
           GROUP BY e.workflow_id, e.version, e.step_no, 4) c
   GROUP BY c.workflow_id, c.version, c.step_no
$$;

-- One row a step of the live version, and of an older one that somebody is still in.
CREATE FUNCTION mfiauto._step_health()
RETURNS TABLE (workflow_id integer, version integer, step_no integer, severity integer, problem text, hint text, waiting bigint, due bigint, late interval, parked bigint,
               message_count bigint, failed_count bigint)
LANGUAGE sql STABLE AS $$
  SELECT h.workflow_id, s.version, s.step_no, c.severity, c.problem, c.hint, coalesce(r.waiting, 0), coalesce(r.due, 0), mfiauto.now() - r.oldest_due_at,
         coalesce(r.parked, 0), coalesce(m.message_count, 0), coalesce(m.failed_count, 0)
    FROM mfiauto.workflow_head h
    JOIN mfiauto.workflow_step s ON s.workflow_id = h.workflow_id
    LEFT JOIN mfiauto._running_counts() r ON r.workflow_id = s.workflow_id AND r.version = s.version AND r.step_no = s.step_no
    LEFT JOIN (SELECT p.workflow_id, p.version, p.step_no, sum(p.accepted_count + p.given_up_count)::bigint AS message_count,
                      sum(p.failed_count + p.given_up_count)::bigint AS failed_count
                 FROM mfiauto.rollup_message p JOIN mfiauto.kpi_refresh k ON p.period >= k.on_date - 1
                GROUP BY p.workflow_id, p.version, p.step_no) m ON m.workflow_id = s.workflow_id AND m.version = s.version AND m.step_no = s.step_no
    CROSS JOIN LATERAL (
      SELECT max(k.severity) AS severity, string_agg(k.problem, '; ' ORDER BY k.severity DESC, k.place) AS problem,
             (array_agg(k.hint ORDER BY k.severity DESC, k.place))[1] AS hint
        FROM (VALUES
          (1, CASE WHEN h.state <> 'active' THEN 0 WHEN r.oldest_due_at < mfiauto.now() - interval '10 minutes' THEN 2
                   WHEN r.oldest_due_at < mfiauto.now() - interval '1 minute' THEN 1 ELSE 0 END,
              format('runs due but not run: %s, the oldest for %s', r.due, mfiauto._span_text(mfiauto.now() - r.oldest_due_at)),
              'Is the engine running, and does it keep up? SELECT * FROM mfiauto.status; says.'),
          (2, CASE WHEN r.parked > 0 THEN 2 ELSE 0 END, format('runs parked by an error: %s (SQLSTATE %s)', r.parked, r.codes),
              format('mfiauto.enrollment tells the error of each; mend its cause, then SELECT mfiauto.unpark(%L);', h.name)),
          (3, CASE WHEN r.idle > 0 AND s.kind NOT IN ('wait_for', 'task') THEN 2 ELSE 0 END, format('runs that wait for nothing: %s', r.idle),
              'This should not be; report it, with the rows of mfiauto.decision_log of such a run.'),
          (4, CASE WHEN m.message_count < 20 OR m.failed_count < m.message_count * 0.05 THEN 0 WHEN m.failed_count < m.message_count * 0.2 THEN 1
                   WHEN m.message_count > 0 THEN 2 ELSE 0 END,
              format('messages failed since yesterday: %s of %s', m.failed_count, m.message_count),
              format('SELECT gateway, state, reason, count(*) FROM mfiauto.message WHERE workflow = %L AND step = %L AND created_at > now() - interval ''2 days'' GROUP BY 1, 2, 3;', h.name, s.path))
        ) AS k(place, severity, problem, hint) WHERE k.severity > 0) c
   WHERE h.state IN ('active', 'paused') AND (s.version = h.live_version OR r.step_no IS NOT NULL)
$$;

-- One row a workflow: its queue, and those it could not let in.
CREATE FUNCTION mfiauto._workflow_health()
RETURNS TABLE (workflow_id integer, version integer, severity integer, problem text, hint text, parked bigint, queued bigint, held bigint, late interval)
LANGUAGE sql STABLE AS $$
  SELECT h.workflow_id, h.live_version, c.severity, c.problem, c.hint, coalesce(f.parked, 0), coalesce(q.queued, 0), coalesce(q.held, 0), mfiauto.now() - q.oldest_due_at
    FROM mfiauto.workflow_head h
    LEFT JOIN (SELECT p.source, count(*) AS parked, string_agg(DISTINCT p.sqlstate, ', ') AS codes FROM mfiauto.parked_fact p WHERE p.stage ~ '^engine ' GROUP BY p.source) f
      ON f.source = h.name
    LEFT JOIN (SELECT r.workflow_id, sum(r.messages) FILTER (WHERE NOT r.is_held)::bigint AS queued, sum(r.messages) FILTER (WHERE r.is_held)::bigint AS held,
                      string_agg(r.reason, ', ' ORDER BY r.reason) AS reasons, min(r.oldest_due_at) AS oldest_due_at
                 FROM (SELECT o.workflow_id, o.is_held, CASE WHEN o.is_held THEN o.reason END AS reason, count(*) AS messages,
                              min(o.due_at) FILTER (WHERE NOT o.is_held AND o.due_at <= n.clock) AS oldest_due_at
                         FROM mfiauto.outbox o CROSS JOIN (SELECT mfiauto.now() AS clock) n GROUP BY 1, 2, 3) r
                GROUP BY r.workflow_id) q ON q.workflow_id = h.workflow_id
    LEFT JOIN (SELECT d.target, string_agg(d.reason, '; ' ORDER BY d.hold_id) AS reason FROM mfiauto.delivery_hold d WHERE d.scope = 'workflow' GROUP BY d.target) d ON d.target = h.name
    CROSS JOIN LATERAL (
      SELECT max(k.severity) AS severity, string_agg(k.problem, '; ' ORDER BY k.severity DESC, k.place) AS problem,
             (array_agg(k.hint ORDER BY k.severity DESC, k.place))[1] AS hint
        FROM (VALUES
          (1, CASE WHEN f.parked > 0 THEN 2 ELSE 0 END, format('clients not let in because of an error: %s (SQLSTATE %s)', f.parked, f.codes),
              format('mfiauto.parked_fact tells each; mend its cause, then SELECT mfiauto.unpark(%L);', h.name)),
          (2, CASE WHEN q.oldest_due_at < mfiauto.now() - interval '1 hour' THEN 2 WHEN q.oldest_due_at < mfiauto.now() - interval '5 minutes' THEN 1 ELSE 0 END,
              format('messages in the queue: %s, the oldest due for %s', q.queued, mfiauto._span_text(mfiauto.now() - q.oldest_due_at)),
              'SELECT * FROM mfiauto.status; and mfiauto.gateway_status; say what keeps them.'),
          (3, CASE WHEN q.held > 0 THEN 1 ELSE 0 END, format('messages held: %s (%s)', q.held, q.reasons),
              'mfiauto.message_reason says what each reason means, and what lets them go.'),
          (4, CASE WHEN d.target IS NOT NULL THEN 1 ELSE 0 END, format('held by hold_delivery(): %s', d.reason),
              format('SELECT * FROM mfiauto.release_delivery(workflow => %L); lets its messages go.', h.name))
        ) AS k(place, severity, problem, hint) WHERE k.severity > 0) c
   WHERE h.state IN ('active', 'paused')
$$;

CREATE FUNCTION mfiauto._gateway_health()
RETURNS TABLE (gateway text, severity integer, problem text, hint text, queued bigint, in_flight bigint)
LANGUAGE sql STABLE AS $$
  SELECT g.gateway, k.severity, CASE WHEN k.severity > 0 THEN k.problem END, CASE WHEN k.severity > 0 THEN k.hint END, g.queued_on_channel, g.in_flight
    FROM mfiauto.gateway_status g
    CROSS JOIN LATERAL (
      SELECT * FROM (VALUES
        (1, CASE WHEN g.circuit = 'disabled' THEN 0 END, NULL, NULL),
        (2, CASE WHEN g.circuit = 'stopped' THEN 2 END, 'gateway stopped: ' || g.because,
            format('Mend its configuration or account, then SELECT * FROM mfiauto.release_delivery(gateway => %L);', g.gateway)),
        (3, CASE WHEN g.circuit IN ('open', 'half_open') THEN 2 END, concat('gateway failed again and again: ', g.last_error, ', tried again at ' || g.paused_until),
            'Ask the provider. Its messages go to the channel''s next gateway, or wait.'),
        (4, CASE WHEN g.circuit = 'held' THEN 1 END, 'gateway held: ' || g.because, format('SELECT * FROM mfiauto.release_delivery(gateway => %L);', g.gateway)),
        (5, CASE WHEN g.last_error_at > coalesce(g.last_success_at, '-infinity') AND g.retrying > 0 THEN 2 END,
            format('gateway fails: %s; messages to be tried again: %s', g.last_error, g.retrying), 'Ask the provider. Each message is tried again, later and later, until its time is over.'),
        (6, CASE WHEN g.circuit = 'throttled' THEN 1 END, concat('the provider asked for a pause until ', g.paused_until), 'If it does so often, lower rate_per_second in its settings.'),
        (7, CASE WHEN g.unknown > 0 THEN 1 END, format('messages whose outcome is not known: %s', g.unknown), 'A receipt tells, or resolve_unknown() after a look at the provider''s own list.'),
        (8, 0, NULL, NULL)) AS v(place, severity, problem, hint)
       WHERE v.severity IS NOT NULL ORDER BY v.place LIMIT 1) k
$$;

CREATE FUNCTION mfiauto._read_workflow_health()
RETURNS TABLE (workflow text, version integer, step text, gateway text, state text, problem text, hint text, waiting bigint, due bigint, late interval, parked bigint,
               queued bigint, held bigint, backlog_age interval, error_ratio numeric)
LANGUAGE sql STABLE AS $$
  SELECT u.workflow, u.version, u.step, u.gateway, u.state, u.problem, u.hint, u.waiting, u.due, u.late, u.parked, u.queued, u.held, u.backlog_age, u.error_ratio
    FROM (SELECT NULL::text AS workflow, NULL::integer AS version, NULL::integer AS step_no, NULL::text AS step, g.gateway, mfiauto._health_state(g.severity) AS state, g.problem,
                 g.hint, NULL::bigint AS waiting, NULL::bigint AS due, NULL::interval AS late, NULL::bigint AS parked, g.queued, NULL::bigint AS held,
                 NULL::interval AS backlog_age, NULL::numeric AS error_ratio
            FROM mfiauto._gateway_health() g
          UNION ALL
          SELECT h.name, w.version, NULL, NULL, NULL, CASE WHEN h.state = 'paused' THEN 'off' ELSE mfiauto._health_state(w.severity) END,
                 CASE WHEN h.state = 'paused' THEN concat_ws('; ', 'paused since ' || mfiauto._moment_text(h.paused_at), w.problem) ELSE w.problem END,
                 CASE WHEN h.state = 'paused' THEN format('SELECT mfiauto.resume_workflow(%L); lets it go on.', h.name) ELSE w.hint END,
                 NULL, NULL, NULL, w.parked, w.queued, w.held, w.late, NULL
            FROM mfiauto._workflow_health() w JOIN mfiauto.workflow_head h ON h.workflow_id = w.workflow_id
          UNION ALL
          SELECT h.name, s.version, s.step_no, p.path, NULL, CASE WHEN h.state = 'paused' AND s.severity IS NULL THEN 'off' ELSE mfiauto._health_state(s.severity) END,
                 s.problem, s.hint, s.waiting, s.due, s.late, s.parked, NULL, NULL, NULL, round(s.failed_count::numeric / nullif(s.message_count, 0), 4)
            FROM mfiauto._step_health() s
            JOIN mfiauto.workflow_head h ON h.workflow_id = s.workflow_id
            JOIN mfiauto.workflow_step p ON p.workflow_id = s.workflow_id AND p.version = s.version AND p.step_no = s.step_no) u
   ORDER BY array_position('{error,warning,ok,off}'::text[], u.state), u.workflow NULLS FIRST, u.gateway, u.version, u.step_no NULLS FIRST
$$;
SELECT mfiauto._open_door('mfiauto._read_workflow_health()', '{admin,author}', 'What the view mfiauto.workflow_health shows.');

CREATE VIEW mfiauto.workflow_health AS
  SELECT h.workflow, h.version, h.step, h.gateway, h.state, h.problem, h.hint, h.waiting, h.due, h.late, h.parked, h.queued, h.held, h.backlog_age, h.error_ratio
    FROM mfiauto.read_workflow_health() h;
COMMENT ON VIEW mfiauto.workflow_health IS
  'What is stuck, late or failing: a row each active or paused workflow (step null), each of its steps, and each gateway (workflow null), the worst first. state is ok, warning, error or off; problem says what, hint what to do. '
  'Alert on state = ''error''.';
