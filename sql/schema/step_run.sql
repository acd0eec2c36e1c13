-- What each step did, for each run: messages, tasks and decisions side by side.

CREATE VIEW mfiauto.step_run AS
  SELECT coalesce(m.sent_at, m.finished_at, m.created_at) AS at, m.workflow, m.version, m.step, 'send' AS kind, m.client_id, m.subject, m.subject_id, m.enrollment_id,
         m.state AS outcome, m.reason, m.channel AS detail, m.cost, m.currency, m.message_id, NULL::bigint AS task_id
    FROM mfiauto.message m
   WHERE m.step IS NOT NULL
  UNION ALL
  SELECT coalesce(t.closed_at, t.created_at), h.name, t.version, s.path, s.kind, t.client_id, e.subject, e.subject_id, t.enrollment_id,
         t.state, CASE t.state WHEN 'canceled' THEN t.outcome WHEN 'holdout' THEN 'holdout' END, CASE WHEN t.state = 'done' THEN t.outcome END, NULL, NULL, NULL, t.task_id
    FROM mfiauto.task t
    JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id
    JOIN mfiauto.workflow_step s ON s.workflow_id = t.workflow_id AND s.version = t.version AND s.step_no = t.step_no
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id
  UNION ALL
  SELECT d.decided_at, h.name, d.version, s.path, s.kind, d.client_id, d.subject, d.subject_id, d.enrollment_id,
         CASE WHEN d.reason = 'holdout' THEN 'holdout' WHEN d.decision IN ('enrolled', 'withdrawn') AND d.reason IS NOT NULL THEN 'not ' || d.decision ELSE d.decision END, d.reason, d.detail, NULL, NULL, NULL, NULL
    FROM mfiauto.decision_log d
    JOIN mfiauto.workflow_head h ON h.workflow_id = d.workflow_id
    JOIN mfiauto.workflow_step s ON s.workflow_id = d.workflow_id AND s.version = d.version AND s.step_no = d.step_no
   WHERE d.decision NOT IN ('entered', 'refused', 'exited', 'reopened', 'moved', 'switched', 'unparked', 'task');
COMMENT ON VIEW mfiauto.step_run IS
  'A row for each step that a run came through, with its outcome: the state of its message (with cost), of its task (detail: what came of it), or what was decided and done. A send that fell over to another channel has a row for each message.';
