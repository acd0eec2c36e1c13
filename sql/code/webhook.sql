-- Webhooks: whether one is the provider's, and what it says.

-- A form or a query as an object of texts; a name that comes twice keeps its last value.
CREATE FUNCTION mfiauto._read_form(form text) RETURNS jsonb
  LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_read_form';

CREATE FUNCTION mfiauto._match_secret(gateway text, key text, candidate text) RETURNS boolean
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_match_secret';

-- verdict: good, bad, late (good, but of another time), unset (no secret to check with). nonce: what the provider calls the delivery, if that is signed.
CREATE FUNCTION mfiauto._check_webhook(gateway text, rule text, method text, url text, query text, headers jsonb, body bytea, at timestamptz,
  OUT verdict text, OUT nonce text)
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_check_webhook';

-- One thing that a webhook says. part: receipt (of a message), inbound (what somebody wrote), nothing (the body can be read, and no rule fits it) or unreadable.
CREATE TYPE mfiauto._webhook_event AS (
  part text, provider_id text, reference text, status text, state text, interaction text, error text, at timestamptz, detail jsonb,
  opted_out boolean, dead boolean, is_bot boolean, digest text, kind text, from_address text, to_address text, body text);

CREATE FUNCTION mfiauto._read_webhook(definition text, method text, query text, headers jsonb, body bytea) RETURNS SETOF mfiauto._webhook_event
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_read_webhook';

-- Our address as the provider knows it, without its query: never what a request's Host says.
CREATE FUNCTION mfiauto._webhook_address(gateway text, settings jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN split_part(a.url, '?', 1) !~ '\{\{' THEN split_part(a.url, '?', 1) END
    FROM (SELECT coalesce(settings ->> 'public_url', settings ->> 'receipt_url',
                          (SELECT rtrim(to_jsonb(i) ->> 'public_url', '/') || '/w/' || gateway FROM mfiauto.institution i)) AS url) a
$$;

-- The rule of a gateway's signatures with what its settings say of the topic and the algorithm.
CREATE FUNCTION mfiauto._settle_signature(definition jsonb, settings jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT definition -> 'signature'
      || jsonb_strip_nulls(jsonb_build_object('topic', settings ->> (definition -> 'signature' ->> 'topic')))
      || CASE WHEN definition -> 'signature' ->> 'algorithm' LIKE 'settings.%'
              THEN (SELECT jsonb_build_object('algorithm', coalesce(settings ->> a.name, definition -> 'settings' -> a.name ->> 'default', 'md5'))
                      FROM (SELECT substr(definition -> 'signature' ->> 'algorithm', 10) AS name) a) ELSE '{}' END
$$;

-- What is wrong with a webhook, or null; nonce as above. It may have waited on the front's disk: its time is when it came in.
CREATE FUNCTION mfiauto._refuse_webhook(gateway text, definition jsonb, settings jsonb, method text, query text, headers jsonb, body bytea,
  OUT refusal text, OUT nonce text)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  rule jsonb := definition -> 'signature';
BEGIN
  IF rule IS NULL OR rule ->> 'method' = 'none' THEN
    RETURN;
  END IF;
  rule := mfiauto._settle_signature(definition, settings);
  SELECT nullif(c.verdict, 'good'), c.nonce INTO refusal, nonce
    FROM mfiauto._check_webhook(gateway, rule::text, method, mfiauto._webhook_address(gateway, settings), query, headers, body, mfiauto._received_at(headers)) c;
END $$;

-- False if this very delivery was taken before. Two at once: the second one waits for the first.
CREATE FUNCTION mfiauto._remember_webhook(gateway text, definition jsonb, nonce text, method text, query text, body bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  -- Who writes the same word twice sends the same body twice, where a provider numbers nothing and dates nothing.
  IF nonce IS NULL AND EXISTS (
       SELECT FROM jsonb_array_elements(CASE jsonb_typeof(definition -> 'inbound') WHEN 'array' THEN definition -> 'inbound'
                                             WHEN 'object' THEN jsonb_build_array(definition -> 'inbound') ELSE '[]' END) r
        WHERE NOT r ? 'id' AND NOT r ? 'time') THEN
    RETURN true;
  END IF;
  INSERT INTO mfiauto.webhook_memory AS m (gateway, digest, received_at)
  VALUES (gateway, CASE WHEN nonce IS NOT NULL THEN sha256(convert_to('nonce ' || nonce, 'UTF8'))
                        ELSE sha256(convert_to(method || ' ' || query || ' ', 'UTF8') || body) END, mfiauto.now())
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

-- A shared secret that came along is not kept.
CREATE FUNCTION mfiauto._without_token(definition jsonb, form text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN definition -> 'signature' ->> 'parameter' IS NULL THEN form
              ELSE array_to_string(ARRAY(SELECT p FROM unnest(string_to_array(form, '&')) p
                                          WHERE split_part(ltrim(p, '?'), '=', 1) <> definition -> 'signature' ->> 'parameter'), '&') END
$$;

-- Keeps what was verified and cannot be read, up to 10,000 a gateway.
CREATE FUNCTION mfiauto._keep_unread(gateway text, definition jsonb, problem text, method text, query text, headers jsonb, body bytea) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  kind text := (SELECT h.value FROM jsonb_each_text(headers) h WHERE lower(h.key) = 'content-type' LIMIT 1);
BEGIN
  IF (SELECT count(*) FROM (SELECT FROM mfiauto.unread_webhook u WHERE u.gateway = _keep_unread.gateway LIMIT 10000) u) >= 10000 THEN
    RETURN;
  END IF;
  INSERT INTO mfiauto.unread_webhook (gateway, problem, method, query, content_type, body, received_at)
  VALUES (gateway, problem, method, mfiauto._without_token(definition, query), kind,
          CASE WHEN definition -> 'signature' ? 'parameter' AND coalesce(kind, '') !~* 'json' AND position('\x00'::bytea IN body) = 0
               THEN convert_to(mfiauto._without_token(definition, convert_from(body, 'LATIN1')), 'LATIN1') ELSE body END, mfiauto.now());
END $$;

-- The last refusal, for the operator; noted at most once a second, whoever knocks.
CREATE FUNCTION mfiauto._note_refusal(gateway text, reason text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.webhook_state AS s (gateway, refused_at, refused_reason) VALUES (gateway, mfiauto.now(), reason)
  ON CONFLICT ON CONSTRAINT webhook_state_pkey DO UPDATE SET refused_at = excluded.refused_at, refused_reason = excluded.refused_reason
   WHERE s.refused_at IS NULL OR s.refused_at < excluded.refused_at - interval '1 second' OR s.refused_at > excluded.refused_at
$$;

-- Amazon SNS wants a person to open an address before it sends anything.
CREATE FUNCTION mfiauto._note_subscription(gateway text, definition jsonb, body bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  envelope jsonb;
BEGIN
  IF definition -> 'signature' ->> 'method' IS DISTINCT FROM 'sns' THEN
    RETURN false;
  END IF;
  -- It was verified: it is JSON.
  envelope := convert_from(body, 'UTF8')::jsonb;
  IF envelope ->> 'Type' = 'Notification' THEN
    RETURN false;
  END IF;
  INSERT INTO mfiauto.webhook_state AS s (gateway, confirm_url, confirm_at)
  VALUES (gateway, CASE envelope ->> 'Type' WHEN 'SubscriptionConfirmation' THEN left(envelope ->> 'SubscribeURL', 2000) END, mfiauto.now())
  ON CONFLICT ON CONSTRAINT webhook_state_pkey DO UPDATE SET confirm_url = excluded.confirm_url, confirm_at = excluded.confirm_at;
  RETURN true;
END $$;

CREATE FUNCTION mfiauto._response_of(status integer, body text DEFAULT '', content_type text DEFAULT NULL, headers jsonb DEFAULT '{}') RETURNS mfiauto._response
LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(status, CASE WHEN content_type IS NULL THEN headers ELSE headers || jsonb_build_object('content-type', content_type) END,
             convert_to(body, 'UTF8'))::mfiauto._response
$$;

-- What a refused request is told; why, status() tells the operator.
CREATE FUNCTION mfiauto._answer_refusal(gateway text, definition jsonb, refusal text) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._note_refusal(gateway, refusal);
  RETURN CASE WHEN refusal = 'unset' THEN mfiauto._response_of(503, headers => '{"retry-after": "60"}')
              WHEN definition -> 'signature' ->> 'method' = 'basic' THEN mfiauto._response_of(401, headers => '{"www-authenticate": "Basic realm=\"receipts\""}')
              ELSE mfiauto._response_of(401) END;
END $$;

-- Providers that first ask whether it is us: null if this is no such question.
CREATE FUNCTION mfiauto._answer_challenge(gateway text, definition jsonb, method text, query text) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  rule jsonb := definition -> 'challenge';
  parameters jsonb;
BEGIN
  IF rule ->> 'parameter' IS NULL OR method <> 'GET' THEN
    RETURN NULL;
  END IF;
  parameters := mfiauto._read_form(query);
  IF NOT parameters ? (rule ->> 'parameter') THEN
    RETURN NULL;
  END IF;
  IF coalesce(mfiauto._match_secret(gateway, rule -> 'verify' ->> 'secret', coalesce(parameters ->> (rule -> 'verify' ->> 'parameter'), '')), false) THEN
    RETURN mfiauto._response_of(200, left(parameters ->> (rule ->> 'parameter'), 1000), 'text/plain');
  END IF;
  PERFORM mfiauto._note_refusal(gateway, 'bad');
  RETURN mfiauto._response_of(403);
END $$;
