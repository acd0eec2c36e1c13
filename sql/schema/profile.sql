-- The client's whole picture: one row a client, derived from the books, the events and the ledger; what users add to it; thresholds.

-- Areas as a tree. path: from the root down to the area itself, kept by set_area().
CREATE TABLE mfiauto.area (
  area text NOT NULL,
  parent text,
  name text,
  path text[] NOT NULL,
  CONSTRAINT area_pkey PRIMARY KEY (area),
  CONSTRAINT area_parent_fkey FOREIGN KEY (parent) REFERENCES mfiauto.area (area),
  CONSTRAINT area_area_check CHECK (length(area) BETWEEN 1 AND 200)
);
CREATE INDEX area_parent_idx ON mfiauto.area (parent);
COMMENT ON TABLE mfiauto.area IS
  'The tree of regions, districts, villages: area is what the books call it, path leads from the root down to it. Written by set_area().';

-- Sectors of activity: the sections of ISIC, revision 4, and what an institution adds.
CREATE TABLE mfiauto.sector (
  sector text NOT NULL,
  name text NOT NULL,
  CONSTRAINT sector_pkey PRIMARY KEY (sector)
);
INSERT INTO mfiauto.sector VALUES
  ('A', 'Agriculture, forestry and fishing'), ('B', 'Mining and quarrying'), ('C', 'Manufacturing'), ('D', 'Electricity, gas, steam and air conditioning'),
  ('E', 'Water supply, sewerage and waste'), ('F', 'Construction'), ('G', 'Wholesale and retail trade, repair of vehicles'), ('H', 'Transportation and storage'),
  ('I', 'Accommodation and food service'), ('J', 'Information and communication'), ('K', 'Financial and insurance activities'), ('L', 'Real estate'),
  ('M', 'Professional, scientific and technical activities'), ('N', 'Administrative and support services'), ('O', 'Public administration and defence'),
  ('P', 'Education'), ('Q', 'Human health and social work'), ('R', 'Arts, entertainment and recreation'), ('S', 'Other services'),
  ('T', 'Households as employers'), ('U', 'Extraterritorial organizations');
COMMENT ON TABLE mfiauto.sector IS 'The code list of sectors of activity. Written by set_sector().';

CREATE TABLE mfiauto.sector_alias (
  alias text NOT NULL,
  sector text NOT NULL,
  CONSTRAINT sector_alias_pkey PRIMARY KEY (alias),
  CONSTRAINT sector_alias_sector_fkey FOREIGN KEY (sector) REFERENCES mfiauto.sector (sector)
);
INSERT INTO mfiauto.sector_alias SELECT lower(s.sector), s.sector FROM mfiauto.sector s UNION ALL SELECT lower(s.name), s.sector FROM mfiauto.sector s;
INSERT INTO mfiauto.sector_alias VALUES ('agriculture', 'A'), ('farming', 'A'), ('fishing', 'A'), ('crafts', 'C'), 
  ('trade', 'G'), ('commerce', 'G'), ('retail', 'G'), ('transport', 'H'), ('restaurant', 'I'), ('health', 'Q'), ('services', 'S');
COMMENT ON TABLE mfiauto.sector_alias IS 'What the books may write for a sector, in lower case.';

-- What learning is worth: an event with these properties, once however often it happens.
CREATE TABLE mfiauto.education_weight (
  event text NOT NULL,
  properties jsonb NOT NULL,
  weight numeric NOT NULL,
  CONSTRAINT education_weight_pkey PRIMARY KEY (event, properties),
  CONSTRAINT education_weight_weight_check CHECK (weight BETWEEN -1000 AND 1000)
);
COMMENT ON TABLE mfiauto.education_weight IS
  'How much a finished lesson or a right answer adds to education_score: each row counts once for a client who has such an event. Written by set_education_weight().';

-- Events that happen to a client rather than by him. Every other event that was told (not emitted by a workflow) is an interaction.
CREATE TABLE mfiauto.passive_event (
  event text NOT NULL,
  CONSTRAINT passive_event_pkey PRIMARY KEY (event)
);
INSERT INTO mfiauto.passive_event VALUES
  ('Client Created'), ('Client Activated'), ('Client Closed'), ('Lead Created'), ('Loan Approved'), ('Loan Rejected'), ('Loan Disbursed'), ('Loan Closed'), ('Loan Written Off'),
  ('Installment Scheduled'), ('Installment Rescheduled'), ('Payment Reversed'), ('Holding Closed'), ('Client Status Changed'), ('Application Status Changed'),
  ('Loan Status Changed'), ('Holding Status Changed'), ('Segment Entered'), ('Segment Left'), ('Threshold Crossed'), ('Task Completed');
COMMENT ON TABLE mfiauto.passive_event IS 'Events that do not count as an interaction of the client. Written by set_interaction().';

CREATE TABLE mfiauto.first_source (
  client_id bigint NOT NULL,
  source text NOT NULL,
  seen_at timestamptz NOT NULL,
  CONSTRAINT first_source_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.first_source IS 'By which way a client came first; never changed, whatever the books say later.';

CREATE TABLE mfiauto.profile_state (
  client_id bigint NOT NULL,
  status text,
  gender text,
  birth_date date,
  age_years integer,
  region text,
  area_path text[],
  branch_id bigint,
  officer_id bigint,
  joined_on date,
  locale text,
  literacy text,
  network_reach text NOT NULL,
  delivery_ratio numeric,
  household_size integer,
  dependants integer,
  preferred_channel text,
  loan_cycle integer NOT NULL,
  loans_active integer NOT NULL,
  loans_closed integer NOT NULL,
  loan_standing text NOT NULL,
  on_time_ratio numeric,
  days_past_due integer NOT NULL,
  max_days_past_due integer NOT NULL,
  products text[] NOT NULL,
  products_since jsonb NOT NULL,
  interactions_30d integer NOT NULL,
  interactions_90d integer NOT NULL,
  last_interaction_at timestamptz,
  source text,
  outstanding jsonb NOT NULL,
  outstanding_amount numeric,
  loan_amounts jsonb NOT NULL,
  loan_amount numeric,
  sector text,
  sector_given text,
  education_score numeric NOT NULL,
  repayment_capacity numeric,
  traits jsonb NOT NULL,
  computed jsonb NOT NULL DEFAULT '{}',
  recheck_at timestamptz,
  computed_at timestamptz NOT NULL,
  CONSTRAINT profile_state_pkey PRIMARY KEY (client_id)
) WITH (fillfactor = 80);
CREATE INDEX profile_state_recheck_idx ON mfiauto.profile_state (recheck_at) WHERE recheck_at IS NOT NULL;
COMMENT ON TABLE mfiauto.profile_state IS
  'One row a client of the books, as mfiauto.client_profile shows it. traits: the bank''s and those of identify(); computed: those of create_trait(). recheck_at: when time alone changes something
   of it next. computed_at: when something of it last changed.';

-- Whose profile could not be computed: tried again then.
CREATE TABLE mfiauto.profile_pending (
  client_id bigint NOT NULL,
  retry_at timestamptz NOT NULL,
  CONSTRAINT profile_pending_pkey PRIMARY KEY (client_id)
);
CREATE INDEX profile_pending_retry_idx ON mfiauto.profile_pending (retry_at);
COMMENT ON TABLE mfiauto.profile_pending IS 'Clients whose profile could not be computed, because a binding is broken or an expression fails for them, and when it is tried again.';

-- The business date up to which the engine has brought what counts in days.
CREATE TABLE mfiauto.profile_clock (
  one_row boolean NOT NULL DEFAULT true,
  today date,
  CONSTRAINT profile_clock_pkey PRIMARY KEY (one_row),
  CONSTRAINT profile_clock_one_row_check CHECK (one_row)
);
INSERT INTO mfiauto.profile_clock (one_row) VALUES (true);

CREATE VIEW mfiauto.client_profile AS
  SELECT p.client_id, p.status, p.gender, p.birth_date, p.age_years,
         CASE WHEN p.age_years IS NULL THEN 'unknown' WHEN p.age_years < 18 THEN 'under 18' WHEN p.age_years < 26 THEN '18-25' WHEN p.age_years < 36 THEN '26-35'
              WHEN p.age_years < 51 THEN '36-50' WHEN p.age_years < 66 THEN '51-65' ELSE 'over 65' END AS age_band,
         p.region, p.area_path, p.branch_id, p.officer_id, p.joined_on, c.today - p.joined_on AS tenure_days, p.locale, p.literacy,
         p.network_reach, p.delivery_ratio, p.household_size, p.dependants, p.preferred_channel, p.loan_cycle, p.loans_active, p.loans_closed,
         p.loan_standing, p.on_time_ratio, p.days_past_due, p.max_days_past_due, p.products, cardinality(p.products) AS product_count, p.products_since,
         p.interactions_30d, p.interactions_90d, p.last_interaction_at, p.source, p.outstanding, p.outstanding_amount, p.loan_amounts, p.loan_amount,
         p.sector, p.education_score, p.repayment_capacity, p.traits || p.computed AS traits, p.computed_at
    FROM mfiauto.profile_state p, mfiauto.profile_clock c;
COMMENT ON VIEW mfiauto.client_profile IS
  'The client''s whole picture, one row a client, kept up to date by the engine: who he is, his loans and how he pays, what he holds, how he can be reached, what he does. No names and no addresses.';

CREATE VIEW mfiauto.unknown_sector AS
  SELECT p.sector_given AS sector, count(*) AS clients FROM mfiauto.profile_state p WHERE p.sector IS NULL AND p.sector_given IS NOT NULL GROUP BY p.sector_given;
COMMENT ON VIEW mfiauto.unknown_sector IS 'What the books write for a sector of activity that set_sector() does not know, with how many clients have it.';

-- Traits that users compute by SQL.
CREATE SEQUENCE mfiauto.trait_id_seq AS bigint;
CREATE TABLE mfiauto.trait_definition (
  trait_id integer NOT NULL DEFAULT nextval('mfiauto.trait_id_seq'),
  name text NOT NULL,
  source text NOT NULL,
  query text NOT NULL,
  description text,
  bands integer,
  bounds numeric[],
  restricted_query text,
  full_reason text,
  is_timed boolean NOT NULL DEFAULT false,
  reads_columns text[] NOT NULL DEFAULT '{}',
  owner text NOT NULL,
  problem text,
  created_at timestamptz NOT NULL,
  refreshed_at timestamptz,
  CONSTRAINT trait_definition_pkey PRIMARY KEY (trait_id),
  CONSTRAINT trait_definition_name_key UNIQUE (name),
  CONSTRAINT trait_definition_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  CONSTRAINT trait_definition_bands_check CHECK (bands BETWEEN 2 AND 100)
);
COMMENT ON TABLE mfiauto.trait_definition IS
  'What create_trait() was told. source: the query as it was written. query: as PostgreSQL wrote it back, run with the rights of owner. restricted_query: the same for the clients of $1 alone, null where a value depends on more than the
   client''s own rows (full_reason says why). bounds: the upper limits of its bands but the last, as of refreshed_at. problem: why the last attempt failed.';

CREATE TABLE mfiauto.trait_value (
  client_id bigint NOT NULL,
  trait_id integer NOT NULL,
  value jsonb NOT NULL,
  CONSTRAINT trait_value_pkey PRIMARY KEY (client_id, trait_id)
);
CREATE INDEX trait_value_trait_idx ON mfiauto.trait_value (trait_id);
COMMENT ON TABLE mfiauto.trait_value IS 'The values of computed traits; of a trait with bands what the query gave, from which the band follows.';

CREATE VIEW mfiauto.trait AS
  SELECT t.name, t.description, t.query, t.bands, t.owner,
         CASE WHEN t.restricted_query IS NULL THEN 'with refresh_traits(): ' || t.full_reason
              WHEN t.is_timed THEN 'when something of the client changes, and by the clock with refresh_traits()'
              ELSE 'when something of the client changes' END AS refreshed,
         t.problem, t.created_at, t.refreshed_at
    FROM mfiauto.trait_definition t;
COMMENT ON VIEW mfiauto.trait IS 'The traits that create_trait() computes, in client_profile.traits: how each is kept up to date, when all of it last was (its bands are of then), and what is wrong.';

CREATE VIEW mfiauto.trait_band AS
  SELECT t.name AS trait, b.band, t.bounds[b.band - 1] AS over, t.bounds[b.band] AS up_to,
         (SELECT count(*) FROM mfiauto.trait_value v
           WHERE v.trait_id = t.trait_id AND (v.value #>> '{}')::numeric > coalesce(t.bounds[b.band - 1], '-Infinity') AND (v.value #>> '{}')::numeric <= coalesce(t.bounds[b.band], 'Infinity')) AS clients,
         t.refreshed_at
    FROM mfiauto.trait_definition t, generate_series(1, t.bands) AS b(band)
   WHERE t.bands IS NOT NULL AND t.refreshed_at IS NOT NULL;
COMMENT ON VIEW mfiauto.trait_band IS 'The bands of traits that have them: over which value and up to which, and how many clients are in each. The limits are of refreshed_at.';

-- Thresholds of live workflows: which version is watched, and on which side of the limit each client stands.
CREATE TABLE mfiauto.threshold_watch (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  armed_at timestamptz NOT NULL,
  CONSTRAINT threshold_watch_pkey PRIMARY KEY (workflow_id)
);
CREATE TABLE mfiauto.threshold_state (
  client_id bigint NOT NULL,
  workflow_id integer NOT NULL,
  is_beyond boolean,
  value numeric,
  changed_at timestamptz NOT NULL,
  CONSTRAINT threshold_state_pkey PRIMARY KEY (client_id, workflow_id)
);
CREATE INDEX threshold_state_workflow_idx ON mfiauto.threshold_state (workflow_id);
COMMENT ON TABLE mfiauto.threshold_state IS
  'For each workflow that waits for a trait to cross a limit: is_beyond once it did, until it comes back beyond the other limit (hysteresis); null: not seen yet. value is the one that last changed the side.';
