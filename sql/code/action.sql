-- Steps that do something other than send: each is a function of _run_step().

-- Gives the runs' tasks to people: the title is a text like a message's, the officer the loan's, else the client's.
CREATE FUNCTION mfiauto._run_task(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  workflow text;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_task.workflow_id AND w.version = _run_task.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_task.step_no;
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
              repetition, ord, known_client_id, known_subject_id, known, locale, time_zone, known_country, phone, email, push_token, is_found)
    CROSS JOIN LATERAL (SELECT CASE WHEN r.context IS NULL THEN r.known ELSE r.known || r.context END AS context) t
  ON CONFLICT DO NOTHING;
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;
