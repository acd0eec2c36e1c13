-- C9: a variable that is missing is refused when the text is made (static) or holds the message (at run time): never an empty amount, never a hole, whatever the books hold.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, locale text, traits jsonb);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, product text, status text DEFAULT 'active', currency text);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric, paid numeric);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "locale": "locale", "traits": "traits"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "product": "product", "status": "status", "currency": "currency"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
-- Static: names that no books answer.
SELECT mfiauto.create_template('due', body => 'Vous devez {{installment.amont_due_text}}');
SELECT mfiauto.create_template('due', body => 'Vous devez {{loan.balance_text}}');
SELECT mfiauto.create_template('due', body => 'Vous devez {{montant}}');
SELECT mfiauto.create_template('due', body => 'Vous devez {{client.name.length}}');
SELECT mfiauto.create_template('due', body => 'Vous devez {{#client.traits.agent}}');
SELECT count(*) AS taken FROM mfiauto.template;
-- Money, dates, a default value where one may be missing, a payment option by the operator that the client has.
SELECT mfiauto.create_template('due', class => 'collection', body => '{{client.name}}|{{installment.balance_text}}|{{installment.due_date_text}}|{{loan.product}}|{{#client.traits.wallet}}{{client.traits.wallet}}{{/client.traits.wallet}}{{^client.traits.wallet}}agence{{/client.traits.wallet}}|{{client.traits.agent}}');
SELECT mfiauto.create_template('due', class => 'collection', locale => 'en', body => '{{client.name}}|{{installment.balance_text}}|{{installment.due_date_text}}|{{loan.product}}|{{#client.traits.wallet}}{{client.traits.wallet}}{{/client.traits.wallet}}{{^client.traits.wallet}}branch{{/client.traits.wallet}}|{{client.traits.agent}}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [{"at": "-3 days 09:00", "send": "due"}]}');
SELECT mfiauto.activate_workflow('due');
-- Books with holes of every kind, in every combination.
CREATE TABLE world AS
  SELECT row_number() OVER (ORDER BY n.i, b.i, p.i, w.i, a.i, l.locale) AS id, n.value AS name, b.due, b.paid, p.value AS product, w.value AS wallet, a.value AS agent, l.locale
    FROM (VALUES (1, 'Awa {{loan.product}}'), (2, NULL), (3, ''), (4, '  ')) n(i, value),
         (VALUES (1, 12500::numeric, 0::numeric), (2, 12500.4, 500), (3, NULL, 0), (4, 12500, NULL), (5, 'NaN', 0), (6, 'Infinity', 0), (7, 0, 0)) b(i, due, paid),
         (VALUES (1, 'Commerce'), (2, NULL)) p(i, value), (VALUES (1, '"Wave"'::jsonb), (2, NULL), (3, '""')) w(i, value), (VALUES (1, '"Moussa"'::jsonb), (2, NULL), (3, 'null'), (4, '""')) a(i, value),
         unnest('{fr,en}'::text[]) l(locale);
INSERT INTO bank.client SELECT id, name, '+22177' || lpad(id::text, 7, '0'), locale, jsonb_strip_nulls(jsonb_build_object('wallet', wallet)) || CASE WHEN agent IS NULL THEN '{}' ELSE jsonb_build_object('agent', agent) END FROM world;
INSERT INTO bank.loan SELECT id, id, product, 'active', 'XOF' FROM world;
INSERT INTO bank.installment SELECT id, id, '2026-01-10', due, paid FROM world;
SELECT count(*) AS clients FROM world;
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-07 09:00+00');
SELECT messages FROM mfiauto.run_engine();
-- The oracle: what each should read, or that he gets nothing.
CREATE TABLE expected AS
  SELECT w.id, CASE WHEN btrim(coalesce(w.name, '')) <> '' AND w.due - coalesce(w.paid, 0) < 'Infinity' AND w.product IS NOT NULL AND coalesce(w.agent #>> '{}', '') <> ''
                    THEN concat_ws('|', w.name, mfiauto.money_text(w.due - coalesce(w.paid, 0), 'XOF', w.locale), CASE w.locale WHEN 'fr' THEN '10 janvier 2026' ELSE '10 January 2026' END, w.product,
                                   coalesce(nullif(w.wallet #>> '{}', ''), CASE w.locale WHEN 'fr' THEN 'agence' ELSE 'branch' END), w.agent #>> '{}') END AS body
    FROM world w;
SELECT count(*) AS clients, count(e.body) AS whole, count(*) FILTER (WHERE m.state = 'queued') AS queued, count(*) FILTER (WHERE m.state = 'held' AND m.reason = 'missing_variable') AS held,
       count(*) FILTER (WHERE e.body IS DISTINCT FROM m.body) AS wrong
  FROM expected e LEFT JOIN mfiauto.message m ON m.client_id = e.id;
SELECT e.id, e.body, m.state, m.body FROM expected e LEFT JOIN mfiauto.message m ON m.client_id = e.id WHERE e.body IS DISTINCT FROM m.body ORDER BY e.id LIMIT 5;
SELECT body FROM mfiauto.message WHERE state = 'queued' ORDER BY client_id LIMIT 4;
-- Preview names the values that are missing.
SELECT p.locale, p.problems FROM mfiauto.preview_template('due', (SELECT max(id) FROM world), (SELECT max(id) FROM world)) p;
-- At the claim it is the same: a value that went away meanwhile holds the message, one that came lets it leave.
UPDATE bank.client SET name = NULL WHERE id = (SELECT min(id) FROM expected WHERE body IS NOT NULL);
SELECT sent = (SELECT count(body) - 1 FROM expected) AS all_but_one_left, deferred > 0 AS some_wait FROM mfiauto.run_delivery();
SELECT count(*) FILTER (WHERE s.body IS DISTINCT FROM e.body) AS wrong, count(*) FILTER (WHERE s.body ~ '\|\||^\||\|$|NaN|Infinity|null') AS with_a_hole FROM mfiauto.sandbox_message s JOIN expected e ON e.id = s.client_id;
UPDATE bank.client SET name = 'Awa' WHERE id = (SELECT min(id) FROM expected WHERE body IS NOT NULL);
SELECT mfiauto.set_clock('2026-01-07 10:00+00');
SELECT sent FROM mfiauto.run_delivery();
-- Plural: beside a number, in the language of the text that is used, which need not be the client's: in French zero is singular, in English it is not.
SELECT mfiauto.create_template('left', locale => 'fr', body => 'Il reste {{client.traits.days}} jour{{#client.traits.days_plural}}s{{/client.traits.days_plural}}{{^client.traits.days_plural}} !{{/client.traits.days_plural}}');
SELECT mfiauto.create_template('left', locale => 'en', body => '{{client.traits.days}} day{{#client.traits.days_plural}}s{{/client.traits.days_plural}} left');
SELECT mfiauto.create_template('only_fr', locale => 'fr', body => '{{client.traits.days}} jour{{#client.traits.days_plural}}s{{/client.traits.days_plural}}');
INSERT INTO bank.client SELECT 5000 + row_number() OVER (ORDER BY l, n), 'Awa', '+221781' || lpad((row_number() OVER (ORDER BY l, n))::text, 6, '0'), l, jsonb_build_object('days', n) FROM unnest('{0,1,1.5,2,21}'::numeric[]) n, unnest('{en,fr}'::text[]) l;
SELECT c.locale, c.traits ->> 'days' AS days, p.body, f.body AS of_french_alone FROM bank.client c, mfiauto.preview_template('left', c.id) p, mfiauto.preview_template('only_fr', c.id) f WHERE c.id > 5000 AND p.locale = c.locale ORDER BY c.id;
-- It is no hole where there is no number, and a name that no number can answer is refused.
UPDATE bank.client SET traits = '{"days": "some"}' WHERE id = 5001;
UPDATE bank.client SET traits = '{}' WHERE id = 5002;
SELECT c.id, f.body, f.problems FROM bank.client c, mfiauto.preview_template('only_fr', c.id) f WHERE c.id IN (5001, 5002) ORDER BY 1;
SELECT mfiauto.create_template('many', body => '{{loan.cycle}} prêt{{#loan.cycle_plural}}s{{/loan.cycle_plural}}');
SELECT mfiauto.create_template('many', body => '{{#loan.product_plural}}s{{/loan.product_plural}}');
SELECT mfiauto._context_object_sql('loan', '(p.l)', '$5', '{loan.cycle_plural}') ~ '''cycle''' AS is_fetched_for_it;
