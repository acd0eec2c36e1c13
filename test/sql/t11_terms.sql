-- T11: a notice of changed terms to all holders of a product, class legal, acknowledged by version: every holder has exactly one message that was sent, failed or had no address; the report lists who was not reached.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-03-02 09:00+00');
SELECT mfiauto.create_template('terms', channel => 'sms', body => 'Nouvelles conditions du compte, version 2026-04.', class => 'legal') AS version;
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, CASE WHEN g % 5 > 0 THEN '+2217700' || lpad(g::text, 5, '0') END FROM generate_series(1, 40) g;
INSERT INTO bank.holding SELECT 100 + g, g, CASE WHEN g % 4 = 0 THEN 'credit' ELSE 'savings' END, '2025-01-01', CASE WHEN g > 36 THEN date '2025-12-31' END FROM generate_series(1, 40) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_segment('holders', 'SELECT h.client_id FROM mfiauto.holding h WHERE h.product = ''savings'' AND h.closed_on IS NULL GROUP BY h.client_id') IS NOT NULL AS made;
SELECT mfiauto.opt_out(client_id => 1, reason => 'wants no offers'), mfiauto.suppress_address('sms', '+221770000002', 'wrong number');
SELECT mfiauto.create_workflow('terms_2026_04', '{"trigger": {"segment": "holders", "on": "enter", "existing": true}, "class": "legal", "steps": [
  {"send": "terms"},
  {"wait_for": {"event": "Terms Accepted", "if": "event.properties ->> ''version'' = ''2026-04''"}, "timeout": "30 days",
   "then": [{"set": {"terms_version": "2026-04"}}], "timeout_steps": [{"task": "Hand over the terms 2026-04 to {{client.name}}", "assign": "officer"}]}]}') AS version;
SELECT step, clients FROM mfiauto.preview_activation('terms_2026_04');
SELECT mfiauto.activate_workflow('terms_2026_04');
SELECT entered FROM mfiauto.run_engine();
SELECT claimed FROM mfiauto.run_delivery();
-- Who opens an account later is told as well.
INSERT INTO bank.client (id, name, phone) VALUES (50, 'Late', '+221770000050');
INSERT INTO bank.holding VALUES (150, 50, 'savings', '2026-03-02');
SELECT entered FROM mfiauto.refresh_segment('holders');
SELECT entered FROM mfiauto.run_engine();
SELECT claimed FROM mfiauto.run_delivery();
CREATE VIEW pg_temp.holder AS SELECT DISTINCT h.client_id FROM bank.holding h WHERE h.product = 'savings' AND h.closed_on IS NULL;
SELECT count(*) AS holders, count(*) FILTER (WHERE m.n = 1) AS have_one FROM pg_temp.holder h LEFT JOIN (SELECT client_id, count(*) AS n FROM mfiauto.message GROUP BY 1) m USING (client_id);
SELECT count(*) AS strangers FROM mfiauto.message m WHERE m.client_id NOT IN (SELECT client_id FROM pg_temp.holder);
SELECT state, reason, count(*) FROM mfiauto.message GROUP BY 1, 2 ORDER BY 1, 2;
-- An acknowledgement of other terms is none; the version stands with the client.
SELECT mfiauto.track('Terms Accepted', 1, '{"version": "2026-04"}') > 0 AND mfiauto.track('Terms Accepted', 3, '{"version": "2025-01"}') > 0 AS told;
SELECT advanced > 0 AS went_on FROM mfiauto.run_engine();
SELECT client_id, traits FROM mfiauto.client_trait ORDER BY 1;
SELECT advanced > 0 AS timed_out FROM pg_temp.at('2026-04-02 09:00+00');
SELECT count(*) AS for_agents, count(*) FILTER (WHERE m.state <> 'sent') AS not_reached FROM mfiauto.task t JOIN mfiauto.message m USING (client_id);
SELECT count(*) AS without_task_or_answer FROM pg_temp.holder h WHERE NOT EXISTS (SELECT FROM mfiauto.task t WHERE t.client_id = h.client_id) AND NOT EXISTS (SELECT FROM mfiauto.client_trait t WHERE t.client_id = h.client_id);
