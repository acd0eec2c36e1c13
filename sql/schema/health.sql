-- The places where an institution touches its clients, and which of them a live workflow covers.

CREATE TABLE mfiauto.touchpoint (
  touchpoint text NOT NULL,
  place integer NOT NULL,
  about text NOT NULL,
  CONSTRAINT touchpoint_pkey PRIMARY KEY (touchpoint)
);
COMMENT ON TABLE mfiauto.touchpoint IS 'The path of a client, place by place; add your own, with a row of mfiauto.touchpoint_rule each.';
INSERT INTO mfiauto.touchpoint VALUES
  ('first_contact', 1, 'First contact, a request for information'),
  ('application', 2, 'A loan is applied for'),
  ('accepted', 3, 'The application is accepted'),
  ('refused', 4, 'The application is refused'),
  ('disbursement', 5, 'The loan is disbursed'),
  ('before_due', 6, 'Reminder before an installment is due'),
  ('on_due', 7, 'Reminder on the day itself'),
  ('after_due', 8, 'Reminder of what is late'),
  ('end_of_loan', 9, 'The loan comes to its end'),
  ('next_offer', 10, 'A second loan, savings, insurance or training is offered'),
  ('birthday', 11, 'The client''s birthday'),
  ('inactivity', 12, 'Nothing was heard of the client for long'),
  ('change_of_terms', 13, 'Notice of changed terms'),
  ('education', 14, 'Financial advice and education');

CREATE SEQUENCE mfiauto.touchpoint_rule_id_seq AS bigint;
CREATE TABLE mfiauto.touchpoint_rule (
  rule_id bigint NOT NULL DEFAULT nextval('mfiauto.touchpoint_rule_id_seq'),
  touchpoint text NOT NULL,
  trigger_kinds text[],
  events text[],
  to_statuses text[],
  date_column text,
  offset_from integer,
  offset_to integer,
  classes text[],
  CONSTRAINT touchpoint_rule_pkey PRIMARY KEY (rule_id),
  CONSTRAINT touchpoint_rule_touchpoint_fkey FOREIGN KEY (touchpoint) REFERENCES mfiauto.touchpoint (touchpoint)
);
COMMENT ON TABLE mfiauto.touchpoint_rule IS
  'When a workflow covers a touch point: all that a row names must fit, one row is enough. date_column: role.column of an anchor or of a yearly date.
   offset_from, offset_to: days from the anchor, of a step. to_statuses: of a status trigger.';
INSERT INTO mfiauto.touchpoint_rule (touchpoint, trigger_kinds, events, to_statuses, date_column, offset_from, offset_to, classes) VALUES
  ('first_contact', '{event}', '{Lead Created,Client Created}', NULL, NULL, NULL, NULL, NULL),
  ('application', '{event}', '{Loan Applied}', NULL, NULL, NULL, NULL, NULL),
  ('application', '{status}', '{Application Status Changed,Loan Status Changed}', '{applied,submitted,pending}', NULL, NULL, NULL, NULL),
  ('accepted', '{event}', '{Loan Approved}', NULL, NULL, NULL, NULL, NULL),
  ('accepted', '{status}', '{Application Status Changed,Loan Status Changed}', '{approved,accepted}', NULL, NULL, NULL, NULL),
  ('refused', '{event}', '{Loan Rejected}', NULL, NULL, NULL, NULL, NULL),
  ('refused', '{status}', '{Application Status Changed,Loan Status Changed}', '{rejected,refused}', NULL, NULL, NULL, NULL),
  ('disbursement', '{event}', '{Loan Disbursed}', NULL, NULL, NULL, NULL, NULL),
  ('disbursement', '{status}', '{Loan Status Changed}', '{active,disbursed}', NULL, NULL, NULL, NULL),
  ('before_due', '{anchor}', NULL, NULL, 'installment.due_date', NULL, -1, NULL),
  ('on_due', '{anchor}', NULL, NULL, 'installment.due_date', 0, 0, NULL),
  ('after_due', '{anchor}', NULL, NULL, 'installment.due_date', 1, NULL, NULL),
  ('end_of_loan', '{event}', '{Loan Closed}', NULL, NULL, NULL, NULL, NULL),
  ('end_of_loan', '{status}', '{Loan Status Changed}', '{closed,repaid}', NULL, NULL, NULL, NULL),
  ('end_of_loan', '{anchor}', NULL, NULL, 'loan.maturity_on', NULL, NULL, NULL),
  ('next_offer', '{event}', '{Loan Closed}', NULL, NULL, NULL, NULL, '{marketing}'),
  ('next_offer', '{status}', '{Loan Status Changed}', '{closed,repaid}', NULL, NULL, NULL, '{marketing}'),
  ('next_offer', '{segment,schedule}', NULL, NULL, NULL, NULL, NULL, '{marketing}'),
  ('birthday', '{yearly}', NULL, NULL, 'client.birth_date', NULL, NULL, NULL),
  ('inactivity', '{inactive}', NULL, NULL, NULL, NULL, NULL, NULL),
  ('change_of_terms', '{segment,schedule,manual,event}', NULL, NULL, NULL, NULL, NULL, '{legal}'),
  ('education', NULL, NULL, NULL, NULL, NULL, NULL, '{education}');

-- Steps of active workflows that stand for a touch point. An anchored step counts by the moment it belongs to.
CREATE VIEW mfiauto._touchpoint_step AS
  SELECT DISTINCT r.touchpoint, h.workflow_id, h.name, s.version, s.step_no
    FROM mfiauto.workflow_head h
    JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
    JOIN mfiauto.workflow_step s ON s.workflow_id = v.workflow_id AND s.version = v.version
    LEFT JOIN LATERAL (SELECT t.at_offset FROM mfiauto.workflow_step t
                        WHERE t.workflow_id = v.workflow_id AND t.version = v.version AND t.at_offset IS NOT NULL AND t.step_no <= s.step_no
                        ORDER BY t.step_no DESC LIMIT 1) m ON true
    JOIN mfiauto.touchpoint_rule r
      ON coalesce(v.trigger_kind = ANY (r.trigger_kinds), r.trigger_kinds IS NULL)
     AND (r.events IS NULL OR coalesce(v.trigger_events && r.events AND v.trigger_kind <> 'inactive', false))
     AND (r.to_statuses IS NULL OR EXISTS (SELECT FROM unnest(v.trigger_filters) f WHERE coalesce(f ->> 'to', f ->> 'status') = ANY (r.to_statuses)))
     AND (r.date_column IS NULL OR coalesce(r.date_column IN (v.subject || '.' || v.anchor_column, v.trigger_column), false))
     AND (r.offset_from IS NULL OR coalesce(m.at_offset >= r.offset_from, false)) AND (r.offset_to IS NULL OR coalesce(m.at_offset <= r.offset_to, false))
     AND coalesce(coalesce(s.class, v.class) = ANY (r.classes), r.classes IS NULL)
   WHERE h.state = 'active' AND s.kind IN ('send', 'task');

CREATE VIEW mfiauto.touchpoint_coverage AS
  SELECT t.touchpoint, t.about, c.workflows IS NOT NULL AS is_covered, coalesce(c.workflows, '{}') AS workflows, coalesce(m.messages, 0) AS messages_30d
    FROM mfiauto.touchpoint t
    LEFT JOIN (SELECT s.touchpoint, array_agg(DISTINCT s.name ORDER BY s.name) AS workflows FROM mfiauto._touchpoint_step s GROUP BY s.touchpoint) c
      ON c.touchpoint = t.touchpoint
    LEFT JOIN (SELECT s.touchpoint, sum(r.accepted_count)::bigint AS messages
                 FROM mfiauto._touchpoint_step s
                 JOIN mfiauto.rollup_message r ON r.workflow_id = s.workflow_id AND r.version = s.version AND r.step_no = s.step_no
                 JOIN mfiauto.kpi_refresh k ON r.period > k.on_date - 30
                GROUP BY s.touchpoint) m ON m.touchpoint = t.touchpoint
   ORDER BY t.place, t.touchpoint;
COMMENT ON VIEW mfiauto.touchpoint_coverage IS
  'The client''s path, touch point by touch point: which active workflows cover it, and the messages of these steps that gateways took in the 30 days up to the last refresh_kpis(). What stands for a touch point: mfiauto.touchpoint_rule.';
