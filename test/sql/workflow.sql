-- Workflows: the program that a definition is compiled to, its versions, and the life of a workflow.
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SET client_min_messages = warning;
\set ECHO none
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/workflow_books.sql
SET client_min_messages = warning;
\set ECHO all
\set SHOW_CONTEXT never

-- The walkthrough's workflow, word for word.
    SELECT mfiauto.create_workflow('repayment_reminder', '{
      "for_each": "installment",
      "anchor":   "due_date",
      "class":    "collection",
      "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
      "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
      "goal":     {"event": "Payment Received", "within": "3 days"},
      "holdout":  5,
      "steps": [
        {"at": "-7 days 09:00", "send": "reminder_before"},
        {"at": "-3 days 09:00", "send": "reminder_before"},
        {"at":  "0 days 09:00", "send": "reminder_today"},
        {"at": "+1 day  09:00", "send": "reminder_late", "channels": ["sms","voice"]},
        {"at": "+3 days 09:00", "if": "client.literacy = ''low''",
             "then": [{"send": "reminder_late_voice", "channels": ["voice"]}],
             "else": [{"send": "reminder_late"}]},
        {"at": "+5 days 09:00", "task": "Visit {{client.name}}: {{installment.balance_text}} late since {{installment.due_date_text}}", "assign": "officer"}
      ]}');

CREATE VIEW program AS
  SELECT h.name, s.* FROM mfiauto.workflow_step s JOIN mfiauto.workflow_head h USING (workflow_id);
SELECT step_no, path, kind, next_no, then_no, else_no, at_offset, at_time, template, channels, condition, assignee
  FROM program WHERE name = 'repayment_reminder' ORDER BY step_no;
SELECT task_title FROM program WHERE kind = 'task';
SELECT version, subject, anchor_column, class, goal_event, goal_within, exit_on_goal, holdout, resend_if_moved, reentry, owner = current_user AS is_mine
  FROM mfiauto.workflow_version;
\pset tuples_only on
\pset format unaligned
SELECT enter_sql FROM mfiauto.workflow_version;
SELECT exit_sql FROM mfiauto.workflow_version;
SELECT condition_sql FROM program WHERE kind = 'if';
\pset format aligned
\pset tuples_only off
-- What they say of each installment and its client; an installment that is gone has no answer.
SELECT i.installment_id, i.client_id, e.verdict AS enters, x.verdict AS leaves, b.verdict AS is_low
  FROM (VALUES (1, 101, 1), (2, 103, 2), (3, 104, 3), (4, 999, 1)) AS i(ord, installment_id, client_id)
  JOIN (SELECT q.* FROM mfiauto.workflow_version v, mfiauto._evaluate(v.owner, v.enter_sql, '{1,2,3,1}', '{101,103,104,999}', now()) q) e ON e.ord = i.ord
  JOIN (SELECT q.* FROM mfiauto.workflow_version v, mfiauto._evaluate(v.owner, v.exit_sql, '{1,2,3,1}', '{101,103,104,999}', now()) q) x ON x.ord = i.ord
  JOIN (SELECT q.* FROM program p, mfiauto._evaluate(current_user, p.condition_sql, '{1,2,3,1}', '{101,103,104,999}', now()) q WHERE p.kind = 'if') b ON b.ord = i.ord
 ORDER BY i.ord;

-- The other example, word for word.
SELECT count(mfiauto.create_template(n, channel => c, subject => CASE c WHEN 'email' THEN 'Welcome' END, body => 'Bonjour {{client.name}}')) AS templates
  FROM unnest('{welcome,approved,complete_your_file,tips_short,tips_long}'::text[]) n, unnest('{email,sms}'::text[]) c;
    SELECT mfiauto.create_workflow('welcome', '{
      "trigger": {"event": "Loan Applied"},
      "reentry": "never",
      "steps": [
        {"send": "welcome", "channels": ["email","sms"]},
        {"wait": "2 days"},
        {"wait_for": {"event": "Loan Approved"}, "timeout": "10 days",
           "then": [{"send": "approved"}],
           "timeout_steps": [{"send": "complete_your_file"}]},
        {"split": {"short": 50, "long": 50}, "steps": {
           "short": [{"send": "tips_short"}], "long": [{"send": "tips_long"}]}},
        {"set": {"onboarded": true}},
        {"emit": "Onboarding Completed"}
      ]}');
SELECT step_no, path, kind, next_no, then_no, else_no, branch_names, branch_nos, template, wait, timeout, events, traits, event_name
  FROM program WHERE name = 'welcome' ORDER BY step_no;

-- Branches inside branches are flattened: after a branch comes what follows its "if".
SELECT mfiauto.create_workflow('branches', '{
  "trigger": {"event": "Payment Received", "if": "event.properties ->> ''channel'' = ''branch'' AND loan.status = ''active''"},
  "for_each": "loan", "reentry": "90 days", "goal": {"event": "Loan Closed", "within": "P30D"}, "exit_on_goal": true, "max_per_day": 100, "holdout": 0.25,
  "steps": [
    {"if": "client.literacy = ''low''", "then": [
       {"if": "loan.status = ''active''", "then": [{"send": "late", "class": "legal", "expires": "6 hours"}, {"end": true}],
                                          "else": [{"wait": "2 days"}]},
       {"send": "late"}]},
    {"wait": "1 day 12:00"},
    {"task": "Call {{client.name}}", "assign": "call center", "due": "3 days"},
    {"if": "true", "then": [{"wait": "1 hour"}], "else": [{"end": true}]}
  ]}');
SELECT step_no, path, kind, next_no, then_no, else_no, wait, template, class, expires, assignee, due_after
  FROM program WHERE name = 'branches' ORDER BY step_no;
SELECT subject, trigger_events, reentry, reentry_after, goal_within, exit_on_goal, holdout, v.max_per_day, class
  FROM mfiauto.workflow_version v JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'branches';
-- The trigger's condition is asked of events: $2 is their ids.
INSERT INTO mfiauto.event_log (event_id, client_id, name, subject, subject_id, loan_id, properties, occurred_at, received_at) VALUES
  (-1, 1, 'Payment Received', 'payment', 7, 11, '{"channel": "branch"}', now(), now()),
  (-2, 1, 'Payment Received', 'payment', 8, 11, '{"channel": "mobile"}', now(), now()),
  (-3, 3, 'Payment Received', 'payment', 9, 13, '{}', now(), now());
SELECT q.* FROM mfiauto.workflow_version v, mfiauto._evaluate(v.owner, v.trigger_sql, '{1,1,3}', '{-1,-2,-3}', now()) q WHERE v.trigger_sql IS NOT NULL ORDER BY 1;

-- What events are about, where the definition does not say.
SELECT count(mfiauto.create_workflow('about ' || e.event, json_build_object('trigger', json_build_object('event', e.event), 'steps', '[{"end": true}]'::json)))
  FROM unnest(ARRAY['Client Created', 'Loan Disbursed', 'Installment Scheduled', 'Payment Reversed', 'Holding Opened', 'Lead Created', 'Message Received', 'Session Started']) AS e(event);
SELECT name, subject FROM mfiauto.workflow WHERE name LIKE 'about %' ORDER BY name COLLATE "C";
SET client_min_messages = notice;
-- What something here tells of is no surprise: delivery, a digit of a call, a keyword, a step of another workflow.
SELECT mfiauto.create_template('called', 'Appuyez sur 1.', 'voice', locale => 'fr', options => '{"digits": {"1": "Promised To Pay"}}');
SELECT mfiauto.set_keyword('solde', 'event', event => 'Balance Asked');
SELECT mfiauto.create_workflow('tells', '{"trigger": {"event": "Opt In Requested"}, "steps": [{"emit": "Told"}]}');
SELECT mfiauto.create_workflow('heard', format('{"trigger": {"event": "%s"}, "steps": [{"end": true}]}', e)::json)
  FROM unnest(ARRAY['Link Clicked', 'Promised To Pay', 'Balance Asked', 'Told', 'Promised To pay']) e;
SELECT mfiauto.create_workflow('tracked', '{"trigger": {"event": "Session Started"}, "goal": {"event": "Loan applied", "within": "1 day"}, "steps": [{"end": true}]}');

-- A condition that reads the server's clock is taken, with a warning; one that reads the business clock is right.
SELECT mfiauto.create_workflow('clock', '{"trigger": {"event": "Loan Applied"}, "enter_if": "loan.maturity_on > current_date AND now() > ''2020-01-01''", "steps": [{"end": true}]}');
SELECT mfiauto.create_workflow('clock', '{"trigger": {"event": "Loan Applied"}, "enter_if": "loan.maturity_on > mfiauto.today() -- not matured", "steps": [{"end": true}]}');
SET client_min_messages = warning;

-- The stored query means the same, whatever the settings of the session that wrote it or reads it.
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET DateStyle = 'German';
SET transform_null_equals = on;
SELECT mfiauto.create_workflow('settings', $${"trigger": {"event": "Loan Applied"}, "enter_if": "client.name <> 'a\\\\b' AND loan.maturity_on < '2027-03-02' AND coalesce(client.literacy = NULL, true)", "steps": [{"end": true}]}$$);
SELECT q.* FROM mfiauto.workflow h, mfiauto.workflow_version v, mfiauto._evaluate(v.owner, v.enter_sql, '{1,3}', '{11,13}', now()) q
 WHERE h.name = 'settings' AND v.definition = h.definition ORDER BY 1;
RESET standard_conforming_strings;
RESET DateStyle;
RESET transform_null_equals;
\pset tuples_only on
\pset format unaligned
SELECT regexp_replace(enter_sql, '.*(client\.name.*\)) AS verdict.*', '\1') FROM mfiauto.workflow_version v JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'settings';
\pset format aligned
\pset tuples_only off

-- Versions: creating again makes a draft; activating makes it live. The salt, and so everybody's arm, stays.
SELECT salt AS salt_before FROM mfiauto.workflow_head WHERE name = 'repayment_reminder' \gset
SELECT mfiauto.activate_workflow('repayment_reminder');
SELECT name, state, live_version, newest_version, max_per_day FROM mfiauto.workflow WHERE name = 'repayment_reminder';
SELECT mfiauto.alter_workflow('repayment_reminder', '{"for_each": "installment", "anchor": "due_date", "max_per_day": 50, "steps": [{"at": "0 day 10:30:15", "send": "reminder_today"}]}');
SELECT name, state, live_version, newest_version FROM mfiauto.workflow WHERE name = 'repayment_reminder';
SELECT mfiauto.alter_workflow('repayment_remainder', '{"for_each": "installment", "anchor": "due_date", "steps": [{"at": "0 day 10:30:15", "send": "reminder_today"}]}');
UPDATE mfiauto.workflow_head SET planned_through = '2026-01-01' WHERE name = 'repayment_reminder';
SELECT mfiauto.activate_workflow('repayment_reminder');
SELECT h.live_version, h.max_per_day, h.planned_through, h.salt = :'salt_before' AS same_salt, s.at_time
  FROM mfiauto.workflow_head h JOIN mfiauto.workflow_step s ON s.workflow_id = h.workflow_id AND s.version = h.live_version WHERE name = 'repayment_reminder';
SELECT mfiauto.activate_workflow('repayment_reminder', max_per_day => 7);
SELECT max_per_day FROM mfiauto.workflow WHERE name = 'repayment_reminder';
SELECT count(*), count(DISTINCT version) FROM program WHERE name = 'repayment_reminder';

-- The life of a workflow, and what it may not do.
SELECT mfiauto.pause_workflow('repayment_reminder');
SELECT mfiauto.pause_workflow('repayment_reminder');
SELECT state FROM mfiauto.workflow WHERE name = 'repayment_reminder';
SELECT mfiauto.resume_workflow('repayment_reminder');
SELECT mfiauto.resume_workflow('repayment_reminder');
SELECT mfiauto.drop_workflow('repayment_reminder');
SELECT mfiauto.archive_workflow('repayment_reminder');
SELECT mfiauto.archive_workflow('repayment_reminder');
SELECT mfiauto.pause_workflow('repayment_reminder');
SELECT mfiauto.drop_workflow('repayment_reminder');
SELECT state FROM mfiauto.workflow WHERE name = 'repayment_reminder';
SELECT mfiauto.activate_workflow('repayment_reminder');
SELECT mfiauto.archive_workflow('branches');
SELECT mfiauto.drop_workflow('branches');
SELECT count(*) FROM program WHERE name = 'branches';
SELECT mfiauto.activate_workflow('nothing');
SELECT mfiauto.activate_workflow(NULL);
SELECT mfiauto.pause_workflow('nothing');
SELECT mfiauto.resume_workflow('nothing');
SELECT mfiauto.archive_workflow('nothing');
SELECT mfiauto.drop_workflow('nothing');
SELECT mfiauto.activate_workflow('clock', max_per_day => 0);

-- What an activation needs: bindings, an owner; gateways are asked for with a warning.
SELECT mfiauto.create_workflow('holdings', '{"trigger": {"event": "Holding Opened"}, "steps": [{"send": "late"}]}');
SELECT mfiauto.activate_workflow('holdings');

-- Conditions run with the rights of who created the workflow: who may not read the books cannot make one.
CREATE ROLE workflow_author;
GRANT USAGE ON SCHEMA mfiauto TO workflow_author;
GRANT EXECUTE ON FUNCTION mfiauto.create_workflow(text, json), mfiauto.activate_workflow(text, integer, text) TO workflow_author;
SET ROLE workflow_author;
SELECT mfiauto.create_workflow('authored', '{"trigger": {"event": "Loan Applied"}, "enter_if": "loan.status = ''active''", "steps": [{"end": true}]}');
SELECT mfiauto.create_workflow('authored', '{"trigger": {"event": "Loan Applied"}, "steps": [{"end": true}]}');
RESET ROLE;
SELECT owner FROM mfiauto.workflow WHERE name = 'authored';
REVOKE ALL ON FUNCTION mfiauto.create_workflow(text, json), mfiauto.activate_workflow(text, integer, text) FROM workflow_author;
REVOKE USAGE ON SCHEMA mfiauto FROM workflow_author;
DROP ROLE workflow_author;
SELECT mfiauto.activate_workflow('authored');
