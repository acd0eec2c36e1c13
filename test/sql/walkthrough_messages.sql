-- The walkthrough as typed, sections 3, 4 and 7: texts, ways out, and what comes back; nothing is on the network here.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.arm_delivery() IS NOT NULL AS armed;
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
\set ECHO none
\i contrib/demo/bank.sql
\o /dev/null
\i contrib/demo/bind.sql
\o
\set ECHO all
INSERT INTO bank.branch VALUES (1, 'Thies', 'SN', 'Thies');
INSERT INTO bank.officer VALUES (7, 'Fatou Ndiaye', '77 000 00 07', 1);
INSERT INTO bank.client (id, display_name, mobile_no, email, lang, status, officer_id, branch_id, activation_date)
VALUES (42, 'Awa', '77 000 00 42', 'awa@mail.example', 'fr', 300, 7, 1, '2025-06-01');
INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, approved_on, disbursed_on, officer_id, branch_id)
VALUES (100, 42, 'Micro', 24000, 2, 300, '2025-12-01', '2025-12-05', '2025-12-10', 7, 1);
INSERT INTO bank.installment (id, loan_id, number, from_date, due_date, principal, interest) VALUES (1007, 100, 1, '2025-12-10', '2026-01-14', 12000, 500);
SELECT events > 0 AS known FROM mfiauto.run_engine();

-- 3. Say it
    SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'fr', class => 'collection',
      body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est le {{installment.due_date_text}}. Payez au *144#.');
    SELECT mfiauto.create_template('reminder_before', channel => 'voice', locale => 'wo', class => 'collection',
      body => 'Sa bor dina jot {{installment.due_date_text}}', options => '{"audio": "https://media.mfi.example/wo/reminder.mp3"}');
    SELECT channel, locale, to_address, body, parts, encoding, cost, problems FROM mfiauto.preview_template('reminder_before', client_id => 42, subject_id => 1007);
    SELECT mfiauto.render('Bonjour {{name}}', '{"name":"Awa"}');
    SELECT * FROM mfiauto.sms_parts('Votre prêt est prêt');

-- 4. Send it
    SELECT mfiauto.create_gateway('orange_sn', channel => 'sms', preset => 'orange',
             settings => '{"sender_address":"tel:+221770000000","rate_per_second":5,"cost_per_part":12,"currency":"XOF"}');
    SELECT mfiauto.set_secret('orange_sn', 'client_id', 'an id');
    SELECT mfiauto.set_secret('orange_sn', 'client_secret', file => '/etc/mfiauto/orange_sn.secret');
    SELECT mfiauto.create_gateway('in_house', channel => 'sms', definition => '{ "request": {"method": "POST", "url": "https://sms.mfi.example/", "body": {"kind": "json", "json": {"to": "{{to}}", "text": "{{text}}"}}},
      "response": {"success": {"status": 200}, "id": {"path": "id"}}, "receipt": {"format": "json", "id": "id", "status": "state", "states": {"ok": "delivered"}} }');
    SELECT method, url, headers, body FROM mfiauto.preview_request('in_house', '{"to": "+221770000042", "text": "test"}');
    -- Its secret's file is not on this machine.
    SELECT mfiauto.test_gateway('orange_sn', to_address => '+221770000001', body => 'test');
    -- Under a clock nothing leaves for another machine.
    SELECT outcome, error FROM mfiauto.test_gateway('in_house', to_address => '+221770000001', body => 'test');
    SELECT gateway, channel, preset FROM mfiauto.gateway ORDER BY gateway;
    SELECT count(*) >= 34 AS shipped, bool_and(about <> '') AS explained FROM mfiauto.gateway_preset;

-- 7. Listen
    -- Its definition says nothing of signatures.
    SELECT mfiauto.receive('in_house', headers => '{}'::jsonb, body => '{"id": "m-1", "state": "ok"}');
    -- Its token is not set: what comes cannot be checked, and is not believed.
    SELECT mfiauto.receive('orange_sn', headers => '{}'::jsonb, body => '{"deliveryInfoNotification": {"callbackData": "m-1", "deliveryInfo": {"deliveryStatus": "DeliveredToTerminal"}}}');
    -- Once it is: its receipt is taken by what Orange posts to the address that it was given, from nobody else, once.
    SELECT mfiauto.set_secret('orange_sn', 'receipt_token', 'a token');
    SELECT mfiauto.receive('orange_sn', headers => '{":path": "/w/orange_sn?token=a+token", "content-type": "application/json"}'::jsonb, body => '{"deliveryInfoNotification": {"callbackData": "m-1", "deliveryInfo": {"deliveryStatus": "DeliveredToTerminal"}}}');
    SELECT mfiauto.receive('orange_sn', headers => '{":path": "/w/orange_sn?token=a+token", "content-type": "application/json"}'::jsonb, body => '{"deliveryInfoNotification": {"callbackData": "m-1", "deliveryInfo": {"deliveryStatus": "DeliveredToTerminal"}}}');
    SELECT mfiauto.receive('orange_sn', headers => '{":path": "/w/orange_sn?token=another"}'::jsonb, body => '{"deliveryInfoNotification": {"callbackData": "m-2", "deliveryInfo": {"deliveryStatus": "DeliveredToTerminal"}}}');
    SELECT mfiauto.receive('orange_sn', headers => '{"token": "a token"}'::jsonb, body => '{"deliveryInfoNotification": {"callbackData": "m-2", "deliveryInfo": {"deliveryStatus": "DeliveredToTerminal"}}}');
    SELECT mfiauto.receive('orange_sn', headers => '{":path": "/w/orange_sn?token=a%20token"}'::jsonb, body => '{"inboundSMSMessageNotification": {"inboundSMSMessage": {"senderAddress": "tel:+221770000042", "destinationAddress": "tel:+221770000000", "message": "STOP", "messageId": "in-1", "dateTime": "2026-01-05T08:59:00Z"}}}');
    SELECT client_id, channel, kind, action FROM mfiauto.inbound_log;
    SELECT mfiauto.opt_out(client_id => 42, channel => 'sms', reason => 'said so at the branch');
    SELECT mfiauto.track('Session Started', client_id => 42, properties => '{"device":"android"}') IS NOT NULL AS tracked;
    SELECT mfiauto.identify(client_id => 42, traits => '{"plan":"gold"}');
    SELECT gateway, provider_id, status, state, applied FROM mfiauto.receipt ORDER BY receipt_id;
    SELECT client_id, channel, granted, source, reason FROM mfiauto.consent ORDER BY consent_id;
DROP EXTENSION mfiauto CASCADE;
