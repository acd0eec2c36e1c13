-- W2 actions: each kind of step one fixture, one row of step_run with outcome and cost.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT r.entered, r.advanced, r.exited, r.messages, r.parked FROM mfiauto.run_engine() r; END $$;
CREATE VIEW pg_temp.done AS
  SELECT r.workflow, r.step, r.kind, r.client_id AS client, r.subject || ' ' || r.subject_id AS about, r.outcome, r.reason, r.detail, r.cost, r.currency, r.at FROM mfiauto.step_run r;
\o /dev/null
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox', settings => '{"cost_per_part": 12, "currency": "XOF"}');
SELECT mfiauto.create_gateway('hook', channel => 'webhook', preset => 'sandbox');
SELECT mfiauto.create_template('tell_crm', channel => 'webhook', body => '{"client": {{client.client_id}}, "loan": {{loan.loan_id}}}');
SELECT mfiauto.create_segment('called', clients => '{}');
\o
INSERT INTO bank.client SELECT g, 'Client ' || g, CASE WHEN g <> 2 THEN '+2217700' || lpad(g::text, 5, '0') END, 'Africa/Dakar', CASE WHEN g = 2 THEN 'low' ELSE 'high' END FROM generate_series(1, 4) g;
INSERT INTO bank.loan (id, client_id, status) SELECT 10 + g, g, 'applied' FROM generate_series(1, 4) g;
SELECT mfiauto._set_clock('2026-03-02 09:00+00');
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');
SELECT mfiauto.create_workflow('lesson', '{"trigger": {"manual": true}, "class": "transactional", "reentry": "always", "steps": [{"wait": "1 day"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.create_workflow('followed', '{"trigger": {"event": "Onboarding Completed", "if": "(event.properties ->> ''lessons'')::int = 3"}, "for_each": "client", "steps": [{"wait": "10 days"}, {"end": true}]}') AS version;
SELECT mfiauto.create_workflow('joined', '{"trigger": {"segment": "called", "on": "enter"}, "steps": [{"wait": "10 days"}, {"end": true}]}') AS version;
SELECT mfiauto.create_workflow('all', '{"trigger": {"event": "Loan Approved"}, "class": "transactional", "steps": [
  {"send": "welcome", "channels": ["sms"]},
  {"webhook": "tell_crm"},
  {"set": {"onboarded": true, "old": null, "score": {"sql": "client.client_id * 10"}, "level": {"sql": "CASE client.literacy WHEN ''low'' THEN ''beginner'' END"}}},
  {"add_to": "called"},
  {"emit": "Onboarding Completed", "properties": {"lessons": 3, "path": ["a", {"b": null}], "status": {"sql": "loan.status"}}},
  {"enroll": "lesson", "context": {"topic": "saving", "loan": {"sql": "loan.loan_id"}}},
  {"task": "Call {{client.name}}", "assign": "officer", "due": "2 days"},
  {"wait": "3 days"},
  {"remove_from": "called"},
  {"exit": "followed"},
  {"if": "client.literacy = ''low''", "then": [{"end": true}]},
  {"exit": "lesson"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{lesson,followed,joined,all}'::text[]) w;
SELECT step_no, path, kind, template, channels, traits, event_properties, segment, event_name, target_workflow, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(trait_sql) k) AS computed
  FROM mfiauto.workflow_step s JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'all' ORDER BY 1;
SELECT mfiauto.identify(1, '{"old": "yes", "kept": 1}');
SELECT mfiauto.identify(2, '{"level": "expert"}');
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');
UPDATE bank.loan SET status = 'approved' WHERE id IN (11, 12);
SELECT * FROM pg_temp.at('2026-03-02 10:00+00');
-- One row for each step, in the order of the steps. The address of a webhook is the gateway's; client 2 has no telephone.
SELECT workflow, step, kind, client, about, outcome, reason, detail FROM pg_temp.done ORDER BY workflow, client, step;
SELECT t.client_id, t.traits FROM mfiauto.client_trait t ORDER BY 1;
SELECT e.name, e.client_id, e.subject, e.subject_id, e.loan_id, e.properties FROM mfiauto.event e WHERE e.name IN ('Onboarding Completed', 'Segment Entered') ORDER BY 1, 2;
SELECT e.workflow, e.client_id, e.subject, e.subject_id, e.state, s.context, s.hops FROM mfiauto.enrollment e JOIN mfiauto.enrollment_state s USING (enrollment_id)
 WHERE e.workflow <> 'all' ORDER BY 1, 2;
SELECT o.assignee, o.due_at, o.is_overdue, o.client_id, o.title, o.workflow, o.subject, o.subject_id, o.outcomes FROM mfiauto.open_task o ORDER BY o.client_id;
-- What left, and what it cost.
\o /dev/null
SELECT mfiauto.arm_delivery();
SELECT * FROM mfiauto.run_delivery();
\o
SELECT step, kind, client, outcome, reason, detail, cost, currency FROM pg_temp.done WHERE kind = 'send' ORDER BY client, step;
SELECT m.client_id, m.to_address, m.body FROM mfiauto.message m WHERE m.channel = 'webhook' ORDER BY 1;
SELECT * FROM pg_temp.at('2026-03-05 10:00+00');
SELECT o.client_id, o.is_overdue FROM mfiauto.open_task o ORDER BY 1;
SELECT step, kind, client, outcome, reason, detail, at FROM pg_temp.done WHERE workflow = 'all' AND at > '2026-03-03' ORDER BY client, step;
SELECT e.workflow, e.client_id, e.state, e.reason FROM mfiauto.enrollment e ORDER BY 1, 2;
SELECT client_id, until IS NULL AS is_in FROM mfiauto.segment_membership ORDER BY 1;
-- Told in words.
SELECT l.what, l.step, l.detail FROM mfiauto.explain_client(1, 'all') l WHERE l.step IS NOT NULL AND l.what NOT IN ('attempt', 'receipt') ORDER BY l.at, l.step;
-- A repeated pass changes nothing.
SELECT * FROM pg_temp.at('2026-03-05 10:00+00');

-- The holdout arm: messages, webhooks and tasks are recorded and not made; facts and events are; a workflow that writes is not entered, one that does not is.
SELECT mfiauto.create_workflow('silent', '{"trigger": {"manual": true}, "reentry": "always", "steps": [{"set": {"seen": true}}, {"wait": "5 days"}, {"end": true}]}') AS version;
SELECT mfiauto.create_workflow('arms', '{"trigger": {"event": "Arms Started"}, "class": "education", "holdout": 50, "reentry": "always", "steps": [
  {"send": "welcome", "channels": ["sms"]}, {"webhook": "tell_crm"}, {"set": {"arm_seen": true}}, {"add_to": "called"}, {"emit": "Arms Seen"}, {"enroll": "lesson"}, {"enroll": "silent"},
  {"task": "Call {{client.name}}", "outcomes": {"reached": []}, "timeout": "1 day", "timeout_steps": [{"set": {"not_reached": true}}]}, {"exit": "silent"}]}') AS version;
-- The first client of each arm, whatever the salt.
UPDATE mfiauto.workflow_head h SET salt = (SELECT s::text FROM generate_series(1, 10000) s WHERE mfiauto._arm(s::text, 50, 'client 3') = 'treated' AND mfiauto._arm(s::text, 50, 'client 4') = 'holdout' LIMIT 1)
 WHERE h.name = 'arms';
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{silent,arms}'::text[]) w;
SELECT count(mfiauto.track('Arms Started', c)) FROM unnest('{3,4}'::bigint[]) c;
SELECT * FROM pg_temp.at('2026-03-06 09:00+00');
SELECT step, kind, client, outcome, reason, detail FROM pg_temp.done WHERE workflow = 'arms' ORDER BY client, step, kind;
SELECT t.client_id, t.traits ->> 'arm_seen' AS arm_seen FROM mfiauto.client_trait t WHERE t.client_id > 2 ORDER BY 1;
SELECT e.workflow, e.client_id, e.state FROM mfiauto.enrollment e WHERE e.client_id > 2 ORDER BY 1, 2;
SELECT t.client_id, t.state FROM mfiauto.task t WHERE t.client_id > 2 ORDER BY 1;
SET client_min_messages = warning;
DO $$ BEGIN PERFORM mfiauto.close_task(t.task_id, 'reached') FROM mfiauto.task t WHERE t.client_id = 4; EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE WARNING 'nobody was asked'; END $$;
SET client_min_messages = error;
SELECT mfiauto.close_task(t.task_id, 'reached', 'On the second attempt') FROM mfiauto.task t WHERE t.client_id = 3;
SELECT * FROM pg_temp.at('2026-03-06 12:00+00');
SELECT * FROM pg_temp.at('2026-03-07 09:00+00');
SELECT step, kind, client, outcome, reason, detail FROM pg_temp.done WHERE workflow = 'arms' AND step > 'steps[6]' ORDER BY client, step, kind;
SELECT e.workflow, e.client_id, e.state, e.reason FROM mfiauto.enrollment e WHERE e.client_id > 2 ORDER BY 1, 2;
