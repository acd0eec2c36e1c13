-- Looking at segments: who was in, what they share, whether they are right, whom they may treat unfairly.

CREATE FUNCTION mfiauto._require_segment(segment text) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_id integer := (SELECT s.segment_id FROM mfiauto.segment_definition s WHERE s.name = segment);
BEGIN
  IF segment IS NULL THEN
    RAISE EXCEPTION 'segment must not be null' USING ERRCODE = '22004', HINT = 'Name the segment, as in ''good_payers''.';
  ELSIF found_id IS NULL THEN
    RAISE EXCEPTION 'segment "%" does not exist', segment USING ERRCODE = '42704', HINT = 'SELECT name FROM mfiauto.segment; lists them.';
  END IF;
  RETURN found_id;
END $$;

CREATE FUNCTION mfiauto._segment_members(name text, as_of timestamptz DEFAULT NULL) RETURNS TABLE (client_id bigint, since timestamptz)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  id integer := mfiauto._require_segment(name);
BEGIN
  RETURN QUERY SELECT m.client_id, m.since FROM mfiauto.segment_membership m
    WHERE m.segment_id = id AND (as_of IS NULL AND m.until IS NULL OR m.since <= as_of AND (m.until IS NULL OR m.until > as_of));
END $$;
SELECT mfiauto._open_door('mfiauto._segment_members(text, timestamptz)', '{admin,author}',
  'Who was a member of a segment at a moment (default: now), and since when.');

CREATE FUNCTION mfiauto._segment_overlap(a text DEFAULT NULL, b text DEFAULT NULL)
RETURNS TABLE (segment text, other text, members bigint, other_members bigint, both_count bigint, share numeric)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto._require_segment(n) FROM unnest(ARRAY[a, b]) n WHERE n IS NOT NULL;
  RETURN QUERY
    WITH member AS MATERIALIZED (
      SELECT s.name, m.client_id FROM mfiauto.segment_definition s JOIN mfiauto.segment_membership m ON m.segment_id = s.segment_id AND m.until IS NULL
       WHERE a IS NULL OR b IS NULL OR s.name IN (a, b)
    ), size AS (
      SELECT s.name, count(m.client_id) AS members FROM mfiauto.segment_definition s LEFT JOIN member m ON m.name = s.name GROUP BY s.name
    ), shared AS (
      SELECT x.name, y.name AS other, count(*) AS both_count FROM member x JOIN member y ON y.client_id = x.client_id AND y.name <> x.name
       WHERE CASE WHEN a IS NULL THEN x.name < y.name ELSE x.name = a END GROUP BY 1, 2
    )
    SELECT x.name, y.name, x.members, y.members, coalesce(h.both_count, 0), round(coalesce(h.both_count, 0)::numeric / nullif(x.members + y.members - coalesce(h.both_count, 0), 0), 4)
      FROM size x JOIN size y ON y.name <> x.name AND (b IS NULL OR y.name = b) AND CASE WHEN a IS NULL THEN b IS NOT NULL OR x.name < y.name ELSE x.name = a END
      LEFT JOIN (SELECT * FROM shared UNION SELECT h.other, h.name, h.both_count FROM shared h) h ON h.name = x.name AND h.other = y.name
     ORDER BY x.name, y.name;
END $$;
SELECT mfiauto._open_door('mfiauto._segment_overlap(text, text)', '{admin,author}',
  'How many clients two segments share, of one segment with every other, or of all pairs; share: of those who are in either.');

CREATE FUNCTION mfiauto._check_segment(name text) RETURNS TABLE (client_id bigint, is_member boolean, belongs boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  s record;
BEGIN
  SELECT d.* INTO s FROM mfiauto.segment_definition d WHERE d.segment_id = mfiauto._require_segment(_check_segment.name);
  IF s.query IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT coalesce(p.client_id, m.client_id), m.client_id IS NOT NULL, p.client_id IS NOT NULL
      FROM unnest(mfiauto._select_members(s.name, s.owner, s.query, NULL)) AS p(client_id)
      FULL JOIN (SELECT t.client_id FROM mfiauto.segment_membership t WHERE t.segment_id = s.segment_id AND t.until IS NULL) m ON m.client_id = p.client_id
     WHERE p.client_id IS NULL OR m.client_id IS NULL;
END $$;
SELECT mfiauto._open_door('mfiauto._check_segment(text)', '{admin,author}',
  'Evaluates a segment''s query and lists where its members differ from it, changing nothing: no row when it is right. What changed a moment ago may not have been followed yet.');

-- ---- Fair treatment ----

CREATE FUNCTION mfiauto._protect_attribute(attribute text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF attribute IS NULL OR attribute !~ '^(traits\.)?[^.[:cntrl:]]+$' OR length(attribute) > 200 THEN
    RAISE EXCEPTION 'attribute is not valid'
      USING ERRCODE = '22023', HINT = 'Name a column of mfiauto.client or client_profile, as gender, or a trait, as traits.religion.';
  ELSIF attribute !~ '^traits\.' AND NOT EXISTS
      (SELECT FROM mfiauto._role_columns('client') c WHERE c.name = attribute
       UNION ALL SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass('mfiauto.client_profile') AND a.attname = attribute) THEN
    RAISE EXCEPTION 'a client has no column "%"', attribute
      USING ERRCODE = '42703', HINT = 'Name a column of mfiauto.client or client_profile, as gender, or a trait, as traits.religion.';
  ELSIF length(reason) > 1000 THEN
    RAISE EXCEPTION 'reason is longer than 1000 characters' USING ERRCODE = '54000', HINT = 'Say it in a line.';
  END IF;
  INSERT INTO mfiauto.protected_attribute (attribute, reason) VALUES (_protect_attribute.attribute, _protect_attribute.reason)
  ON CONFLICT ON CONSTRAINT protected_attribute_pkey DO UPDATE SET reason = excluded.reason;
END $$;
SELECT mfiauto._open_door('mfiauto._protect_attribute(text, text)', '{admin}',
  'Adds an attribute whose use mfiauto.fair_treatment lists: a column of client or client_profile, or a trait (traits.religion).');

CREATE FUNCTION mfiauto._unprotect_attribute(attribute text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.protected_attribute p WHERE p.attribute = _unprotect_attribute.attribute;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'attribute "%" is not protected', coalesce(attribute, 'null')
      USING ERRCODE = '42704', HINT = 'Table mfiauto.protected_attribute lists those that are.';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._unprotect_attribute(text)', '{admin}',
  'Takes an attribute off the list of those whose use mfiauto.fair_treatment shows.');
