-- client_timeline(): all that happened with a client in one order, a line each, for the person who talks to him.

-- What the books say: loans, what falls due, what was paid. Through the canonical views, by the subjects that are known of the client.
CREATE FUNCTION mfiauto._book_lines(client_id bigint) RETURNS TABLE (at timestamptz, rank integer, number bigint, kind text, subject text, subject_id bigint, line text)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  zone text := (SELECT i.time_zone FROM mfiauto.institution i);
  currency text := (SELECT i.currency FROM mfiauto.institution i);
  today date := mfiauto._today();
  loans bigint[];
  own record;
BEGIN
  loans := ARRAY(SELECT p.loan_id FROM mfiauto.party_state p WHERE p.client_id = _book_lines.client_id AND p.role <> 'guarantor');
  SELECT array_agg(s.subject_id) FILTER (WHERE s.role = 'loan') AS loan, array_agg(s.subject_id) FILTER (WHERE s.role = 'installment') AS installment,
         array_agg(s.subject_id) FILTER (WHERE s.role = 'payment') AS payment, array_agg(s.subject_id) FILTER (WHERE s.role = 'holding') AS holding,
         array_agg(s.subject_id) FILTER (WHERE s.role = 'application') AS application
    INTO own
    FROM (SELECT s.role, s.subject_id FROM mfiauto.subject_state s WHERE s.client_id = _book_lines.client_id
          UNION ALL SELECT s.role, s.subject_id FROM mfiauto.subject_state s WHERE s.loan_id = ANY (loans) AND s.client_id IS NULL) s;
  IF mfiauto._is_bound('loan') THEN
    RETURN QUERY EXECUTE
      'SELECT k.on_date::timestamp AT TIME ZONE $2, k.place, v.loan_id, ''loan'', ''loan'', v.loan_id,
              concat_ws('' '', k.what, CASE WHEN v.principal IS NOT NULL THEN format(''(%s %s)'', v.principal, coalesce(v.currency, $3)) END)
         FROM mfiauto.loan v
        CROSS JOIN LATERAL (VALUES (v.applied_on, 20, ''applied for a loan''), (v.approved_on, 21, ''loan approved''), (v.disbursed_on, 22, ''loan disbursed''),
                                   (v.closed_on, 28, ''loan closed''), (v.written_off_on, 29, ''loan written off'')) AS k(on_date, place, what)
        WHERE v.loan_id = ANY ($1) AND k.on_date IS NOT NULL' USING own.loan, zone, currency;
  END IF;
  IF mfiauto._is_bound('installment') THEN
    RETURN QUERY EXECUTE
      'SELECT v.due_date::timestamp AT TIME ZONE $2, 25, v.installment_id, ''installment'', ''installment'', v.installment_id,
              concat(''installment '', v.number || '' '', ''of '', v.amount_due, CASE WHEN v.due_date < $3 THEN '' was due'' ELSE '' is due'' END,
                     CASE WHEN v.balance = 0 THEN '': paid'' || coalesce('' '' || v.paid_on, '''') WHEN v.due_date < $3 THEN format('': late, %s open'', v.balance)
                          WHEN v.balance < v.amount_due THEN format('': %s open'', v.balance) END)
         FROM mfiauto.installment v WHERE v.installment_id = ANY ($1) AND v.due_date IS NOT NULL' USING own.installment, zone, today;
  END IF;
  IF mfiauto._is_bound('payment') THEN
    RETURN QUERY EXECUTE
      'SELECT v.paid_at, 26, v.payment_id, ''payment'', ''payment'', v.payment_id, concat(''paid '', v.amount, CASE WHEN v.reversed THEN '', reversed'' END)
         FROM mfiauto.payment v WHERE v.payment_id = ANY ($1) AND v.paid_at IS NOT NULL' USING own.payment;
  END IF;
  IF mfiauto._is_bound('holding') THEN
    RETURN QUERY EXECUTE
      'SELECT k.on_date::timestamp AT TIME ZONE $2, k.place, v.holding_id, ''holding'', ''holding'', v.holding_id, concat_ws('' '', coalesce(v.product, ''a product''), k.what)
         FROM mfiauto.holding v CROSS JOIN LATERAL (VALUES (v.opened_on, 23, ''opened''), (v.closed_on, 27, ''closed'')) AS k(on_date, place, what)
        WHERE v.holding_id = ANY ($1) AND k.on_date IS NOT NULL' USING own.holding, zone;
  END IF;
  IF mfiauto._is_bound('application') THEN
    RETURN QUERY EXECUTE
      'SELECT k.at, k.place, v.application_id, ''application'', ''application'', v.application_id, concat_ws('' '', ''application'', ''for '' || v.product, k.what)
         FROM mfiauto.application v
        CROSS JOIN LATERAL (VALUES (v.started_at, 17, ''started''), (v.submitted_at, 18, ''submitted''), (v.decided_at, 19, coalesce(''decided: '' || v.decision, ''decided''))) AS k(at, place, what)
        WHERE v.application_id = ANY ($1) AND k.at IS NOT NULL' USING own.application;
  END IF;
END $$;

-- Standard events that only repeat what the books themselves say with a date.
CREATE FUNCTION mfiauto._book_events() RETURNS text[] LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(e.event), '{}')
    FROM (VALUES ('Loan Applied', 'loan', 'applied_on'), ('Loan Approved', 'loan', 'approved_on'), ('Loan Disbursed', 'loan', 'disbursed_on'), ('Loan Closed', 'loan', 'closed_on'),
                 ('Loan Written Off', 'loan', 'written_off_on'), ('Installment Scheduled', 'installment', 'due_date'), ('Payment Received', 'payment', 'paid_at'),
                 ('Holding Opened', 'holding', 'opened_on'), ('Holding Closed', 'holding', 'closed_on')) AS e(event, role, column_name)
   WHERE mfiauto._is_bound(e.role, e.column_name)
$$;

CREATE FUNCTION mfiauto._client_timeline(client_id bigint, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS TABLE (at timestamptz, kind text, line text, subject text, subject_id bigint)
LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
DECLARE
  repeated text[] := mfiauto._book_events();
BEGIN
  IF _client_timeline.client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004', HINT = 'Give client_id => <the client''s number>.';
  END IF;
  IF NOT mfiauto._may_see(_client_timeline.client_id) THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT t.at, t.kind, t.line, t.subject, t.subject_id
      FROM (SELECT l.at, 30 + l.rank AS rank, l.number,
                   CASE WHEN l.what IN ('event', 'consent', 'message', 'receipt', 'task', 'goal') THEN l.what ELSE 'decision' END AS kind, l.detail AS line, l.subject, l.subject_id
              FROM mfiauto._client_lines(_client_timeline.client_id, NULL) l
             WHERE l.what IN ('consent', 'message', 'receipt', 'task', 'goal', 'entered', 'exited', 'completed', 'reopened', 'error')
                OR l.what = 'event'
                   AND NOT EXISTS (SELECT FROM mfiauto.event_log e
                                    WHERE e.client_id = _client_timeline.client_id AND e.event_id = l.number AND e.name = ANY (repeated)
                                      AND EXISTS (SELECT FROM mfiauto.subject_state s WHERE s.role = e.subject AND s.subject_id = e.subject_id))
            UNION ALL
            SELECT b.at, b.rank, b.number, b.kind, b.line, b.subject, b.subject_id FROM mfiauto._book_lines(_client_timeline.client_id) b) t
     WHERE t.at >= coalesce(_client_timeline.since, '-infinity') AND t.at <= coalesce(_client_timeline.until, 'infinity')
     ORDER BY t.at, t.rank, t.number, t.line;
END $$;
SELECT mfiauto._open_door('mfiauto._client_timeline(bigint, timestamptz, timestamptz)', '{admin,author,officer,branch}',
  'All that happened with a client in one order: events, messages, receipts, tasks, consents, goals, the decisions that matter, and what the books say of loans, installments and payments. Without the texts of messages.');
