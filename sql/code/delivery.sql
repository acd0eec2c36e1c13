-- Delivery as its operators have it: holds, messages sent again or resolved, passes in the foreground.

-- ---- The operator's levers ----

CREATE FUNCTION mfiauto._wake_delivery() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_wake_delivery';

CREATE FUNCTION mfiauto._hold_delivery(reason text, gateway text DEFAULT NULL, workflow text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF reason IS NULL OR btrim(reason) = '' THEN
    RAISE EXCEPTION 'a hold needs a reason' USING ERRCODE = '22023', HINT = 'For instance: hold_delivery(''provider outage'', gateway => ''orange_sn'').';
  END IF;
  IF gateway IS NOT NULL AND workflow IS NOT NULL THEN
    RAISE EXCEPTION 'a hold is for a gateway or for a workflow' USING ERRCODE = '22023', HINT = 'Make two holds.';
  END IF;
  IF gateway IS NOT NULL THEN
    PERFORM mfiauto._check_gateway_exists(gateway);
  ELSIF workflow IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.workflow_head h WHERE h.name = _hold_delivery.workflow) THEN
    RAISE EXCEPTION 'workflow "%" does not exist', workflow USING ERRCODE = '42704', HINT = 'mfiauto.workflow lists the workflows.';
  END IF;
  IF length(reason) > 1000 THEN
    RAISE EXCEPTION 'reason of a hold is longer than 1000 characters' USING ERRCODE = '54000', HINT = 'Say it in a sentence.';
  END IF;
  INSERT INTO mfiauto.delivery_hold (scope, target, reason, held_at, held_by)
  VALUES (CASE WHEN gateway IS NOT NULL THEN 'gateway' WHEN workflow IS NOT NULL THEN 'workflow' ELSE 'all' END,
          coalesce(gateway, workflow), _hold_delivery.reason, mfiauto.now(), mfiauto._caller());
END $$;
SELECT mfiauto._open_door('mfiauto._hold_delivery(text, text, text)', '{admin}',
  'Stops messages from leaving, everywhere or for one gateway or workflow, until release_delivery(). What is being sent goes on.');

CREATE FUNCTION mfiauto._release_delivery(stale text DEFAULT 'expire', gateway text DEFAULT NULL, workflow text DEFAULT NULL)
RETURNS TABLE (released bigint, expired bigint, unknown bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  old record;
BEGIN
  IF stale IS NULL OR stale NOT IN ('expire', 'unknown', 'send') THEN
    RAISE EXCEPTION 'stale must be expire, unknown or send' USING ERRCODE = '22023',
      HINT = 'It says what to do with messages that have been due for more than an hour.';
  END IF;
  IF gateway IS NOT NULL THEN
    PERFORM mfiauto._check_gateway_exists(gateway);
  END IF;
  -- A hold may have outlived its workflow.
  IF workflow IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.workflow_head h WHERE h.name = _release_delivery.workflow)
     AND NOT EXISTS (SELECT FROM mfiauto.delivery_hold h WHERE h.scope = 'workflow' AND h.target = _release_delivery.workflow) THEN
    RAISE EXCEPTION 'workflow "%" does not exist', workflow USING ERRCODE = '42704', HINT = 'mfiauto.workflow lists the workflows.';
  END IF;
  SELECT array_agg(o.client_id) AS clients, array_agg(o.message_id) AS messages, count(*) AS count INTO old
    FROM (SELECT o.client_id, o.message_id
            FROM mfiauto.outbox o
            LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = o.workflow_id
           WHERE o.lease_until IS NULL AND (NOT o.is_held OR o.reason = 'hold') AND o.due_at < mfiauto.now() - interval '1 hour'
             AND (_release_delivery.gateway IS NULL OR (coalesce(o.gateway, _release_delivery.gateway) = _release_delivery.gateway
                  AND o.channel = (SELECT g.channel FROM mfiauto.gateway_config g WHERE g.gateway = _release_delivery.gateway)))
             AND (_release_delivery.workflow IS NULL OR h.name = _release_delivery.workflow)
             FOR UPDATE OF o) o;
  RAISE NOTICE '% due for more than an hour: %', CASE old.count WHEN 1 THEN '1 message has been' ELSE old.count || ' messages have been' END,
    CASE stale WHEN 'expire' THEN 'expiring them' WHEN 'unknown' THEN 'marking them unknown' ELSE 'sending those that have not expired' END;
  IF stale <> 'send' AND old.count > 0 THEN
    -- Only a claimed or held message can become unknown: these may have left from the server this one is a copy of.
    UPDATE mfiauto.outbox o SET is_held = true, reason = 'hold'
      FROM unnest(old.clients, old.messages) AS u(client_id, message_id) WHERE o.client_id = u.client_id AND o.message_id = u.message_id;
    PERFORM mfiauto._settle_messages(old.clients, old.messages, array_fill(CASE stale WHEN 'expire' THEN 'expired' ELSE 'unknown' END, ARRAY[old.count::integer]),
      array_fill(CASE stale WHEN 'expire' THEN 'expired' ELSE 'outcome_unknown' END, ARRAY[old.count::integer]));
  END IF;
  DELETE FROM mfiauto.delivery_hold d
   WHERE (_release_delivery.gateway IS NULL AND _release_delivery.workflow IS NULL)
      OR (d.scope = 'gateway' AND d.target = _release_delivery.gateway) OR (d.scope = 'workflow' AND d.target = _release_delivery.workflow);
  UPDATE mfiauto.outbox o SET is_held = false, reason = NULL
   WHERE o.is_held AND o.reason = 'hold'
     AND (_release_delivery.workflow IS NULL
          OR o.workflow_id = (SELECT h.workflow_id FROM mfiauto.workflow_head h WHERE h.name = _release_delivery.workflow));
  GET DIAGNOSTICS released = ROW_COUNT;
  UPDATE mfiauto.gateway_config g SET settings = g.settings WHERE _release_delivery.gateway IS NULL OR g.gateway = _release_delivery.gateway;
  UPDATE mfiauto.gateway_state s SET circuit = 'closed', open_until = NULL, throttled_until = NULL, consecutive_failures = 0, stopped_reason = NULL
   WHERE (_release_delivery.gateway IS NULL AND _release_delivery.workflow IS NULL) OR s.gateway = _release_delivery.gateway;
  UPDATE mfiauto.worker_state w SET heartbeat_at = pg_catalog.clock_timestamp() WHERE w.worker = 'delivery';
  expired := CASE stale WHEN 'expire' THEN old.count ELSE 0 END;
  unknown := CASE stale WHEN 'unknown' THEN old.count ELSE 0 END;
  PERFORM mfiauto._wake_delivery();
  RETURN NEXT;
END $$;
SELECT mfiauto._open_door('mfiauto._release_delivery(text, text, text)', '{admin}',
  'Ends holds, closes circuits and starts stopped gateways again. stale: what to do with messages that have been due for more than an hour: '
  'expire them, mark them unknown, or send those that have not expired.');

CREATE FUNCTION mfiauto._find_message(message_id bigint) RETURNS mfiauto._claim
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found mfiauto._claim;
BEGIN
  EXECUTE 'SELECT m.client_id, m.message_id, m.created_at FROM mfiauto.message_ledger m WHERE m.message_id = $1'
     INTO found.client_id, found.message_id, found.created_at USING message_id;
  IF found.message_id IS NULL THEN
    RAISE EXCEPTION 'message % does not exist', coalesce(message_id::text, 'null')
      USING ERRCODE = '42704', HINT = 'See SELECT message_id, state FROM mfiauto.message;';
  END IF;
  RETURN found;
END $$;

CREATE FUNCTION mfiauto._retry_message(message_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  message mfiauto._claim := mfiauto._find_message(message_id);
  row record;
BEGIN
  EXECUTE 'SELECT m.*, o.message_id AS queued_id, o.lease_until, coalesce(m.class, ''marketing'') AS its_class
             FROM mfiauto.message_ledger m LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
            WHERE m.client_id = $1 AND m.created_at = $2 AND m.message_id = $3 FOR UPDATE OF m'
     INTO row USING message.client_id, message.created_at, message.message_id;
  IF row.lease_until IS NOT NULL THEN
    RAISE EXCEPTION 'message % is being sent', message_id USING ERRCODE = '55006';
  END IF;
  IF row.queued_id IS NOT NULL THEN
    UPDATE mfiauto.outbox o SET is_held = false, reason = NULL, gateway = NULL, tried_gateways = NULL, due_at = least(o.due_at, mfiauto.now())
     WHERE o.client_id = message.client_id AND o.message_id = message.message_id;
  ELSIF NOT EXISTS (SELECT FROM mfiauto.message_transition t WHERE t.from_state = row.state AND t.to_state = 'queued') THEN
    RAISE EXCEPTION 'message % cannot be sent again: it is %', message_id, row.state USING ERRCODE = '55000',
      HINT = 'Messages that failed, expired, were not delivered or whose outcome is unknown can.';
  ELSE
    UPDATE mfiauto.message_ledger m
       SET state = 'queued', reason = NULL, finished_at = NULL, sent_at = NULL,
           expires_at = CASE WHEN m.expires_at <= mfiauto.now()
                             THEN mfiauto.now() + (SELECT c.expires_after FROM mfiauto.message_class c WHERE c.class = m.class) ELSE m.expires_at END
     WHERE m.client_id = message.client_id AND m.created_at = message.created_at AND m.message_id = message.message_id;
    DELETE FROM mfiauto.unknown_message u WHERE u.client_id = message.client_id AND u.message_id = message.message_id;
    PERFORM mfiauto._journal_append(0, 'p', 0, message.client_id);
    INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at, enrollment_id, workflow_id, version)
    SELECT m.client_id, m.message_id, m.created_at, m.channel, c.priority, mfiauto.now(), m.expires_at, m.enrollment_id, m.workflow_id, m.version
      FROM mfiauto.message_ledger m JOIN mfiauto.message_class c ON c.class = m.class
     WHERE m.client_id = message.client_id AND m.created_at = message.created_at AND m.message_id = message.message_id;
  END IF;
  PERFORM mfiauto._wake_delivery();
END $$;
SELECT mfiauto._open_door('mfiauto._retry_message(bigint)', '{admin}',
  'Puts a message that failed, expired, was not delivered, is held or has an unknown outcome into the queue again, with the same idempotency key.');

CREATE FUNCTION mfiauto._resolve_unknown(message_id bigint, state text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  message mfiauto._claim := mfiauto._find_message(message_id);
BEGIN
  IF state IS NULL OR state NOT IN ('sent', 'delivered', 'undelivered', 'failed', 'canceled') THEN
    RAISE EXCEPTION 'an unknown outcome cannot be resolved as "%"', coalesce(state, 'null') USING ERRCODE = '22023',
      HINT = 'Known: sent, delivered, undelivered, failed, canceled. To send it again use retry_message().';
  END IF;
  IF NOT EXISTS (SELECT FROM mfiauto.message_ledger m WHERE m.message_id = _resolve_unknown.message_id AND m.state = 'unknown') THEN
    RAISE EXCEPTION 'the outcome of message % is not unknown', message_id USING ERRCODE = '55000';
  END IF;
  PERFORM mfiauto._settle_messages(ARRAY[message.client_id], ARRAY[message.message_id], ARRAY[state], ARRAY['resolved_by_operator']);
END $$;
SELECT mfiauto._open_door('mfiauto._resolve_unknown(bigint, text)', '{admin}',
  'Records what an operator found out about a message whose outcome is unknown: sent, delivered, undelivered, failed or canceled.');

-- ---- Passes in the foreground ----

CREATE FUNCTION mfiauto._run_delivery(OUT claimed bigint, OUT sent bigint, OUT retrying bigint, OUT failed bigint, OUT suppressed bigint, OUT deferred bigint)
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_run_delivery';
SELECT mfiauto._open_door('mfiauto._run_delivery()', '{admin}',
  'Delivers what is due at the clock in a background worker of its own, waits for it and tells the counts. Not inside a transaction block: '
  'what leaves must be recorded at once.');
