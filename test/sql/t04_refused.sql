-- T4: an approval that is corrected to a refusal inside one transaction: only the refusal's message exists, held out from nobody.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_template('refused', channel => 'sms', body => 'Votre demande n''est pas retenue, {{client.name}}.', class => 'transactional') AS version;
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+2217700000' || lpad(g::text, 2, '0') FROM generate_series(1, 20) g;
INSERT INTO bank.application SELECT 100 + g, g, 'submitted' FROM generate_series(1, 20) g;
INSERT INTO bank.loan (id, client_id) VALUES (201, 1);
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('approval', '{"trigger": {"status": "application", "to": "approved"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('refusal', '{"trigger": {"status": "application", "to": "rejected"}, "class": "transactional", "steps": [{"send": "refused"}]}') AS version;
SELECT mfiauto.create_workflow('loan_refusal', '{"trigger": {"status": "loan", "to": "rejected"}, "class": "transactional", "steps": [{"send": "refused"}]}') AS version;
SELECT mfiauto.create_workflow('loan_approval', '{"trigger": {"status": "loan", "to": "approved"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT count(mfiauto.activate_workflow(n)) FROM unnest('{approval,refusal,loan_refusal,loan_approval}'::text[]) n;
BEGIN;
UPDATE bank.application SET status = 'approved';
UPDATE bank.loan SET status = 'approved' WHERE id = 201;
UPDATE bank.application SET status = 'rejected';
UPDATE bank.loan SET status = 'rejected' WHERE id = 201;
COMMIT;
SELECT entered, messages FROM mfiauto.run_engine();
SELECT workflow, state, count(*), min(body) AS body FROM mfiauto.message GROUP BY 1, 2 ORDER BY 1, 2;
SELECT arm, count(*) FROM mfiauto.enrollment GROUP BY 1;
-- A holdout of a refusal is not even accepted.
SELECT mfiauto.create_workflow('refusal', '{"trigger": {"status": "application", "to": "rejected"}, "class": "transactional", "holdout": 5, "steps": [{"send": "refused"}]}');
