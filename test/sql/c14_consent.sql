-- C14: at any past instant the consent state can be rebuilt from rows that nothing may change; STOP counts before the next send.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF');
SELECT mfiauto.set_policy('SN', 'education', double_opt_in => true);

-- A history of two years, as it happened: who said what on which channel for which purpose, and what was confirmed.
CREATE TABLE told (n integer PRIMARY KEY, at timestamptz, client bigint, kind text, channel text, purpose text);
CREATE TABLE replayed (client bigint, channel text, class text, n integer, state text);
DO $$
DECLARE
  n integer;
  t timestamptz := '2026-01-05 08:00+00';
  who bigint;
  what text;
  way text;
  aim text;
BEGIN
  PERFORM setseed(0.14);
  FOR n IN 1..250 LOOP
    -- Several things may be written down at one moment.
    t := t + CASE WHEN random() < 0.2 THEN interval '0' ELSE random() * interval '3 days' END;
    PERFORM mfiauto._set_clock(t);
    who := 1 + floor(random() * 5);
    way := (ARRAY[NULL, 'sms', 'voice', 'email'])[1 + floor(random() * 4)::integer];
    aim := (ARRAY[NULL, 'collection', 'education', 'marketing'])[1 + floor(random() * 4)::integer];
    what := (ARRAY['in', 'in', 'out', 'confirm'])[1 + floor(random() * 4)::integer];
    CASE what WHEN 'in' THEN PERFORM mfiauto.opt_in(who, way, aim, source => 'form ' || n, text_version => 'v1');
              WHEN 'out' THEN PERFORM mfiauto.opt_out(who, way, aim);
              ELSE PERFORM mfiauto.confirm_opt_in(who, way); END CASE;
    INSERT INTO told VALUES (n, t, who, what, way, aim);
  END LOOP;
END $$;

-- The same history again, by another hand: a table of cells that each saying fills in, one after the other.
DO $$
DECLARE
  ways text[] := '{sms,email,voice,push,whatsapp,telegram,messenger,inapp,webhook}';
  aims text[] := '{collection,education,marketing}';
  cells jsonb := '{}';
  asked jsonb := '{}';
  said told;
  wish record;
  w text; a text; cell text;
BEGIN
  FOR said IN SELECT * FROM told ORDER BY n LOOP
    IF said.kind = 'confirm' THEN
      -- Each thing that was asked for (the last time of each), in the last 30 days, and not taken back since.
      FOR wish IN SELECT key, value FROM jsonb_each(asked) WHERE key LIKE said.client || '/%' ORDER BY key LOOP
        CONTINUE WHEN said.channel IS NOT NULL AND wish.value ->> 'channel' IS NOT NULL AND wish.value ->> 'channel' <> said.channel;
        CONTINUE WHEN (wish.value ->> 'at')::timestamptz <= said.at - interval '30 days';
        FOREACH w IN ARRAY ways LOOP FOREACH a IN ARRAY aims LOOP
          IF coalesce(wish.value ->> 'channel', w) = w AND coalesce(wish.value ->> 'purpose', a) = a THEN
            cells := cells || jsonb_build_object(said.client || '/' || w || '/' || a, 'granted');
          END IF;
        END LOOP; END LOOP;
        asked := asked - wish.key;
      END LOOP;
    ELSE
      IF said.kind = 'in' AND coalesce(said.purpose, 'education') = 'education' THEN
        asked := asked || jsonb_build_object(said.client || '/' || coalesce(said.channel, '*') || '/' || coalesce(said.purpose, '*'), jsonb_build_object('channel', said.channel, 'purpose', said.purpose, 'at', said.at));
      ELSIF said.kind = 'out' THEN
        FOR wish IN SELECT key, value FROM jsonb_each(asked) WHERE key LIKE said.client || '/%' LOOP
          IF coalesce(wish.value ->> 'channel', said.channel, '') = coalesce(said.channel, wish.value ->> 'channel', '')
             AND coalesce(wish.value ->> 'purpose', said.purpose, '') = coalesce(said.purpose, wish.value ->> 'purpose', '') THEN
            asked := asked - wish.key;
          END IF;
        END LOOP;
      END IF;
      FOREACH w IN ARRAY ways LOOP FOREACH a IN ARRAY aims LOOP
        cell := said.client || '/' || w || '/' || a;
        IF coalesce(said.channel, w) = w AND coalesce(said.purpose, a) = a THEN
          IF said.kind = 'in' AND coalesce(said.purpose, 'education') = 'education' THEN
            IF NOT cells ? cell THEN cells := cells || jsonb_build_object(cell, 'pending'); END IF;
          ELSE
            cells := cells || jsonb_build_object(cell, CASE said.kind WHEN 'in' THEN 'granted' ELSE 'refused' END);
          END IF;
        END IF;
      END LOOP; END LOOP;
    END IF;
    -- Only the last word of a moment can be asked for.
    IF NOT EXISTS (SELECT FROM told o WHERE o.n = said.n + 1 AND o.at = said.at) THEN
      INSERT INTO replayed SELECT c, split_part(k, '/', 2), split_part(k, '/', 3), said.n, coalesce(cells ->> k, 'none')
        FROM generate_series(1, 5) c, unnest(ways) x, unnest(aims) y, concat_ws('/', c, x, y) k WHERE said.n % 3 = 0;
    END IF;
  END LOOP;
END $$;
SELECT count(DISTINCT n) > 50 AS many_instants, count(*) FILTER (WHERE state = 'granted') > 500 AS granted, count(*) FILTER (WHERE state = 'refused') > 500 AS refused,
       count(*) FILTER (WHERE state = 'pending') > 10 AS pending FROM replayed;
-- Asked at each of those instants, from today, what held then.
SELECT count(*) FILTER (WHERE r.state IS DISTINCT FROM c.state) AS differ, count(*) = (SELECT count(*) FROM replayed) AS all_compared
  FROM (SELECT DISTINCT r.client, r.n, t.at FROM replayed r JOIN told t USING (n)) q
 CROSS JOIN LATERAL mfiauto.consent_at(q.client, q.at) c
  JOIN replayed r ON r.client = q.client AND r.n = q.n AND r.channel = c.channel AND r.class = c.class;
-- The claim decides by the same rows: who may be sent marketing now.
SELECT count(*) FILTER (WHERE (f.reason IS NULL) <> (c.state = 'granted')) AS differ, count(*) FILTER (WHERE f.reason IS NULL) > 0 AS some_may, count(*) FILTER (WHERE f.reason IS NOT NULL) > 0 AS some_may_not
  FROM generate_series(1, 5) k CROSS JOIN LATERAL mfiauto.consent_at(k) c
 CROSS JOIN LATERAL mfiauto._contact_refusals(ARRAY[k::bigint], ARRAY[c.channel], ARRAY[c.class], ARRAY['x']) f WHERE c.class IN ('marketing', 'education');
-- Nobody had said anything before the first day.
SELECT DISTINCT state FROM mfiauto.consent_at(1, '2026-01-01');
-- It reads by channel, and of each by class.
SELECT string_agg(channel, ' ' ORDER BY ordinality) FILTER (WHERE class = 'marketing') AS channels, string_agg(class, ' ' ORDER BY ordinality) FILTER (WHERE channel = 'sms') AS classes
  FROM ROWS FROM (mfiauto.consent_at(1)) WITH ORDINALITY;

-- Proof: the text, word for word, who wrote it down, how.
SELECT mfiauto._set_clock('2028-03-01 08:00+00');
SELECT length(mfiauto.set_consent_text('v7', 'fr', 'J''accepte de recevoir des offres par SMS.')) AS hash_length;
SELECT length(mfiauto.set_consent_text('v7', 'fr', 'J''accepte de recevoir des offres par SMS.')) AS again;
SELECT mfiauto.set_consent_text('v7', 'fr', 'J''accepte tout.');
SELECT mfiauto.opt_in(9, 'sms', 'marketing', source => 'branch form', text_version => 'v7', proof => '{"form": 17}');
SELECT state, since, source, text_version, text_hash = encode(sha256('J''accepte de recevoir des offres par SMS.'::bytea), 'hex') AS is_that_text, recorded_by
  FROM mfiauto.consent_at(9) WHERE channel = 'sms' AND class = 'marketing';

-- Nothing changes what was written, whoever asks, the tables' owner and a superuser included.
UPDATE mfiauto.consent SET granted = false WHERE client_id = 9;
UPDATE mfiauto.consent SET proof = NULL WHERE client_id = 9;
DELETE FROM mfiauto.consent WHERE client_id = 9;
TRUNCATE mfiauto.consent;
UPDATE mfiauto.consent_text SET text = 'x';
DELETE FROM mfiauto.consent_text;
CREATE FUNCTION mfiauto._sly() RETURNS void LANGUAGE sql AS 'DELETE FROM mfiauto.consent';
SELECT mfiauto._sly();
DROP FUNCTION mfiauto._sly();
SELECT count(*) FROM mfiauto.consent WHERE client_id = 9 AND proof = '{"form": 17}';

-- Double opt-in: asked, not granted; one request a week is told to the workflows; a confirmation grants, an opt-out in between does not let it.
CREATE FUNCTION state(client bigint) RETURNS text LANGUAGE sql AS $$ SELECT c.state FROM mfiauto.consent_at(client) c WHERE c.channel = 'sms' AND c.class = 'education' $$;
CREATE FUNCTION refusal(client bigint) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(reason, 'allowed') FROM mfiauto._contact_refusals(ARRAY[client], '{sms}', '{education}', '{a}') $$;
SELECT mfiauto.opt_in(20, 'sms', 'education'), mfiauto.opt_in(20, 'sms', 'education'), mfiauto.opt_in(21, 'sms', 'education'), mfiauto.opt_in(22, 'sms', 'education');
SELECT client_id, name, properties FROM mfiauto.event WHERE client_id BETWEEN 20 AND 22 ORDER BY client_id, event_id;
SELECT state(20), refusal(20), refusal(99) AS never_asked;
SELECT mfiauto.confirm_opt_in(20, 'voice') AS another_channel, state(20);
SELECT mfiauto._set_clock('2028-03-02 08:00+00');
SELECT mfiauto.confirm_opt_in(20, 'sms') AS confirmed, state(20), refusal(20);
SELECT mfiauto.confirm_opt_in(20, 'sms') AS again;
SELECT mfiauto.opt_out(21, 'sms');
SELECT mfiauto.confirm_opt_in(21, 'sms') AS taken_back, state(21), refusal(21);
-- A new request of one who is in changes nothing for him.
SELECT mfiauto.opt_in(20, 'sms', 'education');
SELECT state(20);
SELECT mfiauto._set_clock('2028-04-01 08:00+00');
SELECT mfiauto.confirm_opt_in(22, 'sms') AS too_late, state(22);
SELECT mfiauto.opt_in(22, 'sms', 'education');
SELECT count(*) AS asked_again FROM mfiauto.event WHERE client_id = 22 AND name = 'Opt In Requested';
SELECT client_id, granted, is_pending, source, confirms IS NOT NULL AS confirms FROM mfiauto.consent WHERE client_id = 20 ORDER BY consent_id;

-- STOP counts before the next send: said while the message waits in the queue, in the order of transactions.
SELECT mfiauto._set_clock('2028-04-03 09:00+00');
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox');
SELECT mfiauto.opt_in(c, 'sms', 'marketing') FROM generate_series(30, 31) c;
INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, expires_at, state, class, channel, to_address, body)
SELECT c, mfiauto.now(), mfiauto.now(), mfiauto.now() + interval '1 day', 'queued', 'marketing', 'sms', '+2217700000' || c, 'Offre' FROM generate_series(30, 31) c;
INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
SELECT m.client_id, m.message_id, m.created_at, m.channel, 5, m.due_at, m.expires_at FROM mfiauto.message_ledger m;
SELECT mfiauto.opt_out(30, 'sms', reason => 'STOP');
SELECT claimed, sent, suppressed FROM mfiauto.run_delivery();
SELECT client_id, state, reason FROM mfiauto.message ORDER BY client_id;
