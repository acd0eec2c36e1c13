-- What follows from the books for a client: who may see him, his profile, his segments.
--
-- Such derived facts are brought up to date by the engine when nothing else is due, for the clients that something changed for
-- (mfiauto.client_dirty), in batches. Reminders never wait for them.

-- Notes whom the batch concerns; of a loan and what belongs to it, everybody who answers for the loan.
CREATE FUNCTION mfiauto._mark_dirty() RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.client_dirty (client_id)
  SELECT t.client_id FROM mfiauto.batch_touched t WHERE t.role <> 'message'
   UNION
  SELECT b.client_id FROM mfiauto.batch_event b
   UNION
  SELECT a.client_id
    FROM (SELECT d.loan_id FROM mfiauto.batch_diff d WHERE d.loan_id IS NOT NULL UNION SELECT d.old_loan_id FROM mfiauto.batch_diff d WHERE d.old_loan_id IS NOT NULL) l
   CROSS JOIN LATERAL (SELECT s.client_id FROM mfiauto.subject_state s WHERE s.role = 'loan' AND s.subject_id = l.loan_id AND s.client_id IS NOT NULL
                       UNION ALL
                       SELECT p.client_id FROM mfiauto.party_state p WHERE p.loan_id = l.loan_id) a
   UNION
  SELECT h.key2 FROM mfiauto.batch_hint h WHERE h.source_id = 0 AND h.operation = 'p' AND h.key2 IS NOT NULL
  ON CONFLICT DO NOTHING
$$;

-- One batch of clients; returns how many. The engine calls it with its lock held. Each follower takes the clients it is given
-- as they stand in the books now, and says itself what is wrong with what users wrote.
CREATE FUNCTION mfiauto._follow_clients(batch_size integer) RETURNS bigint
LANGUAGE plpgsql SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  client_ids bigint[];
BEGIN
  PERFORM mfiauto._follow_profile_clock(batch_size);
  PERFORM mfiauto._recall_pending();
  -- On from where the last batch ended, and from the beginning when few are left: rows that were deleted are not read for each batch
  -- again, even while a long report keeps them.
  client_ids := ARRAY(SELECT c.client_id FROM mfiauto.client_dirty c
                       WHERE c.client_id > (SELECT f.followed FROM mfiauto.journal_cursor f) ORDER BY c.client_id LIMIT batch_size);
  IF cardinality(client_ids) < batch_size THEN
    client_ids := ARRAY(SELECT c.client_id FROM mfiauto.client_dirty c ORDER BY c.client_id LIMIT batch_size);
  END IF;
  IF cardinality(client_ids) = 0 THEN
    RETURN 0;
  END IF;
  DELETE FROM mfiauto.client_dirty d WHERE d.client_id = ANY (client_ids);
  UPDATE mfiauto.journal_cursor f SET followed = client_ids[cardinality(client_ids)];
  -- Followers, in the order in which they build on one another.
  PERFORM mfiauto._refresh_visibility(client_ids);
  PERFORM mfiauto._refresh_profiles(client_ids);
  PERFORM mfiauto._refresh_segments_of(client_ids);
  RETURN cardinality(client_ids);
END $$;
