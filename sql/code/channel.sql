-- A message's next channel: where delivery gave up on the one before, and where nothing was heard of it for the step's "fallback_after".

-- Messages that delivery gave up on one channel and that have another.
CREATE FUNCTION mfiauto._channel_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT f.workflow_id, f.version, f.step_no, array_agg(f.client_id ORDER BY f.message_id), array_agg(f.message_id ORDER BY f.message_id),
         array_agg(f.subject_id ORDER BY f.message_id)
    FROM (SELECT m.workflow_id, m.version, m.step_no, m.client_id, m.message_id, m.subject_id,
                 (row_number() OVER (PARTITION BY m.workflow_id, m.version, m.step_no, m.next_channels ORDER BY m.message_id) - 1) / batch_size AS chunk,
                 m.next_channels
            FROM mfiauto.batch_touched t
            JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = t.client_id AND m.message_id = t.subject_id OFFSET 0) m ON true
            JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id AND h.state = 'active'
           WHERE t.role = 'message' AND mfiauto._fails_over(m.state, m.reason) AND cardinality(m.next_channels) > 0 AND m.enrollment_id IS NOT NULL) f
   GROUP BY f.workflow_id, f.version, f.step_no, f.next_channels, f.chunk
   ORDER BY f.workflow_id, f.version, f.step_no, f.next_channels, f.chunk
$$;

-- Of clients who may not be written to on one channel, whether one of the others is open to each: what he refused on all of them, or allowed on none, is not tried
-- from channel to channel.
CREATE FUNCTION mfiauto._open_elsewhere(client_ids bigint[], classes text[], channels text[]) RETURNS boolean[]
LANGUAGE sql STABLE AS $$
  WITH way AS MATERIALIZED (
    SELECT k.ord, k.client_id, k.class, c.channel, row_number() OVER (ORDER BY k.ord, c.place) AS place
      FROM unnest($1, $2) WITH ORDINALITY AS k(client_id, class, ord), unnest($3) WITH ORDINALITY AS c(channel, place)
  ), asked AS (
    SELECT array_agg(w.client_id ORDER BY w.place) AS clients, array_agg(w.channel ORDER BY w.place) AS channels, array_agg(w.class ORDER BY w.place) AS classes FROM way w
  )
  SELECT array_agg(o.is_open ORDER BY o.ord)
    FROM (SELECT w.ord, bool_or(r.reason IS NULL OR r.reason = 'capped') AS is_open
            FROM asked a
           CROSS JOIN LATERAL mfiauto._contact_refusals(a.clients, a.channels, a.classes, array_fill(NULL::text, ARRAY[cardinality(a.clients)])) r
            JOIN way w ON w.place = r.ord
           GROUP BY w.ord) o
$$;

-- Says it again on the next channel, within the time the message had.
CREATE FUNCTION mfiauto._next_channel(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                      OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  channels text[];
  ended record;
  open_ones boolean[];
  next record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _next_channel.workflow_id AND w.version = _next_channel.version;
  SELECT m.next_channels INTO STRICT channels FROM mfiauto.message_ledger m
   WHERE m.client_id = _next_channel.client_ids[1] AND m.message_id = _next_channel.ids[1];
  SELECT array_agg(m.class ORDER BY k.ord) AS classes, bool_or(m.state = 'suppressed') AS has_refusals INTO ended
    FROM unnest(_next_channel.client_ids, _next_channel.ids) WITH ORDINALITY AS k(client_id, message_id, ord)
    JOIN LATERAL (SELECT m.class, m.state FROM mfiauto.message_ledger m WHERE m.client_id = k.client_id AND m.message_id = k.message_id OFFSET 0) m ON true;
  IF ended.has_refusals THEN
    open_ones := mfiauto._open_elsewhere(_next_channel.client_ids, ended.classes, channels);
  END IF;
  -- A run that is in a later round by now does not matter: it is the message's own repetition that goes on.
  SELECT array_agg(ROW(m.client_id, m.enrollment_id, m.subject_id, m.loan_id, NULL, m.step_no, clock, 'treated', e.context, NULL, NULL,
                       k.verdict, m.expires_at, 'run')::mfiauto._run ORDER BY k.ord) AS runs,
         array_agg(m.repetition ORDER BY k.ord) AS repetitions INTO next
    FROM ROWS FROM (unnest(_next_channel.client_ids, _next_channel.ids),
                    mfiauto._verdicts(v.owner, v.exit_sql, _next_channel.client_ids, _next_channel.subject_ids, false),
                    unnest(open_ones)) WITH ORDINALITY
         AS k(client_id, message_id, verdict, is_open, ord)
    JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = k.client_id AND m.message_id = k.message_id OFFSET 0) m ON true
    JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = m.client_id AND e.enrollment_id = m.enrollment_id OFFSET 0) e
      ON e.state IN ('active', 'completed')
   WHERE k.verdict IS NOT TRUE AND (m.state <> 'suppressed' OR k.is_open) AND (m.expires_at IS NULL OR m.expires_at > clock)
     -- Said before on another channel, and delivered after all.
     AND NOT EXISTS (SELECT FROM mfiauto.message_key b
                       JOIN LATERAL (SELECT d.state FROM mfiauto.message_ledger d WHERE d.client_id = b.client_id AND d.message_id = b.message_id OFFSET 0) d ON d.state = 'delivered'
                      WHERE b.client_id = m.client_id AND b.enrollment_id = m.enrollment_id AND b.version = m.version AND b.step_no = m.step_no
                        AND b.repetition = m.repetition AND b.message_id < m.message_id OFFSET 0);
  messages := mfiauto._send(v.workflow_id, v.version, _next_channel.step_no, coalesce(next.runs, '{}'), channels, true, next.repetitions);
END $$;

-- Messages whose time to be delivered is over, or is to be looked at again.
CREATE FUNCTION mfiauto._fallback_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT f.workflow_id, f.version, f.step_no, array_agg(f.client_id ORDER BY f.message_id), array_agg(f.message_id ORDER BY f.message_id),
         array_agg(f.subject_id ORDER BY f.message_id)
    FROM (SELECT m.workflow_id, m.version, m.step_no, m.client_id, m.message_id, m.subject_id, m.next_channels
            FROM mfiauto.fallback_watch w
            JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = w.client_id AND m.message_id = w.message_id OFFSET 0) m ON true
            JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id AND h.state = 'active'
           WHERE w.check_at <= mfiauto.now()
           ORDER BY w.check_at LIMIT batch_size) f
   GROUP BY f.workflow_id, f.version, f.step_no, f.next_channels
   ORDER BY f.workflow_id, f.version, f.step_no, f.next_channels
$$;

-- Looks at such messages: one that is over, or has its fallback, is watched no more; one that has not left yet has its whole time
-- from now; one that left so long ago and was not delivered is said again on the next channel, and is watched on, so that the fallback
-- can be taken back as long as it waits (_withdraw_fallbacks).
CREATE FUNCTION mfiauto._fall_back(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                   OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  late record;
BEGIN
  WITH judged AS MATERIALIZED (
    SELECT m.client_id, m.message_id, m.subject_id, m.expires_at, s.fallback_after,
           CASE WHEN w.has_fallback OR m.state NOT IN ('queued', 'submitted', 'sent', 'unknown') THEN NULL
                WHEN m.state = 'queued' THEN greatest(o.due_at, clock) + s.fallback_after
                ELSE coalesce(m.sent_at, m.due_at) + s.fallback_after END AS ends_at
      FROM unnest(_fall_back.client_ids, _fall_back.ids) AS k(client_id, message_id)
      JOIN mfiauto.fallback_watch w ON w.client_id = k.client_id AND w.message_id = k.message_id
      JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = k.client_id AND m.message_id = k.message_id OFFSET 0) m ON true
      JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
      LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
  ),
  gone AS (
    DELETE FROM mfiauto.fallback_watch w USING judged j WHERE j.ends_at IS NULL AND w.client_id = j.client_id AND w.message_id = j.message_id
  ),
  kept AS (
    UPDATE mfiauto.fallback_watch w
       SET has_fallback = j.ends_at <= clock,
           check_at = CASE WHEN j.ends_at > clock THEN j.ends_at ELSE greatest(coalesce(j.expires_at, '-infinity'), clock + interval '7 days') END
      FROM judged j
     WHERE j.ends_at IS NOT NULL AND w.client_id = j.client_id AND w.message_id = j.message_id
  )
  SELECT array_agg(j.client_id ORDER BY j.message_id) FILTER (WHERE j.ends_at <= clock) AS client_ids,
         array_agg(j.message_id ORDER BY j.message_id) FILTER (WHERE j.ends_at <= clock) AS ids,
         array_agg(j.subject_id ORDER BY j.message_id) FILTER (WHERE j.ends_at <= clock) AS subject_ids, count(*) AS looked_at
    INTO late FROM judged j;
  IF late.ids IS NOT NULL THEN
    messages := (SELECT n.messages FROM mfiauto._next_channel(_fall_back.workflow_id, _fall_back.version, _fall_back.step_no, late.client_ids, late.ids, late.subject_ids) n);
  END IF;
  advanced := late.looked_at;
END $$;

-- Messages that were delivered after all: what was to say the same on another channel, and has not been claimed, is canceled; no further
-- channel is tried.
CREATE FUNCTION mfiauto._withdraw_fallbacks() RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  stale record;
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.batch_touched t WHERE t.role = 'message') THEN
    RETURN 0;
  END IF;
  WITH heard AS MATERIALIZED (
    SELECT DISTINCT m.client_id, m.message_id, m.enrollment_id, m.version, m.step_no, m.repetition
      FROM mfiauto.batch_touched t
      JOIN LATERAL (SELECT w.client_id, w.message_id FROM mfiauto.fallback_watch w WHERE w.client_id = t.client_id AND w.message_id = t.subject_id OFFSET 0) w ON true
      JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = w.client_id AND m.message_id = w.message_id OFFSET 0) m ON m.state = 'delivered'
     WHERE t.role = 'message'
  ),
  later AS MATERIALIZED (
    SELECT k.client_id, k.message_id
      FROM heard h
      JOIN LATERAL (SELECT * FROM mfiauto.message_key k
                     WHERE k.client_id = h.client_id AND k.enrollment_id = h.enrollment_id AND k.version = h.version AND k.step_no = h.step_no
                       AND k.repetition = h.repetition OFFSET 0) k ON k.message_id > h.message_id AND k.channel <> ''
  ),
  gone AS (
    DELETE FROM mfiauto.fallback_watch w
     USING (SELECT h.client_id, h.message_id FROM heard h UNION SELECT l.client_id, l.message_id FROM later l) k
     WHERE w.client_id = k.client_id AND w.message_id = k.message_id
  )
  SELECT array_agg(l.client_id) AS client_ids, array_agg(l.message_id) AS ids INTO stale FROM later l;
  RETURN CASE WHEN stale.ids IS NULL THEN 0 ELSE mfiauto._cancel_outbox(stale.client_ids, stale.ids, 'delivered_before') END;
END $$;
