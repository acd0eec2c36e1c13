-- S12: sectors of activity are a code list; what is not on it is null in the profile and reported.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, traits) VALUES (1, '{"sector": "A"}'), (2, '{"sector": "trade"}'), (3, '{"sector": " Construction "}'), (4, '{"sector": "orpaillage"}'), (5, '{"sector": "orpaillage"}'), (6, '{"sector": ""}'), (7, NULL);
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.client_id, p.sector FROM mfiauto.client_profile p ORDER BY 1;
SELECT * FROM mfiauto.unknown_sector ORDER BY 1;
-- Once the list knows it, so do the profiles.
SELECT mfiauto.set_sector('B1', 'Gold washing', '{Orpaillage}');
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT p.client_id, p.sector FROM mfiauto.client_profile p WHERE p.sector = 'B1' ORDER BY 1;
SELECT * FROM mfiauto.unknown_sector ORDER BY 1;
SELECT mfiauto.set_sector('A', aliases => '{trade}');
SELECT mfiauto.set_sector('A', aliases => '{paddy}');
SELECT alias, sector FROM mfiauto.sector_alias WHERE alias = 'paddy';
SELECT mfiauto.set_sector('Z');
SELECT mfiauto.set_sector(' ', 'x');
SELECT count(*) AS sections FROM mfiauto.sector s WHERE s.sector ~ '^[A-U]$';
SELECT pg_temp.drift();
