-- C11: template by locale and channel, fr-SN then fr then the default; who has an unknown locale gets the default and is counted.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text, email text, locale text);
INSERT INTO bank.client SELECT n, 'C' || n, '+2217700000' || lpad(n::text, 2, '0'), 'c' || n || '@x.example', l
  FROM unnest('{fr-SN,fr_CI.UTF-8,FR,wo,en-GB,pt-BR,klingon!,NULL,"",xx}'::text[]) WITH ORDINALITY AS t(l, n);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone", "email": "email", "locale": "locale"}');
SELECT count(mfiauto.create_template('hello', channel => c, locale => l, class => 'transactional', subject => CASE c WHEN 'email' THEN 's' END, body => c || ' ' || l || ' {{client.name}}')) AS texts
  FROM (VALUES ('sms', '*'), ('sms', 'fr'), ('sms', 'fr-SN'), ('sms', 'wo'), ('email', 'fr'), ('email', 'en')) t(c, l);
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox'), mfiauto.create_gateway('mail', 'email', 'sandbox');
SELECT count(mfiauto.create_workflow('w_' || c, format('{"trigger": {"manual": true}, "class": "transactional", "steps": [{"send": "hello", "channels": ["%s"]}]}', c)::json)) AS workflows FROM unnest('{sms,email}'::text[]) c;
SELECT mfiauto.activate_workflow('w_sms'), mfiauto.activate_workflow('w_email');
SELECT count(mfiauto.enroll('w_' || c, n)) AS enrolled FROM generate_series(1, 10) n, unnest('{sms,email}'::text[]) c;
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
-- An oracle that walks the chain: the locale, its language, the default, the institution's language.
CREATE FUNCTION walk(channel text, locale text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  tag text := replace(lower(split_part(coalesce(locale, ''), '.', 1)), '_', '-');
  candidate text;
BEGIN
  tag := CASE WHEN tag ~ '^[a-z]{2,3}(-[a-z]{2})?$' THEN tag ELSE 'fr' END;
  FOREACH candidate IN ARRAY ARRAY[tag, split_part(tag, '-', 1), '*', 'fr'] LOOP
    IF EXISTS (SELECT FROM mfiauto.template t WHERE t.name = 'hello' AND t.channel = walk.channel AND lower(t.locale) = candidate) THEN
      RETURN (SELECT t.locale FROM mfiauto.template t WHERE t.name = 'hello' AND t.channel = walk.channel AND lower(t.locale) = candidate);
    END IF;
  END LOOP;
END $$;
SELECT c.id, c.locale, s.locale AS sms, s.locale = walk('sms', c.locale) AS as_walked, e.locale AS email, e.locale = walk('email', c.locale) AS as_walked, s.body
  FROM bank.client c JOIN mfiauto.message s ON s.client_id = c.id AND s.channel = 'sms' JOIN mfiauto.message e ON e.client_id = c.id AND e.channel = 'email' ORDER BY c.id;
-- Counted: three whose locale is none or missing, one of a language that nobody writes here.
SELECT * FROM mfiauto.locale_coverage();
SELECT sum(clients) = (SELECT count(*) FROM bank.client) AS all_counted FROM mfiauto.locale_coverage();
SELECT count(*) AS oracle FROM bank.client WHERE replace(lower(split_part(coalesce(locale, ''), '.', 1)), '_', '-') !~ '^[a-z]{2,3}(-[a-z]{2})?$';
