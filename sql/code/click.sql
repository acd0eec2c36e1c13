-- What the web asks of messages: following a link, loading a pixel. contrib/receiver answers with what these say.

-- A header's value by its name, whatever the case.
CREATE FUNCTION mfiauto._header(headers jsonb, name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE jsonb_typeof(h.value) WHEN 'array' THEN h.value ->> 0 ELSE h.value #>> '{}' END
    FROM jsonb_each(CASE WHEN jsonb_typeof(headers) = 'object' THEN headers END) h WHERE lower(h.key) = lower(name) LIMIT 1
$$;

-- What tells that a machine asks; null: nothing does. A link that is followed as soon as its message left was followed by whoever filters mail.
CREATE FUNCTION mfiauto._bot_sign(method text, headers jsonb, remote inet, sent_at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN method = 'HEAD' THEN 'HEAD request'
              WHEN coalesce(mfiauto._header(headers, 'sec-purpose'), mfiauto._header(headers, 'purpose'), mfiauto._header(headers, 'x-purpose'),
                            mfiauto._header(headers, 'x-moz')) ~* 'prefetch|prerender|preview' THEN 'prefetch'
              WHEN btrim(coalesce(u.agent, '')) = '' THEN 'no user agent'
              WHEN s.meaning IS NOT NULL THEN s.meaning
              WHEN sent_at + interval '2 seconds' > mfiauto.now() THEN 'too soon after sending' END
    FROM (SELECT left(mfiauto._header(headers, 'user-agent'), 1000) AS agent) u
    LEFT JOIN LATERAL (
      SELECT b.meaning FROM mfiauto.bot_sign b
       WHERE CASE b.kind WHEN 'agent' THEN strpos(lower(u.agent), lower(b.sign)) > 0 WHEN 'exact_agent' THEN u.agent = b.sign ELSE remote <<= b.sign::inet END
       ORDER BY b.kind = 'network', length(b.sign) DESC, b.sign LIMIT 1) s ON true
$$;

CREATE FUNCTION mfiauto._add_bot_sign(kind text, sign text, meaning text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF kind IS NULL OR kind NOT IN ('agent', 'exact_agent', 'network') THEN
    RAISE EXCEPTION 'kind of sign "%" does not exist', coalesce(left(kind, 100), 'null') USING ERRCODE = '22023', HINT = 'Use one of agent, exact_agent, network.';
  END IF;
  IF length(btrim(sign)) NOT BETWEEN 3 AND 200 OR length(btrim(meaning)) NOT BETWEEN 1 AND 200 OR num_nulls(sign, meaning) > 0 THEN
    RAISE EXCEPTION 'sign of a machine is not valid' USING ERRCODE = '22023', HINT = 'Give a sign of 3 to 200 characters and what it means.';
  END IF;
  IF kind = 'network' THEN
    PERFORM sign::cidr;
  END IF;
  INSERT INTO mfiauto.bot_sign (kind, sign, meaning) VALUES (kind, sign, meaning) ON CONFLICT ON CONSTRAINT bot_sign_pkey DO UPDATE SET meaning = excluded.meaning;
END $$;
SELECT mfiauto._open_door('mfiauto._add_bot_sign(text, text, text)', '{admin}',
  'Takes clicks and openings for a machine''s: by a part of the User-Agent (agent), all of it (exact_agent), or a network in CIDR notation, as a data center''s (network).');

CREATE FUNCTION mfiauto._drop_bot_sign(kind text, sign text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.bot_sign b WHERE b.kind = _drop_bot_sign.kind AND b.sign = _drop_bot_sign.sign;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no such sign of a machine' USING ERRCODE = '42704', HINT = 'See SELECT kind, sign FROM mfiauto.bot_sign;';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_bot_sign(text, text)', '{admin}', 'Takes a sign of machines away.');

-- ---- Pages ----

-- The languages that pages speak; what they say stands in unsubscribe.sql.
CREATE FUNCTION mfiauto._page_language(locale text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT l.language
    FROM mfiauto.institution i,
         unnest(ARRAY[split_part($1, '-', 1), split_part(i.locale, '-', 1), 'en']) WITH ORDINALITY AS l(language, ord)
   WHERE mfiauto._page_text(l.language) IS NOT NULL
   ORDER BY l.ord LIMIT 1
$$;

-- A whole page around a body that is safe already. Nothing is loaded from anywhere, nothing runs, nobody may frame it.
CREATE FUNCTION mfiauto._page(status integer, language text, title text, body text) RETURNS mfiauto._response
LANGUAGE sql STABLE AS $$
  SELECT ROW(status,
             jsonb_build_object('content-type', 'text/html; charset=utf-8', 'cache-control', 'no-store', 'referrer-policy', 'no-referrer', 'x-robots-tag', 'noindex',
               'x-content-type-options', 'nosniff', 'x-frame-options', 'DENY',
               'content-security-policy', format('default-src ''none''; style-src ''sha256-%s''; form-action ''self''; base-uri ''none''; frame-ancestors ''none''',
                                                 encode(sha256(convert_to(s.style, 'UTF8')), 'base64'))),
             convert_to(mfiauto.render('<!doctype html><html lang="{{language}}" dir="{{dir}}"><head><meta charset="utf-8">'
               '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex"><meta name="referrer" content="no-referrer"><title>{{title}}</title><style>{{{style}}}</style></head>'
               '<body><h1>{{title}}</h1>{{{body}}}<p class="who">{{institution}}</p></body></html>',
               jsonb_build_object('language', language, 'dir', CASE language WHEN 'ar' THEN 'rtl' ELSE 'ltr' END, 'title', title, 'style', s.style, 'body', body,
                                  'institution', i.name)), 'UTF8'))::mfiauto._response
    FROM mfiauto.institution i,
         (SELECT 'body{font:1.1rem/1.5 sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}button{font:inherit;display:block;width:100%;padding:.8rem;margin:.8rem 0}.who{color:#555}'::text AS style) s
$$;

-- What whoever holds no token of ours is told: nothing.
CREATE FUNCTION mfiauto._not_found() RETURNS mfiauto._response
LANGUAGE sql STABLE AS $$
  SELECT ROW(404, '{"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", "x-robots-tag": "noindex"}'::jsonb, convert_to(E'Not found\n', 'UTF8'))::mfiauto._response
$$;

CREATE FUNCTION mfiauto._wrong_method(allowed text) RETURNS mfiauto._response
LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(405, jsonb_build_object('allow', allowed, 'content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'), convert_to(E'Method not allowed\n', 'UTF8'))::mfiauto._response
$$;

-- ---- Following a link ----

-- What stands behind a token of ours: the message and what is known of it; no row for any other.
CREATE FUNCTION mfiauto._token_message(token text)
RETURNS TABLE (client_id bigint, message_id bigint, target integer, created_at timestamptz, sent_at timestamptz, channel text, class text, subject text, subject_id bigint,
               workflow text, step text, event jsonb)
LANGUAGE sql STABLE ROWS 1 AS $$
  -- While it is being handed over nothing is recorded yet, and whoever follows it so soon is no reader.
  SELECT m.client_id, m.message_id, t.target, m.created_at,
         coalesce(m.sent_at, (SELECT mfiauto.now() FROM mfiauto.outbox o WHERE o.client_id = m.client_id AND o.message_id = m.message_id AND o.lease_until IS NOT NULL)), m.channel, m.class, coalesce(m.subject, 'client'), coalesce(m.subject_id, m.client_id), h.name, s.path,
         e.context -> 'event'
    FROM mfiauto._read_link_token(left(coalesce(token, ''), 100)) t
    JOIN mfiauto.message_ledger m ON m.message_id = t.message_id
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
    LEFT JOIN mfiauto.enrollment_state e ON e.client_id = m.client_id AND e.enrollment_id = m.enrollment_id
$$;

-- The language in which a client's books say that he reads.
CREATE FUNCTION mfiauto._client_language(client_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._page_language(c.locale) FROM mfiauto._context(ARRAY[$1], 'client', ARRAY[$1], NULL, '{}') c
$$;

-- An address with UTM parameters that it does not have yet, before its fragment.
CREATE FUNCTION mfiauto._with_utm(url text, utm jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p.list IS NULL THEN url
              ELSE a.base || CASE WHEN strpos(a.base, '?') = 0 THEN '?' WHEN a.base ~ '[?&]$' THEN '' ELSE '&' END || p.list || a.fragment END
    FROM (SELECT split_part(url, '#', 1) AS base, coalesce(substring(url FROM '#.*$'), '') AS fragment) a
    CROSS JOIN LATERAL (
      SELECT string_agg('utm_' || u.key || '=' || mfiauto.render('{{v}}', jsonb_build_object('v', u.value), NULL, 'url'), '&'
                        ORDER BY array_position('{source,medium,campaign,term,content}', u.key)) AS list
        FROM jsonb_each_text(utm) u
       WHERE u.value IS NOT NULL AND a.base !~ ('[?&]utm_' || u.key || '=')) p
$$;

-- Where a link leads for a message, from the books as they are now; null: nowhere any more.
CREATE FUNCTION mfiauto._link_target(url text, utm jsonb, client_id bigint, channel text, workflow text, step text, subject text, subject_id bigint, event jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  names text[] := mfiauto._template_names(url);
  person record;
  filled record;
BEGIN
  IF NOT mfiauto._is_link_host(mfiauto._url_host(url)) THEN
    RETURN NULL;
  END IF;
  IF cardinality(names) > 0 THEN
    SELECT c.* INTO person FROM mfiauto._context(ARRAY[client_id], subject, ARRAY[subject_id], workflow,
                                                 ARRAY(SELECT split_part(n, '.', 1) || '.' || split_part(n, '.', 2) FROM unnest(names) n)) c;
    SELECT r.* INTO filled FROM mfiauto._render_strict(url, person.context || CASE WHEN event IS NULL THEN '{}' ELSE jsonb_build_object('event', event) END, 'url') r;
    IF NOT person.found OR cardinality(filled.missing) > 0 OR mfiauto._url_host(filled.body) IS DISTINCT FROM mfiauto._url_host(url) THEN
      RETURN NULL;
    END IF;
    url := filled.body;
  END IF;
  RETURN mfiauto._with_utm(url, jsonb_build_object('source', 'mfiauto', 'medium', channel, 'campaign', workflow, 'content', step) || utm);
END $$;

-- Notes an interaction that a browser may repeat: once a minute for a message, a kind and a link, by a person and by a machine.
CREATE FUNCTION mfiauto._note_web(client_id bigint, message_id bigint, kind text, detail jsonb, sign text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto web ' || _note_web.message_id, 0));
  IF EXISTS (SELECT FROM mfiauto.interaction_log i
              WHERE i.message_id = _note_web.message_id AND i.client_id = _note_web.client_id AND i.kind = _note_web.kind AND i.is_bot = (sign IS NOT NULL)
                AND i.detail ->> 'link' IS NOT DISTINCT FROM _note_web.detail ->> 'link' AND i.received_at > mfiauto.now() - interval '1 minute') THEN
    RETURN;
  END IF;
  PERFORM mfiauto._note_interaction(_note_web.client_id, _note_web.message_id, _note_web.kind,
                                    nullif(jsonb_strip_nulls(coalesce(_note_web.detail, '{}') || jsonb_build_object('sign', sign)), '{}'), sign IS NOT NULL);
END $$;

CREATE FUNCTION mfiauto._serve_link(token text, headers jsonb, query text DEFAULT NULL, remote inet DEFAULT NULL, method text DEFAULT 'GET') RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  message record;
  link record;
  target text;
  language text;
BEGIN
  IF method NOT IN ('GET', 'HEAD') THEN
    RETURN mfiauto._wrong_method('GET, HEAD');
  END IF;
  SELECT t.* INTO message FROM mfiauto._token_message(token) t;
  SELECT l.* INTO link FROM mfiauto.tracked_link l WHERE l.link_id = message.target;
  IF link.link_id IS NULL THEN
    RETURN mfiauto._not_found();
  END IF;
  IF link.dropped_at IS NULL AND coalesce(message.created_at + link.expires_after > mfiauto.now(), true) THEN
    target := mfiauto._link_target(link.url, link.utm, message.client_id, message.channel, message.workflow, message.step, message.subject, message.subject_id, message.event);
  END IF;
  IF target IS NULL THEN
    language := mfiauto._client_language(message.client_id);
    RETURN mfiauto._page(410, language, mfiauto._page_text(language) ->> 'gone_title',
                         mfiauto.render('<p>{{text}}</p>', jsonb_build_object('text', mfiauto._page_text(language) ->> 'gone')));
  END IF;
  PERFORM mfiauto._note_web(message.client_id, message.message_id, 'clicked', jsonb_build_object('link', link.name, 'url', link.url),
                            mfiauto._bot_sign(method, headers, remote, message.sent_at));
  RETURN ROW(302, jsonb_build_object('location', target, 'cache-control', 'no-store', 'referrer-policy', 'no-referrer', 'x-robots-tag', 'noindex'), ''::bytea)::mfiauto._response;
END $$;

-- ---- The pixel ----

CREATE FUNCTION mfiauto._serve_pixel(token text, headers jsonb, remote inet DEFAULT NULL, method text DEFAULT 'GET') RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  message record;
BEGIN
  IF method NOT IN ('GET', 'HEAD') THEN
    RETURN mfiauto._wrong_method('GET, HEAD');
  END IF;
  SELECT t.* INTO message FROM mfiauto._token_message(regexp_replace(token, '\.gif$', '')) t;
  IF message.target IS DISTINCT FROM 1 THEN
    RETURN mfiauto._not_found();
  END IF;
  PERFORM mfiauto._note_web(message.client_id, message.message_id, 'opened', NULL, mfiauto._bot_sign(method, headers, remote, message.sent_at));
  RETURN ROW(200, '{"content-type": "image/gif", "cache-control": "no-store, private", "x-content-type-options": "nosniff"}'::jsonb,
             decode('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'))::mfiauto._response;
END $$;
