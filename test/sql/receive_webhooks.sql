-- Webhooks as the web front hands them over: who is answered what; replays, repeats, challenges; every shape in which providers tell; what people did, bounces
-- and complaints; what cannot be read is kept and can be read later.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/keys.sql
\set ECHO all
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
CREATE FUNCTION serve(gateway text, method text, body text, headers jsonb DEFAULT '{}', query text DEFAULT '', OUT status integer, OUT headers_out jsonb, OUT answer text) LANGUAGE sql AS $$
  SELECT r.status, r.headers, convert_from(r.body, 'UTF8') FROM mfiauto._serve_webhook(gateway, method, query, headers, convert_to(body, 'UTF8')) r $$;
-- A message of client i that was sent by a gateway, whose provider's id is the gateway's name and i.
CREATE FUNCTION sent(client bigint, gateway text, channel text DEFAULT 'email') RETURNS void LANGUAGE sql AS $$
  WITH made AS (INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id, to_address)
    VALUES (client, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'transactional', channel, gateway, gateway || client, 'c' || client || '@x.example') RETURNING *)
  INSERT INTO mfiauto.provider_key (client_id, message_id, gateway, provider_id, named_at) SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM made m $$;
CREATE VIEW told AS SELECT r.gateway, r.client_id, r.status, r.state, r.applied, r.error FROM mfiauto.receipt r ORDER BY r.receipt_id;
CREATE FUNCTION declare(gateway text, channel text, more json, settings json DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
  SELECT mfiauto.create_gateway(gateway, channel, definition => ('{"request": {"url": "https://x.example/"}, "signature": {"method": "none"}}'::jsonb || more::jsonb)::json, settings => settings) $$;

-- Who is answered what.
SELECT declare('meta', 'whatsapp', '{"signature": {"method": "meta", "secret": "app_secret"},
  "challenge": {"parameter": "hub.challenge", "verify": {"parameter": "hub.verify_token", "secret": "verify_token"}},
  "receipt": {"list": "entry[].changes[].value.statuses[]", "id": "id", "status": "status", "error": "errors[0].code", "time": "timestamp",
              "states": {"sent": "sent", "delivered": "delivered", "read": "delivered", "failed": "failed"}, "interactions": {"read": "read"}, "dead_errors": ["131026"]},
  "inbound": {"list": "entry[].changes[].value.messages[]", "from": "from", "to": "^.metadata.display_phone_number", "text": ["text.body", "button.text"], "id": "id", "time": "timestamp",
              "kind": {"path": "type", "map": {"button": "button"}}, "profile_name": "^.contacts[0].profile.name"}}');
SELECT declare('silent', 'sms', '{}');
SELECT sent(1, 'meta', 'whatsapp'), sent(2, 'meta', 'whatsapp');
SELECT * FROM serve('nobody', 'POST', '');
SELECT * FROM serve('silent', 'POST', '');
SELECT * FROM serve('meta', 'PUT', '');
SELECT * FROM serve('meta', 'POST', repeat(' ', 1048577));
SELECT * FROM serve('meta', 'POST', '{}');
SELECT * FROM serve('meta', 'GET', '', query => 'hub.mode=subscribe&hub.verify_token=v&hub.challenge=123');
SELECT mfiauto.set_secret('meta', 'app_secret', 'app secret'), mfiauto.set_secret('meta', 'verify_token', 'v');
SELECT * FROM serve('meta', 'GET', '', query => 'hub.mode=subscribe&hub.verify_token=v&hub.challenge=123');
SELECT * FROM serve('meta', 'GET', '', query => 'hub.mode=subscribe&hub.verify_token=w&hub.challenge=123');
SELECT * FROM serve('meta', 'POST', '{}');
SELECT refused_at, refused_reason FROM mfiauto.webhook_state;
SELECT * FROM serve('meta', 'POST', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "meta1", "status": "read", "timestamp": "1767603540"}]}}, {"value": {"statuses":
  [{"id": "meta2", "status": "failed", "errors": [{"code": 131026}]}, {"id": "meta1", "status": "delivered"}]}}]}]}', '{"x-hub-signature-256": "sha256=df02668d1bef61054bc13ddfa8e633beba18652d7fbc9f13d534eb19160fcd21"}');
TABLE told;
SELECT client_id, state, reason FROM mfiauto.message ORDER BY 1;
SELECT client_id, kind, at FROM mfiauto.interaction_log;

-- The same again: answered, not read. Another key that is being given up still signs.
SELECT serve.status FROM generate_series(1, 2), LATERAL serve('meta', 'POST', '{"again": 1}', '{"x-hub-signature-256": "sha256=5a2f5a3815558095a9967bb67508d0d4f7ce850bc433673eae33c20cc9065e57"}');
SELECT count(*) FROM mfiauto.webhook_memory;
SELECT problem FROM mfiauto.unread_webhook;

-- What was read is taken as what somebody wrote: from, text, id, time, and members of the objects around.
SELECT e.part, e.kind, e.from_address, e.to_address, e.body, e.provider_id, e.at, e.detail
  FROM mfiauto._read_webhook((SELECT g.definition::text FROM mfiauto.gateway g WHERE g.gateway = 'meta'), 'POST', '', '{}', convert_to('{"entry": [{"changes": [{"value": {
    "metadata": {"display_phone_number": "22133"}, "contacts": [{"profile": {"name": "Awa"}}], "messages": [
      {"from": "22177", "id": "w1", "timestamp": "1767603600", "type": "text", "text": {"body": "Été"}}, {"from": "22178", "id": "w2", "type": "button", "button": {"text": "Oui"}}]}}]}]}', 'UTF8')) e;

-- Arrays, prefixes of ids, numbers of events (SendGrid); people's doings, bots, bounces, complaints.
SELECT declare('grid', 'email', '{"signature": {"method": "token", "parameter": "token", "secret": "t"},
  "receipt": {"id": "sg_message_id", "id_prefix": true, "event": "sg_event_id", "status": "event", "error": "reason", "time": "timestamp", "url": "url",
    "states": {"processed": "submitted", "delivered": "delivered", "bounce": "undelivered", "dropped": "undelivered", "deferred": "ignore"},
    "interactions": {"open": "opened", "click": "clicked", "spamreport": "complained", "unsubscribe": "unsubscribed", "bounce": "bounced"},
    "bot": {"path": "sg_machine_open", "equals": true}}}');
SELECT mfiauto.set_secret('grid', 't', 'tok');
SELECT sent(i, 'grid') FROM generate_series(11, 16) i;
SELECT status FROM serve('grid', 'POST', '[{"sg_message_id": "grid11.f1", "event": "delivered", "sg_event_id": "e1"}, {"sg_message_id": "grid11.f1", "event": "open", "sg_event_id": "e2", "timestamp": 1767603500},
  {"sg_message_id": "grid11.f1", "event": "open", "sg_event_id": "e3", "timestamp": 1767603500}, {"sg_message_id": "grid11.f1", "event": "open", "sg_event_id": "e4", "sg_machine_open": true},
  {"sg_message_id": "grid12.f", "event": "click", "sg_event_id": "e5", "url": "https://x.example/pay"}, {"sg_message_id": "grid13.f", "event": "bounce", "sg_event_id": "e6", "reason": "550 no such user"},
  {"sg_message_id": "grid14.f", "event": "spamreport", "sg_event_id": "e7"}, {"sg_message_id": "grid15.f", "event": "unsubscribe", "sg_event_id": "e8"}, {"sg_message_id": "grid16.f", "event": "processed", "sg_event_id": "e9"},
  {"sg_message_id": "grid11.f1", "event": "open", "sg_event_id": "e2", "timestamp": 1767603500}]', query => 'token=tok');
SELECT status FROM serve('grid', 'POST', '[{"sg_message_id": "grid16.f", "event": "delivered", "sg_event_id": "e10"}, {"sg_message_id": "grid11.f1", "event": "open", "sg_event_id": "e2", "timestamp": 1767603500}]', query => 'token=tok');
SELECT client_id, state, reason FROM mfiauto.message WHERE client_id BETWEEN 11 AND 16 ORDER BY 1;
SELECT client_id, kind, is_bot, detail, at FROM mfiauto.interaction_log WHERE client_id BETWEEN 11 AND 16 ORDER BY interaction_id;
SELECT client_id, channel, granted, source FROM mfiauto.consent ORDER BY client_id;
SELECT s.reason, i AS client_id FROM mfiauto.suppression s JOIN generate_series(11, 16) i ON s.address_hash = mfiauto._address_hash('email', 'c' || i || '@x.example') ORDER BY i;
SELECT name, client_id, properties - 'message_id' AS properties FROM mfiauto.event_log WHERE client_id BETWEEN 11 AND 16 ORDER BY event_id;

-- One object or an array of them, numbers of 64 bits as they are (Mailjet); several rules for one kind of event (Mailgun); either name of a member (Brevo).
SELECT declare('jet', 'email', '{"receipt": {"id": "MessageID", "status": "event", "states": {"sent": "delivered", "bounce": "undelivered"}}}');
SELECT declare('gun', 'email', '{"receipt": [
  {"when": [{"path": "event-data.event", "equals": "failed"}, {"path": "event-data.severity", "equals": "temporary"}], "id": "event-data.message.headers.message-id", "state": "ignore", "status": "event-data.severity"},
  {"when": {"path": "event-data.event", "equals": ["failed"]}, "id": "event-data.message.headers.message-id", "status": "event-data.event", "interactions": {"failed": "bounced"}},
  {"id": "event-data.message.headers.message-id", "status": "event-data.event", "states": {"delivered": "delivered"}}]}');
SELECT declare('brevo', 'email', '{"receipt": {"id": ["message-id", "messageId"], "status": "event", "states": {"delivered": "delivered"}}}');
SELECT sent(21, 'gun'), sent(22, 'gun'), sent(23, 'gun'), sent(24, 'brevo'), sent(25, 'brevo');
INSERT INTO mfiauto.provider_key SELECT client_id, message_id, 'jet', '576460756513665525', named_at FROM mfiauto.provider_key WHERE provider_id = 'gun21';
UPDATE mfiauto.message_ledger SET gateway = 'jet' WHERE client_id = 21;
SELECT status FROM serve('jet', 'POST', '{"event": "sent", "MessageID": 576460756513665525}');
SELECT status FROM serve('jet', 'POST', '[{"event": "sent", "MessageID": 1}, {"event": "bounce", "MessageID": 576460756513665525}]');
SELECT status FROM serve('gun', 'POST', '{"event-data": {"event": "failed", "severity": "temporary", "message": {"headers": {"message-id": "gun22"}}}}');
SELECT status FROM serve('gun', 'POST', '{"event-data": {"event": "failed", "severity": "permanent", "message": {"headers": {"message-id": "gun23"}}}}');
SELECT a, b FROM serve('brevo', 'POST', '{"event": "delivered", "message-id": "brevo24"}') a, serve('brevo', 'POST', '{"event": "delivered", "messageId": "brevo25"}') b;
SELECT * FROM told WHERE gateway IN ('jet', 'gun', 'brevo');
SELECT client_id, state, reason FROM mfiauto.message WHERE client_id BETWEEN 21 AND 25 ORDER BY 1;

-- JSON as text inside an envelope (SES behind SNS), also without the envelope; the subscription is told to the operator and fetched by nobody.
SELECT declare('ses', 'email', '{"receipt": {"unwrap": "Message", "id": "mail.messageId", "status": "eventType", "states": {"Delivery": "delivered"}}}');
SELECT sent(31, 'ses'), sent(32, 'ses');
SELECT status FROM serve('ses', 'POST', '{"Type": "Notification", "Message": "{\"eventType\": \"Delivery\", \"mail\": {\"messageId\": \"ses31\"}}"}');
SELECT status FROM serve('ses', 'POST', '{"eventType": "Delivery", "mail": {"messageId": "ses32"}}');
SELECT status FROM serve('ses', 'POST', '{"Type": "Notification", "Message": "{\"eventType\""}');
SELECT client_id, state FROM mfiauto.message WHERE client_id IN (31, 32) ORDER BY 1;
SELECT declare('sns', 'email', '{"signature": {"method": "sns", "secret": "certificate", "topic": "sns_topic"}, "settings": {"sns_topic": {}},
  "receipt": {"unwrap": "Message", "id": "mail.messageId", "status": "eventType", "states": {"Delivery": "delivered"}}}', '{"sns_topic": "arn:aws:sns:eu-west-1:1:mfi"}');
SELECT mfiauto.set_secret('sns', 'certificate', :'sns_certificate');
SELECT status FROM serve('sns', 'POST', '{"Type": "Notification", "MessageId": "sns-2", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "{\"eventType\":\"Delivery\",\"mail\":{\"messageId\":\"ses1\"}}", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "2", "Signature": "RLGySAaQUrCDVtQaL1SahbvNDIeB7/ZkPAsMPRffuBfwBvWiig4M0V+4poYE4YOIVk+Y4bvoXG5B7Sh/6AxxuEI6McefvVA7i3/B3uCvLft4bmSz8jeFipGJ9FreRKhFQfgl3UL5Lej+Vlv73xQcJip6mM8lZwOl8JpkJCNpfxLKSTM+nUOG/XnyN8CDD9524qs1PzNiueqhch94DGq2abmW3IZSYR4a3zDAbVdJB55AU5Y+tM/3rcowX3yBsgNTpbBN0QTbIsV02gKZy39eCLGZYTu1tkzh2/XOrwtJtLAEdqzbCRBxacZiulCRWjWwjj+Ur1jH+84arzuTCe0a+g==", "SigningCertURL": "https://evil.example/cert.pem"}'), serve('sns', 'POST', '{"Type": "SubscriptionConfirmation", "MessageId": "sns-3", "Token": "tok", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "Please confirm", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=tok", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "2", "Signature": "GF4i0Z+GAGFVgBOXOsVVcHQN+T3jM6YCk0FuMPPMQXrLFJh8xpCYLkGMd4OgaSGS4dMGLUs/pP8Ew3Xc5V0kncTxGYKDD+3hRa1PJvj8Sl4BXFHU4J/Fk6gBB6mzkdEJP42n9AYrpaHFVVcSd8pRIyp4L7ZEuoy3Vu12L2mWleHLXVFfAyguDUuCDYku/T98gOiHCl1mDS2M/WsZdDfq0I4sSzTuJ5eJizDU7suyP4icqhc/kJOS2ZozSMZ9EOQH1f7GNt3ZZsDwkSKLPLB1IgjDRnQEPGMB22t9a07rQ+F5gg9fh9VVNKZUWNAyuMRj/NtvVOUPBPSsg9/UoCFwBQ=="}') s(s);
SELECT provider_id, status FROM mfiauto.receipt WHERE gateway = 'sns';
SELECT confirm_url FROM mfiauto.webhook_state WHERE gateway = 'sns';
SELECT mfiauto.alter_gateway('sns', settings => '{"sns_topic": "arn:aws:sns:eu-west-1:1:other"}');
SELECT status FROM serve('sns', 'POST', '{"Type": "Notification", "MessageId": "sns-2", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "{\"eventType\":\"Delivery\",\"mail\":{\"messageId\":\"ses1\"}}", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "2", "Signature": "RLGySAaQUrCDVtQaL1SahbvNDIeB7/ZkPAsMPRffuBfwBvWiig4M0V+4poYE4YOIVk+Y4bvoXG5B7Sh/6AxxuEI6McefvVA7i3/B3uCvLft4bmSz8jeFipGJ9FreRKhFQfgl3UL5Lej+Vlv73xQcJip6mM8lZwOl8JpkJCNpfxLKSTM+nUOG/XnyN8CDD9524qs1PzNiueqhch94DGq2abmW3IZSYR4a3zDAbVdJB55AU5Y+tM/3rcowX3yBsgNTpbBN0QTbIsV02gKZy39eCLGZYTu1tkzh2/XOrwtJtLAEdqzbCRBxacZiulCRWjWwjj+Ur1jH+84arzuTCe0a+g==", "SigningCertURL": "https://evil.example/cert.pem"}');

-- A list of mere texts (Messenger), a fixed state; forms by GET, POST and as JSON (Vonage); a call, its seconds and digits; the URL's own parameter.
SELECT declare('messenger', 'messenger', '{"receipt": {"list": "entry[].messaging[].delivery.mids[]", "id": "@", "state": "delivered"}}');
SELECT declare('vonage', 'sms', '{"receipt": {"format": "form", "id": "messageId", "status": "status", "error": "err-code", "states": {"delivered": "delivered"}}, "answer": {"status": 204}}');
SELECT declare('call', 'voice', '{"receipt": {"format": "form", "reference": "?.ref", "status": "CallStatus", "states": {"completed": "delivered", "busy": "undelivered"}, "seconds": "CallDuration", "least_seconds": 5,
  "digits": "Digits", "interactions": {"completed": "answered"}}, "answer": {"content_type": "text/xml", "body": "<Response/>"}}');
SELECT sent(41, 'messenger', 'messenger'), sent(42, 'messenger', 'messenger'), sent(43, 'vonage', 'sms'), sent(44, 'vonage', 'sms'), sent(45, 'vonage', 'sms'), sent(46, 'call', 'voice'), sent(47, 'call', 'voice');
SELECT status FROM serve('messenger', 'POST', '{"entry": [{"messaging": [{"delivery": {"mids": ["messenger41", "messenger42"]}}, {"read": {"watermark": 1}}]}]}');
SELECT g, p FROM serve('vonage', 'GET', '', query => 'messageId=vonage43&status=delivered') g, serve('vonage', 'POST', 'messageId=vonage44&status=delivered') p;
SELECT j.status FROM serve('vonage', 'POST', '{"messageId": "vonage45", "status": "delivered", "err-code": 0}', '{"content-type": "application/json"}') j;
SELECT s FROM mfiauto.message_ledger m, serve('call', 'POST', CASE m.client_id WHEN 46 THEN 'CallStatus=completed&CallDuration=42&Digits=1' ELSE 'CallStatus=completed&CallDuration=2' END,
  query => 'ref=' || m.message_id || '-' || m.idempotency_key) s WHERE m.client_id IN (46, 47) ORDER BY m.client_id;
SELECT client_id, state, reason FROM mfiauto.message WHERE client_id BETWEEN 41 AND 47 ORDER BY 1;
SELECT client_id, kind, detail FROM mfiauto.interaction_log WHERE client_id BETWEEN 41 AND 47 ORDER BY interaction_id;

-- Slack asks first whether we are there.
SELECT declare('slack', 'webhook', '{"signature": {"method": "token", "header": "x-token", "secret": "t"}, "challenge": {"path": "challenge"}, "inbound": {"from": "event.user", "text": "event.text", "id": "event_id"}}');
SELECT mfiauto.set_secret('slack', 't', 'tok');
SELECT * FROM serve('slack', 'POST', '{"type": "url_verification", "challenge": "3eZb"}', '{"X-Token": "tok"}');
SELECT * FROM serve('slack', 'POST', '{"type": "url_verification", "challenge": "3eZb"}', '{"X-Token": "no"}');

-- What cannot be read is kept, without the token that came along, shown, and read when the definition can.
SELECT sent(51, 'grid');
SELECT mfiauto.set_clock('2026-01-05 10:00+00');
DELETE FROM mfiauto.unread_webhook;
SELECT status FROM serve('grid', 'POST', '{"events": [{"sg_message_id": "grid51.f", "event": "delivered"}]}', query => 'a=1&token=tok&b=2');
SELECT status FROM serve('grid', 'POST', '{"eve', query => 'token=tok');
SELECT gateway, problem, method, query, convert_from(body, 'UTF8') AS body FROM mfiauto.unread_webhook ORDER BY webhook_id;
SELECT gateway, unread, refused_at, confirm_url IS NOT NULL AS wants_confirmation FROM mfiauto.gateway_status WHERE gateway IN ('grid', 'meta', 'sns') ORDER BY 1;
SELECT state, detail FROM mfiauto.status WHERE item = 'webhooks';
SELECT mfiauto.reread_webhooks('grid');
SELECT mfiauto.alter_gateway('grid', definition => jsonb_set(definition, '{receipt,list}', '"events[]"')::json) FROM mfiauto.gateway WHERE gateway = 'grid';
SELECT mfiauto.reread_webhooks('grid');
SELECT mfiauto.reread_webhooks('nobody');
SELECT state FROM mfiauto.message WHERE client_id = 51;
SELECT count(*) FROM mfiauto.unread_webhook;
SELECT mfiauto.set_clock('2026-02-05 10:00+00'), mfiauto._forget_webhooks();
SELECT (SELECT count(*) FROM mfiauto.unread_webhook) AS unread, (SELECT count(*) FROM mfiauto.webhook_memory) AS remembered;
