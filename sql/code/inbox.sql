-- The app's inbox: delivery puts messages into it, the app reads them and acknowledges. No network, one transaction.

-- Puts messages into the inbox, in the transaction that records them as sent. Twice is once.
CREATE FUNCTION mfiauto._keep_in_inbox(client_ids bigint[], message_ids bigint[], gateway text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.inbox (client_id, message_id, gateway, title, body, action_url, action_label, image, kept_at, expires_at)
  SELECT m.client_id, m.message_id, _keep_in_inbox.gateway, m.title, m.body, m.options ->> 'action_url', m.options ->> 'action_label', m.options ->> 'image', mfiauto.now(),
         CASE WHEN m.options ? 'expires' THEN mfiauto.now() + (m.options ->> 'expires')::bigint * interval '1 second' END
    FROM unnest(client_ids, message_ids) WITH ORDINALITY AS u(client_id, message_id, ord)
    JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = u.client_id AND m.message_id = u.message_id OFFSET 0) m ON true
   ORDER BY u.ord
  ON CONFLICT ON CONSTRAINT inbox_pkey DO NOTHING
$$;

-- What nobody fetched in time was not delivered: the step's next channel is tried.
CREATE FUNCTION mfiauto._expire_inbox() RETURNS bigint
LANGUAGE sql AS $$
  SELECT count(s.*)
    FROM (SELECT array_agg(q.client_id) AS clients, array_agg(q.message_id) AS messages, array_agg('undelivered'::text) AS states, array_agg('receipt_expired'::text) AS reasons
            FROM (SELECT i.client_id, i.message_id FROM mfiauto.inbox i
                   WHERE i.delivered_at IS NULL AND i.expires_at <= mfiauto.now()
                     AND EXISTS (SELECT FROM mfiauto.message_ledger m WHERE m.client_id = i.client_id AND m.message_id = i.message_id AND m.state IN ('submitted', 'sent', 'unknown') OFFSET 0)
                   ORDER BY i.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED) q) e,
         LATERAL mfiauto._settle_messages(e.clients, e.messages, e.states, e.reasons) s
   WHERE e.messages IS NOT NULL
$$;

CREATE FUNCTION mfiauto._inbox(client_id bigint, since timestamptz DEFAULT NULL, max_rows integer DEFAULT 50)
RETURNS TABLE (message_id bigint, title text, body text, action_url text, action_label text, image text, kept_at timestamptz, expires_at timestamptz, delivered_at timestamptz,
               read_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF _inbox.client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004', HINT = 'Say whose inbox it is.';
  END IF;
  IF _inbox.max_rows IS NULL OR _inbox.max_rows NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'max_rows must be from 1 to 1000' USING ERRCODE = '22023', HINT = 'Ask for the rest with since => kept_at of the last row.';
  END IF;
  RETURN QUERY
    SELECT i.message_id, i.title, i.body, i.action_url, i.action_label, i.image, i.kept_at, i.expires_at, i.delivered_at, i.read_at
      FROM mfiauto.inbox i
     WHERE i.client_id = _inbox.client_id AND i.dismissed_at IS NULL AND (i.expires_at > mfiauto.now()) IS NOT FALSE AND i.kept_at >= coalesce(_inbox.since, '-infinity')
     ORDER BY i.kept_at, i.message_id LIMIT _inbox.max_rows;
END $$;
SELECT mfiauto._open_door('mfiauto._inbox(bigint, timestamptz, integer)', '{app}',
  'A client''s in-app messages, oldest first: those that are neither dismissed nor expired, from since on. Say with ack_inbox() what became of them.');

CREATE FUNCTION mfiauto._inbox_unread(client_id bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT count(*) FROM mfiauto.inbox i
   WHERE i.client_id = _inbox_unread.client_id AND i.read_at IS NULL AND i.dismissed_at IS NULL AND (i.expires_at > mfiauto.now()) IS NOT FALSE
$$;
SELECT mfiauto._open_door('mfiauto._inbox_unread(bigint)', '{app}', 'How many in-app messages a client has not read.');

-- What became of messages in the app. Saying it twice, or late, changes nothing; each reading is noted once.
CREATE FUNCTION mfiauto._ack_inbox(message_ids bigint[], event text, client_id bigint DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  told record;
BEGIN
  IF event IS NULL OR event NOT IN ('delivered', 'read', 'dismissed') THEN
    RAISE EXCEPTION 'in-app messages cannot be acknowledged as "%"', coalesce(event, 'null') USING ERRCODE = '22023', HINT = 'Known: delivered, read, dismissed.';
  END IF;
  IF cardinality(message_ids) > 1000 THEN
    RAISE EXCEPTION 'more than 1000 messages are acknowledged at once' USING ERRCODE = '54000', HINT = 'Send them in several calls.';
  END IF;
  WITH mine AS MATERIALIZED (
    SELECT i.client_id, i.message_id, i.read_at IS NULL AND event = 'read' AS is_news
      FROM (SELECT DISTINCT w.message_id FROM unnest(message_ids) AS w(message_id)) w
      JOIN LATERAL (SELECT m.client_id, m.message_id FROM mfiauto.message_ledger m WHERE m.message_id = w.message_id OFFSET 0) m ON true
      JOIN mfiauto.inbox i ON i.client_id = m.client_id AND i.message_id = m.message_id
     WHERE (_ack_inbox.client_id IS NULL OR i.client_id = _ack_inbox.client_id)
       AND CASE event WHEN 'delivered' THEN i.delivered_at IS NULL WHEN 'read' THEN i.read_at IS NULL ELSE i.dismissed_at IS NULL END
     ORDER BY i.client_id, i.message_id FOR UPDATE OF i
  ), noted AS (
    UPDATE mfiauto.inbox i
       SET delivered_at = coalesce(i.delivered_at, clock), read_at = CASE WHEN event = 'read' THEN coalesce(i.read_at, clock) ELSE i.read_at END,
           dismissed_at = CASE WHEN event = 'dismissed' THEN coalesce(i.dismissed_at, clock) ELSE i.dismissed_at END
      FROM mine k WHERE i.client_id = k.client_id AND i.message_id = k.message_id
  )
  SELECT array_agg(k.client_id ORDER BY k.message_id) AS clients, array_agg(k.message_id ORDER BY k.message_id) AS messages,
         array_agg(k.is_news ORDER BY k.message_id) AS news, count(*)::integer AS count INTO told FROM mine k;
  IF told.count > 0 THEN
    PERFORM mfiauto._settle_messages(told.clients, told.messages, array_fill('delivered'::text, ARRAY[told.count]), array_fill(NULL::text, ARRAY[told.count]));
    PERFORM mfiauto._note_interaction(k.client_id, k.message_id, 'read') FROM unnest(told.clients, told.messages, told.news) AS k(client_id, message_id, is_news) WHERE k.is_news;
  END IF;
  RETURN told.count;
END $$;
SELECT mfiauto._open_door('mfiauto._ack_inbox(bigint[], text, bigint)', '{app}',
  'Tells what became of in-app messages: delivered (the app has them), read, or dismissed; returns how many it was news of. Each closes the message as delivered, read also makes the event Message Read. '
  'client_id: only this client''s messages count, for an app that passes on what it was given.');
