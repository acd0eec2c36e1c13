-- Who is never written to: dead, closed, suspected, erased, on the suppression list; guarantors; looked up in the books at the claim.
SET client_min_messages = error;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, phone text, status text, remark jsonb);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'active');
CREATE TABLE bank.party (loan_id bigint, client_id bigint, role text);
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date, due numeric DEFAULT 1000, paid numeric DEFAULT 0);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "phone": "phone", "status": "status", "traits": "remark"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status"}');
SELECT mfiauto.bind('loan_party', 'bank.party', '{"loan_id": "loan_id", "client_id": "client_id", "role": "role"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
INSERT INTO bank.client VALUES (1, '+221770000001', 'active', NULL), (2, '+221770000002', 'active', NULL), (3, '+221770000003', 'Closed', NULL), (4, '+221770000004', 'active', '{"deceased": true}'),
  (5, '+221770000005', 'active', '{"fraud": true}'), (6, '+221770000006', 'FRAUD ', NULL), (7, '+221770000007', NULL, NULL), (8, '+221770000008', 'dormant', NULL), (9, '+221770000009', 'active', NULL);
SELECT mfiauto._set_clock('2026-01-05 08:00+00');
SELECT mfiauto.identify(9, '{"do_not_contact": true}');
-- Whatever the class.
SELECT c AS client, string_agg(DISTINCT coalesce(r.reason, 'may'), ', ') AS reasons
  FROM generate_series(1, 10) c, unnest('{security,transactional,legal,collection}'::text[]) k, mfiauto._contact_refusals(ARRAY[c::bigint], '{sms}', ARRAY[k], '{+221770000099}') r GROUP BY c ORDER BY c;
-- The institution's own list.
SELECT mfiauto.bar_status('Dormant', 'asked by the board'), mfiauto.unbar_status('closed');
SELECT mfiauto.unbar_status('closed');
SELECT mfiauto.bar_status(' ');
SELECT c AS client, coalesce(r.reason, 'may') AS reason FROM unnest('{3,8}'::bigint[]) c, mfiauto._contact_refusals(ARRAY[c], '{sms}', '{legal}', '{a}') r ORDER BY c;
SELECT kind, name, content FROM mfiauto.change_log WHERE kind = 'barred_status' ORDER BY change_id;

-- In the books when the message was made, barred when it is about to leave. A guarantor of a group's loan is not written to at all.
INSERT INTO bank.loan (id, client_id) VALUES (11, 1), (12, 2), (20, NULL);
INSERT INTO bank.party VALUES (20, 7, 'member'), (20, 8, 'guarantor');
INSERT INTO bank.installment VALUES (101, 11, '2026-01-08'), (102, 12, '2026-01-08'), (103, 20, '2026-01-08');
SELECT mfiauto.create_template('due', channel => 'sms', class => 'collection', body => 'Bonjour');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [{"at": "-3 days 09:00", "send": "due"}]}') > 0 AS made;
SELECT mfiauto.activate_workflow('due');
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT messages FROM mfiauto.run_engine();
UPDATE bank.client SET status = 'deceased' WHERE id = 2;
SELECT claimed, sent, suppressed FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message ORDER BY client_id;

-- The list of a number: by channel, or for all that goes by telephone; whoever has the number.
SELECT mfiauto.suppress_address('sms', '+221 77 111 11 11', 'wrong number'), mfiauto.suppress_address('phone', '77 222 22 22', 'complaint');
SELECT channel, address, coalesce(r.reason, 'may') AS reason
  FROM unnest('{sms,voice,whatsapp,email}'::text[]) channel, unnest('{+221771111111,+221772222222}'::text[]) address, mfiauto._contact_refusals('{1}', ARRAY[channel], '{security}', ARRAY[address]) r ORDER BY address, channel;
SELECT mfiauto.unsuppress_address('phone', '+221772222222');
SELECT mfiauto.unsuppress_address('phone', '+221772222222');
