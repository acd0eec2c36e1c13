-- The message ledger: one row per intended message, for ever; the queue beside it; what providers answered.

-- Documented reasons of every ending and hold; doc/messages.md is written from it.
CREATE TABLE mfiauto.message_reason (
  reason text NOT NULL,
  meaning text NOT NULL,
  CONSTRAINT message_reason_pkey PRIMARY KEY (reason)
);
INSERT INTO mfiauto.message_reason VALUES
  ('past', 'the step''s moment had passed before the client entered the workflow'),
  ('missed', 'a later step of the same enrollment became due while the engine was down'),
  ('already_sent', 'the step was sent for the previous date and the date moved by no more than resend_if_moved days'),
  ('exit_if', 'the workflow''s exit condition became true (the client paid, the loan ended)'),
  ('exit_unknown', 'the exit condition evaluated to null: held until it is known'),
  ('goal', 'the goal of the workflow was reached, and it ends on it'),
  ('subject_gone', 'the installment, loan or other subject is no longer in the books'),
  ('client_changed', 'the subject no longer belongs to this client'),
  ('anchor_moved', 'the date the step hangs on moved; the step was planned anew'),
  ('workflow_stopped', 'the workflow was archived or its messages were canceled by an operator'),
  ('version_replaced', 'a new version of the workflow was activated, and those under way on earlier ones were stopped'),
  ('ended_by_workflow', 'a step of another workflow ended the enrollment'),
  ('canceled_by_operator', 'an operator canceled the message'),
  ('holdout', 'the client is in the holdout group of the workflow'),
  ('no_template', 'no live template variant fits the channels of the step and the client''s locale'),
  ('no_address', 'the client has no address on any channel of the step'),
  ('invalid_address', 'the client''s address cannot be used on this channel (see normalize_phone)'),
  ('no_gateway', 'no gateway is declared for the channel'),
  ('missing_variable', 'the template needs a value that the books do not have: held, never sent with a hole'),
  ('no_link_key', 'the file with the key that links are signed with cannot be read: tried again'),
  ('no_consent', 'the class needs an opt-in that is not on record'),
  ('consent_pending', 'the opt-in waits for the client''s own confirmation, which the policy asks for'),
  ('opted_out', 'the client opted out'),
  ('client_barred', 'nothing is sent to this client: dead, closed, suspected of fraud, or not to be contacted'),
  ('erased', 'the client was erased here: nothing is sent, even though the books have him'),
  ('suppressed', 'the address is on the suppression list'),
  ('barred_hours', 'outside contact hours: deferred to the next allowed moment'),
  ('barred', 'no allowed moment was left on the day itself'),
  ('over_budget', 'the budget of the channel''s gateways is used up: waits until it begins anew'),
  ('capped', 'the client had as many messages as the policy allows: deferred until one more is allowed'),
  ('in_arrears', 'the policy bars this class for clients in arrears'),
  ('not_on_list', 'mfiauto.only_recipients does not list the address'),
  ('expired', 'its time had passed before it could leave'),
  ('delivered_before', 'the message before it, on another channel, was delivered after all'),
  ('superseded', 'the next channel of the step was tried instead'),
  ('empty_text', 'the text came out empty: held'),
  ('encoding', 'the text does not fit the template''s alphabet'),
  ('too_long', 'the text is longer than the channel takes'),
  ('condition_error', 'a condition of the workflow failed for this client: parked'),
  ('outside_session', 'the client has not written in the last 24 hours, and the provider takes only its own templates then'),
  ('gateway_rejected', 'the gateway refused the message for good'),
  ('bounced', 'the recipient''s mail server gave the letter back'),
  ('recipient_rejected', 'the gateway says that the recipient cannot be reached'),
  ('recipient_opted_out', 'the gateway says that the recipient opted out'),
  ('gateway_stopped', 'the gateway''s configuration or account was refused; its queue is held'),
  ('retries_exhausted', 'every attempt failed'),
  ('outcome_unknown', 'the request was written and no answer was recorded; waits for a receipt or an operator'),
  ('hold', 'held by hold_delivery()'),
  ('receipt_failed', 'the provider''s receipt says that it was not delivered'),
  ('no_answer', 'the call was not answered, or hung up before it was heard: called again at the next time of the text''s ladder'),
  ('receipt_expired', 'the provider''s receipt says that its validity ended'),
  ('resolved_by_operator', 'an operator recorded the outcome');

-- What may follow what. A receipt or an operator that asks for anything else changes nothing.
CREATE TABLE mfiauto.message_transition (
  from_state text NOT NULL,
  to_state text NOT NULL,
  CONSTRAINT message_transition_pkey PRIMARY KEY (from_state, to_state)
);
INSERT INTO mfiauto.message_transition VALUES
  ('queued', 'claimed'), ('queued', 'canceled'), ('queued', 'suppressed'), ('queued', 'skipped'), ('queued', 'expired'), ('queued', 'failed'), ('queued', 'held'), ('queued', 'unknown'),
  ('held', 'queued'), ('held', 'canceled'), ('held', 'skipped'), ('held', 'expired'), ('held', 'failed'), ('held', 'suppressed'), ('held', 'unknown'),
  ('claimed', 'queued'), ('claimed', 'canceled'), ('claimed', 'submitted'), ('claimed', 'sent'), ('claimed', 'delivered'), ('claimed', 'failed'), ('claimed', 'undelivered'), ('claimed', 'unknown'), ('claimed', 'expired'), ('claimed', 'held'),
  ('submitted', 'sent'), ('submitted', 'delivered'), ('submitted', 'undelivered'), ('submitted', 'failed'), ('submitted', 'unknown'),
  ('sent', 'delivered'), ('sent', 'undelivered'), ('sent', 'failed'), ('sent', 'unknown'),
  ('unknown', 'queued'), ('unknown', 'submitted'), ('unknown', 'sent'), ('unknown', 'delivered'), ('unknown', 'undelivered'), ('unknown', 'failed'), ('unknown', 'canceled'), ('unknown', 'expired'),
  -- What is to be sent again, and arrived after all.
  ('queued', 'delivered'), ('held', 'delivered'),
  ('failed', 'queued'), ('failed', 'delivered'), ('expired', 'queued'), ('undelivered', 'delivered'), ('undelivered', 'queued');
COMMENT ON TABLE mfiauto.message_transition IS
  'The allowed transitions between message states. queued, held and claimed live in the outbox; everything else is an ending or waits for a receipt.';

CREATE SEQUENCE mfiauto.message_id_seq AS bigint;
CREATE TABLE mfiauto.message_ledger (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL DEFAULT nextval('mfiauto.message_id_seq'),
  created_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  expires_at timestamptz,
  claimed_at timestamptz,
  sent_at timestamptz,
  finished_at timestamptz,
  enrollment_id bigint,
  subject_id bigint,
  loan_id bigint,
  workflow_id integer,
  version integer,
  step_no integer,
  template_id bigint,
  attempts smallint NOT NULL DEFAULT 0,
  parts smallint,
  state text NOT NULL,
  reason text,
  class text NOT NULL,
  channel text,
  next_channels text[],
  locale text,
  subject text,
  repetition text NOT NULL DEFAULT '',
  to_address text,
  title text,
  body text,
  html text,
  options jsonb,
  encoding text,
  gateway text,
  provider_id text,
  cost numeric,
  currency text,
  idempotency_key uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  CONSTRAINT message_ledger_pkey PRIMARY KEY (client_id, created_at, message_id),
  CONSTRAINT message_ledger_state_check CHECK (state IN ('queued', 'claimed', 'submitted', 'sent', 'delivered', 'canceled', 'suppressed',
    'skipped', 'expired', 'failed', 'undelivered', 'unknown', 'held', 'holdout'))
) PARTITION BY RANGE (created_at);
CREATE TABLE mfiauto.message_ledger_default PARTITION OF mfiauto.message_ledger DEFAULT WITH (fillfactor = 70);
CREATE INDEX message_ledger_message_idx ON mfiauto.message_ledger (message_id);
COMMENT ON TABLE mfiauto.message_ledger IS
  'One row per intended message, sent or not. title is an e-mail''s subject line; subject and subject_id are what it is about; repetition is the anchor''s date; claimed_at is when, by the real clock, the last look
   at the books before it left began: what was committed by then counted.';

-- Messages whose outcome is not known, and where a provider's id leads. Both beside the ledger: an index there on anything that an
-- outcome changes, or whose condition does, would make every recorded outcome write all of the ledger's indexes anew.
CREATE TABLE mfiauto.unknown_message (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL,
  gateway text NOT NULL,
  noted_at timestamptz NOT NULL,
  CONSTRAINT unknown_message_pkey PRIMARY KEY (client_id, message_id)
);
COMMENT ON TABLE mfiauto.unknown_message IS 'One row a message in state unknown, for mfiauto.gateway_status and for caps: it may have left. noted_at: business time.';

CREATE TABLE mfiauto.provider_key (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL,
  gateway text NOT NULL,
  provider_id text NOT NULL,
  named_at timestamptz NOT NULL
);
CREATE INDEX provider_key_provider_idx ON mfiauto.provider_key (gateway, provider_id);
COMMENT ON TABLE mfiauto.provider_key IS 'The message behind each id that a provider gave, where its gateway declares receipts.';

-- Messages whose next channel is tried if they are not delivered in time; and, has_fallback, those for which it was: a delivery that is
-- heard of late takes the fallback back.
CREATE TABLE mfiauto.fallback_watch (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL,
  check_at timestamptz NOT NULL,
  has_fallback boolean NOT NULL DEFAULT false,
  CONSTRAINT fallback_watch_pkey PRIMARY KEY (client_id, message_id)
);
CREATE INDEX fallback_watch_check_idx ON mfiauto.fallback_watch (check_at);
COMMENT ON TABLE mfiauto.fallback_watch IS 'Messages of steps with "fallback_after", until they are delivered, over, or forgotten.';

-- Uniqueness that a partitioned ledger cannot say: one message per enrollment, step, repetition and channel. A run that goes over to a
-- new version takes its keys along, under the new numbers of their steps.
CREATE TABLE mfiauto.message_key (
  client_id bigint NOT NULL,
  enrollment_id bigint NOT NULL,
  version integer NOT NULL,
  step_no integer NOT NULL,
  repetition text NOT NULL,
  channel text NOT NULL,
  message_id bigint NOT NULL,
  CONSTRAINT message_key_pkey PRIMARY KEY (client_id, enrollment_id, version, step_no, repetition, channel)
);

-- The queue: what has yet to leave, or is leaving. What a claim changes (gateway, lease, attempts) is in no index.
CREATE TABLE mfiauto.outbox (
  client_id bigint NOT NULL,
  message_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  channel text NOT NULL,
  priority smallint NOT NULL,
  due_at timestamptz NOT NULL,
  expires_at timestamptz,
  enrollment_id bigint,
  workflow_id integer,
  version integer,
  gateway text,
  tried_gateways text[],
  lease_until timestamptz,
  lease_pid integer,
  claimed_at timestamptz,
  reserved numeric,
  reserved_on date,
  attempts smallint NOT NULL DEFAULT 0,
  is_held boolean NOT NULL DEFAULT false,
  reason text,
  CONSTRAINT outbox_pkey PRIMARY KEY (client_id, message_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX outbox_due_idx ON mfiauto.outbox (channel, priority, due_at, message_id);
CREATE INDEX outbox_held_idx ON mfiauto.outbox (workflow_id) WHERE is_held;
COMMENT ON TABLE mfiauto.outbox IS
  'Messages in state queued (no lease), claimed (lease_until set) or held. The row goes away when the message has an outcome; due_at moves for a retry or a deferral. reserved: what a claimed one costs, booked in gateway_spend on reserved_on.';

-- Every attempt that did not simply succeed; a success is told by the ledger row itself.
CREATE SEQUENCE mfiauto.attempt_id_seq AS bigint;
CREATE TABLE mfiauto.attempt (
  client_id bigint NOT NULL,
  attempt_id bigint NOT NULL DEFAULT nextval('mfiauto.attempt_id_seq'),
  message_id bigint NOT NULL,
  gateway text NOT NULL,
  attempt_no smallint NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  outcome text NOT NULL,
  status integer,
  error text,
  CONSTRAINT attempt_pkey PRIMARY KEY (client_id, started_at, attempt_id)
) PARTITION BY RANGE (started_at);
CREATE TABLE mfiauto.attempt_default PARTITION OF mfiauto.attempt DEFAULT;

CREATE SEQUENCE mfiauto.receipt_id_seq AS bigint;
CREATE TABLE mfiauto.receipt (
  client_id bigint NOT NULL DEFAULT 0,
  receipt_id bigint NOT NULL DEFAULT nextval('mfiauto.receipt_id_seq'),
  gateway text NOT NULL,
  message_id bigint,
  provider_id text,
  reference text,
  status text,
  state text,
  applied boolean NOT NULL,
  digest text NOT NULL,
  error text,
  received_at timestamptz NOT NULL,
  CONSTRAINT receipt_pkey PRIMARY KEY (client_id, received_at, receipt_id)
) PARTITION BY RANGE (received_at);
CREATE TABLE mfiauto.receipt_default PARTITION OF mfiauto.receipt DEFAULT;
CREATE INDEX receipt_digest_idx ON mfiauto.receipt (gateway, digest);
COMMENT ON TABLE mfiauto.receipt IS
  'What providers said of messages. client_id 0: not matched yet. applied: it changed the message''s state. digest: SHA-256 of what was received, against repeats.';

-- Where mfiauto.delivery = dry_run delivers to, and what the preset sandbox keeps.
CREATE SEQUENCE mfiauto.sandbox_id_seq AS bigint;
CREATE TABLE mfiauto.sandbox_message (
  client_id bigint NOT NULL,
  sandbox_id bigint NOT NULL DEFAULT nextval('mfiauto.sandbox_id_seq'),
  message_id bigint NOT NULL,
  gateway text NOT NULL,
  channel text NOT NULL,
  to_address text,
  title text,
  body text,
  kept_at timestamptz NOT NULL,
  CONSTRAINT sandbox_message_pkey PRIMARY KEY (client_id, sandbox_id)
);
COMMENT ON TABLE mfiauto.sandbox_message IS 'Messages that stayed in the database: from the preset sandbox, or all of them while mfiauto.delivery is dry_run.';

CREATE VIEW mfiauto.message AS
  SELECT m.message_id, m.client_id, h.name AS workflow, m.version, s.path AS step, m.subject, m.subject_id, m.class, m.channel, m.to_address,
         m.title, m.body,
         CASE WHEN o.message_id IS NULL THEN m.state WHEN o.lease_until IS NOT NULL THEN 'claimed' WHEN o.is_held THEN 'held' ELSE 'queued' END AS state,
         CASE WHEN o.message_id IS NULL THEN m.reason ELSE o.reason END AS reason,
         coalesce(o.due_at, m.due_at) AS due_at, m.expires_at, m.created_at, m.sent_at, m.finished_at, coalesce(o.gateway, m.gateway) AS gateway,
         coalesce(o.attempts, m.attempts) AS attempts, m.encoding, m.parts, m.cost, m.currency, m.locale, m.enrollment_id, m.loan_id, m.provider_id
    FROM mfiauto.message_ledger m
    LEFT JOIN mfiauto.outbox o ON o.client_id = m.client_id AND o.message_id = m.message_id
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no;
COMMENT ON VIEW mfiauto.message IS
  'The ledger for people: every intended message with its state and, where it did not simply arrive, the reason (mfiauto.message_reason explains each).';

CREATE VIEW mfiauto.gateway_status AS
  SELECT g.gateway, g.channel, g.priority,
         CASE WHEN NOT g.is_enabled THEN 'disabled'
              WHEN h.hold_id IS NOT NULL THEN 'held'
              WHEN s.circuit = 'stopped' THEN s.circuit
              WHEN s.over_budget_until IS NOT NULL THEN 'over_budget'
              WHEN s.circuit = 'half_open' THEN s.circuit
              WHEN s.circuit = 'open' THEN CASE WHEN s.open_until > pg_catalog.clock_timestamp() THEN 'open' ELSE 'half_open' END
              WHEN s.throttled_until > pg_catalog.clock_timestamp() THEN 'throttled'
              ELSE 'closed' END AS circuit,
         coalesce(h.reason, s.stopped_reason, CASE WHEN s.over_budget_until IS NOT NULL THEN 'its budget is used up' END) AS because,
         greatest(CASE WHEN s.circuit = 'open' THEN s.open_until END, CASE WHEN s.throttled_until > pg_catalog.clock_timestamp() THEN s.throttled_until END,
                  s.over_budget_until) AS paused_until,
         coalesce(s.sent_count, 0) AS sent, coalesce(s.failed_count, 0) AS failed, coalesce(s.retried_count, 0) AS retried,
         coalesce(q.retrying, 0) AS retrying, coalesce(q.in_flight, 0) AS in_flight,
         (SELECT count(*) FROM mfiauto.unknown_message u WHERE u.gateway = g.gateway) AS unknown,
         coalesce(c.queued, 0) AS queued_on_channel,
         coalesce(g.settings ->> 'rate_per_second', g.definition #>> '{limits,rate_per_second}')::numeric AS rate_per_second,
         s.last_success_at, s.last_error, s.last_error_at,
         (SELECT count(*) FROM mfiauto.unread_webhook u WHERE u.gateway = g.gateway) AS unread,
         w.refused_at, w.confirm_url, p.asked_at AS polled_at, p.error AS poll_error
    FROM mfiauto.gateway_config g
    LEFT JOIN mfiauto.webhook_state w ON w.gateway = g.gateway
    LEFT JOIN mfiauto.poll_state p ON p.gateway = g.gateway
    LEFT JOIN mfiauto.gateway_state s ON s.gateway = g.gateway
    LEFT JOIN (SELECT o.gateway, count(*) FILTER (WHERE o.attempts > 0 AND o.lease_until IS NULL) AS retrying, count(*) FILTER (WHERE o.lease_until IS NOT NULL) AS in_flight
                 FROM mfiauto.outbox o WHERE o.gateway IS NOT NULL GROUP BY o.gateway) q ON q.gateway = g.gateway
    LEFT JOIN (SELECT o.channel, count(*) AS queued FROM mfiauto.outbox o WHERE o.lease_until IS NULL GROUP BY o.channel) c ON c.channel = g.channel
    LEFT JOIN LATERAL (SELECT d.hold_id, d.reason FROM mfiauto.delivery_hold d
                        WHERE d.scope = 'all' OR (d.scope = 'gateway' AND d.target = g.gateway)
                        ORDER BY d.held_at LIMIT 1) h ON true;
COMMENT ON VIEW mfiauto.gateway_status IS
  'Each gateway now: circuit (closed is good; open, throttled and over_budget pause it until paused_until, stopped needs you: because says why), what it has sent, '
  'what waits for it, its last error; webhooks that could not be read (mfiauto.unread_webhook) or were refused, and what was last fetched.';
