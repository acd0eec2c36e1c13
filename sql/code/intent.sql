-- Questions that have an answer: a text is compared, word by word, with examples of each.

-- The words of a text that count, as they are compared: folded, without courtesy and the little words of the language, by their stems where PostgreSQL knows the language.
CREATE FUNCTION mfiauto._intent_words(body text, locale text) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN cardinality(w.stems) > 0 THEN w.stems ELSE tsvector_to_array(to_tsvector('pg_catalog.simple', w.folded)) END
    FROM (SELECT f.folded, tsvector_to_array(to_tsvector(
                   CASE split_part($2, '-', 1) WHEN 'fr' THEN 'pg_catalog.french' WHEN 'en' THEN 'pg_catalog.english' WHEN 'pt' THEN 'pg_catalog.portuguese'
                                               WHEN 'es' THEN 'pg_catalog.spanish' WHEN 'ar' THEN 'pg_catalog.arabic' ELSE 'pg_catalog.simple' END::regconfig, f.folded)) AS stems
            FROM (SELECT mfiauto._drop_courtesy(mfiauto._drop_courtesy(mfiauto._fold_text($1), false), true) AS folded) f) w
$$;

-- How well a text fits each question: the weight of the words that it shares with the best of its examples, against the weight of all words of both (1: the same
-- words). A word weighs the more the fewer questions use it; one that no question uses weighs little.
CREATE FUNCTION mfiauto._score_intents(body text) RETURNS TABLE (name text, locale text, score numeric)
LANGUAGE sql STABLE SET jit = off AS $$
  WITH tongue AS MATERIALIZED (
    SELECT w.locale, ln(1 + count(DISTINCT w.name)::numeric) AS rarest FROM mfiauto.intent_word w GROUP BY w.locale
  ), weight AS MATERIALIZED (
    SELECT w.locale, w.word, ln(1 + (SELECT count(DISTINCT a.name) FROM mfiauto.intent_word a WHERE a.locale = w.locale)::numeric / count(DISTINCT w.name)) AS weight
      FROM mfiauto.intent_word w GROUP BY w.locale, w.word
  ), said AS MATERIALIZED (
    SELECT t.locale, s.word, coalesce(w.weight, t.rarest * 0.6) AS weight
      FROM tongue t CROSS JOIN LATERAL unnest(mfiauto._intent_words($1, t.locale)) AS s(word) LEFT JOIN weight w ON w.locale = t.locale AND w.word = s.word
  ), example AS (
    SELECT i.name, i.locale, i.example, sum(w.weight) AS whole, sum(w.weight) FILTER (WHERE s.word IS NOT NULL) AS shared
      FROM mfiauto.intent_word i
      JOIN weight w ON w.locale = i.locale AND w.word = i.word
      LEFT JOIN said s ON s.locale = i.locale AND s.word = i.word
     GROUP BY i.name, i.locale, i.example
  ), scored AS (
    SELECT e.name, e.locale, 2 * e.shared / (e.whole + (SELECT sum(s.weight) FROM said s WHERE s.locale = e.locale)) AS score FROM example e WHERE e.shared IS NOT NULL
  )
  SELECT DISTINCT ON (s.name) s.name, s.locale, round(s.score, 3) FROM scored s ORDER BY s.name, s.score DESC, s.locale
$$;

-- The question that a text asks, and the language it is asked in; nothing if none fits well enough, or two fit about as well.
CREATE FUNCTION mfiauto._find_intent(body text, OUT name text, OUT locale text)
LANGUAGE sql STABLE AS $$
  SELECT b.name, b.locale
    FROM (SELECT s.name, s.locale, s.score, lead(s.score) OVER (ORDER BY s.score DESC, s.name) AS next, row_number() OVER (ORDER BY s.score DESC, s.name) AS place
            FROM mfiauto._score_intents($1) s) b
    JOIN mfiauto.intent_config i ON i.name = b.name
   WHERE b.place = 1 AND b.score >= i.threshold AND coalesce(b.score - b.next >= 0.05, true)
$$;

CREATE FUNCTION mfiauto._match_intent(body text) RETURNS TABLE (name text, locale text, score numeric, answers boolean)
LANGUAGE sql STABLE AS $$
  SELECT s.name, s.locale, s.score, coalesce(s.name = (SELECT f.name FROM mfiauto._find_intent($1) f), false) FROM mfiauto._score_intents($1) s ORDER BY s.score DESC, s.name
$$;
SELECT mfiauto._open_door('mfiauto._match_intent(text)', '{admin,author}', 'How well a text fits each question (1: the same words), and which one answers it, if any.');

CREATE FUNCTION mfiauto._create_intent(name text, examples jsonb, template text DEFAULT NULL, hands_over boolean DEFAULT false, threshold numeric DEFAULT 0.5) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  spoken record;
BEGIN
  IF name IS NULL OR name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
    RAISE EXCEPTION 'name of an intent is not valid' USING ERRCODE = '22023', HINT = 'Use lower-case letters, digits and _, as how_to_pay.';
  END IF;
  IF EXISTS (SELECT FROM mfiauto.intent_config i WHERE i.name = _create_intent.name) THEN
    RAISE EXCEPTION 'intent "%" exists already', _create_intent.name USING ERRCODE = '42710', HINT = 'Drop it first with drop_intent().';
  END IF;
  IF (threshold BETWEEN 0.1 AND 1) IS NOT TRUE THEN
    RAISE EXCEPTION 'threshold must be between 0.1 and 1' USING ERRCODE = '22023', HINT = 'match_intent() tells how well a text fits.';
  END IF;
  hands_over := coalesce(hands_over, false);
  IF template IS NULL AND NOT hands_over THEN
    RAISE EXCEPTION 'intent "%" needs an answer', _create_intent.name USING ERRCODE = '22023', HINT = 'Give the name of a template, or hands_over => true.';
  END IF;
  PERFORM mfiauto._check_answer_template(template);
  IF jsonb_typeof(examples) IS DISTINCT FROM 'object' OR examples = '{}' OR pg_column_size(examples) > 65536
     OR EXISTS (SELECT FROM jsonb_each(examples) e WHERE jsonb_typeof(e.value) <> 'array' OR e.value = '[]'
                   OR EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE '[]' END) x WHERE jsonb_typeof(x) <> 'string')) THEN
    RAISE EXCEPTION 'examples of intent "%" are not valid', _create_intent.name USING ERRCODE = '22023', DETAIL = 'They are at most 64 kB.',
      HINT = 'Give texts by language: {"fr": ["comment payer", "où payer"], "en": ["how do I pay"]}.';
  END IF;
  INSERT INTO mfiauto.intent_config (name, template, hands_over, threshold, examples, created_at, created_by)
  VALUES (name, template, hands_over, threshold, examples, mfiauto.now(), mfiauto._caller());
  FOR spoken IN SELECT mfiauto._checked_locale(e.key) AS locale, x.value AS text, x.ordinality AS number
                  FROM jsonb_each(examples) e, jsonb_array_elements_text(e.value) WITH ORDINALITY x LOOP
    INSERT INTO mfiauto.intent_word (name, locale, example, word)
    SELECT _create_intent.name, spoken.locale, spoken.number, w.word FROM unnest(mfiauto._intent_words(spoken.text, spoken.locale)) AS w(word);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'example % of intent "%" in "%" has no words', spoken.number, _create_intent.name, spoken.locale USING ERRCODE = '22023', HINT = 'Write it as a client would.';
    END IF;
  END LOOP;
  PERFORM mfiauto._note_change('intent', _create_intent.name, jsonb_build_object('template', _create_intent.template, 'hands_over', _create_intent.hands_over,
                                                                                 'threshold', _create_intent.threshold, 'examples', _create_intent.examples));
END $$;
SELECT mfiauto._open_door('mfiauto._create_intent(text, jsonb, text, boolean, numeric)', '{admin,author}',
  'Declares a question that clients ask: examples of it by language, and the template (in every channel and language that is answered) that answers it; hands_over: a person is asked to.');

CREATE FUNCTION mfiauto._drop_intent(name text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  DELETE FROM mfiauto.intent_word w WHERE w.name = _drop_intent.name;
  DELETE FROM mfiauto.intent_config i WHERE i.name = _drop_intent.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'intent "%" does not exist', left(_drop_intent.name, 100) USING ERRCODE = '42704', HINT = 'mfiauto.intent lists them.';
  END IF;
  PERFORM mfiauto._note_change('intent', _drop_intent.name, '{"dropped": true}');
END $$;
SELECT mfiauto._open_door('mfiauto._drop_intent(text)', '{admin,author}', 'Takes a question and its examples away; what was answered stays in the ledger.');
