-- Composing: what a template may say (contexts of clients and subjects), and one message from template and context.

CREATE FUNCTION mfiauto._normalize_locale(locale text) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_normalize_locale';

-- Whether a name is a time zone of the IANA database; wrong names in clients' records are counted, not raised.
CREATE FUNCTION mfiauto._valid_zone(zone text) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_check_zone';

CREATE FUNCTION mfiauto._close_names(name text, names text[]) RETURNS text[]
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_find_close_names';

CREATE FUNCTION mfiauto._channel()
RETURNS TABLE (channel text, address_kind text, has_title boolean, has_html boolean, characters_max integer)
  LANGUAGE c IMMUTABLE ROWS 10 AS 'MODULE_PATHNAME', 'mfiauto_list_channels';

-- An address in the one form that is compared and sent to: E.164, e-mail in lower case; null if it cannot be used.
CREATE FUNCTION mfiauto._read_address(channel text, address text, country text) RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_read_address';

-- The text that a template's name stands for inside another one: of the same channel, and of the other's locale, language, the default
-- or the institution's language. Inside HTML its HTML part, if it has one.
CREATE FUNCTION mfiauto._template_source(name text, channel text, locale text, is_html boolean) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN $4 THEN coalesce(t.html, t.body) ELSE t.body END
    FROM mfiauto.template_version t, mfiauto.institution i
   WHERE t.is_live AND t.name = $1 AND t.channel = $2
     AND ($3 || '-' LIKE t.locale || '-%' OR t.locale = '*' OR i.locale || '-' LIKE t.locale || '-%')
   ORDER BY $3 || '-' LIKE t.locale || '-%' DESC, t.locale = '*' DESC, pg_catalog.length(t.locale) DESC LIMIT 1
$$;

-- What texts include by {{> name}}, and what that includes: name and text, as mfiauto.render() takes it; and the names that have none.
CREATE FUNCTION mfiauto._template_parts(sources text[], channel text, locale text, is_html boolean, OUT parts jsonb, OUT missing text)
RETURNS record
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE part(name, source) AS (
    SELECT n.name, mfiauto._template_source(n.name, $2, $3, $4)
      FROM pg_catalog.unnest($1) AS s(source), pg_catalog.unnest(mfiauto._template_partials(s.source)) AS n(name)
    UNION
    SELECT n.name, mfiauto._template_source(n.name, $2, $3, $4) FROM part p, pg_catalog.unnest(mfiauto._template_partials(p.source)) AS n(name)
  )
  SELECT pg_catalog.jsonb_object_agg(p.name, p.source) FILTER (WHERE p.source IS NOT NULL),
         pg_catalog.string_agg('> ' || p.name, ', ') FILTER (WHERE p.source IS NULL)
    FROM part p
$$;

-- One message: the first channel of the list (null: the template's own, in the order of their creation) that has a
-- text in the client's locale, language, the default or the institution's language, and a usable address.
CREATE FUNCTION mfiauto._compose(template text, channels text[], class_of_workflow text, locale_of_client text, context jsonb,
  phone text, email text, push_token text, country text, preview boolean DEFAULT false, addresses jsonb DEFAULT NULL,
  OUT template_id bigint, OUT channel text, OUT next_channels text[], OUT class text, OUT locale text, OUT to_address text,
  OUT title text, OUT body text, OUT html text, OUT encoding text, OUT parts smallint, OUT state text, OUT reason text, OUT detail text, OUT options jsonb)
RETURNS record
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_compose_message';

-- What templates may name under each object, and how it is written: money and dates also have a <field>_text, numbers a <field>_plural.
CREATE FUNCTION mfiauto._context_field() RETURNS TABLE (object text, field text, kind text)
LANGUAGE sql IMMUTABLE AS $$
  SELECT o.object, f.field, o.kind
    FROM (VALUES
      ('client', 'id', 'client_id officer_id branch_id'),
      ('client', 'text', 'name phone email push_token locale time_zone gender region literacy status source'),
      ('client', 'date', 'birth_date joined_on'),
      ('client', 'json', 'traits'),
      ('application', 'id', 'application_id client_id'),
      ('application', 'text', 'product status decision'),
      ('application', 'time', 'started_at submitted_at decided_at'),
      ('loan', 'id', 'loan_id client_id officer_id branch_id'),
      ('loan', 'number', 'cycle'),
      ('loan', 'text', 'product currency status'),
      ('loan', 'money', 'principal outstanding'),
      ('loan', 'date', 'applied_on approved_on disbursed_on maturity_on closed_on written_off_on'),
      ('installment', 'id', 'installment_id loan_id client_id'),
      ('installment', 'number', 'number'),
      ('installment', 'money', 'amount_due amount_paid balance'),
      ('installment', 'date', 'due_date paid_on'),
      ('payment', 'id', 'payment_id loan_id client_id reversed'),
      ('payment', 'money', 'amount'),
      ('payment', 'time', 'paid_at'),
      ('holding', 'id', 'holding_id client_id'),
      ('holding', 'text', 'product status'),
      ('holding', 'money', 'balance'),
      ('holding', 'date', 'opened_on closed_on'),
      ('institution', 'text', 'name country time_zone locale currency'),
      ('workflow', 'text', 'name')) AS o(object, kind, fields),
    LATERAL pg_catalog.regexp_split_to_table(o.fields, ' ') AS f(field)
$$;

-- The SQL that makes one object of a context from the row "alias": names and expressions for jsonb_build_object.
-- An empty text is no value: a message that greets nobody is one with a hole. Dates and amounts that cannot be
-- written (infinity, NaN) have no text either. Locale and zone are those of the row "p", currency is an expression.
-- The names come in the order that jsonb keeps them in, which spares it a sort per row.
CREATE FUNCTION mfiauto._context_object_sql(object text, alias text, currency text, names text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT 'pg_catalog.jsonb_build_object(' || pg_catalog.string_agg(
           pg_catalog.format('%L, ', v.key) || pg_catalog.format(v.expression, alias || '.' || f.field, currency), ', '
           ORDER BY pg_catalog.length(v.key), v.key COLLATE "C") || ')'
    FROM mfiauto._context_field() f,
         LATERAL (VALUES
           (f.field, CASE f.kind WHEN 'text' THEN 'nullif(pg_catalog.btrim(%1$s), '''')'
                                 WHEN 'json' THEN 'coalesce(CASE WHEN pg_catalog.jsonb_typeof(%1$s) = ''object'' THEN %1$s END, ''{}'') || p.given_traits'
                                 ELSE '%1$s' END),
           (f.field || '_text', CASE f.kind
              WHEN 'money' THEN 'CASE WHEN %1$s > ''-Infinity'' AND %1$s < ''Infinity'' THEN mfiauto.money_text(%1$s, %2$s, p.locale) END'
              WHEN 'date' THEN 'CASE WHEN %1$s >= ''0001-01-01'' AND %1$s < ''infinity'' THEN mfiauto.date_text(%1$s, p.locale) END'
              WHEN 'time' THEN 'CASE WHEN %1$s > ''0001-01-02+00'' AND %1$s < ''infinity'' THEN mfiauto.date_text((%1$s AT TIME ZONE p.time_zone)::date, p.locale) END'
            END)) AS v(key, expression)
   WHERE f.object = _context_object_sql.object AND v.expression IS NOT NULL
     AND (names IS NULL OR f.object || '.' || v.key = ANY (names)
          -- what a text is written from, in case that it is needed in another language
          OR f.object || '.' || v.key || '_text' = ANY (names) OR f.object || '.' || v.key || '_plural' = ANY (names) OR (f.object = 'loan' AND v.key = 'currency')
          OR (f.object = 'client' AND v.key IN ('client_id', 'traits')))
$$;

-- The names that the live texts of templates ask for, as _context takes them; null: any. A section may lead anywhere.
CREATE FUNCTION mfiauto._template_needs(templates text[]) RETURNS text[]
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE used(name, source) AS (
    SELECT t.name, x.source FROM mfiauto.template_version t, pg_catalog.unnest(ARRAY[t.subject, t.body, t.html] || mfiauto._option_texts(t.options)) AS x(source)
     WHERE t.is_live AND t.name = ANY (templates)
    UNION
    SELECT t.name, x.source FROM used u, pg_catalog.unnest(mfiauto._template_partials(u.source)) AS p(name), mfiauto.template_version t,
           pg_catalog.unnest(ARRAY[t.body, t.html]) AS x(source)
     WHERE t.is_live AND t.name = p.name
  )
  SELECT CASE WHEN pg_catalog.bool_and(n.object IN ('client', 'application', 'loan', 'installment', 'payment', 'holding', 'institution',
                                                    'workflow', 'event', 'links') AND n.field <> '')
              THEN pg_catalog.array_agg(DISTINCT n.object || '.' || n.field) END
    FROM used u,
         pg_catalog.unnest(mfiauto._template_names(u.source)) AS m(name),
         LATERAL (SELECT pg_catalog.split_part(m.name, '.', 1), pg_catalog.split_part(m.name, '.', 2)) AS n(object, field)
$$;

-- The contexts of a set, one row an element, in its order. names: what will be asked for (see _template_needs), null: everything.
-- It is planned at each call, for which just-in-time compilation would not pay.
CREATE FUNCTION mfiauto._context(client_ids bigint[], subject text, subject_ids bigint[], workflow text, names text[] DEFAULT NULL)
RETURNS TABLE (ord integer, client_id bigint, subject_id bigint, context jsonb, locale text, time_zone text, country text,
               phone text, email text, push_token text, found boolean, addresses jsonb)
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off AS $$
#variable_conflict use_column
DECLARE
  home record;
  -- A subject of another kind (the client, a watched table's row) is no row to be found.
  needs_subject boolean := coalesce(_context.subject IN ('application', 'loan', 'installment', 'payment', 'holding'), false);
  is_client boolean := to_regclass('mfiauto.client') IS NOT NULL;
  is_subject boolean := needs_subject AND to_regclass('mfiauto.' || _context.subject) IS NOT NULL;
  is_loan boolean := is_subject AND to_regclass('mfiauto.loan') IS NOT NULL AND _context.subject IN ('loan', 'installment', 'payment');
  key text := _context.subject || '_id';
  currency text := CASE WHEN is_loan THEN 'coalesce(nullif(p.loan_currency, ''''), $5)' ELSE '$5' END;
  object_sql text;
  objects text := '';
  columns text := '';
  joins text := '';
BEGIN
  SELECT i.name, i.country, i.time_zone, i.locale, i.currency INTO STRICT home FROM mfiauto.institution i;
  IF is_client THEN
    objects := ', ''client'', CASE WHEN p.is_client_found THEN ' || mfiauto._context_object_sql('client', '(p.c)', currency, names) || ' END';
    columns := $q$ c, c.client_id IS NOT NULL AS is_client_found, c.phone, c.email, c.push_token,
           coalesce(mfiauto._normalize_locale(c.locale), $7) AS locale,
           CASE WHEN mfiauto._valid_zone(c.time_zone) THEN c.time_zone ELSE $8 END AS time_zone,
           coalesce(t.traits, '{}') AS given_traits,
           coalesce(t.traits ->> 'country', c.traits ->> 'country') AS traits_country,$q$;
    joins := ' LEFT JOIN mfiauto.client c ON c.client_id = k.client_id LEFT JOIN mfiauto.client_trait t ON t.client_id = k.client_id';
  ELSE
    columns := $q$ false AS is_client_found, NULL::text AS phone, NULL::text AS email, NULL::text AS push_token,
           $7 AS locale, $8 AS time_zone, '{}'::jsonb AS given_traits, NULL::text AS traits_country,$q$;
  END IF;
  IF is_subject THEN
    object_sql := mfiauto._context_object_sql(_context.subject, '(p.s)', currency, names);
    objects := objects || coalesce(format(', %L, CASE WHEN p.is_subject_found THEN ', _context.subject) || object_sql || ' END', '');
    columns := columns || format(' s, s.%I IS NOT NULL AS is_subject_found,', key);
    joins := format(' LEFT JOIN mfiauto.%I s ON s.%I = k.subject_id', _context.subject, key) || joins;
  ELSE
    columns := columns || format(' %L::boolean AS is_subject_found,', NOT needs_subject);
  END IF;
  IF NOT is_loan THEN
    columns := columns || ' NULL::text AS loan_currency';
  ELSIF _context.subject = 'loan' THEN
    columns := columns || ' s.currency AS loan_currency';
  ELSE
    object_sql := mfiauto._context_object_sql('loan', '(p.l)', currency, names);
    objects := objects || coalesce(', ''loan'', CASE WHEN p.is_loan_found THEN ' || object_sql || ' END', '');
    columns := columns || ' l, l.loan_id IS NOT NULL AS is_loan_found, l.currency AS loan_currency';
    joins := joins || ' LEFT JOIN mfiauto.loan l ON l.loan_id = s.loan_id';
  END IF;

  -- A subject that stands twice in the books (which is reported elsewhere) is taken once.
  RETURN QUERY EXECUTE 'SELECT p.ord, p.client_id, p.subject_id,
           pg_catalog.jsonb_build_object(''links'', $9, ''locale'', p.locale, ''workflow'', $3, ''institution'', $4' || objects || '),
           p.locale, p.time_zone, CASE WHEN p.traits_country ~ ''^[A-Z]{2}$'' THEN p.traits_country ELSE $6 END,
           p.phone, p.email, CASE WHEN NOT coalesce(p.push_token = ANY (d.dead), false) THEN p.push_token END, p.is_client_found AND p.is_subject_found, d.live
      FROM (SELECT DISTINCT ON (k.ord) k.ord::integer AS ord, k.client_id, k.subject_id,' || columns || '
              FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS k(client_id, subject_id, ord)' || joins || ' ORDER BY k.ord) p
      LEFT JOIN LATERAL (SELECT pg_catalog.jsonb_object_agg(a.channel, a.address ORDER BY a.seen_at, a.client_address_id) FILTER (WHERE a.retired_at IS NULL) AS live,
                                pg_catalog.array_agg(a.address) FILTER (WHERE a.retired_at IS NOT NULL AND a.channel = ''push'') AS dead
                           FROM mfiauto.client_address a WHERE a.client_id = p.client_id OFFSET 0) d ON true
     ORDER BY p.ord'
    USING _context.client_ids, _context.subject_ids, jsonb_build_object('name', _context.workflow),
          jsonb_build_object('name', home.name, 'country', home.country, 'time_zone', home.time_zone, 'locale', home.locale,
                             'currency', home.currency),
          home.currency, home.country, home.locale, home.time_zone, mfiauto._links(names);
END $$;
