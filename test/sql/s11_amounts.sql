-- S11: amounts by currency: what is owed in different currencies is never added up or compared.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id) SELECT g FROM generate_series(1, 6) g;
INSERT INTO bank.loan (id, client_id, currency, principal, outstanding, status) VALUES
  (11, 1, 'XOF', 100000, 60000, 'active'), (12, 1, NULL, 50000, 50000, 'active'), (13, 1, 'XOF', 70000, 0, 'closed'),
  (21, 2, 'XOF', 100000, 40000, 'active'), (22, 2, 'USD', 900, 300, 'active'),
  (31, 3, 'EUR', 1000, 700, 'rescheduled'), (41, 4, 'XOF', 80000, NULL, 'active'), (51, 5, 'XOF', 80000, 80000, 'approved');
-- What the loan itself does not say is what its installments leave open.
INSERT INTO bank.installment (id, loan_id, due_date, due, paid) VALUES (411, 41, '2026-02-01', 40000, 10000), (412, 41, '2026-03-01', 40000, 0);
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT p.client_id, p.outstanding, p.outstanding_amount, p.loan_amounts, p.loan_amount FROM mfiauto.client_profile p ORDER BY 1;
-- Naively, by currency.
SELECT count(*) AS wrong FROM mfiauto.client_profile p, jsonb_each_text(p.outstanding) o
 WHERE o.value::numeric IS DISTINCT FROM (SELECT sum(l.outstanding) FROM bank.loan l WHERE l.client_id = p.client_id AND l.status IN ('active', 'rescheduled') AND coalesce(l.currency, 'XOF') = o.key) AND p.client_id <> 4;
-- Who owes less than 50,000 in the institution's currency: 300 dollars are not compared with it.
SELECT p.client_id FROM mfiauto.client_profile p WHERE p.outstanding_amount < 50000 ORDER BY 1;
UPDATE bank.loan SET outstanding = 0, status = 'closed' WHERE id = 21;
SELECT pg_temp.pass('2026-01-06 08:00+00');
SELECT p.client_id, p.outstanding, p.outstanding_amount FROM mfiauto.client_profile p WHERE p.client_id = 2;
SELECT pg_temp.drift();
