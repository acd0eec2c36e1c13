-- Thresholds: a workflow that waits for a trait to cross a limit is told so by an event, once, until the trait has come back beyond a second limit.

-- The value of a trait in each profile: a column of client_profile, else a key of traits; null where it is no number.
CREATE FUNCTION mfiauto._trait_values(trait text, client_ids bigint[]) RETURNS TABLE (client_id bigint, value numeric)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT p.client_id, mfiauto._trait_number(%s, $2) FROM mfiauto.client_profile p %s',
    CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'mfiauto.client_profile'::regclass AND a.attname = trait AND a.attnum > 0 AND NOT a.attisdropped)
         THEN format('jsonb_build_object($2, p.%I)', trait) ELSE 'p.traits' END,
    CASE WHEN client_ids IS NOT NULL THEN 'WHERE p.client_id = ANY ($1)' ELSE '' END)
    USING client_ids, trait;
END $$;

-- Brings the sides on which clients stand up to date for one workflow, and tells of those who crossed. is_arming: who is beyond the limit already
-- is noted, and told only if the trigger takes in who is there.
CREATE FUNCTION mfiauto._cross_threshold(workflow_id integer, version integer, client_ids bigint[], is_arming boolean) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  v record;
  told record;
BEGIN
  SELECT w.*, h.name, w.trigger_rearm < w.trigger_limit AS is_rise INTO STRICT v
    FROM mfiauto.workflow_version w JOIN mfiauto.workflow_head h ON h.workflow_id = w.workflow_id
   WHERE w.workflow_id = _cross_threshold.workflow_id AND w.version = _cross_threshold.version;
  WITH present AS MATERIALIZED (
    SELECT t.client_id, t.value,
           coalesce(CASE WHEN v.is_rise THEN t.value >= v.trigger_limit ELSE t.value <= v.trigger_limit END, false) AS is_over,
           -- A value that is not known any more lets go as one on the far side does.
           coalesce(CASE WHEN v.is_rise THEN t.value < v.trigger_rearm ELSE t.value > v.trigger_rearm END, true) AS is_back
      FROM mfiauto._trait_values(v.trigger_trait, _cross_threshold.client_ids) t
  ), moved AS MATERIALIZED (
    SELECT p.client_id, p.value, CASE WHEN coalesce(s.is_beyond, false) THEN NOT p.is_back ELSE p.is_over END AS is_beyond, coalesce(s.is_beyond, false) AS was_beyond,
           s.is_beyond IS NULL AS is_new, is_arming OR s.client_id IS NOT NULL AND s.is_beyond IS NULL AS is_first
      FROM present p
      LEFT JOIN (SELECT s.client_id, s.is_beyond FROM mfiauto.threshold_state s
                  WHERE s.workflow_id = v.workflow_id AND (_cross_threshold.client_ids IS NULL OR s.client_id = ANY (_cross_threshold.client_ids))) s ON s.client_id = p.client_id
  ), noted AS (
    INSERT INTO mfiauto.threshold_state AS s (client_id, workflow_id, is_beyond, value, changed_at)
    SELECT m.client_id, v.workflow_id, m.is_beyond, m.value, mfiauto.now() FROM moved m WHERE m.is_new OR m.is_beyond <> m.was_beyond
    ON CONFLICT ON CONSTRAINT threshold_state_pkey DO UPDATE SET is_beyond = excluded.is_beyond, value = excluded.value, changed_at = excluded.changed_at
  ), told AS (
    INSERT INTO mfiauto.event_log AS e (client_id, name, properties, hops, occurred_at, received_at)
    SELECT m.client_id, 'Threshold Crossed',
           jsonb_build_object('workflow', v.name, 'trait', v.trigger_trait, 'limit', v.trigger_limit, 'value', m.value, 'direction', CASE WHEN v.is_rise THEN 'rises' ELSE 'falls' END),
           -- Where a workflow has just set traits of the client, the crossing follows from it: two that set each other's trait come to an end.
           coalesce((SELECT max(r.hops) + 1
                       FROM mfiauto.decision_log d
                       JOIN mfiauto.enrollment_state r ON r.client_id = d.client_id AND r.enrollment_id = d.enrollment_id
                      WHERE d.client_id = m.client_id AND d.decision = 'set' AND d.decided_at > mfiauto.now() - interval '1 hour'), 0),
           mfiauto.now(), mfiauto.now()
      FROM moved m WHERE m.is_beyond AND NOT m.was_beyond AND (NOT m.is_first OR v.trigger_existing) ORDER BY m.client_id
    RETURNING e.event_id, e.client_id
  )
  SELECT array_agg(t.client_id) AS client_ids, array_agg(t.event_id) AS event_ids INTO told FROM told t;
  IF told.event_ids IS NOT NULL THEN
    PERFORM mfiauto._note_events(told.client_ids, told.event_ids);
  END IF;
END $$;

-- Before profiles change: workflows that came to life, or have a new version, note where everybody stands now.
CREATE FUNCTION mfiauto._arm_thresholds() RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  FOR w IN
    SELECT k.workflow_id FROM mfiauto.threshold_watch k
     WHERE NOT EXISTS (SELECT FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
                        WHERE h.workflow_id = k.workflow_id AND h.state <> 'archived' AND v.trigger_kind = 'trait' AND v.version = k.version)
  LOOP
    DELETE FROM mfiauto.threshold_state s WHERE s.workflow_id = w.workflow_id;
    DELETE FROM mfiauto.threshold_watch k WHERE k.workflow_id = w.workflow_id;
  END LOOP;
  FOR w IN
    SELECT h.workflow_id, v.version, h.activated_at
      FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
     WHERE h.state = 'active' AND v.trigger_kind = 'trait' AND NOT EXISTS (SELECT FROM mfiauto.threshold_watch k WHERE k.workflow_id = h.workflow_id)
     ORDER BY h.workflow_id
  LOOP
    PERFORM mfiauto._cross_threshold(w.workflow_id, w.version, NULL, true);
    -- Whom the books knew before it came to life, but who has no profile yet: how he stands is still to be seen.
    INSERT INTO mfiauto.threshold_state (client_id, workflow_id, is_beyond, changed_at)
    SELECT d.client_id, w.workflow_id, NULL, mfiauto.now()
      FROM mfiauto.client_dirty d
     WHERE NOT EXISTS (SELECT FROM mfiauto.profile_state p WHERE p.client_id = d.client_id)
       AND NOT EXISTS (SELECT FROM mfiauto.event_log e WHERE e.client_id = d.client_id AND e.name IN ('Client Created', 'Lead Created') AND e.received_at >= w.activated_at);
    INSERT INTO mfiauto.threshold_watch (workflow_id, version, armed_at) VALUES (w.workflow_id, w.version, mfiauto.now());
  END LOOP;
END $$;

-- After the profiles of a batch changed.
CREATE FUNCTION mfiauto._follow_thresholds(client_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  FOR w IN SELECT k.workflow_id, k.version FROM mfiauto.threshold_watch k JOIN mfiauto.workflow_head h ON h.workflow_id = k.workflow_id AND h.state = 'active' ORDER BY k.workflow_id LOOP
    PERFORM mfiauto._cross_threshold(w.workflow_id, w.version, client_ids, false);
  END LOOP;
END $$;
