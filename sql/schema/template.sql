-- Message texts, one row a version of (name, channel, locale); the newest version is live.

CREATE SEQUENCE mfiauto.template_id_seq AS bigint;
CREATE TABLE mfiauto.template_version (
  template_id bigint NOT NULL DEFAULT nextval('mfiauto.template_id_seq'),
  name text NOT NULL,
  channel text NOT NULL,
  locale text NOT NULL,
  version integer NOT NULL,
  class text,
  subject text,
  body text NOT NULL,
  html text,
  alphabet text NOT NULL DEFAULT 'gsm7-transliterate',
  options jsonb,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  is_live boolean NOT NULL DEFAULT true,
  CONSTRAINT template_version_pkey PRIMARY KEY (template_id),
  CONSTRAINT template_version_name_key UNIQUE (name, channel, locale, version),
  CONSTRAINT template_version_class_fkey FOREIGN KEY (class) REFERENCES mfiauto.message_class (class),
  CONSTRAINT template_version_alphabet_check CHECK (alphabet IN ('gsm7-transliterate', 'ucs2', 'refuse')),
  CONSTRAINT template_version_channel_check CHECK (channel IN ('sms', 'email', 'voice', 'push', 'whatsapp', 'telegram', 'messenger', 'inapp', 'webhook'))
);
CREATE UNIQUE INDEX template_version_live_idx ON mfiauto.template_version (name, channel, locale) WHERE is_live;

CREATE VIEW mfiauto.template AS
  SELECT name, channel, locale, version, class, subject, body, html, alphabet, options, created_at, created_by
    FROM mfiauto.template_version WHERE is_live;
COMMENT ON VIEW mfiauto.template IS 'The live version of each template, per channel and locale (''*'' is the default locale).';
