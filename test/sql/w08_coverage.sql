-- W8, the map of the client's path: each seed touch point is covered while a live workflow stands for it, with its messages of 30 days; archiving uncovers it.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset format unaligned
SELECT mfiauto._set_clock('2026-03-31 09:00+00');
SELECT touchpoint, about, is_covered, workflows, messages_30d FROM mfiauto.touchpoint_coverage;

-- A workflow for each, made as the compiler makes them; those that it cannot make yet, as it will.
CREATE FUNCTION pg_temp.make(touchpoint text, class text, kind text, events text[] DEFAULT NULL, filters jsonb[] DEFAULT NULL, anchor text DEFAULT NULL, yearly text DEFAULT NULL, offsets integer[] DEFAULT '{null}')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE head integer;
BEGIN
  INSERT INTO mfiauto.workflow_head (name, state, live_version, salt, created_at) VALUES ('for ' || touchpoint, 'active', 1, 's', mfiauto.now()) RETURNING workflow_id INTO head;
  INSERT INTO mfiauto.workflow_version (workflow_id, version, definition, source, owner, subject, class, created_at, trigger_kind, trigger_events, trigger_filters, anchor_column, trigger_column)
  VALUES (head, 1, '{}', '{}', current_user, coalesce(split_part(anchor, '.', 1), 'client'), make.class, mfiauto.now(), kind, events, filters, nullif(split_part(anchor, '.', 2), ''), yearly);
  INSERT INTO mfiauto.workflow_step (workflow_id, version, step_no, path, kind, at_offset, at_time, template)
  SELECT head, 1, n, format('steps[%s]', n - 1), 'send', o, CASE WHEN o IS NOT NULL THEN time '09:00' END, 'today' FROM unnest(offsets) WITH ORDINALITY AS u(o, n);
  INSERT INTO mfiauto.rollup_message SELECT d, head, 1, s.step_no, 'sms', 'g', 'XOF', 9, 0, s.step_no, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM mfiauto.workflow_step s, unnest(ARRAY[date '2026-03-01', '2026-03-02', '2026-03-31']) d WHERE s.workflow_id = head;
END $$;
UPDATE mfiauto.kpi_refresh SET on_date = '2026-03-31';
SELECT pg_temp.make('first_contact', 'marketing', 'event', '{Lead Created}');
SELECT pg_temp.make('application', 'transactional', 'event', '{Loan Applied}');
SELECT pg_temp.make('accepted', 'transactional', 'status', '{Application Status Changed}', '{"{\"to\": \"approved\"}"}');
SELECT pg_temp.make('refused', 'transactional', 'event', '{Loan Rejected}');
SELECT pg_temp.make('disbursement', 'transactional', 'event', '{Loan Disbursed}');
SELECT pg_temp.make('before_due', 'collection', 'anchor', anchor => 'installment.due_date', offsets => '{-7,-1}');
SELECT pg_temp.make('on_due', 'collection', 'anchor', anchor => 'installment.due_date', offsets => '{0}');
SELECT pg_temp.make('after_due', 'collection', 'anchor', anchor => 'installment.due_date', offsets => '{3}');
SELECT pg_temp.make('end_of_loan', 'transactional', 'anchor', anchor => 'loan.maturity_on', offsets => '{-30}');
SELECT pg_temp.make('next_offer', 'marketing', 'segment', '{Segment Entered}');
SELECT pg_temp.make('birthday', 'marketing', 'yearly', yearly => 'client.birth_date');
SELECT pg_temp.make('inactivity', 'marketing', 'inactive', '{Loan Applied}');
SELECT pg_temp.make('change_of_terms', 'legal', 'manual');
SELECT pg_temp.make('education', 'education', 'schedule');
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
