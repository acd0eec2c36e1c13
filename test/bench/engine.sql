-- A loan book whose installments fall due on the same day, a workflow with one message, and bare copies of our own tables.
SET client_min_messages = error;
SELECT to_regclass('bench.due') IS NOT NULL AS is_made \gset
\if :is_made
\q
\endif
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE bench.person (id bigint PRIMARY KEY, name text, phone text, lang text, joined date DEFAULT '2024-02-01');
CREATE TABLE bench.credit (id bigint PRIMARY KEY, person_id bigint, status text);
CREATE TABLE bench.due (id bigint PRIMARY KEY, credit_id bigint, due_date date, amount numeric, paid numeric DEFAULT 0, paid_on date);
CREATE TABLE bench.fact (id bigint PRIMARY KEY, person_id bigint);
SELECT mfiauto.unbind(role) FROM mfiauto.binding;
SELECT mfiauto.bind('client', 'bench.person', '{"client_id": "id", "name": "name", "phone": "phone", "locale": "lang", "joined_on": "joined"}');
SELECT mfiauto.bind('loan', 'bench.credit', '{"loan_id": "id", "client_id": "person_id", "status": "status"}');
SELECT mfiauto.bind('installment', 'bench.due', '{"installment_id": "id", "loan_id": "credit_id", "due_date": "due_date",
  "amount_due": "amount", "amount_paid": "paid", "paid_on": "paid_on"}');
SELECT mfiauto.watch('Fact Recorded', 'bench.fact', 'INSERT', client => 'person_id', subject => 'id');
SELECT mfiauto.create_template('due', channel => 'sms', class => 'transactional',
  body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est le {{installment.due_date_text}}.');
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "transactional",
  "enter_if": "loan.status = ''active''", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "0 days 09:00", "send": "due"}, {"at": "+1 day 09:00", "send": "due"}]}');
SELECT mfiauto.activate_workflow('due');
CREATE TABLE bench.bare_event (LIKE mfiauto.event_log INCLUDING ALL);
CREATE TABLE bench.bare_enrollment (LIKE mfiauto.enrollment_state INCLUDING ALL) WITH (fillfactor = 70);
CREATE TABLE bench.bare_message (LIKE mfiauto.message_ledger INCLUDING ALL);
CREATE SEQUENCE bench.first_id START 1;
