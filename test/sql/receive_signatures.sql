-- Every way of signing, with known answers: good, with a byte of the body or the query changed, by another key, of another time, while a key is changed.
-- The answers were computed by others than us: HMACs and tokens by Python, ECDSA and RSA by the openssl command.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/keys.sql
\set ECHO all
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_gateway('g', 'sms', definition => '{"request": {"url": "https://x.example/"}}');
CREATE TABLE hook (n serial, name text, rule jsonb, secret text, method text, query text, headers jsonb, body text);
INSERT INTO hook (name, rule, secret, method, query, headers, body) VALUES
  ($v$twilio form$v$, $v${"method": "twilio", "secret": "key"}$v$, $v$12345$v$, $v$POST$v$, $v$ref=7$v$, $v${"X-Twilio-Signature": "I98759NqtkMidrWAzCPF0l5D6Y8=", "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}$v$, $v$MessageSid=SM1&MessageStatus=delivered&To=%2B221770000001&Body=%C3%A9t%C3%A9+a%26b$v$),
  ($v$twilio JSON$v$, $v${"method": "twilio", "secret": "key"}$v$, $v$12345$v$, $v$POST$v$, $v$bodySHA256=2499358d3b73660dd38ee30338a37045ae22062c41f1be9df142285a615a6ae9$v$, $v${"x-twilio-signature": "r4C70hGuWWr/MCQ3eXm2BqyrOtE=", "content-type": "application/json"}$v$, $v${"status":"delivered"}$v$),
  ($v$twilio port$v$, $v${"method": "twilio", "secret": "key"}$v$, $v$12345$v$, $v$POST$v$, $v$$v$, $v${"X-Twilio-Signature": "TwqPJ/GzIytflne+nywKzgT0xrA=", "Content-Type": "application/x-www-form-urlencoded"}$v$, $v$MessageSid=SM1&MessageStatus=delivered&To=%2B221770000001&Body=%C3%A9t%C3%A9+a%26b$v$),
  ($v$meta$v$, $v${"method": "meta", "secret": "key"}$v$, $v$app secret$v$, $v$POST$v$, $v$$v$, $v${"X-Hub-Signature-256": "sha256=234c84c33610fb3c8dfdfdc27130a8f1135cea7b4b821caf07ed9f789a5a29c2"}$v$, $v${"status":"delivered"}$v$),
  ($v$slack$v$, $v${"method": "slack", "secret": "key"}$v$, $v$8f742231b10e8888abcd99yyyzzz85a5$v$, $v$POST$v$, $v$$v$, $v${"X-Slack-Signature": "v0=90561dc7dcd3d18cf6793a6d1544865e311745a1713eb3b4b82beacdfc3196e5", "X-Slack-Request-Timestamp": "1767603600"}$v$, $v${"status":"delivered"}$v$),
  ($v$telegram$v$, $v${"method": "telegram", "secret": "key"}$v$, $v$abc_DEF-1$v$, $v$POST$v$, $v$$v$, $v${"X-Telegram-Bot-Api-Secret-Token": "abc_DEF-1"}$v$, $v${"status":"delivered"}$v$),
  ($v$sendgrid$v$, $v${"method": "sendgrid", "secret": "key"}$v$, $v$MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEul22QDEzbE8h6HVey5DGmvEBLe2DSMIU9ycsAMGaQadQTO3uBhyeFFMhIQ85azhZkG72beSiWmMFZgyXT25FAA==$v$, $v$POST$v$, $v$$v$, $v${"X-Twilio-Email-Event-Webhook-Signature": "MEYCIQCwwVtonqd7v1umUNgi9+i9u9zKsn57xwGvG0rBuCMU9AIhALIez84TJLpkV2UwWrsG55kVhoxbn0DgoXlsDnHh9Mok", "X-Twilio-Email-Event-Webhook-Timestamp": "1767603600"}$v$, $v$[{"event":"delivered","sg_message_id":"m1.x"}]$v$),
  ($v$mailgun$v$, $v${"method": "mailgun", "secret": "key"}$v$, $v$mg-key$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/json"}$v$, $v${"signature": {"timestamp": "1767603600", "token": "t0ken", "signature": "7ce5bb1a7569fa8063b06751da2e901e32368de158187751594325e515592f31"}, "event-data": {"event": "delivered"}}$v$),
  ($v$vonage_jwt$v$, $v${"method": "vonage_jwt", "secret": "key"}$v$, $v$vonage-secret$v$, $v$POST$v$, $v$$v$, $v${"Authorization": "Bearer eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJIUzI1NiJ9.eyJpYXQiOiAxNzY3NjAzNjAwLCAiZXhwIjogMTc2NzYwMzY2MCwgImp0aSI6ICJqMSIsICJwYXlsb2FkX2hhc2giOiAiMjQ5OTM1OGQzYjczNjYwZGQzOGVlMzAzMzhhMzcwNDVhZTIyMDYyYzQxZjFiZTlkZjE0MjI4NWE2MTVhNmFlOSJ9.En0HarPOOHpcHv7cCRBHaIvDy5ZRyF64NLeicAIGIrA"}$v$, $v${"status":"delivered"}$v$),
  ($v$vonage_sms md5$v$, $v${"method": "vonage_sms", "secret": "key", "algorithm": "md5"}$v$, $v$v-secret$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/x-www-form-urlencoded"}$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=cf479f530a8c45d137e55ab66af59752$v$),
  ($v$vonage_sms hmac-md5$v$, $v${"method": "vonage_sms", "secret": "key", "algorithm": "hmac-md5"}$v$, $v$v-secret$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/x-www-form-urlencoded"}$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=75449EBE84D3212E5255D37824A4A62A$v$),
  ($v$vonage_sms hmac-sha1$v$, $v${"method": "vonage_sms", "secret": "key", "algorithm": "hmac-sha1"}$v$, $v$v-secret$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/x-www-form-urlencoded"}$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=B7A145FC777D0C986C82B8B55715AF7092223550$v$),
  ($v$vonage_sms hmac-sha256$v$, $v${"method": "vonage_sms", "secret": "key", "algorithm": "hmac-sha256"}$v$, $v$v-secret$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/x-www-form-urlencoded"}$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=D4E167BF0E147F4008ABD94CBE203639BA72A388AF13C697186A2744063BBDC0$v$),
  ($v$vonage_sms hmac-sha512$v$, $v${"method": "vonage_sms", "secret": "key", "algorithm": "hmac-sha512"}$v$, $v$v-secret$v$, $v$POST$v$, $v$$v$, $v${"Content-Type": "application/x-www-form-urlencoded"}$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=75B8DD9CBF7E0A50A86FD6DA0D7DD84747504CDAAFDCAB57CA386145F6F1B5DF5B3E36B76210F7A2F214D112B3F7AC32C29D72D33A80D2E6965249F1557EE973$v$),
  ($v$vonage_sms by GET$v$, $v${"method": "vonage_sms", "secret": "key"}$v$, $v$v-secret$v$, $v$GET$v$, $v$messageId=V1&status=delivered&text=a%26b%3Dc&timestamp=1767603600&nonce=n1&sig=cf479f530a8c45d137e55ab66af59752$v$, $v${}$v$, $v$$v$),
  ($v$messagebird_jwt$v$, $v${"method": "messagebird_jwt", "secret": "key"}$v$, $v$mb-key$v$, $v$POST$v$, $v$a=1$v$, $v${"MessageBird-Signature-JWT": "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJIUzI1NiJ9.eyJpc3MiOiAiTWVzc2FnZUJpcmQiLCAibmJmIjogMTc2NzYwMzYwMCwgImV4cCI6IDE3Njc2MDM2NjAsICJqdGkiOiAiajIiLCAidXJsX2hhc2giOiAiOGUxYjA2M2U4NTg2YzQwMTM1NWJjNjNiZThlYTA0MzA1MmQ2OWVhNjI1NGM0MjYyNDYyN2UxNmNiOGVjZTk5NCIsICJwYXlsb2FkX2hhc2giOiAiMjQ5OTM1OGQzYjczNjYwZGQzOGVlMzAzMzhhMzcwNDVhZTIyMDYyYzQxZjFiZTlkZjE0MjI4NWE2MTVhNmFlOSJ9.GWkqU6SLXUaVpvfFuaLgKiC3SGD5nU5qSynTFMEqdfs"}$v$, $v${"status":"delivered"}$v$),
  ($v$bird$v$, $v${"method": "bird", "secret": "key"}$v$, $v$bird-key$v$, $v$POST$v$, $v$$v$, $v${"MessageBird-Signature": "j77DycPjbse0DqX+5eC3AnivbXgURdSWXo0I8abMxy0=", "MessageBird-Request-Timestamp": "1767603600"}$v$, $v${"status":"delivered"}$v$),
  ($v$standard$v$, $v${"method": "standard", "secret": "key"}$v$, $v$whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw$v$, $v$POST$v$, $v$$v$, $v${"webhook-id": "msg_1", "webhook-timestamp": "1767603600", "webhook-signature": "v1,AAAA v1,PpSdKnaXG0UX/aoz9jrdzgUhus/a7Q6EBZlYnhxkZP0="}$v$, $v${"status":"delivered"}$v$),
  ($v$sns version 1$v$, $v${"method": "sns", "secret": "key", "topic": "arn:aws:sns:eu-west-1:1:mfi"}$v$, :'sns_certificate', $v$POST$v$, $v$$v$, $v${"Content-Type": "text/plain"}$v$, $v${"Type": "Notification", "MessageId": "sns-1", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "{\"eventType\":\"Delivery\",\"mail\":{\"messageId\":\"ses1\"}}", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "1", "Signature": "TXOnxu38vpBZljUKSQWUDr/5kXSOVXwqoll67jvEXQUMc7WwLCI0MRul8BNWN+DtdCNWLx/6bX6ISY0AQBtoluqFs2qKNtlcs6CZQWadKWZ51nomxZ9lyTmGSYoEr3VZ2Aq9mX83WVjYdumFHUuoSn03JPAy2UTB2nsK7xCWr9rIHvxU32/VbSWsLTFuhvKg7LMhP9XMD2DKHyIU/dM4KBYHDI3z5G1pDrfhRIrdF36hf6CSQhCfweclHh7os0bMFrF2TWtSpaxgUJOIxinO0mStjSC8txVvCJHHweUUqymhG8tKR7kru7q5G1ngxAciWB9JCvotn1nvmnqjCJUfzA==", "SigningCertURL": "https://evil.example/cert.pem"}$v$),
  ($v$sns version 2$v$, $v${"method": "sns", "secret": "key", "topic": "arn:aws:sns:eu-west-1:1:mfi"}$v$, :'sns_certificate', $v$POST$v$, $v$$v$, $v${"Content-Type": "text/plain"}$v$, $v${"Type": "Notification", "MessageId": "sns-2", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "{\"eventType\":\"Delivery\",\"mail\":{\"messageId\":\"ses1\"}}", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "2", "Signature": "RLGySAaQUrCDVtQaL1SahbvNDIeB7/ZkPAsMPRffuBfwBvWiig4M0V+4poYE4YOIVk+Y4bvoXG5B7Sh/6AxxuEI6McefvVA7i3/B3uCvLft4bmSz8jeFipGJ9FreRKhFQfgl3UL5Lej+Vlv73xQcJip6mM8lZwOl8JpkJCNpfxLKSTM+nUOG/XnyN8CDD9524qs1PzNiueqhch94DGq2abmW3IZSYR4a3zDAbVdJB55AU5Y+tM/3rcowX3yBsgNTpbBN0QTbIsV02gKZy39eCLGZYTu1tkzh2/XOrwtJtLAEdqzbCRBxacZiulCRWjWwjj+Ur1jH+84arzuTCe0a+g==", "SigningCertURL": "https://evil.example/cert.pem"}$v$),
  ($v$sns subscription$v$, $v${"method": "sns", "secret": "key", "topic": "arn:aws:sns:eu-west-1:1:mfi"}$v$, :'sns_certificate', $v$POST$v$, $v$$v$, $v${}$v$, $v${"Type": "SubscriptionConfirmation", "MessageId": "sns-3", "Token": "tok", "TopicArn": "arn:aws:sns:eu-west-1:1:mfi", "Message": "Please confirm", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=tok", "Timestamp": "2026-01-05T09:00:00.000Z", "SignatureVersion": "2", "Signature": "GF4i0Z+GAGFVgBOXOsVVcHQN+T3jM6YCk0FuMPPMQXrLFJh8xpCYLkGMd4OgaSGS4dMGLUs/pP8Ew3Xc5V0kncTxGYKDD+3hRa1PJvj8Sl4BXFHU4J/Fk6gBB6mzkdEJP42n9AYrpaHFVVcSd8pRIyp4L7ZEuoy3Vu12L2mWleHLXVFfAyguDUuCDYku/T98gOiHCl1mDS2M/WsZdDfq0I4sSzTuJ5eJizDU7suyP4icqhc/kJOS2ZozSMZ9EOQH1f7GNt3ZZsDwkSKLPLB1IgjDRnQEPGMB22t9a07rQ+F5gg9fh9VVNKZUWNAyuMRj/NtvVOUPBPSsg9/UoCFwBQ=="}$v$),
  ($v$hmac$v$, $v${"method": "hmac", "secret": "key", "header": "X-Sig", "prefix": "sha256="}$v$, $v$h-key$v$, $v$POST$v$, $v$$v$, $v${"X-Sig": "sha256=b03b7d64754ebea1782824a9b77b226cd9c7e0b4a43b8f72131d36be2da7085e"}$v$, $v${"status":"delivered"}$v$),
  ($v$hmac of time$v$, $v${"method": "hmac", "secret": "key", "header": "X-Sig", "algorithm": "hmac-sha512", "encoding": "base64", "timestamp": "X-Time", "data": "{timestamp}.{method}.{url}.{body}"}$v$, $v$h-key$v$, $v$POST$v$, $v$$v$, $v${"X-Sig": "sj+UI/QxuahlFxHlCIobEnUwEBxCGgEpFjSoIvwsb9e7bKlHp75PHrOuFByQ+ZzCMTQZEvPTQosN4rbi3+/cNw==", "X-Time": "1767603600"}$v$, $v${"status":"delivered"}$v$),
  ($v$token header$v$, $v${"method": "token", "secret": "key", "header": "X-Token"}$v$, $v$tok$v$, $v$POST$v$, $v$$v$, $v${"x-token": "tok"}$v$, $v${"status":"delivered"}$v$),
  ($v$token parameter$v$, $v${"method": "token", "secret": "key", "parameter": "token"}$v$, $v$tok$v$, $v$GET$v$, $v$token=tok&id=1$v$, $v${}$v$, $v$$v$),
  ($v$basic$v$, $v${"method": "basic", "secret": "key", "user": "mfi"}$v$, $v$p:ss$v$, $v$POST$v$, $v$$v$, $v${"Authorization": "Basic bWZpOnA6c3M="}$v$, $v${"status":"delivered"}$v$),
  ($v$bearer$v$, $v${"method": "bearer", "secret": "key"}$v$, $v$tok$v$, $v$POST$v$, $v$$v$, $v${"Authorization": "bearer tok"}$v$, $v${"status":"delivered"}$v$);

CREATE FUNCTION verdict(h hook, body text DEFAULT NULL, query text DEFAULT NULL, at timestamptz DEFAULT '2026-01-05 09:00+00', url text DEFAULT 'https://m.mfi.example/w/g')
RETURNS text LANGUAGE sql AS $$
  SELECT c.verdict FROM mfiauto._check_webhook('g', h.rule::text, h.method, url, coalesce(verdict.query, h.query), h.headers, convert_to(coalesce(verdict.body, h.body), 'UTF8'), at) c
$$;
-- The verdicts about one webhook under each change.
CREATE FUNCTION verdicts(h hook, OUT good text, OUT body text, OUT query text, OUT later text, OUT earlier text, OUT other_url text, OUT other_key text, OUT rotated text, OUT unset text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto.set_secret('g', 'key', h.secret);
  good := verdict(h);
  body := CASE WHEN h.body <> '' THEN verdict(h, body => left(h.body, -1) || chr(ascii(right(h.body, 1)) # 1)) ELSE '-' END;
  query := verdict(h, query => h.query || '&x=1');
  later := verdict(h, at => '2026-01-05 09:05:01+00');
  earlier := verdict(h, at => '2026-01-05 08:54:59+00');
  other_url := verdict(h, url => 'https://other.example/w/g');
  PERFORM mfiauto.set_secret('g', 'key', translate(h.secret, '12345pkadeMS', '54321qlbzfNT'));
  other_key := verdict(h);
  PERFORM mfiauto.set_secret('g', 'key_previous', h.secret);
  rotated := verdict(h);
  PERFORM mfiauto.drop_secret('g', 'key_previous'), mfiauto.drop_secret('g', 'key');
  unset := verdict(h);
END $$;
SELECT h.name, v.* FROM hook h, verdicts(h) v ORDER BY h.n;

-- Without the header that should be there, with one that is no signature, and with a body that is no text: bad, and never an error.
SELECT mfiauto.set_secret('g', 'key', 'x');
SELECT c.verdict, count(*)
  FROM hook h CROSS JOIN (VALUES ('{}'::jsonb), ('7'), ('[]')) AS x(headers)
 CROSS JOIN (VALUES (''::bytea), ('\x00ff'), (convert_to('{"signature": [], "Type": 7}', 'UTF8')), ('"')) AS b(body)
 CROSS JOIN LATERAL mfiauto._check_webhook('g', h.rule::text, h.method, NULL, '%%%', x.headers, b.body, mfiauto.now()) c GROUP BY 1;
SELECT c.verdict, count(*)
  FROM hook h CROSS JOIN (VALUES (''), ('='), ('sha256='), ('v0='), ('Bearer a.b.c'), ('Bearer eyJhbGciOiJub25lIn0.e30.'), ('Basic Og=='), ('Basic !'), ('v1, v1,x'), (repeat('A', 10000))) AS x(value)
 CROSS JOIN LATERAL mfiauto._check_webhook('g', h.rule::text, h.method, 'https://m.mfi.example/w/g', '', (SELECT jsonb_object_agg(k.key, x.value) FROM jsonb_object_keys(h.headers) AS k(key)),
              convert_to(h.body, 'UTF8'), mfiauto.now()) c
 WHERE h.headers <> '{}' AND h.name !~ 'sns|mailgun|vonage_sms' GROUP BY 1;
