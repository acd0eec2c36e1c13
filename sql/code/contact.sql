-- When and how often clients may be written to: the institution, its contact rules, and the check of a claim. (consent.sql: by whose leave.)

-- ---- The institution and its contact rules ----

CREATE FUNCTION mfiauto._iso_country() RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI '
         'CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ '
         'GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS '
         'LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG '
         'PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK '
         'TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW'
$$;

CREATE FUNCTION mfiauto._iso_currency() RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP '
         'CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY '
         'KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK '
         'NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT '
         'TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG'
$$;

CREATE FUNCTION mfiauto._check_code(kind text, code text, codes text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF NOT code = ANY (string_to_array(codes, ' ')) THEN
    RAISE EXCEPTION '% "%" does not exist', kind, code USING ERRCODE = '22023',
      HINT = format('Write its ISO code in capitals, as %s.', CASE kind WHEN 'country' THEN 'SN' ELSE 'XOF' END);
  END IF;
END $$;

CREATE FUNCTION mfiauto._set_institution(name text DEFAULT NULL, country text DEFAULT NULL, time_zone text DEFAULT NULL,
  locale text DEFAULT NULL, currency text DEFAULT NULL, grace_days integer DEFAULT NULL, public_url text DEFAULT NULL,
  has_open_pixel boolean DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  zone text;
  base text := rtrim(public_url, '/');
BEGIN
  PERFORM mfiauto._check_code('country', country, mfiauto._iso_country());
  PERFORM mfiauto._check_code('currency', currency, mfiauto._iso_currency());
  IF name ~ '[[:cntrl:]]' OR btrim(name) = '' OR length(name) > 200 THEN
    RAISE EXCEPTION 'name of the institution is not valid' USING ERRCODE = '22023',
      HINT = 'Give one line of at most 200 characters.';
  END IF;
  IF grace_days NOT BETWEEN 0 AND 90 THEN
    RAISE EXCEPTION 'grace_days must be between 0 and 90, not %', grace_days USING ERRCODE = '22023';
  END IF;
  IF base <> '' AND (base !~ '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$' OR length(base) > 200)
     AND base !~ '^http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?$' THEN
    RAISE EXCEPTION 'public_url is not valid' USING ERRCODE = '22023',
      HINT = 'Give the address of contrib/receiver as the world sees it, as https://m.mfi.example; a short one makes short links. An empty text takes it away.';
  END IF;
  IF time_zone IS NOT NULL THEN
    SELECT z.name INTO zone FROM pg_timezone_names z WHERE lower(z.name) = (SELECT lower(left(_set_institution.time_zone, 100))) LIMIT 1;
    IF zone IS NULL OR NOT mfiauto._valid_zone(zone) THEN
      RAISE EXCEPTION 'time zone "%" does not exist', time_zone USING ERRCODE = '22023',
        HINT = coalesce('Close names: ' || nullif(array_to_string(mfiauto._close_names(time_zone,
                          (SELECT array_agg(z.name ORDER BY z.name) FROM pg_timezone_names z WHERE z.name !~ '^posix/')), ', '), '') || '.',
                        'Use a name of the IANA database, as Africa/Dakar; see pg_timezone_names.');
    END IF;
  END IF;
  IF locale IS NOT NULL AND mfiauto._checked_locale(locale) = '*' THEN
    RAISE EXCEPTION 'locale "*" is not valid for the institution' USING ERRCODE = '22023', HINT = 'Write its main language, as fr.';
  END IF;
  UPDATE mfiauto.institution i SET
    name = coalesce(_set_institution.name, i.name), country = coalesce(_set_institution.country, i.country),
    time_zone = coalesce(zone, i.time_zone), locale = coalesce(mfiauto._normalize_locale(_set_institution.locale), i.locale),
    currency = coalesce(_set_institution.currency, i.currency), grace_days = coalesce(_set_institution.grace_days, i.grace_days),
    public_url = CASE WHEN base IS NULL THEN i.public_url ELSE nullif(base, '') END, has_open_pixel = coalesce(_set_institution.has_open_pixel, i.has_open_pixel);
  IF country IS NOT NULL THEN
    -- Telephone numbers that are written without a country are read with the institution's.
    PERFORM mfiauto._keep_addresses(NULL);
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._set_institution(text, text, text, text, text, integer, text, boolean)', '{admin}',
  'Sets the institution''s name, country (ISO 3166), time zone (IANA), locale, currency (ISO 4217) and the days of grace before an '
  'installment counts as late: what holds for clients of whom nothing else is known. public_url: where the world reaches contrib/receiver, which links begin with; '
  'has_open_pixel: whether HTML e-mails tell when they are opened. What is not given stays.');

-- The policy in force for a class in a country: the row that names both, else the country, else the class, else neither.
CREATE FUNCTION mfiauto._policy_for(country text, class text)
RETURNS TABLE (country text, class text, contact_from time, contact_until time, weekdays integer[], skips_holidays boolean,
               break_weekday integer, break_from time, break_until time, cap_count integer, cap_days integer, min_gap interval,
               barred_in_arrears boolean, double_opt_in boolean, prefers_cheapest boolean)
LANGUAGE sql STABLE ROWS 1 AS $$
  SELECT p.country, p.class, p.contact_from, p.contact_until, p.weekdays, p.skips_holidays, p.break_weekday, p.break_from, p.break_until,
         p.cap_count, p.cap_days, p.min_gap, p.barred_in_arrears, p.double_opt_in, p.prefers_cheapest
    FROM mfiauto.policy p
   WHERE p.country IN ($1, '*') AND p.class IN ($2, '*')
   ORDER BY p.country = '*', p.class = '*' LIMIT 1
$$;

CREATE FUNCTION mfiauto._check_policy_country(country text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF country IS NULL OR country <> '*' THEN
    PERFORM mfiauto._check_code('country', coalesce(country, 'null'), mfiauto._iso_country());
  END IF;
END $$;

CREATE FUNCTION mfiauto._set_policy(country text DEFAULT '*', class text DEFAULT '*', contact_from time DEFAULT NULL,
  contact_until time DEFAULT NULL, weekdays integer[] DEFAULT NULL, skips_holidays boolean DEFAULT NULL,
  break_weekday integer DEFAULT NULL, break_from time DEFAULT NULL, break_until time DEFAULT NULL, cap_count integer DEFAULT NULL,
  cap_days integer DEFAULT NULL, min_gap interval DEFAULT NULL, barred_in_arrears boolean DEFAULT NULL, double_opt_in boolean DEFAULT NULL, prefers_cheapest boolean DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  old record;
  shadowed text;
  no_break boolean := break_weekday = 0;
  no_cap boolean := cap_count = 0;
BEGIN
  PERFORM mfiauto._check_policy_country(country);
  IF class IS DISTINCT FROM '*' THEN
    PERFORM mfiauto._check_class(coalesce(class, 'null'));
  END IF;
  -- A new row begins as what held so far, so that it changes what is said and nothing else.
  SELECT p.* INTO STRICT old FROM mfiauto._policy_for(country, class) p;
  SELECT CASE WHEN _set_policy.class = '*' THEN f.all_count ELSE f.cap_count END, CASE WHEN _set_policy.class = '*' THEN f.all_days ELSE f.cap_days END,
         CASE WHEN _set_policy.class = '*' THEN f.all_gap ELSE f.min_gap END INTO old.cap_count, old.cap_days, old.min_gap
    FROM mfiauto._caps_for(country, class) f;
  old.contact_from := coalesce(contact_from, old.contact_from);
  old.contact_until := coalesce(contact_until, old.contact_until);
  old.weekdays := coalesce(weekdays, old.weekdays);
  IF old.contact_from >= old.contact_until THEN
    RAISE EXCEPTION 'contact_from must be before contact_until' USING ERRCODE = '22023',
      DETAIL = format('They are %s and %s.', old.contact_from, old.contact_until);
  END IF;
  IF cardinality(old.weekdays) NOT BETWEEN 1 AND 7 OR array_ndims(old.weekdays) <> 1 OR NOT old.weekdays <@ '{1,2,3,4,5,6,7}' THEN
    RAISE EXCEPTION 'weekdays are not valid' USING ERRCODE = '22023', HINT = 'Give ISO weekdays, 1 for Monday to 7 for Sunday, as ''{1,2,3,4,5}''.';
  END IF;
  old.break_weekday := CASE WHEN no_break THEN NULL ELSE coalesce(break_weekday, old.break_weekday) END;
  old.break_from := CASE WHEN no_break THEN NULL ELSE coalesce(break_from, old.break_from) END;
  old.break_until := CASE WHEN no_break THEN NULL ELSE coalesce(break_until, old.break_until) END;
  IF num_nulls(old.break_weekday, old.break_from, old.break_until) NOT IN (0, 3) OR old.break_from >= old.break_until
     OR old.break_weekday NOT BETWEEN 1 AND 7 THEN
    RAISE EXCEPTION 'weekly break is not valid' USING ERRCODE = '22023',
      HINT = 'Give break_weekday (1 to 7), break_from and break_until together; break_weekday 0 takes the break away.';
  END IF;
  old.cap_count := CASE WHEN no_cap THEN NULL ELSE coalesce(cap_count, old.cap_count) END;
  old.cap_days := CASE WHEN no_cap THEN NULL ELSE coalesce(cap_days, old.cap_days) END;
  IF num_nulls(old.cap_count, old.cap_days) = 1 OR old.cap_count < 1 OR old.cap_days NOT BETWEEN 1 AND 366 THEN
    RAISE EXCEPTION 'cap is not valid' USING ERRCODE = '22023',
      HINT = 'Give cap_count messages in cap_days days (1 to 366) together; cap_count 0 takes the cap away.';
  END IF;
  old.min_gap := nullif(coalesce(min_gap, old.min_gap), interval '0');
  IF old.min_gap < interval '0' THEN
    RAISE EXCEPTION 'min_gap must not be negative' USING ERRCODE = '22023', HINT = 'Give a time such as ''20 hours''; 0 takes it away.';
  ELSIF old.min_gap > interval '366 days' THEN
    RAISE EXCEPTION 'min_gap must not be longer than 366 days' USING ERRCODE = '22023', HINT = 'Give a time such as ''20 hours''; 0 takes it away.';
  END IF;
  INSERT INTO mfiauto.policy (country, class, contact_from, contact_until, weekdays, skips_holidays, break_weekday, break_from,
                              break_until, cap_count, cap_days, min_gap, barred_in_arrears, double_opt_in, prefers_cheapest)
  VALUES (country, class, old.contact_from, old.contact_until, old.weekdays, coalesce(skips_holidays, old.skips_holidays), old.break_weekday,
          old.break_from, old.break_until, old.cap_count, old.cap_days, old.min_gap, coalesce(barred_in_arrears, old.barred_in_arrears),
          coalesce(double_opt_in, old.double_opt_in), coalesce(prefers_cheapest, old.prefers_cheapest))
  ON CONFLICT ON CONSTRAINT policy_pkey DO UPDATE SET
    contact_from = excluded.contact_from, contact_until = excluded.contact_until, weekdays = excluded.weekdays,
    skips_holidays = excluded.skips_holidays, break_weekday = excluded.break_weekday, break_from = excluded.break_from,
    break_until = excluded.break_until, cap_count = excluded.cap_count, cap_days = excluded.cap_days, min_gap = excluded.min_gap,
    barred_in_arrears = excluded.barred_in_arrears, double_opt_in = excluded.double_opt_in, prefers_cheapest = excluded.prefers_cheapest;
  PERFORM mfiauto._note_change('policy', country || ' ' || class, (SELECT to_jsonb(p) - '{country,class}'::text[] FROM mfiauto.policy p
                                                                  WHERE p.country = _set_policy.country AND p.class = _set_policy.class));
  SELECT string_agg(p.class, ', ' ORDER BY p.class) INTO shadowed FROM mfiauto.policy p
   WHERE _set_policy.class = '*' AND _set_policy.country <> '*' AND p.country = '*' AND p.class <> '*'
     AND NOT EXISTS (SELECT FROM mfiauto.policy o WHERE o.country = _set_policy.country AND o.class = p.class);
  IF shadowed IS NOT NULL THEN
    RAISE NOTICE 'in country "%" this policy also takes the place of the general ones of: %', country, shadowed
      USING HINT = 'Set a policy for the country and the class where they shall differ.';
  END IF;
END $$;
SELECT mfiauto._open_door(
  'mfiauto._set_policy(text, text, time, time, integer[], boolean, integer, time, time, integer, integer, interval, boolean, boolean, boolean)', '{admin}',
  'Sets when and how often a class may contact clients of a country (* for any): contact hours, ISO weekdays, holidays, a weekly break, '
  'at most cap_count messages in cap_days days and the least time between two (of the class; of class *: of all capped classes together), '
  'whether clients in arrears are left alone, whether an opt-in has to be confirmed (double_opt_in), and whether the cheapest channel that can goes first (prefers_cheapest). '
  'What is not given stays as it was in force; cap_count, break_weekday or min_gap of 0 take theirs away.');

CREATE FUNCTION mfiauto._drop_policy(country text, class text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF country = '*' AND class = '*' THEN
    RAISE EXCEPTION 'cannot drop the policy for every country and class' USING ERRCODE = '55000', HINT = 'Change it with set_policy().';
  END IF;
  DELETE FROM mfiauto.policy p WHERE p.country = _drop_policy.country AND p.class = _drop_policy.class;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'policy for country "%" and class "%" does not exist', country, class USING ERRCODE = '42704',
      HINT = 'See SELECT country, class FROM mfiauto.policy;';
  END IF;
  PERFORM mfiauto._note_change('policy', country || ' ' || class, NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._drop_policy(text, text)', '{admin}',
  'Takes away the policy of a country and a class; the next wider one holds from then on.');

-- ---- The check of a claim ----

CREATE FUNCTION mfiauto._only_recipients() RETURNS text[]
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_only_recipients';

-- How often a class may write to a client of a country. The class has a cap of its own, which counts the messages of that class, and all
-- capped classes share one (the policy of class *), which counts them all; of each the row of the country goes first.
CREATE FUNCTION mfiauto._caps_for(country text, class text)
RETURNS TABLE (cap_count integer, cap_days integer, min_gap interval, all_count integer, all_days integer, all_gap interval)
LANGUAGE sql STABLE ROWS 1 AS $$
  SELECT o.cap_count, o.cap_days, o.min_gap, a.cap_count, a.cap_days, a.min_gap
    FROM (SELECT) one
    LEFT JOIN LATERAL (SELECT p.* FROM mfiauto.policy p WHERE p.country IN ($1, '*') AND p.class = $2 ORDER BY p.country = '*' LIMIT 1) o ON true
    LEFT JOIN LATERAL (SELECT p.* FROM mfiauto.policy p WHERE p.country IN ($1, '*') AND p.class = '*' ORDER BY p.country = '*' LIMIT 1) a ON true
$$;

-- From when one more message of a class is within the limits, given when the client had which: the moment at which enough of them have
-- left the window, and the last one is long enough ago. Null: there is no limit that holds him back.
CREATE FUNCTION mfiauto._cap_free_at(times timestamptz[], classes text[], class text, cap_count integer, cap_days integer, min_gap interval,
  all_count integer, all_days integer, all_gap interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest((array_agg(h.at ORDER BY h.at DESC) FILTER (WHERE h.class = $3))[$4] + make_interval(hours => 24 * $5),
                  max(h.at) FILTER (WHERE h.class = $3) + $6,
                  (array_agg(h.at ORDER BY h.at DESC))[$7] + make_interval(hours => 24 * $8),
                  max(h.at) + $9)
    FROM unnest($1, $2) AS h(at, class)
$$;

-- Whether a status of the books, of those barred, or a mark bars a client from everything.
CREATE FUNCTION mfiauto._is_barred(status text, traits jsonb, statuses text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(lower(btrim($1)) = ANY ($3), false) OR coalesce($2 @> '{"deceased": true}' OR $2 @> '{"fraud": true}' OR $2 @> '{"do_not_contact": true}', false)
$$;

-- Clients to whom nothing is sent, whatever it is: erased, or of a status (dead, closed, fraud) or with a mark that bars them.
CREATE FUNCTION mfiauto._barred_clients(client_ids bigint[]) RETURNS TABLE (client_id bigint, reason text)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT e.client_id, 'erased' FROM mfiauto.erased_client e WHERE e.client_id = ANY (client_ids);
  IF to_regclass('mfiauto.client') IS NOT NULL THEN
    RETURN QUERY
      SELECT k.id, 'client_barred'
        FROM (SELECT DISTINCT u.id FROM unnest(client_ids) AS u(id)) k
        JOIN LATERAL (SELECT c.status, c.traits FROM mfiauto.client c WHERE c.client_id = k.id OFFSET 0) c ON true
       WHERE mfiauto._is_barred(c.status, c.traits, ARRAY(SELECT b.status FROM mfiauto.barred_status b));
  END IF;
END $$;

CREATE FUNCTION mfiauto._bar_status(status text, meaning text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF status IS NULL OR btrim(status) = '' OR length(status) > 100 OR length(meaning) > 1000 THEN
    RAISE EXCEPTION 'status of a client is not valid' USING ERRCODE = '22023', HINT = 'Write it as mfiauto.client.status has it, as closed.';
  END IF;
  INSERT INTO mfiauto.barred_status (status, meaning) VALUES (lower(btrim(status)), meaning)
  ON CONFLICT ON CONSTRAINT barred_status_pkey DO UPDATE SET meaning = excluded.meaning;
  PERFORM mfiauto._note_change('barred_status', lower(btrim(status)), jsonb_build_object('meaning', meaning));
END $$;
SELECT mfiauto._open_door('mfiauto._bar_status(text, text)', '{admin}',
  'Has nothing sent any more, of whatever class, to clients of a status of the books.');

CREATE FUNCTION mfiauto._unbar_status(status text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.barred_status b WHERE b.status = lower(btrim(_unbar_status.status));
  IF NOT FOUND THEN
    RAISE EXCEPTION 'status "%" is not barred', status USING ERRCODE = '42704', HINT = 'See SELECT status FROM mfiauto.barred_status;';
  END IF;
  PERFORM mfiauto._note_change('barred_status', lower(btrim(status)), NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._unbar_status(text)', '{admin}', 'Lets messages go again to clients of a status of the books.');

-- Why each message of a set may not leave now; null: it may. In order of weight: the client is erased or barred, the address is suppressed,
-- the client opted out or never opted in, the address is not on a staging server's list, the client is in arrears, the client had enough
-- (then next_at says from when no longer). Caps count what was sent, or may have been, in rolling windows, what other claims have in flight,
-- and the messages before it in the set; message_ids are the set itself.
CREATE FUNCTION mfiauto._contact_refusals(client_ids bigint[], channels text[], classes text[], addresses text[],
  countries text[] DEFAULT NULL, message_ids bigint[] DEFAULT NULL)
RETURNS TABLE (ord integer, reason text, next_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  line record;
  present bigint;
  times timestamptz[];
  kinds text[];
BEGIN
  FOR line IN
  WITH asked AS MATERIALIZED (
    SELECT k.ord, k.client_id, k.channel, k.address, coalesce(k.class, 'marketing') AS class, coalesce(k.country, i.country) AS country
      FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5)) WITH ORDINALITY AS k(client_id, channel, class, address, country, ord)
      CROSS JOIN mfiauto.institution i
  ), rule AS MATERIALIZED (
    SELECT a.country, c.class, c.needs_consent, c.honors_opt_out, c.capped, p.barred_in_arrears, f.cap_count, f.cap_days, f.min_gap, f.all_count, f.all_days, f.all_gap
      FROM (SELECT DISTINCT a.country, a.class FROM asked a) a
      JOIN mfiauto.message_class c ON c.class = a.class
      LEFT JOIN LATERAL mfiauto._policy_for(a.country, c.class) p ON true
      LEFT JOIN LATERAL mfiauto._caps_for(a.country, c.class) f ON c.capped
  ), wanted AS MATERIALIZED (
    SELECT a.ord, a.client_id, a.channel, a.address, r.class, r.needs_consent, r.honors_opt_out, r.capped, r.barred_in_arrears,
           r.cap_count, r.cap_days, r.min_gap, r.all_count, r.all_days, r.all_gap
      FROM asked a LEFT JOIN rule r ON r.country = a.country AND r.class = a.class
  ), client_sent AS MATERIALIZED (
    -- What each client had, once a client: the capped messages within the longest window asked for.
    SELECT w.client_id, array_agg(s.at) AS times, array_agg(s.class) AS kinds
      FROM (SELECT w.client_id, greatest(max(make_interval(hours => 24 * greatest(w.cap_days, w.all_days))), max(w.min_gap), max(w.all_gap)) AS span FROM wanted w
             WHERE w.capped AND num_nonnulls(w.cap_count, w.min_gap, w.all_count, w.all_gap) > 0 GROUP BY w.client_id) w
      CROSS JOIN LATERAL (
        SELECT l.sent_at AS at, l.class
          FROM mfiauto.message_ledger l JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
         WHERE l.client_id = w.client_id AND l.created_at > clock - w.span - interval '30 days' AND l.sent_at > clock - w.span
        UNION ALL
        -- What may have left counts as if it had.
        SELECT u.noted_at, l.class
          FROM mfiauto.unknown_message u
          JOIN mfiauto.message_ledger l ON l.client_id = u.client_id AND l.message_id = u.message_id
          JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
         WHERE u.client_id = w.client_id AND l.sent_at IS NULL AND u.noted_at > clock - w.span
        UNION ALL
        SELECT clock, l.class
          FROM mfiauto.outbox o
          JOIN mfiauto.message_ledger l ON l.client_id = o.client_id AND l.created_at = o.created_at AND l.message_id = o.message_id
          JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
         WHERE o.client_id = w.client_id AND (o.lease_until IS NOT NULL OR o.reason = 'outcome_unknown') AND o.message_id <> ALL (coalesce($6, '{}'))) s
     GROUP BY w.client_id
  ), late AS MATERIALIZED (
    SELECT DISTINCT w.client_id
      FROM (SELECT DISTINCT w.client_id FROM wanted w WHERE w.barred_in_arrears) w
      CROSS JOIN mfiauto.institution i
     WHERE EXISTS (SELECT FROM mfiauto.subject_state s
                    WHERE s.client_id = w.client_id AND s.role = 'installment'
                      AND s.on_date < mfiauto._today() - i.grace_days AND s.amount > coalesce(s.paid, 0))
        OR EXISTS (SELECT FROM mfiauto.party_state g JOIN mfiauto.subject_state s ON s.loan_id = g.loan_id AND s.role = 'installment'
                    WHERE g.client_id = w.client_id AND coalesce(g.until > mfiauto._today(), true)
                      AND s.on_date < mfiauto._today() - i.grace_days AND s.amount > coalesce(s.paid, 0))
  ), barred AS MATERIALIZED (
    SELECT b.client_id, max(b.reason) AS reason FROM mfiauto._barred_clients($1) b GROUP BY b.client_id
  ), judged AS MATERIALIZED (
    SELECT w.*,
           CASE WHEN b.reason IS NOT NULL THEN b.reason
                WHEN EXISTS (SELECT FROM mfiauto.suppression x WHERE x.channel = w.channel AND x.address_hash = mfiauto._address_hash(w.channel, w.address))
                  OR w.channel IN ('sms', 'voice', 'whatsapp')
                     AND EXISTS (SELECT FROM mfiauto.suppression x WHERE x.channel = 'phone' AND x.address_hash = mfiauto._address_hash('phone', w.address)) THEN 'suppressed'
                WHEN w.honors_opt_out AND a.granted = false THEN 'opted_out'
                WHEN w.needs_consent AND a.granted IS DISTINCT FROM true
                THEN CASE WHEN a.granted = false THEN 'opted_out' WHEN q.client_id IS NOT NULL THEN 'consent_pending' ELSE 'no_consent' END
                WHEN w.address <> ALL (mfiauto._only_recipients()) THEN 'not_on_list'
                WHEN w.barred_in_arrears AND w.client_id IN (SELECT l.client_id FROM late l) THEN 'in_arrears' END AS refusal
      FROM wanted w
      LEFT JOIN barred b ON b.client_id = w.client_id
      LEFT JOIN LATERAL (SELECT c.granted FROM mfiauto.consent c
                          WHERE (w.needs_consent OR w.honors_opt_out) AND c.client_id = w.client_id AND NOT c.is_pending
                            AND (c.channel IS NULL OR c.channel = w.channel) AND (c.purpose IS NULL OR c.purpose = w.class)
                          ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) a ON true
      LEFT JOIN LATERAL (SELECT c.client_id FROM mfiauto.consent c
                          WHERE w.needs_consent AND a.granted IS NULL AND c.client_id = w.client_id AND c.is_pending
                            AND (c.channel IS NULL OR c.channel = w.channel) AND (c.purpose IS NULL OR c.purpose = w.class) LIMIT 1) q ON true
  )
  SELECT j.*, s.times, s.kinds, count(*) FILTER (WHERE j.capped AND j.refusal IS NULL) OVER (PARTITION BY j.client_id) > 1 AS is_crowded,
         CASE WHEN j.capped AND j.refusal IS NULL AND s.times IS NOT NULL
              THEN mfiauto._cap_free_at(s.times, s.kinds, j.class, j.cap_count, j.cap_days, j.min_gap, j.all_count, j.all_days, j.all_gap) END AS free_at
    FROM judged j LEFT JOIN client_sent s ON s.client_id = j.client_id
   ORDER BY j.client_id, j.ord
  LOOP
    -- Of a client with several in the set each counts for the next.
    IF line.is_crowded AND line.capped AND line.refusal IS NULL THEN
      IF line.client_id IS DISTINCT FROM present THEN
        present := line.client_id;
        times := coalesce(line.times, '{}');
        kinds := coalesce(line.kinds, '{}');
      END IF;
      line.free_at := mfiauto._cap_free_at(times, kinds, line.class, line.cap_count, line.cap_days, line.min_gap, line.all_count, line.all_days, line.all_gap);
      IF line.free_at IS NULL OR line.free_at <= clock THEN
        times := times || clock;
        kinds := kinds || line.class;
      END IF;
    END IF;
    ord := line.ord;
    next_at := CASE WHEN line.free_at > clock THEN line.free_at END;
    reason := CASE WHEN next_at IS NOT NULL THEN 'capped' ELSE line.refusal END;
    RETURN NEXT;
  END LOOP;
END $$;
