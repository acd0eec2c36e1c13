-- What came of it: roll-ups that refresh_kpis() keeps, and the KPI views. The views read these tables alone, so an
-- analyst needs no right on the bank's own, and they call no function of the extension, so they outlive it.

CREATE TABLE mfiauto.kpi_refresh (
  one_row boolean NOT NULL DEFAULT true,
  as_of timestamptz,
  on_date date,
  since date,
  time_zone text NOT NULL DEFAULT 'UTC',
  CONSTRAINT kpi_refresh_pkey PRIMARY KEY (one_row),
  CONSTRAINT kpi_refresh_one_row_check CHECK (one_row)
);
INSERT INTO mfiauto.kpi_refresh (one_row) VALUES (true);
COMMENT ON TABLE mfiauto.kpi_refresh IS
  'One row: the business moment and date of the last refresh_kpis(), and from which day on it computed anew.';

-- Messages by the local day of sending (of the due moment, where nothing was sent). Empty text and 0: none. given_up: failed, no gateway took them.
CREATE TABLE mfiauto.rollup_message (
  period date NOT NULL,
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  step_no integer NOT NULL,
  channel text NOT NULL,
  gateway text NOT NULL,
  currency text NOT NULL,
  message_count bigint NOT NULL,
  holdout_count bigint NOT NULL,
  accepted_count bigint NOT NULL,
  delivered_count bigint NOT NULL,
  failed_count bigint NOT NULL,
  pending_count bigint NOT NULL,
  missing_count bigint NOT NULL,
  unknown_count bigint NOT NULL,
  part_count bigint NOT NULL,
  cost numeric NOT NULL,
  pending_cost numeric NOT NULL,
  given_up_count bigint NOT NULL,
  CONSTRAINT rollup_message_pkey PRIMARY KEY (period, workflow_id, version, step_no, channel, gateway, currency)
);

-- What fell due, as the schedule in force on the due date said, and what was paid of it. Keyed as the books are. A row is
-- watched from a week before its day on, and frozen once the day has passed: a later reschedule adds a row, it changes none.
-- paid_before: what the loan must have paid in all before a coin goes to this installment; money goes to the oldest first.
CREATE TABLE mfiauto.installment_outcome (
  installment_id bigint NOT NULL,
  due_on date NOT NULL,
  loan_id bigint NOT NULL,
  client_id bigint,
  branch_id bigint,
  currency text NOT NULL,
  amount_due numeric NOT NULL,
  deadline_on date NOT NULL,
  paid_before numeric,
  seen_on date NOT NULL,
  is_frozen boolean NOT NULL,
  paid_by_deadline numeric NOT NULL DEFAULT 0,
  paid_in_full_on date,
  CONSTRAINT installment_outcome_pkey PRIMARY KEY (installment_id, due_on)
);
CREATE INDEX installment_outcome_due_idx ON mfiauto.installment_outcome (due_on);
CREATE INDEX installment_outcome_loan_idx ON mfiauto.installment_outcome (loan_id);
COMMENT ON TABLE mfiauto.installment_outcome IS
  'One row an installment and due date: the amount in force on that date, what was paid by the deadline (due date and grace), and when all was.';

-- In which arm of which workflow an installment was when it fell due. Entered later: not there, its outcome came first.
CREATE TABLE mfiauto.installment_arm (
  installment_id bigint NOT NULL,
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  arm text NOT NULL,
  entered_on date NOT NULL,
  CONSTRAINT installment_arm_pkey PRIMARY KEY (installment_id, workflow_id)
);

-- workflow_id 0 and arm 'all': every installment of the book, in a workflow or not.
CREATE TABLE mfiauto.rollup_repayment (
  period date NOT NULL,
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  arm text NOT NULL,
  currency text NOT NULL,
  due_count bigint NOT NULL,
  on_time_count bigint NOT NULL,
  due_amount numeric NOT NULL,
  on_time_amount numeric NOT NULL,
  immature_count bigint NOT NULL,
  CONSTRAINT rollup_repayment_pkey PRIMARY KEY (period, workflow_id, version, arm, currency)
);

CREATE TABLE mfiauto.arrears_episode (
  loan_id bigint NOT NULL,
  started_on date NOT NULL,
  ended_on date,
  installment_id bigint NOT NULL,
  client_id bigint,
  branch_id bigint,
  currency text NOT NULL,
  amount_overdue numeric NOT NULL,
  collected_7 numeric NOT NULL,
  collected_30 numeric NOT NULL,
  collected_90 numeric NOT NULL,
  CONSTRAINT arrears_episode_pkey PRIMARY KEY (loan_id, started_on)
);
COMMENT ON TABLE mfiauto.arrears_episode IS
  'One row a delinquency: from a loan''s first overdue day until nothing is overdue. collected_N: of the amount overdue on the first day, what came in on the first N days.';

-- Each loan as the last refresh saw it; a written-off loan keeps what was outstanding before.
CREATE TABLE mfiauto.portfolio_loan (
  loan_id bigint NOT NULL,
  client_id bigint,
  branch_id bigint,
  currency text NOT NULL,
  status text NOT NULL,
  outstanding numeric NOT NULL,
  days_late integer NOT NULL,
  written_off_on date,
  written_off_amount numeric,
  seen_on date NOT NULL,
  CONSTRAINT portfolio_loan_pkey PRIMARY KEY (loan_id)
);

CREATE TABLE mfiauto.rollup_portfolio (
  period date NOT NULL,
  currency text NOT NULL,
  branch_id bigint NOT NULL,
  loan_count bigint NOT NULL,
  outstanding numeric NOT NULL,
  late_1_count bigint NOT NULL,
  late_1_amount numeric NOT NULL,
  late_7_count bigint NOT NULL,
  late_7_amount numeric NOT NULL,
  late_30_count bigint NOT NULL,
  late_30_amount numeric NOT NULL,
  late_60_count bigint NOT NULL,
  late_60_amount numeric NOT NULL,
  late_90_count bigint NOT NULL,
  late_90_amount numeric NOT NULL,
  renegotiated_amount numeric NOT NULL,
  written_off_count bigint NOT NULL,
  written_off_amount numeric NOT NULL,
  CONSTRAINT rollup_portfolio_pkey PRIMARY KEY (period, currency, branch_id)
);

-- Persons, counted once a period: a month is not the sum of its days, so each grain has its own rows. Grain '30 days'
-- is one row for the page of all KPIs: messages of the 30 days that ended a week before the refresh.
CREATE TABLE mfiauto.rollup_opt_out (
  grain text NOT NULL,
  period date NOT NULL,
  workflow_id integer NOT NULL,
  channel text NOT NULL,
  person_count bigint NOT NULL,
  opt_out_count bigint NOT NULL,
  unattributed_count bigint NOT NULL,
  is_mature boolean NOT NULL,
  CONSTRAINT rollup_opt_out_pkey PRIMARY KEY (grain, period, workflow_id, channel)
);

-- How each message counts; both the roll-up and kpi_delivery_explain read it, so that they cannot differ.
CREATE VIEW mfiauto._message_outcome AS
  SELECT m.message_id, m.client_id, m.created_at, coalesce(m.workflow_id, 0) AS workflow_id, coalesce(m.version, 0) AS version,
         coalesce(m.step_no, 0) AS step_no, coalesce(m.channel, '') AS channel, coalesce(m.gateway, '') AS gateway,
         coalesce(m.currency, '') AS currency, m.state, m.parts, m.cost, m.sent_at, m.subject, m.subject_id,
         (coalesce(m.sent_at, m.due_at) AT TIME ZONE r.time_zone)::date AS period,
         CASE WHEN m.state = 'delivered' THEN 'delivered'
              WHEN m.state = 'undelivered' OR m.state = 'failed' AND m.sent_at IS NOT NULL THEN 'failed'
              WHEN m.state IN ('submitted', 'sent') OR m.state = 'unknown' AND m.sent_at IS NOT NULL
              THEN CASE WHEN r.as_of < coalesce(m.expires_at, m.sent_at + interval '72 hours') + interval '24 hours' THEN 'pending' ELSE 'missing' END
              WHEN m.state = 'unknown' THEN 'unknown'
              WHEN m.state = 'holdout' THEN 'holdout'
              ELSE 'not accepted' END AS counted_as
    FROM mfiauto.message_ledger m CROSS JOIN mfiauto.kpi_refresh r;

CREATE VIEW mfiauto.kpi_delivery AS
  SELECT d.period, h.name AS workflow, nullif(d.version, 0) AS version, s.path AS step, nullif(d.channel, '') AS channel, nullif(d.gateway, '') AS gateway,
         d.message_count, d.holdout_count, d.accepted_count, d.delivered_count, d.failed_count, d.missing_count, d.pending_count, d.unknown_count,
         round(d.delivered_count::numeric / nullif(d.accepted_count, 0), 4) AS delivery_ratio,
         round(d.delivered_count::numeric / nullif(d.delivered_count + d.failed_count, 0), 4) AS receipt_ratio,
         d.pending_count = 0 AS is_mature
    FROM (SELECT period, workflow_id, version, step_no, channel, gateway, sum(message_count)::bigint AS message_count, sum(holdout_count)::bigint AS holdout_count,
                 sum(accepted_count)::bigint AS accepted_count, sum(delivered_count)::bigint AS delivered_count, sum(failed_count)::bigint AS failed_count,
                 sum(missing_count)::bigint AS missing_count, sum(pending_count)::bigint AS pending_count, sum(unknown_count)::bigint AS unknown_count
            FROM mfiauto.rollup_message GROUP BY period, workflow_id, version, step_no, channel, gateway) d
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = d.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = d.workflow_id AND s.version = d.version AND s.step_no = d.step_no;
COMMENT ON VIEW mfiauto.kpi_delivery IS
  'K1 delivery rate = messages whose receipt says delivered / messages accepted by a gateway. Grain: day of sending, workflow, version, step, channel, gateway; unit: ratio.
   Without a receipt 24 hours after its validity a message is missing: in the denominator alone; before that it is pending and the row not mature. receipt_ratio = delivered / (delivered + failed).
   unknown: nobody knows whether the gateway accepted it. holdout_count: what the held-out clients would have had.';

CREATE VIEW mfiauto.kpi_delivery_explain AS
  SELECT o.period, h.name AS workflow, nullif(o.version, 0) AS version, s.path AS step, nullif(o.channel, '') AS channel, nullif(o.gateway, '') AS gateway,
         o.message_id, o.client_id, o.state, o.counted_as
    FROM mfiauto._message_outcome o
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = o.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = o.workflow_id AND s.version = o.version AND s.step_no = o.step_no;
COMMENT ON VIEW mfiauto.kpi_delivery_explain IS 'The messages that kpi_delivery and kpi_cost_per_message count, one row each, and as what.';

CREATE VIEW mfiauto.kpi_cost_per_message AS
  SELECT c.period, nullif(c.channel, '') AS channel, nullif(c.gateway, '') AS gateway, nullif(c.currency, '') AS currency,
         c.accepted_count, c.delivered_count, c.part_count, c.cost,
         round((c.cost - c.pending_cost) / nullif(c.delivered_count, 0), 4) AS cost_per_delivered,
         round(c.cost / nullif(c.accepted_count, 0), 4) AS cost_per_accepted, c.is_mature
    FROM (SELECT period, channel, gateway, currency, sum(accepted_count)::bigint AS accepted_count, sum(delivered_count)::bigint AS delivered_count,
                 sum(part_count)::bigint AS part_count, sum(cost) AS cost, sum(pending_cost) AS pending_cost, sum(pending_count) = 0 AS is_mature
            FROM mfiauto.rollup_message GROUP BY period, channel, gateway, currency HAVING sum(accepted_count) > 0) c;
COMMENT ON VIEW mfiauto.kpi_cost_per_message IS
  'K15 cost per communication = cost of the messages accepted by a gateway (delivered or not, pending ones left out) / messages delivered. Grain: day of sending, channel, gateway, currency; unit: money of that currency per message.
   Currencies are never added up. Rows counted: kpi_delivery_explain.';

CREATE VIEW mfiauto.kpi_on_time_repayment AS
  SELECT g.grain, g.period, h.name AS workflow, nullif(g.version, 0) AS version, g.arm, g.currency,
         g.due_count, g.on_time_count, round(g.on_time_count::numeric / nullif(g.due_count, 0), 4) AS on_time_ratio,
         g.due_amount, g.on_time_amount, round(g.on_time_amount / nullif(g.due_amount, 0), 4) AS on_time_value_ratio,
         g.immature_count, g.immature_count = 0 AS is_mature
    FROM (SELECT t.grain, date_trunc(t.grain, d.period)::date AS period, d.workflow_id, d.version, d.arm, d.currency,
                 sum(d.due_count)::bigint AS due_count, sum(d.on_time_count)::bigint AS on_time_count, sum(d.due_amount) AS due_amount,
                 sum(d.on_time_amount) AS on_time_amount, sum(d.immature_count)::bigint AS immature_count
            FROM mfiauto.rollup_repayment d CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(grain)
           GROUP BY t.grain, date_trunc(t.grain, d.period), d.workflow_id, d.version, d.arm, d.currency) g
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = g.workflow_id;
COMMENT ON VIEW mfiauto.kpi_on_time_repayment IS
  'K7 on-time repayment. By count = installments fully paid by their due date plus the institution''s grace days / installments due; by value = sum(least(paid by then, due)) / sum(due).
   Grain: day, week or month of the due date (choose one in column grain), workflow, version, arm (treated, holdout), currency; unit: ratio. Workflow null and arm all: the whole book.
   The amount and date in force on the due date count, whatever was rescheduled later; reversed payments count as never made. immature_count: still within grace, in neither sum.';

CREATE VIEW mfiauto.kpi_on_time_repayment_explain AS
  SELECT o.due_on AS period, h.name AS workflow, a.version, coalesce(a.arm, 'none') AS arm, o.currency, o.client_id, o.loan_id, o.installment_id, o.amount_due,
         o.deadline_on, least(o.paid_by_deadline, o.amount_due) AS paid_by_deadline, o.paid_in_full_on,
         CASE WHEN o.deadline_on >= r.on_date THEN 'immature' WHEN o.paid_by_deadline >= o.amount_due THEN 'on time' ELSE 'late' END AS counted_as
    FROM mfiauto.installment_outcome o CROSS JOIN mfiauto.kpi_refresh r
    LEFT JOIN mfiauto.installment_arm a ON a.installment_id = o.installment_id AND a.entered_on <= o.due_on
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = a.workflow_id
   WHERE o.due_on < r.on_date;
COMMENT ON VIEW mfiauto.kpi_on_time_repayment_explain IS 'The installments that kpi_on_time_repayment counts, one row each and workflow (none: in no workflow), and as what.';

-- Installments of one client share their arm and their habits, so the interval is between clients, not installments. How
-- much clients scatter is taken from both arms together: a holdout of a few clients could not tell it alone.
CREATE VIEW mfiauto.kpi_reminder_effect AS
  WITH unit AS (
    SELECT a.workflow_id, a.arm, coalesce(o.client_id, -o.loan_id) AS unit_id, count(*) AS due, count(*) FILTER (WHERE o.paid_by_deadline >= o.amount_due) AS on_time
      FROM mfiauto.installment_outcome o CROSS JOIN mfiauto.kpi_refresh r
      JOIN mfiauto.installment_arm a ON a.installment_id = o.installment_id AND a.entered_on <= o.due_on
     WHERE o.deadline_on < r.on_date AND o.due_on >= r.on_date - 90
     GROUP BY a.workflow_id, a.arm, coalesce(o.client_id, -o.loan_id)
  ), rate AS (
    SELECT workflow_id, arm, count(*) AS units, sum(due) AS due, sum(on_time) AS on_time, sum(on_time) / sum(due) AS ratio FROM unit GROUP BY workflow_id, arm
  ), spread AS (
    SELECT u.workflow_id, sum((u.on_time - r.ratio * u.due) ^ 2) / sum(u.due) * count(*) / nullif(count(*) - 2, 0) AS variance
      FROM unit u JOIN rate r ON r.workflow_id = u.workflow_id AND r.arm = u.arm
     GROUP BY u.workflow_id
  ), effect AS (
    SELECT t.workflow_id, t.units AS treated_units, t.due AS treated_due, t.ratio AS treated_ratio, c.units AS holdout_units, c.due AS holdout_due, c.ratio AS holdout_ratio,
           t.ratio - c.ratio AS difference, 1.96 * sqrt(s.variance * (1 / t.due + 1 / c.due)) AS margin
      FROM rate t JOIN rate c ON c.workflow_id = t.workflow_id AND c.arm = 'holdout' JOIN spread s ON s.workflow_id = t.workflow_id
     WHERE t.arm = 'treated'
  )
  SELECT h.name AS workflow, e.treated_units AS treated_clients, e.treated_due, round(e.treated_ratio, 4) AS treated_ratio,
         e.holdout_units AS holdout_clients, e.holdout_due, round(e.holdout_ratio, 4) AS holdout_ratio,
         round(e.difference, 4) AS difference, round(e.difference - e.margin, 4) AS low_95, round(e.difference + e.margin, 4) AS high_95
    FROM effect e JOIN mfiauto.workflow_head h ON h.workflow_id = e.workflow_id;
COMMENT ON VIEW mfiauto.kpi_reminder_effect IS
  'What the reminders change: on-time ratio (K7, by count) of treated minus held-out clients, with its 95 % interval. Grain: workflow, due dates of the last 90 days; unit: ratio.
   Treated means meant to be reminded, reached or not. The variance is taken between clients (a group loan is one), since installments of one client go together, over both arms.';

CREATE VIEW mfiauto.kpi_arrears_recovery AS
  SELECT date_trunc('month', e.started_on)::date AS period, h.name AS workflow, coalesce(a.arm, 'all') AS arm, e.currency,
         count(*) AS episode_count, count(e.ended_on) AS ended_count, sum(e.amount_overdue) AS amount_overdue,
         count(*) FILTER (WHERE e.started_on + 30 > r.on_date) AS immature_count,
         sum(e.amount_overdue) FILTER (WHERE e.started_on + 30 <= r.on_date) AS matured_overdue,
         sum(e.collected_30) FILTER (WHERE e.started_on + 30 <= r.on_date) AS collected_30,
         round(sum(e.collected_7) FILTER (WHERE e.started_on + 7 <= r.on_date) / nullif(sum(e.amount_overdue) FILTER (WHERE e.started_on + 7 <= r.on_date), 0), 4) AS recovery_7_ratio,
         round(sum(e.collected_30) FILTER (WHERE e.started_on + 30 <= r.on_date) / nullif(sum(e.amount_overdue) FILTER (WHERE e.started_on + 30 <= r.on_date), 0), 4) AS recovery_30_ratio,
         round(sum(e.collected_90) FILTER (WHERE e.started_on + 90 <= r.on_date) / nullif(sum(e.amount_overdue) FILTER (WHERE e.started_on + 90 <= r.on_date), 0), 4) AS recovery_90_ratio
    FROM mfiauto.arrears_episode e CROSS JOIN mfiauto.kpi_refresh r
    LEFT JOIN LATERAL (SELECT NULL::integer AS workflow_id, NULL::text AS arm
                       UNION ALL SELECT x.workflow_id, x.arm FROM mfiauto.installment_arm x WHERE x.installment_id = e.installment_id AND x.entered_on < e.started_on) a ON true
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = a.workflow_id
   GROUP BY date_trunc('month', e.started_on), h.name, coalesce(a.arm, 'all'), e.currency;
COMMENT ON VIEW mfiauto.kpi_arrears_recovery IS
  'K8 arrears recovery = amount collected within N days of the first overdue day (it included) / amount overdue on that day, per delinquency episode; N = 7, 30, 90.
   Grain: month in which the episode began, workflow and arm of its first late installment (null and all: the whole book), currency; unit: ratio. No more is counted as collected than was overdue.
   A ratio takes only episodes older than its N days; immature_count: those younger than 30 days.';

CREATE VIEW mfiauto.kpi_arrears_recovery_explain AS
  SELECT date_trunc('month', e.started_on)::date AS period, e.loan_id, e.client_id, e.branch_id, e.installment_id, e.started_on, e.ended_on, e.currency,
         e.amount_overdue, e.collected_7, e.collected_30, e.collected_90, e.started_on + 30 <= r.on_date AS is_mature
    FROM mfiauto.arrears_episode e CROSS JOIN mfiauto.kpi_refresh r;
COMMENT ON VIEW mfiauto.kpi_arrears_recovery_explain IS 'The delinquency episodes that kpi_arrears_recovery counts, one row each.';

CREATE VIEW mfiauto.kpi_portfolio_at_risk AS
  SELECT p.period, p.currency, nullif(p.branch_id, 0) AS branch_id, p.loan_count, p.outstanding,
         round(p.late_1_amount / nullif(p.outstanding, 0), 4) AS par_1, round(p.late_7_amount / nullif(p.outstanding, 0), 4) AS par_7,
         round(p.late_30_amount / nullif(p.outstanding, 0), 4) AS par_30, round(p.late_60_amount / nullif(p.outstanding, 0), 4) AS par_60,
         round(p.late_90_amount / nullif(p.outstanding, 0), 4) AS par_90,
         p.late_1_amount, p.late_7_amount, p.late_30_amount, p.late_60_amount, p.late_90_amount,
         p.late_1_count, p.late_7_count, p.late_30_count, p.late_60_count, p.late_90_count,
         round(p.late_30_count::numeric / nullif(p.loan_count, 0), 4) AS lar_30,
         p.renegotiated_amount, p.written_off_count, p.written_off_amount
    FROM mfiauto.rollup_portfolio p;
COMMENT ON VIEW mfiauto.kpi_portfolio_at_risk IS
  'K8b portfolio at risk: PAR X = outstanding principal of the loans with any installment more than X days late / outstanding principal of all active loans; the whole balance counts.
   LAR 30 = number of such loans / number of active loans. Grain: day of the snapshot, currency, branch; unit: ratio, and money of that currency.
   Beside it: what is renegotiated, and what was written off in the twelve months before (write-offs shrink PAR; an amount not known when it was written off counts 0).';

CREATE VIEW mfiauto.kpi_portfolio_at_risk_explain AS
  SELECT l.seen_on AS period, l.currency, l.branch_id, l.loan_id, l.client_id, l.status, l.outstanding, l.days_late, l.written_off_on, l.written_off_amount
    FROM mfiauto.portfolio_loan l;
COMMENT ON VIEW mfiauto.kpi_portfolio_at_risk_explain IS 'The loans that the newest snapshot of kpi_portfolio_at_risk counts, one row each.';

CREATE VIEW mfiauto.kpi_opt_out AS
  SELECT o.grain, o.period, h.name AS workflow, nullif(o.channel, '') AS channel, o.person_count, o.opt_out_count, o.unattributed_count,
         round(o.opt_out_count::numeric / nullif(o.person_count, 0), 4) AS opt_out_ratio, o.is_mature
    FROM mfiauto.rollup_opt_out o LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = o.workflow_id
   WHERE o.grain <> '30 days';
COMMENT ON VIEW mfiauto.kpi_opt_out IS
  'K4 opt-out rate = persons who opted out within 7 days of a message / persons who had a message delivered. The last message delivered before the opt-out, on its channel if it names one, answers for it.
   Grain: day, week or month of that message (choose one in column grain), workflow, channel; unit: ratio. A person counts once a row. unattributed_count: persons who opted out with no message in
   the 7 days before, in rows of their own by the day of the opt-out. Not mature: the 7 days are not over.';

CREATE VIEW mfiauto.kpi_opt_out_explain AS
  SELECT (c.given_at AT TIME ZONE r.time_zone)::date AS opted_out_on, c.client_id, c.channel, c.reason, c.source, h.name AS workflow, m.message_id,
         (m.sent_at AT TIME ZONE r.time_zone)::date AS period, CASE WHEN m.message_id IS NULL THEN 'unattributed' ELSE 'opt-out' END AS counted_as
    FROM mfiauto.consent c CROSS JOIN mfiauto.kpi_refresh r
    LEFT JOIN LATERAL (SELECT l.message_id, l.sent_at, l.workflow_id FROM mfiauto.message_ledger l
                        WHERE l.client_id = c.client_id AND l.state = 'delivered' AND l.sent_at <= c.given_at AND l.sent_at > c.given_at - interval '7 days'
                          AND (c.channel IS NULL OR l.channel = c.channel)
                        ORDER BY l.sent_at DESC, l.message_id DESC LIMIT 1) m ON true
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
   WHERE NOT c.granted;
COMMENT ON VIEW mfiauto.kpi_opt_out_explain IS 'The opt-outs that kpi_opt_out counts, one row each, with the message that answers for each.';

-- Every KPI on one page, over the 30 days up to the last refresh; matured rows alone, as each view defines them.
CREATE VIEW mfiauto.kpi AS
  WITH r AS (SELECT on_date, as_of FROM mfiauto.kpi_refresh),
  line(position, name, formula, unit, numerator, denominator) AS (
    SELECT 1, 'delivery_rate', 'messages delivered / messages accepted by a gateway', 'ratio', sum(m.delivered_count), sum(m.accepted_count - m.pending_count)
      FROM mfiauto.rollup_message m, r WHERE m.period > r.on_date - 30
    UNION ALL
    SELECT 2, 'on_time_repayment', 'installments fully paid by due date and grace / installments due', 'ratio', sum(p.on_time_count), sum(p.due_count)
      FROM mfiauto.rollup_repayment p, r WHERE p.workflow_id = 0 AND p.period > r.on_date - 30
    UNION ALL
    SELECT 3, 'on_time_repayment_value', 'amount paid by due date and grace / amount due', 'ratio, ' || p.currency, sum(p.on_time_amount), sum(p.due_amount)
      FROM mfiauto.rollup_repayment p, r WHERE p.workflow_id = 0 AND p.period > r.on_date - 30 GROUP BY p.currency
    UNION ALL
    SELECT 4, 'on_time_repayment_' || p.arm, 'the same as on_time_repayment, clients ' || CASE p.arm WHEN 'holdout' THEN 'held out of' ELSE 'treated by' END || ' workflow ' || h.name,
           'ratio', sum(p.on_time_count), sum(p.due_count)
      FROM mfiauto.rollup_repayment p JOIN mfiauto.workflow_head h ON h.workflow_id = p.workflow_id, r WHERE p.period > r.on_date - 30 GROUP BY p.arm, h.name
    UNION ALL
    SELECT 5, 'arrears_recovery_7', 'collected within 7 days of the first overdue day / overdue on that day', 'ratio, ' || e.currency, sum(e.collected_7), sum(e.amount_overdue)
      FROM mfiauto.arrears_episode e, r WHERE e.started_on + 7 <= r.on_date AND e.started_on > r.on_date - 30 GROUP BY e.currency
    UNION ALL
    SELECT 6, 'portfolio_at_risk_30', 'outstanding of loans with any installment more than 30 days late / outstanding of all', 'ratio, ' || p.currency, sum(p.late_30_amount), sum(p.outstanding)
      FROM mfiauto.rollup_portfolio p WHERE p.period = (SELECT max(x.period) FROM mfiauto.rollup_portfolio x) GROUP BY p.currency
    UNION ALL
    SELECT 7, 'cost_per_message', 'cost of messages accepted by a gateway / messages delivered', m.currency || ' per message', sum(m.cost - m.pending_cost), sum(m.delivered_count)
      FROM mfiauto.rollup_message m, r WHERE m.period > r.on_date - 30 AND m.currency <> '' GROUP BY m.currency
    UNION ALL
    SELECT 8, 'opt_out_rate', 'persons opting out within 7 days of a message / persons with one delivered, in 30 days that ended a week ago', 'ratio', o.opt_out_count, o.person_count
      FROM mfiauto.rollup_opt_out o WHERE o.grain = '30 days'
  )
  SELECT l.name, l.formula, l.unit, round(l.numerator / nullif(l.denominator, 0), 4) AS value, l.numerator, l.denominator, r.as_of
    FROM line l CROSS JOIN r ORDER BY l.position, l.name, l.unit;
COMMENT ON VIEW mfiauto.kpi IS
  'Every KPI: name, formula, unit, and its value over the 30 days up to as_of (the last refresh_kpis()) with numerator and denominator; portfolio at risk is the newest snapshot''s. Null: nothing to divide by.';
