-- How long what is kept: contents of messages and addresses by class, logs as a whole.

-- What can have a term. column: the moment that counts; scrub, present: columns that are emptied; null: rows go, whole partitions where
-- everything in them is over. least: what the product itself looks back for.
CREATE FUNCTION mfiauto._retention_kind()
RETURNS TABLE (what text, relation text, moment text, scrub text, present text, by_class boolean, shortest interval)
LANGUAGE sql IMMUTABLE AS $$
  VALUES
  ('body', 'message_ledger', 'created_at', 'title = NULL, body = NULL, html = NULL, options = NULL', 'num_nonnulls(t.title, t.body, t.html, t.options) > 0', true, interval '1 day'),
  ('address', 'message_ledger', 'created_at', 'to_address = NULL, provider_id = NULL', 'num_nonnulls(t.to_address, t.provider_id) > 0', true, interval '1 day'),
  ('inbox', 'inbox', 'kept_at', NULL, NULL, false, interval '1 day'),
  ('inbound', 'inbound_log', 'received_at', NULL, NULL, false, interval '1 day'),
  ('event', 'event_log', 'received_at', NULL, NULL, false, interval '92 days'),
  ('interaction', 'interaction_log', 'received_at', NULL, NULL, false, interval '92 days'),
  ('decision', 'decision_log', 'decided_at', NULL, NULL, false, interval '92 days'),
  ('attempt', 'attempt', 'started_at', NULL, NULL, false, interval '8 days'),
  ('receipt', 'receipt', 'received_at', NULL, NULL, false, interval '8 days')
$$;

CREATE FUNCTION mfiauto._check_retention(what text, class text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF what IS NULL OR NOT EXISTS (SELECT FROM mfiauto._retention_kind() k WHERE k.what = _check_retention.what) THEN
    RAISE EXCEPTION 'there is no retention of "%"', coalesce(what, 'null') USING ERRCODE = '22023',
      HINT = format('Use one of %s.', (SELECT string_agg(k.what, ', ' ORDER BY k.what) FROM mfiauto._retention_kind() k));
  END IF;
  IF class IS DISTINCT FROM '*' THEN
    PERFORM mfiauto._check_class(coalesce(class, 'null'));
    IF EXISTS (SELECT FROM mfiauto._retention_kind() k WHERE k.what = _check_retention.what AND NOT k.by_class) THEN
      RAISE EXCEPTION 'retention of "%" is not by class', what USING ERRCODE = '22023', HINT = 'Leave class out.';
    END IF;
  END IF;
END $$;

CREATE FUNCTION mfiauto._set_retention(what text, keep interval, class text DEFAULT '*') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  shortest interval := (SELECT k.shortest FROM mfiauto._retention_kind() k WHERE k.what = _set_retention.what);
BEGIN
  PERFORM mfiauto._check_retention(what, class);
  IF keep IS NULL OR keep < shortest OR keep > interval '100 years' THEN
    RAISE EXCEPTION 'term of "%" is not valid', what USING ERRCODE = '22023', DETAIL = format('It is at least %s.', shortest),
      HINT = 'Give a time such as ''6 months''; drop_retention() keeps it for ever.';
  END IF;
  INSERT INTO mfiauto.retention (what, class, keep) VALUES (what, class, keep) ON CONFLICT ON CONSTRAINT retention_pkey DO UPDATE SET keep = excluded.keep;
  -- What was done for good under another term may not be.
  DELETE FROM mfiauto.job_progress p WHERE p.job = 'retention';
  PERFORM mfiauto._note_change('retention', what || ' ' || class, jsonb_build_object('keep', keep));
END $$;
SELECT mfiauto._open_door('mfiauto._set_retention(text, interval, text)', '{admin}',
  'Says how long something is kept: body, address (of messages, by class or * for all), inbound, inbox, event, interaction, decision, attempt, receipt. apply_retention() takes away what is over.');

CREATE FUNCTION mfiauto._drop_retention(what text, class text DEFAULT '*') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._check_retention(what, class);
  DELETE FROM mfiauto.retention r WHERE r.what = _drop_retention.what AND r.class = _drop_retention.class;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no retention of "%" for class "%"', what, class USING ERRCODE = '42704', HINT = 'See SELECT what, class, keep FROM mfiauto.retention;';
  END IF;
  DELETE FROM mfiauto.job_progress p WHERE p.job = 'retention';
  PERFORM mfiauto._note_change('retention', what || ' ' || class, NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_retention(text, text)', '{admin}', 'Lets something be kept for ever, or, of a class, as long as of the others.');

-- The partitions of a log with the moments that bound them (of the default one, and of a plain table: none).
CREATE FUNCTION mfiauto._log_partitions(relation text) RETURNS TABLE (name text, until timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT c.relname::text, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = to_regclass('mfiauto.' || relation)
  UNION ALL
  SELECT c.relname::text, NULL FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('mfiauto.' || relation) AND c.relkind = 'r'
   ORDER BY 2 NULLS LAST, 1
$$;

-- Takes a partition away as a whole. Waits for nobody: next time, then.
CREATE FUNCTION mfiauto._drop_partition(relation text, name text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('LOCK TABLE ONLY mfiauto.%I IN ACCESS EXCLUSIVE MODE NOWAIT', relation);
  EXECUTE format('LOCK TABLE mfiauto.%I IN ACCESS EXCLUSIVE MODE NOWAIT', name);
  EXECUTE format('DROP TABLE mfiauto.%I', name);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;

-- One term on one partition, at most so many rows: empties columns, or deletes rows. Messages that are still on their way are left.
CREATE FUNCTION mfiauto._retain_partition(what text, name text, class text, but_classes text[], before timestamptz, at_most bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  kind record;
  condition text;
  done bigint;
BEGIN
  SELECT * INTO STRICT kind FROM mfiauto._retention_kind() k WHERE k.what = _retain_partition.what;
  condition := format('t.%I < %L', kind.moment, before);
  IF kind.by_class THEN
    condition := condition || CASE WHEN class = '*' THEN format(' AND t.class <> ALL (%L)', but_classes) ELSE format(' AND t.class = %L', class) END
      || ' AND NOT EXISTS (SELECT FROM mfiauto.outbox o WHERE o.client_id = t.client_id AND o.message_id = t.message_id)';
  END IF;
  EXECUTE format(CASE WHEN kind.scrub IS NULL THEN 'DELETE FROM mfiauto.%1$I WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM mfiauto.%1$I t WHERE %2$s LIMIT %5$s))'
                      ELSE 'UPDATE mfiauto.%1$I SET %3$s WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM mfiauto.%1$I t WHERE %2$s AND %4$s LIMIT %5$s FOR UPDATE SKIP LOCKED))' END,
                 name, condition, kind.scrub, kind.present, at_most);
  GET DIAGNOSTICS done = ROW_COUNT;
  RETURN done;
END $$;

-- Takes away what is over, at most so many rows a call, the oldest partitions first; whole partitions where everything is over. What a partition
-- has no more of is noted, so that the next call does not read it again.
CREATE FUNCTION mfiauto._apply_retention(at_most bigint DEFAULT 100000)
RETURNS TABLE (what text, class text, partition text, rows bigint, dropped boolean)
LANGUAGE plpgsql SET jit = off SET timezone = 'UTC' AS $$
#variable_conflict use_variable
DECLARE
  clock timestamptz := mfiauto.now();
  term record;
  kind record;
  piece record;
  is_over boolean;
  task text;
BEGIN
  IF at_most IS NULL OR at_most < 1 THEN
    RAISE EXCEPTION 'at_most must be 1 or more' USING ERRCODE = '22023';
  END IF;
  -- One at a time.
  IF NOT pg_try_advisory_xact_lock(hashtext('mfiauto retention')) THEN
    RETURN;
  END IF;
  FOR term IN
    SELECT r.what, r.class, clock - r.keep AS before,
           ARRAY(SELECT o.class FROM mfiauto.retention o WHERE o.what = r.what AND o.class <> '*') AS but_classes
      FROM mfiauto.retention r ORDER BY r.what, r.class
  LOOP
    SELECT * INTO STRICT kind FROM mfiauto._retention_kind() k WHERE k.what = term.what;
    FOR piece IN SELECT * FROM mfiauto._log_partitions(kind.relation) LOOP
      EXIT WHEN at_most < 1;
      is_over := coalesce(piece.until <= term.before, false);
      task := concat_ws(' ', piece.name, term.what, term.class);
      CONTINUE WHEN EXISTS (SELECT FROM mfiauto.job_progress p WHERE p.job = 'retention' AND p.target = task AND p.phase = 'done');
      what := term.what;
      class := term.class;
      partition := piece.name;
      dropped := false;
      IF is_over AND kind.scrub IS NULL THEN
        EXECUTE format('SELECT count(*) FROM mfiauto.%I', piece.name) INTO rows;
        dropped := mfiauto._drop_partition(kind.relation, piece.name);
        CONTINUE WHEN NOT dropped;
        RETURN NEXT;
        CONTINUE;
      END IF;
      -- A partition that begins after the term has nothing to look for.
      CONTINUE WHEN piece.until IS NOT NULL AND piece.until - interval '32 days' > term.before;
      rows := mfiauto._retain_partition(term.what, piece.name, term.class, term.but_classes, term.before, at_most);
      INSERT INTO mfiauto.job_progress AS p (job, target, phase, done_count, started_at, updated_at)
      VALUES ('retention', task, CASE WHEN is_over AND rows < at_most AND NOT EXISTS (SELECT FROM mfiauto.outbox o WHERE o.created_at < piece.until) THEN 'done' ELSE 'running' END,
              rows, clock, clock)
      ON CONFLICT ON CONSTRAINT job_progress_pkey DO UPDATE SET phase = excluded.phase, done_count = p.done_count + excluded.done_count, updated_at = excluded.updated_at;
      at_most := at_most - rows;
      IF rows > 0 THEN
        RETURN NEXT;
      END IF;
    END LOOP;
  END LOOP;
END $$;
SELECT mfiauto._open_door('mfiauto._apply_retention(bigint)', '{admin}',
  'Takes away what mfiauto.retention says is over, at most so many rows a call, and tells what and where; whole months at once where all of them is over. A job of schedule_jobs() calls it every night.');
