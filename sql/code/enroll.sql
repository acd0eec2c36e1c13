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

CREATE FUNCTION mfiauto._enroll(workflow text, client_id bigint, subject_id bigint DEFAULT NULL, context jsonb DEFAULT NULL) RETURNS bigint
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
  IF head.head_state <> 'active' THEN
    PERFORM mfiauto._refuse_entry(workflow, _enroll.client_id, format('The workflow is %s.', head.head_state), 'Use activate_workflow() or resume_workflow() first.');
  END IF;
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = head.head_id AND w.version = head.live;
  IF v.anchor_column IS NOT NULL AND _enroll.subject_id IS NULL THEN
    RAISE EXCEPTION 'workflow "%" needs a subject_id', workflow
      USING ERRCODE = '22023', DETAIL = format('Each run follows one %s.', v.subject), HINT = 'Give its number as subject_id.';
  END IF;
  about := mfiauto._find_subject(workflow, v.subject, _enroll.client_id, _enroll.subject_id);
  SELECT e.enrollment_id INTO running FROM mfiauto.enrollment_state e
   WHERE e.client_id = _enroll.client_id AND e.workflow_id = head.head_id AND e.subject = v.subject AND e.subject_id = about AND e.ended_at IS NULL;
  IF FOUND THEN
    RETURN running;
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
    PERFORM mfiauto._enter(head.head_id, head.live, NULL, ARRAY[_enroll.client_id], ARRAY[about], ARRAY[about]);
  ELSE
    PERFORM mfiauto._enter_at_start(head.head_id, head.live, _enroll.client_id, about, _enroll.context);
  END IF;
  SELECT e.enrollment_id INTO running FROM mfiauto.enrollment_state e
   WHERE e.client_id = _enroll.client_id AND e.workflow_id = head.head_id AND e.subject = v.subject AND e.subject_id = about AND e.ended_at IS NULL;
  IF NOT FOUND THEN
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

-- Lets one pair into a version that an event would start: its first step, now, in the arm that its unit has for ever.
CREATE FUNCTION mfiauto._enter_at_start(workflow_id integer, version integer, client_id bigint, about bigint, context jsonb) RETURNS void
LANGUAGE sql AS $$
  SELECT mfiauto._admit(v.workflow_id, v.version, ARRAY[
    ROW(_enter_at_start.client_id, NULL, about, CASE WHEN v.subject = 'loan' THEN about ELSE s.loan_id END, NULL, 1, mfiauto.now(),
        mfiauto._arm(h.salt, CASE WHEN c.holdout_allowed THEN v.holdout ELSE 0 END,
                     CASE WHEN s.role IS NOT NULL AND s.client_id IS NULL THEN 'loan ' || CASE WHEN v.subject = 'loan' THEN about ELSE s.loan_id END
                          ELSE 'client ' || _enter_at_start.client_id END),
        jsonb_build_object('event', coalesce(_enter_at_start.context, '{}')), z.zone, z.country, NULL, NULL, NULL)::mfiauto._run])
    FROM mfiauto.workflow_version v
    JOIN mfiauto.workflow_head h ON h.workflow_id = v.workflow_id
    JOIN mfiauto.message_class c ON c.class = v.class
    CROSS JOIN mfiauto._client_zones(ARRAY[_enter_at_start.client_id]) z
    LEFT JOIN mfiauto.subject_state s ON s.role = v.subject AND s.subject_id = about
   WHERE v.workflow_id = _enter_at_start.workflow_id AND v.version = _enter_at_start.version
$$;

SELECT mfiauto._open_door('mfiauto._enroll(text, bigint, bigint, jsonb)', '{admin,author}',
  'Enrolls one client now and returns the enrollment''s id; the id of the live one if there is one. Conditions and re-entry hold as for everybody: a refusal (55000) says why. context is what templates read as event.');
