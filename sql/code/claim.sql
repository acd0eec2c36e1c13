-- Claiming what may leave now: what is due is locked, looked at once more by everything that may have changed, composed again and leased.

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

-- Whether there is something to claim, for a gateway that first needs a token.
CREATE FUNCTION mfiauto._is_due(gateway text, channel text, better text[]) RETURNS boolean
LANGUAGE sql AS $$
  SELECT cardinality(l.message_ids) > 0 AND NOT EXISTS (SELECT FROM mfiauto.delivery_hold d WHERE d.scope = 'all')
    FROM mfiauto._lock_due($1, $2, $3, 1, '{}') l
$$;

-- The locked rows with everything that the ledger, the enrollment and the workflow say of them now.
-- The order of the joins is the one written: to look for another takes longer than to load the rows.
CREATE FUNCTION mfiauto._load_claims(client_ids bigint[], message_ids bigint[]) RETURNS mfiauto._claim[]
LANGUAGE sql STABLE SET join_collapse_limit = 1 AS $$
  SELECT array_agg(ROW(m.client_id, m.message_id, m.created_at, o.channel, m.class, m.workflow_id, m.version, m.subject,
           coalesce(m.subject_id, m.client_id), m.expires_at, m.template_id, h.name,
           CASE WHEN m.expires_at <= mfiauto.now() THEN 'expired'
                WHEN e.state = 'exited' OR h.state = 'archived' THEN 'canceled'
                WHEN d.hold_id IS NOT NULL THEN 'hold'
                WHEN h.state = 'paused' THEN 'defer'
                ELSE 'send' END,
           CASE WHEN m.expires_at <= mfiauto.now() THEN CASE o.reason WHEN 'barred_hours' THEN 'barred' ELSE coalesce(nullif(o.reason, 'hold'), 'expired') END
                WHEN e.state = 'exited' THEN CASE WHEN e.reason IN (SELECT r.reason FROM mfiauto.message_reason r) THEN e.reason ELSE 'workflow_stopped' END
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

-- All checks of a batch; caps are counted among those that nothing before keeps from leaving. Where a client's data make one fail, that client's message is held and the
-- others go on.
CREATE FUNCTION mfiauto._check_claims(claims mfiauto._claim[]) RETURNS mfiauto._claim[]
LANGUAGE plpgsql AS $$
DECLARE
  middle integer := cardinality(claims) / 2;
  poisoned mfiauto._claim;
BEGIN
  BEGIN
    RETURN mfiauto._check_sessions(mfiauto._check_contact(mfiauto._check_exits(mfiauto._recompose(mfiauto._check_hours(claims)))));
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
  -- Two claims at once would not see each other's messages, and each count too few. The second waits for the first and counts what that took.
  IF EXISTS (SELECT FROM mfiauto.message_class c WHERE c.capped AND c.class IN (SELECT k.class FROM unnest(claims) k WHERE k.verdict = 'send')) THEN
    PERFORM pg_advisory_xact_lock(hashtext('mfiauto caps'));
  END IF;
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
           CASE WHEN c.channel = 'email' AND c.class IN (SELECT k.class FROM mfiauto.message_class k WHERE k.honors_opt_out) THEN mfiauto._unsubscribe_url(c.message_id) END,
           c.class, c.country, greatest(ceil(extract(epoch FROM c.expires_at - mfiauto.now())), 1)::bigint, c.workflow, c.step
      FROM unnest(claims) c
     WHERE c.verdict = 'send';
END $$;
