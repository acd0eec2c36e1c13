-- Ways out: gateways declared as data. Secrets are not here (see the code part: they never enter a dump).

CREATE TABLE mfiauto.gateway_config (
  gateway text NOT NULL,
  channel text NOT NULL,
  preset text,
  definition jsonb NOT NULL,
  source text,
  settings jsonb NOT NULL DEFAULT '{}',
  priority integer NOT NULL DEFAULT 100,
  is_enabled boolean NOT NULL DEFAULT true,
  secret_keys text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  CONSTRAINT gateway_config_pkey PRIMARY KEY (gateway),
  CONSTRAINT gateway_config_gateway_check CHECK (gateway ~ '^[a-z][a-z0-9_]{0,62}$')
);
COMMENT ON TABLE mfiauto.gateway_config IS 'The ways out. source: a definition of the institution''s own as it was written; null: the preset''s.';

-- What delivery knows of a gateway between passes: breaker, pauses asked for by the provider, tallies.
CREATE TABLE mfiauto.gateway_state (
  gateway text NOT NULL,
  circuit text NOT NULL DEFAULT 'closed',
  open_until timestamptz,
  throttled_until timestamptz,
  consecutive_failures integer NOT NULL DEFAULT 0,
  stopped_reason text,
  sent_count bigint NOT NULL DEFAULT 0,
  failed_count bigint NOT NULL DEFAULT 0,
  retried_count bigint NOT NULL DEFAULT 0,
  unknown_count bigint NOT NULL DEFAULT 0,
  last_success_at timestamptz,
  last_error text,
  last_error_at timestamptz,
  over_budget_until timestamptz,
  CONSTRAINT gateway_state_pkey PRIMARY KEY (gateway),
  CONSTRAINT gateway_state_circuit_check CHECK (circuit IN ('closed', 'open', 'half_open', 'stopped'))
) WITH (fillfactor = 20);

-- What gateways cost, by business day. Several rows a day, so that those who book do not wait for each other; kept for good, as accounts are.
CREATE TABLE mfiauto.gateway_spend (
  gateway text NOT NULL,
  on_day date NOT NULL,
  slot smallint NOT NULL,
  amount numeric NOT NULL,
  CONSTRAINT gateway_spend_pkey PRIMARY KEY (gateway, on_day, slot)
) WITH (fillfactor = 20);
COMMENT ON TABLE mfiauto.gateway_spend IS
  'What messages cost that left by a gateway with cost_per_part, or are on their way, in its currency: add up the rows of a day. budget_per_day and budget_per_month are held against it.';

CREATE TABLE mfiauto.table_poll (
  gateway text NOT NULL,
  polled_at timestamptz NOT NULL,
  problem text,
  CONSTRAINT table_poll_pkey PRIMARY KEY (gateway)
);
COMMENT ON TABLE mfiauto.table_poll IS 'Gateways that are tables of this database: until when they were read, and what kept them from being read.';

CREATE VIEW mfiauto.gateway AS
  SELECT g.gateway, g.channel, g.preset, g.priority, g.is_enabled, g.settings, g.secret_keys AS secrets, g.definition, g.created_at, g.created_by
    FROM mfiauto.gateway_config g;
COMMENT ON VIEW mfiauto.gateway IS 'The ways out, per channel: the lowest priority goes first. Secrets are told by name only.';
