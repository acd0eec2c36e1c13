-- W4: a payment stops the reminders (a) when its batch is consumed, (b) when a step runs, (c) at the claim, after the row lock;
-- a goal is counted, and ends the run where that was asked. (The race of 10,000 payments is 220_w04_claim_race.)
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-03-02 08:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'active');
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric, paid numeric DEFAULT 0);
CREATE TABLE bank.payment (id bigint PRIMARY KEY, loan_id bigint, paid_at timestamptz, amount numeric, reversed boolean DEFAULT false);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "paid_at": "paid_at", "amount": "amount", "reversed": "reversed"}');
CREATE FUNCTION bank.pay(installment bigint, at timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bank.payment SELECT i.id, i.loan_id, at, i.due FROM bank.installment i WHERE i.id = pay.installment;
  UPDATE bank.installment SET paid = due WHERE id = pay.installment;
$$;
SELECT mfiauto.create_template('due', channel => 'sms', class => 'collection', body => 'Bonjour {{client.name}}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('reminder', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "exit_if": "installment.amount_paid >= installment.amount_due", "goal": {"event": "Payment Received", "within": "3 days"},
  "steps": [{"at": "-3 days 09:00", "send": "due"}, {"at": "0 days 09:00", "send": "due"}, {"at": "+1 day 09:00", "send": "due"}]}');
SELECT mfiauto.activate_workflow('reminder');
-- Due on Friday 2026-03-06, so reminded on Tuesday, Friday and Saturday. Clients 1 to 5 pay at different moments, client 6 never; client 7's payment is taken back.
INSERT INTO bank.client SELECT n, 'Client ' || n, '+22177000000' || n FROM generate_series(1, 7) n;
INSERT INTO bank.loan SELECT n, n FROM generate_series(1, 7) n;
INSERT INTO bank.installment SELECT n, n, '2026-03-06', 1000 FROM generate_series(1, 7) n;
SELECT entered, messages FROM mfiauto.run_engine();

-- (a) Client 1 pays before the first moment: the run ends when the payment's batch is consumed.
SELECT bank.pay(1, '2026-03-02 15:00+00');
SELECT exited FROM mfiauto.run_engine();

-- (b) Client 2 pays at the very moment of the step, no pass of the engine in between.
SELECT mfiauto.set_clock('2026-03-03 09:00+00');
SELECT bank.pay(2, '2026-03-03 09:00+00');
SELECT exited, messages FROM mfiauto.run_engine();

-- (c) Client 3 pays when his message waits in the queue, and no pass of the engine follows: the claim sees it.
SELECT bank.pay(3, '2026-03-03 09:00+00');
SELECT claimed, sent, suppressed FROM mfiauto.run_delivery();
SELECT mfiauto.run_engine() IS NOT NULL AS ran;

-- Client 4 pays within the three days of the goal, client 5 after them.
SELECT mfiauto.set_clock('2026-03-05 12:00+00');
SELECT bank.pay(4, '2026-03-05 12:00+00');
SELECT bank.pay(7, '2026-03-05 12:00+00');
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
-- A payment taken back opens the run again at its next step.
UPDATE bank.payment SET reversed = true WHERE id = 7;
UPDATE bank.installment SET paid = 0 WHERE id = 7;
SELECT mfiauto.run_engine() IS NOT NULL AS ran;
SELECT client_id, state, reason, step FROM mfiauto.enrollment WHERE client_id IN (4, 7) ORDER BY client_id;
SELECT mfiauto.set_clock('2026-03-06 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto.set_clock('2026-03-07 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto.set_clock('2026-03-12 10:00+00');
SELECT bank.pay(5, '2026-03-12 10:00+00');
SELECT mfiauto.run_engine() IS NOT NULL AS ran;

SELECT client_id, state, reason FROM mfiauto.enrollment ORDER BY client_id;
SELECT client_id, step, state, reason FROM mfiauto.message ORDER BY client_id, due_at;
-- Nobody got anything after he had paid.
SELECT count(*) AS sent_after_payment
  FROM mfiauto.message m JOIN bank.payment p ON p.loan_id = m.client_id WHERE m.sent_at >= p.paid_at AND NOT p.reversed;
-- The goal: a payment within three days of a step, whether or not its message left.
SELECT g.client_id, s.path, g.reached_at FROM mfiauto.goal_hit g JOIN mfiauto.workflow_step s USING (workflow_id, step_no) WHERE s.version = 1 ORDER BY g.client_id, s.step_no;

-- A goal that was asked to end the run does.
SELECT mfiauto.create_workflow('follow_up', '{"trigger": {"event": "Loan Applied"}, "goal": {"event": "Session Started", "within": "5 days"}, "exit_on_goal": true,
  "class": "transactional", "steps": [{"send": "due"}, {"wait": "2 days"}, {"send": "due"}]}');
SELECT mfiauto.activate_workflow('follow_up');
SELECT mfiauto.enroll('follow_up', client_id => n, subject_id => n) IS NOT NULL AS enrolled FROM generate_series(5, 6) n;
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-03-13 10:00+00');
SELECT mfiauto.track('Session Started', client_id => 6) IS NOT NULL AS tracked;
SELECT exited FROM mfiauto.run_engine();
SELECT client_id, state, reason FROM mfiauto.enrollment WHERE workflow = 'follow_up' ORDER BY client_id;
