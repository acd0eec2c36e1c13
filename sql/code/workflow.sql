-- Workflows: creating them (compiled in C) and dropping drafts. What a version holds is never changed: no function here or elsewhere updates it.

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
      'workflow_id', head, 'version', made, 'definition', _create_workflow.definition, 'source', _create_workflow.definition::text,
      'created_by', session_user, 'created_at', mfiauto.now())) v;
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

-- What a version needs for anything, to be activated or to be simulated: bindings, and an owner.
CREATE FUNCTION mfiauto._check_needs(purpose text, workflow text, subject text, owner text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['client', subject] LOOP
    -- A watched table is not bound.
    IF (wanted = 'client' OR mfiauto._is_row(wanted)) AND NOT EXISTS (SELECT FROM mfiauto.binding_config b WHERE b.role = wanted) THEN
      RAISE EXCEPTION 'cannot % workflow "%": role "%" is not bound', purpose, workflow, wanted
        USING ERRCODE = '55000', HINT = format('Bind it first: SELECT mfiauto.bind(%L, …).', wanted);
    END IF;
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = owner) THEN
    RAISE EXCEPTION 'cannot % workflow "%": its owner "%" does not exist', purpose, workflow, owner
      USING ERRCODE = '55000', HINT = 'Create it again, as a role that stays.';
  END IF;
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
  PERFORM mfiauto._check_needs('activate', _check_activation.workflow, needed.subject, needed.owner);
  PERFORM mfiauto._check_lint(_check_activation.workflow, _check_activation.head_id, _check_activation.checked);
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
  DELETE FROM mfiauto.workflow_approval a WHERE a.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_step s WHERE s.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_version v WHERE v.workflow_id = head.head_id;
  DELETE FROM mfiauto.workflow_head h WHERE h.workflow_id = head.head_id;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_workflow(text)', '{admin,author}',
  'Removes a workflow that was never activated, with all its drafts.');
