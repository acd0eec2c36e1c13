-- Receipts in every form: bits, prefixes, lists, forms; repeated, late, for nobody, and of somebody else.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
-- Without its signature, which has a test of its own.
SELECT mfiauto.create_gateway('twilio', 'sms', definition => (p.definition || '{"signature": {"method": "none"}}')::json, settings => '{"sender": "MFI"}') FROM mfiauto.gateway_preset p WHERE p.preset = 'twilio';
SELECT mfiauto.create_gateway('kannel', 'sms', 'kannel', settings => '{"url": "http://127.0.0.1:1/"}');
SELECT mfiauto.create_gateway('meta', 'whatsapp', definition => '{
  "request": {"url": "https://x.example/"}, "signature": {"method": "none"},
  "receipt": {"format": "json", "list": "entry[].changes[].value.statuses[]", "id": "id", "status": "status", "error": "errors[0].code",
              "states": {"sent": "sent", "delivered": "delivered", "read": "delivered", "failed": "failed"}, "opted_out_errors": ["131050"]}}');
SELECT mfiauto.create_gateway('grid', 'email', definition => '{
  "request": {"url": "https://x.example/"}, "signature": {"method": "none"},
  "receipt": {"format": "json", "id": "sg_message_id", "id_prefix": true, "status": "event", "match": "prefix",
              "states": {"deliver": "delivered", "drop": "undelivered", "open": "ignore"}}}');
SELECT mfiauto.create_gateway('mute', 'push', 'sandbox');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id, idempotency_key, next_channels)
SELECT i, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', 'sms', g, g || i, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid,
       CASE WHEN i = 4 THEN '{voice}'::text[] END
  FROM (VALUES (1, 'twilio'), (2, 'twilio'), (3, 'twilio'), (4, 'twilio'), (11, 'kannel'), (12, 'kannel'), (13, 'kannel'), (14, 'kannel'), (21, 'meta'), (22, 'meta'), (31, 'grid')) v(i, g);
INSERT INTO mfiauto.provider_key SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM mfiauto.message_ledger m
 WHERE m.provider_id IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.provider_key k WHERE k.message_id = m.message_id);
CREATE VIEW pg_temp.seen AS SELECT client_id, state, reason FROM mfiauto.message ORDER BY client_id;
CREATE FUNCTION pg_temp.reference(client bigint) RETURNS text LANGUAGE sql AS $$
  SELECT m.message_id || '-' || m.idempotency_key FROM mfiauto.message_ledger m WHERE m.client_id = client $$;

-- Forms (Twilio): states in order, out of order, twice, of nobody.
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio1&MessageStatus=delivered&To=%2B22177');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio1&MessageStatus=sent&To=%2B22177');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio1&MessageStatus=delivered&To=%2B22177');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio2&MessageStatus=undelivered&ErrorCode=30003');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio3&MessageStatus=failed&ErrorCode=21610');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio4&MessageStatus=undelivered');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=nobody&MessageStatus=delivered');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=twilio4&MessageStatus=thinking');
SELECT mfiauto.receive('twilio', '{}', '');
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=%00%ff%c3%28&MessageStatus=%zz&=&&x');
SELECT * FROM pg_temp.seen WHERE client_id < 10;
SELECT client_id, granted, source FROM mfiauto.consent;
SELECT operation, key2 AS client_id FROM (TABLE mfiauto.journal_1 UNION ALL TABLE mfiauto.journal_2 UNION ALL TABLE mfiauto.journal_3 UNION ALL TABLE mfiauto.journal_4) j WHERE source_id = 0;
-- Another gateway's id is nobody's.
SELECT mfiauto.receive('meta', '{}', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "twilio4", "status": "delivered"}]}}]}]}');
SELECT * FROM pg_temp.seen WHERE client_id = 4;

-- Bits (Kannel), with our own reference and a token.
SELECT mfiauto.receive('kannel', '{}', 'token=t&ref=' || pg_temp.reference(11) || '&type=1');
SELECT mfiauto.set_secret('kannel', 'receipt_token', 'right');
SELECT mfiauto.receive('kannel', '{}', 'token=wrong&ref=' || pg_temp.reference(11) || '&type=1');
SELECT mfiauto.receive('kannel', '{}', 'ref=' || pg_temp.reference(11) || '&type=1');
SELECT mfiauto.receive('kannel', '{}', '?token=right&ref=' || pg_temp.reference(11) || '&type=1&reply=id%3A1+stat%3ADELIVRD');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || pg_temp.reference(11) || '&type=8');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || pg_temp.reference(12) || '&type=2');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || pg_temp.reference(13) || '&type=34');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || pg_temp.reference(14) || '&type=16');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || replace(pg_temp.reference(14), '-8000-', '-8001-') || '&type=1');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=99999999999999999999&type=1');
SELECT mfiauto.receive('kannel', '{}', 'token=right&ref=' || pg_temp.reference(14) || '&type=many');
SELECT * FROM pg_temp.seen WHERE client_id BETWEEN 11 AND 14;

-- Lists of lists (WhatsApp), arrays and prefixes (SendGrid).
SELECT mfiauto.receive('meta', '{}', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "meta21", "status": "sent"}, {"id": "meta21", "status": "read"}]}}]},
  {"changes": [{"value": {"messages": [{}]}}, {"value": {"statuses": [{"id": "meta22", "status": "failed", "errors": [{"code": 131050}]}]}}]}]}');
SELECT mfiauto.receive('grid', '{}', '[{"sg_message_id": "grid31.filter1", "event": "open"}, {"sg_message_id": "grid31.filter1", "event": "delivered"}, 7, null]');
SELECT * FROM pg_temp.seen WHERE client_id > 20;
SELECT client_id, granted, source FROM mfiauto.consent ORDER BY client_id;

-- A receipt that came before our own record.
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=early&MessageStatus=delivered');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id)
VALUES (41, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', 'sms', 'twilio', 'early');
INSERT INTO mfiauto.provider_key SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM mfiauto.message_ledger m
 WHERE m.provider_id IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.provider_key k WHERE k.message_id = m.message_id);
SELECT mfiauto._match_receipts();
SELECT mfiauto.set_clock('2026-01-05 09:00:01+00');
SELECT mfiauto._match_receipts();
SELECT * FROM pg_temp.seen WHERE client_id = 41;
-- Much later than that, and too late: what nobody knows is looked at ever less often, and stays written down.
SELECT mfiauto.receive('twilio', '{}', 'MessageSid=slow&MessageStatus=delivered');
DO $$ BEGIN
  FOR i IN 1 .. 300 LOOP
    PERFORM mfiauto.set_clock('2026-01-05 09:00:02+00'::timestamptz + interval '1 minute' * i);
    PERFORM mfiauto._match_receipts();
  END LOOP;
END $$;
SELECT count(*), max(look_count) BETWEEN 12 AND 17 AS is_patient, max(look_at) - mfiauto.now() > interval '20 minutes' AS is_in_no_hurry FROM mfiauto.waiting_receipt WHERE gateway = 'twilio' AND event ->> 'provider_id' = 'slow';
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id)
VALUES (42, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', 'sms', 'twilio', 'slow');
INSERT INTO mfiauto.provider_key SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM mfiauto.message_ledger m WHERE m.client_id = 42;
SELECT mfiauto.set_clock('2026-01-05 22:00+00');
SELECT mfiauto._match_receipts();
SELECT * FROM pg_temp.seen WHERE client_id = 42;
SELECT mfiauto.set_clock('2026-01-09 09:00+00');
SELECT mfiauto._match_receipts();
SELECT count(*) FROM mfiauto.waiting_receipt;
SELECT mfiauto.set_clock('2026-01-05 09:00+00');

-- What is no receipt.
SELECT mfiauto.receive('nobody', '{}', '');
SELECT mfiauto.receive('mute', '{}', '');
SELECT mfiauto.receive('meta', '{}', '{"entry": ');
SELECT mfiauto.receive('meta', '{}', '{"entry": ');
SELECT mfiauto.receive('meta', '[]', '{}');
SELECT mfiauto.receive('meta', '{}', NULL);
SELECT mfiauto.receive('meta', '{}', '"text"');
SELECT mfiauto.receive('meta', '{}', repeat(' ', 1100000));
SELECT gateway, problem, convert_from(body, 'UTF8') AS body FROM mfiauto.unread_webhook ORDER BY webhook_id;
SELECT client_id, gateway, provider_id, status, state, applied, error FROM mfiauto.receipt ORDER BY receipt_id;

-- One that waits and cannot be applied, for what its message's options make of it, keeps no other waiting.
SELECT mfiauto.create_gateway('calls', 'voice', definition => '{"request": {"url": "https://x.example/"}, "signature": {"method": "none"}, "receipt": {"id": "id", "state": "delivered", "digits": "digits"}}');
SELECT mfiauto.receive('calls', '{}', '[{"id": "calls51", "digits": "1"}, {"id": "calls52", "digits": "1"}]');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id, options)
SELECT i, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', 'voice', 'calls', 'calls' || i, CASE WHEN i = 51 THEN '{"digits": {"1": ""}}'::jsonb END FROM (VALUES (51), (52)) v(i);
INSERT INTO mfiauto.provider_key SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM mfiauto.message_ledger m WHERE m.client_id IN (51, 52);
SELECT mfiauto.set_clock('2026-01-05 09:00:01+00');
SELECT mfiauto._match_receipts();
SELECT * FROM pg_temp.seen WHERE client_id IN (51, 52);
SELECT count(*) FROM mfiauto.waiting_receipt WHERE gateway = 'calls';
