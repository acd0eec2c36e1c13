-- test_template(): really sent, filled in from a client's books, to listed addresses and to nobody else; no figure of the client's changes.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF', public_url => 'https://m.mfi.example');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\set ECHO none
\i test/lib/workflow_books.sql
\set ECHO all
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox'), mfiauto.create_gateway('mail', 'email', 'sandbox');
SELECT mfiauto.create_template('due', class => 'collection', body => 'Bonjour {{client.name}}, {{installment.balance_text}}. {{links.unsubscribe}}');
SELECT mfiauto.create_template('due', channel => 'email', class => 'collection', subject => 'Rappel {{client.name}}', body => '{{installment.balance_text}}', html => '<p>{{installment.balance_text}}</p>');
-- Nobody is listed; then two are, however they write the number.
SELECT mfiauto.test_template('due', 1, '+221770000001', 101);
SELECT mfiauto.add_test_recipient('sms', '77 000 00 09', 'Fatou, marketing'), mfiauto.add_test_recipient('email', 'Fatou@MFI.example');
SELECT mfiauto.test_template('due', 1, '+221770000001', 101);
SELECT mfiauto.test_template('due', 1, 'fatou@mfi.example', 101, channel => 'sms');
SELECT mfiauto.test_template('due', 1, '+221770000009', 101, channel => 'voice');
SELECT mfiauto.test_template('due', 1, '+221770000009', 101) IS NOT NULL AS queued, mfiauto.test_template('due', 1, 'FATOU@mfi.example', 101, channel => 'email') IS NOT NULL AS queued;
SELECT mfiauto.test_template('due', 1, '+221770000009');
SELECT mfiauto.test_template('due', 1, '+221770000009', 103);
SELECT mfiauto.test_template('due', 999, '+221770000009', 101);
SELECT mfiauto.test_template('nope', 1, '+221770000009', 101);
-- At night too: the tester asked for it. The client himself is not written to, and knows of nothing.
SELECT sent FROM mfiauto.run_delivery();
SELECT client_id, channel, to_address, title, regexp_replace(body, '[0-9A-Za-z]{20}', '…') AS body FROM mfiauto.sandbox_message ORDER BY channel;
SELECT client_id, workflow, class, channel, state FROM mfiauto.message ORDER BY channel;
SELECT count(*) AS of_the_client FROM mfiauto.message WHERE client_id = 1;
-- Whoever unsubscribes from a test unsubscribes nobody.
SELECT (mfiauto._serve_unsubscribe('POST', substring(m.body FROM '/u/(\w{20})'), '{}', 'choice=all')).status FROM mfiauto.message m WHERE m.channel = 'sms';
SELECT count(*) AS of_clients FROM mfiauto.consent WHERE client_id <> 0;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT mfiauto.test_template('due', 1, '+221770000009', 101) IS NOT NULL AS queued;
SELECT mfiauto.drop_test_recipient('sms', '+221770000009');
SELECT mfiauto.test_template('due', 1, '+221770000009', 101);
SELECT mfiauto.drop_test_recipient('sms', '+221770000009');
-- Links in options are signed like those in the text, and lead on.
SELECT mfiauto.allow_link_host('mfi.example'), mfiauto.create_link('site', 'https://mfi.example/'), mfiauto.add_test_recipient('push', 'token-of-fatou'), mfiauto.create_gateway('pushes', 'push', 'sandbox');
SELECT mfiauto.create_template('due', channel => 'push', class => 'collection', subject => 'Rappel', body => '{{installment.balance_text}}', options => '{"action_url": "{{links.site}}"}');
SELECT mfiauto.test_template('due', 1, 'token-of-fatou', 101, channel => 'push') IS NOT NULL AS queued;
SELECT regexp_replace(m.options::text, '[0-9A-Za-z]{20}', '…') AS options, (mfiauto._serve_link(substring(m.options ->> 'action_url' FROM '/l/(\w{20})$'), '{"user-agent": "Firefox"}')).headers ->> 'location' AS leads_to
  FROM mfiauto.message_ledger m WHERE m.channel = 'push';
SELECT mfiauto.drop_link('site');
-- An author may test, and may not list himself.
CREATE ROLE regress_template_test;
SELECT mfiauto.grant_access('regress_template_test', 'author');
SET ROLE regress_template_test;
SELECT mfiauto.add_test_recipient('sms', '+221770000007');
SELECT mfiauto.test_template('due', 1, 'fatou@mfi.example', 101, channel => 'email') IS NOT NULL AS queued;
SELECT name FROM mfiauto.template_lint ORDER BY name, channel LIMIT 1;
RESET ROLE;
SELECT mfiauto.revoke_access('regress_template_test');
DROP ROLE regress_template_test;
