-- C1: 160/161, 153n, 70/71, 67n and the characters of two units give the expected parts; the cost is told before anything is sent; sender and validity are kept and passed on.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
-- The boundaries of the row, as a table anybody can check.
SELECT kind, n, p.encoding, p.units, p.parts, p.parts = t.expected AS as_expected
  FROM (VALUES ('a', 'septet', 160, 1), ('a', 'septet', 161, 2), ('a', 'septet', 306, 2), ('a', 'septet', 307, 3), ('a', 'septet', 459, 3), ('a', 'septet', 460, 4), ('a', 'septet', 1530, 10), ('a', 'septet', 1531, 11),
               ('€', 'two septets', 80, 1), ('€', 'two septets', 81, 2), ('€', 'two septets', 152, 2), ('€', 'two septets', 153, 3), ('ê', 'UCS-2', 70, 1), ('ê', 'UCS-2', 71, 2), ('ê', 'UCS-2', 134, 2), ('ê', 'UCS-2', 135, 3),
               ('ê', 'UCS-2', 670, 10), ('ê', 'UCS-2', 671, 11), ('🙂', 'surrogate pair', 35, 1), ('🙂', 'surrogate pair', 36, 2), ('🙂', 'surrogate pair', 66, 2), ('🙂', 'surrogate pair', 67, 3)) AS t(letter, kind, n, expected),
       LATERAL mfiauto.sms_parts(repeat(letter, n)) p;
-- Against an oracle that lays the text out part by part, on a thousand random texts around the boundaries: no pair is split.
CREATE FUNCTION lay_out(body text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  one constant text := E'@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&''()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
  two constant text := E'^{}\\[~]|€\f';
  letters text[] := string_to_array(body, NULL);
  is_gsm boolean := NOT EXISTS (SELECT FROM unnest(letters) l WHERE strpos(one || two, l) = 0);
  single integer := CASE WHEN is_gsm THEN 160 ELSE 70 END;
  room integer := CASE WHEN is_gsm THEN 153 ELSE 67 END;
  letter text;
  size integer;
  total integer := 0;
  used integer := 0;
  parts integer := 1;
BEGIN
  FOREACH letter IN ARRAY letters LOOP
    size := CASE WHEN is_gsm THEN CASE WHEN strpos(two, letter) > 0 THEN 2 ELSE 1 END ELSE CASE WHEN ascii(letter) > 65535 THEN 2 ELSE 1 END END;
    total := total + size;
    IF used + size > room THEN
      parts := parts + 1;
      used := 0;
    END IF;
    used := used + size;
  END LOOP;
  RETURN CASE WHEN total <= single THEN 1 ELSE parts END;
END $$;
SELECT setseed(0.26);
CREATE TABLE body AS
  SELECT string_agg((string_to_array(CASE WHEN kind = 1 THEN 'a|b|é|€|[|{' WHEN kind = 2 THEN 'a|ê|ç|🙂|€' ELSE 'a|ò|Ω|_|^' END, '|'))[1 + floor(random() * 5)::integer], '') AS text
    FROM (SELECT n, 1 + n % 3 AS kind, (ARRAY[60, 150, 300, 450])[1 + n / 3 % 4] + floor(random() * 22)::integer AS size FROM generate_series(1, 1000) n) t, LATERAL generate_series(1, size) s GROUP BY n;
SELECT count(*) AS texts, count(DISTINCT p.parts) > 5 AS many_parts, count(*) FILTER (WHERE p.parts <> lay_out(b.text)) AS wrong FROM body b, mfiauto.sms_parts(b.text) p;

-- Cost before sending: parts times the gateway's price, for the true text; nothing is written for it.
\set ECHO none
\i test/lib/workflow_books.sql
\set ECHO all
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"cost_per_part": 15, "currency": "XOF"}');
SELECT mfiauto.create_template('long', class => 'collection', alphabet => 'ucs2', body => '{{client.name}} ' || repeat('ê', 65), options => '{"sender": "MFI{{client.client_id}}", "validity": "6 hours"}');
SELECT p.to_address, length(p.body) AS characters, p.encoding, p.parts, p.cost, p.problems FROM mfiauto.preview_template('long', 1) p;
SELECT mfiauto.create_workflow('due', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "enter_if": "loan.status = ''active''", "steps": [{"at": "-3 days 09:00", "send": "long"}]}');
SELECT mfiauto.activate_workflow('due');
SELECT step, clients, messages, parts, cost, currency FROM mfiauto.preview_activation('due') WHERE messages > 0 ORDER BY step, on_date;
SELECT count(*) AS written FROM mfiauto.message_ledger;
-- And what was promised is what is billed.
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto.set_clock('2026-01-09 09:00+00');
SELECT messages FROM mfiauto.run_engine();
SELECT sent FROM mfiauto.run_delivery();
SELECT client_id, to_address, encoding, parts, cost, currency FROM mfiauto.message WHERE state IN ('submitted', 'sent', 'delivered') ORDER BY client_id, subject_id;
SELECT client_id, options FROM mfiauto.message_ledger WHERE sent_at IS NOT NULL ORDER BY client_id;
-- What each provider's request says of it: the text's sender in the place of the gateway's, and its time in the place of the message's; with the gateway's own where the text says nothing.
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
CREATE FUNCTION asked(preset text, message jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.url, r.headers, r.body)
    FROM contract c JOIN mfiauto.gateway_preset p USING (preset),
         mfiauto._request_of('sms', p.definition::json, (((c.content -> 'settings') - 'validity_seconds') || '{"sender": "CAISSE"}')::json, c.content -> 'secrets',
                             message || '{"to": "+221770000001", "text": "x", "message_id": 7, "key": "11111111-2222-4333-8444-555555555555"}') r
   WHERE c.preset = asked.preset $$;
SELECT c.preset, asked(c.preset, '{"options": {"sender": "MFI-2"}}') ~ 'MFI-2' AS text_s, asked(c.preset, '{"options": {"sender": "MFI-2"}}') ~ 'CAISSE' AS both, asked(c.preset, '{}') ~ 'CAISSE' AS gateway_s,
       substring(asked(c.preset, '{"expires_in": 7200, "options": {"validity": 5400}}') FROM '(?:Validity|validity|ttl)[^&,]*') AS validity,
       substring(asked(c.preset, '{"expires_in": 7200, "options": {"validity": 14400}}') FROM '(?:Validity|validity|ttl)[^&,]*') AS message_s
  FROM contract c WHERE c.content ->> 'channel' = 'sms' ORDER BY 1;
SELECT asked('twilio', '{"expires_in": 172800}') ~ 'ValidityPeriod=36000' AS no_longer_than_it_takes, asked('twilio', '{}') ~ 'Validity' AS without_an_end;
-- A sender that no network takes, and times that are none.
SELECT mfiauto.create_template('bad', body => 'x', options => '{"sender": "Caisse du Fleuve"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"sender": "Caisse!"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"sender": "CaisseFleuve"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"sender": "12345678901234567"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"sender": "Café"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"validity": "-1 hour"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"validity": "400 days"}');
SELECT mfiauto.create_template('bad', body => 'x', options => '{"valid": "6 hours"}');
SELECT count(*) AS taken FROM mfiauto.template WHERE name = 'bad';
SELECT count(mfiauto.create_template('sender_' || n, body => 'x', options => jsonb_build_object('sender', s))) AS good FROM unnest('{Caisse,MFI Fleuve,CaisseFleuv,36001,+221338200000,MFI-SN}'::text[]) WITH ORDINALITY AS t(s, n);
-- A landline takes no SMS; a number written at home is sent in full.
UPDATE bank.client SET phone = '33 821 00 01' WHERE id = 1;
UPDATE bank.client SET phone = '77 000 00 02' WHERE id = 2;
SELECT c.id, p.to_address, p.problems FROM bank.client c, mfiauto.preview_template('long', c.id) p WHERE c.id < 3 ORDER BY 1;
