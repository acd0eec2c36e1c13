-- Runs of workflows: one row per (workflow, client, subject), and what was decided on the way.

CREATE SEQUENCE mfiauto.enrollment_id_seq AS bigint;
CREATE TABLE mfiauto.enrollment_state (
  client_id bigint NOT NULL,
  enrollment_id bigint NOT NULL DEFAULT nextval('mfiauto.enrollment_id_seq'),
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  subject text NOT NULL,
  subject_id bigint NOT NULL,
  loan_id bigint,
  anchor_on date,
  step_no integer,
  due_at timestamptz,
  parked_due_at timestamptz,
  state text NOT NULL DEFAULT 'active',
  arm text NOT NULL DEFAULT 'treated',
  reason text,
  context jsonb,
  waiting_since timestamptz,
  wait_until timestamptz,
  loops jsonb,
  hops integer NOT NULL DEFAULT 0,
  entry_key text,
  entry_event_id bigint,
  entered_at timestamptz NOT NULL,
  ended_at timestamptz,
  CONSTRAINT enrollment_state_pkey PRIMARY KEY (client_id, enrollment_id),
  CONSTRAINT enrollment_state_state_check CHECK (state IN ('active', 'completed', 'exited', 'error')),
  CONSTRAINT enrollment_state_arm_check CHECK (arm IN ('treated', 'holdout')),
  CONSTRAINT enrollment_state_end_check CHECK ((state IN ('completed', 'exited')) = (ended_at IS NOT NULL)),
  CONSTRAINT enrollment_state_due_check CHECK (due_at IS NULL OR state = 'active')
) WITH (fillfactor = 70);
-- A second live run of the same workflow for the same client and subject cannot exist.
CREATE UNIQUE INDEX enrollment_state_live_key ON mfiauto.enrollment_state (client_id, workflow_id, subject, subject_id) WHERE ended_at IS NULL;
-- enroll() with a key is the same enrollment for ever.
CREATE UNIQUE INDEX enrollment_state_entry_key ON mfiauto.enrollment_state (client_id, workflow_id, entry_key) WHERE entry_key IS NOT NULL;
CREATE INDEX enrollment_state_due_idx ON mfiauto.enrollment_state (due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE mfiauto.enrollment_state IS
  'One run of (workflow, client, subject). step_no is the step to run next, due_at when (null: nothing to do; parked_due_at keeps it while the run is in error). loan_id: the loan the subject belongs to.
   waiting_since, wait_until: of a step that waits for something, from when it counts and when it times out. loops: {"step_no": how often it went round}. hops: over how many
   workflows a chain of emit and enroll has come here. entry_key: the caller''s key of enroll(), which makes a repeated call harmless.
   entry_event_id: the event that brought it in.
   An anchored run that ended by exit_if, subject_gone or client_changed is opened again, the same row, when the books say so.';

CREATE VIEW mfiauto.enrollment AS
  SELECT e.enrollment_id, h.name AS workflow, e.version, e.client_id, e.subject, e.subject_id, e.loan_id, e.anchor_on,
         e.state, s.path AS step, e.due_at, e.arm, e.entered_at, e.ended_at, e.reason
    FROM mfiauto.enrollment_state e
    JOIN mfiauto.workflow_head h ON h.workflow_id = e.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = e.workflow_id AND s.version = e.version AND s.step_no = e.step_no;
COMMENT ON VIEW mfiauto.enrollment IS 'Who is where in which workflow; state error means parked: reason says why, unpark() tries again.';

-- How many runs went from a step to another, counted as they go: the log is partitioned by time and goes with it.
CREATE TABLE mfiauto.step_flow (
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  from_no integer NOT NULL,
  to_no integer NOT NULL,
  is_jump boolean NOT NULL DEFAULT false,
  run_count bigint NOT NULL,
  CONSTRAINT step_flow_pkey PRIMARY KEY (workflow_id, version, from_no, to_no, is_jump)
) WITH (fillfactor = 50);
COMMENT ON TABLE mfiauto.step_flow IS
  'Runs that went from step to step, for workflow_diagram(). 0: the end. is_jump: not along the program, because the anchor''s date moved or the run was opened again.';

CREATE SEQUENCE mfiauto.decision_id_seq AS bigint;
CREATE TABLE mfiauto.decision_log (
  client_id bigint NOT NULL,
  decision_id bigint NOT NULL DEFAULT nextval('mfiauto.decision_id_seq'),
  workflow_id integer NOT NULL,
  version integer NOT NULL,
  enrollment_id bigint,
  subject text,
  subject_id bigint,
  step_no integer,
  decision text NOT NULL,
  reason text,
  detail text,
  decided_at timestamptz NOT NULL,
  CONSTRAINT decision_log_pkey PRIMARY KEY (client_id, decided_at, decision_id)
) PARTITION BY RANGE (decided_at);
CREATE TABLE mfiauto.decision_log_default PARTITION OF mfiauto.decision_log DEFAULT;
COMMENT ON TABLE mfiauto.decision_log IS
  'Entries, refusals, branches, exits, moves, re-openings and errors, for explain_client(); sends and skips are in the message ledger.';

-- Documented decisions and their reasons; explain_client() tells them in these words. An empty reason: none is needed. *: any, as the
-- meaning says. {detail} and {reason} stand for those of the row; a detail that the words do not name is told after them.
CREATE TABLE mfiauto.decision_reason (
  decision text NOT NULL,
  reason text NOT NULL,
  meaning text NOT NULL,
  CONSTRAINT decision_reason_pkey PRIMARY KEY (decision, reason)
);
COMMENT ON TABLE mfiauto.decision_reason IS 'Every decision that mfiauto.decision_log can hold, with each of its reasons, in words.';
INSERT INTO mfiauto.decision_reason VALUES
  ('entered', '', 'entered the workflow'),
  ('refused', 'enter_if', 'did not enter: the entry condition was not true'),
  ('refused', 'enter_unknown', 'did not enter: the entry condition could not be told (null)'),
  ('refused', 'exit_if', 'did not enter: the exit condition was true already'),
  ('refused', 'erased', 'did not enter: the client was erased'),
  ('exited', 'erased', 'left the workflow: the client was erased'),
  ('refused', 'max_per_day', 'did not enter: the workflow had let in as many as it may in a day'),
  ('refused', 'moment_missed', 'did not enter: its moment, {detail}, had passed more than a day ago when the engine came to it'),
  ('refused', 'loop', 'did not enter: a chain of more than ten workflows had come round to it'),
  ('exited', 'exit_if', 'left the workflow: its exit condition became true (the client paid, the loan ended)'),
  ('exited', 'goal', 'left the workflow: its goal was reached'),
  ('exited', 'subject_gone', 'left the workflow: what it was about is no longer in the books'),
  ('exited', 'client_changed', 'left the workflow: what it was about no longer belongs to this client'),
  ('exited', 'workflow_stopped', 'left the workflow: it was archived'),
  ('exited', 'version_replaced', 'left the workflow: a new version of the workflow was activated, and those under way on earlier ones were stopped'),
  ('switched', '', 'went over to a new version of the workflow: {detail}'),
  ('reopened', '', 'the run was opened again, for {detail}: what had ended it is no longer so'),
  ('moved', 'anchor_moved', 'the date moved to {detail}: the steps ahead were planned anew'),
  ('branched', 'then', 'the condition was true: went to "then"'),
  ('branched', 'else', 'the condition was not true: went to "else"'),
  ('branched', 'else_unknown', 'the condition could not be told (null): went to "else"'),
  ('switch', 'else', 'no case was true: went to "else"'),
  ('switch', '*', '{reason} was true: went there'),
  ('split', '*', 'was drawn into "{reason}"'),
  ('repeated', 'again', 'round {detail} began'),
  ('repeated', 'until', 'the rounds are over: their condition is true'),
  ('repeated', 'at_most', 'the rounds are over: no more are allowed'),
  ('waited', 'came', 'what it waited for came: {detail}'),
  ('waited', 'true', 'the condition that it waited for is true'),
  ('waited', 'timed_out', 'waited in vain: the time is over'),
  ('waited', 'no_date', 'did not wait: there is no such date'),
  ('skipped', 'barred', 'did not run: no allowed moment was left on the day itself'),
  ('skipped', 'missed', 'did not run: a later step of the same enrollment became due while the engine was down'),
  ('skipped', 'expired', 'did not run: its time had passed'),
  ('error', '*', 'parked by an error: {detail} ({reason}); unpark() tries again'),
  ('exited', 'ended_by_workflow', 'left the workflow: a step of another workflow ended it'),
  ('task', 'closed', 'the task was closed: {detail}'),
  ('task', 'timed_out', 'nobody closed the task in time'),
  ('set', '', 'was given the traits {detail}'),
  ('added', '', 'was put into the segment {detail}'),
  ('removed', '', 'was taken out of the segment {detail}'),
  ('emitted', '', 'the event {detail} was told'),
  ('enrolled', '', 'was handed over to the workflow {detail}'),
  ('enrolled', 'holdout', 'was not handed over to the workflow {detail}, which writes to clients: held out, for comparison'),
  ('enrolled', 'not_active', 'was not handed over to the workflow {detail}, which is not active'),
  ('enrolled', 'no_subject', 'was not handed over to the workflow {detail}: nothing is known that it could be about'),
  ('enrolled', 'not_entered', 'was to be handed over to the workflow {detail}, whose own conditions or rules of re-entry did not let the client in'),
  ('withdrawn', '', 'was taken out of the workflow {detail}'),
  ('withdrawn', 'not_in', 'was to be taken out of the workflow {detail} and was not in it'),
  ('unparked', '*', 'tried again, by {reason}');

CREATE SEQUENCE mfiauto.task_id_seq AS bigint;
CREATE TABLE mfiauto.task (
  client_id bigint NOT NULL,
  task_id bigint NOT NULL DEFAULT nextval('mfiauto.task_id_seq'),
  workflow_id integer,
  version integer,
  enrollment_id bigint,
  step_no integer,
  repetition text,
  title text NOT NULL,
  assignee text,
  state text NOT NULL DEFAULT 'open',
  outcome text,
  note text,
  due_at timestamptz,
  created_at timestamptz NOT NULL,
  closed_at timestamptz,
  closed_by text,
  CONSTRAINT task_pkey PRIMARY KEY (client_id, task_id),
  CONSTRAINT task_step_key UNIQUE (client_id, enrollment_id, version, step_no, repetition),
  CONSTRAINT task_state_check CHECK (state IN ('open', 'done', 'canceled', 'holdout'))
);
CREATE INDEX task_task_idx ON mfiauto.task (task_id);
CREATE INDEX task_open_idx ON mfiauto.task (due_at) WHERE state = 'open';
COMMENT ON TABLE mfiauto.task IS
  'Work that a workflow gave to a person: who, about whom, by when, and what came of it (outcome; of a canceled one the reason). holdout: not given, for comparison.';

-- A goal reached: an event of the same loan (else client) within the goal's time after a due step, sent or held out.
CREATE TABLE mfiauto.goal_hit (
  client_id bigint NOT NULL,
  enrollment_id bigint NOT NULL,
  version integer NOT NULL,
  step_no integer NOT NULL,
  repetition text NOT NULL,
  workflow_id integer NOT NULL,
  event_id bigint NOT NULL,
  reached_at timestamptz NOT NULL,
  CONSTRAINT goal_hit_pkey PRIMARY KEY (client_id, enrollment_id, version, step_no, repetition)
);
