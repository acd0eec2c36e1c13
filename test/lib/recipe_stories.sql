-- The story of each recipe, the same on every host: the host's own tables are behind client(), apply(), approve(), reject(), withdraw(), disburse(), repay(),
-- write_off(), start_application() and submit_application().

-- Repayment reminder. Binta pays early, Modou would rather listen than read, Ousmane has no telephone, Coumba's loan is not running.
\set ECHO none
\o /dev/null
SELECT client(1, 'Awa Diop', '77 123 45 67'), client(2, 'Modou Fall', '78 765 43 21', 'wo', true), client(3, 'Binta Sow', '77 000 11 22'),
       client(4, 'Ousmane Ba', NULL), client(5, 'Coumba Sy', '70 111 22 33', 'en');
SELECT apply(100 + n, n, 12500, '2026-01-14') FROM generate_series(1, 5) n;
SELECT disburse(100 + n) FROM generate_series(1, 4) n;
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('repayment_reminder', activate => true) GROUP BY section, outcome ORDER BY section;
UPDATE mfiauto.workflow_version SET holdout = 0;
SELECT * FROM pass('2026-01-05 08:00+00');
SELECT * FROM pass('2026-01-07 09:00+00');
SELECT * FROM pass('2026-01-10 09:00+00');
SELECT repay(103, 12500);
SELECT * FROM pass('2026-01-14 09:00+00');
SELECT * FROM pass('2026-01-15 09:00+00');
SELECT repay(102, 12500);
SELECT * FROM pass('2026-01-17 09:00+00');
SELECT * FROM pass('2026-01-19 09:00+00');
SELECT client_id, state, reason FROM runs WHERE workflow = 'repayment_reminder';
-- Nothing is left to say to those who paid.
SELECT count(*) AS said_after_paying FROM mfiauto.message m WHERE m.workflow = 'repayment_reminder' AND m.state = 'queued' AND m.client_id IN (2, 3);
SELECT mfiauto.archive_workflow('repayment_reminder') \g /dev/null

-- Welcome. Khady is accepted and paid out; Pape is refused; Sokhna's file stays open, then she gives up; Ibou borrows for the second time.
SELECT mfiauto.set_clock('2026-01-20 08:00+00');
SELECT section, count(*), outcome FROM mfiauto.install_recipe('welcome_onboarding', activate => true) GROUP BY section, outcome ORDER BY section;
\set ECHO none
\o /dev/null
SELECT client(21, 'Khady Gueye', '77 200 00 21'), client(22, 'Pape Sarr', '77 200 00 22', 'en'), client(23, 'Sokhna Kane', '77 200 00 23'), client(24, 'Ibou Cisse', '77 200 00 24');
SELECT apply(2100, 21, 60000, '2026-03-20'), apply(2200, 22, 70000, '2026-03-20'), apply(2300, 23, 80000, '2026-03-20'), apply(2400, 24, 90000, '2026-03-20', 2);
\o
\set ECHO all
SELECT * FROM pass('2026-01-20 09:00+00');
SELECT mfiauto.set_clock('2026-01-23 11:00+00');
SELECT approve(2100), reject(2200);
SELECT * FROM pass('2026-01-23 12:00+00');
SELECT mfiauto.set_clock('2026-01-26 11:00+00');
SELECT disburse(2100);
SELECT * FROM pass('2026-01-26 12:00+00');
SELECT * FROM pass('2026-01-28 18:00+00');
SELECT * FROM pass('2026-01-29 10:00+00');
SELECT * FROM pass('2026-01-30 10:00+00');
SELECT withdraw(2300);
SELECT * FROM pass('2026-02-01 10:00+00');
SELECT client_id, state, reason FROM runs WHERE workflow = 'welcome_onboarding';
SELECT client_id, name FROM mfiauto.event WHERE name = 'Onboarding Completed';
SELECT client_id, traits ->> 'onboarded' AS onboarded FROM mfiauto.client_trait WHERE traits ? 'onboarded';
SELECT mfiauto.archive_workflow('welcome_onboarding') \g /dev/null

-- Education. Mariama and Lamine agreed to it, Lamine begins eight days later; Aissatou did not agree.
SELECT mfiauto.set_clock('2026-02-02 08:00+00');
SELECT section, count(*), outcome FROM mfiauto.install_recipe('education_series', activate => true) GROUP BY section, outcome ORDER BY section;
\set ECHO none
\o /dev/null
SELECT client(31, 'Mariama Ba', '77 300 00 31'), client(32, 'Lamine Diallo', '77 300 00 32', 'fr', true), client(33, 'Aissatou Ndiaye', '77 300 00 33');
SELECT mfiauto.opt_in(c, purpose => 'education') FROM unnest('{31,32}'::bigint[]) c;
SELECT apply(3100, 31, 60000, '2026-05-20'), apply(3200, 32, 70000, '2026-05-20'), apply(3300, 33, 80000, '2026-05-20');
SELECT disburse(3100), disburse(3300);
\o
\set ECHO all
SELECT * FROM pass('2026-02-02 09:00+00');
SELECT client, says FROM pass('2026-02-05 10:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT mfiauto.set_clock('2026-02-10 08:00+00');
SELECT disburse(3200);
SELECT client, channel, left(says, 30) AS says FROM pass('2026-02-10 09:00+00');
-- A second loan is no second beginning. A pause keeps the place.
SELECT apply(3101, 31, 60000, '2026-05-20'), disburse(3101);
SELECT client, channel, left(says, 30) AS says FROM pass('2026-02-12 10:00+00');
SELECT client, channel, left(says, 30) AS says FROM pass('2026-02-13 10:00+00');
SELECT mfiauto.pause_workflow('education_series') \g /dev/null
SELECT client, channel, left(says, 30) AS says FROM pass('2026-02-19 10:00+00');
SELECT mfiauto.resume_workflow('education_series') \g /dev/null
SELECT client, channel, left(says, 30) AS says FROM pass('2026-02-20 10:00+00');
SELECT client, left(says, 12) AS says FROM pass('2026-02-27 10:00+00');
SELECT client, left(says, 12) AS says FROM pass('2026-03-06 10:00+00');
SELECT client, left(says, 12) AS says FROM pass('2026-03-13 10:00+00');
SELECT client, left(says, 12) AS says FROM pass('2026-03-20 10:00+00');
SELECT client, left(says, 12) AS says FROM pass('2026-03-27 10:00+00');
-- Each lesson once, in order; who did not agree had none that left.
SELECT m.client_id, count(*) AS lessons, count(DISTINCT s.template) AS different, string_agg(right(s.template, 1), '' ORDER BY m.created_at) AS in_order
  FROM mfiauto.message_ledger m JOIN mfiauto.workflow_step s USING (workflow_id, version, step_no)
 WHERE s.template LIKE 'education_series%' AND m.client_id <> 33 GROUP BY m.client_id ORDER BY m.client_id;
SELECT DISTINCT state, reason FROM mfiauto.message WHERE workflow = 'education_series' AND client_id = 33 AND step = 'steps[1]';
SELECT client_id, state, reason FROM runs WHERE workflow = 'education_series';
SELECT mfiauto.archive_workflow('education_series') \g /dev/null

-- Next loan. Rokhaya repays and applies again; Demba's loan is written off; Astou repays one loan and is late with another; Moussa repays and does nothing.
SELECT mfiauto.set_clock('2026-05-04 08:00+00');
SELECT section, count(*), outcome FROM mfiauto.install_recipe('next_loan', activate => true) GROUP BY section, outcome ORDER BY section;
\set ECHO none
\o /dev/null
SELECT client(51, 'Rokhaya Niang', '77 500 00 51'), client(52, 'Demba Ka', '77 500 00 52'), client(53, 'Astou Seck', '77 500 00 53'), client(54, 'Moussa Thiam', '77 500 00 54');
SELECT mfiauto.opt_in(c, purpose => 'marketing') FROM generate_series(51, 54) c;
SELECT apply(5000 + c, c, 40000, '2026-05-11'), disburse(5000 + c) FROM generate_series(51, 54) c;
SELECT apply(5100, 53, 30000, '2026-05-12'), disburse(5100);
\o
\set ECHO all
SELECT * FROM pass('2026-05-04 09:00+00');
SELECT mfiauto.set_clock('2026-05-11 10:00+00');
SELECT repay(5051, 40000), write_off(5052), repay(5053, 40000), repay(5054, 40000);
SELECT * FROM pass('2026-05-11 11:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
-- Astou's other loan falls due on the 12th and is not paid: on the 13th it is late.
SELECT * FROM pass('2026-05-13 09:00+00');
SELECT * FROM pass('2026-05-15 10:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT mfiauto.set_clock('2026-05-16 10:00+00');
SELECT apply(5151, 51, 50000, '2026-08-11', 2);
SELECT * FROM pass('2026-05-16 11:00+00');
SELECT * FROM pass('2026-05-29 12:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT workflow, client_id, state, reason FROM runs WHERE workflow LIKE 'next_loan%';
SELECT client_id, step, state, reason FROM mfiauto.message WHERE workflow = 'next_loan' ORDER BY client_id, step COLLATE "C";
SELECT mfiauto.archive_workflow(w) FROM unnest('{next_loan,next_loan_arrears}'::text[]) w \g /dev/null
