-- Recipes: whole automations that ship as definitions, installed with one call. The files are contrib/recipes/*.json.

CREATE VIEW mfiauto.recipe AS
  SELECT r.recipe, r.content #>> '{about,summary}' AS about, r.content #>> '{about,touch_point}' AS touch_point,
         ARRAY(SELECT json_array_elements_text(r.content #> '{about,adapt}')) AS adapt,
         ARRAY(SELECT n.key || coalesce(' (' || (SELECT string_agg(c, ', ') FROM json_array_elements_text(n.value) c) || ')', '')
                 FROM json_each(r.content #> '{about,roles}') n) AS needs_roles,
         ARRAY(SELECT json_object_keys(r.content #> '{about,events}')) AS needs_events,
         ARRAY(SELECT t.name FROM json_to_recordset(r.content -> 'templates') t(name text) GROUP BY t.name ORDER BY t.name COLLATE "C") AS templates,
         ARRAY(SELECT w ->> 'name' FROM json_array_elements(r.content -> 'workflows') w) AS workflows,
         r.content AS definitions
    FROM mfiauto._recipe() r;
COMMENT ON VIEW mfiauto.recipe IS
  'The automations that ship: what each does, at which touch point, what to adapt, which roles (with their columns) must be bound and which events must come. install_recipe() installs one.';

-- What a recipe needs and the bindings do not have, as "loan (status, closed_on)".
CREATE FUNCTION mfiauto._recipe_gaps(needed json) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT n.key || coalesce(' (' || string_agg(c.name, ', ' ORDER BY c.n) || ')', '')
    FROM json_each(needed) WITH ORDINALITY n(key, value, place)
    LEFT JOIN mfiauto.binding_config b ON b.role = n.key
    LEFT JOIN LATERAL (SELECT e.name, e.n FROM json_array_elements_text(n.value) WITH ORDINALITY e(name, n)
                        WHERE b.role IS NULL OR NOT b.columns ? e.name) c ON true
   WHERE b.role IS NULL OR c.name IS NOT NULL
   GROUP BY n.key, n.place ORDER BY n.place
$$;

-- Names of a recipe that something else has already.
CREATE FUNCTION mfiauto._recipe_clashes(content json) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT format('template "%s"', t.name) FROM json_array_elements(content -> 'templates') i JOIN mfiauto.template_version t ON t.is_live AND t.name = i ->> 'name'
  UNION ALL
  SELECT format('segment "%s"', s.name) FROM json_array_elements(content -> 'segments') i JOIN mfiauto.segment_definition s ON s.name = i ->> 'name'
  UNION ALL
  SELECT format('trait "%s"', t.name) FROM json_array_elements(content -> 'traits') i JOIN mfiauto.trait_definition t ON t.name = i ->> 'name'
  UNION ALL
  SELECT format('workflow "%s"', h.name) FROM json_array_elements(content -> 'workflows') i JOIN mfiauto.workflow_head h ON h.name = i ->> 'name'
$$;

-- A column that the bindings may lack and the recipe can do without: where it is not mapped its value is not known.
CREATE FUNCTION mfiauto._recipe_without_columns(recipe text, content json) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
  missing record;
  document text := content::text;
BEGIN
  FOR missing IN SELECT n.key AS role, c.name, t.type FROM json_each(content #> '{about,optional}') n, json_array_elements_text(n.value) c(name)
                   JOIN LATERAL mfiauto._role_columns(n.key) t ON t.name = c.name
                  WHERE NOT EXISTS (SELECT FROM mfiauto.binding_config b WHERE b.role = n.key AND b.columns ? c.name) LOOP
    document := regexp_replace(document, format('\m%s\.%s\M', missing.role, missing.name), format('NULL::%s', missing.type), 'g');
    RAISE NOTICE 'recipe "%" does without %.%, which is not mapped', recipe, missing.role, missing.name
      USING HINT = 'Its conditions take it for not known.';
  END LOOP;
  RETURN document::json;
END $$;

CREATE FUNCTION mfiauto._install_recipe(name text, activate boolean DEFAULT false) RETURNS TABLE (section text, definition text, outcome text)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  content json := (SELECT r.content FROM mfiauto._recipe() r WHERE r.recipe = name);
  gaps text := (SELECT string_agg(g, ', ') FROM mfiauto._recipe_gaps(content #> '{about,roles}') g);
  clashes text := (SELECT string_agg(c, ', ') FROM mfiauto._recipe_clashes(content) c);
  event record;
  shown text := current_setting('client_min_messages');
BEGIN
  IF content IS NULL THEN
    RAISE EXCEPTION 'recipe "%" does not exist', coalesce(name, 'null') USING ERRCODE = '42704',
      HINT = format('Recipes: %s.', (SELECT string_agg(r.recipe, ', ' ORDER BY r.recipe) FROM mfiauto._recipe() r));
  END IF;
  IF clashes IS NOT NULL THEN
    RAISE EXCEPTION 'cannot install recipe "%": names of it are in use', name USING ERRCODE = '42710', DETAIL = format('There is already: %s.', clashes),
      HINT = 'If the recipe was installed before, change what it made; else rename what is there, or import the recipe''s definitions under other names.';
  END IF;
  IF gaps IS NOT NULL THEN
    RAISE EXCEPTION 'cannot install recipe "%": the books that it needs are not bound', name USING ERRCODE = '55000', DETAIL = format('Missing: %s.', gaps),
      HINT = 'Bind the role, or map the columns, with mfiauto.bind() and install the recipe then.';
  END IF;
  FOR event IN SELECT e.key AS name, e.value FROM json_each_text(content #> '{about,events}') e
                WHERE NOT EXISTS (SELECT FROM mfiauto.source s WHERE s.kind = 'watch' AND s.name = e.key) LOOP
    RAISE NOTICE 'recipe "%" goes by the event "%"', name, event.name USING HINT = event.value;
  END LOOP;
  content := mfiauto._recipe_without_columns(name, content);
  -- Of the events it was just said where they come from.
  IF shown NOT IN ('warning', 'error') THEN
    PERFORM set_config('client_min_messages', 'warning', true);
  END IF;
  RETURN QUERY SELECT * FROM mfiauto._import_definitions(content::text, activate);
  PERFORM set_config('client_min_messages', shown, true);
END $$;
SELECT mfiauto._open_door('mfiauto._install_recipe(text, boolean)', '{admin,author}',
  'Installs a recipe of mfiauto.recipe: its templates, segments and workflows, as drafts, or live with activate => true; says what was made. '
  'A NOTICE tells which events the institution must bring by watch() or track().');
