-- What one claim has leased no other takes, however often the queue is looked through from its beginning.
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
WITH made AS (
  INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, expires_at, state, class, channel, to_address, body, parts)
  SELECT i, mfiauto.now(), mfiauto.now(), mfiauto.now() + interval '1 day', 'queued', 'transactional', 'sms', '+22177000000' || i, 'bonjour', 1 FROM generate_series(1, 3) i RETURNING *)
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
SELECT m.client_id, m.message_id, m.created_at, m.channel, 1, m.due_at, m.expires_at FROM made m;
SELECT count(message_id) FROM mfiauto._claim_messages('box', 'sms', '{}', 2, pg_backend_pid(), 60, '{}');
SELECT count(message_id) FROM mfiauto._claim_messages('box', 'sms', '{}', 10, pg_backend_pid(), 60, '{}');
SELECT count(message_id) FROM mfiauto._claim_messages('box', 'sms', '{}', 10, pg_backend_pid(), 60, '{}');
SELECT count(*), min(attempts), max(attempts) FROM mfiauto.outbox WHERE lease_until IS NOT NULL;
