-- What gateways may cost: the settings budget_per_day and budget_per_month, in the gateway's currency.
--
-- What a message costs is booked by the claim that takes it, with its lease, and given back when it comes back to the queue or ends unsent:
-- so what is in flight counts, and a claim need only add up a month's few rows. Each backend books in a row of its own (slot), one
-- statement a batch, so that nobody waits for a counter.

CREATE FUNCTION mfiauto._book_spend(gateways text[], days date[], amounts numeric[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.gateway_spend AS s (gateway, on_day, slot, amount)
  SELECT u.gateway, u.day, pg_catalog.pg_backend_pid() % 16, sum(u.amount) FROM unnest(gateways, days, amounts) AS u(gateway, day, amount)
   WHERE u.amount <> 0 GROUP BY u.gateway, u.day ORDER BY u.gateway, u.day
  ON CONFLICT ON CONSTRAINT gateway_spend_pkey DO UPDATE SET amount = s.amount + excluded.amount
$$;

-- What a gateway may still cost, today and this month; null: without limit.
CREATE FUNCTION mfiauto._budget_left(gateway text, OUT day_left numeric, OUT month_left numeric, OUT price numeric)
LANGUAGE sql STABLE AS $$
  SELECT (g.settings ->> 'budget_per_day')::numeric - coalesce(s.today, 0), (g.settings ->> 'budget_per_month')::numeric - coalesce(s.month, 0), (g.settings ->> 'cost_per_part')::numeric
    FROM mfiauto.gateway_config g
    LEFT JOIN LATERAL (SELECT sum(s.amount) FILTER (WHERE s.on_day = mfiauto._today()) AS today, sum(s.amount) AS month
                         FROM mfiauto.gateway_spend s
                        WHERE s.gateway = g.gateway AND s.on_day BETWEEN date_trunc('month', mfiauto._today())::date AND mfiauto._today()) s ON true
   WHERE g.gateway = _budget_left.gateway
$$;

-- When a budget that is used up begins anew: tomorrow, or on the first of the next month.
CREATE FUNCTION mfiauto._budget_renewed_at(is_month boolean) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN is_month THEN date_trunc('month', mfiauto._today()::timestamp) + interval '1 month' ELSE mfiauto._today() + interval '1 day' END AT TIME ZONE i.time_zone
    FROM mfiauto.institution i
$$;

-- Whether another gateway of the channel could take over.
CREATE FUNCTION mfiauto._has_other_gateway(gateway text, channel text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.gateway_config g LEFT JOIN mfiauto.gateway_state s ON s.gateway = g.gateway
                  WHERE g.channel = _has_other_gateway.channel AND g.gateway <> _has_other_gateway.gateway AND g.is_enabled
                    AND coalesce(s.circuit <> 'stopped', true) AND coalesce(s.over_budget_until <= mfiauto.now(), true))
$$;

CREATE FUNCTION mfiauto._note_over_budget(gateway text, until timestamptz) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO mfiauto.gateway_state AS s (gateway, over_budget_until) VALUES (_note_over_budget.gateway, _note_over_budget.until)
  ON CONFLICT ON CONSTRAINT gateway_state_pkey DO UPDATE SET over_budget_until = excluded.over_budget_until
   WHERE s.over_budget_until IS DISTINCT FROM excluded.over_budget_until
$$;

-- Of what a claim would send, what the budget allows, in its order. The rest stays in the queue for another gateway, or waits until the
-- budget begins anew.
CREATE FUNCTION mfiauto._check_budget(claims mfiauto._claim[], gateway text, channel text, OUT kept mfiauto._claim[], OUT is_over boolean)
LANGUAGE plpgsql AS $$
DECLARE
  left_over record;
  cost numeric;
  spent numeric := 0;
  until timestamptz;
  has_other boolean;
  claim mfiauto._claim;
BEGIN
  kept := claims;
  is_over := false;
  SELECT * INTO left_over FROM mfiauto._budget_left(gateway) b;
  IF left_over.price IS NULL OR num_nonnulls(left_over.day_left, left_over.month_left) = 0 THEN
    RETURN;
  END IF;
  kept := '{}';
  FOREACH claim IN ARRAY claims LOOP
    IF claim.verdict = 'send' THEN
      cost := greatest(claim.parts, 1) * left_over.price;
      IF until IS NULL AND spent + cost > least(left_over.day_left, left_over.month_left) THEN
        -- From the first that does not fit on: what is behind does not overtake it.
        is_over := true;
        until := mfiauto._budget_renewed_at(coalesce(spent + cost > left_over.month_left, false));
        has_other := mfiauto._has_other_gateway(gateway, channel);
      END IF;
      IF until IS NOT NULL THEN
        CONTINUE WHEN has_other;
        claim.verdict := 'defer';
        claim.reason := 'over_budget';
        claim.retry_at := until;
      ELSE
        spent := spent + cost;
      END IF;
    END IF;
    kept := kept || claim;
  END LOOP;
  IF is_over THEN
    PERFORM mfiauto._note_over_budget(gateway, until);
  END IF;
END $$;

-- A budget was changed, or there is another way out: what waited for money may try again.
CREATE FUNCTION mfiauto._forget_over_budget(channel text, gateway text) RETURNS void
LANGUAGE sql AS $$
  UPDATE mfiauto.gateway_state s SET over_budget_until = NULL WHERE s.gateway = _forget_over_budget.gateway AND s.over_budget_until IS NOT NULL;
  UPDATE mfiauto.outbox o SET due_at = least(o.due_at, mfiauto.now()), reason = NULL
   WHERE o.channel = _forget_over_budget.channel AND o.reason = 'over_budget' AND o.lease_until IS NULL;
$$;
