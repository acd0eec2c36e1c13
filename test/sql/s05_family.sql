-- S5: household and dependants come from traits, the bank's or told; a limit of 5 takes in who has 5.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, traits) VALUES (1, '{"household": 4}'), (2, '{"household": 5}'), (3, '{"household": "6", "dependants": 3}'), (4, '{"household_size": 7, "household": 2}'), (5, '{"household": "many"}'), (6, NULL), (7, '{"household": -1}');
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.client_id, p.household_size, p.dependants, p.household_size >= 5 AS is_large FROM mfiauto.client_profile p ORDER BY 1;
-- What was told of a client counts, too, until it is taken back; what the bank writes counts at once.
SELECT mfiauto.identify(1, '{"household": 5, "dependants": 2}'), mfiauto.identify(6, '{"household_size": 9}');
UPDATE bank.client SET traits = '{"household": 3}' WHERE id = 2;
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT p.client_id, p.household_size, p.dependants FROM mfiauto.client_profile p WHERE p.household_size >= 5 ORDER BY 1;
SELECT mfiauto.identify(6, '{"household_size": null}');
SELECT pg_temp.pass('2026-01-05 10:00+00');
SELECT p.client_id, p.household_size, p.dependants FROM mfiauto.client_profile p WHERE p.household_size >= 5 ORDER BY 1;
SELECT pg_temp.drift();
