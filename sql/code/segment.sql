-- Segments: created from a query or a list, shown as views, altered and dropped. segment_refresh.sql keeps them right.

CREATE FUNCTION mfiauto._compile_segment(segment text, role text, query text,
  OUT stored text, OUT restricted text, OUT full_reason text, OUT is_timed boolean, OUT reads_segments text[], OUT reads_columns text[])
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_compile_segment';

CREATE FUNCTION mfiauto._select_members(segment text, role text, query text, client_ids bigint[], zone text) RETURNS bigint[]
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_select_members';

-- Days are the institution's, whoever asks.
CREATE FUNCTION mfiauto._select_members(segment text, role text, query text, client_ids bigint[]) RETURNS bigint[]
LANGUAGE sql AS $$
  SELECT mfiauto._select_members(segment, role, query, client_ids, (SELECT i.time_zone FROM mfiauto.institution i))
$$;

-- The segment of a name, which must exist; the row lock keeps others from refreshing, altering and dropping it meanwhile.
CREATE FUNCTION mfiauto._lock_segment(segment text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  found_id integer;
BEGIN
  IF segment IS NULL THEN
    RAISE EXCEPTION 'segment must not be null' USING ERRCODE = '22004', HINT = 'Name the segment, as in ''good_payers''.';
  END IF;
  SELECT s.segment_id INTO found_id FROM mfiauto.segment_definition s WHERE s.name = segment FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'segment "%" does not exist', segment
      USING ERRCODE = '42704', HINT = 'SELECT name FROM mfiauto.segment; lists them.';
  END IF;
  RETURN found_id;
END $$;

-- Opens and closes stays, and tells of each as an event: of exactly those who really came or went. Hops are those of come || gone.
CREATE FUNCTION mfiauto._change_members(segment_id integer, segment text, come bigint[], gone bigint[], is_told boolean, hops integer[],
                                        OUT entered bigint, OUT departed bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  told bigint;
  client_ids bigint[];
  event_ids bigint[];
BEGIN
  WITH opened AS (
    INSERT INTO mfiauto.segment_membership (client_id, segment_id, since)
    SELECT DISTINCT c.client_id, _change_members.segment_id, clock FROM unnest(_change_members.come) AS c(client_id)
    ON CONFLICT (client_id, segment_id) WHERE until IS NULL DO NOTHING
    RETURNING client_id
  ), closed AS (
    UPDATE mfiauto.segment_membership m SET until = greatest(clock, m.since)
      FROM unnest(_change_members.gone) AS g(client_id)
     WHERE m.client_id = g.client_id AND m.segment_id = _change_members.segment_id AND m.until IS NULL
    RETURNING m.client_id
  ), hop AS (
    SELECT h.client_id, max(h.hops) AS hops
      FROM unnest(CASE WHEN _change_members.hops IS NOT NULL THEN _change_members.come || _change_members.gone END, _change_members.hops) AS h(client_id, hops)
     GROUP BY h.client_id
  ), event AS (
    INSERT INTO mfiauto.event_log (client_id, name, properties, hops, occurred_at, received_at)
    SELECT t.client_id, t.name, jsonb_build_object('segment', _change_members.segment), coalesce(h.hops, 0), clock, clock
      FROM (SELECT o.client_id, 'Segment Entered' AS name FROM opened o UNION ALL SELECT c.client_id, 'Segment Left' FROM closed c) t
      LEFT JOIN hop h ON h.client_id = t.client_id
     WHERE is_told
    RETURNING event_id, client_id
  )
  SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM closed),
         -- With hops it is the engine that does it, for a workflow or for the books: it leaves the events to itself.
         (SELECT CASE WHEN _change_members.hops IS NULL THEN count(mfiauto._journal_append(0, 'e', e.event_id, e.client_id)) END FROM event e),
         (SELECT CASE WHEN _change_members.hops IS NOT NULL THEN array_agg(e.client_id) END FROM event e),
         (SELECT CASE WHEN _change_members.hops IS NOT NULL THEN array_agg(e.event_id) END FROM event e)
    INTO entered, departed, told, client_ids, event_ids;
  IF event_ids IS NOT NULL THEN
    PERFORM mfiauto._note_events(client_ids, event_ids);
  END IF;
END $$;

-- Who is in a segment that is evaluated live, as its query says now.
CREATE FUNCTION mfiauto._read_segment(segment text) RETURNS TABLE (client_id bigint, since timestamptz)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  s record;
BEGIN
  SELECT d.* INTO s FROM mfiauto.segment_definition d WHERE d.name = segment AND d.query IS NOT NULL;
  IF FOUND THEN
    RETURN QUERY
      SELECT p.client_id, coalesce(m.since, mfiauto.now())
        FROM unnest(mfiauto._select_members(s.name, s.owner, s.query, NULL)) AS p(client_id)
        LEFT JOIN mfiauto.segment_membership m ON m.client_id = p.client_id AND m.segment_id = s.segment_id AND m.until IS NULL;
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._read_segment(text)', '{admin,author}',
  'Evaluates a segment''s query now, with its owner''s rights: what the view of a segment with real_time shows.');

-- (Re)makes a segment's view. What is read live goes through a function with a string body: nothing of the extension is pinned.
CREATE FUNCTION mfiauto._build_segment_view(segment_id integer) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  s record;
  reader text := format('mfiauto.%I()', '_segment_' || _build_segment_view.segment_id);
  query text := format('SELECT m.client_id, m.since FROM mfiauto.segment_membership m WHERE m.segment_id = %s AND m.until IS NULL', _build_segment_view.segment_id);
  grantee text;
BEGIN
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = _build_segment_view.segment_id;
  IF s.is_real_time THEN
    EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS TABLE (client_id bigint, since timestamptz) LANGUAGE sql STABLE AS %L',
                   reader, format('SELECT r.client_id, r.since FROM mfiauto.read_segment(%L) r', s.name));
    query := format('SELECT r.client_id, r.since FROM %s r', reader);
  END IF;
  EXECUTE format('CREATE OR REPLACE VIEW mfiauto_segment.%I AS %s', s.name, query);
  IF NOT s.is_real_time AND to_regprocedure(reader) IS NOT NULL THEN
    EXECUTE format('DROP FUNCTION %s', reader);
  END IF;
  EXECUTE format('COMMENT ON VIEW mfiauto_segment.%I IS %L', s.name, coalesce(s.description, 'Members of the segment, since when.'));
  FOR grantee IN SELECT DISTINCT g.role_name FROM mfiauto.access_grant g JOIN pg_roles r ON r.rolname = g.role_name WHERE g.profile IN ('admin', 'author') LOOP
    EXECUTE format('GRANT SELECT ON mfiauto_segment.%I TO %I', s.name, grantee);
  END LOOP;
END $$;

-- How deep each segment stands on others; a circle was refused before.
CREATE FUNCTION mfiauto._order_segments() RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  LOOP
    UPDATE mfiauto.segment_definition s SET depth = d.depth
      FROM (SELECT o.segment_id, (SELECT coalesce(max(r.depth) + 1, 0) FROM mfiauto.segment_definition r WHERE r.name = ANY (o.reads_segments)) AS depth
              FROM mfiauto.segment_definition o) d
     WHERE d.segment_id = s.segment_id AND d.depth <> s.depth;
    EXIT WHEN NOT FOUND;
  END LOOP;
END $$;

-- Compiles a query into a locked segment. Who reads a segment that is evaluated live cannot be kept by changes.
CREATE FUNCTION mfiauto._set_query(segment_id integer, query text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  s record;
  compiled record;
  live text;
  looped text;
BEGIN
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = _set_query.segment_id;
  SELECT * INTO compiled FROM mfiauto._compile_segment(s.name, s.owner, _set_query.query) c;
  -- They stay as they are until this transaction ends.
  PERFORM FROM mfiauto.segment_definition d WHERE d.name = ANY (compiled.reads_segments) AND d.segment_id <> s.segment_id ORDER BY d.segment_id FOR SHARE;
  SELECT r INTO looped FROM unnest(compiled.reads_segments) r WHERE r = s.name OR r IN (SELECT mfiauto._segments_above(s.name)) ORDER BY r LIMIT 1;
  IF looped IS NOT NULL THEN
    RAISE EXCEPTION 'segment "%" would depend on itself', s.name
      USING ERRCODE = '42P17', DETAIL = CASE WHEN looped = s.name THEN 'Its query reads it.' ELSE format('Its query reads "%s", which depends on it.', looped) END,
            HINT = 'Write out what is meant in place of the segment''s name.';
  END IF;
  SELECT d.name INTO live FROM mfiauto.segment_definition d WHERE d.name = ANY (compiled.reads_segments) AND d.is_real_time ORDER BY d.name LIMIT 1;
  UPDATE mfiauto.segment_definition d
     SET source = _set_query.query, query = compiled.stored, restricted_query = CASE WHEN live IS NULL THEN compiled.restricted END,
         full_reason = CASE WHEN live IS NULL THEN compiled.full_reason ELSE format('segment "%s", which it reads, is evaluated live', live) END,
         is_timed = compiled.is_timed, reads_segments = compiled.reads_segments, reads_columns = compiled.reads_columns
   WHERE d.segment_id = s.segment_id;
  PERFORM mfiauto._order_segments();
END $$;

CREATE FUNCTION mfiauto._validate_segment(name text, query text, clients bigint[], description text, refresh_every interval) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF name IS NULL OR name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
    RAISE EXCEPTION 'cannot name a segment "%"', left(name, 100)
      USING ERRCODE = '22023', DETAIL = 'A segment is a view: its name has 1 to 63 lower-case letters, digits and underscores, a letter first.',
            HINT = 'Choose a name such as good_payers.';
  ELSIF query IS NOT NULL AND clients IS NOT NULL THEN
    RAISE EXCEPTION 'segment "%" has both a query and a list of clients', name
      USING ERRCODE = '22023', HINT = 'Give query => ''SELECT …'' or clients => ARRAY[…].';
  ELSIF EXISTS (SELECT FROM unnest(clients) c WHERE c IS NULL) THEN
    RAISE EXCEPTION 'the list of clients of segment "%" holds a null', name USING ERRCODE = '22004', HINT = 'Leave it out.';
  ELSIF length(description) > 1000 THEN
    RAISE EXCEPTION 'description of segment "%" is longer than 1000 characters', name USING ERRCODE = '54000', HINT = 'Say it in a line.';
  ELSIF refresh_every < interval '0' OR refresh_every > interval '1 year' THEN
    RAISE EXCEPTION 'refresh_every of segment "%" must be between 0 and a year', name USING ERRCODE = '22023', HINT = 'Give a time such as ''15 minutes''; 0 is the default again.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._refuse_static(segment text, argument text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% does not go with segment "%", which is a list', argument, segment
    USING ERRCODE = '22023', DETAIL = 'A list is what it is; only a query has to be evaluated.', HINT = 'Leave it out, or give a query.';
END $$;

CREATE FUNCTION mfiauto._create_segment(name text, query text DEFAULT NULL, clients bigint[] DEFAULT NULL, description text DEFAULT NULL,
                                        real_time boolean DEFAULT false, refresh_every interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  s record;
BEGIN
  PERFORM mfiauto._validate_segment(_create_segment.name, _create_segment.query, _create_segment.clients, _create_segment.description, _create_segment.refresh_every);
  IF _create_segment.query IS NULL AND (_create_segment.real_time OR _create_segment.refresh_every > interval '0') THEN
    PERFORM mfiauto._refuse_static(_create_segment.name, CASE WHEN _create_segment.real_time THEN 'real_time' ELSE 'refresh_every' END);
  END IF;
  -- While it is being made, the engine keeps for it whom it looks at: see _refresh_segments_of().
  PERFORM pg_advisory_xact_lock_shared(hashtext('mfiauto segments'));
  INSERT INTO mfiauto.segment_definition (name, description, refreshed_at, tried_at, owner, created_at)
  VALUES (_create_segment.name, _create_segment.description, clock, clock, mfiauto._caller(), clock)
  ON CONFLICT (name) DO NOTHING
  RETURNING * INTO s;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'segment "%" already exists', _create_segment.name
      USING ERRCODE = '42710', HINT = format('Use mfiauto.alter_segment(%L, …) to change it.', _create_segment.name);
  END IF;
  IF _create_segment.query IS NOT NULL THEN
    PERFORM mfiauto._set_query(s.segment_id, _create_segment.query);
    UPDATE mfiauto.segment_definition d SET is_real_time = coalesce(_create_segment.real_time, false), refresh_every = nullif(_create_segment.refresh_every, interval '0')
     WHERE d.segment_id = s.segment_id
    RETURNING * INTO s;
  END IF;
  PERFORM mfiauto._build_segment_view(s.segment_id);
  -- Who is in from the beginning did not enter: nothing is told.
  RETURN (SELECT c.entered FROM mfiauto._change_members(s.segment_id, s.name,
    CASE WHEN s.query IS NULL THEN coalesce(_create_segment.clients, '{}') ELSE mfiauto._select_members(s.name, s.owner, s.query, NULL) END, '{}', false, NULL) c);
END $$;
SELECT mfiauto._open_door('mfiauto._create_segment(text, text, bigint[], text, boolean, interval)', '{admin,author}',
  'Makes a segment from a query that gives client_id, or of a list of clients (of nobody yet where neither is given); returns how many are in it. It is the view mfiauto_segment.<name>. '
  'The query runs with its creator''s rights. real_time: the view evaluates the query when it is read.');

-- The segments that stand on a segment, itself left out.
CREATE FUNCTION mfiauto._segments_above(segment text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE above AS (
    SELECT s.name FROM mfiauto.segment_definition s WHERE segment = ANY (s.reads_segments)
    UNION
    SELECT s.name FROM above a JOIN mfiauto.segment_definition s ON a.name = ANY (s.reads_segments)
  )
  SELECT a.name FROM above a
$$;

CREATE FUNCTION mfiauto._alter_segment(name text, query text DEFAULT NULL, clients bigint[] DEFAULT NULL, description text DEFAULT NULL,
                                       real_time boolean DEFAULT NULL, refresh_every interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  id integer := mfiauto._lock_segment(_alter_segment.name);
  s record;
BEGIN
  PERFORM mfiauto._validate_segment(_alter_segment.name, _alter_segment.query, _alter_segment.clients, _alter_segment.description, _alter_segment.refresh_every);
  SELECT d.* INTO STRICT s FROM mfiauto.segment_definition d WHERE d.segment_id = id;
  IF s.query IS NULL AND (_alter_segment.query IS NOT NULL OR _alter_segment.real_time OR _alter_segment.refresh_every > interval '0') THEN
    PERFORM mfiauto._refuse_static(s.name, CASE WHEN _alter_segment.query IS NOT NULL THEN 'query' WHEN _alter_segment.real_time THEN 'real_time' ELSE 'refresh_every' END);
  ELSIF s.query IS NOT NULL AND _alter_segment.clients IS NOT NULL THEN
    RAISE EXCEPTION 'segment "%" is made by its query', s.name USING ERRCODE = '22023', HINT = 'Give another query, or make another segment from a list.';
  END IF;
  UPDATE mfiauto.segment_definition d
     SET description = coalesce(_alter_segment.description, d.description), is_real_time = coalesce(_alter_segment.real_time, d.is_real_time),
         refresh_every = nullif(coalesce(_alter_segment.refresh_every, d.refresh_every), interval '0'),
         owner = CASE WHEN _alter_segment.query IS NULL THEN d.owner ELSE mfiauto._caller() END
   WHERE d.segment_id = id;
  PERFORM mfiauto._build_segment_view(id);
  IF _alter_segment.real_time THEN
    UPDATE mfiauto.segment_definition d SET restricted_query = NULL, full_reason = format('segment "%s", which it reads, is evaluated live', s.name)
     WHERE s.name = ANY (d.reads_segments);
  END IF;
  IF _alter_segment.query IS NOT NULL THEN
    PERFORM mfiauto._set_query(id, _alter_segment.query);
    PERFORM mfiauto._refresh_locked(id);
  ELSIF _alter_segment.clients IS NOT NULL THEN
    PERFORM mfiauto._set_members(id, s.name, _alter_segment.clients);
  END IF;
  RETURN (SELECT count(*) FROM mfiauto.segment_membership m WHERE m.segment_id = id AND m.until IS NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._alter_segment(text, text, bigint[], text, boolean, interval)', '{admin,author}',
  'Changes what is given of a segment; returns how many are in it. Who comes in or falls out by a new query or list enters and leaves, as with a refresh. A new query runs with the caller''s rights.');

-- What uses a segment: other segments, traits, and workflows by their live and newest versions and by those that still run.
CREATE FUNCTION mfiauto._segment_users(segment text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT format('segment "%s"', s.name) FROM mfiauto.segment_definition s WHERE segment = ANY (s.reads_segments)
  UNION
  SELECT format('workflow "%s"', h.name)
    FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
   WHERE (v.trigger_segment = segment
          OR EXISTS (SELECT FROM mfiauto.workflow_step t WHERE t.workflow_id = v.workflow_id AND t.version = v.version AND t.segment = _segment_users.segment))
     AND (h.state <> 'archived' AND (v.version = h.live_version OR v.version = (SELECT max(n.version) FROM mfiauto.workflow_version n WHERE n.workflow_id = h.workflow_id))
          OR EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.workflow_id = v.workflow_id AND e.version = v.version AND e.ended_at IS NULL))
  UNION
  SELECT format('trait "%s"', t.name) FROM mfiauto.trait_definition t WHERE t.query ~ ('\mmfiauto_segment\.' || segment || '\M')
   ORDER BY 1
$$;

CREATE FUNCTION mfiauto._drop_segment(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  id integer := mfiauto._lock_segment(_drop_segment.name);
  reader text := format('mfiauto.%I()', '_segment_' || id);
  users text := (SELECT string_agg(u, ', ') FROM mfiauto._segment_users(_drop_segment.name) u);
BEGIN
  IF users IS NOT NULL THEN
    RAISE EXCEPTION 'cannot drop segment "%" because it is in use', _drop_segment.name
      USING ERRCODE = '2BP01', DETAIL = format('It is used by %s.', users), HINT = 'Alter, drop or archive those first.';
  END IF;
  EXECUTE format('DROP VIEW mfiauto_segment.%I', _drop_segment.name);
  IF to_regprocedure(reader) IS NOT NULL THEN
    EXECUTE format('DROP FUNCTION %s', reader);
  END IF;
  DELETE FROM mfiauto.segment_membership m WHERE m.segment_id = id;
  DELETE FROM mfiauto.segment_pending p WHERE p.segment_id = id;
  DELETE FROM mfiauto.segment_definition d WHERE d.segment_id = id;
  DELETE FROM mfiauto.job_progress p WHERE p.job = 'refresh_segment' AND p.target = _drop_segment.name;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_segment(text)', '{admin,author}',
  'Drops a segment, its view and its history; refused while another segment or a workflow uses it. Tells no events.');

-- ---- Lists ----

CREATE FUNCTION mfiauto._require_list(segment text, client_ids bigint[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  found_one record;
BEGIN
  SELECT s.segment_id, s.query IS NULL AS is_list INTO found_one FROM mfiauto.segment_definition s WHERE s.name = segment FOR KEY SHARE;
  IF found_one.segment_id IS NULL THEN
    PERFORM mfiauto._lock_segment(segment);
  ELSIF NOT found_one.is_list THEN
    RAISE EXCEPTION 'segment "%" is made by its query', segment
      USING ERRCODE = '55000', HINT = 'Only the members of a list can be added and removed: see mfiauto.create_segment(name, clients => …).';
  ELSIF client_ids IS NULL OR EXISTS (SELECT FROM unnest(client_ids) c WHERE c IS NULL) THEN
    RAISE EXCEPTION 'client_ids must not be null and hold no nulls' USING ERRCODE = '22004', HINT = 'Give client_ids => ARRAY[…].';
  END IF;
  RETURN found_one.segment_id;
END $$;

-- With the hops of the events, one a client, where a workflow adds and removes them.
CREATE FUNCTION mfiauto._add_to_segment(segment text, client_ids bigint[], hops integer[]) RETURNS bigint
LANGUAGE sql AS $$
  SELECT c.entered FROM mfiauto._change_members(mfiauto._require_list(segment, client_ids), segment, client_ids, '{}', true, hops) c
$$;

CREATE FUNCTION mfiauto._remove_from_segment(segment text, client_ids bigint[], hops integer[]) RETURNS bigint
LANGUAGE sql AS $$
  SELECT c.departed FROM mfiauto._change_members(mfiauto._require_list(segment, client_ids), segment, '{}', client_ids, true, hops) c
$$;

CREATE FUNCTION mfiauto._add_to_segment(segment text, client_ids bigint[]) RETURNS bigint
LANGUAGE sql AS $$ SELECT mfiauto._add_to_segment(segment, client_ids, NULL) $$;
SELECT mfiauto._open_door('mfiauto._add_to_segment(text, bigint[])', '{admin,author}',
  'Puts clients into a segment that is a list; who was not in it enters. Returns how many entered.');

CREATE FUNCTION mfiauto._remove_from_segment(segment text, client_ids bigint[]) RETURNS bigint
LANGUAGE sql AS $$ SELECT mfiauto._remove_from_segment(segment, client_ids, NULL) $$;
SELECT mfiauto._open_door('mfiauto._remove_from_segment(text, bigint[])', '{admin,author}',
  'Takes clients out of a segment that is a list; who was in it leaves. Returns how many left.');
