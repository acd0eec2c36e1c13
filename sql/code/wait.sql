-- Steps at which a run stands still: each is a function of _run_step().

-- A duration after a moment: its days in local time, its hours as hours, so that a change of the clocks moves neither.
CREATE FUNCTION mfiauto._wait_until(since timestamptz, wait interval, zone text) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT ((since AT TIME ZONE zone) + make_interval(months => (extract(year FROM wait) * 12 + extract(month FROM wait))::integer, days => extract(day FROM wait)::integer))
           AT TIME ZONE zone
         + make_interval(secs => (extract(hour FROM wait) * 3600 + extract(minute FROM wait) * 60 + extract(second FROM wait))::double precision)
$$;

-- Waits: the next step is due when the time is over.
CREATE FUNCTION mfiauto._run_wait(workflow_id integer, version integer, step_no integer, runs mfiauto._run[]) RETURNS mfiauto._run[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT ROW(r.client_id, r.enrollment_id, r.subject_id, r.loan_id, r.anchor_on, s.next_no, mfiauto._wait_until(r.due_at, s.wait, r.zone),
                          r.arm, NULL, r.zone, r.country, NULL, NULL, r.outcome)::mfiauto._run
                 FROM mfiauto.workflow_step s, unnest(runs) WITH ORDINALITY r
                WHERE s.workflow_id = _run_wait.workflow_id AND s.version = _run_wait.version AND s.step_no = _run_wait.step_no
                ORDER BY r.ordinality)
$$;
