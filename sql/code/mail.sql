-- Letters that come back or in: bounces, complaints, opt-outs by mail, and what people write.

-- What a letter is, whatever its bytes. reference: of our own letter, message_id-key; status as RFC 3463 has it, diagnostic the SMTP status behind it.
CREATE FUNCTION mfiauto._parse_mail(raw bytea, OUT kind text, OUT reference text, OUT is_unsubscribe boolean, OUT status text, OUT diagnostic text,
  OUT from_address text, OUT to_address text, OUT mail_id text, OUT subject text, OUT body text)
  LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_parse_mail';

-- Whether a failure says that the address itself is dead, and not the mailbox full, the server down or our letter disliked.
CREATE FUNCTION mfiauto._is_dead_mailbox(status text, diagnostic text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(status ~ '^5\.(1\.([0-6]|9|10)|2\.1)$' OR (status = '5.0.0' AND diagnostic IN ('550', '551', '553')), false)
$$;

-- An opt-out that came by mail: from every class that can be opted out of.
CREATE FUNCTION mfiauto._opt_out_by_mail(client_id bigint, message_id bigint, kind text, proof jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO mfiauto.consent (client_id, channel, granted, reason, source, proof, given_at, recorded_by)
  VALUES (client_id, 'email', false, CASE kind WHEN 'complained' THEN 'complaint' ELSE 'unsubscribed by mail' END, 'email', proof, mfiauto.now(), mfiauto._caller());
  PERFORM mfiauto._journal_append(0, 'p', 0, client_id);
  PERFORM mfiauto._note_interaction(client_id, message_id, kind);
END $$;

CREATE FUNCTION mfiauto._receive_mail(gateway text, raw bytea) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  mail record;
  target record;
  fingerprint text;
  state text;
  is_applied boolean := false;
BEGIN
  PERFORM mfiauto._check_gateway_exists(_receive_mail.gateway);
  IF (SELECT g.channel FROM mfiauto.gateway_config g WHERE g.gateway = _receive_mail.gateway) <> 'email' THEN
    RAISE EXCEPTION 'gateway "%" is not of channel email', _receive_mail.gateway USING ERRCODE = '55000', HINT = 'Letters belong to a gateway of channel email.';
  ELSIF raw IS NULL THEN
    RAISE EXCEPTION 'raw must not be null' USING ERRCODE = '22004';
  END IF;
  SELECT * INTO mail FROM mfiauto._parse_mail(raw);
  IF mail.reference IS NOT NULL THEN
    -- The key is random: whoever knows it had the letter.
    SELECT m.client_id, m.message_id INTO target FROM mfiauto.message_ledger m
     WHERE m.message_id = split_part(mail.reference, '-', 1)::bigint AND m.idempotency_key = substr(mail.reference, strpos(mail.reference, '-') + 1)::uuid
       AND m.channel = 'email';
  ELSE
    SELECT NULL::bigint AS client_id, NULL::bigint AS message_id INTO target;
  END IF;
  IF mail.kind = 'message' AND mail.is_unsubscribe AND target.message_id IS NOT NULL THEN
    mail.kind := 'unsubscribe';
  ELSIF mail.kind = 'message' THEN
    IF mail.from_address IS NULL THEN
      RETURN 'ignored';
    END IF;
    PERFORM mfiauto._take_inbound(_receive_mail.gateway, 'email', 'message', mail.from_address, mail.to_address, coalesce(mail.body, mail.subject), mail.mail_id, NULL,
      jsonb_strip_nulls(jsonb_build_object('subject', mail.subject, 'message_id', target.message_id)), answered_id => target.message_id);
    RETURN 'inbound';
  ELSIF mail.kind = 'automatic' THEN
    RETURN 'ignored';
  END IF;
  -- The same news of the same letter, told again.
  fingerprint := encode(sha256(convert_to(concat_ws('|', 'mail', mail.kind, mail.status,
    coalesce(mail.reference, encode(sha256(raw), 'hex'))), 'UTF8')), 'hex');
  PERFORM pg_advisory_xact_lock(hashtextextended(_receive_mail.gateway || ' ' || fingerprint, 0));
  IF EXISTS (SELECT FROM mfiauto.receipt r WHERE r.gateway = _receive_mail.gateway AND r.digest = fingerprint) THEN
    RETURN 'repeated';
  END IF;
  state := CASE mail.kind WHEN 'bounce' THEN 'undelivered' WHEN 'delivered' THEN 'delivered' END;
  IF target.message_id IS NOT NULL THEN
    PERFORM FROM mfiauto.message_ledger m WHERE m.client_id = target.client_id AND m.message_id = target.message_id FOR UPDATE;
    IF state IS NOT NULL THEN
      is_applied := EXISTS (SELECT FROM mfiauto._settle_messages(ARRAY[target.client_id], ARRAY[target.message_id], ARRAY[state],
                                                                 ARRAY[CASE mail.kind WHEN 'bounce' THEN 'bounced' END]));
    END IF;
    IF mail.kind = 'bounce' AND mfiauto._is_dead_mailbox(mail.status, mail.diagnostic) THEN
      PERFORM mfiauto._suppress_bounced(ARRAY[target.client_id], ARRAY[target.message_id]);
    ELSIF mail.kind IN ('complaint', 'unsubscribe') THEN
      PERFORM mfiauto._opt_out_by_mail(target.client_id, target.message_id, CASE mail.kind WHEN 'complaint' THEN 'complained' ELSE 'unsubscribed' END,
        jsonb_strip_nulls(jsonb_build_object('gateway', _receive_mail.gateway, 'message_id', target.message_id, 'mail_id', mail.mail_id, 'received_at', mfiauto.now())));
      is_applied := true;
    END IF;
  END IF;
  INSERT INTO mfiauto.receipt (client_id, gateway, message_id, reference, status, state, applied, digest, error, received_at)
  VALUES (coalesce(target.client_id, 0), _receive_mail.gateway, target.message_id, mail.reference, mail.kind, state, is_applied, fingerprint, mail.status, mfiauto.now());
  RETURN CASE WHEN target.message_id IS NULL THEN 'unmatched'
              ELSE CASE mail.kind WHEN 'bounce' THEN 'bounced' WHEN 'delay' THEN 'delayed' WHEN 'complaint' THEN 'complained' WHEN 'unsubscribe' THEN 'unsubscribed' ELSE mail.kind END END;
END $$;
SELECT mfiauto._open_door('mfiauto._receive_mail(text, bytea)', '{admin,receiver}',
  'Takes a letter as a mail server hands it over, for an e-mail gateway, and says what it was: bounced (the message is undelivered; a dead address is written to no more), '
  'delayed, delivered, complained and unsubscribed (an opt-out from every class that can be opted out of), inbound (somebody wrote: see inbound), '
  'ignored (automatic answers), repeated, unmatched. Bytes that are no letter are ignored.');
