-- Workflows that start and stop one another: within one pass, and not for ever.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT r.entered, r.advanced, r.exited, r.messages, r.parked FROM mfiauto.run_engine() r; END $$;
-- Runs of each workflow by hops.
CREATE VIEW pg_temp.chain AS
  SELECT e.workflow, e.client_id AS client, count(*) AS runs, min(s.hops) AS least, max(s.hops) AS most FROM mfiauto.enrollment e JOIN mfiauto.enrollment_state s USING (enrollment_id) GROUP BY 1, 2;
CREATE VIEW pg_temp.refusal AS
  SELECT h.name AS workflow, d.client_id AS client, d.reason, count(*) FROM mfiauto.decision_log d JOIN mfiauto.workflow_head h USING (workflow_id) WHERE d.decision = 'refused' GROUP BY 1, 2, 3;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 20) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 20) g;
SELECT mfiauto._set_clock('2026-03-02 09:00+00');
SELECT * FROM pg_temp.at('2026-03-02 09:00+00');

-- A chain of three in one pass.
SELECT mfiauto.create_workflow('third', '{"trigger": {"event": "Second Done"}, "steps": [{"set": {"chain": "done"}}]}') AS version;
SELECT mfiauto.create_workflow('second', '{"trigger": {"event": "First Done"}, "steps": [{"emit": "Second Done"}]}') AS version;
SELECT mfiauto.create_workflow('first', '{"trigger": {"event": "Chain Started"}, "steps": [{"emit": "First Done"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{first,second,third}'::text[]) w;
SELECT count(mfiauto.track('Chain Started', c)) FROM generate_series(1, 3) c;
SELECT * FROM pg_temp.at('2026-03-02 10:00+00');
SELECT * FROM pg_temp.chain ORDER BY least, client;
SELECT count(*) AS done FROM mfiauto.client_trait WHERE traits ->> 'chain' = 'done';
SELECT count(*) AS left_over FROM mfiauto.engine_note;

-- Ping-pong by events, re-entry always, no wait anywhere: ends after ten, says why, and the pass comes to its end.
SELECT mfiauto.create_workflow('ping', '{"trigger": {"event": "Ping"}, "reentry": "always", "steps": [{"emit": "Pong"}]}') AS version;
SELECT mfiauto.create_workflow('pong', '{"trigger": {"event": "Pong"}, "reentry": "always", "steps": [{"emit": "Ping"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{ping,pong}'::text[]) w;
SELECT mfiauto.track('Ping', 4) IS NOT NULL AS told;
SELECT * FROM pg_temp.at('2026-03-02 11:00+00');
SELECT * FROM pg_temp.chain WHERE client = 4 ORDER BY 1;
SELECT * FROM pg_temp.refusal WHERE client = 4;
SELECT l.detail FROM mfiauto.explain_client(4, 'ping') l WHERE l.what = 'refused' UNION ALL SELECT l.detail FROM mfiauto.explain_client(4, 'pong') l WHERE l.what = 'refused';
SELECT * FROM pg_temp.at('2026-03-02 11:00+00');
-- What comes from outside begins anew.
SELECT mfiauto.track('Ping', 4) IS NOT NULL AS told;
SELECT * FROM pg_temp.at('2026-03-02 12:00+00');
SELECT * FROM pg_temp.chain WHERE client = 4 ORDER BY 1;

-- Ping-pong by enroll, and by a list that one puts into and the other takes out of.
SELECT mfiauto.create_workflow('tick', '{"trigger": {"manual": true}, "reentry": "always", "steps": [{"end": true}]}') AS version;
SELECT mfiauto.create_workflow('tock', '{"trigger": {"manual": true}, "reentry": "always", "steps": [{"enroll": "tick"}]}') AS version;
SELECT mfiauto.create_workflow('tick', '{"trigger": {"manual": true}, "reentry": "always", "steps": [{"enroll": "tock"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{tick,tock}'::text[]) w;
SELECT mfiauto.enroll('tick', 5) IS NOT NULL AS is_in;
SELECT * FROM pg_temp.at('2026-03-02 13:00+00');
SELECT * FROM pg_temp.chain WHERE client = 5 ORDER BY 1;
SELECT * FROM pg_temp.refusal WHERE client = 5;
\o /dev/null
SELECT mfiauto.create_segment('list', clients => '{}');
\o
SELECT mfiauto.create_workflow('takes out', '{"trigger": {"segment": "list", "on": "enter"}, "reentry": "always", "steps": [{"remove_from": "list"}]}') AS version;
SELECT mfiauto.create_workflow('puts in', '{"trigger": {"segment": "list", "on": "leave"}, "reentry": "always", "steps": [{"add_to": "list"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{takes out,puts in}'::text[]) w;
SELECT mfiauto.add_to_segment('list', '{6}');
SELECT * FROM pg_temp.at('2026-03-02 14:00+00');
SELECT * FROM pg_temp.chain WHERE client = 6 ORDER BY 1;
SELECT * FROM pg_temp.refusal WHERE client = 6;

-- Ping-pong by a trait that one sets low and the other sets high: counted as a chain, too.
SELECT mfiauto.create_trait('warmth', $$SELECT client_id, (traits ->> 'heat')::numeric AS value FROM mfiauto.client_trait$$) IS NOT NULL AS made;
SELECT mfiauto.create_workflow('cools', '{"trigger": {"trait": "warmth", "rises_to": 30, "until_below": 10}, "reentry": "always", "steps": [{"set": {"heat": 5}}]}') AS version;
SELECT mfiauto.create_workflow('heats', '{"trigger": {"trait": "warmth", "falls_to": 5, "until_above": 20}, "reentry": "always", "steps": [{"set": {"heat": 40}}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{cools,heats}'::text[]) w;
SELECT * FROM pg_temp.at('2026-03-02 15:00+00');
SELECT mfiauto.identify(9, '{"heat": 50}');
\set ECHO none
\o /dev/null
SELECT 'SELECT * FROM mfiauto.run_engine()' FROM generate_series(1, 30) \gexec
\o
\set ECHO all
SELECT * FROM pg_temp.chain WHERE client = 9 ORDER BY 1;
SELECT * FROM pg_temp.refusal WHERE client = 9;

-- What enroll hands over, and when it does not get there.
SELECT mfiauto.create_workflow('by loan', '{"trigger": {"manual": true}, "for_each": "loan", "class": "transactional", "enter_if": "loan.status = ''active''", "steps": [{"wait": "1 day"}, {"task": "See {{event.topic}} of {{client.name}}"}, {"wait": "9 days"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.create_workflow('by client', '{"trigger": {"manual": true}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}, {"wait": "30 days"}, {"end": true}]}') AS version;
SELECT mfiauto.create_workflow('by date', '{"for_each": "installment", "anchor": "due_date", "enter_if": "installment.number = 9", "steps": [{"at": "0 days 09:00", "send": "today", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.create_workflow('asleep', '{"trigger": {"manual": true}, "steps": [{"end": true}]}') AS version;
SELECT mfiauto.create_workflow('hands over', '{"trigger": {"event": "Installment Scheduled"}, "steps": [
  {"enroll": "by loan", "context": {"topic": {"sql": "''number '' || installment.number"}}}, {"enroll": "by client"}, {"enroll": "by date"}, {"enroll": "asleep"}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{by loan,by client,by date,hands over}'::text[]) w;
INSERT INTO bank.loan (id, client_id, status) VALUES (207, 7, 'closed');
INSERT INTO bank.installment VALUES (1, 107, 1, '2026-06-01'), (2, 107, 9, '2026-07-01'), (3, 108, 1, '2026-06-01'), (4, 207, 1, '2026-06-01');
SELECT * FROM pg_temp.at('2026-03-03 09:00+00');
SELECT r.client_id, r.subject_id, r.step, r.outcome, r.reason, r.detail FROM mfiauto.step_run r WHERE r.workflow = 'hands over' ORDER BY 1, 2, 3;
SELECT e.workflow, e.client_id, e.subject, e.subject_id, e.loan_id, e.state FROM mfiauto.enrollment e WHERE e.workflow LIKE 'by %' ORDER BY 1, 2, 4;
SELECT * FROM pg_temp.at('2026-03-04 09:00+00');
SELECT t.client_id, t.title, t.state FROM mfiauto.task t ORDER BY 1;

-- exit: the runs of the same subject, of the run's loan, or of the client; what is queued and to be done goes with them.
SELECT mfiauto.create_workflow('stops', '{"trigger": {"event": "Payment Received"}, "steps": [{"exit": "by loan"}, {"exit": "by client"}, {"exit": "asleep"}]}') AS version;
SELECT mfiauto.activate_workflow('stops') AS version;
INSERT INTO bank.payment VALUES (1, 107, '2026-03-04 08:00+00', 100);
SELECT * FROM pg_temp.at('2026-03-04 10:00+00');
SELECT e.workflow, e.client_id, e.subject_id, e.state, e.reason FROM mfiauto.enrollment e WHERE e.workflow IN ('by loan', 'by client') ORDER BY 1, 2, 3;
SELECT t.client_id, t.state, t.outcome FROM mfiauto.task t ORDER BY 1;
SELECT m.client_id, m.workflow, m.state, m.reason FROM mfiauto.message m WHERE m.client_id IN (7, 8) ORDER BY 1, 2;
SELECT r.step, r.outcome, r.reason, r.detail FROM mfiauto.step_run r WHERE r.workflow = 'stops' ORDER BY 1;
SELECT l.what, l.detail FROM mfiauto.explain_client(7, 'by loan') l WHERE l.what IN ('exited', 'task') ORDER BY 1;

-- An expression that fails for one of twenty: that one is parked, at this step, with nothing of it done; the others go on.
SELECT mfiauto.create_workflow('divides', '{"trigger": {"event": "Divide"}, "reentry": "always", "steps": [{"emit": "Divided", "properties": {"share": {"sql": "100 / (client.client_id - 13)"}}}, {"set": {"divided": true}}]}') AS version;
SELECT mfiauto.activate_workflow('divides') AS version;
SELECT count(mfiauto.track('Divide', c)) FROM generate_series(1, 20) c;
SELECT * FROM pg_temp.at('2026-03-05 09:00+00');
SELECT e.state, count(*), min(split_part(e.reason, ':', 1)) AS code FROM mfiauto.enrollment e WHERE e.workflow = 'divides' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS events, count(*) FILTER (WHERE client_id = 13) AS of_the_parked FROM mfiauto.event WHERE name = 'Divided';
-- A null value is JSON's null in an event, and takes a trait away.
SELECT mfiauto.create_workflow('nulls', '{"trigger": {"event": "Null"}, "steps": [{"emit": "Nulled", "properties": {"a": {"sql": "nullif(client.literacy, ''high'')"}}}, {"set": {"divided": {"sql": "nullif(client.literacy, ''high'')"}}}]}') AS version;
SELECT mfiauto.activate_workflow('nulls') AS version;
SELECT mfiauto.track('Null', 14) IS NOT NULL AS told;
SELECT * FROM pg_temp.at('2026-03-05 10:00+00');
SELECT properties FROM mfiauto.event WHERE name = 'Nulled';
SELECT traits FROM mfiauto.client_trait WHERE client_id = 14;
