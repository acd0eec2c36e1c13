-- W1: a definition with an unreachable step, a missing branch or a cycle without a wait is refused, with SQLSTATE and place; each key of waits and branches too.
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
\set ECHO none
\i test/lib/workflow_books.sql
\i test/lib/refused.sql
\set ECHO all
RESET client_min_messages;
CREATE FUNCTION triggered(steps text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT refused(format('{"trigger": {"event": "Loan Applied"}, "steps": %s}', steps)::json) $$;
CREATE FUNCTION anchored(step text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT refused(format('{"for_each": "installment", "anchor": "due_date", "steps": [{"at": "0 days 09:00", "send": "late"}, %s]}', step)::json) $$;
\pset tuples_only on
\pset format unaligned

\echo == unreachable steps
SELECT triggered('[{"end": true}, {"send": "late"}]');
SELECT triggered('[{"if": "true", "then": [{"end": true}], "else": [{"end": true}]}, {"send": "late"}]');
SELECT triggered('[{"switch": [{"if": "true", "then": [{"end": true}]}], "else": [{"send": "late"}, {"end": true}]}, {"send": "late"}]');
SELECT triggered('[{"split": {"a": 1, "b": 1}, "steps": {"a": [{"end": true}], "b": [{"end": true}]}}, {"send": "late"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved"}, "timeout": "1 day", "then": [{"end": true}], "timeout_steps": [{"end": true}]}, {"send": "late"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved"}, "timeout": "1 day", "then": [{"end": true}]}, {"send": "late"}]');
SELECT triggered('[{"repeat": [{"wait": "1 day"}, {"end": true}, {"send": "late"}], "at_most": 3}]');

\echo == missing branches
SELECT triggered('[{"if": "true", "else": [{"send": "late"}]}]');
SELECT triggered('[{"switch": [{"if": "client.literacy = ''low''", "then": [{"send": "late"}]}]}, {"send": "late"}]');
SELECT triggered('[{"switch": [{"if": "client.literacy = ''low''"}], "else": []}]');
SELECT triggered('[{"switch": [{"then": []}], "else": []}]');
SELECT triggered('[{"switch": [], "else": []}]');
SELECT triggered('[{"switch": {"if": "true", "then": []}, "else": []}]');
SELECT triggered('[{"switch": [{"if": "client.literacy", "then": []}], "else": []}]');
SELECT triggered('[{"split": {"short": 50, "long": 50}, "steps": {"short": [{"send": "late"}]}}]');
SELECT triggered('[{"split": {"short": 50, "long": 50}, "steps": {"short": [], "long": [], "lnog": []}}]');
SELECT triggered('[{"split": {"short": 50, "long": 50}}]');
SELECT triggered('[{"split": {"short": 50, "long": 0}, "steps": {"short": [], "long": []}}]');
SELECT triggered('[{"split": {"short": 100}, "steps": {"short": []}}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved"}}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved"}, "timeout": "0 days"}]');

\echo == cycles without a wait
SELECT triggered('[{"repeat": [{"send": "late"}], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"send": "late"}, {"wait": "1 day"}]}]');
SELECT triggered('[{"repeat": [{"send": "late"}, {"wait": "1 day"}], "at_most": 0}]');
SELECT triggered('[{"repeat": [{"if": "client.literacy = ''low''", "then": [{"wait": "1 day"}]}], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"if": "client.literacy = ''low''", "then": [{"wait": "1 day"}], "else": [{"end": true}]}], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"switch": [{"if": "client.literacy = ''low''", "then": [{"wait": "1 day"}]}], "else": []}], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"repeat": [{"wait": "1 day"}], "at_most": 2}], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"repeat": [{"wait": "1 day"}], "at_most": 2}, {"wait_for": {"sql": "client.literacy = ''low''"}, "timeout": "1 day"}], "at_most": 3, "until": "loan.status = ''closed''"}]');
SELECT triggered('[{"repeat": [{"wait": "1 day"}, {"end": true}], "at_most": 3}]');
SELECT triggered('[{"repeat": [], "at_most": 3}]');
SELECT triggered('[{"repeat": [{"wait": "1 day"}], "at_most": 3, "until": "loan.amount > 3"}]');

\echo == waits
SELECT triggered('[{"wait": {}}]');
SELECT triggered('[{"wait": {"until": "9:00"}}]');
SELECT triggered('[{"wait": {"until": "24:00"}}]');
SELECT triggered('[{"wait": {"until": "mondays 09:00"}}]');
SELECT triggered('[{"wait": {"until": "monday"}}]');
SELECT triggered('[{"wait": {"until": "Monday 09:00:30"}}]');
SELECT triggered('[{"wait": {"for": "2 dayz"}}]');
SELECT triggered('[{"wait": {"fro": "2 days"}}]');
SELECT triggered('[{"wait": {"for": "2 days", "between": ["1 hour", "4 hours"]}}]');
SELECT triggered('[{"wait": {"between": ["4 hours", "1 hour"]}}]');
SELECT triggered('[{"wait": {"between": ["4 hours"]}}]');
SELECT triggered('[{"wait": {"working_days": 0}}]');
SELECT triggered('[{"wait": {"working_days": 1, "until": "monday 09:00"}}]');
SELECT triggered('[{"wait": {"date": 7}}]');
SELECT triggered('[{"wait": {"date": "loan.status"}}]');
SELECT triggered('[{"wait": {"date": "loan.maturity_on - 7", "until": "09:00"}}]');
SELECT triggered('[{"wait": {"date": "loan.disbursed_on"}}]');
SELECT triggered('[{"wait": {"date": "(SELECT 1)"}}]');
SELECT anchored('{"wait": {"for": "2 days"}}');
SELECT anchored('{"wait_for": {"event": "Loan Approved"}, "timeout": "1 day"}');
SELECT anchored('{"repeat": [{"wait": "1 day"}], "at_most": 3}');

\echo == wait_for
SELECT triggered('[{"wait_for": "Loan Approved", "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved", "sql": "true"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": []}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": ["Loan Approved", "Loan Approved"]}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": ["Loan Approved", ""]}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved", "since": "yesterday"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved", "check_every": "1 hour"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved", "if": "event.properties ->> ''amount''"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved", "if": "event.properties ->> ''product'' = loan.status"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"sql": "event.name = ''x''"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"sql": "true", "check_every": "5 seconds"}, "timeout": "1 day"}]');
SELECT triggered('[{"wait_for": {"event": "Loan Approved"}, "timeout": "1 day", "else": []}]');

\echo == fallback_after
SELECT triggered('[{"send": "late", "channels": ["sms"], "fallback_after": "2 hours"}]');
SELECT triggered('[{"send": "late", "fallback_after": "2 hours"}]');
SELECT triggered('[{"send": "late", "channels": ["sms", "voice"], "fallback_after": "soon"}]');
SELECT triggered('[{"send": "late", "channels": ["sms", "voice"], "fallback_after": "2 hours"}]');

\echo == the program: branches come back to what follows them, a repeat to its head
DO $$ BEGIN PERFORM mfiauto.create_workflow('p', '{"trigger": {"event": "Loan Applied"}, "steps": [
  {"split": {"short": 1, "long": 3}, "steps": {"short": [], "long": [{"send": "late"}]}},
  {"repeat": [{"switch": [{"if": "client.literacy = ''low''", "then": [{"send": "late"}]}, {"if": "true", "then": []}], "else": [{"end": true}]},
              {"repeat": [{"wait": {"between": ["1 hour", "2 hours"]}}], "at_most": 2}, {"wait": {"for": "1 day", "until": "friday 08:30"}}], "at_most": 4, "until": "loan.status = ''closed''"},
  {"wait_for": {"event": ["Loan Approved", "Loan Rejected"], "since": "entry"}, "timeout": "P10D", "then": [{"send": "reminder_late"}]}]}'); END $$;
SELECT s.step_no, s.path, s.kind, s.next_no AS next, s.then_no AS "then", s.else_no AS "else", s.loop_no AS loop, s.branch_names, s.branch_nos, s.branch_weights, cardinality(s.branch_sql) AS cases, s.at_most,
       s.wait, s.wait_most, s.wait_weekday, s.wait_time, s.events, s.since_entry, s.timeout
  FROM mfiauto.workflow_head h JOIN mfiauto.workflow_step s USING (workflow_id) WHERE h.name = 'p' ORDER BY s.step_no;
