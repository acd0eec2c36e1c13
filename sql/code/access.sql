-- Who may do what: access profiles are given to roles that exist.

-- The views and tables of a profile. Only admin sees contact details in mfiauto's own tables; the canonical views (and the
-- two tables that mfiauto.client reads beside the host's) show what the host's own grants show.
CREATE FUNCTION mfiauto._profile_relation(profile text) RETURNS SETOF regclass
LANGUAGE sql STABLE AS $$
  SELECT c.oid::regclass
    FROM pg_catalog.pg_class c
   WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     AND CASE profile
         WHEN 'admin' THEN c.relkind IN ('v', 'r', 'p')
         WHEN 'author' THEN c.relkind = 'v' AND (c.relname ~ '^kpi(_|$)' OR c.relnamespace = 'mfiauto_segment'::regnamespace
           OR c.relname IN ('workflow', 'template', 'segment', 'segment_size_history', 'fair_treatment', 'trait', 'trait_band', 'client_profile', 'unknown_sector', 'enrollment', 'event', 'binding', 'touchpoint_coverage', 'gateway', 'gateway_preset', 'keyword', 'link', 'click', 'intent',
                            'client', 'application', 'loan', 'installment', 'payment', 'loan_party', 'holding'))
           OR c.relkind = 'r' AND c.relname IN ('identity', 'client_trait')
         WHEN 'analyst' THEN c.relkind = 'v' AND (c.relname ~ '^kpi(_|$)' OR c.relname IN ('workflow', 'fair_treatment', 'segment_size_history'))
         ELSE false END
$$;

-- Gives a role exactly what its profiles say, however much it had before.
CREATE FUNCTION mfiauto._apply_access(role_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  thing record;
  given text[] := (SELECT pg_catalog.array_agg(g.profile) FROM mfiauto.access_grant g WHERE g.role_name = _apply_access.role_name);
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = role_name) THEN
    RETURN;
  END IF;
  FOR thing IN SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
                WHERE c.relnamespace IN ('mfiauto'::regnamespace, 'mfiauto_segment'::regnamespace) AND a.privilege_type = 'SELECT'
                  AND a.grantee = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = role_name) AND a.grantee <> c.relowner LOOP
    EXECUTE pg_catalog.format('REVOKE SELECT ON %s FROM %I', thing.name, role_name);
  END LOOP;
  FOR thing IN SELECT d.function_oid::regprocedure AS name, d.profiles && coalesce(given, '{}') AS is_given FROM mfiauto._door d
                JOIN pg_catalog.pg_proc p ON p.oid = d.function_oid LOOP
    IF thing.is_given THEN
      EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', thing.name, role_name);
    ELSE
      EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM %I', thing.name, role_name);
    END IF;
  END LOOP;
  FOR thing IN SELECT DISTINCT r AS name FROM pg_catalog.unnest(given) AS p(profile), mfiauto._profile_relation(p.profile) AS r LOOP
    EXECUTE pg_catalog.format('GRANT SELECT ON %s TO %I', thing.name, role_name);
  END LOOP;
  IF given IS NULL THEN
    EXECUTE pg_catalog.format('REVOKE USAGE ON SCHEMA mfiauto, mfiauto_segment FROM %I', role_name);
  ELSE
    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA mfiauto, mfiauto_segment TO %I', role_name);
    IF given && '{admin,author}' THEN
      EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.status, mfiauto.workflow_health, mfiauto.template_lint TO %I', role_name);
    END IF;
    IF given && '{admin,author,app}' THEN
      EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.open_task TO %I', role_name);
    END IF;
    IF given && '{admin,app,officer,branch}' THEN
      EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.conversation TO %I', role_name);
    END IF;
    IF given && '{admin}' THEN
      EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.unusable_phone TO %I', role_name);
    END IF;
    IF given && '{officer,branch}' THEN
      EXECUTE pg_catalog.format('GRANT SELECT ON mfiauto.open_task, mfiauto.own_client, mfiauto.own_message, mfiauto.own_enrollment, mfiauto.own_event, mfiauto.own_task, mfiauto.own_membership
                                   TO %I', role_name);
    END IF;
  END IF;
END $$;

-- The bound relations that a role cannot read: canonical views and conditions need the host's own grants.
CREATE FUNCTION mfiauto._list_missing_grants(role_name text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT b.relation FROM mfiauto.binding_config b
   WHERE pg_catalog.to_regclass(b.relation) IS NOT NULL
     AND NOT pg_catalog.has_table_privilege(role_name, pg_catalog.to_regclass(b.relation), 'SELECT')
   ORDER BY b.relation
$$;

CREATE FUNCTION mfiauto._check_profile(profile text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF profile IS NULL OR profile NOT IN ('admin', 'author', 'analyst', 'app', 'receiver', 'officer', 'branch') THEN
    RAISE EXCEPTION 'access profile "%" does not exist', profile
      USING ERRCODE = '42704', HINT = 'The profiles are admin, author, analyst, app, receiver, officer and branch.';
  END IF;
END $$;

-- The officer or branch that a profile is for, and no other.
CREATE FUNCTION mfiauto._check_scope(profile text, officer_id bigint, branch_id bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  IF (profile = 'officer') <> (officer_id IS NOT NULL) OR (profile = 'branch') <> (branch_id IS NOT NULL) THEN
    RAISE EXCEPTION 'access profile "%" does not fit officer_id % and branch_id %', profile, coalesce(officer_id::text, 'null'), coalesce(branch_id::text, 'null')
      USING ERRCODE = '22023', HINT = 'Give officer_id with profile officer, branch_id with profile branch, and neither with another.';
  END IF;
  RETURN coalesce(officer_id, branch_id);
END $$;

CREATE FUNCTION mfiauto._grant_access(role regrole, profile text, officer_id bigint DEFAULT NULL, branch_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  grantee text := (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = role);
  relation text;
  reader text;
  scope bigint;
BEGIN
  PERFORM mfiauto._check_profile(profile);
  scope := mfiauto._check_scope(profile, officer_id, branch_id);
  IF grantee IS NULL THEN
    RAISE EXCEPTION 'role must be the name of an existing role' USING ERRCODE = '22023';
  END IF;
  INSERT INTO mfiauto.access_grant (role_name, profile, granted_at, granted_by)
  VALUES (grantee, profile, pg_catalog.now(), mfiauto._caller()) ON CONFLICT ON CONSTRAINT access_grant_pkey DO NOTHING;
  IF scope IS NOT NULL THEN
    INSERT INTO mfiauto.access_scope (role_name, profile, number, granted_at, granted_by)
    VALUES (grantee, profile, scope, pg_catalog.now(), mfiauto._caller()) ON CONFLICT ON CONSTRAINT access_scope_pkey DO NOTHING;
  END IF;
  PERFORM mfiauto._apply_access(grantee);
  -- The owner's rights are what workers run with; authors' conditions run with their own.
  FOREACH reader IN ARRAY CASE WHEN profile IN ('admin', 'author') AND grantee <> current_user THEN ARRAY[current_user::text, grantee] ELSE ARRAY[current_user::text] END LOOP
    FOR relation IN SELECT * FROM mfiauto._list_missing_grants(reader) LOOP
      RAISE NOTICE 'role "%" may not read the bound relation %', reader, relation
        USING HINT = pg_catalog.format('Run GRANT SELECT ON %s TO %I;', relation, reader);
    END LOOP;
  END LOOP;
END $$;
SELECT mfiauto._open_door('mfiauto._grant_access(regrole,text,bigint,bigint)', '{}',
  'Gives an existing role an access profile: admin, author, analyst, app or receiver; officer with officer_id, branch with branch_id: these see their own clients alone, and may be given several. Says which grants on the host''s tables are missing. For the installation''s owner.');

CREATE FUNCTION mfiauto._revoke_access(role regrole, profile text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  grantee text := (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = role);
BEGIN
  IF profile IS NOT NULL THEN
    PERFORM mfiauto._check_profile(profile);
  END IF;
  IF grantee IS NULL THEN
    RAISE EXCEPTION 'role must be the name of an existing role' USING ERRCODE = '22023';
  END IF;
  DELETE FROM mfiauto.access_grant g
   WHERE g.role_name = grantee AND (_revoke_access.profile IS NULL OR g.profile = _revoke_access.profile);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role "%" has no such access profile', grantee
      USING ERRCODE = '42704', HINT = 'Table mfiauto.access_grant lists who has which.';
  END IF;
  PERFORM mfiauto._apply_access(grantee);
END $$;
SELECT mfiauto._open_door('mfiauto._revoke_access(regrole,text)', '{}',
  'Takes one access profile (default: all of them) from a role. For the installation''s owner.');
