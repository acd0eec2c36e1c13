-- C12: short tracked links, UTM, expiry; the pay link carries the loan's key; a click joins to message, person and loan; machines' clicks are flagged.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF', public_url => 'https://m.mfi.example/');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/workflow_books.sql
UPDATE bank.installment SET due_date = '2026-01-10' WHERE id = 103;
SELECT mfiauto.allow_link_host('pay.mfi.example'), mfiauto.allow_link_host('.video.example');
SELECT mfiauto.create_link('pay', 'https://pay.mfi.example/{{loan.loan_id}}?n={{client.name}}#top', expires => '10 days');
SELECT mfiauto.create_link('film', 'https://fr.video.example/pret?utm_source=own', utm => '{"campaign": "school fees", "content": null}');
SELECT name, url, utm, expires_after FROM mfiauto.link ORDER BY name;
SELECT mfiauto.create_template('due_soon', channel => 'sms', class => 'collection', body => 'Bonjour {{client.name}}: {{links.pay}} ou {{links.film}} STOP {{links.unsubscribe}}');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection",
  "enter_if": "loan.status = ''active''", "steps": [{"at": "-3 days 09:00", "send": "due_soon"}]}');
SELECT mfiauto.activate_workflow('due');
SELECT entered FROM mfiauto.run_engine();
-- The preview has links of the true length.
SELECT parts, length(body) AS characters, body ~ 'm\.mfi\.example/l/' AS shows_link FROM mfiauto.preview_template('due_soon', client_id => 1, subject_id => 101);
SELECT mfiauto.set_clock('2026-01-07 09:00+00');
SELECT messages FROM mfiauto.run_engine();

-- The text as it was composed: three links a message, of one length, no two the same; nothing of the client's in them.
CREATE VIEW token AS
  SELECT m.client_id, m.message_id, t.n, t.m[1] AS page, t.m[2] AS token FROM mfiauto.message m, regexp_matches(m.body, 'https://m\.mfi\.example/([lu])/([0-9A-Za-z]+)', 'g') WITH ORDINALITY AS t(m, n);
SELECT client_id, n, page, length(token) FROM token ORDER BY client_id, n;
SELECT count(DISTINCT token) AS different FROM token;
SELECT client_id, regexp_replace(body, '/[0-9A-Za-z]{20}\M', '/…', 'g') AS body, length(body) AS characters, parts FROM mfiauto.message WHERE state = 'queued' ORDER BY client_id;
SELECT count(*) AS wrong FROM token t, mfiauto._read_link_token(t.token) r WHERE r.message_id IS DISTINCT FROM t.message_id OR r.target IS NULL;
-- Composed again at the claim, from other books, it has the same links.
CREATE TABLE before AS SELECT * FROM token;
UPDATE bank.client SET name = 'Awa Ndiaye' WHERE id = 1;
SELECT sent FROM mfiauto.run_delivery();
SELECT client_id, regexp_replace(body, '/[0-9A-Za-z]{20}\M', '/…', 'g') AS body FROM mfiauto.sandbox_message ORDER BY client_id;
SELECT count(*) AS kept FROM token t JOIN before b USING (client_id, message_id, n, page, token);

-- Followed: where it leads is filled in from the books of that moment.
CREATE FUNCTION link(client bigint, place integer) RETURNS text LANGUAGE sql AS $$ SELECT t.token FROM token t WHERE t.client_id = client AND t.n = place $$;
CREATE FUNCTION follow(token text, agent text DEFAULT 'Mozilla/5.0 (Linux; Android 10) Chrome/120', method text DEFAULT 'GET', more jsonb DEFAULT '{}', remote inet DEFAULT '41.82.1.2')
RETURNS TABLE (status integer, location text) LANGUAGE sql AS $$
  SELECT r.status, r.headers ->> 'location' FROM mfiauto._serve_link(token, jsonb_build_object('User-Agent', agent) || more, NULL, remote, method) r
$$;
-- As soon as it was sent: nobody reads that fast.
SELECT mfiauto.set_clock('2026-01-07 09:00:01+00');
SELECT status FROM follow(link(2, 2));
SELECT mfiauto.set_clock('2026-01-07 10:00+00');
UPDATE bank.client SET name = 'Awa & Co/../?x' WHERE id = 1;
SELECT * FROM follow(link(1, 1));
SELECT * FROM follow(link(1, 2));
SELECT * FROM follow(link(2, 1));
-- Again within the minute is the same click; after it, another.
SELECT * FROM follow(link(1, 2));
SELECT mfiauto.set_clock('2026-01-07 10:02+00');
SELECT * FROM follow(link(1, 2));
SELECT client_id, link, url, workflow, step, channel, subject, subject_id, loan_id, is_bot FROM mfiauto.click WHERE NOT is_bot ORDER BY client_id, link, at;
SELECT c.link, l.name, l.phone, loan.status FROM mfiauto.click c JOIN mfiauto.client l USING (client_id) JOIN mfiauto.loan USING (loan_id) WHERE c.client_id = 2 AND NOT c.is_bot;
SELECT name, client_id, properties ->> 'link' AS link FROM mfiauto.event WHERE name = 'Link Clicked' ORDER BY client_id, occurred_at, link;

-- Machines are led there too, and are counted for what they are.
SELECT mfiauto.set_clock('2026-01-07 11:00+00');
SELECT mfiauto.add_bot_sign('network', '203.0.113.0/24', 'data center of the test');
SELECT status FROM follow(link(2, 1), 'WhatsApp/2.23');
SELECT status FROM follow(link(2, 2), method => 'HEAD');
SELECT mfiauto.set_clock('2026-01-07 11:10+00');
SELECT status FROM follow(link(2, 2), more => '{"Sec-Purpose": "prefetch;prerender"}');
SELECT mfiauto.set_clock('2026-01-07 11:20+00');
SELECT status FROM follow(link(2, 2), remote => '203.0.113.9');
SELECT mfiauto.set_clock('2026-01-07 11:30+00');
SELECT status FROM follow(link(2, 2), agent => '');
SELECT link, is_bot, sign FROM mfiauto.click WHERE client_id = 2 ORDER BY is_bot, sign;
SELECT count(*) AS told FROM mfiauto.event WHERE name = 'Link Clicked';

-- Expired, dropped, its host no longer allowed, its loan gone from the books: gone, and in the client's language.
CREATE FUNCTION gone(token text) RETURNS text LANGUAGE sql AS $$
  SELECT r.status || ' ' || substring(convert_from(r.body, 'UTF8') FROM '<h1>(.*)</h1>') || coalesce(' ' || (r.headers ->> 'location'), '') FROM mfiauto._serve_link(token, '{"user-agent": "Firefox"}') r
$$;
SELECT mfiauto.set_clock('2026-01-17 08:59+00');
SELECT status FROM follow(link(1, 1));
SELECT mfiauto.set_clock('2026-01-17 09:00+00');
SELECT gone(link(1, 1));
SELECT status FROM follow(link(1, 2));
SELECT mfiauto.alter_link('pay', expires => '0');
SELECT status FROM follow(link(1, 1));
SELECT mfiauto.drop_link_host('.video.example');
SELECT gone(link(1, 2));
SELECT mfiauto.allow_link_host('.video.example');
SELECT mfiauto.drop_link('film');
SELECT mfiauto.create_template('due_soon', channel => 'sms', class => 'collection', body => 'Bonjour {{client.name}}: {{links.pay}}');
SELECT mfiauto.drop_link('film');
SELECT gone(link(1, 2));
SELECT mfiauto.create_link('film', 'https://fr.video.example/other');
SELECT gone(link(1, 2));
DELETE FROM bank.installment WHERE id = 103;
SELECT gone(link(2, 1));

-- Definitions leave and come back with their links; an unchanged one is left alone, and keeps its number.
CREATE TEMP TABLE kept AS SELECT mfiauto.export_definitions() AS text;
SELECT text::json -> 'links' AS links FROM kept;
SELECT i.* FROM kept, mfiauto.import_definitions(text) i WHERE i.section = 'links' ORDER BY i.name;
SELECT mfiauto.alter_link('film', 'https://fr.video.example/third', '{"term": "x"}', '3 days');
SELECT i.* FROM kept, mfiauto.import_definitions(text) i WHERE i.section = 'links' ORDER BY i.name;
SELECT text::jsonb -> 'links' = mfiauto.export_definitions()::jsonb -> 'links' AS same_again FROM kept;
SELECT * FROM mfiauto.import_definitions('{"mfiauto": 1, "links": [{"name": "far", "url": "https://evil.example/"}]}');

-- What we did not sign is not found, whatever is changed in it; the pages of other kinds do not open with it either.
CREATE FUNCTION status(token text) RETURNS integer LANGUAGE sql AS $$ SELECT r.status FROM mfiauto._serve_link(token, '{"user-agent": "Firefox"}') r $$;
SELECT status(link(1, 3)) AS of_unsubscribe, status('') AS empty, status(NULL) AS none, status(repeat('x', 100000)) AS long, status(link(1, 1) || '0') AS longer, status('--------------------') AS no_letters,
       status(repeat('z', 20)) AS too_large, status(mfiauto._link_marker(16)) AS marker;
SELECT count(*) > 100 AS tried_many, count(*) FILTER (WHERE status(overlay(t.token PLACING c.c FROM p FOR 1)) <> 404) AS accepted
  FROM (SELECT link(1, 1) AS token) t, generate_series(1, 20) p, unnest(string_to_array('0 7 A Z a z', ' ')) AS c(c) WHERE substr(t.token, p, 1) <> c.c;
-- The same tokens from a computation of our own: HMAC-SHA256 over link, message and number, in 119 bits of base 62.
CREATE FUNCTION padded(key bytea, pad integer) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
  key := key || decode(repeat('00', 64 - length(key)), 'hex');
  FOR i IN 0 .. 63 LOOP
    key := set_byte(key, i, get_byte(key, i) # pad);
  END LOOP;
  RETURN key;
END $$;
CREATE FUNCTION oracle(key text, message_id bigint, target integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message bytea := 'link'::bytea || int8send(message_id) || int2send((CASE WHEN target > 32767 THEN target - 65536 ELSE target END)::smallint);
  tag bytea := sha256(padded(key::bytea, 92) || sha256(padded(key::bytea, 54) || message));
  number numeric := message_id::numeric * 65536 + target;
  word text := '';
BEGIN
  FOR i IN 0 .. 7 LOOP
    number := number * 256 + get_byte(tag, i);
  END LOOP;
  FOR i IN 1 .. 20 LOOP
    word := substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', 1 + mod(number, 62)::integer, 1) || word;
    number := div(number, 62);
  END LOOP;
  RETURN CASE number WHEN 0 THEN word END;
END $$;
SELECT mfiauto.set_link_key(value => 'a key of more than thirty-two bytes!');
SELECT count(*) AS compared, count(*) FILTER (WHERE mfiauto._link_token(m, t) <> oracle('a key of more than thirty-two bytes!', m, t)) AS wrong,
       count(*) FILTER (WHERE mfiauto._read_link_token(mfiauto._link_token(m, t)) IS DISTINCT FROM ROW(m, t)) AS unread
  FROM unnest(ARRAY[0, 1, 4711, 4294967296, 549755813887]) m, unnest(ARRAY[0, 1, 16, 300, 65535]) t;
SELECT mfiauto._link_token(549755813888, 0);

-- Keys: earlier ones are accepted, until they are forgotten; one that is rolled back never was.
SELECT status(link(1, 1)) AS under_the_first_key;
CREATE TEMP TABLE newer AS SELECT mfiauto._link_token((SELECT message_id FROM token LIMIT 1), 0) AS token;
SELECT mfiauto.rotate_link_key();
SELECT (mfiauto._read_link_token(token)).target AS read, mfiauto._link_token((mfiauto._read_link_token(token)).message_id, 0) = token AS same FROM newer;
BEGIN;
SAVEPOINT s;
SELECT mfiauto.rotate_link_key(keep => false);
SELECT status(link(1, 1)) AS forgotten;
ROLLBACK TO s;
SELECT status(link(1, 1)) AS known_again;
COMMIT;
SELECT count(mfiauto.rotate_link_key()) AS rotated FROM generate_series(1, 5);
SELECT status(link(1, 1)) AS the_eighth_key;
SELECT mfiauto.rotate_link_key();
SELECT status(link(1, 1)) AS the_ninth_key;
SELECT mfiauto.rotate_link_key(keep => false);
SELECT (mfiauto._read_link_token(token)).target AS read FROM newer;
-- No dump has them, and no role reads them.
SELECT count(*) AS in_dump FROM pg_extension e WHERE '_secret' = ANY (SELECT relname FROM pg_class WHERE oid = ANY (e.extconfig));
CREATE ROLE regress_c12_admin;
SELECT mfiauto.grant_access('regress_c12_admin', 'admin');
SET ROLE regress_c12_admin;
SELECT count(*) FROM mfiauto._secret;
SELECT mfiauto._link_token(1, 0);
SELECT mfiauto.set_link_key(file => '/etc/hostname');
RESET ROLE;
-- A key that cannot be read lets nothing leave with a hole; once it can, it leaves.
SELECT current_setting('data_directory') || '/c12_key' AS file \gset
\set away 'mv ' :file ' ' :file '_away'
\set back 'mv ' :file '_away ' :file
\set gone 'rm ' :file
COPY (SELECT 'another key of more than thirty-two bytes') TO :'file';
SELECT mfiauto.set_link_key(file => :'file');
INSERT INTO bank.installment VALUES (110, 11, '2026-01-22', 100);
SELECT entered FROM mfiauto.run_engine();
COPY (SELECT 1 WHERE false) TO PROGRAM :'away';
SELECT mfiauto.set_clock('2026-01-19 09:00+00');
SET client_min_messages = error;
SELECT messages FROM mfiauto.run_engine();
SELECT sent, deferred FROM mfiauto.run_delivery();
SELECT state, reason FROM mfiauto.message WHERE subject_id = 110;
COPY (SELECT 1 WHERE false) TO PROGRAM :'back';
SET client_min_messages = warning;
SELECT mfiauto.set_clock('2026-01-19 09:06+00');
SELECT sent, deferred FROM mfiauto.run_delivery();
SELECT status(t.token) FROM token t JOIN mfiauto.message m USING (message_id) WHERE m.subject_id = 110;
COPY (SELECT 1 WHERE false) TO PROGRAM :'gone';

-- Nothing but https to an allowed host is a link, and nothing in the books can lead it elsewhere.
\set VERBOSITY default
CREATE FUNCTION try_link(url text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.create_link('bad', url);
  RETURN 'TAKEN';
EXCEPTION WHEN others THEN
  RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT u.url, e.message FROM unnest(ARRAY['http://pay.mfi.example/', 'mailto:a@mfi.example', 'tel:+221770000001', 'javascript:alert(1)', 'https://evil.example/', 'https://pay.mfi.example.evil.example/', 'https://pay.mfi.example@evil.example/',
    'https://evil.example#pay.mfi.example', 'https://{{client.name}}/', 'https://pay.mfi.example{{client.name}}/', 'https://pay.mfi.example:{{client.name}}/', '//pay.mfi.example/', 'https://video.example/',
    'https://pay.mfi.example/{{{client.name}}}', 'https://pay.mfi.example/{{&client.name}}', 'https://pay.mfi.example/{{#client}}x{{/client}}', 'https://pay.mfi.example/{{client.nam}}', 'https://pay.mfi.example/{{links.film}}',
    E'https://pay.mfi.example/\r\nSet-Cookie: x', 'https://pay.mfi.example/é', 'https://pay.mfi.example/"', 'https://pay.mfi.example\evil.example/']) u(url)
  CROSS JOIN LATERAL (SELECT try_link(u.url) AS message) e;
SELECT mfiauto.create_link('bad', 'https://pay.mfi.example/', utm => '{"sauce": "x"}');
SELECT mfiauto.create_link('bad', 'https://pay.mfi.example/', expires => '1 minute');
SELECT mfiauto.create_link('unsubscribe', 'https://pay.mfi.example/');
SELECT mfiauto.create_link('pay', 'https://pay.mfi.example/');
SELECT mfiauto.create_template('bad', body => 'x {{links.pey}}');
SELECT mfiauto.set_institution(public_url => 'http://m.mfi.example');
SELECT mfiauto.set_institution(public_url => '');
SELECT mfiauto.create_template('bad', body => 'x {{links.pay}}');
SELECT mfiauto.revoke_access('regress_c12_admin');
DROP ROLE regress_c12_admin;
