-- When a client may be contacted: local time by zone, contact hours, weekdays, holidays and the weekly pause.
--
-- A moment is wanted as local time (anchor + offset + time of day). Where the policy of its country and class bars it:
--   earlier allowed moment: the latest allowed day on which the wanted time of day, clamped into that day's contact hours,
--     comes before the wanted moment (at most 7 days back). Clamping to the end of a window leaves an hour for the queue to drain.
--   later allowed moment: on a barred day the same time of day on the next allowed day (clamped into its hours); on an allowed
--     day the start of the next window of the same day, else the first window of the next allowed day (at most 31 days on).
-- offset < 0 takes the earlier one if it is still ahead of the reference, else the later one; offset 0 stays on its day: later,
-- else earlier if still ahead, else it is barred; offset > 0 takes the later one. Classes that do not honor contact hours never move.

CREATE TYPE mfiauto._moment_key AS (
  wanted timestamp,
  zone text,
  country text,
  class text,
  day_offset integer,
  reference timestamptz
);

CREATE FUNCTION mfiauto._contact_moments(keys mfiauto._moment_key[])
RETURNS TABLE (wanted timestamp, zone text, country text, class text, day_offset integer, reference timestamptz, at timestamptz, outcome text)
LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  -- Planned once a session, as it is called often and with few keys.
  RETURN QUERY
  WITH rule AS MATERIALIZED (
    SELECT a.country, a.class, coalesce(c.honors_contact_hours, true) AND p.country IS NOT NULL AS is_bound, p.contact_from, p.contact_until,
           p.weekdays, p.skips_holidays, p.break_weekday, p.break_from, p.break_until
      FROM (SELECT DISTINCT k.country, k.class FROM unnest(keys) k) a
      LEFT JOIN mfiauto.message_class c ON c.class = a.class
      LEFT JOIN LATERAL mfiauto._policy_for(a.country, a.class) p ON true
  ),
  asked AS MATERIALIZED (
    SELECT k.*, k.wanted::date AS day, k.wanted::time AS clock, p.is_bound, p.contact_from, p.contact_until, p.weekdays, p.skips_holidays,
           p.break_weekday, p.break_from, p.break_until
      FROM unnest(keys) k
      JOIN rule p ON p.country = k.country AND p.class = k.class
  ),
  -- Every day that could matter, once a policy: is it allowed at all?
  day AS MATERIALIZED (
    SELECT d.country, d.class, d.day,
           extract(isodow FROM d.day)::integer = ANY (d.weekdays)
             AND NOT (d.skips_holidays AND EXISTS (SELECT FROM mfiauto.holiday h WHERE h.country IN (d.country, '*') AND h.on_date = d.day)) AS is_allowed,
           extract(isodow FROM d.day)::integer = d.break_weekday AS has_break
      FROM (SELECT DISTINCT a.country, a.class, a.weekdays, a.skips_holidays, a.break_weekday, a.day + n AS day
              FROM asked a, generate_series(-7, 31) n WHERE a.is_bound) d
  ),
  judged AS MATERIALIZED (
    SELECT a.*, d.is_allowed AS day_is_allowed,
           a.is_bound AND NOT (d.is_allowed AND a.clock >= a.contact_from AND a.clock < a.contact_until
                               AND NOT coalesce(d.has_break AND a.clock >= a.break_from AND a.clock < a.break_until, false)) AS is_barred
      FROM asked a LEFT JOIN day d ON a.is_bound AND d.country = a.country AND d.class = a.class AND d.day = a.day
  ),
  found AS (
    SELECT j.*, e.at AS earlier, l.at AS later
      FROM judged j
      LEFT JOIN LATERAL (
        SELECT d.day + t.clock AS at
          FROM day d,
               LATERAL (SELECT CASE WHEN j.clock < j.contact_from THEN j.contact_from
                                    WHEN j.clock >= j.contact_until THEN greatest(j.contact_from, j.contact_until - least(interval '1 hour', j.contact_until - time '00:00'))
                                    ELSE j.clock END AS clock) w,
               LATERAL (SELECT CASE WHEN d.has_break AND w.clock >= j.break_from AND w.clock < j.break_until
                                    THEN CASE WHEN j.break_from > j.contact_from
                                              THEN greatest(j.contact_from, j.break_from - least(interval '1 hour', j.break_from - time '00:00')) END
                                    ELSE w.clock END AS clock) t
         WHERE d.country = j.country AND d.class = j.class AND d.is_allowed AND d.day BETWEEN j.day - 7 AND j.day AND d.day + t.clock < j.wanted
         ORDER BY d.day DESC LIMIT 1) e ON j.is_barred
      LEFT JOIN LATERAL (
        SELECT d.day + t.clock AS at
          FROM day d,
               LATERAL (SELECT CASE WHEN d.day > j.day AND j.day_is_allowed THEN j.contact_from
                                    WHEN j.clock < j.contact_from THEN j.contact_from
                                    WHEN d.day > j.day AND j.clock >= j.contact_until
                                    THEN greatest(j.contact_from, j.contact_until - least(interval '1 hour', j.contact_until - time '00:00'))
                                    ELSE j.clock END AS clock) w,
               LATERAL (SELECT CASE WHEN d.has_break AND w.clock >= j.break_from AND w.clock < j.break_until THEN j.break_until ELSE w.clock END AS clock) t
         WHERE d.country = j.country AND d.class = j.class AND d.is_allowed AND d.day BETWEEN j.day AND j.day + 31
           AND d.day + t.clock > j.wanted AND t.clock < j.contact_until
         ORDER BY d.day LIMIT 1) l ON j.is_barred
  ),
  placed AS (
    SELECT f.*, f.wanted AT TIME ZONE f.zone AS wanted_at, f.earlier AT TIME ZONE f.zone AS earlier_at, f.later AT TIME ZONE f.zone AS later_at FROM found f
  ),
  decided AS (
    SELECT p.*, CASE WHEN NOT p.is_barred THEN 'wanted'
                     WHEN p.day_offset < 0 AND p.earlier_at >= p.reference THEN 'earlier'
                     WHEN p.day_offset = 0 AND p.later::date = p.day THEN 'later'
                     WHEN p.day_offset = 0 AND p.earlier::date = p.day AND p.earlier_at >= p.reference THEN 'earlier'
                     WHEN p.day_offset <> 0 AND p.later IS NOT NULL THEN 'later'
                     ELSE 'barred' END AS outcome
      FROM placed p
  )
  SELECT d.wanted, d.zone, d.country, d.class, d.day_offset, d.reference,
         CASE d.outcome WHEN 'wanted' THEN d.wanted_at WHEN 'earlier' THEN d.earlier_at WHEN 'later' THEN d.later_at END, d.outcome
    FROM decided d;
END $$;

-- One moment; outcome: wanted, earlier, later, or barred (at is null).
CREATE FUNCTION mfiauto._contact_moment(wanted timestamp, zone text, country text, class text, day_offset integer, reference timestamptz,
                                        OUT at timestamptz, OUT outcome text)
LANGUAGE sql STABLE AS $$
  SELECT m.at, m.outcome
    FROM mfiauto._contact_moments(ARRAY[ROW(wanted, zone, country, class, day_offset, reference)::mfiauto._moment_key]) m
$$;

-- The moment itself if it is allowed, else the next one that is; null if there is none within a month.
CREATE FUNCTION mfiauto._next_allowed(at timestamptz, zone text, country text, class text) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE m.outcome WHEN 'wanted' THEN _next_allowed.at ELSE m.at END
    FROM mfiauto._contact_moment(_next_allowed.at AT TIME ZONE zone, zone, country, class, 1, _next_allowed.at) m
$$;

-- The zone and country of each client, in the order given (for ROWS FROM); an absent or invalid zone is the institution's (is_zone_invalid tells the second).
CREATE FUNCTION mfiauto._client_zones(client_ids bigint[])
RETURNS TABLE (client_id bigint, zone text, country text, is_zone_invalid boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF to_regclass('mfiauto.client') IS NULL THEN
    RETURN QUERY SELECT u.id, i.time_zone, i.country, false FROM unnest(client_ids) WITH ORDINALITY AS u(id, ord), mfiauto.institution i ORDER BY u.ord;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT u.id, CASE WHEN u.is_valid THEN u.time_zone ELSE i.time_zone END, CASE WHEN u.country ~ '^[A-Z]{2}$' THEN u.country ELSE i.country END,
           u.time_zone IS NOT NULL AND NOT u.is_valid
      FROM (SELECT DISTINCT ON (d.ord) d.ord, d.id, c.time_zone, mfiauto._valid_zone(c.time_zone) AS is_valid,
                   coalesce(t.traits ->> 'country', c.traits ->> 'country') AS country
              FROM unnest(client_ids) WITH ORDINALITY AS d(id, ord)
              LEFT JOIN mfiauto.client c ON c.client_id = d.id
              LEFT JOIN mfiauto.client_trait t ON t.client_id = d.id
             ORDER BY d.ord OFFSET 0) u
      CROSS JOIN mfiauto.institution i
     ORDER BY u.ord;
END $$;
