-- T15: what clients write goes through the keyword router, 100 % of a table of more than 200 texts; as Message Received it starts a workflow and lets one that waits go on; a missed call is an event.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
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

-- The table: found by the client's language, and again by the way in, from clients of whom no language is known.
\set ECHO none
\i test/lib/inbound_texts.sql
\set ECHO all
SELECT count(*) >= 200 AS "at least 200", count(DISTINCT locale) AS locales, count(*) FILTER (WHERE action IS NULL) AS "no keyword" FROM inbound_text;
SELECT coalesce(t.action, '-') AS action, count(*) AS texts, count(*) FILTER (WHERE nullif(k.action, 'none') IS NOT DISTINCT FROM t.action) AS routed
  FROM inbound_text t, LATERAL (SELECT (mfiauto._find_keyword(t.body, t.locale)).action) k GROUP BY 1 ORDER BY 1;
SELECT t.body, t.locale, t.action FROM inbound_text t, LATERAL (SELECT (mfiauto._find_keyword(t.body, t.locale)).action) k WHERE nullif(k.action, 'none') IS DISTINCT FROM t.action;
INSERT INTO bank.client (id, name, phone) SELECT 1000 + t.n, 'Client', '+22178' || lpad(t.n::text, 7, '0') FROM inbound_text t;
SELECT count(*) FROM mfiauto.run_engine();
SELECT count(DISTINCT mfiauto._take_inbound('books', 'sms', 'message', '22178' || lpad(t.n::text, 7, '0'), '36200', t.body, 'text ' || t.n, NULL, NULL)) = count(*) AS taken FROM inbound_text t;
SELECT count(*) FILTER (WHERE l.action IS NOT DISTINCT FROM t.action) AS routed, count(*) = (SELECT count(*) FROM inbound_text) AS "all"
  FROM inbound_text t JOIN mfiauto.inbound_log l ON l.client_id = 1000 + t.n;
-- Who asked for an end has it, and nobody else; who asked for all of them has it on every channel.
SELECT count(*) FILTER (WHERE t.action = 'stop' AND sms = 'opted_out' AND voice IS NULL) = count(*) FILTER (WHERE t.action = 'stop') AS stopped,
       count(*) FILTER (WHERE t.action = 'stop_all' AND sms = 'opted_out' AND voice = 'opted_out') = count(*) FILTER (WHERE t.action = 'stop_all') AS "stopped everywhere",
       count(*) FILTER (WHERE coalesce(t.action, '-') !~ '^stop' AND (sms IS NOT NULL OR voice IS NOT NULL)) AS "stopped wrongly"
  FROM inbound_text t,
       LATERAL (SELECT r.reason AS sms FROM mfiauto._contact_refusals(ARRAY[1000 + t.n::bigint], '{sms}', '{collection}', ARRAY['+221780000000']) r) s,
       LATERAL (SELECT r.reason AS voice FROM mfiauto._contact_refusals(ARRAY[1000 + t.n::bigint], '{voice}', '{collection}', ARRAY['+221780000000']) r) v;
-- Each text is one event, which tells what the router made of it and not what was written.
SELECT count(*) = (SELECT count(*) FROM inbound_text) AS "one event each", count(*) FILTER (WHERE e.properties ->> 'action' IS NOT DISTINCT FROM t.action) = count(*) AS "same action",
       count(*) FILTER (WHERE e.properties ->> 'channel' = 'sms') = count(*) AS channel, count(*) FILTER (WHERE e.properties ?| '{text,body,from}') AS "with text"
  FROM mfiauto.event e JOIN inbound_text t ON e.client_id = 1000 + t.n WHERE e.name = 'Message Received';

-- The same through the way in: a keyword of the institution's own starts a workflow, an answer resumes one; a missed call starts another.
SELECT mfiauto.set_keyword('Balance', 'event', event => 'Balance Asked'), mfiauto.set_keyword('payé', 'event', place => 'first', event => 'Payment Claimed');
SELECT mfiauto.create_workflow('asked_sms', '{"trigger": {"event": "Balance Asked"}, "class": "transactional", "reentry": "always", "steps": [{"send": "balance"}]}') AS version;
SELECT mfiauto.create_workflow('call_back', '{"trigger": {"event": "Missed Call Received"}, "class": "transactional", "steps": [{"send": "thanks"}]}') AS version;
SELECT mfiauto.create_workflow('survey', '{"trigger": {"manual": true}, "class": "transactional", "steps": [
  {"wait_for": {"event": "Message Received", "if": "event.properties ->> ''action'' = ''confirm''"}, "timeout": "2 days", "then": [{"send": "thanks"}], "timeout_steps": [{"send": "later"}]}]}') AS version;
SELECT mfiauto.activate_workflow('asked_sms'), mfiauto.activate_workflow('call_back'), mfiauto.activate_workflow('survey');
SELECT count(mfiauto.enroll('survey', g)) FROM generate_series(1, 3) g;
SELECT entered FROM mfiauto.run_engine();
SELECT count(mfiauto._take_inbound('books', v.channel, v.kind, v.phone, '36200', v.body, v.id, NULL, NULL))
  FROM (VALUES ('sms', 'message', '221770000001', 'Oui', 'a1'), ('sms', 'message', '+221770000002', 'Balance ?', 'a2'), ('voice', 'missed_call', '770000003', NULL, 'a3'),
               ('sms', 'message', '221770000004', 'Payé ce matin', 'a4'), ('sms', 'message', '221770000001', 'Oui', 'a1')) AS v(channel, kind, phone, body, id);
SELECT entered, advanced, messages FROM pg_temp.at('2026-01-07 11:00+00');
SELECT workflow, client_id FROM mfiauto.message WHERE workflow IN ('asked_sms', 'call_back', 'survey') ORDER BY 1, 2;
SELECT e.name, e.client_id, e.properties - 'inbound_id' AS properties FROM mfiauto.event e WHERE e.client_id < 10 AND e.properties ? 'inbound_id' ORDER BY e.client_id, e.name;
-- What a provider knows of an opt-out by itself, or hands on as the network had it, stops as well: an opt-out at Africa's Talking, words of a Twilio account's own, "arrêt" in UCS-2.
SELECT mfiauto.create_gateway('at', 'sms', 'africastalking', settings => '{"username": "mfi"}'), mfiauto.create_gateway('jasmin', 'sms', 'jasmin', settings => '{"url": "http://127.0.0.1:1/"}'),
       mfiauto.create_gateway('twilio', 'sms', definition => (p.definition || '{"signature": {"method": "none"}}')::json) FROM mfiauto.gateway_preset p WHERE p.preset = 'twilio';
SELECT mfiauto.set_secret(g, 'receipt_token', 'hush') FROM unnest('{at,jasmin}'::text[]) g;
INSERT INTO bank.client (id, name, phone) SELECT 5000 + g, 'Client', '+22176000000' || g FROM generate_series(1, 4) g;
SELECT count(*) FROM mfiauto.run_engine();
CREATE TABLE told AS
  SELECT v.client, (mfiauto._serve_webhook(v.gateway, 'POST', 'token=hush', '{"content-type": "application/x-www-form-urlencoded"}', convert_to(v.body, 'UTF8'))).status
    FROM (VALUES (1, 'at', 'senderId=MFI&phoneNumber=%2B221760000001'), (2, 'twilio', 'MessageSid=SM9&From=%2B221760000002&To=36200&Body=Laissez-moi&OptOutType=STOP'),
                 (3, 'jasmin', 'id=in-2&from=221760000003&to=36200&coding=8&content=%00a&binary=00610072007200ea0074'), (4, 'at', 'id=in-4&from=%2B221760000004&to=36200&text=Bonjour')) AS v(client, gateway, body);
SELECT t.client, t.status, l.body, l.action, r.reason
  FROM told t JOIN mfiauto.inbound_log l ON l.client_id = 5000 + t.client, mfiauto._contact_refusals(ARRAY[5000 + t.client::bigint], '{sms}', '{collection}', ARRAY['+22176000000' || t.client]) r ORDER BY 1;
