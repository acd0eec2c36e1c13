-- Writes Apache Fineract's books the way the application does: row by row, in its statement order, several saves of one
-- row in a transaction. Source of the order: the facts in contrib/fineract/schema and doc/fineract.md.

CREATE SCHEMA fin;

-- Inserts a row with the given columns; what is NOT NULL and has no default gets its type's zero.
CREATE FUNCTION fin.put(target regclass, given jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  names text; vals text; new_id bigint;
BEGIN
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
         string_agg(CASE WHEN given ? a.attname THEN format('%L::%s', given ->> a.attname, format_type(a.atttypid, a.atttypmod))
                         ELSE CASE WHEN a.atttypid = 'boolean'::regtype THEN 'false'
                                   WHEN a.atttypid IN ('date'::regtype) THEN quote_literal('2026-01-01')
                                   WHEN a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN quote_literal('2026-01-01 00:00+00')
                                   WHEN a.atttypid IN ('varchar'::regtype, 'text'::regtype) THEN quote_literal('')
                                   WHEN a.attname IN ('created_by', 'last_modified_by') THEN '1'
                                   ELSE '0' END END, ', ' ORDER BY a.attnum)
    INTO names, vals
    FROM pg_attribute a
   WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
     AND (given ? a.attname OR (a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''));
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = target AND attname = 'id') THEN
    EXECUTE format('INSERT INTO %s (%s) VALUES (%s) RETURNING id', target, names, vals) INTO new_id;
  ELSE
    EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', target, names, vals);
  END IF;
  RETURN new_id;
END $$;

CREATE FUNCTION fin.office() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_office', '{"id": 1, "name": "Dakar", "hierarchy": ".", "opening_date": "2020-01-01"}');
  PERFORM fin.put('m_appuser', '{"id": 1, "office_id": 1, "username": "mifos", "enabled": true}');
  PERFORM fin.put('m_staff', '{"id": 1, "office_id": 1, "display_name": "Ndiaye, Fatou", "is_loan_officer": true, "is_active": true}');
  PERFORM fin.put('m_product_loan', '{"id": 1, "short_name": "MC", "name": "Micro credit", "currency_code": "XOF"}');
END $$;

CREATE FUNCTION fin.client(client_id bigint, name text, phone text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_client', jsonb_build_object('id', client_id, 'account_no', 'C' || client_id, 'status_enum', 300, 'office_id', 1, 'staff_id', 1,
    'display_name', name, 'mobile_no', phone, 'activation_date', '2025-01-01'));
END $$;

-- A loan application: the schedule's rows exist from here on, with the expected dates.
CREATE FUNCTION fin.apply(loan_id bigint, client_id bigint, group_id bigint, installments int, amount numeric, first_due date, every interval DEFAULT '1 week')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_loan', jsonb_strip_nulls(jsonb_build_object('id', loan_id, 'account_no', 'L' || loan_id, 'client_id', client_id, 'group_id', group_id,
    'product_id', 1, 'loan_officer_id', 1, 'loan_status_id', 100, 'loan_type_enum', CASE WHEN client_id IS NULL THEN 2 WHEN group_id IS NULL THEN 1 ELSE 3 END,
    'currency_code', 'XOF', 'principal_amount', amount * installments, 'submittedon_date', first_due - 30)));
  PERFORM fin.schedule(loan_id, installments, amount, first_due, every);
END $$;

CREATE FUNCTION fin.schedule(loan_id bigint, installments int, amount numeric, first_due date, every interval DEFAULT '1 week')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. installments LOOP
    PERFORM fin.put('m_loan_repayment_schedule', jsonb_build_object('loan_id', loan_id, 'installment', i, 'duedate', (first_due + (i - 1) * every)::date,
      'principal_amount', amount));
  END LOOP;
END $$;

CREATE FUNCTION fin.touch(loan_id bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE m_loan SET version = version + 1, last_modified_on_utc = last_modified_on_utc + interval '1 second' WHERE id = loan_id $$;

CREATE FUNCTION fin.approve(loan_id bigint, at date) RETURNS void LANGUAGE sql AS $$
  UPDATE m_loan SET loan_status_id = 200, approvedon_date = at, version = version + 1 WHERE id = loan_id $$;

-- Disbursal: status, then the summary, then the transaction; the row is saved three times.
CREATE FUNCTION fin.disburse(loan_id bigint, at date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_loan_transaction', jsonb_build_object('loan_id', loan_id, 'office_id', 1, 'transaction_type_enum', 1, 'transaction_date', at,
    'amount', (SELECT principal_amount FROM m_loan l WHERE l.id = loan_id)));
  UPDATE m_loan SET loan_status_id = 300, version = version + 1 WHERE id = loan_id;
  UPDATE m_loan SET disbursedon_date = at, version = version + 1 WHERE id = loan_id;
  UPDATE m_loan SET principal_outstanding_derived = principal_amount, version = version + 1 WHERE id = loan_id;
END $$;

-- Undo of a disbursal: transactions reversed, status back, the schedule cleared and added again.
CREATE FUNCTION fin.undo_disbursal(loan_id bigint, shift int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE m_loan_transaction t SET is_reversed = true, reversed_on_date = '2026-01-01' WHERE t.loan_id = undo_disbursal.loan_id;
  UPDATE m_loan SET loan_status_id = 200, disbursedon_date = NULL, version = version + 1 WHERE id = loan_id;
  PERFORM fin.regenerate(loan_id, shift);
END $$;

-- A regenerated schedule: all rows inserted anew with new ids, then the old ones deleted.
CREATE FUNCTION fin.regenerate(loan_id bigint, shift int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  newest bigint := (SELECT max(s.id) FROM m_loan_repayment_schedule s WHERE s.loan_id = regenerate.loan_id);
BEGIN
  PERFORM fin.put('m_loan_repayment_schedule', to_jsonb(s) - 'id' || jsonb_build_object('duedate', s.duedate + shift))
     FROM (SELECT * FROM m_loan_repayment_schedule s WHERE s.loan_id = regenerate.loan_id ORDER BY s.installment) s;
  DELETE FROM m_loan_repayment_schedule s WHERE s.loan_id = regenerate.loan_id AND s.id <= newest;
END $$;

-- Spreads what was paid over the schedule, oldest first, saving only rows that change; ends with the loan's status.
CREATE FUNCTION fin.settle(loan_id bigint, at date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  money numeric := (SELECT coalesce(sum(t.amount), 0) FROM m_loan_transaction t
                     WHERE t.loan_id = settle.loan_id AND t.transaction_type_enum IN (2, 28) AND NOT t.is_reversed);
  row m_loan_repayment_schedule; paid numeric; open_left numeric;
BEGIN
  FOR row IN SELECT * FROM m_loan_repayment_schedule s WHERE s.loan_id = settle.loan_id ORDER BY s.installment LOOP
    paid := least(money, row.principal_amount); money := money - paid;
    IF paid IS DISTINCT FROM coalesce(row.principal_completed_derived, 0) THEN
      UPDATE m_loan_repayment_schedule s SET principal_completed_derived = nullif(paid, 0), completed_derived = paid = row.principal_amount,
             obligations_met_on_date = CASE WHEN paid = row.principal_amount THEN at END WHERE s.id = row.id;
    END IF;
  END LOOP;
  SELECT sum(s.principal_amount - coalesce(s.principal_completed_derived, 0)) INTO open_left FROM m_loan_repayment_schedule s WHERE s.loan_id = settle.loan_id;
  UPDATE m_loan SET principal_outstanding_derived = open_left, version = version + 1,
         loan_status_id = CASE WHEN open_left = 0 THEN 600 ELSE 300 END, closedon_date = CASE WHEN open_left = 0 THEN at END WHERE id = loan_id;
END $$;

-- A repayment in the documented order: transaction, loan summary, schedule, arrears.
CREATE FUNCTION fin.repay(loan_id bigint, amount numeric, at date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE new_id bigint;
BEGIN
  new_id := fin.put('m_loan_transaction', jsonb_build_object('loan_id', loan_id, 'office_id', 1, 'transaction_type_enum', 2, 'transaction_date', at,
    'amount', amount, 'external_id', 'R' || loan_id || '-' || at || '-' || amount));
  PERFORM fin.touch(loan_id);
  PERFORM fin.settle(loan_id, at);
  RETURN new_id;
END $$;

CREATE FUNCTION fin.reverse(transaction_id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l bigint;
BEGIN
  UPDATE m_loan_transaction t SET is_reversed = true, reversed_on_date = '2026-01-01' WHERE t.id = transaction_id RETURNING t.loan_id INTO l;
  PERFORM fin.settle(l, '2026-01-01');
END $$;

-- A backdated payment: later repayments are reversed and inserted again, same date and amount; the relation that tells so comes last.
CREATE FUNCTION fin.repay_backdated(loan_id bigint, amount numeric, at date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE old m_loan_transaction; replayed bigint;
BEGIN
  PERFORM fin.put('m_loan_transaction', jsonb_build_object('loan_id', loan_id, 'office_id', 1, 'transaction_type_enum', 2, 'transaction_date', at, 'amount', amount));
  FOR old IN SELECT * FROM m_loan_transaction t WHERE t.loan_id = repay_backdated.loan_id AND t.transaction_type_enum = 2
              AND NOT t.is_reversed AND t.transaction_date > at ORDER BY t.id LOOP
    UPDATE m_loan_transaction t SET is_reversed = true, external_id = NULL, reversed_on_date = at WHERE t.id = old.id;
    replayed := fin.put('m_loan_transaction', jsonb_strip_nulls(to_jsonb(old)) - 'id');
    PERFORM fin.put('m_loan_transaction_relation', jsonb_build_object('from_loan_transaction_id', replayed, 'to_loan_transaction_id', old.id, 'relation_type_enum', 3));
  END LOOP;
  PERFORM fin.settle(loan_id, at);
END $$;

CREATE FUNCTION fin.write_off(loan_id bigint, at date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_loan_transaction', jsonb_build_object('loan_id', loan_id, 'office_id', 1, 'transaction_type_enum', 6, 'transaction_date', at, 'amount', 1));
  UPDATE m_loan_repayment_schedule s SET completed_derived = true, obligations_met_on_date = at,
         principal_writtenoff_derived = s.principal_amount - coalesce(s.principal_completed_derived, 0)
   WHERE s.loan_id = write_off.loan_id AND NOT s.completed_derived;
  UPDATE m_loan SET loan_status_id = 601, writtenoffon_date = at, principal_outstanding_derived = 0 WHERE id = loan_id;
END $$;

CREATE FUNCTION fin.charge_off(loan_id bigint, at date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fin.put('m_loan_transaction', jsonb_build_object('loan_id', loan_id, 'office_id', 1, 'transaction_type_enum', 27, 'transaction_date', at, 'amount', 1));
  UPDATE m_loan SET is_charged_off = true, charged_off_on_date = at WHERE id = loan_id;
END $$;

-- The night: per open loan a lock, an accrual, the summary's business date and version; legacy jobs rewrite flags of all.
CREATE FUNCTION fin.close_of_business(at date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l bigint;
BEGIN
  FOR l IN SELECT id FROM m_loan WHERE loan_status_id = 300 ORDER BY id LOOP
    PERFORM fin.put('m_loan_transaction', jsonb_build_object('loan_id', l, 'office_id', 1, 'transaction_type_enum', 10, 'transaction_date', at, 'amount', 1));
    UPDATE m_loan_repayment_schedule s SET accrual_interest_derived = coalesce(accrual_interest_derived, 0) + 1, last_modified_on_utc = last_modified_on_utc
     WHERE s.loan_id = l;
    UPDATE m_loan SET last_closed_business_date = at, accrued_till = at, version = version + 1 WHERE id = l;
  END LOOP;
  UPDATE m_loan SET is_npa = false WHERE loan_status_id = 300;
  UPDATE m_loan SET is_npa = true WHERE loan_status_id = 300 AND id % 2 = 0;
END $$;
