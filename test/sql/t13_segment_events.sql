-- T13 Becoming and ceasing to be in a segment: the events of a refresh are the symmetric difference of its members before and after, no more and no less.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, score integer);
INSERT INTO bank.client SELECT g, g % 100 FROM generate_series(1, 400) g;
SELECT mfiauto.set_clock('2026-02-01 08:00+00');
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "traits": "jsonb_build_object(''score'', score)"}');
SELECT mfiauto.create_template('welcome', channel => 'sms', class => 'transactional', body => 'Bonjour');
SELECT mfiauto.create_gateway('sandbox', channel => 'sms', preset => 'sandbox');
RESET client_min_messages;
-- One that is refreshed in full, one by changes, one upon both.
SELECT mfiauto.create_segment('best', 'SELECT client_id FROM mfiauto.client ORDER BY (traits ->> ''score'')::integer DESC, client_id LIMIT 50');
SELECT mfiauto.create_segment('good', 'SELECT client_id FROM mfiauto.client WHERE (traits ->> ''score'')::integer >= 60');
SELECT mfiauto.create_segment('good_not_best', 'SELECT client_id FROM mfiauto_segment.good EXCEPT SELECT client_id FROM mfiauto_segment.best');
SELECT count(*) AS told_at_first FROM mfiauto.event WHERE name LIKE 'Segment %';

CREATE TABLE seen (round integer, segment text, client_id bigint);
CREATE TABLE heard (round integer, event_id bigint);
-- What each step's events should have been, by the members before and after it.
CREATE FUNCTION compare() RETURNS TABLE (segment text, entered bigint, gone bigint, missing bigint, surplus bigint) LANGUAGE plpgsql AS $$
DECLARE
  n integer := (SELECT coalesce(max(h.round) + 1, 0) FROM heard h);
BEGIN
  INSERT INTO seen SELECT n, s.name, m.client_id FROM mfiauto.segment s, mfiauto.segment_members(s.name) m;
  INSERT INTO heard SELECT n, coalesce(max(e.event_id), 0) FROM mfiauto.event e;
  RETURN QUERY
  WITH expected AS (
    (SELECT 'Segment Entered' AS name, i.segment, i.client_id FROM seen i WHERE i.round = n EXCEPT SELECT 'Segment Entered', o.segment, o.client_id FROM seen o WHERE o.round = n - 1)
    UNION ALL
    (SELECT 'Segment Left', o.segment, o.client_id FROM seen o WHERE o.round = n - 1 EXCEPT SELECT 'Segment Left', p.segment, p.client_id FROM seen p WHERE p.round = n)
  ), told AS (
    SELECT e.name, e.properties ->> 'segment' AS segment, e.client_id FROM mfiauto.event e
     WHERE e.name LIKE 'Segment %' AND e.event_id > (SELECT h.event_id FROM heard h WHERE h.round = n - 1)
  )
  SELECT s.name, (SELECT count(*) FROM expected x WHERE x.segment = s.name AND x.name = 'Segment Entered'), (SELECT count(*) FROM expected x WHERE x.segment = s.name AND x.name = 'Segment Left'),
         (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM told) d WHERE d.segment = s.name),
         (SELECT count(*) FROM (SELECT * FROM told EXCEPT ALL SELECT * FROM expected) d WHERE d.segment = s.name)
    FROM mfiauto.segment s WHERE n > 0 ORDER BY s.name;
END $$;
SELECT * FROM compare();

-- Changes, followed by the engine; then a full refresh, whose events reach, in the next pass, the segment that stands on it.
UPDATE bank.client SET score = (score * 7 + id) % 100 WHERE id % 3 = 0;
DELETE FROM bank.client WHERE id BETWEEN 95 AND 99;
INSERT INTO bank.client SELECT g, 99 FROM generate_series(401, 410) g;
SELECT mfiauto._set_clock('2026-02-01 10:00+00');
SELECT count(*) FROM mfiauto.run_engine();
SELECT * FROM compare();
SELECT mfiauto.refresh_segment('best');
SELECT * FROM compare();
SELECT count(*) FROM mfiauto.run_engine();
SELECT * FROM compare();
-- Rolled back: neither members nor events.
BEGIN;
UPDATE bank.client SET score = 100 - score;
SELECT mfiauto.refresh_segment('best');
ROLLBACK;
SELECT count(*) FROM mfiauto.run_engine();
SELECT * FROM compare();
-- There and back between two refreshes: nothing happened.
UPDATE bank.client SET score = score + 100 WHERE id <= 40;
UPDATE bank.client SET score = score - 100 WHERE id <= 40;
SELECT mfiauto.refresh_segment('best');
SELECT mfiauto.refresh_segment('good');
SELECT count(*) FROM mfiauto.run_engine();
SELECT * FROM compare();
-- A full refresh of what the engine would have followed: told once.
UPDATE bank.client SET score = 10 WHERE id BETWEEN 60 AND 90;
SELECT mfiauto.refresh_segment('good');
SELECT mfiauto.refresh_segment('good');
SELECT * FROM compare();
SELECT count(*) FROM mfiauto.run_engine();
SELECT count(*) FROM mfiauto.run_engine();
SELECT * FROM compare();

-- A workflow that waits for it: whoever enters gets a message, once; whoever is in from the beginning does not.
SELECT mfiauto.create_workflow('welcome', '{"trigger": {"segment": "good", "on": "enter"}, "class": "transactional", "steps": [{"send": "welcome"}]}') AS version;
SELECT mfiauto.activate_workflow('welcome') AS version;
UPDATE bank.client SET score = 100 WHERE id IN (61, 62, 63);
SELECT count(*) FROM mfiauto.run_engine();
SELECT count(*) FROM mfiauto.run_engine();
SELECT client_id, state FROM mfiauto.enrollment ORDER BY 1;
SELECT mfiauto.unbind('client');
