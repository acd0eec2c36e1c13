-- Template options: what each channel takes, refused where it is wrong, rendered like the text, carried to the claim; devices and what retires them.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
RESET client_min_messages;
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 4) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 4) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-01-21' FROM generate_series(1, 4) g;

-- What is refused, and how.
CREATE FUNCTION pg_temp.given(channel text, options text, locale text DEFAULT 'fr') RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  PERFORM mfiauto.create_template('o', 'x', channel, locale, subject => CASE WHEN channel = 'email' THEN 'x' END, options => options::jsonb);
  RETURN (SELECT coalesce('kept ' || t.options::text, 'none') FROM mfiauto.template t WHERE t.name = 'o' AND t.channel = given.channel AND t.locale = given.locale);
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ' ' || SQLERRM || coalesce('. ' || nullif(hint, ''), '');
END $$;
SELECT v.channel, v.options, pg_temp.given(v.channel, v.options)
  FROM (VALUES
    ('sms', NULL), ('sms', '{}'), ('sms', '[]'), ('sms', '"x"'), ('sms', 'null'),
    ('sms', '{"sender": "MFI", "validity": "2 hours"}'), ('sms', '{"sendr": "MFI"}'), ('sms', '{"sender": "a\nb"}'), ('sms', '{"validity": "soon"}'), ('sms', '{"validity": "40 days"}'),
    ('sms', '{"validity": 5}'), ('sms', '{"validity": 0}'), ('sms', '{"sender": "{{client.nam}}"}'), ('sms', '{"sender": "{{> footer}}"}'), ('sms', '{"sender": "{{client.name"}'),
    ('email', '{"headers": {"List-Id": "news", "X-Campaign": "{{workflow.name}}"}, "preheader": "{{client.name}}", "reply_to": "a@mfi.example"}'),
    ('email', '{"headers": {"Bcc": "x@y.example"}}'), ('email', '{"headers": {"X-A": "a\r\nBcc: b"}}'),
    ('voice', '{"audio": "https://sound.example/{{client.client_id}}.mp3"}'), ('voice', '{"audio": "http://sound.example/a.mp3"}'),
    ('voice', '{"audio": {"fr": "https://sound.example/fr.mp3", "wo": "https://sound.example/wo.mp3"}}'), ('voice', '{"audio": {"Français": "https://sound.example/fr.mp3"}}'),
    ('voice', '{"audio": "https://{{client.name}}/x"}'), ('voice', '{"digits": {"1": "Promised To Pay", "2": "Asked For Call"}, "digits_timeout": 5}'),
    ('voice', '{"digits": {"1": "A", "22": "B"}}'), ('voice', '{"digits": {"x": "A"}}'), ('voice', '{"digits_timeout": 0.5}'),
    ('voice', '{"retries": ["10 minutes", "2 hours"], "max_attempts": 3}'), ('voice', '{"retries": []}'), ('voice', '{"retries": "1 hour"}'), ('voice', '{"max_attempts": 11}'),
    ('push', '{"data": {"loan": "{{loan.loan_id}}"}, "collapse_key": "due", "ttl": "1 day", "image": "https://x.example/i.png", "action_url": "https://x.example/"}'),
    ('push', '{"data": {"n": 5}}'), ('whatsapp', '{"template": "due", "language": "fr", "parameters": ["{{client.name}}"], "category": "utility"}'),
    ('whatsapp', '{"category": "spam"}'), ('whatsapp', '{"parameters": [1]}'),
    ('telegram', '{"buttons": [{"label": "Oui", "value": "yes"}, {"label": "Payer", "url": "https://pay.example/{{loan.loan_id}}"}]}'),
    ('telegram', '{"buttons": [{"label": "Oui"}]}'), ('telegram', '{"buttons": [{"label": "Oui", "value": "y", "url": "https://x.example"}]}'), ('messenger', '{"parse_mode": "x"}'),
    ('inapp', '{"action_url": "https://x.example/pay", "action_label": "Payer", "expires": "3 days"}'), ('inapp', '{"action": "x"}'),
    ('webhook', '{"any": {"thing": [1, true, null, "{{client.name}}"]}}'), ('webhook', '{"any": "{{client.nam}}"}')) AS v(channel, options);
-- A language that no voice reads is said by a recording; of the default text it is not known who hears it.
SELECT v.locale, v.options, pg_temp.given('voice', v.options, v.locale)
  FROM (VALUES ('wo', NULL), ('wo', '{"audio": "https://sound.example/wo.mp3"}'), ('wo', '{"audio": {"fr": "https://sound.example/fr.mp3"}}'), ('wo', '{"audio": {"*": "https://sound.example/any.mp3"}}'),
               ('wo', '{"say_language": "fr-FR"}'), ('*', NULL), ('fr-SN', NULL), ('fr-CA', NULL), ('bm', '{}')) AS v(locale, options);

-- Altered whole, kept otherwise; taken away by an empty object; exported and imported.
SELECT mfiauto.create_template('due', 'Votre échéance: {{installment.balance_text}}', locale => 'fr', options => '{"sender": "{{institution.name}}"}');
SELECT mfiauto.alter_template('due', body => 'Echeance: {{installment.balance_text}}');
SELECT version, options FROM mfiauto.template WHERE name = 'due';
SELECT mfiauto.alter_template('due', options => '{"sender": "{{client.name}}"}');
SELECT version, options FROM mfiauto.template WHERE name = 'due';
SELECT t ->> 'name' AS name, t -> 'options' AS options FROM json_array_elements(mfiauto.export_definitions()::json -> 'templates') t WHERE t ->> 'name' = 'due';
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "templates": [{"name": "due", "locale": "fr", "body": "Echeance: {{installment.balance_text}}", "options": {"sender": "{{client.name}}"}}]}');
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "templates": [{"name": "due", "locale": "fr", "body": "Echeance: {{installment.balance_text}}", "options": {"sender": "{{loan.product}}"}}]}');
SELECT options FROM mfiauto.template WHERE name = 'due';
SELECT mfiauto.alter_template('due', options => '{}');
SELECT version, options FROM mfiauto.template WHERE name = 'due';

-- Rendered: addresses escaped as such, numbers as they are, the recording of the client's language; a hole holds the message.
SELECT mfiauto.create_template('say', 'x', 'webhook', options => '{"n": 5, "b": true, "list": ["{{client.name}}", "https://x.example/?q={{client.name}}"], "deep": {"none": null}}');
SELECT mfiauto.create_template('say', 'x', 'voice', options => '{"audio": {"fr": "https://s.example/fr", "wo": "https://s.example/wo", "*": "https://s.example/any"}, "max_attempts": 2}');
SELECT c.locale, m.channel, jsonb_pretty(m.options) AS options, m.state, m.detail
  FROM (VALUES ('webhook', 'fr', 'Awa & Co'), ('voice', 'wo-SN', 'Awa'), ('voice', 'fr', 'Awa'), ('voice', 'sw', 'Awa'), ('webhook', 'fr', NULL)) AS c(channel, locale, name),
       mfiauto._compose('say', ARRAY[c.channel], NULL, c.locale, jsonb_build_object('client', jsonb_build_object('client_id', 1, 'name', c.name)), '+221770000001', NULL, NULL, 'SN') m;

-- Devices: the one seen last is written to; one that goes to another client is his.
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
SELECT mfiauto.register_device(1, 'old'), mfiauto.register_device(2, 'shared', '{"platform": "android"}');
SELECT mfiauto.set_clock('2026-01-05 08:10+00');
SELECT mfiauto.register_device(1, 'new'), mfiauto.register_device(3, 'shared');
SELECT client_id, address, device, retired_at, retired_reason FROM mfiauto.client_address ORDER BY client_id, address;
SELECT client_id, addresses FROM mfiauto._context('{1,2,3,4}', 'client', '{1,2,3,4}', 'w');
SELECT mfiauto.register_device(1, ''), mfiauto.register_device(1, 'x');
SELECT mfiauto.register_device(1, 'a b');
SELECT mfiauto.register_device(NULL, 'x');
SELECT mfiauto.register_device(1, 'x', '[]');
SELECT mfiauto.retire_device('nobody'), mfiauto.retire_device('new');
SELECT client_id, addresses FROM mfiauto._context('{1}', 'client', '{1}', 'w');

-- Through the engine to the claim: what the books say at the last moment is what the options say.
SELECT mfiauto.create_template('pushed', 'x', 'push', subject => 'Hello', options => '{"data": {"name": "{{client.name}}"}, "ttl": "1 hour"}');
SELECT mfiauto.create_template('pushed', 'by sms', 'sms', options => '{"sender": "MFI"}');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "transactional", "steps": [{"at": "-7 days 09:00", "send": "pushed"}]}') > 0;
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.create_gateway('box', 'push', 'sandbox');
SELECT mfiauto.set_clock('2026-01-14 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, to_address, options FROM mfiauto.message_ledger ORDER BY 1;
UPDATE bank.client SET name = 'Awa' WHERE id = 3;
SELECT client_id, to_address, title, body, options, unsubscribe_url, class, country, expires_in, workflow, step
  FROM mfiauto._claim_messages('box', 'push', '{}', 100, 0, 60, '{}') WHERE client_id IS NOT NULL ORDER BY 1;
SELECT client_id, channel, options FROM mfiauto.message_ledger ORDER BY 1;
-- The provider does not know the token any more: it is retired, and the message goes by the next channel.
SELECT count(*) FROM mfiauto.message_ledger m, mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{failed}', '{recipient_rejected}') WHERE m.channel = 'push' AND m.client_id = 3;
SELECT client_id, address, retired_reason FROM mfiauto.client_address WHERE client_id = 3;
SELECT messages FROM mfiauto.run_engine();
SELECT client_id, channel, to_address, state, reason FROM mfiauto.message WHERE client_id = 3 ORDER BY message_id;
