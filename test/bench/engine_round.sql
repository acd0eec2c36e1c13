-- One round: the engine's work and the bare statements on as many rows, each in transactions of its own. Prints milliseconds.
SET client_min_messages = error;
SELECT set_config('bench.batches', (:rows / 10000 + CASE WHEN :rows % 10000 > 0 THEN 1 ELSE 0 END)::text, false) \g /dev/null
SELECT coalesce(max(id), 0) AS base FROM bench.person \gset
SELECT date '2026-03-01' + (:base / :rows)::int AS day \gset
SELECT mfiauto.set_clock((:'day'::date - 1) + time '10:00') \g /dev/null

-- Events: committed writes of a watched table.
INSERT INTO bench.person SELECT :base + n, 'Awa Diop', '+22177' || lpad((n % 10000000)::text, 7, '0'), 'fr' FROM generate_series(1, :rows) n;
SELECT mfiauto.run_engine() \g /dev/null
INSERT INTO bench.fact SELECT :base + n, :base + n FROM generate_series(1, :rows) n;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto._run_engine_batch() \g /dev/null
SELECT 'consume ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);
SELECT clock_timestamp() AS t \gset
INSERT INTO bench.bare_event SELECT * FROM mfiauto.event_log WHERE name = 'Fact Recorded' AND subject_id > :base;
SELECT 'consume_bare ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);

SELECT mfiauto.run_engine() \g /dev/null

-- Enrollments: a day's installments, due at nine. In batches, each in a transaction of its own, as the worker does.
INSERT INTO bench.credit SELECT :base + n, :base + n, 'active' FROM generate_series(1, :rows) n;
INSERT INTO bench.due SELECT :base + n, :base + n, :'day'::date, 12500 FROM generate_series(1, :rows) n;
SELECT clock_timestamp() AS t \gset
SELECT mfiauto.run_engine() \g /dev/null
SELECT 'enroll ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);
INSERT INTO bench.bare_enrollment SELECT * FROM mfiauto.enrollment_state WHERE subject_id > :base;
ANALYZE;
SELECT mfiauto.set_clock(:'day'::date + time '09:00') \g /dev/null
SELECT clock_timestamp() AS t \gset
DO $$ BEGIN FOR i IN 1 .. current_setting('bench.batches')::integer LOOP PERFORM mfiauto._run_engine_batch(); COMMIT; END LOOP; END $$;
SELECT 'advance ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);
SELECT clock_timestamp() AS t \gset
BEGIN;
UPDATE bench.bare_enrollment SET step_no = step_no + 1, due_at = due_at + interval '1 day' WHERE due_at <= mfiauto.now();
INSERT INTO bench.bare_message SELECT * FROM mfiauto.message_ledger WHERE created_at = mfiauto.now();
COMMIT;
SELECT 'advance_bare ' || round(extract(epoch FROM clock_timestamp() - :'t') * 1000, 1);
SELECT 'advanced_rows ' || count(*) FROM mfiauto.message_ledger WHERE created_at = mfiauto.now();
SELECT mfiauto.run_engine() \g /dev/null
DELETE FROM mfiauto.outbox;
