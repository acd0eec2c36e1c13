-- Addresses that the bank's books do not have: devices of the app, people's names at chat providers.

-- Notes an address of a client: a known one is seen again; one that was another's goes over, as a telephone does.
CREATE FUNCTION mfiauto._note_address(client_id bigint, channel text, address text, device jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto address ' || channel || ' ' || address, 0));
  UPDATE mfiauto.client_address a SET retired_at = mfiauto.now(), retired_reason = 'another client has it now'
   WHERE a.channel = _note_address.channel AND a.address = _note_address.address AND a.retired_at IS NULL AND a.client_id <> _note_address.client_id;
  UPDATE mfiauto.client_address a SET seen_at = mfiauto.now(), device = coalesce(_note_address.device, a.device)
   WHERE a.channel = _note_address.channel AND a.address = _note_address.address AND a.retired_at IS NULL;
  IF NOT FOUND THEN
    INSERT INTO mfiauto.client_address (client_id, channel, address, device, added_at, seen_at)
    VALUES (_note_address.client_id, _note_address.channel, _note_address.address, _note_address.device, mfiauto.now(), mfiauto.now());
  END IF;
END $$;

CREATE FUNCTION mfiauto._register_device(client_id bigint, token text, device jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  address text := mfiauto._read_address('push', token, NULL);
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id is missing' USING ERRCODE = '22023', HINT = 'Say whose device it is.';
  END IF;
  IF address IS NULL THEN
    RAISE EXCEPTION 'token is not valid' USING ERRCODE = '22023', HINT = 'Give the token as the push service gave it to the app: without spaces, at most 4096 bytes.';
  END IF;
  IF jsonb_typeof(device) <> 'object' OR octet_length(device::text) > 4096 THEN
    RAISE EXCEPTION 'device must be an object of at most 4096 bytes' USING ERRCODE = '22023', HINT = 'For instance: {"platform": "android", "app": "2.4"}.';
  END IF;
  PERFORM mfiauto._note_address(client_id, 'push', address, device);
END $$;
SELECT mfiauto._open_door('mfiauto._register_device(bigint, text, jsonb)', '{app}',
  'Notes the push token of a client''s device, at each start of the app. The live one that was seen last is written to; a token that was another client''s goes over to this one.');

CREATE FUNCTION mfiauto._retire_device(token text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  UPDATE mfiauto.client_address a SET retired_at = mfiauto.now(), retired_reason = 'retired by the app'
   WHERE a.channel = 'push' AND a.address = token AND a.retired_at IS NULL;
  RETURN FOUND;
END $$;
SELECT mfiauto._open_door('mfiauto._retire_device(text)', '{app}', 'Forgets a device: its client has left the app or signed out. False if no live device has the token.');

-- A provider that does not know an address any more retires it; a token that the bank's own books give is noted as dead, and used no more.
CREATE FUNCTION mfiauto._retire_addresses(client_ids bigint[], message_ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  WITH dead AS MATERIALIZED (
    SELECT DISTINCT m.client_id, m.channel, m.to_address
      FROM unnest(client_ids, message_ids) AS u(client_id, message_id)
      JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = u.client_id AND m.message_id = u.message_id OFFSET 0) m
        ON m.channel IN ('push', 'whatsapp', 'telegram', 'messenger') AND m.reason = 'recipient_rejected' AND m.to_address IS NOT NULL
  ), retired AS (
    UPDATE mfiauto.client_address a SET retired_at = mfiauto.now(), retired_reason = 'the provider does not know it any more'
      FROM dead d WHERE a.client_id = d.client_id AND a.channel = d.channel AND a.address = d.to_address AND a.retired_at IS NULL
    RETURNING a.client_id, a.channel, a.address
  )
  INSERT INTO mfiauto.client_address (client_id, channel, address, added_at, seen_at, retired_at, retired_reason)
  SELECT d.client_id, d.channel, d.to_address, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'the provider does not know it any more'
    FROM dead d
   WHERE d.channel = 'push' AND NOT EXISTS (SELECT FROM retired r WHERE r.client_id = d.client_id AND r.channel = d.channel AND r.address = d.to_address)
     AND NOT EXISTS (SELECT FROM mfiauto.client_address a WHERE a.client_id = d.client_id AND a.channel = d.channel AND a.address = d.to_address);
  PERFORM mfiauto._suppress_bounced(array_agg(m.client_id), array_agg(m.message_id))
     FROM unnest(client_ids, message_ids) AS u(client_id, message_id)
     JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = u.client_id AND m.message_id = u.message_id OFFSET 0) m
       ON m.channel = 'email' AND m.reason = 'recipient_rejected'
   HAVING count(*) > 0;
END $$;
