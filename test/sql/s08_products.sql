-- S8 Products held: buying and closing change a segment in the same transaction when it is marked real-time; its events come with the engine's next pass.
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/segment_books.sql
SELECT mfiauto.bind('holding', 'bank.account', '{"holding_id": "id", "client_id": "client_id", "product": "product", "closed_on": "closed_on"}');
RESET client_min_messages;
SELECT mfiauto.create_segment('savers', 'SELECT DISTINCT client_id FROM mfiauto.holding WHERE product = ''savings'' AND closed_on IS NULL', real_time => true);
SELECT mfiauto.create_segment('savers_later', 'SELECT DISTINCT client_id FROM mfiauto.holding WHERE product = ''savings'' AND closed_on IS NULL');
SELECT name, real_time, refresh FROM mfiauto.segment ORDER BY name;
BEGIN;
INSERT INTO bank.account VALUES (1, 1, 'savings'), (2, 2, 'savings'), (3, 3, 'insurance');
SELECT * FROM mfiauto_segment.savers ORDER BY 1;
SELECT * FROM mfiauto_segment.savers_later;
UPDATE bank.account SET closed_on = '2026-01-05' WHERE id = 2;
SELECT client_id FROM mfiauto_segment.savers ORDER BY 1;
SAVEPOINT a;
DELETE FROM bank.account WHERE id = 1;
SELECT client_id FROM mfiauto_segment.savers;
ROLLBACK TO a;
SELECT client_id FROM mfiauto_segment.savers;
COMMIT;
SELECT count(*) AS told FROM mfiauto.event WHERE name LIKE 'Segment %';
SELECT mfiauto._set_clock('2026-01-05 08:01+00');
SELECT count(*) FROM mfiauto.run_engine();
SELECT name, client_id, properties FROM mfiauto.event WHERE name LIKE 'Segment %' ORDER BY properties ->> 'segment', client_id;
SELECT * FROM mfiauto_segment.savers;
SELECT * FROM mfiauto_segment.savers_later;
-- The profile says what is held, and since when; and the segment on it follows.
SELECT client_id, products, product_count FROM mfiauto.client_profile WHERE client_id <= 3 ORDER BY 1;
SELECT mfiauto.create_segment('insured', 'SELECT client_id FROM mfiauto.client_profile WHERE ''insurance'' = ANY (products)');
UPDATE bank.account SET closed_on = '2026-01-05' WHERE id = 3;
INSERT INTO bank.account VALUES (4, 4, 'insurance');
SELECT count(*) FROM mfiauto.run_engine();
SELECT client_id FROM mfiauto_segment.insured;
-- Marked and unmarked.
SELECT mfiauto.alter_segment('savers', real_time => false);
SELECT mfiauto.alter_segment('savers_later', real_time => true);
BEGIN;
INSERT INTO bank.account VALUES (5, 4, 'savings');
SELECT count(*) FROM mfiauto_segment.savers;
SELECT count(*) FROM mfiauto_segment.savers_later;
ROLLBACK;
SELECT count(*) AS functions FROM pg_proc WHERE proname ~ '^_segment_[0-9]+$';
SELECT mfiauto.unbind(r) FROM unnest('{holding,installment,loan,client}'::text[]) r;
