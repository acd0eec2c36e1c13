-- A gateway whose provider posts arrays of receipts, and messages that wait for them.
SET client_min_messages = error;
CREATE SCHEMA IF NOT EXISTS bench;
SELECT mfiauto.create_gateway('receipts', channel => 'sms', priority => 900, definition => '{
  "request": {"method": "POST", "url": "https://sms.example/", "body": {"kind": "json", "json": {"to": "{{to}}", "text": "{{text}}"}}},
  "response": {"success": {"status": 200}, "id": {"path": "id"}},
  "signature": {"method": "none"}, "receipt": {"format": "json", "id": "id", "status": "status", "states": {"DELIVRD": "delivered"}}}');
CREATE SEQUENCE bench.bare_next;
CREATE SEQUENCE bench.one_next;
CREATE TABLE bench.bare (LIKE mfiauto.message_ledger);
CREATE INDEX ON bench.bare (message_id);

-- So many messages that were sent; their provider's ids are their numbers.
CREATE FUNCTION bench.make_sent(many integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
BEGIN
  TRUNCATE bench.bare, mfiauto.provider_key;
  WITH made AS (
    INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, sent_at, class, channel, state, to_address, body, parts, encoding, gateway, provider_id)
    SELECT n, nextval('mfiauto.message_id_seq'), now(), now(), now(), 'transactional', 'sms', 'sent', '+22177' || lpad(n::text, 7, '0'), 'Bonjour', 1, 'gsm7', 'receipts', 'm-' || n
      FROM generate_series(1, many) n RETURNING *), named AS (
    INSERT INTO mfiauto.provider_key (client_id, message_id, gateway, provider_id, named_at)
    SELECT client_id, message_id, 'receipts', 'm-' || message_id, now() FROM made), kept AS (INSERT INTO bench.bare SELECT * FROM made RETURNING message_id)
  SELECT min(message_id) INTO first FROM kept;
  PERFORM setval('bench.bare_next', first, false), setval('bench.one_next', first, false);
  RETURN first;
END $$;

CREATE FUNCTION bench.receive_one() RETURNS void LANGUAGE sql AS $$
  SELECT mfiauto.receive('receipts', '{}', '{"id": "m-' || nextval('bench.one_next') || '", "status": "DELIVRD"}')
$$;

CREATE FUNCTION bench.receive_arrays(first bigint, many integer, at_once integer) RETURNS bigint LANGUAGE sql AS $$
  SELECT sum(mfiauto.receive('receipts', '{}', (SELECT jsonb_agg(jsonb_build_object('id', 'm-' || i, 'status', 'DELIVRD'))::text FROM generate_series(n, n + at_once - 1) i)))
    FROM generate_series(first, first + many - 1, at_once) n
$$;
