-- What happened to clients: an append-only log in time partitions by arrival.

CREATE SEQUENCE mfiauto.event_id_seq AS bigint;
CREATE TABLE mfiauto.event_log (
  event_id bigint NOT NULL DEFAULT nextval('mfiauto.event_id_seq'),
  client_id bigint NOT NULL,
  name text NOT NULL,
  subject text,
  subject_id bigint,
  loan_id bigint,
  properties jsonb NOT NULL DEFAULT '{}',
  hops integer NOT NULL DEFAULT 0,
  occurred_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT event_log_pkey PRIMARY KEY (client_id, received_at, event_id),
  CONSTRAINT event_log_name_check CHECK (length(name) BETWEEN 1 AND 200)
) PARTITION BY RANGE (received_at);
CREATE TABLE mfiauto.event_log_default PARTITION OF mfiauto.event_log DEFAULT;
CREATE INDEX event_log_event_idx ON mfiauto.event_log (event_id);

CREATE VIEW mfiauto.event AS
  SELECT event_id, name, client_id, subject, subject_id, loan_id, properties, occurred_at, received_at
    FROM mfiauto.event_log;
COMMENT ON VIEW mfiauto.event IS
  'What happened, named as in the Segment specification (Object Action). Standard events come from bound relations, others from watch() and track().';
