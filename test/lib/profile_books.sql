-- A bank with everything that a profile is made of, bound; no workers.
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, tz text, birth date, gender text, region text, literacy text, status text DEFAULT 'active', joined date,
  source text, officer_id bigint, branch_id bigint, lang text, traits jsonb);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, product text, principal numeric, currency text, status text DEFAULT 'active', disbursed date, closed date, written_off date, outstanding numeric, cycle integer);
CREATE TABLE bank.member (loan_id bigint, client_id bigint, role text DEFAULT 'borrower', since date, until date);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, number integer, due_date date, due numeric, paid numeric DEFAULT 0);
CREATE TABLE bank.payment (id bigint PRIMARY KEY, loan_id bigint, paid_at timestamptz, amount numeric, reversed boolean DEFAULT false);
CREATE TABLE bank.holding (id bigint PRIMARY KEY, client_id bigint, product text, opened date, closed date, balance numeric, status text DEFAULT 'active');
CREATE INDEX ON bank.installment (loan_id);
CREATE INDEX ON bank.loan (client_id);
\o /dev/null
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "time_zone": "tz", "birth_date": "birth", "gender": "gender", "region": "region", "literacy": "literacy",
  "status": "status", "joined_on": "joined", "source": "source", "officer_id": "officer_id", "branch_id": "branch_id", "locale": "lang", "traits": "traits"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "product": "product", "principal": "principal", "currency": "currency", "status": "status", "disbursed_on": "disbursed",
  "closed_on": "closed", "written_off_on": "written_off", "outstanding": "outstanding", "cycle": "cycle"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id": "loan_id", "client_id": "client_id", "role": "role", "since": "since", "until": "until"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "number": "number", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "paid_at": "paid_at", "amount": "amount", "reversed": "reversed"}');
SELECT mfiauto.bind('holding', 'bank.holding', '{"holding_id": "id", "client_id": "client_id", "product": "product", "opened_on": "opened", "closed_on": "closed", "balance": "balance", "status": "status"}');
\o

-- A pass of the engine at a moment.
CREATE FUNCTION pg_temp.pass(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._set_clock(at);
  PERFORM * FROM mfiauto.run_engine();
END $$;

-- In how many rows the profiles differ from what comes out when all of them are forgotten and computed anew. Nothing of it stays.
CREATE FUNCTION pg_temp.drift() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  number bigint;
BEGIN
  CREATE TEMP TABLE kept AS SELECT to_jsonb(p) - 'computed_at' AS profile FROM mfiauto.profile_state p;
  DELETE FROM mfiauto.profile_state;
  DELETE FROM mfiauto.trait_value;
  PERFORM mfiauto.refresh_profiles();
  SELECT count(*) INTO number
    FROM (SELECT k.profile FROM kept k) k FULL JOIN (SELECT to_jsonb(p) - 'computed_at' AS profile FROM mfiauto.profile_state p) p ON p.profile = k.profile
   WHERE k.profile IS NULL OR p.profile IS NULL;
  RAISE EXCEPTION USING MESSAGE = number;
EXCEPTION WHEN raise_exception THEN
  RETURN SQLERRM::bigint;
END $$;
