-- Who writes to us, and what is made of it: addresses of the books, keywords, questions that have an answer, conversations.

-- The books' addresses in the one form that is compared, so that whoever writes is found without an index on the bank's tables.
CREATE TABLE mfiauto.address_book (
  client_id bigint NOT NULL,
  kind text NOT NULL,
  address text NOT NULL,
  CONSTRAINT address_book_pkey PRIMARY KEY (client_id, kind),
  CONSTRAINT address_book_kind_check CHECK (kind IN ('phone', 'email', 'telegram', 'messenger'))
);
CREATE INDEX address_book_address_idx ON mfiauto.address_book (address, kind);
COMMENT ON TABLE mfiauto.address_book IS
  'Each client''s telephone, e-mail and chat names as the books have them, in E.164 and lower case. Kept by the engine with the clients it consumes; resync() makes it right as a whole.';

CREATE TABLE mfiauto.keyword_config (
  keyword text NOT NULL,
  locale text NOT NULL,
  action text NOT NULL,
  place text NOT NULL,
  purpose text,
  event text,
  template text,
  is_builtin boolean NOT NULL DEFAULT false,
  CONSTRAINT keyword_config_pkey PRIMARY KEY (keyword, locale),
  CONSTRAINT keyword_config_action_check CHECK (action IN ('stop', 'stop_all', 'start', 'confirm', 'help', 'info', 'event', 'none', 'courtesy')),
  CONSTRAINT keyword_config_place_check CHECK (place IN ('first', 'alone')),
  CONSTRAINT keyword_config_purpose_fkey FOREIGN KEY (purpose) REFERENCES mfiauto.message_class (class)
);
COMMENT ON TABLE mfiauto.keyword_config IS
  'Words that people send us, folded (lower case, no accents), and what they do. place: first, the text begins with it; alone, the text is it, words of courtesy apart. The longest one decides; none: what looks like a keyword and is not.';
INSERT INTO mfiauto.keyword_config (keyword, locale, action, place, is_builtin)
SELECT w.keyword, k.locale, k.action, k.place, true
  FROM (VALUES
    ('*',  'stop',     'first', 'stop|unsubscribe|optout|opt out|stop sms|desabonner|desabonne|desabonnez|desabonnement|arret|arreter|arretez|arrete'),
    ('*',  'stop_all', 'first', 'stop all|stopall|stop tout|stop tous|arret tout|arretez tout'),
    ('en', 'stop',     'alone', 'cancel|quit|end|revoke|remove me'),
    ('en', 'stop',     'first', 'do not contact me|don t contact me|stop messaging me|remove me from your list'),
    ('fr', 'stop',     'alone', 'fin|quitter|resilier|me desabonner|me desinscrire|plus de sms|plus de messages'),
    ('fr', 'stop',     'first', 'desinscrire|desinscription|desinscrivez|ne plus recevoir|ne m envoyez plus|n envoyez plus|ne m ecrivez plus|je veux me desabonner|je ne veux plus recevoir'),
    ('pt', 'stop',     'alone', 'parar|pare|sair|cancelar|remover'),
    ('es', 'stop',     'alone', 'parar|baja|salir|cancelar'),
    ('ar', 'stop',     'alone', 'توقف|قف|اوقف|الغاء|الغاء الاشتراك|ايقاف'),
    ('sw', 'stop',     'alone', 'acha|simama|sitisha|ondoa'),
    ('wo', 'stop',     'alone', 'taxawal|bayil|bayyil|dakkal'),
    ('ha', 'stop',     'alone', 'tsaya|daina|dakata'),
    ('ff', 'stop',     'alone', 'accu|daro|dartin'),
    ('bm', 'stop',     'alone', 'dabila|a dabila'),
    ('*',  'start',    'alone', 'start|unstop|resubscribe|reprendre|reabonner|me reabonner|subscribe|recommencer|reprise'),
    ('*',  'start',    'first', 'start sms|unstop all|start all'),
    ('*',  'confirm',  'alone', 'oui|yes|ok oui|j accepte|i agree|je confirme|d accord|i accept'),
    ('pt', 'confirm',  'alone', 'sim|aceito'),
    ('es', 'confirm',  'alone', 'si|acepto'),
    ('ar', 'confirm',  'alone', 'نعم|موافق'),
    ('sw', 'confirm',  'alone', 'ndiyo'),
    ('wo', 'confirm',  'alone', 'waaw|waw'),
    ('bm', 'confirm',  'alone', 'awo|owo'),
    ('*',  'help',     'alone', 'aide|help|help me|aidez moi|aide moi|sos|menu|besoin d aide'),
    ('pt', 'help',     'alone', 'ajuda'),
    ('es', 'help',     'alone', 'ayuda'),
    ('ar', 'help',     'alone', 'مساعده'),
    ('sw', 'help',     'alone', 'msaada'),
    ('wo', 'help',     'alone', 'ndimbal'),
    ('ha', 'help',     'alone', 'taimako'),
    ('ff', 'help',     'alone', 'ballal'),
    ('bm', 'help',     'alone', 'deme'),
    ('*',  'info',     'alone', 'info|infos|information|informations'),
    ('pt', 'info',     'alone', 'informacao'),
    ('ar', 'info',     'alone', 'معلومات'),
    ('fr', 'none',     'first', 'arret maladie|arret de travail|arret de bus|arret du bus|arret cardiaque|arret de la pluie'),
    ('en', 'none',     'first', 'stop by|stop over'),
    ('*',  'courtesy', 'first', 'sms|message|messages|please|pls|plz|svp|stp|s il vous plait|s il te plait|merci|thanks|thank you|bonjour|bonsoir|salut|hello|hi|good morning|good evening|salam|salaam|salam aleikoum|assalamou aleikoum|jerejef|monsieur|madame|mr|mme|sir|cher|dear')
  ) AS k(locale, action, place, words),
  LATERAL pg_catalog.unnest(pg_catalog.string_to_array(k.words, '|')) AS w(keyword);

CREATE VIEW mfiauto.keyword AS
  SELECT k.keyword, k.locale, k.action, k.place, k.purpose, k.event, k.template, k.is_builtin FROM mfiauto.keyword_config k;
COMMENT ON VIEW mfiauto.keyword IS
  'What the words do that clients send us. Set with set_keyword(), taken away with drop_keyword(); accents, case and punctuation do not count.';

CREATE TABLE mfiauto.keyword_answer (
  action text NOT NULL,
  template text NOT NULL,
  CONSTRAINT keyword_answer_pkey PRIMARY KEY (action),
  CONSTRAINT keyword_answer_action_check CHECK (action IN ('stop', 'stop_all', 'start', 'confirm', 'help', 'info', 'handover'))
);
COMMENT ON TABLE mfiauto.keyword_answer IS 'The template that answers an action; a keyword''s own template goes before it. Without one nothing is answered.';

-- Questions that a text answers.
CREATE TABLE mfiauto.intent_config (
  name text NOT NULL,
  template text,
  hands_over boolean NOT NULL,
  threshold numeric NOT NULL,
  examples jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  CONSTRAINT intent_config_pkey PRIMARY KEY (name),
  CONSTRAINT intent_config_answer_check CHECK (hands_over OR template IS NOT NULL)
);
COMMENT ON TABLE mfiauto.intent_config IS 'Questions as create_intent() declared them.';
CREATE TABLE mfiauto.intent_word (
  name text NOT NULL,
  locale text NOT NULL,
  example integer NOT NULL,
  word text NOT NULL,
  CONSTRAINT intent_word_pkey PRIMARY KEY (word, locale, name, example)
);
COMMENT ON TABLE mfiauto.intent_word IS 'The words that count of each example, as they are compared.';
CREATE VIEW mfiauto.intent AS
  SELECT i.name, i.template, i.hands_over, i.threshold, i.examples, i.created_at, i.created_by FROM mfiauto.intent_config i;
COMMENT ON VIEW mfiauto.intent IS 'Questions that clients ask, with examples of them by language, and the template that answers; hands_over: a person answers.';

-- Conversations that a person has, or is to have. Where there is no row, or it is closed, templates answer.
CREATE TABLE mfiauto.conversation_state (
  client_id bigint NOT NULL,
  channel text NOT NULL,
  state text NOT NULL,
  reason text,
  task_id bigint,
  taken_by text,
  opened_at timestamptz NOT NULL,
  taken_at timestamptz,
  closed_at timestamptz,
  closed_by text,
  note text,
  CONSTRAINT conversation_state_pkey PRIMARY KEY (client_id, channel),
  CONSTRAINT conversation_state_state_check CHECK (state IN ('waiting', 'taken', 'closed'))
);
CREATE INDEX conversation_state_open_idx ON mfiauto.conversation_state (opened_at) WHERE state <> 'closed';
COMMENT ON TABLE mfiauto.conversation_state IS
  'One row a client and channel that was handed over to a person: waiting for one, taken by one, or closed. reason: what asked for a person.';
