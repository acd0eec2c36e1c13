-- What a person who is given a task should know before he calls or visits: the client's last doings, his loans, what was sent to him.

-- The client's micro-interactions, newest first: what he did with messages, wrote, rang, did in the app, paid; and what was said to him.
CREATE FUNCTION mfiauto._micro_interactions(client_id bigint, most integer)
RETURNS TABLE (at timestamptz, kind text, line text, subject text, subject_id bigint)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT x.at, x.kind, x.line, x.subject, x.subject_id
    FROM (
      (SELECT i.at, i.kind, CASE i.kind WHEN 'opened' THEN 'opened a message' WHEN 'clicked' THEN concat_ws(' ', 'clicked', i.detail ->> 'link') WHEN 'read' THEN 'read a message'
                                        WHEN 'answered' THEN 'answered a call' WHEN 'heard' THEN format('listened to a call for %s s', i.detail ->> 'seconds')
                                        WHEN 'pressed' THEN concat_ws(': ', 'pressed ' || (i.detail ->> 'digits'), m.options -> 'digits' ->> (i.detail ->> 'digits'))
                                        WHEN 'replied' THEN 'replied' WHEN 'unsubscribed' THEN 'unsubscribed' ELSE 'complained' END AS line,
              m.subject, m.subject_id, i.interaction_id AS number
         FROM mfiauto.interaction_log i
         JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = i.client_id AND m.message_id = i.message_id OFFSET 0) m ON true
        WHERE i.client_id = _micro_interactions.client_id AND NOT i.is_bot AND i.kind <> 'replied' ORDER BY i.at DESC, i.interaction_id DESC LIMIT most)
      UNION ALL
      (SELECT coalesce(i.sent_at, i.received_at), CASE i.kind WHEN 'message' THEN 'wrote' ELSE i.kind END,
              CASE i.kind WHEN 'missed_call' THEN 'rang us' WHEN 'call' THEN 'called us' ELSE concat_ws(': ', format('wrote by %s', i.channel), left(i.body, 300)) END, NULL, NULL, i.inbound_id
         FROM mfiauto.inbound_log i WHERE i.client_id = _micro_interactions.client_id ORDER BY i.received_at DESC, i.inbound_id DESC LIMIT most)
      UNION ALL
      -- What applications tell of him; the rest of the events only repeats what stands here or in the books.
      (SELECT e.occurred_at, 'event', e.name, e.subject, e.subject_id, e.event_id
         FROM mfiauto.event_log e
        WHERE e.client_id = _micro_interactions.client_id
          AND e.name NOT IN ('Email Opened', 'Link Clicked', 'Message Read', 'Call Answered', 'Call Heard', 'Digits Pressed', 'Message Replied', 'Unsubscribed', 'Complaint Received',
                             'Message Received', 'Missed Call Received', 'Call Received', 'Task Completed', 'Client Created', 'Client Activated', 'Client Closed', 'Loan Applied', 'Loan Approved', 'Loan Rejected', 'Loan Disbursed',
                             'Loan Closed', 'Loan Written Off', 'Installment Scheduled', 'Installment Rescheduled', 'Payment Received', 'Payment Reversed', 'Holding Opened', 'Holding Closed')
          -- An event that digits stand for is told with them.
          AND NOT (e.properties ? 'digits' AND e.properties ? 'message_id')
        ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT most)
      UNION ALL
      SELECT b.at, b.kind, b.line, b.subject, b.subject_id, b.number FROM mfiauto._book_lines(_micro_interactions.client_id) b WHERE b.kind = 'payment'
      UNION ALL
      (SELECT m.sent_at, 'message', concat_ws(' ', 'got', CASE m.channel WHEN 'voice' THEN 'a call' ELSE m.channel END, CASE m.state WHEN 'sent' THEN NULL ELSE '(' || m.state || ')' END), m.subject, m.subject_id,
              m.message_id
         FROM mfiauto.message_ledger m WHERE m.client_id = _micro_interactions.client_id AND m.sent_at IS NOT NULL ORDER BY m.sent_at DESC, m.message_id DESC LIMIT most)) x(at, kind, line, subject, subject_id, number)
   WHERE x.at <= mfiauto.now()
   ORDER BY x.at DESC, x.kind, x.number DESC LIMIT most
$$;

-- His loans as they stand.
CREATE FUNCTION mfiauto._loan_lines(client_id bigint) RETURNS TABLE (at timestamptz, kind text, line text, subject text, subject_id bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  loans bigint[] := ARRAY(SELECT s.subject_id FROM mfiauto.subject_state s WHERE s.role = 'loan' AND s.client_id = _loan_lines.client_id
                          UNION SELECT p.loan_id FROM mfiauto.party_state p WHERE p.client_id = _loan_lines.client_id AND p.role <> 'guarantor');
BEGIN
  IF mfiauto._is_bound('loan') THEN
    RETURN QUERY EXECUTE
      'SELECT v.disbursed_on::timestamp AT TIME ZONE i.time_zone, ''loan'',
              concat_ws('', '', concat_ws('' '', ''loan'', v.loan_id || '':'', coalesce(v.status, ''?'')), v.product,
                        CASE WHEN v.outstanding IS NOT NULL THEN format(''%s %s outstanding'', v.outstanding, coalesce(v.currency, i.currency)) END,
                        CASE WHEN d.first_on IS NOT NULL THEN format(''%s %s late since %s'', d.open, coalesce(v.currency, i.currency), d.first_on) ELSE ''nothing late'' END,
                        CASE WHEN n.on_date IS NOT NULL THEN format(''next %s on %s'', n.amount, n.on_date) END), ''loan'', v.loan_id
         FROM mfiauto.loan v CROSS JOIN mfiauto.institution i
         LEFT JOIN LATERAL (SELECT min(s.on_date) AS first_on, sum(s.amount - coalesce(s.paid, 0)) AS open FROM mfiauto.subject_state s
                             WHERE s.role = ''installment'' AND s.loan_id = v.loan_id AND s.on_date < $2 AND s.amount > coalesce(s.paid, 0)) d ON true
         LEFT JOIN LATERAL (SELECT s.on_date, s.amount - coalesce(s.paid, 0) AS amount FROM mfiauto.subject_state s
                             WHERE s.role = ''installment'' AND s.loan_id = v.loan_id AND s.on_date >= $2 AND s.amount > coalesce(s.paid, 0) ORDER BY s.on_date LIMIT 1) n ON true
        WHERE v.loan_id = ANY ($1) ORDER BY v.loan_id' USING loans, mfiauto._today();
  END IF;
END $$;

CREATE FUNCTION mfiauto._task_context(task_id bigint) RETURNS TABLE (part text, at timestamptz, kind text, line text, subject text, subject_id bigint)
LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
DECLARE
  task record;
BEGIN
  SELECT t.client_id, t.enrollment_id, t.title, t.state, t.due_at, t.created_at, h.name AS workflow, e.subject, e.subject_id INTO task
    FROM mfiauto.task t
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id
   WHERE t.task_id = _task_context.task_id AND mfiauto._may_see(t.client_id);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'task % does not exist', coalesce(_task_context.task_id::text, 'null') USING ERRCODE = '42704', HINT = 'mfiauto.open_task lists the open ones.';
  END IF;
  RETURN QUERY SELECT 'task', task.created_at, task.state, concat_ws(', ', task.title, 'by workflow ' || task.workflow), task.subject, task.subject_id;
  RETURN QUERY SELECT 'loan', l.* FROM mfiauto._loan_lines(task.client_id) l;
  RETURN QUERY SELECT 'interaction', m.* FROM mfiauto._micro_interactions(task.client_id, 10) m;
  -- What he was told in this matter, in its words.
  RETURN QUERY
    SELECT 'sent', s.sent_at, s.channel, concat_ws(': ', s.title, s.body), s.subject, s.subject_id
      FROM (SELECT m.sent_at, m.channel, m.title, left(m.body, 500) AS body, m.subject, m.subject_id, m.message_id
              FROM mfiauto.message_ledger m
             WHERE m.client_id = task.client_id AND m.sent_at IS NOT NULL AND (task.enrollment_id IS NULL OR m.enrollment_id = task.enrollment_id)
             ORDER BY m.sent_at DESC, m.message_id DESC LIMIT 10) s
     ORDER BY s.sent_at DESC, s.message_id DESC;
END $$;
SELECT mfiauto._open_door('mfiauto._task_context(bigint)', '{admin,author,app,officer,branch}',
  'What to know before a task is done, a line each: the task; the client''s loans as they stand; his last 10 doings (part interaction, newest first: messages, clicks, openings, answers, '
  'calls, sessions, payments); and what was sent to him in this matter, in its words.');
