-- Lint: what a text costs at most, how hard it is to read, and what it should not say.

-- ---- Values to try a text with: as they usually are, and as long as they come ----

CREATE FUNCTION mfiauto._lint_value(object text, field text, kind text, locale text, currency text, is_longest boolean) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN kind IN ('money') THEN CASE WHEN is_longest THEN '99999999' ELSE '12500' END
    WHEN kind = 'money_text' THEN mfiauto.money_text(CASE WHEN is_longest THEN 99999999 ELSE 12500 END, currency, locale)
    WHEN kind IN ('date', 'time') THEN '2026-09-23'
    WHEN kind IN ('date_text', 'time_text') THEN CASE WHEN is_longest
           THEN (SELECT mfiauto.date_text(make_date(2026, n, 28), locale) FROM generate_series(1, 12) n ORDER BY length(mfiauto.date_text(make_date(2026, n, 28), locale)) DESC, n LIMIT 1)
           ELSE mfiauto.date_text('2026-02-05', locale) END
    WHEN kind IN ('id', 'number') THEN CASE WHEN is_longest THEN '1234567890' ELSE '10450' END
    WHEN field = 'name' AND object = 'client' THEN CASE WHEN is_longest THEN 'Marie-Antoinette Ndeye Fatou Diop Sarr' ELSE 'Awa Diop' END
    WHEN field = 'name' THEN CASE WHEN is_longest THEN 'Mutuelle de Credit et Epargne' ELSE 'Caisse' END
    WHEN field IN ('phone', 'email') THEN CASE WHEN is_longest THEN 'marie.antoinette.diop@example.com' ELSE '+221770000001' END
    ELSE CASE WHEN is_longest THEN 'Keur Massar Parcelles Assainies' ELSE 'Thies' END END
$$;

-- Everything that a text may name. What hangs on names of the author's own choice (traits, event) is taken from the text.
CREATE FUNCTION mfiauto._lint_context(sources text[], locale text, is_longest boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  WITH name AS (
    SELECT DISTINCT n.name FROM unnest(sources) s(source), unnest(mfiauto._template_names(s.source)) AS n(name)
  ), field AS (
    SELECT f.object, v.field, v.kind
      FROM mfiauto._context_field() f,
           LATERAL (VALUES (f.field, f.kind), (f.field || '_text', CASE WHEN f.kind IN ('money', 'date', 'time') THEN f.kind || '_text' END),
                             (f.field || '_plural', CASE WHEN f.kind = 'number' THEN f.kind END)) AS v(field, kind)
     WHERE v.kind IS NOT NULL AND f.kind <> 'json'
  ), object AS (
    SELECT f.object, jsonb_object_agg(f.field, mfiauto._lint_value(f.object, f.field, f.kind, _lint_context.locale, i.currency, is_longest)) AS value
      FROM field f CROSS JOIN mfiauto.institution i WHERE f.object <> 'institution' GROUP BY f.object
  )
  SELECT (SELECT jsonb_object_agg(o.object, o.value) FROM object o)
         || jsonb_build_object(
              'institution', (SELECT jsonb_build_object('name', i.name, 'country', i.country, 'time_zone', i.time_zone, 'locale', i.locale, 'currency', i.currency) FROM mfiauto.institution i),
              'links', mfiauto._links(NULL),
              'event', coalesce((SELECT jsonb_object_agg(split_part(n.name, '.', 2), mfiauto._lint_value('event', split_part(n.name, '.', 2), 'text', _lint_context.locale, NULL, is_longest))
                                   FROM name n WHERE n.name ~ '^event\..'), '{}'),
              'client', (SELECT o.value FROM object o WHERE o.object = 'client')
                        || jsonb_build_object('traits', coalesce((SELECT jsonb_object_agg(split_part(n.name, '.', 3),
                                                                                         mfiauto._lint_value('traits', split_part(n.name, '.', 3), 'text', _lint_context.locale, NULL, is_longest))
                                                                    FROM name n WHERE n.name ~ '^client\.traits\..'), '{}')))
$$;

-- ---- Reading ----

-- Words as they are read out: no addresses, no codes.
CREATE FUNCTION mfiauto._lint_words(body text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_agg(w.word ORDER BY w.n), '{}')
    FROM (SELECT regexp_replace(lower(r.word), '^[^[:alpha:]]+|[^[:alpha:]]+$', '', 'g') AS word, r.n
            FROM regexp_split_to_table(translate(regexp_replace(body, 'https?://\S+', ' ', 'g'), '’', ''''), '\s+') WITH ORDINALITY AS r(word, n)) w
   WHERE w.word ~ '[[:alpha:]]'
$$;

-- Sentences end at a mark before a blank, or with the line.
CREATE FUNCTION mfiauto._lint_sentences(body text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE AS $$
  SELECT s FROM regexp_split_to_table(body, '[.!?…؟。]+(?:\s+|$)|\n+') AS s WHERE s ~ '[[:alnum:]]'
$$;

-- Groups of vowels, without the mute e at the end; a y between vowels, and in French an é before one, part two.
CREATE FUNCTION mfiauto._lint_syllables(word text, language text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(1, v.groups - CASE
           WHEN language = 'en' AND w.bare ~ '[^aeiouyl]e$' THEN 1
           WHEN language = 'en' AND w.bare ~ '[aeiouy]le$' THEN 1
           WHEN language = 'en' AND w.bare ~ '[^aeioudty]ed$' THEN 1
           WHEN language = 'fr' AND w.bare ~ '[^aeiouyàâäéèêëîïôöùûüœæ]es?$' THEN 1
           ELSE 0 END)
    FROM (SELECT regexp_replace(lower(word), '[^[:alpha:]]', '', 'g') AS bare) w,
         LATERAL (SELECT count(*)::integer AS groups
                    FROM regexp_matches(regexp_replace(CASE language WHEN 'fr' THEN replace(w.bare, 'é', 'é-') ELSE w.bare END, '([aeiou])y([aeiouéè])', '\1-\2', 'g'),
                                        '[aeiouyàâäéèêëîïôöùûüœæ]+', 'g')) v
$$;

-- Flesch (English); Kandel and Moles (French); null for others.
CREATE FUNCTION mfiauto._reading_ease(body text, language text) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE language WHEN 'en' THEN round(206.835 - 1.015 * c.words / c.sentences - 84.6 * c.syllables / c.words, 1)
                       WHEN 'fr' THEN round(207 - 1.015 * c.words / c.sentences - 73.6 * c.syllables / c.words, 1) END
    FROM (SELECT count(*)::numeric AS words, sum(mfiauto._lint_syllables(w, language))::numeric AS syllables,
                 (SELECT greatest(count(*), 1) FROM mfiauto._lint_sentences(body))::numeric AS sentences
            FROM unnest(mfiauto._lint_words(body)) w) c
   WHERE c.words > 0
$$;

-- A text of any length as phrases are looked for in it: sentence by sentence, so that none spans two.
CREATE FUNCTION mfiauto._fold_sentences(body text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT ' ' || coalesce(string_agg(mfiauto._fold_text(substr(s.sentence, 1 + 1800 * n, 2000)), ' | ' ORDER BY s.ord, n), '') || ' '
    FROM (SELECT s AS sentence, row_number() OVER () AS ord FROM mfiauto._lint_sentences(body) s) s, generate_series(0, length(s.sentence) / 1801) n
$$;

-- The listed phrases that a text holds, as whole words.
CREATE FUNCTION mfiauto._lint_phrases(body text, language text, kind text) RETURNS TABLE (phrase text, meaning text)
LANGUAGE sql STABLE AS $$
  WITH folded AS MATERIALIZED (SELECT mfiauto._fold_sentences($1) AS text)
  SELECT w.phrase, w.meaning FROM folded f, mfiauto.lint_word w
   WHERE w.kind = $3 AND w.language IN ($2, '*') AND strpos(f.text, ' ' || mfiauto._fold_text(w.phrase) || ' ') > 0
   ORDER BY w.phrase
$$;

-- What people may write to be left alone.
CREATE FUNCTION mfiauto._opt_out_words() RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(DISTINCT ' ' || mfiauto._fold_text(k.keyword) || ' '), '{}') FROM mfiauto.keyword_config k WHERE k.action IN ('stop', 'stop_all')
$$;

CREATE FUNCTION mfiauto._says_opt_out(body text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  WITH folded AS MATERIALIZED (SELECT mfiauto._fold_sentences($1) AS text)
  SELECT EXISTS (SELECT FROM folded f, unnest(mfiauto._opt_out_words()) w WHERE strpos(f.text, w) > 0)
$$;

-- How many sentences ask for something: by a word, a link or a code to dial. Saying how to be left alone is not asking.
CREATE FUNCTION mfiauto._count_actions(body text, language text) RETURNS integer
LANGUAGE sql STABLE AS $$
  WITH word AS MATERIALIZED (
    SELECT mfiauto._opt_out_words() AS opt_out,
           ARRAY(SELECT ' ' || mfiauto._fold_text(w.phrase) || ' ' FROM mfiauto.lint_word w WHERE w.kind = 'action' AND w.language IN ($2, '*')) AS action
  )
  SELECT count(*)::integer
    FROM word, mfiauto._lint_sentences(regexp_replace(body, '\S*/u/' || mfiauto._link_marker(0), ' stop ', 'g')) s, LATERAL (SELECT mfiauto._fold_sentences(s) OFFSET 0) f(folded)
   WHERE s ~ 'https?://|[*#][0-9*]+#'
      OR (NOT EXISTS (SELECT FROM unnest(word.opt_out) o WHERE strpos(f.folded, o) > 0) AND EXISTS (SELECT FROM unnest(word.action) a WHERE strpos(f.folded, a) > 0))
$$;

-- ---- A text's report ----

CREATE FUNCTION mfiauto._lint_template(name text DEFAULT NULL)
RETURNS TABLE (template text, channel text, locale text, class text, characters integer, parts integer, longest_parts integer, encoding text, cost numeric, longest_cost numeric, currency text,
               reading_ease numeric, words_per_sentence numeric, actions integer, findings text[], is_blocked boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF _lint_template.name IS NOT NULL AND NOT EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = _lint_template.name) THEN
    PERFORM mfiauto._find_template(_lint_template.name, NULL, NULL);
  END IF;
  RETURN QUERY
  WITH variant AS MATERIALIZED (
    SELECT t.name, t.channel, t.locale, t.subject, t.body, t.alphabet, p.parts AS partials, l.locale AS spoken, split_part(l.locale, '-', 1) AS language,
           ARRAY[t.subject, t.body] || ARRAY(SELECT value FROM jsonb_each_text(p.parts)) AS sources,
           coalesce(t.class, (SELECT coalesce(s.class, v.class) FROM mfiauto.workflow_step s
                                JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version
                               WHERE s.template = t.name ORDER BY v.workflow_id DESC, v.version DESC LIMIT 1)) AS class
      FROM mfiauto.template_version t CROSS JOIN mfiauto.institution i
      CROSS JOIN LATERAL (SELECT CASE t.locale WHEN '*' THEN i.locale ELSE t.locale END AS locale) l
      CROSS JOIN LATERAL mfiauto._template_parts(ARRAY[t.body], t.channel, t.locale, false) p
     WHERE t.is_live AND (_lint_template.name IS NULL OR t.name = _lint_template.name)
  ), tried AS MATERIALIZED (
    SELECT v.*, x.text, y.text AS longest, EXISTS (SELECT FROM unnest(v.sources) s, unnest(mfiauto._template_names(s)) n WHERE n ~ '^links\.' AND n <> 'links.unsubscribe') AS has_link,
           EXISTS (SELECT FROM unnest(v.sources) s, unnest(mfiauto._template_names(s)) n WHERE n = 'links.unsubscribe') AS has_unsubscribe
      FROM variant v
      CROSS JOIN LATERAL (SELECT mfiauto._lint_text(v.channel, v.alphabet, mfiauto.render(v.body, mfiauto._lint_context(v.sources, v.spoken, false), v.partials, 'none')) AS text) x
      CROSS JOIN LATERAL (SELECT mfiauto._lint_text(v.channel, v.alphabet, mfiauto.render(v.body, mfiauto._lint_context(v.sources, v.spoken, true), v.partials, 'none')) AS text) y
  ), measured AS MATERIALIZED (
    SELECT t.*, s.parts, s.encoding, s.outside, z.parts AS longest_parts, g.price, g.currency, mfiauto._reading_ease(t.text, t.language) AS ease,
           round(cardinality(mfiauto._lint_words(t.text))::numeric / greatest((SELECT count(*) FROM mfiauto._lint_sentences(t.text)), 1), 1) AS pace,
           mfiauto._count_actions(t.text, t.language) AS actions
      FROM tried t
      CROSS JOIN LATERAL mfiauto._lint_size(t.channel, t.text) s
      CROSS JOIN LATERAL mfiauto._lint_size(t.channel, t.longest) z
      CROSS JOIN mfiauto.institution i
      LEFT JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(w.settings -> 'cost_per_part') = 'number' THEN (w.settings ->> 'cost_per_part')::numeric END AS price,
                                coalesce(w.settings ->> 'currency', i.currency) AS currency
                           FROM mfiauto.gateway_config w WHERE w.channel = t.channel AND w.is_enabled ORDER BY w.priority, w.gateway LIMIT 1) g ON true
  )
  SELECT m.name, m.channel, m.locale, m.class, length(m.text), m.parts, m.longest_parts, m.encoding, m.parts * m.price, m.longest_parts * m.price, m.currency,
         m.ease, m.pace, m.actions, coalesce(f.findings, '{}'), coalesce(f.is_blocked, false)
    FROM measured m
    LEFT JOIN LATERAL (
      SELECT array_agg(l.level || ' ' || l.rule || ': ' || r.found ORDER BY l.level, l.rule, r.found) AS findings, bool_or(l.level = 'block') AS is_blocked
        FROM mfiauto.lint_limit l
        JOIN LATERAL (
          SELECT 'parts', format('%s parts with long values', m.longest_parts) WHERE m.channel = 'sms' AND m.longest_parts > (SELECT k.limit_value FROM mfiauto.lint_limit k WHERE k.rule = 'parts')
          UNION ALL SELECT 'price', format('%s %s with long values', m.longest_parts * m.price, m.currency)
            WHERE m.longest_parts * m.price > (SELECT k.limit_value FROM mfiauto.lint_limit k WHERE k.rule = 'price')
          UNION ALL SELECT 'alphabet', m.outside WHERE m.channel = 'sms' AND m.encoding = 'ucs2'
          UNION ALL SELECT 'reading_ease', m.ease::text WHERE m.ease < (SELECT k.limit_value FROM mfiauto.lint_limit k WHERE k.rule = 'reading_ease')
          UNION ALL SELECT 'sentence_length', format('%s words a sentence', m.pace) WHERE m.pace > (SELECT k.limit_value FROM mfiauto.lint_limit k WHERE k.rule = 'sentence_length')
          UNION ALL SELECT 'one_action', CASE m.actions WHEN 0 THEN 'it asks for nothing' ELSE format('%s sentences ask for something', m.actions) END
            WHERE m.actions > (SELECT k.limit_value FROM mfiauto.lint_limit k WHERE k.rule = 'one_action') OR (m.actions = 0 AND m.class IN ('collection', 'marketing'))
          UNION ALL SELECT 'forbidden_word', format('%s (%s)', p.phrase, p.meaning)
            FROM mfiauto._lint_phrases(concat_ws(E'\n', m.subject, m.text), m.language, 'forbidden') p WHERE m.class IS DISTINCT FROM 'legal'
          UNION ALL SELECT 'shared_phone', p.phrase FROM mfiauto._lint_phrases(m.text, m.language, 'debt') p WHERE m.channel IN ('sms', 'voice', 'whatsapp')
          UNION ALL SELECT 'shouting', s.word FROM (SELECT substring(regexp_replace(concat_ws(E'\n', m.subject, m.body), '\{\{.*?\}\}', '.', 'g') FROM '[[:upper:]]{4,}\s+[[:upper:]]{4,}|!\s*!|\?\s*!') AS word) s
            WHERE s.word IS NOT NULL
          UNION ALL SELECT 'collection_link', 'a reminder with a link' WHERE m.class = 'collection' AND (m.has_link OR m.body ~* 'https?://')
          UNION ALL SELECT 'spoken_link', 'a link that is read out' WHERE m.channel = 'voice' AND (m.has_link OR m.has_unsubscribe OR m.body ~* 'https?://')
          UNION ALL SELECT 'opt_out', 'it does not say how to be left alone'
            WHERE NOT m.has_unsubscribe AND NOT mfiauto._says_opt_out(m.text) AND m.class IN (SELECT k.class FROM mfiauto.message_class k WHERE k.needs_consent AND k.honors_opt_out)
        ) r(rule, found) ON r.rule = l.rule
       WHERE l.level <> 'off') f ON true
   ORDER BY m.name, m.channel, m.locale;
END $$;
SELECT mfiauto._open_door('mfiauto._lint_template(text)', '{admin,author}',
  'What can be said of a template''s texts before anybody gets them, one row each (null: all templates): length and parts with usual and with long values, price at the first gateway, reading ease, '
  'sentences that ask for something, and what was found against mfiauto.lint_limit and lint_word.');
CREATE VIEW mfiauto.template_lint AS
  SELECT l.template AS name, l.channel, l.locale, l.class, l.characters, l.parts, l.longest_parts, l.encoding, l.cost, l.longest_cost, l.currency, l.reading_ease, l.words_per_sentence, l.actions, l.findings, l.is_blocked
    FROM mfiauto.lint_template(NULL) l;
COMMENT ON VIEW mfiauto.template_lint IS
  'Each live text with its length, parts and price (usual and long values), reading ease, what it asks for, and what was found; is_blocked: no workflow with it is activated.';

-- The text as it would leave.
CREATE FUNCTION mfiauto._lint_text(channel text, alphabet text, body text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN channel <> 'sms' THEN left(body, 50000)
              WHEN alphabet = 'gsm7-transliterate' AND (mfiauto.sms_parts(mfiauto.sms_transliterate(body))).encoding = 'gsm7'
              THEN mfiauto.sms_transliterate(body) ELSE body END
$$;

CREATE FUNCTION mfiauto._lint_size(channel text, body text, OUT parts integer, OUT encoding text, OUT outside text)
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN channel = 'sms' THEN s.parts ELSE 1 END, CASE WHEN channel = 'sms' THEN s.encoding END, s.outside FROM mfiauto.sms_parts(body) s
$$;

-- The texts of a template that are beyond a limit that blocks, and what was found in each.
CREATE FUNCTION mfiauto._blocked_texts(template text) RETURNS TABLE (name text, channel text, locale text, found text)
LANGUAGE sql STABLE AS $$
  SELECT l.template, l.channel, l.locale, array_to_string(ARRAY(SELECT substr(f, 7) FROM unnest(l.findings) f WHERE f ~ '^block '), '; ')
    FROM mfiauto._lint_template(template) l WHERE l.is_blocked
$$;

-- Refuses such texts for a workflow that is to go live.
CREATE FUNCTION mfiauto._check_lint(workflow text, workflow_id integer, version integer) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  worst record;
BEGIN
  SELECT l.* INTO worst
    FROM (SELECT DISTINCT s.template FROM mfiauto.workflow_step s
           WHERE s.workflow_id = _check_lint.workflow_id AND s.version = _check_lint.version AND s.kind = 'send'
             AND EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = s.template)) u
    CROSS JOIN LATERAL mfiauto._blocked_texts(u.template) l
   ORDER BY l.name, l.channel, l.locale LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'cannot activate workflow "%": a text of template "%" is beyond a limit', workflow, worst.name USING ERRCODE = '55000',
      DETAIL = format('%s, locale %s: %s.', worst.channel, worst.locale, worst.found),
      HINT = 'Change the text, or what is looked for: set_lint_limit(), drop_lint_word().';
  END IF;
END $$;

-- The same for a text that goes live by being written: where an active workflow sends it, by itself or within another.
CREATE FUNCTION mfiauto._check_live_lint(template text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
  worst record;
BEGIN
  SELECT l.*, u.workflow INTO worst
    FROM (SELECT s.template, min(h.name) AS workflow FROM mfiauto.workflow_head h
            JOIN mfiauto.workflow_step s ON s.workflow_id = h.workflow_id AND s.version = h.live_version AND s.kind = 'send'
           WHERE h.state <> 'archived'
             AND (s.template = _check_live_lint.template
                  OR EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = s.template AND _check_live_lint.template = ANY (mfiauto._template_partials(t.body))))
           GROUP BY s.template) u
    CROSS JOIN LATERAL mfiauto._blocked_texts(u.template) l
   ORDER BY l.name, l.channel, l.locale LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'a text of template "%" is beyond a limit', worst.name USING ERRCODE = '55000',
      DETAIL = format('%s, locale %s: %s. Workflow "%s" is live and sends it.', worst.channel, worst.locale, worst.found, worst.workflow),
      HINT = 'Change the text, or what is looked for: set_lint_limit(), drop_lint_word().';
  END IF;
END $$;

-- ---- Limits and words ----

CREATE FUNCTION mfiauto._set_lint_limit(rule text, level text DEFAULT NULL, limit_value numeric DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  IF level NOT IN ('block', 'warn', 'off') THEN
    RAISE EXCEPTION 'level "%" does not exist', left(level, 100) USING ERRCODE = '22023', HINT = 'Use one of block, warn, off.';
  END IF;
  IF limit_value NOT BETWEEN 0 AND 1000000 OR limit_value = 'NaN' THEN
    RAISE EXCEPTION 'limit_value must be between 0 and 1000000' USING ERRCODE = '22023', HINT = 'To look for something no more, set its level to off.';
  END IF;
  UPDATE mfiauto.lint_limit l SET level = coalesce(_set_lint_limit.level, l.level), limit_value = coalesce(_set_lint_limit.limit_value, l.limit_value) WHERE l.rule = _set_lint_limit.rule;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'lint rule "%" does not exist', coalesce(left(rule, 100), 'null') USING ERRCODE = '42704', HINT = 'See SELECT rule, meaning FROM mfiauto.lint_limit;';
  END IF;
  PERFORM mfiauto._note_change('lint limit', rule, (SELECT to_jsonb(l) - '{rule,meaning}'::text[] FROM mfiauto.lint_limit l WHERE l.rule = _set_lint_limit.rule));
END $$;
SELECT mfiauto._open_door('mfiauto._set_lint_limit(text, text, numeric)', '{admin}',
  'Sets what the lint of templates looks for: level block (no workflow with such a text goes live), warn or off, and the rule''s limit where it has one. What is not given stays.');

CREATE FUNCTION mfiauto._add_lint_word(language text, kind text, phrase text, meaning text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF language IS NULL OR language !~ '^([a-z]{2,3}|\*)$' THEN
    RAISE EXCEPTION 'language "%" is not valid', coalesce(left(language, 100), 'null') USING ERRCODE = '22023', HINT = 'Write a language, as fr, or * for all.';
  END IF;
  IF kind IS NULL OR kind NOT IN ('forbidden', 'action', 'debt') THEN
    RAISE EXCEPTION 'kind of word "%" does not exist', coalesce(left(kind, 100), 'null') USING ERRCODE = '22023', HINT = 'Use one of forbidden, action, debt.';
  END IF;
  IF phrase IS NULL OR meaning IS NULL OR length(phrase) > 200 OR length(meaning) > 200 OR mfiauto._fold_text(phrase) = '' OR btrim(meaning) = '' THEN
    RAISE EXCEPTION 'phrase is not valid' USING ERRCODE = '22023', HINT = 'Give a word or a few, and why it is listed, each of at most 200 characters.';
  END IF;
  INSERT INTO mfiauto.lint_word (language, kind, phrase, meaning) VALUES (language, kind, mfiauto._fold_text(phrase), meaning)
  ON CONFLICT ON CONSTRAINT lint_word_pkey DO UPDATE SET meaning = excluded.meaning;
  PERFORM mfiauto._note_change('lint word', concat_ws(' ', _add_lint_word.language, _add_lint_word.kind, mfiauto._fold_text(_add_lint_word.phrase)), jsonb_build_object('meaning', _add_lint_word.meaning));
END $$;
SELECT mfiauto._open_door('mfiauto._add_lint_word(text, text, text, text)', '{admin}',
  'Lists a phrase of a language (* for all): forbidden, one that asks for something (action), or one that tells of a debt (debt), with why.');

CREATE FUNCTION mfiauto._drop_lint_word(language text, kind text, phrase text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.lint_word w WHERE w.language = _drop_lint_word.language AND w.kind = _drop_lint_word.kind
     AND mfiauto._fold_text(w.phrase) = mfiauto._fold_text(_drop_lint_word.phrase);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'phrase is not listed' USING ERRCODE = '42704', HINT = 'See SELECT language, kind, phrase FROM mfiauto.lint_word;';
  END IF;
  PERFORM mfiauto._note_change('lint word', concat_ws(' ', language, kind, mfiauto._fold_text(phrase)), NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_lint_word(text, text, text)', '{admin}', 'Takes a phrase off the lint''s list.');

-- ---- Languages ----

-- Each language that clients read: how many they are, and how many templates have a text for them. A locale that is none counts with those who have none.
CREATE FUNCTION mfiauto._locale_coverage()
RETURNS TABLE (locale text, clients bigint, in_own_language integer, by_default integer, without_text integer)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF to_regclass('mfiauto.client') IS NULL THEN
    RAISE EXCEPTION 'role "client" is not bound' USING ERRCODE = '55000', HINT = 'Bind it first: SELECT mfiauto.bind(''client'', …).';
  END IF;
  RETURN QUERY EXECUTE $q$
    SELECT coalesce(c.locale, 'unknown'), c.clients,
           count(*) FILTER (WHERE t.own)::integer, count(*) FILTER (WHERE NOT t.own AND t.fallback)::integer, count(*) FILTER (WHERE NOT t.own AND NOT t.fallback)::integer
      FROM (SELECT mfiauto._normalize_locale(k.locale) AS locale, sum(k.clients)::bigint AS clients
              FROM (SELECT c.locale, count(*) AS clients FROM mfiauto.client c GROUP BY c.locale) k GROUP BY 1) c
      LEFT JOIN LATERAL (
        SELECT t.name, t.channel, coalesce(bool_or(c.locale || '-' LIKE t.locale || '-%'), false) AS own, bool_or(t.locale = '*' OR i.locale || '-' LIKE t.locale || '-%') AS fallback
          FROM mfiauto.template_version t CROSS JOIN mfiauto.institution i WHERE t.is_live GROUP BY t.name, t.channel) t ON t.name IS NOT NULL
     GROUP BY c.locale, c.clients ORDER BY c.clients DESC, 1 $q$;
END $$;
SELECT mfiauto._open_door('mfiauto._locale_coverage()', '{admin,author}',
  'The locales of the books'' clients (unknown: none, or none that exists) with the number of their clients, and of texts (a template on a channel) that they read in their own language, '
  'by the default or the institution''s language, or not at all.');

-- ---- Tests ----

CREATE FUNCTION mfiauto._add_test_recipient(channel text, address text, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF length(note) > 200 THEN
    RAISE EXCEPTION 'note is longer than 200 characters' USING ERRCODE = '54000';
  END IF;
  INSERT INTO mfiauto.test_recipient (channel, address, note, added_at, added_by)
  VALUES (channel, mfiauto._checked_address(channel, address), note, mfiauto.now(), mfiauto._caller())
  ON CONFLICT ON CONSTRAINT test_recipient_pkey DO UPDATE SET note = excluded.note;
END $$;
SELECT mfiauto._open_door('mfiauto._add_test_recipient(text, text, text)', '{admin}',
  'Lets test_template() send to an address on a channel: one of our own people''s.');

CREATE FUNCTION mfiauto._drop_test_recipient(channel text, address text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.test_recipient r WHERE r.channel = _drop_test_recipient.channel AND r.address = mfiauto._checked_address(_drop_test_recipient.channel, _drop_test_recipient.address);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'address is not on the list of test recipients' USING ERRCODE = '42704', HINT = 'See mfiauto.test_recipient.';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_test_recipient(text, text)', '{admin}', 'Takes an address off the list of those that get tests.');

-- A test is nobody's message: it stands in the ledger under client 0, without a workflow, so that no figure counts it and what is done with it tells nothing of the client.
CREATE FUNCTION mfiauto._test_template(name text, client_id bigint, to_address text, subject_id bigint DEFAULT NULL, subject text DEFAULT NULL, channel text DEFAULT 'sms', locale text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  written text := mfiauto._checked_address(_test_template.channel, _test_template.to_address);
  kind text;
  person record;
  made record;
BEGIN
  IF NOT EXISTS (SELECT FROM mfiauto.test_recipient r WHERE r.channel = _test_template.channel AND r.address = written) THEN
    RAISE EXCEPTION 'tests may not be sent to this address' USING ERRCODE = '42501', HINT = 'An administrator lists those that get tests with mfiauto.add_test_recipient().';
  END IF;
  PERFORM mfiauto._check_sight(_test_template.client_id);
  IF NOT EXISTS (SELECT FROM mfiauto.template_version t WHERE t.is_live AND t.name = _test_template.name AND t.channel = _test_template.channel) THEN
    PERFORM mfiauto._find_template(_test_template.name, _test_template.channel, NULL);
  END IF;
  kind := mfiauto._guess_subject(_test_template.subject, _test_template.subject_id);
  SELECT c.* INTO STRICT person
    FROM mfiauto._context(ARRAY[_test_template.client_id], kind, ARRAY[coalesce(_test_template.subject_id, _test_template.client_id)], 'test') c;
  IF NOT person.found OR (person.context #>> ARRAY[kind, 'client_id'])::bigint <> _test_template.client_id THEN
    RAISE EXCEPTION 'the client, or what the message is about, is not in the books' USING ERRCODE = '42704',
      HINT = 'Give a client_id of mfiauto.client, and a subject_id of his.';
  END IF;
  SELECT m.* INTO made
    FROM mfiauto._compose(_test_template.name, ARRAY[_test_template.channel], 'transactional', coalesce(_test_template.locale, person.locale), person.context,
                          written, written, written, person.country, addresses => jsonb_build_object(_test_template.channel, written)) m;
  IF made.state <> 'queued' THEN
    RAISE EXCEPTION 'template "%" makes no message for this client', _test_template.name USING ERRCODE = '55000',
      DETAIL = format('Reason: %s%s.', made.reason, coalesce(' (' || made.detail || ')', '')), HINT = 'preview_template() tells more.';
  END IF;
  RETURN mfiauto._queue_answer(0, _test_template.channel, made.to_address, made.locale, made.template_id, made.title, made.body, made.html, made.options, made.encoding, made.parts);
END $$;
SELECT mfiauto._open_door('mfiauto._test_template(text, bigint, text, bigint, text, text, text)', '{admin,author}',
  'Really sends a template''s text on a channel, filled in from the books of a client, to an address of mfiauto.test_recipient and to no other (42501); returns the message. '
  'It is nobody''s message (client 0): no figure, cap or profile counts it.');
