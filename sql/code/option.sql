-- Options of templates: what a text says to its channel beside its words. Checked when the template is created; strings are rendered like its texts.

-- What each channel takes: the kind says how a value must look (_check_option).
CREATE FUNCTION mfiauto._option() RETURNS TABLE (channel text, option text, kind text)
LANGUAGE sql IMMUTABLE AS $$
  SELECT c.channel, o.option, o.kind
    FROM (VALUES
      ('sms', '{"sender": "sender", "validity": "duration"}'::jsonb),
      ('email', '{"reply_to": "text", "headers": "headers", "preheader": "text"}'),
      ('voice', '{"audio": "recordings", "say_language": "language", "voice": "text", "digits": "digits", "digits_timeout": "seconds", "max_digits": "count",
                  "retries": "durations", "max_attempts": "count"}'),
      ('push', '{"data": "texts", "collapse_key": "text", "ttl": "duration", "image": "address", "action_url": "address"}'),
      ('whatsapp', '{"template": "text", "language": "text", "parameters": "list", "category": "category", "header_image": "address"}'),
      ('telegram', '{"buttons": "buttons", "parse_mode": "parse_mode"}'),
      ('messenger', '{"buttons": "buttons", "parse_mode": "parse_mode"}'),
      ('inapp', '{"action_url": "address", "action_label": "text", "image": "address", "expires": "duration"}')) AS c(channel, options),
    LATERAL pg_catalog.jsonb_each_text(c.options) AS o(option, kind)
$$;

-- Every string of a document, wherever it stands.
CREATE FUNCTION mfiauto._option_texts(options jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT pg_catalog.array_agg(t.value #>> '{}') FROM pg_catalog.jsonb_path_query(options, 'strict $.** ? (@.type() == "string")') AS t(value)
$$;

CREATE FUNCTION mfiauto._refuse_option(option text, wanted text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE EXCEPTION 'option "%" is not valid', option USING ERRCODE = '22023', HINT = format('Give %s.', wanted);
END $$;

-- An address that a provider or a phone will open: https, and its host not left to a client's data.
CREATE FUNCTION mfiauto._is_https(value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^(https://[A-Za-z0-9.-]+(:[0-9]+)?(/\S*|\?\S*)?|\{\{\{?\s*links\.[a-z0-9_]+\s*\}?\}\})$'
$$;

-- A time that a channel understands: from one second to 30 days, as an interval or in seconds.
CREATE FUNCTION mfiauto._is_duration(value jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE jsonb_typeof(value) WHEN 'string' THEN (value #>> '{}')::interval BETWEEN interval '1 second' AND interval '30 days'
                                  WHEN 'number' THEN (value #>> '{}')::numeric BETWEEN 1 AND 2592000 ELSE false END;
EXCEPTION WHEN data_exception THEN
  RETURN false;
END $$;

CREATE FUNCTION mfiauto._check_option(option text, kind text, value jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  type text := jsonb_typeof(value);
  bare text := value #>> '{}';
  bad boolean;
BEGIN
  CASE kind
    WHEN 'text' THEN
      IF type <> 'string' OR btrim(bare) = '' OR length(bare) > 1000 OR bare ~ '[[:cntrl:]]' THEN
        PERFORM mfiauto._refuse_option(option, 'one line of text');
      END IF;
    WHEN 'sender' THEN
      -- What a variable in it makes is the author's care.
      IF type <> 'string' OR (bare !~ '\{\{' AND bare !~ '^\+?[0-9]{3,15}$' AND bare !~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 ._&-]{0,10}$') THEN
        PERFORM mfiauto._refuse_option(option, 'a number or short code of 3 to 15 digits, or a name of at most 11 letters and digits (blank . _ & - may stand in it), as it is registered with the operator');
      END IF;
    WHEN 'address' THEN
      IF NOT mfiauto._is_https(value) THEN
        PERFORM mfiauto._refuse_option(option, 'an address that begins with https:// and names its host');
      END IF;
    WHEN 'duration' THEN
      IF NOT mfiauto._is_duration(value) THEN
        PERFORM mfiauto._refuse_option(option, 'a time from one second to 30 days, as "2 hours"');
      END IF;
    WHEN 'durations' THEN
      IF type <> 'array' OR jsonb_array_length(value) NOT BETWEEN 1 AND 10 OR EXISTS (SELECT FROM jsonb_array_elements(value) e WHERE NOT mfiauto._is_duration(e)) THEN
        PERFORM mfiauto._refuse_option(option, 'a list of one to ten times, as ["10 minutes", "2 hours"]');
      END IF;
    WHEN 'seconds' THEN
      IF type <> 'number' OR (bare)::numeric NOT BETWEEN 1 AND 60 OR (bare)::numeric % 1 <> 0 THEN
        PERFORM mfiauto._refuse_option(option, 'whole seconds from 1 to 60');
      END IF;
    WHEN 'count' THEN
      IF type <> 'number' OR (bare)::numeric NOT BETWEEN 1 AND 10 OR (bare)::numeric % 1 <> 0 THEN
        PERFORM mfiauto._refuse_option(option, 'a whole number from 1 to 10');
      END IF;
    WHEN 'language' THEN
      IF type <> 'string' OR mfiauto._normalize_locale(bare) IS NULL THEN
        PERFORM mfiauto._refuse_option(option, 'a language as the provider''s voice speaks it, as "fr-FR"');
      END IF;
    WHEN 'recordings' THEN
      IF type = 'object' THEN
        bad := value = '{}' OR EXISTS (SELECT FROM jsonb_each(value) r
                                        WHERE NOT mfiauto._is_https(r.value) OR (r.key <> '*' AND mfiauto._normalize_locale(r.key) IS NULL));
      ELSE
        bad := NOT mfiauto._is_https(value);
      END IF;
      IF bad THEN
        PERFORM mfiauto._refuse_option(option, 'the https address of a recording, or one a locale: {"fr": "https://…", "wo": "https://…"}');
      END IF;
    WHEN 'digits' THEN
      IF type <> 'object' OR value = '{}' OR EXISTS (SELECT FROM jsonb_each(value) d
           WHERE d.key !~ '^[0-9*#]{1,4}$' OR jsonb_typeof(d.value) <> 'string' OR d.value #>> '{}' !~ '^[^[:cntrl:]{}]{1,100}$') THEN
        PERFORM mfiauto._refuse_option(option, 'the name of an event for each answer: {"1": "Promised To Pay", "2": "Asked For Call"}');
      END IF;
      IF (SELECT count(DISTINCT length(d)) FROM jsonb_object_keys(value) d) > 1 THEN
        PERFORM mfiauto._refuse_option(option, 'answers of the same number of digits: a call waits for that many');
      END IF;
    WHEN 'texts' THEN
      IF type <> 'object' OR EXISTS (SELECT FROM jsonb_each(value) d WHERE jsonb_typeof(d.value) <> 'string') THEN
        PERFORM mfiauto._refuse_option(option, 'an object of texts');
      END IF;
    WHEN 'headers' THEN
      IF type <> 'object' OR EXISTS (SELECT FROM jsonb_each(value) h
           WHERE jsonb_typeof(h.value) <> 'string' OR h.value #>> '{}' ~ '[[:cntrl:]]'
              OR h.key !~* '^(list-[a-z0-9-]+|x-[a-z0-9-]+|reply-to|precedence)$') THEN
        PERFORM mfiauto._refuse_option(option, 'an object of one-line texts; headers may be List-…, X-…, Reply-To and Precedence');
      END IF;
    WHEN 'list' THEN
      IF type <> 'array' OR jsonb_array_length(value) > 20 OR EXISTS (SELECT FROM jsonb_array_elements(value) e WHERE jsonb_typeof(e) <> 'string') THEN
        PERFORM mfiauto._refuse_option(option, 'a list of at most 20 texts, in the order of the template''s parameters');
      END IF;
    WHEN 'category' THEN
      IF type <> 'string' OR bare NOT IN ('utility', 'marketing', 'authentication') THEN
        PERFORM mfiauto._refuse_option(option, 'utility, marketing or authentication');
      END IF;
    WHEN 'parse_mode' THEN
      IF type <> 'string' OR bare NOT IN ('HTML', 'MarkdownV2') THEN
        PERFORM mfiauto._refuse_option(option, 'HTML or MarkdownV2');
      END IF;
    WHEN 'buttons' THEN
      IF type <> 'array' OR jsonb_array_length(value) NOT BETWEEN 1 AND 10 OR EXISTS (SELECT FROM jsonb_array_elements(value) b
           WHERE jsonb_typeof(b) <> 'object' OR jsonb_typeof(b -> 'label') IS DISTINCT FROM 'string' OR b - '{label,value,url}'::text[] <> '{}'
              OR (b ? 'value') = (b ? 'url') OR (b ? 'value' AND (jsonb_typeof(b -> 'value') <> 'string' OR octet_length(b ->> 'value') > 64))
              OR (b ? 'url' AND NOT mfiauto._is_https(b -> 'url'))) THEN
        PERFORM mfiauto._refuse_option(option, 'a list of {"label": …, "value": …} or {"label": …, "url": "https://…"}; a value has at most 64 bytes');
      END IF;
  END CASE;
END $$;

-- Languages that no provider's voice reads: what is said in them is a recording. Others may be read or not; the provider knows.
CREATE FUNCTION mfiauto._speaks(locale text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT split_part(locale, '-', 1) IN ('fr', 'en', 'pt', 'es', 'ar', 'sw', 'de', 'it', 'nl', 'tr', 'hi', 'id', 'zu', 'af', 'am', 'so')
$$;

-- The voice that reads a language, where a template does not say: the one that providers have for its country, else the usual one.
CREATE FUNCTION mfiauto._say_language(locale text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN locale IN ('fr-CA', 'en-GB', 'en-US', 'en-AU', 'en-IN', 'pt-BR', 'es-MX', 'es-US') THEN locale
              ELSE CASE split_part(locale, '-', 1) WHEN 'fr' THEN 'fr-FR' WHEN 'en' THEN 'en-GB' WHEN 'pt' THEN 'pt-PT' WHEN 'es' THEN 'es-ES' WHEN 'ar' THEN 'ar-XA'
                        WHEN 'sw' THEN 'sw-KE' ELSE locale END END
$$;

-- The options of a text as they are kept: checked, and for a voice with the language that it reads; null if there are none.
CREATE FUNCTION mfiauto._checked_options(channel text, locale text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
  given record;
  one text;
  known text[];
  spoken text := CASE locale WHEN '*' THEN (SELECT i.locale FROM mfiauto.institution i) ELSE locale END;
  audio jsonb;
  kept jsonb := nullif(options, 'null');
BEGIN
  IF jsonb_typeof(kept) <> 'object' THEN
    RAISE EXCEPTION 'template options must be an object' USING ERRCODE = '22023', HINT = 'For instance: options => ''{"sender": "MFI"}''.';
  END IF;
  IF octet_length(kept::text) > 16384 THEN
    RAISE EXCEPTION 'template options are longer than 16384 bytes' USING ERRCODE = '54000';
  END IF;
  known := (SELECT array_agg(o.option ORDER BY o.option) FROM mfiauto._option() o WHERE o.channel = channel);
  FOR given IN SELECT e.key, e.value, o.kind FROM jsonb_each(kept) e LEFT JOIN mfiauto._option() o ON o.channel = channel AND o.option = e.key LOOP
    IF channel = 'webhook' THEN
      CONTINUE;
    ELSIF given.kind IS NULL THEN
      RAISE EXCEPTION 'messages by % have no option "%"', channel, given.key USING ERRCODE = '22023',
        HINT = coalesce('Did you mean "' || (mfiauto._close_names(given.key, known))[1] || '"? ', '') || format('Known: %s.', array_to_string(known, ', '));
    END IF;
    PERFORM mfiauto._check_option(given.key, given.kind, given.value);
    IF given.kind = 'duration' AND jsonb_typeof(given.value) = 'string' THEN
      -- Providers count in seconds.
      kept := kept || jsonb_build_object(given.key, extract(epoch FROM (given.value #>> '{}')::interval)::bigint);
    END IF;
  END LOOP;
  FOREACH one IN ARRAY coalesce(mfiauto._option_texts(kept), '{}') LOOP
    IF cardinality(mfiauto._template_partials(one)) > 0 THEN
      RAISE EXCEPTION 'options cannot include other templates' USING ERRCODE = '22023', HINT = 'Write the text itself.';
    END IF;
    PERFORM mfiauto._check_template_names('options', one);
  END LOOP;
  IF channel = 'voice' THEN
    audio := kept -> 'audio';
    -- Of the default text it is not known in whose language it will be said.
    IF locale <> '*' AND NOT mfiauto._speaks(coalesce(kept ->> 'say_language', spoken))
       AND (audio IS NULL OR (jsonb_typeof(audio) = 'object' AND NOT audio ?| ARRAY[spoken, split_part(spoken, '-', 1), '*'])) THEN
      RAISE EXCEPTION 'no voice reads the language "%"', coalesce(kept ->> 'say_language', spoken) USING ERRCODE = '22023',
        HINT = 'Give a recording: options => ''{"audio": "https://…"}''; or the language of a voice that can read it: ''{"say_language": "fr-FR"}''.';
    END IF;
    kept := coalesce(kept, '{}');
    IF kept ? 'digits' THEN
      kept := kept || jsonb_build_object('max_digits', (SELECT length(d) FROM jsonb_object_keys(kept -> 'digits') d LIMIT 1));
    END IF;
    IF NOT kept ? 'say_language' AND mfiauto._speaks(spoken) THEN
      kept := kept || jsonb_build_object('say_language', mfiauto._say_language(spoken));
    END IF;
  END IF;
  RETURN nullif(kept, '{}');
END $$;
