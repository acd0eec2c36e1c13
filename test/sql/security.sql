-- What the catalog says about the extension's members: each answer must be empty, or as listed.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
CREATE ROLE security_owner;
SELECT mfiauto.install('security_owner');
CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid FROM pg_depend d
   WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mfiauto') AND d.deptype = 'e';
-- SECURITY DEFINER functions: none; doors take on rights in C instead.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prosecdef;
-- What PUBLIC may execute: it computes, or checks for itself when it is called: a trigger function, and a clock that moves inside simulated conditions alone.
SELECT p.oid::regprocedure::text AS public_may_execute FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
 ORDER BY p.oid::regprocedure::text COLLATE "C";
-- What PUBLIC may read, in the extension or the installation: the lists of presets and recipes, which are the same everywhere.
SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace) AND a.grantee = 0;
SELECT nspname FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname ~ '^mfiauto' AND a.grantee = 0 AND a.privilege_type = 'CREATE';
-- Doors are in C and have their private twin; their profiles exist.
SELECT d.function_oid::regprocedure FROM mfiauto._door d JOIN pg_proc p ON p.oid = d.function_oid
 WHERE p.prosrc <> 'mfiauto_door' OR NOT EXISTS (SELECT FROM pg_proc q WHERE q.pronamespace = p.pronamespace AND q.proname = '_' || p.proname AND q.proargtypes = p.proargtypes);
SELECT d.function_oid::regprocedure FROM mfiauto._door d WHERE NOT d.profiles <@ '{admin,author,analyst,app,receiver,officer,branch}';
-- Who has which door; those with no profile are for the owner alone.
SELECT d.function_oid::regprocedure::text AS for_the_owner_alone FROM mfiauto._door d WHERE d.profiles = '{}' ORDER BY d.function_oid::regprocedure::text COLLATE "C";
SELECT d.function_oid::regprocedure::text AS app_or_receiver, d.profiles FROM mfiauto._door d WHERE d.profiles && '{app,receiver}' ORDER BY d.function_oid::regprocedure::text COLLATE "C";
-- The doors of those who see only their own clients, and of those who see figures alone.
SELECT d.function_oid::regprocedure::text AS officer_or_branch, d.profiles FROM mfiauto._door d WHERE d.profiles && '{officer,branch}' AND NOT d.profiles && '{app}' ORDER BY d.function_oid::regprocedure::text COLLATE "C";
SELECT d.function_oid::regprocedure::text AS analyst FROM mfiauto._door d WHERE 'analyst' = ANY (d.profiles) ORDER BY d.function_oid::regprocedure::text COLLATE "C";
-- What each profile but admin reads, what any of them writes, and which functions the web front can call that PUBLIC cannot; what admin does not read.
CREATE ROLE security_nobody_at_all; CREATE ROLE security_author; CREATE ROLE security_analyst; CREATE ROLE security_app; CREATE ROLE security_receiver; CREATE ROLE security_officer; CREATE ROLE security_branch; CREATE ROLE security_administrator;
DO $$ BEGIN
  PERFORM mfiauto.grant_access('security_author', 'author'), mfiauto.grant_access('security_analyst', 'analyst'), mfiauto.grant_access('security_app', 'app'),
    mfiauto.grant_access('security_receiver', 'receiver'), mfiauto.grant_access('security_officer', 'officer', officer_id => 1),
    mfiauto.grant_access('security_branch', 'branch', branch_id => 1), mfiauto.grant_access('security_administrator', 'admin');
END $$;
CREATE TEMP VIEW profile_role AS SELECT r.oid, substr(r.rolname, 10) AS profile FROM pg_roles r
 WHERE r.rolname IN ('security_author', 'security_analyst', 'security_app', 'security_receiver', 'security_officer', 'security_branch', 'security_administrator');
CREATE TEMP VIEW ours AS SELECT c.oid, c.relname, c.relkind FROM pg_class c WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace);
\a
SELECT p.profile, string_agg(o.relname, ' ' ORDER BY o.relname COLLATE "C") AS reads
  FROM profile_role p JOIN ours o ON o.relkind IN ('r', 'v', 'm', 'p') AND has_any_column_privilege(p.oid, o.oid, 'SELECT') WHERE p.profile <> 'administrator' GROUP BY 1 ORDER BY 1;
\a
SELECT p.profile, o.relname FROM profile_role p JOIN ours o ON o.relkind IN ('r', 'v', 'm', 'p') AND (has_table_privilege(p.oid, o.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
  OR has_any_column_privilege(p.oid, o.oid, 'INSERT, UPDATE, REFERENCES'));
SELECT p.profile, o.relname FROM profile_role p JOIN ours o ON o.relkind = 'S' AND has_sequence_privilege(p.oid, o.oid, 'USAGE, SELECT, UPDATE');
SELECT o.relname AS hidden_from_admin FROM ours o WHERE o.relkind IN ('r', 'v', 'm', 'p') AND o.relname !~ '_[0-9]{6}$' AND NOT has_table_privilege('security_administrator', o.oid, 'SELECT') ORDER BY o.relname COLLATE "C";
SELECT f.oid::regprocedure::text AS receiver_calls FROM pg_proc f WHERE f.pronamespace = 'mfiauto'::regnamespace AND has_function_privilege('security_receiver', f.oid, 'EXECUTE')
   AND NOT has_function_privilege('security_nobody_at_all', f.oid, 'EXECUTE') ORDER BY f.oid::regprocedure::text COLLATE "C";
SELECT p.profile, f.oid::regprocedure FROM profile_role p, pg_proc f WHERE f.pronamespace = 'mfiauto'::regnamespace AND f.proname ~ '^_' AND has_function_privilege(p.oid, f.oid, 'EXECUTE')
   AND NOT has_function_privilege('security_nobody_at_all', f.oid, 'EXECUTE');
SET ROLE security_receiver;
SELECT (mfiauto.serve('GET', '/health', '', '{}', '', '192.0.2.1')).status;
SELECT mfiauto.opt_out(1);
SELECT * FROM mfiauto.gateway;
RESET ROLE;
DROP VIEW ours, profile_role;
-- Every public function and view has a comment.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.proname !~ '^_' AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^_' AND obj_description(c.oid, 'pg_class') IS NULL;
-- Functions that run SQL text or DDL pin their search path by their door, or by themselves when they are not behind one.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid JOIN pg_language l ON l.oid = p.prolang
 WHERE p.proname !~ '^_' AND l.lanname IN ('plpgsql', 'sql') AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s ~ '^search_path=') ORDER BY 1;
-- The books outlive the code: nothing of theirs depends on a member, save triggers and views for people.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS depends, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS upon
  FROM pg_depend d JOIN member m ON m.classid = d.refclassid AND m.objid = d.refobjid
 WHERE d.deptype IN ('n', 'a')
   AND NOT EXISTS (SELECT FROM member x WHERE x.classid = d.classid AND x.objid = d.objid)
   AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN member x ON x.objid = r.ev_class WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid)
   AND NOT EXISTS (SELECT FROM pg_constraint c JOIN member x ON x.objid = c.conrelid WHERE d.classid = 'pg_constraint'::regclass AND c.oid = d.objid)
 ORDER BY 1, 2;
-- No identity columns, no sequence that is not bigint, no column of a type that is the extension's own.
SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'mfiauto'::regnamespace AND (a.attidentity <> '' OR EXISTS (SELECT FROM member m WHERE m.classid = 'pg_type'::regclass AND m.objid = a.atttypid));
SELECT seqrelid::regclass FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relnamespace = 'mfiauto'::regnamespace AND s.seqtypid <> 'bigint'::regtype;
-- Tables of the extension itself: what pg_dump leaves out on purpose.
SELECT c.oid::regclass AS member_table FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind IN ('r', 'p') ORDER BY 1;
-- A role without any grant gets nowhere.
CREATE ROLE security_nobody;
SET ROLE security_nobody;
SELECT * FROM mfiauto.message;
SELECT mfiauto.arm_delivery();
RESET ROLE;
GRANT USAGE ON SCHEMA mfiauto TO security_nobody;
SET ROLE security_nobody;
SELECT * FROM mfiauto.message_ledger;
SELECT * FROM mfiauto.status;
SELECT mfiauto.arm_delivery();
SELECT mfiauto._set_clock(NULL);
SELECT * FROM mfiauto._evaluate('postgres', 'SELECT 1, true', '{1}', '{1}', now());
RESET ROLE;
-- The owner of the installation is no superuser: the clock is not his, and a superuser's workflow gives him none of
-- its rights.
SET ROLE security_owner;
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT * FROM mfiauto._evaluate('postgres', 'SELECT 1, count(*) > 0 FROM pg_authid', '{1}', '{1}', now());
SELECT mfiauto.install();
SELECT mfiauto.uninstall('yes, delete everything');
SELECT mfiauto.migrate();
RESET ROLE;
REVOKE ALL ON SCHEMA mfiauto FROM security_nobody;

-- What admin may do and what it may not: bind reads with the owner's rights, a watch's condition runs with the writers'.
CREATE ROLE security_admin;
CREATE ROLE security_bank;
CREATE SCHEMA bank AUTHORIZATION security_bank;
SET ROLE security_bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text);
CREATE TABLE bank.salary (id bigint, amount numeric);
GRANT USAGE ON SCHEMA bank TO security_owner, security_admin;
GRANT SELECT, TRIGGER ON bank.client TO security_owner;
RESET ROLE;
SELECT mfiauto.grant_access('security_admin', 'admin');
CREATE SCHEMA theirs AUTHORIZATION security_admin;
SET ROLE security_admin;
CREATE FUNCTION theirs.peek(text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE NOTICE 'runs as %', current_user; RETURN true; END $$;
CREATE FUNCTION theirs.same(text, text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT theirs.peek($1)';
CREATE OPERATOR theirs.= (LEFTARG = text, RIGHTARG = text, FUNCTION = theirs.same);
CREATE DOMAIN theirs.word AS text CHECK (theirs.peek(value));
GRANT USAGE ON SCHEMA theirs TO security_owner;
-- Names of ours in the session's own schema are not taken for ours.
CREATE TEMP TABLE installation (schema_version integer);
CREATE TEMP TABLE binding_config (role text);
CREATE FUNCTION pg_temp._check_role(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'taken for ours'; END $$;
SELECT mfiauto.watch('W', 'bank.client', 'UPDATE', client => 'id', condition => 'theirs.peek(NEW.name)');
SELECT mfiauto.watch('W', 'bank.client', 'UPDATE', client => 'id', condition => 'NEW.name OPERATOR(theirs.=) ''x''');
SELECT mfiauto.watch('W', 'bank.client', 'UPDATE', client => 'id', condition => 'NEW.name::theirs.word IS NULL');
SELECT mfiauto.watch('W', 'bank.client', 'UPDATE', client => 'id', condition => 'true) EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger(); --');
SELECT mfiauto.watch('W', 'bank.client', 'UPDATE', client => 'id', condition => 'true /*');
SELECT mfiauto.bind('client', 'bank.salary', '{"client_id": "id", "name": "amount::text"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name) FROM pg_authid; --"}');
-- What looks like SQL inside a name or a text stays a name or a text.
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "''it''''s $$ $_$ %s %I \\ ''"}');
SELECT mfiauto.watch('"; DROP TABLE bank.client; --', 'bank.client', 'UPDATE', client => 'id', properties => '{"a'');DROP TABLE bank.client;--": "name", "$q$": "''$sql$''"}');
RESET ROLE;
INSERT INTO bank.client VALUES (1, 'Awa');
UPDATE bank.client SET name = 'Binta';
SELECT r.parked FROM mfiauto.run_engine() r;
SELECT name, properties FROM mfiauto.event WHERE properties ? '$q$';
SELECT client_id, name FROM mfiauto.client;
SET ROLE security_admin;
SELECT has_table_privilege('mfiauto.client', 'SELECT') AS may_read;
SELECT count(*) FROM mfiauto._secret;
SELECT mfiauto.set_secret('g', 'k', file => '/etc/passwd');
SELECT mfiauto.grant_access('security_admin', 'author');
RESET ROLE;
-- Under an owner who is a superuser, what is bound would be read as one.
SELECT mfiauto.uninstall('yes, delete everything');
SET client_min_messages = error;
SELECT mfiauto.install();
RESET client_min_messages;
SELECT mfiauto.grant_access('security_admin', 'admin');
SET ROLE security_admin;
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id"}');
RESET ROLE;
