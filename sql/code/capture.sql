-- The trigger function, the journal's writer, and what the parser lends to bind() and watch().

CREATE FUNCTION mfiauto.capture() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_capture';
COMMENT ON FUNCTION mfiauto.capture() IS
  'The row trigger that bind() and watch() put on the bank''s tables: adds one narrow row to the journal, inside the bank''s own transaction.';

CREATE FUNCTION mfiauto._journal_append(source_id integer, operation "char", key1 bigint, key2 bigint) RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_append_journal';

CREATE FUNCTION mfiauto._check_expression(relation oid, expression text, type oid,
                                          OUT canonical text, OUT columns text[], OUT type_name text)
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_check_expression';

CREATE FUNCTION mfiauto._check_syntax(expression text) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_check_syntax';

CREATE FUNCTION mfiauto._drop_capture(relation oid, name text) RETURNS boolean
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_drop_capture';

CREATE FUNCTION mfiauto._enable_capture(relation oid, name text) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_enable_capture';

CREATE FUNCTION mfiauto._lock_relation(relation oid, is_exclusive boolean) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_lock_relation';

-- Locks relations of the bank and all their partitions, or none of them: who waits for one of them while holding another would stand in
-- the way of writers, and could make the server end one of theirs as the victim of a deadlock. So it waits for less than
-- deadlock_timeout, lets go of everything, and tries again.
CREATE FUNCTION mfiauto._lock_patiently(relations oid[], is_exclusive boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  before text := current_setting('lock_timeout');
  wait_ms integer := greatest(10, least(500, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500));
  until timestamptz := clock_timestamp() + interval '1 minute';
  relation oid;
BEGIN
  LOOP
    BEGIN
      PERFORM set_config('lock_timeout', wait_ms::text, true);
      FOR relation IN SELECT r.oid FROM unnest(relations) AS r(oid) UNION SELECT t.relid FROM unnest(relations) AS r(oid), pg_partition_tree(r.oid) AS t ORDER BY 1 LOOP
        PERFORM mfiauto._lock_relation(relation, is_exclusive);
      END LOOP;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF clock_timestamp() > until THEN
        RAISE EXCEPTION 'could not lock % within a minute', relation::regclass
          USING ERRCODE = '55P03', HINT = 'Long transactions hold it, see pg_stat_activity; run it again at a quieter time.';
      END IF;
    END;
    PERFORM pg_sleep(0.05 + random() * 0.1);
  END LOOP;
  PERFORM set_config('lock_timeout', before, true);
END $$;

-- An expression of the bank's, checked; what: how to name it in an error.
CREATE FUNCTION mfiauto._read_expression(relation oid, expression text, type oid, what text,
                                         OUT canonical text, OUT columns text[], OUT type_name text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  hint text;
  code text;
BEGIN
  SELECT c.canonical, c.columns, c.type_name INTO canonical, columns, type_name
    FROM mfiauto._check_expression(relation, expression, type) c;
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, code = RETURNED_SQLSTATE;
  IF NOT mfiauto._is_query_error(code) THEN
    RAISE;
  END IF;
  IF code = '42703' AND hint = '' THEN
    SELECT format('Columns of %s: %s.', relation::regclass, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)) INTO hint
      FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped;
  END IF;
  RAISE EXCEPTION '%: %', what, regexp_replace(SQLERRM, 'check constraints?', 'an expression over a row')
    USING ERRCODE = code, HINT = CASE WHEN code = '42501' THEN format('Role %I, the installation''s owner, evaluates it: GRANT it the right.', current_user) WHEN hint = '' THEN format('Give one SQL expression over the columns of %s.', relation::regclass) ELSE replace(hint, '"b.', '"') END;
END $$;

-- Which columns a journal row carries, in which slot: the first two whole numbers as keys, the rest as text.
CREATE FUNCTION mfiauto._key_columns(relation oid, columns text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found record;
  slots jsonb := '[]';
  key_count integer := 0;
  extra_count integer := 0;
BEGIN
  FOR found IN
    SELECT a.attname, t.oid AS base, t.typtype, format_type(a.atttypid, a.atttypmod) AS type
      FROM pg_attribute a
      JOIN pg_type d ON d.oid = a.atttypid
      JOIN pg_type t ON t.oid = CASE d.typtype WHEN 'd' THEN mfiauto._base_type(d.oid) ELSE d.oid END
     WHERE a.attrelid = relation AND NOT a.attisdropped AND a.attname = ANY (_key_columns.columns)
     ORDER BY array_position(_key_columns.columns, a.attname::text)
  LOOP
    IF found.base IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AND key_count < 2 THEN
      key_count := key_count + 1;
      slots := slots || jsonb_build_object('name', found.attname, 'type', found.type, 'slot', 'key' || key_count, 'position', key_count);
    ELSIF found.typtype = 'e' OR found.base IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'float4'::regtype, 'float8'::regtype,
        'numeric'::regtype, 'bool'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype, '"char"'::regtype,
        'uuid'::regtype, 'date'::regtype, 'time'::regtype, 'timetz'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype,
        'json'::regtype, 'jsonb'::regtype, 'oid'::regtype) THEN
      extra_count := extra_count + 1;
      slots := slots || jsonb_build_object('name', found.attname, 'type', found.type, 'slot', 'extra', 'position', extra_count);
    ELSE
      RAISE EXCEPTION 'column % of % has type %, which capture does not carry', quote_ident(found.attname), relation::regclass, found.type
        USING ERRCODE = '22023', HINT = 'Use columns of number, text, uuid, date, time, boolean, enum or json types here.';
    END IF;
  END LOOP;
  RETURN slots;
END $$;

CREATE FUNCTION mfiauto._base_type(type oid) RETURNS oid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE chain AS (
    SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = $1
    UNION ALL SELECT t.oid, t.typtype, t.typbasetype FROM chain c JOIN pg_type t ON t.oid = c.typbasetype WHERE c.typtype = 'd')
  SELECT c.oid FROM chain c WHERE c.typtype <> 'd'
$$;

-- The right to read and to watch a relation, which the installation's owner needs.
CREATE FUNCTION mfiauto._require_host_rights(relation oid, needs_trigger boolean) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  home text := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation);
  missing text;
  names text;
BEGIN
  IF home IN ('mfiauto', 'mfiauto_segment') THEN
    RAISE EXCEPTION 'relation % is mfiauto''s own', relation::regclass
      USING ERRCODE = '42809', HINT = 'Name a table or view of the bank.';
  END IF;
  IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = mfiauto._caller()) THEN
    RAISE EXCEPTION 'must be superuser to bind or watch while a superuser owns the installation'
      USING ERRCODE = '42501', DETAIL = 'What is bound is read with the owner''s rights.', HINT = 'Let a superuser do it, or install with an owner who is none.';
  END IF;
  IF NOT has_schema_privilege(home, 'USAGE') THEN
    RAISE EXCEPTION 'permission denied for schema %: the installation''s owner may not use it', quote_ident(home)
      USING ERRCODE = '42501', HINT = format('GRANT USAGE ON SCHEMA %I TO %I;', home, current_user);
  END IF;
  -- A trigger on a partitioned table is one on each partition.
  SELECT string_agg(DISTINCT w.privilege, ', '), string_agg(DISTINCT mfiauto._qualified_name(r.oid), ', ') INTO missing, names
    FROM (SELECT relation AS oid UNION SELECT t.relid FROM pg_partition_tree(relation) t WHERE needs_trigger) r
    CROSS JOIN (VALUES ('SELECT'), ('TRIGGER')) w(privilege)
   WHERE (w.privilege = 'TRIGGER' AND needs_trigger OR w.privilege = 'SELECT' AND r.oid = relation) AND NOT has_table_privilege(r.oid, w.privilege);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'permission denied for relation %: the installation''s owner needs %', names, missing
      USING ERRCODE = '42501', HINT = format('GRANT %s ON %s TO %I;', missing, names, current_user);
  END IF;
END $$;

-- Puts capture on a relation: trigger_name, and trigger_name_truncate where a TRUNCATE is to be noticed.
CREATE FUNCTION mfiauto._attach_capture(source_id integer, trigger_name text, firing text, condition text, is_always boolean, replica boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  source mfiauto.source;
  arguments text;
BEGIN
  SELECT * INTO STRICT source FROM mfiauto.source s WHERE s.source_id = _attach_capture.source_id;
  SELECT string_agg(quote_literal(w.word), ', ' ORDER BY w.place, w.position) INTO arguments
    FROM (SELECT 0 AS place, 0 AS position, source.source_id::text AS word
          UNION ALL SELECT 1, k.ordinality, format('%s:%s', k.entry ->> 'slot', k.entry ->> 'name')
            FROM jsonb_array_elements(source.key_columns) WITH ORDINALITY AS k(entry, ordinality)
          UNION ALL SELECT 2, n.ordinality, 'watch:' || n.name FROM unnest(source.watched_columns) WITH ORDINALITY AS n(name, ordinality)
          UNION ALL SELECT 3, 0, CASE WHEN is_always THEN 'always' ELSE 'any' END WHERE is_always OR source.watched_columns = '{}') w;
  EXECUTE format(E'CREATE TRIGGER %I AFTER %s ON %s FOR EACH ROW %s EXECUTE FUNCTION mfiauto.capture(%s)',
                 trigger_name, firing, source.relation, CASE WHEN condition IS NULL THEN '' ELSE E'WHEN (' || condition || E'\n)' END, arguments);
  IF source.kind = 'role' THEN
    EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION mfiauto.capture(%L)',
                   trigger_name || '_truncate', source.relation, source.source_id);
  END IF;
  IF replica THEN
    PERFORM mfiauto._enable_capture(source.relation::regclass, trigger_name);
    IF source.kind = 'role' THEN
      PERFORM mfiauto._enable_capture(source.relation::regclass, trigger_name || '_truncate');
    END IF;
  END IF;
END $$;

-- Reading the journal's rows of one source as the host's columns: a query over batch_hint.
CREATE FUNCTION mfiauto._source_rows(source_id integer) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('SELECT %s j.written_at AS mfiauto_written_at, j.operation AS mfiauto_operation FROM mfiauto.batch_hint j WHERE j.source_id = %s AND j.operation <> ''t''',
                (SELECT string_agg(format('(%s)::%s AS %I,', CASE k.entry ->> 'slot' WHEN 'extra' THEN format('j.extra[%s]', k.entry ->> 'position') ELSE 'j.' || (k.entry ->> 'slot') END,
                                          k.entry ->> 'type', k.entry ->> 'name'), ' ' ORDER BY k.ordinality)
                   FROM mfiauto.source s, jsonb_array_elements(s.key_columns) WITH ORDINALITY AS k(entry, ordinality)
                  WHERE s.source_id = $1), $1)
$$;
