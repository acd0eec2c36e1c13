-- How requests say who sends them: signatures against known answers, each kind's request, and what is refused, with its place.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/keys.sql
\i test/lib/contracts.sql
\set ECHO all
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');

-- RFC 7515, appendices A.1 and A.2: the tokens that stand there. ES256 is random: its form is checked here, its truth with another implementation.
SELECT mfiauto._sign_jwt('HS256', decode('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==', 'base64'),
  'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ')
  = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk' AS hs256;
SELECT mfiauto._sign_jwt('RS256', convert_to(:'rsa', 'UTF8'),
  'eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ')
  = 'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZ'
  || 'LgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6'
  || 'LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw' AS rs256;
-- As a provider's JSON file has it.
SELECT mfiauto._sign_jwt('RS256', convert_to(replace(:'rsa', E'\n', '\n'), 'UTF8'), 'x.y') = mfiauto._sign_jwt('RS256', convert_to(:'rsa', 'UTF8'), 'x.y') AS same;
SELECT mfiauto._sign_jwt('ES256', convert_to(:'ec', 'UTF8'), 'x.y') ~ '^[\w-]{86}$' AS es256;
SELECT mfiauto._sign_jwt('none', '', 'x.y');
SELECT mfiauto._sign_jwt('HS256', convert_to(repeat('k', 31), 'UTF8'), 'x.y');
SELECT mfiauto._sign_jwt('RS256', 'a password', 'x.y');
SELECT mfiauto._sign_jwt('RS256', convert_to(:'ec', 'UTF8'), 'x.y');
SELECT mfiauto._sign_jwt('RS256', convert_to(:'rsa_small', 'UTF8'), 'x.y');
SELECT mfiauto._sign_jwt('RS256', convert_to(:'rsa_locked', 'UTF8'), 'x.y');
SELECT mfiauto._sign_jwt('ES256', convert_to(:'rsa', 'UTF8'), 'x.y');
SELECT mfiauto._sign_jwt('ES256', convert_to(:'ec_other_curve', 'UTF8'), 'x.y');

-- Signed parameters: the answers that the provider's own library is tested with.
SELECT method, mfiauto._sign_parameters(method, 'secret', '{"a": "1", "timestamp": "1461605396", "b": "2"}') = known AS same
  FROM (VALUES ('md5', '6af838ef94998832dbfc29020b564830'), ('hmac-md5', 'c15c21ced558c93a226c305f58f902f2'),
               ('hmac-sha1', '3e19a4e6880fdc2c1426bfd0587c98b9532f0210'),
               ('hmac-sha256', 'a321e824b9b816be7c3f28859a31749a098713d39f613c80d455bbaffae1cd24'),
               ('hmac-sha512', '812a18f76680fa0fe1b8bd9ee1625466ceb1bd96242e4d050d2cfd9a7b40166c63ed26ec9702168781b6edcf1633db8ff95af9341701004eec3fcf9550572ee8')) v(method, known);
SELECT mfiauto._sign_parameters('md5', 's', '{"a": "x&y=z"}') = md5('&a=x_y_z' || 's') AS replaced;
SELECT mfiauto._sign_parameters('sha256', 's', '{}');
SELECT mfiauto._sign_parameters('md5', 's', '{"a": 1}');

-- What each kind adds to a request.
CREATE FUNCTION pg_temp.request_with(auth text, secrets jsonb, body text DEFAULT '{"kind": "form", "fields": {"to": "{{to}}", "text": "{{text}}"}}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(normal_request(r.method, r.url, NULL, r.headers, r.body, false, NULL) - 'method' || jsonb_build_object('auth', r.auth))
    FROM mfiauto._request_of('sms', format('{"request": {"url": "https://x.example/send", "body": %s}, "auth": %s}', body, auth)::json, '{}', secrets,
           '{"to": "+221770000001", "text": "a & b"}') r $$;
SELECT jsonb_pretty(pg_temp.request_with('{"kind": "none"}', '{}'));
SELECT pg_temp.request_with('{"kind": "basic", "user": "{{secret.u}}", "password": "{{secret.p}}"}', '{"u": "Aladdin", "p": "open sesame"}') #>> '{headers,authorization}';
SELECT pg_temp.request_with('{"kind": "bearer", "token": "{{secret.t}}"}', '{"t": "abc"}') #>> '{headers,authorization}';
SELECT pg_temp.request_with('{"kind": "header", "name": "Authorization", "value": "App {{secret.t}}"}', '{"t": "abc"}') #>> '{headers,authorization}';
SELECT pg_temp.request_with('{"kind": "query", "name": "key", "value": "{{secret.t}}"}', '{"t": "a&b"}') -> 'query';
SELECT pg_temp.request_with('{"kind": "oauth2", "token_url": "https://x.example/token", "client_id": "i", "client_secret": "{{secret.s}}"}', '{"s": "x"}') #>> '{headers,authorization}';
SELECT r -> 'auth', r #>> '{headers,authorization}' FROM pg_temp.request_with('{"kind": "sigv4", "scope": "aws:amz:eu-west-1:ses", "access_key": "{{secret.a}}", "secret_key": "{{secret.s}}"}', '{"a": "x", "s": "y"}') r;
SELECT jsonb_pretty(pg_temp.request_with('{"kind": "jwt", "algorithm": "HS256", "key": "{{secret.key}}", "header": {"kid": "{{secret.id}}"},
  "claims": {"iss": "team \"1\"", "iat": "$now", "exp": "$now+3600", "nbf": "$now-60", "jti": "$uuid", "n": 7, "acl": {"paths": {}}, "left_out": "{{secret.none}}"}}',
  jsonb_build_object('key', repeat('k', 32), 'id', 'ABC')) - '{url,query,body}'::text[]);
SELECT jsonb_pretty(pg_temp.request_with('{"kind": "signed", "method": "md5", "secret": "{{secret.s}}", "parameter": "sig", "timestamp_parameter": "timestamp"}', '{"s": "secret"}') -> 'body') AS form,
       md5('&text=a _ b&timestamp=1767603600&to=+221770000001secret') AS sig;
SELECT pg_temp.request_with('{"kind": "signed", "method": "hmac-sha256", "secret": "{{secret.s}}", "parameter": "sig", "style": "vonage"}', '{"s": "secret"}', '{"kind": "none"}') -> 'query';

-- How a token is asked for.
CREATE FUNCTION pg_temp.token_with(auth text, secrets jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT normal_request(r.method, r.url, NULL, r.headers, r.body, false, NULL)
    FROM mfiauto._token_request_of('sms', format('{"request": {"url": "https://x.example/send"}, "auth": %s}', auth)::json, '{}', secrets) r $$;
SELECT jsonb_pretty(pg_temp.token_with('{"kind": "oauth2", "token_url": "https://x.example/token", "client_id": "i", "client_secret": "{{secret.s}}", "scope": "sms send"}', '{"s": "x"}'));
SELECT pg_temp.token_with('{"kind": "oauth2", "token_url": "https://x.example/token", "client_id": "i", "client_secret": "{{secret.s}}", "client_auth": "form"}', '{"s": "x"}') -> 'body';
SELECT jsonb_pretty(pg_temp.token_with('{"kind": "oauth2", "grant": "jwt_bearer", "token_url": "https://x.example/token", "assertion": {"algorithm": "RS256",
  "key": "{{secret.key}}", "claims": {"iss": "{{secret.mail}}", "scope": "https://x.example/auth", "aud": "https://x.example/token", "iat": "$now", "exp": "$now+3600"}}}',
  jsonb_build_object('key', :'rsa', 'mail', 'robot@x.example')));
SELECT pg_temp.token_with('{"kind": "none"}', '{}');

-- Refused, with the place.
CREATE FUNCTION pg_temp.refused(auth text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.create_gateway('a', 'sms', definition => format('{"request": {"url": "https://x.example/", "body": {"kind": "form", "fields": {}}}, "auth": %s}', auth)::json);
  RAISE EXCEPTION 'accepted' USING DETAIL = 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TEMP TABLE wrong (n serial, kind text, change jsonb);
CREATE TEMP TABLE right_one (kind text, auth jsonb);
INSERT INTO right_one VALUES
  ('none', '{"kind": "none"}'),
  ('jwt', '{"kind": "jwt", "algorithm": "ES256", "key": "{{secret.key}}", "header": {"kid": "a"}, "claims": {"iss": "b", "iat": "$now", "exp": "$now+3600"}, "lifetime": 3000}'),
  ('oauth2', '{"kind": "oauth2", "token_url": "https://x.example/t", "client_id": "a", "client_secret": "{{secret.s}}"}'),
  ('assertion', '{"kind": "oauth2", "grant": "jwt_bearer", "token_url": "https://x.example/t", "assertion": {"algorithm": "RS256", "key": "{{secret.key}}", "claims": {"exp": "$now+3600"}}}'),
  ('signed', '{"kind": "signed", "method": "md5", "secret": "{{secret.s}}", "parameter": "sig", "timestamp_parameter": "timestamp", "style": "vonage"}'),
  ('sigv4', '{"kind": "sigv4", "scope": "aws:amz:eu-west-1:ses", "access_key": "{{secret.a}}", "secret_key": "{{secret.b}}"}');
INSERT INTO wrong (kind, change) VALUES
  ('none', '{"token": "x"}'),
  ('jwt', '{"algorithm": "none"}'), ('jwt', '{"algorithm": null}'), ('jwt', '{"key": null}'), ('jwt', '{"key": "-----BEGIN PRIVATE KEY-----"}'), ('jwt', '{"claims": null}'),
  ('jwt', '{"claims": {"iss": "{{to}}"}}'), ('jwt', '{"claims": {"iat": "$now+soon"}}'), ('jwt', '{"claims": {"iat": "$today"}}'), ('jwt', '{"claims": {"exp": "$now+30"}}'),
  ('jwt', '{"claims": {"exp": "$now+999999"}}'), ('jwt', '{"lifetime": 3600}'), ('jwt', '{"lifetime": 1}'), ('jwt', '{"header": {"alg": "none"}}'), ('jwt', '{"secret": "x"}'),
  ('oauth2', '{"grant": "password"}'), ('oauth2', '{"grant": "jwt_bearer"}'), ('oauth2', '{"assertion": {}}'), ('oauth2', '{"client_secret": null}'),
  ('oauth2', '{"token_url": "https://{{to}}/"}'), ('oauth2', '{"token_url": "ftp://x.example/"}'),
  ('assertion', '{"client_id": "a"}'), ('assertion', '{"assertion": {"algorithm": "RS256", "key": "{{secret.key}}"}}'),
  ('signed', '{"method": "crc32"}'), ('signed', '{"style": "other"}'), ('signed', '{"secret": null}'), ('signed', '{"parameter": null}'),
  ('sigv4', '{"scope": null}'), ('sigv4', '{"region": "x"}');
SELECT r.kind, f.detail FROM right_one r, pg_temp.refused(r.auth::text) f WHERE f.detail <> 'accepted';
SELECT w.kind, f.detail, nullif(f.hint, '') AS hint FROM wrong w JOIN right_one r ON r.kind = w.kind, pg_temp.refused(jsonb_strip_nulls(r.auth || w.change)::text) f ORDER BY w.n;
SELECT mfiauto.create_gateway('a', 'sms', definition => '{"request": {"url": "https://x.example/", "body": {"kind": "json", "json": {}}},
  "auth": {"kind": "signed", "method": "md5", "secret": "{{secret.s}}", "parameter": "sig"}}');
SELECT mfiauto.create_gateway('a', 'sms', definition => '{"request": {"url": "https://x.example/"}, "response": {"errors": [{"status": 403, "class": "unauthorized"}]}}');

-- A token that is not good any more: by 401, or as the definition says.
SELECT s, j.verdict FROM unnest('{401,403,404}'::int[]) s,
  LATERAL mfiauto._judge_answer('push', '{"request": {"url": "https://x.example/"}, "auth": {"kind": "jwt", "algorithm": "ES256", "key": "{{secret.key}}", "claims": {}},
    "response": {"code": {"path": "reason"}, "errors": [{"status": 403, "code": "Expired", "class": "unauthorized"}]}}', '{}', jsonb_build_object('status', s, 'body', '{"reason": "Expired"}')) j;
SELECT j.verdict FROM mfiauto._judge_answer('push', '{"request": {"url": "https://x.example/"}, "auth": {"kind": "bearer", "token": "x"}}', '{}', '{"status": 401}') j;

-- People see no secret, nor anything made of one.
SELECT mfiauto.create_gateway('look', 'sms', definition => '{"secrets": ["key", "user"], "request": {"url": "https://x.example/{{secret.user}}", "body": {"kind": "form", "fields": {"k": "{{secret.key}}"}}},
  "auth": {"kind": "signed", "method": "md5", "secret": "{{secret.key}}", "parameter": "sig"}}');
SELECT mfiauto.create_gateway('look2', 'sms', definition => '{"secrets": ["key"], "request": {"url": "https://x.example/"}, "auth": {"kind": "jwt", "algorithm": "RS256", "key": "{{secret.key}}", "claims": {}}}');
SELECT mfiauto.set_secret('look', 'key', 'hush-hush');
SELECT * FROM mfiauto.preview_request('look', '{"to": "+221770000001"}');
SELECT * FROM mfiauto.preview_request('look2', '{"to": "+221770000001"}');
SELECT * FROM mfiauto.preview_request('look', '{}');
SELECT * FROM mfiauto.preview_request('look', '{"to": "+221770000001", "txt": "x"}');
SELECT * FROM mfiauto.preview_request('look', '[]');
SELECT * FROM mfiauto.preview_request('nobody', '{}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT * FROM mfiauto.preview_request('box', '{"to": "+221770000001"}');

-- Webhooks signed in the way that the account is set to: the setting holds both ways.
SELECT mfiauto.create_gateway('signed', 'sms', 'vonage_signed', settings => '{"signature_method": "hmac-sha512"}');
SELECT mfiauto.create_gateway('signed_md5', 'sms', 'vonage_signed');
SELECT mfiauto.create_gateway('signed_badly', 'sms', 'vonage_signed', settings => '{"signature_method": "rot13"}');
SELECT mfiauto.set_secret(g, 'signature_secret', 'sigs3cret') FROM unnest('{signed,signed_md5}'::text[]) g;
CREATE FUNCTION pg_temp.webhook(gateway text, method text) RETURNS integer LANGUAGE sql AS $$
  SELECT (mfiauto._serve_webhook(gateway, 'GET', string_agg(p.key || '=' || p.value, '&'), '{}', '')).status
    FROM (SELECT jsonb_build_object('messageId', 'm-' || gateway || method, 'status', 'delivered', 'timestamp', extract(epoch FROM mfiauto.now())::bigint::text, 'nonce', gateway || method) AS o) x,
         jsonb_each_text(x.o || jsonb_build_object('sig', mfiauto._sign_parameters(method, 'sigs3cret', x.o))) p $$;
SELECT g, m, pg_temp.webhook(g, m) FROM unnest('{signed,signed_md5}'::text[]) g, unnest('{md5,hmac-sha256,hmac-sha512}'::text[]) m;
