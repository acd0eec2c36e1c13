-- Receipts: what providers say of messages after they took them.

-- A form or a query as an object of texts; a name that comes twice keeps its last value.
CREATE FUNCTION mfiauto._read_form(form text) RETURNS jsonb
  LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_read_form';

CREATE FUNCTION mfiauto._match_secret(gateway text, key text, candidate text) RETURNS boolean
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_match_secret';

-- a.b[0].c as the keys of #>>.
CREATE FUNCTION mfiauto._json_keys(path text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT array_agg(m[1] ORDER BY n) FROM regexp_matches(path, '([^.\[\]]+)', 'g') WITH ORDINALITY AS r(m, n)
$$;

-- The events at a list path such as entry[].changes[].value.statuses[]; null or '' is the body itself, or each element of an array.
CREATE FUNCTION mfiauto._json_list(body jsonb, path text) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  step text;
  found jsonb[] := ARRAY[body];
BEGIN
  FOREACH step IN ARRAY string_to_array(coalesce(nullif(path, ''), '[]'), '.') LOOP
    IF rtrim(step, '[]') <> '' THEN
      found := ARRAY(SELECT f -> rtrim(step, '[]') FROM unnest(found) f WHERE f -> rtrim(step, '[]') IS NOT NULL);
    END IF;
    IF step LIKE '%[]' THEN
      found := ARRAY(SELECT e FROM unnest(found) f, LATERAL (SELECT jsonb_array_elements(f) WHERE jsonb_typeof(f) = 'array'
                                                             UNION ALL SELECT f WHERE jsonb_typeof(f) = 'object') x(e));
    END IF;
  END LOOP;
  RETURN QUERY SELECT f FROM unnest(found) f WHERE jsonb_typeof(f) = 'object';
END $$;

-- Our state for a provider's status: by equality, by prefix, or by bits, where the state that says most wins.
CREATE FUNCTION mfiauto._receipt_state(rule jsonb, status text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT s.value
    FROM jsonb_each_text(rule -> 'states') s
   WHERE CASE coalesce(rule ->> 'match', 'equal')
           WHEN 'bits' THEN status ~ '^[0-9]{1,9}$' AND (CASE WHEN status ~ '^[0-9]{1,9}$' THEN status::integer ELSE 0 END & s.key::integer) <> 0
           WHEN 'prefix' THEN starts_with(status, s.key)
           ELSE lower(s.key) = lower(status) END
   ORDER BY CASE WHEN rule ->> 'match' = 'prefix' THEN -length(s.key) END,
            array_position(ARRAY['delivered', 'expired', 'undelivered', 'failed', 'sent', 'submitted', 'ignore'], s.value)
   LIMIT 1
$$;

-- Applies one receipt; false if it changed nothing. The message is locked, so that two receipts of one message come one after the other.
CREATE FUNCTION mfiauto._apply_receipt(gateway text, client_id bigint, message_id bigint, state text, error text, opted_out boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  message record;
BEGIN
  SELECT m.state, m.channel, m.created_at INTO message
    FROM mfiauto.message_ledger m WHERE m.message_id = _apply_receipt.message_id AND m.client_id = _apply_receipt.client_id FOR UPDATE;
  IF opted_out THEN
    INSERT INTO mfiauto.consent (client_id, channel, granted, reason, source, given_at, recorded_by)
    VALUES (_apply_receipt.client_id, message.channel, false, 'the gateway says so', 'gateway', mfiauto.now(), mfiauto._caller());
    PERFORM mfiauto._journal_append(0, 'p', 0, _apply_receipt.client_id);
  END IF;
  RETURN EXISTS (SELECT FROM mfiauto._settle_messages(ARRAY[_apply_receipt.client_id], ARRAY[_apply_receipt.message_id],
    ARRAY[CASE _apply_receipt.state WHEN 'expired' THEN 'undelivered' ELSE _apply_receipt.state END],
    ARRAY[CASE WHEN opted_out THEN 'recipient_opted_out' WHEN _apply_receipt.state = 'expired' THEN 'receipt_expired' WHEN _apply_receipt.state IN ('undelivered', 'failed') THEN 'receipt_failed' END]));
END $$;

-- The message that a receipt is about: by our own reference (message_id-key), else by the provider's id at this gateway.
CREATE FUNCTION mfiauto._find_receipt_message(gateway text, reference text, provider_id text, is_prefix boolean, OUT client_id bigint, OUT message_id bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF reference ~ '^[0-9]{1,18}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT m.client_id, m.message_id INTO client_id, message_id
      FROM mfiauto.message_ledger m
      LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
     WHERE m.message_id = split_part(reference, '-', 1)::bigint AND m.idempotency_key = substr(reference, strpos(reference, '-') + 1)::uuid
       AND coalesce(o.gateway, m.gateway) = _find_receipt_message.gateway;
  END IF;
  IF message_id IS NULL AND provider_id <> '' THEN
    SELECT k.client_id, k.message_id INTO client_id, message_id
      FROM mfiauto.provider_key k
     WHERE k.gateway = _find_receipt_message.gateway AND k.provider_id = CASE WHEN is_prefix THEN split_part(_find_receipt_message.provider_id, '.', 1)
                                                                               ELSE _find_receipt_message.provider_id END
     ORDER BY k.named_at DESC LIMIT 1;
  END IF;
END $$;

CREATE FUNCTION mfiauto._check_receipt_token(gateway text, rule jsonb, headers jsonb, parameters jsonb) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  given text;
  is_good boolean;
BEGIN
  IF rule -> 'token' IS NULL THEN
    RETURN;
  END IF;
  given := CASE WHEN rule -> 'token' ? 'header'
                THEN (SELECT h.value FROM jsonb_each_text(headers) h WHERE lower(h.key) = lower(rule -> 'token' ->> 'header') LIMIT 1)
                ELSE parameters ->> (rule -> 'token' ->> 'parameter') END;
  is_good := mfiauto._match_secret(gateway, rule -> 'token' ->> 'secret', coalesce(given, ''));
  IF is_good IS NULL THEN
    RAISE EXCEPTION 'receipts of gateway "%" cannot be checked: secret "%" is not set', gateway, rule -> 'token' ->> 'secret' USING ERRCODE = '55000',
      HINT = format('SELECT mfiauto.set_secret(%L, %L, …); and give the provider the same token.', gateway, rule -> 'token' ->> 'secret');
  ELSIF NOT is_good THEN
    RAISE EXCEPTION 'receipt was not accepted' USING ERRCODE = '28000', DETAIL = 'Its token is not the gateway''s.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._receive(gateway text, headers jsonb, body text) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  rule jsonb;
  given jsonb := coalesce(headers, '{}');
  content jsonb;
  receipt jsonb;
  fingerprint text;
  target record;
  status text;
  state text;
  error text;
  provider_id text;
  reference text;
  is_applied boolean;
  number integer := 0;
BEGIN
  PERFORM mfiauto._check_gateway_exists(gateway);
  SELECT g.definition -> 'receipt' INTO rule FROM mfiauto.gateway_config g WHERE g.gateway = _receive.gateway;
  IF rule IS NULL THEN
    RAISE EXCEPTION 'gateway "%" has no receipts', gateway USING ERRCODE = '55000', HINT = 'Its definition says nothing of "receipt".';
  END IF;
  IF jsonb_typeof(given) <> 'object' THEN
    RAISE EXCEPTION 'headers must be a JSON object' USING ERRCODE = '22023';
  END IF;
  IF length(body) > 1048576 THEN
    RAISE EXCEPTION 'receipt is longer than 1 MB' USING ERRCODE = '54000';
  END IF;
  IF rule ->> 'format' = 'json' THEN
    BEGIN
      content := body::jsonb;
    EXCEPTION WHEN data_exception THEN
      RAISE EXCEPTION 'receipt is not valid JSON' USING ERRCODE = '22P02', DETAIL = sqlerrm;
    END;
  ELSE
    content := mfiauto._read_form(coalesce(body, ''));
  END IF;
  PERFORM mfiauto._check_receipt_token(gateway, rule, given, CASE WHEN jsonb_typeof(content) = 'object' THEN content ELSE '{}' END);
  FOR receipt IN SELECT l FROM mfiauto._json_list(content, rule ->> 'list') l LOOP
    status := left(receipt #>> mfiauto._json_keys(rule ->> 'status'), 200);
    error := left(receipt #>> mfiauto._json_keys(rule ->> 'error'), 200);
    provider_id := left(receipt #>> mfiauto._json_keys(rule ->> 'id'), 250);
    reference := left(receipt #>> mfiauto._json_keys(rule ->> 'reference'), 250);
    state := mfiauto._receipt_state(rule, coalesce(status, ''));
    CONTINUE WHEN coalesce(provider_id, reference, status, '') = '';
    -- What providers repeat is the same receipt; the token is no part of it.
    fingerprint := encode(sha256(convert_to(concat_ws('|', provider_id, reference, status, error, number), 'UTF8')), 'hex');
    CONTINUE WHEN EXISTS (SELECT FROM mfiauto.receipt r WHERE r.gateway = _receive.gateway AND r.digest = fingerprint);
    SELECT * INTO target FROM mfiauto._find_receipt_message(gateway, reference, provider_id, coalesce((rule ->> 'id_prefix')::boolean, false));
    is_applied := target.message_id IS NOT NULL AND state IS NOT NULL AND state <> 'ignore'
      AND mfiauto._apply_receipt(gateway, target.client_id, target.message_id, state, error,
            coalesce(rule -> 'opted_out_errors' ? error, false));
    INSERT INTO mfiauto.receipt (client_id, gateway, message_id, provider_id, reference, status, state, applied, digest, error, received_at)
    VALUES (coalesce(target.client_id, 0), gateway, target.message_id, provider_id, reference, status, state, is_applied, fingerprint, error, mfiauto.now());
    number := number + 1;
  END LOOP;
  RETURN number;
END $$;
SELECT mfiauto._open_door('mfiauto._receive(text, jsonb, text)', '{admin,receiver}',
  'Takes a provider''s webhook: headers as a JSON object, body as it came (for a GET, its query). Returns the number of receipts that were new. '
  'What matches no message yet is stored and matched when the message is known.');

-- Receipts that came before our own record of the provider's id did.
CREATE FUNCTION mfiauto._match_receipts() RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  waiting record;
  target record;
  matched bigint := 0;
BEGIN
  FOR waiting IN
    SELECT r.receipt_id, r.received_at, r.gateway, r.reference, r.provider_id, r.state, r.error, g.definition -> 'receipt' AS rule
      FROM mfiauto.receipt r JOIN mfiauto.gateway_config g ON g.gateway = r.gateway
     WHERE r.client_id = 0 AND r.received_at > mfiauto.now() - interval '10 minutes'
     ORDER BY r.received_at, r.receipt_id
  LOOP
    SELECT * INTO target
      FROM mfiauto._find_receipt_message(waiting.gateway, waiting.reference, waiting.provider_id, coalesce((waiting.rule ->> 'id_prefix')::boolean, false));
    CONTINUE WHEN target.message_id IS NULL;
    UPDATE mfiauto.receipt r
       SET client_id = target.client_id, message_id = target.message_id,
           applied = waiting.state IS NOT NULL AND waiting.state <> 'ignore'
             AND mfiauto._apply_receipt(waiting.gateway, target.client_id, target.message_id, waiting.state, waiting.error,
                   coalesce(waiting.rule -> 'opted_out_errors' ? waiting.error, false))
     WHERE r.client_id = 0 AND r.received_at = waiting.received_at AND r.receipt_id = waiting.receipt_id;
    matched := matched + 1;
  END LOOP;
  RETURN matched;
END $$;
