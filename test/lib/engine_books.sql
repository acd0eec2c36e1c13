-- A small bank for tests of the engine, bound, with a template of each name that the tests use and no workers.
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, tz text, literacy text, officer_id bigint DEFAULT 7);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'active', officer_id bigint DEFAULT 8, matures_on date);
CREATE TABLE bank.member (loan_id bigint, client_id bigint, role text DEFAULT 'borrower', since date, until date);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, number integer, due_date date, due numeric DEFAULT 1000, paid numeric DEFAULT 0);
CREATE TABLE bank.payment (id bigint PRIMARY KEY, loan_id bigint, paid_at timestamptz, amount numeric, reversed boolean DEFAULT false);
CREATE INDEX ON bank.installment (loan_id);
CREATE INDEX ON bank.loan (client_id);
\o /dev/null
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "time_zone": "tz", "literacy": "literacy", "officer_id": "officer_id"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "officer_id": "officer_id", "maturity_on": "matures_on"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id": "loan_id", "client_id": "client_id", "role": "role", "since": "since", "until": "until"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "number": "number", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "paid_at": "paid_at", "amount": "amount", "reversed": "reversed"}');
SELECT mfiauto.create_template(n, channel => c, body => n || ' {{client.name}}')
  FROM unnest('{before,today,late,late_low,welcome,thanks}'::text[]) n, unnest('{sms,voice}'::text[]) c;
\o
