-- Tasks: work that a workflow gives to a person, who says what came of it.

-- Whose task it is, and what may come of it (null: anything).
CREATE TYPE mfiauto._task_key AS (
  client_id bigint,
  enrollment_id bigint,
  outcomes text[]
);

-- The title is a text like a message's, the officer the loan's, else the client's.
CREATE FUNCTION mfiauto._give_tasks(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  workflow text;
BEGIN
  IF cardinality(runs) = 0 THEN
    RETURN;
  END IF;
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _give_tasks.workflow_id AND w.version = _give_tasks.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _give_tasks.step_no;
  workflow := (SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  INSERT INTO mfiauto.task (client_id, workflow_id, version, enrollment_id, step_no, repetition, title, assignee, state, due_at, created_at)
  SELECT r.client_id, v.workflow_id, v.version, r.enrollment_id, s.step_no, r.repetition,
         mfiauto.render(s.task_title, t.context),
         CASE s.assignee WHEN 'officer' THEN 'officer ' || coalesce(t.context -> 'loan' ->> 'officer_id', t.context -> 'client' ->> 'officer_id', '?')
                         ELSE s.assignee END,
         CASE r.arm WHEN 'holdout' THEN 'holdout' ELSE 'open' END,
         CASE WHEN s.due_after IS NULL THEN NULL ELSE mfiauto._wait_until(r.due_at, s.due_after, r.zone) END, mfiauto.now()
    FROM ROWS FROM (unnest(runs), unnest(mfiauto._repetitions(runs, s.loop_no)),
                    mfiauto._context(ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality), v.subject,
                                     ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality), workflow))
         AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome,
              repetition, ord, known_client_id, known_subject_id, known, locale, time_zone, known_country, phone, email, push_token, is_found, addresses)
    CROSS JOIN LATERAL (SELECT CASE WHEN r.context IS NULL THEN r.known ELSE r.known || r.context END AS context) t
  ON CONFLICT DO NOTHING;
END $$;

-- Gives the runs' tasks. A run goes on at once, or, where the task has outcomes, when it is closed or its time is over: counted from when
-- the task was given, as a person could not begin before. Nobody is asked in the holdout arm; there the time goes by.
CREATE FUNCTION mfiauto._run_task(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  fresh mfiauto._run[];
  back mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_task.workflow_id AND w.version = _run_task.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_task.step_no;
  IF s.branch_names IS NULL THEN
    PERFORM mfiauto._give_tasks(v.workflow_id, v.version, s.step_no, runs);
    RETURN mfiauto._sent_to(runs, s.next_no);
  END IF;
  fresh := ARRAY(
    SELECT r::mfiauto._run FROM unnest(runs) r
      JOIN LATERAL (SELECT e.waiting_since FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e
        ON e.waiting_since IS NULL);
  PERFORM mfiauto._give_tasks(v.workflow_id, v.version, s.step_no, fresh);
  UPDATE mfiauto.enrollment_state e
     SET waiting_since = clock, wait_until = mfiauto._wait_until(clock, s.timeout, r.zone), due_at = mfiauto._wait_until(clock, s.timeout, r.zone)
    FROM unnest(fresh) r
   WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id;
  -- Those whose task was closed, or whose time is over; a task that was closed in time counts, whenever the engine sees it.
  back := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on,
               CASE WHEN t.state = 'done' THEN s.branch_nos[array_position(s.branch_names, t.outcome)] ELSE s.else_no END,
               CASE WHEN t.state = 'done' THEN t.closed_at ELSE e.wait_until END, r.arm, NULL, r.zone, r.country, NULL, NULL,
               CASE WHEN t.state = 'done' THEN t.outcome END)::mfiauto._run
      FROM ROWS FROM (unnest(runs), unnest(mfiauto._repetitions(runs, s.loop_no))) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, repetition, ord)
      JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
      LEFT JOIN LATERAL (SELECT * FROM mfiauto.task t
                          WHERE t.client_id = r.client_id AND t.enrollment_id = r.enrollment_id AND t.version = v.version AND t.step_no = s.step_no
                            AND t.repetition = r.repetition OFFSET 0) t ON true
     WHERE t.state = 'done' OR e.wait_until <= clock
     ORDER BY r.ord);
  UPDATE mfiauto.enrollment_state e
     SET due_at = e.wait_until
    FROM unnest(runs) r
   WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id AND e.wait_until > clock
     AND NOT EXISTS (SELECT FROM unnest(back) b WHERE b.enrollment_id = r.enrollment_id);
  PERFORM mfiauto._cancel_tasks(ARRAY(
    SELECT ROW(b.client_id, b.enrollment_id, b.subject_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'timed_out')::mfiauto._run
      FROM unnest(back) b WHERE b.outcome IS NULL), s.step_no);
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
  SELECT b.client_id, v.workflow_id, v.version, b.enrollment_id, v.subject, b.subject_id, s.step_no, 'task', CASE WHEN b.outcome IS NULL THEN 'timed_out' ELSE 'closed' END,
         b.outcome, clock
    FROM unnest(back) b;
  RETURN back;
END $$;

-- Takes back the open tasks of runs (of one step, or all), for the reason that is each run's outcome: nobody visits a client who has paid.
CREATE FUNCTION mfiauto._cancel_tasks(runs mfiauto._run[], step_no integer DEFAULT NULL) RETURNS void
LANGUAGE sql AS $$
  UPDATE mfiauto.task t
     SET state = 'canceled', outcome = r.outcome, closed_at = mfiauto.now()
    FROM unnest(runs) r
   WHERE t.client_id = r.client_id AND t.enrollment_id = r.enrollment_id AND t.state = 'open'
     AND (_cancel_tasks.step_no IS NULL OR t.step_no = _cancel_tasks.step_no)
$$;

-- An open task, locked.
CREATE FUNCTION mfiauto._lock_task(task_id bigint) RETURNS mfiauto._task_key
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  task record;
BEGIN
  SELECT t.client_id, t.task_id, t.state, t.enrollment_id, s.branch_names INTO task
    FROM mfiauto.task t
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = t.workflow_id AND s.version = t.version AND s.step_no = t.step_no
   WHERE t.task_id = _lock_task.task_id AND mfiauto._may_see(t.client_id) FOR UPDATE OF t;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'task % does not exist', _lock_task.task_id USING ERRCODE = '42704', HINT = 'mfiauto.open_task lists the open ones.';
  END IF;
  IF task.state <> 'open' THEN
    RAISE EXCEPTION 'task % is not open: it is %', _lock_task.task_id, task.state
      USING ERRCODE = '55000', HINT = 'Only open tasks are assigned and closed; mfiauto.task tells what came of the others.';
  END IF;
  RETURN ROW(task.client_id, task.enrollment_id, task.branch_names)::mfiauto._task_key;
END $$;

CREATE FUNCTION mfiauto._close_task(task_id bigint, outcome text DEFAULT NULL, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  task mfiauto._task_key := mfiauto._lock_task(_close_task.task_id);
  run record;
BEGIN
  IF task.outcomes IS NOT NULL AND (_close_task.outcome = ANY (task.outcomes)) IS NOT TRUE THEN
    RAISE EXCEPTION 'task % has no outcome "%"', _close_task.task_id, coalesce(left(_close_task.outcome, 100), '<NULL>')
      USING ERRCODE = '22023', DETAIL = format('Its workflow waits for one of: %s.', array_to_string(task.outcomes, ', ')),
            HINT = 'Close it with one of these; what else there is to say is the note.';
  END IF;
  IF length(_close_task.outcome) NOT BETWEEN 1 AND 200 OR length(_close_task.note) > 4000 THEN
    RAISE EXCEPTION 'an outcome has 1 to 200 characters, a note at most 4000' USING ERRCODE = '22023', HINT = 'Say it more briefly.';
  END IF;
  UPDATE mfiauto.task t
     SET state = 'done', outcome = _close_task.outcome, note = _close_task.note, closed_at = mfiauto.now(), closed_by = mfiauto._caller()
   WHERE t.client_id = task.client_id AND t.task_id = _close_task.task_id;
  SELECT h.name AS workflow, e.subject, e.subject_id INTO run
    FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h ON h.workflow_id = e.workflow_id
   WHERE e.client_id = task.client_id AND e.enrollment_id = task.enrollment_id;
  -- The engine hears of it by the event, and the run that waits goes on. What the note says stays here.
  PERFORM mfiauto._track('Task Completed', task.client_id,
    jsonb_strip_nulls(jsonb_build_object('task_id', _close_task.task_id, 'outcome', _close_task.outcome, 'workflow', run.workflow)),
    NULL, CASE WHEN run.subject <> 'client' THEN run.subject END, CASE WHEN run.subject <> 'client' THEN run.subject_id END);
END $$;
SELECT mfiauto._open_door('mfiauto._close_task(bigint, text, text)', '{admin,author,app,officer,branch}',
  'Closes an open task with its outcome, one of those its workflow waits for if it names any, and a note for the file. Makes the event Task Completed; the run that waits for it goes on.');

CREATE FUNCTION mfiauto._assign_task(task_id bigint, assignee text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  task mfiauto._task_key := mfiauto._lock_task(_assign_task.task_id);
BEGIN
  IF length(_assign_task.assignee) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'assignee must have 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Write ''officer 7'' for an officer, or a name; null for nobody.';
  END IF;
  UPDATE mfiauto.task t SET assignee = _assign_task.assignee WHERE t.client_id = task.client_id AND t.task_id = _assign_task.task_id;
END $$;
SELECT mfiauto._open_door('mfiauto._assign_task(bigint, text)', '{admin,author,app}', 'Gives an open task to somebody else; null: to nobody.');

CREATE FUNCTION mfiauto._read_open_tasks()
RETURNS TABLE (task_id bigint, assignee text, due_at timestamptz, is_overdue boolean, client_id bigint, title text, workflow text, subject text, subject_id bigint,
               outcomes text[], created_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT t.task_id, t.assignee, t.due_at, coalesce(t.due_at < mfiauto.now(), false), t.client_id, t.title, h.name, e.subject, e.subject_id, s.branch_names, t.created_at
    FROM mfiauto.task t
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = t.workflow_id AND s.version = t.version AND s.step_no = t.step_no
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id
   WHERE t.state = 'open' AND ((SELECT mfiauto._is_restricted()) IS NOT TRUE OR t.client_id IN (SELECT mfiauto._own_clients()))
$$;
SELECT mfiauto._open_door('mfiauto._read_open_tasks()', '{admin,author,app,officer,branch}', 'What the view mfiauto.open_task shows.');

CREATE VIEW mfiauto.open_task AS
  SELECT o.task_id, o.assignee, o.due_at, o.is_overdue, o.client_id, o.title, o.workflow, o.subject, o.subject_id, o.outcomes, o.created_at
    FROM mfiauto.read_open_tasks() o;
COMMENT ON VIEW mfiauto.open_task IS
  'Work to be done, for a staff list: who, by when (is_overdue: late), about which client; outcomes: what close_task() may say, null: anything.';
