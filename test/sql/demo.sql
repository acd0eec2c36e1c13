-- The demo bank's books under mfiauto for two weeks, with every message kept in the sandbox: what must never happen, counted
-- from the bank's own tables.
SET client_min_messages = warning;
\set clients 120
\set ECHO none
\o /dev/null
\i contrib/demo/bank.sql
\i contrib/demo/data.sql
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 07:00+00');
\i contrib/demo/bind.sql
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
\i contrib/demo/workflows.sql
\i contrib/demo/play.sql
-- The arms are drawn by the workflow's salt; a fixed one makes every run the same.
UPDATE mfiauto.workflow_head SET salt = 'demo';
SELECT mfiauto.activate_workflow('repayment_reminder');
\o
\set ECHO all

-- Each canonical view has what the book has.
SELECT 'client' AS role, (SELECT count(*) FROM mfiauto.client) = (SELECT count(*) FROM bank.client) AS complete
UNION ALL SELECT 'application', (SELECT count(*) FROM mfiauto.application) = (SELECT count(*) FROM bank.application)
UNION ALL SELECT 'loan', (SELECT sum(outstanding) FROM mfiauto.loan) = (SELECT sum(principal_outstanding) FROM bank.loan)
UNION ALL SELECT 'installment', (SELECT sum(balance) FROM mfiauto.installment) = (SELECT sum(principal + interest + fees - coalesce(paid, 0)) FROM bank.installment)
UNION ALL SELECT 'payment', (SELECT sum(amount) FROM mfiauto.payment) = (SELECT sum(amount) FROM bank.payment)
UNION ALL SELECT 'loan_party', (SELECT count(*) FROM mfiauto.loan_party) = (SELECT count(*) FROM bank.loan_member)
UNION ALL SELECT 'holding', (SELECT sum(balance) FROM mfiauto.holding) = (SELECT sum(balance) FROM bank.savings);

-- Two weeks: nine o'clock, two o'clock, midnight.
SELECT format($$SELECT mfiauto.set_clock('%s 09:00+00')$$, d::date), format($$SELECT play.news('%s')$$, d::date), 'SELECT * FROM mfiauto.run_engine()',
       'SELECT * FROM mfiauto.run_delivery()',
       format($$SELECT mfiauto.set_clock('%s 14:00+00')$$, d::date), format($$SELECT play.pay('%s')$$, d::date), 'SELECT * FROM mfiauto.run_engine()',
       format($$SELECT mfiauto.set_clock('%s 00:30+00')$$, d::date + 1), 'SELECT mfiauto.refresh_kpis()'
  FROM generate_series(date '2026-01-05', date '2026-01-18', interval '1 day') d ORDER BY d
\o /dev/null
\gexec
\o

-- Something was sent, and nothing waits that could have left.
SELECT count(*) FILTER (WHERE sent_at IS NOT NULL) > 200 AS many_sent, count(*) FILTER (WHERE state IN ('queued', 'claimed')) AS waiting FROM mfiauto.message;
-- Nobody was reminded of what he had paid.
\set ECHO none
\i contrib/demo/check.sql
\set ECHO all
-- Nobody was written to outside 08:00 to 19:00, on a Sunday, or on the holiday that the moon brought on the 15th.
SELECT count(*) AS at_a_barred_moment FROM mfiauto.message m
 WHERE m.sent_at IS NOT NULL AND ((m.sent_at AT TIME ZONE 'Africa/Dakar')::time NOT BETWEEN '08:00' AND '19:00'
       OR extract(isodow FROM m.sent_at AT TIME ZONE 'Africa/Dakar') = 7
       OR (m.sent_at AT TIME ZONE 'Africa/Dakar')::date IN (SELECT on_date FROM mfiauto.holiday));
-- A group loan's messages go to its borrowers; not to guarantors, nor to those who left.
SELECT count(*) > 0 AS groups_were_reminded,
       count(*) FILTER (WHERE NOT EXISTS (SELECT FROM bank.loan_member b WHERE b.loan_id = l.id AND b.client_id = m.client_id AND b.role = 'borrower'
                                             AND (b.left_on IS NULL OR b.left_on > m.sent_at::date))) AS to_strangers
  FROM mfiauto.message m JOIN bank.installment i ON i.id = m.subject_id JOIN bank.loan l ON l.id = i.loan_id
 WHERE m.sent_at IS NOT NULL AND l.group_name IS NOT NULL;
-- Nobody was written to about another's loan, about a loan that is not running, or twice for the same.
SELECT count(*) FILTER (WHERE l.client_id <> m.client_id) AS of_others, count(*) FILTER (WHERE l.status NOT IN (300, 600)) AS of_no_running_loan
  FROM mfiauto.message m JOIN bank.installment i ON i.id = m.subject_id JOIN bank.loan l ON l.id = i.loan_id WHERE m.sent_at IS NOT NULL;
SELECT count(*) AS twice FROM (SELECT FROM mfiauto.message m WHERE m.sent_at IS NOT NULL GROUP BY m.client_id, m.subject_id, m.step, m.sent_at::date HAVING count(*) > 1) d;
-- Who opted out on the 11th had no text after it; who is held out had none at all.
SELECT count(*) AS after_opting_out FROM mfiauto.message m JOIN mfiauto.consent c ON c.client_id = m.client_id AND NOT c.granted
 WHERE m.sent_at > c.given_at AND m.channel = 'sms';
SELECT count(DISTINCT e.client_id) > 0 AS some_are_held_out,
       count(m.message_id) FILTER (WHERE m.sent_at IS NOT NULL) AS sent_to_them
  FROM mfiauto.enrollment e LEFT JOIN mfiauto.message m ON m.enrollment_id = e.enrollment_id AND m.client_id = e.client_id WHERE e.arm = 'holdout';
-- The holiday moved what fell due on it; every run follows its installment.
SELECT count(*) > 0 AS moved, count(*) FILTER (WHERE e.anchor_on <> i.due_date) AS left_behind
  FROM bank.installment i LEFT JOIN mfiauto.enrollment e ON e.subject = 'installment' AND e.subject_id = i.id WHERE i.original_due_date IS NOT NULL;
-- The payment that was taken back on the 16th: its installment's run was opened again.
SELECT count(DISTINCT p.id) AS taken_back, count(DISTINCT d.decision_id) AS opened_again
  FROM bank.payment p JOIN bank.installment i ON i.loan_id = p.loan_id
  LEFT JOIN mfiauto.decision_log d ON d.subject = 'installment' AND d.subject_id = i.id AND d.decision = 'reopened'
 WHERE p.reversed;

-- KPIs against the book: what fell due in the two weeks, and was paid by its day.
SELECT k.due_count = b.due AS same_due, k.on_time_count = b.on_time AS same_on_time, k.due_amount = b.amount AS same_amount
  FROM (SELECT sum(due_count) AS due_count, sum(on_time_count) AS on_time_count, sum(due_amount) AS due_amount FROM mfiauto.kpi_on_time_repayment
         WHERE grain = 'day' AND arm = 'all' AND period BETWEEN '2026-01-05' AND '2026-01-18') k,
       (SELECT count(*) AS due, count(*) FILTER (WHERE i.paid_on <= i.due_date) AS on_time, sum(i.principal + i.interest + i.fees) AS amount
          FROM bank.installment i JOIN bank.loan l ON l.id = i.loan_id WHERE i.due_date BETWEEN '2026-01-05' AND '2026-01-18') b;
SELECT k.outstanding = b.outstanding AS same_outstanding, k.late = b.late AS same_late
  FROM (SELECT sum(outstanding) AS outstanding, sum(late_7_amount) AS late FROM mfiauto.kpi_portfolio_at_risk WHERE period = '2026-01-19') k,
       (SELECT sum(l.principal_outstanding) AS outstanding,
               sum(l.principal_outstanding) FILTER (WHERE EXISTS (SELECT FROM bank.installment i WHERE i.loan_id = l.id AND i.paid_on IS NULL AND i.due_date < date '2026-01-19' - 7)) AS late
          FROM bank.loan l WHERE l.status = 300) b;
SELECT sum(message_count) = (SELECT count(*) FROM mfiauto.message) AS every_message_counted, sum(accepted_count) = (SELECT count(*) FROM mfiauto.message WHERE sent_at IS NOT NULL) AS every_sent_one
  FROM mfiauto.kpi_delivery;
SELECT cost = 12 * parts AS cost_adds_up FROM (SELECT sum(cost) AS cost FROM mfiauto.kpi_cost_per_message WHERE currency = 'XOF') k,
  (SELECT sum(parts) AS parts FROM mfiauto.message WHERE gateway = 'keep_sms' AND sent_at IS NOT NULL) m;
