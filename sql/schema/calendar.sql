-- What brings clients in by the calendar: dates of the books, and the moments that follow from them.

-- Which dates are kept in anchor_date, beside those that subject_state has (installment.due_date, loan.maturity_on).
CREATE TABLE mfiauto.anchor_source (
  role text NOT NULL,
  column_name text NOT NULL,
  is_moment boolean NOT NULL DEFAULT false,
  filled_at timestamptz NOT NULL,
  CONSTRAINT anchor_source_pkey PRIMARY KEY (role, column_name)
);
COMMENT ON TABLE mfiauto.anchor_source IS
  'Dates that a workflow needs: a column of a canonical role, or a property of the events of a watched table (role: its name). is_moment: a timestamptz, whose day is the client''s own.';

-- One narrow row a subject that has such a date, as the books last said it.
CREATE TABLE mfiauto.anchor_date (
  role text NOT NULL,
  column_name text NOT NULL,
  subject_id bigint NOT NULL,
  client_id bigint,
  loan_id bigint,
  on_date date NOT NULL,
  CONSTRAINT anchor_date_pkey PRIMARY KEY (role, column_name, subject_id)
) WITH (fillfactor = 80);
CREATE INDEX anchor_date_on_date_idx ON mfiauto.anchor_date (role, column_name, on_date);
CREATE INDEX anchor_date_client_idx ON mfiauto.anchor_date (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX anchor_date_loan_idx ON mfiauto.anchor_date (loan_id) WHERE loan_id IS NOT NULL;
COMMENT ON TABLE mfiauto.anchor_date IS 'Dates of the books that workflows follow, a row a subject; kept by the engine as subject_state is.';

-- For which version, activated when, a workflow's calendar was made.
CREATE TABLE mfiauto.trigger_state (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  trigger_kind text NOT NULL,
  activated_at timestamptz NOT NULL,
  is_ready boolean NOT NULL,
  tried_at timestamptz NOT NULL,
  CONSTRAINT trigger_state_pkey PRIMARY KEY (workflow_id)
);
COMMENT ON TABLE mfiauto.trigger_state IS 'Workflows that start by the calendar: for which activation their dates and moments stand ready. Not ready: it failed and is tried again.';

-- When a schedule comes next, in each zone that it follows.
CREATE TABLE mfiauto.schedule_state (
  workflow_id integer NOT NULL,
  zone text NOT NULL,
  next_at timestamptz NOT NULL,
  CONSTRAINT schedule_state_pkey PRIMARY KEY (workflow_id, zone)
);
COMMENT ON TABLE mfiauto.schedule_state IS 'The next moment of each workflow that runs on a schedule; one row, or one a zone of its clients.';

-- Who comes in when. due_at null: nothing is ahead of him until something happens.
CREATE TABLE mfiauto.entry_state (
  client_id bigint NOT NULL,
  workflow_id integer NOT NULL,
  subject_id bigint NOT NULL,
  base_at timestamptz,
  due_at timestamptz,
  CONSTRAINT entry_state_pkey PRIMARY KEY (client_id, workflow_id, subject_id)
) WITH (fillfactor = 70);
CREATE INDEX entry_state_due_idx ON mfiauto.entry_state (workflow_id, due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE mfiauto.entry_state IS
  'Entries that the calendar brings. base_at: of inactivity, since when it is counted; of a yearly date, when it last came; of a schedule, the occurrence.';
