-- Definitions as one text that people keep in version control; import.sql takes it back.

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

-- ---- One function a section, each in the order of its names ----

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
