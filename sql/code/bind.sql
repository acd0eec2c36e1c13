-- bind(): which relation of the bank plays which role. The canonical views, and the capture of their changes.

-- The canonical columns of each role, in order.
CREATE FUNCTION mfiauto._role_columns(role text) RETURNS TABLE (ordinal integer, name text, type text, is_needed boolean)
LANGUAGE sql IMMUTABLE AS $$
  SELECT c.ordinal, c.name, c.type, c.is_needed
    FROM (VALUES
      ('client', 1, 'client_id', 'bigint', true), ('client', 2, 'name', 'text', false), ('client', 3, 'phone', 'text', false),
      ('client', 4, 'email', 'text', false), ('client', 5, 'push_token', 'text', false), ('client', 6, 'locale', 'text', false),
      ('client', 7, 'time_zone', 'text', false), ('client', 8, 'birth_date', 'date', false), ('client', 9, 'gender', 'text', false),
      ('client', 10, 'region', 'text', false), ('client', 11, 'literacy', 'text', false), ('client', 12, 'status', 'text', false),
      ('client', 13, 'joined_on', 'date', false), ('client', 14, 'source', 'text', false), ('client', 15, 'officer_id', 'bigint', false),
      ('client', 16, 'branch_id', 'bigint', false), ('client', 17, 'traits', 'jsonb', false),
      ('application', 1, 'application_id', 'bigint', true), ('application', 2, 'client_id', 'bigint', true), ('application', 3, 'product', 'text', false),
      ('application', 4, 'status', 'text', false), ('application', 5, 'started_at', 'timestamptz', false),
      ('application', 6, 'submitted_at', 'timestamptz', false), ('application', 7, 'decided_at', 'timestamptz', false), ('application', 8, 'decision', 'text', false),
      ('loan', 1, 'loan_id', 'bigint', true), ('loan', 2, 'client_id', 'bigint', false), ('loan', 3, 'product', 'text', false),
      ('loan', 4, 'principal', 'numeric', false), ('loan', 5, 'currency', 'text', false), ('loan', 6, 'status', 'text', true),
      ('loan', 7, 'applied_on', 'date', false), ('loan', 8, 'approved_on', 'date', false), ('loan', 9, 'disbursed_on', 'date', false),
      ('loan', 10, 'maturity_on', 'date', false), ('loan', 11, 'closed_on', 'date', false), ('loan', 12, 'written_off_on', 'date', false),
      ('loan', 13, 'outstanding', 'numeric', false), ('loan', 14, 'cycle', 'integer', false), ('loan', 15, 'officer_id', 'bigint', false), ('loan', 16, 'branch_id', 'bigint', false),
      ('installment', 1, 'installment_id', 'bigint', true), ('installment', 2, 'loan_id', 'bigint', true), ('installment', 3, 'client_id', 'bigint', false),
      ('installment', 4, 'number', 'integer', false), ('installment', 5, 'due_date', 'date', true), ('installment', 6, 'amount_due', 'numeric', true),
      ('installment', 7, 'amount_paid', 'numeric', false), ('installment', 8, 'paid_on', 'date', false),
      ('payment', 1, 'payment_id', 'bigint', true), ('payment', 2, 'loan_id', 'bigint', false), ('payment', 3, 'client_id', 'bigint', false),
      ('payment', 4, 'paid_at', 'timestamptz', true), ('payment', 5, 'amount', 'numeric', true), ('payment', 6, 'reversed', 'boolean', false),
      ('loan_party', 1, 'loan_id', 'bigint', true), ('loan_party', 2, 'client_id', 'bigint', true), ('loan_party', 3, 'role', 'text', false),
      ('loan_party', 4, 'since', 'date', false), ('loan_party', 5, 'until', 'date', false),
      ('holding', 1, 'holding_id', 'bigint', true), ('holding', 2, 'client_id', 'bigint', true), ('holding', 3, 'product', 'text', false),
      ('holding', 4, 'opened_on', 'date', false), ('holding', 5, 'closed_on', 'date', false), ('holding', 6, 'balance', 'numeric', false), ('holding', 7, 'status', 'text', false)
    ) c(role, ordinal, name, type, is_needed)
   WHERE c.role = $1
$$;

-- The roles in the order in which a batch looks at them: who answers for a loan is known before its installments are.
CREATE FUNCTION mfiauto._role_order() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY['client', 'loan_party', 'loan', 'application', 'installment', 'payment', 'holding']
$$;

CREATE FUNCTION mfiauto._role_number(role text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT array_position(mfiauto._role_order(), $1)
$$;

CREATE FUNCTION mfiauto._id_column(role text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE $1 WHEN 'loan_party' THEN 'loan_id' ELSE $1 || '_id' END
$$;

CREATE FUNCTION mfiauto._check_role(role text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF role IS NULL OR mfiauto._role_number(role) IS NULL THEN
    RAISE EXCEPTION 'role "%" does not exist', coalesce(role, 'NULL')
      USING ERRCODE = '22023', HINT = 'Roles are client, application, loan, installment, payment, loan_party and holding.';
  END IF;
END $$;

-- The query behind a canonical view. key_join joins the bound relation, b, with the keys to look up.
CREATE FUNCTION mfiauto._view_sql(role text, key_join text DEFAULT '') RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  config mfiauto.binding_config;
  joins text := '';
  client text;
  targets text;
  balance text := '';
BEGIN
  SELECT * INTO STRICT config FROM mfiauto.binding_config c WHERE c.role = _view_sql.role;
  client := '(' || (config.columns ->> 'client_id') || ')::bigint';
  IF config.columns ? 'client_key' THEN
    joins := format(' %s mfiauto.identity i ON i.client_key = (%s)::text', CASE role WHEN 'client' THEN 'JOIN' ELSE 'LEFT JOIN' END, config.columns ->> 'client_key');
    client := 'i.client_id';
  ELSIF client IS NULL AND config.columns ? 'loan_id' AND role IN ('installment', 'payment')
        AND EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = 'loan') THEN
    joins := format(' LEFT JOIN mfiauto._view_loan() l ON l.loan_id = (%s)::bigint', config.columns ->> 'loan_id');
    client := 'l.client_id';
  END IF;
  IF role = 'client' THEN
    joins := joins || format(' LEFT JOIN mfiauto.client_trait x ON x.client_id = %s', client);
  ELSIF role = 'installment' THEN
    -- What is due may not be known: then nor is the balance (greatest() would call it paid).
    balance := format(', CASE WHEN (%1$s)::numeric <= coalesce((%2$s)::numeric, 0) THEN 0 ELSE (%1$s)::numeric - coalesce((%2$s)::numeric, 0) END',
                      coalesce(config.columns ->> 'amount_due', 'NULL'), coalesce(config.columns ->> 'amount_paid', '0'));
  END IF;
  SELECT string_agg(format('%s AS %I',
           CASE WHEN c.name = 'client_id' THEN coalesce(client, 'NULL::bigint')
                WHEN c.name = 'traits' THEN format('coalesce((%s)::jsonb, ''{}'') || coalesce(x.traits, ''{}'')', coalesce(config.columns ->> 'traits', 'NULL'))
                ELSE format('(%s)::%s', coalesce(config.columns ->> c.name,
                              CASE WHEN c.name = 'amount_paid' THEN '0' WHEN c.name = 'reversed' THEN 'false'
                                   WHEN role = 'loan_party' AND c.name = 'role' THEN '''borrower''' ELSE 'NULL' END), c.type) END, c.name),
           ', ' ORDER BY c.ordinal)
    INTO targets FROM mfiauto._role_columns(role) c;
  RETURN format('SELECT %s FROM %s b%s %s%s', targets || CASE WHEN balance = '' THEN '' ELSE balance || ' AS balance' END,
                config.relation, joins, key_join, CASE WHEN config.row_filter IS NULL THEN '' ELSE format(' WHERE (%s)', config.row_filter) END);
END $$;

-- (Re)makes the function behind a role's view. Its body is a string: the host's columns stay free to change. It has no SET and is not
-- STRICT, so that it is planned as a view would be.
CREATE FUNCTION mfiauto._build_view(role text, is_empty boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  shape text;
  nulls text;
  row_count real;
BEGIN
  SELECT string_agg(format('%I %s', c.name, c.type), ', ' ORDER BY c.ordinal), string_agg(format('NULL::%s', c.type), ', ' ORDER BY c.ordinal)
    INTO shape, nulls
    FROM (SELECT * FROM mfiauto._role_columns(role) UNION ALL SELECT 100, 'balance', 'numeric', false WHERE role = 'installment') c;
  SELECT greatest(coalesce(max(k.reltuples), 1000), 1000) INTO row_count
    FROM mfiauto.binding_config c JOIN pg_class k ON k.oid = to_regclass(c.relation) WHERE c.role = _build_view.role;
  EXECUTE format('CREATE OR REPLACE FUNCTION mfiauto.%I() RETURNS TABLE (%s) LANGUAGE sql STABLE ROWS %s AS %L',
                 '_view_' || role, shape, row_count::bigint,
                 CASE WHEN is_empty THEN format('SELECT %s WHERE false', nulls) ELSE mfiauto._view_sql(role) END);
  IF to_regclass(format('mfiauto.%I', role)) IS NULL THEN
    EXECUTE format('CREATE VIEW mfiauto.%I WITH (security_invoker = true) AS SELECT * FROM mfiauto.%I()', role, '_view_' || role);
    EXECUTE format('COMMENT ON VIEW mfiauto.%I IS %L', role, format('The bank''s own books in the role %s, read with the reader''s rights.', role));
    -- Those who were given a profile before there was this view.
    PERFORM mfiauto._apply_access(g.role_name) FROM (SELECT DISTINCT a.role_name FROM mfiauto.access_grant a) g;
  END IF;
END $$;

-- Reads the columns argument: known names, all that are needed, each an expression of the right type. Returns what is stored.
CREATE FUNCTION mfiauto._read_columns(role text, relation oid, columns jsonb, OUT canonical jsonb, OUT mentioned text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
  entry record;
  checked record;
  missing text;
BEGIN
  canonical := '{}';
  mentioned := '{}';
  IF jsonb_typeof(columns) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'columns of role "%" must be a JSON object', role
      USING ERRCODE = '22023', HINT = 'Give {"canonical column": "SQL expression", ...}.';
  END IF;
  IF columns ? 'client_id' AND columns ? 'client_key' THEN
    RAISE EXCEPTION 'role "%" maps both client_id and client_key', role
      USING ERRCODE = '22023', HINT = 'Map client_id where clients are keyed by a whole number, else client_key.';
  END IF;
  SELECT string_agg(c.name, ', ' ORDER BY c.ordinal) INTO missing FROM mfiauto._role_columns(role) c
   WHERE c.is_needed AND NOT columns ? c.name AND NOT (c.name = 'client_id' AND columns ? 'client_key');
  FOR entry IN
    SELECT e.key AS name, e.value, coalesce(c.type, CASE WHEN e.key = 'client_key' THEN 'text' END) AS type
      FROM jsonb_each(columns) e LEFT JOIN mfiauto._role_columns(role) c ON c.name = e.key ORDER BY c.ordinal NULLS FIRST, e.key
  LOOP
    IF entry.type IS NULL OR entry.name = 'client_key' AND NOT EXISTS (SELECT FROM mfiauto._role_columns(role) c WHERE c.name = 'client_id') THEN
      RAISE EXCEPTION 'role "%" has no column "%"', role, entry.name
        USING ERRCODE = '22023',
              HINT = format('Its columns are %s.', (SELECT string_agg(c.name, ', ' ORDER BY c.ordinal) FROM mfiauto._role_columns(role) c));
    END IF;
    IF jsonb_typeof(entry.value) <> 'string' THEN
      RAISE EXCEPTION 'column "%" of role "%" must be a JSON string that holds an SQL expression', entry.name, role
        USING ERRCODE = '22023', HINT = 'A constant is an expression too: "''fr''" or "0".';
    END IF;
    SELECT * INTO checked FROM mfiauto._read_expression(relation, entry.value #>> '{}', to_regtype(entry.type)::oid, format('column "%s" of role "%s"', entry.name, role));
    canonical := canonical || jsonb_build_object(entry.name, checked.canonical);
    mentioned := mentioned || checked.columns;
  END LOOP;
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'role "%" needs %', role, missing
      USING ERRCODE = '22023', HINT = 'Map each of them to an SQL expression over the relation''s columns.';
  END IF;
  IF role = 'payment' AND NOT columns ?| ARRAY['loan_id', 'client_id', 'client_key'] THEN
    RAISE EXCEPTION 'role "payment" needs loan_id or client_id' USING ERRCODE = '22023', HINT = 'Say whose payment it is.';
  END IF;
  SELECT coalesce(array_agg(DISTINCT m ORDER BY m), '{}') INTO mentioned FROM unnest(mentioned) m;
END $$;

-- One source of a role: checked, stored, its triggers made. given: NULL for the bound relation itself, a text or an object of sources.
CREATE FUNCTION mfiauto._add_source(role text, relation oid, is_direct boolean, id_expression text, id_target text, watched text[], replica boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  checked record;
  number integer := nextval('mfiauto.source_id_seq');
  is_key boolean := (SELECT c.columns ? 'client_key' FROM mfiauto.binding_config c WHERE c.role = _add_source.role) AND (role = 'client' OR id_target = 'client');
BEGIN
  SELECT * INTO checked FROM mfiauto._read_expression(relation, id_expression, CASE WHEN is_key THEN 'text'::regtype ELSE 'bigint'::regtype END::oid,
                                                      format('id of source %s of role "%s"', relation::regclass, role));
  PERFORM mfiauto._require_host_rights(relation, true);
  INSERT INTO mfiauto.source (source_id, kind, name, relation, is_direct, id_target, id_expression, is_client_key, key_columns, watched_columns)
  VALUES (number, 'role', role, mfiauto._qualified_name(relation), is_direct, id_target, checked.canonical, is_key,
          mfiauto._key_columns(relation, checked.columns), watched);
  PERFORM mfiauto._attach_capture(number, 'mfiauto_capture_' || role, 'INSERT OR UPDATE OR DELETE', NULL, false, replica);
END $$;

CREATE FUNCTION mfiauto._qualified_name(relation oid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1
$$;

-- The sources argument: {"schema.table": "id expression" | {"id": … | "client_id": …, "watch": [columns]}}.
-- bound is the relation that plays the role, bound_columns those of its columns that matter.
CREATE FUNCTION mfiauto._read_sources(role text, sources jsonb, replica boolean, bound oid, bound_columns text[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  entry record;
  relation oid;
  kind "char";
  given jsonb;
  watched text[];
  unknown_column text;
BEGIN
  IF jsonb_typeof(sources) <> 'object' OR sources = '{}' THEN
    RAISE EXCEPTION 'sources of role "%" must be a JSON object that names tables', role
      USING ERRCODE = '22023', HINT = 'Give {"schema.table": "id expression"}.';
  END IF;
  FOR entry IN SELECT e.key AS name, e.value FROM jsonb_each(sources) e ORDER BY e.key LOOP
    BEGIN
      relation := to_regclass(entry.name);
    EXCEPTION WHEN invalid_name THEN
      relation := NULL;
    END;
    SELECT c.relkind INTO kind FROM pg_class c WHERE c.oid = relation;
    IF kind IS NULL OR kind NOT IN ('r', 'p') THEN
      RAISE EXCEPTION 'source "%" of role "%" is not a table', entry.name, role
        USING ERRCODE = '42809', HINT = 'Changes can be captured from tables only: name them with their schema.';
    END IF;
    given := CASE jsonb_typeof(entry.value) WHEN 'string' THEN jsonb_build_object('id', entry.value) ELSE entry.value END;
    IF (CASE WHEN jsonb_typeof(given) <> 'object' THEN true ELSE given - ARRAY['id', 'client_id', 'watch'] <> '{}' END)
       OR (given ? 'id') = (given ? 'client_id') OR jsonb_typeof(coalesce(given -> 'id', given -> 'client_id')) <> 'string'
       OR jsonb_typeof(coalesce(given -> 'watch', '[]')) <> 'array' THEN
      RAISE EXCEPTION 'source "%" of role "%" is neither an id expression nor an object', entry.name, role
        USING ERRCODE = '22023', HINT = 'Give {"id": "expression"} or {"client_id": "expression"}, and "watch": [columns] if only some columns matter.';
    END IF;
    SELECT coalesce(array_agg(w.name ORDER BY w.ordinality), '{}'),
           min(w.name) FILTER (WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped))
      INTO watched, unknown_column
      FROM jsonb_array_elements_text(coalesce(given -> 'watch', '[]')) WITH ORDINALITY AS w(name, ordinality);
    IF unknown_column IS NOT NULL THEN
      RAISE EXCEPTION 'source "%" of role "%" has no column "%" to watch', entry.name, role, unknown_column
        USING ERRCODE = '42703', HINT = 'Watch columns of the source table.';
    END IF;
    IF EXISTS (SELECT FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = _read_sources.role AND s.relation = mfiauto._qualified_name(relation)) THEN
      RAISE EXCEPTION 'source "%" of role "%" is named twice', entry.name, role USING ERRCODE = '42710', HINT = 'Name each table once.';
    END IF;
    PERFORM mfiauto._add_source(role, relation, relation = bound AND given ? 'id', coalesce(given ->> 'id', given ->> 'client_id'),
                                CASE WHEN given ? 'id' OR role = 'client' THEN 'subject' ELSE 'client' END,
                                CASE WHEN relation = bound AND NOT given ? 'watch' THEN bound_columns ELSE watched END, replica);
  END LOOP;
END $$;

-- The engine waits until this transaction ends. Writers go on: what they commit must be seen by the statements that follow, so
-- an old snapshot will not do.
CREATE FUNCTION mfiauto._keep_engine_out() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'bindings cannot change in a transaction of isolation level %', current_setting('transaction_isolation')
      USING ERRCODE = '55000', HINT = 'Use BEGIN ISOLATION LEVEL READ COMMITTED: what writers commit meanwhile would not be seen.';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('mfiauto engine'));
END $$;

-- The relations that a sources argument names, those of them that exist.
CREATE FUNCTION mfiauto._source_relations(sources jsonb) RETURNS TABLE (relation oid) LANGUAGE plpgsql STABLE AS $$
DECLARE
  name text;
BEGIN
  IF jsonb_typeof(sources) = 'object' THEN
    FOR name IN SELECT * FROM jsonb_object_keys(sources) LOOP
      BEGIN
        relation := to_regclass(name);
      EXCEPTION WHEN invalid_name THEN
        relation := NULL;
      END;
      IF relation IS NOT NULL THEN
        RETURN NEXT;
      END IF;
    END LOOP;
  END IF;
END $$;

CREATE FUNCTION mfiauto._bind(role text, relation regclass, columns jsonb, row_filter text DEFAULT NULL, sources jsonb DEFAULT NULL, replica boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = _bind.relation);
  is_table boolean := kind IN ('r', 'p');
  present mfiauto.binding_config;
  mapping record;
  filter record;
  watched text[];
BEGIN
  PERFORM mfiauto._check_role(role);
  IF relation IS NULL OR columns IS NULL THEN
    RAISE EXCEPTION 'relation and columns of role "%" must be given', role USING ERRCODE = '22023', HINT = 'bind(role, relation, columns jsonb)';
  END IF;
  replica := coalesce(replica, false);
  IF kind IS NULL OR kind NOT IN ('r', 'p', 'v', 'm', 'f') THEN
    RAISE EXCEPTION '% is neither a table nor a view', relation USING ERRCODE = '42809', HINT = 'Bind a table, a view, a materialized view or a foreign table.';
  END IF;
  PERFORM mfiauto._keep_engine_out();
  PERFORM mfiauto._require_host_rights(relation, is_table);
  SELECT * INTO mapping FROM mfiauto._read_columns(role, relation, columns);
  IF row_filter IS NOT NULL THEN
    SELECT * INTO filter FROM mfiauto._read_expression(relation, row_filter, 'boolean'::regtype::oid, format('row filter of role "%s"', role));
  ELSE
    SELECT NULL::text AS canonical, '{}'::text[] AS columns INTO filter;
  END IF;
  SELECT * INTO present FROM mfiauto.binding_config c WHERE c.role = _bind.role;
  IF present.role IS NOT NULL THEN
    IF present.relation = mfiauto._qualified_name(relation) AND present.columns = mapping.canonical AND present.row_filter IS NOT DISTINCT FROM filter.canonical
       AND present.sources IS NOT DISTINCT FROM sources AND present.replica = replica AND present.problem IS NULL THEN
      RAISE NOTICE 'role "%" is already bound so', role;
      RETURN;
    END IF;
    RAISE EXCEPTION 'role "%" is already bound, to %', role, present.relation
      USING ERRCODE = '42710', HINT = format('Run SELECT mfiauto.unbind(%L); first.', role);
  END IF;
  PERFORM mfiauto._lock_patiently(ARRAY(
    SELECT k.oid FROM pg_class k
     WHERE k.relkind IN ('r', 'p') AND has_table_privilege(k.oid, 'TRIGGER')
       AND (sources IS NULL AND k.oid = _bind.relation OR k.oid IN (SELECT s.relation FROM mfiauto._source_relations(sources) s))), false);
  IF sources IS NULL AND kind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = _bind.relation) THEN
    RAISE WARNING 'what is written to a table that inherits from % is read, but not captured', relation
      USING HINT = 'Name the table and those that inherit from it as sources => ''{"schema.table": "id expression"}''.';
  END IF;
  INSERT INTO mfiauto.binding_config (role, relation, columns, row_filter, sources, replica, polled, polled_at, bound_at, bound_by)
  VALUES (role, mfiauto._qualified_name(relation), mapping.canonical, filter.canonical, sources, replica, NOT is_table AND sources IS NULL, mfiauto.now(), mfiauto.now(), mfiauto._caller());
  SELECT coalesce(array_agg(DISTINCT c.name ORDER BY c.name), '{}') INTO watched FROM unnest(mapping.mentioned || filter.columns) AS c(name);
  IF sources IS NOT NULL THEN
    PERFORM mfiauto._read_sources(role, sources, replica, relation, watched);
  END IF;
  IF is_table AND NOT EXISTS (SELECT FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = _bind.role AND s.relation = mfiauto._qualified_name(_bind.relation)) THEN
    PERFORM mfiauto._add_source(role, relation, true, coalesce(columns ->> mfiauto._id_column(role), columns ->> 'client_key'), 'subject', watched, replica);
  ELSIF sources IS NULL THEN
    RAISE NOTICE 'role "%" is bound to a relation that takes no row triggers: it is read as a whole every minute', role
      USING HINT = 'Name its tables with sources => ''{"schema.table": "id expression"}'' to capture changes at once.';
  END IF;
  PERFORM mfiauto._build_view(role);
  PERFORM mfiauto._settle(role);
END $$;
SELECT mfiauto._open_door('mfiauto._bind(text, regclass, jsonb, text, jsonb, boolean)', '{admin}',
  'Tells mfiauto which table or view of the bank plays a role, each canonical column as an SQL expression over it; checks them, makes the canonical view and captures changes. The table is read once, while its writers wait.');

-- The bound roles whose rows change with another role's: clients that come from the loan, keys that become numbers.
CREATE FUNCTION mfiauto._dependent_roles(role text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT c.role FROM mfiauto.binding_config c
   WHERE c.role <> $1
     AND ($1 = 'loan' AND c.role IN ('installment', 'payment') AND c.columns ? 'loan_id' AND NOT c.columns ?| ARRAY['client_id', 'client_key']
          OR $1 = 'client' AND c.columns ? 'client_key')
   ORDER BY mfiauto._role_number(c.role)
$$;

-- Makes the state right after a binding came or went, without events: of the role, and of those that read through it.
CREATE FUNCTION mfiauto._settle(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  dependent text;
BEGIN
  IF EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = _settle.role) THEN
    PERFORM mfiauto._refill(role);
  END IF;
  FOR dependent IN SELECT * FROM mfiauto._dependent_roles(role) LOOP
    PERFORM mfiauto._build_view(dependent);
    PERFORM mfiauto._refill(dependent);
  END LOOP;
  PERFORM mfiauto._clear_batch();
  PERFORM mfiauto._doubt_profiles();
END $$;

-- For who changes a binding that must be there: the engine stays out until he is done.
CREATE FUNCTION mfiauto._take_binding(role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._check_role(role);
  PERFORM mfiauto._keep_engine_out();
  IF NOT EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = _take_binding.role) THEN
    RAISE EXCEPTION 'role "%" is not bound', role USING ERRCODE = '42704', HINT = 'SELECT * FROM mfiauto.binding; shows what is.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._unbind(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  source record;
BEGIN
  PERFORM mfiauto._take_binding(role);
  PERFORM mfiauto._lock_patiently(ARRAY(SELECT DISTINCT to_regclass(s.relation)::oid FROM mfiauto.source s
                                         WHERE s.kind = 'role' AND s.name = _unbind.role AND to_regclass(s.relation) IS NOT NULL), true);
  FOR source IN SELECT to_regclass(s.relation) AS relation FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = _unbind.role AND to_regclass(s.relation) IS NOT NULL LOOP
    PERFORM mfiauto._drop_capture(source.relation, 'mfiauto_capture_' || role);
    PERFORM mfiauto._drop_capture(source.relation, 'mfiauto_capture_' || role || '_truncate');
  END LOOP;
  DELETE FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = _unbind.role;
  DELETE FROM mfiauto.binding_config c WHERE c.role = _unbind.role;
  DELETE FROM mfiauto.subject_state s WHERE s.role = _unbind.role;
  DELETE FROM mfiauto.anchor_date a WHERE a.role = _unbind.role;
  IF role = 'loan_party' THEN
    DELETE FROM mfiauto.party_state;
  ELSIF role = 'client' THEN
    DELETE FROM mfiauto.address_book;
  END IF;
  PERFORM mfiauto._settle(role);
  BEGIN
    EXECUTE format('DROP VIEW IF EXISTS mfiauto.%I', role);
    EXECUTE format('DROP FUNCTION IF EXISTS mfiauto.%I()', '_view_' || role);
  EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE NOTICE 'view mfiauto.% stays, empty: other objects depend on it', role;
    PERFORM mfiauto._build_view(role, is_empty => true);
  END;
END $$;
SELECT mfiauto._open_door('mfiauto._unbind(text)', '{admin}', 'Takes a binding, its triggers and its canonical view away.');

CREATE FUNCTION mfiauto._resync(role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  changed record;
  dependent text;
BEGIN
  PERFORM mfiauto._take_binding(role);
  SELECT * INTO changed FROM mfiauto._refill(role);
  PERFORM mfiauto._journal_touched();
  FOR dependent IN SELECT * FROM mfiauto._dependent_roles(role) LOOP
    PERFORM mfiauto._refill(dependent);
    PERFORM mfiauto._journal_touched();
  END LOOP;
  PERFORM mfiauto._clear_batch();
  UPDATE mfiauto.binding_config c SET problem = NULL, polled_at = mfiauto.now() WHERE c.role = _resync.role;
  RAISE NOTICE 'role "%": % read, % new, % changed, % gone', role, changed.read_count, changed.new_count, changed.changed_count, changed.gone_count;
END $$;
SELECT mfiauto._open_door('mfiauto._resync(text)', '{admin}',
  'Reads a bound relation as a whole and makes the state right, without events; workflows look again at whoever changed.');
