-- What a loan officer or a branch may see: their own clients, and of all others nothing, not even that they are there.
--
-- The views are made of functions that look only at the caller's own clients. So there is nothing to filter: no plan, no count of
-- rows that a filter removed, no cheap function in a condition comes near anybody else's. A client of others is treated as one that
-- does not exist, by the same words.

-- Whose these clients are, as the books say now. By the clients themselves and by the loans they answer for that are not over.
CREATE FUNCTION mfiauto._write_visibility(client_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  parts text[] := ARRAY['SELECT NULL::bigint, NULL::text, NULL::bigint, NULL::bigint, NULL::date, NULL::date WHERE false'];
  own record;
BEGIN
  IF mfiauto._is_bound('client') THEN
    parts := parts || 'SELECT c.client_id, k.profile, k.number, 0, NULL, NULL
                         FROM mfiauto.client c CROSS JOIN LATERAL (VALUES (''officer'', c.officer_id), (''branch'', c.branch_id)) AS k(profile, number)
                        WHERE c.client_id = ANY ($1)'::text;
  END IF;
  IF mfiauto._is_bound('loan') THEN
    parts := parts || 'SELECT a.client_id, k.profile, k.number, l.loan_id, a.since, a.until
                         FROM unnest($2, $3, $4, $5) AS a(client_id, loan_id, since, until)
                         JOIN mfiauto.loan l ON l.loan_id = a.loan_id AND l.loan_id = ANY ($3)
                        CROSS JOIN LATERAL (VALUES (''officer'', l.officer_id), (''branch'', l.branch_id)) AS k(profile, number)
                        WHERE l.status IS NULL OR l.status NOT IN (''closed'', ''rejected'', ''withdrawn'')'::text;
  END IF;
  SELECT coalesce(array_agg(u.client_id), '{}') AS client_ids, coalesce(array_agg(u.loan_id), '{}') AS loan_ids, coalesce(array_agg(u.since), '{}') AS since,
         coalesce(array_agg(u.until), '{}') AS until INTO own
    FROM (SELECT s.client_id, s.subject_id AS loan_id, NULL::date AS since, NULL::date AS until
            FROM mfiauto.subject_state s WHERE s.role = 'loan' AND s.client_id = ANY (_write_visibility.client_ids)
          UNION ALL
          SELECT p.client_id, p.loan_id, min(p.since), CASE WHEN bool_and(p.until IS NOT NULL) THEN max(p.until) END
            FROM mfiauto.party_state p WHERE p.client_id = ANY (_write_visibility.client_ids) AND p.role <> 'guarantor' GROUP BY p.client_id, p.loan_id) u;
  EXECUTE format($q$
    WITH wanted AS MATERIALIZED (
      SELECT DISTINCT ON (w.client_id, w.profile, w.number, w.loan_id) w.*
        FROM (%s) AS w(client_id, profile, number, loan_id, since, until)
       WHERE w.number IS NOT NULL
       ORDER BY w.client_id, w.profile, w.number, w.loan_id, w.since NULLS FIRST
    ),
    gone AS (
      DELETE FROM mfiauto.client_visibility v
       WHERE v.client_id = ANY ($1)
         AND (v.client_id, v.profile, v.number, v.loan_id) NOT IN (SELECT w.client_id, w.profile, w.number, w.loan_id FROM wanted w)
    )
    INSERT INTO mfiauto.client_visibility AS v (client_id, profile, number, loan_id, since, until)
    SELECT w.client_id, w.profile, w.number, w.loan_id, w.since, w.until FROM wanted w
    ON CONFLICT ON CONSTRAINT client_visibility_pkey DO UPDATE SET since = excluded.since, until = excluded.until
     WHERE (v.since, v.until) IS DISTINCT FROM (excluded.since, excluded.until)$q$, array_to_string(parts, ' UNION ALL '))
    USING client_ids, own.client_ids, own.loan_ids, own.since, own.until;
END $$;

-- The same, such that one client's rows stop nobody else. Whose a client is that cannot be told is nobody's.
CREATE FUNCTION mfiauto._refresh_visibility(client_ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  half integer := cardinality(client_ids) / 2;
BEGIN
  PERFORM mfiauto._write_visibility(client_ids);
EXCEPTION WHEN others THEN
  IF NOT mfiauto._is_query_error(SQLSTATE) THEN
    RAISE;
  ELSIF SQLSTATE ~ '^22' AND half > 0 THEN
    PERFORM mfiauto._refresh_visibility(client_ids[:half]);
    PERFORM mfiauto._refresh_visibility(client_ids[half + 1:]);
  ELSE
    DELETE FROM mfiauto.client_visibility v WHERE v.client_id = ANY (_refresh_visibility.client_ids);
    PERFORM mfiauto._park('visibility', NULL, 'client', CASE WHEN half = 0 THEN client_ids[1] END, CASE WHEN half = 0 THEN client_ids[1] END, SQLSTATE,
                          CASE WHEN SQLSTATE ~ '^22' THEN 'expression' ELSE 'binding_broken' END, SQLERRM);
  END IF;
END $$;

-- The clients of the caller: of the officers and branches that his roles stand for, today.
CREATE FUNCTION mfiauto._own_clients() RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT v.client_id
    FROM mfiauto.access_scope s
    JOIN pg_catalog.pg_roles r ON r.rolname = s.role_name
    JOIN mfiauto.client_visibility v ON v.profile = s.profile AND v.number = s.number
   WHERE pg_has_role(mfiauto._caller()::name, r.oid, 'USAGE')
     AND coalesce(v.since <= mfiauto._today(), true) AND coalesce(v.until >= mfiauto._today(), true)
$$;

-- Whether the caller sees his own clients alone: whoever has no profile that sees everybody, and is not the owner. So a role of which
-- nothing is known any more, because it was renamed, sees nobody.
CREATE FUNCTION mfiauto._is_restricted() RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT NOT pg_has_role(mfiauto._caller()::name, mfiauto._installation_owner()::name, 'USAGE')
         AND NOT EXISTS (SELECT FROM mfiauto.access_grant g JOIN pg_catalog.pg_roles r ON r.rolname = g.role_name
                          WHERE g.profile IN ('admin', 'author', 'app', 'receiver') AND pg_has_role(mfiauto._caller()::name, r.oid, 'USAGE'))
$$;

CREATE FUNCTION mfiauto._may_see(client_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._is_restricted() IS NOT TRUE OR _may_see.client_id IN (SELECT mfiauto._own_clients())
$$;

-- For doors that change something: of a client that the caller may not see there is none.
CREATE FUNCTION mfiauto._check_sight(client_id bigint) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT mfiauto._may_see(_check_sight.client_id) THEN
    RAISE EXCEPTION 'client % does not exist', _check_sight.client_id
      USING ERRCODE = '42704', HINT = 'mfiauto.own_client lists your clients.';
  END IF;
END $$;

CREATE FUNCTION mfiauto._read_own_clients()
RETURNS TABLE (client_id bigint, name text, phone text, status text, region text, officer_id bigint, branch_id bigint, joined_on date, loan_cycle integer, loans_active integer,
               loans_closed integer, loan_standing text, days_past_due integer, on_time_ratio numeric, outstanding jsonb, network_reach text, preferred_channel text,
               literacy text, last_interaction_at timestamptz, traits jsonb)
LANGUAGE plpgsql STABLE SET jit = off AS $$
BEGIN
  IF mfiauto._is_bound('client') THEN
    RETURN QUERY EXECUTE
      'SELECT c.client_id, c.name, c.phone, c.status, c.region, c.officer_id, c.branch_id, c.joined_on, p.loan_cycle, p.loans_active, p.loans_closed, p.loan_standing,
              p.days_past_due, p.on_time_ratio, p.outstanding, p.network_reach, p.preferred_channel, c.literacy, p.last_interaction_at, p.traits || p.computed
         FROM mfiauto.client c LEFT JOIN mfiauto.profile_state p ON p.client_id = c.client_id
        WHERE c.client_id = ANY ($1)' USING ARRAY(SELECT mfiauto._own_clients());
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._read_own_clients()', '{officer,branch}', 'What the view mfiauto.own_client shows.');

CREATE FUNCTION mfiauto._read_own_messages()
RETURNS TABLE (message_id bigint, client_id bigint, workflow text, step text, subject text, subject_id bigint, loan_id bigint, class text, channel text, to_address text,
               title text, body text, state text, reason text, due_at timestamptz, sent_at timestamptz, finished_at timestamptz)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT m.message_id, m.client_id, m.workflow, m.step, m.subject, m.subject_id, m.loan_id, m.class, m.channel, m.to_address, m.title, m.body, m.state, m.reason, m.due_at,
         m.sent_at, m.finished_at
    FROM mfiauto._own_clients() AS own(client_id)
    JOIN LATERAL (SELECT * FROM mfiauto.message m WHERE m.client_id = own.client_id OFFSET 0) m ON true
$$;
SELECT mfiauto._open_door('mfiauto._read_own_messages()', '{officer,branch}', 'What the view mfiauto.own_message shows.');

-- What a condition's error said is its author's business.
CREATE FUNCTION mfiauto._read_own_enrollments()
RETURNS TABLE (enrollment_id bigint, workflow text, client_id bigint, subject text, subject_id bigint, loan_id bigint, anchor_on date, state text, step text, due_at timestamptz,
               entered_at timestamptz, ended_at timestamptz, reason text)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT e.enrollment_id, e.workflow, e.client_id, e.subject, e.subject_id, e.loan_id, e.anchor_on, e.state, e.step, e.due_at, e.entered_at, e.ended_at,
         CASE WHEN e.state = 'error' THEN split_part(e.reason, ':', 1) ELSE e.reason END
    FROM mfiauto._own_clients() AS own(client_id)
    JOIN LATERAL (SELECT * FROM mfiauto.enrollment e WHERE e.client_id = own.client_id OFFSET 0) e ON true
$$;
SELECT mfiauto._open_door('mfiauto._read_own_enrollments()', '{officer,branch}', 'What the view mfiauto.own_enrollment shows.');

CREATE FUNCTION mfiauto._read_own_events()
RETURNS TABLE (event_id bigint, name text, client_id bigint, subject text, subject_id bigint, loan_id bigint, properties jsonb, occurred_at timestamptz)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT e.event_id, e.name, e.client_id, e.subject, e.subject_id, e.loan_id, e.properties, e.occurred_at
    FROM mfiauto._own_clients() AS own(client_id)
    JOIN LATERAL (SELECT * FROM mfiauto.event e WHERE e.client_id = own.client_id OFFSET 0) e ON true
$$;
SELECT mfiauto._open_door('mfiauto._read_own_events()', '{officer,branch}', 'What the view mfiauto.own_event shows.');

CREATE FUNCTION mfiauto._read_own_tasks()
RETURNS TABLE (task_id bigint, client_id bigint, workflow text, title text, assignee text, state text, outcome text, note text, due_at timestamptz, created_at timestamptz, closed_at timestamptz)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT t.task_id, t.client_id, h.name, t.title, t.assignee, t.state, t.outcome, t.note, t.due_at, t.created_at, t.closed_at
    FROM mfiauto._own_clients() AS own(client_id)
    JOIN LATERAL (SELECT * FROM mfiauto.task t WHERE t.client_id = own.client_id AND t.state <> 'holdout' OFFSET 0) t ON true
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = t.workflow_id
$$;
SELECT mfiauto._open_door('mfiauto._read_own_tasks()', '{officer,branch}', 'What the view mfiauto.own_task shows.');

CREATE FUNCTION mfiauto._read_own_memberships() RETURNS TABLE (segment text, client_id bigint, since timestamptz)
LANGUAGE sql STABLE SET jit = off AS $$
  SELECT d.name, m.client_id, m.since
    FROM mfiauto._own_clients() AS own(client_id)
    JOIN LATERAL (SELECT * FROM mfiauto.segment_membership m WHERE m.client_id = own.client_id AND m.until IS NULL OFFSET 0) m ON true
    JOIN mfiauto.segment_definition d ON d.segment_id = m.segment_id
$$;
SELECT mfiauto._open_door('mfiauto._read_own_memberships()', '{officer,branch}', 'What the view mfiauto.own_membership shows.');

CREATE VIEW mfiauto.own_client AS SELECT * FROM mfiauto.read_own_clients();
COMMENT ON VIEW mfiauto.own_client IS 'The clients of the officers and branches that the reader stands for, with how to reach them and how their loans are.';
CREATE VIEW mfiauto.own_message AS SELECT * FROM mfiauto.read_own_messages();
COMMENT ON VIEW mfiauto.own_message IS 'mfiauto.message of the reader''s own clients.';
CREATE VIEW mfiauto.own_enrollment AS SELECT * FROM mfiauto.read_own_enrollments();
COMMENT ON VIEW mfiauto.own_enrollment IS 'mfiauto.enrollment of the reader''s own clients; of an error only its SQLSTATE.';
CREATE VIEW mfiauto.own_event AS SELECT * FROM mfiauto.read_own_events();
COMMENT ON VIEW mfiauto.own_event IS 'mfiauto.event of the reader''s own clients.';
CREATE VIEW mfiauto.own_task AS SELECT * FROM mfiauto.read_own_tasks();
COMMENT ON VIEW mfiauto.own_task IS 'Tasks about the reader''s own clients, whoever they are given to.';
CREATE VIEW mfiauto.own_membership AS SELECT * FROM mfiauto.read_own_memberships();
COMMENT ON VIEW mfiauto.own_membership IS 'Which segments the reader''s own clients are in, since when, as of the last refresh.';
