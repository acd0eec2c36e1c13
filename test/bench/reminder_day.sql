-- The books of one day on which very many installments fall due at nine: :rows of them, of as many clients. Prints milliseconds.
SET client_min_messages = error;
SELECT mfiauto.set_clock(timestamptz '2027-03-02 10:00+00') \g /dev/null
INSERT INTO bench.person SELECT 100000000 + n, 'Awa Diop', '+22177' || lpad((n % 10000000)::text, 7, '0'), 'fr' FROM generate_series(1, :rows) n;
INSERT INTO bench.credit SELECT 100000000 + n, 100000000 + n, 'active' FROM generate_series(1, :rows) n;
INSERT INTO bench.due SELECT 100000000 + n, 100000000 + n, '2027-03-03', 12500 FROM generate_series(1, :rows) n;
ANALYZE bench.person, bench.credit, bench.due;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._run_engine_batch() \g /dev/null
SELECT 'enroll ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);
SELECT mfiauto._rotate_journal(0) \g /dev/null
SELECT mfiauto._rotate_journal(0) \g /dev/null
VACUUM ANALYZE;
