-- Gateways that post what raw_multi.c posts, to the same nginx, and one to a peer that takes everything and never answers.
SET client_min_messages = error;
SELECT mfiauto.arm_delivery();
UPDATE mfiauto.policy SET contact_from = '00:00', contact_until = '24:00', weekdays = '{1,2,3,4,5,6,7}';
CREATE SCHEMA IF NOT EXISTS bench;
SELECT mfiauto.create_gateway(CASE n WHEN 0 THEN 'silent' ELSE 'bench_' || n END, channel => 'sms', definition => format('{
  "request": {"method": "POST", "url": "http://127.0.0.1:%s/", "headers": {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"},
              "body": {"kind": "json", "json": {"to": "{{to}}", "text": "{{text}}"}}},
  "response": {"success": {"status": 200}, "id": {"path": "id"}},
  "limits": {"concurrency": 64, "timeout": 10}}', CASE n WHEN 0 THEN :silent ELSE :http END)::json, priority => 1)
  FROM generate_series(0, 50) n;

CREATE FUNCTION bench.use_gateways(many integer) RETURNS void LANGUAGE sql AS $$
  SELECT mfiauto.alter_gateway('bench_' || n, is_enabled => n <= many) FROM generate_series(1, 50) n
$$;
CREATE FUNCTION bench.use_silence(is_used boolean) RETURNS void LANGUAGE sql AS $$ SELECT mfiauto.alter_gateway('silent', is_enabled => is_used) $$;
