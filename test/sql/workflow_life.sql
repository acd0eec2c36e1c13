-- The life of a definition: versions never change, a new one takes runs over, pauses freeze or do not, two persons approve, a rollback leaves nothing.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
-- An owner who is no superuser: what was stored is closed to him too, and no function of ours writes it.
CREATE ROLE life_owner;
SELECT mfiauto.install('life_owner');
SELECT mfiauto.create_workflow('stored', '{"trigger": {"event": "Session Started"}, "steps": [{"wait": "1 day"}, {"end": true}]}') AS version;
SET ROLE life_owner;
UPDATE mfiauto.workflow_version SET holdout = 50;
UPDATE mfiauto.workflow_version SET definition = '{}';
UPDATE mfiauto.workflow_step SET wait = '2 days';
UPDATE mfiauto.workflow_approval SET approved_by = 'somebody';
RESET ROLE;
SELECT p.proname, p.prosrc ~ 'UPDATE' AS updates FROM pg_proc p
 WHERE p.pronamespace = 'mfiauto'::regnamespace AND p.prosrc ~* '(update|delete\s+from)\s+(only\s+)?mfiauto\.workflow_(version|step|approval)\M' ORDER BY 1;
SELECT mfiauto.drop_workflow('stored');
SELECT mfiauto.uninstall('yes, delete everything');
DROP OWNED BY life_owner;
DROP ROLE life_owner;

SELECT mfiauto.install();
\i test/lib/engine_books.sql
RESET client_min_messages;
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS TABLE (entered bigint, advanced bigint, exited bigint, messages bigint, parked bigint)
LANGUAGE plpgsql AS $$ BEGIN PERFORM mfiauto._set_clock(t); RETURN QUERY SELECT r.entered, r.advanced, r.exited, r.messages, r.parked FROM mfiauto.run_engine() r; END $$;
CREATE FUNCTION pg_temp.starts(clients bigint[]) RETURNS void
LANGUAGE sql AS $$ SELECT count(mfiauto.track('Course Started', c)) FROM unnest(clients) c $$;
CREATE VIEW pg_temp.run AS SELECT e.client_id, e.version, e.state, e.reason, e.step, e.due_at FROM mfiauto.enrollment e;
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 40) g;
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT * FROM pg_temp.at('2026-01-05 08:00+00');

-- A rehearsal in a transaction that is rolled back leaves nothing: the same checksum of every table.
CREATE FUNCTION pg_temp.checksums() RETURNS TABLE (name text, content text) LANGUAGE plpgsql AS $$
BEGIN
  FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace, 'bank'::regnamespace)
                 AND c.relkind = 'r' ORDER BY 1 LOOP
    EXECUTE format('SELECT count(*) || md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) FROM %s t',
                   (SELECT c.oid::regclass FROM pg_class c WHERE c.relname = name AND c.relkind = 'r'
                     AND c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace, 'bank'::regnamespace))) INTO content;
    RETURN NEXT;
  END LOOP;
END $$;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.checksums();
BEGIN;
SELECT mfiauto.create_workflow('rehearsed', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}, {"wait": "1 day"}, {"task": "Call {{client.name}}"}]}') AS version;
SELECT mfiauto.activate_workflow('rehearsed') AS version;
SELECT count(mfiauto.enroll('rehearsed', c)) FROM unnest('{1,2,3}'::bigint[]) c;
SELECT advanced, messages FROM mfiauto.run_engine();
SELECT mfiauto.pause_workflow('rehearsed', clock => 'freeze');
SELECT mfiauto.resume_workflow('rehearsed');
SELECT mfiauto.alter_workflow('rehearsed', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [{"wait": "1 day"}, {"send": "thanks"}]}') AS version;
SELECT mfiauto.activate_workflow('rehearsed', running => 'move') AS version;
SELECT count(*) AS changed_inside FROM pg_temp.checksums() c JOIN before b USING (name) WHERE c.content <> b.content AND name IN ('workflow_head', 'workflow_version', 'enrollment_state', 'message_ledger_default', 'outbox');
ROLLBACK;
SELECT c.name FROM pg_temp.checksums() c FULL JOIN before b USING (name) WHERE c.content IS DISTINCT FROM b.content;
SELECT count(*) > 40 AS tables_compared FROM before;

-- A course in two versions. Version 2 says its second lesson in other words, has a survey after it, and gives no task in the end.
SELECT mfiauto.create_workflow('course', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [
  {"send": "welcome", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "before", "channels": ["sms"]}, {"wait": "1 day"},
  {"if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
  {"wait": "1 day"}, {"task": "Call {{client.name}}"}, {"wait": "1 day"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.activate_workflow('course') AS version;
SELECT pg_temp.starts('{1,2}');
SELECT * FROM pg_temp.at('2026-01-05 09:00+00');
SELECT pg_temp.starts('{3,4}');
SELECT * FROM pg_temp.at('2026-01-06 09:00+00');
SELECT pg_temp.starts('{5,6}');
SELECT * FROM pg_temp.at('2026-01-07 09:00+00');
SELECT pg_temp.starts('{7,8}');
SELECT * FROM pg_temp.at('2026-01-08 09:00+00');
SELECT * FROM pg_temp.run ORDER BY client_id;
\o /dev/null
SELECT mfiauto.create_template('reminder_survey', channel => 'sms', body => 'How was it, {{client.name}}?');
\o
SELECT mfiauto.create_workflow('course', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [
  {"send": "welcome", "channels": ["sms"]}, {"wait": "1 day"}, {"send": "today", "channels": ["sms"]}, {"wait": "2 hours"}, {"send": "reminder_survey", "channels": ["sms"]}, {"wait": "1 day"},
  {"if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
  {"wait": "1 day"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
-- The counterparts of the first version's steps in the second.
SELECT o.path AS old, n.path AS new, c.is_same
  FROM mfiauto.workflow_head h
 CROSS JOIN mfiauto._counterparts(h.workflow_id, 1, 2) c
  JOIN mfiauto.workflow_step o ON o.workflow_id = h.workflow_id AND o.version = 1 AND o.step_no = c.old_no
  JOIN mfiauto.workflow_step n ON n.workflow_id = h.workflow_id AND n.version = 2 AND n.step_no = c.new_no
 WHERE h.name = 'course' ORDER BY c.old_no;
SELECT * FROM mfiauto.preview_move('course');
-- One is parked; it goes along, and goes on after unpark().
UPDATE mfiauto.enrollment_state SET state = 'error', parked_due_at = due_at, due_at = NULL, reason = '22012: division by zero' WHERE client_id = 8;
SELECT * FROM mfiauto.preview_move('course') WHERE parked > 0;
SELECT mfiauto.activate_workflow('course', running => 'elsewhere');
SELECT mfiauto.activate_workflow('course', running => 'move') AS version;
SELECT * FROM pg_temp.run ORDER BY client_id;
SELECT * FROM mfiauto.preview_move('course');
SELECT d.client_id, d.decision, d.version, d.detail FROM mfiauto.decision_log d WHERE d.decision = 'switched' ORDER BY 1;
SELECT l.detail FROM mfiauto.explain_client(5, 'course') l WHERE l.what = 'switched';
SELECT mfiauto.unpark('course') AS unparked;
SELECT * FROM pg_temp.at('2026-01-09 09:00+00');
SELECT * FROM pg_temp.at('2026-01-09 11:00+00');
SELECT * FROM pg_temp.at('2026-01-12 11:00+00');
SELECT * FROM pg_temp.at('2026-01-13 11:00+00');
-- What each was told, in order: nothing twice, nothing left out that lay ahead.
SELECT m.client_id, string_agg(split_part(m.body, ' ', 1) || ' v' || m.version, ', ' ORDER BY m.message_id) AS told FROM mfiauto.message m WHERE m.workflow = 'course' GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.run ORDER BY client_id;
SELECT t.client_id, t.version, t.state FROM mfiauto.task t ORDER BY 1;
-- Runs are counted on both sides of the jump: who came to a step has left it or stands at it.
SELECT f.version, f.from_no, f.to_no, f.run_count FROM mfiauto.step_flow f WHERE f.is_jump ORDER BY 1, 2, 3;

-- Asked to finish (the default), each stays on the version that took it in; asked to stop, they leave and what is queued for them is canceled.
SELECT mfiauto._set_clock('2026-01-14 09:00+00');
SELECT pg_temp.starts('{11,12}');
SELECT * FROM pg_temp.at('2026-01-14 09:00+00');
SELECT mfiauto.create_workflow('course', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 hour"}]}') AS version;
SELECT mfiauto.activate_workflow('course') AS version;
SELECT pg_temp.starts('{13}');
SELECT * FROM pg_temp.at('2026-01-14 09:30+00');
SELECT client_id, version, state, step FROM pg_temp.run WHERE client_id > 10 ORDER BY 1;
SELECT mfiauto.activate_workflow('course', running => 'stop') AS version;
SELECT client_id, version, state, reason FROM pg_temp.run WHERE client_id > 10 ORDER BY 1;
SELECT m.client_id, m.state, m.reason FROM mfiauto.message m WHERE m.client_id IN (11, 12) ORDER BY 1;
SELECT l.detail FROM mfiauto.explain_client(11, 'course') l WHERE l.what = 'exited';

-- Around a date: a run that goes over follows the new moments; one whose subject is another kind stays where it is.
INSERT INTO bank.loan (id, client_id) VALUES (121, 21), (122, 22), (123, 23);
INSERT INTO bank.installment VALUES (1, 121, 1, '2026-01-26'), (2, 122, 1, '2026-01-28'), (3, 123, 1, '2026-02-04');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [
  {"at": "-7 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "0 days 09:00", "send": "today", "channels": ["sms"]}, {"at": "+1 day 09:00", "send": "late", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.activate_workflow('due') AS version;
SELECT * FROM pg_temp.at('2026-01-19 09:00+00');
SELECT * FROM pg_temp.at('2026-01-21 09:00+00');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [
  {"at": "-7 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "-2 days 10:00", "send": "today", "channels": ["sms"]}, {"at": "+1 day 09:00", "send": "late", "channels": ["sms"]}]}') AS version;
SELECT * FROM mfiauto.preview_move('due');
SELECT client_id, version, step, due_at FROM pg_temp.run WHERE client_id > 20 ORDER BY 1;
UPDATE mfiauto.message_ledger SET state = 'sent', sent_at = mfiauto.now() WHERE client_id = 22;
DELETE FROM mfiauto.outbox WHERE client_id = 22;
SELECT mfiauto.activate_workflow('due', running => 'move') AS version;
SELECT client_id, version, step, due_at FROM pg_temp.run WHERE client_id > 20 ORDER BY 1;
-- The date moves by a day: the message that went out under version 1 is known under version 2 and is not repeated.
UPDATE bank.installment SET due_date = '2026-01-29' WHERE id = 2;
SELECT * FROM pg_temp.at('2026-01-22 09:00+00');
SELECT m.client_id, m.version, m.step, m.state, m.reason, m.due_at FROM mfiauto.message m WHERE m.client_id IN (21, 22, 23) ORDER BY 1, m.due_at, 2;
SELECT mfiauto.create_workflow('due', '{"trigger": {"event": "Installment Scheduled"}, "steps": [{"send": "before", "channels": ["sms"]}]}') AS version;
SELECT outcome, sum(runs) AS runs FROM mfiauto.preview_move('due') GROUP BY 1;
SELECT mfiauto.activate_workflow('due', running => 'move') AS version;

-- Pause. The clock runs: a wait that ended meanwhile is over at once. Frozen: it ends as much later; a date stays.
SELECT mfiauto._set_clock('2026-02-02 08:00+00');
SELECT mfiauto.create_workflow('runs', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [{"wait": "2 days"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.create_workflow('frozen', '{"trigger": {"event": "Course Started"}, "class": "transactional", "steps": [{"wait": "2 days"}, {"send": "thanks", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.create_workflow('dated', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [{"at": "-2 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "+3 days 09:00", "send": "late", "channels": ["sms"]}]}') AS version;
SELECT mfiauto.archive_workflow('course');
SELECT mfiauto.archive_workflow('due');
SELECT mfiauto.activate_workflow('runs') + mfiauto.activate_workflow('frozen') + mfiauto.activate_workflow('dated') AS activated;
INSERT INTO bank.loan (id, client_id) VALUES (131, 31);
INSERT INTO bank.installment VALUES (31, 131, 1, '2026-02-11');
SELECT pg_temp.starts('{31}');
SELECT * FROM pg_temp.at('2026-02-02 09:00+00');
SELECT mfiauto.pause_workflow('runs', clock => 'stop');
SELECT mfiauto._set_clock('2026-02-03 12:00+00');
SELECT mfiauto.pause_workflow('runs');
SELECT mfiauto.pause_workflow('frozen', clock => 'freeze');
SELECT mfiauto.pause_workflow('dated', clock => 'freeze');
SELECT name, state, paused_at, paused_clock FROM mfiauto.workflow WHERE state = 'paused' ORDER BY 1;
SELECT * FROM pg_temp.at('2026-02-06 12:00+00');
SELECT mfiauto.resume_workflow('runs');
SELECT mfiauto.resume_workflow('frozen');
SELECT mfiauto.resume_workflow('dated');
SELECT e.workflow, e.step, e.due_at FROM mfiauto.enrollment e WHERE e.client_id = 31 AND e.workflow IN ('runs', 'frozen', 'dated') ORDER BY 1;
SELECT * FROM pg_temp.at('2026-02-06 12:00+00');
SELECT * FROM pg_temp.at('2026-02-07 08:59+00');
SELECT * FROM pg_temp.at('2026-02-07 09:00+00');
-- Activated anew out of a frozen pause: the same.
SELECT pg_temp.starts('{32}');
SELECT * FROM pg_temp.at('2026-02-09 09:00+00');
SELECT mfiauto.pause_workflow('frozen', clock => 'freeze');
SELECT mfiauto._set_clock('2026-02-16 09:00+00');
SELECT mfiauto.activate_workflow('frozen') AS version;
SELECT e.workflow, e.state, e.step, e.due_at FROM mfiauto.enrollment e WHERE e.client_id = 32 AND e.workflow = 'frozen';
SELECT name, state, paused_clock FROM mfiauto.workflow WHERE name = 'frozen';

-- What runs wait for and what came meanwhile: a task goes along to a new version with its run; one that was closed, and an event that came, during a
-- frozen pause let the run go on at once when it is over; the others wait on, as much longer.
SELECT mfiauto.create_workflow('waits', '{"trigger": {"event": "Wait"}, "class": "transactional", "steps": [{"wait": "1 hour"},
  {"task": "Call {{client.name}}", "outcomes": {"reached": [{"set": {"way": "reached"}}]}, "timeout": "4 days", "timeout_steps": [{"set": {"way": "not reached"}}]},
  {"wait_for": {"event": "Answer Given"}, "timeout": "4 days", "then": [{"set": {"answer": true}}], "timeout_steps": [{"set": {"answer": false}}]}]}') AS version;
SELECT mfiauto.activate_workflow('waits') AS version;
SELECT mfiauto._set_clock('2026-04-01 08:00+00');
SELECT count(mfiauto.track('Wait', c)) FROM generate_series(21, 24) c;
SELECT * FROM pg_temp.at('2026-04-01 08:00+00');
SELECT * FROM pg_temp.at('2026-04-01 09:00+00');
SELECT mfiauto.create_workflow('waits', '{"trigger": {"event": "Wait"}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}, {"wait": "1 hour"},
  {"task": "Call {{client.name}}", "outcomes": {"reached": [{"set": {"way": "reached, new"}}]}, "timeout": "4 days", "timeout_steps": [{"set": {"way": "not reached, new"}}]},
  {"wait_for": {"event": "Answer Given"}, "timeout": "4 days", "then": [{"set": {"answer": true}}], "timeout_steps": [{"set": {"answer": false}}]}]}') AS version;
SELECT from_step, to_step, outcome, runs FROM mfiauto.preview_move('waits');
-- Closed just before, so that no pass has seen it yet.
SELECT mfiauto.close_task(o.task_id, 'reached') FROM mfiauto.open_task o WHERE o.client_id = 22 AND o.workflow = 'waits';
SELECT mfiauto.activate_workflow('waits', running => 'move') AS version;
SELECT mfiauto.close_task(o.task_id, 'reached') FROM mfiauto.open_task o WHERE o.client_id = 21 AND o.workflow = 'waits';
SELECT * FROM pg_temp.at('2026-04-02 09:00+00');
SELECT mfiauto.pause_workflow('waits', clock => 'freeze');
SELECT mfiauto._set_clock('2026-04-04 09:00+00');
SELECT mfiauto.track('Answer Given', 21) IS NOT NULL AS told;
SELECT mfiauto.close_task(o.task_id, 'reached') FROM mfiauto.open_task o WHERE o.client_id = 23 AND o.workflow = 'waits';
SELECT * FROM pg_temp.at('2026-04-07 09:00+00');
SELECT mfiauto.resume_workflow('waits');
SELECT * FROM pg_temp.at('2026-04-07 09:00+00');
SELECT e.client_id, e.version, e.state, e.step, e.due_at, t.traits FROM mfiauto.enrollment e LEFT JOIN mfiauto.client_trait t USING (client_id) WHERE e.workflow = 'waits' ORDER BY 1;
SELECT * FROM pg_temp.at('2026-04-30 09:00+00');
SELECT e.client_id, e.state, t.traits FROM mfiauto.enrollment e LEFT JOIN mfiauto.client_trait t USING (client_id) WHERE e.workflow = 'waits' ORDER BY 1;
SELECT count(*) AS open FROM mfiauto.open_task WHERE workflow = 'waits';

-- Two persons: who created a version does not approve it, under whatever role; nothing that makes a version live gets around it.
CREATE ROLE life_awa LOGIN;
CREATE ROLE life_binta LOGIN;
CREATE ROLE life_team;
GRANT life_team TO life_awa;
SET client_min_messages = warning;
SELECT mfiauto.grant_access('life_team', 'author');
SELECT mfiauto.grant_access('life_awa', 'author');
SELECT mfiauto.grant_access('life_binta', 'author');
SET client_min_messages = notice;
SET mfiauto.require_approval = on;
SET SESSION AUTHORIZATION life_awa;
SET mfiauto.require_approval = off;
SELECT mfiauto.create_workflow('approved', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 day"}]}') AS version;
SELECT name, newest_version, created_by, approved_by, awaits_approval FROM mfiauto.workflow WHERE name = 'approved';
SELECT mfiauto.activate_workflow('approved');
SELECT mfiauto.approve_workflow('approved', 1);
SET ROLE life_team;
SELECT mfiauto.approve_workflow('approved', 1);
RESET ROLE;
SET SESSION AUTHORIZATION life_binta;
SELECT mfiauto.approve_workflow('approved', 2);
SELECT mfiauto.approve_workflow('nothing', 1);
SELECT mfiauto.approve_workflow('approved', 1);
SELECT mfiauto.approve_workflow('approved', 1);
SELECT name, state, approved_by, approved_at = mfiauto.now() AS is_now, awaits_approval FROM mfiauto.workflow WHERE name = 'approved';
SET SESSION AUTHORIZATION life_awa;
SELECT mfiauto.activate_workflow('approved') AS version;
-- A version that follows is not approved with it: not by creating it again, nor out of a pause or an archive; the live one goes on.
SELECT mfiauto.alter_workflow('approved', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "2 days"}]}') AS version;
SELECT mfiauto.activate_workflow('approved', running => 'move');
SELECT mfiauto.pause_workflow('approved');
SELECT mfiauto.activate_workflow('approved');
SELECT mfiauto.resume_workflow('approved');
SELECT live_version, newest_version, awaits_approval FROM mfiauto.workflow WHERE name = 'approved';
SELECT mfiauto.archive_workflow('approved');
SELECT mfiauto.activate_workflow('approved');
SELECT mfiauto.create_workflow('approved', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 day"}]}') AS version;
SELECT mfiauto.activate_workflow('approved');
-- Nor by dropping a draft that was approved and making another in its place.
SELECT mfiauto.create_workflow('swapped', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 day"}]}') AS version;
SET SESSION AUTHORIZATION life_binta;
SELECT mfiauto.approve_workflow('swapped', 1);
SET SESSION AUTHORIZATION life_awa;
SELECT mfiauto.drop_workflow('swapped');
SELECT mfiauto.create_workflow('swapped', '{"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 minute"}]}') AS version;
SELECT mfiauto.activate_workflow('swapped');
-- Nor by importing it, live, archived or as a draft.
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "workflows": [{"name": "imported", "state": "archived", "definition": {"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 minute"}]}}]}', activate => true);
SELECT mfiauto.activate_workflow('imported');
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "workflows": [{"name": "imported", "state": "active", "definition": {"trigger": {"event": "Course Started"}, "steps": [{"wait": "1 minute"}]}}]}', activate => true);
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "workflows": [{"name": "approved", "state": "active", "definition": {"trigger": {"event": "Course Started"}, "steps": [{"wait": "3 days"}]}}]}', activate => true);
UPDATE mfiauto.workflow_head SET live_version = 2;
INSERT INTO mfiauto.workflow_approval VALUES (1, 1, 'life_binta', now());
RESET SESSION AUTHORIZATION;
RESET mfiauto.require_approval;
-- Where nobody asks for it, no approval is needed, and none is awaited.
SELECT awaits_approval FROM mfiauto.workflow WHERE name = 'swapped';
SELECT mfiauto.activate_workflow('swapped') AS version;
SET client_min_messages = error;
SELECT mfiauto.revoke_access('life_team');
SELECT mfiauto.revoke_access('life_awa');
SELECT mfiauto.revoke_access('life_binta');
DROP ROLE life_awa, life_binta, life_team;
