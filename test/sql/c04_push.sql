-- C4, push: a token a device, the one seen last is written to; a token that the provider does not know any more retires, and the next step falls back; collapse key and lifetime reach the request.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 4) g;
ALTER TABLE bank.client ADD COLUMN token text;
UPDATE bank.client SET token = 'book-' || id WHERE id IN (2, 4);
SELECT mfiauto.unbind('client');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "push_token": "token", "time_zone": "tz"}');
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 4) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-21' FROM generate_series(1, 4) g;
SELECT mfiauto.create_template('push', 'Bonjour {{client.name}}', 'push', subject => 'Rappel', class => 'transactional',
  options => '{"collapse_key": "due-{{installment.installment_id}}", "ttl": "2 hours", "data": {"installment": "{{installment.installment_id}}"}}');
SELECT mfiauto.create_template('push', 'SMS {{client.name}}', 'sms', class => 'transactional');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "transactional", "steps": [
  {"at": "-6 days 09:00", "send": "push", "channels": ["push", "sms"]}, {"at": "-5 days 09:00", "send": "push", "channels": ["push", "sms"]}]}') > 0;
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.create_gateway('device', 'push', 'sandbox'), mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.arm_delivery() <> '' AS armed;
RESET client_min_messages;
\set SHOW_CONTEXT never

-- Client 1 has two devices, 2 a token in the books and a device, 3 none, 4 a token in the books alone.
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT mfiauto.register_device(1, 'old'), mfiauto.register_device(1, 'new', '{"platform": "android"}'), mfiauto.register_device(2, 'app-2');
SELECT mfiauto.set_clock('2026-01-15 08:00+00');
SELECT mfiauto.register_device(1, 'old');
SELECT mfiauto.set_clock('2026-01-15 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, to_address, options FROM mfiauto.message_ledger ORDER BY client_id;
-- What FCM and APNs would be sent of it.
SELECT mfiauto.create_gateway('fcm', 'push', 'fcm', settings => '{"project_id": "mfi"}', priority => 200);
SELECT r.body::jsonb #> '{message,android}' AS android, r.body::jsonb #> '{message,data}' AS data
  FROM mfiauto.message_ledger m, mfiauto.preview_request('fcm', jsonb_build_object('to', m.to_address, 'title', m.title, 'text', m.body, 'options', m.options, 'expires_in', 86400)) r WHERE m.client_id = 1;
SELECT mfiauto.drop_gateway('fcm');

-- The provider says of 1 and 4 that it knows the token no more; the verdict of each provider's words is in test/contracts.
SELECT mfiauto.set_clock('2026-01-15 09:05+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT count(*) AS told FROM (SELECT array_agg(m.client_id) AS c, array_agg(m.message_id) AS m FROM mfiauto.message_ledger m WHERE m.client_id IN (1, 4) AND m.channel = 'push') q,
  mfiauto._settle_messages(q.c, q.m, '{failed,failed}', '{recipient_rejected,recipient_rejected}') s;
SELECT client_id, address, retired_at IS NOT NULL AS retired, retired_reason FROM mfiauto.client_address ORDER BY client_id, address;
-- The step falls back at once.
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, to_address, state, reason FROM mfiauto.message ORDER BY client_id, message_id;
-- The next step goes to the other device, and where there is none by SMS; the token of the books stays dead.
SELECT mfiauto.set_clock('2026-01-16 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, to_address FROM mfiauto.message WHERE due_at = '2026-01-16 09:00+00' AND state = 'queued' ORDER BY client_id;
-- A receipt may say it too; and a failure that is not the token's leaves it alone.
SELECT count(*) FROM mfiauto.message_ledger m, mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{failed}', '{gateway_rejected}') WHERE m.client_id = 2 AND m.state = 'queued' AND m.channel = 'push';
SELECT address, retired_at IS NULL AS live FROM mfiauto.client_address WHERE client_id = 2;
-- The app is installed anew, with the token that it had: live again.
SELECT mfiauto.register_device(4, 'book-4');
SELECT client_id, push_token, addresses FROM mfiauto._context('{1,2,3,4}', 'client', '{1,2,3,4}', 'w');
