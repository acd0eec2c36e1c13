-- What this installation is, and whose institution it serves.

CREATE TABLE mfiauto.installation (
  one_row boolean NOT NULL DEFAULT true,
  installation_id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  schema_version integer NOT NULL,
  installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT installation_pkey PRIMARY KEY (one_row),
  CONSTRAINT installation_one_row_check CHECK (one_row)
);
COMMENT ON TABLE mfiauto.installation IS
  'One row: this installation''s identity and the version of its tables. Its owner is the installation''s owner.';

CREATE TABLE mfiauto.institution (
  one_row boolean NOT NULL DEFAULT true,
  name text NOT NULL DEFAULT 'Institution',
  country text NOT NULL DEFAULT 'SN',
  time_zone text NOT NULL DEFAULT 'UTC',
  locale text NOT NULL DEFAULT 'fr',
  currency text NOT NULL DEFAULT 'XOF',
  grace_days integer NOT NULL DEFAULT 0,
  public_url text,
  has_open_pixel boolean NOT NULL DEFAULT true,
  CONSTRAINT institution_pkey PRIMARY KEY (one_row),
  CONSTRAINT institution_one_row_check CHECK (one_row),
  CONSTRAINT institution_country_check CHECK (country ~ '^[A-Z]{2}$'),
  CONSTRAINT institution_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT institution_public_url_check CHECK (public_url ~ '^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$'),
  CONSTRAINT institution_grace_days_check CHECK (grace_days BETWEEN 0 AND 90)
);
COMMENT ON TABLE mfiauto.institution IS
  'One row: the defaults for clients whose own country, zone, locale or currency is not known. Set with set_institution().';
INSERT INTO mfiauto.institution (one_row) VALUES (true);

-- Who may send: see arm_delivery(). A copy of this database finds that it is not the one named here.
CREATE TABLE mfiauto.armed_site (
  system_identifier numeric NOT NULL,
  database_name text NOT NULL,
  database_oid bigint NOT NULL,
  timeline bigint NOT NULL,
  node text NOT NULL,
  site text,
  armed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  armed_by text NOT NULL,
  CONSTRAINT armed_site_pkey PRIMARY KEY (node)
);
COMMENT ON TABLE mfiauto.armed_site IS 'The servers (one, or the members of a failover pair) that may deliver for this installation.';

CREATE TABLE mfiauto.delivery_hold (
  hold_id bigint NOT NULL,
  scope text NOT NULL,
  target text,
  reason text NOT NULL,
  held_at timestamptz NOT NULL,
  held_by text NOT NULL,
  CONSTRAINT delivery_hold_pkey PRIMARY KEY (hold_id),
  CONSTRAINT delivery_hold_scope_check CHECK (scope IN ('all', 'gateway', 'workflow')),
  CONSTRAINT delivery_hold_target_check CHECK ((scope = 'all') = (target IS NULL))
);
CREATE SEQUENCE mfiauto.delivery_hold_id_seq AS bigint OWNED BY mfiauto.delivery_hold.hold_id;
ALTER TABLE mfiauto.delivery_hold ALTER COLUMN hold_id SET DEFAULT nextval('mfiauto.delivery_hold_id_seq');
COMMENT ON TABLE mfiauto.delivery_hold IS 'What hold_delivery() holds until release_delivery().';

-- What each worker last did; a heartbeat older than mfiauto.max_downtime holds delivery.
CREATE TABLE mfiauto.worker_state (
  worker text NOT NULL,
  pid integer,
  started_at timestamptz,
  heartbeat_at timestamptz,
  last_pass_at timestamptz,
  last_error text,
  last_error_at timestamptz,
  note text,
  CONSTRAINT worker_state_pkey PRIMARY KEY (worker)
) WITH (fillfactor = 20);
COMMENT ON TABLE mfiauto.worker_state IS 'One row a worker: its process, its last pass and its last error, as mfiauto.status shows them.';

CREATE TABLE mfiauto.access_grant (
  role_name text NOT NULL,
  profile text NOT NULL,
  granted_at timestamptz NOT NULL,
  granted_by text NOT NULL,
  CONSTRAINT access_grant_pkey PRIMARY KEY (role_name, profile),
  CONSTRAINT access_grant_profile_check CHECK (profile IN ('admin', 'author', 'analyst', 'app', 'receiver', 'officer', 'branch'))
);
COMMENT ON TABLE mfiauto.access_grant IS 'Which role has which access profile; grant_access() and revoke_access() write it, migrate() applies it to new functions.';
