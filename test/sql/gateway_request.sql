-- What a request makes of a message: what is left out, numbers that stay numbers, and texts as bytes of the GSM alphabet, against the measure of texts.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
CREATE FUNCTION pg_temp.body_of(body text, message jsonb, settings text DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT r.body FROM mfiauto._request_of('sms', format('{"settings": {"n": {}, "s": {}}, "request": {"url": "https://x.example/", "body": %s}}', body)::json, settings::json, '{}',
                                         message || '{"to": "+221770000001"}') r $$;
CREATE FUNCTION pg_temp.json_of(shape text, message jsonb, settings text DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT pg_temp.body_of(format('{"kind": "json", "json": %s}', shape), message, settings)::jsonb $$;

-- A member without a value is left out, and an object of which nothing is left; what was written empty stays.
SELECT pg_temp.json_of(shape, message) FROM (VALUES
  ('{"a": {"b": "{{title}}", "c": {"d": "{{html}}"}}, "e": {}, "f": "{{text}}"}', '{"text": "x"}'::jsonb),
  ('{"a": {"b": "{{title}}", "c": {"d": "{{html}}"}}, "e": {}, "f": "{{text}}"}', '{"text": "x", "html": "y"}'),
  ('{"a": {"b": "{{title}}", "kept": 1}, "e": [{"x": "{{title}}"}, "{{text}}"]}', '{"text": "x"}')) v(shape, message);

-- Numbers: settings, options and expiries alone in their place.
SELECT pg_temp.json_of('{"a": "{{settings.n}}", "b": "{{settings.s}}", "c": "{{expires_in}}", "d": "{{expires_in}}s", "e": "{{expires_at_unix}}", "f": "{{message_id}}", "g": "{{options.validity}}"}',
  '{"expires_in": 60, "message_id": 7, "options": {"validity": 90}}', '{"n": 5, "s": "5"}');
SELECT pg_temp.json_of('{"c": "{{expires_in}}"}', '{"message_id": 7}');

-- A value never leaves its place.
SELECT pg_temp.body_of(body, jsonb_build_object('text', E'a"b\\c\nd&e=f<g>{{h}}')) FROM (VALUES
  ('{"kind": "json", "json": {"t": "{{text}}"}}'), ('{"kind": "form", "fields": {"t": "{{text}}"}}'), ('{"kind": "xml", "template": "<t a=\"{{text}}\">{{text}}</t>"}'),
  ('{"kind": "raw", "escape": "url", "template": "t={{text}}"}')) v(body);

-- The GSM alphabet: every character that the measure of texts counts has its bytes, as many as it counts, and no two have the same.
CREATE TEMP TABLE gsm AS
  SELECT c, s.units, pg_temp.body_of('{"kind": "raw", "template": "{{text_gsm_hex}}"}', jsonb_build_object('text', c)) AS hex
    FROM (SELECT chr(i) AS c FROM generate_series(1, 12000) i WHERE i NOT BETWEEN 128 AND 159) x, LATERAL mfiauto.sms_parts(c) s WHERE s.encoding = 'gsm7';
SELECT count(*), count(DISTINCT hex) AS different, bool_and(length(hex) = 2 * units) AS as_counted, count(*) FILTER (WHERE hex = '3F') AS question_marks FROM gsm;
SELECT c, hex FROM gsm WHERE c IN ('@', 'a', 'A', 'é', 'à', 'Ç', '€', '[', '_', ' ', 'Ω') ORDER BY hex;
SELECT pg_temp.body_of('{"kind": "raw", "template": "{{text_gsm_hex}}|{{text_hex}}"}', jsonb_build_object('text', t)) FROM unnest(ARRAY['été', 'prêt', '']) t;
