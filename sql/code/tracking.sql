-- The tracking API: identify, track, page, screen, group, alias and batch, as the Segment specification has them.

-- The digest is compared under a fresh salt, so that the time it takes tells nothing about the one that is stored.
CREATE FUNCTION mfiauto._find_write_key(write_key text) RETURNS text
LANGUAGE sql VOLATILE AS $$
  SELECT k.name
    FROM mfiauto.write_key k, (SELECT pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) AS salt OFFSET 0) s
   WHERE sha256(s.salt || k.key_digest) = sha256(s.salt || sha256(convert_to(write_key, 'UTF8')))
$$;

CREATE FUNCTION mfiauto._create_write_key(name text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  write_key text := 'mfi_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
BEGIN
  IF name IS NULL OR name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
    RAISE EXCEPTION 'name "%" of a write key is not valid', coalesce(name, 'null') USING ERRCODE = '22023', HINT = 'Use lower-case letters, digits and "_", a letter first.';
  END IF;
  INSERT INTO mfiauto.write_key (name, key_digest, created_at, created_by)
  VALUES (_create_write_key.name, sha256(convert_to(write_key, 'UTF8')), mfiauto.now(), mfiauto._caller()) ON CONFLICT ON CONSTRAINT write_key_pkey DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'write key "%" already exists', name USING ERRCODE = '42710', HINT = 'Drop it with mfiauto.drop_write_key(), or give the new one another name and drop the old one when nobody uses it.';
  END IF;
  RETURN write_key;
END $$;
SELECT mfiauto._open_door('mfiauto._create_write_key(text)', '{admin}',
  'Makes a write key for a source of the tracking API, an app or a website, and returns it: this once, only its SHA-256 is kept.');

CREATE FUNCTION mfiauto._drop_write_key(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.write_key k WHERE k.name = _drop_write_key.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'write key "%" does not exist', coalesce(name, 'null') USING ERRCODE = '42704', HINT = 'See SELECT name, created_at FROM mfiauto.write_key;';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_write_key(text)', '{admin}', 'Takes a source of the tracking API its write key; what it sent stays.');

-- A time as programs write it (ISO 8601; without a zone: UTC), null if it is none.
CREATE FUNCTION mfiauto._read_iso_time(given text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF given ~ '^20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?$' THEN
    RETURN (given || 'Z')::timestamptz;
  ELSIF given ~ '^20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)$' THEN
    RETURN given::timestamptz;
  END IF;
  RETURN NULL;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;

-- When a request came. The front says so itself where it had to keep the request on disk; it takes that header from nobody else.
CREATE FUNCTION mfiauto._received_at(headers jsonb) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT coalesce(least(mfiauto._read_iso_time(headers ->> 'mfiauto-received-at'), mfiauto.now()), mfiauto.now())
$$;

-- Events that only the books, the engine and delivery may tell of: a write key lies in every copy of an app.
CREATE FUNCTION mfiauto._reserved_events() RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT '{Client Created,Client Activated,Client Closed,Lead Created,Loan Applied,Loan Approved,Loan Rejected,Loan Disbursed,Loan Closed,Loan Written Off,
                       Installment Scheduled,Installment Rescheduled,Payment Received,Payment Reversed,Holding Opened,Holding Closed,Message Received,Missed Call Received,Call Received,Conversation Handed Over,
                       Client Status Changed,Application Status Changed,Loan Status Changed,Holding Status Changed,Segment Entered,Segment Left,Threshold Crossed,Task Completed,
                       Email Opened,Link Clicked,Message Read,Call Answered,Call Heard,Digits Pressed,Message Replied,Unsubscribed,Complaint Received,Opt In Requested,Opt In Confirmed}'::text[]
      || ARRAY(SELECT s.name FROM mfiauto.source s WHERE s.kind = 'watch')
$$;

-- Whether something here tells of an event of that name: the books, the engine, delivery, a keyword, a digit of a call, a workflow's step.
CREATE FUNCTION mfiauto._is_event_told(name text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT _is_event_told.name = ANY (mfiauto._reserved_events())
      OR EXISTS (SELECT FROM mfiauto.keyword_config k WHERE k.event = _is_event_told.name)
      OR EXISTS (SELECT FROM mfiauto.template_version t, LATERAL jsonb_each_text(t.options -> 'digits') d WHERE t.is_live AND t.channel = 'voice' AND d.value = _is_event_told.name)
      OR EXISTS (SELECT FROM mfiauto.workflow_step s WHERE s.event_name = _is_event_told.name)
$$;

-- The clients that users' ids stand for: the key of the books where they have one, else the number; only those who are in the books.
CREATE FUNCTION mfiauto._find_users(user_ids text[]) RETURNS TABLE (user_id text, client_id bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  is_keyed boolean := (SELECT b.columns ? 'client_key' FROM mfiauto.binding_config b WHERE b.role = 'client');
  missing bigint[];
BEGIN
  IF is_keyed THEN
    RETURN QUERY
      SELECT u.user_id, i.client_id FROM unnest(user_ids) AS u(user_id), LATERAL (SELECT d.client_id FROM mfiauto.identity d WHERE d.client_key = u.user_id OFFSET 0) i;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT u.user_id, s.client_id FROM unnest(user_ids) AS u(user_id),
           LATERAL (SELECT t.subject_id AS client_id FROM mfiauto.subject_state t
                     WHERE t.role = 'client' AND t.subject_id = CASE WHEN u.user_id ~ '^[1-9][0-9]{0,17}$' THEN u.user_id::bigint END OFFSET 0) s;
  -- Those whom the books have known for no longer than a pass of the engine takes.
  IF is_keyed IS NOT NULL THEN
    missing := ARRAY(SELECT u.user_id::bigint FROM unnest(user_ids) AS u(user_id)
                      WHERE u.user_id ~ '^[1-9][0-9]{0,17}$'
                        AND NOT EXISTS (SELECT FROM mfiauto.subject_state t
                                         WHERE t.role = 'client' AND t.subject_id = CASE WHEN u.user_id ~ '^[1-9][0-9]{0,17}$' THEN u.user_id::bigint END));
    IF missing <> '{}' THEN
      RETURN QUERY EXECUTE
        'SELECT m.id::text, c.client_id FROM unnest($1) AS m(id), LATERAL (SELECT k.client_id FROM mfiauto.client k WHERE k.client_id = m.id LIMIT 1) c' USING missing;
    END IF;
  END IF;
END $$;

-- One message, read: whose it is, what it says, when that was, and why it is not taken.
CREATE TYPE mfiauto._tracking_message AS (n integer, call text, digest uuid, client_id bigint, anonymous_id text, name text, content jsonb, at timestamptz, error text);

CREATE FUNCTION mfiauto._read_tracking(source text, call text, messages jsonb, sent_at timestamptz, received_at timestamptz, request_id text)
RETURNS SETOF mfiauto._tracking_message
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  users jsonb;
  reserved text[] := mfiauto._reserved_events();
BEGIN
  SELECT jsonb_object_agg(f.user_id, f.client_id) INTO users
    FROM mfiauto._find_users(ARRAY(SELECT DISTINCT left(m.value ->> 'userId', 250) FROM jsonb_array_elements(messages) m WHERE m.value ->> 'userId' <> '')) f;
  RETURN QUERY
    WITH given AS (
      SELECT e.n::integer, e.v, coalesce(call, e.v ->> 'type') AS call, e.v -> 'userId' AS user_id, e.v -> 'anonymousId' AS anonymous_id,
             coalesce(e.v -> 'properties', '{}') AS properties, coalesce(e.v -> 'traits', '{}') AS traits,
             coalesce(nullif(e.v ->> 'messageId', ''), request_id || '/' || e.n) AS message_id,
             (users ->> left(e.v ->> 'userId', 250))::bigint AS client_id
        FROM jsonb_array_elements(messages) WITH ORDINALITY AS e(v, n)
    ), timed AS (
      SELECT g.*, mfiauto._read_iso_time(g.v ->> 'timestamp') AS told_at, coalesce(sent_at, mfiauto._read_iso_time(g.v ->> 'sentAt')) AS sent_at,
             CASE g.call WHEN 'track' THEN g.v ->> 'event' WHEN 'page' THEN 'Page Viewed' WHEN 'screen' THEN 'Screen Viewed' WHEN 'group' THEN 'Group Joined' END AS name,
             row_number() OVER (PARTITION BY g.message_id ORDER BY g.n) AS turn
        FROM given g
    )
    SELECT t.n, t.call, substr(encode(sha256(convert_to(source || '/' || t.message_id, 'UTF8')), 'hex'), 1, 32)::uuid, t.client_id,
           CASE WHEN t.call = 'alias' THEN t.v ->> 'previousId' ELSE t.v ->> 'anonymousId' END, t.name,
           jsonb_strip_nulls(CASE t.call WHEN 'page' THEN jsonb_build_object('name', t.v -> 'name', 'category', t.v -> 'category')
                                         WHEN 'screen' THEN jsonb_build_object('name', t.v -> 'name', 'category', t.v -> 'category')
                                         WHEN 'group' THEN jsonb_build_object('groupId', t.v -> 'groupId', 'traits', t.traits) ELSE '{}' END
             || CASE WHEN t.call NOT IN ('identify', 'alias') THEN jsonb_build_object('campaign', t.v #> '{context,campaign}') ELSE '{}' END)
             || CASE WHEN t.call = 'identify' THEN t.traits WHEN t.call <> 'group' AND jsonb_typeof(t.properties) = 'object' THEN t.properties ELSE '{}' END,
           -- A device's clock may be wrong, but it is wrong in the same way when it sends: timestamp and sentAt tell how long ago it was.
           least(received_at - CASE WHEN t.sent_at >= t.told_at THEN t.sent_at - t.told_at WHEN t.sent_at IS NULL THEN received_at - coalesce(t.told_at, received_at) ELSE interval '0' END, received_at),
           CASE WHEN jsonb_typeof(t.v) <> 'object' THEN 'message_not_an_object'
                WHEN octet_length(t.v::text) > 32768 THEN 'message_too_large'
                WHEN t.call IS NULL OR t.call NOT IN ('identify', 'track', 'page', 'screen', 'group', 'alias') THEN 'type_not_known'
                WHEN length(t.message_id) > 255 OR jsonb_typeof(t.v -> 'messageId') NOT IN ('string', 'null') THEN 'message_id_not_valid'
                WHEN jsonb_typeof(t.user_id) NOT IN ('string', 'number', 'null') OR length(t.v ->> 'userId') > 250 THEN 'user_id_not_valid'
                WHEN jsonb_typeof(t.anonymous_id) NOT IN ('string', 'null') OR length(t.v ->> 'anonymousId') > 250 THEN 'anonymous_id_not_valid'
                WHEN coalesce(t.v ->> 'userId', '') = '' AND coalesce(t.v ->> 'anonymousId', '') = '' THEN 'user_missing'
                WHEN coalesce(t.v ->> 'userId', '') <> '' AND t.client_id IS NULL THEN 'user_not_known'
                WHEN jsonb_typeof(t.properties) <> 'object' THEN 'properties_not_an_object'
                WHEN jsonb_typeof(t.traits) <> 'object' THEN 'traits_not_an_object'
                WHEN t.call = 'identify' AND t.traits ?| '{country,messenger,telegram}' THEN 'trait_reserved'
                WHEN t.v ->> 'timestamp' IS NOT NULL AND t.told_at IS NULL THEN 'timestamp_not_valid'
                WHEN t.call = 'track' AND (t.name IS NULL OR length(t.name) NOT BETWEEN 1 AND 200) THEN 'event_name_not_valid'
                WHEN t.call = 'track' AND t.name = ANY (reserved) THEN 'event_reserved'
                WHEN t.call = 'group' AND coalesce(t.v ->> 'groupId', '') = '' THEN 'group_id_missing'
                WHEN t.call = 'alias' AND (jsonb_typeof(t.v -> 'previousId') IS DISTINCT FROM 'string' OR length(t.v ->> 'previousId') NOT BETWEEN 1 AND 250) THEN 'previous_id_not_valid'
                WHEN t.turn > 1 THEN 'duplicate' END
      FROM timed t;
END $$;

-- Gives clients traits, each as the last message has it; returns the clients whose traits would have become too large.
CREATE FUNCTION mfiauto._take_traits(messages mfiauto._tracking_message[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  too_large bigint[];
BEGIN
  WITH given AS (
    SELECT m.client_id, jsonb_object_agg(t.key, t.value ORDER BY m.at, m.n) AS traits
      FROM unnest(messages) m, jsonb_each(m.content) t GROUP BY m.client_id
  ), kept AS (
    INSERT INTO mfiauto.client_trait AS k (client_id, traits, updated_at)
    SELECT g.client_id, g.traits, mfiauto.now() FROM (SELECT v.client_id, jsonb_strip_nulls(v.traits) AS traits FROM given v) g
     WHERE pg_column_size(g.traits) <= 65536 ORDER BY g.client_id
    ON CONFLICT ON CONSTRAINT client_trait_pkey DO UPDATE
       SET updated_at = excluded.updated_at,
           traits = (k.traits || excluded.traits) - (SELECT coalesce(array_agg(n.key), '{}') FROM given g, jsonb_each(g.traits) n WHERE g.client_id = k.client_id AND n.value = 'null')
     WHERE pg_column_size(k.traits || excluded.traits) <= 65536
    RETURNING client_id, mfiauto._journal_append(-mfiauto._role_number('client'), 'r', client_id, client_id)
  )
  SELECT ARRAY(SELECT g.client_id FROM given g EXCEPT SELECT k.client_id FROM kept k) INTO too_large;
  RETURN too_large;
END $$;

-- Writes events down and tells the engine of them.
CREATE FUNCTION mfiauto._take_events(messages mfiauto._tracking_message[]) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  made_count bigint;
BEGIN
  WITH made AS (
    INSERT INTO mfiauto.event_log AS e (client_id, name, properties, occurred_at, received_at)
    SELECT m.client_id, m.name, m.content, m.at, mfiauto.now() FROM unnest(messages) m
     WHERE NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = m.client_id) ORDER BY m.at, m.n
    RETURNING e.event_id, e.client_id
  )
  SELECT count(mfiauto._journal_append(0, 'e', d.event_id, d.client_id)) INTO made_count FROM made d;
  RETURN made_count;
END $$;

-- What somebody did before he said who he is, is his.
CREATE FUNCTION mfiauto._take_visitors(messages mfiauto._tracking_message[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  events mfiauto._tracking_message[];
BEGIN
  WITH named AS (
    SELECT DISTINCT ON (m.anonymous_id) m.anonymous_id, m.client_id FROM unnest(messages) m
     WHERE m.call IN ('identify', 'alias') AND m.client_id IS NOT NULL AND m.anonymous_id <> '' ORDER BY m.anonymous_id, m.at DESC, m.n DESC
  ), done AS (
    DELETE FROM mfiauto.anonymous_event a USING named d WHERE a.anonymous_id = d.anonymous_id
    RETURNING a.anonymous_event_id, d.client_id, a.name, a.properties, a.occurred_at
  )
  SELECT array_agg(ROW(o.turn, NULL, NULL, o.client_id, NULL, o.name, o.properties, o.occurred_at, NULL)::mfiauto._tracking_message) INTO events
    FROM (SELECT d.*, (row_number() OVER (ORDER BY d.anonymous_event_id))::integer AS turn FROM done d) o;
  IF events IS NOT NULL THEN
    PERFORM mfiauto._take_events(events);
  END IF;
END $$;

-- What is older than seven days goes as new rows come, a few at a time: no job is needed, and nobody waits.
CREATE FUNCTION mfiauto._forget_tracking(row_count integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.tracking_message t
   WHERE t.message_digest = ANY (ARRAY(SELECT o.message_digest FROM mfiauto.tracking_message o WHERE o.received_at < mfiauto.now() - interval '7 days'
                                        ORDER BY o.received_at LIMIT row_count FOR UPDATE SKIP LOCKED));
  DELETE FROM mfiauto.anonymous_event a
   WHERE a.anonymous_event_id = ANY (ARRAY(SELECT o.anonymous_event_id FROM mfiauto.anonymous_event o WHERE o.received_at < mfiauto.now() - interval '7 days'
                                            ORDER BY o.received_at LIMIT row_count FOR UPDATE SKIP LOCKED));
END $$;

-- Takes messages, all of them in a handful of statements. Returns those that were not taken, each with the reason.
CREATE FUNCTION mfiauto._take_tracking(source text, call text, messages jsonb, sent_at timestamptz, received_at timestamptz, request_id text)
RETURNS TABLE (n integer, error text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  read mfiauto._tracking_message[] := ARRAY(SELECT m FROM mfiauto._read_tracking(source, call, messages, sent_at, received_at, request_id) m);
  fresh mfiauto._tracking_message[];
  too_large bigint[];
  calls text[];
  has_visitor boolean;
BEGIN
  WITH new AS (
    INSERT INTO mfiauto.tracking_message AS t (message_digest, received_at)
    SELECT m.digest, mfiauto.now() FROM unnest(read) m WHERE m.error IS NULL ORDER BY m.digest
    ON CONFLICT ON CONSTRAINT tracking_message_pkey DO NOTHING RETURNING t.message_digest
  )
  SELECT coalesce(array_agg(m), '{}') INTO fresh FROM unnest(read) m JOIN new ON new.message_digest = m.digest WHERE m.error IS NULL;
  SELECT coalesce(array_agg(m.call), '{}'), bool_or(m.client_id IS NULL) INTO calls, has_visitor FROM unnest(fresh) m;
  IF 'identify' = ANY (calls) THEN
    too_large := mfiauto._take_traits(ARRAY(SELECT m FROM unnest(fresh) m WHERE m.call = 'identify' AND m.client_id IS NOT NULL));
  END IF;
  IF calls && '{track,page,screen,group}' THEN
    PERFORM mfiauto._take_events(ARRAY(SELECT m FROM unnest(fresh) m WHERE m.name IS NOT NULL AND m.client_id IS NOT NULL));
  END IF;
  IF has_visitor THEN
    INSERT INTO mfiauto.anonymous_event (anonymous_id, name, properties, occurred_at, received_at)
    SELECT m.anonymous_id, m.name, m.content, m.at, mfiauto.now() FROM unnest(fresh) m WHERE m.name IS NOT NULL AND m.client_id IS NULL ORDER BY m.at, m.n;
  END IF;
  IF calls && '{identify,alias}' THEN
    PERFORM mfiauto._take_visitors(fresh);
  END IF;
  PERFORM mfiauto._forget_tracking(2 * cardinality(fresh) + 10);
  RETURN QUERY
    SELECT m.n, coalesce(m.error, CASE WHEN m.client_id = ANY (too_large) AND m.call = 'identify' THEN 'traits_too_large' ELSE 'duplicate' END)
      FROM unnest(read) m LEFT JOIN unnest(fresh) f ON f.n = m.n
     WHERE m.error IS NOT NULL OR f.n IS NULL OR m.call = 'identify' AND m.client_id = ANY (too_large) ORDER BY m.n;
END $$;

-- The answer that the tracking API gives: {"success": …} and what was not taken.
CREATE FUNCTION mfiauto._tracking_answer(status integer, content jsonb) RETURNS mfiauto._response
LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(status, jsonb_strip_nulls(jsonb_build_object('content-type', 'application/json', 'access-control-allow-origin', '*',
                                                          'www-authenticate', CASE WHEN status = 401 THEN 'Basic realm="mfiauto"' END)),
             convert_to(content::text, 'UTF8'))::mfiauto._response
$$;

-- The write key is the user of basic authentication, without a password.
CREATE FUNCTION mfiauto._read_basic_user(headers jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN split_part(convert_from(decode(substring(left(headers ->> 'authorization', 500) FROM '^[Bb]asic +([A-Za-z0-9+/]+={0,2})$'), 'base64'), 'UTF8'), ':', 1);
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;

CREATE FUNCTION mfiauto._serve_tracking(call text, method text, headers jsonb, body bytea) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  source text;
  content jsonb;
  refused jsonb;
  message_count integer;
BEGIN
  IF method = 'OPTIONS' THEN
    RETURN ROW(204, jsonb_build_object('access-control-allow-origin', '*', 'access-control-allow-methods', 'POST, OPTIONS',
                                       'access-control-allow-headers', 'authorization, content-type', 'access-control-max-age', '86400'), NULL)::mfiauto._response;
  ELSIF method <> 'POST' THEN
    RETURN ROW(405, jsonb_build_object('allow', 'POST, OPTIONS'), NULL)::mfiauto._response;
  END IF;
  source := mfiauto._find_write_key(mfiauto._read_basic_user(headers));
  IF source IS NULL THEN
    RETURN mfiauto._tracking_answer(401, '{"success": false, "error": "write_key_not_valid"}');
  ELSIF octet_length(body) > (CASE WHEN call = 'batch' THEN 512000 ELSE 32768 END) THEN
    RETURN mfiauto._tracking_answer(413, '{"success": false, "error": "body_too_large"}');
  ELSIF coalesce(headers ->> 'content-encoding', 'identity') <> 'identity' THEN
    RETURN mfiauto._tracking_answer(415, '{"success": false, "error": "encoding_not_supported"}');
  END IF;
  BEGIN
    content := convert_from(body, 'UTF8')::jsonb;
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    NULL;
  END;
  IF jsonb_typeof(content) IS DISTINCT FROM 'object' OR call = 'batch' AND jsonb_typeof(content -> 'batch') IS DISTINCT FROM 'array' THEN
    RETURN mfiauto._tracking_answer(400, '{"success": false, "error": "body_not_valid"}');
  END IF;
  -- Each is at least a few hundred bytes where a program wrote it: more of them are sent to make us work.
  IF call = 'batch' AND jsonb_array_length(content -> 'batch') > 2500 THEN
    RETURN mfiauto._tracking_answer(413, '{"success": false, "error": "batch_too_long"}');
  END IF;
  SELECT coalesce(jsonb_agg(jsonb_build_object('index', t.n - 1, 'error', t.error) ORDER BY t.n), '[]') INTO refused
    FROM mfiauto._take_tracking(source, nullif(call, 'batch'), CASE WHEN call = 'batch' THEN content -> 'batch' ELSE jsonb_build_array(content) END,
                                mfiauto._read_iso_time(content ->> 'sentAt'), mfiauto._received_at(headers),
                                coalesce(headers ->> 'mfiauto-request-id', gen_random_uuid()::text)) t;
  IF call = 'batch' THEN
    message_count := jsonb_array_length(content -> 'batch');
    RETURN mfiauto._tracking_answer(200, jsonb_build_object('success', true, 'accepted', message_count - jsonb_array_length(refused), 'refused', refused));
  ELSIF refused = '[]' OR refused #>> '{0,error}' = 'duplicate' THEN
    RETURN mfiauto._tracking_answer(200, '{"success": true}');
  END IF;
  RETURN mfiauto._tracking_answer(400, jsonb_build_object('success', false, 'error', refused #> '{0,error}'));
END $$;
