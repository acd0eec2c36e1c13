-- S10: by which way a client came first stays, whatever is written later.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, source) VALUES (1, 'radio'), (2, NULL), (3, ' ');
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.client_id, p.source FROM mfiauto.client_profile p ORDER BY 1;
UPDATE bank.client SET source = 'billboard';
SELECT pg_temp.pass('2026-01-06 08:00+00');
SELECT p.client_id, p.source FROM mfiauto.client_profile p ORDER BY 1;
UPDATE bank.client SET source = 'web' WHERE id <> 1;
SELECT mfiauto.track('Lead Created', 1, '{"source": "agent"}') IS NOT NULL AS told;
SELECT pg_temp.pass('2026-01-07 08:00+00');
SELECT p.client_id, p.source FROM mfiauto.client_profile p ORDER BY 1;
-- A lead that says where it comes from is older than the books' row.
SELECT mfiauto.track('Lead Created', 4, '{"source": "chatbot"}') IS NOT NULL AS told;
INSERT INTO bank.client (id, source) VALUES (4, 'branch');
SELECT pg_temp.pass('2026-01-08 08:00+00');
SELECT p.client_id, p.source FROM mfiauto.client_profile p WHERE p.client_id = 4;
SELECT pg_temp.drift();
