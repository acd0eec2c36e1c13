-- T1: a lead that is committed gives one enrollment and one queued message; one that is rolled back gives none.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"event": "Lead Created"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('welcome');

BEGIN;
INSERT INTO bank.client (id, name, phone) VALUES (1, 'Awa', '+221770000001');
ROLLBACK;
SELECT events, entered, messages FROM mfiauto.run_engine();
SELECT count(*) AS enrollments FROM mfiauto.enrollment;

BEGIN;
INSERT INTO bank.client (id, name, phone) VALUES (1, 'Awa', '+221770000001');
COMMIT;
SELECT entered, messages FROM mfiauto.run_engine();
SELECT workflow, client_id, subject, state FROM mfiauto.enrollment;
SELECT client_id, channel, state, body FROM mfiauto.message;

-- A savepoint that is rolled back is no lead either; an application of somebody who is in the books is one, once.
BEGIN;
SAVEPOINT s;
INSERT INTO bank.client (id, name, phone) VALUES (2, 'Binta', '+221770000002');
ROLLBACK TO s;
INSERT INTO bank.application VALUES (1, 1, 'started');
COMMIT;
SELECT entered, messages FROM mfiauto.run_engine();
SELECT client_id, count(*) FROM mfiauto.enrollment GROUP BY 1;

-- Under the clock of a night nothing more comes of it.
SELECT entered, messages FROM pg_temp.at('2026-01-06 03:00+00');
