-- Templates: what create_template() takes and refuses, versions, alter, drop, preview.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(name => 'Caisse du Fleuve', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SET client_min_messages = notice;

-- The walkthrough's line, then its next version.
SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'fr', class => 'collection',
  body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est le {{installment.due_date_text}}. Payez au *144#.');
SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'FR', class => 'collection',
  body => 'Bonjour {{client.name}}, vous devez {{installment.balance_text}}.');
SELECT mfiauto.create_template('reminder_before', channel => 'voice', locale => 'wo', body => '{{client.name}}',
  options => '{"audio": "https://sound.example/reminder.wo.mp3"}');
SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'fr_sn.UTF-8', body => 'Na nga def {{client.name}}');
SELECT name, channel, locale, version, class, body, alphabet FROM mfiauto.template ORDER BY channel, locale;
SELECT count(*) AS kept FROM mfiauto.template_version;

-- Sections may lead to names that only the books know.
SELECT mfiauto.create_template('sections', body => '{{#client.traits.children}}{{first_name}} {{/client.traits.children}}{{#client}}{{name}}{{/client}}{{event.amount}}{{workflow.name}}');

-- Refused, with what to do.
SELECT mfiauto.create_template('bad', body => 'Bonjour {{client.nom}}');
SELECT mfiauto.create_template('bad', body => E'Bonjour\n  {{installment.due_dat}}');
SELECT mfiauto.create_template('bad', body => 'Vous devez {{amount}}');
SELECT mfiauto.create_template('bad', body => 'Vous devez {{loan.zzzzzzzzzz}}');
SELECT mfiauto.create_template('bad', body => '{{client}}');
SELECT mfiauto.create_template('bad', body => '{{client.name.first}}');
SELECT mfiauto.create_template('bad', body => '{{client.name_text}}');
SELECT mfiauto.create_template('bad', body => '{{links.pay}}');
SELECT mfiauto.create_template('bad', body => 'Bonjour {{> footer}}');
SELECT mfiauto.create_template('bad', body => E'ligne\nBonjour {{client.name');
SELECT mfiauto.create_template('bad', body => '{{#client.email}}x');
SELECT mfiauto.create_template('bad', body => 'x', channel => 'pigeon');
SELECT mfiauto.create_template('bad', body => 'x', locale => 'français');
SELECT mfiauto.create_template('bad', body => 'x', class => 'spam');
SELECT mfiauto.create_template('bad', body => 'x', alphabet => 'latin1');
SELECT mfiauto.create_template('bad', body => NULL);
SELECT mfiauto.create_template('bad', body => E' \n ');
SELECT mfiauto.create_template('bad', body => E'bell \x07');
SELECT mfiauto.create_template('bad', body => repeat('x', 10 * 1024 * 1024));
SELECT mfiauto.create_template('bad', body => 'x', subject => 'y');
SELECT mfiauto.create_template('bad', body => 'x', html => '<p>y</p>');
SELECT mfiauto.create_template('bad', body => 'x', channel => 'email');
SELECT mfiauto.create_template('bad', body => 'x', channel => 'email', subject => E'y\r\nBcc: z');
SELECT mfiauto.create_template('bad', body => 'x', channel => 'email', subject => 'y', html => '{{client.nam}}');
SELECT mfiauto.create_template(E'bad\n', body => 'x');
SELECT mfiauto.create_template('', body => 'x');
SELECT mfiauto.create_template('bad', body => 'Votre prêt {{client.name}}', alphabet => 'refuse');
SELECT count(*) AS refused FROM mfiauto.template_version WHERE name LIKE '%bad%' OR name = '';

-- Templates include others: of the same channel, for their own locale; never themselves, never what is not there.
SELECT mfiauto.create_template('code', body => '36001');
SELECT mfiauto.create_template('footer', locale => 'fr', body => 'STOP au {{> code}}');
SELECT mfiauto.create_template('with_footer', locale => 'fr-SN', body => 'Bonjour {{client.name}}. {{> footer}}');
SELECT mfiauto.create_template('delimiters', locale => 'fr', body => '{{=<% %>=}}<%client.name%> <%> footer%>');
SELECT mfiauto.create_template('with_footer', locale => 'en', body => 'Hello {{> signature}}');
SELECT mfiauto.create_template('with_footer', channel => 'voice', locale => 'fr', body => 'Bonjour {{> footer}}');
SELECT mfiauto.create_template('code', body => '36001 {{> code}}');
SELECT mfiauto.create_template('code', body => '36001 {{> with_footer}}');
SELECT mfiauto.drop_template('footer');
SELECT mfiauto._template_needs('{with_footer}');
SELECT name, m.body, m.state FROM unnest('{with_footer,delimiters}'::text[]) name, mfiauto._compose(name, '{sms}', NULL, 'fr-SN', '{"client": {"name": "Awa"}}', '770000001', NULL, NULL, 'SN') m;
-- Not even if it is taken away behind our back.
UPDATE mfiauto.template_version SET is_live = false WHERE name = 'code';
SELECT m.body, m.state, m.reason, m.detail FROM mfiauto._compose('with_footer', '{sms}', NULL, 'fr-SN', '{"client": {"name": "Awa"}}', '770000001', NULL, NULL, 'SN') m;

-- Alter: what is given changes, the rest stays; an empty class takes it away.
SELECT mfiauto.alter_template('reminder_before', class => 'legal');
SELECT mfiauto.alter_template('reminder_before', channel => 'sms', locale => 'fr', class => 'legal');
SELECT mfiauto.alter_template('reminder_before', channel => 'sms', locale => 'fr', class => '', alphabet => 'ucs2');
SELECT mfiauto.alter_template('nobody');
SELECT mfiauto.alter_template('reminder_before', channel => 'email');
SELECT locale, version, class, alphabet, body FROM mfiauto.template WHERE name = 'reminder_before' AND channel = 'sms' ORDER BY locale;

-- Drop: not from under a live workflow.
INSERT INTO mfiauto.workflow_head (workflow_id, name, state, live_version, salt, created_at) VALUES (1, 'repayment', 'active', 1, 's', now());
INSERT INTO mfiauto.workflow_version (workflow_id, version, definition, source, owner, subject, trigger_kind, class, created_at)
VALUES (1, 1, '{}', '{}', current_user, 'installment', 'manual', 'collection', now());
INSERT INTO mfiauto.workflow_step (workflow_id, version, step_no, path, kind, template, channels) VALUES (1, 1, 1, 'steps[0]', 'send', 'reminder_before', '{sms}');
SELECT mfiauto.drop_template('reminder_before', 'sms', 'fr');
SELECT mfiauto.drop_template('reminder_before', 'sms', 'fr-SN');
SELECT mfiauto.drop_template('reminder_before');
SELECT mfiauto.drop_template('reminder_before', 'voice');
UPDATE mfiauto.workflow_head SET state = 'archived';
SELECT mfiauto.drop_template('reminder_before');
SELECT mfiauto.drop_template('reminder_before');
SELECT mfiauto.create_template('reminder_before', locale => 'fr', body => 'encore') AS next_version;

-- Preview, over a bank's own tables.
CREATE TABLE person (id bigint PRIMARY KEY, display_name text, mobile text, lang text, zone text, born date);
CREATE TABLE due (id bigint PRIMARY KEY, loan bigint, person bigint, day date, amount numeric, paid numeric);
INSERT INTO person VALUES (42, 'Awa Ndiaye', '77 100 00 42', 'fr_SN', 'Africa/Dakkar', '1990-03-08'), (44, 'Other', NULL, NULL, NULL, NULL);
INSERT INTO due VALUES (1007, 7, 42, '2026-02-05', 13000, 500);
SET client_min_messages = warning;
SELECT mfiauto.bind('client', 'person', '{"client_id": "id", "name": "display_name", "phone": "mobile", "locale": "lang", "time_zone": "zone", "birth_date": "born"}');
SELECT mfiauto.bind('installment', 'due', '{"installment_id": "id", "loan_id": "loan", "client_id": "person", "due_date": "day", "amount_due": "amount", "amount_paid": "paid"}');
SET client_min_messages = notice;
INSERT INTO mfiauto.gateway_config (gateway, channel, definition, settings, priority, created_at, created_by) VALUES
  ('dear', 'sms', '{}', '{"cost_per_part": 25}', 20, now(), 'test'), ('cheap', 'sms', '{}', '{"cost_per_part": 12}', 10, now(), 'test');
SELECT mfiauto.create_template('due', locale => 'fr', class => 'collection', body => 'Bonjour {{client.name}}, prêt: {{installment.balance_text}} le {{installment.due_date_text}}.');
SELECT mfiauto.create_template('due', locale => 'wo', class => 'collection', body => 'Nanga def {{client.name}}, ŋ {{installment.paid_on_text}}');
SELECT mfiauto.create_template('due', channel => 'email', subject => '{{client.name}}', html => '<p>{{client.name}}</p>', body => 'Bonjour {{client.name}}');
\x on
SELECT * FROM mfiauto.preview_template('due', client_id => 42, subject_id => 1007);
SELECT mfiauto.opt_out(42, 'sms');
SELECT channel, locale, problems FROM mfiauto.preview_template('due', 42, 1007, 'installment') WHERE locale = 'fr';
\x off
SELECT channel, locale, to_address, problems FROM mfiauto.preview_template('due', 44, 1007);
SELECT mfiauto.preview_template('due', 43);
SELECT mfiauto.preview_template('due', 42, 1);
SELECT mfiauto.preview_template('due', 42, 1, 'installment');
SELECT mfiauto.preview_template('due', 42, 1, 'goat');
SELECT mfiauto.preview_template('none', 42);

-- An author needs no right to the tables.
CREATE ROLE template_author;
GRANT USAGE ON SCHEMA mfiauto TO template_author;
SET ROLE template_author;
SELECT mfiauto.create_template('x', body => 'y');
RESET ROLE;
GRANT EXECUTE ON FUNCTION mfiauto.create_template(text, text, text, text, text, text, text, text, jsonb) TO template_author;
SET ROLE template_author;
SELECT mfiauto.create_template('x', body => 'y');
RESET ROLE;
SELECT created_by FROM mfiauto.template WHERE name = 'x';
DROP OWNED BY template_author;
DROP ROLE template_author;
