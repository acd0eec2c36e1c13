-- Receipts: what providers say of messages after they took them.

-- The messages that events are about: by our own reference (message_id-key), else by the provider's id at this gateway.
CREATE FUNCTION mfiauto._find_receipt_messages(gateway text, provider_ids text[], refs text[], OUT client_ids bigint[], OUT message_ids bigint[])
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  SELECT array_agg(coalesce(r.client_id, k.client_id) ORDER BY e.ord), array_agg(coalesce(r.message_id, k.message_id) ORDER BY e.ord)
    INTO client_ids, message_ids
    FROM (SELECT u.ord, u.provider_id,
                 CASE WHEN u.ref ~ '^[0-9]{1,18}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN split_part(u.ref, '-', 1)::bigint END AS number,
                 CASE WHEN u.ref ~ '^[0-9]{1,18}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN substr(u.ref, strpos(u.ref, '-') + 1)::uuid END AS key
            FROM unnest(_find_receipt_messages.provider_ids, _find_receipt_messages.refs) WITH ORDINALITY AS u(provider_id, ref, ord)) e
    LEFT JOIN LATERAL (SELECT m.client_id, m.message_id
                         FROM mfiauto.message_ledger m
                         LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
                        WHERE e.number IS NOT NULL AND m.message_id = e.number AND m.idempotency_key = e.key
                          AND coalesce(o.gateway, m.gateway) = _find_receipt_messages.gateway OFFSET 0) r ON true
    LEFT JOIN LATERAL (SELECT k.client_id, k.message_id
                         FROM mfiauto.provider_key k
                        WHERE k.gateway = _find_receipt_messages.gateway AND k.provider_id = e.provider_id
                        ORDER BY k.named_at DESC LIMIT 1) k ON r.message_id IS NULL AND e.provider_id <> '';
END $$;

-- One after the other for each message, in one order for all.
CREATE FUNCTION mfiauto._lock_messages(client_ids bigint[], message_ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM (SELECT DISTINCT u.message_id, u.client_id FROM unnest(client_ids, message_ids) AS u(client_id, message_id)
                 WHERE u.message_id IS NOT NULL ORDER BY u.message_id) u
    CROSS JOIN LATERAL (SELECT FROM mfiauto.message_ledger m WHERE m.message_id = u.message_id AND m.client_id = u.client_id FOR NO KEY UPDATE) m;
END $$;

-- Puts the addresses of e-mails on the suppression list, as bounced.
CREATE FUNCTION mfiauto._suppress_bounced(client_ids bigint[], message_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.suppression (channel, address_hash, reason, suppressed_at)
  SELECT DISTINCT 'email', mfiauto._address_hash('email', m.to_address), 'bounced', mfiauto.now()
    FROM unnest(client_ids, message_ids) AS u(client_id, message_id)
    JOIN LATERAL (SELECT * FROM mfiauto.message_ledger m WHERE m.client_id = u.client_id AND m.message_id = u.message_id OFFSET 0) m
      ON m.channel = 'email' AND m.to_address IS NOT NULL
  ON CONFLICT ON CONSTRAINT suppression_pkey DO NOTHING
$$;

-- What receipts mean beyond the message: opt-outs, complaints, bounces, and what people did. (A device or a name at a chat provider that is no more is retired
-- where the message is settled.)
CREATE FUNCTION mfiauto._follow_receipts(client_ids bigint[], message_ids bigint[], events mfiauto._webhook_event[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- Who complains wants no more of what can be opted out of.
  PERFORM mfiauto._record_provider_opt_outs(array_agg(q.client_id), array_agg(q.message_id), CASE WHEN q.opted_out THEN 'the gateway says so' ELSE 'complaint' END)
     FROM (SELECT u.client_id, u.message_id, bool_or(u.opted_out) AS opted_out FROM ROWS FROM (unnest(client_ids), unnest(message_ids), unnest(events))
             AS u(client_id, message_id, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out)
            WHERE u.opted_out OR u.interaction = 'complained' GROUP BY u.client_id, u.message_id) q
    GROUP BY q.opted_out;
  -- An address that does not exist: never again, whatever the class.
  PERFORM mfiauto._suppress_bounced(array_agg(u.client_id), array_agg(u.message_id))
     FROM ROWS FROM (unnest(client_ids), unnest(message_ids), unnest(events))
            AS u(client_id, message_id, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead) WHERE u.dead;
  PERFORM mfiauto._journal_append(0, 'p', 0, q.client_id)
     FROM (SELECT DISTINCT u.client_id FROM ROWS FROM (unnest(client_ids), unnest(events))
             AS u(client_id, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead)
            WHERE u.opted_out OR u.dead OR u.interaction = 'complained') q;
  PERFORM mfiauto._note_interaction(q.client_id, q.message_id, q.kind, q.detail, q.is_bot, q.at)
     FROM (SELECT u.client_id, u.message_id, k.kind, nullif(k.detail, '{}') AS detail, coalesce(u.is_bot, false) AS is_bot,
                  CASE WHEN u.at BETWEEN mfiauto.now() - interval '30 days' AND mfiauto.now() + interval '5 minutes' THEN u.at END AS at
             FROM ROWS FROM (unnest(client_ids), unnest(message_ids), unnest(events)) WITH ORDINALITY
                    AS u(client_id, message_id, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead, is_bot, digest,
                         kind, from_address, to_address, body, ord)
             CROSS JOIN LATERAL (
               SELECT u.interaction, coalesce(u.detail, '{}') - CASE WHEN u.interaction = 'heard' THEN '{digits,url}' WHEN u.interaction = 'pressed' THEN '{seconds,url}'
                                                                     WHEN u.interaction = 'clicked' THEN '{seconds,digits}' ELSE '{seconds,digits,url}' END::text[]
                WHERE u.interaction IS NOT NULL
               UNION ALL SELECT 'heard', jsonb_build_object('seconds', u.detail -> 'seconds') WHERE u.detail ? 'seconds' AND u.interaction IS DISTINCT FROM 'heard'
                           AND (u.detail ->> 'seconds')::numeric > 0
               UNION ALL SELECT 'pressed', jsonb_build_object('digits', u.detail -> 'digits') WHERE u.detail ? 'digits' AND u.interaction IS DISTINCT FROM 'pressed'
             ) AS k(kind, detail)
            ORDER BY u.ord) q;
END $$;

-- Applies what a gateway says of messages, all of it at once; returns how many events were new. receipt_ids and received_ats: those of
-- events that had to wait for their message.
CREATE FUNCTION mfiauto._apply_receipts(gateway text, events mfiauto._webhook_event[], receipt_ids bigint[] DEFAULT NULL, received_ats timestamptz[] DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  owners bigint[];
  targets bigint[];
  kept mfiauto._webhook_event[];
  clients bigint[];
  messages bigint[];
  receipts bigint[];
  moments timestamptz[];
  chosen boolean[];
  matched bigint;
  has_more boolean;
  settled bigint[];
BEGIN
  SELECT f.client_ids, f.message_ids INTO owners, targets
    FROM (SELECT array_agg(e.provider_id ORDER BY e.ordinality) AS provider_ids, array_agg(e.reference ORDER BY e.ordinality) AS refs
            FROM unnest(events) WITH ORDINALITY AS e) g,
         LATERAL mfiauto._find_receipt_messages(_apply_receipts.gateway, g.provider_ids, g.refs) f;
  PERFORM mfiauto._lock_messages(owners, targets);
  -- What was said before is not said again. Only now: whoever was faster with these messages has committed. rank: what says most is what counts.
  SELECT array_agg(f.event ORDER BY f.ord) AS events, array_agg(f.client_id ORDER BY f.ord) AS clients, array_agg(f.message_id ORDER BY f.ord) AS messages,
         array_agg(f.receipt_id ORDER BY f.ord) AS receipts, array_agg(f.received_at ORDER BY f.ord) AS moments, array_agg(f.is_chosen ORDER BY f.ord) AS chosen,
         count(f.message_id) AS matched, coalesce(bool_or(f.message_id IS NOT NULL AND (f.opted_out OR f.dead OR f.interaction IS NOT NULL OR f.detail IS NOT NULL)), false) AS has_more
    INTO kept, clients, messages, receipts, moments, chosen, matched, has_more
    FROM (SELECT d.*,
                 d.message_id IS NOT NULL AND d.state <> 'ignore' AND row_number() OVER (
                   PARTITION BY d.message_id ORDER BY array_position(ARRAY['delivered', 'undelivered', 'failed', 'expired', 'sent', 'submitted'], d.state), d.ord) = 1 AS is_chosen
            FROM (SELECT DISTINCT ON (e.digest) e.*, ROW(e.part, e.provider_id, e.reference, e.status, e.state, e.interaction, e.error, e.at, e.detail, e.opted_out, e.dead,
                                                         e.is_bot, e.digest, e.kind, e.from_address, e.to_address, e.body)::mfiauto._webhook_event AS event
                    FROM ROWS FROM (unnest(events), unnest(owners), unnest(targets), unnest(receipt_ids), unnest(received_ats)) WITH ORDINALITY
                           AS e(part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead, is_bot, digest, kind, from_address, to_address, body,
                                client_id, message_id, receipt_id, received_at, ord)
                   WHERE NOT EXISTS (SELECT FROM mfiauto.receipt r
                                      WHERE r.gateway = _apply_receipts.gateway AND r.digest = e.digest AND r.received_at > mfiauto.now() - interval '10 days'
                                        AND r.receipt_id IS DISTINCT FROM e.receipt_id
                                        AND (r.client_id <> 0 OR e.receipt_id IS NULL) OFFSET 0)
                   ORDER BY e.digest, e.ord) d) f;
  IF matched > 0 THEN
    settled := ARRAY(SELECT s.message_id
      FROM (SELECT array_agg(u.client_id) AS owners, array_agg(u.message_id) AS targets,
                   array_agg(CASE u.state WHEN 'expired' THEN 'undelivered' ELSE u.state END) AS states,
                   array_agg(CASE WHEN u.opted_out THEN 'recipient_opted_out' WHEN u.dead THEN 'recipient_rejected' WHEN u.state = 'expired' THEN 'receipt_expired'
                                  WHEN u.state IN ('undelivered', 'failed') THEN 'receipt_failed' END) AS reasons
              FROM ROWS FROM (unnest(clients), unnest(messages), unnest(chosen), unnest(kept))
                     AS u(client_id, message_id, is_chosen, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead)
             WHERE u.is_chosen AND u.state IS NOT NULL) q,
           LATERAL mfiauto._settle_messages(q.owners, q.targets, q.states, q.reasons) s
     WHERE q.targets IS NOT NULL);
  END IF;
  PERFORM mfiauto._store_receipts(_apply_receipts.gateway, kept, clients, messages, receipts, moments, chosen, settled);
  IF has_more THEN
    PERFORM mfiauto._follow_receipts(array_agg(u.client_id ORDER BY u.ord), array_agg(u.message_id ORDER BY u.ord),
              array_agg(ROW(u.part, u.provider_id, u.reference, u.status, u.state, u.interaction, u.error, u.at, u.detail, u.opted_out, u.dead, u.is_bot, u.digest, u.kind,
                            u.from_address, u.to_address, u.body)::mfiauto._webhook_event ORDER BY u.ord))
       FROM ROWS FROM (unnest(clients), unnest(messages), unnest(kept)) WITH ORDINALITY
              AS u(client_id, message_id, part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead, is_bot, digest, kind, from_address, to_address,
                   body, ord)
      WHERE u.message_id IS NOT NULL;
  END IF;
  RETURN coalesce(cardinality(kept), 0);
END $$;

-- The same for many events: what plans cost is worth it, and what arrays hold is known.
CREATE FUNCTION mfiauto._apply_many_receipts(gateway text, events mfiauto._webhook_event[]) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  RETURN mfiauto._apply_receipts(gateway, events);
END $$;

-- Writes receipts down; those of no message that we know wait for it.
CREATE FUNCTION mfiauto._store_receipts(gateway text, events mfiauto._webhook_event[], client_ids bigint[], message_ids bigint[], receipt_ids bigint[],
  received_ats timestamptz[], chosen boolean[], settled bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  WITH stored AS (
    INSERT INTO mfiauto.receipt (client_id, receipt_id, gateway, message_id, provider_id, reference, status, state, applied, digest, error, received_at)
    SELECT coalesce(client_ids[e.ordinality], 0), nextval('mfiauto.receipt_id_seq'), _store_receipts.gateway, message_ids[e.ordinality], e.provider_id,
           e.reference, e.status, e.state, chosen[e.ordinality] AND coalesce(message_ids[e.ordinality] = ANY (settled), false), e.digest, e.error, mfiauto.now()
      FROM unnest(events) WITH ORDINALITY AS e
     WHERE receipt_ids[e.ordinality] IS NULL
     ORDER BY e.ordinality
    RETURNING client_id, receipt_id, received_at, digest
  )
  INSERT INTO mfiauto.waiting_receipt (receipt_id, received_at, gateway, event, look_count, look_at)
  SELECT s.receipt_id, s.received_at, _store_receipts.gateway, to_jsonb(e), 0, mfiauto.now() + interval '1 second'
    FROM stored s JOIN unnest(events) AS e ON e.digest = s.digest
   WHERE s.client_id = 0;
  IF received_ats IS NULL OR received_ats[1] IS NULL THEN
    RETURN;
  END IF;
  UPDATE mfiauto.receipt r
     SET client_id = u.client_id, message_id = u.message_id, applied = u.is_chosen AND coalesce(u.message_id = ANY (settled), false)
    FROM unnest(client_ids, message_ids, receipt_ids, received_ats, chosen) AS u(client_id, message_id, receipt_id, received_at, is_chosen)
   WHERE u.message_id IS NOT NULL AND r.client_id = 0 AND r.received_at = u.received_at AND r.receipt_id = u.receipt_id;
END $$;

-- The same for receipts that had to wait. One whose content makes it fail is alone with that: it goes on waiting.
CREATE FUNCTION mfiauto._apply_waiting(gateway text, events mfiauto._webhook_event[], receipt_ids bigint[], received_ats timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM mfiauto._apply_receipts(gateway, events, receipt_ids, received_ats);
    RETURN;
  EXCEPTION WHEN OTHERS THEN
    IF NOT mfiauto._is_query_error(sqlstate) THEN
      RAISE;
    ELSIF cardinality(receipt_ids) = 1 THEN
      RETURN;
    END IF;
  END;
  FOR i IN 1 .. cardinality(receipt_ids) LOOP
    PERFORM mfiauto._apply_waiting(gateway, events[i:i], receipt_ids[i:i], received_ats[i:i]);
  END LOOP;
END $$;

-- Receipts that came before our own record of the provider's id did: each is looked at again after 1, 2, 4, … seconds, for three days.
CREATE FUNCTION mfiauto._match_receipts() RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  batch record;
  matched bigint := 0;
  found bigint;
BEGIN
  FOR batch IN
    SELECT w.gateway, array_agg(w.receipt_id ORDER BY w.receipt_id) AS receipts, array_agg(w.received_at ORDER BY w.receipt_id) AS moments,
           array_agg(jsonb_populate_record(NULL::mfiauto._webhook_event, w.event) ORDER BY w.receipt_id) AS events
      FROM (SELECT w.* FROM mfiauto.waiting_receipt w WHERE w.look_at <= mfiauto.now() ORDER BY w.look_at LIMIT 1000 FOR UPDATE SKIP LOCKED) w
     GROUP BY w.gateway
  LOOP
    PERFORM mfiauto._apply_waiting(batch.gateway, batch.events, batch.receipts, batch.moments);
    WITH done AS (
      DELETE FROM mfiauto.waiting_receipt w USING unnest(batch.receipts, batch.moments) AS u(receipt_id, received_at), mfiauto.receipt r
       WHERE w.receipt_id = u.receipt_id AND r.receipt_id = u.receipt_id AND r.received_at = u.received_at AND r.client_id <> 0
      RETURNING w.receipt_id)
    SELECT count(*) INTO found FROM done;
    matched := matched + found;
    DELETE FROM mfiauto.waiting_receipt w WHERE w.receipt_id = ANY (batch.receipts) AND w.received_at < mfiauto.now() - interval '3 days';
    UPDATE mfiauto.waiting_receipt w
       SET look_count = w.look_count + 1, look_at = mfiauto.now() + least(interval '1 second' * 2 ^ least(w.look_count + 1, 20), interval '6 hours')
     WHERE w.receipt_id = ANY (batch.receipts);
  END LOOP;
  RETURN matched;
END $$;

-- What need not be remembered any longer.
CREATE FUNCTION mfiauto._forget_webhooks() RETURNS void
LANGUAGE sql AS $$
  DELETE FROM mfiauto.webhook_memory m
   WHERE (m.gateway, m.digest) IN (SELECT o.gateway, o.digest FROM mfiauto.webhook_memory o WHERE o.received_at < mfiauto.now() - interval '7 days' LIMIT 5000);
  DELETE FROM mfiauto.unread_webhook u WHERE u.received_at < mfiauto.now() - interval '30 days';
$$;
