-- track(), identify(), and the logs' monthly partitions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto._set_clock('2026-03-02 10:00+00');
CREATE TABLE client (id bigint PRIMARY KEY, sector text);
CREATE TABLE loan (id bigint PRIMARY KEY, client_id bigint, status text);
CREATE TABLE installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, amount numeric);
INSERT INTO client VALUES (42, 'trade');
INSERT INTO loan VALUES (7, 42, 'active');
INSERT INTO installment VALUES (70, 7, '2026-04-01', 10);
SELECT mfiauto.bind('client', 'client', '{"client_id":"id","traits":"jsonb_build_object(''sector'', sector, ''plan'', ''none'')"}');
SELECT mfiauto.bind('loan', 'loan', '{"loan_id":"id","client_id":"client_id","status":"status"}');
SELECT mfiauto.bind('installment', 'installment', '{"installment_id":"id","loan_id":"loan_id","due_date":"due_date","amount_due":"amount"}');
RESET client_min_messages;

SELECT mfiauto.track('Session Started', client_id => 42, properties => '{"device":"android"}') > 0 AS tracked;
SELECT mfiauto.track('Form Opened', 42, occurred_at => '2026-03-01 08:00+00', subject => 'installment', subject_id => 70) > 0 AS tracked;
SELECT mfiauto.track('Loan Viewed', 42, NULL, subject => 'loan', subject_id => 7) > 0 AS tracked;
BEGIN;
SELECT mfiauto.track('Never', 42) > 0 AS tracked;
ROLLBACK;
SELECT mfiauto._consume_journal() AS events;
SELECT e.name, e.client_id, e.subject, e.subject_id, e.loan_id, l.properties, e.occurred_at, l.received_at
  FROM mfiauto.batch_event e JOIN mfiauto.event l USING (event_id) ORDER BY e.event_id;
SELECT mfiauto._consume_journal() AS events;
SELECT count(*) AS in_batch FROM mfiauto.batch_event;

-- Traits are merged with those known, and with the bank's own; null takes one away. The workflows look again.
SELECT traits FROM mfiauto.client;
SELECT mfiauto.identify(client_id => 42, traits => '{"plan":"gold","pets":2,"nothing":null}');
SELECT traits FROM mfiauto.client;
SELECT mfiauto.identify(42, '{"pets":null,"langs":["wo"]}');
SELECT traits FROM mfiauto.client_trait;
SELECT mfiauto._consume_journal() AS events;
SELECT DISTINCT role, subject_id, client_id, loan_id FROM mfiauto.batch_touched;

-- Refusals.
SELECT mfiauto.track(NULL, 42);
SELECT mfiauto.track('', 42);
SELECT mfiauto.track(repeat('x', 201), 42);
SELECT mfiauto.track('Session Started', NULL);
SELECT mfiauto.track('Session Started', 42, '[1]');
SELECT mfiauto.track('Session Started', 42, '{"a":');
SELECT mfiauto.track('Session Started', 42, '{"a":"\u0000"}');
SELECT mfiauto.track('Session Started', 42, jsonb_build_object('a', (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 5000) g)));
SELECT mfiauto.track('Session Started', 42, occurred_at => 'infinity');
SELECT mfiauto.track('Session Started', 42, subject => 'loan');
SELECT mfiauto.identify(NULL, '{}');
SELECT mfiauto.identify(42, NULL);
SELECT mfiauto.identify(42, '"gold"');
SELECT mfiauto.identify(42, jsonb_build_object('a', (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 5000) g)));

-- Partitions: this month and the next two; a month that the default partition has rows of stays there.
SELECT mfiauto._ensure_partitions('2026-03-31 23:30+00') AS made;
SELECT mfiauto._ensure_partitions('2026-03-31 23:30+00') AS made;
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'mfiauto.event_log'::regclass ORDER BY 1;
SELECT c.relname, c.reloptions FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'mfiauto.message_ledger'::regclass ORDER BY 1;
SELECT mfiauto._set_clock('2026-05-10 10:00+00');
SELECT mfiauto.track('Session Started', 42) > 0 AS tracked;
SELECT tableoid::regclass, count(*) FROM mfiauto.event_log GROUP BY 1 ORDER BY 1;
