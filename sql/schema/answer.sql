-- What comes back: what people did with a message, and what they write or say to us.

CREATE SEQUENCE mfiauto.interaction_id_seq AS bigint;
CREATE TABLE mfiauto.interaction_log (
  client_id bigint NOT NULL,
  interaction_id bigint NOT NULL DEFAULT nextval('mfiauto.interaction_id_seq'),
  message_id bigint NOT NULL,
  kind text NOT NULL,
  is_bot boolean NOT NULL DEFAULT false,
  detail jsonb,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT interaction_log_pkey PRIMARY KEY (client_id, received_at, interaction_id),
  CONSTRAINT interaction_log_kind_check CHECK (kind IN ('opened', 'clicked', 'read', 'answered', 'heard', 'pressed', 'replied', 'unsubscribed', 'complained'))
) PARTITION BY RANGE (received_at);
CREATE TABLE mfiauto.interaction_log_default PARTITION OF mfiauto.interaction_log DEFAULT;
CREATE INDEX interaction_log_message_idx ON mfiauto.interaction_log (message_id);
COMMENT ON TABLE mfiauto.interaction_log IS
  'What a client did with a message: opened, clicked (detail: link, url), read, answered and heard (detail: seconds) a call, pressed (detail: digits), replied, unsubscribed, complained. is_bot: a machine did.';

CREATE SEQUENCE mfiauto.inbound_id_seq AS bigint;
CREATE TABLE mfiauto.inbound_log (
  client_id bigint NOT NULL DEFAULT 0,
  inbound_id bigint NOT NULL DEFAULT nextval('mfiauto.inbound_id_seq'),
  gateway text NOT NULL,
  channel text NOT NULL,
  kind text NOT NULL,
  from_address text NOT NULL,
  to_address text,
  body text,
  provider_id text,
  digest text NOT NULL,
  action text,
  keyword text,
  intent text,
  reply_to bigint,
  answer_id bigint,
  detail jsonb,
  sent_at timestamptz,
  received_at timestamptz NOT NULL,
  CONSTRAINT inbound_log_pkey PRIMARY KEY (client_id, received_at, inbound_id),
  CONSTRAINT inbound_log_kind_check CHECK (kind IN ('message', 'missed_call', 'call', 'button'))
) PARTITION BY RANGE (received_at);
CREATE TABLE mfiauto.inbound_log_default PARTITION OF mfiauto.inbound_log DEFAULT;
CREATE INDEX inbound_log_digest_idx ON mfiauto.inbound_log (gateway, digest);
COMMENT ON TABLE mfiauto.inbound_log IS
  'What people send us. client_id 0: nobody with that address is in the books. action: what the router made of it; reply_to: the last message that he had from us on the channel; answer_id: the one that answers.';
