-- Conversations: what templates answer, what a person answers, and who has the word.

-- A row of inbound_log before it is written.
CREATE TYPE mfiauto._inbound AS (
  client_id bigint, inbound_id bigint, gateway text, channel text, kind text, from_address text, to_address text, body text, provider_id text, digest text,
  action text, keyword text, intent text, reply_to bigint, answer_id bigint, detail jsonb, sent_at timestamptz, received_at timestamptz);

-- The language that a client is written to in.
CREATE FUNCTION mfiauto._client_locale(client_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  locale text;
BEGIN
  IF client_id <> 0 AND to_regclass('mfiauto.client') IS NOT NULL THEN
    EXECUTE 'SELECT mfiauto._normalize_locale(c.locale) FROM mfiauto.client c WHERE c.client_id = $1' INTO locale USING client_id;
  END IF;
  RETURN coalesce(locale, (SELECT i.locale FROM mfiauto.institution i));
END $$;

-- Puts an answer into the ledger and the queue. Whoever has just written is answered: the class is transactional, whatever the template's.
CREATE FUNCTION mfiauto._queue_answer(client_id bigint, channel text, address text, locale text, template_id bigint, title text, body text, html text,
  options jsonb, encoding text, parts smallint, key uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  number bigint := nextval('mfiauto.message_id_seq');
  ends_at timestamptz := mfiauto.now() + interval '24 hours';
BEGIN
  INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, subject, subject_id, template_id, parts, state, class, channel, next_channels, locale,
                                      to_address, title, body, html, options, encoding, idempotency_key)
  VALUES (_queue_answer.client_id, number, mfiauto.now(), mfiauto.now(), ends_at, 'client', _queue_answer.client_id, _queue_answer.template_id, _queue_answer.parts, 'queued',
          'transactional', _queue_answer.channel, '{}', _queue_answer.locale, _queue_answer.address, mfiauto._sign_links(number, _queue_answer.title), mfiauto._sign_links(number, _queue_answer.body),
          mfiauto._finish_html(number, _queue_answer.channel, _queue_answer.html), mfiauto._sign_links(number, _queue_answer.options::text)::jsonb, _queue_answer.encoding, coalesce(_queue_answer.key, gen_random_uuid()));
  INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
  SELECT _queue_answer.client_id, number, mfiauto.now(), _queue_answer.channel, c.priority, mfiauto.now(), ends_at FROM mfiauto.message_class c WHERE c.class = 'transactional';
  PERFORM mfiauto._wake_delivery();
  RETURN number;
END $$;

-- Answers with a template on the channel and to the address that was written from; null if it has no text there. Whatever is wrong with the text or the client's data, what
-- came in is kept.
CREATE FUNCTION mfiauto._answer_with(template text, client_id bigint, channel text, address text, locale text) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  made record;
BEGIN
  SELECT m.* INTO made
    FROM mfiauto._context(ARRAY[_answer_with.client_id], 'client', ARRAY[_answer_with.client_id], NULL, mfiauto._template_needs(ARRAY[_answer_with.template])) x
    CROSS JOIN LATERAL mfiauto._compose(_answer_with.template, ARRAY[_answer_with.channel], 'transactional', coalesce(_answer_with.locale, x.locale), x.context,
      CASE WHEN _answer_with.channel IN ('sms', 'voice', 'whatsapp') THEN _answer_with.address ELSE x.phone END,
      CASE WHEN _answer_with.channel = 'email' THEN _answer_with.address ELSE x.email END, x.push_token, x.country,
      addresses => coalesce(x.addresses, '{}') || jsonb_build_object(_answer_with.channel, _answer_with.address)) m
   WHERE x.found;
  IF made.state IS DISTINCT FROM 'queued' THEN
    RETURN NULL;
  END IF;
  RETURN mfiauto._queue_answer(_answer_with.client_id, _answer_with.channel, _answer_with.address, made.locale, made.template_id, made.title, made.body, made.html, made.options,
    made.encoding, made.parts);
EXCEPTION WHEN data_exception OR plpgsql_error OR object_not_in_prerequisite_state THEN
  -- What the error says may hold what the client wrote.
  RAISE WARNING 'template "%" could not answer an inbound message', _answer_with.template USING ERRCODE = SQLSTATE;
  RETURN NULL;
END $$;

-- Asks for a person, by a task, unless one was asked or is at it.
CREATE FUNCTION mfiauto._hand_over(client_id bigint, channel text, reason text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  context jsonb;
  number bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto conversation ' || _hand_over.channel, _hand_over.client_id));
  IF EXISTS (SELECT FROM mfiauto.conversation_state c WHERE c.client_id = _hand_over.client_id AND c.channel = _hand_over.channel AND c.state <> 'closed') THEN
    RETURN false;
  END IF;
  context := (SELECT x.context FROM mfiauto._context(ARRAY[_hand_over.client_id], 'client', ARRAY[_hand_over.client_id], NULL, '{client.officer_id}') x);
  INSERT INTO mfiauto.task AS t (client_id, title, assignee, state, created_at)
  VALUES (_hand_over.client_id, format('Answer the client (%s)', _hand_over.channel), 'officer ' || (context -> 'client' ->> 'officer_id'), 'open', mfiauto.now())
  RETURNING t.task_id INTO number;
  INSERT INTO mfiauto.conversation_state (client_id, channel, state, reason, task_id, opened_at)
  VALUES (_hand_over.client_id, _hand_over.channel, 'waiting', _hand_over.reason, number, mfiauto.now())
  ON CONFLICT ON CONSTRAINT conversation_state_pkey DO UPDATE
    SET state = excluded.state, reason = excluded.reason, task_id = excluded.task_id, opened_at = excluded.opened_at, taken_by = NULL, taken_at = NULL, closed_at = NULL,
        closed_by = NULL, note = NULL;
  PERFORM mfiauto._track('Conversation Handed Over', _hand_over.client_id, jsonb_build_object('channel', _hand_over.channel, 'reason', _hand_over.reason, 'task_id', number));
  RETURN true;
END $$;

-- Whether a run of the client waits for what clients write: then it is the workflow's to understand.
CREATE FUNCTION mfiauto._is_awaited(client_id bigint, event text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM mfiauto.enrollment_state e
      JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = e.version AND s.step_no = e.step_no
     WHERE e.client_id = $1 AND e.state = 'active' AND $2 = ANY (s.events) AND e.waiting_since IS NOT NULL)
$$;

-- What a text is answered: by its keyword's template, by its question's, or by a person. While a person has the conversation templates are silent; and a machine that
-- answers ours has six answers an hour.
CREATE FUNCTION mfiauto._answer_inbound(entry mfiauto._inbound, keyword mfiauto._keyword, is_news boolean, address text) RETURNS mfiauto._inbound
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  asked record;
  template text;
  locale text;
  has_person boolean := EXISTS (SELECT FROM mfiauto.conversation_state c WHERE c.client_id = entry.client_id AND c.channel = entry.channel AND c.state = 'taken');
BEGIN
  IF entry.action IS NOT NULL THEN
    IF is_news THEN
      template := coalesce(keyword.template, (SELECT a.template FROM mfiauto.keyword_answer a WHERE a.action = entry.action));
    END IF;
  ELSIF entry.kind IN ('message', 'button') AND mfiauto._fold_text(entry.body) <> '' AND EXISTS (SELECT FROM mfiauto.intent_config) THEN
    SELECT f.name, f.locale, i.template, i.hands_over INTO asked FROM mfiauto._find_intent(entry.body) f LEFT JOIN mfiauto.intent_config i ON i.name = f.name;
    entry.intent := asked.name;
    template := asked.template;
    locale := asked.locale;
    IF NOT has_person AND (asked.hands_over OR asked.name IS NULL AND NOT mfiauto._is_awaited(entry.client_id, 'Message Received')) THEN
      entry.action := 'handover';
      IF mfiauto._hand_over(entry.client_id, entry.channel, CASE WHEN asked.name IS NULL THEN 'not understood' ELSE 'intent ' || asked.name END) THEN
        template := coalesce(template, (SELECT a.template FROM mfiauto.keyword_answer a WHERE a.action = 'handover'));
      END IF;
    END IF;
  END IF;
  IF template IS NOT NULL AND NOT has_person AND address IS NOT NULL
     AND (SELECT count(*) FROM mfiauto.inbound_log l WHERE l.client_id = entry.client_id AND l.received_at > mfiauto.now() - interval '1 hour' AND l.answer_id IS NOT NULL) < 6 THEN
    entry.answer_id := mfiauto._answer_with(template, entry.client_id, entry.channel, address, locale);
  END IF;
  RETURN entry;
END $$;

-- ---- Free text and its hours ----

-- Channels whose providers take free text only so long after the client's last message.
CREATE FUNCTION mfiauto._session_time(channel text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN $1 IN ('whatsapp', 'messenger') THEN interval '24 hours' END $$;

CREATE FUNCTION mfiauto._is_outside_session(client_id bigint, channel text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._session_time($2) IS NOT NULL
         AND NOT EXISTS (SELECT FROM mfiauto.last_inbound l WHERE l.client_id = $1 AND l.channel = $2 AND l.received_at > mfiauto.now() - mfiauto._session_time($2))
$$;

-- ---- For people ----

-- Locks the conversation of a client on a channel for who is to have the word. If nobody has had it, it is made.
CREATE FUNCTION mfiauto._claim_conversation(client_id bigint, channel text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held mfiauto.conversation_state;
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  PERFORM mfiauto._check_sight(_claim_conversation.client_id);
  PERFORM mfiauto._check_channel(coalesce(_claim_conversation.channel, 'null'));
  IF NOT EXISTS (SELECT FROM mfiauto.last_inbound l WHERE l.client_id = _claim_conversation.client_id AND l.channel = _claim_conversation.channel) THEN
    RAISE EXCEPTION 'client % has not written on channel "%"', _claim_conversation.client_id, _claim_conversation.channel USING ERRCODE = '55000',
      HINT = 'mfiauto.conversation lists the conversations.';
  END IF;
  INSERT INTO mfiauto.conversation_state (client_id, channel, state, reason, opened_at)
  VALUES (_claim_conversation.client_id, _claim_conversation.channel, 'closed', 'taken by a person', mfiauto.now()) ON CONFLICT DO NOTHING;
  SELECT c.* INTO held FROM mfiauto.conversation_state c WHERE c.client_id = _claim_conversation.client_id AND c.channel = _claim_conversation.channel FOR UPDATE;
  IF held.state = 'taken' AND held.taken_by <> mfiauto._caller() THEN
    RAISE EXCEPTION 'the conversation is taken by another' USING ERRCODE = '55000', DETAIL = format('It has been %s''s since %s.', held.taken_by, held.taken_at),
      HINT = 'close_conversation() gives it back.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._take_conversation(client_id bigint, channel text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held mfiauto.conversation_state;
BEGIN
  PERFORM mfiauto._claim_conversation(_take_conversation.client_id, _take_conversation.channel);
  UPDATE mfiauto.conversation_state c
     SET state = 'taken', taken_by = mfiauto._caller(), taken_at = CASE WHEN c.state = 'taken' THEN c.taken_at ELSE mfiauto.now() END,
         opened_at = CASE WHEN c.state = 'closed' THEN mfiauto.now() ELSE c.opened_at END, closed_at = NULL, closed_by = NULL, note = NULL
   WHERE c.client_id = _take_conversation.client_id AND c.channel = _take_conversation.channel
  RETURNING c.* INTO held;
  UPDATE mfiauto.task t SET assignee = mfiauto._caller() WHERE t.client_id = held.client_id AND t.task_id = held.task_id AND t.state = 'open';
END $$;
SELECT mfiauto._open_door('mfiauto._take_conversation(bigint, text)', '{admin,app,officer,branch}',
  'The caller has the word with a client on a channel: templates answer nothing there until close_conversation(). What keywords ask for is done all the same.');

CREATE FUNCTION mfiauto._close_conversation(client_id bigint, channel text, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held mfiauto.conversation_state;
BEGIN
  PERFORM mfiauto._check_sight(_close_conversation.client_id);
  SELECT c.* INTO held FROM mfiauto.conversation_state c
   WHERE c.client_id = _close_conversation.client_id AND c.channel = _close_conversation.channel AND c.state <> 'closed' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'client % has no open conversation on channel "%"', _close_conversation.client_id, left(_close_conversation.channel, 100)
      USING ERRCODE = '55000', HINT = 'mfiauto.conversation lists the conversations.';
  END IF;
  IF length(note) > 4000 THEN
    RAISE EXCEPTION 'note of a conversation is longer than 4000 characters' USING ERRCODE = '54000', HINT = 'Say it more briefly.';
  END IF;
  UPDATE mfiauto.conversation_state c
     SET state = 'closed', closed_at = mfiauto.now(), closed_by = mfiauto._caller(), note = _close_conversation.note
   WHERE c.client_id = held.client_id AND c.channel = held.channel;
  IF EXISTS (SELECT FROM mfiauto.task t WHERE t.client_id = held.client_id AND t.task_id = held.task_id AND t.state = 'open') THEN
    PERFORM mfiauto._close_task(held.task_id, 'closed', _close_conversation.note);
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._close_conversation(bigint, text, text)', '{admin,app,officer,branch}',
  'A conversation is over, with a note for the file: its task is done, and templates answer again.');

CREATE FUNCTION mfiauto._answer_conversation(client_id bigint, channel text, body text, key uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  known bigint;
  last record;
  said text := body;
  size record;
  characters_max integer;
BEGIN
  PERFORM mfiauto._take_conversation(_answer_conversation.client_id, _answer_conversation.channel);
  -- The conversation is locked: of two calls with one key the second finds the first's message.
  known := (SELECT m.message_id FROM mfiauto.message_ledger m
             WHERE m.client_id = _answer_conversation.client_id AND m.idempotency_key = _answer_conversation.key AND m.created_at > mfiauto.now() - interval '7 days');
  IF known IS NOT NULL THEN
    RETURN known;
  END IF;
  SELECT c.characters_max INTO characters_max FROM mfiauto._channel() c WHERE c.channel = _answer_conversation.channel;
  IF said IS NULL OR btrim(said, E' \t\r\n') = '' OR length(said) > characters_max THEN
    RAISE EXCEPTION 'an answer on channel "%" has 1 to % characters', _answer_conversation.channel, characters_max USING ERRCODE = '22023', HINT = 'Send it in parts.';
  END IF;
  IF mfiauto._is_outside_session(_answer_conversation.client_id, _answer_conversation.channel) THEN
    RAISE EXCEPTION 'client % cannot be answered on channel "%" any more', _answer_conversation.client_id, _answer_conversation.channel USING ERRCODE = '55000',
      DETAIL = 'The provider takes free text only within 24 hours of the client''s last message.', HINT = 'Write on another channel, or with a template that the provider has approved.';
  END IF;
  SELECT l.from_address, 'Re: ' || regexp_replace(regexp_replace(left(coalesce(l.detail ->> 'subject', ''), 200), '[[:cntrl:]]+', ' ', 'g'), '^\s*(re\s*:\s*)+', '', 'i') AS title INTO last
    FROM mfiauto.inbound_log l
   WHERE l.client_id = _answer_conversation.client_id AND l.channel = _answer_conversation.channel ORDER BY l.received_at DESC, l.inbound_id DESC LIMIT 1;
  IF last.from_address IS NULL OR last.from_address = '' THEN
    RAISE EXCEPTION 'the last message of client % is no longer kept', _answer_conversation.client_id USING ERRCODE = '55000', HINT = 'Write by a workflow.';
  END IF;
  IF _answer_conversation.channel = 'sms' THEN
    said := CASE WHEN (SELECT p.encoding FROM mfiauto.sms_parts(mfiauto.sms_transliterate(said)) p) = 'gsm7' THEN mfiauto.sms_transliterate(said) ELSE said END;
    SELECT p.encoding, p.parts INTO size FROM mfiauto.sms_parts(said) p;
  ELSE
    SELECT NULL::text AS encoding, NULL::integer AS parts INTO size;
  END IF;
  RETURN mfiauto._queue_answer(_answer_conversation.client_id, _answer_conversation.channel, last.from_address, mfiauto._client_locale(_answer_conversation.client_id), NULL,
    CASE WHEN _answer_conversation.channel = 'email' THEN last.title END, said, NULL, NULL, size.encoding, size.parts::smallint, _answer_conversation.key);
END $$;
SELECT mfiauto._open_door('mfiauto._answer_conversation(bigint, text, text, uuid)', '{admin,app,officer,branch}',
  'Sends a client what a person writes, to the address he wrote from; takes the conversation. A call repeated with the same key sends nothing twice. Returns the message''s number.');

-- Conversations that wait for a person or have one.
CREATE FUNCTION mfiauto._read_conversations()
RETURNS TABLE (client_id bigint, channel text, state text, reason text, taken_by text, opened_at timestamptz, last_text text, last_at timestamptz, unanswered bigint, task_id bigint)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT c.client_id, c.channel, c.state, c.reason, c.taken_by, c.opened_at, l.body, l.received_at,
         (SELECT count(*) FROM mfiauto.inbound_log n
           WHERE n.client_id = c.client_id AND n.channel = c.channel AND n.received_at >= c.opened_at - interval '1 day'
             AND n.received_at > coalesce((SELECT max(m.created_at) FROM mfiauto.message_ledger m
                                            WHERE m.client_id = c.client_id AND m.channel = c.channel AND m.workflow_id IS NULL AND m.template_id IS NULL AND m.created_at >= c.opened_at), '-infinity')),
         c.task_id
    FROM mfiauto.conversation_state c
    LEFT JOIN LATERAL (SELECT l.body, l.received_at FROM mfiauto.inbound_log l WHERE l.client_id = c.client_id AND l.channel = c.channel
                        ORDER BY l.received_at DESC, l.inbound_id DESC LIMIT 1) l ON true
   WHERE c.state <> 'closed' AND ((SELECT mfiauto._is_restricted()) IS NOT TRUE OR c.client_id IN (SELECT mfiauto._own_clients()))
$$;
SELECT mfiauto._open_door('mfiauto._read_conversations()', '{admin,app,officer,branch}', 'What the view mfiauto.conversation shows.');

CREATE VIEW mfiauto.conversation AS
  SELECT o.client_id, o.channel, o.state, o.reason, o.taken_by, o.opened_at, o.last_text, o.last_at, o.unanswered, o.task_id FROM mfiauto.read_conversations() o;
COMMENT ON VIEW mfiauto.conversation IS
  'Conversations that wait for a person (waiting) or have one (taken), with what the client said last; read_conversation() shows the lines of one.';

-- What was said with a client, both ways, the oldest first.
CREATE FUNCTION mfiauto._read_conversation(client_id bigint, channel text DEFAULT NULL, since timestamptz DEFAULT NULL)
RETURNS TABLE (at timestamptz, direction text, channel text, kind text, body text, keyword text, intent text, state text, inbound_id bigint, message_id bigint)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT v.*
    FROM (SELECT l.received_at, 'in', l.channel, l.kind, l.body, l.keyword, l.intent, NULL::text, l.inbound_id, NULL::bigint
            FROM mfiauto.inbound_log l
           WHERE l.client_id = $1 AND l.received_at >= coalesce($3, mfiauto.now() - interval '90 days') AND (l.action IS DISTINCT FROM 'part' OR l.body IS NOT NULL)
          UNION ALL
          SELECT coalesce(m.sent_at, m.created_at), 'out', m.channel, 'message', m.body, NULL, NULL, m.state, NULL, m.message_id
            FROM mfiauto.message m
           WHERE m.client_id = $1 AND m.created_at >= coalesce($3, mfiauto.now() - interval '90 days') AND m.state NOT IN ('holdout', 'skipped', 'suppressed', 'canceled'))
         AS v(at, direction, channel, kind, body, keyword, intent, state, inbound_id, message_id)
   WHERE ($2 IS NULL OR v.channel = $2) AND mfiauto._may_see($1)
   ORDER BY v.at, v.direction, v.inbound_id, v.message_id
$$;
SELECT mfiauto._open_door('mfiauto._read_conversation(bigint, text, timestamptz)', '{admin,app,officer,branch}',
  'What was said with a client in the last 90 days, or since, in both directions, the oldest first.');
