-- Whatever an author writes runs with his rights and changes nothing, whoever has it run; an officer's role that was renamed sees nobody.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = warning;
CREATE ROLE hostile_owner;
CREATE ROLE hostile_author;
CREATE ROLE hostile_admin;
SELECT mfiauto.install('hostile_owner');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, officer bigint);
GRANT USAGE ON SCHEMA bank TO hostile_owner, hostile_author, hostile_admin;
GRANT SELECT, TRIGGER ON bank.client TO hostile_owner, hostile_author, hostile_admin;
INSERT INTO bank.client SELECT g, 'Name' || g, '+2217700000' || lpad(g::text, 2, '0'), g FROM generate_series(1, 3) g;
CREATE SCHEMA evil AUTHORIZATION hostile_author;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
\pset format unaligned
\o /dev/null
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "officer_id": "officer"}');
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour');
SELECT mfiauto.grant_access('hostile_author', 'author');
SELECT mfiauto.grant_access('hostile_admin', 'admin');
SELECT mfiauto.run_engine();
\o

-- A function that is declared stable and calls one that is not. It says whom it stands for, as far as it was let.
SET ROLE hostile_author;
CREATE TABLE evil.booty (what text);
CREATE FUNCTION evil.deed(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  EXECUTE what;
  RAISE WARNING 'done: %', what;
EXCEPTION WHEN others THEN
  RAISE WARNING '%: %', SQLSTATE, SQLERRM;
END $$;
CREATE FUNCTION evil.harmless(id bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('evil.armed', true) = 'yes' AND id = 1 THEN
    PERFORM evil.deed('SELECT mfiauto.create_segment(''grab'', ''SELECT client_id FROM mfiauto.client'')');
    PERFORM evil.deed('SELECT mfiauto.approve_workflow(''mine'', 1)');
    PERFORM evil.deed('INSERT INTO evil.booty VALUES (''something'')');
    PERFORM evil.deed('SELECT set_config(''transaction_read_only'', ''off'', false)');
    PERFORM evil.deed('SELECT set_config(''role'', ''hostile_admin'', false)');
    PERFORM evil.deed('SELECT set_config(''mfiauto.caller'', ''10'', false)');
    PERFORM evil.deed('SELECT mfiauto.grant_access(''hostile_author'', ''admin'')');
    PERFORM set_config('search_path', 'evil', false), set_config('evil.left', 'behind', false), set_config('row_security', 'off', false);
    RAISE WARNING 'as %', current_user;
  END IF;
  RETURN true;
END $$;
CREATE FUNCTION evil.amount(id bigint) RETURNS integer LANGUAGE sql STABLE AS $$ SELECT evil.harmless(id)::integer $$;
CREATE FUNCTION evil.moment(id bigint) RETURNS date LANGUAGE sql STABLE AS $$ SELECT CASE WHEN evil.harmless(id) THEN date '2026-01-06' END $$;
\o /dev/null
SELECT mfiauto.create_segment('trap', 'SELECT c.client_id FROM mfiauto.client c WHERE evil.harmless(c.client_id)');
SELECT mfiauto.create_segment('live_trap', 'SELECT c.client_id FROM mfiauto.client c WHERE evil.harmless(c.client_id)', real_time => true);
SELECT mfiauto.create_trait('trap', 'SELECT c.client_id, evil.amount(c.client_id) AS value FROM mfiauto.client c');
SELECT mfiauto.create_workflow('mine', '{"trigger": {"event": "Session Started"}, "class": "transactional", "enter_if": "evil.harmless(client.client_id)", "steps": [
  {"set": {"loot": {"sql": "evil.amount(client.client_id)"}}}, {"wait": {"date": "evil.moment(client.client_id)"}}, {"send": "hello", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow('mine');
RESET ROLE;
SELECT mfiauto.track('Session Started', client_id => 1);
\o
SET evil.armed = 'yes';
-- An admin has it run: by each way there is.
SET ROLE hostile_admin;
\echo refresh_segment
SELECT mfiauto.refresh_segment('trap');
\echo a segment that is evaluated live
SELECT count(*) FROM mfiauto_segment.live_trap;
\echo refresh_traits
SELECT mfiauto.refresh_traits();
\echo simulate_workflow
SELECT count(*) FROM mfiauto.simulate_workflow('mine', '2026-01-05', '2026-01-07');
\echo preview
SELECT count(*) > 0 FROM mfiauto.explain_client(1, 'mine');
-- The owner's engine, and a superuser's hand.
RESET ROLE;
SET ROLE hostile_owner;
\echo run_engine
SELECT count(*) FROM mfiauto.run_engine();
SELECT what FROM mfiauto.explain_client(1, 'mine') WHERE what IN ('entered', 'set', 'error');
RESET ROLE;
\echo refresh_segment of a superuser
SELECT mfiauto.refresh_segment('trap');
RESET evil.armed;
-- Nothing came of it: no segment in another's name, no word of approval, no row; the session is as it was.
SELECT name, owner FROM mfiauto.segment_definition ORDER BY 1;
SELECT count(*) FROM mfiauto.workflow_approval;
SELECT count(*) FROM evil.booty;
SELECT role_name, profile FROM mfiauto.access_grant ORDER BY 1, 2;
SELECT current_setting('search_path'), current_setting('evil.left', true), current_setting('row_security'), current_setting('transaction_read_only');
-- Whom a door takes a query's author for is its author, also when an admin's door runs it: each has clients of his own.
SELECT mfiauto.grant_access('hostile_author', 'officer', officer_id => 1);
SELECT mfiauto.grant_access('hostile_admin', 'officer', officer_id => 2);
SET ROLE hostile_author;
SELECT mfiauto.create_segment('own', 'SELECT o.client_id FROM mfiauto.own_client o');
SET ROLE hostile_admin;
SELECT mfiauto.refresh_segment('own');
SELECT client_id FROM mfiauto_segment.own;
RESET ROLE;

-- A list's column changes its type under a segment: told, not taken for a number.
SET ROLE hostile_author;
CREATE VIEW evil.picked AS SELECT c.client_id FROM mfiauto.client c;
SELECT mfiauto.create_segment('picked', 'SELECT p.client_id FROM evil.picked p');
DROP VIEW evil.picked;
CREATE VIEW evil.picked AS SELECT 'a long text in place of a number'::text AS client_id;
SELECT mfiauto.refresh_segment('picked');
RESET ROLE;

-- The installation's owner may call what is inside. He takes the rights of no superuser and of none of PostgreSQL's own roles by their names, and
-- nulls do not bring the server down.
CREATE TABLE evil.closed (secret text);
REVOKE ALL ON evil.closed FROM PUBLIC;
SET ROLE hostile_owner;
SELECT * FROM mfiauto._evaluate('pg_read_all_data', 'SELECT 1, count(*) = 0 FROM evil.closed', '{1}', '{1}', now());
SELECT mfiauto._select_members('s', 'pg_read_all_data', 'SELECT count(*) FROM evil.closed', NULL);
SELECT * FROM mfiauto._select_values('pg_read_all_data', 'SELECT count(*) AS client_id, 1 AS value FROM evil.closed', NULL);
SELECT mfiauto._select_members(NULL, NULL, NULL, NULL, NULL);
SELECT mfiauto._select_members('s', 'hostile_owner', 'SELECT 1::bigint', NULL, NULL);
SELECT * FROM mfiauto._select_values(NULL, NULL, NULL);
-- Nor do queries that are none of ours, as his tables may hold them.
SELECT * FROM mfiauto._evaluate_past('hostile_owner', q, '{1}', '{1}', '{2026-01-05}', '{null}') FROM unnest(ARRAY['']) q;
SELECT * FROM mfiauto._evaluate_past('hostile_owner', 'SELECT 1, true FROM unnest($1)', '{1}', '{1}', '{2026-01-05}', '{null}');
SELECT * FROM mfiauto._evaluate_past('hostile_owner', 'DELETE FROM evil.booty', '{1}', '{1}', '{2026-01-05}', '{null}');
SELECT mfiauto._condition_columns('');
SELECT * FROM mfiauto._evaluate('hostile_owner', 'SELECT 1', '{1}', '{1}', now());
SELECT * FROM mfiauto._evaluate('hostile_owner', 'SELECT ''x'', true', '{1}', '{1}', now());
RESET ROLE;

-- An officer whose role is renamed stands for nobody any more: he sees nothing, not everything.
CREATE ROLE hostile_officer;
SELECT mfiauto.grant_access('hostile_officer', 'officer', officer_id => 2);
SET ROLE hostile_officer;
SELECT client_id FROM mfiauto.own_client;
SELECT string_agg(DISTINCT detail, '; ') FROM mfiauto.explain_client(3);
RESET ROLE;
-- Of an error about his client he learns that there was one; what it said may be of another row.
INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, subject, subject_id, step_no, decision, reason, detail, decided_at)
SELECT 2, h.workflow_id, 1, 'client', 2, 1, 'error', '22P02', 'invalid input syntax for type integer: "Name3"', mfiauto.now() FROM mfiauto.workflow_head h WHERE h.name = 'mine';
SELECT detail FROM mfiauto.explain_client(2) WHERE what = 'error';
SET ROLE hostile_officer;
SELECT detail FROM mfiauto.explain_client(2) WHERE what = 'error';
SELECT line FROM mfiauto.client_timeline(2) WHERE kind = 'decision';
RESET ROLE;
ALTER ROLE hostile_officer RENAME TO hostile_renamed;
SET ROLE hostile_renamed;
SELECT client_id FROM mfiauto.own_client;
SELECT count(*) FROM mfiauto.open_task;
SELECT string_agg(DISTINCT detail, '; ') FROM mfiauto.explain_client(3);
SELECT count(*) FROM mfiauto.client_timeline(1);
SELECT mfiauto.opt_out(1);
RESET ROLE;

-- A name is a name also where definitions are put into order, and no pattern.
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "segments": [{"name": "a(", "query": "SELECT 1"}, {"name": "b", "query": "SELECT client_id FROM mfiauto_segment.x"}]}');
