-- W11: every recipe installs with one call on the sample schema, is exported with all the rest, and what it does is explained.
SET client_min_messages = warning;
\set VERBOSITY terse
\set ECHO none
\o /dev/null
\i contrib/demo/bank.sql
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
SELECT mfiauto.create_gateway('keep_sms', channel => 'sms', preset => 'sandbox');
SELECT mfiauto.create_gateway('keep_voice', channel => 'voice', preset => 'sandbox');
\o
\set ECHO all
SELECT recipe, touch_point, needs_roles, needs_events, workflows FROM mfiauto.recipe ORDER BY recipe;
SELECT recipe FROM mfiauto.recipe WHERE length(about) < 80 OR cardinality(adapt) = 0 OR touch_point IS NULL OR templates = '{}';
-- A recipe is laid out as an export is.
SELECT recipe FROM mfiauto.recipe WHERE definitions::text <> mfiauto._json_layout(definitions, 0, 1000);

-- Without the books nothing is made, and all that is missing is said.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM mfiauto.install_recipe('next_loan');
SELECT * FROM mfiauto.install_recipe('remainder');
SELECT * FROM mfiauto.install_recipe(NULL);
SELECT count(*) AS made FROM mfiauto.template;
-- A column that is only nice to have is done without.
BEGIN;
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "display_name", "phone": "mobile_no", "birth_date": "date_of_birth"}') \g /dev/null
SET client_min_messages = notice;
SELECT section, count(*) FROM mfiauto.install_recipe('birthday') GROUP BY section ORDER BY section;
SELECT definition ->> 'enter_if' AS enter_if FROM mfiauto.workflow;
ROLLBACK;
\set ECHO none
\o /dev/null
\i contrib/demo/bind.sql
\o
\set ECHO all
INSERT INTO bank.branch VALUES (1, 'Thies', 'SN', 'Thies');
INSERT INTO bank.officer VALUES (7, 'Fatou Ndiaye', '77 000 00 07', 1);
INSERT INTO bank.client (id, display_name, mobile_no, lang, date_of_birth, region, literacy, status, activation_date, branch_id, officer_id)
VALUES (42, 'Marie-Antoinette Diatta', '77 123 45 67', 'fr', '1990-02-28', 'Thies', 'high', 300, '2024-01-01', 1, 7);
INSERT INTO bank.loan (id, client_id, product, principal, number_of_installments, status, applied_on, disbursed_on, officer_id, branch_id)
VALUES (100, 42, 'Micro', 1250000, 1, 300, '2025-12-01', '2025-12-10', 7, 1);
INSERT INTO bank.installment (id, loan_id, number, from_date, due_date, principal) VALUES (1007, 100, 1, '2025-12-10', '2026-01-14', 112500);

-- One call each.
SET client_min_messages = notice;
SELECT i.section, count(*), i.outcome FROM mfiauto.install_recipe('change_of_terms') i GROUP BY 1, 3 ORDER BY 1;
SET client_min_messages = warning;
SELECT r.recipe, count(*) FILTER (WHERE i.section = 'templates') AS templates, count(*) FILTER (WHERE i.section = 'segments') AS segments,
       count(*) FILTER (WHERE i.section = 'workflows') AS workflows, string_agg(DISTINCT i.outcome, ', ') AS outcomes
  FROM mfiauto.recipe r CROSS JOIN LATERAL mfiauto.install_recipe(r.recipe) i WHERE r.recipe <> 'change_of_terms' GROUP BY r.recipe ORDER BY r.recipe;
SELECT name, state, class FROM mfiauto.workflow ORDER BY name;
-- Whatever a recipe makes begins with its name.
SELECT r.recipe, n FROM mfiauto.recipe r, unnest(r.templates || r.workflows) n WHERE n NOT LIKE r.recipe || '%';
-- A second time its names are in use, and nothing is made.
SELECT * FROM mfiauto.install_recipe('birthday');

-- Texts: the cheap alphabet, one part, in French and in English, with a long name.
SELECT t.name, p.locale, p.encoding, p.parts, p.body FROM (SELECT DISTINCT name FROM mfiauto.template) t
  CROSS JOIN LATERAL mfiauto.preview_template(t.name, 42, CASE WHEN t.name LIKE 'repayment%' THEN 1007 WHEN t.name LIKE 'welcome%' THEN 100 END) p
 WHERE p.channel = 'sms' AND (p.encoding <> 'gsm7' OR p.parts > 1);
SELECT name, channel, locale FROM mfiauto.template WHERE NOT EXISTS (SELECT FROM mfiauto.template o WHERE o.name = template.name AND o.channel = template.channel AND o.locale = 'fr');

-- Exported with all the rest, and taken back unchanged; each definition as its recipe has it.
SELECT mfiauto.export_definitions() AS exported \gset
SELECT outcome, count(*) > 40 AS many FROM mfiauto.import_definitions(:'exported') GROUP BY outcome;
SELECT mfiauto.export_definitions() = :'exported' AS is_the_same;
SELECT r.recipe, i ->> 'name' AS name FROM mfiauto.recipe r, json_array_elements(r.definitions -> 'workflows') i
 WHERE NOT EXISTS (SELECT FROM json_array_elements(:'exported'::json -> 'workflows') e
                    WHERE e ->> 'name' = i ->> 'name' AND mfiauto._json_line(e -> 'definition') = mfiauto._json_line(i -> 'definition'));

-- Live, and explained.
SELECT mfiauto.activate_workflow(name) FROM mfiauto.workflow ORDER BY name \g /dev/null
SELECT mfiauto.opt_in(42, purpose => 'marketing') \g /dev/null
SELECT parked FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-07 10:00+00');
SELECT parked FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-02-28 10:00+00');
SELECT parked FROM mfiauto.run_engine();
SELECT workflow, what, count(*) FROM (SELECT w.name AS workflow, e.what FROM mfiauto.workflow w CROSS JOIN LATERAL mfiauto.explain_client(42, workflow => w.name) e) x
 WHERE what LIKE 'enter%' OR what LIKE 'message%' GROUP BY 1, 2 ORDER BY 1, 2;
