-- C3, calls: the document that says the text or plays its recording, digits and their events, heard seconds, the ladder of tries; hung up at 2 seconds is attempted, not delivered.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
INSERT INTO bank.client SELECT g, CASE g WHEN 1 THEN 'Awa <&> "Cie"' ELSE 'Client ' || g END, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low' FROM generate_series(1, 6) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 6) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-21' FROM generate_series(1, 6) g;
SELECT mfiauto.create_template('call', 'Bonjour {{client.name}}', 'voice', class => 'collection',
  options => '{"digits": {"1": "Promised To Pay", "2": "Asked For Call"}, "retries": ["10 minutes", "12 hours"], "voice": "Polly.Lea"}');
SELECT mfiauto.create_template('call', 'SMS {{client.name}}', 'sms', class => 'collection');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due", "steps": [{"at": "-6 days 17:00", "send": "call", "channels": ["voice", "sms"], "expires": "2 days"}]}') > 0;
SELECT mfiauto.activate_workflow('w');
-- The presets' own rules for what comes back; what goes out stays here.
SELECT mfiauto.create_gateway('calls', 'voice', definition => (jsonb_set(definition, '{signature}', '{"method": "token", "parameter": "token", "secret": "receipt_token"}') || '{"sandbox": true}')::json,
                              settings => '{"voice_url": "https://mfi.example/v/calls", "receipt_url": "https://mfi.example/w/calls?token={{secret.receipt_token}}"}')
  FROM mfiauto.gateway_preset WHERE preset = 'twilio_voice';
SELECT mfiauto.set_secret('calls', 'receipt_token', 'hush'), mfiauto.set_secret('calls', 'account_sid', 'x'), mfiauto.set_secret('calls', 'auth_token', 'x');
SELECT mfiauto.arm_delivery() <> '' AS armed;
RESET client_min_messages;
CREATE FUNCTION pg_temp.ref(client bigint) RETURNS text LANGUAGE sql AS $$
  SELECT m.message_id || '-' || m.idempotency_key FROM mfiauto.message_ledger m WHERE m.client_id = client AND m.channel = 'voice' $$;
-- What the web front would hand on, and what it would answer; ref written as REF.
CREATE FUNCTION pg_temp.ask(query text, form text, gateway text DEFAULT 'calls', kind text DEFAULT 'application/x-www-form-urlencoded') RETURNS text LANGUAGE sql AS $$
  SELECT r.status || ' ' || coalesce(r.headers ->> 'content-type', '-') || ' ' || regexp_replace(coalesce(convert_from(r.body, 'UTF8'), ''), '\d+-[0-9a-f]{8}-[0-9a-f-]{27}', 'REF', 'g')
    FROM mfiauto._serve('POST', '/v/' || gateway, query, jsonb_build_object('content-type', kind), convert_to(form, 'UTF8'), '192.0.2.1') r $$;
-- How a call ended, as the provider posts it.
CREATE FUNCTION pg_temp.ended(client bigint, status text, seconds integer DEFAULT NULL, sid text DEFAULT 'CA1') RETURNS integer LANGUAGE sql AS $$
  SELECT r.status FROM mfiauto._serve_webhook('calls', 'POST', 'token=hush&ref=' || pg_temp.ref(client), '{"content-type": "application/x-www-form-urlencoded"}',
    convert_to('CallSid=' || sid || '&CallStatus=' || status || coalesce('&CallDuration=' || seconds, ''), 'UTF8')) r $$;
CREATE FUNCTION pg_temp.story() RETURNS TABLE (client bigint, channel text, state text, reason text, attempts integer, due text) LANGUAGE sql AS $$
  SELECT m.client_id, m.channel, m.state, m.reason, m.attempts::integer, to_char(m.due_at, 'Dy DD HH24:MI') FROM mfiauto.message m ORDER BY m.client_id, m.message_id $$;

SELECT mfiauto.set_clock('2026-01-15 17:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();

-- The client answers: his text, escaped for XML, and a wait for as many digits as the template knows.
SELECT pg_temp.ask('token=hush&ref=' || pg_temp.ref(1), 'CallSid=CA1&CallStatus=in-progress&Direction=outbound-api');
SELECT pg_temp.ask('token=hush&ref=' || pg_temp.ref(1), 'CallSid=CA1&CallStatus=in-progress&Direction=outbound-api') <> '' AS asked_twice;
-- He presses 1: told once however often it is posted; 9 means nothing to the template, and is kept.
SELECT pg_temp.ask('token=hush&step=digits&ref=' || pg_temp.ref(1), 'CallSid=CA1&Digits=1'), pg_temp.ask('token=hush&step=digits&ref=' || pg_temp.ref(1), 'CallSid=CA1&Digits=1');
SELECT pg_temp.ask('token=hush&step=digits&ref=' || pg_temp.ref(2), 'CallSid=CA2&Digits=9'), pg_temp.ask('token=hush&step=digits&ref=' || pg_temp.ref(3), 'CallSid=CA3&Digits=');
SELECT client_id, kind, detail - 'call' AS detail FROM mfiauto.interaction_log ORDER BY client_id, interaction_id;
SELECT client_id, name, subject, subject_id, properties - 'message_id' AS properties FROM mfiauto.event WHERE name IN ('Promised To Pay', 'Asked For Call', 'Digits Pressed', 'Call Answered') ORDER BY client_id, name;
-- Who does not know a message's reference, or the token, or the gateway, hears nothing.
SELECT pg_temp.ask('token=hush&ref=' || split_part(pg_temp.ref(1), '-', 1) || '-00000000-0000-4000-8000-000000000000', 'CallSid=CA99&Direction=outbound-api');
SELECT pg_temp.ask('ref=' || pg_temp.ref(1), 'CallSid=CA1'), pg_temp.ask('token=hush', '', 'nobody'), pg_temp.ask('token=hush', repeat('x', 70000));
SELECT pg_temp.ask('token=hush&ref=' || pg_temp.ref(1), '{"a": ', kind => 'application/json');

-- Heard for 12 seconds: delivered. Hung up at 2: attempted. Busy, no answer: attempted. An address that is none: over.
SELECT pg_temp.ended(1, 'completed', 12), pg_temp.ended(2, 'completed', 2), pg_temp.ended(3, 'busy'), pg_temp.ended(4, 'no-answer'), pg_temp.ended(5, 'failed'), pg_temp.ended(6, 'completed', 4);
SELECT * FROM pg_temp.story();
SELECT client_id, kind, detail FROM mfiauto.interaction_log WHERE kind = 'heard' ORDER BY client_id;
SELECT client_id, outcome, attempt_no FROM mfiauto.attempt ORDER BY client_id;
-- What is still said of the first call is not taken for the second: it has a reference of its own, and no two calls go on at once.
SELECT count(DISTINCT substr(r.reference, strpos(r.reference, '-') + 1)) AS references_of_2
  FROM (SELECT reference FROM mfiauto.receipt WHERE client_id = 2 UNION SELECT pg_temp.ref(2)) r;
SELECT count(*) AS calls_of_2 FROM mfiauto.message_ledger WHERE client_id = 2 AND channel = 'voice';

-- Ten minutes later the second try; the third waits for the morning: 17:10 and 12 hours is no time to call.
SELECT mfiauto.set_clock('2026-01-15 17:10+00');
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT pg_temp.ended(2, 'completed', 30, 'CB2'), pg_temp.ended(3, 'no-answer', NULL, 'CB3'), pg_temp.ended(4, 'completed', 2, 'CB4'), pg_temp.ended(6, 'canceled', NULL, 'CB6');
SELECT * FROM pg_temp.story();
-- Client 4 pays before the third try and is not called again; the third call to 6 finds nobody: given up, and said by the step's next channel.
UPDATE bank.installment SET paid = due WHERE id = 104;
SELECT mfiauto.set_clock('2026-01-16 08:00+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT pg_temp.ended(3, 'completed', 6, 'CC3'), pg_temp.ended(6, 'no-answer', NULL, 'CC6');
SELECT messages FROM mfiauto.run_engine();
SELECT * FROM pg_temp.story();

-- The least seconds are the gateway's setting.
SELECT mfiauto.alter_gateway('calls', settings => '{"min_heard_seconds": 2}');
INSERT INTO bank.installment VALUES (201, 11, 2, '2026-01-22');
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-16 17:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT r.status FROM mfiauto.message_ledger m,
  mfiauto._serve_webhook('calls', 'POST', 'token=hush&ref=' || m.message_id || '-' || m.idempotency_key, '{"content-type": "application/x-www-form-urlencoded"}', 'CallSid=CD1&CallStatus=completed&CallDuration=2') r
 WHERE m.subject_id = 201 AND m.channel = 'voice';
SELECT state FROM mfiauto.message WHERE subject_id = 201 AND channel = 'voice';

-- A client rings us: turned away before it costs him anything, and told as an event.
SELECT pg_temp.ask('token=hush', 'CallSid=CX1&CallStatus=ringing&Direction=inbound&From=%2B221770000001&To=%2B221338000000');
SELECT client_id, channel, kind, from_address FROM mfiauto.inbound_log;

-- The other documents: recordings, other providers' words, values escaped for their place.
SELECT f AS format, mfiauto._voice_document(f, 'A & B <c>', o.options, 'https://mfi.example/v/g?ref=1&x="2"')
  FROM unnest('{twiml,africastalking,ncco}'::text[]) f, (VALUES ('{"say_language": "fr-FR"}'::jsonb), ('{"audio": "https://s.example/wo.mp3?a=1&b=2", "digits": {"12": "X"}, "max_digits": 2, "digits_timeout": 7}')) o(options);
SELECT f AS format, mfiauto._voice_document(f, 'x', '{"digits": {"1": "X"}, "max_digits": 1}', NULL), mfiauto._voice_ending(f, false), mfiauto._voice_ending(f, true) FROM unnest('{twiml,africastalking,ncco}'::text[]) f;

-- Africa's Talking says at the same address that a call is over: that is a receipt. A call that is nobody's is told nothing; one that we turned away is no receipt.
SELECT mfiauto.create_gateway('at', 'voice', 'africastalking_voice', settings => '{"voice_url": "https://mfi.example/v/at"}'), mfiauto.set_secret('at', 'receipt_token', 'hush');
SELECT pg_temp.ask('token=hush', 'isActive=1&sessionId=AT1&direction=Outbound&callerNumber=%2B221770000001', 'at');
SELECT pg_temp.ask('token=hush', 'isActive=0&sessionId=AT1&direction=Outbound&hangupCause=NO_ANSWER&durationInSeconds=0', 'at');
SELECT pg_temp.ask('token=other', 'isActive=0&sessionId=AT1&hangupCause=USER_BUSY', 'at');
SELECT pg_temp.ask('token=hush', 'isActive=1&sessionId=AT2&direction=Inbound&callerNumber=%2B221770000002&destinationNumber=%2B221338000000', 'at');
SELECT pg_temp.ask('token=hush', 'isActive=0&sessionId=AT2&direction=Inbound&callerNumber=%2B221770000002&hangupCause=CALL_REJECTED', 'at') LIKE '200%' AS answered;
SELECT gateway, provider_id, status, state FROM mfiauto.receipt WHERE gateway = 'at';
SELECT client_id, gateway, kind FROM mfiauto.inbound_log ORDER BY client_id;
