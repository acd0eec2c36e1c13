-- Calls: the document that a telephone provider asks for when the client has answered, the digits he pressed, and calling again who did not answer.

-- What a call says, in the provider's language: a recording, or the text for a voice to read; and the digits to wait for, which come back to back_url (null:
-- nowhere). Every value is escaped for its place.
CREATE FUNCTION mfiauto._voice_document(format text, body text, options jsonb, back_url text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
  digits integer := (options ->> 'max_digits')::integer;
  context jsonb := jsonb_build_object('text', body, 'audio', options ->> 'audio', 'language', options ->> 'say_language', 'voice', options ->> 'voice', 'back', back_url,
                                      'digits', digits, 'timeout', coalesce((options ->> 'digits_timeout')::integer, 10));
  waits boolean := digits IS NOT NULL AND back_url IS NOT NULL;
BEGIN
  CASE format
    WHEN 'twiml' THEN
      RETURN mfiauto.render('<?xml version="1.0" encoding="UTF-8"?><Response>'
        || CASE WHEN waits THEN '<Gather input="dtmf" numDigits="{{digits}}" timeout="{{timeout}}" method="POST" action="{{back}}">' ELSE '' END
        || '{{#audio}}<Play>{{audio}}</Play>{{/audio}}{{^audio}}<Say{{#language}} language="{{language}}"{{/language}}{{#voice}} voice="{{voice}}"{{/voice}}>{{text}}</Say>{{/audio}}'
        || CASE WHEN waits THEN '</Gather>' ELSE '' END || '</Response>', context, escape => 'xml');
    WHEN 'africastalking' THEN
      RETURN mfiauto.render('<?xml version="1.0" encoding="UTF-8"?><Response>'
        || CASE WHEN waits THEN '<GetDigits numDigits="{{digits}}" timeout="{{timeout}}" finishOnKey="#" callbackUrl="{{back}}">' ELSE '' END
        || '{{#audio}}<Play url="{{audio}}"/>{{/audio}}{{^audio}}<Say voice="{{voice}}{{^voice}}woman{{/voice}}">{{text}}</Say>{{/audio}}'
        || CASE WHEN waits THEN '</GetDigits>' ELSE '' END || '</Response>', context, escape => 'xml');
    WHEN 'ncco' THEN
      RETURN (jsonb_build_array(jsonb_strip_nulls(
                CASE WHEN options ? 'audio' THEN jsonb_build_object('action', 'stream', 'streamUrl', jsonb_build_array(options ->> 'audio'), 'bargeIn', CASE WHEN waits THEN true END)
                     ELSE jsonb_build_object('action', 'talk', 'text', body, 'language', options ->> 'say_language', 'bargeIn', CASE WHEN waits THEN true END) END))
              || CASE WHEN waits THEN jsonb_build_array(jsonb_build_object('action', 'input', 'type', jsonb_build_array('dtmf'), 'eventUrl', jsonb_build_array(back_url),
                                                          'dtmf', jsonb_build_object('maxDigits', digits, 'timeOut', least(coalesce((options ->> 'digits_timeout')::integer, 5), 10))))
                      ELSE '[]' END)::text;
  END CASE;
END $$;

-- The document that ends a call, or turns one away that has not been answered: who rings us pays nothing.
CREATE FUNCTION mfiauto._voice_ending(format text, is_rejected boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE format WHEN 'ncco' THEN '[]'
                     WHEN 'twiml' THEN CASE WHEN is_rejected THEN '<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy"/></Response>'
                                            ELSE '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>' END
                     ELSE CASE WHEN is_rejected THEN '<?xml version="1.0" encoding="UTF-8"?><Response><Reject/></Response>' ELSE '<?xml version="1.0" encoding="UTF-8"?><Response></Response>' END END
$$;

CREATE FUNCTION mfiauto._voice_response(format text, document text) RETURNS mfiauto._response
LANGUAGE sql STABLE AS $$
  SELECT ROW(200, jsonb_build_object('content-type', CASE format WHEN 'ncco' THEN 'application/json' ELSE 'text/xml; charset=utf-8' END, 'cache-control', 'no-store'),
             convert_to(document, 'UTF8'))::mfiauto._response
$$;

-- Whether a condition {"path", "equals"} or {"path", "exists"} of a definition holds for what came in.
CREATE FUNCTION mfiauto._voice_fits(parameters jsonb, condition jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN condition ? 'exists' THEN (parameters #>> string_to_array(condition ->> 'path', '.') IS NOT NULL) = (condition ->> 'exists')::boolean
              ELSE coalesce(condition -> 'equals' ? (parameters #>> string_to_array(condition ->> 'path', '.')), false) END
$$;

-- The message of a call: by our reference, which nobody can guess, else by the provider's number of the call.
CREATE FUNCTION mfiauto._find_call(gateway text, reference text, provider_id text, OUT client_id bigint, OUT message_id bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF reference ~ '^[0-9]{1,18}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT m.client_id, m.message_id INTO client_id, message_id
      FROM mfiauto.message_ledger m
      LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
     WHERE m.message_id = split_part(reference, '-', 1)::bigint AND m.idempotency_key = substr(reference, strpos(reference, '-') + 1)::uuid
       AND m.channel = 'voice' AND coalesce(o.gateway, m.gateway) = _find_call.gateway;
  END IF;
  IF message_id IS NULL AND provider_id <> '' THEN
    SELECT k.client_id, k.message_id INTO client_id, message_id
      FROM mfiauto.provider_key k WHERE k.gateway = _find_call.gateway AND k.provider_id = _find_call.provider_id ORDER BY k.named_at DESC LIMIT 1;
  END IF;
END $$;

-- Notes digits, once a call.
CREATE FUNCTION mfiauto._take_digits(client_id bigint, message_id bigint, call text, digits text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM mfiauto.message_ledger m WHERE m.client_id = _take_digits.client_id AND m.message_id = _take_digits.message_id FOR UPDATE;
  IF digits ~ '^[0-9*#]{1,20}$' AND NOT EXISTS (SELECT FROM mfiauto.interaction_log i WHERE i.message_id = _take_digits.message_id AND i.client_id = _take_digits.client_id
                                                   AND i.kind = 'pressed' AND i.detail ->> 'call' IS NOT DISTINCT FROM _take_digits.call) THEN
    PERFORM mfiauto._note_interaction(client_id, message_id, 'pressed', jsonb_strip_nulls(jsonb_build_object('digits', digits, 'call', call)));
  END IF;
END $$;

-- What a provider asks while a call goes on, and what it is answered. parameters: all that came in, as an object.
CREATE FUNCTION mfiauto._answer_call(gateway text, parameters jsonb) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  config record;
  rule jsonb;
  format text;
  message record;
  call text;
  digits text;
  back text;
BEGIN
  SELECT g.definition -> 'voice' AS rule, g.definition -> 'signature' ->> 'parameter' AS parameter, g.settings INTO config FROM mfiauto.gateway_config g WHERE g.gateway = _answer_call.gateway;
  rule := config.rule;
  IF rule IS NULL THEN
    RETURN mfiauto._response_of(404);
  END IF;
  format := rule ->> 'format';
  call := left(parameters #>> string_to_array(rule ->> 'id', '.'), 250);
  -- A client rings us: he wants to be called, or says that he was here.
  IF rule ? 'inbound' AND mfiauto._voice_fits(parameters, rule -> 'inbound') THEN
    PERFORM mfiauto._take_inbound(gateway, 'voice', 'missed_call', parameters #>> string_to_array(rule ->> 'from', '.'), parameters #>> string_to_array(rule ->> 'to', '.'),
                                  NULL, call, NULL, NULL);
    RETURN mfiauto._voice_response(format, mfiauto._voice_ending(format, true));
  END IF;
  SELECT f.client_id, f.message_id, m.body, m.options INTO message
    FROM mfiauto._find_call(gateway, parameters #>> string_to_array(rule ->> 'reference', '.'), call) f
    JOIN mfiauto.message_ledger m ON m.client_id = f.client_id AND m.message_id = f.message_id;
  IF NOT FOUND THEN
    RETURN mfiauto._voice_response(format, mfiauto._voice_ending(format, false));
  END IF;
  digits := nullif(rtrim(parameters #>> string_to_array(rule ->> 'digits', '.'), '#'), '');
  IF digits IS NOT NULL THEN
    PERFORM mfiauto._take_digits(message.client_id, message.message_id, call, digits);
    RETURN mfiauto._voice_response(format, mfiauto._voice_ending(format, false));
  END IF;
  -- What came back without digits was a time that passed.
  IF parameters ->> 'step' = 'digits' THEN
    RETURN mfiauto._voice_response(format, mfiauto._voice_ending(format, false));
  END IF;
  IF NOT EXISTS (SELECT FROM mfiauto.interaction_log i WHERE i.message_id = message.message_id AND i.client_id = message.client_id AND i.kind = 'answered'
                    AND i.detail ->> 'call' IS NOT DISTINCT FROM call) THEN
    PERFORM mfiauto._note_interaction(message.client_id, message.message_id, 'answered', jsonb_strip_nulls(jsonb_build_object('call', call)));
  END IF;
  -- What proved this request right will have to prove the next one.
  IF config.settings ? 'voice_url' THEN
    SELECT split_part(config.settings ->> 'voice_url', '?', 1) || '?' || concat_ws('&', nullif(q.query, ''),
             CASE WHEN parameters ? config.parameter THEN mfiauto.render('{{name}}={{value}}', jsonb_build_object('name', config.parameter, 'value', parameters ->> config.parameter), NULL, 'url') END,
             'step=digits', format('ref=%s-%s', m.message_id, m.idempotency_key))
      INTO back
      FROM mfiauto.message_ledger m,
           (SELECT string_agg(p.pair, '&' ORDER BY p.n) AS query FROM unnest(string_to_array(split_part(config.settings ->> 'voice_url', '?', 2), '&')) WITH ORDINALITY AS p(pair, n)
             WHERE split_part(p.pair, '=', 1) IS DISTINCT FROM config.parameter) q
     WHERE m.client_id = message.client_id AND m.message_id = message.message_id;
  END IF;
  RETURN mfiauto._voice_response(format, mfiauto._voice_document(format, message.body, coalesce(message.options, '{}'), back));
END $$;

-- Calls that nobody heard, moved just now: called again at the next time of the text's ladder, in contact hours and before the message expires. It stays the same
-- message; the next call has a key of its own, so that what a provider still says of this one is not taken for that one.
CREATE FUNCTION mfiauto._call_again(client_ids bigint[], message_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  redialed bigint;
BEGIN
  WITH unheard AS MATERIALIZED (
    SELECT m.*, z.zone AS its_zone, z.country AS its_country, k.honors_contact_hours, k.priority,
           coalesce(m.options -> 'retries', '["10 minutes", "2 hours"]') AS ladder
      FROM (SELECT DISTINCT u.client_id, u.message_id FROM unnest(client_ids, message_ids) AS u(client_id, message_id)) u
      JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = u.client_id AND m.message_id = u.message_id OFFSET 0) m
        ON m.channel = 'voice' AND m.state = 'undelivered' AND m.reason IN ('receipt_failed', 'receipt_expired') AND m.finished_at = clock
       AND m.options ?| '{retries,max_attempts}'
      JOIN mfiauto.message_class k ON k.class = m.class
      LEFT JOIN mfiauto.enrollment_state e ON e.client_id = m.client_id AND e.enrollment_id = m.enrollment_id
      LEFT JOIN LATERAL mfiauto._client_zones(ARRAY[m.client_id]) z ON true
     WHERE e.state IS DISTINCT FROM 'exited'
  ), placed AS MATERIALIZED (
    SELECT u.*, clock + (u.ladder ->> least(u.attempts, jsonb_array_length(u.ladder)) - 1)::interval AS wanted_at
      FROM unheard u
     WHERE u.attempts < coalesce((u.options ->> 'max_attempts')::integer, jsonb_array_length(u.ladder) + 1)
  ), again AS MATERIALIZED (
    SELECT p.*, CASE WHEN p.honors_contact_hours THEN mfiauto._next_allowed(p.wanted_at, p.its_zone, p.its_country, p.class) ELSE p.wanted_at END AS next_at,
           md5(p.idempotency_key::text || p.attempts)::uuid AS next_key
      FROM placed p
  ), written AS (
    UPDATE mfiauto.message_ledger m SET state = 'queued', reason = 'no_answer', finished_at = NULL, sent_at = NULL, provider_id = NULL, idempotency_key = a.next_key
      FROM again a
     WHERE a.next_at < coalesce(a.expires_at, 'infinity') AND m.client_id = a.client_id AND m.created_at = a.created_at AND m.message_id = a.message_id
    RETURNING m.client_id, m.message_id, m.attempts, m.gateway, m.claimed_at
  ), forgotten AS (
    DELETE FROM mfiauto.provider_key k USING written w WHERE k.client_id = w.client_id AND k.message_id = w.message_id
  ), noted AS (
    INSERT INTO mfiauto.attempt (client_id, message_id, gateway, attempt_no, started_at, ended_at, outcome)
    SELECT w.client_id, w.message_id, coalesce(w.gateway, '?'), w.attempts, coalesce(w.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(), 'no_answer' FROM written w
  ), queued AS (
    INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at, enrollment_id, workflow_id, version, attempts, reason)
    SELECT a.client_id, a.message_id, a.created_at, a.channel, a.priority, a.next_at, a.expires_at, a.enrollment_id, a.workflow_id, a.version, a.attempts, 'no_answer'
      FROM again a JOIN written w ON w.client_id = a.client_id AND w.message_id = a.message_id
    RETURNING 1
  )
  SELECT count(*) INTO redialed FROM queued;
  IF redialed > 0 THEN
    PERFORM mfiauto._wake_delivery();
  END IF;
  RETURN redialed;
END $$;

-- A telephone provider's question as the web front got it. One that says that a call is over, or how it went, is a receipt like any other.
CREATE FUNCTION mfiauto._serve_voice(gateway text, method text, path text, query text, headers jsonb, body bytea) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  config record;
  given_query text := ltrim(coalesce(query, ''), '?');
  given jsonb := CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END;
  bytes bytea := coalesce(body, '');
  kind text;
  parameters jsonb := '{}';
  content text;
  verdict text;
BEGIN
  SELECT g.definition, g.settings INTO config FROM mfiauto.gateway_config g WHERE g.gateway = _serve_voice.gateway AND g.channel = 'voice';
  IF config.definition -> 'voice' IS NULL THEN
    RETURN mfiauto._response_of(404);
  ELSIF method IS NULL OR method NOT IN ('GET', 'POST') THEN
    RETURN mfiauto._response_of(405, headers => '{"allow": "GET, POST"}');
  ELSIF octet_length(bytes) > 65536 OR length(given_query) > 8192 THEN
    RETURN mfiauto._response_of(413);
  END IF;
  IF coalesce(config.definition -> 'signature' ->> 'method', 'none') <> 'none' THEN
    SELECT c.verdict INTO verdict
      FROM mfiauto._check_webhook(gateway, (config.definition -> 'signature')::text, method, split_part(config.settings ->> 'voice_url', '?', 1), given_query, given, bytes, mfiauto.now()) c;
    IF verdict <> 'good' THEN
      RETURN mfiauto._answer_refusal(gateway, config.definition, verdict);
    END IF;
  END IF;
  kind := (SELECT h.value FROM jsonb_each_text(given) h WHERE lower(h.key) = 'content-type' LIMIT 1);
  BEGIN
    parameters := coalesce(mfiauto._read_form(given_query), '{}');
    content := convert_from(bytes, 'UTF8');
    IF kind ~* 'json' THEN
      parameters := parameters || CASE WHEN jsonb_typeof(content::jsonb) = 'object' THEN content::jsonb ELSE '{}' END;
    ELSIF content <> '' THEN
      parameters := parameters || coalesce(mfiauto._read_form(content), '{}');
    END IF;
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN mfiauto._response_of(400);
  END;
  -- The end of a call that we turned away is no news of a message.
  IF config.definition -> 'voice' ? 'ended' AND mfiauto._voice_fits(parameters, config.definition -> 'voice' -> 'ended')
     AND NOT mfiauto._voice_fits(parameters, coalesce(config.definition -> 'voice' -> 'inbound', '{}')) THEN
    RETURN mfiauto._serve_webhook(gateway, method, query, headers, body);
  END IF;
  RETURN mfiauto._answer_call(gateway, parameters);
END $$;
