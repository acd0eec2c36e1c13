-- Letters that come back: bounces of several mail servers, delays, complaints, opt-outs by mail, automatic answers, people; and bytes that are no letter.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
CREATE FUNCTION pg_temp.letter(text) RETURNS bytea LANGUAGE sql AS $$ SELECT convert_to(replace(ltrim($1, E'\n'), E'\n', E'\r\n'), 'UTF8') $$;
SELECT mfiauto.create_gateway('post', 'email', 'sandbox'), mfiauto.create_gateway('sms', 'sms', 'sandbox');
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, to_address, idempotency_key)
SELECT i, mfiauto.now(), mfiauto.now(), mfiauto.now(), 'sent', 'marketing', 'email', 'post', 'client' || i || '@there.example', ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid
  FROM generate_series(1, 12) i ORDER BY i;
-- What comes back names a message by its reference: message_id and key.
CREATE FUNCTION pg_temp.reference(client bigint) RETURNS text LANGUAGE sql AS $$
  SELECT m.message_id || '-' || m.idempotency_key FROM mfiauto.message_ledger m WHERE m.client_id = client $$;
-- The least that a report of a delivery is.
CREATE FUNCTION pg_temp.report(fields text, reference text DEFAULT 'REF') RETURNS text LANGUAGE sql AS $$ SELECT format($m$
Return-Path: <>
To: bounce+%s@b.mfi.example
Content-Type: multipart/report; report-type=delivery-status; boundary=xx

--xx
Content-Type: message/delivery-status
%s--xx--
$m$, reference, fields) $$;
CREATE TEMP TABLE sample (name text, client bigint, raw text);
INSERT INTO sample VALUES
-- Postfix: to the VERP address, failed, unknown user.
('postfix', 1, $m$
Return-Path: <>
Delivered-To: bounce+REF@b.mfi.example
From: MAILER-DAEMON@mail.mfi.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounce+REF@b.mfi.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4XyZ.1767603600/mail.mfi.example"
Message-Id: <20260105090000.4XyZ@mail.mfi.example>

This is a MIME-encapsulated message.

--4XyZ.1767603600/mail.mfi.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--4XyZ.1767603600/mail.mfi.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.mfi.example
X-Postfix-Queue-ID: 4XyZ
Arrival-Date: Mon,  5 Jan 2026 09:00:00 +0000 (UTC)

Final-Recipient: rfc822; client1@there.example
Original-Recipient: rfc822;client1@there.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.there.example
Diagnostic-Code: smtp; 550 5.1.1 <client1@there.example> no such user

--4XyZ.1767603600/mail.mfi.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

From: news@mfi.example
Message-ID: <REF@mfi.example>

--4XyZ.1767603600/mail.mfi.example--
$m$),
-- Mailbox full, at last; found by the Message-ID of the letter that it brings back, the address does not tell.
('full', 2, $m$
Return-Path: <>
From: postmaster@there.example
To: news@mfi.example
Content-Type: multipart/report; report-type="delivery-status"; boundary=xx

--xx
Content-Type: text/plain

quota
--xx
Content-Type: message/delivery-status

Reporting-MTA: dns; there.example

Final-Recipient: rfc822; client2@there.example
Action: failed
Status: 5.2.2

--xx
Content-Type: message/rfc822

From: news@mfi.example
Subject: Offre
Message-ID:
 <REF@mfi.example>

text
--xx--
$m$),
-- A failure told by a bare 550: the enhanced status is not known, the address is dead.
('bare', 3, pg_temp.report($m$Content-Transfer-Encoding: base64

UmVwb3J0aW5nLU1UQTogZG5zOyBhCgpGaW5hbC1SZWNpcGllbnQ6IHJmYzgyMjsgeEB5CkFjdGlvbjogZmFpbGVkClN0YXR1czogNS4wLjAKRGlhZ25vc3RpYy1Db2RlOiBzbXRwOyA1NTAgdW5rbm93bgo=
$m$)),
-- Not yet delivered: no failure.
('delay', 4, pg_temp.report($m$
Reporting-MTA: dns; a

Action: delayed
Status: 4.4.1
Will-Retry-Until: Fri, 9 Jan 2026 09:00:00 +0000
$m$)),
-- Given up after days of trying: the message failed, the address may live.
('given up', 5, pg_temp.report($m$
Reporting-MTA: dns; a

Action: failed
Status: 4.4.1
$m$)),
-- In no standard form (qmail).
('qmail', 6, $m$
Return-Path: <>
From: MAILER-DAEMON@there.example
To: bounce+REF@b.mfi.example
Subject: failure notice

Hi. This is the qmail-send program at there.example.
<client6@there.example>:
Sorry, no mailbox here by that name. (#5.1.1)
--- Below this line is a copy of the message.
$m$),
-- A complaint by way of a feedback loop.
('complaint', 7, $m$
From: <abuse@there.example>
To: fbl@mfi.example
Subject: FW: Offre
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain

This is an email abuse report.
--part
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: There/1.0
Version: 1
Original-Mail-From: <bounce+REF@b.mfi.example>

--part
Content-Type: message/rfc822

From: news@mfi.example
Message-ID: <REF@mfi.example>

Offre
--part--
$m$),
-- One who opts out by mail.
('unsubscribe', 8, $m$
From: Awa <client8@there.example>
To: unsubscribe+REF@b.mfi.example
Subject: unsubscribe
Message-ID: <u1@there.example>

$m$),
-- An absent one's mail program.
('holiday', 9, $m$
From: client9@there.example
To: news@mfi.example
Auto-Submitted: auto-replied
In-Reply-To: <REF@mfi.example>
Subject: Re: Offre

Je suis en vacances. STOP.
$m$),
-- A person answers: in French, quoted-printable, with our letter below.
('answer', 10, $m$
From: =?utf-8?Q?Am=C3=ADna?= <Client10@There.example>
To: MFI <news@mfi.example>
Subject: =?UTF-8?B?UmU6IFZvdHJlIHByw6p0?= =?iso-8859-1?Q?_d=E9bloqu=E9?=
Message-ID: <a1@there.example>
In-Reply-To: <REF@mfi.example>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_b"

--=_b
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

Merci, je suis d=C3=A9=
j=C3=A0 venue.

Le 5 janv. 2026, MFI <news@mfi.example> a =C3=A9crit :
> Votre pr=C3=AAt
--=_b
Content-Type: text/html

<p>Merci</p>
--=_b--
$m$),
('stop', 11, $m$
From: client11@there.example
To: news@mfi.example
Subject: STOP
Content-Type: text/html; charset=windows-1252

<html><style>p { color: red }</style><body><p>&nbsp;</p></body></html>
$m$),
-- A server that confirms.
('delivered', 12, pg_temp.report($m$
Reporting-MTA: dns; a

Action: delivered
Status: 2.0.0
$m$)),
-- Nobody's: a reference with another key.
('forged', 5, pg_temp.report($m$
Action: failed
Status: 5.1.1
$m$, '5-00000000-0000-4000-8000-0000000000ff')),
('not spam', 5, $m$
From: <abuse@there.example>
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: message/feedback-report

Feedback-Type: not-spam
Original-Mail-From: <bounce+REF@b.mfi.example>
--part--
$m$);
UPDATE sample SET raw = replace(raw, 'REF', pg_temp.reference(client)) WHERE raw LIKE '%REF%';

-- What each letter says.
SELECT s.name, p.kind, p.reference = pg_temp.reference(s.client) AS is_ours, p.is_unsubscribe AS opts_out, p.status, p.diagnostic, p.from_address, p.subject, p.body
  FROM sample s, mfiauto._parse_mail(pg_temp.letter(s.raw)) p ORDER BY s.client, s.name;
-- With bare line feeds it says the same, and with a mailbox file's first line.
SELECT s.name FROM sample s, mfiauto._parse_mail(pg_temp.letter(s.raw)) a, mfiauto._parse_mail(convert_to(ltrim(s.raw, E'\n'), 'UTF8')) b,
       mfiauto._parse_mail(convert_to('From x Mon Jan  5 09:00:00 2026' || s.raw, 'UTF8')) c
 WHERE a IS DISTINCT FROM b OR a IS DISTINCT FROM c;

-- What it does.
SELECT s.name, mfiauto.receive_mail('post', pg_temp.letter(s.raw)) AS result FROM sample s WHERE s.name NOT IN ('answer', 'stop') ORDER BY s.client, s.name;
SELECT client_id, state, reason FROM mfiauto.message ORDER BY client_id;
-- Dead addresses alone are suppressed.
SELECT i AS client, x.reason FROM generate_series(1, 12) i JOIN mfiauto.suppression x ON x.channel = 'email' AND x.address_hash = mfiauto._address_hash('email', 'client' || i || '@there.example') ORDER BY i;
SELECT client_id, channel, purpose, granted, reason, source FROM mfiauto.consent ORDER BY client_id;
SELECT client_id, kind FROM mfiauto.interaction_log ORDER BY client_id;
SELECT client_id, status, state, applied, error FROM mfiauto.receipt ORDER BY client_id, status;
-- Again: nothing changes.
SELECT DISTINCT mfiauto.receive_mail('post', pg_temp.letter(s.raw)) AS result FROM sample s WHERE s.name NOT IN ('answer', 'stop', 'holiday', 'not spam');
SELECT count(*) FROM mfiauto.receipt;
SELECT count(*) FROM mfiauto.consent;
-- People's letters are inbound messages, once each.
SELECT s.name, mfiauto.receive_mail('post', pg_temp.letter(s.raw)) AS result FROM sample s, generate_series(1, 2) WHERE s.name IN ('answer', 'stop') ORDER BY 1, 2;
SELECT channel, kind, from_address, body, keyword, detail - 'message_id' AS detail FROM mfiauto.inbound_log ORDER BY from_address;
-- The bounce that comes before our own record of the letter's leaving.
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, state, class, channel, gateway, to_address)
VALUES (20, mfiauto.now(), mfiauto.now(), 'queued', 'marketing', 'email', NULL, 'client20@there.example');
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, gateway, lease_until)
SELECT 20, m.message_id, m.created_at, 'email', 1, m.due_at, 'post', mfiauto.now() + interval '1 minute' FROM mfiauto.message_ledger m WHERE m.client_id = 20;
SELECT mfiauto.receive_mail('post', pg_temp.letter(replace(s.raw, pg_temp.reference(1), pg_temp.reference(20)))) FROM sample s WHERE s.name = 'postfix';
SELECT client_id FROM mfiauto._settle_messages('{20}', ARRAY[split_part(pg_temp.reference(20), '-', 1)::bigint], '{sent}', '{NULL}');
SELECT state, reason FROM mfiauto.message WHERE client_id = 20;

-- Wrong use.
SELECT mfiauto.receive_mail('nobody', '');
SELECT mfiauto.receive_mail('sms', '');
SELECT mfiauto.receive_mail('post', NULL);
-- No letters at all: cut, mangled, nested without end, huge.
SELECT DISTINCT mfiauto.receive_mail('post', b) FROM (VALUES (''::bytea), ('\x00'), ('\xff00fe'), ('Content-Type: multipart/mixed; boundary=""'), ('\x0a0a0a'),
  (convert_to(repeat('Content-Type: multipart/mixed; boundary=a' || E'\n\n--a\n', 5000), 'UTF8')), (convert_to(repeat('X', 2000000), 'UTF8')),
  (convert_to('Subject: =?utf-8?B?' || repeat('=?', 20000), 'UTF8')), (convert_to('From: ' || repeat('<', 20000) || E'\n ' || repeat('1-', 20000), 'UTF8'))) v(b);
SELECT count(DISTINCT p.kind) BETWEEN 1 AND 6 AS survived
  FROM sample s, generate_series(1, 40) n,
       LATERAL (SELECT pg_temp.letter(s.raw) AS whole) w, LATERAL (SELECT length(w.whole) * n / 41 AS cut) c,
       LATERAL (VALUES (substring(w.whole FOR c.cut)), (substring(w.whole FROM c.cut)), (set_byte(w.whole, c.cut, n * 6)), (w.whole || substring(w.whole FROM c.cut))) v(b),
       mfiauto._parse_mail(v.b) p;
DROP EXTENSION mfiauto CASCADE;
