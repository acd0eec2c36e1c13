-- The tracking API: calls of the Segment specification become events and traits, once each, of clients in the books alone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-03-02 10:00+00');
CREATE TABLE client (id bigint PRIMARY KEY);
INSERT INTO client SELECT generate_series(1, 50);
SELECT mfiauto.bind('client', 'client', '{"client_id":"id"}');
CREATE TABLE goal (id bigint, client_id bigint);
SELECT mfiauto.watch('Goal Reached', 'goal', 'INSERT', client => 'client_id', subject => 'id');
RESET client_min_messages;

-- Keys: shown once, kept as a digest.
CREATE TEMP TABLE app AS SELECT mfiauto.create_write_key('app') AS key;
SELECT key ~ '^mfi_[0-9a-f]{64}$' AS is_long FROM app;
SELECT name, key_digest = sha256(convert_to(a.key, 'UTF8')) AS is_digest FROM mfiauto.write_key, app a;
SELECT mfiauto.create_write_key('app');
SELECT mfiauto.create_write_key('App 1');
SELECT mfiauto.create_write_key(NULL);
SELECT mfiauto.drop_write_key('web');
SELECT mfiauto.drop_write_key(NULL);

CREATE FUNCTION basic(name text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('authorization', 'Basic ' || translate(encode(convert_to(name || ':', 'UTF8'), 'base64'), E'\n', '')) $$;
CREATE FUNCTION post(call text, body text, more jsonb DEFAULT '{}', OUT status integer, OUT answer text) LANGUAGE sql AS $$
  SELECT r.status, convert_from(r.body, 'UTF8') FROM mfiauto.serve('POST', '/v1/' || call, '', basic((SELECT key FROM app)) || more, convert_to(body, 'UTF8'), '192.0.2.1') r $$;
CREATE VIEW told AS SELECT name, client_id, properties, occurred_at FROM mfiauto.event;

-- Who may write.
SELECT r.status, r.headers, convert_from(r.body, 'UTF8') FROM mfiauto.serve('POST', '/v1/track', '', '{}', '{}', '192.0.2.1') r;
SELECT left(g.given, 12) AS given, r.status FROM (VALUES ('Basic !!'), ('Basic ' || repeat('A', 500)), ('Basic /w=='), ('Bearer x'), ('Basic ')) AS g(given),
       mfiauto.serve('POST', '/v1/track', '', jsonb_build_object('authorization', g.given), '{}', NULL) r;
SELECT status FROM mfiauto.serve('POST', '/v1/track', '', basic('mfi_' || repeat('0', 64)), '{}', NULL);
SELECT status, headers FROM mfiauto.serve('GET', '/v1/track', '', '{}', NULL, NULL);
SELECT status, headers FROM mfiauto.serve('OPTIONS', '/v1/track', '', '{}', NULL, NULL);

-- Each call, and what becomes of it.
SELECT * FROM post('track', '{"userId": "1", "event": "Session Started", "properties": {"device": "android"}, "context": {"ip": "192.0.2.9", "campaign": {"source": "sms"}}}');
SELECT * FROM post('page', '{"userId": 1, "name": "Prices", "properties": {"path": "/prices"}}');
SELECT * FROM post('screen', '{"userId": "1", "name": "Home", "category": "Main"}');
SELECT * FROM post('group', '{"userId": "1", "groupId": "g7", "traits": {"name": "Market women"}}');
SELECT * FROM post('identify', '{"userId": "1", "traits": {"plan": "gold", "pets": 2, "none": null}}');
SELECT * FROM post('identify', '{"userId": "1", "traits": {"pets": null, "langs": ["wo"]}}');
SELECT name, client_id, properties FROM told ORDER BY name;
SELECT client_id, traits FROM mfiauto.client_trait;
-- The engine is told of them.
SELECT mfiauto._consume_journal() AS events;
SELECT DISTINCT name FROM mfiauto.batch_event ORDER BY name;

-- Time: a device whose clock is wrong tells how long ago it was; nothing is of the future.
SELECT * FROM post('track', '{"userId": "2", "event": "A Told", "timestamp": "2026-03-01T08:00:00Z"}');
SELECT * FROM post('track', '{"userId": "2", "event": "B Skewed", "timestamp": "2020-01-01T00:00:00.500Z", "sentAt": "2020-01-01T00:10:00.500Z"}');
SELECT * FROM post('track', '{"userId": "2", "event": "C Ahead", "timestamp": "2031-01-01T00:00:00+01:00", "sentAt": "2031-01-01T00:00:30+01:00"}');
SELECT * FROM post('track', '{"userId": "2", "event": "D Future", "timestamp": "2031-01-01T00:00:00Z"}');
SELECT * FROM post('track', '{"userId": "2", "event": "E Backwards", "timestamp": "2026-01-02T00:00:00Z", "sentAt": "2026-01-01T00:00:00Z"}');
-- One that waited on the front's disk.
SELECT * FROM post('track', '{"userId": "2", "event": "F Waited"}', '{"mfiauto-received-at": "2026-03-02T07:30:00Z"}');
SELECT * FROM post('track', '{"userId": "2", "event": "G Waited", "timestamp": "2020-01-01T00:00:00Z", "sentAt": "2020-01-01T01:00:00Z"}', '{"mfiauto-received-at": "2026-03-02T07:30:00Z"}');
SELECT * FROM post('track', '{"userId": "2", "event": "H Waited", "timestamp": "no time"}');
SELECT * FROM post('track', '{"userId": "2", "event": "I Waited", "timestamp": "2026-02-30T00:00:00Z"}');
SELECT name, occurred_at FROM told WHERE client_id = 2 ORDER BY name;

-- What came already is not taken again, and answered as if it were: by its messageId, or by the request that the front repeats.
SELECT * FROM post('track', '{"userId": "3", "event": "Once", "messageId": "m1"}');
SELECT * FROM post('track', '{"userId": "3", "event": "Once", "messageId": "m1"}');
SELECT * FROM post('batch', '{"batch": [{"type": "track", "userId": "3", "event": "Once", "messageId": "m1"}, {"type": "track", "userId": "3", "event": "Once", "messageId": "m2"},
                                        {"type": "track", "userId": "3", "event": "Once", "messageId": "m2"}]}');
SELECT * FROM post('batch', '{"batch": [{"type": "track", "userId": "3", "event": "Again"}, {"type": "track", "userId": "3", "event": "Again"}]}', '{"mfiauto-request-id": "r1"}');
SELECT * FROM post('batch', '{"batch": [{"type": "track", "userId": "3", "event": "Again"}, {"type": "track", "userId": "3", "event": "Again"}]}', '{"mfiauto-request-id": "r1"}');
SELECT name, count(*) FROM told WHERE client_id = 3 GROUP BY 1 ORDER BY 1;
-- Another source may use the same ids; the digests are forgotten after seven days.
SELECT status FROM (SELECT mfiauto.create_write_key('web') AS key OFFSET 0) k,
  mfiauto.serve('POST', '/v1/track', '', basic(k.key), '{"userId": "3", "event": "Once", "messageId": "m1"}', NULL);
SELECT count(*) FROM told WHERE client_id = 3 AND name = 'Once';
SELECT mfiauto.drop_write_key('web');
BEGIN;
SELECT mfiauto._set_clock('2026-03-09 10:00:01+00');
SELECT status FROM post('track', '{"userId": "3", "event": "Later"}');
SELECT count(*) FROM mfiauto.tracking_message WHERE received_at < '2026-03-09';
ROLLBACK;
SELECT mfiauto._set_clock('2026-03-02 10:00+00');

-- Visitors: what they did waits for seven days until they say who they are.
SELECT * FROM post('page', '{"anonymousId": "a1", "name": "Prices", "timestamp": "2026-03-02T09:00:00Z"}');
SELECT * FROM post('track', '{"anonymousId": "a1", "event": "Form Opened", "timestamp": "2026-03-02T09:01:00Z"}');
SELECT * FROM post('track', '{"anonymousId": "a2", "event": "Form Opened"}');
SELECT * FROM post('identify', '{"anonymousId": "a2", "traits": {"plan": "none"}}');
SELECT count(*) AS of_nobody FROM mfiauto.anonymous_event;
SELECT count(*) FROM told WHERE name = 'Form Opened';
SELECT * FROM post('batch', '{"batch": [{"type": "track", "anonymousId": "a1", "event": "Form Sent"}, {"type": "identify", "userId": "4", "anonymousId": "a1", "traits": {"seen": true}},
                                        {"type": "alias", "previousId": "a2", "userId": "5"}, {"type": "alias", "previousId": "a9", "userId": "5"}]}');
SELECT name, client_id, properties, occurred_at FROM told WHERE client_id IN (4, 5) ORDER BY client_id, occurred_at, name;
SELECT count(*) AS of_nobody FROM mfiauto.anonymous_event;
SELECT mfiauto._consume_journal() > 0 AS told;

-- A batch: each message has its own fate.
SELECT r.v ->> 'index' AS index, r.v ->> 'error' AS error, answer::jsonb ->> 'accepted' AS accepted
  FROM post('batch', jsonb_build_object('sentAt', '2026-03-02T10:00:00Z', 'batch', '[
    {"type": "track", "userId": "6", "event": "Fine"}, "x", {"type": "delete", "userId": "6"}, {"userId": "6"}, {"type": "track", "event": "E"}, {"type": "track", "userId": "99", "event": "E"},
    {"type": "track", "userId": "x", "event": "E"}, {"type": "track", "userId": {"a": 1}, "event": "E"}, {"type": "track", "userId": "6"}, {"type": "track", "userId": "6", "event": ""},
    {"type": "track", "userId": "6", "event": "E", "properties": [1]}, {"type": "identify", "userId": "6", "traits": "gold"}, {"type": "group", "userId": "6"}, {"type": "alias", "userId": "6"},
    {"type": "track", "userId": "6", "event": "E", "messageId": 7}, {"type": "track", "userId": "6", "anonymousId": 7, "event": "E"}, {"type": "track", "userId": "6", "event": "Payment Received"},
    {"type": "track", "userId": "6", "event": "Goal Reached"}, {"type": "track", "userId": "6", "event": "Unsubscribed"}, {"type": "track", "userId": "00006", "event": "E"},
    {"type": "track", "userId": "99999999999999999999999", "event": "E"}, [], null]'::jsonb
      || jsonb_build_object('type', 'track', 'userId', '6', 'event', repeat('x', 201))
      || jsonb_build_object('type', 'track', 'userId', '6', 'event', 'E', 'properties', jsonb_build_object('a', repeat('x', 33000))))::text),
       jsonb_array_elements(answer::jsonb -> 'refused') WITH ORDINALITY AS r(v, n) ORDER BY r.n;
SELECT name FROM told WHERE client_id = 6;
-- Bodies that are none.
SELECT * FROM post('track', '{"userId": "6"');
SELECT * FROM post('track', '[]');
SELECT * FROM post('track', '');
SELECT * FROM post('track', '{"userId": "6", "event": "\u0000"}');
SELECT * FROM post('track', repeat('[', 20000));
SELECT * FROM post('batch', '{"batch": {}}');
SELECT * FROM post('batch', '{"batch": []}');
SELECT * FROM post('track', repeat(' ', 32769));
SELECT * FROM post('batch', repeat(' ', 512001));
-- Nor tens of thousands of messages that say nothing.
SELECT n, p.status, left(p.answer, 45) AS answer FROM (VALUES (2500), (2501)) v(n), post('batch', '{"batch": [' || repeat('{}, ', n - 1) || '{}]}') p;
SELECT * FROM post('track', '{}', '{"content-encoding": "gzip"}');
SELECT * FROM post('track', '{"userId": "99", "event": "E"}');
SELECT status FROM mfiauto.serve('POST', '/v1/track', '', basic((SELECT key FROM app)), '\xff', NULL);
SELECT status FROM mfiauto.serve('POST', '/v1/track', '', basic((SELECT key FROM app)), NULL, NULL);
-- Traits do not grow without end.
SELECT status, answer FROM generate_series(1, 5) i, post('identify', format('{"userId": "7", "traits": {"t%s": "%s"}}', i, (SELECT string_agg(md5(x::text || i), '') FROM generate_series(1, 800) x)));

-- A thousand messages are a handful of statements, and nobody in the books is missed, however new.
INSERT INTO client SELECT generate_series(51, 1000);
SELECT status, answer FROM post('batch', (SELECT jsonb_build_object('batch', jsonb_agg(jsonb_build_object('type', CASE i % 4 WHEN 0 THEN 'identify' ELSE 'track' END, 'userId', i::text,
  'event', 'Counted', 'messageId', 'k' || i, 'traits', jsonb_build_object('n', i))))::text FROM generate_series(1, 1000) i));
SELECT count(*), count(DISTINCT client_id) FROM told WHERE name = 'Counted';
SELECT count(*) FROM mfiauto.client_trait t WHERE (t.traits ->> 'n')::bigint = t.client_id;

-- Clients whom the books know by a key.
SELECT mfiauto.unbind('client');
CREATE TABLE person (key text PRIMARY KEY);
INSERT INTO person VALUES ('P-1');
SELECT mfiauto.bind('client', 'person', '{"client_key":"key"}');
SELECT mfiauto._consume_journal() > 0 AS known;
SELECT * FROM post('track', '{"userId": "P-1", "event": "By Key"}');
SELECT * FROM post('track', '{"userId": "1", "event": "By Number"}');
SELECT i.client_key, t.name FROM told t JOIN mfiauto.identity i USING (client_id) WHERE t.name ~ '^By';
