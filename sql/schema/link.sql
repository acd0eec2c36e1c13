-- Links that messages carry: where they lead, to whom they may lead, and what followed them.

-- Targets of a token: 0 unsubscribes, 1 is the pixel of an e-mail; links begin at 16 and never take another's number.
CREATE SEQUENCE mfiauto.link_id_seq AS bigint START 16 MINVALUE 16 MAXVALUE 65535;
CREATE TABLE mfiauto.tracked_link (
  link_id integer NOT NULL DEFAULT nextval('mfiauto.link_id_seq'),
  name text NOT NULL,
  url text NOT NULL,
  utm jsonb NOT NULL DEFAULT '{}',
  expires_after interval,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  dropped_at timestamptz,
  CONSTRAINT tracked_link_pkey PRIMARY KEY (link_id),
  CONSTRAINT tracked_link_url_check CHECK (url ~ '^https://')
);
CREATE UNIQUE INDEX tracked_link_live_idx ON mfiauto.tracked_link (name) WHERE dropped_at IS NULL;
COMMENT ON TABLE mfiauto.tracked_link IS
  'Short links by their number. url is filled in when somebody follows it; expires_after counts from the moment the message was made. A dropped one stays, and leads nowhere.';

CREATE TABLE mfiauto.link_host (
  host text NOT NULL,
  allowed_at timestamptz NOT NULL,
  allowed_by text NOT NULL,
  CONSTRAINT link_host_pkey PRIMARY KEY (host)
);
COMMENT ON TABLE mfiauto.link_host IS 'Hosts that links may lead to; one that begins with a dot stands for all under it.';

-- What tells a machine from a person, as data. What a new mail scanner calls itself is one row more.
CREATE TABLE mfiauto.bot_sign (
  kind text NOT NULL,
  sign text NOT NULL,
  meaning text NOT NULL,
  CONSTRAINT bot_sign_pkey PRIMARY KEY (kind, sign),
  CONSTRAINT bot_sign_kind_check CHECK (kind IN ('agent', 'exact_agent', 'network'))
);
COMMENT ON TABLE mfiauto.bot_sign IS
  'Signs of a machine: agent: the User-Agent contains it, whatever its case; exact_agent: it is the User-Agent; network: the request comes from it.';
INSERT INTO mfiauto.bot_sign VALUES
  ('agent', 'bot', 'calls itself a bot'), ('agent', 'crawler', 'calls itself a crawler'), ('agent', 'spider', 'calls itself a spider'),
  ('agent', 'preview', 'makes previews of links'), ('agent', 'scanner', 'scans links'), ('agent', 'monitor', 'watches sites'),
  ('agent', 'facebookexternalhit', 'preview of Facebook and Messenger'), ('agent', 'facebookcatalog', 'preview of Facebook'),
  ('agent', 'whatsapp/', 'preview of WhatsApp'), ('agent', 'telegrambot', 'preview of Telegram'), ('agent', 'slackbot', 'preview of Slack'),
  ('agent', 'twitterbot', 'preview of X'), ('agent', 'skypeuripreview', 'preview of Skype'), ('agent', 'bingpreview', 'preview of Bing'),
  ('agent', 'google-safety', 'check of Google'), ('agent', 'googleimageproxy', 'Gmail loads images through it'),
  ('agent', 'yahoomailproxy', 'Yahoo Mail loads images through it'), ('agent', 'barracuda', 'mail filter'), ('agent', 'mimecast', 'mail filter'),
  ('agent', 'proofpoint', 'mail filter'), ('agent', 'trendmicro', 'mail filter'), ('agent', 'symantec', 'mail filter'),
  ('agent', 'headlesschrome', 'browser without a person'), ('agent', 'phantomjs', 'browser without a person'),
  ('agent', 'curl/', 'program'), ('agent', 'wget/', 'program'), ('agent', 'libwww', 'program'), ('agent', 'python', 'program'), ('agent', 'java/', 'program'),
  ('agent', 'go-http-client', 'program'), ('agent', 'okhttp', 'program'), ('agent', 'axios', 'program'), ('agent', 'node-fetch', 'program'), ('agent', 'ruby', 'program'),
  ('exact_agent', 'Mozilla/5.0', 'Apple Mail loads images ahead, as nobody''s browser calls itself');

CREATE VIEW mfiauto.link AS
  SELECT name, url, utm, expires_after, created_at, created_by FROM mfiauto.tracked_link WHERE dropped_at IS NULL;
COMMENT ON VIEW mfiauto.link IS 'Tracked links as templates name them: {{links.NAME}}.';

CREATE VIEW mfiauto.click AS
  SELECT i.at, i.client_id, i.message_id, i.detail ->> 'link' AS link, i.detail ->> 'url' AS url, i.is_bot, i.detail ->> 'sign' AS sign,
         m.channel, h.name AS workflow, s.path AS step, m.class, m.subject, m.subject_id,
         CASE WHEN m.subject = 'loan' THEN m.subject_id ELSE m.loan_id END AS loan_id, m.sent_at
    FROM mfiauto.interaction_log i
    JOIN mfiauto.message_ledger m ON m.message_id = i.message_id AND m.client_id = i.client_id
    LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
    LEFT JOIN mfiauto.workflow_step s ON s.workflow_id = m.workflow_id AND s.version = m.version AND s.step_no = m.step_no
   WHERE i.kind = 'clicked';
COMMENT ON VIEW mfiauto.click IS
  'Who followed which link of which message, and about which loan. is_bot: a machine did, by the sign that is told. url is the link''s as it is written, without what was filled in.';
