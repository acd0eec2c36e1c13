-- What people send us: whose it is, what it asks for, and what is done at once.

-- ---- Whose address it is ----

-- Makes the address book right for clients (null: all of them), from the books as they are.
CREATE FUNCTION mfiauto._keep_addresses(client_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET jit = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  IF to_regclass('mfiauto.client') IS NULL OR cardinality(client_ids) = 0 THEN
    RETURN;
  END IF;
  EXECUTE format($sql$
    WITH wanted AS MATERIALIZED (
      SELECT DISTINCT ON (c.client_id, a.kind) c.client_id, a.kind, a.address
        FROM %s
        CROSS JOIN mfiauto.institution i
        LEFT JOIN mfiauto.client_trait t ON t.client_id = c.client_id
        CROSS JOIN LATERAL (SELECT CASE WHEN u.country ~ '^[A-Z]{2}$' THEN u.country ELSE i.country END AS country
                              FROM (SELECT coalesce(t.traits ->> 'country', c.traits ->> 'country') AS country) u) h
        CROSS JOIN LATERAL (VALUES ('phone', mfiauto._read_address('voice', c.phone, h.country)), ('email', mfiauto._read_address('email', c.email, NULL)),
                                   ('telegram', mfiauto._read_address('telegram', coalesce(t.traits ->> 'telegram', c.traits ->> 'telegram'), NULL)),
                                   ('messenger', mfiauto._read_address('messenger', coalesce(t.traits ->> 'messenger', c.traits ->> 'messenger'), NULL))) AS a(kind, address)
       WHERE a.address IS NOT NULL AND c.client_id IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = c.client_id)
       ORDER BY c.client_id, a.kind
    ), gone AS (
      DELETE FROM mfiauto.address_book b
       WHERE ($1 IS NULL OR b.client_id = ANY ($1)) AND NOT EXISTS (SELECT FROM wanted w WHERE w.client_id = b.client_id AND w.kind = b.kind)
    )
    INSERT INTO mfiauto.address_book AS b (client_id, kind, address) SELECT w.client_id, w.kind, w.address FROM wanted w
    ON CONFLICT ON CONSTRAINT address_book_pkey DO UPDATE SET address = excluded.address WHERE b.address <> excluded.address
  $sql$, CASE WHEN client_ids IS NULL THEN 'mfiauto.client c'
              ELSE 'pg_catalog.unnest($1) AS k(client_id) JOIN LATERAL (SELECT * FROM mfiauto.client v WHERE v.client_id = k.client_id OFFSET 0) c ON true' END)
  USING client_ids;
END $$;

-- An address as providers write it in the forms it may have in the books, the likelier first.
CREATE FUNCTION mfiauto._address_forms(channel text, address text) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN $1 IN ('sms', 'voice', 'whatsapp') THEN
      ARRAY(SELECT f.form
              FROM (SELECT regexp_replace(btrim($2), '^(tel|whatsapp|sms):', '', 'i') AS number) n
              CROSS JOIN mfiauto.institution i
              CROSS JOIN LATERAL (VALUES (1, mfiauto._read_address('voice', n.number, i.country)),
                                         (2, CASE WHEN n.number ~ '^[1-9][0-9]{6,14}$' THEN mfiauto._read_address('voice', '+' || n.number, NULL) END)) AS f(place, form)
             WHERE f.form IS NOT NULL
             GROUP BY f.form ORDER BY min(f.place))
    WHEN $1 = 'email' THEN array_remove(ARRAY[mfiauto._read_address('email', coalesce(substring($2 FROM '<([^<>]*)>\s*$'), $2), NULL)], NULL)
    ELSE array_remove(ARRAY[nullif(btrim($2), '')], NULL) END
$$;

-- Whose an address is: the client that we wrote to last comes first, and all who share it follow. The message is the last that the first one had on the channel.
CREATE FUNCTION mfiauto._find_senders(channel text, forms text[], is_call boolean, OUT client_ids bigint[], OUT message_id bigint, OUT sent_at timestamptz, OUT address text)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  sort text := CASE WHEN _find_senders.channel IN ('sms', 'voice', 'whatsapp') THEN 'phone' ELSE _find_senders.channel END;
  channels text[] := CASE WHEN is_call THEN '{voice,sms}'::text[] ELSE ARRAY[_find_senders.channel] END;
BEGIN
  FOREACH address IN ARRAY forms LOOP
    client_ids := ARRAY(
      SELECT b.client_id FROM mfiauto.address_book b WHERE b.address = _find_senders.address AND b.kind = sort
      UNION
      SELECT a.client_id FROM mfiauto.client_address a WHERE a.channel = _find_senders.channel AND a.address = _find_senders.address AND a.retired_at IS NULL);
    EXIT WHEN cardinality(client_ids) > 0;
  END LOOP;
  IF cardinality(client_ids) > 0 THEN
    SELECT array_agg(s.client_id ORDER BY s.sent_at DESC NULLS LAST, s.client_id), (array_agg(s.message_id ORDER BY s.sent_at DESC NULLS LAST, s.client_id))[1], max(s.sent_at)
      INTO client_ids, message_id, sent_at
      FROM (SELECT c.client_id, m.message_id, m.sent_at
              FROM unnest(client_ids) AS c(client_id)
              LEFT JOIN LATERAL (SELECT m.message_id, m.sent_at FROM mfiauto.message_ledger m
                                  WHERE m.client_id = c.client_id AND m.created_at > mfiauto.now() - interval '90 days'
                                    AND m.sent_at IS NOT NULL AND m.channel = ANY (channels)
                                  ORDER BY m.sent_at DESC, m.message_id DESC LIMIT 1) m ON true) s;
  ELSE
    address := forms[1];
  END IF;
END $$;

CREATE FUNCTION mfiauto._link_address(client_id bigint, channel text, address text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  written text;
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  PERFORM mfiauto._check_sight(_link_address.client_id);
  IF (channel IN ('whatsapp', 'telegram', 'messenger')) IS NOT TRUE THEN
    RAISE EXCEPTION 'channel "%" has no names of its own', left(_link_address.channel, 100) USING ERRCODE = '22023',
      HINT = 'Known: whatsapp, telegram, messenger. Devices are registered with register_device(); telephones and e-mail are the books''.';
  END IF;
  written := CASE WHEN channel = 'whatsapp' THEN coalesce((mfiauto._address_forms(channel, address))[1], mfiauto._read_address('telegram', address, NULL))
                  ELSE mfiauto._read_address(channel, address, NULL) END;
  IF written IS NULL THEN
    RAISE EXCEPTION 'address is not valid on channel "%"', channel USING ERRCODE = '22023', HINT = 'Give the name that the provider has for the client: printable ASCII without spaces.';
  END IF;
  PERFORM mfiauto._note_address(_link_address.client_id, _link_address.channel, written);
END $$;
SELECT mfiauto._open_door('mfiauto._link_address(bigint, text, text)', '{admin,app,officer,branch}',
  'Says which client has a name at WhatsApp, Telegram or Messenger: he is written to there, and what it sends is his.');

-- ---- What is written down of it ----

-- A client who wants no more messages: on the channel he wrote on, or on all. Returns whether the first of them did not have that already.
CREATE FUNCTION mfiauto._record_stop(client_ids bigint[], channel text, purpose text, proof jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  was_stopped boolean;
BEGIN
  -- Of two stops at once the second one is no news.
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto stop', client_ids[1]));
  was_stopped := (SELECT NOT c.granted FROM mfiauto.consent c
                   WHERE c.client_id = client_ids[1] AND NOT c.is_pending AND (c.channel IS NULL OR c.channel = _record_stop.channel) AND (c.purpose IS NULL OR c.purpose = _record_stop.purpose)
                   ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1);
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, reason, source, proof, given_at, recorded_by)
  SELECT k.client_id, _record_stop.channel, _record_stop.purpose, false, 'asked by keyword', 'keyword', _record_stop.proof, mfiauto.now(), mfiauto._caller()
    FROM unnest(client_ids) AS k(client_id);
  PERFORM mfiauto._journal_append(0, 'p', 0, k.client_id) FROM unnest(client_ids) AS k(client_id);
  RETURN was_stopped IS NOT TRUE;
END $$;

-- A client who wants messages again. With a purpose he opts in to it; without, what a stop took away comes back and nothing more: a class that needs a consent he never
-- gave still needs it, and one that he opted out of by name stays so.
CREATE FUNCTION mfiauto._record_start(client_ids bigint[], channel text, purpose text, proof jsonb) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, source, proof, given_at, recorded_by)
  SELECT k.client_id, _record_start.channel, m.class, true, 'keyword', _record_start.proof, mfiauto.now(), mfiauto._caller()
    FROM unnest(client_ids) AS k(client_id)
    JOIN mfiauto.message_class m ON CASE WHEN _record_start.purpose IS NULL THEN m.honors_opt_out ELSE m.class = _record_start.purpose END
    LEFT JOIN LATERAL (SELECT c.granted FROM mfiauto.consent c
                        WHERE c.client_id = k.client_id AND NOT c.is_pending AND (c.channel IS NULL OR c.channel = _record_start.channel) AND (c.purpose IS NULL OR c.purpose = m.class)
                          AND (c.granted OR c.purpose IS NOT NULL)
                        ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) b ON true
   WHERE _record_start.purpose IS NOT NULL OR CASE WHEN b.granted IS NULL THEN NOT m.needs_consent ELSE b.granted END
   ORDER BY k.client_id, m.priority;
  PERFORM mfiauto._journal_append(0, 'p', 0, k.client_id) FROM unnest(client_ids) AS k(client_id);
END $$;

-- An address that nobody in the books has: the list of suppressed ones keeps its wish.
CREATE FUNCTION mfiauto._keep_stranger_wish(channel text, address text, action text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF address IS NULL THEN
    RETURN;
  END IF;
  IF action IN ('stop', 'stop_all') THEN
    INSERT INTO mfiauto.suppression (channel, address_hash, reason, suppressed_at)
    SELECT c.channel, mfiauto._address_hash(c.channel, _keep_stranger_wish.address), 'asked by keyword', mfiauto.now()
      FROM (SELECT CASE WHEN action = 'stop_all' AND _keep_stranger_wish.channel IN ('sms', 'voice', 'whatsapp') THEN 'phone' ELSE _keep_stranger_wish.channel END AS channel) c
    ON CONFLICT ON CONSTRAINT suppression_pkey DO NOTHING;
  ELSIF action = 'start' THEN
    DELETE FROM mfiauto.suppression s
     WHERE s.reason = 'asked by keyword' AND s.channel IN ('phone', _keep_stranger_wish.channel) AND s.address_hash = mfiauto._address_hash(s.channel, _keep_stranger_wish.address);
  END IF;
END $$;

-- What a keyword does to the clients of an address; whether it is worth an answer.
CREATE FUNCTION mfiauto._obey_keyword(keyword mfiauto._keyword, channel text, address text, client_ids bigint[], proof jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  is_news boolean := true;
BEGIN
  IF keyword.action IN ('stop', 'stop_all', 'start') AND (cardinality(client_ids) = 0 OR keyword.action = 'start') THEN
    PERFORM mfiauto._keep_stranger_wish(channel, address, keyword.action);
  END IF;
  IF cardinality(client_ids) = 0 THEN
    RETURN false;
  END IF;
  IF keyword.action IN ('stop', 'stop_all') THEN
    is_news := mfiauto._record_stop(client_ids, CASE keyword.action WHEN 'stop' THEN channel END, keyword.purpose, proof);
  ELSIF keyword.action = 'start' THEN
    PERFORM mfiauto._record_start(client_ids, channel, keyword.purpose, proof);
  END IF;
  -- An opt-in that waits for the client's own word has it.
  IF keyword.action IN ('start', 'confirm') THEN
    SELECT bool_or(mfiauto._confirm_opt_in(k.client_id, _obey_keyword.channel)) OR keyword.action = 'start' INTO is_news FROM unnest(client_ids) AS k(client_id);
  END IF;
  RETURN is_news;
END $$;

-- What is told to workflows. The text is not: events are read by more people than conversations; inbound_id leads to it.
CREATE FUNCTION mfiauto._tell_inbound(entry mfiauto._inbound, event text, is_news boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  told jsonb := jsonb_strip_nulls(jsonb_build_object('inbound_id', entry.inbound_id, 'channel', entry.channel, 'keyword', entry.keyword, 'action', entry.action,
                                                     'intent', entry.intent, 'reply_to', entry.reply_to, 'digits', left(entry.detail ->> 'digits', 50)));
BEGIN
  PERFORM mfiauto._track(CASE entry.kind WHEN 'missed_call' THEN 'Missed Call Received' WHEN 'call' THEN 'Call Received' ELSE 'Message Received' END, entry.client_id, told);
  IF event IS NOT NULL THEN
    PERFORM mfiauto._track(event, entry.client_id, told);
  END IF;
  IF entry.action IN ('stop', 'stop_all') AND is_news THEN
    IF entry.reply_to IS NULL THEN
      PERFORM mfiauto._track('Unsubscribed', entry.client_id, jsonb_build_object('channel', entry.channel, 'by', 'keyword'));
    ELSE
      PERFORM mfiauto._note_interaction(entry.client_id, entry.reply_to, 'unsubscribed', '{"by": "keyword"}');
    END IF;
  END IF;
END $$;

CREATE FUNCTION mfiauto._log_inbound(entry mfiauto._inbound) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.inbound_log (client_id, inbound_id, gateway, channel, kind, from_address, to_address, body, provider_id, digest, action, keyword, intent, reply_to, answer_id,
                                   detail, sent_at, received_at)
  SELECT entry.*
$$;

-- A long text that a provider hands over in parts (detail: concat_ref, concat_part, concat_total): null until all are here, whichever comes last, and then the whole. Parts wait
-- a day in the log, with action part. A first part that asks for an end waits for nothing.
CREATE FUNCTION mfiauto._join_parts(entry mfiauto._inbound) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  reference text := entry.detail ->> 'concat_ref';
  part integer := CASE WHEN entry.detail ->> 'concat_part' ~ '^[0-9]{1,3}$' THEN (entry.detail ->> 'concat_part')::integer END;
  total integer := CASE WHEN entry.detail ->> 'concat_total' ~ '^[0-9]{1,3}$' THEN (entry.detail ->> 'concat_total')::integer END;
  whole record;
BEGIN
  IF (reference <> '' AND part BETWEEN 1 AND total AND total > 1) IS NOT TRUE OR part = 1 AND (mfiauto._find_keyword(entry.body, NULL)).action IN ('stop', 'stop_all') THEN
    RETURN entry.body;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'mfiauto part', entry.gateway, entry.from_address, reference), 0));
  SELECT string_agg(p.body, '' ORDER BY p.part) AS body, count(*) AS parts, array_agg(p.inbound_id) AS inbound_ids INTO whole
    FROM (SELECT l.inbound_id, l.body, (l.detail ->> 'concat_part')::integer AS part
            FROM mfiauto.inbound_log l
           WHERE l.client_id = entry.client_id AND l.received_at > mfiauto.now() - interval '1 day' AND l.gateway = entry.gateway AND l.from_address = entry.from_address
             AND l.action = 'part' AND l.body IS NOT NULL AND l.detail ->> 'concat_ref' = reference
          UNION ALL SELECT NULL, entry.body, part) p;
  IF whole.parts < total THEN
    RETURN NULL;
  END IF;
  UPDATE mfiauto.inbound_log l SET body = NULL
   WHERE l.client_id = entry.client_id AND l.received_at > mfiauto.now() - interval '1 day' AND l.inbound_id = ANY (whole.inbound_ids);
  RETURN left(whole.body, 10000);
END $$;

-- ---- The way in ----

-- Takes what a provider handed over, once: what has the same id at the gateway (without one, the same text from the same sender, sent at the same time or within ten
-- minutes) is the same. All that it asks for is done in this transaction, so that a STOP precedes the next claim. answered_id: the message of ours that a letter
-- proves to answer. Returns its number.
CREATE FUNCTION mfiauto._take_inbound(gateway text, channel text, kind text, from_address text, to_address text, body text, provider_id text,
  sent_at timestamptz, detail jsonb, answered_id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  entry mfiauto._inbound;
  sender record;
  keyword mfiauto._keyword;
  is_news boolean;
  is_ours boolean;
  known bigint;
  whole text;
  forms text[] := mfiauto._address_forms(_take_inbound.channel, left(_take_inbound.from_address, 500));
BEGIN
  entry.gateway := _take_inbound.gateway;
  entry.channel := _take_inbound.channel;
  entry.kind := CASE WHEN _take_inbound.kind IN ('missed_call', 'call', 'button') THEN _take_inbound.kind ELSE 'message' END;
  entry.from_address := left(btrim(coalesce(_take_inbound.from_address, '')), 500);
  entry.to_address := left(_take_inbound.to_address, 500);
  entry.body := left(_take_inbound.body, 10000);
  entry.provider_id := left(_take_inbound.provider_id, 250);
  entry.detail := _take_inbound.detail;
  entry.received_at := mfiauto.now();
  entry.sent_at := CASE WHEN isfinite(_take_inbound.sent_at) AND _take_inbound.sent_at <= mfiauto.now() + interval '1 hour' THEN _take_inbound.sent_at END;
  entry.digest := encode(sha256(convert_to(concat_ws('|', entry.channel, entry.kind, coalesce(forms[1], entry.from_address),
    coalesce(nullif(entry.provider_id, ''), concat_ws('|', '', entry.to_address, entry.body, entry.detail ->> 'digits', entry.sent_at))), 'UTF8')), 'hex');
  PERFORM pg_advisory_xact_lock(hashtextextended(entry.gateway || ' ' || entry.digest, 0));
  known := (SELECT l.inbound_id FROM mfiauto.inbound_log l
             WHERE l.gateway = entry.gateway AND l.digest = entry.digest
               AND (entry.provider_id <> '' OR entry.sent_at IS NOT NULL OR l.received_at > mfiauto.now() - interval '10 minutes') LIMIT 1);
  IF known IS NOT NULL THEN
    RETURN known;
  END IF;
  SELECT * INTO sender FROM mfiauto._find_senders(entry.channel, forms, entry.kind IN ('missed_call', 'call'));
  entry.inbound_id := nextval('mfiauto.inbound_id_seq');
  entry.client_id := coalesce(sender.client_ids[1], 0);
  entry.reply_to := sender.message_id;
  entry.from_address := coalesce(sender.address, entry.from_address);
  whole := mfiauto._join_parts(entry);
  IF whole IS NULL AND entry.body IS NOT NULL THEN
    entry.action := 'part';
    PERFORM mfiauto._log_inbound(entry);
    RETURN entry.inbound_id;
  END IF;
  entry.body := whole;
  IF entry.kind IN ('message', 'button') THEN
    keyword := mfiauto._find_keyword(entry.body, mfiauto._client_locale(entry.client_id));
    -- Anybody can write any sender on a letter. One that does not answer a letter of ours to him ends messages to a client, and does nothing else.
    is_ours := EXISTS (SELECT FROM mfiauto.message_ledger m
                        WHERE m.message_id = _take_inbound.answered_id AND (m.client_id = ANY (sender.client_ids) OR m.to_address = sender.address));
    IF entry.channel = 'email' AND NOT is_ours AND keyword.action IN ('start', 'confirm') THEN
      keyword := NULL;
    END IF;
    entry.keyword := keyword.keyword;
    entry.action := nullif(keyword.action, 'none');
    is_news := mfiauto._obey_keyword(keyword, entry.channel, CASE WHEN entry.channel <> 'email' OR is_ours THEN sender.address END, coalesce(sender.client_ids, '{}'),
      jsonb_strip_nulls(jsonb_build_object('inbound_id', entry.inbound_id, 'gateway', entry.gateway, 'from', entry.from_address, 'text', left(entry.body, 1000),
                                           'sent_at', entry.sent_at, 'received_at', entry.received_at)));
    INSERT INTO mfiauto.last_inbound AS l (client_id, channel, received_at)
    SELECT k.client_id, entry.channel, least(coalesce(entry.sent_at, entry.received_at), entry.received_at) FROM unnest(sender.client_ids) AS k(client_id) ORDER BY k.client_id
    ON CONFLICT ON CONSTRAINT last_inbound_pkey DO UPDATE SET received_at = greatest(l.received_at, excluded.received_at);
  END IF;
  IF entry.client_id <> 0 THEN
    entry := mfiauto._answer_inbound(entry, keyword, is_news, sender.address);
    IF sender.sent_at > mfiauto.now() - interval '72 hours' THEN
      PERFORM mfiauto._note_interaction(entry.client_id, entry.reply_to, 'replied', jsonb_build_object('by', entry.kind));
    END IF;
    PERFORM mfiauto._tell_inbound(entry, keyword.event, is_news);
  END IF;
  PERFORM mfiauto._log_inbound(entry);
  RETURN entry.inbound_id;
END $$;
