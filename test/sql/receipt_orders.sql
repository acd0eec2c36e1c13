-- Receipts in every order, one by one and all at once: what a message is never goes back, and what is known in the end depends on what was said, not on when.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_gateway('g', 'sms', definition => '{
  "request": {"url": "https://x.example/"}, "signature": {"method": "none"},
  "receipt": {"format": "json", "list": "all", "id": "id", "status": "said",
              "states": {"submitted": "submitted", "sent": "sent", "delivered": "delivered", "undelivered": "undelivered", "failed": "failed", "expired": "expired", "opened": "ignore"}}}');
-- Every sequence of one to three words, repeats among them, from each state that a message which has left can be in; one word at a time, or the sequence as one list.
CREATE TABLE story AS
  WITH RECURSIVE word(word) AS (SELECT unnest('{submitted,sent,delivered,undelivered,failed,expired,opened}'::text[])), line(words) AS (
    SELECT '{}'::text[] UNION ALL SELECT words || word FROM line, word WHERE cardinality(words) < 3)
  SELECT row_number() OVER (ORDER BY words, start, is_list) AS id, words, start, is_list
    FROM line, unnest('{submitted,sent,unknown}'::text[]) start, unnest('{f,t}'::boolean[]) is_list WHERE cardinality(words) > 0;
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id)
SELECT id, mfiauto.now(), mfiauto.now(), mfiauto.now(), start, 'transactional', 'sms', 'g', 'p' || id FROM story;
INSERT INTO mfiauto.provider_key SELECT m.client_id, m.message_id, m.gateway, m.provider_id, m.created_at FROM mfiauto.message_ledger m
 WHERE NOT EXISTS (SELECT FROM mfiauto.provider_key k WHERE k.message_id = m.message_id);
CREATE TABLE step (id bigint, n integer, state text);
INSERT INTO step SELECT id, 0, start FROM story;
DO $$
BEGIN
  FOR n IN 1 .. 3 LOOP
    PERFORM mfiauto.receive('g', '{}', json_build_object('all', json_agg(json_build_object('id', 'p' || s.id, 'said', w.word) ORDER BY s.id, w.place))::text)
       FROM story s, unnest(s.words) WITH ORDINALITY AS w(word, place) WHERE CASE WHEN s.is_list THEN n = 1 ELSE w.place = n END;
    INSERT INTO step SELECT m.client_id, n, m.state FROM mfiauto.message_ledger m;
  END LOOP;
END $$;
-- What weighs more: nothing known, taken, on its way, not arrived, arrived.
CREATE FUNCTION weight(state text) RETURNS integer LANGUAGE sql AS $$
  SELECT CASE state WHEN 'unknown' THEN 0 WHEN 'submitted' THEN 1 WHEN 'sent' THEN 2 WHEN 'undelivered' THEN 3 WHEN 'failed' THEN 3 WHEN 'expired' THEN 3 WHEN 'delivered' THEN 4 ELSE -1 END $$;
SELECT count(*) AS stories, count(*) FILTER (WHERE is_list) AS lists FROM story;
SELECT count(*) AS steps, count(*) FILTER (WHERE weight(b.state) < weight(a.state)) AS went_back, count(*) FILTER (WHERE weight(a.state) >= 3 AND b.state NOT IN (a.state, 'delivered')) AS changed_its_end
  FROM step a JOIN step b ON b.id = a.id AND b.n = a.n + 1;
SELECT count(*) FILTER (WHERE weight(m.state) <> greatest(weight(s.start), (SELECT max(weight(w)) FROM unnest(s.words) w))) AS against_what_was_said, count(DISTINCT m.state) AS ends
  FROM story s JOIN mfiauto.message_ledger m ON m.client_id = s.id;
-- All of it once more changes nothing, and is not written down again.
SELECT count(*) AS receipts FROM mfiauto.receipt \gset
SELECT count(mfiauto.receive('g', '{}', json_build_object('all', json_build_array(json_build_object('id', 'p' || s.id, 'said', w)))::text)) > 2000 AS told_again FROM story s, unnest(s.words) w;
SELECT count(*) FILTER (WHERE m.state <> s.state) AS changed FROM step s JOIN mfiauto.message_ledger m ON m.client_id = s.id WHERE s.n = 3;
SELECT count(*) = :receipts AS no_more_receipts FROM mfiauto.receipt;
