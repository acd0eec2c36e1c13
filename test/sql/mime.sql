-- Letters as bytes: every value encoded for its place, lines short, nothing can leave a header or a part; what cannot be a letter is refused.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
CREATE FUNCTION pg_temp.letter(message jsonb, more json DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT r.body FROM mfiauto.gateway_preset p, mfiauto._request_of('email', p.definition::json,
    ('{"url": "smtp://x.example", "sender": "news@mfi.example"}'::jsonb || more::jsonb)::json, '{}',
    '{"to": "a@x.example", "text": "x", "message_id": 7, "key": "11111111-2222-4333-8444-555555555555"}'::jsonb || message) r WHERE p.preset = 'smtp' $$;
CREATE FUNCTION pg_temp.header(letter text, name text) RETURNS text LANGUAGE sql AS $$
  SELECT substring(E'\n' || replace(replace(split_part(letter, E'\r\n\r\n', 1), E'\r\n ', ' '), E'\r', '') FROM '\n' || name || ': ([^\n]*)') $$;
-- Decoders of the test's own.
CREATE FUNCTION pg_temp.words(value text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(convert_from(string_agg(decode(m[1], 'base64'), '' ORDER BY n), 'UTF8'), value) FROM regexp_matches(value, '=\?UTF-8\?B\?([^?]*)\?=', 'g') WITH ORDINALITY AS w(m, n) $$;
CREATE FUNCTION pg_temp.quoted(body text) RETURNS text LANGUAGE sql AS $$
  SELECT convert_from(decode(string_agg(CASE WHEN m[1] LIKE '=%' THEN lower(substr(m[1], 2)) ELSE encode(convert_to(m[1], 'UTF8'), 'hex') END, '' ORDER BY n), 'hex'), 'UTF8')
    FROM regexp_matches(replace(body, E'=\r\n', ''), '(=[0-9A-F]{2}|[^=])', 'g') WITH ORDINALITY AS w(m, n) $$;
CREATE FUNCTION pg_temp.body(letter text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE pg_temp.header(letter, 'Content-Transfer-Encoding') WHEN 'base64' THEN convert_from(decode(b, 'base64'), 'UTF8') WHEN 'quoted-printable' THEN pg_temp.quoted(b) ELSE b END
    FROM substr(letter, strpos(letter, E'\r\n\r\n') + 4) b $$;

SELECT pg_temp.letter('{"title": "Bonjour", "text": "Merci"}');
-- Subjects: written, read back.
CREATE TEMP TABLE subject (id serial, value text);
INSERT INTO subject (value) VALUES ('Bonjour'), (''), ('Échéance'), ('=?UTF-8?Q?forged?='), ('مرحبا بكم في المؤسسة'), ('🎉 Félicitations 🎉'), (repeat('é', 300)), (repeat('ab cd ', 40) || 'x'),
  (repeat('x', 70)), ('x' || repeat('€', 200)), ('a "quoted" <tag> (comment); \');
SELECT s.id, length(s.value) AS length, pg_temp.words(pg_temp.header(l, 'Subject')) = s.value AS is_same,
       (SELECT max(length(x)) FROM regexp_split_to_table(split_part(l, E'\r\n\r\n', 1), E'\r\n') x) <= 78 AS is_short,
       split_part(l, E'\r\n\r\n', 1) !~ '[^\x01-\x7e]' AS is_ascii
  FROM subject s, pg_temp.letter(jsonb_build_object('title', s.value)) l ORDER BY 1;
-- Line breaks and other controls in a subject, a locale, an option: no header comes of them.
SELECT pg_temp.header(l, 'Subject') AS subject, l ~ '\nBcc' AS is_injected, pg_temp.header(l, 'X-A') AS x_a, pg_temp.header(l, 'Content-Language') AS language, (SELECT count(*) FROM regexp_matches(l, '\nSubject:', 'g')) AS subjects
  FROM pg_temp.letter(jsonb_build_object('title', E'Offre\r\nBcc: x@evil.example\r\n\r\nbody\x01\x7f', 'locale', E'fr\r\nBcc: x',
    'options', jsonb_build_object('headers', jsonb_build_object('X-A', E'1\r\nBcc: y@evil.example', 'Subject', 'second', 'Bcc', 'z@evil.example', E'X\nB', '1', 'Content-Type', 'text/html', 'List-Unsubscribe', '<x>')))) l;
-- Bodies: written, read back, in short lines; with CRLF alone.
CREATE TEMP TABLE body (id serial, value text);
INSERT INTO body (value) VALUES ('Merci'), (E'a\nb\r\nc\rd'), (E'.\n..\n.x\n'), (E'From me\nFrom you'), ('à la fin =20'), (E'espace \n\tonglet\t\n'), (repeat('mot ', 200)), (repeat('x', 5000)), (repeat('é', 900)), ('مرحبا بكم في المؤسسة'),
  ('=_7-11111111-2222-4333-8444-555555555555'), (E'--=_7-11111111-2222-4333-8444-555555555555--'), (''), (E'\n\n'), (E'bell\x07');
SELECT b.id, pg_temp.header(l, 'Content-Transfer-Encoding') AS encoding,
       rtrim(pg_temp.body(l), E'\r\n') = rtrim(replace(regexp_replace(replace(b.value, E'\x07', ''), E'\r\n|\r', E'\n', 'g'), E'\n', E'\r\n'), E'\r\n') AS is_same,
       (SELECT max(length(x)) FROM regexp_split_to_table(l, E'\r\n') x) <= 78 AS is_short, regexp_replace(l, E'\r\n', '', 'g') ~ '[\r\n]' AS is_bare,
       substr(l, strpos(l, E'\r\n\r\n')) ~ E'\n(From |--=_)' AS is_risky
  FROM body b, pg_temp.letter(jsonb_build_object('text', b.value)) l ORDER BY 1;
-- No text can end its part: three boundaries, whatever stands in the texts.
SELECT (SELECT count(*) FROM regexp_matches(l, '--=_7-11111111-2222-4333-8444-555555555555', 'g')) AS boundaries
  FROM pg_temp.letter(jsonb_build_object('text', E'a\r\n--=_7-11111111-2222-4333-8444-555555555555--\r\n', 'html', E'<p>\r\n--=_7-11111111-2222-4333-8444-555555555555\r\n</p>')) l;
-- The line beside the subject; escaped, behind <body>.
SELECT substring(pg_temp.quoted(l) FROM '<body.*</body>') FROM pg_temp.letter('{"html": "<html><body class=\"x\"><p>x</p></body></html>", "options": {"preheader": "5 < 6 & \"ok\""}}') l;
-- Senders.
SELECT pg_temp.header(pg_temp.letter('{}', settings), 'From') AS written FROM (VALUES
  ('{"sender": "MFI <a@b.example>"}'::json), ('{"sender": "\"Caisse, la\" <a@b.example>"}'), ('{"sender": "Crédit \"Rural\" <a@b.example>"}'), ('{"sender": "O\\Brien <a@b.example>"}')) v(settings);
-- What is no letter.
SELECT pg_temp.letter('{"to": "a@x.example\r\nBcc: b@x.example"}');
SELECT pg_temp.letter('{"to": "a@x.example, b@x.example"}');
SELECT pg_temp.letter('{"to": "a@x.example> SIZE=1"}');
SELECT pg_temp.letter('{"to": "nobody"}');
SELECT pg_temp.letter('{"to": "é@x.example"}');
SELECT pg_temp.letter('{"to": ""}');
SELECT pg_temp.letter('{}', '{"sender": "nobody"}');
SELECT pg_temp.letter('{"options": {"reply_to": "a@b.example\nBcc: x"}}');
