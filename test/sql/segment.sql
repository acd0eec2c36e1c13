-- Segments: from queries and lists, as views, with their history, their kinds of refresh, and what they say of themselves.
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
CREATE ROLE segment_owner;
CREATE ROLE segment_author LOGIN;
CREATE ROLE segment_other LOGIN;
CREATE ROLE segment_analyst LOGIN;
SET client_min_messages = error;
SELECT mfiauto.install(owner => 'segment_owner');
CREATE SCHEMA bank;
GRANT USAGE ON SCHEMA bank TO segment_owner, segment_author, segment_other;
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA bank TO segment_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA bank GRANT SELECT, TRIGGER ON TABLES TO segment_owner;
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/segment_books.sql
GRANT SELECT ON bank.client, bank.loan, bank.installment TO segment_author, segment_other;
CREATE TABLE bank.secret (client_id bigint);
INSERT INTO bank.secret VALUES (2), (3);
REVOKE ALL ON bank.secret FROM segment_owner;
GRANT SELECT ON bank.secret TO segment_author;
SELECT mfiauto.grant_access('segment_author', 'author'), mfiauto.grant_access('segment_other', 'author'), mfiauto.grant_access('segment_analyst', 'analyst');
RESET client_min_messages;
CREATE FUNCTION told() RETURNS TABLE (client bigint, event text, segment text) LANGUAGE sql AS $$
  SELECT e.client_id, e.name, e.properties ->> 'segment' FROM mfiauto.event e WHERE e.name LIKE 'Segment %' ORDER BY e.event_id $$;

-- From a query, from a list, from other segments. Each is a view.
SELECT mfiauto.create_segment('low', 'SELECT client_id FROM mfiauto.client WHERE literacy = ''low''', description => 'Better called than written to.');
SELECT mfiauto.create_segment('vip', clients => '{1,2,2}');
SELECT mfiauto.create_segment('invited');
SELECT mfiauto.create_segment('low_vip', 'SELECT client_id FROM mfiauto_segment.low INTERSECT SELECT client_id FROM mfiauto_segment.vip');
SELECT mfiauto.create_segment('not_vip', 'SELECT c.client_id::integer AS client_id FROM mfiauto.client c WHERE NOT EXISTS (SELECT FROM mfiauto_segment.vip v WHERE v.client_id = c.client_id)');
SELECT * FROM mfiauto_segment.low ORDER BY 1;
SELECT * FROM mfiauto_segment.low_vip;
SELECT obj_description('mfiauto_segment.low'::regclass);
SELECT name, kind, refresh, refresh_reason, members, reads_segments, reads_columns FROM mfiauto.segment ORDER BY name;
-- Stored as PostgreSQL writes it back.
SELECT query FROM mfiauto.segment WHERE name = 'not_vip';
-- Who is in from the beginning did not enter.
SELECT * FROM told();

-- By changes: the engine's pass sees to it, in the order in which segments stand on one another.
UPDATE bank.client SET literacy = 'low' WHERE id = 2;
UPDATE bank.client SET literacy = 'high' WHERE id = 1;
SELECT mfiauto._set_clock('2026-01-06 08:00+00');
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT * FROM told();
SELECT * FROM mfiauto_segment.low_vip;
-- A list by hand: what is already so tells nothing.
SELECT mfiauto.add_to_segment('vip', '{3,2}') AS entered, mfiauto.remove_from_segment('vip', '{1,9}') AS left;
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT * FROM told() OFFSET 4;
SELECT * FROM mfiauto_segment.vip ORDER BY 1;
SELECT * FROM mfiauto_segment.not_vip ORDER BY 1;

-- As of any past moment, and how its size went.
SELECT * FROM mfiauto.segment_members('vip') ORDER BY 1;
SELECT * FROM mfiauto.segment_members('vip', '2026-01-05 12:00+00') ORDER BY 1;
SELECT * FROM mfiauto.segment_members('vip', '2026-01-05 07:59+00');
SELECT * FROM mfiauto.segment_size_history WHERE segment IN ('vip', 'low') ORDER BY 1, 2;
SELECT * FROM mfiauto.segment_overlap('vip');
SELECT * FROM mfiauto.segment_overlap('vip', 'low');
SELECT segment, other, both_count FROM mfiauto.segment_overlap() WHERE both_count > 1;

-- In full: what depends on more than the client's own rows, when it is due.
SELECT mfiauto.create_segment('first_two', 'SELECT client_id FROM mfiauto.client ORDER BY client_id LIMIT 2');
SELECT mfiauto.create_segment('host', 'SELECT id AS client_id FROM bank.client WHERE literacy = ''low''', refresh_every => '30 minutes');
SELECT mfiauto.create_segment('due_soon', $$SELECT DISTINCT l.client_id FROM mfiauto.loan l JOIN mfiauto.installment i ON i.loan_id = l.loan_id
  WHERE i.due_date BETWEEN mfiauto.today() AND mfiauto.today() + 3 AND i.balance > 0 AND l.client_id IS NOT NULL$$);
SELECT name, refresh, refresh_reason, refresh_every FROM mfiauto.segment WHERE name IN ('first_two', 'host', 'due_soon', 'low') ORDER BY 1;
DELETE FROM bank.client WHERE id = 1;
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT s.name, c.* FROM mfiauto.segment s, mfiauto.check_segment(s.name) c ORDER BY 1, 2;
SELECT mfiauto.refresh_segments();
SELECT mfiauto._set_clock('2026-01-06 08:30+00');
SELECT mfiauto.refresh_segments();
SELECT mfiauto._set_clock('2026-01-07 09:00+00');
SELECT mfiauto.refresh_segments();
SELECT s.name, c.* FROM mfiauto.segment s, mfiauto.check_segment(s.name) c ORDER BY 1, 2;
-- By the clock alone.
SELECT * FROM mfiauto_segment.due_soon;
SELECT mfiauto.refresh_segment('due_soon');
SELECT mfiauto.refresh_segment('vip');
SELECT job, target, phase, done_count, total_count FROM mfiauto.job_progress WHERE job = 'refresh_segment' AND target = 'due_soon';

-- A query that fails for a batch sets its segment aside; the engine and the other segments go on, and a refresh that succeeds takes it back.
SELECT mfiauto.create_segment('shaky', 'SELECT client_id FROM mfiauto.client WHERE 10 / (length(name) - 5) > 0');
UPDATE bank.client SET name = 'Fatou', literacy = 'high' WHERE id = 2;
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT name, problem FROM mfiauto.segment WHERE problem IS NOT NULL;
SELECT state, detail FROM mfiauto.status WHERE item = 'segments';
SELECT * FROM mfiauto_segment.low;
UPDATE bank.client SET name = 'Oumou Ba' WHERE id = 2;
SELECT mfiauto._set_clock('2026-01-09 09:00+00');
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT mfiauto.refresh_segments() > 0 AS refreshed;
SELECT count(*) AS broken FROM mfiauto.segment WHERE problem IS NOT NULL;
SELECT * FROM mfiauto_segment.shaky ORDER BY 1;
SELECT mfiauto.drop_segment('shaky');

-- Narrowed to a batch of clients, down to every table: the planner gets the list for each relation.
SELECT mfiauto.create_segment('narrow', $$SELECT p.client_id FROM mfiauto.client_profile p JOIN mfiauto.client c USING (client_id)
  WHERE p.loans_active > 0 AND NOT EXISTS (SELECT FROM mfiauto.loan l WHERE l.client_id = c.client_id AND l.status = 'late')$$) >= 0 AS created;
CREATE FUNCTION explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query; END $$;
SELECT count(*) FILTER (WHERE line ~ 'on (profile_state|client|loan)') AS relations, count(*) FILTER (WHERE line ~ '= ANY \(''\{1,3\}''') AS narrowed
  FROM mfiauto.segment_definition s, explained(replace(s.restricted_query, '$1', '''{1,3}''::bigint[]')) line
 WHERE s.name = 'narrow';
SELECT mfiauto.drop_segment('narrow');

-- A query over the events that it causes never comes to rest: it is set aside.
SELECT mfiauto.create_segment('restless', $$SELECT c.client_id FROM mfiauto.client c
  WHERE (SELECT count(*) FROM mfiauto.event e WHERE e.client_id = c.client_id AND e.name LIKE 'Segment %') % 2 = 0$$) > 0 AS created;
SELECT mfiauto.add_to_segment('invited', '{2}');
SET client_min_messages = error;
\set ECHO none
\o /dev/null
SELECT 'SELECT mfiauto.run_engine()' FROM generate_series(1, 50) \gexec
\o
\set ECHO all
RESET client_min_messages;
SELECT problem FROM mfiauto.segment WHERE name = 'restless';
SELECT mfiauto.drop_segment('restless');

-- Altered: the difference is told, as with a refresh.
SELECT events >= 0 AS followed FROM mfiauto.run_engine();
SELECT count(*) AS told FROM told() \gset
SELECT mfiauto.alter_segment('low', query => 'SELECT client_id FROM mfiauto.client WHERE literacy = ''high''', description => 'Readers.');
SELECT mfiauto.alter_segment('vip', clients => '{4,2}');
SELECT * FROM told() OFFSET :told;
SELECT description, members FROM mfiauto.segment WHERE name IN ('low', 'vip') ORDER BY name;
SELECT mfiauto.alter_segment('host', refresh_every => '0');
SELECT refresh_every FROM mfiauto.segment WHERE name = 'host';

-- With its creator's rights, whoever looks: the installation's owner may not read the table, nor may the other author.
SET ROLE segment_author;
SELECT mfiauto.create_segment('secret', 'SELECT client_id FROM bank.secret', real_time => true);
RESET ROLE;
SET ROLE segment_other;
SELECT client_id FROM bank.secret;
SELECT client_id FROM mfiauto_segment.secret ORDER BY 1;
SELECT mfiauto.create_segment('secret_too', 'SELECT client_id FROM bank.secret');
SELECT mfiauto.create_segment('over_secret', 'SELECT client_id FROM mfiauto_segment.secret WHERE client_id > 2');
RESET ROLE;
INSERT INTO bank.secret VALUES (4);
SET ROLE segment_other;
SELECT mfiauto.refresh_segment('over_secret');
SELECT owner, refresh_reason FROM mfiauto.segment WHERE name = 'over_secret';
RESET ROLE;
SET ROLE segment_analyst;
SELECT count(*) >= 0 AS may_look FROM mfiauto.segment_size_history;
SELECT * FROM mfiauto_segment.vip;
SELECT mfiauto.create_segment('x', 'SELECT 1::bigint AS client_id');
RESET ROLE;
-- It cannot change anything, and has no names of its own.
CREATE FUNCTION public.eager(id bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN DELETE FROM bank.secret; RETURN true; END $$;
SELECT mfiauto.create_segment('eager', 'SELECT id AS client_id FROM bank.client WHERE public.eager(id)');
SELECT count(*) FROM bank.secret;

-- Dropped: not while it is used.
SELECT mfiauto.drop_segment('secret');
SELECT mfiauto.drop_segment('over_secret');
SELECT mfiauto.drop_segment('secret');
SELECT count(*) AS functions_left FROM pg_proc WHERE proname ~ '^_segment_[0-9]+$';
CREATE VIEW bank.mine AS SELECT client_id FROM mfiauto_segment.invited;
SELECT mfiauto.drop_segment('invited');
DROP VIEW bank.mine;
SELECT mfiauto.drop_segment('invited');
SELECT name FROM mfiauto.segment ORDER BY name;

-- The extension comes and goes; the segments are ordinary views.
SET client_min_messages = error;
SELECT mfiauto.alter_segment('low', real_time => true) > 0 AS altered;
DROP EXTENSION mfiauto CASCADE;
SELECT count(*) FROM mfiauto_segment.vip;
CREATE EXTENSION mfiauto;
SELECT count(*) FROM mfiauto_segment.low;
SELECT mfiauto.unbind('installment'), mfiauto.unbind('loan'), mfiauto.unbind('client');
SELECT mfiauto.uninstall('yes, delete everything');
SELECT to_regnamespace('mfiauto_segment');
DROP SCHEMA bank CASCADE;
DROP OWNED BY segment_owner, segment_author, segment_other, segment_analyst;
DROP ROLE segment_owner, segment_author, segment_other, segment_analyst;
