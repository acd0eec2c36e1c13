-- What providers say when they refuse, code by code as their documents and libraries have it: each is taken for what it means.
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
SELECT mfiauto.install();
-- wait: the same later. never: not this message, not to this address, or he does not want it. stop: somebody has to act. unclear: it may have been taken.
CREATE FUNCTION meaning(verdict text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN verdict IN ('retry', 'throttle') THEN 'wait' WHEN verdict IN ('permanent', 'recipient_dead') THEN 'never' WHEN verdict = 'opted_out' THEN 'opted out'
              WHEN verdict IN ('config_broken', 'unauthorized') THEN 'stop' WHEN verdict = 'unknown' THEN 'unclear' ELSE verdict END $$;
-- %s is the code.
CREATE TABLE said (presets text[], status integer, body text, means text, codes text[]);
INSERT INTO said VALUES
  ('{twilio,twilio_whatsapp,twilio_voice}', 429, '{"code": %s, "status": 429}', 'wait', '{20429}'),
  ('{twilio,twilio_whatsapp}', 400, '{"code": %s, "status": 400}', 'wait', '{30001,21611,63018}'), ('{twilio,twilio_whatsapp,twilio_voice}', 503, '', 'wait', '{-}'),
  ('{twilio,twilio_whatsapp}', 400, '{"code": %s, "status": 400}', 'never', '{21211,21614,21612,30003,30004,30005,30006,30007,21617,63016,63024}'),
  ('{twilio,twilio_whatsapp}', 400, '{"code": %s, "status": 400}', 'opted out', '{21610}'), ('{twilio,twilio_whatsapp,twilio_voice}', 401, '{"code": %s, "status": 401}', 'stop', '{20003}'),
  ('{twilio,twilio_whatsapp}', 400, '{"code": %s, "status": 400}', 'stop', '{21408,21606,30002}'),
  ('{africastalking}', 201, '{"SMSMessageData": {"Message": "Sent to 0/1", "Recipients": [{"statusCode": %s, "status": "x", "number": "+221770000001", "messageId": "None", "cost": "0"}]}}', 'wait', '{500,501,407}'),
  ('{africastalking}', 201, '{"SMSMessageData": {"Message": "Sent to 0/1", "Recipients": [{"statusCode": %s, "status": "x", "number": "+221770000001", "messageId": "None", "cost": "0"}]}}', 'never', '{403,404,502}'),
  ('{africastalking}', 201, '{"SMSMessageData": {"Message": "Sent to 0/1", "Recipients": [{"statusCode": %s, "status": "x", "number": "+221770000001", "messageId": "None", "cost": "0"}]}}', 'opted out', '{406}'),
  ('{africastalking}', 201, '{"SMSMessageData": {"Message": "Sent to 0/1", "Recipients": [{"statusCode": %s, "status": "x", "number": "+221770000001", "messageId": "None", "cost": "0"}]}}', 'stop', '{402,405}'),
  ('{africastalking,africastalking_voice}', 401, 'The supplied authentication is invalid', 'stop', '{-}'),
  ('{orange}', 429, '{"code": 53}', 'wait', '{-}'), ('{orange}', 403, '{"requestError": {"policyException": {"messageId": "%s"}}}', 'wait', '{POL0013}'), ('{orange}', 503, '', 'wait', '{-}'),
  ('{orange}', 400, '{"requestError": {"serviceException": {"messageId": "%s"}}}', 'never', '{SVC0004,SVC0007,SVC0002,SVC0003}'),
  ('{orange}', 403, '{"requestError": {"policyException": {"messageId": "%s"}}}', 'never', '{POL0003,POL0012}'),
  ('{orange}', 403, '{"requestError": {"policyException": {"messageId": "%s"}}}', 'stop', '{POL0009,POL0050,POL1009}'), ('{orange}', 403, '', 'stop', '{-}'),
  ('{infobip,infobip_voice,infobip_whatsapp}', 429, '{"requestError": {"serviceException": {"messageId": "TOO_MANY_REQUESTS"}}}', 'wait', '{-}'), ('{infobip,infobip_voice,infobip_whatsapp}', 503, '', 'wait', '{-}'),
  ('{infobip,infobip_voice,infobip_whatsapp}', 400, '{"errorCode": "E400", "violations": [{"property": "x"}]}', 'never', '{-}'), ('{infobip,infobip_voice,infobip_whatsapp}', 401, '', 'stop', '{-}'),
  ('{infobip,infobip_voice,infobip_whatsapp}', 403, '', 'stop', '{-}'),
  ('{vonage,vonage_signed}', 200, '{"message-count": "1", "messages": [{"status": "%s", "error-text": "x"}]}', 'wait', '{1,5,10}'), ('{vonage,vonage_signed}', 200, '{"messages": [{"status": "%s"}]}', 'never', '{3,6,7}'),
  ('{vonage,vonage_signed}', 200, '{"message-count": "1", "messages": [{"status": "%s", "error-text": "x"}]}', 'stop', '{2,4,8,9,14,29}'),
  ('{vonage_messages}', 429, '{"type": "https://developer.vonage.com/api-errors/messages#%s", "title": "Throttled"}', 'wait', '{1000}'), ('{vonage_messages}', 503, '', 'wait', '{-}'),
  ('{vonage_messages}', 422, '{"type": "https://developer.vonage.com/api-errors/messages#%s", "title": "x"}', 'never', '{1010,1020,1120,1130}'),
  ('{vonage_messages}', 401, '{"type": "https://developer.vonage.com/api-errors#%s", "title": "x"}', 'stop', '{unauthorized,jwt-expired}'), ('{vonage_messages}', 402, '{"title": "%s"}', 'stop', '{low-balance}'), ('{vonage_messages}', 403, '', 'stop', '{-}'),
  ('{messagebird,bird}', 429, '', 'wait', '{-}'), ('{messagebird,bird}', 503, '', 'wait', '{-}'), ('{messagebird}', 401, '', 'stop', '{-}'), ('{messagebird}', 402, '{"errors": [{"code": 25}]}', 'stop', '{-}'),
  ('{jasmin}', 503, '', 'wait', '{-}'), ('{jasmin}', 500, 'Error "x"', 'wait', '{-}'), ('{jasmin}', 400, 'Error "x"', 'never', '{-}'), ('{jasmin}', 412, 'Error "No route found"', 'never', '{-}'), ('{jasmin}', 403, 'Error "x"', 'stop', '{-}'),
  ('{kannel}', 503, 'Temporal failure, try again later.', 'wait', '{-}'), ('{kannel}', 400, 'Missing receiver number, rejected', 'never', '{-}'), ('{kannel}', 403, 'Authorization failed for sendsms', 'stop', '{-}'),
  ('{kannel}', 202, '0: Accepted for delivery', 'sent', '{-}'), ('{kannel}', 202, '3: Queued for later delivery', 'sent', '{-}'),
  ('{whatsapp_cloud}', 400, '{"error": {"message": "x", "code": %s}}', 'wait', '{130429,131056,131048,80007,4,133016,131053,131000,131016}'), ('{whatsapp_cloud}', 503, '', 'wait', '{-}'),
  ('{whatsapp_cloud}', 400, '{"error": {"message": "x", "code": %s}}', 'never', '{131026,131047,132000,132001,132015,131051,100,131049}'), ('{whatsapp_cloud}', 400, '{"error": {"code": %s}}', 'opted out', '{131050}'),
  ('{whatsapp_cloud}', 401, '{"error": {"code": %s}}', 'stop', '{190}'), ('{whatsapp_cloud}', 400, '{"error": {"code": %s}}', 'stop', '{131031}'),
  -- (131049, enough marketing for this person: it would wait for a day or more, which the step's next channel need not.)
  ('{messenger}', 400, '{"error": {"message": "x", "code": %s}}', 'wait', '{4,613,1200,2}'), ('{messenger}', 400, '{"error": {"code": %s, "error_subcode": 2018278}}', 'never', '{10}'),
  ('{messenger}', 400, '{"error": {"code": %s}}', 'never', '{551}'), ('{messenger}', 400, '{"error": {"code": %s, "error_subcode": 2018001}}', 'never', '{100}'), ('{messenger}', 400, '{"error": {"code": %s}}', 'stop', '{190}'),
  ('{telegram}', 429, '{"ok": false, "error_code": 429, "parameters": {"retry_after": 5}}', 'wait', '{-}'), ('{telegram}', 403, '{"ok": false, "error_code": 403, "description": "Forbidden: bot was blocked by the user"}', 'opted out', '{-}'),
  ('{telegram}', 400, '{"ok": false, "error_code": 400, "description": "Bad Request: chat not found"}', 'never', '{-}'), ('{telegram}', 401, '{"ok": false, "error_code": 401, "description": "Unauthorized"}', 'stop', '{-}'),
  ('{fcm}', 429, '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"errorCode": "%s"}]}}', 'wait', '{QUOTA_EXCEEDED}'),
  ('{fcm}', 503, '{"error": {"code": 503, "status": "UNAVAILABLE", "details": [{"errorCode": "%s"}]}}', 'wait', '{UNAVAILABLE}'),
  ('{fcm}', 404, '{"error": {"code": 404, "status": "NOT_FOUND", "details": [{"errorCode": "%s"}]}}', 'never', '{UNREGISTERED}'), ('{fcm}', 400, '{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"errorCode": "%s"}]}}', 'never', '{INVALID_ARGUMENT}'),
  ('{fcm}', 403, '{"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [{"errorCode": "%s"}]}}', 'never', '{SENDER_ID_MISMATCH}'),
  ('{fcm}', 401, '{"error": {"code": 401, "status": "UNAUTHENTICATED", "details": [{"errorCode": "%s"}]}}', 'stop', '{THIRD_PARTY_AUTH_ERROR}'),
  ('{apns}', 429, '{"reason": "%s"}', 'wait', '{TooManyRequests}'), ('{apns}', 500, '{"reason": "%s"}', 'wait', '{InternalServerError}'), ('{apns}', 503, '{"reason": "%s"}', 'wait', '{Shutdown,ServiceUnavailable}'),
  ('{apns}', 410, '{"reason": "%s"}', 'never', '{Unregistered,ExpiredToken}'), ('{apns}', 400, '{"reason": "%s"}', 'never', '{BadDeviceToken,DeviceTokenNotForTopic}'), ('{apns}', 413, '{"reason": "%s"}', 'never', '{PayloadTooLarge}'),
  ('{apns}', 403, '{"reason": "%s"}', 'stop', '{ExpiredProviderToken,InvalidProviderToken}'),
  ('{sendgrid,mailgun,mailjet,brevo,brevo_sms,postmark}', 429, '', 'wait', '{-}'), ('{sendgrid,mailgun,mailjet,brevo,brevo_sms,postmark}', 503, '', 'wait', '{-}'),
  ('{sendgrid}', 400, '{"errors": [{"message": "x"}]}', 'never', '{-}'), ('{sendgrid}', 413, '', 'never', '{-}'), ('{sendgrid}', 401, '', 'stop', '{-}'), ('{sendgrid}', 403, '', 'stop', '{-}'),
  ('{mailgun}', 400, '{"message": "x"}', 'never', '{-}'), ('{mailgun}', 401, 'Forbidden', 'stop', '{-}'), ('{mailjet}', 401, '', 'stop', '{-}'),
  ('{brevo,brevo_sms}', 400, '{"code": "invalid_parameter"}', 'never', '{-}'), ('{brevo,brevo_sms}', 404, '{"code": "document_not_found"}', 'never', '{-}'), ('{brevo,brevo_sms}', 402, '{"code": "not_enough_credits"}', 'stop', '{-}'), ('{brevo,brevo_sms}', 401, '', 'stop', '{-}'),
  ('{ses}', 400, '{"__type": "%s"}', 'wait', '{ThrottlingException,TooManyRequestsException}'), ('{ses}', 429, '{"__type": "%s"}', 'wait', '{TooManyRequestsException}'), ('{ses}', 503, '', 'wait', '{-}'),
  ('{ses}', 400, '{"__type": "%s"}', 'never', '{MessageRejected,BadRequestException}'), ('{ses}', 400, '{"__type": "%s"}', 'stop', '{AccountSuspendedException,SendingPausedException}'),
  ('{postmark}', 422, '{"ErrorCode": %s}', 'never', '{300,406}'), ('{postmark}', 401, '', 'stop', '{-}'),
  ('{slack}', 429, '', 'wait', '{-}'), ('{ntfy}', 429, '{"code": %s, "http": 429}', 'wait', '{42901,42908}'), ('{ntfy}', 400, '{"code": %s, "http": 400}', 'never', '{40009}'), ('{ntfy}', 413, '{"code": %s, "http": 413}', 'never', '{41303}'),
  ('{ntfy}', 401, '{"code": %s, "http": 401}', 'stop', '{40101}'), ('{ntfy}', 403, '{"code": %s, "http": 403}', 'stop', '{40301}'), ('{gotify}', 400, '{"errorCode": %s}', 'never', '{400}'), ('{gotify}', 401, '{"errorCode": %s}', 'stop', '{401}'),
  ('{gotify}', 403, '{"errorCode": %s}', 'stop', '{403}'), ('{ntfy,gotify}', 404, '{"error": "x"}', 'stop', '{-}'), ('{ntfy,gotify}', 503, '', 'wait', '{-}'),
  -- Whoever it is: what may have been taken is not known.
  ('{twilio,twilio_whatsapp,twilio_voice,africastalking,africastalking_voice,orange,infobip,infobip_voice,infobip_whatsapp,vonage,vonage_signed,vonage_messages,vonage_voice,messagebird,bird,clickatell,kannel,whatsapp_cloud,messenger,telegram,fcm,sendgrid,mailgun,mailjet,brevo,brevo_sms,ses,postmark,slack,ntfy,gotify,webhook}',
   502, '<html>Bad Gateway</html>', 'unclear', '{-}'), ('{twilio,africastalking,orange,infobip,vonage,vonage_messages,messagebird,bird,clickatell,kannel,jasmin,whatsapp_cloud,messenger,telegram,fcm,apns,sendgrid,mailgun,mailjet,brevo,brevo_sms,ses,postmark,slack,ntfy,gotify,webhook}', 504, '', 'unclear', '{-}');
CREATE VIEW judged AS
  SELECT p.preset, s.status, c.code, s.means, meaning(j.verdict) AS taken_for, j.verdict
    FROM said s CROSS JOIN unnest(s.presets) AS n(preset) CROSS JOIN unnest(s.codes) AS c(code) JOIN mfiauto.gateway_preset p ON p.preset = n.preset JOIN contract k ON k.preset = n.preset
   CROSS JOIN LATERAL mfiauto._judge_answer(k.content ->> 'channel', p.definition::json, (k.content -> 'settings')::json,
     jsonb_build_object('status', s.status, 'body', CASE WHEN s.body ~ '^[{]' THEN replace(s.body, '%s', c.code)::jsonb ELSE to_jsonb(s.body) END)) j;
SELECT count(*) >= 200 AS many, count(DISTINCT preset) AS presets FROM judged;
SELECT * FROM judged WHERE taken_for <> means ORDER BY 1, 2, 3;
-- Every preset that asks somebody else is here; the mail server's codes are those of its contract.
SELECT p.preset FROM mfiauto.gateway_preset p WHERE NOT p.definition ?| '{sandbox,sql}' AND p.preset NOT IN (SELECT preset FROM judged) ORDER BY 1;
