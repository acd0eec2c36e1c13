-- refresh_kpis(): brings the roll-ups up to date. The last 40 days are computed anew at each run (late receipts,
-- reversals, backdated payments), what is older stays as it was, unless a day is given to begin from.

CREATE FUNCTION mfiauto._local_date(at timestamptz, zone text) RETURNS date
  LANGUAGE sql STABLE AS $$ SELECT (at AT TIME ZONE zone)::date $$;

CREATE FUNCTION mfiauto._refresh_messages(since date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  written bigint;
BEGIN
  DELETE FROM mfiauto.rollup_message m WHERE m.period >= since;
  -- A message may wait some days between its creation and its sending; the ledger is partitioned by creation.
  INSERT INTO mfiauto.rollup_message
  SELECT o.period, o.workflow_id, o.version, o.step_no, o.channel, o.gateway, o.currency, count(*),
         count(*) FILTER (WHERE o.counted_as = 'holdout'),
         count(*) FILTER (WHERE o.counted_as IN ('delivered', 'failed', 'pending', 'missing')),
         count(*) FILTER (WHERE o.counted_as = 'delivered'), count(*) FILTER (WHERE o.counted_as = 'failed'),
         count(*) FILTER (WHERE o.counted_as = 'pending'), count(*) FILTER (WHERE o.counted_as = 'missing'),
         count(*) FILTER (WHERE o.counted_as = 'unknown'),
         coalesce(sum(o.parts) FILTER (WHERE o.counted_as IN ('delivered', 'failed', 'pending', 'missing')), 0),
         coalesce(sum(o.cost) FILTER (WHERE o.counted_as IN ('delivered', 'failed', 'pending', 'missing')), 0),
         coalesce(sum(o.cost) FILTER (WHERE o.counted_as = 'pending'), 0),
         count(*) FILTER (WHERE o.state = 'failed' AND o.sent_at IS NULL)
    FROM mfiauto._message_outcome o
   WHERE o.period >= since AND o.created_at >= since - interval '15 days'
   GROUP BY o.period, o.workflow_id, o.version, o.step_no, o.channel, o.gateway, o.currency;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- Sets out the books for one refresh, of the loans that owe something in the time looked at: what each has paid in all, day
-- by day (by the day the money came; reversed payments never came), and its schedule in force now. Loans that never got
-- their money owe nothing. paid_before: money that this schedule does not show (an earlier one's, fees outside it) is
-- paid before everything, then the oldest installment first.
CREATE FUNCTION mfiauto._set_out_books(since date, today date, zone text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  home_currency text := (SELECT i.currency FROM mfiauto.institution i);
  has_payments boolean := to_regclass('mfiauto.payment') IS NOT NULL;
BEGIN
  CREATE TEMP TABLE _mfi_owing ON COMMIT DROP AS
  SELECT i.loan_id, NULL::bigint AS client_id, NULL::bigint AS branch_id, home_currency AS currency
    FROM mfiauto.installment i WHERE i.due_date BETWEEN since AND today + 7 AND i.loan_id IS NOT NULL
   UNION
  SELECT o.loan_id, NULL, NULL, home_currency FROM mfiauto.installment_outcome o
   WHERE o.due_on >= since OR o.paid_in_full_on IS NULL OR o.paid_in_full_on >= since - 90;
  IF to_regclass('mfiauto.loan') IS NOT NULL THEN
    -- A disbursal that was undone takes what was noted of the loan along.
    DELETE FROM mfiauto.installment_outcome o USING mfiauto.loan l WHERE l.loan_id = o.loan_id AND l.status IN ('applied', 'approved', 'rejected', 'withdrawn');
    DELETE FROM _mfi_owing w USING mfiauto.loan l WHERE l.loan_id = w.loan_id AND l.status IN ('applied', 'approved', 'rejected', 'withdrawn');
    UPDATE _mfi_owing w SET client_id = l.client_id, branch_id = l.branch_id, currency = coalesce(l.currency, home_currency)
      FROM mfiauto.loan l WHERE l.loan_id = w.loan_id;
  END IF;
  ANALYZE _mfi_owing;
  CREATE TEMP TABLE _mfi_paid (loan_id bigint, paid_on date, amount numeric, paid_so_far numeric) ON COMMIT DROP;
  IF has_payments THEN
    INSERT INTO _mfi_paid
    SELECT d.loan_id, d.paid_on, d.amount, sum(d.amount) OVER (PARTITION BY d.loan_id ORDER BY d.paid_on)
      FROM (SELECT p.loan_id, mfiauto._local_date(p.paid_at, zone) AS paid_on, sum(p.amount) AS amount
              FROM mfiauto.payment p JOIN _mfi_owing w ON w.loan_id = p.loan_id
             WHERE NOT coalesce(p.reversed, false) GROUP BY 1, 2) d;
  END IF;
  ANALYZE _mfi_paid;
  CREATE TEMP TABLE _mfi_schedule ON COMMIT DROP AS
  SELECT x.*
    FROM (SELECT i.installment_id, i.due_date AS due_on, i.loan_id, coalesce(i.client_id, w.client_id) AS client_id, w.branch_id, w.currency,
                 i.amount_due, i.amount_paid, i.paid_on,
                 CASE WHEN has_payments
                      THEN sum(i.amount_due) OVER (PARTITION BY i.loan_id ORDER BY i.due_date, i.number, i.installment_id) - i.amount_due
                           + coalesce(p.paid, 0) - sum(i.amount_paid) OVER (PARTITION BY i.loan_id) END AS paid_before
            FROM mfiauto.installment i
            JOIN _mfi_owing w ON w.loan_id = i.loan_id
            LEFT JOIN (SELECT d.loan_id, sum(d.amount) AS paid FROM _mfi_paid d GROUP BY d.loan_id) p ON p.loan_id = i.loan_id
           WHERE i.due_date IS NOT NULL) x
   WHERE x.due_on <= today + 7;
  ANALYZE _mfi_schedule;
END $$;

-- Takes down what falls due: watched from a week before, frozen when the day has passed.
CREATE FUNCTION mfiauto._observe_installments(since date, today date, zone text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  grace integer := (SELECT i.grace_days FROM mfiauto.institution i);
  written bigint;
BEGIN
  -- A date that moved before its day, or on it, takes its row along; one that moved later leaves the row behind.
  DELETE FROM mfiauto.installment_outcome o
   WHERE NOT o.is_frozen
     AND NOT EXISTS (SELECT FROM _mfi_schedule s WHERE s.installment_id = o.installment_id AND s.due_on = o.due_on)
     AND (o.due_on >= today
          OR EXISTS (SELECT FROM mfiauto.event_log e
                      WHERE e.name = 'Installment Rescheduled' AND e.subject = 'installment' AND e.subject_id = o.installment_id
                        AND e.received_at >= o.seen_on - 1 AND mfiauto._local_date(e.occurred_at, zone) BETWEEN o.seen_on AND o.due_on));
  UPDATE mfiauto.installment_outcome o SET is_frozen = true WHERE NOT o.is_frozen AND o.due_on < today;
  UPDATE mfiauto.installment_outcome o
     SET amount_due = s.amount_due, paid_before = s.paid_before, deadline_on = s.due_on + grace, client_id = s.client_id, branch_id = s.branch_id,
         currency = s.currency, seen_on = today
    FROM _mfi_schedule s
   WHERE NOT o.is_frozen AND s.installment_id = o.installment_id AND s.due_on = o.due_on;
  INSERT INTO mfiauto.installment_outcome
    (installment_id, due_on, loan_id, client_id, branch_id, currency, amount_due, deadline_on, paid_before, seen_on, is_frozen)
  SELECT s.installment_id, s.due_on, s.loan_id, s.client_id, s.branch_id, s.currency, s.amount_due, s.due_on + grace, s.paid_before, today, s.due_on < today
    FROM _mfi_schedule s
   WHERE s.due_on BETWEEN since AND today + 7 AND s.amount_due > 0
  ON CONFLICT (installment_id, due_on) DO NOTHING;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- What was paid of it by the deadline, and when all was. The bank's own word that an installment was paid in full on a
-- day is taken where it still has that installment, with no less to pay.
CREATE FUNCTION mfiauto._measure_installments(since date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  written bigint;
BEGIN
  WITH measured AS (
    SELECT o.installment_id, o.due_on, o.amount_due, o.deadline_on,
           greatest(0, least(o.amount_due, coalesce(max(p.paid_so_far) FILTER (WHERE p.paid_on <= o.deadline_on) - o.paid_before, 0))) AS by_deadline,
           least(min(p.paid_on) FILTER (WHERE p.paid_so_far >= o.paid_before + o.amount_due),
                 min(s.paid_on) FILTER (WHERE s.amount_paid >= o.amount_due)) AS in_full_on
      FROM mfiauto.installment_outcome o
      LEFT JOIN _mfi_paid p ON p.loan_id = o.loan_id
      LEFT JOIN _mfi_schedule s ON s.installment_id = o.installment_id AND s.due_on = o.due_on
     WHERE o.is_frozen AND (o.due_on >= since OR o.paid_in_full_on IS NULL)
     GROUP BY o.installment_id, o.due_on
  ), outcome AS (
    SELECT m.installment_id, m.due_on, CASE WHEN m.in_full_on <= m.deadline_on THEN m.amount_due ELSE m.by_deadline END AS by_deadline, m.in_full_on
      FROM measured m
  )
  UPDATE mfiauto.installment_outcome o SET paid_by_deadline = x.by_deadline, paid_in_full_on = x.in_full_on
    FROM outcome x
   WHERE o.installment_id = x.installment_id AND o.due_on = x.due_on
     AND (o.paid_by_deadline, o.paid_in_full_on) IS DISTINCT FROM (x.by_deadline, x.in_full_on);
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

CREATE FUNCTION mfiauto._refresh_repayment(since date, today date, zone text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  written bigint;
BEGIN
  -- A group loan's members share the arm of their loan; the first one entered stands for it.
  DELETE FROM mfiauto.installment_arm a USING mfiauto.installment_outcome o
   WHERE o.installment_id = a.installment_id AND o.due_on >= since;
  INSERT INTO mfiauto.installment_arm
  SELECT DISTINCT ON (e.subject_id, e.workflow_id) e.subject_id, e.workflow_id, e.version, e.arm, mfiauto._local_date(e.entered_at, zone)
    FROM mfiauto.enrollment_state e
   WHERE e.subject = 'installment'
     AND EXISTS (SELECT FROM mfiauto.installment_outcome o WHERE o.installment_id = e.subject_id AND o.due_on >= since)
   ORDER BY e.subject_id, e.workflow_id, e.entered_at, e.enrollment_id
  ON CONFLICT DO NOTHING;
  DELETE FROM mfiauto.rollup_repayment p WHERE p.period >= since;
  INSERT INTO mfiauto.rollup_repayment
  SELECT o.due_on, coalesce(a.workflow_id, 0), coalesce(a.version, 0), coalesce(a.arm, 'all'), o.currency,
         count(*) FILTER (WHERE o.deadline_on < today), count(*) FILTER (WHERE o.deadline_on < today AND o.paid_by_deadline >= o.amount_due),
         coalesce(sum(o.amount_due) FILTER (WHERE o.deadline_on < today), 0), coalesce(sum(o.paid_by_deadline) FILTER (WHERE o.deadline_on < today), 0),
         count(*) FILTER (WHERE o.deadline_on >= today)
    FROM mfiauto.installment_outcome o
    JOIN LATERAL (SELECT NULL::integer AS workflow_id, NULL::integer AS version, NULL::text AS arm
                  UNION ALL SELECT x.workflow_id, x.version, x.arm FROM mfiauto.installment_arm x
                             WHERE x.installment_id = o.installment_id AND x.entered_on <= o.due_on) a ON true
   WHERE o.is_frozen AND o.due_on >= since
   GROUP BY o.due_on, coalesce(a.workflow_id, 0), coalesce(a.version, 0), coalesce(a.arm, 'all'), o.currency;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- Episodes: a loan is overdue from the day after the deadline of an unpaid installment until that one is paid; stretches
-- that touch or overlap are one episode.
CREATE FUNCTION mfiauto._refresh_episodes(today date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  written bigint;
BEGIN
  -- Loans that were settled long ago keep their episodes.
  DELETE FROM mfiauto.arrears_episode e USING _mfi_owing l WHERE l.loan_id = e.loan_id;
  DELETE FROM mfiauto.arrears_episode e WHERE NOT EXISTS (SELECT FROM mfiauto.installment_outcome o WHERE o.loan_id = e.loan_id);
  INSERT INTO mfiauto.arrears_episode
  WITH late AS (
    SELECT o.*, o.deadline_on + 1 AS late_from, coalesce(o.paid_in_full_on, 'infinity'::date) AS cured_on
      FROM mfiauto.installment_outcome o JOIN _mfi_owing l ON l.loan_id = o.loan_id
     WHERE o.is_frozen AND o.deadline_on < today AND (o.paid_in_full_on IS NULL OR o.paid_in_full_on > o.deadline_on)
  ), marked AS (
    SELECT l.*, CASE WHEN l.late_from <= max(l.cured_on) OVER (PARTITION BY l.loan_id ORDER BY l.late_from, l.installment_id
                                                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) THEN 0 ELSE 1 END AS is_first
      FROM late l
  ), numbered AS (
    SELECT m.*, sum(m.is_first) OVER (PARTITION BY m.loan_id ORDER BY m.late_from, m.installment_id) AS episode_no FROM marked m
  ), dated AS (
    SELECT n.*, min(n.late_from) OVER (PARTITION BY n.loan_id, n.episode_no) AS started_on FROM numbered n
  ), episode AS (
    SELECT d.loan_id, d.started_on, nullif(max(d.cured_on), 'infinity') AS ended_on, min(d.installment_id) FILTER (WHERE d.is_first = 1) AS installment_id,
           min(d.client_id) AS client_id, min(d.branch_id) AS branch_id, min(d.currency) AS currency,
           sum(d.amount_due - d.paid_by_deadline) FILTER (WHERE d.late_from = d.started_on) AS overdue
      FROM dated d GROUP BY d.loan_id, d.episode_no, d.started_on
  )
  SELECT e.loan_id, e.started_on, e.ended_on, e.installment_id, e.client_id, e.branch_id, e.currency, e.overdue,
         least(e.overdue, coalesce(sum(p.amount) FILTER (WHERE p.paid_on < e.started_on + 7), 0)),
         least(e.overdue, coalesce(sum(p.amount) FILTER (WHERE p.paid_on < e.started_on + 30), 0)),
         least(e.overdue, coalesce(sum(p.amount), 0))
    FROM episode e LEFT JOIN _mfi_paid p ON p.loan_id = e.loan_id AND p.paid_on >= e.started_on AND p.paid_on < e.started_on + 90
   GROUP BY e.loan_id, e.started_on, e.ended_on, e.installment_id, e.client_id, e.branch_id, e.currency, e.overdue;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

CREATE FUNCTION mfiauto._refresh_portfolio(today date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  home_currency text := (SELECT i.currency FROM mfiauto.institution i);
  written bigint;
BEGIN
  CREATE TEMP TABLE _mfi_portfolio ON COMMIT DROP AS
  SELECT l.loan_id, l.client_id, l.branch_id, coalesce(l.currency, home_currency) AS currency, l.status, coalesce(l.outstanding, 0) AS outstanding,
         0 AS days_late, CASE WHEN l.status = 'written_off' THEN l.written_off_on END AS written_off_on, NULL::numeric AS written_off_amount, today AS seen_on
    FROM mfiauto.loan l
   WHERE l.loan_id IS NOT NULL
     AND (l.status = 'active' OR l.status = 'rescheduled' AND l.outstanding > 0 OR l.status = 'written_off' AND l.written_off_on > today - interval '12 months');
  IF to_regclass('mfiauto.installment') IS NOT NULL THEN
    UPDATE _mfi_portfolio p SET days_late = greatest(0, today - i.oldest)
      FROM (SELECT x.loan_id, min(x.due_date) AS oldest FROM mfiauto.installment x WHERE x.balance > 0 AND isfinite(x.due_date) GROUP BY x.loan_id) i
     WHERE i.loan_id = p.loan_id;
  END IF;
  UPDATE _mfi_portfolio p
     SET written_off_amount = CASE WHEN p.outstanding > 0 THEN p.outstanding
                                   ELSE (SELECT coalesce(o.written_off_amount, nullif(o.outstanding, 0)) FROM mfiauto.portfolio_loan o WHERE o.loan_id = p.loan_id) END,
         outstanding = 0, days_late = 0
   WHERE p.status = 'written_off';
  DELETE FROM mfiauto.portfolio_loan;
  INSERT INTO mfiauto.portfolio_loan SELECT * FROM _mfi_portfolio;

  DELETE FROM mfiauto.rollup_portfolio r WHERE r.period = today;
  INSERT INTO mfiauto.rollup_portfolio
  SELECT today, p.currency, coalesce(p.branch_id, 0), count(*) FILTER (WHERE p.status <> 'written_off'), sum(p.outstanding),
         count(*) FILTER (WHERE p.days_late > 1), coalesce(sum(p.outstanding) FILTER (WHERE p.days_late > 1), 0),
         count(*) FILTER (WHERE p.days_late > 7), coalesce(sum(p.outstanding) FILTER (WHERE p.days_late > 7), 0),
         count(*) FILTER (WHERE p.days_late > 30), coalesce(sum(p.outstanding) FILTER (WHERE p.days_late > 30), 0),
         count(*) FILTER (WHERE p.days_late > 60), coalesce(sum(p.outstanding) FILTER (WHERE p.days_late > 60), 0),
         count(*) FILTER (WHERE p.days_late > 90), coalesce(sum(p.outstanding) FILTER (WHERE p.days_late > 90), 0),
         coalesce(sum(p.outstanding) FILTER (WHERE p.status = 'rescheduled'), 0),
         count(*) FILTER (WHERE p.status = 'written_off'), coalesce(sum(p.written_off_amount), 0)
    FROM _mfi_portfolio p GROUP BY p.currency, coalesce(p.branch_id, 0);
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

CREATE FUNCTION mfiauto._refresh_opt_outs(since date, today date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  -- Whole months, so that each grain is counted from its beginning.
  first_day date := date_trunc('month', since)::date - 7;
  written bigint;
BEGIN
  CREATE TEMP TABLE _mfi_reached ON COMMIT DROP AS
  SELECT o.client_id, o.message_id, o.workflow_id, o.channel, o.period, false AS opted_out FROM mfiauto._message_outcome o
   WHERE o.counted_as = 'delivered' AND o.period >= first_day AND o.created_at >= first_day - interval '15 days';
  CREATE TEMP TABLE _mfi_unattributed ON COMMIT DROP AS
  SELECT x.client_id, x.opted_out_on AS period FROM mfiauto.kpi_opt_out_explain x WHERE x.message_id IS NULL AND x.opted_out_on >= first_day;
  UPDATE _mfi_reached r SET opted_out = true FROM mfiauto.kpi_opt_out_explain x WHERE x.message_id = r.message_id;

  DELETE FROM mfiauto.rollup_opt_out o WHERE o.period >= first_day OR o.grain = '30 days';
  INSERT INTO mfiauto.rollup_opt_out
  SELECT c.grain, c.period, c.workflow_id, c.channel, sum(c.persons), sum(c.opt_outs), sum(c.unattributed),
         (c.period + CASE c.grain WHEN 'day' THEN interval '1 day' WHEN 'week' THEN interval '1 week' ELSE interval '1 month' END)::date + 7 <= today
    FROM (SELECT t.grain, date_trunc(t.grain, r.period)::date AS period, r.workflow_id, r.channel,
                 count(DISTINCT r.client_id) AS persons, count(DISTINCT r.client_id) FILTER (WHERE r.opted_out) AS opt_outs, 0 AS unattributed
            FROM _mfi_reached r CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(grain)
           GROUP BY t.grain, date_trunc(t.grain, r.period), r.workflow_id, r.channel
          UNION ALL
          SELECT t.grain, date_trunc(t.grain, u.period)::date, 0, '', 0, 0, count(DISTINCT u.client_id)
            FROM _mfi_unattributed u CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(grain)
           GROUP BY t.grain, date_trunc(t.grain, u.period)) c
   WHERE c.period >= first_day
   GROUP BY c.grain, c.period, c.workflow_id, c.channel;
  GET DIAGNOSTICS written = ROW_COUNT;
  INSERT INTO mfiauto.rollup_opt_out
  SELECT '30 days', today - 7, 0, '', count(DISTINCT r.client_id), count(DISTINCT r.client_id) FILTER (WHERE r.opted_out), 0, true
    FROM _mfi_reached r WHERE r.period > today - 37 AND r.period <= today - 7;
  RETURN written;
END $$;

-- The first run goes thirteen months back. Compiling such statements costs more than running them. Reads the bank's books with the installation owner's rights.
CREATE FUNCTION mfiauto._refresh_kpis(since date DEFAULT NULL) RETURNS void LANGUAGE plpgsql SET jit = off SET work_mem = '64MB' AS $$
DECLARE
  zone text := (SELECT i.time_zone FROM mfiauto.institution i);
  today date := mfiauto._local_date(mfiauto.now(), (SELECT i.time_zone FROM mfiauto.institution i));
  first_run boolean := (SELECT r.as_of IS NULL FROM mfiauto.kpi_refresh r);
  first_day date := coalesce(_refresh_kpis.since, today - CASE WHEN first_run THEN 396 ELSE 40 END);
  started timestamptz := pg_catalog.clock_timestamp();
  written bigint;
  leftover text;
BEGIN
  IF _refresh_kpis.since > today THEN
    RAISE EXCEPTION 'cannot refresh KPIs from a day that is still to come: %', _refresh_kpis.since
      USING ERRCODE = '22023', HINT = 'Give a past day, or none for the last 40 days.';
  END IF;
  IF _refresh_kpis.since < '1900-01-01' THEN
    RAISE EXCEPTION 'cannot refresh KPIs from %', _refresh_kpis.since
      USING ERRCODE = '22023', HINT = 'Give a day from 1900-01-01 on.';
  END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('mfiauto kpi'));
  -- Left by an earlier refresh of this transaction.
  FOREACH leftover IN ARRAY ARRAY['_mfi_owing', '_mfi_schedule', '_mfi_paid', '_mfi_portfolio', '_mfi_reached', '_mfi_unattributed'] LOOP
    IF to_regclass('pg_temp.' || leftover) IS NOT NULL THEN
      EXECUTE format('DROP TABLE pg_temp.%I', leftover);
    END IF;
  END LOOP;
  UPDATE mfiauto.kpi_refresh SET as_of = mfiauto.now(), on_date = today, since = first_day, time_zone = zone;

  RAISE NOTICE 'refreshing KPIs from %: messages', first_day;
  written := mfiauto._refresh_messages(first_day);
  IF to_regclass('mfiauto.installment') IS NOT NULL THEN
    RAISE NOTICE 'refreshing KPIs from %: repayment', first_day;
    PERFORM mfiauto._set_out_books(first_day, today, zone);
    PERFORM mfiauto._observe_installments(first_day, today, zone);
    PERFORM mfiauto._measure_installments(first_day);
    written := written + mfiauto._refresh_repayment(first_day, today, zone) + mfiauto._refresh_episodes(today);
  ELSE
    RAISE NOTICE 'no on-time repayment and no arrears recovery: role installment is not bound';
  END IF;
  IF to_regclass('mfiauto.loan') IS NOT NULL THEN
    RAISE NOTICE 'refreshing KPIs from %: portfolio', first_day;
    written := written + mfiauto._refresh_portfolio(today);
  ELSE
    RAISE NOTICE 'no portfolio at risk: role loan is not bound';
  END IF;
  RAISE NOTICE 'refreshing KPIs from %: opt-outs', first_day;
  written := written + mfiauto._refresh_opt_outs(first_day, today);

  INSERT INTO mfiauto.job_progress VALUES ('refresh_kpis', 'kpi', 'done', written, written, started, pg_catalog.clock_timestamp())
  ON CONFLICT (job, target) DO UPDATE
    SET phase = EXCLUDED.phase, done_count = EXCLUDED.done_count, total_count = EXCLUDED.total_count, started_at = EXCLUDED.started_at, updated_at = EXCLUDED.updated_at;
END $$;
SELECT mfiauto._open_door('mfiauto._refresh_kpis(date)', '{admin}',
  'Brings the KPI roll-ups up to date: the last 40 days anew, or from the given day on. Run it at least once a day; schedule_jobs() does.');
