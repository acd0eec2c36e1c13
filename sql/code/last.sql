-- Last: nobody may call anything but the doors that grant_access() opens, and what only computes.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mfiauto FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA mfiauto FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto.now(), mfiauto.today() TO PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto.render(text, jsonb, jsonb, text), mfiauto.sms_parts(text), mfiauto.sms_transliterate(text),
  mfiauto.normalize_phone(text, text), mfiauto.money_text(numeric, text, text), mfiauto.date_text(date, text),
  mfiauto.time_text(time, text) TO PUBLIC;
