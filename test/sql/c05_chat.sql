-- C5: on WhatsApp and Messenger free text goes only within 24 hours of the client's last message: outside it is refused before the gateway is called, and the step's next channel is tried; a template of the provider's may always go.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
\set ECHO none
SELECT mfiauto.install();
\i test/lib/trigger_books.sql
\set ECHO all
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
SELECT mfiauto.create_gateway('wa', 'whatsapp', 'sandbox'), mfiauto.create_gateway('fb', 'messenger', 'sandbox'), mfiauto.create_gateway('tg', 'telegram', 'sandbox');
SELECT count(mfiauto.create_template('free', channel => c, body => 'free {{client.name}}', class => 'transactional')) FROM unnest('{whatsapp,messenger,telegram,sms}'::text[]) c;
SELECT mfiauto.create_template('approved', channel => 'whatsapp', body => 'due {{client.name}}', class => 'transactional', options => '{"template": "payment_due", "language": "fr", "parameters": ["{{client.name}}"]}') AS version;
INSERT INTO bank.client (id, name, phone) SELECT g, 'Client ' || g, '+2217700000' || lpad(g::text, 2, '0') FROM generate_series(1, 8) g;
SELECT events > 0 AS known FROM mfiauto.run_engine();
SELECT mfiauto.link_address(c, 'messenger', 'fb' || c), mfiauto.link_address(c, 'telegram', 'tg' || c) FROM unnest('{3,4,5}'::bigint[]) c;
SELECT mfiauto.create_workflow('free', '{"trigger": {"event": "Free"}, "class": "transactional", "reentry": "always", "steps": [{"send": "free", "channels": ["whatsapp", "sms"]}]}') AS version;
SELECT mfiauto.create_workflow('alone', '{"trigger": {"event": "Alone"}, "class": "transactional", "reentry": "always", "steps": [{"send": "free", "channels": ["whatsapp"]}]}') AS version;
SELECT mfiauto.create_workflow('approved', '{"trigger": {"event": "Approved"}, "class": "transactional", "steps": [{"send": "approved", "channels": ["whatsapp", "sms"]}]}') AS version;
SELECT mfiauto.create_workflow('chat', '{"trigger": {"event": "Chat"}, "class": "transactional", "steps": [{"send": "free", "channels": ["messenger", "telegram"]}]}') AS version;
SELECT count(mfiauto.activate_workflow(w)) FROM unnest('{free,alone,approved,chat}'::text[]) w;
-- What left, with the gateways that were called: what is refused never reaches one.
CREATE FUNCTION pg_temp.deliver() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE g record; number bigint := 0;
BEGIN
  FOR g IN SELECT * FROM mfiauto.gateway_config ORDER BY gateway LOOP
    CREATE TEMP TABLE claimed AS SELECT * FROM mfiauto._claim_messages(g.gateway, g.channel, '{}', 100, pg_backend_pid(), 60, '{}') c WHERE c.message_id IS NOT NULL;
    PERFORM mfiauto._keep_in_sandbox(array_agg(c.client_id), array_agg(c.message_id), g.gateway) FROM claimed c;
    PERFORM mfiauto._settle_messages(array_agg(c.client_id), array_agg(c.message_id), array_agg('sent'::text), array_agg(NULL::text)) FROM claimed c HAVING count(*) > 0;
    number := number + (SELECT count(*) FROM claimed);
    DROP TABLE claimed;
  END LOOP;
  RETURN number;
END $$;
-- Steps, what may leave, the next channel of what may not, and that.
\set deliver 'SELECT messages FROM mfiauto.run_engine(); SELECT pg_temp.deliver() AS left; SELECT messages FROM mfiauto.run_engine(); SELECT pg_temp.deliver() AS left;'
CREATE VIEW public.told AS
  SELECT m.workflow, m.client_id, string_agg(concat_ws(' ', m.channel, m.state, m.reason), ', ' ORDER BY m.message_id) AS messages,
         (SELECT string_agg(s.gateway, ', ' ORDER BY s.sandbox_id) FROM mfiauto.sandbox_message s WHERE s.message_id = ANY (array_agg(m.message_id))) AS gateways
    FROM mfiauto.message m GROUP BY 1, 2;

-- 1 wrote an hour ago, 2 24 hours and a second ago, 3 never; the books' sms is the way on. 4 wrote on Messenger, 5 did not.
SELECT mfiauto._set_clock('2026-01-04 08:59:59+00'), mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000002', NULL, 'Bonjour', 'w2', NULL, NULL) > 0;
SELECT mfiauto._set_clock('2026-01-05 08:00+00'), mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000001', NULL, 'Bonjour', 'w1', NULL, NULL) > 0,
       mfiauto._take_inbound('fb', 'messenger', 'message', 'fb4', NULL, 'Bonjour', 'w4', NULL, NULL) > 0;
SELECT client_id, channel, received_at FROM mfiauto.last_inbound ORDER BY 1, 2;
SELECT mfiauto._set_clock('2026-01-05 09:00+00'), count(mfiauto.track('Free', c)) FROM unnest('{1,2,3}'::bigint[]) c;
SELECT count(mfiauto.track('Alone', c)) FROM unnest('{1,2}'::bigint[]) c;
SELECT count(mfiauto.track('Approved', c)) FROM unnest('{1,2,3}'::bigint[]) c;
SELECT count(mfiauto.track('Chat', c)) FROM unnest('{3,4,5}'::bigint[]) c;
SELECT mfiauto._set_clock('2026-01-05 09:00+00');
:deliver
SELECT * FROM told ORDER BY 1, 2;
-- The session ends between queue and claim: it is the claim that counts; and one that is reopened in between is open.
SELECT mfiauto.track('Alone', 1) > 0, mfiauto.track('Alone', 2) > 0;
SELECT entered FROM mfiauto.run_engine();
SELECT mfiauto._set_clock('2026-01-06 08:00+00'), mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000002', NULL, 'Je suis là', 'w5', NULL, NULL) > 0;
SELECT mfiauto._set_clock('2026-01-06 08:00:01+00');
:deliver
SELECT * FROM told WHERE workflow = 'alone' ORDER BY 1, 2;
-- A late message counts from when it was sent, a wrong clock does not reach into the future, and an older one takes nothing back.
SELECT mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000006', NULL, 'a', 'w6', '2026-01-06 06:00+00', NULL) > 0, mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000007', NULL, 'a', 'w7', '2026-01-06 08:30+00', NULL) > 0,
       mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000006', NULL, 'b', 'w8', '2026-01-06 05:00+00', NULL) > 0;
SELECT client_id, received_at FROM mfiauto.last_inbound WHERE client_id IN (6, 7) ORDER BY 1;
-- Who stopped on the channel has the step's other one, also who stops when it waits already, within the session or not.
SELECT mfiauto.create_template('offers', channel => c, body => 'offer', class => 'collection') AS version FROM unnest('{whatsapp,sms}'::text[]) c;
SELECT mfiauto.create_workflow('offers', '{"trigger": {"event": "Offers"}, "class": "collection", "steps": [{"send": "offers", "channels": ["whatsapp", "sms"]}]}') AS version;
SELECT mfiauto.activate_workflow('offers');
SELECT mfiauto._set_clock('2026-01-06 08:30+00'), mfiauto.opt_out(6, 'whatsapp');
SELECT count(mfiauto.track('Offers', c)) FROM unnest('{1,2,6,8}'::bigint[]) c;
SELECT messages FROM mfiauto.run_engine();
SELECT mfiauto._take_inbound('wa', 'whatsapp', 'message', '221770000002', NULL, 'STOP', 'w9', NULL, NULL) > 0, mfiauto.opt_out(8, 'whatsapp');
SELECT mfiauto._set_clock('2026-01-06 09:30+00');
:deliver
SELECT * FROM told WHERE workflow = 'offers' ORDER BY 1, 2;
SELECT reason, meaning FROM mfiauto.message_reason WHERE reason = 'outside_session';
