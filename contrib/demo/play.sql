-- How the demo bank's clients behave, so that what a reminder changes is known before it is measured.
--
-- An installment is paid on its day or up to two days before with probability 0.65, whatever we do. A client whom a
-- reminder reached before the end of the due day pays on time with probability 0.80: the true effect of a reminder
-- that arrives is 15 points. The others pay one to twelve days late, one in ten of them not at all. Who pays, pays what is
-- overdue as well. A message to any member of a group reaches the group.
-- What we measure is smaller than 15 points, since a client without a usable number is meant to be reminded but is not reached.

CREATE SCHEMA play;
CREATE TABLE play.behavior (on_time_alone double precision NOT NULL, on_time_reached double precision NOT NULL);
INSERT INTO play.behavior VALUES (0.65, 0.80);

-- Whom a reminder has reached about which installment.
CREATE FUNCTION play.reached(day date) RETURNS TABLE (installment_id bigint) LANGUAGE sql STABLE AS $$
  SELECT DISTINCT m.subject_id FROM mfiauto.message m JOIN bank.installment i ON i.id = m.subject_id
   WHERE m.subject = 'installment' AND m.state = 'delivered' AND i.due_date >= day $$;

-- The payments of one day, at two in the afternoon. What was overdue when the story began comes in as the past did.
CREATE FUNCTION play.pay(day date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  paid bigint;
  loans bigint[];
BEGIN
  WITH plan AS (
    SELECT i.loan_id, i.due_date,
           CASE WHEN i.due_date >= s.start_on AND bank.dice('pay', i.id) < b.on_time_alone
                THEN greatest(s.start_on, i.due_date - floor(bank.dice('early', i.id) * 3)::integer)
                WHEN i.due_date >= s.start_on AND bank.dice('pay', i.id) < b.on_time_reached AND r.installment_id IS NOT NULL THEN i.due_date
                WHEN i.due_date < s.start_on OR bank.dice('never', i.id) >= 0.1 THEN i.due_date + 1 + floor(bank.dice('late', i.id) * 12)::integer END AS pay_on
      FROM bank.installment i CROSS JOIN play.behavior b CROSS JOIN bank.scenario s
      JOIN bank.loan l ON l.id = i.loan_id AND l.status = 300
      LEFT JOIN play.reached(day) r ON r.installment_id = i.id
     WHERE i.paid_on IS NULL AND i.due_date BETWEEN day - 30 AND day + 2 AND NOT bank.in_trouble(i.loan_id)
  ), payer AS (
    SELECT p.loan_id, greatest(day, max(p.due_date)) AS up_to FROM plan p WHERE p.pay_on = day GROUP BY p.loan_id
  ), new_payment AS (
    INSERT INTO bank.payment (loan_id, client_id, paid_at, amount, method)
    SELECT y.loan_id, l.client_id, (day + time '14:00') AT TIME ZONE 'Africa/Dakar', sum(i.principal + i.interest + i.fees - coalesce(i.paid, 0)), 'wallet'
      FROM payer y JOIN bank.loan l ON l.id = y.loan_id
      JOIN bank.installment i ON i.loan_id = y.loan_id AND i.paid_on IS NULL AND i.due_date <= y.up_to
     GROUP BY y.loan_id, l.client_id
    RETURNING loan_id
  )
  SELECT count(*), array_agg(n.loan_id) INTO paid, loans FROM new_payment n;
  PERFORM bank.allocate(coalesce(loans, '{}'));
  RETURN paid;
END $$;

-- A teller keyed one of yesterday's payments for the wrong loan: it is taken back, and the loan owes again.
CREATE FUNCTION play.reverse_one(day date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  wrong bigint := (SELECT min(p.id) FROM bank.payment p JOIN bank.installment i ON i.loan_id = p.loan_id AND i.paid_on = day - 1 AND i.due_date >= day - 1
                    WHERE NOT p.reversed AND p.paid_at >= (day - 1) AT TIME ZONE 'Africa/Dakar');
BEGIN
  PERFORM bank.reverse_payment(wrong, (day + time '09:30') AT TIME ZONE 'Africa/Dakar');
  RETURN wrong;
END $$;

-- What happens on days of their own, counted from 0: on day 6 some clients ask to be left alone; on day 8 the moon is seen, day 10
-- is a holiday, what falls due on it moves to day 11, and nobody is written to on it; on day 11 a payment of the day before is taken back.
CREATE FUNCTION play.news(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  day_no integer := day - (SELECT s.start_on FROM bank.scenario s);
BEGIN
  IF day_no = 6 THEN
    PERFORM mfiauto.opt_out(client_id => c.id, channel => 'sms', reason => 'said so at the branch') FROM bank.client c WHERE c.id % 97 = 5;
  ELSIF day_no = 11 THEN
    PERFORM play.reverse_one(day);
  ELSIF day_no = 8 THEN
    PERFORM mfiauto.set_holiday(day + 2, 'Korité');
    PERFORM bank.move_due_date(day + 2, day + 3);
  END IF;
END $$;

-- What the provider reported, one status callback a line, as its webhook calls would bring it.
CREATE FUNCTION play.take_callbacks(lines text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  line text;
  taken bigint := 0;
BEGIN
  FOR line IN SELECT l FROM string_to_table(lines, E'\n') l WHERE l <> '' LOOP
    PERFORM mfiauto.receive('demo_sms', body => split_part(line, E'\t', 2),
      headers => jsonb_build_object('content-type', 'application/x-www-form-urlencoded', 'x-twilio-signature', split_part(line, E'\t', 1)));
    taken := taken + 1;
  END LOOP;
  RETURN taken;
END $$;
