-- Pure functions about text: templates, SMS, phone numbers, money and dates.
-- None of them reads a table.

CREATE FUNCTION mfiauto.render(template text, context jsonb, partials jsonb DEFAULT NULL, escape text DEFAULT 'html')
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_render';
COMMENT ON FUNCTION mfiauto.render(text, jsonb, jsonb, text) IS
  'Renders a template by the Mustache specification. partials: an object of name and text. escape: html, json, url, xml or none; '
  '{{{name}}} and {{&name}} are never escaped. A section is skipped for a value that is missing, null, false, zero, or an empty text or list.';

CREATE FUNCTION mfiauto._render_strict(template text, context jsonb, escape text, OUT body text, OUT missing text[])
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_render_strict';
COMMENT ON FUNCTION mfiauto._render_strict(text, jsonb, text) IS
  'Renders a template and lists the names of its variables that found nothing or null.';

CREATE FUNCTION mfiauto._template_names(template text)
RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_template_names';
COMMENT ON FUNCTION mfiauto._template_names(text) IS
  'The names that the variables and sections of a template use, each once, in order.';

CREATE FUNCTION mfiauto._template_partials(template text)
RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_template_partials';
COMMENT ON FUNCTION mfiauto._template_partials(text) IS
  'The names of the partials that a template includes, each once, in order.';

-- The texts of an SMS's parts, in their order; is_ucs2: it travels in 16 bits although it need not.
CREATE FUNCTION mfiauto._split_sms(body text, is_ucs2 boolean) RETURNS SETOF text
  LANGUAGE c IMMUTABLE STRICT ROWS 3 AS 'MODULE_PATHNAME', 'mfiauto_split_sms';

CREATE FUNCTION mfiauto.sms_parts(body text, OUT encoding text, OUT units integer, OUT parts integer, OUT outside text)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_measure_sms';
COMMENT ON FUNCTION mfiauto.sms_parts(text) IS
  'How a text travels by SMS: encoding gsm7 or ucs2, units (septets or UTF-16 units), parts that are paid for, '
  'and the characters outside GSM 03.38, each once.';

CREATE FUNCTION mfiauto.sms_transliterate(body text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_transliterate_sms';
COMMENT ON FUNCTION mfiauto.sms_transliterate(text) IS
  'Replaces characters outside GSM 03.38 by what readers accept for them (a circumflex goes, dashes and quotes become plain); others stay.';

CREATE FUNCTION mfiauto.normalize_phone(phone text, country text, OUT e164 text, OUT kind text, OUT problem text)
RETURNS record
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_normalize_phone';
COMMENT ON FUNCTION mfiauto.normalize_phone(text, text) IS
  'A telephone number written by hand as E.164 with its kind (mobile, landline, unknown), by the numbering plan of an ISO 3166 country. '
  'Where it cannot be read in one way only, e164 is null and problem is one of: empty, letters, several_numbers, too_short, too_long, '
  'not_a_national_number, obsolete_numbering, unknown_country.';

CREATE FUNCTION mfiauto.money_text(amount numeric, currency text, locale text)
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_format_money';
COMMENT ON FUNCTION mfiauto.money_text(numeric, text, text) IS
  'An amount with its currency as people of a locale write it, in characters that an SMS has: 12 500 FCFA, KES 12,500.';

CREATE FUNCTION mfiauto.date_text(d date, locale text)
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_format_date';
COMMENT ON FUNCTION mfiauto.date_text(date, text) IS
  'A date as people of a locale write it: 5 janvier 2026; in digits, 05/01/2026, for locales without month names here.';

CREATE FUNCTION mfiauto.time_text(t time, locale text)
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mfiauto_format_time';
COMMENT ON FUNCTION mfiauto.time_text(time, text) IS
  'A time of day as people of a locale write it: 9h30, 09:30, 9:30 AM.';
