-- Which officers and branches a client belongs to, and which roles stand for which of them.

CREATE TABLE mfiauto.client_visibility (
  client_id bigint NOT NULL,
  profile text NOT NULL,
  number bigint NOT NULL,
  loan_id bigint NOT NULL DEFAULT 0,
  since date,
  until date,
  CONSTRAINT client_visibility_pkey PRIMARY KEY (client_id, profile, number, loan_id),
  CONSTRAINT client_visibility_profile_check CHECK (profile IN ('officer', 'branch'))
);
CREATE INDEX client_visibility_number_idx ON mfiauto.client_visibility (profile, number, client_id);
COMMENT ON TABLE mfiauto.client_visibility IS
  'Whose each client is: number is the officer''s or the branch''s, of the client (loan_id 0) or of a loan that he answers for, from since to until. The engine keeps it as the books change.';

CREATE TABLE mfiauto.access_scope (
  role_name text NOT NULL,
  profile text NOT NULL,
  number bigint NOT NULL,
  granted_at timestamptz NOT NULL,
  granted_by text NOT NULL,
  CONSTRAINT access_scope_pkey PRIMARY KEY (role_name, profile, number),
  CONSTRAINT access_scope_grant_fkey FOREIGN KEY (role_name, profile) REFERENCES mfiauto.access_grant (role_name, profile) ON DELETE CASCADE,
  CONSTRAINT access_scope_profile_check CHECK (profile IN ('officer', 'branch'))
);
COMMENT ON TABLE mfiauto.access_scope IS 'Which officers and branches a role stands for: it sees their clients. grant_access() writes it.';
