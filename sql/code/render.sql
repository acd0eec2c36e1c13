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
