-- explain_client() covers every outcome with a reason from a documented list: in a run of a bank where everything happens no row lacks one, no client lacks a story, and no reason in the code is off the list.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\pset format unaligned
-- The statements that live through a time: an engine's pass and a delivery each, committed one by one.
CREATE FUNCTION pg_temp.live(since timestamptz, until timestamptz, every interval) RETURNS TABLE (pass text, delivery text)
LANGUAGE sql AS $$ SELECT format('DO $q$ BEGIN PERFORM mfiauto._set_clock(%L); PERFORM mfiauto.run_engine(); END $q$', d), 'SELECT * FROM mfiauto.run_delivery()'
                     FROM generate_series(since, until, every) d $$;
\o /dev/null
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF', locale => 'fr');
SELECT mfiauto.create_gateway('sandbox', 'sms', 'sandbox');
SELECT mfiauto.create_gateway('calls', 'voice', 'sandbox', settings => '{"cost_per_part": 5}');
SELECT mfiauto.create_template('sector', channel => 'sms', body => 'Une formule {{event.plan}}');
SELECT mfiauto.create_template('offer', channel => 'sms', body => 'Une offre');
SELECT mfiauto.create_template('mail', channel => 'email', subject => 'Bonjour', body => 'Bonjour');
\o
INSERT INTO bank.client SELECT g, 'Client ' || g, CASE g % 40 WHEN 11 THEN NULL WHEN 12 THEN '12' ELSE '+2217700' || lpad(g::text, 5, '0') END, 'Africa/Dakar',
                               CASE g % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'high' END FROM generate_series(1, 80) g;
INSERT INTO bank.loan (id, client_id) SELECT 100 + g, g FROM generate_series(1, 80) g;
SELECT mfiauto._set_clock('2026-01-02 08:00+00');
DO $$ BEGIN
  PERFORM mfiauto.create_workflow('reminder', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 30,
    "enter_if": "loan.status = ''active'' AND client.name NOT LIKE ''%7''",
    "exit_if": "CASE WHEN client.name LIKE ''%8'' AND installment.number = 2 THEN NULL ELSE installment.amount_paid >= installment.amount_due OR loan.status <> ''active'' END",
    "goal": {"event": "Payment Received", "within": "9 days"}, "exit_on_goal": true,
    "steps": [{"at": "-3 days 09:00", "send": "before", "channels": ["sms"]}, {"at": "0 days 09:00", "send": "today", "channels": ["sms", "voice"]},
              {"at": "+1 day 09:00", "if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
              {"at": "+3 days 09:00", "task": "Visit", "assign": "officer"}]}');
  PERFORM mfiauto.create_workflow('offer', '{"trigger": {"event": "Session Started", "if": "client.client_id <> 2"}, "class": "marketing", "max_per_day": 30, "enter_if": "CASE client.client_id WHEN 3 THEN NULL ELSE client.client_id > 1 END",
    "exit_if": "client.name = ''Gone''",
    "steps": [{"send": "offer", "channels": ["sms"]}, {"wait": "1 day"}, {"if": "1 / (client.client_id - 5) < 1", "then": [{"send": "sector", "channels": ["sms"]}]}]}');
  PERFORM mfiauto.create_workflow('mail', '{"trigger": {"event": "Session Started"}, "class": "transactional", "steps": [{"send": "offer", "channels": ["sms"], "expires": "30 days"}, {"wait": "60 days"}, {"send": "offer", "channels": ["email", "sms"]}]}');
  PERFORM mfiauto.create_workflow('never', '{"trigger": {"event": "Session Ended"}, "class": "transactional", "steps": [{"send": "mail", "channels": ["email"]}]}');
  PERFORM mfiauto.create_workflow('by_hand', '{"trigger": {"manual": true}, "steps": [{"send": "offer", "channels": ["sms"]}]}');
  UPDATE mfiauto.workflow_head SET salt = name;
  PERFORM mfiauto.activate_workflow(n) FROM unnest('{reminder,offer,mail,never,by_hand}'::text[]) n;
END $$;
\o /dev/null
-- All classes together: an offer waits when the reminders were enough.
SELECT mfiauto.set_policy(cap_count => 1, cap_days => 1);
SELECT mfiauto.opt_in(g, purpose => 'marketing', source => 'branch', proof => '{"form": 1}') FROM generate_series(1, 80) g WHERE g % 10 <> 6;
SELECT mfiauto.opt_out(g, purpose => 'marketing', reason => 'said so') FROM generate_series(4, 80, 10) g;
SELECT mfiauto.opt_out(g, purpose => 'collection', reason => 'said so') FROM generate_series(14, 80, 20) g;
SELECT mfiauto.suppress_address('sms', '+221770000021', 'complained');
\o
-- Five weeks of installments in every state of things, with a holiday, a week without an engine, and people who do this and that.
INSERT INTO bank.installment SELECT 1000 + g * 4 + n, 100 + g, n, date '2026-01-03' + (g % 9) + 10 * (n - 1) FROM generate_series(1, 80) g, generate_series(1, 3) n;
SELECT mfiauto.hold_delivery('a look', workflow => 'mail');
SELECT count(mfiauto.track('Session Started', client_id => g, properties => CASE WHEN g % 2 = 0 THEN '{"plan": "or"}' ELSE '{}' END::jsonb)) FROM generate_series(1, 60) g;
\o /dev/null
SELECT * FROM pg_temp.live('2026-01-02 09:00+00', '2026-01-05 10:00+00', '12 hours') \gexec
\o
INSERT INTO bank.payment SELECT g, 100 + g, '2026-01-06 08:00+00', 1000 FROM generate_series(1, 80, 2) g;
UPDATE bank.installment SET paid = due WHERE number = 1 AND loan_id % 6 = 5;
UPDATE bank.installment SET due_date = due_date + 2 WHERE number = 1 AND loan_id % 7 = 3;
UPDATE bank.installment SET due_date = due_date + 12 WHERE number = 1 AND loan_id % 7 = 4;
DELETE FROM bank.installment WHERE number = 1 AND loan_id % 11 = 5;
UPDATE bank.loan SET client_id = 80 WHERE id IN (109, 129);
UPDATE bank.client SET name = 'Gone' WHERE id IN (30, 31);
INSERT INTO mfiauto.holiday SELECT 'SN', d::date, 'x' FROM generate_series(date '2026-01-09', '2026-01-13', '1 day') d;
\o /dev/null
SELECT * FROM pg_temp.live('2026-01-06 09:00+00', '2026-01-12 10:00+00', '1 day') \gexec
\o
SELECT mfiauto.unpark('offer');
\o /dev/null
SELECT * FROM pg_temp.live('2026-01-21 15:00+00', '2026-01-21 15:00+00', '1 day') \gexec
\o
UPDATE bank.installment SET paid = due WHERE number = 3 AND loan_id % 9 = 5;
SET mfiauto.only_recipients = '+221770000040';
\o /dev/null
SELECT * FROM pg_temp.live('2026-01-22 09:00+00', '2026-01-23 10:00+00', '1 day') \gexec
\o
RESET mfiauto.only_recipients;
UPDATE bank.installment SET paid = 0 WHERE number = 3 AND loan_id % 9 = 5;
SELECT mfiauto.cancel_messages(workflow => 'mail') > 0 AS canceled;
UPDATE mfiauto.message_ledger SET state = 'unknown', reason = 'outcome_unknown' WHERE client_id = 25 AND state = 'sent';
SELECT count(mfiauto.resolve_unknown(m.message_id, 'undelivered')) > 0 AS resolved FROM mfiauto.message m WHERE m.state = 'unknown';
SELECT mfiauto.archive_workflow('mail');
\o /dev/null
SELECT * FROM pg_temp.live('2026-01-24 09:00+00', '2026-02-02 10:00+00', '2 days') \gexec
\o

-- What came of it: enough to mean something.
SELECT string_agg(DISTINCT m.state || coalesce(':' || m.reason, ''), ' ' ORDER BY m.state || coalesce(':' || m.reason, '')) FROM mfiauto.message m;
SELECT string_agg(DISTINCT d.decision || CASE WHEN d.decision IN ('error', 'unparked') THEN '' ELSE coalesce(':' || d.reason, '') END, ' ' ORDER BY d.decision || CASE WHEN d.decision IN ('error', 'unparked') THEN '' ELSE coalesce(':' || d.reason, '') END) FROM mfiauto.decision_log d;
SELECT string_agg(DISTINCT e.state || CASE e.state WHEN 'error' THEN '' ELSE coalesce(':' || e.reason, '') END, ' ' ORDER BY e.state || CASE e.state WHEN 'error' THEN '' ELSE coalesce(':' || e.reason, '') END) FROM mfiauto.enrollment e;

-- No row without a listed reason, where one is due.
SELECT DISTINCT m.state, m.reason FROM mfiauto.message m
 WHERE NOT CASE WHEN m.state IN ('queued', 'claimed', 'submitted', 'sent', 'delivered') AND m.reason IS NULL THEN true ELSE m.reason IN (SELECT r.reason FROM mfiauto.message_reason r) END;
SELECT DISTINCT d.decision, d.reason FROM mfiauto.decision_log d
 WHERE NOT EXISTS (SELECT FROM mfiauto.decision_reason r WHERE r.decision = d.decision AND (r.reason = coalesce(d.reason, '') OR r.reason = '*' AND d.reason <> ''));
SELECT DISTINCT e.state, e.reason FROM mfiauto.enrollment e
 WHERE NOT CASE e.state WHEN 'active' THEN e.reason IS NULL WHEN 'completed' THEN coalesce(e.reason, 'anchor_moved') = 'anchor_moved' WHEN 'error' THEN e.reason ~ '^[0-9A-Z]{5}: '
                        ELSE ('exited', e.reason) IN (SELECT r.decision, r.reason FROM mfiauto.decision_reason r) END;
SELECT DISTINCT o.reason FROM mfiauto.outbox o WHERE o.reason NOT IN (SELECT r.reason FROM mfiauto.message_reason r);

-- The story of each client has a line for each of his messages and decisions, in words: no bare code of a reason is left.
CREATE TEMP TABLE story AS SELECT c.id AS client_id, s.* FROM bank.client c CROSS JOIN LATERAL mfiauto.explain_client(c.id) s;
SELECT c.id, (SELECT count(*) FROM mfiauto.message m WHERE m.client_id = c.id) AS messages, count(*) FILTER (WHERE s.what = 'message') AS told
  FROM bank.client c LEFT JOIN story s ON s.client_id = c.id GROUP BY c.id HAVING count(*) FILTER (WHERE s.what = 'message') <> (SELECT count(*) FROM mfiauto.message m WHERE m.client_id = c.id);
SELECT d.decision, count(*) - (SELECT count(*) FROM story s WHERE s.what = d.decision) AS missing FROM mfiauto.decision_log d
 GROUP BY 1 HAVING count(*) <> (SELECT count(*) FROM story s WHERE s.what = d.decision);
SELECT DISTINCT s.what, s.detail FROM story s
 WHERE s.detail IS NULL OR s.detail ~ '[{}]' OR s.detail ~ '\m[a-z]+_[a-z_]+\M' AND s.detail !~ '(hold_delivery|unpark|resend_if_moved|normalize_phone|only_recipients)' OR s.detail ~ 'no reason was recorded';
-- Every pair of a client and a workflow has an answer.
CREATE TEMP TABLE answer AS SELECT c.id, h.name, x.what, x.detail FROM bank.client c CROSS JOIN mfiauto.workflow_head h CROSS JOIN LATERAL mfiauto.explain_client(c.id, h.name) x WHERE c.id % 10 IN (2, 7) OR c.id = 61;
SELECT id, name FROM answer GROUP BY 1, 2 HAVING count(*) FILTER (WHERE what NOT IN ('event', 'consent')) = 0;
SELECT count(DISTINCT (id, name)) AS pairs FROM answer;
SELECT DISTINCT regexp_replace(detail, '[0-9-]{10}', '…') AS absence FROM answer WHERE what = 'absence' ORDER BY 1;

-- What stands in the code as the reason of a message or a decision stands on a list.
CREATE TEMP TABLE line AS
  SELECT p.proname, l FROM pg_proc p CROSS JOIN LATERAL regexp_split_to_table(p.prosrc, '\n') l
   WHERE p.pronamespace = 'mfiauto'::regnamespace AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql')) AND p.proname NOT IN ('_schema_part', '_diagram_nodes', '_schema_step');
SELECT count(DISTINCT w[1]) > 30 AS many FROM line, regexp_matches(l, '''([a-z]+(?:_[a-z]+)+)''', 'g') w WHERE w[1] IN (SELECT reason FROM mfiauto.message_reason UNION SELECT reason FROM mfiauto.decision_reason);
-- Next to the words reason and outcome, and in calls that take a reason.
SELECT l.proname, w[1] AS reason FROM line l, regexp_matches(l.l, '(?:reason|outcome)\s*(?::=|=|IN \(|<>)\s*''([a-z_]+)''', 'g') w
 WHERE w[1] NOT IN (SELECT reason FROM mfiauto.message_reason UNION SELECT reason FROM mfiauto.decision_reason)
   -- Outcomes of a run on its way: what becomes of it, not why.
   AND w[1] NOT IN ('run', 'later', 'moved', 'reopened', 'changed', 'unchanged', 'wanted')
   -- Facts that were set aside have their own words, and so have gateways' verdicts.
   AND w[1] NOT IN ('duplicate_id', 'no_client', 'config_broken') ORDER BY 1, 2;
SELECT l.proname, w[1] AS reason FROM line l, regexp_matches(l.l, '(?:_cancel_outbox|_end_runs)\([^;]*''([a-z_]+)''\)', 'g') w
 WHERE w[1] NOT IN (SELECT reason FROM mfiauto.message_reason) ORDER BY 1, 2;
SELECT l.proname, w[1] AS decision, w[2] AS reason FROM line l, regexp_matches(l.l, '''(entered|refused|exited|reopened|moved|branched|skipped|error|unparked|switched|waited|split|repeated)'', ''([a-z_]+)''', 'g') w
 WHERE (w[1], w[2]) NOT IN (SELECT decision, reason FROM mfiauto.decision_reason)
   -- Messages are skipped for reasons of their own list; and lists of states and of outcomes.
   AND (w[1] <> 'skipped' OR w[2] NOT IN (SELECT reason FROM mfiauto.message_reason))
   AND w[2] NOT IN (SELECT decision FROM mfiauto.decision_reason UNION SELECT to_state FROM mfiauto.message_transition) ORDER BY 1, 2, 3;
-- The same of delivery, in C.
\set c_reasons `grep -hoE "(settle\(item, \"[a-z]+\"|requeue\(item, [^\"]+|set_ending\(compose, \"[a-z]+\"), \"[a-z_]+\"" src/delivery/*.c src/message/*.c | grep -oE "\"[a-z_]+\"$" | sort -u | tr -d '"' | tr '\n' ' '`
SELECT :'c_reasons' ~ 'retries_exhausted' AND :'c_reasons' ~ 'missing_variable' AS found;
SELECT w AS reason FROM regexp_split_to_table(trim(:'c_reasons'), ' ') w WHERE w NOT IN (SELECT reason FROM mfiauto.message_reason) ORDER BY 1;
