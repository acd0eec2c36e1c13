-- pg_cron is used where it is, and nothing breaks where it is not; the workers' clock; partitions.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
RESET client_min_messages;
-- pg_cron lives in another database here.
SELECT mfiauto.schedule_jobs();
SELECT mfiauto.unschedule_jobs();
SELECT * FROM mfiauto.job_statements();
SELECT * FROM mfiauto.job_statements('it''s "mine"');

-- Where it lives, the code alone is enough.
\set here :DBNAME
\c postgres
CREATE EXTENSION pg_cron;
CREATE EXTENSION mfiauto;
SELECT * FROM mfiauto.schedule_jobs('no_such_database');
SELECT * FROM mfiauto.schedule_jobs(:'here');
SELECT * FROM mfiauto.schedule_jobs(:'here');
SELECT jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobname;
SELECT mfiauto.unschedule_jobs(:'here');
SELECT count(*) FROM cron.job;
DROP EXTENSION mfiauto;
DROP SCHEMA mfiauto;
DROP EXTENSION pg_cron;
\c :here

-- Partitions: this month's and two ahead, once; a month with rows in the default partition stays there.
SELECT mfiauto.set_clock('2026-01-31 23:00+00');
INSERT INTO mfiauto.event_log (client_id, name, occurred_at, received_at) VALUES (1, 'Test', mfiauto.now(), '2026-02-10 00:00+00');
SELECT mfiauto.ensure_partitions() > 0 AS some_made;
SELECT mfiauto.ensure_partitions() AS none_made;
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE i.inhparent IN ('mfiauto.event_log'::regclass, 'mfiauto.message_ledger'::regclass) ORDER BY 1;
SELECT relname, reloptions FROM pg_class WHERE relname ~ '^message_ledger_2026' AND relkind = 'r' ORDER BY 1;
