-- Workflows: a head that lives, versions that never change, and the flat program each version was compiled to.

CREATE SEQUENCE mfiauto.workflow_id_seq AS bigint;
CREATE TABLE mfiauto.workflow_head (
  workflow_id integer NOT NULL DEFAULT nextval('mfiauto.workflow_id_seq'),
  name text NOT NULL,
  state text NOT NULL DEFAULT 'draft',
  live_version integer,
  salt text NOT NULL,
  max_per_day integer,
  planned_through date,
  created_at timestamptz NOT NULL,
  activated_at timestamptz,
  paused_at timestamptz,
  paused_clock text,
  CONSTRAINT workflow_head_pkey PRIMARY KEY (workflow_id),
  CONSTRAINT workflow_head_name_key UNIQUE (name),
  CONSTRAINT workflow_head_state_check CHECK (state IN ('draft', 'active', 'paused', 'archived')),
  CONSTRAINT workflow_head_max_per_day_check CHECK (max_per_day > 0),
  CONSTRAINT workflow_head_paused_clock_check CHECK (paused_clock IN ('run', 'freeze') AND (paused_clock IS NULL) = (paused_at IS NULL))
);

COMMENT ON TABLE mfiauto.workflow_head IS
  'A workflow by its name. salt decides for ever who is held out; planned_through: up to which date of the calendar the engine has looked, null: anew.
   paused_clock: freeze: what its runs wait for is put off by the time of the pause.';

-- owner: the role whose rights the version's conditions run with. enter_sql, exit_sql: complete read-only queries, see
-- doc/architecture.md: parameters ($1 bigint[] client_id, $2 bigint[] subject_id, $3 timestamptz now), one row an element: (ord, verdict).
-- trigger_sql is the same with $2 = event ids.
CREATE TABLE mfiauto.workflow_version (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  definition jsonb NOT NULL,
  source text NOT NULL,
  owner text NOT NULL,
  created_by text NOT NULL DEFAULT session_user,
  subject text NOT NULL,
  anchor_column text,
  trigger_kind text NOT NULL,
  trigger_events text[],
  trigger_filters jsonb[],
  trigger_condition text,
  trigger_sql text,
  trigger_count integer,
  trigger_within interval,
  trigger_after interval,
  trigger_cron text,
  trigger_zone text,
  trigger_segment text,
  trigger_column text,
  trigger_at time,
  trigger_minimum_years integer,
  trigger_leap_day text,
  trigger_trait text,
  trigger_limit numeric,
  trigger_rearm numeric,
  trigger_existing boolean NOT NULL DEFAULT false,
  class text NOT NULL,
  enter_if text,
  exit_if text,
  enter_sql text,
  exit_sql text,
  reentry text NOT NULL DEFAULT 'never',
  reentry_after interval,
  goal_event text,
  goal_within interval,
  exit_on_goal boolean NOT NULL DEFAULT false,
  holdout numeric NOT NULL DEFAULT 0,
  resend_if_moved integer NOT NULL DEFAULT 3,
  max_per_day integer,
  created_at timestamptz NOT NULL,
  CONSTRAINT workflow_version_pkey PRIMARY KEY (workflow_id, version),
  CONSTRAINT workflow_version_workflow_fkey FOREIGN KEY (workflow_id) REFERENCES mfiauto.workflow_head (workflow_id),
  CONSTRAINT workflow_version_class_fkey FOREIGN KEY (class) REFERENCES mfiauto.message_class (class),
  CONSTRAINT workflow_version_reentry_check CHECK (reentry IN ('never', 'always', 'interval') AND (reentry = 'interval') = (reentry_after IS NOT NULL)),
  CONSTRAINT workflow_version_holdout_check CHECK (holdout >= 0 AND holdout < 100),
  CONSTRAINT workflow_version_trigger_kind_check
    CHECK (trigger_kind IN ('anchor', 'event', 'segment', 'status', 'inactive', 'schedule', 'yearly', 'trait', 'manual')),
  CONSTRAINT workflow_version_entry_check CHECK ((trigger_kind = 'anchor') = (anchor_column IS NOT NULL)),
  CONSTRAINT workflow_version_leap_day_check CHECK (trigger_leap_day IN ('02-28', '03-01'))
);

COMMENT ON TABLE mfiauto.workflow_version IS
  'A version of a workflow, never changed. source: the definition as it was written. owner: the role that created it, whose rights its conditions run with;
   created_by: who was logged in; the *_sql columns are complete read-only queries.
   trigger_kind says what makes a client enter. event, segment, status, trait: an event of one of trigger_events whose properties contain one of trigger_filters
   (null: any), for which trigger_sql holds, the trigger_count-th within trigger_within. inactive: none of trigger_events for trigger_after. schedule: trigger_cron on
   trigger_segment. yearly: the day of trigger_column (role.column) at trigger_at. trigger_zone: institution or client.';

-- The program: steps are numbered from 1 in order of the text; next_no, then_no and else_no are step numbers, null = the end.
CREATE TABLE mfiauto.workflow_step (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  step_no integer NOT NULL,
  path text NOT NULL,
  kind text NOT NULL,
  next_no integer,
  then_no integer,
  else_no integer,
  loop_no integer,
  at_offset integer,
  at_time time,
  branch_names text[],
  branch_nos integer[],
  branch_weights numeric[],
  branch_sql text[],
  wait interval,
  wait_most interval,
  wait_time time,
  wait_weekday integer,
  wait_working_days integer,
  wait_sql text,
  wait_type text,
  events text[],
  since_entry boolean NOT NULL DEFAULT false,
  timeout interval,
  check_every interval,
  at_most integer,
  template text,
  channels text[],
  fallback_after interval,
  class text,
  expires interval,
  condition text,
  condition_sql text,
  task_title text,
  assignee text,
  due_after interval,
  traits jsonb,
  trait_sql jsonb,
  segment text,
  event_name text,
  event_properties jsonb,
  target_workflow text,
  CONSTRAINT workflow_step_pkey PRIMARY KEY (workflow_id, version, step_no),
  CONSTRAINT workflow_step_version_fkey FOREIGN KEY (workflow_id, version) REFERENCES mfiauto.workflow_version (workflow_id, version),
  CONSTRAINT workflow_step_kind_check CHECK (kind IN
    ('send', 'wait', 'wait_for', 'if', 'switch', 'split', 'repeat', 'set', 'add_to', 'remove_from', 'task', 'emit', 'enroll', 'exit', 'end')),
  CONSTRAINT workflow_step_anchor_check CHECK ((at_offset IS NULL) = (at_time IS NULL))
);
COMMENT ON TABLE mfiauto.workflow_step IS
  'A version''s compiled program. path is the place in the definition (steps[4].then[0]). at_offset, at_time: days from the anchor and local time of an anchored step.
   then_no, else_no: if; wait_for (else: timed out); repeat (then: its list, which comes back here; else: what follows); a task with outcomes (else: timed out).
   loop_no: the innermost repeat around the step. branch_*: parallel arrays, of a switch (conditions; else_no), a split (names and weights), a task with outcomes (names). condition_sql of a wait_for with events is
   over a run and an event ($2: subject ids, then as many event ids); with check_every, over the run alone. wait_sql gives a text that is a wait_type (date, timestamp, timestamptz). traits (set) and
   event_properties (emit; enroll: the context) hold what is constant, trait_sql what is computed: {"name": a query that gives JSON as text}.';

-- A second person's word on a version.
CREATE TABLE mfiauto.workflow_approval (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  approved_by text NOT NULL,
  approved_at timestamptz NOT NULL,
  CONSTRAINT workflow_approval_pkey PRIMARY KEY (workflow_id, version),
  CONSTRAINT workflow_approval_version_fkey FOREIGN KEY (workflow_id, version) REFERENCES mfiauto.workflow_version (workflow_id, version)
);
COMMENT ON TABLE mfiauto.workflow_approval IS
  'Who approved which version of a workflow, and when; needed before it can go live where mfiauto.require_approval is on. Never by who created it.';

-- What was stored stays as it is, for the owner too. (The right to one column is what foreign keys need to look rows up.)
REVOKE UPDATE ON mfiauto.workflow_version, mfiauto.workflow_step, mfiauto.workflow_approval FROM CURRENT_USER;
GRANT UPDATE (workflow_id) ON mfiauto.workflow_version, mfiauto.workflow_step, mfiauto.workflow_approval TO CURRENT_USER;

CREATE VIEW mfiauto.workflow AS
  SELECT h.name, h.state, h.live_version, v.version AS newest_version, v.subject, v.class, v.owner,
         h.max_per_day, h.created_at, h.activated_at, h.paused_at, h.paused_clock, v.created_by, a.approved_by, a.approved_at,
         a.version IS NULL AND v.version IS DISTINCT FROM h.live_version
           AND coalesce(current_setting('mfiauto.require_approval', true), 'off') = 'on' AS awaits_approval, v.definition
    FROM mfiauto.workflow_head h
    JOIN LATERAL (SELECT * FROM mfiauto.workflow_version v WHERE v.workflow_id = h.workflow_id ORDER BY v.version DESC LIMIT 1) v ON true
    LEFT JOIN mfiauto.workflow_approval a ON a.workflow_id = v.workflow_id AND a.version = v.version;
COMMENT ON VIEW mfiauto.workflow IS
  'Each workflow with its state, its live version and its newest definition; awaits_approval: the newest version needs a second person''s approve_workflow() before it can go live.';
