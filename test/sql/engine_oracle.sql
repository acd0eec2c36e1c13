-- Ten thousand installments over a quarter, with payments, moves, reversals, rows that vanish and come back, late schedules,
-- group loans, six kinds of time zone, holidays and two outages: what the engine did equals what test/lib/oracle.sql tells.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
\i test/lib/oracle.sql
RESET client_min_messages;
-- A number in [0, 1) that stays the same for ever.
CREATE FUNCTION oracle.dice(topic text, id bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(topic || '/' || id), 1, 8))::bit(32)::bigint / 4294967296.0::double precision $$;

INSERT INTO mfiauto.policy (country, class, break_weekday, break_from, break_until) VALUES ('SN', 'collection', 5, '12:30', '15:00');
INSERT INTO mfiauto.holiday SELECT 'SN', d, 'holiday' FROM unnest('{2026-01-14,2026-02-16,2026-02-17,2026-03-20,2026-03-21,2026-03-23,2026-04-06}'::date[]) d;
INSERT INTO oracle.holiday SELECT h.on_date FROM mfiauto.holiday h;

-- Three passes a day from Monday 5 January, but none on 3 to 5 February and on 10 March.
INSERT INTO oracle.pass
SELECT row_number() OVER (ORDER BY d, t), d + t FROM generate_series(timestamptz '2026-01-05', '2026-04-12', '1 day') d, unnest('{03:30,09:30,18:10}'::interval[]) t
 WHERE d::date NOT IN ('2026-02-03', '2026-02-04', '2026-02-05', '2026-03-10');

INSERT INTO bank.client
SELECT g, 'Client ' || g, '+2217' || lpad((70000000 + g)::text, 8, '0'),
       ('{Africa/Dakar,Europe/Paris,America/Port-au-Prince,Asia/Kathmandu,NULL,Mars/Olympus}'::text[])[1 + g % 6], CASE WHEN oracle.dice('low', g) < 0.3 THEN 'low' ELSE 'high' END
  FROM generate_series(1, 1700) g;
UPDATE bank.client SET tz = NULL WHERE tz = 'NULL';
INSERT INTO bank.loan (id, client_id) SELECT g, CASE WHEN g % 50 <> 0 THEN g END FROM generate_series(1, 1667) g;
INSERT INTO bank.member (loan_id, client_id, role) SELECT l.id, l.id + n, CASE n WHEN 3 THEN 'guarantor' ELSE 'borrower' END FROM bank.loan l, generate_series(0, 3) n WHERE l.client_id IS NULL;

-- What happens to each installment, and before which pass: 1 scheduled, 2 moved, 3 gone, 4 back, 5 paid, 6 reversed.
CREATE TABLE oracle.plan AS
SELECT i.id, i.loan, i.due_date, CASE WHEN oracle.dice('late', i.id) < 0.25 THEN greatest(1, i.near - (oracle.dice('late by', i.id) * 60)::integer + 15) ELSE 1 END AS scheduled, i.near
  FROM (SELECT l * 10 + n AS id, l AS loan, date '2026-01-03' + (oracle.dice('first', l) * 16)::integer + n * 15 AS due_date,
               (SELECT coalesce(max(p.no), 1) FROM oracle.pass p WHERE p.at <= date '2026-01-03' + (oracle.dice('first', l) * 16)::integer + n * 15) AS near
          FROM generate_series(1, 1667) l, generate_series(0, 5) n) i;
CREATE TABLE oracle.change AS
SELECT x.installment, greatest(x.pass_no, x.scheduled) AS pass_no, x.kind, x.due_date
  FROM (SELECT p.id AS installment, p.scheduled, p.scheduled AS pass_no, 1 AS kind, p.due_date FROM oracle.plan p
        UNION ALL SELECT p.id, p.scheduled, p.near - (oracle.dice('move at', p.id) * 40)::integer + 8, 2, p.due_date + (oracle.dice('move by', p.id) * 30)::integer - 12
          FROM oracle.plan p WHERE oracle.dice('move', p.id) < 0.15
        UNION ALL SELECT p.id, p.scheduled, p.near - (oracle.dice('move at', p.id) * 20)::integer + 16, 2, p.due_date + (oracle.dice('move again', p.id) * 8)::integer - 4
          FROM oracle.plan p WHERE oracle.dice('move', p.id) < 0.06
        UNION ALL SELECT p.id, p.scheduled, p.near - (oracle.dice('gone at', p.id) * 30)::integer + 10, 3, NULL FROM oracle.plan p WHERE oracle.dice('gone', p.id) < 0.05
        UNION ALL SELECT p.id, p.scheduled, p.near - (oracle.dice('gone at', p.id) * 30)::integer + 10 + (oracle.dice('back', p.id) * 12)::integer, 4, NULL
          FROM oracle.plan p WHERE oracle.dice('gone', p.id) < 0.04
        UNION ALL SELECT p.id, p.scheduled, p.near + (oracle.dice('pay at', p.id) * 45)::integer - 30, 5, NULL FROM oracle.plan p WHERE oracle.dice('pay', p.id) < 0.6
        UNION ALL SELECT p.id, p.scheduled, p.near + (oracle.dice('pay at', p.id) * 45)::integer - 30 + (oracle.dice('reverse', p.id) * 9)::integer, 6, NULL
          FROM oracle.plan p WHERE oracle.dice('pay', p.id) < 0.12) x;
DELETE FROM oracle.change c WHERE c.pass_no > (SELECT max(p.no) FROM oracle.pass p);
SELECT count(*) AS installments, count(*) FILTER (WHERE scheduled > 1) AS late FROM oracle.plan;
SELECT kind, count(*) FROM oracle.change GROUP BY 1 ORDER BY 1;

-- Applies the changes before a pass, in the order of their kinds, and notes the books as that pass sees them.
CREATE FUNCTION oracle.apply(now_no integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bank.installment (id, loan_id, due_date) SELECT c.installment, p.loan, c.due_date FROM oracle.change c JOIN oracle.plan p ON p.id = c.installment WHERE c.pass_no = now_no AND c.kind = 1;
  UPDATE bank.installment i SET due_date = c.due_date FROM oracle.change c WHERE c.installment = i.id AND c.pass_no = now_no AND c.kind = 2;
  DELETE FROM bank.installment i USING oracle.change c WHERE c.installment = i.id AND c.pass_no = now_no AND c.kind = 3;
  INSERT INTO bank.installment (id, loan_id, due_date) SELECT c.installment, p.loan, p.due_date FROM oracle.change c JOIN oracle.plan p ON p.id = c.installment WHERE c.pass_no = now_no AND c.kind = 4
    ON CONFLICT DO NOTHING;
  UPDATE bank.installment i SET paid = i.due FROM oracle.change c WHERE c.installment = i.id AND c.pass_no = now_no AND c.kind = 5;
  UPDATE bank.installment i SET paid = 0 FROM oracle.change c WHERE c.installment = i.id AND c.pass_no = now_no AND c.kind = 6;
  INSERT INTO oracle.seen
  SELECT DISTINCT c.installment, now_no, i.due_date, i.paid >= i.due, i.id IS NULL FROM oracle.change c LEFT JOIN bank.installment i ON i.id = c.installment WHERE c.pass_no = now_no;
END $$;

SELECT mfiauto.create_workflow('reminder', '{
  "for_each": "installment", "anchor": "due_date", "class": "collection", "holdout": 10,
  "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "steps": [
    {"at": "-7 days 20:30", "send": "before", "channels": ["sms"]},
    {"at": "-3 days 09:00", "send": "before", "channels": ["sms"]},
    {"at":  "0 days 20:30", "send": "today", "channels": ["sms"]},
    {"at": "+1 day  06:30", "send": "late", "channels": ["sms"]},
    {"at": "+3 days 09:00", "if": "client.literacy = ''low''", "then": [{"send": "late_low", "channels": ["voice"]}], "else": [{"send": "late", "channels": ["sms"]}]},
    {"at": "+5 days 13:00", "task": "Visit {{client.name}}", "assign": "officer"}
  ]}') > 0 AS created;
UPDATE mfiauto.workflow_head SET salt = 'salt';
SET client_min_messages = error;
SELECT mfiauto._set_clock('2026-01-05 03:00+00');
SELECT mfiauto.activate_workflow('reminder') AS version;

-- The quarter. What is queued is delivered at once.
CREATE PROCEDURE oracle.play() LANGUAGE plpgsql AS $$
DECLARE
  p record;
  tally record;
BEGIN
  FOR p IN SELECT * FROM oracle.pass ORDER BY no LOOP
    PERFORM mfiauto._set_clock(p.at);
    PERFORM oracle.apply(p.no);
    COMMIT;
    SELECT * INTO tally FROM mfiauto.run_engine();
    IF tally.parked <> 0 THEN RAISE EXCEPTION 'parked at %', p.at; END IF;
    UPDATE mfiauto.message_ledger m SET state = 'sent', sent_at = p.at FROM mfiauto.outbox o WHERE o.client_id = m.client_id AND o.message_id = m.message_id;
    DELETE FROM mfiauto.outbox;
    -- Profiles are not what is tested here: the clock alone does not make them due.
    UPDATE mfiauto.profile_state SET recheck_at = NULL WHERE recheck_at IS NOT NULL;
    COMMIT;
  END LOOP;
END $$;
CALL oracle.play();

INSERT INTO oracle.pair
SELECT p.id, c.id, CASE WHEN l.client_id IS NULL THEN 'loan ' || l.id ELSE 'client ' || c.id END,
       CASE WHEN c.tz IS NULL OR c.tz LIKE 'Mars/%' THEN 'UTC' ELSE c.tz END, c.literacy = 'low'
  FROM oracle.plan p JOIN bank.loan l ON l.id = p.loan
  JOIN LATERAL (SELECT l.client_id AS id UNION SELECT m.client_id FROM bank.member m WHERE l.client_id IS NULL AND m.loan_id = l.id AND m.role <> 'guarantor') a ON a.id IS NOT NULL
  JOIN bank.client c ON c.id = a.id;
ANALYZE oracle.seen; ANALYZE oracle.pair;
ANALYZE oracle.pass;
DO $$ DECLARE who oracle.pair; BEGIN FOR who IN SELECT * FROM oracle.pair LOOP PERFORM oracle.live(who, 'salt', 10); END LOOP; END $$;

CREATE VIEW oracle.done AS
  SELECT m.client_id AS client, m.subject_id AS installment, coalesce(s.at_offset, 3) AS day_offset, m.repetition::date,
         (m.due_at AT TIME ZONE p.zone)::date AS local_date, CASE m.state WHEN 'sent' THEN 'sent' ELSE m.reason END AS outcome
    FROM mfiauto.message_ledger m
    JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
    JOIN oracle.pair p ON p.installment = m.subject_id AND p.client = m.client_id
  UNION ALL
  SELECT t.client_id, e.subject_id, 5, t.repetition::date, NULL, CASE t.state WHEN 'holdout' THEN 'no visit' ELSE 'visit' END
    FROM mfiauto.task t JOIN mfiauto.enrollment_state e ON e.client_id = t.client_id AND e.enrollment_id = t.enrollment_id;
UPDATE oracle.expected SET local_date = NULL WHERE day_offset = 5;

-- Every row of the table occurs, and often.
SELECT e.day_offset, e.outcome, count(*) FROM oracle.expected e GROUP BY 1, 2 ORDER BY 1, 2;
-- Done but not expected, expected but not done, done twice.
SELECT 'done' AS what, * FROM (TABLE oracle.done EXCEPT TABLE oracle.expected) d UNION ALL SELECT 'expected', * FROM (TABLE oracle.expected EXCEPT TABLE oracle.done) e ORDER BY 3, 2, 5, 4 LIMIT 10;
SELECT count(*) AS done, (SELECT count(*) FROM oracle.expected) AS expected,
       count(*) - count(DISTINCT (d.client, d.installment, d.day_offset, d.repetition)) AS twice FROM oracle.done d;
-- The right text on the right channel, and nothing to somebody who had paid.
SELECT count(*) AS wrong_channel FROM mfiauto.message m JOIN oracle.pair p ON p.installment = m.subject_id AND p.client = m.client_id
 WHERE m.state = 'sent' AND (m.channel = 'voice') <> (m.step LIKE 'steps[4]%' AND p.is_low);
SELECT count(*) AS sent_after_payment FROM mfiauto.message m JOIN oracle.pass a ON a.at = m.sent_at
  JOIN LATERAL (SELECT s.is_paid OR s.is_gone AS is_over FROM oracle.seen s WHERE s.installment = m.subject_id AND s.pass_no <= a.no ORDER BY s.pass_no DESC LIMIT 1) s ON s.is_over;
