-- Schedules in the language of cron: minute, hour, day of the month, month, day of the week.
--
-- A local minute comes once a day, and becomes a moment as AT TIME ZONE makes one: in a gap it is moved on by the gap, in an overlap it is taken once.

-- The numbers that a field names, or what is wrong with it. names: of the numbers from lowest on.
CREATE FUNCTION mfiauto._cron_field(field text, lowest integer, highest integer, names text[], OUT numbers integer[], OUT problem text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  item text;
  part text[];
  first integer;
  last integer;
BEGIN
  numbers := '{}';
  FOREACH item IN ARRAY string_to_array(field, ',') LOOP
    part := regexp_match(lower(item), '^(?:(\*)|([0-9]{1,3}|[a-z]{3})(?:-([0-9]{1,3}|[a-z]{3}))?)(?:/([0-9]{1,3}))?$');
    first := CASE WHEN part[1] IS NOT NULL THEN lowest WHEN part[2] ~ '^[0-9]' THEN part[2]::integer ELSE array_position(names, part[2]) - 1 + lowest END;
    last := CASE WHEN part[1] IS NOT NULL THEN highest WHEN part[3] IS NULL THEN first WHEN part[3] ~ '^[0-9]' THEN part[3]::integer
                 ELSE array_position(names, part[3]) - 1 + lowest END;
    IF part IS NULL OR first IS NULL OR last IS NULL THEN
      problem := format('"%s"', item);
    ELSIF first < lowest OR last > highest OR first > highest THEN
      problem := format('"%s", beyond %s to %s', item, lowest, highest);
    ELSIF last < first THEN
      problem := format('"%s", which goes backwards', item);
    ELSIF part[4]::integer = 0 THEN
      problem := format('"%s", a step of nothing', item);
    ELSIF part[4] IS NOT NULL AND part[1] IS NULL AND part[3] IS NULL THEN
      problem := format('"%s", a step without a range', item);
    END IF;
    IF problem IS NOT NULL THEN
      RETURN;
    END IF;
    numbers := numbers || ARRAY(SELECT n FROM generate_series(first, last, coalesce(part[4]::integer, 1)) n);
  END LOOP;
  IF cardinality(numbers) = 0 THEN
    problem := 'nothing';
  END IF;
END $$;

-- The fields of a schedule. is_either: both kinds of day are restricted, so that either is enough. Weekdays are 0 (Sunday) to 6.
CREATE FUNCTION mfiauto._parse_cron(cron text, OUT minutes integer[], OUT hours integer[], OUT days integer[], OUT months integer[], OUT weekdays integer[],
                                    OUT is_either boolean, OUT problem text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  field text[] := regexp_split_to_array(btrim(cron, E' \t\r\n'), '\s+');
BEGIN
  IF cardinality(field) <> 5 THEN
    problem := format('%s field%s', cardinality(field), CASE WHEN cardinality(field) <> 1 THEN 's' ELSE '' END);
    RETURN;
  END IF;
  SELECT max(f.numbers) FILTER (WHERE f.place = 1), max(f.numbers) FILTER (WHERE f.place = 2), max(f.numbers) FILTER (WHERE f.place = 3),
         max(f.numbers) FILTER (WHERE f.place = 4), max(f.numbers) FILTER (WHERE f.place = 5), (array_agg(f.trouble ORDER BY f.place) FILTER (WHERE f.trouble IS NOT NULL))[1]
    INTO minutes, hours, days, months, weekdays, problem
    FROM (SELECT k.place, c.numbers, c.problem || ' for the ' || k.name AS trouble
            FROM (VALUES (1, 'minute', 0, 59, '{}'::text[]), (2, 'hour', 0, 23, '{}'), (3, 'day of the month', 1, 31, '{}'),
                         (4, 'month', 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'),
                         (5, 'day of the week', 0, 7, '{sun,mon,tue,wed,thu,fri,sat}')) AS k(place, name, lowest, highest, names)
            CROSS JOIN LATERAL mfiauto._cron_field(field[k.place], k.lowest, k.highest, k.names) c) f;
  weekdays := ARRAY(SELECT DISTINCT n % 7 FROM unnest(weekdays) n ORDER BY 1);
  is_either := strpos(field[3], '*') = 0 AND strpos(field[5], '*') = 0;
END $$;

-- The days on which a schedule comes.
CREATE FUNCTION mfiauto._cron_days(cron text, first_on date, last_on date) RETURNS SETOF date
LANGUAGE sql STABLE AS $$
  SELECT d.day
    FROM mfiauto._parse_cron(_cron_days.cron) c
    CROSS JOIN LATERAL (SELECT n.at::date AS day FROM generate_series(first_on::timestamp, last_on::timestamp, interval '1 day') AS n(at)) d
    CROSS JOIN LATERAL (SELECT extract(day FROM d.day)::integer = ANY (c.days) AS by_day, extract(dow FROM d.day)::integer = ANY (c.weekdays) AS by_weekday) m
   WHERE extract(month FROM d.day)::integer = ANY (c.months)
     AND CASE WHEN c.is_either THEN m.by_day OR m.by_weekday ELSE m.by_day AND m.by_weekday END
$$;

-- The moments of a schedule later than one moment and not later than another.
CREATE FUNCTION mfiauto._occurrences(cron text, zone text, after timestamptz, until timestamptz) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT m.at
    FROM mfiauto._parse_cron(_occurrences.cron) c
    CROSS JOIN LATERAL mfiauto._cron_days(_occurrences.cron, (after AT TIME ZONE zone)::date - 1, (until AT TIME ZONE zone)::date + 1) AS d(day)
    CROSS JOIN LATERAL unnest(c.hours) AS h(hour)
    CROSS JOIN LATERAL unnest(c.minutes) AS n(minute)
    CROSS JOIN LATERAL (SELECT (d.day + make_time(h.hour, n.minute, 0)) AT TIME ZONE zone AS at) m
   WHERE m.at > after AND m.at <= until
$$;

-- The next moment of a schedule; null: it never comes. Of the days that match from yesterday on, one of the first four has it.
CREATE FUNCTION mfiauto._next_occurrence(cron text, zone text, after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
  present date := (after AT TIME ZONE zone)::date;
  days date[];
BEGIN
  -- Most come within a year or so; a 29 February on a given weekday, within forty.
  days := ARRAY(SELECT d FROM mfiauto._cron_days(cron, present - 1, present + 400) d ORDER BY 1 LIMIT 4);
  IF cardinality(days) < 4 THEN
    days := ARRAY(SELECT d FROM mfiauto._cron_days(cron, present - 1, present + 14700) d ORDER BY 1 LIMIT 4);
  END IF;
  RETURN (SELECT min(o) FROM mfiauto._occurrences(cron, zone, after, (days[cardinality(days)] + time '23:59:59') AT TIME ZONE zone + interval '3 hours') o
           WHERE cardinality(days) > 0);
END $$;

-- What is wrong with a schedule; null: nothing.
CREATE FUNCTION mfiauto._cron_problem(cron text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((mfiauto._parse_cron(_cron_problem.cron)).problem,
                  CASE WHEN mfiauto._next_occurrence(_cron_problem.cron, 'UTC', mfiauto.now()) IS NULL THEN 'a day that never comes' END)
$$;
