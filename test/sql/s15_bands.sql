-- S15: bands part the clients by the quantiles of a value: their sizes add up to all who have one, and they say of when they are.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, traits) SELECT g, CASE WHEN g % 10 <> 0 THEN jsonb_build_object('score', g * 37 % 101) END FROM generate_series(1, 1000) g;
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT mfiauto.create_trait('engagement', 'SELECT p.client_id, (p.traits ->> ''score'')::numeric AS value FROM mfiauto.client_profile p', 'five bands', bands => 5) AS valued;
SELECT t.name, t.bands, t.refreshed_at FROM mfiauto.trait t;
SELECT b.* FROM mfiauto.trait_band b ORDER BY b.band;
SELECT sum(b.clients) = (SELECT count(*) FROM bank.client c WHERE c.traits ? 'score') AS adds_up, max(b.clients) - min(b.clients) < 20 AS about_equal FROM mfiauto.trait_band b;
-- The band in the profile is the one in which the value lies; a higher value is never in a lower band.
SELECT count(*) FILTER (WHERE NOT ((p.traits ->> 'score')::numeric > coalesce(b.over, -1) AND (p.traits ->> 'score')::numeric <= coalesce(b.up_to, 1000))) AS misplaced, count(b.band) AS placed, count(*) FILTER (WHERE p.traits ? 'engagement') AS shown
  FROM mfiauto.client_profile p LEFT JOIN mfiauto.trait_band b ON b.band = (p.traits ->> 'engagement')::integer;
SELECT count(*) AS wrong FROM (SELECT (p.traits ->> 'engagement')::integer AS band, lag((p.traits ->> 'engagement')::integer) OVER (ORDER BY (p.traits ->> 'score')::numeric) AS previous FROM mfiauto.client_profile p WHERE p.traits ? 'engagement') o WHERE o.band < o.previous;
-- Everybody's value changes: the limits are those of the last refresh, until the next one.
UPDATE bank.client SET traits = jsonb_build_object('score', id) WHERE traits ? 'score';
SELECT pg_temp.pass('2026-01-06 08:00+00');
SELECT mfiauto.refresh_traits();
SELECT b.* FROM mfiauto.trait_band b ORDER BY b.band;
SELECT pg_temp.pass('2026-01-06 09:00+00');
SELECT p.traits ->> 'engagement' AS band, count(*), min((p.traits ->> 'score')::integer), max((p.traits ->> 'score')::integer) FROM mfiauto.client_profile p GROUP BY 1 ORDER BY 1;
-- All alike are in one band; nobody in none.
UPDATE bank.client SET traits = jsonb_build_object('score', 7) WHERE traits ? 'score';
SELECT pg_temp.pass('2026-01-07 08:00+00');
SELECT mfiauto.refresh_traits();
SELECT b.band, b.clients FROM mfiauto.trait_band b WHERE b.clients > 0;
SELECT mfiauto.create_trait('words', 'SELECT p.client_id, ''x'' AS value FROM mfiauto.client_profile p', bands => 3);
SELECT mfiauto.create_trait('one', 'SELECT p.client_id, 1 AS value FROM mfiauto.client_profile p', bands => 1);
