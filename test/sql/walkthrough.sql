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
SELECT * FROM mfiauto_segment.good_payers;
SELECT mfiauto.refresh_segment('good_payers');

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

DROP OWNED BY regress_bi_team;
DROP ROLE regress_bi_team;
