-- What we know of a person beyond the bank's own tables: identity of foreign keys, traits, consent, suppression.

CREATE SEQUENCE mfiauto.identity_client_id_seq AS bigint;
CREATE TABLE mfiauto.identity (
  client_id bigint NOT NULL DEFAULT nextval('mfiauto.identity_client_id_seq'),
  client_key text NOT NULL,
  CONSTRAINT identity_pkey PRIMARY KEY (client_id),
  CONSTRAINT identity_client_key_key UNIQUE (client_key)
);
COMMENT ON TABLE mfiauto.identity IS 'For a host whose clients are keyed by text or uuid: the bigint that stands for each key.';

CREATE TABLE mfiauto.client_trait (
  client_id bigint NOT NULL,
  traits jsonb NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT client_trait_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.client_trait IS 'Traits given by identify(); the bank''s own columns are read from its tables.';

CREATE SEQUENCE mfiauto.consent_id_seq AS bigint;
CREATE TABLE mfiauto.consent (
  client_id bigint NOT NULL,
  consent_id bigint NOT NULL DEFAULT nextval('mfiauto.consent_id_seq'),
  channel text,
  purpose text,
  granted boolean NOT NULL,
  reason text,
  source text,
  text_version text,
  proof jsonb,
  given_at timestamptz NOT NULL,
  recorded_by text NOT NULL,
  CONSTRAINT consent_pkey PRIMARY KEY (client_id, consent_id)
);
COMMENT ON TABLE mfiauto.consent IS
  'Append-only: each opt-in and opt-out with who, when, how. A null channel or purpose means all of them. The newest row that fits decides.';

CREATE TABLE mfiauto.suppression (
  channel text NOT NULL,
  address_hash text NOT NULL,
  reason text NOT NULL,
  suppressed_at timestamptz NOT NULL,
  CONSTRAINT suppression_pkey PRIMARY KEY (channel, address_hash)
);
COMMENT ON TABLE mfiauto.suppression IS
  'Addresses that are never written to again, whatever the class: SHA-256 of channel and address, so that it survives the client''s erasure.';

-- Addresses that the bank's books do not have: devices, and people's names at chat providers.
CREATE SEQUENCE mfiauto.client_address_id_seq AS bigint;
CREATE TABLE mfiauto.client_address (
  client_id bigint NOT NULL,
  client_address_id bigint NOT NULL DEFAULT nextval('mfiauto.client_address_id_seq'),
  channel text NOT NULL,
  address text NOT NULL,
  device jsonb,
  added_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  retired_at timestamptz,
  retired_reason text,
  CONSTRAINT client_address_pkey PRIMARY KEY (client_id, client_address_id),
  CONSTRAINT client_address_channel_check CHECK (channel IN ('push', 'whatsapp', 'telegram', 'messenger'))
);
CREATE UNIQUE INDEX client_address_live_idx ON mfiauto.client_address (channel, address) WHERE retired_at IS NULL;
COMMENT ON TABLE mfiauto.client_address IS
  'Push tokens, one a device, and the names that chat providers give a client. The live one that was seen last is written to; a provider that refuses one retires it.';

-- When a client last wrote to us: chat providers take free text only for so long after it.
CREATE TABLE mfiauto.last_inbound (
  client_id bigint NOT NULL,
  channel text NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT last_inbound_pkey PRIMARY KEY (client_id, channel)
);
COMMENT ON TABLE mfiauto.last_inbound IS 'The last message that a client sent us on a channel.';

-- Whom something changed for since the derived facts (who may see him, his profile, his segments) were last brought up to date.
CREATE TABLE mfiauto.client_dirty (
  client_id bigint NOT NULL,
  CONSTRAINT client_dirty_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.client_dirty IS 'Clients whose profile and segments the engine has still to look at; it empties it in batches when nothing else is due.';
