-- T7: the end of a loan: by repayment exactly one congratulation, by a write-off none; 30 days before maturity a word, in the client's zone.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone, tz) VALUES (1, 'Awa', '+221770000001', 'Europe/Paris'), (2, 'Binta', '+221770000002', NULL), (3, 'Cheikh', '+221770000003', NULL);
INSERT INTO bank.loan (id, client_id, status, matures_on) VALUES (11, 1, 'active', '2026-04-14'), (12, 2, 'active', '2026-04-14'), (13, 3, 'active', '2026-04-14');
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('congratulation', '{"trigger": {"status": "loan", "from": ["active", "rescheduled"], "to": "closed"}, "class": "transactional", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('maturity', '{"for_each": "loan", "anchor": "maturity_on", "class": "transactional", "enter_if": "loan.status = ''active''", "exit_if": "loan.status <> ''active''",
  "steps": [{"at": "-30 days 10:00", "send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('congratulation'), mfiauto.activate_workflow('maturity');
SELECT entered, messages FROM pg_temp.at('2026-03-06 09:00+00');
UPDATE bank.loan SET status = 'written_off' WHERE id = 12;
UPDATE bank.loan SET status = 'closed' WHERE id = 13;
SELECT entered, exited, messages FROM mfiauto.run_engine();
-- Maturity less 30 days is 15 March: 10:00 in Paris.
SELECT messages FROM pg_temp.at('2026-03-15 08:59:59+00');
SELECT messages FROM pg_temp.at('2026-03-15 09:00+00');
UPDATE bank.loan SET status = 'rescheduled' WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
UPDATE bank.loan SET status = 'closed' WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
-- Closed once more after a correction: still one.
UPDATE bank.loan SET status = 'active' WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
UPDATE bank.loan SET status = 'closed' WHERE id = 11;
SELECT entered FROM mfiauto.run_engine();
SELECT workflow, client_id, subject_id, count(*) FROM mfiauto.message GROUP BY 1, 2, 3 ORDER BY 1, 2;
