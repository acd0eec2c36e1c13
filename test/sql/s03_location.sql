-- S3: areas are a tree: who lives in a region is who lives in one of its villages.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
SELECT mfiauto.set_area('SN', name => 'Senegal'), mfiauto.set_area('Thies', 'SN'), mfiauto.set_area('Dakar', 'SN'), mfiauto.set_area('Pikine', 'Dakar'), mfiauto.set_area('Mbour', 'Thies'), mfiauto.set_area('Joal', 'Mbour');
INSERT INTO bank.client (id, region) SELECT g, (ARRAY['SN', 'Thies', 'Dakar', 'Pikine', 'Mbour', 'Joal', 'Atlantis', NULL])[1 + g % 8] FROM generate_series(0, 799) g;
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.region, p.area_path, count(*) FROM mfiauto.client_profile p GROUP BY 1, 2 ORDER BY 1;
-- The region is the union over its villages, found by walking the parents instead of the path.
CREATE FUNCTION pg_temp.wrong() RETURNS TABLE (area text, members bigint, wrong bigint) LANGUAGE sql AS $$
  WITH RECURSIVE below AS (SELECT a.area AS top, a.area FROM mfiauto.area a UNION ALL SELECT b.top, a.area FROM below b JOIN mfiauto.area a ON a.parent = b.area),
  union_of AS (SELECT b.top, c.id FROM below b JOIN bank.client c ON c.region = b.area),
  segment AS (SELECT a.area AS top, p.client_id AS id FROM mfiauto.area a JOIN mfiauto.client_profile p ON a.area = ANY (p.area_path))
  SELECT coalesce(u.top, s.top), count(s.id), count(*) FILTER (WHERE u.id IS NULL OR s.id IS NULL) FROM union_of u FULL JOIN segment s ON s.top = u.top AND s.id = u.id GROUP BY 1 ORDER BY 1 $$;
SELECT * FROM pg_temp.wrong();
-- A village moves with all that lies in it; so does who lives there.
SELECT mfiauto.set_area('Mbour', 'Dakar');
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT * FROM pg_temp.wrong();
SELECT mfiauto.set_area('SN', 'Joal');
SELECT mfiauto.set_area('Nowhere', 'Erewhon');
SELECT mfiauto.set_area('');
SELECT mfiauto.drop_area('Dakar');
SELECT mfiauto.drop_area('Joal');
SELECT mfiauto.drop_area('Joal');
SELECT pg_temp.pass('2026-01-05 10:00+00');
SELECT p.region, p.area_path, count(*) FROM mfiauto.client_profile p WHERE p.region = 'Joal' GROUP BY 1, 2;
SELECT pg_temp.drift();
