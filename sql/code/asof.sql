-- The books as they were: what canonical rows held at a moment of the past, told from what was recorded.
--
-- Only what differed from today is told, as {"role": {"column": value}}, to be laid over today's row: by _evaluate_past() for
-- conditions, by _context_past() for texts. Beside it stands which columns could not be told of a pair and are today's (doubts).
--   amounts paid   back from today by the payments since (value date; a payment that was reversed counted until its reversal
--                  was recorded), the oldest installment first
--   due dates, amounts due   back by the event Installment Rescheduled
--   a loan's status   by its events; before the first of them by its own dates
-- In the future: today's books, and the payments that are assumed.

CREATE FUNCTION mfiauto._evaluate_past(role text, query text, client_ids bigint[], subject_ids bigint[], ats timestamptz[], pasts jsonb[])
RETURNS TABLE (ord integer, value text)
  LANGUAGE c STRICT ROWS 1000 AS 'MODULE_PATHNAME', 'mfiauto_evaluate_past';

CREATE FUNCTION mfiauto._move_clock(at timestamptz) RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mfiauto_move_clock';

CREATE FUNCTION mfiauto._condition_columns(query text) RETURNS text[]
  LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_list_condition_columns';

-- Columns whose past nobody recorded: a moment of the past sees today's value.
CREATE FUNCTION mfiauto._unrecorded_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT '{client.name,client.phone,client.email,client.push_token,client.locale,client.time_zone,client.region,client.literacy,client.officer_id,
           client.branch_id,client.traits,loan.outstanding,loan.officer_id,loan.branch_id,loan.maturity_on,application.status,holding.balance,
           holding.status}'::text[]
$$;

-- Which of the unpaid installments are assumed to be paid on their due date: none, all (on_time), or as many as the client paid on
-- time so far (as_history: which ones is settled by their numbers; a client without history pays as all clients together did).
CREATE FUNCTION mfiauto._assumed_payments(payments text) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET jit = off AS $$
DECLARE
  assumed bigint[];
BEGIN
  IF payments = 'none' OR to_regclass('mfiauto.installment') IS NULL THEN
    RETURN '{}';
  END IF;
  WITH book AS MATERIALIZED (
    SELECT i.installment_id, i.due_date, i.paid_on, i.amount_due > i.amount_paid AS is_open, coalesce(i.client_id, -i.loan_id) AS payer
      FROM mfiauto.installment i
  ), habit AS (
    SELECT b.payer, avg(CASE WHEN b.is_open OR b.paid_on > b.due_date THEN 0 ELSE 1 END) AS ratio
      FROM book b WHERE b.due_date < mfiauto._today() GROUP BY b.payer
  ), overall AS (
    SELECT coalesce(avg(CASE WHEN b.is_open OR b.paid_on > b.due_date THEN 0 ELSE 1 END), 1) AS ratio FROM book b WHERE b.due_date < mfiauto._today()
  )
  SELECT array_agg(b.installment_id) INTO assumed
    FROM book b LEFT JOIN habit h ON h.payer = b.payer CROSS JOIN overall o
   WHERE b.is_open AND b.due_date >= mfiauto._today()
     AND (payments = 'on_time'
          OR ('x' || left(encode(sha256(convert_to('installment ' || b.installment_id, 'UTF8')), 'hex'), 6))::bit(24)::integer % 10000 < coalesce(h.ratio, o.ratio) * 10000);
  RETURN coalesce(assumed, '{}');
END $$;

-- What installments held at moments, in the order given. zone: whose days count.
CREATE FUNCTION mfiauto._past_installments(installment_ids bigint[], ats timestamptz[], assumed bigint[], zone text)
RETURNS TABLE (past jsonb, doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  has_payments boolean := to_regclass('mfiauto.payment') IS NOT NULL
    AND EXISTS (SELECT FROM mfiauto.binding_config b WHERE b.role = 'payment' AND b.columns ? 'loan_id');
  clock timestamptz := mfiauto.now();
BEGIN
  IF cardinality(installment_ids) = 0 THEN
    RETURN;
  END IF;
  IF to_regclass('mfiauto.installment') IS NULL THEN
    RETURN QUERY SELECT '{}'::jsonb, '{}'::text[] FROM unnest(installment_ids);
    RETURN;
  END IF;
  RETURN QUERY EXECUTE $q$
    WITH pair AS MATERIALIZED (
      SELECT k.id, k.at, (k.at AT TIME ZONE $3)::date AS day, k.ord FROM unnest($1, $2) WITH ORDINALITY AS k(id, at, ord)
    ),
    loan AS MATERIALIZED (
      SELECT DISTINCT i.loan_id FROM mfiauto.installment i WHERE i.installment_id IN (SELECT p.id FROM pair p)
    ),
    -- The schedules of the loans concerned, in the order in which money pays them.
    book AS MATERIALIZED (
      SELECT DISTINCT ON (i.installment_id) i.installment_id, i.loan_id, i.due_date, i.amount_due, i.amount_paid, i.paid_on,
             sum(i.amount_due) OVER w - i.amount_due AS due_before, sum(i.amount_paid) OVER l AS loan_paid
        FROM mfiauto.installment i WHERE i.loan_id IN (SELECT l.loan_id FROM loan l)
      WINDOW l AS (PARTITION BY i.loan_id), w AS (PARTITION BY i.loan_id ORDER BY i.due_date, i.number, i.installment_id ROWS UNBOUNDED PRECEDING)
    ),
    plain AS MATERIALIZED (
      SELECT b.loan_id, bool_and(b.amount_paid = least(b.amount_due, greatest(0, b.loan_paid - b.due_before))) AS is_plain FROM book b GROUP BY b.loan_id
    ),
    undone_at AS MATERIALIZED (
      SELECT DISTINCT ON (e.subject_id) e.subject_id AS payment_id, e.received_at
        FROM mfiauto.event_log e WHERE e.name = 'Payment Reversed' AND e.subject = 'payment' ORDER BY e.subject_id, e.received_at DESC
    ),
    money AS MATERIALIZED (
    $q$ || CASE WHEN has_payments THEN $q$
      SELECT p.loan_id, p.paid_at AS at, p.amount, false AS is_unknown FROM mfiauto.payment p
       WHERE p.loan_id IN (SELECT l.loan_id FROM loan l) AND p.paid_at <= $4 AND NOT coalesce(p.reversed, false)
      UNION ALL
      SELECT p.loan_id, m.at, m.amount, r.payment_id IS NULL
        FROM mfiauto.payment p
        LEFT JOIN undone_at r ON r.payment_id = p.payment_id
        CROSS JOIN LATERAL (VALUES (p.paid_at, CASE WHEN r.payment_id IS NULL THEN 0 ELSE p.amount END),
                                   (CASE WHEN r.payment_id IS NOT NULL THEN greatest(r.received_at, p.paid_at) END, -p.amount)) AS m(at, amount)
       WHERE p.loan_id IN (SELECT l.loan_id FROM loan l) AND p.reversed AND m.at IS NOT NULL
    $q$ ELSE $q$ SELECT NULL::bigint AS loan_id, NULL::timestamptz AS at, NULL::numeric AS amount, false AS is_unknown WHERE false $q$ END || $q$
    ),
    -- What came since each moment: both in one order of time, back from today.
    since AS MATERIALIZED (
      SELECT t.ord, t.amount, t.is_unknown
        FROM (SELECT u.ord, sum(u.amount) OVER t AS amount, bool_or(u.is_unknown) OVER e AS is_unknown
                FROM (SELECT m.loan_id, m.at, 0 AS turn, m.amount, m.is_unknown, NULL::bigint AS ord FROM money m
                      UNION ALL
                      SELECT b.loan_id, p.at, 1, 0, false, p.ord FROM pair p JOIN book b ON b.installment_id = p.id) u
              WINDOW t AS (PARTITION BY u.loan_id ORDER BY u.at DESC, u.turn DESC ROWS UNBOUNDED PRECEDING),
                     e AS (PARTITION BY u.loan_id ORDER BY u.at, u.turn ROWS UNBOUNDED PRECEDING)) t
       WHERE t.ord IS NOT NULL
    ),
    moved AS MATERIALIZED (
      SELECT e.subject_id, e.received_at, (e.properties ->> 'previous_due_date')::date AS due_date, (e.properties ->> 'previous_amount_due')::numeric AS amount_due
        FROM mfiauto.event_log e WHERE e.name = 'Installment Rescheduled' AND e.subject = 'installment' AND e.subject_id IN (SELECT p.id FROM pair p)
    ),
    told AS (
      SELECT p.ord, p.at, p.day, b.installment_id, coalesce(v.due_date, b.due_date) AS due_date, coalesce(v.amount_due, b.amount_due) AS amount_due, b.amount_paid, b.paid_on,
             CASE WHEN b.installment_id = ANY ($6) AND p.at >= (b.due_date + time '12:00') AT TIME ZONE $3 AND p.at > $4 THEN b.amount_due
                  WHEN p.at >= $4 OR coalesce(s.amount, 0) = 0 AND ($5 OR b.amount_paid = 0) THEN b.amount_paid
                  WHEN b.paid_on < p.day THEN b.amount_paid
                  WHEN $5 THEN least(b.amount_due, greatest(0, b.loan_paid - s.amount - b.due_before))
                  WHEN b.paid_on > p.day THEN 0
                  ELSE b.amount_paid END AS paid_then,
             p.at < $4 AND CASE WHEN $5 THEN coalesce(s.is_unknown, false) OR (s.amount <> 0 AND NOT l.is_plain AND b.paid_on IS NULL)
                                ELSE b.amount_paid > 0 AND (b.paid_on IS NULL OR b.paid_on = p.day) END AS is_doubtful
        FROM pair p
        LEFT JOIN book b ON b.installment_id = p.id
        LEFT JOIN plain l ON l.loan_id = b.loan_id
        LEFT JOIN since s ON s.ord = p.ord
        LEFT JOIN LATERAL (SELECT m.* FROM moved m WHERE m.subject_id = p.id AND m.received_at > p.at ORDER BY m.received_at LIMIT 1) v ON true
    )
    SELECT CASE WHEN t.installment_id IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('installment', jsonb_build_object(
                       'due_date', t.due_date, 'amount_due', t.amount_due, 'amount_paid', t.paid_then, 'balance', greatest(0, t.amount_due - t.paid_then),
                       'paid_on', CASE WHEN t.paid_then >= t.amount_due AND t.at > $4 AND t.paid_on IS NULL AND t.amount_paid < t.amount_due THEN t.due_date
                                       WHEN t.paid_on <= t.day AND t.paid_then > 0 THEN t.paid_on END)) END,
           CASE WHEN t.is_doubtful THEN '{installment.amount_paid,installment.balance,installment.paid_on}'::text[] ELSE '{}' END
      FROM told t ORDER BY t.ord $q$
    USING installment_ids, ats, zone, clock, has_payments, assumed;
END $$;

-- What loans held at moments, in the order given.
CREATE FUNCTION mfiauto._past_loans(loan_ids bigint[], ats timestamptz[], zone text)
RETURNS TABLE (past jsonb, doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(loan_ids) = 0 THEN
    RETURN;
  END IF;
  IF to_regclass('mfiauto.loan') IS NULL THEN
    RETURN QUERY SELECT '{}'::jsonb, '{}'::text[] FROM unnest(loan_ids);
    RETURN;
  END IF;
  RETURN QUERY EXECUTE $q$
    WITH pair AS MATERIALIZED (
      SELECT k.id, k.at, (k.at AT TIME ZONE $3)::date AS day, k.ord FROM unnest($1, $2) WITH ORDINALITY AS k(id, at, ord)
    ),
    book AS MATERIALIZED (
      SELECT DISTINCT ON (l.loan_id) l.* FROM mfiauto.loan l WHERE l.loan_id IN (SELECT p.id FROM pair p)
    ),
    -- What was told of each loan, in order; "before" is what it must have been before that.
    story AS MATERIALIZED (
      SELECT e.subject_id, array_agg(e.received_at ORDER BY e.received_at, e.place) AS ats, array_agg(e.status ORDER BY e.received_at, e.place) AS statuses,
             array_agg(e.before ORDER BY e.received_at, e.place) AS befores
        FROM (SELECT DISTINCT e.subject_id, e.received_at, k.place, coalesce(e.properties ->> 'to', k.status, e.properties ->> 'status') AS status,
                     coalesce(e.properties ->> 'from', k.before) AS before
                FROM mfiauto.event_log e
                JOIN (VALUES ('Loan Applied', 1, NULL, NULL), ('Loan Approved', 2, NULL, 'applied'), ('Loan Rejected', 3, 'rejected', 'applied'), ('Loan Disbursed', 4, NULL, 'approved'),
                             ('Loan Closed', 5, 'closed', 'active'), ('Loan Written Off', 6, 'written_off', 'active'), ('Loan Status Changed', 7, NULL, NULL))
                     AS k(name, place, status, before) ON k.name = e.name
               WHERE e.subject = 'loan' AND e.subject_id IN (SELECT p.id FROM pair p)) e
       GROUP BY e.subject_id
    ),
    told AS (
      SELECT p.ord, p.at, p.day, b.*, s.befores[1] AS before, s.ats[1] > p.at AS is_before,
             (SELECT s.statuses[n] FROM generate_series(cardinality(s.ats), 1, -1) n WHERE s.ats[n] <= p.at LIMIT 1) AS told_status,
             (SELECT c.bound_at FROM mfiauto.binding_config c WHERE c.role = 'loan') AS bound_at
        FROM pair p LEFT JOIN book b ON b.loan_id = p.id LEFT JOIN story s ON s.subject_id = p.id
    ),
    dated AS (
      SELECT t.*, CASE WHEN t.written_off_on <= t.day THEN 'written_off' WHEN t.closed_on <= t.day THEN 'closed'
                       WHEN t.written_off_on > t.day OR t.closed_on > t.day THEN CASE WHEN t.disbursed_on > t.day THEN 'approved' ELSE 'active' END
                       WHEN t.disbursed_on > t.day THEN CASE WHEN t.approved_on > t.day THEN 'applied' ELSE 'approved' END
                       WHEN t.approved_on > t.day THEN 'applied' END AS dated_status
        FROM told t
    )
    SELECT CASE WHEN d.loan_id IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('loan', jsonb_build_object(
                       'status', coalesce(d.told_status, d.dated_status, CASE WHEN d.is_before THEN d.before END, d.status),
                       'approved_on', CASE WHEN d.approved_on <= d.day THEN d.approved_on END, 'disbursed_on', CASE WHEN d.disbursed_on <= d.day THEN d.disbursed_on END,
                       'closed_on', CASE WHEN d.closed_on <= d.day THEN d.closed_on END, 'written_off_on', CASE WHEN d.written_off_on <= d.day THEN d.written_off_on END)) END,
           CASE WHEN d.told_status IS NOT NULL OR d.dated_status IS NOT NULL OR d.is_before AND d.before IS NOT NULL OR d.at >= d.bound_at
                  OR d.status = 'active' AND d.disbursed_on <= d.day THEN '{}'::text[]
                ELSE '{loan.status}' END
      FROM dated d ORDER BY d.ord $q$
    USING loan_ids, ats, zone;
END $$;

-- What clients held at moments, in the order given: their status by their events, else by the day they joined.
CREATE FUNCTION mfiauto._past_clients(client_ids bigint[], ats timestamptz[], zone text)
RETURNS TABLE (past jsonb, doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(client_ids) = 0 THEN
    RETURN;
  END IF;
  IF to_regclass('mfiauto.client') IS NULL THEN
    RETURN QUERY SELECT '{}'::jsonb, '{}'::text[] FROM unnest(client_ids);
    RETURN;
  END IF;
  RETURN QUERY
    WITH pair AS MATERIALIZED (
      SELECT k.id, k.at, (k.at AT TIME ZONE zone)::date AS day, k.ord FROM unnest(client_ids, ats) WITH ORDINALITY AS k(id, at, ord)
    ),
    book AS MATERIALIZED (
      SELECT DISTINCT ON (c.client_id) c.client_id, c.status, c.joined_on FROM mfiauto.client c WHERE c.client_id IN (SELECT p.id FROM pair p)
    ),
    story AS MATERIALIZED (
      SELECT e.client_id, array_agg(e.received_at ORDER BY e.received_at, e.event_id) AS ats,
             array_agg(coalesce(e.properties ->> 'to', k.status, e.properties ->> 'status') ORDER BY e.received_at, e.event_id) AS statuses,
             array_agg(coalesce(e.properties ->> 'from', k.before) ORDER BY e.received_at, e.event_id) AS befores
        FROM mfiauto.event_log e
        JOIN (VALUES ('Client Created', NULL, NULL), ('Client Activated', 'active', 'pending'), ('Client Closed', 'closed', 'active'), ('Client Status Changed', NULL, NULL))
             AS k(name, status, before) ON k.name = e.name
       WHERE e.client_id IN (SELECT p.id FROM pair p) AND e.subject = 'client'
       GROUP BY e.client_id
    ),
    told AS (
      SELECT p.ord, p.at, b.client_id, b.status,
             (SELECT s.statuses[n] FROM generate_series(cardinality(s.ats), 1, -1) n WHERE s.ats[n] <= p.at LIMIT 1) AS told_status,
             CASE WHEN s.ats[1] > p.at THEN s.befores[1] WHEN b.joined_on > p.day THEN 'pending' END AS before,
             p.at >= (SELECT c.bound_at FROM mfiauto.binding_config c WHERE c.role = 'client') AS is_bound
        FROM pair p LEFT JOIN book b ON b.client_id = p.id LEFT JOIN story s ON s.client_id = p.id
    )
    SELECT CASE WHEN t.client_id IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('client', jsonb_build_object('status', coalesce(t.told_status, t.before, t.status))) END,
           CASE WHEN t.told_status IS NOT NULL OR t.before IS NOT NULL OR t.is_bound THEN '{}'::text[] ELSE '{client.status}' END
      FROM told t ORDER BY t.ord;
END $$;

-- What holdings and applications held at moments, in the order given: what had not ended yet has no end.
CREATE FUNCTION mfiauto._past_others(subject text, subject_ids bigint[], ats timestamptz[], zone text)
RETURNS TABLE (past jsonb)
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(subject_ids) = 0 THEN
    RETURN;
  END IF;
  IF to_regclass('mfiauto.' || _past_others.subject) IS NULL OR _past_others.subject NOT IN ('holding', 'application') THEN
    RETURN QUERY SELECT '{}'::jsonb FROM unnest(subject_ids);
  ELSIF _past_others.subject = 'holding' THEN
    RETURN QUERY
      SELECT CASE WHEN h.closed_on > (k.at AT TIME ZONE zone)::date THEN '{"holding": {"closed_on": null, "status": "active"}}'::jsonb ELSE '{}' END
        FROM unnest(subject_ids, ats) WITH ORDINALITY AS k(id, at, ord)
        LEFT JOIN (SELECT DISTINCT ON (h.holding_id) h.* FROM mfiauto.holding h WHERE h.holding_id = ANY (subject_ids)) h ON h.holding_id = k.id
       ORDER BY k.ord;
  ELSE
    RETURN QUERY
      SELECT jsonb_build_object('application', CASE WHEN a.submitted_at > k.at THEN '{"submitted_at": null}'::jsonb ELSE '{}' END
                                            || CASE WHEN a.decided_at > k.at THEN '{"decided_at": null, "decision": null}'::jsonb ELSE '{}' END)
        FROM unnest(subject_ids, ats) WITH ORDINALITY AS k(id, at, ord)
        LEFT JOIN (SELECT DISTINCT ON (a.application_id) a.* FROM mfiauto.application a WHERE a.application_id = ANY (subject_ids)) a ON a.application_id = k.id
       ORDER BY k.ord;
  END IF;
END $$;

-- What the canonical rows that a condition about a subject can reach held at moments, in the order given; only the roles that are asked for.
CREATE FUNCTION mfiauto._past(subject text, client_ids bigint[], subject_ids bigint[], loan_ids bigint[], ats timestamptz[], assumed bigint[], roles text[])
RETURNS TABLE (past jsonb, doubts text[])
LANGUAGE sql STABLE ROWS 1000 SET jit = off AS $$
  SELECT coalesce(k.installment, '{}') || coalesce(k.loan, '{}') || coalesce(k.client, '{}') || coalesce(k.other, '{}'),
         CASE WHEN k.at < mfiauto.now()
              THEN coalesce(k.installment_doubts, '{}') || coalesce(k.loan_doubts, '{}') || coalesce(k.client_doubts, '{}') || mfiauto._unrecorded_columns()
              ELSE '{}' END
    FROM mfiauto.institution i
    CROSS JOIN LATERAL ROWS FROM (unnest(ats),
                    mfiauto._past_installments(CASE WHEN _past.subject = 'installment' AND 'installment' = ANY (roles) THEN subject_ids ELSE '{}' END, ats, assumed, i.time_zone),
                    mfiauto._past_loans(CASE WHEN 'loan' = ANY (roles) THEN loan_ids ELSE '{}' END, ats, i.time_zone),
                    mfiauto._past_clients(CASE WHEN 'client' = ANY (roles) THEN client_ids ELSE '{}' END, ats, i.time_zone),
                    mfiauto._past_others(_past.subject, CASE WHEN _past.subject = ANY (roles) THEN subject_ids ELSE '{}' END, ats, i.time_zone)) WITH ORDINALITY
         AS k(at, installment, installment_doubts, loan, loan_doubts, client, client_doubts, other, ord)
   ORDER BY k.ord
$$;

-- A context of today's books (see _context) as it was: only what it holds is written anew.
CREATE FUNCTION mfiauto._context_past(context jsonb, past jsonb, locale text, home_currency text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN NOT (coalesce(context -> 'installment' ?| '{due_date,amount_due,amount_paid,balance,paid_on}', false)
                        OR coalesce(context -> 'loan' ?| '{status,approved_on,disbursed_on,closed_on,written_off_on}', false)) THEN context
              ELSE context || coalesce((
    SELECT jsonb_object_agg(r.role, (context -> r.role) || coalesce((
             SELECT jsonb_object_agg(v.key, v.value)
               FROM jsonb_each_text(past -> r.role) f,
                    LATERAL (VALUES (f.key, past -> r.role -> f.key),
                                    (f.key || '_text', to_jsonb(CASE WHEN f.key IN ('amount_due', 'amount_paid', 'balance')
                                                                       THEN mfiauto.money_text(f.value::numeric, coalesce(nullif(context -> 'loan' ->> 'currency', ''), home_currency), locale)
                                                                     WHEN f.key ~ '_on$|_date$' THEN mfiauto.date_text(f.value::date, locale) END))) AS v(key, value)
              WHERE context -> r.role ? v.key), '{}'))
      FROM unnest('{installment,loan}'::text[]) AS r(role)
     WHERE jsonb_typeof(context -> r.role) = 'object' AND past ? r.role), '{}') END
$$;
