-- Telephone numbers as people write them: E.164, or the reason why not.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mfiauto;

-- One number, as it stands in registers and spreadsheets.
SELECT phone, country, (mfiauto.normalize_phone(phone, country)).*
FROM (VALUES
  (1, '77 123 45 67', 'SN'), (2, '77.123.45.67', 'SN'), (3, '77-123-45-67', 'sn'), (4, '77/123/45/67', 'SN'),
  (5, '(77) 1234567', 'SN'), (6, '+221 77 123 45 67', 'SN'), (7, '00221771234567', 'SN'), (8, '(+221) 771234567', NULL),
  (9, '221771234567', 'SN'), (10, '+221771234567', 'FR'), (11, E'\t77 123 45 67 ', 'SN'),
  (12, '06 12 34 56 78', 'FR'), (13, '+33 (0)6 12 34 56 78', 'FR'), (14, '0712 345678', 'KE'), (15, '712345678', 'KE'),
  (16, '+254 0712 345678', 'KE'), (17, '0712345678', 'CI'), (18, '(202) 555-0123', 'US'), (19, '1-202-555-0123', 'US'),
  (20, '0801 234 5678', 'NG'), (21, '0244 123 456', 'GH'), (22, '01 97 12 34 56', 'BJ'), (23, '06 612 34 56', 'CG')
) AS v (n, phone, country) ORDER BY n;

-- Foreign signs: no-break spaces, dashes, marks of direction, Arabic digits.
SELECT (mfiauto.normalize_phone(phone, 'SN')).*
FROM unnest(ARRAY[U&'77\00A0123\202F45\00A067', U&'77\2013123\201145\221267', U&'\202A+221 77 123 45 67\202C',
  U&'\0667\0667 \0661\0662\0663 \0664\0665 \0666\0667', U&'\FEFF771234567', U&'\06F7\06F7\06F1\06F2\06F3\06F4\06F5\06F6\06F7']) AS phone;

-- Landlines are recognized: they take no SMS.
SELECT phone, country, (mfiauto.normalize_phone(phone, country)).*
FROM (VALUES (1, '33 821 00 00', 'SN'), (2, '27 20 12 34 56', 'CI'), (3, '25 30 61 00', 'BF'), (4, '020 1234567', 'KE'),
  (5, '01 42 68 53 00', 'FR'), (6, '22 90 12 34', 'TG'), (7, '2232-1234', 'GT')) AS v (n, phone, country) ORDER BY n;

-- Refused.
SELECT phone, country, (mfiauto.normalize_phone(phone, country)).*
FROM (VALUES
  (1, NULL, 'SN'), (2, '', 'SN'), (3, ' - ', 'SN'), (4, '+', 'SN'), (5, 'neant', 'SN'), (6, '77 123 45 6O', 'SN'),
  (7, '77 123 45 67 (Awa)', 'SN'), (8, '*144#', 'SN'), (9, '++221771234567', 'SN'), (10, 'tel:+221771234567', 'SN'),
  (11, '77 123 45 67 / 78 123 45 67', 'SN'), (12, '77 123 45 67 / 78', 'SN'), (13, '771234567;781234567', 'SN'),
  (14, '771234567, 781234567', 'SN'), (15, '771234567 +221781234567', 'SN'), (16, '771234567 781234567', 'SN'),
  (17, '77 123 45 67 - 78 123 45 67', 'SN'), (18, '+221771234567 781234567', 'SN'), (19, E'771234567\n781234567', 'SN'),
  (20, '77 123 45', 'SN'), (21, '+221 77 123 45', 'SN'), (22, '+1 202', 'SN'), (23, '771234567890', 'SN'),
  (24, '0771234567', 'SN'), (25, repeat('1', 60), 'SN'), (26, '12 345 67 89', 'SN'), (27, '73 123 45 67', 'SN'),
  (28, '77 12 34 56', 'CI'), (29, '07 12 34 56', 'CI'), (30, '+225 07 12 34 56', NULL), (31, '97 12 34 56', 'BJ'),
  (32, '+52 1 55 1234 5678', NULL), (33, '0162 123 4567', 'VN'), (34, '771234567', NULL), (35, '771234567', 'XX'),
  (36, '771234567', ''), (37, '00', 'SN'), (38, '+0 123 456 789', 'SN'), (39, '112 555 0123', 'US'), (40, '67 12 34 56', 'CM'), (41, '77 12 34 56', 'CM'), (42, '0803 123 45', 'NG'),
  (43, '0470 12 34 5', 'BE')
) AS v (n, phone, country) ORDER BY n;

-- A trailing separator is no second number.
SELECT (mfiauto.normalize_phone(phone, 'SN')).* FROM unnest(ARRAY['77 123 45 67 /', '77 123 45 67;', '77 123 45 67.', E'77 123 45 67\n']) AS phone;

-- Countries whose plan is not known here: 8 to 15 digits after the plus.
SELECT phone, (mfiauto.normalize_phone(phone, 'SN')).*
FROM unnest(ARRAY['+7 912 345 67 89', '0061 412 345 678', '+7 912 345', '+7 912 345 6', '+712345678901234', '+7123456789012345']) AS phone;

-- One mobile of each listed country: as written at home, with +, with 00,
-- and with the calling code alone, it is the same number.
CREATE TEMP TABLE mobile (country text, national text, e164 text);
INSERT INTO mobile VALUES
  ('SN', '771234567', '+221771234567'), ('CI', '0101234567', '+2250101234567'), ('BF', '70123456', '+22670123456'),
  ('ML', '76123456', '+22376123456'), ('BJ', '0197123456', '+2290197123456'), ('TG', '90123456', '+22890123456'),
  ('NE', '96123456', '+22796123456'), ('GN', '621123456', '+224621123456'), ('GW', '955123456', '+245955123456'),
  ('GM', '3012345', '+2203012345'), ('MR', '22123456', '+22222123456'), ('GH', '0241234567', '+233241234567'),
  ('NG', '08031234567', '+2348031234567'), ('CV', '9912345', '+2389912345'), ('SL', '076123456', '+23276123456'),
  ('LR', '0770123456', '+231770123456'), ('CM', '671234567', '+237671234567'), ('TD', '66123456', '+23566123456'),
  ('GA', '077123456', '+24177123456'), ('CG', '061234567', '+242061234567'), ('CD', '0812345678', '+243812345678'),
  ('RW', '0788123456', '+250788123456'), ('BI', '79123456', '+25779123456'), ('KE', '0712345678', '+254712345678'),
  ('UG', '0772123456', '+256772123456'), ('TZ', '0754123456', '+255754123456'), ('ET', '0911234567', '+251911234567'),
  ('MW', '0991234567', '+265991234567'), ('ZM', '0977123456', '+260977123456'), ('MZ', '841234567', '+258841234567'),
  ('MG', '0341234567', '+261341234567'), ('ZA', '0821234567', '+27821234567'), ('MA', '0661234567', '+212661234567'),
  ('TN', '20123456', '+21620123456'), ('DZ', '0551234567', '+213551234567'), ('EG', '01012345678', '+201012345678'),
  ('IN', '09812345678', '+919812345678'), ('BD', '01712345678', '+8801712345678'), ('PK', '03012345678', '+923012345678'),
  ('LK', '0712345678', '+94712345678'), ('NP', '9841234567', '+9779841234567'), ('PH', '09171234567', '+639171234567'),
  ('ID', '081234567890', '+6281234567890'), ('VN', '0912345678', '+84912345678'), ('KH', '012345678', '+85512345678'),
  ('MM', '0912345678', '+95912345678'), ('FR', '0612345678', '+33612345678'), ('BE', '0470123456', '+32470123456'),
  ('ES', '612345678', '+34612345678'), ('PT', '912345678', '+351912345678'), ('IT', '3123456789', '+393123456789'),
  ('DE', '015123456789', '+4915123456789'), ('GB', '07400123456', '+447400123456'), ('NL', '0612345678', '+31612345678'),
  ('CH', '0781234567', '+41781234567'), ('US', '2025550123', '+12025550123'), ('CA', '5065550123', '+15065550123'),
  ('MX', '5512345678', '+525512345678'), ('GT', '51234567', '+50251234567'), ('HN', '91234567', '+50491234567'),
  ('NI', '81234567', '+50581234567'), ('PE', '912345678', '+51912345678'), ('BO', '71234567', '+59171234567'),
  ('EC', '0991234567', '+593991234567'), ('CO', '3211234567', '+573211234567'), ('BR', '011961234567', '+5511961234567'),
  ('PY', '0961456789', '+595961456789'), ('PR', '7872345678', '+17872345678'), ('HT', '34101234', '+50934101234');
SELECT country, form, phone, (r).*
FROM mobile, LATERAL (VALUES ('home', national), ('plus', e164), ('zeros', '00' || substr(e164, 2)), ('code', substr(e164, 2))) AS f (form, phone),
  LATERAL (SELECT mfiauto.normalize_phone(phone, country)) AS n (r)
WHERE (r).e164 IS DISTINCT FROM e164 OR (r).kind <> CASE WHEN country IN ('US', 'CA', 'PR', 'MX') THEN 'unknown' ELSE 'mobile' END
ORDER BY country, form;
SELECT count(*) AS countries FROM mobile;

-- What came out goes in again. A digit lost or typed twice is another
-- number only where the plan itself has several lengths.
SELECT count(*) FILTER (WHERE (mfiauto.normalize_phone(e164, NULL)).e164 IS DISTINCT FROM e164) AS unstable,
  string_agg(country, ' ' ORDER BY country) FILTER (WHERE (mfiauto.normalize_phone(left(e164, -1), NULL)).e164 IS NOT NULL) AS shorter,
  string_agg(country, ' ' ORDER BY country) FILTER (WHERE (mfiauto.normalize_phone(e164 || '0', NULL)).e164 IS NOT NULL) AS longer
FROM mobile;

-- Random texts: a number of E.164 or a listed problem, never both, never neither.
SELECT setseed(0.99);
SELECT count(*) FILTER (WHERE (r).e164 IS NOT NULL) > 0 AS some_read, count(*) FILTER (WHERE (r).problem IS NOT NULL) > 0 AS some_refused,
  count(*) FILTER (WHERE ((r).e164 IS NULL) = ((r).problem IS NULL) OR ((r).e164 IS NULL) <> ((r).kind IS NULL)) AS unclear,
  count(*) FILTER (WHERE (r).e164 !~ '^\+[1-9][0-9]{7,14}$') AS malformed,
  count(*) FILTER (WHERE (r).problem NOT IN ('empty', 'letters', 'several_numbers', 'too_short', 'too_long', 'not_a_national_number',
    'obsolete_numbering', 'unknown_country')) AS unlisted
FROM (
  SELECT mfiauto.normalize_phone(phone, country) AS r
  FROM (
    SELECT round, string_agg((ARRAY['+', '00', '0', '77', '221', '7', '1', '5', '123', '45', ' ', '-', '/', '(', ')', ';', 'é', 'x', '٣', '225'])
      [1 + floor(random() ^ 2 * 20)::integer], '') AS phone
    FROM generate_series(1, 5000) AS round, generate_series(1, 9) AS piece
    WHERE piece <= 3 + round % 7
    GROUP BY round
  ) AS made, (VALUES ('SN'), ('CI'), ('FR'), (NULL)) AS c (country)
) AS tried;
