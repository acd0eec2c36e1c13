-- Segments: what each is, who is and was a member. Every segment also is a view in schema mfiauto_segment.

CREATE SEQUENCE mfiauto.segment_id_seq AS bigint;
CREATE TABLE mfiauto.segment_definition (
  segment_id integer NOT NULL DEFAULT nextval('mfiauto.segment_id_seq'),
  name text NOT NULL,
  description text,
  source text,
  query text,
  restricted_query text,
  full_reason text,
  is_timed boolean NOT NULL DEFAULT false,
  is_real_time boolean NOT NULL DEFAULT false,
  reads_segments text[] NOT NULL DEFAULT '{}',
  reads_columns text[] NOT NULL DEFAULT '{}',
  depth integer NOT NULL DEFAULT 0,
  refresh_every interval,
  refreshed_at timestamptz NOT NULL,
  tried_at timestamptz NOT NULL,
  problem text,
  owner text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT segment_definition_pkey PRIMARY KEY (segment_id),
  CONSTRAINT segment_definition_name_key UNIQUE (name),
  CONSTRAINT segment_definition_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  CONSTRAINT segment_definition_refresh_every_check CHECK (refresh_every > interval '0'),
  CONSTRAINT segment_definition_static_check CHECK (query IS NOT NULL OR restricted_query IS NULL AND NOT is_real_time AND refresh_every IS NULL)
) WITH (fillfactor = 50);
COMMENT ON TABLE mfiauto.segment_definition IS
  'A segment by its name. source: its query as it was written. query: as PostgreSQL wrote it back, null for a static list; run with the rights of owner. restricted_query: the same for the clients of $1
   (bigint[]) alone, null where membership depends on more than the client''s own rows (full_reason says why). is_timed: the clock alone can change it. depth: above the
   segments that it reads. refreshed_at: the last full refresh; tried_at: the last attempt; problem: why it failed, until one succeeds.';

-- One row a stay: until is null while it lasts. A client may come and go more than once at the same moment of the clock.
CREATE SEQUENCE mfiauto.segment_membership_id_seq AS bigint;
CREATE TABLE mfiauto.segment_membership (
  client_id bigint NOT NULL,
  segment_id integer NOT NULL,
  membership_id bigint NOT NULL DEFAULT nextval('mfiauto.segment_membership_id_seq'),
  since timestamptz NOT NULL,
  until timestamptz,
  CONSTRAINT segment_membership_pkey PRIMARY KEY (client_id, segment_id, membership_id)
);
CREATE UNIQUE INDEX segment_membership_present_key ON mfiauto.segment_membership (client_id, segment_id) WHERE until IS NULL;
CREATE INDEX segment_membership_segment_idx ON mfiauto.segment_membership (segment_id, client_id) WHERE until IS NULL;
CREATE INDEX segment_membership_past_idx ON mfiauto.segment_membership (segment_id, until) WHERE until IS NOT NULL;
COMMENT ON TABLE mfiauto.segment_membership IS 'Who is a member of which segment (until null), and who was when.';

-- Clients whom the engine could not look at because a refresh had the segment; segment 0: one that was being created stood in the way.
CREATE TABLE mfiauto.segment_pending (
  client_id bigint NOT NULL,
  segment_id integer NOT NULL,
  CONSTRAINT segment_pending_pkey PRIMARY KEY (client_id, segment_id)
);
COMMENT ON TABLE mfiauto.segment_pending IS 'Clients whose membership the engine has still to look at, because the segment was being refreshed, altered or created at the time.';

-- What must not decide lightly how a client is treated.
CREATE TABLE mfiauto.protected_attribute (
  attribute text NOT NULL,
  reason text,
  CONSTRAINT protected_attribute_pkey PRIMARY KEY (attribute),
  CONSTRAINT protected_attribute_attribute_check CHECK (attribute ~ '^(traits\.)?[^.[:cntrl:]]+$')
);
COMMENT ON TABLE mfiauto.protected_attribute IS
  'Attributes of a client whose use mfiauto.fair_treatment lists: a column of client or client_profile (gender), or a trait (traits.religion). protect_attribute() adds one.';
INSERT INTO mfiauto.protected_attribute VALUES ('gender', 'Equal treatment of women and men.');

CREATE VIEW mfiauto.segment AS
  SELECT s.name, CASE WHEN s.query IS NULL THEN 'static' ELSE 'query' END AS kind,
         CASE WHEN s.query IS NULL THEN 'by hand' WHEN s.restricted_query IS NULL THEN 'in full' WHEN s.is_timed THEN 'by changes and in full' ELSE 'by changes' END AS refresh,
         CASE WHEN s.restricted_query IS NULL THEN s.full_reason WHEN s.is_timed THEN 'it depends on the time' END AS refresh_reason,
         s.is_real_time AS real_time,
         coalesce(s.refresh_every, CASE WHEN s.query IS NULL THEN NULL WHEN s.restricted_query IS NULL OR s.is_timed THEN interval '1 hour' ELSE interval '1 day' END) AS refresh_every,
         (SELECT count(*) FROM mfiauto.segment_membership m WHERE m.segment_id = s.segment_id AND m.until IS NULL) AS members,
         CASE WHEN s.query IS NOT NULL THEN s.refreshed_at END AS refreshed_at, s.problem, s.reads_segments, s.reads_columns, s.description, s.owner, s.created_at, s.query
    FROM mfiauto.segment_definition s;
COMMENT ON VIEW mfiauto.segment IS
  'Each segment: how many members, how and when it was refreshed, what it reads, what is wrong with it. refresh: by changes (client by client as the books change), in full
   (refresh_reason says why; every refresh_every), both (it depends on the time, too), or by hand (a list).';

CREATE VIEW mfiauto.segment_size_history AS
  SELECT d.name AS segment, c.day, sum(c.entered - c.left_count) OVER (PARTITION BY c.segment_id ORDER BY c.day)::bigint AS members, c.entered, c.left_count AS "left"
    FROM (SELECT t.segment_id, (t.at AT TIME ZONE i.time_zone)::date AS day, sum(t.entered)::bigint AS entered, sum(t.gone)::bigint AS left_count
            FROM mfiauto.institution i
           CROSS JOIN (SELECT m.segment_id, m.since AS at, 1 AS entered, 0 AS gone FROM mfiauto.segment_membership m WHERE m.since IS DISTINCT FROM m.until
                       UNION ALL
                       SELECT m.segment_id, m.until, 0, 1 FROM mfiauto.segment_membership m WHERE m.until IS NOT NULL AND m.since <> m.until) t
           GROUP BY 1, 2) c
    JOIN mfiauto.segment_definition d ON d.segment_id = c.segment_id;
COMMENT ON VIEW mfiauto.segment_size_history IS
  'The size of each segment at the end of each day (of the institution''s zone) on which somebody came or went, and how many did.';
