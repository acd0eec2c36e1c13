-- Each recipe on the demo bank's tables: installed with one call, its story played under a clock, who got what and who did not.
SET client_min_messages = warning;
\set VERBOSITY terse
\set ECHO none
\o /dev/null
\i contrib/demo/bank.sql
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i contrib/demo/bind.sql
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
\i test/lib/recipe_play.sql
INSERT INTO bank.branch VALUES (1, 'Thies', 'SN', 'Thies');
INSERT INTO bank.officer VALUES (7, 'Fatou Ndiaye', '77 000 00 07', 1);
CREATE FUNCTION client(id bigint, name text, phone text, lang text DEFAULT 'fr', literacy text DEFAULT 'high', region text DEFAULT 'Thies', household integer DEFAULT 4, born date DEFAULT '1990-06-15')
RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.client (id, display_name, mobile_no, lang, date_of_birth, region, literacy, status, activation_date, household_size, branch_id, officer_id)
  VALUES (id, name, phone, lang, born, region, literacy, 300, '2025-01-01', household, 1, 7) $$;
CREATE FUNCTION loan(id bigint, client_id bigint, status integer, product text DEFAULT 'Micro', cycle integer DEFAULT 1) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, disbursed_on, principal_outstanding, cycle_no, officer_id, branch_id)
  VALUES (id, client_id, product, 50000, 1, status, '2025-12-01', CASE WHEN status >= 300 THEN date '2025-12-10' END, 50000, cycle, 7, 1) $$;
CREATE FUNCTION installment(id bigint, loan_id bigint, due date, amount numeric DEFAULT 12500) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.installment (id, loan_id, number, from_date, due_date, principal) VALUES (id, loan_id, id % 100, due - 30, due, amount) $$;
\o
\set ECHO all

-- Repayment reminder. Binta pays early, Modou listens better than he reads, Ousmane has no telephone, Coumba's loan is not running.
\set ECHO none
\o /dev/null
SELECT client(1, 'Awa Diop', '77 123 45 67'), client(2, 'Modou Fall', '78 765 43 21', 'wo', 'low'), client(3, 'Binta Sow', '77 000 11 22'), client(4, 'Ousmane Ba', NULL), client(5, 'Coumba Sy', '70 111 22 33', 'en');
SELECT loan(101, 1, 300), loan(102, 2, 300), loan(103, 3, 300), loan(104, 4, 300), loan(105, 5, 100);
SELECT installment(10101, 101, '2026-01-14'), installment(10201, 102, '2026-01-14'), installment(10301, 103, '2026-01-14'), installment(10401, 104, '2026-01-14'), installment(10501, 105, '2026-01-14');
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('repayment_reminder', activate => true) GROUP BY section, outcome;
UPDATE mfiauto.workflow_version SET holdout = 0;
SELECT * FROM pass('2026-01-05 08:00+00');
SELECT * FROM pass('2026-01-07 09:00+00');
SELECT * FROM pass('2026-01-10 09:00+00');
SELECT bank.repay(103, 12500, '2026-01-12 10:00+00') IS NOT NULL AS paid;
SELECT * FROM pass('2026-01-14 09:00+00');
SELECT * FROM pass('2026-01-15 09:00+00');
SELECT bank.repay(102, 12500, '2026-01-16 10:00+00') IS NOT NULL AS paid;
SELECT * FROM pass('2026-01-17 09:00+00');
SELECT * FROM pass('2026-01-19 09:00+00');
SELECT workflow, client_id, state, reason FROM runs;
SELECT mfiauto.archive_workflow('repayment_reminder');
