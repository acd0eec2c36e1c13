-- The periodic SQL, by pg_cron where it is; and the time partitions of what grows.

-- Every job: what it does and when. Anything that must tick faster than a minute is the workers'.
CREATE FUNCTION mfiauto._job() RETURNS TABLE (job text, schedule text, command text)
LANGUAGE sql IMMUTABLE AS $$
  VALUES ('mfiauto-kpis', '*/15 * * * *', 'SELECT mfiauto.refresh_kpis()'),
         ('mfiauto-partitions', '17 2 * * *', 'SELECT mfiauto.ensure_partitions()'),
         ('mfiauto-retention', '*/10 1-4 * * *', 'SELECT mfiauto.apply_retention()'),
         ('mfiauto-segments', '*/5 * * * *', 'SELECT mfiauto.refresh_segments()'),
         ('mfiauto-traits', '11 3 * * *', 'SELECT mfiauto.refresh_traits()')
$$;

-- The names carry the database where they would clash: several databases share one pg_cron.
CREATE FUNCTION mfiauto._job_name(job text, database_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT job || ':' || database_name $$;

CREATE FUNCTION mfiauto.job_statements(database_name text DEFAULT pg_catalog.current_database())
RETURNS TABLE (statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format('SELECT cron.schedule_in_database(%L, %L, %L, %L)', mfiauto._job_name(j.job, database_name), j.schedule, j.command, database_name)
    FROM mfiauto._job() j
$$;
COMMENT ON FUNCTION mfiauto.job_statements(text) IS
  'The statements that schedule_jobs() runs, to be run by hand in the database where pg_cron lives when that is another one.';

CREATE FUNCTION mfiauto._check_cron() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  home text := current_setting('cron.database_name', true);
BEGIN
  IF to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)') IS NOT NULL THEN
    RETURN;
  END IF;
  RAISE EXCEPTION 'pg_cron is not in database "%"', current_database()
    USING ERRCODE = '55000',
          HINT = CASE WHEN home IS NULL THEN 'Add pg_cron to shared_preload_libraries, restart, and run CREATE EXTENSION pg_cron in the database that cron.database_name names.'
                      WHEN home = current_database() THEN 'Run CREATE EXTENSION pg_cron here.'
                      ELSE format('Its database is "%s". Run there what SELECT * FROM mfiauto.job_statements() lists here.', home) END;
END $$;

CREATE FUNCTION mfiauto.schedule_jobs(database_name text DEFAULT pg_catalog.current_database())
RETURNS TABLE (job text, schedule text, command text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one record;
BEGIN
  PERFORM mfiauto._check_cron();
  IF NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = database_name) THEN
    RAISE EXCEPTION 'database "%" does not exist', database_name USING ERRCODE = '3D000';
  END IF;
  FOR one IN SELECT * FROM mfiauto._job() LOOP
    job := mfiauto._job_name(one.job, database_name);
    schedule := one.schedule;
    command := one.command;
    PERFORM cron.schedule_in_database(job, schedule, command, database_name);
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION mfiauto.schedule_jobs(text) IS
  'Registers the periodic SQL of a database (default: this one) with pg_cron, as jobs of the caller named mfiauto-...; again: brings them up to date. Call it in the database where pg_cron lives.';

CREATE FUNCTION mfiauto.unschedule_jobs(database_name text DEFAULT pg_catalog.current_database())
RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  removed integer := 0;
  job_id bigint;
BEGIN
  PERFORM mfiauto._check_cron();
  FOR job_id IN SELECT c.jobid FROM cron.job c WHERE c.jobname ~ '^mfiauto-' AND c.database = database_name LOOP
    PERFORM cron.unschedule(job_id);
    removed := removed + 1;
  END LOOP;
  RETURN removed;
END $$;
COMMENT ON FUNCTION mfiauto.unschedule_jobs(text) IS
  'Removes what schedule_jobs() registered for a database (default: this one); returns how many jobs.';

-- Month partitions ahead of time. The engine worker sees to it hourly, the job where only pg_cron runs.
CREATE FUNCTION mfiauto._ensure_partitions() RETURNS integer
LANGUAGE sql SET lock_timeout = '2s' AS $$ SELECT mfiauto._ensure_partitions(mfiauto.now()) $$;
SELECT mfiauto._open_door('mfiauto._ensure_partitions()', '{admin}',
  'Makes the month partitions of the ledgers, this month''s and the next two, where they are missing; returns how many it made.');
