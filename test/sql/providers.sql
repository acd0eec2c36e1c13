-- Adding a provider as its page in doc/ does: the definition there is read from the page itself.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
\set page `pwd`/doc/providers.md
CREATE TEMP TABLE example AS
  SELECT n, m[1] AS sql FROM regexp_matches(pg_read_file(:'page'), '```sql\n(.*?)```', 'g') WITH ORDINALITY AS r(m, n);
SELECT count(*) FROM example;
\set ECHO none
SELECT sql AS declare FROM example WHERE n = 1 \gset
SELECT (regexp_split_to_array(sql, ';\n'))[1] AS request, (regexp_split_to_array(sql, ';\n'))[2] AS answer FROM example WHERE n = 2 \gset
SELECT sql AS come_back FROM example WHERE n = 4 \gset
:declare
\x on
:request;
:answer;
\x off
:come_back
\set ECHO all
SELECT v.answer ->> 'transport' AS transport, v.answer #>> '{body,error,code}' AS code, p.verdict, p.provider_id, p.error, p.retry_after
  FROM (VALUES (1, '{"status": 200, "body": {"result": "OK", "message": {"id": 12345}}}'::jsonb), (2, '{"status": 200, "body": {"result": "KO", "error": {"code": "LANDLINE"}}}'),
               (3, '{"status": 200, "body": {"result": "KO", "error": {"code": "STOPPED"}}}'), (4, '{"status": 200, "body": {"result": "KO", "error": {"code": "NO_CREDIT"}}}'),
               (5, '{"status": 200, "body": {"result": "KO", "error": {"code": "NEW"}}}'), (6, '{"status": 200}'), (7, '{"status": 503}'), (8, '{"transport": "broken"}'),
               (9, '{"transport": "not_written"}')) v(n, answer), LATERAL mfiauto.preview_answer('sahel', v.answer) p ORDER BY v.n;
SELECT mfiauto.preview_answer('sahel', '{"transport": "lost"}');
SELECT mfiauto.preview_answer('sahel', '{"code": 200}');
SELECT mfiauto.preview_answer('sahel', '[]');
SELECT mfiauto.preview_answer('nobody', '{}');
