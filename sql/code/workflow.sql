-- Workflows: creating (compiled in C), and the life of what was created.

CREATE FUNCTION mfiauto._compile_workflow(name text, definition text, role text) RETURNS text
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_compile_workflow';

-- Whether subjects of a kind are rows of the books, which can go or change hands. The client and what watch() looks at are not.
CREATE FUNCTION mfiauto._is_row(subject text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT _is_row.subject IN ('application', 'loan', 'installment', 'payment', 'holding') $$;

CREATE FUNCTION mfiauto._create_workflow(name text, definition json) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  program jsonb;
  head integer;
  made integer;
BEGIN
  IF _create_workflow.name IS NULL OR _create_workflow.definition IS NULL THEN
    RAISE EXCEPTION '% must not be null', CASE WHEN _create_workflow.name IS NULL THEN 'name' ELSE 'definition' END
      USING ERRCODE = '22004';
  END IF;
  IF _create_workflow.name !~ '^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$' OR octet_length(_create_workflow.name) > 100 THEN
    RAISE EXCEPTION 'cannot name a workflow "%"', left(_create_workflow.name, 100)
      USING ERRCODE = '22023', DETAIL = 'A name has 1 to 100 bytes, no control characters, and no space at either end.',
            HINT = 'Choose a name such as repayment_reminder.';
  END IF;
  program := mfiauto._compile_workflow(_create_workflow.name, _create_workflow.definition::text, mfiauto._caller())::jsonb;
  PERFORM mfiauto._check_template_text(format('task title at %s.task', s.step ->> 'path'), s.step ->> 'task_title', 1000, false)
     FROM jsonb_array_elements(program -> 'steps') s(step) WHERE s.step ? 'task_title';
  INSERT INTO mfiauto.workflow_head (name, salt, created_at)
    VALUES (_create_workflow.name, gen_random_uuid()::text, mfiauto.now()) ON CONFLICT (name) DO NOTHING;
  SELECT h.workflow_id INTO STRICT head FROM mfiauto.workflow_head h WHERE h.name = _create_workflow.name FOR UPDATE;
  SELECT coalesce(max(v.version), 0) + 1 INTO made FROM mfiauto.workflow_version v WHERE v.workflow_id = head;
  INSERT INTO mfiauto.workflow_version
    SELECT v.* FROM jsonb_populate_record(NULL::mfiauto.workflow_version, (program -> 'version') || jsonb_build_object(
      'workflow_id', head, 'version', made, 'definition', _create_workflow.definition,
      'source', _create_workflow.definition::text, 'created_at', mfiauto.now())) v;
  INSERT INTO mfiauto.workflow_step
    SELECT (jsonb_populate_record(NULL::mfiauto.workflow_step, s.step || jsonb_build_object('workflow_id', head, 'version', made))).*
      FROM jsonb_array_elements(program -> 'steps') s(step);
  RETURN made;
END $$;
SELECT mfiauto._open_door('mfiauto._create_workflow(text, json)', '{admin,author}',
  'Checks and compiles a workflow definition and stores it as a new draft version (its number is returned), live when activated. The creator''s rights are those its conditions run with.');

CREATE FUNCTION mfiauto._alter_workflow(name text, definition json) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._lock_workflow(_alter_workflow.name);
  RETURN mfiauto._create_workflow(_alter_workflow.name, _alter_workflow.definition);
END $$;
SELECT mfiauto._open_door('mfiauto._alter_workflow(text, json)', '{admin,author}',
  'Gives a workflow that exists a new draft version, as creating it again does.');

-- The head of a workflow that must exist.
CREATE FUNCTION mfiauto._find_workflow(workflow text, OUT head_id integer, OUT head_state text, OUT live integer, OUT newest integer)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT h.workflow_id, h.state, h.live_version INTO head_id, head_state, live FROM mfiauto.workflow_head h WHERE h.name = _find_workflow.workflow;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'workflow "%" does not exist', _find_workflow.workflow
      USING ERRCODE = '42704', HINT = 'mfiauto.workflow lists the workflows.';
  END IF;
  SELECT max(v.version) INTO newest FROM mfiauto.workflow_version v WHERE v.workflow_id = head_id;
END $$;

-- The same, locked against others who would change its state. The lock comes first: what is read then is what they left.
CREATE FUNCTION mfiauto._lock_workflow(workflow text, OUT head_id integer, OUT head_state text, OUT live integer, OUT newest integer)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM mfiauto.workflow_head h WHERE h.name = _lock_workflow.workflow FOR NO KEY UPDATE;
  SELECT f.* INTO head_id, head_state, live, newest FROM mfiauto._find_workflow(_lock_workflow.workflow) f;
END $$;

-- What a version needs to run: bindings (or it is refused), gateways (or there is a warning).
CREATE FUNCTION mfiauto._check_activation(workflow text, head_id integer, checked integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  needed record;
  wanted text;
BEGIN
  SELECT v.* INTO STRICT needed FROM mfiauto.workflow_version v
   WHERE v.workflow_id = _check_activation.head_id AND v.version = _check_activation.checked;
  FOREACH wanted IN ARRAY ARRAY['client', needed.subject] LOOP
    -- A watched table is not bound.
    IF (wanted = 'client' OR mfiauto._is_row(wanted)) AND NOT EXISTS (SELECT FROM mfiauto.binding_config b WHERE b.role = wanted) THEN
      RAISE EXCEPTION 'cannot activate workflow "%": role "%" is not bound', _check_activation.workflow, wanted
        USING ERRCODE = '55000', HINT = format('Bind it first: SELECT mfiauto.bind(%L, …).', wanted);
    END IF;
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = needed.owner) THEN
    RAISE EXCEPTION 'cannot activate workflow "%": its owner "%" does not exist', _check_activation.workflow, needed.owner
      USING ERRCODE = '55000', HINT = 'Create it again, as a role that stays.';
  END IF;
  FOR wanted IN
    SELECT DISTINCT c.channel
      FROM mfiauto.workflow_step s
      CROSS JOIN LATERAL (SELECT unnest(s.channels) AS channel
                          UNION SELECT t.channel FROM mfiauto.template_version t WHERE s.channels IS NULL AND t.name = s.template AND t.is_live) c
     WHERE s.workflow_id = _check_activation.head_id AND s.version = _check_activation.checked AND s.kind = 'send'
       AND NOT EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.channel = c.channel AND g.is_enabled)
     ORDER BY c.channel
  LOOP
    RAISE WARNING 'workflow "%" sends by %, for which there is no gateway', _check_activation.workflow, wanted
      USING HINT = 'Declare one with mfiauto.create_gateway(); until then these messages are held.';
  END LOOP;
END $$;

CREATE FUNCTION mfiauto._activate_workflow(name text, max_per_day integer DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record;
BEGIN
  IF _activate_workflow.max_per_day <= 0 THEN
    RAISE EXCEPTION 'max_per_day must be greater than zero' USING ERRCODE = '22023', HINT = 'Leave it out for no limit.';
  END IF;
  head := mfiauto._lock_workflow(_activate_workflow.name);
  PERFORM mfiauto._check_activation(_activate_workflow.name, head.head_id, head.newest);
  UPDATE mfiauto.workflow_head h
     SET state = 'active', live_version = head.newest, activated_at = mfiauto.now(), paused_at = NULL, planned_through = NULL,
         max_per_day = coalesce(_activate_workflow.max_per_day, v.max_per_day)
    FROM mfiauto.workflow_version v
   WHERE h.workflow_id = head.head_id AND v.workflow_id = head.head_id AND v.version = head.newest;
  RETURN head.newest;
END $$;
SELECT mfiauto._open_door('mfiauto._activate_workflow(text, integer)', '{admin,author}',
  'Makes the newest version of a workflow live and returns its number. Running enrollments finish on their version. max_per_day: most new enrollments a day.');

CREATE FUNCTION mfiauto._pause_workflow(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._lock_workflow(_pause_workflow.name);
BEGIN
  IF head.head_state <> 'active' THEN
    RAISE EXCEPTION 'cannot pause workflow "%": it is %', _pause_workflow.name, head.head_state USING ERRCODE = '55000';
  END IF;
  UPDATE mfiauto.workflow_head h SET state = 'paused', paused_at = mfiauto.now() WHERE h.workflow_id = head.head_id;
END $$;
SELECT mfiauto._open_door('mfiauto._pause_workflow(text)', '{admin,author}',
  'Stops a workflow for a while: nobody enters and no step runs until resume_workflow(). Messages already queued still leave; hold_delivery(workflow => …) holds them.');

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
  UPDATE mfiauto.workflow_head h SET state = 'active', paused_at = NULL, planned_through = NULL WHERE h.workflow_id = head.head_id;
END $$;
SELECT mfiauto._open_door('mfiauto._resume_workflow(text)', '{admin,author}',
  'Lets a paused workflow go on. Steps whose time passed meanwhile are skipped as after any down-time.');

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
  UPDATE mfiauto.workflow_head h SET state = 'archived', paused_at = NULL WHERE h.workflow_id = head.head_id;
  WITH ended AS (
    UPDATE mfiauto.enrollment_state e
       SET state = 'exited', reason = 'workflow_stopped', ended_at = mfiauto.now(), due_at = NULL
     WHERE e.workflow_id = head.head_id AND e.ended_at IS NULL
    RETURNING e.*
  )
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, decision, reason, decided_at)
    SELECT e.client_id, e.workflow_id, e.version, e.enrollment_id, e.subject, e.subject_id, 'exited', 'workflow_stopped', mfiauto.now() FROM ended e;
  SELECT array_agg(o.client_id ORDER BY o.message_id), array_agg(o.message_id ORDER BY o.message_id) INTO client_ids, message_ids
    FROM mfiauto.outbox o WHERE o.workflow_id = head.head_id;
  IF message_ids IS NOT NULL THEN
    PERFORM mfiauto._cancel_outbox(client_ids, message_ids, 'workflow_stopped');
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._archive_workflow(text)', '{admin,author}',
  'Ends a workflow: running enrollments exit and messages that have not left are canceled. Its history stays; activate_workflow() starts it anew.');

CREATE FUNCTION mfiauto._drop_workflow(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._lock_workflow(_drop_workflow.name);
BEGIN
  IF head.head_state <> 'draft' THEN
    RAISE EXCEPTION 'cannot drop workflow "%": it is %', _drop_workflow.name, head.head_state
      USING ERRCODE = '55000', DETAIL = 'What a workflow has sent is explained by its versions, which stay.',
            HINT = CASE head.head_state WHEN 'archived' THEN 'It is at rest already.' ELSE 'archive_workflow() ends it.' END;
  END IF;
  DELETE FROM mfiauto.step_flow f WHERE f.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_step s WHERE s.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_version v WHERE v.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_head h WHERE h.workflow_id = head.head_id;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_workflow(text)', '{admin,author}',
  'Removes a workflow that was never activated, with all its drafts.');
