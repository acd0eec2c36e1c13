-- The inbox of the app: messages that wait in the database until the app fetches them and says what became of them.

CREATE TABLE mfiauto.inbox (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL,
  gateway text NOT NULL,
  title text,
  body text NOT NULL,
  action_url text,
  action_label text,
  image text,
  kept_at timestamptz NOT NULL,
  expires_at timestamptz,
  delivered_at timestamptz,
  read_at timestamptz,
  dismissed_at timestamptz,
  CONSTRAINT inbox_pkey PRIMARY KEY (client_id, message_id)
);
CREATE INDEX inbox_waiting_idx ON mfiauto.inbox (expires_at) WHERE delivered_at IS NULL;
COMMENT ON TABLE mfiauto.inbox IS
  'In-app messages: kept_at when delivery put one here, delivered_at when the app had it, read_at and dismissed_at when the client did. One that nobody fetched by expires_at counts as not delivered.';
