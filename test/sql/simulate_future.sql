-- simulate_future: what is to come, by what is assumed of payments; all of it says that it is approximate.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-06-01 06:00+00');
\i test/lib/engine_books.sql
RESET client_min_messages;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'low' FROM generate_series(1, 3) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 3) g;
-- The first client paid all ten that were due, the second none, the third half of them. Fortnightly; twenty are to come.
INSERT INTO bank.installment SELECT 100 * g + m, 10 + g, m, date '2026-01-07' + 14 * m, 1000, CASE WHEN m < 10 AND (g = 1 OR g = 3 AND m % 2 = 0) THEN 1000 ELSE 0 END
  FROM generate_series(1, 3) g, generate_series(0, 29) m;
SELECT events FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('late', '{"for_each": "installment", "anchor": "due_date", "class": "transactional", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "0 days 09:00", "send": "today", "channels": ["sms"]}, {"at": "+3 days 09:00", "send": "late", "channels": ["sms"]}]}') AS version;
CREATE TEMP TABLE told AS
  SELECT p.payments, s.client_id, s.step, s.subject_id, s.outcome, s.approximate, s.note
    FROM unnest('{none,on_time,as_history}'::text[]) AS p(payments), mfiauto.simulate_workflow('late', '2026-06-02', '2026-12-31', p.payments) s;
-- none: nobody pays; on_time: nobody is late; as_history: the first never, the second always, the third about half the time.
SELECT t.payments, t.client_id, count(*) FILTER (WHERE t.step = 'steps[0]') AS on_the_day, CASE WHEN t.payments = 'as_history' AND t.client_id = 3 THEN NULL ELSE count(*) FILTER (WHERE t.step = 'steps[1]') END AS late
  FROM told t WHERE t.outcome = 'sent' GROUP BY t.payments, t.client_id ORDER BY t.payments, t.client_id;
SELECT count(*) BETWEEN 3 AND 12 AS about_half FROM told t WHERE t.payments = 'as_history' AND t.client_id = 3 AND t.step = 'steps[1]';
SELECT t.payments, bool_and(t.approximate) AS approximate, min(t.note) AS note FROM told t GROUP BY t.payments ORDER BY t.payments;
-- The same every time.
SELECT count(*) AS different
  FROM (SELECT t.client_id, t.step, t.subject_id FROM told t WHERE t.payments = 'as_history'
        EXCEPT SELECT s.client_id, s.step, s.subject_id FROM mfiauto.simulate_workflow('late', '2026-06-02', '2026-12-31', 'as_history') s) x;
