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

-- One message: the first channel of the list (null: the template's own, in the order of their creation) that has a
-- text in the client's locale, language, the default or the institution's language, and a usable address.
CREATE FUNCTION mfiauto._compose(template text, channels text[], class_of_workflow text, locale_of_client text, context jsonb,
  phone text, email text, push_token text, country text, preview boolean DEFAULT false,
  OUT template_id bigint, OUT channel text, OUT next_channels text[], OUT class text, OUT locale text, OUT to_address text,
  OUT title text, OUT body text, OUT html text, OUT encoding text, OUT parts smallint, OUT state text, OUT reason text, OUT detail text)
RETURNS record
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_compose_message';

-- What templates may name under each object, and how it is written: money and dates also have a <field>_text.
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
      ('loan', 'id', 'loan_id client_id cycle officer_id branch_id'),
      ('loan', 'text', 'product currency status'),
      ('loan', 'money', 'principal outstanding'),
      ('loan', 'date', 'applied_on approved_on disbursed_on maturity_on closed_on written_off_on'),
      ('installment', 'id', 'installment_id loan_id client_id number'),
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
CREATE FUNCTION mfiauto._context_object_sql(object text, alias text, currency text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT 'pg_catalog.jsonb_build_object(' || pg_catalog.string_agg(
    pg_catalog.format('%L, ', f.field) || pg_catalog.format(
      CASE f.kind
        WHEN 'text' THEN 'nullif(pg_catalog.btrim(%1$s), '''')'
        WHEN 'json' THEN 'coalesce(CASE WHEN pg_catalog.jsonb_typeof(%1$s) = ''object'' THEN %1$s END, ''{}'') || p.given_traits'
        WHEN 'money' THEN '%1$s, %2$L, CASE WHEN %1$s > ''-Infinity'' AND %1$s < ''Infinity'' THEN mfiauto.money_text(%1$s, %3$s, p.locale) END'
        WHEN 'date' THEN '%1$s, %2$L, CASE WHEN %1$s >= ''0001-01-01'' AND %1$s < ''infinity'' THEN mfiauto.date_text(%1$s, p.locale) END'
        WHEN 'time' THEN '%1$s, %2$L, CASE WHEN %1$s > ''0001-01-02+00'' AND %1$s < ''infinity'' THEN mfiauto.date_text((%1$s AT TIME ZONE p.time_zone)::date, p.locale) END'
        ELSE '%1$s'
      END, alias || '.' || f.field, f.field || '_text', currency), ', ') || ')'
    FROM mfiauto._context_field() f WHERE f.object = _context_object_sql.object
$$;

CREATE FUNCTION mfiauto._context(client_ids bigint[], subject text, subject_ids bigint[], workflow text)
RETURNS TABLE (ord integer, client_id bigint, subject_id bigint, context jsonb, locale text, time_zone text, country text,
               phone text, email text, push_token text, found boolean)
LANGUAGE plpgsql STABLE ROWS 1000 AS $$
#variable_conflict use_column
DECLARE
  home record;
  constants jsonb;
  is_client boolean := to_regclass('mfiauto.client') IS NOT NULL;
  -- A subject of another kind (the client, a watched table's row) is no row to be found.
  needs_subject boolean := coalesce(_context.subject IN ('application', 'loan', 'installment', 'payment', 'holding'), false);
  is_subject boolean := needs_subject AND to_regclass('mfiauto.' || _context.subject) IS NOT NULL;
  is_loan boolean := is_subject AND to_regclass('mfiauto.loan') IS NOT NULL AND _context.subject IN ('loan', 'installment', 'payment');
  currency text;
  objects text := '';
  query text;
BEGIN
  SELECT i.name, i.country, i.time_zone, i.locale, i.currency INTO STRICT home FROM mfiauto.institution i;
  constants := jsonb_build_object(
    'institution', jsonb_build_object('name', home.name, 'country', home.country, 'time_zone', home.time_zone,
                                      'locale', home.locale, 'currency', home.currency),
    'workflow', jsonb_build_object('name', _context.workflow), 'links', '{}'::jsonb);
  currency := CASE WHEN is_loan THEN 'coalesce(nullif(p.l_currency, ''''), $6)' ELSE '$6' END;
  IF is_client THEN
    objects := objects || $q$ || CASE WHEN p.is_client_found THEN pg_catalog.jsonb_build_object('client', $q$
      || mfiauto._context_object_sql('client', '(p.c)', currency) || $q$) ELSE '{}' END $q$;
  END IF;
  IF is_subject THEN
    objects := objects || format($q$ || CASE WHEN p.is_subject_found THEN pg_catalog.jsonb_build_object(%L, $q$, _context.subject)
      || mfiauto._context_object_sql(_context.subject, '(p.s)', currency) || $q$) ELSE '{}' END $q$;
  END IF;
  IF is_loan AND _context.subject <> 'loan' THEN
    objects := objects || $q$ || CASE WHEN p.is_loan_found THEN pg_catalog.jsonb_build_object('loan', $q$
      || mfiauto._context_object_sql('loan', '(p.l)', currency) || $q$) ELSE '{}' END $q$;
  END IF;

  query := 'SELECT p.ord, p.client_id, p.subject_id, $5' || objects || $q$,
           p.locale, p.time_zone,
           CASE WHEN p.traits_country ~ '^[A-Z]{2}$' THEN p.traits_country ELSE $7 END,
           p.phone, p.email, p.push_token, p.is_client_found AND p.is_subject_found
      FROM (SELECT DISTINCT ON (k.ord) k.ord::integer AS ord, k.client_id, k.subject_id, $q$
    || CASE WHEN is_client THEN $q$
           c, c.client_id IS NOT NULL AS is_client_found, c.phone, c.email, c.push_token,
           coalesce(mfiauto._normalize_locale(c.locale), $8) AS locale,
           CASE WHEN mfiauto._valid_zone(c.time_zone) THEN c.time_zone ELSE $9 END AS time_zone,
           coalesce(t.traits, '{}') AS given_traits,
           coalesce(t.traits ->> 'country', c.traits ->> 'country') AS traits_country, $q$
       ELSE $q$
           false AS is_client_found, NULL::text AS phone, NULL::text AS email, NULL::text AS push_token,
           $8 AS locale, $9 AS time_zone, '{}'::jsonb AS given_traits, NULL::text AS traits_country, $q$ END
    || CASE WHEN is_subject THEN format('s, s.%I IS NOT NULL AS is_subject_found, ', _context.subject || '_id')
            ELSE format('%L::boolean AS is_subject_found, ', NOT needs_subject) END
    || CASE WHEN NOT is_loan THEN 'NULL::text AS l_currency'
            WHEN _context.subject = 'loan' THEN 's.currency AS l_currency'
            ELSE 'l, l.loan_id IS NOT NULL AS is_loan_found, l.currency AS l_currency' END
    || ' FROM unnest($1, $2) WITH ORDINALITY AS k(client_id, subject_id, ord)'
    || CASE WHEN is_subject THEN format(' LEFT JOIN mfiauto.%1$I s ON s.%2$I = k.subject_id', _context.subject, _context.subject || '_id') ELSE '' END
    || CASE WHEN is_loan AND _context.subject <> 'loan' THEN ' LEFT JOIN mfiauto.loan l ON l.loan_id = s.loan_id' ELSE '' END
    || CASE WHEN is_client THEN ' LEFT JOIN mfiauto.client c ON c.client_id = k.client_id
                                  LEFT JOIN mfiauto.client_trait t ON t.client_id = k.client_id' ELSE '' END
    || ' ORDER BY k.ord) p';
  RETURN QUERY EXECUTE query
    USING _context.client_ids, _context.subject_ids, _context.subject, _context.workflow, constants,
          home.currency, home.country, home.locale, home.time_zone;
END $$;
