-- Gateways: ways out declared as data, their presets and their secrets.

-- The one table that is the extension's own and is never dumped: values of secrets, or where to read them. Only the library reads it.
CREATE TABLE mfiauto._secret (
  gateway text NOT NULL,
  key text NOT NULL,
  value text,
  file text,
  env text,
  CONSTRAINT _secret_pkey PRIMARY KEY (gateway, key),
  CONSTRAINT _secret_source_check CHECK (num_nonnulls(value, file, env) = 1)
);

CREATE VIEW mfiauto.gateway_preset AS
  SELECT p.preset, ARRAY(SELECT jsonb_array_elements_text(p.content -> 'channels')) AS channels, p.content ->> 'about' AS about,
         (SELECT string_agg(s.key || CASE WHEN (s.value ->> 'required')::boolean THEN ' (needed)' ELSE '' END, ', ' ORDER BY s.key)
            FROM jsonb_each(p.content -> 'definition' -> 'settings') s) AS settings,
         ARRAY(SELECT jsonb_array_elements_text(p.content -> 'definition' -> 'secrets')) AS secrets,
         p.content -> 'definition' AS definition
    FROM mfiauto._gateway_preset() p;
COMMENT ON VIEW mfiauto.gateway_preset IS
  'The gateway definitions that ship: for which channels, the settings they take beside the common ones (sender, rate_per_second, concurrency, timeout, '
  'connect_timeout, attempts, breaker_failures, cost_per_part, currency, budget_per_day, budget_per_month, receipt_url) and the secrets they need.';

-- Compiles a definition with its settings; every fault is an error that names its place.
CREATE FUNCTION mfiauto._check_gateway(name text, channel text, definition text, settings text) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_check_gateway';

CREATE FUNCTION mfiauto._check_gateway_exists(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.gateway = _check_gateway_exists.name) THEN
    RAISE EXCEPTION 'gateway "%" does not exist', name USING ERRCODE = '42704', HINT = 'See SELECT gateway, channel FROM mfiauto.gateway;';
  END IF;
END $$;

-- Statements of a gateway that is tables, and triggers on those tables, run with the owner's rights.
CREATE FUNCTION mfiauto._check_tables_right(definition jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF definition ? 'sql' AND (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = mfiauto._caller()) THEN
    RAISE EXCEPTION 'must be superuser to declare a gateway of tables while a superuser owns the installation' USING ERRCODE = '42501',
      DETAIL = 'Its statements run with the owner''s rights.', HINT = 'Let a superuser do it, or install with an owner who is none.';
  END IF;
END $$;

-- Settings are read by more people than may speak for the provider.
CREATE FUNCTION mfiauto._check_no_token(definition jsonb, settings jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  parameter text := definition -> 'signature' ->> 'parameter';
  wrong text := (SELECT s.key FROM jsonb_each_text(settings) s
                  WHERE EXISTS (SELECT FROM unnest(string_to_array(split_part(split_part(s.value, '#', 1), '?', 2), '&')) AS p(pair)
                                 WHERE split_part(p.pair, '=', 1) = parameter AND split_part(p.pair, '=', 2) !~ '^(\{\{&? *secret\.[a-z0-9_]+ *\}\})?$')
                  ORDER BY s.key LIMIT 1);
BEGIN
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'setting "%" holds the value of parameter "%", which is a secret', wrong, parameter USING ERRCODE = '22023',
      HINT = format('Write ?%s={{secret.%s}} there, and give the value to set_secret().', parameter, definition -> 'signature' ->> 'secret');
  END IF;
END $$;

CREATE FUNCTION mfiauto._create_gateway(name text, channel text, preset text DEFAULT NULL, definition json DEFAULT NULL, settings json DEFAULT '{}',
  priority integer DEFAULT 100) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  shipped record;
  given json := coalesce(settings, '{}');
BEGIN
  IF name IS NULL OR name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
    RAISE EXCEPTION 'gateway name "%" is not valid', coalesce(name, 'null') USING ERRCODE = '22023',
      HINT = 'Use lower-case letters, digits and "_", a letter first.';
  END IF;
  IF channel IS NULL OR channel NOT IN ('sms', 'email', 'voice', 'push', 'whatsapp', 'telegram', 'messenger', 'inapp', 'webhook') THEN
    RAISE EXCEPTION 'channel "%" does not exist', coalesce(channel, 'null') USING ERRCODE = '22023',
      HINT = 'Channels: sms, email, voice, push, whatsapp, telegram, messenger, inapp, webhook.';
  END IF;
  IF (preset IS NULL) = (definition IS NULL) THEN
    RAISE EXCEPTION 'a gateway needs either a preset or a definition' USING ERRCODE = '22023', HINT = 'See SELECT preset, about FROM mfiauto.gateway_preset;';
  END IF;
  IF EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.gateway = name) THEN
    RAISE EXCEPTION 'gateway "%" already exists', name USING ERRCODE = '42710', HINT = 'Change it with mfiauto.alter_gateway().';
  END IF;
  IF preset IS NOT NULL THEN
    SELECT p.channels, p.definition INTO shipped FROM mfiauto.gateway_preset p WHERE p.preset = _create_gateway.preset;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'preset "%" does not exist', preset USING ERRCODE = '42704',
        HINT = 'See SELECT preset, about FROM mfiauto.gateway_preset;';
    END IF;
    IF channel <> ALL (shipped.channels) THEN
      RAISE EXCEPTION 'preset "%" is not for channel "%"', preset, channel USING ERRCODE = '22023',
        HINT = format('It is for: %s.', array_to_string(shipped.channels, ', '));
    END IF;
    definition := shipped.definition::json;
  END IF;
  IF priority IS NULL THEN
    RAISE EXCEPTION 'priority must not be null' USING ERRCODE = '22004';
  END IF;
  PERFORM mfiauto._check_gateway(name, channel, definition::text, given::text);
  PERFORM mfiauto._check_tables_right(definition::jsonb);
  PERFORM mfiauto._check_no_token(definition::jsonb, given::jsonb);
  INSERT INTO mfiauto.gateway_config (gateway, channel, preset, definition, source, settings, priority, created_at, created_by)
  VALUES (name, channel, preset, definition::jsonb, CASE WHEN preset IS NULL THEN definition::text END, given::jsonb, priority, mfiauto.now(), mfiauto._caller());
  PERFORM mfiauto._forget_over_budget(channel, name);
  PERFORM mfiauto._note_change('gateway', name, jsonb_build_object('channel', channel, 'preset', preset, 'settings', given::jsonb, 'priority', priority));
  PERFORM mfiauto._wake_delivery();
END $$;
SELECT mfiauto._open_door('mfiauto._create_gateway(text, text, text, json, json, integer)', '{admin}',
  'Declares a way out for a channel: from a preset, or from a definition of your own. Among the gateways of a channel the lowest priority goes first, '
  'the others take over when it fails.');

CREATE FUNCTION mfiauto._alter_gateway(name text, settings json DEFAULT NULL, definition json DEFAULT NULL, priority integer DEFAULT NULL,
  is_enabled boolean DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  old record;
  new_settings jsonb;
  new_definition jsonb;
BEGIN
  PERFORM mfiauto._check_gateway_exists(name);
  SELECT g.* INTO old FROM mfiauto.gateway_config g WHERE g.gateway = name FOR UPDATE;
  IF settings IS NOT NULL AND json_typeof(settings) <> 'object' THEN
    RAISE EXCEPTION 'settings must be a JSON object' USING ERRCODE = '22023';
  END IF;
  new_settings := jsonb_strip_nulls(old.settings || coalesce(settings::jsonb, '{}'));
  -- A preset's gateway follows the preset as it ships now.
  new_definition := coalesce(definition::jsonb, (SELECT p.definition FROM mfiauto.gateway_preset p WHERE p.preset = old.preset), old.definition);
  PERFORM mfiauto._check_gateway(name, old.channel, new_definition::text, new_settings::text);
  IF settings IS NOT NULL OR definition IS NOT NULL THEN
    PERFORM mfiauto._check_tables_right(new_definition);
    PERFORM mfiauto._check_no_token(new_definition, new_settings);
  END IF;
  UPDATE mfiauto.gateway_config g
     SET settings = new_settings, definition = new_definition, source = coalesce(definition::text, old.source), priority = coalesce(_alter_gateway.priority, old.priority),
         is_enabled = coalesce(_alter_gateway.is_enabled, old.is_enabled), preset = CASE WHEN definition IS NULL THEN old.preset END
   WHERE g.gateway = name;
  PERFORM mfiauto._reset_circuit(name);
  PERFORM mfiauto._note_change('gateway', name, jsonb_strip_nulls(jsonb_build_object('settings', new_settings, 'definition', definition, 'priority', priority, 'is_enabled', is_enabled)));
END $$;
SELECT mfiauto._open_door('mfiauto._alter_gateway(text, json, json, integer, boolean)', '{admin}',
  'Changes a gateway. settings are merged with what is there, null takes one away. A stopped gateway starts again.');

-- A gateway that was stopped or throttled gets another chance.
CREATE FUNCTION mfiauto._reset_circuit(name text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.gateway_state (gateway) SELECT g.gateway FROM mfiauto.gateway_config g WHERE g.gateway = name
  ON CONFLICT ON CONSTRAINT gateway_state_pkey DO UPDATE
    SET circuit = 'closed', open_until = NULL, throttled_until = NULL, consecutive_failures = 0, stopped_reason = NULL;
  UPDATE mfiauto.gateway_config g SET settings = g.settings WHERE g.gateway = name;
  SELECT mfiauto._forget_over_budget(g.channel, g.gateway) FROM mfiauto.gateway_config g WHERE g.gateway = name;
  SELECT mfiauto._wake_delivery();
$$;

CREATE FUNCTION mfiauto._drop_gateway(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  PERFORM mfiauto._check_gateway_exists(name);
  PERFORM FROM mfiauto.gateway_config g WHERE g.gateway = name FOR UPDATE;
  IF EXISTS (SELECT FROM mfiauto.outbox o WHERE o.gateway = name) THEN
    RAISE EXCEPTION 'gateway "%" is sending messages', name USING ERRCODE = '55006',
      HINT = 'Take it out of use with alter_gateway(name, is_enabled => false) and drop it when it is done.';
  END IF;
  PERFORM mfiauto._remove_secret(name, NULL);
  DELETE FROM mfiauto.gateway_state s WHERE s.gateway = name;
  DELETE FROM mfiauto.webhook_state s WHERE s.gateway = name;
  DELETE FROM mfiauto.poll_state s WHERE s.gateway = name;
  DELETE FROM mfiauto.webhook_memory m WHERE m.gateway = name;
  DELETE FROM mfiauto.delivery_hold d WHERE d.scope = 'gateway' AND d.target = name;
  DELETE FROM mfiauto.gateway_config g WHERE g.gateway = name;
  PERFORM mfiauto._note_change('gateway', name, NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_gateway(text)', '{admin}', 'Drops a gateway and its secrets. The ledger goes on naming it.');

-- ---- Secrets ----

-- Reading a file or the environment of the server is the right of those who may do so anyway.
CREATE FUNCTION mfiauto._set_secret(gateway text, key text, value text DEFAULT NULL, file text DEFAULT NULL, env text DEFAULT NULL) RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_set_secret';
SELECT mfiauto._open_door('mfiauto._set_secret(text, text, text, text, text)', '{admin}',
  'Sets a gateway''s secret: a value, which is kept where nobody can read it and no dump takes it, or a file or environment variable of the server, '
  'read when it is needed.');

CREATE FUNCTION mfiauto._remove_secret(gateway text, key text) RETURNS boolean
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_remove_secret';

-- Notes that a secret is set, or not any more. If the gateway uses none of that name, the names that it uses: most likely it is misspelled.
CREATE FUNCTION mfiauto._note_secret(gateway text, key text, is_set boolean) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  used text[];
BEGIN
  UPDATE mfiauto.gateway_config g
     SET secret_keys = CASE WHEN is_set THEN ARRAY(SELECT k FROM unnest(g.secret_keys || key) k GROUP BY k ORDER BY k) ELSE array_remove(g.secret_keys, key) END
   WHERE g.gateway = _note_secret.gateway;
  PERFORM mfiauto._reset_circuit(gateway);
  SELECT array_agg(DISTINCT n.name ORDER BY n.name) INTO used
    FROM mfiauto.gateway_config g, LATERAL (SELECT jsonb_array_elements_text(g.definition -> 'secrets')
                                            UNION ALL SELECT s #>> '{}' FROM jsonb_path_query(g.definition - 'settings', '$.**.secret') s
                                            UNION ALL SELECT t[1] FROM regexp_matches(g.definition::text || g.settings, 'secret\.([a-z0-9_]+)', 'g') t) n(name)
   WHERE g.gateway = _note_secret.gateway;
  RETURN CASE WHEN regexp_replace(key, '_previous$', '') = ANY (used) OR key = ANY (used) THEN NULL ELSE coalesce(array_to_string(used, ', '), 'none') END;
END $$;

CREATE FUNCTION mfiauto._drop_secret(gateway text, key text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  PERFORM mfiauto._check_gateway_exists(gateway);
  IF NOT mfiauto._remove_secret(gateway, key) THEN
    RAISE EXCEPTION 'gateway "%" has no secret "%"', gateway, key USING ERRCODE = '42704', HINT = 'The view mfiauto.gateway names those it has.';
  END IF;
  PERFORM mfiauto._note_secret(gateway, key, false);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_secret(text, text)', '{admin}', 'Forgets a gateway''s secret.');

CREATE FUNCTION mfiauto._send_test(gateway text, to_address text, body text,
  OUT outcome text, OUT status integer, OUT provider_id text, OUT duration_ms integer, OUT error text)
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_test_gateway';

CREATE FUNCTION mfiauto._test_gateway(gateway text, to_address text, body text,
  OUT outcome text, OUT status integer, OUT provider_id text, OUT duration_ms integer, OUT error text)
LANGUAGE plpgsql AS $$
DECLARE
  config mfiauto.gateway_config;
  address text;
BEGIN
  PERFORM mfiauto._check_gateway_exists(gateway);
  SELECT * INTO STRICT config FROM mfiauto.gateway_config g WHERE g.gateway = _test_gateway.gateway;
  address := CASE WHEN to_address IS NOT NULL THEN mfiauto._checked_address(config.channel, to_address) END;
  IF config.definition ? 'sql' THEN
    SELECT t.outcome, t.provider_id, t.error INTO outcome, provider_id, error FROM mfiauto._test_tables(gateway, address, body) t;
    RETURN;
  END IF;
  SELECT t.* INTO outcome, status, provider_id, duration_ms, error FROM mfiauto._send_test(gateway, address, body) t;
END $$;
SELECT mfiauto._open_door('mfiauto._test_gateway(text, text, text)', '{admin}',
  'Really sends one text through a gateway, now, and tells what came of it. No message is recorded; the rules of arming, only_recipients and private hosts hold.');

-- ---- A gateway without a network ----

-- The request that a message would become; with is_masked, secrets are masks. is_token: the request for a token instead.
CREATE FUNCTION mfiauto._build_request(channel text, definition text, settings text, secrets jsonb, message jsonb, is_masked boolean, is_token boolean,
  OUT method text, OUT url text, OUT headers jsonb, OUT body text, OUT auth text)
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_build_request';

CREATE FUNCTION mfiauto._request_of(channel text, definition json, settings json, secrets jsonb, message jsonb)
RETURNS TABLE (method text, url text, headers jsonb, body text, auth text)
LANGUAGE sql AS $$
  SELECT r.method, r.url, r.headers, r.body, r.auth FROM mfiauto._build_request(channel, definition::text, settings::text, secrets, message, false, false) r
$$;

-- How a token is asked for.
CREATE FUNCTION mfiauto._token_request_of(channel text, definition json, settings json, secrets jsonb)
RETURNS TABLE (method text, url text, headers jsonb, body text)
LANGUAGE sql AS $$
  SELECT r.method, r.url, r.headers, r.body FROM mfiauto._build_request(channel, definition::text, settings::text, secrets, '{}', false, true) r
$$;

-- The signature of what stands before the second dot of a token; of a request's parameters.
CREATE FUNCTION mfiauto._sign_jwt(algorithm text, key bytea, input text) RETURNS text
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_sign_jwt';
CREATE FUNCTION mfiauto._sign_parameters(method text, secret text, parameters jsonb) RETURNS text
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_sign_parameters';

-- What an answer {"status", "headers", "body", "transport"} would mean for its message.
CREATE FUNCTION mfiauto._judge(channel text, definition text, settings text, answer jsonb,
  OUT verdict text, OUT provider_id text, OUT error text, OUT retry_after double precision)
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_judge_answer';

CREATE FUNCTION mfiauto._judge_answer(channel text, definition json, settings json, answer jsonb)
RETURNS TABLE (verdict text, provider_id text, error text, retry_after double precision)
LANGUAGE sql AS $$
  SELECT j.verdict, j.provider_id, j.error, j.retry_after FROM mfiauto._judge(channel, definition::text, settings::text, answer) j
$$;

-- What previews need: a gateway that exists, and an object to look at.
CREATE FUNCTION mfiauto._check_preview(gateway text, argument text, given jsonb, example text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  PERFORM mfiauto._check_gateway_exists(gateway);
  IF jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION '% must be a JSON object', argument USING ERRCODE = '22023', HINT = format('As %s.', example);
  END IF;
END $$;

CREATE FUNCTION mfiauto._preview_request(gateway text, message jsonb)
RETURNS TABLE (method text, url text, headers jsonb, body text, auth text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._check_preview(_preview_request.gateway, 'message', message, '{"to": "+221770000001", "text": "test"}');
  RETURN QUERY
    SELECT r.method, r.url, r.headers, r.body, r.auth
      FROM mfiauto.gateway_config g
      CROSS JOIN LATERAL mfiauto._build_request(g.channel, g.definition::text, g.settings::text,
             (SELECT coalesce(jsonb_object_agg(k, '***'), '{}')
                FROM (SELECT unnest(g.secret_keys) UNION SELECT jsonb_array_elements_text(g.definition -> 'secrets')) s(k)),
             message, true, false) r
     WHERE g.gateway = _preview_request.gateway;
END $$;
SELECT mfiauto._open_door('mfiauto._preview_request(text, jsonb)', '{admin}',
  'The request that a message would become at a gateway. Nothing is sent; secrets are shown as ***. message: to, text, title, html, locale and what else '
  'the gateway''s templates may name.');

CREATE FUNCTION mfiauto._preview_answer(gateway text, answer jsonb)
RETURNS TABLE (verdict text, provider_id text, error text, retry_after double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._check_preview(_preview_answer.gateway, 'answer', answer, '{"status": 200, "body": {"id": "1"}}');
  RETURN QUERY
    SELECT j.verdict, j.provider_id, j.error, j.retry_after
      FROM mfiauto.gateway_config g
      CROSS JOIN LATERAL mfiauto._judge(g.channel, g.definition::text, g.settings::text, answer) j
     WHERE g.gateway = _preview_answer.gateway;
END $$;
SELECT mfiauto._open_door('mfiauto._preview_answer(text, jsonb)', '{admin}',
  'What an answer of a gateway''s provider would mean: its class, the provider''s id, the error that is kept, the pause that is asked for. '
  'answer: status, headers, body; or transport (not_written, broken, refused) where none came.');
