-- client_timeline(): everything of a client in one order, as many lines of each kind as its source has rows, and no text of a message.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
SELECT mfiauto._set_clock('2026-01-01 08:00+00');
SELECT count(mfiauto.create_template('hello', channel => 'sms', body => 'Hello {{client.name}}, the secret word is Baobab')) AS templates;
INSERT INTO bank.client (id, name, phone, joined) SELECT g, 'Client ' || g, '+2217700000' || lpad(g::text, 2, '0'), '2025-01-01' FROM generate_series(1, 4) g;
INSERT INTO bank.loan (id, client_id, product, principal, disbursed) SELECT g, CASE WHEN g < 4 THEN g END, 'micro', 3000, '2025-12-01' FROM generate_series(1, 4) g;
INSERT INTO bank.member (loan_id, client_id) VALUES (4, 1), (4, 4);
INSERT INTO bank.installment (id, loan_id, number, due_date, due) SELECT l * 10 + i, l, i, date '2026-01-01' + i * 10, 1000 FROM generate_series(1, 4) l, generate_series(1, 3) i;
INSERT INTO bank.holding (id, client_id, product, opened) VALUES (1, 1, 'savings', '2025-06-01');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-3 days 09:00", "send": "hello"}, {"at": "+2 days 09:00", "task": "Visit the client", "assign": "officer"}]}') AS version;
SELECT pg_temp.pass('2026-01-02 08:00+00');
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.opt_in(1, 'voice'), mfiauto.opt_out(1, 'email', reason => 'said so');
SELECT mfiauto.track('Session Started', c) IS NOT NULL AS told FROM generate_series(1, 2) c;
SELECT pg_temp.pass('2026-01-02 09:00+00');
SELECT pg_temp.pass('2026-01-08 09:00+00');
INSERT INTO bank.payment VALUES (1, 1, '2026-01-10 10:00+00', 1000, false), (2, 2, '2026-01-10 11:00+00', 700, false), (3, 4, '2026-01-10 12:00+00', 1000, false), (4, 1, '2026-01-09 10:00+00', 50, true);
UPDATE bank.installment SET paid = due WHERE id IN (11, 41);
SELECT pg_temp.pass('2026-01-12 09:00+00');
SELECT pg_temp.pass('2026-01-13 09:00+00');
SELECT count(*) > 0 AS settled FROM mfiauto.message_ledger m, mfiauto._settle_messages(ARRAY[m.client_id], ARRAY[m.message_id], '{sent}', '{NULL}') WHERE m.client_id = 1;
INSERT INTO mfiauto.receipt (client_id, gateway, message_id, status, applied, digest, received_at) SELECT m.client_id, 'g', m.message_id, 'ok', true, m.message_id::text, mfiauto.now() FROM mfiauto.message_ledger m;
SELECT t.* FROM mfiauto.client_timeline(1) t;
-- As many lines as there are rows.
CREATE FUNCTION pg_temp.expected(client bigint) RETURNS TABLE (kind text, rows bigint) LANGUAGE sql AS $$
  SELECT 'message', count(*) FROM mfiauto.message_ledger m WHERE m.client_id = client
  UNION ALL SELECT 'receipt', count(*) FROM mfiauto.receipt r WHERE r.client_id = client
  UNION ALL SELECT 'task', count(*) FROM mfiauto.task t WHERE t.client_id = client
  UNION ALL SELECT 'consent', count(*) FROM mfiauto.consent c WHERE c.client_id = client
  UNION ALL SELECT 'installment', count(*) FROM bank.installment i JOIN bank.loan l ON l.id = i.loan_id WHERE l.client_id = client OR EXISTS (SELECT FROM bank.member m WHERE m.loan_id = l.id AND m.client_id = client)
  UNION ALL SELECT 'payment', count(*) FROM bank.payment p JOIN bank.loan l ON l.id = p.loan_id WHERE l.client_id = client OR EXISTS (SELECT FROM bank.member m WHERE m.loan_id = l.id AND m.client_id = client)
  UNION ALL SELECT 'loan', count(*) FROM bank.loan l WHERE l.client_id = client OR EXISTS (SELECT FROM bank.member m WHERE m.loan_id = l.id AND m.client_id = client)
  UNION ALL SELECT 'holding', count(*) FROM bank.holding h WHERE h.client_id = client
  UNION ALL SELECT 'decision', count(*) FROM mfiauto.decision_log d WHERE d.client_id = client AND d.decision IN ('entered', 'exited', 'reopened', 'error')
  UNION ALL SELECT 'event', count(*) FROM mfiauto.event e WHERE e.client_id = client AND e.name NOT IN ('Payment Received', 'Installment Scheduled', 'Loan Disbursed', 'Holding Opened') $$;
SELECT c.id, e.kind, e.rows, count(t.kind) AS lines
  FROM bank.client c CROSS JOIN LATERAL pg_temp.expected(c.id) e LEFT JOIN LATERAL mfiauto.client_timeline(c.id) t ON t.kind = e.kind
 GROUP BY 1, 2, 3 HAVING e.rows <> count(t.kind) FILTER (WHERE e.kind <> 'decision' OR t.line <> 'no step is left') ORDER BY 1, 2;
SELECT sum(e.rows) > 50 AS many FROM bank.client c, pg_temp.expected(c.id) e;
SELECT count(*) AS told_secrets FROM bank.client c, mfiauto.client_timeline(c.id) t WHERE t.line ~ 'Baobab|\+2217|Client \d';
SELECT count(*) AS out_of_order FROM (SELECT t.at < lag(t.at) OVER () AS is_back FROM mfiauto.client_timeline(1) t) o WHERE o.is_back;
SELECT t.kind, t.line FROM mfiauto.client_timeline(1, since => '2026-01-10', until => '2026-01-11') t;
SELECT count(*) FROM mfiauto.client_timeline(99);
SELECT * FROM mfiauto.client_timeline(NULL);
