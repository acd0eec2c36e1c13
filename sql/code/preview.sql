-- preview_activation(): who would enter a workflow now, and what would be sent to them when, on which channel, at what cost.

-- The pairs that the newest version of an anchored workflow would take in at once, with their arm and zone: those whose date
-- is in reach, whose conditions hold, and who are not in it yet.
CREATE FUNCTION mfiauto._preview_entries(workflow_id integer, version integer)
RETURNS TABLE (client_id bigint, subject_id bigint, anchor_on date, zone text, country text, arm text)
LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
DECLARE
  v record;
  head record;
  today date := mfiauto._today();
  client_ids bigint[];
  subject_ids bigint[];
BEGIN
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _preview_entries.workflow_id AND w.version = _preview_entries.version;
  SELECT h.* INTO STRICT head FROM mfiauto.workflow_head h WHERE h.workflow_id = v.workflow_id;
  SELECT array_agg(c.client_id ORDER BY c.on_date, c.subject_id, c.client_id), array_agg(c.subject_id ORDER BY c.on_date, c.subject_id, c.client_id)
    INTO client_ids, subject_ids
    FROM (SELECT DISTINCT coalesce(s.client_id, p.client_id) AS client_id, s.subject_id, s.on_date
            FROM (SELECT min(t.at_offset) AS earliest, max(t.at_offset) AS latest FROM mfiauto._timed_steps(v.workflow_id, v.version) t) t
            CROSS JOIN LATERAL mfiauto._dates_between(v.subject, v.anchor_column, today - mfiauto._planning_lead() - t.latest,
                                                      today + mfiauto._planning_lead() - t.earliest) s
            LEFT JOIN mfiauto.party_state p ON s.client_id IS NULL AND p.loan_id = CASE WHEN v.subject = 'loan' THEN s.subject_id ELSE s.loan_id END
             AND coalesce(p.since <= today, true) AND coalesce(p.until >= today, true) AND p.role <> 'guarantor'
           WHERE coalesce(s.client_id, p.client_id) IS NOT NULL) c
   WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e
                      WHERE e.client_id = c.client_id AND e.workflow_id = v.workflow_id AND e.subject = v.subject AND e.subject_id = c.subject_id);
  IF client_ids IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
    WITH pair AS MATERIALIZED (
      SELECT k.client_id, k.subject_id, k.ord, s.on_date, k.zone, k.country,
             mfiauto._arm(head.salt, CASE WHEN c.holdout_allowed THEN v.holdout ELSE 0 END,
                          CASE WHEN s.client_id IS NULL THEN 'loan ' || CASE WHEN v.subject = 'loan' THEN s.subject_id ELSE s.loan_id END
                               ELSE 'client ' || s.client_id END) AS arm
        FROM ROWS FROM (unnest(client_ids, subject_ids),
                        mfiauto._verdicts(v.owner, v.enter_sql, client_ids, subject_ids, true),
                        mfiauto._verdicts(v.owner, v.exit_sql, client_ids, subject_ids, false),
                        mfiauto._client_zones(client_ids)) WITH ORDINALITY
             AS k(client_id, subject_id, enter_verdict, exit_verdict, zoned_client_id, zone, country, is_zone_invalid, ord)
        JOIN (SELECT DISTINCT ON (d.subject_id) d.* FROM mfiauto._dates_between(v.subject, v.anchor_column, '-infinity', 'infinity') d ORDER BY d.subject_id) s
          ON s.subject_id = k.subject_id
        JOIN mfiauto.message_class c ON c.class = v.class
       WHERE k.enter_verdict AND k.exit_verdict IS NOT TRUE
    ),
    ahead AS (
      SELECT f.client_id, f.subject_id
        FROM mfiauto._first_steps(v.workflow_id, v.version, ARRAY(
          SELECT ROW(p.client_id, NULL, p.subject_id, NULL, p.on_date, NULL, NULL, p.arm, NULL, p.zone, p.country, NULL, NULL, NULL)::mfiauto._run FROM pair p)) f
    )
    SELECT p.client_id, p.subject_id, p.on_date, p.zone, p.country, p.arm
      FROM pair p JOIN ahead a ON a.client_id = p.client_id AND a.subject_id = p.subject_id
     ORDER BY p.ord LIMIT coalesce(head.max_per_day, v.max_per_day);
END $$;

-- Which steps each of the pairs would come through, as the books stand now: a row a step, a bit a pair (in their order), and
-- the step whose moment it has.
CREATE FUNCTION mfiauto._preview_paths(workflow_id integer, version integer, client_ids bigint[], subject_ids bigint[])
RETURNS TABLE (step_no integer, moment_no integer, reached varbit)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  owner text := (SELECT v.owner FROM mfiauto.workflow_version v WHERE v.workflow_id = _preview_paths.workflow_id AND v.version = _preview_paths.version);
  subject text := (SELECT v.subject FROM mfiauto.workflow_version v WHERE v.workflow_id = _preview_paths.workflow_id AND v.version = _preview_paths.version);
  salt text := (SELECT h.salt FROM mfiauto.workflow_head h WHERE h.workflow_id = _preview_paths.workflow_id);
  query text;
  nobody varbit := repeat('0', cardinality(client_ids))::varbit;
  reaches varbit[];
  moments integer[];
  s record;
  left_over varbit;
  verdict varbit;
  numbers integer[];
  came varbit[];
  following record;
BEGIN
  SELECT array_agg(CASE w.step_no WHEN 1 THEN ~nobody ELSE nobody END ORDER BY w.step_no),
         array_agg(CASE WHEN w.at_offset IS NOT NULL THEN w.step_no ELSE 0 END ORDER BY w.step_no)
    INTO reaches, moments
    FROM mfiauto.workflow_step w WHERE w.workflow_id = _preview_paths.workflow_id AND w.version = _preview_paths.version;
  FOR s IN
    SELECT w.* FROM mfiauto.workflow_step w
     WHERE w.workflow_id = _preview_paths.workflow_id AND w.version = _preview_paths.version ORDER BY w.step_no
  LOOP
    -- The ways on, and who goes each of them; an anchored program never comes back.
    numbers := ARRAY[s.next_no];
    came := ARRAY[reaches[s.step_no]];
    IF s.kind IN ('if', 'switch') THEN
      numbers := CASE s.kind WHEN 'if' THEN ARRAY[s.then_no] ELSE s.branch_nos END || s.else_no;
      left_over := reaches[s.step_no];
      came := '{}';
      FOREACH query IN ARRAY CASE s.kind WHEN 'if' THEN ARRAY[s.condition_sql] ELSE s.branch_sql END LOOP
        verdict := (SELECT string_agg(CASE WHEN y.verdict THEN '1' ELSE '0' END, '' ORDER BY y.ord)::varbit
                      FROM mfiauto._verdicts(owner, query, client_ids, subject_ids, NULL) WITH ORDINALITY AS y(verdict, ord));
        came := came || (left_over & verdict);
        left_over := left_over & ~verdict;
      END LOOP;
      came := came || left_over;
    ELSIF s.kind = 'split' THEN
      numbers := s.branch_nos;
      came := ARRAY(SELECT reaches[s.step_no] & string_agg(CASE WHEN y.place = b.place THEN '1' ELSE '0' END, '' ORDER BY y.ord)::varbit
                      FROM generate_series(1, cardinality(s.branch_nos)) AS b(place),
                           (SELECT mfiauto._split_arm(salt, s.path, s.branch_weights, u.unit) AS place, u.ord
                              FROM mfiauto._units(subject, client_ids, subject_ids) WITH ORDINALITY AS u(unit, ord)) y
                     GROUP BY b.place ORDER BY b.place);
    END IF;
    FOR following IN
      SELECT n.no, bit_or(n.came) AS came FROM unnest(numbers, came) AS n(no, came) WHERE n.no IS NOT NULL GROUP BY n.no
    LOOP
      reaches[following.no] := reaches[following.no] | following.came;
      moments[following.no] := greatest(moments[following.no], moments[s.step_no]);
    END LOOP;
    step_no := s.step_no;
    moment_no := moments[s.step_no];
    reached := reaches[s.step_no];
    RETURN NEXT;
  END LOOP;
END $$;

-- The messages that these pairs would get: one row each, composed from the books as they stand.
CREATE FUNCTION mfiauto._preview_messages(workflow text, workflow_id integer, version integer, client_ids bigint[], subject_ids bigint[],
                                          anchors date[], zones text[], countries text[], arms text[])
RETURNS TABLE (step_no integer, path text, client_id bigint, channel text, on_date date, parts integer, state text)
LANGUAGE sql STABLE SET plan_cache_mode = force_custom_plan SET jit = off AS $$
  WITH run AS MATERIALIZED (
    SELECT r.* FROM unnest(client_ids, subject_ids, anchors, zones, countries, arms) WITH ORDINALITY
             AS r(client_id, subject_id, anchor_on, zone, country, arm, ord)
  ),
  step AS MATERIALIZED (
    SELECT s.step_no, s.path, s.template, s.channels, coalesce(s.class, v.class) AS class, c.holdout_allowed, p.reached,
           m.at_offset, m.at_time, coalesce(m.class, v.class) AS moment_class
      FROM mfiauto._preview_paths(_preview_messages.workflow_id, _preview_messages.version, client_ids, subject_ids) p
      JOIN mfiauto.workflow_version v ON v.workflow_id = _preview_messages.workflow_id AND v.version = _preview_messages.version
      JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version AND s.step_no = p.step_no AND s.kind = 'send'
      JOIN mfiauto.workflow_step m ON m.workflow_id = v.workflow_id AND m.version = v.version AND m.step_no = p.moment_no
      JOIN mfiauto.message_class c ON c.class = coalesce(s.class, v.class)
  ),
  moment AS MATERIALIZED (
    SELECT m.* FROM mfiauto._contact_moments(ARRAY(
      SELECT DISTINCT ROW(d.anchor_on + t.at_offset + t.at_time, d.zone, d.country, t.moment_class, t.at_offset, mfiauto.now())::mfiauto._moment_key
        FROM (SELECT DISTINCT r.anchor_on, r.zone, r.country FROM run r) d,
             (SELECT DISTINCT s.at_offset, s.at_time, s.moment_class FROM step s) t)) m
  ),
  books AS MATERIALIZED (
    SELECT c.* FROM mfiauto._context(client_ids, (SELECT v.subject FROM mfiauto.workflow_version v
                                                   WHERE v.workflow_id = _preview_messages.workflow_id AND v.version = _preview_messages.version),
                                     subject_ids, workflow,
                                     mfiauto._template_needs((SELECT array_agg(DISTINCT s.template) FROM step s))) c
  )
  SELECT s.step_no, s.path, r.client_id, c.channel, (m.at AT TIME ZONE r.zone)::date, c.parts::integer, c.state
    FROM step s
    CROSS JOIN LATERAL mfiauto._channel_orders(client_ids, s.template, s.class, s.channels) k
    JOIN run r ON r.ord = k.ord AND get_bit(s.reached, (r.ord - 1)::integer) = 1 AND (r.arm = 'treated' OR NOT s.holdout_allowed)
    JOIN moment m ON m.wanted = r.anchor_on + s.at_offset + s.at_time AND m.zone = r.zone AND m.country = r.country
                 AND m.class = s.moment_class AND m.day_offset = s.at_offset AND m.at >= mfiauto.now()
    JOIN books b ON b.ord = r.ord
    CROSS JOIN LATERAL mfiauto._compose(s.template, k.wanted, s.class, b.locale, b.context, b.phone, b.email, b.push_token, b.country,
                                        addresses => b.addresses) c
$$;

-- Whether the bank has written something that the engine has not looked at yet.
CREATE FUNCTION mfiauto._has_unseen_writes() RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM (SELECT j.xid FROM mfiauto.journal_1 j UNION ALL SELECT j.xid FROM mfiauto.journal_2 j
                 UNION ALL SELECT j.xid FROM mfiauto.journal_3 j UNION ALL SELECT j.xid FROM mfiauto.journal_4 j) j,
         mfiauto.journal_cursor c
     WHERE c.snapshot IS NULL OR NOT pg_visible_in_snapshot(j.xid, c.snapshot))
$$;

-- Who would come in by a trigger: now, and when next.
CREATE FUNCTION mfiauto._preview_trigger(workflow_id integer, version integer) RETURNS TABLE (step text, clients bigint)
LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz := mfiauto.now();
  v record;
  zone text := (SELECT i.time_zone FROM mfiauto.institution i);
BEGIN
  SELECT w.* INTO STRICT v FROM mfiauto.workflow_version w WHERE w.workflow_id = _preview_trigger.workflow_id AND w.version = _preview_trigger.version;
  IF v.trigger_kind = 'manual' THEN
    RETURN QUERY SELECT 'nobody enters now, but by enroll()'::text, 0::bigint;
  ELSIF v.trigger_kind = 'schedule' THEN
    RETURN QUERY SELECT format('enter %s: the members of segment "%s"', mfiauto._moment_text(mfiauto._next_occurrence(v.trigger_cron, zone, clock)), v.trigger_segment),
                        (SELECT count(*) FROM mfiauto._present_members(v.trigger_segment) m);
  ELSIF v.trigger_kind = 'yearly' THEN
    RETURN QUERY SELECT format('enter in the next 30 days: whose %s comes', v.trigger_column), count(DISTINCT coalesce(s.client_id, p.client_id))
      FROM mfiauto._dates_between(v.subject, split_part(v.trigger_column, '.', 2), '-infinity', 'infinity') s
      LEFT JOIN mfiauto.party_state p ON s.client_id IS NULL AND p.loan_id = s.loan_id AND p.role <> 'guarantor'
     WHERE mfiauto._next_anniversary(s.on_date, v.trigger_at, v.trigger_leap_day, v.trigger_minimum_years, zone, clock) < clock + interval '30 days';
  ELSIF v.trigger_existing AND v.trigger_kind = 'segment' THEN
    RETURN QUERY SELECT 'enter now: the members of the segment'::text, count(*) FROM mfiauto._present_members(v.trigger_segment) m
      WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment_state e WHERE e.client_id = m AND e.workflow_id = v.workflow_id);
  ELSIF v.trigger_kind = 'inactive' THEN
    RETURN QUERY SELECT CASE WHEN v.trigger_existing THEN format('enter now: no "%s" for %s', array_to_string(v.trigger_events, '" or "'), v.trigger_after)
                             ELSE format('nobody enters now, but after %s without "%s"', v.trigger_after, array_to_string(v.trigger_events, '" or "')) END,
                        (SELECT count(*) FROM mfiauto.client c
                           LEFT JOIN LATERAL (SELECT max(l.occurred_at) AS last_at FROM mfiauto.event_log l WHERE l.client_id = c.client_id AND l.name = ANY (v.trigger_events)) e ON true
                          WHERE v.trigger_existing
                            AND mfiauto._later(greatest(e.last_at, CASE WHEN isfinite(c.joined_on) THEN c.joined_on::timestamp AT TIME ZONE zone END), v.trigger_after) <= clock
                            AND NOT EXISTS (SELECT FROM mfiauto.enrollment_state r WHERE r.client_id = c.client_id AND r.workflow_id = v.workflow_id AND r.ended_at IS NULL));
  ELSE
    RETURN QUERY SELECT format('nobody enters now, but with each event "%s"', array_to_string(v.trigger_events, '" or "')), 0::bigint;
  END IF;
END $$;

CREATE FUNCTION mfiauto._preview_activation(name text)
RETURNS TABLE (step text, channel text, on_date date, clients bigint, messages bigint, parts bigint, cost numeric, currency text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v record;
  e record;
BEGIN
  SELECT w.* INTO v FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version w ON w.workflow_id = h.workflow_id
   WHERE h.name = _preview_activation.name ORDER BY w.version DESC LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'workflow "%" does not exist', _preview_activation.name
      USING ERRCODE = '42704', HINT = 'mfiauto.workflow lists the workflows.';
  END IF;
  IF v.anchor_column IS NULL THEN
    RETURN QUERY SELECT p.step, NULL::text, mfiauto._today(), p.clients, CASE p.clients WHEN 0 THEN 0 END::bigint, CASE p.clients WHEN 0 THEN 0 END::bigint, NULL::numeric, NULL::text
                   FROM mfiauto._preview_trigger(v.workflow_id, v.version) p;
    RETURN;
  END IF;
  IF mfiauto._has_unseen_writes() THEN
    RAISE NOTICE 'the engine has not looked at all that the bank has written: the preview is without it'
      USING HINT = 'The engine''s worker looks every second; without workers, SELECT * FROM mfiauto.run_engine().';
  END IF;
  SELECT coalesce(array_agg(p.client_id), '{}') AS client_ids, coalesce(array_agg(p.subject_id), '{}') AS subject_ids, array_agg(p.anchor_on) AS anchors,
         array_agg(p.zone) AS zones, array_agg(p.country) AS countries, array_agg(p.arm) AS arms,
         count(DISTINCT p.client_id) AS clients, count(DISTINCT p.client_id) FILTER (WHERE p.arm = 'holdout') AS held_out
    INTO STRICT e
    FROM mfiauto._preview_entries(v.workflow_id, v.version) p;
  RETURN QUERY SELECT format('enter now: %s', CASE cardinality(e.client_ids) WHEN 1 THEN '1 ' || v.subject ELSE cardinality(e.client_ids) || ' ' || v.subject || 's' END),
                      NULL::text, mfiauto._today(), e.clients, NULL::bigint, NULL::bigint, NULL::numeric, NULL::text;
  IF e.held_out > 0 THEN
    RETURN QUERY SELECT 'of these held out'::text, NULL::text, mfiauto._today(), e.held_out, 0::bigint, 0::bigint, NULL::numeric, NULL::text;
  END IF;
  IF e.clients = 0 THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT m.path || CASE WHEN m.state = 'queued' THEN '' ELSE ': no usable address or text' END, m.channel, m.on_date, count(DISTINCT m.client_id),
           count(*) FILTER (WHERE m.state = 'queued'), coalesce(sum(m.parts), 0)::bigint, sum(m.parts) * max(g.cost_per_part), max(g.currency)
      FROM (SELECT p.step_no, p.path, p.client_id, p.on_date, p.state, CASE WHEN p.state = 'queued' THEN p.channel END AS channel,
                   CASE WHEN p.state = 'queued' THEN coalesce(p.parts, 1) END AS parts
              FROM mfiauto._preview_messages(_preview_activation.name, v.workflow_id, v.version, e.client_ids, e.subject_ids, e.anchors, e.zones,
                                             e.countries, e.arms) p) m
      LEFT JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(w.settings -> 'cost_per_part') = 'number' THEN (w.settings ->> 'cost_per_part')::numeric END AS cost_per_part,
               coalesce(w.settings ->> 'currency', i.currency) AS currency
          FROM mfiauto.gateway_config w CROSS JOIN mfiauto.institution i
         WHERE w.channel = m.channel AND w.is_enabled ORDER BY w.priority, w.gateway LIMIT 1) g ON true
     GROUP BY m.step_no, m.path, m.state = 'queued', CASE WHEN m.state = 'queued' THEN '' ELSE ': no usable address or text' END, m.channel, m.on_date
     ORDER BY m.step_no, m.on_date, m.channel;
END $$;
SELECT mfiauto._open_door('mfiauto._preview_activation(text)', '{admin,author}',
  'Who would enter the workflow''s newest version now, and the messages that would follow by step, channel and day, with parts and cost, as the books stand. Nothing is sent or changed.');
