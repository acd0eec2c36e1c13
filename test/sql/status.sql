-- mfiauto.status says what is wrong, and arm_delivery() who may send.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
CREATE ROLE status_owner;
SELECT mfiauto.install('status_owner');
SELECT item, state, regexp_replace(detail, '\d+ kB', '… kB') AS detail FROM mfiauto.status;

-- Who may send.
SELECT mfiauto.allow_node(repeat('a', 32));
SELECT mfiauto.arm_delivery() = mfiauto.this_node() AS is_this_node;
SELECT state, detail FROM mfiauto.status WHERE item = 'delivery';
SELECT mfiauto.allow_node('standby1');
SELECT mfiauto.allow_node(NULL);
SELECT mfiauto.allow_node(repeat('a', 32));
SELECT mfiauto.allow_node(repeat('a', 32));
SELECT count(*) AS nodes, count(DISTINCT (system_identifier, database_oid, timeline)) AS sites FROM mfiauto.armed_site;
CREATE ROLE status_nobody;
GRANT USAGE ON SCHEMA mfiauto TO status_nobody;
GRANT EXECUTE ON FUNCTION mfiauto.arm_delivery(), mfiauto.allow_node(text), mfiauto.disarm_delivery() TO status_nobody;
SET ROLE status_nobody;
SELECT mfiauto.arm_delivery();
SELECT mfiauto.allow_node(repeat('b', 32));
SELECT mfiauto.disarm_delivery();
RESET ROLE;
GRANT status_owner TO status_nobody;
SET ROLE status_nobody;
SELECT mfiauto.arm_delivery() = mfiauto.this_node() AS is_this_node;
RESET ROLE;
SELECT armed_by, node = mfiauto.this_node() AS is_this_node FROM mfiauto.armed_site;

-- What each kind of copy looks like from the table's side; TAP makes real copies.
BEGIN;
UPDATE mfiauto.armed_site SET system_identifier = system_identifier + 1;
SELECT mfiauto._delivery_refusal();
ROLLBACK;
BEGIN;
UPDATE mfiauto.armed_site SET database_oid = database_oid + 1, database_name = 'bank';
SELECT mfiauto._delivery_refusal();
ROLLBACK;
BEGIN;
UPDATE mfiauto.armed_site SET node = repeat('c', 32);
SELECT mfiauto._delivery_refusal();
ROLLBACK;
BEGIN;
UPDATE mfiauto.armed_site SET timeline = timeline + 7;
SELECT mfiauto._delivery_refusal();
ROLLBACK;
BEGIN;
UPDATE mfiauto.armed_site SET site = 'Dakar';
SELECT mfiauto._delivery_refusal();
ROLLBACK;
SET mfiauto.delivery = off;
SELECT state, detail FROM mfiauto.status WHERE item = 'delivery';
SET mfiauto.delivery = dry_run;
SELECT state, detail FROM mfiauto.status WHERE item = 'delivery';
RESET mfiauto.delivery;
-- Under a clock only what stays on this machine is used, so arming does not matter.
SELECT mfiauto.set_clock('2026-01-05 09:00+00');
SELECT mfiauto.now();
SELECT state, detail FROM mfiauto.status WHERE item = 'delivery';
SELECT mfiauto.set_clock('infinity');
SELECT mfiauto.set_clock(NULL);
SELECT mfiauto.now() = now() AS is_real_time;
SELECT mfiauto.disarm_delivery();
SELECT state, detail FROM mfiauto.status WHERE item = 'delivery';

-- A gateway that is stopped is an error, one that rests a warning, one out of use nothing.
SELECT mfiauto.create_gateway(g, 'sms', 'sandbox') FROM unnest('{a,b,c,d}'::text[]) g;
SELECT state, detail FROM mfiauto.status WHERE item = 'gateways';
INSERT INTO mfiauto.gateway_state (gateway, circuit, open_until, last_error) VALUES ('b', 'open', now() + interval '1 minute', 'Connection refused')
  ON CONFLICT (gateway) DO UPDATE SET circuit = excluded.circuit, open_until = excluded.open_until, last_error = excluded.last_error;
SELECT state, detail FROM mfiauto.status WHERE item = 'gateways';
INSERT INTO mfiauto.gateway_state (gateway, circuit, stopped_reason) VALUES ('c', 'stopped', 'HTTP 401'), ('d', 'stopped', 'HTTP 402')
  ON CONFLICT (gateway) DO UPDATE SET circuit = excluded.circuit, stopped_reason = excluded.stopped_reason;
SELECT mfiauto.alter_gateway('d', is_enabled => false);
SELECT state, detail FROM mfiauto.status WHERE item = 'gateways';
SELECT mfiauto.drop_gateway(g) FROM unnest('{a,b,c,d}'::text[]) g;

-- A long silence before what waits in the queue.
SELECT mfiauto._hold_stale_delivery() AS nothing_to_say;
INSERT INTO mfiauto.worker_state (worker, heartbeat_at) VALUES ('delivery', now() - interval '3 days');
SELECT mfiauto._hold_stale_delivery() AS queue_is_empty;
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at)
VALUES (1, 1, now() - interval '4 days', 'sms', 5, now() - interval '4 days');
SELECT regexp_replace(mfiauto._hold_stale_delivery(), '[0-9.:]+', '…', 'g');
SELECT mfiauto._hold_stale_delivery() AS once_is_enough;
SELECT mfiauto.arm_delivery() = mfiauto.this_node() AS is_this_node;
SELECT state, left(detail, 45) AS detail FROM mfiauto.status WHERE item IN ('delivery', 'queue');

-- Errors, parked facts, broken bindings.
INSERT INTO mfiauto.worker_state (worker, last_error, last_error_at) VALUES ('engine', 'division by zero (22012)', now() - interval '3 minutes');
INSERT INTO mfiauto.parked_fact (stage, reason, parked_at) VALUES ('capture', 'no_client', now());
CREATE TABLE public.status_client (id bigint PRIMARY KEY, phone text);
GRANT SELECT, TRIGGER ON public.status_client TO status_owner;
SELECT mfiauto.bind('client', 'public.status_client', '{"client_id": "id", "phone": "phone"}');
SELECT item, state, detail FROM mfiauto.status WHERE item IN ('last error', 'parked', 'bindings', 'phone numbers');
-- Numbers are normalized or listed, never guessed.
INSERT INTO public.status_client VALUES (1, '+221 77 000 00 01'), (2, '77 000 00 02'), (3, '12'), (4, 'call the uncle'), (5, NULL), (6, '');
SELECT mfiauto.resync('client');
SELECT client_id, phone, country, problem FROM mfiauto.unusable_phone ORDER BY client_id;
SELECT item, state, detail FROM mfiauto.status WHERE item = 'phone numbers';
DROP TABLE public.status_client;
SELECT state, detail ~ 'status_client' AS names_it FROM mfiauto.status WHERE item = 'bindings';
