-- What a manager wants to see after four weeks. Reads the KPI views and the ledger; prints within 100 columns.
\pset footer off
\pset null '-'
\pset border 1

SET client_min_messages = warning;
\o /dev/null
SELECT mfiauto.set_clock((s.start_on + 28 + time '07:00') AT TIME ZONE 'Africa/Dakar') FROM bank.scenario s;
\o

\echo
\echo 'THE BOOK'
SELECT (SELECT count(*) FROM bank.client WHERE status = 300) AS active_clients, (SELECT count(*) FROM bank.loan WHERE status = 300) AS active_loans,
       (SELECT count(*) FROM bank.loan WHERE group_name IS NOT NULL) AS group_loans,
       (SELECT count(*) FROM bank.installment i, bank.scenario s WHERE i.due_date BETWEEN s.start_on AND s.start_on + 27) AS due_in_four_weeks,
       (SELECT count(*) FROM bank.payment p, bank.scenario s WHERE p.paid_at >= s.start_on AND NOT p.reversed) AS payments;

\echo 'MESSAGES, BY STEP AND WHAT BECAME OF THEM'
SELECT CASE WHEN s.at_offset IS NULL THEN '  +3' ELSE to_char(s.at_offset, 'SG90') END AS day, coalesce(s.template, s.kind) AS message,
       count(*) FILTER (WHERE m.state = 'delivered') AS delivered, count(*) FILTER (WHERE m.state = 'undelivered') AS undelivered,
       count(*) FILTER (WHERE m.state IN ('submitted', 'sent', 'unknown')) AS on_the_way, count(*) FILTER (WHERE m.state = 'failed') AS refused,
       count(*) FILTER (WHERE m.state = 'holdout') AS held_out, count(*) FILTER (WHERE m.state = 'skipped') AS skipped,
       count(*) FILTER (WHERE m.state NOT IN ('delivered', 'undelivered', 'submitted', 'sent', 'unknown', 'failed', 'holdout', 'skipped')) AS other
  FROM mfiauto.message_ledger m
  JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
 GROUP BY s.step_no, s.at_offset, s.template, s.kind ORDER BY s.step_no;

\echo 'WHY A MESSAGE DID NOT ARRIVE'
SELECT m.state, m.reason, count(*) AS messages, left(r.meaning, 56) AS meaning
  FROM mfiauto.message m LEFT JOIN mfiauto.message_reason r ON r.reason = m.reason
 WHERE m.state <> 'delivered' AND m.reason IS NOT NULL GROUP BY m.state, m.reason, r.meaning ORDER BY messages DESC, m.reason LIMIT 12;

\echo 'WHAT PEOPLE WROTE BACK'
SELECT i.body AS they_wrote, coalesce(i.intent, i.action) AS taken_as, count(*) AS messages, count(i.answer_id) AS answered, count(c.client_id) AS wait_for_a_person
  FROM mfiauto.inbound_log i LEFT JOIN mfiauto.conversation c ON c.client_id = i.client_id AND c.channel = i.channel AND i.action = 'handover'
 GROUP BY i.body, coalesce(i.intent, i.action) ORDER BY messages DESC, i.body;

\echo 'VISITS FOR THE OFFICERS'
SELECT t.state, count(*) AS tasks FROM mfiauto.task t GROUP BY t.state ORDER BY t.state;

\echo 'ON-TIME REPAYMENT'
SELECT arm, sum(due_count) AS installments_due, sum(on_time_count) AS on_time, round(100.0 * sum(on_time_count) / sum(due_count), 1) AS percent,
       round(100 * sum(on_time_amount) / sum(due_amount), 1) AS percent_of_value
  FROM mfiauto.kpi_on_time_repayment WHERE grain = 'day' AND workflow IS NOT NULL GROUP BY arm ORDER BY arm DESC;
\echo 'WHAT THE REMINDERS CHANGED (percentage points, with the 95 % interval)'
SELECT x.difference, x.low, x.high, x.treated_clients, x.holdout_clients, x.planted_effect, x.planted_effect BETWEEN x.low AND x.high AS inside
  FROM (SELECT round(100 * e.difference, 1) AS difference, round(100 * e.low_95, 1) AS low, round(100 * e.high_95, 1) AS high, e.treated_clients, e.holdout_clients,
               round(100 * (b.on_time_reached - b.on_time_alone)::numeric * (SELECT avg((EXISTS (SELECT FROM mfiauto.message_ledger m
                 WHERE m.subject = 'installment' AND m.subject_id = x.installment_id AND m.state = 'delivered' AND m.sent_at::date <= x.period))::integer)
                 FROM mfiauto.kpi_on_time_repayment_explain x WHERE x.arm = 'treated' AND x.counted_as <> 'immature'), 1) AS planted_effect
          FROM mfiauto.kpi_reminder_effect e CROSS JOIN play.behavior b) x;
\echo 'planted_effect: what the demo''s clients were made to do. They pay on time 15 points more often if'
\echo 'a reminder reached them; not all are reached. Few held-out clients make a wide interval.'
\echo

\echo 'COST'
SELECT channel, gateway, currency, sum(accepted_count) AS accepted, sum(delivered_count) AS delivered, sum(part_count) AS parts, sum(cost) AS cost,
       round(sum(cost) / nullif(sum(delivered_count), 0), 2) AS per_delivered
  FROM mfiauto.kpi_cost_per_message GROUP BY channel, gateway, currency ORDER BY channel, gateway;

\echo 'PORTFOLIO AT RISK'
SELECT period, sum(loan_count) AS loans, sum(outstanding) AS outstanding, currency, round(100 * sum(late_1_amount) / sum(outstanding), 2) AS par_1_percent,
       round(100 * sum(late_7_amount) / sum(outstanding), 2) AS par_7_percent, round(100 * sum(late_30_amount) / sum(outstanding), 2) AS par_30_percent,
       sum(written_off_amount) AS written_off
  FROM mfiauto.kpi_portfolio_at_risk
 WHERE period IN (SELECT min(period) FROM mfiauto.kpi_portfolio_at_risk UNION SELECT max(period) FROM mfiauto.kpi_portfolio_at_risk) GROUP BY period, currency ORDER BY period;

\echo 'EVERY KPI, LAST 30 DAYS'
SELECT name, value, unit, numerator, denominator FROM mfiauto.kpi;

-- Somebody who was late, and whom the reminders brought back; in a short run, whom most was said to.
SELECT m.client_id AS story
  FROM mfiauto.message m JOIN bank.client c ON c.id = m.client_id JOIN bank.installment i ON i.id = m.subject_id JOIN bank.loan l ON l.id = i.loan_id
 WHERE m.state = 'delivered'
 GROUP BY m.client_id
 ORDER BY count(*) FILTER (WHERE l.repay_every = 'month' AND i.paid_on > i.due_date + 3 AND i.due_date > (SELECT start_on + 7 FROM bank.scenario)
                             AND c.id NOT IN (SELECT client_id FROM bank.loan_member)) BETWEEN 4 AND 9 DESC,
          count(*) DESC, m.client_id LIMIT 1 \gset
\echo 'ONE CLIENT''S STORY, EXPLAINED'
SELECT 'client ' || id || ', ' || display_name || ', ' || coalesce(lang, 'no language') || ', literacy ' || literacy AS who FROM bank.client WHERE id = :story;
SELECT to_char(at, 'DD Mon HH24:MI') AS at, what, subject_id AS id, left(detail, 70) AS detail
  FROM mfiauto.explain_client(:story, workflow => 'repayment_reminder') WHERE what <> 'absence';

\echo 'GATEWAYS'
SELECT gateway, channel, circuit, sent, failed, retried, unknown, queued_on_channel AS queued, last_error FROM mfiauto.gateway_status;
