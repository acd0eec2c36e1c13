-- The capture trigger: what it writes, what it skips, and that a bank's write never fails for it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
CREATE ROLE regress_capture_teller;
RESET client_min_messages;
SELECT mfiauto._set_clock('2026-03-02 10:00+00');

-- Before install(), and after the tables are gone, it does nothing at all.
CREATE TABLE account (id int, branch smallint, code text, serial uuid, rate float8, opened date, seen timestamptz, big text, owner bigint, note text);
ALTER TABLE account ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TRIGGER c AFTER INSERT OR UPDATE OR DELETE ON account FOR EACH ROW
  EXECUTE FUNCTION mfiauto.capture('7', 'key1:id', 'key2:branch', 'extra:code', 'extra:serial', 'extra:rate', 'extra:opened', 'extra:seen', 'watch:note', 'watch:big');
CREATE TRIGGER t AFTER TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION mfiauto.capture('7');
INSERT INTO account (id) VALUES (1);
SELECT mfiauto._journal_append(0, 'e', 1, 2);
SELECT mfiauto.install();
CREATE VIEW journal AS
  SELECT source_id, operation, key1, key2, extra, written_at = mfiauto.now() AS at_clock FROM (SELECT * FROM mfiauto.journal_1 UNION ALL SELECT * FROM mfiauto.journal_2) j;
SELECT * FROM journal;
GRANT ALL ON account TO regress_capture_teller;

-- A writer with no right on mfiauto, whose settings write dates and numbers another way.
SET ROLE regress_capture_teller;
SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -5;
INSERT INTO account VALUES (2, 3, 'a,"b"', '00000000-0000-0000-0000-000000000001', 0.1 + 0.2, '2026-02-01', '2026-02-01 10:00+00', repeat('x', 5000), 1, 'n');
INSERT INTO account VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
RESET DateStyle; RESET TimeZone; RESET extra_float_digits;
SELECT * FROM mfiauto.journal_1;
RESET ROLE;
SELECT * FROM journal;
DELETE FROM mfiauto.journal_1;

-- An update of no interest leaves nothing; so does one that changes nothing, also in a toasted column.
UPDATE account SET owner = 5;
UPDATE account SET note = note, big = big, owner = 6;
UPDATE account SET big = repeat('x', 5000) WHERE id = 2;
SELECT count(*) FROM journal;
UPDATE account SET big = repeat('x', 4999) || 'y' WHERE id = 2;
UPDATE account SET note = NULL WHERE id = 2;
SELECT operation, key1, key2 FROM journal;
DELETE FROM mfiauto.journal_1;
-- A key that changes: the old one, then the new one. A deletion: what was.
UPDATE account SET branch = 4 WHERE id = 2;
UPDATE account SET code = 'c' WHERE id = 2;
DELETE FROM account WHERE id = 2;
TRUNCATE account;
SELECT operation, key1, key2, extra[1] AS code FROM journal;
DELETE FROM mfiauto.journal_1;

-- Savepoints, rollback, a prepared transaction; the row carries the outermost transaction.
BEGIN;
INSERT INTO account (id) VALUES (10);
SAVEPOINT a;
INSERT INTO account (id) VALUES (11);
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO account (id) VALUES (12);
SELECT count(*) AS of_this_transaction FROM mfiauto.journal_1 WHERE xid = pg_current_xact_id();
PREPARE TRANSACTION 'regress_capture';
SELECT count(*) FROM journal;
COMMIT PREPARED 'regress_capture';
SELECT operation, key1 FROM journal;
BEGIN;
INSERT INTO account (id) VALUES (13);
ROLLBACK;
SELECT count(*) FROM journal;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO account (id) VALUES (14);
UPDATE mfiauto.journal_control SET segment = 2;
INSERT INTO account (id) VALUES (15);
COMMIT;
INSERT INTO account (id) VALUES (16);
SELECT (SELECT array_agg(key1) FROM mfiauto.journal_1) AS first, (SELECT array_agg(key1) FROM mfiauto.journal_2) AS second;
TRUNCATE mfiauto.journal_1, mfiauto.journal_2;

-- The bank changes the table under our feet: skipped, never an error.
ALTER TABLE account DROP COLUMN code, DROP COLUMN note;
ALTER TABLE account ALTER COLUMN branch TYPE text;
ALTER TABLE account RENAME COLUMN serial TO serial_number;
ALTER TABLE account ALTER COLUMN id TYPE bigint;
INSERT INTO account (id, branch, opened) VALUES (20000000000, 'x', 'infinity');
UPDATE account SET big = 'z' WHERE id = 20000000000;
SELECT operation, key1, key2, extra FROM journal;
DELETE FROM mfiauto.journal_2;

-- Arguments nobody should have written.
CREATE TABLE odd (id bigint, v text);
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON odd FOR EACH ROW EXECUTE FUNCTION mfiauto.capture();
CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON odd FOR EACH ROW EXECUTE FUNCTION mfiauto.capture('x', 'key1:id');
CREATE TRIGGER c AFTER INSERT OR UPDATE OR DELETE ON odd FOR EACH ROW EXECUTE FUNCTION mfiauto.capture('8', 'what', 'key9:id', 'key1:', 'key2:v', 'any');
INSERT INTO odd VALUES (1, 'a');
UPDATE odd SET v = 'a';
UPDATE odd SET v = 'b';
DELETE FROM odd;
SELECT * FROM journal;
CREATE TRIGGER d BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION mfiauto.capture('9', 'key1:id');
INSERT INTO odd VALUES (2, 'secret');
DROP TRIGGER d ON odd;
CREATE TRIGGER d AFTER INSERT ON odd FOR EACH STATEMENT EXECUTE FUNCTION mfiauto.capture('9', 'key1:id');
INSERT INTO odd VALUES (2, 'secret');
DROP TRIGGER d ON odd;
SELECT mfiauto.capture();
SELECT mfiauto._journal_append(NULL, 'e', 1, 2);
SELECT mfiauto._drop_capture('odd'::regclass, 'nothing');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER mine AFTER INSERT ON odd FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT mfiauto._drop_capture('odd'::regclass, 'mine'), mfiauto._drop_capture('odd'::regclass, 'a');
SELECT mfiauto._enable_capture('odd'::regclass, 'mine');
TRUNCATE mfiauto.journal_1, mfiauto.journal_2;

-- As logical replication applies them.
SELECT mfiauto._enable_capture('odd'::regclass, 'c');
SET session_replication_role = replica;
INSERT INTO odd VALUES (3, 'c');
INSERT INTO account (id) VALUES (30);
RESET session_replication_role;
SELECT source_id, operation FROM journal;

-- Journal tables that are gone or are something else: the bank goes on.
DROP VIEW journal;
BEGIN;
INSERT INTO odd VALUES (4, 'd');
DROP TABLE mfiauto.journal_2;
INSERT INTO odd VALUES (5, 'e');
COMMIT;
CREATE TABLE mfiauto.journal_2 (wrong int);
INSERT INTO odd VALUES (6, 'f');
DROP TABLE mfiauto.journal_control;
INSERT INTO odd VALUES (7, 'g');
SELECT operation FROM mfiauto.journal_1 ORDER BY ctid;
DROP TABLE mfiauto.journal_1;
INSERT INTO odd VALUES (8, 'h');
SELECT count(*) FROM odd;
