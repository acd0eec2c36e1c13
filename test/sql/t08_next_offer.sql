-- T8: the offer after a loan's end is for who is eligible when it is sent, not only when he entered: who falls into arrears in between leaves, and is sent nothing.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+22177000000' || g FROM generate_series(1, 5) g;
INSERT INTO bank.loan (id, client_id, status) SELECT 10 + g, g, 'active' FROM generate_series(1, 5) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT count(mfiauto.opt_in(client_id => g, channel => 'sms', purpose => 'marketing')) FROM generate_series(1, 5) g;
SELECT mfiauto.create_workflow('second_loan', '{"trigger": {"status": "loan", "to": "closed"}, "enter_if": "client.status <> ''arrears''", "exit_if": "client.status = ''arrears''",
  "steps": [{"wait": "7 days"}, {"send": "offer"}]}') AS version;
SELECT mfiauto.activate_workflow('second_loan');
UPDATE bank.client SET status = 'arrears' WHERE id = 5;
UPDATE bank.loan SET status = 'closed';
SELECT entered FROM mfiauto.run_engine();
-- One falls into arrears before the step, one between the step and the claim; of one the engine does not hear before it sends.
UPDATE bank.client SET status = 'arrears' WHERE id = 1;
SELECT exited FROM pg_temp.at('2026-01-08 09:00+00');
SELECT advanced, messages FROM pg_temp.at('2026-01-12 10:00+00');
UPDATE bank.client SET status = 'arrears' WHERE id = 2;
SELECT exited FROM mfiauto.run_engine();
UPDATE bank.client SET status = 'arrears' WHERE id = 3;
SELECT claimed FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message ORDER BY 1;
SELECT client_id, body FROM mfiauto.sandbox_message;
SELECT events > 0 AS heard FROM mfiauto.run_engine();
SELECT client_id, state, reason FROM mfiauto.enrollment ORDER BY 1;
SELECT what, detail FROM mfiauto.explain_client(5, 'second_loan') WHERE what = 'refused';
