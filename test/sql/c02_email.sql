-- C2: subject, text and HTML with images by link; the raw message has the headers of RFC 8058: one POST unsubscribes, GET alone does not; bounces and complaints are taken in.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(name => 'Caisse Rurale', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF', public_url => 'https://m.mfi.example');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, email text);
-- A name that would like to be a header, and markup.
INSERT INTO bank.client VALUES (1, 'Awa', 'awa@x.example'), (2, E'Aïssatou\r\nBcc: all@evil.example\r\n\r\n<b>', 'aissatou@x.example'), (3, 'Moussa', 'moussa@x.example');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "email": "email"}');
SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:1", "tls": "none", "sender": "Crédit Rural <news@mfi.example>", "bounce_domain": "b.mfi.example"}');
SELECT mfiauto.create_template('offer', channel => 'email', class => 'marketing', subject => 'Une offre pour {{client.name}}', body => 'Bonjour {{client.name}} : à bientôt',
  html => '<html><body><p>Bonjour {{client.name}}</p><img src="https://cdn.mfi.example/logo.png" alt="Caisse"></body></html>',
  options => '{"reply_to": "agence@mfi.example", "preheader": "Pour {{client.name}}", "headers": {"X-Campaign": "offer"}}');
SELECT mfiauto.create_template('receipt', channel => 'email', class => 'transactional', subject => 'Reçu', body => 'Merci');
SELECT mfiauto.create_workflow('mail', '{"trigger": {"manual": true}, "class": "marketing", "reentry": "always", "steps": [{"send": "offer"}, {"send": "receipt", "class": "transactional"}]}');
SELECT mfiauto.activate_workflow('mail');
SELECT mfiauto.opt_in(n, 'email', 'marketing', source => 'branch') FROM generate_series(1, 3) n;
SELECT count(mfiauto.enroll('mail', n)) AS enrolled FROM generate_series(1, 3) n;
SELECT messages FROM mfiauto.run_engine();

-- What would leave: claimed as the worker claims, written as it writes.
CREATE TABLE raw AS
  SELECT c.client_id, c.message_id, c.class, r.headers AS envelope, r.body
    FROM mfiauto._claim_messages('post', 'email', '{}', 100, pg_backend_pid(), 60, '{}') c,
         mfiauto.gateway_config g,
         mfiauto._request_of('email', g.definition::json, g.settings::json, '{}', jsonb_strip_nulls(jsonb_build_object('to', c.to_address, 'title', c.title, 'text', c.body, 'html', c.html,
           'locale', c.locale, 'key', c.key, 'message_id', c.message_id, 'client_id', c.client_id, 'options', c.options, 'unsubscribe_url', c.unsubscribe_url, 'class', c.class))) r
   WHERE c.message_id IS NOT NULL;
SELECT class, count(*) FROM raw GROUP BY 1 ORDER BY 1;
-- The head of each, unfolded; what is random has a name.
CREATE TABLE head AS
  SELECT r.client_id, r.class, h.n, split_part(h.line, ': ', 1) AS name, substr(h.line, strpos(h.line, ': ') + 2) AS value
    FROM raw r, regexp_split_to_table(replace(split_part(r.body, E'\r\n\r\n', 1), E'\r\n ', ' '), E'\r\n') WITH ORDINALITY AS h(line, n);
SELECT class, name, regexp_replace(regexp_replace(value, '[0-9]+-[0-9a-f-]{36}', 'REF', 'g'), '/u/\w{20}', '/u/TOKEN') AS value FROM head WHERE client_id = 1 ORDER BY class, n;
-- Headers are the ones that we write, once each, whatever a client's name is; no line is longer than 78.
SELECT client_id, class, string_agg(name, ' ' ORDER BY n) AS names FROM head WHERE client_id = 2 GROUP BY 1, 2 ORDER BY 2;
SELECT count(*) AS lines, max(length(convert_to(l, 'UTF8'))) <= 78 OR bool_and(l ~ '^(List-Unsubscribe:| <mailto:)' OR length(l) <= 78) AS fit, bool_or(l ~ '[\r\n]') AS bare
  FROM raw r, regexp_split_to_table(r.body, E'\r\n') l;
SELECT h.client_id FROM head h WHERE h.name ILIKE 'bcc' UNION ALL SELECT r.client_id FROM raw r WHERE r.envelope::text ~ 'evil';
-- What they mean, read by other means: encoded words and quoted-printable.
SELECT r.client_id, convert_from(string_agg(decode(w[1], 'base64'), '' ORDER BY m.n), 'UTF8') AS subject
  FROM raw r JOIN head h ON h.client_id = r.client_id AND h.class = r.class AND h.name = 'Subject', regexp_matches(h.value, '=\?UTF-8\?B\?([^?]*)\?=', 'g') WITH ORDINALITY AS m(w, n)
 WHERE r.class = 'marketing' GROUP BY 1 ORDER BY 1;
SELECT r.client_id, regexp_replace(p.body, E'\r\n', '|', 'g') AS text, html.body ~ 'src=3D"https://cdn.mfi.example/logo.png"|src="https://cdn.mfi.example/logo.png"' AS has_image
  FROM raw r, LATERAL (SELECT (mfiauto._parse_mail(convert_to(r.body, 'UTF8'))).body) p,
       LATERAL (SELECT regexp_replace(split_part(r.body, 'Content-Type: text/html', 2), E'=\r\n', '', 'g') AS body) html
 WHERE r.class = 'marketing' ORDER BY 1;

-- By a provider's API it is the same letter: its preheader in the HTML, where to answer, how to unsubscribe with one click.
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
SELECT c.preset, b.body ~ '<body[^>]*><div [^>]*>Pour Awa &amp; Cie</div><p>' AS preheader, b.body ~ 'agence@mfi.example' AS reply_to, b.body ~ 'List-Unsubscribe-Post' AND b.body ~ 'https://m.mfi.example/u/x' AS unsubscribes
  FROM contract c JOIN mfiauto.gateway_preset p USING (preset),
       mfiauto._request_of('email', p.definition::json, (c.content -> 'settings')::json, c.content -> 'secrets', '{"to": "awa@x.example", "title": "Offre", "text": "x", "html": "<html><body class=a><p>x</p></body></html>",
         "message_id": 7, "key": "11111111-2222-4333-8444-555555555555", "options": {"preheader": "Pour Awa & Cie", "reply_to": "agence@mfi.example"}, "unsubscribe_url": "https://m.mfi.example/u/x"}') r,
       LATERAL (SELECT CASE WHEN r.headers::text ~ 'urlencoded' THEN mfiauto._read_form(r.body)::text ELSE r.body END) f(form),
       LATERAL (SELECT regexp_replace(replace(replace(f.form, E'=\r\n', ''), '\"', '"'), '=3D', '=', 'g')) b(body)
 WHERE c.content ->> 'channel' = 'email' AND c.preset <> 'webhook' ORDER BY 1;

-- GET shows a page and changes nothing; POST as a mail program does unsubscribes, from what can be opted out of alone.
CREATE TABLE link AS SELECT h.client_id, substring(h.value FROM 'https://m\.mfi\.example(/u/\w+)>') AS path FROM head h WHERE h.name = 'List-Unsubscribe';
SELECT client_id, (mfiauto.serve('GET', path, '', '{}', '', '203.0.113.9')).status FROM link ORDER BY 1;
SELECT count(*) AS refusals FROM mfiauto.consent WHERE NOT granted;
SELECT client_id, (mfiauto.serve('POST', path, '', '{"content-type": "application/x-www-form-urlencoded"}', 'List-Unsubscribe=One-Click', '203.0.113.9')).status FROM link WHERE client_id = 1;
SELECT client_id, channel, granted FROM mfiauto.consent WHERE NOT granted;
SELECT client_id, kind FROM mfiauto.interaction_log;

-- A bounce and a complaint of the others.
UPDATE mfiauto.message_ledger SET state = 'sent', sent_at = mfiauto.now();
DELETE FROM mfiauto.outbox;
CREATE FUNCTION pg_temp.report(client bigint, content text) RETURNS bytea LANGUAGE sql AS $$
  SELECT convert_to(concat_ws(E'\n', 'Return-Path: <>', 'Content-Type: multipart/report; boundary=xx', '', '--xx', content, '--xx', 'Content-Type: message/rfc822', '', r.body, '--xx--'), 'UTF8')
    FROM raw r WHERE r.client_id = client AND r.class = 'marketing' $$;
SELECT mfiauto.receive_mail('post', pg_temp.report(2, E'Content-Type: message/delivery-status\n\nAction: failed\nStatus: 5.1.1\n')),
       mfiauto.receive_mail('post', pg_temp.report(3, E'Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n'));
SELECT client_id, class, state, reason FROM mfiauto.message WHERE client_id > 1 ORDER BY 1, 2;
SELECT client_id, kind FROM mfiauto.interaction_log WHERE client_id = 3;
SELECT reason, count(*) FROM mfiauto.suppression GROUP BY 1;
-- Next time: only what still may leave does.
SELECT mfiauto.set_clock('2026-01-06 08:00+00');
SELECT count(mfiauto.enroll('mail', n)) AS enrolled FROM generate_series(1, 3) n;
SELECT messages FROM mfiauto.run_engine();
SELECT c.client_id, c.class, c.unsubscribe_url IS NOT NULL AS has_link FROM mfiauto._claim_messages('post', 'email', '{}', 100, pg_backend_pid(), 60, '{}') c WHERE c.message_id IS NOT NULL ORDER BY 1;
SELECT client_id, class, state, reason FROM mfiauto.message WHERE created_at >= '2026-01-06' ORDER BY 1, 2;
