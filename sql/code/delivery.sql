-- Delivery: claiming what may leave now, recording what came of it, and the operator's levers.

-- ---- Endings: the one place that moves a message from state to state ----

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
        JOIN mfiauto.message_ledger m ON m.message_id = w.message_id AND m.client_id = w.client_id
        LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
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
      RETURNING m.client_id, m.message_id, m.state, m.gateway, m.next_channels
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
                         AND (v.state IN ('failed', 'undelivered')
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

-- ---- Claim ----

-- One row of a batch being claimed. verdict: send, defer, hold, or the state that it ends in.
CREATE TYPE mfiauto._claim AS (
  client_id bigint, message_id bigint, created_at timestamptz, channel text, class text, workflow_id integer, version integer, subject text,
  subject_id bigint, expires_at timestamptz, template_id bigint, workflow text, verdict text, reason text, retry_at timestamptz,
  zone text, country text, to_address text, title text, body text, html text, encoding text, parts smallint, locale text, event jsonb,
  key uuid, attempts integer, may_resend boolean, tried text[], options jsonb, step text);

-- Locks what is due for a gateway, urgent classes first, and goes on after what it has already handled (cursors:
-- {"priority": [due_at, message_id]}), so that dead rows under an old snapshot are not read again. Where better gateways of the
-- channel work, only what they have already tried is ours.
CREATE FUNCTION mfiauto._lock_due(gateway text, channel text, better text[], budget integer, INOUT cursors jsonb, OUT client_ids bigint[], OUT message_ids bigint[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  level smallint;
  last_at timestamptz;
  last_id bigint;
  batch record;
BEGIN
  client_ids := '{}';
  message_ids := '{}';
  FOR level IN SELECT DISTINCT c.priority FROM mfiauto.message_class c ORDER BY c.priority LOOP
    EXIT WHEN cardinality(message_ids) >= budget;
    last_at := coalesce((cursors -> level::text ->> 0)::timestamptz, '-infinity');
    last_id := coalesce((cursors -> level::text ->> 1)::bigint, 0);
    SELECT array_agg(q.client_id) AS clients, array_agg(q.message_id) AS messages, max(q.due_at) AS newest, (array_agg(q.message_id ORDER BY q.due_at DESC, q.message_id DESC))[1] AS newest_id
      INTO batch
      FROM (SELECT o.client_id, o.message_id, o.due_at
              FROM mfiauto.outbox o
             WHERE o.channel = _lock_due.channel AND o.priority = level AND (o.due_at, o.message_id) > (last_at, last_id)
               AND o.due_at <= mfiauto.now() AND o.lease_until IS NULL AND (NOT o.is_held OR o.reason IN ('exit_unknown', 'missing_variable'))
               AND (o.gateway IS NULL OR o.gateway = _lock_due.gateway)
               AND NOT coalesce(_lock_due.gateway = ANY (o.tried_gateways), false)
               AND (o.gateway IS NOT NULL OR better <@ coalesce(o.tried_gateways, '{}'))
             ORDER BY o.due_at, o.message_id
             LIMIT budget - cardinality(message_ids)
               FOR UPDATE SKIP LOCKED) q;
    IF batch.messages IS NOT NULL THEN
      client_ids := client_ids || batch.clients;
      message_ids := message_ids || batch.messages;
      cursors := cursors || jsonb_build_object(level::text, jsonb_build_array(batch.newest, batch.newest_id));
    END IF;
  END LOOP;
END $$;

-- The locked rows with everything that the ledger, the enrollment and the workflow say of them now.
CREATE FUNCTION mfiauto._load_claims(client_ids bigint[], message_ids bigint[]) RETURNS mfiauto._claim[]
LANGUAGE sql STABLE AS $$
  SELECT array_agg(ROW(m.client_id, m.message_id, m.created_at, o.channel, m.class, m.workflow_id, m.version, m.subject,
           coalesce(m.subject_id, m.client_id), m.expires_at, m.template_id, h.name,
           CASE WHEN m.expires_at <= mfiauto.now() THEN 'expired'
                WHEN e.state = 'exited' OR h.state = 'archived' THEN 'canceled'
                WHEN d.hold_id IS NOT NULL THEN 'hold'
                WHEN h.state = 'paused' THEN 'defer'
                ELSE 'send' END,
           CASE WHEN m.expires_at <= mfiauto.now() THEN CASE o.reason WHEN 'barred_hours' THEN 'barred' ELSE coalesce(nullif(o.reason, 'hold'), 'expired') END
                WHEN e.state = 'exited' THEN CASE WHEN r.reason IS NOT NULL THEN e.reason ELSE 'workflow_stopped' END
                WHEN h.state = 'archived' THEN 'workflow_stopped'
                WHEN d.hold_id IS NOT NULL OR h.state = 'paused' THEN 'hold' END,
           CASE WHEN h.state = 'paused' THEN mfiauto.now() + interval '1 minute' END,
           NULL, NULL, m.to_address, m.title, m.body, m.html, m.encoding, m.parts, m.locale, e.context -> 'event',
           m.idempotency_key, o.attempts + 1, coalesce(c.resend_unknown, false), o.tried_gateways, m.options, s.path)::mfiauto._claim ORDER BY k.ord)
    FROM unnest(client_ids, message_ids) WITH ORDINALITY AS k(client_id, message_id, ord)
    JOIN mfiauto.outbox o ON o.client_id = k.client_id AND o.message_id = k.message_id
    JOIN mfiauto.message_ledger m ON m.client_id = o.client_id AND m.created_at = o.created_at AND m.message_id = o.message_id
    LEFT JOIN mfiauto.message_class c ON c.class = m.class
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = m.client_id AND e.enrollment_id = m.enrollment_id
    LEFT JOIN mfiauto.message_reason r ON r.reason = e.reason
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
    LEFT JOIN mfiauto.delivery_hold d ON d.scope = 'workflow' AND d.target = h.name
$$;

-- Evaluates a condition for a set; where a value makes it fail, or it takes too long, for its halves, until what fails is alone. Where the
-- condition itself cannot run any more (a column is gone), nothing is known of anybody.
CREATE FUNCTION mfiauto._evaluate_safely(role text, query text, client_ids bigint[], subject_ids bigint[])
RETURNS TABLE (ord integer, verdict boolean, failed boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  middle integer := cardinality(client_ids) / 2;
BEGIN
  BEGIN
    RETURN QUERY SELECT v.ord, v.verdict, false FROM mfiauto._evaluate(role, query, client_ids, subject_ids, mfiauto.now()) v;
    RETURN;
  EXCEPTION
    WHEN data_exception OR cardinality_violation OR plpgsql_error OR query_canceled THEN
      IF cardinality(client_ids) = 1 THEN
        RETURN QUERY SELECT 1, NULL::boolean, true;
        RETURN;
      END IF;
    WHEN syntax_error_or_access_rule_violation OR invalid_schema_name THEN
      RETURN QUERY SELECT i, NULL::boolean, false FROM generate_series(1, cardinality(client_ids)) i;
      RETURN;
  END;
  RETURN QUERY SELECT v.ord, v.verdict, v.failed
                 FROM mfiauto._evaluate_safely(role, query, client_ids[:middle], subject_ids[:middle]) v;
  RETURN QUERY SELECT v.ord + middle, v.verdict, v.failed
                 FROM mfiauto._evaluate_safely(role, query, client_ids[middle + 1:], subject_ids[middle + 1:]) v;
END $$;

-- The truth at the last moment: exit conditions, against what is committed now.
CREATE FUNCTION mfiauto._check_exits(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  program record;
  places integer[];
  clients bigint[];
  subjects bigint[];
  answer record;
  checked mfiauto._claim;
BEGIN
  FOR program IN
    SELECT v.workflow_id, v.version, v.owner, v.exit_sql
      FROM (SELECT DISTINCT c.workflow_id, c.version FROM unnest(claims) c WHERE c.verdict = 'send') c
      JOIN mfiauto.workflow_version v ON v.workflow_id = c.workflow_id AND v.version = c.version
     WHERE v.exit_sql IS NOT NULL
  LOOP
    SELECT array_agg(c.ordinality ORDER BY c.ordinality), array_agg(c.client_id ORDER BY c.ordinality), array_agg(c.subject_id ORDER BY c.ordinality)
      INTO places, clients, subjects
      FROM unnest(claims) WITH ORDINALITY AS c
     WHERE c.verdict = 'send' AND c.workflow_id = program.workflow_id AND c.version = program.version;
    FOR answer IN SELECT * FROM mfiauto._evaluate_safely(program.owner, program.exit_sql, clients, subjects) LOOP
      CONTINUE WHEN answer.verdict = false;
      checked := claims[places[answer.ord]];
      IF answer.failed THEN
        checked.verdict := 'hold';
        checked.reason := 'condition_error';
      ELSIF answer.verdict THEN
        checked.verdict := 'canceled';
        checked.reason := 'exit_if';
      ELSE
        checked.verdict := 'hold';
        checked.reason := 'exit_unknown';
        checked.retry_at := mfiauto.now() + interval '15 minutes';
      END IF;
      claims[places[answer.ord]] := checked;
    END LOOP;
  END LOOP;
  RETURN claims;
END $$;

-- Contact hours: what is barred now waits for the next allowed moment.
CREATE FUNCTION mfiauto._check_hours(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE sql STABLE AS $$
  WITH claim AS (
    SELECT u.*, u.ordinality AS ord, k.honors_contact_hours
      FROM unnest(claims) WITH ORDINALITY AS u
      LEFT JOIN mfiauto.message_class k ON k.class = u.class
  ), placed AS (
    SELECT z.client_id, z.zone, z.country
      FROM mfiauto._client_zones((SELECT array_agg(DISTINCT c.client_id) FROM claim c)) z
  ), allowed AS MATERIALIZED (
    SELECT k.zone, k.country, k.class, mfiauto._next_allowed(mfiauto.now(), k.zone, k.country, k.class) AS at
      FROM (SELECT DISTINCT p.zone, p.country, c.class
              FROM claim c JOIN placed p ON p.client_id = c.client_id
             WHERE c.verdict = 'send' AND c.honors_contact_hours) k
  )
  SELECT array_agg(ROW(c.client_id, c.message_id, c.created_at, c.channel, c.class, c.workflow_id, c.version, c.subject, c.subject_id, c.expires_at,
           c.template_id, c.workflow,
           CASE WHEN c.verdict <> 'send' OR a.zone IS NULL OR a.at <= mfiauto.now() THEN c.verdict
                WHEN a.at IS NULL OR a.at >= c.expires_at THEN 'expired' ELSE 'defer' END,
           CASE WHEN c.verdict <> 'send' OR a.zone IS NULL OR a.at <= mfiauto.now() THEN c.reason
                WHEN a.at IS NULL OR a.at >= c.expires_at THEN 'barred' ELSE 'barred_hours' END,
           CASE WHEN c.verdict = 'send' AND a.at > mfiauto.now() THEN a.at ELSE c.retry_at END,
           p.zone, p.country, c.to_address, c.title, c.body, c.html, c.encoding, c.parts, c.locale, c.event,
           c.key, c.attempts, c.may_resend, c.tried, c.options, c.step)::mfiauto._claim ORDER BY c.ord)
    FROM claim c
    LEFT JOIN placed p ON p.client_id = c.client_id
    LEFT JOIN allowed a ON c.honors_contact_hours AND a.zone = p.zone AND a.country = p.country AND a.class = c.class
$$;

-- Barred clients, suppression, opt-outs, consent, staging lists, arrears, caps.
CREATE FUNCTION mfiauto._check_contact(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  batch record;
  refusal record;
  checked mfiauto._claim;
BEGIN
  SELECT array_agg(c.ordinality ORDER BY c.ordinality) AS places, array_agg(c.client_id ORDER BY c.ordinality) AS clients,
         array_agg(c.channel ORDER BY c.ordinality) AS channels, array_agg(c.class ORDER BY c.ordinality) AS classes,
         array_agg(c.to_address ORDER BY c.ordinality) AS addresses, array_agg(c.country ORDER BY c.ordinality) AS countries,
         array_agg(c.message_id ORDER BY c.ordinality) AS messages
    INTO batch
    FROM unnest(claims) WITH ORDINALITY AS c WHERE c.verdict = 'send';
  IF batch.places IS NULL THEN
    RETURN claims;
  END IF;
  -- Two claims at once would not see each other's messages, and each count too few. The second waits for the first and counts what that took.
  IF EXISTS (SELECT FROM mfiauto.message_class c WHERE c.capped AND c.class = ANY (batch.classes)) THEN
    PERFORM pg_advisory_xact_lock(hashtext('mfiauto caps'));
  END IF;
  FOR refusal IN
    SELECT r.ord, r.reason, r.next_at
      FROM mfiauto._contact_refusals(batch.clients, batch.channels, batch.classes, batch.addresses, batch.countries, batch.messages) r
     WHERE r.reason IS NOT NULL
  LOOP
    checked := claims[batch.places[refusal.ord]];
    checked.reason := refusal.reason;
    IF refusal.reason = 'capped' THEN
      checked.retry_at := mfiauto._next_allowed(refusal.next_at, checked.zone, checked.country, checked.class);
      checked.verdict := CASE WHEN checked.retry_at IS NULL OR checked.retry_at >= checked.expires_at THEN 'expired' ELSE 'defer' END;
    ELSE
      checked.verdict := 'suppressed';
    END IF;
    claims[batch.places[refusal.ord]] := checked;
  END LOOP;
  RETURN claims;
END $$;

-- Free text to somebody who has not written for longer than the provider allows: refused here, so that the step's next channel is tried. A template of the provider's may go.
CREATE FUNCTION mfiauto._check_sessions(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  place integer;
  checked mfiauto._claim;
BEGIN
  FOR place IN
    SELECT c.ordinality FROM unnest(claims) WITH ORDINALITY AS c
     WHERE c.verdict = 'send' AND mfiauto._session_time(c.channel) IS NOT NULL AND coalesce(c.options ->> 'template', '') = ''
       AND mfiauto._is_outside_session(c.client_id, c.channel)
  LOOP
    checked := claims[place];
    checked.verdict := 'failed';
    checked.reason := 'outside_session';
    claims[place] := checked;
  END LOOP;
  RETURN claims;
END $$;

-- Composes again from the books as they are now, so that the text that leaves is true when it leaves.
CREATE FUNCTION mfiauto._recompose(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  family record;
  fresh record;
  checked mfiauto._claim;
BEGIN
  FOR family IN
    SELECT c.workflow, c.subject, c.channel, c.class, t.name AS template, array_agg(c.ordinality ORDER BY c.ordinality) AS places,
           array_agg(c.client_id ORDER BY c.ordinality) AS clients, array_agg(c.subject_id ORDER BY c.ordinality) AS subjects,
           array_agg(c.event ORDER BY c.ordinality) AS events
      FROM unnest(claims) WITH ORDINALITY AS c
      JOIN mfiauto.template_version t ON t.template_id = c.template_id
     WHERE c.verdict = 'send' AND c.workflow IS NOT NULL
     GROUP BY c.workflow, c.subject, c.channel, c.class, t.name
  LOOP
    FOR fresh IN
      SELECT x.ord, x.found, m.*
        FROM mfiauto._context(family.clients, family.subject, family.subjects, family.workflow, mfiauto._template_needs(ARRAY[family.template])) x
        CROSS JOIN LATERAL mfiauto._compose(family.template, ARRAY[family.channel], family.class, x.locale,
          CASE WHEN family.events[x.ord] IS NULL THEN x.context ELSE x.context || jsonb_build_object('event', family.events[x.ord]) END,
          x.phone, x.email, x.push_token, x.country, addresses => x.addresses) m
    LOOP
      checked := claims[family.places[fresh.ord]];
      IF NOT fresh.found THEN
        checked.verdict := 'canceled';
        checked.reason := 'subject_gone';
      ELSIF fresh.state = 'queued' THEN
        checked.template_id := fresh.template_id;
        checked.to_address := fresh.to_address;
        checked.title := mfiauto._sign_links(checked.message_id, fresh.title);
        checked.body := mfiauto._sign_links(checked.message_id, fresh.body);
        checked.html := CASE WHEN fresh.html IS NOT NULL THEN mfiauto._finish_html(checked.message_id, checked.channel, fresh.html) END;
        checked.options := mfiauto._sign_links(checked.message_id, fresh.options::text)::jsonb;
        checked.encoding := fresh.encoding;
        checked.parts := fresh.parts;
        checked.locale := fresh.locale;
        IF mfiauto._has_link_marker(concat_ws(' ', checked.title, checked.body, checked.html, checked.options)) THEN
          checked.verdict := 'defer';
          checked.reason := 'no_link_key';
          checked.retry_at := mfiauto.now() + interval '5 minutes';
        END IF;
      ELSE
        checked.verdict := CASE fresh.state WHEN 'held' THEN 'hold' ELSE fresh.state END;
        checked.reason := fresh.reason;
        checked.retry_at := CASE fresh.reason WHEN 'missing_variable' THEN mfiauto.now() + interval '15 minutes' END;
      END IF;
      claims[family.places[fresh.ord]] := checked;
    END LOOP;
  END LOOP;
  RETURN claims;
END $$;

-- All checks of a batch. Where a client's data make one fail, that client's message is held and the others go on.
CREATE FUNCTION mfiauto._check_claims(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  middle integer := cardinality(claims) / 2;
  poisoned mfiauto._claim;
BEGIN
  BEGIN
    RETURN mfiauto._check_exits(mfiauto._check_sessions(mfiauto._check_contact(mfiauto._recompose(mfiauto._check_hours(claims)))));
  EXCEPTION WHEN data_exception OR cardinality_violation OR plpgsql_error THEN
    IF cardinality(claims) = 1 THEN
      poisoned := claims[1];
      poisoned.verdict := 'hold';
      poisoned.reason := 'condition_error';
      RETURN ARRAY[poisoned];
    END IF;
  END;
  RETURN mfiauto._check_claims(claims[:middle]) || mfiauto._check_claims(claims[middle + 1:]);
END $$;

-- Writes what the checks decided and marks the lease of the rest.
CREATE FUNCTION mfiauto._apply_claims(claims mfiauto._claim[], gateway text, pid integer, lease_s double precision, checked_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  price numeric := (SELECT (g.settings ->> 'cost_per_part')::numeric FROM mfiauto.gateway_config g WHERE g.gateway = _apply_claims.gateway);
BEGIN
  PERFORM mfiauto._settle_messages(array_agg(c.client_id), array_agg(c.message_id), array_agg(c.verdict), array_agg(c.reason))
     FROM unnest(claims) c WHERE c.verdict NOT IN ('send', 'defer', 'hold') HAVING count(*) > 0;
  UPDATE mfiauto.outbox o
     SET is_held = c.verdict = 'hold',
         reason = c.reason,
         due_at = coalesce(c.retry_at, o.due_at)
    FROM unnest(claims) c
   WHERE c.verdict IN ('defer', 'hold') AND o.client_id = c.client_id AND o.message_id = c.message_id;
  UPDATE mfiauto.outbox o
     SET gateway = _apply_claims.gateway, lease_until = pg_catalog.clock_timestamp() + lease_s * interval '1 second', lease_pid = pid,
         claimed_at = _apply_claims.checked_at, attempts = c.attempts, is_held = false, reason = CASE o.reason WHEN 'outcome_unknown' THEN o.reason END,
         reserved = greatest(c.parts, 1) * price, reserved_on = CASE WHEN price IS NOT NULL THEN mfiauto._today() END
    FROM unnest(claims) c
   WHERE c.verdict = 'send' AND o.client_id = c.client_id AND o.message_id = c.message_id;
  IF price > 0 THEN
    PERFORM mfiauto._book_spend(ARRAY[_apply_claims.gateway], ARRAY[mfiauto._today()], ARRAY[sum(greatest(c.parts, 1)) * price])
       FROM unnest(claims) c WHERE c.verdict = 'send' HAVING count(*) > 0;
  END IF;
  UPDATE mfiauto.message_ledger m
     SET template_id = c.template_id, to_address = c.to_address, title = c.title, body = c.body, html = c.html, options = c.options, encoding = c.encoding,
         parts = c.parts, locale = c.locale
    FROM unnest(claims) c
   WHERE c.verdict = 'send' AND c.template_id IS NOT NULL
     AND m.client_id = c.client_id AND m.created_at = c.created_at AND m.message_id = c.message_id
     AND (m.to_address, m.title, m.body, m.html, m.options) IS DISTINCT FROM (c.to_address, c.title, c.body, c.html, c.options);
END $$;

-- The first row of a claim.
CREATE FUNCTION mfiauto._claim_summary(claims mfiauto._claim[], seen integer, cursors jsonb)
RETURNS TABLE (client_id bigint, message_id bigint, to_address text, title text, body text, html text, locale text, is_ucs2 boolean,
               key text, attempts integer, may_resend boolean, tried text, seen_count integer, suppressed integer, deferred integer, next_cursors text,
               options jsonb, unsubscribe_url text, class text, country text, expires_in bigint, workflow text, step text)
LANGUAGE sql STABLE AS $$
    SELECT NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::boolean, NULL::text, NULL::integer, NULL::boolean, NULL::text,
           _claim_summary.seen, count(*) FILTER (WHERE c.verdict NOT IN ('send', 'defer', 'hold'))::integer,
           count(*) FILTER (WHERE c.verdict IN ('defer', 'hold'))::integer, _claim_summary.cursors::text,
           NULL::jsonb, NULL::text, NULL::text, NULL::text, NULL::bigint, NULL::text, NULL::text
      FROM unnest(claims) c
$$;

-- One claim for one gateway. The first row tells how far the scan came (text: cursors) and the counts, seen = -1 that the gateway's budget
-- is used up while another one could take over; the others are to be sent.
CREATE FUNCTION mfiauto._claim_messages(gateway text, channel text, better text[], budget integer, pid integer, lease_s double precision, cursors jsonb)
RETURNS TABLE (client_id bigint, message_id bigint, to_address text, title text, body text, html text, locale text, is_ucs2 boolean,
               key text, attempts integer, may_resend boolean, tried text, seen integer, suppressed integer, deferred integer, next_cursors text,
               options jsonb, unsubscribe_url text, class text, country text, expires_in bigint, workflow text, step text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  locked record;
  claims mfiauto._claim[];
  checked_at timestamptz;
  has_budget boolean := EXISTS (SELECT FROM mfiauto.gateway_config g WHERE g.gateway = _claim_messages.gateway AND g.settings ?| '{budget_per_day,budget_per_month}');
  over_until timestamptz := (SELECT s.over_budget_until FROM mfiauto.gateway_state s WHERE s.gateway = _claim_messages.gateway);
  is_over boolean := false;
BEGIN
  IF EXISTS (SELECT FROM mfiauto.delivery_hold d WHERE d.scope = 'all' OR (d.scope = 'gateway' AND d.target = _claim_messages.gateway)) THEN
    RETURN;
  END IF;
  IF has_budget THEN
    -- Two claims at once would each spend what is left.
    PERFORM pg_advisory_xact_lock(hashtext('mfiauto caps'));
    IF over_until > mfiauto.now() AND mfiauto._has_other_gateway(_claim_messages.gateway, _claim_messages.channel) THEN
      RETURN QUERY SELECT c.* FROM mfiauto._claim_summary('{}', -1, cursors) c;
      RETURN;
    END IF;
  END IF;
  IF over_until <= mfiauto.now() OR (over_until IS NOT NULL AND NOT has_budget) THEN
    PERFORM mfiauto._note_over_budget(_claim_messages.gateway, NULL);
  END IF;
  better := ARRAY(SELECT b.name FROM unnest(better) AS b(name)
                   WHERE NOT EXISTS (SELECT FROM mfiauto.gateway_state s WHERE s.gateway = b.name AND s.over_budget_until > mfiauto.now()));
  SELECT * INTO locked FROM mfiauto._lock_due(_claim_messages.gateway, _claim_messages.channel, better, budget, cursors);
  IF cardinality(locked.message_ids) = 0 THEN
    RETURN;
  END IF;
  -- From here on each statement sees what was committed while we waited for the locks.
  claims := mfiauto._load_claims(locked.client_ids, locked.message_ids);
  checked_at := pg_catalog.clock_timestamp();
  claims := mfiauto._check_claims(claims);
  IF has_budget THEN
    SELECT b.kept, b.is_over AND cardinality(b.kept) < cardinality(claims) INTO claims, is_over
      FROM mfiauto._check_budget(claims, _claim_messages.gateway, _claim_messages.channel) b;
  END IF;
  PERFORM mfiauto._apply_claims(claims, _claim_messages.gateway, pid, lease_s, checked_at);
  RETURN QUERY
    SELECT c.* FROM mfiauto._claim_summary(claims, CASE WHEN is_over THEN -1 ELSE cardinality(locked.message_ids) END, locked.cursors) c;
  RETURN QUERY
    SELECT c.client_id, c.message_id, c.to_address, c.title, c.body, c.html, c.locale, coalesce(c.encoding ILIKE 'ucs%', false),
           c.key::text, c.attempts, c.may_resend, array_to_string(c.tried, ','), NULL::integer, NULL::integer, NULL::integer, NULL::text,
           c.options,
           CASE WHEN c.channel = 'email' AND c.class IN (SELECT k.class FROM mfiauto.message_class k WHERE k.honors_opt_out) THEN mfiauto._unsubscribe_url(c.client_id, c.message_id) END,
           c.class, c.country, greatest(ceil(extract(epoch FROM c.expires_at - mfiauto.now())), 1)::bigint, c.workflow, c.step
      FROM unnest(claims) c
     WHERE c.verdict = 'send';
END $$;

-- ---- Record ----

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
-- was changed since, whoever changed it has decided on the circuit.
CREATE FUNCTION mfiauto._save_gateway_state(gateway text, circuit text, open_for double precision, throttled_for double precision, failures integer,
  stopped_reason text, sent bigint, failed bigint, retried bigint, unknown bigint, error text, version text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  is_current boolean;
BEGIN
  -- Who changes a gateway holds its row until he commits, also one that has no state yet.
  PERFORM FROM mfiauto.gateway_config g WHERE g.gateway = $1 FOR SHARE;
  INSERT INTO mfiauto.gateway_state (gateway) SELECT g.gateway FROM mfiauto.gateway_config g WHERE g.gateway = $1
  ON CONFLICT ON CONSTRAINT gateway_state_pkey DO NOTHING;
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
END $$;

-- Leases whose worker is gone: the request may have left. Sent again only where that does no harm.
CREATE FUNCTION mfiauto._recover_leases() RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  lost record;
BEGIN
  SELECT array_agg(o.client_id) AS clients, array_agg(o.message_id) AS messages,
         array_agg(coalesce(k.resend_unknown, false) OR coalesce((g.definition ->> 'idempotent')::boolean, g.definition ? 'sql', false)) AS may_resend
    INTO lost
    FROM (SELECT * FROM mfiauto.outbox o
           WHERE o.lease_until IS NOT NULL
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

-- What cannot leave: expired in the queue, or on a channel that has no gateway while the step has another channel.
CREATE FUNCTION mfiauto._sweep_outbox(OUT expired bigint, OUT failed bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
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
             AND (_release_delivery.gateway IS NULL OR o.channel = (SELECT g.channel FROM mfiauto.gateway_config g WHERE g.gateway = _release_delivery.gateway))
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
