-- The one door that the web front calls: a request comes in as it was, an answer goes out.

CREATE FUNCTION mfiauto._serve(method text, path text, query text, headers jsonb, body bytea, remote inet) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  place text := split_part(path, '/', 2);
  name text := CASE WHEN length(path) <= 1000 THEN substring(path FROM '^/[a-z0-9]+/([A-Za-z0-9_.~-]+)$') END;
  given jsonb := coalesce(headers, '{}');
BEGIN
  IF path = '/health' THEN
    RETURN ROW(200, '{"content-type": "application/json"}', '{"status": "ok"}')::mfiauto._response;
  ELSIF place = 'w' AND name IS NOT NULL THEN
    RETURN mfiauto._serve_webhook(name, method, query, given, body);
  ELSIF place = 'v' AND name IS NOT NULL THEN
    RETURN mfiauto._serve_voice(name, method, path, query, given, body);
  ELSIF place = 'l' THEN
    RETURN mfiauto._serve_link(name, given, query, remote, method);
  ELSIF place = 'o' THEN
    RETURN mfiauto._serve_pixel(name, given, remote, method);
  ELSIF place = 'u' THEN
    RETURN mfiauto._serve_unsubscribe(method, name, given, body, remote);
  ELSIF place = 'v1' AND name IN ('identify', 'track', 'page', 'screen', 'group', 'alias', 'batch') THEN
    RETURN mfiauto._serve_tracking(name, method, given, body);
  END IF;
  RETURN ROW(404, '{}', NULL)::mfiauto._response;
END $$;
SELECT mfiauto._open_door('mfiauto._serve(text, text, text, jsonb, bytea, inet)', '{receiver}',
  'Answers a request from the web; what contrib/receiver calls. path and query as they came, headers by lower-case name, body raw. '
  'Of the headers, mfiauto-received-at and mfiauto-request-id are the front''s own word: it lets nobody else say them.');
