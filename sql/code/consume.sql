-- Consuming the journal: from hints that something was written to events that something happened. A hint only says "look at
-- this"; the committed books, read through the canonical views and compared with subject_state, say what happened.

-- Empties a work table. Under a snapshot that somebody holds for an hour, deleted rows stay; a table that has grown is truncated if nobody reads it.
CREATE FUNCTION mfiauto._empty_table(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF pg_relation_size(format('mfiauto.%I', name)::regclass) > 8 * 1024 * 1024 THEN
    BEGIN
      EXECUTE format('LOCK TABLE mfiauto.%I IN ACCESS EXCLUSIVE MODE NOWAIT', name);
      EXECUTE format('TRUNCATE mfiauto.%I', name);
      RETURN;
    EXCEPTION WHEN lock_not_available THEN
      NULL;
    END;
  END IF;
  EXECUTE format('DELETE FROM mfiauto.%I', name);
END $$;

CREATE FUNCTION mfiauto._clear_batch() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._empty_table(t.name) FROM unnest('{batch_hint,batch_subject,batch_found,batch_missing,batch_diff,batch_event,batch_touched}'::text[]) AS t(name);
END $$;

-- Fills batch_hint with what the present snapshot sees and the cursor's did not, repeats of one subject collapsed, and returns
-- the present snapshot. Our own transaction's rows wait for the next batch: it may still write more of them.
CREATE FUNCTION mfiauto._collect_hints(OUT taken pg_snapshot, OUT hint_count bigint, OUT is_restored boolean)
LANGUAGE plpgsql AS $$
DECLARE
  last record;
  own xid8 := pg_current_xact_id();
BEGIN
  SELECT c.snapshot, coalesce(c.consumed_at, '-infinity') AS consumed_at,
         c.snapshot IS NOT NULL AND c.system_identifier IS DISTINCT FROM (SELECT s.system_identifier FROM pg_control_system() s) AS is_restored,
         coalesce(pg_snapshot_xmin(c.snapshot), '0') AS low
    INTO last FROM mfiauto.journal_cursor c;
  is_restored := last.is_restored;
  WITH present AS MATERIALIZED (
    SELECT format('%s:%s:%s', pg_snapshot_xmin(s.snapshot), pg_snapshot_xmax(s.snapshot),
                  (SELECT string_agg(x.xid::text, ',' ORDER BY x.xid)
                     FROM (SELECT pg_snapshot_xip(s.snapshot) AS xid UNION SELECT own WHERE own < pg_snapshot_xmax(s.snapshot)) x))::pg_snapshot AS snapshot
      FROM (SELECT pg_current_snapshot() AS snapshot) s
  ), segment AS (
    SELECT * FROM mfiauto.journal_1 UNION ALL SELECT * FROM mfiauto.journal_2
    UNION ALL SELECT * FROM mfiauto.journal_3 UNION ALL SELECT * FROM mfiauto.journal_4
  ), fresh AS MATERIALIZED (
    SELECT j.source_id, CASE WHEN j.operation IN ('i', 'u', 'd') THEN 'u'::"char" ELSE j.operation END AS operation, j.operation AS written,
           j.key1, j.key2, j.extra, j.written_at, w.source_id IS NOT NULL AS is_watch
      FROM segment j LEFT JOIN mfiauto.source w ON w.source_id = j.source_id AND w.kind = 'watch'
     WHERE CASE WHEN is_restored
                -- A restored dump: its transaction numbers mean nothing here. Everything is looked at again; what happened once is not told twice.
                THEN j.xid <> own AND ((j.operation <> 'e' AND w.source_id IS NULL)
                                       OR NOT pg_visible_in_snapshot(j.xid, last.snapshot) OR j.written_at >= last.consumed_at)
                ELSE j.xid >= last.low AND (last.snapshot IS NULL OR NOT pg_visible_in_snapshot(j.xid, last.snapshot))
                     AND pg_visible_in_snapshot(j.xid, (SELECT p.snapshot FROM present p)) END
  ), kept AS (
    INSERT INTO mfiauto.batch_hint (source_id, operation, key1, key2, extra, written_at)
    SELECT f.source_id, f.operation, f.key1, f.key2, f.extra, max(f.written_at) FROM fresh f WHERE NOT f.is_watch
     GROUP BY f.source_id, f.operation, f.key1, f.key2, f.extra
    UNION ALL
    SELECT f.source_id, f.written, f.key1, f.key2, f.extra, f.written_at FROM fresh f WHERE f.is_watch
    RETURNING 1
  )
  SELECT p.snapshot, (SELECT count(*) FROM kept) INTO taken, hint_count FROM present p;
END $$;

CREATE FUNCTION mfiauto._park(stage text, source text, subject text, subject_id bigint, client_id bigint, sqlstate text, reason text, detail text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO mfiauto.parked_fact (stage, source, subject, subject_id, client_id, sqlstate, reason, detail, parked_at)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, mfiauto.now()
   WHERE NOT EXISTS (SELECT FROM mfiauto.parked_fact p
                      WHERE p.stage = $1 AND p.source IS NOT DISTINCT FROM $2 AND p.subject IS NOT DISTINCT FROM $3
                        AND p.subject_id IS NOT DISTINCT FROM $4 AND p.client_id IS NOT DISTINCT FROM $5 AND p.reason = $7 AND p.detail IS NOT DISTINCT FROM $8)
$$;

-- Whose hints are these: the subjects of a role that batch_hint speaks of, into batch_subject. A row whose id cannot be told is
-- parked; the others go on.
CREATE FUNCTION mfiauto._resolve_hints(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  source mfiauto.source;
  id_column text := mfiauto._id_column(role);
  rows_sql text;
  add_sql text;
  lost_column text;
  hint record;
BEGIN
  FOR source IN SELECT * FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = role
                 AND EXISTS (SELECT FROM mfiauto.batch_hint h WHERE h.source_id = s.source_id AND h.operation = 'u') ORDER BY s.source_id
  LOOP
    -- A key that the bank dropped or made something else reached the journal as a NULL: whose row it was, only the books can tell.
    SELECT k.name INTO lost_column FROM jsonb_to_recordset(source.key_columns) AS k(name text, slot text)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(source.relation) AND a.attname = k.name AND NOT a.attisdropped
                          AND (k.slot = 'extra' OR mfiauto._base_type(a.atttypid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))) LIMIT 1;
    IF lost_column IS NOT NULL THEN
      RAISE EXCEPTION 'column % of % does not exist any more, or has another type', lost_column, source.relation USING ERRCODE = '42703';
    END IF;
    rows_sql := format('SELECT (%s) AS id, b.mfiauto_written_at AS written_at FROM (%s) b', source.id_expression, mfiauto._source_rows(source.source_id));
    IF source.is_client_key THEN
      EXECUTE format('INSERT INTO mfiauto.identity (client_key) SELECT DISTINCT k.id::text FROM (%s) k WHERE k.id IS NOT NULL ON CONFLICT DO NOTHING', rows_sql);
      rows_sql := format('SELECT i.client_id AS id, k.written_at FROM (%s) k JOIN mfiauto.identity i ON i.client_key = k.id::text', rows_sql);
    END IF;
    IF source.id_target = 'client' THEN
      rows_sql := format('SELECT s.subject_id AS id, k.written_at FROM (%1$s) k JOIN (%2$s) s ON s.client_id = k.id', rows_sql,
        CASE role WHEN 'loan_party' THEN 'SELECT p.client_id, p.loan_id AS subject_id FROM mfiauto.party_state p UNION ALL SELECT v.client_id, v.loan_id FROM mfiauto.loan_party v'
          ELSE format('SELECT o.client_id, o.subject_id FROM mfiauto.subject_state o WHERE o.role = %L UNION ALL SELECT v.client_id, v.%I FROM mfiauto.%I v', role, id_column, role) END);
    END IF;
    add_sql := format('INSERT INTO mfiauto.batch_subject (role, subject_id, written_at) SELECT %L, k.id::bigint, max(k.written_at) FROM (%s) k WHERE k.id IS NOT NULL GROUP BY k.id', role, rows_sql);
    BEGIN
      EXECUTE add_sql;
    EXCEPTION WHEN data_exception THEN
      FOR hint IN SELECT DISTINCT h.key1, h.key2, h.extra FROM mfiauto.batch_hint h WHERE h.source_id = source.source_id AND h.operation = 'u' LOOP
        BEGIN
          EXECUTE replace(add_sql, 'FROM mfiauto.batch_hint j WHERE',
                          format('FROM mfiauto.batch_hint j WHERE (j.key1, j.key2, j.extra) IS NOT DISTINCT FROM (%L::bigint, %L::bigint, %L::text[]) AND', hint.key1, hint.key2, hint.extra));
        EXCEPTION WHEN data_exception THEN
          PERFORM mfiauto._park('consume', source.relation, role, NULL, NULL, SQLSTATE, 'id_expression', format('whole numbers of the row: %s', concat_ws(', ', hint.key1, hint.key2)));
          DELETE FROM mfiauto.batch_hint h WHERE h.source_id = source.source_id AND (h.key1, h.key2, h.extra) IS NOT DISTINCT FROM (hint.key1, hint.key2, hint.extra);
        END;
      END LOOP;
    END;
  END LOOP;
END $$;

-- The narrow shape of a canonical row v, as subject_state keeps it, with its digest and what its events tell.
CREATE FUNCTION mfiauto._state_columns(role text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT format('v.%I AS subject_id, %s, hash_record_extended(v, 0) AS digest, jsonb_strip_nulls(jsonb_build_object(%s)) AS properties', mfiauto._id_column($1), c.state, c.properties)
    FROM (VALUES
      ('client', 'v.client_id, NULL::bigint AS loan_id, v.status, NULL::numeric AS amount, NULL::numeric AS paid, v.birth_date AS on_date, NULL::timestamptz AS at',
       '''status'', v.status, ''source'', v.source, ''branch_id'', v.branch_id, ''officer_id'', v.officer_id'),
      ('application', 'v.client_id, NULL::bigint AS loan_id, v.status, NULL::numeric AS amount, NULL::numeric AS paid, NULL::date AS on_date, v.submitted_at AS at',
       '''product'', v.product, ''status'', v.status'),
      ('loan', 'v.client_id, v.loan_id, v.status, v.principal AS amount, v.outstanding AS paid, v.maturity_on AS on_date, NULL::timestamptz AS at',
       '''product'', v.product, ''principal'', v.principal, ''currency'', v.currency, ''status'', v.status, ''cycle'', v.cycle, ''maturity_on'', v.maturity_on'),
      ('installment', 'v.client_id, v.loan_id, NULL::text AS status, v.amount_due AS amount, v.amount_paid AS paid, v.due_date AS on_date, NULL::timestamptz AS at',
       '''number'', v.number, ''due_date'', v.due_date, ''amount_due'', v.amount_due'),
      ('payment', 'v.client_id, v.loan_id, CASE WHEN v.reversed THEN ''reversed'' ELSE ''counted'' END AS status, v.amount, NULL::numeric AS paid, NULL::date AS on_date, v.paid_at AS at',
       '''amount'', v.amount, ''paid_at'', v.paid_at'),
      ('holding', 'v.client_id, NULL::bigint AS loan_id, CASE WHEN v.closed_on IS NOT NULL THEN ''closed'' ELSE v.status END AS status, v.balance AS amount, NULL::numeric AS paid, v.opened_on AS on_date, NULL::timestamptz AS at',
       '''product'', v.product, ''status'', CASE WHEN v.closed_on IS NOT NULL THEN ''closed'' ELSE v.status END, ''balance'', v.balance')
    ) c(role, state, properties)
   WHERE c.role = $1
$$;

-- The join that finds a bound table's rows by the raw columns of its hints, where an index of the bank's own may serve; NULL if there are none.
CREATE FUNCTION mfiauto._key_join(role text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('JOIN (SELECT DISTINCT %s FROM (%s) j) k ON %s',
                string_agg(format('j.%I', k.name), ', '), mfiauto._source_rows(s.source_id), string_agg(format('k.%1$I = b.%1$I', k.name), ' AND '))
    FROM mfiauto.source s, jsonb_to_recordset(s.key_columns) AS k(name text)
   WHERE s.kind = 'role' AND s.name = $1 AND s.is_direct
     AND EXISTS (SELECT FROM mfiauto.batch_hint h WHERE h.source_id = s.source_id AND h.operation = 'u')
   GROUP BY s.source_id
$$;

-- Reads the canonical rows of batch_subject's subjects (or all, is_full) into batch_found. They are looked up by the raw columns of
-- their hints first; those not found so, and those whose id may stand for several rows, by their id. Returns how many were read.
CREATE FUNCTION mfiauto._find_rows(role text, is_full boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  state text := mfiauto._state_columns(role);
  key_join text := CASE WHEN NOT is_full THEN mfiauto._key_join(role) END;
  read_count bigint := 0;
  more_count bigint;
BEGIN
  PERFORM mfiauto._empty_table('batch_found'), mfiauto._empty_table('batch_missing');
  IF is_full OR key_join IS NOT NULL THEN
    EXECUTE format('INSERT INTO mfiauto.batch_found (subject_id, client_id, loan_id, status, amount, paid, on_date, at, digest, properties) SELECT %s FROM (%s) v',
                   state, mfiauto._view_sql(role, coalesce(key_join, '')));
    GET DIAGNOSTICS read_count = ROW_COUNT;
  END IF;
  IF NOT is_full THEN
    INSERT INTO mfiauto.batch_missing (subject_id)
    SELECT s.subject_id FROM mfiauto.batch_subject s WHERE s.role = _find_rows.role EXCEPT SELECT f.subject_id FROM mfiauto.batch_found f;
    IF FOUND THEN
      EXECUTE format('INSERT INTO mfiauto.batch_found (subject_id, client_id, loan_id, status, amount, paid, on_date, at, digest, properties) SELECT %s FROM (%s) v WHERE v.%I IN (SELECT m.subject_id FROM mfiauto.batch_missing m)',
                     state, mfiauto._view_sql(role), mfiauto._id_column(role));
      GET DIAGNOSTICS more_count = ROW_COUNT;
      read_count := read_count + more_count;
    END IF;
  END IF;
  RETURN read_count;
END $$;

-- Compares what the books say with subject_state; who differs goes into batch_diff. Returns how many rows were read.
CREATE FUNCTION mfiauto._diff_role(role text, is_full boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  read_count bigint;
BEGIN
  IF is_full THEN
    PERFORM mfiauto._know_clients(role);
    INSERT INTO mfiauto.batch_subject (role, subject_id, written_at)
    SELECT o.role, o.subject_id, mfiauto.now() FROM mfiauto.subject_state o WHERE o.role = _diff_role.role;
  END IF;
  read_count := mfiauto._find_rows(role, is_full);
  INSERT INTO mfiauto.batch_diff (role, subject_id, is_first, is_gone, copies, written_at, old_client_id, old_loan_id, old_status, old_amount, old_paid, old_on_date, old_at,
                                  client_id, loan_id, status, amount, paid, on_date, at, digest, properties)
  SELECT _diff_role.role, w.subject_id, o.subject_id IS NULL OR o.unclaimed, w.copies IS NULL, coalesce(w.copies, 0), coalesce(w.written_at, mfiauto.now()),
         o.client_id, o.loan_id, o.status, o.amount, o.paid, o.on_date, o.at,
         w.client_id, w.loan_id, w.status, w.amount, w.paid, w.on_date, w.at, w.digest, w.properties
    FROM (-- A FULL JOIN, behind a fence: it is never planned as a nested loop, however few rows are expected.
          SELECT coalesce(k.subject_id, f.subject_id) AS subject_id, k.written_at, f.copies,
                 f.client_id, f.loan_id, f.status, f.amount, f.paid, f.on_date, f.at, f.digest, f.properties, k.subject_id IS NOT NULL AS is_wanted
            FROM (SELECT s.subject_id, max(s.written_at) AS written_at FROM mfiauto.batch_subject s WHERE s.role = _diff_role.role GROUP BY s.subject_id) k
            FULL JOIN (SELECT * FROM (SELECT r.*, count(*) OVER (PARTITION BY r.subject_id) AS copies, row_number() OVER (PARTITION BY r.subject_id ORDER BY r.digest) AS place
                                        FROM mfiauto.batch_found r WHERE r.subject_id IS NOT NULL) c WHERE c.place = 1) f ON f.subject_id = k.subject_id
          OFFSET 0) w
    LEFT JOIN mfiauto.subject_state o ON o.role = _diff_role.role AND o.subject_id = w.subject_id
   WHERE (w.is_wanted OR is_full) AND NOT (w.copies IS NULL AND o.subject_id IS NULL)
     AND (w.copies IS NULL OR o.subject_id IS NULL OR o.unclaimed OR w.digest IS DISTINCT FROM o.digest OR w.copies > 1);
  RETURN read_count;
END $$;

-- A bank whose clients are keyed by text: every key gets its number before the books are read.
CREATE FUNCTION mfiauto._know_clients(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  config mfiauto.binding_config;
BEGIN
  SELECT * INTO config FROM mfiauto.binding_config c WHERE c.role = _know_clients.role;
  IF role = 'client' AND config.columns ? 'client_key' THEN
    EXECUTE format('INSERT INTO mfiauto.identity (client_key) SELECT DISTINCT k.key FROM (SELECT (%s)::text AS key FROM %s b %s) k WHERE k.key IS NOT NULL ON CONFLICT DO NOTHING',
                   config.columns ->> 'client_key', config.relation, 'WHERE ' || config.row_filter);
  END IF;
END $$;

-- Makes subject_state say what the books say. Subjects of a loan whose client came or changed are looked at next.
CREATE FUNCTION mfiauto._apply_diff(role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.subject_state s USING mfiauto.batch_diff d
   WHERE d.role = _apply_diff.role AND d.is_gone AND s.role = d.role AND s.subject_id = d.subject_id;
  INSERT INTO mfiauto.subject_state (role, subject_id, client_id, loan_id, status, amount, paid, on_date, at, digest, unclaimed)
  SELECT d.role, d.subject_id, d.client_id, d.loan_id, d.status, d.amount, d.paid, d.on_date, d.at, d.digest,
         d.client_id IS NULL AND NOT EXISTS (SELECT FROM mfiauto.party_state p WHERE p.loan_id = d.loan_id)
    FROM mfiauto.batch_diff d WHERE d.role = _apply_diff.role AND NOT d.is_gone
  ON CONFLICT ON CONSTRAINT subject_state_pkey DO UPDATE
     SET client_id = excluded.client_id, loan_id = excluded.loan_id, status = excluded.status, amount = excluded.amount, paid = excluded.paid,
         on_date = excluded.on_date, at = excluded.at, digest = excluded.digest, unclaimed = excluded.unclaimed;
  INSERT INTO mfiauto.parked_fact (stage, subject, subject_id, client_id, reason, detail, parked_at)
  SELECT 'consume', d.role, d.subject_id, d.client_id, 'duplicate_id', format('%s rows', d.copies), mfiauto.now()
    FROM mfiauto.batch_diff d
   WHERE d.role = _apply_diff.role AND d.copies > 1
     AND NOT EXISTS (SELECT FROM mfiauto.parked_fact p WHERE p.subject = d.role AND p.subject_id = d.subject_id AND p.reason = 'duplicate_id');
  IF role = 'loan' THEN
    INSERT INTO mfiauto.batch_subject (role, subject_id, written_at)
    SELECT s.role, s.subject_id, d.written_at
      FROM mfiauto.batch_diff d JOIN mfiauto.subject_state s ON s.loan_id = d.subject_id
     WHERE d.role = 'loan' AND s.role IN ('installment', 'payment') AND d.client_id IS DISTINCT FROM s.client_id;
  ELSIF role = 'client' THEN
    INSERT INTO mfiauto.batch_subject (role, subject_id, written_at)
    SELECT s.role, s.subject_id, mfiauto.now()
      FROM mfiauto.subject_state s JOIN mfiauto.binding_config c ON c.role = s.role
     WHERE s.unclaimed AND c.columns ? 'client_key' AND EXISTS (SELECT FROM mfiauto.batch_diff d WHERE d.role = 'client' AND d.is_first);
  END IF;
  PERFORM mfiauto._keep_role_dates(role);
END $$;

-- Who answers for a loan of no client of its own: compares party_state with the books, and touches whoever came, went or changed.
CREATE FUNCTION mfiauto._diff_parties(is_full boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  read_count bigint;
BEGIN
  EXECUTE format($sql$
    WITH want AS MATERIALIZED (SELECT s.subject_id AS loan_id, max(s.written_at) AS written_at FROM mfiauto.batch_subject s WHERE s.role = 'loan_party' GROUP BY 1),
    present AS MATERIALIZED (
      SELECT DISTINCT ON (v.client_id, v.loan_id, v.role) v.* FROM (%1$s) v
       WHERE v.loan_id IS NOT NULL AND v.client_id IS NOT NULL AND v.role IS NOT NULL %2$s
       ORDER BY v.client_id, v.loan_id, v.role, v.since DESC NULLS LAST, v.until DESC NULLS FIRST),
    old AS MATERIALIZED (SELECT p.* FROM mfiauto.party_state p WHERE true %3$s),
    gone AS (
      DELETE FROM mfiauto.party_state p USING old o
       WHERE p.client_id = o.client_id AND p.loan_id = o.loan_id AND p.role = o.role
         AND NOT EXISTS (SELECT FROM present n WHERE n.client_id = o.client_id AND n.loan_id = o.loan_id AND n.role = o.role)
      RETURNING p.client_id, p.loan_id),
    come AS (
      INSERT INTO mfiauto.party_state (loan_id, client_id, role, since, until)
      SELECT n.loan_id, n.client_id, n.role, n.since, n.until
        FROM present n LEFT JOIN old o ON o.client_id = n.client_id AND o.loan_id = n.loan_id AND o.role = n.role
       WHERE o.client_id IS NULL OR (o.since, o.until) IS DISTINCT FROM (n.since, n.until)
      ON CONFLICT ON CONSTRAINT party_state_pkey DO UPDATE SET since = excluded.since, until = excluded.until
      RETURNING client_id, loan_id),
    touched AS (
      INSERT INTO mfiauto.batch_touched (role, subject_id, client_id, loan_id)
      SELECT 'loan_party', t.loan_id, t.client_id, t.loan_id FROM (SELECT * FROM gone UNION SELECT * FROM come) t
      RETURNING loan_id),
    unclaimed AS (
      INSERT INTO mfiauto.batch_subject (role, subject_id, written_at)
      SELECT s.role, s.subject_id, mfiauto.now() FROM mfiauto.subject_state s
       WHERE s.unclaimed AND s.loan_id IN (SELECT c.loan_id FROM come c))
    SELECT count(*) FROM present
    $sql$, mfiauto._view_sql('loan_party'),
    CASE WHEN is_full THEN '' ELSE 'AND v.loan_id IN (SELECT w.loan_id FROM want w)' END,
    CASE WHEN is_full THEN '' ELSE 'AND p.loan_id IN (SELECT w.loan_id FROM want w)' END) INTO read_count;
  RETURN read_count;
END $$;

-- Who is to be looked at again by the workflows.
CREATE FUNCTION mfiauto._touch() RETURNS void LANGUAGE sql AS $$
  INSERT INTO mfiauto.batch_touched (role, subject_id, client_id, loan_id)
  SELECT DISTINCT d.role, d.subject_id, t.client_id, coalesce(d.loan_id, d.old_loan_id)
    FROM mfiauto.batch_diff d
    CROSS JOIN LATERAL (
      SELECT d.client_id UNION SELECT d.old_client_id
      UNION SELECT p.client_id FROM mfiauto.party_state p
             WHERE p.loan_id IN (d.loan_id, d.old_loan_id) AND (d.client_id IS NULL OR d.old_client_id IS NULL AND NOT d.is_first)) t
   WHERE t.client_id IS NOT NULL
$$;

-- How far a status has come: going forward passes every stage once, however many batches it took; going back tells nothing.
CREATE FUNCTION mfiauto._status_rank(role text, status text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(CASE role
    WHEN 'client' THEN CASE status WHEN 'active' THEN 2 WHEN 'closed' THEN 3 ELSE 1 END
    WHEN 'loan' THEN CASE status WHEN 'applied' THEN 1 WHEN 'rejected' THEN 1 WHEN 'withdrawn' THEN 1 WHEN 'approved' THEN 2 WHEN 'active' THEN 3 WHEN 'rescheduled' THEN 3
                                 WHEN 'closed' THEN 4 WHEN 'written_off' THEN 4 END
    WHEN 'holding' THEN CASE status WHEN 'closed' THEN 2 WHEN 'pending' THEN 0 ELSE 1 END
    ELSE 1 END, 0)
$$;

-- The standard events of the batch: the difference between what was known and what the books say, one for each client it concerns.
CREATE FUNCTION mfiauto._emit_standard_events() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  zone text := (SELECT i.time_zone FROM mfiauto.institution i);
  event_count bigint;
BEGIN
  WITH step AS MATERIALIZED (
    SELECT d.*, CASE WHEN d.is_first THEN 0 ELSE mfiauto._status_rank(d.role, d.old_status) END AS was,
           CASE WHEN d.is_gone THEN 0 ELSE mfiauto._status_rank(d.role, d.status) END AS rank,
           d.is_first OR d.status IS DISTINCT FROM d.old_status AS is_new_status,
           -- From one status to another as the batch found them: what came and went in between is not told. What is new has an event of its own.
           NOT d.is_gone AND d.status IS NOT NULL
             AND CASE WHEN d.is_first THEN d.role = 'application' OR mfiauto._status_rank(d.role, d.status) < 1 ELSE d.status IS DISTINCT FROM d.old_status END AS is_passing,
           d.role = 'payment' AND NOT d.is_gone AND d.status = 'counted' AND (d.is_first OR d.old_status = 'reversed') AS is_received,
           d.role = 'payment' AND NOT d.is_first AND d.old_status = 'counted' AND (d.is_gone OR d.status = 'reversed') AS is_reversed
      FROM mfiauto.batch_diff d
  ), money AS (
    -- A replay reverses a payment and enters it again: of one loan, date and amount only the surplus is news.
    SELECT s.subject_id, s.is_received,
           row_number() OVER (PARTITION BY s.is_received, k.loan_id, k.client_id, k.paid_on, k.amount ORDER BY s.subject_id) AS place,
           count(*) FILTER (WHERE s.is_received) OVER (PARTITION BY k.loan_id, k.client_id, k.paid_on, k.amount) AS received,
           count(*) FILTER (WHERE s.is_reversed) OVER (PARTITION BY k.loan_id, k.client_id, k.paid_on, k.amount) AS reversed
      FROM step s
     CROSS JOIN LATERAL (SELECT CASE WHEN s.is_received THEN s.loan_id ELSE s.old_loan_id END AS loan_id,
                                CASE WHEN coalesce(s.loan_id, s.old_loan_id) IS NULL THEN CASE WHEN s.is_received THEN s.client_id ELSE s.old_client_id END END AS client_id,
                                (CASE WHEN s.is_received THEN s.at ELSE s.old_at END AT TIME ZONE zone)::date AS paid_on,
                                CASE WHEN s.is_received THEN s.amount ELSE s.old_amount END AS amount) k
     WHERE s.is_received OR s.is_reversed
  ), replayed AS (
    SELECT m.subject_id FROM money m WHERE m.place <= CASE WHEN m.is_received THEN m.reversed ELSE m.received END
  ), told AS MATERIALIZED (
    SELECT s.*, e.place, e.name,
           coalesce(s.properties, jsonb_strip_nulls(jsonb_build_object('amount', s.old_amount, 'paid_at', s.old_at)))
             || CASE WHEN e.name = 'Installment Rescheduled' THEN jsonb_strip_nulls(jsonb_build_object('previous_due_date', s.old_on_date, 'previous_amount_due', s.old_amount))
                     WHEN e.name LIKE '% Status Changed' THEN jsonb_strip_nulls(jsonb_build_object('from', CASE WHEN NOT s.is_first THEN s.old_status END, 'to', s.status))
                     ELSE '{}' END AS told_properties,
           coalesce(CASE e.name WHEN 'Payment Received' THEN s.at END, s.written_at) AS occurred_at
      FROM step s
      LEFT JOIN replayed r ON s.role = 'payment' AND r.subject_id = s.subject_id
     CROSS JOIN LATERAL unnest(CASE s.role
       WHEN 'client' THEN ARRAY[
         CASE WHEN s.was < 1 AND s.rank >= 1 THEN 'Client Created' END,
         CASE WHEN s.was < 2 AND s.rank >= 2 THEN 'Client Activated' END,
         CASE WHEN s.was < 3 AND s.rank >= 3 THEN 'Client Closed' END,
         CASE WHEN s.is_first AND NOT s.is_gone THEN 'Lead Created' END,
         CASE WHEN s.is_passing THEN 'Client Status Changed' END]
       WHEN 'application' THEN ARRAY[
         CASE WHEN s.is_first AND NOT s.is_gone THEN 'Lead Created' END,
         CASE WHEN s.is_passing THEN 'Application Status Changed' END]
       WHEN 'loan' THEN ARRAY[
         CASE WHEN s.was < 1 AND s.rank >= 1 THEN 'Loan Applied' END,
         CASE WHEN s.was < 2 AND s.rank >= 2 THEN 'Loan Approved' END,
         CASE WHEN s.is_new_status AND s.status = 'rejected' THEN 'Loan Rejected' END,
         CASE WHEN s.was < 3 AND s.rank >= 3 THEN 'Loan Disbursed' END,
         CASE WHEN s.is_new_status AND s.status = 'closed' THEN 'Loan Closed' END,
         CASE WHEN s.is_new_status AND s.status = 'written_off' THEN 'Loan Written Off' END,
         CASE WHEN s.is_passing THEN 'Loan Status Changed' END]
       WHEN 'installment' THEN ARRAY[
         CASE WHEN s.is_first AND NOT s.is_gone THEN 'Installment Scheduled' END,
         CASE WHEN NOT s.is_first AND NOT s.is_gone AND (s.on_date IS DISTINCT FROM s.old_on_date OR s.amount IS DISTINCT FROM s.old_amount) THEN 'Installment Rescheduled' END]
       WHEN 'payment' THEN ARRAY[
         CASE WHEN s.is_received AND r.subject_id IS NULL THEN 'Payment Received' END,
         CASE WHEN s.is_reversed AND r.subject_id IS NULL THEN 'Payment Reversed' END]
       WHEN 'holding' THEN ARRAY[
         CASE WHEN s.was < 1 AND s.rank >= 1 THEN 'Holding Opened' END,
         CASE WHEN s.was < 2 AND s.rank >= 2 THEN 'Holding Closed' END,
         CASE WHEN s.is_passing THEN 'Holding Status Changed' END]
       END) WITH ORDINALITY AS e(name, place)
     WHERE e.name IS NOT NULL
  ), addressed AS MATERIALIZED (
    SELECT t.*, coalesce(t.client_id, CASE WHEN t.is_gone THEN t.old_client_id END) AS own_client_id,
           coalesce(t.loan_id, t.old_loan_id) AS told_loan_id, (t.occurred_at AT TIME ZONE zone)::date AS told_on
      FROM told t
  ), target AS MATERIALIZED (
    SELECT a.*, a.own_client_id AS target_client_id FROM addressed a WHERE a.own_client_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT ON (a.role, a.subject_id, a.place, p.client_id) a.*, p.client_id
      FROM addressed a JOIN mfiauto.party_state p ON p.loan_id = a.told_loan_id
     WHERE a.own_client_id IS NULL AND p.role <> 'guarantor' AND coalesce(p.since <= a.told_on, true) AND coalesce(p.until >= a.told_on, true)
  ), event AS (
    INSERT INTO mfiauto.event_log (client_id, name, subject, subject_id, loan_id, properties, occurred_at, received_at)
    SELECT t.target_client_id, t.name, t.role, t.subject_id, t.told_loan_id, t.told_properties, t.occurred_at, mfiauto.now()
      FROM (SELECT a.*, row_number() OVER (PARTITION BY a.name, a.target_client_id ORDER BY a.role = 'client' DESC, a.subject_id) AS turn FROM target a) t
     WHERE NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = t.target_client_id)
       AND (t.name <> 'Lead Created'
        OR t.turn = 1
       AND NOT EXISTS (SELECT FROM mfiauto.subject_state l WHERE l.role = 'loan' AND l.client_id = t.target_client_id)
       AND NOT EXISTS (SELECT FROM mfiauto.party_state p WHERE p.client_id = t.target_client_id)
       AND NOT EXISTS (SELECT FROM mfiauto.event_log e WHERE e.client_id = t.target_client_id AND e.name = 'Lead Created'))
     ORDER BY t.occurred_at, t.role, t.subject_id, t.place, t.target_client_id
    RETURNING event_id, client_id, name, subject, subject_id, loan_id, occurred_at
  )
  INSERT INTO mfiauto.batch_event (event_id, client_id, name, subject, subject_id, loan_id, occurred_at)
  SELECT e.event_id, e.client_id, e.name, e.subject, e.subject_id, e.loan_id, e.occurred_at FROM event e;
  GET DIAGNOSTICS event_count = ROW_COUNT;
  DELETE FROM mfiauto.parked_fact p USING mfiauto.batch_event e WHERE p.reason = 'no_client' AND p.subject = e.subject AND p.subject_id = e.subject_id;
  INSERT INTO mfiauto.parked_fact (stage, subject, subject_id, reason, parked_at)
  SELECT 'consume', d.role, d.subject_id, 'no_client', mfiauto.now()
    FROM mfiauto.batch_diff d JOIN mfiauto.subject_state s ON s.role = d.role AND s.subject_id = d.subject_id
   WHERE s.unclaimed AND d.is_first AND NOT d.is_gone
     AND NOT EXISTS (SELECT FROM mfiauto.parked_fact p WHERE p.subject = d.role AND p.subject_id = d.subject_id AND p.reason = 'no_client');
  RETURN event_count;
END $$;

-- What reached the journal without a bound table: tracked events, messages that need their next channel, subjects to look at again.
CREATE FUNCTION mfiauto._pass_on_notes() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  event_count bigint;
BEGIN
  INSERT INTO mfiauto.batch_event (event_id, client_id, name, subject, subject_id, loan_id, occurred_at)
  SELECT DISTINCT e.event_id, e.client_id, e.name, e.subject, e.subject_id, e.loan_id, e.occurred_at
    FROM mfiauto.batch_hint h JOIN mfiauto.event_log e ON e.client_id = h.key2 AND e.event_id = h.key1
   WHERE h.source_id = 0 AND h.operation = 'e';
  GET DIAGNOSTICS event_count = ROW_COUNT;
  INSERT INTO mfiauto.batch_touched (role, subject_id, client_id, loan_id)
  SELECT DISTINCT CASE h.operation WHEN 'm' THEN 'message' ELSE (mfiauto._role_order())[-h.source_id] END, h.key1, h.key2, h.extra[1]::bigint
    FROM mfiauto.batch_hint h
   WHERE h.operation IN ('m', 'r') AND h.key1 IS NOT NULL AND h.key2 IS NOT NULL AND h.source_id BETWEEN -7 AND 0 AND (h.source_id < 0 OR h.operation = 'm');
  RETURN event_count;
END $$;

-- One role's part of a batch. A binding that the bank broke is noted and read as a whole until it works again: nothing is lost, nothing else waits.
CREATE FUNCTION mfiauto._consume_role(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  config mfiauto.binding_config;
  is_full boolean;
  code text;
BEGIN
  SELECT * INTO config FROM mfiauto.binding_config c WHERE c.role = _consume_role.role;
  is_full := EXISTS (SELECT FROM mfiauto.batch_hint h JOIN mfiauto.source s ON s.source_id = h.source_id WHERE s.kind = 'role' AND s.name = config.role AND h.operation = 't')
    OR (config.polled OR config.problem IS NOT NULL) AND (config.polled_at IS NULL OR config.polled_at + interval '1 minute' <= mfiauto.now() OR config.polled_at > mfiauto.now());
  PERFORM mfiauto._resolve_hints(config.role);
  IF is_full OR EXISTS (SELECT FROM mfiauto.batch_subject s WHERE s.role = config.role) THEN
    IF config.role = 'loan_party' THEN
      PERFORM mfiauto._diff_parties(is_full);
    ELSE
      PERFORM mfiauto._diff_role(config.role, is_full);
      PERFORM mfiauto._apply_diff(config.role);
      IF config.role = 'client' THEN
        PERFORM mfiauto._keep_addresses(ARRAY(SELECT d.subject_id FROM mfiauto.batch_diff d WHERE d.role = 'client'));
      END IF;
    END IF;
  END IF;
  IF is_full THEN
    UPDATE mfiauto.binding_config c SET polled_at = mfiauto.now(), problem = NULL WHERE c.role = config.role;
    IF config.problem IS NOT NULL THEN
      PERFORM mfiauto._doubt_profiles();
    END IF;
  END IF;
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
  IF NOT mfiauto._is_query_error(code) THEN
    RAISE;
  END IF;
  UPDATE mfiauto.binding_config c SET problem = SQLERRM, polled_at = mfiauto.now() WHERE c.role = config.role;
  IF config.problem IS NULL THEN
    RAISE WARNING 'binding of role "%" is broken: %', config.role, SQLERRM
      USING HINT = format('Repair the relation, or run SELECT mfiauto.unbind(%L) and bind it again.', config.role);
  END IF;
END $$;

CREATE FUNCTION mfiauto._is_anything_fresh() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.engine_note)
      OR EXISTS (SELECT FROM mfiauto.binding_config b WHERE (b.polled OR b.problem IS NOT NULL)
                    AND (b.polled_at IS NULL OR b.polled_at + interval '1 minute' <= mfiauto.now() OR b.polled_at > mfiauto.now()))
      OR EXISTS (SELECT FROM (SELECT j.xid FROM mfiauto.journal_1 j UNION ALL SELECT j.xid FROM mfiauto.journal_2 j
                              UNION ALL SELECT j.xid FROM mfiauto.journal_3 j UNION ALL SELECT j.xid FROM mfiauto.journal_4 j) j,
                      (SELECT c.snapshot, pg_snapshot_xmin(c.snapshot) AS low,
                              c.system_identifier IS DISTINCT FROM (SELECT s.system_identifier FROM pg_control_system() s) AS is_foreign FROM mfiauto.journal_cursor c OFFSET 0) c
                  WHERE c.snapshot IS NULL OR c.is_foreign OR j.xid >= c.low AND NOT pg_visible_in_snapshot(j.xid, c.snapshot))
$$;

-- Consumes one batch; the engine calls it with its lock held. Returns the number of events written.
CREATE FUNCTION mfiauto._consume_journal() RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  batch record;
  role text;
  event_count bigint := 0;
BEGIN
  IF NOT mfiauto._is_anything_fresh() THEN
    IF EXISTS (SELECT FROM mfiauto.batch_event) OR EXISTS (SELECT FROM mfiauto.batch_touched) THEN
      PERFORM mfiauto._clear_batch();
    END IF;
    RETURN 0;
  END IF;
  PERFORM FROM mfiauto.journal_cursor c FOR UPDATE;
  PERFORM mfiauto._clear_batch();
  SELECT * INTO batch FROM mfiauto._collect_hints();
  UPDATE mfiauto.journal_cursor c
     SET snapshot = batch.taken, batch = c.batch + 1, consumed_at = mfiauto.now(), system_identifier = (SELECT s.system_identifier FROM pg_control_system() s);
  IF batch.is_restored THEN
    PERFORM mfiauto._drop_foreign_rows();
  END IF;
  PERFORM mfiauto._take_notes();
  FOR role IN SELECT c.role FROM mfiauto.binding_config c ORDER BY mfiauto._role_number(c.role) LOOP
    PERFORM mfiauto._consume_role(role);
  END LOOP;
  PERFORM mfiauto._touch();
  event_count := mfiauto._emit_standard_events() + mfiauto._emit_watched_events() + mfiauto._pass_on_notes();
  PERFORM mfiauto._keep_batch_dates();
  PERFORM mfiauto._plan_batch();
  PERFORM mfiauto._mark_dirty();
  RETURN event_count;
END $$;

-- Reads a role as a whole and makes its state right, without events: bind() and resync(). Subjects with hints not consumed yet are left to the next batch.
CREATE FUNCTION mfiauto._refill(role text, OUT read_count bigint, OUT new_count bigint, OUT changed_count bigint, OUT gone_count bigint)
LANGUAGE plpgsql SET jit = off AS $$
BEGIN
  PERFORM mfiauto._clear_batch();
  INSERT INTO mfiauto.job_progress AS p (job, target, phase, started_at, updated_at) VALUES ('resync', role, 'reading', mfiauto.now(), mfiauto.now())
  ON CONFLICT ON CONSTRAINT job_progress_pkey DO UPDATE SET phase = 'reading', done_count = 0, total_count = NULL, started_at = mfiauto.now(), updated_at = mfiauto.now();
  IF role = 'loan_party' THEN
    read_count := mfiauto._diff_parties(true);
    SELECT count(*), 0, 0 INTO changed_count, new_count, gone_count FROM mfiauto.batch_touched;
    UPDATE mfiauto.subject_state s SET unclaimed = false
     WHERE s.unclaimed AND EXISTS (SELECT FROM mfiauto.party_state p WHERE p.loan_id = s.loan_id);
  ELSE
    read_count := mfiauto._diff_role(role, true);
    DELETE FROM mfiauto.batch_subject;
    PERFORM mfiauto._collect_hints();
    PERFORM mfiauto._resolve_hints(role);
    DELETE FROM mfiauto.batch_diff d USING mfiauto.batch_subject s WHERE d.role = _refill.role AND s.role = d.role AND s.subject_id = d.subject_id;
    SELECT count(*) FILTER (WHERE d.is_first AND NOT d.is_gone), count(*) FILTER (WHERE NOT d.is_first AND NOT d.is_gone), count(*) FILTER (WHERE d.is_gone)
      INTO new_count, changed_count, gone_count FROM mfiauto.batch_diff d WHERE d.role = _refill.role;
    PERFORM mfiauto._apply_diff(role);
    IF role = 'client' THEN
      PERFORM mfiauto._keep_addresses(NULL);
    END IF;
    PERFORM mfiauto._touch();
  END IF;
  UPDATE mfiauto.job_progress p SET phase = 'done', done_count = read_count, total_count = read_count, updated_at = mfiauto.now() WHERE p.job = 'resync' AND p.target = role;
END $$;

-- Hands batch_touched to the engine's next batch through the journal.
CREATE FUNCTION mfiauto._journal_touched() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO mfiauto.%I (xid, written_at, source_id, operation, key1, key2, extra)
                  SELECT pg_current_xact_id(), mfiauto.now(), -mfiauto._role_number(t.role), ''r'', t.subject_id, t.client_id, ARRAY[t.loan_id::text] FROM mfiauto.batch_touched t',
                 'journal_' || (SELECT c.segment FROM mfiauto.journal_control c));
END $$;

-- After a restore: the rows of the other server have been consumed; their transaction numbers would come alive one day.
CREATE FUNCTION mfiauto._drop_foreign_rows() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.journal_1 j WHERE j.xid <> pg_current_xact_id();
  DELETE FROM mfiauto.journal_2 j WHERE j.xid <> pg_current_xact_id();
  DELETE FROM mfiauto.journal_3 j WHERE j.xid <> pg_current_xact_id();
  DELETE FROM mfiauto.journal_4 j WHERE j.xid <> pg_current_xact_id();
END $$;

-- Truncates segments that have been consumed whole and turns writers to an empty one when theirs is full. Never waits: a writer
-- that is still at work, or a prepared transaction, keeps its segment. Best called in a transaction of its own: the lock lasts as long.
CREATE FUNCTION mfiauto._rotate_journal(full_bytes bigint DEFAULT 8388608) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  present smallint := (SELECT c.segment FROM mfiauto.journal_control c);
  consumed pg_snapshot := (SELECT c.snapshot FROM mfiauto.journal_cursor c);
  free smallint;
  truncated_count integer := 0;
  is_pending boolean;
BEGIN
  FOR number IN 1..4 LOOP
    CONTINUE WHEN number = present OR pg_relation_size(format('mfiauto.journal_%s', number)::regclass) = 0;
    BEGIN
      EXECUTE format('LOCK TABLE mfiauto.journal_%s IN ACCESS EXCLUSIVE MODE NOWAIT', number);
      EXECUTE format('SELECT EXISTS (SELECT FROM mfiauto.journal_%s j WHERE $1 IS NULL OR NOT pg_visible_in_snapshot(j.xid, $1))', number) INTO is_pending USING consumed;
      IF is_pending THEN
        RAISE lock_not_available;
      END IF;
      EXECUTE format('TRUNCATE mfiauto.journal_%s', number);
      truncated_count := truncated_count + 1;
    EXCEPTION WHEN lock_not_available THEN
      NULL;
    END;
  END LOOP;
  IF pg_relation_size(format('mfiauto.journal_%s', present)::regclass) > full_bytes THEN
    SELECT n INTO free FROM generate_series(1, 4) n
     WHERE n <> present AND pg_relation_size(format('mfiauto.journal_%s', n)::regclass) = 0 ORDER BY (n - present + 4) % 4 LIMIT 1;
    IF free IS NOT NULL THEN
      UPDATE mfiauto.journal_control SET segment = free;
    END IF;
  END IF;
  RETURN truncated_count;
END $$;
