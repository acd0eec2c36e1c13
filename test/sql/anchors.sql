-- Anchors on any date: of canonical roles, as dates and as moments whose day is the client's own, and of watched tables; exact on moves, deletions and returns.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
CREATE TABLE bank.card (id bigint PRIMARY KEY, client_id bigint, expires_on date);
SELECT mfiauto.watch('Card Issued', 'bank.card', 'INSERT', client => 'client_id', subject => 'id', properties => '{"expires_on": "expires_on"}');
SELECT mfiauto.watch('Card Changed', 'bank.card', 'UPDATE', client => 'client_id', subject => 'id', properties => '{"expires_on": "expires_on"}');
SELECT mfiauto.watch('Card Removed', 'bank.card', 'DELETE', client => 'client_id', subject => 'id');
SELECT mfiauto._set_clock('2026-03-09 09:00+00');
INSERT INTO bank.client (id, name, phone, tz, birth_date) VALUES (1, 'Awa', '+221770000001', 'Europe/Paris', '2008-03-20'), (2, 'Binta', '+221770000002', 'Pacific/Auckland', NULL), (3, 'Cheikh', '+221770000003', NULL, '2026-03-13');
INSERT INTO bank.application VALUES (11, 1, 'submitted', '2026-03-10 23:30+00'), (12, 2, 'submitted', '2026-03-10 10:30+00'), (13, 3, 'submitted', '2026-03-10 23:30+00'), (14, 3, 'submitted', NULL);
INSERT INTO bank.loan (id, client_id, status, approved_on) VALUES (21, 1, 'active', '2026-03-15'), (22, NULL, 'active', '2026-03-16');
INSERT INTO bank.member (loan_id, client_id, role) VALUES (22, 2, 'borrower'), (22, 3, 'guarantor');
INSERT INTO bank.card VALUES (31, 1, '2026-03-15'), (32, 2, '2026-03-16'), (33, 3, NULL);
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow(w.name, format('{"for_each": "%s", "anchor": "%s", "class": "transactional", "steps": [{"at": "0 days 09:00", "send": "hello"}]}', w.subject, w.anchor)::json) AS version
  FROM (VALUES ('after application', 'application', 'submitted_at'), ('after approval', 'loan', 'approved_on'), ('after birth', 'client', 'birth_date'), ('card', 'card', 'expires_on')) AS w(name, subject, anchor);
SELECT mfiauto.create_workflow('bad', '{"for_each": "card", "anchor": "color", "steps": [{"at": "0 days 09:00", "send": "hello"}]}');
SELECT step, on_date, clients, messages FROM mfiauto.preview_activation('after application');
SELECT step, on_date, clients, messages FROM mfiauto.preview_activation('card');
SELECT mfiauto.activate_workflow(n) FROM unnest('{after application,after approval,after birth,card}'::text[]) n;
-- By hand, before the engine has looked.
SELECT mfiauto.enroll('after approval', 1, 21) IS NOT NULL AS is_in;
SELECT entered FROM mfiauto.run_engine();
SELECT target, phase, done_count FROM mfiauto.job_progress WHERE job = 'activation' ORDER BY target;
CREATE VIEW pg_temp.run AS SELECT workflow, client_id, subject_id AS about, loan_id AS loan, anchor_on, state, reason, due_at FROM mfiauto.enrollment ORDER BY workflow, subject_id, client_id, enrollment_id;
SELECT * FROM pg_temp.run;
-- Moved, gone, put back, given to somebody else; a client who moves to another zone may have another day.
UPDATE bank.application SET submitted_at = submitted_at + interval '2 days' WHERE id = 11;
UPDATE bank.application SET submitted_at = NULL WHERE id = 13;
UPDATE bank.application SET submitted_at = '2026-03-12 12:00+00' WHERE id = 14;
UPDATE bank.client SET tz = 'Africa/Dakar' WHERE id = 2;
UPDATE bank.client SET birth_date = '2026-03-14' WHERE id = 3;
UPDATE bank.card SET expires_on = '2026-03-18' WHERE id = 31;
DELETE FROM bank.card WHERE id = 32;
UPDATE bank.card SET expires_on = '2026-03-17' WHERE id = 33;
DELETE FROM bank.loan WHERE id = 21;
INSERT INTO bank.member (loan_id, client_id) VALUES (22, 1);
SELECT entered > 0 AS entered, exited > 0 AS exited FROM mfiauto.run_engine();
SELECT * FROM pg_temp.run;
UPDATE bank.application SET submitted_at = '2026-03-10 23:30+00' WHERE id = 13;
INSERT INTO bank.card VALUES (32, 2, '2026-03-14');
UPDATE bank.card SET client_id = 2 WHERE id = 33;
INSERT INTO bank.loan (id, client_id, status, approved_on) VALUES (21, 1, 'active', '2026-03-17');
UPDATE bank.member SET client_id = 3 WHERE loan_id = 22 AND client_id = 2 AND role = 'borrower';
SELECT entered > 0 AS entered FROM mfiauto.run_engine();
SELECT * FROM pg_temp.run;
-- What is kept equals what the books say.
SELECT a.role, a.column_name, a.subject_id, a.client_id, a.on_date FROM mfiauto.anchor_date a ORDER BY 1, 2, 3;
SELECT count(*) AS differences FROM (
  (SELECT 'application', v.application_id, v.client_id, (v.submitted_at AT TIME ZONE coalesce(c.tz, 'Africa/Dakar'))::date FROM mfiauto.application v JOIN bank.client c ON c.id = v.client_id WHERE v.submitted_at IS NOT NULL
   UNION ALL SELECT 'loan', l.loan_id, l.client_id, l.approved_on FROM mfiauto.loan l WHERE l.approved_on IS NOT NULL
   UNION ALL SELECT 'client', c.client_id, c.client_id, c.birth_date FROM mfiauto.client c WHERE c.birth_date IS NOT NULL
   UNION ALL SELECT 'card', k.id, k.client_id, k.expires_on FROM bank.card k WHERE k.expires_on IS NOT NULL)
  EXCEPT ALL SELECT a.role, a.subject_id, a.client_id, a.on_date FROM mfiauto.anchor_date a) d;
SELECT at, entered, advanced, messages FROM generate_series(timestamptz '2026-03-10 12:00+00', '2026-03-19 12:00+00', '1 day') AS g(at), pg_temp.at(g.at) ORDER BY 1;
SELECT client_id, workflow, subject_id, due_at, repetition FROM mfiauto.message_ledger m JOIN (SELECT workflow_id, name AS workflow FROM mfiauto.workflow_head) h USING (workflow_id) WHERE state = 'queued' ORDER BY due_at, client_id, workflow;
-- Resync and a new binding find the same.
CREATE TEMP TABLE before AS SELECT * FROM mfiauto.anchor_date WHERE role <> 'card';
SELECT mfiauto.resync('application') IS NOT NULL AS done;
SELECT mfiauto.unbind('application');
SELECT count(*) FROM mfiauto.anchor_date WHERE role = 'application';
SELECT mfiauto.bind('application', 'bank.application', '{"application_id": "id", "client_id": "client_id", "status": "status", "submitted_at": "submitted_at"}') IS NOT NULL AS bound;
SELECT count(*) FROM (TABLE before EXCEPT ALL SELECT * FROM mfiauto.anchor_date WHERE role <> 'card') d;
