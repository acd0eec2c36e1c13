-- What providers send us, and what is remembered of it.

-- Receipts whose message is not known yet: a provider can be faster than our own commit of the id that it gave.
CREATE TABLE mfiauto.waiting_receipt (
  receipt_id bigint NOT NULL,
  received_at timestamptz NOT NULL,
  gateway text NOT NULL,
  event jsonb NOT NULL,
  look_count smallint NOT NULL,
  look_at timestamptz NOT NULL,
  CONSTRAINT waiting_receipt_pkey PRIMARY KEY (receipt_id)
);
CREATE INDEX waiting_receipt_look_idx ON mfiauto.waiting_receipt (look_at);
COMMENT ON TABLE mfiauto.waiting_receipt IS
  'Receipts of no message that we know: looked at again after 1, 2, 4, … seconds, at most six hours, for three days. The receipt itself stays in mfiauto.receipt.';

-- Deliveries already taken, against replays and repeats.
CREATE TABLE mfiauto.webhook_memory (
  gateway text NOT NULL,
  digest bytea NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT webhook_memory_pkey PRIMARY KEY (gateway, digest)
);
CREATE INDEX webhook_memory_received_idx ON mfiauto.webhook_memory (received_at);
COMMENT ON TABLE mfiauto.webhook_memory IS
  'SHA-256 of each signed webhook (or of the number that the provider gave it), for seven days: what comes again is answered and not read.';

CREATE SEQUENCE mfiauto.unread_webhook_id_seq AS bigint;
CREATE TABLE mfiauto.unread_webhook (
  webhook_id bigint NOT NULL DEFAULT nextval('mfiauto.unread_webhook_id_seq'),
  gateway text NOT NULL,
  problem text NOT NULL,
  method text NOT NULL,
  query text NOT NULL,
  content_type text,
  body bytea NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT unread_webhook_pkey PRIMARY KEY (webhook_id)
);
CREATE INDEX unread_webhook_gateway_idx ON mfiauto.unread_webhook (gateway, received_at);
COMMENT ON TABLE mfiauto.unread_webhook IS
  'Webhooks that were the provider''s, and that no rule of the gateway''s definition could read: kept for 30 days, for reread_webhooks() once the definition can.';

-- What an operator should know of a gateway's webhooks.
CREATE TABLE mfiauto.webhook_state (
  gateway text NOT NULL,
  refused_at timestamptz,
  refused_reason text,
  confirm_url text,
  confirm_at timestamptz,
  CONSTRAINT webhook_state_pkey PRIMARY KEY (gateway)
);
COMMENT ON TABLE mfiauto.webhook_state IS
  'The last webhook that was refused (noted at most once a second), and the address that Amazon SNS wants to be opened to confirm a subscription: a person opens it, the server never does.';

-- Providers that are asked instead of telling.
CREATE TABLE mfiauto.poll_state (
  gateway text NOT NULL,
  next_at timestamptz NOT NULL,
  asked_at timestamptz,
  status integer,
  error text,
  event_count bigint NOT NULL DEFAULT 0,
  failure_count integer NOT NULL DEFAULT 0,
  cursor text,
  CONSTRAINT poll_state_pkey PRIMARY KEY (gateway)
) WITH (fillfactor = 20);
COMMENT ON TABLE mfiauto.poll_state IS
  'When each gateway with "poll" is asked next, what came of the last time, how many events were new, and how far the provider''s list was read.';
