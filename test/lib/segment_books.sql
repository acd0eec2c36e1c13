-- Books for the tests of segments: four clients, their loans, installments, payments and accounts, bound. Schema bank is there.
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, sex text, literacy text, birth_date date);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text, amount numeric);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric, paid numeric DEFAULT 0);
CREATE TABLE bank.account (id bigint PRIMARY KEY, client_id bigint, product text, closed_on date);
INSERT INTO bank.client VALUES (1, 'Awa Ba', 'f', 'low', '1990-05-01'), (2, 'Binta', 'f', 'high', '1985-05-01'), (3, 'Cheikh', 'm', 'high', '1980-05-01'), (4, 'Demba Sow', 'm', 'low', '2001-05-01');
UPDATE bank.client SET name = name || ' X' WHERE length(name) = 5;
INSERT INTO bank.loan VALUES (11, 1, 'active', 100), (12, 2, 'active', 200), (13, 3, 'closed', 300);
INSERT INTO bank.installment VALUES (101, 11, '2026-01-12', 50), (102, 12, '2026-01-10', 70), (103, 13, '2026-01-10', 90);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "gender": "sex", "literacy": "literacy", "birth_date": "birth_date"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "principal": "amount"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
