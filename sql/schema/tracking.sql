-- What the tracking API needs to know: who may write, what was taken already, and what people did before they said who they are.

CREATE TABLE mfiauto.write_key (
  name text NOT NULL,
  key_digest bytea NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  CONSTRAINT write_key_pkey PRIMARY KEY (name),
  CONSTRAINT write_key_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$')
);
COMMENT ON TABLE mfiauto.write_key IS 'The sources that may use the tracking API, and the SHA-256 of the write key of each; create_write_key() and drop_write_key() write it.';

-- Narrow, because it has a row for every message of the last seven days.
CREATE TABLE mfiauto.tracking_message (
  message_digest uuid NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT tracking_message_pkey PRIMARY KEY (message_digest)
);
CREATE INDEX tracking_message_received_at_idx ON mfiauto.tracking_message (received_at);
COMMENT ON TABLE mfiauto.tracking_message IS 'What the tracking API took in the last seven days, by a digest of source and messageId: a message that comes again is not taken again.';

CREATE SEQUENCE mfiauto.anonymous_event_id_seq AS bigint;
CREATE TABLE mfiauto.anonymous_event (
  anonymous_event_id bigint NOT NULL DEFAULT nextval('mfiauto.anonymous_event_id_seq'),
  anonymous_id text NOT NULL,
  name text NOT NULL,
  properties jsonb NOT NULL,
  occurred_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT anonymous_event_pkey PRIMARY KEY (anonymous_event_id)
);
CREATE INDEX anonymous_event_anonymous_id_idx ON mfiauto.anonymous_event (anonymous_id);
CREATE INDEX anonymous_event_received_at_idx ON mfiauto.anonymous_event (received_at);
COMMENT ON TABLE mfiauto.anonymous_event IS
  'What visitors did before they said who they are: kept for seven days, and theirs if identify or alias names them in that time.';
