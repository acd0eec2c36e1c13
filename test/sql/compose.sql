-- Contexts and messages: locales, channels, addresses, holes, alphabets; over stand-ins for the canonical views.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(name => 'Caisse du Fleuve', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');

-- Locales and zones as records give them.
SELECT l AS given, mfiauto._normalize_locale(l) FROM unnest('{fr,FR,fr_SN.UTF-8,fr-sn,zh_hant_tw,es-419,C,POSIX,français,f,fr-,-fr,fr--SN,ha@latin,sr_Latn_RS_valencia}'::text[]) l;
SELECT z AS given, mfiauto._valid_zone(z), mfiauto._valid_zone(z) AS again
  FROM unnest('{Africa/Dakar,africa/dakar,UTC,Etc/GMT+3,Africa/Dakkar,XYZ3,"","../../etc/passwd",Europe/Paris}'::text[]) z;
SELECT mfiauto._close_names('installmant', '{client,installment,instalment,loan}'), mfiauto._close_names('zzz', '{client}'), mfiauto._close_names('é', '{e}');

-- Addresses in their one form; null where they cannot be used.
SELECT c AS channel, a AS address, mfiauto._read_address(c, a, 'SN')
  FROM (VALUES ('sms', '77 123 45 67'), ('sms', '33 823 45 67'), ('voice', '33 823 45 67'), ('sms', '+33 6 12 34 56 78'), ('sms', 'demander'), ('sms', ''),
               ('email', ' Awa.Ndiaye@Example.ORG '), ('email', 'awa@localhost'), ('email', 'awa@@example.org'), ('email', E'awa@example.org\r\nBcc: x@example.org'),
               ('email', 'awa ndiaye@example.org'), ('email', '.awa@example.org'), ('email', 'awa@-example.org'), ('email', 'awa@example.123'), ('email', '"awa"@example.org'),
               ('email', repeat('a', 65) || '@example.org'), ('push', 'fcm:abc-123'), ('push', 'a b'), ('pigeon', 'x')) AS v(c, a);

CREATE SCHEMA book;
CREATE TABLE book.client (client_id bigint PRIMARY KEY, name text, phone text, email text, push_token text, locale text, time_zone text, birth_date date, gender text,
  region text, literacy text, status text, joined_on date, source text, officer_id bigint, branch_id bigint, traits jsonb);
CREATE TABLE book.loan (loan_id bigint PRIMARY KEY, client_id bigint, product text, principal numeric, currency text, status text, applied_on date, approved_on date,
  disbursed_on date, maturity_on date, closed_on date, written_off_on date, outstanding numeric, cycle int, officer_id bigint, branch_id bigint);
CREATE TABLE book.installment (installment_id bigint, loan_id bigint, client_id bigint, number int, due_date date, amount_due numeric, amount_paid numeric, paid_on date, balance numeric);
CREATE TABLE book.payment (payment_id bigint PRIMARY KEY, loan_id bigint, client_id bigint, paid_at timestamptz, amount numeric, reversed boolean);

-- Before anything is bound there is nothing to say.
SELECT ord, context, locale, time_zone, country, found FROM mfiauto._context('{1}', 'installment', '{11}', 'welcome');

CREATE VIEW mfiauto.client AS SELECT * FROM book.client;
CREATE VIEW mfiauto.loan AS SELECT * FROM book.loan;
CREATE VIEW mfiauto.installment AS SELECT * FROM book.installment;
CREATE VIEW mfiauto.payment AS SELECT * FROM book.payment;
INSERT INTO book.client (client_id, name, phone, email, push_token, locale, time_zone, birth_date, traits) VALUES
  (1, 'Awa', '77 100 00 01', 'awa@example.org', 'tok1', 'fr_SN', 'Africa/Dakar', '1990-03-08', '{"household": 4, "plan": "bank"}'),
  (2, 'Moussa', '33 800 00 02', NULL, NULL, 'wo', 'Mars/Olympus', 'infinity', NULL),
  (3, ' ', '770000003', NULL, NULL, 'klingon', NULL, '0044-03-15 BC', '[1]'),
  (4, E'Eve\r\nBcc: <x@example.org>', 'no phone', 'eve@example.org', NULL, 'en-KE', 'Africa/Nairobi', NULL, '{"country": "KE", "telegram": "tg4"}');
INSERT INTO mfiauto.client_trait VALUES (1, '{"plan": "gold"}', now());
INSERT INTO book.loan (loan_id, client_id, principal, currency, outstanding, status) VALUES (7, 1, 250000, 'XOF', 100000.5, 'active'), (8, NULL, 900, 'KES', 'NaN', 'active');
INSERT INTO book.installment VALUES (11, 7, 1, 2, '2026-02-01', 12500, 0, NULL, 12500), (12, 8, NULL, 1, '2026-03-05', 1500.5, 0, NULL, 1500.5),
  (13, 99, 1, 1, 'infinity', 10, 'NaN', NULL, 10), (14, 7, 1, 3, '2026-04-01', 1, 0, NULL, 1), (14, 7, 1, 3, '2026-04-01', 1, 0, NULL, 1);
INSERT INTO book.payment VALUES (5, 7, 1, '2026-01-31 23:30+00', 5000, false);

SELECT jsonb_pretty(context) AS context FROM mfiauto._context('{1}', 'installment', '{11}', 'repayment');
-- What cannot be known is null; each element once and in order; a group's loan has no client of its own.
SELECT ord, client_id, subject_id, locale, time_zone, country, found, context -> 'client' -> 'name' AS name, context #> '{client,birth_date_text}' AS birth,
       context #> '{client,traits}' AS traits, context #> '{installment,balance_text}' AS balance, context #> '{installment,due_date_text}' AS due,
       context #> '{installment,amount_paid_text}' AS paid, context #> '{loan,outstanding_text}' AS outstanding
  FROM mfiauto._context('{1,2,3,4,1,9,1}', 'installment', '{11,12,12,12,13,11,14}', 'repayment');
SELECT context -> 'payment' AS payment, context #> '{loan,principal_text}' AS principal, found FROM mfiauto._context('{1}', 'payment', '{5}', NULL);
SELECT context -> 'loan' ->> 'outstanding_text' AS outstanding, found FROM mfiauto._context('{1}', 'loan', '{7}', NULL);
SELECT context ? 'installment' AS has_installment, found FROM mfiauto._context('{1}', 'client', '{1}', NULL);
SELECT context ? 'savings_goal' AS has_goal, found FROM mfiauto._context('{1}', 'savings_goal', '{77}', NULL);
SELECT found FROM mfiauto._context('{1}', 'holding', '{1}', NULL);
-- Only what the templates ask for.
SELECT mfiauto.create_template('needs', body => '{{client.name}} {{client.traits.plan}} {{installment.balance_text}}');
SELECT mfiauto.create_template('needs_all', body => '{{#client}}{{name}}{{/client}}');
SELECT mfiauto._template_needs('{needs}'), mfiauto._template_needs('{needs,needs_all}') IS NULL AS needs_all;
SELECT context FROM mfiauto._context('{1}', 'installment', '{11}', 'w', mfiauto._template_needs('{needs}'));

-- Which text: the client's locale, language, the default, the institution's language.
SELECT mfiauto.create_template('pick', channel => 'sms', locale => 'fr', class => 'collection', body => 'fr {{client.name}}');
SELECT mfiauto.create_template('pick', channel => 'sms', locale => 'fr-SN', body => 'fr-SN {{client.name}}');
SELECT mfiauto.create_template('pick', channel => 'email', subject => 'Bonjour {{client.name}}', body => 'plain {{client.name}} & co', html => '<p>{{client.name}} &amp; {{{client.name}}}</p>');
SELECT mfiauto.create_template('pick', channel => 'voice', locale => 'wo', body => 'wo {{client.name}}', options => '{"audio": "https://sound.example/{{client.name}}.mp3"}');
SELECT mfiauto.create_template('pick', channel => 'telegram', body => 'tg {{client.name}}');
CREATE FUNCTION book.compose(template text, channels text[], client bigint, locale text DEFAULT NULL)
RETURNS TABLE (channel text, next_channels text[], class text, locale text, to_address text, body text, state text, reason text, detail text, encoding text, parts smallint)
LANGUAGE sql AS $$
  SELECT m.channel, m.next_channels, m.class, m.locale, m.to_address, m.body, m.state, m.reason, m.detail, m.encoding, m.parts
    FROM mfiauto._context(ARRAY[$3], 'installment', '{11}', 'w') c,
         mfiauto._compose($1, $2, 'legal', coalesce($4, c.locale), c.context, c.phone, c.email, c.push_token, c.country) m
$$;
SELECT l AS locale_of_client, m.* FROM unnest('{fr-SN,fr-CI,fr,en,*,garbage!}'::text[]) l, book.compose('pick', NULL, 1, l) m;
SELECT c AS client, m.* FROM generate_series(1, 4) c, book.compose('pick', NULL, c) m ORDER BY c;
SELECT w AS wanted, m.channel, m.next_channels, m.to_address, m.state, m.reason
  FROM (VALUES ('{email,sms}'::text[]), ('{voice}'), ('{push,sms}'), ('{}'), ('{pigeon,NULL,email}')) AS v(w), book.compose('pick', w, 1) m;
-- Money and dates are in the language of the text that steps in, not in the client's; an event's properties are left alone.
SELECT mfiauto.create_template('language', locale => 'fr', body => '{{installment.balance_text}} le {{installment.due_date_text}}, {{loan.principal_text}}, {{event.amount_text}}');
SELECT mfiauto.create_template('language', channel => 'voice', body => '{{installment.balance_text}}, {{installment.due_date_text}}, {{loan.principal_text}}');
SELECT n.names IS NULL AS all_names, m.channel, c.context #>> '{installment,due_date_text}' AS for_client, m.body
  FROM (VALUES (NULL), (mfiauto._template_needs('{language}'))) AS n(names), mfiauto._context('{4}', 'installment', '{12}', 'w', n.names) c,
       mfiauto._compose('language', '{sms,voice}', NULL, c.locale, c.context || '{"event": {"amount": 5, "amount_text": "five"}}', '+254712345678', NULL, NULL, 'KE') m
UNION ALL
SELECT NULL, m.channel, c.context #>> '{installment,due_date_text}', m.body
  FROM mfiauto._context('{4}', 'installment', '{12}', 'w') c,
       mfiauto._compose('language', '{voice}', NULL, c.locale, c.context, '+254712345678', NULL, NULL, 'KE') m;

-- A line end in a name stays out of the title; the HTML part alone is escaped.
SELECT m.title, m.body, m.html FROM mfiauto._context('{4}', 'client', '{4}', 'w') c,
  mfiauto._compose('pick', '{email}', NULL, c.locale, c.context, c.phone, c.email, c.push_token, c.country) m;

-- Never with a hole; preview shows where it would be.
SELECT mfiauto.create_template('hole', body => 'Bonjour {{client.name}}, {{client.traits.agent}} {{#client.region}}{{client.region}}{{/client.region}}{{^client.region}}-{{/client.region}}');
SELECT c AS client, m.class, m.state, m.reason, m.detail, m.body FROM unnest('{1,3}'::bigint[]) c, book.compose('hole', NULL, c) m;
SELECT m.state, m.reason, m.detail, m.body FROM mfiauto._compose('hole', NULL, NULL, 'fr', '{"client": {"name": "Awa"}}', '770000001', NULL, NULL, NULL, true) m;
SELECT mfiauto.create_template('empty', body => '{{#client.region}}Hello{{/client.region}} ');
SELECT m.state, m.reason FROM book.compose('empty', NULL, 1) m;
SELECT m.state, m.reason, m.class FROM mfiauto._compose('nobody', NULL, NULL, NULL, '{}', '770000001', NULL, NULL, NULL) m;
SELECT m.state, m.reason FROM mfiauto._compose(NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL) m;

-- Alphabets: one circumflex more makes three parts, unless it is written without.
SELECT mfiauto.create_template('cheap', body => 'prêt ' || repeat('x', 140) || '{{client.traits.tail}}');
SELECT mfiauto.create_template('exact', body => 'prêt ' || repeat('x', 140) || '{{client.traits.tail}}', alphabet => 'ucs2');
SELECT mfiauto.create_template('strict', body => 'pret ' || repeat('x', 140) || '{{client.traits.tail}}', alphabet => 'refuse');
SELECT t AS template, left(tail, 1) AS tail, m.encoding, m.parts, m.state, m.reason, m.detail, left(m.body, 4) AS begins, length(m.body)
  FROM unnest('{cheap,exact,strict}'::text[]) t,
       (VALUES ('x'), ('ê'), ('ŋ'), (repeat('x', 1600))) AS v(tail),
       mfiauto._compose(t, NULL, NULL, 'fr', jsonb_build_object('client', jsonb_build_object('traits', jsonb_build_object('tail', tail))), '770000001', NULL, NULL, 'SN') m
 ORDER BY t, length(tail), tail COLLATE "C";

-- One client's endless list is that client's trouble alone.
SELECT mfiauto.create_template('endless', body => '{{#client.traits.list}}' || repeat('x', 200) || '{{/client.traits.list}}ok');
SELECT n AS items, m.state, m.reason, left(m.body, 3) AS begins
  FROM unnest('{0,20000,1}'::int[]) WITH ORDINALITY u(n, o),
       mfiauto._compose('endless', NULL, NULL, 'fr', jsonb_build_object('client', jsonb_build_object('traits', jsonb_build_object('list',
         (SELECT coalesce(jsonb_agg(1), '[]') FROM generate_series(1, n))))), '770000001', NULL, NULL, 'SN') m
 ORDER BY o;

-- A new version is seen at once, also by a loop in one transaction.
DO $$
DECLARE
  m record;
BEGIN
  FOR i IN 1..3 LOOP
    PERFORM mfiauto.create_template('live', body => format('version %s', i));
    m := mfiauto._compose('live', '{sms}', NULL, 'fr', '{}', '770000001', NULL, NULL, 'SN');
    IF m.body <> format('version %s', i) THEN
      RAISE EXCEPTION 'version % was composed from "%"', i, m.body;
    END IF;
  END LOOP;
END $$;

-- Ten thousand at a time: every row its own text.
SELECT count(*), count(DISTINCT m.body), min(m.state), max(m.state)
  FROM generate_series(1, 10000) g,
       mfiauto._compose(CASE g % 2 WHEN 0 THEN 'pick' ELSE 'hole' END, '{sms,email}', 'marketing', CASE g % 3 WHEN 0 THEN 'fr-SN' END,
                        jsonb_build_object('client', jsonb_build_object('name', g, 'traits', jsonb_build_object('agent', 'a'))), '77' || 1000000 + g, NULL, NULL, 'SN') m;
