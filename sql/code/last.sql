-- Last: nobody may call anything but the doors that grant_access() opens, and what only computes.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mfiauto FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA mfiauto FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mfiauto.now(), mfiauto.today() TO PUBLIC;
