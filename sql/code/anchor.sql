-- Dates that workflows follow, beside those in subject_state: kept in anchor_date as the books are consumed.

-- Whether a date is one that subject_state keeps.
CREATE FUNCTION mfiauto._is_kept_date(role text, column_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT ($1 = 'installment' AND $2 = 'due_date') OR ($1 = 'loan' AND $2 = 'maturity_on') $$;

-- Where the date of one subject stands: in subject_state, or in anchor_date.
CREATE FUNCTION mfiauto._dated(role text, column_name text, subject_id bigint)
RETURNS TABLE (subject_id bigint, client_id bigint, loan_id bigint, on_date date)
LANGUAGE sql STABLE AS $$
  SELECT s.subject_id, s.client_id, s.loan_id, s.on_date FROM mfiauto.subject_state s
   WHERE mfiauto._is_kept_date($1, $2) AND s.role = $1 AND s.subject_id = $3
  UNION ALL
  SELECT a.subject_id, a.client_id, a.loan_id, a.on_date FROM mfiauto.anchor_date a
   WHERE NOT mfiauto._is_kept_date($1, $2) AND a.role = $1 AND a.column_name = $2 AND a.subject_id = $3
$$;

-- Makes anchor_date say what the books say of a date of some subjects (null: of all) of a canonical role. A moment's day is its client's own.
CREATE FUNCTION mfiauto._keep_dates(role text, column_name text, is_moment boolean, subject_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  kept bigint;
BEGIN
  EXECUTE format($sql$
    WITH told AS MATERIALIZED (
      SELECT DISTINCT ON (s.subject_id) s.subject_id, s.client_id, s.loan_id, v.%2$I AS value
        FROM mfiauto.subject_state s JOIN (%3$s) v ON v.%4$I = s.subject_id
       WHERE s.role = %1$L AND isfinite(v.%2$I) %5$s
       ORDER BY s.subject_id, v.%2$I),
    dated AS MATERIALIZED (%6$s),
    gone AS (
      DELETE FROM mfiauto.anchor_date a
       WHERE a.role = %1$L AND a.column_name = %2$L AND ($1 IS NULL OR a.subject_id = ANY ($1)) AND NOT EXISTS (SELECT FROM dated d WHERE d.subject_id = a.subject_id))
    INSERT INTO mfiauto.anchor_date AS a (role, column_name, subject_id, client_id, loan_id, on_date)
    SELECT %1$L, %2$L, d.subject_id, d.client_id, d.loan_id, d.on_date FROM dated d
    ON CONFLICT ON CONSTRAINT anchor_date_pkey DO UPDATE SET client_id = excluded.client_id, loan_id = excluded.loan_id, on_date = excluded.on_date
     WHERE (a.client_id, a.loan_id, a.on_date) IS DISTINCT FROM (excluded.client_id, excluded.loan_id, excluded.on_date)
    $sql$, role, column_name, mfiauto._view_sql(role), mfiauto._id_column(role),
    CASE WHEN subject_ids IS NOT NULL THEN format('AND s.subject_id = ANY ($1) AND v.%I = ANY ($1)', mfiauto._id_column(role)) END,
    CASE WHEN is_moment
         THEN 'SELECT t.subject_id, t.client_id, t.loan_id, (t.value AT TIME ZONE coalesce(z.zone, i.time_zone))::date AS on_date FROM told t CROSS JOIN mfiauto.institution i
                 LEFT JOIN mfiauto._client_zones(ARRAY(SELECT DISTINCT u.client_id FROM told u WHERE u.client_id IS NOT NULL)) z ON z.client_id = t.client_id'
         ELSE 'SELECT t.subject_id, t.client_id, t.loan_id, t.value AS on_date FROM told t' END)
    USING subject_ids;
  GET DIAGNOSTICS kept = ROW_COUNT;
  RETURN kept;
END $$;

-- The same for what a batch found different in a role. A client who moved to another zone may have other days.
CREATE FUNCTION mfiauto._keep_role_dates(role text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  kept record;
  changed bigint[];
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.anchor_source) THEN
    RETURN;
  END IF;
  changed := ARRAY(SELECT d.subject_id FROM mfiauto.batch_diff d WHERE d.role = _keep_role_dates.role);
  IF cardinality(changed) = 0 THEN
    RETURN;
  END IF;
  FOR kept IN
    SELECT a.role, a.column_name, a.is_moment,
           CASE WHEN a.role = _keep_role_dates.role THEN changed
                ELSE ARRAY(SELECT d.subject_id FROM mfiauto.anchor_date d WHERE d.role = a.role AND d.column_name = a.column_name AND d.client_id = ANY (changed)) END AS subject_ids
      FROM mfiauto.anchor_source a
      JOIN mfiauto.binding_config c ON c.role = a.role
     WHERE a.role = _keep_role_dates.role OR (a.is_moment AND _keep_role_dates.role = 'client')
     ORDER BY a.role, a.column_name
  LOOP
    IF cardinality(kept.subject_ids) > 0 THEN
      PERFORM mfiauto._keep_dates(kept.role, kept.column_name, kept.is_moment, kept.subject_ids);
    END IF;
  END LOOP;
END $$;

-- A date, or a moment's day in a zone, as the events of a watched table tell it; null for what is neither.
CREATE FUNCTION mfiauto._told_date(value text, zone text) RETURNS date
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF value !~ '^[0-9]{4,}-[0-9]{2}-[0-9]{2}([T ]|$)' THEN
    RETURN NULL;
  ELSIF value ~ ':.*([+-][0-9]{2}(:?[0-9]{2})?|Z)$' THEN
    RETURN (value::timestamptz AT TIME ZONE zone)::date;
  END IF;
  RETURN value::timestamp::date;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;

-- Takes over the dates that events of watched tables tell: the newest event of a subject that has the property decides, null or the event of a
-- deletion takes the date away. Whoever it changed for is touched. event_ids null: all that was ever told of one role's date.
CREATE FUNCTION mfiauto._keep_told_dates(role text, column_name text, event_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  kept bigint;
BEGIN
  WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (l.subject_id) l.subject_id, l.client_id, l.loan_id,
           CASE WHEN w.operation IS DISTINCT FROM 'DELETE' THEN mfiauto._told_date(l.properties ->> _keep_told_dates.column_name, i.time_zone) END AS on_date
      FROM mfiauto.event_log l
      CROSS JOIN mfiauto.institution i
      LEFT JOIN LATERAL (SELECT s.operation FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = l.name AND s.subject = l.subject LIMIT 1) w ON true
     WHERE l.subject = _keep_told_dates.role AND (l.properties ? _keep_told_dates.column_name OR w.operation = 'DELETE')
       AND (_keep_told_dates.event_ids IS NULL OR l.event_id = ANY (_keep_told_dates.event_ids))
     ORDER BY l.subject_id, l.event_id DESC
  ),
  old AS MATERIALIZED (
    SELECT a.subject_id, a.client_id, a.loan_id, a.on_date
      FROM mfiauto.anchor_date a WHERE a.role = _keep_told_dates.role AND a.column_name = _keep_told_dates.column_name AND a.subject_id IN (SELECT t.subject_id FROM told t)
  ),
  gone AS (
    DELETE FROM mfiauto.anchor_date a USING told t
     WHERE a.role = _keep_told_dates.role AND a.column_name = _keep_told_dates.column_name AND a.subject_id = t.subject_id AND t.on_date IS NULL
  ),
  come AS (
    INSERT INTO mfiauto.anchor_date (role, column_name, subject_id, client_id, loan_id, on_date)
    SELECT _keep_told_dates.role, _keep_told_dates.column_name, t.subject_id, t.client_id, t.loan_id, t.on_date FROM told t WHERE t.on_date IS NOT NULL
    ON CONFLICT ON CONSTRAINT anchor_date_pkey DO UPDATE SET client_id = excluded.client_id, loan_id = excluded.loan_id, on_date = excluded.on_date
  )
  INSERT INTO mfiauto.batch_touched (role, subject_id, client_id, loan_id)
  SELECT DISTINCT _keep_told_dates.role, t.subject_id, c.client_id, coalesce(t.loan_id, o.loan_id)
    FROM told t
    LEFT JOIN old o ON o.subject_id = t.subject_id
    CROSS JOIN LATERAL (SELECT t.client_id UNION SELECT o.client_id) c
   WHERE _keep_told_dates.event_ids IS NOT NULL AND c.client_id IS NOT NULL AND (o.client_id, o.on_date) IS DISTINCT FROM (t.client_id, t.on_date);
  GET DIAGNOSTICS kept = ROW_COUNT;
  RETURN kept;
END $$;

-- The dates that the events of the batch tell.
CREATE FUNCTION mfiauto._keep_batch_dates() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._keep_told_dates(a.role, a.column_name, ARRAY(SELECT b.event_id FROM mfiauto.batch_event b WHERE b.subject = a.role))
     FROM mfiauto.anchor_source a
    WHERE mfiauto._role_number(a.role) IS NULL AND EXISTS (SELECT FROM mfiauto.batch_event b WHERE b.subject = a.role);
END $$;

-- Begins to keep a date, with all that is known of it. One that is kept already, or that subject_state has, needs nothing.
CREATE FUNCTION mfiauto._fill_dates(role text, column_name text) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  is_moment boolean := (SELECT a.atttypid = 'timestamptz'::regtype FROM pg_attribute a
                         WHERE a.attrelid = to_regclass(format('mfiauto.%I', _fill_dates.role)) AND a.attname = _fill_dates.column_name);
BEGIN
  IF mfiauto._is_kept_date(role, column_name) OR EXISTS (SELECT FROM mfiauto.anchor_source a WHERE a.role = _fill_dates.role AND a.column_name = _fill_dates.column_name) THEN
    RETURN 0;
  END IF;
  -- No batch must be half consumed: what it changes would be missed.
  PERFORM pg_advisory_xact_lock(hashtext('mfiauto engine'));
  INSERT INTO mfiauto.anchor_source (role, column_name, is_moment, filled_at) VALUES (_fill_dates.role, _fill_dates.column_name, coalesce(is_moment, false), mfiauto.now());
  IF mfiauto._role_number(role) IS NULL THEN
    RETURN mfiauto._keep_told_dates(role, column_name, NULL);
  END IF;
  RETURN mfiauto._keep_dates(role, column_name, is_moment, NULL);
END $$;

-- The subjects whose date lies between two days, also of a date that is not kept yet: as the books stand now.
CREATE FUNCTION mfiauto._dates_between(role text, column_name text, first_on date, last_on date)
RETURNS TABLE (subject_id bigint, client_id bigint, loan_id bigint, on_date date)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  zone text := (SELECT i.time_zone FROM mfiauto.institution i);
BEGIN
  IF mfiauto._is_kept_date(role, column_name) THEN
    RETURN QUERY SELECT s.subject_id, s.client_id, s.loan_id, s.on_date FROM mfiauto.subject_state s
      WHERE s.role = _dates_between.role AND s.on_date BETWEEN first_on AND last_on;
  ELSIF EXISTS (SELECT FROM mfiauto.anchor_source a WHERE a.role = _dates_between.role AND a.column_name = _dates_between.column_name) THEN
    RETURN QUERY SELECT a.subject_id, a.client_id, a.loan_id, a.on_date FROM mfiauto.anchor_date a
      WHERE a.role = _dates_between.role AND a.column_name = _dates_between.column_name AND a.on_date BETWEEN first_on AND last_on;
  ELSIF mfiauto._role_number(role) IS NULL THEN
    RETURN QUERY SELECT d.* FROM (
        SELECT DISTINCT ON (l.subject_id) l.subject_id, l.client_id, l.loan_id, mfiauto._told_date(l.properties ->> _dates_between.column_name, zone) AS on_date
          FROM mfiauto.event_log l WHERE l.subject = _dates_between.role AND l.properties ? _dates_between.column_name
         ORDER BY l.subject_id, l.event_id DESC) d
      WHERE d.on_date BETWEEN first_on AND last_on;
  ELSE
    RETURN QUERY EXECUTE format('SELECT s.subject_id, s.client_id, s.loan_id, d.on_date FROM mfiauto.subject_state s JOIN mfiauto.%I v ON v.%I = s.subject_id
        CROSS JOIN LATERAL (SELECT %s AS on_date) d WHERE s.role = %L AND isfinite(v.%I) AND d.on_date BETWEEN $1 AND $2',
      role, mfiauto._id_column(role),
      CASE (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = to_regclass(format('mfiauto.%I', role)) AND a.attname = column_name)
        WHEN 'date'::regtype THEN format('v.%I', column_name) ELSE format('(v.%I AT TIME ZONE %L)::date', column_name, zone) END, role, column_name)
      USING first_on, last_on;
  END IF;
END $$;
