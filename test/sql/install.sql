-- install(), migrate(), uninstall(), access profiles, and every function before install().
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
-- Before install() every door says what is missing; so do the functions that are not doors.
DO $$
DECLARE
  door record;
  arguments text;
  wrong text := '';
BEGIN
  FOR door IN SELECT p.oid, p.proname, p.pronargs, p.proargtypes FROM mfiauto._door d JOIN pg_proc p ON p.oid = d.function_oid ORDER BY p.proname LOOP
    SELECT string_agg(format('NULL::%s', t::regtype), ', ' ORDER BY n) INTO arguments FROM unnest(door.proargtypes) WITH ORDINALITY AS a(t, n);
    BEGIN
      EXECUTE format('SELECT mfiauto.%I(%s)', door.proname, arguments);
      wrong := wrong || format('%s was let through; ', door.proname);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      IF SQLERRM <> 'mfiauto is not installed in this database' THEN
        wrong := wrong || format('%s: %s; ', door.proname, SQLERRM);
      END IF;
    END;
  END LOOP;
  RAISE NOTICE 'doors that do not ask for install(): %', coalesce(nullif(wrong, ''), 'none');
END $$;
SELECT * FROM mfiauto.status;
SELECT mfiauto.migrate();
SELECT mfiauto.uninstall('yes, delete everything');

-- Who may, and for whom.
CREATE ROLE install_owner;
CREATE ROLE "Install ""Owner""";
CREATE ROLE install_nobody;
SELECT mfiauto.install('install_missing');
SET ROLE install_nobody;
SELECT mfiauto.install();
RESET ROLE;
GRANT USAGE ON SCHEMA mfiauto TO install_nobody;
GRANT EXECUTE ON FUNCTION mfiauto.install(regrole), mfiauto._check_superuser(text) TO install_nobody;
SET ROLE install_nobody;
SELECT mfiauto.install();
RESET ROLE;

-- What somebody planted is refused, never adopted.
CREATE TABLE mfiauto.outbox (planted integer);
SELECT mfiauto.install('install_owner');
DROP TABLE mfiauto.outbox;
CREATE FUNCTION mfiauto.install(text) RETURNS text LANGUAGE sql AS $$ SELECT 'planted' $$;
SELECT mfiauto.install('install_owner'::regrole);
DROP FUNCTION mfiauto.install(text);
CREATE SCHEMA mfiauto_segment;
SELECT mfiauto.install('install_owner');
DROP SCHEMA mfiauto_segment;

-- An owner whose name needs quoting; everything is his.
SELECT mfiauto.install('"Install ""Owner"""');
SELECT mfiauto.install();
SELECT DISTINCT pg_get_userbyid(c.relowner) AS owner, c.relkind FROM pg_class c
 WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 2;
SELECT current_user = session_user AS is_back, schema_version FROM mfiauto.installation;
SELECT mfiauto.uninstall('yes');
SELECT mfiauto.uninstall(NULL);

-- A view of the host on our tables is not dropped behind its back.
CREATE VIEW public.messages_of_today AS SELECT * FROM mfiauto.message;
SELECT mfiauto.uninstall('yes, delete everything');
DROP VIEW public.messages_of_today;
SELECT mfiauto.uninstall('yes, delete everything');
SELECT count(*) AS left_over FROM mfiauto._loose_object();
SELECT to_regnamespace('mfiauto_segment') AS segment_schema, pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = 'mfiauto';

-- A superuser as owner is warned of; uninstall takes the triggers off the host's tables.
SELECT mfiauto.install();
SELECT mfiauto.uninstall('yes, delete everything');
SELECT mfiauto.install('install_owner');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, display_name text, mobile_no text);
GRANT USAGE ON SCHEMA bank TO install_owner;
GRANT SELECT, TRIGGER ON bank.client TO install_owner;
SELECT mfiauto.grant_access('install_nobody', 'analyst');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "display_name", "phone": "mobile_no"}');
SELECT count(*) > 0 AS is_captured FROM pg_trigger WHERE tgrelid = 'bank.client'::regclass;

-- Access profiles: exactly what they say, also together and one after the other.
SELECT mfiauto.grant_access('install_nobody', 'author');
SELECT mfiauto.grant_access('install_nobody', 'king');
SELECT mfiauto.grant_access(NULL, 'author');
SELECT role_name, profile FROM mfiauto.access_grant ORDER BY 1, 2;
SELECT has_table_privilege('install_nobody', 'mfiauto.kpi', 'SELECT') AS kpi,
       has_table_privilege('install_nobody', 'mfiauto.message', 'SELECT') AS message,
       has_table_privilege('install_nobody', 'mfiauto.client', 'SELECT') AS client,
       has_function_privilege('install_nobody', 'mfiauto.create_workflow(text,json)', 'EXECUTE') AS create_workflow,
       has_function_privilege('install_nobody', 'mfiauto.arm_delivery()', 'EXECUTE') AS arm_delivery;
SELECT mfiauto.revoke_access('install_nobody', 'author');
SELECT has_table_privilege('install_nobody', 'mfiauto.kpi', 'SELECT') AS kpi,
       has_table_privilege('install_nobody', 'mfiauto.client', 'SELECT') AS client,
       has_function_privilege('install_nobody', 'mfiauto.create_workflow(text,json)', 'EXECUTE') AS create_workflow;
SELECT mfiauto.revoke_access('install_nobody', 'author');
SELECT mfiauto.revoke_access('install_nobody');
SELECT has_table_privilege('install_nobody', 'mfiauto.kpi', 'SELECT') AS kpi,
       has_schema_privilege('install_nobody', 'mfiauto', 'USAGE') AS schema;
SELECT mfiauto.grant_access('install_nobody', 'admin');
SET ROLE install_nobody;
SELECT count(*) FROM mfiauto.message;
SELECT mfiauto.arm_delivery();
SELECT mfiauto.grant_access('install_nobody', 'receiver');
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
RESET ROLE;

-- Versions: nothing to do; a step that is missing; tables newer than the code.
SELECT mfiauto.migrate();
-- Steps run as the owner, one after the other; this code is then of another version than its library knows.
BEGIN;
CREATE OR REPLACE FUNCTION mfiauto._schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3';
CREATE OR REPLACE FUNCTION mfiauto._schema_step(OUT version integer, OUT sql text) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS
  $$ VALUES (2, 'CREATE TABLE mfiauto.step_two (who text); INSERT INTO mfiauto.step_two VALUES (current_user)'), (3, 'ALTER TABLE mfiauto.step_two ADD COLUMN what text') $$;
SELECT mfiauto.migrate();
SELECT who, what, pg_get_userbyid(relowner) AS owner FROM mfiauto.step_two, pg_class WHERE oid = 'mfiauto.step_two'::regclass;
SELECT mfiauto.today();
ROLLBACK;
BEGIN;
CREATE OR REPLACE FUNCTION mfiauto._schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3';
CREATE OR REPLACE FUNCTION mfiauto._schema_step(OUT version integer, OUT sql text) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS
  $$ VALUES (3, 'SELECT 1') $$;
SELECT mfiauto.migrate();
ROLLBACK;
UPDATE mfiauto.installation SET schema_version = 0;
SELECT mfiauto.migrate();
SELECT mfiauto.ensure_partitions();
UPDATE mfiauto.installation SET schema_version = 2;
SELECT mfiauto.migrate();
UPDATE mfiauto.installation SET schema_version = 1;

-- The code goes, the books stay; it comes back and the owner has his rights again.
SET client_min_messages = warning;
DROP EXTENSION mfiauto CASCADE;
SELECT schema_version FROM mfiauto.installation;
CREATE EXTENSION mfiauto;
SELECT mfiauto.today() IS NOT NULL AS works, has_function_privilege('install_owner', 'mfiauto._today()', 'EXECUTE') AS owner_may;
SELECT mfiauto.migrate();
SELECT has_function_privilege('install_nobody', 'mfiauto.create_workflow(text,json)', 'EXECUTE') AS admin_may_again;
SELECT mfiauto.uninstall('yes, delete everything');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'bank.client'::regclass;

DROP EXTENSION mfiauto;
DROP SCHEMA mfiauto;
-- A schema with somebody's things in it is no place for the extension.
CREATE SCHEMA mfiauto;
CREATE FUNCTION mfiauto.now(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE EXTENSION mfiauto;
DROP FUNCTION mfiauto.now(integer);
CREATE EXTENSION mfiauto;

DROP EXTENSION mfiauto;
DROP SCHEMA mfiauto, bank CASCADE;
DROP ROLE install_owner, "Install ""Owner""", install_nobody;
