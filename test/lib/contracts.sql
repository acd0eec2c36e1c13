-- Contracts of the presets: test/contracts/PRESET.json says what a preset must send and how it must understand what comes back. The members:
--   channel, settings, secrets, source (where the facts are from)
--   cases     [{name, message, request: {method, url, query?, headers, body?, auth?, jwt?}}]   the request that a message becomes
--   token     {method, url, headers, body, jwt?}                                            how a token is asked for, where one is
--   answers   [{status, headers?, body?, transport?, verdict, provider_id?, retry_after?}]    what an answer means
-- All is compared as data: bodies by their type, forms and queries as objects, header names without case. A token that we sign stands as <jwt>, its
-- header and claims in "jwt"; a random uuid in it stands as <uuid>. A token that was fetched is TOKEN.
\set contracts `pwd`/test/contracts
CREATE TABLE contract AS
  SELECT regexp_replace(f, '\.json$', '') AS preset, pg_read_file(:'contracts' || '/' || f)::jsonb AS content FROM pg_ls_dir(:'contracts') f WHERE f ~ '\.json$';

CREATE FUNCTION jwt_part(part text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT convert_from(decode(rpad(translate(part, '-_', '+/'), (length(part) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb
$$;
CREATE FUNCTION lower_keys(object jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(lower(e.key), e.value), '{}') FROM jsonb_each(coalesce(object, '{}')) e
$$;

-- A request in the form in which two of them are compared.
CREATE FUNCTION normal_request(method text, url text, query jsonb, headers jsonb, body text, is_json boolean, jwt jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  kind text;
  token text;
  content jsonb;
BEGIN
  headers := lower_keys(headers);
  kind := coalesce(headers ->> 'content-type', '');
  content := CASE WHEN body IS NULL THEN NULL WHEN kind ~ 'json' OR is_json THEN body::jsonb WHEN kind ~ 'urlencoded' THEN mfiauto._read_form(body) ELSE to_jsonb(body) END;
  token := coalesce(substring(headers ->> 'authorization' FROM '^Bearer (eyJ[\w-]+\.[\w-]+\.[\w-]+)$'),
                    CASE WHEN jsonb_typeof(content) = 'object' THEN substring(content ->> 'assertion' FROM '^eyJ[\w-]+\.[\w-]+\.[\w-]+$') END);
  IF token IS NOT NULL THEN
    jwt := jsonb_build_object('header', jwt_part(split_part(token, '.', 1)), 'claims', jwt_part(split_part(token, '.', 2)));
    jwt := regexp_replace(jwt::text, '"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"', '"<uuid>"', 'g')::jsonb;
    headers := replace(headers::text, token, '<jwt>')::jsonb;
    content := replace(content::text, token, '<jwt>')::jsonb;
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object('method', method, 'url', split_part(url, '?', 1),
    'query', coalesce(mfiauto._read_form(nullif(substr(url, strpos(url || '?', '?') + 1), '')), '{}') || coalesce(query, '{}'),
    'headers', headers, 'jwt', jwt)) || CASE WHEN content IS NULL THEN '{}' ELSE jsonb_build_object('body', content) END;
END $$;

CREATE FUNCTION expected_request(r jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT normal_request(r ->> 'method', r ->> 'url', r -> 'query', r -> 'headers', CASE jsonb_typeof(r -> 'body') WHEN 'string' THEN r ->> 'body' ELSE (r -> 'body')::text END,
                        jsonb_typeof(r -> 'body') IN ('object', 'array'), r -> 'jwt')
$$;

-- What two objects differ in, member by member.
CREATE FUNCTION differences(expected jsonb, built jsonb) RETURNS TABLE (what text, wanted text, got text) LANGUAGE sql AS $$
  SELECT k, expected ->> k, built ->> k
    FROM (SELECT jsonb_object_keys(expected) UNION SELECT jsonb_object_keys(built)) x(k) WHERE expected -> k IS DISTINCT FROM built -> k ORDER BY k
$$;

-- Every way in which a preset does not keep its contract.
CREATE FUNCTION contract_faults(contract jsonb, definition jsonb) RETURNS TABLE (place text, what text, wanted text, got text) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  part jsonb;
  place text;
  channel text := contract ->> 'channel';
  settings json := coalesce(contract -> 'settings', '{}');
  secrets jsonb := coalesce(contract -> 'secrets', '{}');
BEGIN
  RETURN QUERY SELECT 'contract', 'member is missing', m, NULL FROM unnest('{channel,source,cases,answers}'::text[]) m WHERE NOT contract ? m;
  RETURN QUERY SELECT 'contract', 'member is not known', NULL, m FROM jsonb_object_keys(contract) m
    WHERE m NOT IN ('channel', 'source', 'settings', 'secrets', 'cases', 'token', 'answers', 'receipts', 'inbound');
  RETURN QUERY SELECT 'contract', 'secret is missing', s, NULL FROM jsonb_array_elements_text(definition -> 'secrets') s WHERE NOT secrets ? s;
  FOR part IN SELECT jsonb_array_elements(contract -> 'cases') LOOP
    place := 'case ' || (part ->> 'name');
    BEGIN
      RETURN QUERY
        SELECT place, d.what, d.wanted, d.got
          FROM mfiauto._request_of(channel, definition::json, settings, secrets, part -> 'message') r,
               differences(expected_request(part -> 'request') || jsonb_strip_nulls(jsonb_build_object('auth', part -> 'request' -> 'auth')),
                           normal_request(r.method, r.url, NULL, r.headers, r.body, false, NULL)
                           || CASE WHEN part -> 'request' ? 'auth' THEN jsonb_build_object('auth', r.auth) ELSE '{}' END) d;
    EXCEPTION WHEN OTHERS THEN
      RETURN QUERY SELECT place, 'error', NULL, SQLERRM;
    END;
  END LOOP;
  IF contract ? 'token' OR definition -> 'auth' ->> 'kind' = 'oauth2' THEN
    BEGIN
      RETURN QUERY
        SELECT 'token', d.what, d.wanted, d.got
          FROM mfiauto._token_request_of(channel, definition::json, settings, secrets) r,
               differences(expected_request(contract -> 'token'), normal_request(r.method, r.url, NULL, r.headers, r.body, false, NULL)) d;
    EXCEPTION WHEN OTHERS THEN
      RETURN QUERY SELECT 'token', 'error', NULL, SQLERRM;
    END;
  END IF;
  FOR part IN SELECT jsonb_array_elements(contract -> 'answers') LOOP
    RETURN QUERY
      SELECT 'answer ' || coalesce(part ->> 'status', part ->> 'transport') || ' ' || left(coalesce(part ->> 'body', ''), 60), d.what, d.wanted, d.got
        FROM mfiauto._judge_answer(channel, definition::json, settings, part - '{verdict,provider_id,retry_after}'::text[]) j,
             differences(jsonb_strip_nulls(jsonb_build_object('verdict', part -> 'verdict', 'provider_id', part -> 'provider_id', 'retry_after', part -> 'retry_after')),
                         jsonb_strip_nulls(jsonb_build_object('verdict', j.verdict, 'provider_id', j.provider_id, 'retry_after', j.retry_after))) d;
  END LOOP;
  -- Whatever the preset tells apart must have been seen at least once.
  RETURN QUERY
    SELECT 'answers', 'no answer with this verdict', v, NULL
      FROM (SELECT 'sent' UNION SELECT e ->> 'class' FROM jsonb_array_elements(definition -> 'response' -> 'errors') e) x(v)
     WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(contract -> 'answers') a WHERE a ->> 'verdict' = v) ORDER BY v;
END $$;
