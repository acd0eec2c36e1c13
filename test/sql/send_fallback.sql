-- "fallback_after": what was not delivered so long after it left is said on the next channel; heard of late, the fallback that still waits is taken back.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset null -
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (events bigint, entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT * FROM mfiauto.run_engine(); END $$;
-- What delivery and receipts do: claims the newest message of a client, and records outcomes.
CREATE FUNCTION pg_temp.becomes(client bigint, t timestamptz, VARIADIC states text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE number bigint; s text;
BEGIN
  PERFORM mfiauto._set_clock(t);
  number := (SELECT m.message_id FROM mfiauto.message_ledger m WHERE m.client_id = client ORDER BY m.message_id LIMIT 1);
  FOREACH s IN ARRAY states LOOP
    UPDATE mfiauto.outbox o SET lease_until = t + interval '1 minute', claimed_at = t WHERE o.message_id = number;
    PERFORM mfiauto._settle_messages(ARRAY[client], ARRAY[number], ARRAY[s], ARRAY[CASE WHEN s IN ('failed', 'undelivered') THEN 'receipt_failed' END]);
  END LOOP;
  RETURN (SELECT m.state FROM mfiauto.message_ledger m WHERE m.message_id = number);
END $$;
CREATE VIEW public.told AS
  SELECT m.client_id, string_agg(concat_ws(' ', m.channel, to_char(m.due_at, 'HH24:MI'), m.state, m.reason), ', ' ORDER BY m.message_id) AS messages FROM mfiauto.message_ledger m GROUP BY 1;
INSERT INTO bank.client SELECT g, 'Client ' || g, CASE WHEN g = 9 THEN NULL ELSE '+2217700' || lpad(g::text, 5, '0') END, 'Africa/Dakar', 'low' FROM generate_series(1, 12) g;
SELECT mfiauto.create_template('late', channel => 'whatsapp', body => 'late {{client.name}}') AS version;
SELECT mfiauto.create_workflow('w', '{"trigger": {"event": "Began"}, "class": "transactional", "exit_if": "client.literacy = ''left''", "steps": [
  {"send": "late", "channels": ["sms", "voice", "whatsapp"], "fallback_after": "2 hours"}]}') AS version;
SELECT mfiauto._set_clock('2026-03-02 08:00+00');
SELECT mfiauto.activate_workflow('w');
SELECT sum(events) AS events FROM pg_temp.at('2026-03-02 08:00+00');
SELECT count(mfiauto.track('Began', c)) FROM generate_series(1, 9) c;
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');
SELECT count(*) AS watched FROM mfiauto.fallback_watch;

-- 1 is delivered in time; 2, 3, 4, 8 leave at 09:10 and are not heard of; 5 leaves at 10:30; 6 does not leave; 7 fails at once (the next channel, as ever); 9 has no address.
SELECT pg_temp.becomes(1, '2026-03-02 09:10+00', 'submitted', 'delivered'), pg_temp.becomes(2, '2026-03-02 09:10+00', 'submitted'), pg_temp.becomes(3, '2026-03-02 09:10+00', 'sent'),
       pg_temp.becomes(4, '2026-03-02 09:10+00', 'sent'), pg_temp.becomes(8, '2026-03-02 09:10+00', 'sent'), pg_temp.becomes(7, '2026-03-02 09:10+00', 'submitted', 'undelivered');
SELECT * FROM pg_temp.at('2026-03-02 09:11+00');
SELECT pg_temp.becomes(5, '2026-03-02 10:30+00', 'sent');
SELECT * FROM pg_temp.at('2026-03-02 11:09:59+00');
UPDATE bank.client SET literacy = 'left' WHERE id = 8;
SELECT * FROM pg_temp.at('2026-03-02 11:10+00');
SELECT * FROM public.told ORDER BY 1;
-- A pass repeated says nothing twice.
SELECT * FROM pg_temp.at('2026-03-02 11:10+00');
-- Heard of late: the fallback of 2 still waits and is taken back; that of 3 has left.
UPDATE mfiauto.outbox o SET lease_until = '2026-03-02 11:30+00' FROM mfiauto.message_ledger m WHERE m.message_id = o.message_id AND m.client_id = 3;
SELECT r.state FROM mfiauto.message_ledger m, LATERAL mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{sent}', '{NULL}') r WHERE m.client_id = 3 AND m.channel = 'voice';
SELECT pg_temp.becomes(2, '2026-03-02 11:30+00', 'delivered'), pg_temp.becomes(3, '2026-03-02 11:30+00', 'delivered');
SELECT * FROM pg_temp.at('2026-03-02 11:30+00');
-- Said on voice and not delivered, it goes on to the third channel. One that failed after its fallback was made brings no second one.
SELECT pg_temp.becomes(4, '2026-03-02 11:40+00', 'undelivered');
UPDATE mfiauto.outbox o SET lease_until = '2026-03-02 12:00+00' FROM mfiauto.message_ledger m WHERE m.message_id = o.message_id AND m.client_id = 4;
SELECT r.state FROM mfiauto.message_ledger m, LATERAL mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{sent}', '{NULL}') r WHERE m.client_id = 4 AND m.channel = 'voice';
SELECT * FROM pg_temp.at('2026-03-02 12:31+00');
SELECT * FROM pg_temp.at('2026-03-02 13:41+00');
SELECT * FROM public.told ORDER BY 1;
SELECT x.detail FROM mfiauto.explain_client(2, 'w') x WHERE x.what = 'message' ORDER BY x.at, x.detail;
-- Nothing is watched for ever.
SELECT mfiauto.cancel_messages('w') AS canceled;
SELECT * FROM pg_temp.at('2026-03-02 15:00+00');
SELECT * FROM pg_temp.at('2026-03-20 09:00+00');
SELECT count(*) AS watched FROM mfiauto.fallback_watch;
-- In a list that is repeated, each round has its own; a fallback of the first comes while the second is under way.
SELECT mfiauto.create_workflow('r', '{"trigger": {"event": "Repeated"}, "class": "transactional", "steps": [{"repeat": [{"send": "late", "channels": ["sms", "voice"], "fallback_after": "30 hours"}, {"wait": "1 day"}], "at_most": 2}]}') AS version;
SELECT mfiauto.activate_workflow('r');
SELECT mfiauto.track('Repeated', 11) > 0 AS told;
SELECT * FROM pg_temp.at('2026-04-01 09:00+00');
SELECT pg_temp.becomes(11, '2026-04-01 09:00+00', 'sent');
SELECT sum(a.messages) AS messages FROM generate_series(timestamptz '2026-04-02 09:00+00', '2026-04-02 16:00+00', '1 hour') d, LATERAL pg_temp.at(d) a;
SELECT m.channel, m.repetition, m.due_at FROM mfiauto.message_ledger m WHERE m.client_id = 11 ORDER BY m.message_id;
-- A workflow that is paused falls back when it goes on.
SELECT mfiauto.track('Began', 12) > 0 AS told;
SELECT * FROM pg_temp.at('2026-04-05 09:00+00');
SELECT pg_temp.becomes(12, '2026-04-05 09:00+00', 'sent');
SELECT mfiauto.pause_workflow('w');
SELECT a.messages FROM pg_temp.at('2026-04-05 12:00+00') a;
SELECT mfiauto.resume_workflow('w');
SELECT a.messages FROM pg_temp.at('2026-04-05 12:10+00') a;
