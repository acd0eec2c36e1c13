-- What e-mail providers say of letters, as the presets read it: delivered, dead addresses, full mailboxes, complaints; where each differs from its contract.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
CREATE TEMP VIEW told AS
  SELECT c.preset, c.content, r.ord AS webhook, x.n, x.status, x.state, x.interaction, x.dead, x.opted_out, x.at,
         jsonb_strip_nulls(jsonb_build_object('provider_id', x.provider_id, 'reference', x.reference, 'status', x.status, 'state', x.state, 'error', x.error)) AS got,
         jsonb_strip_nulls(r.value -> 'expect' -> (x.n - 1)::integer) AS wanted, jsonb_array_length(r.value -> 'expect') AS wanted_count
    FROM contract c JOIN mfiauto.gateway_preset p ON p.preset = c.preset AND p.channels = '{email}',
         jsonb_array_elements(c.content -> 'receipts') WITH ORDINALITY AS r(value, ord),
         mfiauto._read_webhook(p.definition::text, r.value ->> 'method', coalesce(r.value ->> 'query', ''), r.value -> 'headers', convert_to((r.value -> 'body')::text, 'UTF8'))
           WITH ORDINALITY AS x(part, provider_id, reference, status, state, interaction, error, at, detail, opted_out, dead, is_bot, digest, kind, from_address, to_address, body, n);
SELECT preset, webhook, n, wanted, got FROM told WHERE got IS DISTINCT FROM wanted ORDER BY 1, 2, 3;
SELECT preset, webhook, wanted_count, count(*) FROM told GROUP BY 1, 2, 3 HAVING count(*) <> wanted_count;
SELECT preset, status, state, interaction, dead, opted_out, at = '2026-01-05 09:00+00' OR at = '2026-01-05 09:00:00.1+00' AS is_timed FROM told ORDER BY preset, webhook, n;
