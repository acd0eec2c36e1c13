-- Traits that users compute by SQL: a query gives client_id and value; the values stand in client_profile.traits.

CREATE FUNCTION mfiauto._compile_trait(trait text, role text, query text,
  OUT stored text, OUT restricted text, OUT full_reason text, OUT is_timed boolean, OUT reads_segments text[], OUT reads_columns text[])
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_compile_trait';

CREATE FUNCTION mfiauto._select_values(role text, query text, client_ids bigint[]) RETURNS TABLE (client_id bigint, value jsonb)
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_select_values';

-- The trait of a name, which must exist.
CREATE FUNCTION mfiauto._trait_named(name text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_id integer := (SELECT t.trait_id FROM mfiauto.trait_definition t WHERE t.name = _trait_named.name);
BEGIN
  IF found_id IS NULL THEN
    RAISE EXCEPTION 'trait "%" does not exist', coalesce(name, 'null') USING ERRCODE = '42704', HINT = 'SELECT name FROM mfiauto.trait; lists them.';
  END IF;
  RETURN found_id;
END $$;

-- Puts the values of computed traits into the profiles of these clients (null: of all), where they differ; returns whose did.
CREATE FUNCTION mfiauto._show_traits(client_ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  changed bigint[];
BEGIN
  WITH shown AS (
    SELECT v.client_id, jsonb_object_agg(t.name, CASE WHEN t.bands IS NULL THEN v.value
             ELSE to_jsonb(1 + (SELECT count(*) FROM unnest(t.bounds) AS b(bound) WHERE (v.value #>> '{}')::numeric > b.bound)) END) AS computed
      FROM mfiauto.trait_value v JOIN mfiauto.trait_definition t ON t.trait_id = v.trait_id
     WHERE _show_traits.client_ids IS NULL OR v.client_id = ANY (_show_traits.client_ids)
     GROUP BY v.client_id
  ), fresh AS (
    SELECT p.client_id, coalesce(s.computed, '{}') AS computed
      FROM mfiauto.profile_state p LEFT JOIN shown s ON s.client_id = p.client_id
     WHERE (_show_traits.client_ids IS NULL OR p.client_id = ANY (_show_traits.client_ids)) AND p.computed IS DISTINCT FROM coalesce(s.computed, '{}')
  ), written AS (
    UPDATE mfiauto.profile_state p SET computed = f.computed, computed_at = mfiauto.now()
      FROM fresh f WHERE p.client_id = f.client_id AND (_show_traits.client_ids IS NULL OR p.client_id = ANY (_show_traits.client_ids))
    RETURNING p.client_id
  )
  SELECT coalesce(array_agg(w.client_id), '{}') INTO changed FROM written w;
  RETURN changed;
END $$;

-- Evaluates a trait for these clients, or for all (null), and keeps what it gave for those who are in the books.
CREATE FUNCTION mfiauto._evaluate_trait(trait_id integer, client_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  t mfiauto.trait_definition;
  tally record;
BEGIN
  SELECT d.* INTO STRICT t FROM mfiauto.trait_definition d WHERE d.trait_id = _evaluate_trait.trait_id;
  WITH given AS MATERIALIZED (
    SELECT g.client_id, nullif(g.value, 'null') AS value
      FROM mfiauto._select_values(t.owner, CASE WHEN _evaluate_trait.client_ids IS NULL THEN t.query ELSE t.restricted_query END, _evaluate_trait.client_ids) g
  ), known AS (
    SELECT DISTINCT ON (g.client_id) g.client_id, g.value FROM given g JOIN mfiauto.profile_state p ON p.client_id = g.client_id
     WHERE g.value IS NOT NULL AND (_evaluate_trait.client_ids IS NULL OR p.client_id = ANY (_evaluate_trait.client_ids))
     ORDER BY g.client_id
  ), written AS (
    INSERT INTO mfiauto.trait_value AS v (client_id, trait_id, value) SELECT k.client_id, t.trait_id, k.value FROM known k
    ON CONFLICT ON CONSTRAINT trait_value_pkey DO UPDATE SET value = excluded.value WHERE v.value IS DISTINCT FROM excluded.value
  ), removed AS (
    DELETE FROM mfiauto.trait_value v
     WHERE v.trait_id = t.trait_id AND (_evaluate_trait.client_ids IS NULL OR v.client_id = ANY (_evaluate_trait.client_ids))
       AND NOT EXISTS (SELECT FROM known k WHERE k.client_id = v.client_id)
  )
  SELECT count(*) AS row_count, count(g.client_id) AS named_count, count(DISTINCT g.client_id) AS client_count,
         min(jsonb_typeof(g.value)) FILTER (WHERE g.value IS NOT NULL AND jsonb_typeof(g.value) <> 'number') AS odd_type
    INTO tally FROM given g;
  IF tally.named_count < tally.row_count THEN
    RAISE EXCEPTION 'query of trait "%" gives a row without client_id', t.name USING ERRCODE = '22004', HINT = 'Leave those rows out: WHERE client_id IS NOT NULL.';
  ELSIF tally.client_count < tally.row_count THEN
    RAISE EXCEPTION 'query of trait "%" gives a client twice', t.name USING ERRCODE = '21000', HINT = 'Aggregate: SELECT client_id, max(…) AS value … GROUP BY client_id.';
  ELSIF t.bands IS NOT NULL AND tally.odd_type IS NOT NULL THEN
    RAISE EXCEPTION 'value of trait "%" is a %, not a number', t.name, tally.odd_type USING ERRCODE = '42804', HINT = 'Bands are made of numbers.';
  END IF;
  IF _evaluate_trait.client_ids IS NULL THEN
    -- The bands: equal numbers are in one band, so that they need not be of one size.
    UPDATE mfiauto.trait_definition d
       SET refreshed_at = mfiauto.now(), problem = NULL,
           bounds = CASE WHEN d.bands IS NOT NULL THEN coalesce(
             (SELECT percentile_disc(ARRAY(SELECT n::double precision / d.bands FROM generate_series(1, d.bands - 1) n)) WITHIN GROUP (ORDER BY (v.value #>> '{}')::numeric)
                FROM mfiauto.trait_value v WHERE v.trait_id = d.trait_id), '{}') END
     WHERE d.trait_id = t.trait_id;
  ELSIF t.problem IS NOT NULL THEN
    UPDATE mfiauto.trait_definition d SET problem = NULL WHERE d.trait_id = t.trait_id;
  END IF;
END $$;

-- The same for a batch of the engine's: what fails for one client stops nobody else, he keeps the value he had; what fails for all is told in mfiauto.trait.
CREATE FUNCTION mfiauto._try_trait(trait_id integer, client_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  half integer := cardinality(client_ids) / 2;
BEGIN
  PERFORM mfiauto._evaluate_trait(_try_trait.trait_id, _try_trait.client_ids);
EXCEPTION WHEN others THEN
  IF NOT mfiauto._is_query_error(SQLSTATE) THEN
    RAISE;
  ELSIF SQLSTATE ~ '^2[12]' AND half > 0 THEN
    PERFORM mfiauto._try_trait(_try_trait.trait_id, _try_trait.client_ids[:half]);
    PERFORM mfiauto._try_trait(_try_trait.trait_id, _try_trait.client_ids[half + 1:]);
  ELSIF SQLSTATE ~ '^2[12]' THEN
    PERFORM mfiauto._park('trait', (SELECT d.name FROM mfiauto.trait_definition d WHERE d.trait_id = _try_trait.trait_id), 'client', client_ids[1], client_ids[1], SQLSTATE, 'expression', SQLERRM);
  ELSE
    UPDATE mfiauto.trait_definition d SET problem = SQLERRM WHERE d.trait_id = _try_trait.trait_id AND d.problem IS DISTINCT FROM SQLERRM;
  END IF;
END $$;

-- The traits that can be, for a batch of clients, in the order in which they were made: a later one may read an earlier one.
CREATE FUNCTION mfiauto._follow_traits(client_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  one integer;
BEGIN
  FOR one IN SELECT t.trait_id FROM mfiauto.trait_definition t WHERE t.restricted_query IS NOT NULL ORDER BY t.trait_id LOOP
    PERFORM mfiauto._try_trait(one, client_ids);
    PERFORM mfiauto._show_traits(client_ids);
  END LOOP;
END $$;

-- A trait for everybody; whose profile changed is looked at by the followers. The engine must be kept out.
CREATE FUNCTION mfiauto._refresh_whole_trait(trait_id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._evaluate_trait(trait_id, NULL);
  INSERT INTO mfiauto.client_dirty (client_id) SELECT u.id FROM unnest(mfiauto._show_traits(NULL)) AS u(id) ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION mfiauto._refresh_traits() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  t mfiauto.trait_definition;
  done integer := 0;
  total integer;
BEGIN
  PERFORM mfiauto._keep_engine_out();
  total := (SELECT count(*) FROM mfiauto.trait_definition);
  FOR t IN SELECT * FROM mfiauto.trait_definition d ORDER BY d.trait_id LOOP
    PERFORM mfiauto._note_progress('refresh_traits', 'all', t.name, done, total);
    BEGIN
      PERFORM mfiauto._refresh_whole_trait(t.trait_id);
      done := done + 1;
    EXCEPTION WHEN others THEN
      IF NOT mfiauto._is_query_error(SQLSTATE) THEN
        RAISE;
      END IF;
      RAISE WARNING 'trait "%" was not refreshed: %', t.name, SQLERRM;
      UPDATE mfiauto.trait_definition d SET problem = SQLERRM WHERE d.trait_id = t.trait_id;
    END;
  END LOOP;
  PERFORM mfiauto._note_progress('refresh_traits', 'all', 'done', done, total);
  RETURN done;
END $$;
SELECT mfiauto._open_door('mfiauto._refresh_traits()', '{admin,author}',
  'Computes every trait of create_trait() for all clients, and the limits of bands anew; returns how many worked. What is wrong with another stands in mfiauto.trait.');

CREATE FUNCTION mfiauto._set_trait_query(trait_id integer, query text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t mfiauto.trait_definition;
  compiled record;
BEGIN
  SELECT d.* INTO STRICT t FROM mfiauto.trait_definition d WHERE d.trait_id = _set_trait_query.trait_id;
  SELECT * INTO compiled FROM mfiauto._compile_trait(t.name, t.owner, _set_trait_query.query) c;
  IF format('mfiauto.client_profile.traits.%s', t.name) = ANY (compiled.reads_columns) THEN
    RAISE EXCEPTION 'trait "%" would depend on itself', t.name USING ERRCODE = '42P17', HINT = 'Write out what is meant in place of the trait''s name.';
  END IF;
  UPDATE mfiauto.trait_definition d
     SET source = _set_trait_query.query, query = compiled.stored, restricted_query = compiled.restricted, full_reason = compiled.full_reason, is_timed = compiled.is_timed, reads_columns = compiled.reads_columns
   WHERE d.trait_id = t.trait_id;
END $$;

CREATE FUNCTION mfiauto._create_trait(name text, query text, description text DEFAULT NULL, bands integer DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  new_id integer;
BEGIN
  IF _create_trait.name IS NULL OR _create_trait.name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
    RAISE EXCEPTION 'name of a trait is not valid' USING ERRCODE = '22023', HINT = 'Use lower-case letters, digits and underscores, 63 at most, a letter first.';
  ELSIF _create_trait.query IS NULL THEN
    RAISE EXCEPTION 'trait "%" needs a query', _create_trait.name USING ERRCODE = '22004', HINT = 'Give query => ''SELECT client_id, … AS value FROM …''.';
  ELSIF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'mfiauto.client_profile'::regclass AND a.attname = _create_trait.name AND a.attnum > 0) THEN
    RAISE EXCEPTION 'trait "%" is part of every profile', _create_trait.name USING ERRCODE = '42710', HINT = 'Give yours another name.';
  ELSIF EXISTS (SELECT FROM mfiauto.trait_definition t WHERE t.name = _create_trait.name) THEN
    RAISE EXCEPTION 'trait "%" already exists', _create_trait.name USING ERRCODE = '42710', HINT = format('Use mfiauto.alter_trait(%L, …).', _create_trait.name);
  ELSIF _create_trait.bands NOT BETWEEN 2 AND 100 THEN
    RAISE EXCEPTION 'bands of trait "%" must be between 2 and 100', _create_trait.name USING ERRCODE = '22023', HINT = 'Five are quintiles, ten deciles.';
  END IF;
  PERFORM mfiauto._keep_engine_out();
  INSERT INTO mfiauto.trait_definition AS t (name, source, query, description, bands, owner, created_at)
  VALUES (_create_trait.name, _create_trait.query, _create_trait.query, _create_trait.description, _create_trait.bands, mfiauto._caller(), mfiauto.now())
  RETURNING t.trait_id INTO new_id;
  PERFORM mfiauto._set_trait_query(new_id, _create_trait.query);
  PERFORM mfiauto._refresh_whole_trait(new_id);
  RETURN (SELECT count(*) FROM mfiauto.trait_value v WHERE v.trait_id = new_id);
END $$;
SELECT mfiauto._open_door('mfiauto._create_trait(text, text, text, integer)', '{admin,author}',
  'Computes a trait for client_profile.traits from a query that gives client_id and value, run with its creator''s rights; returns how many clients have one. bands => n: the trait is the band, 1 to n, '
  'in which the value lies when all clients are parted into n by it.');

CREATE FUNCTION mfiauto._alter_trait(name text, query text DEFAULT NULL, description text DEFAULT NULL, bands integer DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  its_id integer;
BEGIN
  IF _alter_trait.bands NOT BETWEEN 2 AND 100 AND _alter_trait.bands <> 0 THEN
    RAISE EXCEPTION 'bands of trait "%" must be between 2 and 100', _alter_trait.name USING ERRCODE = '22023', HINT = '0: no bands.';
  END IF;
  PERFORM mfiauto._keep_engine_out();
  its_id := mfiauto._trait_named(_alter_trait.name);
  UPDATE mfiauto.trait_definition t
     SET description = coalesce(_alter_trait.description, t.description), bands = CASE WHEN _alter_trait.bands IS NULL THEN t.bands ELSE nullif(_alter_trait.bands, 0) END,
         -- Whoever writes the query is whose rights it runs with.
         owner = CASE WHEN _alter_trait.query IS NULL THEN t.owner ELSE mfiauto._caller() END
   WHERE t.trait_id = its_id;
  IF _alter_trait.query IS NOT NULL THEN
    PERFORM mfiauto._set_trait_query(its_id, _alter_trait.query);
  END IF;
  PERFORM mfiauto._refresh_whole_trait(its_id);
  RETURN (SELECT count(*) FROM mfiauto.trait_value v WHERE v.trait_id = its_id);
END $$;
SELECT mfiauto._open_door('mfiauto._alter_trait(text, text, text, integer)', '{admin,author}',
  'Changes a computed trait''s query (it then runs with the caller''s rights), description or bands (0: none) and computes it anew; what is not given stays.');

CREATE FUNCTION mfiauto._drop_trait(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  its_id integer;
  user_name text;
BEGIN
  PERFORM mfiauto._keep_engine_out();
  its_id := mfiauto._trait_named(_drop_trait.name);
  SELECT u.name INTO user_name
    FROM (SELECT format('segment "%s"', s.name) AS name FROM mfiauto.segment_definition s WHERE format('mfiauto.client_profile.traits.%s', _drop_trait.name) = ANY (s.reads_columns)
          UNION ALL
          SELECT format('trait "%s"', t.name) FROM mfiauto.trait_definition t WHERE format('mfiauto.client_profile.traits.%s', _drop_trait.name) = ANY (t.reads_columns)
          UNION ALL
          SELECT format('workflow "%s"', h.name)
            FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
           WHERE h.state <> 'archived' AND v.trigger_trait = _drop_trait.name
             AND (v.version = h.live_version OR v.version = (SELECT max(n.version) FROM mfiauto.workflow_version n WHERE n.workflow_id = h.workflow_id))) u
   ORDER BY u.name LIMIT 1;
  IF user_name IS NOT NULL THEN
    RAISE EXCEPTION 'trait "%" is used by %', _drop_trait.name, user_name USING ERRCODE = '2BP01', HINT = 'Change or drop what uses it first.';
  END IF;
  DELETE FROM mfiauto.trait_value v WHERE v.trait_id = its_id;
  DELETE FROM mfiauto.trait_definition t WHERE t.trait_id = its_id;
  INSERT INTO mfiauto.client_dirty (client_id) SELECT u.id FROM unnest(mfiauto._show_traits(NULL)) AS u(id) ON CONFLICT DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_trait(text)', '{admin,author}', 'Takes a computed trait away; refused while a segment, a trait or a workflow uses it.');
