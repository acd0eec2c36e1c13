-- S4: what became of the messages of 90 days says how a client can be reached: three failures in a row make it poor.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, phone) SELECT g, '+2217700000' || lpad(g::text, 2, '0') FROM generate_series(1, 8) g;
SELECT pg_temp.pass('2026-01-05 08:00+00');
CREATE FUNCTION pg_temp.told(client_id bigint, outcome text, at timestamptz, channel text DEFAULT 'sms', to_address text DEFAULT 'a') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  number bigint;
BEGIN
  PERFORM mfiauto._set_clock(at);
  INSERT INTO mfiauto.message_ledger AS m (client_id, created_at, due_at, sent_at, state, class, channel, to_address) VALUES (client_id, at, at, at, 'sent', 'collection', channel, to_address) RETURNING m.message_id INTO number;
  PERFORM mfiauto._settle_messages(ARRAY[client_id], ARRAY[number], ARRAY[outcome], ARRAY[CASE outcome WHEN 'delivered' THEN NULL WHEN 'failed' THEN 'recipient_rejected' ELSE 'receipt_failed' END]);
END $$;
-- Client 1 fails once, twice, three times; 2 is reached in between; 3 has a new number; 4 fails by e-mail; 5 fails because of the gateway; 6 fails more than half.
CREATE FUNCTION pg_temp.day(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.told(1, CASE n WHEN 2 THEN 'failed' ELSE 'undelivered' END, timestamptz '2026-01-06 09:00+00' + n * interval '1 day');
  PERFORM pg_temp.told(2, 'undelivered', timestamptz '2026-01-06 10:00+00' + n * interval '1 day');
  PERFORM pg_temp.told(2, 'delivered', timestamptz '2026-01-06 11:00+00' + n * interval '1 day');
  PERFORM pg_temp.told(3, 'undelivered', timestamptz '2026-01-06 12:00+00' + n * interval '1 day', 'sms', 'old');
  PERFORM pg_temp.told(4, 'undelivered', timestamptz '2026-01-06 13:00+00' + n * interval '1 day', 'email');
  PERFORM pg_temp.told(6, 'undelivered', timestamptz '2026-01-06 14:00+00' + n * interval '1 day', CASE n WHEN 2 THEN 'voice' ELSE 'sms' END);
END $$;
CREATE VIEW pg_temp.reach AS SELECT string_agg(format('%s %s %s', p.client_id, p.network_reach, p.delivery_ratio), ', ' ORDER BY p.client_id) AS reach FROM mfiauto.client_profile p WHERE p.client_id IN (1, 2, 3);
SELECT pg_temp.day(1);
SELECT pg_temp.pass('2026-01-07 20:00+00');
SELECT * FROM pg_temp.reach;
SELECT pg_temp.day(2);
SELECT pg_temp.pass('2026-01-08 20:00+00');
SELECT * FROM pg_temp.reach;
SELECT pg_temp.day(3);
SELECT pg_temp.pass('2026-01-09 20:00+00');
SELECT * FROM pg_temp.reach;
SELECT pg_temp.told(3, 'delivered', '2026-01-12 12:00+00', 'sms', 'new'), pg_temp.told(6, 'delivered', '2026-01-12 13:00+00');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, finished_at, state, reason, class, channel) SELECT 5, mfiauto.now() - g * interval '1 hour', mfiauto.now(), mfiauto.now(), 'failed', 'gateway_rejected', 'collection', 'sms' FROM generate_series(1, 3) g;
SELECT pg_temp.pass('2026-01-12 20:00+00');
SELECT p.client_id, p.network_reach, p.delivery_ratio FROM mfiauto.client_profile p ORDER BY 1;
-- A late receipt sets it right; messages of more than 90 days ago do not count any more, and the clock alone says so.
SELECT mfiauto._settle_messages(ARRAY[1::bigint], ARRAY[(SELECT m.message_id FROM mfiauto.message_ledger m WHERE m.client_id = 1 ORDER BY m.created_at DESC LIMIT 1)], '{delivered}', '{NULL}') IS NOT NULL AS late;
SELECT pg_temp.pass('2026-01-13 20:00+00');
SELECT p.client_id, p.network_reach, p.delivery_ratio FROM mfiauto.client_profile p WHERE p.client_id = 1;
SELECT pg_temp.drift();
CREATE TABLE public.seen AS SELECT NULL::date AS day, NULL::bigint AS client_id, NULL::numeric AS ratio, NULL::numeric AS naive LIMIT 0;
DO $$
DECLARE
  day date;
BEGIN
  FOR day IN SELECT d::date FROM generate_series(date '2026-04-05', date '2026-04-14', '1 day') d LOOP
    PERFORM pg_temp.pass(day + time '20:00' AT TIME ZONE 'UTC');
    INSERT INTO public.seen
    SELECT day, p.client_id, p.delivery_ratio, (SELECT round(avg((m.state = 'delivered')::integer), 4) FROM mfiauto.message_ledger m
             WHERE m.client_id = p.client_id AND m.channel <> 'email' AND m.created_at > mfiauto.now() - interval '90 days' AND m.to_address IS DISTINCT FROM 'old' AND m.reason IS DISTINCT FROM 'gateway_rejected')
      FROM mfiauto.client_profile p;
  END LOOP;
END $$;
SELECT count(*), count(ratio) AS known, count(*) FILTER (WHERE ratio IS DISTINCT FROM naive) AS wrong FROM public.seen;
SELECT p.client_id, p.network_reach FROM mfiauto.client_profile p ORDER BY 1;
SELECT pg_temp.drift();
