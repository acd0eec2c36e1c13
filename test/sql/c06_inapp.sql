-- C6, in-app messages: an inbox that the app fetches and acknowledges; a read receipt closes the message.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 4) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 4) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-21' FROM generate_series(1, 4) g;
SELECT mfiauto.create_template('note', 'Bonjour {{client.name}}', 'inapp', subject => 'Rappel', class => 'transactional',
  options => '{"action_url": "https://app.example/pay?loan={{loan.loan_id}}", "action_label": "Payer", "expires": "2 days"}');
SELECT mfiauto.create_template('note', 'SMS {{client.name}}', 'sms', class => 'transactional');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "transactional", "steps": [{"at": "-7 days 09:00", "send": "note", "channels": ["inapp", "sms"]}]}') > 0;
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.create_gateway('app', 'inapp', 'inapp');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.arm_delivery() <> '' AS armed;
RESET client_min_messages;
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT mfiauto.create_gateway('no', 'sms', definition => '{"sandbox": true, "inbox": true}');
SELECT mfiauto.set_clock('2026-01-14 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, channel, to_address, state, gateway FROM mfiauto.message ORDER BY client_id;
SELECT count(*) AS in_sandbox FROM mfiauto.sandbox_message;

-- The app fetches; fetching again shows the same.
SELECT title, body, action_url, action_label, kept_at, expires_at, delivered_at, read_at FROM mfiauto.inbox(1);
SELECT count(*) FROM mfiauto.inbox(1, since => '2026-01-14 09:01+00');
SELECT count(*), mfiauto.inbox_unread(99) FROM mfiauto.inbox(99);
SELECT mfiauto.inbox(NULL);
SELECT mfiauto.inbox(1, max_rows => 0);
CREATE FUNCTION pg_temp.of(client bigint) RETURNS bigint[] LANGUAGE sql AS $$ SELECT array_agg(i.message_id) FROM mfiauto.inbox i WHERE i.client_id = client $$;

-- Delivered, read, dismissed: each closes the message; saying it again changes nothing; somebody else's message is not the caller's.
SELECT mfiauto.set_clock('2026-01-14 10:00+00');
SELECT mfiauto.ack_inbox(pg_temp.of(1), 'delivered'), mfiauto.ack_inbox(pg_temp.of(1), 'delivered');
SELECT mfiauto.ack_inbox(pg_temp.of(2), 'read', client_id => 1), mfiauto.ack_inbox('{0,-1,999999}', 'read'), mfiauto.ack_inbox('{}', 'read'), mfiauto.ack_inbox(NULL, 'read');
SELECT mfiauto.ack_inbox(pg_temp.of(2) || pg_temp.of(2), 'read', client_id => 2), mfiauto.ack_inbox(pg_temp.of(2), 'read');
SELECT mfiauto.ack_inbox(pg_temp.of(3), 'dismissed');
SELECT mfiauto.ack_inbox(pg_temp.of(3), 'seen');
SELECT client_id, state, finished_at FROM mfiauto.message ORDER BY client_id;
SELECT client_id, delivered_at, read_at, dismissed_at FROM mfiauto.inbox ORDER BY client_id;
SELECT client_id, kind, is_bot, at FROM mfiauto.interaction_log ORDER BY client_id;
SELECT client_id, name, subject, subject_id, properties - 'message_id' AS properties FROM mfiauto.event WHERE name = 'Message Read';
SELECT c AS client, mfiauto.inbox_unread(c), (SELECT count(*) FROM mfiauto.inbox(c)) AS shown FROM generate_series(1, 4) c;
-- Read after it was delivered: the reading is news, the state is not.
SELECT mfiauto.ack_inbox(pg_temp.of(1), 'read');
SELECT client_id, state FROM mfiauto.message WHERE client_id = 1;

-- What nobody fetched in time was not delivered: shown no more, said again on the step's next channel.
SELECT mfiauto.set_clock('2026-01-16 09:00+00');
SELECT c AS client, mfiauto.inbox_unread(c), (SELECT count(*) FROM mfiauto.inbox(c)) AS shown FROM generate_series(1, 4) c;
SELECT * FROM mfiauto.run_delivery();
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, state, reason FROM mfiauto.message ORDER BY client_id, message_id;
-- Late is late, and true: the message was delivered after all.
SELECT mfiauto.ack_inbox(pg_temp.of(4), 'read');
SELECT client_id, channel, state, reason FROM mfiauto.message WHERE client_id = 4 ORDER BY message_id;

-- Who may: the app, and nobody who only looks.
CREATE ROLE regress_c06_app; CREATE ROLE regress_c06_officer;
SELECT mfiauto.grant_access('regress_c06_app', 'app'), mfiauto.grant_access('regress_c06_officer', 'officer', 7);
SET ROLE regress_c06_app;
SELECT count(*) FROM mfiauto.inbox(2);
SELECT count(*) FROM mfiauto.inbox;
SET ROLE regress_c06_officer;
SELECT count(*) FROM mfiauto.inbox(2);
SELECT mfiauto.ack_inbox('{1}', 'read');
RESET ROLE;
SELECT mfiauto.revoke_access('regress_c06_app', 'app'), mfiauto.revoke_access('regress_c06_officer', 'officer');
DROP ROLE regress_c06_app; DROP ROLE regress_c06_officer;
