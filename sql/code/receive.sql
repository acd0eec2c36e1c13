-- Receiving: a webhook is verified, read and applied in one transaction.

-- From how many seconds on a call counts as heard: the gateway's setting, in the place of what its definition says.
CREATE FUNCTION mfiauto._with_heard_seconds(gateway text, definition jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN jsonb_typeof(g.settings -> 'min_heard_seconds') IS DISTINCT FROM 'number' THEN definition
              WHEN jsonb_typeof(definition -> 'receipt') = 'object' THEN jsonb_set(definition, '{receipt,least_seconds}', g.settings -> 'min_heard_seconds', definition -> 'receipt' ? 'least_seconds')
              ELSE (SELECT jsonb_set(definition, '{receipt}', jsonb_agg(CASE WHEN r ? 'least_seconds' THEN r || jsonb_build_object('least_seconds', g.settings -> 'min_heard_seconds') ELSE r END ORDER BY n))
                      FROM jsonb_array_elements(definition -> 'receipt') WITH ORDINALITY AS e(r, n)) END
    FROM mfiauto.gateway_config g WHERE g.gateway = _with_heard_seconds.gateway
$$;

-- Reads what was verified and does what it says. What fails because of its content is kept, and does not stop what comes after it.
CREATE FUNCTION mfiauto._take_webhook(gateway text, channel text, definition jsonb, method text, query text, headers jsonb, body bytea,
  is_fetched boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  events mfiauto._webhook_event[];
  event mfiauto._webhook_event;
  receipts mfiauto._webhook_event[];
  number integer := 0;
  code text;
BEGIN
  IF channel = 'voice' THEN
    definition := mfiauto._with_heard_seconds(gateway, definition);
  END IF;
  BEGIN
    events := ARRAY(SELECT e FROM mfiauto._read_webhook(definition::text, method, query, headers, body) e);
    IF events[1].part IN ('nothing', 'unreadable') THEN
      -- Some providers try whether we answer; and who is asked may have nothing to say.
      IF (body = '' AND query = '') OR (is_fetched AND events[1].part = 'nothing') THEN
        RETURN 0;
      END IF;
      PERFORM mfiauto._keep_unread(gateway, definition, CASE events[1].part WHEN 'nothing' THEN 'no rule of the definition fits it'
                                                             ELSE 'the body cannot be read as the definition says' END, method, query, headers, body);
      RETURN 0;
    END IF;
    receipts := ARRAY(SELECT e FROM unnest(events) e WHERE e.part = 'receipt');
    IF cardinality(receipts) > 100 THEN
      number := mfiauto._apply_many_receipts(gateway, receipts);
    ELSIF cardinality(receipts) > 0 THEN
      number := mfiauto._apply_receipts(gateway, receipts);
    END IF;
    FOR event IN SELECT (e).* FROM unnest(events) e WHERE e.part = 'inbound' LOOP
      PERFORM mfiauto._take_inbound(gateway, channel, event.kind, event.from_address, event.to_address, event.body, event.provider_id, event.at, event.detail);
      number := number + 1;
    END LOOP;
    RETURN number;
  EXCEPTION WHEN OTHERS THEN
    code := sqlstate;
    IF NOT mfiauto._is_query_error(code) THEN
      RAISE;
    END IF;
  END;
  PERFORM mfiauto._keep_unread(gateway, definition, format('what it says could not be applied: an error of class %s', code), method, query, headers, body);
  RETURN 0;
END $$;

CREATE FUNCTION mfiauto._receive(gateway text, headers jsonb, body text) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  config record;
  given jsonb := coalesce(headers, '{}');
  is_query boolean;
  query text;
  bytes bytea;
  proof record;
BEGIN
  PERFORM mfiauto._check_gateway_exists(gateway);
  SELECT g.channel, g.definition, g.settings INTO config FROM mfiauto.gateway_config g WHERE g.gateway = _receive.gateway;
  IF NOT config.definition ?| '{receipt,inbound}' OR config.definition ? 'sql' OR NOT config.definition ? 'signature' THEN
    RAISE EXCEPTION 'gateway "%" has no receipts', gateway USING ERRCODE = '55000',
      HINT = 'Its definition says nothing of "receipt" or "inbound", or nothing of "signature", or it is one of tables, which are read.';
  END IF;
  IF jsonb_typeof(given) <> 'object' THEN
    RAISE EXCEPTION 'headers must be a JSON object' USING ERRCODE = '22023';
  END IF;
  IF octet_length(body) > 1048576 THEN
    RAISE EXCEPTION 'receipt is longer than 1 MB' USING ERRCODE = '54000';
  END IF;
  is_query := coalesce(config.definition -> 'receipt' ->> 'format', config.definition -> 'receipt' -> 0 ->> 'format',
                       config.definition -> 'inbound' ->> 'format', config.definition -> 'inbound' -> 0 ->> 'format') = 'query';
  -- The query stands in the request's target. Without that, who signs our address signs it with the query that we gave; a secret that should
  -- have come along in it is not taken from ourselves.
  query := CASE WHEN is_query THEN ltrim(coalesce(body, ''), '?')
                WHEN given ? ':path' THEN coalesce(substring(given ->> ':path' FROM '\?(.*)'), '')
                WHEN config.definition -> 'signature' ->> 'method' IN ('twilio', 'bird', 'messagebird_jwt', 'hmac') THEN coalesce(split_part(config.settings ->> 'receipt_url', '?', 2), '')
                ELSE '' END;
  bytes := CASE WHEN is_query THEN '' ELSE convert_to(coalesce(body, ''), 'UTF8') END;
  proof := mfiauto._refuse_webhook(gateway, config.definition, config.settings, CASE WHEN is_query THEN 'GET' ELSE 'POST' END, query, given, bytes);
  IF proof.refusal = 'unset' THEN
    RAISE EXCEPTION 'receipts of gateway "%" cannot be checked: secret "%" is not set', gateway, config.definition -> 'signature' ->> 'secret' USING ERRCODE = '55000',
      HINT = format('SELECT mfiauto.set_secret(%L, %L, …); and give the provider the same.', gateway, config.definition -> 'signature' ->> 'secret');
  ELSIF proof.refusal IS NOT NULL THEN
    RAISE EXCEPTION 'receipt was not accepted' USING ERRCODE = '28000',
      DETAIL = CASE proof.refusal WHEN 'late' THEN 'It was signed at another time than now.' ELSE 'Its signature is not the gateway''s.' END;
  END IF;
  IF mfiauto._note_subscription(gateway, config.definition, bytes)
     OR NOT mfiauto._remember_webhook(gateway, config.definition, proof.nonce, CASE WHEN is_query THEN 'GET' ELSE 'POST' END, query, bytes) THEN
    RETURN 0;
  END IF;
  RETURN mfiauto._take_webhook(gateway, config.channel, config.definition, CASE WHEN is_query THEN 'GET' ELSE 'POST' END, query, given, bytes);
END $$;
SELECT mfiauto._open_door('mfiauto._receive(text, jsonb, text)', '{admin,receiver}',
  'Takes a provider''s webhook: headers as a JSON object, with the request''s target as ":path" where its query matters (a token, a reference), body as it came (for a GET, its query). Returns the number of receipts and incoming messages that were new. '
  'What matches no message yet is stored and matched when the message is known.');

-- A webhook as the web front got it, and what to answer. Never an error because of what came in.
CREATE FUNCTION mfiauto._serve_webhook(gateway text, method text, query text, headers jsonb, body bytea) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  config record;
  given_query text := ltrim(coalesce(query, ''), '?');
  given jsonb := CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END;
  bytes bytea := coalesce(body, '');
  reply mfiauto._response;
  proof record;
  challenge text;
BEGIN
  SELECT g.channel, g.definition, g.settings INTO config FROM mfiauto.gateway_config g WHERE g.gateway = _serve_webhook.gateway;
  -- Who is polled and says nothing of signatures is not posted to.
  IF NOT FOUND OR NOT config.definition ?| '{receipt,inbound,challenge}' OR config.definition ? 'sql' OR NOT config.definition ? 'signature' THEN
    RETURN mfiauto._response_of(404);
  ELSIF method IS NULL OR method NOT IN ('GET', 'POST') THEN
    RETURN mfiauto._response_of(405, headers => '{"allow": "GET, POST"}');
  ELSIF octet_length(bytes) > 1048576 THEN
    RETURN mfiauto._response_of(413);
  END IF;
  reply := mfiauto._answer_challenge(gateway, config.definition, method, given_query);
  IF reply.status IS NOT NULL THEN
    RETURN reply;
  END IF;
  proof := mfiauto._refuse_webhook(gateway, config.definition, config.settings, method, given_query, given, bytes);
  IF proof.refusal IS NOT NULL THEN
    RETURN mfiauto._answer_refusal(gateway, config.definition, proof.refusal);
  END IF;
  IF config.definition -> 'challenge' ? 'path' AND bytes <> '' THEN
    SELECT e.provider_id INTO challenge
      FROM mfiauto._read_webhook(jsonb_build_object('receipt', jsonb_build_object('state', 'ignore', 'id', config.definition -> 'challenge' -> 'path'))::text, method, given_query, given, bytes) e
     WHERE e.part = 'receipt' LIMIT 1;
    IF challenge IS NOT NULL THEN
      RETURN mfiauto._response_of(200, challenge, 'text/plain');
    END IF;
  END IF;
  IF NOT mfiauto._note_subscription(gateway, config.definition, bytes)
     AND mfiauto._remember_webhook(gateway, config.definition, proof.nonce, method, given_query, bytes) THEN
    PERFORM mfiauto._take_webhook(gateway, config.channel, config.definition, method, given_query, given, bytes);
  END IF;
  RETURN mfiauto._response_of(coalesce((config.definition -> 'answer' ->> 'status')::integer, 200), coalesce(config.definition -> 'answer' ->> 'body', ''),
                              config.definition -> 'answer' ->> 'content_type');
END $$;

-- Reads again what could not be read, by the definition as it is now.
CREATE FUNCTION mfiauto._reread_webhooks(gateway text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  kept record;
  number integer := 0;
BEGIN
  IF gateway IS NOT NULL THEN
    PERFORM mfiauto._check_gateway_exists(gateway);
  END IF;
  FOR kept IN
    DELETE FROM mfiauto.unread_webhook u USING mfiauto.gateway_config g
     WHERE g.gateway = u.gateway AND (_reread_webhooks.gateway IS NULL OR u.gateway = _reread_webhooks.gateway)
    RETURNING u.*, g.channel, g.definition
  LOOP
    number := number + mfiauto._take_webhook(kept.gateway, kept.channel, kept.definition, kept.method, kept.query,
      CASE WHEN kept.content_type IS NULL THEN '{}' ELSE jsonb_build_object('content-type', kept.content_type) END, kept.body);
  END LOOP;
  RETURN number;
END $$;
SELECT mfiauto._open_door('mfiauto._reread_webhooks(text)', '{admin}',
  'Reads webhooks that no rule could read once more, by the definitions as they are now; what still cannot be read stays in mfiauto.unread_webhook. Returns how many receipts and incoming messages were new.');

-- ---- Providers that are asked ----

CREATE FUNCTION mfiauto._due_polls() RETURNS TABLE (gateway text, cursor text)
LANGUAGE sql STABLE AS $$
  SELECT g.gateway, coalesce(p.cursor, g.definition #>> '{poll,cursor,first}')
    FROM mfiauto.gateway_config g
    LEFT JOIN mfiauto.poll_state p ON p.gateway = g.gateway
   WHERE g.is_enabled AND g.definition ? 'poll' AND coalesce(p.next_at, '-infinity') <= mfiauto.now()
$$;

-- What a provider answered to the question what is new: read as a webhook of its would be. It is asked again in time, ever later while that fails.
CREATE FUNCTION mfiauto._take_poll(gateway text, status integer, body bytea, error text) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  config record;
  rules jsonb;
  every interval;
  position text;
  number integer := 0;
BEGIN
  SELECT g.channel, g.definition INTO config FROM mfiauto.gateway_config g WHERE g.gateway = _take_poll.gateway;
  IF NOT config.definition ? 'poll' THEN
    RETURN 0;
  END IF;
  every := (config.definition -> 'poll' ->> 'every')::interval;
  IF error IS NULL THEN
    rules := CASE WHEN config.definition -> 'poll' ?| '{receipt,inbound}' THEN (config.definition -> 'poll') - '{every,request,cursor}'::text[] ELSE config.definition - 'signature' END;
    number := mfiauto._take_webhook(gateway, config.channel, rules, 'GET', '', '{"content-type": "application/json"}', body, is_fetched => true);
    BEGIN
      position := jsonb_path_query_first(convert_from(body, 'UTF8')::jsonb, (config.definition #>> '{poll,cursor,path}')::jsonpath, silent => true) #>> '{}';
    EXCEPTION WHEN data_exception THEN
      -- No JSON: told among what could not be read.
      position := NULL;
    END;
  END IF;
  INSERT INTO mfiauto.poll_state AS p (gateway, next_at, asked_at, status, error, event_count, failure_count, cursor)
  VALUES (gateway, mfiauto.now() + every, mfiauto.now(), nullif(status, 0), left(error, 200), number, (error IS NOT NULL)::integer, position)
  ON CONFLICT ON CONSTRAINT poll_state_pkey DO UPDATE
    SET next_at = mfiauto.now() + least(every * CASE WHEN error IS NULL THEN 1 ELSE 2 ^ least(p.failure_count + 1, 10) END, greatest(every, interval '1 hour')),
        asked_at = excluded.asked_at, status = excluded.status, error = excluded.error, event_count = p.event_count + excluded.event_count,
        failure_count = CASE WHEN excluded.error IS NULL THEN 0 ELSE p.failure_count + 1 END, cursor = coalesce(excluded.cursor, p.cursor);
  RETURN number;
END $$;
