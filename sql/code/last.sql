-- Last: nobody may call anything but the doors that grant_access() opens, and what only computes.

-- Only what the script made: functions of an installation that was here before keep their grants.
DO $$
DECLARE
  code record;
BEGIN
  FOR code IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
               WHERE p.pronamespace = 'mfiauto'::regnamespace LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', code.signature);
  END LOOP;
END $$;
GRANT SELECT ON mfiauto.gateway_preset, mfiauto.recipe TO PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto._gateway_preset(), mfiauto._recipe() TO PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto.now(), mfiauto.today() TO PUBLIC;
-- What a simulated condition is asked with; it moves the clock inside _evaluate_past() alone.
GRANT EXECUTE ON FUNCTION mfiauto._move_clock(timestamptz) TO PUBLIC;
-- Whoever makes or attaches a partition of a captured table copies its trigger, and that asks for this right. Naming the function takes
-- USAGE of the schema, which nobody has by default.
GRANT EXECUTE ON FUNCTION mfiauto.capture() TO PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto.render(text, jsonb, jsonb, text), mfiauto.sms_parts(text), mfiauto.sms_transliterate(text),
  mfiauto.normalize_phone(text, text), mfiauto.money_text(numeric, text, text), mfiauto.date_text(date, text),
  mfiauto.time_text(time, text) TO PUBLIC;

-- Code that comes back to an installation: its owner may call it again, and so may those he gave access.
DO $$
BEGIN
  IF to_regclass('mfiauto.installation') IS NOT NULL THEN
    PERFORM mfiauto._give_owner_rights(mfiauto._installation_owner());
  END IF;
END $$;
