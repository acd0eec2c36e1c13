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
