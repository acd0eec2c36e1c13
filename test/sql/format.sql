-- Money, dates and times as people of a locale write them, whatever the
-- server's own locale.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mfiauto;

-- Currencies by locale; a region falls back to its language, then to the default.
SELECT locale, mfiauto.money_text(1234567.5, 'XOF', locale) AS xof, mfiauto.money_text(1234567.5, 'KES', locale) AS kes,
  mfiauto.money_text(-1500, 'EUR', locale) AS eur
FROM unnest(ARRAY['fr', 'fr-SN', 'fr_FR.UTF-8', 'FR', 'en', 'en-KE', 'en-IN', 'pt-MZ', 'pt-BR', 'es', 'es-GT', 'sw', 'ha', 'wo', '', 'x', NULL]) AS locale;

-- Minor units by ISO 4217; a fraction of zero is not written.
SELECT currency, mfiauto.money_text(1500.005, currency, 'en') AS fraction, mfiauto.money_text(1500, currency, 'en') AS whole
FROM unnest(ARRAY['XOF', 'XAF', 'GNF', 'RWF', 'UGX', 'BIF', 'KES', 'TND', 'GTQ', 'PEN', 'INR', 'brl', 'xyz', '', NULL]) AS currency;

SELECT amount, mfiauto.money_text(amount, 'XOF', 'fr') AS fr, mfiauto.money_text(amount, 'INR', 'en-IN') AS lakh
FROM unnest(ARRAY[0, 0.4, -0.4, 0.5, 999, 999.5, 1000, 12345, 123456, 1234567, 12345678, 123456789012345678901234567890]) AS amount;
SELECT mfiauto.money_text(NULL, 'XOF', 'fr') IS NULL AS no_amount;
SELECT mfiauto.money_text('NaN', 'XOF', 'fr');
SELECT mfiauto.money_text('Infinity', 'XOF', 'fr');

-- Every amount in French is in the alphabet of SMS.
SELECT bool_and(p.encoding = 'gsm7') AS inside
FROM unnest(ARRAY['XOF', 'XAF', 'EUR', 'GNF', 'MAD', 'CDF', 'USD']) AS currency,
  LATERAL mfiauto.sms_parts(mfiauto.money_text(1234567.89, currency, 'fr-SN')) AS p;

-- Dates and times.
SELECT locale, mfiauto.date_text('2026-01-05', locale) AS date, mfiauto.time_text('09:05', locale) AS morning,
  mfiauto.time_text('00:30', locale) AS midnight, mfiauto.time_text('15:00:59', locale) AS afternoon
FROM unnest(ARRAY['fr', 'fr-SN', 'en', 'en-GB', 'en-US', 'en_us', 'pt', 'es-GT', 'sw-KE', 'wo', 'ff', NULL]) AS locale;
SELECT m, mfiauto.date_text(make_date(2026, m, 1), 'fr') AS fr, mfiauto.date_text(make_date(2026, m, 2), 'en') AS en,
  mfiauto.date_text(make_date(2026, m, 3), 'pt') AS pt, mfiauto.date_text(make_date(2026, m, 4), 'es') AS es,
  mfiauto.date_text(make_date(2026, m, 5), 'sw') AS sw
FROM generate_series(1, 12) AS m;
SELECT mfiauto.date_text('2028-02-29', 'fr') AS leap, mfiauto.date_text('0001-01-01', 'wo') AS first,
  mfiauto.date_text(NULL, 'fr') IS NULL AS no_date, mfiauto.time_text(NULL, 'fr') IS NULL AS no_time,
  mfiauto.time_text('12:00', 'en-US') AS noon, mfiauto.time_text('24:00', 'en-US') AS day_end;
SELECT mfiauto.date_text('infinity', 'fr');
SELECT mfiauto.date_text('-infinity', 'fr');
SELECT mfiauto.date_text('0001-01-01 BC', 'fr');

-- The server's settings have no part in it.
SET lc_time = 'C';
SET lc_monetary = 'C';
SET DateStyle = 'German';
SELECT mfiauto.date_text(make_date(2026, 8, 15), 'fr') AS date, mfiauto.money_text(1500, 'XOF', 'fr') AS money;
