-- Gateways that are tables of this database: a program such as Gammu SMSD takes messages from one and tells of them in others.
-- Handing over, and taking what comes back, happens in the transaction that records it here: nothing is lost, nothing is ever unknown.

-- A statement of a gateway's definition (a text, or its lines), its settings as identifiers.
CREATE FUNCTION mfiauto._table_statement(gateway text, member text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT mfiauto.render(CASE jsonb_typeof(g.definition -> 'sql' -> $2)
             WHEN 'array' THEN (SELECT string_agg(l.line, E'\n' ORDER BY l.n) FROM jsonb_array_elements_text(g.definition -> 'sql' -> $2) WITH ORDINALITY AS l(line, n))
             ELSE g.definition -> 'sql' ->> $2 END,
           jsonb_build_object('settings',
             (SELECT coalesce(jsonb_object_agg(s.key, quote_ident(coalesce(g.settings ->> s.key, s.value ->> 'default'))), '{}')
                FROM jsonb_each(coalesce(g.definition -> 'settings', '{}')) s)), escape => 'none')
    FROM mfiauto.gateway_config g WHERE g.gateway = $1
$$;

-- Messages as a "hand_over" statement sees them.
CREATE FUNCTION mfiauto._table_messages(gateway text, message_ids bigint[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_agg(jsonb_build_object(
           'message_id', m.message_id, 'reference', m.message_id || '-' || m.idempotency_key, 'to', m.to_address, 'text', m.body, 'title', m.title,
           'locale', m.locale, 'is_ucs2', w.is_ucs2, 'sender', g.settings ->> 'sender',
           'expires_in', CASE WHEN m.expires_at IS NOT NULL THEN greatest(1, extract(epoch FROM m.expires_at - mfiauto.now())::bigint) END,
           'pieces', (SELECT jsonb_agg(p.text ORDER BY p.ord) FROM mfiauto._split_sms(m.body, w.is_ucs2) WITH ORDINALITY AS p(text, ord))))
    FROM unnest($2) AS k(message_id)
    JOIN mfiauto.message_ledger m ON m.message_id = k.message_id
    CROSS JOIN LATERAL (SELECT coalesce(m.encoding ILIKE 'ucs%', false) AS is_ucs2) w
    JOIN mfiauto.gateway_config g ON g.gateway = $1
$$;

-- The statements, each with the columns that it must give; one that writes can be no subquery.
CREATE FUNCTION mfiauto._run_hand_over(gateway text, messages jsonb) RETURNS TABLE (reference text, provider_id text)
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE mfiauto._table_statement(gateway, 'hand_over') USING messages;
END $$;

CREATE FUNCTION mfiauto._run_receipts(gateway text, since timestamptz) RETURNS TABLE (reference text, provider_id text, status text, error text)
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE mfiauto._table_statement(gateway, 'receipts') USING since;
END $$;

CREATE FUNCTION mfiauto._run_inbound(gateway text) RETURNS TABLE (sender text, receiver text, body text, provider_id text, sent_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE mfiauto._table_statement(gateway, 'inbound');
END $$;

-- One statement for all; where that fails, one each, so that only what cannot be taken comes back.
CREATE FUNCTION mfiauto._hand_over_texts(gateway text, messages jsonb) RETURNS TABLE (reference text, provider_id text, problem text, is_broken boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  code text;
  text_of text;
BEGIN
  BEGIN
    RETURN QUERY SELECT t.reference, t.provider_id, NULL::text, false FROM mfiauto._run_hand_over(gateway, messages) t;
    RETURN;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, text_of = MESSAGE_TEXT;
    IF NOT mfiauto._is_query_error(code) THEN
      RAISE;
    END IF;
  END;
  IF jsonb_array_length(messages) = 1 THEN
    -- What the tables say may hold the message's own text.
    RETURN QUERY SELECT messages -> 0 ->> 'reference', NULL::text, 'tables refused it, SQLSTATE ' || code, code ~ '^(42|3F|3D|28)';
    RETURN;
  END IF;
  RETURN QUERY SELECT h.* FROM jsonb_array_elements(messages) m, LATERAL mfiauto._hand_over_texts(gateway, jsonb_build_array(m.value)) h;
END $$;

CREATE FUNCTION mfiauto._hand_over(gateway text, message_ids bigint[]) RETURNS TABLE (message_id bigint, provider_id text, problem text, is_broken boolean)
LANGUAGE sql AS $$
  SELECT m.message_id, h.provider_id, CASE WHEN h.reference IS NULL THEN 'the gateway''s statement did not return the message' ELSE h.problem END,
         coalesce(h.is_broken, true)
    FROM (SELECT x.value AS message, (x.value ->> 'message_id')::bigint AS message_id
            FROM jsonb_array_elements(mfiauto._table_messages($1, $2)) x) m
    LEFT JOIN mfiauto._hand_over_texts($1, mfiauto._table_messages($1, $2)) h ON h.reference = m.message ->> 'reference'
$$;

-- What a "receipts" statement tells, as if the provider had posted it; what is known already changes nothing.
CREATE FUNCTION mfiauto._take_table_receipts(gateway text, since timestamptz) RETURNS integer
LANGUAGE sql AS $$
  SELECT mfiauto._take_webhook($1, g.channel, g.definition, 'POST', '', '{}', convert_to(t.told::text, 'UTF8'))
    FROM mfiauto.gateway_config g, (SELECT jsonb_agg(to_jsonb(r)) AS told FROM mfiauto._run_receipts($1, $2) r) t
   WHERE g.gateway = $1 AND t.told IS NOT NULL
$$;

-- Receipts and messages from people that lie in the tables of gateways. $1 of "receipts": what changed since then is asked for, with some overlap,
-- as a receipt that comes again changes nothing; "inbound" marks what it gives as taken.
CREATE FUNCTION mfiauto._poll_tables() RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  gateway record;
  answer record;
  number bigint := 0;
  code text;
BEGIN
  FOR gateway IN
    SELECT g.gateway, g.channel, g.definition -> 'sql' AS sql, p.polled_at
      FROM mfiauto.gateway_config g LEFT JOIN mfiauto.table_poll p ON p.gateway = g.gateway
     WHERE g.is_enabled AND g.definition -> 'sql' ?| '{receipts,inbound}'
  LOOP
    BEGIN
      IF gateway.sql ? 'receipts' THEN
        number := number + coalesce(mfiauto._take_table_receipts(gateway.gateway, coalesce(gateway.polled_at, '-infinity')), 0);
      END IF;
      IF gateway.sql ? 'inbound' THEN
        FOR answer IN SELECT t.* FROM mfiauto._run_inbound(gateway.gateway) t LOOP
          PERFORM mfiauto._take_inbound(gateway.gateway, gateway.channel, 'message', answer.sender, answer.receiver, answer.body, answer.provider_id,
                                        answer.sent_at, NULL);
          number := number + 1;
        END LOOP;
      END IF;
      INSERT INTO mfiauto.table_poll AS p (gateway, polled_at, problem) VALUES (gateway.gateway, pg_catalog.clock_timestamp(), NULL)
      ON CONFLICT ON CONSTRAINT table_poll_pkey DO UPDATE SET polled_at = excluded.polled_at, problem = NULL;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
      IF NOT mfiauto._is_query_error(code) THEN
        RAISE;
      END IF;
      INSERT INTO mfiauto.table_poll AS p (gateway, polled_at, problem) VALUES (gateway.gateway, '-infinity', 'its tables could not be read, SQLSTATE ' || code)
      ON CONFLICT ON CONSTRAINT table_poll_pkey DO UPDATE SET problem = excluded.problem;
    END;
  END LOOP;
  RETURN number;
END $$;

-- A test of such a gateway: one text, in the caller's transaction.
CREATE FUNCTION mfiauto._test_tables(gateway text, to_address text, body text, OUT outcome text, OUT provider_id text, OUT error text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  refusal text := coalesce(mfiauto._delivery_refusal(), mfiauto._site_refusal());
  taken record;
BEGIN
  IF refusal IS NOT NULL OR _test_tables.to_address <> ALL (mfiauto._only_recipients()) THEN
    outcome := 'config_broken';
    error := coalesce(refusal, 'mfiauto.only_recipients does not list the address');
    RETURN;
  END IF;
  SELECT h.* INTO taken
    FROM mfiauto._hand_over_texts(_test_tables.gateway, jsonb_build_array(jsonb_build_object(
           'message_id', 0, 'reference', 'test-' || gen_random_uuid(), 'to', _test_tables.to_address, 'text', _test_tables.body,
           'is_ucs2', (mfiauto.sms_parts(_test_tables.body)).encoding = 'ucs2', 'sender', (SELECT g.settings ->> 'sender' FROM mfiauto.gateway_config g WHERE g.gateway = _test_tables.gateway),
           'pieces', (SELECT jsonb_agg(p.text ORDER BY p.ord) FROM mfiauto._split_sms(_test_tables.body, false) WITH ORDINALITY AS p(text, ord))))) h;
  outcome := CASE WHEN taken.problem IS NULL THEN 'sent' WHEN taken.is_broken THEN 'config_broken' ELSE 'retry' END;
  provider_id := taken.provider_id;
  error := taken.problem;
END $$;
