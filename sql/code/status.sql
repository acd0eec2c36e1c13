-- mfiauto.status: is it well? One row each, in plain words.

CREATE FUNCTION mfiauto._find_worker_trouble() RETURNS text
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_find_worker_trouble';

CREATE FUNCTION mfiauto._oldest_transaction() RETURNS timestamptz
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_oldest_transaction';

-- A span of time as people say it: two units at most.
CREATE FUNCTION mfiauto._span_text(span interval) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN seconds < 1 THEN 'less than a second'
    WHEN seconds < 120 THEN pg_catalog.format('%s s', seconds)
    WHEN seconds < 7200 THEN pg_catalog.format('%s min', seconds / 60)
    WHEN seconds < 172800 THEN pg_catalog.format('%s h', seconds / 3600)
    ELSE pg_catalog.format('%s days', seconds / 86400) END
    FROM (SELECT pg_catalog.floor(extract(epoch FROM span))::bigint AS seconds) s
$$;

CREATE FUNCTION mfiauto._worker_status(worker_name text, OUT item text, OUT state text, OUT detail text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  running record;
  kept mfiauto.worker_state;
BEGIN
  item := worker_name || ' worker';
  SELECT * INTO running FROM mfiauto._list_workers() w WHERE w.worker = worker_name;
  SELECT * INTO kept FROM mfiauto.worker_state w WHERE w.worker = worker_name;
  IF running.pid IS NULL THEN
    state := 'error';
    detail := 'not running: ' || coalesce(mfiauto._find_worker_trouble(), 'it starts within a minute, or see the server''s log');
    IF NOT pg_catalog.current_setting('mfiauto.workers')::boolean THEN
      state := 'off';
      detail := 'mfiauto.workers is off';
    END IF;
  ELSIF kept.heartbeat_at < pg_catalog.clock_timestamp() - interval '1 minute' THEN
    state := 'warning';
    detail := pg_catalog.format('process %s is there, its last sign of life is %s old', running.pid,
                                mfiauto._span_text(pg_catalog.clock_timestamp() - kept.heartbeat_at));
  ELSE
    state := 'ok';
    detail := pg_catalog.format('running for %s, process %s', mfiauto._span_text(pg_catalog.clock_timestamp() - running.since), running.pid);
  END IF;
  IF kept.note IS NOT NULL AND state = 'ok' THEN
    detail := detail || '; ' || kept.note;
  END IF;
END $$;

CREATE FUNCTION mfiauto._error_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'last error',
         CASE WHEN w.last_error IS NULL THEN 'ok' WHEN w.last_error_at > pg_catalog.clock_timestamp() - interval '15 minutes' THEN 'error' ELSE 'warning' END,
         CASE WHEN w.last_error IS NULL THEN 'none'
              ELSE pg_catalog.format('%s worker, %s ago: %s', w.worker, mfiauto._span_text(pg_catalog.clock_timestamp() - w.last_error_at), w.last_error) END
    FROM (SELECT 1) one
    LEFT JOIN (SELECT * FROM mfiauto.worker_state s WHERE s.last_error IS NOT NULL ORDER BY s.last_error_at DESC LIMIT 1) w ON true
$$;

CREATE FUNCTION mfiauto._delivery_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  refusal text := mfiauto._delivery_refusal();
  holds text := (SELECT pg_catalog.string_agg(pg_catalog.format('%s: %s', coalesce(h.scope || ' ' || h.target, 'everything'), h.reason), '; ' ORDER BY h.hold_id)
                   FROM mfiauto.delivery_hold h);
BEGIN
  item := 'delivery';
  IF refusal IS NOT NULL THEN
    state := CASE WHEN refusal ~ '^(mfiauto.delivery is off|never armed)' THEN 'off' ELSE 'error' END;
    detail := 'nothing is sent: ' || refusal;
  ELSIF holds IS NOT NULL THEN
    state := 'warning';
    detail := 'held: ' || holds;
  ELSIF pg_catalog.current_setting('mfiauto.delivery') = 'dry_run' THEN
    state := 'warning';
    detail := 'mfiauto.delivery is dry_run: messages stay in mfiauto.sandbox_message';
  ELSE
    state := 'ok';
    detail := CASE WHEN mfiauto._has_clock() THEN 'under a clock: only the sandbox and gateways on this machine' ELSE 'armed, this server may send' END;
  END IF;
END $$;

-- Gateways that somebody has to mend, and those that rest by themselves. One that is out of use is nobody's worry.
CREATE FUNCTION mfiauto._gateway_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'gateways', CASE WHEN stopped IS NOT NULL THEN 'error' WHEN resting IS NOT NULL THEN 'warning' WHEN total = 0 THEN 'off' ELSE 'ok' END,
         CASE WHEN stopped IS NOT NULL OR resting IS NOT NULL THEN pg_catalog.concat_ws('; ', stopped, resting)
              WHEN total = 0 THEN 'none yet' ELSE pg_catalog.format('in use: %s', total) END
    FROM (SELECT count(*) AS total,
                 pg_catalog.string_agg(pg_catalog.format('%s is stopped: %s', g.gateway, s.stopped_reason), '; ' ORDER BY g.gateway) FILTER (WHERE s.circuit = 'stopped') AS stopped,
                 pg_catalog.string_agg(CASE WHEN s.over_budget_until > mfiauto.now() THEN pg_catalog.format('%s has used up its budget', g.gateway)
                                            ELSE pg_catalog.format('%s rests after failures: %s', g.gateway, s.last_error) END, '; ' ORDER BY g.gateway)
                   FILTER (WHERE s.circuit IN ('open', 'half_open') OR s.circuit <> 'stopped' AND s.over_budget_until > mfiauto.now()) AS resting
            FROM mfiauto.gateway_config g LEFT JOIN mfiauto.gateway_state s ON s.gateway = g.gateway WHERE g.is_enabled) a
$$;

CREATE FUNCTION mfiauto._lag_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'engine lag', CASE WHEN late > interval '10 minutes' THEN 'error' WHEN late > interval '1 minute' THEN 'warning' ELSE 'ok' END,
         CASE WHEN late > interval '0' THEN 'the oldest due step has waited for ' || mfiauto._span_text(late) ELSE 'no step is due' END
    FROM (SELECT mfiauto.now() - min(e.due_at) AS late FROM mfiauto.enrollment_state e WHERE e.due_at <= mfiauto.now()) l
$$;

CREATE FUNCTION mfiauto._queue_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'queue', CASE WHEN late > interval '1 hour' THEN 'error' WHEN late > interval '5 minutes' OR held > 0 THEN 'warning' ELSE 'ok' END,
         pg_catalog.format('%s due, %s for later, %s held', due, later, held)
           || CASE WHEN late > interval '5 minutes' THEN ', the oldest has waited for ' || mfiauto._span_text(late) ELSE '' END
    FROM (SELECT count(*) FILTER (WHERE NOT o.is_held AND o.due_at <= mfiauto.now()) AS due,
                 count(*) FILTER (WHERE NOT o.is_held AND o.due_at > mfiauto.now()) AS later,
                 count(*) FILTER (WHERE o.is_held) AS held,
                 mfiauto.now() - min(o.due_at) FILTER (WHERE NOT o.is_held AND o.due_at <= mfiauto.now()) AS late
            FROM mfiauto.outbox o) q
$$;

CREATE FUNCTION mfiauto._binding_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'bindings', CASE WHEN broken IS NOT NULL THEN 'error' WHEN bound IS NULL THEN 'off' ELSE 'ok' END,
         coalesce(broken, coalesce('bound: ' || bound, 'nothing is bound yet'))
    FROM (SELECT pg_catalog.string_agg(c.role, ', ' ORDER BY c.role) AS bound FROM mfiauto.binding_config c) b,
         (SELECT pg_catalog.string_agg(p.what, '; ' ORDER BY p.what) AS broken
            FROM (SELECT pg_catalog.format('%s: %s', c.role, c.problem) AS what FROM mfiauto.binding_config c WHERE c.problem IS NOT NULL
                  UNION SELECT pg_catalog.format('%s (%s): %s', s.name, s.relation, s.problem) FROM mfiauto.source s WHERE s.problem IS NOT NULL
                  UNION SELECT pg_catalog.format('%s: relation %s is not there', c.role, c.relation) FROM mfiauto.binding_config c
                         WHERE pg_catalog.to_regclass(c.relation) IS NULL
                  UNION SELECT pg_catalog.format('%s: the capture triggers of %s are gone, bind it again', s.name, s.relation) FROM mfiauto.source s
                          JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.to_regclass(s.relation) AND r.relkind IN ('r', 'p')
                         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid
                                            WHERE t.tgrelid = r.oid AND f.pronamespace = 'mfiauto'::regnamespace)) p) x
$$;

CREATE FUNCTION mfiauto._parked_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'parked', CASE WHEN facts + runs > 0 THEN 'warning' ELSE 'ok' END,
         CASE WHEN facts + runs = 0 THEN 'nothing' ELSE pg_catalog.format('facts: %s (mfiauto.parked_fact), enrollments in error: %s (mfiauto.enrollment)', facts, runs) END
    FROM (SELECT count(*) AS facts FROM mfiauto.parked_fact) f, (SELECT count(*) AS runs FROM mfiauto.enrollment_state e WHERE e.state = 'error') r
$$;

CREATE FUNCTION mfiauto._journal_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'journal', CASE WHEN size > 1024::bigint * 1024 * 1024 THEN 'warning' ELSE 'ok' END,
         pg_catalog.pg_size_pretty(size) || CASE WHEN consumed_at IS NULL THEN ', not read yet' ELSE ', last read ' || mfiauto._span_text(mfiauto.now() - consumed_at) || ' ago' END
    FROM (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint AS size FROM pg_catalog.pg_class c
           WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relname ~ '^journal_[0-9]+$') s, mfiauto.journal_cursor
$$;

-- A transaction left open keeps dead rows of every queue, and a writer's rows unseen.
CREATE FUNCTION mfiauto._transaction_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'oldest transaction', CASE WHEN age > interval '1 hour' THEN 'warning' ELSE 'ok' END,
         CASE WHEN age > interval '1 minute' THEN CASE WHEN is_prepared THEN 'a prepared one, open for ' ELSE 'open for ' END || mfiauto._span_text(age) ELSE 'none is old' END
    FROM (SELECT pg_catalog.clock_timestamp() - t.since AS age, t.is_prepared
            FROM (SELECT mfiauto._oldest_transaction() AS since, false AS is_prepared
                  UNION ALL SELECT min(x.prepared), true FROM pg_catalog.pg_prepared_xacts x) t
           ORDER BY t.since NULLS LAST LIMIT 1) o
$$;

-- Telephone numbers of the books that cannot be brought into the one form, by the country that sending would use.
CREATE FUNCTION mfiauto._read_unusable_phones() RETURNS TABLE (client_id bigint, phone text, country text, problem text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF pg_catalog.to_regclass('mfiauto.client') IS NOT NULL THEN
    RETURN QUERY EXECUTE $q$
      SELECT c.client_id, c.phone, k.country, n.problem
        FROM mfiauto.client c CROSS JOIN mfiauto.institution i
        CROSS JOIN LATERAL (SELECT CASE WHEN c.traits ->> 'country' ~ '^[A-Z]{2}$' THEN c.traits ->> 'country' ELSE i.country END) AS k (country)
        CROSS JOIN LATERAL mfiauto.normalize_phone(c.phone, k.country) n
       WHERE c.phone IS NOT NULL AND n.e164 IS NULL AND n.problem <> 'empty'$q$;
  END IF;
END $$;
SELECT mfiauto._open_door('mfiauto._read_unusable_phones()', '{admin}', 'What the view mfiauto.unusable_phone shows.');

CREATE VIEW mfiauto.unusable_phone AS SELECT u.client_id, u.phone, u.country, u.problem FROM mfiauto.read_unusable_phones() u;
COMMENT ON VIEW mfiauto.unusable_phone IS
  'Clients whose telephone number in the books cannot be used, and why: for the branch to correct. Never guessed, never sent to.';

-- Looking at every number takes about a second for each hundred thousand clients; beyond that the view is asked by hand.
CREATE FUNCTION mfiauto._phone_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  clients bigint := 0;
  unusable bigint;
BEGIN
  item := 'phone numbers';
  state := 'ok';
  IF pg_catalog.to_regclass('mfiauto.client') IS NOT NULL THEN
    EXECUTE 'SELECT count(*) FROM (SELECT FROM mfiauto.client LIMIT 100001) c' INTO clients;
  END IF;
  IF clients > 100000 THEN
    detail := 'not counted among so many clients: see mfiauto.unusable_phone';
    RETURN;
  END IF;
  unusable := (SELECT count(*) FROM mfiauto._read_unusable_phones());
  detail := 'all can be used';
  IF unusable > 0 THEN
    state := 'warning';
    detail := pg_catalog.format('unusable: %s of %s clients (mfiauto.unusable_phone)', unusable, clients);
  END IF;
EXCEPTION WHEN OTHERS THEN
  -- A binding that is broken is told in its own row.
  state := 'off';
  detail := 'the clients cannot be read';
END $$;

-- Segments whose query fails, and those that nobody refreshes: it is a job's work.
CREATE FUNCTION mfiauto._segment_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'segments', CASE WHEN broken IS NOT NULL THEN 'error' WHEN late > 0 THEN 'warning' WHEN total = 0 THEN 'off' ELSE 'ok' END,
         CASE WHEN broken IS NOT NULL THEN broken
              WHEN late > 0 THEN pg_catalog.format('due for a refresh since more than an hour: %s; see mfiauto.schedule_jobs()', late)
              WHEN total = 0 THEN 'none yet' ELSE pg_catalog.format('%s, all refreshed in time', total) END
    FROM (SELECT count(*) AS total, pg_catalog.string_agg(pg_catalog.format('%s: %s', s.name, s.problem), '; ' ORDER BY s.name) FILTER (WHERE s.problem IS NOT NULL) AS broken
            FROM mfiauto.segment_definition s) a,
         (SELECT count(*) AS late FROM mfiauto._due_segments() d WHERE d.due_at < mfiauto.now() - interval '1 hour') l
$$;

-- What providers send, and could not be read or was refused, and providers that cannot be asked.
CREATE FUNCTION mfiauto._webhook_status(OUT item text, OUT state text, OUT detail text)
LANGUAGE sql STABLE AS $$
  SELECT 'webhooks', CASE WHEN problems IS NOT NULL THEN 'warning' WHEN receiving = 0 THEN 'off' ELSE 'ok' END,
         CASE WHEN problems IS NOT NULL THEN problems WHEN receiving = 0 THEN 'no gateway receives any' ELSE pg_catalog.format('gateways that receive: %s', receiving) END
    FROM (SELECT count(*) AS receiving FROM mfiauto.gateway_config g WHERE g.definition ?| '{receipt,inbound}') r,
         (SELECT pg_catalog.string_agg(p.what, '; ' ORDER BY p.place, p.what) AS problems
            FROM (SELECT 1 AS place, pg_catalog.format('%s: %s could not be read (mfiauto.unread_webhook)', u.gateway, count(*)) AS what FROM mfiauto.unread_webhook u GROUP BY u.gateway
                  UNION ALL SELECT 2, pg_catalog.format('%s: one was refused %s ago, %s', w.gateway, mfiauto._span_text(mfiauto.now() - w.refused_at),
                                                        CASE w.refused_reason WHEN 'late' THEN 'signed at another time' WHEN 'unset' THEN 'the secret to check with was not set'
                                                                              ELSE 'not signed by the provider' END)
                         FROM mfiauto.webhook_state w WHERE w.refused_at > mfiauto.now() - interval '1 day'
                  UNION ALL SELECT 3, pg_catalog.format('%s: a person must open the address in gateway_status.confirm_url', w.gateway) FROM mfiauto.webhook_state w
                         WHERE w.confirm_url IS NOT NULL AND w.confirm_at > mfiauto.now() - interval '3 days'
                  UNION ALL SELECT 4, pg_catalog.format('%s: could not be asked: %s', o.gateway, o.error) FROM mfiauto.poll_state o WHERE o.error IS NOT NULL
                  UNION ALL SELECT 4, pg_catalog.format('%s: %s', t.gateway, t.problem) FROM mfiauto.table_poll t WHERE t.problem IS NOT NULL) p) x
$$;

CREATE FUNCTION mfiauto._read_status()
RETURNS TABLE (item text, state text, detail text)
LANGUAGE sql STABLE ROWS 15 AS $$
  SELECT * FROM mfiauto._worker_status('engine')
  UNION ALL SELECT * FROM mfiauto._worker_status('delivery')
  UNION ALL SELECT * FROM mfiauto._error_status()
  UNION ALL SELECT * FROM mfiauto._delivery_status()
  UNION ALL SELECT * FROM mfiauto._gateway_status()
  UNION ALL SELECT * FROM mfiauto._lag_status()
  UNION ALL SELECT * FROM mfiauto._queue_status()
  UNION ALL SELECT * FROM mfiauto._webhook_status()
  UNION ALL SELECT * FROM mfiauto._binding_status()
  UNION ALL SELECT * FROM mfiauto._parked_status()
  UNION ALL SELECT * FROM mfiauto._segment_status()
  UNION ALL SELECT * FROM mfiauto._phone_status()
  UNION ALL SELECT * FROM mfiauto._journal_status()
  UNION ALL SELECT * FROM mfiauto._transaction_status()
$$;
SELECT mfiauto._open_door('mfiauto._read_status()', '{admin,author}', 'What the view mfiauto.status shows.');

CREATE VIEW mfiauto.status AS SELECT s.item, s.state, s.detail FROM mfiauto.read_status() s;
COMMENT ON VIEW mfiauto.status IS
  'Is it well? One row each, in plain words: workers, last error, who may send, gateways, lag, queue, bindings, parked facts, segments, journal. state is ok, warning, error or off.';
