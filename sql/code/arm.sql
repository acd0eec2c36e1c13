-- Who may send: arm_delivery(), and what tells a copy of this database from the one that was armed.

CREATE FUNCTION mfiauto._read_site(OUT system_identifier numeric, OUT database_name text, OUT database_oid bigint,
                                   OUT timeline bigint, OUT node text, OUT site text)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mfiauto_read_site';

CREATE FUNCTION mfiauto._timeline_break(since bigint, now bigint) RETURNS text
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mfiauto_timeline_break';

CREATE FUNCTION mfiauto._has_clock() RETURNS boolean
  LANGUAGE c AS 'MODULE_PATHNAME', 'mfiauto_has_clock';

CREATE FUNCTION mfiauto.this_node() RETURNS text
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mfiauto_this_node';
COMMENT ON FUNCTION mfiauto.this_node() IS
  'This machine and data directory, as allow_node() takes it. Also works on a standby, where it is asked for.';

-- Arming is the owner's, whatever profiles others have.
CREATE FUNCTION mfiauto._check_arming_right() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT (SELECT r.rolsuper OR pg_catalog.pg_has_role(r.oid, current_user, 'MEMBER')
            FROM pg_catalog.pg_roles r WHERE r.rolname = mfiauto._caller()) THEN
    RAISE EXCEPTION 'must be the owner of the installation to say who may send'
      USING ERRCODE = '42501', HINT = pg_catalog.format('Ask a superuser or a member of role %I.', current_user);
  END IF;
END $$;

CREATE FUNCTION mfiauto._arm_delivery() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  here record;
BEGIN
  PERFORM mfiauto._check_arming_right();
  SELECT * INTO here FROM mfiauto._read_site();
  DELETE FROM mfiauto.armed_site;
  INSERT INTO mfiauto.armed_site (system_identifier, database_name, database_oid, timeline, node, site, armed_by)
  VALUES (here.system_identifier, here.database_name, here.database_oid, here.timeline, here.node, here.site, mfiauto._caller());
  IF EXISTS (SELECT FROM mfiauto.delivery_hold h WHERE h.held_by = 'mfiauto') THEN
    RAISE NOTICE 'delivery is still held: %', (SELECT h.reason FROM mfiauto.delivery_hold h WHERE h.held_by = 'mfiauto' LIMIT 1)
      USING HINT = 'Look at the queue, then run mfiauto.release_delivery().';
  END IF;
  RETURN here.node;
END $$;
SELECT mfiauto._open_door('mfiauto._arm_delivery()', '{}',
  'This server, and no copy of it, may send for this installation from now on; nodes allowed before are forgotten. Returns the node. For the installation''s owner.');

CREATE FUNCTION mfiauto._allow_node(node text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._check_arming_right();
  IF node IS NULL OR node !~ '^[0-9a-f]{32}$' THEN
    RAISE EXCEPTION 'node must be 32 hexadecimal digits'
      USING ERRCODE = '22023', HINT = 'Run SELECT mfiauto.this_node() on that server; it works on a standby too.';
  END IF;
  IF NOT EXISTS (SELECT FROM mfiauto.armed_site) THEN
    RAISE EXCEPTION 'delivery is not armed'
      USING ERRCODE = '55000', HINT = 'Run mfiauto.arm_delivery() on the primary first.';
  END IF;
  INSERT INTO mfiauto.armed_site (system_identifier, database_name, database_oid, timeline, node, site, armed_by)
  SELECT a.system_identifier, a.database_name, a.database_oid, a.timeline, _allow_node.node, a.site, mfiauto._caller()
    FROM mfiauto.armed_site a
   WHERE a.node <> _allow_node.node
   ORDER BY a.armed_at LIMIT 1
  ON CONFLICT ON CONSTRAINT armed_site_pkey DO NOTHING;
END $$;
SELECT mfiauto._open_door('mfiauto._allow_node(text)', '{}',
  'A second server (a standby) that may go on sending when it is promoted; node is what this_node() says there. For the installation''s owner.');

CREATE FUNCTION mfiauto._disarm_delivery() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM mfiauto._check_arming_right();
  DELETE FROM mfiauto.armed_site;
END $$;
SELECT mfiauto._open_door('mfiauto._disarm_delivery()', '{}',
  'Nothing is sent until arm_delivery(). For the installation''s owner.');

-- Why this server is not the one that was armed; null: it is. Of gateways that are tables it is asked under a clock too: who reads them knows no clock.
CREATE FUNCTION mfiauto._site_refusal() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  here record;
  armed mfiauto.armed_site;
  target text;
BEGIN
  SELECT * INTO here FROM mfiauto._read_site();
  IF NOT EXISTS (SELECT FROM mfiauto.armed_site) THEN
    RETURN 'never armed: run mfiauto.arm_delivery() where messages are to be sent from';
  END IF;
  SELECT a.* INTO armed FROM mfiauto.armed_site a ORDER BY (a.node = here.node) DESC, a.armed_at LIMIT 1;
  IF armed.system_identifier <> here.system_identifier THEN
    RETURN 'this is another server than the one that was armed (a restored dump, or an upgrade): run mfiauto.arm_delivery() if messages are to be sent from here';
  ELSIF armed.database_oid <> here.database_oid OR armed.database_name <> here.database_name THEN
    RETURN pg_catalog.format('database "%s" was armed, this is "%s" (a copy, or renamed): run mfiauto.arm_delivery() if messages are to be sent from here',
                             armed.database_name, here.database_name);
  ELSIF armed.node <> here.node THEN
    RETURN 'this machine or data directory is not one that was armed (a copied data directory, or a standby that was not allowed): see mfiauto.allow_node()';
  ELSIF armed.site IS DISTINCT FROM here.site THEN
    RETURN 'mfiauto.site_file says another site than the one that was armed';
  END IF;
  target := mfiauto._timeline_break(armed.timeline, here.timeline);
  IF target IS NOT NULL THEN
    RETURN pg_catalog.format('the server was restored to an earlier moment (%s): what was sent since then may be in the queue again; look at it, then run mfiauto.arm_delivery()', target);
  END IF;
  RETURN NULL;
END $$;

-- Why nothing may be sent from here; null: it may. Holds (hold_delivery) are not its concern.
CREATE FUNCTION mfiauto._delivery_refusal() RETURNS text
LANGUAGE sql AS $$
  -- Under a clock only the sandbox and gateways on this machine are used.
  SELECT CASE WHEN pg_catalog.current_setting('mfiauto.delivery') = 'off' THEN 'mfiauto.delivery is off'
              WHEN NOT mfiauto._has_clock() THEN mfiauto._site_refusal() END
$$;

-- At the start of a delivery worker, before its first heartbeat: a long silence means an old image or a long
-- stop, and what waits in the queue may be stale. Somebody looks at it before it leaves.
CREATE FUNCTION mfiauto._hold_stale_delivery() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  silent interval := (SELECT pg_catalog.clock_timestamp() - max(w.heartbeat_at) FROM mfiauto.worker_state w WHERE w.worker = 'delivery');
  why text;
BEGIN
  IF silent IS NULL OR silent <= pg_catalog.current_setting('mfiauto.max_downtime')::interval
     OR NOT EXISTS (SELECT FROM mfiauto.outbox)
     OR EXISTS (SELECT FROM mfiauto.delivery_hold h WHERE h.held_by = 'mfiauto') THEN
    RETURN NULL;
  END IF;
  why := pg_catalog.format('the last sign of life of delivery is %s old, more than mfiauto.max_downtime', mfiauto._span_text(silent));
  INSERT INTO mfiauto.delivery_hold (scope, target, reason, held_at, held_by)
  VALUES ('all', NULL, why, pg_catalog.clock_timestamp(), 'mfiauto');
  RETURN why;
END $$;
