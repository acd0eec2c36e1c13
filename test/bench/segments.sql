-- A segment over :rows clients.
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
