-- A gateway that posts what raw_multi.c posts, to the same nginx.
SET client_min_messages = error;
SELECT mfiauto.arm_delivery();
SELECT mfiauto.create_gateway('bench', channel => 'sms', definition => format('{
  "request": {"method": "POST", "url": "http://127.0.0.1:%s/", "headers": {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"},
              "body": {"kind": "json", "json": {"to": "{{to}}", "text": "{{text}}"}}},
  "response": {"success": {"status": 200}, "id": {"path": "id"}},
  "idempotent": true, "limits": {"concurrency": 64, "timeout": 10}}', :'http')::json, priority => 1);
