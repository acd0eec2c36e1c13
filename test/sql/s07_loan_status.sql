-- S7: cycle, punctuality of the last 12 installments, days past due and standing equal what the payments say, counted one installment at a time.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
UPDATE mfiauto.institution SET grace_days = 2;
SELECT setseed(0.7);
INSERT INTO bank.client (id) SELECT g FROM generate_series(1, 150) g;
INSERT INTO bank.loan (id, client_id, status, disbursed, closed)
SELECT c * 10 + n, c, CASE WHEN n = 1 AND c % 3 = 0 THEN 'closed' WHEN c % 17 = 0 THEN 'written_off' WHEN c % 13 = 0 THEN 'approved' ELSE 'active' END, date '2025-03-01' + (random() * 60)::integer + n * 30,
       CASE WHEN n = 1 AND c % 3 = 0 OR c % 17 = 0 THEN date '2026-01-20' END
  FROM generate_series(1, 150) c, generate_series(1, 2) n WHERE n = 1 OR c % 2 = 0;
INSERT INTO bank.installment (id, loan_id, number, due_date, due) SELECT l.id * 100 + i, l.id, i, l.disbursed + 30 * i, 100 + (random() * 5)::integer * 10 FROM bank.loan l, generate_series(1, 10) i;
-- Each pays some of them, early, on time, within the grace, late, in parts or not at all; some payments are taken back.
INSERT INTO bank.payment (id, loan_id, paid_at, amount, reversed)
SELECT row_number() OVER (), i.loan_id, i.due_date + time '12:00' + (random() * 40 - 12)::integer * interval '1 day', round(i.due * (ARRAY[1, 1, 1, 0.5, 1.5])[1 + floor(random() * 5)::integer], 2), random() < 0.1
  FROM bank.installment i WHERE random() < 0.85 AND i.due_date < '2026-03-01';
-- The books' own view of what is paid: the oldest first.
UPDATE bank.installment i SET paid = greatest(0, least(i.due,
   (SELECT coalesce(sum(p.amount), 0) FROM bank.payment p WHERE p.loan_id = i.loan_id AND NOT p.reversed AND p.paid_at < '2026-02-01')
   - (SELECT coalesce(sum(o.due), 0) FROM bank.installment o WHERE o.loan_id = i.loan_id AND o.number < i.number)));
DELETE FROM bank.payment WHERE paid_at >= '2026-02-01';
-- One whose first installment is still to come.
INSERT INTO bank.client (id) VALUES (151);
INSERT INTO bank.loan (id, client_id, disbursed) VALUES (1511, 151, '2026-01-30');
INSERT INTO bank.installment (id, loan_id, number, due_date, due) VALUES (151101, 1511, 1, '2026-02-04', 100);
-- The oracle: one client, one installment at a time.
CREATE FUNCTION pg_temp.oracle(client bigint, today date, OUT dpd integer, OUT max_dpd integer, OUT ratio numeric, OUT standing text, OUT cycle integer) LANGUAGE plpgsql AS $$
DECLARE
  i record; p record; need numeric; have numeric; settled date; judged integer := 0; on_time integer := 0; due_count integer := 0;
BEGIN
  dpd := 0; max_dpd := 0;
  cycle := (SELECT count(*) FROM bank.loan l WHERE l.client_id = client AND l.status IN ('active', 'closed', 'written_off'));
  FOR i IN SELECT s.*, l.status, l.closed FROM bank.installment s JOIN bank.loan l ON l.id = s.loan_id
            WHERE l.client_id = client AND l.status IN ('active', 'closed', 'written_off') AND s.due_date <= today ORDER BY s.due_date DESC, s.id DESC LOOP
    due_count := due_count + 1;
    need := (SELECT sum(s.due) FROM bank.installment s WHERE s.loan_id = i.loan_id AND (s.due_date, s.id) <= (i.due_date, i.id));
    have := 0; settled := NULL;
    IF i.paid >= i.due THEN
      FOR p IN SELECT * FROM bank.payment b WHERE b.loan_id = i.loan_id AND NOT b.reversed ORDER BY b.paid_at, b.id LOOP
        have := have + p.amount;
        IF have >= need THEN settled := p.paid_at::date; EXIT; END IF;
      END LOOP;
    ELSIF i.status = 'active' AND i.due_date < today THEN
      dpd := greatest(dpd, today - i.due_date);
    END IF;
    IF i.due_date < today THEN
      max_dpd := greatest(max_dpd, CASE WHEN i.paid >= i.due THEN settled - i.due_date WHEN i.status = 'active' THEN today - i.due_date ELSE i.closed - i.due_date END);
    END IF;
    IF judged < 12 AND (settled IS NOT NULL OR i.paid < i.due AND i.due_date + 2 < today) THEN
      judged := judged + 1;
      IF settled <= i.due_date + 2 THEN on_time := on_time + 1; END IF;
    END IF;
  END LOOP;
  ratio := CASE WHEN judged > 0 THEN round(on_time::numeric / judged, 4) END;
  standing := CASE WHEN cycle = 0 THEN 'none'
    WHEN dpd > 2 OR EXISTS (SELECT FROM bank.loan l WHERE l.client_id = client AND l.status = 'written_off') THEN 'late'
    WHEN due_count = 0 AND NOT EXISTS (SELECT FROM bank.loan l WHERE l.client_id = client AND l.status = 'closed') THEN 'new' ELSE 'good' END;
END $$;
CREATE FUNCTION pg_temp.wrong(OUT clients bigint, OUT wrong bigint, OUT in_arrears bigint, OUT mixed bigint) LANGUAGE sql AS $$
  SELECT count(*), count(*) FILTER (WHERE (p.days_past_due, p.max_days_past_due, p.on_time_ratio, p.loan_standing, p.loan_cycle) IS DISTINCT FROM (o.dpd, o.max_dpd, o.ratio, o.standing, o.cycle)),
         count(*) FILTER (WHERE o.dpd > 0), count(*) FILTER (WHERE o.ratio > 0 AND o.ratio < 1)
    FROM mfiauto.client_profile p, pg_temp.oracle(p.client_id, mfiauto.today()) o $$;
SELECT pg_temp.pass('2026-02-01 08:00+00');
SELECT wrong, clients > 140 AS all_of_them, in_arrears > 20 AS some_late, mixed > 20 AS some_mixed FROM pg_temp.wrong();
SELECT p.loan_standing, count(*) > 0 AS some FROM mfiauto.client_profile p GROUP BY 1 ORDER BY 1;
SELECT pg_temp.drift();
-- Days pass, money comes, a payment is taken back.
SELECT pg_temp.pass('2026-02-02 08:00+00');
SELECT wrong FROM pg_temp.wrong();
SELECT pg_temp.pass('2026-02-06 08:00+00');
SELECT wrong FROM pg_temp.wrong();
INSERT INTO bank.payment SELECT 100000 + i.id, i.loan_id, '2026-02-06 07:00+00', i.due - i.paid FROM bank.installment i WHERE i.due_date < '2026-02-01' AND i.paid < i.due AND i.loan_id % 3 = 0;
UPDATE bank.installment i SET paid = due WHERE i.due_date < '2026-02-01' AND i.loan_id % 3 = 0;
UPDATE bank.payment SET reversed = true WHERE id % 20 = 0;
SELECT pg_temp.pass('2026-02-06 09:00+00');
SELECT wrong FROM pg_temp.wrong();
SELECT pg_temp.pass('2026-03-15 09:00+00');
SELECT wrong FROM pg_temp.wrong();
SELECT pg_temp.drift();
