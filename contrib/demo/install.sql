-- Puts mfiauto into the demo bank's database: what a DBA does once, and what the marketing team writes.
-- psql variable port: where the provider listens.
SET client_min_messages = warning;
CREATE ROLE marketing NOLOGIN;
GRANT USAGE ON SCHEMA bank TO marketing;
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA bank TO marketing;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install(owner => 'marketing');
SELECT mfiauto.arm_delivery();
SELECT mfiauto.set_institution(name => 'Teranga Microfinance', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock((:'start'::date + time '07:00') AT TIME ZONE 'Africa/Dakar');
\ir bind.sql
SELECT mfiauto.create_gateway('demo_sms', channel => 'sms', preset => 'twilio',
  settings => json_build_object('base_url', 'http://127.0.0.1:' || :'port', 'sender', 'TERANGA', 'receipt_url', 'https://hooks.teranga.example/w/demo_sms',
                                 'rate_per_second', 500, 'concurrency', 20, 'cost_per_part', 12, 'currency', 'XOF'));
SELECT mfiauto.set_secret('demo_sms', 'account_sid', 'ACdemo');
SELECT mfiauto.set_secret('demo_sms', 'auth_token', 'only-for-the-demo');
-- What people write back: STOP and AIDE are answered, a question by its template, anything else by a person.
SELECT mfiauto.create_template('goodbye', channel => 'sms', locale => 'fr', class => 'transactional', body => 'TERANGA: c''est note, plus de rappels. START pour les reprendre.');
SELECT mfiauto.create_template('help', channel => 'sms', locale => 'fr', class => 'transactional', body => 'TERANGA: payez au *144#. STOP pour ne plus recevoir de rappels. Votre agence vous rappelle si vous ecrivez votre question.');
SELECT mfiauto.set_keyword_answer('stop', 'goodbye');
SELECT mfiauto.set_keyword_answer('help', 'help');
SELECT mfiauto.create_intent('how_to_pay', '{"fr": ["comment payer", "ou payer mon credit", "comment je peux payer"]}', 'help');
SELECT mfiauto.create_gateway('demo_voice', channel => 'voice', preset => 'sandbox');
\ir workflows.sql
-- Who is held out is drawn by the workflow's own random salt. Here it is the seed, so that two runs tell the same story.
UPDATE mfiauto.workflow_head SET salt = :'seed' WHERE name = 'repayment_reminder';
SELECT mfiauto.activate_workflow('repayment_reminder');
