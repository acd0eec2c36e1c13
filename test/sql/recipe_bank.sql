-- Each recipe on the demo bank's tables: installed with one call, its story played under a clock, who got what and who did not.
SET client_min_messages = warning;
\set VERBOSITY terse
\set ECHO none
\o /dev/null
\i contrib/demo/bank.sql
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i contrib/demo/bind.sql
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
INSERT INTO bank.branch VALUES (1, 'Dakar', 'SN', 'Dakar');
INSERT INTO bank.officer VALUES (7, 'Fatou Ndiaye', '77 000 00 07', 1);
CREATE FUNCTION client(id bigint, name text, phone text, lang text DEFAULT 'fr', listens boolean DEFAULT false, region text DEFAULT 'Dakar', household integer DEFAULT 4,
                       born date DEFAULT '1990-06-15') RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.client (id, display_name, mobile_no, lang, date_of_birth, region, literacy, status, activation_date, household_size, branch_id, officer_id)
  VALUES (id, name, phone, lang, born, region, CASE WHEN listens THEN 'low' ELSE 'high' END, 300, '2025-01-01', household, 1, 7);
  SELECT mfiauto.opt_in(id, channel => 'voice') WHERE listens $$;
CREATE FUNCTION apply(loan_id bigint, client_id bigint, amount numeric, due date, cycle integer DEFAULT 1, product text DEFAULT 'Micro') RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, cycle_no, officer_id, branch_id)
  VALUES (loan_id, client_id, product, amount, 1, 100, mfiauto.today(), cycle, 7, 1);
  INSERT INTO bank.installment (loan_id, number, from_date, due_date, principal) VALUES (loan_id, 1, due - 30, due, amount) $$;
CREATE FUNCTION approve(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE bank.loan SET status = 200, approved_on = mfiauto.today() WHERE id = loan_id $$;
CREATE FUNCTION reject(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE bank.loan SET status = 500 WHERE id = loan_id $$;
CREATE FUNCTION withdraw(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE bank.loan SET status = 400 WHERE id = loan_id $$;
CREATE FUNCTION disburse(loan_id bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE bank.loan SET status = 300, disbursed_on = mfiauto.today(), principal_outstanding = principal WHERE id = loan_id $$;
CREATE FUNCTION repay(loan_id bigint, amount numeric) RETURNS void LANGUAGE sql AS $$ SELECT bank.repay(loan_id, amount, mfiauto.now()) $$;
CREATE FUNCTION write_off(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE bank.loan SET status = 601, written_off_on = mfiauto.today() WHERE id = loan_id $$;
CREATE FUNCTION start_application(application_id bigint, client_id bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.application (id, client_id, product, status, started_at) VALUES (application_id, client_id, 'Micro', 'started', mfiauto.now()) $$;
CREATE FUNCTION submit_application(application_id bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE bank.application SET status = 'submitted', submitted_at = mfiauto.now() WHERE id = application_id $$;
\i test/lib/recipe_play.sql
\o
\set ECHO all
\i test/lib/recipe_stories.sql
