-- The door of the web front: where a request goes, and who may come to it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
CREATE ROLE serve_owner;
SELECT mfiauto.install('serve_owner');
SELECT mfiauto._set_clock('2026-03-02 10:00+00');
CREATE ROLE serve_front;
CREATE ROLE serve_app;
SELECT mfiauto.grant_access('serve_front', 'receiver'), mfiauto.grant_access('serve_app', 'app');
RESET client_min_messages;
SELECT w.write_key IS NOT NULL AS made FROM mfiauto.create_write_key('app') AS w(write_key);

-- All that the front's role can do: call its doors. It reads no table.
SELECT p.oid::regprocedure::text AS may_call FROM pg_proc p
 WHERE p.pronamespace = 'mfiauto'::regnamespace AND has_function_privilege('serve_front', p.oid, 'EXECUTE') AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
 ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS may_read FROM pg_class c
 WHERE c.relnamespace = 'mfiauto'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND has_table_privilege('serve_front', c.oid, 'SELECT') ORDER BY c.relname;
SET ROLE serve_app;
SELECT * FROM mfiauto.serve('GET', '/health', '', '{}', NULL, NULL);
SET ROLE serve_front;
SELECT status, headers, convert_from(body, 'UTF8') AS body FROM mfiauto.serve('GET', '/health', '', '{}', NULL, '192.0.2.1');
SELECT mfiauto.create_write_key('mine');
SELECT count(*) FROM mfiauto.write_key;

-- Nothing but the routes there are.
SELECT p.path, r.status, r.headers, r.body FROM (VALUES (''), ('/'), ('/health/'), ('/healthy'), ('/v1'), ('/v1/'), ('/v1/track/'), ('/v1/delete'), ('/v1/track?x'), ('/v1//track'), ('/v1/../health'),
  ('/v1/%74rack'), ('v1/track'), ('/w'), ('/w/'), ('/admin'), (NULL), (repeat('/a', 1000))) AS p(path), mfiauto.serve('POST', p.path, NULL, NULL, NULL, NULL) r WHERE r.status <> 404 OR r.body IS NOT NULL OR r.headers <> '{}';
SELECT status FROM mfiauto.serve(NULL, '/v1/track', NULL, NULL, NULL, NULL);
SELECT status FROM mfiauto.serve('POST', '/v1/track', NULL, '[]', NULL, NULL);
RESET ROLE;

-- The recipe for PostgREST: what it would say to the function, and what the function says to it.
\set ECHO none
\set front serve_front
\i contrib/receiver/postgrest.sql
\set ECHO all
CREATE TEMP TABLE app AS SELECT mfiauto.create_write_key('rest') AS key;
SELECT set_config('request.headers', jsonb_build_object('x-front-method', 'POST', 'x-front-target', '/v1/track?x=/y?z', 'x-front-remote', '192.0.2.1', 'content-type', 'application/octet-stream',
         'x-front-authorization', 'Basic ' || translate(encode(convert_to(key || ':', 'UTF8'), 'base64'), E'\n', ''), 'mfiauto-received-at', '2020-01-01T00:00:00Z')::text, false) <> '' AS set FROM app;
SET ROLE serve_front;
BEGIN;
SELECT convert_from(web.take('{"userId": "1", "event": "E"}'), 'UTF8') AS body;
SELECT current_setting('response.status') AS status, current_setting('response.headers') AS headers;
COMMIT;
RESET ROLE;
