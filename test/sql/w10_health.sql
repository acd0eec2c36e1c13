-- W10, health: a gateway that dies is an alert within a minute and no enrollment is lost or doubled; what is stuck, parked, late or failing is told, with what to do.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SET mfiauto.private_hosts = '127.0.0.1';
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); PERFORM mfiauto.run_engine(); END $$;
CREATE VIEW pg_temp.alerts AS
  SELECT h.workflow, h.step, h.gateway, h.state, regexp_replace(h.problem, '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*', '…', 'g') AS problem, h.hint FROM mfiauto.workflow_health h WHERE h.state <> 'ok';
-- What may never be: a client twice in the workflow or not at all, a message twice or not at all.
CREATE FUNCTION pg_temp.lost_or_doubled(clients integer) RETURNS TABLE (client_id bigint, runs bigint, messages bigint)
LANGUAGE sql AS $$
  SELECT g, (SELECT count(*) FROM mfiauto.enrollment e WHERE e.client_id = g), (SELECT count(*) FROM mfiauto.message m WHERE m.client_id = g)
    FROM generate_series(1, clients) g
   WHERE (SELECT count(*) FROM mfiauto.enrollment e WHERE e.client_id = g) <> 1 OR (SELECT count(*) FROM mfiauto.message m WHERE m.client_id = g) <> 1 $$;

INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar' FROM generate_series(1, 30) g;
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"event": "Session Started"}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}, {"wait": "3 days"},
  {"if": "1 / (client.client_id - 30) < 1", "then": [{"send": "thanks", "channels": ["sms"]}]}]}');
SELECT mfiauto.create_gateway('provider', 'sms', definition => '{"sandbox": true}');
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.activate_workflow('welcome');
SELECT count(mfiauto.track('Session Started', client_id => g)) FROM generate_series(1, 10) g;
\pset format unaligned
SELECT pg_temp.at('2026-01-05 09:00+00');
SELECT claimed, sent FROM mfiauto.run_delivery();
-- All is well.
SELECT workflow, step, gateway, state, problem, waiting, due, parked, queued, held FROM mfiauto.workflow_health;

-- Somebody pulls the plug: nothing listens any more at the provider's address.
SELECT mfiauto.alter_gateway('provider', definition => '{"request": {"method": "POST", "url": "http://127.0.0.1:1/", "body": {"kind": "json", "json": {"to": "{{to}}"}}},
  "response": {"success": {"status": 200}, "errors": []}}');
SELECT count(mfiauto.track('Session Started', client_id => g)) FROM generate_series(11, 20) g;
SELECT pg_temp.at('2026-01-05 09:00:10+00');
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto._set_clock('2026-01-05 09:00:40+00');
SELECT workflow, gateway, state, problem, hint FROM pg_temp.alerts;
SELECT state, count(*) FROM mfiauto.message GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.lost_or_doubled(20);
-- Passes repeated meanwhile add nothing; the queue is told as it gets old.
SELECT pg_temp.at('2026-01-05 09:01+00');
SELECT pg_temp.at('2026-01-05 09:02+00');
SELECT count(mfiauto.track('Session Started', client_id => g)) FROM generate_series(21, 30) g;
SELECT pg_temp.at('2026-01-05 09:03+00');
SELECT mfiauto._set_clock('2026-01-05 09:12+00');
SELECT workflow, state, problem, hint FROM pg_temp.alerts WHERE workflow IS NOT NULL;
SELECT mfiauto._set_clock('2026-01-05 10:12+00');
SELECT workflow, state, queued, backlog_age > '1 hour' AS is_old FROM mfiauto.workflow_health WHERE workflow IS NOT NULL AND step IS NULL;
-- It comes back.
SELECT mfiauto.alter_gateway('provider', definition => '{"sandbox": true}');
SELECT mfiauto.release_delivery(stale => 'send', gateway => 'provider');
UPDATE mfiauto.outbox SET due_at = mfiauto.now();
SELECT sent FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.lost_or_doubled(30);
SELECT state, count(*) FROM mfiauto.message GROUP BY 1 ORDER BY 1;
SELECT client_id, count(*) FROM mfiauto.sandbox_message GROUP BY 1 HAVING count(*) <> 1;
SELECT * FROM pg_temp.alerts;

-- Stuck: steps are due and no engine runs them. One minute is late, ten are an alert.
SELECT mfiauto._set_clock('2026-01-08 08:59+00');
SELECT * FROM pg_temp.alerts;
SELECT mfiauto._set_clock('2026-01-08 09:02+00');
SELECT step, state, problem, hint FROM pg_temp.alerts;
SELECT mfiauto._set_clock('2026-01-08 09:12+00');
SELECT step, state, problem FROM pg_temp.alerts;
SELECT step, state, waiting, due, late FROM mfiauto.workflow_health WHERE workflow IS NOT NULL ORDER BY step COLLATE "C" NULLS FIRST;
-- Parked: the condition fails for client 30 alone.
SELECT pg_temp.at('2026-01-08 10:13+00');
SELECT step, state, problem, hint FROM pg_temp.alerts WHERE workflow IS NOT NULL AND step IS NOT NULL;
UPDATE mfiauto.workflow_step SET kind = 'end' WHERE step_no = 2;
UPDATE mfiauto.enrollment_state SET state = 'active', due_at = NULL, step_no = 2, ended_at = NULL WHERE client_id = 1;
SELECT step, state, problem FROM pg_temp.alerts WHERE problem LIKE '%nothing%';

-- Failing: of each step, when one in twenty messages fails, and when one in five does. Those that no gateway took count.
UPDATE mfiauto.enrollment_state SET state = 'completed', due_at = NULL, ended_at = mfiauto.now() WHERE ended_at IS NULL;
DELETE FROM mfiauto.outbox;
UPDATE mfiauto.message_ledger SET state = CASE WHEN client_id <= 1 THEN 'failed' ELSE 'delivered' END, sent_at = CASE WHEN client_id > 1 THEN mfiauto.now() END, due_at = mfiauto.now() WHERE step_no = 1;
DELETE FROM mfiauto.message_ledger WHERE step_no <> 1;
CREATE FUNCTION pg_temp.failing() RETURNS TABLE (step text, state text, problem text, error_ratio numeric)
LANGUAGE sql AS $$ SELECT h.step, h.state, h.problem, h.error_ratio FROM mfiauto.workflow_health h WHERE h.error_ratio IS NOT NULL $$;
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT * FROM pg_temp.failing();
UPDATE mfiauto.message_ledger SET state = 'failed' WHERE client_id IN (2, 3);
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT * FROM pg_temp.failing();
UPDATE mfiauto.message_ledger SET state = 'undelivered' WHERE client_id BETWEEN 4 AND 6;
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT * FROM pg_temp.failing();
DELETE FROM mfiauto.message_ledger WHERE client_id > 19;
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT * FROM pg_temp.failing();

-- Not let in because of an error; held; paused; a gateway held, stopped, paused by its provider, of unknown outcomes.
DELETE FROM mfiauto.message_ledger;
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT mfiauto.create_workflow('careful', '{"trigger": {"event": "Session Ended"}, "class": "transactional", "enter_if": "1 / (client.client_id - 7) < 9", "exit_if": "client.literacy = ''x''", "steps": [{"send": "welcome", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow('careful');
SELECT count(mfiauto.track('Session Ended', client_id => g)) FROM generate_series(6, 8) g;
SELECT pg_temp.at('2026-01-09 09:00+00');
SELECT mfiauto.hold_delivery('a look at its texts', workflow => 'careful');
SELECT workflow, step, state, problem, hint FROM pg_temp.alerts;
SELECT mfiauto.pause_workflow('careful');
SELECT workflow, step, state, problem, hint FROM pg_temp.alerts;
SELECT mfiauto.archive_workflow('careful');
SELECT mfiauto.hold_delivery('provider outage', gateway => 'provider');
SELECT workflow, gateway, state, problem, hint FROM pg_temp.alerts;
SELECT mfiauto.release_delivery(gateway => 'provider') IS NULL;
UPDATE mfiauto.gateway_state SET circuit = 'stopped', stopped_reason = 'the account was refused';
SELECT gateway, state, problem, hint FROM pg_temp.alerts;
UPDATE mfiauto.gateway_state SET circuit = 'closed', throttled_until = clock_timestamp() + interval '1 hour';
SELECT gateway, state, problem, hint FROM pg_temp.alerts;
UPDATE mfiauto.gateway_state SET circuit = 'open', open_until = clock_timestamp() + interval '1 hour', last_error = 'HTTP 500';
SELECT gateway, state, problem, hint FROM pg_temp.alerts;
UPDATE mfiauto.gateway_state SET circuit = 'closed', throttled_until = NULL;
INSERT INTO mfiauto.unknown_message VALUES (1, 1, 'provider', mfiauto.now());
SELECT gateway, state, problem, hint FROM pg_temp.alerts;
SELECT mfiauto.alter_gateway('provider', is_enabled => false);
SELECT gateway, state, problem, hint FROM pg_temp.alerts;

-- Who may look: admin and author.
CREATE ROLE health_author;
CREATE ROLE health_app;
SELECT mfiauto.grant_access('health_author', 'author');
SELECT mfiauto.grant_access('health_app', 'app');
SET ROLE health_author;
SELECT count(*) > 0 AS sees FROM mfiauto.workflow_health;
SELECT count(*) > 0 AS sees FROM mfiauto.touchpoint_coverage;
SET ROLE health_app;
SELECT count(*) FROM mfiauto.workflow_health;
RESET ROLE;
DROP OWNED BY health_author, health_app;
DROP ROLE health_author, health_app;
