-- Contact rules: what each message class may do, when, and how often.

CREATE TABLE mfiauto.message_class (
  class text NOT NULL,
  priority smallint NOT NULL,
  needs_consent boolean NOT NULL,
  honors_opt_out boolean NOT NULL,
  honors_contact_hours boolean NOT NULL,
  capped boolean NOT NULL,
  holdout_allowed boolean NOT NULL,
  expires_after interval NOT NULL,
  resend_unknown boolean NOT NULL DEFAULT false,
  CONSTRAINT message_class_pkey PRIMARY KEY (class)
);
COMMENT ON TABLE mfiauto.message_class IS
  'The classes and their rights. priority: lower leaves first. needs_consent: only with a recorded opt-in. resend_unknown: at-least-once, an unknown outcome is retried.';
INSERT INTO mfiauto.message_class VALUES
  ('security',      0, false, false, false, false, false, '10 minutes', true),
  ('transactional', 1, false, false, false, false, false, '72 hours', false),
  ('legal',         2, false, false, true,  false, false, '72 hours', false),
  ('collection',    3, false, true,  true,  true,  true,  '72 hours', false),
  ('education',     4, true,  true,  true,  true,  true,  '72 hours', false),
  ('marketing',     5, true,  true,  true,  true,  true,  '72 hours', false);

CREATE TABLE mfiauto.policy (
  country text NOT NULL DEFAULT '*',
  class text NOT NULL DEFAULT '*',
  contact_from time NOT NULL DEFAULT '08:00',
  contact_until time NOT NULL DEFAULT '19:00',
  weekdays integer[] NOT NULL DEFAULT '{1,2,3,4,5,6}',
  skips_holidays boolean NOT NULL DEFAULT true,
  break_weekday integer,
  break_from time,
  break_until time,
  cap_count integer,
  cap_days integer,
  min_gap interval,
  barred_in_arrears boolean NOT NULL DEFAULT false,
  double_opt_in boolean NOT NULL DEFAULT false,
  prefers_cheapest boolean NOT NULL DEFAULT false,
  CONSTRAINT policy_pkey PRIMARY KEY (country, class),
  CONSTRAINT policy_hours_check CHECK (contact_from < contact_until),
  CONSTRAINT policy_weekdays_check CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND cardinality(weekdays) > 0),
  CONSTRAINT policy_break_check CHECK ((break_weekday IS NULL) = (break_from IS NULL) AND (break_from IS NULL) = (break_until IS NULL)
    AND (break_from IS NULL OR break_from < break_until)),
  CONSTRAINT policy_cap_check CHECK ((cap_count IS NULL) = (cap_days IS NULL) AND cap_count > 0 AND cap_days > 0)
);
COMMENT ON TABLE mfiauto.policy IS
  'When and how often a class may contact clients of a country; the row that names both wins over one, over (*, *). Weekdays are ISO (7 = Sunday); break_*: a weekly pause such as Friday prayer. cap_*, min_gap: of a class, for messages of that class; of class *, for all
   capped classes together: both hold.';
INSERT INTO mfiauto.policy (country, class, cap_count, cap_days, barred_in_arrears) VALUES
  ('*', '*', 3, 1, false),
  ('*', 'collection', 3, 1, false),
  ('*', 'education', 3, 7, false),
  ('*', 'marketing', 2, 7, true);

CREATE TABLE mfiauto.holiday (
  country text NOT NULL DEFAULT '*',
  on_date date NOT NULL,
  name text NOT NULL,
  CONSTRAINT holiday_pkey PRIMARY KEY (country, on_date)
);
COMMENT ON TABLE mfiauto.holiday IS 'Days on which no class that honors contact hours is sent; editable until the day itself.';

-- Statuses of the books with which a client gets nothing.
CREATE TABLE mfiauto.barred_status (
  status text NOT NULL,
  meaning text,
  CONSTRAINT barred_status_pkey PRIMARY KEY (status)
);
INSERT INTO mfiauto.barred_status VALUES
  ('closed', 'the relation has ended'), ('deceased', 'the client has died'), ('rejected', 'never became a client'), ('fraud', 'suspected of fraud'), ('blacklisted', 'barred by the institution');
COMMENT ON TABLE mfiauto.barred_status IS
  'Nothing is sent, of whatever class, to clients whose status in the books (in lower case) is here; nor to those with a true trait deceased, fraud or do_not_contact. Written by bar_status().';

CREATE SEQUENCE mfiauto.change_id_seq AS bigint;
CREATE TABLE mfiauto.change_log (
  change_id bigint NOT NULL DEFAULT nextval('mfiauto.change_id_seq'),
  kind text NOT NULL,
  name text NOT NULL,
  content jsonb,
  changed_at timestamptz NOT NULL,
  changed_by text NOT NULL,
  CONSTRAINT change_log_pkey PRIMARY KEY (change_id)
);
CREATE INDEX change_log_name_idx ON mfiauto.change_log (kind, name, changed_at);
COMMENT ON TABLE mfiauto.change_log IS
  'Who changed which rule, and when: policies, holidays, barred statuses, retention, gateways and templates taken away, workflows started and stopped. content: what it is since then; null: taken away.';

-- How long what is kept. No row: for ever.
CREATE TABLE mfiauto.retention (
  what text NOT NULL,
  class text NOT NULL DEFAULT '*',
  keep interval NOT NULL,
  CONSTRAINT retention_pkey PRIMARY KEY (what, class)
);
COMMENT ON TABLE mfiauto.retention IS
  'How long contents are kept, and of which class (*: every class without a row of its own). Written by set_retention(); apply_retention() takes away what is over. The ledger itself, consent and the suppression list stay.';
