-- Recording what came of what was claimed, and of what nobody could send.

-- Back to the queue: delay in seconds of business time, from now; pins the message to its gateway where only that one may repeat it.
CREATE FUNCTION mfiauto._requeue_messages(client_ids bigint[], message_ids bigint[], delays double precision[], is_pinned boolean[],
  is_tried boolean[], counts boolean[], reasons text[]) RETURNS void
LANGUAGE sql AS $$
  -- What surely was not taken is not paid for; what may have been stays booked.
  SELECT mfiauto._book_spend(array_agg(o.gateway), array_agg(o.reserved_on), array_agg(-o.reserved))
    FROM unnest(client_ids, message_ids, reasons) AS u(client_id, message_id, reason)
    JOIN mfiauto.outbox o ON o.client_id = u.client_id AND o.message_id = u.message_id
   WHERE o.reserved IS NOT NULL AND u.reason IS DISTINCT FROM 'outcome_unknown' HAVING count(*) > 0;
  UPDATE mfiauto.outbox o
     SET lease_until = NULL, lease_pid = NULL, reserved = NULL, reserved_on = NULL,
         due_at = CASE WHEN u.delay > 0 THEN mfiauto.now() + u.delay * interval '1 second' ELSE o.due_at END,
         gateway = CASE WHEN u.is_pinned THEN o.gateway END,
         tried_gateways = CASE WHEN u.is_tried THEN coalesce(o.tried_gateways, '{}') || o.gateway ELSE NULL END,
         attempts = CASE WHEN u.counts THEN o.attempts ELSE greatest(o.attempts - 1, 0) END,
         reason = CASE o.reason WHEN 'outcome_unknown' THEN o.reason ELSE u.reason END
    FROM unnest(client_ids, message_ids, delays, is_pinned, is_tried, counts, reasons) AS u(client_id, message_id, delay, is_pinned, is_tried, counts, reason)
   WHERE o.client_id = u.client_id AND o.message_id = u.message_id
$$;

CREATE FUNCTION mfiauto._record_attempts(client_ids bigint[], message_ids bigint[], gateway text, outcomes text[], statuses integer[], errors text[],
  started timestamptz[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.attempt (client_id, message_id, gateway, attempt_no, started_at, ended_at, outcome, status, error)
  SELECT u.client_id, u.message_id, _record_attempts.gateway, coalesce(o.attempts, 0), u.started, pg_catalog.clock_timestamp(), u.outcome,
         nullif(u.status, 0), nullif(u.error, '')
    FROM unnest(client_ids, message_ids, outcomes, statuses, errors, started) AS u(client_id, message_id, outcome, status, error, started)
    LEFT JOIN mfiauto.outbox o ON o.client_id = u.client_id AND o.message_id = u.message_id
$$;

-- An opt-out that the provider knows of is one that we know of from now on.
CREATE FUNCTION mfiauto._record_provider_opt_outs(client_ids bigint[], message_ids bigint[], reason text DEFAULT 'the gateway says so') RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.consent (client_id, channel, granted, reason, source, given_at, recorded_by)
  SELECT m.client_id, m.channel, false, _record_provider_opt_outs.reason, 'gateway', mfiauto.now(), mfiauto._caller()
    FROM unnest(client_ids, message_ids) AS u(client_id, message_id)
    JOIN mfiauto.message_ledger m ON m.message_id = u.message_id AND m.client_id = u.client_id
$$;

CREATE FUNCTION mfiauto._keep_in_sandbox(client_ids bigint[], message_ids bigint[], gateway text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.sandbox_message (client_id, message_id, gateway, channel, to_address, title, body, kept_at)
  SELECT m.client_id, m.message_id, _keep_in_sandbox.gateway, m.channel, m.to_address, m.title, m.body, mfiauto.now()
    FROM unnest(client_ids, message_ids) WITH ORDINALITY AS u(client_id, message_id, ord)
    JOIN mfiauto.message_ledger m ON m.message_id = u.message_id AND m.client_id = u.client_id
   ORDER BY u.ord
$$;

-- What the worker knows of a gateway, for gateway_status and for the next worker; the counts are added. version: of the row that the worker read. Where it
-- was changed since, whoever changed it has decided on the circuit. False: somebody is about to change it, and all gateways would wait for him: another time.
CREATE FUNCTION mfiauto._save_gateway_state(gateway text, circuit text, open_for double precision, throttled_for double precision, failures integer,
  stopped_reason text, sent bigint, failed bigint, retried bigint, unknown bigint, error text, version text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  is_current boolean;
BEGIN
  -- Who changes a gateway holds its row until he commits, also one that has no state yet.
  PERFORM FROM mfiauto.gateway_config g WHERE g.gateway = $1 FOR SHARE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN NOT EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.gateway = $1);
  END IF;
  INSERT INTO mfiauto.gateway_state (gateway) VALUES ($1) ON CONFLICT ON CONSTRAINT gateway_state_pkey DO NOTHING;
  is_current := EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.gateway = $1 AND g.ctid::text || g.xmin::text = $12);
  UPDATE mfiauto.gateway_state s
     SET circuit = CASE WHEN is_current THEN $2 ELSE s.circuit END,
         open_until = CASE WHEN is_current THEN pg_catalog.clock_timestamp() + $3 * interval '1 second' ELSE s.open_until END,
         throttled_until = CASE WHEN is_current THEN pg_catalog.clock_timestamp() + $4 * interval '1 second' ELSE s.throttled_until END,
         consecutive_failures = CASE WHEN is_current THEN $5 ELSE s.consecutive_failures END,
         stopped_reason = CASE WHEN is_current THEN $6 ELSE s.stopped_reason END,
         sent_count = s.sent_count + $7, failed_count = s.failed_count + $8, retried_count = s.retried_count + $9, unknown_count = s.unknown_count + $10,
         last_success_at = CASE WHEN $7 > 0 THEN pg_catalog.clock_timestamp() ELSE s.last_success_at END,
         last_error = coalesce($11, s.last_error), last_error_at = CASE WHEN $11 IS NOT NULL THEN pg_catalog.clock_timestamp() ELSE s.last_error_at END
   WHERE s.gateway = $1;
  RETURN true;
END $$;

-- Leases whose worker is gone: the request may have left. Sent again only where that does no harm. pid: who asks, if it knows of all that it has leased; else 0.
CREATE FUNCTION mfiauto._recover_leases(pid integer DEFAULT 0) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  lost record;
BEGIN
  SELECT array_agg(o.client_id) AS clients, array_agg(o.message_id) AS messages,
         array_agg(coalesce(k.resend_unknown, false) OR coalesce((g.definition ->> 'idempotent')::boolean, g.definition ? 'sql', false)) AS may_resend
    INTO lost
    FROM (SELECT * FROM mfiauto.outbox o
           WHERE o.lease_until IS NOT NULL AND o.lease_pid <> _recover_leases.pid
             AND (o.lease_until < pg_catalog.clock_timestamp() OR NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(o.lease_pid) a WHERE a.pid IS NOT NULL))
             FOR UPDATE SKIP LOCKED) o
    JOIN mfiauto.message_ledger m ON m.client_id = o.client_id AND m.created_at = o.created_at AND m.message_id = o.message_id
    LEFT JOIN mfiauto.message_class k ON k.class = m.class
    LEFT JOIN mfiauto.gateway_config g ON g.gateway = o.gateway;
  IF lost.messages IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE mfiauto.outbox o SET lease_until = NULL, lease_pid = NULL, reserved = NULL, reserved_on = NULL, reason = 'outcome_unknown'
    FROM unnest(lost.clients, lost.messages, lost.may_resend) AS u(client_id, message_id, may_resend)
   WHERE u.may_resend AND o.client_id = u.client_id AND o.message_id = u.message_id;
  PERFORM mfiauto._settle_messages(array_agg(u.client_id), array_agg(u.message_id), array_agg('unknown'::text), array_agg('outcome_unknown'::text))
     FROM unnest(lost.clients, lost.messages, lost.may_resend) AS u(client_id, message_id, may_resend)
    WHERE NOT u.may_resend HAVING count(*) > 0;
  RETURN cardinality(lost.messages);
END $$;

-- Messages that wait for another gateway of their channel, of which none is in use any more, go to those that had them once more.
CREATE FUNCTION mfiauto._forget_tried() RETURNS void
LANGUAGE sql AS $$
  UPDATE mfiauto.outbox o SET tried_gateways = NULL
    FROM (SELECT q.client_id, q.message_id FROM mfiauto.outbox q
           WHERE q.tried_gateways IS NOT NULL AND q.lease_until IS NULL
             AND NOT EXISTS (SELECT FROM mfiauto.gateway_config g LEFT JOIN mfiauto.gateway_state s ON s.gateway = g.gateway
                              WHERE g.channel = q.channel AND g.is_enabled AND g.gateway <> ALL (q.tried_gateways) AND s.circuit IS DISTINCT FROM 'stopped'
                                AND NOT EXISTS (SELECT FROM mfiauto.delivery_hold d WHERE d.scope = 'gateway' AND d.target = g.gateway))
             FOR UPDATE SKIP LOCKED) w
   WHERE o.client_id = w.client_id AND o.message_id = w.message_id
$$;

-- What cannot leave: expired in the queue, or on a channel that has no gateway while the step has another channel.
CREATE FUNCTION mfiauto._sweep_outbox(OUT expired bigint, OUT failed bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._forget_tried();
  SELECT count(s.*) INTO expired
    FROM (SELECT array_agg(q.client_id) AS clients, array_agg(q.message_id) AS messages, array_agg('expired'::text) AS states,
                 array_agg(CASE q.reason WHEN 'barred_hours' THEN 'barred' ELSE coalesce(q.reason, 'expired') END) AS reasons
            FROM (SELECT o.client_id, o.message_id, o.reason FROM mfiauto.outbox o
                   WHERE o.expires_at <= mfiauto.now() AND o.lease_until IS NULL LIMIT 10000 FOR UPDATE SKIP LOCKED) q) e,
         LATERAL mfiauto._settle_messages(e.clients, e.messages, e.states, e.reasons) s;
  SELECT count(s.*) INTO failed
    FROM (SELECT array_agg(q.client_id) AS clients, array_agg(q.message_id) AS messages, array_agg('failed'::text) AS states,
                 array_agg('no_gateway'::text) AS reasons
            FROM (SELECT o.client_id, o.message_id FROM mfiauto.outbox o
                    JOIN mfiauto.message_ledger m ON m.client_id = o.client_id AND m.created_at = o.created_at AND m.message_id = o.message_id
                   WHERE o.due_at <= mfiauto.now() AND o.lease_until IS NULL AND NOT o.is_held AND cardinality(m.next_channels) > 0
                     AND o.channel <> ALL (ARRAY(SELECT g.channel FROM mfiauto.gateway_config g WHERE g.is_enabled)) LIMIT 10000) q) e,
         LATERAL mfiauto._settle_messages(e.clients, e.messages, e.states, e.reasons) s;
  PERFORM mfiauto._expire_inbox();
END $$;
