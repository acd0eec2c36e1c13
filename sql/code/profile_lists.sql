-- The lists that profiles are read with: areas, sectors, what learning is worth, which events are interactions. They are small; what changes in one of
-- them may concern everybody, whose profiles the engine then looks at again.

CREATE FUNCTION mfiauto._check_name(kind text, name text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF name IS NULL OR btrim(name) = '' OR length(name) > 200 THEN
    RAISE EXCEPTION '% must have 1 to 200 characters', kind USING ERRCODE = '22023', HINT = 'Write it as the books do.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._set_area(area text, parent text DEFAULT NULL, name text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  above text[] := '{}';
BEGIN
  PERFORM mfiauto._check_name('an area', _set_area.area);
  PERFORM mfiauto._keep_engine_out();
  IF _set_area.parent IS NOT NULL THEN
    SELECT a.path INTO above FROM mfiauto.area a WHERE a.area = _set_area.parent;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'area "%" does not exist', _set_area.parent
        USING ERRCODE = '42704', HINT = 'Set the larger area first: SELECT mfiauto.set_area(''…'');';
    ELSIF _set_area.area = ANY (above) THEN
      RAISE EXCEPTION 'area "%" cannot lie in "%"', _set_area.area, _set_area.parent
        USING ERRCODE = '22023', DETAIL = format('"%s" lies in "%s" itself.', _set_area.parent, _set_area.area), HINT = 'Move the other one first.';
    END IF;
  END IF;
  INSERT INTO mfiauto.area AS a (area, parent, name, path)
  VALUES (_set_area.area, _set_area.parent, _set_area.name, above || _set_area.area)
  ON CONFLICT ON CONSTRAINT area_pkey DO UPDATE SET parent = excluded.parent, name = coalesce(excluded.name, a.name), path = excluded.path;
  -- All that lies in it moves with it.
  UPDATE mfiauto.area a SET path = above || a.path[array_position(a.path, _set_area.area):]
   WHERE _set_area.area = ANY (a.path) AND a.area <> _set_area.area;
  INSERT INTO mfiauto.client_dirty (client_id)
  SELECT p.client_id FROM mfiauto.profile_state p
   WHERE p.region IN (SELECT a.area FROM mfiauto.area a WHERE _set_area.area = ANY (a.path))
  ON CONFLICT DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._set_area(text, text, text)', '{admin}',
  'Says that an area (as the column region of the books names it) lies in another, or moves it there with all that lies in it; parent null: it is one of the largest.');

CREATE FUNCTION mfiauto._drop_area(area text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._keep_engine_out();
  IF EXISTS (SELECT FROM mfiauto.area a WHERE a.parent = _drop_area.area) THEN
    RAISE EXCEPTION 'area "%" is not empty', _drop_area.area
      USING ERRCODE = '2BP01', DETAIL = format('"%s" lies in it.', (SELECT min(a.area) FROM mfiauto.area a WHERE a.parent = _drop_area.area)), HINT = 'Move or drop what lies in it first.';
  END IF;
  DELETE FROM mfiauto.area a WHERE a.area = _drop_area.area;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'area "%" does not exist', _drop_area.area USING ERRCODE = '42704', HINT = 'mfiauto.area lists them.';
  END IF;
  INSERT INTO mfiauto.client_dirty (client_id) SELECT p.client_id FROM mfiauto.profile_state p WHERE p.region = _drop_area.area ON CONFLICT DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_area(text)', '{admin}', 'Takes an area in which no other lies off the tree.');

CREATE FUNCTION mfiauto._set_sector(sector text, name text DEFAULT NULL, aliases text[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  taken record;
BEGIN
  PERFORM mfiauto._check_name('a sector', _set_sector.sector);
  PERFORM mfiauto._keep_engine_out();
  IF array_ndims(_set_sector.aliases) > 1 THEN
    RAISE EXCEPTION 'aliases must be a plain list' USING ERRCODE = '22023', HINT = 'Give them as ''{farm,farming}''.';
  END IF;
  IF _set_sector.name IS NULL AND NOT EXISTS (SELECT FROM mfiauto.sector s WHERE s.sector = _set_sector.sector) THEN
    RAISE EXCEPTION 'sector "%" needs a name', _set_sector.sector USING ERRCODE = '22023', HINT = 'Give name => ''…'', as people call it.';
  END IF;
  SELECT a.alias, a.sector INTO taken FROM mfiauto.sector_alias a
   WHERE a.alias IN (SELECT lower(btrim(u)) FROM unnest(_set_sector.aliases || _set_sector.sector || _set_sector.name) u) AND a.sector <> _set_sector.sector
   ORDER BY a.alias LIMIT 1;
  IF taken.alias IS NOT NULL THEN
    RAISE EXCEPTION '"%" already stands for sector "%"', taken.alias, taken.sector USING ERRCODE = '42710', HINT = 'One word means one sector.';
  END IF;
  INSERT INTO mfiauto.sector AS s (sector, name) SELECT _set_sector.sector, _set_sector.name WHERE _set_sector.name IS NOT NULL
  ON CONFLICT ON CONSTRAINT sector_pkey DO NOTHING;
  UPDATE mfiauto.sector s SET name = _set_sector.name WHERE s.sector = _set_sector.sector AND s.name <> _set_sector.name;
  INSERT INTO mfiauto.sector_alias (alias, sector)
  SELECT DISTINCT lower(btrim(u)), _set_sector.sector FROM unnest(_set_sector.aliases || _set_sector.sector || _set_sector.name) u WHERE btrim(u) <> ''
  ON CONFLICT DO NOTHING;
  INSERT INTO mfiauto.client_dirty (client_id)
  SELECT p.client_id FROM mfiauto.profile_state p
   WHERE lower(p.sector_given) IN (SELECT a.alias FROM mfiauto.sector_alias a WHERE a.sector = _set_sector.sector)
  ON CONFLICT DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._set_sector(text, text, text[])', '{admin}',
  'Adds a sector of activity to the code list, renames it, or adds what the books may write for it (aliases, whatever their case).');

CREATE FUNCTION mfiauto._set_education_weight(event text, weight numeric, properties jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._check_name('an event''s name', _set_education_weight.event);
  IF jsonb_typeof(_set_education_weight.properties) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'properties of event "%" must be a JSON object', _set_education_weight.event
      USING ERRCODE = '22023', HINT = 'Give what the event''s properties must contain, as in {"lesson": "savings"}.';
  ELSIF _set_education_weight.weight NOT BETWEEN -1000 AND 1000 THEN
    RAISE EXCEPTION 'weight of event "%" must be between -1000 and 1000', _set_education_weight.event USING ERRCODE = '22023', HINT = 'null takes it away.';
  END IF;
  PERFORM mfiauto._keep_engine_out();
  IF _set_education_weight.weight IS NULL THEN
    DELETE FROM mfiauto.education_weight w WHERE w.event = _set_education_weight.event AND w.properties = _set_education_weight.properties;
  ELSE
    INSERT INTO mfiauto.education_weight (event, properties, weight)
    VALUES (_set_education_weight.event, _set_education_weight.properties, _set_education_weight.weight)
    ON CONFLICT ON CONSTRAINT education_weight_pkey DO UPDATE SET weight = excluded.weight;
  END IF;
  PERFORM mfiauto._doubt_profiles();
END $$;
SELECT mfiauto._open_door('mfiauto._set_education_weight(text, numeric, jsonb)', '{admin,author}',
  'How much an event with these properties (a finished lesson, a right answer) adds to a client''s education_score, once; null takes it away.');

CREATE FUNCTION mfiauto._set_interaction(event text, counts boolean) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._check_name('an event''s name', _set_interaction.event);
  IF _set_interaction.counts IS NULL THEN
    RAISE EXCEPTION 'counts must not be null' USING ERRCODE = '22004', HINT = 'Say true or false.';
  END IF;
  PERFORM mfiauto._keep_engine_out();
  IF _set_interaction.counts THEN
    DELETE FROM mfiauto.passive_event p WHERE p.event = _set_interaction.event;
  ELSE
    INSERT INTO mfiauto.passive_event (event) VALUES (_set_interaction.event) ON CONFLICT DO NOTHING;
  END IF;
  PERFORM mfiauto._doubt_profiles();
END $$;
SELECT mfiauto._open_door('mfiauto._set_interaction(text, boolean)', '{admin,author}',
  'Says whether an event counts as an interaction of the client (interactions_30d, interactions_90d, last_interaction_at); events that are not named do.');
