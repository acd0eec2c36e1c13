-- Each recipe on Apache Fineract's tables: installed with one call, its story played under a clock, who got what and who did not.
SET client_min_messages = warning;
\set VERBOSITY terse
\set ECHO none
\o /dev/null
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\cd contrib/fineract/schema
\i load.sql
\cd ../../..
\i test/lib/fineract.sql
CREATE TABLE public.dt_contact (client_id bigint PRIMARY KEY, language text, consent boolean, channel text);
SELECT fin.office();
\set contact_table public.dt_contact
\set time_zone Africa/Dakar
\i contrib/fineract/bind.sql
\set ON_ERROR_STOP off
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
\i test/lib/recipe_play.sql
CREATE FUNCTION lend(loan_id bigint, client_id bigint, due date, amount numeric DEFAULT 12500) RETURNS void LANGUAGE sql AS $$
  SELECT fin.apply(loan_id, client_id, NULL, 1, amount, due); SELECT fin.approve(loan_id, mfiauto.today()); SELECT fin.disburse(loan_id, mfiauto.today()) $$;
\o
\set ECHO all

-- Repayment reminder. Binta pays early, Modou would rather listen than read, Ousmane has no telephone, Coumba's loan is not running.
\set ECHO none
\o /dev/null
SELECT fin.client(1, 'Awa Diop', '77 123 45 67'), fin.client(2, 'Modou Fall', '78 765 43 21'), fin.client(3, 'Binta Sow', '77 000 11 22'), fin.client(4, 'Ousmane Ba', NULL), fin.client(5, 'Coumba Sy', '70 111 22 33');
INSERT INTO public.dt_contact VALUES (2, 'wo', true, 'voice'), (5, 'en', true, 'sms');
SELECT lend(101, 1, '2026-01-14'), lend(102, 2, '2026-01-14'), lend(103, 3, '2026-01-14'), lend(104, 4, '2026-01-14'), fin.apply(105, 5, NULL, 1, 12500, '2026-01-14');
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('repayment_reminder', activate => true) GROUP BY section, outcome;
UPDATE mfiauto.workflow_version SET holdout = 0;
SELECT * FROM pass('2026-01-05 08:00+00');
SELECT * FROM pass('2026-01-07 09:00+00');
SELECT * FROM pass('2026-01-10 09:00+00');
SELECT fin.repay(103, 12500, '2026-01-12') IS NOT NULL AS paid;
SELECT * FROM pass('2026-01-14 09:00+00');
SELECT * FROM pass('2026-01-15 09:00+00');
SELECT fin.repay(102, 12500, '2026-01-16') IS NOT NULL AS paid;
SELECT * FROM pass('2026-01-17 09:00+00');
SELECT * FROM pass('2026-01-19 09:00+00');
SELECT workflow, client_id, state, reason FROM runs;
SELECT mfiauto.archive_workflow('repayment_reminder');
