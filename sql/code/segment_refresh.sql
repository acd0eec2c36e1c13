-- Keeping segments right: in full, one segment at a time, or by changes, the clients of one batch through every segment.
--
-- A refresh holds the row of its segment. The engine never waits for it: the clients that it would have looked at are kept in segment_pending, and
-- looked at when the row is free. So a change is seen by the refresh, whose query began after it was committed, or by the engine afterwards.

-- Makes the members of a locked segment those of a list; who comes and goes is told.
CREATE FUNCTION mfiauto._set_members(segment_id integer, segment text, client_ids bigint[], OUT entered bigint, OUT departed bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  come bigint[];
  gone bigint[];
BEGIN
  SELECT coalesce(array_agg(n.client_id) FILTER (WHERE m.client_id IS NULL), '{}'), coalesce(array_agg(m.client_id) FILTER (WHERE n.client_id IS NULL), '{}')
    INTO come, gone
    FROM unnest(_set_members.client_ids) AS n(client_id)
    FULL JOIN (SELECT p.client_id FROM mfiauto.segment_membership p WHERE p.segment_id = _set_members.segment_id AND p.until IS NULL) m ON m.client_id = n.client_id
   WHERE n.client_id IS NULL OR m.client_id IS NULL;
  SELECT c.entered, c.departed INTO entered, departed FROM mfiauto._change_members(_set_members.segment_id, segment, come, gone, true, NULL) c;
END $$;

-- Refreshes a locked segment in full.
CREATE FUNCTION mfiauto._refresh_locked(segment_id integer, OUT members bigint, OUT entered bigint, OUT departed bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  started timestamptz := clock_timestamp();
  s record;
  present bigint[];
BEGIN
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = _refresh_locked.segment_id;
  -- Before the query looks: who is put there later may not have been seen by it.
  DELETE FROM mfiauto.segment_pending p WHERE p.segment_id = s.segment_id;
  present := mfiauto._select_members(s.name, s.owner, s.query, NULL);
  SELECT c.entered, c.departed INTO entered, departed FROM mfiauto._set_members(s.segment_id, s.name, present) c;
  members := cardinality(present);
  UPDATE mfiauto.segment_definition d SET refreshed_at = clock, tried_at = clock, problem = NULL WHERE d.segment_id = s.segment_id;
  INSERT INTO mfiauto.job_progress AS p (job, target, phase, done_count, total_count, started_at, updated_at)
  VALUES ('refresh_segment', s.name, 'done', members, members, started, clock_timestamp())
  ON CONFLICT ON CONSTRAINT job_progress_pkey DO UPDATE
     SET phase = excluded.phase, done_count = excluded.done_count, total_count = excluded.total_count, started_at = excluded.started_at, updated_at = excluded.updated_at;
END $$;

CREATE FUNCTION mfiauto._refresh_segment(name text, OUT members bigint, OUT entered bigint, OUT "left" bigint)
LANGUAGE plpgsql AS $$
DECLARE
  id integer := mfiauto._lock_segment(_refresh_segment.name);
BEGIN
  IF EXISTS (SELECT FROM mfiauto.segment_definition d WHERE d.segment_id = id AND d.query IS NULL) THEN
    SELECT count(*), 0, 0 INTO members, entered, "left" FROM mfiauto.segment_membership m WHERE m.segment_id = id AND m.until IS NULL;
    RAISE NOTICE 'segment "%" is a list: there is nothing to refresh', name;
    RETURN;
  END IF;
  SELECT r.members, r.entered, r.departed INTO members, entered, "left" FROM mfiauto._refresh_locked(id) r;
  RAISE NOTICE 'segment "%": % clients, % entered, % left', name, members, entered, "left";
END $$;
SELECT mfiauto._open_door('mfiauto._refresh_segment(text)', '{admin,author}',
  'Evaluates a segment''s query for all clients and makes its members right; who comes and goes is told as events in the same transaction. Says how far it is.');

-- Notes that a segment's query failed; until a full refresh succeeds, its members stay as they are.
CREATE FUNCTION mfiauto._fail_segment(segment_id integer, problem text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  s record;
BEGIN
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = _fail_segment.segment_id;
  UPDATE mfiauto.segment_definition d SET problem = _fail_segment.problem, tried_at = mfiauto.now() WHERE d.segment_id = s.segment_id;
  IF s.problem IS NULL THEN
    RAISE WARNING 'segment "%" could not be refreshed: %', s.name, _fail_segment.problem
      USING HINT = format('Its members stay as they are until SELECT mfiauto.refresh_segment(%L); succeeds.', s.name);
  END IF;
END $$;

-- Which segments are to be refreshed in full at the clock: those of their time, those that failed an hour ago, and all when a role was bound anew.
CREATE FUNCTION mfiauto._due_segments() RETURNS TABLE (segment_id integer, name text, due_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT d.segment_id, d.name, d.due_at
    FROM (SELECT s.*, CASE WHEN s.problem IS NULL THEN s.refreshed_at + e.every ELSE s.tried_at + least(e.every, interval '1 hour') END AS due_at
            FROM mfiauto.segment_definition s
           CROSS JOIN LATERAL (SELECT coalesce(s.refresh_every, CASE WHEN s.restricted_query IS NULL OR s.is_timed THEN interval '1 hour' ELSE interval '1 day' END) AS every) e
           WHERE s.query IS NOT NULL) d
   WHERE d.due_at <= mfiauto.now() OR d.tried_at > mfiauto.now() OR EXISTS (SELECT FROM mfiauto.binding_config b WHERE b.bound_at > d.tried_at)
   ORDER BY d.depth, d.segment_id
$$;

CREATE FUNCTION mfiauto._refresh_segments() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  due record;
  done integer := 0;
BEGIN
  FOR due IN SELECT * FROM mfiauto._due_segments() LOOP
    PERFORM FROM mfiauto.segment_definition d WHERE d.segment_id = due.segment_id FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    BEGIN
      PERFORM mfiauto._refresh_locked(due.segment_id);
      done := done + 1;
    EXCEPTION WHEN others THEN
      IF NOT mfiauto._is_query_error(SQLSTATE) THEN
        RAISE;
      END IF;
      PERFORM mfiauto._fail_segment(due.segment_id, SQLERRM);
    END;
  END LOOP;
  RETURN done;
END $$;
SELECT mfiauto._open_door('mfiauto._refresh_segments()', '{admin,author}',
  'Refreshes in full the segments that are due by their refresh_every; returns how many. The job of pg_cron.');

-- Looks at some clients in one locked segment. What fails sets the segment aside, the engine goes on.
CREATE FUNCTION mfiauto._refresh_members(segment_id integer, client_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  s record;
  present bigint[];
  come bigint[];
  gone bigint[];
  restless bigint;
BEGIN
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = _refresh_members.segment_id;
  present := mfiauto._select_members(s.name, s.owner, s.restricted_query, _refresh_members.client_ids);
  SELECT coalesce(array_agg(n.client_id) FILTER (WHERE n.belongs AND NOT n.is_member), '{}'), coalesce(array_agg(n.client_id) FILTER (WHERE n.is_member AND NOT n.belongs), '{}')
    INTO come, gone
    FROM (SELECT c.client_id, p.client_id IS NOT NULL AS belongs, m.client_id IS NOT NULL AS is_member
            FROM unnest(_refresh_members.client_ids) AS c(client_id)
            LEFT JOIN unnest(present) AS p(client_id) ON p.client_id = c.client_id
            LEFT JOIN mfiauto.segment_membership m ON m.client_id = c.client_id AND m.segment_id = s.segment_id AND m.until IS NULL) n
   WHERE n.belongs <> n.is_member;
  IF come = '{}' AND gone = '{}' THEN
    RETURN;
  END IF;
  PERFORM mfiauto._change_members(s.segment_id, s.name, come, gone, true, array_fill(0, ARRAY[cardinality(come) + cardinality(gone)]));
  -- A query over the events that it causes itself may never come to rest.
  SELECT m.client_id INTO restless FROM mfiauto.segment_membership m
   WHERE m.client_id = ANY (come) AND m.segment_id = s.segment_id AND m.since > mfiauto.now() - interval '1 minute'
   GROUP BY m.client_id HAVING count(*) > 20 LIMIT 1;
  IF restless IS NOT NULL THEN
    RAISE EXCEPTION 'client % enters and leaves all the time', restless USING ERRCODE = '54001';
  END IF;
EXCEPTION WHEN others THEN
  IF NOT mfiauto._is_query_error(SQLSTATE) THEN
    RAISE;
  END IF;
  PERFORM mfiauto._fail_segment(_refresh_members.segment_id, SQLERRM);
END $$;

-- The engine's follower.
CREATE FUNCTION mfiauto._refresh_segments_of(client_ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  s record;
  waiting bigint[];
  locked integer[] := '{}';
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('mfiauto segments')) THEN
    INSERT INTO mfiauto.segment_pending (client_id, segment_id) SELECT DISTINCT c, 0 FROM unnest(_refresh_segments_of.client_ids) c ON CONFLICT DO NOTHING;
  END IF;
  FOR s IN SELECT * FROM mfiauto.segment_definition d WHERE d.query IS NOT NULL ORDER BY d.depth, d.segment_id FOR NO KEY UPDATE SKIP LOCKED LOOP
    locked := locked || s.segment_id;
    WITH taken AS (DELETE FROM mfiauto.segment_pending p WHERE p.segment_id = s.segment_id RETURNING p.client_id)
    SELECT array_agg(t.client_id) INTO waiting FROM taken t;
    CONTINUE WHEN s.restricted_query IS NULL OR s.problem IS NOT NULL;
    PERFORM mfiauto._refresh_members(s.segment_id, ARRAY(SELECT c FROM unnest(_refresh_segments_of.client_ids) c UNION SELECT c FROM unnest(waiting) c));
  END LOOP;
  INSERT INTO mfiauto.segment_pending (client_id, segment_id)
  SELECT DISTINCT c, d.segment_id FROM mfiauto.segment_definition d, unnest(_refresh_segments_of.client_ids) c
   WHERE d.query IS NOT NULL AND d.segment_id <> ALL (locked)
  ON CONFLICT DO NOTHING;
END $$;

-- Whom the follower could not look at, when it can: back to client_dirty. Costs nothing while there is nobody.
CREATE FUNCTION mfiauto._recall_pending() RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  free integer[];
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.segment_pending) THEN
    RETURN;
  END IF;
  SELECT array_agg(f.segment_id) INTO free
    FROM (SELECT d.segment_id FROM mfiauto.segment_definition d WHERE d.segment_id IN (SELECT p.segment_id FROM mfiauto.segment_pending p) FOR NO KEY UPDATE SKIP LOCKED) f;
  -- A segment that is gone keeps nobody.
  free := coalesce(free, '{}') || ARRAY(SELECT DISTINCT p.segment_id FROM mfiauto.segment_pending p
                                         WHERE p.segment_id <> 0 AND NOT EXISTS (SELECT FROM mfiauto.segment_definition d WHERE d.segment_id = p.segment_id));
  IF pg_try_advisory_xact_lock(hashtext('mfiauto segments')) THEN
    free := free || 0;
  END IF;
  WITH taken AS (DELETE FROM mfiauto.segment_pending p WHERE p.segment_id = ANY (free) RETURNING p.client_id)
  INSERT INTO mfiauto.client_dirty (client_id) SELECT DISTINCT t.client_id FROM taken t ON CONFLICT DO NOTHING;
END $$;
