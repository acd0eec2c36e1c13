-- Running the steps that are due: for each (version, step) one treatment of all its runs, then each run goes to its next step.
--
-- Rows of big tables are looked up by their keys in LATERAL subqueries with OFFSET 0: the planner takes two key columns for
-- independent, would expect one row of a thousand, and compare each run with each other.

-- Runs whose step is due, the earliest first, up to the batch size. Paused and archived workflows stand still.
CREATE FUNCTION mfiauto._due_work(batch_size integer)
RETURNS TABLE (workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
LANGUAGE sql STABLE AS $$
  SELECT d.workflow_id, d.version, d.step_no, array_agg(d.client_id ORDER BY d.due_at, d.enrollment_id),
         array_agg(d.enrollment_id ORDER BY d.due_at, d.enrollment_id), array_agg(d.subject_id ORDER BY d.due_at, d.enrollment_id)
    FROM (SELECT e.workflow_id, e.version, e.step_no, e.client_id, e.enrollment_id, e.subject_id, e.due_at
            FROM mfiauto.enrollment_state e
            JOIN mfiauto.workflow_head h ON h.workflow_id = e.workflow_id AND h.state = 'active'
           WHERE e.due_at <= mfiauto.now()
           ORDER BY e.due_at LIMIT batch_size) d
   GROUP BY d.workflow_id, d.version, d.step_no
   ORDER BY d.workflow_id, d.version, d.step_no
$$;

-- Sends each run to the step that its step_no names now (null: completed). A step with a moment of its own waits for it; one
-- that is barred waits for the wanted moment, to be noted then; any other is due at once, at the time the run carries.
-- from_no: the step that all of them leave; null: each the one it stands at. Counted for workflow_diagram().
CREATE FUNCTION mfiauto._advance(workflow_id integer, version integer, runs mfiauto._run[], from_no integer DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  advanced bigint;
BEGIN
  WITH target AS MATERIALIZED (
    SELECT r.client_id, r.enrollment_id, r.anchor_on, r.due_at, r.zone, r.country, s.step_no, s.at_offset, s.at_time, coalesce(s.class, v.class) AS class,
           v.anchor_column IS NOT NULL AND s.at_offset IS NOT NULL AS is_timed
      FROM unnest(runs) r
      JOIN mfiauto.workflow_version v ON v.workflow_id = _advance.workflow_id AND v.version = _advance.version
      LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = r.step_no
  ),
  moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(
      SELECT DISTINCT ROW(t.anchor_on + t.at_offset + t.at_time, t.zone, t.country, t.class, t.at_offset, clock)::mfiauto._moment_key
        FROM target t WHERE t.is_timed)) m
  ),
  place AS MATERIALIZED (
    SELECT t.client_id, t.enrollment_id, t.step_no, CASE WHEN t.is_timed THEN coalesce(m.at, m.wanted AT TIME ZONE m.zone) ELSE t.due_at END AS due_at,
           coalesce(_advance.from_no, o.step_no) AS from_no
      FROM target t
      LEFT JOIN moment m ON t.is_timed AND m.wanted = t.anchor_on + t.at_offset + t.at_time AND m.zone = t.zone AND m.country = t.country
                        AND m.class = t.class AND m.day_offset = t.at_offset
      LEFT JOIN LATERAL (SELECT e.step_no FROM mfiauto.enrollment_state e
                          WHERE _advance.from_no IS NULL AND e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id OFFSET 0) o ON true
  ),
  gone AS (
    UPDATE mfiauto.enrollment_state e
       SET step_no = p.step_no, due_at = CASE WHEN p.step_no IS NOT NULL THEN p.due_at END,
           state = CASE WHEN p.step_no IS NULL THEN 'completed' ELSE 'active' END, ended_at = CASE WHEN p.step_no IS NULL THEN clock END,
           waiting_since = NULL, wait_until = NULL
      FROM place p
     WHERE e.client_id = p.client_id AND e.enrollment_id = p.enrollment_id AND e.state = 'active'
    RETURNING p.from_no, p.step_no
  ),
  flow AS (
    SELECT g.from_no, coalesce(g.step_no, 0) AS to_no, count(*) AS run_count FROM gone g GROUP BY 1, 2
  ),
  counted AS (
    INSERT INTO mfiauto.step_flow AS f (workflow_id, version, from_no, to_no, run_count)
    SELECT _advance.workflow_id, _advance.version, w.from_no, w.to_no, w.run_count FROM flow w
    ON CONFLICT ON CONSTRAINT step_flow_pkey DO UPDATE SET run_count = f.run_count + excluded.run_count
  )
  SELECT coalesce(sum(w.run_count), 0) INTO advanced FROM flow w;
  RETURN advanced;
END $$;

-- The runs of a step as they stand, judged: each one's outcome is run, or why not.
--   subject_gone, client_changed, exit_if   the run is over
--   later       the step's moment was moved on since it was planned (a new holiday): due_at is the new one
--   barred      no allowed moment was left on the day
--   missed      a later step's moment has come too: only the latest is considered
--   expired     its time is over
--   already_sent  it went out for the previous date, which was near
CREATE FUNCTION mfiauto._judge_step(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[])
RETURNS mfiauto._run[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  today date := mfiauto._today();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  c mfiauto.message_class;
  own record;
  following record;
  is_row boolean;
  is_timed boolean;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _judge_step.workflow_id AND w.version = _judge_step.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w
   WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _judge_step.step_no;
  SELECT * INTO STRICT c FROM mfiauto.message_class m WHERE m.class = coalesce(s.class, v.class);
  is_row := mfiauto._is_row(v.subject);
  -- The moment that the step belongs to, and the next one that differs: its coming ends this one's time.
  SELECT t.* INTO own FROM mfiauto._timed_steps(v.workflow_id, v.version) t WHERE t.step_no <= s.step_no ORDER BY t.step_no DESC LIMIT 1;
  SELECT t.* INTO following FROM mfiauto._timed_steps(v.workflow_id, v.version) t
   WHERE t.step_no > s.step_no AND (t.at_offset, t.at_time) <> (own.at_offset, own.at_time) ORDER BY t.step_no LIMIT 1;

  is_timed := v.anchor_column IS NOT NULL AND own.step_no IS NOT NULL;
  RETURN ARRAY(
    WITH run AS MATERIALIZED (
      SELECT k.ord, e.client_id, e.enrollment_id, e.subject_id, e.loan_id, e.anchor_on, e.due_at, e.arm, e.context, k.zone, k.country, k.verdict,
             CASE WHEN NOT is_row THEN NULL WHEN t.subject_id IS NULL THEN 'subject_gone'
                  WHEN NOT coalesce(t.client_id = e.client_id, p.client_id IS NOT NULL) THEN 'client_changed' END AS lost
        FROM ROWS FROM (unnest(_judge_step.client_ids, _judge_step.ids), mfiauto._client_zones(_judge_step.client_ids),
                        mfiauto._verdicts(v.owner, v.exit_sql, _judge_step.client_ids, _judge_step.subject_ids, false)) WITH ORDINALITY
             AS k(client_id, enrollment_id, zoned_client_id, zone, country, is_zone_invalid, verdict, ord)
        JOIN LATERAL (SELECT * FROM mfiauto.enrollment_state e WHERE e.client_id = k.client_id AND e.enrollment_id = k.enrollment_id OFFSET 0) e
          ON e.workflow_id = v.workflow_id AND e.version = v.version AND e.step_no = s.step_no AND e.due_at <= clock
        LEFT JOIN LATERAL (SELECT t.subject_id, t.client_id, t.loan_id FROM mfiauto.subject_state t
                            WHERE is_row AND t.role = v.subject AND t.subject_id = e.subject_id OFFSET 0) t ON true
        LEFT JOIN LATERAL (SELECT p.client_id FROM mfiauto.party_state p
                            WHERE t.client_id IS NULL AND p.client_id = e.client_id AND p.loan_id = coalesce(t.loan_id, t.subject_id) AND p.role <> 'guarantor'
                              AND coalesce(p.since <= today, true) AND coalesce(p.until >= today, true) LIMIT 1) p ON true
    ),
    -- The step's own moment is looked at again as it was planned: relative to the time it was planned for.
    moment AS MATERIALIZED (
      SELECT m.* FROM mfiauto._contact_moments(
        ARRAY(SELECT DISTINCT ROW(r.anchor_on + s.at_offset + s.at_time, r.zone, r.country, c.class, s.at_offset, r.due_at)::mfiauto._moment_key
                FROM run r WHERE is_timed AND s.at_offset IS NOT NULL)
        || ARRAY(SELECT DISTINCT ROW(r.anchor_on + following.at_offset + following.at_time, r.zone, r.country, following.class, following.at_offset, clock)::mfiauto._moment_key
                   FROM run r WHERE is_timed AND following.step_no IS NOT NULL)) m
    ),
    placed AS (
      SELECT r.*, m.at AS own_at, coalesce(m.outcome = 'barred', false) AS is_barred, coalesce(f.at, f.wanted AT TIME ZONE f.zone) AS following_at,
             CASE WHEN s.expires IS NOT NULL THEN r.due_at + s.expires
                  WHEN NOT is_timed OR NOT c.honors_contact_hours THEN r.due_at + c.expires_after
                  ELSE least(((r.due_at AT TIME ZONE r.zone)::date + 1)::timestamp AT TIME ZONE r.zone, coalesce(f.at, f.wanted AT TIME ZONE f.zone)) END AS ends_at
        FROM run r
        LEFT JOIN moment m ON m.wanted = r.anchor_on + s.at_offset + s.at_time AND m.zone = r.zone AND m.country = r.country
                          AND m.class = c.class AND m.day_offset = s.at_offset AND m.reference = r.due_at
        LEFT JOIN moment f ON f.wanted = r.anchor_on + following.at_offset + following.at_time AND f.zone = r.zone AND f.country = r.country
                          AND f.class = following.class AND f.day_offset = following.at_offset AND f.reference = clock
    )
    SELECT ROW(p.client_id, p.enrollment_id, p.subject_id, p.loan_id, p.anchor_on, s.step_no,
               CASE WHEN p.own_at > clock THEN p.own_at ELSE p.due_at END, p.arm, p.context, p.zone, p.country, p.verdict, p.ends_at,
               CASE WHEN p.lost IS NOT NULL THEN p.lost
                    WHEN p.verdict THEN 'exit_if'
                    WHEN p.is_barred THEN 'barred'
                    WHEN p.own_at > clock THEN 'later'
                    WHEN p.following_at <= clock THEN 'missed'
                    WHEN p.ends_at <= clock AND (s.kind = 'send' OR s.expires IS NOT NULL) THEN 'expired'
                    WHEN a.client_id IS NOT NULL THEN 'already_sent'
                    ELSE 'run' END)::mfiauto._run
      FROM placed p
      LEFT JOIN LATERAL (
        SELECT k.client_id FROM mfiauto.message_key k
          JOIN mfiauto.message_ledger m ON m.client_id = k.client_id AND m.message_id = k.message_id
         WHERE is_timed AND s.kind = 'send' AND k.client_id = p.client_id AND k.enrollment_id = p.enrollment_id AND k.version = v.version AND k.step_no = s.step_no
           AND k.repetition <> p.anchor_on::text AND k.repetition <> '' AND m.state NOT IN ('skipped', 'canceled', 'suppressed', 'expired')
           AND abs(p.anchor_on - k.repetition::date) <= v.resend_if_moved LIMIT 1) a ON true
     ORDER BY p.ord);
END $$;

-- What tells a step's messages and tasks of one run apart: the anchor's date; in a list that is repeated the number of the round, from
-- the second on ('#2'); else nothing. For each run, in their order.
CREATE FUNCTION mfiauto._repetitions(runs mfiauto._run[], loop_no integer) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT coalesce(r.anchor_on::text, '#' || e.round, '')
                 FROM unnest(runs) WITH ORDINALITY r
                 LEFT JOIN LATERAL (SELECT nullif((e.loops ->> _repetitions.loop_no::text)::integer, 1) AS round FROM mfiauto.enrollment_state e
                                     WHERE _repetitions.loop_no IS NOT NULL AND e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id OFFSET 0) e ON true
                ORDER BY r.ordinality)
$$;

-- The channels of a template, in the order in which they were given to it.
CREATE FUNCTION mfiauto._template_channels(template text) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT array_agg(c.channel ORDER BY c.place)
    FROM (SELECT t.channel, min(t.template_id) AS place FROM mfiauto.template_version t WHERE t.name = _template_channels.template AND t.is_live GROUP BY t.channel) c
$$;

-- The channels to try for each client, in their order (null: as the template has them). What is possible is what the step lists, else what the template has.
-- A channel that the client refused, or has not allowed where he must, is left out, unless that leaves none: then the first says why. SMS comes last for whom
-- no SMS reached of late; else his preferred channel comes first; then the cheapest, where the policy prefers that; then the order that was written.
CREATE FUNCTION mfiauto._channel_orders(client_ids bigint[], template text, class text, channels text[]) RETURNS TABLE (ord integer, wanted text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  ways text[] := coalesce(_channel_orders.channels, mfiauto._template_channels(_channel_orders.template));
  zones text[];
BEGIN
  IF cardinality(ways) < 2 OR ways IS NULL THEN
    RETURN QUERY SELECT k.ord::integer, _channel_orders.channels FROM unnest(_channel_orders.client_ids) WITH ORDINALITY AS k(client_id, ord) ORDER BY k.ord;
    RETURN;
  END IF;
  -- Whose policy prefers the cheapest depends on the country.
  IF EXISTS (SELECT FROM mfiauto.policy p WHERE p.prefers_cheapest) THEN
    zones := ARRAY(SELECT z.country FROM mfiauto._client_zones(_channel_orders.client_ids) WITH ORDINALITY AS z(client_id, zone, country, is_zone_invalid, ord) ORDER BY z.ord);
  END IF;
  RETURN QUERY
    WITH way AS MATERIALIZED (
      SELECT w.channel, w.place, k.class, k.needs_consent, k.honors_opt_out,
             (SELECT coalesce((g.settings ->> 'cost_per_part')::numeric, 'Infinity') FROM mfiauto.gateway_config g
               WHERE g.channel = w.channel AND g.is_enabled ORDER BY g.priority, g.gateway LIMIT 1) AS cost
        FROM unnest(ways) WITH ORDINALITY AS w(channel, place)
        JOIN mfiauto.message_class k
          ON k.class = coalesce((SELECT t.class FROM mfiauto.template_version t
                                  WHERE t.is_live AND t.name = _channel_orders.template AND t.channel = w.channel ORDER BY t.template_id LIMIT 1), _channel_orders.class, 'marketing')
    ), cheap AS MATERIALIZED (
      SELECT DISTINCT z.country, p.prefers_cheapest FROM unnest(zones) AS z(country), mfiauto._policy_for(z.country, coalesce(_channel_orders.class, 'marketing')) p
    ), judged AS (
      SELECT k.ord, w.channel,
             row_number() OVER (PARTITION BY k.ord ORDER BY w.channel = 'sms' AND coalesce(q.network_reach = 'poor', false), coalesce(w.channel = q.preferred_channel, false) DESC,
                                                            CASE WHEN h.prefers_cheapest THEN coalesce(w.cost, 'Infinity') END, w.place) AS place,
             coalesce((w.needs_consent OR w.honors_opt_out) AND a.granted = false OR w.needs_consent AND a.granted IS NULL, false) AS is_refused
        FROM ROWS FROM (unnest(_channel_orders.client_ids), unnest(coalesce(zones, '{}'))) WITH ORDINALITY AS k(client_id, country, ord)
        LEFT JOIN LATERAL (SELECT q.preferred_channel, q.network_reach FROM mfiauto.profile_state q WHERE q.client_id = k.client_id OFFSET 0) q ON true
        LEFT JOIN cheap h ON h.country = k.country
        CROSS JOIN way w
        LEFT JOIN LATERAL (SELECT c.granted FROM mfiauto.consent c
                            WHERE (w.needs_consent OR w.honors_opt_out) AND c.client_id = k.client_id AND NOT c.is_pending
                              AND (c.channel IS NULL OR c.channel = w.channel) AND (c.purpose IS NULL OR c.purpose = w.class)
                            ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) a ON true
    )
    SELECT j.ord::integer, coalesce(array_agg(j.channel ORDER BY j.place) FILTER (WHERE NOT j.is_refused), (array_agg(j.channel ORDER BY j.place))[1:1])
      FROM judged j GROUP BY j.ord ORDER BY j.ord;
END $$;

-- Writes the messages of a send: composed from template and books, one ledger row each, and a place in the queue for those
-- that can leave. channels null: the step's own. key_channel tells a first message ('') from the next channel's.
-- repetitions: each run's, where they are not those of the present.
CREATE FUNCTION mfiauto._send(workflow_id integer, version integer, step_no integer, runs mfiauto._run[], channels text[], is_next_channel boolean,
                              repetitions text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  workflow text;
  client_ids bigint[];
  subject_ids bigint[];
  queued bigint;
BEGIN
  IF cardinality(runs) = 0 THEN
    RETURN 0;
  END IF;
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _send.workflow_id AND w.version = _send.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _send.step_no;
  workflow := (SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  -- Only the engine makes messages, one pass at a time: what has its key already is not made again.
  SELECT array_agg(r.client_id), array_agg(r.subject_id) INTO client_ids, subject_ids FROM unnest(runs) r;
  WITH made AS MATERIALIZED (
    SELECT r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.due_at, r.expires_at, r.repetition,
           r.verdict IS NULL AND v.exit_sql IS NOT NULL AS is_unknown, nextval('mfiauto.message_id_seq') AS message_id, p.priority, m.*
      FROM ROWS FROM (unnest(runs), unnest(coalesce(_send.repetitions, mfiauto._repetitions(runs, s.loop_no))),
                      mfiauto._context(client_ids, v.subject, subject_ids, workflow, mfiauto._template_needs(ARRAY[s.template])),
                      mfiauto._channel_orders(client_ids, s.template, coalesce(s.class, v.class), coalesce(_send.channels, s.channels)))
           AS r(client_id, enrollment_id, subject_id, loan_id, anchor_on, step_no, due_at, arm, context, zone, country, verdict, expires_at, outcome,
                repetition, ord, known_client_id, known_subject_id, known, locale, time_zone, known_country, phone, email, push_token, is_found, addresses, order_ord, wanted)
      CROSS JOIN LATERAL mfiauto._compose(s.template, r.wanted, coalesce(s.class, v.class), r.locale,
                                          CASE WHEN r.context IS NULL THEN r.known ELSE r.known || r.context END,
                                          r.phone, r.email, r.push_token, r.known_country, addresses => r.addresses) m
      LEFT JOIN mfiauto.message_class p ON p.class = coalesce(m.class, s.class, v.class)
      LEFT JOIN LATERAL (SELECT k.message_id FROM mfiauto.message_key k
                          WHERE k.client_id = r.client_id AND k.enrollment_id = r.enrollment_id AND k.version = v.version AND k.step_no = s.step_no
                            AND k.repetition = r.repetition
                            AND k.channel = CASE WHEN is_next_channel THEN coalesce(m.channel, '-') ELSE '' END LIMIT 1) k ON true
     WHERE k.message_id IS NULL
  ),
  keyed AS (
    INSERT INTO mfiauto.message_key (client_id, enrollment_id, version, step_no, repetition, channel, message_id)
    SELECT m.client_id, m.enrollment_id, v.version, s.step_no, m.repetition, CASE WHEN is_next_channel THEN coalesce(m.channel, '-') ELSE '' END, m.message_id FROM made m
  ),
  written AS (
    INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, expires_at, finished_at, enrollment_id, subject, subject_id, loan_id,
                                        workflow_id, version, step_no, template_id, parts, state, reason, class, channel, next_channels, locale, repetition,
                                        to_address, title, body, html, options, encoding)
    SELECT m.client_id, m.message_id, clock, m.due_at, m.expires_at, CASE WHEN m.state NOT IN ('queued', 'held') THEN clock END, m.enrollment_id, v.subject,
           m.subject_id, m.loan_id, v.workflow_id, v.version, s.step_no, m.template_id, m.parts,
           CASE m.state WHEN 'held' THEN 'queued' ELSE m.state END, CASE WHEN m.state <> 'held' THEN m.reason END, coalesce(m.class, s.class, v.class), m.channel, m.next_channels, m.locale,
           m.repetition, m.to_address, mfiauto._sign_links(m.message_id, m.title), mfiauto._sign_links(m.message_id, m.body),
           CASE WHEN m.html IS NOT NULL THEN mfiauto._finish_html(m.message_id, m.channel, m.html) END,
           mfiauto._sign_links(m.message_id, m.options::text)::jsonb, m.encoding
      FROM made m
  ),
  placed AS (
    INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at, enrollment_id, workflow_id, version, is_held, reason)
    SELECT m.client_id, m.message_id, clock, m.channel, m.priority, m.due_at, m.expires_at, m.enrollment_id, v.workflow_id, v.version,
           m.is_unknown OR m.state = 'held', CASE WHEN m.is_unknown THEN 'exit_unknown' WHEN m.state = 'held' THEN m.reason END
      FROM made m
     WHERE m.state IN ('queued', 'held')
    RETURNING 1
  ),
  watched AS (
    INSERT INTO mfiauto.fallback_watch (client_id, message_id, check_at)
    SELECT m.client_id, m.message_id, m.due_at + s.fallback_after FROM made m
     WHERE s.fallback_after IS NOT NULL AND m.state IN ('queued', 'held') AND cardinality(m.next_channels) > 0
  )
  SELECT count(*) INTO queued FROM placed;
  RETURN queued;
END $$;

-- The runs, each sent to a step (null: to its end) at the time it carries.
CREATE FUNCTION mfiauto._sent_to(runs mfiauto._run[], step_no integer) RETURNS mfiauto._run[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, _sent_to.step_no, r.due_at, r.arm, NULL, r.zone, r.country,
                          NULL, NULL, r.outcome)::mfiauto._run
                 FROM unnest(runs) WITH ORDINALITY r ORDER BY r.ordinality)
$$;

-- Runs one step for those who are due. What the step is to those who take it, one function a kind says (workflow, version, step,
-- runs): it does the work and returns those who go on, each with its next step and the time from which that one counts;
-- who is missing there stays, as the function left it. A step that is not taken is left with all that is inside it.
CREATE FUNCTION mfiauto._run_step(workflow_id integer, version integer, step_no integer, client_ids bigint[], ids bigint[], subject_ids bigint[],
                                  OUT entered bigint, OUT advanced bigint, OUT exited bigint, OUT messages bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  runs mfiauto._run[];
  going mfiauto._run[];
  taken integer;
  leaving mfiauto._run[] := '{}';
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_step.workflow_id AND w.version = _run_step.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_step.step_no;
  -- Who pauses or archives the workflow meanwhile waits for us, or we for him.
  PERFORM FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id AND h.state = 'active' FOR SHARE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  runs := mfiauto._judge_step(v.workflow_id, v.version, s.step_no, client_ids, ids, subject_ids);

  going := runs;
  IF EXISTS (SELECT FROM unnest(runs) r WHERE r.outcome <> 'run') THEN
    exited := mfiauto._exit_runs(v.workflow_id, v.version,
                                 ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.outcome IN ('subject_gone', 'client_changed', 'exit_if')));
    UPDATE mfiauto.enrollment_state e SET due_at = r.due_at
      FROM unnest(runs) r
     WHERE r.outcome = 'later' AND e.client_id = r.client_id AND e.enrollment_id = r.enrollment_id;
    leaving := ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.outcome NOT IN ('subject_gone', 'client_changed', 'exit_if', 'later', 'run'));
    going := ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.outcome = 'run');
    PERFORM mfiauto._skip_step(v.workflow_id, v.version, s.step_no, leaving);
  END IF;

  taken := cardinality(going);
  IF taken > 0 THEN
    CASE s.kind
      WHEN 'send' THEN
        messages := mfiauto._run_send(v.workflow_id, v.version, s.step_no, going);
        going := mfiauto._sent_to(going, s.next_no);
      WHEN 'wait' THEN going := mfiauto._run_wait(v.workflow_id, v.version, s.step_no, going);
      WHEN 'wait_for' THEN going := mfiauto._run_wait_for(v.workflow_id, v.version, s.step_no, going);
      WHEN 'if' THEN going := mfiauto._run_if(v.workflow_id, v.version, s.step_no, going);
      WHEN 'switch' THEN going := mfiauto._run_switch(v.workflow_id, v.version, s.step_no, going);
      WHEN 'split' THEN going := mfiauto._run_split(v.workflow_id, v.version, s.step_no, going);
      WHEN 'repeat' THEN going := mfiauto._run_repeat(v.workflow_id, v.version, s.step_no, going);
      WHEN 'set' THEN going := mfiauto._run_set(v.workflow_id, v.version, s.step_no, going);
      WHEN 'add_to', 'remove_from' THEN going := mfiauto._run_segment(v.workflow_id, v.version, s.step_no, going);
      WHEN 'emit' THEN going := mfiauto._run_emit(v.workflow_id, v.version, s.step_no, going);
      WHEN 'enroll' THEN going := mfiauto._run_enroll(v.workflow_id, v.version, s.step_no, going);
      WHEN 'exit' THEN going := mfiauto._run_exit(v.workflow_id, v.version, s.step_no, going);
      WHEN 'task' THEN going := mfiauto._run_task(v.workflow_id, v.version, s.step_no, going);
      WHEN 'end' THEN going := mfiauto._sent_to(going, NULL);
    END CASE;
  END IF;
  IF cardinality(leaving) > 0 THEN
    going := going || mfiauto._sent_to(leaving, s.next_no);
  END IF;
  IF cardinality(going) > 0 THEN
    advanced := mfiauto._advance(v.workflow_id, v.version, going, s.step_no);
  END IF;
  -- Who was looked at and goes on waiting counts too: there may be more of them than the pass took.
  advanced := coalesce(advanced, 0) + greatest(taken + cardinality(leaving) - cardinality(going), 0);
END $$;

-- Notes those who do not take a step, and why: a message in the ledger, anything else among the decisions.
CREATE FUNCTION mfiauto._skip_step(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  s mfiauto.workflow_step;
BEGIN
  IF cardinality(runs) = 0 THEN
    RETURN;
  END IF;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w
   WHERE w.workflow_id = _skip_step.workflow_id AND w.version = _skip_step.version AND w.step_no = _skip_step.step_no;
  IF s.kind = 'send' THEN
    PERFORM mfiauto._record_unsent(s.workflow_id, s.version, runs);
  ELSE
    INSERT INTO mfiauto.decision_log (client_id, workflow_id, version, enrollment_id, subject, subject_id, step_no, decision, reason, decided_at)
    SELECT r.client_id, v.workflow_id, v.version, r.enrollment_id, v.subject, r.subject_id, s.step_no, 'skipped', r.outcome, mfiauto.now()
      FROM unnest(runs) r
      JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version;
  END IF;
END $$;

-- A send: those of the holdout arm, unless the class is exempt, are recorded and get nothing. Returns how many were queued.
CREATE FUNCTION mfiauto._run_send(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  has_arms boolean;
BEGIN
  has_arms := EXISTS (SELECT FROM unnest(runs) r WHERE r.arm = 'holdout')
    AND (SELECT c.holdout_allowed
           FROM mfiauto.workflow_step s
           JOIN mfiauto.workflow_version v ON v.workflow_id = s.workflow_id AND v.version = s.version
           JOIN mfiauto.message_class c ON c.class = coalesce(s.class, v.class)
          WHERE s.workflow_id = _run_send.workflow_id AND s.version = _run_send.version AND s.step_no = _run_send.step_no);
  IF NOT has_arms THEN
    RETURN mfiauto._send(workflow_id, version, step_no, runs, NULL, false);
  END IF;
  PERFORM mfiauto._record_unsent(workflow_id, version, ARRAY(
    SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, r.step_no, r.due_at, r.arm, NULL, r.zone, r.country, r.verdict,
               r.expires_at, 'holdout')::mfiauto._run
      FROM unnest(runs) r WHERE r.arm = 'holdout'));
  RETURN mfiauto._send(workflow_id, version, step_no, ARRAY(SELECT r::mfiauto._run FROM unnest(runs) r WHERE r.arm = 'treated'), NULL, false);
END $$;
