-- S14: repayment capacity, (income - expenses - installments) / installments of the next 30 days, against a golden file of 100 clients.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
CREATE TABLE public.golden (client bigint, income numeric, expenses numeric, due_dates date[], dues numeric[], expected numeric);
\copy public.golden FROM 'test/lib/capacity.csv' (FORMAT csv, HEADER)
INSERT INTO bank.client (id, traits) SELECT g.client, jsonb_strip_nulls(jsonb_build_object('income', g.income, 'expenses', g.expenses)) FROM public.golden g;
INSERT INTO bank.loan (id, client_id) SELECT g.client, g.client FROM public.golden g;
INSERT INTO bank.installment (id, loan_id, due_date, due) SELECT g.client * 10 + d.place, g.client, d.due_on, d.due FROM public.golden g, ROWS FROM (unnest(g.due_dates), unnest(g.dues)) WITH ORDINALITY AS d(due_on, due, place);
SELECT pg_temp.pass('2026-01-05 08:00+00');
SELECT count(*) AS clients, count(g.expected) AS known, count(*) FILTER (WHERE g.expected < 0) > 0 AS some_short, count(*) FILTER (WHERE p.repayment_capacity IS DISTINCT FROM g.expected) AS wrong
  FROM public.golden g LEFT JOIN mfiauto.client_profile p ON p.client_id = g.client;
-- The 30 days move on with the clock.
SELECT pg_temp.pass('2026-01-20 08:00+00');
SELECT count(*) FILTER (WHERE p.repayment_capacity IS DISTINCT FROM CASE WHEN s.soon > 0 THEN round((g.income - coalesce(g.expenses, 0) - s.soon) / s.soon, 4) END) AS wrong
  FROM public.golden g JOIN mfiauto.client_profile p ON p.client_id = g.client
 CROSS JOIN LATERAL (SELECT coalesce(sum(i.due), 0) AS soon FROM bank.installment i WHERE i.loan_id = g.client AND i.due_date BETWEEN '2026-01-20' AND '2026-02-18') s;
-- An installment in another currency makes it unknown.
UPDATE bank.loan SET currency = 'USD' WHERE id <= 50;
SELECT pg_temp.pass('2026-01-20 09:00+00');
SELECT count(p.repayment_capacity) FILTER (WHERE p.client_id <= 50) AS in_dollars, count(p.repayment_capacity) > 10 AS others FROM mfiauto.client_profile p;
SELECT pg_temp.drift();
