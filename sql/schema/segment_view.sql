-- Whom segments and workflows may treat unfairly: what uses a protected attribute.

CREATE VIEW mfiauto.fair_treatment AS
  WITH RECURSIVE reading AS (
    SELECT s.name AS segment, r.attribute,
           CASE WHEN r.column_name LIKE 'mfiauto.client%.traits.%' THEN 'traits.' || regexp_replace(r.column_name, '^mfiauto\.client(_profile)?\.traits\.', '')
                WHEN r.column_name ~ '^mfiauto\.client(_profile)?\.[^.]+$' THEN regexp_replace(r.column_name, '^.*\.', '') END AS read_attribute,
           r.column_name
      FROM mfiauto.segment_definition s
     CROSS JOIN LATERAL (SELECT p.attribute, c.column_name FROM mfiauto.protected_attribute p, unnest(s.reads_columns) AS c(column_name)) r
  ), used AS (
    SELECT r.segment, r.attribute, 'reads ' || r.column_name AS how
      FROM reading r
     WHERE r.read_attribute = r.attribute
        -- All traits at once: which, the query alone knows.
        OR r.attribute LIKE 'traits.%' AND r.read_attribute = 'traits'
        -- The bank's own column behind it.
        OR EXISTS (SELECT FROM mfiauto.binding_config b
                    WHERE b.role = 'client' AND starts_with(r.column_name, b.relation || '.') AND b.columns ->> r.attribute IS NOT NULL
                      AND b.columns ->> r.attribute ~ ('(^|\W)' || regexp_replace(substr(r.column_name, length(b.relation) + 2), '(\W)', '\\\1', 'g') || '(\W|$)'))
        -- A trait that was computed from it.
        OR EXISTS (SELECT FROM mfiauto.trait_definition t
                    WHERE r.read_attribute = 'traits.' || t.name AND t.query ~ ('\m' || regexp_replace(regexp_replace(r.attribute, '^traits\.', ''), '(\W)', '\\\1', 'g') || '\M'))
    UNION
    SELECT s.name, u.attribute, format('through segment "%s"', u.segment)
      FROM used u JOIN mfiauto.segment_definition s ON u.segment = ANY (s.reads_segments)
  ), flow AS (
    SELECT h.name, v.workflow_id, v.version, v.definition::text AS definition, v.trigger_segment, v.trigger_trait
      FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id
     WHERE h.state <> 'archived'
       AND (v.version = h.live_version OR v.version = (SELECT max(n.version) FROM mfiauto.workflow_version n WHERE n.workflow_id = h.workflow_id))
  ), using_it AS (
    SELECT u.attribute, 'segment' AS kind, u.segment AS name, u.how FROM used u
    UNION
    SELECT u.attribute, 'workflow', f.name, format('through segment "%s"', u.segment)
      FROM flow f JOIN used u ON u.segment = f.trigger_segment
        OR EXISTS (SELECT FROM mfiauto.workflow_step t WHERE t.workflow_id = f.workflow_id AND t.version = f.version AND t.segment = u.segment)
        OR f.definition ~ ('\mmfiauto_segment\.' || u.segment || '\M')
    UNION
    SELECT p.attribute, 'workflow', f.name, 'in a condition'
      FROM flow f, mfiauto.protected_attribute p,
           LATERAL (SELECT regexp_replace(regexp_replace(p.attribute, '^traits\.', ''), '(\W)', '\\\1', 'g') AS word) w
     WHERE f.trigger_trait = regexp_replace(p.attribute, '^traits\.', '')
        OR f.definition ~ CASE WHEN p.attribute LIKE 'traits.%' THEN '\mtraits\M[^a-zA-Z]{1,20}' || w.word || '\M' ELSE '\m(client|client_profile|profile)\.' || w.word || '\M' END
  )
  SELECT i.attribute, i.kind, i.name, string_agg(i.how, ', ' ORDER BY i.how) AS how, p.reason
    FROM using_it i JOIN mfiauto.protected_attribute p ON p.attribute = i.attribute
   GROUP BY i.attribute, i.kind, i.name, p.reason;
COMMENT ON VIEW mfiauto.fair_treatment IS
  'Segments and workflows that use a protected attribute (mfiauto.protected_attribute), themselves, through another segment, a computed trait or the bank''s own column.
   For people to look at: a letter that says Madame uses one fairly.';
