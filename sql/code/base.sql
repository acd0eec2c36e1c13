-- The clock, the rights of others, and doors: public functions that run as the installation's owner.

CREATE FUNCTION mfiauto._check_preload() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_check_preload';
SELECT mfiauto._check_preload();

CREATE FUNCTION mfiauto._is_preloaded() RETURNS boolean
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_is_preloaded';

CREATE FUNCTION mfiauto._list_workers() RETURNS TABLE (worker text, pid integer, since timestamptz)
  LANGUAGE c ROWS 4 AS 'MODULE_PATHNAME', 'mfiauto_list_workers';

-- A schema that is here already holds an installation, whose code comes back, or what somebody planted.
DO $$
DECLARE
  planted text;
BEGIN
  IF to_regclass('mfiauto.installation') IS NULL THEN
    SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) INTO planted
      FROM pg_catalog.pg_depend d
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.refobjid = 'mfiauto'::regnamespace AND d.deptype = 'n' AND d.classid <> 'pg_catalog.pg_extension'::regclass
       AND (pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid)).schema = 'mfiauto'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
     LIMIT 1;
    IF planted IS NOT NULL THEN
      RAISE EXCEPTION 'schema "mfiauto" holds an object that is not mfiauto''s: %', planted
        USING ERRCODE = '55000', HINT = 'Look at it, drop or move it, then run CREATE EXTENSION again.';
    END IF;
  END IF;
END $$;

CREATE FUNCTION mfiauto.now() RETURNS timestamptz
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mfiauto_now';
COMMENT ON FUNCTION mfiauto.now() IS
  'Business time: the transaction''s start, or the clock that set_clock() gave this session. Use it in conditions instead of now().';

CREATE FUNCTION mfiauto._set_clock(at timestamptz) RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_set_clock';

CREATE FUNCTION mfiauto._caller() RETURNS text
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_caller';

CREATE FUNCTION mfiauto._evaluate(role text, query text, client_ids bigint[], subject_ids bigint[], at timestamptz)
RETURNS TABLE (ord integer, verdict boolean)
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_evaluate';

-- The same for an expression that gives a value.
CREATE FUNCTION mfiauto._evaluate_text(role text, query text, client_ids bigint[], subject_ids bigint[], at timestamptz)
RETURNS TABLE (ord integer, value text)
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_evaluate_text';

-- An error that users' SQL or the host's tables can cause, and that may be set aside; not one of the server (a cancel, a deadlock, a
-- full disk, a lock), which must end what is going on.
CREATE FUNCTION mfiauto._is_query_error(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT code !~ '^(57|53|40|55P03)' $$;

-- An answer to a request from the web: what functions say to whoever stands in front of them.
CREATE TYPE mfiauto._response AS (status integer, headers jsonb, body bytea);

-- Which access profiles may use which door; grant_access() reads it.
CREATE TABLE mfiauto._door (
  function_oid oid NOT NULL,
  profiles text[] NOT NULL,
  CONSTRAINT _door_pkey PRIMARY KEY (function_oid)
);

-- Opens a door: creates the public function "name" with the signature and the volatility of the private
-- function "_name", run as the installation's owner.
CREATE FUNCTION mfiauto._open_door(private regprocedure, profiles text[], description text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  proc pg_catalog.pg_proc;
  name text;
  opened oid;
BEGIN
  SELECT * INTO STRICT proc FROM pg_catalog.pg_proc p WHERE p.oid = private;
  name := substr(proc.proname, 2);
  EXECUTE format('CREATE FUNCTION mfiauto.%I(%s) RETURNS %s LANGUAGE c %s AS %L, %L',
                 name, pg_catalog.pg_get_function_arguments(private), pg_catalog.pg_get_function_result(private),
                 CASE proc.provolatile WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END, 'MODULE_PATHNAME', 'mfiauto_door');
  SELECT p.oid INTO STRICT opened FROM pg_catalog.pg_proc p
   WHERE p.pronamespace = proc.pronamespace AND p.proname = name AND p.proargtypes = proc.proargtypes;
  EXECUTE format('COMMENT ON FUNCTION %s IS %L', opened::regprocedure, description);
  INSERT INTO mfiauto._door VALUES (opened, profiles);
END $$;

CREATE FUNCTION mfiauto._today() RETURNS date
  LANGUAGE sql STABLE AS $$ SELECT (mfiauto.now() AT TIME ZONE i.time_zone)::date FROM mfiauto.institution i $$;
SELECT mfiauto._open_door('mfiauto._today()', '{admin,author,analyst,app,receiver}', 'The business date in the institution''s time zone.');

-- A session's clock, for tests, demos and rehearsals.
CREATE FUNCTION mfiauto.set_clock(at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF at IS NOT NULL AND EXISTS (SELECT FROM mfiauto._list_workers() w WHERE w.worker IN ('engine', 'delivery')) THEN
    RAISE EXCEPTION 'the clock cannot be set while this database''s workers run'
      USING ERRCODE = '55000',
            HINT = format('Run ALTER DATABASE %I SET mfiauto.workers = off; and wait until mfiauto.status says so.', current_database());
  END IF;
  PERFORM mfiauto._set_clock(at);
END $$;
COMMENT ON FUNCTION mfiauto.set_clock(timestamptz) IS
  'Business time of this session alone, for tests, demos and rehearsals; null: real time again. Refused while this database''s workers run. For superusers.';
