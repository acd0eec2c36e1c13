-- Simulation, who comes in: the pairs that would have entered a version between two moments, and when.

-- A run of a simulation on its way. at: when its step is due; since: when it came to it; until: when its anchor's date was moved (then
-- the next of the same number goes on); doubts: columns that its way depended on and that were not recorded.
CREATE TYPE mfiauto._trial AS (
  number bigint,
  client_id bigint,
  subject_id bigint,
  loan_id bigint,
  anchor_on date,
  step_no integer,
  at timestamptz,
  since timestamptz,
  until timestamptz,
  arm text,
  context jsonb,
  zone text,
  country text,
  entered_at timestamptz,
  waiting_since timestamptz,
  loops jsonb,
  unsent integer[],
  doubts text[]
);

-- One line of a simulation. state and reason as in the ledger; edge: not a line, but a way taken (steps: how many took it).
CREATE TYPE mfiauto._trial_line AS (
  number bigint,
  at timestamptz,
  client_id bigint,
  subject_id bigint,
  loan_id bigint,
  anchor_on date,
  step_no integer,
  channel text,
  state text,
  reason text,
  parts integer,
  class text,
  address text,
  zone text,
  country text,
  expires_at timestamptz,
  doubts text[],
  edge text,
  takers bigint
);

-- A condition's (or expression's) answer at moments, in the order given: null where there is no query. A value that makes it fail fails
-- alone. read_doubts: which of the columns it reads were not recorded.
CREATE FUNCTION mfiauto._ask_past(owner text, query text, subject text, client_ids bigint[], subject_ids bigint[], loan_ids bigint[], ats timestamptz[],
                                  assumed bigint[], event_ids bigint[] DEFAULT NULL, is_trigger boolean DEFAULT false)
RETURNS TABLE (answer text, failed boolean, read_doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  read_columns text[];
  pasts jsonb[];
  doubts jsonb;
  half integer := cardinality(client_ids) / 2;
BEGIN
  IF query IS NULL OR cardinality(client_ids) = 0 THEN
    RETURN QUERY SELECT NULL::text, false, '{}'::text[] FROM unnest(client_ids);
    RETURN;
  END IF;
  read_columns := mfiauto._condition_columns(query);
  IF cardinality(read_columns) = 0 THEN
    pasts := array_fill('{}'::jsonb, ARRAY[cardinality(client_ids)]);
    doubts := '[]';
  ELSE
    SELECT array_agg(p.past ORDER BY p.ord), jsonb_agg(to_jsonb(ARRAY(SELECT d FROM unnest(p.doubts) d WHERE d = ANY (read_columns))) ORDER BY p.ord)
      INTO pasts, doubts
      FROM mfiauto._past(_ask_past.subject, client_ids, subject_ids, loan_ids, ats, assumed, ARRAY(SELECT DISTINCT split_part(c, '.', 1) FROM unnest(read_columns) c)) WITH ORDINALITY AS p(past, doubts, ord);
  END IF;
  BEGIN
    RETURN QUERY
      SELECT e.value, false, ARRAY(SELECT jsonb_array_elements_text(doubts -> (e.ord - 1)))
        FROM mfiauto._evaluate_past(owner, query, client_ids,
               CASE WHEN is_trigger THEN event_ids WHEN event_ids IS NOT NULL THEN subject_ids || event_ids ELSE subject_ids END, ats, pasts) e
       ORDER BY e.ord;
    RETURN;
  EXCEPTION WHEN data_exception OR cardinality_violation OR plpgsql_error THEN
    IF cardinality(client_ids) = 1 THEN
      RETURN QUERY SELECT NULL::text, true, '{}'::text[];
      RETURN;
    END IF;
  END;
  RETURN QUERY SELECT a.* FROM mfiauto._ask_past(owner, query, _ask_past.subject, client_ids[:half], subject_ids[:half], loan_ids[:half], ats[:half], assumed, event_ids[:half], is_trigger) a;
  RETURN QUERY SELECT a.* FROM mfiauto._ask_past(owner, query, _ask_past.subject, client_ids[half + 1:], subject_ids[half + 1:], loan_ids[half + 1:], ats[half + 1:], assumed,
                                                 event_ids[half + 1:], is_trigger) a;
END $$;

-- The answers for trials at their moments.
CREATE FUNCTION mfiauto._ask_trials(owner text, query text, subject text, trials mfiauto._trial[], assumed bigint[], event_ids bigint[] DEFAULT NULL)
RETURNS TABLE (answer text, failed boolean, read_doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  k record;
BEGIN
  IF query IS NULL THEN
    RETURN QUERY SELECT NULL::text, false, '{}'::text[] FROM unnest(trials) t;
    RETURN;
  END IF;
  SELECT array_agg(t.client_id ORDER BY t.ordinality) AS client_ids, array_agg(t.subject_id ORDER BY t.ordinality) AS subject_ids,
         array_agg(t.loan_id ORDER BY t.ordinality) AS loan_ids, array_agg(t.at ORDER BY t.ordinality) AS ats
    INTO k FROM unnest(trials) WITH ORDINALITY t;
  RETURN QUERY SELECT a.* FROM mfiauto._ask_past(owner, query, _ask_trials.subject, k.client_ids, k.subject_ids, k.loan_ids, k.ats, assumed, event_ids) a;
END $$;

-- Anchored: each pair whose date comes near, once a date that it had (until it was moved), at the moment when the engine would have
-- looked at it first: when its date came within the horizon, when it came into the books, when it was moved. at: that moment.
CREATE FUNCTION mfiauto._trial_anchors(workflow_id integer, version integer, from_at timestamptz, to_at timestamptz) RETURNS mfiauto._trial[]
LANGUAGE plpgsql STABLE SET jit = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  home text := (SELECT i.time_zone FROM mfiauto.institution i);
  salt text;
  reach record;
  found mfiauto._trial[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _trial_anchors.workflow_id AND w.version = _trial_anchors.version;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT min(t.at_offset) AS earliest, max(t.at_offset) AS latest INTO reach FROM mfiauto._timed_steps(v.workflow_id, v.version) t;
  EXECUTE format($q$
    WITH book AS MATERIALIZED (
      SELECT DISTINCT ON (s.%1$I) s.%1$I AS subject_id, s.client_id, %2$s AS loan_id, (s.%3$I)%4$s::date AS on_date FROM mfiauto.%5$I s ORDER BY s.%1$I
    ),
    told AS MATERIALIZED (
      SELECT e.subject_id, e.name, e.received_at, (e.properties ->> 'previous_due_date')::date AS on_date, row_number() OVER (PARTITION BY e.subject_id ORDER BY e.received_at, e.event_id) AS turn
        FROM (SELECT DISTINCT ON (e.subject_id, e.received_at, e.name) e.* FROM mfiauto.event_log e
               WHERE e.subject = %6$L AND (e.name = ANY (CASE %6$L WHEN 'installment' THEN '{Installment Scheduled}'::text[] WHEN 'loan' THEN '{Loan Applied}' ELSE '{}' END)
                                           OR (%7$L AND e.name = 'Installment Rescheduled' AND e.properties ->> 'previous_due_date' <> e.properties ->> 'due_date'))) e
    ),
    known AS MATERIALIZED (
      SELECT t.subject_id, min(t.received_at) FILTER (WHERE t.on_date IS NULL) AS known_at, max(t.received_at) FILTER (WHERE t.on_date IS NOT NULL) AS moved_at
        FROM told t GROUP BY t.subject_id
    ),
    -- The dates that each subject had, and from when until when.
    dated AS (
      SELECT b.subject_id, b.client_id, b.loan_id, b.on_date, coalesce(k.moved_at, k.known_at, '-infinity') AS known_at, 'infinity'::timestamptz AS until
        FROM book b LEFT JOIN known k ON k.subject_id = b.subject_id
      UNION ALL
      SELECT b.subject_id, b.client_id, b.loan_id, m.on_date, coalesce(lag(m.received_at) OVER (PARTITION BY m.subject_id ORDER BY m.turn), k.known_at, '-infinity'), m.received_at
        FROM told m JOIN book b ON b.subject_id = m.subject_id JOIN known k ON k.subject_id = m.subject_id
       WHERE m.on_date IS NOT NULL
    ),
    near AS MATERIALIZED (
      SELECT d.*, greatest($1, d.known_at, (d.on_date - mfiauto._planning_lead() + $3)::timestamp AT TIME ZONE $5) AS at
        FROM dated d
       WHERE d.on_date BETWEEN ($1 AT TIME ZONE $5)::date - mfiauto._planning_lead() - $4 AND ($2 AT TIME ZONE $5)::date + mfiauto._planning_lead() - $3
         AND d.until > $1 AND d.known_at < $2
    ),
    pair AS MATERIALIZED (
      SELECT n.*, n.client_id AS own_client_id FROM near n WHERE n.client_id IS NOT NULL
      UNION ALL
      SELECT n.*, p.client_id FROM near n JOIN (SELECT DISTINCT p.loan_id, p.client_id FROM mfiauto.party_state p WHERE p.role <> 'guarantor') p ON p.loan_id = n.loan_id
       WHERE n.client_id IS NULL
    ),
    zoned AS MATERIALIZED (
      SELECT z.* FROM mfiauto._client_zones(ARRAY(SELECT DISTINCT p.own_client_id FROM pair p)) z
    )
    SELECT array_agg(ROW(dense_rank, p.own_client_id, p.subject_id, p.loan_id, p.on_date, NULL, p.at, p.at, p.until,
                         mfiauto._arm($6, CASE WHEN c.holdout_allowed THEN $7 ELSE 0 END,
                                      CASE WHEN p.client_id IS NULL THEN 'loan ' || p.loan_id ELSE 'client ' || p.client_id END),
                         NULL, z.zone, z.country, NULL, NULL, NULL, NULL, '{}')::mfiauto._trial ORDER BY p.at, p.subject_id, p.own_client_id)
      FROM (SELECT p.*, dense_rank() OVER (ORDER BY p.subject_id, p.own_client_id) FROM pair p) p
      JOIN zoned z ON z.client_id = p.own_client_id
      JOIN mfiauto.message_class c ON c.class = $8 $q$,
    mfiauto._id_column(v.subject), CASE WHEN v.subject IN ('loan', 'installment', 'payment') THEN 's.loan_id' ELSE 'NULL::bigint' END, v.anchor_column,
    CASE WHEN EXISTS (SELECT FROM mfiauto._role_columns(v.subject) c WHERE c.name = v.anchor_column AND c.type = 'timestamptz') THEN format(' AT TIME ZONE %L', home) ELSE '' END,
    v.subject, v.subject, v.subject = 'installment' AND v.anchor_column = 'due_date')
    INTO found USING from_at, to_at, reach.earliest, reach.latest, home, salt, v.holdout, v.class;
  RETURN coalesce(found, '{}');
END $$;

-- What touched pairs after a moment (since) and until another, as far as it was recorded: the client's events about the subject, its loan or the client himself.
-- One row a (trial, moment).
CREATE FUNCTION mfiauto._trial_touches(subject text, trials mfiauto._trial[])
RETURNS TABLE (ord bigint, at timestamptz)
LANGUAGE sql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
  SELECT DISTINCT t.ordinality, e.received_at
    FROM unnest(trials) WITH ORDINALITY t
    JOIN mfiauto.event_log e ON e.client_id = t.client_id AND e.received_at > t.since AND e.received_at <= t.at
     AND (e.subject = 'client' OR (e.subject = _trial_touches.subject AND e.subject_id = t.subject_id) OR e.loan_id = t.loan_id)
$$;

-- Who of the trials is let in at its moment or, if refused then, at the first later touch before "last" at which the conditions hold: the first list.
-- Who is refused, once a reason: lines of the second.
CREATE FUNCTION mfiauto._admit_trials(workflow_id integer, version integer, trials mfiauto._trial[], last_at timestamptz, assumed bigint[],
                                      OUT entered mfiauto._trial[], OUT lines mfiauto._trial_line[])
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  asked mfiauto._trial[];
  ords bigint[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _admit_trials.workflow_id AND w.version = _admit_trials.version;
  -- Each pair at its own moment; an anchored one at its later touches too.
  IF v.anchor_column IS NULL OR (v.enter_sql IS NULL AND v.exit_sql IS NULL) THEN
    asked := trials;
    ords := ARRAY(SELECT t.ordinality FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality);
  ELSE
    SELECT array_agg(ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, t.step_no, k.at, k.at, t.until, t.arm, t.context, t.zone, t.country, NULL, NULL, NULL,
                         NULL, t.doubts)::mfiauto._trial ORDER BY t.ordinality, k.at), array_agg(t.ordinality ORDER BY t.ordinality, k.at)
      INTO asked, ords
      FROM unnest(trials) WITH ORDINALITY t
      JOIN (SELECT u.ordinality AS ord, u.at FROM unnest(trials) WITH ORDINALITY u
            UNION
            SELECT x.ord, x.at FROM mfiauto._trial_touches(v.subject, ARRAY(
              SELECT ROW(u.number, u.client_id, u.subject_id, u.loan_id, u.anchor_on, NULL, least(last_at, u.until), u.at, u.until, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::mfiauto._trial
                FROM unnest(trials) WITH ORDINALITY u ORDER BY u.ordinality)) x) k ON k.ord = t.ordinality
     WHERE k.at < t.until;
  END IF;
  asked := coalesce(asked, '{}');
  WITH judged AS MATERIALIZED (
    SELECT r.*, ords[r.ord] AS place,
           CASE WHEN r.enter_failed OR r.exit_failed THEN 'condition_error'
                WHEN v.enter_sql IS NOT NULL AND r.enter_answer IS NULL THEN 'enter_unknown' WHEN r.enter_answer = 'f' THEN 'enter_if' WHEN r.exit_answer = 't' THEN 'exit_if' END AS refusal
      FROM ROWS FROM (unnest(asked), mfiauto._ask_trials(v.owner, v.enter_sql, v.subject, asked, assumed), mfiauto._ask_trials(v.owner, v.exit_sql, v.subject, asked, assumed)) WITH ORDINALITY
           AS r(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts,
                enter_answer, enter_failed, enter_doubts, exit_answer, exit_failed, exit_doubts, ord)
  ),
  chosen AS MATERIALIZED (
    SELECT DISTINCT ON (j.place) j.* FROM judged j ORDER BY j.place, j.refusal IS NOT NULL, j.at
  )
  SELECT coalesce(array_agg(ROW(c.number, c.client_id, c.subject_id, c.loan_id, c.anchor_on, c.step_no, c.at, c.at, c.until, c.arm, c.context, c.zone, c.country, c.at, NULL, NULL, NULL,
                                c.doubts || c.enter_doubts || c.exit_doubts)::mfiauto._trial ORDER BY c.place) FILTER (WHERE c.refusal IS NULL), '{}'),
         (SELECT coalesce(array_agg(ROW(r.number, r.at, r.client_id, r.subject_id, r.loan_id, r.anchor_on, NULL, NULL, CASE r.refusal WHEN 'condition_error' THEN 'error' ELSE 'refused' END, r.refusal,
                                        NULL, NULL, NULL, r.zone, r.country, NULL, r.doubts || r.enter_doubts || r.exit_doubts, NULL, NULL)::mfiauto._trial_line ORDER BY r.place, r.at), '{}')
            FROM (SELECT DISTINCT ON (j.place, j.refusal) j.* FROM judged j JOIN chosen x ON x.place = j.place
                   WHERE j.refusal IS NOT NULL AND (x.refusal IS NOT NULL OR j.at < x.at) ORDER BY j.place, j.refusal, j.at) r)
    INTO entered, lines
    FROM chosen c;
END $$;

-- Anchored trials set on the step ahead of them at their moment; those that have none are left out. Lines: sends that were past.
CREATE FUNCTION mfiauto._start_trials(workflow_id integer, version integer, trials mfiauto._trial[], OUT started mfiauto._trial[], OUT lines mfiauto._trial_line[])
LANGUAGE plpgsql STABLE SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  WITH trial AS MATERIALIZED (SELECT t.* FROM unnest(trials) WITH ORDINALITY t),
  first AS MATERIALIZED (
    -- The functions of the engine know a run by client and subject; here one may have several dates.
    SELECT f.subject_id AS ord, f.step_no, f.due_at
      FROM mfiauto._first_steps(_start_trials.workflow_id, _start_trials.version, ARRAY(
             SELECT ROW(t.client_id, NULL, t.ordinality, t.loan_id, t.anchor_on, NULL, t.at, t.arm, NULL, t.zone, t.country, NULL, NULL, NULL)::mfiauto._run FROM trial t)) f
  ),
  past AS (
    SELECT t.*, s.step_no AS past_no, (t.anchor_on + s.at_offset + s.at_time) AT TIME ZONE t.zone AS past_at, coalesce(s.class, v.class) AS class
      FROM trial t
      JOIN first f ON f.ord = t.ordinality
      JOIN mfiauto.workflow_version v ON v.workflow_id = _start_trials.workflow_id AND v.version = _start_trials.version
      JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version
       AND s.kind = 'send' AND s.at_offset IS NOT NULL AND s.path ~ '^steps\[[0-9]+\]$' AND s.step_no < f.step_no
  )
  SELECT coalesce((SELECT array_agg(ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, f.step_no, f.due_at, t.at, t.until, t.arm, t.context, t.zone, t.country, t.at,
                                        NULL, NULL, NULL, t.doubts)::mfiauto._trial ORDER BY t.ordinality)
                     FROM trial t JOIN first f ON f.ord = t.ordinality), '{}'),
         coalesce((SELECT array_agg(ROW(p.number, p.past_at, p.client_id, p.subject_id, p.loan_id, p.anchor_on, p.past_no, NULL, 'skipped', 'past', NULL, p.class, NULL, p.zone, p.country,
                                        NULL, p.doubts, NULL, NULL)::mfiauto._trial_line ORDER BY p.past_at, p.ordinality) FROM past p), '{}')
    INTO started, lines;
END $$;
