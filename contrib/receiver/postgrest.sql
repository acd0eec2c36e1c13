-- The same front by PostgREST (12 or later) behind nginx, where running mfiauto-receiver is not wanted. There is no queue then: while
-- the database is away, senders are refused and have to come again. Run it as a role that may create schemas; :front is PostgREST's
-- anonymous role, which has profile receiver.
--
--   psql -v front=web_anon -f postgrest.sql
--
-- nginx turns each request into a POST of /rpc/take (see doc/receiver.md). PostgREST gives the function the raw body.
CREATE SCHEMA web;
CREATE DOMAIN web."*/*" AS bytea;

CREATE FUNCTION web.take(bytea) RETURNS web."*/*"
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  given jsonb := current_setting('request.headers')::jsonb;
  target text := given ->> 'x-front-target';
  answer record;
BEGIN
  -- nginx hands on under names of its own what PostgREST would take for itself; what is the front's own word, nobody else says.
  given := given - '{authorization,content-type}'::text[] || jsonb_strip_nulls(jsonb_build_object(
    'authorization', nullif(given ->> 'x-front-authorization', ''), 'content-type', nullif(given ->> 'x-front-content-type', '')));
  SELECT * INTO STRICT answer
    FROM mfiauto.serve(given ->> 'x-front-method', split_part(target, '?', 1), substr(target, length(split_part(target, '?', 1)) + 2),
                       (SELECT coalesce(jsonb_object_agg(h.key, h.value), '{}') FROM jsonb_each(given) h WHERE h.key !~ '^(mfiauto|x-front)-'),
                       $1, (given ->> 'x-front-remote')::inet) s;
  PERFORM set_config('response.status', answer.status::text, true);
  PERFORM set_config('response.headers', (SELECT coalesce(jsonb_agg(jsonb_build_object(h.key, h.value)), '[]') FROM jsonb_each_text(answer.headers) h)::text, true);
  RETURN coalesce(answer.body, '');
END $$;
REVOKE EXECUTE ON FUNCTION web.take(bytea) FROM PUBLIC;
GRANT USAGE ON SCHEMA web TO :front;
GRANT EXECUTE ON FUNCTION web.take(bytea) TO :front;
