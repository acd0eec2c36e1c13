-- watch(): any other table of the bank as a source of events.

-- A trigger's condition runs with the rights of everybody who writes the table: what it calls must be a superuser's or the
-- table owner's, whom they trust anyway.
CREATE FUNCTION mfiauto._check_condition_trust(name text, relation regclass, trigger_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  stranger text;
BEGIN
  SELECT pg_describe_object(d.refclassid, d.refobjid, 0) INTO stranger
    FROM pg_trigger t
    JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
    JOIN LATERAL (SELECT p.proowner AS owner FROM pg_proc p WHERE d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
                  UNION ALL SELECT o.oprowner FROM pg_operator o WHERE d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
                  UNION ALL SELECT y.typowner FROM pg_type y WHERE d.refclassid = 'pg_type'::regclass AND y.oid = d.refobjid) f ON true
    JOIN pg_roles r ON r.oid = f.owner
   WHERE t.tgrelid = relation AND t.tgname = trigger_name AND NOT r.rolsuper AND r.oid <> (SELECT c.relowner FROM pg_class c WHERE c.oid = relation)
   ORDER BY 1 LIMIT 1;
  IF stranger IS NOT NULL THEN
    RAISE EXCEPTION 'condition of event "%" uses %, which belongs to neither a superuser nor the owner of %', name, stranger, relation
      USING ERRCODE = 'insufficient_privilege', HINT = 'It would run with the rights of everybody who writes the table. Give it to one of them, or write the condition without it.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._watch(name text, relation regclass, operation text, condition text DEFAULT NULL, client text DEFAULT NULL, subject text DEFAULT NULL, properties jsonb DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = _watch.relation);
  firing text := upper(operation);
  number integer;
  checked record;
  client_sql text;
  subject_sql text;
  subject_kind text := (SELECT c.relname FROM pg_class c WHERE c.oid = _watch.relation);
  mentioned text[] := '{}';
  told jsonb := '{}';
  entry record;
  is_key boolean := false;
BEGIN
  IF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'an event''s name must have 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Name it as Object Action, for example ''Card Blocked''.';
  END IF;
  IF firing IS NULL OR firing NOT IN ('INSERT', 'UPDATE', 'DELETE') THEN
    RAISE EXCEPTION 'operation "%" cannot be watched', coalesce(operation, 'NULL') USING ERRCODE = '22023', HINT = 'Give INSERT, UPDATE or DELETE.';
  END IF;
  IF kind IS NULL OR kind NOT IN ('r', 'p') THEN
    RAISE EXCEPTION '% is not a table', coalesce(relation::text, 'NULL') USING ERRCODE = '42809', HINT = 'Watch the table that is written.';
  END IF;
  IF client IS NULL THEN
    RAISE EXCEPTION 'event "%" needs a client', name USING ERRCODE = '22023', HINT = 'Give client => ''<SQL expression over the table''''s columns>''.';
  END IF;
  IF properties IS NOT NULL AND jsonb_typeof(properties) <> 'object' THEN
    RAISE EXCEPTION 'properties of event "%" must be a JSON object', name USING ERRCODE = '22023', HINT = 'Give {"property": "SQL expression", ...}.';
  END IF;
  PERFORM mfiauto._require_host_rights(relation, true);
  IF EXISTS (SELECT FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = _watch.name AND s.relation = mfiauto._qualified_name(_watch.relation)) THEN
    RAISE EXCEPTION 'event "%" is already watched on %', name, relation
      USING ERRCODE = '42710', HINT = format('Run SELECT mfiauto.unwatch(%L, %L); first.', name, relation::text);
  END IF;
  is_key := EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = 'client' AND c.columns ? 'client_key');
  SELECT * INTO checked FROM mfiauto._read_expression(relation, client, CASE WHEN is_key THEN 'text'::regtype ELSE 'bigint'::regtype END::oid, format('client of event "%s"', name));
  client_sql := checked.canonical;
  mentioned := checked.columns;
  IF subject IS NOT NULL THEN
    SELECT * INTO checked FROM mfiauto._read_expression(relation, subject, 'bigint'::regtype::oid, format('subject of event "%s"', name));
    subject_sql := checked.canonical;
    mentioned := mentioned || checked.columns;
    -- A row of a bound relation is that role's subject, so that workflows and explain_client() know it.
    SELECT c.role INTO subject_kind FROM mfiauto.binding_config c
     WHERE c.relation = mfiauto._qualified_name(_watch.relation) AND c.columns ->> mfiauto._id_column(c.role) = subject_sql AND c.role <> 'loan_party' LIMIT 1;
    subject_kind := coalesce(subject_kind, (SELECT c.relname FROM pg_class c WHERE c.oid = _watch.relation));
  END IF;
  FOR entry IN SELECT e.key, e.value FROM jsonb_each(coalesce(properties, '{}')) e ORDER BY e.key LOOP
    IF jsonb_typeof(entry.value) <> 'string' THEN
      RAISE EXCEPTION 'property "%" of event "%" must be a JSON string that holds an SQL expression', entry.key, name USING ERRCODE = '22023', HINT = 'A constant is an expression too: "''fr''" or "0".';
    END IF;
    SELECT * INTO checked FROM mfiauto._read_expression(relation, entry.value #>> '{}', NULL, format('property "%s" of event "%s"', entry.key, name));
    told := told || jsonb_build_object(entry.key, checked.canonical);
    mentioned := mentioned || checked.columns;
  END LOOP;
  SELECT coalesce(array_agg(DISTINCT m ORDER BY m), '{}') INTO mentioned FROM unnest(mentioned) m;
  PERFORM mfiauto._lock_patiently(ARRAY[relation::oid], false);
  number := nextval('mfiauto.source_id_seq');
  INSERT INTO mfiauto.source (source_id, kind, name, relation, operation, condition, id_expression, client_expression, is_client_key, subject, properties, key_columns, watched_columns)
  VALUES (number, 'watch', name, mfiauto._qualified_name(relation), firing, condition, coalesce(subject_sql, 'NULL'), client_sql, is_key,
          CASE WHEN subject_sql IS NOT NULL THEN subject_kind END, told, mfiauto._key_columns(relation, mentioned), '{}');
  IF condition IS NOT NULL THEN
    BEGIN
      PERFORM mfiauto._check_syntax(condition);
      PERFORM mfiauto._attach_capture(number, 'mfiauto_watch_' || number, firing, condition, true, false);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
      RAISE EXCEPTION 'condition of event "%": %', name, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Give a boolean expression over NEW and OLD, as in the WHEN of CREATE TRIGGER.';
    END;
    PERFORM mfiauto._check_condition_trust(name, relation, 'mfiauto_watch_' || number);
    RAISE NOTICE 'the condition of event "%" pins the columns it names: % cannot drop or retype them while it is watched', name, relation
      USING HINT = format('SELECT mfiauto.unwatch(%L, %L); frees them.', name, relation::text);
  ELSE
    PERFORM mfiauto._attach_capture(number, 'mfiauto_watch_' || number, firing, NULL, true, false);
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._watch(text, regclass, text, text, text, text, jsonb)', '{admin}',
  'Makes an event of each INSERT, UPDATE or DELETE of a table that meets the condition: client, subject and properties are SQL expressions over its columns.');

CREATE FUNCTION mfiauto._unwatch(name text, relation text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  source mfiauto.source;
  given regclass;
BEGIN
  BEGIN
    given := to_regclass(_unwatch.relation);
  EXCEPTION WHEN invalid_name THEN
    given := NULL;
  END;
  SELECT * INTO source FROM mfiauto.source s
   WHERE s.kind = 'watch' AND s.name = _unwatch.name AND (s.relation = _unwatch.relation OR to_regclass(s.relation) = given);
  IF source.source_id IS NULL THEN
    RAISE EXCEPTION 'event "%" is not watched on "%"', name, relation
      USING ERRCODE = '42704', HINT = coalesce((SELECT 'Watched: ' || string_agg(format('%s on %s', s.name, s.relation), ', ' ORDER BY s.name, s.relation) || '.' FROM mfiauto.source s WHERE s.kind = 'watch'),
                                               'No table is watched.');
  END IF;
  IF to_regclass(source.relation) IS NOT NULL THEN
    PERFORM mfiauto._lock_patiently(ARRAY[to_regclass(source.relation)::oid], true);
    PERFORM mfiauto._drop_capture(to_regclass(source.relation), 'mfiauto_watch_' || source.source_id);
  END IF;
  DELETE FROM mfiauto.source s WHERE s.source_id = source.source_id;
END $$;
SELECT mfiauto._open_door('mfiauto._unwatch(text, text)', '{admin}', 'Ends a watch and takes its trigger away.');

-- The events of the batch's watched rows. A row whose client cannot be told is parked; the others go on.
CREATE FUNCTION mfiauto._emit_watched_events() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  source mfiauto.source;
  event_sql text;
  hint record;
  event_count bigint := 0;
  row_count bigint;
BEGIN
  FOR source IN SELECT * FROM mfiauto.source s WHERE s.kind = 'watch' AND EXISTS (SELECT FROM mfiauto.batch_hint h WHERE h.source_id = s.source_id) ORDER BY s.source_id LOOP
    event_sql := format($sql$
      WITH happened AS MATERIALIZED (
        SELECT %1$s AS client_id, (%2$s)::bigint AS subject_id, jsonb_build_object(%3$s) AS properties, b.mfiauto_written_at AS written_at
          FROM (%4$s) b),
      parked AS (
        INSERT INTO mfiauto.parked_fact (stage, source, subject, subject_id, reason, parked_at)
        SELECT 'consume', %5$L, %6$L, h.subject_id, 'no_client', mfiauto.now() FROM happened h WHERE h.client_id IS NULL),
      event AS (
        INSERT INTO mfiauto.event_log (client_id, name, subject, subject_id, loan_id, properties, occurred_at, received_at)
        SELECT h.client_id, %5$L, %6$L, h.subject_id,
               CASE WHEN %6$L = 'loan' THEN h.subject_id ELSE (SELECT s.loan_id FROM mfiauto.subject_state s WHERE s.role = %6$L AND s.subject_id = h.subject_id) END,
               h.properties, h.written_at, mfiauto.now()
          FROM happened h WHERE h.client_id IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = h.client_id) ORDER BY h.written_at, h.client_id
        RETURNING event_id, client_id, name, subject, subject_id, loan_id, occurred_at)
      INSERT INTO mfiauto.batch_event (event_id, client_id, name, subject, subject_id, loan_id, occurred_at)
      SELECT e.event_id, e.client_id, e.name, e.subject, e.subject_id, e.loan_id, e.occurred_at FROM event e
      $sql$,
      CASE WHEN source.is_client_key THEN format('(SELECT i.client_id FROM mfiauto.identity i WHERE i.client_key = (%s)::text)', source.client_expression)
           ELSE format('(%s)::bigint', source.client_expression) END,
      source.id_expression,
      (SELECT string_agg(format('%L, %s', p.key, p.value), ', ' ORDER BY p.key) FROM jsonb_each_text(source.properties) p),
      mfiauto._source_rows(source.source_id), source.name, source.subject);
    BEGIN
      EXECUTE event_sql;
      GET DIAGNOSTICS row_count = ROW_COUNT;
      event_count := event_count + row_count;
    EXCEPTION WHEN data_exception THEN
      FOR hint IN SELECT h.ctid, h.key1, h.key2 FROM mfiauto.batch_hint h WHERE h.source_id = source.source_id LOOP
        BEGIN
          EXECUTE replace(event_sql, 'FROM mfiauto.batch_hint j WHERE', format('FROM mfiauto.batch_hint j WHERE j.ctid = %L::tid AND', hint.ctid));
          GET DIAGNOSTICS row_count = ROW_COUNT;
          event_count := event_count + row_count;
        EXCEPTION WHEN data_exception THEN
          PERFORM mfiauto._park('consume', source.name, source.subject, NULL, NULL, SQLSTATE, 'expression', format('whole numbers of the row: %s', concat_ws(', ', hint.key1, hint.key2)));
        END;
      END LOOP;
    WHEN others THEN
      IF NOT mfiauto._is_query_error(SQLSTATE) THEN
        RAISE;
      END IF;
      UPDATE mfiauto.source s SET problem = SQLERRM WHERE s.source_id = source.source_id;
      PERFORM mfiauto._park('consume', source.name, source.subject, NULL, NULL, SQLSTATE, 'watch_broken', NULL);
    END;
  END LOOP;
  RETURN event_count;
END $$;
