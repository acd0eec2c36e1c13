-- Templates: texts per channel and locale, checked when they are created, live at once.

-- Refuses a name that no client's books can answer: better the author reads it now than a held message tells it later.
-- Inside sections a name may belong to the section's value, so that unknown objects are let through there.
CREATE FUNCTION mfiauto._check_template_names(part text, source text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  name text;
  object text;
  field text;
  fields text[];
  known text[];
  close_names text[];
  before text;
  has_sections boolean := source ~ '\{\{\s*[#=]';
BEGIN
  SELECT array_agg(f.object || '.' || f.field ORDER BY f.object, f.field)
         || array_agg(f.object || '.' || f.field || '_text' ORDER BY f.object, f.field) FILTER (WHERE f.kind IN ('money', 'date', 'time'))
         || array_agg(f.object || '.' || f.field || '_plural' ORDER BY f.object, f.field) FILTER (WHERE f.kind = 'number')
    INTO known FROM mfiauto._context_field() f;
  FOREACH name IN ARRAY mfiauto._template_names(source) LOOP
    object := split_part(name, '.', 1);
    field := split_part(name, '.', 2);
    fields := (SELECT array_agg(split_part(k, '.', 2)) FROM unnest(known) k WHERE split_part(k, '.', 1) = object);
    CONTINUE WHEN object = 'event' OR name = '.';
    CONTINUE WHEN object = 'client' AND field = 'traits';
    IF object = 'links' THEN
      PERFORM mfiauto._check_link_name(name, part);
      CONTINUE;
    END IF;
    -- A whole object may open a section; the rest must be one of its fields, and no more.
    CONTINUE WHEN fields IS NULL AND has_sections;
    CONTINUE WHEN name = object AND fields IS NOT NULL AND has_sections;
    CONTINUE WHEN name = ANY (known);
    IF name = object AND fields IS NOT NULL THEN
      RAISE EXCEPTION 'template variable "%" is an object, not a value', name USING ERRCODE = '42703',
        HINT = format('Name a field of it: %s.', array_to_string(fields, ', '));
    END IF;
    close_names := CASE WHEN fields IS NULL THEN mfiauto._close_names(name, known)
                        ELSE (SELECT array_agg(object || '.' || c) FROM unnest(mfiauto._close_names(field, fields)) c) END;
    before := left(source, strpos(source, name) - 1);
    RAISE EXCEPTION 'template variable "%" does not exist', name USING ERRCODE = '42703',
      DETAIL = format('It stands at line %s, column %s of the %s.', 1 + length(before) - length(replace(before, E'\n', '')),
                      1 + length(regexp_replace(before, '^.*\n', '')), part),
      HINT = CASE WHEN cardinality(close_names) > 0 THEN format('Close names: %s.', array_to_string(close_names, ', '))
                  WHEN fields IS NOT NULL THEN format('Known under %s: %s.', object, array_to_string(fields, ', '))
                  ELSE 'Names begin with client, loan, installment, application, payment, holding, event, workflow or institution.' END;
  END LOOP;
END $$;

-- One text of a template: its characters, its length, its Mustache syntax, its names.
CREATE FUNCTION mfiauto._check_template_text(part text, source text, characters_max integer, may_break boolean) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF source IS NULL THEN
    RETURN;
  END IF;
  IF length(source) > characters_max THEN
    RAISE EXCEPTION 'template % is too long', part USING ERRCODE = '54000',
      DETAIL = format('It has %s characters; the channel takes a template of %s.', length(source), characters_max);
  END IF;
  IF btrim(source, E' \t\r\n') = '' THEN
    RAISE EXCEPTION 'template % is empty', part USING ERRCODE = '22023';
  END IF;
  IF source ~ (CASE WHEN may_break THEN '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]' ELSE '[\x01-\x1f\x7f]' END) THEN
    RAISE EXCEPTION 'template % holds a control character', part USING ERRCODE = '22023',
      HINT = CASE WHEN may_break THEN 'Only tabs and line ends may stand in it.' ELSE 'It is one line: no tabs, no line ends.' END;
  END IF;
  PERFORM mfiauto._check_template_names(part, source);
END $$;

-- What a text includes must be there, and must not lead back to it, by whatever locale.
CREATE FUNCTION mfiauto._check_template_parts(name text, channel text, locale text, sources text[], is_html boolean) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  gone text := (mfiauto._template_parts(sources, channel, locale, is_html)).missing;
BEGIN
  IF EXISTS (
    WITH RECURSIVE inside(name) AS (
      SELECT p FROM unnest(sources) s, unnest(mfiauto._template_partials(s)) p
      UNION
      SELECT p FROM inside i
        JOIN mfiauto.template_version t ON t.name = i.name AND t.channel = _check_template_parts.channel AND t.is_live,
             unnest(ARRAY[t.body, t.html]) s, unnest(mfiauto._template_partials(s)) p)
    SELECT FROM inside i WHERE i.name = _check_template_parts.name) THEN
    RAISE EXCEPTION 'template "%" includes itself', name USING ERRCODE = '22023',
      HINT = 'What it includes by {{> …}} must not include it in turn.';
  END IF;
  IF gone IS NOT NULL THEN
    RAISE EXCEPTION 'template "%" includes what does not exist: %', name, gone USING ERRCODE = '42704',
      HINT = format('Create it as a template of its own on channel %s, for the locale %s.', channel,
                    CASE locale WHEN '*' THEN '*' ELSE locale || ' or *' END);
  END IF;
END $$;

CREATE FUNCTION mfiauto._check_class(class text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF class IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.message_class c WHERE c.class = _check_class.class) THEN
    RAISE EXCEPTION 'message class "%" does not exist', class USING ERRCODE = '22023',
      HINT = format('Use one of %s.', (SELECT string_agg(c.class, ', ' ORDER BY c.priority) FROM mfiauto.message_class c));
  END IF;
END $$;

CREATE FUNCTION mfiauto._check_channel(channel text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF channel IS NULL OR NOT EXISTS (SELECT FROM mfiauto._channel() c WHERE c.channel = _check_channel.channel) THEN
    RAISE EXCEPTION 'channel "%" does not exist', coalesce(channel, 'null') USING ERRCODE = '22023',
      HINT = format('Use one of %s.', (SELECT string_agg(c.channel, ', ') FROM mfiauto._channel() c));
  END IF;
END $$;

-- A locale as it is stored: '*' or a language tag.
CREATE FUNCTION mfiauto._checked_locale(locale text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  tag text := CASE WHEN locale = '*' THEN locale ELSE mfiauto._normalize_locale(locale) END;
BEGIN
  IF tag IS NULL THEN
    RAISE EXCEPTION 'locale "%" is not valid', coalesce(locale, 'null') USING ERRCODE = '22023',
      HINT = 'Write a language, as fr, or a language and a country, as fr-SN; * is the default for all others.';
  END IF;
  RETURN tag;
END $$;

CREATE FUNCTION mfiauto._create_template(name text, body text, channel text DEFAULT 'sms', locale text DEFAULT '*',
  class text DEFAULT NULL, subject text DEFAULT NULL, html text DEFAULT NULL, alphabet text DEFAULT 'gsm7-transliterate',
  options jsonb DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  tag text := mfiauto._checked_locale(_create_template.locale);
  rules record;
  outside text;
  kept jsonb;
  next_version integer;
BEGIN
  PERFORM mfiauto._check_channel(_create_template.channel);
  PERFORM mfiauto._check_class(_create_template.class);
  SELECT * INTO STRICT rules FROM mfiauto._channel() c WHERE c.channel = _create_template.channel;
  IF _create_template.name IS NULL OR octet_length(_create_template.name) NOT BETWEEN 1 AND 63
     OR _create_template.name ~ '[[:cntrl:]]|^\s|\s$' THEN
    RAISE EXCEPTION 'template name is not valid' USING ERRCODE = '22023',
      HINT = 'Give a name of 1 to 63 bytes without control characters and without space at its ends.';
  END IF;
  IF _create_template.body IS NULL THEN
    RAISE EXCEPTION 'template has no body' USING ERRCODE = '22023', HINT = 'Give its text as body => ''…''.';
  END IF;
  IF _create_template.subject IS NOT NULL AND NOT rules.has_title THEN
    RAISE EXCEPTION 'messages by % have no subject line', _create_template.channel USING ERRCODE = '22023',
      HINT = 'Give a subject to e-mail, push, inapp and webhook only.';
  END IF;
  IF _create_template.html IS NOT NULL AND NOT rules.has_html THEN
    RAISE EXCEPTION 'messages by % have no HTML part', _create_template.channel USING ERRCODE = '22023',
      HINT = 'Give html to e-mail only.';
  END IF;
  IF _create_template.channel = 'email' AND _create_template.subject IS NULL THEN
    RAISE EXCEPTION 'e-mail template has no subject' USING ERRCODE = '22023', HINT = 'Give the subject line as subject => ''…''.';
  END IF;
  IF coalesce(_create_template.alphabet, '') NOT IN ('gsm7-transliterate', 'ucs2', 'refuse') THEN
    RAISE EXCEPTION 'alphabet "%" does not exist', coalesce(_create_template.alphabet, 'null') USING ERRCODE = '22023',
      HINT = 'Use one of gsm7-transliterate, ucs2, refuse.';
  END IF;
  -- Sections may make a template longer than any message made from it.
  PERFORM mfiauto._check_template_text('body', _create_template.body, 4 * rules.characters_max, true);
  PERFORM mfiauto._check_template_text('subject', _create_template.subject, 1000, false);
  PERFORM mfiauto._check_template_text('html', _create_template.html, 4 * rules.characters_max, true);
  PERFORM mfiauto._check_template_parts(_create_template.name, _create_template.channel, tag,
                                        ARRAY[_create_template.subject, _create_template.body], false);
  PERFORM mfiauto._check_template_parts(_create_template.name, _create_template.channel, tag, ARRAY[_create_template.html], true);
  kept := mfiauto._checked_options(_create_template.channel, tag, _create_template.options);
  IF _create_template.channel = 'sms' AND _create_template.alphabet = 'refuse' THEN
    outside := (mfiauto.sms_parts(regexp_replace(_create_template.body, '\{\{.*?\}\}', '', 'g'))).outside;
    IF outside <> '' THEN
      RAISE EXCEPTION 'template body holds characters outside the SMS alphabet' USING ERRCODE = '22023',
        DETAIL = format('They are: %s', outside), HINT = 'Replace them, or choose the alphabet gsm7-transliterate or ucs2.';
    END IF;
  END IF;

  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto template ' || _create_template.name, 0));
  SELECT coalesce(max(t.version), 0) + 1 INTO next_version FROM mfiauto.template_version t
   WHERE t.name = _create_template.name AND t.channel = _create_template.channel AND t.locale = tag;
  UPDATE mfiauto.template_version t SET is_live = false
   WHERE t.name = _create_template.name AND t.channel = _create_template.channel AND t.locale = tag AND t.is_live;
  INSERT INTO mfiauto.template_version (name, channel, locale, version, class, subject, body, html, alphabet, options, created_at, created_by)
  VALUES (_create_template.name, _create_template.channel, tag, next_version, _create_template.class, _create_template.subject,
          _create_template.body, _create_template.html, _create_template.alphabet, kept,
          mfiauto.now(), mfiauto._caller());
  PERFORM mfiauto._check_live_lint(_create_template.name);
  RETURN next_version;
END $$;
SELECT mfiauto._open_door('mfiauto._create_template(text, text, text, text, text, text, text, text, jsonb)', '{admin,author}',
  'Makes a text of a template for a channel and a locale (* is the default), or its next version, live at once; returns the version. '
  'Mustache syntax; client, the subject (installment, loan, …), event, workflow and institution are known, money and dates also as <field>_text; '
  '{{> name}} includes another template of the same channel. subject is for e-mail, push, inapp and webhook, html for e-mail. '
  'alphabet, for SMS: gsm7-transliterate, ucs2 or refuse. class: the message class, else the workflow''s. options: what the channel takes beside the text '
  '(a sender, a recording, buttons, …), its strings Mustache too.');

CREATE TYPE mfiauto._template_key AS (template_id bigint, channel text, locale text);

-- The one live variant that is meant; channel and locale may be left out where only one fits.
CREATE FUNCTION mfiauto._find_template(name text, channel text, locale text) RETURNS mfiauto._template_key
LANGUAGE plpgsql STABLE AS $$
DECLARE
  fits mfiauto._template_key[];
BEGIN
  SELECT array_agg((t.template_id, t.channel, t.locale)::mfiauto._template_key ORDER BY t.channel, t.locale) INTO fits
    FROM mfiauto.template_version t
   WHERE t.is_live AND t.name = _find_template.name
     AND (_find_template.channel IS NULL OR t.channel = _find_template.channel)
     AND (_find_template.locale IS NULL OR t.locale = mfiauto._checked_locale(_find_template.locale));
  IF fits IS NULL THEN
    RAISE EXCEPTION 'template "%" does not exist', _find_template.name
      USING ERRCODE = '42704',
      DETAIL = format('Channel: %s, locale: %s.', coalesce(_find_template.channel, 'any'), coalesce(_find_template.locale, 'any')),
      HINT = coalesce((SELECT 'It has: ' || string_agg(t.channel || ' ' || t.locale, ', ' ORDER BY t.channel, t.locale) || '.'
                         FROM mfiauto.template_version t WHERE t.is_live AND t.name = _find_template.name),
                      'See SELECT name, channel, locale FROM mfiauto.template;');
  END IF;
  IF cardinality(fits) > 1 THEN
    RAISE EXCEPTION 'template "%" has % texts that fit', _find_template.name, cardinality(fits)
      USING ERRCODE = '22023',
      HINT = format('Name channel and locale, one of: %s.', (SELECT string_agg(f.channel || ' ' || f.locale, ', ') FROM unnest(fits) f));
  END IF;
  RETURN fits[1];
END $$;

CREATE FUNCTION mfiauto._alter_template(name text, channel text DEFAULT NULL, locale text DEFAULT NULL, class text DEFAULT NULL,
  body text DEFAULT NULL, subject text DEFAULT NULL, html text DEFAULT NULL, alphabet text DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  old mfiauto.template_version;
BEGIN
  SELECT t.* INTO STRICT old FROM mfiauto.template_version t
   WHERE t.template_id = (mfiauto._find_template(_alter_template.name, _alter_template.channel, _alter_template.locale)).template_id;
  RETURN mfiauto._create_template(old.name, coalesce(_alter_template.body, old.body), old.channel, old.locale,
    nullif(coalesce(_alter_template.class, old.class), ''), nullif(coalesce(_alter_template.subject, old.subject), ''),
    nullif(coalesce(_alter_template.html, old.html), ''), coalesce(_alter_template.alphabet, old.alphabet),
    coalesce(_alter_template.options, old.options));
END $$;
SELECT mfiauto._open_door('mfiauto._alter_template(text, text, text, text, text, text, text, text, jsonb)', '{admin,author}',
  'Makes the next version of a template''s text with what is given changed, the rest kept; returns the version. '
  'channel and locale may be left out where the template has one text only. An empty class, subject or html takes it away, and options => ''{}'' the options; options are given whole.');

-- Refused while a step that is running, or that a live workflow will run, would be left without any text, and while another template
-- includes it.
CREATE FUNCTION mfiauto._drop_template(name text, channel text DEFAULT NULL, locale text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  tag text := CASE WHEN _drop_template.locale IS NOT NULL THEN mfiauto._checked_locale(_drop_template.locale) END;
  used text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto template ' || _drop_template.name, 0));
  UPDATE mfiauto.template_version t SET is_live = false
   WHERE t.is_live AND t.name = _drop_template.name
     AND (_drop_template.channel IS NULL OR t.channel = _drop_template.channel) AND (tag IS NULL OR t.locale = tag);
  IF NOT FOUND THEN
    PERFORM mfiauto._find_template(_drop_template.name, _drop_template.channel, _drop_template.locale);
  END IF;
  SELECT string_agg(DISTINCT format('"%s" (%s, %s)', t.name, t.channel, t.locale), ', ') INTO used
    FROM mfiauto.template_version t,
         LATERAL mfiauto._template_parts(ARRAY[t.subject, t.body], t.channel, t.locale, false) b,
         LATERAL mfiauto._template_parts(ARRAY[t.html], t.channel, t.locale, true) h
   WHERE t.is_live AND '> ' || _drop_template.name = ANY (string_to_array(concat_ws(', ', b.missing, h.missing), ', '));
  IF used IS NOT NULL THEN
    RAISE EXCEPTION 'cannot drop template "%" because another one includes it', _drop_template.name USING ERRCODE = '2BP01',
      DETAIL = format('It is included by %s.', used), HINT = 'Change or drop those first.';
  END IF;
  SELECT string_agg(DISTINCT format('workflow "%s" (%s)', h.name, s.path), ', ') INTO used
    FROM mfiauto.workflow_step s
    JOIN mfiauto.workflow_head h ON h.workflow_id = s.workflow_id
   WHERE s.template = _drop_template.name
     AND ((s.version = h.live_version AND h.state <> 'archived')
          OR EXISTS (SELECT FROM mfiauto.enrollment_state e
                      WHERE e.workflow_id = s.workflow_id AND e.version = s.version AND e.ended_at IS NULL))
     AND NOT EXISTS (SELECT FROM mfiauto.template_version t
                      WHERE t.is_live AND t.name = s.template AND (s.channels IS NULL OR t.channel = ANY (s.channels)));
  IF used IS NOT NULL THEN
    RAISE EXCEPTION 'cannot drop template "%" because a live workflow sends it', _drop_template.name USING ERRCODE = '2BP01',
      DETAIL = format('It is used by %s.', used), HINT = 'Archive the workflow, or activate a version of it without this template.';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_template(text, text, text)', '{admin,author}',
  'Takes a template out of use, or only its texts of a channel or locale. Messages made from it keep it on record.');

-- How a client reads each text of a template, with what would keep it from leaving.
CREATE FUNCTION mfiauto._preview_template(name text, client_id bigint, subject_id bigint DEFAULT NULL, subject text DEFAULT NULL)
RETURNS TABLE (channel text, locale text, to_address text, body text, parts integer, encoding text, cost numeric, problems text[], options jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  kind text := mfiauto._guess_subject(_preview_template.subject, _preview_template.subject_id);
  person record;
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = _preview_template.name) THEN
    PERFORM mfiauto._find_template(_preview_template.name, NULL, NULL);
  END IF;
  SELECT c.* INTO STRICT person
    FROM mfiauto._context(ARRAY[_preview_template.client_id], kind,
                          ARRAY[coalesce(_preview_template.subject_id, _preview_template.client_id)], 'preview') c;
  IF coalesce(jsonb_typeof(person.context -> 'client'), 'null') = 'null' THEN
    RAISE EXCEPTION 'client % is not in the books', _preview_template.client_id USING ERRCODE = '42704',
      HINT = 'See SELECT client_id FROM mfiauto.client; the role must be bound.';
  END IF;
  IF NOT person.found THEN
    RAISE EXCEPTION '% % is not in the books', kind, _preview_template.subject_id USING ERRCODE = '42704',
      HINT = format('See SELECT %1$s_id FROM mfiauto.%1$s;', kind);
  END IF;
  RETURN QUERY
  SELECT t.channel, t.locale, m.to_address, m.body, m.parts::integer, m.encoding, m.parts * g.cost_per_part,
         array_remove(ARRAY[
           CASE WHEN m.reason = 'missing_variable' OR (m.state = 'skipped' AND m.detail IS NOT NULL)
                  THEN 'the books have no value for ' || m.detail END,
           CASE m.reason
                WHEN 'encoding' THEN 'characters outside the SMS alphabet: ' || m.detail
                WHEN 'no_address' THEN 'the client has no address on channel ' || t.channel
                WHEN 'invalid_address' THEN 'the client''s address cannot be used on channel ' || t.channel
                WHEN 'missing_variable' THEN NULL
                ELSE (SELECT r.meaning FROM mfiauto.message_reason r WHERE r.reason = m.reason) END,
           CASE WHEN m.encoding = 'ucs2' AND m.reason IS DISTINCT FROM 'encoding'
                  THEN 'it travels as UCS-2 because of: ' || (mfiauto.sms_parts(m.body)).outside END,
           CASE WHEN g.gateway IS NULL THEN 'no gateway is declared for ' || t.channel END,
           (SELECT r.meaning FROM mfiauto._contact_refusals(ARRAY[_preview_template.client_id], ARRAY[t.channel], ARRAY[t.class],
                                                            ARRAY[m.to_address], ARRAY[person.country]) f
              JOIN mfiauto.message_reason r ON r.reason = f.reason
             WHERE t.class IS NOT NULL AND m.to_address IS NOT NULL),
           CASE WHEN (person.context #>> ARRAY[kind, 'client_id'])::bigint <> _preview_template.client_id
                  THEN format('the %s belongs to another client', kind) END,
           CASE WHEN person.context #>> '{client,time_zone}' <> person.time_zone
                  THEN 'the client''s time zone is not known: the institution''s is used' END], NULL), m.options
    FROM mfiauto.template_version t
    CROSS JOIN LATERAL mfiauto._compose(t.name, ARRAY[t.channel], t.class, t.locale, person.context, person.phone, person.email,
                                        person.push_token, person.country, true, person.addresses) m
    LEFT JOIN LATERAL (SELECT w.gateway, CASE WHEN jsonb_typeof(w.settings -> 'cost_per_part') = 'number'
                                              THEN (w.settings ->> 'cost_per_part')::numeric END AS cost_per_part
                         FROM mfiauto.gateway_config w
                        WHERE w.channel = t.channel AND w.is_enabled
                        ORDER BY w.priority, w.gateway LIMIT 1) g ON true
   WHERE t.is_live AND t.name = _preview_template.name
   ORDER BY t.channel, t.locale;
END $$;

-- The kind of subject that an id is meant to be: the first role that knows it.
CREATE FUNCTION mfiauto._guess_subject(subject text, subject_id bigint) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  role text;
  is_known boolean;
BEGIN
  IF subject IS NOT NULL AND subject NOT IN ('client', 'application', 'loan', 'installment', 'payment', 'holding') THEN
    RAISE EXCEPTION 'subject "%" does not exist', subject USING ERRCODE = '22023',
      HINT = 'Use one of client, application, loan, installment, payment, holding.';
  END IF;
  IF subject IS NOT NULL OR subject_id IS NULL THEN
    RETURN coalesce(subject, 'client');
  END IF;
  FOREACH role IN ARRAY '{installment,loan,application,payment,holding}'::text[] LOOP
    CONTINUE WHEN to_regclass('mfiauto.' || role) IS NULL;
    EXECUTE format('SELECT EXISTS (SELECT FROM mfiauto.%I WHERE %I = $1)', role, role || '_id') INTO is_known USING subject_id;
    IF is_known THEN
      RETURN role;
    END IF;
  END LOOP;
  RAISE EXCEPTION 'subject % is not in the books', subject_id USING ERRCODE = '42704',
    HINT = 'Name its kind as subject => ''installment'', ''loan'', ''application'', ''payment'' or ''holding''.';
END $$;
SELECT mfiauto._open_door('mfiauto._preview_template(text, bigint, bigint, text)', '{admin,author}',
  'How a client would read each text of a template: one row per channel and locale, with parts, cost and, in plain words, what would keep it '
  'from leaving. subject_id: an installment, loan, application, payment or holding; subject says which where ids overlap.');
