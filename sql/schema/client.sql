-- What we know of a person beyond the bank's own tables: identity of foreign keys, traits, consent, suppression.

CREATE SEQUENCE mfiauto.identity_client_id_seq AS bigint;
CREATE TABLE mfiauto.identity (
  client_id bigint NOT NULL DEFAULT nextval('mfiauto.identity_client_id_seq'),
  client_key text NOT NULL,
  CONSTRAINT identity_pkey PRIMARY KEY (client_id),
  CONSTRAINT identity_client_key_key UNIQUE (client_key)
);
COMMENT ON TABLE mfiauto.identity IS 'For a host whose clients are keyed by text or uuid: the bigint that stands for each key.';

CREATE TABLE mfiauto.client_trait (
  client_id bigint NOT NULL,
  traits jsonb NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT client_trait_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.client_trait IS 'Traits given by identify(); the bank''s own columns are read from its tables.';

CREATE SEQUENCE mfiauto.consent_id_seq AS bigint;
CREATE TABLE mfiauto.consent (
  client_id bigint NOT NULL,
  consent_id bigint NOT NULL DEFAULT nextval('mfiauto.consent_id_seq'),
  channel text,
  purpose text,
  granted boolean NOT NULL,
  is_pending boolean NOT NULL DEFAULT false,
  reason text,
  source text,
  text_version text,
  proof jsonb,
  confirms bigint,
  given_at timestamptz NOT NULL,
  recorded_by text NOT NULL,
  CONSTRAINT consent_pkey PRIMARY KEY (client_id, consent_id),
  CONSTRAINT consent_pending_check CHECK (granted OR NOT is_pending)
);
COMMENT ON TABLE mfiauto.consent IS
  'Append-only: each opt-in and opt-out with who, when, how. A null channel or purpose means all of them. The newest row that fits and is not pending decides. is_pending: an opt-in that was
   asked for and has to be confirmed; confirms: the pending row that this one confirms. Of an erased client proof and reason are gone.';

-- The texts that people agreed to.
CREATE TABLE mfiauto.consent_text (
  version text NOT NULL,
  locale text NOT NULL,
  text text NOT NULL,
  text_hash text NOT NULL,
  recorded_at timestamptz NOT NULL,
  recorded_by text NOT NULL,
  CONSTRAINT consent_text_pkey PRIMARY KEY (version, locale)
);
COMMENT ON TABLE mfiauto.consent_text IS
  'Append-only: the wording behind each text_version of mfiauto.consent, by language, with its SHA-256. A wording that changes is a new version.';

-- Clients who were erased: nothing is sent to them, and nothing is written down of them again, though the books may still have them.
CREATE TABLE mfiauto.erased_client (
  client_id bigint NOT NULL,
  erased_at timestamptz NOT NULL,
  reason text NOT NULL,
  erased_by text NOT NULL,
  CONSTRAINT erased_client_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.erased_client IS 'Whom erase_client() erased, when, why, and who did it. reason is the institution''s: no personal data belong there.';

-- What is proof is not changed by anybody, not even by the functions that write it: a row of consent may lose its proof and its reason when
-- its client is erased, and nothing else may happen to it. Ordinary functions, as their tables are: they stay when the extension goes.
CREATE FUNCTION mfiauto._refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'mfiauto.% is append-only', TG_TABLE_NAME USING ERRCODE = '42501',
    DETAIL = pg_catalog.format('%s is not possible.', TG_OP), HINT = 'Add a row; erase_client() takes away what a person may ask to have erased.';
END $$;
CREATE FUNCTION mfiauto._refuse_consent_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.proof IS NULL AND NEW.reason IS NULL
       AND pg_catalog.to_jsonb(NEW) - '{proof,reason}'::text[] = pg_catalog.to_jsonb(OLD) - '{proof,reason}'::text[]
       AND EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = OLD.client_id) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'mfiauto.consent is append-only' USING ERRCODE = '42501',
    DETAIL = pg_catalog.format('%s is not possible.', TG_OP), HINT = 'Record what holds now with opt_in() or opt_out(); erase_client() takes away what a person may ask to have erased.';
END $$;
REVOKE ALL ON FUNCTION mfiauto._refuse_change(), mfiauto._refuse_consent_change() FROM PUBLIC;
CREATE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON mfiauto.consent FOR EACH ROW EXECUTE FUNCTION mfiauto._refuse_consent_change();
CREATE TRIGGER consent_no_truncate BEFORE TRUNCATE ON mfiauto.consent FOR EACH STATEMENT EXECUTE FUNCTION mfiauto._refuse_change();
CREATE TRIGGER consent_text_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mfiauto.consent_text FOR EACH STATEMENT EXECUTE FUNCTION mfiauto._refuse_change();

CREATE TABLE mfiauto.suppression (
  channel text NOT NULL,
  address_hash text NOT NULL,
  reason text NOT NULL,
  suppressed_at timestamptz NOT NULL,
  CONSTRAINT suppression_pkey PRIMARY KEY (channel, address_hash)
);
COMMENT ON TABLE mfiauto.suppression IS
  'Addresses that are never written to again, whatever the class: SHA-256 of channel and address, so that it survives the client''s erasure. Channel phone: a number, on sms, voice and whatsapp.';

-- Addresses that the bank's books do not have: devices, and people's names at chat providers.
CREATE SEQUENCE mfiauto.client_address_id_seq AS bigint;
CREATE TABLE mfiauto.client_address (
  client_id bigint NOT NULL,
  client_address_id bigint NOT NULL DEFAULT nextval('mfiauto.client_address_id_seq'),
  channel text NOT NULL,
  address text NOT NULL,
  device jsonb,
  added_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  retired_at timestamptz,
  retired_reason text,
  CONSTRAINT client_address_pkey PRIMARY KEY (client_id, client_address_id),
  CONSTRAINT client_address_channel_check CHECK (channel IN ('push', 'whatsapp', 'telegram', 'messenger'))
);
CREATE UNIQUE INDEX client_address_live_idx ON mfiauto.client_address (channel, address) WHERE retired_at IS NULL;
COMMENT ON TABLE mfiauto.client_address IS
  'Push tokens, one a device, and the names that chat providers give a client. The live one that was seen last is written to; a provider that refuses one retires it.';

-- When a client last wrote to us: chat providers take free text only for so long after it.
CREATE TABLE mfiauto.last_inbound (
  client_id bigint NOT NULL,
  channel text NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT last_inbound_pkey PRIMARY KEY (client_id, channel)
);
COMMENT ON TABLE mfiauto.last_inbound IS 'The last message that a client sent us on a channel.';

-- Whom something changed for since the derived facts (who may see him, his profile, his segments) were last brought up to date.
CREATE TABLE mfiauto.client_dirty (
  client_id bigint NOT NULL,
  CONSTRAINT client_dirty_pkey PRIMARY KEY (client_id)
);
COMMENT ON TABLE mfiauto.client_dirty IS 'Clients whose profile and segments the engine has still to look at; it empties it in batches when nothing else is due.';

-- What is written down of a client who was erased is not written down.
CREATE FUNCTION mfiauto._skip_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = NEW.client_id) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION mfiauto._skip_erased() FROM PUBLIC;
CREATE TRIGGER client_trait_skip_erased BEFORE INSERT ON mfiauto.client_trait FOR EACH ROW EXECUTE FUNCTION mfiauto._skip_erased();
CREATE TRIGGER client_address_skip_erased BEFORE INSERT ON mfiauto.client_address FOR EACH ROW EXECUTE FUNCTION mfiauto._skip_erased();
