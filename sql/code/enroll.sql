-- Enrolling by hand: one client, now, under the same conditions and rules of re-entry as everybody.

-- The subject that a client's run is about: the one that was named, else the only one the client has.
CREATE FUNCTION mfiauto._find_subject(workflow text, kind text, client_id bigint, subject_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  candidates bigint[];
BEGIN
  IF kind = 'client' THEN
    IF _find_subject.subject_id <> _find_subject.client_id THEN
      RAISE EXCEPTION 'workflow "%" is about the client alone', workflow USING ERRCODE = '22023', HINT = 'Leave subject_id out.';
    END IF;
    RETURN _find_subject.client_id;
  END IF;
  IF NOT mfiauto._is_row(kind) THEN
    IF _find_subject.subject_id IS NULL THEN
      RAISE EXCEPTION 'workflow "%" needs a subject_id', workflow USING ERRCODE = '22023', DETAIL = format('Each run follows one %s.', kind),
        HINT = 'Give its number as subject_id.';
    END IF;
    RETURN _find_subject.subject_id;
  END IF;
  SELECT array_agg(s.subject_id) INTO candidates
    FROM mfiauto.subject_state s
   WHERE s.role = kind AND (_find_subject.subject_id IS NULL OR s.subject_id = _find_subject.subject_id)
     AND (s.client_id = _find_subject.client_id
          OR (s.client_id IS NULL AND mfiauto._is_member(CASE WHEN kind = 'loan' THEN s.subject_id ELSE s.loan_id END, _find_subject.client_id)));
  IF cardinality(candidates) = 1 THEN
    RETURN candidates[1];
  END IF;
  IF _find_subject.subject_id IS NOT NULL THEN
    RAISE EXCEPTION '% % does not belong to client %', kind, _find_subject.subject_id, _find_subject.client_id
      USING ERRCODE = '42704', HINT = format('See SELECT * FROM mfiauto.%I; after a load without triggers, mfiauto.resync(%L).', kind, kind);
  END IF;
  RAISE EXCEPTION 'client % has % %s: say which one', _find_subject.client_id, coalesce(cardinality(candidates), 0), kind
    USING ERRCODE = '22023', HINT = 'Give its number as subject_id.';
END $$;

-- Raises the reason why a pair may not enter a version.
CREATE FUNCTION mfiauto._refuse_entry(workflow text, client_id bigint, detail text, hint text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'cannot enroll client % in workflow "%"', _refuse_entry.client_id, _refuse_entry.workflow
    USING ERRCODE = '55000', DETAIL = _refuse_entry.detail, HINT = _refuse_entry.hint;
END $$;

-- The live run of a pair, which takes on the caller's key unless it has one already.
CREATE FUNCTION mfiauto._running(client_id bigint, workflow_id integer, subject text, subject_id bigint, key text) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  run record;
BEGIN
  SELECT e.enrollment_id, e.entry_key INTO run FROM mfiauto.enrollment_state e
   WHERE e.client_id = _running.client_id AND e.workflow_id = _running.workflow_id AND e.subject = _running.subject AND e.subject_id = _running.subject_id
     AND e.ended_at IS NULL;
  IF run.entry_key <> _running.key THEN
    PERFORM mfiauto._refuse_entry((SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = _running.workflow_id), _running.client_id,
      'It is under way, by another key.', 'Wait for its end, or call with the key that it was enrolled with.');
  ELSIF run.entry_key IS NULL AND _running.key IS NOT NULL THEN
    UPDATE mfiauto.enrollment_state e SET entry_key = _running.key WHERE e.client_id = _running.client_id AND e.enrollment_id = run.enrollment_id;
  END IF;
  RETURN run.enrollment_id;
END $$;

CREATE FUNCTION mfiauto._enroll(workflow text, client_id bigint, subject_id bigint DEFAULT NULL, context jsonb DEFAULT NULL, key text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  head record := mfiauto._find_workflow(_enroll.workflow);
  v record;
  about bigint;
  running bigint;
  verdict boolean;
BEGIN
  IF _enroll.client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  IF jsonb_typeof(_enroll.context) <> 'object' THEN
    RAISE EXCEPTION 'context must be a JSON object' USING ERRCODE = '22023', HINT = 'Its keys are what templates read as {{event.key}}.';
  END IF;
  IF length(_enroll.key) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'key must have 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Give what names this call, or leave key out.';
  END IF;
  SELECT e.enrollment_id INTO running FROM mfiauto.enrollment_state e
   WHERE e.client_id = _enroll.client_id AND e.workflow_id = head.head_id AND e.entry_key = _enroll.key;
  IF FOUND THEN
    RETURN running;
  END IF;
  IF head.head_state <> 'active' THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id, format('The workflow is %s.', head.head_state), 'Use activate_workflow() or resume_workflow() first.');
  END IF;
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = head.head_id AND w.version = head.live;
  IF v.anchor_column IS NOT NULL AND _enroll.subject_id IS NULL THEN
    RAISE EXCEPTION 'workflow "%" needs a subject_id', workflow
      USING ERRCODE = '22023', DETAIL = format('Each run follows one %s.', v.subject), HINT = 'Give its number as subject_id.';
  END IF;
  about := mfiauto._find_subject(workflow, v.subject, _enroll.client_id, _enroll.subject_id);
  running := mfiauto._running(_enroll.client_id, head.head_id, v.subject, about, _enroll.key);
  IF running IS NOT NULL THEN
    RETURN running;
  END IF;
  IF EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = _enroll.client_id) THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id, 'The client was erased.', 'A client who comes back is a new client.');
  END IF;
  IF v.reentry <> 'always' AND EXISTS (
       SELECT FROM mfiauto.enrollment_state e
        WHERE e.client_id = _enroll.client_id AND e.workflow_id = head.head_id AND e.subject = v.subject AND e.subject_id = about
          AND (v.reentry = 'never' OR e.entered_at > mfiauto.now() - v.reentry_after)) THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id, 'It has been through already.',
      format('The workflow''s "reentry" is %s.', coalesce(v.reentry_after::text, v.reentry)));
  END IF;
  verdict := mfiauto._verdicts(v.owner, v.enter_sql, ARRAY[_enroll.client_id], ARRAY[about], true);
  IF verdict IS NOT TRUE THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id,
      format('"enter_if" is %s: %s', coalesce(verdict::text, 'null'), v.enter_if), 'Only who meets the condition may enter, by hand as well.');
  END IF;
  verdict := mfiauto._verdicts(v.owner, v.exit_sql, ARRAY[_enroll.client_id], ARRAY[about], false);
  IF verdict THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id, format('"exit_if" is true: %s', v.exit_if), 'It would leave at once.');
  END IF;
  IF v.anchor_column IS NOT NULL THEN
    -- Just activated: the dates may not have been read yet.
    PERFORM mfiauto._fill_dates(v.subject, v.anchor_column);
    PERFORM mfiauto._enter(head.head_id, head.live, NULL, ARRAY[_enroll.client_id], ARRAY[about], ARRAY[about]);
  ELSE
    PERFORM mfiauto._enter_now(head.head_id, head.live, ARRAY[_enroll.client_id], ARRAY[about],
                               ARRAY[jsonb_build_object('event', coalesce(_enroll.context, '{}'))], entry_key => _enroll.key);
  END IF;
  running := mfiauto._running(_enroll.client_id, head.head_id, v.subject, about, _enroll.key);
  IF running IS NULL THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id,
      CASE WHEN v.anchor_column IS NULL THEN 'The workflow takes no more clients today.'
           ELSE 'No step of the workflow is ahead of it, or the workflow takes no more clients today.' END,
      'See max_per_day of mfiauto.workflow and the moments of its steps.');
  END IF;
  IF v.anchor_column IS NOT NULL AND _enroll.context IS NOT NULL THEN
    UPDATE mfiauto.enrollment_state e SET context = jsonb_build_object('event', _enroll.context)
     WHERE e.client_id = _enroll.client_id AND e.enrollment_id = running;
  END IF;
  RETURN running;
END $$;

SELECT mfiauto._open_door('mfiauto._enroll(text, bigint, bigint, jsonb, text)', '{admin,author}',
  'Enrolls one client now and returns the enrollment''s id; the id of the live one if there is one. A key makes the call repeatable: the same key gives the same enrollment, also after it ended. Conditions and re-entry hold as for everybody: a refusal (55000) says why. context is what templates read as event.');
