-- The only gateway of the channel is a Kannel of the bench's own.
SET client_min_messages = error;
SELECT mfiauto.arm_delivery();
UPDATE mfiauto.gateway_config SET is_enabled = false;
SELECT mfiauto.create_gateway('kannel', 'sms', 'kannel', settings => '{"url": "http://127.0.0.1:18993/cgi-bin/sendsms", "sender": "MFI", "concurrency": 32}');
SELECT mfiauto.set_secret('kannel', 'username', 'mfi');
SELECT mfiauto.set_secret('kannel', 'password', 'secret');
