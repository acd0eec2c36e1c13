-- A small bank of our own: the tables that a core-banking application keeps, and the little that it does to them.
-- Nothing here knows of mfiauto. bind.sql says where things are, data.sql fills the books, play.sql lets weeks pass.

CREATE SCHEMA bank;

CREATE TABLE bank.branch (
  id integer PRIMARY KEY,
  name text NOT NULL,
  country char(2) NOT NULL,
  region text NOT NULL
);

CREATE TABLE bank.officer (
  id bigint PRIMARY KEY,
  display_name text NOT NULL,
  mobile_no text,
  branch_id integer NOT NULL REFERENCES bank.branch
);

-- status: 100 pending, 300 active, 600 closed. mobile_no is what was typed at the counter.
CREATE TABLE bank.client (
  id bigint PRIMARY KEY,
  display_name text NOT NULL,
  mobile_no text,
  email text,
  lang text,
  date_of_birth date,
  gender text,
  region text,
  literacy text,
  status integer NOT NULL DEFAULT 100,
  activation_date date,
  household_size integer,
  sector text,
  heard_of_us text,
  branch_id integer REFERENCES bank.branch,
  officer_id bigint REFERENCES bank.officer,
  address text,
  notes text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE bank.application (
  id bigint PRIMARY KEY,
  client_id bigint NOT NULL REFERENCES bank.client,
  product text NOT NULL,
  amount_asked numeric(14,2),
  status text NOT NULL,
  started_at timestamptz NOT NULL,
  submitted_at timestamptz,
  decided_at timestamptz,
  decision text
);

-- status: 100 applied, 200 approved, 300 active, 400 withdrawn, 500 rejected, 600 closed, 601 written off, 602 rescheduled.
-- A group loan has no client of its own: its members are in loan_member.
CREATE TABLE bank.loan (
  id bigint PRIMARY KEY,
  client_id bigint REFERENCES bank.client,
  group_name text,
  product text NOT NULL,
  principal numeric(14,2) NOT NULL,
  annual_rate numeric(6,3) NOT NULL DEFAULT 24,
  currency char(3) NOT NULL DEFAULT 'XOF',
  number_of_installments integer NOT NULL,
  repay_every text NOT NULL DEFAULT 'week',
  status integer NOT NULL DEFAULT 100,
  applied_on date NOT NULL,
  approved_on date,
  disbursed_on date,
  maturity_date date,
  closed_on date,
  written_off_on date,
  principal_outstanding numeric(14,2) NOT NULL DEFAULT 0,
  cycle_no integer NOT NULL DEFAULT 1,
  purpose text,
  officer_id bigint REFERENCES bank.officer,
  branch_id integer REFERENCES bank.branch,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((client_id IS NULL) = (group_name IS NOT NULL))
);
CREATE INDEX ON bank.loan (client_id);

CREATE TABLE bank.loan_member (
  loan_id bigint NOT NULL REFERENCES bank.loan,
  client_id bigint NOT NULL REFERENCES bank.client,
  role text NOT NULL DEFAULT 'borrower',
  joined_on date NOT NULL,
  left_on date,
  PRIMARY KEY (loan_id, client_id, role)
);

CREATE SEQUENCE bank.installment_id_seq;
CREATE TABLE bank.installment (
  id bigint PRIMARY KEY DEFAULT nextval('bank.installment_id_seq'),
  loan_id bigint NOT NULL REFERENCES bank.loan,
  number integer NOT NULL,
  from_date date NOT NULL,
  due_date date NOT NULL,
  principal numeric(14,2) NOT NULL,
  interest numeric(14,2) NOT NULL DEFAULT 0,
  fees numeric(14,2) NOT NULL DEFAULT 0,
  penalty numeric(14,2) NOT NULL DEFAULT 0,
  paid numeric(14,2),
  paid_on date,
  waived numeric(14,2) NOT NULL DEFAULT 0,
  accrued_interest numeric(14,2) NOT NULL DEFAULT 0,
  original_due_date date,
  rescheduled_on date,
  created_by text NOT NULL DEFAULT 'schedule',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (loan_id, number)
);

CREATE SEQUENCE bank.payment_id_seq;
CREATE TABLE bank.payment (
  id bigint PRIMARY KEY DEFAULT nextval('bank.payment_id_seq'),
  loan_id bigint NOT NULL REFERENCES bank.loan,
  client_id bigint REFERENCES bank.client,
  paid_at timestamptz NOT NULL,
  amount numeric(14,2) NOT NULL CHECK (amount > 0),
  method text NOT NULL DEFAULT 'cash',
  receipt_no text,
  reversed boolean NOT NULL DEFAULT false,
  reversed_at timestamptz,
  note text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON bank.payment (loan_id);

CREATE TABLE bank.savings (
  id bigint PRIMARY KEY,
  client_id bigint NOT NULL REFERENCES bank.client,
  product text NOT NULL,
  opened_on date NOT NULL,
  closed_on date,
  balance numeric(14,2) NOT NULL DEFAULT 0,
  status text NOT NULL DEFAULT 'active'
);

-- Two tables of no canonical role, for watch().
CREATE TABLE bank.savings_goal (
  id bigint PRIMARY KEY,
  client_id bigint NOT NULL REFERENCES bank.client,
  target_amount numeric(14,2) NOT NULL,
  target_date date
);
CREATE TABLE bank.card (
  id bigint PRIMARY KEY,
  client_id bigint NOT NULL REFERENCES bank.client,
  blocked boolean NOT NULL DEFAULT false
);

-- What the application does. Money goes to the oldest installment first; a reversal plays the payments again,
-- as real core bankings do. Rows that do not change are not written.
CREATE FUNCTION bank.allocate(loan_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH due AS (
    SELECT i.id, i.loan_id, i.principal + i.interest + i.fees AS amount,
           sum(i.principal + i.interest + i.fees) OVER (PARTITION BY i.loan_id ORDER BY i.number) AS amount_so_far
      FROM bank.installment i WHERE i.loan_id = ANY (loan_ids)
  ), received AS (
    SELECT p.loan_id, p.paid_at, sum(p.amount) OVER (PARTITION BY p.loan_id ORDER BY p.paid_at, p.id) AS paid_so_far
      FROM bank.payment p WHERE p.loan_id = ANY (loan_ids) AND NOT p.reversed
  ), books AS (
    SELECT d.id, greatest(0, least(d.amount, coalesce(max(r.paid_so_far), 0) - (d.amount_so_far - d.amount))) AS paid,
           (min(r.paid_at) FILTER (WHERE r.paid_so_far >= d.amount_so_far) AT TIME ZONE 'Africa/Dakar')::date AS paid_on
      FROM due d LEFT JOIN received r ON r.loan_id = d.loan_id
     GROUP BY d.id, d.amount, d.amount_so_far
  )
  UPDATE bank.installment i SET paid = nullif(b.paid, 0), paid_on = b.paid_on, updated_at = now()
    FROM books b
   WHERE i.id = b.id AND (i.paid, i.paid_on) IS DISTINCT FROM (nullif(b.paid, 0), b.paid_on);

  WITH books AS (
    SELECT i.loan_id, sum(i.principal - greatest(0, coalesce(i.paid, 0) - i.interest - i.fees)) AS outstanding,
           CASE WHEN bool_and(i.paid_on IS NOT NULL) THEN max(i.paid_on) END AS closed_on
      FROM bank.installment i WHERE i.loan_id = ANY (loan_ids) GROUP BY i.loan_id
  )
  UPDATE bank.loan l
     SET principal_outstanding = b.outstanding, closed_on = b.closed_on,
         status = CASE WHEN b.closed_on IS NULL THEN 300 ELSE 600 END, updated_at = now()
    FROM books b
   WHERE l.id = b.loan_id AND l.status IN (300, 600)
     AND (l.principal_outstanding, l.closed_on) IS DISTINCT FROM (b.outstanding, b.closed_on);
END $$;

CREATE FUNCTION bank.repay(loan_id bigint, amount numeric, paid_at timestamptz, method text DEFAULT 'cash') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  new_id bigint;
BEGIN
  INSERT INTO bank.payment (loan_id, client_id, paid_at, amount, method)
  SELECT l.id, l.client_id, repay.paid_at, repay.amount, repay.method FROM bank.loan l WHERE l.id = repay.loan_id
  RETURNING id INTO new_id;
  PERFORM bank.allocate(ARRAY[loan_id]);
  RETURN new_id;
END $$;

CREATE FUNCTION bank.reverse_payment(payment_id bigint, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE bank.payment p SET reversed = true, reversed_at = at WHERE p.id = payment_id;
  PERFORM bank.allocate(ARRAY(SELECT p.loan_id FROM bank.payment p WHERE p.id = payment_id));
END $$;

-- A holiday is announced: what fell due on it falls due on another day.
CREATE FUNCTION bank.move_due_date(from_date date, to_date date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  moved bigint;
BEGIN
  UPDATE bank.installment i
     SET due_date = to_date, original_due_date = coalesce(i.original_due_date, i.due_date), updated_at = now()
    FROM bank.loan l
   WHERE l.id = i.loan_id AND l.status = 300 AND i.due_date = move_due_date.from_date AND i.paid_on IS NULL;
  GET DIAGNOSTICS moved = ROW_COUNT;
  RETURN moved;
END $$;
