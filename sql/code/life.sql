-- The life of a workflow: approved, activated, paused, resumed, archived; and what becomes of those under way when a new version comes.
--
-- A run goes over to a new version at the step that is the counterpart of the one it stands at. Counterparts are found as a diff finds
-- lines: in the order of the text, first the steps with the same content, then, between these, those of the same kind. So everything a
-- run has behind it lies behind it in the new version too, and nothing comes twice. A step that is gone has no counterpart: who stands
-- at it finishes on the old version.

-- Which steps of one version are which of another; none if they follow different subjects or dates. is_same: nothing of it changed.
CREATE FUNCTION mfiauto._counterparts(workflow_id integer, old_version integer, new_version integer)
RETURNS TABLE (old_no integer, new_no integer, is_same boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  before record;
  after record;
  head integer := 0;
  tail integer := 0;
  width integer;
  height integer;
  best integer[];
  gain integer;
  i integer;
  j integer;
BEGIN
  IF (SELECT count(DISTINCT (v.subject, v.anchor_column)) FROM mfiauto.workflow_version v
       WHERE v.workflow_id = _counterparts.workflow_id AND v.version IN (old_version, new_version)) <> 1 THEN
    RETURN;
  END IF;
  SELECT array_agg(c.content ORDER BY c.step_no) AS content, array_agg(c.kind ORDER BY c.step_no) AS kind, array_agg(c.path ORDER BY c.step_no) AS path,
         count(*)::integer AS size INTO before
    FROM mfiauto._step_contents(_counterparts.workflow_id, old_version) c;
  SELECT array_agg(c.content ORDER BY c.step_no) AS content, array_agg(c.kind ORDER BY c.step_no) AS kind, array_agg(c.path ORDER BY c.step_no) AS path,
         count(*)::integer AS size INTO after
    FROM mfiauto._step_contents(_counterparts.workflow_id, new_version) c;
  WHILE head < least(before.size, after.size) AND before.content[head + 1] = after.content[head + 1] LOOP
    head := head + 1;
  END LOOP;
  WHILE tail < least(before.size, after.size) - head AND before.content[before.size - tail] = after.content[after.size - tail] LOOP
    tail := tail + 1;
  END LOOP;
  RETURN QUERY SELECT n, n, true FROM generate_series(1, head) n;
  RETURN QUERY SELECT before.size - n, after.size - n, true FROM generate_series(0, tail - 1) n;
  -- Between the two: the pairing of most worth, by dynamic programming. A content kept outweighs any number of kinds kept.
  height := before.size - head - tail;
  width := after.size - head - tail;
  best := array_fill(0, ARRAY[(height + 1) * (width + 1)]);
  FOR i IN REVERSE height..1 LOOP
    FOR j IN REVERSE width..1 LOOP
      gain := CASE WHEN before.content[head + i] = after.content[head + j] THEN 10000 WHEN before.kind[head + i] = after.kind[head + j] THEN 2 ELSE 0 END;
      gain := CASE WHEN gain = 0 THEN 0
                   ELSE gain + (before.path[head + i] = after.path[head + j])::integer + best[i * (width + 1) + j + 1] END;
      best[(i - 1) * (width + 1) + j] := greatest(gain, best[i * (width + 1) + j], best[(i - 1) * (width + 1) + j + 1]);
    END LOOP;
  END LOOP;
  i := 1;
  j := 1;
  WHILE i <= height AND j <= width LOOP
    IF best[(i - 1) * (width + 1) + j] = best[i * (width + 1) + j] THEN
      i := i + 1;
    ELSIF best[(i - 1) * (width + 1) + j] = best[(i - 1) * (width + 1) + j + 1] THEN
      j := j + 1;
    ELSE
      RETURN QUERY SELECT head + i, head + j, before.content[head + i] = after.content[head + j];
      i := i + 1;
      j := j + 1;
    END IF;
  END LOOP;
END $$;

-- What each step of a version is, wherever it stands and whatever follows it.
CREATE FUNCTION mfiauto._step_contents(workflow_id integer, version integer)
RETURNS TABLE (step_no integer, kind text, path text, content text)
LANGUAGE sql STABLE AS $$
  SELECT s.step_no, s.kind, s.path,
         md5((to_jsonb(s) - '{workflow_id,version,step_no,path,next_no,then_no,else_no,loop_no,branch_nos,condition_sql}'::text[])::text)
    FROM mfiauto.workflow_step s
   WHERE s.workflow_id = _step_contents.workflow_id AND s.version = _step_contents.version
$$;

-- Runs under way on versions other than the given one, counted by the step they stand at, and where they would go.
CREATE FUNCTION mfiauto._moves(workflow_id integer, target integer)
RETURNS TABLE (version integer, step_no integer, new_no integer, is_same boolean, runs bigint, parked bigint)
LANGUAGE sql STABLE AS $$
  SELECT e.version, e.step_no, p.new_no, p.is_same, e.runs, e.parked
    FROM (SELECT e.version, e.step_no, count(*) AS runs, count(*) FILTER (WHERE e.state = 'error') AS parked
            FROM mfiauto.enrollment_state e
           WHERE e.workflow_id = _moves.workflow_id AND e.version <> target AND e.ended_at IS NULL
           GROUP BY e.version, e.step_no) e
    LEFT JOIN (SELECT o.version, c.*
                 FROM (SELECT DISTINCT e.version FROM mfiauto.enrollment_state e
                        WHERE e.workflow_id = _moves.workflow_id AND e.version <> target AND e.ended_at IS NULL) o
                CROSS JOIN LATERAL mfiauto._counterparts(_moves.workflow_id, o.version, target) c) p
      ON p.version = e.version AND p.old_no = e.step_no
$$;

CREATE FUNCTION mfiauto._preview_move(name text)
RETURNS TABLE (from_version integer, from_step text, to_version integer, to_step text, outcome text, runs bigint, parked bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._find_workflow(_preview_move.name);
BEGIN
  RETURN QUERY
    SELECT m.version, o.path, CASE WHEN m.new_no IS NULL THEN m.version ELSE head.newest END, coalesce(n.path, o.path),
           CASE WHEN m.new_no IS NULL THEN 'stays' WHEN m.is_same THEN 'same' ELSE 'changed' END, m.runs, m.parked
      FROM mfiauto._moves(head.head_id, head.newest) m
      LEFT JOIN mfiauto.workflow_step o ON o.workflow_id = head.head_id AND o.version = m.version AND o.step_no = m.step_no
      LEFT JOIN mfiauto.workflow_step n ON n.workflow_id = head.head_id AND n.version = head.newest AND n.step_no = m.new_no
     ORDER BY m.version, m.step_no;
END $$;
SELECT mfiauto._open_door('mfiauto._preview_move(text)', '{admin,author}',
  'Where those under way on earlier versions of a workflow would go if activate_workflow(name, running => ''move'') were called now, by step. outcome: same, changed (the step itself is another), stays (the step is gone: they finish on their version).');

-- Takes those under way on a version over to another, with their keys, their tasks and what they wait for. Returns how many went.
-- The engine stands still meanwhile.
CREATE FUNCTION mfiauto._move_runs(workflow_id integer, old_version integer, target integer) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  moved mfiauto._run[];
BEGIN
  WITH pair AS MATERIALIZED (
    SELECT p.*, o.path AS old_path, n.path AS new_path
      FROM mfiauto._counterparts(_move_runs.workflow_id, old_version, target) p
      JOIN mfiauto.workflow_step o ON o.workflow_id = _move_runs.workflow_id AND o.version = old_version AND o.step_no = p.old_no
      JOIN mfiauto.workflow_step n ON n.workflow_id = _move_runs.workflow_id AND n.version = target AND n.step_no = p.new_no
  ),
  gone AS (
    UPDATE mfiauto.enrollment_state e
       SET version = target, step_no = p.new_no,
           loops = CASE WHEN e.loops IS NOT NULL THEN
             -- Keys are "3" and "3.from".
             (SELECT jsonb_object_agg(q.new_no || substr(l.key, length(q.old_no::text) + 1), l.value)
                FROM jsonb_each(e.loops) l JOIN pair q ON q.old_no::text = split_part(l.key, '.', 1)) END
      FROM pair p
     WHERE e.workflow_id = _move_runs.workflow_id AND e.version = old_version AND e.ended_at IS NULL AND e.step_no = p.old_no
    RETURNING e.client_id, e.enrollment_id, e.subject, e.subject_id, e.anchor_on, p.old_no, p.new_no, p.is_same, p.old_path, p.new_path
  ),
  keyed AS (
    INSERT INTO mfiauto.message_key (client_id, enrollment_id, version, step_no, repetition, channel, message_id)
    SELECT k.client_id, k.enrollment_id, target, p.new_no, k.repetition, k.channel, k.message_id
      FROM gone g
      JOIN LATERAL (SELECT * FROM mfiauto.message_key k
                     WHERE k.client_id = g.client_id AND k.enrollment_id = g.enrollment_id AND k.version = old_version OFFSET 0) k ON true
      JOIN pair p ON p.old_no = k.step_no
    ON CONFLICT DO NOTHING
  ),
  tasked AS (
    UPDATE mfiauto.task t SET version = target, step_no = p.new_no
      FROM gone g, pair p
     WHERE t.client_id = g.client_id AND t.enrollment_id = g.enrollment_id AND t.version = old_version AND t.step_no = p.old_no
       -- One that was closed is still to be seen by the run that waits for it.
       AND (t.state IN ('open', 'holdout') OR t.state = 'done' AND t.step_no = g.old_no)
  ),
  counted AS (
    INSERT INTO mfiauto.step_flow AS f (workflow_id, version, from_no, to_no, is_jump, run_count)
    SELECT _move_runs.workflow_id, w.version, w.from_no, w.to_no, true, count(*)
      FROM gone g CROSS JOIN LATERAL (VALUES (old_version, g.old_no, -1), (target, -1, g.new_no)) AS w(version, from_no, to_no)
     GROUP BY w.version, w.from_no, w.to_no
    ON CONFLICT ON CONSTRAINT step_flow_pkey DO UPDATE SET run_count = f.run_count + excluded.run_count
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, detail, decided_at)
    SELECT g.client_id, _move_runs.workflow_id, target, g.enrollment_id, g.subject, g.subject_id, g.new_no, 'switched',
           format('from version %s at %s to version %s at %s', old_version, g.old_path, target, g.new_path), clock
      FROM gone g
  )
  SELECT array_agg(ROW(g.client_id, g.enrollment_id, g.subject_id, NULL, g.anchor_on, g.new_no, NULL, NULL, NULL, NULL, NULL, g.is_same, NULL, NULL)::mfiauto._run)
    INTO moved FROM gone g;
  PERFORM mfiauto._replan(_move_runs.workflow_id, target, ARRAY(SELECT r::mfiauto._run FROM unnest(moved) r WHERE NOT r.verdict));
  RETURN coalesce(cardinality(moved), 0);
END $$;

-- Gives runs the moments of the steps they stand at, where these have moments of their own.
CREATE FUNCTION mfiauto._replan(workflow_id integer, version integer, runs mfiauto._run[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  WITH run AS MATERIALIZED (
    SELECT r.client_id, r.enrollment_id, r.anchor_on + s.at_offset + s.at_time AS wanted, z.zone, z.country, coalesce(s.class, v.class) AS class, s.at_offset
      FROM ROWS FROM (unnest(runs), mfiauto._client_zones(ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality)))
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, no_zone, no_country, verdict, expires_at, outcome,
                zoned_client_id, zone, country, is_zone_invalid)
      CROSS JOIN LATERAL (SELECT r.zone, r.country) z
      JOIN mfiauto.workflow_version v ON v.workflow_id = _replan.workflow_id AND v.version = _replan.version
      JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = r.step_no AND s.at_offset IS NOT NULL
  ),
  moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(
      SELECT DISTINCT ROW(r.wanted, r.zone, r.country, r.class, r.at_offset, mfiauto.now())::mfiauto._moment_key FROM run r)) m
  )
  UPDATE mfiauto.enrollment_state e
     SET due_at = CASE WHEN e.state = 'active' THEN coalesce(m.at, m.wanted AT TIME ZONE m.zone) END,
         parked_due_at = CASE WHEN e.state = 'error' THEN coalesce(m.at, m.wanted AT TIME ZONE m.zone) END
    FROM run r
    JOIN moment m ON m.wanted = r.wanted AND m.zone = r.zone AND m.country = r.country AND m.class = r.class AND m.day_offset = r.at_offset
   WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id;
END $$;

-- Ends those under way, on all versions or all but one; what they have in the queue is canceled. Returns how many.
CREATE FUNCTION mfiauto._end_runs(workflow_id integer, spared integer, reason text) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  client_ids bigint[];
  ids bigint[];
  queued record;
BEGIN
  WITH ended AS (
    UPDATE mfiauto.enrollment_state e
       SET state = 'exited', reason = _end_runs.reason, ended_at = mfiauto.now(), due_at = NULL, parked_due_at = NULL
     WHERE e.workflow_id = _end_runs.workflow_id AND e.ended_at IS NULL AND e.version IS DISTINCT FROM spared
    RETURNING e.*
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
    SELECT e.client_id, e.workflow_id, e.version, e.enrollment_id, e.subject, e.subject_id, e.step_no, 'exited', e.reason, mfiauto.now() FROM ended e
  )
  SELECT array_agg(e.client_id), array_agg(e.enrollment_id) INTO client_ids, ids FROM ended e;
  PERFORM mfiauto._cancel_tasks(ARRAY(
    SELECT ROW(k.client_id, k.enrollment_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, _end_runs.reason)::mfiauto._run
      FROM unnest(client_ids, ids) AS k(client_id, enrollment_id)));
  SELECT array_agg(o.client_id ORDER BY o.message_id) AS client_ids, array_agg(o.message_id ORDER BY o.message_id) AS message_ids INTO queued
    FROM unnest(client_ids, ids) AS k(client_id, enrollment_id)
    JOIN mfiauto.outbox o ON o.client_id = k.client_id AND o.enrollment_id = k.enrollment_id;
  IF queued.message_ids IS NOT NULL THEN
    PERFORM mfiauto._cancel_outbox(queued.client_ids, queued.message_ids, _end_runs.reason);
  END IF;
  RETURN coalesce(cardinality(ids), 0);
END $$;

-- After a pause that froze the clock: what runs wait for is put off by as long as it lasted. Steps with a date of their own keep it.
CREATE FUNCTION mfiauto._thaw(workflow_id integer) RETURNS void
LANGUAGE sql AS $$
  UPDATE mfiauto.enrollment_state e
     -- Who waits for something that may have come meanwhile is looked at anew, and set to wait on.
     SET due_at = CASE WHEN p.kind IN ('wait_for', 'task') AND e.waiting_since IS NOT NULL AND e.due_at IS NOT NULL THEN mfiauto.now() ELSE e.due_at + p.lasted END,
         parked_due_at = e.parked_due_at + p.lasted, wait_until = e.wait_until + p.lasted,
         -- A wait counts from there; to a wait_for it only says from when an event counts.
         waiting_since = CASE WHEN p.kind = 'wait' THEN e.waiting_since + p.lasted ELSE e.waiting_since END
    FROM (SELECT v.version, s.step_no, s.kind, greatest(mfiauto.now() - h.paused_at, interval '0') AS lasted
            FROM mfiauto.workflow_head h
            JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
            JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version
           WHERE h.workflow_id = _thaw.workflow_id AND h.paused_clock = 'freeze' AND (v.anchor_column IS NULL OR s.at_offset IS NULL)) p
   WHERE e.workflow_id = _thaw.workflow_id AND e.version = p.version AND e.step_no = p.step_no AND e.ended_at IS NULL
$$;

-- Where mfiauto.require_approval is on: a version that is not live yet needs the word of a second person.
CREATE FUNCTION mfiauto._check_approval(workflow text, head_id integer, checked integer) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('mfiauto.require_approval')::boolean
     AND NOT EXISTS (SELECT FROM mfiauto.workflow_approval a WHERE a.workflow_id = head_id AND a.version = checked)
     AND NOT EXISTS (SELECT FROM mfiauto.workflow_head h WHERE h.workflow_id = head_id AND h.live_version = checked AND h.activated_at IS NOT NULL) THEN
    RAISE EXCEPTION 'version % of workflow "%" is not approved', checked, workflow
      USING ERRCODE = '42501', DETAIL = 'mfiauto.require_approval is on: a second person looks at a version before it goes live.',
            HINT = format('Another role than its creator runs SELECT mfiauto.approve_workflow(%L, %s).', workflow, checked);
  END IF;
END $$;

CREATE FUNCTION mfiauto._approve_workflow(name text, version integer) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._lock_workflow(_approve_workflow.name);
  made record;
BEGIN
  SELECT v.owner, v.created_by INTO made FROM mfiauto.workflow_version v
   WHERE v.workflow_id = head.head_id AND v.version = _approve_workflow.version;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'version % of workflow "%" does not exist', _approve_workflow.version, _approve_workflow.name
      USING ERRCODE = '42704', HINT = format('Its newest version is %s.', head.newest);
  END IF;
  -- The login counts too: who may take on several roles is one person still.
  IF mfiauto._caller() IN (made.owner, made.created_by) OR session_user IN (made.owner, made.created_by) THEN
    RAISE EXCEPTION 'cannot approve version % of workflow "%": you created it', _approve_workflow.version, _approve_workflow.name
      USING ERRCODE = '42501', DETAIL = format('It was created by role "%s", logged in as "%s".', made.owner, made.created_by),
            HINT = 'Ask a colleague, who logs in under another name.';
  END IF;
  INSERT INTO mfiauto.workflow_approval (workflow_id, version, approved_by, approved_at)
  VALUES (head.head_id, _approve_workflow.version, mfiauto._caller(), mfiauto.now()) ON CONFLICT ON CONSTRAINT workflow_approval_pkey DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._approve_workflow(text, integer)', '{admin,author}',
  'Approves a version of a workflow, as a second person: neither the role that created it nor its login. Where mfiauto.require_approval is on, activate_workflow() takes no other.');

CREATE FUNCTION mfiauto._activate_workflow(name text, max_per_day integer DEFAULT NULL, running text DEFAULT 'finish') RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record;
  old record;
  gone bigint := 0;
BEGIN
  IF _activate_workflow.max_per_day <= 0 THEN
    RAISE EXCEPTION 'max_per_day must be greater than zero' USING ERRCODE = '22023', HINT = 'Leave it out for no limit.';
  END IF;
  IF running IS NULL OR running NOT IN ('finish', 'move', 'stop') THEN
    RAISE EXCEPTION 'running must be finish, move or stop, not "%"', running
      USING ERRCODE = '22023', HINT = 'It says what becomes of those under way on earlier versions; preview_move() shows who would go where.';
  END IF;
  IF running <> 'finish' THEN
    -- The engine comes first: it takes its lock before it takes the workflow's.
    PERFORM pg_advisory_xact_lock(hashtext('mfiauto engine'));
  END IF;
  head := mfiauto._lock_workflow(_activate_workflow.name);
  PERFORM mfiauto._check_approval(_activate_workflow.name, head.head_id, head.newest);
  PERFORM mfiauto._check_activation(_activate_workflow.name, head.head_id, head.newest);
  PERFORM mfiauto._thaw(head.head_id);
  UPDATE mfiauto.workflow_head h
     SET state = 'active', live_version = head.newest, activated_at = mfiauto.now(), paused_at = NULL, paused_clock = NULL, planned_through = NULL,
         max_per_day = coalesce(_activate_workflow.max_per_day, v.max_per_day)
    FROM mfiauto.workflow_version v
   WHERE h.workflow_id = head.head_id AND v.workflow_id = head.head_id AND v.version = head.newest;
  PERFORM mfiauto._note_change('workflow', _activate_workflow.name, jsonb_build_object('state', 'active', 'version', head.newest));
  IF running = 'stop' THEN
    gone := mfiauto._end_runs(head.head_id, head.newest, 'version_replaced');
    RAISE NOTICE 'workflow "%": % runs of earlier versions were stopped', _activate_workflow.name, gone;
  ELSIF running = 'move' THEN
    FOR old IN SELECT DISTINCT e.version FROM mfiauto.enrollment_state e
                WHERE e.workflow_id = head.head_id AND e.version <> head.newest AND e.ended_at IS NULL ORDER BY e.version LOOP
      gone := gone + mfiauto._move_runs(head.head_id, old.version, head.newest);
    END LOOP;
    RAISE NOTICE 'workflow "%": % runs went over to version %, % finish on theirs', _activate_workflow.name, gone, head.newest,
      (SELECT count(*) FROM mfiauto.enrollment_state e WHERE e.workflow_id = head.head_id AND e.version <> head.newest AND e.ended_at IS NULL);
  END IF;
  RETURN head.newest;
END $$;
SELECT mfiauto._open_door('mfiauto._activate_workflow(text, integer, text)', '{admin,author}',
  'Makes the newest version of a workflow live and returns its number. max_per_day: most new enrollments a day. running: those under way on earlier versions finish on theirs (default), move (see preview_move()), or stop.');

CREATE FUNCTION mfiauto._pause_workflow(name text, clock text DEFAULT 'run') RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record;
BEGIN
  IF clock IS NULL OR clock NOT IN ('run', 'freeze') THEN
    RAISE EXCEPTION 'clock must be run or freeze, not "%"', clock
      USING ERRCODE = '22023', HINT = 'freeze puts off what runs wait for by as long as the pause lasts; run lets their time pass.';
  END IF;
  head := mfiauto._lock_workflow(_pause_workflow.name);
  IF head.head_state <> 'active' THEN
    RAISE EXCEPTION 'cannot pause workflow "%": it is %', _pause_workflow.name, head.head_state USING ERRCODE = '55000';
  END IF;
  UPDATE mfiauto.workflow_head h SET state = 'paused', paused_at = mfiauto.now(), paused_clock = clock WHERE h.workflow_id = head.head_id;
  PERFORM mfiauto._note_change('workflow', _pause_workflow.name, jsonb_build_object('state', 'paused'));
END $$;
SELECT mfiauto._open_door('mfiauto._pause_workflow(text, text)', '{admin,author}',
  'Stops a workflow for a while: nobody enters and no step runs until resume_workflow(). clock: run (default), time passes as in a down-time; freeze, waits and timeouts are put off by the pause, while dates stay. Messages already queued still leave; hold_delivery(workflow => …) holds them.');

CREATE FUNCTION mfiauto._resume_workflow(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._lock_workflow(_resume_workflow.name);
BEGIN
  IF head.head_state <> 'paused' THEN
    RAISE EXCEPTION 'cannot resume workflow "%": it is %', _resume_workflow.name, head.head_state
      USING ERRCODE = '55000', HINT = 'Only a paused workflow is resumed; activate_workflow() starts one.';
  END IF;
  PERFORM mfiauto._check_activation(_resume_workflow.name, head.head_id, head.live);
  PERFORM mfiauto._thaw(head.head_id);
  UPDATE mfiauto.workflow_head h SET state = 'active', paused_at = NULL, paused_clock = NULL, planned_through = NULL WHERE h.workflow_id = head.head_id;
  PERFORM mfiauto._note_change('workflow', _resume_workflow.name, jsonb_build_object('state', 'active'));
END $$;
SELECT mfiauto._open_door('mfiauto._resume_workflow(text)', '{admin,author}',
  'Lets a paused workflow go on. If its clock ran, steps whose time passed meanwhile are skipped as after any down-time; if it was frozen, waits and timeouts go on where they stood.');

CREATE FUNCTION mfiauto._archive_workflow(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._lock_workflow(_archive_workflow.name);
  client_ids bigint[];
  message_ids bigint[];
BEGIN
  IF head.head_state NOT IN ('active', 'paused') THEN
    RAISE EXCEPTION 'cannot archive workflow "%": it is %', _archive_workflow.name, head.head_state
      USING ERRCODE = '55000', HINT = CASE head.head_state WHEN 'draft' THEN 'drop_workflow() removes a draft.' ELSE 'It needs no more archiving.' END;
  END IF;
  UPDATE mfiauto.workflow_head h SET state = 'archived', paused_at = NULL, paused_clock = NULL WHERE h.workflow_id = head.head_id;
  PERFORM mfiauto._note_change('workflow', _archive_workflow.name, jsonb_build_object('state', 'archived'));
  PERFORM mfiauto._end_runs(head.head_id, NULL, 'workflow_stopped');
  -- Messages of runs that had come to their end.
  SELECT array_agg(o.client_id ORDER BY o.message_id), array_agg(o.message_id ORDER BY o.message_id) INTO client_ids, message_ids
    FROM mfiauto.outbox o WHERE o.workflow_id = head.head_id;
  IF message_ids IS NOT NULL THEN
    PERFORM mfiauto._cancel_outbox(client_ids, message_ids, 'workflow_stopped');
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._archive_workflow(text)', '{admin,author}',
  'Ends a workflow: running enrollments exit and messages that have not left are canceled. Its history stays; activate_workflow() starts it anew.');
