-- Bad input to segments: each refusal has its SQLSTATE, says what is wrong and what to do, and changes nothing.
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/segment_books.sql
RESET client_min_messages;
CREATE FUNCTION public.dice(id bigint) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT random() < 0.5';
CREATE TEMP TABLE mine (client_id bigint);
CREATE FUNCTION answer(call text, OUT state text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'SELECT mfiauto.' || call;
  state := 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE query (place integer GENERATED ALWAYS AS IDENTITY, what text, query text);
INSERT INTO query (what, query) VALUES
  ('nothing', ''), ('no SQL', 'SELEKT client_id'), ('a statement that changes', 'DELETE FROM bank.client RETURNING id AS client_id'),
  ('two statements', 'SELECT client_id FROM mfiauto.client; DROP TABLE bank.client'), ('a table made', 'SELECT client_id INTO bank.copy FROM mfiauto.client'),
  ('a change inside', 'WITH gone AS (DELETE FROM bank.client RETURNING id) SELECT id AS client_id FROM gone'),
  ('locks', 'SELECT client_id FROM mfiauto_segment.list FOR UPDATE'), ('a command', 'EXPLAIN SELECT 1'),
  ('several columns', 'SELECT client_id, literacy FROM mfiauto.client'), ('no column', 'SELECT FROM mfiauto.client'), ('everything', 'SELECT * FROM bank.loan'),
  ('another name', 'SELECT id FROM bank.client'), ('another type', 'SELECT literacy AS client_id FROM mfiauto.client'),
  ('nulls', 'SELECT CASE WHEN client_id > 2 THEN client_id END AS client_id FROM mfiauto.client'),
  ('duplicates', 'SELECT l.client_id FROM mfiauto.loan l, mfiauto.client c'),
  ('an unknown table', 'SELECT client_id FROM bank.nowhere'), ('a table without its schema', 'SELECT id AS client_id FROM client'),
  ('an unknown column', 'SELECT c.client_id FROM mfiauto.client c WHERE c.shoe_size > 40'), ('an unknown function', 'SELECT client_id FROM mfiauto.client WHERE dice(client_id)'),
  ('a role that is not bound', 'SELECT client_id FROM mfiauto.holding'),
  ('a volatile function', 'SELECT client_id FROM mfiauto.client WHERE public.dice(client_id)'), ('chance', 'SELECT client_id FROM mfiauto.client WHERE random() < 0.5'),
  ('a sequence', $$SELECT nextval('mfiauto.event_id_seq') AS client_id$$), ('a temporary table', 'SELECT client_id FROM mine'), ('one with its schema', 'SELECT client_id FROM pg_temp.mine'),
  ('a parameter', 'SELECT client_id FROM mfiauto.client WHERE client_id = $1'), ('a day that stays', $$SELECT l.client_id FROM mfiauto.loan l JOIN mfiauto.installment i USING (loan_id) WHERE due_date = 'today'$$),
  ('a division by zero', 'SELECT client_id FROM mfiauto.client WHERE 1 / (client_id - 3) >= 0'), ('itself', 'SELECT client_id FROM mfiauto_segment.wrong'),
  ('a runaway', 'SELECT a.client_id FROM mfiauto.client a WHERE (SELECT count(*) FROM generate_series(1, 100000000) b WHERE b > a.client_id) > 0');
SELECT mfiauto.create_segment('list', clients => '{1,2}');
SELECT mfiauto.create_segment('low', 'SELECT client_id FROM mfiauto.client WHERE literacy = ''low''');
SET mfiauto.segment_timeout = '150ms';
SELECT q.what, a.* FROM query q, answer(format('create_segment(''wrong'', %L)', q.query)) a ORDER BY q.place;
RESET mfiauto.segment_timeout;
-- The position is one in the query's text.
SELECT mfiauto.create_segment('wrong', 'SELECT c.client_id
  FROM mfiauto.client c WHERE c.shoe_size > 40');

-- Arguments.
CREATE TABLE call (place integer GENERATED ALWAYS AS IDENTITY, call text);
INSERT INTO call (call) VALUES
  ('create_segment(NULL)'), ('create_segment('''')'), ('create_segment(''Good Payers'')'), ('create_segment(''1st'')'), ('create_segment(repeat(''a'', 64))'), ('create_segment(''a"b'')'),
  ('create_segment(''x'', ''SELECT 1::bigint AS client_id'', ARRAY[1])'), ('create_segment(''x'', clients => ARRAY[1, NULL])'), ('create_segment(''x'', clients => ARRAY[1], real_time => true)'),
  ('create_segment(''x'', refresh_every => ''1 hour'')'), ('create_segment(''x'', ''SELECT 1::bigint AS client_id'', refresh_every => ''-1 hour'')'),
  ('create_segment(''list'')'), ('create_segment(''low'', ''SELECT 1::bigint AS client_id'')'), ('create_segment(''x'', description => repeat(''a'', 1001))'),
  ('alter_segment(''none'', description => ''x'')'), ('alter_segment(NULL)'), ('alter_segment(''list'', query => ''SELECT 1::bigint AS client_id'')'), ('alter_segment(''list'', real_time => true)'),
  ('alter_segment(''low'', clients => ARRAY[1])'), ('alter_segment(''low'', query => ''SELECT client_id FROM mfiauto_segment.low'')'), ('drop_segment(''none'')'), ('drop_segment(NULL)'),
  ('refresh_segment(''none'')'), ('add_to_segment(''low'', ARRAY[1])'), ('add_to_segment(''none'', ARRAY[1])'), ('add_to_segment(''list'', NULL)'), ('remove_from_segment(''list'', ARRAY[NULL::bigint])'),
  ('segment_members(''none'')'), ('segment_overlap(''none'')'), ('check_segment(''none'')'), ('protect_attribute(''shoe_size'')'), ('protect_attribute(NULL)'), ('unprotect_attribute(''x'')');
SELECT c.call, a.* FROM call c, answer(c.call) a ORDER BY c.place;

-- In use: by segments and by workflows; circles.
SELECT mfiauto.create_segment('upper', 'SELECT client_id FROM mfiauto_segment.low');
SELECT mfiauto.create_segment('top', 'SELECT client_id FROM mfiauto_segment.upper');
SELECT a.* FROM answer($$drop_segment('low')$$) a;
SELECT a.* FROM answer($$alter_segment('low', query => 'SELECT client_id FROM mfiauto_segment.top')$$) a;
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour') > 0 AS made;
SELECT mfiauto.create_workflow('w', '{"trigger": {"segment": "list", "on": "enter"}, "steps": [{"send": "hello"}]}') AS version;
SELECT a.* FROM answer($$drop_segment('list')$$) a;
SELECT mfiauto.drop_workflow('w');
SELECT a.* FROM answer($$drop_segment('list')$$) a;

-- Nothing changed.
SELECT name, members FROM mfiauto.segment ORDER BY name;
SELECT viewname FROM pg_views WHERE schemaname = 'mfiauto_segment' ORDER BY 1;
SELECT count(*) AS clients FROM bank.client;
SELECT count(*) AS told FROM mfiauto.event WHERE name LIKE 'Segment %';
-- A warning for who reads the server's clock.
SELECT mfiauto.create_segment('born', 'SELECT client_id FROM mfiauto.client WHERE birth_date < current_date');
SELECT mfiauto.unbind(r) FROM unnest('{installment,loan,client}'::text[]) r;
