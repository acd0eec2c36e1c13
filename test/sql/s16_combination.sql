-- S16 Combination, static or dynamic, refreshed by changes: on random streams of writes the result is that of a full rebuild, after every step.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, region text, literacy text, born date);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text, amount numeric);
CREATE TABLE bank.member (loan_id bigint, client_id bigint, PRIMARY KEY (loan_id, client_id));
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric, paid numeric DEFAULT 0);
CREATE TABLE bank.payment (id bigint PRIMARY KEY, loan_id bigint, payer bigint, at timestamptz, amount numeric, reversed boolean DEFAULT false);
CREATE TABLE bank.account (id bigint PRIMARY KEY, client_id bigint, product text, balance numeric, status text);
CREATE TABLE bank.watchlist (client_id bigint);
SELECT mfiauto.set_clock('2026-03-01 08:00+00');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "region": "region", "literacy": "literacy", "birth_date": "born"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status", "principal": "amount"}');
SELECT mfiauto.bind('loan_party', 'bank.member', '{"loan_id": "loan_id", "client_id": "client_id"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "client_id": "payer", "paid_at": "at", "amount": "amount", "reversed": "reversed"}');
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id": "id", "client_id": "client_id", "product": "product", "balance": "balance", "status": "status"}');
RESET client_min_messages;

-- What may be asked, in all the ways of asking; the first word of each name says what is expected of its refresh.
CREATE TABLE wanted (place integer GENERATED ALWAYS AS IDENTITY, name text, query text, clients bigint[]);
INSERT INTO wanted (name, query, clients) VALUES
  ('list_a', NULL, '{1,2,3,4,5,6}'),
  ('list_b', NULL, '{5,6,7,8}'),
  ('by_predicate', $$SELECT client_id FROM mfiauto.client WHERE literacy = 'low' AND region IN ('north', 'east')$$, NULL),
  ('by_trait', $$SELECT client_id FROM mfiauto.client WHERE traits ->> 'plan' = 'gold' OR region IS NULL$$, NULL),
  ('by_join', $$SELECT DISTINCT l.client_id FROM mfiauto.loan l JOIN mfiauto.installment i ON i.loan_id = l.loan_id
                 WHERE l.client_id IS NOT NULL AND l.status = 'active' AND i.balance > 0$$, NULL),
  ('by_group', $$SELECT c.client_id FROM mfiauto.client c JOIN mfiauto.loan l ON l.client_id = c.client_id GROUP BY c.client_id HAVING sum(l.principal) >= 300$$, NULL),
  ('by_outer', $$SELECT c.client_id FROM mfiauto.client c LEFT JOIN mfiauto.loan l ON l.client_id = c.client_id AND l.status = 'active'
                  LEFT JOIN mfiauto.installment i ON i.loan_id = l.loan_id GROUP BY c.client_id HAVING count(i.installment_id) = 0$$, NULL),
  ('by_members', $$SELECT DISTINCT p.client_id FROM mfiauto.loan_party p JOIN mfiauto.loan l ON l.loan_id = p.loan_id JOIN mfiauto.installment i ON i.loan_id = l.loan_id
                    WHERE l.status = 'active' AND i.amount_due > i.amount_paid$$, NULL),
  ('by_payer', $$SELECT DISTINCT client_id FROM mfiauto.payment WHERE NOT reversed AND client_id IS NOT NULL AND amount > 20$$, NULL),
  ('by_borrower', $$SELECT l.client_id FROM mfiauto.loan l JOIN mfiauto.payment p ON p.loan_id = l.loan_id WHERE l.client_id IS NOT NULL AND NOT p.reversed
                     GROUP BY l.client_id HAVING sum(p.amount) >= 50$$, NULL),
  ('by_events', $$SELECT c.client_id FROM mfiauto.client c WHERE (SELECT count(*) FROM mfiauto.event e WHERE e.client_id = c.client_id AND e.name = 'Session Started') >= 3
                   AND NOT EXISTS (SELECT FROM mfiauto.event e WHERE e.client_id = c.client_id AND e.name = 'Complaint Made')$$, NULL),
  ('by_in', $$SELECT client_id FROM mfiauto.client WHERE client_id IN (SELECT h.client_id FROM mfiauto.holding h WHERE h.balance > 50)
               AND client_id NOT IN (SELECT e.client_id FROM mfiauto.event e WHERE e.properties ->> 'level' = '3')$$, NULL),
  ('by_consent', $$SELECT c.client_id FROM mfiauto.client c
                    WHERE (SELECT k.granted FROM mfiauto.consent k WHERE k.client_id = c.client_id ORDER BY k.consent_id DESC LIMIT 1) IS NOT FALSE$$, NULL),
  ('by_profile', $$SELECT client_id FROM mfiauto.client_profile WHERE loans_active >= 1 AND product_count >= 1 AND interactions_30d <= 4$$, NULL),
  ('by_with', $$WITH rich AS (SELECT client_id, sum(balance) AS total FROM mfiauto.holding GROUP BY client_id), poor AS (SELECT client_id FROM rich WHERE total < 40)
                SELECT c.client_id FROM mfiauto.client c JOIN rich r USING (client_id) WHERE r.total > 90 UNION SELECT p.client_id FROM poor p$$, NULL),
  ('by_lateral', $$SELECT c.client_id FROM mfiauto.client c,
                     LATERAL (SELECT h.product FROM mfiauto.holding h WHERE h.client_id = c.client_id ORDER BY h.balance DESC, h.holding_id LIMIT 1) best WHERE best.product = 'savings'$$, NULL),
  ('by_segments', $$SELECT client_id FROM mfiauto_segment.by_predicate UNION (SELECT client_id FROM mfiauto_segment.list_a EXCEPT SELECT client_id FROM mfiauto_segment.by_events)$$, NULL),
  ('time_due', $$SELECT DISTINCT l.client_id FROM mfiauto.loan l JOIN mfiauto.installment i ON i.loan_id = l.loan_id
                  WHERE l.client_id IS NOT NULL AND i.due_date BETWEEN mfiauto.today() - 3 AND mfiauto.today() AND i.balance > 0$$, NULL),
  ('time_quiet', $$SELECT c.client_id FROM mfiauto.client c
                    WHERE NOT EXISTS (SELECT FROM mfiauto.event e WHERE e.client_id = c.client_id AND e.occurred_at > mfiauto.now() - interval '2 days')$$, NULL),
  ('full_first', $$SELECT client_id FROM mfiauto.client ORDER BY region, client_id DESC LIMIT 5$$, NULL),
  ('full_watched', $$SELECT c.client_id FROM mfiauto.client c WHERE EXISTS (SELECT FROM bank.watchlist w WHERE w.client_id = c.client_id)$$, NULL),
  ('full_above', $$SELECT client_id FROM mfiauto.holding GROUP BY client_id HAVING sum(balance) > (SELECT avg(balance) FROM mfiauto.holding)$$, NULL),
  ('by_deeper', $$SELECT s.client_id FROM mfiauto_segment.by_segments s WHERE NOT EXISTS (SELECT FROM mfiauto_segment.list_b b WHERE b.client_id = s.client_id)
                   AND s.client_id NOT IN (SELECT client_id FROM mfiauto_segment.full_first)$$, NULL);
DO $$
DECLARE w wanted;
BEGIN
  FOR w IN SELECT * FROM wanted ORDER BY place LOOP
    PERFORM mfiauto.create_segment(w.name, w.query, w.clients, refresh_every => CASE WHEN w.name LIKE 'by%' THEN interval '1 year' END);
  END LOOP;
END $$;
SELECT s.name, s.refresh, s.refresh_reason FROM mfiauto.segment s ORDER BY s.name COLLATE "C";

CREATE TABLE initial AS SELECT s.name, m.client_id FROM mfiauto.segment s, mfiauto.segment_members(s.name) m;
CREATE TABLE wrong (step integer, phase text, segment text, client_id bigint, is_member boolean);
CREATE FUNCTION pick(n integer) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT 1 + floor(random() * n)::bigint';
-- One write of some kind, of those that a bank, its applications and its clients make.
CREATE FUNCTION write_something() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c bigint := pick(24);
  l bigint := pick(30);
  n bigint := pick(60);
BEGIN
  CASE pick(26)
    WHEN 1, 2 THEN INSERT INTO bank.client VALUES (c, (ARRAY['north', 'east', 'south', NULL])[pick(4)], (ARRAY['low', 'high'])[pick(2)], '1990-01-01')
      ON CONFLICT (id) DO UPDATE SET region = excluded.region, literacy = excluded.literacy;
    WHEN 3 THEN UPDATE bank.client SET literacy = (ARRAY['low', 'high'])[pick(2)] WHERE id = c;
    WHEN 4 THEN IF random() < 0.3 THEN DELETE FROM bank.client WHERE id = c; END IF;
    WHEN 5, 6, 7 THEN INSERT INTO bank.loan VALUES (l, CASE WHEN random() < 0.8 THEN c END, (ARRAY['active', 'closed'])[pick(2)], 100 * pick(3))
      ON CONFLICT (id) DO UPDATE SET client_id = CASE WHEN random() < 0.2 THEN excluded.client_id ELSE bank.loan.client_id END, status = excluded.status, amount = excluded.amount;
    WHEN 8 THEN DELETE FROM bank.loan WHERE id = l AND random() < 0.4;
    WHEN 9, 10 THEN INSERT INTO bank.member VALUES (l, c) ON CONFLICT DO NOTHING;
    WHEN 11 THEN DELETE FROM bank.member WHERE client_id = c;
    WHEN 12, 13, 14 THEN INSERT INTO bank.installment VALUES (n, l, mfiauto.today() + (pick(12) - 6)::integer, 50)
      ON CONFLICT (id) DO UPDATE SET due_date = excluded.due_date, loan_id = CASE WHEN random() < 0.3 THEN excluded.loan_id ELSE bank.installment.loan_id END;
    WHEN 15 THEN UPDATE bank.installment SET paid = 10 * pick(6) WHERE id = n;
    WHEN 16 THEN DELETE FROM bank.installment WHERE id = n;
    WHEN 17, 18 THEN INSERT INTO bank.payment VALUES (n, l, CASE WHEN random() < 0.6 THEN c END, mfiauto.now(), 10 * pick(5))
      ON CONFLICT (id) DO UPDATE SET reversed = NOT bank.payment.reversed, amount = excluded.amount;
    WHEN 19, 20 THEN INSERT INTO bank.account VALUES (l, c, (ARRAY['savings', 'current'])[pick(2)], 10 * pick(12), 'active')
      ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, client_id = excluded.client_id;
    WHEN 21, 22 THEN PERFORM mfiauto.track((ARRAY['Session Started', 'Session Started', 'Complaint Made', 'Lesson Read'])[pick(4)], c, jsonb_build_object('level', pick(3)));
    WHEN 23 THEN PERFORM mfiauto.identify(c, jsonb_build_object('plan', (ARRAY['gold', 'blue', NULL])[pick(3)]));
    WHEN 24 THEN IF random() < 0.5 THEN PERFORM mfiauto.opt_out(c); ELSE PERFORM mfiauto.opt_in(c); END IF;
    WHEN 25 THEN IF random() < 0.5 THEN PERFORM mfiauto.add_to_segment('list_b', ARRAY[c, l]); ELSE PERFORM mfiauto.remove_from_segment('list_a', ARRAY[c]); END IF;
    WHEN 26 THEN IF random() < 0.5 THEN INSERT INTO bank.watchlist VALUES (c); ELSE DELETE FROM bank.watchlist WHERE client_id = c; END IF;
  END CASE;
END $$;
CREATE FUNCTION follow(step integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.run_engine();
  -- Those that follow changes are right at once, whatever time has not done.
  INSERT INTO wrong SELECT step, 'changes', s.name, w.client_id, w.is_member
    FROM mfiauto.segment s, mfiauto.check_segment(s.name) w WHERE s.refresh LIKE 'by changes%';
END $$;
CREATE FUNCTION move_on(step integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._set_clock(mfiauto.now() + make_interval(hours => 1 + pick(12)::integer));
  -- By the profiles' clock first, then by the job, then what its events bring about.
  PERFORM mfiauto.run_engine();
  PERFORM mfiauto.refresh_segments();
END $$;
CREATE FUNCTION settle(step integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.run_engine();
  INSERT INTO wrong SELECT step, 'time', s.name, w.client_id, w.is_member FROM mfiauto.segment s, mfiauto.check_segment(s.name) w;
END $$;
SET client_min_messages = error;
\set ECHO none
\getenv seed MFI_SEED
\if :{?seed}
\else
\set seed 0.1616
\endif
SELECT setseed(:seed) \gset
\set QUIET on
\o /dev/null
SELECT format('SELECT write_something() FROM generate_series(1, %s)', CASE WHEN i = 1 THEN 250 ELSE 1 + i % 7 END), format('SELECT follow(%s)', i),
       CASE WHEN i % 3 = 0 THEN format('SELECT move_on(%s)', i) END, CASE WHEN i % 3 = 0 THEN format('SELECT settle(%s)', i) END
  FROM generate_series(1, 50) i \gexec
\o
\set ECHO all
RESET client_min_messages;
\echo seed :seed
SELECT * FROM wrong ORDER BY step, phase DESC, segment, client_id LIMIT 10;
-- The streams did something in every segment, nothing failed.
SELECT count(*) FILTER (WHERE h.changes >= 6) AS moved, count(*) FILTER (WHERE h.members > 0) AS not_empty, count(h.problem) AS problems
  FROM (SELECT s.name, s.members, s.problem, (SELECT count(*) FROM mfiauto.event e WHERE e.properties ->> 'segment' = s.name) AS changes FROM mfiauto.segment s) h;
-- The events, replayed over the first members, give the present ones, one each way at a time.
WITH told AS (
  SELECT e.properties ->> 'segment' AS segment, e.client_id, e.event_id, CASE e.name WHEN 'Segment Entered' THEN 1 ELSE -1 END AS way FROM mfiauto.event e WHERE e.name LIKE 'Segment %'
  UNION ALL SELECT i.name, i.client_id, 0, 1 FROM initial i
), replayed AS (
  SELECT t.*, sum(t.way) OVER (PARTITION BY t.segment, t.client_id ORDER BY t.event_id) AS inside, row_number() OVER (PARTITION BY t.segment, t.client_id ORDER BY t.event_id DESC) AS age FROM told t
)
SELECT count(*) FILTER (WHERE r.inside NOT IN (0, 1)) AS out_of_turn,
       count(*) FILTER (WHERE r.age = 1 AND (r.inside = 1) <> EXISTS (SELECT FROM mfiauto.segment_members(r.segment) m WHERE m.client_id = r.client_id)) AS differing,
       count(*) > 200 AS many
  FROM replayed r;
SELECT mfiauto.unbind(r) FROM unnest('{payment,installment,loan_party,holding,loan,client}'::text[]) r;
