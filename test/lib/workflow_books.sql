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
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "literacy": "literacy", "phone": "phone"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "maturity_on": "maturity_on"}');
SELECT mfiauto.bind('installment', 'bank.installment',
  '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT count(mfiauto.create_template(n, channel => c, body => 'Bonjour {{client.name}}')) AS templates
  FROM unnest('{late,reminder_before,reminder_today,reminder_late,reminder_late_voice}'::text[]) n, unnest('{sms,voice}'::text[]) c;
