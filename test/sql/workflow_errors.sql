-- What a definition may not be: every refusal names the place in the definition, what was found, what was expected, and what to do.
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
CREATE FUNCTION anchored(steps text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT refused(format('{"for_each": "installment", "anchor": "due_date", "steps": %s}', steps)::json) $$;
CREATE FUNCTION with_key(key text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT refused(format('{"for_each": "installment", "anchor": "due_date", %s, "steps": [{"at": "0 days 09:00", "send": "late"}]}', key)::json) $$;
CREATE FUNCTION condition(sql text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT with_key('"enter_if": ' || to_json(sql)) $$;
\pset tuples_only on
\pset format unaligned

\set SHOW_CONTEXT never
\echo == JSON
SELECT mfiauto.create_workflow('w', '{"steps": [}');
SELECT mfiauto.create_workflow(NULL, '{}');
SELECT mfiauto.create_workflow('w', NULL);
SELECT mfiauto.create_workflow(' w', '{}');
SELECT mfiauto.create_workflow(repeat('w', 101), '{}');
SELECT refused('{"class": "legal", "class": "marketing"}');
SELECT refused('{"class": "a\u0000b"}');
SELECT refused('{"max_per_day": 99999999999999999999}');
SELECT refused('[]');
SELECT refused('"text"');
SELECT refused('{}');

\echo == the top
SELECT with_key('"holdouts": 5');
SELECT with_key('"when": 5');
SELECT with_key('"class": 5');
SELECT with_key('"class": "spam"');
SELECT with_key('"class": ""');
SELECT with_key('"holdout": "5"');
SELECT with_key('"holdout": 100');
SELECT with_key('"holdout": -0.5');
SELECT with_key('"holdout": 5, "class": "legal"');
SELECT with_key('"reentry": "sometimes"');
SELECT with_key('"reentry": "-3 days"');
SELECT with_key('"reentry": true');
SELECT with_key('"reentry": "always"');
SELECT with_key('"goal": "Payment Received"');
SELECT with_key('"goal": {"event": "Payment Received"}');
SELECT with_key('"goal": {"event": "Payment Received", "within": "soon"}');
SELECT with_key('"goal": {"event": "Payment Received", "within": "0 days"}');
SELECT with_key('"goal": {"name": "Payment Received", "within": "3 days"}');
SELECT with_key('"exit_on_goal": true');
SELECT with_key('"exit_on_goal": "yes"');
SELECT with_key('"resend_if_moved": 2.5');
SELECT with_key('"resend_if_moved": -1');
SELECT with_key('"max_per_day": 0');
SELECT with_key('"trigger": {"event": "Loan Applied"}');
SELECT refused('{"steps": [{"send": "late"}]}');
SELECT refused('{"anchor": "due_date", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"for_each": "borrower", "anchor": "due_date", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"for_each": "installment", "anchor": "status", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"for_each": "client", "anchor": "birth_date", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"for_each": "loan", "anchor": "maturity_on", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"for_each": "loan", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
\echo == triggers
CREATE FUNCTION started(by text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT refused(format('{"trigger": %s, "steps": [{"send": "late"}]}', by)::json) $$;
SELECT started('"Loan Applied"');
SELECT started('{}');
SELECT started('{"events": "Loan Applied"}');
SELECT started('{"when": "Loan Applied"}');
SELECT started('{"event": ""}');
SELECT started('{"event": []}');
SELECT started('{"event": ["Loan Applied", 5]}');
SELECT started('{"event": ["Loan Applied", "Loan Applied"]}');
SELECT started('{"event": "Loan Applied", "status": "loan"}');
SELECT started('{"event": "Loan Applied", "if": true}');
SELECT started('{"event": "Loan Applied", "if": "event.colour = 1"}');
SELECT started('{"event": "Loan Applied", "count": 3}');
SELECT started('{"event": "Loan Applied", "within": "7 days"}');
SELECT started('{"event": "Loan Applied", "count": 1, "within": "7 days"}');
SELECT started('{"event": "Loan Applied", "count": "3", "within": "7 days"}');
SELECT started('{"event": "Loan Applied", "count": 3, "within": "a week"}');
SELECT started('{"status": "payment", "to": "reversed"}');
SELECT started('{"status": 1, "to": "active"}');
SELECT started('{"status": "loan"}');
SELECT started('{"status": "loan", "to": 5}');
SELECT started('{"status": "loan", "to": ["active", ""]}');
SELECT started('{"status": "loan", "from": "active", "to": ["closed", "active"]}');
SELECT started('{"status": "loan", "into": "active"}');
SELECT started('{"status": "application", "to": "approved"}');
SELECT started('{"status": "client", "to": "active"}');
SELECT started('{"segment": "nobody", "on": "enter"}');
SELECT started('{"segment": "nobody", "on": "join"}');
SELECT started('{"segment": "nobody", "on": "leave", "existing": true}');
SELECT started('{"segment": ["nobody"]}');
SELECT started('{"trait": "days_past_due"}');
SELECT started('{"trait": "days_past_due", "rises_to": 30}');
SELECT started('{"trait": "days_past_due", "rises_to": "30", "until_below": 10}');
SELECT started('{"trait": "days_past_due", "rises_to": 30, "until_below": 30}');
SELECT started('{"trait": "days_past_due", "rises_to": 30, "until_above": 40}');
SELECT started('{"trait": "days_past_due", "falls_to": 0.5, "until_above": 0.4}');
SELECT started('{"trait": "days_past_due", "rises_to": 30, "falls_to": 0.5, "until_below": 10}');
SELECT started('{"trait": "no_such_trait", "rises_to": 30, "until_below": 10}');
SELECT started('{"inactive": "Session Started"}');
SELECT started('{"inactive": [], "for": "30 days"}');
SELECT started('{"inactive": "Session Started", "for": "30 dais"}');
SELECT started('{"inactive": "Session Started", "for": "-1 days"}');
SELECT started('{"inactive": "Session Started", "for": "30 days", "existing": 1}');
SELECT started('{"inactive": "Session Started", "for": "30 days", "if": "true"}');
SELECT started('{"schedule": "0 9 1 * *"}');
SELECT started('{"schedule": "0 9 1 * *", "segment": "nobody"}');
SELECT started('{"schedule": "0 9 1 * *", "segment": "nobody", "zone": "UTC"}');
SELECT started('{"schedule": 5, "segment": "nobody"}');
SELECT started('{"schedule": "0 9 1 *", "segment": "nobody"}');
SELECT started('{"schedule": "0 24 1 * *", "segment": "nobody"}');
SELECT started('{"schedule": "0 9 * * lundi", "segment": "nobody"}');
SELECT started('{"schedule": "0 9 * * fri-mon", "segment": "nobody"}');
SELECT started('{"schedule": "5/10 * * * *", "segment": "nobody"}');
SELECT started('{"schedule": "0 9 31 2,4 *", "segment": "nobody"}');
SELECT started('{"yearly": "loan.status", "at": "09:00"}');
SELECT started('{"yearly": "card.expires_on", "at": "09:00"}');
SELECT refused('{"for_each": "loan", "anchor": "status", "steps": [{"at": "0 days 09:00", "send": "late"}]}');
SELECT refused('{"trigger": {"yearly": "loan.maturity_on", "at": "09:00"}, "for_each": "client", "steps": [{"send": "late"}]}');
SELECT started('{"yearly": "birth_date", "at": "09:00"}');
SELECT started('{"yearly": "client.birth_date"}');
SELECT started('{"yearly": "client.birth_date", "at": "9:00"}');
SELECT started('{"yearly": "client.birth_date", "at": "24:00"}');
SELECT started('{"yearly": "client.birth_date", "at": "09:00", "minimum_years": -1}');
SELECT started('{"yearly": "client.birth_date", "at": "09:00", "leap_day": "02-29"}');
SELECT started('{"yearly": "client.birth_date", "at": "09:00"}');
SELECT started('{"manual": "yes"}');
SELECT started('{"manual": true, "if": "true"}');
SELECT refused('{"trigger": {"manual": true}, "for_each": "borrower", "steps": [{"send": "late"}]}');
SELECT refused('{"trigger": {"inactive": "Session Started", "for": "30 days"}, "for_each": "loan", "steps": [{"send": "late"}]}');
SELECT refused('{"trigger": {"event": ["Loan Applied", "Holding Opened"]}, "for_each": "loan", "steps": [{"send": "late"}]}');
SELECT refused('{"trigger": {"event": "Loan Applied"}, "for_each": "installment", "steps": [{"send": "late"}]}');
SELECT refused('{"trigger": {"event": "Loan Applied"}, "resend_if_moved": 3, "steps": [{"send": "late"}]}');

\echo == steps
SELECT refused('{"trigger": {"event": "Loan Applied"}}');
SELECT triggered('[]');
SELECT triggered('{"send": "late"}');
SELECT triggered('["late"]');
SELECT triggered('[{}]');
SELECT triggered('[{"sned": "late"}]');
SELECT triggered('[{"send": "late", "chanels": ["sms"]}]');
SELECT triggered('[{"send": "late", "wait": "2 days"}]');
SELECT triggered('[{"send": 7}]');
SELECT triggered('[{"send": "nothing_like_it"}]');
SELECT triggered('[{"send": "late", "channels": "sms"}]');
SELECT triggered('[{"send": "late", "channels": []}]');
SELECT triggered('[{"send": "late", "channels": ["sms", "pigeon"]}]');
SELECT triggered('[{"send": "late", "channels": ["sms", "sms"]}]');
SELECT triggered('[{"send": "late", "channels": ["email"]}]');
SELECT triggered('[{"send": "late", "expires": "later"}]');
SELECT triggered('[{"send": "late", "class": "spam"}]');
SELECT triggered('[{"send": "late", "at": "0 days 09:00"}]');
SELECT triggered('[{"wait": "2 dayz"}]');
SELECT triggered('[{"wait": 2}]');
SELECT triggered('[{"wait": "2 days", "then": []}]');
SELECT triggered('[{"if": "client.literacy = ''low''"}]');
SELECT triggered('[{"if": "client.literacy = ''low''", "then": []}]');
SELECT triggered('[{"if": "", "then": [{"end": true}]}]');
SELECT triggered('[{"if": "client.literacy = ''low''", "then": [{"send": "late"}], "else": [{"send": "gone"}]}]');
SELECT triggered('[{"if": "client.literacy = ''low''", "then": [{"if": "client.name", "then": [{"send": "late"}]}]}]');
SELECT triggered('[{"task": ""}]');
SELECT triggered('[{"task": "Call", "assign": 5}]');
SELECT triggered('[{"task": "Call", "due": "tomorrow"}]');
SELECT triggered('[{"end": false}]');
SELECT triggered('[{"end": true}, {"send": "late"}]');
SELECT triggered('[{"if": "true", "then": [{"end": true}], "else": [{"send": "late"}, {"end": true}]}, {"send": "late"}]');
SELECT triggered((SELECT repeat('[{"if": "true", "then": ', 17) || '[{"end": true}]' || repeat('}]', 17)));

\echo == actions
SELECT triggered('[{"set": true}]');
SELECT triggered('[{"set": {}}]');
SELECT triggered('[{"set": {"": 1}}]');
SELECT triggered('[{"set": {"score": {"sql": 5}}}]');
SELECT triggered('[{"set": {"score": {"sql": "loan.colour"}}}]');
SELECT triggered('[{"set": {"score": {"sql": "random()"}}}]');
SELECT triggered('[{"set": {"score": {"sql": "1 / 0"}}}]');
SELECT triggered('[{"set": {"score": {"sql": "(SELECT 1)"}}}]');
SELECT triggered('[{"set": {"score": {"sql": "1", "default": 0}}}]');
SELECT triggered('[{"set": {"score": 1}, "if": "true"}]');
SELECT triggered((SELECT '[{"set": {' || string_agg(format('"t%s": 1', g), ',') || '}}]' FROM generate_series(1, 51) g));
SELECT triggered('[{"add_to": 5}]');
SELECT triggered('[{"add_to": "segment"}]');
SELECT triggered('[{"remove_from": "segment"}]');
SELECT mfiauto.create_segment('everybody', 'SELECT client_id FROM mfiauto.client') > 0 AS made;
SELECT triggered('[{"add_to": "everybody"}]');
SELECT triggered('[{"webhook": ""}]');
SELECT triggered('[{"webhook": "gateway"}]');
SELECT triggered('[{"webhook": "late"}]');
SELECT triggered('[{"webhook": "late", "channels": ["sms"]}]');
SELECT triggered('[{"emit": ""}]');
SELECT triggered('[{"emit": "Done", "properties": []}]');
SELECT triggered('[{"emit": "Done", "properties": {"status": {"sql": "loan.status ="}}}]');
SELECT triggered((SELECT format('[{"emit": "%s"}]', repeat('x', 201))));
SELECT triggered('[{"enroll": "workflow"}]');
SELECT triggered('[{"enroll": "w"}]');
SELECT triggered('[{"exit": "w"}]');
SELECT triggered('[{"if": "true", "then": [{"send": "late"}, {"exit": "workflow"}]}]');
SELECT mfiauto.create_workflow('by installment', '{"for_each": "installment", "anchor": "due_date", "steps": [{"at": "0 days 09:00", "send": "late"}]}') > 0 AS made;
SELECT triggered('[{"enroll": "by installment"}]');
SELECT triggered('[{"exit": "by installment"}]');
SELECT triggered('[{"enroll": "by installment", "context": 5}]');
SELECT triggered('[{"task": "Call", "outcomes": {"reached": []}}]');
SELECT triggered('[{"task": "Call", "outcomes": {}, "timeout": "1 day"}]');
SELECT triggered('[{"task": "Call", "outcomes": ["reached"], "timeout": "1 day"}]');
SELECT triggered('[{"task": "Call", "outcomes": {"reached": {"send": "late"}}, "timeout": "1 day"}]');
SELECT triggered('[{"task": "Call", "outcomes": {"reached": [{"send": "nothing_like_it"}]}, "timeout": "1 day"}]');
SELECT triggered('[{"task": "Call", "timeout": "1 day"}]');
SELECT triggered('[{"task": "Call", "timeout_steps": [{"send": "late"}]}]');
SELECT triggered('[{"task": "Call", "outcomes": {"reached": [{"end": true}]}, "timeout": "1 day", "timeout_steps": [{"end": true}]}, {"send": "late"}]');
SELECT anchored('[{"at": "0 days 09:00", "task": "Call", "outcomes": {"reached": []}, "timeout": "1 day"}]');
SELECT triggered('[{"set": {"score": 1}, "at": "0 days 09:00"}]');

\echo == moments
SELECT anchored('[{"send": "late"}]');
SELECT anchored('[{"at": "tomorrow", "send": "late"}]');
SELECT anchored('[{"at": "3 days", "send": "late"}]');
SELECT anchored('[{"at": "3 weeks 09:00", "send": "late"}]');
SELECT anchored('[{"at": "1.5 days 09:00", "send": "late"}]');
SELECT anchored('[{"at": "3 days 24:00", "send": "late"}]');
SELECT anchored('[{"at": "3 days 9:00", "send": "late"}]');
SELECT anchored('[{"at": "3 days 09:00:60", "send": "late"}]');
SELECT anchored('[{"at": "3 days 09:00 UTC", "send": "late"}]');
SELECT anchored('[{"at": "99999 days 09:00", "send": "late"}]');
SELECT anchored('[{"at": 3, "send": "late"}]');
SELECT anchored('[{"at": "0 days 09:00", "send": "late"}, {"at": "-1 days 09:00", "send": "late"}]');
SELECT anchored('[{"at": "0 days 09:00", "send": "late"}, {"at": "0 days 08:59:59", "send": "late"}]');
SELECT anchored('[{"at": "0 days 09:00", "if": "true", "then": [{"at": "+4 days 09:00", "send": "late"}]}, {"at": "+3 days 09:00", "send": "late"}]');
SELECT anchored('[{"at": "0 days 09:00", "if": "true", "then": [{"at": "-4 days 09:00", "send": "late"}]}]');
SELECT anchored('[{"at": "0 days 09:00", "send": "late"}, {"wait": "2 days"}]');

\echo == conditions
SELECT condition('loan.status =');
SELECT condition('loan.status = ''active''; DROP TABLE bank');
SELECT condition('true) OR (true');
SELECT condition('true) FROM mfiauto.client --');
SELECT condition('true /* open');
SELECT condition('true, false');
SELECT condition('true WHERE false');
SELECT condition('true UNION SELECT false');
SELECT condition('loan.status like ''a%'' really');
SELECT condition('$1 IS NULL');
SELECT condition('status = ''active''');
SELECT condition('loan IS NOT NULL');
SELECT condition('loan.* IS NOT NULL');
SELECT condition('application.status = ''open''');
SELECT condition('event.name = ''x''');
SELECT condition('k.client_id = 1');
SELECT condition('loan.colour = ''red''');
SELECT condition('loan.product = ''tontine''');
SELECT condition('loan.status');
SELECT condition('installment.amount_due + 1');
SELECT condition('NULL');
SELECT condition('loan.status > 5');
SELECT condition('no_such_function(loan.status)');
SELECT condition('plain_status(loan.status)');
SELECT condition('public.shaky_status(loan.status)');
SELECT condition('random() < 0.5');
SELECT condition('EXISTS (SELECT FROM mfiauto.client)');
SELECT condition('loan.status IN (SELECT ''active'')');
SELECT condition('count(*) > 1');
SELECT condition('sum(installment.amount_due) > 1');
SELECT condition('row_number() OVER () = 1');
SELECT condition('generate_series(1, 3) = 1');
SELECT condition('installment.amount_due > 1 / 0');
SELECT condition('installment.due_date > ''2026-02-31''');
SELECT condition('installment.amount_due > ''a lot''');
SELECT condition('installment.due_date < ''today''');
SELECT condition('installment.due_date < date ''tomorrow''');

\set SHOW_CONTEXT errors
\echo == the place inside a condition
SELECT mfiauto._compile_workflow('w', '{"trigger": {"event": "Loan Applied", "if": "event.properties ->> ''a'' = ''b'' AND évent.x"}, "steps": [{"send": "late"}]}', current_user);
SELECT mfiauto._compile_workflow('w', '{"trigger": {"event": "Loan Applied"}, "enter_if": "client.name = ''é'' AND loan.colour = 1", "steps": [{"send": "late"}]}', current_user);
SELECT mfiauto._compile_workflow('w', '{"trigger": {"event": "Loan Applied"}, "enter_if": "loan.status = ''é'' AND\n loan.status > 5", "steps": [{"send": "late"}]}', current_user);

\echo == limits
SELECT condition('public.plain_status(loan.status) = ''active''');
SELECT regexp_replace(l, ':.*', '') FROM condition(repeat('(', 4900) || 'true' || repeat(')', 4900)) l LIMIT 1;
SELECT l FROM condition('true' || repeat(' AND true', 2000)) l;
SELECT l FROM with_key('"class": "' || repeat('x', 1024 * 1024) || '"') l;
SELECT l FROM triggered('[' || repeat('{"wait": "1 day"}, ', 1000) || '{"send": "late"}]') l;
SELECT triggered('[{"task": "Visit {{client.nme}}"}]');
SELECT triggered('[{"task": "Visit {{client.name"}]');

\echo == nothing of all this was stored but what was accepted
SELECT name, newest_version FROM mfiauto.workflow ORDER BY name;
