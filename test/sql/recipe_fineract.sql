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
-- The institution's own tables beside Fineract's: languages and channels, and the applications of its front end, of which Fineract knows
-- nothing before they are submitted.
CREATE TABLE public.dt_contact (client_id bigint PRIMARY KEY, language text, consent boolean, channel text);
CREATE TABLE public.dt_application (id bigint PRIMARY KEY, client_id bigint NOT NULL, started_at timestamptz NOT NULL, submitted_at timestamptz);
SELECT fin.office();
SELECT fin.put('m_office', '{"id": 2, "name": "Matam", "hierarchy": ".2.", "opening_date": "2020-01-01"}');
\set contact_table public.dt_contact
\set time_zone Africa/Dakar
\i contrib/fineract/bind.sql
\set ON_ERROR_STOP off
SELECT mfiauto.bind('application', 'public.dt_application', '{"application_id": "id", "client_id": "client_id", "started_at": "started_at", "submitted_at": "submitted_at"}');
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
CREATE FUNCTION client(id bigint, name text, phone text, lang text DEFAULT 'fr', listens boolean DEFAULT false, region text DEFAULT 'Dakar', household integer DEFAULT 4,
                       born date DEFAULT '1990-06-15') RETURNS void LANGUAGE sql AS $$
  SELECT fin.client(id, name, phone);
  UPDATE m_client c SET date_of_birth = born, office_id = CASE region WHEN 'Matam' THEN 2 ELSE 1 END WHERE c.id = client.id;
  INSERT INTO public.dt_contact (client_id, language, channel) VALUES (id, lang, CASE WHEN listens THEN 'voice' END);
  SELECT mfiauto.identify(id, traits => jsonb_build_object('household_size', household)) $$;
CREATE FUNCTION apply(loan_id bigint, client_id bigint, amount numeric, due date, cycle integer DEFAULT 1, product text DEFAULT 'Micro') RETURNS void LANGUAGE sql AS $$
  SELECT fin.apply(loan_id, client_id, NULL, 1, amount, due);
  UPDATE m_loan SET loan_counter = cycle WHERE id = loan_id $$;
CREATE FUNCTION approve(loan_id bigint) RETURNS void LANGUAGE sql AS $$ SELECT fin.approve(loan_id, mfiauto.today()) $$;
CREATE FUNCTION reject(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE m_loan SET loan_status_id = 500, rejectedon_date = mfiauto.today() WHERE id = loan_id $$;
CREATE FUNCTION withdraw(loan_id bigint) RETURNS void LANGUAGE sql AS $$ UPDATE m_loan SET loan_status_id = 400, withdrawnon_date = mfiauto.today() WHERE id = loan_id $$;
CREATE FUNCTION disburse(loan_id bigint) RETURNS void LANGUAGE sql AS $$ SELECT fin.disburse(loan_id, mfiauto.today()) $$;
CREATE FUNCTION repay(loan_id bigint, amount numeric) RETURNS void LANGUAGE sql AS $$ SELECT fin.repay(loan_id, amount, mfiauto.today()) $$;
CREATE FUNCTION write_off(loan_id bigint) RETURNS void LANGUAGE sql AS $$ SELECT fin.write_off(loan_id, mfiauto.today()) $$;
CREATE FUNCTION start_application(application_id bigint, client_id bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO public.dt_application (id, client_id, started_at) VALUES (application_id, client_id, mfiauto.now()) $$;
CREATE FUNCTION submit_application(application_id bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE public.dt_application SET submitted_at = mfiauto.now() WHERE id = application_id $$;
\i test/lib/recipe_play.sql
\o
\set ECHO all
\i test/lib/recipe_stories.sql
