-- Gateways: what is refused when they are declared, and what nobody may see.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_gateway_owner NOLOGIN;
CREATE EXTENSION mfiauto;
SELECT mfiauto.create_gateway('early', 'sms', 'sandbox');
GRANT CREATE, USAGE ON SCHEMA public TO regress_gateway_owner;
SELECT mfiauto.install('regress_gateway_owner');

SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT preset, settings, secrets FROM mfiauto.gateway_preset WHERE preset IN ('kannel', 'sandbox', 'twilio', 'webhook') ORDER BY preset;
SELECT channels FROM mfiauto.gateway_preset WHERE preset = 'sandbox';

-- Names, channels, presets.
SET ROLE regress_gateway_owner;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_gateway('Box 1', 'sms', 'sandbox');
SELECT mfiauto.create_gateway(NULL, 'sms', 'sandbox');
SELECT mfiauto.create_gateway('a', 'fax', 'sandbox');
SELECT mfiauto.create_gateway('a', NULL, 'sandbox');
SELECT mfiauto.create_gateway('a', 'sms');
SELECT mfiauto.create_gateway('a', 'sms', 'sandbox', definition => '{}');
\set VERBOSITY terse
SELECT mfiauto.create_gateway('a', 'sms', 'orang');
\set VERBOSITY default
SELECT mfiauto.create_gateway('a', 'email', 'twilio');
SELECT mfiauto.create_gateway('a', 'sms', 'sandbox', priority => NULL);
SELECT mfiauto.create_gateway('a', 'sms', definition => '{"request": ');

-- Settings.
SELECT mfiauto.create_gateway('a', 'sms', 'webhook');
SELECT mfiauto.create_gateway('a', 'sms', 'webhook', settings => '{"url": "https://x.example/", "colour": 1}');
SELECT mfiauto.create_gateway('a', 'sms', 'webhook', settings => '[]');
SELECT mfiauto.create_gateway('a', 'sms', 'sandbox', settings => '{"rate_per_second": "fast"}');
SELECT mfiauto.create_gateway('a', 'sms', 'sandbox', settings => '{"rate_per_second": -1}');
SELECT mfiauto.create_gateway('a', 'sms', 'sandbox', settings => '{"concurrency": 0}');
SELECT mfiauto.create_gateway('a', 'sms', 'twilio', settings => '{"sender": "MFI\r\nX-Evil: 1"}');

-- Definitions: every fault has its place.
RESET ROLE;
CREATE FUNCTION pg_temp.declare_it(definition text) RETURNS void LANGUAGE sql AS $$ SELECT mfiauto.create_gateway('a', 'sms', definition => definition::json) $$;
CREATE FUNCTION pg_temp.request(part text) RETURNS void LANGUAGE sql AS $$ SELECT pg_temp.declare_it('{"request": ' || part || '}') $$;
SELECT pg_temp.declare_it('[]');
SELECT pg_temp.declare_it('{}');
SELECT pg_temp.declare_it('{"request": {"url": "https://x.example/a\nb"}}');
SELECT pg_temp.declare_it('{"requst": {}}');
SELECT pg_temp.declare_it('{"request": {"url": "https://x.example/"}, "request": {}}');
SELECT pg_temp.request('{}');
SELECT pg_temp.request('{"url": 7}');
SELECT pg_temp.request('{"url": "ftp://x.example/"}');
SELECT pg_temp.request('{"url": "x.example"}');
SELECT mfiauto.create_gateway('a', 'sms', 'webhook', settings => '{"url": "file:///etc/passwd"}');
SELECT pg_temp.request('{"url": "https://{{to}}/"}');
SELECT pg_temp.request('{"url": "https://x.example/{{nothing}}"}');
SELECT pg_temp.request('{"url": "https://x.example/{{{text}}}"}');
SELECT pg_temp.request('{"url": "https://x.example/{{=<% %>=}}"}');
SELECT pg_temp.request('{"url": "https://x.example/{{text"}');
SELECT pg_temp.request('{"url": "https://x.example/", "method": "DELETE"}');
SELECT pg_temp.request('{"url": "https://x.example/", "headers": {"X Y": "1"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "headers": {"Host": "1"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "headers": {"X": 1}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "yaml"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "form"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "json", "json": "{{text}}"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "json", "json": {"a": [{"b": "{{tex}}"}]}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "json", "json": {"a": {"$each": "text", "$as": "{{item}}"}}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "json", "json": {"a": {"$each": "options.list"}}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "json", "json": {"a": {"$if": "options.x", "then": "y"}}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "form", "fields": {"a": {"$each": "options.list", "$as": "{{itm}}", "$key": "{{number}}"}}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "form", "fields": {"a": ["b"]}}}');
SELECT pg_temp.request('{"url": "https://x.example/", "method": "GET", "body": {"kind": "xml", "template": "<a/>"}}');
SELECT pg_temp.request('{"url": "https://x.example/", "body": {"kind": "none", "content_type": "a\nb"}}');
CREATE FUNCTION pg_temp.part(name text, value text) RETURNS void LANGUAGE sql AS $$
  SELECT pg_temp.declare_it('{"request": {"url": "https://x.example/"}, "' || name || '": ' || value || '}') $$;
SELECT pg_temp.part('auth', '{"kind": "magic"}');
SELECT pg_temp.part('auth', '{"kind": "jwt"}');
SELECT pg_temp.part('auth', '{"kind": "signed"}');
SELECT pg_temp.part('auth', '{"kind": "basic", "user": "{{to}}", "password": "x"}');
SELECT pg_temp.part('auth', '{"kind": "bearer"}');
SELECT pg_temp.part('auth', '{"kind": "oauth2", "token_url": "https://x.example/", "client_id": "a", "client_secret": "b", "client_auth": "x"}');
SELECT pg_temp.part('response', '{"success": {"status": "ok"}}');
SELECT pg_temp.part('response', '{"success": {"status": [200, "2x"]}}');
SELECT pg_temp.part('response', '{"success": {"path": "a"}}');
SELECT pg_temp.part('response', '{"success": {"regex": "("}}');
SELECT pg_temp.part('response', '{"id": {"path": "a", "header": "b"}}');
SELECT pg_temp.part('response', '{"errors": [{"status": 400, "class": "permanent"}, {"class": "retry"}]}');
SELECT pg_temp.part('response', '{"errors": [{"status": 400, "class": "sad"}]}');
SELECT pg_temp.part('response', '{"errors": [{"code": "7", "class": "retry"}]}');
SELECT pg_temp.part('receipt', '{"format": "csv", "id": "a", "status": "b", "states": {}}');
SELECT pg_temp.part('receipt', '{"format": "json", "status": "b", "states": {}}');
SELECT pg_temp.part('receipt', '{"format": "json", "id": "a", "status": "b", "states": {"x": "gone"}}');
SELECT pg_temp.part('receipt', '{"format": "json", "id": "a", "status": "b", "match": "bits", "states": {"x": "sent"}}');
SELECT pg_temp.part('receipt', '{"format": "json", "id": "a", "status": "b", "states": {}, "token": {"secret": "t"}}');
SELECT pg_temp.part('receipt', '[{"id": "a", "state": "sent"}, {"id": "a", "status": "b", "interactions": {"x": "smiled"}}]');
SELECT pg_temp.part('receipt', '[]');
SELECT pg_temp.part('receipt', '{"id": "a", "status": "b"}');
SELECT pg_temp.part('receipt', '{"id": "a", "state": "sent", "when": [{"path": "x", "equals": "y"}, {"path": "x"}]}');
SELECT pg_temp.part('receipt', '{"id": ["a", ""], "state": "sent"}');
SELECT pg_temp.part('inbound', '{"text": "a"}');
SELECT pg_temp.part('inbound', '{"from": "a", "kind": "letter"}');
SELECT pg_temp.part('inbound', '{"from": "a", "kind": {"path": "k", "map": {"1": "letter"}}}');
SELECT pg_temp.part('signature', '{"method": "wax"}');
SELECT pg_temp.part('signature', '{"method": "meta"}');
SELECT pg_temp.part('signature', '{"method": "meta", "secret": "App Secret"}');
SELECT pg_temp.part('signature', '{"method": "token", "secret": "t", "header": "x", "parameter": "y"}');
SELECT pg_temp.part('signature', '{"method": "hmac", "secret": "t"}');
SELECT pg_temp.part('signature', '{"method": "hmac", "secret": "t", "header": "x", "algorithm": "md5"}');
SELECT pg_temp.part('signature', '{"method": "sns", "secret": "certificate"}');
SELECT pg_temp.part('signature', '{"method": "slack", "secret": "t", "tolerance": 0}');
SELECT pg_temp.part('answer', '{"status": 500}');
SELECT pg_temp.part('answer', '{"content_type": "text/plain\r\nSet-Cookie: x"}');
SELECT pg_temp.part('challenge', '{"parameter": "hub.challenge"}');
SELECT pg_temp.part('challenge', '{"parameter": "a", "path": "b"}');
SELECT pg_temp.part('poll', '{"every": "0 s", "request": {"url": "https://x.example/"}}');
SELECT pg_temp.part('poll', '{"every": "60 s"}');
SELECT pg_temp.part('poll', '{"every": "60 s", "request": {"url": "https://x.example/{{to}}"}}');
SELECT pg_temp.part('poll', '{"every": "60 s", "request": {"url": "ftp://x.example/"}}');
SELECT pg_temp.part('poll', '{"every": "60 s", "request": {"url": "https://x.example/"}, "receipt": [{"id": "a"}]}');
SELECT pg_temp.part('poll', '{"every": "60 s", "request": {"url": "https://x.example/"}, "cursor": {"parameter": "after", "path": "$.["}}');
SELECT pg_temp.part('limits', '{"timeout": 0}');
SELECT pg_temp.part('http_version', '"3"');
SELECT pg_temp.part('idempotent', '"yes"');
CREATE FUNCTION pg_temp.mail(request text, more text DEFAULT '') RETURNS void LANGUAGE sql AS $$
  SELECT mfiauto.create_gateway('a', 'email', definition => ('{"transport": "smtp", "request": ' || request || more || '}')::json) $$;
SELECT pg_temp.part('transport', '"uucp"');
SELECT mfiauto.create_gateway('a', 'sms', definition => '{"transport": "smtp", "request": {"url": "smtp://x.example", "from": "a@x.example"}}');
SELECT pg_temp.mail('{"url": "smtp://x.example"}');
SELECT pg_temp.mail('{"url": "https://x.example", "from": "a@x.example"}');
SELECT pg_temp.mail('{"url": "smtp://{{to}}", "from": "a@x.example"}');
SELECT pg_temp.mail('{"url": "smtp://x.example", "from": "a@x.example", "method": "POST"}');
SELECT pg_temp.mail('{"url": "smtp://x.example", "from": "a@x.example", "tls": "maybe"}');
SELECT pg_temp.mail('{"url": "smtp://x.example", "from": "a@x.example", "headers": {"X Y": "1"}}');
SELECT pg_temp.mail('{"url": "smtp://x.example", "from": "a@x.example"}', ', "auth": {"kind": "bearer", "token": "x"}');
SELECT mfiauto.create_gateway('a', 'email', 'smtp', settings => '{"sender": "a@x.example"}');
SELECT mfiauto.create_gateway('a', 'email', 'smtp', settings => '{"sender": "a@x.example", "url": "https://x.example"}');
SELECT gateway FROM mfiauto.gateway ORDER BY gateway;

-- A definition of one's own, and changes.
SELECT mfiauto.create_gateway('own', 'sms', definition => '{
  "settings": {"url": {"required": true}, "flash": {"default": false}},
  "secrets": ["token"],
  "request": {"url": "{{&settings.url}}/v1", "body": {"kind": "json", "json": {"to": ["{{to}}"], "text": "{{text}}", "flash": "{{settings.flash}}"}}},
  "auth": {"kind": "bearer", "token": "{{secret.token}}"},
  "response": {"success": {"status": "2xx"}, "id": {"path": "messages[0].id"}}
}', settings => '{"url": "https://sms.example", "rate_per_second": 5}', priority => 10);
SELECT mfiauto.alter_gateway('own', settings => '{"rate_per_second": 7, "sender": "MFI"}', priority => 20);
SELECT mfiauto.alter_gateway('own', settings => '{"sender": null}', is_enabled => false);
SELECT mfiauto.alter_gateway('own', settings => '{"url": null}');
SELECT mfiauto.alter_gateway('own', settings => '7');
SELECT mfiauto.alter_gateway('other', priority => 1);
SELECT gateway, channel, preset, priority, is_enabled, settings, secrets FROM mfiauto.gateway ORDER BY gateway;

-- The rate is the setting, else what the definition says.
SELECT mfiauto.create_gateway('paced', 'sms', definition => '{"request": {"method": "POST", "url": "https://sms.example"}, "limits": {"rate_per_second": 3}}');
SELECT rate_per_second FROM mfiauto.gateway_status WHERE gateway = 'paced';
SELECT mfiauto.alter_gateway('paced', settings => '{"rate_per_second": 2}');
SELECT rate_per_second FROM mfiauto.gateway_status WHERE gateway = 'paced';
SELECT mfiauto.drop_gateway('paced');

-- Secrets: nobody sees a value, not even the owner.
SET client_min_messages = notice;
DO $$ BEGIN
  PERFORM mfiauto.set_secret('own', 'token', 'hush-hush');
  RAISE NOTICE 'others see: %', (SELECT a.query FROM pg_stat_activity a WHERE a.pid = pg_backend_pid());
END $$;
-- A name that the gateway has no use for is most likely misspelled; the one before it, and those of signatures, are none.
SELECT mfiauto.set_secret('own', 'tokn', 'hush-hush');
SELECT mfiauto.drop_secret('own', 'tokn');
SELECT mfiauto.set_secret('own', 'token_previous', 'hush-hush');
SELECT mfiauto.drop_secret('own', 'token_previous');
SET client_min_messages = warning;
SELECT mfiauto.set_secret('own', 'token');
SELECT mfiauto.set_secret('own', 'token', 'a', env => 'b');
SELECT mfiauto.set_secret('own', 'To ken', 'a');
SELECT mfiauto.set_secret('nobody', 'token', 'a');
SET ROLE regress_gateway_owner;
SELECT mfiauto.set_secret('own', 'token', file => '/etc/passwd');
SELECT mfiauto.set_secret('own', 'token', env => 'PATH');
SELECT gateway, secrets FROM mfiauto.gateway WHERE gateway = 'own';
SET ROLE regress_gateway_owner;
SELECT * FROM mfiauto._secret;
RESET ROLE;
SELECT mfiauto.set_secret('own', 'token', file => 'relative');
SELECT gateway, key, value IS NOT NULL AS is_value FROM mfiauto._secret;
SELECT mfiauto.drop_secret('own', 'token');
SELECT mfiauto.drop_secret('own', 'token');
SELECT secrets FROM mfiauto.gateway WHERE gateway = 'own';

RESET ROLE;
-- A test through the sandbox, and without a right to test.
SELECT outcome, status, error FROM mfiauto.test_gateway('box', '+221770000000', 'essai');
SELECT mfiauto.test_gateway('nobody', '+221770000000', 'essai');
SELECT mfiauto.test_gateway('box', NULL, 'essai');
SELECT mfiauto.test_gateway('box', '12', 'essai');
SELECT outcome FROM mfiauto.test_gateway('box', '77 000 00 00', 'as it is written at home');
SELECT mfiauto.test_gateway('box', '+221770000000', '');
SELECT outcome, error FROM mfiauto.test_gateway('own', '+221770000000', 'essai');
SET mfiauto.only_recipients = '+221770000001';
SELECT mfiauto.test_gateway('box', '+221770000000', 'essai');
SELECT outcome FROM mfiauto.test_gateway('box', '+221770000001', 'essai');
RESET mfiauto.only_recipients;
SET ROLE regress_gateway_owner;
SELECT mfiauto.drop_gateway('own');
SELECT mfiauto.drop_gateway('own');
RESET ROLE;

-- What a worker knows of a gateway counts as long as the gateway is the one that it read; its counts always do.
SELECT mfiauto._save_gateway_state('box', 'stopped', NULL, NULL, 3, 'why', 5, 0, 0, 0, 'why', g.ctid::text || g.xmin::text) FROM mfiauto.gateway_config g WHERE g.gateway = 'box';
SELECT s.circuit, s.stopped_reason, s.sent_count FROM mfiauto.gateway_state s WHERE s.gateway = 'box';
CREATE TEMP TABLE version AS SELECT g.ctid::text || g.xmin::text AS read FROM mfiauto.gateway_config g WHERE g.gateway = 'box';
SELECT mfiauto.alter_gateway('box', settings => '{"concurrency": 3}');
SELECT mfiauto._save_gateway_state('box', 'stopped', NULL, NULL, 3, 'why', 1, 0, 0, 0, 'why', v.read) FROM version v;
SELECT s.circuit, s.stopped_reason, s.sent_count FROM mfiauto.gateway_state s WHERE s.gateway = 'box';
