-- T14: enroll() is idempotent: repeating a call returns the same enrollment, by its key also after the run has ended.
\i test/lib/installed.sql
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
INSERT INTO bank.client (id, name, phone) VALUES (1, 'Awa', '+221770000001'), (2, 'Binta', '+221770000002');
INSERT INTO bank.loan (id, client_id) VALUES (11, 1), (12, 1);
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.create_workflow('by_hand', '{"trigger": {"manual": true}, "class": "transactional", "reentry": "always", "steps": [{"send": "hello"}, {"wait": "2 days"}]}') AS version;
SELECT mfiauto.create_workflow('for_loan', '{"trigger": {"manual": true}, "for_each": "loan", "class": "transactional", "steps": [{"wait": "2 days"}, {"send": "hello"}]}') AS version;
SELECT * FROM mfiauto.preview_activation('by_hand');
SELECT mfiauto.activate_workflow('by_hand'), mfiauto.activate_workflow('for_loan');
SELECT mfiauto.enroll('by_hand', 1, key => 'order 7', context => '{"order": 7}') AS first \gset
SELECT mfiauto.enroll('by_hand', 1, key => 'order 7') = :first AS same, mfiauto.enroll('by_hand', 1) = :first AS live_one;
SELECT mfiauto.enroll('by_hand', 1, key => 'order 8');
SELECT mfiauto.enroll('by_hand', 1, key => '');
SELECT advanced, messages FROM mfiauto.run_engine();
SELECT entered, messages FROM pg_temp.at('2026-01-08 09:00+00');
SELECT state, (SELECT entry_key FROM mfiauto.enrollment_state s WHERE s.enrollment_id = e.enrollment_id) FROM mfiauto.enrollment e;
SELECT mfiauto.enroll('by_hand', 1, key => 'order 7') = :first AS same_after_its_end;
SELECT mfiauto.enroll('by_hand', 1, key => 'order 8') <> :first AS another;
SELECT mfiauto.enroll('by_hand', 2, key => 'order 8') > :first AS of_another_client;
-- A live run without a key takes on the first one that it is asked for by.
SELECT mfiauto.enroll('for_loan', 1, 11) AS run \gset
SELECT mfiauto.enroll('for_loan', 1, 11, key => 'k') = :run AS taken_on, mfiauto.enroll('for_loan', 1, 12, key => 'k') = :run AS by_its_key;
SELECT mfiauto.enroll('for_loan', 1, 12, key => 'k2') <> :run AS other_loan;
SELECT mfiauto.enroll('for_loan', 1, key => 'k3');
-- Also when the workflow has ended.
SELECT mfiauto.archive_workflow('for_loan');
SELECT mfiauto.enroll('for_loan', 1, 11, key => 'k') = :run AS still_same;
SELECT mfiauto.enroll('for_loan', 1, 11, key => 'k4');
SELECT workflow, client_id, subject_id, state, count(*) FROM mfiauto.enrollment GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
-- A chain of more than ten workflows is a loop.
SELECT mfiauto.create_workflow('chained', '{"trigger": {"event": "Went Round"}, "reentry": "always", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.activate_workflow('chained');
INSERT INTO mfiauto.event_log (client_id, name, hops, occurred_at, received_at)
  SELECT c, 'Went Round', h, mfiauto.now(), mfiauto.now() FROM (VALUES (1, 10), (2, 11)) AS v(c, h);
SELECT mfiauto._journal_append(0, 'e', event_id, client_id) FROM mfiauto.event_log WHERE name = 'Went Round';
SELECT entered FROM mfiauto.run_engine();
SELECT client_id, hops FROM mfiauto.enrollment_state e JOIN mfiauto.workflow_head h USING (workflow_id) WHERE h.name = 'chained';
SELECT client_id, decision, reason FROM mfiauto.decision_log WHERE reason = 'loop';
SELECT what, detail FROM mfiauto.explain_client(2, 'chained') WHERE what = 'refused';
