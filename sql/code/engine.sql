-- The engine's own doors: a pass in the foreground, parked runs tried again, messages canceled by an operator.

CREATE FUNCTION mfiauto._run_engine(OUT events bigint, OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint, OUT parked bigint)
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_run_engine';
SELECT mfiauto._open_door('mfiauto._run_engine()', '{admin}',
  'One pass of the engine in this transaction, until nothing is due at the clock: consumes events, enters, exits and advances enrollments, makes their messages.');

-- One batch, as the engine's worker does one in a transaction; whether there was anything to do.
CREATE FUNCTION mfiauto._run_engine_batch() RETURNS boolean
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_run_engine_batch';

-- How many statements the last pass of this session executed, nested ones too: it must not depend on how many runs were due.
CREATE FUNCTION mfiauto._engine_statements() RETURNS bigint
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_count_engine_statements';

-- Sets aside runs, or those that would have entered, whose treatment failed; nothing of them is lost.
CREATE FUNCTION mfiauto._park_runs(stage text, workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                              sqlstate text, message text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  is_run boolean := _park_runs.stage IN ('review', 'step');
  v mfiauto.workflow_version;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _park_runs.workflow_id AND w.version = _park_runs.version;
  IF is_run THEN
    UPDATE mfiauto.enrollment_state e
       SET state = 'error', parked_due_at = e.due_at, due_at = NULL, reason = _park_runs.sqlstate || ': ' || _park_runs.message
      FROM unnest(_park_runs.client_ids, _park_runs.ids) AS k(client_id, enrollment_id)
     WHERE e.client_id = k.client_id AND e.enrollment_id = k.enrollment_id AND e.state = 'active';
  ELSE
    DELETE FROM mfiauto.fallback_watch w
     USING unnest(_park_runs.client_ids, _park_runs.ids) AS k(client_id, message_id)
     WHERE _park_runs.stage = 'fallback' AND w.client_id = k.client_id AND w.message_id = k.message_id;
    INSERT INTO mfiauto.parked_fact (stage, source, subject, subject_id, client_id, sqlstate, reason, detail, parked_at)
    SELECT 'engine ' || _park_runs.stage, (SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id), v.subject, k.subject_id,
           k.client_id, _park_runs.sqlstate, 'condition_error', _park_runs.message, clock
      FROM unnest(_park_runs.client_ids, _park_runs.subject_ids) AS k(client_id, subject_id);
  END IF;
  IF _park_runs.stage = 'calendar' THEN
    PERFORM mfiauto._settle_entries(v.workflow_id, v.version, _park_runs.client_ids, _park_runs.subject_ids);
  END IF;
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
  SELECT k.client_id, v.workflow_id, v.version, CASE WHEN is_run THEN k.id END, v.subject, k.subject_id, _park_runs.step_no, 'error', _park_runs.sqlstate,
         _park_runs.message, clock
    FROM unnest(_park_runs.client_ids, _park_runs.ids, _park_runs.subject_ids) AS k(client_id, id, subject_id);
END $$;

CREATE FUNCTION mfiauto._workflow_named(workflow text) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_id integer := (SELECT h.workflow_id FROM mfiauto.workflow_head h WHERE h.name = workflow);
BEGIN
  IF workflow IS NULL THEN
    RAISE EXCEPTION 'workflow must not be null' USING ERRCODE = '22004', HINT = 'Name the workflow, as in workflow => ''welcome''.';
  ELSIF found_id IS NULL THEN
    RAISE EXCEPTION 'workflow "%" does not exist', workflow
      USING ERRCODE = '42704', HINT = 'SELECT name FROM mfiauto.workflow; lists them.';
  END IF;
  RETURN found_id;
END $$;

-- Those that failed on the way go on at the step they stood at; those that failed at the door come up again.
CREATE FUNCTION mfiauto._unpark(workflow text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  clock timestamptz := mfiauto.now();
  of_workflow integer := mfiauto._workflow_named(_unpark.workflow);
  unparked bigint;
  knocking bigint;
BEGIN
  WITH freed AS (
    UPDATE mfiauto.enrollment_state e
       SET state = 'active', due_at = CASE WHEN e.waiting_since IS NULL THEN coalesce(e.parked_due_at, clock) ELSE clock END, parked_due_at = NULL, reason = NULL
     WHERE e.workflow_id = of_workflow AND e.state = 'error'
    RETURNING e.*
  ),
  noted AS (
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
    SELECT f.client_id, f.workflow_id, f.version, f.enrollment_id, f.subject, f.subject_id, f.step_no, 'unparked', mfiauto._caller(), clock FROM freed f
  )
  SELECT count(*) INTO unparked FROM freed;
  WITH gone AS (
    DELETE FROM mfiauto.parked_fact p WHERE p.stage IN ('engine enter', 'engine trigger', 'engine calendar') AND p.source = _unpark.workflow RETURNING p.*
  ),
  recalled AS (
    -- Whom the calendar had brought comes up at once.
    INSERT INTO mfiauto.entry_state (client_id, workflow_id, subject_id, base_at, due_at)
    SELECT DISTINCT g.client_id, of_workflow, g.subject_id, clock, clock FROM gone g WHERE g.stage = 'engine calendar' AND g.client_id IS NOT NULL
    ON CONFLICT ON CONSTRAINT entry_state_pkey DO UPDATE SET due_at = excluded.due_at
  )
  SELECT count(*) INTO knocking FROM gone;
  IF knocking > 0 THEN
    UPDATE mfiauto.workflow_head h SET planned_through = NULL WHERE h.workflow_id = of_workflow;
  END IF;
  RETURN unparked + knocking;
END $$;
SELECT mfiauto._open_door('mfiauto._unpark(text)', '{admin,author}',
  'Tries again what was parked in a workflow: runs in state error go on at their step. Returns how many.');

CREATE FUNCTION mfiauto._cancel_messages(workflow text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  of_workflow integer := mfiauto._workflow_named(_cancel_messages.workflow);
BEGIN
  RETURN mfiauto._cancel_outbox(array_agg(o.client_id), array_agg(o.message_id), 'canceled_by_operator')
    FROM mfiauto.outbox o WHERE o.workflow_id = of_workflow;
END $$;
SELECT mfiauto._open_door('mfiauto._cancel_messages(text)', '{admin,author}',
  'Cancels every message of a workflow that has not been claimed yet. Returns how many; its runs go on.');
