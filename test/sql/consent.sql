-- Who may be written to: consent, suppression, the institution, policies, holidays, and the check of a claim.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SET client_min_messages = notice;
SELECT mfiauto._set_clock('2026-03-10 09:00+00');

-- The institution.
SELECT mfiauto.set_institution(name => 'Caisse du Fleuve', country => 'SN', time_zone => 'africa/dakar', locale => 'fr_sn', currency => 'XOF', grace_days => 2);
SELECT * FROM mfiauto.institution;
SELECT mfiauto.set_institution(grace_days => 3);
SELECT name, grace_days FROM mfiauto.institution;
SELECT mfiauto.set_institution(time_zone => 'Africa/Dakkar');
SELECT mfiauto.set_institution(time_zone => 'XYZ3');
SELECT mfiauto.set_institution(country => 'sn');
SELECT mfiauto.set_institution(country => 'ZZ');
SELECT mfiauto.set_institution(currency => 'CFA');
SELECT mfiauto.set_institution(locale => '*');
SELECT mfiauto.set_institution(locale => 'français');
SELECT mfiauto.set_institution(grace_days => 91);
SELECT mfiauto.set_institution(name => E'two\nlines');

-- Policies: a row begins as what held so far; the country weighs more than the class.
SELECT mfiauto.set_policy('SN', contact_from => '07:30', break_weekday => 5, break_from => '12:30', break_until => '15:00');
SELECT mfiauto.set_policy('SN', 'marketing', weekdays => '{1,2,3,4,5}', cap_count => 1, cap_days => 7, min_gap => '2 days', barred_in_arrears => true);
SELECT mfiauto.set_policy(class => 'education', cap_count => 0);
SELECT country, class, contact_from, contact_until, weekdays, break_weekday AS day, break_from, cap_count, cap_days, min_gap, barred_in_arrears AS barred
  FROM mfiauto.policy ORDER BY country, class;
SELECT c AS country, k AS class, p.country || ' ' || p.class AS policy
  FROM unnest('{SN,ML}'::text[]) c, unnest('{marketing,education,security}'::text[]) k, mfiauto._policy_for(c, k) p ORDER BY 1, 2;
SELECT mfiauto.set_policy('SN', 'marketing', break_weekday => 0, min_gap => '0');
SELECT break_weekday, break_from, min_gap FROM mfiauto._policy_for('SN', 'marketing');
SELECT mfiauto.set_policy('XX');
SELECT mfiauto.set_policy('SN', 'spam');
SELECT mfiauto.set_policy('SN', NULL);
SELECT mfiauto.set_policy(NULL);
SELECT mfiauto.set_policy(contact_from => '20:00');
SELECT mfiauto.set_policy(weekdays => '{0}');
SELECT mfiauto.set_policy(weekdays => '{}');
SELECT mfiauto.set_policy(break_weekday => 5);
SELECT mfiauto.set_policy('SN', break_until => '12:00');
SELECT mfiauto.set_policy(class => 'education', cap_count => 3);
SELECT mfiauto.set_policy(cap_days => 0);
SELECT mfiauto.set_policy(min_gap => '-1 hour');
SELECT mfiauto.drop_policy('*', '*');
SELECT mfiauto.drop_policy('ML', 'marketing');
SELECT mfiauto.drop_policy('*', 'education');

SELECT mfiauto.set_holiday('2026-04-04', 'Fête de l''indépendance', 'SN');
SELECT mfiauto.set_holiday('2026-04-04', 'Indépendance', 'SN');
SELECT mfiauto.set_holiday('2026-05-01', 'Fête du travail');
SELECT * FROM mfiauto.holiday ORDER BY on_date;
SELECT mfiauto.set_holiday('infinity', 'never');
SELECT mfiauto.set_holiday('2026-05-01', ' ');
SELECT mfiauto.drop_holiday('2026-05-01');
SELECT mfiauto.drop_holiday('2026-05-01');

-- The check, one row an element. Client 1 sms collection, and so on.
CREATE FUNCTION refusal(client bigint, channel text, class text, address text DEFAULT '+221770000001') RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(reason, 'allowed') FROM mfiauto._contact_refusals(ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY[$4])
$$;
SELECT k.class, refusal(1, 'sms', k.class) FROM mfiauto.message_class k ORDER BY k.priority;
-- Opt-in by channel and purpose; the newest row that fits decides; security always passes.
SELECT mfiauto.opt_in(1, 'sms', 'marketing', source => 'branch form', text_version => 'v2', proof => '{"form": 17}');
SELECT refusal(1, 'sms', 'marketing') AS sms, refusal(1, 'voice', 'marketing') AS voice, refusal(1, 'sms', 'education') AS education;
SELECT mfiauto.opt_out(1, reason => 'said so at the branch');
SELECT k.class, refusal(1, 'sms', k.class) FROM mfiauto.message_class k ORDER BY k.priority;
SELECT mfiauto.opt_in(1, 'sms');
SELECT k.class, refusal(1, 'sms', k.class) AS sms, refusal(1, 'voice', k.class) AS voice FROM mfiauto.message_class k ORDER BY k.priority;
SELECT mfiauto.opt_out(1, 'sms', 'collection');
SELECT refusal(1, 'sms', 'collection') AS collection, refusal(1, 'sms', 'marketing') AS marketing, refusal(1, 'sms', NULL) AS no_class;
SELECT channel, purpose, granted, reason, source, text_version, proof, recorded_by FROM mfiauto.consent ORDER BY consent_id;
SELECT mfiauto.opt_out(1, 'pigeon');
SELECT mfiauto.opt_out(1, 'sms', 'spam');
SELECT mfiauto.opt_out(1, 'sms', 'security');
SELECT mfiauto.opt_out(NULL);

-- Suppression holds for an address however it is written, for every class; the list tells nobody the address.
SELECT mfiauto.suppress_address('sms', '77 123 45 67', 'wrong number');
SELECT mfiauto.suppress_address('sms', '+221 77 123 45 67', 'complaint');
SELECT mfiauto.suppress_address('email', 'Awa@Example.org', 'bounced');
SELECT channel, length(address_hash), reason FROM mfiauto.suppression ORDER BY channel;
SELECT refusal(9, 'sms', 'security', '+221771234567') AS sms, refusal(9, 'voice', 'security', '+221771234567') AS voice, refusal(9, 'email', 'legal', 'awa@example.org') AS email;
SELECT mfiauto.suppress_address('sms', 'not a number 77', 'x');
SELECT mfiauto.suppress_address('email', E'a@b.org\r\nBcc: c@d.org', 'x');
SELECT mfiauto.suppress_address('sms', '771234568', ' ');
SELECT mfiauto.unsuppress_address('sms', '771234567');
SELECT mfiauto.unsuppress_address('sms', '771234567');
SELECT refusal(9, 'sms', 'security', '+221771234567');

-- A staging server's list.
SET mfiauto.only_recipients = '+221770000001, Awa@Test.org';
SELECT refusal(9, 'sms', 'security') AS listed, refusal(9, 'sms', 'security', '+221770000002') AS other, refusal(9, 'email', 'security', 'awa@test.org') AS email;
RESET mfiauto.only_recipients;

-- Arrears bar marketing here: past the grace days, own or as a member of a group.
SELECT mfiauto.drop_policy('SN', '*');
SELECT mfiauto.opt_in(c, 'sms') FROM generate_series(20, 26) c;
INSERT INTO mfiauto.subject_state (role, subject_id, client_id, loan_id, amount, paid, on_date) VALUES
  ('installment', 1, 20, 1, 100, 40, '2026-03-06'),      -- late by more than 3 days
  ('installment', 2, 21, 2, 100, 40, '2026-03-07'),      -- within the grace
  ('installment', 3, 22, 3, 100, 100, '2026-01-01'),     -- paid
  ('installment', 4, NULL, 4, 100, NULL, '2026-01-01');  -- a group's
INSERT INTO mfiauto.party_state (loan_id, client_id, role, until) VALUES (4, 23, 'borrower', NULL), (4, 24, 'borrower', '2026-02-01'), (4, 25, 'borrower', '2027-01-01');
SELECT c AS client, refusal(c, 'sms', 'marketing') AS marketing, refusal(c, 'sms', 'collection') AS collection FROM generate_series(20, 25) c;

-- Caps count what was sent in the window, what is in flight, and the rows before in the set.
INSERT INTO mfiauto.message_ledger (client_id, message_id, created_at, due_at, sent_at, state, class, idempotency_key)
SELECT v.client, v.id, mfiauto.now() - v.ago, mfiauto.now() - v.ago, CASE WHEN v.is_sent THEN mfiauto.now() - v.ago END, CASE WHEN v.is_sent THEN 'sent' ELSE 'queued' END, v.class, gen_random_uuid()
  FROM (VALUES (30, 1, interval '1 hour', true, 'collection'), (30, 2, '2 hours', true, 'collection'), (30, 3, '3 hours', true, 'collection'),
               (31, 4, '1 hour', true, 'security'), (31, 5, '1 hour', true, 'transactional'), (31, 6, '2 hours', true, 'collection'), (31, 7, '25 hours', true, 'collection'),
               (32, 8, '1 hour', true, 'collection'), (32, 9, '1 minute', false, 'collection'), (32, 10, '1 minute', false, 'collection')) AS v(client, id, ago, is_sent, class);
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, lease_until)
SELECT l.client_id, l.message_id, l.created_at, 'sms', 3, l.due_at, CASE l.message_id WHEN 9 THEN now() END FROM mfiauto.message_ledger l WHERE l.state = 'queued';
SELECT c AS client, refusal(c, 'sms', 'collection') AS collection, refusal(c, 'sms', 'legal') AS legal FROM generate_series(30, 32) c;
SELECT * FROM mfiauto._contact_refusals('{31,31,31,31,31,33}', '{sms,sms,sms,sms,sms,sms}', '{collection,collection,security,collection,collection,collection}', '{a,a,a,a,a,a}');
-- The set's own claims do not count against it: two were had, one is being claimed.
SELECT * FROM mfiauto._contact_refusals('{32,32,32}', '{sms,sms,sms}', '{collection,collection,collection}', '{a,a,a}', NULL, '{9,10,11}');
SELECT mfiauto.set_policy(class => 'collection', cap_count => 0, min_gap => '3 hours');
SELECT * FROM mfiauto._contact_refusals('{30,31,34,34}', '{sms,sms,sms,sms}', '{collection,collection,collection,collection}', '{a,a,a,a}');
SELECT mfiauto._set_clock('2026-03-10 13:00+00');
SELECT * FROM mfiauto._contact_refusals('{30,31,34,34}', '{sms,sms,sms,sms}', '{collection,collection,collection,collection}', '{a,a,a,a}');
-- Reasons that the ledger does not document would be refused by its readers.
SELECT r FROM unnest('{suppressed,opted_out,no_consent,not_on_list,in_arrears,capped,empty_text}'::text[]) r
 WHERE NOT EXISTS (SELECT FROM mfiauto.message_reason m WHERE m.reason = r);
