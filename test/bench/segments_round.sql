-- One round: the segment's bare query, a full refresh, and what the engine does after one client of a thousand changed. Prints milliseconds.
SET client_min_messages = error;
SELECT mfiauto.set_clock('2027-04-01 10:00+00') \g /dev/null
SELECT clock_timestamp() AS t \gset
CREATE TEMPORARY TABLE bare AS SELECT client_id FROM mfiauto.client_profile WHERE locale = 'wo' AND status IS DISTINCT FROM 'closed';
SELECT 'bare ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto.refresh_segment('wolof') \g /dev/null
SELECT 'full ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
UPDATE bench.person SET lang = CASE lang WHEN 'wo' THEN 'fr' ELSE 'wo' END WHERE id > 200000000 AND id % 1000 = :round;
SELECT mfiauto._consume_journal() \g /dev/null
SELECT mfiauto._refresh_profiles(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._refresh_segments_of(ARRAY(SELECT d.client_id FROM mfiauto.client_dirty d)) \g /dev/null
SELECT 'incremental ' || extract(epoch FROM clock_timestamp() - :'t') * 1000;
SELECT mfiauto.run_engine() \g /dev/null
