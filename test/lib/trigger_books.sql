-- A small bank for tests of what starts a workflow: clients, applications, loans, payments and holdings, bound, with texts and a sandbox, and no workers.
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, tz text, status text DEFAULT 'active', birth_date date, joined_on date);
CREATE TABLE bank.application (id bigint PRIMARY KEY, client_id bigint, status text, submitted_at timestamptz);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'applied', principal numeric DEFAULT 1000, approved_on date, matures_on date);
CREATE TABLE bank.payment (id bigint PRIMARY KEY, loan_id bigint, paid_at timestamptz, amount numeric, reversed boolean DEFAULT false);
CREATE TABLE bank.holding (id bigint PRIMARY KEY, client_id bigint, product text, opened_on date, closed_on date, status text DEFAULT 'active');
CREATE TABLE bank.member (loan_id bigint, client_id bigint, role text DEFAULT 'borrower', since date, until date);
\o /dev/null
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "time_zone": "tz", "status": "status", "birth_date": "birth_date", "joined_on": "joined_on"}');
SELECT mfiauto.bind('application', 'bank.application', '{"application_id": "id", "client_id": "client_id", "status": "status", "submitted_at": "submitted_at"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "principal": "principal", "currency": "''XOF''",
  "approved_on": "approved_on", "maturity_on": "matures_on"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id": "loan_id", "client_id": "client_id", "role": "role", "since": "since", "until": "until"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "paid_at": "paid_at", "amount": "amount", "reversed": "reversed"}');
SELECT mfiauto.bind('holding', 'bank.holding', '{"holding_id": "id", "client_id": "client_id", "product": "product", "opened_on": "opened_on", "closed_on": "closed_on", "status": "status"}');
SELECT mfiauto.create_gateway('books', 'sms', 'sandbox');
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour {{client.name}}', class => 'transactional');
SELECT mfiauto.create_template('offer', channel => 'sms', body => 'Une offre pour {{client.name}}', class => 'marketing');
\o
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
