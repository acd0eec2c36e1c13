-- Simulation, step by step: what each step would have done for all the runs that ever came to it, each at its own moment.
--
-- Runs do not know of one another (caps are counted at the end), so that the statements grow with the steps of a workflow and not
-- with the days or the clients. Moments, arms, waits, texts and conditions are the engine's own functions.

-- Clients who were barred at moments from everything, in the order given: erased by then, or of a status that is barred now. Of marks only today's are known.
CREATE FUNCTION mfiauto._past_barred(client_ids bigint[], ats timestamptz[], zone text) RETURNS TABLE (reason text, doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  statuses text[] := ARRAY(SELECT b.status FROM mfiauto.barred_status b);
BEGIN
  IF to_regclass('mfiauto.client') IS NULL THEN
    RETURN QUERY SELECT NULL::text, '{}'::text[] FROM unnest(client_ids);
    RETURN;
  END IF;
  RETURN QUERY
    SELECT CASE WHEN e.client_id IS NOT NULL THEN 'erased' WHEN mfiauto._is_barred(k.past -> 'client' ->> 'status', c.traits, statuses) THEN 'client_barred' END,
           CASE WHEN e.client_id IS NOT NULL OR k.at >= mfiauto.now() THEN '{}'
                WHEN mfiauto._is_barred(k.past -> 'client' ->> 'status', NULL, statuses) THEN k.doubts ELSE '{client.traits}'::text[] END
      FROM ROWS FROM (unnest(client_ids, ats), mfiauto._past_clients(client_ids, ats, zone)) WITH ORDINALITY AS k(client_id, at, past, doubts, ord)
      LEFT JOIN (SELECT DISTINCT ON (c.client_id) c.client_id, c.traits FROM mfiauto.client c WHERE c.client_id = ANY (client_ids)) c ON c.client_id = k.client_id
      LEFT JOIN mfiauto.erased_client e ON e.client_id = k.client_id AND e.erased_at <= k.at
     ORDER BY k.ord;
END $$;

-- Why each message may not leave at its moment, in the order given, and what was not recorded of it: what _contact_refusals() tells of the present, told of the past. Caps are _cap_trials()' concern.
CREATE FUNCTION mfiauto._past_refusals(client_ids bigint[], channels text[], classes text[], addresses text[], countries text[], ats timestamptz[], assumed bigint[])
RETURNS TABLE (reason text, doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  home mfiauto.institution;
  late_keys text[] := '{}';
  arrears record;
BEGIN
  SELECT * INTO STRICT home FROM mfiauto.institution i;
  -- Who was in arrears at a moment, asked only where a policy bars it.
  IF to_regclass('mfiauto.installment') IS NOT NULL
     AND EXISTS (SELECT FROM (SELECT DISTINCT k.class, k.country FROM unnest(classes, countries) AS k(class, country)) d
                  CROSS JOIN LATERAL mfiauto._policy_for(coalesce(d.country, home.country), d.class) p WHERE p.barred_in_arrears) THEN
    SELECT array_agg(DISTINCT k.client_id || ' ' || k.at) INTO late_keys
      FROM (SELECT array_agg(d.client_id ORDER BY d.client_id, d.at, d.subject_id) AS client_ids, array_agg(d.at ORDER BY d.client_id, d.at, d.subject_id) AS ats,
                   array_agg(d.subject_id ORDER BY d.client_id, d.at, d.subject_id) AS installment_ids
              FROM (SELECT DISTINCT k.client_id, k.at, s.subject_id
                      FROM unnest(client_ids, classes, countries, ats) AS k(client_id, class, country, at)
                      CROSS JOIN LATERAL mfiauto._policy_for(coalesce(k.country, home.country), k.class) p
                      JOIN mfiauto.subject_state s ON s.role = 'installment' AND s.on_date < (k.at AT TIME ZONE home.time_zone)::date - home.grace_days
                       AND (s.client_id = k.client_id OR s.loan_id IN (SELECT g.loan_id FROM mfiauto.party_state g
                                                                        WHERE g.client_id = k.client_id AND coalesce(g.until > (k.at AT TIME ZONE home.time_zone)::date, true)))
                     WHERE p.barred_in_arrears) d) a
      CROSS JOIN LATERAL ROWS FROM (unnest(a.client_ids, a.ats), mfiauto._past_installments(a.installment_ids, a.ats, assumed, home.time_zone)) AS k(client_id, at, past, doubts)
     WHERE (k.past -> 'installment' ->> 'balance')::numeric > 0;
  END IF;
  RETURN QUERY
    SELECT CASE WHEN k.barred IS NOT NULL THEN k.barred
                WHEN EXISTS (SELECT FROM mfiauto.suppression x
                              WHERE x.suppressed_at <= k.at
                                AND ((x.channel = k.channel AND x.address_hash = mfiauto._address_hash(k.channel, k.address))
                                     OR (k.channel IN ('sms', 'voice', 'whatsapp') AND x.channel = 'phone' AND x.address_hash = mfiauto._address_hash('phone', k.address)))) THEN 'suppressed'
                WHEN c.honors_opt_out AND a.granted = false THEN 'opted_out'
                WHEN c.needs_consent AND a.granted IS DISTINCT FROM true
                THEN CASE WHEN a.granted = false THEN 'opted_out'
                          WHEN EXISTS (SELECT FROM mfiauto.consent o
                                        WHERE o.client_id = k.client_id AND o.given_at <= k.at AND o.is_pending
                                          AND (o.channel IS NULL OR o.channel = k.channel) AND (o.purpose IS NULL OR o.purpose = k.class)) THEN 'consent_pending' ELSE 'no_consent' END
                WHEN k.address <> ALL (mfiauto._only_recipients()) THEN 'not_on_list'
                WHEN k.client_id || ' ' || k.at = ANY (late_keys) AND p.barred_in_arrears THEN 'in_arrears' END,
           CASE WHEN k.barred IS NOT NULL THEN k.doubts ELSE '{}' END
      FROM ROWS FROM (unnest(client_ids, channels, classes, addresses, countries, ats), mfiauto._past_barred(client_ids, ats, home.time_zone)) WITH ORDINALITY
           AS k(client_id, channel, class, address, country, at, barred, doubts, ord)
      LEFT JOIN mfiauto.message_class c ON c.class = k.class
      LEFT JOIN LATERAL (SELECT p.barred_in_arrears FROM mfiauto._policy_for(coalesce(k.country, home.country), k.class) p
                          WHERE late_keys <> '{}') p ON true
      LEFT JOIN LATERAL (SELECT o.granted FROM mfiauto.consent o
                          WHERE (c.needs_consent OR c.honors_opt_out) AND o.client_id = k.client_id AND o.given_at <= k.at AND NOT o.is_pending
                            AND (o.channel IS NULL OR o.channel = k.channel) AND (o.purpose IS NULL OR o.purpose = k.class)
                          ORDER BY o.given_at DESC, o.consent_id DESC LIMIT 1) a ON true
     ORDER BY k.ord;
END $$;

-- What becomes of messages that wait to leave: contact hours, the exit condition once more where they wait, consent and the rest.
CREATE FUNCTION mfiauto._leave_trials(workflow_id integer, version integer, lines mfiauto._trial_line[], assumed bigint[]) RETURNS mfiauto._trial_line[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  waiting mfiauto._trial_line[];
  going mfiauto._trial_line[];
  k record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _leave_trials.workflow_id AND w.version = _leave_trials.version;
  waiting := ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l WHERE l.state = 'sent');
  IF cardinality(waiting) = 0 THEN
    RETURN lines;
  END IF;
  going := ARRAY(
    WITH line AS MATERIALIZED (
      SELECT l.*, l.at AT TIME ZONE l.zone AS wanted, coalesce(c.honors_contact_hours, true) AS is_bound
        FROM unnest(waiting) WITH ORDINALITY l LEFT JOIN mfiauto.message_class c ON c.class = l.class
    ),
    moment AS MATERIALIZED (
      SELECT m.* FROM mfiauto._contact_moments(ARRAY(
        SELECT DISTINCT ROW(l.wanted, l.zone, l.country, l.class, 1, l.at)::mfiauto._moment_key FROM line l WHERE l.is_bound)) m
    )
    SELECT ROW(l.number, CASE WHEN NOT l.is_bound OR m.outcome = 'wanted' THEN l.at ELSE coalesce(m.at, l.at) END, l.client_id, l.subject_id, l.loan_id, l.anchor_on, l.step_no, l.channel,
               CASE WHEN l.is_bound AND (m.at IS NULL OR m.outcome <> 'wanted' AND m.at >= l.expires_at) THEN 'expired' ELSE 'sent' END,
               CASE WHEN l.is_bound AND (m.at IS NULL OR m.outcome <> 'wanted' AND m.at >= l.expires_at) THEN 'barred'
                    WHEN l.is_bound AND m.outcome <> 'wanted' THEN 'barred_hours' END,
               l.parts, l.class, l.address, l.zone, l.country, l.expires_at, l.doubts, NULL, NULL)::mfiauto._trial_line
      FROM line l
      LEFT JOIN moment m ON l.is_bound AND m.wanted = l.wanted AND m.zone = l.zone AND m.country = l.country AND m.class = l.class AND m.reference = l.at
     ORDER BY l.ordinality);
  going := mfiauto._recheck_trials(v.owner, v.exit_sql, v.subject, going, assumed);
  SELECT array_agg(l.client_id ORDER BY l.ordinality) AS client_ids, array_agg(l.channel ORDER BY l.ordinality) AS channels, array_agg(l.class ORDER BY l.ordinality) AS classes,
         array_agg(l.address ORDER BY l.ordinality) AS addresses, array_agg(l.country ORDER BY l.ordinality) AS countries, array_agg(l.at ORDER BY l.ordinality) AS ats
    INTO k FROM unnest(going) WITH ORDINALITY l;
  RETURN ARRAY(SELECT l::mfiauto._trial_line FROM unnest(lines) l WHERE l.state <> 'sent')
    || ARRAY(
      SELECT ROW(l.number, l.at, l.client_id, l.subject_id, l.loan_id, l.anchor_on, l.step_no, l.channel,
                 CASE WHEN l.state = 'sent' AND l.refusal IS NOT NULL THEN 'suppressed' ELSE l.state END,
                 CASE WHEN l.state = 'sent' THEN l.refusal ELSE l.reason END,
                 l.parts, l.class, l.address, l.zone, l.country, l.expires_at, l.doubts || CASE WHEN l.state = 'sent' THEN l.refusal_doubts ELSE '{}' END, NULL, NULL)::mfiauto._trial_line
        FROM ROWS FROM (unnest(going), mfiauto._past_refusals(k.client_ids, k.channels, k.classes, k.addresses, k.countries, k.ats, assumed)) WITH ORDINALITY
             AS l(number, at, client_id, subject_id, loan_id, anchor_on, step_no, channel, state, reason, parts, class, address, zone, country, expires_at, doubts, edge, takers, refusal, refusal_doubts, ord)
       ORDER BY l.ord);
END $$;

-- The exit condition again, for messages that were put off (reason barred_hours or capped).
CREATE FUNCTION mfiauto._recheck_trials(owner text, exit_sql text, subject text, lines mfiauto._trial_line[], assumed bigint[]) RETURNS mfiauto._trial_line[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  late mfiauto._trial[] := ARRAY(SELECT ROW(l.ordinality, l.client_id, l.subject_id, l.loan_id, NULL, NULL, l.at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::mfiauto._trial
                                   FROM unnest(lines) WITH ORDINALITY l WHERE l.state = 'sent' AND l.reason IN ('barred_hours', 'capped') ORDER BY l.ordinality);
BEGIN
  IF cardinality(late) = 0 OR exit_sql IS NULL THEN
    RETURN lines;
  END IF;
  RETURN ARRAY(
    SELECT ROW(l.number, l.at, l.client_id, l.subject_id, l.loan_id, l.anchor_on, l.step_no, l.channel,
               CASE WHEN a.number IS NULL OR a.answer = 'f' THEN l.state WHEN a.answer = 't' THEN 'canceled' ELSE 'held' END,
               CASE WHEN a.number IS NULL OR a.answer = 'f' THEN l.reason WHEN a.failed THEN 'condition_error' WHEN a.answer = 't' THEN 'exit_if' ELSE 'exit_unknown' END,
               l.parts, l.class, l.address, l.zone, l.country, l.expires_at, l.doubts || coalesce(a.read_doubts, '{}'), NULL, NULL)::mfiauto._trial_line
      FROM unnest(lines) WITH ORDINALITY l
      LEFT JOIN (SELECT e.number, e.answer, e.failed, e.read_doubts
                   FROM ROWS FROM (unnest(late), mfiauto._ask_trials(owner, exit_sql, _recheck_trials.subject, late, assumed))
                        AS e(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent,
                             doubts, answer, failed, read_doubts)) a ON a.number = l.ordinality
     ORDER BY l.ordinality);
END $$;

-- The runs of one step, judged as _judge_step() does: each one's outcome at its moment and until when what it sends is good. Of a run
-- that began with an event, at is when the exit condition became true, if it did on the way here.
CREATE FUNCTION mfiauto._judge_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], assumed bigint[])
RETURNS TABLE (outcome text, at timestamptz, ends_at timestamptz, is_unknown boolean, read_doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  c mfiauto.message_class;
  own record;
  following record;
  is_timed boolean;
  asked mfiauto._trial[] := trials;
  ords bigint[];
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _judge_trials.workflow_id AND w.version = _judge_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _judge_trials.step_no;
  SELECT * INTO STRICT c FROM mfiauto.message_class m WHERE m.class = coalesce(s.class, v.class);
  SELECT t.* INTO own FROM mfiauto._timed_steps(v.workflow_id, v.version) t WHERE t.step_no <= s.step_no ORDER BY t.step_no DESC LIMIT 1;
  SELECT t.* INTO following FROM mfiauto._timed_steps(v.workflow_id, v.version) t
   WHERE t.step_no > s.step_no AND (t.at_offset, t.at_time) <> (own.at_offset, own.at_time) ORDER BY t.step_no LIMIT 1;
  is_timed := v.anchor_column IS NOT NULL AND own.step_no IS NOT NULL;
  -- An anchored run comes back when the condition ends, so only its moment counts; others leave at the first touch.
  IF v.anchor_column IS NULL AND v.exit_sql IS NOT NULL THEN
    SELECT array_agg(ROW(t.number, t.client_id, t.subject_id, t.loan_id, NULL, NULL, k.at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::mfiauto._trial ORDER BY t.ordinality, k.at),
           array_agg(t.ordinality ORDER BY t.ordinality, k.at)
      INTO asked, ords
      FROM unnest(trials) WITH ORDINALITY t
      JOIN (SELECT u.ordinality AS ord, u.at FROM unnest(trials) WITH ORDINALITY u
            UNION SELECT x.ord, x.at FROM mfiauto._trial_touches(v.subject, trials) x) k ON k.ord = t.ordinality;
  ELSE
    ords := ARRAY(SELECT t.ordinality FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality);
  END IF;
  RETURN QUERY
    WITH answer AS MATERIALIZED (
      SELECT ords[a.ord] AS place, a.at, a.answer, a.failed, a.read_doubts
        FROM ROWS FROM (unnest(asked), mfiauto._ask_trials(v.owner, v.exit_sql, v.subject, asked, assumed)) WITH ORDINALITY
             AS a(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts, answer, failed, read_doubts, ord)
    ),
    run AS MATERIALIZED (
      SELECT t.*, x.exit_at, coalesce(a.answer, CASE WHEN v.exit_sql IS NULL THEN 'f' END) AS answer, coalesce(a.failed, false) AS failed, coalesce(a.read_doubts, '{}') AS read_doubts
        FROM unnest(trials) WITH ORDINALITY t
        LEFT JOIN (SELECT b.place, min(b.at) AS exit_at FROM answer b WHERE b.answer = 't' GROUP BY b.place) x ON x.place = t.ordinality
        LEFT JOIN (SELECT DISTINCT ON (b.place) b.* FROM answer b ORDER BY b.place, b.at DESC) a ON a.place = t.ordinality
    ),
    -- Members of a loan that has no client of its own, on the day.
    stranger AS MATERIALIZED (
      SELECT r.ordinality
        FROM run r
        JOIN LATERAL (SELECT q.client_id FROM mfiauto.subject_state q WHERE q.role = v.subject AND q.subject_id = r.subject_id OFFSET 0) q ON true
        CROSS JOIN mfiauto.institution i
       WHERE mfiauto._is_row(v.subject) AND q.client_id IS NULL
         AND NOT EXISTS (SELECT FROM mfiauto.party_state p
                          WHERE p.client_id = r.client_id AND p.loan_id = r.loan_id AND p.role <> 'guarantor'
                            AND coalesce(p.since <= (r.at AT TIME ZONE i.time_zone)::date, true) AND coalesce(p.until >= (r.at AT TIME ZONE i.time_zone)::date, true) OFFSET 0)
    ),
    moment AS MATERIALIZED (
      SELECT m.* FROM mfiauto._contact_moments(
        ARRAY(SELECT DISTINCT ROW(r.anchor_on + s.at_offset + s.at_time, r.zone, r.country, c.class, s.at_offset, r.at)::mfiauto._moment_key
                FROM run r WHERE is_timed AND s.at_offset IS NOT NULL)
        || ARRAY(SELECT DISTINCT ROW(r.anchor_on + following.at_offset + following.at_time, r.zone, r.country, following.class, following.at_offset, r.at)::mfiauto._moment_key
                   FROM run r WHERE is_timed AND following.step_no IS NOT NULL)) m
    ),
    placed AS (
      SELECT r.*, coalesce(m.outcome = 'barred', false) AS is_barred, coalesce(f.at, f.wanted AT TIME ZONE f.zone) AS following_at,
             CASE WHEN s.expires IS NOT NULL THEN r.at + s.expires
                  WHEN NOT is_timed OR NOT c.honors_contact_hours THEN r.at + c.expires_after
                  ELSE least(((r.at AT TIME ZONE r.zone)::date + 1)::timestamp AT TIME ZONE r.zone, coalesce(f.at, f.wanted AT TIME ZONE f.zone)) END AS ends_at
        FROM run r
        LEFT JOIN moment m ON m.wanted = r.anchor_on + s.at_offset + s.at_time AND m.zone = r.zone AND m.country = r.country
                          AND m.class = c.class AND m.day_offset = s.at_offset AND m.reference = r.at
        LEFT JOIN moment f ON f.wanted = r.anchor_on + following.at_offset + following.at_time AND f.zone = r.zone AND f.country = r.country
                          AND f.class = following.class AND f.day_offset = following.at_offset AND f.reference = r.at
    )
    SELECT CASE WHEN p.ordinality IN (SELECT g.ordinality FROM stranger g) THEN 'client_changed'
                WHEN p.exit_at IS NOT NULL THEN 'exit_if'
                WHEN p.failed THEN 'condition_error'
                WHEN p.unsent IS NOT NULL AND p.answer IS NULL THEN 'exit_if'
                WHEN p.is_barred THEN 'barred'
                WHEN p.following_at <= p.at THEN 'missed'
                ELSE 'run' END,
           coalesce(p.exit_at, p.at), p.ends_at, p.answer IS NULL, p.read_doubts
      FROM placed p ORDER BY p.ordinality;
END $$;

-- The messages of a send: composed from template and the books of then.
CREATE FUNCTION mfiauto._send_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], ends timestamptz[], unknown boolean[], assumed bigint[])
RETURNS mfiauto._trial_line[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  workflow text;
  home_currency text := (SELECT i.currency FROM mfiauto.institution i);
  k record;
  needs text[];
  roles text[];
BEGIN
  IF cardinality(trials) = 0 THEN
    RETURN '{}';
  END IF;
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _send_trials.workflow_id AND w.version = _send_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _send_trials.step_no;
  workflow := (SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT array_agg(t.client_id ORDER BY t.ordinality) AS client_ids, array_agg(t.subject_id ORDER BY t.ordinality) AS subject_ids,
         array_agg(t.loan_id ORDER BY t.ordinality) AS loan_ids, array_agg(t.at ORDER BY t.ordinality) AS ats
    INTO k FROM unnest(trials) WITH ORDINALITY t;
  needs := mfiauto._template_needs(ARRAY[s.template]);
  roles := CASE WHEN needs IS NULL THEN '{installment,loan}' ELSE ARRAY(SELECT DISTINCT split_part(n, '.', 1) FROM unnest(needs) n WHERE n ~ '^(installment|loan)\.') END;
  RETURN ARRAY(
    SELECT ROW(r.number, r.at, r.client_id, r.subject_id, r.loan_id, r.anchor_on, s.step_no, m.channel,
               CASE WHEN m.state = 'held' OR (m.state = 'queued' AND r.is_unknown) THEN 'held' WHEN m.state = 'queued' THEN 'sent' ELSE m.state END,
               CASE WHEN m.state = 'queued' AND r.is_unknown THEN 'exit_unknown' ELSE m.reason END,
               CASE WHEN m.state IN ('queued', 'held') THEN coalesce(m.parts, 1) END, coalesce(m.class, s.class, v.class), m.to_address, r.zone, r.country, r.ends_at,
               r.doubts, NULL, NULL)::mfiauto._trial_line
      FROM ROWS FROM (unnest(trials), unnest(ends), unnest(unknown),
                      mfiauto._context(k.client_ids, v.subject, k.subject_ids, workflow, needs),
                      mfiauto._past(v.subject, k.client_ids, k.subject_ids, k.loan_ids, k.ats, assumed, roles)) WITH ORDINALITY
           AS r(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts,
                ends_at, is_unknown, known_ord, known_client_id, known_subject_id, known, locale, time_zone, known_country, phone, email, push_token, is_found, addresses, past, past_doubts, ord)
      CROSS JOIN LATERAL mfiauto._compose(s.template, s.channels, coalesce(s.class, v.class), r.locale,
                                          mfiauto._context_past(r.known, r.past, r.locale, home_currency) || coalesce(r.context, '{}'),
                                          r.phone, r.email, r.push_token, r.known_country, addresses => r.addresses) m
     ORDER BY r.ord);
END $$;

-- Sends trials to the steps that their step_no names now: a step with a moment of its own waits for it, as in _advance().
CREATE FUNCTION mfiauto._place_trials(workflow_id integer, version integer, trials mfiauto._trial[]) RETURNS mfiauto._trial[]
LANGUAGE sql STABLE AS $$
  WITH target AS MATERIALIZED (
    SELECT t.*, s.at_offset, s.at_time, coalesce(s.class, v.class) AS class, v.anchor_column IS NOT NULL AND s.at_offset IS NOT NULL AS is_timed
      FROM unnest(trials) WITH ORDINALITY t
      JOIN mfiauto.workflow_version v ON v.workflow_id = _place_trials.workflow_id AND v.version = _place_trials.version
      JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = t.step_no
  ),
  moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(
      SELECT DISTINCT ROW(t.anchor_on + t.at_offset + t.at_time, t.zone, t.country, t.class, t.at_offset, t.since)::mfiauto._moment_key FROM target t WHERE t.is_timed)) m
  )
  SELECT ARRAY(
    SELECT ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, t.step_no, CASE WHEN t.is_timed THEN coalesce(m.at, m.wanted AT TIME ZONE m.zone) ELSE t.at END, t.since, t.until,
               t.arm, t.context, t.zone, t.country, t.entered_at, t.waiting_since, t.loops, t.unsent, t.doubts)::mfiauto._trial
      FROM target t
      LEFT JOIN moment m ON t.is_timed AND m.wanted = t.anchor_on + t.at_offset + t.at_time AND m.zone = t.zone AND m.country = t.country
                        AND m.class = t.class AND m.day_offset = t.at_offset AND m.reference = t.since
     ORDER BY t.ordinality)
$$;

-- One step for all trials at it: what it leaves behind, and where they go.
CREATE FUNCTION mfiauto._run_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], to_at timestamptz, assumed bigint[],
                                    OUT lines mfiauto._trial_line[], OUT moved mfiauto._trial[])
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  is_exempt boolean;
  next_timed integer;
  judged record;
  going mfiauto._trial[];
  ends timestamptz[];
  unknown boolean[];
  passed mfiauto._trial_line[];
  way record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _run_trials.workflow_id AND w.version = _run_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _run_trials.step_no;
  is_exempt := (SELECT NOT c.holdout_allowed FROM mfiauto.message_class c WHERE c.class = coalesce(s.class, v.class));
  next_timed := (SELECT min(t.step_no) FROM mfiauto._timed_steps(v.workflow_id, v.version) t WHERE t.step_no > s.step_no);

  SELECT array_agg(j.outcome ORDER BY j.ordinality) AS outcomes, array_agg(j.at ORDER BY j.ordinality) AS ats, array_agg(j.ends_at ORDER BY j.ordinality) AS ends,
         array_agg(j.is_unknown ORDER BY j.ordinality) AS unknown, jsonb_agg(to_jsonb(j.read_doubts) ORDER BY j.ordinality) AS doubts
    INTO judged
    FROM mfiauto._judge_trials(v.workflow_id, v.version, s.step_no, trials, assumed) WITH ORDINALITY j;

  -- Those that run, with what they depend on now; an anchored run that had ended goes on: what it did not send meanwhile is past.
  SELECT coalesce(array_agg(ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, t.step_no, t.at, t.since, t.until, t.arm, t.context, t.zone, t.country, t.entered_at,
                                t.waiting_since, t.loops, t.unsent, t.doubts || ARRAY(SELECT jsonb_array_elements_text(j.doubts)))::mfiauto._trial ORDER BY t.ordinality), '{}'),
         coalesce(array_agg(j.ends_at ORDER BY t.ordinality), '{}'), coalesce(array_agg(j.is_unknown ORDER BY t.ordinality), '{}')
    INTO going, ends, unknown
    FROM unnest(trials) WITH ORDINALITY t
    JOIN ROWS FROM (unnest(judged.outcomes, judged.ends, judged.unknown), jsonb_array_elements(judged.doubts)) WITH ORDINALITY AS j(outcome, ends_at, is_unknown, doubts, ord) ON j.ord = t.ordinality
   WHERE j.outcome = 'run';
  lines := ARRAY(
    SELECT ROW(t.number, (t.anchor_on + w.at_offset + w.at_time) AT TIME ZONE t.zone, t.client_id, t.subject_id, t.loan_id, t.anchor_on, w.step_no, NULL, 'skipped', 'past', NULL,
               coalesce(w.class, v.class), NULL, t.zone, t.country, NULL, t.doubts, NULL, NULL)::mfiauto._trial_line
      FROM unnest(going) t
      JOIN mfiauto.workflow_step w ON w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = ANY (t.unsent) AND w.kind = 'send');
  -- Those that do not: what is written of it.
  passed := ARRAY(
    SELECT ROW(t.number, j.at, t.client_id, t.subject_id, t.loan_id, t.anchor_on, s.step_no, NULL,
               CASE j.outcome WHEN 'exit_if' THEN 'exited' WHEN 'client_changed' THEN 'exited' WHEN 'condition_error' THEN 'error' WHEN 'barred' THEN 'expired' ELSE 'skipped' END, j.outcome, NULL,
               coalesce(s.class, v.class), NULL, t.zone, t.country, NULL, t.doubts || ARRAY(SELECT jsonb_array_elements_text(j.doubts)), NULL, NULL)::mfiauto._trial_line
      FROM unnest(trials) WITH ORDINALITY t
      JOIN ROWS FROM (unnest(judged.outcomes, judged.ats), jsonb_array_elements(judged.doubts)) WITH ORDINALITY AS j(outcome, at, doubts, ord) ON j.ord = t.ordinality
     WHERE j.outcome <> 'run' AND (t.unsent IS NULL OR j.outcome NOT IN ('exit_if', 'client_changed')));
  moved := ARRAY(
    SELECT ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, CASE WHEN j.outcome IN ('exit_if', 'client_changed') THEN next_timed ELSE s.next_no END, t.at, t.at, t.until,
               t.arm, t.context, t.zone, t.country, t.entered_at, NULL, t.loops,
               CASE WHEN j.outcome IN ('exit_if', 'client_changed') THEN coalesce(t.unsent, '{}') || CASE WHEN s.at_offset IS NOT NULL THEN ARRAY[s.step_no] ELSE '{}' END ELSE t.unsent END,
               t.doubts)::mfiauto._trial
      FROM unnest(trials) WITH ORDINALITY t
      JOIN ROWS FROM (unnest(judged.outcomes)) WITH ORDINALITY AS j(outcome, ord) ON j.ord = t.ordinality
     WHERE j.outcome <> 'run' AND j.outcome <> 'condition_error' AND (v.anchor_column IS NOT NULL OR j.outcome NOT IN ('exit_if', 'client_changed')));
  lines := lines || passed;
  going := ARRAY(SELECT ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, t.step_no, t.at, t.since, t.until, t.arm, t.context, t.zone, t.country, t.entered_at,
                            t.waiting_since, t.loops, NULL, t.doubts)::mfiauto._trial FROM unnest(going) WITH ORDINALITY t ORDER BY t.ordinality);

  SELECT * INTO way FROM mfiauto._act_trials(v.workflow_id, v.version, s.step_no, going, ends, unknown, is_exempt, to_at, assumed);
  lines := lines || way.lines;
  moved := mfiauto._place_trials(v.workflow_id, v.version, moved || way.moved);
  -- Whose date was moved meanwhile goes on with the new one.
  moved := ARRAY(SELECT t::mfiauto._trial FROM unnest(moved) t WHERE t.at < coalesce(t.until, 'infinity'));
END $$;

-- What a step does for those that run it, by its kind. Ways taken are lines with an edge.
CREATE FUNCTION mfiauto._act_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], ends timestamptz[], unknown boolean[], is_exempt boolean,
                                    to_at timestamptz, assumed bigint[], OUT lines mfiauto._trial_line[], OUT moved mfiauto._trial[])
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  targets integer[];
  ats timestamptz[];
  edges text[];
  way_doubts jsonb;
BEGIN
  lines := '{}';
  moved := '{}';
  IF cardinality(trials) = 0 THEN
    RETURN;
  END IF;
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _act_trials.workflow_id AND w.version = _act_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _act_trials.step_no;
  CASE
    WHEN s.kind = 'send' THEN
      lines := mfiauto._leave_trials(v.workflow_id, v.version,
                 mfiauto._send_trials(v.workflow_id, v.version, s.step_no,
                   ARRAY(SELECT t::mfiauto._trial FROM unnest(trials) t WHERE is_exempt OR t.arm = 'treated'),
                   ARRAY(SELECT u.ends_at FROM ROWS FROM (unnest(trials), unnest(ends)) WITH ORDINALITY
                           AS u(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts, ends_at, ord)
                          WHERE is_exempt OR u.arm = 'treated' ORDER BY u.ord),
                   ARRAY(SELECT u.is_unknown FROM ROWS FROM (unnest(trials), unnest(unknown)) WITH ORDINALITY
                           AS u(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts, is_unknown, ord)
                          WHERE is_exempt OR u.arm = 'treated' ORDER BY u.ord), assumed), assumed)
        || ARRAY(SELECT ROW(t.number, t.at, t.client_id, t.subject_id, t.loan_id, t.anchor_on, s.step_no, NULL, 'holdout', 'holdout', NULL, coalesce(s.class, v.class), NULL, t.zone, t.country,
                            NULL, t.doubts, NULL, NULL)::mfiauto._trial_line FROM unnest(trials) t WHERE NOT is_exempt AND t.arm = 'holdout');
    WHEN s.kind IN ('task', 'set', 'add_to', 'remove_from', 'emit', 'enroll', 'exit') THEN
      lines := ARRAY(SELECT ROW(t.number, t.at, t.client_id, t.subject_id, t.loan_id, t.anchor_on, s.step_no, NULL, CASE WHEN t.arm = 'holdout' AND s.kind = 'task' THEN 'holdout' ELSE s.kind END,
                                CASE WHEN t.arm = 'holdout' AND s.kind = 'task' THEN 'holdout' END, NULL, coalesce(s.class, v.class), NULL, t.zone, t.country, NULL, t.doubts, NULL, NULL)::mfiauto._trial_line
                       FROM unnest(trials) t);
    ELSE
      NULL;
  END CASE;

  SELECT w.targets, w.ats, w.edges, w.doubts INTO targets, ats, edges, way_doubts FROM mfiauto._ways_of_trials(v.workflow_id, v.version, s.step_no, trials, assumed) w;
  moved := ARRAY(
    SELECT ROW(t.number, t.client_id, t.subject_id, t.loan_id, t.anchor_on, w.target, w.at, t.at, t.until, t.arm, t.context, t.zone, t.country, t.entered_at, NULL,
               CASE WHEN s.kind <> 'repeat' THEN t.loops
                    ELSE coalesce(t.loops, '{}') || jsonb_build_object(s.step_no::text || CASE WHEN w.edge = 'again' THEN '' ELSE '.from' END,
                                                                               coalesce((t.loops ->> s.step_no::text)::integer, 0) + CASE WHEN w.edge = 'again' THEN 1 ELSE 0 END) END,
               NULL, t.doubts || ARRAY(SELECT jsonb_array_elements_text(w.doubts)))::mfiauto._trial
      FROM unnest(trials) WITH ORDINALITY t
      JOIN ROWS FROM (unnest(targets, ats, edges), jsonb_array_elements(way_doubts)) WITH ORDINALITY AS w(target, at, edge, doubts, ord) ON w.ord = t.ordinality
     WHERE w.target IS NOT NULL AND w.at < to_at
     ORDER BY t.ordinality);
  lines := lines || ARRAY(
    SELECT ROW(NULL, NULL, NULL, NULL, NULL, NULL, s.step_no, NULL, 'edge', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, e.edge, count(*))::mfiauto._trial_line
      FROM unnest(edges, ats) AS e(edge, at) WHERE e.at < to_at GROUP BY e.edge)
    || ARRAY(SELECT ROW(t.number, w.at, t.client_id, t.subject_id, NULL, NULL, NULL, NULL, 'ended', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::mfiauto._trial_line
               FROM unnest(trials) WITH ORDINALITY t JOIN unnest(targets, ats) WITH ORDINALITY AS w(target, at, ord) ON w.ord = t.ordinality
              WHERE w.target IS NULL);
END $$;

-- When waits of trials are over, with a date that is written in SQL as it was then; everything else is the engine's.
CREATE FUNCTION mfiauto._wait_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], assumed bigint[])
RETURNS TABLE (at timestamptz, read_doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _wait_trials.workflow_id AND w.version = _wait_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _wait_trials.step_no;
  IF s.wait_sql IS NULL THEN
    RETURN QUERY
      SELECT m.at, CASE WHEN s.wait_most IS NULL THEN '{}'::text[] ELSE '{the random time of a wait}' END
        FROM mfiauto._wait_moments(v.workflow_id, v.version, s.step_no, ARRAY(
               SELECT ROW(t.client_id, t.number, t.subject_id, t.loan_id, t.anchor_on, s.step_no, t.at, t.arm, NULL, t.zone, t.country, NULL, NULL, 'run')::mfiauto._run
                 FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality),
               ARRAY(SELECT t.at FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality)) WITH ORDINALITY AS m(at, is_known, ord)
       ORDER BY m.ord;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT CASE WHEN d.on_at IS NULL THEN d.at
                ELSE greatest(d.at, CASE WHEN s.wait_working_days IS NOT NULL
                                         THEN (SELECT (CASE WHEN s.wait_time IS NULL THEN w ELSE w::date + s.wait_time END) AT TIME ZONE d.zone
                                                 FROM mfiauto._working_days_later(ARRAY[d.later AT TIME ZONE d.zone], ARRAY[d.country], coalesce(s.class, v.class), s.wait_working_days) w)
                                         WHEN s.wait_time IS NOT NULL THEN mfiauto._next_time(d.later, d.zone, s.wait_time, s.wait_weekday, false)
                                         ELSE d.later END) END,
           d.read_doubts
      FROM (SELECT x.*, CASE WHEN s.wait IS NULL THEN x.on_at ELSE mfiauto._wait_until(x.on_at, s.wait, x.zone) END AS later
              FROM (SELECT t.*, a.read_doubts, CASE s.wait_type WHEN 'timestamptz' THEN a.answer::timestamptz ELSE a.answer::timestamp AT TIME ZONE t.zone END AS on_at
                      FROM unnest(trials) WITH ORDINALITY t
                      JOIN mfiauto._ask_trials(v.owner, s.wait_sql, v.subject, trials, assumed) WITH ORDINALITY AS a(answer, failed, read_doubts, ord) ON a.ord = t.ordinality) x) d
     ORDER BY d.ordinality;
END $$;

-- What trials waited for: when it came, null if the time was over first; until when they waited.
CREATE FUNCTION mfiauto._await_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], assumed bigint[])
RETURNS TABLE (came_at timestamptz, wait_until timestamptz, read_doubts text[])
LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  asked record;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _await_trials.workflow_id AND w.version = _await_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _await_trials.step_no;
  IF s.events IS NOT NULL THEN
    -- As in _awaited_events().
    SELECT array_agg(c.ordinality ORDER BY c.ordinality, c.received_at, c.event_id) AS ords, array_agg(c.client_id ORDER BY c.ordinality, c.received_at, c.event_id) AS client_ids,
           array_agg(c.subject_id ORDER BY c.ordinality, c.received_at, c.event_id) AS subject_ids, array_agg(c.loan_id ORDER BY c.ordinality, c.received_at, c.event_id) AS loan_ids,
           array_agg(c.received_at ORDER BY c.ordinality, c.received_at, c.event_id) AS ats, array_agg(c.event_id ORDER BY c.ordinality, c.received_at, c.event_id) AS event_ids
      INTO asked
      FROM (SELECT t.ordinality, t.client_id, t.subject_id, t.loan_id, l.received_at, l.event_id
              FROM unnest(trials) WITH ORDINALITY t
              JOIN LATERAL (SELECT * FROM mfiauto.event_log l
                             WHERE l.client_id = t.client_id AND l.received_at >= CASE WHEN s.since_entry THEN t.entered_at ELSE t.at END AND l.name = ANY (s.events)
                               AND l.occurred_at < mfiauto._wait_until(t.at, s.timeout, t.zone)
                               AND (v.trigger_events IS NULL OR l.event_id <> t.number)
                               AND (l.subject IS DISTINCT FROM v.subject OR l.subject_id = t.subject_id)
                               AND (l.loan_id IS NULL OR t.loan_id IS NULL OR l.loan_id = t.loan_id OR v.subject = 'client')
                             ORDER BY l.received_at DESC, l.event_id DESC LIMIT 1000) l ON true) c;
  ELSE
    SELECT array_agg(c.ord ORDER BY c.ord, c.at) AS ords, array_agg(c.client_id ORDER BY c.ord, c.at) AS client_ids, array_agg(c.subject_id ORDER BY c.ord, c.at) AS subject_ids,
           array_agg(c.loan_id ORDER BY c.ord, c.at) AS loan_ids, array_agg(c.at ORDER BY c.ord, c.at) AS ats, NULL::bigint[] AS event_ids
      INTO asked
      FROM (SELECT t.ordinality AS ord, t.client_id, t.subject_id, t.loan_id, t.at FROM unnest(trials) WITH ORDINALITY t
            UNION
            SELECT t.ordinality, t.client_id, t.subject_id, t.loan_id, g.at
              FROM unnest(trials) WITH ORDINALITY t
              CROSS JOIN LATERAL generate_series(t.at, mfiauto._wait_until(t.at, s.timeout, t.zone), greatest(s.check_every, interval '1 minute')) AS g(at)
            UNION
            SELECT t.ordinality, t.client_id, t.subject_id, t.loan_id, x.at
              FROM mfiauto._trial_touches(v.subject, ARRAY(
                     SELECT ROW(u.number, u.client_id, u.subject_id, u.loan_id, NULL, NULL, mfiauto._wait_until(u.at, s.timeout, u.zone), u.at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::mfiauto._trial
                       FROM unnest(trials) WITH ORDINALITY u ORDER BY u.ordinality)) x
              JOIN unnest(trials) WITH ORDINALITY t ON t.ordinality = x.ord) c;
  END IF;
  RETURN QUERY
    WITH answer AS MATERIALIZED (
      SELECT asked.ords[a.ord] AS place, asked.ats[a.ord] AS at, a.answer, a.read_doubts
        FROM mfiauto._ask_past(v.owner, s.condition_sql, v.subject, asked.client_ids, asked.subject_ids, asked.loan_ids, asked.ats, assumed, asked.event_ids) WITH ORDINALITY
             AS a(answer, failed, read_doubts, ord)
    )
    SELECT CASE WHEN c.at IS NOT NULL THEN greatest(c.at, t.at) END, mfiauto._wait_until(t.at, s.timeout, t.zone), coalesce(d.doubts, '{}')
      FROM unnest(trials) WITH ORDINALITY t
      LEFT JOIN (SELECT a.place, min(a.at) AS at FROM answer a WHERE a.answer = 't' OR s.condition_sql IS NULL GROUP BY a.place) c ON c.place = t.ordinality
      LEFT JOIN (SELECT a.place, array_agg(DISTINCT u.d) AS doubts FROM answer a, unnest(a.read_doubts) u(d) GROUP BY a.place) d ON d.place = t.ordinality
     ORDER BY t.ordinality;
END $$;

-- Where each trial goes from a step, when, and by which edge.
CREATE FUNCTION mfiauto._ways_of_trials(workflow_id integer, version integer, step_no integer, trials mfiauto._trial[], assumed bigint[],
                                        OUT targets integer[], OUT ats timestamptz[], OUT edges text[], OUT doubts jsonb)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  v mfiauto.workflow_version;
  s mfiauto.workflow_step;
  salt text;
  key text := _ways_of_trials.step_no::text;
BEGIN
  SELECT * INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _ways_of_trials.workflow_id AND w.version = _ways_of_trials.version;
  SELECT * INTO STRICT s FROM mfiauto.workflow_step w WHERE w.workflow_id = v.workflow_id AND w.version = v.version AND w.step_no = _ways_of_trials.step_no;
  salt := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id);
  SELECT array_agg(t.at ORDER BY t.ordinality), jsonb_agg('[]'::jsonb) INTO ats, doubts FROM unnest(trials) WITH ORDINALITY t;
  targets := array_fill(CASE WHEN s.kind = 'end' THEN NULL ELSE s.next_no END, ARRAY[cardinality(trials)]);
  edges := array_fill('next'::text, ARRAY[cardinality(trials)]);
  CASE s.kind
    WHEN 'if', 'repeat' THEN
      SELECT array_agg(CASE WHEN a.way IN ('then', 'again') THEN s.then_no ELSE s.else_no END ORDER BY a.ord), array_agg(a.way ORDER BY a.ord), jsonb_agg(to_jsonb(a.read_doubts) ORDER BY a.ord)
        INTO targets, edges, doubts
        FROM (SELECT r.ord, r.read_doubts,
                     CASE WHEN s.kind = 'if' THEN CASE WHEN r.answer = 't' THEN 'then' ELSE 'else' END
                          WHEN r.answer = 't' OR coalesce((r.loops ->> key)::integer, 0) - coalesce((r.loops ->> (key || '.from'))::integer, 0) >= s.at_most THEN 'done'
                          ELSE 'again' END AS way
                FROM ROWS FROM (unnest(trials), mfiauto._ask_trials(v.owner, s.condition_sql, v.subject, trials, assumed)) WITH ORDINALITY
                     AS r(number, client_id, subject_id, loan_id, anchor_on, step_no, at, since, until, arm, context, zone, country, entered_at, waiting_since, loops, unsent, doubts,
                          answer, failed, read_doubts, ord)) a;
    WHEN 'switch' THEN
      targets := array_fill(s.else_no, ARRAY[cardinality(trials)]);
      edges := array_fill('else'::text, ARRAY[cardinality(trials)]);
      -- Every condition is asked of everybody, from the last to the first: what is true first decides.
      FOR place IN REVERSE cardinality(s.branch_sql)..1 LOOP
        SELECT array_agg(CASE WHEN a.answer = 't' THEN s.branch_nos[place] ELSE w.target END ORDER BY w.ord), array_agg(CASE WHEN a.answer = 't' THEN 'case ' || place ELSE w.edge END ORDER BY w.ord),
               jsonb_agg(CASE WHEN a.answer = 't' THEN '[]'::jsonb ELSE w.known END || to_jsonb(a.read_doubts) ORDER BY w.ord)
          INTO targets, edges, doubts
          FROM ROWS FROM (unnest(targets, edges), jsonb_array_elements(_ways_of_trials.doubts)) WITH ORDINALITY AS w(target, edge, known, ord)
          JOIN mfiauto._ask_trials(v.owner, s.branch_sql[place], v.subject, trials, assumed) WITH ORDINALITY AS a(answer, failed, read_doubts, ord) ON a.ord = w.ord;
      END LOOP;
    WHEN 'split' THEN
      SELECT array_agg(s.branch_nos[a.place] ORDER BY u.ord), array_agg(s.branch_names[a.place] ORDER BY u.ord) INTO targets, edges
        FROM mfiauto._units(v.subject, ARRAY(SELECT t.client_id FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality),
                            ARRAY(SELECT t.subject_id FROM unnest(trials) WITH ORDINALITY t ORDER BY t.ordinality)) WITH ORDINALITY AS u(unit, ord)
       CROSS JOIN LATERAL (SELECT mfiauto._split_arm(salt, s.path, s.branch_weights, u.unit) AS place OFFSET 0) a;
    WHEN 'wait' THEN
      SELECT array_agg(w.at ORDER BY w.ordinality), jsonb_agg(to_jsonb(w.read_doubts) ORDER BY w.ordinality) INTO ats, doubts
        FROM mfiauto._wait_trials(v.workflow_id, v.version, s.step_no, trials, assumed) WITH ORDINALITY w;
    WHEN 'wait_for' THEN
      SELECT array_agg(CASE WHEN w.came_at IS NULL THEN s.else_no ELSE s.then_no END ORDER BY w.ordinality), array_agg(coalesce(w.came_at, w.wait_until) ORDER BY w.ordinality),
             array_agg(CASE WHEN w.came_at IS NULL THEN 'timeout' ELSE 'then' END ORDER BY w.ordinality), jsonb_agg(to_jsonb(w.read_doubts) ORDER BY w.ordinality)
        INTO targets, ats, edges, doubts
        FROM mfiauto._await_trials(v.workflow_id, v.version, s.step_no, trials, assumed) WITH ORDINALITY w;
    WHEN 'task' THEN
      -- What people would have made of it nobody knows: its time runs out.
      IF s.branch_nos IS NOT NULL THEN
        SELECT array_fill(s.else_no, ARRAY[cardinality(trials)]), array_agg(mfiauto._wait_until(t.at, s.timeout, t.zone) ORDER BY t.ordinality), array_fill('timeout'::text, ARRAY[cardinality(trials)]),
               jsonb_agg('["the outcome of a task"]'::jsonb)
          INTO targets, ats, edges, doubts FROM unnest(trials) WITH ORDINALITY t;
      END IF;
    ELSE
      NULL;
  END CASE;
END $$;
