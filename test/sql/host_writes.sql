-- The bank's own role goes on with its own tables, whatever it does to them; it has no right on mfiauto and needs none.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
CREATE ROLE regress_writes_owner;
CREATE ROLE regress_writes_bank;
SELECT mfiauto.install('regress_writes_owner');
CREATE SCHEMA bank AUTHORIZATION regress_writes_bank;
GRANT USAGE ON SCHEMA bank TO regress_writes_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_writes_bank IN SCHEMA bank GRANT SELECT, TRIGGER ON TABLES TO regress_writes_owner;
SET ROLE regress_writes_bank;
CREATE DOMAIN bank.number AS bigint CHECK (value > 0);
CREATE DOMAIN bank.loan_number AS bank.number;
CREATE TYPE bank.mood AS ENUM ('a', 'b');
CREATE TABLE bank.client (id text PRIMARY KEY, name text, papers text, mood bank.mood, shown text GENERATED ALWAYS AS (name || '!') STORED);
CREATE TABLE bank.loan (id bank.loan_number PRIMARY KEY, client_id text, status text, papers text);
CREATE TABLE bank.payment (id bigint, client_id text, at timestamptz, amount float8) PARTITION BY RANGE (id);
CREATE TABLE bank.payment_1 PARTITION OF bank.payment FOR VALUES FROM (0) TO (100);
CREATE TABLE bank.payment_2 (LIKE bank.payment);
CREATE TABLE bank.installment (id numeric, loan_id bigint, due date, amount numeric);
CREATE TABLE bank.account (id bigint, client text, status text);
CREATE TABLE bank.savings_account () INHERITS (bank.account);
RESET ROLE;
SELECT mfiauto.bind('client', 'bank.client', '{"client_key": "id", "name": "shown", "status": "mood::text", "region": "papers"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_key": "client_id", "status": "status"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "client_key": "client_id", "paid_at": "at", "amount": "amount"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due", "amount_due": "amount"}');
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id": "id", "client_key": "client", "status": "status"}');
SELECT mfiauto.unbind('holding');
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id": "id", "client_key": "client", "status": "status"}',
  sources => '{"bank.account": "id", "bank.savings_account": "id"}');

SET ROLE regress_writes_bank;
-- Keys that are toasted or compressed, rows that are wide, numbers that are none, dates that never come.
INSERT INTO bank.client (id, name, papers, mood) VALUES (repeat('k', 2000), 'n', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 20000) i), 'a'), ('u1', 'b', NULL, NULL);
INSERT INTO bank.loan VALUES (1, 'u1', 'active', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 10000) i)), (9223372036854775807, repeat('k', 2000), 'active', NULL);
INSERT INTO bank.installment VALUES (99999999999999999999999, 1, '2026-01-01', 5), (NULL, 1, '2026-01-01', 5), (1.5, 1, NULL, 'NaN'), ('NaN', 1, 'infinity', 5), (7, NULL, '-infinity', 1e100);
INSERT INTO bank.payment VALUES (1, 'u1', 'infinity', 'NaN'), (2, NULL, NULL, NULL), (3, 'u1', '-infinity', '-Infinity');
INSERT INTO bank.savings_account VALUES (2, 'u1', 'open');
UPDATE bank.client SET papers = papers || 'x', name = NULL;
UPDATE bank.loan SET id = 5 WHERE id = 1;
-- Partitions are made, attached, written directly, emptied and detached by the bank's role.
CREATE TABLE bank.payment_3 PARTITION OF bank.payment FOR VALUES FROM (200) TO (300);
ALTER TABLE bank.payment ATTACH PARTITION bank.payment_2 FOR VALUES FROM (100) TO (200);
INSERT INTO bank.payment VALUES (101, 'u1', '2026-03-01', 5);
INSERT INTO bank.payment_3 VALUES (201, 'u1', '2026-03-01', 5);
UPDATE bank.payment SET id = 202 WHERE id = 101;
TRUNCATE bank.payment_1;
ALTER TABLE bank.payment DETACH PARTITION bank.payment_2;
INSERT INTO bank.payment_2 VALUES (102, 'u1', '2026-03-01', 5);
-- Columns come, go, and become something else.
ALTER TABLE bank.installment ADD COLUMN note text DEFAULT 'x';
ALTER TABLE bank.loan ALTER papers TYPE jsonb USING to_jsonb(papers);
ALTER TABLE bank.loan RENAME status TO state;
UPDATE bank.loan SET state = 'closed', papers = '{}';
ALTER TABLE bank.loan RENAME state TO status;
ALTER TABLE bank.client ALTER mood TYPE text;
ALTER TABLE bank.client DROP COLUMN shown;
UPDATE bank.client SET mood = 'z';
ALTER TABLE bank.installment ALTER id TYPE text;
INSERT INTO bank.installment VALUES ('no number', 1, '2026-01-01', 5);
ALTER TABLE bank.installment RENAME TO due;
UPDATE bank.due SET amount = 1;
ALTER TABLE bank.due RENAME TO installment;
-- Every way to write.
COPY bank.loan (id, client_id, status) FROM stdin;
50	u1	active
51	nobody	active
\.
INSERT INTO bank.loan VALUES (50, 'u1', 'x') ON CONFLICT (id) DO UPDATE SET status = 'again';
MERGE INTO bank.loan l USING (VALUES (51::bigint), (52)) v(id) ON v.id = l.id WHEN MATCHED THEN UPDATE SET status = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'u1', 'new');
WITH gone AS (DELETE FROM bank.loan WHERE id = 52 RETURNING *) INSERT INTO bank.loan SELECT id + 1, client_id, status, papers FROM gone;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO bank.loan VALUES (60, 'u1', 'active');
COMMIT;
RESET ROLE;
SELECT coalesce(role, 'none') AS role, problem IS NOT NULL AS has_problem FROM mfiauto.binding ORDER BY 1;
-- One run of the engine: what is broken is named, the rest is told.
SELECT r.parked >= 0 AS ran FROM mfiauto.run_engine() r;
SELECT role, problem FROM mfiauto.binding WHERE problem IS NOT NULL ORDER BY 1;
SELECT role, subject_id, status FROM mfiauto.subject_state WHERE role IN ('loan', 'payment', 'holding') ORDER BY 1, 2;

-- What is mfiauto's goes, and the bank's write does not notice.
CREATE FUNCTION written_while(change text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE change;
  SET LOCAL ROLE regress_writes_bank;
  INSERT INTO bank.loan VALUES (70, 'u1', 'active');
  RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
  RETURN 'written';
END $$;
SELECT c AS change, written_while(c) FROM unnest(ARRAY[
  'DROP TABLE mfiauto.journal_control', 'TRUNCATE mfiauto.journal_control', 'ALTER TABLE mfiauto.journal_control RENAME TO other', 'DROP TABLE mfiauto.journal_1',
  'ALTER TABLE mfiauto.journal_1 ADD COLUMN x int', 'ALTER TABLE mfiauto.journal_1 ALTER key1 TYPE numeric', 'DELETE FROM mfiauto.source', 'REVOKE ALL ON ALL TABLES IN SCHEMA mfiauto FROM regress_writes_owner',
  'ALTER SCHEMA mfiauto RENAME TO other', 'DROP EXTENSION mfiauto CASCADE', 'DROP SCHEMA mfiauto CASCADE']) c;
SELECT mfiauto.uninstall('yes, delete everything');
SET ROLE regress_writes_bank;
INSERT INTO bank.loan VALUES (71, 'u1', 'active');
SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'capture';
RESET ROLE;
