-- Who may be written to: consent, suppressed addresses, the institution's contact rules, and the check of a claim.

-- ---- Consent ----

CREATE FUNCTION mfiauto._record_consent(client_id bigint, channel text, purpose text, granted boolean, reason text, source text,
  text_version text, proof jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF greatest(length(reason), length(source), length(text_version)) > 1000 OR pg_column_size(proof) > 65536 THEN
    RAISE EXCEPTION 'what is told of a consent is too long'
      USING ERRCODE = '54000', DETAIL = 'reason, source and text_version have at most 1000 characters each, proof has 64 kB.', HINT = 'Keep large documents elsewhere and give their reference.';
  END IF;
  IF client_id IS NULL THEN
    RAISE EXCEPTION 'client_id must not be null' USING ERRCODE = '22004';
  END IF;
  PERFORM mfiauto._check_sight(client_id);
  IF channel IS NOT NULL THEN
    PERFORM mfiauto._check_channel(channel);
  END IF;
  PERFORM mfiauto._check_class(purpose);
  IF NOT granted AND EXISTS (SELECT FROM mfiauto.message_class c WHERE c.class = purpose AND NOT c.honors_opt_out) THEN
    RAISE EXCEPTION 'messages of class "%" cannot be opted out of', purpose USING ERRCODE = '22023',
      HINT = format('These can: %s.', (SELECT string_agg(c.class, ', ' ORDER BY c.priority) FROM mfiauto.message_class c WHERE c.honors_opt_out));
  END IF;
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, reason, source, text_version, proof, given_at, recorded_by)
  VALUES (client_id, channel, purpose, granted, reason, source, text_version, proof, mfiauto.now(), mfiauto._caller());
  PERFORM mfiauto._journal_append(0, 'p', 0, client_id);
END $$;

CREATE FUNCTION mfiauto._opt_out(client_id bigint, channel text DEFAULT NULL, purpose text DEFAULT NULL, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._record_consent(client_id, channel, purpose, false, reason, NULL, NULL, NULL);
END $$;
SELECT mfiauto._open_door('mfiauto._opt_out(bigint, text, text, text)', '{admin,app,officer,branch}',
  'Records that a client wants no messages on a channel (null: any) of a class (null: every class that honors opt-outs). '
  'Messages that wait are withdrawn when they are about to leave.');

CREATE FUNCTION mfiauto._opt_in(client_id bigint, channel text DEFAULT NULL, purpose text DEFAULT NULL, source text DEFAULT NULL,
  text_version text DEFAULT NULL, proof jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._record_consent(client_id, channel, purpose, true, NULL, source, text_version, proof);
END $$;
SELECT mfiauto._open_door('mfiauto._opt_in(bigint, text, text, text, text, jsonb)', '{admin,app,officer,branch}',
  'Records a client''s consent to messages on a channel (null: any) of a class (null: any), with where it was given, the version of '
  'the text that was agreed to, and what proves it.');

-- ---- Suppressed addresses ----

-- The key of an address in the suppression list: it survives the erasure of the client, and tells nobody the address.
CREATE FUNCTION mfiauto._address_hash(channel text, address text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(channel || ':' || address, 'UTF8')), 'hex')
$$;

CREATE FUNCTION mfiauto._checked_address(channel text, address text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  written text;
BEGIN
  PERFORM mfiauto._check_channel(channel);
  -- A landline cannot be texted, yet it can be put on the list.
  written := mfiauto._read_address(CASE WHEN channel IN ('sms', 'whatsapp') THEN 'voice' ELSE channel END, address,
                                   (SELECT i.country FROM mfiauto.institution i));
  IF written IS NULL THEN
    RAISE EXCEPTION 'address is not valid on channel "%"', channel USING ERRCODE = '22023',
      HINT = CASE WHEN channel IN ('sms', 'whatsapp', 'voice') THEN 'Write the number with its country, as +221…; see normalize_phone().'
                  WHEN channel = 'email' THEN 'Write it as name@domain.' ELSE 'It must be printable ASCII without spaces.' END;
  END IF;
  RETURN written;
END $$;

CREATE FUNCTION mfiauto._suppress_address(channel text, address text, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF reason IS NULL OR btrim(reason) = '' THEN
    RAISE EXCEPTION 'a suppression needs a reason' USING ERRCODE = '22023', HINT = 'For instance: wrong number, bounced, complaint.';
  ELSIF length(reason) > 1000 THEN
    RAISE EXCEPTION 'reason of a suppression is longer than 1000 characters' USING ERRCODE = '54000', HINT = 'For instance: wrong number, bounced, complaint.';
  END IF;
  INSERT INTO mfiauto.suppression (channel, address_hash, reason, suppressed_at)
  VALUES (channel, mfiauto._address_hash(channel, mfiauto._checked_address(channel, address)), reason, mfiauto.now())
  ON CONFLICT ON CONSTRAINT suppression_pkey DO UPDATE SET reason = excluded.reason, suppressed_at = excluded.suppressed_at;
END $$;
SELECT mfiauto._open_door('mfiauto._suppress_address(text, text, text)', '{admin,app}',
  'Puts an address on the suppression list of a channel: it is never written to again, whatever the class. Only its hash is kept.');

CREATE FUNCTION mfiauto._unsuppress_address(channel text, address text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.suppression s
   WHERE s.channel = _unsuppress_address.channel
     AND s.address_hash = mfiauto._address_hash(_unsuppress_address.channel,
                                                mfiauto._checked_address(_unsuppress_address.channel, _unsuppress_address.address));
  IF NOT FOUND THEN
    RAISE EXCEPTION 'address is not on the suppression list of channel "%"', channel USING ERRCODE = '42704';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._unsuppress_address(text, text)', '{admin}',
  'Takes an address off the suppression list of a channel.');

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
  locale text DEFAULT NULL, currency text DEFAULT NULL, grace_days integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  zone text;
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
    currency = coalesce(_set_institution.currency, i.currency), grace_days = coalesce(_set_institution.grace_days, i.grace_days);
  IF country IS NOT NULL THEN
    -- Telephone numbers that are written without a country are read with the institution's.
    PERFORM mfiauto._keep_addresses(NULL);
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._set_institution(text, text, text, text, text, integer)', '{admin}',
  'Sets the institution''s name, country (ISO 3166), time zone (IANA), locale, currency (ISO 4217) and the days of grace before an '
  'installment counts as late: what holds for clients of whom nothing else is known. What is not given stays.');

-- The policy in force for a class in a country: the row that names both, else the country, else the class, else neither.
CREATE FUNCTION mfiauto._policy_for(country text, class text)
RETURNS TABLE (country text, class text, contact_from time, contact_until time, weekdays integer[], skips_holidays boolean,
               break_weekday integer, break_from time, break_until time, cap_count integer, cap_days integer, min_gap interval,
               barred_in_arrears boolean)
LANGUAGE sql STABLE ROWS 1 AS $$
  SELECT p.country, p.class, p.contact_from, p.contact_until, p.weekdays, p.skips_holidays, p.break_weekday, p.break_from, p.break_until,
         p.cap_count, p.cap_days, p.min_gap, p.barred_in_arrears
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
  cap_days integer DEFAULT NULL, min_gap interval DEFAULT NULL, barred_in_arrears boolean DEFAULT NULL) RETURNS void
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
                              break_until, cap_count, cap_days, min_gap, barred_in_arrears)
  VALUES (country, class, old.contact_from, old.contact_until, old.weekdays, coalesce(skips_holidays, old.skips_holidays), old.break_weekday,
          old.break_from, old.break_until, old.cap_count, old.cap_days, old.min_gap, coalesce(barred_in_arrears, old.barred_in_arrears))
  ON CONFLICT ON CONSTRAINT policy_pkey DO UPDATE SET
    contact_from = excluded.contact_from, contact_until = excluded.contact_until, weekdays = excluded.weekdays,
    skips_holidays = excluded.skips_holidays, break_weekday = excluded.break_weekday, break_from = excluded.break_from,
    break_until = excluded.break_until, cap_count = excluded.cap_count, cap_days = excluded.cap_days, min_gap = excluded.min_gap,
    barred_in_arrears = excluded.barred_in_arrears;
  SELECT string_agg(p.class, ', ' ORDER BY p.class) INTO shadowed FROM mfiauto.policy p
   WHERE _set_policy.class = '*' AND _set_policy.country <> '*' AND p.country = '*' AND p.class <> '*'
     AND NOT EXISTS (SELECT FROM mfiauto.policy o WHERE o.country = _set_policy.country AND o.class = p.class);
  IF shadowed IS NOT NULL THEN
    RAISE NOTICE 'in country "%" this policy also takes the place of the general ones of: %', country, shadowed
      USING HINT = 'Set a policy for the country and the class where they shall differ.';
  END IF;
END $$;
SELECT mfiauto._open_door(
  'mfiauto._set_policy(text, text, time, time, integer[], boolean, integer, time, time, integer, integer, interval, boolean)', '{admin}',
  'Sets when and how often a class may contact clients of a country (* for any): contact hours, ISO weekdays, holidays, a weekly break, '
  'at most cap_count messages in cap_days days, the least time between two, and whether clients in arrears are left alone. '
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
END $$;
SELECT mfiauto._open_door('mfiauto._drop_policy(text, text)', '{admin}',
  'Takes away the policy of a country and a class; the next wider one holds from then on.');

CREATE FUNCTION mfiauto._set_holiday(on_date date, name text, country text DEFAULT '*') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._check_policy_country(country);
  IF on_date IS NULL OR NOT isfinite(on_date) OR name IS NULL OR btrim(name) = '' THEN
    RAISE EXCEPTION 'a holiday needs a date and a name' USING ERRCODE = '22023';
  END IF;
  INSERT INTO mfiauto.holiday (country, on_date, name) VALUES (country, on_date, name)
  ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
END $$;
SELECT mfiauto._open_door('mfiauto._set_holiday(date, text, text)', '{admin}',
  'Enters a day on which no class that honors contact hours is sent, in a country or (*) everywhere. It holds for messages that wait already.');

CREATE FUNCTION mfiauto._drop_holiday(on_date date, country text DEFAULT '*') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM mfiauto.holiday h WHERE h.on_date = _drop_holiday.on_date AND h.country = _drop_holiday.country;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'holiday % of country "%" does not exist', on_date, country USING ERRCODE = '42704',
      HINT = 'See SELECT country, on_date, name FROM mfiauto.holiday;';
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._drop_holiday(date, text)', '{admin}', 'Takes a holiday away.');

-- ---- The check of a claim ----

CREATE FUNCTION mfiauto._only_recipients() RETURNS text[]
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_only_recipients';

-- Why each message of a set may not leave now; null: it may. In order of weight: the address is suppressed, the client opted out or
-- never opted in, the address is not on a staging server's list, the client is in arrears, the client had enough. The cap counts what was
-- sent in the last cap_days days, what other claims have in flight, and the messages before it in the set; message_ids are the set itself.
CREATE FUNCTION mfiauto._contact_refusals(client_ids bigint[], channels text[], classes text[], addresses text[],
  countries text[] DEFAULT NULL, message_ids bigint[] DEFAULT NULL)
RETURNS TABLE (ord integer, reason text)
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH wanted AS MATERIALIZED (
    SELECT k.ord, k.client_id, k.channel, k.address, c.class, c.needs_consent, c.honors_opt_out, c.capped,
           p.cap_count, p.cap_days, p.min_gap, p.barred_in_arrears
      FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5)) WITH ORDINALITY AS k(client_id, channel, class, address, country, ord)
      CROSS JOIN mfiauto.institution i
      LEFT JOIN mfiauto.message_class c ON c.class = coalesce(k.class, 'marketing')
      LEFT JOIN LATERAL mfiauto._policy_for(coalesce(k.country, i.country), c.class) p ON true
  ), client_sent AS MATERIALIZED (
    -- What each client had, once a client: the times of capped messages within the longest window asked for.
    SELECT w.client_id, array_agg(s.at) AS sent_at
      FROM (SELECT w.client_id, max(w.cap_days) AS days, max(w.min_gap) AS gap FROM wanted w
             WHERE w.capped AND (w.cap_count IS NOT NULL OR w.min_gap IS NOT NULL) GROUP BY w.client_id) w
      CROSS JOIN LATERAL (
        SELECT l.sent_at AS at
          FROM mfiauto.message_ledger l JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
         WHERE l.client_id = w.client_id
           AND l.created_at > mfiauto.now() - greatest(make_interval(days => w.days), w.gap) - interval '30 days'
           AND l.sent_at > mfiauto.now() - greatest(make_interval(days => w.days), w.gap)
        UNION ALL
        SELECT mfiauto.now()
          FROM mfiauto.outbox o
          JOIN mfiauto.message_ledger l ON l.client_id = o.client_id AND l.created_at = o.created_at AND l.message_id = o.message_id
          JOIN mfiauto.message_class c ON c.class = l.class AND c.capped
         WHERE o.client_id = w.client_id AND o.lease_until IS NOT NULL AND o.message_id <> ALL (coalesce($6, '{}'))) s
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
  ), judged AS (
    SELECT w.*, coalesce(r.sent_count, 0) AS sent_count, coalesce(r.is_too_soon, false) AS is_too_soon,
           CASE WHEN EXISTS (SELECT FROM mfiauto.suppression x
                              WHERE x.channel = w.channel AND x.address_hash = mfiauto._address_hash(w.channel, w.address)) THEN 'suppressed'
                WHEN w.honors_opt_out AND a.granted = false THEN 'opted_out'
                WHEN w.needs_consent AND a.granted IS DISTINCT FROM true THEN CASE WHEN a.granted = false THEN 'opted_out' ELSE 'no_consent' END
                WHEN w.address <> ALL (mfiauto._only_recipients()) THEN 'not_on_list'
                WHEN w.barred_in_arrears AND w.client_id IN (SELECT l.client_id FROM late l) THEN 'in_arrears' END AS reason
      FROM wanted w
      LEFT JOIN LATERAL (SELECT c.granted FROM mfiauto.consent c
                          WHERE (w.needs_consent OR w.honors_opt_out) AND c.client_id = w.client_id
                            AND (c.channel IS NULL OR c.channel = w.channel) AND (c.purpose IS NULL OR c.purpose = w.class)
                          ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) a ON true
      LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE t.at > mfiauto.now() - make_interval(days => w.cap_days)) AS sent_count,
                                bool_or(t.at > mfiauto.now() - w.min_gap) AS is_too_soon
                           FROM client_sent s, unnest(s.sent_at) AS t(at) WHERE w.capped AND s.client_id = w.client_id) r ON true
  ), counted AS (
    SELECT j.*, count(*) FILTER (WHERE j.capped AND j.reason IS NULL AND NOT j.is_too_soon AND coalesce(j.sent_count < j.cap_count, true))
                  OVER (PARTITION BY j.client_id ORDER BY j.ord ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_count
      FROM judged j
  )
  SELECT c.ord::integer,
         CASE WHEN c.reason IS NULL AND c.capped
                   AND (c.is_too_soon OR (c.min_gap IS NOT NULL AND c.before_count > 0) OR c.sent_count + c.before_count >= c.cap_count)
              THEN 'capped' ELSE c.reason END
    FROM counted c ORDER BY c.ord;
END $$;
