-- A gateway that posts what raw_multi.c posts, to the same nginx.
SET client_min_messages = error;
SELECT mfiauto.create_gateway('bench', channel => 'sms', definition => format('{
  "request": {"method": "POST", "url": "http://127.0.0.1:%s/", "body": "json", "headers": {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"},
              "template": {"to": "{{to}}", "text": "{{text}}"}},
  "response": {"success": {"status": [200]}, "id": {"json": "id"}},
  "idempotent": true}', :'http')::json, settings => '{"concurrency": 64}', priority => 1);
