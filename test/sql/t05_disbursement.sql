-- T5: the message's amount is the sum of the disbursement rows at commit; one that is reversed in the same transaction gives none.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
CREATE TABLE bank.disbursement (id bigint PRIMARY KEY, loan_id bigint, amount numeric, reversed boolean DEFAULT false);
CREATE VIEW bank.paid_out AS
  SELECT l.id, l.client_id, CASE WHEN d.amount > 0 AND l.status = 'approved' THEN 'active' ELSE l.status END AS status, coalesce(d.amount, l.principal) AS principal
    FROM bank.loan l LEFT JOIN LATERAL (SELECT sum(x.amount) AS amount FROM bank.disbursement x WHERE x.loan_id = l.id AND NOT x.reversed) d ON true;
SELECT mfiauto.unbind('loan');
SELECT mfiauto.bind('loan', 'bank.paid_out', '{"loan_id": "id", "client_id": "client_id", "status": "status", "principal": "principal", "currency": "''XOF''"}',
                    sources => '{"bank.loan": "id", "bank.disbursement": "loan_id"}') IS NOT NULL AS bound;
SELECT mfiauto.create_template('paid_out', channel => 'sms', body => '{{loan.principal_text}} sont verses.', class => 'transactional') AS version;
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone) VALUES (1, 'Awa', '+221770000001'), (2, 'Binta', '+221770000002'), (3, 'Cheikh', '+221770000003');
INSERT INTO bank.loan (id, client_id, status) VALUES (11, 1, 'approved'), (12, 2, 'approved'), (13, 3, 'approved');
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('disbursed', '{"trigger": {"status": "loan", "from": "approved", "to": "active"}, "class": "transactional", "steps": [{"send": "paid_out"}]}') AS version;
SELECT mfiauto.create_workflow('standard', '{"trigger": {"event": "Loan Disbursed"}, "class": "transactional", "steps": [{"send": "paid_out"}]}') AS version;
SELECT mfiauto.activate_workflow('disbursed'), mfiauto.activate_workflow('standard');
BEGIN;
INSERT INTO bank.disbursement VALUES (1, 11, 60000), (2, 11, 40000), (3, 11, 7000);
UPDATE bank.disbursement SET reversed = true WHERE id = 3;
INSERT INTO bank.disbursement VALUES (4, 12, 50000);
UPDATE bank.disbursement SET reversed = true WHERE id = 4;
COMMIT;
INSERT INTO bank.disbursement VALUES (5, 13, 2500);
SELECT entered, messages FROM mfiauto.run_engine();
SELECT workflow, client_id, body, regexp_replace(body, '[^0-9]', '', 'g')::numeric = (SELECT sum(d.amount) FROM bank.disbursement d WHERE d.loan_id = 10 + client_id AND NOT d.reversed) AS is_sum
  FROM mfiauto.message ORDER BY 1, 2;
