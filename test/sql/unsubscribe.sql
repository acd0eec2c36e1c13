-- Unsubscribing by a message's own link: looking changes nothing, a button or the mail program's one click does, undo gives back no more than was taken.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(name => 'Caisse <b> & Cie', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF', public_url => 'https://m.mfi.example');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, email text, locale text);
INSERT INTO bank.client SELECT n, 'Client ' || n, 'c' || n || '@x.example', l FROM unnest('{fr-SN,en-GB,pt,ar,es,sw,wo}'::text[]) WITH ORDINALITY AS t(l, n);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "email": "email", "locale": "locale"}');
SELECT mfiauto.create_template('offer', channel => 'email', class => 'marketing', subject => 'Offre', body => 'Bonjour {{client.name}} {{links.unsubscribe}}', html => '<html><body><p>{{client.name}}</p></body></html>');
SELECT mfiauto.create_gateway('box', 'email', 'sandbox');
SELECT mfiauto.create_workflow('offers', '{"trigger": {"manual": true}, "class": "marketing", "reentry": "always", "steps": [{"send": "offer"}]}');
SELECT mfiauto.activate_workflow('offers');
SELECT count(mfiauto.opt_in(n, 'email', 'marketing', source => 'branch')) AS opted_in FROM generate_series(1, 7) n;
SELECT count(mfiauto.enroll('offers', n)) AS enrolled FROM generate_series(1, 7) n;
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
CREATE VIEW token AS SELECT m.client_id, m.message_id, substring(m.body FROM '/u/([0-9A-Za-z]{20})') AS token, substring(m.html FROM '/o/([0-9A-Za-z]{20})\.gif" width="1" height="1" alt=""></body></html>$') AS pixel FROM mfiauto.message_ledger m WHERE m.created_at = '2026-01-05 08:00+00';
SELECT count(token) AS unsubscribe, count(pixel) AS pixels, count(*) FILTER (WHERE mfiauto._unsubscribe_url(message_id) = 'https://m.mfi.example/u/' || token) AS same FROM token;

CREATE FUNCTION ask(client bigint, method text, body text DEFAULT '', type text DEFAULT 'application/x-www-form-urlencoded') RETURNS TABLE (status integer, says text) LANGUAGE sql AS $$
  SELECT r.status, regexp_replace(convert_from(r.body, 'UTF8'), '^.*</h1>(.*?)<p class="who">.*$', '\1')
    FROM token t, mfiauto._serve_unsubscribe(method, t.token, jsonb_build_object('Content-Type', type), convert_to(body, 'UTF8'), '41.82.17.200') r WHERE t.client_id = client
$$;
CREATE FUNCTION refused(client bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(h || ' ' || k || ': ' || coalesce(f.reason, 'may'), ', ' ORDER BY h DESC, k DESC) FROM unnest('{email,sms}'::text[]) h, unnest('{marketing,collection,security}'::text[]) k,
         mfiauto._contact_refusals(ARRAY[client], ARRAY[h], ARRAY[k], ARRAY['x']) f
$$;

-- The page, as it comes to a browser: nothing is loaded, nothing runs, the institution's name is text.
SELECT r.status, jsonb_pretty(r.headers) AS headers, convert_from(r.body, 'UTF8') AS page FROM token t, mfiauto._serve_unsubscribe('GET', t.token, '{}', '') r WHERE t.client_id = 1 \gx
SELECT r.headers ->> 'content-security-policy' LIKE '%''sha256-' || encode(sha256(convert_to(substring(convert_from(r.body, 'UTF8') FROM '<style>(.*)</style>'), 'UTF8')), 'base64') || '''%' AS style_is_allowed
  FROM token t, mfiauto._serve_unsubscribe('GET', t.token, '{}', '') r WHERE t.client_id = 1;
-- In the client's language; in the institution's where it has no pages.
SELECT t.client_id, substring(p.page FROM '<html[^>]*>') AS html, substring(p.page FROM '<h1>(.*?)</h1>') AS title, substring(p.page FROM 'value="class">(.*?)</button>') AS first
  FROM token t, mfiauto._serve_unsubscribe('GET', t.token, '{}', '') r, convert_from(r.body, 'UTF8') AS p(page) ORDER BY 1;
-- Each language says everything that the others say.
SELECT l, count(k) AS texts, count(*) FILTER (WHERE NOT mfiauto._page_text('en') ? k) AS unknown FROM unnest('{fr,en,pt,ar,es,sw}'::text[]) l, jsonb_object_keys(mfiauto._page_text(l)) k GROUP BY l ORDER BY l;
-- All that looked, a mail filter's HEAD among it, changed nothing.
SELECT status FROM ask(1, 'HEAD');
SELECT count(*) AS opt_outs FROM mfiauto.consent WHERE NOT granted;
SELECT count(*) AS noted FROM mfiauto.interaction_log;

-- A week later the next messages wait.
SELECT mfiauto.set_clock('2026-01-12 08:00+00');
SELECT count(mfiauto.enroll('offers', n)) AS enrolled FROM generate_series(1, 3) n;
SELECT messages FROM mfiauto.run_engine();
-- One click of the mail program: this class on this channel; twice is once.
SELECT * FROM ask(1, 'POST', 'List-Unsubscribe=One-Click');
SELECT status FROM ask(1, 'POST', 'List-Unsubscribe=One-Click');
SELECT refused(1);
SELECT channel, purpose, granted, source, text_version, proof - 'message_id' AS proof, proof ->> 'message_id' = (SELECT message_id::text FROM token WHERE client_id = 1) AS names_message
  FROM mfiauto.consent WHERE client_id = 1 ORDER BY consent_id;
SELECT kind, detail FROM mfiauto.interaction_log WHERE client_id = 1;
SELECT status FROM ask(2, 'POST', E'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n', 'multipart/form-data; boundary=b');
SELECT refused(2);
-- What waits is not sent any more.
SELECT sent, suppressed FROM mfiauto.run_delivery();
-- The page's buttons: the channel, everything.
SELECT status FROM ask(3, 'POST', 'choice=channel');
SELECT refused(3);
SELECT status FROM ask(4, 'POST', 'choice=all');
SELECT refused(4);
-- What is no wish, too long, not text.
SELECT status FROM ask(5, 'POST', 'choice=everything');
SELECT status FROM ask(5, 'POST', '');
SELECT status FROM ask(5, 'POST', repeat('choice=all&', 1000));
SELECT status FROM ask(5, 'POST', 'List-Unsubscribe=One-Click', 'multipart/form-data; boundary=b');
SELECT status FROM ask(5, 'DELETE', 'choice=all');
SELECT r.status FROM token t, mfiauto._serve_unsubscribe('POST', t.token, '{}', '\xff00fe') r WHERE t.client_id = 5;
SELECT refused(5);

-- Undo gives back what held before, of each channel and class, and no consent that never was; what he asked for elsewhere since stays.
SELECT status, says FROM ask(4, 'POST', 'undo=1');
SELECT refused(4), (SELECT count(*) FROM mfiauto.consent WHERE client_id = 4 AND granted AND (channel IS NULL OR purpose IS NULL)) AS wide_consents;
SELECT status FROM ask(6, 'POST', 'choice=channel');
SELECT mfiauto.opt_out(6, 'email', 'marketing', 'told the officer');
SELECT status FROM ask(6, 'POST', 'undo=1');
SELECT refused(6);
SELECT mfiauto.set_clock('2026-01-14 08:00+00');
SELECT substring(says FROM '<p>(.*?)</p>') AS too_late FROM ask(3, 'POST', 'undo=1');
SELECT refused(3);
-- Opted in anew at the branch, he may unsubscribe anew by the old link.
SELECT mfiauto.opt_in(1, 'email', 'marketing', source => 'branch');
SELECT status FROM ask(1, 'POST', 'List-Unsubscribe=One-Click');
SELECT refused(1);
-- A request that the front kept while the database was away counts from when it came: what was said at the branch after it stands.
CREATE FUNCTION late(client bigint, at text) RETURNS integer LANGUAGE sql AS $$
  SELECT r.status FROM token t, mfiauto._serve_unsubscribe('POST', t.token, jsonb_build_object('mfiauto-received-at', at), 'List-Unsubscribe=One-Click') r WHERE t.client_id = client
$$;
SELECT mfiauto.set_clock('2026-01-14 10:00+00');
SELECT mfiauto.opt_in(3, 'email', 'marketing', source => 'branch'), mfiauto.set_clock('2026-01-14 12:00+00');
SELECT late(3, '2026-01-14T09:00:00Z') AS before;
SELECT refused(3), (SELECT given_at FROM mfiauto.consent WHERE client_id = 3 ORDER BY consent_id DESC LIMIT 1);
SELECT late(3, '2026-01-14T11:00:00Z') AS after;
SELECT refused(3), (SELECT given_at FROM mfiauto.consent WHERE client_id = 3 ORDER BY consent_id DESC LIMIT 1);
SELECT late(5, 'yesterday, or so') AS no_time, late(6, '2027-01-01T00:00:00Z') AS in_the_future;
SELECT max(given_at) = mfiauto.now() AS is_now FROM mfiauto.consent;
-- One link cannot fill the record.
SELECT count(*) FILTER (WHERE a.status = 200) AS done, count(*) FILTER (WHERE a.status = 429) AS too_many
  FROM generate_series(1, 25) g, LATERAL (SELECT mfiauto.opt_in(7, 'email', 'marketing', source => 'branch ' || g)) i, LATERAL (SELECT status FROM ask(7, 'POST', CASE WHEN i IS NOT NULL OR g > 0 THEN 'choice=class' END)) a;

-- No token, no page; a link's or a pixel's token is none for this.
SELECT r.status, convert_from(r.body, 'UTF8') FROM mfiauto._serve_unsubscribe('POST', repeat('a', 20), '{}', 'choice=all') r;
SELECT r.status FROM token t, mfiauto._serve_unsubscribe('POST', t.pixel, '{}', 'choice=all') r WHERE t.client_id = 5;
SELECT r.status FROM token t, mfiauto._serve_pixel(t.token, '{}') r WHERE t.client_id = 5;

-- By the one door that the front has, with the front's rights alone; a link, the page, its button, the pixel.
SELECT mfiauto.allow_link_host('mfi.example'), mfiauto.create_link('site', 'https://mfi.example/?c={{client.client_id}}');
CREATE TEMP TABLE path AS SELECT t.client_id, '/u/' || t.token AS u, '/o/' || t.pixel || '.gif' AS o, '/l/' || mfiauto._link_token(t.message_id, 16) AS l FROM token t;
CREATE ROLE regress_unsubscribe_front;
GRANT SELECT ON path TO regress_unsubscribe_front;
SELECT mfiauto.grant_access('regress_unsubscribe_front', 'receiver');
SET ROLE regress_unsubscribe_front;
SELECT r.status, r.headers ->> 'location' AS location FROM path p, mfiauto.serve('GET', p.l, NULL, '{"user-agent": "Firefox"}', NULL, '41.82.1.1') r WHERE p.client_id = 5;
SELECT r.status FROM path p, mfiauto.serve('GET', p.u, NULL, '{"user-agent": "Firefox"}', NULL, '41.82.1.1') r WHERE p.client_id = 5;
SELECT r.status FROM path p, mfiauto.serve('POST', p.u, '', '{"content-type": "application/x-www-form-urlencoded"}', 'choice=channel', '41.82.1.1') r WHERE p.client_id = 5;
SELECT r.status, r.headers ->> 'content-type' AS type FROM path p, mfiauto.serve('GET', p.o, NULL, '{"user-agent": "Firefox"}', NULL, '2001:db8:1:2::3') r WHERE p.client_id = 2;
SELECT r.status FROM unnest('{/l/,/l,/u/x,/o/x.gif,/l/a/b,/u/..}'::text[]) p, mfiauto.serve('GET', p, NULL, '{}', NULL, NULL) r;
SELECT count(*) FROM mfiauto.consent;
RESET ROLE;
SELECT mfiauto.revoke_access('regress_unsubscribe_front');
DROP TABLE path;
DROP ROLE regress_unsubscribe_front;
SELECT granted, proof - 'message_id' AS proof, recorded_by FROM mfiauto.consent WHERE client_id = 5 ORDER BY consent_id DESC LIMIT 1;

-- The pixel: opened, by a person or through a proxy that loads images for everybody.
SELECT r.status, r.headers ->> 'content-type' AS type, length(r.body) AS bytes, encode(substr(r.body, 1, 6), 'escape') AS magic FROM token t, mfiauto._serve_pixel(t.pixel || '.gif', '{"User-Agent": "Thunderbird/115"}') r WHERE t.client_id = 5;
SELECT r.status FROM token t, mfiauto._serve_pixel(t.pixel, '{"User-Agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}') r WHERE t.client_id = 5;
SELECT r.status FROM token t, mfiauto._serve_pixel(t.pixel, '{"User-Agent": "Mozilla/5.0"}') r WHERE t.client_id = 6;
SELECT client_id, kind, is_bot, detail FROM mfiauto.interaction_log WHERE kind = 'opened' ORDER BY client_id, is_bot;
SELECT name, client_id, count(*) FROM mfiauto.event WHERE name IN ('Email Opened', 'Unsubscribed') GROUP BY 1, 2 ORDER BY client_id, name;
-- An institution may do without.
SELECT mfiauto.set_institution(has_open_pixel => false);
SELECT mfiauto._finish_html(1, 'email', '<p>x</p>'), mfiauto._finish_html(1, 'inapp', '<p>x</p>');
SELECT mfiauto.set_institution(has_open_pixel => true);
SELECT regexp_replace(mfiauto._finish_html(1, 'email', h), '/[0-9A-Za-z]{20}', '/…') FROM unnest(ARRAY['<p>x</p>', '<BODY><p>\1</p></BODY>', '<p></body></p></body>']) h;
