-- install(): the tables and views, as ordinary objects of an owner; migrate() raises them, uninstall() takes them away.

CREATE FUNCTION mfiauto._schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';

-- Has the launcher look at this database when the transaction commits.
CREATE FUNCTION mfiauto._announce_change() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_announce_change';

CREATE FUNCTION mfiauto._check_superuser(action text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
    RAISE EXCEPTION 'must be superuser to % mfiauto', action USING ERRCODE = '42501';
  END IF;
END $$;

-- What lies in schema mfiauto and belongs to neither the extension nor another object there.
CREATE FUNCTION mfiauto._loose_object() RETURNS TABLE (classid oid, objid oid, kind text, name text)
LANGUAGE sql AS $$
  SELECT d.classid, d.objid, i.type, i.identity
    FROM pg_catalog.pg_depend d, LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
   WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.refobjid = 'mfiauto'::regnamespace AND d.deptype = 'n' AND d.classid <> 'pg_catalog.pg_extension'::regclass
     -- What merely names the schema, as a view of the bank may, is not in it.
     AND i.schema = 'mfiauto'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
$$;

-- The owner may call all of the code, and give others what grant_access() gives. Needed again whenever the code is new.
CREATE FUNCTION mfiauto._give_owner_rights(owner_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  code record;
BEGIN
  FOR code IN SELECT p.oid::regprocedure AS signature
                FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
               WHERE p.pronamespace = 'mfiauto'::regnamespace AND p.prokind = 'f' LOOP
    EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I WITH GRANT OPTION', code.signature, owner_name);
  END LOOP;
  EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto._door TO %I', owner_name);
  EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.status, mfiauto.workflow_health, mfiauto.template_lint, mfiauto.open_task, mfiauto.conversation, mfiauto.unusable_phone TO %I WITH GRANT OPTION', owner_name);
  EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.own_client, mfiauto.own_message, mfiauto.own_enrollment, mfiauto.own_event, mfiauto.own_task, mfiauto.own_membership
                               TO %I WITH GRANT OPTION', owner_name);
END $$;

CREATE FUNCTION mfiauto.install(owner regrole DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
  role_before text := current_setting('role');
  new_owner pg_catalog.pg_roles;
  planted text;
  part record;
BEGIN
  PERFORM mfiauto._check_superuser('install');
  IF to_regclass('mfiauto.installation') IS NOT NULL THEN
    RAISE EXCEPTION 'mfiauto is already installed in this database'
      USING ERRCODE = '42710', HINT = 'Use mfiauto.migrate() after an update of the extension.';
  END IF;
  SELECT r.* INTO new_owner FROM pg_roles r WHERE r.oid = owner OR (owner IS NULL AND r.rolname = current_user);
  IF new_owner.oid IS NULL THEN
    RAISE EXCEPTION 'role with OID % does not exist', owner::oid USING ERRCODE = '42704';
  END IF;
  -- What somebody planted here before us must not be adopted.
  SELECT format('%s %s', o.kind, o.name) INTO planted FROM mfiauto._loose_object() o ORDER BY o.name LIMIT 1;
  IF planted IS NOT NULL THEN
    RAISE EXCEPTION 'schema "mfiauto" holds an object that is not mfiauto''s: %', planted
      USING ERRCODE = '55000', HINT = 'Look at it, drop or move it, then run install() again.';
  END IF;
  IF to_regnamespace('mfiauto_segment') IS NOT NULL THEN
    RAISE EXCEPTION 'schema "mfiauto_segment" already exists'
      USING ERRCODE = '42P06', HINT = 'Look at it, drop or rename it, then run install() again.';
  END IF;
  IF new_owner.rolsuper THEN
    RAISE WARNING 'the owner of the installation, %, is a superuser', quote_ident(new_owner.rolname)
      USING HINT = 'Prefer mfiauto.install(owner => ''a_role_without_login''): workers and conditions then run with its rights.';
  END IF;
  EXECUTE format('ALTER SCHEMA mfiauto OWNER TO %I', new_owner.rolname);
  EXECUTE format('CREATE SCHEMA mfiauto_segment AUTHORIZATION %I', new_owner.rolname);
  PERFORM mfiauto._give_owner_rights(new_owner.rolname);
  PERFORM set_config('role', new_owner.rolname, true);
  FOR part IN SELECT * FROM mfiauto._schema_part() p ORDER BY p.part_no LOOP
    EXECUTE part.sql;
  END LOOP;
  INSERT INTO mfiauto.installation (schema_version) VALUES (mfiauto._schema_version());
  PERFORM set_config('role', role_before, true);
  PERFORM mfiauto._announce_change();
END $$;
COMMENT ON FUNCTION mfiauto.install(regrole) IS
  'Makes the tables and views of mfiauto, owned by the given existing role (default: the caller). They outlive the extension. For superusers.';

-- Who owns the installation; 55000 before install().
CREATE FUNCTION mfiauto._installation_owner() RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.to_regclass('mfiauto.installation') IS NULL THEN
    RAISE EXCEPTION 'mfiauto is not installed in this database'
      USING ERRCODE = '55000', DETAIL = 'The extension''s code is here, its tables are not.', HINT = 'Run SELECT mfiauto.install();';
  END IF;
  RETURN (SELECT r.rolname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
           WHERE c.oid = 'mfiauto.installation'::regclass);
END $$;

CREATE FUNCTION mfiauto.migrate() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  role_before text := current_setting('role');
  owner_name text;
  from_version integer;
  step record;
BEGIN
  owner_name := mfiauto._installation_owner();
  PERFORM mfiauto._check_superuser('migrate');
  SELECT i.schema_version INTO from_version FROM mfiauto.installation i FOR UPDATE;
  IF from_version > mfiauto._schema_version() THEN
    RAISE EXCEPTION 'the tables have version %, newer than the code''s %', from_version, mfiauto._schema_version()
      USING ERRCODE = '55000', HINT = 'Install the newer library, then run ALTER EXTENSION mfiauto UPDATE.';
  END IF;
  PERFORM mfiauto._give_owner_rights(owner_name);
  PERFORM set_config('role', owner_name, true);
  FOR step IN SELECT * FROM mfiauto._schema_step() s WHERE s.version > from_version ORDER BY s.version LOOP
    IF step.version <> from_version + 1 THEN
      EXIT;
    END IF;
    RAISE NOTICE 'raising the tables to version %', step.version;
    EXECUTE step.sql;
    from_version := step.version;
    UPDATE mfiauto.installation SET schema_version = from_version;
  END LOOP;
  IF from_version <> mfiauto._schema_version() THEN
    RAISE EXCEPTION 'there is no step that raises the tables from version %', from_version
      USING ERRCODE = '55000', HINT = 'Restore them from a dump of the version that made them, or update by way of a release in between.';
  END IF;
  PERFORM mfiauto._apply_access(g.role_name) FROM (SELECT DISTINCT a.role_name FROM mfiauto.access_grant a) g;
  PERFORM set_config('role', role_before, true);
  PERFORM mfiauto._announce_change();
  RETURN from_version;
END $$;
COMMENT ON FUNCTION mfiauto.migrate() IS
  'Raises the tables to what the extension''s code needs, step by step, after ALTER EXTENSION mfiauto UPDATE; returns their version. For superusers.';

-- Drops every object of one kind in one command: what belongs together may go together, what is a stranger''s
-- and hangs on it makes the command fail and name it.
CREATE FUNCTION mfiauto._drop_all(kind text, names text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF names IS NOT NULL THEN
    EXECUTE pg_catalog.format('DROP %s %s RESTRICT', kind, pg_catalog.array_to_string(names, ', '));
  END IF;
END $$;

CREATE FUNCTION mfiauto.uninstall(confirm text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
  hook record;
BEGIN
  PERFORM mfiauto._installation_owner();
  PERFORM mfiauto._check_superuser('uninstall');
  IF confirm IS DISTINCT FROM 'yes, delete everything' THEN
    RAISE EXCEPTION 'uninstall() deletes the message ledger, the enrollments and everything else of mfiauto in this database'
      USING ERRCODE = '22023', HINT = 'If that is what you want, run SELECT mfiauto.uninstall(''yes, delete everything'');';
  END IF;
  PERFORM mfiauto._lock_patiently(ARRAY(
    SELECT t.tgrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.pronamespace = 'mfiauto'::regnamespace AND NOT t.tgisinternal AND t.tgparentid = 0
    UNION SELECT c.oid FROM pg_class c JOIN mfiauto._loose_object() o ON o.objid = c.oid WHERE c.relkind IN ('r', 'p')), true);
  FOR hook IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t
               WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgfoid IN
                 (SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'mfiauto'::regnamespace AND p.prorettype = 'trigger'::regtype) LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', hook.tgname, hook.relation);
  END LOOP;
  PERFORM mfiauto._drop_all('VIEW', (SELECT array_agg(c.oid::regclass::text) FROM pg_class c
    WHERE c.relkind = 'v' AND (c.relnamespace = to_regnamespace('mfiauto_segment') OR c.oid IN (SELECT o.objid FROM mfiauto._loose_object() o))));
  PERFORM mfiauto._drop_all('MATERIALIZED VIEW', (SELECT array_agg(c.oid::regclass::text) FROM pg_class c
    WHERE c.relkind = 'm' AND (c.relnamespace = to_regnamespace('mfiauto_segment') OR c.oid IN (SELECT o.objid FROM mfiauto._loose_object() o))));
  PERFORM mfiauto._drop_all('FUNCTION', (SELECT array_agg(p.oid::regprocedure::text) FROM pg_proc p
    WHERE p.prokind = 'f' AND p.oid IN (SELECT o.objid FROM mfiauto._loose_object() o WHERE o.classid = 'pg_proc'::regclass)));
  PERFORM mfiauto._drop_all('TABLE', (SELECT array_agg(c.oid::regclass::text) FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND (c.relnamespace = to_regnamespace('mfiauto_segment') OR c.oid IN (SELECT o.objid FROM mfiauto._loose_object() o))));
  PERFORM mfiauto._drop_all('SEQUENCE', (SELECT array_agg(c.oid::regclass::text) FROM pg_class c
    WHERE c.relkind = 'S' AND c.oid IN (SELECT o.objid FROM mfiauto._loose_object() o)));
  DROP SCHEMA IF EXISTS mfiauto_segment RESTRICT;
  EXECUTE format('ALTER SCHEMA mfiauto OWNER TO %I', current_user);
  PERFORM mfiauto._announce_change();
END $$;
COMMENT ON FUNCTION mfiauto.uninstall(text) IS
  'Takes the triggers off the host''s tables and deletes every table and view of mfiauto in this database, on a clear yes. The extension stays. For superusers.';
