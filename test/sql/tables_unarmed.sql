-- Gateways that are tables: a server that was not armed hands nothing over and reads nothing, under a clock either; what stays here goes on.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
-- As Gammu SMSD has it: a program that knows no clock sends what it finds here.
CREATE TABLE handed (reference text);
CREATE TABLE came (number text, body text);
INSERT INTO came VALUES ('+221770000009', 'Bonjour');
SELECT mfiauto.create_gateway('modem', 'sms', priority => 10, definition => '{"sql": {
  "hand_over": "INSERT INTO public.handed SELECT m.value ->> ''reference'' FROM jsonb_array_elements($1) m RETURNING reference, reference",
  "inbound": "DELETE FROM public.came RETURNING number, ''33'', body, ''1'', now()"}}');

CREATE FUNCTION pg_temp.intend(client bigint) RETURNS boolean LANGUAGE sql AS $$
  WITH made AS (
    INSERT INTO mfiauto.message_ledger AS m (client_id, created_at, due_at, expires_at, state, class, channel, to_address, body, parts)
    VALUES (client, mfiauto.now(), mfiauto.now(), mfiauto.now() + interval '3 days', 'queued', 'transactional', 'sms', '+22177000000' || client, 'bonjour', 1)
    RETURNING *), queued AS (
    INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
    SELECT m.client_id, m.message_id, m.created_at, m.channel, c.priority, m.due_at, m.expires_at FROM made m JOIN mfiauto.message_class c ON c.class = m.class)
  SELECT m.message_id > 0 FROM made m
$$;
CREATE VIEW pg_temp.seen AS
  SELECT m.client_id, m.state, m.gateway, (SELECT count(*) FROM handed) AS handed, (SELECT count(*) FROM came) AS unread FROM mfiauto.message m ORDER BY m.client_id;

-- Never armed.
SELECT pg_temp.intend(1) AS ok;
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.seen;
SELECT outcome, error FROM mfiauto.test_gateway('modem', '+221770000001', 'essai');
SELECT count(*) AS handed FROM handed;

-- Armed: it leaves, and what came is read.
SELECT mfiauto.arm_delivery() <> '' AS armed;
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.seen;
SELECT outcome FROM mfiauto.test_gateway('modem', '+221770000001', 'essai');

-- Another server was armed, as a restored dump has it: the same as never; the next gateway of the channel, the sandbox, takes over.
UPDATE mfiauto.armed_site SET system_identifier = system_identifier + 1;
INSERT INTO came VALUES ('+221770000009', 'Bonsoir');
SELECT pg_temp.intend(2) AS ok;
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT outcome, left(error, 50) AS error FROM mfiauto.test_gateway('modem', '+221770000001', 'essai');
SELECT * FROM pg_temp.seen;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', priority => 20);
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.seen;

-- A dry run keeps everything here, also of tables.
SELECT mfiauto.alter_gateway('box', is_enabled => false);
SET mfiauto.delivery = dry_run;
SELECT pg_temp.intend(3) AS ok;
SELECT claimed, sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.seen;
SELECT client_id, gateway FROM mfiauto.sandbox_message ORDER BY client_id;
