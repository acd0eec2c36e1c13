-- One claim of several messages of one client: of those that may leave so many do as the cap allows, and what does not leave for another reason takes nobody's place; a
-- holiday that is added while a message waits, or is on its way and comes back, counts at its next claim.
\set VERBOSITY terse
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
\i test/lib/engine_books.sql
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', currency => 'XOF');
INSERT INTO bank.client SELECT g, 'Client ' || g, '+2217700' || lpad(g::text, 5, '0'), 'Africa/Dakar', 'high' FROM generate_series(1, 6) g;
-- Each has two loans, with an installment on the same day.
INSERT INTO bank.loan (id, client_id) SELECT 10 * g + n, g FROM generate_series(1, 6) g, generate_series(1, 2) n;
INSERT INTO bank.installment SELECT 100 * g + n, 10 * g + n, 1, '2026-01-15' FROM generate_series(1, 6) g, generate_series(1, 2) n;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "exit_if": "installment.amount_paid >= installment.amount_due",
  "steps": [{"at": "-3 days 09:00", "send": "late", "channels": ["sms"]}]}') > 0 AS made;
SELECT mfiauto.set_policy(class => 'collection', cap_count => 1, cap_days => 2);
RESET client_min_messages;
SELECT mfiauto.set_clock('2026-01-09 09:00+00');
SELECT mfiauto.activate_workflow('w');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-12 09:00+00');
SELECT messages FROM mfiauto.run_engine();
CREATE VIEW pg_temp.story AS
  SELECT m.client_id, string_agg(concat_ws(' ', m.subject_id, m.state, m.reason, CASE WHEN m.state = 'queued' THEN to_char(m.due_at, 'DD HH24:MI') END), ', ' ORDER BY m.subject_id) AS messages
    FROM mfiauto.message m GROUP BY 1 ORDER BY 1;
-- 1 pays the first, 2 the second, 3 both; the amount due of the first of 4 is not known.
UPDATE bank.installment SET paid = due WHERE id IN (101, 202, 301, 302);
UPDATE bank.installment SET due = NULL WHERE id = 401;
SELECT mfiauto.opt_out(5, 'sms');
SELECT claimed, sent, suppressed, deferred FROM mfiauto.run_delivery();
SELECT * FROM pg_temp.story;

-- Made in the morning; then the day is declared a holiday. What was claimed by then and comes back is looked at like the rest.
SELECT mfiauto.drop_policy('*', 'collection');
INSERT INTO bank.installment SELECT 100 * g + 3, 10 * g + 1, 2, '2026-02-13' FROM generate_series(1, 2) g;
SELECT mfiauto.set_clock('2026-02-09 09:00+00');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-02-10 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT count(*) AS claimed FROM mfiauto._claim_messages('box', 'sms', '{}', 1, pg_backend_pid(), 60, '{}') c WHERE c.message_id IS NOT NULL;
INSERT INTO mfiauto.holiday VALUES ('SN', '2026-02-10', 'mourning');
SELECT mfiauto._requeue_messages(array_agg(o.client_id), array_agg(o.message_id), '{0}', '{f}', '{f}', '{f}', '{null}') FROM mfiauto.outbox o WHERE o.lease_until IS NOT NULL;
SELECT claimed, sent, suppressed, deferred FROM mfiauto.run_delivery();
SELECT client_id, subject_id, state, reason FROM mfiauto.message WHERE subject_id IN (103, 203) ORDER BY 1;
