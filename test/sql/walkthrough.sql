-- The walkthrough as typed, on the demo bank: what a DBA, an analyst and an operations manager type in their first hour.
SET client_min_messages = warning;
\set VERBOSITY terse

-- 0. Install
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.arm_delivery() IS NOT NULL AS armed;
CREATE ROLE regress_bi_team;
SELECT mfiauto.grant_access('regress_bi_team', 'analyst');
SELECT mfiauto.set_clock('2026-01-05 07:00+00');

-- 1. Bind
\set ECHO none
\i contrib/demo/bank.sql
\set ECHO all
\o /dev/null
\set ECHO none
\i contrib/demo/bind.sql
\set ECHO all
\o
SELECT role, relation, problem FROM mfiauto.binding ORDER BY role;
SELECT mfiauto.watch('Savings Goal Created', 'bank.savings_goal', 'INSERT',
         client => 'client_id', subject => 'id', properties => '{"target":"target_amount"}');
SELECT mfiauto.watch('Card Blocked', 'bank.card', 'UPDATE',
         condition => 'NEW.blocked AND NOT OLD.blocked', client => 'client_id', subject => 'id');

-- 2. The bank goes on as usual
INSERT INTO bank.branch VALUES (1, 'Thies', 'SN', 'Thies');
INSERT INTO bank.officer VALUES (7, 'Fatou Ndiaye', '77 000 00 07', 1);
INSERT INTO bank.client (id, display_name, mobile_no, email, lang, date_of_birth, gender, region, literacy, status, activation_date, branch_id, officer_id)
VALUES (42, 'Awa Diop', '77 123 45 67', 'awa@example.org', 'fr', '1990-02-28', 'female', 'Thies', 'high', 300, '2024-01-01', 1, 7),
       (43, 'Modou Fall', '78.765.43.21', NULL, 'wo', '1985-05-05', 'male', 'Thies', 'low', 300, '2024-01-01', 1, 7);
INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, approved_on, disbursed_on, officer_id, branch_id)
VALUES (100, 42, 'Micro', 100000, 4, 300, '2025-12-01', '2025-12-05', '2025-12-10', 7, 1),
       (101, 43, 'Micro', 80000, 4, 300, '2025-12-01', '2025-12-05', '2025-12-10', 7, 1);
INSERT INTO bank.installment (id, loan_id, number, from_date, due_date, principal, interest)
VALUES (1007, 100, 1, '2025-12-10', '2026-01-14', 12000, 500), (1008, 100, 2, '2026-01-14', '2026-02-14', 12000, 500),
       (1009, 101, 1, '2025-12-10', '2026-01-14', 20000, 750);
INSERT INTO bank.savings_goal (id, client_id, target_amount) VALUES (5, 42, 250000);

-- 3. Say it
SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'fr', class => 'collection',
  body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est le {{installment.due_date_text}}. Payez au *144#.');
SELECT * FROM mfiauto.preview_template('reminder_before', client_id => 42, subject_id => 1007);
SELECT mfiauto.render('Bonjour {{name}}', '{"name":"Awa"}');
SELECT * FROM mfiauto.sms_parts('Votre prêt est prêt');

-- 4. Send it
SELECT mfiauto.create_gateway('sn_sms', channel => 'sms', preset => 'sandbox',
         settings => '{"rate_per_second":50,"cost_per_part":12,"currency":"XOF"}');
SELECT mfiauto.create_gateway('sn_voice', channel => 'voice', preset => 'sandbox', settings => '{"cost_per_part":40,"currency":"XOF"}');
SELECT gateway, channel, preset FROM mfiauto.gateway ORDER BY gateway;
SELECT count(*) >= 4 AS presets FROM mfiauto.gateway_preset;

-- 5. Automate it
\o /dev/null
\set ECHO none
\i contrib/demo/workflows.sql
\set ECHO all
\o
SELECT events FROM mfiauto.run_engine();
UPDATE mfiauto.workflow_version SET holdout = 0;
SELECT * FROM mfiauto.preview_activation('repayment_reminder');
SELECT mfiauto.activate_workflow('repayment_reminder');
SELECT * FROM mfiauto.run_engine();
SELECT workflow, version, client_id, subject, subject_id, state, step, due_at, arm FROM mfiauto.enrollment ORDER BY subject_id;
SELECT name, client_id, subject, subject_id, properties FROM mfiauto.event WHERE name LIKE 'Savings%' OR name LIKE 'Card%' ORDER BY name;
SELECT mfiauto.set_clock('2026-01-07 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, workflow, step, channel, to_address, body, state, parts, cost, gateway FROM mfiauto.message WHERE state <> 'skipped' ORDER BY client_id, step;

-- Awa pays; Modou does not.
UPDATE bank.installment SET paid = 12500, paid_on = '2026-01-10' WHERE id = 1007;
INSERT INTO bank.payment (loan_id, client_id, paid_at, amount) VALUES (100, 42, '2026-01-10 10:00+00', 12500);
SELECT mfiauto.set_clock('2026-01-11 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-14 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT * FROM mfiauto.run_delivery();
SELECT mfiauto.set_clock('2026-01-20 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT * FROM mfiauto.run_delivery();
SELECT client_id, step, channel, state, reason FROM mfiauto.message ORDER BY client_id, subject_id, step, channel;
SELECT client_id, title, assignee, state FROM mfiauto.task;
SELECT at, what, step, detail FROM mfiauto.explain_client(42, workflow => 'repayment_reminder');
SELECT mfiauto.pause_workflow('repayment_reminder');
SELECT mfiauto.resume_workflow('repayment_reminder');
SELECT mfiauto.enroll('repayment_reminder', client_id => 42, subject_id => 1008) IS NOT NULL AS enrolled;

-- 6. Aim it
    SELECT mfiauto.create_segment('good_payers', $$
      SELECT client_id FROM mfiauto.client_profile WHERE on_time_ratio >= 0.95 AND loans_closed >= 1 $$);
    SELECT * FROM mfiauto_segment.good_payers;                    -- every segment is a view: client_id, since
    SELECT mfiauto.refresh_segment('good_payers');                -- enter / leave events, progress for long runs

-- 7. (what belongs to this release)
SELECT mfiauto.opt_out(client_id => 42, channel => 'sms', reason => 'said so at the branch');
SELECT mfiauto.track('Session Started', client_id => 42, properties => '{"device":"android"}') IS NOT NULL AS tracked;
SELECT mfiauto.identify(client_id => 42, traits => '{"plan":"gold"}');

-- 8. Know it
SELECT mfiauto.refresh_kpis();
SELECT name, unit, value FROM mfiauto.kpi ORDER BY name;
SELECT * FROM mfiauto.kpi_on_time_repayment  WHERE period >= '2026-01-01';

-- 9. Run it
SELECT item, state FROM mfiauto.status ORDER BY item;
SELECT gateway, channel, circuit, sent, failed, retrying, unknown, rate_per_second FROM mfiauto.gateway_status ORDER BY gateway;
SELECT mfiauto.hold_delivery('provider outage', gateway => 'sn_sms');
SELECT mfiauto.release_delivery(stale => 'expire');
SELECT mfiauto.cancel_messages(workflow => 'repayment_reminder');
SELECT mfiauto.unpark(workflow => 'repayment_reminder');

-- A text that is not there is refused when the workflow is made, not when it is needed.
SELECT mfiauto.create_workflow('welcome', '{
  "trigger": {"event": "Loan Applied"}, "reentry": "never",
  "steps": [ {"wait": "2 days"}, {"wait_for": {"event": "Loan Approved"}, "timeout": "10 days", "then": [{"send": "approved"}]} ]}');

-- 5 again: two months more.
-- The welcome, as typed. Its texts first.
SELECT mfiauto.create_template('welcome', channel => 'email', locale => 'fr', class => 'transactional', subject => 'Bienvenue', body => 'Bienvenue {{client.name}}') > 0 AS created;
SELECT count(mfiauto.create_template(n, channel => 'sms', locale => 'fr', class => 'transactional', body => n || ' {{client.name}}')) AS templates
  FROM unnest('{welcome,approved,complete_your_file,tips_short,tips_long,we_miss_you,monthly_news,happy_birthday}'::text[]) n;
SELECT mfiauto.create_gateway('sn_mail', channel => 'email', preset => 'sandbox');
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
    SELECT * FROM mfiauto.preview_activation('welcome');
    SELECT mfiauto.activate_workflow('welcome');
UPDATE mfiauto.workflow_head SET salt = 'a' WHERE name = 'welcome';
    SELECT mfiauto.enroll('welcome', client_id => 42) IS NOT NULL AS enrolled;
    SELECT mfiauto.enroll('welcome', client_id => 42) = (SELECT enrollment_id FROM mfiauto.enrollment WHERE workflow = 'welcome') AS is_the_same;
INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, officer_id, branch_id)
VALUES (110, 42, 'Micro', 100000, 4, 100, '2026-01-20', 7, 1), (111, 43, 'Micro', 80000, 4, 100, '2026-01-20', 7, 1);
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-23 09:00+00');
UPDATE bank.loan SET status = 200, approved_on = '2026-01-23' WHERE id = 110;
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-02-02 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT client_id, subject_id, step, channel, body FROM mfiauto.message WHERE workflow = 'welcome' ORDER BY client_id, subject_id, step COLLATE "C";
SELECT client_id, subject_id, state, step, reason FROM mfiauto.enrollment WHERE workflow = 'welcome' ORDER BY client_id, subject_id;
SELECT client_id, traits FROM mfiauto.client_trait ORDER BY client_id;
SELECT client_id, name FROM mfiauto.event WHERE name = 'Onboarding Completed' ORDER BY client_id;

-- Awa repays her first loan on time.
UPDATE bank.loan SET status = 600, closed_on = '2026-02-02' WHERE id = 100;
DELETE FROM bank.installment WHERE id = 1008;
SELECT events FROM mfiauto.run_engine();
SELECT client_id, loans_closed, on_time_ratio FROM mfiauto.client_profile ORDER BY client_id;
    SELECT * FROM mfiauto_segment.good_payers;                    -- every segment is a view: client_id, since
SELECT client_id, name, properties FROM mfiauto.event WHERE name LIKE 'Segment%' ORDER BY event_id;

-- Other triggers: each example of the text.
SELECT mfiauto.create_segment('inactive', query => 'SELECT client_id FROM mfiauto.client_profile WHERE interactions_30d = 0');
SELECT n.name, mfiauto.create_workflow(n.name, format('{"trigger": %s, "steps": [{"send": %s}]}', n.trigger, to_json(n.template))::json) AS version
  FROM (VALUES ('entered', '{"segment": "inactive", "on": "enter"}', 'we_miss_you'),
               ('dormant', '{"inactive": "Session Started", "for": "30 days"}', 'we_miss_you'),
               ('monthly', '{"schedule": "0 9 1 * *", "segment": "good_payers"}', 'monthly_news'),
               ('birthday', '{"yearly": "client.birth_date", "at": "09:00"}', 'happy_birthday')) n(name, trigger, template);
SELECT mfiauto.activate_workflow(n) FROM unnest('{entered,dormant,monthly,birthday}'::text[]) n;
SELECT mfiauto.track('Session Started', client_id => 42, properties => '{"device":"android"}') IS NOT NULL AS tracked;
SELECT mfiauto.set_clock('2026-02-28 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-03-01 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-03-05 09:00+00');
SELECT * FROM mfiauto.run_engine();
SELECT workflow, client_id, entered_at FROM mfiauto.enrollment WHERE workflow IN ('entered', 'dormant', 'monthly', 'birthday') ORDER BY workflow, client_id;

-- See it.
\pset format unaligned
    SELECT mfiauto.workflow_diagram('repayment_reminder');        -- Mermaid text, live counts on its edges
\pset format aligned
    SELECT * FROM mfiauto.simulate_workflow('repayment_reminder', from_date => '2026-01-01', to_date => '2026-06-30');
    SELECT at, what, step, detail FROM mfiauto.explain_client(42, workflow => 'welcome');

DROP OWNED BY regress_bi_team;
DROP ROLE regress_bi_team;
