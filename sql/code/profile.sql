-- The client's whole picture: what the books, the events and the ledger say of each client, in one row that is kept up to date.

-- What the profile is made of. The query of _profile_query() gives these columns, in this order.
CREATE FUNCTION mfiauto._profile_columns() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT '{client_id,status,gender,birth_date,age_years,region,area_path,branch_id,officer_id,joined_on,locale,literacy,network_reach,delivery_ratio,
           household_size,dependants,preferred_channel,loan_cycle,loans_active,loans_closed,loan_standing,on_time_ratio,days_past_due,max_days_past_due,
           products,products_since,interactions_30d,interactions_90d,last_interaction_at,source,outstanding,outstanding_amount,loan_amounts,loan_amount,
           sector,sector_given,education_score,repayment_capacity,traits,recheck_at}'::text[]
$$;

-- A trait as a number; null where it is none.
CREATE FUNCTION mfiauto._trait_number(traits jsonb, name text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN traits ->> name ~ '^\s*[-+]?\d{1,15}(\.\d{1,10})?\s*$' THEN (traits ->> name)::numeric END
$$;

-- A trait as a count of people.
CREATE FUNCTION mfiauto._trait_count(traits jsonb, name text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN traits ->> name ~ '^\s*\d{1,4}(\.0+)?\s*$' THEN (traits ->> name)::numeric::integer END
$$;

-- Completed years; who was born on 29 February completes his year on 1 March where there is no such day.
CREATE FUNCTION mfiauto._age_on(birth_date date, today date) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN birth_date <= today AND isfinite(birth_date)
              THEN (extract(year FROM today) - extract(year FROM birth_date))::integer
                   - CASE WHEN (extract(month FROM today), extract(day FROM today)) < (extract(month FROM birth_date), extract(day FROM birth_date)) THEN 1 ELSE 0 END END
$$;

-- The next day on which the age changes.
CREATE FUNCTION mfiauto._next_birthday(birth_date date, today date) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN NOT isfinite(birth_date) THEN NULL WHEN birth_date > today THEN birth_date
              ELSE (birth_date + make_interval(years => mfiauto._age_on(birth_date, today) + 1))::date
                   + CASE WHEN extract(day FROM birth_date) = 29 AND extract(day FROM birth_date + make_interval(years => mfiauto._age_on(birth_date, today) + 1)) = 28
                          THEN 1 ELSE 0 END END
$$;

CREATE FUNCTION mfiauto._is_bound(role text, column_name text DEFAULT NULL) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = $1 AND (column_name IS NULL OR c.columns ? column_name))
$$;

-- The rows of the books that a profile is made of and that are not kept in subject_state.
CREATE TYPE mfiauto._profile_client AS (
  client_id bigint, status text, gender text, birth_date date, region text, branch_id bigint, officer_id bigint, joined_on date, locale text, literacy text, source text,
  traits jsonb, zone text);
CREATE TYPE mfiauto._profile_loan AS (loan_id bigint, product text, currency text, cycle integer, since date, ended_on date);
CREATE TYPE mfiauto._profile_holding AS (holding_id bigint, client_id bigint, product text, since date);
CREATE TYPE mfiauto._profile_paid AS (installment_id bigint, paid_on date);

-- Looks up these clients and what is theirs in the canonical views, as far as these are bound: one query a role, by an index of the bank's if there is one,
-- else by reading its table once. How the planner does it is its own affair here.
CREATE FUNCTION mfiauto._read_profile_books(client_ids bigint[], zone text, currency text, OUT clients mfiauto._profile_client[], OUT loans mfiauto._profile_loan[],
                                            OUT holdings mfiauto._profile_holding[], OUT paid mfiauto._profile_paid[])
LANGUAGE plpgsql STABLE SET enable_nestloop = on SET jit = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  ids record;
BEGIN
  SELECT array_agg(DISTINCT f.subject_id) FILTER (WHERE f.role = 'loan') AS loan_ids, array_agg(DISTINCT f.subject_id) FILTER (WHERE f.role = 'holding') AS holding_ids,
         array_agg(DISTINCT f.subject_id) FILTER (WHERE f.role = 'installment') AS installment_ids
    INTO ids
    FROM (SELECT s.role, s.subject_id FROM mfiauto.subject_state s WHERE s.client_id = ANY (_read_profile_books.client_ids) AND s.role IN ('loan', 'holding', 'installment')
          UNION ALL
          SELECT s.role, s.subject_id
            FROM (SELECT DISTINCT p.loan_id FROM mfiauto.party_state p WHERE p.client_id = ANY (_read_profile_books.client_ids)) p
            JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.loan_id = p.loan_id AND s.client_id IS NULL OFFSET 0) s ON s.role IN ('loan', 'installment')) f;
  IF mfiauto._is_bound('client') THEN
    EXECUTE 'SELECT array_agg(ROW(c.client_id, c.status, c.gender, c.birth_date, c.region, c.branch_id, c.officer_id, c.joined_on, c.locale, c.literacy, c.source, c.traits,
                                  CASE WHEN mfiauto._valid_zone(c.time_zone) THEN c.time_zone ELSE $2 END)::mfiauto._profile_client)
               FROM (SELECT DISTINCT ON (v.client_id) v.* FROM unnest($1) AS u(id) JOIN mfiauto.client v ON v.client_id = u.id
                      WHERE NOT EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = u.id) ORDER BY v.client_id, hash_record_extended(v, 0)) c'
      INTO clients USING _read_profile_books.client_ids, _read_profile_books.zone;
  ELSE
    SELECT array_agg(ROW(u.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, coalesce(t.traits, '{}'), _read_profile_books.zone)::mfiauto._profile_client)
      INTO clients
      FROM unnest(_read_profile_books.client_ids) AS u(id) LEFT JOIN mfiauto.client_trait t ON t.client_id = u.id
     WHERE EXISTS (SELECT FROM mfiauto.subject_state s WHERE s.client_id = u.id) OR EXISTS (SELECT FROM mfiauto.party_state p WHERE p.client_id = u.id);
  END IF;
  IF ids.loan_ids IS NOT NULL AND mfiauto._is_bound('loan') THEN
    EXECUTE 'SELECT array_agg(ROW(c.loan_id, c.product, coalesce(c.currency, $2), c.cycle, coalesce(c.disbursed_on, c.applied_on), coalesce(c.written_off_on, c.closed_on))::mfiauto._profile_loan)
               FROM (SELECT DISTINCT ON (v.loan_id) v.* FROM unnest($1) AS u(id) JOIN mfiauto.loan v ON v.loan_id = u.id ORDER BY v.loan_id, hash_record_extended(v, 0)) c'
      INTO loans USING ids.loan_ids, _read_profile_books.currency;
  END IF;
  IF ids.holding_ids IS NOT NULL AND mfiauto._is_bound('holding') THEN
    EXECUTE 'SELECT array_agg(ROW(v.holding_id, v.client_id, v.product, v.opened_on)::mfiauto._profile_holding)
               FROM unnest($1) AS u(id) JOIN mfiauto.holding v ON v.holding_id = u.id WHERE v.closed_on IS NULL'
      INTO holdings USING ids.holding_ids;
  END IF;
  -- Where payments do not say which loan they are for, the schedule's own dates do.
  IF ids.installment_ids IS NOT NULL AND mfiauto._is_bound('installment', 'paid_on') AND NOT mfiauto._is_bound('payment', 'loan_id') THEN
    EXECUTE 'SELECT array_agg(ROW(c.installment_id, c.paid_on)::mfiauto._profile_paid)
               FROM (SELECT v.installment_id, min(v.paid_on) AS paid_on FROM unnest($1) AS u(id) JOIN mfiauto.installment v ON v.installment_id = u.id GROUP BY v.installment_id) c'
      INTO paid USING ids.installment_ids;
  END IF;
END $$;

-- The complete query that computes profiles, from what is bound and mapped now. Parameters: $1 bigint[] client ids, each once; $2 the clock; $3 the
-- institution's date; $4 its zone; $5 its days of grace; $6 its currency; $7 to $10 what _read_profile_books() found. A role that is not bound has nothing to say.
--
-- The books as last seen (subject_state, party_state) tell whose subjects there are, by our own indexes. The rest is joins of sets whose size the planner
-- cannot know: they must not be nested loops, and whatever is to be found by an index is asked for by = ANY ($1).
CREATE FUNCTION mfiauto._profile_query() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  has_payments boolean := mfiauto._is_bound('payment', 'loan_id');
  passive text := (SELECT quote_literal(coalesce(array_agg(e.event ORDER BY e.event), '{}')::text) FROM mfiauto.passive_event e);
BEGIN
  RETURN concat(
  'WITH fact AS MATERIALIZED (
     SELECT s.client_id, s.role, s.subject_id, s.loan_id, s.status, s.amount, s.paid, s.on_date, s.at FROM mfiauto.subject_state s WHERE s.client_id = ANY ($1)
     UNION ALL
     SELECT p.client_id, s.role, s.subject_id, s.loan_id, s.status, s.amount, s.paid, s.on_date, s.at
       FROM (SELECT DISTINCT p.client_id, p.loan_id FROM mfiauto.party_state p
              WHERE p.client_id = ANY ($1) AND p.role <> ''guarantor'' AND coalesce(p.since <= $3, true) AND coalesce(p.until >= $3, true)) p
       JOIN LATERAL (SELECT * FROM mfiauto.subject_state s WHERE s.loan_id = p.loan_id AND s.client_id IS NULL OFFSET 0) s ON true),
   person AS MATERIALIZED (SELECT c.* FROM unnest($7) c),
   aged AS (SELECT p.*, ($2 AT TIME ZONE p.zone)::date AS local_date FROM person p),
   loan AS MATERIALIZED (',
  CASE WHEN mfiauto._is_bound('loan') THEN
    'SELECT f.client_id, f.subject_id AS loan_id, f.status, f.amount AS principal, f.paid AS outstanding, v.product, coalesce(v.currency, $6) AS currency, v.cycle, v.since, v.ended_on
       FROM fact f LEFT JOIN unnest($8) v ON v.loan_id = f.subject_id WHERE f.role = ''loan'''
  ELSE
    'SELECT DISTINCT f.client_id, f.loan_id, ''active''::text AS status, NULL::numeric AS principal, NULL::numeric AS outstanding, NULL::text AS product, $6::text AS currency,
            NULL::integer AS cycle, NULL::date AS since, NULL::date AS ended_on
       FROM fact f WHERE f.role = ''installment'' AND f.loan_id IS NOT NULL' END, '),
   schedule AS MATERIALIZED (
     SELECT f.client_id, f.loan_id, f.subject_id, f.on_date AS due_on, f.amount AS due, l.status, l.currency, l.ended_on,
            CASE WHEN f.amount <= coalesce(f.paid, 0) THEN 0 ELSE f.amount - coalesce(f.paid, 0) END AS balance, v.paid_on AS settled_on,
            sum(f.amount) OVER (PARTITION BY f.client_id, f.loan_id ORDER BY f.on_date, f.subject_id) AS due_to_date
       FROM fact f JOIN loan l ON l.client_id = f.client_id AND l.loan_id = f.loan_id LEFT JOIN unnest($10) v ON v.installment_id = f.subject_id
      WHERE f.role = ''installment'' AND f.on_date IS NOT NULL AND l.status IN (''active'', ''rescheduled'', ''closed'', ''written_off'')),',
  CASE WHEN has_payments THEN '
   money AS (
     SELECT f.client_id, f.loan_id, (f.at AT TIME ZONE $4)::date AS paid_on, sum(f.amount) OVER (PARTITION BY f.client_id, f.loan_id ORDER BY f.at, f.subject_id) AS paid_to_date
       FROM fact f WHERE f.role = ''payment'' AND f.status = ''counted'' AND f.loan_id IS NOT NULL),
   -- The oldest is paid first: an installment is settled on the first day on which all that was paid covers all that was due so far.
   settled AS (
     SELECT m.client_id, m.subject_id, min(m.paid_on) OVER (PARTITION BY m.client_id, m.loan_id ORDER BY m.amount DESC, m.subject_id NULLS FIRST ROWS UNBOUNDED PRECEDING) AS settled_on
       FROM (SELECT s.client_id, s.loan_id, s.subject_id, s.due_to_date AS amount, NULL::date AS paid_on FROM schedule s WHERE s.due_to_date IS NOT NULL
             UNION ALL SELECT m.client_id, m.loan_id, NULL, m.paid_to_date, m.paid_on FROM money m) m),'
  END, '
   judged AS MATERIALIZED (
     SELECT s.client_id, s.subject_id, s.due_on, s.due, s.currency, s.balance, s.status,
            s.balance = 0 AS is_paid, s.status IN (''active'', ''rescheduled'') AS is_open,
            CASE WHEN s.balance = 0 THEN ',
  CASE WHEN has_payments THEN 't.settled_on' ELSE 's.settled_on' END, ' END AS settled_on, s.ended_on
       FROM schedule s',
  CASE WHEN has_payments THEN ' LEFT JOIN (SELECT * FROM settled t WHERE t.subject_id IS NOT NULL) t ON t.client_id = s.client_id AND t.subject_id = s.subject_id' END, '),
   counted AS (
     SELECT j.client_id, (coalesce(j.settled_on <= j.due_on + $5, false))::integer AS is_on_time,
            row_number() OVER (PARTITION BY j.client_id ORDER BY j.due_on DESC, j.subject_id DESC) AS place
       FROM judged j WHERE j.due_on <= $3 AND (j.settled_on IS NOT NULL OR NOT j.is_paid AND j.due_on + $5 < $3)),
   habit AS (SELECT c.client_id, round(avg(c.is_on_time), 4) AS on_time_ratio FROM counted c WHERE c.place <= 12 GROUP BY c.client_id),
   repayment AS (
     SELECT j.client_id,
            coalesce(max($3 - j.due_on) FILTER (WHERE j.is_open AND j.balance > 0 AND j.due_on < $3), 0) AS days_past_due,
            greatest(max(CASE WHEN j.is_paid THEN j.settled_on - j.due_on WHEN j.is_open THEN $3 - j.due_on ELSE j.ended_on - j.due_on END)
                       FILTER (WHERE j.due_on < $3 AND (j.is_paid OR j.balance > 0)), 0) AS max_days_past_due,
            count(*) FILTER (WHERE j.due_on <= $3) AS due_count,
            sum(j.due) FILTER (WHERE j.is_open AND j.due_on >= $3 AND j.due_on < $3 + 30) AS due_soon,
            count(*) FILTER (WHERE j.is_open AND j.due_on >= $3 AND j.due_on < $3 + 30 AND j.currency <> $6) AS due_soon_foreign,
            least(min(j.due_on - 29) FILTER (WHERE j.due_on - 29 > $3), min(j.due_on) FILTER (WHERE j.due_on > $3), min(j.due_on + 1) FILTER (WHERE j.due_on >= $3),
                  min(j.due_on + $5 + 1) FILTER (WHERE j.due_on + $5 >= $3),
                  min($3 + 1) FILTER (WHERE j.is_open AND j.balance > 0 AND j.due_on < $3)) AS next_on
       FROM judged j GROUP BY j.client_id),
   owed AS (
     SELECT l.*, coalesce(l.outstanding, b.balance) AS owed
       FROM loan l LEFT JOIN (SELECT s.client_id, s.loan_id, sum(s.balance) AS balance FROM schedule s GROUP BY s.client_id, s.loan_id) b ON b.client_id = l.client_id AND b.loan_id = l.loan_id),
   amount AS (
     SELECT a.client_id, jsonb_object_agg(a.currency, a.owed ORDER BY a.currency) FILTER (WHERE a.owed IS NOT NULL) AS outstanding,
            jsonb_object_agg(a.currency, a.principal ORDER BY a.currency) FILTER (WHERE a.principal IS NOT NULL) AS loan_amounts
       FROM (SELECT o.client_id, o.currency, sum(o.owed) AS owed, sum(o.principal) AS principal FROM owed o WHERE o.status IN (''active'', ''rescheduled'') GROUP BY o.client_id, o.currency) a
      GROUP BY a.client_id),
   borrowing AS (
     SELECT l.client_id, count(*) FILTER (WHERE l.status IN (''active'', ''rescheduled''))::integer AS loans_active, count(*) FILTER (WHERE l.status = ''closed'')::integer AS loans_closed,
            count(*) FILTER (WHERE l.status = ''written_off'')::integer AS loans_written_off, count(*) FILTER (WHERE l.status IN (''active'', ''rescheduled'', ''closed'', ''written_off''))::integer AS loans,
            max(l.cycle) FILTER (WHERE l.status IN (''active'', ''rescheduled'', ''closed'', ''written_off'')) AS cycle
       FROM loan l GROUP BY l.client_id),
   product AS (
     SELECT k.client_id, array_agg(k.product ORDER BY k.product) AS products, coalesce(jsonb_object_agg(k.product, k.since ORDER BY k.product) FILTER (WHERE k.since IS NOT NULL), ''{}'') AS products_since
       FROM (SELECT h.client_id, h.product, min(h.since) AS since
               FROM (SELECT l.client_id, l.product, l.since FROM loan l WHERE l.status IN (''active'', ''rescheduled'')
                     UNION ALL
                     SELECT f.client_id, v.product, v.since FROM fact f JOIN unnest($9) v ON v.holding_id = f.subject_id
                      WHERE f.role = ''holding'' AND f.status IS DISTINCT FROM ''closed'' AND v.client_id = f.client_id) h
              WHERE h.product IS NOT NULL GROUP BY h.client_id, h.product) k
      GROUP BY k.client_id),
   interaction AS (
     SELECT e.client_id, count(*) FILTER (WHERE e.at > $2 - interval ''720 hours'')::integer AS in_30d, count(*) FILTER (WHERE e.at > $2 - interval ''2160 hours'')::integer AS in_90d,
            max(e.at) AS last_at,
            least(min(e.at) FILTER (WHERE e.at > $2 - interval ''720 hours'') + interval ''720 hours'', min(e.at) FILTER (WHERE e.at > $2 - interval ''2160 hours'') + interval ''2160 hours'') AS next_at
       FROM (SELECT l.client_id, least(l.occurred_at, l.received_at) AS at FROM mfiauto.event_log l
              WHERE l.client_id = ANY ($1) AND l.hops = 0 AND l.name <> ALL (', passive, '::text[])) e
      GROUP BY e.client_id),',
  CASE WHEN EXISTS (SELECT FROM mfiauto.education_weight) THEN '
   learning AS (
     SELECT k.client_id, sum(k.weight) AS score
       FROM (SELECT DISTINCT l.client_id, w.event, w.properties, w.weight FROM mfiauto.event_log l JOIN mfiauto.education_weight w ON w.event = l.name AND l.properties @> w.properties
              WHERE l.client_id = ANY ($1)) k
      GROUP BY k.client_id),' END, '
   -- What became of the messages of 90 days to the number that is in use now.
   told AS (
     SELECT m.client_id, m.created_at, m.message_id, m.state = ''delivered'' AS is_delivered, coalesce(m.finished_at, m.created_at) AS told_at,
            m.to_address IS NOT DISTINCT FROM first_value(m.to_address) OVER (PARTITION BY m.client_id, m.channel ORDER BY m.created_at DESC, m.message_id DESC) AS is_present
       FROM mfiauto.message_ledger m
      WHERE m.client_id = ANY ($1) AND m.created_at > $2 - interval ''2160 hours'' AND m.created_at <= $2 AND m.channel IN (''sms'', ''voice'', ''whatsapp'')
        AND (m.state IN (''delivered'', ''undelivered'') OR m.state = ''failed'' AND m.reason IN (''recipient_rejected'', ''receipt_failed'', ''receipt_expired''))),
   reach AS (
     SELECT t.client_id, count(*) FILTER (WHERE t.is_delivered) AS delivered, count(*) FILTER (WHERE NOT t.is_delivered) AS failed,
            count(*) FILTER (WHERE NOT t.is_delivered AND t.place <= 3) AS failed_of_last, min(t.created_at) + interval ''2160 hours'' AS next_at
       FROM (SELECT t.*, row_number() OVER (PARTITION BY t.client_id ORDER BY t.told_at DESC, t.message_id DESC) AS place FROM told t WHERE t.is_present) t
      GROUP BY t.client_id),
   voice AS (SELECT DISTINCT ON (c.client_id) c.client_id, c.granted FROM mfiauto.consent c
              WHERE c.client_id = ANY ($1) AND coalesce(c.channel = ''voice'', true) AND NOT c.is_pending ORDER BY c.client_id, c.given_at DESC, c.consent_id DESC),
   party AS (SELECT p.client_id, least(min(p.since) FILTER (WHERE p.since > $3), min(p.until + 1) FILTER (WHERE p.until >= $3)) AS next_on
               FROM mfiauto.party_state p WHERE p.client_id = ANY ($1) GROUP BY p.client_id)
   SELECT p.client_id, p.status, p.gender, p.birth_date, mfiauto._age_on(p.birth_date, p.local_date) AS age_years,
          p.region, CASE WHEN p.region IS NOT NULL THEN coalesce(a.path, ARRAY[p.region]) END AS area_path, p.branch_id, p.officer_id, p.joined_on, p.locale, p.literacy,
          CASE WHEN r.client_id IS NULL THEN ''unknown'' WHEN r.failed_of_last = 3 OR r.failed >= 3 AND r.failed > r.delivered THEN ''poor'' ELSE ''good'' END AS network_reach,
          round(r.delivered::numeric / (r.delivered + r.failed), 4) AS delivery_ratio,
          coalesce(mfiauto._trait_count(p.traits, ''household_size''), mfiauto._trait_count(p.traits, ''household'')) AS household_size,
          mfiauto._trait_count(p.traits, ''dependants'') AS dependants,
          CASE WHEN lower(p.literacy) IN (''low'', ''none'') AND v.granted THEN ''voice'' ELSE nullif(lower(p.traits ->> ''preferred_channel''), '''') END AS preferred_channel,
          coalesce(b.cycle, b.loans, 0) AS loan_cycle, coalesce(b.loans_active, 0) AS loans_active, coalesce(b.loans_closed, 0) AS loans_closed,
          CASE WHEN coalesce(b.loans, 0) = 0 THEN ''none'' WHEN y.days_past_due > $5 OR b.loans_written_off > 0 THEN ''late''
               WHEN b.loans_closed = 0 AND coalesce(y.due_count, 0) = 0 THEN ''new'' ELSE ''good'' END AS loan_standing,
          h.on_time_ratio, coalesce(y.days_past_due, 0) AS days_past_due, coalesce(y.max_days_past_due, 0) AS max_days_past_due,
          coalesce(o.products, ''{}'') AS products, coalesce(o.products_since, ''{}'') AS products_since,
          coalesce(i.in_30d, 0) AS interactions_30d, coalesce(i.in_90d, 0) AS interactions_90d, i.last_at AS last_interaction_at, f.source,
          coalesce(m.outstanding, ''{}'') AS outstanding, CASE WHEN m.client_id IS NULL THEN 0 ELSE (m.outstanding ->> $6)::numeric END AS outstanding_amount,
          coalesce(m.loan_amounts, ''{}'') AS loan_amounts, CASE WHEN m.client_id IS NULL THEN 0 ELSE (m.loan_amounts ->> $6)::numeric END AS loan_amount,
          s.sector, nullif(btrim(p.traits ->> ''sector''), '''') AS sector_given,',
  CASE WHEN EXISTS (SELECT FROM mfiauto.education_weight) THEN 'coalesce(e.score, 0)' ELSE '0::numeric' END, ' AS education_score,
          CASE WHEN y.due_soon > 0 AND y.due_soon_foreign = 0
               THEN round((mfiauto._trait_number(p.traits, ''income'') - coalesce(mfiauto._trait_number(p.traits, ''expenses''), 0) - y.due_soon) / y.due_soon, 4) END AS repayment_capacity,
          p.traits,
          least(mfiauto._next_birthday(p.birth_date, p.local_date)::timestamp AT TIME ZONE p.zone, least(y.next_on, q.next_on)::timestamp AT TIME ZONE $4, i.next_at, r.next_at) AS recheck_at
     FROM aged p
     LEFT JOIN LATERAL (SELECT a.path FROM mfiauto.area a WHERE a.area = p.region OFFSET 0) a ON true
     LEFT JOIN reach r ON r.client_id = p.client_id
     LEFT JOIN voice v ON v.client_id = p.client_id
     LEFT JOIN borrowing b ON b.client_id = p.client_id
     LEFT JOIN repayment y ON y.client_id = p.client_id
     LEFT JOIN habit h ON h.client_id = p.client_id
     LEFT JOIN product o ON o.client_id = p.client_id
     LEFT JOIN interaction i ON i.client_id = p.client_id
     LEFT JOIN (SELECT f.client_id, f.source FROM mfiauto.first_source f WHERE f.client_id = ANY ($1)) f ON f.client_id = p.client_id
     LEFT JOIN amount m ON m.client_id = p.client_id
     LEFT JOIN party q ON q.client_id = p.client_id
     LEFT JOIN mfiauto.sector_alias s ON s.alias = lower(btrim(p.traits ->> ''sector''))',
  CASE WHEN EXISTS (SELECT FROM mfiauto.education_weight) THEN ' LEFT JOIN learning e ON e.client_id = p.client_id' END);
END $$;

-- By which way a client came first is noted once: what his first lead said, else the books.
CREATE FUNCTION mfiauto._note_sources(client_ids bigint[], clients mfiauto._profile_client[]) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  newcomers bigint[] := ARRAY(SELECT u.id FROM unnest(_note_sources.client_ids) AS u(id)
                              EXCEPT SELECT f.client_id FROM mfiauto.first_source f WHERE f.client_id = ANY (_note_sources.client_ids));
BEGIN
  IF cardinality(newcomers) > 0 THEN
    INSERT INTO mfiauto.first_source (client_id, source, seen_at)
    SELECT DISTINCT ON (k.client_id) k.client_id, k.source, mfiauto.now()
      FROM (SELECT l.client_id, l.properties ->> 'source' AS source, 1 AS place, l.occurred_at, l.event_id
              FROM mfiauto.event_log l WHERE l.client_id = ANY (newcomers) AND l.name = 'Lead Created'
            UNION ALL
            SELECT c.client_id, c.source, 2, NULL, NULL FROM unnest(clients) c WHERE c.client_id = ANY (newcomers)) k
     WHERE nullif(btrim(k.source), '') IS NOT NULL
     ORDER BY k.client_id, k.place, k.occurred_at, k.event_id, k.source
    ON CONFLICT DO NOTHING;
  END IF;
END $$;

-- Computes and writes the profiles of these clients; who is not in the books has none. Rows that stay as they are are not written.
CREATE FUNCTION mfiauto._write_profiles(client_ids bigint[]) RETURNS void LANGUAGE plpgsql SET jit = off SET enable_nestloop = off AS $$
DECLARE
  place mfiauto.institution;
  names text[] := mfiauto._profile_columns();
  books record;
BEGIN
  SELECT * INTO STRICT place FROM mfiauto.institution;
  SELECT * INTO books FROM mfiauto._read_profile_books(client_ids, place.time_zone, place.currency);
  PERFORM mfiauto._note_sources(client_ids, books.clients);
  EXECUTE format(
    'WITH fresh AS MATERIALIZED (%1$s),
     gone AS (DELETE FROM mfiauto.profile_state p WHERE p.client_id = ANY ($1) AND NOT EXISTS (SELECT FROM fresh f WHERE f.client_id = p.client_id) RETURNING p.client_id),
     valueless AS (DELETE FROM mfiauto.trait_value v WHERE v.client_id = ANY (ARRAY(SELECT g.client_id FROM gone g))),
     unwatched AS (DELETE FROM mfiauto.threshold_state t WHERE t.client_id = ANY (ARRAY(SELECT g.client_id FROM gone g)))
     INSERT INTO mfiauto.profile_state AS p (%2$s, computed_at)
     SELECT f.*, $2 FROM fresh f
     ON CONFLICT ON CONSTRAINT profile_state_pkey DO UPDATE
        SET (%3$s) = ROW(%4$s),
            computed_at = CASE WHEN (%5$s) IS DISTINCT FROM (%6$s) THEN excluded.computed_at ELSE p.computed_at END
      WHERE (%7$s) IS DISTINCT FROM (%4$s)',
    mfiauto._profile_query(), array_to_string(names, ', '),
    (SELECT string_agg(n, ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u(n, o) WHERE n <> 'client_id'),
    (SELECT string_agg('excluded.' || n, ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u(n, o) WHERE n <> 'client_id'),
    (SELECT string_agg('p.' || n, ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u(n, o) WHERE n NOT IN ('client_id', 'recheck_at')),
    (SELECT string_agg('excluded.' || n, ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u(n, o) WHERE n NOT IN ('client_id', 'recheck_at')),
    (SELECT string_agg('p.' || n, ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u(n, o) WHERE n <> 'client_id'))
    USING client_ids, mfiauto.now(), (mfiauto.now() AT TIME ZONE place.time_zone)::date, place.time_zone, place.grace_days, place.currency,
          books.clients, books.loans, books.holdings, books.paid;
END $$;

-- The same, such that what is wrong with one client's rows stops nobody else: he is parked, his profile stays as it was. A binding that the bank
-- broke is told once. Whoever could not be looked at is tried again: a day later, where the binding is broken a minute later.
CREATE FUNCTION mfiauto._try_profiles(client_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  half integer := cardinality(client_ids) / 2;
  is_own boolean;
BEGIN
  PERFORM mfiauto._write_profiles(client_ids);
EXCEPTION WHEN others THEN
  IF NOT mfiauto._is_query_error(SQLSTATE) THEN
    RAISE;
  END IF;
  is_own := SQLSTATE ~ '^22';
  IF is_own AND half > 0 THEN
    PERFORM mfiauto._try_profiles(_try_profiles.client_ids[:half]);
    PERFORM mfiauto._try_profiles(_try_profiles.client_ids[half + 1:]);
    RETURN;
  END IF;
  PERFORM mfiauto._park('profile', NULL, 'client', CASE WHEN is_own THEN client_ids[1] END, CASE WHEN is_own THEN client_ids[1] END, SQLSTATE,
                        CASE WHEN is_own THEN 'expression' ELSE 'binding_broken' END, SQLERRM);
  UPDATE mfiauto.profile_state p SET recheck_at = NULL WHERE p.client_id = ANY (_try_profiles.client_ids) AND p.recheck_at <= mfiauto.now();
  INSERT INTO mfiauto.profile_pending AS q (client_id, retry_at)
  SELECT u.id, mfiauto.now() + CASE WHEN is_own THEN interval '1 day' ELSE interval '1 minute' END FROM unnest(_try_profiles.client_ids) AS u(id)
  ON CONFLICT ON CONSTRAINT profile_pending_pkey DO UPDATE SET retry_at = excluded.retry_at;
END $$;

-- The follower: profiles, computed traits, thresholds of these clients as things stand now.
CREATE FUNCTION mfiauto._refresh_profiles(client_ids bigint[]) RETURNS void LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  wanted bigint[] := ARRAY(SELECT DISTINCT u.id FROM unnest(client_ids) AS u(id) WHERE u.id IS NOT NULL ORDER BY u.id);
BEGIN
  IF cardinality(wanted) > 0 THEN
    PERFORM mfiauto._try_profiles(wanted);
    PERFORM mfiauto._follow_traits(wanted);
    PERFORM mfiauto._follow_thresholds(wanted);
  END IF;
END $$;

-- Everybody the books know.
CREATE FUNCTION mfiauto._known_clients() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
  SELECT p.client_id FROM mfiauto.profile_state p
   UNION SELECT s.client_id FROM mfiauto.subject_state s
          WHERE s.client_id IS NOT NULL AND (s.role = 'client' OR NOT EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = 'client'))
   UNION SELECT p.client_id FROM mfiauto.party_state p WHERE NOT EXISTS (SELECT FROM mfiauto.binding_config c WHERE c.role = 'client')
$$;

-- Everybody's profile may differ now: a binding came or went, a code list changed. The engine must be kept out.
CREATE FUNCTION mfiauto._doubt_profiles() RETURNS void LANGUAGE sql AS $$
  INSERT INTO mfiauto.client_dirty (client_id) SELECT k FROM mfiauto._known_clients() k ON CONFLICT DO NOTHING
$$;

-- Does anything that users wrote depend on how long somebody has been a client? It changes for everybody every day.
CREATE FUNCTION mfiauto._is_tenure_used() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM mfiauto.trait_definition t WHERE t.query ~ '\mtenure_days\M')
      OR EXISTS (SELECT FROM mfiauto.segment_definition s WHERE s.query ~ '\mtenure_days\M')
      OR EXISTS (SELECT FROM mfiauto.workflow_head h JOIN mfiauto.workflow_version v ON v.workflow_id = h.workflow_id AND v.version = h.live_version
                  WHERE h.state IN ('active', 'paused') AND v.trigger_trait = 'tenure_days')
$$;

-- Adds to client_dirty whom time alone changes something for. Called by the engine before it takes a batch.
CREATE FUNCTION mfiauto._follow_profile_clock(batch_size integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  present date := mfiauto._today();
BEGIN
  PERFORM mfiauto._arm_thresholds();
  IF (SELECT c.today IS DISTINCT FROM present FROM mfiauto.profile_clock c) THEN
    UPDATE mfiauto.profile_clock SET today = present;
    IF mfiauto._is_tenure_used() THEN
      PERFORM mfiauto._doubt_profiles();
    END IF;
  END IF;
  IF EXISTS (SELECT FROM mfiauto.profile_pending q WHERE q.retry_at <= mfiauto.now()) THEN
    DELETE FROM mfiauto.parked_fact p
     WHERE p.stage = 'profile' AND (p.client_id IS NULL OR p.client_id IN (SELECT q.client_id FROM mfiauto.profile_pending q WHERE q.retry_at <= mfiauto.now()));
    WITH due AS (DELETE FROM mfiauto.profile_pending q WHERE q.retry_at <= mfiauto.now() RETURNING q.client_id)
    INSERT INTO mfiauto.client_dirty (client_id) SELECT d.client_id FROM due d ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO mfiauto.client_dirty (client_id)
  SELECT p.client_id FROM mfiauto.profile_state p WHERE p.recheck_at <= mfiauto.now() ORDER BY p.recheck_at LIMIT batch_size
  ON CONFLICT DO NOTHING;
END $$;

-- All of it, in batches, with progress. What comes out is what the engine keeps up to date anyway; whose profile changed is looked at by those who build on it.
CREATE FUNCTION mfiauto._refresh_profiles() RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  everybody bigint[];
  done bigint := 0;
  step integer := greatest(current_setting('mfiauto.batch_size')::integer, 1000);
BEGIN
  PERFORM mfiauto._keep_engine_out();
  UPDATE mfiauto.profile_clock c SET today = mfiauto._today() WHERE c.today IS DISTINCT FROM mfiauto._today();
  everybody := ARRAY(SELECT k FROM mfiauto._known_clients() k ORDER BY k);
  PERFORM mfiauto._note_progress('refresh_profiles', 'all', 'computing', 0, cardinality(everybody));
  WHILE done < cardinality(everybody) LOOP
    PERFORM mfiauto._try_profiles(everybody[done + 1 : done + step]);
    done := least(done + step, cardinality(everybody));
    PERFORM mfiauto._note_progress('refresh_profiles', 'all', 'computing', done, cardinality(everybody));
  END LOOP;
  INSERT INTO mfiauto.client_dirty (client_id)
  SELECT p.client_id FROM mfiauto.profile_state p WHERE p.computed_at = mfiauto.now()
   UNION ALL SELECT u.id FROM unnest(everybody) AS u(id) WHERE NOT EXISTS (SELECT FROM mfiauto.profile_state p WHERE p.client_id = u.id)
  ON CONFLICT DO NOTHING;
  PERFORM mfiauto._refresh_traits();
  PERFORM mfiauto._note_progress('refresh_profiles', 'all', 'done', done, cardinality(everybody));
  RETURN done;
END $$;
SELECT mfiauto._open_door('mfiauto._refresh_profiles()', '{admin,author}',
  'Computes the profile of every client, and every computed trait, anew; returns how many clients. The engine keeps profiles up to date by itself: this is for what it could not see, and for checks.');

CREATE FUNCTION mfiauto._note_progress(job text, target text, phase text, done bigint, total bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO mfiauto.job_progress AS p (job, target, phase, done_count, total_count, started_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, mfiauto.now(), clock_timestamp())
  ON CONFLICT ON CONSTRAINT job_progress_pkey DO UPDATE
     SET phase = excluded.phase, done_count = excluded.done_count, total_count = excluded.total_count, updated_at = excluded.updated_at,
         started_at = CASE WHEN excluded.done_count = 0 THEN excluded.started_at ELSE p.started_at END
$$;
