-- simulate_barred: clients to whom nothing may be sent (a barred status, a mark, erased; an opt-in that waits to be confirmed) are refused by the simulation of a story
-- as they really were: the same message, the same reason; of those who were barred for a while, in that while alone.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-01-01 06:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, phone text, status text DEFAULT 'active');
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'active');
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric DEFAULT 1000, paid numeric DEFAULT 0);
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "phone": "phone", "status": "status"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.create_template(n, channel => 'sms', body => 'Bonjour') FROM unnest('{due,offer}'::text[]) n;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.bar_status('Suspended', 'by the board');
SELECT mfiauto.set_policy(class => 'marketing', double_opt_in => true);
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "steps": [{"at": "-3 days 09:00", "send": "due"}, {"at": "+1 days 09:00", "send": "due"}]}') > 0 AS made;
SELECT mfiauto.create_workflow('offer', '{"for_each": "installment", "anchor": "due_date", "class": "marketing", "steps": [{"at": "-2 days 10:00", "send": "offer"}]}') > 0 AS made;
RESET client_min_messages;
INSERT INTO bank.client SELECT g, '+22177000000' || g FROM generate_series(1, 8) g;
INSERT INTO bank.loan SELECT 10 + g, g FROM generate_series(1, 8) g;
INSERT INTO bank.installment SELECT 100 * g + m, 10 + g, date '2026-01-14' + 28 * m FROM generate_series(1, 8) g, generate_series(0, 1) m;
SELECT mfiauto.opt_in(1, 'sms', 'marketing'), mfiauto.opt_in(2, 'sms', 'marketing'), mfiauto.confirm_opt_in(2, 'sms');
SELECT mfiauto.activate_workflow('due'), mfiauto.activate_workflow('offer');

-- 3 dies; 4 is suspended for two weeks; 5 is dormant, which bars nobody; 6 was erased; 7 is not to be contacted any more.
CREATE PROCEDURE pg_temp.bank_moment(moment text) LANGUAGE plpgsql AS $$
BEGIN
  CASE moment
    WHEN '2026-01-05 10:00' THEN UPDATE bank.client SET status = 'Suspended ' WHERE id = 4; UPDATE bank.client SET status = 'dormant' WHERE id = 5;
    WHEN '2026-01-12 10:00' THEN UPDATE bank.client SET status = 'deceased' WHERE id = 3;
    WHEN '2026-01-13 10:00' THEN PERFORM mfiauto.erase_client(6, 'asked to');
    WHEN '2026-01-19 10:00' THEN UPDATE bank.client SET status = 'active' WHERE id = 4;
    WHEN '2026-02-09 10:00' THEN PERFORM mfiauto.identify(7, '{"do_not_contact": true}');
    ELSE NULL;
  END CASE;
END $$;
\o /dev/null
SELECT format('SELECT mfiauto._set_clock(%L)', d || ' ' || t || '+00'), 'SELECT * FROM mfiauto.run_engine()', 'SELECT * FROM mfiauto.run_delivery()', format('CALL pg_temp.bank_moment(%L)', d || ' ' || t)
  FROM unnest('{2026-01-05,2026-01-10,2026-01-12,2026-01-13,2026-01-15,2026-01-19,2026-01-20,2026-02-07,2026-02-09,2026-02-12}'::text[]) d, unnest('{09:00,10:00}'::text[]) t ORDER BY d, t \gexec
\o
SELECT mfiauto._set_clock('2026-02-16 06:00+00');
SELECT count(*) AS passes FROM mfiauto.run_engine();
CREATE TEMP TABLE real AS
  SELECT m.workflow, m.client_id, m.subject_id, m.step, CASE WHEN m.sent_at IS NOT NULL THEN 'sent' ELSE concat_ws(': ', m.state, m.reason) END AS outcome FROM mfiauto.message m;
CREATE TEMP TABLE told AS
  SELECT w.name AS workflow, s.client_id, s.subject_id, s.step, s.outcome, s.approximate, s.note
    FROM unnest('{due,offer}'::text[]) AS w(name), mfiauto.simulate_workflow(w.name, '2026-01-01', '2026-02-16') s;
SELECT workflow, outcome, string_agg(client_id::text, ' ' ORDER BY client_id, subject_id, step) AS clients FROM real GROUP BY 1, 2 ORDER BY 1, 2;
-- Only these differ: who was erased has no runs any more; and a mark (7) is today's, for nobody noted its day.
SELECT coalesce(r.workflow, t.workflow) AS workflow, client_id, subject_id, step, r.outcome AS really, t.outcome AS simulated, t.approximate, t.note
  FROM real r FULL JOIN told t USING (workflow, client_id, subject_id, step) WHERE r.outcome IS DISTINCT FROM t.outcome ORDER BY 1, 2, 3, 4;
SELECT client_id, subject_id, step, outcome, note FROM told WHERE approximate ORDER BY 1, 2, 3;

-- The future: as the books have it now.
INSERT INTO bank.installment SELECT 100 * g + 2, 10 + g, date '2026-03-11' FROM generate_series(1, 8) g;
SELECT client_id, outcome, count(*) FROM mfiauto.simulate_workflow('due', '2026-02-16', '2026-03-31', payments => 'none') GROUP BY 1, 2 ORDER BY 1, 2;
