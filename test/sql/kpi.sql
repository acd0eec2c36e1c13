-- KPIs on hand-built books: every expected figure is worked out in a comment beside its query.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
UPDATE mfiauto.institution SET grace_days = 2, time_zone = 'UTC', currency = 'XOF';

-- The books.
CREATE SCHEMA book;
CREATE TABLE book.loan (loan_id bigint PRIMARY KEY, client_id bigint, currency text DEFAULT 'XOF', status text DEFAULT 'active',
  principal numeric, outstanding numeric DEFAULT 0, branch_id bigint DEFAULT 1, written_off_on date);
CREATE TABLE book.installment (installment_id bigint PRIMARY KEY, loan_id bigint, number int, due_date date, amount_due numeric, amount_paid numeric DEFAULT 0, paid_on date);
CREATE TABLE book.payment (payment_id bigint PRIMARY KEY, loan_id bigint, paid_at timestamptz, amount numeric, reversed bool DEFAULT false);
-- What bind() would make of them; binding is tested elsewhere.
CREATE VIEW mfiauto.loan AS SELECT * FROM book.loan;
CREATE VIEW mfiauto.installment AS
  SELECT i.*, l.client_id, greatest(i.amount_due - i.amount_paid, 0) AS balance FROM book.installment i JOIN book.loan l USING (loan_id);
CREATE VIEW mfiauto.payment AS SELECT * FROM book.payment;

-- Pays a loan, oldest installment first, as the bank would.
CREATE FUNCTION book.pay(payment bigint, loan bigint, day date, amount numeric) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  i record;
  rest numeric := amount;
BEGIN
  INSERT INTO book.payment VALUES (payment, loan, day + time '10:00', amount);
  FOR i IN SELECT * FROM book.installment x WHERE x.loan_id = loan AND x.amount_paid < x.amount_due ORDER BY x.number LOOP
    UPDATE book.installment x SET amount_paid = x.amount_paid + least(rest, x.amount_due - x.amount_paid) WHERE x.installment_id = i.installment_id;
    UPDATE book.installment x SET paid_on = day WHERE x.installment_id = i.installment_id AND x.amount_paid >= x.amount_due;
    rest := rest - least(rest, i.amount_due - i.amount_paid);
  END LOOP;
END $$;

INSERT INTO book.loan (loan_id, client_id, outstanding, status) VALUES
  (1, 1, 1000, 'active'), (2, 2, 500, 'active'), (3, 3, 0, 'active'), (4, 4, 800, 'active'), (5, 5, 0, 'active'), (6, 6, 0, 'applied'), (7, 7, 900, 'active'),
  (8, 8, 0, 'active'), (9, 9, 0, 'active'), (10, 10, 600, 'active');
INSERT INTO book.installment (installment_id, loan_id, number, due_date, amount_due) VALUES
  (11, 1, 1, '2026-03-06', 1000), (12, 1, 2, '2026-03-10', 1000), (13, 1, 3, '2026-03-28', 1000),
  (21, 2, 1, '2026-03-10', 500),    -- rescheduled four days after its due date
  (31, 3, 1, '2026-03-11', 700),    -- moved to the 13th before its due date
  (41, 4, 1, '2026-03-09', 800),    -- paid on its day, the payment is reversed later
  (51, 5, 1, '2026-03-10', 300),    -- paid on the last day of grace
  (61, 6, 1, '2026-03-10', 9999),   -- the loan was only applied for
  (71, 7, 1, '2026-03-19', 900),    -- still within grace at the end
  (81, 8, 1, '2026-01-10', 1000), (82, 8, 2, '2026-02-10', 1000),
  (91, 9, 1, '2026-01-10', 500), (92, 9, 2, '2026-01-17', 500);
SELECT book.pay(801, 8, '2026-01-15', 300), book.pay(802, 8, '2026-01-20', 700), book.pay(803, 8, '2026-02-20', 400), book.pay(804, 8, '2026-03-01', 600),
       book.pay(901, 9, '2026-02-01', 1000);

-- A workflow of which some installments are held out. 51 entered after it was due: its outcome is not the workflow's.
INSERT INTO mfiauto.workflow_head (workflow_id, name, salt, created_at) VALUES (1, 'reminder', 's', '2026-01-01');
INSERT INTO mfiauto.enrollment_state (client_id, workflow_id, version, subject, subject_id, loan_id, arm, entered_at) VALUES
  (1, 1, 1, 'installment', 11, 1, 'treated', '2026-03-01'), (1, 1, 1, 'installment', 12, 1, 'treated', '2026-03-03'), (2, 1, 1, 'installment', 21, 2, 'holdout', '2026-03-03'),
  (3, 1, 1, 'installment', 31, 3, 'treated', '2026-03-04'), (4, 1, 1, 'installment', 41, 4, 'holdout', '2026-03-04'), (5, 1, 1, 'installment', 51, 5, 'treated', '2026-03-12');

-- Day by day, as the nightly job would: the books move between the refreshes.
SELECT mfiauto._set_clock('2026-03-05 01:00+00');
SELECT mfiauto.refresh_kpis();
SELECT book.pay(101, 1, '2026-03-06', 1000);
UPDATE book.installment SET due_date = '2026-03-13' WHERE installment_id = 31;
SELECT book.pay(401, 4, '2026-03-09', 800);
SELECT mfiauto._set_clock('2026-03-10 01:00+00');
SELECT mfiauto.refresh_kpis();
SELECT book.pay(102, 1, '2026-03-12', 400), book.pay(501, 5, '2026-03-12', 300), book.pay(301, 3, '2026-03-13', 700);
SELECT mfiauto._set_clock('2026-03-14 01:00+00');
SELECT mfiauto.refresh_kpis();
-- On the 14th 41 is on time: its payment still stands.
SELECT installment_id, counted_as FROM mfiauto.kpi_on_time_repayment_explain WHERE installment_id = 41;
UPDATE book.installment SET due_date = '2026-04-10', amount_due = 300 WHERE installment_id = 21;
SELECT book.pay(201, 2, '2026-03-15', 300);
UPDATE book.payment SET reversed = true WHERE payment_id = 401;
UPDATE book.installment SET amount_paid = 0, paid_on = NULL WHERE installment_id = 41;
SELECT book.pay(103, 1, '2026-03-16', 600);
UPDATE book.loan SET status = 'written_off', outstanding = 0, written_off_on = '2026-03-15' WHERE loan_id = 10;
SELECT mfiauto._set_clock('2026-03-20 12:00+00');
SELECT mfiauto.refresh_kpis();

-- K7, row by row. 12: 400 of 1000 within grace. 21: still 500 due on the 10th, whatever the reschedule says now. 41: the reversed payment was never made.
SELECT period, installment_id, workflow, arm, amount_due, paid_by_deadline, paid_in_full_on, counted_as
  FROM mfiauto.kpi_on_time_repayment_explain WHERE period >= '2026-03-01' ORDER BY installment_id;
-- The whole book in March: on time 11, 31, 51 = 3 of 6 due (11 12 21 31 41 51; 71 is in its grace): 0.5.
-- By value: (1000 + 400 + 0 + 700 + 0 + 300) / (1000 + 1000 + 500 + 700 + 800 + 300) = 2400 / 4300 = 0.5581.
-- Treated: 11, 12, 31: 2 of 3, 2100 of 2700. Held out: 21, 41: 0 of 2, 0 of 1300.
SELECT grain, period, workflow, arm, due_count, on_time_count, on_time_ratio, due_amount, on_time_amount, on_time_value_ratio, immature_count, is_mature
  FROM mfiauto.kpi_on_time_repayment WHERE currency = 'XOF' AND grain = 'month' AND period >= '2026-03-01' ORDER BY arm;
-- Days and weeks add up to the month.
SELECT grain, count(*) AS periods, sum(due_count) AS due, sum(on_time_count) AS on_time
  FROM mfiauto.kpi_on_time_repayment WHERE currency = 'XOF' AND arm = 'all' AND period >= '2026-03-01' GROUP BY grain ORDER BY grain;
-- Between clients: treated 1 (1 of 2) and 3 (1 of 1) stray by -1/3 and 1/3 from 2/3, held out 2 and 4 by nothing from 0. Variance (2/9) / 5 * 4 / (4 - 2) = 0.0889;
-- margin 1.96 * sqrt(0.0889 * (1/3 + 1/2)) = 0.5334 around 2/3.
SELECT workflow, treated_clients, treated_due, treated_ratio, holdout_clients, holdout_due, holdout_ratio, difference, low_95, high_95 FROM mfiauto.kpi_reminder_effect;

-- K8. Loan 8 has two episodes (grace of 2 days): from 13 January, 1000 overdue, 300 within 7 days (to the 19th), all within 30; from 13 February, none
-- within 7 days, 400 + 600 within 30. Loan 9: 92 became late while 91 was: one episode of 500, and the 1000 that came count as 500.
-- Loan 1: 600 overdue on 13 March, collected on the 16th. Loan 2: 500 overdue, 300 came. Loan 4: 800 overdue from the 12th, nothing came.
SELECT loan_id, started_on, ended_on, amount_overdue, collected_7, collected_30, is_mature
  FROM mfiauto.kpi_arrears_recovery_explain WHERE currency = 'XOF' ORDER BY loan_id, started_on;
-- January: 1000 + 500 overdue, (300 + 0) within 7 days = 0.2, 1500 within 30 = 1. February: 0 and 1. March: 7 days are over for
-- loans 1, 2, 4 (600 + 300 + 0) / (600 + 500 + 800) = 0.4737; 30 days for none.
SELECT period, workflow, arm, episode_count, ended_count, amount_overdue, immature_count, recovery_7_ratio, recovery_30_ratio
  FROM mfiauto.kpi_arrears_recovery WHERE currency = 'XOF' ORDER BY period, arm;

-- PAR, a published example: Sa-Dhan, Tracking Financial Performance Standards, table 13 (March 2003), one loan a bucket: 168,000 outstanding,
-- 40,000 of it past due (PAR over 1 day 23.81 %), 22,500 by more than 30 days (13.39 %), 12,500 by more than 60 (7.44 %), 7,500 by more than 90 (4.46 %).
INSERT INTO book.loan (loan_id, client_id, currency, outstanding) VALUES
  (1001, 101, 'INR', 128000), (1002, 102, 'INR', 17500), (1003, 103, 'INR', 10000), (1004, 104, 'INR', 5000), (1005, 105, 'INR', 3500), (1006, 106, 'INR', 2500), (1007, 107, 'INR', 1500);
INSERT INTO book.installment (installment_id, loan_id, number, due_date, amount_due)
SELECT 10000 + x.loan, x.loan, 1, date '2026-03-20' - x.days_late, 100 FROM (VALUES (1001, -5), (1002, 15), (1003, 45), (1004, 75), (1005, 120), (1006, 270), (1007, 400)) x (loan, days_late);
SELECT mfiauto.refresh_kpis();
SELECT period, currency, branch_id, loan_count, outstanding, par_1, par_7, par_30, par_60, par_90, late_30_count, lar_30, written_off_count, written_off_amount
  FROM mfiauto.kpi_portfolio_at_risk WHERE period = '2026-03-20' AND currency = 'INR';
-- In XOF: 1000 + 500 + 800 + 900 = 3200 outstanding (loan 10, 600, was written off since the snapshot of the 14th). Late: loan 4 by 11 days, 800; loan 7 by one
-- day (not more than one); loan 2 is not late by today's schedule, loan 1's next installment is to come. PAR 1 = PAR 7 = 0.25.
SELECT period, loan_count, outstanding, par_1, par_7, par_30, written_off_count, written_off_amount
  FROM mfiauto.kpi_portfolio_at_risk WHERE currency = 'XOF' ORDER BY period;
SELECT loan_id, status, outstanding, days_late, written_off_amount FROM mfiauto.kpi_portfolio_at_risk_explain WHERE currency = 'XOF' ORDER BY loan_id;

-- K1: twenty messages of 2 March. 1-10 were delivered: 8 by a late receipt, 9 with its receipt twice, 10 with "sent" arriving after "delivered".
-- 11, 12 undelivered; 13 refused by the gateway, never accepted; 14 accepted, then failed; 15 no receipt, validity long over; 16 no receipt yet, validity
-- not over; 17 nobody knows whether it left; 18 it left, then nobody knows; 19 held out; 20 suppressed.
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, sent_at, finished_at, workflow_id, version, step_no, state, class, channel, gateway, parts, cost, currency)
SELECT n, n, '2026-03-02 09:00+00', '2026-03-02 09:00+00', CASE n WHEN 16 THEN timestamptz '2026-03-20 08:00+00' ELSE '2026-03-02 23:59+00' END,
       CASE WHEN n NOT IN (13, 17, 19, 20) THEN timestamptz '2026-03-02 09:01+00' END, CASE n WHEN 8 THEN timestamptz '2026-03-06 12:00+00' ELSE '2026-03-02 09:02+00' END,
       1, 1, 1, CASE WHEN n <= 10 THEN 'delivered' WHEN n <= 12 THEN 'undelivered' WHEN n <= 14 THEN 'failed' WHEN n IN (15, 16) THEN 'sent' WHEN n <= 18 THEN 'unknown'
                     WHEN n = 19 THEN 'holdout' ELSE 'suppressed' END,
       'collection', CASE WHEN n <> 19 THEN 'sms' END, CASE WHEN n < 19 THEN 'g1' END, CASE n WHEN 1 THEN 2 ELSE 1 END, CASE n WHEN 1 THEN 24 ELSE 12 END, 'XOF'
  FROM generate_series(1, 20) n;
INSERT INTO mfiauto.receipt (client_id, gateway, message_id, state, applied, digest, received_at) VALUES
  (8, 'g1', 8, 'delivered', true, 'a', '2026-03-06 12:00+00'), (9, 'g1', 9, 'delivered', true, 'b', '2026-03-02 09:02+00'), (9, 'g1', 9, 'delivered', false, 'b', '2026-03-02 09:03+00'),
  (10, 'g1', 10, 'delivered', true, 'c', '2026-03-02 09:02+00'), (10, 'g1', 10, 'sent', false, 'd', '2026-03-02 09:05+00');
-- One more the day after, by another gateway, in another currency.
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, sent_at, workflow_id, version, step_no, state, class, channel, gateway, parts, cost, currency)
VALUES (3, 21, '2026-03-03 09:00+00', '2026-03-03 09:00+00', '2026-03-03 23:59+00', '2026-03-03 09:01+00', 1, 1, 2, 'delivered', 'collection', 'sms', 'g2', 1, 0.05, 'EUR');
SELECT mfiauto.refresh_kpis();
-- Accepted: 10 delivered + 3 failed (11, 12, 14) + 2 missing (15, 18) + 1 pending (16) = 16; 10 / 16 = 0.625; by receipts 10 / 13 = 0.7692.
SELECT period, workflow, channel, gateway, message_count, holdout_count, accepted_count, delivered_count, failed_count, missing_count, pending_count, unknown_count,
       delivery_ratio, receipt_ratio, is_mature FROM mfiauto.kpi_delivery ORDER BY period, gateway;
SELECT counted_as, count(*) FROM mfiauto.kpi_delivery_explain WHERE period = '2026-03-02' GROUP BY counted_as ORDER BY counted_as;
-- K15: 15 * 12 + 24 = 204 for the 16 accepted, 12 of it pending: 192 / 10 = 19.2 XOF each; the euro stands alone.
SELECT period, channel, gateway, currency, accepted_count, delivered_count, part_count, cost, cost_per_delivered, cost_per_accepted FROM mfiauto.kpi_cost_per_message ORDER BY period;
-- A day later the validity of 16 and its day of grace are over: it is missing.
SELECT mfiauto._set_clock('2026-03-21 12:00+00');
SELECT mfiauto.refresh_kpis();
SELECT accepted_count, missing_count, pending_count, delivery_ratio, is_mature FROM mfiauto.kpi_delivery WHERE gateway = 'g1';

-- K4: 1 opts out 3 days after his message: counted. 2 eight days after: unattributed. 3 had messages on the 2nd and the 3rd and opts out on the 4th: the last
-- answers. 5 opts out of e-mail, her message was a text: unattributed. 99 had no message. 4 opted in: not an opt-out.
INSERT INTO mfiauto.consent (client_id, channel, granted, given_at, recorded_by) VALUES
  (1, NULL, false, '2026-03-05 10:00+00', 't'), (2, NULL, false, '2026-03-10 10:00+00', 't'), (3, 'sms', false, '2026-03-04 10:00+00', 't'),
  (5, 'email', false, '2026-03-03 10:00+00', 't'), (99, NULL, false, '2026-03-06 10:00+00', 't'), (4, NULL, true, '2026-03-05 10:00+00', 't');
SELECT mfiauto.refresh_kpis();
SELECT client_id, opted_out_on, period, message_id, counted_as FROM mfiauto.kpi_opt_out_explain ORDER BY client_id;
-- 2 March: 1 of the 10 persons reached. 3 March: 1 of 1. The week and the month: 2 of 10 persons (3 counts once), 3 unattributed in rows without a workflow.
SELECT grain, period, workflow, channel, person_count, opt_out_count, unattributed_count, opt_out_ratio, is_mature FROM mfiauto.kpi_opt_out ORDER BY grain, period, workflow;

-- All on one page, and every numerator within its denominator (a cost is money over messages).
SELECT name, unit, value, numerator, denominator FROM mfiauto.kpi;
SELECT count(*) AS ratios_above_one FROM mfiauto.kpi WHERE unit LIKE 'ratio%' AND numerator > denominator;
-- A second refresh changes nothing.
CREATE TEMP TABLE before AS SELECT * FROM mfiauto.kpi_on_time_repayment;
SELECT mfiauto.refresh_kpis(since => '2026-01-01');
SELECT count(*) AS changed FROM (SELECT * FROM before EXCEPT SELECT * FROM mfiauto.kpi_on_time_repayment) d;

-- Refused.
\set SHOW_CONTEXT never
SELECT mfiauto.refresh_kpis(since => '2026-12-01');
-- Every KPI view has its definition with it.
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relname LIKE 'kpi%' AND c.relkind = 'v' AND obj_description(c.oid) IS NULL;
-- None calls a function of the extension or reads a table of the bank: they outlive both.
SELECT DISTINCT r.ev_class::regclass FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
 WHERE r.ev_class::regclass::text LIKE 'mfiauto.kpi%'
   AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
        OR d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM pg_class WHERE relnamespace = 'book'::regnamespace));

-- An analyst reads every KPI view, and neither the bank's tables nor the ledger with its addresses.
CREATE ROLE regress_kpi_analyst;
SELECT mfiauto.grant_access('regress_kpi_analyst', 'analyst');
SET ROLE regress_kpi_analyst;
SELECT format('SELECT count(*) > 0 AS %I FROM mfiauto.%I', v.relname, v.relname) FROM pg_class v
 WHERE v.relnamespace = 'mfiauto'::regnamespace AND v.relkind = 'v' AND v.relname LIKE 'kpi%' ORDER BY v.relname
\gexec
SELECT count(*) FROM book.loan;
SELECT count(*) FROM mfiauto.message;
SELECT mfiauto.refresh_kpis();
RESET ROLE;
SELECT mfiauto.revoke_access('regress_kpi_analyst', 'analyst');
DROP ROLE regress_kpi_analyst;
