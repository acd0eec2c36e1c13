-- Definitions taken in from the text that export.sql writes, all of it or nothing.

-- The sections, as the text has them: the members that a definition needs, those that it may have, and which of all are no texts.
CREATE FUNCTION mfiauto._definition_sections() RETURNS TABLE (section text, needed text[], allowed text[], no_texts text[])
LANGUAGE sql IMMUTABLE AS $$
  VALUES ('links', '{name,url}'::text[], '{utm,expires}'::text[], '{utm}'::text[]),
         ('templates', '{name,body}', '{channel,locale,class,alphabet,subject,html,options}', '{options}'),
         ('gateways', '{name,channel}', '{preset,priority,enabled,settings,secrets,definition}', '{priority,enabled,settings,secrets,definition}'),
         ('segments', '{name}', '{description,real_time,refresh_every,query}', '{real_time}'),
         ('traits', '{name,query}', '{description,bands}', '{bands}'),
         ('keywords', '{name,action}', '{locale,place,purpose,event,template}', '{}'),
         ('answers', '{name,template}', '{}', '{}'),
         ('intents', '{name,examples}', '{template,hands_over,threshold}', '{hands_over,threshold,examples}'),
         ('workflows', '{name,definition}', '{state,max_per_day}', '{max_per_day,definition}')
$$;

-- A member that is a text, as one: those of several lines may be lists of them.
CREATE FUNCTION mfiauto._import_text(key text, value json) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  has_lines boolean := key IN ('body', 'html', 'query');
BEGIN
  IF has_lines AND json_typeof(value) = 'array' AND NOT EXISTS (SELECT FROM json_array_elements(value) l WHERE json_typeof(l) <> 'string') THEN
    RETURN (SELECT string_agg(l.line, E'\n' ORDER BY l.n) FROM json_array_elements_text(value) WITH ORDINALITY l(line, n));
  ELSIF json_typeof(value) NOT IN ('string', 'null') THEN
    RAISE EXCEPTION 'key "%" is no text', key USING ERRCODE = '22023', DETAIL = format('Expected a string; found %s.', left(mfiauto._json_line(value), 60)),
      HINT = CASE WHEN has_lines THEN 'A text of several lines may be a list of strings.' ELSE 'Write it between double quotes.' END;
  END IF;
  RETURN value #>> '{}';
END $$;

CREATE FUNCTION mfiauto._check_members(item json, needed text[], allowed text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  known text[] := needed || allowed;
  found text;
BEGIN
  IF coalesce(json_typeof(item), 'null') <> 'object' THEN
    RAISE EXCEPTION 'it is no object' USING ERRCODE = '22023', DETAIL = format('Expected an object; found %s.', left(coalesce(mfiauto._json_line(item), 'nothing'), 60)),
      HINT = format('It has the keys %s.', array_to_string(known, ', '));
  END IF;
  found := (SELECT m.key FROM json_each(item) m WHERE m.key <> ALL (known) LIMIT 1);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'key "%" does not exist', found USING ERRCODE = '22023', HINT = format('The keys are %s.', array_to_string(known, ', '));
  END IF;
  found := (SELECT m.key FROM json_each(item) m GROUP BY m.key HAVING count(*) > 1 LIMIT 1);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'key "%" is written twice', found USING ERRCODE = '22023', HINT = 'Remove one of them.';
  END IF;
  found := (SELECT n FROM unnest(needed) n WHERE item -> n IS NULL LIMIT 1);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'key "%" is missing', found USING ERRCODE = '22023', HINT = format('Needed are %s.', array_to_string(needed, ', '));
  END IF;
END $$;

-- A definition of a section with its members checked and its texts made texts; what else it has stays to the letter.
CREATE FUNCTION mfiauto._checked_definition(section text, item json) RETURNS json
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  known record;
BEGIN
  SELECT s.* INTO known FROM mfiauto._definition_sections() s WHERE s.section = _checked_definition.section;
  PERFORM mfiauto._check_members(item, known.needed, known.allowed);
  RETURN (SELECT mfiauto._json_members(array_agg(m.key ORDER BY m.n),
                   array_agg(CASE WHEN m.key = ANY (known.no_texts) THEN m.value ELSE to_json(mfiauto._import_text(m.key, m.value)) END ORDER BY m.n))
            FROM json_each(item) WITH ORDINALITY m(key, value, n));
END $$;

-- ---- One function a section: makes or changes what differs from what is here, and says which ----

CREATE FUNCTION mfiauto._import_link(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.tracked_link;
BEGIN
  SELECT i.name, i.url, coalesce(i.utm, '{}') AS utm, i.expires INTO wanted FROM json_to_record(item) i(name text, url text, utm jsonb, expires interval);
  SELECT l.* INTO old FROM mfiauto.tracked_link l WHERE l.name = wanted.name AND l.dropped_at IS NULL;
  IF old.link_id IS NULL THEN
    PERFORM mfiauto._create_link(wanted.name, wanted.url, wanted.utm, wanted.expires);
    RETURN 'created';
  ELSIF (old.url, old.utm, old.expires_after) IS NOT DISTINCT FROM (wanted.url, wanted.utm, wanted.expires) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._alter_link(wanted.name, wanted.url, wanted.utm, coalesce(wanted.expires, '0'));
  RETURN 'changed';
END $$;

CREATE FUNCTION mfiauto._import_template(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.template_version;
BEGIN
  SELECT i.name, coalesce(i.channel, 'sms') AS channel, coalesce(i.locale, '*') AS locale, i.class, i.subject, i.body, i.html,
         coalesce(i.alphabet, 'gsm7-transliterate') AS alphabet, i.options
    INTO wanted
    FROM json_to_record(item) i(name text, channel text, locale text, class text, subject text, body text, html text, alphabet text, options jsonb);
  SELECT t.* INTO old FROM mfiauto.template_version t
   WHERE t.is_live AND t.name = wanted.name AND t.channel = wanted.channel AND t.locale = mfiauto._checked_locale(wanted.locale);
  IF (old.class, old.subject, old.body, old.html, old.alphabet, old.options)
     IS NOT DISTINCT FROM (wanted.class, wanted.subject, wanted.body, wanted.html, wanted.alphabet,
                           mfiauto._checked_options(wanted.channel, mfiauto._checked_locale(wanted.locale), wanted.options)) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._create_template(wanted.name, wanted.body, wanted.channel, wanted.locale, wanted.class, wanted.subject, wanted.html, wanted.alphabet, wanted.options);
  RETURN CASE WHEN old.template_id IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_gateway(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  unset text;
  old mfiauto.gateway_config;
  outcome text := 'created';
BEGIN
  SELECT i.name, i.channel, i.preset, i.definition, coalesce(i.settings, '{}') AS settings, coalesce(i.priority, 100) AS priority, coalesce(i.enabled, true) AS enabled
    INTO wanted
    FROM json_to_record(item) i(name text, channel text, preset text, definition json, settings json, priority integer, enabled boolean);
  SELECT g.* INTO old FROM mfiauto.gateway_config g WHERE g.gateway = wanted.name FOR UPDATE;
  IF (old.channel, old.preset, old.priority, old.is_enabled, old.settings) IS NOT DISTINCT FROM
       (wanted.channel, wanted.preset, wanted.priority, wanted.enabled, wanted.settings::jsonb)
     AND (wanted.preset IS NOT NULL AND wanted.definition IS NULL
          OR mfiauto._json_line(coalesce(old.source, old.definition::text)::json) = mfiauto._json_line(wanted.definition)) THEN
    outcome := 'unchanged';
  ELSIF NOT pg_catalog.has_function_privilege(mfiauto._caller(), 'mfiauto.alter_gateway(text, json, json, integer, boolean)', 'EXECUTE') THEN
    RAISE EXCEPTION 'gateways are for the profile admin' USING ERRCODE = '42501', HINT = 'Leave "gateways" out, or have an admin import them.';
  ELSIF old.gateway IS NULL THEN
    PERFORM mfiauto._create_gateway(wanted.name, wanted.channel, wanted.preset, wanted.definition, wanted.settings, wanted.priority);
    IF NOT wanted.enabled THEN
      PERFORM mfiauto._alter_gateway(wanted.name, is_enabled => false);
    END IF;
  ELSIF old.channel IS DISTINCT FROM wanted.channel THEN
    RAISE EXCEPTION 'gateway "%" is for channel "%"', wanted.name, old.channel USING ERRCODE = '55000', HINT = 'Give it another name, or drop the one that is there.';
  ELSE
    -- A throw-away check of what the two say together, before the old one is touched.
    IF (wanted.preset IS NULL) = (wanted.definition IS NULL)
       OR NOT EXISTS (SELECT FROM mfiauto.gateway_preset p WHERE wanted.preset IS NULL OR p.preset = wanted.preset AND wanted.channel = ANY (p.channels)) THEN
      RAISE EXCEPTION 'a gateway needs either a preset of its channel or a definition' USING ERRCODE = '22023', HINT = 'See SELECT preset, channels FROM mfiauto.gateway_preset;';
    END IF;
    UPDATE mfiauto.gateway_config g SET preset = wanted.preset, source = NULL WHERE g.gateway = wanted.name AND wanted.preset IS NOT NULL;
    PERFORM mfiauto._alter_gateway(wanted.name, definition => wanted.definition, priority => wanted.priority, is_enabled => wanted.enabled,
      settings => ((SELECT coalesce(jsonb_object_agg(s.key, NULL), '{}') FROM jsonb_each(old.settings) s) || wanted.settings::jsonb)::json);
    outcome := 'changed';
  END IF;
  SELECT string_agg(k, ', ' ORDER BY k) INTO unset
    FROM mfiauto.gateway_config g, jsonb_array_elements_text(g.definition -> 'secrets') k WHERE g.gateway = wanted.name AND k <> ALL (g.secret_keys);
  IF unset IS NOT NULL THEN
    RAISE NOTICE 'gateway "%" has no secret yet for: %', wanted.name, unset USING HINT = format('Set each with SELECT mfiauto.set_secret(%L, …);', wanted.name);
  END IF;
  RETURN outcome;
END $$;

CREATE FUNCTION mfiauto._import_keyword(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.keyword_config;
  new mfiauto.keyword_config;
BEGIN
  SELECT mfiauto._fold_text(i.name) AS keyword, coalesce(i.locale, '*') AS locale, i.action, i.place, i.purpose, i.event, i.template INTO wanted
    FROM json_to_record(item) i(name text, locale text, action text, place text, purpose text, event text, template text);
  SELECT k.* INTO old FROM mfiauto.keyword_config k WHERE k.keyword = wanted.keyword AND k.locale = mfiauto._checked_locale(wanted.locale);
  PERFORM mfiauto._set_keyword(wanted.keyword, wanted.action, wanted.locale, wanted.place, wanted.purpose, wanted.event, wanted.template);
  SELECT k.* INTO new FROM mfiauto.keyword_config k WHERE k.keyword = wanted.keyword AND k.locale = mfiauto._checked_locale(wanted.locale);
  RETURN CASE WHEN old IS NOT DISTINCT FROM new THEN 'unchanged' WHEN old.keyword IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_answer(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  asked text := item ->> 'name';
  given text := item ->> 'template';
  old text := (SELECT a.template FROM mfiauto.keyword_answer a WHERE a.action = asked);
BEGIN
  IF old IS NOT DISTINCT FROM given THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._set_keyword_answer(asked, given);
  RETURN CASE WHEN old IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_intent(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.intent_config;
BEGIN
  SELECT i.name, i.template, coalesce(i.hands_over, false) AS hands_over, coalesce(i.threshold, 0.5) AS threshold, i.examples INTO wanted
    FROM json_to_record(item) i(name text, template text, hands_over boolean, threshold numeric, examples jsonb);
  SELECT i.* INTO old FROM mfiauto.intent_config i WHERE i.name = wanted.name;
  IF (old.template, old.hands_over, old.threshold, old.examples) IS NOT DISTINCT FROM (wanted.template, wanted.hands_over, wanted.threshold, wanted.examples) THEN
    RETURN 'unchanged';
  END IF;
  IF old.name IS NOT NULL THEN
    PERFORM mfiauto._drop_intent(wanted.name);
  END IF;
  PERFORM mfiauto._create_intent(wanted.name, wanted.examples, wanted.template, wanted.hands_over, wanted.threshold);
  RETURN CASE WHEN old.name IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_trait(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.trait_definition;
BEGIN
  SELECT * INTO wanted FROM json_to_record(item) i(name text, description text, query text, bands integer);
  SELECT t.* INTO old FROM mfiauto.trait_definition t WHERE t.name = wanted.name;
  IF old.trait_id IS NULL THEN
    PERFORM mfiauto._create_trait(wanted.name, wanted.query, wanted.description, wanted.bands);
    RETURN 'created';
  ELSIF (old.source, nullif(old.description, ''), old.bands) IS NOT DISTINCT FROM (wanted.query, nullif(wanted.description, ''), wanted.bands) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._alter_trait(wanted.name, CASE WHEN wanted.query IS DISTINCT FROM old.source THEN wanted.query END, coalesce(wanted.description, ''), coalesce(wanted.bands, 0));
  RETURN 'changed';
END $$;

CREATE FUNCTION mfiauto._import_segment(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  wanted record;
  old mfiauto.segment_definition;
BEGIN
  SELECT i.name, i.description, i.query, coalesce(i.real_time, false) AS real_time, i.refresh_every INTO wanted
    FROM json_to_record(item) i(name text, description text, query text, real_time boolean, refresh_every interval);
  SELECT s.* INTO old FROM mfiauto.segment_definition s WHERE s.name = wanted.name;
  IF old.segment_id IS NULL THEN
    PERFORM mfiauto._create_segment(wanted.name, wanted.query, NULL, wanted.description, wanted.real_time, wanted.refresh_every);
    RETURN 'created';
  ELSIF (old.source, nullif(old.description, ''), old.is_real_time, old.refresh_every)
        IS NOT DISTINCT FROM (wanted.query, nullif(wanted.description, ''), wanted.real_time, wanted.refresh_every) THEN
    RETURN 'unchanged';
  ELSIF old.query IS NOT NULL AND wanted.query IS NULL THEN
    RAISE EXCEPTION 'segment "%" is made by its query', wanted.name USING ERRCODE = '55000', HINT = 'Give its query, or drop the segment and make a list.';
  END IF;
  PERFORM mfiauto._alter_segment(wanted.name, query => CASE WHEN wanted.query IS DISTINCT FROM old.source THEN wanted.query END, description => coalesce(wanted.description, ''),
                                 real_time => wanted.real_time, refresh_every => coalesce(wanted.refresh_every, '0'));
  RETURN 'changed';
END $$;

-- A definition that is live, or already waits as the newest draft, is not made again. With activate, the state of the text is taken over.
CREATE FUNCTION mfiauto._import_workflow(item json, activate boolean) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := item ->> 'name';
  definition json := item -> 'definition';
  wanted text := coalesce(item ->> 'state', 'draft');
  most integer := (item ->> 'max_per_day')::integer;
  line text := mfiauto._json_line(definition);
  head mfiauto.workflow_head;
  newest text;
  live text;
  outcome text := 'unchanged';
BEGIN
  IF wanted NOT IN ('draft', 'active', 'paused', 'archived') THEN
    RAISE EXCEPTION 'state "%" does not exist', wanted USING ERRCODE = '22023', HINT = 'Use one of draft, active, paused, archived.';
  END IF;
  SELECT h.* INTO head FROM mfiauto.workflow_head h WHERE h.name = name FOR NO KEY UPDATE;
  SELECT mfiauto._json_line(v.source::json) INTO live FROM mfiauto.workflow_version v WHERE v.workflow_id = head.workflow_id AND v.version = head.live_version;
  SELECT mfiauto._json_line(v.source::json) INTO newest FROM mfiauto.workflow_version v WHERE v.workflow_id = head.workflow_id ORDER BY v.version DESC LIMIT 1;
  -- What is live and shall go on needs nothing; what shall be made live must be the newest version.
  IF line IS DISTINCT FROM newest AND (line IS DISTINCT FROM live OR activate AND wanted IN ('active', 'paused') AND head.state = 'archived') THEN
    PERFORM mfiauto._create_workflow(name, definition);
    outcome := CASE WHEN head.workflow_id IS NULL THEN 'created' ELSE 'changed' END;
    SELECT h.* INTO head FROM mfiauto.workflow_head h WHERE h.name = name;
    newest := line;
  END IF;
  IF activate THEN
    outcome := concat_ws(', ', nullif(outcome, 'unchanged'), mfiauto._take_over_state(name, wanted, line IS DISTINCT FROM live, most));
    UPDATE mfiauto.workflow_head h SET max_per_day = coalesce(most, v.max_per_day)
      FROM mfiauto.workflow_version v
     WHERE h.workflow_id = head.workflow_id AND v.workflow_id = h.workflow_id AND v.version = h.live_version
       AND h.max_per_day IS DISTINCT FROM coalesce(most, v.max_per_day);
    IF FOUND THEN
      outcome := concat_ws(', ', nullif(outcome, ''), 'limited');
    END IF;
    outcome := coalesce(nullif(outcome, ''), 'unchanged');
  END IF;
  RETURN outcome;
END $$;

-- Brings a workflow to a state; says what it did, or null.
CREATE FUNCTION mfiauto._take_over_state(name text, wanted text, is_new boolean, max_per_day integer) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  head mfiauto.workflow_head;
  done text;
BEGIN
  SELECT h.* INTO head FROM mfiauto.workflow_head h WHERE h.name = name;
  IF wanted IN ('active', 'paused') THEN
    IF is_new OR head.state IN ('draft', 'archived') THEN
      PERFORM mfiauto._activate_workflow(head.name, max_per_day);
      done := 'activated';
    ELSIF head.state = 'paused' AND wanted = 'active' THEN
      PERFORM mfiauto._resume_workflow(head.name);
      RETURN 'resumed';
    END IF;
    IF wanted = 'paused' AND (done IS NOT NULL OR head.state = 'active') THEN
      PERFORM mfiauto._pause_workflow(head.name);
      RETURN 'paused';
    END IF;
    RETURN done;
  END IF;
  IF wanted = 'archived' AND head.state IN ('active', 'paused') THEN
    PERFORM mfiauto._archive_workflow(head.name);
    RETURN 'archived';
  ELSIF wanted = 'archived' AND head.state = 'draft' THEN
    -- At rest from the beginning: nobody ever entered it here.
    UPDATE mfiauto.workflow_head h SET state = 'archived', live_version = v.version, max_per_day = coalesce(_take_over_state.max_per_day, v.max_per_day)
      FROM (SELECT v.version, v.max_per_day FROM mfiauto.workflow_version v WHERE v.workflow_id = head.workflow_id ORDER BY v.version DESC LIMIT 1) v
     WHERE h.workflow_id = head.workflow_id;
    RETURN 'archived';
  END IF;
  RETURN NULL;
END $$;

-- ---- The whole text ----

-- Which definitions of a section must be there before which: pairs of positions.
CREATE FUNCTION mfiauto._import_needs(section text, items json) RETURNS TABLE (item_no integer, needs_no integer)
LANGUAGE sql STABLE AS $$
  WITH listed AS (
    -- A name that is none is told when its turn comes; here it would be taken for a pattern.
    SELECT i.n::integer AS n, i.item, CASE WHEN section NOT IN ('traits', 'segments') OR i.item ->> 'name' ~ '^[a-z][a-z0-9_]{0,62}$' THEN i.item ->> 'name' END AS name,
           mfiauto._json_line(i.item) AS line
      FROM json_array_elements(items) WITH ORDINALITY i(item, n) WHERE json_typeof(i.item) = 'object'
  )
  SELECT a.n, b.n FROM listed a JOIN listed b ON b.n <> a.n
   WHERE CASE section
         WHEN 'templates' THEN coalesce(a.item ->> 'channel', 'sms') = coalesce(b.item ->> 'channel', 'sms') AND b.name <> a.name
              AND b.name = ANY (ARRAY(SELECT mfiauto._template_names_included(a.item)))
         WHEN 'traits' THEN a.line ~ 'client_profile' AND a.line ~ ('\m' || b.name || '\M')
         WHEN 'segments' THEN a.line ~ ('mfiauto_segment\.' || b.name || '\M')
         WHEN 'workflows' THEN strpos(a.line, '"enroll": ' || to_json(b.name)::text) > 0 OR strpos(a.line, '"exit": ' || to_json(b.name)::text) > 0
         ELSE false END
$$;

-- The templates that one includes, whatever its mistakes: those are told when it is made.
CREATE FUNCTION mfiauto._template_names_included(item json) RETURNS SETOF text
LANGUAGE sql IMMUTABLE AS $$
  SELECT m[1] FROM regexp_matches(mfiauto._json_line(item), '\{\{\s*>\s*([^}]*?)\s*\}\}', 'g') m
$$;

CREATE FUNCTION mfiauto._import_order(section text, items json) RETURNS TABLE (item_no integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  pending integer[] := ARRAY(SELECT generate_series(1, json_array_length(items)));
  item_nos integer[];
  need_nos integer[];
  ready integer[];
BEGIN
  SELECT array_agg(n.item_no), array_agg(n.needs_no) INTO item_nos, need_nos FROM mfiauto._import_needs(section, items) n;
  WHILE cardinality(pending) > 0 LOOP
    ready := ARRAY(SELECT p FROM unnest(pending) p
                    WHERE NOT EXISTS (SELECT FROM unnest(item_nos, need_nos) n(i, d) WHERE n.i = p AND n.d = ANY (pending)) ORDER BY p);
    -- Those that need one another go in the order of the text; what is wrong with them is told then.
    IF ready = '{}' THEN
      ready := pending;
    END IF;
    RETURN QUERY SELECT unnest(ready);
    pending := ARRAY(SELECT p FROM unnest(pending) p WHERE p <> ALL (ready) ORDER BY p);
  END LOOP;
END $$;

CREATE FUNCTION mfiauto._import_item(section text, item json, activate boolean) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  item := mfiauto._checked_definition(section, item);
  RETURN CASE section
         WHEN 'links' THEN mfiauto._import_link(item)
         WHEN 'templates' THEN mfiauto._import_template(item)
         WHEN 'gateways' THEN mfiauto._import_gateway(item)
         WHEN 'segments' THEN mfiauto._import_segment(item)
         WHEN 'traits' THEN mfiauto._import_trait(item)
         WHEN 'keywords' THEN mfiauto._import_keyword(item)
         WHEN 'answers' THEN mfiauto._import_answer(item)
         WHEN 'intents' THEN mfiauto._import_intent(item)
         WHEN 'workflows' THEN mfiauto._import_workflow(item, activate) END;
END $$;

-- An error of one definition, told with its place in the text. Which condition it was stands in the context alone.
CREATE FUNCTION mfiauto._refuse_import(place text, code text, problem text, detail text, hint text, context text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  condition text := (SELECT l FROM unnest(string_to_array(context, E'\n')) l WHERE l ~ '^condition at ' LIMIT 1);
BEGIN
  problem := format('cannot import %s: %s', place, problem);
  detail := concat_ws(' ', nullif(detail, ''), 'It is the ' || condition);
  IF detail <> '' AND hint <> '' THEN
    RAISE EXCEPTION '%', problem USING ERRCODE = code, DETAIL = detail, HINT = hint;
  ELSIF detail <> '' THEN
    RAISE EXCEPTION '%', problem USING ERRCODE = code, DETAIL = detail;
  ELSIF hint <> '' THEN
    RAISE EXCEPTION '%', problem USING ERRCODE = code, HINT = hint;
  END IF;
  RAISE EXCEPTION '%', problem USING ERRCODE = code;
END $$;

CREATE FUNCTION mfiauto._check_document(document json) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  section record;
BEGIN
  PERFORM mfiauto._check_members(document, '{mfiauto}', '{about}' || ARRAY(SELECT s.section FROM mfiauto._definition_sections() s));
  IF document ->> 'mfiauto' <> '1' THEN
    RAISE EXCEPTION 'format % is not known', document ->> 'mfiauto' USING ERRCODE = '22023', HINT = 'This version reads {"mfiauto": 1, …}.';
  END IF;
  FOR section IN SELECT m.key, m.value FROM json_each(document) m WHERE m.key NOT IN ('mfiauto', 'about') LOOP
    IF json_typeof(section.value) <> 'array' THEN
      RAISE EXCEPTION 'section "%" is no list', section.key USING ERRCODE = '22023', HINT = 'Write [{"name": …}, …].';
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION mfiauto._import_definitions(definitions text, activate boolean DEFAULT false) RETURNS TABLE (section text, name text, outcome text)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  document json;
  place text := 'the text';
  items json;
  item json;
  item_no integer;
  pass integer;
  code text;
  problem text;
  detail text;
  hint text;
  context text;
BEGIN
  IF definitions IS NULL OR activate IS NULL THEN
    RAISE EXCEPTION '% must not be null', CASE WHEN definitions IS NULL THEN 'definitions' ELSE 'activate' END USING ERRCODE = '22004',
      HINT = CASE WHEN definitions IS NULL THEN 'Give the text that export_definitions() wrote.' ELSE 'Give true or false.' END;
  END IF;
  BEGIN
    BEGIN
      document := definitions::json;
    EXCEPTION WHEN invalid_text_representation THEN
      GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
      RAISE EXCEPTION 'it is not valid JSON' USING ERRCODE = '22P02', DETAIL = detail, HINT = 'Give the text that export_definitions() wrote.';
    END;
    PERFORM mfiauto._check_document(document);
    -- Traits come first; those that look at segments, after them.
    FOREACH pass IN ARRAY '{1,2,3,4,5,6,7,8,9,10}'::integer[] LOOP
      section := ('{traits,segments,traits,links,templates,gateways,keywords,answers,intents,workflows}'::text[])[pass];
      items := coalesce(document -> section, '[]');
      FOR item_no IN SELECT o.item_no FROM mfiauto._import_order(section, items) o LOOP
        item := items -> (item_no - 1);
        CONTINUE WHEN section = 'traits' AND (mfiauto._json_line(item) ~ 'mfiauto_segment\.') <> (pass = 3);
        place := format('%s[%s]', section, item_no - 1);
        IF json_typeof(item) = 'object' THEN
          name := item ->> 'name';
          place := place || coalesce(format(' (%s)', left(name, 100)), '');
        END IF;
        outcome := mfiauto._import_item(section, item, activate);
        RETURN NEXT;
      END LOOP;
    END LOOP;
    RETURN;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, problem = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  END;
  PERFORM mfiauto._refuse_import(place, code, problem, detail, hint, context);
END $$;
SELECT mfiauto._open_door('mfiauto._import_definitions(text, boolean)', '{admin,author}',
  'Takes in what export_definitions() wrote, all of it or nothing, and says what became of each definition. What is here already is left alone, what differs '
  'becomes the next version, what the text does not name stays. Workflows are drafts; activate => true also brings each to the state in the text. '
  'Gateways are for admins; their secrets are to be set.');
