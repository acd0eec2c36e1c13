-- S6: who reads little and agreed to calls is called: preferred_channel, and the voice variant of a message.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, name, phone, literacy, traits) VALUES (1, 'Awa', '+221770000001', 'low', NULL), (2, 'Binta', '+221770000002', 'low', NULL), (3, 'Cheikh', '+221770000003', 'high', '{"preferred_channel": "email"}'), (4, 'Demba', '+221770000004', 'none', NULL);
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.opt_in(1, 'voice'), mfiauto.opt_in(3, 'voice'), mfiauto.opt_in(4), mfiauto.opt_out(2, 'voice');
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.client_id, p.literacy, p.preferred_channel FROM mfiauto.client_profile p ORDER BY 1;
-- The variant that is chosen: the preferred channel comes first where the step, or else the template, has it.
SELECT count(mfiauto.create_template('hello', channel => c, body => 'Hello {{client.name}}')) FROM unnest('{sms,voice}'::text[]) c;
SELECT mfiauto.create_workflow('w', '{"trigger": {"event": "Hello"}, "class": "transactional", "steps": [{"send": "hello"}, {"send": "hello", "channels": ["sms", "voice"]}, {"send": "hello", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow('w');
SELECT count(mfiauto.track('Hello', g)) FROM generate_series(1, 4) g;
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT m.client_id, m.step, m.channel FROM mfiauto.message m ORDER BY 1, 2;
-- Consent taken back, or given: it counts from the next pass on.
SELECT mfiauto._set_clock('2026-01-05 10:00+00');
SELECT mfiauto.opt_out(1), mfiauto.opt_in(2, 'voice');
SELECT pg_temp.pass('2026-01-05 10:01+00');
SELECT p.client_id, p.preferred_channel FROM mfiauto.client_profile p ORDER BY 1;
SELECT pg_temp.drift();
