-- What a stranger or a provider gone bad can do from outside, and whoever may declare gateways and links from inside.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');

-- Who can be posted to says how he knows that it is the provider.
SELECT mfiauto.create_gateway('open', 'sms', definition => '{"request": {"url": "https://x.example/"}, "receipt": {"id": "id", "state": "delivered"}}');
SELECT mfiauto.create_gateway('open', 'sms', definition => '{"request": {"url": "https://x.example/"}, "inbound": {"from": "from", "text": "text"}}');
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
