-- Events that applications tell of, traits, and the time partitions of the logs.

CREATE FUNCTION mfiauto._track(name text, client_id bigint, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT NULL, subject text DEFAULT NULL, subject_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  number bigint;
BEGIN
  IF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'an event''s name must have 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Name it as Object Action, for example ''Session Started''.';
  END IF;
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'event "%" needs a client', name USING ERRCODE = '22023', HINT = 'Give client_id => <the client''s number>.';
  END IF;
  IF jsonb_typeof(coalesce(properties, '{}')) <> 'object' THEN
    RAISE EXCEPTION 'properties of event "%" must be a JSON object', name USING ERRCODE = '22023', HINT = 'Give {"property": value, ...}.';
  END IF;
  IF pg_column_size(properties) > 65536 THEN
    RAISE EXCEPTION 'properties of event "%" are larger than 64 kB', name USING ERRCODE = '54000', HINT = 'Keep large documents elsewhere and give their reference.';
  END IF;
  IF NOT isfinite(coalesce(occurred_at, mfiauto.now())) THEN
    RAISE EXCEPTION 'occurred_at of event "%" must be a finite time', name USING ERRCODE = '22023', HINT = 'Left out, it is the present time.';
  END IF;
  IF (subject IS NULL) <> (subject_id IS NULL) THEN
    RAISE EXCEPTION 'subject and subject_id of event "%" must be given together', name USING ERRCODE = '22023', HINT = 'For example subject => ''loan'', subject_id => 7.';
  END IF;
  -- Nothing is written down of whom it was erased.
  IF EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = _track.client_id) THEN
    RETURN NULL;
  END IF;
  INSERT INTO mfiauto.event_log AS e (client_id, name, subject, subject_id, loan_id, properties, occurred_at, received_at)
  VALUES (_track.client_id, _track.name, _track.subject, _track.subject_id,
          CASE WHEN _track.subject = 'loan' THEN _track.subject_id
               ELSE (SELECT s.loan_id FROM mfiauto.subject_state s WHERE s.role = _track.subject AND s.subject_id = _track.subject_id) END,
          coalesce(_track.properties, '{}'), coalesce(_track.occurred_at, mfiauto.now()), mfiauto.now())
  RETURNING e.event_id INTO number;
  PERFORM mfiauto._journal_append(0, 'e', number, client_id);
  RETURN number;
END $$;
SELECT mfiauto._open_door('mfiauto._track(text, bigint, jsonb, timestamptz, text, bigint)', '{admin,app}',
  'Tells of an event of a client, from an application; part of the caller''s transaction. Returns its number.');

CREATE FUNCTION mfiauto._identify(client_id bigint, traits jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must be given' USING ERRCODE = '22023', HINT = 'Give client_id => <the client''s number>.';
  END IF;
  IF traits IS NULL OR jsonb_typeof(traits) <> 'object' THEN
    RAISE EXCEPTION 'traits must be a JSON object' USING ERRCODE = '22023', HINT = 'Give {"trait": value, ...}; null takes a trait away.';
  END IF;
  IF pg_column_size(traits) > 65536 THEN
    RAISE EXCEPTION 'traits are larger than 64 kB' USING ERRCODE = '54000', HINT = 'Keep large documents elsewhere and give their reference.';
  END IF;
  INSERT INTO mfiauto.client_trait AS t (client_id, traits, updated_at)
  VALUES (_identify.client_id, jsonb_strip_nulls(_identify.traits), mfiauto.now())
  ON CONFLICT ON CONSTRAINT client_trait_pkey DO UPDATE
     SET updated_at = excluded.updated_at,
         traits = (t.traits || excluded.traits) - (SELECT coalesce(array_agg(k.key), '{}') FROM jsonb_each(_identify.traits) k WHERE k.value = 'null');
  PERFORM mfiauto._journal_append(-mfiauto._role_number('client'), 'r', client_id, client_id);
  IF traits ?| '{country,telegram,messenger}' THEN
    PERFORM mfiauto._keep_addresses(ARRAY[client_id]);
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._identify(bigint, jsonb)', '{admin,app}',
  'Gives a client traits beyond those of the bank''s own tables; they are merged with those known, null takes one away.');

-- Monthly partitions of the logs, for the month of a moment and the two after it. A month whose rows already are in the default partition stays there.
CREATE FUNCTION mfiauto._ensure_partitions(at timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  log record;
  month timestamp;
  name text;
  has_rows boolean;
  made_count integer := 0;
BEGIN
  FOR log IN
    SELECT c.relname, a.attname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
     WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relname IN ('event_log', 'message_ledger', 'decision_log', 'attempt', 'receipt', 'interaction_log', 'inbound_log') ORDER BY c.relname
  LOOP
    FOR ahead IN 0..2 LOOP
      month := date_trunc('month', at AT TIME ZONE 'UTC') + make_interval(months => ahead);
      name := format('%s_%s', log.relname, to_char(month, 'YYYYMM'));
      CONTINUE WHEN to_regclass(format('mfiauto.%I', name)) IS NOT NULL;
      EXECUTE format('SELECT EXISTS (SELECT FROM mfiauto.%I d WHERE d.%I >= %L AND d.%2$I < %L)', log.relname || '_default', log.attname,
                     month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC') INTO has_rows;
      CONTINUE WHEN has_rows;
      BEGIN
        -- Waits for nobody: a dump locks all tables too, in another order, and would be the victim of the deadlock. Next time, then.
        EXECUTE format('LOCK TABLE ONLY mfiauto.%I IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', log.relname);
        EXECUTE format('LOCK TABLE mfiauto.%I IN ACCESS EXCLUSIVE MODE NOWAIT', log.relname || '_default');
        EXECUTE format('CREATE TABLE mfiauto.%I PARTITION OF mfiauto.%I FOR VALUES FROM (%L) TO (%L) %s', name, log.relname,
                       month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC',
                       (SELECT 'WITH (' || array_to_string(d.reloptions, ', ') || ')' FROM pg_class d WHERE d.oid = to_regclass(format('mfiauto.%I', log.relname || '_default')) AND d.reloptions IS NOT NULL));
        made_count := made_count + 1;
      EXCEPTION WHEN check_violation OR lock_not_available THEN
        NULL;
      END;
    END LOOP;
  END LOOP;
  RETURN made_count;
END $$;
