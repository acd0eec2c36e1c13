-- watch(): other tables of the bank as sources of events.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
CREATE ROLE regress_watch_owner;
SELECT mfiauto.install('regress_watch_owner');
SELECT mfiauto._set_clock('2026-03-02 10:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text);
CREATE TABLE bank.savings_goal (id int PRIMARY KEY, client_id int, target_amount numeric(12,2), due date, label text, done boolean);
CREATE TABLE bank.card (id bigint PRIMARY KEY, client_id bigint, blocked boolean NOT NULL DEFAULT false, code text, kind money);
GRANT USAGE ON SCHEMA bank TO regress_watch_owner;
GRANT SELECT, TRIGGER ON bank.loan, bank.savings_goal, bank.card TO regress_watch_owner;
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id":"id","client_id":"client_id","status":"status"}');
INSERT INTO bank.loan VALUES (7, 42, 'active');
SELECT mfiauto._consume_journal();
RESET client_min_messages;

SELECT mfiauto.watch('Savings Goal Created', 'bank.savings_goal', 'INSERT',
         client => 'client_id', subject => 'id', properties => '{"target":"target_amount", "weeks":"(due - DATE ''2026-03-02'') / 7", "label":"upper(label)", "done":"done", "fixed":"1"}');
SELECT mfiauto.watch('Card Blocked', 'bank.card', 'update',
         condition => 'NEW.blocked AND NOT OLD.blocked -- only then', client => 'client_id', subject => 'id');
SELECT mfiauto.watch('Card Blocked', 'bank.loan', 'DELETE', client => 'client_id', subject => 'id');
SELECT mfiauto.watch('Loan Touched', 'bank.loan', 'UPDATE', client => 'client_id', subject => 'id', properties => '{"status":"status"}');
SELECT kind, name, relation, operation, condition, id_expression, client_expression, subject, properties FROM mfiauto.source ORDER BY source_id;
SELECT tgrelid::regclass, regexp_replace(pg_get_triggerdef(oid), 'mfiauto_watch_\d+|capture\(''\d+''', '…', 'g') FROM pg_trigger WHERE tgname LIKE 'mfiauto_watch%' ORDER BY oid;

INSERT INTO bank.savings_goal VALUES (1, 42, 1000, '2026-03-30', 'goat', false), (2, 43, NULL, NULL, NULL, NULL), (3, NULL, 5, NULL, 'nobody''s', true);
INSERT INTO bank.card VALUES (1, 42), (2, 42);
UPDATE bank.card SET blocked = true WHERE id = 1;
UPDATE bank.card SET blocked = true WHERE id = 1;
UPDATE bank.card SET code = 'x';
UPDATE bank.loan SET status = 'active';
UPDATE bank.loan SET status = 'closed';
SELECT mfiauto._consume_journal() AS events;
SELECT name, client_id, subject, subject_id, loan_id, properties, occurred_at FROM mfiauto.event WHERE name NOT IN ('Loan Applied', 'Loan Approved', 'Loan Disbursed') ORDER BY name, client_id, subject_id, properties;
SELECT count(*) AS in_batch FROM mfiauto.batch_event;
SELECT stage, source, subject, subject_id, reason FROM mfiauto.parked_fact;
DELETE FROM bank.loan;
SELECT mfiauto._consume_journal() AS events;
SELECT name, client_id, subject, subject_id, loan_id FROM mfiauto.batch_event;

-- The same event of the same row twice is two events; rolled back, none.
INSERT INTO bank.loan VALUES (8, 42, 'active');
SELECT mfiauto._consume_journal() AS events;
UPDATE bank.loan SET client_id = 42;
UPDATE bank.loan SET client_id = 42;
BEGIN; UPDATE bank.loan SET client_id = 42; ROLLBACK;
SELECT mfiauto._consume_journal() AS events;

-- An expression that fails for one row: that one is parked, the others are told.
SELECT mfiauto.watch('Goal Share', 'bank.savings_goal', 'INSERT', client => 'client_id', subject => 'id', properties => '{"share":"100 / target_amount"}');
INSERT INTO bank.savings_goal VALUES (11, 42, 50), (12, 42, 0), (13, 42, 25);
SELECT mfiauto._consume_journal() AS events;
SELECT name, subject_id, properties FROM mfiauto.batch_event JOIN mfiauto.event_log USING (client_id, event_id, name, subject_id) WHERE name = 'Goal Share' ORDER BY 2;
SELECT source, sqlstate, reason, detail FROM mfiauto.parked_fact WHERE source = 'Goal Share';

-- The bank drops a column that an event tells of: its writes go on, the event has no value for it. A condition pins its columns, as it said.
ALTER TABLE bank.savings_goal DROP COLUMN label;
INSERT INTO bank.savings_goal VALUES (14, 42, 10);
SELECT mfiauto._consume_journal() AS events;
SELECT properties FROM mfiauto.batch_event JOIN mfiauto.event_log USING (client_id, event_id, name) WHERE name = 'Savings Goal Created';
ALTER TABLE bank.card DROP COLUMN blocked;
SELECT mfiauto.unwatch('Card Blocked', 'bank.card');
ALTER TABLE bank.card DROP COLUMN blocked;

-- Refusals.
SELECT mfiauto.watch(NULL, 'bank.card', 'INSERT', client => 'client_id');
SELECT mfiauto.watch('', 'bank.card', 'INSERT', client => 'client_id');
SELECT mfiauto.watch('Card Made', 'bank.card', 'MERGE', client => 'client_id');
SELECT mfiauto.watch('Card Made', 'bank.nothing', 'INSERT', client => 'client_id');
SELECT mfiauto.watch('Card Made', 'mfiauto.loan', 'INSERT', client => 'client_id');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'code');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', subject => '(SELECT 1)');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', properties => '["a"]');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', properties => '{"a":1}');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', properties => '{"a":"random()"}');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', properties => '{"a":"kind"}');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', condition => 'NEW.cod = ''x''');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', condition => 'NEW.code');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', condition => 'OLD.code = ''x''');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', condition => 'true) EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger() --');
SELECT mfiauto.watch('Card Made', 'bank.card', 'INSERT', client => 'client_id', condition => 'EXISTS (SELECT 1)');
SELECT mfiauto.watch('Goal Share', 'bank.savings_goal', 'INSERT', client => 'client_id');
SELECT mfiauto.unwatch('Goal Share', 'bank.card');
SELECT mfiauto.unwatch('Goal Share', NULL);
SELECT mfiauto.unwatch('Goal Share', 'bank.savings_goal');
SELECT mfiauto.unwatch('Card Blocked', 'bank.loan');
SELECT mfiauto.unwatch('Loan Touched', 'bank.loan');
DROP TABLE bank.savings_goal;
SELECT mfiauto.unwatch('Savings Goal Created', 'bank.savings_goal');
SELECT count(*) AS left_over FROM pg_trigger WHERE tgname LIKE 'mfiauto_watch%';
SELECT mfiauto.unwatch('Card Made', 'bank.card');
SELECT mfiauto.unbind('loan');
SELECT mfiauto.unwatch('Card Made', 'bank.card');
