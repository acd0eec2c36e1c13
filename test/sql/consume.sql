-- Consuming the journal: hints in, events out. What happened is the difference between what was known and the committed books.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-03-02 10:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, status text);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text, outstanding numeric(14,2), seen_at timestamptz);
CREATE TABLE bank.member (loan_id bigint, client_id bigint, role text, since date, until date);
-- As Apache Fineract keeps them: ids of rows that do not last, no unique key, NULL for zero.
CREATE TABLE bank.schedule (id bigserial PRIMARY KEY, loan_id bigint, number int, due_date date, amount numeric(19,6), paid numeric(19,6), seen_at timestamptz);
CREATE INDEX ON bank.schedule (loan_id);
CREATE TABLE bank.transaction (id bigserial PRIMARY KEY, loan_id bigint, kind int, on_date date, amount numeric(19,6), is_reversed boolean DEFAULT false);
CREATE TABLE bank.application (id bigint PRIMARY KEY, client_id bigint, product text);
CREATE TABLE bank.savings (id bigint PRIMARY KEY, client_id bigint, status text, closed_on date);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"name","phone":"phone","status":"status"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id":"id","client_id":"client_id","status":"status","outstanding":"outstanding"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id":"loan_id","client_id":"client_id","role":"role","since":"since","until":"until"}');
SELECT mfiauto.bind('installment', 'bank.schedule', '{"installment_id":"loan_id * 1000 + number","loan_id":"loan_id","number":"number","due_date":"due_date","amount_due":"coalesce(amount, 0)","amount_paid":"coalesce(paid, 0)"}');
SELECT mfiauto.bind('payment', 'bank.transaction', '{"payment_id":"id","loan_id":"loan_id","paid_at":"on_date::timestamp AT TIME ZONE ''UTC''","amount":"amount","reversed":"is_reversed"}', row_filter => 'kind IN (2, 8)');
SELECT mfiauto.bind('application', 'bank.application', '{"application_id":"id","client_id":"client_id","product":"product"}');
SELECT mfiauto.bind('holding', 'bank.savings', '{"holding_id":"id","client_id":"client_id","status":"status","closed_on":"closed_on"}');
RESET client_min_messages;

-- One batch: what came of it, whom it touched.
CREATE FUNCTION batch() RETURNS TABLE (what text, client bigint, subject text, detail text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._consume_journal();
  RETURN QUERY
  SELECT e.name, e.client_id, format('%s %s', e.subject, CASE WHEN e.subject = 'payment' THEN NULL ELSE e.subject_id END), l.properties::text
    FROM mfiauto.batch_event e JOIN mfiauto.event_log l USING (client_id, event_id) ORDER BY e.name COLLATE "C", e.client_id, e.subject_id;
  RETURN QUERY
  SELECT '(touched)', t.client_id, t.role, count(DISTINCT t.subject_id)::text FROM mfiauto.batch_touched t GROUP BY t.role, t.client_id ORDER BY t.role, t.client_id;
END $$;

-- A lead, a client, a loan: statuses go forward one by one or all at once, the events are the same.
INSERT INTO bank.client VALUES (1, 'Awa', '771', 'pending'), (2, 'Binta', '772', 'pending'), (3, 'Coumba', '773', 'active');
INSERT INTO bank.application VALUES (1, 1, 'crop'), (2, 1, 'crop');
SELECT * FROM batch();
UPDATE bank.client SET status = 'active' WHERE id = 1;
INSERT INTO bank.loan VALUES (10, 1, 'applied', 0);
SELECT * FROM batch();
UPDATE bank.loan SET status = 'approved' WHERE id = 10;
SELECT * FROM batch();
UPDATE bank.loan SET status = 'active', outstanding = 900 WHERE id = 10;
INSERT INTO bank.schedule (loan_id, number, due_date, amount) VALUES (10, 1, '2026-04-01', 300), (10, 2, '2026-05-01', 300), (10, 3, '2026-06-01', 300);
SELECT * FROM batch();
INSERT INTO bank.loan VALUES (20, 2, 'active', 900), (21, 2, 'rejected', 0), (22, 2, 'closed', 0), (23, 2, 'withdrawn', 0);
SELECT * FROM batch();
-- Going back tells nothing, but workflows look again.
UPDATE bank.loan SET status = 'approved' WHERE id = 20;
SELECT * FROM batch();
UPDATE bank.loan SET status = 'written_off' WHERE id = 20;
SELECT * FROM batch();
UPDATE bank.loan SET status = 'active' WHERE id = 20;
SELECT * FROM batch();

-- The same row three times in one transaction, and there and back again.
BEGIN;
UPDATE bank.schedule SET paid = 100 WHERE loan_id = 10 AND number = 1;
UPDATE bank.schedule SET paid = 200 WHERE loan_id = 10 AND number = 1;
UPDATE bank.schedule SET paid = 300 WHERE loan_id = 10 AND number = 1;
UPDATE bank.schedule SET due_date = '2027-01-01' WHERE loan_id = 10 AND number = 2;
UPDATE bank.schedule SET due_date = '2026-05-01' WHERE loan_id = 10 AND number = 2;
COMMIT;
SELECT * FROM batch();
-- A payment, in the order in which a core banking writes it.
BEGIN;
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (500, 10, 2, '2026-03-02', 300);
UPDATE bank.loan SET outstanding = 600 WHERE id = 10;
UPDATE bank.schedule SET paid = 300, seen_at = now() WHERE loan_id = 10 AND number = 1;
INSERT INTO bank.transaction (loan_id, kind, on_date, amount) VALUES (10, 10, '2026-03-02', 12);
COMMIT;
SELECT * FROM batch();

-- A schedule regenerated: the new rows come before the old ones go, with new ids; an update that says nothing new.
BEGIN;
INSERT INTO bank.schedule (loan_id, number, due_date, amount, paid) SELECT loan_id, number, due_date, amount, paid FROM bank.schedule WHERE loan_id = 10;
DELETE FROM bank.schedule s WHERE loan_id = 10 AND EXISTS (SELECT FROM bank.schedule n WHERE n.loan_id = s.loan_id AND n.number = s.number AND n.id > s.id);
COMMIT;
SELECT * FROM batch();
-- Regenerated with other dates, and one installment fewer.
BEGIN;
INSERT INTO bank.schedule (loan_id, number, due_date, amount, paid) SELECT loan_id, number, due_date + 7, amount, paid FROM bank.schedule WHERE loan_id = 10 AND number < 3;
DELETE FROM bank.schedule s WHERE loan_id = 10 AND (number = 3 OR EXISTS (SELECT FROM bank.schedule n WHERE n.loan_id = s.loan_id AND n.number = s.number AND n.id > s.id));
COMMIT;
SELECT * FROM batch();
SELECT subject_id, on_date, amount, paid FROM mfiauto.subject_state WHERE role = 'installment' ORDER BY 1;

-- A payment reversed; one that is new and reversed at once; an edit; a replay; a deletion; a reversal taken back.
UPDATE bank.transaction SET is_reversed = true WHERE id = 500;
UPDATE bank.schedule SET paid = NULL WHERE loan_id = 10 AND number = 1;
SELECT * FROM batch();
INSERT INTO bank.transaction (loan_id, kind, on_date, amount, is_reversed) VALUES (10, 2, '2026-03-02', 50, true);
SELECT * FROM batch();
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (501, 10, 2, '2026-03-02', 100), (502, 10, 2, '2026-03-03', 110);
SELECT * FROM batch();
BEGIN;
UPDATE bank.transaction SET is_reversed = true WHERE id = 502;
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (503, 10, 2, '2026-03-03', 120);
COMMIT;
SELECT * FROM batch();
BEGIN;
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (504, 10, 2, '2026-03-01', 10);
UPDATE bank.transaction SET is_reversed = true WHERE id IN (501, 503);
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (505, 10, 2, '2026-03-02', 100), (506, 10, 2, '2026-03-03', 120);
COMMIT;
SELECT * FROM batch();
-- Two alike where there was one: the surplus is news.
BEGIN;
UPDATE bank.transaction SET is_reversed = true WHERE id = 505;
INSERT INTO bank.transaction (id, loan_id, kind, on_date, amount) VALUES (507, 10, 2, '2026-03-02', 100), (508, 10, 2, '2026-03-02', 100);
COMMIT;
SELECT * FROM batch();
DELETE FROM bank.transaction WHERE id = 508;
UPDATE bank.transaction SET is_reversed = false WHERE id = 500;
SELECT * FROM batch();
UPDATE bank.transaction SET kind = 10 WHERE id = 507;
SELECT * FROM batch();

-- No news: the nightly close of business, a bulk update, a phone set to what it was.
UPDATE bank.loan SET seen_at = now();
UPDATE bank.schedule SET seen_at = now();
UPDATE bank.client SET phone = phone;
SELECT * FROM batch();
SELECT count(*) AS journaled FROM mfiauto.batch_hint;
-- A phone that did change: no event, but the workflows look again.
UPDATE bank.client SET phone = '779' WHERE id = 1;
SELECT * FROM batch();

-- A loan of a group: every member, former ones when they leave, no guarantor.
INSERT INTO bank.member VALUES (30, 1, 'borrower', '2026-01-01', NULL), (30, 2, 'leader', '2026-01-01', '2026-03-01'), (30, 3, 'guarantor', '2026-01-01', NULL);
INSERT INTO bank.loan VALUES (30, NULL, 'active', 500);
SELECT * FROM batch();
INSERT INTO bank.schedule (loan_id, number, due_date, amount) VALUES (30, 1, '2026-04-01', 500);
SELECT * FROM batch();
INSERT INTO bank.transaction (loan_id, kind, on_date, amount) VALUES (30, 2, '2026-02-15', 500);
SELECT * FROM batch();
DELETE FROM bank.member WHERE client_id = 1;
SELECT * FROM batch();
UPDATE bank.member SET until = NULL WHERE client_id = 2;
SELECT * FROM batch();
-- The loan passes to another client, its installments with it.
UPDATE bank.loan SET client_id = 3 WHERE id = 10;
SELECT * FROM batch();

-- Rows that come before those they belong to: nobody to tell, then somebody.
INSERT INTO bank.schedule (loan_id, number, due_date, amount) VALUES (40, 1, '2026-04-01', 500);
SELECT * FROM batch();
SELECT stage, subject, subject_id, reason, detail FROM mfiauto.parked_fact ORDER BY 2, 3;
INSERT INTO bank.loan VALUES (40, 3, 'active', 500);
SELECT * FROM batch();
INSERT INTO bank.loan VALUES (41, NULL, 'active', 500);
SELECT * FROM batch();
INSERT INTO bank.member VALUES (41, 3, 'borrower');
SELECT * FROM batch();

-- Deleted, moved to another id, twice the same id.
DELETE FROM bank.schedule WHERE loan_id = 40;
UPDATE bank.schedule SET loan_id = 41 WHERE loan_id = 30;
SELECT * FROM batch();
INSERT INTO bank.schedule (loan_id, number, due_date, amount) VALUES (41, 2, '2026-04-01', 5), (41, 2, '2026-05-01', 6);
SELECT what, client, subject FROM batch();
SELECT stage, subject, subject_id, reason, detail FROM mfiauto.parked_fact WHERE reason = 'duplicate_id';
SELECT mfiauto.resync('installment');

-- Holdings, and clients who close.
INSERT INTO bank.savings VALUES (1, 1, 'pending', NULL), (2, 1, 'active', NULL), (3, 1, 'active', '2026-01-01');
UPDATE bank.client SET status = 'closed' WHERE id = 2;
SELECT * FROM batch();
UPDATE bank.savings SET status = 'active' WHERE id = 1;
UPDATE bank.savings SET closed_on = '2026-03-02' WHERE id = 2;
UPDATE bank.client SET status = 'active' WHERE id = 2;
SELECT * FROM batch();

-- Rolled back, savepoints, TRUNCATE.
BEGIN;
INSERT INTO bank.savings VALUES (9, 1, 'active');
ROLLBACK;
BEGIN;
INSERT INTO bank.savings VALUES (10, 1, 'active');
SAVEPOINT a;
INSERT INTO bank.savings VALUES (11, 1, 'active');
ROLLBACK TO a;
INSERT INTO bank.savings VALUES (12, 1, 'active');
RELEASE a;
COMMIT;
SELECT * FROM batch();
BEGIN;
TRUNCATE bank.savings;
ROLLBACK;
SELECT * FROM batch();
TRUNCATE bank.savings, bank.transaction;
INSERT INTO bank.savings VALUES (13, 1, 'active');
SELECT * FROM batch();
SELECT role, count(*) FROM mfiauto.subject_state WHERE role IN ('holding', 'payment') GROUP BY 1;

-- Consumed inside the writer's own transaction: what it wrote waits until it has committed, what it writes afterwards is not lost.
BEGIN;
INSERT INTO bank.savings VALUES (14, 1, 'active');
SELECT * FROM batch();
INSERT INTO bank.savings VALUES (15, 1, 'active');
SELECT * FROM batch();
COMMIT;
SELECT * FROM batch();
SELECT * FROM batch();

-- A load that skipped the triggers, and resync: the state is right, nothing is told, the workflows look again. What is still in the journal is told.
SET session_replication_role = replica;
INSERT INTO bank.savings VALUES (16, 1, 'active');
DELETE FROM bank.savings WHERE id = 13;
UPDATE bank.savings SET status = 'matured' WHERE id = 14;
RESET session_replication_role;
INSERT INTO bank.savings VALUES (17, 1, 'active');
SELECT mfiauto.resync('holding');
SELECT * FROM batch();
SELECT job, target, phase, done_count, total_count FROM mfiauto.job_progress WHERE target = 'holding';
SELECT mfiauto.resync('holding');

-- An id that cannot be computed is parked; its neighbors are not.
SELECT mfiauto.unbind('application');
CREATE TABLE bank.form (code text, client_id bigint);
SELECT mfiauto.bind('application', 'bank.form', '{"application_id":"CASE WHEN code ~ ''^[0-9]+$'' THEN code::bigint ELSE 1 / (length(code) - 3) END","client_id":"client_id"}');
INSERT INTO bank.form VALUES ('71', 3), ('abc', 3), ('72', 3);
SELECT * FROM batch();
SELECT count(*) AS waiting FROM mfiauto.binding WHERE problem IS NOT NULL;
DELETE FROM bank.form WHERE code = 'abc';
SELECT mfiauto._set_clock('2026-03-02 10:05+00');
SELECT * FROM batch();
SELECT subject, reason, sqlstate FROM mfiauto.parked_fact WHERE sqlstate IS NOT NULL;
SELECT role, problem FROM mfiauto.binding WHERE role = 'application';

-- Sources for a view: a base table's id, or the client whose rows are to be looked at; a view without sources is polled.
CREATE VIEW bank.account AS SELECT s.id, s.client_id, s.status, c.phone AS product FROM bank.savings s JOIN bank.client c ON c.id = s.client_id;
SELECT mfiauto.unbind('holding');
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id":"id","client_id":"client_id","status":"status","product":"product"}',
  sources => '{"bank.savings": "id", "bank.client": {"client_id": "id", "watch": ["phone"]}}');
SELECT captured, captured_from, problem FROM mfiauto.binding WHERE role = 'holding';
INSERT INTO bank.savings VALUES (20, 2, 'active');
UPDATE bank.client SET phone = '770' WHERE id = 1;
UPDATE bank.client SET name = 'Binta Ba' WHERE id = 2;
SELECT * FROM batch();
SELECT mfiauto.unbind('holding');
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id":"id","client_id":"client_id","status":"status","product":"product"}');
INSERT INTO bank.savings VALUES (21, 2, 'active');
SELECT count(*) FROM batch();
SELECT mfiauto._set_clock('2026-03-02 10:07+00');
SELECT * FROM batch();

-- Fifty thousand loans updated: quickly nothing.
SET session_replication_role = replica;
INSERT INTO bank.loan SELECT g, 3, 'active', 100 FROM generate_series(100001, 150000) g;
RESET session_replication_role;
SELECT mfiauto.resync('loan');
SELECT mfiauto._consume_journal() AS events;
SELECT count(*) AS touched FROM mfiauto.batch_touched;
UPDATE bank.loan SET seen_at = clock_timestamp();
SELECT mfiauto._consume_journal() AS events;
UPDATE bank.loan SET outstanding = outstanding;
SELECT mfiauto._consume_journal() AS events;
SELECT count(*) AS hints FROM mfiauto.batch_hint;
DELETE FROM bank.loan WHERE id > 100000;
INSERT INTO bank.loan SELECT g, 3, 'active', 100 FROM generate_series(100001, 150000) g;
SELECT mfiauto._consume_journal() AS events;
SELECT count(*) AS touched FROM mfiauto.batch_touched;

-- The journal turns: a full segment is left, a consumed one is truncated.
SELECT segment FROM mfiauto.journal_control;
SELECT mfiauto._rotate_journal(8192) AS truncated;
SELECT segment FROM mfiauto.journal_control;
UPDATE bank.loan SET outstanding = 1 WHERE id = 10;
SELECT pg_relation_size('mfiauto.journal_2') > 0 AS is_written;
SELECT mfiauto._rotate_journal(8192) AS truncated;
SELECT pg_relation_size('mfiauto.journal_1') AS first_segment;
SELECT * FROM batch();

-- A dump restored on another server: everything that is in the journal is looked at again, nothing is told twice.
UPDATE mfiauto.journal_cursor SET system_identifier = 1, snapshot = '99999999:99999999:';
UPDATE bank.loan SET outstanding = 2 WHERE id = 10;
SELECT * FROM batch();
SELECT (SELECT count(*) FROM mfiauto.journal_1) + (SELECT count(*) FROM mfiauto.journal_2) AS rows_left;
UPDATE bank.loan SET outstanding = 3 WHERE id = 10;
SELECT * FROM batch();
