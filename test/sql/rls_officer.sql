-- A loan officer's role, and a branch's, sees its own clients alone in every view, count, plan and error text, however it tries.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
CREATE ROLE rls_owner;
SELECT mfiauto.install('rls_owner');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, officer bigint, branch bigint);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text, officer bigint, branch bigint);
CREATE TABLE bank.member (loan_id bigint, client_id bigint, role text DEFAULT 'borrower', since date, until date);
GRANT USAGE ON SCHEMA bank TO rls_owner;
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA bank TO rls_owner;
\pset format unaligned
\o /dev/null
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "officer_id": "officer", "branch_id": "branch"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "officer_id": "officer", "branch_id": "branch"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id": "loan_id", "client_id": "client_id", "role": "role", "since": "since", "until": "until"}');
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour {{client.name}}');
SELECT mfiauto.create_gateway('sandbox', 'sms', 'sandbox');
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"event": "Session Started"}, "class": "transactional", "enter_if": "client.client_id <> 4",
  "steps": [{"send": "hello", "channels": ["sms"]}, {"task": "Visit {{client.name}}", "assign": "officer"}]}');
SELECT mfiauto.activate_workflow('welcome');
-- Odd clients are officer 7's, even ones officer 8's; branch 1 has the first ten, branch 2 the others.
INSERT INTO bank.client SELECT g, 'Name' || g, '+2217700000' || lpad(g::text, 2, '0'), 8 - g % 2, 1 + g / 11 FROM generate_series(1, 20) g;
-- Officer 7 has loans of 2 (open), 6 (closed) and 8 (written off), and the group loan that 10 and 12 answer for, 12 until last year, and 14 guarantees. A loan of nobody's own client.
INSERT INTO bank.loan VALUES (102, 2, 'active', 7, 1), (106, 6, 'closed', 7, 1), (108, 8, 'written_off', 7, 1), (110, NULL, 'active', 7, 1), (116, 16, 'active', 9, 3);
INSERT INTO bank.member VALUES (110, 10, 'borrower', '2025-01-01', NULL), (110, 12, 'borrower', '2025-01-01', '2025-12-31'), (110, 14, 'guarantor', NULL, NULL), (110, 18, 'borrower', '2026-02-01', NULL);
SELECT mfiauto.run_engine();
SELECT mfiauto.track('Session Started', client_id => g, properties => jsonb_build_object('secret', g)) FROM generate_series(1, 20) g;
SELECT mfiauto.create_segment('late', clients => '{1,2,3,4,5,6}');
SELECT mfiauto.run_engine();
SELECT mfiauto.run_delivery();
\o
SELECT client_id, string_agg(profile || ' ' || number || CASE loan_id WHEN 0 THEN '' ELSE ' by loan ' || loan_id END, ', ' ORDER BY profile, number, loan_id) FROM mfiauto.client_visibility WHERE client_id IN (1, 2, 6, 8, 10, 12, 14, 16, 18) GROUP BY 1 ORDER BY 1;

CREATE ROLE rls_awa;
CREATE ROLE rls_binta;
CREATE ROLE rls_branch;
CREATE ROLE rls_deputy IN ROLE rls_awa, rls_binta;
CREATE ROLE rls_both IN ROLE rls_awa;
CREATE ROLE rls_nobody;
SELECT mfiauto.grant_access('rls_awa', 'officer', officer_id => 7);
SELECT mfiauto.grant_access('rls_binta', 'officer', officer_id => 8);
SELECT mfiauto.grant_access('rls_branch', 'branch', branch_id => 2);
SELECT mfiauto.grant_access('rls_branch', 'branch', branch_id => 3);
SELECT mfiauto.grant_access('rls_both', 'author');
-- A scope fits its profile.
SELECT mfiauto.grant_access('rls_awa', 'officer');
SELECT mfiauto.grant_access('rls_awa', 'officer', branch_id => 7);
SELECT mfiauto.grant_access('rls_awa', 'officer', 7, 7);
SELECT mfiauto.grant_access('rls_awa', 'author', officer_id => 7);
SELECT mfiauto.grant_access('rls_awa', 'teller', officer_id => 7);

-- What each of them sees, in each view: the clients, and nothing of others.
CREATE FUNCTION pg_temp.sees() RETURNS TABLE (view text, clients text, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOREACH view IN ARRAY ARRAY['own_client', 'own_message', 'own_enrollment', 'own_event', 'own_task', 'own_membership', 'open_task'] LOOP
    EXECUTE format('SELECT string_agg(DISTINCT v.client_id::text, '' '' ORDER BY v.client_id::text), count(*) FROM mfiauto.%I v', view) INTO clients, rows;
    RETURN NEXT;
  END LOOP;
END $$;
DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO PUBLIC', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema())); END $$;
SET ROLE rls_awa;
SELECT * FROM pg_temp.sees();
SELECT client_id, name, phone, officer_id, loan_standing FROM mfiauto.own_client WHERE client_id IN (2, 3, 4) ORDER BY 1;
SELECT client_id, body, to_address, state FROM mfiauto.own_message WHERE client_id IN (2, 3, 4) ORDER BY 1;
SET ROLE rls_binta;
SELECT * FROM pg_temp.sees();
SET ROLE rls_branch;
SELECT * FROM pg_temp.sees();
SET ROLE rls_deputy;
SELECT * FROM pg_temp.sees() WHERE view = 'own_client';
SET ROLE rls_both;
SELECT count(*) > 1 AS whole_story FROM mfiauto.explain_client(4);
SET ROLE rls_nobody;
SELECT count(*) FROM mfiauto.own_client;

-- The hostile officer. No other view, table or door of the installation is open.
SET ROLE rls_awa;
SELECT c.oid::regclass::text AS readable FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^mfiauto') AND c.relkind IN ('r', 'v', 'p', 'm', 'S')
   AND (has_table_privilege(c.oid, 'SELECT') OR c.relkind <> 'S' AND has_any_column_privilege(c.oid, 'SELECT')) ORDER BY 1;
SELECT p.oid::regprocedure::text AS callable FROM pg_proc p WHERE p.pronamespace = 'mfiauto'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype ORDER BY 1;
SELECT count(*) FROM pg_stats WHERE schemaname ~ '^mfiauto';
SELECT count(*) FROM mfiauto.message;
SELECT count(*) FROM mfiauto.client;
SELECT count(*) FROM mfiauto_segment.late;
SELECT members FROM mfiauto.segment;
SELECT mfiauto.workflow_diagram('welcome');
SELECT * FROM mfiauto.status;
SELECT * FROM mfiauto.workflow_health;
SELECT * FROM mfiauto.kpi;
SELECT * FROM mfiauto._own_clients();
SELECT * FROM mfiauto.client_visibility;
-- A client of others and one that does not exist: the same words, the same code, the same rows.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE rows text; message text; detail text; hint text; context text;
BEGIN
  EXECUTE format('SELECT string_agg(r::text, E''\n'') FROM (%s) r', call) INTO rows;
  RETURN rows;
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' | ', SQLSTATE, message, detail, hint);
END $$;
SELECT call, pg_temp.answer(format(call, 3)) IS NOT DISTINCT FROM replace(pg_temp.answer(format(call, 999)), '999', '3') AS own_too,
       replace(pg_temp.answer(format(call, 4)), '4', 'N') IS NOT DISTINCT FROM replace(replace(pg_temp.answer(format(call, 994)), '994', 'N'), '4', 'N') AS others_like_unknown,
       replace(pg_temp.answer(format(call, 4)), '4', 'N') AS answer
  FROM unnest(ARRAY['SELECT what, detail FROM mfiauto.explain_client(%s)', 'SELECT what, detail FROM mfiauto.explain_client(%s, ''welcome'')', 'SELECT what FROM mfiauto.explain_client(%s, ''none'')',
                    'SELECT * FROM mfiauto.client_timeline(%s)', 'SELECT mfiauto.opt_out(%s)', 'SELECT mfiauto.opt_out(%s, ''fax'')', 'SELECT mfiauto.opt_in(%s, purpose => ''marketing'')',
                    'SELECT mfiauto.opt_out(%s, purpose => ''security'')', 'SELECT * FROM mfiauto.own_client WHERE client_id = %s']) call;
-- A task of others, and none.
RESET ROLE;
SELECT max(task_id) FILTER (WHERE client_id = 2) AS own_task, max(task_id) FILTER (WHERE client_id = 4 OR client_id = 20) AS others_task, max(task_id) + 1000 AS no_task FROM mfiauto.task \gset
SET ROLE rls_awa;
SELECT replace(pg_temp.answer(format('SELECT mfiauto.close_task(%s)', :others_task)), :'others_task', 'N') AS others,
       replace(pg_temp.answer(format('SELECT mfiauto.close_task(%s)', :no_task)), :'no_task', 'N') AS none;
SELECT replace(pg_temp.answer(format('SELECT mfiauto.close_task(%s, repeat(''x'', 300))', :others_task)), :'others_task', 'N') AS others;
SELECT mfiauto.close_task(:own_task, 'visited', note => 'at home');
SELECT client_id, state, outcome, note FROM mfiauto.own_task WHERE task_id = :own_task;
-- Plans tell nothing of what others have: neither their number nor how many were left out.
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS, TIMING OFF, SUMMARY OFF) ' || query; END $$;
SELECT p FROM pg_temp.plan('SELECT * FROM mfiauto.own_message WHERE client_id = 4') p;
SELECT count(DISTINCT p) FROM (SELECT string_agg(l, E'\n') FROM pg_temp.plan('SELECT * FROM mfiauto.own_client WHERE client_id = 4') l
                               UNION ALL SELECT string_agg(replace(l, '994', '4'), E'\n') FROM pg_temp.plan('SELECT * FROM mfiauto.own_client WHERE client_id = 994') l) AS q(p);
-- A function that costs nothing and tells whom it saw, in a condition, in an index expression's place, in a sort.
CREATE FUNCTION pg_temp.leak(bigint, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'saw %: %', $1, $2; RETURN true; END $$;
CREATE OPERATOR pg_temp.<<< (LEFTARG = bigint, RIGHTARG = text, FUNCTION = pg_temp.leak);
SET client_min_messages = notice;
SELECT count(*) FROM mfiauto.own_message WHERE pg_temp.leak(client_id, body) AND client_id < 5;
SELECT count(*) FROM mfiauto.own_client WHERE client_id OPERATOR(pg_temp.<<<) name AND client_id IN (3, 4);
RESET client_min_messages;
-- Errors in conditions come from own rows alone: 2 / 0 needs a client 4.
SELECT count(2 / (client_id - 4)) FROM mfiauto.own_client;
SELECT count(2 / (client_id - 4)) FROM mfiauto.own_event;
-- Own names of ours in the session, other roles by name, and views of one's own change nothing.
CREATE TEMP TABLE access_scope AS SELECT 'rls_awa' AS role_name, 'officer' AS profile, 8 AS number;
CREATE TEMP TABLE client_visibility AS SELECT 4 AS client_id, 'officer' AS profile, 7 AS number, NULL::date AS since, NULL::date AS until;
SET search_path = pg_temp, mfiauto, public;
SELECT count(*) FROM own_client WHERE client_id = 4;
RESET search_path;
SET mfiauto.condition_timeout = 0;
SELECT mfiauto.grant_access('rls_awa', 'officer', officer_id => 8);
SELECT mfiauto.run_engine();
SET ROLE rls_binta;
RESET ROLE;
-- What may be done for own clients is done: the story, the consent.
SET ROLE rls_awa;
SELECT what, detail FROM mfiauto.explain_client(1, 'welcome') WHERE what IN ('entered', 'message', 'task');
SELECT count(*) > 2 AS told FROM mfiauto.client_timeline(1);
SELECT mfiauto.opt_out(1, channel => 'sms', reason => 'said so');
SELECT mfiauto.opt_in(10, purpose => 'marketing', source => 'branch');
RESET ROLE;
SELECT client_id, granted, recorded_by FROM mfiauto.consent ORDER BY 1;

-- Whose a client is follows the books: given to another officer, out of the group, into it by the calendar, gone.
UPDATE bank.client SET officer = 8 WHERE id = 1;
UPDATE bank.client SET officer = 7 WHERE id = 4;
UPDATE bank.loan SET status = 'closed' WHERE id = 102;
DELETE FROM bank.client WHERE id = 3;
DELETE FROM bank.member WHERE client_id = 10;
SELECT mfiauto._set_clock('2026-02-01 09:00+00');
SELECT events > 0 AS seen FROM mfiauto.run_engine();
SET ROLE rls_awa;
SELECT * FROM pg_temp.sees() WHERE view IN ('own_client', 'own_message');
RESET ROLE;
-- Equal to what a plain query over the books says.
CREATE TEMP VIEW kept AS SELECT v.client_id, v.profile, v.number FROM mfiauto.client_visibility v WHERE coalesce(v.since <= '2026-02-01', true) AND coalesce(v.until >= '2026-02-01', true);
CREATE TEMP VIEW told (client_id, profile, number) AS SELECT c.id, 'officer', c.officer FROM bank.client c UNION SELECT c.id, 'branch', c.branch FROM bank.client c
   UNION SELECT a.client_id, k.profile, k.number FROM (SELECT l.client_id, l.id FROM bank.loan l UNION ALL SELECT m.client_id, m.loan_id FROM bank.member m
           WHERE m.role <> 'guarantor' AND coalesce(m.since <= '2026-02-01', true) AND coalesce(m.until >= '2026-02-01', true)) a JOIN bank.loan l ON l.id = a.id
          CROSS JOIN LATERAL (VALUES ('officer', l.officer), ('branch', l.branch)) k(profile, number) WHERE l.status NOT IN ('closed', 'rejected', 'withdrawn') AND a.client_id IS NOT NULL;
SELECT count(*) AS kept, (SELECT count(*) FROM (TABLE kept EXCEPT TABLE told) x) AS too_much, (SELECT count(*) FROM (TABLE told EXCEPT TABLE kept) x) AS too_little FROM kept;
DROP VIEW kept, told;
-- Whose somebody is that cannot be told is nobody's; one client's rows stop no other's.
ALTER TABLE bank.client ALTER COLUMN officer TYPE text;
UPDATE bank.client SET officer = 'Awa' WHERE id = 5;
SELECT mfiauto._refresh_visibility('{4,5,7}');
SELECT client_id, profile, number FROM mfiauto.client_visibility WHERE client_id IN (4, 5, 7) AND profile = 'officer' ORDER BY 1;
SELECT stage, client_id, reason FROM mfiauto.parked_fact WHERE stage = 'visibility';

-- Taken back: nothing is left.
SELECT mfiauto.revoke_access('rls_awa', 'officer');
SELECT count(*) FROM mfiauto.access_scope WHERE role_name = 'rls_awa';
SET ROLE rls_awa;
SELECT count(*) FROM mfiauto.own_client;
SELECT mfiauto.opt_out(1);
RESET ROLE;
SELECT mfiauto.uninstall('yes, delete everything');
DROP EXTENSION mfiauto;
DROP SCHEMA bank CASCADE;
DROP OWNED BY rls_owner, rls_awa, rls_binta, rls_branch, rls_deputy, rls_both, rls_nobody;
DROP ROLE rls_deputy, rls_both, rls_owner, rls_awa, rls_binta, rls_branch, rls_nobody;
