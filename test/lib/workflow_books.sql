-- Books as small as can be, for tests of the compiler: three clients, their loans and installments, bound.
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, literacy text, phone text);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text, maturity_on date);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric, paid numeric DEFAULT 0);
INSERT INTO bank.client VALUES (1, 'Awa', 'low', '+221770000001'), (2, 'Binta', 'high', '+221770000002'), (3, 'Cheikh', 'high', NULL);
INSERT INTO bank.loan VALUES (11, 1, 'active', '2026-06-30'), (12, 2, 'active', '2026-06-30'), (13, 3, 'closed', '2026-06-30');
INSERT INTO bank.installment VALUES (101, 11, '2026-01-10', 5000), (102, 11, '2026-02-10', 5000), (103, 12, '2026-01-12', 7000), (104, 13, '2026-01-10', 9000);
CREATE FUNCTION public.plain_status(status text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT status';
CREATE FUNCTION public.shaky_status(status text) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT true';
CREATE VIEW mfiauto.client AS SELECT id AS client_id, name, phone, NULL::text AS email, NULL::text AS push_token, NULL::text AS locale, NULL::text AS time_zone, NULL::date AS birth_date, literacy, '{}'::jsonb AS traits FROM bank.client;
CREATE VIEW mfiauto.loan AS SELECT id AS loan_id, client_id, NULL::text AS product, status, maturity_on FROM bank.loan;
CREATE VIEW mfiauto.installment AS SELECT i.id AS installment_id, i.loan_id, l.client_id, i.due_date, i.due AS amount_due, i.paid AS amount_paid, i.due - i.paid AS balance, NULL::date AS paid_on FROM bank.installment i JOIN bank.loan l ON l.id = i.loan_id;
insert into mfiauto.binding_config(role,relation,columns,bound_at,bound_by) values
('client','c','{"client_id":"id","literacy":"l","name":"n","phone":"p"}',now(),'x'),('loan','c','{"loan_id":"id","status":"l","client_id":"c","maturity_on":"m"}',now(),'x'),('installment','c','{"installment_id":"id","loan_id":"l","due_date":"d","amount_due":"a","amount_paid":"p"}',now(),'x');
SELECT count(mfiauto.create_template(n, channel => c, body => 'Bonjour {{client.name}}')) AS templates
  FROM unnest('{late,reminder_before,reminder_today,reminder_late,reminder_late_voice}'::text[]) n, unnest('{sms,voice}'::text[]) c;
