-- What is kept of a person: told in full to whoever asks for it (export_client), and taken away (erase_client).

-- Every table that has something of a client, and what becomes of it. part: under which name it is exported; null: it says nothing that another
-- does not. removed: the row goes; scrub: these columns are emptied, where present says that there is something; neither: it stays, as it
-- holds numbers and moments only, or is what the law wants kept. A test holds the list against the catalog.
CREATE FUNCTION mfiauto._person_table()
RETURNS TABLE (relation text, part text, order_by text, removed boolean, scrub text, present text)
LANGUAGE sql IMMUTABLE AS $$
  VALUES
  ('identity', 'identity', 'client_id', false, NULL::text, NULL::text),
  ('client_trait', 'traits', 'client_id', true, NULL, NULL),
  ('trait_value', 'computed_traits', 'trait_id', true, NULL, NULL),
  ('profile_state', 'profile', 'client_id', true, NULL, NULL),
  ('profile_pending', NULL, NULL, true, NULL, NULL),
  ('threshold_state', 'thresholds', 'workflow_id', true, NULL, NULL),
  ('first_source', 'first_source', 'client_id', true, NULL, NULL),
  ('client_address', 'devices_and_chat_names', 'client_address_id', true, NULL, NULL),
  ('address_book', 'addresses', 'kind', true, NULL, NULL),
  ('segment_membership', 'segment_memberships', 'segment_id, since, membership_id', true, NULL, NULL),
  ('segment_pending', NULL, NULL, true, NULL, NULL),
  ('consent', 'consent', 'consent_id', false, 'proof = NULL, reason = NULL', 'num_nonnulls(t.proof, t.reason) > 0'),
  ('event_log', 'events', 'received_at, event_id', false, 'properties = ''{}''', 't.properties <> ''{}'''),
  ('message_ledger', 'messages', 'created_at, message_id', false,
   'to_address = NULL, title = NULL, body = NULL, html = NULL, options = NULL, provider_id = NULL', 'num_nonnulls(t.to_address, t.title, t.body, t.html, t.options, t.provider_id) > 0'),
  ('outbox', 'queued_messages', 'message_id', false, NULL, NULL),
  ('message_key', NULL, NULL, false, NULL, NULL),
  ('unknown_message', NULL, NULL, false, NULL, NULL),
  ('fallback_watch', NULL, NULL, true, NULL, NULL),
  ('provider_key', NULL, NULL, true, NULL, NULL),
  ('attempt', 'attempts', 'started_at, attempt_id', false, 'error = NULL', 't.error IS NOT NULL'),
  ('receipt', 'receipts', 'received_at, receipt_id', false, 'error = NULL, provider_id = NULL, reference = NULL', 'num_nonnulls(t.error, t.provider_id, t.reference) > 0'),
  ('interaction_log', 'interactions', 'received_at, interaction_id', false, 'detail = NULL', 't.detail IS NOT NULL'),
  ('inbound_log', 'received_messages', 'received_at, inbound_id', false,
   'from_address = '''', to_address = NULL, body = NULL, provider_id = NULL, detail = NULL', 't.from_address <> '''' OR num_nonnulls(t.to_address, t.body, t.provider_id, t.detail) > 0'),
  ('last_inbound', 'last_received', 'channel', true, NULL, NULL),
  ('conversation_state', 'conversations', 'channel, opened_at', true, NULL, NULL),
  ('sandbox_message', 'sandbox_messages', 'sandbox_id', true, NULL, NULL),
  ('inbox', 'inbox', 'message_id', true, NULL, NULL),
  ('task', 'tasks', 'task_id', false, 'title = ''erased'', note = NULL', 't.title <> ''erased'' OR t.note IS NOT NULL'),
  ('enrollment_state', 'workflow_runs', 'enrollment_id', false, 'context = NULL, entry_key = NULL', 'num_nonnulls(t.context, t.entry_key) > 0'),
  ('entry_state', 'planned_entries', 'workflow_id, subject_id', true, NULL, NULL),
  ('decision_log', 'decisions', 'decided_at, decision_id', false, 'detail = NULL', 't.detail IS NOT NULL'),
  ('goal_hit', 'goals_reached', 'enrollment_id, version, step_no, repetition', false, NULL, NULL),
  ('parked_fact', 'parked_facts', 'parked_id', false, 'detail = NULL', 't.detail IS NOT NULL'),
  ('client_visibility', NULL, NULL, true, NULL, NULL),
  ('client_dirty', NULL, NULL, true, NULL, NULL),
  ('erased_client', 'erasure', 'client_id', false, NULL, NULL),
  -- The books as they were last seen, and what is counted from them: numbers, dates and states, no names; they follow the books.
  ('subject_state', 'last_seen_of_the_books', 'role, subject_id', false, NULL, NULL),
  ('party_state', 'parts_in_loans', 'loan_id, role', false, NULL, NULL),
  ('anchor_date', NULL, NULL, false, NULL, NULL),
  ('installment_outcome', NULL, NULL, false, NULL, NULL),
  ('arrears_episode', NULL, NULL, false, NULL, NULL),
  ('portfolio_loan', NULL, NULL, false, NULL, NULL),
  -- The engine's own of one batch: the next one empties them.
  ('batch_diff', NULL, NULL, true, NULL, NULL),
  ('batch_found', NULL, NULL, true, NULL, NULL),
  ('batch_event', NULL, NULL, true, NULL, NULL),
  ('batch_touched', NULL, NULL, true, NULL, NULL)
$$;

-- Everything of a person as one document; the same document for the same data, whoever asks and wherever the server is.
CREATE FUNCTION mfiauto._export_client(client_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'iso_8601' AS $$
#variable_conflict use_variable
DECLARE
  document jsonb := jsonb_build_object('client_id', client_id, 'exported_at', mfiauto.now(), 'institution', (SELECT i.name FROM mfiauto.institution i));
  source record;
  rows jsonb;
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  -- The bank's own rows, as bound.
  FOR source IN
    SELECT r.role, CASE r.role WHEN 'loan_party' THEN 'loan_id, role' ELSE mfiauto._id_column(r.role) END AS order_by
      FROM unnest(mfiauto._role_order()) AS r(role) WHERE to_regclass('mfiauto.' || r.role) IS NOT NULL
  LOOP
    EXECUTE format('SELECT jsonb_agg(to_jsonb(v) ORDER BY %s) FROM mfiauto.%I v WHERE v.client_id = $1', source.order_by, source.role) INTO rows USING client_id;
    IF rows IS NOT NULL THEN
      document := document || jsonb_build_object('books', coalesce(document -> 'books', '{}') || jsonb_build_object(source.role, rows));
    END IF;
  END LOOP;
  FOR source IN SELECT p.relation, p.part, p.order_by FROM mfiauto._person_table() p WHERE p.part IS NOT NULL AND to_regclass('mfiauto.' || p.relation) IS NOT NULL LOOP
    EXECUTE format('SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(t)) - ''client_id'' ORDER BY %s) FROM mfiauto.%I t WHERE t.client_id = $1',
                   (SELECT string_agg('t.' || btrim(c), ', ') FROM unnest(string_to_array(source.order_by, ',')) c), source.relation) INTO rows USING client_id;
    IF rows IS NOT NULL THEN
      document := document || jsonb_build_object(source.part, rows);
    END IF;
  END LOOP;
  RETURN document || jsonb_build_object('consent_now', coalesce((SELECT jsonb_object_agg(c.channel || ' ' || c.class, c.state) FROM mfiauto._consent_at(client_id) c WHERE c.state <> 'none'), '{}'));
END $$;
SELECT mfiauto._open_door('mfiauto._export_client(bigint)', '{admin}',
  'Everything that is kept of a client, from the books as bound and from mfiauto''s own tables, grouped, as one JSON document: for a request of access or portability.');

-- Ends what is under way for a client who is being erased.
CREATE FUNCTION mfiauto._stop_client(client_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  PERFORM mfiauto._exit_runs(NULL, NULL, ARRAY(
    SELECT ROW(e.client_id, e.enrollment_id, e.subject_id, e.loan_id, e.anchor_on, NULL, NULL, e.arm, NULL, NULL, NULL, NULL, NULL, 'erased')::mfiauto._run
      FROM mfiauto.enrollment_state e WHERE e.client_id = _stop_client.client_id AND e.state IN ('active', 'error')));
  PERFORM mfiauto._cancel_outbox(array_agg(o.client_id), array_agg(o.message_id), 'erased') FROM mfiauto.outbox o WHERE o.client_id = _stop_client.client_id HAVING count(*) > 0;
  UPDATE mfiauto.task t SET state = 'canceled', outcome = 'erased', closed_at = mfiauto.now(), closed_by = mfiauto._caller()
   WHERE t.client_id = _stop_client.client_id AND t.state = 'open';
END $$;

-- Every address that a person is known to have or to have had, telephones also without their plus. The books may have dropped him already.
CREATE FUNCTION mfiauto._person_addresses(client_id bigint) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(DISTINCT f.form), '{}')
    FROM (SELECT a.address FROM mfiauto.address_book a WHERE a.client_id = $1
          UNION SELECT a.address FROM mfiauto.client_address a WHERE a.client_id = $1
          UNION SELECT m.to_address FROM mfiauto.message_ledger m WHERE m.client_id = $1
          UNION SELECT l.from_address FROM mfiauto.inbound_log l WHERE l.client_id = $1) k,
         unnest(ARRAY[k.address, ltrim(k.address, '+')]) AS f(form)
   WHERE f.form <> ''
$$;

-- What came from a person's addresses while nobody knew whose they were, or what was meant.
CREATE FUNCTION mfiauto._erase_found(addresses text[]) RETURNS TABLE (relation text, removed bigint, scrubbed bigint)
LANGUAGE sql AS $$
  WITH emptied AS (
    UPDATE mfiauto.inbound_log l SET from_address = '', to_address = NULL, body = NULL, provider_id = NULL, detail = NULL
     WHERE l.client_id = 0 AND l.from_address = ANY (addresses) RETURNING 1
  ), gone AS (
    DELETE FROM mfiauto.unread_webhook u
     WHERE EXISTS (SELECT FROM unnest(addresses) a, unnest(ARRAY[a, replace(a, '@', '%40')]) form
                    WHERE length(a) > 5 AND (position(convert_to(form, 'UTF8') IN u.body) > 0 OR strpos(u.query, form) > 0)) RETURNING 1
  )
  SELECT 'inbound_log of nobody', 0::bigint, count(*) FROM emptied HAVING count(*) > 0
  UNION ALL SELECT 'unread_webhook', count(*), 0 FROM gone HAVING count(*) > 0
$$;

-- Takes away what is known of a person: addresses, texts, names, traits, what he wrote to us, his devices. What stays is the skeleton of the
-- ledger (when, which template, what came of it), the fact of each consent, and the list of suppressed addresses, which are hashes. Done
-- again, it takes away what came since, which is nothing.
CREATE FUNCTION mfiauto._erase_client(client_id bigint, reason text) RETURNS TABLE (relation text, removed bigint, scrubbed bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  known record;
  in_books boolean := false;
BEGIN
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  IF reason IS NULL OR btrim(reason) = '' OR length(reason) > 1000 THEN
    RAISE EXCEPTION 'an erasure needs a reason' USING ERRCODE = '22023', HINT = 'For instance: request 2026-17. It is kept: no personal data belong there.';
  END IF;
  -- No pass of the engine and no claim meanwhile.
  PERFORM pg_advisory_xact_lock(hashtext('mfiauto engine'));
  PERFORM pg_advisory_xact_lock(hashtext('mfiauto caps'));
  PERFORM FROM mfiauto.outbox o WHERE o.client_id = _erase_client.client_id FOR UPDATE;
  IF EXISTS (SELECT FROM mfiauto.outbox o WHERE o.client_id = _erase_client.client_id AND o.lease_until IS NOT NULL) THEN
    RAISE EXCEPTION 'a message to client % is being sent', client_id USING ERRCODE = '55006', HINT = 'Try again in a minute.';
  END IF;
  INSERT INTO mfiauto.erased_client (client_id, erased_at, reason, erased_by) VALUES (client_id, mfiauto.now(), reason, mfiauto._caller())
  ON CONFLICT ON CONSTRAINT erased_client_pkey DO NOTHING;
  PERFORM mfiauto._stop_client(client_id);
  RETURN QUERY SELECT f.relation, f.removed, f.scrubbed FROM mfiauto._erase_found(mfiauto._person_addresses(client_id)) f;
  FOR known IN SELECT * FROM mfiauto._person_table() p WHERE (p.removed OR p.scrub IS NOT NULL) AND to_regclass('mfiauto.' || p.relation) IS NOT NULL LOOP
    relation := known.relation;
    removed := 0;
    scrubbed := 0;
    IF known.removed THEN
      EXECUTE format('DELETE FROM mfiauto.%I t WHERE t.client_id = $1', known.relation) USING client_id;
      GET DIAGNOSTICS removed = ROW_COUNT;
    ELSE
      EXECUTE format('UPDATE mfiauto.%I t SET %s WHERE t.client_id = $1 AND (%s)', known.relation, known.scrub, known.present) USING client_id;
      GET DIAGNOSTICS scrubbed = ROW_COUNT;
    END IF;
    IF removed + scrubbed > 0 THEN
      RETURN NEXT;
    END IF;
  END LOOP;
  -- A key of the books leads to the person; while the books have him it is what keeps him erased.
  IF to_regclass('mfiauto.client') IS NOT NULL THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM mfiauto.client c WHERE c.client_id = $1)' INTO in_books USING client_id;
  END IF;
  IF NOT in_books THEN
    RETURN QUERY
      WITH hashed AS (
        UPDATE mfiauto.identity i SET client_key = 'erased ' || encode(sha256(convert_to(i.client_key, 'UTF8')), 'hex')
         WHERE i.client_id = _erase_client.client_id AND i.client_key !~ '^erased [0-9a-f]{64}$' RETURNING 1
      )
      SELECT 'identity', 0::bigint, count(*) FROM hashed HAVING count(*) > 0;
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._erase_client(bigint, text)', '{admin}',
  'Erases what is known of a client: addresses, texts, names, traits, events'' contents, what he wrote, devices. Keeps the skeleton of the ledger, the facts of consent without their content, and '
  'hashes of suppressed addresses. Stops what waits; refused while a message is being sent. If the books still have him, nothing is sent to him and nothing is written down again. Tells what went, by table.');
