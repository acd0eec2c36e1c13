-- W8, the map of the client's path: each seed touch point is covered while a live workflow stands for it, with its messages of 30 days; archiving uncovers it.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
ALTER TABLE bank.client ADD born date;
SELECT mfiauto.unbind('client');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "time_zone": "tz", "literacy": "literacy", "officer_id": "officer_id", "birth_date": "born"}') IS NULL AS no;
\pset format unaligned
SELECT mfiauto._set_clock('2026-03-31 09:00+00');
SELECT touchpoint, about, is_covered, workflows, messages_30d FROM mfiauto.touchpoint_coverage;

-- A workflow for each, and messages of its steps that left in March.
CREATE FUNCTION pg_temp.make(touchpoint text, head text, steps text DEFAULT '{"send": "today", "channels": ["sms"]}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE called text := 'for ' || touchpoint;
BEGIN
  PERFORM mfiauto.create_workflow(called, format('{%s, "steps": [%s]}', head, steps)::json);
  PERFORM mfiauto.activate_workflow(called);
  INSERT INTO mfiauto.rollup_message SELECT d, s.workflow_id, 1, s.step_no, 'sms', 'g', 'XOF', 9, 0, s.step_no, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM mfiauto.workflow_head h JOIN mfiauto.workflow_step s ON s.workflow_id = h.workflow_id, unnest(ARRAY[date '2026-03-01', '2026-03-02', '2026-03-31']) d WHERE h.name = called;
END $$;
UPDATE mfiauto.kpi_refresh SET on_date = '2026-03-31';
SELECT mfiauto.create_segment('savers', clients => '{1}');
SELECT pg_temp.make('first_contact', '"class": "marketing", "trigger": {"event": "Lead Created"}');
SELECT pg_temp.make('application', '"class": "transactional", "trigger": {"event": "Loan Applied"}');
SELECT pg_temp.make('accepted', '"class": "transactional", "trigger": {"status": "loan", "from": ["applied", "rescheduled"], "to": "approved"}');
SELECT pg_temp.make('refused', '"class": "transactional", "trigger": {"status": "loan", "to": "rejected"}');
SELECT pg_temp.make('disbursement', '"class": "transactional", "trigger": {"event": ["Loan Disbursed", "Card Issued"]}');
SELECT pg_temp.make('before_due', '"class": "collection", "for_each": "installment", "anchor": "due_date"', '{"at": "-7 days 09:00", "send": "before"}, {"at": "-1 day 09:00", "send": "before"}');
SELECT pg_temp.make('on_due', '"class": "collection", "for_each": "installment", "anchor": "due_date"', '{"at": "0 days 09:00", "send": "today"}');
SELECT pg_temp.make('after_due', '"class": "collection", "for_each": "installment", "anchor": "due_date"', '{"at": "+3 days 09:00", "send": "late"}');
SELECT pg_temp.make('end_of_loan', '"class": "transactional", "for_each": "loan", "anchor": "maturity_on"', '{"at": "-30 days 09:00", "send": "thanks"}');
SELECT pg_temp.make('next_offer', '"class": "marketing", "trigger": {"segment": "savers", "on": "enter"}');
SELECT pg_temp.make('birthday', '"class": "marketing", "trigger": {"yearly": "client.birth_date", "at": "09:00"}');
SELECT pg_temp.make('inactivity', '"class": "marketing", "trigger": {"inactive": ["Loan Applied", "Payment Received"], "for": "90 days"}');
SELECT pg_temp.make('change_of_terms', '"class": "legal", "trigger": {"manual": true}');
SELECT pg_temp.make('education', '"class": "education", "trigger": {"schedule": "0 9 1 * *", "segment": "savers"}');
-- What stands for no touch point covers none.
SELECT pg_temp.make('nothing', '"class": "transactional", "trigger": {"status": "loan", "to": "rescheduled"}');
-- Each is covered by its own workflow and by no other, with the accepted messages of its own steps since 2 March.
SELECT touchpoint, is_covered, workflows, messages_30d FROM mfiauto.touchpoint_coverage WHERE workflows <> ARRAY['for ' || touchpoint] OR messages_30d <> CASE touchpoint WHEN 'before_due' THEN 6 ELSE 2 END;
SELECT count(*), sum(messages_30d) FROM mfiauto.touchpoint_coverage WHERE is_covered;
-- Archived one by one: each uncovers its own row, and no other.
DO $$
DECLARE t text; uncovered text[];
BEGIN
  FOR t IN SELECT touchpoint FROM mfiauto.touchpoint ORDER BY place LOOP
    PERFORM mfiauto.archive_workflow('for ' || t);
    uncovered := uncovered || t;
    IF uncovered <> (SELECT array_agg(c.touchpoint) FROM mfiauto.touchpoint_coverage c WHERE NOT c.is_covered) THEN
      RAISE EXCEPTION 'after %: %', t, (SELECT array_agg(c.touchpoint) FROM mfiauto.touchpoint_coverage c WHERE NOT c.is_covered);
    END IF;
  END LOOP;
END $$;

-- Written and activated as people do: reminders before, on and after the day, nested steps with their moment; an offer when a loan closes.
SELECT mfiauto.create_workflow('reminder', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [
  {"at": "-3 days 09:00", "if": "client.literacy = ''low''", "then": [{"send": "before", "channels": ["voice"]}], "else": [{"send": "before", "channels": ["sms"]}]},
  {"at": "+5 days 09:00", "task": "Visit", "assign": "officer"}]}');
SELECT mfiauto.create_workflow('again', '{"trigger": {"event": "Loan Closed"}, "class": "marketing", "steps": [{"send": "welcome", "channels": ["sms"]}]}');
SELECT mfiauto.create_workflow('lesson', '{"trigger": {"event": "Loan Disbursed"}, "class": "transactional", "steps": [{"send": "welcome", "channels": ["sms"]}, {"send": "thanks", "channels": ["sms"], "class": "education"}]}');
SELECT touchpoint FROM mfiauto.touchpoint_coverage WHERE is_covered;
SELECT mfiauto.activate_workflow(n) FROM unnest('{reminder,again,lesson}'::text[]) n;
SELECT touchpoint, workflows, messages_30d FROM mfiauto.touchpoint_coverage WHERE is_covered;
SELECT mfiauto.pause_workflow('again');
SELECT touchpoint FROM mfiauto.touchpoint_coverage WHERE is_covered;
SELECT mfiauto.resume_workflow('again');
-- The messages are those that left.
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', CASE WHEN g <= 2 THEN 'low' ELSE 'high' END FROM generate_series(1, 5) g;
INSERT INTO bank.loan (id, client_id) SELECT 10 + g, g FROM generate_series(1, 5) g;
INSERT INTO bank.installment SELECT 100 + g, 10 + g, 1, '2026-04-10' FROM generate_series(1, 5) g;
SELECT mfiauto.create_gateway('sms', 'sms', 'sandbox');
SELECT mfiauto.create_gateway('voice', 'voice', 'sandbox');
DO $$ BEGIN PERFORM mfiauto.run_engine(); PERFORM mfiauto._set_clock('2026-04-07 09:00+00'); PERFORM mfiauto.run_engine(); END $$;
SELECT sent FROM mfiauto.run_delivery();
SELECT mfiauto.refresh_kpis() IS NULL;
SELECT touchpoint, workflows, messages_30d FROM mfiauto.touchpoint_coverage WHERE messages_30d > 0;
-- A touch point of one's own.
INSERT INTO mfiauto.touchpoint VALUES ('card', 15, 'A card is blocked');
INSERT INTO mfiauto.touchpoint_rule (touchpoint, events) VALUES ('card', '{Card Blocked}');
SELECT mfiauto.create_workflow('card', '{"trigger": {"event": "Card Blocked"}, "steps": [{"send": "welcome", "channels": ["sms"]}]}');
SELECT mfiauto.activate_workflow('card');
SELECT touchpoint, is_covered, workflows FROM mfiauto.touchpoint_coverage WHERE touchpoint = 'card';
