-- Keywords: what the words do that people send us.

-- A text as it is compared: compatibility forms made plain (full width, ligatures), accents, marks and invisible characters gone, lower case, everything that is
-- neither letter nor digit one blank. Letters of African alphabets that telephones lack count as those that are written for them.
CREATE FUNCTION mfiauto._fold_text(body text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT pg_catalog.btrim(pg_catalog.regexp_replace(
           pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
             pg_catalog.translate(
               pg_catalog.lower(pg_catalog.regexp_replace(pg_catalog.normalize(pg_catalog.left($1, 2000), 'NFKD'),
                 '[\u00AD\u0300-\u036F\u0483-\u0489\u0591-\u05BD\u061C\u0640\u064B-\u065F\u0670\u06D6-\u06ED\u115F\u1160\u180B-\u180F\u1AB0-\u1AFF\u1DC0-\u1DFF\u200B-\u200F\u202A-\u202E\u2060-\u206F\u20D0-\u20FF\u3164\uFE00-\uFE0F\uFE20-\uFE2F\uFEFF\uFFA0\U000E0000-\U000E0FFF]', '', 'g')),
               'ŒÆøØłŁđĐɓƁɗƊŋŊɛƐɔƆƙƘƴƳıɩɲƝʋƲىةٱ٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹', 'œæoollddbbddnneeookkyyiinnvvيها01234567890123456789'),
             'œ', 'oe'), 'æ', 'ae'), 'ß', 'ss'),
           '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u02B9-\u02FF\u055A-\u055F\u0589\u05BE\u05F3\u05F4\u060C\u061B\u061F\u066A-\u066D\u06D4\u1361-\u1368\u1680\u2000-\u206F\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3003\u3008-\u3030\uA4FE\uA4FF\uE000-\uF8FF\uFE10-\uFE6F\uFFF9-\uFFFF\U0001F000-\U0001FAFF]+', ' ', 'g'), ' ')
$$;

-- Words of courtesy at the beginning (or the end) of a folded text taken off, as long as something is left.
CREATE FUNCTION mfiauto._drop_courtesy(folded text, at_end boolean) RETURNS text
LANGUAGE plpgsql STABLE STRICT AS $$
#variable_conflict use_column
DECLARE
  rest text := folded;
  word text;
BEGIN
  LOOP
    word := (SELECT k.keyword FROM mfiauto.keyword_config k
              WHERE k.action = 'courtesy' AND CASE WHEN at_end THEN right(rest, length(k.keyword) + 1) = ' ' || k.keyword ELSE starts_with(rest, k.keyword || ' ') END
              ORDER BY length(k.keyword) DESC LIMIT 1);
    EXIT WHEN word IS NULL;
    rest := CASE WHEN at_end THEN left(rest, -length(word) - 1) ELSE substr(rest, length(word) + 2) END;
  END LOOP;
  RETURN rest;
END $$;

CREATE TYPE mfiauto._keyword AS (keyword text, locale text, action text, place text, purpose text, event text, template text);

-- The keyword that a text is or begins with; the longest decides, of equal ones the client's language, then the institution's. Letters that stand alone
-- (S.T.O.P) are one word.
CREATE FUNCTION mfiauto._find_keyword(body text, locale text) RETURNS mfiauto._keyword
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  folded text := mfiauto._fold_text(body);
  rest text;
  home text := (SELECT i.locale FROM mfiauto.institution i);
  found mfiauto._keyword;
BEGIN
  IF folded = '' OR folded IS NULL THEN
    RETURN NULL;
  END IF;
  IF folded ~ '^\S( \S){2,}$' THEN
    folded := replace(folded, ' ', '');
  END IF;
  rest := mfiauto._drop_courtesy(folded, false);
  SELECT k.keyword, k.locale, k.action, k.place, k.purpose, k.event, k.template INTO found
    FROM mfiauto.keyword_config k
   WHERE k.keyword = ANY (ARRAY(
           SELECT array_to_string((string_to_array(t.text, ' '))[1:n.words], ' ') FROM unnest(ARRAY[folded, rest]) AS t(text), generate_series(1, 6) AS n(words))
           || mfiauto._drop_courtesy(rest, true))
     AND k.action <> 'courtesy'
     AND CASE k.place WHEN 'alone' THEN k.keyword IN (folded, rest, mfiauto._drop_courtesy(rest, true))
                         ELSE starts_with(folded || ' ', k.keyword || ' ') OR starts_with(rest || ' ', k.keyword || ' ') END
   ORDER BY length(k.keyword) DESC,
            CASE WHEN k.locale = _find_keyword.locale THEN 0 WHEN k.locale = split_part(_find_keyword.locale, '-', 1) THEN 1 WHEN k.locale = '*' THEN 3
                 WHEN k.locale = split_part(home, '-', 1) THEN 2 ELSE 4 END,
            array_position('{stop,stop_all}'::text[], k.action), k.locale
   LIMIT 1;
  RETURN found;
END $$;

CREATE FUNCTION mfiauto._check_answer_template(template text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF template IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = template) THEN
    RAISE EXCEPTION 'template "%" does not exist', left(template, 100) USING ERRCODE = '42704', HINT = 'Make it first with create_template(), for each channel and language that is answered.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._set_keyword(keyword text, action text, locale text DEFAULT '*', place text DEFAULT NULL, purpose text DEFAULT NULL,
  event text DEFAULT NULL, template text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  folded text := mfiauto._fold_text(keyword);
BEGIN
  IF coalesce(folded, '') = '' OR length(folded) > 100 OR cardinality(string_to_array(folded, ' ')) > 6 THEN
    RAISE EXCEPTION 'a keyword has 1 to 6 words, and at most 100 characters' USING ERRCODE = '22023',
      DETAIL = 'Accents, case, punctuation and signs do not count.', HINT = 'For instance set_keyword(''solde'', ''event'', event => ''Balance Asked'').';
  END IF;
  IF action IS NULL OR action NOT IN ('stop', 'stop_all', 'start', 'confirm', 'help', 'info', 'event', 'none', 'courtesy') THEN
    RAISE EXCEPTION 'action "%" of a keyword does not exist', coalesce(left(action, 100), 'null') USING ERRCODE = '22023',
      HINT = 'Known: stop, stop_all, start, confirm, help, info, event, none, courtesy.';
  END IF;
  place := coalesce(place, CASE WHEN action IN ('stop', 'stop_all', 'none', 'courtesy') THEN 'first' ELSE 'alone' END);
  IF place NOT IN ('first', 'alone') THEN
    RAISE EXCEPTION 'place "%" of a keyword does not exist', left(place, 100) USING ERRCODE = '22023',
      HINT = 'first: the text begins with it; alone: the text is nothing else.';
  END IF;
  IF folded = 'stop' AND (action NOT IN ('stop', 'stop_all') OR place <> 'first' OR purpose IS NOT NULL) THEN
    RAISE EXCEPTION 'the keyword "stop" cannot mean anything else' USING ERRCODE = '55000', HINT = 'Everybody expects of it that messages end. Take another word.';
  END IF;
  IF (event IS NOT NULL) <> (action = 'event') OR length(event) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'a keyword of action "event", and no other, names an event of 1 to 200 characters' USING ERRCODE = '22023', HINT = 'For instance event => ''Balance Asked''.';
  END IF;
  IF purpose IS NOT NULL THEN
    PERFORM mfiauto._check_class(purpose);
    IF action NOT IN ('stop', 'start') OR NOT (SELECT c.honors_opt_out FROM mfiauto.message_class c WHERE c.class = purpose) THEN
      RAISE EXCEPTION 'purpose of a keyword is for stop and start, and a class that can be opted out of' USING ERRCODE = '22023',
        HINT = format('These can: %s.', (SELECT string_agg(c.class, ', ' ORDER BY c.priority) FROM mfiauto.message_class c WHERE c.honors_opt_out));
    END IF;
  END IF;
  PERFORM mfiauto._check_answer_template(template);
  INSERT INTO mfiauto.keyword_config (keyword, locale, action, place, purpose, event, template)
  VALUES (folded, mfiauto._checked_locale(coalesce(locale, '*')), action, place, purpose, event, template)
  ON CONFLICT ON CONSTRAINT keyword_config_pkey DO UPDATE
    SET action = excluded.action, place = excluded.place, purpose = excluded.purpose, event = excluded.event, template = excluded.template, is_builtin = false;
  PERFORM mfiauto._note_change('keyword', folded, jsonb_strip_nulls(jsonb_build_object('locale', coalesce(locale, '*'), 'action', action, 'place', place, 'purpose', purpose,
                                                                                        'event', event, 'template', template)));
END $$;
SELECT mfiauto._open_door('mfiauto._set_keyword(text, text, text, text, text, text, text)', '{admin,author}',
  'Says what a word or phrase does that clients send us: stop, stop_all, start, confirm, help, info, event, none, courtesy. place first: the text begins with it, '
  'alone: it is the text. purpose: the class that a stop or start is about (null: all); event: what it is to workflows; template: its answer.');

CREATE FUNCTION mfiauto._drop_keyword(keyword text, locale text DEFAULT '*') RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  folded text := mfiauto._fold_text(keyword);
BEGIN
  IF folded = 'stop' AND coalesce(locale, '*') = '*' THEN
    RAISE EXCEPTION 'the keyword "stop" cannot be dropped' USING ERRCODE = '55000', HINT = 'Everybody expects of it that messages end.';
  END IF;
  DELETE FROM mfiauto.keyword_config k WHERE k.keyword = folded AND k.locale = mfiauto._checked_locale(coalesce(locale, '*'));
  IF NOT FOUND THEN
    RAISE EXCEPTION 'keyword "%" of locale "%" does not exist', left(folded, 100), left(coalesce(locale, '*'), 100) USING ERRCODE = '42704', HINT = 'mfiauto.keyword lists them.';
  END IF;
  PERFORM mfiauto._note_change('keyword', folded, jsonb_build_object('locale', coalesce(locale, '*'), 'dropped', true));
END $$;
SELECT mfiauto._open_door('mfiauto._drop_keyword(text, text)', '{admin,author}', 'Takes a keyword away: it is a text like any other then.');

CREATE FUNCTION mfiauto._set_keyword_answer(action text, template text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF action IS NULL OR action NOT IN ('stop', 'stop_all', 'start', 'confirm', 'help', 'info', 'handover') THEN
    RAISE EXCEPTION 'action "%" has no answer', coalesce(left(action, 100), 'null') USING ERRCODE = '22023', HINT = 'Known: stop, stop_all, start, confirm, help, info, handover.';
  END IF;
  PERFORM mfiauto._check_answer_template(template);
  DELETE FROM mfiauto.keyword_answer a WHERE a.action = _set_keyword_answer.action;
  INSERT INTO mfiauto.keyword_answer (action, template) SELECT _set_keyword_answer.action, _set_keyword_answer.template WHERE _set_keyword_answer.template IS NOT NULL;
  PERFORM mfiauto._note_change('keyword answer', _set_keyword_answer.action, jsonb_build_object('template', _set_keyword_answer.template));
END $$;
SELECT mfiauto._open_door('mfiauto._set_keyword_answer(text, text)', '{admin,author}',
  'The template that answers an action of keywords (handover: that a person will answer); null: no answer.');
