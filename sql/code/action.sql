-- Steps that do something other than send and give tasks: each is a function of _run_step(). They run in both arms, as nobody is written to
-- by them; only enroll, into a workflow that would write to the client, does not.

-- What a set, an emit or an enroll carries for each run, in their order: its constants and the values of its expressions.
CREATE FUNCTION mfiauto._settings(owner text, constants jsonb, queries jsonb, client_ids bigint[], subject_ids bigint[]) RETURNS jsonb[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  given jsonb[] := array_fill(coalesce(constants, '{}'), ARRAY[cardinality(client_ids)]);
  setting record;
BEGIN
  FOR setting IN SELECT q.key, q.value FROM jsonb_each_text(queries) q ORDER BY q.key LOOP
    given := ARRAY(
      SELECT g.known || jsonb_build_object(setting.key, coalesce(g.value::jsonb, 'null'))
        FROM ROWS FROM (unnest(given), mfiauto._values(owner, setting.value, client_ids, subject_ids)) WITH ORDINALITY AS g(known, value, ord)
       ORDER BY g.ord);
  END LOOP;
  RETURN given;
END $$;

-- Writes down what a step did for each run. A run's outcome other than 'run' is why it was not done, or not quite.
CREATE FUNCTION mfiauto._note_action(workflow_id integer, version integer, step_no integer, runs mfiauto._run[], decision text, detail text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, detail, decided_at)
  SELECT r.client_id, v.workflow_id, v.version, r.enrollment_id, v.subject, r.subject_id, _note_action.step_no, _note_action.decision, nullif(r.outcome, 'run'),
         _note_action.detail, mfiauto.now()
    FROM unnest(runs) r
    JOIN mfiauto.workflow_version v ON v.workflow_id = _note_action.workflow_id AND v.version = _note_action.version
$$;

-- What the engine itself has to look at in the next batch of the same pass: an event it made, a client whose facts it changed. (What others
-- write comes through the journal, which shows the engine nothing of its own transaction.)
CREATE FUNCTION mfiauto._note_events(client_ids bigint[], event_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.engine_note (source_id, operation, key1, key2)
  SELECT 0, 'e', n.event_id, n.client_id FROM unnest(client_ids, event_ids) AS n(client_id, event_id)
$$;

CREATE FUNCTION mfiauto._note_clients(client_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.engine_note (source_id, operation, key1, key2)
  SELECT -mfiauto._role_number('client'), 'r', n.client_id, n.client_id FROM unnest(client_ids) AS n(client_id)
$$;

CREATE FUNCTION mfiauto._take_notes() RETURNS void
LANGUAGE sql AS $$
  WITH taken AS (DELETE FROM mfiauto.engine_note RETURNING source_id, operation, key1, key2)
  INSERT INTO mfiauto.batch_hint (source_id, operation, key1, key2, written_at)
  SELECT DISTINCT t.source_id, t.operation, t.key1, t.key2, mfiauto.now() FROM taken t
$$;

-- How many workflows each run's chain has come through, with this one.
CREATE FUNCTION mfiauto._next_hops(runs mfiauto._run[]) RETURNS integer[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT coalesce(e.hops, 0) + 1
                 FROM unnest(runs) WITH ORDINALITY r
                 LEFT JOIN LATERAL (SELECT e.hops FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
                ORDER BY r.ordinality)
$$;

-- Gives clients traits, as identify() does: merged with those known, null takes one away. Of two runs of one client the later one counts.
CREATE FUNCTION mfiauto._run_set(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  client_ids bigint[] := ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality);
  given jsonb[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_set.workflow_id AND w.version = _run_set.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_set.step_no;
  given := mfiauto._settings(v.owner, s.traits, s.trait_sql, client_ids, ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality));
  WITH latest AS MATERIALIZED (
    SELECT DISTINCT ON (g.client_id) g.client_id, g.traits FROM unnest(client_ids, given) WITH ORDINALITY AS g(client_id, traits, ord) ORDER BY g.client_id, g.ord DESC
  ),
  merged AS (
    UPDATE mfiauto.client_trait t
       SET traits = (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(t.traits || l.traits) k WHERE k.value <> 'null'), updated_at = clock
      FROM latest l WHERE t.client_id = l.client_id
    RETURNING t.client_id
  )
  INSERT INTO mfiauto.client_trait AS t (client_id, traits, updated_at)
  SELECT l.client_id, (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(l.traits) k WHERE k.value <> 'null'), clock
    FROM latest l WHERE l.client_id NOT IN (SELECT m.client_id FROM merged m)
  ON CONFLICT ON CONSTRAINT client_trait_pkey DO UPDATE SET traits = t.traits || excluded.traits, updated_at = excluded.updated_at;
  PERFORM mfiauto._note_clients(client_ids);
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, runs, 'set',
    (SELECT string_agg(k.name, ', ' ORDER BY k.name)
       FROM (SELECT jsonb_object_keys(s.traits) AS name UNION SELECT jsonb_object_keys(s.trait_sql)) k));
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;

-- Puts the runs' clients into a list, or takes them out of it; who comes or goes makes an event of this chain.
CREATE FUNCTION mfiauto._run_segment(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  s mfiauto.workflow_step;
  client_ids bigint[] := ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality);
BEGIN
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w
   WHERE w.workflow_id = _run_segment.workflow_id AND w.version = _run_segment.version AND w.step_no = _run_segment.step_no;
  IF s.kind = 'add_to' THEN
    PERFORM mfiauto._add_to_segment(s.segment, client_ids, mfiauto._next_hops(runs));
    PERFORM mfiauto._note_action(s.workflow_id, s.version, s.step_no, runs, 'added', s.segment);
  ELSE
    PERFORM mfiauto._remove_from_segment(s.segment, client_ids, mfiauto._next_hops(runs));
    PERFORM mfiauto._note_action(s.workflow_id, s.version, s.step_no, runs, 'removed', s.segment);
  END IF;
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;

-- Tells of an event, about what the run is about. It is consumed in the next batch of this pass.
CREATE FUNCTION mfiauto._run_emit(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  made record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_emit.workflow_id AND w.version = _run_emit.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_emit.step_no;
  WITH event AS (
    INSERT INTO mfiauto.event_log (client_id, name, subject, subject_id, loan_id, properties, hops, occurred_at, received_at)
    SELECT r.client_id, s.event_name, CASE WHEN v.subject <> 'client' THEN v.subject END, CASE WHEN v.subject <> 'client' THEN r.subject_id END, r.loan_id,
           r.properties, r.hops, clock, clock
      FROM ROWS FROM (unnest(runs),
                      unnest(mfiauto._settings(v.owner, s.event_properties, s.trait_sql,
                                               ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                               ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality))),
                      unnest(mfiauto._next_hops(runs))) WITH ORDINALITY
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, properties, hops, ord)
     ORDER BY r.ord
    RETURNING event_id, client_id
  )
  SELECT array_agg(e.client_id) AS client_ids, array_agg(e.event_id) AS event_ids INTO made FROM event e;
  PERFORM mfiauto._note_events(made.client_ids, made.event_ids);
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, runs, 'emitted', s.event_name);
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;

-- What a run of one workflow hands over to another: the same subject, its loan, or its client; null: it knows none.
CREATE FUNCTION mfiauto._handed_subject(subject text, target text, client_id bigint, subject_id bigint, loan_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN target = subject THEN subject_id WHEN target = 'client' THEN client_id WHEN target = 'loan' THEN loan_id END
$$;

-- Lets the runs' subjects into another workflow, under its own conditions and rules of re-entry. Those of the holdout arm do not go into
-- one that sends or gives tasks: that would be contact by another way.
CREATE FUNCTION mfiauto._run_enroll(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  t record;
  handed record;
  judged mfiauto._run[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_enroll.workflow_id AND w.version = _run_enroll.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_enroll.step_no;
  SELECT w.workflow_id, w.version, w.subject, w.anchor_column, h.state = 'active' AS is_active,
         EXISTS (SELECT FROM mfiauto.workflow_step x WHERE x.workflow_id = w.workflow_id AND x.version = w.version AND x.kind IN ('send', 'task')) AS has_contact
    INTO t
    FROM mfiauto.workflow_head h
    JOIN mfiauto.workflow_version w ON w.workflow_id = h.workflow_id AND w.version = h.live_version
   WHERE h.name = s.target_workflow;
  judged := ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, mfiauto._handed_subject(v.subject, t.subject, r.client_id, r.subject_id, r.loan_id), r.loan_id, NULL, s.next_no, r.due_at,
               r.arm, NULL, r.zone, r.country, NULL, NULL,
               CASE WHEN t.is_active IS NOT TRUE THEN 'not_active' WHEN r.arm = 'holdout' AND t.has_contact THEN 'holdout'
                    WHEN mfiauto._handed_subject(v.subject, t.subject, r.client_id, r.subject_id, r.loan_id) IS NULL THEN 'no_subject' ELSE 'run' END)::mfiauto._run
      FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality);
  SELECT array_agg(r.client_id ORDER BY r.ord) AS client_ids, array_agg(r.subject_id ORDER BY r.ord) AS subject_ids,
         array_agg(CASE WHEN t.subject IN (v.subject, 'loan') THEN r.loan_id END ORDER BY r.ord) AS loan_ids,
         array_agg(jsonb_build_object('event', r.carried) ORDER BY r.ord) AS contexts, array_agg(r.hops ORDER BY r.ord) AS hops
    INTO handed
    FROM ROWS FROM (unnest(judged),
                    unnest(mfiauto._settings(v.owner, s.event_properties, s.trait_sql,
                                             ARRAY(SELECT u.client_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality),
                                             ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality))),
                    unnest(mfiauto._next_hops(runs))) WITH ORDINALITY
         AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, carried, hops, ord)
   WHERE r.outcome = 'run';
  IF t.anchor_column IS NULL AND handed.client_ids IS NOT NULL THEN
    PERFORM mfiauto._enter_now(t.workflow_id, t.version, handed.client_ids, handed.subject_ids, handed.contexts, handed.loan_ids, handed.hops);
  ELSIF handed.client_ids IS NOT NULL THEN
    -- Around a date each subject comes in once.
    SELECT array_agg(k.client_id) AS client_ids, array_agg(k.subject_id) AS subject_ids INTO handed
      FROM (SELECT DISTINCT u.client_id, u.subject_id FROM unnest(handed.client_ids, handed.subject_ids) AS u(client_id, subject_id)) k
     WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                        WHERE e.client_id = k.client_id AND e.workflow_id = t.workflow_id AND e.subject = t.subject AND e.subject_id = k.subject_id OFFSET 0);
    PERFORM mfiauto._enter(t.workflow_id, t.version, NULL, handed.client_ids, handed.subject_ids, handed.subject_ids) WHERE handed.client_ids IS NOT NULL;
  END IF;
  -- Who is in it now, of whatever origin, has got there.
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, o.subject_id, r.loan_id, NULL, r.step_no, r.due_at, r.arm, NULL, r.zone, r.country, NULL, NULL,
               CASE WHEN r.outcome = 'run' AND e.client_id IS NULL THEN 'not_entered' ELSE r.outcome END)::mfiauto._run
      FROM ROWS FROM (unnest(judged), unnest(ARRAY(SELECT u.subject_id FROM unnest(runs) WITH ORDINALITY u ORDER BY u.ordinality)))
           AS r(client_id, enrollment_id, handed_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome, own_id)
      CROSS JOIN LATERAL (SELECT r.own_id AS subject_id) o
      LEFT JOIN LATERAL (SELECT e.client_id FROM mfiauto.enrollment_state e
                          WHERE e.client_id = r.client_id AND e.workflow_id = t.workflow_id AND e.subject = t.subject AND e.subject_id = r.handed_id
                            AND e.ended_at IS NULL LIMIT 1) e ON true), 'enrolled', s.target_workflow);
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;

-- Ends another workflow's runs of the same subject, of the run's loan, or, where that workflow is about something else, all of the client's.
CREATE FUNCTION mfiauto._run_exit(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  ended mfiauto._run[];
  origins bigint[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_exit.workflow_id AND w.version = _run_exit.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_exit.step_no;
  SELECT coalesce(array_agg(DISTINCT ROW(e.client_id, e.enrollment_id, e.subject_id, e.loan_id, e.anchor_on, NULL, NULL, e.arm, NULL, NULL, NULL, NULL, NULL,
                                         'ended_by_workflow')::mfiauto._run), '{}'), array_agg(DISTINCT r.enrollment_id)
    INTO ended, origins
    FROM unnest(runs) r
    JOIN mfiauto.workflow_head h ON h.name = s.target_workflow
    JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = r.client_id AND e.workflow_id = h.workflow_id AND e.ended_at IS NULL OFFSET 0) e
      ON CASE WHEN e.subject = v.subject THEN e.subject_id = r.subject_id WHEN e.subject = 'loan' AND r.loan_id IS NOT NULL THEN e.subject_id = r.loan_id ELSE true END;
  PERFORM mfiauto._exit_runs(NULL, NULL, ended);
  PERFORM mfiauto._note_action(v.workflow_id, v.version, s.step_no, ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, NULL, r.step_no, r.due_at, r.arm, NULL, r.zone, r.country, NULL, NULL,
               CASE WHEN r.enrollment_id = ANY (origins) THEN 'run' ELSE 'not_in' END)::mfiauto._run FROM unnest(runs) r), 'withdrawn', s.target_workflow);
  RETURN mfiauto._sent_to(runs, s.next_no);
END $$;
