-- Definitions as one text that people keep in version control, and back.

-- A JSON value on one line, keys in the order in which they were written.
CREATE FUNCTION mfiauto._json_line(value json) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN CASE json_typeof(value)
         WHEN 'object' THEN (SELECT '{' || coalesce(string_agg(to_json(m.key)::text || ': ' || mfiauto._json_line(m.value), ', ' ORDER BY m.n), '') || '}'
                               FROM json_each(value) WITH ORDINALITY m(key, value, n))
         WHEN 'array' THEN (SELECT '[' || coalesce(string_agg(mfiauto._json_line(i.value), ', ' ORDER BY i.n), '') || ']'
                              FROM json_array_elements(value) WITH ORDINALITY i(value, n))
         WHEN 'string' THEN to_json(value #>> '{}')::text
         ELSE btrim(value::text, E' \t\r\n') END;
END $$;

-- The same laid out for people and for diffs: on one line what fits there, else a member a line, two spaces a level.
CREATE FUNCTION mfiauto._json_layout(value json, level integer DEFAULT 0, used integer DEFAULT 0) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  line text := mfiauto._json_line(value);
  kind text := json_typeof(value);
  indent text := E'\n' || repeat('  ', level + 1);
  members text;
BEGIN
  IF kind NOT IN ('object', 'array') OR line IN ('{}', '[]') OR 2 * level + used + length(line) <= 110 THEN
    RETURN line;
  END IF;
  IF kind = 'array' THEN
    SELECT string_agg(indent || mfiauto._json_layout(i.value, level + 1), ',' ORDER BY i.n) INTO members
      FROM json_array_elements(value) WITH ORDINALITY i(value, n);
    RETURN '[' || members || E'\n' || repeat('  ', level) || ']';
  END IF;
  SELECT string_agg(indent || to_json(m.key)::text || ': ' || mfiauto._json_layout(m.value, level + 1, length(m.key) + 4), ',' ORDER BY m.n) INTO members
    FROM json_each(value) WITH ORDINALITY m(key, value, n);
  RETURN '{' || members || E'\n' || repeat('  ', level) || '}';
END $$;

-- An object of the members whose value is not null, in their order.
CREATE FUNCTION mfiauto._json_members(keys text[], members json[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
  SELECT ('{' || coalesce(string_agg(to_json(m.key)::text || ': ' || m.value::text, ', ' ORDER BY m.n), '') || '}')::json
    FROM unnest($1, $2) WITH ORDINALITY m(key, value, n) WHERE m.value IS NOT NULL
$$;

-- A text of several lines is a list of them, so that a diff shows which one changed.
CREATE FUNCTION mfiauto._json_text(content text) RETURNS json
LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN content ~ E'\n' THEN to_json(string_to_array(content, E'\n')) ELSE to_json(content) END
$$;

-- ---- Export: one function a section, each in the order of its names ----

CREATE FUNCTION mfiauto._export_templates() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT coalesce(json_agg(mfiauto._json_members(ARRAY['name', 'channel', 'locale', 'class', 'alphabet', 'subject', 'body', 'html', 'options'],
           ARRAY[to_json(t.name), to_json(t.channel), to_json(t.locale), to_json(t.class), to_json(nullif(t.alphabet, 'gsm7-transliterate')),
                 to_json(t.subject), mfiauto._json_text(t.body), mfiauto._json_text(t.html), t.options::json])
           ORDER BY t.name COLLATE "C", t.channel COLLATE "C", t.locale COLLATE "C"), '[]')
    FROM mfiauto.template_version t WHERE t.is_live
$$;

-- Secrets are named, so that whoever imports knows what to set; their values are nowhere but in the one table that nobody reads.
CREATE FUNCTION mfiauto._export_gateways() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT coalesce(json_agg(mfiauto._json_members(ARRAY['name', 'channel', 'preset', 'priority', 'enabled', 'settings', 'secrets', 'definition'],
           ARRAY[to_json(g.gateway), to_json(g.channel), to_json(g.preset), to_json(g.priority), CASE WHEN NOT g.is_enabled THEN 'false'::json END,
                 (SELECT json_object_agg(s.key, s.value ORDER BY s.key COLLATE "C") FROM jsonb_each(g.settings) s),
                 (SELECT json_agg(k ORDER BY k COLLATE "C") FROM jsonb_array_elements_text(g.definition -> 'secrets') k),
                 CASE WHEN g.preset IS NULL THEN coalesce(g.source, g.definition::text)::json END])
           ORDER BY g.gateway COLLATE "C"), '[]')
    FROM mfiauto.gateway_config g
$$;

-- A list is told without its members: those are the institution's clients, not what it decided.
CREATE FUNCTION mfiauto._export_segments() RETURNS json
LANGUAGE sql STABLE SET IntervalStyle = postgres AS $$
  SELECT coalesce(json_agg(mfiauto._json_members(ARRAY['name', 'description', 'real_time', 'refresh_every', 'query'],
           ARRAY[to_json(s.name), to_json(nullif(s.description, '')), CASE WHEN s.is_real_time THEN 'true'::json END, to_json(s.refresh_every::text),
                 mfiauto._json_text(s.source)])
           ORDER BY s.name COLLATE "C"), '[]')
    FROM mfiauto.segment_definition s
$$;

CREATE FUNCTION mfiauto._export_traits() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT coalesce(json_agg(mfiauto._json_members(ARRAY['name', 'description', 'bands', 'query'],
           ARRAY[to_json(t.name), to_json(nullif(t.description, '')), to_json(t.bands), mfiauto._json_text(t.source)])
           ORDER BY t.name COLLATE "C"), '[]')
    FROM mfiauto.trait_definition t
$$;

-- What runs: the live version, or of a workflow that was never activated the newest draft.
CREATE FUNCTION mfiauto._export_workflows() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT coalesce(json_agg(mfiauto._json_members(ARRAY['name', 'state', 'max_per_day', 'definition'],
           ARRAY[to_json(h.name), to_json(h.state), CASE WHEN h.max_per_day IS DISTINCT FROM v.max_per_day AND h.live_version IS NOT NULL THEN to_json(h.max_per_day) END,
                 v.source::json])
           ORDER BY h.name COLLATE "C"), '[]')
    FROM mfiauto.workflow_head h
    JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
     AND v.version = coalesce(h.live_version, (SELECT max(n.version) FROM mfiauto.workflow_version n WHERE n.workflow_id = h.workflow_id))
$$;

-- Where links may lead is each installation's own affair: the hosts are not told.
CREATE FUNCTION mfiauto._export_links() RETURNS json
LANGUAGE sql STABLE SET IntervalStyle = postgres AS $$
  SELECT json_agg(mfiauto._json_members(ARRAY['name', 'url', 'utm', 'expires'],
           ARRAY[to_json(l.name), to_json(l.url), CASE WHEN l.utm <> '{}' THEN (SELECT json_object_agg(u.key, u.value ORDER BY u.key COLLATE "C") FROM jsonb_each(l.utm) u) END,
                 to_json(l.expires_after::text)]) ORDER BY l.name COLLATE "C")
    FROM mfiauto.tracked_link l WHERE l.dropped_at IS NULL
$$;

-- Keywords that are not as they shipped.
CREATE FUNCTION mfiauto._export_keywords() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_agg(mfiauto._json_members(ARRAY['name', 'locale', 'action', 'place', 'purpose', 'event', 'template'],
           ARRAY[to_json(k.keyword), to_json(k.locale), to_json(k.action), to_json(k.place), to_json(k.purpose), to_json(k.event), to_json(k.template)])
           ORDER BY k.keyword COLLATE "C", k.locale COLLATE "C")
    FROM mfiauto.keyword_config k WHERE NOT k.is_builtin
$$;

CREATE FUNCTION mfiauto._export_answers() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_agg(mfiauto._json_members(ARRAY['name', 'template'], ARRAY[to_json(a.action), to_json(a.template)]) ORDER BY a.action COLLATE "C") FROM mfiauto.keyword_answer a
$$;

CREATE FUNCTION mfiauto._export_intents() RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_agg(mfiauto._json_members(ARRAY['name', 'template', 'hands_over', 'threshold', 'examples'],
           ARRAY[to_json(i.name), to_json(i.template), CASE WHEN i.hands_over THEN 'true'::json END, to_json(i.threshold),
                 (SELECT json_object_agg(e.key, e.value ORDER BY e.key COLLATE "C") FROM jsonb_each(i.examples) e)])
           ORDER BY i.name COLLATE "C")
    FROM mfiauto.intent_config i
$$;

CREATE FUNCTION mfiauto._export_definitions() RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._json_layout(mfiauto._json_members('{mfiauto,links,templates,gateways,segments,traits,keywords,answers,intents,workflows}',
           ARRAY['1'::json, mfiauto._export_links(), mfiauto._export_templates(), mfiauto._export_gateways(), mfiauto._export_segments(), mfiauto._export_traits(),
                 mfiauto._export_keywords(), mfiauto._export_answers(), mfiauto._export_intents(), mfiauto._export_workflows()]), 0, 1000)
$$;
SELECT mfiauto._open_door('mfiauto._export_definitions()', '{admin,author}',
  'All definitions as one JSON text, the same for the same definitions: links, the live texts of templates, gateways (their secrets by name only), segments (without the members of lists), traits, keywords, questions and workflows '
  '(the live version, else the newest draft). Made to be kept in version control; import_definitions() takes it back.');

-- ---- Import ----

-- Whether a member is one, of a type that fits; the text of those that are texts.
CREATE FUNCTION mfiauto._import_text(item json, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  value json := item -> key;
BEGIN
  IF value IS NULL OR json_typeof(value) = 'null' THEN
    RETURN NULL;
  END IF;
  IF json_typeof(value) = 'array' AND key IN ('body', 'html', 'query')
     AND NOT EXISTS (SELECT FROM json_array_elements(value) l WHERE json_typeof(l) <> 'string') THEN
    RETURN (SELECT string_agg(l.line, E'\n' ORDER BY l.n) FROM json_array_elements_text(value) WITH ORDINALITY l(line, n));
  END IF;
  IF json_typeof(value) <> 'string' THEN
    RAISE EXCEPTION 'key "%" is no text', key USING ERRCODE = '22023', DETAIL = format('Expected a string; found %s.', left(mfiauto._json_line(value), 60)),
      HINT = CASE WHEN key IN ('body', 'html', 'query') THEN 'A text of several lines may be a list of strings.' ELSE 'Write it between double quotes.' END;
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

CREATE FUNCTION mfiauto._import_link(item json) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  url text := mfiauto._import_text(item, 'url');
  utm jsonb := coalesce(nullif((item -> 'utm')::jsonb, 'null'), '{}');
  expires interval := mfiauto._import_text(item, 'expires')::interval;
  old mfiauto.tracked_link;
BEGIN
  SELECT l.* INTO old FROM mfiauto.tracked_link l WHERE l.name = name AND l.dropped_at IS NULL;
  IF old.link_id IS NULL THEN
    PERFORM mfiauto._create_link(name, url, utm, expires);
    RETURN 'created';
  ELSIF (old.url, old.utm, old.expires_after) IS NOT DISTINCT FROM (url, utm, expires) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._alter_link(name, url, utm, coalesce(expires, '0'));
  RETURN 'changed';
END $$;

CREATE FUNCTION mfiauto._import_template(item json) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  channel text := coalesce(mfiauto._import_text(item, 'channel'), 'sms');
  locale text := coalesce(mfiauto._import_text(item, 'locale'), '*');
  class text := mfiauto._import_text(item, 'class');
  subject text := mfiauto._import_text(item, 'subject');
  body text := mfiauto._import_text(item, 'body');
  html text := mfiauto._import_text(item, 'html');
  alphabet text := coalesce(mfiauto._import_text(item, 'alphabet'), 'gsm7-transliterate');
  options jsonb := nullif((item -> 'options')::jsonb, 'null');
  old mfiauto.template_version;
BEGIN
  SELECT t.* INTO old FROM mfiauto.template_version t
   WHERE t.is_live AND t.name = name AND t.channel = channel AND t.locale = mfiauto._checked_locale(locale);
  IF (old.class, old.subject, old.body, old.html, old.alphabet, old.options)
     IS NOT DISTINCT FROM (class, subject, body, html, alphabet, mfiauto._checked_options(channel, mfiauto._checked_locale(locale), options)) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._create_template(name, body, channel, locale, class, subject, html, alphabet, options);
  RETURN CASE WHEN old.template_id IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_gateway(item json) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  channel text := mfiauto._import_text(item, 'channel');
  preset text := mfiauto._import_text(item, 'preset');
  definition json := item -> 'definition';
  settings json := coalesce(item -> 'settings', '{}');
  priority integer := coalesce((item ->> 'priority')::integer, 100);
  enabled boolean := coalesce((item ->> 'enabled')::boolean, true);
  unset text;
  old mfiauto.gateway_config;
  outcome text := 'created';
BEGIN
  SELECT g.* INTO old FROM mfiauto.gateway_config g WHERE g.gateway = name FOR UPDATE;
  IF (old.channel, old.preset, old.priority, old.is_enabled, old.settings) IS NOT DISTINCT FROM (channel, preset, priority, enabled, settings::jsonb)
     AND (preset IS NOT NULL AND definition IS NULL OR mfiauto._json_line(coalesce(old.source, old.definition::text)::json) = mfiauto._json_line(definition)) THEN
    outcome := 'unchanged';
  ELSIF NOT pg_catalog.has_function_privilege(mfiauto._caller(), 'mfiauto.alter_gateway(text, json, json, integer, boolean)', 'EXECUTE') THEN
    RAISE EXCEPTION 'gateways are for the profile admin' USING ERRCODE = '42501', HINT = 'Leave "gateways" out, or have an admin import them.';
  ELSIF old.gateway IS NULL THEN
    PERFORM mfiauto._create_gateway(name, channel, preset, definition, settings, priority);
    IF NOT enabled THEN
      PERFORM mfiauto._alter_gateway(name, is_enabled => false);
    END IF;
  ELSIF old.channel IS DISTINCT FROM channel THEN
    RAISE EXCEPTION 'gateway "%" is for channel "%"', name, old.channel USING ERRCODE = '55000', HINT = 'Give it another name, or drop the one that is there.';
  ELSE
    -- A throw-away check of what the two say together, before the old one is touched.
    IF (preset IS NULL) = (definition IS NULL) OR NOT EXISTS (SELECT FROM mfiauto.gateway_preset p WHERE preset IS NULL OR p.preset = preset AND channel = ANY (p.channels)) THEN
      RAISE EXCEPTION 'a gateway needs either a preset of its channel or a definition' USING ERRCODE = '22023', HINT = 'See SELECT preset, channels FROM mfiauto.gateway_preset;';
    END IF;
    UPDATE mfiauto.gateway_config g SET preset = preset, source = NULL WHERE g.gateway = name AND preset IS NOT NULL;
    PERFORM mfiauto._alter_gateway(name, definition => definition, priority => priority, is_enabled => enabled,
      settings => ((SELECT coalesce(jsonb_object_agg(s.key, NULL), '{}') FROM jsonb_each(old.settings) s) || settings::jsonb)::json);
    outcome := 'changed';
  END IF;
  SELECT string_agg(k, ', ' ORDER BY k) INTO unset
    FROM mfiauto.gateway_config g, jsonb_array_elements_text(g.definition -> 'secrets') k WHERE g.gateway = name AND k <> ALL (g.secret_keys);
  IF unset IS NOT NULL THEN
    RAISE NOTICE 'gateway "%" has no secret yet for: %', name, unset USING HINT = format('Set each with SELECT mfiauto.set_secret(%L, …);', name);
  END IF;
  RETURN outcome;
END $$;

CREATE FUNCTION mfiauto._import_keyword(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  old mfiauto.keyword_config;
  new mfiauto.keyword_config;
  folded text := mfiauto._fold_text(mfiauto._import_text(item, 'name'));
  tongue text := coalesce(mfiauto._import_text(item, 'locale'), '*');
BEGIN
  SELECT k.* INTO old FROM mfiauto.keyword_config k WHERE k.keyword = folded AND k.locale = tongue;
  PERFORM mfiauto._set_keyword(folded, mfiauto._import_text(item, 'action'), tongue, mfiauto._import_text(item, 'place'), mfiauto._import_text(item, 'purpose'),
                               mfiauto._import_text(item, 'event'), mfiauto._import_text(item, 'template'));
  SELECT k.* INTO new FROM mfiauto.keyword_config k WHERE k.keyword = folded AND k.locale = mfiauto._checked_locale(tongue);
  RETURN CASE WHEN old IS NOT DISTINCT FROM new THEN 'unchanged' WHEN old.keyword IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_answer(item json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  asked text := mfiauto._import_text(item, 'name');
  given text := mfiauto._import_text(item, 'template');
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
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  template text := mfiauto._import_text(item, 'template');
  hands_over boolean := coalesce((item ->> 'hands_over')::boolean, false);
  threshold numeric := coalesce((item ->> 'threshold')::numeric, 0.5);
  old mfiauto.intent_config;
BEGIN
  SELECT i.* INTO old FROM mfiauto.intent_config i WHERE i.name = name;
  IF (old.template, old.hands_over, old.threshold, old.examples) IS NOT DISTINCT FROM (template, hands_over, threshold, (item -> 'examples')::jsonb) THEN
    RETURN 'unchanged';
  END IF;
  IF old.name IS NOT NULL THEN
    PERFORM mfiauto._drop_intent(name);
  END IF;
  PERFORM mfiauto._create_intent(name, (item -> 'examples')::jsonb, template, hands_over, threshold);
  RETURN CASE WHEN old.name IS NULL THEN 'created' ELSE 'changed' END;
END $$;

CREATE FUNCTION mfiauto._import_trait(item json) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  description text := mfiauto._import_text(item, 'description');
  query text := mfiauto._import_text(item, 'query');
  bands integer := (item ->> 'bands')::integer;
  old mfiauto.trait_definition;
BEGIN
  SELECT t.* INTO old FROM mfiauto.trait_definition t WHERE t.name = name;
  IF old.trait_id IS NULL THEN
    PERFORM mfiauto._create_trait(name, query, description, bands);
    RETURN 'created';
  ELSIF (old.source, nullif(old.description, ''), old.bands) IS NOT DISTINCT FROM (query, nullif(description, ''), bands) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM mfiauto._alter_trait(name, CASE WHEN query IS DISTINCT FROM old.source THEN query END, coalesce(description, ''), coalesce(bands, 0));
  RETURN 'changed';
END $$;

CREATE FUNCTION mfiauto._import_segment(item json) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  description text := mfiauto._import_text(item, 'description');
  query text := mfiauto._import_text(item, 'query');
  real_time boolean := coalesce((item ->> 'real_time')::boolean, false);
  refresh_every interval := mfiauto._import_text(item, 'refresh_every')::interval;
  old mfiauto.segment_definition;
BEGIN
  SELECT s.* INTO old FROM mfiauto.segment_definition s WHERE s.name = name;
  IF old.segment_id IS NULL THEN
    PERFORM mfiauto._create_segment(name, query, NULL, description, real_time, refresh_every);
    RETURN 'created';
  ELSIF (old.source, nullif(old.description, ''), old.is_real_time, old.refresh_every) IS NOT DISTINCT FROM (query, nullif(description, ''), real_time, refresh_every) THEN
    RETURN 'unchanged';
  ELSIF old.query IS NOT NULL AND query IS NULL THEN
    RAISE EXCEPTION 'segment "%" is made by its query', name USING ERRCODE = '55000', HINT = 'Give its query, or drop the segment and make a list.';
  END IF;
  PERFORM mfiauto._alter_segment(name, query => CASE WHEN query IS DISTINCT FROM old.source THEN query END, description => coalesce(description, ''),
                                 real_time => real_time, refresh_every => coalesce(refresh_every, '0'));
  RETURN 'changed';
END $$;

-- A definition that is live, or already waits as the newest draft, is not made again. With activate, the state of the text is taken over.
CREATE FUNCTION mfiauto._import_workflow(item json, activate boolean) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  name text := mfiauto._import_text(item, 'name');
  definition json := item -> 'definition';
  wanted text := coalesce(mfiauto._import_text(item, 'state'), 'draft');
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
  CASE section
    WHEN 'links' THEN
      PERFORM mfiauto._check_members(item, '{name,url}', '{utm,expires}');
      RETURN mfiauto._import_link(item);
    WHEN 'templates' THEN
      PERFORM mfiauto._check_members(item, '{name,body}', '{channel,locale,class,alphabet,subject,html,options}');
      RETURN mfiauto._import_template(item);
    WHEN 'gateways' THEN
      PERFORM mfiauto._check_members(item, '{name,channel}', '{preset,priority,enabled,settings,secrets,definition}');
      RETURN mfiauto._import_gateway(item);
    WHEN 'traits' THEN
      PERFORM mfiauto._check_members(item, '{name,query}', '{description,bands}');
      RETURN mfiauto._import_trait(item);
    WHEN 'segments' THEN
      PERFORM mfiauto._check_members(item, '{name}', '{description,real_time,refresh_every,query}');
      RETURN mfiauto._import_segment(item);
    WHEN 'keywords' THEN
      PERFORM mfiauto._check_members(item, '{name,action}', '{locale,place,purpose,event,template}');
      RETURN mfiauto._import_keyword(item);
    WHEN 'answers' THEN
      PERFORM mfiauto._check_members(item, '{name,template}', '{}');
      RETURN mfiauto._import_answer(item);
    WHEN 'intents' THEN
      PERFORM mfiauto._check_members(item, '{name,examples}', '{template,hands_over,threshold}');
      RETURN mfiauto._import_intent(item);
    WHEN 'workflows' THEN
      PERFORM mfiauto._check_members(item, '{name,definition}', '{state,max_per_day}');
      RETURN mfiauto._import_workflow(item, activate);
  END CASE;
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
  PERFORM mfiauto._check_members(document, '{mfiauto}', '{about,links,templates,gateways,segments,traits,keywords,answers,intents,workflows}');
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
