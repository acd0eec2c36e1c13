-- What a text costs as an SMS: the alphabet of GSM 03.38, units, parts, and
-- the transliteration that keeps French inside of it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mfiauto;

SELECT * FROM mfiauto.sms_parts('Votre prêt est prêt');
SELECT * FROM mfiauto.sms_parts('Votre échéance est là, payez 5 000 FCFA');
SELECT * FROM mfiauto.sms_parts('');
SELECT * FROM mfiauto.sms_parts(NULL);

-- The alphabet, whole: 127 characters of one septet (the escape is none), 10 of two.
SELECT encoding, units, parts, outside FROM mfiauto.sms_parts(
  E'@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&''()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà');
SELECT encoding, units, parts, outside FROM mfiauto.sms_parts(E'^{}\\[~]|€\f');
-- No other character of the first 10 000 is in it.
SELECT count(*) AS inside, sum(p.units) AS septets
FROM generate_series(1, 10000) AS i, LATERAL mfiauto.sms_parts(chr(i)) AS p
WHERE i NOT BETWEEN 55296 AND 57343 AND p.encoding = 'gsm7';

-- What is outside, each once, in order.
SELECT outside FROM mfiauto.sms_parts('ça coûte « 5 000 F » ça coûte `…` 🙂 ŋ 🙂');

-- Lengths at which a part begins.
SELECT kind, n, p.encoding, p.units, p.parts
FROM (VALUES ('a', 'gsm7'), ('ê', 'ucs2'), ('€', 'gsm7, pairs'), ('🙂', 'ucs2, pairs')) AS c (letter, kind),
  unnest(ARRAY[35, 36, 70, 71, 76, 77, 80, 81, 134, 135, 153, 160, 161, 201, 202, 306, 307, 459, 460]) AS n,
  LATERAL mfiauto.sms_parts(repeat(letter, n)) AS p
ORDER BY kind, n;

-- A pair is never split: it moves to the next part as a whole.
SELECT before, p.units, p.parts
FROM (VALUES (152), (151), (153)) AS b (before),
  LATERAL mfiauto.sms_parts(repeat('a', before) || '€' || repeat('a', 152)) AS p ORDER BY before;
SELECT before, p.units, p.parts
FROM (VALUES (66), (65), (67)) AS b (before),
  LATERAL mfiauto.sms_parts(repeat('ê', before) || '🙂' || repeat('ê', 66)) AS p ORDER BY before;

-- Against a plain reckoning in SQL that fills parts letter by letter.
CREATE FUNCTION pg_temp.reckon(body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  basic text := E'@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&''()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
  extension text := E'^{}\\[~]|€\f';
  letters text[] := string_to_array(body, NULL);
  widths integer[];
  gsm7 boolean;
  total integer;
  filled integer := 0;
  parts integer := 1;
  width integer;
BEGIN
  gsm7 := NOT EXISTS (SELECT 1 FROM unnest(letters) AS l WHERE strpos(basic || extension, l) = 0);
  widths := ARRAY(SELECT CASE WHEN gsm7 THEN CASE WHEN strpos(extension, l) > 0 THEN 2 ELSE 1 END
    WHEN octet_length(l) = 4 THEN 2 ELSE 1 END FROM unnest(letters) WITH ORDINALITY AS u (l, n) ORDER BY n);
  total := (SELECT sum(w) FROM unnest(widths) AS w);
  IF total > (CASE WHEN gsm7 THEN 160 ELSE 70 END) THEN
    FOREACH width IN ARRAY widths LOOP
      IF filled + width > (CASE WHEN gsm7 THEN 153 ELSE 67 END) THEN
        parts := parts + 1;
        filled := 0;
      END IF;
      filled := filled + width;
    END LOOP;
  END IF;
  RETURN concat_ws(' ', CASE WHEN gsm7 THEN 'gsm7' ELSE 'ucs2' END, total, parts);
END $$;

SELECT setseed(0.17);
CREATE TEMP TABLE sample AS
SELECT round, string_agg(substr(CASE WHEN round % 2 = 0 THEN 'abcé €{}|à 123Ç' ELSE 'abê€🙂ŋ ç{}é😀 12' END,
  1 + floor(random() * 14)::integer, 1), '' ORDER BY letter) AS body
FROM generate_series(1, 600) AS round, generate_series(1, 400) AS letter
WHERE letter <= 20 + round % 380
GROUP BY round;
SELECT p.encoding, count(*) > 100 AS enough, max(p.parts) > 2 AS long,
  count(*) FILTER (WHERE concat_ws(' ', p.encoding, p.units, p.parts) IS DISTINCT FROM pg_temp.reckon(body)) AS differ
FROM sample, LATERAL mfiauto.sms_parts(body) AS p GROUP BY p.encoding ORDER BY p.encoding;

-- Transliteration: the letters of French that the alphabet has stay.
SELECT mfiauto.sms_transliterate('àéèùäöüñæÆÉÇÄÖÜÑ€') = 'àéèùäöüñæÆÉÇÄÖÜÑ€' AS kept;
SELECT mfiauto.sms_transliterate('âçêëîïôûÿœ ÀÂÈÊËÎÏÔÙÛŸŒ «»“”’‘…–—°•' || U&'\00A0\202F' || '|');
SELECT mfiauto.sms_transliterate('áíóúãõý ÁÍÓÚÃÕ');
-- Letters of African languages, other scripts and emoji are not touched.
SELECT mfiauto.sms_transliterate('ɛɔŋɓɗƙẹọṣ Ɛ مرحبا አማርኛ 🙂');
-- Accents typed apart are joined before they are judged.
SELECT mfiauto.sms_transliterate(U&'e\0301che\0301ance pre\0302te, c\0327a') AS composed;
SELECT p.*, t.encoding AS then_encoding, t.units AS then_units, t.parts AS then_parts
FROM (SELECT 'Bonjour Aïssatou, votre prêt a été reçu. Votre échéance de 25 000 FCFA est le 5 août. Merci de votre fidélité…' AS body) AS b,
  LATERAL mfiauto.sms_parts(body) AS p, LATERAL mfiauto.sms_parts(mfiauto.sms_transliterate(body)) AS t;
-- What it leaves outside, it left unchanged; doing it twice changes nothing.
SELECT count(*) FILTER (WHERE mfiauto.sms_transliterate(t) <> t) AS unstable
FROM generate_series(1, 12000) AS i, LATERAL mfiauto.sms_transliterate('x' || chr(i) || 'x') AS t
WHERE i NOT BETWEEN 55296 AND 57343;

-- Another encoding than UTF8 has no SMS here; the rest of the texts works.
SELECT current_database() AS home \gset
DROP DATABASE IF EXISTS regress_mfiauto_latin1;
CREATE DATABASE regress_mfiauto_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_mfiauto_latin1
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION mfiauto;
SELECT * FROM mfiauto.sms_parts('a');
SELECT mfiauto.sms_transliterate('a');
SELECT mfiauto.date_text('2026-08-01', 'fr') AS date, (mfiauto.normalize_phone('77 123 45 67' || chr(160), 'SN')).e164,
  mfiauto.render('é {{a}} {{{a}}}', '{"a":"é&"}', escape => 'url') AS rendered;
\c :home
DROP DATABASE regress_mfiauto_latin1 WITH (FORCE);
