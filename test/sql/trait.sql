-- Traits that users compute: what is refused, how they are kept up to date, whose rights they have, and what holds them.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
CREATE TABLE bank.ledger (client_id bigint, amount numeric);
INSERT INTO bank.client (id, traits) SELECT g, jsonb_build_object('score', g) FROM generate_series(1, 20) g;
INSERT INTO bank.loan (id, client_id) SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO bank.ledger SELECT g % 20 + 1, g FROM generate_series(1, 100) g;
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT mfiauto.create_trait('Bad Name', 'SELECT 1');
SELECT mfiauto.create_trait('status', 'SELECT 1');
SELECT mfiauto.create_trait('t', NULL);
SELECT mfiauto.create_trait('t', 'SELECT client_id FROM mfiauto.client');
SELECT mfiauto.create_trait('t', 'SELECT client_id, 1 AS worth FROM mfiauto.client');
SELECT mfiauto.create_trait('t', 'SELECT client_id, random() AS value FROM mfiauto.client');
SELECT mfiauto.create_trait('t', 'DELETE FROM bank.client RETURNING id AS client_id, 1 AS value');
SELECT mfiauto.create_trait('t', 'SELECT l.client_id, l.amount AS value FROM bank.ledger l');
SELECT mfiauto.create_trait('t', 'SELECT NULL::bigint AS client_id, 1 AS value');
SELECT mfiauto.create_trait('t', 'SELECT client_id, 1 / (client_id - 7) AS value FROM mfiauto.client');
SELECT count(*) FROM mfiauto.trait;
-- A sum over a table that nobody watches; a value of his own; one that reads another.
SELECT mfiauto.create_trait('turnover', 'SELECT l.client_id, sum(l.amount) AS value FROM bank.ledger l GROUP BY l.client_id', 'from the ledger') AS valued;
SELECT mfiauto.create_trait('twice', 'SELECT p.client_id, (p.traits ->> ''score'')::numeric * 2 AS value FROM mfiauto.client_profile p') AS valued;
SELECT mfiauto.create_trait('four_times', 'SELECT p.client_id, (p.traits ->> ''twice'')::numeric * 2 AS value FROM mfiauto.client_profile p') AS valued;
SELECT mfiauto.create_trait('loops', 'SELECT p.client_id, p.traits ->> ''loops'' AS value FROM mfiauto.client_profile p');
SELECT mfiauto.create_trait('risky', 'SELECT p.client_id, 100 / ((p.traits ->> ''score'')::numeric - 50) AS value FROM mfiauto.client_profile p') AS valued;
SELECT t.name, t.description, t.refreshed, t.problem FROM mfiauto.trait t ORDER BY 1;
CREATE FUNCTION pg_temp.wrong() RETURNS TABLE (clients bigint, turnover bigint, twice bigint, four_times bigint) LANGUAGE sql AS $$
  SELECT count(*), count(*) FILTER (WHERE (p.traits ->> 'turnover')::numeric IS DISTINCT FROM (SELECT sum(l.amount) FROM bank.ledger l WHERE l.client_id = p.client_id)),
         count(*) FILTER (WHERE (p.traits ->> 'twice')::numeric IS DISTINCT FROM (c.traits ->> 'score')::numeric * 2), count(*) FILTER (WHERE (p.traits ->> 'four_times')::numeric IS DISTINCT FROM (c.traits ->> 'score')::numeric * 4)
    FROM mfiauto.client_profile p JOIN bank.client c ON c.id = p.client_id $$;
SELECT * FROM pg_temp.wrong();
-- What changes is computed again for whom it changes; 50 divides by zero: that one keeps what he had and is parked.
UPDATE bank.client SET traits = jsonb_build_object('score', CASE id WHEN 3 THEN 50 ELSE id + 1 END) WHERE id < 6;
INSERT INTO bank.client (id, traits) VALUES (21, '{"score": 21}');
INSERT INTO bank.ledger VALUES (1, 1000);
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT clients, twice, four_times FROM pg_temp.wrong();
SELECT p.client_id, round((p.traits ->> 'risky')::numeric, 3) AS risky FROM mfiauto.client_profile p WHERE p.client_id < 5 ORDER BY 1;
SELECT p.source, p.client_id, p.sqlstate, p.detail FROM mfiauto.parked_fact p WHERE p.stage = 'trait' ORDER BY 1, 2;
UPDATE bank.client SET traits = '{"score": 3}' WHERE id = 3;
SELECT mfiauto.refresh_traits();
SELECT pg_temp.pass('2026-01-05 10:00+00');
SELECT mfiauto.refresh_traits();
SELECT * FROM pg_temp.wrong();
-- A query that breaks says so, and the others go on.
ALTER TABLE bank.ledger RENAME amount TO sum;
SET client_min_messages = warning;
SELECT mfiauto.refresh_traits();
SET client_min_messages = error;
SELECT t.name, t.problem FROM mfiauto.trait t WHERE t.problem IS NOT NULL;
SELECT mfiauto.alter_trait('turnover', query => 'SELECT l.client_id, sum(l.sum) AS value FROM bank.ledger l GROUP BY l.client_id');
SELECT t.name, t.problem FROM mfiauto.trait t WHERE t.problem IS NOT NULL;
-- What uses a trait holds it.
SELECT mfiauto.drop_trait('twice');
SELECT mfiauto.drop_trait('four_times'), mfiauto.drop_trait('risky');
SELECT mfiauto.create_segment('doubled', 'SELECT p.client_id FROM mfiauto.client_profile p WHERE (p.traits ->> ''twice'')::numeric > 20') AS members;
SELECT mfiauto.drop_trait('twice');
SELECT mfiauto.drop_segment('doubled');
SELECT mfiauto.drop_trait('twice'), mfiauto.drop_trait('turnover');
SELECT mfiauto.drop_trait('twice');
SELECT count(*) AS left_over FROM mfiauto.client_profile p WHERE p.traits ?| '{twice,turnover,four_times,risky}';
-- Two queries run with the rights of who wrote them.
CREATE ROLE regress_trait_author;
SELECT mfiauto.grant_access('regress_trait_author', 'author');
SET ROLE regress_trait_author;
SELECT mfiauto.create_trait('peek', 'SELECT l.client_id, sum(l.sum) AS value FROM bank.ledger l GROUP BY l.client_id');
SELECT mfiauto.create_trait('own', 'SELECT p.client_id, p.loans_active AS value FROM mfiauto.client_profile p') AS valued;
SELECT t.owner FROM mfiauto.trait t;
SELECT mfiauto.alter_trait('own', description => 'loans'), mfiauto.alter_trait('own', bands => 1);
RESET ROLE;
SELECT mfiauto.alter_trait('own', bands => 4);
SELECT p.traits ->> 'own' AS band, count(*) FROM mfiauto.client_profile p GROUP BY 1 ORDER BY 1;
SELECT mfiauto.alter_trait('own', bands => 0);
SELECT p.traits ->> 'own' AS value, count(*) FROM mfiauto.client_profile p GROUP BY 1 ORDER BY 1;
SELECT mfiauto.revoke_access('regress_trait_author');
DROP ROLE regress_trait_author;
