-- The profile that the engine keeps up to date, by what is written and by the clock, equals one computed anew: random writes, random moments. And what stands in its way.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
SELECT setseed(0.42);
INSERT INTO bank.client (id, birth, tz, region, literacy, joined, traits)
SELECT g, date '1960-01-01' + (random() * 18000)::integer, (ARRAY['Africa/Dakar', 'Asia/Tokyo', 'America/Lima', NULL])[1 + g % 4], (ARRAY['Thies', 'Dakar'])[1 + g % 2], (ARRAY['low', 'high'])[1 + g % 2], '2024-05-01',
       jsonb_build_object('income', 1000 + g * 10, 'household', g % 9, 'sector', (ARRAY['A', 'trade', 'x'])[1 + g % 3]) FROM generate_series(1, 60) g;
INSERT INTO bank.loan (id, client_id, product, principal, currency, outstanding) SELECT g, CASE WHEN g % 10 <> 0 THEN 1 + g % 60 END, 'loan ' || g % 3, 1000, (ARRAY['XOF', 'USD', NULL])[1 + g % 3], 1000 FROM generate_series(1, 90) g;
INSERT INTO bank.member (loan_id, client_id, since, until) SELECT l.id, l.id / 2 + n, CASE n WHEN 1 THEN date '2026-02-10' END, CASE n WHEN 2 THEN date '2026-03-01' END FROM bank.loan l, generate_series(0, 2) n WHERE l.client_id IS NULL;
INSERT INTO bank.installment (id, loan_id, number, due_date, due) SELECT l.id * 10 + i, l.id, i, date '2025-11-10' + i * 30 + l.id % 25, 100 FROM bank.loan l, generate_series(1, 8) i;
INSERT INTO bank.holding (id, client_id, product, opened) SELECT g, g, 'savings', '2025-01-01' FROM generate_series(1, 20) g;
SELECT mfiauto.create_trait('burden', 'SELECT p.client_id, p.loans_active * 10 + p.household_size AS value FROM mfiauto.client_profile p') AS valued;
SELECT mfiauto.set_education_weight('Lesson Completed', 10);
-- One write of the bank's, of an application's or of a provider's.
CREATE PROCEDURE public.write_something() LANGUAGE plpgsql AS $$
DECLARE
  who bigint := 1 + floor(random() * 62); of_loan bigint := 1 + floor(random() * 90); new_id bigint;
BEGIN
  CASE floor(random() * 18)::integer
    WHEN 0 THEN INSERT INTO bank.payment (id, loan_id, paid_at, amount) SELECT coalesce(max(p.id), 0) + 1, of_loan, mfiauto.now() - random() * interval '5 days', 50 + (random() * 100)::integer FROM bank.payment p;
    WHEN 1 THEN UPDATE bank.payment SET reversed = NOT reversed WHERE id = 1 + floor(random() * 40);
    WHEN 2, 3 THEN UPDATE bank.installment SET paid = CASE WHEN paid < due THEN due ELSE 0 END WHERE loan_id = of_loan AND number = 1 + floor(random() * 8);
    WHEN 4 THEN UPDATE bank.installment SET due_date = due_date + 3 WHERE loan_id = of_loan;
    WHEN 5 THEN UPDATE bank.loan SET status = (ARRAY['active', 'closed', 'written_off', 'approved'])[1 + floor(random() * 4)::integer], closed = mfiauto.now()::date WHERE id = of_loan;
    WHEN 6 THEN UPDATE bank.loan SET client_id = CASE WHEN client_id IS NOT NULL THEN 1 + floor(random() * 60) END, outstanding = (random() * 1000)::integer WHERE id = of_loan;
    WHEN 7 THEN UPDATE bank.client SET birth = birth + 100, tz = 'Asia/Tokyo', traits = traits || jsonb_build_object('household', floor(random() * 9)) WHERE id = who;
    WHEN 8 THEN DELETE FROM bank.client WHERE id = who AND who > 50;
    WHEN 9 THEN INSERT INTO bank.client (id, birth, traits) VALUES (who, '1990-06-01', '{"household": 2}') ON CONFLICT DO NOTHING;
    WHEN 10 THEN DELETE FROM bank.installment WHERE loan_id = of_loan AND number = 8;
    WHEN 11 THEN PERFORM mfiauto.track((ARRAY['Session Started', 'Lesson Completed'])[1 + floor(random() * 2)::integer], who, occurred_at => mfiauto.now() - random() * interval '40 days');
    WHEN 12 THEN PERFORM mfiauto.identify(who, jsonb_build_object('expenses', floor(random() * 500), 'dependants', floor(random() * 5)));
    WHEN 13 THEN IF random() < 0.5 THEN PERFORM mfiauto.opt_in(who, 'voice'); ELSE PERFORM mfiauto.opt_out(who); END IF;
    WHEN 14 THEN UPDATE bank.holding SET closed = CASE WHEN closed IS NULL THEN mfiauto.now()::date END WHERE id = 1 + floor(random() * 20);
    WHEN 15 THEN UPDATE bank.member SET until = mfiauto.now()::date + floor(random() * 20)::integer - 5 WHERE loan_id % 20 = (random() * 2)::integer * 10;
    WHEN 16 THEN
      INSERT INTO mfiauto.message_ledger AS m (client_id, created_at, due_at, state, class, channel, to_address) VALUES (who, mfiauto.now(), mfiauto.now(), 'sent', 'collection', 'sms', 'a') RETURNING m.message_id INTO new_id;
      PERFORM mfiauto._settle_messages(ARRAY[who], ARRAY[new_id], ARRAY[CASE WHEN random() < 0.5 THEN 'delivered' ELSE 'undelivered' END], ARRAY[NULL::text]);
    ELSE DELETE FROM bank.loan WHERE id = of_loan AND random() < 0.2;
  END CASE;
END $$;
CREATE TABLE public.seen (round integer, at timestamptz, profiles bigint, drift bigint);
CREATE PROCEDURE public.live(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := '2026-01-01 06:00+00';
BEGIN
  FOR round IN 1..rounds LOOP
    moment := moment + (ARRAY[interval '3 hours', '11 hours', '1 day 2 hours', '6 days', '17 days'])[1 + floor(random() * 5)::integer];
    PERFORM mfiauto._set_clock(moment);
    FOR n IN 1 .. floor(random() * 12) LOOP
      CALL public.write_something();
    END LOOP;
    COMMIT;
    PERFORM * FROM mfiauto.run_engine();
    COMMIT;
    INSERT INTO public.seen VALUES (round, moment, (SELECT count(*) FROM mfiauto.client_profile), pg_temp.drift());
    COMMIT;
  END LOOP;
END $$;
CALL public.live(45);
SELECT count(*) AS rounds, max(profiles) - min(profiles) > 2 AS clients_came_and_went, count(*) FILTER (WHERE drift > 0) AS wrong_rounds FROM public.seen;
-- Rows that stay as they are are not written.
SELECT p.xmin::text AS before FROM mfiauto.profile_state p WHERE p.client_id = 30 \gset
SELECT mfiauto.refresh_profiles() > 40 AS refreshed;
SELECT p.xmin::text = :'before' AS untouched FROM mfiauto.profile_state p WHERE p.client_id = 30;
SELECT p.phase, p.done_count = p.total_count AS complete FROM mfiauto.job_progress p WHERE p.job = 'refresh_profiles';
-- What nobody mapped says nothing; what comes back counts again.
SELECT mfiauto._set_clock('2027-06-01 08:00+00');
SELECT mfiauto.unbind('payment'), mfiauto.unbind('holding'), mfiauto.unbind('loan_party');
SELECT pg_temp.pass('2027-06-01 09:00+00');
SELECT pg_temp.drift(), count(*) FILTER (WHERE p.products && '{savings}') AS savers FROM mfiauto.client_profile p;
SELECT mfiauto.unbind('loan'), mfiauto.unbind('installment');
SELECT pg_temp.pass('2027-06-01 10:00+00');
SELECT pg_temp.drift(), count(*) FILTER (WHERE p.loan_standing <> 'none') AS borrowers FROM mfiauto.client_profile p;
SELECT mfiauto.unbind('client');
SELECT pg_temp.pass('2027-06-01 11:00+00');
SELECT pg_temp.drift(), count(*) AS profiles FROM mfiauto.client_profile p;
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "birth_date": "birth", "region": "region"}'), mfiauto.bind('holding', 'bank.holding', '{"holding_id": "id", "client_id": "client_id", "product": "product"}');
SELECT pg_temp.pass('2027-06-01 12:00+00');
SELECT pg_temp.drift(), count(*) > 40 AS profiles, count(*) FILTER (WHERE p.products && '{savings}') > 5 AS savers, max(p.age_years) > 40 AS aged FROM mfiauto.client_profile p;
-- One row that cannot be read stops nobody else; a column that is gone stops nothing but the profiles, and they come back with it.
SELECT mfiauto.unbind('client');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "birth_date": "birth", "branch_id": "100 / (id - 7)"}');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "birth_date": "birth", "branch_id": "100 / (id - coalesce(branch_id, 0))"}');
SELECT pg_temp.pass('2027-06-01 13:00+00');
UPDATE bank.client SET branch_id = 3 WHERE id = 3;
SELECT count(mfiauto.track('Session Started', c)) AS told FROM generate_series(1, 6) c;
SELECT pg_temp.pass('2027-06-01 14:00+00');
SELECT p.client_id, p.interactions_30d FROM mfiauto.client_profile p WHERE p.client_id <= 6 ORDER BY 1;
SELECT p.stage, p.reason, p.client_id FROM mfiauto.parked_fact p WHERE p.stage = 'profile' ORDER BY 1, 2;
UPDATE bank.client SET branch_id = NULL WHERE id = 3;
ALTER TABLE bank.client RENAME birth TO born;
SELECT mfiauto.track('Session Started', 1) IS NOT NULL AS told;
SELECT pg_temp.pass('2027-06-02 15:00+00');
SELECT p.stage, p.reason, p.client_id FROM mfiauto.parked_fact p WHERE p.stage = 'profile' ORDER BY 1, 2;
ALTER TABLE bank.client RENAME born TO birth;
SELECT pg_temp.pass('2027-06-03 16:00+00');
SELECT p.client_id, p.interactions_30d FROM mfiauto.client_profile p WHERE p.client_id <= 6 ORDER BY 1;
SELECT p.stage, p.reason, p.client_id FROM mfiauto.parked_fact p WHERE p.stage = 'profile' ORDER BY 1, 2;
SELECT pg_temp.drift();
