-- What providers call the states of a message, word by word as their documents and libraries have it, in the webhooks that they post: each becomes ours, and each doing of a person's is noted.
SET client_min_messages = warning;
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
SELECT mfiauto.install();
-- One webhook of each kind: %s is the word. state: ours, "-" where nothing becomes of the message; doing: what a person did, or what became of the address.
CREATE TABLE told (presets text[], method text, kind text, place text, body text);
CREATE TABLE word (presets text[], word text, state text, doing text);
INSERT INTO told VALUES
  ('{twilio,twilio_whatsapp}', 'POST', 'application/x-www-form-urlencoded', '', 'MessageSid=m1&MessageStatus=%s&To=x&From=y&AccountSid=AC1'),
  ('{twilio_voice}', 'POST', 'application/x-www-form-urlencoded', '', 'CallSid=m1&CallStatus=%s&CallDuration=9&To=x&From=y'),
  ('{africastalking_voice}', 'POST', 'application/x-www-form-urlencoded', '', 'isActive=0&sessionId=m1&direction=Outbound&hangupCause=%s&durationInSeconds=9'),
  ('{webhook}', 'POST', 'application/json', '', '{"id": "m1", "state": "%s"}'),
  ('{africastalking}', 'POST', 'application/x-www-form-urlencoded', '', 'id=m1&status=%s&phoneNumber=%2B221770000001&networkCode=60801&retryCount=0'),
  ('{orange}', 'POST', 'application/json', '', '{"deliveryInfoNotification": {"callbackData": "m1", "deliveryInfo": {"address": "tel:+221770000001", "deliveryStatus": "%s"}}}'),
  ('{infobip,infobip_voice,infobip_whatsapp}', 'POST', 'application/json', '', '{"results": [{"messageId": "m1", "to": "x", "status": {"groupName": "%s", "name": "y"}, "error": {"id": 0, "name": "NO_ERROR", "permanent": false}, "voiceCall": {"duration": 9}}]}'),
  ('{vonage,vonage_signed}', 'GET', '', 'messageId=m1&msisdn=x&to=y&status=%s&err-code=0&scts=2601050900&price=0.03', ''),
  ('{vonage_messages}', 'POST', 'application/json', '', '{"message_uuid": "m1", "to": "x", "from": "y", "channel": "sms", "status": "%s", "client_ref": "r"}'),
  ('{brevo_sms}', 'POST', 'application/json', '', '{"messageId": 19, "to": "221770000001", "msg_status": "%s", "ts_event": 1767603600, "tag": "r"}'),
  ('{vonage_voice}', 'POST', 'application/json', '', '{"uuid": "m1", "conversation_uuid": "c", "status": "%s", "direction": "outbound", "duration": "9"}'),
  ('{messagebird}', 'GET', '', 'id=m1&reference=r&recipient=221770000001&status=%s', ''),
  ('{bird}', 'POST', 'application/json', '', '{"service": "channels", "event": "sms.outbound", "payload": {"id": "m1", "status": "%s"}}'),
  ('{clickatell}', 'POST', 'application/json', '', '{"event": {"messageStatusUpdate": [{"messageId": "m1", "channel": "sms", "status": "%s"}]}}'),
  ('{clickatell_codes}', 'POST', 'application/json', '', '{"messageId": "m1", "statusCode": %s}'),
  ('{jasmin}', 'POST', 'application/x-www-form-urlencoded', '', 'id=m1&message_status=%s&level=2&id_smsc=7&err=000'),
  ('{kannel}', 'GET', '', 'ref=7-11111111-2222-4333-8444-555555555555&type=%s&reply=x', ''),
  ('{whatsapp_cloud}', 'POST', 'application/json', '', '{"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {"statuses": [{"id": "m1", "status": "%s", "timestamp": "1767603600", "recipient_id": "1"}]}}]}]}'),
  ('{sendgrid}', 'POST', 'application/json', '', '[{"email": "a@x.example", "event": "%s", "type": "bounce", "sg_message_id": "m1.filter", "sg_event_id": "e", "timestamp": 1767603600}]'),
  ('{mailgun}', 'POST', 'application/json', '', '{"signature": {"timestamp": "1", "token": "t", "signature": "s"}, "event-data": {"event": "%s", "severity": "permanent", "reason": "bounce", "recipient": "a@x.example", "message": {"headers": {"message-id": "m1"}}}}'),
  ('{mailgun_temporary}', 'POST', 'application/json', '', '{"signature": {}, "event-data": {"event": "%s", "severity": "temporary", "message": {"headers": {"message-id": "m1"}}}}'),
  ('{mailjet}', 'POST', 'application/json', '', '{"event": "%s", "time": 1767603600, "MessageID": 19, "email": "a@x.example", "hard_bounce": true}'),
  ('{brevo}', 'POST', 'application/json', '', '{"event": "%s", "email": "a@x.example", "message-id": "m1", "ts_event": 1767603600}'),
  ('{ses}', 'POST', 'text/plain', '', '{"Type": "Notification", "MessageId": "n", "Message": "{\"eventType\": \"%s\", \"mail\": {\"messageId\": \"m1\"}, \"bounce\": {\"bounceType\": \"Permanent\", \"bounceSubType\": \"General\"}}"}'),
  ('{ses_transient}', 'POST', 'text/plain', '', '{"Type": "Notification", "MessageId": "n", "Message": "{\"eventType\": \"%s\", \"mail\": {\"messageId\": \"m1\"}, \"bounce\": {\"bounceType\": \"Transient\", \"bounceSubType\": \"MailboxFull\"}}"}'),
  ('{postmark}', 'POST', 'application/json', '', '{"RecordType": "%s", "MessageID": "m1", "Type": "HardBounce", "SuppressSending": true}'), ('{postmark_types}', 'POST', 'application/json', '', '{"RecordType": "Bounce", "MessageID": "m1", "Type": "%s"}');
INSERT INTO word SELECT w.presets, x, w.state, w.doing FROM (VALUES
  ('{twilio,twilio_whatsapp}'::text[], '{queued,sending,accepted}'::text[], 'submitted', NULL), ('{twilio,twilio_whatsapp}', '{sent}', 'sent', NULL), ('{twilio,twilio_whatsapp}', '{delivered}', 'delivered', NULL), ('{twilio,twilio_whatsapp}', '{read}', 'delivered', 'read'),
  ('{twilio,twilio_whatsapp}', '{undelivered}', 'undelivered', NULL), ('{twilio,twilio_whatsapp}', '{failed}', 'failed', NULL),
  ('{twilio_voice}', '{queued,initiated}', 'submitted', NULL), ('{twilio_voice}', '{ringing,in-progress}', 'sent', NULL), ('{twilio_voice}', '{completed}', 'delivered', NULL), ('{twilio_voice}', '{busy,no-answer,canceled}', 'undelivered', NULL), ('{twilio_voice}', '{failed}', 'failed', NULL),
  ('{africastalking}', '{Submitted,Buffered}', 'submitted', NULL), ('{africastalking}', '{Sent}', 'sent', NULL), ('{africastalking}', '{Success}', 'delivered', NULL), ('{africastalking}', '{Rejected}', 'failed', NULL), ('{africastalking}', '{Expired}', 'expired', NULL),
  ('{africastalking}', '{Failed,AbsentSubscriber}', 'undelivered', NULL),
  ('{orange}', '{DeliveredToTerminal}', 'delivered', NULL), ('{orange}', '{DeliveredToNetwork}', 'sent', NULL), ('{orange}', '{MessageWaiting,DeliveryUncertain}', 'submitted', NULL), ('{orange}', '{DeliveryImpossible}', 'undelivered', NULL),
  ('{africastalking_voice}', '{NORMAL_CLEARING,Completed,Success}', 'delivered', NULL), ('{africastalking_voice}', '{UNALLOCATED_NUMBER,INVALID_NUMBER_FORMAT,Failed}', 'failed', NULL),
  ('{africastalking_voice}', '{USER_BUSY,NO_ANSWER,NO_USER_RESPONSE,CALL_REJECTED,SUBSCRIBER_ABSENT,ORIGINATOR_CANCEL,NORMAL_UNSPECIFIED,SERVICE_UNAVAILABLE,DESTINATION_OUT_OF_ORDER,RECOVERY_ON_TIMER_EXPIRE,Aborted}', 'undelivered', NULL),
  ('{webhook}', '{sent}', 'sent', NULL), ('{webhook}', '{delivered}', 'delivered', NULL), ('{webhook}', '{read}', 'delivered', 'read'), ('{webhook}', '{undelivered}', 'undelivered', NULL), ('{webhook}', '{failed}', 'failed', NULL),
  ('{webhook}', '{opened}', '-', 'opened'), ('{webhook}', '{clicked}', '-', 'clicked'), ('{webhook}', '{complained}', '-', 'complained'), ('{webhook}', '{unsubscribed}', '-', 'unsubscribed'), ('{webhook}', '{bounced}', 'undelivered', 'bounced'),
  ('{infobip,infobip_voice,infobip_whatsapp}', '{PENDING,ACCEPTED}', 'submitted', NULL), ('{infobip,infobip_voice,infobip_whatsapp}', '{DELIVERED}', 'delivered', NULL), ('{infobip,infobip_voice,infobip_whatsapp}', '{UNDELIVERABLE}', 'undelivered', NULL),
  ('{infobip,infobip_voice,infobip_whatsapp}', '{EXPIRED}', 'expired', NULL), ('{infobip,infobip_voice,infobip_whatsapp}', '{REJECTED}', 'failed', NULL),
  ('{vonage,vonage_signed}', '{accepted}', 'sent', NULL), ('{vonage,vonage_signed}', '{buffered}', 'submitted', NULL), ('{vonage,vonage_signed}', '{delivered}', 'delivered', NULL), ('{vonage,vonage_signed}', '{expired}', 'expired', NULL), ('{vonage,vonage_signed}', '{failed}', 'undelivered', NULL),
  ('{vonage,vonage_signed}', '{rejected}', 'failed', NULL), ('{vonage,vonage_signed}', '{unknown}', '-', NULL),
  ('{vonage_messages}', '{submitted}', 'sent', NULL), ('{vonage_messages}', '{delivered}', 'delivered', NULL), ('{vonage_messages}', '{undeliverable}', 'undelivered', NULL), ('{vonage_messages}', '{rejected}', 'failed', NULL),
  ('{brevo_sms}', '{sent,accepted}', 'sent', NULL), ('{brevo_sms}', '{delivered}', 'delivered', NULL), ('{brevo_sms}', '{soft_bounce,hard_bounce}', 'undelivered', NULL), ('{brevo_sms}', '{rejected,skip}', 'failed', NULL), ('{brevo_sms}', '{unsubscribe}', '-', 'unsubscribed'),
  ('{vonage_voice}', '{started}', 'submitted', NULL), ('{vonage_voice}', '{ringing,answered,machine}', 'sent', NULL), ('{vonage_voice}', '{completed}', 'delivered', NULL), ('{vonage_voice}', '{busy,unanswered,timeout,rejected,cancelled}', 'undelivered', NULL),
  ('{vonage_voice}', '{failed}', 'failed', NULL),
  ('{messagebird}', '{scheduled,buffered}', 'submitted', NULL), ('{messagebird}', '{sent}', 'sent', NULL), ('{messagebird}', '{delivered}', 'delivered', NULL), ('{messagebird}', '{expired}', 'expired', NULL), ('{messagebird}', '{delivery_failed}', 'undelivered', NULL),
  ('{bird}', '{accepted,processing}', 'submitted', NULL), ('{bird}', '{sent}', 'sent', NULL), ('{bird}', '{delivered}', 'delivered', NULL), ('{bird}', '{delivery_failed}', 'undelivered', NULL), ('{bird}', '{sending_failed,rejected,skipped}', 'failed', NULL),
  ('{clickatell}', '{QUEUED}', 'submitted', NULL), ('{clickatell}', '{SENT_TO_SUPPLIER}', 'sent', NULL), ('{clickatell}', '{DEVICE_ACK}', 'delivered', NULL), ('{clickatell}', '{READ}', 'delivered', 'read'), ('{clickatell}', '{EXPIRED}', 'expired', NULL), ('{clickatell}', '{DELIVERY_FAILURE}', 'undelivered', NULL),
  ('{clickatell_codes}', '{2,8,11}', 'submitted', NULL), ('{clickatell_codes}', '{3}', 'sent', NULL), ('{clickatell_codes}', '{4}', 'delivered', NULL), ('{clickatell_codes}', '{7,9}', 'undelivered', NULL), ('{clickatell_codes}', '{10}', 'expired', NULL), ('{clickatell_codes}', '{1,5,6,12,14}', 'failed', NULL),
  ('{jasmin}', '{ESME_ROK,ENROUTE,ACCEPTD}', 'sent', NULL), ('{jasmin}', '{DELIVRD}', 'delivered', NULL), ('{jasmin}', '{UNDELIV,DELETED}', 'undelivered', NULL), ('{jasmin}', '{EXPIRED}', 'expired', NULL), ('{jasmin}', '{REJECTD,ESME_RINVDSTADR,ESME_RTHROTTLED}', 'failed', NULL),
  ('{jasmin}', '{UNKNOWN}', '-', NULL),
  -- Bits, the strongest of several.
  ('{kannel}', '{4}', 'submitted', NULL), ('{kannel}', '{8}', 'sent', NULL), ('{kannel}', '{1,9,5}', 'delivered', NULL), ('{kannel}', '{2,16,18,10}', 'undelivered', NULL), ('{kannel}', '{34,32}', 'expired', NULL),
  ('{whatsapp_cloud}', '{sent}', 'sent', NULL), ('{whatsapp_cloud}', '{delivered}', 'delivered', NULL), ('{whatsapp_cloud}', '{read}', 'delivered', 'read'), ('{whatsapp_cloud}', '{failed}', 'failed', NULL),
  ('{sendgrid}', '{processed}', 'sent', NULL), ('{sendgrid}', '{deferred}', '-', NULL), ('{sendgrid}', '{delivered}', 'delivered', NULL), ('{sendgrid}', '{bounce}', 'undelivered', 'bounced'), ('{sendgrid}', '{dropped}', 'undelivered', NULL), ('{sendgrid}', '{open}', '-', 'opened'),
  ('{sendgrid}', '{click}', '-', 'clicked'), ('{sendgrid}', '{spamreport}', '-', 'complained'), ('{sendgrid}', '{unsubscribe,group_unsubscribe}', '-', 'unsubscribed'),
  ('{mailgun}', '{accepted}', 'submitted', NULL), ('{mailgun}', '{delivered}', 'delivered', NULL), ('{mailgun}', '{failed}', 'undelivered', 'bounced'), ('{mailgun}', '{rejected}', 'failed', NULL), ('{mailgun}', '{complained}', '-', 'complained'), ('{mailgun}', '{unsubscribed}', '-', 'unsubscribed'), ('{mailgun}', '{opened}', '-', 'opened'),
  ('{mailgun}', '{clicked}', '-', 'clicked'), ('{mailgun_temporary}', '{failed}', '-', NULL),
  ('{mailjet}', '{sent}', 'delivered', NULL), ('{mailjet}', '{bounce}', 'undelivered', 'bounced'), ('{mailjet}', '{blocked}', 'undelivered', NULL), ('{mailjet}', '{open}', '-', 'opened'), ('{mailjet}', '{click}', '-', 'clicked'), ('{mailjet}', '{spam}', '-', 'complained'), ('{mailjet}', '{unsub}', '-', 'unsubscribed'),
  ('{brevo}', '{request}', 'submitted', NULL), ('{brevo}', '{delivered}', 'delivered', NULL), ('{brevo}', '{hard_bounce,invalid_email}', 'undelivered', 'bounced'), ('{brevo}', '{blocked,error}', 'undelivered', NULL), ('{brevo}', '{soft_bounce,deferred}', '-', NULL), ('{brevo}', '{spam}', '-', 'complained'),
  ('{brevo}', '{opened,unique_opened}', '-', 'opened'), ('{brevo}', '{click}', '-', 'clicked'), ('{brevo}', '{unsubscribed}', '-', 'unsubscribed'),
  ('{ses}', '{Send}', 'submitted', NULL), ('{ses}', '{Delivery}', 'delivered', NULL), ('{ses}', '{Bounce}', 'undelivered', 'bounced'), ('{ses}', '{Complaint}', '-', 'complained'), ('{ses}', '{Reject,Rendering Failure}', 'failed', NULL), ('{ses}', '{Subscription}', '-', 'unsubscribed'), ('{ses}', '{DeliveryDelay}', '-', NULL), ('{ses}', '{Open}', '-', 'opened'),
  ('{ses}', '{Click}', '-', 'clicked'), ('{ses_transient}', '{Bounce}', 'undelivered', NULL),
  ('{postmark}', '{Delivery}', 'delivered', NULL), ('{postmark}', '{Bounce}', 'undelivered', 'bounced'), ('{postmark}', '{SpamComplaint}', '-', 'complained'), ('{postmark}', '{Open}', '-', 'opened'), ('{postmark}', '{Click}', '-', 'clicked'), ('{postmark}', '{SubscriptionChange}', '-', 'unsubscribed'),
  ('{postmark_types}', '{Transient,DnsError,SoftBounce}', '-', NULL), ('{postmark_types}', '{BadEmailAddress}', 'undelivered', 'bounced')) AS w(presets, words, state, doing), unnest(w.words) x;
CREATE VIEW read AS
  SELECT n.name, w.word, w.state, w.doing, r.state AS as_read, r.doing AS as_done, r.events
    FROM word w CROSS JOIN unnest(w.presets) AS n(name) JOIN told t ON n.name = ANY (t.presets) JOIN mfiauto.gateway_preset p ON p.preset = regexp_replace(n.name, '_(codes|types|temporary|transient)$', '')
   CROSS JOIN LATERAL (SELECT coalesce(min(nullif(e.state, 'ignore')), '-') AS state, min(coalesce(e.interaction, CASE WHEN e.dead THEN 'bounced' END)) AS doing, count(*) FILTER (WHERE e.part = 'receipt' AND (e.provider_id ~ '^(m1|19)' OR e.reference ~ '^7-')) AS events
                         FROM mfiauto._read_webhook(p.definition::text, t.method, replace(t.place, '%s', w.word), CASE t.kind WHEN '' THEN '{}' ELSE jsonb_build_object('content-type', t.kind) END,
                                                    convert_to(replace(t.body, '%s', w.word), 'UTF8')) e) r;
SELECT count(*) > 150 AS many, count(DISTINCT name) AS kinds, count(*) FILTER (WHERE events <> 1) AS not_read FROM read;
SELECT * FROM read WHERE (state, doing) IS DISTINCT FROM (as_read, as_done) OR events <> 1 ORDER BY 1, 2;
-- No preset that reads words has one that is not here. (A modem's own are in a table, and seen with it; ESME_R stands for all that begin so.)
SELECT p.preset, w.key AS word FROM mfiauto.gateway_preset p CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(p.definition -> 'receipt') WHEN 'array' THEN p.definition -> 'receipt' ELSE jsonb_build_array(p.definition -> 'receipt') END) r,
       jsonb_each(coalesce(r.value -> 'states', '{}') || coalesce(r.value -> 'interactions', '{}')) w
 WHERE p.definition ? 'receipt' AND p.preset <> 'gammu' AND w.key <> 'ESME_R' AND NOT EXISTS (SELECT FROM read d WHERE d.name ~ ('^' || p.preset || '(_codes|_types|_temporary|_transient)?$') AND d.word = w.key) ORDER BY 1, 2;
-- A word that nobody knows is kept and changes nothing.
SELECT n.name, count(e.part) AS events, min(e.state) AS state
  FROM told t CROSS JOIN unnest(t.presets) AS n(name) JOIN mfiauto.gateway_preset p ON p.preset = n.name
  LEFT JOIN LATERAL mfiauto._read_webhook(p.definition::text, t.method, replace(t.place, '%s', 'thinking'), CASE t.kind WHEN '' THEN '{}' ELSE jsonb_build_object('content-type', t.kind) END,
                                          convert_to(replace(t.body, '%s', 'thinking'), 'UTF8')) e ON true GROUP BY 1 HAVING count(e.part) <> 1 OR min(e.state) IS NOT NULL ORDER BY 1;
-- Why a message was not delivered: he does not want it, his address is dead, or neither.
SELECT v.preset, v.code, v.opted_out = coalesce(e.opted_out, false) AND v.dead = coalesce(e.dead, false) AS agrees
  FROM (VALUES ('twilio', '{"Content-Type": "application/x-www-form-urlencoded"}', 'MessageSid=m1&MessageStatus=failed&ErrorCode=%s', '21610', true, false), ('twilio', '{"Content-Type": "application/x-www-form-urlencoded"}', 'MessageSid=m1&MessageStatus=failed&ErrorCode=%s', '30003', false, false),
               ('twilio_whatsapp', '{"Content-Type": "application/x-www-form-urlencoded"}', 'MessageSid=m1&MessageStatus=failed&ErrorCode=%s', '63024', false, true),
               ('africastalking', '{}', 'id=m1&status=Failed&failureReason=%s', 'UserInBlackList', true, false), ('africastalking', '{}', 'id=m1&status=Failed&failureReason=%s', 'NotNetworkSubscriber', false, true),
               ('africastalking', '{}', 'id=m1&status=Failed&failureReason=%s', 'InsufficientCredit', false, false),
               ('infobip', '{}', '{"results": [{"messageId": "m1", "status": {"groupName": "UNDELIVERABLE"}, "error": {"name": "%s"}}]}', 'EC_UNKNOWN_SUBSCRIBER', false, true),
               ('infobip', '{}', '{"results": [{"messageId": "m1", "status": {"groupName": "UNDELIVERABLE"}, "error": {"name": "%s"}}]}', 'EC_ABSENT_SUBSCRIBER', false, false),
               ('vonage_messages', '{}', '{"message_uuid": "m1", "status": "rejected", "error": {"title": %s}}', '1240', true, false), ('vonage_messages', '{}', '{"message_uuid": "m1", "status": "rejected", "error": {"title": %s}}', '1190', false, true),
               ('vonage_messages', '{}', '{"message_uuid": "m1", "status": "rejected", "error": {"title": "%s"}}', '1170', false, true), ('vonage_messages', '{}', '{"message_uuid": "m1", "status": "rejected", "error": {"title": %s}}', '1180', false, false),
               ('infobip_whatsapp', '{}', '{"results": [{"messageId": "m1", "status": {"groupName": "REJECTED"}, "error": {"name": "%s"}}]}', 'EC_USER_OPTED_OUT', true, false),
               ('whatsapp_cloud', '{}', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "m1", "status": "failed", "errors": [{"code": %s}]}]}}]}]}', '131050', true, false),
               ('whatsapp_cloud', '{}', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "m1", "status": "failed", "errors": [{"code": %s}]}]}}]}]}', '131026', false, true),
               ('whatsapp_cloud', '{}', '{"entry": [{"changes": [{"value": {"statuses": [{"id": "m1", "status": "failed", "errors": [{"code": %s}]}]}}]}]}', '131047', false, false)) AS v(preset, headers, body, code, opted_out, dead)
  JOIN mfiauto.gateway_preset p USING (preset) LEFT JOIN LATERAL mfiauto._read_webhook(p.definition::text, 'POST', '', v.headers::jsonb, convert_to(replace(v.body, '%s', v.code), 'UTF8')) e ON true
UNION ALL
SELECT 'messagebird', c, (c = '103') = coalesce(e.opted_out, false) FROM mfiauto.gateway_preset p, unnest('{103,9}'::text[]) c, mfiauto._read_webhook(p.definition::text, 'GET', 'id=m1&status=delivery_failed&statusErrorCode=' || c, '{}', '') e WHERE p.preset = 'messagebird' ORDER BY 1, 2;
