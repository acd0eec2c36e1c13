-- For tests of recipes: a pass of the engine at a moment, and what it brought: messages and tasks, each told once.
CREATE TABLE told (kind text, id bigint, PRIMARY KEY (kind, id));
CREATE FUNCTION pass(at timestamptz) RETURNS TABLE (client bigint, workflow text, channel text, state text, says text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM mfiauto.set_clock(at);
  PERFORM mfiauto.run_engine();
  RETURN QUERY
    WITH news AS (
      SELECT 'message' AS kind, m.message_id AS id, m.client_id, m.workflow, m.channel, m.state || coalesce(' ' || m.reason, '') AS state, m.body
        FROM mfiauto.message m WHERE m.state <> 'skipped'
      UNION ALL
      SELECT 'task', t.task_id, t.client_id, (SELECT h.name FROM mfiauto.workflow_head h WHERE h.workflow_id = t.workflow_id), 'task', t.state, t.title FROM mfiauto.task t
    ), fresh AS (INSERT INTO told SELECT n.kind, n.id FROM news n ON CONFLICT DO NOTHING RETURNING kind, id)
    SELECT n.client_id, n.workflow, n.channel, n.state, n.body FROM news n JOIN fresh f USING (kind, id) ORDER BY n.client_id, n.workflow COLLATE "C", n.id;
END $$;
-- How runs stand, or ended.
CREATE VIEW runs AS
  SELECT e.workflow, e.client_id, e.subject, e.subject_id, e.state, e.step, e.due_at, e.reason FROM mfiauto.enrollment e ORDER BY e.workflow COLLATE "C", e.client_id, e.subject_id;
