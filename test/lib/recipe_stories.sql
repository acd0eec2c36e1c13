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

-- Stalled application: exactly three days, one nudge; submitting cancels it.
SELECT mfiauto.set_clock('2026-04-06 08:00+00');
SELECT section, count(*), outcome FROM mfiauto.install_recipe('stalled_application', activate => true) GROUP BY section, outcome ORDER BY section;
\set ECHO none
\o /dev/null
SELECT client(41, 'Fama Dieng', '77 400 00 41'), client(42, 'Alioune Sy', '77 400 00 42'), client(43, 'Ndeye Faye', '77 400 00 43');
SELECT start_application(4100, 41), start_application(4200, 42), start_application(4300, 43);
\o
\set ECHO all
SELECT * FROM pass('2026-04-06 12:00+00');
SELECT * FROM pass('2026-04-08 23:59+00');
SELECT submit_application(4200);
SELECT * FROM pass('2026-04-09 09:59:59+00');
SELECT * FROM pass('2026-04-09 10:00+00');
SELECT submit_application(4300);
SELECT * FROM pass('2026-04-10 10:00+00');
SELECT * FROM pass('2026-04-16 10:00+00');
SELECT client_id, state, reason FROM runs WHERE workflow = 'stalled_application';
SELECT client_id, state, reason FROM mfiauto.message WHERE workflow = 'stalled_application' ORDER BY client_id;
SELECT mfiauto.archive_workflow('stalled_application') \g /dev/null

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

-- Dormant client. Nogaye is silent; Boubacar pays a second before his ninety days are over; Coura is silent and comes back when asked.
SELECT mfiauto.set_clock('2026-06-01 08:00+00');
\set ECHO none
\o /dev/null
SELECT client(61, 'Nogaye Mbaye', '77 600 00 61'), client(62, 'Boubacar Tall', '77 600 00 62'), client(63, 'Coura Diagne', '77 600 00 63');
SELECT mfiauto.opt_in(c, purpose => 'marketing') FROM generate_series(61, 63) c;
SELECT apply(6000 + c, c, 40000, '2027-05-11'), disburse(6000 + c) FROM generate_series(61, 63) c;
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('dormant_client', activate => true) GROUP BY section, outcome ORDER BY section;
SELECT * FROM pass('2026-06-01 09:00:00+00') WHERE client BETWEEN 61 AND 63;
SELECT mfiauto.set_clock('2026-08-30 07:59:59+00');
SELECT repay(6062, 1000);
SELECT * FROM pass('2026-08-30 12:00+00') WHERE client BETWEEN 61 AND 63;
SELECT * FROM pass('2026-08-31 10:00+00') WHERE client BETWEEN 61 AND 63;
SELECT mfiauto.track('Session Started', client_id => 63) IS NOT NULL AS tracked;
SELECT * FROM pass('2026-09-01 10:00+00') WHERE client BETWEEN 61 AND 63;
SELECT * FROM pass('2026-09-14 12:00+00') WHERE client BETWEEN 61 AND 63;
SELECT client_id, state, reason FROM runs WHERE workflow = 'dormant_client' AND client_id BETWEEN 61 AND 63;
SELECT mfiauto.archive_workflow('dormant_client') \g /dev/null

-- Change of terms. Holders: 71 acknowledges, 72 after the reminder, 73 never (a visit), 74 has no telephone (a visit as well), 75 comes to hold the product later. 76 holds nothing.
SELECT mfiauto.set_clock('2026-10-05 08:00+00');
\set ECHO none
\o /dev/null
SELECT client(71, 'Adama Sagna', '77 700 00 71'), client(72, 'Bineta Lo', '77 700 00 72', 'en'), client(73, 'Cheikh Diouf', '77 700 00 73'), client(74, 'Dieynaba Wade', NULL),
       client(75, 'El Hadji Ndao', '77 700 00 75'), client(76, 'Fanta Camara', '77 700 00 76');
SELECT apply(7000 + c, c, 40000, '2027-05-11'), disburse(7000 + c) FROM generate_series(71, 74) c;
SELECT mfiauto.run_engine();
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('change_of_terms') GROUP BY section, outcome ORDER BY section;
-- The institution says who is concerned, and begins.
SELECT mfiauto.alter_segment('change_of_terms_holders', query => 'SELECT client_id FROM mfiauto.client_profile WHERE loans_active > 0 AND client_id BETWEEN 71 AND 79');
SELECT mfiauto.activate_workflow('change_of_terms') IS NOT NULL AS activated;
SELECT * FROM pass('2026-10-05 09:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT mfiauto.track('Terms Acknowledged', client_id => 71, properties => '{"terms": "2026-1"}') IS NOT NULL AS tracked;
SELECT mfiauto.track('Terms Acknowledged', client_id => 73, properties => '{"terms": "2025-1"}') IS NOT NULL AS tracked;
SELECT * FROM pass('2026-10-06 09:00+00');
SELECT apply(7075, 75, 40000, '2027-05-11'), disburse(7075);
SELECT * FROM pass('2026-10-07 09:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT * FROM pass('2026-10-12 12:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT mfiauto.track('Terms Acknowledged', client_id => 72, properties => '{"terms": "2026-1"}') IS NOT NULL AS tracked;
SELECT mfiauto.track('Terms Acknowledged', client_id => 75, properties => '{"terms": "2026-1"}') IS NOT NULL AS tracked;
SELECT * FROM pass('2026-10-13 12:00+00');
SELECT * FROM pass('2026-10-20 12:00+00');
-- One outcome a holder; those who were not reached are the officers' list.
SELECT m.client_id, CASE WHEN bool_or(m.state IN ('delivered', 'sent')) THEN 'reached' WHEN bool_or(m.reason IN ('no_address', 'invalid_address')) THEN 'no address' ELSE 'failed' END AS outcome, count(*)
  FROM mfiauto.message m WHERE m.workflow = 'change_of_terms' AND m.step = 'steps[0]' GROUP BY m.client_id ORDER BY m.client_id;
SELECT mfiauto.close_task(t.task_id, outcome => CASE t.client_id WHEN 73 THEN 'signed' ELSE 'not_found' END) FROM mfiauto.task t WHERE t.client_id IN (73, 74) AND t.state = 'open' AND t.title LIKE 'Remettre%' ORDER BY t.client_id;
SELECT * FROM pass('2026-10-21 12:00+00');
SELECT client_id, traits ->> 'terms_told' AS told, traits ->> 'terms_acknowledged' AS acknowledged, traits ->> 'terms_not_reached' AS not_reached
  FROM mfiauto.client_trait WHERE client_id BETWEEN 71 AND 75 ORDER BY client_id;
SELECT client_id, state, reason FROM runs WHERE workflow = 'change_of_terms';
SELECT mfiauto.archive_workflow('change_of_terms') \g /dev/null

-- Insurance. Only 81 to 83 are meant: 84 has a small family, 85 lives elsewhere, 86 pays late, 87 did not agree to be written to. 81 follows the link.
SELECT mfiauto.set_clock('2026-11-02 08:00+00');
\set ECHO none
\o /dev/null
SELECT client(80 + n, 'Client ' || n, '77 800 00 8' || n, 'fr', false, CASE WHEN n = 5 THEN 'Matam' ELSE 'Dakar' END, CASE WHEN n = 4 THEN 3 ELSE 8 END) FROM generate_series(1, 7) n;
SELECT mfiauto.opt_in(c, purpose => 'marketing') FROM generate_series(81, 86) c;
SELECT apply(8000 + c, c, 40000, '2026-11-03'), disburse(8000 + c), apply(8100 + c, c, 40000, '2027-11-03'), disburse(8100 + c) FROM generate_series(81, 87) c;
SELECT mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-11-03 08:00+00');
SELECT repay(8000 + c, 40000) FROM generate_series(81, 87) c WHERE c <> 86;
SELECT mfiauto.set_clock('2026-11-05 08:00+00');
SELECT mfiauto.run_engine();
\o
\set ECHO all
SELECT section, count(*), outcome FROM mfiauto.install_recipe('insurance_offer', activate => true) GROUP BY section, outcome ORDER BY section;
UPDATE mfiauto.workflow_version SET holdout = 0;
SELECT client_id FROM mfiauto_segment.insurance_offer_prospects ORDER BY client_id;
SELECT client, channel, left(says, 40) AS says FROM pass('2026-11-05 09:00+00');
SELECT client, channel, left(says, 40) AS says FROM pass('2026-11-05 10:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT mfiauto.track('Link Clicked', client_id => 81, properties => '{"campaign": "insurance_offer"}') IS NOT NULL AS tracked;
SELECT mfiauto.track('Link Clicked', client_id => 82, properties => '{"campaign": "another"}') IS NOT NULL AS tracked;
SELECT client, channel, left(says, 40) AS says FROM pass('2026-11-06 09:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT client, channel, says FROM pass('2026-11-13 12:00+00');
SELECT client, channel, says FROM pass('2026-11-16 12:00+00');
SELECT * FROM mfiauto.run_delivery() \g /dev/null
-- Who did not follow the link never had the details.
SELECT s.template, m.client_id, m.state, m.reason FROM mfiauto.message m JOIN mfiauto.workflow_head h ON h.name = m.workflow
  JOIN mfiauto.workflow_step s ON s.workflow_id = h.workflow_id AND s.version = m.version AND s.path = m.step
 WHERE m.workflow = 'insurance_offer' ORDER BY s.template DESC, m.client_id;
SELECT mfiauto.archive_workflow('insurance_offer') \g /dev/null

-- Birthday. 91 and 92 (29 February) are greeted, 93 is of age only in the second year, 94 did not agree. 28 February 2027 is a Sunday: 92 hears it on Monday.
SELECT mfiauto.set_clock('2027-01-04 08:00+00');
SELECT section, count(*), outcome FROM mfiauto.install_recipe('birthday', activate => true) GROUP BY section, outcome ORDER BY section;
\set ECHO none
\o /dev/null
SELECT client(91, 'Gnilane Senghor', '77 900 00 91', born => '1990-02-23'), client(92, 'Habib Diop', '77 900 00 92', 'en', born => '1988-02-29'),
       client(93, 'Issa Fall', '77 900 00 93', born => '2010-02-24'), client(94, 'Jean Mendy', '77 900 00 94', born => '1980-02-23');
SELECT mfiauto.opt_in(c, purpose => 'marketing') FROM generate_series(91, 93) c;
\o
\set ECHO all
SELECT * FROM pass('2027-01-04 09:00+00') WHERE client > 90;
SELECT * FROM pass('2027-02-22 09:00+00') WHERE client > 90;
SELECT * FROM pass('2027-02-23 08:59:59+00') WHERE client > 90;
SELECT * FROM pass('2027-02-23 09:00+00') WHERE client > 90;
SELECT * FROM mfiauto.run_delivery() \g /dev/null
SELECT * FROM pass('2027-02-24 09:00+00') WHERE client > 90;
SELECT * FROM pass('2027-02-27 09:00+00') WHERE client > 90;
SELECT * FROM pass('2027-03-01 09:00+00') WHERE client > 90;
SELECT * FROM pass('2028-02-23 09:00+00') WHERE client > 90;
SELECT * FROM pass('2028-02-24 09:00+00') WHERE client > 90;
SELECT * FROM pass('2028-02-29 09:00+00') WHERE client > 90;
SELECT client_id, count(*) AS greetings, count(DISTINCT created_at::date) AS days FROM mfiauto.message WHERE workflow = 'birthday' AND client_id > 90 GROUP BY client_id ORDER BY client_id;
SELECT DISTINCT client_id, state, reason FROM mfiauto.message WHERE workflow = 'birthday' AND client_id IN (91, 94) AND created_at < '2028-01-01' ORDER BY client_id;
