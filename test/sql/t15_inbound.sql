-- T15: an inbound message, told by track() as Message Received, starts a workflow and lets one that waits for it go on. (Routing by keywords comes with the channels; here the text's meaning is told with it.)
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
\set ECHO none
SELECT mfiauto.install();
\i test/lib/trigger_books.sql
\set ECHO all
\set SHOW_CONTEXT never
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT count(mfiauto.create_template(n, channel => 'sms', body => n || CASE n WHEN 'balance' THEN ': {{event.keyword}}' ELSE ': {{client.name}}' END, class => 'transactional')) FROM unnest('{balance,thanks,later}'::text[]) n;
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+22177000000' || g FROM generate_series(1, 4) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('balance', '{"trigger": {"event": "Message Received", "if": "event.properties ->> ''keyword'' = ''balance''"}, "class": "transactional", "reentry": "always", "steps": [{"send": "balance"}]}') AS version;
SELECT mfiauto.create_workflow('asked', '{"trigger": {"manual": true}, "class": "transactional", "steps": [
  {"wait_for": {"event": "Message Received", "if": "event.properties ->> ''keyword'' = ''yes''"}, "timeout": "2 days", "then": [{"send": "thanks"}], "timeout_steps": [{"send": "later"}]}]}') AS version;
SELECT mfiauto.activate_workflow('balance'), mfiauto.activate_workflow('asked');
SELECT count(mfiauto.enroll('asked', g)) FROM generate_series(1, 3) g;
SELECT entered, advanced, messages FROM mfiauto.run_engine();
SELECT count(mfiauto.track('Message Received', c, jsonb_build_object('keyword', k, 'channel', 'sms'))) FROM (VALUES (1, 'yes'), (2, 'no'), (4, 'yes'), (2, 'balance')) AS v(c, k);
SELECT entered, advanced, messages FROM pg_temp.at('2026-01-05 10:00+00');
SELECT mfiauto.track('Message Received', 2, '{"keyword": "balance"}') > 0 AS told;
SELECT entered, messages FROM mfiauto.run_engine();
SELECT advanced, messages FROM pg_temp.at('2026-01-07 10:00+00');
SELECT workflow, client_id, split_part(body, ':', 1) AS text, due_at FROM mfiauto.message ORDER BY 1, 2, 4;
