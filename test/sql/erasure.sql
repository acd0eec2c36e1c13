-- export_client() tells everything of a person, erase_client() takes it away, and no pass of the engine brings it back.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
-- Every table that knows clients is on the list, and every name on the list is a table with those columns.
SELECT c.relname AS not_on_the_list FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'client_id' AND NOT a.attisdropped
 WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT IN (SELECT relation FROM mfiauto._person_table()) ORDER BY 1;
SELECT p.relation AS no_such_table FROM mfiauto._person_table() p WHERE to_regclass('mfiauto.' || p.relation) IS NULL;

\i test/lib/engine_books.sql
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
INSERT INTO bank.client SELECT g, 'Secretname' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 3) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 3) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-08' FROM generate_series(1, 3) g;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.balance = 0",
  "steps": [{"at": "-3 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "0 days 09:00", "send": "today", "channels": ["sms"]}, {"at": "+2 days 09:00", "task": "Visit {{client.name}}", "assign": "officer"}]}') > 0 AS made;
SELECT mfiauto.activate_workflow('due');
SELECT mfiauto.create_workflow('hello', '{"trigger": {"event": "Session Started"}, "class": "collection", "steps": [{"send": "welcome", "channels": ["sms"]}]}') > 0 AS made;
SELECT mfiauto.activate_workflow('hello');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT count(mfiauto.identify(c, jsonb_build_object('nickname', 'Secretname of ' || c))), count(mfiauto.register_device(c, 'Secretname-token-' || c, '{"model": "Secretname"}')),
       count(mfiauto.track('Page Viewed', c, jsonb_build_object('who', 'Secretname' || c))),
       count(mfiauto.opt_in(c, 'sms', 'marketing', source => 'branch', text_version => 'v1', proof => jsonb_build_object('name', 'Secretname' || c))),
       count(mfiauto.opt_out(c, 'voice', reason => 'Secretname said so')) FROM generate_series(1, 3) c;
SELECT count(mfiauto._take_inbound('box', 'sms', 'message', '+2217700' || lpad(c::text, 5, '0'), '21001', 'Secretname asks something', 'id' || c, mfiauto.now(), '{"profile_name": "Secretname"}')) FROM generate_series(1, 3) c;
SELECT count(mfiauto._note_interaction(m.client_id, m.message_id, 'clicked', '{"url": "https://x.example/Secretname"}')) FROM mfiauto.message m WHERE state = 'sent';
INSERT INTO mfiauto.attempt (client_id, message_id, gateway, attempt_no, started_at, outcome, error) SELECT m.client_id, m.message_id, 'box', 1, mfiauto.now(), 'retry', 'number of Secretname busy' FROM mfiauto.message_ledger m;
INSERT INTO mfiauto.receipt (client_id, gateway, message_id, provider_id, applied, digest, error, received_at) SELECT m.client_id, 'box', m.message_id, 'p' || m.message_id, true, 'd', 'Secretname', mfiauto.now() FROM mfiauto.message_ledger m;
SELECT mfiauto.suppress_address('phone', '+221770000002', 'wrong number');
SELECT mfiauto.run_engine() IS NOT NULL AS ran;

-- Before anybody knew whose number it is, one wrote from it; and one from another.
INSERT INTO mfiauto.inbound_log (gateway, channel, kind, from_address, body, digest, received_at) VALUES ('box', 'sms', 'message', '+221770000002', 'Secretname2 here', 'x', mfiauto.now()), ('box', 'sms', 'message', '+221770000088', 'Who am I?', 'y', mfiauto.now());
INSERT INTO mfiauto.inbox (client_id, message_id, gateway, body, kept_at) VALUES (2, 1, 'box', 'Secretname2', mfiauto.now());

-- Where the name of client 2 stands, in whichever table and column.
CREATE FUNCTION traces(client bigint) RETURNS TABLE (relation text, how_many bigint) LANGUAGE plpgsql AS $$
DECLARE t record;
BEGIN
  FOR t IN SELECT c.relname::text AS name FROM pg_class c WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'client_id') ORDER BY 1 LOOP
    EXECUTE format('SELECT count(*) FROM mfiauto.%I x WHERE x.client_id = $1 AND (to_jsonb(x)::text LIKE ''%%Secretname%%'' OR to_jsonb(x)::text LIKE ''%%2217700%%'')', t.name) INTO how_many USING client;
    IF how_many > 0 THEN relation := t.name; RETURN NEXT; END IF;
  END LOOP;
END $$;
SELECT relation, how_many > 0 AS "there" FROM traces(2);

-- The export: whole, grouped, and the same for whoever asks, wherever.
CREATE TABLE exported AS SELECT mfiauto.export_client(2) AS document;
SELECT k AS part, jsonb_typeof(document -> k) AS type, CASE WHEN jsonb_typeof(document -> k) = 'array' THEN jsonb_array_length(document -> k) > 0 END AS has_rows FROM exported, jsonb_object_keys(document) k ORDER BY 1;
SELECT k AS books, jsonb_array_length(document -> 'books' -> k) AS rows FROM exported, jsonb_object_keys(document -> 'books') k ORDER BY 1;
-- What any table says of him is in it, and nothing of others.
SELECT document::text LIKE '%Secretname2%' AS him, document::text ~ 'Secretname[13]|Secretname of [13]|221770000[13]' AS others, document #>> '{messages,0,body}' AS body FROM exported;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SELECT mfiauto.export_client(2) = document AS same FROM exported;
RESET timezone;
RESET datestyle;
SELECT mfiauto.export_client(777) - 'exported_at' AS nobody;

-- Not while a message is on its way.
UPDATE mfiauto.enrollment_state SET due_at = mfiauto.now() WHERE client_id = 2 AND state = 'active';
SELECT mfiauto.erase_client(2, ' ');
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, lease_until) SELECT 2, 0, mfiauto.now(), 'sms', 3, mfiauto.now(), now() + interval '1 minute';
SELECT mfiauto.erase_client(2, 'request 17');
DELETE FROM mfiauto.outbox WHERE message_id = 0;
-- Erased: what went, by table; again: nothing.
SELECT mfiauto.track('Session Started', 2) > 0 AS told;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT client_id, state, workflow FROM mfiauto.message WHERE state = 'queued';
SELECT * FROM mfiauto.erase_client(2, 'request 17') ORDER BY 1;
SELECT * FROM traces(2);
SELECT from_address, body FROM mfiauto.inbound_log WHERE client_id = 0 ORDER BY 1;
SELECT * FROM mfiauto.erase_client(2, 'request 17');
SELECT client_id, reason, erased_by FROM mfiauto.erased_client;
-- The skeleton stays, and the facts of consent; the suppression list still knows the number, also under another client.
SELECT workflow, step, state, reason, body, to_address, class, channel FROM mfiauto.message WHERE client_id = 2 ORDER BY message_id;
SELECT channel, purpose, granted, reason, source, text_version, proof FROM mfiauto.consent WHERE client_id = 2 ORDER BY consent_id;
SELECT reason FROM mfiauto._contact_refusals('{3}', '{sms}', '{security}', '{+221770000002}');
SELECT workflow, state, reason FROM mfiauto.enrollment WHERE client_id = 2 ORDER BY enrollment_id;
-- Others are as they were.
SELECT sum(how_many) > 10 AS others_are_there FROM traces(3);

-- The books still have him, and change: nothing is written down of him again, nothing is sent.
UPDATE bank.client SET name = 'Secretname2 again', phone = '+221770000022' WHERE id = 2;
INSERT INTO bank.installment VALUES (202, 12, 2, '2026-01-09');
UPDATE bank.installment SET due_date = '2026-01-10' WHERE id = 102;
INSERT INTO bank.payment VALUES (1, 12, '2026-01-05 09:00+00', 500);
SELECT mfiauto.track('Session Started', 2, '{"who": "Secretname"}') AS told, mfiauto.identify(2, '{"nickname": "Secretname"}'), mfiauto.register_device(2, 'Secretname-token');
SELECT mfiauto.create_workflow('again', '{"trigger": {"event": "Page Viewed"}, "class": "collection", "steps": [{"send": "welcome", "channels": ["sms"]}]}') > 0 AS made;
SELECT mfiauto.activate_workflow('again');
SELECT mfiauto.enroll('again', 2) IS NOT NULL AS enrolled;
SELECT mfiauto.opt_in(2, 'sms', 'marketing');
DO $$ BEGIN FOR d IN 5..12 LOOP PERFORM mfiauto._set_clock(make_timestamptz(2026, 1, d, 10, 0, 0, 'UTC')); PERFORM mfiauto.run_engine(); END LOOP; END $$;
SELECT mfiauto.resync('client'), mfiauto.resync('installment');
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT * FROM traces(2);
SELECT count(*) AS messages_since FROM mfiauto.message WHERE client_id = 2 AND created_at > '2026-01-05 09:00+00';
SELECT DISTINCT decision, reason FROM mfiauto.decision_log WHERE client_id = 2 AND decided_at > '2026-01-05 09:00+00' ORDER BY 1, 2;
SELECT reason FROM mfiauto._contact_refusals('{2}', '{sms}', '{security}', '{+221770000022}');
SELECT count(*) > 0 AS others_go_on FROM mfiauto.message WHERE client_id = 3 AND created_at > '2026-01-06';

-- A host with keys of text: the key stays while the books have him, and is a hash when they have not.
INSERT INTO mfiauto.identity (client_id, client_key) VALUES (900, 'Secretname-key');
SELECT * FROM mfiauto.erase_client(900, 'request 18');
SELECT client_key ~ '^erased [0-9a-f]{64}$' AS hashed FROM mfiauto.identity WHERE client_id = 900;
SELECT * FROM mfiauto.erase_client(900, 'request 18');

-- The books may drop somebody first, as a bank does that erases him everywhere: what he writes afterwards is nobody's, and a webhook that no rule could read may name him.
INSERT INTO bank.client VALUES (4, 'Secretname4', '+221770000004', 'Africa/Dakar', 'high');
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT mfiauto._take_inbound('box', 'sms', 'message', '+221770000004', '21001', 'Secretname4 before', 'id4', mfiauto.now(), NULL) > 0 AS taken;
DELETE FROM bank.client WHERE id = 4;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT mfiauto._take_inbound('box', 'sms', 'message', '+221770000004', '21001', 'Secretname4 after', 'id5', mfiauto.now(), NULL) > 0 AS taken;
INSERT INTO mfiauto.unread_webhook (gateway, problem, method, query, body, received_at)
SELECT 'box', 'odd', 'POST', q, convert_to(b, 'UTF8'), mfiauto.now() FROM (VALUES ('', '{"from": "+221770000004", "says": "Secretname4"}'), ('', 'from=%2B221770000004&says=Secretname4'), ('from=221770000004&says=Secretname4', ''), ('', '{"from": "+221770000005"}')) w(q, b);
SELECT * FROM mfiauto.erase_client(4, 'request 19') ORDER BY 1;
SELECT count(*) FROM mfiauto.inbound_log l WHERE to_jsonb(l)::text ~ 'Secretname4|770000004';
SELECT query, convert_from(body, 'UTF8') AS body FROM mfiauto.unread_webhook;

-- Who was erased may still have our letters. Their links and buttons answer, and leave nothing behind.
SELECT mfiauto.set_institution(public_url => 'https://m.mfi.example');
SELECT message_id, client_id = 2 AS erased, mfiauto._link_token(message_id, 0) AS token INTO TEMP letter FROM mfiauto.message_ledger WHERE client_id IN (2, 3) AND sent_at IS NOT NULL;
SELECT DISTINCT l.erased, (mfiauto._serve('POST', '/u/' || l.token, '', '{"content-type": "application/x-www-form-urlencoded"}', 'choice=all', '192.0.2.9')).status FROM letter l ORDER BY 1;
SELECT l.erased, bool_and(mfiauto._note_interaction(CASE WHEN erased THEN 2 ELSE 3 END, l.message_id, 'clicked', '{"url": "https://x.example/Secretname"}')) AS noted FROM letter l GROUP BY 1 ORDER BY 1;
SELECT client_id, count(*) > 0 AS told FROM mfiauto.consent WHERE source = 'unsubscribe link' GROUP BY 1 ORDER BY 1;
SELECT client_id FROM mfiauto.interaction_log WHERE detail::text ~ 'Secretname' GROUP BY 1 ORDER BY 1;
