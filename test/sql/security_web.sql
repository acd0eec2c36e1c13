-- What a stranger or a provider gone bad can do from outside, and whoever may declare gateways and links from inside.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');

-- Who says nothing of signatures is not posted to.
SELECT mfiauto.create_gateway('open', 'sms', definition => '{"request": {"url": "https://x.example/"}, "receipt": {"id": "id", "state": "delivered"}}');
SELECT (mfiauto._serve('POST', '/w/open', '', '{}', '{"id": "a"}', '192.0.2.1')).status;
SELECT mfiauto.create_gateway('open_voice', 'voice', definition => '{"request": {"url": "https://x.example/"}, "voice": {"format": "twiml"}}');
SELECT mfiauto.create_gateway('said', 'sms', definition => '{"request": {"url": "https://x.example/"}, "signature": {"method": "none"}, "receipt": {"id": "id", "state": "delivered"}}');
SELECT (mfiauto._serve('POST', '/w/said', '', '{}', '{"id": "a"}', '192.0.2.1')).status;
-- Who is only polled is not posted to.
SELECT mfiauto.create_gateway('polled', 'sms', definition => '{"request": {"url": "https://x.example/"}, "poll": {"every": "60 s", "request": {"url": "https://x.example/new"}}, "inbound": {"from": "from", "text": "text"}}');
SELECT (mfiauto._serve('POST', '/w/polled', '', '{"content-type": "application/json"}', '{"from": "+221770000001", "text": "STOP"}', '192.0.2.1')).status;
SELECT mfiauto.receive('polled', '{}', '{"from": "+221770000001", "text": "STOP"}');
SELECT count(*) FROM mfiauto.inbound_log;
-- Each preset that can be posted to has a signature or a secret of its own.
SELECT p.preset FROM mfiauto.gateway_preset p
 WHERE p.definition ?| '{receipt,inbound,voice}' AND NOT p.definition ? 'sql'
   AND (coalesce(p.definition -> 'signature' ->> 'method', 'none') = 'none' OR p.definition -> 'signature' ->> 'secret' IS NULL);

-- Checking asks for everything but our own address.
SELECT * FROM mfiauto._check_webhook('said', NULL, 'POST', NULL, '', '{}', '', mfiauto.now());
SELECT * FROM mfiauto._check_webhook('said', '{"method": "none"}', NULL, NULL, '', '{}', '', mfiauto.now());
SELECT * FROM mfiauto._check_webhook('said', '{"method": "none"}', 'POST', NULL, '', NULL, '', mfiauto.now());
SELECT * FROM mfiauto._check_webhook('said', '{"method": "none"}', 'POST', NULL, '', '{}', NULL, mfiauto.now());
SELECT * FROM mfiauto._check_webhook('said', '{"method": "none"}', 'POST', NULL, '', '{}', '', NULL);
SELECT * FROM mfiauto._check_webhook('said', '{"method": "none"}', 'POST', NULL, '', '{}', '', mfiauto.now());
-- Vonage takes & and = out of values before it signs. A parameter whose name holds them has the signed text of several others.
SELECT mfiauto.set_secret('said', 's', 'key');
SELECT b.body, c.verdict
  FROM (SELECT md5('&msisdn=221770000001&text=hi&timestamp=1767603600' || 'key') AS sig) k,
       LATERAL (VALUES ('msisdn=221770000001&text=hi&timestamp=1767603600&sig='), ('msisdn=221770000001%26text%3Dhi&timestamp=1767603600&sig='), ('msisdn%3D221770000001%26text=hi&timestamp=1767603600&sig=')) b(body),
       LATERAL mfiauto._check_webhook('said', '{"method": "vonage_sms", "secret": "s"}', 'POST', NULL, '', '{"content-type": "application/x-www-form-urlencoded"}', convert_to(b.body || k.sig, 'UTF8'), mfiauto.now()) c;

-- What an app says of a client comes from whoever has the app. It decides neither where we write to nor whose word it is that comes in.
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, email text);
INSERT INTO bank.client VALUES (1, 'Awa', '77 000 00 01', 'awa@x.example'), (2, 'Binta', '77 000 00 02', NULL);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "email": "email"}');
SELECT mfiauto.set_institution(name => 'MFI', country => 'SN');
SELECT r.parked FROM mfiauto.run_engine() r;
SELECT mfiauto.create_write_key('app') AS write_key \gset
CREATE FUNCTION told(write_key text, call text, content jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT r.status || ' ' || convert_from(r.body, 'UTF8') FROM mfiauto._serve('POST', '/v1/' || call, '',
    jsonb_build_object('authorization', 'Basic ' || translate(encode(convert_to(write_key || ':', 'UTF8'), 'base64'), E'\n', '')), convert_to(content::text, 'UTF8'), '192.0.2.1') r $$;
SELECT told(:'write_key', 'identify', '{"userId": "1", "traits": {"telegram": "666"}}');
SELECT told(:'write_key', 'identify', '{"userId": "1", "traits": {"messenger": "666"}}');
SELECT told(:'write_key', 'identify', '{"userId": "1", "traits": {"country": "US"}}');
SELECT told(:'write_key', 'identify', '{"userId": "1", "traits": {"shoe": 41}}');
SELECT told(:'write_key', 'batch', '{"batch": [{"type": "identify", "userId": "1", "traits": {"telegram": "666"}}, {"type": "identify", "userId": "1", "traits": {"hat": 58}}]}');
SELECT traits FROM mfiauto.client_trait;
SELECT r.parked FROM mfiauto.run_engine() r;
SELECT client_id, kind, address FROM mfiauto.address_book ORDER BY client_id, kind;

-- Anybody writes a client's address on a letter as its sender. It ends messages, at worst; a consent it gives only as the answer to a letter of ours to him.
SELECT mfiauto.create_gateway('post', 'email', 'sandbox');
SELECT mfiauto.set_policy('SN', 'marketing', double_opt_in => true), mfiauto.opt_in(1, 'email', 'marketing', source => 'web');
CREATE FUNCTION letter(said text, answers text DEFAULT 'nothing@x.example') RETURNS TABLE (result text, state text, action text) LANGUAGE plpgsql AS $$
BEGIN
  result := mfiauto.receive_mail('post', convert_to(format(E'From: Awa <awa@x.example>\r\nMessage-ID: <%s@x.example>\r\nIn-Reply-To: <%s>\r\n\r\n%s\r\n', gen_random_uuid(), answers, said), 'UTF8'));
  RETURN QUERY SELECT result, c.state, (SELECT coalesce(l.action, 'none') || ' of ' || l.client_id FROM mfiauto.inbound_log l ORDER BY l.inbound_id DESC LIMIT 1) FROM mfiauto.consent_at(1) c WHERE c.channel = 'email' AND c.class = 'marketing';
END $$;
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, to_address)
SELECT c, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', 'email', 'post', 'x' FROM generate_series(1, 2) c ORDER BY c;
SELECT * FROM letter('OUI');
SELECT letter('OUI', message_id || '-' || idempotency_key || '@mfi.example') FROM mfiauto.message_ledger WHERE client_id = 2;
SELECT letter('OUI', message_id || '-' || gen_random_uuid() || '@mfi.example') FROM mfiauto.message_ledger WHERE client_id = 1;
SELECT letter('OUI', message_id || '-' || idempotency_key || '@mfi.example') FROM mfiauto.message_ledger WHERE client_id = 1;
SELECT * FROM letter('STOP');
SELECT * FROM letter('START');
SELECT letter('START', message_id || '-' || idempotency_key || '@mfi.example') FROM mfiauto.message_ledger WHERE client_id = 1;
-- And nobody puts somebody else's address on the list of those that nothing is sent to, who may become a client.
CREATE FUNCTION stop_from(sender text, answers text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.receive_mail('post', convert_to(format(E'From: %s\r\nMessage-ID: <%s@x.example>\r\nIn-Reply-To: <%s>\r\n\r\nSTOP\r\n', sender, gen_random_uuid(), answers), 'UTF8'));
  RETURN (SELECT count(*) FROM mfiauto.suppression);
END $$;
UPDATE mfiauto.message_ledger SET to_address = 'former@x.example' WHERE client_id = 2;
SELECT stop_from('minister@x.example', 'nothing@x.example') AS forged, stop_from('minister@x.example', message_id || '-' || idempotency_key || '@mfi.example') AS with_a_letter_to_another,
       stop_from('Former@X.example', message_id || '-' || idempotency_key || '@mfi.example') AS answered FROM mfiauto.message_ledger WHERE client_id = 2;

-- Statements of a gateway run with the owner's rights: a superuser's are not for an admin.
CREATE ROLE security_web_admin;
SELECT mfiauto.grant_access('security_web_admin', 'admin');
SET ROLE security_web_admin;
SELECT mfiauto.create_gateway('mine', 'sms', definition => '{"sql": {"hand_over": "SELECT m ->> ''reference'', rolpassword FROM jsonb_array_elements($1) m, pg_authid"}}');
SELECT mfiauto.create_gateway('mine', 'sms', 'gammu', settings => '{"schema": "theirs"}');
SELECT mfiauto.import_definitions('{"mfiauto": 1, "gateways": [{"name": "mine", "channel": "sms", "preset": "gammu", "settings": {"schema": "theirs"}}]}');
SELECT mfiauto.create_gateway('mine', 'sms', 'sandbox');
SELECT mfiauto.alter_gateway('mine', definition => '{"sql": {"hand_over": "SELECT 1"}}');
RESET ROLE;
SELECT gateway, preset FROM mfiauto.gateway_config WHERE gateway = 'mine';

-- A token that proves the provider stands in no setting, which authors read; and receive() does not take it from our own address.
SELECT mfiauto.create_gateway('tok', 'sms', 'vonage', settings => '{"receipt_url": "https://m.example/w/tok?a=b&token=sesame"}');
SELECT mfiauto.create_gateway('tok', 'sms', 'vonage', settings => '{"receipt_url": "https://m.example/w/tok?token={{secret.receipt_token}}sesame"}');
SELECT mfiauto.create_gateway('tok', 'sms', 'vonage', settings => '{"sender": "MFI", "receipt_url": "https://m.example/w/tok?token={{secret.receipt_token}}"}');
SELECT mfiauto.alter_gateway('tok', settings => '{"receipt_url": "https://m.example/w/tok?token=sesame"}');
SELECT mfiauto.set_secret('tok', 'receipt_token', 'sesame'), mfiauto.set_secret('tok', 'api_key', 'k'), mfiauto.set_secret('tok', 'api_secret', 's');
SELECT r.body ~ 'callback=https%3A%2F%2Fm.example%2Fw%2Ftok%3Ftoken%3Dsesame' AS is_sent
  FROM mfiauto.gateway_config g, mfiauto._request_of('sms', g.definition::json, g.settings::json, '{"receipt_token": "sesame", "api_key": "k", "api_secret": "s"}', '{"to": "+221770000001", "text": "a"}') r WHERE g.gateway = 'tok';
SELECT (mfiauto._serve('POST', '/w/tok', 'token=sesame', '{"content-type": "application/x-www-form-urlencoded"}', 'messageId=1&status=delivered', '192.0.2.1')).status,
       (mfiauto._serve('POST', '/w/tok', '', '{"content-type": "application/x-www-form-urlencoded"}', 'messageId=1&status=delivered', '192.0.2.1')).status AS without;
SELECT mfiauto.receive('tok', '{"content-type": "application/x-www-form-urlencoded"}', 'messageId=2&status=delivered');
UPDATE mfiauto.gateway_config SET settings = '{"receipt_url": "https://m.example/w/tok?token=sesame"}' WHERE gateway = 'tok';
SELECT mfiauto.receive('tok', '{"content-type": "application/x-www-form-urlencoded"}', 'messageId=2&status=delivered');

-- Functions in C take nulls, and what nobody would give them, without an error of their own making.
DO $$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.oid::regproc AS name, string_agg(v.value || '::' || format_type(a.type, NULL), ', ' ORDER BY a.n) AS arguments
             FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
             JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mfiauto'
             JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
            CROSS JOIN generate_series(1, 4) AS attempt
            CROSS JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY AS a(type, n)
            CROSS JOIN LATERAL (SELECT CASE WHEN attempt = 1 THEN 'NULL'
                                            WHEN a.type = 'text'::regtype THEN (ARRAY['repeat(''['', 20000)', '''{"a": 1}''', ''''''])[attempt - 1]
                                            WHEN a.type = 'jsonb'::regtype THEN (ARRAY['''[]''', '''{"to": [], "options": 1, "status": 1e99, "headers": "x"}''', '''null'''])[attempt - 1]
                                            WHEN a.type = 'bytea'::regtype THEN (ARRAY['decode(repeat(''00'', 10000), ''hex'')', '''\xff''', ''''''])[attempt - 1]
                                            WHEN a.type IN ('bigint'::regtype, 'integer'::regtype) THEN (ARRAY['''-1''', '2147483647', '0'])[attempt - 1]
                                            WHEN a.type = 'oid'::regtype THEN '4294967295'
                                            WHEN a.type::regtype::text ~ '\[\]$' THEN (ARRAY['''{{NULL,NULL},{NULL,NULL}}''', '''[5:6]={NULL,NULL}''', '''{}'''])[attempt - 1]
                                            WHEN a.type IN ('timestamptz'::regtype, 'date'::regtype) THEN (ARRAY['''infinity''', '''-infinity''', '''2026-01-05'''])[attempt - 1]
                                            ELSE 'NULL' END AS value) v
            WHERE p.prosrc <> 'mfiauto_door' AND p.proname <> '_set_clock'
            GROUP BY p.oid, p.proname, attempt ORDER BY p.proname, attempt LOOP
    BEGIN
      EXECUTE format('SELECT %s(%s)', f.name, f.arguments);
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE = 'XX000' AND SQLERRM !~ '^could not open relation with OID' THEN
        RAISE INFO '%: %', f.name, SQLERRM;
      END IF;
    END;
  END LOOP;
END $$;
