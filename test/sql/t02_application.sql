-- T2: a status transition of an application; the same UPDATE run twice gives one enrollment, two applications of one client give two.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone) VALUES (1, 'Awa', '+221770000001'), (2, 'Binta', '+221770000002');
INSERT INTO bank.application VALUES (11, 1, 'started'), (12, 1, 'started'), (13, 2, 'submitted');
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('received', '{"trigger": {"status": "application", "from": "started", "to": ["submitted", "in review"]}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('any', '{"trigger": {"status": "application", "to": "submitted"}, "class": "transactional", "reentry": "always", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('received'), mfiauto.activate_workflow('any');
SELECT subject, trigger_kind, trigger_events, trigger_filters FROM mfiauto.workflow_version ORDER BY workflow_id;

UPDATE bank.application SET status = 'submitted', submitted_at = mfiauto.now() WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
UPDATE bank.application SET status = 'submitted', submitted_at = mfiauto.now() WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
UPDATE bank.application SET status = 'submitted' WHERE id = 12;
SELECT entered FROM mfiauto.run_engine();
SELECT workflow, client_id, subject, subject_id FROM mfiauto.enrollment ORDER BY 1, 4;

-- A transition that "from" does not name is not one; a new row passes from nothing, which only a trigger without "from" takes.
UPDATE bank.application SET status = 'in review' WHERE id = 13;
INSERT INTO bank.application VALUES (14, 2, 'submitted');
SELECT entered FROM mfiauto.run_engine();
SELECT workflow, client_id, subject, subject_id FROM mfiauto.enrollment WHERE client_id = 2 ORDER BY 1, 4;
-- There and back in one transaction: nothing happened. Again over time: by the rule of re-entry.
BEGIN;
UPDATE bank.application SET status = 'started' WHERE id = 12;
UPDATE bank.application SET status = 'submitted' WHERE id = 12;
COMMIT;
SELECT events, entered FROM mfiauto.run_engine();
UPDATE bank.application SET status = 'started' WHERE id = 12;
SELECT events, entered FROM mfiauto.run_engine();
UPDATE bank.application SET status = 'submitted' WHERE id = 12;
SELECT events, entered FROM mfiauto.run_engine();
SELECT workflow, count(*) FROM mfiauto.enrollment WHERE subject_id = 12 GROUP BY 1 ORDER BY 1;
SELECT client_id, subject_id, properties FROM mfiauto.event WHERE name = 'Application Status Changed' ORDER BY event_id;
-- A condition sees the transition.
SELECT mfiauto.create_workflow('loan', '{"trigger": {"status": "loan", "to": "approved", "if": "event.properties ->> ''from'' = ''applied'' AND loan.principal > 500"}, "steps": [{"wait": "1 day"}, {"send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('loan');
INSERT INTO bank.loan (id, client_id, principal) VALUES (21, 1, 400), (22, 1, 600), (23, 2, 600);
SELECT entered FROM mfiauto.run_engine();
UPDATE bank.loan SET status = 'approved' WHERE id IN (21, 22);
SELECT entered FROM mfiauto.run_engine();
SELECT client_id, subject, subject_id, loan_id FROM mfiauto.enrollment WHERE workflow = 'loan';
