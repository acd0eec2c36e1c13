-- What reminders there should have been, told by brute force: one installment and client after the other, one pass after the
-- other, with rules written down anew from the table "When, exactly". Nothing of the engine is called or read.
--
-- Given: oracle.pass (no, at): when the engine ran. oracle.seen (installment, pass_no, due_date, is_paid, is_gone): the books as they
-- were at that pass, a row where something changed. oracle.pair: who answers for which installment, in which zone.
-- Wanted: oracle.expected.
CREATE SCHEMA oracle;
CREATE TABLE oracle.pass (no integer PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE oracle.seen (installment bigint, pass_no integer, due_date date, is_paid boolean, is_gone boolean, PRIMARY KEY (installment, pass_no));
CREATE TABLE oracle.pair (installment bigint, client bigint, unit text, zone text, is_low boolean);
CREATE TABLE oracle.holiday (day date PRIMARY KEY);
CREATE TABLE oracle.expected (client bigint, installment bigint, day_offset integer, repetition date, local_date date, outcome text);

-- The program: 1 -7 days 20:30, 2 -3 days 09:00, 3 the day 20:30, 4 +1 day 06:30, 5 +3 days 09:00 (one of two texts), 6 +5 days 13:00 (a visit).
CREATE FUNCTION oracle.step_offset(step integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT ('{-7,-3,0,1,3,5}'::integer[])[step] $$;
CREATE FUNCTION oracle.step_time(step integer) RETURNS time LANGUAGE sql IMMUTABLE AS $$ SELECT ('{20:30,09:00,20:30,06:30,09:00,13:00}'::time[])[step] $$;

CREATE FUNCTION oracle.is_open(day date) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT to_char(day, 'Dy') <> 'Sun' AND NOT EXISTS (SELECT FROM oracle.holiday h WHERE h.day = is_open.day) $$;

-- A time of day brought into the hours of contact, 08:00 to 19:00 without 12:30 to 15:00 on Fridays, an hour before the end of a window.
CREATE FUNCTION oracle.fit(day date, t time, is_forward boolean) RETURNS time LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN t < '08:00' THEN time '08:00' WHEN t >= '19:00' THEN time '18:00'
              WHEN to_char(day, 'Dy') = 'Fri' AND t >= '12:30' AND t < '15:00' THEN CASE WHEN is_forward THEN time '15:00' ELSE time '11:30' END
              ELSE t END $$;

-- When a step happens, for somebody who looks from "now"; is_barred: nowhere, then at is the moment that was wanted.
CREATE FUNCTION oracle.moment(anchor date, step integer, zone text, now timestamptz, OUT at timestamptz, OUT is_barred boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  k integer := oracle.step_offset(step);
  day date := anchor + k;
  t time := oracle.step_time(step);
  wanted timestamp := day + t;
  other timestamp;
  later timestamp;
BEGIN
  is_barred := false;
  at := wanted AT TIME ZONE zone;
  IF oracle.is_open(day) AND oracle.fit(day, t, true) = t THEN
    RETURN;
  END IF;
  -- Forward: the same day if it is open, else the same time on the next open day; the first window if the day was open but is over.
  IF oracle.is_open(day) AND oracle.fit(day, t, true) > t THEN
    later := day + oracle.fit(day, t, true);
  ELSE
    FOR n IN 1..31 LOOP
      IF oracle.is_open(day + n) THEN
        later := day + n + CASE WHEN oracle.is_open(day) THEN time '08:00' ELSE oracle.fit(day + n, t, true) END;
        EXIT;
      END IF;
    END LOOP;
  END IF;
  -- Back: the last open day on which the time, fitted, comes before.
  FOR n IN 0..7 LOOP
    IF oracle.is_open(day - n) AND day - n + oracle.fit(day - n, t, false) < wanted THEN
      other := day - n + oracle.fit(day - n, t, false);
      EXIT;
    END IF;
  END LOOP;
  IF k < 0 AND other AT TIME ZONE zone >= now THEN
    at := other AT TIME ZONE zone;
  ELSIF k = 0 THEN
    IF later::date = day THEN
      at := later AT TIME ZONE zone;
    ELSIF other::date = day AND other AT TIME ZONE zone >= now THEN
      at := other AT TIME ZONE zone;
    ELSE
      is_barred := true;
    END IF;
  ELSE
    at := later AT TIME ZONE zone;
  END IF;
END $$;

-- Notes an outcome, the first of a step and repetition alone.
CREATE FUNCTION oracle.note(who oracle.pair, step integer, anchor date, at timestamptz, told text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO oracle.expected
  SELECT who.client, who.installment, oracle.step_offset(step), anchor, (at AT TIME ZONE who.zone)::date, told
   WHERE NOT EXISTS (SELECT FROM oracle.expected e
                      WHERE e.client = who.client AND e.installment = who.installment AND e.day_offset = oracle.step_offset(step) AND e.repetition = anchor) $$;

CREATE FUNCTION oracle.was_sent_near(who oracle.pair, step integer, anchor date) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM oracle.expected e
                  WHERE e.client = who.client AND e.installment = who.installment AND e.day_offset = oracle.step_offset(step)
                    AND e.outcome IN ('sent', 'holdout') AND e.repetition <> anchor AND abs(e.repetition - anchor) <= 3) $$;
CREATE INDEX ON oracle.expected (installment, client);

-- The life of one installment for one client.
CREATE FUNCTION oracle.live(who oracle.pair, holdout_salt text, holdout numeric) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  arm text := CASE WHEN ('x' || substr(encode(sha256(convert_to(holdout_salt || ' ' || who.unit, 'UTF8')), 'hex'), 1, 6))::bit(24)::integer % 10000 < holdout * 100
                   THEN 'holdout' ELSE 'sent' END;
  state text := 'outside';
  book oracle.seen;
  p record;
  changed boolean;
  through date;
  through_before date;
  anchor date;
  step integer;
  due timestamptz;
  m record;
  following timestamptz;
  ends timestamptz;
  first_step integer;
  first_due date := (SELECT min(s.due_date) FROM oracle.seen s WHERE s.installment = who.installment);
  last_due date := (SELECT max(s.due_date) FROM oracle.seen s WHERE s.installment = who.installment);
BEGIN
  FOR p IN SELECT a.no, a.at, s.pass_no IS NOT NULL AS has_row, s.due_date, s.is_paid, s.is_gone
             FROM oracle.pass a LEFT JOIN oracle.seen s ON s.installment = who.installment AND s.pass_no = a.no
            -- Nothing can happen long before the first of its dates, or after the last.
            WHERE s.pass_no IS NOT NULL OR a.at BETWEEN first_due - interval '18 days' AND last_due + interval '12 days' ORDER BY a.no LOOP
    changed := false;
    IF p.has_row THEN
      changed := (book.due_date, book.is_paid, book.is_gone) IS DISTINCT FROM (p.due_date, p.is_paid, p.is_gone);
      book.installment := who.installment;
      book.due_date := p.due_date;
      book.is_paid := p.is_paid;
      book.is_gone := p.is_gone;
    END IF;
    through_before := through;
    through := (p.at AT TIME ZONE 'UTC')::date + 16;
    IF book.installment IS NULL OR (NOT changed AND (state IN ('ended', 'over') OR (state = 'active' AND due > p.at)
                                         OR (state = 'outside' AND book.due_date <= through_before))) THEN
      CONTINUE;
    END IF;
    -- What the books say.
    first_step := NULL;
    IF state = 'active' AND changed AND (book.is_gone OR book.is_paid) THEN
      state := 'ended';
    ELSIF NOT book.is_gone AND NOT book.is_paid
          AND ((state = 'outside' AND book.due_date <= through AND book.due_date >= (p.at AT TIME ZONE 'UTC')::date - 14
                AND (changed OR through_before IS NULL OR book.due_date > through_before))
               OR (state = 'active' AND changed AND book.due_date <> anchor)
               OR (state = 'ended' AND changed)
               OR (state = 'over' AND changed AND book.due_date <> anchor)) THEN
      FOR n IN 1..6 LOOP
        m := oracle.moment(book.due_date, n, who.zone, p.at);
        IF m.at >= p.at THEN
          first_step := n;
          EXIT;
        END IF;
      END LOOP;
      IF first_step IS NOT NULL OR state = 'active' THEN
        anchor := book.due_date;
        FOR n IN 1..4 LOOP
          IF n < coalesce(first_step, 7) THEN
            PERFORM oracle.note(who, n, anchor, (anchor + oracle.step_offset(n) + oracle.step_time(n)) AT TIME ZONE who.zone,
                                CASE WHEN oracle.was_sent_near(who, n, anchor) THEN 'already_sent' ELSE 'past' END);
          END IF;
        END LOOP;
        state := CASE WHEN first_step IS NULL THEN 'over' ELSE 'active' END;
        step := first_step;
        due := m.at;
      END IF;
    END IF;
    -- What is due.
    WHILE state = 'active' AND due <= p.at LOOP
      m := oracle.moment(anchor, step, who.zone, due);
      following := CASE WHEN step < 6 THEN (oracle.moment(anchor, step + 1, who.zone, p.at)).at END;
      ends := least(((due AT TIME ZONE who.zone)::date + 1)::timestamp AT TIME ZONE who.zone, following);
      IF m.is_barred THEN
        IF step <= 4 THEN PERFORM oracle.note(who, step, anchor, due, 'barred'); END IF;
      ELSIF following <= p.at THEN
        IF step <= 4 THEN PERFORM oracle.note(who, step, anchor, due, 'missed'); END IF;
      ELSIF step = 6 THEN
        PERFORM oracle.note(who, step, anchor, due, CASE arm WHEN 'sent' THEN 'visit' ELSE 'no visit' END);
      ELSIF ends <= p.at THEN
        PERFORM oracle.note(who, step, anchor, due, 'expired');
      ELSIF oracle.was_sent_near(who, step, anchor) THEN
        PERFORM oracle.note(who, step, anchor, due, 'already_sent');
      ELSE
        PERFORM oracle.note(who, step, anchor, due, arm);
      END IF;
      step := step + 1;
      IF step > 6 THEN
        state := 'over';
      ELSE
        due := (oracle.moment(anchor, step, who.zone, p.at)).at;
      END IF;
    END LOOP;
  END LOOP;
END $$;
