-- explain_client() says of each kind of trigger why it has not brought a client in: the last event and when silence is full, since when (not) in the segment, the next day of the year, the value and the limit.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, born date, joined date);
\pset format unaligned
\o /dev/null
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "birth_date": "born", "joined_on": "joined"}');
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar');
\o
INSERT INTO bank.client VALUES (1, 'Awa', '1990-02-28', '2026-01-10'), (2, 'Binta', '2004-02-29', '2025-01-01'), (3, 'Coumba', NULL, NULL), (4, 'Dior', '2010-06-01', '2026-02-01');
-- Versions as the compiler writes them.
CREATE FUNCTION pg_temp.make(kind text, name text, v jsonb) RETURNS void LANGUAGE sql AS $$
  WITH head AS (INSERT INTO mfiauto.workflow_head (name, state, live_version, salt, created_at, activated_at)
                VALUES (make.name, 'active', 1, 's', mfiauto.now(), mfiauto.now()) RETURNING workflow_id)
  INSERT INTO mfiauto.workflow_version
  SELECT (jsonb_populate_record(NULL::mfiauto.workflow_version, jsonb_build_object('workflow_id', h.workflow_id, 'version', 1, 'definition', '{}', 'source', '{}', 'owner', current_user, 'created_by', current_user,
           'subject', 'client', 'class', 'marketing', 'reentry', 'never', 'holdout', 0, 'exit_on_goal', false, 'resend_if_moved', 3, 'created_at', mfiauto.now(), 'trigger_existing', false, 'trigger_kind', kind) || v)).*
    FROM head h $$;
CREATE FUNCTION pg_temp.absences() RETURNS TABLE (workflow text, client_id bigint, absence text) LANGUAGE sql AS $$
  SELECT h.name, c.id, x.detail FROM mfiauto.workflow_head h CROSS JOIN bank.client c CROSS JOIN LATERAL mfiauto.explain_client(c.id, h.name) x
   WHERE x.what = 'absence' ORDER BY h.name, c.id $$;
SELECT mfiauto._set_clock('2026-02-10 12:00+00');
SELECT mfiauto.track('Session Started', client_id => 1, occurred_at => '2026-02-05 10:00+00') IS NULL AS no;
SELECT mfiauto.track('Session Started', client_id => 2, occurred_at => '2026-01-05 10:00+00') IS NULL AS no;
SELECT pg_temp.make('inactive', 'silent', '{"trigger_events": ["Session Started"], "trigger_after": "30 days"}');
SELECT pg_temp.make('inactive', 'silent, existing too', '{"trigger_events": ["Session Started", "Session Ended"], "trigger_after": "30 days", "trigger_existing": true}');
SELECT * FROM pg_temp.absences();
DELETE FROM mfiauto.workflow_version;
DELETE FROM mfiauto.workflow_head;

SELECT pg_temp.make('yearly', 'birthday', '{"trigger_column": "client.birth_date", "trigger_at": "09:00", "trigger_leap_day": "02-28", "trigger_minimum_years": 18}');
SELECT pg_temp.make('yearly', 'birthday in March', '{"trigger_column": "client.birth_date", "trigger_at": "09:00", "trigger_leap_day": "03-01"}');
SELECT * FROM pg_temp.absences();
SELECT mfiauto._set_clock('2027-03-02 12:00+00');
SELECT * FROM pg_temp.absences() WHERE client_id = 2;
DELETE FROM mfiauto.workflow_version;
DELETE FROM mfiauto.workflow_head;

SELECT mfiauto._set_clock('2026-02-10 12:00+00');
SELECT mfiauto.create_segment('vip', clients => '{1,2}');
SELECT mfiauto._set_clock('2026-02-12 12:00+00');
SELECT mfiauto.remove_from_segment('vip', '{2}');
SELECT pg_temp.make('segment', 'enters', '{"trigger_segment": "vip", "trigger_events": ["Segment Entered"], "trigger_filters": [{"segment": "vip"}]}');
SELECT pg_temp.make('segment', 'leaves', '{"trigger_segment": "vip", "trigger_events": ["Segment Left"], "trigger_filters": [{"segment": "vip"}]}');
SELECT pg_temp.make('schedule', 'monthly', '{"trigger_segment": "vip", "trigger_cron": "0 9 1 * *"}');
SELECT pg_temp.make('trait', 'late', '{"trigger_trait": "days_past_due", "trigger_limit": 30, "trigger_rearm": 10}');
SELECT pg_temp.make('trait', 'poor', '{"trigger_trait": "balance", "trigger_limit": 5, "trigger_rearm": 8}');
SELECT pg_temp.make('manual', 'by hand', '{}');
SELECT pg_temp.make('event', 'thrice', '{"trigger_events": ["Session Started"], "trigger_count": 3, "trigger_within": "7 days"}');
SELECT pg_temp.make('status', 'closed', '{"trigger_events": ["Client Status Changed"], "trigger_filters": [{"to": "closed"}]}');
SELECT mfiauto.track('Session Started', client_id => 1) IS NULL AS no;
SELECT mfiauto.track('Client Status Changed', client_id => 1, properties => '{"to": "active"}') IS NULL AS no;
SELECT * FROM pg_temp.absences() WHERE client_id < 4;

-- What it says comes true: the engine lets each in at the very moment that was told, and not a minute before.
DELETE FROM mfiauto.workflow_version;
DELETE FROM mfiauto.workflow_head;
SELECT mfiauto._set_clock('2026-02-12 13:00+00');
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour');
SELECT mfiauto.create_workflow('silence', '{"trigger": {"inactive": ["Session Started", "Session Ended"], "for": "30 days"}, "reentry": "always", "steps": [{"send": "hello"}]}');
SELECT mfiauto.create_workflow('feast', '{"trigger": {"yearly": "client.birth_date", "at": "09:00", "leap_day": "03-01"}, "steps": [{"send": "hello"}]}');
SELECT mfiauto.activate_workflow(w) FROM unnest('{silence,feast}'::text[]) w;
SELECT mfiauto.run_engine() IS NULL AS no;
CREATE TEMP TABLE told AS
  SELECT a.workflow, a.client_id, replace(m[1], ' at', '')::timestamp AT TIME ZONE 'UTC' AS at FROM pg_temp.absences() a, regexp_match(a.absence, '(?:enters|next day is) (\d{4}-\d\d-\d\d(?: at)? \d\d:\d\d)') m;
SELECT * FROM told ORDER BY 1, 2;
SELECT format('DO $q$ BEGIN PERFORM mfiauto._set_clock(%L); PERFORM mfiauto.run_engine(); END $q$', at) FROM (SELECT DISTINCT t.at - late AS at FROM told t, unnest('{1 minute,0}'::interval[]) late WHERE t.at IS NOT NULL) m ORDER BY at \gexec
SELECT t.workflow, t.client_id, t.at, e.entered_at FROM told t LEFT JOIN mfiauto.enrollment e ON e.workflow = t.workflow AND e.client_id = t.client_id
 WHERE e.entered_at IS DISTINCT FROM t.at ORDER BY 1, 2;
