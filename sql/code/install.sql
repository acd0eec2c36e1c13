-- install(): the tables and views, as ordinary objects of an owner; migrate(), uninstall(), grant_access().

CREATE FUNCTION mfiauto._schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';

-- Has the launcher look at this database when the transaction commits.
CREATE FUNCTION mfiauto._announce_change() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_announce_change';

CREATE FUNCTION mfiauto.install(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
  owner_name text := coalesce(owner::text, quote_ident(current_user));
  planted text;
  part record;
BEGIN
  IF to_regclass('mfiauto.installation') IS NOT NULL THEN
    RAISE EXCEPTION 'mfiauto is already installed in this database'
      USING ERRCODE = '42710', HINT = 'Use mfiauto.migrate() after an update of the extension.';
  END IF;
  -- A table or function that somebody planted here before us must not be adopted.
  SELECT format('%s %s', CASE WHEN c.relkind IN ('v', 'm') THEN 'view' WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END, c.oid::regclass)
    INTO planted
    FROM pg_class c
   WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'a', 'i'))
   ORDER BY c.relname LIMIT 1;
  IF planted IS NOT NULL THEN
    RAISE EXCEPTION 'schema "mfiauto" holds an object that is not mfiauto''s: %', planted
      USING ERRCODE = '55000', HINT = 'Look at it, drop or move it, then run install() again.';
  END IF;
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = trim('"' FROM owner_name) OR quote_ident(rolname) = owner_name LIMIT 1) THEN
    RAISE WARNING 'the owner of the installation, %, is a superuser', owner_name
      USING HINT = 'Prefer mfiauto.install(owner => ''a_role_without_login''): workers and conditions then run with its rights.';
  END IF;
  EXECUTE format('ALTER SCHEMA mfiauto OWNER TO %s', owner_name);
  IF to_regnamespace('mfiauto_segment') IS NULL THEN
    EXECUTE format('CREATE SCHEMA mfiauto_segment AUTHORIZATION %s', owner_name);
  END IF;
  EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mfiauto TO %s WITH GRANT OPTION', owner_name);
  EXECUTE format('GRANT SELECT ON mfiauto._door TO %s', owner_name);
  PERFORM set_config('role', trim('"' FROM owner_name), true);
  FOR part IN SELECT * FROM mfiauto._schema_part() p ORDER BY p.part_no LOOP
    EXECUTE part.sql;
  END LOOP;
  INSERT INTO mfiauto.installation (schema_version) VALUES (mfiauto._schema_version());
  PERFORM set_config('role', 'none', true);
  PERFORM mfiauto._announce_change();
END $$;
COMMENT ON FUNCTION mfiauto.install(regrole) IS
  'Makes the tables and views of mfiauto, owned by the given existing role (default: the caller). They outlive the extension.';
