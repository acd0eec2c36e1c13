-- Links in messages: short, signed, counted. What is behind one is filled in when somebody follows it (click.sql).

-- ---- Tokens: what names a message in an address ----

-- Stands in a text where the token of a target will stand; of the same length.
CREATE FUNCTION mfiauto._link_marker(target integer) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_mark_link';

CREATE FUNCTION mfiauto._has_link_marker(content text) RETURNS boolean
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_has_link_marker';

-- A text with the markers of its links replaced by tokens of a message; the same for the same message as long as the key is.
CREATE FUNCTION mfiauto._sign_links(message_id bigint, content text) RETURNS text
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mfiauto_sign_links';

CREATE FUNCTION mfiauto._link_token(message_id bigint, target integer) RETURNS text
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mfiauto_write_link_token';

-- The message and the target of a token; nulls for one that we did not sign.
CREATE FUNCTION mfiauto._read_link_token(token text, OUT message_id bigint, OUT target integer)
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'mfiauto_read_link_token';

CREATE FUNCTION mfiauto._add_link_key(value text, file text, keep boolean) RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_add_link_key';

CREATE FUNCTION mfiauto._rotate_link_key(keep boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._add_link_key(NULL, NULL, coalesce(keep, true));
END $$;
SELECT mfiauto._open_door('mfiauto._rotate_link_key(boolean)', '{admin}',
  'Signs links with a new random key from now on. Links sent before go on working (the last eight keys are accepted); keep => false forgets all earlier keys, for one that leaked.');

CREATE FUNCTION mfiauto._set_link_key(value text DEFAULT NULL, file text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF num_nonnulls(value, file) = 0 THEN
    RAISE EXCEPTION 'a link key needs either a value or a file' USING ERRCODE = '22023', HINT = 'rotate_link_key() makes a random one.';
  END IF;
  PERFORM mfiauto._add_link_key(value, file, true);
END $$;
SELECT mfiauto._open_door('mfiauto._set_link_key(text, text)', '{admin}',
  'Gives the key that links are signed with: a value, or a file of the server, read when it is needed. No dump holds a key: only one that is given this way can be given again after a restore, '
  'so that links sent before go on working. Earlier keys are accepted still.');

-- ---- Hosts ----

CREATE FUNCTION mfiauto._checked_host(host text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF host IS NULL OR length(host) > 253 OR host !~* '^\.?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$' THEN
    RAISE EXCEPTION 'host "%" is not valid', coalesce(left(host, 100), 'null') USING ERRCODE = '22023',
      HINT = 'Write the host alone, as pay.mfi.example; with a dot before it, as .mfi.example, all under it.';
  END IF;
  RETURN lower(host);
END $$;

CREATE FUNCTION mfiauto._allow_link_host(host text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO mfiauto.link_host (host, allowed_at, allowed_by) VALUES (mfiauto._checked_host(host), mfiauto.now(), mfiauto._caller())
  ON CONFLICT ON CONSTRAINT link_host_pkey DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._allow_link_host(text)', '{admin}',
  'Lets links lead to a host (pay.mfi.example), or to all under one (.mfi.example). Links lead nowhere else.');

CREATE FUNCTION mfiauto._drop_link_host(host text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.link_host h WHERE h.host = lower(_drop_link_host.host);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'links are not allowed to lead to host "%"', coalesce(left(host, 100), 'null') USING ERRCODE = '42704', HINT = 'See SELECT host FROM mfiauto.link_host;';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_link_host(text)', '{admin}',
  'Takes a host off the list of those that links may lead to. Links to it that were sent before answer that they are gone.');

CREATE FUNCTION mfiauto._url_host(url text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT lower(substring(url FROM '^https://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?#]|$)')) $$;

CREATE FUNCTION mfiauto._is_link_host(host text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.link_host h
                  WHERE h.host = $1 OR (h.host LIKE '.%' AND right($1, length(h.host)) = h.host))
$$;

-- ---- Links ----

-- Where a link may lead: https, a host that is written out and allowed, and values in its path, query or fragment alone.
CREATE FUNCTION mfiauto._check_link_url(url text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  host text := mfiauto._url_host(url);
  plain text := regexp_replace(url, '\{\{ *[A-Za-z_][A-Za-z0-9_.]* *\}\}', '', 'g');
BEGIN
  IF url IS NULL OR length(url) > 2000 OR host IS NULL THEN
    RAISE EXCEPTION 'address of a link is not valid' USING ERRCODE = '22023',
      HINT = 'Write https://, a host without variables in it, and a path: https://pay.mfi.example/{{loan.loan_id}}. It has at most 2000 characters.';
  END IF;
  IF plain ~ '[{}]' THEN
    RAISE EXCEPTION 'address of a link holds more than plain variables' USING ERRCODE = '22023',
      HINT = 'Only {{name}} may stand in it, whose values are escaped: no sections, no {{{name}}}, no {{&name}}.';
  END IF;
  IF plain ~ '[^A-Za-z0-9._~:/?#@!$&''()*+,;=%\[\]-]' THEN
    RAISE EXCEPTION 'address of a link holds a character that no address has' USING ERRCODE = '22023', HINT = 'Write it in percent encoding, as %20 for a space.';
  END IF;
  IF NOT mfiauto._is_link_host(host) THEN
    RAISE EXCEPTION 'links are not allowed to lead to host "%"', host USING ERRCODE = '42501',
      HINT = format('An administrator allows it: SELECT mfiauto.allow_link_host(%L);', host);
  END IF;
  PERFORM mfiauto._check_template_names('link', url);
END $$;

CREATE FUNCTION mfiauto._check_link_utm(utm jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  wrong text;
BEGIN
  IF jsonb_typeof(utm) <> 'object' THEN
    RAISE EXCEPTION 'utm must be a JSON object' USING ERRCODE = '22023', HINT = 'For instance {"campaign": "school_fees"}; null leaves one out.';
  END IF;
  SELECT e.key INTO wrong FROM jsonb_each(utm) e
   WHERE e.key NOT IN ('source', 'medium', 'campaign', 'term', 'content') OR jsonb_typeof(e.value) NOT IN ('string', 'null')
      OR length(e.value #>> '{}') NOT BETWEEN 1 AND 200 OR e.value #>> '{}' ~ '[[:cntrl:]]' ORDER BY e.key LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'utm "%" is not valid', left(wrong, 100) USING ERRCODE = '22023',
      HINT = 'Its keys are source, medium, campaign, term and content, its values texts of 1 to 200 characters, or null.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._check_link_expiry(expires interval) RETURNS interval
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF expires < interval '0' OR expires > interval '3660 days' OR (expires > interval '0' AND expires < interval '1 hour') THEN
    RAISE EXCEPTION 'expires must be between one hour and 3660 days' USING ERRCODE = '22023', HINT = 'It counts from the moment the message is made; 0 means never.';
  END IF;
  RETURN nullif(expires, interval '0');
END $$;

CREATE FUNCTION mfiauto._create_link(name text, url text, utm jsonb DEFAULT '{}', expires interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF name IS NULL OR name !~ '^[a-z][a-z0-9_]{0,62}$' OR name = 'unsubscribe' THEN
    RAISE EXCEPTION 'link name "%" is not valid', coalesce(left(name, 100), 'null') USING ERRCODE = '22023',
      HINT = 'Use lower-case letters, digits and "_", a letter first; "unsubscribe" is there already.';
  END IF;
  IF EXISTS (SELECT FROM mfiauto.tracked_link l WHERE l.name = _create_link.name AND l.dropped_at IS NULL) THEN
    RAISE EXCEPTION 'link "%" already exists', name USING ERRCODE = '42710', HINT = 'Change it with mfiauto.alter_link().';
  END IF;
  PERFORM mfiauto._check_link_url(url);
  PERFORM mfiauto._check_link_utm(coalesce(utm, '{}'));
  INSERT INTO mfiauto.tracked_link (name, url, utm, expires_after, created_at, created_by)
  VALUES (name, url, coalesce(utm, '{}'), mfiauto._check_link_expiry(expires), mfiauto.now(), mfiauto._caller());
END $$;
SELECT mfiauto._open_door('mfiauto._create_link(text, text, jsonb, interval)', '{admin,author}',
  'Makes a link that templates name as {{links.NAME}}: short, signed for each message, counted. url: https and an allowed host; its path may name the message''s values, as {{loan.loan_id}}, filled in '
  'when the link is followed. utm: overrides of source, medium, campaign, term, content (null leaves one out). expires: how long after the message was made it works.');

-- The number of a link that is there.
CREATE FUNCTION mfiauto._find_link(name text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  number integer := (SELECT l.link_id FROM mfiauto.tracked_link l WHERE l.name = _find_link.name AND l.dropped_at IS NULL FOR UPDATE);
BEGIN
  IF number IS NULL THEN
    RAISE EXCEPTION 'link "%" does not exist', coalesce(left(name, 100), 'null') USING ERRCODE = '42704', HINT = 'See SELECT name, url FROM mfiauto.link;';
  END IF;
  RETURN number;
END $$;

CREATE FUNCTION mfiauto._alter_link(name text, url text DEFAULT NULL, utm jsonb DEFAULT NULL, expires interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  number integer := mfiauto._find_link(name);
BEGIN
  IF url IS NOT NULL THEN
    PERFORM mfiauto._check_link_url(url);
  END IF;
  IF utm IS NOT NULL THEN
    PERFORM mfiauto._check_link_utm(utm);
  END IF;
  UPDATE mfiauto.tracked_link l
     SET url = coalesce(_alter_link.url, l.url), utm = coalesce(_alter_link.utm, l.utm),
         expires_after = CASE WHEN expires IS NULL THEN l.expires_after ELSE mfiauto._check_link_expiry(expires) END
   WHERE l.link_id = number;
END $$;
SELECT mfiauto._open_door('mfiauto._alter_link(text, text, jsonb, interval)', '{admin,author}',
  'Changes a link, also for messages that were sent: whoever follows it from now on gets where it leads now. What is not given stays; expires 0 means never.');

CREATE FUNCTION mfiauto._drop_link(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  number integer := mfiauto._find_link(name);
  used text := (SELECT string_agg(DISTINCT format('"%s" (%s, %s)', t.name, t.channel, t.locale), ', ')
                  FROM mfiauto.template_version t, unnest(ARRAY[t.subject, t.body, t.html] || mfiauto._option_texts(t.options)) AS x(source)
                 WHERE t.is_live AND 'links.' || _drop_link.name = ANY (mfiauto._template_names(x.source)));
BEGIN
  IF used IS NOT NULL THEN
    RAISE EXCEPTION 'cannot drop link "%" because templates use it', name USING ERRCODE = '2BP01', DETAIL = format('It is used by %s.', used), HINT = 'Change or drop those first.';
  END IF;
  UPDATE mfiauto.tracked_link l SET dropped_at = mfiauto.now() WHERE l.link_id = number;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_link(text)', '{admin,author}',
  'Takes a link away. In messages that were sent it answers that it is gone. Refused while a template uses it.');

-- What {{links.…}} stands for until the message has its number; names as _context takes them.
CREATE FUNCTION mfiauto._links(names text[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN i.public_url IS NULL OR (names IS NOT NULL AND NOT 'links' = ANY (ARRAY(SELECT split_part(n, '.', 1) FROM unnest(names) n))) THEN '{}'
              ELSE coalesce((SELECT jsonb_object_agg(l.name, i.public_url || '/l/' || mfiauto._link_marker(l.link_id)) FROM mfiauto.tracked_link l
                              WHERE l.dropped_at IS NULL AND (names IS NULL OR 'links.' || l.name = ANY (names))), '{}')
                   || jsonb_build_object('unsubscribe', i.public_url || '/u/' || mfiauto._link_marker(0)) END
    FROM mfiauto.institution i
$$;

-- Refuses a link that is not there, or that could not be followed.
CREATE FUNCTION mfiauto._check_link_name(name text, part text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  field text := substr(name, length('links.') + 1);
  known text[] := (SELECT array_agg(l.name ORDER BY l.name) FROM mfiauto.tracked_link l WHERE l.dropped_at IS NULL);
  close_names text[];
BEGIN
  IF part = 'link' OR part LIKE 'task %' THEN
    RAISE EXCEPTION 'template variable "%" does not exist', name USING ERRCODE = '42703',
      HINT = CASE part WHEN 'link' THEN 'A link does not lead to another one.' ELSE 'Links belong to messages; in a task write the address itself.' END;
  END IF;
  IF field <> ALL (coalesce(known, '{}') || 'unsubscribe'::text) THEN
    close_names := mfiauto._close_names(field, known || 'unsubscribe'::text);
    RAISE EXCEPTION 'template variable "%" does not exist', name USING ERRCODE = '42703',
      HINT = CASE WHEN cardinality(close_names) > 0 THEN format('Close names: %s.', (SELECT string_agg('links.' || c, ', ') FROM unnest(close_names) c))
                  ELSE 'Make it with mfiauto.create_link().' END;
  END IF;
  IF (SELECT i.public_url FROM mfiauto.institution i) IS NULL THEN
    RAISE EXCEPTION 'links need the address under which this installation is reached' USING ERRCODE = '55000',
      HINT = 'Give that of contrib/receiver: SELECT mfiauto.set_institution(public_url => ''https://m.mfi.example'');';
  END IF;
END $$;

-- The HTML part of an e-mail as it leaves: signed, and with the pixel that tells of its opening unless the institution does without.
CREATE FUNCTION mfiauto._finish_html(message_id bigint, channel text, html text) RETURNS text
LANGUAGE sql VOLATILE AS $$
  SELECT mfiauto._sign_links(message_id,
           CASE WHEN channel = 'email' AND i.has_open_pixel AND i.public_url IS NOT NULL
                THEN CASE WHEN html ~* '</body>' THEN regexp_replace(html, '(?i)(</body>(?!.*</body>).*)$', replace(p.pixel, '\', '\\') || '\1') ELSE html || p.pixel END
                ELSE html END)
    FROM mfiauto.institution i
    CROSS JOIN LATERAL (SELECT format('<img src="%s/o/%s.gif" width="1" height="1" alt="">', i.public_url, mfiauto._link_marker(1)) AS pixel) p
   WHERE html IS NOT NULL
$$;

-- Where a message's reader unsubscribes, for whoever builds its headers; null where the installation cannot be reached.
CREATE FUNCTION mfiauto._unsubscribe_url(message_id bigint) RETURNS text
LANGUAGE sql VOLATILE AS $$
  SELECT i.public_url || '/u/' || mfiauto._link_token($1, 0) FROM mfiauto.institution i WHERE i.public_url IS NOT NULL
$$;
