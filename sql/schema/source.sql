-- Where facts come from: bound relations, watched tables, the journal they write, and what the books last said.

CREATE TABLE mfiauto.binding_config (
  role text NOT NULL,
  relation text NOT NULL,
  columns jsonb NOT NULL,
  row_filter text,
  sources jsonb,
  replica boolean NOT NULL DEFAULT false,
  polled boolean NOT NULL DEFAULT false,
  polled_at timestamptz,
  problem text,
  bound_at timestamptz NOT NULL,
  bound_by text NOT NULL,
  CONSTRAINT binding_config_pkey PRIMARY KEY (role),
  CONSTRAINT binding_config_role_check CHECK (role IN
    ('client', 'application', 'loan', 'installment', 'payment', 'loan_party', 'holding'))
);

CREATE TABLE mfiauto.source (
  source_id integer NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  relation text NOT NULL,
  is_direct boolean NOT NULL DEFAULT false,
  id_target text NOT NULL DEFAULT 'subject',
  operation text,
  condition text,
  id_expression text NOT NULL,
  client_expression text,
  is_client_key boolean NOT NULL DEFAULT false,
  subject text,
  properties jsonb,
  key_columns jsonb NOT NULL,
  watched_columns text[] NOT NULL,
  problem text,
  CONSTRAINT source_pkey PRIMARY KEY (source_id),
  CONSTRAINT source_kind_check CHECK (kind IN ('role', 'watch')),
  CONSTRAINT source_id_target_check CHECK (id_target IN ('subject', 'client')),
  CONSTRAINT source_name_key UNIQUE (kind, name, relation)
);
CREATE SEQUENCE mfiauto.source_id_seq AS bigint MINVALUE 1 OWNED BY mfiauto.source.source_id;
COMMENT ON TABLE mfiauto.source IS
  'One row a captured relation: of a role (name: the role; is_direct: the very relation that is bound) or of a watch (name: the event). key_columns says which of its
   columns a journal row carries, and in which slot: [{"name", "type", "slot": "key1" | "key2" | "extra", "position"}]. The expressions are over those columns, which they
   call b. id_expression gives a subject, or with id_target client the client whose subjects are to be looked at. watched_columns: empty with a role means every column.';

-- The journal: segments that writers append to in their own transactions. No index, no vacuum: a
-- segment whose rows have all been consumed is truncated. key1 and key2 hold the first two whole-number
-- columns, extra the rest in their text form.
CREATE TABLE mfiauto.journal_1 (
  xid xid8 NOT NULL,
  written_at timestamptz NOT NULL,
  key1 bigint,
  key2 bigint,
  source_id integer NOT NULL,
  operation "char" NOT NULL,
  extra text[]
) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE TABLE mfiauto.journal_2 (LIKE mfiauto.journal_1) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE TABLE mfiauto.journal_3 (LIKE mfiauto.journal_1) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE TABLE mfiauto.journal_4 (LIKE mfiauto.journal_1) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
COMMENT ON TABLE mfiauto.journal_1 IS
  'A journal segment. operation: i insert, u update, d delete (OLD values), t truncate, e event tracked (source 0: key1 event, key2 client), m message failed over (source 0: key1 message, key2 client), p a profile may differ (source 0: key2 client), r look again (source: minus the role''s number; key1 subject, key2 client, extra[1] loan).';

-- Which segment is written (one narrow row that every first capture of a transaction reads), and up to where the journal was consumed.
CREATE TABLE mfiauto.journal_control (
  segment smallint NOT NULL,
  CONSTRAINT journal_control_segment_check CHECK (segment BETWEEN 1 AND 4)
) WITH (fillfactor = 10);
INSERT INTO mfiauto.journal_control VALUES (1);

CREATE TABLE mfiauto.journal_cursor (
  one_row boolean NOT NULL DEFAULT true,
  system_identifier numeric,
  batch bigint NOT NULL DEFAULT 0,
  snapshot pg_snapshot,
  consumed_at timestamptz,
  followed bigint,
  CONSTRAINT journal_cursor_pkey PRIMARY KEY (one_row),
  CONSTRAINT journal_cursor_one_row_check CHECK (one_row)
) WITH (fillfactor = 20);
INSERT INTO mfiauto.journal_cursor (one_row) VALUES (true);
COMMENT ON TABLE mfiauto.journal_cursor IS
  'A batch is what the present snapshot sees and this one did not. The system identifier tells a restored dump, whose transaction numbers mean nothing here. followed: the last client
   of client_dirty that was looked after.';

-- What the committed books last said, one narrow row a subject: standard events are the difference between it and the
-- canonical views now. It belongs beside the books (it is keyed as they are), and resync() rebuilds it.
--   on_date: installment due_date, loan maturity_on, client birth_date. at: payment paid_at.
--   digest: of the whole canonical row, so that a row that was rewritten with the same content is no news.
--   unclaimed: nobody was known to answer for it; it is new again when somebody does.
--   amount/paid: installment amount_due/amount_paid, payment amount, loan principal/outstanding.
CREATE TABLE mfiauto.subject_state (
  role text NOT NULL,
  subject_id bigint NOT NULL,
  client_id bigint,
  loan_id bigint,
  status text,
  amount numeric,
  paid numeric,
  on_date date,
  at timestamptz,
  digest bigint,
  unclaimed boolean NOT NULL DEFAULT false,
  CONSTRAINT subject_state_pkey PRIMARY KEY (role, subject_id)
) WITH (fillfactor = 80);
CREATE INDEX subject_state_on_date_idx ON mfiauto.subject_state (on_date, role) WHERE on_date IS NOT NULL;
CREATE INDEX subject_state_client_idx ON mfiauto.subject_state (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX subject_state_unclaimed_idx ON mfiauto.subject_state (role) WHERE unclaimed;
CREATE INDEX subject_state_loan_idx ON mfiauto.subject_state (loan_id) WHERE loan_id IS NOT NULL;

-- Who answers for a loan that has no client of its own (group loans), as last seen.
CREATE TABLE mfiauto.party_state (
  loan_id bigint NOT NULL,
  client_id bigint NOT NULL,
  role text NOT NULL,
  since date,
  until date,
  CONSTRAINT party_state_pkey PRIMARY KEY (client_id, loan_id, role)
);
CREATE INDEX party_state_loan_idx ON mfiauto.party_state (loan_id);

-- The batch that is being consumed. One engine at a time writes them, inside its own transaction; the next batch empties them.
-- batch_hint: what the journal said, collapsed. batch_subject: whom to look at.
-- batch_found, batch_missing: their canonical rows, one role at a time. batch_diff: who differs from subject_state, and how.
CREATE TABLE mfiauto.batch_hint (
  source_id integer NOT NULL,
  operation "char" NOT NULL,
  key1 bigint,
  key2 bigint,
  extra text[],
  written_at timestamptz NOT NULL
);
CREATE TABLE mfiauto.batch_subject (
  role text NOT NULL,
  subject_id bigint NOT NULL,
  written_at timestamptz NOT NULL
);
CREATE TABLE mfiauto.batch_found (
  subject_id bigint,
  client_id bigint,
  loan_id bigint,
  status text,
  amount numeric,
  paid numeric,
  on_date date,
  at timestamptz,
  digest bigint,
  properties jsonb
);
CREATE TABLE mfiauto.batch_missing (
  subject_id bigint NOT NULL
);
CREATE TABLE mfiauto.batch_diff (
  role text NOT NULL,
  subject_id bigint NOT NULL,
  is_first boolean NOT NULL,
  is_gone boolean NOT NULL,
  copies integer NOT NULL,
  written_at timestamptz NOT NULL,
  old_client_id bigint, old_loan_id bigint, old_status text, old_amount numeric, old_paid numeric, old_on_date date, old_at timestamptz,
  client_id bigint, loan_id bigint, status text, amount numeric, paid numeric, on_date date, at timestamptz,
  digest bigint,
  properties jsonb
);
CREATE TABLE mfiauto.batch_event (
  event_id bigint NOT NULL,
  client_id bigint NOT NULL,
  name text NOT NULL,
  subject text,
  subject_id bigint,
  loan_id bigint,
  occurred_at timestamptz NOT NULL
);
-- What the engine leaves to itself for the next batch of a pass.
CREATE TABLE mfiauto.engine_note (
  source_id integer NOT NULL,
  operation "char" NOT NULL,
  key1 bigint NOT NULL,
  key2 bigint NOT NULL
);
COMMENT ON TABLE mfiauto.engine_note IS 'Events that workflows emitted and clients whose facts they changed, until the next batch of the same pass; as rows of the journal.';
COMMENT ON TABLE mfiauto.batch_event IS 'The events of the batch, for the engine.';
CREATE TABLE mfiauto.batch_touched (
  role text NOT NULL,
  subject_id bigint NOT NULL,
  client_id bigint NOT NULL,
  loan_id bigint
);
COMMENT ON TABLE mfiauto.batch_touched IS
  'Who is to be looked at again, for the engine: one row a (subject, client it concerns), also of members of a group loan and of a former client. Role message: a message that needs its next channel.';

-- Facts that could not be used: duplicate ids, subjects without a client, unusable rows.
CREATE TABLE mfiauto.parked_fact (
  parked_id bigint NOT NULL,
  stage text NOT NULL,
  source text,
  subject text,
  subject_id bigint,
  client_id bigint,
  sqlstate text,
  reason text NOT NULL,
  detail text,
  parked_at timestamptz NOT NULL,
  CONSTRAINT parked_fact_pkey PRIMARY KEY (parked_id)
);
CREATE SEQUENCE mfiauto.parked_fact_id_seq AS bigint OWNED BY mfiauto.parked_fact.parked_id;
CREATE INDEX parked_fact_subject_idx ON mfiauto.parked_fact (subject, subject_id);
ALTER TABLE mfiauto.parked_fact ALTER COLUMN parked_id SET DEFAULT nextval('mfiauto.parked_fact_id_seq');

-- Progress of long work (resync, backfill at activation, KPI refresh), one row a run.
CREATE TABLE mfiauto.job_progress (
  job text NOT NULL,
  target text NOT NULL,
  phase text NOT NULL,
  done_count bigint NOT NULL DEFAULT 0,
  total_count bigint,
  started_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT job_progress_pkey PRIMARY KEY (job, target)
);

CREATE VIEW mfiauto.binding AS
  SELECT c.role, c.relation, c.columns, c.row_filter,
         CASE WHEN c.polled THEN 'polled' WHEN c.sources IS NULL THEN 'triggers' ELSE 'triggers on its sources' END
           || CASE WHEN c.replica THEN ', also of replicated rows' ELSE '' END AS captured,
         (SELECT array_agg(s.relation ORDER BY s.relation) FROM mfiauto.source s WHERE s.kind = 'role' AND s.name = c.role) AS captured_from,
         coalesce(c.problem,
           CASE WHEN to_regclass(c.relation) IS NULL THEN format('relation %s does not exist any more', c.relation) END,
           (SELECT CASE WHEN to_regclass(s.relation) IS NULL THEN format('relation %s does not exist any more', s.relation)
                        WHEN t.tgname IS NULL THEN format('the capture trigger on %s is gone', s.relation)
                        WHEN t.tgenabled = 'D' THEN format('the capture trigger on %s is disabled', s.relation)
                        ELSE format('column %s of %s does not exist any more', k.name, s.relation) END
              FROM mfiauto.source s
              LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(s.relation) AND t.tgname = 'mfiauto_capture_' || c.role
              LEFT JOIN LATERAL (SELECT n.name FROM (SELECT x.name FROM jsonb_to_recordset(s.key_columns) AS x(name text) UNION SELECT unnest(s.watched_columns)) n
                                  WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(s.relation) AND a.attname = n.name AND NOT a.attisdropped)
                                  ORDER BY n.name LIMIT 1) k ON true
             WHERE s.kind = 'role' AND s.name = c.role AND (t.tgname IS NULL OR t.tgenabled = 'D' OR k.name IS NOT NULL)
             ORDER BY s.source_id LIMIT 1)) AS problem,
         c.bound_at, c.bound_by
    FROM mfiauto.binding_config c;
COMMENT ON VIEW mfiauto.binding IS 'Which relation of the host plays which role, how its changes are captured, and what is wrong with it.';
