-- Who may be written to: consent with its proof, and suppressed addresses.

-- ---- Consent ----

CREATE FUNCTION mfiauto._record_consent(client_id bigint, channel text, purpose text, granted boolean, reason text, source text,
  text_version text, proof jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  pending boolean;
BEGIN
  IF greatest(length(reason), length(source), length(text_version)) > 1000 OR pg_column_size(proof) > 65536 THEN
    RAISE EXCEPTION 'what is told of a consent is too long'
      USING ERRCODE = '54000', DETAIL = 'reason, source and text_version have at most 1000 characters each, proof has 64 kB.', HINT = 'Keep large documents elsewhere and give their reference.';
  END IF;
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  PERFORM mfiauto._check_sight(client_id);
  IF channel IS NOT NULL THEN
    PERFORM mfiauto._check_channel(channel);
  END IF;
  PERFORM mfiauto._check_class(purpose);
  IF NOT granted AND EXISTS (SELECT FROM mfiauto.message_class c WHERE c.class = purpose AND NOT c.honors_opt_out) THEN
    RAISE EXCEPTION 'messages of class "%" cannot be opted out of', purpose USING ERRCODE = '22023',
      HINT = format('These can: %s.', (SELECT string_agg(c.class, ', ' ORDER BY c.priority) FROM mfiauto.message_class c WHERE c.honors_opt_out));
  END IF;
  IF granted AND EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = _record_consent.client_id) THEN
    RAISE EXCEPTION 'client % was erased', client_id USING ERRCODE = '55000', HINT = 'A client who comes back is a new client.';
  END IF;
  pending := granted AND mfiauto._wants_confirmation(client_id, purpose);
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, is_pending, reason, source, text_version, proof, given_at, recorded_by)
  VALUES (client_id, channel, purpose, granted, pending, reason, source, text_version, proof, mfiauto.now(), mfiauto._caller());
  IF pending THEN
    PERFORM mfiauto._ask_confirmation(client_id, channel, purpose);
  END IF;
  PERFORM mfiauto._journal_append(0, 'p', 0, client_id);
END $$;

-- Whether an opt-in for a purpose (null: all) counts only when it is confirmed: a policy of the client's country says so of a class it is for.
CREATE FUNCTION mfiauto._wants_confirmation(client_id bigint, purpose text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  -- Where no policy asks for it, nobody's country is looked up.
  RETURN EXISTS (SELECT FROM mfiauto.policy p WHERE p.double_opt_in)
    AND EXISTS (SELECT FROM mfiauto._client_zones(ARRAY[_wants_confirmation.client_id]) z
                  JOIN mfiauto.message_class c ON c.needs_consent AND (_wants_confirmation.purpose IS NULL OR c.class = _wants_confirmation.purpose)
                 CROSS JOIN LATERAL mfiauto._policy_for(z.country, c.class) p WHERE p.double_opt_in);
END $$;

-- Tells the engine that a client is to be asked. The event is what a workflow (of class transactional) sends the request by: once in a week
-- for a client and channel, however often the opt-in is recorded.
CREATE FUNCTION mfiauto._ask_confirmation(client_id bigint, channel text, purpose text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto opt-in', _ask_confirmation.client_id));
  IF NOT EXISTS (SELECT FROM mfiauto.event_log e
                  WHERE e.client_id = _ask_confirmation.client_id AND e.received_at > mfiauto.now() - interval '7 days' AND e.name = 'Opt In Requested'
                    AND e.properties ->> 'channel' IS NOT DISTINCT FROM _ask_confirmation.channel) THEN
    PERFORM mfiauto._track('Opt In Requested', _ask_confirmation.client_id,
                           jsonb_strip_nulls(jsonb_build_object('channel', _ask_confirmation.channel, 'purpose', _ask_confirmation.purpose)));
  END IF;
END $$;

-- The client said yes a second time, on the channel: what he asked for in the last 30 days and did not take back counts from now on.
-- Returns whether there was any.
CREATE FUNCTION mfiauto._confirm_opt_in(client_id bigint, channel text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  confirmed integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto opt-in', _confirm_opt_in.client_id));
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, source, text_version, confirms, given_at, recorded_by)
  SELECT p.client_id, p.channel, p.purpose, true, 'confirmed on ' || coalesce(_confirm_opt_in.channel, 'a page'), p.text_version, p.consent_id, mfiauto.now(), mfiauto._caller()
    FROM (SELECT DISTINCT ON (c.channel, c.purpose) c.*
            FROM mfiauto.consent c
           WHERE c.client_id = _confirm_opt_in.client_id AND c.is_pending AND c.given_at > mfiauto.now() - interval '30 days'
             AND (c.channel IS NULL OR _confirm_opt_in.channel IS NULL OR c.channel = _confirm_opt_in.channel)
           ORDER BY c.channel, c.purpose, c.given_at DESC, c.consent_id DESC) p
   WHERE NOT EXISTS (SELECT FROM mfiauto.consent o
                      WHERE o.client_id = p.client_id AND NOT o.is_pending AND (o.given_at, o.consent_id) > (p.given_at, p.consent_id)
                        AND (o.confirms = p.consent_id
                             OR (NOT o.granted AND (o.channel IS NULL OR p.channel IS NULL OR o.channel = p.channel)
                                 AND (o.purpose IS NULL OR p.purpose IS NULL OR o.purpose = p.purpose))))
     AND NOT EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = p.client_id);
  GET DIAGNOSTICS confirmed = ROW_COUNT;
  IF confirmed > 0 THEN
    PERFORM mfiauto._track('Opt In Confirmed', _confirm_opt_in.client_id, jsonb_strip_nulls(jsonb_build_object('channel', _confirm_opt_in.channel)));
    PERFORM mfiauto._journal_append(0, 'p', 0, _confirm_opt_in.client_id);
  END IF;
  RETURN confirmed > 0;
END $$;
SELECT mfiauto._open_door('mfiauto._confirm_opt_in(bigint, text)', '{admin,app}',
  'Records that a client confirmed, on a channel (null: any), the opt-ins that wait for it (policy double_opt_in); returns whether there were any. A keyword, a link or an app calls it.');

CREATE FUNCTION mfiauto._opt_out(client_id bigint, channel text DEFAULT NULL, purpose text DEFAULT NULL, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._record_consent(client_id, channel, purpose, false, reason, NULL, NULL, NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._opt_out(bigint, text, text, text)', '{admin,app,officer,branch}',
  'Records that a client wants no messages on a channel (null: any) of a class (null: every class that honors opt-outs). '
  'Messages that wait are withdrawn when they are about to leave.');

CREATE FUNCTION mfiauto._opt_in(client_id bigint, channel text DEFAULT NULL, purpose text DEFAULT NULL, source text DEFAULT NULL,
  text_version text DEFAULT NULL, proof jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._record_consent(client_id, channel, purpose, true, NULL, source, text_version, proof);
END $$;
SELECT mfiauto._open_door('mfiauto._opt_in(bigint, text, text, text, text, jsonb)', '{admin,app,officer,branch}',
  'Records a client''s consent to messages on a channel (null: any) of a class (null: any), with where it was given, the version of '
  'the text that was agreed to, and what proves it. Where the policy asks for a double opt-in it counts once it is confirmed.');

-- What was agreed to, word for word: a version has one text a language, for ever.
CREATE FUNCTION mfiauto._set_consent_text(version text, locale text, text text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  hash text;
  known text;
  tag text := mfiauto._checked_locale(locale);
BEGIN
  IF version IS NULL OR btrim(version) = '' OR length(version) > 1000 THEN
    RAISE EXCEPTION 'version of a consent text is not valid' USING ERRCODE = '22023', HINT = 'For instance: 2026-01 or v2.';
  ELSIF text IS NULL OR btrim(text) = '' THEN
    RAISE EXCEPTION 'text of consent version "%" is empty', version USING ERRCODE = '22023';
  ELSIF length(text) > 100000 THEN
    RAISE EXCEPTION 'text of consent version "%" is longer than 100000 characters', version USING ERRCODE = '54000', HINT = 'Keep the long form elsewhere and give its address here.';
  END IF;
  hash := encode(sha256(convert_to(text, 'UTF8')), 'hex');
  INSERT INTO mfiauto.consent_text (version, locale, text, text_hash, recorded_at, recorded_by)
  VALUES (version, tag, text, hash, mfiauto.now(), mfiauto._caller()) ON CONFLICT ON CONSTRAINT consent_text_pkey DO NOTHING;
  SELECT t.text_hash INTO known FROM mfiauto.consent_text t WHERE t.version = _set_consent_text.version AND t.locale = tag;
  IF known <> hash THEN
    RAISE EXCEPTION 'version "%" of the consent text is another one in "%"', version, tag USING ERRCODE = '42710', HINT = 'What people agreed to does not change: give the new wording a new version.';
  END IF;
  RETURN hash;
END $$;
SELECT mfiauto._open_door('mfiauto._set_consent_text(text, text, text)', '{admin}',
  'Keeps the wording behind a text_version of opt_in(), in a language; returns its SHA-256. A version never changes.');

-- What held at a moment, from the rows alone: for every channel and class that asks for or honors it, the newest row that fits.
CREATE FUNCTION mfiauto._consent_at(client_id bigint, at timestamptz DEFAULT NULL)
RETURNS TABLE (channel text, class text, state text, since timestamptz, source text, text_version text, text_hash text, recorded_by text, consent_id bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := coalesce(at, mfiauto.now());
BEGIN
  PERFORM mfiauto._check_sight(client_id);
  RETURN QUERY
    SELECT h.channel, k.class,
           CASE WHEN a.consent_id IS NULL THEN CASE WHEN q.consent_id IS NOT NULL THEN 'pending' ELSE 'none' END WHEN a.granted THEN 'granted' ELSE 'refused' END,
           coalesce(a.given_at, q.given_at), coalesce(a.source, q.source), coalesce(a.text_version, q.text_version),
           (SELECT t.text_hash FROM mfiauto.consent_text t WHERE t.version = coalesce(a.text_version, q.text_version) ORDER BY t.locale LIMIT 1),
           coalesce(a.recorded_by, q.recorded_by), coalesce(a.consent_id, q.consent_id)
      FROM mfiauto._channel() WITH ORDINALITY AS h(channel, address_kind, has_title, has_html, characters_max, ord)
     CROSS JOIN mfiauto.message_class k
      LEFT JOIN LATERAL (SELECT c.* FROM mfiauto.consent c
                          WHERE c.client_id = _consent_at.client_id AND c.given_at <= moment AND NOT c.is_pending
                            AND (c.channel IS NULL OR c.channel = h.channel) AND (c.purpose IS NULL OR c.purpose = k.class)
                          ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) a ON true
      LEFT JOIN LATERAL (SELECT c.* FROM mfiauto.consent c
                          WHERE a.consent_id IS NULL AND c.client_id = _consent_at.client_id AND c.given_at <= moment AND c.is_pending
                            AND (c.channel IS NULL OR c.channel = h.channel) AND (c.purpose IS NULL OR c.purpose = k.class)
                          ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) q ON true
     WHERE k.needs_consent OR k.honors_opt_out
     ORDER BY h.ord, k.priority;
END $$;
SELECT mfiauto._open_door('mfiauto._consent_at(bigint, timestamptz)', '{admin,app,officer,branch}',
  'What a client had consented to at a moment (default: now), for each channel and class: granted, refused, pending (asked for and not confirmed) or none, since when, '
  'how it was given, to which text, and who wrote it down.');

-- ---- What was changed, by whom ----

CREATE FUNCTION mfiauto._note_change(kind text, name text, content jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.change_log (kind, name, content, changed_at, changed_by)
  VALUES (_note_change.kind, _note_change.name, _note_change.content, mfiauto.now(), mfiauto._caller())
$$;

-- ---- Suppressed addresses ----

-- The key of an address in the suppression list: it survives the erasure of the client, and tells nobody the address. (Stable, as what it calls
-- is: so it becomes part of the query that calls it.)
CREATE FUNCTION mfiauto._address_hash(channel text, address text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(channel || ':' || address, 'UTF8')), 'hex')
$$;

CREATE FUNCTION mfiauto._checked_address(channel text, address text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  written text;
BEGIN
  IF channel IS DISTINCT FROM 'phone' THEN
    PERFORM mfiauto._check_channel(channel);
  END IF;
  -- A landline cannot be texted, yet it can be put on the list.
  written := mfiauto._read_address(CASE WHEN channel IN ('sms', 'whatsapp', 'phone') THEN 'voice' ELSE channel END, address,
                                   (SELECT i.country FROM mfiauto.institution i));
  IF written IS NULL THEN
    RAISE EXCEPTION 'address is not valid on channel "%"', channel USING ERRCODE = '22023',
      HINT = CASE WHEN channel IN ('sms', 'whatsapp', 'voice', 'phone') THEN 'Write the number with its country, as +221…; see normalize_phone().'
                  WHEN channel = 'email' THEN 'Write it as name@domain.' ELSE 'It must be printable ASCII without spaces.' END;
  END IF;
  RETURN written;
END $$;

CREATE FUNCTION mfiauto._suppress_address(channel text, address text, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF reason IS NULL OR btrim(reason) = '' THEN
    RAISE EXCEPTION 'a suppression needs a reason' USING ERRCODE = '22023', HINT = 'For instance: wrong number, bounced, complaint.';
  ELSIF length(reason) > 1000 THEN
    RAISE EXCEPTION 'reason of a suppression is longer than 1000 characters' USING ERRCODE = '54000', HINT = 'For instance: wrong number, bounced, complaint.';
  END IF;
  INSERT INTO mfiauto.suppression (channel, address_hash, reason, suppressed_at)
  VALUES (channel, mfiauto._address_hash(channel, mfiauto._checked_address(channel, address)), reason, mfiauto.now())
  ON CONFLICT ON CONSTRAINT suppression_pkey DO UPDATE SET reason = excluded.reason, suppressed_at = excluded.suppressed_at;
END $$;
SELECT mfiauto._open_door('mfiauto._suppress_address(text, text, text)', '{admin,app}',
  'Puts an address on the suppression list of a channel (phone: sms, voice and whatsapp): it is never written to again, whatever the class. Only its hash is kept.');

CREATE FUNCTION mfiauto._unsuppress_address(channel text, address text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.suppression s
   WHERE s.channel = _unsuppress_address.channel
     AND s.address_hash = mfiauto._address_hash(_unsuppress_address.channel,
                                                mfiauto._checked_address(_unsuppress_address.channel, _unsuppress_address.address));
  IF NOT FOUND THEN
    RAISE EXCEPTION 'address is not on the suppression list of channel "%"', channel USING ERRCODE = '42704';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._unsuppress_address(text, text)', '{admin}',
  'Takes an address off the suppression list of a channel.');
