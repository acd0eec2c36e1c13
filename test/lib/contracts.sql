-- Contracts of the presets: test/contracts/PRESET.json says what a preset must send and how it must understand what comes back. The members:
--   channel, settings, secrets, source (where the facts are from)
--   cases     [{name, message, request: {method, url, query?, headers, body?, auth?, jwt?}}]   the request that a message becomes
--   token     {method, url, headers, body, jwt?}                                            how a token is asked for, where one is
--   answers   [{status, headers?, body?, transport?, verdict, provider_id?, retry_after?}]    what an answer means
--   receipts, inbound  [{name?, method, query?, headers?, body, is_signed_with?, expect: [{members of mfiauto._webhook_event}]}]    what a webhook says;
--             is_signed_with: the secret that it really is signed with, at the test's time; one of them at least is, where more than a token is asked for
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

CREATE FUNCTION percent(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(string_agg(CASE WHEN c ~ '[A-Za-z0-9_.~-]' THEN c ELSE (SELECT string_agg('%' || upper(h[1]), '') FROM regexp_matches(encode(convert_to(c, 'UTF8'), 'hex'), '..', 'g') h) END, '' ORDER BY n), '')
    FROM regexp_split_to_table(value, '') WITH ORDINALITY AS t(c, n)
$$;
-- An object as a form; a name's value may be any scalar.
CREATE FUNCTION form_of(object jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(percent(e.key) || '=' || percent(e.value), '&'), '') FROM jsonb_each_text(object) e
$$;

-- What is wrong with how a webhook of the contract is read: events in their order, each member that the contract names; and its signature, if it has one.
CREATE FUNCTION webhook_faults(what text, part jsonb, channel text, definition jsonb, settings json, secrets jsonb)
RETURNS TABLE (place text, fault text, wanted text, got text) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  headers jsonb := coalesce(part -> 'headers', '{}');
  query text := CASE jsonb_typeof(part -> 'query') WHEN 'object' THEN form_of(part -> 'query') ELSE coalesce(part ->> 'query', '') END;
  is_form boolean := coalesce(lower_keys(headers) ->> 'content-type', coalesce(definition -> what ->> 'format', definition -> what -> 0 ->> 'format')) ~ 'form';
  body bytea := convert_to(CASE WHEN jsonb_typeof(part -> 'body') = 'object' AND is_form THEN form_of(part -> 'body')
                                WHEN jsonb_typeof(part -> 'body') IN ('object', 'array') THEN (part -> 'body')::text ELSE coalesce(part ->> 'body', '') END, 'UTF8');
  events jsonb;
  rule jsonb := mfiauto._settle_signature(definition, settings::jsonb);
  key text;
BEGIN
  place := what || ' ' || coalesce(part ->> 'name', left(coalesce(nullif(query, ''), convert_from(body, 'UTF8')), 40));
  events := (SELECT jsonb_agg(to_jsonb(e)) FROM mfiauto._read_webhook(definition::text, coalesce(part ->> 'method', 'POST'), query, headers, body) e WHERE e.part = what OR e.part NOT IN ('receipt', 'inbound'));
  RETURN QUERY SELECT place, 'number of events', jsonb_array_length(part -> 'expect')::text, coalesce(jsonb_array_length(events), 0)::text
    WHERE jsonb_array_length(part -> 'expect') IS DISTINCT FROM coalesce(jsonb_array_length(events), 0);
  RETURN QUERY
    SELECT place, format('event %s: %s', x.n, m.key), m.value, events -> (x.n::integer - 1) ->> m.key
      FROM jsonb_array_elements(part -> 'expect') WITH ORDINALITY AS x(expected, n), jsonb_each_text(x.expected) m
     WHERE NOT (CASE WHEN m.key = 'at' THEN (events -> (x.n::integer - 1) ->> m.key)::timestamptz = m.value::timestamptz
                     ELSE events -> (x.n::integer - 1) ? m.key AND events -> (x.n::integer - 1) ->> m.key IS NOT DISTINCT FROM m.value END IS TRUE);
  -- A fixed token comes with each of them.
  IF NOT part ? 'is_signed_with' AND rule ->> 'method' NOT IN ('token', 'telegram', 'basic', 'bearer') THEN
    RETURN;
  END IF;
  PERFORM mfiauto.create_gateway('contract', channel, definition => definition::json, settings => settings);
  FOR key IN SELECT jsonb_object_keys(secrets) LOOP
    PERFORM mfiauto.set_secret('contract', key, secrets ->> key);
  END LOOP;
  RETURN QUERY SELECT place, 'signature', 'good', c.verdict
    FROM mfiauto._check_webhook('contract', rule::text, coalesce(part ->> 'method', 'POST'), mfiauto._webhook_address('contract', settings::jsonb), query, headers, body, mfiauto.now()) c
   WHERE c.verdict <> 'good';
  PERFORM mfiauto.drop_gateway('contract');
END $$;

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
  RETURN QUERY SELECT f.* FROM jsonb_array_elements(contract -> 'receipts') e, webhook_faults('receipt', e, channel, definition, settings, secrets) f;
  RETURN QUERY SELECT f.* FROM jsonb_array_elements(contract -> 'inbound') e, webhook_faults('inbound', e, channel, definition, settings, secrets) f;
  RETURN QUERY SELECT w.part, 'nothing in the contract is read so', w.part, NULL FROM (VALUES ('receipt', 'receipts'), ('inbound', 'inbound')) w(part, member)
    WHERE definition ? w.part AND NOT contract ? w.member;
  RETURN QUERY SELECT 'signature', 'nothing in the contract is signed', definition -> 'signature' ->> 'method', NULL
    WHERE definition -> 'signature' ->> 'method' NOT IN ('none', 'token', 'telegram', 'basic', 'bearer')
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(coalesce(contract -> 'receipts', '[]') || coalesce(contract -> 'inbound', '[]')) w WHERE w ? 'is_signed_with');
  -- Whatever the preset tells apart must have been seen at least once.
  RETURN QUERY
    SELECT 'answers', 'no answer with this verdict', v, NULL
      FROM (SELECT 'sent' UNION SELECT e ->> 'class' FROM jsonb_array_elements(definition -> 'response' -> 'errors') e) x(v)
     WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(contract -> 'answers') a WHERE a ->> 'verdict' = v) ORDER BY v;
END $$;
