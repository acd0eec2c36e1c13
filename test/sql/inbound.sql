-- What people send us: whose it is, that it is taken once, what STOP and START do and prove, answers, and the doors of keywords.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
\set ECHO none
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, email text, locale text, traits jsonb DEFAULT '{}');
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF', locale => 'fr');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "email": "email", "locale": "locale", "traits": "traits"}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
CREATE FUNCTION public.take(from_address text, body text, id text DEFAULT NULL, channel text DEFAULT 'sms', kind text DEFAULT 'message', sent_at timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  SELECT mfiauto._take_inbound('box', $4, $5, $1, '36200', $2, $3, $6, NULL)
$$;
CREATE VIEW public.came AS SELECT client_id, from_address, kind, body, action, keyword, reply_to IS NOT NULL AS is_reply, answer_id IS NOT NULL AS is_answered FROM mfiauto.inbound_log;
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');

-- The address book: the books' numbers however they are written, each in its client's country.
INSERT INTO bank.client VALUES (1, 'Awa', '77 000 00 01', 'Awa@Example.org', 'fr', '{}'), (2, 'Binta', '+221 77 000 00 01', NULL, 'fr', '{}'), (3, 'Cheikh', '0708090001', NULL, 'fr', '{"country": "CI"}'),
  (4, 'Demba', 'néant', 'no', 'en', '{"telegram": "4711"}'), (5, 'Eva', '33 812 00 00', NULL, 'fr', '{}'), (6, 'Fatou', '770000006', NULL, 'wo', '{}');
SELECT events > 0 AS consumed FROM mfiauto.run_engine();
SELECT client_id, kind, address FROM mfiauto.address_book ORDER BY 1, 2;
-- It follows the books, and is their whole again after resync().
UPDATE bank.client SET phone = '770000055' WHERE id = 5;
INSERT INTO bank.client VALUES (7, 'Gora', '770000007');
DELETE FROM bank.client WHERE id = 6;
SELECT events > 0 AS consumed FROM mfiauto.run_engine();
SELECT mfiauto.identify(4, '{"messenger": "fb4", "telegram": "4712"}');
SELECT client_id, kind, address FROM mfiauto.address_book WHERE client_id > 3 ORDER BY 1, 2;
CREATE TABLE kept AS SELECT * FROM mfiauto.address_book;
DELETE FROM mfiauto.address_book WHERE client_id IN (1, 7);
UPDATE mfiauto.address_book SET address = '+221770000099' WHERE client_id = 2;
INSERT INTO mfiauto.address_book VALUES (99, 'phone', '+221770000098');
SELECT mfiauto.resync('client');
SELECT count(*) AS different FROM (TABLE kept EXCEPT TABLE mfiauto.address_book UNION ALL (TABLE mfiauto.address_book EXCEPT TABLE kept)) d;
-- Another country of the institution reads the numbers without one anew.
SELECT mfiauto.set_institution(country => 'CI');
SELECT count(*) FILTER (WHERE address LIKE '+221%') AS senegalese FROM mfiauto.address_book WHERE kind = 'phone';
SELECT mfiauto.set_institution(country => 'SN');
SELECT count(*) AS different FROM (TABLE kept EXCEPT TABLE mfiauto.address_book UNION ALL (TABLE mfiauto.address_book EXCEPT TABLE kept)) d;

-- Whose it is: as providers write numbers, chat names, e-mail with a name.
SELECT mfiauto.link_address(7, 'telegram', '777'), mfiauto.link_address(7, 'whatsapp', '221 78 000 00 07');
SELECT count(take(a, 'Bonjour', 'w' || n, c)) FROM (VALUES (1, '221770000007', 'sms'), (2, '+221770000007', 'sms'), (3, '770000007', 'sms'), (4, 'tel:+221770000007', 'sms'), (5, 'whatsapp:+221770000007', 'whatsapp'),
  (6, '221780000007', 'whatsapp'), (7, '2250708090001', 'sms'), (8, '777', 'telegram'), (9, '4712', 'telegram'), (10, '4711', 'telegram'), (11, 'fb4', 'messenger'), (12, 'Awa <awa@example.ORG>', 'email'),
  (13, '36100', 'sms'), (14, '', 'sms'), (15, NULL, 'sms'), (16, '+33612345678', 'sms')) AS v(n, a, c);
SELECT provider_id, client_id, from_address FROM mfiauto.inbound_log ORDER BY inbound_id;

-- Taken once: by the provider's number, else by the time, else within ten minutes; channels and senders are apart.
SELECT take('770000007', 'a', 'x1') = take('+221770000007', 'a', 'x1') AS "another form, the same", take('770000007', 'a', 'x1') = take('770000007', 'b', 'x1') AS same_number;
SELECT take('770000007', 'a') = take('770000007', 'a') AS "same text", take('770000007', 'a') = take('770000007', 'b') AS "other text",
       take('770000007', 'a', sent_at => '2026-01-05 08:00+00') = take('770000007', 'a', sent_at => '2026-01-05 08:00+00') AS "same time", take('770000007', 'a', sent_at => '2026-01-05 08:00+00') = take('770000007', 'a', sent_at => '2026-01-05 08:01+00') AS "other time",
       take('770000007', 'n', 'x2') = take('770000007', 'n', 'x2', 'whatsapp') AS "other channel", take('770000007', 'n', 'x3', kind => 'nonsense') > 0 AS "a kind that is not known", take('770000007', 'n', 'x4', sent_at => 'infinity') > 0 AS "no time";
SELECT mfiauto._set_clock('2026-01-05 09:11+00'), take('770000007', 'a') = (SELECT min(inbound_id) FROM mfiauto.inbound_log WHERE body = 'a' AND provider_id IS NULL AND sent_at IS NULL) AS "same text, later";
SELECT count(*), count(DISTINCT inbound_id), count(*) FILTER (WHERE kind = 'message') FROM mfiauto.inbound_log WHERE provider_id LIKE 'x%' OR provider_id IS NULL;

-- STOP on a shared telephone: all who share it, of every class that can be opted out of, on the channel, with its proof; the answer and the event go to whom we last wrote to.
SELECT mfiauto.create_template('bye', body => 'OK {{client.name}}, START pour reprendre', class => 'marketing'), mfiauto.create_template('back', body => 'Merci {{client.name}}'), mfiauto.create_template('help', body => 'Agence: 33 800 00 00');
SELECT mfiauto.set_keyword_answer('stop', 'bye'), mfiauto.set_keyword_answer('start', 'back'), mfiauto.set_keyword_answer('help', 'help'), mfiauto.set_keyword_answer('confirm', 'back');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, subject) VALUES (1, '2026-01-02 08:00+00', '2026-01-02 08:00+00', '2026-01-02 08:00+00', 'delivered', 'collection', 'sms', 'client'),
  (2, '2026-01-03 09:30+00', '2026-01-03 09:30+00', '2026-01-03 09:30+00', 'delivered', 'collection', 'sms', 'client'), (7, '2026-01-01 08:00+00', '2026-01-01 08:00+00', '2026-01-01 08:00+00', 'sent', 'collection', 'sms', 'client');
CREATE FUNCTION public.refused(client bigint, channel text, class text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(r.reason, 'may be written to') FROM mfiauto._contact_refusals(ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY['+221770000001']) r
$$;
SELECT mfiauto.opt_in(2, 'sms', 'marketing', source => 'branch'), mfiauto.opt_out(2, 'sms', 'education');
SELECT take('221770000001', 'Arrêt', 's1') > 0 AS taken;
SELECT * FROM came WHERE body = 'Arrêt';
SELECT client_id, channel, purpose, granted, source, proof - 'inbound_id' AS proof FROM mfiauto.consent WHERE source = 'keyword' ORDER BY consent_id;
SELECT c.class, refused(1, 'sms', c.class) AS sms_1, refused(2, 'sms', c.class) AS sms_2, refused(2, 'voice', c.class) AS voice_2 FROM mfiauto.message_class c ORDER BY c.priority;
SELECT m.client_id, m.class, m.to_address, m.body, m.state FROM mfiauto.message m WHERE m.body LIKE 'OK%';
SELECT client_id, name, properties - '{inbound_id,message_id,reply_to}'::text[] AS properties FROM mfiauto.event WHERE client_id IN (1, 2) AND name !~ '^(Client|Lead|Opt)' AND properties ->> 'channel' = 'sms' ORDER BY event_id;
-- Said again, it is proved again and answered no more.
SELECT take('221770000001', 'STOP', 's2') > 0 AS taken;
SELECT (SELECT count(*) FROM mfiauto.message WHERE body LIKE 'OK%') AS answers, (SELECT count(*) FROM mfiauto.consent WHERE source = 'keyword') AS proofs, (SELECT count(*) FROM mfiauto.event WHERE name = 'Unsubscribed') AS events;
-- The confirmation leaves, though he has just stopped.
SELECT sent, suppressed FROM mfiauto.run_delivery();
-- START gives back what the stop took, and nothing more: 2 had opted in to marketing and out of education, 1 to nothing.
SELECT take('221770000001', 'Reprendre', 's3') > 0 AS taken;
SELECT c.class, refused(1, 'sms', c.class) AS sms_1, refused(2, 'sms', c.class) AS sms_2 FROM mfiauto.message_class c WHERE c.honors_opt_out ORDER BY c.priority;
SELECT action, is_answered, client_id FROM came WHERE body = 'Reprendre';
-- A keyword of one class, and one that opts in to it.
SELECT mfiauto.set_keyword('stop promo', 'stop', purpose => 'marketing'), mfiauto.set_keyword('Promo', 'start', purpose => 'marketing');
SELECT take('221770000001', 'STOP PROMO svp', 's4') > 0 AS taken;
SELECT c.class, refused(2, 'sms', c.class) AS sms_2 FROM mfiauto.message_class c WHERE c.honors_opt_out ORDER BY c.priority;
SELECT take('221770000001', 'promo!', 's5') > 0 AS taken;
SELECT refused(1, 'sms', 'marketing') AS sms_1, refused(1, 'whatsapp', 'marketing') AS whatsapp_1;
-- Somebody whom the books do not know: his address is left alone, and comes back when he says so. Known later, it still holds.
SELECT take('33612345678', 'STOP', 's6') > 0, take('0033612345679', 'stop tout', 's7') > 0;
SELECT channel, reason, address_hash IN (mfiauto._address_hash(channel, '+33612345678'), mfiauto._address_hash(channel, '+33612345679')) AS is_his FROM mfiauto.suppression ORDER BY 1;
INSERT INTO bank.client VALUES (8, 'Habib', '+33612345678');
SELECT events > 0 AS consumed FROM mfiauto.run_engine();
SELECT take('33612345678', 'START', 's8') > 0;
SELECT channel FROM mfiauto.suppression ORDER BY 1;
SELECT client_id, action, is_answered FROM came WHERE body IN ('STOP', 'stop tout', 'START') AND from_address LIKE '+336%' ORDER BY body;
-- A yes confirms an opt-in that waits for it, and is nothing but a yes otherwise.
SELECT mfiauto.set_policy(class => 'marketing', double_opt_in => true);
SELECT mfiauto.opt_in(7, 'sms', 'marketing', source => 'agent'), refused(7, 'sms', 'marketing');
SELECT take('770000007', 'Oui', 'y1') > 0, refused(7, 'sms', 'marketing') AS marketing, take('770000007', 'Oui', 'y2') > 0;
SELECT action, is_answered FROM came WHERE body = 'Oui';
-- A reply counts within 72 hours: the shared telephone's do, from then 7's message is older. A missed call is an event.
SELECT client_id, kind, detail FROM mfiauto.interaction_log WHERE kind = 'replied' ORDER BY client_id, interaction_id;
SELECT take('221770000001', NULL, 'c1', 'voice', 'missed_call') > 0, take('221770000001', NULL, 'c2', 'voice', 'call') > 0;
SELECT name, properties - '{inbound_id,reply_to}'::text[] AS properties FROM mfiauto.event WHERE name LIKE '%Call%' ORDER BY event_id;
SELECT count(*) AS "calls open no session" FROM mfiauto.last_inbound WHERE channel = 'voice';
-- A machine that answers our answers has six of them an hour.
SELECT mfiauto._set_clock('2026-01-06 09:00+00'), count(take('770000055', 'AIDE', 'm' || g)) FROM generate_series(1, 9) g;
SELECT count(*) AS answers FROM mfiauto.message WHERE client_id = 5;
SELECT mfiauto._set_clock('2026-01-06 10:01+00'), take('770000055', 'AIDE', 'm10') > 0;
SELECT count(*) AS answers FROM mfiauto.message WHERE client_id = 5;
-- An answer that cannot be written costs nothing that came in.
SELECT mfiauto.create_template('hole', body => 'Bonjour {{client.gender}}'), mfiauto.set_keyword_answer('info', 'hole');
SELECT take('770000055', 'INFO', 'h1') > 0;
SELECT action, is_answered FROM came WHERE body = 'INFO';

-- Who was erased is nobody any more, though the books still have him; his stop holds for the address.
SELECT count(*) > 0 AS erased FROM mfiauto.erase_client(7, 'asked for it');
SELECT mfiauto.resync('client');
SELECT take('770000007', 'STOP', 'e1') > 0 AS taken;
SELECT client_id, action FROM came WHERE body = 'STOP' AND from_address LIKE '%0007' ORDER BY client_id;
SELECT count(*) AS suppressed FROM mfiauto.suppression WHERE address_hash = mfiauto._address_hash('sms', '+221770000007');

-- A long text in parts, in any order and one of them twice, is one text; a STOP waits for no second part.
SELECT count(mfiauto._take_inbound('box', 'sms', 'message', '770000055', '36200', v.body, v.id, NULL, jsonb_build_object('concat_ref', v.ref, 'concat_part', v.part, 'concat_total', v.total)))
  FROM (VALUES ('p2', 'b', '2', '3', 'deux '), ('p1', 'b', '1', '3', 'un '), ('p2', 'b', '2', '3', 'deux '), ('q1', 'c', '1', '2', 'STOP et puis '), ('q2', 'c', '2', '2', 'encore'), ('p3', 'b', '3', '3', 'trois'), ('r1', 'd', 'x', '2', 'odd')) AS v(id, ref, part, total, body);
SELECT provider_id, body, action FROM mfiauto.inbound_log WHERE provider_id ~ '^[pqr][0-9]$' ORDER BY inbound_id;
SELECT count(*) AS events FROM mfiauto.event e JOIN mfiauto.inbound_log l ON l.inbound_id = (e.properties ->> 'inbound_id')::bigint WHERE l.provider_id ~ '^[pqr][0-9]$' AND e.name = 'Message Received';
SELECT string_agg(c.body, ' | ' ORDER BY c.inbound_id) AS lines FROM mfiauto.read_conversation(5) c WHERE c.direction = 'in' AND c.body <> 'AIDE';
-- A letter is answered under its own title.
SELECT mfiauto._take_inbound('box', 'email', 'message', 'Awa <awa@example.org>', 'x@mfi.example', 'Bonjour', 'l1', NULL, '{"subject": "RE: Mon\nprêt"}') > 0, mfiauto.answer_conversation(1, 'email', 'Oui') > 0;
SELECT to_address, title, body FROM mfiauto.message WHERE channel = 'email';
-- Through the front door, with the provider's proof and without: a STOP by Telegram; what comes twice is taken once.
SELECT mfiauto.create_gateway('tg', channel => 'telegram', preset => 'telegram', settings => '{"bot_id": 123456}'), mfiauto.set_secret('tg', 'webhook_token', 'hush'), mfiauto.set_secret('tg', 'bot_token', 'x');
CREATE FUNCTION public.post(token text, update_id integer, text text) RETURNS integer LANGUAGE sql AS $$
  SELECT status FROM mfiauto.serve('POST', '/w/tg', '', jsonb_build_object('content-type', 'application/json', 'x-telegram-bot-api-secret-token', $1),
    convert_to(jsonb_build_object('update_id', $2, 'message', jsonb_build_object('message_id', $2, 'from', '{"id": 4712, "first_name": "Demba"}'::jsonb, 'chat', '{"id": 4712, "type": "private"}'::jsonb,
                                  'date', 1767690000, 'text', $3))::text, 'UTF8'), '149.154.167.220')
$$;
SELECT post('guess', 1, '/stop') AS "without the token", post('hush', 2, '/stop') AS stopped, post('hush', 2, '/stop') AS again, refused(4, 'telegram', 'collection') AS telegram, refused(4, 'sms', 'collection') AS sms;
SELECT count(*), min(client_id) AS client, min(detail ->> 'profile_name') AS profile_name, min(sent_at) AS sent_at FROM mfiauto.inbound_log WHERE gateway = 'tg';

-- The doors.
SELECT mfiauto.set_keyword('stop', 'info');
SELECT mfiauto.set_keyword('ＳＴＯＰ', 'stop', place => 'alone');
SELECT mfiauto.drop_keyword('Stop');
SELECT mfiauto.set_keyword('!!!', 'info');
SELECT mfiauto.set_keyword('a b c d e f g', 'info');
SELECT mfiauto.set_keyword('x', 'shout');
SELECT mfiauto.set_keyword('x', 'event');
SELECT mfiauto.set_keyword('x', 'info', event => 'X');
SELECT mfiauto.set_keyword('x', 'stop', purpose => 'security');
SELECT mfiauto.set_keyword('x', 'info', place => 'last');
SELECT mfiauto.set_keyword('x', 'info', template => 'none');
SELECT mfiauto.set_keyword_answer('event', 'help');
SELECT mfiauto.set_keyword('Arrêt ', 'none', locale => 'fr', place => 'alone'), mfiauto.drop_keyword('ARRET', 'fr');
SELECT mfiauto.drop_keyword('arret', 'fr');
SELECT mfiauto.link_address(1, 'sms', '+221770000001');
SELECT mfiauto.link_address(1, 'telegram', 'not a name');
SELECT kind, name, content FROM mfiauto.change_log WHERE kind LIKE 'keyword%' ORDER BY change_id;
