-- The clock, the rights of others, and doors: public functions that run as the installation's owner.

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

CREATE FUNCTION mfiauto.today() RETURNS date
  LANGUAGE sql STABLE AS $$ SELECT (mfiauto.now() AT TIME ZONE i.time_zone)::date FROM mfiauto.institution i $$;
COMMENT ON FUNCTION mfiauto.today() IS 'The business date in the institution''s time zone.';

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
