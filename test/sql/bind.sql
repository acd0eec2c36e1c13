-- bind(): what it makes of a bank's tables, what it refuses and how it says so, and that it never stands in the bank's way.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
CREATE ROLE regress_bind_owner;
CREATE ROLE regress_bind_teller;
SELECT mfiauto.install('regress_bind_owner');
RESET client_min_messages;
SELECT mfiauto._set_clock('2026-03-02 10:00+00');

CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, display_name text, mobile_no text, status int, note bytea, span interval);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status int, principal numeric(14,2), outstanding numeric(14,2), product varchar(20));
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, number int, due_date date, amount numeric(14,2), paid numeric(14,2), remark text, touched_at timestamptz);
CREATE VIEW bank.due AS SELECT loan_id, number, due_date, amount, paid FROM bank.installment;
CREATE SEQUENCE bank.s;
CREATE FUNCTION bank.shuffle(bigint) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT $1 + (random() * 0)::bigint';
INSERT INTO bank.client VALUES (1, 'Awa', '77', 300), (2, 'Binta', '78', 300);
INSERT INTO bank.loan VALUES (10, 1, 300, 1000, 900, 'crop');
INSERT INTO bank.installment VALUES (100, 10, 1, '2026-03-10', 500, NULL), (101, 10, 2, '2026-04-10', 500, NULL);

-- The installation's owner needs the bank's leave.
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}');
GRANT USAGE ON SCHEMA bank TO regress_bind_owner;
GRANT SELECT ON bank.client TO regress_bind_owner;
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}');
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA bank TO regress_bind_owner;

-- Refusals, each named.
SELECT mfiauto.bind('borrower', 'bank.client', '{"client_id":"id"}');
SELECT mfiauto.bind(NULL, 'bank.client', '{"client_id":"id"}');
SELECT mfiauto.bind('client', 'bank.nobody', '{"client_id":"id"}');
SELECT mfiauto.bind('client', 'bank.s', '{"client_id":"id"}');
SELECT mfiauto.bind('client', 'bank.client', '["id"]');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":');
SELECT mfiauto.bind('client', 'bank.client', NULL);
SELECT mfiauto.bind('client', 'bank.client', '{"name":"display_name"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","shoe_size":"status"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":1}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","client_key":"mobile_no"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"display_nam"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"display_name ||"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":""}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"display_name FROM bank.client; DROP TABLE bank.loan"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"display_name WHERE true"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","birth_date":"status"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"bank.shuffle(id)"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"(SELECT 1)"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"max(id)"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"row_number() OVER ()"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"generate_series(1, id)"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"client::text"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"b::text"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"ctid::text"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"$1"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"extract(epoch FROM span)::bigint"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}', row_filter => 'status');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}', row_filter => 'staus = 300');
SELECT mfiauto.bind('payment', 'bank.loan', '{"payment_id":"id","paid_at":"now()","amount":"1"}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.due": "loan_id"}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.gone": "loan_id"}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.installment": {"ident": "loan_id"}}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.installment": {"id": "loan_id", "watch": ["paiid"]}}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '[]');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.installment": 5}');
SELECT mfiauto.bind('installment', 'bank.due', '{"installment_id":"loan_id*1000+number","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}', sources => '{"bank.installment": "loan_id", "\"bank\".installment": "loan_id"}');
SELECT mfiauto.unbind('client');
SELECT mfiauto.unbind('shoe');
SELECT mfiauto.resync('client');
SELECT mfiauto.resync('shoe');
SELECT count(*) AS bindings FROM mfiauto.binding;
SELECT count(*) AS triggers FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal AND relnamespace <> 'mfiauto'::regnamespace;

-- A bank in order: roles come in any order, and what already was is no event.
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id":"id","loan_id":"loan_id","number":"number","due_date":"due_date","amount_due":"amount","amount_paid":"coalesce(paid, 0)"}');
SELECT installment_id, loan_id, client_id, amount_due, amount_paid, balance FROM mfiauto.installment ORDER BY 1;
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id":"id","client_id":"client_id","product":"product","principal":"principal","outstanding":"outstanding","status":"CASE status WHEN 100 THEN ''applied'' WHEN 300 THEN ''active'' END"}', row_filter => 'status <> 900');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"upper(display_name)","phone":"mobile_no","status":"CASE status WHEN 300 THEN ''active'' ELSE ''pending'' END"}');
SELECT installment_id, loan_id, client_id FROM mfiauto.installment ORDER BY 1;
SELECT role, subject_id, client_id, loan_id, status, amount, paid, on_date FROM mfiauto.subject_state ORDER BY 1, 2;
SELECT count(*) AS events FROM mfiauto.event;
SELECT role, relation, columns ->> 'status' AS status, row_filter, captured, captured_from, problem, bound_by FROM mfiauto.binding ORDER BY 1;
SELECT tgrelid::regclass AS on_table, pg_get_triggerdef(pg_trigger.oid) AS definition FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal AND relnamespace <> 'mfiauto'::regnamespace ORDER BY 1, 2;

-- The same again is fine; anything else wants an unbind first.
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id","name":"upper(display_name)","phone":"mobile_no","status":"CASE status WHEN 300 THEN ''active'' ELSE ''pending'' END"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}');

-- The views read with the reader's rights, and are planned as views are.
GRANT USAGE ON SCHEMA mfiauto, bank TO regress_bind_teller;
GRANT SELECT ON mfiauto.loan, mfiauto.installment TO regress_bind_teller;
SET ROLE regress_bind_teller;
SELECT count(*) FROM mfiauto.loan;
-- The teller, with no right on anything of mfiauto's, goes on writing.
RESET ROLE;
REVOKE ALL ON SCHEMA mfiauto FROM regress_bind_teller;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bank TO regress_bind_teller;
SET ROLE regress_bind_teller;
INSERT INTO bank.installment VALUES (102, 10, 3, '2026-05-10', 500);
RESET ROLE;
SELECT mfiauto._consume_journal() AS events;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT amount_due FROM mfiauto.installment WHERE installment_id = 100;
RESET enable_seqscan;

-- The bank changes its tables: its DDL and its writes succeed, the binding says what is wrong, nothing is lost.
DROP VIEW bank.due;
ALTER TABLE bank.installment ALTER COLUMN due_date TYPE timestamp;
ALTER TABLE bank.installment ALTER COLUMN amount TYPE bigint;
UPDATE bank.installment SET paid = 100 WHERE id = 100;
SELECT mfiauto._consume_journal() AS events;
SELECT installment_id, due_date, amount_due, amount_paid FROM mfiauto.installment ORDER BY 1;
ALTER TABLE bank.installment RENAME COLUMN paid TO settled;
UPDATE bank.installment SET settled = 200 WHERE id = 100;
INSERT INTO bank.installment VALUES (103, 10, 4, '2026-06-10', 500);
UPDATE bank.loan SET status = 100 WHERE id = 10;
SELECT mfiauto._consume_journal() AS events;
SELECT role, problem FROM mfiauto.binding ORDER BY 1;
SELECT role, subject_id FROM mfiauto.batch_touched ORDER BY 1, 2;
-- Repaired by the bank itself: what was missed is told.
ALTER TABLE bank.installment RENAME COLUMN settled TO paid;
SELECT mfiauto._set_clock('2026-03-02 10:02+00');
SELECT mfiauto._consume_journal() AS events;
SELECT name, subject_id FROM mfiauto.event WHERE received_at = mfiauto.now() ORDER BY 1, 2;
SELECT role, problem FROM mfiauto.binding ORDER BY 1;
-- The very key is renamed: the trigger knows no key any more, so the table is read as a whole once it is back.
ALTER TABLE bank.installment RENAME COLUMN id TO number_of_row;
INSERT INTO bank.installment (number_of_row, loan_id, due_date, amount) VALUES (104, 10, '2026-07-10', 500);
SELECT mfiauto._consume_journal() AS events;
SELECT role, problem FROM mfiauto.binding WHERE problem IS NOT NULL;
ALTER TABLE bank.installment RENAME COLUMN number_of_row TO id;
SELECT mfiauto._set_clock('2026-03-02 10:04+00');
SELECT mfiauto._consume_journal() AS events;
SELECT name, subject_id FROM mfiauto.event WHERE received_at = mfiauto.now() ORDER BY 1, 2;
-- Or by binding again.
ALTER TABLE bank.installment DROP COLUMN paid;
SELECT mfiauto.unbind('installment');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id":"id","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}');
DROP TRIGGER mfiauto_capture_loan ON bank.loan;
SELECT role, problem FROM mfiauto.binding ORDER BY 1;

-- Names as odd as a bank's can be; a partitioned table; a bigint of a whole number of any kind.
CREATE SCHEMA "Core Bank";
CREATE TABLE "Core Bank"."Épargne ""or""" ("Id" smallint, "of:client" int, "key1:x" text, "Ouvert le" date) PARTITION BY LIST ("Id");
CREATE TABLE "Core Bank".p1 ("Ouvert le" date, "key1:x" text, "Id" smallint, "of:client" int);
ALTER TABLE "Core Bank"."Épargne ""or""" ATTACH PARTITION "Core Bank".p1 FOR VALUES IN (1, 2);
GRANT USAGE ON SCHEMA "Core Bank" TO regress_bind_owner;
GRANT SELECT, TRIGGER ON "Core Bank"."Épargne ""or""" TO regress_bind_owner;
SELECT mfiauto.bind('holding', '"Core Bank"."Épargne ""or"""', '{"holding_id":"\"Id\"","client_id":"\"of:client\""}');
GRANT TRIGGER ON "Core Bank".p1 TO regress_bind_owner;
SELECT mfiauto.bind('holding', '"Core Bank"."Épargne ""or"""', '{"holding_id":"\"Id\"","client_id":"\"of:client\"","opened_on":"\"Ouvert le\"","product":"\"key1:x\""}');
INSERT INTO "Core Bank"."Épargne ""or""" VALUES (1, 2, 'or', '2026-03-01');
SELECT mfiauto._consume_journal() AS events;
SELECT name, client_id, subject, subject_id, properties FROM mfiauto.event WHERE subject = 'holding';
UPDATE "Core Bank".p1 SET "Id" = 2;
SELECT mfiauto._consume_journal() AS events;
SELECT role, subject_id, client_id FROM mfiauto.subject_state WHERE role = 'holding';
SELECT relation FROM mfiauto.binding WHERE role = 'holding';
SELECT mfiauto.unbind('holding');

-- A table whose meaning also depends on another one: both are captured.
CREATE TABLE bank.office (id bigint PRIMARY KEY, zone text);
CREATE TABLE bank.seat (id bigint PRIMARY KEY, client_id bigint, kind text);
GRANT SELECT, TRIGGER ON bank.office, bank.seat TO regress_bind_owner;
SELECT mfiauto.bind('holding', 'bank.seat', '{"holding_id":"id","client_id":"client_id","product":"kind"}', sources => '{"bank.office": {"client_id": "id", "watch": ["zone"]}}');
SELECT name, relation, is_direct, id_target, watched_columns FROM mfiauto.source WHERE name = 'holding' ORDER BY relation;
INSERT INTO bank.seat VALUES (1, 5, 'a');
INSERT INTO bank.office VALUES (5, 'b');
SELECT mfiauto._consume_journal() AS events;
SELECT mfiauto.unbind('holding');

-- Clients keyed by text.
SELECT mfiauto.unbind('client');
SELECT mfiauto.unbind('loan');
CREATE TABLE bank.person (key text PRIMARY KEY, name text);
CREATE TABLE bank.credit (id bigint PRIMARY KEY, person text, status text);
GRANT SELECT, TRIGGER ON bank.person, bank.credit TO regress_bind_owner;
INSERT INTO bank.person VALUES ('A-1', 'Awa');
INSERT INTO bank.credit VALUES (1, 'A-1', 'active'), (2, 'B-2', 'active');
SELECT mfiauto.bind('loan', 'bank.credit', '{"loan_id":"id","client_key":"person","status":"status"}');
SELECT mfiauto.bind('client', 'bank.person', '{"client_key":"key","name":"name"}');
SELECT l.loan_id, i.client_key FROM mfiauto.loan l LEFT JOIN mfiauto.identity i USING (client_id) ORDER BY 1;
INSERT INTO bank.person VALUES ('B-2', 'Binta');
SELECT mfiauto._consume_journal() AS events;
SELECT e.name, i.client_key, e.subject, CASE e.subject WHEN 'loan' THEN e.subject_id END AS loan FROM mfiauto.event e JOIN mfiauto.identity i USING (client_id) WHERE i.client_key = 'B-2' AND e.subject <> 'holding' ORDER BY e.event_id;

-- Unbinding takes everything away, also when the table is gone; a view that others use stays, empty.
CREATE VIEW public.report AS SELECT loan_id FROM mfiauto.loan;
DROP TABLE bank.credit;
SELECT role, problem FROM mfiauto.binding ORDER BY 1;
SELECT mfiauto.unbind('loan');
SELECT * FROM public.report;
SELECT mfiauto.unbind('client');
SELECT mfiauto.unbind('installment');
SELECT count(*) AS triggers FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal AND relnamespace <> 'mfiauto'::regnamespace;
SELECT count(*) AS bindings FROM mfiauto.binding;
SELECT count(*) AS state FROM mfiauto.subject_state;
DROP VIEW public.report;

-- Only for those whom the door is open to.
SET ROLE regress_bind_teller;
SELECT mfiauto.bind('client', 'bank.client', '{"client_id":"id"}');
RESET ROLE;
