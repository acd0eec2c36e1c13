-- T3: an accepted application is told also to who opted out of marketing; a suppressed address is not written to, and the reason stands.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+22177000000' || g FROM generate_series(1, 3) g;
INSERT INTO bank.application SELECT 10 + g, g, 'submitted' FROM generate_series(1, 3) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.opt_out(client_id => 1, purpose => 'marketing', reason => 'said so');
SELECT mfiauto.opt_out(client_id => 1, channel => 'sms', purpose => 'marketing', reason => 'said so again');
SELECT mfiauto.suppress_address('sms', '+221770000002', 'wrong number');
SELECT mfiauto.create_workflow('accepted', '{"trigger": {"status": "application", "to": "approved"}, "class": "transactional", "holdout": 0, "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('offer', '{"trigger": {"status": "application", "to": "approved"}, "class": "marketing", "steps": [{"send": "offer"}]}') AS version;
SELECT mfiauto.activate_workflow('accepted'), mfiauto.activate_workflow('offer');
SELECT count(*) FROM (SELECT mfiauto.opt_in(client_id => g, channel => 'sms', purpose => 'marketing') FROM generate_series(2, 3) g) o;
UPDATE bank.application SET status = 'approved';
SELECT entered, messages FROM mfiauto.run_engine();
SELECT claimed FROM mfiauto.run_delivery();
SELECT workflow, client_id, state, reason FROM mfiauto.message ORDER BY 1, 2;
SELECT client_id, body FROM mfiauto.sandbox_message ORDER BY 1, 2;
