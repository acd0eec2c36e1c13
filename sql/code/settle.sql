-- Endings: the one place that moves a message from state to state.

-- Whether a message that ended so is said on the step's next channel: it did not get through, or was refused for what is so of its channel alone (and not of
-- the client, the time or the books). Whether he refused the other channels too the engine looks at when it makes the next message.
CREATE FUNCTION mfiauto._fails_over(state text, reason text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT $1 IN ('failed', 'undelivered')
      OR $1 IN ('suppressed', 'skipped') AND $2 IN ('suppressed', 'opted_out', 'no_consent', 'consent_pending', 'no_address', 'invalid_address', 'no_template')
$$;

-- Moves messages to the given states as far as mfiauto.message_transition allows; returns those that moved. An ending takes the
-- message out of the queue; where the step has another channel left, the engine is told to compose for it.
CREATE FUNCTION mfiauto._settle_messages(client_ids bigint[], message_ids bigint[], states text[], reasons text[],
  gateways text[] DEFAULT NULL, provider_ids text[] DEFAULT NULL)
RETURNS TABLE (client_id bigint, message_id bigint, state text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH wanted AS (
      SELECT DISTINCT ON (u.message_id) u.client_id, u.message_id, u.state, u.reason, u.gateway, u.provider_id
        FROM unnest(client_ids, message_ids, states, reasons, coalesce(gateways, '{}'), coalesce(provider_ids, '{}'))
             WITH ORDINALITY AS u(client_id, message_id, state, reason, gateway, provider_id, ord)
       ORDER BY u.message_id, u.ord
    ), allowed AS (
      SELECT w.client_id, w.message_id, w.provider_id, m.created_at, m.state AS old_state, o.attempts, o.claimed_at, coalesce(w.gateway, o.gateway) AS gateway,
             -- Whatever ends a message whose earlier attempt may have been accepted: that is not known.
             t.to_state AS state, CASE WHEN t.to_state <> w.state THEN 'outcome_unknown' ELSE w.reason END AS reason,
             -- What a gateway takes is known once the message was on its way.
             CASE WHEN o.lease_until IS NOT NULL THEN greatest(coalesce(m.parts, 1), 1) * (g.settings ->> 'cost_per_part')::numeric END AS cost,
             CASE WHEN o.lease_until IS NOT NULL AND g.settings ? 'cost_per_part'
                  THEN coalesce(g.settings ->> 'currency', (SELECT i.currency FROM mfiauto.institution i)) END AS currency,
             g.definition ? 'receipt' AS has_receipts, o.reserved, o.reserved_on, o.gateway AS reserved_by
        FROM wanted w
        LEFT JOIN LATERAL (SELECT * FROM mfiauto.outbox q WHERE q.client_id = w.client_id AND q.message_id = w.message_id OFFSET 0) o ON true
        -- The queue knows in which partition a message is; of what has left the queue all are asked.
        JOIN LATERAL (
          SELECT l.client_id, l.message_id, l.created_at, l.state, l.parts FROM mfiauto.message_ledger l
           WHERE l.client_id = o.client_id AND l.created_at = o.created_at AND l.message_id = o.message_id
          UNION ALL
          SELECT p.* FROM (SELECT l.client_id, l.message_id, l.created_at, l.state, l.parts FROM mfiauto.message_ledger l
                            WHERE l.message_id = w.message_id AND l.client_id = w.client_id OFFSET 0) p WHERE o.message_id IS NULL) m ON true
        LEFT JOIN mfiauto.gateway_config g ON g.gateway = coalesce(w.gateway, o.gateway)
        JOIN mfiauto.message_transition t
          ON t.from_state = CASE WHEN o.message_id IS NULL THEN m.state WHEN o.lease_until IS NOT NULL THEN 'claimed'
                                 WHEN o.is_held THEN 'held' ELSE 'queued' END
         AND t.to_state = CASE WHEN o.reason = 'outcome_unknown' AND (w.state IN ('canceled', 'expired', 'suppressed', 'skipped')
                                    OR (w.state = 'failed' AND w.reason IN ('retries_exhausted', 'no_gateway'))) THEN 'unknown' ELSE w.state END
    ), moved AS (
      UPDATE mfiauto.message_ledger m
         SET state = a.state,
             reason = a.reason,
             gateway = coalesce(a.gateway, m.gateway),
             provider_id = coalesce(a.provider_id, m.provider_id),
             attempts = coalesce(a.attempts, m.attempts),
             claimed_at = coalesce(a.claimed_at, m.claimed_at),
             sent_at = CASE WHEN a.state IN ('submitted', 'sent', 'delivered') THEN coalesce(m.sent_at, mfiauto.now()) ELSE m.sent_at END,
             finished_at = CASE WHEN a.state IN ('submitted', 'sent', 'unknown') THEN m.finished_at ELSE mfiauto.now() END,
             cost = CASE WHEN a.state IN ('submitted', 'sent', 'delivered', 'unknown') THEN coalesce(a.cost, m.cost) ELSE m.cost END,
             currency = CASE WHEN a.state IN ('submitted', 'sent', 'delivered', 'unknown') THEN coalesce(a.currency, m.currency) ELSE m.currency END
        FROM allowed a
       -- Who moved it while we waited for its lock has had the later word.
       WHERE m.client_id = a.client_id AND m.created_at = a.created_at AND m.message_id = a.message_id AND m.state = a.old_state
      RETURNING m.client_id, m.message_id, m.state, m.reason, m.gateway, m.next_channels
    ), doubted AS (
      INSERT INTO mfiauto.unknown_message (client_id, message_id, gateway, noted_at)
      SELECT v.client_id, v.message_id, v.gateway, mfiauto.now() FROM moved v WHERE v.state = 'unknown' AND v.gateway IS NOT NULL
      ON CONFLICT DO NOTHING
    ), resolved AS (
      DELETE FROM mfiauto.unknown_message u USING moved v WHERE v.state <> 'unknown' AND u.client_id = v.client_id AND u.message_id = v.message_id
    ), named AS (
      INSERT INTO mfiauto.provider_key (client_id, message_id, gateway, provider_id, named_at)
      SELECT a.client_id, a.message_id, a.gateway, a.provider_id, mfiauto.now() FROM allowed a WHERE a.has_receipts AND a.provider_id <> ''
    ), refunded AS (
      -- What ends without having been sent is not paid for.
      INSERT INTO mfiauto.gateway_spend AS s (gateway, on_day, slot, amount)
      SELECT a.reserved_by, a.reserved_on, pg_catalog.pg_backend_pid() % 16, -sum(a.reserved)
        FROM allowed a WHERE a.reserved IS NOT NULL AND a.state NOT IN ('submitted', 'sent', 'delivered', 'unknown') GROUP BY 1, 2 ORDER BY 1, 2
      ON CONFLICT ON CONSTRAINT gateway_spend_pkey DO UPDATE SET amount = s.amount + excluded.amount
    ), dequeued AS (
      DELETE FROM mfiauto.outbox o USING moved v WHERE o.client_id = v.client_id AND o.message_id = v.message_id
    )
    SELECT f.client_id, f.message_id, f.state
      FROM (SELECT v.client_id, v.message_id, v.state,
                   CASE WHEN cardinality(v.next_channels) > 0
                         AND (mfiauto._fails_over(v.state, v.reason)
                              OR (v.state = 'delivered' AND EXISTS (SELECT FROM mfiauto.fallback_watch w
                                                                     WHERE w.client_id = v.client_id AND w.message_id = v.message_id OFFSET 0)))
                        THEN mfiauto._journal_append(0, 'm', v.message_id, v.client_id) END AS told,
                   -- Whether he can be reached is part of a client's profile.
                   CASE WHEN v.state IN ('delivered', 'failed', 'undelivered') THEN mfiauto._journal_append(0, 'p', 0, v.client_id) END AS noted
              FROM moved v OFFSET 0) f;
  IF 'recipient_rejected' = ANY (reasons) THEN
    PERFORM mfiauto._retire_addresses(client_ids, message_ids);
  END IF;
  IF 'undelivered' = ANY (states) THEN
    PERFORM mfiauto._call_again(client_ids, message_ids);
  END IF;
END $$;
