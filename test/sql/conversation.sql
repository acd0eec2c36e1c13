-- Questions that have an answer, what is handed over to a person, and who has the word.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
\set ECHO none
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, locale text, officer bigint);
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF', locale => 'fr');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "locale": "locale", "officer_id": "officer"}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox'), mfiauto.create_gateway('wa', 'whatsapp', 'sandbox');
CREATE FUNCTION public.take(client bigint, body text, id text, channel text DEFAULT 'sms') RETURNS boolean LANGUAGE sql AS $$
  SELECT mfiauto._take_inbound('box', $4, 'message', '22177000000' || $1, '36200', $2, $3, NULL, NULL) > 0
$$;
CREATE VIEW public.came AS SELECT l.client_id, l.body, l.action, l.intent, m.body AS answer FROM mfiauto.inbound_log l LEFT JOIN mfiauto.message m ON m.message_id = l.answer_id;
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client SELECT g, 'Client ' || g, '77000000' || g, CASE WHEN g = 3 THEN 'en' WHEN g = 4 THEN 'wo' ELSE 'fr' END, 70 + g % 2 FROM generate_series(1, 9) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();

-- Nothing is handed over where no question is declared.
SELECT take(1, 'Je voudrais parler de mon dossier', 'a0');
SELECT * FROM came;
SELECT count(mfiauto.create_template(t, channel => c, locale => l, body => t || ' ' || l || ' {{client.name}}')) FROM unnest('{pay,hours,balance}'::text[]) t, unnest('{fr,en}'::text[]) l, unnest('{sms,whatsapp}'::text[]) c;
SELECT mfiauto.create_template('soon', body => 'Un conseiller vous répond');
SELECT mfiauto.create_intent('how_to_pay', '{"fr": ["comment payer mon crédit", "où puis-je payer", "payer par Wave ou Orange Money", "je veux rembourser"], "en": ["how do I pay my loan", "where can I pay", "pay with mobile money"]}', 'pay'),
       mfiauto.create_intent('opening_hours', '{"fr": ["à quelle heure ouvre l''agence", "horaires d''ouverture", "l''agence est ouverte samedi ?"], "en": ["opening hours", "when do you open"]}', 'hours'),
       mfiauto.create_intent('balance', '{"fr": ["combien je dois", "quel est mon solde", "reste à payer"], "en": ["how much do I owe", "what is my balance"], "wo": ["ñaata laa ameel"]}', 'balance'),
       mfiauto.create_intent('paid', '{"fr": ["j''ai déjà payé", "j''ai payé hier par Wave"], "en": ["I have paid already"]}', hands_over => true),
       mfiauto.create_intent('person', '{"fr": ["parler à un conseiller", "je veux parler à quelqu''un"], "en": ["talk to a person"]}', hands_over => true);
SELECT mfiauto.set_keyword_answer('handover', 'soon');
-- What texts ask, by the way people write; what asks two things, or nothing that is known, asks none.
CREATE TABLE asked (body text, wanted text);
INSERT INTO asked VALUES ('Comment payer mon crédit', 'how_to_pay'), ('COMMENT PAYER MON CREDIT ???', 'how_to_pay'), ('bonjour comment je peux payer svp', 'how_to_pay'), ('ou payer', 'how_to_pay'), ('payer par wave', 'how_to_pay'),
  ('je veux remboursé mon prêt', 'how_to_pay'), ('Where can I pay?', 'how_to_pay'), ('how to pay', 'how_to_pay'), ('quels sont vos horaires', 'opening_hours'), ('horaire ouverture agence', 'opening_hours'),
  ('A quelle heure ouvrez-vous', 'opening_hours'), ('est ce que l''agence est ouverte le samedi', 'opening_hours'), ('What time do you open', 'opening_hours'), ('Combien je dois ?', 'balance'), ('combien dois-je payer', 'balance'),
  ('mon solde', 'balance'), ('quel est le solde', 'balance'), ('how much do i owe', 'balance'), ('Ñaata laa ameel', 'balance'), ('nata la ameel', NULL), ('je veux parler à un conseiller', 'person'), ('parler à quelqu''un', 'person'),
  ('ma fille est malade', NULL), ('j''ai payé hier', 'paid'), ('deja paye', 'paid'), ('la pluie a tout détruit', NULL), ('12345', NULL), ('merci beaucoup', NULL), ('le de la', NULL), ('', NULL), ('🙂', NULL);
SELECT count(*) AS texts, count(*) FILTER (WHERE f.name IS NOT DISTINCT FROM a.wanted) AS understood FROM asked a, mfiauto._find_intent(a.body) f;
SELECT a.body, a.wanted, f.name AS found, (SELECT string_agg(s.name || ' ' || s.score, ', ' ORDER BY s.score DESC) FROM mfiauto._score_intents(a.body) s) AS scores
  FROM asked a, mfiauto._find_intent(a.body) f WHERE f.name IS DISTINCT FROM a.wanted;
SELECT * FROM mfiauto.match_intent('Combien je dois payer');

-- Answered in the language that is asked in; what is not understood is a person's, once.
SELECT take(1, 'Comment payer ?', 'a1'), take(3, 'Comment payer ?', 'a2'), take(1, 'how do I pay', 'a3'), take(2, 'La pluie a tout détruit', 'a4'), take(2, 'Je ne sais pas quoi faire', 'a5'), take(5, 'je veux parler à un conseiller', 'a6');
SELECT * FROM came WHERE body <> 'Je voudrais parler de mon dossier' ORDER BY client_id, body;
SELECT client_id, channel, state, reason, last_text, unanswered FROM mfiauto.conversation ORDER BY 1;
SELECT o.client_id, o.title, o.assignee FROM mfiauto.open_task o ORDER BY 1;
SELECT client_id, properties - 'task_id' AS properties FROM mfiauto.event WHERE name = 'Conversation Handed Over' ORDER BY 1;
-- A workflow that waits for an answer understands it; nobody else is asked to.
SELECT mfiauto.create_template('q', body => 'Et la récolte ?', class => 'transactional');
SELECT mfiauto.create_workflow('survey', '{"trigger": {"manual": true}, "class": "transactional", "steps": [{"send": "q"}, {"wait_for": {"event": "Message Received"}, "timeout": "2 days"}]}') AS version;
SELECT mfiauto.activate_workflow('survey'), mfiauto.enroll('survey', 6) > 0;
SELECT messages FROM mfiauto.run_engine();
SELECT take(6, 'Bonne cette année', 'a7');
SELECT action, intent FROM came WHERE client_id = 6;

-- A person takes it: templates are silent, keywords are obeyed, others keep out.
CREATE ROLE regress_awa; CREATE ROLE regress_binta; CREATE ROLE regress_officer;
SELECT mfiauto.grant_access('regress_awa', 'app'), mfiauto.grant_access('regress_binta', 'app'), mfiauto.grant_access('regress_officer', 'officer', officer_id => 71);
SET ROLE regress_awa;
SELECT mfiauto.take_conversation(2, 'sms');
SELECT client_id, state, taken_by FROM mfiauto.conversation ORDER BY 1;
RESET ROLE;
SELECT assignee FROM mfiauto.task WHERE client_id = 2;
SELECT take(2, 'Comment payer ?', 'b1'), take(2, 'AIDE', 'b2');
SELECT body, action, intent, answer FROM came WHERE client_id = 2 AND body IN ('Comment payer ?', 'AIDE') ORDER BY 1;
SET ROLE regress_binta;
SELECT mfiauto.take_conversation(2, 'sms');
SELECT mfiauto.answer_conversation(2, 'sms', 'Moi aussi');
SET ROLE regress_awa;
-- Exactly once: a call repeated with its key is the same message.
SELECT mfiauto.answer_conversation(2, 'sms', 'Bonjour, où êtes-vous ? Ça ira.', '11111111-2222-4333-8444-555555555555') = mfiauto.answer_conversation(2, 'sms', 'Bonjour, où êtes-vous ? Ça ira.', '11111111-2222-4333-8444-555555555555') AS once;
SELECT client_id, unanswered FROM mfiauto.conversation WHERE client_id = 2;
RESET ROLE;
SELECT sent FROM mfiauto.run_delivery();
SELECT direction, body, intent, state FROM mfiauto.read_conversation(2) ORDER BY at, direction, body;
SELECT class, encoding, parts, to_address, state FROM mfiauto.message WHERE client_id = 2 AND body LIKE 'Bonjour, o%';
-- A STOP in between stops what may be stopped, and the person may still say goodbye.
SELECT take(2, 'STOP', 'b3');
SELECT r.reason FROM mfiauto._contact_refusals('{2}', '{sms}', '{collection}', '{+221770000002}') r;
SET ROLE regress_awa;
SELECT mfiauto.answer_conversation(2, 'sms', 'Bien noté.') > 0 AS queued;
SELECT mfiauto.close_conversation(2, 'sms', 'Reçu, rappeler en mars');
SELECT mfiauto.close_conversation(2, 'sms');
RESET ROLE;
SELECT sent FROM mfiauto.run_delivery();
SELECT state, outcome, note, closed_by FROM mfiauto.task WHERE client_id = 2;
SELECT state, closed_by, note FROM mfiauto.conversation_state WHERE client_id = 2;
-- Closed, templates answer again, and what is not understood asks for a person anew.
SELECT take(2, 'Comment payer ?', 'b4'), take(2, 'encore la pluie', 'b5');
SELECT body, action, answer FROM came WHERE client_id = 2 AND (body = 'encore la pluie' OR answer LIKE 'pay%') ORDER BY 1;
-- Free text on WhatsApp ends 24 hours after the client's last.
SELECT take(7, 'La pluie', 'c1', 'whatsapp');
SET ROLE regress_awa;
SELECT mfiauto.answer_conversation(7, 'whatsapp', 'Bonjour') > 0 AS queued;
RESET ROLE;
SELECT mfiauto._set_clock('2026-01-06 09:00:01+00');
SELECT mfiauto.answer_conversation(7, 'whatsapp', 'Bonjour');
SET ROLE regress_awa;
SELECT mfiauto.answer_conversation(7, 'whatsapp', 'Bonjour');
SELECT mfiauto.answer_conversation(9, 'sms', 'Bonjour');
SELECT mfiauto.answer_conversation(7, 'whatsapp', '  ');
-- An officer sees and answers his own clients' alone.
SET ROLE regress_officer;
SELECT client_id, channel, state FROM mfiauto.conversation ORDER BY 1, 2;
SELECT count(*) AS lines FROM mfiauto.read_conversation(2);
SELECT mfiauto.take_conversation(2, 'sms');
SELECT mfiauto.take_conversation(5, 'sms');
RESET ROLE;
-- Kept as text, and taken back: keywords that are the institution's own, answers, questions.
SELECT mfiauto.set_keyword('Solde', 'event', locale => 'fr', event => 'Balance Asked', template => 'balance'), mfiauto.set_keyword('fin', 'none', locale => 'fr');
SELECT mfiauto.export_definitions() AS definitions \gset
SELECT d.key, jsonb_path_query_array(d.value, '$[*].name') AS names FROM jsonb_each(:'definitions') d WHERE d.key IN ('keywords', 'answers', 'intents') ORDER BY 1;
SELECT DISTINCT outcome FROM mfiauto.import_definitions(:'definitions');
SELECT mfiauto.drop_keyword('solde', 'fr'), mfiauto.set_keyword('fin', 'stop', locale => 'fr'), mfiauto.set_keyword_answer('handover', NULL), mfiauto.drop_intent('balance');
SELECT * FROM mfiauto.import_definitions(:'definitions') WHERE outcome <> 'unchanged';
SELECT mfiauto.export_definitions() = :'definitions' AS same;
SELECT name FROM mfiauto.match_intent('combien je dois') WHERE answers;
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "keywords": [{"name": "stop", "action": "info"}]}');
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "intents": [{"name": "x", "examples": {"fr": []}, "template": "pay"}]}');
-- The doors of questions.
SELECT mfiauto.create_intent('balance', '{"fr": ["x"]}', 'pay');
SELECT mfiauto.create_intent('Bad Name', '{"fr": ["x"]}', 'pay');
SELECT mfiauto.create_intent('none', '{"fr": ["x"]}');
SELECT mfiauto.create_intent('none', '{"fr": "x"}', 'pay');
SELECT mfiauto.create_intent('none', '{"fr": ["!!!"]}', 'pay');
SELECT mfiauto.create_intent('none', '{"fr": ["x"]}', 'nothing');
SELECT mfiauto.create_intent('none', '{"fr": ["x"]}', 'pay', threshold => 2);
SELECT mfiauto.drop_intent('balance');
SELECT mfiauto.drop_intent('balance');
SELECT name, template, hands_over FROM mfiauto.intent ORDER BY 1;
SELECT * FROM mfiauto.match_intent('combien je dois');
SELECT mfiauto.revoke_access('regress_awa'), mfiauto.revoke_access('regress_binta'), mfiauto.revoke_access('regress_officer');
DROP ROLE regress_awa, regress_binta, regress_officer;
