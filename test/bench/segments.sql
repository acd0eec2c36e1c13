-- A segment over :rows clients: its bare query, a full refresh, and what the engine does after one client of a thousand changed.
-- Prints milliseconds.
SET client_min_messages = error;
SELECT mfiauto.set_clock('2027-04-01 10:00+00') \g /dev/null
ALTER TABLE bench.person DISABLE TRIGGER ALL;
INSERT INTO bench.person SELECT 200000000 + n, 'Awa Diop', '+22177' || lpad((n % 10000000)::text, 7, '0'), CASE n % 3 WHEN 0 THEN 'wo' ELSE 'fr' END
  FROM generate_series(1, :rows) n;
ALTER TABLE bench.person ENABLE TRIGGER ALL;
SELECT mfiauto.resync('client') \g /dev/null
SELECT mfiauto.run_engine() \g /dev/null
SELECT mfiauto._rotate_journal(0) \g /dev/null
VACUUM ANALYZE;
SELECT mfiauto.create_segment('wolof', 'SELECT client_id FROM mfiauto.client_profile WHERE locale = ''wo'' AND status IS DISTINCT FROM ''closed''') \g /dev/null
SELECT mfiauto.run_engine() \g /dev/null
VACUUM ANALYZE;
SELECT clock_timestamp() AS t \gset
CREATE TEMPORARY TABLE bare_1 AS SELECT client_id FROM mfiauto.client_profile WHERE locale = 'wo' AND status IS DISTINCT FROM 'closed';
SELECT 'bare ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto.refresh_segment('wolof') \g /dev/null
SELECT 'full ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
UPDATE bench.person SET lang = CASE lang WHEN 'wo' THEN 'fr' ELSE 'wo' END WHERE id > 200000000 AND id % 1000 = 1;
SELECT mfiauto._consume_journal() \g /dev/null
SELECT mfiauto._refresh_profiles(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._refresh_segments_of(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT 'incremental ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT mfiauto.run_engine() \g /dev/null
SELECT clock_timestamp() AS t \gset
CREATE TEMPORARY TABLE bare_2 AS SELECT client_id FROM mfiauto.client_profile WHERE locale = 'wo' AND status IS DISTINCT FROM 'closed';
SELECT 'bare ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto.refresh_segment('wolof') \g /dev/null
SELECT 'full ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
UPDATE bench.person SET lang = CASE lang WHEN 'wo' THEN 'fr' ELSE 'wo' END WHERE id > 200000000 AND id % 1000 = 2;
SELECT mfiauto._consume_journal() \g /dev/null
SELECT mfiauto._refresh_profiles(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._refresh_segments_of(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT 'incremental ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT mfiauto.run_engine() \g /dev/null
SELECT clock_timestamp() AS t \gset
CREATE TEMPORARY TABLE bare_3 AS SELECT client_id FROM mfiauto.client_profile WHERE locale = 'wo' AND status IS DISTINCT FROM 'closed';
SELECT 'bare ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto.refresh_segment('wolof') \g /dev/null
SELECT 'full ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
UPDATE bench.person SET lang = CASE lang WHEN 'wo' THEN 'fr' ELSE 'wo' END WHERE id > 200000000 AND id % 1000 = 3;
SELECT mfiauto._consume_journal() \g /dev/null
SELECT mfiauto._refresh_profiles(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._refresh_segments_of(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT 'incremental ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT mfiauto.run_engine() \g /dev/null
